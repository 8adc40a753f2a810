#!/usr/bin/env bash
# Check Kubernetes manifests against the API's schemas, without unknown fields. Usage: tools/check_manifests.sh FILE...
# Exit status: 0 they are right; 1 one of them is not, or is of an unknown kind.
set -euo pipefail
unset CDPATH # or cd goes elsewhere

validate=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.venv-lint/bin/kubernetes-validate
# From the first version in which all that they use is there without a feature gate, to the newest that it knows.
found=$("$validate" --strict --quiet -k 1.33 -k 1.37 "$@") || { printf '%s\n' "$found" >&2 && exit 1; }
[ -z "$found" ] || { printf '%s\n' "$found" >&2 && exit 1; } # an unknown kind is only warned of

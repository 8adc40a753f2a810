#!/usr/bin/env bash
# Write tools/requirements.lock and the locks that follow it anew from both pyproject.toml files, for every platform.
# Usage: tools/lock.sh [PYTHON]
set -euo pipefail
unset CDPATH # or cd goes elsewhere

python=${1:-python3}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch"
# uv resolves for all platforms at once, which pip-tools does not; it is needed here only.
"$scratch/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
compile() {
  "$scratch/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade "$@"
}
compile --group pyproject.toml:dev --group platform/backend/pyproject.toml:dev \
  pyproject.toml platform/backend/pyproject.toml --output-file tools/requirements.lock
# The benchmark's peers, on the same versions of what both use.
compile --group pyproject.toml:bench --group platform/backend/pyproject.toml:dev --constraint tools/requirements.lock \
  platform/backend/pyproject.toml --output-file tools/benchmark/requirements.lock
# The image of a search: what a simulation needs, and nothing that only develops it.
compile --group platform/backend/pyproject.toml:simulation --constraint tools/requirements.lock \
  pyproject.toml platform/backend/pyproject.toml --output-file tools/fleet/requirements.lock
# The tools of `make lint` that would make every other environment half a minute slower to install.
compile --group pyproject.toml:lint --constraint tools/requirements.lock --output-file tools/lint.lock
echo "Wrote the locks in tools/, tools/benchmark/ and tools/fleet/; make installs them at the next call." >&2

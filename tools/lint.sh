#!/usr/bin/env bash
# Check format, style, types, shell scripts, workflows and manifests; every check runs, the status tells whether all passed.
set -uo pipefail
unset CDPATH # or cd goes elsewhere

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
bin=.venv/bin
status=0
check() {
  echo "lint: $1" >&2
  shift
  "$@" || status=1
}
check format "$bin/ruff" format --check --quiet
check style "$bin/ruff" check --quiet
check types "$bin/mypy" tools # apart from the backend, as both have a conftest
check types "$bin/mypy" platform/backend
check imports env PYTHONPATH=tools "$bin/lint-imports" --no-cache --no-logo
check shell sh -c "git ls-files -z '*.sh' .ci/run | xargs -0 '$bin/shellcheck'"
check workflows .venv-lint/bin/jactionlint --shellcheck "$bin/shellcheck"
check "security of workflows" .venv-lint/bin/zizmor --offline --quiet .github/workflows
check manifests tools/check_manifests.sh tools/fleet/{job,report,results}.yaml
exit "$status"

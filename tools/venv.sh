#!/usr/bin/env bash
# Make a virtual environment from a hashed lock. Usage: tools/venv.sh [PYTHON [FOLDER LOCK]]
# By default .venv from tools/requirements.lock; both are relative to the checkout.
# Exit status: 0 made; 1 Python is missing or too old, or the packages could not be had.
set -euo pipefail
unset CDPATH # or cd goes elsewhere

python=${1:-python3} folder=${2:-.venv} lock=${3:-tools/requirements.lock}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

command -v "$python" >/dev/null || fail "There is no $python. Install Python 3.11 or newer, or run with PYTHON=/path/to/python3."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$python ($("$python" --version)) is not Python 3.11 or newer. Install Python 3.11 or newer, or run with PYTHON=/path/to/python3."

echo "Making the virtual environment $folder with $("$python" --version) (once, about half a minute) ..." >&2
rm -rf "$folder"
trap 'rm -rf "$folder"' EXIT # half an environment would be taken for a whole one
"$python" -m venv "$folder" ||
  fail "The virtual environment could not be made. On Debian and Ubuntu, install python3-venv."
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
  --requirement "$lock" || fail "The packages of $lock could not be installed."
trap - EXIT

#!/usr/bin/env bash
# Installs Debian's Chromium and its driver, unless a browser and a driver are there, for the tests of pages.
set -euo pipefail

if command -v chromedriver >/dev/null && { command -v chromium || command -v google-chrome; } >/dev/null; then
  exit 0
fi
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo --non-interactive)
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true; then
  echo "The tests of pages need Chromium and chromedriver, which are not on PATH. Install both." >&2
  exit 1
fi
echo "Installing Chromium and its driver, for the tests of pages ..." >&2
"${as_root[@]}" apt-get update --quiet=2
"${as_root[@]}" apt-get install --quiet=2 --yes --no-install-recommends chromium chromium-driver >/dev/null

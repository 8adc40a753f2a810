#!/usr/bin/env bash
# Run a command with a throw-away, migrated Postgres 16 around it, which is gone when the command has ended.
#
#   tools/with_postgres.sh [OPTIONS OF db_up.py] -- COMMAND [ARGUMENT...]
#   tools/with_postgres.sh --engine embedded -- sh -c 'psql --command "SELECT version()"'
#
# An installed kit has this file beside its modules, and `python -m pgdst with-postgres` runs it there.
# The command finds it in PGDST_DATABASE_URL and DATABASE_URL (SQLAlchemy URLs) and in libpq's PG* variables.
# Exit status: the command's; 1 where the server or the migrations failed, or something was left; 2 wrong usage;
# 129, 130, 143 after SIGHUP, SIGINT, SIGTERM.

# shellcheck disable=SC2329 # the traps call them
set -euo pipefail
unset CDPATH PYTHONSAFEPATH # they would lead cd and Python astray

# A standard stream that is closed would be taken by the next file that is opened, and bash has opened this script. By way
# of 8, as bash does not leave open what it opens as 0 itself.
is_open() { [ -e "/dev/fd/$1" ] && ! [ "/dev/fd/$1" -ef "${BASH_SOURCE[0]}" ]; }
is_open 0 || exec 8</dev/null 0<&8 8<&-
is_open 1 || exec 8>/dev/null 1>&8 8>&-
is_open 2 || exec 8>/dev/null 2>&8 8>&-

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PGDST_PYTHON:-$tools/../.venv/bin/python}
if [ -d "$tools/pgdst" ]; then
  db_up=("$tools/db_up.py") db_down=("$tools/db_down.py")
else # it is in the package
  db_up=("$tools" db-up) db_down=("$tools" db-down)
fi
directory='' options=() interrupted='' running=''

# In the background, so that a signal is handled at once and not when the command ends; Ctrl-C still reaches it.
run() {
  local status=0
  (trap - INT QUIT; exec "$@") <&0 &
  running=$!
  while wait "$running" || status=$?; kill -0 "$running" 2>/dev/null; do status=0; done # woken by Ctrl-C, it goes on
  running=''
  [ -z "$interrupted" ] || [ "$status" -eq 0 ] || status=130
  return "$status"
}

# At a terminal Ctrl-C is the command's to answer, as psql does; elsewhere it ends the run.
interrupt() {
  interrupted=yes
  [ -t 0 ] || exit 130
}

# After SIGINT (status 130) the command may have been told too, and is left to finish in its own way at first.
stop_running() {
  local signal
  for signal in $([ "$1" -eq 130 ] && echo 0) TERM KILL; do
    for _ in {1..50}; do
      kill "-$signal" "$running" 2>/dev/null || return 0 # not `jobs`: it may not have noticed an end within a trap
      signal=0
      sleep 0.1
    done
  done
}

# A status that is neither success nor that of an interrupted run.
has_failed() {
  case $1 in 0 | 129 | 130 | 143) return 1 ;; esac
}

# With KEEP=1 the database of a failed test outlives the run: pytest leaves a mark where it has one.
keep() {
  has_failed "$1" && [ -e "$directory/evidence" ] &&
    "$python" "${db_down[@]}" --run-dir "$directory" --keep-hours "${PGDST_TTL_HOURS:-12}"
}

# After a failure the last lines of the log are shown; it says nothing about a signal.
remove() {
  local lines=0
  ! has_failed "$1" || lines=10
  "$python" "${db_down[@]}" --run-dir "$directory" --log-lines "$lines"
}

cleanup() {
  local status=$?
  set +e # whatever fails from here on, the rest is removed
  trap - EXIT
  trap '' HUP INT TERM # a second Ctrl-C cannot abort the removal
  [ -z "$running" ] || stop_running "$status"
  if [ -e "$directory/engine" ] && ! keep "$status" && ! remove "$status"; then
    echo "with_postgres.sh: the server could not be removed; see: make doctor" >&2
    [ "$status" -ne 0 ] || status=1
  fi
  exec 9>&-
  [ -z "$directory" ] || [ -e "$directory/keep" ] || rm -rf "$directory" # a kept embedded server's data is in it
  exit "$status"
}

missing() {
  if [ -n "${PGDST_PYTHON:-}" ]; then
    echo "Error: PGDST_PYTHON is '$python', which is no program. Name the Python that has the backend's packages and the kit's." >&2
  else
    echo "No virtual environment at $python. Run: make -C $tools/.. venv" >&2
  fi
  exit 1
}

main() { # bash has read all of it before it starts, so an update of this file meanwhile does no harm
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
    options+=("$1")
    shift
  done
  [ $# -ge 2 ] || { echo "Usage: with_postgres.sh [OPTIONS OF db_up.py] -- COMMAND [ARGUMENT...]" >&2; exit 2; }
  shift
  case ${PGDST_KEEP:-0} in 0 | 1) ;; *) echo "Error: KEEP is '$PGDST_KEEP'. It must be 0 or 1." >&2; exit 2 ;; esac
  [ -f "$(command -v "$python")" ] || missing

  trap cleanup EXIT
  trap 'exit 129' HUP
  trap interrupt INT
  trap 'exit 143' TERM
  directory=$(cd "${TMPDIR:-/tmp}" && mktemp -d "$PWD/pgdst-$$-XXXXXXXXXX") ||
    { echo "Error: No folder can be made in ${TMPDIR:-/tmp}. Correct TMPDIR." >&2; exit 1; }
  mkfifo -m 600 "$directory/lease" # others may pass the directory, and must not hold it
  exec 9<>"$directory/lease" # the lease: everything started from here on inherits it
  run "$python" "${db_up[@]}" --run-dir "$directory" ${options[@]+"${options[@]}"}
  # shellcheck source=/dev/null
  . "$directory/environment"
  rm "$directory/environment"
  export PGDST_EVIDENCE=$directory/evidence
  run "$@"
}

main "$@"
exit

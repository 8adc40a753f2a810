#!/bin/sh
# Starts Postgres in the offline image, as far as the kit needs it in the way of the official image
# (docker-library/postgres, 16): POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS,
# POSTGRES_HOST_AUTH_METHOD and PGDATA. It has neither their *_FILE forms nor POSTGRES_INITDB_WALDIR nor
# /docker-entrypoint-initdb.d, and only the commands that offline_contents.py lists.
set -e

sockets=/var/run/postgresql
export POSTGRES_USER="${POSTGRES_USER:-postgres}"
export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"

# As root everything is handed to postgres; a file system that refuses chmod is left for postgres to judge.
make_directories() {
    mkdir -p "$PGDATA" "$sockets"
    chmod 0700 "$PGDATA" || :
    chmod 3775 "$sockets" || :
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" "$sockets" ! -user postgres -exec chown postgres '{}' +
    fi
}

refuse_without_password() {
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        cat >&2 <<'EOF_REFUSAL'
Error: Database is uninitialized and superuser password is not specified.
       Set POSTGRES_PASSWORD to a non-empty value, or let every connection in
       without a password with POSTGRES_HOST_AUTH_METHOD=trust.
EOF_REFUSAL
        exit 1
    fi
}

# POSTGRES_INITDB_ARGS is shell text, quotes and all; its options come last and win. The password goes through a pipe,
# never through argv or a file.
create_cluster() {
    printf '%s\n' "${POSTGRES_PASSWORD:-}" |
        eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=/dev/stdin --encoding=UTF8 --locale=C ${POSTGRES_INITDB_ARGS:-}"
}

# Connections over TCP give a password, of the kind that this server stores.
allow_connections() {
    method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "$@")}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# Print $1 as an identifier of SQL.
quoted() {
    rest=$1 done=''
    while [ "${rest#*\"}" != "$rest" ]; do
        done="$done${rest%%\"*}\"\""
        rest=${rest#*\"}
    done
    printf '"%s"' "$done$rest"
}

# By Postgres without a server, to which nobody can connect.
create_database() {
    [ "$POSTGRES_DB" != postgres ] || return 0
    printf 'CREATE DATABASE %s;\n' "$(quoted "$POSTGRES_DB")" |
        postgres --single -c exit_on_error=on "$@" postgres >/dev/null
}

initialise() {
    [ "$1" != postgres ] || shift
    refuse_without_password
    create_cluster
    allow_connections "$@"
    create_database "$@"
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

case ${1:-} in
    -*) set -- postgres "$@" ;;
esac

if [ "${1:-}" = postgres ]; then
    make_directories
    if [ "$(id -u)" = 0 ]; then
        export HOME=/var/lib/postgresql
        exec setpriv --reuid=70 --regid=70 --clear-groups "$0" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
        initialise "$@"
    fi
fi

exec "$@"

#!/bin/sh
# The entrypoint of the image that stands in for the official one in tests: the official one's steps, in BusyBox's shell.
# As root it makes the directories and becomes uid 70; on an empty PGDATA it initialises, and does the rest on a
# temporary server without TCP, which it stops; at the end the server takes its place.
set -eu

quoted() {
    for argument; do
        printf "'%s' " "$(printf '%s' "$argument" | sed "s/'/'\\\\''/g")"
    done
}

make_directories() {
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 00700 "$PGDATA" || :
    chmod 03775 /var/run/postgresql || :
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
        find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    fi
}

initialise() {
    printf '%s\n' "$POSTGRES_PASSWORD" |
        eval "initdb --username='$POSTGRES_USER' --pwfile=/dev/stdin $POSTGRES_INITDB_ARGS"
    printf '\nhost all all all %s\n' "$(postgres -C password_encryption)" >>"$PGDATA/pg_hba.conf"
}

with_temporary_server() {
    [ "$1" != postgres ] || shift
    pg_ctl -D "$PGDATA" -w start \
        -o "$(quoted "$@" -c 'listen_addresses=' -p "${PGPORT:-5432}")"
    PGPASSWORD=$POSTGRES_PASSWORD psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$POSTGRES_USER" \
        --host /var/run/postgresql --dbname postgres --set db="$POSTGRES_DB" <<'EOF_SQL'
CREATE DATABASE :"db";
EOF_SQL
    pg_ctl -D "$PGDATA" -m fast -w stop
}

case $1 in
    -*) set -- postgres "$@" ;;
esac
if [ "$1" = postgres ]; then
    make_directories
    if [ "$(id -u)" = 0 ]; then
        exec gosu postgres "$0" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
        ls /docker-entrypoint-initdb.d/ >/dev/null
        initialise
        with_temporary_server "$@"
        printf '\nPostgreSQL init process complete; ready for start up.\n\n'
    fi
fi
exec "$@"

#!/bin/sh
# Starts Postgres in the offline image, keeping the contract of the official image (docker-library/postgres, 16):
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS and their *_FILE forms, POSTGRES_HOST_AUTH_METHOD,
# POSTGRES_INITDB_WALDIR, PGDATA, /docker-entrypoint-initdb.d. It has the commands that offline_image.py lists and no more.
set -e

sockets=/var/run/postgresql

# Export $1: its own value, or the content of the file that ${1}_FILE names, or else $2.
file_env() {
    eval "value=\${$1:-} file=\${${1}_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "error: $1 and ${1}_FILE are both set; set one of the two" >&2
        exit 1
    fi
    [ -z "$file" ] || value=$(cat "$file")
    export "$1=${value:-$2}"
    unset "${1}_FILE"
}

read_settings() {
    file_env POSTGRES_PASSWORD ''
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS ''
}

# True when postgres would only print something and stop, which needs no data directory.
only_prints() {
    for argument; do
        case $argument in
            '-?' | --help | --describe-config | -V | --version) return 0 ;;
        esac
    done
    return 1
}

# As root everything is handed to postgres; a file system that refuses chmod is left for postgres to judge.
make_directories() {
    mkdir -p "$PGDATA" "$sockets" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
    chmod 0700 "$PGDATA" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} || :
    chmod 3775 "$sockets" || :
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" "$sockets" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
            ! -user postgres -exec chown postgres '{}' +
    fi
}

refuse_without_password() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
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
    eval "set -- $POSTGRES_INITDB_ARGS"
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || set -- --waldir="$POSTGRES_INITDB_WALDIR" "$@"
    printf '%s\n' "$POSTGRES_PASSWORD" |
        initdb --username="$POSTGRES_USER" --pwfile=/dev/stdin --encoding=UTF8 --locale=C "$@"
}

# Connections over TCP give a password, of the kind that this server stores.
allow_connections() {
    [ "$1" != postgres ] || shift
    method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "$@")}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# No TCP: nobody outside may take the temporary server for the real one.
start_temporary_server() {
    [ "$1" != postgres ] || shift
    postgres "$@" -c listen_addresses='' -c unix_socket_directories="$sockets,/tmp" -p "${PGPORT:-5432}" &
    temporary_server=$!
    polls_left=3000 # of 20 ms and more: a minute at least
    until PGHOSTADDR='' pg_isready --quiet --host="$sockets" --username="$POSTGRES_USER" --dbname=postgres; do
        kill -0 "$temporary_server" 2>/dev/null || { wait "$temporary_server"; exit 1; }
        polls_left=$((polls_left - 1))
        if [ "$polls_left" = 0 ]; then
            echo 'error: the temporary server did not accept connections within a minute' >&2
            exit 1
        fi
        sleep 0.02
    done
}

stop_temporary_server() {
    kill -INT "$temporary_server"
    wait "$temporary_server"
}

# Runs psql on the temporary server. The name is the official image's, as scripts that are sourced may call it.
docker_process_sql() {
    PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --host="$sockets" \
        --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" "$@"
}

create_database() {
    docker_process_sql --dbname=postgres --quiet --set=wanted="$POSTGRES_DB" <<'EOF_SQL'
SELECT format('CREATE DATABASE %I', :'wanted')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'wanted') \gexec
EOF_SQL
}

run_init_scripts() {
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            '/docker-entrypoint-initdb.d/*') ;;
            *.sh)
                echo "$0: running $script"
                # shellcheck source=/dev/null # the user's own
                if [ -x "$script" ]; then "$script"; else . "$script"; fi
                ;;
            *.sql)
                echo "$0: running $script"
                docker_process_sql --file="$script"
                ;;
            *.sql.gz | *.sql.xz | *.sql.zst)
                echo "error: the offline image cannot unpack $script; unpack it, or use the official image" >&2
                exit 1
                ;;
            *) echo "$0: ignoring $script" ;;
        esac
    done
}

initialise() {
    refuse_without_password
    # A directory we cannot list would leave a database without its init scripts.
    ls /docker-entrypoint-initdb.d/ >/dev/null
    create_cluster
    allow_connections "$@"
    export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}" # should initdb have been told to ask local users too
    start_temporary_server "$@"
    create_database
    run_init_scripts
    stop_temporary_server
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

case ${1:-} in
    -*) set -- postgres "$@" ;;
esac

if [ "${1:-}" = postgres ] && ! only_prints "$@"; then
    read_settings
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

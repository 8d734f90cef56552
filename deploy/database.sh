# Sourced by backup.sh and restore.sh: which database they work on, and how its programs are called.
# shellcheck shell=bash
#
# ADMIN_DATABASE_URL, or else DATABASE_URL, names a PostgreSQL; its programs are those of this machine then (psql, pg_dump: as new
# as the server at least). Without either it is the service `db` of compose.yaml.

fail() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    exit 1
}

url=${ADMIN_DATABASE_URL:-${DATABASE_URL:-}}
# libpq knows no other name for it.
[[ $url != ecto://* ]] || url=postgres://${url#ecto://}
# The password goes by the environment: what is among the arguments everybody on this machine can read.
if [[ $url =~ ^(postgres(ql)?://[^:@/]*):([^@/]*)@(.*)$ ]]; then
    url=${BASH_REMATCH[1]}@${BASH_REMATCH[4]}
    password=${BASH_REMATCH[3]//\\/\\\\}
    printf -v PGPASSWORD %b "${password//%/\\x}"
    export PGPASSWORD
fi
[[ $url != *[?\&]password=* ]] || fail 'a password stands before the @ of a URL (user:password@host), or in PGPASSWORD'
compose=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/compose.yaml

# Runs psql or pg_dump as the owner of the tables, with further arguments. The rows of all tenants are there for it, and what a
# restore makes belongs to whom migrations run as.
database() { # PROGRAM [ARGUMENT]...
    local program=$1
    shift
    if [ -n "$url" ]; then
        command -v "$program" >/dev/null || fail "$program is needed; it comes with PostgreSQL's client (postgresql-client)"
        "$program" -d "$url" "$@"
    else
        # shellcheck disable=SC2016 # The container's shell expands them.
        docker compose --file "$compose" exec -T db sh -c '
            program=$1
            shift
            exec "$program" -U "$DB_ADMIN_USER" -d "$POSTGRES_DB" "$@"' database "$program" "$@"
    fi
}

# A dump says at its end that this is its end; half a one does not.
is_complete() { # FILE
    # Without -q: grep would not wait for the rest, and whoever writes it would fail.
    gzip -t "$1" 2>/dev/null && gzip -dc "$1" | tail -n 20 | grep '^-- PostgreSQL database dump complete' >/dev/null
}

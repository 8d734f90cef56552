# Sourced by the scripts beside it. Says which database the programs work on, for whoever names its parts and not its URL.
# shellcheck shell=sh

# Where the program is that they run.
: "${LOOPCTL_BINARY:=/usr/local/bin/loopctl}"

# What may stand in a password may not stand in a URL. So every byte of it is written as %XX, and none can be forgotten.
percent_encode() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g'; }

database_url() { # USER PASSWORD
    printf 'postgres://%s:%s@%s:%s/%s' "$(percent_encode "$1")" "$(percent_encode "$2")" \
        "$DB_HOST" "${DB_PORT:-5432}" "$(percent_encode "$DB_NAME")"
}

# A URL that is set is meant as it is.
if [ -z "${DATABASE_URL:-}" ] && [ -n "${DB_HOST:-}" ]; then
    : "${DB_NAME:=loopctl}" "${DB_APP_USER:=loopctl_app}" "${DB_ADMIN_USER:=loopctl_admin}"
    if [ -n "${DB_APP_PASSWORD:-}" ]; then
        DATABASE_URL=$(database_url "$DB_APP_USER" "$DB_APP_PASSWORD")
        export DATABASE_URL
        if [ -z "${ADMIN_DATABASE_URL:-}" ] && [ -n "${DB_ADMIN_PASSWORD:-}" ]; then
            ADMIN_DATABASE_URL=$(database_url "$DB_ADMIN_USER" "$DB_ADMIN_PASSWORD")
            export ADMIN_DATABASE_URL
        fi
    fi
fi
# The program needs them no longer, and what it does not have it cannot tell.
unset DB_APP_PASSWORD DB_ADMIN_PASSWORD

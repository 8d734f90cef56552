#!/usr/bin/env bash
# Brings a backup of backup.sh into a database that is empty, as one transaction: all of it is there afterwards, or nothing.
#
#     deploy/restore.sh [--replace] FILE
#
# --replace throws away what the database holds, in the same transaction. Stop the servers first (`docker compose stop app`,
# `systemctl stop loopctl`), and start them afterwards, with the CLOAK_KEY of the time of the backup (it may be a retired one).
#
#   ADMIN_DATABASE_URL, DATABASE_URL   which database; without, that of compose.yaml. Its roles are there (deploy/postgres/init.sh).
set -euo pipefail
unset CDPATH

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/database.sh
. "$here/database.sh"

replace=
if [ "${1:-}" = --replace ]; then
    replace=1
    shift
fi
[ $# -eq 1 ] || fail 'usage: deploy/restore.sh [--replace] FILE'
file=$1
[ -r "$file" ] || fail "$file cannot be read"
is_complete "$file" || fail "$file is not a whole backup"

ask() { database psql -X -A -t -q -v ON_ERROR_STOP=1 -c "$1" </dev/null; }

tables=$(ask "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')")
if [ "$tables" != 0 ] && [ -z "$replace" ]; then
    fail "the database holds $tables tables; --replace throws them away"
fi
# Rights are granted to it. A role belongs to all databases of a server, so a dump of one does not make it.
[ "$(ask "select count(*) from pg_roles where rolname = 'loopctl_app'")" = 1 ] ||
    fail 'there is no role loopctl_app: run deploy/postgres/init.sh first'

{
    if [ "$tables" != 0 ]; then
        # As a new database has it.
        echo 'set client_min_messages = warning; drop schema public cascade; create schema public authorization pg_database_owner; grant usage on schema public to public;'
    fi
    gzip -dc "$file"
} | database psql -X -q -v ON_ERROR_STOP=1 --single-transaction >/dev/null
# Plans are made from statistics, and those are not in a dump. What belongs to the whole server is left out, with a warning each.
ask 'set client_min_messages = error; analyze'
echo "restore: $(ask 'select count(*) from tenants') tenants, $(ask 'select count(*) from stories') stories," \
    "$(ask 'select count(*) from audit_log') entries of the log." \
    'Bring the schema up to date (loopctl migrate), and start the servers.'

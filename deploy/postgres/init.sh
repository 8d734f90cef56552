#!/bin/sh
# Makes the two roles that loopctl works with, in a database that is there:
#
# - DB_APP_USER, which requests run as. It owns nothing, makes nothing, and row-level security holds it.
# - DB_ADMIN_USER, which owns the database and its tables: migrations, jobs of the owner, superadmins.
#
# The image of PostgreSQL runs it when the volume is new, as POSTGRES_USER. Elsewhere a superuser runs it once:
#
#     POSTGRES_USER=postgres POSTGRES_DB=loopctl DB_APP_PASSWORD=… DB_ADMIN_PASSWORD=… deploy/postgres/init.sh
#
# It may be run again, and then sets what it is given: so passwords are changed.
set -eu

: "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=loopctl}"
: "${DB_APP_USER:=loopctl_app}" "${DB_ADMIN_USER:=loopctl_admin}"
: "${DB_APP_PASSWORD:?is what the application logs in with}" "${DB_ADMIN_PASSWORD:?is what migrations log in with}"
export POSTGRES_DB DB_APP_USER DB_APP_PASSWORD DB_ADMIN_USER DB_ADMIN_PASSWORD

# psql takes the values from its environment and quotes them itself: any character may stand in them, and nobody reads them in
# the list of processes.
psql -X -q -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv database POSTGRES_DB
\getenv app_user DB_APP_USER
\getenv app_password DB_APP_PASSWORD
\getenv admin_user DB_ADMIN_USER
\getenv admin_password DB_ADMIN_PASSWORD

-- Statements with passwords are nothing for the server's log.
set log_statement = 'none';
set log_min_duration_statement = -1;
-- Nor is it news that something is as it should be.
set client_min_messages = 'warning';

select format('create role %I', name) from unnest(array[:'app_user', :'admin_user']) as wanted (name)
where not exists (select from pg_roles where rolname = wanted.name) \gexec

alter role :"app_user" with login nosuperuser nobypassrls nocreatedb nocreaterole password :'app_password';
alter role :"admin_user" with login nosuperuser bypassrls nocreatedb createrole password :'admin_password';

-- The role that every request runs as. Migrations make it where it is missing, but whoever makes a role need not be allowed to
-- hand it on (PostgreSQL 16 and newer): so it is there, and the admin may.
select 'create role loopctl_app nologin'
where not exists (select from pg_roles where rolname = 'loopctl_app') \gexec
select format('grant loopctl_app to %I with admin option', :'admin_user')
where :'admin_user' <> 'loopctl_app' \gexec

-- Who is nobody here does not get in. What the application may do with which table, migrations say. The schema belongs to whoever
-- owns the database.
revoke all on database :"database" from public;
alter database :"database" owner to :"admin_user";
grant connect on database :"database" to :"app_user";
revoke create on schema public from public;
SQL

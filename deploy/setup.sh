#!/usr/bin/env bash
# Makes a machine ready for `docker compose up`: looks for Docker, and makes what is not there, a `.env` with random secrets and a
# certificate. With --timer it installs the daily backup as well (systemd, as root). What is there stays as it is.
#
#     deploy/setup.sh [--timer] [NAME]...
#
# NAME is a host name or an address that clients use: for the certificate, and the first one for links.
set -euo pipefail
unset CDPATH

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

say() { printf 'setup: %s\n' "$*" >&2; }

timer=
if [ "${1:-}" = --timer ]; then
    timer=1
    shift
fi

docker compose version >/dev/null 2>&1 || {
    say 'Docker with its plugin Compose is needed (docker compose version)'
    exit 1
}
command -v openssl >/dev/null || {
    say 'openssl is needed; it comes from the package manager'
    exit 1
}

secret() { openssl rand -hex 24; }

if [ ! -e "$root/.env" ]; then
    # Only its owner reads it.
    (umask 077 && sed -e "s|^POSTGRES_PASSWORD=.*|POSTGRES_PASSWORD=$(secret)|" \
        -e "s|^DB_APP_PASSWORD=.*|DB_APP_PASSWORD=$(secret)|" \
        -e "s|^DB_ADMIN_PASSWORD=.*|DB_ADMIN_PASSWORD=$(secret)|" \
        -e "s|^SECRET_KEY_BASE=.*|SECRET_KEY_BASE=$(openssl rand -base64 64 | tr -d '\n')|" \
        -e "s|^CLOAK_KEY=.*|CLOAK_KEY=$(openssl rand -base64 32)|" \
        -e "s|^LOOPCTL_PUBLIC_URL=.*|LOOPCTL_PUBLIC_URL=https://${1:-localhost}:8443|" \
        "$root/.env.example" >"$root/.env.new")
    mv "$root/.env.new" "$root/.env"
    say "$root/.env was made, with random secrets: keep a copy where the backups are not"
fi

"$here/make-certificate.sh" "$@"

if [ -n "$timer" ]; then
    [ "$(id -u)" -eq 0 ] || {
        say 'the timer is installed as root'
        exit 1
    }
    # The units speak of /opt/loopctl.
    for unit in loopctl-backup.service loopctl-backup.timer; do
        sed "s|/opt/loopctl|$root|g" "$here/systemd/$unit" >"/etc/systemd/system/$unit"
    done
    systemctl daemon-reload
    systemctl enable --now loopctl-backup.timer
    say 'a backup is made every night: systemctl list-timers loopctl-backup.timer'
fi
say 'docker compose build && docker compose up -d'

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

# What a line of .env.example is filled in with. No secret is among the arguments of a program: everybody on the machine reads those.
filled_in() { # LINE HOST
    case $1 in
        POSTGRES_PASSWORD=* | DB_APP_PASSWORD=* | DB_ADMIN_PASSWORD=*) printf '%s=%s\n' "${1%%=*}" "$(openssl rand -hex 24)" ;;
        SECRET_KEY_BASE=*) printf 'SECRET_KEY_BASE=%s\n' "$(openssl rand -base64 64 | tr -d '\n')" ;;
        CLOAK_KEY=*) printf 'CLOAK_KEY=%s\n' "$(openssl rand -base64 32)" ;;
        LOOPCTL_PUBLIC_URL=*) printf 'LOOPCTL_PUBLIC_URL=https://%s:8443\n' "$2" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

if [ ! -e "$root/.env" ]; then
    host=${1:-localhost}
    # An address of IPv6 stands in brackets.
    [[ $host != *:* ]] || host="[$host]"
    # Only its owner reads it.
    (umask 077 && while IFS= read -r line; do filled_in "$line" "$host"; done <"$root/.env.example" >"$root/.env.new")
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

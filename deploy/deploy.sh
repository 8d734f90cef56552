#!/usr/bin/env bash
# Brings the newest commit of the branch that is checked out into service, with Docker Compose:
#
#     deploy/deploy.sh
#
# It is fetched (`git pull --ff-only`) where the branch follows another one; what is checked out otherwise is taken as it is. The new
# image is built and its migrations are applied while the old server goes on; before that a backup is made. Then the server
# is exchanged, and has HEALTH_SECONDS (30) to say that it is well. If it does not, the image from before comes back. That is only
# possible while the schema is the same: a server starts on none but its own. Where the new image has changed the schema, this says
# so, and which backup there is.
#
#   HEALTH_URL       where it is asked (https://localhost:8443/health; its certificate is not looked at)
#   HEALTH_SECONDS   for how long
#   FETCH=none       what is checked out, and nothing newer
#   BACKUP=none      without a backup; the rest of backup.sh's settings count here, too
set -euo pipefail
unset CDPATH

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."

url=${HEALTH_URL:-https://localhost:8443/health}
seconds=${HEALTH_SECONDS:-30}

say() { printf 'deploy: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

if [ "${FETCH:-}" = none ]; then
    :
elif ! git rev-parse --git-dir >/dev/null; then
    # No repository, one of somebody else's, or no git: that is not a branch that follows none.
    fail 'git says nothing of what is checked out here, so nothing was exchanged; FETCH=none deploys what is checked out'
elif ! git rev-parse --verify --quiet '@{upstream}' >/dev/null 2>&1; then
    say 'what is checked out follows no other branch, and is taken as it is'
else
    git pull --ff-only --quiet || fail 'git pull --ff-only does not succeed, so nothing was exchanged; FETCH=none deploys what is checked out'
    # This script may be another one now.
    FETCH=none exec "$here/deploy.sh"
fi

command -v curl >/dev/null || fail 'curl is needed; it comes from the package manager'
docker compose version >/dev/null 2>&1 || fail 'Docker with its plugin Compose is needed (docker compose version)'
docker compose config --quiet || fail 'compose.yaml or .env is not as it should be'

is_well() {
    local deadline=$((SECONDS + seconds))
    until curl -fsk --max-time 6 "$url" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 1
    done
}

tag=${LOOPCTL_TAG:-latest}
image=loopctl:$tag
previous=
if docker image inspect "$image" >/dev/null 2>&1; then
    docker tag "$image" loopctl:previous
    previous=1
fi
# Whatever goes wrong before the exchange leaves the old server as it is, and its image under its name.
put_back() {
    [ -z "$previous" ] || docker tag loopctl:previous "$image"
}
trap 'put_back; say "nothing was exchanged"' ERR

say 'building'
docker compose build --pull app

docker compose up -d --wait db
backup=
if [ "${BACKUP:-}" != none ] && [ -n "$previous" ]; then
    backup=$("$here/backup.sh" | tail -n 1)
    say "backup: $backup"
fi

say 'migrating'
migrated=$(docker compose run --rm --no-deps -T app /app/bin/migrate)
say "$migrated"
trap - ERR
case $(printf %s "$migrated" | tr -d ' \n') in
    *'"migrations_applied":[]'*) changed= ;;
    *) changed=1 ;;
esac

say 'exchanging'
if docker compose up -d --force-recreate app && docker compose up -d && is_well; then
    say 'the server is well'
    docker image prune -f >/dev/null
    docker compose ps
    exit 0
fi

say "the server is not well after $seconds s; its last words:"
docker compose logs --no-color --tail 20 app >&2 || true
[ -n "$previous" ] || fail 'there is no image from before to come back to'
put_back
if [ -n "$changed" ]; then
    say 'the schema was changed, so the image from before would not start. Mend what is wrong and deploy again; or go back to the'
    say 'backup, which loses what was written since:'
    fail "docker compose stop app && deploy/restore.sh --replace ${backup:-FILE} && docker compose up -d"
fi
docker compose up -d --force-recreate app
if is_well; then fail 'the image from before is back, and well'; fi
fail 'the image from before is back, and not well either: look at the database and at nginx (docker compose logs)'

#!/usr/bin/env bash
# Writes what is in the database to BACKUP_DIR/loopctl_<time>.sql.gz, while servers go on, as of one moment; and lets go of what is
# older than BACKUP_DAYS. The last line that it prints is the file's name. A dump that is not complete is an error, and leaves no
# file.
#
#     deploy/backup.sh
#
#   BACKUP_DIR      where to (/var/backups/loopctl)
#   BACKUP_DAYS     for how many days backups are kept (7)
#   BACKUP_REMOTE   where each is copied to: backup@host:/srv/loopctl, by rsync, or a directory; unset, nowhere
#   ADMIN_DATABASE_URL, DATABASE_URL   which database; without, that of compose.yaml
#
# CLOAK_KEY is not in it, and without that key nobody reads the secrets that are: keep it in another place.
set -euo pipefail
unset CDPATH
umask 077

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/database.sh
. "$here/database.sh"

dir=${BACKUP_DIR:-/var/backups/loopctl}
days=${BACKUP_DAYS:-7}
remote=${BACKUP_REMOTE:-}
[[ $days =~ ^[1-9][0-9]*$ ]] || fail "BACKUP_DAYS=$days is no number of days"
[[ $remote != *:* ]] || command -v rsync >/dev/null || fail 'rsync is needed for BACKUP_REMOTE; it comes from the package manager'
mkdir -p "$dir"

file=$dir/loopctl_$(date -u +%Y%m%d_%H%M%S).sql.gz
part=$file.part
trap 'rm -f "$part"' EXIT

# Owners are left out: whoever restores it owns it. Rights are not: without them the application could read nothing, and everybody
# call what only it may.
database pg_dump --no-owner | gzip >"$part"
is_complete "$part" || fail 'the dump is not complete; no backup was made'
# The schema alone is more.
[ "$(wc -c <"$part")" -ge 4096 ] || fail 'the dump is nearly empty: is it the right database?'
mv "$part" "$file"

old=(-maxdepth 1 -type f -name 'loopctl_*.sql.gz' -mmin "+$((days * 24 * 60))")
find "$dir" "${old[@]}" -delete
case $remote in
    '') ;;
    *:*)
        rsync -a "$file" "$remote/"
        # Word by word as above; the other side has a shell of its own.
        # shellcheck disable=SC2029 # It is expanded here on purpose.
        ssh "${remote%%:*}" "find $(printf %q "${remote#*:}") $(printf '%q ' "${old[@]}") -delete"
        ;;
    *)
        mkdir -p "$remote"
        # Under its name only once it is whole.
        cp -p "$file" "$remote/${file##*/}.part"
        mv "$remote/${file##*/}.part" "$remote/${file##*/}"
        find "$remote" "${old[@]}" -delete
        ;;
esac
echo "$file"

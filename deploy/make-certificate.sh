#!/bin/sh
# A certificate that nginx starts with, signed by nobody else: RSA with 4096 bits, good for a year.
#
#     deploy/make-certificate.sh [NAME]...
#
# NAME is a host name or an address that clients use; localhost, 127.0.0.1 and loopctl.local are always among them. One that is
# there stays as it is; to have another, remove it first. CERTS says where, by default deploy/certs.
set -eu
unset CDPATH

certs=${CERTS:-$(cd "$(dirname "$0")" && pwd)/certs}
key=$certs/selfsigned.key
certificate=$certs/selfsigned.crt

if [ -e "$key" ] && [ -e "$certificate" ]; then
    echo "make-certificate: there is one in $certs" >&2
    exit 0
fi
for file in "$key" "$certificate"; do
    if [ -e "$file" ]; then
        echo "make-certificate: there is only half of one: $file. Put the other half beside it, or remove this one" >&2
        exit 1
    fi
done
command -v openssl >/dev/null 2>&1 || {
    echo 'make-certificate: openssl is needed; it comes from the package manager' >&2
    exit 1
}

names=DNS:loopctl.local,DNS:localhost,IP:127.0.0.1,IP:::1
for name in "$@"; do
    case $name in
        *:*) names=$names,IP:$name ;;
        *[!0-9.]*) names=$names,DNS:$name ;;
        *) names=$names,IP:$name ;;
    esac
done

mkdir -p "$certs"
# nginx reads them before it lets go of its rights.
umask 077
# Not one of an authority, as openssl would make it: rustls, and so loopctl itself, takes none of those from a server.
openssl req -x509 -newkey rsa:4096 -nodes -days 365 -subj "/CN=${1:-loopctl.local}" -addext "subjectAltName=$names" \
    -addext basicConstraints=critical,CA:FALSE -keyout "$key.new" \
    -out "$certificate.new" 2>/dev/null
chmod 644 "$certificate.new"
mv "$key.new" "$key"
mv "$certificate.new" "$certificate"
echo "make-certificate: $certificate; clients trust it with --cacert (curl, loopctl) or NODE_EXTRA_CA_CERTS (Node)" >&2

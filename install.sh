#!/bin/sh
# Installs loopctl for whoever runs this: fetches the release for this machine, compares its SHA-256, and puts one file into
# ~/.local/bin (as root into /usr/local/bin), and manual pages and completions beside it into ~/.local/share (/usr/local/share). No
# rights are needed, and nothing else is changed.
#
#   LOOPCTL_RELEASES      where releases are, up to and without `/latest`; a released copy of this script knows its own
#   LOOPCTL_VERSION       as in 1.0.0; by default the latest
#   LOOPCTL_INSTALL_DIR   where to; when it is not called bin, the program comes without its pages and completions
set -eu

# The release workflow writes down here where it is released.
released_at=''

say() { printf 'install: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

target() {
    case $(uname -m) in
        x86_64 | amd64) cpu=x86_64 ;;
        aarch64 | arm64) cpu=aarch64 ;;
        *) fail "there is no release for $(uname -m); with a Rust toolchain: cargo install --locked --path crates/loopctl, in a clone" ;;
    esac
    case $(uname -s) in
        Linux) echo "$cpu-unknown-linux-gnu" ;;
        Darwin) echo "$cpu-apple-darwin" ;;
        *) fail "there is no release for $(uname -s); with a Rust toolchain: cargo install --locked --path crates/loopctl, in a clone" ;;
    esac
}

fetch() { # URL FILE
    if have curl; then
        # file: is for a mirror on this machine.
        curl -fsSL --proto '=https,file' --retry 3 -o "$2" "$1"
    elif have wget; then
        case $1 in https://*) ;; *) fail "$1: only https" ;; esac
        wget -q -O "$2" "$1"
    else
        fail 'curl or wget is needed; either comes from the package manager'
    fi || fail "$1 cannot be fetched"
}

sha256() {
    if have sha256sum; then
        sha256sum "$1"
    elif have shasum; then
        shasum -a 256 "$1"
    else
        fail 'sha256sum or shasum is needed to see whether the right thing was fetched'
    fi | cut -d ' ' -f 1
}

# A function, which is read to its end before it is begun: half a script, from a line that was cut, does nothing.
main() {
    releases=${LOOPCTL_RELEASES:-$released_at}
    [ -n "$releases" ] || fail 'LOOPCTL_RELEASES is not set: where are the releases?'
    dir=${LOOPCTL_INSTALL_DIR:-}
    if [ -z "$dir" ]; then
        if [ "$(id -u)" -eq 0 ]; then dir=/usr/local/bin; else dir=${HOME:?}/.local/bin; fi
    fi
    if [ -n "${LOOPCTL_VERSION:-}" ]; then
        from=${releases%/}/download/v${LOOPCTL_VERSION#v}
    else
        from=${releases%/}/latest/download
    fi
    target=$(target)

    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM

    fetch "$from/SHA256SUMS" "$scratch/SHA256SUMS"
    # Two blanks, or a blank and an asterisk, stand between the sum and the name.
    line=$(grep -E "^[0-9a-f]{64} [ *]loopctl-[0-9A-Za-z.+-]+-$target\.tar\.gz\$" "$scratch/SHA256SUMS") ||
        fail "$from has nothing for $target"
    archive=${line#*[ \*][ \*]}
    fetch "$from/$archive" "$scratch/archive"
    [ "$(sha256 "$scratch/archive")" = "${line%% *}" ] || fail "$archive is not what $from/SHA256SUMS says it is; nothing was installed"

    tar -xzf "$scratch/archive" -C "$scratch"
    program=$scratch/${archive%.tar.gz}/loopctl
    version=$("$program" --version) || fail "the program does not run on this machine (on Linux it needs glibc 2.36 or newer); nothing was installed"

    mkdir -p "$dir"
    # It is exchanged in one step, also under a server that runs.
    cp "$program" "$dir/.loopctl.new"
    chmod 755 "$dir/.loopctl.new"
    mv -f "$dir/.loopctl.new" "$dir/loopctl"
    say "$version is in $dir"
    # Releases of old have none.
    share=$scratch/${archive%.tar.gz}/share
    case $dir in
        */bin)
            to=${dir%/bin}/share
            if [ -d "$share" ] && { mkdir -p "$to" && cp -R "$share/." "$to/"; }; then
                say "manual pages, and completions for bash, zsh and fish, are in $to"
            fi
            ;;
    esac
    case :$PATH: in
        *:"$dir":*) ;;
        *) say "$dir is not in PATH yet: export PATH=\"$dir:\$PATH\"" ;;
    esac
}

main

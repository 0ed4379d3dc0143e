#!/usr/bin/env bash
# deps: installs the Debian packages that are missing, and nothing else. docs/dependencies.md says what each is for.
#
#   scripts/deps.sh [demo] [test] [s3] [bench] [model] [browser] [compose]      groups; demo alone is the default
#   scripts/deps.sh --list GROUP…                prints the packages and changes nothing
#
# As root, or as a user who may use sudo. When all is there it is one dpkg-query and does not touch the network.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages() {
    case $1 in
        demo)
            # the database, and what the programs are made of
            say postgresql-15 postgresql-client-15 gcc libc6-dev make pkg-config
            say libpq-dev libmicrohttpd-dev libwslay-dev libjwt-dev libjansson-dev libcurl4-openssl-dev libssl-dev libvips-dev libjpeg62-turbo-dev nettle-dev libsecp256k1-dev libarchive-dev libseccomp-dev
            # the local tools and a font to draw with
            say ffmpeg espeak-ng fonts-dejavu-core
            # where the kernel has no Landlock, what keeps tools from the machine
            say bubblewrap
            # the scripts
            say curl ca-certificates openssl perl util-linux procps
            ;;
        test)
            say postgresql-15-pgtap libtap-parser-sourcehandler-pgtap-perl postgresql-15-plpgsql-check
            say pgbouncer nginx python3-aiosmtpd
            say libcmocka-dev clang libclang-rt-14-dev clang-tidy clang-format cppcheck shellcheck
            node_is_enough || say nodejs
            have npm || say npm
            ;;
        s3)
            say ceph-mon ceph-osd ceph-common radosgw
            ;;
        bench)
            say nginx libnginx-mod-nchan
            ;;
        browser)
            say chromium
            ;;
        model)
            say spin
            ;;
        compose)
            say docker.io docker-compose iptables debootstrap
            ;;
        *) die "no group of packages is called $1: demo, test, s3, bench, model, browser and compose are" ;;
    esac
}

node_is_enough() { have node && [[ $(node --version) =~ ^v([0-9]+) && ${BASH_REMATCH[1]} -ge 18 ]]; }

# Prints those of its arguments that are not installed.
missing() {
    local name state
    declare -A there=()
    while read -r name state; do
        [[ $state == installed ]] && there[$name]=1
    done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        [[ -n ${there[$name]:-} ]] || printf '%s\n' "$name"
    done
}

apt() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null; }

# Debian's package makes a cluster `main` and starts it. Whoever had no PostgreSQL before does not want one running:
# ours is private. Clusters that exist are never touched, and the setting is taken back afterwards.
without_main_cluster() {
    local file=/etc/postgresql-common/createcluster.d/kiln-no-main.conf status=0
    "${sudo[@]}" mkdir -p "${file%/*}"
    printf 'create_main_cluster = false\n' | "${sudo[@]}" tee "$file" >/dev/null
    "$@" || status=$?
    "${sudo[@]}" rm -f "$file"
    return "$status"
}

# A package that brings a service would start it, now and at each boot. The tests start what they need themselves.
without_services() {
    local policy=/usr/sbin/policy-rc.d made=no status=0 unit
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod 755 "$policy"
        made=yes
    fi
    "$@" || status=$?
    [[ $made = no ]] || "${sudo[@]}" rm -f "$policy"
    if have systemctl; then
        for unit in $(dpkg-query -L "${needed[@]}" 2>/dev/null | sed -n 's,^/lib/systemd/system/\([^@/]*\.service\)$,\1,p'); do
            case $unit in postgresql*) ;; *) "${sudo[@]}" systemctl disable -q "$unit" >/dev/null 2>&1 || true ;; esac
        done
    fi
    return "$status"
}

have dpkg-query || die "this is not a Debian system (no dpkg-query): install the packages of docs/dependencies.md by hand"

list=no groups=()
for argument in "$@"; do
    case $argument in
        --list) list=yes ;;
        -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
        *) groups+=("$argument") ;;
    esac
done
((${#groups[@]})) || groups=(demo)
mapfile -t wanted < <(for group in "${groups[@]}"; do packages "$group" | tr ' ' '\n'; done)
((${#wanted[@]})) || exit 1
if [[ $list = yes ]]; then
    printf '%s\n' "${wanted[@]}"
    exit 0
fi
mapfile -t needed < <(missing "${wanted[@]}")
((${#needed[@]})) || exit 0

sudo=()
if [[ $EUID -ne 0 ]]; then
    have sudo || die "these packages are missing: ${needed[*]}
and this user can neither install them nor become root (no sudo). As root: apt-get install --no-install-recommends ${needed[*]}"
    sudo=(sudo)
    # Asking for a password is right at a terminal; in a script it would wait for ever.
    [[ -t 0 && -t 1 ]] || sudo=(sudo -n)
    "${sudo[@]}" true || die "these packages are missing: ${needed[*]}
and sudo refused. As root: apt-get install --no-install-recommends ${needed[*]}"
fi

say "Installing ${#needed[@]} Debian packages: ${needed[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt update >"$log" 2>&1 || warn "apt-get update had trouble; trying with the lists that are here."

# An unknown name would fail the whole of apt-get install without saying which matter: name each.
unknown=()
for package in "${needed[@]}"; do
    [[ $(apt-cache policy "$package" 2>/dev/null) =~ Candidate:\ [^\(] ]] || unknown+=("$package")
done
if ((${#unknown[@]})); then
    tail -n 5 "$log" >&2
    die "apt knows no package of this name: ${unknown[*]}
Kiln is made for Debian 12 (bookworm). Is the network there, and do the apt sources name bookworm main?"
fi

install=(apt install -y --no-install-recommends "${needed[@]}")
if compgen -G '/etc/postgresql/*/*' >/dev/null || [[ -d /usr/lib/postgresql/15 ]]; then
    status=0
    without_services "${install[@]}" >"$log" 2>&1 || status=$?
else
    status=0
    without_main_cluster without_services "${install[@]}" >"$log" 2>&1 || status=$?
fi
mapfile -t left < <(missing "${needed[@]}")
if ((status || ${#left[@]})); then
    tail -n 15 "$log" >&2
    die "could not install: ${left[*]:-${needed[*]}} (the last lines of apt-get are above)"
fi

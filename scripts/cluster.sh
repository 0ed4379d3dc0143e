#!/usr/bin/env bash
# cluster: one private PostgreSQL in a folder, reachable by a unix socket only. The stack, the tests, the benchmark and
# the coverage run all start theirs here, beside whatever other PostgreSQL the machine has.
#
#   scripts/cluster.sh start DIR [--fast] [--like DIR] [--set NAME=VALUE]…
#                                                               makes it if need be; prints the socket folder (PGHOST)
#   scripts/cluster.sh stop DIR [fast|immediate]                also fine when it is not running
#   scripts/cluster.sh restart DIR [fast|immediate]             with the settings it was started with
#   scripts/cluster.sh host DIR                                 prints PGHOST; exit 1 when it is not running
#
# The superuser is postgres, by peer: only the owner of DIR and root get in. Everybody else needs a password (scram).
# --fast gives up durability (fsync off): for tests, never for figures or for data.
# --like makes it as a copy of another cluster of this script, which is stopped; the copy has its system identifier too.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export LC_ALL=C.UTF-8

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 64; }

pg_ctl() { (cd / && as_user "$user" "$bin/pg_ctl" -D "$dir/pg" "$@"); }

is_up() { [[ -s $dir/pg/postmaster.pid ]] && pg_ctl status >/dev/null 2>&1; }

free_mb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }'; }

make_cluster() {
    local fast=$1 like=$2 mb
    if [[ -d $dir/pg ]]; then
        [[ -e $dir/pg/kiln.conf ]] || die "$dir/pg is there, but was not made by Kiln: set KILN_HOME to another folder"
        return
    fi
    mb=$(free_mb "$dir")
    [[ $mb -ge 500 ]] || die "only $mb MB are free where $dir lies; a new database needs 500: make room or set KILN_HOME to another disk"
    local part=$dir/pg.part out
    # A run that was cut off leaves this folder, which nobody has used: begin again.
    rm -rf "$part"
    if [[ -n $like ]]; then
        [[ ! -e $like/pg/postmaster.pid ]] || die "$like/pg is in use: stop it before it is copied"
        as_user "$user" cp -a --reflink=auto "$like/pg" "$part"
        mv "$part" "$dir/pg"
        return
    fi
    local args=(-D "$part" -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256)
    [[ $fast = yes ]] && args+=(-N)
    out=$(cd / && as_user "$user" "$bin/initdb" "${args[@]}" 2>&1) || die "initdb failed: $out"
    as_user "$user" tee "$part/pg_hba.conf" >/dev/null <<'HBA'
# Local socket only. The superuser by who you are, all others by password; backups and standbys are the superuser's.
local all postgres peer map=local
local replication postgres peer map=local
local all all      scram-sha-256
HBA
    as_user "$user" tee "$part/pg_ident.conf" >/dev/null <<IDENT
local "$user" postgres
local root postgres
IDENT
    printf "\ninclude 'kiln.conf'\n" | as_user "$user" tee -a "$part/postgresql.conf" >/dev/null
    as_user "$user" touch "$part/kiln.conf"
    mv "$part" "$dir/pg"
}

# The socket lies in DIR/run, or in a short folder under /tmp where that path would pass the kernel's 107 bytes or
# hold what a list of folders cannot.
socket_dir() {
    local run=$dir/run
    if ((${#run} > 85)) || [[ ! $run =~ ^[A-Za-z0-9_./\ @+-]+$ ]]; then
        run=$(cat "$dir/socket" 2>/dev/null || true)
        if [[ -z $run || ! -d $run ]] || ! as_user "$user" test -O "$run"; then
            run=$(as_user "$user" mktemp -d /tmp/kiln-XXXXXX)
        fi
    fi
    as_user "$user" mkdir -p -m 0700 "$run"
    printf '%s\n' "$run" | as_user "$user" tee "$dir/socket" >/dev/null
}

write_settings() {
    local fast=$1 shared=128MB
    shift
    [[ $(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo) -ge 4000 ]] && shared=256MB
    {
        cat <<SETTINGS
# Written by scripts/cluster.sh at each start; put your own settings into postgresql.auto.conf (ALTER SYSTEM).
listen_addresses = ''
port = 5432
unix_socket_directories = '"$(<"$dir/socket")"'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = $shared
max_wal_size = 2GB
password_encryption = scram-sha-256
timezone = UTC
log_timezone = UTC
log_line_prefix = '%m [%p] %q%u@%d '
jit = off                              # every statement here is short
autovacuum_naptime = 5s                # queue tables turn over fast
autovacuum_vacuum_cost_delay = 1ms
SETTINGS
        if [[ $fast = yes ]]; then printf '%s\n' 'fsync = off' 'synchronous_commit = off' 'full_page_writes = off'; fi
        if (($#)); then printf '%s\n' "$@"; fi
    } | as_user "$user" tee "$dir/pg/kiln.conf" >/dev/null
}

start() {
    local fast=no like='' settings=() log
    while (($#)); do
        case $1 in
            --fast) fast=yes ;;
            --like) like=$2; shift ;;
            --set) settings+=("${2%%=*} = ${2#*=}"); shift ;;
            *) usage ;;
        esac
        shift
    done
    if ! is_up; then
        make_cluster "$fast" "$like"
        bin=$(pg_bindir "$dir/pg")
        socket_dir
        write_settings "$fast" ${settings[@]+"${settings[@]}"}
        as_user "$user" mkdir -p "$dir/log"
        log=$dir/log/postgres.log
        if ! pg_ctl -s -w -t 60 -l "$log" start >/dev/null 2>&1 </dev/null; then
            warn "PostgreSQL did not start in $dir. The end of $log:"
            tail -n 15 "$log" >&2 || true
            exit 1
        fi
    fi
    cat "$dir/socket"
}

halt() {
    is_up || return 0
    pg_ctl -s -w -t 60 -m "${1:-fast}" stop >/dev/null || die "PostgreSQL in $dir did not stop within 60 s"
}

stop() {
    local run
    halt "$@"
    run=$(cat "$dir/socket" 2>/dev/null || true)
    if [[ $run == /tmp/kiln-* ]]; then rmdir "$run" 2>/dev/null || true; fi
}

(($# >= 2)) || usage
action=$1 dir=$2
shift 2
case $action in
    start) dir=$(usable_dir "$dir") ;;
    *) [[ -d $dir ]] || exit 1; dir=$(cd "$dir" && pwd -P) ;;
esac
user=$(service_user "$dir")
bin=$(pg_bindir "$dir/pg")
case $action in
    start)   start "$@" ;;
    stop)    stop "$@" ;;
    restart) halt "$@"; pg_ctl -s -w -t 60 -l "$dir/log/postgres.log" start >/dev/null </dev/null ;;
    host)    is_up && cat "$dir/socket" ;;
    *)       usage ;;
esac

#!/usr/bin/env bash
# scripts/cluster.sh: private clusters in awkward places. TAP on stdout.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
unset "${!PG@}" DATABASE_URL
work=$(mktemp -d "${TEST_HOME:-/tmp}/cluster-XXXXXX")
chmod 0755 "$work"
number=0
cluster() { "$root/scripts/cluster.sh" "$@"; }
deep="$work/$(printf 'a-very-long-folder-name/%.0s' {1..6})it's a home"
trap 'cluster stop "$deep" immediate >/dev/null 2>&1; cluster stop "$work/b" immediate >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

is() {
    number=$((number + 1))
    if [[ $1 == "$2" ]]; then printf 'ok %d - %s\n' "$number" "$3"; else printf 'not ok %d - %s\n#      got: %q\n# expected: %q\n' "$number" "$3" "$1" "$2"; fi
}
value() { psql -X -At -h "$host" -U postgres -d postgres -c "$1" 2>&1; }

host=$(cluster start "$deep" --fast --set work_mem=7MB 2>&1)
is "${host:0:10}" /tmp/kiln- 'where the path is too long for a socket, the socket lies in /tmp'
is "$(value 'show work_mem')" 7MB 'a setting given at start is in force'
is "$(value 'show server_encoding')" UTF8 'the encoding is UTF8 whatever the environment says'
is "$(value 'show listen_addresses')" '' 'nothing listens on a port'
is "$(cluster start "$deep")" "$host" 'starting again prints the same socket'
cluster restart "$deep"
is "$(cluster host "$deep")" "$host" 'a restart keeps it'
is "$(value 'show work_mem')" 7MB 'and the settings'
cluster stop "$deep"
is "$(cluster host "$deep" || echo none)" none 'host prints nothing when it is down'
is "$([[ -e $host ]] && echo there)" '' 'and the folder in /tmp is gone'

host=$(LC_ALL=xx_YY.bogus LANG=xx_YY.bogus cluster start "$work/b" --fast 2>/dev/null)
is "$(value 'select 1')" 1 'a locale that does not exist is no obstacle'
value 'create role somebody login' >/dev/null
is "$(PGPASSWORD=wrong psql -X -h "$host" -U somebody -d postgres -c 'select 1' 2>&1 | grep -c 'password authentication failed')" 1 'roles without a password do not get in'
if [[ $EUID -eq 0 ]]; then
    is "$(setpriv --reuid=nobody --clear-groups psql -X -h "$host" -U postgres -d postgres -c 'select 1' 2>&1 | grep -c 'Permission denied')" 1 'nor do other users of the machine'
fi
cluster stop "$work/b"
rm -f "$work/b/pg/kiln.conf"
is "$(cluster start "$work/b" --fast 2>&1 | grep -c 'was not made by Kiln')" 1 'a cluster of somebody else is left alone'
mv "$work/b/pg" "$work/b/pg.part"
host=$(cluster start "$work/b" --fast)
is "$(value "select count(*) from pg_roles where rolname = 'somebody'")" 0 'what a start that was cut off left is made anew'
cluster stop "$work/b"
printf '1..%d\n' "$number"

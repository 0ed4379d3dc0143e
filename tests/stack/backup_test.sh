#!/usr/bin/env bash
# docs/backup.md: every command on the page, run as it stands there, with ./kiln and its real programs. TAP on stdout.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
unset "${!KILN_@}" "${!PG@}" DATABASE_URL
work=$(mktemp -d "${TEST_HOME:-/tmp}/backup-XXXXXX")
chmod 0755 "$work"
tree="$work/kiln here"
number=0

ok() {
    number=$((number + 1))
    if [[ $1 == 0 ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n' "$number" "$2"; fi
    if [[ $1 != 0 && -n ${3:-} ]]; then printf '# %s\n' "${3//$'\n'/$'\n'# }"; fi
}
is() { [[ $1 == "$2" ]]; ok $? "$3" "got: $1
expected: $2"; }
like() { [[ $1 == *"$2"* ]]; ok $? "$3" "got: $1
lacks: $2"; }

mkdir -p "$tree/build"
(cd "$root" && cp -a kiln Makefile VERSION scripts db docs migrations "$tree/" && cp -a "${TEST_BUILD:-build}"/bin "$tree/build/bin")
cd "$tree" || exit 1
KILN_PORT=$(free_port)
export KILN_PORT NO_COLOR=1 KILN_RUNNERS=1 PGOPTIONS='-c synchronous_commit=off'      # a restore is thousands of commits
cleanup() {
    ./kiln down >/dev/null 2>&1
    for folder in .kiln .standby; do [[ -d $folder ]] && scripts/cluster.sh stop "$folder" immediate >/dev/null 2>&1; done
    cd / && rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# block NAME [SED]: the page's commands of that name, run in a shell of their own.
block() {
    local commands
    printf '%s\n' "$1" >>"$work/asked"
    commands=$(awk -v head="\`\`\`sh $1" '$0 == head { on = 1; next } /^```/ { on = 0 } on' docs/backup.md | sed "${2:-}")
    [[ -n $commands ]] || { printf 'docs/backup.md has no block %s\n' "$1"; return 1; }
    bash -euo pipefail -c "$commands" 2>&1 </dev/null
}
value() { ./kiln psql -X -At -c "$1" 2>&1; }
readyz() { curl -s -o /dev/null --noproxy '*' -w '%{http_code}' "http://127.0.0.1:$KILN_PORT/readyz"; }
sentence='this database was restored from a backup: run ./kiln after-restore, which is select kiln.after_restore()'

out=$(./kiln up 2>&1)
ok $? 'a stack is there' "$out"
job=$(value "select kiln.enqueue('log', '{}')")
for _ in {1..200}; do [[ $(value "select state from kiln.job where job_id = $job") == completed ]] && break; sleep 0.05; done
printf 'a picture' >.kiln/media/picture

# --- dump and restore -----------------------------------------------------------------------------------------------------
out=$(block backup)
ok $? 'the dump of the page' "$out"
./kiln down >/dev/null
mv .kiln .first
out=$(block restore \$d)
ok $? 'the restore of the page, but for its last line' "$out"
out=$(./kiln up 2>&1 </dev/null)
is $? 75 'up without a terminal and without a flag ends with 75'
like "$out" "$sentence" 'and says what to run'
out=$(./kiln migrate 2>&1 </dev/null)
is "$? $(value 'select kiln_internal.is_restored()')" '75 t' 'so does migrate'
./kiln up --sometime >/dev/null 2>&1
is $? 1 'another flag is refused'
out=$(block restore '$!d')
ok $? 'the last line of the page brings it up' "$out"
like "$out" 'are history' 'with what it did'
is "$(readyz) $(value "select state from kiln.job where job_id = $job") $(cat .kiln/media/picture)" '200 completed a picture' 'it serves, with its jobs and files'
out=$(./kiln after-restore 2>&1)
like "$out" 'there is nothing to do' 'a second time finds nothing to do'
job=$(value "select kiln.enqueue('log', '{}')")
for _ in {1..200}; do [[ $(value "select state from kiln.job where job_id = $job") == completed ]] && break; sleep 0.05; done
is "$(value "select state from kiln.job where job_id = $job")" completed 'and it works'
out=$(block look)
ok $? 'what is to be looked at' "$out"
like "$out" '(0 rows)' 'of which there is nothing'

# --- a move ---------------------------------------------------------------------------------------------------------------
out=$(block move)
ok $? 'the dump of a move' "$out"
mv .kiln .second
out=$(block restore \$d)
ok $? 'its restore' "$out"
out=$(printf 'x\n' | script -qec './kiln migrate; echo "code $?"' /dev/null 2>&1)
like "$out" 'Which is it?' 'who sits there is asked'
like "$out" 'code 75' 'and may leave it for later'
out=$(block arrive)
ok $? 'its arrival' "$out"
is "$(value 'select nothing_ran from kiln.restore order by restore_id desc limit 1') $(readyz)" 't 200' 'nothing ran since, and it serves'

# --- a standby ------------------------------------------------------------------------------------------------------------
export PGHOST PGUSER=postgres
PGHOST=$(scripts/cluster.sh host .kiln)
out=$(block standby)
ok $? 'a standby of the page' "$out"
for _ in {1..200}; do [[ $(psql -X -At -d kiln -c 'select count(*) from pg_stat_replication') == 1 ]] && break; sleep 0.05; done
./kiln down >/dev/null
out=$(block promote)
ok $? 'is promoted' "$out"
like "$(psql -X -At -h "$(scripts/cluster.sh host .standby)" -d kiln -c 'select kiln_internal.is_restored()' 2>&1)" f 'and is at home'
scripts/cluster.sh stop .standby immediate

# --- by hand --------------------------------------------------------------------------------------------------------------
scripts/cluster.sh start .kiln >/dev/null
value "set role kiln_owner; update kiln.instance set beat_at = beat_at - interval '1 minute'; update kiln.heartbeat set beat_at = beat_at - interval '1 minute'" >/dev/null
out=$(block 'by hand')
ok $? 'a copy of the disk that was put back' "$out"
is "$(value 'select count(*) from kiln.restore')" 3 'is told to be one'

all=$(sed -n 's/^```sh //p' docs/backup.md | sort -u)
is "$(sort -u "$work/asked")" "$all" 'no block of the page was left out'
printf '1..%d\n' "$number"

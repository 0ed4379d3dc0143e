#!/usr/bin/env bash
# scripts/migrate.sh: once with a database of ten lines, where each promise can be broken on purpose, then with the real one.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
unset "${!KILN_@}" "${!PG@}" DATABASE_URL
work=$(mktemp -d "${TEST_HOME:-/tmp}/migrate-XXXXXX")
chmod 0755 "$work"
number=0
trap 'cd /; "$root/scripts/cluster.sh" stop "$work/cluster" immediate >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

ok() {
    number=$((number + 1))
    if [[ $1 == 0 ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n' "$number" "$2"; fi
    if [[ $1 != 0 && -n ${3:-} ]]; then printf '# %s\n' "${3//$'\n'/$'\n# '}"; fi
}
is() { [[ $1 == "$2" ]]; ok $? "$3" "got: $1
expected: $2"; }
like() { [[ $1 == *"$2"* ]]; ok $? "$3" "got: $1
lacks: $2"; }
value() { psql -X -At -c "$1" 2>&1; }

PGHOST=$("$root/scripts/cluster.sh" start "$work/cluster" --fast)
export PGHOST PGPORT=5432 PGUSER=postgres

# --- a small one ----------------------------------------------------------------------------------------------------------
export PGDATABASE=small
psql -X -q -d postgres -c 'create database small'
small="$work/a small one"
mkdir -p "$small/db" "$small/migrations"
cp -a "$root/scripts" "$root/VERSION" "$small/"
cd "$small" || exit 1
cat >db/install.psql <<'SQL'
\if :{?part}
\else
create schema kiln; create schema kiln_api; create schema kiln_runner;
create table kiln.migration (number int primary key, name text, applied_at timestamptz default now());
create table kiln.thing (a int);
\endif
\ir code.psql
SQL
cat >db/code.psql <<'SQL'
create schema if not exists kiln_api; create schema if not exists kiln_runner;
create or replace view kiln.things as select a from kiln.thing;
create or replace function kiln_api.count_things() returns bigint language sql return (select count(*) from kiln.thing);
SQL
printf 'this is never run on a fresh database\n' >migrations/0001_initial.sql

is "$(scripts/migrate.sh 2>&1)" 'database: installed' 'an empty database is installed whole'
is "$(value 'select number, name from kiln.migration')" '1|initial' 'and has all migrations recorded as applied'
is "$(scripts/migrate.sh 2>&1)" 'database: up to date' 'a second run finds nothing to do'
value 'insert into kiln.thing values (1)' >/dev/null
printf "alter table kiln.thing add column b int not null default 5;\n" >migrations/0002_more.sql
sed -i 's/select a from/select b, a from/' db/code.psql
like "$(scripts/migrate.sh 2>&1)" 'applied 0002_more.sql' 'a new migration is applied'
is "$(value 'select * from kiln.things')" '5|1' 'with the data kept, and a view that could not have been replaced in place'
is "$(value 'select kiln_api.count_things()')" 1 'and the functions loaded again'
printf "create table kiln.half (a int);\nselect nonsense;\n" >migrations/0003_bad.sql
scripts/migrate.sh >/dev/null 2>&1
is $? 1 'a migration that fails ends with an error'
is "$(value "select to_regclass('kiln.half') is null, (select count(*) from kiln.things)")" 't|1' 'and leaves everything as it was, views included'
rm migrations/0003_bad.sql
printf "create table kiln.once (a int);\ninsert into kiln.once values (1);\n" >migrations/0003_once.sql
for _ in 1 2 3 4; do scripts/migrate.sh >>"$work/four" 2>&1 & done
wait
is "$(value 'select count(*) from kiln.once')" 1 'four at the same moment apply it once'
is "$(grep -c 'up to date' "$work/four")" 3 'and three find nothing to do'
rm migrations/0003_once.sql
like "$(scripts/migrate.sh 2>&1)" 'later release' 'a database of a later release is refused'

cp migrations/0001_initial.sql migrations/0003_once.sql
mkdir db/schema
printf 'create table kiln.unheard_of (a int);\n' >db/schema/unheard.sql
like "$(scripts/migrate.sh 2>&1)" 'has other tables than this checkout' 'tables that no migration leads to are refused, rather than met by new code'
printf 'create table kiln.unheard_of (a int);\n' >migrations/0004_unheard.sql
like "$(scripts/migrate.sh 2>&1)" 'applied 0004_unheard.sql' 'with a migration they are fine'

# --- the real one ---------------------------------------------------------------------------------------------------------
export PGDATABASE=real
psql -X -q -d postgres -c 'create database real'
real="$work/the real one"
mkdir -p "$real"
cp -a "$root/db" "$root/migrations" "$root/scripts" "$root/VERSION" "$real/"
cd "$real" || exit 1
# Object ids in names of constraints and the order of grants do not matter; everything else does.
dump() { pg_dump -s -n kiln -n kiln_api -n kiln_runner | grep -vE '^(--|\\(un)?restrict)' | sed '/^$/d'; }
is "$(scripts/migrate.sh 2>&1)" 'database: installed' 'db/ installs into an empty database'
dump >"$work/before.sql"
printf '%s\n' '-- another checksum' >>db/install.psql
out=$(scripts/migrate.sh 2>&1)
ok $? 'its code loads again over a database in use' "$out"
dump >"$work/after.sql"
difference=$(diff <(sort "$work/before.sql") <(sort "$work/after.sql"))
ok $? 'and gives the same schema as a fresh install' "$(head -n 20 <<<"$difference")"
printf '1..%d\n' "$number"

#!/usr/bin/env bash
# docs: the pages that repeat what stands elsewhere.
#
#   scripts/docs.sh            writes docs/states.md from the tables of legal moves, docs/console.md from the comments of
#                              the schema kiln
#   scripts/docs.sh --check    changes nothing; says where these pages, docs/settings.md or .env.example disagree with the
#                              database or with the table of variables in lib/cfg.c
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"
work=$(mktemp -d /tmp/kiln-docs-XXXXXX)
chmod 0755 "$work"
# shellcheck disable=SC2329,SC2317  # called by the trap
cleanup() {
    if [[ -d $work/cluster ]]; then scripts/cluster.sh stop "$work/cluster" immediate; fi
    rm -rf "$work"
}
trap cleanup EXIT

# "NAME default" of every variable the programs know.
variables() {
    perl -0777 -ne 'print "$1 $2\n" while /\{\s*"([A-Z_0-9]+)",\s*[A-Z0-9]+,\s*AT\(\w+\),\s*"([^"]*)"/g' lib/cfg.c | LC_ALL=C sort
}

check_variables() {
    local status=0 difference
    variables | sed 's/ $//' >"$work/code"
    [[ -s $work/code ]] || die "no variable found in lib/cfg.c: has the table another form now?"
    sed -n 's/^#\{0,1\}\([A-Z][A-Z_0-9]*\)=\(.*\)$/\1 \2/p' .env.example | sed 's/ $//' | LC_ALL=C sort >"$work/example"
    perl -ne 'print "$1 $2\n" if /^\| `([A-Z][A-Z_0-9]*)` \|\s*`?([^`|]*?)`?\s*\|/' docs/settings.md | sed 's/ *$//' | LC_ALL=C sort >"$work/setup"
    difference=$(diff --label lib/cfg.c --label .env.example -U0 "$work/code" "$work/example") || { say "$difference"; status=1; }
    difference=$(diff --label lib/cfg.c --label docs/settings.md -U0 "$work/code" "$work/setup") || { say "$difference"; status=1; }
    return "$status"
}

start_database() {
    PGHOST=$(scripts/cluster.sh start "$work/cluster" --fast)
    export PGHOST PGPORT=5432 PGUSER=postgres PGDATABASE=kiln
    unset DATABASE_URL
    psql -X -q -d postgres -c 'create database kiln'
    scripts/migrate.sh >/dev/null
}

# What the schema kiln has for people, as scripts/console.pl reads it.
console() {
    psql -X -At -F $'\t' <<'SQL' | scripts/console.pl docs/console.tasks
select kind, name, arguments, replace(comment, E'\n', '\n')
  from (select 'function' as kind, p.proname as name, obj_description(p.oid, 'pg_proc') as comment,
               regexp_replace(replace(replace(replace(pg_get_function_arguments(p.oid), 'timestamp with time zone', 'timestamptz'),
                                              'DEFAULT', 'default'), 'NULL', 'null'), '::[a-z_.]+', '', 'g') as arguments
          from pg_proc p where p.pronamespace = 'kiln'::regnamespace
        union all
        select 'view', c.relname, obj_description(c.oid, 'pg_class'), ''
          from pg_class c where c.relnamespace = 'kiln'::regnamespace and c.relkind = 'v') e
 order by 1, 2, 3;
SQL
}

states() {
    cat <<'TOP'
# States

Made by `make docs` from the tables of legal moves (`kiln.job_move`, `kiln.task_move`) and from the guards; do
not edit. An UPDATE of a state is the transition. A move that is not listed here is refused with SQLSTATE
KN001, for every role.
TOP
    for what in job task; do
        printf '\n## The moves of a %s\n\n```mermaid\nstateDiagram-v2\n' "$what"
        psql -X -At -c "select format('    [*] --> %s', enum_first(null::kiln.${what}_state))
                        union all
                        select line from (select format('    %s --> %s : %s', from_state, to_state, event) as line from kiln.${what}_move order by from_state, to_state) m
                        union all
                        select format('    %s --> [*]', s) from (select to_state as s from kiln.${what}_move except select from_state from kiln.${what}_move order by s) x"
        printf '```\n\n| from | event | to |\n| --- | --- | --- |\n'
        psql -X -At -c "select format('| %s | %s | %s |', from_state, event, to_state) from kiln.${what}_move order by from_state, to_state"
    done
    cat <<'TYPED'

## What a person may type

Every column has one answer, for a superuser too. An UPDATE of it is performed, or refused with the function
to call, or free, because whatever reads the row reads the new value. `tests/sql/behaviour/columns.sql`
lists and tries them all.

| typed | what happens |
| --- | --- |
| `update kiln.job set priority = 3 where job_id = …` | its task goes behind the last one of its account at that priority; its later stages have it too |
| `update kiln.job set run_at = …` | while the job is queued: its task waits until then; null: it may run now |
| `update kiln.task set due_at = …` | a ready task waits until then, a waiting one is ready then; null: now |
| `update kiln.task set attempts = 0`, `interruptions = 0` | while it waits: counts for the next try; with fewer than two interruptions it is claimed like any other |
| `update kiln.job set state = …`, `kiln.task` | the moves above. Out of `held` to an end, and past a call that may have been paid, only by `kiln.resolve_job()` |
| `update kiln.queue`, `kiln.provider`, `kiln.config`, `kiln.maintenance`, `kiln.provider_limiter` (circuit, pauses) | in force at the next claim, call or tick |
| `delete from kiln.job …` | once it has ended and its calls are settled; its tasks, media and files follow |
| `insert into kiln.job`, `kiln.task`, `kiln.call` | refused: `kiln.enqueue()` |
| `update` or `delete` of events, attempts, the ledger, resolutions; `truncate` of anything | refused |

The guards are ENABLE ALWAYS triggers: `session_replication_role` does not switch them off.
`alter table … disable trigger all` does, and `enable trigger all` after it leaves them ORIGIN.
`kiln.contradictions` names each such trigger with the statement that mends it, and the next upgrade mends it
too. `pg_restore --data-only --disable-triggers` is such a case. A logical subscriber takes the tables alone
(`pg_dump --section=pre-data`), because the guards would fire there.

The guards know Kiln's functions by their role, `kiln_owner`. A repair past the guards begins with
`begin; set local role kiln_owner;`, which takes a superuser or a member of that role. The ledger, the
resolutions and TRUNCATE stay refused even then.

### Tables that functions alone write

| table | instead |
| --- | --- |
TYPED
    psql -X -At -c "select format('| %s | %s |', c.relname, convert_from(substring(t.tgargs for position('\\x00'::bytea in t.tgargs) - 1), 'UTF8'))
                      from pg_trigger t join pg_class c on c.oid = t.tgrelid
                     where t.tgname = 't05_guard_by_hand' order by 1"
    printf '\n### Columns that functions alone write\n\n| table | columns | instead |\n| --- | --- | --- |\n'
    psql -X -At -c "select format('| %s | %s | %s |', c.relname, case when cardinality(t.tgattr) = (select count(*) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) then 'all'
                                  else (select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum = any (t.tgattr)) end,
                                  convert_from(substring(t.tgargs for position('\\x00'::bytea in t.tgargs) - 1), 'UTF8'))
                      from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
                     where p.proname = 'guard_columns' order by 1"
}

case ${1:-} in
    --check)
        status=0
        check_variables || status=1
        if [[ -r db/install.psql ]]; then
            start_database
            states >"$work/states.md"
            diff -q "$work/states.md" docs/states.md >/dev/null || { say "docs/states.md does not show the moves of the database: make docs"; status=1; }
            console >"$work/console.md" || status=1
            diff -q "$work/console.md" docs/console.md >/dev/null || { say "docs/console.md does not show the schema kiln: make docs"; status=1; }
        fi
        exit "$status"
        ;;
    '')
        start_database
        states >"$work/states.md"
        console >"$work/console.md"
        cp "$work/states.md" "$work/console.md" docs/
        say "docs/states.md and docs/console.md written"
        ;;
    *) die "usage: scripts/docs.sh [--check]" ;;
esac

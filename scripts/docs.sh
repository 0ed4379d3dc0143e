#!/usr/bin/env bash
# docs: the pages that repeat what stands elsewhere.
#
#   scripts/docs.sh            writes docs/states.md from the tables of legal moves
#   scripts/docs.sh --check    changes nothing; says where docs/states.md, docs/SETUP.md or .env.example disagree with
#                              the database or with the table of variables in lib/cfg.c
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
    perl -ne 'print "$1 $2\n" if /^\| `([A-Z][A-Z_0-9]*)` \|\s*`?([^`|]*?)`?\s*\|/' docs/SETUP.md | sed 's/ *$//' | LC_ALL=C sort >"$work/setup"
    difference=$(diff --label lib/cfg.c --label .env.example -U0 "$work/code" "$work/example") || { say "$difference"; status=1; }
    difference=$(diff --label lib/cfg.c --label docs/SETUP.md -U0 "$work/code" "$work/setup") || { say "$difference"; status=1; }
    return "$status"
}

states() {
    PGHOST=$(scripts/cluster.sh start "$work/cluster" --fast)
    export PGHOST PGPORT=5432 PGUSER=postgres PGDATABASE=kiln
    unset DATABASE_URL
    psql -X -q -d postgres -c 'create database kiln'
    scripts/migrate.sh >/dev/null
    cat <<'TOP'
# States

Made by `make docs` from the tables of legal moves (`kiln.job_move`, `kiln.task_move`); do not edit. An UPDATE of a state is
the transition: what is not listed here is refused with SQLSTATE KN001, for everybody.
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
}

case ${1:-} in
    --check)
        status=0
        check_variables || status=1
        if [[ -r db/install.psql ]]; then
            states >"$work/states.md"
            diff -q "$work/states.md" docs/states.md >/dev/null || { say "docs/states.md does not show the moves of the database: make docs"; status=1; }
        fi
        exit "$status"
        ;;
    '')
        states >"$work/states.md"
        cp "$work/states.md" docs/states.md
        say "docs/states.md written"
        ;;
    *) die "usage: scripts/docs.sh [--check]" ;;
esac

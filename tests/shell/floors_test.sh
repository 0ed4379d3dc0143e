#!/usr/bin/env bash
# scripts/floors.pl: a circle between modules and an arrow upwards are found by their symbols, wherever someone plants them. TAP on stdout.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
ok() {
    number=$((number + 1))
    if [[ $1 == 0 ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n' "$number" "$2"; sed 's/^/# /' "$work/out"; fi
}
# module FILE TEXT…: its source and its object.
module() {
    mkdir -p "$work/$(dirname "$1")" "$work/obj/$(dirname "$1")"
    printf '%s\n' "${@:2}" >"$work/$1"
    (cd "$work" && gcc -I. -c "$1" -o "obj/${1%.c}.o")
}
floors() { (cd "$work" && "$root/scripts/floors.pl" obj) >"$work/out" 2>&1; }

module lib/base.c 'int base(void) { return 1; }'
module pipeline_runner/exec/proc.c 'int base(void); int proc(void) { return base(); }'
module pipeline_runner/call/tool.c 'int proc(void); int tool(void) { return proc(); }'
module pipeline_runner/call/handlers.c 'int tool(void); int handlers(void) { return tool(); }'
module server/main.c 'int base(void); int proc(void) { return base(); } int main(void) { return proc(); }'
floors
ok $? 'arrows that lead down, and to lib, are well; two programs may each have a function of one name'

module pipeline_runner/call/tool.c 'int proc(void); int handlers(void); int tool(void) { return proc() + handlers(); }'
floors
[[ $? == 1 ]] && grep -q 'circle of 2 modules' "$work/out" && grep -q 'pipeline_runner/call/tool.c needs handlers of pipeline_runner/call/handlers.c' "$work/out"
ok $? 'a planted circle fails, and the symbols on it are named'
module pipeline_runner/call/tool.c 'int proc(void); int tool(void) { return proc(); }'

module pipeline_runner/exec/spawn.c 'int tool(void); int spawn(void) { return tool(); }'
floors
[[ $? == 1 ]] && grep -q '^upward: pipeline_runner/exec/spawn.c needs tool of pipeline_runner/call/tool.c' "$work/out"
ok $? 'a call from a floor to one above it fails, with its symbol'

touch "$work/pipeline_runner/call/tool.h"
module pipeline_runner/exec/spawn.c '#include "pipeline_runner/call/tool.h"' 'int spawn(void) { return 1; }'
floors
[[ $? == 1 ]] && grep -q '^upward: pipeline_runner/exec/spawn.c includes pipeline_runner/call/tool.h' "$work/out"
ok $? 'a header from a floor above fails too, though no symbol shows it'
module pipeline_runner/exec/spawn.c 'int spawn(void) { return 1; }'

module lib/err.c 'int proc(void); int err(void) { return proc(); }'
floors
[[ $? == 1 ]] && grep -q '^upward: lib/err.c needs proc of ' "$work/out"
ok $? 'lib uses no program'
module lib/err.c 'int err(void) { return 1; }'

module pipeline_runner/attic/odd.c 'int odd(void) { return 1; }'
floors
[[ $? == 1 ]] && grep -q 'pipeline_runner/attic/odd.c is on no floor' "$work/out"
ok $? 'a folder that nobody gave a floor is named'
rm -r "$work/pipeline_runner/attic"

rm "$work/obj/lib/err.o"
floors
[[ $? == 2 ]] && grep -q 'is missing: make build' "$work/out"
ok $? 'without its object nothing is said to be well'
printf '1..%d\n' "$number"

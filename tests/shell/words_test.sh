#!/usr/bin/env bash
# What scripts/words.pl refuses and what it lets pass. TAP on stdout.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
number=0
# is WANT CLAIM NAME TEXT: what is said of a file with this name and text, without its folder.
is() {
    local got
    printf '%s\n' "$4" >"$folder/$3"
    got=$(scripts/words.pl "$folder/$3" | sed "s|^$folder/||" | sort -u | paste -sd ';')
    number=$((number + 1))
    if [[ $got == "$1" ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n# have: %s\n# want: %s\n' "$number" "$2" "$got" "$1"; fi
}
is 'a.sql:1: v_floor: write low_watermark' 'a part of a name in SQL is refused' a.sql 'select v_floor from kiln.queue;'
is '' 'a name that only holds the letters is not' a.sql 'select investigate, turned from kiln.queue;'
is '' "PostgreSQL's floor() is not" a.sql 'select floor(1.5);'
is '' 'a comment and a sentence are not' a.sql "select 'a wish of ours'; -- the bell"
is "a.sql:2: parked: write deferred" 'a value of one word is, at its line' a.sql $'select 1,\n \'parked\';'
is 'a.sql:1: tell_members: write emit' 'a verb that begins a function is' a.sql 'select kiln.tell_members(1);'
is 'a.c:1: on_bell: write notify or wakeup' 'a name in C is' a.c 'static void on_bell(void); /* a wish */'
is '' 'a string in C is not' a.c 'puts("the bell");'
is 'wish.c: wish.c: write job_input, user_prompt or request' 'a name of a file is' wish.c ''
printf '1..%d\n' "$number"

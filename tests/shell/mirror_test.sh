#!/usr/bin/env bash
# The tests stand where what they test stands: tests/sql/DOMAIN/NAME.sql is named after a file db/*/DOMAIN/NAME.sql;
# what is of no single file is a behaviour, and lies in tests/sql/behaviour. TAP on stdout.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

strays=''
while IFS= read -r file; do
    name=${file#tests/sql/}
    [[ $name == behaviour/* ]] || compgen -G "db/*/$name" >/dev/null || strays+=" $file"
done < <(find tests/sql -name '*.sql')
claim='a test of SQL is named after a file of db/, or is one of a behaviour'
if [[ -z $strays ]]; then printf 'ok 1 - %s\n' "$claim"; else printf 'not ok 1 - %s\n# %s\n' "$claim" "$strays"; fi
printf '1..1\n'

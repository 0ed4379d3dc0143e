#!/usr/bin/env bash
# What scripts/common.sh promises, and what ./kiln refuses, without starting anything. TAP on stdout.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

ok() {
    number=$((number + 1))
    if [[ $1 == 0 ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n' "$number" "$2"; fi
}
is() {
    [[ $1 == "$2" ]]
    local same=$?
    ok "$same" "$3"
    if ((same)); then printf '#      got: %q\n# expected: %q\n' "$1" "$2"; fi
}
like() {
    [[ $1 == *"$2"* ]]
    local same=$?
    ok "$same" "$3"
    if ((same)); then printf '#  got: %q\n# lacks: %q\n' "$1" "$2"; fi
}
# in_bash SCRIPT: in a shell that has sourced common.sh, with nothing of ours in the environment.
in_bash() { env -i PATH="$PATH" HOME="$work" NO_COLOR=1 bash -c "set -euo pipefail; source '$root/scripts/common.sh'; $1" 2>&1; }
kiln() { env -i PATH="$PATH" HOME="$work" NO_COLOR=1 KILN_HOME="$work/home" "$@" 2>&1; }

# --- .env -----------------------------------------------------------------------------------------------------------------
cat >"$work/env" <<'ENV'
# a comment
KILN_PORT=9000
export KILN_BIND = wrong
ENV
like "$(in_bash "load_env '$work/env'")" 'line 3' 'a line that is not KEY=VALUE is refused with its number'

cat >"$work/env" <<'ENV'
KILN_PORT=9000   # a comment after the value
KILN_PUBLIC_URL="https://kiln.example/#top"
KILN_RUNNER_NAME='it is $(touch hacked) `touch hacked`'
  export KILN_BIND=0.0.0.0
KILN_JWT_ISSUER=a#b
KILN_RUNNER_QUEUES=
ENV
is "$(in_bash "load_env '$work/env'; echo \"\$KILN_PORT\"")" 9000 'a comment after a value is no part of it'
is "$(in_bash "load_env '$work/env'; echo \"\$KILN_PUBLIC_URL\"")" 'https://kiln.example/#top' 'quotes are taken off, and # inside them stays'
# shellcheck disable=SC2016
is "$(cd "$work" && in_bash "load_env '$work/env'; echo \"\$KILN_RUNNER_NAME\"")" 'it is $(touch hacked) `touch hacked`' 'a command in a value is text'
ok "$([[ ! -e $work/hacked ]]; echo $?)" 'and is not run'
is "$(in_bash "load_env '$work/env'; echo \"\$KILN_BIND\"")" 0.0.0.0 'export before a key is allowed'
is "$(in_bash "load_env '$work/env'; echo \"\$KILN_JWT_ISSUER\"")" 'a#b' 'a # inside a word is part of the value'
is "$(in_bash "load_env '$work/env'; echo \"[\$KILN_RUNNER_QUEUES]\"")" '[]' 'an empty value is empty'
is "$(in_bash "export KILN_PORT=1; load_env '$work/env'; echo \"\$KILN_PORT\"")" 1 'the environment wins over the file'
is "$(in_bash "export KILN_PORT=; load_env '$work/env'; echo \"[\$KILN_PORT]\"")" '[]' 'also where it is empty there'
printf 'KILN_PORT=9000\r\nKILN_BIND=::1' >"$work/env"
is "$(in_bash "load_env '$work/env'; echo \"\$KILN_PORT \$KILN_BIND\"")" '9000 ::1' 'CRLF and a last line without an end are fine'
printf 'LD_PRELOAD=/tmp/x.so\n' >"$work/env"
like "$(in_bash "load_env '$work/env'")" 'LD_PRELOAD is not a variable of Kiln' 'what is no variable of ours is refused by name'
printf 'REPLICATE_API_TOKEN=r8_x\nACME_WEBHOOK_SECRET=whsec_y\n' >"$work/env"
is "$(in_bash "load_env '$work/env'; echo \"\$REPLICATE_API_TOKEN \$ACME_WEBHOOK_SECRET\"")" 'r8_x whsec_y' 'secrets of providers are taken, whatever the provider is called'
printf 'KILN_BIND="open\n' >"$work/env"
like "$(in_bash "load_env '$work/env'")" 'the quote of KILN_BIND is not closed' 'an open quote is refused'

# --- processes ------------------------------------------------------------------------------------------------------------
sleep 30 &
waiter=$!
is "$(in_bash "process_stamp $waiter >'$work/pid'; is_running '$work/pid' && echo \$pid")" "$waiter" 'a process is known again by pid and start time'
sed -i 's/^\([0-9]*\) [0-9]*/\1 1/' "$work/pid"
is "$(in_bash "is_running '$work/pid' || echo no")" no 'another process under the same number is not taken for ours'
kill "$waiter"
wait "$waiter" 2>/dev/null
is "$(in_bash "is_running '$work/nothing' || echo no")" no 'no file, no process'

# --- token ----------------------------------------------------------------------------------------------------------------
# RFC 7515, appendix A.1, has another header; this one was computed with openssl: see the command.
token=$(kiln KILN_JWT_SECRET=0123456789abcdef0123456789abcdef "$root/kiln" token --sub 'me "and" ü' --role admin --ttl 60)
is "$(tr -cd . <<<"$token" | wc -c)" 2 'a token has three parts'
signature=$(printf '%s' "${token%.*}" | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef -binary | openssl base64 -A | tr '+/' '-_' | tr -d '=')
is "${token##*.}" "$signature" 'its signature is what openssl computes'
payload=$(cut -d. -f2 <<<"$token" | perl -MMIME::Base64=decode_base64url -e 'print decode_base64url(<STDIN>)')
like "$payload" '"sub":"me \"and\" ü"' 'the subject is JSON, whatever it holds'
like "$payload" '"role":"admin"' 'the role is in it'
is "$(perl -MJSON::PP -e '$c = decode_json(<STDIN>); print $c->{exp} - $c->{iat}' <<<"$payload")" 60 'it lives as long as asked'
like "$(kiln KILN_JWT_SECRET=x "$root/kiln" token --sub a --role king)" 'user or admin' 'another role is refused'
like "$(kiln KILN_JWT_SECRET=x "$root/kiln" token)" 'usage' 'a token needs a subject'
like "$(kiln "$root/kiln" token --sub a)" 'no KILN_JWT_SECRET' 'without a secret there is no token'

# --- refusals -------------------------------------------------------------------------------------------------------------
like "$(kiln KILN_PORT=80x "$root/kiln" status)" 'KILN_PORT must be a number' 'a port that is none is refused'
kiln "$root/kiln" fly >"$work/out"
is $? 64 'an unknown command ends with 64'
like "$(cat "$work/out")" './kiln COMMAND' 'and shows those there are'
like "$(kiln "$root/kiln" psql)" 'not running' 'psql says when there is no database'
is "$(kiln "$root/kiln" down)" 'Kiln is not running' 'down twice is fine'
ok "$([[ ! -e $work/home ]]; echo $?)" 'what only looks makes no folder'
like "$(env -i PATH="$PATH" NO_COLOR=1 DATABASE_URL='postgres://u:secret@h/db' "$root/scripts/migrate.sh" 2>&1)" 'PGPASSFILE' 'a password in DATABASE_URL is refused, since it would stand in ps'
like "$(bash "$root/scripts/deps.sh" --list demo test)" 'postgresql-15-pgtap' 'deps lists what it would install'
printf '1..%d\n' "$number"

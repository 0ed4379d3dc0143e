#!/usr/bin/env bash
# ./kiln with the real programs, from a checkout whose path holds spaces, beside whatever else runs. TAP on stdout.
# TEST_HOME is a folder of the run's own, TEST_BUILD where the programs were built (tests/run sets both).
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
unset "${!KILN_@}" "${!PG@}" DATABASE_URL
work=$(mktemp -d "${TEST_HOME:-/tmp}/stack-XXXXXX")
chmod 0755 "$work"
tree="$work/a folder with spaces/kiln"
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
skip() { number=$((number + 1)); printf 'ok %d - %s # skip %s\n' "$number" "$1" "$2"; }
pid_of() { cut -d ' ' -f 1 "$home/pid/$1" 2>/dev/null; }
alive() { kill -0 "$1" 2>/dev/null && [[ $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) != Z ]]; }

mkdir -p "$tree/build"
(cd "$root" && cp -a kiln Makefile VERSION scripts db migrations "$tree/" && cp -a "${TEST_BUILD:-build}"/bin "$tree/build/bin")
cd "$tree" || exit 1
home=$tree/.kiln
KILN_PORT=$(free_port)
export KILN_PORT NO_COLOR=1
base=http://127.0.0.1:$KILN_PORT
cleanup() {
    ./kiln down >/dev/null 2>&1
    KILN_HOME=.other ./kiln down >/dev/null 2>&1
    KILN_HOME=$work/closed/home ./kiln down >/dev/null 2>&1
    if [[ -n ${moved:-} && $moved == /var/lib/kiln-* ]]; then rm -rf "$moved"; fi
    if [[ -n ${small:-} ]]; then umount "$small" 2>/dev/null; fi
    if [[ -n ${waiter:-} ]]; then kill "$waiter" 2>/dev/null; fi
    cd / && rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# --- up -------------------------------------------------------------------------------------------------------------------
out=$(./kiln up 2>&1)
ok $? 'up from nothing ends well, below a folder with spaces' "$out"
like "$out" "$base" 'and prints the address'
is "$(curl -s -o /dev/null --noproxy '*' -w '%{http_code}' "$base/readyz")" 200 '/readyz is green when up returns'
first="$(pid_of server) $(pid_of runner-1) $(pid_of runner-2)"
out=$(./kiln up 2>&1)
ok $? 'up again ends well' "$out"
is "$(pid_of server) $(pid_of runner-1) $(pid_of runner-2)" "$first" 'and starts nothing anew'
out=$(./kiln status)
ok $? 'status ends with 0 while all is well' "$out"
like "$out" runner-2 'and shows both runners'
like "$(KILN_PORT=1 ./kiln status)" "$base/readyz: {" 'it asks the server of its own folder, whatever port the environment names'
is "$(./kiln psql -X -At -c "select count(*) from kiln.migration where number = 1")" 1 'psql opens the database; the first migration is recorded'
is "$(./kiln migrate)" 'database: up to date' 'a migration with nothing to do does nothing'

# --- secrets --------------------------------------------------------------------------------------------------------------
is "$(stat -c %a "$home/secrets.env" "$home/pgpass" | tr '\n' ' ')" '600 600 ' 'secrets are readable by their owner alone'
secrets=$(sed -n 's/^KILN_[A-Z_]*=//p' "$home/secrets.env"; cut -d: -f5 "$home/pgpass")
is "$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -cFf <(printf '%s\n' "$secrets") || true)" 0 'no secret stands on a command line'
is "$(grep -lFf <(printf '%s\n' "$secrets") "$home"/log/*.log | wc -l)" 0 'nor in a log'
code=$(curl -s -o /dev/null --noproxy '*' -w '%{http_code}' -H "Authorization: Bearer $(./kiln token --sub tester)" "$base/api/v1/generations")
is "$code" 200 'a token of ./kiln token is accepted'
code=$(curl -s -o /dev/null --noproxy '*' -w '%{http_code}' -H "Authorization: Bearer $(KILN_JWT_SECRET=00000000000000000000000000000000 ./kiln token --sub tester)" "$base/api/v1/generations")
is "$code" 401 'one signed with another secret is not'
if [[ $EUID -eq 0 ]]; then
    is "$(stat -c %U "/proc/$(pid_of server)" "/proc/$(pid_of runner-1)" | sort -u)" postgres 'as root the programs run as another user'
else
    skip 'as root the programs run as another user' 'not root'
fi

# --- scale, death ---------------------------------------------------------------------------------------------------------
out=$(./kiln scale runner 4 2>&1)
ok $? 'scale runner 4' "$out"
alive "$(pid_of runner-4)"
ok $? 'starts runner-4'
./kiln up >/dev/null 2>&1
alive "$(pid_of runner-4)"
ok $? 'which a later up keeps'
fourth=$(pid_of runner-4)
./kiln scale runner 1 >/dev/null 2>&1
is "$(find "$home/pid" -name 'runner-*' ! -name '*.print' | wc -l)" 1 'scale runner 1 ends the others'
alive "$fourth"
is $? 1 'for good'
kill -KILL "$(pid_of runner-1)"
for _ in {1..40}; do alive "$(pid_of runner-1)" || break; sleep 0.05; done
out=$(./kiln status)
is $? 3 'status ends with 3 when a runner has died'
like "$out" died 'and says so'
./kiln up >/dev/null 2>&1
alive "$(pid_of runner-1)"
ok $? 'up starts it again'
before=$(pid_of server)
export KILN_LOG_LEVEL=debug ACME_API_TOKEN=for-runners ACME_WEBHOOK_SECRET=for-the-server KILN_PUBLIC_URL=https://kiln.example:8443/base/
out=$(./kiln up 2>&1)
like "$out" 'has changed' 'up with another configuration says that it starts anew'
[[ $(pid_of server) != "$before" ]]
ok $? 'and does'
secrets_of() { tr '\0' '\n' <"/proc/$(pid_of "$1")/environ" | sed -nE 's/^(KILN_JWT_SECRET|KILN_ADMIN_KEY|ACME_[A-Z_]*)=.*/\1/p' | sort | tr '\n' ' '; }
is "$(secrets_of server)" 'ACME_WEBHOOK_SECRET KILN_ADMIN_KEY KILN_JWT_SECRET ' 'the server is given what tells who is asking, and no key of a provider'
is "$(secrets_of runner-1)" 'ACME_API_TOKEN ' 'a runner is given keys of providers, and nothing with which to act as anybody'
public_url() { ./kiln psql -X -At -c "select coalesce(public_url, 'none') from kiln.config"; }
is "$(public_url)" https://kiln.example:8443/base 'KILN_PUBLIC_URL is where providers send webhooks'
unset KILN_LOG_LEVEL ACME_API_TOKEN ACME_WEBHOOK_SECRET KILN_PUBLIC_URL
./kiln migrate >/dev/null
is "$(public_url)" https://kiln.example:8443/base 'which stays where it is not set'
for bad in kiln.example ftp://kiln.example 'https://a b' 'https://user:pass@kiln.example' 'https://kiln.example/?x=1' "https://kiln.example/'" 'https://kiln.example:123456'; do
    like "$(KILN_PUBLIC_URL=$bad ./kiln migrate 2>&1)" 'KILN_PUBLIC_URL must be' "$bad is refused"
done
KILN_PUBLIC_URL='' ./kiln migrate >/dev/null
is "$(public_url)" none 'and an empty one takes it away'
webhook_hosts() { ./kiln psql -X -At -c "select webhook_hosts from kiln.config"; }
KILN_WEBHOOK_HOSTS='127.0.0.1:9000, *.house.example' ./kiln migrate >/dev/null
is "$(webhook_hosts)" '127.0.0.1:9000,*.house.example' 'KILN_WEBHOOK_HOSTS is where webhooks of users may go beside the public internet'
for bad in http://a.example 'a b' 'a,' "a'" 'a:123456' '*'; do
    like "$(KILN_WEBHOOK_HOSTS=$bad ./kiln migrate 2>&1)" 'KILN_WEBHOOK_HOSTS must be' "$bad is refused"
done
is "$(webhook_hosts)" '127.0.0.1:9000,*.house.example' 'and changes nothing'
KILN_WEBHOOK_HOSTS='' ./kiln migrate >/dev/null
is "$(webhook_hosts)" '' 'an empty one is nowhere'
code=$(curl -s -o /dev/null --noproxy '*' -w '%{http_code}' -H "X-API-Key: $(sed -n 's/^KILN_ADMIN_KEY=//p' "$home/secrets.env")" "$base/api/v1/admin/jobs")
is "$code" 200 'the admin key that up has made opens administration'
./kiln up >/dev/null 2>&1

# --- refusals -------------------------------------------------------------------------------------------------------------
out=$(KILN_HOME=.other ./kiln up 2>&1)
is $? 1 'a second stack on the same port is refused'
like "$out" "port $KILN_PORT is taken by kiln-server (pid $(pid_of server))" 'with the name of who has it'
exec 8<>"$home/lock"
flock 8
like "$(./kiln up 2>&1)" 'another ./kiln is changing this stack' 'two at a time are refused'
exec 8>&-
like "$(KILN_NO_SUCH=1 KILN_HOME=.other KILN_PORT=$(free_port) ./kiln up 2>&1)" KILN_NO_SUCH 'an unknown variable is named'
if [[ $EUID -eq 0 ]]; then
    small=$work/small
    mkdir "$small"
    if mount -t tmpfs -o size=100m,mode=0755 tmpfs "$small" 2>/dev/null; then
        like "$(KILN_HOME=$small/home KILN_PORT=$(free_port) ./kiln up 2>&1)" 'MB are free' 'a full disk is named before anything is written'
        umount "$small"
    else
        skip 'a full disk is named before anything is written' 'mount is not permitted'
    fi
    mkdir -p "$work/closed/home"
    chmod 0700 "$work/closed"
    out=$(KILN_HOME=$work/closed/home KILN_PORT=$(free_port) ./kiln up 2>&1)
    ok $? 'a home below a folder that the other user may not enter works' "$out"
    moved=$(readlink -f "$work/closed/home")
    like "$moved" /var/lib/kiln- 'since it is a link to a folder under /var/lib'
    KILN_HOME=$work/closed/home ./kiln down >/dev/null 2>&1
else
    skip 'a full disk is named before anything is written' 'not root'
    skip 'a home below a folder that the other user may not enter works' 'not root'
    skip 'since it is a link to a folder under /var/lib' 'not root'
fi

# --- down -----------------------------------------------------------------------------------------------------------------
./kiln psql -X -q -c "create table public.kept (a int); insert into public.kept values (7)" 2>/dev/null
sleep 60 &
waiter=$!
printf '%s 1 %s\n' "$waiter" "$(</proc/sys/kernel/random/boot_id)" >"$home/pid/runner-9"
pids="$(pid_of server) $(pid_of runner-1) $(head -n 1 "$home/pg/postmaster.pid")"
out=$(./kiln down 2>&1)
ok $? 'down ends well' "$out"
alive "$waiter"
ok $? 'and leaves alone a process that got the number of one of ours'
left=0
for pid in $pids; do if alive "$pid"; then left=$((left + 1)); fi; done
is "$left" 0 'nothing of ours is left'
./kiln down >/dev/null 2>&1
ok $? 'down again ends well'
out=$(./kiln status)
is $? 3 'status of a stopped stack ends with 3'
perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die; $SIG{ALRM} = sub { exit }; alarm 60; print "here\n"; close STDOUT; $s->accept; print STDERR "asked\n"' "$KILN_PORT" >"$work/listens" 2>"$work/asked" &
stranger=$!
until [[ -s $work/listens ]] || ! alive "$stranger"; do sleep 0.05; done
out=$(./kiln status)
kill "$stranger" 2>/dev/null
is "$(<"$work/asked")" '' 'and asks nobody, though another listens at its port'
wait "$stranger" 2>/dev/null
out=$(./kiln up 2>&1)
ok $? 'up after down' "$out"
is "$(./kiln psql -X -At -c 'select a from public.kept' 2>&1)" 7 'finds the data as they were'
printf '1..%d\n' "$number"

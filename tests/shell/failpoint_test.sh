#!/usr/bin/env bash
# Fail points stand wherever a program can die between two things that must agree: before each statement and each network
# or disk step, and where each statement's answer is read. TAP on stdout.
#
# It reads the source as text: a step needs a FAILPOINT in the twelve lines above it, and the function that a statement's
# answer goes to needs one among its first eight. Whoever adds a step is told here which line lacks its place.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
number=0
# empty TEXT CLAIM: the claim holds when nothing was found.
empty() {
    number=$((number + 1))
    if [[ -z $1 ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n' "$number" "$2"; printf '# %s\n' "${1//$'\n'/$'\n# '}"; fi
}
mapfile -t sources < <(find lib server pipeline_runner -name '*.c' ! -name failpoint.c | LC_ALL=C sort)

# shellcheck disable=SC2016  # perl's own variables
steps='db_send|PQconnectStartParams|PQsendQueryPrepared|send|sendmsg|renameat|curl_multi_add_handle|MHD_queue_response'
bare=$(perl -e '
    my $steps = shift;
    for my $file (@ARGV) {
        open my $in, "<", $file or die $file;
        my @lines = <$in>;
        for my $i (0 .. $#lines) {
            my $line = $lines[$i];
            $line =~ s{/\*.*?\*/|"[^"]*"|//.*}{}g;
            my ($step) = $line =~ /(?<![\w.>])($steps)\(/ or next;
            next if $line =~ /^(?:[a-z].*\b)?(?:$steps)\(/;                 # where it is defined
            my $from = $i < 12 ? 0 : $i - 12;
            my $near = join "", @lines[$from .. $i];
            $near =~ s/.*^\}$//ms;                                         # not one of the function before
            print "$file:", $i + 1, ": $step without a fail point above it\n" unless $near =~ /FAILPOINT/;
        }
    }' "$steps" "${sources[@]}")
empty "$bare" 'every statement, every request and every step in the store has a fail point before it'

deaf=$(perl -0777 -ne '
    while (/db_send\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)/g) {
        my @arguments = map { s/^\s+|\s+$//gr } split /,(?![^()]*\))/, $1;
        my $reply = $arguments[3] // next;
        next unless $reply =~ /^\w+$/ and $reply ne "on_reply";
        print "$ARGV: $reply() reads an answer and has no fail point\n"
            unless /^static void $reply\(void \*ctx, PGresult[^\n]*\)\n\{\n(?:[^\n]*\n){0,8}?[^\n]*FAILPOINT/m
                or /^static void $reply\(void \*ctx, PGresult[^\n]*\n[^\n]*\)\n\{\n(?:[^\n]*\n){0,8}?[^\n]*FAILPOINT/m;
    }' "${sources[@]}" | LC_ALL=C sort -u)
empty "$deaf" 'every answer of the database is read at a fail point'

used=$(grep -hoE 'FAILPOINT(_FAILS)?\("[^"]+"' "${sources[@]}" | sed 's/.*"\(.*\)"/\1/' | LC_ALL=C sort -u)
defined=$(sed -n 's/^FAILPOINT_DEF("\([^"]*\)".*/\1/p' lib/failpoints.def | LC_ALL=C sort)
empty "$(comm -13 <(printf '%s\n' "$used") <(printf '%s\n' "$defined"))" 'every name in lib/failpoints.def is used'
empty "$(comm -23 <(printf '%s\n' "$used") <(printf '%s\n' "$defined"))" 'every name that is used is in lib/failpoints.def'
empty "$(uniq -d <<<"$defined")" 'no name is there twice'
empty "$(grep '^FAILPOINT_DEF' lib/failpoints.def | grep -vE '^FAILPOINT_DEF\("[a-z_.]+", +"(lib|runner|server)", "[^"]+"\)$')" 'every row says where it is and what is committed or sent there'
wrong=$(for name in $used; do
    at=$(grep -lE "FAILPOINT(_FAILS)?\(\"$name\"" "${sources[@]}" | sed 's,/.*,,; s/pipeline_runner/runner/' | sort -u)
    grep -qE "^FAILPOINT_DEF\(\"$name\", +\"$at\"" lib/failpoints.def || printf '%s is in %s\n' "$name" "$at"
done)
empty "$wrong" 'every name stands in the program that its row names'
if [[ -x build/bin/kiln-runner ]]; then
    empty "$(grep -c 'KILN_FAILPOINT' build/bin/kiln-runner build/bin/kiln-server | grep -v ':0$')" 'the programs that people use have none of it'
fi
printf '1..%d\n' "$number"

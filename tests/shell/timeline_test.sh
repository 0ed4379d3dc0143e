#!/usr/bin/env bash
# scripts/timeline.pl: what the demo says of a stream, whatever the stream does. TAP on stdout.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
ok() {
    number=$((number + 1))
    if [[ $1 == 0 ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n' "$number" "$2"; fi
}
event() { printf 'event: %s\ndata: {"type":"%s","job_id":"%s"%s}\n\n' "$1" "$1" "$2" "${3:-}"; }
timeline() { "$root/scripts/timeline.pl" "$1" "$work/jobs" >"$work/out" 2>&1; }

printf '11 image\n12 audio\n' >"$work/jobs"
{
    printf ': heartbeat\n\nevent: ready\r\ndata: {"type":"ready"}\r\n\r\n'
    event job.queued 11
    event job.completed 99
    event job.progress 11 ',"progress":{"fraction":0.5,"label":"generate"}'
    event job.completed 11
    event job.completed 12
} | timeline 5
ok $? 'ends well when all jobs of the list have completed'
[[ -e $work/jobs.ready ]]
ok $? 'says that the stream is ready by a file'
grep -q '██████████░░░░░░░░░░  50 %  generate' "$work/out"
ok $? 'draws progress'
! grep -q 99 "$work/out" && [[ $(grep -c completed "$work/out") == 2 ]]
ok $? 'shows no job that is not on the list'

{ event job.completed 11; event job.failed 12 ',"error":{"message":"no voice"}'; } | timeline 5
[[ $? == 1 ]] && grep -q 'failed.*: no voice' "$work/out"
ok $? 'ends badly when one failed, with its reason'

event job.completed 11 | timeline 5
[[ $? == 1 ]] && grep -q 'the stream ended too early: no end of audio' "$work/out"
ok $? 'a stream that ends early is named, with what is missing'

{ event job.completed 11; sleep 3; } | timeline 1
[[ $? == 1 ]] && grep -q 'waited 1 s: no end of audio' "$work/out"
ok $? 'a stream that says nothing more is given up'

rm "$work/jobs"
{ event job.completed 11; event job.completed 12; (sleep 0.3; printf '11 image\n12 audio\n' >"$work/jobs"); sleep 1; } | timeline 5
ok $? 'events that come before the list is known are not lost'
printf '1..%d\n' "$number"

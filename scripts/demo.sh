#!/usr/bin/env bash
# demo: from a fresh checkout to three results. Installs what is missing, builds, starts the stack, asks for one image,
# one video and one recording over REST, shows the event stream while they are made, checks that each opens. Leaves the
# stack running and asks nothing. Not 0 when a result is missing or does not open.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"
began=$EPOCHREALTIME

step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

step "1  Packages and programs"
at=$EPOCHREALTIME
scripts/deps.sh demo
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -j "$(nproc)" build
say "   ready ($(seconds_since "$at") s)"

step "2  The stack: PostgreSQL, kiln-server, kiln-runner"
at=$EPOCHREALTIME
./kiln up | sed 's/^/   /'
say "   ($(seconds_since "$at") s)"

load_env "$root/.env"
home=${KILN_HOME:-.kiln}
[[ $home == /* ]] || home=$root/$home
address=${KILN_BIND:-127.0.0.1}
[[ $address == 0.0.0.0 || $address == '::' ]] && address=127.0.0.1
[[ $address == *:* ]] && address="[$address]"
server=http://$address:${KILN_PORT:-8080}
api=$server/api/v1

# The token stands in a file, since a command line can be read by everybody on the machine.
work=$(mktemp -d)
stream=''
cleanup() {
    if [[ -n $stream ]]; then kill "$stream" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT
printf 'Authorization: Bearer %s\n' "$(./kiln token --sub demo --ttl 3600)" >"$work/auth"

# field PATH: a value out of the JSON on stdin, `outputs.0.url` style; nothing when it is not there.
field() {
    perl -MJSON::PP -0777 -e '
        my $v = eval { decode_json(<STDIN>) };
        for my $k (split /\./, shift) { $v = ref $v eq "ARRAY" ? $v->[$k] : ref $v eq "HASH" ? $v->{$k} : undef }
        print $v if defined $v && !ref $v' "$1"
}
request() { curl -sS --noproxy '*' --max-time 30 -H "@$work/auth" "$@"; }

generate() {
    local type=$1 prompt=$2 answer id
    answer=$(request -H 'Content-Type: application/json' -d "{\"type\": \"$type\", \"prompt\": \"$prompt\"}" "$api/generate")
    id=$(field id <<<"$answer")
    [[ -n $id ]] || die "POST /generate ($type) was refused: $answer"
    printf '%s %s\n' "$id" "$type"
}

step "3  Three requests, and what becomes of them (GET /api/v1/events)"
# The stream first, then the requests: nothing can be missed.
: >"$work/errors"
curl -sSN --noproxy '*' -H "@$work/auth" "$api/events" 2>"$work/errors" > >(scripts/timeline.pl 120 "$work/jobs"; printf '%s' $? >"$work/end") &
stream=$!
for _ in {1..200}; do
    [[ -e $work/jobs.ready || -e $work/end ]] && break
    sleep 0.05
done
[[ -e $work/jobs.ready ]] || die "the event stream did not open: $(head -n 1 "$work/errors")"
{
    generate image 'a lighthouse above the sea at dusk'
    generate video 'clouds over green hills in the morning'
    generate audio 'Hello. This recording came out of a queue made of nothing but PostgreSQL and two small programs.'
} >"$work/jobs.part"
mv "$work/jobs.part" "$work/jobs"
for _ in {1..2600}; do
    [[ -s $work/end ]] && break
    sleep 0.05
done
[[ $(cat "$work/end" 2>/dev/null) == 0 ]] || die "not every job came to a good end: ./kiln logs shows more"

step "4  The results"
mkdir -p "$home/demo"
home=$(cd "$home" && pwd)
shown=${home#"$root"/}
failures=0
while read -r id type; do
    job=$(request "$api/generations/$id")
    url=$(field outputs.0.url <<<"$job")
    media_type=$(field outputs.0.content_type <<<"$job")
    [[ -n $url ]] || { warn "   $type: job $id is completed but names no result"; failures=1; continue; }
    [[ $url == /* ]] && url=$server$url
    case $media_type in
        image/png) suffix=png ;; image/jpeg) suffix=jpg ;; image/webp) suffix=webp ;;
        video/mp4) suffix=mp4 ;; video/webm) suffix=webm ;;
        audio/mpeg) suffix=mp3 ;; audio/*wav) suffix=wav ;; audio/ogg) suffix=ogg ;; audio/mp4) suffix=m4a ;;
        *) suffix=bin ;;
    esac
    file=$home/demo/$type.$suffix
    if ! curl -sSf --noproxy '*' --max-time 60 -o "$file" "$url"; then
        warn "   $type: cannot fetch $url"
        failures=1
        continue
    fi
    # Opens, and is what it should be: read the whole of it, not only its first bytes.
    streams=$(ffprobe -v error -show_entries stream=codec_type,codec_name,width,height:format=duration -of default=nw=1 "$file" 2>&1 </dev/null || true)
    case $type in audio) need='codec_type=audio' ;; *) need='codec_type=video' ;; esac
    if [[ $streams != *"$need"* ]] || ! ffmpeg -nostdin -v error -xerror -i "$file" -f null - 2>"$work/decode" || [[ -s $work/decode ]]; then
        warn "   $type: $file does not open: $(head -n 1 "$work/decode" 2>/dev/null) $streams"
        failures=1
        continue
    fi
    facts=$(awk -F= -v type="$type" '$2 == "N/A" { next } { f[$1] = $2 } END {
        if (type != "audio") printf "%sx%s ", f["width"], f["height"]
        printf "%s", f["codec_name"]
        if (type != "image") printf ", %.1f s", f["duration"] }' <<<"$streams")
    printf '   %s%-5s%s  %s%s%s  (%s, %s KiB)\n' "$green" "$type" "$plain" "$bold" "$shown/demo/$type.$suffix" "$plain" "$facts" "$(($(stat -c %s "$file") / 1024))"
    printf '          %s%s%s\n' "$dim" "$url" "$plain"
done <"$work/jobs"
((failures == 0)) || die "a result is missing or does not open (see above)"

read -r first _ <"$work/jobs"
cat <<NEXT

   All three open. They are local samples, drawn by libvips, cut by ffmpeg and spoken by espeak-ng: no AI, no account,
   nothing left this machine. Providers come in by data, not by code.

${bold}Next${plain}
   TOKEN=\$(./kiln token --sub demo)
   curl -H "Authorization: Bearer \$TOKEN" $api/generations/$first
   curl -N -H "Authorization: Bearer \$TOKEN" $api/events
   ./kiln psql -c 'select * from kiln.jobs'
   ./kiln status      ./kiln scale runner 4      ./kiln logs -f      ./kiln down

   $(seconds_since "$began") s in all. The stack is still running.
NEXT

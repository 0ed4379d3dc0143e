#!/usr/bin/env bash
# compose-test: starts compose.yml for real, makes one image through it, kills a runner, and takes all of it down again.
# Where no Docker answers it installs Debian's docker.io and runs a daemon of its own in a folder of its own; where no
# registry answers it makes the base image with debootstrap from this machine's own apt source. At the end the
# bridge, the firewall rules and ip_forward are as they were. Skips (exit 0) when not root.
#
#   scripts/compose-test.sh [--keep-base FILE]     keeps the base image in FILE and takes it from there next time
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"
base_file=''
[[ ${1:-} == --keep-base ]] && base_file=${2:?--keep-base needs a file}
if [[ $EUID -ne 0 ]]; then
    say "SKIP compose-test: needs root, to run a Docker daemon"
    exit 0
fi
began=$EPOCHREALTIME
step() { printf '%7s s  %s\n' "$(seconds_since "$began")" "$*"; }

work='' daemon='' had_forward='' rules='' had_bridge=no project=kiln-test-$$
# Containers must see the checkout without what others leave in it while the test runs.
compose() { COMPOSE_PROJECT_NAME=$project DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 docker-compose -f "$work/src/compose.yml" --project-directory "$work/src" "$@"; }

cleanup() {
    local status=$? left
    trap - EXIT INT TERM
    set +e
    if ((status)); then
        step "failed; the last lines of every container:"
        compose ps
        compose logs --no-color --tail=15 2>/dev/null
    fi
    compose down -v -t 15 >"$work/down.log" 2>&1
    if [[ -n $daemon ]]; then
        kill "$daemon" 2>/dev/null
        for _ in {1..200}; do
            kill -0 "$daemon" 2>/dev/null || break
            sleep 0.1
        done
        # dockerd leaves its bridge, its chains and forwarding switched on.
        if [[ $had_bridge = no ]]; then ip link delete docker0 2>/dev/null; fi
        restore_rules
        printf '%s\n' "$had_forward" >/proc/sys/net/ipv4/ip_forward
        left=$(awk -v d="$work/" 'index($2, d) == 1 { print $2 }' /proc/mounts)
        while read -r mount; do [[ -z $mount ]] || umount "$mount"; done <<<"$left"
        step "Docker daemon stopped, network as before"
    fi
    rm -rf "$work"
    exit "$status"
}

# Tables that were there get their old rules; those that dockerd made are emptied, so that they let everything pass as before.
restore_rules() {
    local table chain
    for table in filter nat; do
        if grep -q "^\*$table\$" "$rules"; then continue; fi
        if [[ $table == filter ]]; then for chain in INPUT FORWARD OUTPUT; do iptables -P "$chain" ACCEPT; done; fi
        iptables -t "$table" -F
        iptables -t "$table" -X
        if have nft; then nft delete table ip "$table"; fi
    done 2>/dev/null
    if [[ -s $rules ]]; then iptables-restore <"$rules" 2>/dev/null; fi
}

work=$(mktemp -d /var/tmp/kiln-compose-XXXXXX)
trap cleanup EXIT
trap 'exit 130' INT TERM

if ! docker info >/dev/null 2>&1; then
    scripts/deps.sh compose
    step "starting a Docker daemon in $work"
    had_forward=$(cat /proc/sys/net/ipv4/ip_forward)
    rules=$work/iptables
    iptables-save >"$rules"
    if ip link show docker0 >/dev/null 2>&1; then had_bridge=yes; fi
    export DOCKER_HOST=unix://$work/docker.sock
    setsid dockerd --data-root "$work/data" --exec-root "$work/exec" -H "$DOCKER_HOST" --pidfile "$work/docker.pid" >"$work/dockerd.log" 2>&1 </dev/null &
    daemon=$!
    for _ in {1..150}; do
        docker info >/dev/null 2>&1 && break
        sleep 0.2
    done
    docker info >/dev/null 2>&1 || { tail -n 15 "$work/dockerd.log" >&2; die "dockerd did not start"; }
else
    have docker-compose || scripts/deps.sh compose
fi
step "$(docker info --format 'Docker {{.ServerVersion}}, {{.Driver}}, cgroups {{.CgroupDriver}}'); $(docker-compose version --short)"

if ! docker image inspect debian:bookworm-slim >/dev/null 2>&1 && ! timeout 20 docker pull -q debian:bookworm-slim >/dev/null 2>&1; then
    if [[ -n $base_file && -s $base_file ]]; then
        docker load -q -i "$base_file" >/dev/null
        step "base image loaded from $base_file"
    else
        mirror=$(awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^(https?|file):/) { print $i; exit } }' \
            /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null)
        [[ -n $mirror ]] || die "no apt source found to make the base image from"
        step "no registry answers: making the base image with debootstrap"
        scripts/deps.sh compose
        debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base" "$mirror" >"$work/debootstrap.log" 2>&1 \
            || { tail -n 5 "$work/debootstrap.log" >&2; die "debootstrap failed"; }
        tar -C "$work/base" --exclude='./var/cache/apt/archives/*.deb' --exclude='./var/lib/apt/lists/*' -c . \
            | docker import -c 'CMD ["bash"]' - debian:bookworm-slim >/dev/null
        rm -rf "$work/base"
        [[ -z $base_file ]] || docker save debian:bookworm-slim | gzip -1 >"$base_file"
    fi
fi

# What is committed or about to be: the files git knows of or would add, as they are now.
mkdir "$work/src"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do [[ -e $file ]] && printf '%s\0' "$file"; done \
    | tar -c --null -T - | tar -x -C "$work/src"
"$work/src/scripts/compose-secrets.sh" >/dev/null
COMPOSE_API_PORT=$(free_port)
COMPOSE_REALTIME_PORT=$(free_port)
export COMPOSE_API_PORT COMPOSE_REALTIME_PORT

step "building the images"
compose build >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log" >&2; die "docker-compose build failed"; }
step "built: $(docker images --format '{{.Repository}} {{.Size}}' | grep '^kiln-' | sort | tr '\n' ',' | sed 's/,$//; s/,/, /g')"
compose up -d >"$work/up.log" 2>&1 || { tail -n 30 "$work/up.log" >&2; die "docker-compose up failed"; }
step "started"

wait_url() {
    for _ in {1..240}; do
        curl -sf --noproxy '*' --max-time 2 "$1" >/dev/null && return
        sleep 0.25
    done
    die "$1 did not become ready"
}
wait_url "http://127.0.0.1:$COMPOSE_API_PORT/readyz"
wait_url "http://127.0.0.1:$COMPOSE_REALTIME_PORT/readyz"
step "api and realtime are ready"

# One generation through the api, its events through the realtime process.
# shellcheck disable=SC1091
printf 'Authorization: Bearer %s\n' "$(KILN_HOME=$work/none KILN_JWT_SECRET=$(sed -n 's/^KILN_JWT_SECRET=//p' "$work/src/secrets/server.env") ./kiln token --sub compose)" >"$work/auth"
field() { perl -MJSON::PP -0777 -e 'my $v = eval { decode_json(<STDIN>) }; for my $k (split /\./, shift) { $v = ref $v eq "ARRAY" ? $v->[$k] : ref $v eq "HASH" ? $v->{$k} : undef } print $v if defined $v && !ref $v' "$1"; }
request() { curl -sS --noproxy '*' --max-time 20 -H "@$work/auth" "$@"; }
api=http://127.0.0.1:$COMPOSE_API_PORT/api/v1
request -N --max-time 60 "http://127.0.0.1:$COMPOSE_REALTIME_PORT/api/v1/events" >"$work/events" 2>/dev/null &
stream=$!
sleep 0.5
make_one() {
    local answer id state=''
    answer=$(request -H 'Content-Type: application/json' -d '{"type": "image", "prompt": "a harbour in the fog"}' "$api/generate")
    id=$(field id <<<"$answer")
    [[ -n $id ]] || die "POST /generate was refused: $answer"
    for _ in {1..240}; do
        answer=$(request "$api/generations/$id")
        state=$(field state <<<"$answer")
        [[ $state == completed || $state == failed ]] && break
        sleep 0.25
    done
    [[ $state == completed ]] || die "the job ended as '$state': $answer"
    request -o "$work/result" "http://127.0.0.1:$COMPOSE_API_PORT$(field outputs.0.url <<<"$answer")"
    step "job $id completed: $(field outputs.0.content_type <<<"$answer"), $(stat -c %s "$work/result") bytes"
}
make_one
# Which sandbox the engine lets the tools have: none with one before 23 (docs/tools.md).
sandboxes=$(compose logs --no-color runner-1 runner-2 2>/dev/null | grep -o '"sandbox":"[^"]*"' | sort | uniq -c | tr -s ' \n' ' ' || true)
[[ -n $sandboxes ]] || die "no runner says which sandbox its tools have"
step "sandboxes of the runners:$sandboxes"
sleep 0.5
kill "$stream" 2>/dev/null || true
grep -q '^event: job.completed' "$work/events" || die "the realtime process sent no job.completed: $(tail -n 5 "$work/events")"
step "the stream told of it: $(grep -c '^event: job' "$work/events") events"

# A runner is killed; the other goes on, and its container comes back by itself.
victim=$(compose ps -q runner-1)
kill -KILL "$(docker inspect -f '{{.State.Pid}}' "$victim")"
make_one
for _ in {1..100}; do
    [[ $(docker inspect -f '{{.RestartCount}} {{.State.Running}}' "$victim") == '1 true' ]] && break
    sleep 0.2
done
[[ $(docker inspect -f '{{.RestartCount}} {{.State.Running}}' "$victim") == '1 true' ]] || die "the killed runner did not come back"
step "runner-1 was killed and is back"
for _ in {1..200}; do
    [[ $(compose ps -q | xargs docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' | grep -cvE 'healthy|none') == 0 ]] && break
    sleep 0.5
done
compose ps
compose up -d >/dev/null 2>&1 || die "a second up failed"
wait_url "http://127.0.0.1:$COMPOSE_API_PORT/readyz"
step "up a second time: still green"
step "compose-test passed"

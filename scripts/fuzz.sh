#!/usr/bin/env bash
# fuzz: runs every libFuzzer program for a few seconds, from its seeds on. A crash leaves its input in build/fuzz/crash.
#
#   scripts/fuzz.sh [SECONDS] [NAME…]        seeds: tests/fuzz/corpus/NAME/; what is learnt: build/fuzz/corpus/NAME/
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"
seconds=${1:-10}
(($#)) && shift
names=("$@")
if ((${#names[@]} == 0)); then
    for file in tests/fuzz/*_fuzz.c; do
        [[ -e $file ]] || continue
        name=${file##*/}
        names+=("${name%_fuzz.c}")
    done
fi
((${#names[@]})) || { say "  no fuzz targets in tests/fuzz"; exit 0; }

failed=()
for name in "${names[@]}"; do
    mkdir -p "build/fuzz/corpus/$name" build/fuzz/crash
    seeds=()
    if [[ -d tests/fuzz/corpus/$name ]]; then seeds=("tests/fuzz/corpus/$name"); fi
    log=build/fuzz/$name.log
    if "build/fuzz/bin/${name}_fuzz" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/crash/$name-" "build/fuzz/corpus/$name" ${seeds[@]+"${seeds[@]}"} >"$log" 2>&1 </dev/null; then
        printf '  ok     fuzz %s: %s runs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    else
        printf '  %sFAILED%s fuzz %s (all of it: %s)\n' "$red" "$plain" "$name" "$log"
        grep -E 'ERROR|SUMMARY|^    #[0-9]|Test unit written' "$log" | head -n 20
        failed+=("$name")
    fi
done
((${#failed[@]} == 0)) || die "fuzz: ${failed[*]} failed"

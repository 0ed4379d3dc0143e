#!/usr/bin/env bash
# lint: reads, changes nothing, and says what to change. --fix lets clang-format set the C files straight instead.
#
#   scripts/lint.sh [--fix] [c] [floors] [tidy] [cpp] [shell] [sql] [domains] [docs] [openapi] [types] [words]     without names: all
#
# C's flags come from the Makefile (CFLAGS), so that clang sees what gcc sees.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"

mapfile -t c_files < <(find lib server pipeline_runner media tests/c tests/fuzz bench -name '*.c' 2>/dev/null | LC_ALL=C sort)
mapfile -t h_files < <(find lib server pipeline_runner media tests/c tests/fuzz bench -name '*.h' 2>/dev/null | LC_ALL=C sort)
mapfile -t bash_files < <(git ls-files --cached --others --exclude-standard -- . | while IFS= read -r file; do
    if [[ -f $file && ( $file == *.sh || $(head -c 40 "$file" | head -n 1 | tr -d '\0') =~ ^\#!.*(bash|/sh) ) ]]; then printf '%s\n' "$file"; fi
done)
read -r -a cflags <<<"${CFLAGS:--std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wshadow -I.}"
cflags+=("-DKILN_VERSION=\"$(<VERSION)\"")
failed=()

# check NAME COMMAND…: one line when it is well, all it said when it is not.
check() {
    local name=$1 out
    shift
    local at=$EPOCHREALTIME
    if out=$("$@" 2>&1); then
        printf '  ok     %s (%s s)\n' "$name" "$(seconds_since "$at")"
    else
        printf '  %sFAILED%s %s\n%s\n' "$red" "$plain" "$name" "$out"
        failed+=("$name")
    fi
}

lint_c() { ((${#c_files[@]})) || return 0; clang-format --dry-run -Werror "${c_files[@]}" ${h_files[@]+"${h_files[@]}"}; }

# By the symbols of build/obj, which make lint builds first.
lint_floors() { scripts/floors.pl; }

system_flags() { pkg-config --cflags libmicrohttpd libpq libjwt jansson libcurl libcrypto nettle libsecp256k1 vips libjpeg | tr ' ' '\n' | sed -n 's/^-I\(.*\)/-isystem\n\1/p'; }

lint_tidy() {
    local system
    ((${#c_files[@]})) || return 0
    mapfile -t system < <(system_flags)
    # A file that was well is not looked at again before it, a header it reads, the flags or .clang-tidy change: what stands for it is the hash
    # of all that the compiler reads. Kept beside git's own things, so that a second checkout has it too; a fresh clone begins with none.
    local passed
    passed=$(realpath "$(git rev-parse --git-common-dir)")/kiln-tidy || return
    mkdir -p "$passed"
    find "$passed" -type f -mtime +14 -delete
    export passed
    # One process a core; their output comes by file, whole.
    # shellcheck disable=SC2016  # the inner shell expands it
    printf '%s\0' "${c_files[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c '
        file=$1; shift
        hash=$({ clang-tidy --version; cat .clang-tidy "$file"; printf "%s " "$@"; gcc -E "$file" "$@"; } 2>&1 | sha256sum | cut -c1-64)
        [[ -e $passed/$hash ]] && exit 0
        out=$(clang-tidy --quiet "$file" -- "$@" 2>&1) && { : >"$passed/$hash"; exit 0; }
        grep -vE "warnings? generated|Suppressed|non-user code" <<<"$out"
        exit 1
    ' - {} "${cflags[@]}" "${system[@]}"
}

# Off: varFuncNullUB (glibc's NULL is a pointer), readdirCalled (one thread; readdir_r is deprecated),
# unknownMacro (jansson's json_array_foreach, whose header it is not given).
lint_cpp() {
    ((${#c_files[@]})) || return 0
    mkdir -p build
    cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppress=missingIncludeSystem --suppress=varFuncNullUB --suppress=readdirCalled --suppress=unknownMacro --suppress='*:/usr/*' --library=posix --library=gnu -j "$(nproc)" -I. -D_GNU_SOURCE -DKILN_VERSION='"0"' "${c_files[@]}"
}

lint_shell() { shellcheck -x "${bash_files[@]}"; }

# plpgsql_check over every function in a cluster of its own. A trigger function is checked once for each table it serves.
lint_sql() {
    [[ -r db/install.psql ]] || return 0
    local work status=0
    work=$(mktemp -d /tmp/kiln-lint-XXXXXX)
    chmod 0755 "$work"
    PGHOST=$(scripts/cluster.sh start "$work/cluster" --fast)
    (
        export PGHOST PGPORT=5432 PGUSER=postgres PGDATABASE=kiln
        unset DATABASE_URL
        psql -X -q -d postgres -c 'create database kiln'
        scripts/migrate.sh >/dev/null
        psql -X -q -At -v ON_ERROR_STOP=1 <<'SQL' >"$work/found"
create extension plpgsql_check;
with routine as (
    select p.oid, coalesce(t.tgrelid, 0) as relation, t.tgoldtable, t.tgnewtable
      from pg_proc p
      join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
      left join (select distinct tgfoid, tgrelid, tgoldtable, tgnewtable from pg_trigger where not tgisinternal and tgparentid = 0) t on t.tgfoid = p.oid
     where p.pronamespace in ('kiln'::regnamespace, 'kiln_internal'::regnamespace, 'kiln_api'::regnamespace, 'kiln_runner'::regnamespace)
       and (p.prorettype <> 'trigger'::regtype or t.tgrelid is not null))
select r.oid::regprocedure || case when r.relation <> 0 then ' on ' || r.relation::regclass else '' end
       || coalesce(':' || c.lineno, '') || ': ' || c.level || ': ' || c.message || coalesce(' (' || c.hint || ')', '')
       || coalesce(E'\n    ' || c.detail, '')
  from routine r
  join pg_proc p on p.oid = r.oid,
       plpgsql_check_function_tb(r.oid, relid => r.relation, oldtable => r.tgoldtable, newtable => r.tgnewtable, fatal_errors => false, performance_warnings => false,
                                 extra_warnings => true, security_warnings => true) c
 where c.level <> 'notice'
   -- a literal that becomes an enum or an array when it is assigned: text is what a literal is
   and coalesce(c.detail, '') not like 'cast "text" value to %'
   -- every route function has the same four parameters, whether it needs them or not
   and not (p.pronamespace = 'kiln_api'::regnamespace and c.message like 'unused parameter "p_%')
 order by 1;
SQL
        psql -X -q -At -c "select count(*) from pg_proc p join pg_language l on l.oid = p.prolang where l.lanname = 'plpgsql' and p.pronamespace::regnamespace::text like 'kiln%'" >"$work/count"
    ) || status=1
    scripts/cluster.sh stop "$work/cluster" immediate
    if [[ -s $work/found ]]; then
        # A finding that is known and right is listed with its reason.
        if [[ -e tests/plpgsql_check.txt ]]; then
            grep -vE '^[[:space:]]*(#|$)' tests/plpgsql_check.txt | sed 's/ *## .*//' >"$work/known"
            grep -vFf "$work/known" "$work/found" || true
        else
            cat "$work/found"
        fi >"$work/new"
        if [[ -s $work/new ]]; then cat "$work/new"; status=1; fi
    fi
    [[ $(cat "$work/count" 2>/dev/null || echo 0) -gt 0 ]] || { echo 'no plpgsql function was found'; status=1; }
    rm -rf "$work"
    return "$status"
}

# The list of variables stands in one table in C; pages that repeat it must agree. Width, length and links of all pages: scripts/pages.mjs.
lint_docs() { scripts/pages.mjs && scripts/docs.sh --check && scripts/types.mjs --check && scripts/openapi.mjs --check && scripts/vendor.sh --check; }
# Two linters of others, by their own rules; what is off and why stands in docs/lint. Both together take some 4 s.
lint_openapi() {
    docs/lint/node_modules/.bin/spectral lint docs/openapi.json --ruleset docs/lint/spectral.yaml --fail-severity=hint --quiet && node docs/lint/redocly.mjs
}
# Names that the field has another word for (docs/glossary.md).
lint_words() { git ls-files -z db migrations scripts docs lib server pipeline_runner media tests/c | xargs -0 scripts/words.pl; }
lint_types() { tests/node_modules/.bin/tsc -p clients/ts; }

if [[ ${1:-} == --fix ]]; then
    if ((${#c_files[@]})); then clang-format -i "${c_files[@]}" ${h_files[@]+"${h_files[@]}"}; fi
    say "C files are formatted; run make lint for the rest"
    exit 0
fi
wanted=("$@")
((${#wanted[@]})) || wanted=(c floors tidy cpp shell sql domains docs openapi types words)
for one in "${wanted[@]}"; do
    case $one in
        c) check 'clang-format' lint_c ;;
        floors) check 'floors' lint_floors ;;
        tidy) check 'clang-tidy' lint_tidy ;;
        cpp) check 'cppcheck' lint_cpp ;;
        shell) check 'shellcheck' lint_shell ;;
        sql) check 'plpgsql_check' lint_sql ;;
        domains) check 'domains of SQL' scripts/domains.pl ;;
        docs) check 'docs' lint_docs ;;
        openapi) check 'spectral and redocly' lint_openapi ;;
        types) check 'tsc' lint_types ;;
        words) check 'words' lint_words ;;
        *) die "there is no check called $one: c, floors, tidy, cpp, shell, sql, domains, docs, openapi, types and words are" ;;
    esac
done
((${#failed[@]} == 0)) || die "lint: ${failed[*]} found something (above)"

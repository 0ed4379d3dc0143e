#!/usr/bin/env bash
# coverage: runs every test with programs that count (FLAVOUR=coverage, built before by make), then prints lines and
# branches of C a file, statements of plpgsql a function, and everything that no test reached, with its reason from
# tests/uncovered.txt. Not 0 when something is uncovered that has no reason there, or a test failed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"

# Second call, from tests/run while its cluster lives: what plpgsql_check's profiler counted, of each database with Kiln.
if [[ ${1:-} == collect ]]; then
    # The profiler's functions come with the extension; what it counted stays in shared memory for each database.
    psql -X -At -d postgres -c "select datname from pg_database where datname like 'kiln%'" | while IFS= read -r name; do
        psql -X -q -At -F $'\t' -v ON_ERROR_STOP=1 -d "$name" <<'SQL' >>build/coverage/plpgsql.tsv
set client_min_messages = warning;
create extension if not exists plpgsql_check;
select p.oid::regprocedure, s.stmtid, s.lineno, s.stmtname, coalesce(s.exec_stmts, 0),
       trim(split_part(p.prosrc, E'\n', s.lineno))
  from pg_proc p
  join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
  cross join lateral plpgsql_profiler_function_statements_tb(p.oid) s
 where p.pronamespace in ('kiln'::regnamespace, 'kiln_internal'::regnamespace, 'kiln_api'::regnamespace, 'kiln_runner'::regnamespace)
   and s.lineno is not null;
SQL
    done
    exit 0
fi

rm -f build/coverage/plpgsql.tsv
mkdir -p build/coverage
# Whoever a test runs a program as must be able to write what it counted: root's stack has a service user. An empty file is
# a new one to gcov.
find build/coverage -name '*.gcno' -print0 | while IFS= read -r -d '' notes; do
    : >"${notes%.gcno}.gcda"
    chmod a+rw "${notes%.gcno}.gcda"
done
status=0
TEST_AFTER='scripts/coverage.sh collect' FLAVOUR=coverage tests/run unit integration || status=$?
printf "\n"
scripts/coverage.pl build/coverage tests/uncovered.txt || status=1
exit "$status"

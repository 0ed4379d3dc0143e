#!/usr/bin/env bash
# migrate: brings one database to the state of this checkout, in one transaction, or leaves it as it was.
#
#   scripts/migrate.sh                    the database named by DATABASE_URL, or by libpq's own PGHOST, PGDATABASE, PGUSER …
#   scripts/migrate.sh --after-restore    and calls kiln.after_restore() if it came here from a backup (docs/backup.md)
#   scripts/migrate.sh --nothing-ran      the same, where nothing ran since the backup was made
#
# A restored database is migrated too; then someone who sits there is asked, and without one of the two it ends with 75.
#
# An empty database gets db/ whole (db/install.psql). An older one gets what it lacks of migrations/, and its code anew:
# views, kiln_api and kiln_runner are dropped first, so that a migration may change what they lean on, and the code of
# db/install.psql is loaded again. A lock of kiln.migration lets one migration run at a time. The database's comment keeps a
# checksum of db/, so that a second run with nothing to do touches nothing, and one of the tables alone, so that new code
# is never put over old tables without a migration between.
# Needs the right to create roles and extensions (a superuser, or the owner on a managed service).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$here/scripts/common.sh"
cd "$here"
after_restore=ask
case ${1:-} in
    '') ;;
    --after-restore) after_restore='' ;;
    --nothing-ran) after_restore='p_nothing_ran => true' ;;
    *) die "usage: scripts/migrate.sh [--after-restore | --nothing-ran]" ;;
esac
have psql || die "psql is not installed: run scripts/deps.sh demo (package postgresql-client-15)"
[[ -r db/install.psql ]] || die "db/install.psql is not there: this checkout is not complete"

# Where providers reach us from outside; empty takes it away, unset leaves it as it is.
if [[ -n ${KILN_PUBLIC_URL:-} ]]; then
    KILN_PUBLIC_URL=${KILN_PUBLIC_URL%/}
    [[ $KILN_PUBLIC_URL =~ ^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$ ]] \
        || die "KILN_PUBLIC_URL must be http(s)://host[:port][/path], without user, query and fragment"
fi
if [[ -n ${KILN_WEBHOOK_HOSTS:-} ]]; then
    KILN_WEBHOOK_HOSTS=${KILN_WEBHOOK_HOSTS//, /,}
    [[ $KILN_WEBHOOK_HOSTS, =~ ^(((\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?,)+$ ]] \
        || die "KILN_WEBHOOK_HOSTS must be host[:port] or *.domain[:port], divided by commas"
fi

connect=()
if [[ -n ${DATABASE_URL:-} ]]; then
    # Everybody on the machine can read a command line.
    if [[ $DATABASE_URL =~ ^postgres(ql)?://[^/@]*:[^/@]*@ || $DATABASE_URL =~ password ]]; then
        die "DATABASE_URL holds a password: put it into a PGPASSFILE (host:port:database:user:password) instead"
    fi
    connect=(-d "$DATABASE_URL")
fi

code=$(find db migrations VERSION -type f \( -name '*.sql' -o -name '*.psql' -o -name VERSION \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
# The tables alone, without remarks: where they differ and no migration leads there, new code would meet old tables.
tables=$({ find db/schema -type f -print0 2>/dev/null || true; } | LC_ALL=C sort -z | xargs -0r cat | sed 's/--.*//' | tr -d ' \n' | sha256sum | cut -c1-16)

{
    cat <<'BEGIN'
-- A snapshot of before the lock would not see what the migration that held it has done.
begin isolation level read committed read write;
set local client_min_messages = warning;
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local lock_timeout = '60s';
-- Held to the end of the transaction: a second migration waits here and then finds nothing to do. A table's lock where there is the table:
-- an advisory one could be held by any login.
select to_regclass('kiln.migration') is not null as has_table \gset
\if :has_table
    lock table kiln.migration in exclusive mode;
\else
    select pg_advisory_xact_lock(hashtextextended('kiln migrate', 0)) \g /dev/null
\endif
set local lock_timeout = '10s';
-- People's settings must not reach into the files.
set local search_path = pg_catalog, public;
BEGIN
    printf "\\set code '%s'\n\\set tables '%s'\n" "$code" "$tables"
    cat <<'DECIDE'
select to_regclass('kiln.migration') is null as is_empty,
       coalesce(shobj_description(d.oid, 'pg_database'), '') like '%code ' || :'code' || '%' as is_same,
       coalesce(shobj_description(d.oid, 'pg_database'), '') like '%tables %'
       and coalesce(shobj_description(d.oid, 'pg_database'), '') not like '%tables ' || :'tables' || '%' as has_other_tables
  from pg_database d where d.datname = current_database() \gset
\if :is_empty
    \i db/install.psql
    \echo 'database: installed'
DECIDE
    printf '\\else\n'
    # What is missing is known only inside the transaction, so each file brings its own question.
    names=''
    for file in migrations/[0-9][0-9][0-9][0-9]_*.sql; do
        [[ -e $file ]] || continue
        base=${file##*/}
        number=$((10#${base%%_*})) name=${base#*_}
        name=${name%.sql}
        [[ $name =~ ^[a-z0-9_]+$ ]] || die "$file: the name after the number must be lower case letters, digits and _"
        names+="($number, '$name', '$file'),"
    done
    [[ -n $names ]] || names="(null::int, null::text, null::text),"
    printf "select exists (select from (values %s) f (number, name, file) where f.number is not null and not exists (select from kiln.migration m where m.number = f.number)) as is_behind,\n" "${names%,}"
    printf "       coalesce((select string_agg(m.number::text, ', ' order by m.number) from kiln.migration m where m.number > (select coalesce(max(f.number), 0) from (values %s) f (number, name, file))), '') as ahead \\gset\n" "${names%,}"
    cat <<'REST'
select :'has_other_tables'::boolean and not :'is_behind'::boolean as is_stranded \gset
select :'ahead' <> '' as is_ahead, :'is_behind'::boolean or not :'is_same'::boolean as has_work \gset
\if :is_ahead
    \warn 'database: it has migrations that this checkout does not know:' :ahead
    do $$ begin raise exception 'this database belongs to a later release: run that one'; end $$;
\endif
\if :is_stranded
    do $$ begin raise exception 'this database has other tables than this checkout, and no migration leads there'
        using hint = 'Before the first release that happens between two checkouts. Of the embedded one: ./kiln down, move KILN_HOME (.kiln) away, ./kiln up.'; end $$;
\endif
\if :has_work
    do $$
    declare
        v_view text;
    begin
        for v_view in
            select format('%I.%I', n.nspname, c.relname)
              from pg_catalog.pg_class c
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'kiln' and c.relkind = 'v'
        loop
            execute 'drop view if exists ' || v_view || ' cascade';
        end loop;
    end
    $$;
    drop schema kiln_api cascade;
    drop schema kiln_runner cascade;
REST
    for file in migrations/[0-9][0-9][0-9][0-9]_*.sql; do
        [[ -e $file ]] || continue
        base=${file##*/}
        number=$((10#${base%%_*})) name=${base#*_}
        name=${name%.sql}
        cat <<ONE
    select not exists (select from kiln.migration where number = $number) as is_missing \\gset
    \\if :is_missing
        \\i '$file'
        insert into kiln.migration (number, name) values ($number, '$name') on conflict do nothing;
        \\echo 'database: applied $base'
    \\endif
ONE
    done
    cat <<'END'
    \set part code
    \i db/install.psql
    \unset part
    \echo 'database: code loaded'
\else
    \echo 'database: up to date'
\endif
\endif
END
    for file in migrations/[0-9][0-9][0-9][0-9]_*.sql; do
        [[ -e $file ]] || continue
        base=${file##*/}
        name=${base#*_}
        printf "insert into kiln.migration (number, name) values (%d, '%s') on conflict do nothing;\n" "$((10#${base%%_*}))" "${name%.sql}"
    done
    if [[ -v KILN_PUBLIC_URL ]]; then       # only letters, digits and ./:[]_~- by now
        printf "update kiln.config set public_url = nullif('%s', '') where public_url is distinct from nullif('%s', '');\n" "$KILN_PUBLIC_URL" "$KILN_PUBLIC_URL"
    fi
    if [[ -v KILN_WEBHOOK_HOSTS ]]; then    # only letters, digits and *.:[]_-, by now
        printf "update kiln.config set webhook_hosts = '%s' where webhook_hosts <> '%s';\n" "$KILN_WEBHOOK_HOSTS" "$KILN_WEBHOOK_HOSTS"
    fi
    cat <<'MARK'
select format('comment on database %I is %L', current_database(), 'Kiln, code ' || :'code' || ', tables ' || :'tables') as remark
 where not :'is_same'::boolean or :'is_empty'::boolean \gexec
commit;
MARK
} | psql -X -q -v ON_ERROR_STOP=1 ${connect[@]+"${connect[@]}"} || die "the database was not changed: the message above says why"

# A database that came here from a backup serves nobody until kiln.after_restore() was called.
sql() { psql -X -q -v ON_ERROR_STOP=1 ${connect[@]+"${connect[@]}"} "$@"; }
is_restored=$(sql -At <<'SQL'
select to_regprocedure('kiln_internal.is_restored()') is not null as is_there \gset
\if :is_there
    select kiln_internal.is_restored();
\endif
SQL
)
[[ $is_restored == t ]] || exit 0
if [[ $after_restore == ask && -t 0 && -t 2 ]]; then
    cat >&2 <<'QUESTION'
This database was restored from a backup. Before it serves, its old events have to become history (docs/backup.md).
  1  the programs ran on after the backup was made, or may have: what may have been done since is held and listed
  2  nothing ran since: all that was unfinished goes on
  other  not now
QUESTION
    read -r -p 'Which is it? ' answer
    case $answer in
        1) after_restore='' ;;
        2) after_restore='p_nothing_ran => true' ;;
    esac
fi
if [[ $after_restore == ask ]]; then
    warn "this database was restored from a backup: run ./kiln after-restore, which is select kiln.after_restore(), before it is used (docs/backup.md)"
    exit 75
fi
sql -c "select * from kiln.after_restore($after_restore)"

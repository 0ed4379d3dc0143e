-- The schemas by audience: kiln is what a person types, kiln_internal what functions call, kiln_extensions
-- holds pgcrypto.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary view function as
select p.oid, p.oid::regprocedure::text as name, n.nspname, p.proname, p.prorettype, p.proargnames,
       p.pronargs,
       exists (select from pg_depend d
                where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e') as is_extension
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname like 'kiln%';
create temporary view granted as
select f.nspname, f.name, f.proname, a.grantee::regrole::text as grantee
  from function f join pg_proc p using (oid), aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 where a.grantee <> p.proowner;

-- kiln ------------------------------------------------------------------------------------------------------

select cmp_ok((select count(*)::int from function where nspname = 'kiln'), '<=', 60,
              'at most sixty functions stand where people look: two screens');
select is_empty($$ select name from function where nspname = 'kiln'
                    and obj_description(oid, 'pg_proc') is null $$,
                'each of them says what it does');
select is_empty($$ select name from function f where nspname = 'kiln'
                    and not exists (select from granted g
                                     where g.name = f.name and g.grantee in ('kiln_reader', 'kiln_admin')) $$,
                'each of them is granted to people');
select bag_eq($$ select proname::text || ' to ' || grantee from granted
                  where nspname = 'kiln' and grantee not in ('kiln_reader', 'kiln_admin', 'kiln_definer') $$,
              '{contract to kiln_server,contract to kiln_worker}'::text[],
              'a program may ask kiln.contract() and call nothing else of it');
select is_empty($$ select name from function where nspname = 'kiln'
                    and (is_extension or prorettype = 'trigger'::regtype) $$,
                'no function of an extension and no trigger''s stands among them');
select is_empty($$ select name from function where nspname = 'kiln' and pronargs > 0
                    and (cardinality(proargnames) < pronargs or '' = any (proargnames)) $$,
                'each argument has a name');
select is_empty($$ select name from function where nspname = 'kiln'
                    and proname ~ '^(guard|on|render|parse|check_[^a])_' $$,
                'none is named as an internal one');
select cmp_ok((select count(*)::int from pg_views
                    where schemaname = 'kiln'), '<=', 40, 'and the views fit on one screen');

-- kiln_internal, kiln_extensions ----------------------------------------------------------------------------

select is_empty($$ select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
                    where n.nspname like 'kiln\_%' and c.relkind in ('r', 'p', 'v', 'm', 'S') $$,
                'tables, views and sequences stand in kiln alone');
select is_empty($$ select name from function where nspname = 'kiln_internal' and is_extension $$,
                'no function of an extension is internal');
select is_empty($$ select name from function where nspname = 'kiln_extensions' and not is_extension $$,
                'and none of ours is an extension''s');
select is_empty($$ select proname, grantee from granted where nspname = 'kiln_extensions'
                    and grantee <> 'kiln_owner' $$,
                'only the owner of the tables executes pgcrypto');
select ok(not has_schema_privilege(r, s, 'usage'), r || ' cannot look into ' || s)
  from unnest('{kiln_server,kiln_worker}'::text[]) r, unnest('{kiln_internal,kiln_extensions}'::text[]) s;
select is_empty(format($$ select name from function where nspname = 'kiln_internal'
                    and has_function_privilege(%L, oid, 'execute') $$, r),
                r || ' executes no internal function') from unnest('{kiln_server,kiln_worker}'::text[]) r;
select bag_eq($$ select distinct grantee from granted where nspname = 'kiln_internal' $$,
              '{kiln_definer,kiln_reader,kiln_admin}'::text[],
              'the API''s owner executes internal functions, and people do, since views and triggers run as '
              'who types');
select cmp_ok((select count(*)::int from granted where nspname = 'kiln_internal'
                    and grantee = 'kiln_reader'), '<=', 40,
              'a reader executes those only that views lean on');

-- What refusals, hints and docs tell a person to type is there to be typed ----------------------------------

select is_empty($$ select t.tgrelid::regclass, m[1] from pg_trigger t,
                          regexp_matches(encode(t.tgargs, 'escape'), 'kiln_internal[.]([a-z_]+)', 'g') m $$,
                'no refusal sends a person to an internal function');
\set tasks `cat docs/console.tasks`
create temporary table typed as
select trim(both E' \n' from s) as statement
  from regexp_split_to_table(regexp_replace(regexp_replace(:'tasks', '(--|#)[^\n]*', '', 'g'), ' \\gset', ';',
                                            'g'), ';') s
 where trim(both E' \n' from s) !~ '^(begin|commit|)$';
select cmp_ok((select count(*)::int from typed), '>', 50, 'docs/console.tasks was read');
select lives_ok('explain ' || replace(statement, ':version', '1'), 'it can be typed: ' || statement)
  from typed;

select finish();
rollback;

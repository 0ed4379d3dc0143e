-- `set search_path = ''` still looks for types in pg_temp first: a domain pg_temp.text had its check run by
-- every function of the owner that named a text, and kiln_server became kiln_owner. So nobody but a superuser
-- makes temporary objects here.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select ok(not has_database_privilege(r, current_database(), 'temporary'),
          r || ' can make no temporary object')
  from unnest('{kiln_server,kiln_worker,kiln_definer,kiln_reader,kiln_admin,kiln_owner}'::text[]) as r;

select is(fixture.refusal($$ do $x$ begin perform set_config('role', 'kiln_server', true); create domain pg_temp.text as pg_catalog.text; end $x$ $$) ->> 'code',
          '42501', 'no type of a service role''s stands before ours');
select is(fixture.refusal($$ do $x$ begin perform set_config('role', 'kiln_worker', true); create temporary table job (a int); end $x$ $$) ->> 'code',
          '42501', 'no table either');
select finish();
rollback;

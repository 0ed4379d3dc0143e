-- Forms of requests that no other test sends: each is refused with a sentence of its own, and none reaches a
-- table.
begin;
\ir ../../fixtures/fixture.sql
select plan(15);

create function pg_temp.code(p_sub text, p_function text, p_query text, p_path text default '{}',
                             p_body text default null)
returns text language sql as $$
    select fixture.refusal(format('select fixture.call(%L, %L, %L, %L, %L)', p_sub, p_function, p_path,
                                  p_query, p_body)) ->> 'code'
$$;

-- Searches and lists ----------------------------------------------------------------------------------------

select is(pg_temp.code('ann', f, format('{"q": "%s"}', repeat('x', 201))), 'KN006',
          format('%s is not asked for 201 characters', f))
  from unnest('{list_generations,list_models}'::text[]) f;
select is(pg_temp.code('ann', f, format('{"q": "%s"}', repeat('x', 200))), null,
          format('%s may be asked for 200', f))
  from unnest('{list_generations,list_models}'::text[]) f;
select is(pg_temp.code('admin', 'get_pipeline', '{"version": "last"}', '{"id": "test/one"}'), 'KN006',
          'a pipeline''s version is a number');
select is(pg_temp.code('ann', 'export_me', '{"cursor": "1"}'), 'KN006',
          'a cursor of the export belongs to a section');

-- What an administrator watches -----------------------------------------------------------------------------

create function pg_temp.watch(p_query text) returns text language sql as $$
    select fixture.refusal(format('select kiln_api.open_watch(%s, ''{}'', %L, null)', fixture.act_as('admin'),
                                  p_query)) ->> 'code'
$$;
select is(pg_temp.watch(q), c, format('a watch of %s is %s', q, coalesce('refused', 'opened')))
  from (values ('{"kind": "job.queued,nothing"}', 'KN006'), ('{"kind": ""}', 'KN006'),
        ('{"state": "completed,lost"}', 'KN006'), ('{"account": "ann"}', 'KN006')) v (q, c);
select is(pg_temp.watch('{"kind": "job.completed", "state": "completed", "account": "1"}'), null,
          'a watch of what there is is opened');

-- A pipeline that is put ------------------------------------------------------------------------------------

create function pg_temp.put(p_rest text) returns text language sql as $$
    select fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'admin', 'put_pipeline',
                                     '{"name": "test/refused", ' || p_rest || '}'))
$$;
select is(pg_temp.put('"stages": [{"name": "one", "queue": "image", "config": [], "max_attempts": "often"}]'),
          '/stages/0/config /stages/0/handler /stages/0/max_attempts',
          'all that is wrong with a stage is told at once');
select is(pg_temp.put('"stages": [{"name": "one", "queue": "image", "handler": "log", "time_limit_s": '
                      '"long"}]'), '/stages/0/time_limit_s', 'seconds are a number');
select is(pg_temp.put('"stages": ["one"]'), '/stages/0', 'a stage is an object');
select is(pg_temp.put('"description": 7, "version": "last", "stages": [{"name": "one", "queue": "image", '
                      '"handler": "log"}]'), '/description /version',
    'so are what is said of it and the version that was read');

select * from finish();
rollback;

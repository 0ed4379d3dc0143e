-- The catalogue, for anyone.
begin;
\ir ../fixtures/fixture.sql
select no_plan();
update kiln.provider set is_enabled = false where not is_local;
create function pg_temp.list(p_query jsonb default '{}') returns jsonb language sql as $$ select fixture.call(null, 'list_models', p_query => p_query) $$;
create function pg_temp.names(p_page jsonb) returns text[] language sql as $$ select coalesce(array_agg(i ->> 'id' order by n), '{}') from jsonb_array_elements(p_page -> 'items') with ordinality as x (i, n) $$;

select is(pg_temp.names(pg_temp.list()), '{local/speech,local/slideshow,local/sketch}', 'without a token anyone sees the catalogue, newest first');
select is(pg_temp.names(pg_temp.list('{"type": "video"}')), '{local/slideshow}', 'by type');
select is(pg_temp.names(pg_temp.list('{"tag": "audio"}')), '{local/speech}', 'by tag');
select is(pg_temp.names(pg_temp.list('{"q": "ESPEAK"}')), '{local/speech}', 'by words of name, title and description');
select is(pg_temp.names(pg_temp.list(jsonb_build_object('limit', '2', 'cursor', pg_temp.list('{"limit": "2"}') ->> 'next_cursor'))), '{local/sketch}', 'page by page');
update kiln.model set price_micros = case name when 'local/slideshow' then 1 when 'local/sketch' then 3 else 2 end;
select is(pg_temp.names(pg_temp.list('{"sort": "price"}')), '{local/slideshow,local/speech,local/sketch}', 'the cheapest first');
select is(pg_temp.names(pg_temp.list('{"sort": "price", "limit": "1"}')), '{local/slideshow}', 'as many as were asked for');
-- What our own history says of them, measured by the tick.
select kiln.enqueue('local/' || n, '{}', fixture.account('ann'), p_model_id => (select model_id from kiln.model where name = m)) from (values ('audio', 'local/speech'), ('audio', 'local/speech'), ('image', 'local/sketch')) v (n, m) \g /dev/null
select is(pg_temp.names(pg_temp.list('{"sort": "popularity"}')), '{local/speech,local/slideshow,local/sketch}', 'before anything was measured all are as popular');
select kiln.measure_models() \g /dev/null
select is(pg_temp.names(pg_temp.list('{"sort": "popularity"}')), '{local/speech,local/sketch,local/slideshow}', 'then the one most asked for is first');
update kiln.model_use u set took_ms = case m.name when 'local/sketch' then 900 when 'local/speech' then 1000 end from kiln.model m where m.model_id = u.model_id;
select is(pg_temp.names(pg_temp.list('{"sort": "speed"}')), '{local/sketch,local/speech,local/slideshow}', 'the fastest first; of whom nothing is known last');
select is(pg_temp.names(pg_temp.list('{"q": "painting towns"}')), '{local/sketch}', 'words are found in other forms of them');
select is(pg_temp.names(pg_temp.list('{"q": "slide"}')), '{local/slideshow}', 'and the beginning of a name');
select is(pg_temp.names(pg_temp.list('{"q": "\"; drop -- & | !"}')), '{}', 'whatever stands in the query');
select is(pg_temp.names(pg_temp.list(jsonb_build_object('limit', '2', 'sort', 'price', 'cursor', pg_temp.list('{"limit": "2", "sort": "price"}') ->> 'next_cursor'))), '{local/sketch}', 'what is sorted comes page by page too');

select is(fixture.refusal(format('select pg_temp.list(%L)', q)) ->> 'code', 'KN006', 'malformed: ' || q) from unnest('{"{\"sort\": \"age\"}","{\"type\": \"smell\"}","{\"limit\": \"0\"}","{\"cursor\": \"?\"}","{\"cursor\": \"LTE\"}"}'::text[]) q;

create temporary table m as select fixture.call(null, 'get_model', '{"id": "local/sketch"}') as model;
select is(model - 'description' - 'params_schema', '{"id": "local/sketch", "title": "Sketch", "media_type": "image", "provider": "local", "tags": ["local", "image", "free"], "is_default": true, "min_media": 0,
          "example": {"type": "image", "prompt": "a lighthouse by the sea at dusk"}, "price": {"estimated": 3, "base": 3, "rule": null, "currency": "USD"}, "measured": {"jobs": 1, "completed": 0, "took_ms": 900}, "available": true, "unavailable_reason": null}', 'a model says what it costs and who makes it') from m;
select is(model -> 'params_schema' ->> 'type', 'object', 'with the schema of its parameters') from m;
select lives_ok(format('select fixture.call(%L, %L, p_body => %L)', 'ann', 'create_generation', i ->> 'example'), 'the example of ' || (i ->> 'id') || ' works as it stands') from jsonb_array_elements(pg_temp.list() -> 'items') i;
select throws_ok($$ select fixture.call(null, 'get_model', '{"id": "local/nothing"}') $$, 'KN002', null, 'a model that is not there is not there');
update kiln.model set is_enabled = false where name = 'local/sketch';
select throws_ok($$ select fixture.call(null, 'get_model', '{"id": "local/sketch"}') $$, 'KN002', null, 'nor is one that was retired');
select is(pg_temp.names(pg_temp.list()), '{local/speech,local/slideshow}', 'in the list too');
update kiln.provider set is_enabled = false;
select is(pg_temp.list(), '{"items": [], "next_cursor": null}', 'with its provider all of its models are out');
set constraints all immediate;      -- as they are; the fixture defers them
select throws_ok($$ update kiln.model set is_default = true, media_type = 'audio' $$, '23P01', null, 'a type has one default');
select lives_ok($$ update kiln.model set is_default = name = (select min(name) from kiln.model where media_type = 'image') where media_type = 'image' $$,
                'one UPDATE makes another model the default, whichever row it comes to first');
select lives_ok($$ update kiln.model set is_default = name = (select max(name) from kiln.model where media_type = 'image') where media_type = 'image' $$, 'and back');
select finish();
rollback;

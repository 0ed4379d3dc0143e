-- The catalogue, for anyone.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
update kiln.provider set is_enabled = false where not is_local;
create function pg_temp.list(p_query jsonb default '{}') returns jsonb language sql
as $$ select fixture.call(null, 'list_models', p_query => p_query) $$;
create function pg_temp.names(p_page jsonb) returns text[] language sql
as $$ select coalesce(array_agg(i ->> 'id' order by n), '{}')
        from jsonb_array_elements(p_page -> 'items') with ordinality as x (i, n) $$;

select is(pg_temp.names(pg_temp.list()), '{local/speech,local/slideshow,local/sketch}',
          'without a token anyone sees the catalogue, newest first');
select is(pg_temp.names(pg_temp.list('{"type": "video"}')), '{local/slideshow}', 'by type');
select is(pg_temp.names(pg_temp.list('{"tag": "audio"}')), '{local/speech}', 'by tag');
select is(pg_temp.names(pg_temp.list('{"q": "ESPEAK"}')), '{local/speech}',
          'by words of name, title and description');
select is(pg_temp.names(pg_temp.list(jsonb_build_object('limit', '2',
                                                        'cursor', pg_temp.list('{"limit": "2"}')
                                                        ->> 'next_cursor'))), '{local/sketch}',
          'page by page');
update kiln.model set price_micros = case name when 'local/slideshow' then 1 when 'local/sketch' then 3
                                          else 2 end;
select is(pg_temp.names(pg_temp.list('{"sort": "price"}')), '{local/slideshow,local/speech,local/sketch}',
          'the cheapest first');
select is(pg_temp.names(pg_temp.list('{"sort": "price", "limit": "1"}')), '{local/slideshow}',
          'as many as were asked for');
-- What our own history says of them, measured by the tick.
select kiln.enqueue('local/' || n, '{}', fixture.account('ann'), p_model_id => (select model_id
                                                        from kiln.model where name = m))
  from (values ('audio', 'local/speech'), ('audio', 'local/speech'), ('image', 'local/sketch')) v (n,
                                                        m) \g /dev/null
select is(pg_temp.names(pg_temp.list('{"sort": "popularity"}')),
          '{local/speech,local/slideshow,local/sketch}', 'before anything was measured all are as popular');
select kiln_internal.measure_models() \g /dev/null
select is(pg_temp.names(pg_temp.list('{"sort": "popularity"}')),
          '{local/speech,local/sketch,local/slideshow}', 'then the one most asked for is first');
set role kiln_owner; update kiln.model_use u
                        set took_ms = case m.name when 'local/sketch' then 900 when 'local/speech'
                                               then 1000 end from kiln.model m
                      where m.model_id = u.model_id; reset role;
select is(pg_temp.names(pg_temp.list('{"sort": "speed"}')), '{local/sketch,local/speech,local/slideshow}',
          'the fastest first; of whom nothing is known last');
select is(pg_temp.names(pg_temp.list('{"q": "painting towns"}')), '{local/sketch}',
          'words are found in other forms of them');
select is(pg_temp.names(pg_temp.list('{"q": "slide"}')), '{local/slideshow}', 'and the beginning of a name');
select is(pg_temp.names(pg_temp.list('{"q": "\"; drop -- & | !"}')), '{}', 'whatever stands in the query');
select is(pg_temp.names(pg_temp.list(jsonb_build_object('limit', '2', 'sort', 'price',
                                                        'cursor', pg_temp.list('{"limit": "2", "sort": '
                                                            '"price"}') ->> 'next_cursor'))),
       '{local/sketch}', 'what is sorted comes page by page too');

select is(fixture.refusal(format('select pg_temp.list(%L)', q)) ->> 'code', 'KN006', 'malformed: ' || q)
  from unnest('{"{\"sort\": \"age\"}","{\"type\": \"smell\"}","{\"limit\": \"0\"}","{\"cursor\": \"?\"}",'
              '"{\"cursor\": \"LTE\"}"}'::text[]) q;

create temporary table m as select fixture.call(null, 'get_model', '{"id": "local/sketch"}') as model;
select is(model - 'description' - 'params_schema', '{"id": "local/sketch", "title": "Sketch",
                                                      "media_type": "image", "provider": "local",
                                                      "tags": ["local", "image", "free"], "is_default": true,
                                                      "min_media": 0,
          "example": {"type": "image", "prompt": "a lighthouse by the sea at dusk"}, "price": {"estimated": 3,
          "base": 3, "rule": null, "currency": "USD"}, "measured": {"jobs": 1, "completed": 0,
          "took_ms": 900}, "available": true, "unavailable_reason": null}', 'a model says what it costs and who makes it') from m;
select is(model -> 'params_schema' ->> 'type', 'object', 'with the schema of its parameters') from m;
select lives_ok(format('select fixture.call(%L, %L, p_body => %L)', 'ann', 'create_generation',
                       i ->> 'example'), 'the example of ' || (i ->> 'id') || ' works as it stands')
  from jsonb_array_elements(pg_temp.list() -> 'items') i;
select throws_ok($$ select fixture.call(null, 'get_model', '{"id": "local/nothing"}') $$, 'KN002', null,
                 'a model that is not there is not there');
update kiln.model set is_enabled = false where name = 'local/sketch';
select throws_ok($$ select fixture.call(null, 'get_model', '{"id": "local/sketch"}') $$, 'KN002', null,
                 'nor is one that was retired');
select is(pg_temp.names(pg_temp.list()), '{local/speech,local/slideshow}', 'in the list too');
update kiln.provider set is_enabled = false;
select is(pg_temp.list(), '{"items": [], "next_cursor": null}',
          'with its provider all of its models are out');
set constraints all immediate;      -- as they are; the fixture defers them
select throws_ok($$ update kiln.model set is_default = true $$, '23P01', null, 'a type has one default');
select lives_ok($$ update kiln.model
                      set is_default = name = (select min(name) from kiln.model where media_type = 'image')
                    where media_type = 'image' $$,
                'one UPDATE makes another model the default, whichever row it comes to first');
select lives_ok($$ update kiln.model
                      set is_default = name = (select max(name) from kiln.model where media_type = 'image')
                    where media_type = 'image' $$, 'and back');
-- What an operator writes is right when it is written -------------------------------------------------------
-- Once any object was taken for a schema, and everybody who asked was told of it in PostgreSQL's own words.
update kiln.provider set is_enabled = true;
update kiln.model set is_enabled = true, example = '{"type": "image", "prompt": "a hill"}', min_media = 0
 where name = 'local/sketch';
create function pg_temp.written(p_change text) returns jsonb language plpgsql as $$
begin
    execute format('update kiln.model set %s where name = %L', p_change, 'local/sketch');
    return '"accepted"';
exception when others then
    declare v_detail text; v_column text;
    begin
        get stacked diagnostics v_detail = pg_exception_detail, v_column = column_name;
        return jsonb_build_object('code', sqlstate, 'column', v_column,
                                  'fields', (select jsonb_agg(e ->> 'field' order by e ->> 'field')
                                               from jsonb_array_elements(nullif(v_detail, '')::jsonb) e));
    end;
end $$;
create function pg_temp.schema(p_schema text) returns jsonb language sql
as $$ select pg_temp.written(format('params_schema = %L', p_schema)) $$;
select is(pg_temp.schema(schema),
          jsonb_build_object('code', 'KN003', 'column', 'params_schema',
                             'fields', jsonb_build_array('/params_schema' || field)),
          format('a schema is refused at %s: %s', field, schema))
  from (values
    ('/properties', '{"type": "object", "properties": []}'),
    ('/properties', '{"type": "object", "properties": "width"}'),
    ('/type', '{"type": "thing"}'),
    ('/type', '{"type": ["object", "null"]}'),
    ('/type', '{"type": "array"}'),
    ('/type', '{"properties": {}}'),
    ('/additionalProperties', '{"type": "object", "additionalProperties": true}'),
    ('/additionalProperties', '{"type": "object", "additionalProperties": {"type": "string"}}'),
    ('/required', '{"type": "object", "required": "a"}'),
    ('/required/0', '{"type": "object", "required": ["a"]}'),
    ('/required/1', '{"type": "object", "required": ["a", "a"], "properties": {"a": {"type": "string"}}}'),
    ('/oneOf', '{"type": "object", "oneOf": []}'),
    ('/default', '{"type": "object", "default": {}}'),
    ('/properties/a', '{"type": "object", "properties": {"a": 7}}'),
    ('/properties/a', '{"type": "object", "properties": {"a": true}}'),
    ('/properties/a/type', '{"type": "object", "properties": {"a": {"type": "int"}}}'),
    ('/properties/a/type', '{"type": "object", "properties": {"a": {"type": null}}}'),
    ('/properties/a/enum', '{"type": "object", "properties": {"a": {"enum": "red"}}}'),
    ('/properties/a/enum', '{"type": "object", "properties": {"a": {"type": "string", "enum": []}}}'),
    ('/properties/a/enum/1', '{"type": "object", "properties": {"a": {"type": "string", "enum": ["x", 7]}}}'),
    ('/properties/a/minimum', '{"type": "object", "properties": {"a": {"type": "integer", "minimum": "1"}}}'),
    ('/properties/a/minimum', '{"type": "object", "properties": {"a": {"type": "string", "minimum": 1}}}'),
    ('/properties/a/maximum',
     '{"type": "object", "properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}}'),
    ('/properties/a/exclusiveMaximum',
     '{"type": "object", "properties": {"a": {"type": "number", "minimum": 1, "exclusiveMaximum": 1}}}'),
    ('/properties/a/multipleOf',
     '{"type": "object", "properties": {"a": {"type": "number", "multipleOf": 0}}}'),
    ('/properties/a/maxLength',
     '{"type": "object", "properties": {"a": {"type": "string", "maxLength": -1}}}'),
    ('/properties/a/maxLength',
     '{"type": "object", "properties": {"a": {"type": "string", "maxLength": 99999999999}}}'),
    ('/properties/a/pattern', '{"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}'),
    ('/properties/a/default',
     '{"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "default": 0}}}'),
    ('/properties/a/default',
     '{"type": "object", "properties": {"a": {"type": "string", "enum": ["x"], "default": "y"}}}'),
    ('/properties/a/default', '{"type": "object", "properties": {"a": {"type": "string", "default": null}}}'),
    ('/properties/a/title', '{"type": "object", "properties": {"a": {"type": "string", "title": 7}}}'),
    ('/properties/a~1b/type', '{"type": "object", "properties": {"a/b": {"type": "strin"}}}'),
    ('/properties/a/items/type',
     '{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "x"}}}}'),
    ('/properties/a/items/default',
     '{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer", "default": '
     '"1"}}}}'),
    ('/properties/a/properties/b/maximum',
     '{"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "integer", '
     '"maximum": []}}}}}')
  ) as v (field, schema);
select is(pg_temp.schema('{"type": "object", "properties": {"a": {"type": "x"}, "b": {"type": "integer", '
                         '"minimum": 3, "maximum": 2}}}') -> 'fields',
    '["/params_schema/properties/a/type", "/params_schema/properties/b/maximum"]',
    'all mistakes are named at once');
select is(fixture.refusal($$ update kiln.model
                                set params_schema = '{"type": "object", "properties": {"a": {"type": "int"}}}'
                              where name = 'local/sketch' $$) ->> 'message',
          'model ''local/sketch'': /params_schema/properties/a/type must be one of string, integer, number, '
          'boolean, array, object', 'the sentence names the model, the pointer and what would be right');
select is(pg_temp.schema('{"type": "object", "properties": {"a": {"type": "array", "items": {"type": '
                         '"array", "items": {"type": "array", "items": {"type": "array", "items": {"type": '
                         '"array", "items": {}}}}}}}}') -> 'fields',
          '["/params_schema/properties/a/items/items/items/items/items"]',
          'no schema is deeper than six levels');
select is(pg_temp.schema(right_one), '"accepted"', 'a schema is accepted: ' || right_one) from unnest(array[
    '{"type": "object"}', '{"type": "object", "title": "T", "x-order": ["a"], "properties": {"a": {}}}',
    '{"type": "object", "properties": {"loras": {"type": "array", "maxItems": 3, "uniqueItems": true, '
    '"default": [], "items": {"type": "object", "required": ["path"], "additionalProperties": false, '
    '"properties": {"path": {"type": "string"}, "scale": {"type": "number", "minimum": 0, "maximum": 4, '
    '"default": 1}}}}}}']) right_one;
select is((select params_schema -> 'additionalProperties' from kiln.model
            where name = 'local/sketch'), 'false', 'the stored schema says that nothing else is taken');
select is(fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'ann', 'create_generation',
                                    jsonb_build_object('type', 'image', 'model', 'local/sketch',
                                                       'prompt', 'x', 'params', params::jsonb))), bad,
          'lists and objects are checked to their depth: ' || params)
  from (values ('{"loras": [{"path": "a"}, {"path": "b", "scale": 2}]}', null),
        ('{"loras": 7}', '/params/loras'),
        ('{"loras": [{"scale": 5}]}', '/params/loras/0/path /params/loras/0/scale'),
               ('{"loras": [{"path": "a", "x": 1}]}', '/params/loras/0/x'),
        ('{"loras": [{"path": "a"}, {"path": "a"}]}', '/params/loras'),
        ('{"lora": []}', '/params/lora')) v (params, bad);
update kiln.model
   set params_schema = '{"type": "object", "properties": {"width": {"type": "integer", "minimum": 64}}}'
 where name = 'local/sketch';
select is(pg_temp.written(format('example = %L', example)),
          jsonb_build_object('code', 'KN003', 'column', 'example',
                             'fields', jsonb_build_array('/example' || field)),
          format('an example that does not work is refused at %s', field))
  from (values ('/params/width', '{"prompt": "x", "params": {"width": 1}}'),
        ('/params/height', '{"prompt": "x", "params": {"height": 100}}'),
        ('/type', '{"type": "audio", "prompt": "x"}'), ('/model', '{"model": "local/speech", "prompt": "x"}'),
               ('/prompt', '{"type": "image"}'), ('/seed', '{"prompt": "x", "seed": -1}'),
        ('/word', '{"prompt": "x", "word": 1}'), ('/variants', '{"prompt": "x", "variants": 9}'),
        ('/media/0', '{"media": ["1"]}')) v (field, example);
select is(pg_temp.written($$ example = '{"prompt": "x", "params": {"width": 64}}' $$), '"accepted"',
                          'one that works is taken');
select is(pg_temp.schema('{"type": "object", "properties": {"width": {"type": "integer", "minimum": 65}}}')
          ->> 'column', 'example', 'nor does a new schema leave its example behind');
select is(fixture.refusal(format('update kiln.model set %s where name = %L', change, 'local/sketch'))
          ->> 'message', 'model ''local/sketch'': ' || said, said) from (values
    ('provider_id = (select provider_id from kiln.provider where name = ''fal'')',
     'provider fal is not asked by pipeline ''local/image'', which works on the runner''s machine alone'),
    ('pipeline_id = (select pipeline_id from kiln.pipeline where name = ''fal/kontext'')',
     'provider local is not asked by pipeline ''fal/kontext'', which asks fal'),
    ('pipeline_id = (select pipeline_id from kiln.pipeline where name = ''upload'')',
     'pipeline ''upload'' checks what people send in, and makes nothing')) v (change, said);
insert into kiln.pipeline (name) values ('empty');
select is(fixture.refusal($$ update kiln.model
                                set pipeline_id = (select pipeline_id from kiln.pipeline where name = 'empty')
                              where name = 'local/sketch' $$) ->> 'message',
          'model ''local/sketch'': pipeline ''empty'' has no version yet',
          'a pipeline without a version makes nothing');
-- A schema or an example that is no object was told in PostgreSQL's words; a price could be beyond what a sum
-- holds.
select is(pg_temp.written(c), jsonb_build_object('code', 'KN003', 'column', f,
                                                 'fields', jsonb_build_array('/' || f)),
          'refused with the field: ' || c)
  from unnest('{params_schema,example}'::text[]) f, unnest(array['[]', '7', 'null', 'true', '"x"']) v,
       lateral (select format('%s = %L::jsonb', f, v)) as w (c);
select is(pg_temp.written(c) ->> 'column', f, 'refused: ' || c)
  from (values ('title', 'title = '' '''), ('title', 'title = repeat(''x'', 201)'),
        ('tags', 'tags = array[null]::text[]'), ('tags', 'tags = ''{""}''')) v (f, c);
select throws_ok('update kiln.model set price_micros = 9223372036854775807', '23514', null,
                 'a price is what a sum can hold');

-- What has become wrong by another way can be retired, and does not come back.
alter table kiln.model disable trigger t20_check;
update kiln.model set params_schema = '{"type": "object", "properties": []}' where name = 'local/sketch';
alter table kiln.model enable always trigger t20_check;
select is(pg_temp.written('title = ''Old'', is_enabled = false'), '"accepted"',
          'a model that is wrong already can be retired');
select is(pg_temp.written('is_enabled = true') ->> 'code', 'KN003', 'and is not taken back as it is');
select finish();
rollback;

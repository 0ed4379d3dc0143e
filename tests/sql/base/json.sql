-- What a client sent, read in time that is linear in it; what is told of it is whole sentences, and fits into
-- what a program carries.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create function pg_temp.schema() returns jsonb language sql immutable as $$
    select '{"type": "object", "required": ["b"], "properties": {"a": {"type": "string", "default": "x", '
           '"maxLength": 3}, "b": {"type": "integer", "minimum": 1}}}'::jsonb
$$;
create function pg_temp.keys(p_count int) returns jsonb language sql immutable
as $$ select jsonb_object_agg('key-' || i, i) from generate_series(1, p_count) i $$;

-- Parameters ------------------------------------------------------------------------------------------------

select is(params, '{"a": "x", "b": 2}', 'what is absent has its default')
  from kiln_internal.check_params(pg_temp.schema(), '{"b": 2}');
select is(errors,
    '[{"field": "/params/a", "message": "must have at most 3 characters"}, {"field": "/params/b", "message": '
    '"is required"}]', 'each parameter that is wrong is told')
  from kiln_internal.check_params(pg_temp.schema(), '{"a": "four"}');
select is(errors -> 0 ->> 'field', '/params/a~1b~0', 'a key is told as a part of a pointer')
  from kiln_internal.check_params(pg_temp.schema(), '{"b": 1, "a/b~": 1}');
select is(jsonb_array_length(errors), 9, 'of 2,000 unknown keys eight are told, beside what is missing')
  from kiln_internal.check_params(pg_temp.schema(), pg_temp.keys(2000));
select is(errors, '[{"field": "/params", "message": "must have at most 64 KiB"}]',
          'what is larger than any parameters is not looked at')
  from kiln_internal.check_params(pg_temp.schema(), pg_temp.keys(20000));
select is(jsonb_array_length(kiln_internal.unknown_fields(pg_temp.keys(20000), '{}')), 8, 'of a body too');

-- Lists -----------------------------------------------------------------------------------------------------

select is(kiln_internal.texts('["a", 7, null, ["x"], true]', 5), '{a,7,null,null,null}',
          'a list is its strings and numbers');
select is(kiln_internal.texts(v, 2), null, format('%s is no list of at most two', left(v::text, 20)))
  from (values ('"a"'::jsonb), ('{}'), ('null'), ('["a", "b", "c"]')) l (v);
select is(kiln_internal.texts((select jsonb_agg('1e131071'::numeric) from generate_series(1, 101)), 100),
          null, 'a list that is too long is refused before one element is written out');
select is(kiln_internal.text_field('{"a": [1e131071]}', 'a'), null,
          'a field that is no string is not written out');
select is(kiln_internal.plain_field('{"a": 12}', 'a'), '12', 'a number is, where one may stand');
select is(kiln_internal.plain_field('{"a": [1e131071]}', 'a'), '[]',
          'a list is told to be one, and not written out');
select is(kiln_internal.plain_field('{"a": {"b": 1e131071}}', 'a'), '{}', 'so is an object');
select is(kiln_internal.plain_field(v, 'a'), null, format('%s has no such field', v))
  from (values ('{"a": null}'::jsonb), ('{}'), ('[1]'), ('7')) l (v);

-- Sentences -------------------------------------------------------------------------------------------------

select is(kiln_internal.shorten('one two three', 13), 'one two three', 'what fits stays as it is');
select is(kiln_internal.shorten('one two, three', 10), 'one two…', 'what does not ends after a word');
select is(kiln_internal.shorten(repeat('x', 20), 10), repeat('x', 9) || '…',
          'one long word is cut where it is');
select is(kiln_internal.shorten('日本 語の文章です', 6), '日本 語の…', 'characters are counted, and none is cut');

create function pg_temp.refused(p_count int, p_message text) returns jsonb language sql as $$
    select fixture.refusal(format('select kiln_internal.refuse_fields(%L)',
                                  (select jsonb_agg(jsonb_build_object('field', '/field' || i,
                                                                       'message', p_message))
                                     from generate_series(1, p_count) i)))
$$;
select is(pg_temp.refused(2, 'is wrong') ->> 'message', '/field1 is wrong; /field2 is wrong',
          'the sentence names every field');
select is(pg_temp.refused(9, 'is wrong') ->> 'message', (select string_agg('/field' || i || ' is wrong', '; ')
                                                           from generate_series(1, 8) i) || '; and more',
          'or says that there are more');
create temporary table told as
    select format('of %s errors of %s characters', n, length(m)) as what, r ->> 'message' as message,
           (r ->> 'detail')::jsonb as fields, octet_length(r ->> 'detail') as bytes
      from (values (1, 'is wrong'), (8, 'must be one of ' || repeat('word, ', 400) || 'ends'),
            (3, 'must be one of ' || repeat('Größenänderung ', 60) || 'ends'),
                   (40, repeat('日本', 400)), (1, repeat('ab ', 800) || 'ends')) v (n, m)
     cross join lateral pg_temp.refused(n, m) r;
select cmp_ok(octet_length(message), '<', 512, 'a program can keep the sentence ' || what) from told;
select cmp_ok(bytes, '<', 2048, 'and the detail ' || what) from told;
select matches(message, '(…|wrong|ends|; and more)$', 'it does not end in its middle, ' || what) from told;
select ok((select bool_and(e ->> 'message' ~ '(…|wrong|ends)$')
             from jsonb_array_elements(fields) e), 'nor do those of the fields, ' || what) from told;

-- Through the API -------------------------------------------------------------------------------------------

create function pg_temp.estimate(p_body jsonb) returns text language sql as $$
    select fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'ann',
                                     'estimate_generation', p_body))
$$;
select is(pg_temp.estimate(jsonb_build_object('type', 'image', 'prompt', '[1]'::jsonb)), '/prompt',
          'a prompt is a string');
select is(pg_temp.estimate(jsonb_build_object('type', 'image', 'prompt', 'x', 'seed', '[1]'::jsonb)), '/seed',
          'a seed is no list');
select is(pg_temp.estimate(jsonb_build_object('type', 'image', 'prompt', 'x', 'params', pg_temp.keys(9))),
          (select string_agg(f, ' ' order by f)
             from (select '/params/key-' || i as f from generate_series(1, 8) i) k),
          'unknown parameters are named');
select is(fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'ann', 'create_api_key',
                                    jsonb_build_object('name', 'k',
                                                       'scopes', to_jsonb(array_fill('read'::text,
                                                           '{16000}'))))),
          '/scopes', '16,000 scopes are more than there are');
select is(fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'ann',
                                    'create_webhook_endpoint',
                                    jsonb_build_object('url', 'https://example.com',
                                                       'types', to_jsonb(array_fill('job.completed'::text,
                                                           '{16000}'))))),
          '/types', 'so are as many types of events');
select * from finish();
rollback;

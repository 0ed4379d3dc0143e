-- Generations over REST, as the server calls them: with its role, and the token's context in the same
-- statement.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00.250Z') \g /dev/null

create function pg_temp.post(p_sub text, p_body jsonb) returns jsonb language sql
as $$ select fixture.call(p_sub, 'create_generation', p_body => p_body::text) $$;
create function pg_temp.fields(p_body text) returns text language sql
as $$ select fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'ann',
                                       'create_generation', p_body)) $$;

-- Made ------------------------------------------------------------------------------------------------------

create temporary table made as select pg_temp.post('ann',
                  '{"type": "image", "prompt": "a lighthouse", "seed": 42, "params": {"width": 512}}') as job;
select is(job - 'id' - 'links' - 'params',
          '{"kind": "generation", "media_type": "image", "state": "queued", "prompt": "a lighthouse",
             "model": "local/sketch", "seed": "42",
            "progress": {"fraction": 0, "stage": 1, "stages": 3, "label": "prepare"}, "queue_position": 1,
            "attempts": 0,
            "cost": {"estimated": 0, "actual": null, "currency": "USD"}, "error": null, "media": [],
            "outputs": [], "result_url": null, "parent_id": null, "version": 1,
            "created_at": "2030-01-01T12:00:00.250Z", "started_at": null, "finished_at": null}', 'a generation is made and shown as the contract says') from made;
select is(job -> 'params',
          '{"width": 512, "height": 768, "format": "png", "quality": 88, "motif": "auto", "caption": true}',
          'with the model''s defaults where nothing was said') from made;
select is(job -> 'links', (select jsonb_build_object('self', p, 'events', '/api/v1/events',
                                                     'cancel', p || '/cancel', 'retry', p || '/retry')
                             from (select '/api/v1/generations/' || (job ->> 'id') as p) x),
          'and where to go from here') from made;
select is((select input::jsonb from kiln.job where job_id = (job ->> 'id')::bigint),
          jsonb_build_object('prompt', 'a lighthouse', 'params', job -> 'params', 'seed', '42',
                             'media', '[]'::jsonb, 'media_type', 'image', 'model', 'local/sketch'),
          'the runner is told all of it') from made;
select matches(pg_temp.post('ann', '{"type": "image", "prompt": "x"}') ->> 'seed', '^[0-9]{1,16}$',
               'without a seed one is drawn, that JavaScript can hold');
select is(pg_temp.post('ann', '{"type": "video", "prompt": "x"}') ->> 'model', 'local/slideshow',
          'each type has its default model');
select is(pg_temp.post('ann', '{"type": "audio", "model": "local/speech", "prompt": "x"}') ->> 'model',
          'local/speech', 'or the one that was asked for');
select is(pg_temp.post('ann', jsonb_build_object('type', 'image',
                                                 'media', jsonb_build_array(fixture.media()::text)))
          -> 'media' -> 0 ->> 'bytes', '1000', 'with pictures no words are needed');
select is(pg_temp.post('ann',
                       '{"type": "image", "prompt": "x", "seed": "9223372036854775807", "variants": 1}')
          ->> 'seed', '9223372036854775807', 'the largest seed is kept to the digit');

-- Refused: every field that is wrong, by its JSON pointer, all at once.
select is(pg_temp.fields(body), wanted, claim)
  from (values ('{}', '/prompt /type', 'nothing is not enough'),
               ('{"type": "smell", "prompt": "x"}', '/type', 'an unknown type'),
               ('{"type": 7, "prompt": "x"}', '/type', 'a type that is no word'),
               ('{"type": "image", "prompt": "  "}', '/prompt', 'a prompt of blanks'),
               ('{"type": "image", "prompt": 7}', '/prompt', 'a prompt that is no string'),
               ('{"type": "image", "prompt": {"a": 1}}', '/prompt', 'a prompt that is an object'),
               (jsonb_build_object('type', 'image', 'prompt', repeat('ä', 4001))::text, '/prompt',
                'a prompt of 8002 bytes'),
               ('{"type": "image", "prompt": "x", "model": "local/nothing"}', '/model',
                'a model that is not there'),
               ('{"type": "image", "prompt": "x", "model": "local/speech"}', '/model',
                'a model of another type'),
               ('{"type": "image", "prompt": "x", "model": null}', '/model', 'a model that is null'),
               ('{"type": "image", "prompt": "x", "seed": -1}', '/seed', 'a negative seed'),
               ('{"type": "image", "prompt": "x", "seed": 1.5}', '/seed', 'half a seed'),
               ('{"type": "image", "prompt": "x", "seed": "9223372036854775808"}', '/seed',
                'a seed that does not fit'),
               ('{"type": "image", "prompt": "x", "seed": [1]}', '/seed', 'a list of seeds'),
               ('{"type": "image", "prompt": "x", "variants": 9}', '/variants', 'nine variants'),
               ('{"type": "image", "prompt": "x", "variants": "2"}', '/variants',
                'variants that are no number'),
               ('{"type": "image", "prompt": "x", "media": "7"}', '/media', 'media that are no list'),
               ('{"type": "image", "prompt": "x", "media": ["1","1","1","1","1","1","1","1","1","1","1",'
                '"1","1"]}', '/media', 'thirteen media'),
               ('{"type": "image", "prompt": "x", "media": ["999999999", "x", null, {"a": 1}]}',
                '/media/0 /media/1 /media/2 /media/3', 'media that are not there, each by its place'),
               ('{"type": "image", "prompt": "x", "params": []}', '/params', 'params that are no object'),
               ('{"type": "image", "prompt": "x", "params": {"width": "512", "height": 100, "quality": 101, '
                '"motif": "cow", "caption": 1, "format": 7}}',
                '/params/caption /params/format /params/height /params/motif /params/quality /params/width',
                'every parameter that is wrong'),
               ('{"type": "image", "prompt": "x", "params": {"width": 512.5}}', '/params/width',
                'half a pixel'),
               ('{"type": "video", "prompt": "x", "params": {"width": 513}}', '/params/width',
                'an odd width of a film'),
               ('{"type": "image", "prompt": "x", "params": {"colour": 1}}', '/params/colour',
                'a parameter that the model has not'),
               ('{"type": "image", "prompt": "x", "params": {"a/b~c": 1}}', '/params/a~1b~0c',
                'a name with / and ~, escaped as a JSON pointer wants it'),
               ('{"type": "image", "prompt": "x", "a/b": 1}', '/a~1b', 'in the body too'),
               ('{"type": "image", "prompt": "x", "admin": true}', '/admin', 'a field that is not one'),
               ('{"type": "audio", "media": [], "surprise": 1, "seed": "x"}', '/prompt /seed /surprise',
                'several at once'),
               ('[1]', 'KN006', 'a body that is no object is malformed'),
               ('{"type":', 'KN006', 'so is one that is no JSON'),
               ('', '/prompt /type', 'an empty body is an empty object'),
               ('{"type": "image", "prompt": "a\u0000b"}', 'KN006',
                'a character that no text can hold is malformed'),
               (repeat('[', 100000), 'KN006', 'so is one nested beyond reason')) as v (body, wanted, claim);
select is(fixture.bad_fields(format('select pg_temp.post(%L, %L)', 'ann',
                                    jsonb_build_object('type', 'image', 'prompt', 'x',
                                                       'media', jsonb_build_array(fixture.media('bob')::text)))), '/media/0', 'somebody else''s picture is none');
insert into kiln.media (account_id, role, state, media_type, content_type, bytes)
select fixture.account('ann'), 'input', 'uploading', 'image', 'image/png', 1
returning media_id as uploading \gset
select is(pg_temp.fields(format('{"type": "image", "prompt": "x", "media": ["%s"]}', :uploading)), '/media/0',
          'nor is one that is still on its way');
select is((fixture.refusal($$ select pg_temp.post('ann', '{"type": "image"}') $$) ->> 'detail')::jsonb,
          '[{"field": "/prompt", "message": "is required unless there is media"}]',
          'each error is a field and a sentence');
select is((select count(*)::int from kiln.job where created_at = kiln_internal.now()
              and account_id = fixture.account('bob')), 0, 'what is refused makes nothing');

-- Variants, and what they would cost.
create temporary table v as select pg_temp.post('ann',
                 '{"type": "image", "prompt": "in four", "variants": 4, "seed": 9223372036854775806}') as job;
select is((select array_agg(j.input ->> 'seed' order by j.job_id) from kiln.job j, v
            where j.job_id = (job ->> 'id')::bigint or j.parent_id = (job ->> 'id')::bigint),
          '{9223372036854775806,9223372036854775807,0,1}',
          'four variants are four jobs with the next seeds, under the first');
update kiln.model set price_micros = 250 where name = 'local/sketch';
select is(fixture.call('ann', 'estimate_generation',
                       p_body => '{"type": "image", "prompt": "x", "variants": 4}'),
          '{"estimated": 1000, "currency": "USD"}', 'and cost four times as much, as one can ask before');
select is(fixture.bad_fields($$ select fixture.call('ann', 'estimate_generation',
    p_body => '{"type": "image", "params": {"width": 1}}') $$), '/params/width /prompt',
          'what would be refused has no price');
select is(fixture.refusal($$ select fixture.call(null, 'estimate_generation',
                                                 p_body => '{"type": "image", "prompt": "x"}') $$) ->> 'code',
          'KN009', 'nor has anything for nobody');
update kiln.model set price_micros = 0 where name = 'local/sketch';

-- A schema's other words: required, lengths.
update kiln.model set example = '{"prompt": "x", "params": {"style": "abc"}}',
       params_schema
       = '{"type": "object", "required": ["style"], "properties": {"style": {"type": "string", "minLength": '
         '2, "maxLength": 5}, "ratio": {"type": "number", "minimum": 0.5}}}' where name = 'local/sketch';
select is(pg_temp.fields('{"type": "image", "prompt": "x"}'), '/params/style',
          'a parameter that is required');
select is(pg_temp.fields(format('{"type": "image", "prompt": "x", "params": {"style": "%s", "ratio": 0.4}}',
                                s)), '/params/ratio /params/style', 'a length out of bounds: ' || s)
  from unnest('{a,abcdef}'::text[]) s;
select is(pg_temp.fields('{"type": "image", "prompt": "x", "params": {"style": "abc", "ratio": 0.5}}'), null,
          'and within them');
update kiln.provider set is_enabled = false;
select is(pg_temp.fields('{"type": "image", "prompt": "x", "params": {"style": "abc"}}'), '/model',
          'without a provider there is no model');
update kiln.provider set is_enabled = true;

-- Whose -----------------------------------------------------------------------------------------------------

create temporary table mine as select jsonb_build_object('id', job ->> 'id') as path from made;
create function pg_temp.code(p_sub text, p_function text, p_path jsonb, p_body text default null) returns text
language sql as $$
    select fixture.refusal(format('select fixture.call(%L, %L, %L, %L, %L)', p_sub, p_function, p_path, '{}',
                                  p_body)) ->> 'code'
$$;
select is(pg_temp.code('ann', 'get_generation', path), null, 'one''s own job is there') from mine;
select is(pg_temp.code('bob', f, path), 'KN002', f || ': somebody else''s job is not there')
  from mine, unnest('{get_generation,cancel_generation,retry_generation,delete_generation}'::text[]) f;
select is(pg_temp.code('ann', f, '{"id": "999999999"}'), 'KN002', f || ': nor is one that never was')
  from unnest('{get_generation,cancel_generation,retry_generation,delete_generation}'::text[]) f;
select is(pg_temp.code('ann', 'get_generation', jsonb_build_object('id', i)), 'KN002',
          format('nothing has the id %L', i))
  from unnest(array['x', '', '-1', '1.5', '99999999999999999999', '1 or 1=1', null]) i;
select is(pg_temp.code(null, f, path, '{}'), 'KN009', f || ': without a token there is nothing')
  from mine, unnest('{create_generation,list_generations,get_generation,cancel_generation,retry_generation,'
                    'delete_generation}'::text[]) f;
select is(fixture.job_state((path ->> 'id')::bigint), 'queued', 'and all of that changed nothing') from mine;
select throws_ok($$ select kiln_api.get_generation(fixture.account('bob'), path, '{}', null)
                      from mine, kiln_api.act_as('{"sub": "ann"}') $$, 'KN009', null,
                 'a function called for another than the one who acts is refused');

set role kiln_owner; update kiln.account set is_suspended = true
                      where account_id = fixture.account('bob'); reset role;
select is(pg_temp.code('bob', 'list_generations', '{}'), 'KN009', 'a suspended account is refused');
set role kiln_owner; update kiln.account set is_suspended = false where deleted_at is null; reset role;
select is(fixture.refusal(format('select kiln_api.act_as(%L)', jsonb_build_object('sub', s))) ->> 'code',
          'KN009', 'a subject of ' || length(s) || ' characters is refused')
  from unnest(array['', repeat('x', 256)]) s;
select isnt(kiln_api.act_as('{"sub": "ann", "iss": "https://elsewhere"}'), fixture.account('ann'),
            'the same subject of another issuer is another account');
select is(kiln_api.act_as('{"sub": "new one"}'), kiln_api.act_as('{"sub": "new one"}'),
          'an account is made when it is first seen, and only then');

-- Cancel, retry, delete -------------------------------------------------------------------------------------

select is(fixture.call('ann', 'cancel_generation', path) ->> 'state', 'cancelled',
          'a queued generation is cancelled at once') from mine;
select is(pg_temp.code('ann', 'cancel_generation', path), 'KN001', 'and only once') from mine;
select is(fixture.call('ann', 'get_generation', path) -> 'error',
          '{"code": "cancelled", "message": "Cancelled.", "charged": false}', 'it says why it ended')
  from mine;
create temporary table again as select fixture.call('ann', 'retry_generation', path, p_body => '') as job
                                  from mine;
select is((again.job ->> 'parent_id', again.job ->> 'state', again.job ->> 'seed',
           again.job -> 'params')::text, (path ->> 'id', 'queued', '42', made.job -> 'params')::text,
          'a retry is a new job of the same request, with the old one for a parent') from again, mine, made;
select is(fixture.call('ann', 'retry_generation', path,
                       p_body => '{"seed": 7, "prompt": "a tower", "reason": "too dark"}') ->> 'prompt',
          'a tower', 'or of another') from mine;
select isnt(fixture.call('ann', 'retry_generation', path, p_body => '{"seed": "new"}') ->> 'seed', '42',
            'or with a new seed') from mine;
select is(fixture.bad_fields(format('select fixture.call(%L, %L, %L, %L, %L)', 'ann', 'retry_generation',
                                    path, '{}', body)), wanted, 'a retry with ' || body || ' is refused')
  from mine, (values ('{"seed": "old"}', '/seed'), ('{"seed": -1}', '/seed'),
              ('{"seed": "9223372036854775808"}', '/seed'), ('{"prompt": " "}', '/prompt'),
              ('{"prompt": 7, "colour": 1}', '/colour /prompt'),
              ('{"reason": {"a": 1}}', '/reason')) as v (body, wanted);
select is(fixture.bad_fields(format('select fixture.call(%L, %L, %L, %L, %L)', 'ann', 'retry_generation',
                                    path, '{}', jsonb_build_object('reason', repeat('x', 1001)))), '/reason',
          'so is one with a novel for a reason') from mine;
select is(pg_temp.code('ann', f, jsonb_build_object('id', job ->> 'id')), 'KN001',
          f || ': not before it has ended')
  from again, unnest('{retry_generation,delete_generation}'::text[]) f;
select is(fixture.call('ann', 'delete_generation', path), null,
          'what has ended can be deleted, and there is nothing to say') from mine;
select is(pg_temp.code('ann', 'get_generation', path), 'KN002', 'then it is gone') from mine;

-- Lists -----------------------------------------------------------------------------------------------------

delete from kiln.job where finished_at is not null;
create temporary table b as select fixture.account('bob') as account_id, array(
    select kiln.enqueue('local/' || case when n % 5 = 0 then 'audio' else 'image' end,
                        jsonb_build_object('prompt', 'Request Nr. ' || n), fixture.account('bob'),
                        p_media_type => (case when n % 5 = 0 then 'audio' else 'image' end)::kiln.media_type)
      from generate_series(1, 25) n) as ids;
create function pg_temp.list(p_query jsonb) returns jsonb language sql
as $$ select fixture.call('bob', 'list_generations', p_query => p_query) $$;
create function pg_temp.ids(p_page jsonb) returns bigint[] language sql
as $$ select coalesce(array_agg((i ->> 'id')::bigint order by n), '{}')
        from jsonb_array_elements(p_page -> 'items') with ordinality as x (i, n) $$;
select is(pg_temp.ids(pg_temp.list('{}')), (select array_agg(u order by u desc)
                                              from unnest(ids[6:25]) u), 'a list shows twenty, newest first')
  from b;
create temporary table walk (n int, page jsonb);
insert into walk with recursive w as (
    select 1 as n, pg_temp.list('{"limit": "10"}') as page
    union all select n + 1, pg_temp.list(jsonb_build_object('limit', '10', 'cursor', page ->> 'next_cursor'))
                from w where page ->> 'next_cursor' is not null and n < 9) select * from w;
select is((select array_agg(u) from (select unnest(pg_temp.ids(page)) as u from walk order by n) x),
          (select array_agg(u order by u desc) from b, unnest(ids) u),
          'walking by the cursor shows each job once, and all of them');
select is((select array_agg(jsonb_array_length(page -> 'items') order by n)
             from walk), '{10,10,5}', 'in pages of the size that was asked for');
select is((select page -> 'next_cursor' from walk
            where n = 3), 'null', 'the last page says that it is the last');
select is(jsonb_array_length(pg_temp.list('{"type": "audio"}') -> 'items'), 5, 'filtered by type');
select is(jsonb_array_length(pg_temp.list('{"state": "queued", "limit": "100"}') -> 'items'), 25, 'by state');
select is(pg_temp.list('{"state": "failed"}'), '{"items": [], "next_cursor": null}',
          'an empty list is a list');
select is(pg_temp.ids(pg_temp.list('{"q": "request nr. 17"}')), array[ids[17]],
          'by words of the prompt, whatever their case') from b;
select is(pg_temp.ids(pg_temp.list('{"q": "%"}')), '{}', 'which are words, not patterns');
select is(fixture.refusal(format('select pg_temp.list(%L)', q)) ->> 'code', 'KN006', 'malformed: ' || q)
  from unnest('{"{\"limit\": \"0\"}","{\"limit\": \"101\"}","{\"limit\": \"x\"}","{\"limit\": \"-1\"}",'
              '"{\"type\": \"smell\"}","{\"state\": \"sad\"}","{\"cursor\": \"!\"}","{\"cursor\": \"eA\"}",'
              '"{\"cursor\": \"/w\"}","{\"cursor\": \"OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk\"}"}'::text[]) q;

-- Where it stands in its queue.
select is((fixture.call('bob', 'get_generation',
                        jsonb_build_object('id', ids[3]::text)) ->> 'queue_position')::int,
          (select count(*)::int from kiln.task_ready t
             join kiln.task_ready own on own.job_id = ids[3] and t.queue_id = own.queue_id
              and (t.virtual_time, t.task_id) <= (own.virtual_time, own.task_id)),
          'one can see which in its queue one is') from b;
select kiln.enqueue_many('local/image', array(select '{}'::jsonb
                                                from generate_series(1, 1000)),
                         fixture.account('ann')) \g /dev/null
select is(fixture.call('ann', 'create_generation',
                       p_body => '{"type": "image", "prompt": "x", "params": {"style": "abc"}}')
          -> 'queue_position', 'null', 'beyond a thousand it is not counted');
-- A model that works on what it is given.
update kiln.model set min_media = 1, example = '{"prompt": "x"}',
       params_schema = '{"type": "object", "properties": {}}' where name = 'local/sketch';
select is(fixture.bad_fields($$ select fixture.call('ann', 'create_generation',
    p_body => '{"type": "image", "prompt": "make it winter"}') $$), '/media',
          'a model that works on a picture is not asked without one');
select lives_ok(format($$ select fixture.call('ann', 'create_generation',
    p_body => '{"type": "image", "prompt": "make it winter", "media": ["%s"]}') $$,
                       fixture.media(p_name => 'winter')), 'with one it is');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

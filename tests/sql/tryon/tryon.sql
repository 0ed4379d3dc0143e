-- Try-ons as administrators make them: categories, lists by groups, reasons, and the version of a pipeline
-- that each keeps.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create function pg_temp.files(p_n int) returns jsonb language sql as $$
    select coalesce(jsonb_agg(jsonb_build_object('storage_key', substr(h, 1, 2) || '/' || substr(h, 3, 30),
                                                 'bytes', 10, 'sha256', encode(sha256(convert_to('file ' || i,
                                                        'UTF8')), 'hex'),
                                        'content_type', case when i = 3 then 'video/mp4'
                                                             else 'image/png' end)), '[]')
      from generate_series(1, p_n) i
     cross join lateral (select encode(sha256(convert_to(clock_timestamp()::text || i, 'UTF8')),
                                       'hex') as h) h
$$;
create function pg_temp.post(p_body jsonb, p_files int default 0, p_sub text default 'admin',
                             p_key text default null) returns jsonb language sql as $$
    select fixture.call(p_sub, 'create_tryon',
                        p_body => jsonb_build_object('body', p_body, 'files', pg_temp.files(p_files))::text,
                        p_key => p_key)
$$;
create function pg_temp.fields(p_body jsonb, p_files int default 0) returns text language sql
as $$ select fixture.bad_fields(format('select pg_temp.post(%L, %s)', p_body, p_files)) $$;

-- The check of one file of a try-on, as a runner ends it: the clean copy, or the reason why there is none.
create function pg_temp.check_file(p_media_id bigint, p_reason text default null) returns void
language plpgsql as $$
declare t kiln_runner.claimed; h text := encode(sha256(convert_to('clean ' || p_media_id, 'UTF8')), 'hex');
begin
    t := fixture.start((select check_job_id from kiln.media where media_id = p_media_id));
    if p_reason is not null then
        perform kiln_runner.fail(t.task_id, t.fence, 'invalid', p_reason);
        return;
    end if;
    perform kiln_runner.put_media(t.task_id, t.fence,
                                  jsonb_build_object('storage_key', substr(h, 1, 2) || '/'
                                                     || substr(h, 3, 30), 'role', 'input',
                                                     'media_type', 'image', 'content_type', 'image/png',
                                                                         'bytes', 8, 'sha256', h, 'width', 4,
                                                                             'height', 4));
    perform kiln_runner.complete(t.task_id, t.fence);
end $$;
create function pg_temp.inputs(p_job_id bigint) returns setof bigint language sql
as $$ select i::bigint from kiln.job, jsonb_array_elements_text(input -> 'media') as i where job_id = p_job_id
       order by 1 $$;
create function pg_temp.check_files(p_job_id bigint) returns void language sql
as $$ select pg_temp.check_file(i) from pg_temp.inputs(p_job_id) i $$;

create temporary table made as select pg_temp.post('{"category": "outfit", "prompt": "the blue coat", '
                                                   '"seed": 7}', 3) as job;
select is(jsonb_build_array(job -> 'kind', job -> 'state', job -> 'category', job -> 'media_type',
                            job -> 'pipeline', job -> 'seed', job -> 'links' ->> 'self'),
          jsonb_build_array('tryon', 'queued', 'outfit', 'image', '{"name": "tryon", "version": 1}'::jsonb,
                            '7', '/api/v1/tryons/' || (job ->> 'id')),
          'a try-on is a job of its category''s pipeline') from made;
select is((select array_agg(m ->> 'media_type' order by n)
             from jsonb_array_elements(job -> 'media') with ordinality x (m, n)), '{image,image,video}',
          'with the pictures and the film that came, in their order') from made;
select is(pg_temp.fields(b, f), w, c) from (values
    ('{}'::jsonb, 0, '/category /media /prompt', 'nothing is not enough'),
                                            ('{"category": "hats", "prompt": "x"}', 1, '/category',
                                             'a category that is not there'),
    ('{"category": "outfit", "prompt": "x"}', 0, '/media', 'no picture'),
        ('{"category": "outfit", "prompt": "x", "params": {}, "medias": []}', 1, '/medias /params',
         'fields that are none'),
    ('{"category": "outfit"}', 13, '/media', 'thirteen files'),
                                            ('{"category": "outfit", "media": ["999999999"]}', 1, '/media/0',
                                             'media that is not there'),
    ('{"category": "clothes"}', 1, '/category', 'a category whose provider has no key here'),
                                            ('{"category": "outfit", "prompt": 7, "seed": -1}', 1,
                                             '/prompt /seed', 'several at once')) v (b, f, w, c);
select is((select count(*)::int from kiln.media where bytes = 10), 3, 'what is refused keeps no media');
select is(pg_temp.post('{"category": "outfit"}', 2, p_key => 'k') ->> 'id',
          pg_temp.post('{"category": "outfit"}', 2, p_key => 'k') ->> 'id',
          'the same bytes under one Idempotency-Key are one try-on, whatever the store calls them');
select is((select count(*)::int from kiln.trash), 2, 'and the second copy goes');
select throws_ok($$ select pg_temp.post('{"category": "outfit"}', 1, p_key => 'k') $$, 'KN005', null,
                 'other bytes are another request');

select throws_ok(format('select fixture.call(%L, %L, %L)', who, f,
                        (select jsonb_build_object('id', job ->> 'id', 'name', 'outfit') from made)), code,
                 null, coalesce(who, 'nobody') || ' is refused: ' || f)
  from (values ('ann', 'KN004'), (null, 'KN009')) w (who, code),
       unnest('{begin_tryon,create_tryon,get_tryon,list_tryons,cancel_tryon,retry_tryon,list_queues,'
              'list_runners,pause_queue,resume_queue,list_pipelines,get_pipeline,put_pipeline,'
              'list_categories,put_category}'::text[]) f;
select fixture.act_as('ann') \g /dev/null
set local role kiln_definer;
select is((select count(*)::int from kiln.job where kind = 'tryon') + (select count(*)::int
                                                        from kiln.category), 0,
          'behind the functions stands row-level security: a user sees no try-on and no category');
reset role;

-- Groups
create function pg_temp.ids(p_query jsonb) returns bigint[] language sql
as $$ select coalesce(array_agg((i ->> 'id')::bigint order by n), '{}')
        from jsonb_array_elements(fixture.call('admin', 'list_tryons',
                                               p_query => p_query) -> 'items') with ordinality x (i, n) $$;
create temporary table t as select (job ->> 'id')::bigint as id from made;
select is(id = any (pg_temp.ids('{"state": "pending"}')), true, 'what waits is pending') from t;
select is(fixture.call('admin', 'cancel_tryon', jsonb_build_object('id', id::text)) ->> 'state', 'cancelled',
          'it can be cancelled') from t;
select is((id = any (pg_temp.ids('{"state": "pending"}')), id = any (pg_temp.ids('{"state": "error"}')),
           id = any (pg_temp.ids('{"state": "cancelled", "category": "outfit"}')),
           id = any (pg_temp.ids('{"category": "runway"}')))::text, '(f,t,t,f)', 'then it is of the errors')
  from t;
select is(pg_temp.ids('{"state": "processed"}'), '{}', 'and not processed') from t;
select is(fixture.refusal($$ select pg_temp.ids('{"state": "tired"}') $$) ->> 'code', 'KN006',
          'a state that is none is malformed');

-- The pipeline: another version for new ones, the old one for those that have begun
create temporary table p as select (fixture.call('admin', 'get_pipeline', '{"name": "tryon"}')) as body;
select is((select array_agg(s ->> 'name' order by n)
             from jsonb_array_elements(body -> 'stages') with ordinality x (s, n)), '{prepare,dress,finish}',
          'an administrator sees the stages in order') from p;
create temporary table running as select (pg_temp.post('{"category": "outfit"}', 1) ->> 'id')::bigint as id;
create function pg_temp.put(p_body jsonb) returns jsonb language sql
as $$ select fixture.call('admin', 'put_pipeline', p_body => p_body::text) $$;
select is(pg_temp.put(body - 'versions' - 'created_at'
                      || jsonb_build_object('stages', jsonb_build_array(body -> 'stages' -> 0,
                                                                        body -> 'stages' -> 2,
                                                                        body -> 'stages' -> 1))) -> 'version',
          '2', 'stages are written in another order, as version 2') from p;
select throws_ok(format('select pg_temp.put(%L)', body - 'versions' - 'created_at'), 'KN001', null,
                 'who read version 1 is too late') from p;
select is(fixture.call('admin', 'get_tryon', jsonb_build_object('id', id::text)) -> 'pipeline' ->> 'version',
          '1', 'a job ends with the version it began with') from running;
select is(pg_temp.post('{"category": "outfit"}', 1) -> 'pipeline' ->> 'version', '2',
          'a new one takes the newest');
select is(fixture.call('admin', 'put_category', '{"name": "outfit"}',
                       p_body => '{"version": 1}') ->> 'version', '1',
          'a category may stay with the old one');
select is(pg_temp.post('{"category": "outfit"}', 1) -> 'pipeline' ->> 'version', '1', 'and its try-ons do');
select is(fixture.bad_fields(format('select pg_temp.put(%L)', jsonb_build_object('name', 'x', 'stages', s))),
          f, c) from (values
    ('[]'::jsonb, '/stages', 'no stage'),
        ('[{"name": "a", "handler": "magic", "queue": "local"}]', '/stages/0/handler',
         'a handler that is not there'),
    ('[{"name": "a", "handler": "media", "queue": "local"}]', '/stages/0/config/op',
     'a config that lacks what its handler needs'),
    ('[{"name": "a", "handler": "log", "queue": "lane"}]', '/stages/0/queue', 'a queue that is not there'),
    ('[{"name": "a", "handler": "log", "queue": "local"}, {"name": "a", "handler": "log", "queue": "local"}]',
     '/stages/1/name', 'two stages of one name'),
    ('[{"name": "A b", "handler": "log", "queue": "local", "when": 1}, 7]',
     '/stages/0/name /stages/0/when /stages/1', 'several at once'),
    ('[{"name": "a", "handler": "log", "queue": "local", "time_limit_s": 0.01}]', '/stages/0/time_limit_s',
     'a limit out of bounds'),
    ('[{"name": "a", "handler": "log", "queue": "local", "max_attempts": 0}]', '/stages/0/max_attempts',
     'no attempt at all')) v (s, f, c);
select is((select count(*)::int from kiln.pipeline
            where name = 'x'), 0, 'and nothing of a refused pipeline stays');
select is(fixture.bad_fields(format('select fixture.call(%L, %L, %L, p_body => %L)', 'admin', 'put_category',
                                    '{"name": "hats"}', b)), f, 'a category is refused: ' || b)
  from (values ('{}', '/media_type /pipeline'),
        ('{"pipeline": "no", "media_type": "smell"}', '/media_type /pipeline'),
        ('{"pipeline": "tryon", "media_type": "image", "version": 9}', '/version'),
        ('{"price": "dear"}', '/price'),
        ('{"price": -1, "pipeline": "tryon", "media_type": "image"}', '/price')) v (b, f);

-- A bad result
create temporary table bad as select (pg_temp.post('{"category": "outfit", "prompt": "x"}',
                                                   1) ->> 'id')::bigint as id;
select pg_temp.check_files(id) from bad \g /dev/null
select fixture.start(id) from bad \g /dev/null
select fixture.complete(id) from bad \g /dev/null
select fixture.start(id) from bad \g /dev/null
select fixture.complete(id) from bad \g /dev/null
select fixture.start(id) from bad \g /dev/null
select fixture.complete(id) from bad \g /dev/null
select is(id = any (pg_temp.ids('{"state": "processed"}')), true, 'what is done is processed') from bad;
create temporary table better as select fixture.call('admin', 'retry_tryon',
                                                     jsonb_build_object('id', id::text),
                                                     p_body => '{"reason": "the sleeves are wrong", '
                                                         '"seed": "new"}') as job from bad;
select is((job ->> 'parent_id', job ->> 'reason', job ->> 'kind', job ->> 'category')::text,
          (id::text, 'the sleeves are wrong', 'tryon', 'outfit')::text,
          'it is asked for again with the reason') from better, bad;
select is((select input ->> 'reason' from kiln.job
            where job_id = (job ->> 'id')::bigint), 'the sleeves are wrong',
          'which the new job''s stages read') from better;
select matches((select a.message from kiln.attempt a
                 where a.job_id = id and a.outcome = 'rejected'), 'sleeves',
               'and which ends the old job''s history') from bad;

-- The same words and seed made the same bad picture again.
select is((j ->> 'seed') = (old ->> 'seed'), same, 'where no seed is said, ' || c)
  from bad, fixture.call('admin', 'get_tryon', jsonb_build_object('id', id::text)) old,
       (values ('{"reason": "the sleeves are wrong"}', false, 'a reason brings another'),
        ('{}', true, 'it stays without a reason'), ('{"reason": " "}', true, 'a blank is no reason'),
               ('{"reason": "no", "prompt": "red"}', true, 'other words keep it'),
        ('{"reason": "no", "seed": "same"}', true, 'and where it is, that counts')) v (b, same, c),
       lateral fixture.call('admin', 'retry_tryon', jsonb_build_object('id', id::text), p_body => b) j;

-- Bytes that come in the body are uploads: nothing of a job runs, whatever its pipeline, before each was
-- checked; and it runs on what the check made.
create temporary table raw as select (pg_temp.post('{"category": "outfit", "prompt": "x"}',
                                                   2) ->> 'id')::bigint as id;
create temporary table input as select i as media_id, row_number() over (order by i) as n
                                  from raw, pg_temp.inputs(id) i;
select is((select array_agg(m ->> 'state')
             from raw, jsonb_array_elements(fixture.call('admin', 'get_tryon',
                                                         jsonb_build_object('id', id::text)) -> 'media') m),
          '{checking,checking}', 'files that came in a body are being checked');
select is((select array_agg(m ->> 'url')
             from raw, jsonb_array_elements(fixture.call('admin', 'get_tryon',
                                                         jsonb_build_object('id', id::text)) -> 'media') m),
          '{null,null}', 'and nobody gets them before');
select is((select state::text from kiln.task, raw where job_id = id), 'waiting', 'meanwhile the job waits');
select kiln_runner.tick() \g /dev/null
select pg_temp.check_file(media_id) from input where n = 1 \g /dev/null
select is((select state::text from kiln.task, raw where job_id = id), 'waiting', 'also for the second');
select pg_temp.check_file(media_id) from input where n = 2 \g /dev/null
select is((select state::text from kiln.task, raw where job_id = id), 'ready', 'then it may start');
select is((select array_agg(m ->> 'storage_key' order by m ->> 'media_id')
             from raw, jsonb_array_elements((fixture.start(id)).media::jsonb) m),
          (select array_agg(m.storage_key order by m.media_id::text) from kiln.media m
             join input using (media_id)), 'its first stage is given what the checks made');
select is((select count(*)::int from kiln.media m join input using (media_id)
            where m.incoming_key is not null), 0, 'of what was sent nothing is left');
select is_empty('select from kiln.media_wait join raw on id = job_id', 'and it waits for nothing more');

create temporary table spoilt as select (pg_temp.post('{"category": "outfit", "prompt": "x"}',
                                                      2) ->> 'id')::bigint as id;
create temporary table early as select (fixture.call('admin', 'retry_tryon',
                                                     jsonb_build_object('id', fixture.call('admin',
                                                         'cancel_tryon',
                                                             jsonb_build_object('id', x.id)) ->> 'id'))
                                        ->> 'id')::bigint as id, x.id::bigint as first
  from (select pg_temp.post('{"category": "outfit", "prompt": "x"}', 1) ->> 'id' as id) x;
select pg_temp.check_file(min(i), 'It holds no picture.') from spoilt, pg_temp.inputs(id) i \g /dev/null
select is(jsonb_build_array(j -> 'state', j -> 'error'),
    '["cancelled", {"code": "invalid", "charged": false, "message": "A file of it was rejected: It holds no '
    'picture."}]', 'a file that is rejected ends its job, with the reason')
  from spoilt, fixture.call('admin', 'get_tryon', jsonb_build_object('id', id::text)) j;
select pg_temp.check_file(max(i)) from spoilt, pg_temp.inputs(id) i \g /dev/null
select is((select state::text from kiln.job, spoilt
            where job_id = id), 'cancelled', 'whatever becomes of the others');
select throws_ok(format('select fixture.call(%L, %L, %L)', 'admin', 'retry_tryon',
                        (select jsonb_build_object('id', id::text) from spoilt)), 'KN001', null,
                 'it is not tried again without its file');
select is((select state::text from kiln.task, early
            where job_id = id), 'waiting',
          'a retry of one whose file is still being checked waits for that too');
select pg_temp.check_files(id) from early \g /dev/null
select is((select array_agg(j.state || ' ' || coalesce(t.state::text, '-') order by j.job_id) from early e
             join kiln.job j on j.job_id in (e.id, e.first)
             left join kiln.task t on t.job_id = j.job_id and t.state = 'ready'),
          '{cancelled -,queued ready}', 'and starts with it; what was cancelled stays so');
select is_empty('select from kiln.media_wait where job_id in (select id from early union select first from '
                'early union select id from spoilt)', 'none of them waits any more');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');

-- Queues
select is(fixture.call('admin', 'pause_queue', '{"name": "image"}') ->> 'is_paused', 'true',
          'a queue is paused');
select is((select q ->> 'is_paused'
             from jsonb_array_elements(fixture.call('admin', 'list_queues') -> 'items') q
            where q ->> 'name' = 'image'), 'true', 'and says so in the list');
select is(fixture.call('admin', 'resume_queue', '{"name": "image"}') ->> 'is_paused', 'false', 'and resumed');
select throws_ok($$ select fixture.call('admin', 'pause_queue', '{"name": "lane"}') $$, 'KN002', null,
                 'one that is not there is not');
select fixture.runner('{image,video}', 3, 'lathe') \g /dev/null
select is((select jsonb_build_array(r -> 'state', r -> 'slots', r -> 'running', r -> 'queues')
             from jsonb_array_elements(fixture.call('admin', 'list_runners') -> 'items') r
            where r ->> 'name' = 'lathe'), '["alive", 3, 0, ["image", "video"]]', 'runners are listed');
select fixture.runner('{image}', 1, 'plane') \g /dev/null
create function pg_temp.all_of(p_list text) returns jsonb language plpgsql as $$
declare v_all jsonb := '[]'; v_page jsonb; v_query jsonb := '{"limit": "1"}';
begin
    loop
        v_page := fixture.call('admin', p_list, p_query => v_query);
        v_all := v_all || (v_page -> 'items');
        exit when v_page ->> 'next_cursor' is null or jsonb_array_length(v_page -> 'items') <> 1;
        v_query := v_query || jsonb_build_object('cursor', v_page -> 'next_cursor');
    end loop;
    return (select jsonb_agg(i - 'beat_s' - 'oldest_s') from jsonb_array_elements(v_all) i);
end $$;
select is(pg_temp.all_of(f), (select jsonb_agg(i - 'beat_s' - 'oldest_s')
                                from jsonb_array_elements(fixture.call('admin', f,
                                                                       p_query => '{"limit": "100"}')
                                                          -> 'items') i),
          f || ': one at a time it is the same list')
  from unnest('{list_queues,list_runners,list_pipelines,list_providers,list_categories}'::text[]) f;
select is(jsonb_array_length(fixture.call('admin', 'list_pipelines') -> 'items'), 20,
          'twenty, where nobody says how many');
select throws_ok(format('select fixture.call(%L, %L, p_query => %L)', 'admin', f, '{"limit": "0"}'), 'KN006',
                 null, f || ': not none')
  from unnest('{list_queues,list_runners,list_pipelines,list_providers,list_categories}'::text[]) f;
select is_empty($$ select *
                     from (select id::text || coalesce(account, '') || coalesce(type::text, '') || state
                                  || coalesce(model, '') || coalesce(prompt, '') as line
                             from kiln.generations) x where length(line) > 80 $$,
                'people read generations in 80 columns');
select isnt_empty('select * from kiln.tryons', 'and try-ons');
select is(fixture.bad_fields(format('select fixture.call(%L, %L, %L, p_body => %L)', 'admin', 'put_category',
                                    '{"name": "outfit"}', body)), field, body)
  from (values ('{"pipeline": "upload"}', '/pipeline'), ('{"title": " "}', '/title')) v (body, field);
select is(fixture.refusal($$ update kiln.category
                                set pipeline_id = (select pipeline_id from kiln.pipeline
                                                    where name = 'upload')
                              where name = 'outfit' $$) ->> 'message',
          'category outfit: pipeline ''upload'' checks what people send in, and makes nothing', 'in SQL too');
select finish();
rollback;

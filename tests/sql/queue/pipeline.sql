-- Pipelines are data: a wrong one is refused when it is written, a written one never changes, and a job ends
-- on the version it began with.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create function pg_temp.stage(p_pipeline text, p_position int, p_handler text, p_config text default '{}',
                              p_queue text default 'local', p_name text default null)
returns void language sql as $$
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id)
    select v.pipeline_version_id, p_position, coalesce(p_name, 's' || p_position), p_handler, p_config::jsonb,
           fixture.queue(p_queue)
      from kiln.pipeline_version v join kiln.pipeline p using (pipeline_id) where p.name = p_pipeline
     order by v.version desc limit 1
$$;

-- Refused ---------------------------------------------------------------------------------------------------

select kiln.new_pipeline_version('wrong') \g /dev/null
select is(fixture.refusal($$ select pg_temp.stage('wrong', 1, 'magic') $$) - 'detail',
          '{"code": "KN003", "message": "stage 1 of pipeline ''wrong'': there is no handler ''magic''", '
          '"hint": "There are: exec, http, log, media."}',
          'a stage with an unknown handler is refused when it is written, and told which there are');
select is(fixture.refusal($$ select pg_temp.stage('wrong', 1, 'http', '{"method": "GET"}') $$) ->> 'message',
          'stage 1 of pipeline ''wrong'': /config/method is not a field here; /config/provider is required; '
          '/config/outputs is required',
          'a stage whose handler lacks a key of its config is refused, and each key is named');
-- Once any word was taken, and each job of it failed.
select is(fixture.refusal($$ select pg_temp.stage('wrong', 1, 'media', '{"op": "fly"}') $$) ->> 'message',
          'stage 1 of pipeline ''wrong'': /config/op must be one of check, prepare, draw, film, speak, '
          'finish, furnish, disclose',
          'an operation that kiln-media does not have is refused, and told which there are');
create function pg_temp.fields(p_handler text, p_config text) returns text language plpgsql as $$
declare v_detail text;
begin
    perform pg_temp.stage('wrong', 1, p_handler, p_config);
    delete from kiln.stage where pipeline_version_id = (select max(pipeline_version_id)
                                                          from kiln.pipeline_version);
    return 'accepted';
exception when sqlstate 'KN003' then
    get stacked diagnostics v_detail = pg_exception_detail;
    return (select string_agg(e ->> 'field', ' ' order by e ->> 'field')
              from jsonb_array_elements(v_detail::jsonb) e);
end $$;
select is(pg_temp.fields(handler, config), fields, format('%s %s: %s', handler, config, fields)) from (values
    ('exec', '{}', '/config/command'), ('exec', '{"command": "ls -l"}', '/config/command'),
                                                        ('exec', '{"command": []}', '/config/command'),
                                                            ('exec', '{"command": ["ls", 7]}',
                                                             '/config/command/1'),
    ('exec', '{"command": ["ls"], "memory_mb": "much"}', '/config/memory_mb'),
                                                        ('exec', '{"command": ["ls"], "memory_mb": 8}',
                                                         '/config/memory_mb'),
                                                             ('exec', '{"command": ["ls"], "memory_mb": 16.5}', '/config/memory_mb'),
    ('exec', '{"command": ["ls"], "network": "yes"}', '/config/network'),
                                                        ('exec', '{"command": ["ls", "-l"], "memory_mb": 64, '
                                                            '"network": true, "its_own": {"a": 1}}',
                                                                'accepted'),
    ('media', '{"op": null}', '/config/op'), ('media', '{"op": 7}', '/config/op'),
                                                        ('media', '{"op": {}}', '/config/op'),
                                                            ('media', '{"op": "prepare", "accept": "image"}',
                                                             '/config/accept'),
    ('media', '{"op": "prepare", "accept": ["picture"]}', '/config/accept/0'),
                                                        ('media', '{"op": "check", "max_pixels": "1e6"}',
                                                         '/config/max_pixels'),
                                                             ('media', '{"op": "check", "max_duration_s": 0}',
                                                              '/config/max_duration_s'),
    ('media', '{"op": "check", "max_pixel": 5}', '/config/max_pixel'),
                                                        ('media', '{"op": "disclose", "text": ["x"]}',
                                                         '/config/text'),
                                                             ('media', '{"op": "disclose", "text": "AI"}',
                                                              'accepted'),
    ('log', '{"anything": 1}', 'accepted'),
    ('http', '{"provider": "fal", "outputs": []}', '/config/endpoint'),
                                                        ('http', '{"provider": "fal", "endpoint": "one", '
                                                            '"outputs": []}', '/config/endpoint'),
    ('http', '{"provider": "fal", "endpoint": "a/../b", "outputs": []}', '/config/endpoint'),
                                                        ('http', '{"provider": "fal", "endpoint": "a/b", '
                                                            '"outputs": []}', 'accepted'),
    ('http', '{"provider": "nobody", "endpoint": "a/b", "outputs": []}', '/config/provider'),
                                                        ('http', '{"provider": "local", "endpoint": "a/b", '
                                                            '"outputs": []}', '/config/provider'),
    ('http', '{"provider": "fal", "endpoint": "a/b", "outputs": {}}', '/config/outputs'),
                                                        ('http', '{"provider": "fal", "endpoint": "a/b", '
                                                            '"outputs": [{"as": "url", "media_type": '
                                                                '"image"}]}', '/config/outputs/0/pointer'),
    ('http', '{"provider": "fal", "endpoint": "a/b", "outputs": [{"as": "url", "media_type": "text", '
             '"pointer": "/x"}]}', '/config/outputs/0/media_type'),
    ('http', '{"provider": "fal", "endpoint": "a/b", "outputs": [{"as": "url", "media_type": "image", '
             '"pointer": "/x", "is_optional": true}]}', '/config/outputs/0/is_optional'),
    ('http', '{"provider": "fal", "endpoint": "a/b", "outputs": [], "keep": {"seed": "seed"}}',
     '/config/keep/seed'), ('http',
                            '{"provider": "fal", "endpoint": "a/b", "outputs": [], "blocked": ["nsfw"]}',
                            '/config/blocked/0'),
    ('http', '{"provider": "fal", "endpoint": "a/b", "outputs": [], "role": "word"}', '/config/role'),
                                                        ('http', '{"provider": "fal", "endpoint": "a/b", '
                                                            '"outputs": [], "body": {"p": "{promt}"}}',
                                                                '/config/body')
  ) v (handler, config, fields);
select is_empty($$ select h.name, c.* from kiln.handler h, kiln_internal.check_schema(h.config_schema) c $$,
                'the schema of each handler''s config is itself right');
-- Over REST the fields are those of the body.
select is(fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'admin', 'put_pipeline',
                                    '{"name": "rest", "stages": [
            {"name": "a", "handler": "exec", "queue": "local", "config": {"command": "ls", "memory_mb": "x"}},
             {"name": "b", "handler": "http", "queue": "image", "config": {"provider": "fal",
              "outputs": []}}]}')),
          '/stages/0/config/command /stages/0/config/memory_mb /stages/1/config/endpoint',
          'PUT /admin/pipelines names each field of each stage');
delete from kiln.stage where pipeline_version_id = (select max(pipeline_version_id)
                                                      from kiln.pipeline_version);
select throws_ok($$ set constraints all immediate $$, 'KN003',
                 'pipeline ''wrong'', version 1: it has no stage',
                 'a version without stages is refused at commit');
select pg_temp.stage('wrong', 1, 'log'), pg_temp.stage('wrong', 3, 'log') \g /dev/null
select throws_ok($$ set constraints all immediate $$, 'KN003',
                 'pipeline ''wrong'', version 1: its stages have a gap: 2 stages, the last at position 3',
                 'a gap is refused at commit');
select throws_ok($$ select pg_temp.stage('wrong', 0, 'log') $$, '23514', null, 'stages are counted from 1');
select throws_ok($$ select pg_temp.stage('wrong', 2, 'log', '[]') $$, 'KN003', null,
                 'a config that is no object is refused');
select throws_ok($$ update kiln.stage set time_limit = '0'
                     where position = 3 and pipeline_version_id = (select max(pipeline_version_id)
                                                                     from kiln.pipeline_version) $$, '23514',
                 null, 'a stage without time is refused');
select throws_ok($$ update kiln.stage set max_attempts = 0
                     where position = 3 and pipeline_version_id = (select max(pipeline_version_id)
                                                                     from kiln.pipeline_version) $$, '23514',
                 null, 'a stage without an attempt is refused');
select throws_ok($$ update kiln.stage set backoff_base = '2 hours', backoff_cap = '1 hour'
                     where position = 3 and pipeline_version_id = (select max(pipeline_version_id)
                                                                     from kiln.pipeline_version) $$, '23514',
                 null, 'a backoff above its cap is refused');
select pg_temp.stage('wrong', 2, 'log') \g /dev/null
select lives_ok($$ set constraints all immediate $$, 'without the gap it is published');
set constraints all deferred;
select is((select stages from kiln.pipeline where name = 'wrong'), 3::smallint, 'and new jobs will take it');

-- Two stages of one version with the same name, or at the same place.
savepoint twice;
select kiln.new_pipeline_version('twice'), pg_temp.stage('twice', 1, 'log', p_name => 'same'),
       pg_temp.stage('twice', 2, 'log', p_name => 'same') \g /dev/null
select throws_ok('set constraints all immediate', '23505', null, 'no two stages have the same name');
rollback to twice;

-- Nothing that people send is used unchecked: the pipeline of uploads once could be put without its check,
-- over REST too.
savepoint unchecked;
select lives_ok($$ insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id)
    select kiln.new_pipeline_version('upload'), 2, 'more', 'log', '{}', fixture.queue('local') $$,
           'a second stage for uploads is written');
select throws_like('set constraints all immediate', '%one stage, the operation check%',
                   'and refused at commit');
rollback to unchecked;
select is(fixture.refusal($$ select fixture.call('admin', 'put_pipeline',
    p_body => '{"name": "upload", "stages": [{"name": "a", "handler": "media", "queue": "image", "config": '
              '{"op": "draw"}}]}') $$) ->> 'code',
          'KN003', 'an upload that is not checked is refused over REST');
select lives_ok($$ select fixture.call('admin', 'put_pipeline',
    p_body => '{"name": "upload", "stages": [{"name": "look", "handler": "media", "queue": "image", '
              '"config": {"op": "check", "max_pixels": 1000}}]}') $$,
                'its caps may change');
rollback to unchecked;

-- A written version never changes (those of the installation are written).
create function pg_temp.of(p_pipeline text) returns int language sql
as $$ select pipeline_version_id from kiln.pipeline where name = p_pipeline $$;
select is(fixture.refusal(statement) - 'detail',
          '{"code": "KN001", "message": "pipeline ''local/image'': this version is written, and jobs may run '
          'on it; its stages never change", "hint": "begin; select '
          'kiln.new_pipeline_version(''local/image''); -- then insert, update or delete its stages; commit"}',
          'a written version is not changed, and it is said how to make another: '
              || split_part(statement, ' ', 1))
  from unnest(array[format('update kiln.stage set time_limit = %L where pipeline_version_id = %s', '1 hour',
                           pg_temp.of('local/image')),
                    format('delete from kiln.stage where pipeline_version_id = %s and position = 3',
                           pg_temp.of('local/image')),
                    format('insert into kiln.stage (pipeline_version_id, position, name, handler, queue_id) '
                           'values (%s, 4, %L, %L, 1)', pg_temp.of('local/image'), 'more',
                    'log')]) as statement;
set local session_replication_role = replica;
select throws_ok(format('update kiln.stage set time_limit = %L where pipeline_version_id = %s', '1 hour',
                        pg_temp.of('local/image')), 'KN001', null,
                 'not with session_replication_role = replica either');
set local session_replication_role = origin;
select throws_ok('update kiln.pipeline_version set version = 99', 'KN001', null, 'nor is its number');
select throws_ok($$ update kiln.stage set pipeline_version_id = pg_temp.of('wrong')
                     where pipeline_version_id = pg_temp.of('local/image') $$, 'KN001', null,
                 'nor are its stages moved into another version');

-- A new version while a job runs ----------------------------------------------------------------------------

create temporary table j as select fixture.job_in('running', p_pipeline => 'test/three') as running,
                                   fixture.enqueue('test/three') as waiting, pg_temp.of('test/three') as old;
select lives_ok($$ insert into kiln.stage (pipeline_version_id, position, name, handler, queue_id)
                   values (kiln.new_pipeline_version('test/three'), 4, 'four', 'log',
                           fixture.queue('local')) $$,
                'adding a stage is an INSERT into a new version');
set constraints all immediate;
set constraints all deferred;
select is((select array_agg(name order by position) from kiln.stage
            where pipeline_version_id = pg_temp.of('test/three')), '{one,two,three,four}',
          'which begins as a copy of the last');
select fixture.enqueue('test/three') as fresh \gset
select is((select stages from kiln.job where job_id = :fresh), 4::smallint,
          'a new job takes the new version');
select is((select (stages, pipeline_version_id = old)::text from kiln.job
             join j on job_id = waiting), (3, true)::text, 'one that waits keeps its own');
select fixture.complete(running) from j \g /dev/null
select fixture.start(running), 1 from j \g /dev/null
select fixture.complete(running) from j \g /dev/null
select fixture.start(running), 1 from j \g /dev/null
select fixture.complete(running) from j \g /dev/null
select is(fixture.job_state(running) || ' ' || fixture.task_states(running), 'completed done done done',
          'one that runs finishes on its own') from j;
-- A pipeline takes a version of its own: the newest, or an older one to go back to.
select throws_ok(format('update kiln.pipeline set pipeline_version_id = %s where name = %L',
                        pg_temp.of('local/image'), 'test/three'), 'KN003', null,
                 'another pipeline''s version is refused');
select throws_ok($$ update kiln.pipeline set pipeline_version_id = null
                     where name = 'test/three' $$, 'KN003', null, 'nor is it left without one');
savepoint back;
select lives_ok(format('update kiln.pipeline set pipeline_version_id = %s where name = %L', old,
                       'test/three'), 'it goes back to an older one by an UPDATE') from j;
select is((select (stages, queue_id) from kiln.pipeline
            where name = 'test/three'), (select (count(*)::smallint,
                                                 min(s.queue_id) filter (where s.position = 1))
                                           from kiln.stage s, j where s.pipeline_version_id = old),
          'with the stages and the queue of that one');
rollback to back;
-- A version that asks another provider than the models that take it would leave them without one.
select is(fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'admin', 'put_pipeline',
    '{"name": "fal/kontext", "stages": [{"name": "a", "handler": "media", "queue": "local", "config": {"op": '
    '"draw"}}]}')), '/stages',
          'a version that does not ask the provider of a model is refused over REST');
select throws_ok($$ insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id)
                    select kiln.new_pipeline_version('fal/kontext'), 3, 'more', 'log', '{}', 1;
                    delete from kiln.stage where handler = 'http'
                       and pipeline_version_id = (select max(pipeline_version_id) from kiln.pipeline_version);
                    update kiln.stage set position = position - 1
                     where pipeline_version_id = (select max(pipeline_version_id) from kiln.pipeline_version);
                       set constraints all immediate $$,
                 'KN003', null, 'and at commit');
rollback to back;
select throws_ok('delete from kiln.pipeline_version where pipeline_version_id = (select old from j)', 'KN001',
                 null, 'a version that jobs name stays');
select throws_ok($$ delete from kiln.pipeline where name = 'test/three' $$, 'KN001', null,
                 'so does its pipeline');

-- Adding a model, a queue, a pipeline -----------------------------------------------------------------------

select lives_ok($$ insert into kiln.queue (name) values ('new-queue') $$, 'adding a queue is an INSERT');
select lives_ok($$ insert into kiln.pipeline (name) values ('new') $$, 'adding a pipeline is an INSERT');
select throws_ok($$ select kiln.enqueue('new') $$, 'KN002', null,
                 'which no job can take before it has a version');
select kiln.new_pipeline_version('new'), pg_temp.stage('new', 1, 'log', p_queue => 'new-queue') \g /dev/null
set constraints all immediate;
set constraints all deferred;
select lives_ok($$ insert into kiln.model (name, provider_id, pipeline_id, media_type, title)
                   select 'local/new', v.provider_id, p.pipeline_id, 'image', 'New'
                     from kiln.provider v, kiln.pipeline p where v.name = 'local'
                      and p.name = 'new' $$, 'adding a model is an INSERT');
select isnt(fixture.call('ann', 'create_generation',
                         p_body => '{"type": "image", "model": "local/new", "prompt": "x"}'), null,
            'and it can be asked for at once');
select is((kiln_runner.claim(fixture.runner('{new-queue}'), 1)).handler, 'log', 'and is run');
select lives_ok($$ delete from kiln.model where name = 'local/speech' $$,
                'a model that nobody used can be deleted');
select throws_ok($$ delete from kiln.model where name = 'local/new' $$, 'KN001', null,
                 'a model that jobs name stays');
select matches(fixture.refusal($$ delete from kiln.model where name = 'local/new' $$) ->> 'hint',
               'is_enabled = false', 'and it is said how to retire it');
select lives_ok($$ select kiln.new_pipeline_version('gone');
                   select pg_temp.stage('gone', 1, 'log'); delete from kiln.pipeline where name = 'gone';
                                                              set constraints all immediate $$,
                'what nobody uses can be deleted');
set constraints all deferred;
select throws_ok('delete from kiln.account where account_id = fixture.account(''ann'')', 'KN001', null,
                 'an account with jobs stays');
select lives_ok('delete from kiln.account where account_id = fixture.account(''bob'')', 'one without can go');

-- The seeded ones, as the installation promises them.
select results_eq($$ select p.name, count(*)::int, array_agg(q.name order by s.position) from kiln.pipeline p
                       join kiln.stage s using (pipeline_version_id)
                       join kiln.queue q on q.queue_id = s.queue_id
                      where p.name like 'local/%' group by 1 order by 1 $$,
                  $$ values ('local/audio', 3, '{audio,audio,local}'::text[]),
                            ('local/image', 3, '{image,image,local}'),
                            ('local/video', 3, '{video,video,local}') $$,
                  'each seeded pipeline has three stages: its type''s queue, and local for the last');
select finish();
rollback;

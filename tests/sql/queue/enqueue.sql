-- kiln.enqueue(): the way in for people and for the server.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table e as select kiln.enqueue('test/three', '{"hello": "world"}') as job_id;
select is((j.state, j.version, kiln_internal.job_stage(j.job_id), j.stages, j.priority, j.kind,
           j.input)::text, ('queued', 1, 1, 3, 1, 'generation', '{"hello": "world"}'::jsonb)::text,
          'a job begins queued, at its first stage') from e join kiln.job j using (job_id);
select is((select handle from kiln.account join kiln.job using (account_id)
             join e using (job_id)), 'operator', 'it is the operator''s unless someone is named');
select is(fixture.task_states(job_id), 'ready', 'its first task is ready') from e;
select is(fixture.events(job_id), 'queued/1', 'the log says so') from e;
select is(t.virtual_time, f.next_virtual_time + 1, 'its turn is right behind what is served now') from e
  join kiln.task t using (job_id) join kiln.low_watermark f using (queue_id, priority);
select throws_ok($$ select kiln.enqueue('nothing') $$, 'KN002', 'there is no pipeline ''nothing''',
                 'a pipeline that is not there is named');
select throws_ok($$ select kiln.enqueue('test/one', '[1]') $$, '23514', null,
                 'an input that is no object is refused');
select is(kiln_internal.operator_account(), kiln_internal.operator_account(), 'there is one operator');
set role kiln_owner; delete from kiln.identity where issuer = 'kiln'; reset role;
select is((select count(*)::int from kiln.account
            where handle = 'operator' and account_id = kiln_internal.operator_account()), 1,
          'also when its identity was lost');

-- Many.
create temporary table m as select array(select kiln.enqueue_many('test/three',
                                                                  array['{"n": 1}', '{"n": 2}',
                                                                        '{"n": 3}']::jsonb[],
                                                                  fixture.account('bob'),
                                                                  2::smallint)) as ids;
select is((select array_agg((j.input ->> 'n')::int order by j.job_id) from m
             join kiln.job j on j.job_id = any (ids)), '{1,2,3}',
          'many jobs are made in the order of their inputs');
select is((select array_agg(u) from (select unnest(ids) as u from m) x), (select array_agg(u order by u)
                                                        from (select unnest(ids) as u from m) x),
          'and their ids come back in that order');
select is((select count(distinct (j.account_id, j.priority, fixture.task_states(j.job_id),
                                  fixture.events(j.job_id)))::int from m
             join kiln.job j on j.job_id = any (ids)), 1, 'each with its task and its event');
select results_eq($$ select (c.input ->> 'n')::int from kiln_runner.claim(fixture.runner('{image}'), 3) c
                      order by c.task_id $$, array[1, 2, 3], 'and are given out in that order');
select is((select count(*)::int from kiln.enqueue_many('test/one', '{}')), 0, 'none is none');
select throws_ok($$ select kiln.enqueue_many('nothing', '{}') $$, 'KN002', null,
                 'a pipeline that is not there is refused');
select throws_ok($$ select kiln.enqueue_many('test/one', array['{}', '[]']::jsonb[]) $$, '23514', null,
                 'one wrong input refuses them all');
create temporary table l as select array(select kiln.enqueue_many('test/one', array['{}', '{}']::jsonb[],
                                                 p_run_at => kiln_internal.now() + interval '1 hour')) as ids;
select is((select string_agg(distinct fixture.task_states(u), '')
             from l, unnest(ids) u), 'waiting', 'many for later wait');

-- The wakeup: rung only where someone sleeps.
create temporary table s as select fixture.runner('{audio}') as runner;
select kiln_runner.cycle(runner, '{}', '{}', '{}', 0, '{}', true) from s \g /dev/null
select lives_ok('select fixture.enqueue()',
                'enqueueing rings for waiters of other queues no wakeup, and does not fail');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

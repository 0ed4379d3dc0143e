-- The end of work: history, next stage, end of the job; for one task and for a batch.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table j as select fixture.job_in('running') as job_id, kiln_internal.now() as began;
select lives_ok($$ select fixture.complete(job_id, '{"a": 1}') from j $$, 'a running task completes');
select is(fixture.task_states(job_id), 'done ready', 'the next stage has its turn at once') from j;
select is((select (t.output, t.attempts, t.finished_at is not null)::text from kiln.task t
            where t.task_id = kiln_internal.task_id(j.job_id, 1)), ('{"a": 1}'::jsonb, 1, true)::text,
          'what it made stands in its row') from j;
select is(fixture.attempts(job_id), 'one#1 done', 'the history has the attempt') from j;
select is((x.state, kiln_internal.job_stage(x.job_id), x.version)::text, ('running', 2, 2)::text,
          'the job stands at the next stage, its version unchanged') from j join kiln.job x using (job_id);
select is((select e.data from kiln.event e where e.job_id = j.job_id order by e.event_id desc
            limit 1), '{"stage": 2}', 'the hand-over is an event of progress') from j;

select fixture.start(job_id) from j \g /dev/null
select fixture.complete(job_id, '{"b": 2}') from j \g /dev/null
select fixture.start(job_id) from j \g /dev/null
select fixture.complete(job_id, '{"c": 3}') from j \g /dev/null
select is((x.state, kiln_internal.job_stage(x.job_id), x.stages)::text, ('completed', 3, 3)::text,
          'the last stage completes the job') from j join kiln.job x using (job_id);
select is(x.output, '{"c": 3}', 'its output is the job''s') from j join kiln.job x using (job_id);
select is(fixture.events(job_id), 'queued/1 started/2 progress/2 progress/2 completed/3',
          'a whole life in the log: each state once, a word at each hand-over') from j;
select is(fixture.attempts(job_id), 'one#1 done, two#1 done, three#1 done', 'and in the history') from j;
select is((select array_agg(a.runner_id is not null and a.finished_at >= a.started_at) from kiln.attempt a
             join j using (job_id)), '{t,t,t}', 'with who and when');

-- What is refused -------------------------------------------------------------------------------------------

create temporary table k as select fixture.job_in('running') as job_id;
select throws_ok($$ select fixture.complete(job_id, 'not json')
                      from k $$, '22P02', null, 'an output that is no JSON is refused');
select throws_ok($$ select fixture.complete(job_id, '[1]')
                      from k $$, '23514', null, 'an output that is no object is refused');
select is(fixture.task_states(job_id), 'running', 'and the task runs on') from k;
select throws_ok($$ select kiln_runner.complete(kiln_internal.task_id(job_id, 1), 0, '{}')
                      from k $$, 'KN010', null, 'a completion with another fence is refused');
select matches(fixture.refusal('select kiln_runner.complete(1, 1)') ->> 'message', 'there is no such task',
               'the refusal says that the task is not there');

-- A batch is all or nothing ---------------------------------------------------------------------------------

create temporary table b as select fixture.runner('{image}') as runner,
                                   array[fixture.enqueue(), fixture.enqueue(), fixture.enqueue()] as jobs;
create temporary table c as select c.* from b, kiln_runner.claim(runner, 3) c;
create function pg_temp.cycle(p_stale bigint) returns setof kiln_runner.claimed language sql as $$
    select x.* from b, kiln_runner.cycle(runner, (select array_agg(task_id order by task_id) from c),
                                         (select array_agg(case when task_id = p_stale then fence - 1000000
                                                                else fence end order by task_id)
                                            from c), '{"{}","{}","{}"}', 0) x
$$;
select matches(fixture.refusal(format('select pg_temp.cycle(%s)', (select task_id from c order by 1 offset 1
                                                                    limit 1))) ->> 'message',
               '^1 of 3 tasks are no longer this runner''s',
               'a batch with one stale fence is refused (KN010)');
select is((select count(*)::int from c join kiln.task_running using (task_id)), 3,
          'and nothing of it was recorded');
select lives_ok('select pg_temp.cycle(0)', 'without it the batch completes');
select is((select array_agg(fixture.job_state(u))
             from b, unnest(jobs) as u), '{completed,completed,completed}', 'whole');
select throws_ok('select pg_temp.cycle(0)', 'KN010', null, 'and only once');

create temporary table d as select fixture.job_in('running', p_pipeline => 'test/one') as job_id;
select throws_ok($$ select kiln_runner.cycle(b.runner, array[t.task_id, t.task_id], array[t.fence, t.fence],
                                             '{"{}","{}"}', 0) from b, d
                      join kiln.task_running t using (job_id) $$,
                 'KN010', null, 'the same task twice in a batch is refused');
select is(fixture.job_state(job_id), 'running', 'and not completed') from d;

-- One task alone and a batch take different courses through the code: both bring every job to the same end.
create function pg_temp.ends(p_many boolean) returns text language plpgsql as $$
declare
    v_jobs   bigint[] := array[fixture.job_in('running'), fixture.job_in('running', p_pipeline => 'test/one'),
                               fixture.job_in('cancelling'),
                               fixture.job_in('cancelling', p_pipeline => 'test/one'),
                               fixture.job_in('running')];
    v_runner bigint   := fixture.runner('{image}');
    v_task   kiln.task;
begin
    update kiln.job set state = 'cancelling' where job_id = v_jobs[5];
    if p_many then
        perform from kiln_runner.cycle(v_runner, (select array_agg(t.task_id order by t.task_id)
                                                    from kiln.task_running t where t.job_id = any (v_jobs)),
                                       (select array_agg(t.fence order by t.task_id) from kiln.task_running t
                                         where t.job_id = any (v_jobs)),
                                       array['{"n": 1}', '{"n": 2}', '{"n": 3}', '{"n": 4}', '{"n": 5}'], 0);
    else
        for v_task in select t.* from kiln.task_running t where t.job_id = any (v_jobs) order by t.task_id
        loop
            perform from kiln_runner.cycle(v_runner, array[v_task.task_id], array[v_task.fence],
                                           array[format('{"n": %s}', array_position(v_jobs, v_task.job_id))],
                                           0);
        end loop;
    end if;
    return (select string_agg(format('%s/%s v%s %s %s [%s] %s: %s', j.state,
                                     kiln_internal.job_stage(j.job_id), j.version, j.output, j.error_code,
                                     fixture.task_states(j.job_id),
                                     fixture.attempts(j.job_id), fixture.events(j.job_id)), e'\n'
                              order by j.job_id)
              from kiln.job j where j.job_id = any (v_jobs));
end $$;
create temporary table ends as select pg_temp.ends(false) as alone, pg_temp.ends(true) as together;
select is(alone, together, 'five tasks end alone as they end together: handed over, completed, cancelled')
  from ends;
select is(regexp_count, 2, 'two of the five are completed')
  from ends, lateral (select count(*)::int as regexp_count
                        from regexp_matches(together, '^completed', 'gn')) c;

-- A hand-over keeps its place: the next stage stands before what was enqueued after the job.
create temporary table h as select fixture.job_in('running') as early, fixture.enqueue('test/one') as late;
update kiln.task set state = 'cancelled' where state = 'ready'
   and job_id not in (select early from h union select late from h);
select fixture.complete(early) from h \g /dev/null
select is((kiln_runner.claim(fixture.runner('{image}'), 1)).job_id, early,
          'the second stage of an early job goes before the first of a late one') from h;

select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

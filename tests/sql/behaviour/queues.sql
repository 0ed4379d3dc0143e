-- A runner serves several queues, and none of them can fill it: one slot stays free for each other queue.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.pipeline('test/image', p_queue => 'image'), fixture.pipeline('test/video', p_queue => 'video'),
       fixture.pipeline('test/audio', p_queue => 'audio') \g /dev/null

create function pg_temp.busy(p_runner_id bigint) returns int[] language sql
as $$ select coalesce(array_agg(queue_id::int), '{}') from kiln.task_running where runner_id = p_runner_id $$;
create function pg_temp.claim(p_runner_id bigint, p_limit int) returns int language sql as $$
    select count(*)::int from kiln_runner.claim(p_runner_id, p_limit, pg_temp.busy(p_runner_id))
$$;
create function pg_temp.runs(p_runner_id bigint, p_queue text) returns int language sql as $$
    select count(*)::int from kiln.task_running where runner_id = p_runner_id
       and queue_id = fixture.queue(p_queue)
$$;

-- A flood of video.
select fixture.enqueue('test/video') from generate_series(1, 50) \g /dev/null
create temporary table r as select fixture.runner('{image,video,audio}', 8) as runner;
select is(pg_temp.claim(runner, 8), 6, 'a runner of 8 slots and 3 queues takes 6 of one queue') from r;
select is(pg_temp.claim(runner, 2), 0, 'and no more, as long as it runs them') from r;
select fixture.enqueue('test/image') from generate_series(1, 5) \g /dev/null
select is(pg_temp.claim(runner, 2), 2, 'an image finds a free slot at once') from r;
select is(pg_temp.runs(runner, 'image'), 2, 'so a full video queue never delays it') from r;

-- Priorities of one queue share its allowance: with some of each a queue filled the runner.
create temporary table p as select fixture.runner('{image,video,audio}', 8) as runner;
update kiln.task set state = 'cancelled' where state = 'ready';
select fixture.enqueue('test/video', priority => n % 4) from generate_series(1, 40) n \g /dev/null
select is(pg_temp.claim(runner, 8), 6, 'more urgent videos take no more slots than videos') from p;
select fixture.enqueue('test/image', priority => 0) \g /dev/null
select is(pg_temp.claim(runner, 2), 1, 'the least urgent image finds its slot among the most urgent videos')
  from p;

-- Shares follow what is free.
create temporary table s as select fixture.runner('{image,video,audio}', 8) as runner;
update kiln.task set state = 'cancelled' where state = 'ready';
select fixture.enqueue('test/' || q)
  from unnest('{image,video,audio}'::text[]) q, generate_series(1, 20) \g /dev/null
select is(pg_temp.claim(runner, 8), 8, 'with work in all queues all slots are used') from s;
select ok(pg_temp.runs(runner, 'image') <= 6 and pg_temp.runs(runner, 'video') <= 6
          and pg_temp.runs(runner, 'audio') <= 6, 'by no queue more than its allowance') from s;

create temporary table t as select fixture.runner('{image,video,audio}', 1) as small,
                                   fixture.runner('{video}', 8) as single;
select is(pg_temp.claim(small, 1), 1, 'a runner of one slot serves all its queues in turn') from t;
select is(pg_temp.claim(single, 8), 8, 'a runner of one queue keeps nothing free') from t;
select is(pg_temp.runs(single, 'video'), 8, 'and takes from no other') from t;

-- Every queue gets its turn, also with one slot and a flood in each.
create temporary table seen (queue_id int);
create function pg_temp.turn() returns void language plpgsql as $$
declare
    v_task kiln_runner.claimed;
begin
    perform fixture.pass('1 second');
    select c.* into v_task from t, kiln_runner.claim(small, 1) c;
    insert into seen values (v_task.queue_id);
    perform kiln_runner.complete(v_task.task_id, v_task.fence);
end $$;
select fixture.complete(x.job_id) from t, kiln.task_running x where x.runner_id = t.small \g /dev/null
select pg_temp.turn() from generate_series(1, 9) \g /dev/null
select is((select count(distinct queue_id)::int from seen), 3,
          'no queue starves another on a runner of one slot');

-- --queues.
select throws_ok($$ select fixture.runner('{image,nowhere}') $$, 'KN002', null,
                 'a runner for a queue that is not there is refused');
select matches(fixture.refusal($$ select fixture.runner('{nowhere}') $$) ->> 'hint',
               'There are: image, video, audio, local', 'and told which there are');
create temporary table everything as select fixture.runner('{}') as runner_id;
select is((select queue_ids::int[] from kiln.runner
             join everything using (runner_id)), (select array_agg(queue_id::int order by queue_id)
                                                    from kiln.queue), 'no queue named means all');
select throws_ok($$ select fixture.runner(slots => 0) $$, '23514', null, 'a runner without slots is refused');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

-- Handing work back unfinished: kiln_runner.release() for one task (drain), kiln_runner.unregister() for all.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table j as select fixture.job_in('running') as a, fixture.enqueue('test/one') as later;
select lives_ok($$ select kiln_runner.release(t.task_id, t.fence, 'The runner is stopping.')
                     from j, kiln.task_running t where t.job_id = j.a $$, 'a runner hands a task back');
select is(fixture.task_states(a), 'ready', 'it is ready again') from j;
select is((t.attempts, t.interruptions)::text, (0, 0)::text, 'that was neither an attempt nor a death') from j
  join kiln.task t on t.job_id = j.a;
select is((select outcome || ': ' || message from kiln.attempt x
             join j on x.job_id = j.a), 'released: The runner is stopping.', 'the history says so');
select is(fixture.job_state(a), 'running', 'its job has begun, and stays so') from j;
select is((kiln_runner.claim(fixture.runner('{image}'), 1)).job_id, a,
          'it keeps its turn before what came later') from j;
select is(fixture.events(a), 'queued/1 started/2', 'and people are told nothing') from j;
select throws_ok($$ select kiln_runner.release(t.task_id, t.fence - 1, 'again') from j, kiln.task_running t
                     where t.job_id = j.a $$, 'KN010', null, 'with an old fence nothing can be handed back');

create temporary table u as select fixture.runner('{image}') as runner, fixture.enqueue() as x,
                                   fixture.enqueue() as y;
select kiln_runner.claim(runner, 8) from u \g /dev/null
select lives_ok('select kiln_runner.unregister(runner) from u', 'a runner leaves in good order');
select is(fixture.task_states(x) || ' ' || fixture.task_states(y), 'ready ready',
          'what it ran goes back at once') from u;
select is(fixture.attempts(x), 'one#1 released', 'as released, not as a death') from u;
select is((r.ended_why, r.ended_at is not null)::text, ('left', true)::text, 'it is known to have left')
  from u join kiln.runner r on r.runner_id = u.runner;
select throws_ok('select kiln_runner.beat(runner) from u', 'KN011', null,
                 'and cannot come back under its old number');
select lives_ok('select kiln_runner.unregister(runner) from u', 'leaving twice is leaving');

-- What is handed back while it is being cancelled is not tried again.
create temporary table c as select fixture.job_in('cancelling') as a, fixture.job_in('cancelling') as b;
select kiln_runner.release(t.task_id, t.fence) from c, kiln.task_running t where t.job_id = c.a \g /dev/null
select is((fixture.task_states(a), fixture.job_state(a))::text, ('cancelled', 'cancelled')::text,
          'a task that is handed back while its job is being cancelled ends with it') from c;
select kiln_runner.unregister(t.runner_id) from c, kiln.task_running t where t.job_id = c.b \g /dev/null
select is(fixture.job_state(b), 'cancelled', 'also when its runner leaves') from c;

select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

-- Not before a time: jobs for later, and what makes them ready.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create temporary table j as select fixture.enqueue(due_in => '1 hour') as hour,
                                   fixture.enqueue(due_in => '10 minutes') as soon,
                                   fixture.enqueue(due_in => '-1 hour') as past;
select is(fixture.task_states(hour), 'waiting', 'a job for later waits') from j;
select is(fixture.task_states(past), 'ready', 'one for a time that is past does not') from j;
select is(fixture.job_state(hour), 'queued', 'people see it as queued') from j;
select is((select run_at from kiln.job where job_id = hour), '2030-01-01 13:00:00Z', 'with its time') from j;
select is(kiln_internal.queue_position(hour), null, 'it has no place in the queue yet') from j;
select is((kiln_runner.claim(fixture.runner('{image}'), 8)).job_id, past, 'only what is due is given out')
  from j;
select fixture.tick() \g /dev/null
select is(fixture.task_states(soon), 'waiting', 'the tick leaves alone what is not due') from j;

select fixture.complete(past), fixture.set_now('2030-01-01 12:10:00Z'), fixture.tick() from j \g /dev/null
select is(fixture.task_states(soon) || ' ' || fixture.task_states(hour), 'ready waiting',
          'the tick readies what is due, and nothing else') from j;
select is(fixture.events(soon), 'queued/1', 'that is no news of the job') from j;
select is((kiln_runner.claim(fixture.runner('{image}'), 8)).job_id, soon, 'and it is given out') from j;

-- An idle runner's cycle ticks, so nobody else is needed.
select fixture.complete(soon), fixture.set_now('2030-01-01 13:00:00Z') from j \g /dev/null
select is((select c.job_id from j,
                  kiln_runner.cycle(fixture.runner('{image}'), '{}', '{}', '{}', 8, '{}', true) c), hour,
          'an idle runner''s cycle finds what has become due by itself') from j;

-- A person brings one forward.
create temporary table f as select fixture.enqueue(due_in => '1 day') as job_id;
update kiln.task set state = 'ready' where job_id = (select job_id from f);
select is((kiln_runner.claim(fixture.runner('{image}'), 8)).job_id, job_id,
          'an UPDATE to ready brings one forward') from f;

-- And a thousand at once, most overdue first.
select kiln.enqueue_many('test/one', array(select '{}'::jsonb
                                             from generate_series(1, 1500)),
                         p_run_at => kiln_internal.now() + interval '1 minute') \g /dev/null
select fixture.pass('2 minutes'), fixture.tick() \g /dev/null
select is((select count(*)::int from kiln.task_ready), 1000,
          'a tick readies a thousand, so that it stays short');
select fixture.tick() \g /dev/null
select is((select count(*)::int from kiln.task_ready), 1500, 'and the next one the rest');

select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

-- The retry rule: the runner says what happened (a class), and what follows is decided here.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

-- Each class, at the first of three attempts.
create temporary table class as
select c.*, fixture.job_in('running') as job_id
  from (values (1, 'transient',    'waiting',   'running',   'transient'),
               (2, 'rate_limited', 'waiting',   'running',   'rate_limited'),
               (3, 'timeout',      'waiting',   'running',   'timeout'),
               (4, 'invalid',      'failed',    'failed',    'invalid'),
               (5, 'refused',      'failed',    'failed',    'refused'),
               (6, 'unknown',      'held',      'held',      'unknown'),
               (7, 'cancelled',    'ready',     'running',   'released')) as c (turn, class, task_state,
                                                        job_state, outcome);
select is(fixture.fail(job_id, class, 'Why: ' || class), task_state,
          format('%s: the runner is told that the task is %s', class, task_state)) from class order by turn;
select is(fixture.task_states(job_id), task_state, format('%s: it is %s', class, task_state)) from class
 order by turn;
select is(fixture.job_state(job_id), job_state, format('%s: its job is %s', class, job_state)) from class
 order by turn;
select is((select a.outcome || ': ' || a.message from kiln.attempt a
            where a.job_id = class.job_id), outcome || ': Why: ' || class,
          format('%s: the history keeps the reason', class))
  from class order by turn;
select is((j.error_code, j.error_message)::text, (class, 'Why: ' || class)::text,
          format('%s: people see why', class))
  from class join kiln.job j using (job_id) where job_state in ('failed', 'held') order by turn;
select is(t.attempts, case when class = 'cancelled' then 0 else 1 end::smallint,
          format('%s: %s', class, case when class = 'cancelled' then 'that was no attempt'
                                       else 'that was an attempt' end))
  from class join kiln.task t using (job_id) order by turn;
select is((j.version, fixture.events(job_id))::text, (2, 'queued/1 started/2')::text,
          format('%s: to try again is no change of the job', class))
  from class join kiln.job j using (job_id) where job_state = 'running' order by turn;

create temporary table x as select fixture.job_in('running') as job_id;
select throws_ok($$ select fixture.fail(job_id, 'sad') from x $$, '22023', null, 'another class is refused');
select is(fixture.task_states(job_id), 'running', 'and changes nothing') from x;
select is((select length(a.message) from kiln.attempt a join x using (job_id)), null::int, 'nor the history');
select fixture.fail(job_id, 'invalid', repeat('x', 5000)) from x \g /dev/null
select is((select length(error_message) from kiln.job
             join x using (job_id)), 2000, 'a message of any length is kept to 2000 characters');

-- Backoff ---------------------------------------------------------------------------------------------------

select fixture.pipeline('test/backoff', p_max_attempts => 9, p_backoff => '10 seconds',
                        p_cap => '60 seconds') \g /dev/null
create temporary table b as select fixture.job_in('running', p_pipeline => 'test/backoff') as job_id;
create temporary table waits (attempt int, wait interval);
do $$
declare v_job bigint := (select job_id from b);
begin
    for n in 1..6 loop
        perform fixture.fail(v_job, 'transient');
        insert into waits select n, t.due_at - kiln_internal.now() from kiln.task_waiting t
                           where t.job_id = v_job;
        perform fixture.set_now((select t.due_at from kiln.task_waiting t where t.job_id = v_job));
        perform fixture.tick();
        perform fixture.start(v_job);
    end loop;
end $$;
select ok(w.wait between w.base * 0.75 and w.base * 1.25,
          format('wait %s is %s, within a quarter of %s', w.attempt, w.wait, w.base))
  from (select *, least(interval '60 seconds', interval '10 seconds' * power(2, attempt - 1)) as base
          from waits) w order by attempt;
select is((select count(*)::int from (select kiln_internal.backoff('10 s', '60 s', 1) as w
                                        from generate_series(1, 1000)) q
            where w not between '7.5 s' and '12.5 s'), 0, 'jitter keeps its bounds a thousand times');
select ok((select max(w) - min(w) > '4 s'
             from (select kiln_internal.backoff('10 s', '60 s', 1) as w from generate_series(1, 1000)) q),
          'and spreads over them');
select lives_ok($$ select kiln_internal.backoff('24 hours', '24 hours', 100) $$,
                'the doubling of a hundredth attempt does not overflow');
select is(fixture.attempts(job_id), (select string_agg(format('one#%s transient', n), ', ')
                                       from generate_series(1, 6) n), 'attempts are numbered') from b;
select is((select kc.attempt from b, kiln_internal.claimed(array[kiln_internal.task_id(b.job_id, 1)]) kc), 7,
          'and the runner is told which one it makes');

-- Retry-After -----------------------------------------------------------------------------------------------

create temporary table ra as select fixture.job_in('running') as long, fixture.job_in('running') as short,
                                    fixture.job_in('running') as forever,
                                    fixture.job_in('running') as negative;
select fixture.fail(long, 'rate_limited', 'Slow down.', 3600000),
       fixture.fail(short, 'rate_limited', 'Slow down.', 1),
       fixture.fail(forever, 'transient', 'x', 2147483647), fixture.fail(negative, 'transient', 'x', -5)
  from ra \g /dev/null
create function pg_temp.wait(p_job bigint) returns interval
language sql as 'select t.due_at - kiln_internal.now() from kiln.task t where t.job_id = p_job';
select is(pg_temp.wait(long), '1 hour'::interval, 'it is not tried before the time that the provider named')
  from ra;
select ok(pg_temp.wait(short) between '1.5 s' and '2.5 s', 'a shorter one than the backoff shortens nothing')
  from ra;
select is(pg_temp.wait(forever), '24 hours'::interval, 'nobody can put a task off for longer than a day')
  from ra;
select ok(pg_temp.wait(negative) between '1.5 s' and '2.5 s', 'a negative one is none') from ra;

-- Exhausted -------------------------------------------------------------------------------------------------

create temporary table e as select fixture.job_in('running') as job_id;
do $$
declare v_job bigint := (select job_id from e);
begin
    for n in 1..2 loop
        perform fixture.fail(v_job, 'transient', 'Try ' || n);
        perform fixture.pass('10 minutes');
        perform fixture.tick();
        perform fixture.start(v_job);
    end loop;
end $$;
select is(fixture.fail(job_id, 'timeout', 'Too slow.'), 'failed',
          'the third of three attempts is the last, whatever its class') from e;
select is((j.state, j.error_code, j.error_message)::text, ('failed', 'timeout', 'Too slow.')::text,
          'the job fails with the last reason') from e join kiln.job j using (job_id);
select is(fixture.attempts(job_id), 'one#1 transient, one#2 transient, one#3 timeout',
          'and the history tells the whole story') from e;
select is(fixture.events(job_id), 'queued/1 started/2 failed/3', 'the log says it once') from e;

-- Each stage has its own attempts.
create temporary table s as select fixture.job_in('running') as job_id;
select fixture.fail(job_id, 'transient') from s \g /dev/null
select fixture.pass('10 minutes'), fixture.tick() \g /dev/null
select fixture.start(job_id) from s \g /dev/null
select fixture.complete(job_id) from s \g /dev/null
select is((fixture.start(job_id)).attempt, 1, 'a new stage begins with its first attempt') from s;
select is(fixture.attempts(job_id), 'one#1 transient, one#2 done', 'retry, then success') from s;
select is((fixture.call('ann', 'get_generation', jsonb_build_object('id', job_id::text)) ->> 'attempts')::int,
          3, 'the attempts that people see are those of all stages') from s;

-- Overdue: the runner lives, and does not end it ------------------------------------------------------------

select fixture.pipeline('test/slow', p_time_limit => '1 minute') \g /dev/null
create temporary table o as select fixture.job_in('running', p_pipeline => 'test/slow') as job_id;
select fixture.pass('80 seconds'), fixture.tick() \g /dev/null
select is(fixture.task_states(job_id), 'running', 'a runner has a grace to end what is over its time') from o;
select fixture.pass('11 seconds'), fixture.tick() \g /dev/null
select is(fixture.task_states(job_id), 'waiting', 'after that the task is taken from it and tried again')
  from o;
select is(fixture.attempts(job_id), 'one#1 timeout', 'as a timeout') from o;

select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

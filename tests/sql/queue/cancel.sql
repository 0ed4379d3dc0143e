-- Cancelling, wherever the job stands. (Two connections at once: behaviour/races.sql.)
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create function pg_temp.beats(p_job_id bigint) returns setof text language sql as $$
    select b.reason from kiln.task_running t, kiln_runner.beat(t.runner_id) b
     where t.job_id = p_job_id and b.task_id = t.task_id and b.fence = t.fence
$$;

create temporary table q as select fixture.job_in('queued') as job_id;
select is(kiln.cancel_job(job_id), 'cancelled', 'a queued job is cancelled at once') from q;
select is(fixture.task_states(job_id), 'cancelled', 'so is its task') from q;
select is(fixture.events(job_id), 'queued/1 cancelled/2', 'the log says it once') from q;
select is((j.error_code, j.error_message, j.finished_at is not null)::text,
          ('cancelled', 'Cancelled.', true)::text, 'and people see why it ended') from q
  join kiln.job j using (job_id);
select is_empty($$ select kiln_runner.claim(fixture.runner('{image}'), 8) $$, 'nobody is given it any more');
select matches(fixture.refusal(format('select kiln.cancel_job(%s)', job_id)) ->> 'code', 'KN001',
               'what has ended cannot be cancelled') from q;
select throws_ok('select kiln.cancel_job(-1)', 'KN002', null, 'what is not there cannot be cancelled');

create temporary table l as select fixture.enqueue(due_in => '1 hour') as later,
                                   fixture.job_in('running') as retrying, fixture.job_in('held') as held,
                                   fixture.job_in('running') as between;
select fixture.fail(retrying, 'transient'), fixture.complete(between) from l \g /dev/null
select is(kiln.cancel_job(later), 'cancelled', 'one that is scheduled for later, at once') from l;
select is(kiln.cancel_job(retrying), 'cancelled', 'one that waits for its next attempt, at once') from l;
select is(kiln.cancel_job(between), 'cancelled', 'one between two stages, at once') from l;
select is(kiln.cancel_job(held), 'cancelled', 'one that is held, at once') from l;
select is(fixture.task_states(later) || ',' || fixture.task_states(retrying) || ','
          || fixture.task_states(held) || ',' || fixture.task_states(between),
          'cancelled,cancelled,cancelled,done cancelled', 'with whatever waited of them') from l;

create temporary table r as select fixture.job_in('running') as job_id;
select is_empty('select pg_temp.beats(job_id) from r', 'a runner is told nothing of what it may go on with');
select is(kiln.cancel_job(job_id), 'cancelling', 'a running job is being cancelled') from r;
select is(kiln.cancel_job(job_id), 'cancelling', 'to ask twice is to ask once') from r;
select is(fixture.events(job_id), 'queued/1 started/2 cancelling/3', 'the log says it once') from r;
select results_eq('select pg_temp.beats(job_id) from r', array['cancelled'],
                  'the next beat tells the runner to stop this task');
select is(fixture.fail(job_id, 'cancelled', 'Stopped.'), 'cancelled', 'the runner stops it') from r;
select is((fixture.job_state(job_id), fixture.attempts(job_id))::text, ('cancelled', 'one#1 cancelled')::text,
          'and the job ends') from r;
select is(fixture.events(job_id), 'queued/1 started/2 cancelling/3 cancelled/4', 'with its own event') from r;

-- Whatever the runner says instead, a job that is being cancelled is not tried again.
create temporary table w as select c as class, fixture.job_in('cancelling') as job_id
                              from unnest('{transient,rate_limited,timeout,invalid,refused}'::text[]) as c;
select is(fixture.fail(job_id, class), 'cancelled',
          format('a failure (%s) while it is being cancelled ends it', class)) from w;
select is(fixture.job_state(job_id), 'cancelled', format('%s: the job is cancelled', class)) from w;
-- Money: an unknown outcome is a person's to resolve, also when nobody wants the result any more.
create temporary table uk as select fixture.job_in('cancelling') as job_id;
select is((fixture.fail(job_id, 'unknown'), fixture.job_state(job_id))::text, ('held', 'held')::text,
          'an unknown outcome is held even while it is being cancelled') from uk;

create temporary table h as select fixture.job_in('cancelling') as job_id;
select fixture.complete(job_id, '{"made": "too late"}') from h \g /dev/null
select is((fixture.job_state(job_id), fixture.task_states(job_id))::text, ('cancelled', 'done')::text,
          'a stage that is done while its job is being cancelled has no next one') from h;
select is((j.error_code, j.error_message)::text, ('cancelled', 'Cancelled.')::text,
          'and the job says why it ended, like any other') from h join kiln.job j using (job_id);
select is(fixture.events(job_id), 'queued/1 started/2 cancelling/3 cancelled/4', 'in the log too') from h;

create temporary table z as select fixture.job_in('cancelling', p_pipeline => 'test/one') as job_id;
select fixture.complete(job_id, '{"made": "in time"}') from z \g /dev/null
select is((fixture.job_state(job_id), (select output from kiln.job where job_id = z.job_id))::text,
          ('completed', '{"made": "in time"}'::jsonb)::text,
          'a last stage that is done completes its job all the same: the result is there') from z;

-- The runner dies before it could stop.
create temporary table d as select fixture.job_in('cancelling') as job_id, fixture.runner() as undertaker;
select fixture.outlive(undertaker) from d \g /dev/null
select fixture.tick(undertaker) from d, generate_series(1, 10) \g /dev/null
select is(fixture.job_state(job_id), 'cancelled',
          'a job whose runner dies while it is being cancelled is cancelled') from d;

select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

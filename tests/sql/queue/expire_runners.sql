-- Leases belong to runners. A dead runner's tasks come back as an interruption; a task that two runners died
-- with is run alone.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create temporary table r as select fixture.runner('{image}', name => 'dead') as dead,
                                   fixture.runner('{image}', name => 'old') as old;
create temporary table j as select fixture.enqueue() as a, fixture.enqueue() as b;
select kiln_runner.claim(dead, 8) from r \g /dev/null

-- Who buries ------------------------------------------------------------------------------------------------

select fixture.outlive(old, '4 seconds') from r \g /dev/null
select fixture.tick(old) from r \g /dev/null
select is(fixture.task_states(a), 'running', 'within its lease a silent runner keeps its tasks') from j;
select fixture.outlive(old, '4 seconds') from r \g /dev/null
create temporary table y as select fixture.runner('{image}', name => 'young') as young;
select fixture.tick(young) from y \g /dev/null
select is(fixture.task_states(a), 'running', 'a runner that has just come buries nobody') from j;
select fixture.tick(null) \g /dev/null
select is(fixture.task_states(a), 'running', 'nor does a tick without a runner') from j;
select fixture.tick(dead) from r \g /dev/null
select is(fixture.task_states(a), 'running', 'nor does the dead one itself') from j;
select fixture.tick(old) from r \g /dev/null
select is(fixture.task_states(a) || ' ' || fixture.task_states(b), 'ready ready',
          'one whose beats have come without a gap for a lease does, and the tasks are ready at once') from j;

select is(fixture.attempts(a), 'one#1 interrupted', 'the history calls it an interruption') from j;
select is((t.attempts, t.interruptions)::text, (0, 1)::text, 'a death is no attempt') from j
  join kiln.task t on t.job_id = j.a;
select is((select message from kiln.attempt x join j on x.job_id = j.a), 'Runner dead died.',
          'and the history says who died');
select is(fixture.events(a), 'queued/1 started/2', 'people are told nothing: the job goes on') from j;
select is((x.ended_why, x.ended_at is not null)::text, ('expired', true)::text, 'the runner is declared dead')
  from r join kiln.runner x on x.runner_id = r.dead;
select throws_ok('select kiln_runner.beat(dead) from r', 'KN011', null,
                 'it is told so when it turns out to live');
select throws_ok('select kiln_runner.claim(dead, 1) from r', 'KN011', null, 'also when it claims');

-- After an outage every beat is late: nobody buries anybody.
create temporary table g as select fixture.runner('{audio}', name => 'gap 1') as one,
                                   fixture.runner('{audio}', name => 'gap 2') as two;
select fixture.outlive(one), fixture.outlive(two) from g \g /dev/null
select kiln_runner.beat(one), 1 from g \g /dev/null
select fixture.pass('1 minute') \g /dev/null
select kiln_runner.beat(one) from g \g /dev/null
select fixture.tick(one) from g \g /dev/null
select is((select ended_at from kiln.runner, g where runner_id = g.two), null,
          'a runner whose own beats had a gap buries nobody, since the database may have been away');
select is((select since = beat_at from kiln.heartbeat, g
            where runner_id = g.one), true, 'its lease of unbroken beats begins anew');
select fixture.outlive(one, '6 seconds') from g \g /dev/null
select fixture.tick(one) from g \g /dev/null
select is((select ended_why from kiln.runner, g where runner_id = g.two), 'expired',
          'a lease later it buries who has still not beaten');

-- Suspects --------------------------------------------------------------------------------------------------

create temporary table s as select fixture.enqueue('test/three') as quarantined,
                                   fixture.runner('{audio}', name => 'undertaker') as undertaker;
select fixture.outlive(undertaker, '6 seconds') from s \g /dev/null
create function pg_temp.die_with_it() returns void language plpgsql as $$
declare
    v_job bigint := (select quarantined from s);
    v_undertaker bigint := (select undertaker from s);
    v_runner bigint := fixture.runner('{image}', name => 'victim');
begin
    perform kiln_runner.beat(v_undertaker);
    perform fixture.start(v_job, v_runner);
    perform fixture.outlive(v_undertaker, '6 seconds');
    perform fixture.tick(v_undertaker) from generate_series(1, 3);
end
$$;
update kiln.task set state = 'cancelled' where state = 'ready'
   and job_id in (select unnest(array[a, b]) from j);
select pg_temp.die_with_it(), 1 \g /dev/null
select is((t.state, t.interruptions)::text, ('ready', 1)::text,
          'after one death a task is claimed like any other') from s
  join kiln.task t on t.job_id = s.quarantined;
select pg_temp.die_with_it(), 1 \g /dev/null
select is((t.state, t.interruptions)::text, ('ready', 2)::text, 'after two it is a quarantined task') from s
  join kiln.task t on t.job_id = s.quarantined;

create temporary table k as select fixture.runner('{image}', 4, 'busy') as busy,
                                   fixture.enqueue('test/one') as other, fixture.enqueue('test/one') as third;
select is((select array_agg(c.job_id) from k, kiln_runner.claim(busy, 1) c), array[other],
          'a quarantined task does not stand in the way of what came later') from k;
-- only this one is left to serve the queue
set role kiln_owner; update kiln.runner set ended_at = kiln_internal.now(), ended_why = 'expired'
                      where ended_at is null and name <> 'busy';       reset role;
select fixture.tick() \g /dev/null
select is((select quarantined_task_id from kiln.runner, k
            where runner_id = k.busy), kiln_internal.task_id(quarantined, 1),
          'the tick reserves it for one runner') from s;
select is_empty('select c.job_id from k, kiln_runner.claim(busy, 3) c',
                'which is given nothing new while it still runs something');
select fixture.complete(other) from k \g /dev/null
create temporary table kc as select c.* from k, kiln_runner.claim(busy, 4) c;
select results_eq('select job_id from kc', 'select quarantined from s',
                  'once idle it is given the quarantined');
select is_empty('select c.job_id from k, kiln_runner.claim(busy, 3) c', 'and nothing beside it');
select fixture.tick() \g /dev/null
select is((select quarantined_task_id from kiln.runner, k
            where runner_id = k.busy), kiln_internal.task_id(quarantined, 1), 'as long as it runs') from s;

-- It ends well: the suspicion ends with it.
savepoint well;
select fixture.complete(quarantined) from s \g /dev/null
select fixture.tick() \g /dev/null
select is((select quarantined_task_id from kiln.runner, k
            where runner_id = k.busy), null, 'when it is over the runner is free again');
select is((select count(*)::int from k, kiln_runner.claim(busy, 4)), 2,
          'and is given the next stage, as unsuspicious as any, beside others');
rollback to well;

-- Or the third runner dies: it ran nothing else, so the task is the cause.
create temporary table u as select fixture.runner('{audio}', name => 'last') as undertaker;
select fixture.outlive(undertaker, '12 seconds') from u \g /dev/null
select fixture.tick(undertaker) from u \g /dev/null
select is(fixture.task_states(quarantined), 'held', 'a third death, alone, holds the task') from s;
select is((x.state, x.error_code)::text, ('held', 'poison')::text, 'as poison') from s
  join kiln.job x on x.job_id = s.quarantined;
select matches(x.error_message, 'It ran alone when runner busy died with it', 'with the reason as a sentence')
  from s join kiln.job x on x.job_id = s.quarantined;
select is(fixture.attempts(quarantined), 'one#1 interrupted, one#1 interrupted, one#1 poison',
          'the history tells what happened') from s;
select is((select (reason, what_to_do)::text from kiln.held_jobs
            where job = quarantined), ('poison',
                                       format('select kiln.resume_job(%s); -- or kiln.cancel_job(%1$s)',
                                              quarantined))::text,
          'and people are told what to type') from s;
select is(kiln.resume_job(quarantined), 'running', 'a person may give it another chance') from s;
select is(fixture.task_states(quarantined), 'ready', 'then it is ready again') from s;
select throws_ok('select kiln.resume_job(quarantined) from s', 'KN001', null,
                 'what is not held cannot be resumed');

-- A reserved runner that dies before it could claim takes no quarantined task with it.
create temporary table v as select fixture.runner('{image}', name => 'reserved') as first,
                                   fixture.runner('{audio}', name => 'digger') as digger;
select fixture.outlive(digger, '6 seconds') from v \g /dev/null
select fixture.tick(digger) from v \g /dev/null
select is((select ended_why from kiln.runner, v where runner_id = v.first), 'expired',
          'a runner for which a quarantined task was reserved dies idle');
create temporary table n as select fixture.runner('{image}', name => 'next') as next;
select fixture.tick() \g /dev/null
select is((select quarantined_task_id from kiln.runner, n
            where runner_id = n.next), kiln_internal.task_id(quarantined, 1),
          'and the quarantined task is reserved for the next') from s;

-- A registration that beats and never claims once held a quarantined task for as long as it lived: job 123
-- stood ready for 90 seconds.
create temporary table z as select fixture.runner('{image}', name => 'claims') as claims,
                                   fixture.runner('{image}', name => 'beats') as beats,
                                   fixture.runner('{image}', name => 'works') as works;
set role kiln_owner; update kiln.runner set ended_at = kiln_internal.now(), ended_why = 'expired'
                      where ended_at is null and runner_id not in (select unnest(array[claims, beats, works])
                                                                     from z); reset role;
create temporary table w as select fixture.enqueue('test/one') as work;
select fixture.start(work, works) from w, z \g /dev/null
create function pg_temp.reserved_for() returns text language sql volatile as $$
    select string_agg(r.name, ' ') from kiln.runner r
     where r.ended_at is null and r.quarantined_task_id is not null $$;
create function pg_temp.wait(p_time interval) returns void language plpgsql as $$
begin
    perform fixture.pass(p_time), kiln_runner.beat(claims), kiln_runner.beat(beats), kiln_runner.beat(works)
      from z;
    perform fixture.tick();
end $$;
create temporary table seen (name text);
select pg_temp.wait('1 second') \g /dev/null
select is(pg_temp.reserved_for(), 'beats',
          'a quarantined task is reserved for a runner that is idle, the newest first');
select pg_temp.wait('4 seconds'), pg_temp.wait('4 seconds') \g /dev/null
select is(pg_temp.reserved_for(), 'beats', 'which has ten seconds to take it');
select pg_temp.wait('4 seconds') \g /dev/null
select is(pg_temp.reserved_for(), 'claims', 'one that does not claim loses it to the next that is idle');
savepoint untaken;
select pg_temp.wait('4 seconds'), pg_temp.wait('4 seconds'), pg_temp.wait('4 seconds') \g /dev/null
select is(pg_temp.reserved_for(), 'works', 'then one that is busy');
select pg_temp.wait('4 seconds') from generate_series(1, 30) \g /dev/null
select is(pg_temp.reserved_for(), 'works', 'which keeps it until it is idle');
select fixture.complete(work) from w \g /dev/null
select results_eq('select c.job_id from z, kiln_runner.claim(works, 8) c', 'select quarantined from s',
                  'and takes it then');
rollback to untaken;

-- The limits and the pause of its queue hold for a quarantined task too.
select kiln.pause_queue('image') \g /dev/null
select is_empty('select c.job_id from z, kiln_runner.claim(claims, 8) c',
                'a quarantined task of a paused queue is not given');
select pg_temp.wait('1 second') \g /dev/null
select is(pg_temp.reserved_for(), null, 'and no runner is kept idle for it');
select kiln.resume_queue('image') \g /dev/null
update kiln.queue set max_running = 1 where name = 'image';
select pg_temp.wait('1 second') \g /dev/null
select is(pg_temp.reserved_for(), 'claims', 'when the queue goes on it is reserved again');
select is_empty('select c.job_id from z, kiln_runner.claim(claims, 8) c',
                'a full queue gives no quarantined task');
select pg_temp.wait('4 seconds') from generate_series(1, 5) \g /dev/null
select is(pg_temp.reserved_for(), 'claims', 'for which its runner is not blamed');
create temporary table o as select fixture.enqueue('test/one') as other;
select fixture.complete(work) from w \g /dev/null
select is_empty('select c.job_id from z, kiln_runner.claim(works, 8) c',
                'the place that comes free is kept for it');
select results_eq('select c.job_id from z, kiln_runner.claim(claims, 8) c', 'select quarantined from s',
                  'and it has it');
select is_empty('select c.job_id from z, kiln_runner.claim(works, 8) c', 'and others none beside it');
select fixture.complete(quarantined) from s \g /dev/null
select pg_temp.wait('1 second') \g /dev/null
update kiln.queue set max_running = null where name = 'image';

select is_empty($$ select * from kiln.contradictions
                    where complaint !~ 'which is gone' $$, 'nothing contradicts anything');
-- The clock is set back by an hour: what is done every second was not done for that hour.
update kiln.maintenance set ran_at = kiln_internal.now() + interval '1 hour';
select kiln_runner.tick(null) \g /dev/null
select is_empty($$ select name, ran_at from kiln.maintenance
                    where ran_at > kiln_internal.now() and every < interval '1 hour' $$,
                'a clock that is set back stops no maintenance job');

-- What has piled up is removed by the thousand: a tick that takes longer than its time limit would never end.
set role kiln_owner;
insert into kiln.nonce (nonce_hash, expires_at)
select sha256(n::text::bytea), kiln_internal.now() - interval '1 hour' from generate_series(1, 12000) n;
reset role;
create temporary table left_over (n bigint);
do $$ begin for i in 1..4 loop perform kiln_internal.purge_expired(); insert into left_over select count(*)
                                                        from kiln.nonce
                                                            where expires_at
                                                                < kiln_internal.now(); end loop; end $$;
select is((select array_agg(n) from left_over), '{7000,2000,0,0}',
          'forgetting takes a bounded step at a time');

-- One failing maintenance job rolled the whole tick back, each time: nothing was due any more, and nobody was
-- buried.
create or replace function kiln_internal.purge_expired() returns void
language plpgsql as 'begin raise exception ''no''; end';
create temporary table d as select fixture.enqueue('test/one', due_in => '1 minute') as due;
select fixture.pass('10 minutes') \g /dev/null
set client_min_messages = error;
select fixture.tick() \g /dev/null
reset client_min_messages;
select is(fixture.task_states(due), 'ready', 'a maintenance job that fails stops nothing else that is due')
  from d;
select is_empty($$ select name from kiln.maintenance
                    where ran_at is distinct from kiln_internal.now() $$,
                'and each maintenance job had its turn');
select finish();
rollback;

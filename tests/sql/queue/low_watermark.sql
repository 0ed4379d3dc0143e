-- Claims begin at a low watermark, above the rows that a long transaction keeps dead. It only rises, one tick
-- behind, and what was committed below it is lifted.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary view low_watermark as select virtual_time, next_virtual_time from kiln.low_watermark
                                        where queue_id = fixture.queue('image') and priority = 1;
create temporary table r as select fixture.runner('{image}', 1000) as runner;
create function pg_temp.work(p_jobs int) returns void language sql as $$
    select kiln.enqueue_many('test/one', array(select '{}'::jsonb from generate_series(1, p_jobs)));
    select kiln_runner.complete(c.task_id, c.fence) from r, kiln_runner.claim(runner, 1000) c;
$$;
create temporary table seen (turn int generated always as identity, virtual_time bigint);

select kiln.enqueue_many('test/one', array(select '{}'::jsonb from generate_series(1, 300))) \g /dev/null
create temporary table first as select min(virtual_time) as virtual_time, max(virtual_time) as last
                                  from kiln.task_ready;
insert into seen (virtual_time) select virtual_time from low_watermark;
select fixture.tick(), fixture.tick() \g /dev/null
select ok((select virtual_time from low_watermark) < f.virtual_time,
          'the low watermark never passes what waits') from first f;
insert into seen (virtual_time) select virtual_time from low_watermark;
select kiln_runner.complete(c.task_id, c.fence) from r, kiln_runner.claim(runner, 250) c \g /dev/null
select fixture.tick() \g /dev/null
insert into seen (virtual_time) select virtual_time from low_watermark;
select ok((select virtual_time from low_watermark) < f.virtual_time,
          'it stays one tick behind: an enqueue in flight is not overtaken') from first f;
select fixture.tick() \g /dev/null
insert into seen (virtual_time) select virtual_time from low_watermark;
select is((select virtual_time from low_watermark), f.virtual_time + 249,
          'the tick after, claims begin behind what is done') from first f;
select is((select count(*)::int from r, kiln_runner.claim(runner, 1000)), 50, 'and find all that waits');
select pg_temp.work(500), fixture.tick() \g /dev/null
select pg_temp.work(500), fixture.tick() \g /dev/null
insert into seen (virtual_time) select virtual_time from low_watermark;
select is_empty('select from seen a join seen b on a.turn < b.turn and a.virtual_time > b.virtual_time',
                'it only ever rises');

-- A transaction that took its turn and committed only after the low watermark had passed it.
create temporary table late as select fixture.enqueue() as job_id;
set role kiln_owner; update kiln.low_watermark
                        set virtual_time = virtual_time + 100000,
                            next_virtual_time = next_virtual_time + 100000
                      where queue_id = fixture.queue('image') and priority = 1; reset role;
select is_empty('select kiln_runner.claim(runner, 10) from r',
                'what was committed below the low watermark is not found by claims');
select fixture.tick() \g /dev/null
select results_eq('select c.job_id from r, kiln_runner.claim(runner, 10) c', 'select job_id from late',
                  'the tick lifts it within a second');

-- All that comes back comes back above the low watermark.
update kiln.task set state = 'cancelled' where state = 'ready';
set role kiln_owner; update kiln.low_watermark set virtual_time = 0, next_virtual_time = 0; reset role;
create temporary table back (how text, job_id bigint);
insert into back values ('a retry', fixture.job_in('running')),
       ('what was released', fixture.job_in('running')), ('a next stage', fixture.job_in('running')),
                        ('what was held', fixture.job_in('held')),
       ('what was scheduled', fixture.enqueue(due_in => '1 minute'));
set role kiln_owner; update kiln.low_watermark
                        set virtual_time = virtual_time + 100000,
                            next_virtual_time = next_virtual_time + 100000; reset role;
select fixture.fail(job_id, 'transient') from back where how = 'a retry' \g /dev/null
select kiln_runner.release(t.task_id, t.fence) from back join kiln.task_running t using (job_id)
 where how = 'what was released' \g /dev/null
select fixture.complete(job_id) from back where how = 'a next stage' \g /dev/null
select kiln.resume_job(job_id) from back where how = 'what was held' \g /dev/null
select fixture.pass('2 minutes') \g /dev/null
select kiln_runner.tick() \g /dev/null
create temporary table claimed as select c.job_id from r, kiln_runner.claim(runner, 100) c;
select ok(exists (select from claimed c where c.job_id = b.job_id),
          b.how || ' comes back above the low watermark') from back b;

select throws_ok($$ set local role kiln_owner; update kiln.low_watermark
                                                  set virtual_time = next_virtual_time + 1 $$, '23514', null,
                 'a low watermark above what it is to become is refused');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

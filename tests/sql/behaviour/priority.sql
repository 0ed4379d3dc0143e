-- Priority 3 is served first, 0 last; within one, first come, first served.
begin;
\ir ../../fixtures/fixture.sql
select plan(7);

select fixture.enqueue(priority => 1), fixture.enqueue(priority => 3), fixture.enqueue(priority => 0),
       fixture.enqueue(priority => 2), fixture.enqueue(priority => 3, due_in => '1 hour') \g /dev/null
create temporary table r as select fixture.runner('{image}') as image, fixture.runner() as all_queues;
create temporary table got (turn int generated always as identity, job_id bigint);
insert into got (job_id) select c.job_id
                           from r, generate_series(1, 4) n, lateral (select *
                                                                       from kiln_runner.claim(image,
                                                                           1 + 0 * n)) c;
select results_eq('select j.priority::int from got join kiln.job j using (job_id) order by turn',
                  array[3, 2, 1, 0], 'the most urgent task that is due goes first');

create temporary table l as select fixture.enqueue(priority => 2) as a, fixture.enqueue(priority => 2) as b;
select results_eq('select c.job_id from r, generate_series(1, 2) n, lateral (select * from '
                  'kiln_runner.claim(image, 1 + 0 * n)) c', 'select unnest(array[a, b]) from l',
    'among equals the first comes first');

-- Across the queues of a runner.
select fixture.pipeline('test/video', p_queue => 'video') \g /dev/null
create temporary table x as select fixture.enqueue(priority => 1) as image,
                                   fixture.enqueue('test/video', priority => 3) as video;
select is((kiln_runner.claim(all_queues, 1)).job_id, x.video, 'urgency counts across the queues of a runner')
  from r, x;

select throws_ok('select fixture.enqueue(priority => 4)', '23514', null, 'there is no priority above 3');
select throws_ok('select fixture.enqueue(priority => -1)', '23514', null, 'nor below 0');

-- A job keeps its priority through its stages.
create temporary table s as select fixture.enqueue('test/three', priority => 3) as job_id;
select fixture.start(job_id), 1 from s \g /dev/null
select fixture.complete(job_id) from s \g /dev/null
select is((select priority::int from kiln.task_ready
             join s using (job_id)), 3, 'the next stage has the job''s priority');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

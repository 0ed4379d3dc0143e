-- kiln_runner.progress(): how far a task is, for those who watch.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table j as select fixture.job_in('running') as job_id;
create function pg_temp.progress(p_fraction float8, p_label text default 'drawing') returns void language sql
as $$
    select kiln_runner.progress(t.task_id, t.fence, p_fraction, p_label) from kiln.task_running t
      join j using (job_id)
$$;
select lives_ok($$ select pg_temp.progress(0.5) $$, 'a running task tells how far it is');
select is((t.fraction, t.label)::text, (0.5, 'drawing')::text, 'its row has the fraction and the word') from j
  join kiln.task t using (job_id);
select is(fixture.events(job_id), 'queued/1 started/2 progress/2', 'an event repeats the job''s version')
  from j;
select is((select data from kiln.event join j using (job_id) order by event_id desc
            limit 1), '{"stage": 1, "label": "drawing", "fraction": 0.5}',
          'and says stage, fraction and label');
select is(fixture.call('ann', 'get_generation', jsonb_build_object('id', job_id::text)) -> 'progress',
          '{"stage": 1, "stages": 3, "fraction": 0.167, "label": "drawing"}',
          'people see the progress of the whole job') from j;

select pg_temp.progress(7) \g /dev/null
select is(t.fraction, 1::real, 'more than all is all') from j join kiln.task t using (job_id);
select pg_temp.progress(-1) \g /dev/null
select is(t.fraction, 0::real, 'less than nothing is nothing') from j join kiln.task t using (job_id);
select pg_temp.progress('NaN') \g /dev/null
select is(t.fraction between 0 and 1, true, 'what is no number is taken for one in range') from j
  join kiln.task t using (job_id);
select pg_temp.progress(0.1, repeat('x', 1000)) \g /dev/null
select is(length(t.label), 200, 'a label of any length is kept to 200 characters') from j
  join kiln.task t using (job_id);

select fixture.complete(job_id) from j \g /dev/null
select is((t.fraction, t.label)::text, (null::real, null::text)::text,
          'what was said of an attempt ends with it') from j
  join kiln.task t on t.task_id = kiln_internal.task_id(j.job_id, 1);
select throws_ok($$ select kiln_runner.progress(t.task_id, t.fence, 0.9, 'late') from kiln.task t
                      join j using (job_id) where t.state = 'done' $$, 'KN010', null,
                 'nobody makes progress with what is done');
select finish();
rollback;

-- What people read in psql. Narrow enough for 80 columns.
create or replace view kiln.job_history as
select j.job_id as job,
       left(coalesce(m.name, p.name), 12) as what,
       j.state,
       coalesce((o.t).stage, 1) || '/' || j.stages as stage,
       kiln_internal.format_time(coalesce(j.finished_at, kiln_internal.now()) - j.created_at) as age,
       kiln_internal.shorten(coalesce(case when j.finished_at is null
                                               then kiln_internal.explain_wait(o.t, q.name, q.closed) end,
                             j.error_message, j.input ->> 'prompt'), 23) as about
  from kiln.job j
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.pipeline p using (pipeline_id)
  left join kiln.model m using (model_id)
  left join lateral (select t from kiln.task t
                      where t.task_id between kiln_internal.task_id(j.job_id,
                                                                    0) and kiln_internal.task_id(j.job_id, 99,
                                                                        99)
                      order by t.task_id desc limit 1) o on true
  -- One row a queue, made once a query.
  left join (select u.queue_id, u.name, kiln_internal.queue_closed(u) as closed from kiln.queue u
             offset 0) q on q.queue_id = (o.t).queue_id;
comment on view kiln.job_history is
'All jobs, with the columns of kiln.jobs: select * from kiln.job_history where job = 42 (by key).
Without a condition it reads all jobs: add order by job desc and a limit.';
comment on column kiln.job_history.job is 'job_id.';
comment on column kiln.job_history.what is 'The model, or the pipeline.';
comment on column kiln.job_history.state is 'kiln.job.state.';
comment on column kiln.job_history.stage is 'Which stage of how many.';
comment on column kiln.job_history.age is 'Since it was made; for one that has ended, how long it took.';
comment on column kiln.job_history.about is
'What it waits for or does (kiln_internal.explain_wait), its error, or else its prompt.';

create or replace view kiln.jobs as
select h.*
  from kiln.job_history h
 where h.job = any (kiln_internal.present_job_ids(1000))
 order by h.job desc;
comment on view kiln.jobs is
'The current jobs, newest first: the newest 1,000; all that run; and the newest 1,000 each of those that are
held, wait, are ready, or are between two stages. An older job: kiln.job_history.
Columns: model, state, stage, age (or time taken), and what the job waits for, its error or its prompt. All
columns: \d+ kiln.job';
comment on column kiln.jobs.job is 'job_id.';
comment on column kiln.jobs.what is 'The model, or the pipeline.';
comment on column kiln.jobs.state is 'kiln.job.state.';
comment on column kiln.jobs.stage is 'Which stage of how many.';
comment on column kiln.jobs.age is 'Since it was made; for one that has ended, how long it took.';
comment on column kiln.jobs.about is
'Of one that waits its queue or provider, and why: paused, full, rate, no runner, a time, an upload, a person.
Of one that runs what it is doing. Of one that has ended its error, or its prompt.';

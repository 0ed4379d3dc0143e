-- What must never be. Empty as long as all is well: the first thing to look at when something is strange, and what the tests
-- ask after every storm. It reads whole tables: not for a monitoring loop on a large installation.
create or replace view kiln.contradictions as
with open_task as (
    select t.job_id, count(*) as tasks, count(*) filter (where t.state = 'running') as running, min(t.state) as state
      from kiln.task t
     where t.state in ('ready', 'waiting', 'running', 'held')
     group by t.job_id
), told as (
    select e.job_id, count(*) filter (where e.type <> 'job.progress') as moves
      from kiln.event e
     where e.job_id is not null
     group by e.job_id
)
select 'job'::text as what, j.job_id as id, format('is %s, and nothing of it waits or runs', j.state) as complaint
  from kiln.job j
 where j.finished_at is null and not exists (select from open_task o where o.job_id = j.job_id)
union all
select 'job', j.job_id, format('is %s, and a task of it is still %s', j.state, o.state)
  from kiln.job j join open_task o using (job_id)
 where j.finished_at is not null and o.tasks > o.running
union all
select 'job', o.job_id, format('has %s open tasks', o.tasks)
  from open_task o
 where o.tasks > 1
union all
select 'job', j.job_id, format('is queued, and its task is %s', o.state)
  from kiln.job j join open_task o using (job_id)
 where j.state = 'queued' and o.state not in ('ready', 'waiting')
union all
select 'job', j.job_id, format('has an end (%s), and is %s', j.finished_at, j.state)
  from kiln.job j
 where (j.finished_at is not null) <> (j.state in ('completed', 'failed', 'cancelled'))
union all
select 'job', j.job_id, 'is completed, and its last stage is not done'
  from kiln.job j
 where j.state = 'completed'
   and not exists (select from kiln.task t where t.task_id = kiln.task_id(j.job_id, j.stages) and t.state = 'done')
union all
select 'job', j.job_id, format('is at version %s, and the log tells of %s states', j.version, coalesce(e.moves, 0))
  from kiln.job j left join told e using (job_id)
 where j.version <> coalesce(e.moves, 0) and j.created_at > kiln.now() - (select c.event_keep from kiln.config c)
union all
select 'task', t.task_id, 'is there twice'
  from kiln.task t
 group by t.task_id having count(*) > 1
union all
-- (One that a person adopted while it was held has the attempt after which it was held.)
select 'task', t.task_id, 'is done, and no attempt says so, or more than one'
  from kiln.task t
 where t.state = 'done' and t.runner_id is not null and t.created_at > kiln.now() - (select c.attempt_keep from kiln.config c)
   and 1 <> (select count(*) from kiln.attempt a where a.job_id = t.job_id and a.task_id = t.task_id and (a.outcome = 'done' or a.fence = t.fence))
union all
select 'task', t.task_id, format('runs with runner %s, which is gone', t.runner_id)
  from kiln.task_running t
 where not exists (select from kiln.heartbeat h where h.runner_id = t.runner_id)
union all
select 'media', m.media_id, 'belongs to a job that is gone'
  from kiln.media m
 where m.job_id is not null and not exists (select from kiln.job j where j.job_id = m.job_id);
comment on view kiln.contradictions is 'What must never be: no row as long as all is well.';
comment on column kiln.contradictions.what is 'job, task or media.';
comment on column kiln.contradictions.id is 'Its id.';
comment on column kiln.contradictions.complaint is 'What does not fit.';

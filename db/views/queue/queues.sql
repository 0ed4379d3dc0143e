-- Queues, runners, attempts and pipelines.
create or replace view kiln.queues as
select q.name as queue,
       (select count(*) from kiln.task_ready t where t.queue_id = q.queue_id) as ready,
       (select count(*) from kiln.task_waiting t where t.queue_id = q.queue_id) as waiting,
       (select count(*) from kiln.task_running t
         where t.queue_id = q.queue_id) || coalesce('/' || q.max_running, '') as running,
       (select count(*) from kiln.task_held t where t.queue_id = q.queue_id) as held,
       q.rate_per_minute || '/min' as rate,
       (select kiln_internal.format_time(kiln_internal.now() - min(t.created_at))
          from (select t.created_at from kiln.task_ready t where t.queue_id = q.queue_id
                 order by t.virtual_time limit 1) t) as oldest,
       coalesce(c.closed, 'now') as next
  from kiln.queue q
 cross join lateral (select regexp_replace(kiln_internal.queue_closed(q), '^rate, |, \d+/\d+$', '') as closed
                     offset 0) c
 order by q.queue_id;
comment on view kiln.queues is
'The queues: ready, waiting, running and held tasks, the limits, the age of the oldest ready task, and the
next possible start.';
comment on column kiln.queues.queue is 'Its name.';
comment on column kiln.queues.ready is 'Tasks that could run now.';
comment on column kiln.queues.waiting is 'Tasks that wait for a time or for something else.';
comment on column kiln.queues.running is
'Tasks with a runner / the most there may be (kiln.queue.max_running), where there is a limit.';
comment on column kiln.queues.held is 'Tasks that wait for a person.';
comment on column kiln.queues.rate is 'How many may start in a minute, where there is a limit.';
comment on column kiln.queues.oldest is 'How long the next one has waited.';
comment on column kiln.queues.next is
'When the next task may start: now, in 20 s (the rate), or what keeps it: paused, full, no runner, silent,
busy.';

create or replace view kiln.runners as
select r.runner_id as runner, left(r.name, 12) as name,
       case when r.ended_at is not null then r.ended_why
            when h.beat_at is null or h.beat_at < kiln_internal.now() - c.lease then 'silent'
            else 'alive' end as state,
       kiln_internal.ago(coalesce(h.beat_at, r.ended_at)) as seen,
       (select count(*) from kiln.task_running t where t.runner_id = r.runner_id
           and r.ended_at is null) || '/' || r.slots as slots,
       r.sandbox,
       kiln_internal.shorten((select string_agg(q.name, ', ' order by q.queue_id) from kiln.queue q
                               where q.queue_id = any (r.queue_ids)), 12) as queues
  from (select r.* from kiln.runner r order by r.runner_id desc limit 1000) r
  left join kiln.heartbeat h using (runner_id)
 cross join kiln.config c
 order by r.runner_id desc;
comment on view kiln.runners is
'The newest 1,000 runners: alive, silent (no heartbeat), left or expired; the last heartbeat; slots in use.
All: \d+ kiln.runner';
comment on column kiln.runners.runner is 'runner_id.';
comment on column kiln.runners.name is 'The beginning of what the operator calls it.';
comment on column kiln.runners.state is 'alive, silent, left or expired.';
comment on column kiln.runners.seen is 'Its last heartbeat, or its end.';
comment on column kiln.runners.slots is 'Running / slots.';
comment on column kiln.runners.sandbox is
'What keeps its tools from the machine: landlock, bubblewrap or none; empty: it did not say.';
comment on column kiln.runners.queues is 'The beginning of what it serves.';

create or replace view kiln.attempts as
select x.job, left(s.name, 8) as stage, x.try, x.outcome, kiln_internal.format_time(x.took) as took,
       left(r.name, 9) as runner,
       kiln_internal.shorten(x.message, 17) as message
  from (select a.job_id as job, a.stage as position, a.attempt as try, a.outcome,
               a.finished_at - a.started_at as took, a.runner_id, a.message, a.fence
          from kiln.attempt a
        union all
        select t.job_id, t.stage, t.attempts + 1, 'running', kiln_internal.now() - t.started_at, t.runner_id,
               t.label, t.fence
          from kiln.task_running t) x
  join kiln.job j on j.job_id = x.job
  left join kiln.stage s on s.pipeline_version_id = j.pipeline_version_id and s.position = x.position
  left join kiln.runner r using (runner_id)
 order by x.job, x.fence;
comment on view kiln.attempts is
'All attempts of tasks, in order: select * from kiln.attempts where job = 42 (by index; without a condition
it reads all).
Whole messages and fencing numbers: kiln.attempt.';
comment on column kiln.attempts.job is 'job_id.';
comment on column kiln.attempts.stage is 'The stage.';
comment on column kiln.attempts.try is
'Which attempt of it; a repeat after a runner''s death has the same number.';
comment on column kiln.attempts.outcome is 'done, running, or why it ended.';
comment on column kiln.attempts.took is 'How long.';
comment on column kiln.attempts.runner is 'The beginning of the runner''s name.';
comment on column kiln.attempts.message is 'The beginning of the error, or of what is being done.';

create or replace view kiln.pipelines as
select left(p.name, 16) as pipeline, v.version as v, s.position as stage, left(s.name, 9) as name, s.handler,
       left(q.name, 8) as queue,
       kiln_internal.format_time(s.time_limit) as time, s.max_attempts as tries
  from kiln.pipeline p
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.stage s using (pipeline_version_id)
  join kiln.queue q on q.queue_id = s.queue_id
 order by p.name, s.position;
comment on view kiln.pipelines is
'The newest version of each pipeline, a row for each stage. The configuration of a stage: kiln.stage.config.';
comment on column kiln.pipelines.pipeline is 'Its name.';
comment on column kiln.pipelines.v is 'Its newest version.';
comment on column kiln.pipelines.stage is 'Position.';
comment on column kiln.pipelines.name is 'The stage''s name.';
comment on column kiln.pipelines.handler is 'What a runner does.';
comment on column kiln.pipelines.queue is 'Where its tasks wait.';
comment on column kiln.pipelines.time is 'How long one attempt may take.';
comment on column kiln.pipelines.tries is 'How often it is tried.';

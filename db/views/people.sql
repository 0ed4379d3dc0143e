-- What people read in psql. Narrow enough for 80 columns.
create or replace view kiln.job_history as
select j.job_id as job,
       left(coalesce(m.name, p.name), 12) as what,
       j.state,
       coalesce((o.t).stage, 1) || '/' || j.stages as stage,
       kiln_internal.format_time(coalesce(j.finished_at, kiln_internal.now()) - j.created_at) as age,
       kiln_internal.shorten(coalesce(case when j.finished_at is null then kiln_internal.explain_wait(o.t, q.name, q.closed) end,
                             j.error_message, j.input ->> 'prompt'), 23) as about
  from kiln.job j
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.pipeline p using (pipeline_id)
  left join kiln.model m using (model_id)
  left join lateral (select t from kiln.task t
                      where t.task_id between kiln_internal.task_id(j.job_id, 0) and kiln_internal.task_id(j.job_id, 99, 99)
                      order by t.task_id desc limit 1) o on true
  -- One row a queue, made once a query.
  left join (select u.queue_id, u.name, kiln_internal.queue_closed(u) as closed from kiln.queue u offset 0) q on q.queue_id = (o.t).queue_id;
comment on view kiln.job_history is
'All jobs, with the columns of kiln.jobs: select * from kiln.job_history where job = 42 (by key).
Without a condition it reads all jobs: add order by job desc and a limit.';
comment on column kiln.job_history.job is 'job_id.';
comment on column kiln.job_history.what is 'The model, or the pipeline.';
comment on column kiln.job_history.state is 'kiln.job.state.';
comment on column kiln.job_history.stage is 'Which stage of how many.';
comment on column kiln.job_history.age is 'Since it was made; for one that has ended, how long it took.';
comment on column kiln.job_history.about is 'What it waits for or does (kiln_internal.explain_wait), its error, or else its prompt.';

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
'Of one that waits its queue or provider, and why: paused, full, rate, no runner, a time, an upload, a person. Of one that runs what it
is doing. Of one that has ended its error, or its prompt.';

create or replace view kiln.queues as
select q.name as queue,
       (select count(*) from kiln.task_ready t where t.queue_id = q.queue_id) as ready,
       (select count(*) from kiln.task_waiting t where t.queue_id = q.queue_id) as waiting,
       (select count(*) from kiln.task_running t where t.queue_id = q.queue_id) || coalesce('/' || q.max_running, '') as running,
       (select count(*) from kiln.task_held t where t.queue_id = q.queue_id) as held,
       q.rate_per_minute || '/min' as rate,
       (select kiln_internal.format_time(kiln_internal.now() - min(t.created_at))
          from (select t.created_at from kiln.task_ready t where t.queue_id = q.queue_id order by t.virtual_time limit 1) t) as oldest,
       coalesce(c.closed, 'now') as next
  from kiln.queue q
 cross join lateral (select regexp_replace(kiln_internal.queue_closed(q), '^rate, |, \d+/\d+$', '') as closed offset 0) c
 order by q.queue_id;
comment on view kiln.queues is
'The queues: ready, waiting, running and held tasks, the limits, the age of the oldest ready task, and the
next possible start.';
comment on column kiln.queues.queue is 'Its name.';
comment on column kiln.queues.ready is 'Tasks that could run now.';
comment on column kiln.queues.waiting is 'Tasks that wait for a time or for something else.';
comment on column kiln.queues.running is 'Tasks with a runner / the most there may be (kiln.queue.max_running), where there is a limit.';
comment on column kiln.queues.held is 'Tasks that wait for a person.';
comment on column kiln.queues.rate is 'How many may start in a minute, where there is a limit.';
comment on column kiln.queues.oldest is 'How long the next one has waited.';
comment on column kiln.queues.next is 'When the next task may start: now, in 20 s (the rate), or what keeps it: paused, full, no runner, silent, busy.';

create or replace view kiln.runners as
select r.runner_id as runner, left(r.name, 12) as name,
       case when r.ended_at is not null then r.ended_why
            when h.beat_at is null or h.beat_at < kiln_internal.now() - c.lease then 'silent' else 'alive' end as state,
       kiln_internal.ago(coalesce(h.beat_at, r.ended_at)) as seen,
       (select count(*) from kiln.task_running t where t.runner_id = r.runner_id and r.ended_at is null) || '/' || r.slots as slots,
       r.sandbox,
       kiln_internal.shorten((select string_agg(q.name, ', ' order by q.queue_id) from kiln.queue q where q.queue_id = any (r.queue_ids)), 12) as queues
  from (select r.* from kiln.runner r order by r.runner_id desc limit 1000) r
  left join kiln.heartbeat h using (runner_id)
 cross join kiln.config c
 order by r.runner_id desc;
comment on view kiln.runners is
'The newest 1,000 runners: alive, silent (no heartbeat), left or expired; the last heartbeat; slots in use. All:
\d+ kiln.runner';
comment on column kiln.runners.runner is 'runner_id.';
comment on column kiln.runners.name is 'The beginning of what the operator calls it.';
comment on column kiln.runners.state is 'alive, silent, left or expired.';
comment on column kiln.runners.seen is 'Its last heartbeat, or its end.';
comment on column kiln.runners.slots is 'Running / slots.';
comment on column kiln.runners.sandbox is 'What keeps its tools from the machine: landlock, bubblewrap or none; empty: it did not say.';
comment on column kiln.runners.queues is 'The beginning of what it serves.';

create or replace view kiln.instances as
select i.instance_id as id, i.role, left(i.host, 7) || ':' || i.port as at,
       case when i.ended_at is not null then i.ended_why
            when i.beat_at < kiln_internal.now() - c.lease then 'silent' else 'alive' end as state,
       case when i.ended_at is null then i.sse || '/' || i.websocket || '/' || i.poll end as streams,
       i.lag_ms as lag,
       left(case when i.proof_at is null then '' when i.proof_pongs is null then 'nobody'
                 else i.proof_pongs || '/10 ' || coalesce(case when i.proof_ms < 100 then i.proof_ms else round(i.proof_ms) end || 'ms ', '') || array_to_string(i.proof_by, ',') end, 16) as proof
  from (select i.* from kiln.instance i order by i.instance_id desc limit 1000) i
 cross join kiln.config c
 order by i.instance_id desc;
comment on view kiln.instances is
'The newest 1,000 server processes: state, number of streams, and the result of the pings at their start. All
columns: \d+ kiln.instance';
comment on column kiln.instances.id is 'instance_id.';
comment on column kiln.instances.role is 'api, realtime or both.';
comment on column kiln.instances.at is 'Its machine and port.';
comment on column kiln.instances.state is 'alive, silent (no beat for a lease), left or expired.';
comment on column kiln.instances.streams is 'Server-sent events / WebSockets / polls that wait.';
comment on column kiln.instances.lag is 'How late its loop was at the last beat, milliseconds.';
comment on column kiln.instances.proof is 'Of ten pings how many were answered, the median of the round trips, by which instances; nobody: no other process was there.';

create or replace view kiln.attempts as
select x.job, left(s.name, 8) as stage, x.try, x.outcome, kiln_internal.format_time(x.took) as took, left(r.name, 9) as runner,
       kiln_internal.shorten(x.message, 17) as message
  from (select a.job_id as job, a.stage as position, a.attempt as try, a.outcome, a.finished_at - a.started_at as took, a.runner_id, a.message, a.fence
          from kiln.attempt a
        union all
        select t.job_id, t.stage, t.attempts + 1, 'running', kiln_internal.now() - t.started_at, t.runner_id, t.label, t.fence
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
comment on column kiln.attempts.try is 'Which attempt of it; a repeat after a runner''s death has the same number.';
comment on column kiln.attempts.outcome is 'done, running, or why it ended.';
comment on column kiln.attempts.took is 'How long.';
comment on column kiln.attempts.runner is 'The beginning of the runner''s name.';
comment on column kiln.attempts.message is 'The beginning of the error, or of what is being done.';

create or replace view kiln.pipelines as
select left(p.name, 16) as pipeline, v.version as v, s.position as stage, left(s.name, 9) as name, s.handler, left(q.name, 8) as queue,
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

create or replace view kiln.users as
select a.account_id as account,
       left(coalesce(a.handle, a.display_name, i.name), 16) as name,
       a.role,
       case when a.deleted_at is not null then 'deleted' when a.is_suspended then 'suspended' else 'active' end as state,
       i.ways,
       coalesce((select sum(l.amount_micros)::bigint from kiln.ledger l where l.account_id = a.account_id), 0) as balance,
       a.created_at::date as since
  from (select a.* from kiln.account a order by a.account_id desc limit 1000) a
 cross join lateral (select count(*)::int as ways, min(x.subject) as name from kiln.identity x where x.account_id = a.account_id) i
 order by a.account_id desc;
comment on view kiln.users is
'The newest 1,000 accounts: identity, role, suspension, and balance in micro-units (the sum of kiln.ledger).
All columns: \d+ kiln.account, kiln.identity, kiln.account_act';
comment on column kiln.users.account is 'account_id.';
comment on column kiln.users.name is 'Its handle, or name, or the subject of an identity.';
comment on column kiln.users.role is 'user or admin, where its token names no role.';
comment on column kiln.users.state is 'active, suspended or deleted.';
comment on column kiln.users.ways is 'How many identities lead to it.';
comment on column kiln.users.balance is 'Micro-units.';
comment on column kiln.users.since is 'The day it was first seen.';

create or replace view kiln.generations as
select j.job_id as id, left(a.handle, 12) as account, j.media_type as type, j.state, left(m.name, 14) as model, left(j.input ->> 'prompt', 14) as prompt
  from kiln_internal.newest_jobs('generation', 1000) j
  join kiln.account a using (account_id)
  left join kiln.model m using (model_id)
 order by j.job_id desc;
comment on view kiln.generations is
'The newest 1,000 generations: account, model, state and prompt. All: kiln.job. The history of one: select *
from kiln.attempts where job = 42';
comment on column kiln.generations.id is 'job_id.';
comment on column kiln.generations.account is 'Whose.';
comment on column kiln.generations.type is 'What comes out.';
comment on column kiln.generations.state is 'kiln.job.state.';
comment on column kiln.generations.model is 'The model.';
comment on column kiln.generations.prompt is 'The beginning of its prompt.';

create or replace view kiln.tryons as
select j.job_id as id, j.state, left(j.input ->> 'category', 10) as category, left(p.name, 9) || ' v' || v.version as pipeline,
       jsonb_array_length(j.input -> 'media') as media, j.parent_id as "of", left(coalesce(j.error_message, j.input ->> 'reason', j.input ->> 'prompt'), 11) as about
  from (select t.job_id from kiln.tryon t order by t.job_id desc limit 1000) t
  join kiln.job j using (job_id)
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.pipeline p using (pipeline_id)
 order by j.job_id desc;
comment on view kiln.tryons is
'The newest 1,000 try-ons: category, pipeline version, state, and the error, the reason of a retry or the
prompt.';
comment on column kiln.tryons.id is 'job_id.';
comment on column kiln.tryons.state is 'kiln.job.state.';
comment on column kiln.tryons.category is 'kiln.category.name.';
comment on column kiln.tryons.pipeline is 'The pipeline and its version.';
comment on column kiln.tryons.media is 'How many pictures and films went in.';
comment on column kiln.tryons."of" is 'The job that it is to do better than.';
comment on column kiln.tryons.about is 'Its error, its reason, or its prompt.';

create or replace view kiln.images as
select i.job_id as id, i.project_id as project, j.state, i.mode, i.room_type as room, left(i.style, 12) as style, i.variations as n
  from kiln.image i
  join kiln.job j using (job_id)
 order by i.job_id desc
 limit 1000;
comment on view kiln.images is
'The newest 1,000 images of virtual staging. One with all columns: select * from kiln.image join kiln.job
using (job_id) where job_id = 42';
comment on column kiln.images.id is 'job_id.';
comment on column kiln.images.project is 'project_id.';
comment on column kiln.images.state is 'kiln.job.state.';
comment on column kiln.images.mode is 'stage, declutter or restyle.';
comment on column kiln.images.room is 'The type of the room.';
comment on column kiln.images.style is 'The style.';
comment on column kiln.images.n is 'How many variations.';

-- What people read in psql. Narrow enough for 80 columns.
create or replace view kiln.jobs as
select j.job_id as job,
       left(coalesce(m.name, p.name), 16) as what,
       j.state,
       kiln.job_stage(j.job_id) || '/' || j.stages as stage,
       case when j.finished_at is null then date_trunc('second', kiln.now() - j.created_at)
            else date_trunc('milliseconds', j.finished_at - j.created_at) end as age,
       left(coalesce(j.error_message, j.input ->> 'prompt'), 30) as about
  from kiln.job j
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.pipeline p using (pipeline_id)
  left join kiln.model m using (model_id)
 order by j.job_id desc;
comment on view kiln.jobs is 'Jobs, newest first: what, state, stage, how long (ended: took), and the error or the prompt. Everything: \d+ kiln.job';
comment on column kiln.jobs.job is 'job_id.';
comment on column kiln.jobs.what is 'The model, or the pipeline.';
comment on column kiln.jobs.state is 'kiln.job.state.';
comment on column kiln.jobs.stage is 'Which stage of how many.';
comment on column kiln.jobs.age is 'Since it was made; for one that has ended, how long it took.';
comment on column kiln.jobs.about is 'Its error, or else its prompt.';

create or replace view kiln.queues as
select q.name as queue,
       q.is_paused as paused,
       (select count(*) from kiln.task_ready t where t.queue_id = q.queue_id) as ready,
       (select count(*) from kiln.task_waiting t where t.queue_id = q.queue_id) as waiting,
       (select count(*) from kiln.task_running t where t.queue_id = q.queue_id) as running,
       (select count(*) from kiln.task_held t where t.queue_id = q.queue_id) as held,
       (select count(*) from kiln.runner r where r.ended_at is null and q.queue_id = any (r.queue_ids)) as runners,
       (select date_trunc('milliseconds', kiln.now() - min(t.created_at))
          from (select t.created_at from kiln.task_ready t where t.queue_id = q.queue_id order by t.vt limit 1) t) as oldest
  from kiln.queue q
 order by q.queue_id;
comment on view kiln.queues is 'Queues: what is ready, waiting for its time, running, held; how many runners serve it; how long its head has waited.';
comment on column kiln.queues.queue is 'Its name.';
comment on column kiln.queues.paused is 'Whether kiln.pause_queue() stopped it.';
comment on column kiln.queues.ready is 'Tasks that could run now.';
comment on column kiln.queues.waiting is 'Tasks that are due later.';
comment on column kiln.queues.running is 'Tasks with a runner.';
comment on column kiln.queues.held is 'Tasks that wait for a person.';
comment on column kiln.queues.runners is 'Living runners that serve it.';
comment on column kiln.queues.oldest is 'How long the next one has waited.';

create or replace view kiln.runners as
select r.runner_id as runner, left(r.name, 24) as name,
       case when r.ended_at is not null then r.ended_why
            when h.beat_at < kiln.now() - c.lease then 'silent' else 'alive' end as state,
       date_trunc('milliseconds', kiln.now() - h.beat_at) as beat,
       (select count(*) from kiln.task_running t where t.runner_id = r.runner_id) || '/' || r.slots as slots,
       r.sandbox,
       (select string_agg(q.name, ',' order by q.queue_id) from kiln.queue q where q.queue_id = any (r.queue_ids)) as queues
  from kiln.runner r
  left join kiln.heartbeat h using (runner_id)
  cross join kiln.config c
 order by r.runner_id desc;
comment on view kiln.runners is 'Runners, newest first: alive, silent (beats are late), left or dead; how long since the last beat; slots in use.';
comment on column kiln.runners.runner is 'runner_id.';
comment on column kiln.runners.name is 'What the operator calls it.';
comment on column kiln.runners.state is 'alive, silent, left or dead.';
comment on column kiln.runners.beat is 'Since its last heartbeat.';
comment on column kiln.runners.slots is 'Running / slots.';
comment on column kiln.runners.sandbox is 'What keeps its tools from the machine: landlock, bubblewrap or none; empty: it did not say.';
comment on column kiln.runners.queues is 'What it serves.';

create or replace view kiln.instances as
select i.instance_id as id, i.role, left(i.host, 7) || ':' || i.port as at,
       case when i.ended_at is not null then i.ended_why
            when i.beat_at < kiln.now() - c.lease then 'silent' else 'alive' end as state,
       case when i.ended_at is null then i.sse || '/' || i.websocket || '/' || i.poll end as streams,
       i.lag_ms as lag,
       left(case when i.proof_at is null then '' when i.proof_pongs is null then 'nobody'
                 else i.proof_pongs || '/10 ' || coalesce(case when i.proof_ms < 100 then i.proof_ms else round(i.proof_ms) end || 'ms ', '') || array_to_string(i.proof_by, ',') end, 16) as proof
  from kiln.instance i
  cross join kiln.config c
 order by i.instance_id desc;
comment on view kiln.instances is 'Server processes, newest first: who lives, how many streams each serves, and what its pings at the start found. Everything: \d+ kiln.instance';
comment on column kiln.instances.id is 'instance_id.';
comment on column kiln.instances.role is 'api, realtime or both.';
comment on column kiln.instances.at is 'Its machine and port.';
comment on column kiln.instances.state is 'alive, silent (no beat for a lease), left or dead.';
comment on column kiln.instances.streams is 'Server-sent events / WebSockets / polls that wait.';
comment on column kiln.instances.lag is 'How late its loop was at the last beat, milliseconds.';
comment on column kiln.instances.proof is 'Of ten pings how many were answered, the median of the round trips, by which instances; nobody: no other process was there.';

create or replace view kiln.attempts as
select a.job_id as job, s.name as stage, a.attempt as try, a.outcome, date_trunc('milliseconds', a.finished_at - a.started_at) as took,
       left(r.name, 20) as runner, left(a.message, 40) as message, a.fence
  from kiln.attempt a
  join kiln.job j using (job_id)
  left join kiln.stage s on s.pipeline_version_id = j.pipeline_version_id and s.position = a.stage
  left join kiln.runner r using (runner_id)
union all
select t.job_id, s.name, t.attempts + 1, 'running', date_trunc('milliseconds', kiln.now() - t.started_at), left(r.name, 20), t.label, t.fence
  from kiln.task_running t
  join kiln.stage s on s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage
  left join kiln.runner r using (runner_id)
 order by fence;
comment on view kiln.attempts is 'What was tried, in order: select * from kiln.attempts where job = 42 tells a job''s whole story.';
comment on column kiln.attempts.job is 'job_id.';
comment on column kiln.attempts.stage is 'The stage.';
comment on column kiln.attempts.try is 'Which attempt of it; a repeat after a runner''s death has the same number.';
comment on column kiln.attempts.outcome is 'done, running, or why it ended.';
comment on column kiln.attempts.took is 'How long.';
comment on column kiln.attempts.runner is 'Who.';
comment on column kiln.attempts.message is 'The error, or what is being done.';
comment on column kiln.attempts.fence is 'The fencing number: larger is later.';

create or replace view kiln.pipelines as
select p.name as pipeline, v.version, s.position as stage, s.name, s.handler, s.config, q.name as queue, s.time_limit, s.max_attempts
  from kiln.pipeline p
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.stage s using (pipeline_version_id)
  join kiln.queue q on q.queue_id = s.queue_id
 order by p.name, s.position;
comment on view kiln.pipelines is 'The newest version of each pipeline, stage by stage.';
comment on column kiln.pipelines.pipeline is 'Its name.';
comment on column kiln.pipelines.version is 'Its newest version.';
comment on column kiln.pipelines.stage is 'Position.';
comment on column kiln.pipelines.name is 'The stage''s name.';
comment on column kiln.pipelines.handler is 'What a runner does.';
comment on column kiln.pipelines.config is 'What the handler is told.';
comment on column kiln.pipelines.queue is 'Where its tasks wait.';
comment on column kiln.pipelines.time_limit is 'How long one attempt may take.';
comment on column kiln.pipelines.max_attempts is 'How often it is tried.';

create or replace view kiln.users as
select a.account_id as account,
       left(coalesce(a.handle, a.display_name, i.name), 24) as name,
       a.role,
       case when a.deleted_at is not null then 'deleted' when a.is_suspended then 'suspended' else 'active' end as state,
       coalesce(i.ways, 0) as ways,
       coalesce((select sum(l.amount_micros)::bigint from kiln.ledger l where l.account_id = a.account_id), 0) as balance,
       a.created_at::date as since
  from kiln.account a
  left join (select x.account_id, count(*)::int as ways, min(x.subject) as name from kiln.identity x group by x.account_id) i using (account_id)
 order by a.account_id desc;
comment on view kiln.users is 'Accounts, newest first: who, what it may do, whether it may at all, its balance in micro-units. Everything: \d+ kiln.account, kiln.identity, kiln.account_act';
comment on column kiln.users.account is 'account_id.';
comment on column kiln.users.name is 'Its handle, or name, or the subject of an identity.';
comment on column kiln.users.role is 'user or admin, where its token names no role.';
comment on column kiln.users.state is 'active, suspended or deleted.';
comment on column kiln.users.ways is 'How many identities lead to it.';
comment on column kiln.users.balance is 'Micro-units.';
comment on column kiln.users.since is 'The day it was first seen.';

create or replace view kiln.generations as
select j.job_id as id, left(a.handle, 12) as account, j.media_type as type, j.state, left(m.name, 16) as model, left(j.input ->> 'prompt', 24) as prompt
  from kiln.job j
  join kiln.account a using (account_id)
  left join kiln.model m using (model_id)
 where j.kind = 'generation'
 order by j.job_id desc;
comment on view kiln.generations is 'What people asked of models, newest first. One job''s whole story: select * from kiln.attempts where job = 42';
comment on column kiln.generations.id is 'job_id.';
comment on column kiln.generations.account is 'Whose.';
comment on column kiln.generations.type is 'What comes out.';
comment on column kiln.generations.state is 'kiln.job.state.';
comment on column kiln.generations.model is 'The model.';
comment on column kiln.generations.prompt is 'The beginning of its prompt.';

create or replace view kiln.tryons as
select j.job_id as id, j.state, left(j.input ->> 'category', 14) as category, left(p.name || ' v' || v.version, 18) as pipeline,
       jsonb_array_length(j.input -> 'media') as media, j.parent_id as retries, left(coalesce(j.error_message, j.input ->> 'reason', j.input ->> 'prompt'), 20) as about
  from kiln.job j
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.pipeline p using (pipeline_id)
 where j.kind = 'tryon'
 order by j.job_id desc;
comment on view kiln.tryons is 'Try-ons, newest first: the category, the version of the pipeline each takes, and its error, the reason it was asked for again, or the prompt.';
comment on column kiln.tryons.id is 'job_id.';
comment on column kiln.tryons.state is 'kiln.job.state.';
comment on column kiln.tryons.category is 'kiln.category.name.';
comment on column kiln.tryons.pipeline is 'The pipeline and its version.';
comment on column kiln.tryons.media is 'How many pictures and films went in.';
comment on column kiln.tryons.retries is 'The job that it is to do better than.';
comment on column kiln.tryons.about is 'Its error, its reason, or its prompt.';

create or replace view kiln.images as
select i.job_id as id, i.project_id as project, left(p.name, 14) as name, j.state, i.mode, i.room_type as room, left(i.style, 12) as style, i.variations as n
  from kiln.image i
  join kiln.job j using (job_id)
  join kiln.project p using (project_id)
 order by i.job_id desc;
comment on view kiln.images is 'Virtual staging, newest first. Everything: select * from kiln.image join kiln.job using (job_id) where job_id = 42';
comment on column kiln.images.id is 'job_id.';
comment on column kiln.images.project is 'project_id.';
comment on column kiln.images.name is 'The beginning of the project''s name.';
comment on column kiln.images.state is 'kiln.job.state.';
comment on column kiln.images.mode is 'stage, declutter or restyle.';
comment on column kiln.images.room is 'The type of the room.';
comment on column kiln.images.style is 'The style.';
comment on column kiln.images.n is 'How many variations.';

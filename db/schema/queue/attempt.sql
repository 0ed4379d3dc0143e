-- An attempt is one try of a task under one fencing number, written once, when it ends; what runs stands in
-- kiln.task_running.
create table kiln.attempt (
    fence       bigint      not null,
    task_id     bigint      not null,
    job_id      bigint      not null,
    runner_id   bigint      not null,
    started_at  timestamptz not null,
    finished_at timestamptz not null default kiln_internal.now(),
    stage       smallint    not null,
    attempt     smallint    not null,
    outcome     text        not null,
    message     text
) partition by range (finished_at);
create index attempt_job_id_idx on kiln.attempt (job_id);

create table kiln.attempt_default partition of kiln.attempt default;
comment on table kiln.attempt_default is
'Attempts of times for which no partition was made; empty as long as the tick runs.';
comment on table kiln.attempt is
'History: every ended try of a task, append-only, in partitions by week that are dropped whole.';
comment on column kiln.attempt.fence is 'The fencing number it ran under; larger is later.';
comment on column kiln.attempt.task_id is 'The task.';
comment on column kiln.attempt.job_id is 'The job.';
comment on column kiln.attempt.runner_id is 'Who ran it.';
comment on column kiln.attempt.started_at is 'When it was claimed.';
comment on column kiln.attempt.finished_at is 'When its outcome was recorded.';
comment on column kiln.attempt.stage is 'Which stage.';
comment on column kiln.attempt.attempt is
'Which attempt of the task it was; a repeat after a death has the same number.';
comment on column kiln.attempt.outcome is
'done, an error class, or: released (handed back), interrupted (its runner died), cancelled, operator;
rejected: a person wanted a better result.';
comment on column kiln.attempt.message is 'The error as a sentence.';

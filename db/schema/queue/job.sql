-- A job is one request of one account: cold and wide, written when it is made, when it starts and at its end;
-- which stage has its turn is what its tasks say. No index on a column that changes, so that each of these
-- writes is a HOT update.
--
-- No foreign keys from here to model and pipeline_version: each would lock a row that every enqueue shares
-- (multixacts under load). Their rows are never deleted while a job names them; the triggers of db/triggers/
-- see to it. kiln.enqueue() is the way in: it writes the job, its first task and the event.
create type kiln.job_kind as enum ('generation', 'tryon', 'staging', 'upload');
comment on type kiln.job_kind is
'Which product asked for it. upload: the check of a file that was sent in; the operator''s, and in nobody''s
lists.';

create table kiln.job (
    job_id              bigint generated always as identity primary key,
    account_id          bigint          not null,
    parent_id           bigint,
    pipeline_version_id int             not null,
    model_id            int,
    version             int             not null default 1,
    stages              smallint        not null,
    priority            kiln.priority   not null default 1,
    kind                kiln.job_kind   not null default 'generation',
    media_type          kiln.media_type,
    state               kiln.job_state  not null default 'queued',
    estimated_micros    bigint          not null default 0,
    actual_micros       bigint,
    run_at              timestamptz,
    created_at          timestamptz     not null default kiln_internal.now(),
    started_at          timestamptz,
    finished_at         timestamptz,
    error_code          text,
    error_message       text,
    input               kiln.json_object not null,
    output              jsonb
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index job_account_id_idx on kiln.job (account_id, job_id);
-- For the checks of uploads that have had their time.
create index job_upload_idx on kiln.job (job_id) where kind = 'upload';

comment on table kiln.job is
'One request of one account, made by kiln.enqueue(). An UPDATE of `state` is the transition (kiln.job_move),
by
whomever. Read kiln.jobs instead; change with kiln.cancel_job, kiln.retry_job, kiln.resume_job.';
comment on column kiln.job.job_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.job.account_id is 'Whose it is (kiln.account).';
comment on column kiln.job.parent_id is 'The job that this one retries or remixes.';
comment on column kiln.job.pipeline_version_id is 'The version it began with and ends with.';
comment on column kiln.job.model_id is 'The model asked for; null for jobs that only name a pipeline.';
comment on column kiln.job.version is
'Grows by one with every change of state. Clients drop what is older than they know.';
comment on column kiln.job.stages is 'How many stages its pipeline version has.';
comment on column kiln.job.priority is '3 is served first, 0 last.';
comment on column kiln.job.kind is 'Which product asked.';
comment on column kiln.job.media_type is 'What comes out, where the pipeline makes media.';
comment on column kiln.job.state is 'Where it is. Legal moves: kiln.job_move.';
comment on column kiln.job.estimated_micros is
'Estimated price when it was made, in millionths of the currency.';
comment on column kiln.job.actual_micros is 'What it cost; null until it is known.';
comment on column kiln.job.run_at is 'Not before this time; null: as soon as may be.';
comment on column kiln.job.created_at is 'When it was made.';
comment on column kiln.job.started_at is 'When its first task was claimed.';
comment on column kiln.job.finished_at is 'When it reached a final state.';
comment on column kiln.job.error_code is
'Why it failed or is held, as a stable word: the error class, cancelled, poison.';
comment on column kiln.job.error_message is 'Why, as a sentence.';
comment on column kiln.job.input is
'The first stage''s input: prompt, params, seed, media (ids as strings), media_type, model.';
comment on column kiln.job.output is 'The last stage''s output; `media` lists the ids of the results.';

-- No index of kiln.job has its state, since each of its updates would then write into all of its indexes. An
-- ended job never moves again: one narrow row at its end answers every list that asks for a state. What has
-- not ended is found by its open task.
create table kiln.job_end (
    job_id     bigint          not null,
    account_id bigint          not null,
    kind       kiln.job_kind   not null,
    state      kiln.job_state  not null,
    media_type text            not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index job_end_account_idx on kiln.job_end (account_id, kind, state, media_type, job_id);
-- An order of its own (-job_id): a planner that expects few rows, or many, would take for one account's list
-- the index of all accounts, or the primary key, and read until enough of that account were found. No other
-- index has this order.
create index job_end_kind_idx on kiln.job_end (kind, state, (- job_id));
comment on table kiln.job_end is
'How jobs ended, for lists by state: written by the trigger of kiln.job with its last move, deleted with the
job.';
comment on column kiln.job_end.job_id is 'The job.';
comment on column kiln.job_end.account_id is 'Whose it is.';
comment on column kiln.job_end.kind is 'Which product asked.';
comment on column kiln.job_end.state is 'completed, failed or cancelled.';
comment on column kiln.job_end.media_type is
'What was to come out; empty: nothing that is media. (Text, since a null has no place in the order of an index
scan.)';

-- A task is a stage's turn in a job: what a runner claims. One table, partitioned by state, so that an UPDATE
-- of `state` moves the row: `task_ready` holds only what may run now and its index is the order of claims,
-- `task_running` is as small as the work in flight, `task_waiting` is ordered by when it is due, and what has
-- ended lies where no claim ever looks.
--
-- task_id tells where it belongs: job_id * 10000 + stage * 100 + slot. So one index finds a task and all
-- tasks of a job. Autovacuum of the hot partitions goes by an absolute count: a share of a deep queue would
-- never be reached (measured).
create sequence kiln.fence as bigint;
comment on sequence kiln.fence is
'Fencing numbers: each claim takes a new one, so an older writer can be told from the present one.';

create function kiln_internal.task_id(p_job_id bigint, p_stage int, p_slot int default 0)
returns bigint
language sql immutable parallel safe
return p_job_id * 10000 + p_stage * 100 + p_slot;
comment on function kiln_internal.task_id(bigint, int, int) is
'The id of a job''s task: 420300 is job 42, stage 3, slot 0.';

create table kiln.task (
    task_id             bigint          not null,
    job_id              bigint          not null,
    account_id          bigint          not null,
    virtual_time                  bigint          not null,
    fence               bigint          not null default 0,
    runner_id           bigint,
    due_at              timestamptz,
    started_at          timestamptz,
    created_at          timestamptz     not null default kiln_internal.now(),
    finished_at         timestamptz,
    pipeline_version_id int             not null,
    state               kiln.task_state not null default 'ready',
    fraction            real,
    queue_id            smallint        not null,
    priority            smallint        not null,
    stage               smallint        not null,
    slot                smallint        not null default 0,
    attempts            smallint        not null default 0,
    interruptions       smallint        not null default 0,
    label               text,
    error_class         text,
    error_message       text,
    output              jsonb
) partition by list (state);

create table kiln.task_ready partition of kiln.task for values in ('ready')
    with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
          autovacuum_vacuum_cost_delay = 0,
          autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000);
create unique index task_ready_pkey on kiln.task_ready (task_id);
create unique index task_ready_claim_idx on kiln.task_ready (queue_id, priority, virtual_time, task_id)
    where interruptions < 2;
create index task_ready_account_idx on kiln.task_ready (queue_id, priority, account_id, virtual_time);
create index task_ready_quarantined_idx on kiln.task_ready (queue_id) where interruptions >= 2;
-- Jobs that have begun and wait for their next turn: a list of what runs finds them among any number that has
-- not begun.
create index task_ready_begun_idx on kiln.task_ready (task_id) where stage > 1 or started_at is not null;
create index task_ready_begun_account_idx on kiln.task_ready (account_id, task_id)
    where stage > 1 or started_at is not null;

create table kiln.task_running partition of kiln.task for values in ('running')
    with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
          autovacuum_vacuum_cost_delay = 0);
create unique index task_running_pkey on kiln.task_running (task_id);

create table kiln.task_waiting partition of kiln.task for values in ('waiting')
    with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
          autovacuum_vacuum_cost_delay = 0);
create unique index task_waiting_pkey on kiln.task_waiting (task_id);
create index task_waiting_due_idx on kiln.task_waiting (due_at);
create index task_waiting_account_idx on kiln.task_waiting (account_id, task_id);
-- Lists find what has begun among any number that is scheduled, and what has not among any number that a
-- provider keeps waiting.
create index task_waiting_begun_idx on kiln.task_waiting (task_id) where stage > 1 or started_at is not null;
create index task_waiting_begun_account_idx on kiln.task_waiting (account_id, task_id)
    where stage > 1 or started_at is not null;
create index task_waiting_new_idx on kiln.task_waiting (task_id) where stage = 1 and started_at is null;
create index task_waiting_new_account_idx on kiln.task_waiting (account_id, task_id)
    where stage = 1 and started_at is null;

create table kiln.task_held partition of kiln.task for values in ('held');
create unique index task_held_pkey on kiln.task_held (task_id);
create index task_held_account_idx on kiln.task_held (account_id, task_id);

create table kiln.task_ended partition of kiln.task for values in ('done', 'failed', 'cancelled');
create unique index task_ended_pkey on kiln.task_ended (task_id);

comment on table kiln.task is
'A stage''s turn in a job: what a runner claims. An UPDATE of `state` is the transition (kiln.task_move), by
whomever: the row moves to the partition of its state, and the triggers keep the attempts, the job, the next
stage and the events in step. select * from kiln.task where task_id = kiln_internal.task_id(42, 3): job 42,
stage 3.';
comment on table kiln.task_ready is
'What may run now; task_ready_claim_idx is the order of claims. Two deaths (interruptions) make a quarantined
task, which is claimed apart.';
comment on table kiln.task_running is
'What runs now, with whom. A living runner''s heartbeat is the lease of all its rows; there is no lease to
renew here.';
comment on table kiln.task_waiting is 'What is due later: a schedule or a backoff. The tick makes it ready.';
comment on table kiln.task_held is 'What waits for a person''s word.';
comment on table kiln.task_ended is 'What is done, failed or cancelled.';
comment on column kiln.task.task_id is 'job_id * 10000 + stage * 100 + slot.';
comment on column kiln.task.job_id is 'The job.';
comment on column kiln.task.account_id is 'As its job''s: whose turn it is.';
comment on column kiln.task.virtual_time is
'Its turn in the queue, a virtual time: the lowest is served first, and an account''s tasks follow one
another, so that accounts take turns (kiln.enqueue).';
comment on column kiln.task.fence is
'The fencing number of its last claim; a write with another is refused (KN010).';
comment on column kiln.task.runner_id is 'Who has it, or had it last.';
comment on column kiln.task.due_at is 'When a waiting task becomes ready.';
comment on column kiln.task.started_at is 'When it was last claimed.';
comment on column kiln.task.created_at is 'When its turn came.';
comment on column kiln.task.finished_at is 'When it reached a final state.';
comment on column kiln.task.pipeline_version_id is
'As its job''s; with stage it names the row of kiln.stage.';
comment on column kiln.task.state is 'Where it is. Legal moves: kiln.task_move.';
comment on column kiln.task.fraction is 'How far the running attempt is, 0 to 1; null: unknown.';
comment on column kiln.task.queue_id is 'Where it waits.';
comment on column kiln.task.priority is 'As its job''s.';
comment on column kiln.task.stage is 'Which stage of the pipeline version.';
comment on column kiln.task.slot is 'Which variant of the stage, from 0.';
comment on column kiln.task.attempts is
'How often it was tried and judged; deaths and releases are not attempts.';
comment on column kiln.task.interruptions is 'How often a runner died with it.';
comment on column kiln.task.label is 'What the running attempt is doing, in a word or two.';
comment on column kiln.task.error_class is
'Of the last failed attempt: transient, rate_limited, invalid, refused, timeout, unknown, interrupted,
released, poison, operator; of one with a call also: submitted (the provider has it), deferred (its
provider''s limiter), resend, lookup, fetch, lost (docs/money.md).';
comment on column kiln.task.error_message is 'Of the last failed attempt, as a sentence.';
comment on column kiln.task.output is 'What it made: the next stage''s input.';

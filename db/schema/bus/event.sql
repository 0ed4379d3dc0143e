-- The log. A sequence is not the order of commits, so each event carries its transaction (xid8) and a reader
-- takes the difference of two snapshots: what it sees now and did not see then. Nothing is lost, nothing
-- repeated, and an open transaction stops nobody. The position of a stream is a snapshot (docs/events.md).
create type kiln.event_type as enum (
    'job.queued', 'job.started', 'job.progress', 'job.cancelling', 'job.held', 'job.completed', 'job.failed',
                                     'job.cancelled',
    'media.ready', 'media.rejected', 'message.created', 'message.delivered', 'message.read', 'message.edited',
                                     'message.deleted',
    'conversation.changed', 'notification', 'notification.read', 'billing.changed', 'session.ended');
comment on type kiln.event_type is
'What can happen, as the stream names it. session.ended is for the servers: they close the account''s streams;
no client sees it.';

create table kiln.event (
    event_id   bigint          generated always as identity,
    xid        xid8            not null default kiln_internal.log_xid(),
    at         timestamptz     not null default kiln_internal.now(),
    account_id bigint          not null,
    job_id     bigint,
    version    int,
    type       kiln.event_type not null,
    data       jsonb
) partition by range (xid);
create index event_xid_idx on kiln.event (xid, event_id);
create index event_account_idx on kiln.event (account_id, xid, event_id);

create table kiln.event_default partition of kiln.event default;
comment on table kiln.event_default is
'Events of transactions for which no partition was made; empty as long as the tick runs.';
comment on table kiln.event is
'The truth about what happened: append-only, in partitions by ranges of transactions that are dropped whole.';
comment on column kiln.event.event_id is 'Unique; within one job also the order of commits.';
comment on column kiln.event.xid is
'The transaction that wrote it, as the log numbers it (kiln_internal.log_xid): what a snapshot can be asked
about.';
comment on column kiln.event.at is 'When.';
comment on column kiln.event.account_id is 'Who may see it.';
comment on column kiln.event.job_id is 'The job it is about, or null.';
comment on column kiln.event.version is 'The job''s version after it; progress repeats it.';
comment on column kiln.event.type is 'What happened.';
comment on column kiln.event.data is
'What the type adds: stage, fraction and label of progress, the error; ids, never URLs.';

-- Where the log begins: a position before this was trimmed and is answered by a reset.
create table kiln.log_start (
    only_row boolean primary key default true,
    xid      bigint  not null default 0,
    constraint log_start_one_row_check check (only_row)
);
insert into kiln.log_start default values;
comment on table kiln.log_start is
'Where the log of events begins; one row, moved when a part of the log is dropped.';
comment on column kiln.log_start.only_row is 'Keeps the table at one row.';
comment on column kiln.log_start.xid is
'Events of transactions below this one, as the log numbers them, are gone.';

-- Deliveries: what is to be sent, and each attempt.
create type kiln.delivery_state as enum ('due', 'sent', 'failed');
comment on type kiln.delivery_state is
'A delivery: due (it will be tried, or tried again), sent (the other side took it), failed (given up).';

create table kiln.delivery (
    delivery_id  bigint generated always as identity primary key,
    account_id   bigint              not null references kiln.account on delete cascade,
    webhook_endpoint_id bigint references kiln.webhook_endpoint on delete cascade,
    target       bigint              not null generated always as (coalesce(webhook_endpoint_id, 0)) stored,
    event_id     bigint,
    type         kiln.event_type,
    message_id   text                not null default 'msg_'
                            || encode(kiln_extensions.gen_random_bytes(16), 'hex'),
    body         text                not null,
    state        kiln.delivery_state not null default 'due',
    tries        int                 not null default 0,
    attempts     int                 not null default 0,
    due_at       timestamptz         not null default kiln_internal.now(),
    claimed_until  timestamptz,
    why          text,
    created_at   timestamptz         not null default kiln_internal.now(),
    ended_at     timestamptz,
    constraint delivery_once_key unique (account_id, target, event_id),
    constraint delivery_tells_or_confirms_check check ((event_id is null) = (type is null)
                                                       and (event_id is not null
                                                            or webhook_endpoint_id is null)),
    constraint delivery_ended_check check ((state = 'due') = (ended_at is null))
) with (fillfactor = 80);
create index delivery_due_idx on kiln.delivery (target, due_at, delivery_id) where state = 'due';
create index delivery_claimed_idx on kiln.delivery (target, claimed_until) where claimed_until is not null;
create index delivery_endpoint_idx on kiln.delivery (webhook_endpoint_id, delivery_id);
create index delivery_ended_idx on kiln.delivery (ended_at) where ended_at is not null;
comment on table kiln.delivery is
'What is to be told to whom, once for each event and target: made in the transaction that moves the reader''s
position.';
comment on column kiln.delivery.delivery_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.delivery.account_id is 'Whose event it is.';
comment on column kiln.delivery.webhook_endpoint_id is 'Where it goes; null: by mail.';
comment on column kiln.delivery.target is
'The same, with 0 for mail: mail is one target, each endpoint another, and none waits for another.';
comment on column kiln.delivery.event_id is
'The event it tells of; null: it is a mail that asks whether an address is read
(kiln_internal.make_confirmation()).';
comment on column kiln.delivery.type is 'What happened; null of a confirmation.';
comment on column kiln.delivery.message_id is
'The header webhook-id, or the local part of Message-ID: the same at every attempt, by which a receiver knows
a repeat.';
comment on column kiln.delivery.body is
'The event as the stream told it: what is posted, byte for byte; what mail is rendered from. Of a confirmation
the address.';
comment on column kiln.delivery.state is 'How it stands.';
comment on column kiln.delivery.tries is 'Attempts since it was made or asked for again.';
comment on column kiln.delivery.attempts is 'Attempts in all.';
comment on column kiln.delivery.due_at is
'When it is tried next; set when a runner takes it, so that nothing is lost with a runner.';
comment on column kiln.delivery.claimed_until is 'Until when a runner may be at it; null: none is.';
comment on column kiln.delivery.why is 'Why the last attempt failed, or null.';
comment on column kiln.delivery.created_at is 'When it was made.';
comment on column kiln.delivery.ended_at is 'When it was sent or given up.';

create table kiln.delivery_attempt (
    delivery_id bigint      not null references kiln.delivery on delete cascade,
    attempt     int         not null,
    runner_id   bigint,
    at          timestamptz not null default kiln_internal.now(),
    status      int,
    elapsed_ms  int,
    error       text,
    reply_bytes int,
    primary key (delivery_id, attempt),
    constraint delivery_attempt_reply_bytes_check check (reply_bytes >= 0)
);
comment on table kiln.delivery_attempt is
'Each attempt at a delivery. One without status and error: its runner has not answered, or died with it.';
comment on column kiln.delivery_attempt.delivery_id is 'Of which delivery.';
comment on column kiln.delivery_attempt.attempt is 'Its number, from 1.';
comment on column kiln.delivery_attempt.runner_id is 'The runner that took it.';
comment on column kiln.delivery_attempt.at is 'When it was taken.';
comment on column kiln.delivery_attempt.status is
'The status of the answer, of HTTP or SMTP; null: none came.';
comment on column kiln.delivery_attempt.elapsed_ms is 'How long it took.';
comment on column kiln.delivery_attempt.error is
'What went wrong, or null; of mail the server''s answer, where it was no 2xx.';
comment on column kiln.delivery_attempt.reply_bytes is
'How long the answer''s body was, as far as it was read. The body is not kept: it may be of a service that its
reader could not ask.';

create table kiln.outgoing (
    only_row     boolean primary key default true,
    cluster      text,
    from_snapshot  pg_snapshot,
    until_snapshot pg_snapshot,
    after_id     bigint  not null default 0,
    mailing_at   timestamptz,
    constraint outgoing_one_row_check check (only_row),
    constraint outgoing_whole_check check ((from_snapshot is null) = (cluster is null))
);
insert into kiln.outgoing default values;
comment on table kiln.outgoing is 'How far the log was read for deliveries (see docs/outgoing.md); one row.';
comment on column kiln.outgoing.only_row is 'Keeps the table at one row.';
comment on column kiln.outgoing.cluster is
'The cluster whose snapshots these are; null: nobody wants anything, and nothing is read.';
comment on column kiln.outgoing.from_snapshot is 'Deliveries of all events that this snapshot saw were made.';
comment on column kiln.outgoing.until_snapshot is 'In the middle of a batch: how far it goes.';
comment on column kiln.outgoing.after_id is 'In the middle of a batch: its events up to this one are done.';
comment on column kiln.outgoing.mailing_at is
'When a runner with KILN_SMTP_URL last asked, to ten minutes: mail is made for a day after that. Null: none
ever did.';

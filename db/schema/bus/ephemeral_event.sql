-- What is said to streams and not kept: somebody is typing, came or went. It goes the way of events (written
-- in a transaction, read by the difference of two snapshots, the same wakeup), but has no position, is not
-- replayed and is not there after a crash. A NOTIFY with the words in it would take the cluster's lock at
-- every commit.
create unlogged table kiln.ephemeral_event (
    ephemeral_event_id bigint      generated always as identity primary key,
    xid        xid8        not null default pg_current_xact_id(),
    at         timestamptz not null default kiln_internal.now(),
    account_id bigint      not null,
    type       text        not null,
    data       jsonb       not null,
    constraint ephemeral_event_type_check check (type in ('typing', 'presence'))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
create index ephemeral_event_xid_idx on kiln.ephemeral_event (xid, ephemeral_event_id);
create index ephemeral_event_at_idx on kiln.ephemeral_event (at);
comment on table kiln.ephemeral_event is
'What streams are told and nobody keeps: typing, presence. Gone after half a minute, and after a crash.';
comment on column kiln.ephemeral_event.ephemeral_event_id is 'Unique.';
comment on column kiln.ephemeral_event.xid is
'The transaction that wrote it: what a snapshot can be asked about.';
comment on column kiln.ephemeral_event.at is 'When.';
comment on column kiln.ephemeral_event.account_id is 'Whose streams are told.';
comment on column kiln.ephemeral_event.type is 'typing or presence.';
comment on column kiln.ephemeral_event.data is 'What the type adds: who, in which conversation or state.';

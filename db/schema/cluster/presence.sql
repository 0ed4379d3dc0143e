-- Who is there. Each realtime process says, in batches, whose first stream was opened in it and whose last
-- one closed; who is online is decided here, over all of them. Both tables are logged, though nobody would
-- miss a row: an unlogged one is empty after a crash, and then nothing says who was online before and has to
-- be told off. The rows are narrow, and their commits wait for no disk.
create table kiln.audience (
    instance_id bigint not null references kiln.instance on delete cascade,
    account_id  bigint not null,
    primary key (instance_id, account_id)
) with (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
create index audience_account_id_idx on kiln.audience (account_id);
comment on table kiln.audience is
'Which accounts have a stream (or a poll that waits) open, and with which server process. Rows of one that
died count no more, and go.';
comment on column kiln.audience.instance_id is 'The process.';
comment on column kiln.audience.account_id is
'Whose stream. No foreign key: each row of it would lock the account''s.';

create table kiln.presence (
    account_id bigint      primary key references kiln.account on delete cascade,
    is_online  boolean     not null default false,
    changed_at timestamptz not null default '-infinity',
    seen_at    timestamptz,
    due_at     timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
create index presence_due_idx on kiln.presence (due_at) where due_at is not null;
comment on table kiln.presence is
'Whether each account is online, as others were told, and when it was seen last. An account that never
listened has no row.';
comment on column kiln.presence.account_id is 'Who.';
comment on column kiln.presence.is_online is 'What was told last.';
comment on column kiln.presence.changed_at is 'Since when.';
comment on column kiln.presence.seen_at is
'When its last stream closed, or its process gave its last sign of life; shown while it is offline.';
comment on column kiln.presence.due_at is
'When to look whether is_online is still true: at once for who comes, after kiln.config.presence_grace for who
goes. Null: nothing has changed.';

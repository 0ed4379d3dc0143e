-- What the tick does less often than always, as rows: maintenance that ships with SQL alone.
create table kiln.maintenance (
    name   text     primary key,
    every  interval not null,
    ran_at timestamptz,
    constraint maintenance_every_check check (every between '100 milliseconds' and '1 day')
) with (fillfactor = 20);
insert into kiln.maintenance (name, every) values
    ('expire', '500 milliseconds'), ('overdue', '1 second'), ('quarantine', '1 second'),
       ('expire_calls', '1 second'), ('repair', '1 second'), ('waiters', '1 second'),
       ('partitions', '1 minute'), ('purge_accounts', '2 seconds'), ('purge', '5 minutes'),
    ('models', '1 minute'), ('ephemeral events', '10 seconds'), ('timeline', '1 second');
comment on table kiln.maintenance is 'What the tick does less often than always.';
comment on column kiln.maintenance.name is
'The names are those of the functions that db/functions/base/tick.sql calls: see db/functions/base/tick.sql.';
comment on column kiln.maintenance.every is 'How often.';
comment on column kiln.maintenance.ran_at is 'When last.';

-- What only one transaction at a time may do: it holds the row. Not an advisory lock, which any login of the
-- database could hold.
create table kiln.mutex (
    name text primary key
);
insert into kiln.mutex (name) values ('tick'), ('presence'), ('role');
comment on table kiln.mutex is 'What only one transaction at a time does: it holds the row (for update).';
comment on column kiln.mutex.name is
'tick: the timer; presence: who is online; role: the last administrator.';

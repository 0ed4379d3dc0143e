-- What the tick does less often than always, as rows: maintenance that ships with SQL alone.
create table kiln.chore (
    name   text     primary key,
    every  interval not null,
    ran_at timestamptz,
    constraint chore_every_check check (every between '100 milliseconds' and '1 day')
) with (fillfactor = 20);
insert into kiln.chore (name, every) values
    ('bury', '500 milliseconds'), ('overdue', '1 second'), ('alone', '1 second'), ('calls', '1 second'), ('rescue', '1 second'), ('sleepers', '1 second'), ('partitions', '1 minute'), ('leaving', '2 seconds'), ('forget', '5 minutes'),
    ('models', '1 minute'), ('whispers', '10 seconds'), ('timeline', '1 second');
comment on table kiln.chore is 'What the tick does less often than always.';
comment on column kiln.chore.name is 'bury, alone, calls, overdue, rescue, partitions, leaving, forget, models, sleepers, timeline, whispers: see the functions of db/functions/tick.sql, chores.sql, cluster.sql and whisper.sql.';
comment on column kiln.chore.every is 'How often.';
comment on column kiln.chore.ran_at is 'When last.';

-- What only one transaction at a time may do: it holds the row. Not an advisory lock, which any login of the database could hold.
create table kiln.mutex (
    name text primary key
);
insert into kiln.mutex (name) values ('tick'), ('presence'), ('role');
comment on table kiln.mutex is 'What only one transaction at a time does: it holds the row (for update).';
comment on column kiln.mutex.name is 'tick: the timer; presence: who is online; role: the last administrator.';

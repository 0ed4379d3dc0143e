-- Who waits for work or for events.

-- Unlogged: after a crash of PostgreSQL nobody is marked, and each waiter looks again within a second anyway.
create unlogged table kiln.waiter (
    name      text       primary key,
    queue_ids smallint[] not null default '{}',
    is_bus boolean    not null default false
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0);
comment on table kiln.waiter is
'Who sleeps and wants the wakeup: a NOTIFY costs every commit of the cluster, so it is rung only for these.';
comment on column kiln.waiter.name is 'runner:ID, or bus:PID of a realtime process''s backend.';
comment on column kiln.waiter.queue_ids is 'A runner sleeps until something is ready in one of these.';
comment on column kiln.waiter.is_bus is 'A realtime process sleeps until there is an event.';

-- Runners, their heartbeats (apart, since claims read the one and beats write the other), and who sleeps.
create table kiln.runner (
    runner_id     bigint generated always as identity primary key,
    name          text        not null,
    host          text        not null,
    pid           int         not null,
    version       text        not null,
    queue_ids     smallint[]  not null,
    limited_ids   smallint[]  not null default '{}',
    slots         int         not null,
    sandbox       text,
    quarantined_task_id bigint,
    quarantined_at      timestamptz,
    address       inet        default pg_catalog.inet_client_addr(),
    started_at    timestamptz not null default kiln_internal.now(),
    ended_at      timestamptz,
    ended_why     text,
    constraint runner_slots_check check (slots between 1 and 10000),
    constraint runner_sandbox_check check (sandbox in ('landlock', 'bubblewrap', 'none')),
    constraint runner_end_check check ((ended_at is null) = (ended_why is null))
) with (fillfactor = 50);
create index runner_alive_idx on kiln.runner (runner_id) where ended_at is null;
comment on table kiln.runner is 'Every runner process that registered. Read kiln.runners instead.';
comment on column kiln.runner.runner_id is 'The key: one a process start.';
comment on column kiln.runner.name is 'What the operator calls it.';
comment on column kiln.runner.host is 'Its machine.';
comment on column kiln.runner.pid is 'Its process there.';
comment on column kiln.runner.version is 'The program''s version.';
comment on column kiln.runner.queue_ids is 'The queues it serves.';
comment on column kiln.runner.limited_ids is
'Those of them that have a limit; kept by a trigger of kiln.queue, so that a claim need not ask.';
comment on column kiln.runner.slots is 'How many tasks it runs at once.';
comment on column kiln.runner.sandbox is
'What keeps its tools from the machine: landlock, bubblewrap or none. Null: it did not say, as a runner that
starts no program.';
comment on column kiln.runner.quarantined_task_id is
'A quarantined task that it is to run alone: it is given nothing else until that one is over.';
comment on column kiln.runner.quarantined_at is
'When a quarantined task was reserved for it that it has not taken.';
comment on column kiln.runner.address is
'From where it registered: it is told to leave from there only. Null: over a unix socket.';
comment on column kiln.runner.started_at is 'When it registered.';
comment on column kiln.runner.ended_at is 'When it left or was declared dead.';
comment on column kiln.runner.ended_why is 'left, or expired.';

create table kiln.heartbeat (
    runner_id bigint      primary key references kiln.runner on delete cascade,
    beat_at   timestamptz not null default kiln_internal.now(),
    since     timestamptz not null default kiln_internal.now()
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
comment on table kiln.heartbeat is 'One row a living runner: the lease of everything it runs.';
comment on column kiln.heartbeat.runner_id is 'The runner.';
comment on column kiln.heartbeat.beat_at is 'Its last beat.';
comment on column kiln.heartbeat.since is
'Since when its beats have come without a gap of 0.7 of a lease: only then may it bury others.';

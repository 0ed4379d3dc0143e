-- The server's processes, and the pings by which each of them proves at its start that the bus carries both
-- ways.
create type kiln.server_role as enum ('api', 'realtime', 'both');
comment on type kiln.server_role is 'Which routes a server process has: requests, streams, or both.';

create table kiln.instance (
    instance_id bigint           generated always as identity primary key,
    role        kiln.server_role not null,
    host        text             not null,
    pid         int              not null,
    port        int              not null,
    version     text             not null,
    started_at  timestamptz      not null default kiln_internal.now(),
    beat_at     timestamptz      not null default kiln_internal.now(),
    sse         int              not null default 0,
    websocket   int              not null default 0,
    poll        int              not null default 0,
    memory_kib  int              not null default 0,
    lag_ms      int              not null default 0,
    database_ms int              not null default 0,
    proof_at    timestamptz,
    proof_pongs smallint,
    proof_ms    numeric(9, 1),
    proof_by    bigint[],
    ended_at    timestamptz,
    ended_why   text,
    constraint instance_end_check check ((ended_at is null) = (ended_why is null))
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
create index instance_alive_idx on kiln.instance (instance_id) where ended_at is null;
comment on table kiln.instance is
'Every server process that registered, and how it does. Read kiln.instances instead.';
comment on column kiln.instance.instance_id is 'The key: one a process start.';
comment on column kiln.instance.role is 'api, realtime or both.';
comment on column kiln.instance.host is 'Its machine.';
comment on column kiln.instance.pid is 'Its process there.';
comment on column kiln.instance.port is 'Where it listens.';
comment on column kiln.instance.version is 'The program''s version.';
comment on column kiln.instance.started_at is 'When it registered.';
comment on column kiln.instance.beat_at is 'Its last beat: one each other second.';
comment on column kiln.instance.sse is 'Streams of server-sent events it serves.';
comment on column kiln.instance.websocket is 'WebSockets it serves.';
comment on column kiln.instance.poll is 'Polls that wait in it for an event.';
comment on column kiln.instance.memory_kib is 'Its resident memory.';
comment on column kiln.instance.lag_ms is
'How late its loop came to the last beat: what keeps every stream and request of it waiting.';
comment on column kiln.instance.database_ms is 'How long PostgreSQL took to answer the beat before.';
comment on column kiln.instance.proof_at is 'When its ten pings were over.';
comment on column kiln.instance.proof_pongs is
'How many of ten were answered; null after the proof: nobody else was there.';
comment on column kiln.instance.proof_ms is 'The median of their round trips, by the database''s clock.';
comment on column kiln.instance.proof_by is 'Which instances answered.';
comment on column kiln.instance.ended_at is
'When it left, or was found silent for a lease; a beat takes that back.';
comment on column kiln.instance.ended_why is 'left, or expired.';

create table kiln.ping (
    instance_id bigint           not null references kiln.instance on delete cascade,
    number      smallint         not null,
    role        kiln.server_role not null,
    sent_at     timestamptz      not null default kiln_internal.now(),
    answered_by bigint,
    answered_at timestamptz,
    ended_at    timestamptz,
    is_reported     boolean          not null default false,
    primary key (instance_id, number),
    constraint ping_number_check check (number between 1 and 10),
    constraint ping_answer_check check ((answered_by is null) = (answered_at is null)
                                        and answered_by <> instance_id)
);
create index ping_open_idx on kiln.ping (sent_at) where answered_by is null and ended_at is null;
create index ping_reported_idx on kiln.ping (answered_by) where ended_at is not null and not is_reported;
comment on table kiln.ping is
'The ten pings of each instance: what it asked, who answered, how long it took. They go with the instance''s
row.';
comment on column kiln.ping.instance_id is 'Who asks.';
comment on column kiln.ping.number is
'1 to 10; the next is sent when the one before has come back or was given up.';
comment on column kiln.ping.role is 'Which role shall answer; both: any process but the asker.';
comment on column kiln.ping.sent_at is 'When the asker sent it.';
comment on column kiln.ping.answered_by is 'The instance that claimed and answered it.';
comment on column kiln.ping.answered_at is 'When.';
comment on column kiln.ping.ended_at is 'When the asker had the answer, or gave up waiting for one.';
comment on column kiln.ping.is_reported is 'Whether who answered has been told how long the whole way took.';

-- Queues, the state of their limits, and where claims begin.
create table kiln.queue (
    queue_id    smallint generated always as identity primary key,
    name        text     not null unique,
    is_paused   boolean  not null default false,
    max_running int,
    rate_per_minute int,
    rate_burst  int      not null default 1,
    description text     not null default '',
    constraint queue_name_check check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
    constraint queue_max_running_check check (max_running >= 1),
    constraint queue_rate_check check (rate_per_minute >= 1 and rate_burst >= 1
                                       and (rate_burst < rate_per_minute or rate_per_minute = 1
                                            and rate_burst = 1))
);
comment on table kiln.queue is
'Where tasks wait. Pause one with kiln.pause_queue(name): what runs goes on, nothing new starts.';
comment on column kiln.queue.queue_id is 'The key, small since it stands in every hot row.';
comment on column kiln.queue.name is 'Named in a stage and in a runner''s --queues.';
comment on column kiln.queue.is_paused is 'While true, nothing is claimed from it.';
comment on column kiln.queue.max_running is
'At most so many of its tasks run at once, over all runners; null: as many as there are slots.';
comment on column kiln.queue.rate_per_minute is
'At most so many of its tasks start in any 60 seconds, over all runners; null: no limit.';
comment on column kiln.queue.rate_burst is
'How many of these may start at once after a quiet time; less than rate_per_minute.';
comment on column kiln.queue.description is 'What it is for.';

-- One row a queue, locked by who claims from a limited one.
create table kiln.queue_limiter (
    queue_id smallint    primary key references kiln.queue on delete cascade,
    theoretical_arrival_at  timestamptz not null default '-infinity'
) with (fillfactor = 20);
comment on table kiln.queue_limiter is
'The limiter of a limited queue: claimers pass it one by one, count what runs, and take what is left.';
comment on column kiln.queue_limiter.queue_id is 'The queue.';
comment on column kiln.queue_limiter.theoretical_arrival_at is
'When its rate is wholly free again (the theoretical arrival time of GCRA).';

-- The low watermark of a queue and priority: claimers look only above it, past the rows that a long
-- transaction keeps dead.
create table kiln.low_watermark (
    queue_id smallint not null references kiln.queue on delete cascade,
    priority smallint not null,
    virtual_time       bigint   not null default 0,
    next_virtual_time  bigint   not null default 0,
    max_virtual_time   bigint   not null default 0,
    seen_job bigint   not null default 0,
    moved_at timestamptz not null default kiln_internal.now(),
    is_paused boolean not null default false,
    primary key (queue_id, priority),
    constraint low_watermark_priority_check check (priority between 0 and 3),
    constraint low_watermark_order_check check (virtual_time <= next_virtual_time)
) with (fillfactor = 20);
comment on table kiln.low_watermark is
'Where claims of a queue and priority begin. Only the tick moves it, and only upwards.';
comment on column kiln.low_watermark.queue_id is 'The queue.';
comment on column kiln.low_watermark.priority is '3 is served first, 0 last.';
comment on column kiln.low_watermark.virtual_time is
'Claims scan turns above this one. The tick rescues what is committed below it.';
comment on column kiln.low_watermark.is_paused is 'As its queue''s: claims read it here.';
comment on column kiln.low_watermark.next_virtual_time is
'The lowest waiting turn one tick ago: it becomes virtual_time, and new turns begin above it, so that an
enqueue in flight is not overtaken by the low watermark.';
comment on column kiln.low_watermark.max_virtual_time is
'No turn above this was given by the time that seen_job was the newest job; each job since may have added one.
An empty queue''s low watermark goes there.';
comment on column kiln.low_watermark.seen_job is 'See max_virtual_time.';
comment on column kiln.low_watermark.moved_at is
'When it was last written: small steps wait for ten seconds, so that a long transaction does not make a chain
of its versions.';

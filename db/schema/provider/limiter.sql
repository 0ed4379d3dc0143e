-- The limiter of a provider: whether a call may begin now. One row a provider; whoever begins a call at a
-- provider with limits holds it for a moment, then counts in a later statement, so that limits are exact over
-- all runners. And its health: how it answered.
create type kiln.circuit as enum ('closed', 'open', 'half_open');
comment on type kiln.circuit is
'closed: calls go; open: none until open_until; half_open: one call tries whether it works again.';

create table kiln.provider_limiter (
    provider_id  smallint     primary key references kiln.provider on delete cascade,
    circuit      kiln.circuit not null default 'closed',
    failures     int          not null default 0,
    opened       int          not null default 0,
    open_until   timestamptz,
    paused_until timestamptz,
    paused_why   text,
    theoretical_arrival_at          timestamptz,
    window_at    timestamptz  not null default kiln_internal.now(),
    counts       int[]        not null default array_fill(0, '{20}'),
    last_counts  int[]        not null default array_fill(0, '{20}')
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
comment on table kiln.provider_limiter is
'Whether a call to a provider may begin now, and how the provider answered of late. Read kiln.provider_health
instead.';
comment on column kiln.provider_limiter.provider_id is 'The provider.';
comment on column kiln.provider_limiter.circuit is
'Opens after five failures in a row; costs no job an attempt.';
comment on column kiln.provider_limiter.failures is 'Failures in a row: lost replies, no connection, 5xx.';
comment on column kiln.provider_limiter.opened is
'How often it opened in a row: each time it stays open twice as long, from 15 seconds to 10 minutes.';
comment on column kiln.provider_limiter.open_until is
'While open: until then nothing goes. While half open: until then the one that tries is awaited.';
comment on column kiln.provider_limiter.paused_until is 'A Retry-After, for all runners at once.';
comment on column kiln.provider_limiter.paused_why is 'What the provider said.';
comment on column kiln.provider_limiter.theoretical_arrival_at is
'Of the rate: the theoretical arrival time of the next call (GCRA).';
comment on column kiln.provider_limiter.window_at is 'When the present window of five minutes began.';
comment on column kiln.provider_limiter.counts is
'Of this window: 1 to 16 are replies by latency (up to 32 ms, 64 ms, … 2^(4+n) ms), 17 all replies, 18 those
with 429, 19 with 5xx, 20 lost ones.';
comment on column kiln.provider_limiter.last_counts is 'The same of the window before.';

create table kiln.deferred_task (
    task_id          bigint      primary key,
    provider_id      smallint    not null,
    account_id       bigint      not null,
    priority         smallint    not null,
    virtual_time               bigint      not null,
    estimated_micros bigint      not null,
    reason           text        not null,
    since            timestamptz not null default kiln_internal.now(),
    admitted_at         timestamptz
);
create index deferred_task_order_idx on kiln.deferred_task (provider_id, priority desc, virtual_time, task_id)
    where admitted_at is null;
create index deferred_task_admitted_idx on kiln.deferred_task (provider_id) where admitted_at is not null;
comment on table kiln.deferred_task is
'Tasks whose call may not begin yet: woken in the order of their turns when there is a place. Neither an
attempt nor a death.';
comment on column kiln.deferred_task.task_id is 'The task; it waits.';
comment on column kiln.deferred_task.provider_id is 'At whose limiter.';
comment on column kiln.deferred_task.account_id is 'Whose.';
comment on column kiln.deferred_task.priority is 'As its task''s: 3 goes first.';
comment on column kiln.deferred_task.virtual_time is 'As its task''s: the lowest goes first.';
comment on column kiln.deferred_task.estimated_micros is
'What the call is thought to cost: the cheapest tries a provider that failed.';
comment on column kiln.deferred_task.reason is
'disabled, circuit, paused, calls, rate, provider_cap, account_cap, secret (no runner of its queue has it).';
comment on column kiln.deferred_task.since is 'Since when.';
comment on column kiln.deferred_task.admitted_at is 'When it was woken; its place is kept for 30 seconds.';

create table kiln.webhook_key (
    provider_id smallint    primary key references kiln.provider on delete cascade,
    jwks        jsonb,
    fetched_at  timestamptz,
    wanted_at   timestamptz
);
comment on table kiln.webhook_key is
'Public keys with which providers sign their webhooks, as a runner fetched them.';
comment on column kiln.webhook_key.provider_id is 'The provider.';
comment on column kiln.webhook_key.jwks is 'Its JSON Web Key Set.';
comment on column kiln.webhook_key.fetched_at is 'When it was fetched; a day later it is fetched again.';
comment on column kiln.webhook_key.wanted_at is 'When a webhook came that none of them fits.';

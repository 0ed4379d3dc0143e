-- Who does the work. An HTTP API is described by data: how a request is written, where in the replies things
-- stand, what the errors mean, what may be asked of it (its powers) and how much (its limits). Adding one is
-- an INSERT (docs/providers.md); a description with a mistake is refused when it is written (KN003). Secrets
-- are never here: `auth` names a variable of the runner's environment.
create table kiln.provider (
    provider_id  smallint generated always as identity primary key,
    name         text    not null unique,
    is_local     boolean not null default false,
    is_enabled   boolean not null default true,
    is_paid      boolean not null default true,
    description  text    not null default '',

    base_url     text,
    reply_hosts  text[]  not null default '{}',
    file_hosts   text[]  not null default '{}',
    auth         jsonb,

    submit       jsonb,
    poll         jsonb,
    result       jsonb,
    cancel       jsonb,
    lookup       jsonb,
    webhook      jsonb,
    errors       jsonb   not null default '[]',
    error_pointers jsonb not null default '{}',
    cost         jsonb,

    idempotency_header text,
    idempotency_ttl    interval,
    bills_failures     boolean not null default true,
    bills_cancelled    boolean not null default true,

    max_calls       int,
    rate_per_minute int,
    rate_burst      int      not null default 1,
    day_cap_micros  bigint,
    reply_timeout   interval not null default '60 seconds',
    max_reply_bytes int      not null default 1048576,
    max_file_bytes  bigint   not null default 536870912
);
comment on table kiln.provider is
'Who does the work: an HTTP API described by data, or a tool on the runner''s machine.';
comment on column kiln.provider.provider_id is 'The key.';
comment on column kiln.provider.name is
'Named in a stage''s config, and the first part of its models'' names.';
comment on column kiln.provider.is_local is 'True when the work is done by a tool on the runner''s machine.';
comment on column kiln.provider.is_enabled is 'False takes all of its models out of the catalogue.';
comment on column kiln.provider.is_paid is
'False: nothing it does costs, so an unknown outcome is simply tried again.';
comment on column kiln.provider.description is 'One sentence for people.';
comment on column kiln.provider.base_url is
'Where it is: https://host, maybe with a path. Its host may answer with URLs of itself, and files may lie
there.';
comment on column kiln.provider.reply_hosts is
'Further hosts (host or host:port) that status, result and cancel URLs in replies may name.';
comment on column kiln.provider.file_hosts is
'Further hosts from which results may be downloaded: host, host:port or *.domain.';
comment on column kiln.provider.auth is
'{"header": "Authorization", "prefix": "Key ", "env": "FAL_KEY", "for_files": false}: env names a variable of
the runner''s environment. Null: none.';
comment on column kiln.provider.submit is
'The request that costs: method, path, query, headers, body (templates), accept (statuses), reply (json or
binary), id, status_url, result_url, cancel_url (JSON pointers).';
comment on column kiln.provider.poll is
'How to ask how it stands: path, accept, status (pointers), states (their values in our words), absent, error,
progress, position, every_ms, max_every_ms. Null: the reply to submit is the result.';
comment on column kiln.provider.result is 'A request for the result, where it is not in the status reply.';
comment on column kiln.provider.cancel is
'A request to stop: accept, is_final_on (statuses that mean it will not run).';
comment on column kiln.provider.lookup is
'A request that asks whether it knows our idempotency key: id (pointers); absent_on (statuses) or found
(pointers to false, 0 or an empty list) tell that it does not. Null: it cannot.';
comment on column kiln.provider.webhook is
'Its calls to us: scheme (fal-ed25519, standard-webhooks, hmac-sha256), id, status, result (pointers), states,
jwks_url or secret_env, tolerance_s.';
comment on column kiln.provider.errors is
'What its errors mean; the first rule that fits counts: [{"status": 422 or "5xx", "code": "…", "header": {…},
"phase": "submit", "class": "invalid", "is_unbilled": true}].';
comment on column kiln.provider.error_pointers is
'Where code and message of an error stand: {"code": ["/detail/0/type", "header:x-fal-error-type"], "message":
["/detail/0/msg"]}.';
comment on column kiln.provider.cost is
'Where a reply says what it cost: {"pointer": "/usage/total_tokens", "micros_per_unit": 40}. Null: the
estimate counts.';
comment on column kiln.provider.idempotency_header is
'The header by which it knows a repeated request again and charges it once; null: it does not.';
comment on column kiln.provider.idempotency_ttl is 'For how long it remembers.';
comment on column kiln.provider.bills_failures is 'Whether it bills what it accepted and then failed at.';
comment on column kiln.provider.bills_cancelled is
'Whether it bills what was cancelled after it was accepted.';
comment on column kiln.provider.max_calls is
'At most so many calls begun and not settled, over all runners; null: no limit.';
comment on column kiln.provider.rate_per_minute is
'At most so many calls begun in any 60 seconds; null: no limit.';
comment on column kiln.provider.rate_burst is 'How many of these at once after a quiet time.';
comment on column kiln.provider.day_cap_micros is
'At most so much money in a day (UTC), in millionths of the currency; null: no cap.';
comment on column kiln.provider.reply_timeout is 'How long the reply to a submit may take.';
comment on column kiln.provider.max_reply_bytes is 'The longest reply that is read, files in it apart.';
comment on column kiln.provider.max_file_bytes is 'The largest file that is taken.';

create type kiln.reply as (
    outcome        text,
    request_id     text,
    urls           jsonb,
    queue_position int,
    fraction       real,
    error_class    text,
    error_code     text,
    error_message  text,
    is_unbilled    boolean,
    retry_after    interval,
    result         jsonb,
    cost_micros    bigint
);
comment on type kiln.reply is
'What a reply says, in our words. outcome: accepted, queued, running, succeeded, failed, cancelled, or unclear
(nothing can be made of it).';

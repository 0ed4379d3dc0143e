-- What leaves the house by itself: webhooks to those who asked for them, and mail. Both are consumers of the
-- log: a reader with a position of its own makes a row here for each event that someone wants to be told of;
-- runners take the rows that are due.
create table kiln.webhook_endpoint (
    webhook_endpoint_id bigint generated always as identity primary key,
    account_id    bigint            not null references kiln.account on delete cascade,
    url           text              not null,
    types         kiln.event_type[] not null,
    failures      int               not null default 0,
    failing_since timestamptz,
    disabled_at   timestamptz,
    disabled_why  text,
    created_at    timestamptz       not null default kiln_internal.now(),
    constraint webhook_endpoint_url_check check (length(url) <= 2000
                      and url ~ '^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-"$-~]*)?$'),
    constraint webhook_endpoint_types_check check (cardinality(types) > 0
                                                   and array_position(types, null) is null
        and not types && '{session.ended,job.progress,notification.read}'),
    constraint webhook_endpoint_disabled_says_why_check check ((disabled_at is null)
                                                               = (disabled_why is null)),
    constraint webhook_endpoint_failing_check check ((failures = 0) = (failing_since is null))
);
create index webhook_endpoint_account_id_idx on kiln.webhook_endpoint (account_id, webhook_endpoint_id);
comment on table kiln.webhook_endpoint is 'Where accounts want to be told of what happens.';
comment on column kiln.webhook_endpoint.webhook_endpoint_id is
'The key; sent to clients as a decimal string.';
comment on column kiln.webhook_endpoint.account_id is 'Whose; it is told of this account''s events.';
comment on column kiln.webhook_endpoint.url is
'Where the events are posted to. What it may be: kiln.webhook_url_error().';
comment on column kiln.webhook_endpoint.types is 'Of which events.';
comment on column kiln.webhook_endpoint.failures is
'How many attempts have failed since the last that went well.';
comment on column kiln.webhook_endpoint.failing_since is 'When the first of them did; null: none.';
comment on column kiln.webhook_endpoint.disabled_at is 'Since when nothing is sent there, or null.';
comment on column kiln.webhook_endpoint.disabled_why is 'Why not.';
comment on column kiln.webhook_endpoint.created_at is
'When it was made; it is told of what happened after that.';

create table kiln.endpoint_secret (
    webhook_endpoint_id bigint primary key references kiln.webhook_endpoint on delete cascade,
    secret         bytea not null,
    previous       bytea,
    previous_until timestamptz,
    constraint endpoint_secret_length_check check (length(secret) = 32 and length(previous) = 32),
    constraint endpoint_secret_previous_check check ((previous is null) = (previous_until is null))
);
comment on table kiln.endpoint_secret is
'With what deliveries are signed. No service role can read it; kiln_runner.claim_deliveries() signs.';
comment on column kiln.endpoint_secret.webhook_endpoint_id is 'Whose.';
comment on column kiln.endpoint_secret.secret is '32 random bytes; shown once, as whsec_ and base64.';
comment on column kiln.endpoint_secret.previous is 'The one before, or null.';
comment on column kiln.endpoint_secret.previous_until is 'Until when deliveries carry its signature too.';

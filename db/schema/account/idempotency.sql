-- Idempotency keys of creating requests.
create table kiln.idempotency (
    account_id bigint      not null references kiln.account on delete cascade,
    route      text        not null,
    key        text        not null,
    body_hash  bytea       not null,
    thing_id   bigint      not null,
    created_at timestamptz not null default kiln_internal.now(),
    primary key (account_id, route, key),
    constraint idempotency_key_check check (length(key) between 1 and 255)
);
create index idempotency_created_at_idx on kiln.idempotency (created_at);
comment on table kiln.idempotency is
'Idempotency keys of creating requests, written in the creating transaction and kept for 24 hours.';
comment on column kiln.idempotency.account_id is 'Whose request it was.';
comment on column kiln.idempotency.route is 'Which function; a key is its own on each.';
comment on column kiln.idempotency.key is 'The Idempotency-Key header.';
comment on column kiln.idempotency.body_hash is
'SHA-256 of the raw body: the same key with another body is refused (KN005).';
comment on column kiln.idempotency.thing_id is 'What was made.';
comment on column kiln.idempotency.created_at is 'When.';

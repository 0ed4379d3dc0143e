-- Keys for programs, and what a key may do.

-- Keys of programs. The key itself is shown once; what is kept is its hash, so that a copy of this table
-- opens nothing.
create type kiln.scope as enum ('read', 'generate', 'chat', 'account', 'admin');
comment on type kiln.scope is
'What a key, or a token that says so, may do: read (look at what is its account''s), generate (jobs and
uploads), chat (people, messages, notifications), account (profile, keys, tickets), admin (administration,
where its account is an administrator''s). See kiln_internal.scopes_of().';

create table kiln.api_key (
    api_key_id   bigint generated always as identity primary key,
    account_id   bigint       not null references kiln.account on delete cascade,
    key_hash     bytea        not null,
    prefix       text         not null,
    name         text         not null,
    scopes       kiln.scope[] not null,
    expires_at   timestamptz,
    last_used_at timestamptz,
    created_at   timestamptz  not null default kiln_internal.now(),
    constraint api_key_key_hash_key unique (key_hash),
    constraint api_key_hash_is_sha256_check check (length(key_hash) = 32),
    constraint api_key_name_check check (kiln_internal.is_name(name, 80)),
    constraint api_key_needs_scope_check check (cardinality(scopes) between 1 and 5
                                                and array_position(scopes, null) is null)
);
create index api_key_account_id_idx on kiln.api_key (account_id, api_key_id);
comment on table kiln.api_key is 'Keys that programs send as X-API-Key. To revoke one is to delete its row.';
comment on column kiln.api_key.api_key_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.api_key.account_id is 'Whose; what it does, that account does.';
comment on column kiln.api_key.key_hash is 'SHA-256 of the whole key.';
comment on column kiln.api_key.prefix is 'How it begins, so that its owner can tell it from others.';
comment on column kiln.api_key.name is 'What its owner calls it.';
comment on column kiln.api_key.scopes is 'What it may do.';
comment on column kiln.api_key.expires_at is 'From when on it is refused, or null.';
comment on column kiln.api_key.last_used_at is 'When it was used, to the minute; null: never.';
comment on column kiln.api_key.created_at is 'When it was made.';

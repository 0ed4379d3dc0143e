-- An account owns things. Several identities may lead to one: a wallet, a token's subject, API keys.
create type kiln.role as enum ('user', 'admin');
comment on type kiln.role is 'What an account may do: user (its own things), admin (everything).';

create table kiln.account (
    account_id   bigint generated always as identity primary key,
    handle       text,
    display_name text,
    role         kiln.role   not null default 'user',
    email        text,
    email_verified_at timestamptz,
    notify_email boolean     not null default false,
    show_presence boolean    not null default true,
    is_suspended boolean     not null default false,
    tokens_from  timestamptz,
    deleted_at   timestamptz,
    purged_at   timestamptz,
    day_cap_micros bigint,
    media_quota_bytes bigint,
    created_at   timestamptz not null default kiln_internal.now(),
    constraint account_media_quota_check check (media_quota_bytes >= 0),
    constraint account_day_cap_check check (day_cap_micros >= 0),
    constraint account_handle_check check (handle ~ '^[a-z0-9_]{3,30}$'),
    constraint account_display_name_check check (kiln_internal.is_name(display_name, 80)),
    constraint account_email_check check (length(email) <= 254
        and email ~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$'),
    constraint account_proof_needs_email_check check (email_verified_at is null or email is not null),
    constraint account_notify_needs_email_check check (not notify_email or email is not null),
    constraint account_deleted_is_empty_check check (deleted_at is null or (is_suspended and coalesce(handle, display_name, email) is null)),
    constraint account_purged_was_deleted_check check (purged_at is null or deleted_at is not null)
);
comment on table kiln.account is 'Who owns things: a wallet, a token''s subject, an API key all lead to one.';
comment on column kiln.account.account_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.account.handle is 'A short public name, lower case, or null.';
comment on column kiln.account.display_name is 'What others see, or null.';
comment on column kiln.account.role is 'What it may do where the token names no role of its own.';
comment on column kiln.account.email is 'Where mail may go, as its owner wrote it, or null: of ASCII letters that can end no command and no header. Nothing signs in by it.';
comment on column kiln.account.email_verified_at is 'When a link that was mailed to the address was opened; null: never, and it is sent confirmations alone. Another address is unproven again.';
comment on column kiln.account.notify_email is 'Whether it wants to be told by mail what it missed.';
comment on column kiln.account.show_presence is 'Whether others see when it is online; who hides it sees nobody''s.';
comment on column kiln.account.tokens_from is 'Tokens that were issued before this moment are refused (sign out everywhere); null: none.';
comment on column kiln.account.deleted_at is 'When its owner deleted it. The row stays, empty, for the ledger; it is suspended for ever.';
comment on column kiln.account.purged_at is 'When the last of what it owned was gone: a running paid call is waited for.';
comment on column kiln.account.is_suspended is 'A suspended account is refused at every call.';
comment on column kiln.account.day_cap_micros is 'The most that calls for it may cost in a day (UTC), by estimate until they are settled; null: no cap.';
comment on column kiln.account.media_quota_bytes is 'How many bytes of media it may have; null: kiln.config.media_quota_bytes.';
comment on column kiln.account.created_at is 'When the account was first seen.';

-- Partial, though null is no duplicate anyway: the columns of a whole unique index are a key that foreign keys may name, and to change one takes the
-- row's exclusive lock. A message to somebody who was leaving waited for that, and the leaving for the message's conversation.
create unique index account_handle_key on kiln.account (handle) where handle is not null;
create index account_handle_prefix_idx on kiln.account (handle text_pattern_ops);
create index account_email_idx on kiln.account (lower(email) text_pattern_ops) where email is not null;
create index account_admin_idx on kiln.account (account_id) where role = 'admin';
create index account_deleting_idx on kiln.account (account_id) where deleted_at is not null and purged_at is null;

-- Names that people would take for those who run the site. Rows may be added and removed at any time; handles that exist are not asked.
create table kiln.reserved_handle (
    name    text    primary key,
    is_part boolean not null default false,
    constraint reserved_handle_name_check check (name ~ '^[a-z]{2,30}$')
);
comment on table kiln.reserved_handle is 'Handles that accounts cannot choose, since others would take them for the operator. Administrators may give them.';
comment on column kiln.reserved_handle.name is 'The name, in small letters; underscores and digits around it do not make it another.';
comment on column kiln.reserved_handle.is_part is 'True: refused also as a part between underscores, as in the_support_team.';
insert into kiln.reserved_handle (name, is_part) values
    ('admin', true), ('administrator', true), ('kiln', true), ('support', true), ('moderator', true), ('staff', true), ('official', true),
    ('security', true), ('system', true), ('operator', true), ('root', true), ('mod', false), ('help', false), ('helpdesk', true),
    ('abuse', false), ('billing', true), ('payment', true), ('payments', true), ('refund', false), ('refunds', false), ('contact', false),
    ('info', false), ('legal', false), ('privacy', false), ('postmaster', true), ('webmaster', true), ('hostmaster', true),
    ('noreply', false), ('team', false), ('owner', false), ('service', false), ('api', false), ('www', false), ('me', false),
    ('you', false), ('everyone', false), ('all', false), ('here', false), ('nobody', false), ('anonymous', false), ('deleted', false),
    ('null', false), ('undefined', false);

create table kiln.identity (
    issuer     text   not null,
    subject    text   not null,
    account_id bigint not null references kiln.account on delete cascade,
    created_at timestamptz not null default kiln_internal.now(),
    identity_id bigint generated always as identity,
    token_issued_at timestamptz,
    primary key (issuer, subject),
    constraint identity_identity_id_key unique (identity_id),
    constraint identity_wallet_check check (issuer <> 'urn:kiln:wallet' or subject ~ '^0x[0-9a-f]{40}$'),
    constraint identity_subject_check check (length(subject) between 1 and 255)
);
create index identity_account_id_idx on kiln.identity (account_id);
create index identity_subject_idx on kiln.identity (subject);
comment on table kiln.identity is 'Ways to prove that one is an account: a token of an issuer about a subject.';
comment on column kiln.identity.issuer is 'Who vouches: the `iss` of the token, empty for tokens of this installation, urn:kiln:wallet for a wallet.';
comment on column kiln.identity.subject is 'The `sub` of the token; of a wallet its address, in lower case.';
comment on column kiln.identity.account_id is 'The account it leads to.';
comment on column kiln.identity.created_at is 'When it was first used.';
comment on column kiln.identity.token_issued_at is 'When this installation issued its latest token for it (sign-in by wallet); null: never. The end of the account is later.';
comment on column kiln.identity.identity_id is 'A number for clients: DELETE /me/identities/{id}.';

-- Keys of programs. The key itself is shown once; what is kept is its hash, so that a copy of this table opens nothing.
create type kiln.scope as enum ('read', 'generate', 'chat', 'account', 'admin');
comment on type kiln.scope is
'What a key, or a token that says so, may do: read (look at what is its account''s), generate (jobs and uploads), chat (people, messages, notifications),
account (profile, keys, tickets), admin (administration, where its account is an administrator''s). See kiln_internal.scopes_of().';

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
    constraint api_key_needs_scope_check check (cardinality(scopes) between 1 and 5 and array_position(scopes, null) is null)
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

-- An identity that was unlinked, or whose account was deleted: tokens that were issued before must not make a new account.
create table kiln.revoked_identity (
    identity_hash bytea       primary key,
    revoked_at       timestamptz not null
);
comment on table kiln.revoked_identity is 'Identities that led to an account once: a token of theirs from before that moment is refused, a newer one begins anew.';
comment on column kiln.revoked_identity.identity_hash is 'SHA-256 of issuer, a line feed and subject: nobody is named here.';
comment on column kiln.revoked_identity.revoked_at is 'When it was unlinked or its account deleted, the last time.';

-- What was said to be signed in a wallet: given once, taken once.
create table kiln.nonce (
    nonce_hash bytea       primary key,
    expires_at timestamptz not null
);
create index nonce_expires_at_idx on kiln.nonce (expires_at);
comment on table kiln.nonce is 'Nonces of wallet logins that nobody has used yet; only their hashes are kept.';
comment on column kiln.nonce.nonce_hash is 'SHA-256 of the nonce.';
comment on column kiln.nonce.expires_at is 'Until when a message that names it is taken.';

-- How fast an account may go on: one narrow row for each that writes. Not logged: after a crash all begin with a full burst.
create type kiln.rate_class as enum ('write', 'login');
comment on type kiln.rate_class is 'What is counted: calls of the API that change something; sign-ins by wallet.';
create unlogged table kiln.account_rate (
    account_id bigint          not null references kiln.account on delete cascade,
    class      kiln.rate_class not null,
    theoretical_arrival_at    timestamptz     not null,
    primary key (account_id, class)
) with (fillfactor = 50);
comment on table kiln.account_rate is 'Rates of accounts (GCRA): see kiln_internal.spend_rate() and the rates in kiln.config.';
comment on column kiln.account_rate.account_id is 'Whose.';
comment on column kiln.account_rate.class is 'Of what.';
comment on column kiln.account_rate.theoretical_arrival_at is 'When it would be as if nothing had been done; the further ahead, the less is left of the burst.';

-- What operators did to accounts, and why: append-only.
create type kiln.account_act_kind as enum ('role', 'suspend', 'unsuspend', 'grant');
comment on type kiln.account_act_kind is 'What an operator can do to an account.';
create table kiln.account_act (
    account_act_id bigint generated always as identity primary key,
    account_id     bigint                not null references kiln.account on delete cascade,
    kind           kiln.account_act_kind not null,
    details        jsonb                 not null default '{}',
    reason         text,
    made_by        bigint,
    by_name        text                  not null default session_user,
    at             timestamptz           not null default kiln_internal.now()
);
create index account_act_account_id_idx on kiln.account_act (account_id, account_act_id);
comment on table kiln.account_act is 'Every role, suspension and grant: who gave it, to whom, why. Append-only.';
comment on column kiln.account_act.account_act_id is 'The key.';
comment on column kiln.account_act.account_id is 'To whom.';
comment on column kiln.account_act.kind is 'What.';
comment on column kiln.account_act.details is 'The new role; the row of the ledger and its amount.';
comment on column kiln.account_act.reason is 'Why.';
comment on column kiln.account_act.made_by is 'The account of the operator; null: someone in psql.';
comment on column kiln.account_act.by_name is 'The database role of the session.';
comment on column kiln.account_act.at is 'When.';

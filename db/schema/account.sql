-- An account owns things. Several identities may lead to one: a token''s subject now, wallets and keys later.
create type kiln.role as enum ('user', 'admin');
comment on type kiln.role is 'What an account may do: user (its own things), admin (everything).';

create table kiln.account (
    account_id   bigint generated always as identity primary key,
    handle       text unique,
    display_name text,
    role         kiln.role   not null default 'user',
    is_suspended boolean     not null default false,
    day_cap_micros bigint,
    created_at   timestamptz not null default kiln.now(),
    constraint account_day_cap_check check (day_cap_micros >= 0),
    constraint account_handle_check check (handle ~ '^[a-z0-9_]{3,30}$')
);
comment on table kiln.account is 'Who owns things: a wallet, a token''s subject, an API key all lead to one.';
comment on column kiln.account.account_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.account.handle is 'A short public name, lower case, or null.';
comment on column kiln.account.display_name is 'What others see, or null.';
comment on column kiln.account.role is 'What it may do where the token names no role of its own.';
comment on column kiln.account.is_suspended is 'A suspended account is refused at every call.';
comment on column kiln.account.day_cap_micros is 'The most that calls for it may cost in a day (UTC), by estimate until they are settled; null: no cap.';
comment on column kiln.account.created_at is 'When the account was first seen.';

create index account_handle_prefix_idx on kiln.account (handle text_pattern_ops);

create table kiln.identity (
    issuer     text   not null,
    subject    text   not null,
    account_id bigint not null references kiln.account on delete cascade,
    created_at timestamptz not null default kiln.now(),
    primary key (issuer, subject),
    constraint identity_subject_check check (length(subject) between 1 and 255)
);
create index identity_account_id_idx on kiln.identity (account_id);
comment on table kiln.identity is 'Ways to prove that one is an account: a token of an issuer about a subject.';
comment on column kiln.identity.issuer is 'Who vouches: the `iss` of the token, empty for tokens of this installation.';
comment on column kiln.identity.subject is 'The `sub` of the token.';
comment on column kiln.identity.account_id is 'The account it leads to.';
comment on column kiln.identity.created_at is 'When it was first used.';

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
    constraint account_deleted_is_empty_check check (deleted_at is null
                                                     or (is_suspended and coalesce(handle, display_name,
                                                         email) is null)),
    constraint account_purged_was_deleted_check check (purged_at is null or deleted_at is not null)
);
comment on table kiln.account is 'Who owns things: a wallet, a token''s subject, an API key all lead to one.';
comment on column kiln.account.account_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.account.handle is 'A short public name, lower case, or null.';
comment on column kiln.account.display_name is 'What others see, or null.';
comment on column kiln.account.role is 'What it may do where the token names no role of its own.';
comment on column kiln.account.email is
'Where mail may go, as its owner wrote it, or null: of ASCII letters that can end no command and no header.
Nothing signs in by it.';
comment on column kiln.account.email_verified_at is
'When a link that was mailed to the address was opened; null: never, and it is sent confirmations alone.
Another address is unproven again.';
comment on column kiln.account.notify_email is 'Whether it wants to be told by mail what it missed.';
comment on column kiln.account.show_presence is
'Whether others see when it is online; who hides it sees nobody''s.';
comment on column kiln.account.tokens_from is
'Tokens that were issued before this moment are refused (sign out everywhere); null: none.';
comment on column kiln.account.deleted_at is
'When its owner deleted it. The row stays, empty, for the ledger; it is suspended for ever.';
comment on column kiln.account.purged_at is
'When the last of what it owned was gone: a running paid call is waited for.';
comment on column kiln.account.is_suspended is 'A suspended account is refused at every call.';
comment on column kiln.account.day_cap_micros is
'The most that calls for it may cost in a day (UTC), by estimate until they are settled; null: no cap.';
comment on column kiln.account.media_quota_bytes is
'How many bytes of media it may have; null: kiln.config.media_quota_bytes.';
comment on column kiln.account.created_at is 'When the account was first seen.';

-- Partial, though null is no duplicate anyway: the columns of a whole unique index are a key that foreign
-- keys may name, and to change one takes the row's exclusive lock. A message to somebody who was leaving
-- waited for that, and the leaving for the message's conversation.
create unique index account_handle_key on kiln.account (handle) where handle is not null;
create index account_handle_prefix_idx on kiln.account (handle text_pattern_ops);
create index account_email_idx on kiln.account (lower(email) text_pattern_ops) where email is not null;
create index account_admin_idx on kiln.account (account_id) where role = 'admin';
create index account_deleting_idx on kiln.account (account_id)
    where deleted_at is not null and purged_at is null;

-- Names that people would take for those who run the site. Rows may be added and removed at any time; handles
-- that exist are not asked.
create table kiln.reserved_handle (
    name    text    primary key,
    is_part boolean not null default false,
    constraint reserved_handle_name_check check (name ~ '^[a-z]{2,30}$')
);
comment on table kiln.reserved_handle is
'Handles that accounts cannot choose, since others would take them for the operator. Administrators may give
them.';
comment on column kiln.reserved_handle.name is
'The name, in small letters; underscores and digits around it do not make it another.';
comment on column kiln.reserved_handle.is_part is
'True: refused also as a part between underscores, as in the_support_team.';
insert into kiln.reserved_handle (name, is_part) values
    ('admin', true), ('administrator', true), ('kiln', true), ('support', true), ('moderator', true),
       ('staff', true), ('official', true),
    ('security', true), ('system', true), ('operator', true), ('root', true), ('mod', false), ('help', false),
       ('helpdesk', true),
    ('abuse', false), ('billing', true), ('payment', true), ('payments', true), ('refund', false),
       ('refunds', false), ('contact', false),
    ('info', false), ('legal', false), ('privacy', false), ('postmaster', true), ('webmaster', true),
       ('hostmaster', true),
    ('noreply', false), ('team', false), ('owner', false), ('service', false), ('api', false), ('www', false),
       ('me', false),
    ('you', false), ('everyone', false), ('all', false), ('here', false), ('nobody', false),
       ('anonymous', false), ('deleted', false),
    ('null', false), ('undefined', false);

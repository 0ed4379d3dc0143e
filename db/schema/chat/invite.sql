-- Invitations.
create table kiln.invite (
    invite_id       bigint generated always as identity primary key,
    token_hash      bytea       not null unique,
    account_id      bigint      not null references kiln.account on delete cascade,
    conversation_id bigint references kiln.conversation on delete cascade,
    expires_at      timestamptz not null,
    revoked_at      timestamptz,
    created_at      timestamptz not null default kiln_internal.now()
);
create index invite_account_id_idx on kiln.invite (account_id, invite_id);
create index invite_conversation_id_idx on kiln.invite (conversation_id);
comment on table kiln.invite is
'Links by which people without a handle are found, or a group joined; only the hash of the token is kept.';
comment on column kiln.invite.invite_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.invite.token_hash is 'SHA-256 of the random token.';
comment on column kiln.invite.account_id is 'Who invites.';
comment on column kiln.invite.conversation_id is
'The group it leads into; null: to a conversation of two with who invites.';
comment on column kiln.invite.expires_at is 'Until when it works.';
comment on column kiln.invite.revoked_at is 'When it was taken back, or null.';
comment on column kiln.invite.created_at is 'When.';

-- The identities by which people sign in.
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
comment on table kiln.identity is
'Ways to prove that one is an account: a token of an issuer about a subject.';
comment on column kiln.identity.issuer is
'Who vouches: the `iss` of the token, empty for tokens of this installation, urn:kiln:wallet for a wallet.';
comment on column kiln.identity.subject is 'The `sub` of the token; of a wallet its address, in lower case.';
comment on column kiln.identity.account_id is 'The account it leads to.';
comment on column kiln.identity.created_at is 'When it was first used.';
comment on column kiln.identity.token_issued_at is
'When this installation issued its latest token for it (sign-in by wallet); null: never. The end of the
account is later.';
comment on column kiln.identity.identity_id is 'A number for clients: DELETE /me/identities/{id}.';

-- An identity that was unlinked, or whose account was deleted: tokens that were issued before must not make a
-- new account.
create table kiln.revoked_identity (
    identity_hash bytea       primary key,
    revoked_at       timestamptz not null
);
comment on table kiln.revoked_identity is
'Identities that led to an account once: a token of theirs from before that moment is refused, a newer one
begins anew.';
comment on column kiln.revoked_identity.identity_hash is
'SHA-256 of issuer, a line feed and subject: nobody is named here.';
comment on column kiln.revoked_identity.revoked_at is
'When it was unlinked or its account deleted, the last time.';

-- What was said to be signed in a wallet: given once, taken once.
create table kiln.nonce (
    nonce_hash bytea       primary key,
    expires_at timestamptz not null
);
create index nonce_expires_at_idx on kiln.nonce (expires_at);
comment on table kiln.nonce is
'Nonces of wallet logins that nobody has used yet; only their hashes are kept.';
comment on column kiln.nonce.nonce_hash is 'SHA-256 of the nonce.';
comment on column kiln.nonce.expires_at is 'Until when a message that names it is taken.';

-- Public pages: a link that shows one job's results, and of a staging the originals beside them, to whoever
-- has it. Only the hash of its token is kept. The row is the record too: who published when, which originals
-- there were, and what the label says; it goes with its job.
create table kiln.share (
    share_id   bigint generated always as identity primary key,
    account_id bigint      not null references kiln.account,
    job_id     bigint      not null references kiln.job on delete cascade,
    token_hash bytea       not null,
    originals  jsonb       not null,
    disclosure text,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz not null default kiln_internal.now(),
    constraint share_token_hash_key unique (token_hash),
    constraint share_hash_is_sha256_check check (octet_length(token_hash) = 32),
    constraint share_originals_is_list_check check (jsonb_typeof(originals) = 'array'),
    constraint share_expires_later_check check (expires_at > created_at)
);
create index share_account_id_idx on kiln.share (account_id, share_id);
create index share_job_id_idx on kiln.share (job_id);
comment on table kiln.share is 'Links to public pages of jobs'' results. To revoke one is to set revoked_at.';
comment on column kiln.share.share_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.share.account_id is 'Who published.';
comment on column kiln.share.job_id is 'What is shown.';
comment on column kiln.share.token_hash is 'SHA-256 of the random token.';
comment on column kiln.share.originals is
'The originals as they were then: [{"media_id", "sha256"}]; the page says so when one is gone.';
comment on column kiln.share.disclosure is
'What the label on the results says, as it was then; null: they bear none.';
comment on column kiln.share.expires_at is 'Until when the page is there; null: until it is revoked.';
comment on column kiln.share.revoked_at is 'When it was taken back, or null.';
comment on column kiln.share.created_at is 'When.';

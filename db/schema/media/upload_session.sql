-- Requests whose bodies are being written to the store.

-- Bytes that come at this moment, before a row or beside one: what they may take of the disk is counted from
-- before the first of them.
create table kiln.upload_session (
    token      text        primary key,
    account_id bigint      not null references kiln.account on delete cascade,
    media_id   bigint      unique,
    bytes      bigint      not null,
    until      timestamptz not null,
    constraint upload_session_bytes_check check (bytes >= 0)
);
create index upload_session_account_id_idx on kiln.upload_session (account_id);
comment on table kiln.upload_session is
'Requests whose bodies are being written to the store: one for an upload, and each counts towards the quota
until it ends. Its server keeps it alive; one that died frees it within a minute.';
comment on column kiln.upload_session.token is 'Whose it is: only the request that has it may finish.';
comment on column kiln.upload_session.account_id is 'Whose quota it takes.';
comment on column kiln.upload_session.media_id is
'The upload that it fills, which may be deleted meanwhile; null: a try-on that brings its files.';
comment on column kiln.upload_session.bytes is 'How many bytes it may write.';
comment on column kiln.upload_session.until is 'When it ends, unless its server says that it goes on.';

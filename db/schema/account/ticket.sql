-- Tickets of streams.
create table kiln.stream_ticket (
    ticket_hash bytea       primary key,
    account_id  bigint      not null references kiln.account on delete cascade,
    expires_at  timestamptz not null,
    api_key_id  bigint references kiln.api_key on delete cascade,
    scopes      kiln.scope[]
);
create index stream_ticket_expires_at_idx on kiln.stream_ticket (expires_at);
comment on table kiln.stream_ticket is
'Short-lived tickets for streams, which cannot send headers; only their hashes are kept.';
comment on column kiln.stream_ticket.ticket_hash is 'SHA-256 of the ticket.';
comment on column kiln.stream_ticket.account_id is 'Whose streams it opens.';
comment on column kiln.stream_ticket.expires_at is 'The end of the ticket and of the streams it opened.';
comment on column kiln.stream_ticket.scopes is
'What may be said over a connection it opened; null: all that its account may.';
comment on column kiln.stream_ticket.api_key_id is
'The key it was made with: revoked together; null: a token.';
create index stream_ticket_api_key_id_idx on kiln.stream_ticket (api_key_id) where api_key_id is not null;

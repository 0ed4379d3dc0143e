-- Messages.
create table kiln.message (
    message_id      bigint generated always as identity primary key,
    conversation_id bigint      not null references kiln.conversation on delete cascade,
    number          bigint      not null,
    account_id      bigint      not null references kiln.account,
    author_number   bigint      not null,
    client_id       text,
    text            text,
    media           bigint[]    not null default '{}',
    reply_to        bigint,
    created_at      timestamptz not null default kiln_internal.now(),
    edited_at       timestamptz,
    deleted_at      timestamptz,
    constraint message_number_key unique (conversation_id, number),
    constraint message_client_id_key unique (conversation_id, account_id, client_id),
    constraint message_text_check check (octet_length(text) <= 16000),
    constraint message_client_id_check check (length(client_id) between 1 and 100),
    constraint message_media_check check (cardinality(media) <= 10),
    constraint message_says_something_check check (deleted_at is not null or kiln_internal.is_visible(text)
                                                   or media <> '{}'),
    constraint message_tombstone_is_empty_check check (deleted_at is null or (text is null and media = '{}'))
);
create index message_account_id_idx on kiln.message (account_id, message_id);
create index message_author_idx on kiln.message (conversation_id, account_id, number);
create index message_media_idx on kiln.message (account_id) where media <> '{}';
comment on table kiln.message is
'Messages. One that was deleted stays as a tombstone, so that numbers and replies hold.';
comment on column kiln.message.message_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.message.conversation_id is 'Where it was said.';
comment on column kiln.message.number is 'Its place: 1, 2, 3 … in the order of commits.';
comment on column kiln.message.account_id is 'Who said it.';
comment on column kiln.message.author_number is
'Which of this author''s messages in the conversation it is: with it unread messages are counted by one index
seek.';
comment on column kiln.message.client_id is
'The id the sender''s device gave it: the same id of the same sender is the same message.';
comment on column kiln.message.text is
'At most 16,000 bytes; null where there are only media, and in a tombstone.';
comment on column kiln.message.media is 'Media of the sender''s, shown to the members by signed links.';
comment on column kiln.message.reply_to is 'The number of the message it answers, in the same conversation.';
comment on column kiln.message.created_at is 'When it was accepted.';
comment on column kiln.message.edited_at is 'When its author changed it last.';
comment on column kiln.message.deleted_at is 'When its author took it back.';

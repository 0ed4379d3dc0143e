-- Chat: conversations of two and groups. A conversation numbers its messages under its row's lock, so within one conversation the
-- numbers are the order of commits, without a hole; a member's position (delivered, read) is such a number.
create sequence kiln.activity;
comment on sequence kiln.activity is 'Draws a number at each message: conversations are listed by their latest.';

create table kiln.conversation (
    conversation_id bigint generated always as identity primary key,
    is_group        boolean     not null,
    title           text,
    made_by         bigint      not null references kiln.account,
    pair_low        bigint,
    pair_high       bigint,
    last_number     bigint      not null default 0,
    activity        bigint      not null default nextval('kiln.activity'),
    created_at      timestamptz not null default kiln_internal.now(),
    constraint conversation_pair_key unique (pair_low, pair_high),
    constraint conversation_two_or_group_check check (is_group = (pair_low is null) and is_group = (pair_high is null) and coalesce(pair_low < pair_high, true)),
    constraint conversation_title_check check (title is null or kiln_internal.is_name(title, 100) and is_group)
);
comment on table kiln.conversation is 'A conversation of two, of which the same two have one, or a group.';
comment on column kiln.conversation.conversation_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.conversation.is_group is 'True for a group; false for a conversation of two.';
comment on column kiln.conversation.title is 'What a group is called, or null.';
comment on column kiln.conversation.made_by is 'Who began it; of a group: who may remove others.';
comment on column kiln.conversation.pair_low is 'The lower account of the two; null for a group.';
comment on column kiln.conversation.pair_high is 'The higher account of the two; null for a group.';
comment on column kiln.conversation.last_number is 'The number of its latest message. Whoever writes a message holds this row.';
comment on column kiln.conversation.activity is 'Grows with each message anywhere: the order of lists, and their cursor.';
comment on column kiln.conversation.created_at is 'When.';

create table kiln.member (
    conversation_id  bigint      not null references kiln.conversation on delete cascade,
    account_id       bigint      not null references kiln.account,
    joined_number    bigint      not null default 0,
    until_number     bigint,
    posted           bigint      not null default 0,
    delivered_number bigint      not null default 0,
    read_number      bigint      not null default 0,
    seen_at          timestamptz,
    joined_at        timestamptz not null default kiln_internal.now(),
    primary key (conversation_id, account_id),
    constraint member_read_is_delivered_check check (read_number <= delivered_number)
);
create index member_account_id_idx on kiln.member (account_id);
comment on table kiln.member is 'Who is or was in a conversation, and how far each has got in it.';
comment on column kiln.member.conversation_id is 'The conversation.';
comment on column kiln.member.account_id is 'The member.';
comment on column kiln.member.joined_number is 'The conversation''s last message when this member came; ticks of earlier ones do not wait for it.';
comment on column kiln.member.until_number is 'The last message one who has left may see; null: is a member.';
comment on column kiln.member.posted is 'How many messages of this conversation are this member''s.';
comment on column kiln.member.delivered_number is 'Messages up to this number have reached a device of the member''s. Never falls.';
comment on column kiln.member.read_number is 'Messages up to this number were read. Never falls.';
comment on column kiln.member.seen_at is 'The last sign the member gave in this conversation: a message, delivered, read.';
comment on column kiln.member.joined_at is 'When the member came (again).';

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
    constraint message_says_something_check check (deleted_at is not null or kiln_internal.is_visible(text) or media <> '{}'),
    constraint message_tombstone_is_empty_check check (deleted_at is null or (text is null and media = '{}'))
);
create index message_account_id_idx on kiln.message (account_id, message_id);
create index message_author_idx on kiln.message (conversation_id, account_id, number);
create index message_media_idx on kiln.message (account_id) where media <> '{}';
comment on table kiln.message is 'Messages. One that was deleted stays as a tombstone, so that numbers and replies hold.';
comment on column kiln.message.message_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.message.conversation_id is 'Where it was said.';
comment on column kiln.message.number is 'Its place: 1, 2, 3 … in the order of commits.';
comment on column kiln.message.account_id is 'Who said it.';
comment on column kiln.message.author_number is 'Which of this author''s messages in the conversation it is: with it unread messages are counted by one index seek.';
comment on column kiln.message.client_id is 'The id the sender''s device gave it: the same id of the same sender is the same message.';
comment on column kiln.message.text is 'At most 16,000 bytes; null where there are only media, and in a tombstone.';
comment on column kiln.message.media is 'Media of the sender''s, shown to the members by signed links.';
comment on column kiln.message.reply_to is 'The number of the message it answers, in the same conversation.';
comment on column kiln.message.created_at is 'When it was accepted.';
comment on column kiln.message.edited_at is 'When its author changed it last.';
comment on column kiln.message.deleted_at is 'When its author took it back.';

create table kiln.block (
    account_id bigint      not null references kiln.account on delete cascade,
    blocked_id bigint      not null references kiln.account on delete cascade,
    created_at timestamptz not null default kiln_internal.now(),
    primary key (account_id, blocked_id),
    constraint block_other_check check (account_id <> blocked_id)
);
create index block_blocked_id_idx on kiln.block (blocked_id);
comment on table kiln.block is 'Who wants nothing to do with whom: neither finds the other, writes to the other in a conversation of two, or adds the other to a group.';
comment on column kiln.block.account_id is 'Who blocks.';
comment on column kiln.block.blocked_id is 'Who is blocked; nobody tells.';
comment on column kiln.block.created_at is 'Since when.';

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
comment on table kiln.invite is 'Links by which people without a handle are found, or a group joined; only the hash of the token is kept.';
comment on column kiln.invite.invite_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.invite.token_hash is 'SHA-256 of the random token.';
comment on column kiln.invite.account_id is 'Who invites.';
comment on column kiln.invite.conversation_id is 'The group it leads into; null: to a conversation of two with who invites.';
comment on column kiln.invite.expires_at is 'Until when it works.';
comment on column kiln.invite.revoked_at is 'When it was taken back, or null.';
comment on column kiln.invite.created_at is 'When.';

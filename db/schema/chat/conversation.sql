-- Chat: conversations of two and groups. A conversation numbers its messages under its row's lock, so within
-- one conversation the numbers are the order of commits, without a hole; a member's position (delivered,
-- read) is such a number.
create sequence kiln.activity;
comment on sequence kiln.activity is
'Draws a number at each message: conversations are listed by their latest.';

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
    constraint conversation_two_or_group_check check (is_group = (pair_low is null)
                                                      and is_group = (pair_high is null)
                                                      and coalesce(pair_low < pair_high, true)),
    constraint conversation_title_check check (title is null or kiln_internal.is_name(title, 100)
                                               and is_group)
);
comment on table kiln.conversation is 'A conversation of two, of which the same two have one, or a group.';
comment on column kiln.conversation.conversation_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.conversation.is_group is 'True for a group; false for a conversation of two.';
comment on column kiln.conversation.title is 'What a group is called, or null.';
comment on column kiln.conversation.made_by is 'Who began it; of a group: who may remove others.';
comment on column kiln.conversation.pair_low is 'The lower account of the two; null for a group.';
comment on column kiln.conversation.pair_high is 'The higher account of the two; null for a group.';
comment on column kiln.conversation.last_number is
'The number of its latest message. Whoever writes a message holds this row.';
comment on column kiln.conversation.activity is
'Grows with each message anywhere: the order of lists, and their cursor.';
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
comment on column kiln.member.joined_number is
'The conversation''s last message when this member came; ticks of earlier ones do not wait for it.';
comment on column kiln.member.until_number is 'The last message one who has left may see; null: is a member.';
comment on column kiln.member.posted is 'How many messages of this conversation are this member''s.';
comment on column kiln.member.delivered_number is
'Messages up to this number have reached a device of the member''s. Never falls.';
comment on column kiln.member.read_number is 'Messages up to this number were read. Never falls.';
comment on column kiln.member.seen_at is
'The last sign the member gave in this conversation: a message, delivered, read.';
comment on column kiln.member.joined_at is 'When the member came (again).';

-- What tells of a conversation goes with it.
alter table kiln.notification
    add foreign key (conversation_id) references kiln.conversation on delete cascade;

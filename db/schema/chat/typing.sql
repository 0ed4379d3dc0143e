-- Who is typing.
create unlogged table kiln.typing (
    conversation_id bigint      not null,
    account_id      bigint      not null,
    at              timestamptz not null,
    constraint typing_pkey primary key (conversation_id, account_id)
);
comment on table kiln.typing is
'When a member was last said to be typing, so that it is said at most every two seconds.';
comment on column kiln.typing.conversation_id is 'Where.';
comment on column kiln.typing.account_id is 'Who.';
comment on column kiln.typing.at is 'When it was last told.';

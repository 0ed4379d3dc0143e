-- Who wants nothing of whom.
create table kiln.block (
    account_id bigint      not null references kiln.account on delete cascade,
    blocked_id bigint      not null references kiln.account on delete cascade,
    created_at timestamptz not null default kiln_internal.now(),
    primary key (account_id, blocked_id),
    constraint block_other_check check (account_id <> blocked_id)
);
create index block_blocked_id_idx on kiln.block (blocked_id);
comment on table kiln.block is
'Who wants nothing to do with whom: neither finds the other, writes to the other in a conversation of two, or
adds the other to a group.';
comment on column kiln.block.account_id is 'Who blocks.';
comment on column kiln.block.blocked_id is 'Who is blocked; nobody tells.';
comment on column kiln.block.created_at is 'Since when.';

-- Timelines of this cluster, and positions that lie beyond a fork.

-- A promoted standby, or a physical restore to an earlier time, goes on at a new timeline: what the old one
-- told beyond the fork is gone here.
create table kiln.timeline (
    timeline int         primary key,
    xid      bigint      not null,
    noted_at timestamptz not null default kiln_internal.now()
);
comment on table kiln.timeline is
'The timelines of this cluster since the database came here, as they were first seen by a tick or by a
client''s position.';
comment on column kiln.timeline.timeline is 'Its number.';
comment on column kiln.timeline.xid is 'The next transaction of the cluster when it was seen.';
comment on column kiln.timeline.noted_at is 'When it was seen.';

create table kiln.lost_position (
    account_id bigint      primary key,
    timeline   int         not null,
    xid        bigint      not null,
    began_xid  bigint      not null,
    seen_at    timestamptz not null default kiln_internal.now()
);
comment on table kiln.lost_position is
'Accounts one of whose clients came with a position beyond the fork of a later timeline: it was told of what
does not exist here. One row each, the farthest.';
comment on column kiln.lost_position.account_id is
'Whose stream; 0: an administrator''s over all accounts. No foreign key: the account may be gone with the
rest.';
comment on column kiln.lost_position.timeline is 'The timeline of the position.';
comment on column kiln.lost_position.xid is 'The transaction up to which it was told, in that timeline.';
comment on column kiln.lost_position.began_xid is 'Where the next timeline began, as it was first seen.';
comment on column kiln.lost_position.seen_at is 'When the client came.';

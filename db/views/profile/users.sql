-- Accounts, as people read them.
create or replace view kiln.users as
select a.account_id as account,
       left(coalesce(a.handle, a.display_name, i.name), 16) as name,
       a.role,
       case when a.deleted_at is not null then 'deleted' when a.is_suspended then 'suspended'
            else 'active' end as state,
       i.ways,
       coalesce((select sum(l.amount_micros)::bigint from kiln.ledger l
                  where l.account_id = a.account_id), 0) as balance,
       a.created_at::date as since
  from (select a.* from kiln.account a order by a.account_id desc limit 1000) a
 cross join lateral (select count(*)::int as ways, min(x.subject) as name from kiln.identity x
                      where x.account_id = a.account_id) i
 order by a.account_id desc;
comment on view kiln.users is
'The newest 1,000 accounts: identity, role, suspension, and balance in micro-units (the sum of kiln.ledger).
All columns: \d+ kiln.account, kiln.identity, kiln.account_act';
comment on column kiln.users.account is 'account_id.';
comment on column kiln.users.name is 'Its handle, or name, or the subject of an identity.';
comment on column kiln.users.role is 'user or admin, where its token names no role.';
comment on column kiln.users.state is 'active, suspended or deleted.';
comment on column kiln.users.ways is 'How many identities lead to it.';
comment on column kiln.users.balance is 'Micro-units.';
comment on column kiln.users.since is 'The day it was first seen.';

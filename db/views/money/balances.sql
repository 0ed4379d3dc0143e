-- Money and providers, for people. Narrow enough for 80 columns; \x for more.
create or replace view kiln.balances as
select a.account_id as account, left(coalesce(a.handle, a.display_name), 20) as name,
       coalesce(l.balance, 0) as balance, coalesce(l.held, 0) as held, coalesce(l.charged, 0) as charged,
       coalesce(l.granted, 0) as granted
  from kiln.account a
  left join (select l.account_id, sum(l.amount_micros)::bigint as balance,
                    -sum(l.amount_micros) filter (where l.kind in ('hold', 'release'))::bigint as held,
                    -sum(l.amount_micros) filter (where l.kind = 'charge')::bigint as charged,
                    sum(l.amount_micros) filter (where l.kind = 'grant')::bigint as granted
               from kiln.ledger l group by l.account_id) l using (account_id)
 order by a.account_id;
comment on view kiln.balances is
'The money of each account in micro-units, the sum of its rows in kiln.ledger: balance = granted - charged -
held.';
comment on column kiln.balances.account is 'account_id.';
comment on column kiln.balances.name is 'Its handle or name.';
comment on column kiln.balances.balance is 'What it may still spend.';
comment on column kiln.balances.held is 'Set aside for jobs that have not ended.';
comment on column kiln.balances.charged is 'What its jobs have cost it.';
comment on column kiln.balances.granted is 'What it was given.';

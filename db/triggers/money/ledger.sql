-- What may be written to the ledger.

-- A job's rows of the ledger follow one another: first the hold, then its release, of the same amount, then a
-- charge of at most that.
create or replace function kiln_internal.guard_ledger()
returns trigger
language plpgsql
as $$
declare
    v_held bigint;
begin
    if new.kind <> 'grant' and kiln_internal.is_by_hand() then
        raise exception 'ledger: a % belongs to a job and is not written by hand', new.kind
            using errcode = 'KN001', hint = 'select kiln.grant_credit(account, micros, ''why'')';
    elsif new.kind in ('release', 'charge') then
        select -l.amount_micros into v_held from kiln.ledger l
         where l.job_id = new.job_id and l.kind = 'hold' and l.account_id = new.account_id;
        if v_held is null or new.kind = 'release' and new.amount_micros <> v_held or new.kind = 'charge'
           and -new.amount_micros > v_held then
            raise exception 'ledger: a % of % does not follow the hold of job %', new.kind, new.amount_micros,
                new.job_id
                using errcode = 'KN001', hint = coalesce('Held are ' || v_held || '.',
                                                         'Nothing is held for it.');
        end if;
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_ledger() is
'Refuses a release that is not the hold, a charge beyond it, and what is no grant from a person (KN001).';

create or replace trigger t20_insert before insert on kiln.ledger for each row
    execute function kiln_internal.guard_ledger();
alter table kiln.ledger enable always trigger t20_insert;

-- Prices and balances are numbers without a unit: another currency would change what all of them mean.
create or replace function kiln_internal.guard_currency()
returns trigger
language plpgsql
as $$
begin
    if old.currency <> new.currency and exists (select from kiln.ledger) then
        raise exception 'config: the ledger has amounts in %: they would not be amounts in %', old.currency,
            new.currency
            using errcode = 'KN001', hint = 'Another currency is another installation.';
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_currency() is
'Refuses another currency once there is money in the ledger (KN001).';
create or replace trigger t20_currency after update of currency on kiln.config for each row
    execute function kiln_internal.guard_currency();

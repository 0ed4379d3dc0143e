-- Credit that is given.
create or replace function kiln.grant_credit(p_account_id bigint, p_micros bigint, p_note text)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_ledger_id bigint;
begin
    if not exists (select from kiln.account a where a.account_id = p_account_id) then
        raise exception 'there is no account %', p_account_id using errcode = 'KN002';
    end if;
    insert into kiln.ledger (account_id, kind, amount_micros, note)
    values (p_account_id, 'grant', p_micros, p_note)
    returning ledger_id into v_ledger_id;
    return v_ledger_id;
end
$$;
comment on function kiln.grant_credit(bigint, bigint, text) is
'Gives an account credit, or takes it back with a negative amount. Returns ledger_id. KN002: there is no such
account.';

create or replace function kiln.grant_to(p_account_id bigint, p_micros bigint, p_reason text)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_ledger_id bigint;
begin
    perform kiln_internal.guard_operator(p_account_id);
    v_ledger_id := kiln.grant_credit(p_account_id, p_micros, p_reason);
    perform kiln_internal.record_account_act(p_account_id, 'grant',
                                             jsonb_build_object('ledger_id', v_ledger_id::text,
                                                                'amount', p_micros), p_reason);
    insert into kiln.event (account_id, type, data)
    values (p_account_id, 'billing.changed', jsonb_build_object('reason', 'grant'));
    return v_ledger_id;
end
$$;
comment on function kiln.grant_to(bigint, bigint, text) is
'kiln.grant_credit() with a record of the person and the reason (kiln.account_act) and an event for the
account. Returns ledger_id.';

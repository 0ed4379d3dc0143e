-- What operators do: roles and suspensions, each with its reason.
create or replace function kiln_internal.record_account_act(p_account_id bigint, p_kind kiln.account_act_kind,
                                                            p_details jsonb, p_reason text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into kiln.account_act (account_id, kind, details, reason, made_by)
    values (p_account_id, p_kind, p_details, p_reason, kiln_internal.acting_account());
end
$$;
comment on function kiln_internal.record_account_act(bigint, kiln.account_act_kind, jsonb, text) is
'Writes down what an operator did to an account.';

-- In psql the next administrator is made as the first; through the API nobody could. A token may name the
-- role itself: who has it so, and no account with it, can appoint one. Two at the same moment come one after
-- the other, and the second counts anew.
create or replace function kiln_internal.guard_last_admin(p_account_id bigint)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    if kiln_internal.acting_account() is null then
        return;
    end if;
    perform from kiln.mutex m where m.name = 'role' for update;
    if array[p_account_id] = array(
           select a.account_id from kiln.account a
            where a.role = 'admin' and not a.is_suspended
              and not exists (select from kiln.identity i
                               where i.issuer = 'kiln' and i.subject = 'operator'
                                 and i.account_id = a.account_id)) then
        raise exception 'account % is the last administrator', p_account_id
            using errcode = 'KN001', hint = 'Make another account one first.';
    end if;
end
$$;
comment on function kiln_internal.guard_last_admin(bigint) is
'Refuses who acts through the API to take the last account that is an administrator''s (KN001). The
operator''s account, with which nobody signs in, does not count.';

create or replace function kiln.set_role(p_account_id bigint, p_role kiln.role, p_reason text default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_was kiln.role;
begin
    perform kiln_internal.guard_operator(p_account_id);
    if p_account_id = kiln_internal.acting_account() and p_role = 'user' then
        raise exception 'nobody takes this from himself'
            using errcode = 'KN001', hint = 'Another administrator can, so that there is always one.';
    end if;
    if p_role = 'user' then
        perform kiln_internal.guard_last_admin(p_account_id);
    end if;
    select a.role into v_was from kiln.account a where a.account_id = p_account_id for no key update;
    update kiln.account a set role = p_role where a.account_id = p_account_id;
    -- else a stream of everybody's events stays open till the token ends
    if v_was = 'admin' and p_role <> 'admin' then
        perform kiln_internal.end_sessions(p_account_id, 'is no administrator any more');
    end if;
    perform kiln_internal.record_account_act(p_account_id, 'role', jsonb_build_object('role', p_role),
                                             p_reason);
end
$$;
comment on function kiln.set_role(bigint, kiln.role, text) is
'Makes an account an administrator, or a user again and closes its streams. It holds from the next request,
unless the token names a role itself.
KN001: one''s own role, or the last administrator''s, would become user.';

create or replace function kiln.make_admin(p_subject text, p_issuer text default null)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_issuer     text := coalesce(p_issuer, case when p_subject ~ '^0x[0-9a-fA-F]{40}$' then 'urn:kiln:wallet'
                                                 else '' end);
    v_subject    text := case v_issuer when 'urn:kiln:wallet' then lower(p_subject) else p_subject end;
    v_account_id bigint;
begin
    if kiln_internal.is_no_operator() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
    select i.account_id into v_account_id from kiln.identity i
     where i.issuer = v_issuer and i.subject = v_subject;
    if not found then
        v_account_id := kiln_internal.make_account(v_issuer, v_subject);
    end if;
    perform kiln.set_role(v_account_id, 'admin', 'kiln.make_admin()');
    return v_account_id;
end
$$;
comment on function kiln.make_admin(text, text) is
'Makes the account of a wallet (0x…) or of a token''s subject an administrator, creates the account if it is
new, and returns account_id. The first administrator of an installation:
select kiln.make_admin(''0x…''); or select kiln.make_admin(''auth0|…'', ''https://….auth0.com/'');';

create or replace function kiln.suspend(p_account_id bigint, p_reason text default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.guard_operator(p_account_id);
    if p_account_id = kiln_internal.acting_account() then
        raise exception 'nobody suspends himself' using errcode = 'KN001';
    end if;
    perform kiln_internal.guard_last_admin(p_account_id);
    update kiln.account a set is_suspended = true where a.account_id = p_account_id;
    perform kiln_internal.end_sessions(p_account_id, 'the account was suspended');
    perform kiln_internal.record_account_act(p_account_id, 'suspend', '{}', p_reason);
end
$$;
comment on function kiln.suspend(bigint, text) is
'Refuses all requests of an account and closes its streams. Its jobs continue. KN001: oneself, or the last
administrator.';

create or replace function kiln.unsuspend(p_account_id bigint, p_reason text default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.guard_operator(p_account_id);
    update kiln.account a set is_suspended = false where a.account_id = p_account_id;
    perform kiln_internal.record_account_act(p_account_id, 'unsuspend', '{}', p_reason);
end
$$;
comment on function kiln.unsuspend(bigint, text) is 'Ends the suspension of an account.';

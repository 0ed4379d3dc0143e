-- Accounts, for administrators.
create or replace function kiln_internal.render_account_for_admin(p_account kiln.account)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return kiln_internal.render_account(p_account)
        || jsonb_build_object('deleted_at', kiln_internal.render_time(p_account.deleted_at),
                              'identities', coalesce((select jsonb_agg(kiln_internal.render_identity(i)
                                                                       order by i.identity_id)
                                                        from kiln.identity i
                                                       where i.account_id = p_account.account_id), '[]'));
end
$$;
comment on function kiln_internal.render_account_for_admin(kiln.account) is
'An account as administrators see it: with its identities and its end.';

create or replace function kiln_api.list_accounts(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_page record;
    v_ids  bigint[];
begin
    perform kiln_internal.require_admin(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_ids := kiln_internal.find_accounts(nullif(p_query ->> 'q', ''), v_page.before, v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_account_for_admin(a) order by a.account_id desc)
           from kiln.account a where a.account_id = any (v_ids[:v_page.page_limit])),
        kiln_internal.last_of_page(v_ids, v_page.page_limit));
end
$$;
comment on function kiln_api.list_accounts(bigint, jsonb, jsonb, text) is
'GET /admin/accounts?q=&limit=&cursor=: accounts, newest first; q is an id, a wallet or subject, or the
beginning of a handle or email.';

create or replace function kiln_internal.show_account(p_account_id bigint)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform kiln_internal.guard_operator(p_account_id);
    return (select kiln_internal.render_account_for_admin(a) from kiln.account a
             where a.account_id = p_account_id);
end
$$;
comment on function kiln_internal.show_account(bigint) is
'The answer of the routes by which administrators change an account.';

create or replace function kiln_api.set_account_role(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id   bigint;
    v_body jsonb := kiln_internal.parse_body(p_body);
begin
    perform kiln_internal.require_admin(p_actor);
    v_id := kiln_internal.parse_id(p_path ->> 'id');
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{role,reason}')
        || case when kiln_internal.plain_field(v_body, 'role') in ('user', 'admin') then '[]'
                else kiln_internal.field_error('/role', 'must be user or admin') end
        || kiln_internal.check_reason(v_body, false));
    perform kiln.set_role(v_id, (v_body ->> 'role')::kiln.role, v_body ->> 'reason');
    return kiln_internal.show_account(v_id);
end
$$;
comment on function kiln_api.set_account_role(bigint, jsonb, jsonb, text) is
'POST /admin/accounts/{id}/role: {role (user, admin), reason?}. KN001: to make oneself a user.';

create or replace function kiln_internal.check_reason(p_body jsonb, p_is_needed boolean)
returns jsonb
language sql immutable
return case when not p_is_needed and not p_body ? 'reason' then '[]'
            when jsonb_typeof(p_body -> 'reason') = 'string' and length(p_body ->> 'reason') between 1 and 500
                then '[]'
            else kiln_internal.field_error('/reason', 'must be a text of 1 to 500 characters') end;
comment on function kiln_internal.check_reason(jsonb, boolean) is 'What is wrong with an operator''s reason.';

create or replace function kiln_api.suspend_account(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id   bigint;
    v_body jsonb := kiln_internal.parse_body(p_body);
begin
    perform kiln_internal.require_admin(p_actor);
    v_id := kiln_internal.parse_id(p_path ->> 'id');
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{reason}')
                                        || kiln_internal.check_reason(v_body, false));
    perform kiln.suspend(v_id, v_body ->> 'reason');
    return kiln_internal.show_account(v_id);
end
$$;
comment on function kiln_api.suspend_account(bigint, jsonb, jsonb, text) is
'POST /admin/accounts/{id}/suspend: {reason?}; its next call is refused, its streams close.';

create or replace function kiln_api.unsuspend_account(p_actor bigint, p_path jsonb, p_query jsonb,
                                                      p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id   bigint;
    v_body jsonb := kiln_internal.parse_body(p_body);
begin
    perform kiln_internal.require_admin(p_actor);
    v_id := kiln_internal.parse_id(p_path ->> 'id');
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{reason}')
                                        || kiln_internal.check_reason(v_body, false));
    perform kiln.unsuspend(v_id, v_body ->> 'reason');
    return kiln_internal.show_account(v_id);
end
$$;
comment on function kiln_api.unsuspend_account(bigint, jsonb, jsonb, text) is
'POST /admin/accounts/{id}/unsuspend: {reason?}.';

create or replace function kiln_api.grant_account(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id     bigint;
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_amount jsonb := v_body -> 'amount';
begin
    perform kiln_internal.require_admin(p_actor);
    v_id := kiln_internal.parse_id(p_path ->> 'id');
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{amount,reason}')
                                        || kiln_internal.check_reason(v_body, true)
        || case when jsonb_typeof(v_amount) = 'number' and v_amount::text ~ '^-?[0-9]{1,15}$'
                and v_amount <> '0' then '[]'
                else kiln_internal.field_error('/amount',
                                               'must be a whole number of micro-units, not 0') end);
    if kiln_internal.begin_idempotent(p_actor, 'grant_account',
                                      (p_path ->> 'id') || ' ' || p_body) is null then
        perform kiln_internal.end_idempotent(p_actor, 'grant_account',
                                             kiln.grant_to(v_id, (v_amount #>> '{}')::bigint,
                                                           v_body ->> 'reason'));
    end if;
    return kiln_internal.show_account(v_id);
end
$$;
comment on function kiln_api.grant_account(bigint, jsonb, jsonb, text) is
'POST /admin/accounts/{id}/grant: {amount (micro-units; negative takes back), reason}; an Idempotency-Key
makes a repeat harmless.';

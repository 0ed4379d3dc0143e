-- An account as its owner and administrators see it.
create or replace function kiln_internal.render_account(p_account kiln.account)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return jsonb_build_object(
        'id', p_account.account_id::text, 'handle', p_account.handle, 'display_name', p_account.display_name,
        'email', p_account.email, 'email_verified', p_account.email_verified_at is not null,
                              'notify_email', p_account.notify_email,
                              'show_presence', p_account.show_presence, 'role', p_account.role,
                              'is_suspended', p_account.is_suspended,
        'plan', null,
        'balance', jsonb_build_object('amount', (select coalesce(sum(l.amount_micros), 0)::bigint
                                                   from kiln.ledger l
                                                  where l.account_id = p_account.account_id),
                                      'currency', (select c.currency from kiln.config c)),
        'created_at', kiln_internal.render_time(p_account.created_at));
end
$$;
comment on function kiln_internal.render_account(kiln.account) is
'An account as its owner and administrators see it; the balance is the sum of its ledger, in micro-units.';

-- A reserved name is refused alone, and with digits and underscores around it; one that is reserved as a part
-- also between underscores.
create or replace function kiln_internal.check_handle(p_handle text)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_letters text := translate(p_handle, '0123456789', '');
begin
    if kiln_internal.is_no_operator()
       and exists (select from kiln.reserved_handle r
                    where r.name = replace(v_letters, '_', '')
                       or (r.is_part and r.name = any (string_to_array(v_letters, '_')))) then
        return kiln_internal.field_error('/handle', 'is reserved for those who run this site');
    end if;
    return '[]';
end
$$;
comment on function kiln_internal.check_handle(text) is
'What is wrong with a handle that a person chooses, beyond the rules of the column: kiln.reserved_handle.
Administrators, and people in psql, may give such a handle.';

-- The rules of each field are the table's constraints; here they get words.
create or replace function kiln.update_account(p_account_id bigint, p_changes jsonb)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_errors jsonb := kiln_internal.unknown_fields(p_changes,
                                                   '{handle,display_name,email,notify_email,show_presence}');
    v_before kiln.account;
    v_after  kiln.account;
    v_rule   text;
begin
    perform kiln_internal.guard_own(p_account_id);
    select v_errors || coalesce(jsonb_agg(jsonb_build_object('field', '/' || e.key, 'message',
               case when e.key in ('notify_email', 'show_presence') then 'must be true or false'
                    else 'must be a string or null' end) order by e.key), '[]')
      into v_errors
      from jsonb_each(p_changes) e
     where case when e.key in ('notify_email', 'show_presence') then jsonb_typeof(e.value) <> 'boolean'
                else jsonb_typeof(e.value) not in ('string', 'null') end
       and e.key in ('handle', 'display_name', 'email', 'notify_email', 'show_presence');
    perform kiln_internal.refuse_fields(v_errors || kiln_internal.check_handle(p_changes ->> 'handle'));
    if p_changes ?| '{email,notify_email}'
       and not coalesce('read' = any (kiln_internal.acting_scopes()), true) then
        raise exception 'mail tells what the account makes: to change email or notify_email needs the scope '
                        'read too' using errcode = 'KN004';
    end if;
    if p_changes ? 'show_presence' then
        perform kiln_internal.show_presence(p_account_id, (p_changes ->> 'show_presence')::boolean);
    end if;
    select a.* into v_before from kiln.account a where a.account_id = p_account_id for no key update;
    update kiln.account a
       set handle       = case when p_changes ? 'handle' then p_changes ->> 'handle' else a.handle end,
           display_name = case when p_changes ? 'display_name' then p_changes ->> 'display_name'
                               else a.display_name end,
           email        = case when p_changes ? 'email' then p_changes ->> 'email' else a.email end,
           notify_email = case when p_changes ? 'notify_email' then (p_changes ->> 'notify_email')::boolean
                               else a.notify_email end
     where a.account_id = p_account_id
    returning a.* into v_after;
    if lower(v_after.email) is distinct from lower(v_before.email) then
        -- where it cannot be sent now, POST /me/email/confirmation asks again, and says why not
        perform kiln_internal.make_confirmation(p_account_id);
    elsif v_after.notify_email and not v_before.notify_email and v_after.email_verified_at is not null then
        -- who turned it off has proved to read it, and wants it again
        perform kiln.unsuppress_mail(v_after.email);
    end if;
exception
    when check_violation then
        get stacked diagnostics v_rule = constraint_name;
        perform kiln_internal.refuse_fields(case v_rule
            when 'account_handle_check' then kiln_internal.field_error('/handle',
                                                                       'must be 3 to 30 of a-z, 0-9 and _')
            when 'account_display_name_check' then kiln_internal.field_error('/display_name',
                                          'must be one line of 1 to 80 characters, not all of them invisible')
            when 'account_email_check' then kiln_internal.field_error('/email',
                                       'must be an address of mail, of ASCII letters, in a domain with a dot')
            when 'account_notify_needs_email_check' then kiln_internal.field_error('/notify_email',
                                                        'needs an email')
            else kiln_internal.field_error('', 'breaks the rule ' || v_rule) end);
    when unique_violation then
        perform kiln_internal.refuse_fields(kiln_internal.field_error('/handle', 'is another''s'));
end
$$;
comment on function kiln.update_account(bigint, jsonb) is
'Changes handle, display_name, email (null empties them), notify_email and show_presence of an account. A new
email is sent a confirmation.
KN003: the message names the field that is wrong.';

create or replace function kiln_internal.find_accounts(p_search text, p_before bigint, p_limit int)
returns bigint[]
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_before bigint := coalesce(p_before, 9223372036854775807);
begin
    if kiln_internal.is_no_operator() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
    if p_search is null then
        return array(select a.account_id from kiln.account a where a.account_id < v_before
                      order by a.account_id desc limit p_limit);
    end if;
    return array(
        select f.account_id
          from (select a.account_id from kiln.account a
                 where a.account_id = case when p_search ~ '^[0-9]{1,18}$' then p_search::bigint end
                union
                select a.account_id from kiln.account a where a.handle ~>=~ lower(p_search)
                   and a.handle ~<~ (lower(p_search) || '~')
                union
                select a.account_id from kiln.account a where lower(a.email) ~>=~ lower(p_search)
                   and lower(a.email) ~<~ (lower(p_search) || '~') and a.email is not null
                union
                select i.account_id from kiln.identity i where i.subject in (p_search, lower(p_search))) f
         where f.account_id < v_before
         order by f.account_id desc
         limit p_limit);
end
$$;
comment on function kiln_internal.find_accounts(text, bigint, int) is
'Accounts, newest first, below p_before: all, or those with this id, subject, or beginning of handle or
email.';

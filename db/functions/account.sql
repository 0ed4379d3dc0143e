-- Accounts: their profile, the ways into them, their end, and what operators do to them. The API calls these for who acts, people
-- type them: whoever acts through the API may do this to its own account only, or is an administrator; in psql nobody acts.
create or replace function kiln_internal.guard_own(p_account_id bigint)
returns void
language plpgsql stable
set search_path = ''
as $$
begin
    if kiln_internal.acting_account() is distinct from p_account_id and kiln_internal.is_no_operator() then
        raise exception 'this is another''s account' using errcode = 'KN004';
    end if;
    if not exists (select from kiln.account a where a.account_id = p_account_id) then
        raise exception 'there is no account %', p_account_id using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln_internal.guard_own(bigint) is 'Refuses who acts through the API on another''s account (KN004), and an account that is not there (KN002).';

create or replace function kiln_internal.guard_operator(p_account_id bigint)
returns void
language plpgsql stable
set search_path = ''
as $$
begin
    if kiln_internal.is_no_operator() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
    if not exists (select from kiln.account a where a.account_id = p_account_id and a.deleted_at is null) then
        raise exception 'there is no account %', p_account_id using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln_internal.guard_operator(bigint) is 'Refuses who acts through the API and is no administrator (KN004), and an account that is not there any more (KN002).';

create or replace function kiln_internal.render_account(p_account kiln.account)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return jsonb_build_object(
        'id', p_account.account_id::text, 'handle', p_account.handle, 'display_name', p_account.display_name,
        'email', p_account.email, 'email_verified', p_account.email_verified_at is not null, 'notify_email', p_account.notify_email, 'show_presence', p_account.show_presence, 'role', p_account.role, 'is_suspended', p_account.is_suspended,
        'plan', null,
        'balance', jsonb_build_object('amount', (select coalesce(sum(l.amount_micros), 0)::bigint from kiln.ledger l where l.account_id = p_account.account_id),
                                      'currency', (select c.currency from kiln.config c)),
        'created_at', kiln_internal.render_time(p_account.created_at));
end
$$;
comment on function kiln_internal.render_account(kiln.account) is 'An account as its owner and administrators see it; the balance is the sum of its ledger, in micro-units.';

-- A reserved name is refused alone, and with digits and underscores around it; one that is reserved as a part also between underscores.
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
                    where r.name = replace(v_letters, '_', '') or (r.is_part and r.name = any (string_to_array(v_letters, '_')))) then
        return kiln_internal.field_error('/handle', 'is reserved for those who run this site');
    end if;
    return '[]';
end
$$;
comment on function kiln_internal.check_handle(text) is
'What is wrong with a handle that a person chooses, beyond the rules of the column: kiln.reserved_handle. Administrators, and people in psql, may give such a handle.';

-- The rules of each field are the table's constraints; here they get words.
create or replace function kiln.update_account(p_account_id bigint, p_changes jsonb)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_errors jsonb := kiln_internal.unknown_fields(p_changes, '{handle,display_name,email,notify_email,show_presence}');
    v_before kiln.account;
    v_after  kiln.account;
    v_rule   text;
begin
    perform kiln_internal.guard_own(p_account_id);
    select v_errors || coalesce(jsonb_agg(jsonb_build_object('field', '/' || e.key, 'message',
               case when e.key in ('notify_email', 'show_presence') then 'must be true or false' else 'must be a string or null' end) order by e.key), '[]')
      into v_errors
      from jsonb_each(p_changes) e
     where case when e.key in ('notify_email', 'show_presence') then jsonb_typeof(e.value) <> 'boolean' else jsonb_typeof(e.value) not in ('string', 'null') end
       and e.key in ('handle', 'display_name', 'email', 'notify_email', 'show_presence');
    perform kiln_internal.refuse_fields(v_errors || kiln_internal.check_handle(p_changes ->> 'handle'));
    if p_changes ?| '{email,notify_email}' and not coalesce('read' = any (kiln_internal.acting_scopes()), true) then
        raise exception 'mail tells what the account makes: to change email or notify_email needs the scope read too' using errcode = 'KN004';
    end if;
    if p_changes ? 'show_presence' then
        perform kiln_internal.show_presence(p_account_id, (p_changes ->> 'show_presence')::boolean);
    end if;
    select a.* into v_before from kiln.account a where a.account_id = p_account_id for no key update;
    update kiln.account a
       set handle       = case when p_changes ? 'handle' then p_changes ->> 'handle' else a.handle end,
           display_name = case when p_changes ? 'display_name' then p_changes ->> 'display_name' else a.display_name end,
           email        = case when p_changes ? 'email' then p_changes ->> 'email' else a.email end,
           notify_email = case when p_changes ? 'notify_email' then (p_changes ->> 'notify_email')::boolean else a.notify_email end
     where a.account_id = p_account_id
    returning a.* into v_after;
    if lower(v_after.email) is distinct from lower(v_before.email) then
        perform kiln_internal.make_confirmation(p_account_id);       -- where it cannot be sent now, POST /me/email/confirmation asks again, and says why not
    elsif v_after.notify_email and not v_before.notify_email and v_after.email_verified_at is not null then
        perform kiln.unsuppress_mail(v_after.email);             -- who turned it off has proved to read it, and wants it again
    end if;
exception
    when check_violation then
        get stacked diagnostics v_rule = constraint_name;
        perform kiln_internal.refuse_fields(case v_rule
            when 'account_handle_check' then kiln_internal.field_error('/handle', 'must be 3 to 30 of a-z, 0-9 and _')
            when 'account_display_name_check' then kiln_internal.field_error('/display_name', 'must be one line of 1 to 80 characters, not all of them invisible')
            when 'account_email_check' then kiln_internal.field_error('/email', 'must be an address of mail, of ASCII letters, in a domain with a dot')
            when 'account_notify_needs_email_check' then kiln_internal.field_error('/notify_email', 'needs an email')
            else kiln_internal.field_error('', 'breaks the rule ' || v_rule) end);
    when unique_violation then
        perform kiln_internal.refuse_fields(kiln_internal.field_error('/handle', 'is another''s'));
end
$$;
comment on function kiln.update_account(bigint, jsonb) is
'Changes handle, display_name, email (null empties them), notify_email and show_presence of an account. A new
email is sent a confirmation.
KN003: the message names the field that is wrong.';

-- Sessions ---------------------------------------------------------------------------------------------------------------

create or replace function kiln_internal.end_sessions(p_account_id bigint, p_reason text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    delete from kiln.stream_ticket t where t.account_id = p_account_id;
    insert into kiln.event (account_id, type, data) values (p_account_id, 'session.ended', jsonb_build_object('reason', p_reason));
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_internal.end_sessions(bigint, text) is 'Has every server close the account''s streams, and forgets its tickets; who still may comes back at once.';

create or replace function kiln_internal.after_tokens_of(p_account_id bigint)
returns timestamptz
language sql stable
return (select greatest(kiln_internal.now(), a.tokens_from,
                        (select max(i.token_issued_at) from kiln.identity i where i.account_id = a.account_id) + interval '1 microsecond')
          from kiln.account a where a.account_id = p_account_id);
comment on function kiln_internal.after_tokens_of(bigint) is
'Now, or the first moment after every token that sign_in() issued for an account, if a clock was set back or another call was quicker.';

create or replace function kiln.sign_out_everywhere(p_account_id bigint)
returns timestamptz
language plpgsql security definer
set search_path = ''
as $$
declare
    v_from timestamptz;
begin
    perform kiln_internal.guard_own(p_account_id);
    perform from kiln.identity i where i.account_id = p_account_id order by i.identity_id for no key update;   -- as sign_in() holds it
    v_from := kiln_internal.after_tokens_of(p_account_id);
    update kiln.account a set tokens_from = v_from where a.account_id = p_account_id;
    perform kiln_internal.end_sessions(p_account_id, 'signed out everywhere');
    return v_from;
end
$$;
comment on function kiln.sign_out_everywhere(bigint) is
'Refuses all tokens of an account that were issued before now, and closes its streams. API keys stay valid.';

-- Ways in ----------------------------------------------------------------------------------------------------------------

create or replace function kiln_internal.make_nonce()
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_nonce   text := encode(kiln_extensions.gen_random_bytes(16), 'hex');
    v_expires timestamptz := kiln_internal.now() + (select c.nonce_ttl from kiln.config c);
begin
    insert into kiln.nonce (nonce_hash, expires_at) values (sha256(convert_to(v_nonce, 'UTF8')), v_expires);
    return json_build_object('nonce', v_nonce, 'expires_at', kiln_internal.render_time(v_expires));
end
$$;
comment on function kiln_internal.make_nonce() is 'A random nonce to be signed in a wallet; only its hash is kept, until it is used or expires.';

create or replace function kiln_internal.consume_nonce(p_nonce text)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    delete from kiln.nonce n where n.nonce_hash = sha256(convert_to(p_nonce, 'UTF8')) and n.expires_at > kiln_internal.now();
    if not found then       -- of two at the same moment the second waits here, and then finds none
        perform kiln_internal.refuse_fields(kiln_internal.field_error('/message', 'nonce: is not one of ours, was used, or has expired'));
    end if;
end
$$;
comment on function kiln_internal.consume_nonce(text) is 'Uses a nonce up. KN003: unknown, used or expired, which are not told apart.';

create or replace function kiln_internal.sign_in(p_address text, p_nonce text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account   kiln.account;
    v_issued_at timestamptz;
    v_ttl       interval := (select c.session_ttl from kiln.config c);
begin
    perform kiln_internal.consume_nonce(p_nonce);
    -- The identity's row is held from here on: whoever ends the account at the same moment does it before this token, and then
    -- there is no row, or after it, and then sees when it was issued.
    perform from kiln.identity i where i.issuer = 'urn:kiln:wallet' and i.subject = p_address for no key update;
    if not found then
        perform kiln_internal.make_account('urn:kiln:wallet', p_address);
    end if;
    select a.* into v_account from kiln.identity i join kiln.account a using (account_id) where i.issuer = 'urn:kiln:wallet' and i.subject = p_address;
    if v_account.is_suspended then
        raise exception 'this account is suspended' using errcode = 'KN009';
    end if;
    perform kiln_internal.spend_rate(v_account.account_id, 'login');
    -- To the microsecond (a NumericDate may have a fraction, RFC 7519, 2), and not before the moment from which its tokens hold.
    v_issued_at := greatest(kiln_internal.now(), v_account.tokens_from);
    update kiln.identity i set token_issued_at = greatest(i.token_issued_at, v_issued_at)
     where i.issuer = 'urn:kiln:wallet' and i.subject = p_address;
    return json_build_object(
        'claims', json_build_object('iss', 'urn:kiln:wallet', 'sub', p_address, 'iat', extract(epoch from v_issued_at),
                                    'exp', ceil(extract(epoch from v_issued_at + v_ttl))::bigint,
                                    'jti', encode(kiln_extensions.gen_random_bytes(16), 'hex')),
        'expires_at', kiln_internal.render_time(to_timestamp(ceil(extract(epoch from v_issued_at + v_ttl)))),
        'account', kiln_internal.render_account(v_account));
end
$$;
comment on function kiln_internal.sign_in(text, text) is
'Signs a wallet in whose signature was checked (address in lower case): uses the nonce up, makes the account when it is first seen, and returns the claims
of its token. KN003: the nonce; KN007: too often; KN009: suspended.';

create or replace function kiln_internal.render_identity(p_identity kiln.identity)
returns jsonb
language sql stable
return jsonb_build_object('id', p_identity.identity_id::text, 'kind', case p_identity.issuer when 'urn:kiln:wallet' then 'wallet' else 'token' end,
                          'issuer', p_identity.issuer, 'subject', p_identity.subject, 'created_at', kiln_internal.render_time(p_identity.created_at));
comment on function kiln_internal.render_identity(kiln.identity) is 'A way into an account: {id, kind (wallet, token), issuer, subject, created_at}.';

create or replace function kiln.link_identity(p_account_id bigint, p_issuer text, p_subject text, p_issued_at numeric default null)
returns kiln.identity
language plpgsql security definer
set search_path = ''
as $$
declare
    v_identity kiln.identity;
begin
    perform kiln_internal.guard_own(p_account_id);
    if kiln_internal.is_revoked(p_issuer, p_subject, p_issued_at) then
        raise exception 'this token is older than the moment its identity was unlinked: get a new one' using errcode = 'KN009';
    end if;
    insert into kiln.identity (issuer, subject, account_id) values (p_issuer, p_subject, p_account_id)
    on conflict (issuer, subject) do nothing returning * into v_identity;
    if not found then
        select * into v_identity from kiln.identity i where i.issuer = p_issuer and i.subject = p_subject;
        if v_identity.account_id is distinct from p_account_id then
            raise exception 'this % leads to another account already', case p_issuer when 'urn:kiln:wallet' then 'wallet' else 'identity' end
                using errcode = 'KN001', hint = 'Sign in with it, and unlink it there or delete that account; then it can be linked here.';
        end if;
    end if;
    return v_identity;
end
$$;
comment on function kiln.link_identity(bigint, text, text, numeric) is
'Links an identity (a wallet, or a token''s issuer and subject) to an account. KN001: it belongs to another
account.';

create or replace function kiln.unlink_identity(p_account_id bigint, p_identity_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_identity kiln.identity;
begin
    perform kiln_internal.guard_own(p_account_id);
    perform from kiln.account a where a.account_id = p_account_id for no key update;      -- two at once must not remove the last two
    select * into v_identity from kiln.identity i where i.identity_id = p_identity_id and i.account_id = p_account_id for update;
    if not found then
        raise exception 'there is no such identity' using errcode = 'KN002';
    end if;
    if not exists (select from kiln.identity i where i.account_id = p_account_id and i.identity_id <> p_identity_id) then
        raise exception 'this is the last way into the account: link another one first' using errcode = 'KN001';
    end if;
    perform kiln_internal.revoke_identity(v_identity);
    perform kiln_internal.end_sessions(p_account_id, 'an identity was unlinked');
end
$$;
comment on function kiln.unlink_identity(bigint, bigint) is
'Unlinks an identity from an account and refuses its tokens. KN001: it is the last identity. KN002: it is not
the account''s.';

create or replace function kiln_internal.revoke_identity(p_identity kiln.identity)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into kiln.revoked_identity (identity_hash, revoked_at)
    values (kiln_internal.identity_hash(p_identity.issuer, p_identity.subject), kiln_internal.after_tokens_of(p_identity.account_id))
    on conflict (identity_hash) do update set revoked_at = greatest(revoked_identity.revoked_at, excluded.revoked_at);
    delete from kiln.identity i where i.identity_id = p_identity.identity_id;
end
$$;
comment on function kiln_internal.revoke_identity(kiln.identity) is 'Removes an identity, and remembers by a hash that its tokens of today must not make an account.';

-- The end ----------------------------------------------------------------------------------------------------------------

-- What is told at once: nobody gets in, nothing of the person is left in the row, streams close. What takes longer (jobs that run, paid
-- calls that must be followed to their end, many files) is done a batch at a time, here and then by the tick.
create or replace function kiln.delete_account(p_account_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_identity kiln.identity;
begin
    perform kiln_internal.guard_own(p_account_id);
    update kiln.account a
       set is_suspended = true, deleted_at = kiln_internal.now(), role = 'user', handle = null, display_name = null, notify_email = false, email = null
     where a.account_id = p_account_id and a.deleted_at is null;
    if not found then
        return;
    end if;
    for v_identity in select * from kiln.identity i where i.account_id = p_account_id order by i.identity_id for update
    loop
        perform kiln_internal.revoke_identity(v_identity);
    end loop;
    delete from kiln.webhook_endpoint e where e.account_id = p_account_id;
    delete from kiln.delivery d where d.account_id = p_account_id;
    perform kiln_internal.end_sessions(p_account_id, 'the account was deleted');
    perform kiln_internal.purge_account(p_account_id, 100);
end
$$;
comment on function kiln.delete_account(bigint) is
'Deletes an account for good. Its jobs, files and memberships go, at the latest when its last paid call is
settled. An empty row and the ledger stay.';

create or replace function kiln_internal.purge_account(p_account_id bigint, p_limit int)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_id           bigint;
    v_state        kiln.job_state;
    v_conversation kiln.conversation;
begin
    if not exists (select from kiln.account a where a.account_id = p_account_id and a.deleted_at is not null) then
        raise exception 'account % was not deleted', p_account_id using errcode = 'KN001';
    end if;
    for v_conversation in
        select c.* from kiln.member m join kiln.conversation c using (conversation_id)
         where m.account_id = p_account_id and m.until_number is null order by c.conversation_id limit p_limit for update of c
    loop
        perform kiln_internal.leave_conversation(v_conversation, p_account_id, p_account_id);
    end loop;
    -- Not those that are cancelled already and are their runner's, or their provider's, for up to a day: a batch of them kept all later ones.
    for v_id, v_state in
        select j.job_id, j.state from kiln.job j
         where j.account_id = p_account_id and case when j.finished_at is null then j.state <> 'cancelling' else kiln_internal.unsettled_calls(j.job_id) = '{}' end
         order by j.job_id limit p_limit
    loop
        perform kiln_internal.drop_job(v_id, v_state);
    end loop;
    delete from kiln.project p where p.account_id = p_account_id and not exists (select from kiln.image i where i.project_id = p.project_id);
    delete from kiln.media m
     where m.media_id in (select x.media_id from kiln.media x
                           where x.account_id = p_account_id and x.job_id is null and not exists (select from kiln.picture c where c.media_id = x.media_id)
                           order by x.media_id limit p_limit);
    delete from kiln.notification n where n.account_id = p_account_id;
    delete from kiln.announcement a where a.account_id = p_account_id;
    delete from kiln.api_key k where k.account_id = p_account_id;
    delete from kiln.block b where b.account_id = p_account_id or b.blocked_id = p_account_id;
    delete from kiln.invite i where i.account_id = p_account_id;
    delete from kiln.share s where s.account_id = p_account_id;
    delete from kiln.idempotency i where i.account_id = p_account_id;
    delete from kiln.job_ends_read r where r.account_id = p_account_id;
    delete from kiln.account_rate r where r.account_id = p_account_id;
    delete from kiln.presence p where p.account_id = p_account_id;
    if exists (select from kiln.job j where j.account_id = p_account_id) or exists (select from kiln.media m where m.account_id = p_account_id)
       or exists (select from kiln.member m where m.account_id = p_account_id and m.until_number is null) then
        return false;
    end if;
    update kiln.account a set purged_at = kiln_internal.now() where a.account_id = p_account_id;
    return true;
end
$$;
comment on function kiln_internal.purge_account(bigint, int) is
'Removes a batch of what a deleted account still has; true when nothing is left. Jobs that run are cancelled and wait for their runner, those with a paid call
that is not settled for its end. KN001: it was not deleted.';

-- In no order, as kiln_internal.purge_projects(): the first so many may all be waiting for a provider, and the others would wait for them.
create or replace function kiln_internal.purge_accounts(p_limit int)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account_id bigint;
begin
    for v_account_id in
        select a.account_id from kiln.account a where a.deleted_at is not null and a.purged_at is null order by random() limit p_limit
    loop
        perform kiln_internal.purge_account(v_account_id, 100);
    end loop;
end
$$;
comment on function kiln_internal.purge_accounts(int) is 'The tick''s part of deleting accounts.';

-- Operators --------------------------------------------------------------------------------------------------------------

create or replace function kiln_internal.record_account_act(p_account_id bigint, p_kind kiln.account_act_kind, p_details jsonb, p_reason text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into kiln.account_act (account_id, kind, details, reason, made_by) values (p_account_id, p_kind, p_details, p_reason, kiln_internal.acting_account());
end
$$;
comment on function kiln_internal.record_account_act(bigint, kiln.account_act_kind, jsonb, text) is 'Writes down what an operator did to an account.';

-- In psql the next administrator is made as the first; through the API nobody could. A token may name the role itself: who has it so, and no account
-- with it, can appoint one. Two at the same moment come one after the other, and the second counts anew.
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
              and not exists (select from kiln.identity i where i.issuer = 'kiln' and i.subject = 'operator' and i.account_id = a.account_id)) then
        raise exception 'account % is the last administrator', p_account_id using errcode = 'KN001', hint = 'Make another account one first.';
    end if;
end
$$;
comment on function kiln_internal.guard_last_admin(bigint) is
'Refuses who acts through the API to take the last account that is an administrator''s (KN001). The operator''s account, with which nobody signs in, does not count.';

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
        raise exception 'nobody takes this from himself' using errcode = 'KN001', hint = 'Another administrator can, so that there is always one.';
    end if;
    if p_role = 'user' then
        perform kiln_internal.guard_last_admin(p_account_id);
    end if;
    select a.role into v_was from kiln.account a where a.account_id = p_account_id for no key update;
    update kiln.account a set role = p_role where a.account_id = p_account_id;
    if v_was = 'admin' and p_role <> 'admin' then       -- else a stream of everybody's events stays open till the token ends
        perform kiln_internal.end_sessions(p_account_id, 'is no administrator any more');
    end if;
    perform kiln_internal.record_account_act(p_account_id, 'role', jsonb_build_object('role', p_role), p_reason);
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
    v_issuer     text := coalesce(p_issuer, case when p_subject ~ '^0x[0-9a-fA-F]{40}$' then 'urn:kiln:wallet' else '' end);
    v_subject    text := case v_issuer when 'urn:kiln:wallet' then lower(p_subject) else p_subject end;
    v_account_id bigint;
begin
    if kiln_internal.is_no_operator() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
    select i.account_id into v_account_id from kiln.identity i where i.issuer = v_issuer and i.subject = v_subject;
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
    perform kiln_internal.record_account_act(p_account_id, 'grant', jsonb_build_object('ledger_id', v_ledger_id::text, 'amount', p_micros), p_reason);
    insert into kiln.event (account_id, type, data) values (p_account_id, 'billing.changed', jsonb_build_object('reason', 'grant'));
    return v_ledger_id;
end
$$;
comment on function kiln.grant_to(bigint, bigint, text) is
'kiln.grant_credit() with a record of the person and the reason (kiln.account_act) and an event for the
account. Returns ledger_id.';

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
        return array(select a.account_id from kiln.account a where a.account_id < v_before order by a.account_id desc limit p_limit);
    end if;
    return array(
        select f.account_id
          from (select a.account_id from kiln.account a where a.account_id = case when p_search ~ '^[0-9]{1,18}$' then p_search::bigint end
                union
                select a.account_id from kiln.account a where a.handle ~>=~ lower(p_search) and a.handle ~<~ (lower(p_search) || '~')
                union
                select a.account_id from kiln.account a where lower(a.email) ~>=~ lower(p_search) and lower(a.email) ~<~ (lower(p_search) || '~') and a.email is not null
                union
                select i.account_id from kiln.identity i where i.subject in (p_search, lower(p_search))) f
         where f.account_id < v_before
         order by f.account_id desc
         limit p_limit);
end
$$;
comment on function kiln_internal.find_accounts(text, bigint, int) is 'Accounts, newest first, below p_before: all, or those with this id, subject, or beginning of handle or email.';

-- Who acts. The server passes what the verified token says; the account is set for this transaction only, and
-- row-level security reads it there as a second wall.
create or replace function kiln_api.act_as(p_context text)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
    v_context    jsonb := p_context::jsonb;
    v_account_id bigint;
    v_role       text := v_context ->> 'role';
    v_suspended  boolean;
    v_from       timestamptz;
    v_key        record;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if v_context ? 'key' then
        v_key := kiln_internal.use_key(v_context ->> 'key');
        perform set_config('kiln.api_key_id', v_key.api_key_id::text, true);
        return kiln_internal.begin_acting(v_context, v_key.account_id, v_key.role, v_key.scopes);
    end if;
    perform set_config('kiln.api_key_id', '', true);
    -- who holds a stream open with it: as its maker, with the scopes it was made with
    if v_context ? 'ticket' then
        v_account_id := (kiln_api.use_ticket(v_context ->> 'ticket')).account_id;
        return kiln_internal.begin_acting(v_context, v_account_id, 'user',
                                 (select t.scopes from kiln.stream_ticket t
                                   where t.ticket_hash = sha256(convert_to(v_context ->> 'ticket', 'UTF8'))));
    end if;
    if v_context ->> 'sub' is null then
        perform set_config('kiln.account_id', '', true), set_config('kiln.role', 'nobody', true),
               set_config('kiln.scopes', '', true);
        return null;
    elsif length(v_context ->> 'sub') not between 1 and 255 then
        raise exception 'the token''s subject must have 1 to 255 characters' using errcode = 'KN009';
    elsif v_context ->> 'iss' = 'urn:kiln:wallet' and v_context ->> 'sub' !~ '^0x[0-9a-f]{40}$' then
        raise exception 'a token of a wallet must have its address in small letters as subject'
            using errcode = 'KN009';
    end if;
    select a.account_id, a.is_suspended, coalesce(v_role, a.role::text), a.tokens_from
      into v_account_id, v_suspended, v_role, v_from
      from kiln.identity i
      join kiln.account a using (account_id)
     where i.issuer = coalesce(v_context ->> 'iss', '') and i.subject = v_context ->> 'sub';
    if not found then
        v_account_id := kiln_internal.make_account(coalesce(v_context ->> 'iss', ''), v_context ->> 'sub',
                                                   (v_context ->> 'iat')::numeric);
        -- a select that finds nothing has emptied v_role
        v_role := coalesce(v_context ->> 'role', 'user');
    elsif v_suspended then
        raise exception 'this account is suspended' using errcode = 'KN009';
    elsif (v_context ->> 'iat')::numeric < extract(epoch from v_from) then
        raise exception 'this token was issued before its account signed out everywhere'
            using errcode = 'KN009';
    end if;
    return kiln_internal.begin_acting(v_context, v_account_id, v_role,
                                      kiln_internal.scopes_named(v_context ->> 'scope'));
end
$$;
comment on function kiln_api.act_as(text) is
'Sets who acts, for this transaction: {"sub", "iss", "role", "iat", "scope"} of a token that was verified, or
{"key"}, the SHA-256 of an API key in hexadecimal, or {"ticket"} from who opened a stream with it (KN008: not
valid any more); and {"idempotency_key", "request_id", "writes", "function"}; without a role the account''s
own holds. Returns the account (made when first seen), or null without a sub. A call that writes counts
towards the account''s rate (KN007) and names its request in pg_stat_activity. KN009: suspended, signed out, a
key that is not known, or a sub that nobody can have. KN004: the key or the token was not given the
function''s scope.';

-- The rest of act_as(), for tokens and keys alike. An actor with scopes may call the functions that
-- kiln_internal.scopes_of() opens to them, is no administrator without that scope, and with `read` alone runs
-- in a read-only transaction, so that it cannot write whatever a function forgets.
create or replace function kiln_internal.begin_acting(p_context jsonb, p_account_id bigint, p_role text,
                                                      p_scopes kiln.scope[])
returns bigint
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
    v_needed kiln.scope[];
begin
    if p_scopes is not null then
        v_needed := kiln_internal.scopes_of(p_context ->> 'function');
        if v_needed is null then
            raise exception 'this needs a token without scopes: sign in' using errcode = 'KN004';
        elsif not v_needed <@ p_scopes then
            raise exception 'this needs the scope %', array_to_string(v_needed, ' and the scope ')
                using errcode = 'KN004';
        end if;
    end if;
    if p_context ? 'writes' then
        perform kiln_internal.spend_rate(p_account_id, 'write');
        perform set_config('application_name', 'kiln-server write '
                           || coalesce(p_context ->> 'request_id', ''), true);
    end if;
    perform set_config('kiln.account_id', p_account_id::text, true),
            set_config('kiln.role', case when 'admin' <> all (p_scopes) then 'user' else p_role end, true),
            set_config('kiln.scopes', coalesce(p_scopes::text, ''), true),
            set_config('kiln.idempotency_key', coalesce(p_context ->> 'idempotency_key', ''), true);
    if p_scopes <@ '{read}' then
        perform set_config('transaction_read_only', 'on', true);
    end if;
    return p_account_id;
end
$$;
comment on function kiln_internal.begin_acting(jsonb, bigint, text, kiln.scope[]) is
'Sets an account, its role and its scopes (null: all) for this transaction. KN004: the function of the context
needs a scope that was not given. KN007: too fast.';

create or replace function kiln_internal.use_key(p_hash text, out api_key_id bigint, out account_id bigint,
                                                 out role text, out scopes kiln.scope[])
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_now  timestamptz := kiln_internal.now();
    v_used timestamptz;
begin
    select k.api_key_id, k.account_id, a.role::text, k.scopes, k.last_used_at
      into api_key_id, account_id, role, scopes, v_used
      from kiln.api_key k
      join kiln.account a on a.account_id = k.account_id
     where k.key_hash = decode(p_hash, 'hex') and coalesce(k.expires_at > v_now, true) and not a.is_suspended;
    if not found then
        raise exception 'this API key is not known, or not any more' using errcode = 'KN009';
    end if;
    -- who finds the row taken leaves it to that one
    if coalesce(v_used <= v_now - interval '1 minute', true) then
        update kiln.api_key k set last_used_at = v_now
         where k.api_key_id = (select u.api_key_id from kiln.api_key u where u.api_key_id = use_key.api_key_id
                                  for no key update skip locked);
    end if;
end
$$;
comment on function kiln_internal.use_key(text) is
'What an API key opens, by its hash; notes its use, once a minute. KN009: unknown, revoked, expired, or its
account is suspended.';

create or replace function kiln_internal.scopes_named(p_scope text)
returns kiln.scope[]
language plpgsql immutable
set search_path = ''
as $$
declare
    -- Words of OpenID Connect Core 1.0, 5.4 and 11: they ask for an identity, not for rights here.
    c_identity constant text[] := '{openid,profile,email,address,phone,offline_access}';
    v_words    text[] := string_to_array(p_scope, ' ');
begin
    if p_scope ~ '[^\x20\x21\x23-\x5B\x5D-\x7E]' then
        raise exception 'the scope of the token must be words divided by single blanks (RFC 6749, 3.3)'
            using errcode = 'KN009';
    elsif cardinality(v_words) > 0 and v_words <@ c_identity then
        return null;
    end if;
    return (select coalesce(array_agg(s order by s), '{}') from unnest(enum_range(null::kiln.scope)) s
             where s::text = any (v_words))
     where p_scope is not null;
end
$$;
comment on function kiln_internal.scopes_named(text) is
'The scopes that a token''s claim `scope` gives. Null, no restriction: there is no claim, or only words of
OpenID Connect ("openid profile"). Words that are not ours give nothing, so an empty claim, or one with none
of ours, opens nothing. KN009: the claim breaks RFC 6749, 3.3.';

-- The one list of what scopes open. A function that is not in it is closed to every actor with scopes; a test
-- asks for a line for each function. Where a function hands out in one answer, or for a long time, what other
-- functions show under `read`, both are needed.
create or replace function kiln_internal.scopes_of(p_function text)
returns kiln.scope[]
language plpgsql immutable
set search_path = ''
as $$
begin
    return case
        when p_function = any ('{
            get_generation,list_generations,estimate_generation,get_upload,open_stream,list_models,
            get_model,get_me,list_projects,get_project,list_project_images,list_images,get_image,
            get_staging_options,list_conversations,get_conversation,list_members,list_messages,
            get_message,list_notifications,list_shares,download_project}') then '{read}'
        when p_function = any ('{
            create_generation,cancel_generation,retry_generation,delete_generation,create_project,
            update_project,delete_project,stage_project,create_image,cancel_image,retry_image,
            delete_image,create_upload,create_direct_upload,complete_upload,delete_upload,
            delete_share}') then '{generate}'
        when p_function = 'create_share' then '{read,generate}'
        when p_function = any ('{
            find_people,create_invite,list_invites,delete_invite,find_invite,accept_invite,
            create_conversation,add_member,remove_member,create_message,mark_delivered,mark_read,
            send_typing,edit_message,delete_message,create_block,list_blocks,delete_block,
            read_notifications}') then '{chat}'
        when p_function = any ('{
            create_ticket,list_webhook_endpoints,delete_webhook_endpoint,rotate_webhook_secret,
            enable_webhook_endpoint,list_deliveries,resend_delivery,list_api_keys,create_api_key,
            delete_api_key,update_me,send_confirmation,list_identities}') then '{account}'
        when p_function = any ('{export_me,create_webhook_endpoint}') then '{read,account}'
        when p_function = any ('{
            list_jobs,cancel_job,retry_job,resolve_job,list_providers,announce,open_watch,begin_tryon,
            create_tryon,get_tryon,list_tryons,retry_tryon,cancel_tryon,list_categories,put_category,
            list_accounts,set_account_role,suspend_account,unsuspend_account,grant_account,list_queues,
            list_runners,pause_queue,resume_queue,list_pipelines,get_pipeline,put_pipeline}') then '{admin}'
    end::kiln.scope[];
end
$$;
comment on function kiln_internal.scopes_of(text) is
'The scopes, all of them, that a kiln_api function needs of a key, or of a token with scopes; null: no scope
is
enough, a person has to sign in (deleting an account, its identities).';

create or replace function kiln_internal.acting_scopes()
returns kiln.scope[]
language sql stable
return nullif(current_setting('kiln.scopes', true), '')::kiln.scope[];
comment on function kiln_internal.acting_scopes() is
'The scopes of the one who acts in this transaction; null: all.';

create or replace function kiln_internal.is_revoked(p_issuer text, p_subject text, p_issued_at numeric)
returns boolean
language sql stable
return exists (select from kiln.revoked_identity g
                where g.identity_hash = kiln_internal.identity_hash(p_issuer, p_subject)
                  and p_issued_at <= extract(epoch from g.revoked_at));
comment on function kiln_internal.is_revoked(text, text, numeric) is
'True if an identity was unlinked, or its account deleted, after one of its tokens was issued (seconds since
1970, perhaps with a fraction).';

create or replace function kiln_internal.acting_account()
returns bigint
language sql stable
return nullif(current_setting('kiln.account_id', true), '')::bigint;
comment on function kiln_internal.acting_account() is 'The account that acts in this transaction, or null.';

create or replace function kiln_internal.acts_as_admin()
returns boolean
language sql stable
return coalesce(current_setting('kiln.role', true) = 'admin', false);
comment on function kiln_internal.acts_as_admin() is
'True if the one who acts in this transaction may see everything.';

create or replace function kiln_internal.is_no_operator()
returns boolean
language sql stable
return coalesce(current_setting('kiln.role', true), '') not in ('', 'admin');
comment on function kiln_internal.is_no_operator() is
'True for a call of the API that is no administrator''s, also one of nobody; false for those and for people in
psql, for whom act_as() was not called.';

create or replace function kiln_internal.require_actor(p_actor bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_actor is null or p_actor is distinct from kiln_internal.acting_account() then
        raise exception 'this needs a token' using errcode = 'KN009';
    end if;
end
$$;
comment on function kiln_internal.require_actor(bigint) is
'Refuses a call without an account, or for another one than act_as() set (KN009).';

create or replace function kiln_internal.require_admin(p_actor bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    if not kiln_internal.acts_as_admin() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
end
$$;
comment on function kiln_internal.require_admin(bigint) is
'Refuses a call without an account (KN009), and one whose role is not admin (KN004).';

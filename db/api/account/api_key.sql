-- API keys over REST, and behind it what makes and revokes them.
create or replace function kiln_internal.render_api_key(p_key kiln.api_key)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return jsonb_build_object('id', p_key.api_key_id::text, 'name', p_key.name, 'prefix', p_key.prefix,
                              'scopes', to_jsonb(p_key.scopes),
                              'expires_at', kiln_internal.render_time(p_key.expires_at),
                              'last_used_at', kiln_internal.render_time(p_key.last_used_at),
                              'created_at', kiln_internal.render_time(p_key.created_at));
end
$$;
comment on function kiln_internal.render_api_key(kiln.api_key) is
'A key as its owner sees it: without the key.';

create or replace function kiln.make_api_key(p_account_id bigint, p_name text, p_scopes kiln.scope[],
                                             p_expires_at timestamptz, out api_key_id bigint, out key text)
language plpgsql security definer
set search_path = ''
as $$
begin
    -- one at a time, so the count is exact
    perform 1 from kiln.account a where a.account_id = p_account_id for no key update;
    if (select count(*) from kiln.api_key k where k.account_id = p_account_id) >= 100 then
        raise exception 'an account has at most 100 API keys'
            using errcode = 'KN001', hint = 'Delete one that is no longer used.';
    end if;
    key := 'kiln_' || encode(kiln_extensions.gen_random_bytes(32), 'hex');
    key := key || left(encode(sha256(convert_to(key, 'UTF8')), 'hex'), 8);
    insert into kiln.api_key as k (account_id, key_hash, prefix, name, scopes, expires_at)
    values (p_account_id, sha256(convert_to(key, 'UTF8')), left(key, 13), p_name, p_scopes, p_expires_at)
    returning k.api_key_id into api_key_id;
end
$$;
comment on function kiln.make_api_key(bigint, text, kiln.scope[], timestamptz) is
'Makes an API key with these scopes and returns it; only its hash is kept. KN001: the account has
100 keys.';

create or replace function kiln.revoke_api_key(p_account_id bigint, p_api_key_id bigint)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    delete from kiln.api_key k where k.account_id = p_account_id and k.api_key_id = p_api_key_id;
    if not found then
        return false;
    end if;
    insert into kiln.event (account_id, type) values (p_account_id, 'session.ended');
    perform kiln_internal.notify_waiters(null);
    return true;
end
$$;
comment on function kiln.revoke_api_key(bigint, bigint) is
'Deletes an API key and its tickets, and closes the account''s streams, which clients with other keys reopen
without loss.';

create or replace function kiln_api.create_api_key(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body    jsonb := kiln_internal.parse_body(p_body);
    v_errors  jsonb := kiln_internal.unknown_fields(v_body, '{name,scopes,expires_at}');
    v_all     text[] := enum_range(null::kiln.scope)::text[];
    v_scopes  text[] := kiln_internal.texts(v_body -> 'scopes', cardinality(v_all));
    v_expires timestamptz;
    v_key     record;
    v_id      bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_api_key', p_body);
    if v_id is not null then
        raise exception 'the API key % was made under this Idempotency-Key; it is shown once', v_id
            using errcode = 'KN015', detail = json_build_object('id', v_id::text)::text;
    end if;
    if coalesce(jsonb_typeof(v_body -> 'name') <> 'string'
                or not kiln_internal.is_name(v_body ->> 'name', 80), true) then
        v_errors := v_errors || kiln_internal.field_error('/name',
                                         'must be one line of 1 to 80 characters, not all of them invisible');
    end if;
    if v_scopes is null or v_scopes = '{}' or not v_scopes <@ v_all then
        v_errors := v_errors || kiln_internal.field_error('/scopes',
                                                          'must be an array of: '
                                                          || array_to_string(v_all, ', '));
    else
        if 'admin' = any (v_scopes) and not kiln_internal.acts_as_admin() then
            v_errors := v_errors || kiln_internal.field_error('/scopes', 'admin is for administrators');
        elsif not v_scopes <@ coalesce(kiln_internal.acting_scopes()::text[], v_all) then
            v_errors := v_errors || kiln_internal.field_error('/scopes',
                                                              'must be among those of the key that asks');
        end if;
    end if;
    if kiln_internal.plain_field(v_body, 'expires_at') is not null then
        v_expires := kiln_internal.parse_later(v_body -> 'expires_at');
        if v_expires is null then
            v_errors := v_errors || kiln_internal.field_error('/expires_at',
                                                        'must be a time to come, as in 2030-01-31T12:00:00Z');
        end if;
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    v_key := kiln.make_api_key(p_actor, v_body ->> 'name', array(select distinct s::kiln.scope
                                                                   from unnest(v_scopes) s
                                                                  order by 1), v_expires);
    perform kiln_internal.end_idempotent(p_actor, 'create_api_key', v_key.api_key_id);
    return (select (kiln_internal.render_api_key(k) || jsonb_build_object('key', v_key.key))::json
              from kiln.api_key k where k.api_key_id = v_key.api_key_id);
end
$$;
comment on function kiln_api.create_api_key(bigint, jsonb, jsonb, text) is
'POST /api-keys: {name, scopes, expires_at?}; the answer alone holds the key. KN015: made already under this
Idempotency-Key. KN003: a field is wrong, or a scope is not the actor''s to give.';

create or replace function kiln_api.list_api_keys(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
set enable_sort = off
as $$
declare
    v_page record;
    v_rows bigint[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_rows := array(select k.api_key_id from kiln.api_key k
                     where k.account_id = p_actor and k.api_key_id < v_page.below
                     order by k.api_key_id desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_api_key(k) order by k.api_key_id desc)
           from kiln.api_key k where k.account_id = p_actor
            and k.api_key_id = any (v_rows[:v_page.page_limit])),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_api_keys(bigint, jsonb, jsonb, text) is
'GET /api-keys: the actor''s, newest first, without the keys.';

create or replace function kiln_api.delete_api_key(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    if not kiln.revoke_api_key(p_actor, kiln_internal.parse_id(p_path ->> 'id')) then
        raise exception 'there is no such API key' using errcode = 'KN002';
    end if;
    return null;
end
$$;
comment on function kiln_api.delete_api_key(bigint, jsonb, jsonb, text) is
'DELETE /api-keys/{id}: refused from now on, everywhere. KN002: not there, or another''s.';

-- Identities of the account.
create or replace function kiln_api.list_identities(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    return kiln_internal.cut_page((select array_agg(kiln_internal.render_identity(i)::json
                                                    order by i.identity_id desc) from kiln.identity i
                                    where i.account_id = p_actor), p_query);
end
$$;
comment on function kiln_api.list_identities(bigint, jsonb, jsonb, text) is
'GET /me/identities?limit=&cursor=: the ways into the account, newest first.';

create or replace function kiln_api.create_identity(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_body     jsonb := kiln_internal.parse_body(p_body);
    v_id       bigint;
    v_identity kiln.identity;
begin
    perform kiln_internal.require_actor(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_identity', p_body);
    if v_id is not null then
        select i.* into v_identity from kiln.identity i where i.identity_id = v_id and i.account_id = p_actor;
        if not found then
            raise exception 'the identity that this Idempotency-Key linked is not linked any more'
                using errcode = 'KN002';
        end if;
        return kiln_internal.render_identity(v_identity);
    end if;
    if v_body ? 'address' then
        perform kiln_internal.consume_nonce(v_body ->> 'nonce');
        v_identity := kiln.link_identity(p_actor, 'urn:kiln:wallet', v_body ->> 'address');
    else
        if v_body ->> 'iss' = 'urn:kiln:wallet' and v_body ->> 'sub' !~ '^0x[0-9a-f]{40}$' then
            perform kiln_internal.refuse_fields(kiln_internal.field_error('/token', 'names no wallet'));
        end if;
        v_identity := kiln.link_identity(p_actor, coalesce(v_body ->> 'iss', ''), v_body ->> 'sub',
                                         coalesce((v_body ->> 'iat')::numeric, 0));
    end if;
    perform kiln_internal.end_idempotent(p_actor, 'create_identity', v_identity.identity_id);
    return kiln_internal.render_identity(v_identity);
end
$$;
comment on function kiln_api.create_identity(bigint, jsonb, jsonb, text) is
'POST /me/identities: {message, signature} or {token}, which the server has checked; it sends {address, nonce}
or {iss, sub, iat}. KN001: it leads to another account. A repeat with the same Idempotency-Key is answered
alike, although its nonce is used up.';

create or replace function kiln_api.delete_identity(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln.unlink_identity(p_actor, kiln_internal.parse_id(p_path ->> 'id'));
    return null;
end
$$;
comment on function kiln_api.delete_identity(bigint, jsonb, jsonb, text) is
'DELETE /me/identities/{id}. KN001: it is the last way in.';

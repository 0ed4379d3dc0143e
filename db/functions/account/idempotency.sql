-- A creating request with an idempotency key happens once.

-- Idempotency: the key's row is written first, so that of fifty at the same moment one goes on and the others
-- wait for it.
create or replace function kiln_internal.begin_idempotent(p_actor bigint, p_route text, p_body text)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_key  text := nullif(current_setting('kiln.idempotency_key', true), '');
    v_hash bytea;
    v_row  kiln.idempotency;
begin
    if v_key is null then
        return null;
    end if;
    if length(v_key) > 255 then
        raise exception 'Idempotency-Key has more than 255 characters' using errcode = 'KN006';
    end if;
    v_hash := sha256(convert_to(coalesce(p_body, ''), 'UTF8'));
    insert into kiln.idempotency (account_id, route, key, body_hash, thing_id)
    values (p_actor, p_route, v_key, v_hash, 0)
    on conflict (account_id, route, key) do update
       set body_hash = excluded.body_hash, thing_id = 0, created_at = excluded.created_at
     where idempotency.created_at < excluded.created_at - interval '24 hours';
    if found then
        return null;
    end if;
    select * into v_row from kiln.idempotency i where i.account_id = p_actor and i.route = p_route
       and i.key = v_key;
    if v_row.body_hash <> v_hash then
        raise exception 'this Idempotency-Key was used with another body' using errcode = 'KN005';
    end if;
    return v_row.thing_id;
end
$$;
comment on function kiln_internal.begin_idempotent(bigint, text, text) is
'Takes the request''s Idempotency-Key. Null: go on and call kiln_internal.end_idempotent(); else the id of
what
an earlier request made. KN005: the key was used with another body.';

create or replace function kiln_internal.end_idempotent(p_actor bigint, p_route text, p_thing_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    if nullif(current_setting('kiln.idempotency_key', true), '') is not null then
        update kiln.idempotency i set thing_id = p_thing_id
         where i.account_id = p_actor and i.route = p_route
           and i.key = current_setting('kiln.idempotency_key', true);
    end if;
end
$$;
comment on function kiln_internal.end_idempotent(bigint, text, bigint) is
'Remembers what a request with an Idempotency-Key made.';

-- Tickets of streams.
create or replace function kiln_internal.make_ticket(p_account_id bigint, p_until timestamptz)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_ticket  text := encode(kiln_extensions.gen_random_bytes(32), 'hex');
    v_key     bigint := nullif(current_setting('kiln.api_key_id', true), '')::bigint;
    v_expires timestamptz := least(p_until, kiln_internal.now() + (select c.stream_ticket_ttl
                                                                     from kiln.config c),
                                   (select k.expires_at from kiln.api_key k where k.api_key_id = v_key));
begin
    insert into kiln.stream_ticket (ticket_hash, account_id, expires_at, api_key_id, scopes)
    values (sha256(convert_to(v_ticket, 'UTF8')), p_account_id, v_expires, v_key,
            nullif(current_setting('kiln.scopes', true), '')::kiln.scope[]);
    return json_build_object('ticket', v_ticket, 'expires_at', kiln_internal.render_time(v_expires));
end
$$;
comment on function kiln_internal.make_ticket(bigint, timestamptz) is
'A random ticket for streams, of which only the hash is kept. One that was made with an API key ends with
it.';

create or replace function kiln_api.use_ticket(p_ticket text, out account_id bigint, out expires_at bigint)
language plpgsql stable security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    select t.account_id, extract(epoch from t.expires_at)::bigint into account_id, expires_at
      from kiln.stream_ticket t
      join kiln.account a using (account_id)
     where t.ticket_hash = sha256(convert_to(p_ticket, 'UTF8')) and t.expires_at > kiln_internal.now()
       and not a.is_suspended;
    if not found then
        raise exception 'this ticket is not valid, or not any more' using errcode = 'KN008';
    end if;
end
$$;
comment on function kiln_api.use_ticket(text) is
'Whose streams a ticket opens and until when (seconds since 1970). It may be used again until then. KN008: not
valid.';

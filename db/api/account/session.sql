-- Signing in by wallet, one's own account, and accounts for administrators.
create or replace function kiln_api.create_nonce(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    return kiln_internal.make_nonce();
end
$$;
comment on function kiln_api.create_nonce(bigint, jsonb, jsonb, text) is
'POST /auth/nonce: {nonce, expires_at}, for anyone; the message that names it is taken once.';

create or replace function kiln_api.sign_out_everywhere(p_actor bigint, p_path jsonb, p_query jsonb,
                                                        p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    return json_build_object('signed_out_at', kiln_internal.render_time(kiln.sign_out_everywhere(p_actor)));
end
$$;
comment on function kiln_api.sign_out_everywhere(bigint, jsonb, jsonb, text) is
'POST /me/sign-out-everywhere: {signed_out_at}; this token is refused from then on too.';

create or replace function kiln_api.create_ticket(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body jsonb := kiln_internal.parse_body(p_body);
begin
    perform kiln_internal.require_actor(p_actor);
    -- year 9999: to_timestamp() has an end
    return kiln_internal.make_ticket(p_actor,
                                     to_timestamp(least((v_body ->> 'token_expires_at')::bigint,
                                                        253402300799)));
end
$$;
comment on function kiln_api.create_ticket(bigint, jsonb, jsonb, text) is
'POST /stream-tickets: {ticket, expires_at}; the body, made by the server, tells when the token ends:
{token_expires_at}.';

-- Signing in.
create or replace function kiln_api.sign_in(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body jsonb := kiln_internal.parse_body(p_body);
begin
    return kiln_internal.sign_in(v_body ->> 'address', v_body ->> 'nonce');
end
$$;
comment on function kiln_api.sign_in(bigint, jsonb, jsonb, text) is
'POST /auth/siwe: the server has checked message and signature and sends {address, nonce}; of the answer it
makes {token, expires_at, account}.';

-- Signing in.
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
    -- The identity's row is held from here on: whoever ends the account at the same moment does it before
    -- this token, and then there is no row, or after it, and then sees when it was issued.
    perform from kiln.identity i where i.issuer = 'urn:kiln:wallet' and i.subject = p_address
       for no key update;
    if not found then
        perform kiln_internal.make_account('urn:kiln:wallet', p_address);
    end if;
    select a.* into v_account from kiln.identity i join kiln.account a using (account_id)
     where i.issuer = 'urn:kiln:wallet' and i.subject = p_address;
    if v_account.is_suspended then
        raise exception 'this account is suspended' using errcode = 'KN009';
    end if;
    perform kiln_internal.spend_rate(v_account.account_id, 'login');
    -- To the microsecond (a NumericDate may have a fraction, RFC 7519, 2), and not before the moment from
    -- which its tokens hold.
    v_issued_at := greatest(kiln_internal.now(), v_account.tokens_from);
    update kiln.identity i set token_issued_at = greatest(i.token_issued_at, v_issued_at)
     where i.issuer = 'urn:kiln:wallet' and i.subject = p_address;
    return json_build_object(
        'claims', json_build_object('iss', 'urn:kiln:wallet', 'sub', p_address,
                                    'iat', extract(epoch from v_issued_at),
                                    'exp', ceil(extract(epoch from v_issued_at + v_ttl))::bigint,
                                    'jti', encode(kiln_extensions.gen_random_bytes(16), 'hex')),
        'expires_at', kiln_internal.render_time(to_timestamp(ceil(extract(epoch from v_issued_at + v_ttl)))),
        'account', kiln_internal.render_account(v_account));
end
$$;
comment on function kiln_internal.sign_in(text, text) is
'Signs a wallet in whose signature was checked (address in lower case): uses the nonce up, makes the account
when it is first seen, and returns the claims of its token. KN003: the nonce; KN007: too often; KN009:
suspended.';

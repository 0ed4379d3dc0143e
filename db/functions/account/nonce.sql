-- Nonces that a wallet signs.
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
comment on function kiln_internal.make_nonce() is
'A random nonce to be signed in a wallet; only its hash is kept, until it is used or expires.';

create or replace function kiln_internal.consume_nonce(p_nonce text)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    delete from kiln.nonce n where n.nonce_hash = sha256(convert_to(p_nonce, 'UTF8'))
       and n.expires_at > kiln_internal.now();
    if not found then       -- of two at the same moment the second waits here, and then finds none
        perform kiln_internal.refuse_fields(kiln_internal.field_error('/message',
                                                      'nonce: is not one of ours, was used, or has expired'));
    end if;
end
$$;
comment on function kiln_internal.consume_nonce(text) is
'Uses a nonce up. KN003: unknown, used or expired, which are not told apart.';

-- Identities: linked, unlinked, forgotten.
create or replace function kiln_internal.render_identity(p_identity kiln.identity)
returns jsonb
language sql stable
return jsonb_build_object('id', p_identity.identity_id::text,
                          'kind', case p_identity.issuer when 'urn:kiln:wallet' then 'wallet'
                                       else 'token' end,
                          'issuer', p_identity.issuer, 'subject', p_identity.subject,
                          'created_at', kiln_internal.render_time(p_identity.created_at));
comment on function kiln_internal.render_identity(kiln.identity) is
'A way into an account: {id, kind (wallet, token), issuer, subject, created_at}.';

create or replace function kiln.link_identity(p_account_id bigint, p_issuer text, p_subject text,
                                              p_issued_at numeric default null)
returns kiln.identity
language plpgsql security definer
set search_path = ''
as $$
declare
    v_identity kiln.identity;
begin
    perform kiln_internal.guard_own(p_account_id);
    if kiln_internal.is_revoked(p_issuer, p_subject, p_issued_at) then
        raise exception 'this token is older than the moment its identity was unlinked: get a new one'
            using errcode = 'KN009';
    end if;
    insert into kiln.identity (issuer, subject, account_id) values (p_issuer, p_subject, p_account_id)
    on conflict (issuer, subject) do nothing returning * into v_identity;
    if not found then
        select * into v_identity from kiln.identity i where i.issuer = p_issuer and i.subject = p_subject;
        if v_identity.account_id is distinct from p_account_id then
            raise exception 'this % leads to another account already',
                case p_issuer when 'urn:kiln:wallet' then 'wallet' else 'identity' end
                using errcode = 'KN001',
                hint = 'Sign in with it, and unlink it there or delete that account; then it can be '
                       'linked here.';
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
    -- two at once must not remove the last two
    perform from kiln.account a where a.account_id = p_account_id for no key update;
    select * into v_identity from kiln.identity i where i.identity_id = p_identity_id
       and i.account_id = p_account_id for update;
    if not found then
        raise exception 'there is no such identity' using errcode = 'KN002';
    end if;
    if not exists (select from kiln.identity i where i.account_id = p_account_id
                      and i.identity_id <> p_identity_id) then
        raise exception 'this is the last way into the account: link another one first'
            using errcode = 'KN001';
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
    values (kiln_internal.identity_hash(p_identity.issuer, p_identity.subject),
            kiln_internal.after_tokens_of(p_identity.account_id))
    on conflict (identity_hash) do update set revoked_at = greatest(revoked_identity.revoked_at,
                                                                    excluded.revoked_at);
    delete from kiln.identity i where i.identity_id = p_identity.identity_id;
end
$$;
comment on function kiln_internal.revoke_identity(kiln.identity) is
'Removes an identity, and remembers by a hash that its tokens of today must not make an account.';

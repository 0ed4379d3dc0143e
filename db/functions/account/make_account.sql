-- An account for a new identity.
create or replace function kiln_internal.identity_hash(p_issuer text, p_subject text)
returns bytea
language sql immutable
return sha256(convert_to(p_issuer || E'\n' || p_subject, 'UTF8'));
comment on function kiln_internal.identity_hash(text, text) is 'An identity in kiln.revoked_identity.';

create or replace function kiln_internal.make_account(p_issuer text, p_subject text,
                                                      p_issued_at numeric default null)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_account_id bigint;
begin
    if kiln_internal.is_revoked(p_issuer, p_subject, p_issued_at) then
        raise exception 'this token is older than the end of its account: sign in again'
            using errcode = 'KN009';
    end if;
    insert into kiln.account default values returning account_id into v_account_id;
    insert into kiln.identity (issuer, subject, account_id) values (p_issuer, p_subject, v_account_id)
        on conflict do nothing;
    if not found then       -- someone was quicker
        delete from kiln.account where account_id = v_account_id;
        select i.account_id into v_account_id from kiln.identity i
         where i.issuer = p_issuer and i.subject = p_subject;
    end if;
    return v_account_id;
end
$$;
comment on function kiln_internal.make_account(text, text, numeric) is
'The account of an identity that is seen for the first time. KN009: it was unlinked or deleted after its token
was issued (p_issued_at: seconds since 1970).';

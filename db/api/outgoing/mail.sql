-- Links in mails.
create or replace function kiln_api.unsubscribe(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.unsubscribe(p_path ->> 'token');
    return null;
end
$$;
comment on function kiln_api.unsubscribe(bigint, jsonb, jsonb, text) is
'POST /unsubscribe/{token}: without signing in, the address that the link in a mail is about gets no more mail
(RFC 8058). KN008: a forged link, or one to another address.';

create or replace function kiln_api.confirm_email(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.confirm_email(p_path ->> 'token');
    return null;
end
$$;
comment on function kiln_api.confirm_email(bigint, jsonb, jsonb, text) is
'POST /confirm-email/{token}: without signing in, the address that the link was mailed to is proven. KN008: a
forged or old link, or one to another address.';

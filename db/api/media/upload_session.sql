-- What the server calls while it receives a body.
create or replace function kiln_api.extend_upload_session(p_actor bigint, p_path jsonb, p_query jsonb,
                                                          p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.extend_upload_session(kiln_internal.parse_body(p_body) ->> 'upload_session');
    return '{}';
end
$$;
comment on function kiln_api.extend_upload_session(bigint, jsonb, jsonb, text) is
'A server in the middle of a body with files: {upload_session}, as begin_upload or begin_tryon gave it. KN001:
end it.';

create or replace function kiln_api.end_upload_session(p_actor bigint, p_path jsonb, p_query jsonb,
                                                       p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.end_upload_session(kiln_internal.parse_body(p_body) ->> 'upload_session');
    return '{}';
end
$$;
comment on function kiln_api.end_upload_session(bigint, jsonb, jsonb, text) is
'A body with files came to nothing: {upload_session}. Its bytes are off the disk.';

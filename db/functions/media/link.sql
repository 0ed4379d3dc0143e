-- Signed links to files.

-- How things look to clients. SQL signs media paths when it renders; events hold ids only. Plpgsql, since it
-- keeps its plans: the same helpers in `language sql` were planned anew at each call and cost five times as
-- much.
create or replace function kiln_internal.sign_link(p_media_id bigint, p_variant text, p_expires bigint)
returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return encode(kiln_extensions.hmac(convert_to(p_media_id || '|' || p_variant || '|' || p_expires, 'UTF8'),
                            (select s.value from kiln.secret s where s.name = 'link'), 'sha256'), 'hex');
end
$$;
comment on function kiln_internal.sign_link(bigint, text, bigint) is
'HMAC-SHA256, in hex, over id, variant and expiry (seconds since 1970) of a media link.';

create or replace function kiln_internal.media_link(p_media_id bigint, p_variant text default '')
returns text
language plpgsql stable
set search_path = ''
as $$
declare
    v_expires bigint;
begin
    select ceil(extract(epoch from kiln_internal.now() + c.link_ttl) / 3600) * 3600 into v_expires
      from kiln.config c;
    return '/api/v1/media/' || p_media_id || '?' || case when p_variant <> ''
                                                             then 'variant=' || p_variant || '&' else '' end
        || 'exp=' || v_expires || '&sig=' || kiln_internal.sign_link(p_media_id, p_variant, v_expires);
end
$$;
comment on function kiln_internal.media_link(bigint, text) is
'A signed path to a stored file or (variant thumbnail) to its small picture or (clean) to the same without its
label. Its expiry is rounded up to the hour, so that a browser''s cache can keep it.';

create or replace function kiln_internal.check_link(p_media_id bigint, p_variant text, p_query jsonb)
returns void
language plpgsql stable
set search_path = ''
as $$
begin
    if coalesce(p_query ->> 'exp', '') !~ '^[0-9]{1,12}$' or p_query ->> 'sig' is null
       -- hashed, so that the comparison tells nothing by its time
       or sha256(convert_to(p_query ->> 'sig', 'UTF8'))
          <> sha256(convert_to(kiln_internal.sign_link(p_media_id, p_variant, (p_query ->> 'exp')::bigint),
                               'UTF8')) then
        raise exception 'this link was not signed here' using errcode = 'KN008';
    end if;
    if (p_query ->> 'exp')::bigint < extract(epoch from kiln_internal.now()) then
        raise exception 'this link has expired' using errcode = 'KN008';
    end if;
end
$$;
comment on function kiln_internal.check_link(bigint, text, jsonb) is
'Refuses a forged or expired link (KN008).';

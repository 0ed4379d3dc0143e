-- A file behind a signed link.
create or replace function kiln_api.open_media(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return kiln_internal.find_media(kiln_internal.parse_id(p_path ->> 'id'),
                                    coalesce(p_query ->> 'variant', ''), p_query);
end
$$;
comment on function kiln_api.open_media(bigint, jsonb, jsonb, text) is
'GET /media/{id}?variant=&exp=&sig=: where the store keeps the file (variant thumbnail: its small picture;
clean: the same without its label). KN008: forged or expired link; KN002: gone.';

create or replace function kiln_internal.find_media(p_media_id bigint, p_variant text, p_query jsonb)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    perform kiln_internal.check_link(p_media_id, p_variant, p_query);
    select m.* into v_media from kiln.media m
     where m.media_id = p_media_id and m.state = 'ready'
       and case p_variant when 'thumbnail' then m.thumbnail_key is not null when 'clean'
                    then m.clean_key is not null else p_variant = '' end;
    if not found then
        raise exception 'there is no such file' using errcode = 'KN002';
    end if;
    return case p_variant
        when 'thumbnail' then json_build_object('storage_key', v_media.thumbnail_key,
                                                'content_type', 'image/webp', 'bytes', null,
                                                'sha256', encode(sha256(convert_to(v_media.thumbnail_key,
                                                        'UTF8')), 'hex'))
        when 'clean' then json_build_object('storage_key', v_media.clean_key,
                                            'content_type', v_media.content_type, 'bytes', null,
                                            'sha256', encode(sha256(convert_to(v_media.clean_key, 'UTF8')),
                                                             'hex'))
        else json_build_object('storage_key', v_media.storage_key, 'content_type', v_media.content_type,
                               'bytes', v_media.bytes,
                               'sha256', encode(v_media.sha256, 'hex')) end;
end
$$;
comment on function kiln_internal.find_media(bigint, text, jsonb) is
'The file behind a signed link. (A variant''s tag is a hash of its key: a key is never used for other
bytes.)';

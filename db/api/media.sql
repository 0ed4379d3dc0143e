-- Files: upload in two calls (a signed place, then the bytes), and signed links to read them. Bytes never come here: the server
-- writes them to the store and passes what it found.
create or replace function kiln_api.create_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body     jsonb := kiln.parse_body(p_body);
    v_errors   jsonb := kiln.unknown_fields(v_body, '{filename,content_type,bytes}');
    v_type     text  := v_body ->> 'content_type';
    v_bytes    text  := v_body ->> 'bytes';
    v_name     text  := v_body ->> 'filename';
    v_most     bigint;
    v_ttl      interval;
    v_media_id bigint;
    v_expires  bigint;
begin
    perform kiln.require_actor(p_actor);
    v_media_id := kiln.begin_once(p_actor, 'create_upload', p_body);
    select c.upload_max_bytes, c.upload_ttl into v_most, v_ttl from kiln.config c;
    if v_media_id is null then
        if v_name is null or v_name !~ '\S' or length(v_name) > 255 then
            v_errors := v_errors || kiln.field_error('/filename', 'must have 1 to 255 characters');
        end if;
        if v_type is null or v_type <> all ('{image/png,image/jpeg,image/webp,image/gif,video/mp4,video/webm,video/quicktime,audio/mpeg,audio/wav,audio/ogg,audio/mp4}') then
            v_errors := v_errors || kiln.field_error('/content_type',
                'must be image/png, image/jpeg, image/webp, image/gif, video/mp4, video/webm, video/quicktime, audio/mpeg, audio/wav, audio/ogg or audio/mp4');
        end if;
        if v_bytes is null or v_bytes !~ '^[0-9]{1,12}$' or v_bytes::bigint not between 1 and v_most then
            v_errors := v_errors || kiln.field_error('/bytes', 'must be a whole number from 1 to ' || v_most);
        end if;
        perform kiln.refuse_fields(v_errors);
        insert into kiln.media (account_id, role, state, media_type, content_type, bytes, filename)
        values (p_actor, 'input', 'uploading', split_part(v_type, '/', 1)::kiln.media_type, v_type, v_bytes::bigint, v_name)
        returning media_id into v_media_id;
        perform kiln.end_once(p_actor, 'create_upload', v_media_id);
    end if;
    v_expires := extract(epoch from kiln.now() + v_ttl)::bigint;
    return json_build_object(
        'media_id', v_media_id::text, 'method', 'PUT',
        'url', format('/api/v1/media/%s?exp=%s&sig=%s', v_media_id, v_expires, kiln.sign_link(v_media_id, 'upload', v_expires)),
        'headers', (select json_build_object('Content-Type', m.content_type) from kiln.media m where m.media_id = v_media_id),
        'expires_at', kiln.render_time(to_timestamp(v_expires)));
end
$$;
comment on function kiln_api.create_upload(bigint, jsonb, jsonb, text) is
'POST /uploads/presign: {filename, content_type, bytes} promises a place and signs the way to it; the URL binds size and type.';

create or replace function kiln.find_upload(p_path jsonb, p_query jsonb)
returns kiln.media
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    perform kiln.check_link(kiln.parse_id(p_path ->> 'id'), 'upload', p_query);
    select m.* into v_media from kiln.media m where m.media_id = kiln.parse_id(p_path ->> 'id') for no key update;
    if not found then
        raise exception 'there is no such upload' using errcode = 'KN002';
    end if;
    if v_media.state <> 'uploading' then
        raise exception 'this upload is finished: what was checked is what is used' using errcode = 'KN001';
    end if;
    return v_media;
end
$$;
comment on function kiln.find_upload(jsonb, jsonb) is 'The upload a signed link leads to, locked. KN001: it is finished already; KN008: forged or expired link.';

create or replace function kiln_api.begin_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media := kiln.find_upload(p_path, p_query);
begin
    return json_build_object('content_type', v_media.content_type, 'bytes', v_media.bytes, 'storage_key', v_media.storage_key);
end
$$;
comment on function kiln_api.begin_upload(bigint, jsonb, jsonb, text) is 'PUT /media/{id}, before the bytes: what was announced.';

create or replace function kiln_api.finish_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media := kiln.find_upload(p_path, p_query);
begin
    return kiln.store_upload(v_media.media_id, kiln.parse_body(p_body));
end
$$;
comment on function kiln_api.finish_upload(bigint, jsonb, jsonb, text) is
'PUT /media/{id}, after the bytes: {storage_key, bytes, sha256, content_type} as the server found them. Returns the media, ready.';

create or replace function kiln.store_upload(p_media_id bigint, p_found jsonb)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    update kiln.media m
       set state = 'ready', storage_key = p_found ->> 'storage_key', bytes = (p_found ->> 'bytes')::bigint, sha256 = decode(p_found ->> 'sha256', 'hex')
     where m.media_id = p_media_id and m.state = 'uploading'
    returning m.* into v_media;
    insert into kiln.event (account_id, type, data) values (v_media.account_id, 'media.ready', jsonb_build_object('media_id', v_media.media_id::text));
    perform kiln.ring(null);
    return kiln.render_media(v_media);
end
$$;
comment on function kiln.store_upload(bigint, jsonb) is 'Records the file of an upload and tells of it.';

create or replace function kiln_api.open_media(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return kiln.find_media(kiln.parse_id(p_path ->> 'id'), coalesce(p_query ->> 'variant', ''), p_query);
end
$$;
comment on function kiln_api.open_media(bigint, jsonb, jsonb, text) is
'GET /media/{id}?variant=&exp=&sig=: where the store keeps the file (variant thumbnail: its small picture). KN008: forged or expired link; KN002: gone.';

create or replace function kiln.find_media(p_media_id bigint, p_variant text, p_query jsonb)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    perform kiln.check_link(p_media_id, p_variant, p_query);
    select m.* into v_media from kiln.media m
     where m.media_id = p_media_id and m.state = 'ready' and case p_variant when 'thumbnail' then m.thumbnail_key is not null else p_variant = '' end;
    if not found then
        raise exception 'there is no such file' using errcode = 'KN002';
    end if;
    return case p_variant
        when 'thumbnail' then json_build_object('storage_key', v_media.thumbnail_key, 'content_type', 'image/webp', 'bytes', null,
                                                'sha256', encode(sha256(convert_to(v_media.thumbnail_key, 'UTF8')), 'hex'))
        else json_build_object('storage_key', v_media.storage_key, 'content_type', v_media.content_type, 'bytes', v_media.bytes,
                               'sha256', encode(v_media.sha256, 'hex')) end;
end
$$;
comment on function kiln.find_media(bigint, text, jsonb) is 'The file behind a signed link. (A thumbnail''s tag is a hash of its key: a key is never used for other bytes.)';

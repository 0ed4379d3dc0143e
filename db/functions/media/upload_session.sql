-- Bytes that arrive count towards the quota before they are stored.
create or replace function kiln_internal.begin_upload_session(p_account_id bigint, p_media_id bigint,
                                                              p_bytes bigint)
returns jsonb
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_token text   := encode(kiln_extensions.gen_random_bytes(16), 'hex');
    v_bytes bigint := p_bytes;
begin
    if p_media_id is null then
        v_bytes := greatest(0, least(p_bytes, kiln_internal.media_room(p_account_id)));
    end if;
    delete from kiln.upload_session r where r.account_id = p_account_id and r.until <= kiln_internal.now();
    insert into kiln.upload_session (token, account_id, media_id, bytes, until)
    values (v_token, p_account_id, p_media_id, v_bytes, kiln_internal.now() + interval '1 minute');
    return jsonb_build_object('upload_session', v_token, 'reserved', v_bytes);
exception when unique_violation then
    raise exception 'another request is sending the bytes of this upload'
        using errcode = 'KN001', hint = 'Wait for its end; one that broke off is forgotten within a minute.';
end
$$;
comment on function kiln_internal.begin_upload_session(bigint, bigint, bigint) is
'Lets one request write so many bytes to the store: {upload_session, its token, and reserved, how many}. Of an
upload one at a time (KN001), with the bytes that were promised; without one (p_media_id null) as many as
there is room for, at most p_bytes. Its server calls extend_upload_session() each 20 seconds.';

create or replace function kiln_internal.extend_upload_session(p_token text)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    update kiln.upload_session r set until = kiln_internal.now() + interval '1 minute'
     where r.token = p_token
       and (r.media_id is null or exists (select from kiln.media m
                                           where m.media_id = r.media_id and m.state = 'uploading'
                                             and m.incoming_key is null));
    if not found then
        raise exception 'nobody waits for these bytes any more: the upload was deleted, or another request '
                        'sends them' using errcode = 'KN001';
    end if;
end
$$;
comment on function kiln_internal.extend_upload_session(text) is
'A request goes on receiving for another minute. KN001: its upload was deleted, or its time was over and
another has its place.';

create or replace function kiln_internal.end_upload_session(p_token text, p_media_id bigint default null)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    delete from kiln.upload_session r where r.token = p_token
       and (p_media_id is null or r.media_id = p_media_id);
    return found;
end
$$;
comment on function kiln_internal.end_upload_session(text, bigint) is
'A request has ended: what it held is free. False: it held nothing (of this upload).';

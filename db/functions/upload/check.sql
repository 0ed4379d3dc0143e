-- The end of a check.

-- What a check found good takes the place of what was sent: from here on it is this file that is used, and
-- the one that was looked at. Ready at once, in the transaction that names the file; a check that is claimed
-- once more has nothing left to do.
create or replace function kiln_internal.accept_upload(p_media_id bigint, p_job_id bigint, p_media jsonb)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    select m.* into v_media from kiln.media m where m.media_id = p_media_id and m.check_job_id = p_job_id
       for no key update;
    if not found then
        raise exception 'the upload % is gone', p_media_id using errcode = 'KN002';
    end if;
    if v_media.storage_key = p_media ->> 'storage_key' then
        return p_media_id;      -- the answer to an earlier call was lost with its link
    elsif v_media.state <> 'checking' then
        raise exception 'the upload % is %', p_media_id, v_media.state using errcode = 'KN001';
    end if;
    insert into kiln.trash (storage_key) values (v_media.incoming_key) on conflict do nothing;
    update kiln.media m
       set state = 'ready', incoming_key = null, storage_key = f.storage_key, thumbnail_key = f.thumbnail_key,
           content_type = f.content_type,
           media_type = f.media_type, bytes = f.bytes, sha256 = decode(f.sha256, 'hex'), width = f.width,
           height = f.height, duration_ms = f.duration_ms
      from jsonb_to_record(p_media) as f (media_type kiln.media_type, content_type text, bytes bigint,
                                          sha256 text, width int, height int,
                                          duration_ms bigint, storage_key text, thumbnail_key text)
     where m.media_id = p_media_id;
    insert into kiln.event (account_id, type, data)
    values (v_media.account_id, 'media.ready', jsonb_build_object('media_id', p_media_id::text));
    perform kiln_internal.end_wait(p_media_id);
    perform kiln_internal.notify_waiters(null);
    return p_media_id;
end
$$;
comment on function kiln_internal.accept_upload(bigint, bigint, jsonb) is
'The checked file of an upload: it is ready, what was sent goes to the trash, and the log says so. KN002:
deleted meanwhile; KN001: it is not being checked.';

create or replace function kiln_internal.reject_upload(p_job_id bigint, p_media_id bigint, p_reason text)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_account_id bigint;
begin
    insert into kiln.trash (storage_key)
    select m.incoming_key from kiln.media m where m.media_id = p_media_id and m.check_job_id = p_job_id
       and m.state = 'checking'
    on conflict do nothing;
    update kiln.media m
       set state = 'rejected', reason = coalesce(p_reason, 'The file could not be checked.'),
           incoming_key = null, sha256 = null
     where m.media_id = p_media_id and m.check_job_id = p_job_id and m.state = 'checking'
    returning m.account_id into v_account_id;
    if found then
        insert into kiln.event (account_id, type, data)
        values (v_account_id, 'media.rejected',
                jsonb_build_object('media_id', p_media_id::text,
                                   'reason', coalesce(p_reason, 'The file could not be checked.')));
        perform kiln_internal.end_wait(p_media_id, coalesce(p_reason, 'The file could not be checked.'));
    end if;
end
$$;
comment on function kiln_internal.reject_upload(bigint, bigint, text) is
'The end of a check that found a file bad, or could not be made: rejected, with the reason; the bytes go to
the trash, and the log says so.';

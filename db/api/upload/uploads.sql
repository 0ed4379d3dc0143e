-- Uploads: promised, received, checked, removed.
create or replace function kiln_internal.promise_upload(p_actor bigint, p_body text, p_is_direct boolean)
returns kiln.media
language plpgsql
set search_path = ''
as $$
declare
    v_body     jsonb := kiln_internal.parse_body(p_body);
    v_errors   jsonb := kiln_internal.unknown_fields(v_body, '{filename,content_type,bytes,md5}');
    v_type     text  := kiln_internal.canonical_type(kiln_internal.plain_field(v_body, 'content_type'));
    v_bytes    text  := kiln_internal.plain_field(v_body, 'bytes');
    v_name     text  := kiln_internal.plain_field(v_body, 'filename');
    v_md5      text  := kiln_internal.plain_field(v_body, 'md5');
    v_most     bigint;
    v_media    kiln.media;
    v_media_id bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_media_id := kiln_internal.begin_idempotent(p_actor, 'create_upload', p_body);
    if v_media_id is null then
        select c.upload_max_bytes into v_most from kiln.config c;
        if jsonb_typeof(v_body -> 'filename') is distinct from 'string'
           or not kiln_internal.is_visible(v_name) or length(v_name) > 255 then
            v_errors := v_errors || kiln_internal.field_error('/filename', 'must have 1 to 255 characters');
        end if;
        if not exists (select from kiln.content_type t where t.content_type = v_type and t.is_accepted) then
            v_errors := v_errors || kiln_internal.field_error('/content_type', 'must be one of '
                || (select string_agg(t.content_type, ', ' order by t.content_type) from kiln.content_type t
                     where t.is_accepted));
        end if;
        if jsonb_typeof(v_body -> 'bytes') is distinct from 'number' or v_bytes !~ '^[0-9]{1,12}$'
           or v_bytes::bigint not between 1 and v_most then
            v_errors := v_errors || kiln_internal.field_error('/bytes',
                                                              'must be a whole number from 1 to ' || v_most);
        end if;
        if v_md5 is not null and v_md5 !~ '^[A-Za-z0-9+/]{21}[AQgw]==$' then
            v_errors := v_errors || kiln_internal.field_error('/md5',
                                        'must be the MD5 of the bytes in base64, as in a Content-MD5 header');
        end if;
        perform kiln_internal.refuse_fields(v_errors);
        perform kiln_internal.require_room(p_actor, v_bytes::bigint);
        insert into kiln.media (account_id, role, state, media_type, content_type, bytes, filename, md5,
                                is_direct, incoming_key)
        values (p_actor, 'input', 'uploading', split_part(v_type, '/', 1)::kiln.media_type, v_type,
                v_bytes::bigint, v_name, decode(v_md5, 'base64'),
                p_is_direct, case when p_is_direct then kiln_internal.random_key() end)
        returning media_id into v_media_id;
        perform kiln_internal.end_idempotent(p_actor, 'create_upload', v_media_id);
    end if;
    select m.* into v_media from kiln.media m where m.media_id = v_media_id;
    if not found then
        raise exception 'the upload that this Idempotency-Key made was deleted' using errcode = 'KN002';
    end if;
    return v_media;
end
$$;
comment on function kiln_internal.promise_upload(bigint, text, boolean) is
'Checks what is announced ({filename, content_type, bytes, md5?}) and the account''s room, and makes the place
for it. Runs as its caller: row-level security stands behind it.';

create or replace function kiln_api.create_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media   kiln.media := kiln_internal.promise_upload(p_actor, p_body, false);
    v_expires bigint     := extract(epoch from kiln_internal.now() + (select c.upload_ttl
                                                                        from kiln.config c))::bigint;
begin
    return json_build_object(
        'media_id', v_media.media_id::text, 'method', 'PUT',
        'url', format('/api/v1/media/%s?exp=%s&sig=%s', v_media.media_id, v_expires,
                      kiln_internal.sign_link(v_media.media_id, 'upload', v_expires)),
        'headers', kiln_internal.upload_headers(v_media),
                             'expires_at', kiln_internal.render_time(to_timestamp(v_expires)));
end
$$;
comment on function kiln_api.create_upload(bigint, jsonb, jsonb, text) is
'POST /uploads/presign: {filename, content_type, bytes, md5?} promises a place and signs the way to it; the
URL binds size, type and md5. KN016: no room.';

create or replace function kiln_api.create_direct_upload(p_actor bigint, p_path jsonb, p_query jsonb,
                                                         p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media := kiln_internal.promise_upload(p_actor, p_body, true);
    v_ttl   interval   := (select c.upload_ttl from kiln.config c);
begin
    if not v_media.is_direct or v_media.state <> 'uploading' then
        raise exception 'the place that this Idempotency-Key promised is used already'
            using errcode = 'KN001';
    end if;
    return json_build_object(
        'media_id', v_media.media_id::text, 'storage_key', v_media.incoming_key, 'bytes', v_media.bytes,
        'headers', kiln_internal.upload_headers(v_media), 'expires_s', extract(epoch from v_ttl)::int,
                             'expires_at', kiln_internal.render_time(kiln_internal.now() + v_ttl));
end
$$;
comment on function kiln_api.create_direct_upload(bigint, jsonb, jsonb, text) is
'POST /uploads/presign where media are kept in S3: the same, with the key under which the server signs a way
past itself. KN001: a repeat, after the upload.';

create or replace function kiln_internal.upload_headers(p_media kiln.media)
returns jsonb
language sql stable
return jsonb_build_object('Content-Type', p_media.content_type)
    || case when p_media.md5 is null then '{}'
            else jsonb_build_object('Content-MD5', encode(p_media.md5, 'base64')) end;
comment on function kiln_internal.upload_headers(kiln.media) is
'The headers that an upload must carry, besides its length.';

create or replace function kiln_internal.find_upload(p_path jsonb, p_query jsonb)
returns kiln.media
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    perform kiln_internal.check_link(kiln_internal.parse_id(p_path ->> 'id'), 'upload', p_query);
    select m.* into v_media from kiln.media m where m.media_id = kiln_internal.parse_id(p_path ->> 'id')
       for no key update;
    if not found then
        raise exception 'there is no such upload' using errcode = 'KN002';
    end if;
    if v_media.state <> 'uploading' or v_media.incoming_key is not null then
        raise exception 'the bytes of this upload have come: what was checked is what is used'
            using errcode = 'KN001';
    end if;
    return v_media;
end
$$;
comment on function kiln_internal.find_upload(jsonb, jsonb) is
'The upload a signed link leads to, locked. KN001: its bytes have come already; KN008: forged or expired
link.';

create or replace function kiln_api.begin_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media := kiln_internal.find_upload(p_path, p_query);
begin
    return jsonb_build_object('content_type', v_media.content_type, 'bytes', v_media.bytes,
                              'md5', encode(v_media.md5, 'base64'))
        || kiln_internal.begin_upload_session(v_media.account_id, v_media.media_id, v_media.bytes);
end
$$;
comment on function kiln_api.begin_upload(bigint, jsonb, jsonb, text) is
'PUT /media/{id}, before the bytes: what was announced, and the token of this request. KN001: another request
is sending them.';

create or replace function kiln_api.finish_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media := kiln_internal.find_upload(p_path, p_query);
    v_found jsonb      := kiln_internal.parse_body(p_body);
begin
    if not kiln_internal.end_upload_session(v_found ->> 'upload_session', v_media.media_id) then
        raise exception 'this request lost the upload to another'
            using errcode = 'KN001', hint = 'It was silent for a minute.';
    end if;
    return kiln_internal.store_upload(v_media.media_id, v_found);
end
$$;
comment on function kiln_api.finish_upload(bigint, jsonb, jsonb, text) is
'PUT /media/{id}, after the bytes: {upload_session, storage_key, bytes, sha256, content_type}: the token of
begin_upload, and what the server found. Returns the media, still uploading: complete says go. KN001: the
token is not the one that may.';

create or replace function kiln_internal.store_upload(p_media_id bigint, p_found jsonb)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    update kiln.media m
       set incoming_key = p_found ->> 'storage_key', bytes = (p_found ->> 'bytes')::bigint,
           sha256 = decode(p_found ->> 'sha256', 'hex')
     where m.media_id = p_media_id and m.state = 'uploading'
    returning m.* into v_media;
    return kiln_internal.render_media(v_media);
end
$$;
comment on function kiln_internal.store_upload(bigint, jsonb) is
'Records the bytes that came for an upload; nothing uses them before they are checked.';

create or replace function kiln_api.complete_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media_id bigint := kiln_internal.parse_id(p_path ->> 'id');
begin
    perform kiln_internal.require_actor(p_actor);
    if not exists (select from kiln.media m where m.media_id = v_media_id and m.account_id = p_actor
                      and m.role = 'input') then
        raise exception 'there is no such upload' using errcode = 'KN002';
    end if;
    return kiln_internal.check_upload(v_media_id);
end
$$;
comment on function kiln_api.complete_upload(bigint, jsonb, jsonb, text) is
'POST /uploads/{media_id}/complete: the bytes are there; a task looks at them. Returns the media: checking,
and when it is asked again what became of them. KN001: no bytes have come.';

create or replace function kiln_api.get_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_media_id bigint := kiln_internal.parse_id(p_path ->> 'id');
begin
    perform kiln_internal.require_actor(p_actor);
    if not exists (select from kiln.media m where m.media_id = v_media_id and m.account_id = p_actor
                      and m.role = 'input') then
        raise exception 'there is no such upload' using errcode = 'KN002';
    end if;
    return kiln_internal.render_upload(v_media_id);
end
$$;
comment on function kiln_api.get_upload(bigint, jsonb, jsonb, text) is
'GET /uploads/{media_id}: what became of it, for who has no stream. KN002: not there, or not yours.';

create or replace function kiln_internal.render_upload(p_media_id bigint)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    select m.* into v_media from kiln.media m where m.media_id = p_media_id;
    return kiln_internal.render_media(v_media);
end
$$;
comment on function kiln_internal.render_upload(bigint) is
'An upload, as its owner sees it. The caller has checked whose it is.';

-- The job is the operator's (so its events are in nobody else's stream), its task's turn the uploader's (so
-- that who sends ten thousand files does not keep the others waiting). As kiln.enqueue(), which knows one
-- account for both.
create or replace function kiln_internal.check_upload(p_media_id bigint)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_media    kiln.media;
    v_operator bigint := kiln_internal.operator_account();
    v_pipeline kiln.pipeline;
    v_job_id   bigint;
begin
    select m.* into v_media from kiln.media m where m.media_id = p_media_id for no key update;
    if not found then
        raise exception 'there is no such upload' using errcode = 'KN002';
    elsif v_media.state <> 'uploading' then
        return kiln_internal.render_media(v_media);
    elsif v_media.incoming_key is null then
        raise exception 'no bytes have come for this upload yet'
            using errcode = 'KN001', hint = 'Send them to the URL that POST /uploads/presign gave.';
    end if;
    select p.* into v_pipeline from kiln.pipeline p where p.name = 'upload';
    insert into kiln.job (account_id, pipeline_version_id, stages, priority, kind, input)
    values (v_operator, v_pipeline.pipeline_version_id, v_pipeline.stages, 2, 'upload',
            jsonb_build_object('upload', p_media_id::text, 'content_type', v_media.content_type,
                               'bytes', v_media.bytes))
    returning job_id into v_job_id;
    insert into kiln.task_ready (task_id, job_id, account_id, virtual_time, pipeline_version_id, queue_id,
                                 priority, stage)
    select kiln_internal.task_id(v_job_id, 1), v_job_id, v_media.account_id,
           coalesce((select r.virtual_time from kiln.task_ready r
                      where r.queue_id = f.queue_id and r.priority = f.priority
                        and r.account_id = v_media.account_id and r.virtual_time > f.next_virtual_time
                      order by r.virtual_time desc limit 1), f.next_virtual_time) + 1,
           v_pipeline.pipeline_version_id, v_pipeline.queue_id, 2, 1
      from kiln.low_watermark f
     where f.queue_id = v_pipeline.queue_id and f.priority = 2;
    insert into kiln.event (account_id, job_id, version, type) values (v_operator, v_job_id, 1, 'job.queued');
    update kiln.media m set state = 'checking', check_job_id = v_job_id where m.media_id = p_media_id
 returning m.* into v_media;
    if exists (select from kiln.waiter) then
        perform kiln_internal.notify_waiters(array[v_pipeline.queue_id]);
    end if;
    return kiln_internal.render_media(v_media);
end
$$;
comment on function kiln_internal.check_upload(bigint) is
'Has a runner look at what was sent: a job of the pipeline upload, the operator''s. Once: the rendered media,
as they are now. KN001: no bytes have come.';

create or replace function kiln_api.delete_upload(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_media_id bigint := kiln_internal.parse_id(p_path ->> 'id');
begin
    perform kiln_internal.require_actor(p_actor);
    if not exists (select from kiln.media m where m.media_id = v_media_id and m.account_id = p_actor
                      and m.role = 'input' and m.job_id is null) then
        raise exception 'there is no such upload' using errcode = 'KN002';
    end if;
    if kiln_internal.media_in_use(p_actor, array[v_media_id]) <> '{}' then
        raise exception 'a job that has not ended uses this upload'
            using errcode = 'KN001', hint = 'Cancel the job, or wait for its end.';
    end if;
    perform kiln.remove_upload(p_actor, v_media_id);
    return null;
end
$$;
comment on function kiln_api.delete_upload(bigint, jsonb, jsonb, text) is
'DELETE /uploads/{media_id}: the row, and (by a runner, within seconds) its files. KN001: a job that has not
ended uses it, or a project has it.';

create or replace function kiln.remove_upload(p_account_id bigint, p_media_id bigint)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    delete from kiln.media m where m.media_id = p_media_id and m.account_id = p_account_id
       and m.job_id is null;
exception when foreign_key_violation then
    raise exception 'this upload is an original of a project'
        using errcode = 'KN001', hint = 'Take it out of the project first; that has no images of it then.';
end
$$;
comment on function kiln.remove_upload(bigint, bigint) is
'Deletes an upload of an account. KN001: a project uses it as an original.';

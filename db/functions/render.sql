-- How things look to clients. SQL signs media paths when it renders; events hold ids only. Plpgsql, since it keeps its plans: the
-- same helpers in `language sql` were planned anew at each call and cost five times as much.
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
comment on function kiln_internal.sign_link(bigint, text, bigint) is 'HMAC-SHA256, in hex, over id, variant and expiry (seconds since 1970) of a media link.';

create or replace function kiln_internal.media_link(p_media_id bigint, p_variant text default '')
returns text
language plpgsql stable
set search_path = ''
as $$
declare
    v_expires bigint;
begin
    select ceil(extract(epoch from kiln_internal.now() + c.link_ttl) / 3600) * 3600 into v_expires from kiln.config c;
    return '/api/v1/media/' || p_media_id || '?' || case when p_variant <> '' then 'variant=' || p_variant || '&' else '' end
        || 'exp=' || v_expires || '&sig=' || kiln_internal.sign_link(p_media_id, p_variant, v_expires);
end
$$;
comment on function kiln_internal.media_link(bigint, text) is
'A signed path to a stored file or (variant thumbnail) to its small picture or (clean) to the same without its label. Its expiry is rounded up to the hour, so that a browser''s cache can keep it.';

create or replace function kiln_internal.check_link(p_media_id bigint, p_variant text, p_query jsonb)
returns void
language plpgsql stable
set search_path = ''
as $$
begin
    if coalesce(p_query ->> 'exp', '') !~ '^[0-9]{1,12}$' or p_query ->> 'sig' is null
       or sha256(convert_to(p_query ->> 'sig', 'UTF8'))         -- hashed, so that the comparison tells nothing by its time
          <> sha256(convert_to(kiln_internal.sign_link(p_media_id, p_variant, (p_query ->> 'exp')::bigint), 'UTF8')) then
        raise exception 'this link was not signed here' using errcode = 'KN008';
    end if;
    if (p_query ->> 'exp')::bigint < extract(epoch from kiln_internal.now()) then
        raise exception 'this link has expired' using errcode = 'KN008';
    end if;
end
$$;
comment on function kiln_internal.check_link(bigint, text, jsonb) is 'Refuses a forged or expired link (KN008).';

create or replace function kiln_internal.render_time(p_at timestamptz)
returns text
language sql stable
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function kiln_internal.render_time(timestamptz) is 'RFC 3339, in UTC, with milliseconds.';

create or replace function kiln_internal.render_media(p_media kiln.media)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return jsonb_build_object(
        'id', p_media.media_id::text, 'media_type', p_media.media_type, 'state', p_media.state, 'content_type', p_media.content_type,
        'bytes', p_media.bytes, 'sha256', encode(p_media.sha256, 'hex'), 'width', p_media.width, 'height', p_media.height,
        'duration_ms', p_media.duration_ms,
        'url', case when p_media.state = 'ready' then kiln_internal.media_link(p_media.media_id) end,
        'thumbnail_url', case when p_media.thumbnail_key is not null then kiln_internal.media_link(p_media.media_id, 'thumbnail') end)
        || case when p_media.clean_key is null then '{}' else jsonb_build_object('clean_url', kiln_internal.media_link(p_media.media_id, 'clean')) end
        || case when p_media.reason is null then '{}' else jsonb_build_object('reason', p_media.reason) end;
end
$$;
comment on function kiln_internal.render_media(kiln.media) is 'Media, as their owner sees them; reason only where they were rejected, clean_url only where there is the same without its label.';

create or replace function kiln_internal.render_media_list(p_account_id bigint, p_ids jsonb)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    if p_ids is null or p_ids = '[]' or jsonb_typeof(p_ids) <> 'array' then
        return '[]';
    end if;
    return coalesce((select jsonb_agg(kiln_internal.render_media(m) order by i.n)
                       from (select g.n, p_ids ->> g.n as id from generate_series(0, least(jsonb_array_length(p_ids), 100) - 1) as g (n)) i
                      cross join lateral (select x from kiln.media x
                                           where x.media_id = case when i.id ~ '^[0-9]{1,18}$' then i.id::bigint end and x.account_id = p_account_id limit 1) as l (m)), '[]');
end
$$;
comment on function kiln_internal.render_media_list(bigint, jsonb) is 'The media of an array of ids, the first hundred, as clients see them; what is gone is left out.';

create or replace function kiln_internal.queue_position(p_job_id bigint)
returns int
language plpgsql stable
set search_path = ''
as $$
declare
    v_task  kiln.task;
    v_ahead int;
begin
    select t.* into v_task from kiln.task_ready t where t.task_id = kiln_internal.task_id(p_job_id, 1);
    if not found then
        return null;
    end if;
    select count(*) into v_ahead
      from (select from kiln.task_ready t
             where t.queue_id = v_task.queue_id and t.interruptions < 2
               and (t.priority > v_task.priority or t.priority = v_task.priority and (t.virtual_time, t.task_id) < (v_task.virtual_time, v_task.task_id))
             limit 1000) as ahead;
    return case when v_ahead < 1000 then v_ahead + 1 end;
end
$$;
comment on function kiln_internal.queue_position(bigint) is 'Which in its queue a job that has not started is: 1 is next; null beyond 1,000, or when it does not wait.';

create or replace function kiln_internal.render_job(p_job kiln.job)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_model   text;
    v_stage   text;
    v_at      smallint := 1;
    v_tries   int := 0;
    v_fraction real;
    v_label   text;
    v_outputs jsonb := '[]';
    v_money   text;
    v_id      text := p_job.job_id;
    v_self    text := '/api/v1/' || case p_job.kind when 'tryon' then 'tryons' when 'staging' then 'images' else 'generations' end || '/' || p_job.job_id;
begin
    select m.name into v_model from kiln.model m where m.model_id = p_job.model_id;
    select c.currency into v_money from kiln.config c;
    if p_job.state <> 'queued' then
        select coalesce(max(t.stage), 1), coalesce(sum(t.attempts) + count(*) filter (where t.state = 'running'), 0), max(t.fraction), max(t.label)
          into v_at, v_tries, v_fraction, v_label
          from kiln.task t
         where t.task_id between kiln_internal.task_id(p_job.job_id, 0) and kiln_internal.task_id(p_job.job_id, 99, 99);
    end if;
    select s.name into v_stage from kiln.stage s where s.pipeline_version_id = p_job.pipeline_version_id and s.position = v_at;
    if p_job.output ? 'media' then
        v_outputs := kiln_internal.render_media_list(p_job.account_id, p_job.output -> 'media');
    end if;
    return json_build_object(
        'id', v_id, 'kind', p_job.kind, 'media_type', p_job.media_type, 'state', p_job.state,
        'prompt', p_job.input ->> 'prompt', 'model', v_model, 'params', coalesce(p_job.input -> 'params', '{}'), 'seed', p_job.input ->> 'seed',
        'progress', json_build_object(
            'fraction', case p_job.state when 'completed' then 1
                                         else round(((v_at - 1 + coalesce(v_fraction, 0)) / p_job.stages)::numeric, 3) end,
            'stage', v_at, 'stages', p_job.stages, 'label', coalesce(v_label, v_stage)),
        'queue_position', case when p_job.state = 'queued' then kiln_internal.queue_position(p_job.job_id) end,
        'attempts', v_tries,
        'cost', json_build_object('estimated', p_job.estimated_micros, 'actual', p_job.actual_micros, 'currency', v_money),
        'error', case when p_job.error_code is not null then
            json_build_object('code', p_job.error_code, 'message', p_job.error_message, 'charged', coalesce(p_job.actual_micros, 0) > 0) end,
        'media', kiln_internal.render_media_list(p_job.account_id, p_job.input -> 'media'),
        'outputs', v_outputs,
        'result_url', v_outputs -> 0 ->> 'url',
        'parent_id', p_job.parent_id::text, 'version', p_job.version,
        'created_at', kiln_internal.render_time(p_job.created_at), 'started_at', kiln_internal.render_time(p_job.started_at),
        'finished_at', kiln_internal.render_time(p_job.finished_at),
        'links', json_build_object('self', v_self, 'events', '/api/v1/events', 'cancel', v_self || '/cancel', 'retry', v_self || '/retry'));
end
$$;
comment on function kiln_internal.render_job(kiln.job) is 'A job, as clients see it: the Job of the public contract. The caller has checked whose it is.';

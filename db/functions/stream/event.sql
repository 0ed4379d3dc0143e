-- Events as clients see them.
create or replace function kiln_internal.render_event(p_type kiln.event_type, p_job_id bigint, p_version int,
                                                      p_data jsonb, p_at timestamptz)
returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job   kiln.job;
    v_stage text;
    v_media kiln.media;
    v_json  jsonb;
begin
    if p_job_id is null then
        v_json := jsonb_build_object('type', p_type, 'at', kiln_internal.render_time(p_at));
        if p_data ? 'media_id' then
            select m.* into v_media from kiln.media m where m.media_id = (p_data ->> 'media_id')::bigint;
            v_json := v_json || p_data || case when found
                                                   then jsonb_build_object('media',
                                                        kiln_internal.render_media(v_media)) else '{}' end;
        elsif p_data ? 'conversation_id' then
            v_json := v_json || kiln_internal.render_chat_event(p_data);
        elsif p_type in ('notification', 'notification.read') and p_data ? 'to' then
            v_json := v_json || kiln_internal.render_notification_event(p_data);
        else
            v_json := v_json || coalesce(p_data, '{}');
        end if;
        return v_json::text;
    end if;

    select j.* into v_job from kiln.job j where j.job_id = p_job_id;
    v_json := jsonb_build_object('type', p_type, 'job_id', p_job_id::text, 'kind', v_job.kind,
                                 'media_type', v_job.media_type,
        'state', kiln_internal.event_state(p_type),
        'version', p_version, 'at', kiln_internal.render_time(p_at));
    if p_type = 'job.progress' then
        select s.name into v_stage from kiln.stage s
         where s.pipeline_version_id = v_job.pipeline_version_id and s.position = (p_data ->> 'stage')::int;
        v_json := v_json || jsonb_build_object('progress', jsonb_build_object(
            'fraction', round((((p_data ->> 'stage')::int - 1 + coalesce((p_data ->> 'fraction')::numeric,
                                                        0)) / v_job.stages), 3),
            'stage', (p_data ->> 'stage')::int, 'stages', v_job.stages,
                                                        'label', coalesce(p_data ->> 'label', v_stage)));
    elsif p_data ? 'code' then
        v_json := v_json || jsonb_build_object('error', p_data);
    elsif p_type = 'job.completed' then
        select m.* into v_media from kiln.media m
         where m.media_id = case when v_job.output -> 'media' ->> 0 ~ '^[0-9]{1,18}$'
                                     then (v_job.output -> 'media' ->> 0)::bigint end
           and m.account_id = v_job.account_id;
        v_json := v_json || jsonb_build_object('result_url', case when found
                                                          then kiln_internal.media_link(v_media.media_id) end,
            'thumbnail_url', case when v_media.thumbnail_key is not null
                                      then kiln_internal.media_link(v_media.media_id, 'thumbnail') end);
    end if;
    return v_json::text;
end
$$;
comment on function kiln_internal.render_event(kiln.event_type, bigint, int, jsonb, timestamptz) is
'An event as the stream sends it: one line of JSON, with signed links.';

-- Of which state of a job an event tells; null for others.
create or replace function kiln_internal.event_state(p_type kiln.event_type)
returns text
language sql stable
return case p_type when 'job.started' then 'running' when 'job.progress' then 'running'
                   else case when p_type::text like 'job.%' then substr(p_type::text, 5) end end;
comment on function kiln_internal.event_state(kiln.event_type) is
'The state of the job after an event of this type; null where it is about no job.';

-- Clients of a former timeline of this cluster are told so by a row and not by an error, which would take
-- back what was noted.
create or replace function kiln_internal.render_reset()
returns text
language sql stable
return jsonb_build_object('type', 'reset', 'at', kiln_internal.render_time(kiln_internal.now()))::text;
comment on function kiln_internal.render_reset() is
'What a stream says where it cannot go on from the position that was handed in.';

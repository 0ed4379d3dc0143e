-- A job as clients see it.
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
    v_self    text := '/api/v1/' || case p_job.kind when 'tryon' then 'tryons' when 'staging' then 'images'
                                         else 'generations' end || '/' || p_job.job_id;
begin
    select m.name into v_model from kiln.model m where m.model_id = p_job.model_id;
    select c.currency into v_money from kiln.config c;
    if p_job.state <> 'queued' then
        select coalesce(max(t.stage), 1),
               coalesce(sum(t.attempts) + count(*) filter (where t.state = 'running'), 0), max(t.fraction),
               max(t.label)
          into v_at, v_tries, v_fraction, v_label
          from kiln.task t
         where t.task_id between kiln_internal.task_id(p_job.job_id,
                                                       0) and kiln_internal.task_id(p_job.job_id, 99, 99);
    end if;
    select s.name into v_stage from kiln.stage s where s.pipeline_version_id = p_job.pipeline_version_id
       and s.position = v_at;
    if p_job.output ? 'media' then
        v_outputs := kiln_internal.render_media_list(p_job.account_id, p_job.output -> 'media');
    end if;
    return json_build_object(
        'id', v_id, 'kind', p_job.kind, 'media_type', p_job.media_type, 'state', p_job.state,
        'prompt', p_job.input ->> 'prompt', 'model', v_model,
                             'params', coalesce(p_job.input -> 'params', '{}'),
                             'seed', p_job.input ->> 'seed',
        'progress', json_build_object(
            'fraction', case p_job.state when 'completed' then 1
                                         else round(((v_at - 1 + coalesce(v_fraction,
                                                        0)) / p_job.stages)::numeric, 3) end,
            'stage', v_at, 'stages', p_job.stages, 'label', coalesce(v_label, v_stage)),
        'queue_position', case when p_job.state = 'queued'
                                   then kiln_internal.queue_position(p_job.job_id) end,
        'attempts', v_tries,
        'cost', json_build_object('estimated', p_job.estimated_micros, 'actual', p_job.actual_micros,
                                  'currency', v_money),
        'error', case when p_job.error_code is not null then
            json_build_object('code', p_job.error_code, 'message', p_job.error_message,
                              'charged', coalesce(p_job.actual_micros, 0) > 0) end,
        'media', kiln_internal.render_media_list(p_job.account_id, p_job.input -> 'media'),
        'outputs', v_outputs,
        'result_url', v_outputs -> 0 ->> 'url',
        'parent_id', p_job.parent_id::text, 'version', p_job.version,
        'created_at', kiln_internal.render_time(p_job.created_at),
                             'started_at', kiln_internal.render_time(p_job.started_at),
        'finished_at', kiln_internal.render_time(p_job.finished_at),
        'links', json_build_object('self', v_self, 'events', '/api/v1/events', 'cancel', v_self || '/cancel',
                                   'retry', v_self || '/retry'));
end
$$;
comment on function kiln_internal.render_job(kiln.job) is
'A job, as clients see it: the Job of the public contract. The caller has checked whose it is.';

-- A person's word about a held job. Kept with who said it and why (kiln.resolution).
create or replace function kiln_internal.lock_task(p_task_id bigint)
returns kiln.task
language plpgsql
as $$
declare
    v_task kiln.task;
begin
    for v_try in 1..20
    loop
        begin
            select t.* into v_task from kiln.task t where t.task_id = p_task_id for no key update;
            return v_task;
        exception when serialization_failure then
            null;           -- it moved to another partition while we waited for it: look where it is now
        end;
    end loop;
    select t.* into v_task from kiln.task t where t.task_id = p_task_id for no key update;
    return v_task;
end
$$;
comment on function kiln_internal.lock_task(bigint) is
'A task, locked, in whatever state it is; null where there is none.';

create or replace function kiln.resolve_job(p_job_id bigint, p_action text, p_reason text,
                                            p_output jsonb default null, p_actor text default session_user)
returns kiln.job_state
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_task     kiln.task;
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
    v_call     kiln.call;
    v_id       text;
begin
    select j.* into v_job from kiln.job j where j.job_id = p_job_id;
    if not found then
        raise exception 'there is no job %', p_job_id using errcode = 'KN002';
    end if;
    perform kiln_internal.refuse_fields(
        case when p_action in ('fetch', 'resend', 'fail', 'adopt') then '[]'
             else kiln_internal.field_error('/action', 'must be fetch, resend, fail or adopt') end
        || case when length(btrim(coalesce(p_reason, ''))) between 1 and 2000 then '[]'::jsonb
                else kiln_internal.field_error('/reason', 'is required: why, in a sentence') end
        || case when p_action is distinct from 'adopt' or jsonb_typeof(p_output) = 'object'
                and p_output <> '{}' then '[]'::jsonb
                else kiln_internal.field_error('/output',
                            'must be {"request_id": "…"}, or the output that the stage would have made') end);
    select t.* into v_task from kiln.task_held t
     where t.task_id between kiln_internal.task_id(p_job_id, 0) and kiln_internal.task_id(p_job_id, 99, 99)
     order by t.task_id limit 1;
    if found then
        v_task := kiln_internal.lock_task(v_task.task_id);
        select j.* into v_job from kiln.job j where j.job_id = p_job_id for no key update;
    end if;
    if v_job.state <> 'held' or v_task.state is distinct from 'held' then
        raise exception 'job % is %: only a held one is resolved', p_job_id, v_job.state
            using errcode = 'KN001';
    end if;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id
       and s.position = v_task.stage;
    select c.* into v_call from kiln.call c where c.task_id = v_task.task_id order by c.number desc limit 1
       for no key update;
    select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;
    v_id := case when p_action = 'adopt' and p_output - 'request_id' = '{}'
                     then p_output ->> 'request_id' end;

    if p_action in ('resend', 'fail') and v_call.state <> 'settled'
       and kiln_internal.now() < v_call.timeout_at then
        raise exception 'the call of job % may still be answered until %', p_job_id,
            to_char(v_call.timeout_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC')
            using errcode = 'KN014',
                  hint = format('Say it again after %s: who sent it may have been asleep.',
                                to_char(v_call.timeout_at at time zone 'UTC', 'HH24:MI:SS UTC'));
    elsif p_action = 'fetch' and not coalesce(v_task.error_class = 'lost'
                                              and (v_call.outcome = 'succeeded'
                                                   and v_call.late_outcome is null
                                                   or v_call.state = 'accepted'), false) then
        raise exception 'job % has no paid result that could be asked for', p_job_id
            using errcode = 'KN001', hint = 'Adopt an output, resend, or fail.';
    elsif v_id is not null and (v_call.call_id is null or v_call.state = 'settled') then
        raise exception 'job % has no call whose outcome is open: a request id cannot be adopted', p_job_id
            using errcode = 'KN001', hint = 'Adopt an output, resend, or fail.';
    elsif v_id is not null and v_provider.poll is null then
        raise exception 'provider % cannot be asked how a request stands: a request id cannot be adopted',
            v_provider.name using errcode = 'KN001', hint = 'Adopt an output.';
    end if;

    insert into kiln.resolution (job_id, task_id, call_id, action, reason, output, actor)
    values (p_job_id, v_task.task_id, v_call.call_id, p_action, btrim(p_reason), p_output, p_actor);

    if p_action = 'fetch' then
        update kiln.call c set fetches = 0 where c.call_id = v_call.call_id;
        update kiln.task t set state = 'ready' where t.task_id = v_task.task_id and t.state = 'held';
    elsif v_id is not null then
        update kiln.call c set provider_request_id = v_id, urls = null where c.call_id = v_call.call_id
     returning c.* into v_call;
        perform kiln_internal.accept_call(v_call, v_task, v_job, v_stage, v_provider, v_id, null, null, null,
                                          '0');
        update kiln.task t set state = 'ready' where t.task_id = v_task.task_id and t.state = 'held';
    elsif p_action = 'adopt' then
        if v_call.state <> 'settled' then
            v_call := kiln_internal.settle_call(v_call, v_provider, 'succeeded', p_result => p_output);
        end if;
        update kiln.call c set classified_at = kiln_internal.now()
         where c.call_id = v_call.call_id and c.classified_at is null;
        update kiln.task t set state = 'done', output = p_output
         where t.task_id = v_task.task_id and t.state = 'held';
    else
        if v_call.state <> 'settled' then
            v_call := kiln_internal.settle_call(v_call, v_provider, 'failed', 'unknown', 'resolved',
                                                format('%s by %s: %s', initcap(p_action), p_actor,
                                                       btrim(p_reason)));
        elsif p_action = 'resend' and v_call.outcome = 'succeeded' then
            -- Paid, and what it made cannot be had: with the person's word it is made once more.
            update kiln.call c set late_at = kiln_internal.now(), late_outcome = 'abandoned'
             where c.call_id = v_call.call_id;
        end if;
        update kiln.call c set classified_at = kiln_internal.now()
         where c.call_id = v_call.call_id and c.classified_at is null;
        if p_action = 'resend' then
            update kiln.task t set state = 'ready' where t.task_id = v_task.task_id and t.state = 'held';
        else
            update kiln.task t set state = 'failed', error_class = 'operator',
                   error_message = format('Failed by %s: %s', p_actor,
                                          kiln_internal.shorten(btrim(p_reason), 1000))
             where t.task_id = v_task.task_id and t.state = 'held';
        end if;
    end if;
    return (select j.state from kiln.job j where j.job_id = p_job_id);
end
$$;
comment on function kiln.resolve_job(bigint, text, text, jsonb, text) is
'Decides about a held job. The reason is kept in kiln.resolution. p_action is one of:
fetch: ask for the paid result again. resend: make the call again, which may be paid twice. fail: give the
job up.
adopt: continue with p_output, either {"request_id": "…"} (the provider knows the call by that id) or the
output of the stage.
Returns the state of the job. KN001: it is not held. KN002: there is no such job. KN003: fields of p_output.
KN014: the call may still be answered (resend and fail, before its time-out).';

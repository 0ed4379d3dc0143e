-- What a runner reports of a request.
create or replace function kiln_internal.accept_call(p_call kiln.call, p_task kiln.task, p_job kiln.job,
                                                     p_stage kiln.stage, p_provider kiln.provider,
                                            p_request_id text, p_urls jsonb, p_position int default null,
                                                     p_fraction real default null, p_in interval default null)
returns kiln.call
language plpgsql
as $$
declare
    v_call kiln.call;
begin
    update kiln.call c
       set state = 'accepted', provider_request_id = coalesce(c.provider_request_id, p_request_id),
           urls = coalesce(p_urls, c.urls),
           queue_position = p_position, fraction = p_fraction,
           accepted_at = coalesce(c.accepted_at, kiln_internal.now()), why = null,
           expires_at = kiln_internal.now() + p_stage.time_limit,
           cancel_requested_at = case when p_job.finished_at is not null or p_job.state = 'cancelling'
                                          then coalesce(c.cancel_requested_at, kiln_internal.now())
                                      else c.cancel_requested_at end
     where c.call_id = p_call.call_id
    returning c.* into v_call;
    perform kiln_internal.schedule_poll(v_call, p_task, p_job, p_stage, p_provider,
                            coalesce(p_in, case when v_call.cancel_requested_at is not null
                                                    then interval '0' end));
    select c.* into v_call from kiln.call c where c.call_id = p_call.call_id;
    return v_call;
end
$$;
comment on function kiln_internal.accept_call(kiln.call, kiln.task, kiln.job, kiln.stage, kiln.provider, text,
                                              jsonb, int, real, interval) is
'The provider has it: from now on it is asked about, and never sent again.';

create or replace function kiln_internal.schedule_poll(p_call kiln.call, p_task kiln.task, p_job kiln.job,
                                                       p_stage kiln.stage, p_provider kiln.provider,
                                                       p_in interval default null)
returns void
language plpgsql
as $$
declare
    v_every int := greatest(coalesce((p_provider.poll ->> 'every_ms')::int, 2000), 50);
begin
    if p_call.state = 'accepted' and p_provider.poll is not null then
        update kiln.call c
           set poll_request = kiln_internal.compose(p_provider, 'poll',
                                                    kiln_internal.request_context(p_task, p_job, p_stage,
                                                        p_provider, p_call))
         where c.call_id = p_call.call_id;
    elsif not (p_call.state = 'unknown' and p_provider.lookup is not null
               or p_call.cancel_requested_at is not null and p_provider.cancel is not null) then
        return;         -- only a webhook, or the end of its time, tells more
    end if;
    insert into kiln.poll (call_id, provider_id, poll_at, every_ms, max_ms)
    values (p_call.call_id, p_call.provider_id,
            kiln_internal.now() + coalesce(p_in, v_every * interval '1 millisecond'), v_every,
            greatest(coalesce((p_provider.poll ->> 'max_every_ms')::int, 15000), v_every))
    on conflict (call_id) do update set poll_at = least(poll.poll_at, excluded.poll_at), answer_hash = null;
end
$$;
comment on function kiln_internal.schedule_poll(kiln.call, kiln.task, kiln.job, kiln.stage, kiln.provider,
                                                interval) is
'Has a call asked about: how it stands, or, where its outcome is unknown, whether the provider knows it at
all.';

-- The provider's word about a request that was sent: recorded whoever brings it, and whatever became of the
-- task meanwhile. Returns why its outcome is not known, or null where it is.
create or replace function kiln_internal.record_submit(p_task kiln.task, p_job kiln.job, p_stage kiln.stage,
                                                       p_provider kiln.provider, p_call kiln.call,
                                                       p_answer jsonb, p_media bigint[])
returns text
language plpgsql
as $$
declare
    v_reply record;
    v_call  kiln.call;
    v_code  text := p_answer -> 'error' ->> 'code';
begin
    if p_answer -> 'error' is not null then
        v_call.error_message := coalesce(p_answer -> 'error' ->> 'message', v_code, 'The request failed.');
        if (p_answer -> 'error' ->> 'was_sent')::boolean is not false or p_call.sends > 1 then
            return format('The reply of %s was lost: %s.', p_provider.name, rtrim(v_call.error_message, '.'));
        end if;
        perform kiln_internal.settle_call(p_call, p_provider, 'not_sent',
                                 case when v_code in ('host', 'address', 'file') then 'invalid'
                                      else 'transient' end,
                                 v_code, v_call.error_message, true);
        return null;
    end if;
    v_reply := kiln_internal.read_reply(p_provider, p_stage.config, 'submit', (p_answer ->> 'status')::int,
                                        coalesce(p_answer -> 'headers', '{}'), p_answer ->> 'body');
    if v_reply.outcome in ('accepted', 'queued', 'running')
       and (v_reply.request_id is not null or v_reply.urls is not null) then
        perform kiln_internal.accept_call(p_call, p_task, p_job, p_stage, p_provider, v_reply.request_id,
                                          v_reply.urls, v_reply.queue_position, v_reply.fraction);
        return null;
    elsif v_reply.outcome = 'succeeded' then
        if v_reply.request_id is not null then
            update kiln.call c set provider_request_id = v_reply.request_id where c.call_id = p_call.call_id;
        end if;
        perform kiln_internal.settle_call(p_call, p_provider, 'succeeded', null, null, null,
                                          v_reply.is_unbilled, v_reply.cost_micros, v_reply.result, p_media);
        return null;
    elsif v_reply.outcome in ('failed', 'cancelled')
          and (p_call.sends = 1 or v_reply.request_id is not null)
          and (v_reply.is_unbilled or v_reply.request_id is not null or (p_answer ->> 'status')::int = 429
               or not p_provider.is_paid) then
        if v_reply.request_id is not null then
            update kiln.call c set provider_request_id = v_reply.request_id where c.call_id = p_call.call_id;
        end if;
        perform kiln_internal.settle_call(p_call, p_provider, v_reply.outcome,
                                 case when (p_answer ->> 'status')::int = 429
                                          then coalesce(v_reply.error_class, 'rate_limited')
                                      else v_reply.error_class end,
                                 v_reply.error_code, v_reply.error_message,
                                 v_reply.is_unbilled or (p_answer ->> 'status')::int = 429
                                          and v_reply.request_id is null, v_reply.cost_micros, v_reply.result,
                                          p_media);
        return null;
    end if;
    return format('Provider %s answered %s: %s.', p_provider.name,
                  coalesce(p_answer ->> 'status', 'something'),
                  rtrim(coalesce(v_reply.error_message,
                                 'that tells neither that it has the request nor that it costs nothing'),
                        '.'));
end
$$;
comment on function kiln_internal.record_submit(kiln.task, kiln.job, kiln.stage, kiln.provider, kiln.call,
                                                jsonb, bigint[]) is
'Records the answer to a submit: not sent, accepted, succeeded, failed without a bill. Else it returns why the
outcome is not known. A refusal of a second sending says nothing about the first: only what names the request,
or brings the result, settles that.';

-- Evidence: what was not JSON as it stood can be looked at by whoever decides about a held job.
create or replace function kiln_internal.keep_malformed_reply(p_call_id bigint, p_body text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_body <> '' and kiln_internal.strict_json(p_body) is null then
        update kiln.call c set malformed_reply = left(p_body, 16384) where c.call_id = p_call_id;
    end if;
end
$$;
comment on function kiln_internal.keep_malformed_reply(bigint, text) is
'Keeps the beginning of a reply that is not JSON as it stands.';

create or replace function kiln_runner.call_answer(p_task_id bigint, p_fence bigint, p_call_id bigint,
                                                   p_answer json)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_answer   jsonb := p_answer;
    v_kind     text := coalesce(v_answer ->> 'kind', 'submit');
    v_media    bigint[] := array(select m::bigint
                                   from jsonb_array_elements_text(coalesce(v_answer -> 'media', '[]')) as m);
    v_task     kiln.task;
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
    v_call     kiln.call;
    v_reply    record;
    v_ours     boolean;
    v_why      text;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    v_task := kiln_internal.lock_task(p_task_id);
    if v_task.task_id is null then
        perform kiln_internal.refuse_stale(p_task_id, p_fence);
    end if;
    v_ours := v_task.state = 'running' and v_task.fence = p_fence;
    select j.* into v_job from kiln.job j where j.job_id = v_task.job_id for no key update;
    select c.* into v_call from kiln.call c where c.call_id = p_call_id and c.task_id = p_task_id
       for no key update;
    if not found then
        raise exception 'task % has no call %', p_task_id, p_call_id using errcode = 'KN002';
    end if;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id
       and s.position = v_task.stage;
    select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;

    if v_kind in ('submit', 'result') then
        perform kiln_internal.record_reply_health(v_provider, v_stage.config, v_kind, v_answer);
        perform kiln_internal.keep_malformed_reply(p_call_id, v_answer ->> 'body');
    end if;
    case v_kind
        when 'submit' then
            if v_call.state in ('open', 'unknown') then
                v_why := kiln_internal.record_submit(v_task, v_job, v_stage, v_provider, v_call, v_answer,
                                                     v_media);
                if v_why is not null and v_ours and v_call.state = 'open' then
                    return kiln_internal.mark_call_unknown(v_task, v_job, v_stage, v_provider, v_call, v_why,
                                                           false);
                end if;
            elsif v_answer -> 'error' is null then
                v_reply := kiln_internal.read_reply(v_provider, v_stage.config, 'submit',
                                                    (v_answer ->> 'status')::int,
                                                    coalesce(v_answer -> 'headers', '{}'),
                                                    v_answer ->> 'body');
                if v_call.state = 'accepted' and (v_call.provider_request_id is null or v_call.urls is null)
                   and v_reply.request_id is not null then
                    perform kiln_internal.accept_call(v_call, v_task, v_job, v_stage, v_provider,
                                                      v_reply.request_id, v_reply.urls,
                                                      v_reply.queue_position, v_reply.fraction);
                elsif v_call.state = 'accepted' and v_reply.outcome = 'succeeded' then
                    perform kiln_internal.settle_call(v_call, v_provider, 'succeeded', null, null, null,
                                                      v_reply.is_unbilled, v_reply.cost_micros,
                                                      v_reply.result, v_media);
                elsif v_call.state = 'settled' then
                    perform kiln_internal.record_late_outcome(v_call, v_provider, v_reply.outcome,
                                                              v_reply.result, v_reply.cost_micros,
                                                              v_reply.is_unbilled);
                end if;
            end if;
        when 'result' then
            if v_call.state = 'accepted' then
                v_why := kiln_internal.record_result(v_stage, v_provider, v_call, v_answer, v_media);
                if v_why is not null and v_ours then
                    perform kiln_internal.schedule_fetch(v_task, v_call, v_why,
                                                         kiln_internal.fetch_tries(v_answer));
                    return kiln_internal.idle_step(p_task_id);
                end if;
            end if;
        when 'fetch' then
            if v_ours and v_call.outcome = 'succeeded' then
                perform kiln_internal.schedule_fetch(v_task, v_call,
                                                     coalesce(v_answer -> 'error' ->> 'message',
                                                              'Its files could not be fetched.'),
                                                     kiln_internal.fetch_tries(v_answer));
                return kiln_internal.idle_step(p_task_id);
            end if;
        else
            perform kiln_internal.record_poll_answer(v_answer
                                                     || jsonb_build_object('call_id', p_call_id::text));
            select t.* into v_task from kiln.task t where t.task_id = p_task_id;
            v_ours := v_task.state = 'running' and v_task.fence = p_fence;
    end case;

    if v_ours then
        return kiln_internal.next_step(v_task, false);
    end if;
    perform kiln_internal.ready_call_task(v_task, p_call_id);
    return json_build_object('do', 'nothing', 'state', (select t.state from kiln.task t
                                                         where t.task_id = p_task_id),
                             'why', 'The task is someone else''s now; the answer was recorded.');
end
$$;
comment on function kiln_runner.call_answer(bigint, bigint, bigint, json) is
'The answer to a step, as it came: {"call_id", "kind", "status", "headers", "body", "elapsed_ms", "media"} or
{…, "error": {"code", "message", "was_sent"}}. Returns the next step. With a stale fence the answer is
recorded all the same, and the step is nothing.';

create or replace function kiln_internal.record_reply_health(p_provider kiln.provider, p_config jsonb,
                                                             p_kind text, p_answer jsonb)
returns void
language plpgsql
as $$
declare
    v_status int := (p_answer ->> 'status')::int;
    v_reply  record;
    v_pause  interval;
begin
    if p_answer -> 'error' ->> 'code' in ('host', 'address', 'file', 'clock', 'secret') then
        return;         -- our own affair
    end if;
    if v_status = 429 or v_status = 503 then
        v_reply := kiln_internal.read_reply(p_provider, p_config, p_kind, v_status,
                                            coalesce(p_answer -> 'headers', '{}'), p_answer ->> 'body');
        v_pause := coalesce(v_reply.retry_after, case v_status when 429 then interval '2 seconds' end);
    end if;
    perform kiln_internal.record_provider_answer(p_provider.provider_id,
                                                 kiln_internal.count_provider_answer(p_answer),
                                                 v_status is null or v_status >= 500, v_status < 500, v_pause,
                             format('It answered %s.', v_status));
end
$$;
comment on function kiln_internal.record_reply_health(kiln.provider, jsonb, text, jsonb) is
'The health, the circuit and the pause that follow from one answer.';

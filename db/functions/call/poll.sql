-- Asking how accepted calls stand. No task is claimed for it, no slot held, no permit taken: any runner takes
-- what is due and brings the answers back in batches. Taking sets the next time, in a narrow row; an answer
-- that says what the last one said is not even read; so a thousand waiting tasks cost next to nothing, and a
-- runner that dies in between changes nothing.
create or replace function kiln_runner.claim_polls(p_runner_id bigint, p_limit int default 100)
returns setof json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_call_ids  bigint[];
    v_providers smallint[];
    v_names     text[];
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if not exists (select from kiln.poll p where p.poll_at <= kiln_internal.now()) then
        return;
    end if;
    select s.names into v_names from kiln.runner_secret s where s.runner_id = p_runner_id;
    v_providers := array(select p.provider_id from kiln.provider p
                          where v_names is null or p.auth ->> 'env' is null
                             or p.auth ->> 'env' = any (v_names));
    v_call_ids := array(
        select p.call_id from kiln.poll p
         where p.poll_at <= kiln_internal.now() and p.provider_id = any (v_providers)
         order by p.poll_at limit p_limit for update skip locked);
    if v_call_ids = '{}' then
        return;
    end if;
    update kiln.poll p
       set polls = p.polls + 1, poll_at = kiln_internal.now() + least(p.every_ms * power(1.2,
                                                        least(p.polls, 60)),
                                                                      p.max_ms) * interval '1 millisecond'
     where p.call_id = any (v_call_ids);
    return query
    select json_build_object('call_id', c.call_id::text, 'kind', k.kind, 'request', q.request)
      from unnest(v_call_ids) as u (call_id)
     cross join lateral (select c.* from kiln.call c where c.call_id = u.call_id limit 1) c
     cross join lateral (select case when c.state = 'unknown' then 'lookup'
                                     when c.cancel_requested_at is not null and c.cancel_sent_at is null
                                     and r.cancel is not null then 'cancel'
                                     else 'poll' end as kind
                           from kiln.provider r where r.provider_id = c.provider_id) k
     cross join lateral (select case k.kind when 'poll' then c.poll_request
                                     else kiln_internal.poll_request(c, k.kind) end as request offset 0) q
     where (c.state = 'accepted' or c.state = 'unknown' and c.timeout_at <= kiln_internal.now())
       and q.request is not null;
end
$$;
comment on function kiln_runner.claim_polls(bigint, int) is
'What is to be asked now, up to p_limit: {"call_id", "kind": poll|cancel|lookup, "request"}. Send each and
give
the answers to poll_answers(). Taking sets the next time, so nothing is lost with a runner, and nothing need
be said where there was no answer.';

create or replace function kiln_internal.poll_request(p_call kiln.call, p_kind text)
returns jsonb
language plpgsql
as $$
declare
    v_task     kiln.task;
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
begin
    select t.* into v_task from kiln.task t where t.task_id = p_call.task_id;
    select j.* into v_job from kiln.job j where j.job_id = p_call.job_id;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id
       and s.position = v_task.stage;
    select p.* into v_provider from kiln.provider p where p.provider_id = p_call.provider_id;
    return kiln_internal.compose(v_provider, p_kind,
                                 kiln_internal.request_context(v_task, v_job, v_stage, v_provider, p_call));
end
$$;
comment on function kiln_internal.poll_request(kiln.call, text) is
'The request that cancels a call, or asks whether the provider knows it.';

create or replace function kiln_runner.poll_answers(p_answers json)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_answer jsonb;
    v_limiter   record;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    -- In the order of tasks, so that two batches do not wait for each other in a circle. What was said
    -- before, word for word, is left out.
    for v_answer in
        select a.answer
          from (select e.value as answer, (e.value ->> 'call_id')::bigint as call_id
                  from jsonb_array_elements(p_answers::jsonb) as e limit 2147483647) a
         cross join lateral (select c.task_id from kiln.call c where c.call_id = a.call_id limit 1) c
          left join lateral (select p.answer_hash from kiln.poll p where p.call_id = a.call_id
                              limit 1) p on true
         where a.answer ->> 'status' is not null
           and (a.answer ->> 'kind' <> 'poll'
                or p.answer_hash is distinct from kiln_internal.answer_hash(a.answer))
         order by c.task_id
    loop
        perform kiln_internal.record_poll_answer(v_answer);
    end loop;

    -- The health last: only what went wrong is worth a row's write.
    for v_limiter in
        select c.provider_id,  count(*) filter (where a.answer ->> 'status' is null)::int as lost,
               count(*) filter (where a.answer ->> 'status' = '429')::int as limited,
               count(*) filter (where (a.answer ->> 'status')::int >= 500)::int as broken,
               max((a.answer -> 'headers' ->> 'retry-after')) filter (where a.answer ->> 'status' = '429'
                                                                      and a.answer -> 'headers'
                                                                      ->> 'retry-after'
                                                                      ~ '^[0-9]{1,5}$') as retry_after
          from (select e.value as answer, (e.value ->> 'call_id')::bigint as call_id
                  from jsonb_array_elements(p_answers::jsonb) as e limit 2147483647) a
         cross join lateral (select c.provider_id from kiln.call c where c.call_id = a.call_id limit 1) c
         where a.answer ->> 'status' is null or (a.answer ->> 'status')::int = 429
            or (a.answer ->> 'status')::int >= 500
         group by c.provider_id
         order by c.provider_id
    loop
        perform kiln_internal.record_provider_answer(v_limiter.provider_id,
                                                     array_fill(0, '{16}')
                                                     || array[v_limiter.limited + v_limiter.broken,
                                                              v_limiter.limited, v_limiter.broken,
                                                              v_limiter.lost],
                                 false, false, v_limiter.retry_after::int * interval '1 second',
                                                     'It answered 429 to a poll.');
    end loop;
end
$$;
comment on function kiln_runner.poll_answers(json) is
'The answers to what claim_polls() gave, as an array: {"call_id", "kind", "status", "headers", "body",
"media"}
or {…, "error": {…}}. What ended settles its call and readies its task; what said nothing new writes
nothing.';

create or replace function kiln_internal.answer_hash(p_answer jsonb)
returns bytea
language sql immutable
return sha256(convert_to((p_answer ->> 'status') || ' ' || coalesce(p_answer ->> 'body', ''), 'UTF8'));
comment on function kiln_internal.answer_hash(jsonb) is 'By which the same answer to a poll is known again.';

create or replace function kiln_internal.record_poll_answer(p_answer jsonb)
returns void
language plpgsql
as $$
declare
    v_kind     text := coalesce(p_answer ->> 'kind', 'poll');
    v_status   int := (p_answer ->> 'status')::int;
    v_media    bigint[] := array(select m::bigint
                                   from jsonb_array_elements_text(coalesce(p_answer -> 'media', '[]')) as m);
    v_task     kiln.task;
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
    v_call     kiln.call;
    v_reply    record;
    v_outcome  text;
begin
    select c.* into v_call from kiln.call c where c.call_id = (p_answer ->> 'call_id')::bigint;
    if not found or v_status is null then
        return;
    end if;
    v_task := kiln_internal.lock_task(v_call.task_id);
    select j.* into v_job from kiln.job j where j.job_id = v_call.job_id for no key update;
    select c.* into v_call from kiln.call c where c.call_id = v_call.call_id for no key update;
    if v_task.task_id is null then
        return;
    end if;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id
       and s.position = v_task.stage;
    select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;
    v_reply := kiln_internal.read_reply(v_provider, v_stage.config, v_kind, v_status,
                                        coalesce(p_answer -> 'headers', '{}'), p_answer ->> 'body');
    v_outcome := v_reply.outcome;

    if v_kind = 'lookup' then
        if v_call.state <> 'unknown' then
            return;
        elsif v_outcome in ('accepted', 'queued', 'running') then
            perform kiln_internal.accept_call(v_call, v_task, v_job, v_stage, v_provider, v_reply.request_id,
                                              v_reply.urls, v_reply.queue_position, v_reply.fraction, '0');
            if v_task.state = 'waiting' and v_task.error_class = 'lookup' then
                update kiln.task_waiting t set error_class = 'submitted',
                       error_message = format('Provider %s has it as %s.', v_provider.name,
                                              v_reply.request_id)
                 where t.task_id = v_task.task_id;
            end if;
        elsif v_outcome = 'succeeded' or v_outcome in ('failed', 'cancelled')
           and v_reply.request_id is not null then
            perform kiln_internal.end_polled(v_call, v_provider, v_reply.outcome, v_reply.error_class,
                                             v_reply.error_code, v_reply.error_message, v_reply.is_unbilled,
                                    v_reply.cost_micros, v_reply.result, v_reply.request_id, v_media);
        elsif v_outcome = 'failed' and kiln_internal.now() >= v_call.timeout_at then
            perform kiln_internal.settle_call(v_call, v_provider, 'not_sent', 'transient', 'not_found',
                format('Provider %s does not know the request: it never came there.', v_provider.name), true);
        end if;
        perform kiln_internal.ready_call_task(v_task, v_call.call_id);
        return;
    end if;

    if v_kind = 'cancel' then
        if v_call.state = 'accepted' then
            update kiln.call c set cancel_sent_at = kiln_internal.now()
             where c.call_id = v_call.call_id and v_outcome is distinct from 'unclear';
            if v_outcome = 'cancelled' then
                perform kiln_internal.settle_call(v_call, v_provider, 'cancelled', v_reply.error_class,
                                                  v_reply.error_code,
                                         coalesce(v_reply.error_message,
                                                  format('Cancelled at provider %s.', v_provider.name)),
                                                  v_reply.is_unbilled, v_reply.cost_micros);
                perform kiln_internal.ready_call_task(v_task, v_call.call_id);
            end if;
        end if;
        return;
    end if;

    if v_call.state = 'settled' then
        perform kiln_internal.record_late_outcome(v_call, v_provider, v_outcome, v_reply.result,
                                                  v_reply.cost_micros, v_reply.is_unbilled);
        return;
    elsif v_outcome in ('succeeded', 'failed', 'cancelled') then
        perform kiln_internal.end_polled(v_call, v_provider, v_reply.outcome, v_reply.error_class,
                                         v_reply.error_code, v_reply.error_message, v_reply.is_unbilled,
                                v_reply.cost_micros, v_reply.result, v_reply.request_id, v_media);
        perform kiln_internal.ready_call_task(v_task, v_call.call_id);
    elsif v_outcome in ('accepted', 'queued', 'running') then
        update kiln.poll p set answer_hash = kiln_internal.answer_hash(p_answer)
         where p.call_id = v_call.call_id;
        if v_outcome <> 'queued' then
            v_reply.queue_position := null;
        end if;
        if (v_reply.queue_position, v_reply.fraction) is distinct from (v_call.queue_position,
                                                                        v_call.fraction) then
            update kiln.call c set queue_position = v_reply.queue_position, fraction = v_reply.fraction
             where c.call_id = v_call.call_id;
            if v_task.state = 'waiting' then
                perform kiln_internal.emit_progress(v_task,
                                                    case when v_reply.queue_position is not null
                                                             then format('With %s, %s before it',
                                                                 v_provider.name, v_reply.queue_position)
                                                        else format('With %s', v_provider.name) end, true,
                                                    v_reply.fraction);
            end if;
        end if;
    end if;
end
$$;
comment on function kiln_internal.record_poll_answer(jsonb) is
'One answer to a poll, a look-up or a cancel: what it says of the call, and what follows for its task.';

-- Success whose result has to be asked for apart leaves the call accepted, with result_at: the next claimer
-- asks.
create or replace function kiln_internal.end_polled(p_call kiln.call, p_provider kiln.provider,
                                                    p_outcome text, p_class text, p_code text, p_message text,
                                                    p_is_unbilled boolean,
                                           p_cost bigint, p_result jsonb, p_request_id text, p_media bigint[])
returns void
language plpgsql
as $$
begin
    if p_request_id is not null and p_call.provider_request_id is null then
        update kiln.call c set provider_request_id = p_request_id where c.call_id = p_call.call_id;
    end if;
    if p_outcome = 'succeeded' and p_result is null and p_provider.result is not null then
        if exists (select from kiln.job j where j.job_id = p_call.job_id and j.finished_at is not null) then
            perform kiln_internal.settle_call(p_call, p_provider, 'succeeded', null, null, null,
                                              p_is_unbilled, p_cost);
            return;
        end if;
        delete from kiln.poll p where p.call_id = p_call.call_id;
        update kiln.call c
           set state = 'accepted', accepted_at = coalesce(c.accepted_at, kiln_internal.now()),
               result_at = coalesce(c.result_at, kiln_internal.now()), why = null, expires_at = null
         where c.call_id = p_call.call_id;
        return;
    end if;
    perform kiln_internal.settle_call(p_call, p_provider, p_outcome, p_class, p_code, p_message,
                                      p_is_unbilled, p_cost, p_result, p_media);
end
$$;
comment on function kiln_internal.end_polled(kiln.call, kiln.provider, text, text, text, text, boolean,
                                             bigint, jsonb, text, bigint[]) is
'The end of a call as a poll, a look-up or a webhook tells it.';

-- The next step of a task that makes a call.
create or replace function kiln_internal.idle_step(p_task_id bigint)
returns json
language sql volatile
as $$
    select json_build_object('do', 'nothing', 'state', t.state, 'why', t.error_message) from kiln.task t
     where t.task_id = p_task_id
$$;
comment on function kiln_internal.idle_step(bigint) is
'The step that frees the runner''s slot, with what became of the task.';

create or replace function kiln_internal.send_step(p_call kiln.call, p_kind text, p_request jsonb)
returns json
language sql stable
return json_build_object('do', 'send', 'call_id', p_call.call_id::text, 'kind', p_kind,
                         'send_within_ms', case when p_kind = 'submit'
                             then (extract(epoch from p_call.send_before - kiln_internal.now()) * 1000)::int
                                                else 10000 end,
                         'request', p_request);
comment on function kiln_internal.send_step(kiln.call, text, jsonb) is 'The step that sends a request.';

-- Putting a running task aside. `error_class` says for what: submitted (the provider has it), resend, lookup,
-- fetch.
create or replace function kiln_internal.defer_with_call(p_task kiln.task, p_word text, p_why text,
                                                         p_due_at timestamptz default 'infinity',
                                                         p_label text default null,
                                          p_is_emitted boolean default true)
returns void
language plpgsql
as $$
begin
    update kiln.task t set state = 'waiting', due_at = p_due_at, error_class = p_word,
           error_message = kiln_internal.shorten(p_why, 2000)
     where t.state = 'running' and t.task_id = p_task.task_id;
    perform kiln_internal.emit_progress(p_task, coalesce(p_label, case p_word
        when 'resend'       then 'Asking once more'
        when 'lookup'       then 'Finding out whether it was received'
        when 'fetch'        then 'Fetching the result again soon'
        when 'rate_limited' then 'The provider asked to wait'
        when 'transient'    then 'Trying again soon'
        else p_why end), p_is_emitted);
end
$$;
comment on function kiln_internal.defer_with_call(kiln.task, text, text, timestamptz, text, boolean) is
'A running task waits for its call: neither an attempt nor a death.';

create or replace function kiln_internal.hold_task(p_task_id bigint, p_class text, p_why text)
returns void
language plpgsql
as $$
begin
    update kiln.task t set state = 'held', error_class = p_class,
           error_message = kiln_internal.shorten(p_why, 2000)
     where t.state in ('running', 'waiting') and t.task_id = p_task_id;
end
$$;
comment on function kiln_internal.hold_task(bigint, text, text) is
'A person must decide: unknown (perhaps paid), timeout (accepted, and does not end), lost (paid, and the
result cannot be had).';

-- (Not in SQL: such a function is inlined, and an argument that it does not use would never be run.)
create or replace function kiln_internal.idle_step_after(p_task kiln.task, p_state kiln.task_state)
returns json
language plpgsql
as $$
begin
    return json_build_object('do', 'nothing', 'state', p_state, 'why', (select t.error_message
                                                        from kiln.task t where t.task_id = p_task.task_id));
end
$$;
comment on function kiln_internal.idle_step_after(kiln.task, kiln.task_state) is
'The same, after a function that has moved the task.';

-- What is left to do for a running task.
create or replace function kiln_internal.next_step(p_task kiln.task, p_is_claimed boolean,
                                                   p_sent_nothing boolean default false)
returns json
language plpgsql
as $$
declare
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
    v_call     kiln.call;
    v_was      text;
    v_request  jsonb;
begin
    select j.* into v_job from kiln.job j where j.job_id = p_task.job_id for no key update;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = p_task.pipeline_version_id
       and s.position = p_task.stage;
    v_provider := kiln_internal.provider_of(v_stage);
    if v_provider.provider_id is null then
        return kiln_internal.idle_step_after(p_task,
                                             kiln_internal.fail_task(p_task, 'invalid',
                                                                     format('There is no provider %s.',
                                                                         coalesce(quote_literal(v_stage.config
                                                                             ->> 'provider'),
                                                                                 'in the stage''s config'))));
    end if;
    select c.* into v_call from kiln.call c where c.task_id = p_task.task_id order by c.number desc limit 1
       for no key update;

    if v_call.call_id is null 
       or v_call.state = 'settled' and (v_call.outcome <> 'succeeded' and v_call.classified_at is not null
                                        or v_call.late_outcome = 'abandoned') then
        if v_job.state = 'cancelling' or v_job.finished_at is not null then
            return kiln_internal.idle_step_after(p_task,
                                                 kiln_internal.fail_task(p_task, 'cancelled',
                                                        'Cancelled before anything was sent.'));
        end if;
        return kiln_internal.start_call(p_task, v_job, v_stage, v_provider, coalesce(v_call.number, 0) + 1);
    end if;
    case v_call.state
        when 'settled' then
            return kiln_internal.classify_call(p_task, v_job, v_stage, v_provider, v_call);
        when 'open' then
            if p_sent_nothing and v_call.fence = p_task.fence and v_call.sends = 1 then
                if v_job.state = 'cancelling' then
                    v_call := kiln_internal.settle_call(v_call, v_provider, 'not_sent', 'transient',
                                                        'cancelled', 'It was not sent, since its job was '
                                                            'cancelled.', true);
                    return kiln_internal.classify_call(p_task, v_job, v_stage, v_provider, v_call);
                end if;
                update kiln.call c
                   set send_before = kiln_internal.now() + interval '10 seconds',
                       timeout_at = kiln_internal.now() + interval '10 seconds' + v_provider.reply_timeout,
                       expires_at = kiln_internal.now() + interval '70 seconds' + v_provider.reply_timeout
                 where c.call_id = v_call.call_id
                returning c.* into v_call;
                return kiln_internal.send_step(v_call, 'submit', v_call.request);
            end if;
            v_was := coalesce((select format('Runner %s', r.name) from kiln.runner r
                                where r.runner_id = v_call.runner_id), 'A runner');
            return kiln_internal.mark_call_unknown(p_task, v_job, v_stage, v_provider, v_call,
                                  format('%s began the request at %s UTC and did not tell how it went.',
                                         v_was, to_char(v_call.created_at at time zone 'UTC', 'HH24:MI:SS')),
                                                   p_is_claimed);
        when 'accepted' then
            if v_job.state = 'cancelling' then
                perform kiln_internal.request_cancel(v_call, p_task, v_job, v_stage, v_provider);
                update kiln.task t set state = 'cancelled', error_message = null
                 where t.state = 'running' and t.task_id = p_task.task_id;
            elsif v_call.result_at is not null and v_provider.result is not null then
                v_request := kiln_internal.compose(v_provider, 'result',
                                                   kiln_internal.request_context(p_task, v_job, v_stage,
                                                        v_provider, v_call));
                if v_request is not null then
                    return kiln_internal.send_step(v_call, 'result', v_request);
                end if;
                perform kiln_internal.hold_task(p_task.task_id, 'lost',
                    format('Provider %s succeeded, and its description does not say where the result is.',
                           v_provider.name));
            else
                if not exists (select from kiln.poll p where p.call_id = v_call.call_id) then
                    perform kiln_internal.schedule_poll(v_call, p_task, v_job, v_stage, v_provider);
                end if;
                perform kiln_internal.defer_with_call(p_task, 'submitted',
                                                      format('Provider %s has it%s.', v_provider.name,
                                                             coalesce(' as ' || v_call.provider_request_id,
                                                                      '')), 'infinity',
                                       format('With %s%s', v_provider.name,
                                              coalesce(', ' || v_call.queue_position || ' before it', '')));
            end if;
        when 'unknown' then
            if v_provider.lookup is not null then
                perform kiln_internal.schedule_poll(v_call, p_task, v_job, v_stage, v_provider,
                                                    greatest(v_call.timeout_at - kiln_internal.now(), '0'));
                perform kiln_internal.defer_with_call(p_task, 'lookup', v_call.why);
            else
                perform kiln_internal.hold_task(p_task.task_id, 'unknown',
                                                v_call.why || ' kiln.resolve_job says what is to be done.');
            end if;
    end case;
    return kiln_internal.idle_step(p_task.task_id);
end
$$;
comment on function kiln_internal.next_step(kiln.task, boolean, boolean) is
'What is left to do for a running task whose row is locked, by what is known of its last call.';

create or replace function kiln_runner.begin_call(p_task_id bigint, p_fence bigint,
                                                  p_sent_nothing boolean default false)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_task kiln.task;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    select t.* into v_task from kiln.task t
     where t.task_id = p_task_id and t.fence = p_fence and t.state = 'running' for no key update;
    if not found then
        perform kiln_internal.refuse_stale(p_task_id, p_fence);
    end if;
    return kiln_internal.next_step(v_task, true, p_sent_nothing);
end
$$;
comment on function kiln_runner.begin_call(bigint, bigint, boolean) is
'What is to be done for a claimed task of the handler http, as a step: send (a request that may go now: its
call is committed), fetch, complete, or nothing. p_sent_nothing: this runner asked before under this fence,
did not get the answer, and has certainly sent nothing: then the same call is given again. KN010: no longer
this runner''s.';

-- A call begins, is made once more, or is to be cancelled.
create or replace function kiln_internal.request_cancel(p_call kiln.call, p_task kiln.task, p_job kiln.job,
                                                        p_stage kiln.stage, p_provider kiln.provider)
returns void
language plpgsql
as $$
begin
    update kiln.call c
       set cancel_requested_at = coalesce(c.cancel_requested_at, kiln_internal.now())
     where c.call_id = p_call.call_id and c.state <> 'settled'
    returning c.* into p_call;
    if found and p_call.state = 'accepted' then
        perform kiln_internal.schedule_poll(p_call, p_task, p_job, p_stage, p_provider, '0');
    end if;
end
$$;
comment on function kiln_internal.request_cancel(kiln.call, kiln.task, kiln.job, kiln.stage, kiln.provider) is
'Nobody wants it any more: the provider is told with the next poll, and the call is followed to its end for
the bill.';

-- A new call. Either its permit is refused and the task is deferred, or the row is here and the step may
-- send.
create or replace function kiln_internal.start_call(p_task kiln.task, p_job kiln.job, p_stage kiln.stage,
                                                    p_provider kiln.provider, p_number int)
returns json
language plpgsql
as $$
declare
    c_send_within constant interval := '10 seconds';
    v_call     kiln.call;
    v_no       record;
    v_estimate bigint := 0;
    v_secret   text := p_provider.auth ->> 'env';
begin
    -- (Null, of a provider without a secret, differs from each of no names.)
    if v_secret is not null
       and exists (select from kiln.runner_secret s where s.runner_id = p_task.runner_id
                      and v_secret <> all (s.names)) then
        perform kiln_internal.defer_for_secret(p_task, p_job, p_provider);
        return kiln_internal.idle_step(p_task.task_id);
    end if;
    if p_job.estimated_micros > 0 then
        v_estimate := p_job.estimated_micros / greatest((
            select count(*) from kiln.stage s join kiln.provider r on r.name = s.config ->> 'provider'
             where s.pipeline_version_id = p_task.pipeline_version_id and s.handler = 'http' and r.is_paid),
                                                        1);
    end if;
    v_no := kiln_internal.refuse_call(p_provider, p_task, p_job.account_id, v_estimate);
    if v_no.reason is not null then
        perform kiln_internal.defer_task(p_task, p_provider, p_job.account_id, v_estimate, v_no.reason,
                                         v_no.sentence, v_no.until);
        return kiln_internal.idle_step(p_task.task_id);
    end if;

    v_call.call_id := nextval('kiln.call_call_id_seq');
    v_call.idempotency_key := gen_random_uuid();
    v_call.webhook_token := gen_random_uuid();
    begin
        v_call.request := kiln_internal.render_request(p_provider, 'submit',
                                                       kiln_internal.request_context(p_task, p_job, p_stage,
                                                           p_provider, v_call));
    exception when others then
        v_call.error_message := sqlerrm;
    end;
    if v_call.request is null then
        return kiln_internal.idle_step_after(p_task,
                                             kiln_internal.fail_task(p_task, 'invalid',
                                                                     'The request could not be composed: '
                                                                     || coalesce(v_call.error_message,
                                                                         'it is empty.')));
    end if;
    insert into kiln.call (call_id, task_id, job_id, account_id, provider_id, fence, runner_id, number,
                           request, request_hash, idempotency_key, webhook_token,
                           send_before, timeout_at, expires_at, estimated_micros)
    values (v_call.call_id, p_task.task_id, p_task.job_id, p_job.account_id, p_provider.provider_id,
            p_task.fence, p_task.runner_id, p_number,
            v_call.request, sha256(convert_to(v_call.request::text, 'UTF8')), v_call.idempotency_key,
            v_call.webhook_token,
            kiln_internal.now() + c_send_within,
            kiln_internal.now() + c_send_within + p_provider.reply_timeout,
            kiln_internal.now() + c_send_within + p_provider.reply_timeout + interval '1 minute',
            v_estimate)
    returning * into v_call;
    return kiln_internal.send_step(v_call, 'submit', v_call.request);
end
$$;
comment on function kiln_internal.start_call(kiln.task, kiln.job, kiln.stage, kiln.provider, int) is
'Begins a new call of a running task, or parks it.';

create or replace function kiln_internal.retry_call(p_task kiln.task, p_provider kiln.provider,
                                                    p_call kiln.call, p_why text)
returns json
language plpgsql
as $$
begin
    perform kiln_internal.settle_call(p_call, p_provider, 'failed', 'unknown', 'unknown', p_why);
    update kiln.call c set classified_at = kiln_internal.now() where c.call_id = p_call.call_id;
    return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, 'transient', p_why));
end
$$;
comment on function kiln_internal.retry_call(kiln.task, kiln.provider, kiln.call, text) is
'Gives an open call up, not knowing whether it was charged, and has its task tried again as after any
failure.';

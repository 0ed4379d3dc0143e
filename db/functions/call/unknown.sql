-- Calls whose answer is missing.

-- Nothing is known of an open call any more: its runner died, its reply was lost, or could not be read. What
-- follows is a matter of the provider's powers.
create or replace function kiln_internal.mark_call_unknown(p_task kiln.task, p_job kiln.job,
                                                           p_stage kiln.stage, p_provider kiln.provider,
                                                           p_call kiln.call, p_why text, p_is_claimed boolean)
returns json
language plpgsql
as $$
declare
    v_call kiln.call;
    v_wait interval;
begin
    if not p_provider.is_paid then
        return kiln_internal.retry_call(p_task, p_provider, p_call, p_why);
    elsif p_provider.idempotency_header is not null and p_call.sends < 20 and p_job.state <> 'cancelling'
       and p_job.finished_at is null
       and kiln_internal.now() + interval '10 seconds' + p_provider.reply_timeout
        < p_call.created_at + coalesce(p_provider.idempotency_ttl, interval '24 hours') then
        -- The very same request under the same key is not a second one, if it arrives while the key is
        -- remembered. (Not for a job that is being cancelled: the repeat may be the first to arrive.)
        select greatest(g.paused_until, case when g.circuit <> 'closed'
                                                 then g.open_until end) - kiln_internal.now() into v_wait
          from kiln.provider_limiter g where g.provider_id = p_provider.provider_id;
        if not p_is_claimed then
            v_wait := greatest(v_wait, kiln_internal.backoff(p_stage.backoff_base, p_stage.backoff_cap,
                                                             p_call.sends));
        end if;
        if v_wait > '0' then
            perform kiln_internal.defer_with_call(p_task, 'resend',
                                                  p_why || ' It is sent again under its key.',
                                                  kiln_internal.now() + v_wait);
            return kiln_internal.idle_step(p_task.task_id);
        end if;
        update kiln.call c
           set sends = c.sends + 1, fence = p_task.fence, runner_id = p_task.runner_id,
               send_before = kiln_internal.now() + interval '10 seconds',
               timeout_at = kiln_internal.now() + interval '10 seconds' + p_provider.reply_timeout,
               expires_at = kiln_internal.now() + interval '70 seconds' + p_provider.reply_timeout
         where c.call_id = p_call.call_id
        returning c.* into v_call;
        return kiln_internal.send_step(v_call, 'submit', v_call.request);
    elsif p_provider.lookup is null and p_stage.config ->> 'on_unknown' = 'retry' then
        return kiln_internal.retry_call(p_task, p_provider, p_call, p_why);
    end if;

    update kiln.call c
       set state = 'unknown', why = kiln_internal.shorten(p_why, 2000),
           expires_at = greatest(c.timeout_at, kiln_internal.now()) + interval '1 day'
     where c.call_id = p_call.call_id
    returning c.* into v_call;
    if p_provider.lookup is not null then
        perform kiln_internal.schedule_poll(v_call, p_task, p_job, p_stage, p_provider,
                                            greatest(v_call.timeout_at - kiln_internal.now(), '0'));
        perform kiln_internal.defer_with_call(p_task, 'lookup',
                                              p_why || format(' Provider %s is asked about it.',
                                                              p_provider.name));
    else
        perform kiln_internal.hold_task(p_task.task_id, 'unknown',
               p_why || format(' Whether %s has it, and charges it, cannot be known here.', p_provider.name));
    end if;
    return kiln_internal.idle_step(p_task.task_id);
end
$$;
comment on function kiln_internal.mark_call_unknown(kiln.task, kiln.job, kiln.stage, kiln.provider, kiln.call,
                                                    text, boolean) is
'What follows when the outcome of an open call is not known: the next attempt where it is unpaid; the same
request again under its idempotency key; a look-up once it can no longer arrive; the next attempt where the
stage says on_unknown retry; else it is held. p_is_claimed: the task was just claimed, so a step may send at
once.';

-- What a settled call means for its running task.
create or replace function kiln_internal.classify_call(p_task kiln.task, p_job kiln.job, p_stage kiln.stage,
                                                       p_provider kiln.provider, p_call kiln.call)
returns json
language plpgsql
as $$
declare
    v_class text := p_call.error_class;
    v_why   text := coalesce(p_call.error_message,
                             format('Provider %s: %s.', p_provider.name, p_call.outcome));
    v_wait  interval;
begin
    if p_call.outcome = 'succeeded' then
        return kiln_internal.success_step(p_task, p_stage, p_provider, p_call);
    end if;
    update kiln.call c set classified_at = kiln_internal.now()
     where c.call_id = p_call.call_id and c.classified_at is null;
    if p_job.state = 'cancelling' then
        return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, 'cancelled', v_why));
    end if;

    if p_call.outcome = 'not_sent' and p_call.error_code = 'secret' and p_call.number < 100 then
        -- What it offered, or had not said yet, it does not have.
        insert into kiln.runner_secret as s (runner_id, names)
        select r.runner_id, '{}' from kiln.runner r where r.runner_id = p_call.runner_id
        on conflict (runner_id) do update set names = array_remove(s.names, p_provider.auth ->> 'env');
        perform kiln_internal.defer_for_secret(p_task, p_job, p_provider);
        return kiln_internal.idle_step(p_task.task_id);
    elsif p_call.outcome = 'not_sent' and coalesce(v_class, 'transient') = 'transient'
       and p_call.error_code is distinct from 'secret' and p_call.number < 100 then
        perform kiln_internal.defer_with_call(p_task, 'transient', v_why,
            kiln_internal.now() + kiln_internal.backoff(greatest(p_stage.backoff_base, '1 second'),
                                                        p_stage.backoff_cap, p_call.number));
        return kiln_internal.idle_step(p_task.task_id);
    elsif v_class = 'rate_limited' and p_call.charged_micros = 0
          and (select count(*) from kiln.call c where c.task_id = p_task.task_id
                  and c.error_class = 'rate_limited') <= 20 then
        select greatest(g.paused_until - kiln_internal.now(), interval '1 second') into v_wait
          from kiln.provider_limiter g where g.provider_id = p_provider.provider_id;
        perform kiln_internal.defer_with_call(p_task, 'rate_limited', v_why,
                                              kiln_internal.now() + v_wait * (1 + random() / 4));
        return kiln_internal.idle_step(p_task.task_id);
    end if;

    -- A repeat may be paid again, so it wants the description's word; a cancelled one was taken back by us or
    -- for us.
    if p_call.outcome = 'cancelled' then
        v_class := case when p_call.charged_micros = 0 then 'timeout' else 'ended' end;
    elsif not p_provider.is_paid then
        v_class := case when v_class in ('invalid', 'refused', 'rate_limited', 'timeout') then v_class
                        else 'transient' end;
    elsif coalesce(v_class, 'unknown') = 'unknown' then
        v_class := case when p_call.charged_micros = 0 then 'transient' else 'ended' end;
    end if;
    if v_class = 'ended' then
        update kiln.task t
           set state = 'failed', attempts = t.attempts + 1,
               error_class = case p_call.outcome when 'cancelled' then 'timeout' else 'invalid' end,
               error_message = v_why
         where t.state = 'running' and t.task_id = p_task.task_id;
        return kiln_internal.idle_step(p_task.task_id);
    end if;
    return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, v_class, v_why));
end
$$;
comment on function kiln_internal.classify_call(kiln.task, kiln.job, kiln.stage, kiln.provider, kiln.call) is
'Draws the consequence of a settled call for its running task, once: its files, another attempt, failure. What
was certainly not sent over a broken network or for want of a secret, and what was told to come later, costs
no attempt. A charged failure is repeated only where the description says transient.';

-- A task that waits, or is held for it, goes on when its call has.
create or replace function kiln_internal.ready_call_task(p_task kiln.task, p_call_id bigint)
returns void
language plpgsql
as $$
declare
    v_call kiln.call;
begin
    select c.* into v_call from kiln.call c where c.call_id = p_call_id;
    if v_call.number < (select max(c.number) from kiln.call c where c.task_id = v_call.task_id) then
        return;
    end if;
    if p_task.state = 'waiting' and p_task.error_class in ('submitted', 'lookup', 'resend')
       and (v_call.state = 'settled' or v_call.result_at is not null)
       or p_task.state = 'waiting' and p_task.error_class = 'resend' and v_call.state = 'accepted'
       or p_task.state = 'held' and p_task.error_class in ('unknown', 'timeout')
           and (v_call.state in ('settled', 'accepted') and p_task.error_class = 'unknown'
                or v_call.state = 'settled' or v_call.result_at is not null) then
        update kiln.task t set state = 'ready' where t.task_id = p_task.task_id
           and t.state in ('waiting', 'held');
    end if;
end
$$;
comment on function kiln_internal.ready_call_task(kiln.task, bigint) is
'Readies the task of a call that has moved, where it waits or is held for just that. Its row is locked.';

-- kiln_internal.fail_task comes here where a call of the task is not settled: whatever a runner says of its
-- attempt, that call decides.
create or replace function kiln_internal.fail_with_call(p_task kiln.task, p_class text, p_message text)
returns kiln.task_state
language plpgsql
as $$
declare
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
    v_call     kiln.call;
begin
    select j.* into v_job from kiln.job j where j.job_id = p_task.job_id for no key update;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = p_task.pipeline_version_id
       and s.position = p_task.stage;
    select c.* into v_call from kiln.call c where c.task_id = p_task.task_id and c.state <> 'settled'
       for no key update;
    if not found then
        return kiln_internal.fail_task(p_task, p_class, p_message);
    end if;
    select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;
    if v_call.state = 'open' then
        perform kiln_internal.mark_call_unknown(p_task, v_job, v_stage, v_provider, v_call,
                                                coalesce(p_message, 'Its runner gave it up.'), false);
    else
        perform kiln_internal.next_step(p_task, false);
    end if;
    return (select t.state from kiln.task t where t.task_id = p_task.task_id);
end
$$;
comment on function kiln_internal.fail_with_call(kiln.task, text, text) is
'What follows when an attempt ends while its call is not settled.';

-- Once a second: calls whose time has come.
create or replace function kiln_internal.expire_calls(p_limit int)
returns int
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_due      record;
    v_task     kiln.task;
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
    v_call     kiln.call;
    v_all      int := 0;
begin
    for v_due in
        select c.call_id, c.task_id, c.job_id from kiln.call c
         where c.expires_at <= kiln_internal.now() and c.outcome is null order by c.expires_at limit p_limit
    loop
        select t.* into v_task from kiln.task t where t.task_id = v_due.task_id for no key update skip locked;
        continue when not found;
        select j.* into v_job from kiln.job j where j.job_id = v_due.job_id for no key update;
        select c.* into v_call from kiln.call c where c.call_id = v_due.call_id and c.state <> 'settled'
           and c.expires_at <= kiln_internal.now() for no key update;
        continue when not found;
        select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id
           and s.position = v_task.stage;
        select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;
        v_all := v_all + 1;
        if v_call.state = 'open' then
            -- whoever has it, or claims it next, decides
            if v_task.state in ('running', 'ready', 'waiting') then
                update kiln.call c set expires_at = kiln_internal.now() + interval '1 minute'
                 where c.call_id = v_call.call_id;
            else
                update kiln.call c set state = 'unknown', why = 'Its task ended before a reply came.',
                       expires_at = kiln_internal.now() + interval '1 day' where c.call_id = v_call.call_id
                returning c.* into v_call;
                perform kiln_internal.schedule_poll(v_call, v_task, v_job, v_stage, v_provider, '0');
            end if;
        elsif v_job.finished_at is not null
           and (v_call.state = 'unknown'
                or v_call.cancel_requested_at < kiln_internal.now() - interval '1 day') then
            v_call := kiln_internal.settle_call(v_call, v_provider, 'failed', 'unknown', 'unknown',
                                                coalesce(v_call.why,
                                                         'It did not end within a day after its job had.'));
            update kiln.call c set classified_at = kiln_internal.now() where c.call_id = v_call.call_id;
        elsif v_job.finished_at is not null then
            update kiln.call c set expires_at = kiln_internal.now() + interval '1 hour'
             where c.call_id = v_call.call_id;
            perform kiln_internal.request_cancel(v_call, v_task, v_job, v_stage, v_provider);
        elsif v_call.state = 'unknown' or v_call.result_at is not null then
            update kiln.call c set expires_at = null where c.call_id = v_call.call_id;      -- a person's
        elsif v_call.cancel_requested_at is null and v_provider.cancel is not null then
            update kiln.call c set expires_at = kiln_internal.now() + interval '2 minutes'
             where c.call_id = v_call.call_id;
            perform kiln_internal.request_cancel(v_call, v_task, v_job, v_stage, v_provider);
        elsif v_task.state = 'waiting' then
            update kiln.call c set expires_at = null where c.call_id = v_call.call_id;
            perform kiln_internal.hold_task(v_task.task_id, 'timeout',
                format('Provider %s has had it since %s UTC%s and it does not end. It is still followed.',
                       v_provider.name,
                to_char(v_call.accepted_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
                                                        case when v_call.cancel_requested_at is not null
                                                                 then ', was asked to cancel it,'
                                                             else '' end));
        else
            update kiln.call c set expires_at = kiln_internal.now() + interval '1 minute'
             where c.call_id = v_call.call_id;
        end if;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.expire_calls(int) is
'Calls whose time has come: an accepted one that takes longer than its stage allows is cancelled, then held,
never paid again; one whose job has ended is given up after a day, so that the money can be settled.';

-- Paid requests. A runner does what a step says and gives back the answer as it came; what that means, and what follows, is decided
-- here. The rule in words: docs/money.md. Lock order: task, job, call, then the provider's limiter.
--
-- A task whose stage's handler is `http` is running only while something is being sent for it. While the provider works it waits
-- (due_at = infinity), and a poll, a webhook or the tick makes it ready again. The next claimer is told by begin_call what is left to do.

create or replace function kiln_internal.request_context(p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider, p_call kiln.call)
returns jsonb
language plpgsql stable
as $$
declare
    v_input jsonb := p_job.input;
    v_seed  text;
begin
    if p_task.stage > 1 then
        v_input := v_input || coalesce((select t.output from kiln.task_ended t where t.task_id = p_task.task_id - 100 and t.state = 'done'), '{}');
    end if;
    v_seed := v_input ->> 'seed';
    return jsonb_strip_nulls(jsonb_build_object(
        'prompt', v_input -> 'prompt',
        'seed', case when v_seed ~ '^-?[0-9]{1,19}$' then to_jsonb(v_seed::numeric) else v_input -> 'seed' end,
        'id', p_call.provider_request_id,
        'urls', p_call.urls,
        'idempotency_key', p_call.idempotency_key,
        'call_id', p_call.call_id::text,
        'webhook_url', case when p_provider.webhook is not null then
            (select c.public_url from kiln.config c) || '/api/v1/webhooks/' || p_provider.name || '?call=' || p_call.webhook_token end))
        || jsonb_build_object(
        'params', coalesce(v_input -> 'params', '{}'),
        'media', kiln_internal.media_files(p_job.account_id, v_input -> 'media'),
        'config', p_stage.config,
        'model', (select jsonb_build_object('name', m.name, 'title', m.title) from kiln.model m where m.model_id = p_job.model_id));
end
$$;
comment on function kiln_internal.request_context(kiln.task, kiln.job, kiln.stage, kiln.provider, kiln.call) is
'What the templates of a provider''s description may name: the prompt, the parameters, the media, the call''s ids.';

-- What cannot be composed must not undo what is being recorded.
create or replace function kiln_internal.compose(p_provider kiln.provider, p_kind text, p_context jsonb)
returns jsonb
language plpgsql
as $$
begin
    return kiln_internal.render_request(p_provider, p_kind, p_context);
exception when others then
    raise warning 'kiln: the % of provider % cannot be composed: %', p_kind, p_provider.name, sqlerrm;
    return null;
end
$$;
comment on function kiln_internal.compose(kiln.provider, text, jsonb) is 'A request that follows up a call; null, with a warning in the log, where its description does not fit.';

create or replace function kiln_internal.unsettled_calls(p_job_id bigint)
returns bigint[]
language plpgsql stable
as $$
begin
    -- By the job's calls, not by all that are unsettled (hence OFFSET 0).
    return array(select c.call_id from (select c.call_id, c.state from kiln.call c where c.job_id = p_job_id offset 0) c where c.state <> 'settled');
end
$$;
comment on function kiln_internal.unsettled_calls(bigint) is 'The calls of a job that may still cost.';

create or replace function kiln_internal.provider_of(p_stage kiln.stage)
returns kiln.provider
language plpgsql stable
as $$
declare
    v_provider kiln.provider;
begin
    select p.* into v_provider from kiln.provider p where p.name = p_stage.config ->> 'provider';
    return v_provider;
end
$$;
comment on function kiln_internal.provider_of(kiln.stage) is 'The provider that a stage of the handler http names.';

create or replace function kiln_internal.idle_step(p_task_id bigint)
returns json
language sql volatile
as $$
    select json_build_object('do', 'nothing', 'state', t.state, 'why', t.error_message) from kiln.task t where t.task_id = p_task_id
$$;
comment on function kiln_internal.idle_step(bigint) is 'The step that frees the runner''s slot, with what became of the task.';

create or replace function kiln_internal.send_step(p_call kiln.call, p_kind text, p_request jsonb)
returns json
language sql stable
return json_build_object('do', 'send', 'call_id', p_call.call_id::text, 'kind', p_kind,
                         'send_within_ms', case when p_kind = 'submit' then (extract(epoch from p_call.send_before - kiln_internal.now()) * 1000)::int else 10000 end,
                         'request', p_request);
comment on function kiln_internal.send_step(kiln.call, text, jsonb) is 'The step that sends a request.';

-- Putting a running task aside. `error_class` says for what: submitted (the provider has it), resend, lookup, fetch.
create or replace function kiln_internal.defer_with_call(p_task kiln.task, p_word text, p_why text, p_due_at timestamptz default 'infinity', p_label text default null,
                                          p_is_emitted boolean default true)
returns void
language plpgsql
as $$
begin
    update kiln.task t set state = 'waiting', due_at = p_due_at, error_class = p_word, error_message = kiln_internal.shorten(p_why, 2000)
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
comment on function kiln_internal.defer_with_call(kiln.task, text, text, timestamptz, text, boolean) is 'A running task waits for its call: neither an attempt nor a death.';

create or replace function kiln_internal.hold_task(p_task_id bigint, p_class text, p_why text)
returns void
language plpgsql
as $$
begin
    update kiln.task t set state = 'held', error_class = p_class, error_message = kiln_internal.shorten(p_why, 2000)
     where t.state in ('running', 'waiting') and t.task_id = p_task_id;
end
$$;
comment on function kiln_internal.hold_task(bigint, text, text) is 'A person must decide: unknown (perhaps paid), timeout (accepted, and does not end), lost (paid, and the result cannot be had).';

-- The end of a call. The job is locked; where it has ended already, its money is settled too.
create or replace function kiln_internal.settle_call(
    p_call        kiln.call,
    p_provider    kiln.provider,
    p_outcome     text,
    p_class       text    default null,
    p_code        text    default null,
    p_message     text    default null,
    p_is_unbilled boolean default null,
    p_cost        bigint  default null,
    p_result      jsonb   default null,
    p_media       bigint[] default '{}')
returns kiln.call
language plpgsql
as $$
declare
    v_call    kiln.call;
    v_charged bigint := case
        when p_outcome = 'not_sent' or p_is_unbilled     then 0
        when not p_provider.is_paid                      then coalesce(p_cost, 0)
        when p_outcome = 'failed' and p_class = 'unknown' then null
        when p_outcome = 'failed' and not p_provider.bills_failures then 0
        when p_outcome = 'cancelled' and not p_provider.bills_cancelled then 0
        else coalesce(p_cost, p_call.estimated_micros) end;
begin
    delete from kiln.poll p where p.call_id = p_call.call_id;
    update kiln.call c
       set state = 'settled', outcome = p_outcome, error_class = p_class, error_code = left(p_code, 200), error_message = kiln_internal.shorten(p_message, 2000),
           is_unbilled = p_is_unbilled, charged_micros = v_charged, result = p_result, media = coalesce(p_media, '{}'),
           poll_request = null, settled_at = kiln_internal.now()
     where c.call_id = p_call.call_id
    returning c.* into v_call;
    if exists (select from kiln.job j where j.job_id = p_call.job_id and (j.finished_at is not null or v_charged > 0)) then
        update kiln.job set actual_micros = (select sum(c.charged_micros) from kiln.call c where c.job_id = p_call.job_id)
         where job_id = p_call.job_id and v_charged > 0;
        perform kiln_internal.settle_job(p_call.job_id);
    end if;
    return v_call;
end
$$;
comment on function kiln_internal.settle_call(kiln.call, kiln.provider, text, text, text, text, boolean, bigint, jsonb, bigint[]) is
'Ends a call, with what it cost: nothing where the description says so; the provider''s own figure or else the estimate where it says
that such an end is billed; null where nobody can know.';

create or replace function kiln_internal.accept_call(p_call kiln.call, p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider,
                                            p_request_id text, p_urls jsonb, p_position int default null, p_fraction real default null, p_in interval default null)
returns kiln.call
language plpgsql
as $$
declare
    v_call kiln.call;
begin
    update kiln.call c
       set state = 'accepted', provider_request_id = coalesce(c.provider_request_id, p_request_id), urls = coalesce(p_urls, c.urls),
           queue_position = p_position, fraction = p_fraction, accepted_at = coalesce(c.accepted_at, kiln_internal.now()), why = null,
           expires_at = kiln_internal.now() + p_stage.time_limit,
           cancel_requested_at = case when p_job.finished_at is not null or p_job.state = 'cancelling' then coalesce(c.cancel_requested_at, kiln_internal.now()) else c.cancel_requested_at end
     where c.call_id = p_call.call_id
    returning c.* into v_call;
    perform kiln_internal.schedule_poll(v_call, p_task, p_job, p_stage, p_provider,
                            coalesce(p_in, case when v_call.cancel_requested_at is not null then interval '0' end));
    select c.* into v_call from kiln.call c where c.call_id = p_call.call_id;
    return v_call;
end
$$;
comment on function kiln_internal.accept_call(kiln.call, kiln.task, kiln.job, kiln.stage, kiln.provider, text, jsonb, int, real, interval) is
'The provider has it: from now on it is asked about, and never sent again.';

create or replace function kiln_internal.schedule_poll(p_call kiln.call, p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider, p_in interval default null)
returns void
language plpgsql
as $$
declare
    v_every int := greatest(coalesce((p_provider.poll ->> 'every_ms')::int, 2000), 50);
begin
    if p_call.state = 'accepted' and p_provider.poll is not null then
        update kiln.call c
           set poll_request = kiln_internal.compose(p_provider, 'poll', kiln_internal.request_context(p_task, p_job, p_stage, p_provider, p_call))
         where c.call_id = p_call.call_id;
    elsif not (p_call.state = 'unknown' and p_provider.lookup is not null or p_call.cancel_requested_at is not null and p_provider.cancel is not null) then
        return;         -- only a webhook, or the end of its time, tells more
    end if;
    insert into kiln.poll (call_id, provider_id, poll_at, every_ms, max_ms)
    values (p_call.call_id, p_call.provider_id, kiln_internal.now() + coalesce(p_in, v_every * interval '1 millisecond'), v_every,
            greatest(coalesce((p_provider.poll ->> 'max_every_ms')::int, 15000), v_every))
    on conflict (call_id) do update set poll_at = least(poll.poll_at, excluded.poll_at), answer_hash = null;
end
$$;
comment on function kiln_internal.schedule_poll(kiln.call, kiln.task, kiln.job, kiln.stage, kiln.provider, interval) is
'Has a call asked about: how it stands, or, where its outcome is unknown, whether the provider knows it at all.';

create or replace function kiln_internal.request_cancel(p_call kiln.call, p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider)
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
'Nobody wants it any more: the provider is told with the next poll, and the call is followed to its end for the bill.';

-- A new call. Either its permit is refused and the task is deferred, or the row is here and the step may send.
create or replace function kiln_internal.start_call(p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider, p_number int)
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
       and exists (select from kiln.runner_secret s where s.runner_id = p_task.runner_id and v_secret <> all (s.names)) then
        perform kiln_internal.defer_for_secret(p_task, p_job, p_provider);
        return kiln_internal.idle_step(p_task.task_id);
    end if;
    if p_job.estimated_micros > 0 then
        v_estimate := p_job.estimated_micros / greatest((
            select count(*) from kiln.stage s join kiln.provider r on r.name = s.config ->> 'provider'
             where s.pipeline_version_id = p_task.pipeline_version_id and s.handler = 'http' and r.is_paid), 1);
    end if;
    v_no := kiln_internal.refuse_call(p_provider, p_task, p_job.account_id, v_estimate);
    if v_no.reason is not null then
        perform kiln_internal.defer_task(p_task, p_provider, p_job.account_id, v_estimate, v_no.reason, v_no.sentence, v_no.until);
        return kiln_internal.idle_step(p_task.task_id);
    end if;

    v_call.call_id := nextval('kiln.call_call_id_seq');
    v_call.idempotency_key := gen_random_uuid();
    v_call.webhook_token := gen_random_uuid();
    begin
        v_call.request := kiln_internal.render_request(p_provider, 'submit', kiln_internal.request_context(p_task, p_job, p_stage, p_provider, v_call));
    exception when others then
        v_call.error_message := sqlerrm;
    end;
    if v_call.request is null then
        return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, 'invalid', 'The request could not be composed: ' || coalesce(v_call.error_message, 'it is empty.')));
    end if;
    insert into kiln.call (call_id, task_id, job_id, account_id, provider_id, fence, runner_id, number, request, request_hash, idempotency_key, webhook_token,
                           send_before, timeout_at, expires_at, estimated_micros)
    values (v_call.call_id, p_task.task_id, p_task.job_id, p_job.account_id, p_provider.provider_id, p_task.fence, p_task.runner_id, p_number,
            v_call.request, sha256(convert_to(v_call.request::text, 'UTF8')), v_call.idempotency_key, v_call.webhook_token,
            kiln_internal.now() + c_send_within, kiln_internal.now() + c_send_within + p_provider.reply_timeout, kiln_internal.now() + c_send_within + p_provider.reply_timeout + interval '1 minute',
            v_estimate)
    returning * into v_call;
    return kiln_internal.send_step(v_call, 'submit', v_call.request);
end
$$;
comment on function kiln_internal.start_call(kiln.task, kiln.job, kiln.stage, kiln.provider, int) is 'Begins a new call of a running task, or parks it.';

-- (Not in SQL: such a function is inlined, and an argument that it does not use would never be run.)
create or replace function kiln_internal.idle_step_after(p_task kiln.task, p_state kiln.task_state)
returns json
language plpgsql
as $$
begin
    return json_build_object('do', 'nothing', 'state', p_state, 'why', (select t.error_message from kiln.task t where t.task_id = p_task.task_id));
end
$$;
comment on function kiln_internal.idle_step_after(kiln.task, kiln.task_state) is 'The same, after a function that has moved the task.';

-- Nothing is known of an open call any more: its runner died, its reply was lost, or could not be read. What follows is a matter of
-- the provider's powers.
create or replace function kiln_internal.mark_call_unknown(p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider, p_call kiln.call, p_why text, p_is_claimed boolean)
returns json
language plpgsql
as $$
declare
    v_call kiln.call;
    v_wait interval;
begin
    if not p_provider.is_paid then
        return kiln_internal.retry_call(p_task, p_provider, p_call, p_why);
    elsif p_provider.idempotency_header is not null and p_call.sends < 20 and p_job.state <> 'cancelling' and p_job.finished_at is null
       and kiln_internal.now() + interval '10 seconds' + p_provider.reply_timeout < p_call.created_at + coalesce(p_provider.idempotency_ttl, interval '24 hours') then
        -- The very same request under the same key is not a second one, if it arrives while the key is remembered. (Not for a job that is
        -- being cancelled: the repeat may be the first to arrive.)
        select greatest(g.paused_until, case when g.circuit <> 'closed' then g.open_until end) - kiln_internal.now() into v_wait
          from kiln.provider_limiter g where g.provider_id = p_provider.provider_id;
        if not p_is_claimed then
            v_wait := greatest(v_wait, kiln_internal.backoff(p_stage.backoff_base, p_stage.backoff_cap, p_call.sends));
        end if;
        if v_wait > '0' then
            perform kiln_internal.defer_with_call(p_task, 'resend', p_why || ' It is sent again under its key.', kiln_internal.now() + v_wait);
            return kiln_internal.idle_step(p_task.task_id);
        end if;
        update kiln.call c
           set sends = c.sends + 1, fence = p_task.fence, runner_id = p_task.runner_id,
               send_before = kiln_internal.now() + interval '10 seconds', timeout_at = kiln_internal.now() + interval '10 seconds' + p_provider.reply_timeout,
               expires_at = kiln_internal.now() + interval '70 seconds' + p_provider.reply_timeout
         where c.call_id = p_call.call_id
        returning c.* into v_call;
        return kiln_internal.send_step(v_call, 'submit', v_call.request);
    elsif p_provider.lookup is null and p_stage.config ->> 'on_unknown' = 'retry' then
        return kiln_internal.retry_call(p_task, p_provider, p_call, p_why);
    end if;

    update kiln.call c
       set state = 'unknown', why = kiln_internal.shorten(p_why, 2000), expires_at = greatest(c.timeout_at, kiln_internal.now()) + interval '1 day'
     where c.call_id = p_call.call_id
    returning c.* into v_call;
    if p_provider.lookup is not null then
        perform kiln_internal.schedule_poll(v_call, p_task, p_job, p_stage, p_provider, greatest(v_call.timeout_at - kiln_internal.now(), '0'));
        perform kiln_internal.defer_with_call(p_task, 'lookup', p_why || format(' Provider %s is asked about it.', p_provider.name));
    else
        perform kiln_internal.hold_task(p_task.task_id, 'unknown', p_why || format(' Whether %s has it, and charges it, cannot be known here.', p_provider.name));
    end if;
    return kiln_internal.idle_step(p_task.task_id);
end
$$;
comment on function kiln_internal.mark_call_unknown(kiln.task, kiln.job, kiln.stage, kiln.provider, kiln.call, text, boolean) is
'What follows when the outcome of an open call is not known: the next attempt where it is unpaid; the same request again under its
idempotency key; a look-up once it can no longer arrive; the next attempt where the stage says on_unknown retry; else it is held.
p_is_claimed: the task was just claimed, so a step may send at once.';

create or replace function kiln_internal.retry_call(p_task kiln.task, p_provider kiln.provider, p_call kiln.call, p_why text)
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
'Gives an open call up, not knowing whether it was charged, and has its task tried again as after any failure.';

-- What a settled call means for its running task.
create or replace function kiln_internal.classify_call(p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider, p_call kiln.call)
returns json
language plpgsql
as $$
declare
    v_class text := p_call.error_class;
    v_why   text := coalesce(p_call.error_message, format('Provider %s: %s.', p_provider.name, p_call.outcome));
    v_wait  interval;
begin
    if p_call.outcome = 'succeeded' then
        return kiln_internal.success_step(p_task, p_stage, p_provider, p_call);
    end if;
    update kiln.call c set classified_at = kiln_internal.now() where c.call_id = p_call.call_id and c.classified_at is null;
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
    elsif p_call.outcome = 'not_sent' and coalesce(v_class, 'transient') = 'transient' and p_call.error_code is distinct from 'secret' and p_call.number < 100 then
        perform kiln_internal.defer_with_call(p_task, 'transient', v_why, kiln_internal.now() + kiln_internal.backoff(greatest(p_stage.backoff_base, '1 second'), p_stage.backoff_cap, p_call.number));
        return kiln_internal.idle_step(p_task.task_id);
    elsif v_class = 'rate_limited' and p_call.charged_micros = 0
          and (select count(*) from kiln.call c where c.task_id = p_task.task_id and c.error_class = 'rate_limited') <= 20 then
        select greatest(g.paused_until - kiln_internal.now(), interval '1 second') into v_wait from kiln.provider_limiter g where g.provider_id = p_provider.provider_id;
        perform kiln_internal.defer_with_call(p_task, 'rate_limited', v_why, kiln_internal.now() + v_wait * (1 + random() / 4));
        return kiln_internal.idle_step(p_task.task_id);
    end if;

    -- A repeat may be paid again, so it wants the description's word; a cancelled one was taken back by us or for us.
    if p_call.outcome = 'cancelled' then
        v_class := case when p_call.charged_micros = 0 then 'timeout' else 'ended' end;
    elsif not p_provider.is_paid then
        v_class := case when v_class in ('invalid', 'refused', 'rate_limited', 'timeout') then v_class else 'transient' end;
    elsif coalesce(v_class, 'unknown') = 'unknown' then
        v_class := case when p_call.charged_micros = 0 then 'transient' else 'ended' end;
    end if;
    if v_class = 'ended' then
        update kiln.task t
           set state = 'failed', attempts = t.attempts + 1, error_class = case p_call.outcome when 'cancelled' then 'timeout' else 'invalid' end, error_message = v_why
         where t.state = 'running' and t.task_id = p_task.task_id;
        return kiln_internal.idle_step(p_task.task_id);
    end if;
    return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, v_class, v_why));
end
$$;
comment on function kiln_internal.classify_call(kiln.task, kiln.job, kiln.stage, kiln.provider, kiln.call) is
'Draws the consequence of a settled call for its running task, once: its files, another attempt, failure. What was certainly not sent
over a broken network or for want of a secret, and what was told to come later, costs no attempt. A charged failure is repeated only where the description says transient.';

-- The result is in sight: its files are fetched (again, after a crash: that is never paid again), or it is complete.
create or replace function kiln_internal.success_step(p_task kiln.task, p_stage kiln.stage, p_provider kiln.provider, p_call kiln.call)
returns json
language plpgsql
as $$
declare
    v_read   jsonb := kiln_internal.read_outputs(p_stage.config, p_call.result);
    v_files  jsonb;
    v_output jsonb;
    v_hosts  jsonb;
begin
    if (v_read ->> 'is_blocked')::boolean then
        update kiln.call c set classified_at = kiln_internal.now() where c.call_id = p_call.call_id and c.classified_at is null;
        return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, 'refused', format('Provider %s blocked the result.', p_provider.name)));
    end if;
    select coalesce(jsonb_object_agg(c, j.input -> c), '{}') || coalesce(v_read -> 'keep', '{}') into v_output
      from kiln.job j, jsonb_array_elements_text(coalesce(p_stage.config -> 'carry', '[]')) as c
     where j.job_id = p_task.job_id and j.input ? c;
    -- Where a runner took files out of the reply, what it left there was none.
    select coalesce(jsonb_agg(f - 'is_inline'), '[]') into v_files from jsonb_array_elements(v_read -> 'files') as f where p_call.media = '{}' or not f ? 'is_inline';
    if v_read ->> 'missing' is null and p_call.media = '{}' and v_files = '[]'
       and exists (select from jsonb_array_elements(p_stage.config -> 'outputs') as o where o ->> 'as' <> 'url' and not coalesce(o -> 'may_be_empty' = 'true', false)) then
        v_read := v_read || '{"missing": "no file came with the reply"}';
    end if;
    if v_read ->> 'missing' is not null and v_files = '[]' and p_call.media = '{}' then
        perform kiln_internal.hold_task(p_task.task_id, 'lost', format('Provider %s succeeded, and its result is not where it should be: %s.', p_provider.name, v_read ->> 'missing'));
        return kiln_internal.idle_step(p_task.task_id);
    end if;
    if v_files = '[]' then
        if p_call.media <> '{}' then
            v_output := v_output || jsonb_build_object('media', (select jsonb_agg(m::text order by n) from unnest(p_call.media) with ordinality as u (m, n)));
        end if;
        return json_build_object('do', 'complete', 'call_id', p_call.call_id::text, 'output', v_output);
    end if;
    v_hosts := to_jsonb(p_provider.file_hosts || kiln_internal.url_host(p_provider.base_url));
    return json_build_object('do', 'fetch', 'call_id', p_call.call_id::text,
        'files', (select jsonb_agg(f || jsonb_build_object('with_auth', coalesce((p_provider.auth ->> 'for_files')::boolean, false),
                                                           'auth', case when (p_provider.auth ->> 'for_files')::boolean then p_provider.auth - 'for_files' end,
                                                           'hosts', v_hosts, 'max_bytes', p_provider.max_file_bytes))
                    from jsonb_array_elements(v_files) as f),
        'output', v_output);
end
$$;
comment on function kiln_internal.success_step(kiln.task, kiln.stage, kiln.provider, kiln.call) is 'The step that follows a success: fetch its files, or complete.';

-- What is left to do for a running task.
create or replace function kiln_internal.next_step(p_task kiln.task, p_is_claimed boolean, p_sent_nothing boolean default false)
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
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = p_task.pipeline_version_id and s.position = p_task.stage;
    v_provider := kiln_internal.provider_of(v_stage);
    if v_provider.provider_id is null then
        return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, 'invalid', format('There is no provider %s.', coalesce(quote_literal(v_stage.config ->> 'provider'), 'in the stage''s config'))));
    end if;
    select c.* into v_call from kiln.call c where c.task_id = p_task.task_id order by c.number desc limit 1 for no key update;

    if v_call.call_id is null 
       or v_call.state = 'settled' and (v_call.outcome <> 'succeeded' and v_call.classified_at is not null or v_call.late_outcome = 'abandoned') then
        if v_job.state = 'cancelling' or v_job.finished_at is not null then
            return kiln_internal.idle_step_after(p_task, kiln_internal.fail_task(p_task, 'cancelled', 'Cancelled before anything was sent.'));
        end if;
        return kiln_internal.start_call(p_task, v_job, v_stage, v_provider, coalesce(v_call.number, 0) + 1);
    end if;
    case v_call.state
        when 'settled' then
            return kiln_internal.classify_call(p_task, v_job, v_stage, v_provider, v_call);
        when 'open' then
            if p_sent_nothing and v_call.fence = p_task.fence and v_call.sends = 1 then
                if v_job.state = 'cancelling' then
                    v_call := kiln_internal.settle_call(v_call, v_provider, 'not_sent', 'transient', 'cancelled', 'It was not sent, since its job was cancelled.', true);
                    return kiln_internal.classify_call(p_task, v_job, v_stage, v_provider, v_call);
                end if;
                update kiln.call c
                   set send_before = kiln_internal.now() + interval '10 seconds', timeout_at = kiln_internal.now() + interval '10 seconds' + v_provider.reply_timeout,
                       expires_at = kiln_internal.now() + interval '70 seconds' + v_provider.reply_timeout
                 where c.call_id = v_call.call_id
                returning c.* into v_call;
                return kiln_internal.send_step(v_call, 'submit', v_call.request);
            end if;
            v_was := coalesce((select format('Runner %s', r.name) from kiln.runner r where r.runner_id = v_call.runner_id), 'A runner');
            return kiln_internal.mark_call_unknown(p_task, v_job, v_stage, v_provider, v_call,
                                  format('%s began the request at %s UTC and did not tell how it went.', v_was, to_char(v_call.created_at at time zone 'UTC', 'HH24:MI:SS')), p_is_claimed);
        when 'accepted' then
            if v_job.state = 'cancelling' then
                perform kiln_internal.request_cancel(v_call, p_task, v_job, v_stage, v_provider);
                update kiln.task t set state = 'cancelled', error_message = null where t.state = 'running' and t.task_id = p_task.task_id;
            elsif v_call.result_at is not null and v_provider.result is not null then
                v_request := kiln_internal.compose(v_provider, 'result', kiln_internal.request_context(p_task, v_job, v_stage, v_provider, v_call));
                if v_request is not null then
                    return kiln_internal.send_step(v_call, 'result', v_request);
                end if;
                perform kiln_internal.hold_task(p_task.task_id, 'lost', format('Provider %s succeeded, and its description does not say where the result is.', v_provider.name));
            else
                if not exists (select from kiln.poll p where p.call_id = v_call.call_id) then
                    perform kiln_internal.schedule_poll(v_call, p_task, v_job, v_stage, v_provider);
                end if;
                perform kiln_internal.defer_with_call(p_task, 'submitted', format('Provider %s has it%s.', v_provider.name, coalesce(' as ' || v_call.provider_request_id, '')), 'infinity',
                                       format('With %s%s', v_provider.name, coalesce(', ' || v_call.queue_position || ' before it', '')));
            end if;
        when 'unknown' then
            if v_provider.lookup is not null then
                perform kiln_internal.schedule_poll(v_call, p_task, v_job, v_stage, v_provider, greatest(v_call.timeout_at - kiln_internal.now(), '0'));
                perform kiln_internal.defer_with_call(p_task, 'lookup', v_call.why);
            else
                perform kiln_internal.hold_task(p_task.task_id, 'unknown', v_call.why || ' kiln.resolve_job says what is to be done.');
            end if;
    end case;
    return kiln_internal.idle_step(p_task.task_id);
end
$$;
comment on function kiln_internal.next_step(kiln.task, boolean, boolean) is 'What is left to do for a running task whose row is locked, by what is known of its last call.';

create or replace function kiln_runner.begin_call(p_task_id bigint, p_fence bigint, p_sent_nothing boolean default false)
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
'What is to be done for a claimed task of the handler http, as a step: send (a request that may go now: its call is committed), fetch,
complete, or nothing. p_sent_nothing: this runner asked before under this fence, did not get the answer, and has certainly sent
nothing: then the same call is given again. KN010: no longer this runner''s.';

-- The provider's word about a request that was sent: recorded whoever brings it, and whatever became of the task meanwhile. Returns
-- why its outcome is not known, or null where it is.
create or replace function kiln_internal.record_submit(p_task kiln.task, p_job kiln.job, p_stage kiln.stage, p_provider kiln.provider, p_call kiln.call, p_answer jsonb, p_media bigint[])
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
                                 case when v_code in ('host', 'address', 'file') then 'invalid' else 'transient' end,
                                 v_code, v_call.error_message, true);
        return null;
    end if;
    v_reply := kiln_internal.read_reply(p_provider, p_stage.config, 'submit', (p_answer ->> 'status')::int, coalesce(p_answer -> 'headers', '{}'), p_answer ->> 'body');
    if v_reply.outcome in ('accepted', 'queued', 'running') and (v_reply.request_id is not null or v_reply.urls is not null) then
        perform kiln_internal.accept_call(p_call, p_task, p_job, p_stage, p_provider, v_reply.request_id, v_reply.urls, v_reply.queue_position, v_reply.fraction);
        return null;
    elsif v_reply.outcome = 'succeeded' then
        if v_reply.request_id is not null then
            update kiln.call c set provider_request_id = v_reply.request_id where c.call_id = p_call.call_id;
        end if;
        perform kiln_internal.settle_call(p_call, p_provider, 'succeeded', null, null, null, v_reply.is_unbilled, v_reply.cost_micros, v_reply.result, p_media);
        return null;
    elsif v_reply.outcome in ('failed', 'cancelled')
          and (p_call.sends = 1 or v_reply.request_id is not null)
          and (v_reply.is_unbilled or v_reply.request_id is not null or (p_answer ->> 'status')::int = 429 or not p_provider.is_paid) then
        if v_reply.request_id is not null then
            update kiln.call c set provider_request_id = v_reply.request_id where c.call_id = p_call.call_id;
        end if;
        perform kiln_internal.settle_call(p_call, p_provider, v_reply.outcome,
                                 case when (p_answer ->> 'status')::int = 429 then coalesce(v_reply.error_class, 'rate_limited') else v_reply.error_class end,
                                 v_reply.error_code, v_reply.error_message,
                                 v_reply.is_unbilled or (p_answer ->> 'status')::int = 429 and v_reply.request_id is null, v_reply.cost_micros, v_reply.result, p_media);
        return null;
    end if;
    return format('Provider %s answered %s: %s.', p_provider.name, coalesce(p_answer ->> 'status', 'something'),
                  rtrim(coalesce(v_reply.error_message, 'that tells neither that it has the request nor that it costs nothing'), '.'));
end
$$;
comment on function kiln_internal.record_submit(kiln.task, kiln.job, kiln.stage, kiln.provider, kiln.call, jsonb, bigint[]) is
'Records the answer to a submit: not sent, accepted, succeeded, failed without a bill. Else it returns why the outcome is not known. A refusal
of a second sending says nothing about the first: only what names the request, or brings the result, settles that.';

-- Asking for the result, or fetching its files, went wrong: it is paid, so it is tried for long, and then held, never sent again.
create or replace function kiln_internal.fetch_tries(p_answer jsonb)
returns int
language plpgsql immutable
set search_path = ''
as $$
declare
    v_status int := (p_answer ->> 'status')::int;
    v_code   text := p_answer -> 'error' ->> 'code';
begin
    return case when v_code in ('host', 'too_long') then 1
                when v_code in ('content', 'address') or v_status between 300 and 499 and v_status not in (408, 409, 421, 423, 425, 429) then 3
                when v_code is null and v_status between 200 and 299 and kiln_internal.parse_reply(p_answer ->> 'body') is null then 3
                else 10 end;
end
$$;
comment on function kiln_internal.fetch_tries(jsonb) is
'How often a paid result is asked for that comes to such an answer. 1: a host that the description does not name, a file beyond its bounds. 3, some seconds:
gone, forbidden, moved about, at no public address, a page of HTML or a file that is none, which a CDN may answer before a file has reached it. 10, a quarter of an hour: all else.';

create or replace function kiln_internal.schedule_fetch(p_task kiln.task, p_call kiln.call, p_why text, p_tries int)
returns void
language plpgsql
as $$
declare
    v_fetches int;
begin
    update kiln.call c set fetches = c.fetches + 1 where c.call_id = p_call.call_id returning c.fetches into v_fetches;
    if v_fetches >= p_tries then
        perform kiln_internal.hold_task(p_task.task_id, 'lost', format('It is paid, and its result could not be had in %s: %s', case v_fetches when 1 then 'one try' else v_fetches || ' tries' end, p_why));
    else
        perform kiln_internal.defer_with_call(p_task, 'fetch', p_why, kiln_internal.now() + kiln_internal.backoff('1 second', '10 minutes', v_fetches));
    end if;
end
$$;
comment on function kiln_internal.schedule_fetch(kiln.task, kiln.call, text, int) is
'Lets a task wait before its result is asked for once more; after p_tries (kiln_internal.fetch_tries()) it is held.';

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
comment on function kiln_internal.keep_malformed_reply(bigint, text) is 'Keeps the beginning of a reply that is not JSON as it stands.';

-- What the provider says after the call was settled: it cannot change what followed, but the money shows.
create or replace function kiln_internal.record_late_outcome(p_call kiln.call, p_provider kiln.provider, p_outcome text, p_result jsonb, p_cost bigint, p_is_unbilled boolean)
returns void
language plpgsql
as $$
begin
    if p_outcome is not distinct from p_call.outcome or p_outcome is not distinct from p_call.late_outcome
       or p_outcome in ('accepted', 'queued', 'running') and (p_call.late_outcome is not null or p_call.outcome in ('succeeded', 'cancelled')
                                                              or p_call.outcome = 'failed' and p_call.error_class is distinct from 'unknown')
       or p_outcome = 'unclear' or p_outcome is null then
        return;
    end if;
    update kiln.call c
       set late_at = kiln_internal.now(), late_outcome = p_outcome,
           result = case when p_outcome = 'succeeded' then coalesce(p_result, c.result) else c.result end,
           charged_micros = case when p_is_unbilled or p_outcome = 'failed' and not p_provider.bills_failures
                                      or p_outcome = 'cancelled' and not p_provider.bills_cancelled then coalesce(c.charged_micros, 0)
                                 when p_outcome in ('succeeded', 'failed', 'cancelled') then greatest(c.charged_micros, coalesce(p_cost, c.estimated_micros))
                                 else c.charged_micros end
     where c.call_id = p_call.call_id;
    update kiln.job set actual_micros = (select sum(c.charged_micros) from kiln.call c where c.job_id = p_call.job_id)
     where job_id = p_call.job_id and actual_micros is not null;
end
$$;
comment on function kiln_internal.record_late_outcome(kiln.call, kiln.provider, text, jsonb, bigint, boolean) is
'Records what a provider says of a call that was settled otherwise. The account pays no more for it: it shows in kiln.waste.';

create or replace function kiln_runner.call_answer(p_task_id bigint, p_fence bigint, p_call_id bigint, p_answer json)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_answer   jsonb := p_answer;
    v_kind     text := coalesce(v_answer ->> 'kind', 'submit');
    v_media    bigint[] := array(select m::bigint from jsonb_array_elements_text(coalesce(v_answer -> 'media', '[]')) as m);
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
    select c.* into v_call from kiln.call c where c.call_id = p_call_id and c.task_id = p_task_id for no key update;
    if not found then
        raise exception 'task % has no call %', p_task_id, p_call_id using errcode = 'KN002';
    end if;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id and s.position = v_task.stage;
    select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;

    if v_kind in ('submit', 'result') then
        perform kiln_internal.record_reply_health(v_provider, v_stage.config, v_kind, v_answer);
        perform kiln_internal.keep_malformed_reply(p_call_id, v_answer ->> 'body');
    end if;
    case v_kind
        when 'submit' then
            if v_call.state in ('open', 'unknown') then
                v_why := kiln_internal.record_submit(v_task, v_job, v_stage, v_provider, v_call, v_answer, v_media);
                if v_why is not null and v_ours and v_call.state = 'open' then
                    return kiln_internal.mark_call_unknown(v_task, v_job, v_stage, v_provider, v_call, v_why, false);
                end if;
            elsif v_answer -> 'error' is null then
                v_reply := kiln_internal.read_reply(v_provider, v_stage.config, 'submit', (v_answer ->> 'status')::int, coalesce(v_answer -> 'headers', '{}'), v_answer ->> 'body');
                if v_call.state = 'accepted' and (v_call.provider_request_id is null or v_call.urls is null) and v_reply.request_id is not null then
                    perform kiln_internal.accept_call(v_call, v_task, v_job, v_stage, v_provider, v_reply.request_id, v_reply.urls, v_reply.queue_position, v_reply.fraction);
                elsif v_call.state = 'accepted' and v_reply.outcome = 'succeeded' then
                    perform kiln_internal.settle_call(v_call, v_provider, 'succeeded', null, null, null, v_reply.is_unbilled, v_reply.cost_micros, v_reply.result, v_media);
                elsif v_call.state = 'settled' then
                    perform kiln_internal.record_late_outcome(v_call, v_provider, v_reply.outcome, v_reply.result, v_reply.cost_micros, v_reply.is_unbilled);
                end if;
            end if;
        when 'result' then
            if v_call.state = 'accepted' then
                v_why := kiln_internal.record_result(v_stage, v_provider, v_call, v_answer, v_media);
                if v_why is not null and v_ours then
                    perform kiln_internal.schedule_fetch(v_task, v_call, v_why, kiln_internal.fetch_tries(v_answer));
                    return kiln_internal.idle_step(p_task_id);
                end if;
            end if;
        when 'fetch' then
            if v_ours and v_call.outcome = 'succeeded' then
                perform kiln_internal.schedule_fetch(v_task, v_call, coalesce(v_answer -> 'error' ->> 'message', 'Its files could not be fetched.'), kiln_internal.fetch_tries(v_answer));
                return kiln_internal.idle_step(p_task_id);
            end if;
        else
            perform kiln_internal.record_poll_answer(v_answer || jsonb_build_object('call_id', p_call_id::text));
            select t.* into v_task from kiln.task t where t.task_id = p_task_id;
            v_ours := v_task.state = 'running' and v_task.fence = p_fence;
    end case;

    if v_ours then
        return kiln_internal.next_step(v_task, false);
    end if;
    perform kiln_internal.ready_call_task(v_task, p_call_id);
    return json_build_object('do', 'nothing', 'state', (select t.state from kiln.task t where t.task_id = p_task_id), 'why', 'The task is someone else''s now; the answer was recorded.');
end
$$;
comment on function kiln_runner.call_answer(bigint, bigint, bigint, json) is
'The answer to a step, as it came: {"call_id", "kind", "status", "headers", "body", "elapsed_ms", "media"} or {…, "error": {"code",
"message", "was_sent"}}. Returns the next step. With a stale fence the answer is recorded all the same, and the step is nothing.';

create or replace function kiln_internal.record_result(p_stage kiln.stage, p_provider kiln.provider, p_call kiln.call, p_answer jsonb, p_media bigint[])
returns text
language plpgsql
as $$
declare
    v_reply record;
begin
    if p_answer -> 'error' is not null then
        return coalesce(p_answer -> 'error' ->> 'message', 'The result could not be asked for.');
    end if;
    v_reply := kiln_internal.read_reply(p_provider, p_stage.config, 'result', (p_answer ->> 'status')::int, coalesce(p_answer -> 'headers', '{}'), p_answer ->> 'body');
    if v_reply.outcome = 'succeeded' then
        perform kiln_internal.settle_call(p_call, p_provider, 'succeeded', null, null, null, v_reply.is_unbilled, v_reply.cost_micros, v_reply.result, p_media);
        return null;
    elsif v_reply.outcome = 'cancelled'
          or v_reply.outcome = 'failed' and (p_answer ->> 'status')::int <> 429 and (coalesce(v_reply.error_class, 'invalid') in ('invalid', 'refused', 'timeout') or p_call.fetches >= 3) then
        -- (A 5xx may be the page's or the work's own: asked three times more, it is the work's.)
        perform kiln_internal.settle_call(p_call, p_provider, v_reply.outcome, v_reply.error_class, v_reply.error_code, v_reply.error_message,
                                 v_reply.is_unbilled, v_reply.cost_micros, v_reply.result);
        return null;
    end if;
    return format('Asked for its result, %s answered %s: %s', p_provider.name, p_answer ->> 'status', coalesce(v_reply.error_message, 'unclear'));
end
$$;
comment on function kiln_internal.record_result(kiln.stage, kiln.provider, kiln.call, jsonb, bigint[]) is
'Records the answer to a request for the result of an accepted call: success, or its definite failure. Else it returns why neither is known.';

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
    if p_task.state = 'waiting' and p_task.error_class in ('submitted', 'lookup', 'resend') and (v_call.state = 'settled' or v_call.result_at is not null)
       or p_task.state = 'waiting' and p_task.error_class = 'resend' and v_call.state = 'accepted'
       or p_task.state = 'held' and p_task.error_class in ('unknown', 'timeout') and (v_call.state in ('settled', 'accepted') and p_task.error_class = 'unknown'
                                                                                      or v_call.state = 'settled' or v_call.result_at is not null) then
        update kiln.task t set state = 'ready' where t.task_id = p_task.task_id and t.state in ('waiting', 'held');
    end if;
end
$$;
comment on function kiln_internal.ready_call_task(kiln.task, bigint) is
'Readies the task of a call that has moved, where it waits or is held for just that. Its row is locked.';

create or replace function kiln_internal.record_reply_health(p_provider kiln.provider, p_config jsonb, p_kind text, p_answer jsonb)
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
        v_reply := kiln_internal.read_reply(p_provider, p_config, p_kind, v_status, coalesce(p_answer -> 'headers', '{}'), p_answer ->> 'body');
        v_pause := coalesce(v_reply.retry_after, case v_status when 429 then interval '2 seconds' end);
    end if;
    perform kiln_internal.record_provider_answer(p_provider.provider_id, kiln_internal.count_provider_answer(p_answer), v_status is null or v_status >= 500, v_status < 500, v_pause,
                             format('It answered %s.', v_status));
end
$$;
comment on function kiln_internal.record_reply_health(kiln.provider, jsonb, text, jsonb) is 'The health, the circuit and the pause that follow from one answer.';

-- kiln_internal.fail_task comes here where a call of the task is not settled: whatever a runner says of its attempt, that call decides.
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
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = p_task.pipeline_version_id and s.position = p_task.stage;
    select c.* into v_call from kiln.call c where c.task_id = p_task.task_id and c.state <> 'settled' for no key update;
    if not found then
        return kiln_internal.fail_task(p_task, p_class, p_message);
    end if;
    select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;
    if v_call.state = 'open' then
        perform kiln_internal.mark_call_unknown(p_task, v_job, v_stage, v_provider, v_call, coalesce(p_message, 'Its runner gave it up.'), false);
    else
        perform kiln_internal.next_step(p_task, false);
    end if;
    return (select t.state from kiln.task t where t.task_id = p_task.task_id);
end
$$;
comment on function kiln_internal.fail_with_call(kiln.task, text, text) is 'What follows when an attempt ends while its call is not settled.';

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
        select c.call_id, c.task_id, c.job_id from kiln.call c where c.expires_at <= kiln_internal.now() and c.outcome is null order by c.expires_at limit p_limit
    loop
        select t.* into v_task from kiln.task t where t.task_id = v_due.task_id for no key update skip locked;
        continue when not found;
        select j.* into v_job from kiln.job j where j.job_id = v_due.job_id for no key update;
        select c.* into v_call from kiln.call c where c.call_id = v_due.call_id and c.state <> 'settled' and c.expires_at <= kiln_internal.now() for no key update;
        continue when not found;
        select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id and s.position = v_task.stage;
        select p.* into v_provider from kiln.provider p where p.provider_id = v_call.provider_id;
        v_all := v_all + 1;
        if v_call.state = 'open' then
            if v_task.state in ('running', 'ready', 'waiting') then     -- whoever has it, or claims it next, decides
                update kiln.call c set expires_at = kiln_internal.now() + interval '1 minute' where c.call_id = v_call.call_id;
            else
                update kiln.call c set state = 'unknown', why = 'Its task ended before a reply came.', expires_at = kiln_internal.now() + interval '1 day' where c.call_id = v_call.call_id
                returning c.* into v_call;
                perform kiln_internal.schedule_poll(v_call, v_task, v_job, v_stage, v_provider, '0');
            end if;
        elsif v_job.finished_at is not null and (v_call.state = 'unknown' or v_call.cancel_requested_at < kiln_internal.now() - interval '1 day') then
            v_call := kiln_internal.settle_call(v_call, v_provider, 'failed', 'unknown', 'unknown', coalesce(v_call.why, 'It did not end within a day after its job had.'));
            update kiln.call c set classified_at = kiln_internal.now() where c.call_id = v_call.call_id;
        elsif v_job.finished_at is not null then
            update kiln.call c set expires_at = kiln_internal.now() + interval '1 hour' where c.call_id = v_call.call_id;
            perform kiln_internal.request_cancel(v_call, v_task, v_job, v_stage, v_provider);
        elsif v_call.state = 'unknown' or v_call.result_at is not null then
            update kiln.call c set expires_at = null where c.call_id = v_call.call_id;      -- a person's
        elsif v_call.cancel_requested_at is null and v_provider.cancel is not null then
            update kiln.call c set expires_at = kiln_internal.now() + interval '2 minutes' where c.call_id = v_call.call_id;
            perform kiln_internal.request_cancel(v_call, v_task, v_job, v_stage, v_provider);
        elsif v_task.state = 'waiting' then
            update kiln.call c set expires_at = null where c.call_id = v_call.call_id;
            perform kiln_internal.hold_task(v_task.task_id, 'timeout', format('Provider %s has had it since %s UTC%s and it does not end. It is still followed.', v_provider.name,
                to_char(v_call.accepted_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), case when v_call.cancel_requested_at is not null then ', was asked to cancel it,' else '' end));
        else
            update kiln.call c set expires_at = kiln_internal.now() + interval '1 minute' where c.call_id = v_call.call_id;
        end if;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.expire_calls(int) is
'Calls whose time has come: an accepted one that takes longer than its stage allows is cancelled, then held, never paid again; one whose job has ended
is given up after a day, so that the money can be settled.';

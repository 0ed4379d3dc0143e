-- Webhooks of providers. The server has verified the signature; the call is found by the token in its URL, or
-- else by the provider's request id. It may come before our own reply, twice, out of order, or when we have
-- long given up; each is recorded, none is refused: a provider that is told off sends it again for hours.
create or replace function kiln_internal.record_webhook(p_provider text, p_token text, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_provider kiln.provider;
    v_reply    record;
    v_task     kiln.task;
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_call     kiln.call;
begin
    select p.* into v_provider from kiln.provider p where p.name = p_provider;
    if v_provider.webhook is null then
        raise exception 'there is no provider % with webhooks',
            quote_literal(kiln_internal.shorten(p_provider, 40)) using errcode = 'KN002';
    end if;
    if p_token ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
        select c.* into v_call from kiln.call c where c.webhook_token = p_token::uuid
           and c.provider_id = v_provider.provider_id;
    end if;
    if v_call.call_id is null then
        v_reply := kiln_internal.read_reply(v_provider, '{}', 'webhook', 200, '{}', p_body);
        select c.* into v_call
          from (select c.* from kiln.call c where c.provider_id = v_provider.provider_id
                   and c.provider_request_id = v_reply.request_id offset 0) c
         order by c.call_id desc limit 1;
    end if;
    if v_call.call_id is null then
        insert into kiln.unmatched_webhook (provider_id, request_id, token)
        values (v_provider.provider_id, left(v_reply.request_id, 200), left(p_token, 100));
        raise log 'kiln: a webhook of provider % about a call that is not known here (request id %)',
            v_provider.name, coalesce(left(v_reply.request_id, 100), 'none');
        return json_build_object('received', true, 'known', false);
    end if;

    v_task := kiln_internal.lock_task(v_call.task_id);
    select j.* into v_job from kiln.job j where j.job_id = v_call.job_id for no key update;
    select c.* into v_call from kiln.call c where c.call_id = v_call.call_id for no key update;
    if v_task.task_id is null then
        -- its job was deleted; its money is settled
        return json_build_object('received', true, 'known', true);
    end if;
    select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id
       and s.position = v_task.stage;
    v_reply := kiln_internal.read_reply(v_provider, v_stage.config, 'webhook', 200, '{}', p_body);

    perform kiln_internal.keep_malformed_reply(v_call.call_id, p_body);
    if v_call.state = 'settled' then
        perform kiln_internal.record_late_outcome(v_call, v_provider, v_reply.outcome, v_reply.result,
                                                  v_reply.cost_micros, v_reply.is_unbilled);
    elsif v_reply.request_id is not null and v_call.provider_request_id is not null
       and v_reply.request_id <> v_call.provider_request_id then
        insert into kiln.unmatched_webhook (provider_id, request_id, token)
        values (v_provider.provider_id, left(v_reply.request_id, 200), left(p_token, 100));
        return json_build_object('received', true, 'known', false);
    elsif v_reply.outcome in ('succeeded', 'failed', 'cancelled') then
        perform kiln_internal.end_polled(v_call, v_provider, v_reply.outcome, v_reply.error_class,
                                         v_reply.error_code, v_reply.error_message, v_reply.is_unbilled,
                                v_reply.cost_micros, v_reply.result, v_reply.request_id, '{}');
    elsif v_reply.outcome in ('accepted', 'queued', 'running') and v_reply.request_id is not null
       and v_call.state in ('open', 'unknown') then
        perform kiln_internal.accept_call(v_call, v_task, v_job, v_stage, v_provider, v_reply.request_id,
                                          v_reply.urls, v_reply.queue_position, v_reply.fraction);
    elsif v_reply.outcome in ('accepted', 'queued', 'running') and v_call.state = 'accepted'
       and v_call.result_at is null
          and (v_reply.fraction is distinct from v_call.fraction and v_reply.fraction is not null) then
        update kiln.call c set fraction = v_reply.fraction where c.call_id = v_call.call_id;
    end if;
    perform kiln_internal.ready_call_task(v_task, v_call.call_id);
    return json_build_object('received', true, 'known', true);
end
$$;
comment on function kiln_internal.record_webhook(text, text, text) is
'A webhook whose signature was verified: what it says of its call. Safe to repeat. KN002: no such provider.';

create or replace function kiln_api.receive_webhook(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    return kiln_internal.record_webhook(coalesce(p_path ->> 'provider', p_path ->> 'id'), p_query ->> 'call',
                                        p_body);
end
$$;
comment on function kiln_api.receive_webhook(bigint, jsonb, jsonb, text) is
'POST /webhooks/{provider}?call=: a provider''s word about a call, once the server has verified its signature.
Always received: what is not known here is noted and ignored. KN002: no such provider.';

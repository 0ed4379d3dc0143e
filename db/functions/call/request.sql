-- The request of a call: what its template is filled with.

-- Paid requests. A runner does what a step says and gives back the answer as it came; what that means, and
-- what follows, is decided here. The rule in words: docs/money.md. Lock order: task, job, call, then the
-- provider's limiter.
--
-- A task whose stage's handler is `http` is running only while something is being sent for it. While the
-- provider works it waits (due_at = infinity), and a poll, a webhook or the tick makes it ready again. The
-- next claimer is told by begin_call what is left to do.

create or replace function kiln_internal.request_context(p_task kiln.task, p_job kiln.job, p_stage kiln.stage,
                                                         p_provider kiln.provider, p_call kiln.call)
returns jsonb
language plpgsql stable
as $$
declare
    v_input jsonb := p_job.input;
    v_seed  text;
begin
    if p_task.stage > 1 then
        v_input := v_input || coalesce((select t.output from kiln.task_ended t
                                         where t.task_id = p_task.task_id - 100 and t.state = 'done'), '{}');
    end if;
    v_seed := v_input ->> 'seed';
    return jsonb_strip_nulls(jsonb_build_object(
        'prompt', v_input -> 'prompt',
        'seed', case when v_seed ~ '^-?[0-9]{1,19}$' then to_jsonb(v_seed::numeric)
                     else v_input -> 'seed' end,
        'id', p_call.provider_request_id,
        'urls', p_call.urls,
        'idempotency_key', p_call.idempotency_key,
        'call_id', p_call.call_id::text,
        'webhook_url', case when p_provider.webhook is not null then
            (select c.public_url from kiln.config c) || '/api/v1/webhooks/' || p_provider.name || '?call='
                            || p_call.webhook_token end))
        || jsonb_build_object(
        'params', coalesce(v_input -> 'params', '{}'),
        'media', kiln_internal.media_files(p_job.account_id, v_input -> 'media'),
        'config', p_stage.config,
        'model', (select jsonb_build_object('name', m.name, 'title', m.title) from kiln.model m
                   where m.model_id = p_job.model_id));
end
$$;
comment on function kiln_internal.request_context(kiln.task, kiln.job, kiln.stage, kiln.provider,
                                                  kiln.call) is
'What the templates of a provider''s description may name: the prompt, the parameters, the media, the call''s
ids.';

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
comment on function kiln_internal.compose(kiln.provider, text, jsonb) is
'A request that follows up a call; null, with a warning in the log, where its description does not fit.';

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
comment on function kiln_internal.provider_of(kiln.stage) is
'The provider that a stage of the handler http names.';

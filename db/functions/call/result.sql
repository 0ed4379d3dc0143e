-- The result of a call: fetched, recorded, handed to the task.

-- The result is in sight: its files are fetched (again, after a crash: that is never paid again), or it is
-- complete.
create or replace function kiln_internal.success_step(p_task kiln.task, p_stage kiln.stage,
                                                      p_provider kiln.provider, p_call kiln.call)
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
        update kiln.call c set classified_at = kiln_internal.now()
         where c.call_id = p_call.call_id and c.classified_at is null;
        return kiln_internal.idle_step_after(p_task,
                                             kiln_internal.fail_task(p_task, 'refused',
                                                 format('Provider %s blocked the result.', p_provider.name)));
    end if;
    select coalesce(jsonb_object_agg(c, j.input -> c), '{}') || coalesce(v_read -> 'keep', '{}') into v_output
      from kiln.job j, jsonb_array_elements_text(coalesce(p_stage.config -> 'carry', '[]')) as c
     where j.job_id = p_task.job_id and j.input ? c;
    -- Where a runner took files out of the reply, what it left there was none.
    select coalesce(jsonb_agg(f - 'is_inline'), '[]') into v_files
      from jsonb_array_elements(v_read -> 'files') as f where p_call.media = '{}' or not f ? 'is_inline';
    if v_read ->> 'missing' is null and p_call.media = '{}' and v_files = '[]'
       and exists (select from jsonb_array_elements(p_stage.config -> 'outputs') as o
                    where o ->> 'as' <> 'url' and not coalesce(o -> 'may_be_empty' = 'true', false)) then
        v_read := v_read || '{"missing": "no file came with the reply"}';
    end if;
    if v_read ->> 'missing' is not null and v_files = '[]' and p_call.media = '{}' then
        perform kiln_internal.hold_task(p_task.task_id, 'lost',
            format('Provider %s succeeded, and its result is not where it should be: %s.', p_provider.name,
                   v_read ->> 'missing'));
        return kiln_internal.idle_step(p_task.task_id);
    end if;
    if v_files = '[]' then
        if p_call.media <> '{}' then
            v_output := v_output || jsonb_build_object('media', (select jsonb_agg(m::text order by n)
                                                      from unnest(p_call.media) with ordinality as u (m, n)));
        end if;
        return json_build_object('do', 'complete', 'call_id', p_call.call_id::text, 'output', v_output);
    end if;
    v_hosts := to_jsonb(p_provider.file_hosts || kiln_internal.url_host(p_provider.base_url));
    return json_build_object('do', 'fetch', 'call_id', p_call.call_id::text,
        'files', (select jsonb_agg(f || jsonb_build_object('with_auth',
                                                           coalesce((p_provider.auth
                                                                     ->> 'for_files')::boolean, false),
                                                           'auth', case when (p_provider.auth
                                                               ->> 'for_files')::boolean
                                                                   then p_provider.auth - 'for_files' end,
                                                           'hosts', v_hosts,
                                                           'max_bytes', p_provider.max_file_bytes))
                    from jsonb_array_elements(v_files) as f),
        'output', v_output);
end
$$;
comment on function kiln_internal.success_step(kiln.task, kiln.stage, kiln.provider, kiln.call) is
'The step that follows a success: fetch its files, or complete.';

-- Asking for the result, or fetching its files, went wrong: it is paid, so it is tried for long, and then
-- held, never sent again.
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
                when v_code in ('content', 'address') or v_status between 300 and 499
                and v_status not in (408, 409, 421, 423, 425, 429) then 3
                when v_code is null and v_status between 200 and 299
                and kiln_internal.parse_reply(p_answer ->> 'body') is null then 3
                else 10 end;
end
$$;
comment on function kiln_internal.fetch_tries(jsonb) is
'How often a paid result is asked for that comes to such an answer. 1: a host that the description does not
name, a file beyond its bounds. 3, some seconds: gone, forbidden, moved about, at no public address, a page of
HTML or a file that is none, which a CDN may answer before a file has reached it. 10, a quarter of an hour:
all else.';

create or replace function kiln_internal.schedule_fetch(p_task kiln.task, p_call kiln.call, p_why text,
                                                        p_tries int)
returns void
language plpgsql
as $$
declare
    v_fetches int;
begin
    update kiln.call c set fetches = c.fetches + 1 where c.call_id = p_call.call_id returning c.fetches
      into v_fetches;
    if v_fetches >= p_tries then
        perform kiln_internal.hold_task(p_task.task_id, 'lost',
                                        format('It is paid, and its result could not be had in %s: %s',
                                               case v_fetches when 1 then 'one try'
                                                    else v_fetches || ' tries' end, p_why));
    else
        perform kiln_internal.defer_with_call(p_task, 'fetch', p_why,
                                              kiln_internal.now() + kiln_internal.backoff('1 second',
                                                        '10 minutes', v_fetches));
    end if;
end
$$;
comment on function kiln_internal.schedule_fetch(kiln.task, kiln.call, text, int) is
'Lets a task wait before its result is asked for once more; after p_tries (kiln_internal.fetch_tries()) it is
held.';

create or replace function kiln_internal.record_result(p_stage kiln.stage, p_provider kiln.provider,
                                                       p_call kiln.call, p_answer jsonb, p_media bigint[])
returns text
language plpgsql
as $$
declare
    v_reply record;
begin
    if p_answer -> 'error' is not null then
        return coalesce(p_answer -> 'error' ->> 'message', 'The result could not be asked for.');
    end if;
    v_reply := kiln_internal.read_reply(p_provider, p_stage.config, 'result', (p_answer ->> 'status')::int,
                                        coalesce(p_answer -> 'headers', '{}'), p_answer ->> 'body');
    if v_reply.outcome = 'succeeded' then
        perform kiln_internal.settle_call(p_call, p_provider, 'succeeded', null, null, null,
                                          v_reply.is_unbilled, v_reply.cost_micros, v_reply.result, p_media);
        return null;
    elsif v_reply.outcome = 'cancelled'
          or v_reply.outcome = 'failed' and (p_answer ->> 'status')::int <> 429
        and (coalesce(v_reply.error_class, 'invalid') in ('invalid', 'refused', 'timeout')
             or p_call.fetches >= 3) then
        -- (A 5xx may be the page's or the work's own: asked three times more, it is the work's.)
        perform kiln_internal.settle_call(p_call, p_provider, v_reply.outcome, v_reply.error_class,
                                          v_reply.error_code, v_reply.error_message,
                                 v_reply.is_unbilled, v_reply.cost_micros, v_reply.result);
        return null;
    end if;
    return format('Asked for its result, %s answered %s: %s', p_provider.name, p_answer ->> 'status',
                  coalesce(v_reply.error_message, 'unclear'));
end
$$;
comment on function kiln_internal.record_result(kiln.stage, kiln.provider, kiln.call, jsonb, bigint[]) is
'Records the answer to a request for the result of an accepted call: success, or its definite failure. Else it
returns why neither is known.';

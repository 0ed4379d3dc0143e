-- Generations over REST. Each function is (p_actor, p_path, p_query, p_body) returns json; the actor is what act_as() returned.
create or replace function kiln_api.create_generation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body   jsonb := kiln.parse_body(p_body);
    v_type   text  := v_body ->> 'type';
    v_errors jsonb := kiln.unknown_fields(v_body, '{type,prompt,model,params,seed,variants,media}');
    v_model  kiln.model;
    v_params record;
    v_prompt text  := v_body ->> 'prompt';
    v_seed   text  := v_body ->> 'seed';
    v_media  jsonb := coalesce(v_body -> 'media', '[]');
    v_input  jsonb;
    v_job_id bigint;
begin
    perform kiln.require_actor(p_actor);
    v_job_id := kiln.begin_once(p_actor, 'create_generation', p_body);
    if v_job_id is not null then
        return kiln_api.get_generation(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
    end if;

    if v_type is null or v_type not in ('image', 'video', 'audio') then
        v_errors := v_errors || kiln.field_error('/type', 'must be image, video or audio');
    else
        select m.* into v_model
          from kiln.model m join kiln.provider p using (provider_id)
         where m.is_enabled and p.is_enabled and m.media_type = v_type::kiln.media_type
           and case when v_body ? 'model' then m.name = v_body ->> 'model' else m.is_default end;
        if not found then
            v_errors := v_errors || kiln.field_error('/model', case when v_body ? 'model' then 'is no ' || v_type || ' model of the catalogue'
                                                                    else 'is needed: there is no default ' || v_type || ' model' end);
        elsif kiln.model_reason(v_model) is not null then
            v_errors := v_errors || kiln.field_error('/model', 'is not available now: ' || kiln.model_reason(v_model));
        end if;
    end if;
    if jsonb_typeof(coalesce(v_body -> 'prompt', '""')) <> 'string' then
        v_errors := v_errors || kiln.field_error('/prompt', 'must be a string');
    elsif octet_length(v_prompt) > 8000 then
        v_errors := v_errors || kiln.field_error('/prompt', 'must have at most 8000 bytes');
    elsif coalesce(v_prompt, '') !~ '\S' and (v_type = 'audio' or v_media = '[]') then
        v_errors := v_errors || kiln.field_error('/prompt', 'is required' || case when v_type <> 'audio' then ' unless there is media' else '' end);
    end if;
    if v_seed is null then
        v_seed := floor(random() * 9007199254740991)::bigint::text;
    elsif v_seed !~ '^[0-9]{1,19}$' or v_seed::numeric > 9223372036854775807 then
        v_errors := v_errors || kiln.field_error('/seed', 'must be a whole number from 0 to 9223372036854775807');
    end if;
    if coalesce(v_body -> 'variants', '1') <> '1' then
        v_errors := v_errors || kiln.field_error('/variants', 'must be 1: send the request again for another');
    end if;
    if jsonb_typeof(v_media) <> 'array' or jsonb_array_length(v_media) > 12 then
        v_errors := v_errors || kiln.field_error('/media', 'must be an array of at most 12 media ids');
    else
        select v_errors || coalesce(jsonb_agg(jsonb_build_object('field', '/media/' || (u.turn - 1), 'message', 'is no media of yours that is ready')), '[]')
          into v_errors
          from jsonb_array_elements_text(v_media) with ordinality as u (id, turn)
         where not exists (select from kiln.media m
                            where m.media_id = case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end
                              and m.account_id = p_actor and m.state = 'ready');
    end if;
    if v_model.min_media > (case when jsonb_typeof(v_media) = 'array' then jsonb_array_length(v_media) else 0 end) then
        v_errors := v_errors || kiln.field_error('/media', format('must name at least %s: this model works on what it is given', v_model.min_media));
    end if;
    if v_model.model_id is not null then
        v_params := kiln.check_params(v_model.params_schema, coalesce(v_body -> 'params', '{}'));
        v_errors := v_errors || v_params.errors;
    end if;
    perform kiln.refuse_fields(v_errors);

    v_input := jsonb_build_object('prompt', coalesce(v_prompt, ''), 'params', v_params.params, 'seed', v_seed, 'media', v_media,
                                  'media_type', v_type, 'model', v_model.name);
    v_job_id := kiln.enqueue(
        (select p.name from kiln.pipeline p where p.pipeline_id = v_model.pipeline_id), v_input,
        p_actor, p_media_type => v_model.media_type, p_model_id => v_model.model_id, p_estimated_micros => kiln.estimate(v_model.model_id, v_input));
    perform kiln.end_once(p_actor, 'create_generation', v_job_id);
    return kiln_api.get_generation(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_generation(bigint, jsonb, jsonb, text) is
'POST /generate: {type, prompt, model?, params?, seed?, variants?, media?: [id]} makes a job and returns it. KN003: fields that are wrong.';

create or replace function kiln_api.get_generation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job kiln.job;
begin
    perform kiln.require_actor(p_actor);
    select j.* into v_job from kiln.job j where j.job_id = kiln.parse_id(p_path ->> 'id') and j.account_id = p_actor;
    if not found then
        raise exception 'there is no such generation' using errcode = 'KN002';
    end if;
    return kiln.render_job(v_job);
end
$$;
comment on function kiln_api.get_generation(bigint, jsonb, jsonb, text) is 'GET /generations/{id}: one job of the actor''s. KN002: not there, or not theirs.';

create or replace function kiln.parse_page(p_query jsonb, out page_limit int, out before bigint)
language plpgsql immutable
set search_path = ''
as $$
begin
    if coalesce(p_query ->> 'limit', '20') !~ '^[0-9]{1,3}$' or coalesce(p_query ->> 'limit', '20')::int not between 1 and 100 then
        raise exception 'limit must be a number from 1 to 100' using errcode = 'KN006';
    end if;
    page_limit := coalesce(p_query ->> 'limit', '20')::int;
    if p_query ->> 'cursor' is not null then
        before := convert_from(decode(translate(p_query ->> 'cursor', '-_', '+/') || repeat('=', (4 - length(p_query ->> 'cursor') % 4) % 4), 'base64'), 'UTF8')::bigint;
    end if;
exception when invalid_parameter_value or invalid_text_representation or numeric_value_out_of_range or character_not_in_repertoire then
    raise exception 'cursor is not one of ours' using errcode = 'KN006';
end
$$;
comment on function kiln.parse_page(jsonb) is 'limit (1..100, default 20) and cursor of a list. KN006: malformed.';

create or replace function kiln.render_cursor(p_id bigint)
returns text
language sql immutable
return translate(rtrim(encode(convert_to(p_id::text, 'UTF8'), 'base64'), '='), '+/', '-_');
comment on function kiln.render_cursor(bigint) is 'The cursor behind the last item of a page.';

create or replace function kiln_api.list_generations(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_page record;
    v_jobs kiln.job[];
begin
    perform kiln.require_actor(p_actor);
    v_page := kiln.parse_page(p_query);
    if p_query ->> 'type' is not null and p_query ->> 'type' not in ('image', 'video', 'audio') then
        raise exception 'type must be image, video or audio' using errcode = 'KN006';
    end if;
    if p_query ->> 'state' is not null and not exists (
        select from unnest(enum_range(null::kiln.job_state)) as s where s::text = p_query ->> 'state') then
        raise exception 'state must be one of %', array_to_string(enum_range(null::kiln.job_state), ', ') using errcode = 'KN006';
    end if;
    v_jobs := array(
        select j
          from kiln.job j
         -- account_id = p_actor, said so that only the index of the account's jobs has the order: the one of all jobs, read
         -- backwards until enough of this account were found, looked as good to a planner without statistics.
         where j.account_id >= p_actor and (j.account_id, j.job_id) < (p_actor, coalesce(v_page.before, 9223372036854775807))
           and j.kind = 'generation'
           and (p_query ->> 'type' is null or j.media_type::text = p_query ->> 'type')
           and (p_query ->> 'state' is null or j.state::text = p_query ->> 'state')
           and (p_query ->> 'q' is null or position(lower(p_query ->> 'q') in lower(j.input ->> 'prompt')) > 0)
         order by j.account_id desc, j.job_id desc
         limit v_page.page_limit + 1);
    return json_build_object(
        'items', coalesce((select json_agg(kiln.render_job(v_jobs[i]) order by i) from generate_series(1, least(cardinality(v_jobs), v_page.page_limit)) as i), '[]'),
        'next_cursor', case when cardinality(v_jobs) > v_page.page_limit then kiln.render_cursor((v_jobs[v_page.page_limit]).job_id) end);
end
$$;
comment on function kiln_api.list_generations(bigint, jsonb, jsonb, text) is
'GET /generations?type=&state=&q=&limit=&cursor=: the actor''s jobs, newest first, as {items, next_cursor}.';

create or replace function kiln_api.cancel_generation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_api.get_generation(p_actor, p_path, p_query, null);
    perform kiln.cancel_job(kiln.parse_id(p_path ->> 'id'));
    return kiln_api.get_generation(p_actor, p_path, p_query, null);
end
$$;
comment on function kiln_api.cancel_generation(bigint, jsonb, jsonb, text) is
'POST /generations/{id}/cancel: at once where it waits; where a runner has it, the runner is told. KN001: it has ended.';

create or replace function kiln.retry_as_asked(p_actor bigint, p_route text, p_job_id bigint, p_body text)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_body   jsonb := kiln.parse_body(p_body);
    v_errors jsonb := kiln.unknown_fields(v_body, '{seed,reason,prompt}');
    v_seed   text  := coalesce(v_body ->> 'seed', 'same');
    v_prompt text  := v_body ->> 'prompt';
    v_job_id bigint;
begin
    v_job_id := kiln.begin_once(p_actor, p_route || '/' || p_job_id, p_body);
    if v_job_id is not null then
        return v_job_id;
    end if;
    if v_seed not in ('same', 'new') and (v_seed !~ '^[0-9]{1,19}$' or v_seed::numeric > 9223372036854775807) then
        v_errors := v_errors || kiln.field_error('/seed', 'must be same, new, or a whole number from 0 to 9223372036854775807');
    end if;
    if v_prompt is not null and (jsonb_typeof(v_body -> 'prompt') <> 'string' or v_prompt !~ '\S' or octet_length(v_prompt) > 8000) then
        v_errors := v_errors || kiln.field_error('/prompt', 'must be a string of 1 to 8000 bytes');
    end if;
    if jsonb_typeof(v_body -> 'reason') <> 'string' or length(v_body ->> 'reason') > 1000 then
        v_errors := v_errors || kiln.field_error('/reason', 'must be a string of at most 1000 characters');
    end if;
    perform kiln.refuse_fields(v_errors);
    v_job_id := kiln.retry_job(p_job_id, v_seed, v_prompt, v_body ->> 'reason');
    perform kiln.end_once(p_actor, p_route || '/' || p_job_id, v_job_id);
    return v_job_id;
end
$$;
comment on function kiln.retry_as_asked(bigint, text, bigint, text) is
'The new job of a request {seed?: same|new|number, reason?, prompt?} to try a job again; the caller has asked whether the actor may. KN003: a field is wrong.';

create or replace function kiln_api.retry_generation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
begin
    perform kiln_api.get_generation(p_actor, p_path, p_query, null);
    v_job_id := kiln.retry_as_asked(p_actor, 'retry_generation', kiln.parse_id(p_path ->> 'id'), p_body);
    return kiln_api.get_generation(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
end
$$;
comment on function kiln_api.retry_generation(bigint, jsonb, jsonb, text) is
'POST /generations/{id}/retry: {seed?: same|new|number, reason?, prompt?} makes a new job from one that has ended; parent_id names that one.';

create or replace function kiln_api.delete_generation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_api.get_generation(p_actor, p_path, p_query, null);
    perform kiln.delete_job(kiln.parse_id(p_path ->> 'id'));
    return null;
end
$$;
comment on function kiln_api.delete_generation(bigint, jsonb, jsonb, text) is
'DELETE /generations/{id}: the job, its media and (by a runner, within seconds) their files. KN001: it has not ended.';

-- Generations over REST. Each function is (p_actor, p_path, p_query, p_body) returns json; the actor is what
-- act_as() returned.
create or replace function kiln_api.create_generation(p_actor bigint, p_path jsonb, p_query jsonb,
                                                      p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body     jsonb := kiln_internal.parse_body(p_body);
    v_found    record;
    v_variants int;
    v_input    jsonb;
    v_name     text;
    v_job_id   bigint;
    v_first_id bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_first_id := kiln_internal.begin_idempotent(p_actor, 'create_generation', p_body);
    if v_first_id is null then
        v_found := kiln_internal.find_model(v_body);
        v_variants := kiln_internal.read_variants(v_body);
        v_input := kiln_internal.read_generation(p_actor, v_body, v_found.model, v_found.errors, v_variants);
        select p.name into v_name from kiln.pipeline p where p.pipeline_id = (v_found.model).pipeline_id;
        for v_variant in 0 .. v_variants - 1
        loop
            -- The seeds of the others follow that of the first, so the whole row can be had again.
            v_job_id := kiln.enqueue(
                v_name, v_input || jsonb_build_object('seed', mod((v_input ->> 'seed')::numeric + v_variant,
                                                                  9223372036854775808)::text),
                p_actor, p_media_type => (v_found.model).media_type, p_model_id => (v_found.model).model_id,
                                     p_parent_id => v_first_id,
                p_estimated_micros => kiln.estimate((v_found.model).model_id, v_input));
            v_first_id := coalesce(v_first_id, v_job_id);
        end loop;
        perform kiln_internal.end_idempotent(p_actor, 'create_generation', v_first_id);
    end if;
    return kiln_api.get_generation(p_actor, jsonb_build_object('id', v_first_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_generation(bigint, jsonb, jsonb, text) is
'POST /generate: {type, prompt, model?, params?, seed?, variants?, media?: [id]} makes a job and returns it;
more variants are jobs of their own, with the next seeds and this one as their parent_id. KN003: fields that
are wrong.';

create or replace function kiln_internal.read_variants(p_body jsonb)
returns int
language sql immutable
return case when p_body -> 'variants' is null then 1 when jsonb_typeof(p_body -> 'variants') = 'number'
            and p_body ->> 'variants' ~ '^[1-8]$' then (p_body ->> 'variants')::int end;
comment on function kiln_internal.read_variants(jsonb) is
'How many variants a body asks for, 1 to 8; null: it is no such number.';

create or replace function kiln_internal.read_generation(p_actor bigint, p_body jsonb, p_model kiln.model,
                                                         p_errors jsonb, p_variants int)
returns jsonb
language plpgsql volatile
set search_path = ''
as $$
begin
    return kiln_internal.read_job_input(p_actor, p_body,
        kiln_internal.unknown_fields(p_body, '{type,prompt,model,params,seed,variants,media}') || p_errors
            || case when p_variants is null
                        then kiln_internal.field_error('/variants', 'must be a whole number from 1 to 8')
                    else '[]' end,
        p_model, kiln_internal.text_field(p_body, 'type')) || jsonb_build_object('model', p_model.name);
end
$$;
comment on function kiln_internal.read_generation(bigint, jsonb, kiln.model, jsonb, int) is
'The input of a generation from the body of POST /generate. KN003: fields that are wrong.';

create or replace function kiln_api.estimate_generation(p_actor bigint, p_path jsonb, p_query jsonb,
                                                        p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body     jsonb := kiln_internal.parse_body(p_body);
    v_found    record := kiln_internal.find_model(v_body);
    v_variants int := kiln_internal.read_variants(v_body);
    v_input    jsonb;
begin
    perform kiln_internal.require_actor(p_actor);
    v_input := kiln_internal.read_generation(p_actor, v_body, v_found.model, v_found.errors, v_variants);
    return json_build_object('estimated', kiln.estimate((v_found.model).model_id, v_input) * v_variants,
                             'currency', (select c.currency from kiln.config c));
end
$$;
comment on function kiln_api.estimate_generation(bigint, jsonb, jsonb, text) is
'POST /generate/estimate: what the same body would cost, in millionths of the currency; makes nothing. KN003:
fields that are wrong.';

create or replace function kiln_api.get_generation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job kiln.job;
begin
    perform kiln_internal.require_actor(p_actor);
    select j.* into v_job from kiln.job j where j.job_id = kiln_internal.parse_id(p_path ->> 'id')
       and j.account_id = p_actor;
    if not found then
        raise exception 'there is no such generation' using errcode = 'KN002';
    end if;
    return kiln_internal.render_job(v_job);
end
$$;
comment on function kiln_api.get_generation(bigint, jsonb, jsonb, text) is
'GET /generations/{id}: one job of the actor''s. KN002: not there, or not theirs.';

create or replace function kiln_api.list_generations(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
-- A bitmap has no order and no use for the window's end: all jobs of the account would be read and sorted for
-- each page.
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
as $$
declare
    c_window constant int := 10000;
    c_bytes  constant int := 8000000;
    v_page   record;
    v_before bigint;
    v_end    bigint;
    v_next   bigint;
    v_jobs   kiln.job[];
    v_words  text;
    v_bytes  int := 0;
    v_found  bigint[] := '{}';
    v_job    record;
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_before := v_page.below;
    if p_query ->> 'type' is not null and p_query ->> 'type' not in ('image', 'video', 'audio') then
        raise exception 'type must be image, video or audio' using errcode = 'KN006';
    end if;
    if p_query ->> 'state' is not null and not exists (
        select from unnest(enum_range(null::kiln.job_state)) as s where s::text = p_query ->> 'state') then
        raise exception 'state must be one of %', array_to_string(enum_range(null::kiln.job_state), ', ')
            using errcode = 'KN006';
    end if;
    if length(p_query ->> 'q') > 200 then
        raise exception 'q may have 200 characters' using errcode = 'KN006';
    end if;
    if p_query ->> 'q' is null then
        v_jobs := kiln_internal.generation_page(p_actor, (p_query ->> 'state')::kiln.job_state,
                                                (p_query ->> 'type')::kiln.media_type, v_before,
                                                v_page.page_limit + 1);
    else
        -- A search looks through so many jobs and no more; the next goes on from there. (Why no index over
        -- the words: docs/products.md.)
        select w.job_id into v_end
          from kiln.job w
         where w.account_id >= p_actor and (w.account_id, w.job_id) < (p_actor, v_before)
         order by w.account_id desc, w.job_id desc
        offset c_window limit 1;
        -- Of long prompts a page looks through so many bytes and no more: 10,000 of the longest took 2 s,
        -- most of it for their lower case.
        v_words := lower(p_query ->> 'q');
        for v_job in
            select j.job_id, lower(j.input ->> 'prompt') as prompt
              from (select w.* from kiln.job w
                     where w.account_id >= p_actor and (w.account_id, w.job_id) < (p_actor, v_before)
                     order by w.account_id desc, w.job_id desc
                     -- a comparison of rows begins a scan of an index, and does not end it
                     limit c_window + 1) j
             where j.kind = 'generation'
               and (p_query ->> 'type' is null or j.media_type::text = p_query ->> 'type')
               and (p_query ->> 'state' is null or j.state::text = p_query ->> 'state')
             order by j.account_id desc, j.job_id desc
        loop
            v_bytes := v_bytes + coalesce(octet_length(v_job.prompt), 0);
            if position(v_words in v_job.prompt) > 0 then
                v_found := v_found || v_job.job_id;        -- 101 at most
            end if;
            if v_bytes >= c_bytes or cardinality(v_found) > v_page.page_limit then
                v_end := v_job.job_id;
                exit;
            end if;
        end loop;
        v_jobs := array(select j from kiln.job j where j.job_id = any (v_found) order by j.job_id desc);
    end if;
    v_next := case when cardinality(v_jobs) > v_page.page_limit then v_jobs[v_page.page_limit].job_id
                   else v_end end;
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_job(j)) from unnest(v_jobs[:v_page.page_limit]) as j),
        v_next);
end
$$;
comment on function kiln_api.list_generations(bigint, jsonb, jsonb, text) is
'GET /generations?type=&state=&q=&limit=&cursor=: the actor''s jobs, newest first, as {items, next_cursor}. A
page is full, or the list is at its end; but a search (q) looks through 10,000 jobs and 8 MB of prompts a page
at most, so that it may be short and still have a next_cursor.';

create or replace function kiln_api.cancel_generation(p_actor bigint, p_path jsonb, p_query jsonb,
                                                      p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_api.get_generation(p_actor, p_path, p_query, null);
    perform kiln.cancel_job(kiln_internal.parse_id(p_path ->> 'id'));
    return kiln_api.get_generation(p_actor, p_path, p_query, null);
end
$$;
comment on function kiln_api.cancel_generation(bigint, jsonb, jsonb, text) is
'POST /generations/{id}/cancel: at once where it waits; where a runner has it, the runner is told. KN001: it
has ended.';

create or replace function kiln_internal.retry_as_asked(p_actor bigint, p_route text, p_job_id bigint,
                                                        p_body text)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_errors jsonb := kiln_internal.unknown_fields(v_body, '{seed,reason,prompt}');
    v_seed   text  := kiln_internal.plain_field(v_body, 'seed');
    v_prompt text  := kiln_internal.text_field(v_body, 'prompt');
    v_job_id bigint;
begin
    v_job_id := kiln_internal.begin_idempotent(p_actor, p_route || '/' || p_job_id, p_body);
    if v_job_id is not null then
        return v_job_id;
    end if;
    if coalesce(v_body -> 'seed', 'null') <> 'null'
       and coalesce(v_seed not in ('same', 'new') and not kiln_internal.is_seed(v_seed), true) then
        v_errors := v_errors || kiln_internal.field_error('/seed',
                                        'must be same, new, or a whole number from 0 to 9223372036854775807');
    end if;
    if jsonb_typeof(v_body -> 'prompt') not in ('string', 'null') or not kiln_internal.is_visible(v_prompt)
       or octet_length(v_prompt) > 8000 then
        v_errors := v_errors || kiln_internal.field_error('/prompt', 'must be a string of 1 to 8000 bytes');
    end if;
    if jsonb_typeof(v_body -> 'reason') <> 'string' or length(v_body ->> 'reason') > 1000 then
        v_errors := v_errors || kiln_internal.field_error('/reason',
                                                          'must be a string of at most 1000 characters');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    v_job_id := kiln.retry_job(p_job_id, v_seed, v_prompt, v_body ->> 'reason');
    perform kiln_internal.end_idempotent(p_actor, p_route || '/' || p_job_id, v_job_id);
    return v_job_id;
end
$$;
comment on function kiln_internal.retry_as_asked(bigint, text, bigint, text) is
'The new job of a request {seed?: same|new|number, reason?, prompt?} to try a job again; the caller has asked
whether the actor may. KN003: a field is wrong.';

create or replace function kiln_api.retry_generation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
begin
    perform kiln_api.get_generation(p_actor, p_path, p_query, null);
    v_job_id := kiln_internal.retry_as_asked(p_actor, 'retry_generation',
                                             kiln_internal.parse_id(p_path ->> 'id'), p_body);
    return kiln_api.get_generation(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
end
$$;
comment on function kiln_api.retry_generation(bigint, jsonb, jsonb, text) is
'POST /generations/{id}/retry: {seed?: same|new|number, reason?, prompt?} makes a new job from one that has
ended; parent_id names that one.';

create or replace function kiln_api.delete_generation(p_actor bigint, p_path jsonb, p_query jsonb,
                                                      p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_api.get_generation(p_actor, p_path, p_query, null);
    perform kiln.delete_job(kiln_internal.parse_id(p_path ->> 'id'));
    return null;
end
$$;
comment on function kiln_api.delete_generation(bigint, jsonb, jsonb, text) is
'DELETE /generations/{id}: the job, its media and (by a runner, within seconds) their files. KN001: it has not
ended.';

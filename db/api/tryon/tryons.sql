-- Try-ons over REST. They are administrators': each sees and cancels all of them; what one makes is its
-- account's.
create or replace function kiln_api.begin_tryon(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    return kiln_internal.begin_upload_session(p_actor, null,
                                              (kiln_internal.parse_body(p_body) ->> 'bytes')::bigint);
end
$$;
comment on function kiln_api.begin_tryon(bigint, jsonb, jsonb, text) is
'POST /tryons, before the bytes: {bytes}, as announced: the token of this request, and how many bytes of files
it may store. KN004: no administrator.';

create or replace function kiln_api.create_tryon(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_all      jsonb := kiln_internal.parse_body(p_body);
    v_body     jsonb := v_all -> 'body';
    v_files    jsonb := coalesce(v_all -> 'files', '[]');
    v_once     text;
    v_errors   jsonb := kiln_internal.unknown_fields(v_body, '{category,prompt,seed,media}');
    v_category kiln.category;
    v_name     text;
    v_input    jsonb;
    v_job_id   bigint;
begin
    perform kiln_internal.require_admin(p_actor);
    -- The same request has the same bytes, under other keys of the store. The body is the text as it came:
    -- jsonb would write out its numbers.
    v_once := (p_body::json ->> 'body') || coalesce((select jsonb_agg(f - 'storage_key')
                                                       from jsonb_array_elements(v_files) as f)::text, '');
    v_job_id := kiln_internal.begin_idempotent(p_actor, 'create_tryon', v_once);
    if v_job_id is not null then
        perform kiln_internal.end_upload_session(v_all ->> 'upload_session');
        perform kiln_internal.trash_files(v_files);
        return kiln_api.get_tryon(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
    end if;
    select c.* into v_category from kiln.category c
     where c.name = kiln_internal.plain_field(v_body, 'category') and c.is_enabled;
    if not found then
        v_errors := v_errors || kiln_internal.field_error('/category',
                                                          'must be one of '
                                                          || coalesce((select string_agg(c.name, ', '
                                                              order by c.name) from kiln.category c
                                                                        where c.is_enabled), 'none'));
    elsif kiln_internal.pipeline_reason(v_category.pipeline_id) is not null then
        v_errors := v_errors || kiln_internal.field_error(
            '/category', 'is not available now: ' || kiln_internal.pipeline_reason(v_category.pipeline_id));
    end if;
    if v_files = '[]' and coalesce(v_body -> 'media', '[]') = '[]' then
        v_errors := v_errors || kiln_internal.field_error('/media',
                                                          'or medias must hold at least one picture or film');
    end if;
    v_input := kiln_internal.read_job_input(p_actor, v_body, v_errors, null, v_category.media_type::text,
                                            jsonb_array_length(v_files));
    perform kiln_internal.end_upload_session(v_all ->> 'upload_session');
    if v_files <> '[]' then
        perform kiln_internal.require_room(p_actor, (select sum((f ->> 'bytes')::bigint)::bigint
                                                       from jsonb_array_elements(v_files) as f));
    end if;
    v_input := v_input || jsonb_build_object(
        'category', v_category.name, 'params', v_category.params, 'user_prompt', v_input -> 'prompt',
        'prompt', btrim(v_category.prompt || ' ' || (v_input ->> 'prompt')),
        'media', (v_input -> 'media') || kiln_internal.add_inputs(p_actor, v_files));
    select p.name into v_name from kiln.pipeline p where p.pipeline_id = v_category.pipeline_id;
    v_job_id := kiln.enqueue(v_name, v_input, p_actor, p_kind => 'tryon',
                             p_media_type => v_category.media_type,
                             p_estimated_micros => v_category.price_micros,
                             p_version => v_category.pipeline_version,
                             p_run_at => case when v_files <> '[]' then 'infinity'::timestamptz end);
    if v_files <> '[]' then
        perform kiln_internal.await_media(v_job_id);
    end if;
    perform kiln_internal.end_idempotent(p_actor, 'create_tryon', v_job_id);
    return kiln_api.get_tryon(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_tryon(bigint, jsonb, jsonb, text) is
'POST /tryons: {"upload_session": "…", "body": {category, prompt?, seed?, media?: [id]}, "files":
[{storage_key, bytes, sha256, content_type, filename}]}, put together by the server, which has written the
bytes of the request to the store. Makes a job on the category''s pipeline, which starts when its files are
checked. KN003: fields that are wrong; KN016: no room.';

create or replace function kiln_internal.trash_files(p_files jsonb)
returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
    insert into kiln.trash (storage_key) select f ->> 'storage_key' from jsonb_array_elements(p_files) as f
                                             on conflict do nothing;
end
$$;
comment on function kiln_internal.trash_files(jsonb) is
'Files of the store that a repeated request brought again: a runner removes them.';

create or replace function kiln_api.get_tryon(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job kiln.job;
begin
    perform kiln_internal.require_admin(p_actor);
    select j.* into v_job from kiln.job j where j.job_id = kiln_internal.parse_id(p_path ->> 'id')
       and j.kind = 'tryon';
    if not found then
        raise exception 'there is no such try-on' using errcode = 'KN002';
    end if;
    return kiln_internal.render_tryon(v_job);
end
$$;
comment on function kiln_api.get_tryon(bigint, jsonb, jsonb, text) is
'GET /tryons/{id}. KN002: there is none.';

create or replace function kiln_api.list_tryons(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_state  text := p_query ->> 'state';
    v_states text[];
    v_page   record;
    v_found  record;
begin
    perform kiln_internal.require_admin(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_states := case v_state when 'pending'   then '{queued,running,cancelling,held}'
                             when 'processed' then '{completed}'
                             when 'error'     then '{failed,cancelled}'
                             else array[v_state] end;
    if v_state is not null and not v_states <@ enum_range(null::kiln.job_state)::text[] then
        raise exception 'state must be pending, processed, error, or one of %',
            array_to_string(enum_range(null::kiln.job_state), ', ') using errcode = 'KN006';
    end if;
    v_found := kiln_internal.tryon_page(case when v_state is not null then v_states end,
                                        p_query ->> 'category', v_page.below, v_page.page_limit);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_tryon(j)) from unnest(v_found.jobs) as j),
        v_found.next_id);
end
$$;
comment on function kiln_api.list_tryons(bigint, jsonb, jsonb, text) is
'GET /tryons?state=&category=: all try-ons, newest first; state is a state of a job, or pending (not ended),
processed (completed), error (failed or cancelled). A page is full, or the list is at its end.';

create or replace function kiln_api.cancel_tryon(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_api.get_tryon(p_actor, p_path, '{}', null);
    perform kiln.cancel_job(kiln_internal.parse_id(p_path ->> 'id'));
    return kiln_api.get_tryon(p_actor, p_path, '{}', null);
end
$$;
comment on function kiln_api.cancel_tryon(bigint, jsonb, jsonb, text) is
'POST /tryons/{id}/cancel. KN001: it has ended.';

create or replace function kiln_api.retry_tryon(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
begin
    perform kiln_api.get_tryon(p_actor, p_path, '{}', null);
    v_job_id := kiln_internal.retry_as_asked(p_actor, 'retry_tryon', kiln_internal.parse_id(p_path ->> 'id'),
                                             p_body);
    return kiln_api.get_tryon(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
end
$$;
comment on function kiln_api.retry_tryon(bigint, jsonb, jsonb, text) is
'POST /tryons/{id}/retry: {reason?, seed?, prompt?} makes a new try-on as the category makes them now; the
reason goes into its input and to the end of the old one''s history. KN001: it has not ended.';

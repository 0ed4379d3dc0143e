-- Images of rooms.
create or replace function kiln_api.create_image(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body    jsonb := kiln_internal.parse_body(p_body);
    v_errors  jsonb := kiln_internal.unknown_fields(v_body,
                        '{project_id,media_id,mode,room_type,style,prompt,seed,variations,disclosure,model}');
    v_wanted  jsonb;
    v_job_id  bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_job_id := kiln_internal.begin_idempotent(p_actor, 'create_image', p_body);
    if v_job_id is null then
        if not exists (select from kiln.project p
                        where p.project_id = case when kiln_internal.plain_field(v_body,
                                                        'project_id') ~ '^[0-9]{1,18}$'
                                                      then kiln_internal.plain_field(v_body,
                                                          'project_id')::bigint end
                          and p.account_id = p_actor and p.deleted_at is null) then
            v_errors := v_errors || kiln_internal.field_error('/project_id', 'is no project of yours');
        end if;
        if not kiln_internal.is_original(p_actor, kiln_internal.plain_field(v_body, 'media_id')) then
            v_errors := v_errors || kiln_internal.field_error('/media_id',
                                                          'is no picture that you sent in and that is ready');
        end if;
        v_wanted := kiln_internal.read_staging(p_actor, v_body, v_errors);
        v_job_id := kiln_internal.make_image(kiln_internal.lock_project(p_actor,
                                                                        (v_body ->> 'project_id')::bigint),
                                             (v_body ->> 'media_id')::bigint, v_wanted);
        perform kiln_internal.end_idempotent(p_actor, 'create_image', v_job_id);
    end if;
    return kiln_api.get_image(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_image(bigint, jsonb, jsonb, text) is
'POST /images: {project_id, media_id, mode?, room_type, style, prompt?, seed?, variations?, disclosure?,
model?} makes a job of kind staging; its results are the variations. The picture joins the project. KN003:
fields that are wrong.';

create or replace function kiln_api.get_image(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job kiln.job;
begin
    perform kiln_internal.require_actor(p_actor);
    select j.* into v_job
      from kiln.image i cross join lateral (select x.* from kiln.job x where x.job_id = i.job_id limit 1) j
      join kiln.project p using (project_id)
     where i.job_id = kiln_internal.parse_id(p_path ->> 'id') and i.account_id = p_actor
       and p.deleted_at is null;
    if not found then
        raise exception 'there is no such image' using errcode = 'KN002';
    end if;
    return kiln_internal.render_image(v_job);
end
$$;
comment on function kiln_api.get_image(bigint, jsonb, jsonb, text) is
'GET /images/{id}. KN002: not there, or not theirs.';

create or replace function kiln_api.list_images(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_page    record;
    v_state   text := p_query ->> 'state';
    v_project text := p_query ->> 'project';
    v_found   record;
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    if v_state is not null and v_state <> all (enum_range(null::kiln.job_state)::text[]) then
        raise exception 'state must be one of %', array_to_string(enum_range(null::kiln.job_state), ', ')
            using errcode = 'KN006';
    end if;
    if v_project is not null and not exists (select from kiln.project p
                                              where p.project_id = kiln_internal.parse_id(v_project)
                                                and p.account_id = p_actor and p.deleted_at is null) then
        raise exception 'there is no such project' using errcode = 'KN002';
    end if;
    v_found := kiln_internal.image_page(p_actor, v_project::bigint, v_state, v_page.below, v_page.page_limit);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_image(j)) from unnest(v_found.jobs) as j),
        v_found.next_id);
end
$$;
comment on function kiln_api.list_images(bigint, jsonb, jsonb, text) is
'GET /images?project=&state=: the actor''s, newest first. A page with a state looks through 1,000, so it may
be
short and still have a next_cursor. KN002: no project of theirs.';

create or replace function kiln_api.list_project_images(p_actor bigint, p_path jsonb, p_query jsonb,
                                                        p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    return kiln_api.list_images(p_actor, '{}', p_query || jsonb_build_object('project', p_path ->> 'id'),
                                null);
end
$$;
comment on function kiln_api.list_project_images(bigint, jsonb, jsonb, text) is
'GET /projects/{id}/images?state=: as GET /images of this project.';

create or replace function kiln_api.cancel_image(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_api.get_image(p_actor, p_path, '{}', null);
    perform kiln.cancel_job(kiln_internal.parse_id(p_path ->> 'id'));
    return kiln_api.get_image(p_actor, p_path, '{}', null);
end
$$;
comment on function kiln_api.cancel_image(bigint, jsonb, jsonb, text) is
'POST /images/{id}/cancel: at once where it waits; where a runner has it, the runner is told. KN001: it has
ended.';

create or replace function kiln_api.retry_image(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
begin
    perform kiln_api.get_image(p_actor, p_path, '{}', null);
    v_job_id := kiln_internal.retry_as_asked(p_actor, 'retry_image', kiln_internal.parse_id(p_path ->> 'id'),
                                             p_body);
    return kiln_api.get_image(p_actor, jsonb_build_object('id', v_job_id::text), '{}', null);
end
$$;
comment on function kiln_api.retry_image(bigint, jsonb, jsonb, text) is
'POST /images/{id}/retry: {seed?: same|new|number, reason?, prompt?} makes a new image of the same original
with parent_id; prompt takes the place of the old request''s words. KN001: it has not ended.';

create or replace function kiln_api.delete_image(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_api.get_image(p_actor, p_path, '{}', null);
    perform kiln.delete_job(kiln_internal.parse_id(p_path ->> 'id'));
    return null;
end
$$;
comment on function kiln_api.delete_image(bigint, jsonb, jsonb, text) is
'DELETE /images/{id}: the job, its results and (by a runner, within seconds) their files; the original stays
with its project. KN001: it has not ended.';

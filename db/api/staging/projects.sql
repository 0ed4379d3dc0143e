-- Projects.

-- Virtual staging over REST: projects, and the images made of their pictures. An image is its job: the ids
-- are the same.
create or replace function kiln_api.get_staging_options(p_actor bigint, p_path jsonb, p_query jsonb,
                                                        p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return kiln_internal.staging_options();
end
$$;
comment on function kiln_api.get_staging_options(bigint, jsonb, jsonb, text) is
'GET /images/options: modes, types of rooms, styles and their aliases, models.';

create or replace function kiln_internal.read_project(p_actor bigint, p_body jsonb, p_is_new boolean)
returns bigint[]
language plpgsql stable
set search_path = ''
as $$
declare
    v_errors jsonb := kiln_internal.unknown_fields(p_body, '{name,description,media}');
    v_ids    text[] := kiln_internal.texts(coalesce(p_body -> 'media', '[]'), 100);
begin
    if (p_is_new or p_body ? 'name')
       and (jsonb_typeof(p_body -> 'name') is distinct from 'string'
            or not kiln_internal.is_name(p_body ->> 'name', 200)) then
        v_errors := v_errors || kiln_internal.field_error('/name',
                                        'must be one line of 1 to 200 characters, not all of them invisible');
    end if;
    if jsonb_typeof(coalesce(p_body -> 'description', '""')) <> 'string'
       or length(p_body ->> 'description') > 4000 then
        v_errors := v_errors || kiln_internal.field_error('/description',
                                                          'must be a string of at most 4000 characters');
    end if;
    if v_ids is null then
        v_errors := v_errors || kiln_internal.field_error('/media',
                                                          'must be an array of at most 100 media ids');
    else
        select v_errors
               || coalesce(jsonb_agg(jsonb_build_object('field', '/media/' || (u.ord - 1),
                                                        'message', 'is no picture that you sent in and that '
                                                            'is ready')), '[]') into v_errors
          from unnest(v_ids) with ordinality as u (id, ord)
         where not kiln_internal.is_original(p_actor, u.id);
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    return case when p_body ? 'media' then v_ids::bigint[] end;
end
$$;
comment on function kiln_internal.read_project(bigint, jsonb, boolean) is
'Checks {name, description?, media?: [id]}; the media''s ids, or null where there is no list. KN003: every
field that is wrong.';

create or replace function kiln_internal.is_original(p_actor bigint, p_id text)
returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
    return exists (select from kiln.media m
                    where m.media_id = case when p_id ~ '^[0-9]{1,18}$' then p_id::bigint end
                      and m.account_id = p_actor and m.state = 'ready' and m.media_type = 'image'
                      and m.job_id is null);
end
$$;
comment on function kiln_internal.is_original(bigint, text) is
'Whether an id is that of a picture which this account sent in and which is ready: results are labelled, and
no originals.';

create or replace function kiln_api.create_project(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body jsonb := kiln_internal.parse_body(p_body);
    v_id   bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_project', p_body);
    if v_id is null then
        v_id := kiln_internal.write_project(p_actor, null, kiln_internal.text_field(v_body, 'name'),
                                            kiln_internal.text_field(v_body, 'description'),
                                            kiln_internal.read_project(p_actor, v_body, true));
        perform kiln_internal.end_idempotent(p_actor, 'create_project', v_id);
    end if;
    return kiln_api.get_project(p_actor, jsonb_build_object('id', v_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_project(bigint, jsonb, jsonb, text) is
'POST /projects: {name, description?, media?: [id]}, the media its originals. KN003: fields that are wrong.';

create or replace function kiln_internal.see_project(p_actor bigint, p_path jsonb)
returns kiln.project
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_project kiln.project;
begin
    perform kiln_internal.require_actor(p_actor);
    select p.* into v_project from kiln.project p where p.project_id = kiln_internal.parse_id(p_path ->> 'id')
       and p.account_id = p_actor and p.deleted_at is null;
    if not found then
        raise exception 'there is no such project' using errcode = 'KN002';
    end if;
    return v_project;
end
$$;
comment on function kiln_internal.see_project(bigint, jsonb) is
'The project of a path, if it is the actor''s. KN002: not there, or not theirs; KN009: nobody acts.';

create or replace function kiln_api.get_project(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return kiln_internal.render_project(kiln_internal.see_project(p_actor, p_path));
end
$$;
comment on function kiln_api.get_project(bigint, jsonb, jsonb, text) is
'GET /projects/{id}: with its originals. KN002: not there, or not theirs.';

create or replace function kiln_api.list_projects(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
set enable_sort = off
as $$
declare
    v_page     record;
    v_projects kiln.project[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_projects := array(
        select p from kiln.project p
         where p.account_id = p_actor and p.project_id < v_page.below and p.deleted_at is null
         order by p.project_id desc
         limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_project(p)) from unnest(v_projects[:v_page.page_limit]) as p),
        (kiln_internal.last_of_page(v_projects, v_page.page_limit)).project_id);
end
$$;
comment on function kiln_api.list_projects(bigint, jsonb, jsonb, text) is
'GET /projects: the actor''s, newest first.';

create or replace function kiln_api.update_project(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body jsonb := kiln_internal.parse_body(p_body);
begin
    perform kiln_internal.see_project(p_actor, p_path);
    perform kiln_internal.write_project(p_actor, kiln_internal.parse_id(p_path ->> 'id'),
                                        kiln_internal.text_field(v_body, 'name'),
                                        kiln_internal.text_field(v_body, 'description'),
                                        kiln_internal.read_project(p_actor, v_body, false));
    return kiln_api.get_project(p_actor, p_path, '{}', null);
end
$$;
comment on function kiln_api.update_project(bigint, jsonb, jsonb, text) is
'PUT /projects/{id}: {name?, description?, media?: [id]}; what is left out stays, media is the whole list.
KN001: a picture that is to leave has images.';

create or replace function kiln_api.delete_project(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.see_project(p_actor, p_path);
    perform kiln.remove_project(p_actor, kiln_internal.parse_id(p_path ->> 'id'));
    return null;
end
$$;
comment on function kiln_api.delete_project(bigint, jsonb, jsonb, text) is
'DELETE /projects/{id}: cancels what runs, and removes its images and its originals with their files; an
original that something else uses stays.';

create or replace function kiln_api.stage_project(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_id      bigint := kiln_internal.parse_id(p_path ->> 'id');
    v_body    jsonb  := kiln_internal.parse_body(p_body);
    v_route   text   := 'stage_project/' || v_id;
    v_project kiln.project;
    v_wanted  jsonb;
    v_batch   bigint;
begin
    perform kiln_internal.see_project(p_actor, p_path);
    v_batch := kiln_internal.begin_idempotent(p_actor, v_route, p_body);
    if v_batch is null then
        v_wanted := kiln_internal.read_staging(p_actor, '{"room_type": "auto"}' || v_body,
                                               kiln_internal.unknown_fields(v_body,
                                                   '{mode,room_type,style,prompt,seed,variations,'
                                                   'disclosure,model}'));
        v_project := kiln_internal.lock_project(p_actor, v_id);
        v_batch := kiln_internal.stage_pictures(v_project, v_wanted);
        perform kiln_internal.end_idempotent(p_actor, v_route, v_batch);
    end if;
    return json_build_object(
        'items', coalesce((select json_agg(kiln_internal.render_image(j) order by j.job_id) from kiln.image i
                            cross join lateral (select x.* from kiln.job x where x.job_id = i.job_id
                                                 limit 1) j where i.batch_id = v_batch
                              and i.project_id = v_id), '[]'),
        'skipped', coalesce((select json_agg(json_build_object('media_id', i.media_id::text,
                                                               'image_id', i.job_id::text) order by i.job_id)
                               from kiln.image i cross join lateral (select x.* from kiln.job x
                                                                      where x.job_id = i.job_id limit 1) j
                              where i.project_id = v_id and j.finished_at is null
                                and i.batch_id is distinct from v_batch), '[]'));
end
$$;
comment on function kiln_api.stage_project(bigint, jsonb, jsonb, text) is
'POST /projects/{id}/stage: {mode?, room_type?, style, prompt?, seed?, variations?, disclosure?, model?} for
all its pictures at once, all or none: {items: [Job], skipped: [{media_id, image_id}]}; a picture whose image
has not ended is skipped. KN001: it has no pictures; KN003: fields that are wrong.';

create or replace function kiln_internal.stage_pictures(p_project kiln.project, p_wanted jsonb)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_media_id bigint;
    v_job_id   bigint;
    v_batch    bigint;
begin
    if not exists (select from kiln.picture c where c.project_id = p_project.project_id) then
        raise exception 'this project has no pictures'
            using errcode = 'KN001', hint = 'PUT /projects/{id} with media adds some.';
    end if;
    for v_media_id in
        select c.media_id from kiln.picture c
         where c.project_id = p_project.project_id
           and not exists (select from kiln.image i
                            cross join lateral (select x.* from kiln.job x where x.job_id = i.job_id
                                                 limit 1) j where i.project_id = c.project_id
                              and i.media_id = c.media_id and j.finished_at is null)
         order by c.picture_id
    loop
        v_job_id := kiln_internal.make_image(p_project, v_media_id, p_wanted, coalesce(v_batch, 0));
        v_batch := coalesce(v_batch, v_job_id);
    end loop;
    return coalesce(v_batch, 0);
end
$$;
comment on function kiln_internal.stage_pictures(kiln.project, jsonb) is
'Makes an image of each picture of a locked project that has none which has not ended; returns the first''s
id, or 0 where all were skipped. KN001: there is no picture.';

-- Virtual staging: what a request means, the prompt it becomes, and the life of projects. Whoever writes takes the project's row first, so
-- that two requests to stage a whole project, or one and its end, come one after the other. Jobs are looked up by their keys, one after
-- another (LIMIT keeps the planner from making a join of it): a plan for empty tables read all jobs by their index, and would have stayed.
create or replace function kiln_internal.staging_prompt_of(p_mode kiln.staging_mode, p_room_type text, p_style text, p_user_prompt text, out prompt text, out prompt_version int, out style_version int)
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_parts kiln.staging_prompt;
    v_words text;
begin
    select s.* into v_parts from kiln.staging_prompt s order by s.version desc limit 1;
    select t.version, t.words into style_version, v_words from kiln.style_text t where t.style = p_style order by t.version desc limit 1;
    prompt_version := v_parts.version;
    prompt := kiln_internal.fill_text(case p_mode when 'stage' then v_parts.stage when 'declutter' then v_parts.declutter else v_parts.restyle end,
                             jsonb_build_object('room', (select r.words from kiln.room_type r where r.name = p_room_type), 'words', coalesce(v_words, '')))
        || case when p_user_prompt ~ '\S' then ' ' || kiln_internal.fill_text(v_parts.user_prompt, jsonb_build_object('user_prompt', btrim(p_user_prompt))) else '' end
        || ' ' || v_parts.preserve;
end
$$;
comment on function kiln_internal.staging_prompt_of(kiln.staging_mode, text, text, text) is
'The prompt of a staging, and the versions of what it is made of: the task, the style, the words of the request, and last what must not change.';

create or replace function kiln_internal.staging_reason(p_model kiln.staging_model)
returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return case when p_model.is_enabled then kiln_internal.pipeline_reason(p_model.pipeline_id) else 'It is switched off.' end;
end
$$;
comment on function kiln_internal.staging_reason(kiln.staging_model) is 'Why a model cannot stage now, as a sentence; null: it can.';

create or replace function kiln_internal.staging_options()
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select json_build_object(
                'modes', enum_range(null::kiln.staging_mode),
                'room_types', (select json_agg(json_build_object('name', r.name, 'title', r.title) order by r.position) from kiln.room_type r),
                'styles', (select json_agg(json_build_object(
                                      'name', s.name, 'title', s.title,
                                      'aliases', (select coalesce(json_agg(a.name order by a.position), '[]') from kiln.style a where a.alias_of = s.name and not a.is_deprecated)) order by s.position)
                             from kiln.style s where s.alias_of is null),
                'models', (select json_agg(json_build_object(
                                      'name', m.name, 'title', m.title, 'description', m.description, 'max_variations', m.max_variations, 'price', m.price_micros,
                                      'currency', c.currency, 'is_default', m.is_default, 'unavailable_reason', kiln_internal.staging_reason(m)) order by m.is_default desc, m.name)
                             from kiln.staging_model m where m.is_enabled))
              from kiln.config c);
end
$$;
comment on function kiln_internal.staging_options() is 'What may be asked for: modes, types of rooms, styles with their aliases (without deprecated names), models with the price of one variation.';

-- Everything that is wrong is named at once. What is right comes back whole, so that a project's pictures are read once and not one by one.
create or replace function kiln_internal.read_staging(p_actor bigint, p_body jsonb, p_errors jsonb)
returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
    v_errors     jsonb := p_errors;
    v_mode       text  := coalesce(kiln_internal.plain_field(p_body, 'mode'), 'stage');
    v_room       text  := kiln_internal.plain_field(p_body, 'room_type');
    v_asked      text  := kiln_internal.plain_field(p_body, 'style');
    v_variations text  := coalesce(kiln_internal.plain_field(p_body, 'variations'), '1');
    v_disclosure text  := kiln_internal.plain_field(p_body, 'disclosure');
    v_style      kiln.style;
    v_model      kiln.staging_model;
    v_input       jsonb;
begin
    v_errors := v_errors || coalesce((select jsonb_agg(kiln_internal.field_error('/' || n, 'must not be null: leave it out') -> 0) from unnest('{mode,prompt,variations}'::text[]) n where p_body -> n = 'null'), '[]');
    if v_mode <> all (enum_range(null::kiln.staging_mode)::text[]) then
        v_errors := v_errors || kiln_internal.field_error('/mode', 'must be one of ' || array_to_string(enum_range(null::kiln.staging_mode), ', '));
    end if;
    if not exists (select from kiln.room_type r where r.name = v_room) then
        v_errors := v_errors || kiln_internal.field_error('/room_type', 'must be one of ' || (select string_agg(r.name, ', ' order by r.position) from kiln.room_type r));
    end if;
    select s.* into v_style from kiln.style s where s.name = v_asked;
    if not found and (v_asked is not null or v_mode <> 'declutter') then
        v_errors := v_errors || kiln_internal.field_error('/style', 'must be one of ' || (select string_agg(s.name, ', ' order by s.position) from kiln.style s where s.alias_of is null));
    end if;
    if kiln_internal.plain_field(p_body, 'model') is not null then
        select m.* into v_model from kiln.staging_model m where m.name = kiln_internal.plain_field(p_body, 'model');
    else
        select m.* into v_model from kiln.staging_model m where m.is_default;
    end if;
    if v_model.name is null then
        v_errors := v_errors || kiln_internal.field_error('/model', case when kiln_internal.plain_field(p_body, 'model') is not null then 'must be one of ' || (select string_agg(m.name, ', ' order by m.name) from kiln.staging_model m where m.is_enabled)
                                                                else 'is needed: there is no default' end);
    elsif kiln_internal.staging_reason(v_model) is not null then
        v_errors := v_errors || kiln_internal.field_error('/model', 'is not available now: ' || kiln_internal.staging_reason(v_model));
    end if;
    if v_variations !~ '^[1-4]$' or jsonb_typeof(p_body -> 'variations') not in ('number', 'null') or v_variations::int > v_model.max_variations then
        v_errors := v_errors || kiln_internal.field_error('/variations', 'must be a whole number from 1 to ' || coalesce(v_model.max_variations, 4));
    end if;
    if jsonb_typeof(p_body -> 'disclosure') not in ('string', 'null') or not kiln_internal.is_name(v_disclosure, 200) then
        v_errors := v_errors || kiln_internal.field_error('/disclosure', 'must be one line of 1 to 200 characters that can be seen: results are always labelled');
    end if;
    if octet_length(kiln_internal.text_field(p_body, 'prompt')) > 2000 then
        v_errors := v_errors || kiln_internal.field_error('/prompt', 'must have at most 2000 bytes');
    end if;
    v_input := kiln_internal.read_job_input(p_actor, jsonb_strip_nulls(jsonb_build_object('prompt', p_body -> 'prompt', 'seed', p_body -> 'seed')), v_errors, null, 'image', 1);
    return jsonb_build_object('mode', v_mode, 'room_type', v_room, 'style', coalesce(v_style.alias_of, v_style.name), 'style_asked', v_asked, 'user_prompt', v_input ->> 'prompt',
                              'seed', v_input -> 'seed', 'variations', v_variations::int, 'disclosure', v_disclosure, 'model', v_model.name);
end
$$;
comment on function kiln_internal.read_staging(bigint, jsonb, jsonb) is
'What a body {mode?, room_type, style, prompt?, seed?, variations?, disclosure?, model?} asks for, aliases of styles resolved. p_errors: what is wrong already. KN003: every field that is wrong.';

create or replace function kiln_internal.lock_project(p_account_id bigint, p_project_id bigint)
returns kiln.project
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_project kiln.project;
begin
    select p.* into v_project from kiln.project p where p.project_id = p_project_id and p.account_id = p_account_id and p.deleted_at is null for no key update;
    if not found then
        raise exception 'there is no such project' using errcode = 'KN002';
    end if;
    return v_project;
end
$$;
comment on function kiln_internal.lock_project(bigint, bigint) is 'A project of this account, locked until the transaction ends. KN002: there is none.';

create or replace function kiln_internal.put_pictures(p_project kiln.project, p_media bigint[], p_is_all boolean)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    if p_is_all then
        if exists (select from kiln.image i where i.project_id = p_project.project_id and i.media_id <> all (p_media)) then
            raise exception 'a picture that images were made of cannot be taken out of its project' using errcode = 'KN001', hint = 'Delete its images first.';
        end if;
        delete from kiln.picture c where c.project_id = p_project.project_id and c.media_id <> all (p_media);
    end if;
    insert into kiln.picture (project_id, media_id, account_id)
    select p_project.project_id, m.media_id, p_project.account_id
      from unnest(p_media) with ordinality as u (id, ord)
      join kiln.media m on m.media_id = u.id and m.account_id = p_project.account_id and m.state = 'ready' and m.media_type = 'image' and m.job_id is null
     order by u.ord
    on conflict do nothing;
    if (select count(*) from kiln.picture c where c.project_id = p_project.project_id) > 100 then
        raise exception 'a project may have 100 pictures' using errcode = 'KN001', hint = 'Make another project.';
    end if;
end
$$;
comment on function kiln_internal.put_pictures(kiln.project, bigint[], boolean) is
'Adds uploads to a project, in this order; p_is_all: the others leave it. KN001: images were made of one that is to leave, or there would be more than 100.';

create or replace function kiln_internal.write_project(p_account_id bigint, p_project_id bigint, p_name text, p_description text, p_media bigint[])
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_project kiln.project;
begin
    if p_project_id is null then
        insert into kiln.project (account_id, name, description) values (p_account_id, p_name, coalesce(p_description, '')) returning * into v_project;
    else
        v_project := kiln_internal.lock_project(p_account_id, p_project_id);
        update kiln.project p
           set name = coalesce(p_name, p.name), description = coalesce(p_description, p.description), updated_at = kiln_internal.now()
         where p.project_id = p_project_id;
    end if;
    if p_media is not null then
        perform kiln_internal.put_pictures(v_project, p_media, true);
    end if;
    return v_project.project_id;
end
$$;
comment on function kiln_internal.write_project(bigint, bigint, text, text, bigint[]) is 'Makes a project (p_project_id null) or changes one; what is null stays. KN001: see kiln_internal.put_pictures().';

-- A job and what it was asked for. The caller has locked the project.
create or replace function kiln_internal.make_image(p_project kiln.project, p_media_id bigint, p_wanted jsonb, p_batch_id bigint default null)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_words  record;
    v_model  kiln.staging_model;
    v_job_id bigint;
begin
    v_words := kiln_internal.staging_prompt_of((p_wanted ->> 'mode')::kiln.staging_mode, p_wanted ->> 'room_type', p_wanted ->> 'style', p_wanted ->> 'user_prompt');
    select m.* into v_model from kiln.staging_model m where m.name = p_wanted ->> 'model';
    perform kiln_internal.put_pictures(p_project, array[p_media_id], false);
    v_job_id := kiln.enqueue(
        (select p.name from kiln.pipeline p where p.pipeline_id = v_model.pipeline_id),
        jsonb_strip_nulls(p_wanted) || jsonb_build_object('prompt', v_words.prompt, 'media', jsonb_build_array(p_media_id::text), 'media_type', 'image',
                                                          'params', jsonb_build_object('variations', p_wanted -> 'variations')),
        p_project.account_id, p_kind => 'staging', p_media_type => 'image', p_estimated_micros => v_model.price_micros * (p_wanted ->> 'variations')::int);
    insert into kiln.image (job_id, project_id, media_id, account_id, batch_id, mode, room_type, style, style_asked, style_version, prompt_version, model, variations, disclosure)
    values (v_job_id, p_project.project_id, p_media_id, p_project.account_id, coalesce(nullif(p_batch_id, 0), case when p_batch_id = 0 then v_job_id end),
            (p_wanted ->> 'mode')::kiln.staging_mode, p_wanted ->> 'room_type', p_wanted ->> 'style', p_wanted ->> 'style_asked', v_words.style_version,
            v_words.prompt_version, v_model.name, (p_wanted ->> 'variations')::smallint, p_wanted ->> 'disclosure');
    return v_job_id;
end
$$;
comment on function kiln_internal.make_image(kiln.project, bigint, jsonb, bigint) is
'Enqueues the staging of one picture as kiln_internal.read_staging() told it; the picture joins the project. p_batch_id: the first job of several that are made together; 0: it is the first.';

create or replace function kiln_internal.retry_image_job(p_old kiln.job, p_input jsonb, p_has_new_words boolean)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_image  kiln.image;
    v_model  kiln.staging_model;
    v_words  record;
    v_input  jsonb := p_input;
    v_job_id bigint;
begin
    select i.* into v_image from kiln.image i where i.job_id = p_old.job_id;
    perform kiln_internal.lock_project(p_old.account_id, v_image.project_id);
    select m.* into v_model from kiln.staging_model m where m.name = v_image.model;
    if kiln_internal.staging_reason(v_model) is not null then
        raise exception 'model % is not available now: %', v_model.name, kiln_internal.staging_reason(v_model) using errcode = 'KN001';
    end if;
    if p_has_new_words then
        v_words := kiln_internal.staging_prompt_of(v_image.mode, v_image.room_type, v_image.style, p_input ->> 'prompt');
        v_input := v_input || jsonb_build_object('user_prompt', p_input ->> 'prompt', 'prompt', v_words.prompt);
        v_image.style_version := v_words.style_version;
        v_image.prompt_version := v_words.prompt_version;
    end if;
    v_job_id := kiln.enqueue((select p.name from kiln.pipeline p where p.pipeline_id = v_model.pipeline_id), v_input, p_old.account_id, p_old.priority,
                             p_kind => 'staging', p_media_type => 'image', p_parent_id => p_old.job_id, p_estimated_micros => v_model.price_micros * v_image.variations);
    v_image.job_id := v_job_id;
    v_image.batch_id := null;
    v_image.state := 'queued';
    insert into kiln.image select v_image.*;
    return v_job_id;
end
$$;
comment on function kiln_internal.retry_image_job(kiln.job, jsonb, boolean) is
'The part of kiln.retry_job() that is staging''s: the same on the same picture, with the same words unless there are new ones, as its model works now. KN002: its project is gone; KN001: its model cannot be used now.';

create or replace function kiln_internal.render_image(p_job kiln.job)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_image kiln.image;
begin
    select i.* into v_image from kiln.image i where i.job_id = p_job.job_id;
    return kiln_internal.render_job(p_job)::jsonb || jsonb_build_object(
        'project_id', v_image.project_id::text, 'media_id', v_image.media_id::text, 'mode', v_image.mode, 'room_type', v_image.room_type,
        'style', v_image.style, 'style_asked', v_image.style_asked,
        'style_is_deprecated', coalesce((select s.is_deprecated from kiln.style s where s.name = v_image.style_asked), false),
        'variations', v_image.variations, 'disclosure', v_image.disclosure, 'user_prompt', p_job.input ->> 'user_prompt', 'reason', p_job.input ->> 'reason', 'model', v_image.model,
        'versions', jsonb_build_object('pipeline', (select v.version from kiln.pipeline_version v where v.pipeline_version_id = p_job.pipeline_version_id),
                                       'prompt', v_image.prompt_version, 'style', v_image.style_version));
end
$$;
comment on function kiln_internal.render_image(kiln.job) is
'An image, as its owner sees it: a Job with its project, its original (media, media_id), what was asked for, and the versions of what made it. prompt is the whole prompt, user_prompt what the client said.';

create or replace function kiln_internal.render_project(p_project kiln.project)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_media bigint[] := array(select c.media_id from kiln.picture c where c.project_id = p_project.project_id order by c.picture_id);
    v_self  text     := '/api/v1/projects/' || p_project.project_id;
begin
    return json_build_object(
        'id', p_project.project_id::text, 'name', p_project.name, 'description', p_project.description,
        'pictures', kiln_internal.render_media_list(p_project.account_id, to_jsonb(v_media::text[])),
        'images', (select json_build_object('total', count(*), 'active', count(*) filter (where j.finished_at is null),
                                            'completed', count(*) filter (where j.state = 'completed'))
                     from kiln.image i cross join lateral (select x.* from kiln.job x where x.job_id = i.job_id limit 1) j where i.project_id = p_project.project_id),
        'created_at', kiln_internal.render_time(p_project.created_at), 'updated_at', kiln_internal.render_time(p_project.updated_at),
        'links', json_build_object('self', v_self, 'images', v_self || '/images', 'stage', v_self || '/stage', 'download', v_self || '/download'));
end
$$;
comment on function kiln_internal.render_project(kiln.project) is 'A project, as its owner sees it: its originals in their order, and how many images there are. The caller has checked whose it is.';

-- Of each state that is asked for no more images are read than a page has: see kiln_internal.tryon_ids. (Images of a project that was
-- deleted are passed over until they are cleared.)
create or replace function kiln_internal.image_ids(p_account_id bigint, p_project_id bigint, p_states kiln.job_state[], p_before bigint, p_limit int)
returns bigint[]
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    if p_project_id is null then
        return array(
            select i.job_id
              from unnest(p_states) as s (state)
             cross join lateral (
                 select i.job_id from kiln.image i
                  where i.account_id = p_account_id and i.state = s.state and - i.job_id > - p_before
                    and not exists (select from kiln.project p where p.project_id = i.project_id and p.deleted_at is not null)
                  order by - i.job_id limit p_limit) i);
    end if;
    return array(
        select i.job_id
          from unnest(p_states) as s (state)
         cross join lateral (
             select i.job_id from kiln.image i
              where i.project_id = p_project_id and i.state = s.state and - i.job_id > - p_before
              order by - i.job_id limit p_limit) i);
end
$$;
comment on function kiln_internal.image_ids(bigint, bigint, kiln.job_state[], bigint, int) is
'Of each of these states the p_limit newest images below a job_id of one project, or (null) of an account, in no order.';

create or replace function kiln_internal.image_page(p_account_id bigint, p_project_id bigint, p_state text, p_before bigint, p_limit int, out jobs kiln.job[], out next_id bigint)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_states kiln.job_state[] := enum_range(null::kiln.job_state);
    v_ids    bigint[];
begin
    if p_state is not null then
        v_states := array[p_state];
    end if;
    v_ids := kiln_internal.image_ids(p_account_id, p_project_id, v_states, p_before, p_limit + 1);
    jobs := array(
        select j.job
          from unnest(v_ids) as u (job_id)
         cross join lateral (select x as job, x.* from kiln.job x where x.job_id = u.job_id limit 1) j
         where j.account_id = p_account_id
         order by j.job_id desc
         limit p_limit + 1);
    next_id := case when cardinality(jobs) > p_limit then jobs[p_limit].job_id end;
    jobs := jobs[1:p_limit];
end
$$;
comment on function kiln_internal.image_page(bigint, bigint, text, bigint, int) is
'A page of an account''s images, newest first, of one project or of all; next_id: where the next one begins. A page is full, or the list is at its end.';

-- The end of a project. What runs is cancelled and goes when its runner has let go of it, which the tick sees to.
create or replace function kiln.remove_project(p_account_id bigint, p_project_id bigint)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform kiln_internal.lock_project(p_account_id, p_project_id);
    update kiln.project p set deleted_at = kiln_internal.now() where p.project_id = p_project_id;
    perform kiln_internal.purge_project(p_project_id, 100);
end
$$;
comment on function kiln.remove_project(bigint, bigint) is
'Deletes a project for good. Its owner no longer sees it; its rows and files go when its last job has ended.
KN002: the account has no such project.';

create or replace function kiln_internal.purge_project(p_project_id bigint, p_limit int)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_project kiln.project;
    v_id      bigint;
    v_state   kiln.job_state;
    v_media   bigint[];
    v_used    bigint[];
begin
    select p.* into v_project from kiln.project p where p.project_id = p_project_id and p.deleted_at is not null for update;
    if not found then
        return true;
    end if;
    -- As in kiln_internal.purge_account().
    for v_id, v_state in
        select j.job_id, j.state from kiln.image i cross join lateral (select x.* from kiln.job x where x.job_id = i.job_id limit 1) j
         where i.project_id = p_project_id and case when j.finished_at is null then j.state <> 'cancelling' else kiln_internal.unsettled_calls(j.job_id) = '{}' end
         order by i.job_id limit p_limit
    loop
        perform kiln_internal.drop_job(v_id, v_state);
    end loop;
    if exists (select from kiln.image i where i.project_id = p_project_id) then
        return false;
    end if;
    v_media := array(select c.media_id from kiln.picture c where c.project_id = p_project_id);
    v_used := kiln_internal.media_in_use(v_project.account_id, v_media)
           || array(select u from kiln.message g cross join lateral unnest(g.media) as u where g.account_id = v_project.account_id and g.media <> '{}' and u = any (v_media));
    delete from kiln.project p where p.project_id = p_project_id;
    delete from kiln.media m
     where m.media_id = any (v_media)
       and m.media_id <> all (v_used)
       and not exists (select from kiln.picture c where c.media_id = m.media_id);
    return true;
end
$$;
comment on function kiln_internal.purge_project(bigint, int) is
'Removes a batch of what a deleted project still has; true when nothing is left. Its originals go with it, but for those that another project, a message or a job that has not ended has too.';

create or replace function kiln_internal.purge_projects(p_limit int)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_project_id bigint;
begin
    for v_project_id in
        select p.project_id from kiln.project p where p.deleted_at is not null order by random() limit p_limit
    loop
        perform kiln_internal.purge_project(v_project_id, 100);
    end loop;
end
$$;
comment on function kiln_internal.purge_projects(int) is 'The tick''s part of deleting projects.';

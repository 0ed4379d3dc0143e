-- Images of a project.

-- A job and what it was asked for. The caller has locked the project.
create or replace function kiln_internal.make_image(p_project kiln.project, p_media_id bigint, p_wanted jsonb,
                                                    p_batch_id bigint default null)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_words  record;
    v_model  kiln.staging_model;
    v_job_id bigint;
begin
    v_words := kiln_internal.staging_prompt_of((p_wanted ->> 'mode')::kiln.staging_mode,
                                               p_wanted ->> 'room_type', p_wanted ->> 'style',
                                               p_wanted ->> 'user_prompt');
    select m.* into v_model from kiln.staging_model m where m.name = p_wanted ->> 'model';
    perform kiln_internal.put_pictures(p_project, array[p_media_id], false);
    v_job_id := kiln.enqueue(
        (select p.name from kiln.pipeline p where p.pipeline_id = v_model.pipeline_id),
        jsonb_strip_nulls(p_wanted) || jsonb_build_object('prompt', v_words.prompt,
                                                          'media', jsonb_build_array(p_media_id::text),
                                                          'media_type', 'image',
                                                          'params', jsonb_build_object('variations', p_wanted
                                                              -> 'variations')),
        p_project.account_id, p_kind => 'staging', p_media_type => 'image',
                             p_estimated_micros => v_model.price_micros * (p_wanted ->> 'variations')::int);
    insert into kiln.image (job_id, project_id, media_id, account_id, batch_id, mode, room_type, style,
                            style_asked, style_version, prompt_version, model, variations, disclosure)
    values (v_job_id, p_project.project_id, p_media_id, p_project.account_id,
            coalesce(nullif(p_batch_id, 0), case when p_batch_id = 0 then v_job_id end),
            (p_wanted ->> 'mode')::kiln.staging_mode, p_wanted ->> 'room_type', p_wanted ->> 'style',
            p_wanted ->> 'style_asked', v_words.style_version,
            v_words.prompt_version, v_model.name, (p_wanted ->> 'variations')::smallint,
            p_wanted ->> 'disclosure');
    return v_job_id;
end
$$;
comment on function kiln_internal.make_image(kiln.project, bigint, jsonb, bigint) is
'Enqueues the staging of one picture as kiln_internal.read_staging() told it; the picture joins the project.
p_batch_id: the first job of several that are made together; 0: it is the first.';

create or replace function kiln_internal.retry_image_job(p_old kiln.job, p_input jsonb,
                                                         p_has_new_words boolean)
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
        raise exception 'model % is not available now: %', v_model.name, kiln_internal.staging_reason(v_model)
            using errcode = 'KN001';
    end if;
    if p_has_new_words then
        v_words := kiln_internal.staging_prompt_of(v_image.mode, v_image.room_type, v_image.style,
                                                   p_input ->> 'prompt');
        v_input := v_input || jsonb_build_object('user_prompt', p_input ->> 'prompt',
                                                 'prompt', v_words.prompt);
        v_image.style_version := v_words.style_version;
        v_image.prompt_version := v_words.prompt_version;
    end if;
    v_job_id := kiln.enqueue((select p.name from kiln.pipeline p
                               where p.pipeline_id = v_model.pipeline_id), v_input, p_old.account_id,
                             p_old.priority,
                             p_kind => 'staging', p_media_type => 'image', p_parent_id => p_old.job_id,
                             p_estimated_micros => v_model.price_micros * v_image.variations);
    v_image.job_id := v_job_id;
    v_image.batch_id := null;
    v_image.state := 'queued';
    insert into kiln.image select v_image.*;
    return v_job_id;
end
$$;
comment on function kiln_internal.retry_image_job(kiln.job, jsonb, boolean) is
'The part of kiln.retry_job() that is staging''s: the same on the same picture, with the same words unless
there are new ones, as its model works now. KN002: its project is gone; KN001: its model cannot be used now.';

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
        'project_id', v_image.project_id::text, 'media_id', v_image.media_id::text, 'mode', v_image.mode,
                                                                        'room_type', v_image.room_type,
        'style', v_image.style, 'style_asked', v_image.style_asked,
        'style_is_deprecated', coalesce((select s.is_deprecated from kiln.style s
                                          where s.name = v_image.style_asked), false),
        'variations', v_image.variations, 'disclosure', v_image.disclosure, 'user_prompt', p_job.input
                                                                        ->> 'user_prompt',
                                                                        'reason', p_job.input ->> 'reason',
                                                                        'model', v_image.model,
        'versions', jsonb_build_object('pipeline', (select v.version from kiln.pipeline_version v
                                                     where v.pipeline_version_id = p_job.pipeline_version_id),
                                       'prompt', v_image.prompt_version, 'style', v_image.style_version));
end
$$;
comment on function kiln_internal.render_image(kiln.job) is
'An image, as its owner sees it: a Job with its project, its original (media, media_id), what was asked for,
and the versions of what made it. prompt is the whole prompt, user_prompt what the client said.';

create or replace function kiln_internal.image_page(p_account_id bigint, p_project_id bigint, p_state text,
                                                    p_before bigint, p_limit int, out jobs kiln.job[],
                                                    out next_id bigint)
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
'A page of an account''s images, newest first, of one project or of all; next_id: where the next one begins. A
page is full, or the list is at its end.';

-- Projects: written, shown, removed.
create or replace function kiln_internal.lock_project(p_account_id bigint, p_project_id bigint)
returns kiln.project
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_project kiln.project;
begin
    select p.* into v_project from kiln.project p where p.project_id = p_project_id
       and p.account_id = p_account_id and p.deleted_at is null for no key update;
    if not found then
        raise exception 'there is no such project' using errcode = 'KN002';
    end if;
    return v_project;
end
$$;
comment on function kiln_internal.lock_project(bigint, bigint) is
'A project of this account, locked until the transaction ends. KN002: there is none.';

create or replace function kiln_internal.put_pictures(p_project kiln.project, p_media bigint[],
                                                      p_is_all boolean)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    if p_is_all then
        if exists (select from kiln.image i where i.project_id = p_project.project_id
                      and i.media_id <> all (p_media)) then
            raise exception 'a picture that images were made of cannot be taken out of its project'
                using errcode = 'KN001', hint = 'Delete its images first.';
        end if;
        delete from kiln.picture c where c.project_id = p_project.project_id and c.media_id <> all (p_media);
    end if;
    insert into kiln.picture (project_id, media_id, account_id)
    select p_project.project_id, m.media_id, p_project.account_id
      from unnest(p_media) with ordinality as u (id, ord)
      join kiln.media m on m.media_id = u.id and m.account_id = p_project.account_id and m.state = 'ready'
       and m.media_type = 'image' and m.job_id is null
     order by u.ord
    on conflict do nothing;
    if (select count(*) from kiln.picture c where c.project_id = p_project.project_id) > 100 then
        raise exception 'a project may have 100 pictures'
            using errcode = 'KN001', hint = 'Make another project.';
    end if;
end
$$;
comment on function kiln_internal.put_pictures(kiln.project, bigint[], boolean) is
'Adds uploads to a project, in this order; p_is_all: the others leave it. KN001: images were made of one that
is to leave, or there would be more than 100.';

create or replace function kiln_internal.write_project(p_account_id bigint, p_project_id bigint, p_name text,
                                                       p_description text, p_media bigint[])
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_project kiln.project;
begin
    if p_project_id is null then
        insert into kiln.project (account_id, name, description)
        values (p_account_id, p_name, coalesce(p_description, '')) returning * into v_project;
    else
        v_project := kiln_internal.lock_project(p_account_id, p_project_id);
        update kiln.project p
           set name = coalesce(p_name, p.name), description = coalesce(p_description, p.description),
               updated_at = kiln_internal.now()
         where p.project_id = p_project_id;
    end if;
    if p_media is not null then
        perform kiln_internal.put_pictures(v_project, p_media, true);
    end if;
    return v_project.project_id;
end
$$;
comment on function kiln_internal.write_project(bigint, bigint, text, text, bigint[]) is
'Makes a project (p_project_id null) or changes one; what is null stays. KN001: see
kiln_internal.put_pictures().';

create or replace function kiln_internal.render_project(p_project kiln.project)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_media bigint[] := array(select c.media_id from kiln.picture c where c.project_id = p_project.project_id
                               order by c.picture_id);
    v_self  text     := '/api/v1/projects/' || p_project.project_id;
begin
    return json_build_object(
        'id', p_project.project_id::text, 'name', p_project.name, 'description', p_project.description,
        'pictures', kiln_internal.render_media_list(p_project.account_id, to_jsonb(v_media::text[])),
        'images', (select json_build_object('total', count(*),
                                            'active', count(*) filter (where j.finished_at is null),
                                            'completed', count(*) filter (where j.state = 'completed'))
                     from kiln.image i cross join lateral (select x.* from kiln.job x
                                                            where x.job_id = i.job_id limit 1) j
                    where i.project_id = p_project.project_id),
        'created_at', kiln_internal.render_time(p_project.created_at),
                             'updated_at', kiln_internal.render_time(p_project.updated_at),
        'links', json_build_object('self', v_self, 'images', v_self || '/images', 'stage', v_self || '/stage',
                                   'download', v_self || '/download'));
end
$$;
comment on function kiln_internal.render_project(kiln.project) is
'A project, as its owner sees it: its originals in their order, and how many images there are. The caller has
checked whose it is.';

-- Of each state that is asked for no more images are read than a page has: see kiln_internal.tryon_ids.
-- (Images of a project that was deleted are passed over until they are cleared.)
create or replace function kiln_internal.image_ids(p_account_id bigint, p_project_id bigint,
                                                   p_states kiln.job_state[], p_before bigint, p_limit int)
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
                    and not exists (select from kiln.project p
                                     where p.project_id = i.project_id and p.deleted_at is not null)
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
'Of each of these states the p_limit newest images below a job_id of one project, or (null) of an account, in
no order.';

-- The end of a project. What runs is cancelled and goes when its runner has let go of it, which the tick sees
-- to.
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
    select p.* into v_project from kiln.project p where p.project_id = p_project_id
       and p.deleted_at is not null for update;
    if not found then
        return true;
    end if;
    -- As in kiln_internal.purge_account().
    for v_id, v_state in
        select j.job_id, j.state from kiln.image i
         cross join lateral (select x.* from kiln.job x where x.job_id = i.job_id limit 1) j
         where i.project_id = p_project_id
           and case when j.finished_at is null then j.state <> 'cancelling'
                    else kiln_internal.unsettled_calls(j.job_id) = '{}' end
         order by i.job_id limit p_limit
    loop
        perform kiln_internal.drop_job(v_id, v_state);
    end loop;
    if exists (select from kiln.image i where i.project_id = p_project_id) then
        return false;
    end if;
    v_media := array(select c.media_id from kiln.picture c where c.project_id = p_project_id);
    v_used := kiln_internal.media_in_use(v_project.account_id, v_media)
           || array(select u from kiln.message g cross join lateral unnest(g.media) as u
                     where g.account_id = v_project.account_id and g.media <> '{}' and u = any (v_media));
    delete from kiln.project p where p.project_id = p_project_id;
    delete from kiln.media m
     where m.media_id = any (v_media)
       and m.media_id <> all (v_used)
       and not exists (select from kiln.picture c where c.media_id = m.media_id);
    return true;
end
$$;
comment on function kiln_internal.purge_project(bigint, int) is
'Removes a batch of what a deleted project still has; true when nothing is left. Its originals go with it, but
for those that another project, a message or a job that has not ended has too.';

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

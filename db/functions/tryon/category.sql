-- Categories of try-ons.

-- Try-ons: their categories, and the files that come with a request.
create or replace function kiln_internal.pipeline_reason(p_pipeline_id smallint)
returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select min(case when not v.is_enabled then format('Provider %s is switched off.', v.name)
                            when v.auth ->> 'env' is not null
                                 and not exists (select from kiln.runner_secret s
                                                   join kiln.heartbeat h using (runner_id)
                                                  where v.auth ->> 'env' = any (s.names))
                            then format('No runner has %s.', v.auth ->> 'env') end)
              from kiln.pipeline p
              join kiln.stage s using (pipeline_version_id)
              join kiln.provider v on s.handler = 'http' and v.name = s.config ->> 'provider'
             where p.pipeline_id = p_pipeline_id);
end
$$;
comment on function kiln_internal.pipeline_reason(smallint) is
'Why a pipeline cannot be used now, as a sentence: a provider of one of its stages; null: it can.';

-- As its owner, who needs no policy: behind one, only what is said of job_id may look into an index, and not
-- what is said of kind. Of each state that is asked for no more rows are read than a page has.
create or replace function kiln_internal.tryon_ids(p_states kiln.job_state[], p_category text,
                                                   p_before bigint, p_limit int)
returns bigint[]
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
begin
    if p_category is null then
        return array(
            select t.job_id
              from unnest(p_states) as s (state)
             cross join lateral (
                 select t.job_id from kiln.tryon t where t.state = s.state and - t.job_id > - p_before
                  order by - t.job_id limit p_limit) t);
    end if;
    return array(
        select t.job_id
          from unnest(p_states) as s (state)
         cross join lateral (
             select t.job_id from kiln.tryon t where t.category = p_category and t.state = s.state
                and 0 - t.job_id > 0 - p_before
              order by 0 - t.job_id limit p_limit) t);
end
$$;
comment on function kiln_internal.tryon_ids(kiln.job_state[], text, bigint, int) is
'Of each of these states the p_limit newest try-ons below a job_id, of a category (null: any), in no order.';

create or replace function kiln_internal.render_category(p_name text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select json_build_object('name', c.name, 'title', c.title, 'description', c.description,
                                     'media_type', c.media_type, 'pipeline', p.name,
                                     'version', c.pipeline_version,
                                     'prompt', c.prompt, 'params', c.params, 'price', c.price_micros,
                                     'currency', (select f.currency from kiln.config f),
                                     'is_enabled', c.is_enabled,
                                     'unavailable_reason', kiln_internal.pipeline_reason(c.pipeline_id))
              from kiln.category c join kiln.pipeline p using (pipeline_id)
             where c.name = p_name);
end
$$;
comment on function kiln_internal.render_category(text) is
'A category of try-ons, as administrators see it; version null: the newest.';

create or replace function kiln_internal.write_category(p_name text, p_body jsonb)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_errors   jsonb := kiln_internal.unknown_fields(p_body,
                            '{title,description,media_type,pipeline,version,prompt,params,price,is_enabled}');
    v_old      kiln.category;
    v_pipeline smallint;
    v_version  int;
begin
    if coalesce(p_name, '') !~ '^[a-z][a-z0-9_-]{0,39}$' then
        raise exception 'there is no category %', quote_literal(kiln_internal.shorten(p_name, 40))
            using errcode = 'KN002';
    end if;
    select c.* into v_old from kiln.category c where c.name = p_name for update;
    v_pipeline := v_old.pipeline_id;
    v_version := case when p_body ? 'pipeline' then null else v_old.pipeline_version end;
    select v_errors
           || coalesce(jsonb_agg(jsonb_build_object('field', '/' || k.key,
                                                    'message', 'must be a ' || k.type)), '[]') into v_errors
      from (values ('title', 'string'), ('description', 'string'), ('pipeline', 'string'),
            ('prompt', 'string'), ('media_type', 'string'),
                   ('params', 'object'), ('price', 'number'), ('is_enabled', 'boolean')) as k (key, type)
     where p_body ? k.key and jsonb_typeof(p_body -> k.key) <> k.type;
    perform kiln_internal.refuse_fields(v_errors);
    if p_body ? 'pipeline' then
        select p.pipeline_id into v_pipeline from kiln.pipeline p where p.name = p_body ->> 'pipeline';
        if not found then
            v_errors := v_errors || kiln_internal.field_error('/pipeline', 'is no pipeline');
        elsif kiln_internal.pipeline_problem(v_pipeline) is not null then
            v_errors := v_errors || kiln_internal.field_error('/pipeline',
                                                              'cannot be taken: '
                                                              || kiln_internal.pipeline_problem(v_pipeline));
        end if;
    elsif v_old.category_id is null then
        v_errors := v_errors || kiln_internal.field_error('/pipeline', 'is required');
    end if;
    if p_body ? 'version' and p_body -> 'version' <> 'null' then
        select v.version into v_version from kiln.pipeline_version v
         where v.pipeline_id = v_pipeline
           and v.version = case when kiln_internal.plain_field(p_body, 'version') ~ '^[0-9]{1,6}$'
                                    then kiln_internal.plain_field(p_body, 'version')::int end;
        if not found then
            v_errors := v_errors || kiln_internal.field_error('/version', 'is no version of this pipeline');
        end if;
    elsif p_body ? 'version' then
        v_version := null;
    end if;
    if coalesce(p_body ->> 'media_type', v_old.media_type::text, '') not in ('image', 'video', 'audio') then
        v_errors := v_errors || kiln_internal.field_error('/media_type', 'must be image, video or audio');
    end if;
    if coalesce(p_body ->> 'title', p_name) !~ '\S' or length(p_body ->> 'title') > 200 then
        v_errors := v_errors || kiln_internal.field_error('/title', 'must have 1 to 200 characters');
    end if;
    if octet_length(p_body ->> 'prompt') > 4000 then
        v_errors := v_errors || kiln_internal.field_error('/prompt', 'must have at most 4000 bytes');
    end if;
    if coalesce(p_body ->> 'price', '0') !~ '^[0-9]{1,12}$' then
        v_errors := v_errors || kiln_internal.field_error('/price',
                                                          'must be a whole number of millionths, from 0 on');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    insert into kiln.category as c (name, title, description, media_type, pipeline_id, pipeline_version,
                                    prompt, params, price_micros, is_enabled)
    values (p_name, coalesce(p_body ->> 'title', v_old.title, p_name),
            coalesce(p_body ->> 'description', v_old.description, ''),
            coalesce((p_body ->> 'media_type')::kiln.media_type, v_old.media_type), v_pipeline, v_version,
            coalesce(p_body ->> 'prompt', v_old.prompt, ''),
            coalesce(p_body -> 'params', v_old.params, '{}'),
            coalesce((p_body ->> 'price')::bigint, v_old.price_micros, 0),
            coalesce((p_body ->> 'is_enabled')::boolean, v_old.is_enabled, true))
    on conflict (name) do update
       set title = excluded.title, description = excluded.description, media_type = excluded.media_type,
           pipeline_id = excluded.pipeline_id,
           pipeline_version = excluded.pipeline_version, prompt = excluded.prompt, params = excluded.params,
           price_micros = excluded.price_micros, is_enabled = excluded.is_enabled;
    return kiln_internal.render_category(p_name);
end
$$;
comment on function kiln_internal.write_category(text, jsonb) is
'Changes a category, or makes it. Another pipeline begins with its newest version unless one is named. KN003:
fields.';

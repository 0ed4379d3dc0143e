-- The catalogue.
create or replace function kiln_internal.render_model(p_model kiln.model)
returns json
language plpgsql stable
set search_path = ''
as $$
begin
    return (select json_build_object(
                'id', p_model.name, 'title', p_model.title, 'description', p_model.description,
                                     'media_type', p_model.media_type,
                'provider', (select p.name from kiln.provider p where p.provider_id = p_model.provider_id),
                'tags', p_model.tags, 'is_default', p_model.is_default,
                                     'params_schema', p_model.params_schema, 'min_media', p_model.min_media,
                                     'example', p_model.example,
                'price', json_build_object('estimated', kiln.estimate(p_model.model_id, p_model.example),
                                           'base', p_model.price_micros, 'rule', p_model.price,
                                           'currency', (select c.currency from kiln.config c)),
                'measured', coalesce((select json_build_object('jobs', u.jobs, 'completed', u.completed,
                                                               'took_ms', u.took_ms) from kiln.model_use u
                                       where u.model_id = p_model.model_id),
                                     json_build_object('jobs', 0, 'completed', 0, 'took_ms', null)),
                'available', kiln_internal.model_reason(p_model) is null,
                                     'unavailable_reason', kiln_internal.model_reason(p_model)));
end
$$;
comment on function kiln_internal.render_model(kiln.model) is
'A model of the catalogue, as clients see it; price.estimated is that of its example, measured is of the
newest jobs (kiln.model_use).';

create or replace function kiln_api.list_models(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_page   record := kiln_internal.parse_page(p_query);
    v_sort   text   := coalesce(p_query ->> 'sort',
                                case when p_query ? 'q' then 'relevance' else 'newest' end);
    v_query  tsquery;
    v_skip   bigint := coalesce(v_page.before, 0);
    v_models kiln.model[];
begin
    if p_query ->> 'type' is not null and p_query ->> 'type' not in ('image', 'video', 'audio') then
        raise exception 'type must be image, video or audio' using errcode = 'KN006';
    end if;
    if v_sort not in ('newest', 'price', 'popularity', 'speed', 'relevance') then
        raise exception 'sort must be newest, price, popularity, speed or relevance' using errcode = 'KN006';
    end if;
    if length(p_query ->> 'q') > 200 then
        raise exception 'q may have 200 characters' using errcode = 'KN006';
    end if;
    v_query := websearch_to_tsquery('pg_catalog.english', p_query ->> 'q');
    v_models := array(
        select m
          from kiln.model m
          join kiln.provider p using (provider_id)
          left join kiln.model_use u using (model_id)
         where m.is_enabled and p.is_enabled
           and (p_query ->> 'type' is null or m.media_type::text = p_query ->> 'type')
           and (p_query ->> 'tag' is null or p_query ->> 'tag' = any (m.tags))
           -- Words that mean something to a dictionary, or the beginning of a name that means nothing to it.
           and (p_query ->> 'q' is null or m.search @@ v_query
                or position(lower(p_query ->> 'q') in lower(m.name || ' ' || m.title)) > 0)
         order by case v_sort when 'price' then kiln.estimate(m.model_id, m.example)
                              when 'popularity' then -coalesce(u.jobs, 0)
                              when 'speed' then u.took_ms
                              when 'relevance' then -ts_rank(m.search, v_query) end, m.model_id desc
        offset v_skip
         limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_model(m)) from unnest(v_models[:v_page.page_limit]) as m),
        case when cardinality(v_models) > v_page.page_limit then v_skip + v_page.page_limit end);
end
$$;
comment on function kiln_api.list_models(bigint, jsonb, jsonb, text) is
'GET /models?type=&q=&tag=&sort=newest|price|popularity|speed|relevance: what one can ask for. q finds words
of
title, name, tags and description, the best first; popularity and speed are those of the newest jobs, measured
each minute.';

create or replace function kiln_api.get_model(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_model kiln.model;
begin
    select m.* into v_model from kiln.model m join kiln.provider p using (provider_id)
     where m.name = p_path ->> 'id' and m.is_enabled and p.is_enabled;
    if not found then
        raise exception 'there is no such model' using errcode = 'KN002';
    end if;
    return kiln_internal.render_model(v_model);
end
$$;
comment on function kiln_api.get_model(bigint, jsonb, jsonb, text) is
'GET /models/{id}: one model of the catalogue. KN002: there is none.';

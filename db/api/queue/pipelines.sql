-- Pipelines and the categories of try-ons, for administrators.
create or replace function kiln_api.list_pipelines(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    return kiln_internal.cut_page((select array_agg(x.pipeline order by x.name)
                                     from (select p.name, kiln_internal.render_pipeline(p.name) as pipeline
                                             from kiln.pipeline p) x where x.pipeline is not null), p_query);
end
$$;
comment on function kiln_api.list_pipelines(bigint, jsonb, jsonb, text) is
'GET /admin/pipelines?limit=&cursor=: all of them, by name, each with the stages of its newest version.';

create or replace function kiln_api.get_pipeline(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_pipeline json;
begin
    perform kiln_internal.require_admin(p_actor);
    if p_query ->> 'version' is not null and p_query ->> 'version' !~ '^[0-9]{1,6}$' then
        raise exception 'version must be a number' using errcode = 'KN006';
    end if;
    v_pipeline := kiln_internal.render_pipeline(p_path ->> 'name', (p_query ->> 'version')::int);
    if v_pipeline is null then
        raise exception 'there is no such pipeline, or no such version of it' using errcode = 'KN002';
    end if;
    return v_pipeline;
end
$$;
comment on function kiln_api.get_pipeline(bigint, jsonb, jsonb, text) is
'GET /admin/pipelines/{name}?version=: its stages, of the newest or that version. KN002: there is none.';

create or replace function kiln_api.put_pipeline(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    return kiln_internal.write_pipeline(kiln_internal.parse_body(p_body));
end
$$;
comment on function kiln_api.put_pipeline(bigint, jsonb, jsonb, text) is
'PUT /admin/pipelines: writes the next version of a pipeline, stage by stage in order. KN003: fields; KN001:
somebody was quicker.';

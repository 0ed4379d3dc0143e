-- Categories, for administrators.
create or replace function kiln_api.list_categories(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    return kiln_internal.cut_page((select array_agg(kiln_internal.render_category(c.name) order by c.name)
                                     from kiln.category c), p_query);
end
$$;
comment on function kiln_api.list_categories(bigint, jsonb, jsonb, text) is
'GET /admin/categories?limit=&cursor=: what try-ons may be of, with the pipeline that each takes.';

create or replace function kiln_api.put_category(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    return kiln_internal.write_category(p_path ->> 'name', kiln_internal.parse_body(p_body));
end
$$;
comment on function kiln_api.put_category(bigint, jsonb, jsonb, text) is
'PUT /admin/categories/{name}: {title?, description?, media_type?, pipeline?, version?, prompt?, params?,
price?, is_enabled?} changes a category or makes one. KN003: fields.';

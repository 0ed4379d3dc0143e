-- Queues and runners, for administrators.
create or replace function kiln.render_queue(p_name text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select json_build_object('name', q.queue, 'description', k.description, 'is_paused', q.paused, 'ready', q.ready, 'waiting', q.waiting, 'running', q.running, 'held', q.held,
                                     'runners', q.runners, 'oldest_s', kiln.seconds(q.oldest), 'max_running', k.max_running, 'rate_per_minute', k.rate_per_minute)
              from kiln.queues q join kiln.queue k on k.name = q.queue
             where q.queue = p_name);
end
$$;
comment on function kiln.render_queue(text) is 'A queue, as administrators see it: kiln.queues with its limits.';

create or replace function kiln.render_runners(p_before bigint, p_limit int)
returns json[]
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select array_agg(json_build_object('id', r.runner::text, 'name', r.name, 'state', r.state, 'beat_s', kiln.seconds(r.beat),
                                                       'running', split_part(r.slots, '/', 1)::int, 'slots', split_part(r.slots, '/', 2)::int,
                                                       'queues', string_to_array(r.queues, ','), 'sandbox', r.sandbox) order by r.runner desc)
              from (select * from kiln.runners x where x.runner < p_before limit p_limit) r);
end
$$;
comment on function kiln.render_runners(bigint, int) is 'So many runners below an id, newest first, as administrators see them: kiln.runners.';

create or replace function kiln_api.list_queues(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln.require_admin(p_actor);
    return kiln.cut_page((select array_agg(kiln.render_queue(q.name) order by q.queue_id) from kiln.queue q), p_query);
end
$$;
comment on function kiln_api.list_queues(bigint, jsonb, jsonb, text) is 'GET /admin/queues?limit=&cursor=: what waits, runs and is held in each, and who serves it.';

create or replace function kiln_api.list_runners(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_page  record;
    v_items json[];
begin
    perform kiln.require_admin(p_actor);
    v_page := kiln.parse_page(p_query);
    v_items := kiln.render_runners(coalesce(v_page.before, 9223372036854775807), v_page.page_limit + 1);
    return json_build_object('items', coalesce(array_to_json(v_items[1:v_page.page_limit]), '[]'),
                             'next_cursor', case when cardinality(v_items) > v_page.page_limit then kiln.render_cursor((v_items[v_page.page_limit] ->> 'id')::bigint) end);
end
$$;
comment on function kiln_api.list_runners(bigint, jsonb, jsonb, text) is 'GET /admin/runners?limit=&cursor=: newest first, alive, silent, left or dead.';

create or replace function kiln_api.pause_queue(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln.require_admin(p_actor);
    perform kiln.pause_queue(p_path ->> 'name');
    return kiln.render_queue(p_path ->> 'name');
end
$$;
comment on function kiln_api.pause_queue(bigint, jsonb, jsonb, text) is 'POST /admin/queues/{name}/pause: what runs goes on, nothing new starts. KN002: no such queue.';

create or replace function kiln_api.resume_queue(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln.require_admin(p_actor);
    perform kiln.resume_queue(p_path ->> 'name');
    return kiln.render_queue(p_path ->> 'name');
end
$$;
comment on function kiln_api.resume_queue(bigint, jsonb, jsonb, text) is 'POST /admin/queues/{name}/resume: ends a pause. KN002: no such queue.';

-- Queues and runners, for administrators.
create or replace function kiln.render_queue(p_name text)
returns json
language sql stable security definer
set search_path = ''
as $$
    select json_build_object('name', q.queue, 'description', k.description, 'is_paused', q.paused, 'ready', q.ready, 'waiting', q.waiting, 'running', q.running, 'held', q.held,
                             'runners', q.runners, 'oldest_s', kiln.seconds(q.oldest), 'max_running', k.max_running, 'rate_per_minute', k.rate_per_minute)
      from kiln.queues q join kiln.queue k on k.name = q.queue
     where q.queue = p_name
$$;
comment on function kiln.render_queue(text) is 'A queue, as administrators see it: kiln.queues with its limits.';

create or replace function kiln.render_runners()
returns json
language sql stable security definer
set search_path = ''
as $$
    select coalesce(json_agg(json_build_object('id', r.runner::text, 'name', r.name, 'state', r.state, 'beat_s', kiln.seconds(r.beat),
                                               'running', split_part(r.slots, '/', 1)::int, 'slots', split_part(r.slots, '/', 2)::int,
                                               'queues', string_to_array(r.queues, ',')) order by r.runner desc), '[]')
      from (select * from kiln.runners limit 100) r
$$;
comment on function kiln.render_runners() is 'The newest hundred runners, as administrators see them: kiln.runners.';

create or replace function kiln_api.list_queues(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln.require_admin(p_actor);
    return json_build_object('items', (select coalesce(json_agg(kiln.render_queue(q.name) order by q.queue_id), '[]') from kiln.queue q), 'next_cursor', null);
end
$$;
comment on function kiln_api.list_queues(bigint, jsonb, jsonb, text) is 'GET /admin/queues: what waits, runs and is held in each, and who serves it.';

create or replace function kiln_api.list_runners(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln.require_admin(p_actor);
    return json_build_object('items', kiln.render_runners(), 'next_cursor', null);
end
$$;
comment on function kiln_api.list_runners(bigint, jsonb, jsonb, text) is 'GET /admin/runners: the newest hundred, alive, silent, left or dead.';

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

-- Queues and runners, for administrators.
create or replace function kiln_internal.render_queue(p_name text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select json_build_object(
                       'name', q.name, 'description', q.description, 'is_paused', q.is_paused,
                       'ready', (select count(*) from kiln.task_ready t where t.queue_id = q.queue_id),
                       'waiting', (select count(*) from kiln.task_waiting t where t.queue_id = q.queue_id),
                       'running', (select count(*) from kiln.task_running t where t.queue_id = q.queue_id),
                       'held', (select count(*) from kiln.task_held t where t.queue_id = q.queue_id),
                       'runners', (select count(*) from kiln.runner r
                                    where r.ended_at is null and q.queue_id = any (r.queue_ids)),
                       'oldest_s', (select kiln_internal.seconds(date_trunc('milliseconds',
                                                        kiln_internal.now() - t.created_at))
                                      from kiln.task_ready t where t.queue_id = q.queue_id
                                     order by t.virtual_time limit 1),
                       'max_running', q.max_running, 'rate_per_minute', q.rate_per_minute)
              from kiln.queue q
             where q.name = p_name);
end
$$;
comment on function kiln_internal.render_queue(text) is
'A queue, as administrators see it: as kiln.queues, in numbers.';

create or replace function kiln_internal.render_runners(p_before bigint, p_limit int)
returns json[]
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select array_agg(json_build_object(
                       'id', r.runner_id::text, 'name', left(r.name, 24),
                       'state', case when r.ended_at is not null then r.ended_why
                                     when h.beat_at < kiln_internal.now() - c.lease then 'silent'
                                     else 'alive' end,
                       'beat_s', kiln_internal.seconds(date_trunc('milliseconds',
                                                                  kiln_internal.now() - h.beat_at)),
                       'running', (select count(*) from kiln.task_running t
                                    where t.runner_id = r.runner_id), 'slots', r.slots,
                       'queues', (select array_agg(q.name order by q.queue_id) from kiln.queue q
                                   where q.queue_id = any (r.queue_ids)),
                       'sandbox', r.sandbox) order by r.runner_id desc)
              from (select x.* from kiln.runner x where x.runner_id < p_before order by x.runner_id desc
                     limit p_limit) r
              left join kiln.heartbeat h using (runner_id)
             cross join kiln.config c);
end
$$;
comment on function kiln_internal.render_runners(bigint, int) is
'So many runners below an id, newest first, as administrators see them: as kiln.runners, in numbers.';

create or replace function kiln_api.list_queues(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    return kiln_internal.cut_page((select array_agg(kiln_internal.render_queue(q.name) order by q.queue_id)
                                     from kiln.queue q), p_query);
end
$$;
comment on function kiln_api.list_queues(bigint, jsonb, jsonb, text) is
'GET /admin/queues?limit=&cursor=: what waits, runs and is held in each, and who serves it.';

create or replace function kiln_api.list_runners(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_page  record;
    v_items json[];
begin
    perform kiln_internal.require_admin(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_items := kiln_internal.render_runners(v_page.below, v_page.page_limit + 1);
    return kiln_internal.render_page(array_to_json(v_items[:v_page.page_limit]),
                                     (kiln_internal.last_of_page(v_items,
                                                                 v_page.page_limit) ->> 'id')::bigint);
end
$$;
comment on function kiln_api.list_runners(bigint, jsonb, jsonb, text) is
'GET /admin/runners?limit=&cursor=: newest first, alive, silent, left or expired.';

create or replace function kiln_api.pause_queue(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    perform kiln.pause_queue(p_path ->> 'name');
    return kiln_internal.render_queue(p_path ->> 'name');
end
$$;
comment on function kiln_api.pause_queue(bigint, jsonb, jsonb, text) is
'POST /admin/queues/{name}/pause: what runs goes on, nothing new starts. KN002: no such queue.';

create or replace function kiln_api.resume_queue(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    perform kiln.resume_queue(p_path ->> 'name');
    return kiln_internal.render_queue(p_path ->> 'name');
end
$$;
comment on function kiln_api.resume_queue(bigint, jsonb, jsonb, text) is
'POST /admin/queues/{name}/resume: ends a pause. KN002: no such queue.';

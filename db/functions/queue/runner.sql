-- Coming, living and going of a runner.
create or replace function kiln_runner.register(p_name text, p_host text, p_pid int, p_version text,
                                                p_queues text[] default null, p_slots int default 1,
                                                p_sandbox text default null)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_unknown   text;
    v_queue_ids smallint[];
    v_runner_id bigint;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    select string_agg(quote_literal(u.name), ', ') into v_unknown
      from unnest(p_queues) as u (name)
     where not exists (select from kiln.queue q where q.name = u.name);
    if v_unknown is not null then
        raise exception 'there is no queue %', v_unknown
            using errcode = 'KN002', hint = 'There are: ' || (select string_agg(q.name, ', '
                                                        order by q.queue_id) from kiln.queue q) || '.';
    end if;
    select array_agg(q.queue_id order by q.queue_id) into v_queue_ids
      from kiln.queue q
     where p_queues is null or p_queues = '{}' or q.name = any (p_queues);

    insert into kiln.runner (name, host, pid, version, queue_ids, limited_ids, slots, sandbox)
    values (p_name, p_host, p_pid, p_version, v_queue_ids, kiln_internal.limited_queues(v_queue_ids), p_slots,
            p_sandbox)
    returning runner_id into v_runner_id;
    insert into kiln.heartbeat (runner_id) values (v_runner_id);
    return v_runner_id;
end
$$;
comment on function kiln_runner.register(text, text, int, text, text[], int, text) is
'Announces a runner; returns the id that its other calls carry. p_queues null or empty: all queues there are
now. p_sandbox: what keeps the programs it starts from the machine: landlock, bubblewrap or none (then /readyz
warns); null: it starts none. KN002: no such queue.';

create or replace function kiln_runner.unregister(p_runner_id bigint)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if exists (select from kiln.runner r where r.runner_id = p_runner_id
                  and r.address is distinct from inet_client_addr()) then
        raise exception 'runner % registered from another address: it leaves from there', p_runner_id
            using errcode = '42501',
            hint = 'One that is gone is dead after kiln.config.lease, and its tasks go to others.';
    end if;
    perform kiln_internal.remove_waiter('runner:' || p_runner_id);
    delete from kiln.heartbeat h where h.runner_id = p_runner_id;
    update kiln.runner set ended_at = kiln_internal.now(), ended_why = 'left'
     where runner_id = p_runner_id and ended_at is null;
    update kiln.task set state = 'ready', error_class = 'released', error_message = 'Its runner left.'
     where state = 'running' and runner_id = p_runner_id;
end
$$;
comment on function kiln_runner.unregister(bigint) is
'A runner leaves in good order, from the address from which it registered; what it still ran goes back at
once, neither attempt nor death.';

create or replace function kiln_runner.beat(p_runner_id bigint)
returns table (task_id bigint, fence bigint, reason text)
language plpgsql security definer
set search_path = '' set enable_seqscan = off
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    update kiln.heartbeat h
       set beat_at = kiln_internal.now(),
           since   = case when h.beat_at < kiln_internal.now() - 0.7 * c.lease then kiln_internal.now()
                          else h.since end
      from kiln.config c
     where h.runner_id = p_runner_id;
    if not found then
        raise exception 'runner % is not registered, or was declared dead', p_runner_id
            using errcode = 'KN011',
            hint = 'Call kiln_runner.register() again; what it ran is no longer its own.';
    end if;
    return query
    select t.task_id, t.fence, 'cancelled'
      from kiln.task t
      join kiln.job j on j.job_id = t.job_id
     where t.state = 'running' and t.runner_id = p_runner_id and j.state not in ('running', 'held');
end
$$;
comment on function kiln_runner.beat(bigint) is
'A sign of life, from its own connection, apart from the work: at least each third of kiln.config.lease.
Returns the tasks to stop: their job is being cancelled. Report each with kiln_runner.fail(…, ''cancelled'',
…). KN011: declared dead; register again.';

create or replace function kiln_runner.release(p_task_id bigint, p_fence bigint,
                                               p_reason text default 'released')
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    update kiln.task t set state = 'ready', error_class = 'released', error_message = p_reason
     where t.task_id = p_task_id and t.fence = p_fence and t.state = 'running';
    if not found then
        perform kiln_internal.refuse_stale(p_task_id, p_fence);
    end if;
end
$$;
comment on function kiln_runner.release(bigint, bigint, text) is
'Hands a task back unfinished: neither an attempt nor a death. KN010: no longer this runner''s.';

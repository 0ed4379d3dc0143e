-- What a job waits for, in the few words that a column of a view has room for.
create or replace function kiln_internal.queue_next_at(p_queue kiln.queue)
returns timestamptz
language sql stable
return (select g.theoretical_arrival_at
               - (p_queue.rate_burst - 1)
                 * kiln_internal.queue_rate_step(p_queue.rate_per_minute, p_queue.rate_burst)
          from kiln.queue_limiter g where g.queue_id = p_queue.queue_id);
comment on function kiln_internal.queue_next_at(kiln.queue) is
'When the rate of a queue lets its next task start, as kiln_internal.claim_within_limits() counts; null: it
has no rate.';

create or replace function kiln_internal.queue_closed(p_queue kiln.queue)
returns text
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_alive   bigint;
    v_beating bigint;
    v_slots   bigint;
    v_running bigint;
begin
    if p_queue.is_paused then
        return 'paused';
    end if;
    select count(*), count(*) filter (where h.beat_at >= kiln_internal.now() - c.lease),
           sum(r.slots) filter (where h.beat_at >= kiln_internal.now() - c.lease)
      into v_alive, v_beating, v_slots
      from kiln.runner r
     cross join kiln.config c
      left join kiln.heartbeat h using (runner_id)
     where r.ended_at is null and p_queue.queue_id = any (r.queue_ids);
    if v_beating = 0 then
        return case when v_alive = 0 then 'no runner' else 'silent' end;
    end if;
    if p_queue.max_running is not null then
        select count(*) into v_running from kiln.task_running t where t.queue_id = p_queue.queue_id;
        if v_running >= p_queue.max_running then
            return format('full, %s/%s', v_running, p_queue.max_running);
        end if;
    end if;
    if p_queue.rate_per_minute is not null and kiln_internal.queue_next_at(p_queue) > kiln_internal.now() then
        return 'rate, ' || kiln_internal.ago(kiln_internal.queue_next_at(p_queue));
    end if;
    if v_slots <= (select count(*) from kiln.task_running t
                     join kiln.runner r using (runner_id)
                    where r.ended_at is null and p_queue.queue_id = any (r.queue_ids)) then
        return 'busy';
    end if;
    return null;
end
$$;
comment on function kiln_internal.queue_closed(kiln.queue) is
'Why no task of a queue can start now: paused; no runner; silent (its runners'' beats are late); full, 4/4
(max_running); rate, in 20 s; busy (its runners'' slots are taken). Null: one can.';

create or replace function kiln_internal.explain_wait(p_task kiln.task, p_queue text, p_closed text)
returns text
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_reason   text;
    v_provider text;
    v_runner   text;
begin
    case p_task.state
        when 'ready' then
            return left(p_queue, 10) || ': ' || case when p_task.interruptions >= 2 then 'quarantined'
                                                     else coalesce(p_closed, 'has a turn') end;
        when 'running' then
            select left(r.name, 8) into v_runner
              from kiln.runner r
             cross join kiln.config c
              left join kiln.heartbeat h using (runner_id)
             where r.runner_id = p_task.runner_id
               and (h.beat_at is null or h.beat_at < kiln_internal.now() - c.lease);
            return case when v_runner is not null then 'runner ' || v_runner || ' silent'
                        else p_task.label end;
        when 'held' then
            return 'held: ' || case p_task.error_class when 'unknown' then 'perhaps paid' when 'lost'
                                        then 'its result lost' when 'timeout' then 'does not end'
                                                       when 'poison' then 'killed 3 runners' when 'operator'
                                        then 'by hand' else p_task.error_class end;
        when 'waiting' then
            select k.reason, left(r.name, 8) into v_reason, v_provider
              from kiln.deferred_task k join kiln.provider r using (provider_id)
             where k.task_id = p_task.task_id and k.admitted_at is null;
            if v_reason is not null then
                return case v_reason
                    when 'account_cap' then 'account: cap, '
                            || coalesce(kiln_internal.ago(nullif(p_task.due_at, 'infinity')), 'tomorrow')
                    else v_provider || ': ' || (
                        select case v_reason
                                   when 'disabled'     then 'off'
                                   when 'circuit'      then 'circuit, '
                                    || coalesce(kiln_internal.ago(g.open_until), 'soon')
                                   when 'paused'       then 'paused, '
                                    || coalesce(kiln_internal.ago(g.paused_until), 'soon')
                                   when 'calls'        then 'full, ' || r.max_calls || ' calls'
                                   when 'rate'         then 'rate, '
                                    || kiln_internal.ago(g.theoretical_arrival_at - (coalesce(r.rate_burst,
                                                        1) - 1) * kiln_internal.rate_step(r.rate_per_minute,
                                                            r.rate_burst))
                                   when 'provider_cap' then 'day cap'
                                   when 'secret'       then 'no ' || (r.auth ->> 'env')
                                   else v_reason end
                          from kiln.deferred_task k
                          join kiln.provider r using (provider_id)
                          left join kiln.provider_limiter g using (provider_id)
                         where k.task_id = p_task.task_id) end;
            end if;
            if p_task.due_at < 'infinity' then
                return case p_task.error_class when 'released' then coalesce(p_task.label, 'again')
                            when 'secret' then 'other runner' when 'transient' then 'again'
                            when 'rate_limited' then 'provider''s pause'
                                               when 'resend' then 'asks again'
                            else coalesce(p_task.error_class, 'scheduled') end
                       || ', ' || kiln_internal.ago(p_task.due_at);
            end if;
            if p_task.error_class is null then
                return (select 'waits for upload ' || min(a.media_id) from kiln.media_wait a
                         where a.job_id = p_task.job_id);
            end if;
            return coalesce(p_task.label, p_task.error_message);
        else
            return null;
    end case;
end
$$;
comment on function kiln_internal.explain_wait(kiln.task, text, text) is
'What an open task waits for, or does, in few words. p_queue is its queue''s name, p_closed what
kiln_internal.queue_closed() says of it. Null: it has ended, or its runner has said nothing yet.';

create or replace function kiln_internal.present_job_ids(p_most int)
returns bigint[]
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
as $$
begin
    return array(
        (select j.job_id from kiln.job j order by j.job_id desc limit p_most)
        union
        select t.job_id from kiln.task_running t
        union
        (select t.job_id from kiln.task_held t order by t.task_id desc limit p_most)
        union
        (select t.job_id from kiln.task_waiting t order by t.task_id desc limit p_most)
        union
        (select t.job_id from kiln.task_ready t order by t.task_id desc limit p_most)
        union
        (select t.job_id from kiln.task_ready t where t.stage > 1 or t.started_at is not null
          order by t.task_id desc limit p_most));
end
$$;
comment on function kiln_internal.present_job_ids(int) is
'Jobs of the present: the newest p_most of all, those that run, and of those that are held, wait, are ready,
or
are between two stages the newest p_most of each; each part by an index.';

create or replace function kiln_internal.newest_jobs(p_kind kiln.job_kind, p_most int)
returns setof kiln.job
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off set enable_sort = off
as $$
begin
    return query select j.* from kiln.job j where j.kind = p_kind order by j.job_id desc limit p_most;
end
$$;
comment on function kiln_internal.newest_jobs(kiln.job_kind, int) is
'The newest jobs of a kind, found along the newest jobs of all.';

create or replace function kiln_internal.queue_position(p_job_id bigint)
returns int
language plpgsql stable
set search_path = ''
as $$
declare
    v_task  kiln.task;
    v_ahead int;
begin
    select t.* into v_task from kiln.task_ready t where t.task_id = kiln_internal.task_id(p_job_id, 1);
    if not found then
        return null;
    end if;
    select count(*) into v_ahead
      from (select from kiln.task_ready t
             where t.queue_id = v_task.queue_id and t.interruptions < 2
               and (t.priority > v_task.priority or t.priority = v_task.priority
                    and (t.virtual_time, t.task_id) < (v_task.virtual_time, v_task.task_id))
             limit 1000) as ahead;
    return case when v_ahead < 1000 then v_ahead + 1 end;
end
$$;
comment on function kiln_internal.queue_position(bigint) is
'Which in its queue a job that has not started is: 1 is next; null beyond 1,000, or when it does not wait.';

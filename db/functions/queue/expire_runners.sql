-- Runners without a heartbeat expire, and their tasks go to others.
create or replace function kiln_internal.expire_runners(p_runner_id bigint)
returns int
language plpgsql security definer
set search_path = ''
as $$
declare
    v_lease interval := (select c.lease from kiln.config c);
    v_expired  kiln.runner;
    v_tasks kiln.task[];
    v_task  kiln.task;
    v_all   int := 0;
begin
    -- After an outage of the database every beat is late: who has not beaten without a gap for a whole lease
    -- buries nobody. A gap is 0.7 of a lease: another's last beat may be older than one's own by the second
    -- between beats (docs/model/lease.pml).
    if not exists (select from kiln.heartbeat h
                    where h.runner_id = p_runner_id and h.since <= kiln_internal.now() - v_lease
                      and h.beat_at > kiln_internal.now() - 0.7 * v_lease) then
        return 0;
    end if;
    -- One without a heartbeat has not beaten either. (Its row is made with it; a person can take it away.)
    for v_expired in
        select r.* from kiln.runner r
         where r.ended_at is null and r.runner_id <> p_runner_id
           and not exists (select from kiln.heartbeat h where h.runner_id = r.runner_id)
           for update of r skip locked
    loop
        insert into kiln.heartbeat (runner_id, beat_at, since)
        values (v_expired.runner_id, '-infinity', '-infinity') on conflict do nothing;
    end loop;
    for v_expired in
        select r.* from kiln.heartbeat h join kiln.runner r using (runner_id)
         where h.beat_at < kiln_internal.now() - v_lease and h.runner_id <> p_runner_id
         order by h.beat_at limit 10
           for update of h skip locked
    loop
        update kiln.runner set ended_at = coalesce(ended_at, kiln_internal.now()),
               ended_why = coalesce(ended_why, 'expired') where runner_id = v_expired.runner_id;
        perform kiln_internal.remove_waiter('runner:' || v_expired.runner_id);
        v_tasks := array(
            select t from kiln.task t
             where t.state = 'running' and t.runner_id = v_expired.runner_id
             order by t.task_id         -- as kiln_runner.poll_answers() locks them
             limit 500
               for no key update);
        foreach v_task in array v_tasks
        loop
            if v_expired.quarantined_task_id = v_task.task_id then
                update kiln.task set state = 'held', interruptions = interruptions + 1,
                       error_class = 'poison',
                       error_message = format('It ran alone when runner %s died with it, the third to do so.',
                                              v_expired.name)
                 where state = 'running' and task_id = v_task.task_id;
            else
                update kiln.task set state = 'ready', interruptions = interruptions + 1,
                       error_class = 'interrupted',
                       error_message = format('Runner %s died.', v_expired.name)
                 where state = 'running' and task_id = v_task.task_id;
            end if;
            v_all := v_all + 1;
        end loop;
        if cardinality(v_tasks) < 500 then
            delete from kiln.heartbeat h where h.runner_id = v_expired.runner_id;
        end if;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.expire_runners(bigint) is
'Takes the tasks of runners that have not beaten for a lease back: ready again, or, when it ran a quarantined
task alone, held as poison.';

-- Whom it is reserved for: one that runs nothing, else the one whose tasks end soonest by their limits. One
-- that is idle and has not taken its quarantined task for ten seconds, though its queue has a place, does not
-- claim (a registration that only beats, a machine that cannot work): the next has it.
create or replace function kiln_internal.assign_quarantined()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.runner r
       set quarantined_task_id = null, quarantined_at = case when w.is_waiting then r.quarantined_at end
      from (select a.runner_id, t.task_id is not null and not q.is_paused as is_waiting,
                   a.quarantined_at <= kiln_internal.now() - interval '10 seconds'
                   and coalesce(kiln_internal.queue_places(q, g.theoretical_arrival_at) > 0, true)
                   and not exists (select from kiln.task_running x
                                    where x.runner_id = a.runner_id) as is_refused
              from kiln.runner a
              left join kiln.task_ready t on t.task_id = a.quarantined_task_id and t.interruptions >= 2
              left join kiln.queue q using (queue_id)
              left join kiln.queue_limiter g using (queue_id)
             where a.ended_at is null and a.quarantined_task_id is not null
               and not exists (select from kiln.task_running x
                                where x.task_id = a.quarantined_task_id and x.runner_id = a.runner_id)) w
     where r.runner_id = w.runner_id and (not w.is_waiting or w.is_refused);
    update kiln.runner r set quarantined_task_id = s.task_id, quarantined_at = kiln_internal.now()
      from (select distinct on (t.task_id) t.task_id, c.runner_id
              from kiln.task_ready t
              join kiln.queue q on q.queue_id = t.queue_id and not q.is_paused
              join kiln.runner c on c.ended_at is null and c.quarantined_task_id is null
               and t.queue_id = any (c.queue_ids)
              join kiln.heartbeat h on h.runner_id = c.runner_id
               and h.beat_at > kiln_internal.now() - (select g.lease from kiln.config g)
             cross join lateral (
                   select max(x.started_at + g.time_limit) as busy_until
                     from kiln.task_running x
                     join kiln.stage g on g.pipeline_version_id = x.pipeline_version_id
                      and g.position = x.stage
                    where x.runner_id = c.runner_id) b
             where t.interruptions >= 2
               and not exists (select from kiln.runner x where x.ended_at is null
                                  and x.quarantined_task_id = t.task_id)
             order by t.task_id, c.quarantined_at > kiln_internal.now() - interval '1 minute' nulls first,
                   b.busy_until nulls first, c.quarantined_at nulls first,
                   c.runner_id desc
             limit 1) s
     where r.runner_id = s.runner_id;
end
$$;
comment on function kiln_internal.assign_quarantined() is
'Reserves a task that two runners died with for one that lives (one a tick): it runs nothing else meanwhile.
Frees runners whose quarantined task is over, or whose queue is paused, and those that are idle and have not
taken theirs for ten seconds.';

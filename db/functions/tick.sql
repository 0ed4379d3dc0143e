-- The one timer. Every runner calls it; one at a time does what is due, the others leave at once.
create or replace function kiln_runner.tick(p_runner_id bigint default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_name text;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    -- A row, not an advisory lock: those belong to the whole database, and any login could hold one and so stop every timer.
    perform from kiln.mutex m where m.name = 'tick' for update skip locked;
    if not found then
        return;
    end if;
    perform kiln_internal.advance_low_watermarks();
    perform kiln_internal.ready_due_tasks(1000);
    perform kiln_internal.admit_all_deferred();

    for v_name in
        select c.name from kiln.maintenance c
         where c.ran_at is null or c.ran_at + c.every <= kiln_internal.now() or c.ran_at > kiln_internal.now() + c.every       -- the clock was set back
         order by c.name
    loop
        update kiln.maintenance c set ran_at = kiln_internal.now() where c.name = v_name;
        begin
            case v_name
                when 'expire'       then perform kiln_internal.expire_runners(p_runner_id);
                when 'expire_calls'      then perform kiln_internal.expire_calls(100);
                when 'quarantine'      then perform kiln_internal.assign_quarantined();
                when 'overdue'    then perform kiln_internal.fail_overdue(100);
                when 'partitions' then perform kiln_internal.maintain_partitions();
                when 'repair'     then perform kiln_internal.repair_below_low_watermark(1000), kiln_internal.repair_limiters();
                when 'purge_accounts'    then perform kiln_internal.purge_accounts(10), kiln_internal.purge_projects(10);
                when 'purge'     then perform kiln_internal.purge_expired();
                when 'waiters'   then perform kiln_internal.remove_gone_waiters();
                when 'models'     then perform kiln_internal.measure_models();
                when 'ephemeral events'   then perform kiln_internal.purge_ephemeral_events();
                when 'timeline'   then perform kiln_internal.record_timeline();
            end case;
        exception when others then
            -- A maintenance job that fails stops no other, and not the timer: it is tried again when it is due again.
            raise warning 'maintenance job % failed: % (%)', v_name, sqlerrm, sqlstate;
        end;
    end loop;
end
$$;
comment on function kiln_runner.tick(bigint) is
'What is due: the low watermarks, the waiting tasks, the dead, the overdue, partitions, retention. Each 100 ms by a busy runner, each
second by an idle one (its idle cycle does it). Only p_runner_id with a lease of unbroken beats buries others; null: nobody is buried.';

create or replace function kiln_internal.advance_low_watermarks()
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_job bigint := coalesce((select s.last_value from pg_catalog.pg_sequences s where s.schemaname = 'kiln' and s.sequencename = 'job_job_id_seq'), 0);
begin
    -- What was the lowest waiting turn one tick ago becomes the low watermark now: an enqueue that has its turn but has not
    -- committed yet is not overtaken. An empty queue's low watermark goes beyond all turns ever given. A row
    -- version is worth a hundred turns or ten seconds: that is also how much of a start a newcomer may have before the others.
    update kiln.low_watermark f
       set virtual_time = f.next_virtual_time, next_virtual_time = greatest(f.next_virtual_time, h.virtual_time), max_virtual_time = greatest(f.max_virtual_time, h.virtual_time, f.next_virtual_time) + v_job - f.seen_job + 2, seen_job = v_job,
           moved_at = kiln_internal.now()
      from (select g.queue_id, g.priority,
                   coalesce((select t.virtual_time - 1 from kiln.task_ready t
                              where t.queue_id = g.queue_id and t.priority = g.priority and t.virtual_time > g.virtual_time and t.interruptions < 2
                              order by t.virtual_time limit 1), greatest(g.max_virtual_time, g.next_virtual_time) + v_job - g.seen_job + 1) as virtual_time
              from kiln.low_watermark g) h
     where f.queue_id = h.queue_id and f.priority = h.priority
       and (h.virtual_time >= f.next_virtual_time + 100 or f.next_virtual_time >= f.virtual_time + 100
            or (h.virtual_time > f.next_virtual_time or f.next_virtual_time > f.virtual_time) and f.moved_at <= kiln_internal.now() - interval '10 seconds');
end
$$;
comment on function kiln_internal.advance_low_watermarks() is 'Publishes where claims begin: monotonic, one tick behind the lowest waiting turn.';

create or replace function kiln_internal.ready_due_tasks(p_limit int)
returns int
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_task_ids bigint[];
begin
    v_task_ids := array(
        select t.task_id from kiln.task_waiting t where t.due_at <= kiln_internal.now() order by t.due_at limit p_limit for update skip locked);
    if v_task_ids <> '{}' then
        update kiln.task t set state = 'ready' where t.state = 'waiting' and t.task_id = any (v_task_ids);
    end if;
    return cardinality(v_task_ids);
end
$$;
comment on function kiln_internal.ready_due_tasks(int) is 'Readies up to p_limit waiting tasks whose time has come.';

create or replace function kiln_internal.repair_below_low_watermark(p_limit int)
returns int
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_watermark   kiln.low_watermark;
    v_repaired int;
    v_all     int := 0;
begin
    for v_watermark in select * from kiln.low_watermark f where f.virtual_time > 0
    loop
        update kiln.task_ready t set virtual_time = v_watermark.virtual_time + 1
         where t.ctid = any (array(
                   select q.ctid from kiln.task_ready q
                    where q.queue_id = v_watermark.queue_id and q.priority = v_watermark.priority and q.virtual_time <= v_watermark.virtual_time and q.interruptions < 2
                    order by q.virtual_time, q.task_id
                    limit p_limit for update skip locked));
        get diagnostics v_repaired = row_count;
        v_all := v_all + v_repaired;
        if v_repaired > 0 then
            perform kiln_internal.notify_waiters(array[v_watermark.queue_id]);
        end if;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.repair_below_low_watermark(int) is
'Lifts to the low watermark what was committed below it (an enqueue that took longer than a tick); only here is anything looked for down there.';

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
    -- After an outage of the database every beat is late: who has not beaten without a gap for a whole lease buries nobody. A gap is 0.7
    -- of a lease: another's last beat may be older than one's own by the second between beats (docs/model/lease.pml).
    if not exists (select from kiln.heartbeat h
                    where h.runner_id = p_runner_id and h.since <= kiln_internal.now() - v_lease and h.beat_at > kiln_internal.now() - 0.7 * v_lease) then
        return 0;
    end if;
    -- One without a heartbeat has not beaten either. (Its row is made with it; a person can take it away.)
    for v_expired in
        select r.* from kiln.runner r
         where r.ended_at is null and r.runner_id <> p_runner_id and not exists (select from kiln.heartbeat h where h.runner_id = r.runner_id)
           for update of r skip locked
    loop
        insert into kiln.heartbeat (runner_id, beat_at, since) values (v_expired.runner_id, '-infinity', '-infinity') on conflict do nothing;
    end loop;
    for v_expired in
        select r.* from kiln.heartbeat h join kiln.runner r using (runner_id)
         where h.beat_at < kiln_internal.now() - v_lease and h.runner_id <> p_runner_id
         order by h.beat_at limit 10
           for update of h skip locked
    loop
        update kiln.runner set ended_at = coalesce(ended_at, kiln_internal.now()), ended_why = coalesce(ended_why, 'expired') where runner_id = v_expired.runner_id;
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
                update kiln.task set state = 'held', interruptions = interruptions + 1, error_class = 'poison',
                       error_message = format('It ran alone when runner %s died with it, the third to do so.', v_expired.name)
                 where state = 'running' and task_id = v_task.task_id;
            else
                update kiln.task set state = 'ready', interruptions = interruptions + 1, error_class = 'interrupted',
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
'Takes the tasks of runners that have not beaten for a lease back: ready again, or, when it ran a quarantined task alone, held as poison.';

create or replace function kiln_internal.fail_overdue(p_limit int)
returns int
language plpgsql security definer
set search_path = ''
as $$
declare
    v_task kiln.task;
    v_all  int := 0;
begin
    for v_task in
        select t.* from kiln.task t
         where t.state = 'running'
           and t.started_at + (select s.time_limit from kiln.stage s
                                where s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage)
               < kiln_internal.now() - (select c.task_grace from kiln.config c)
         limit p_limit
           for no key update skip locked
    loop
        perform kiln_internal.fail_task(v_task, 'timeout', 'Its time limit passed and its runner did not stop it.');
        v_all := v_all + 1;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.fail_overdue(int) is 'Fails, as timeouts, running tasks whose runner lives but has not ended them in time.';

-- Whom it is reserved for: one that runs nothing, else the one whose tasks end soonest by their limits. One that is idle and has not
-- taken its quarantined task for ten seconds, though its queue has a place, does not claim (a registration that only beats, a machine that cannot work): the next has it.
create or replace function kiln_internal.assign_quarantined()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.runner r
       set quarantined_task_id = null, quarantined_at = case when w.is_waiting then r.quarantined_at end
      from (select a.runner_id, t.task_id is not null and not q.is_paused as is_waiting,
                   a.quarantined_at <= kiln_internal.now() - interval '10 seconds' and coalesce(kiln_internal.queue_places(q, g.theoretical_arrival_at) > 0, true)
                   and not exists (select from kiln.task_running x where x.runner_id = a.runner_id) as is_refused
              from kiln.runner a
              left join kiln.task_ready t on t.task_id = a.quarantined_task_id and t.interruptions >= 2
              left join kiln.queue q using (queue_id)
              left join kiln.queue_limiter g using (queue_id)
             where a.ended_at is null and a.quarantined_task_id is not null
               and not exists (select from kiln.task_running x where x.task_id = a.quarantined_task_id and x.runner_id = a.runner_id)) w
     where r.runner_id = w.runner_id and (not w.is_waiting or w.is_refused);
    update kiln.runner r set quarantined_task_id = s.task_id, quarantined_at = kiln_internal.now()
      from (select distinct on (t.task_id) t.task_id, c.runner_id
              from kiln.task_ready t
              join kiln.queue q on q.queue_id = t.queue_id and not q.is_paused
              join kiln.runner c on c.ended_at is null and c.quarantined_task_id is null and t.queue_id = any (c.queue_ids)
              join kiln.heartbeat h on h.runner_id = c.runner_id and h.beat_at > kiln_internal.now() - (select g.lease from kiln.config g)
             cross join lateral (
                   select max(x.started_at + g.time_limit) as busy_until
                     from kiln.task_running x
                     join kiln.stage g on g.pipeline_version_id = x.pipeline_version_id and g.position = x.stage
                    where x.runner_id = c.runner_id) b
             where t.interruptions >= 2
               and not exists (select from kiln.runner x where x.ended_at is null and x.quarantined_task_id = t.task_id)
             order by t.task_id, c.quarantined_at > kiln_internal.now() - interval '1 minute' nulls first, b.busy_until nulls first, c.quarantined_at nulls first,
                   c.runner_id desc
             limit 1) s
     where r.runner_id = s.runner_id;
end
$$;
comment on function kiln_internal.assign_quarantined() is
'Reserves a task that two runners died with for one that lives (one a tick): it runs nothing else meanwhile. Frees runners whose quarantined task
is over, or whose queue is paused, and those that are idle and have not taken theirs for ten seconds.';

-- The one timer. Every runner calls it; one at a time does what is due, the others leave at once.
create or replace function kiln_runner.tick(p_runner_id bigint default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_chore text;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    -- A row, not an advisory lock: those belong to the whole database, and any login could hold one and so stop every timer.
    perform from kiln.mutex m where m.name = 'tick' for update skip locked;
    if not found then
        return;
    end if;
    perform kiln_internal.move_floors();
    perform kiln_internal.ready_what_is_due(1000);
    perform kiln_internal.wake_all_parked();

    for v_chore in
        select c.name from kiln.chore c
         where c.ran_at is null or c.ran_at + c.every <= kiln_internal.now() or c.ran_at > kiln_internal.now() + c.every       -- the clock was set back
         order by c.name
    loop
        update kiln.chore c set ran_at = kiln_internal.now() where c.name = v_chore;
        begin
            case v_chore
                when 'bury'       then perform kiln_internal.bury_dead_runners(p_runner_id);
                when 'calls'      then perform kiln_internal.tend_calls(100);
                when 'alone'      then perform kiln_internal.reserve_suspects();
                when 'overdue'    then perform kiln_internal.fail_overdue(100);
                when 'partitions' then perform kiln_internal.keep_partitions();
                when 'rescue'     then perform kiln_internal.rescue_below_floor(1000), kiln_internal.mend_gates();
                when 'leaving'    then perform kiln_internal.clear_accounts(10), kiln_internal.clear_projects(10);
                when 'forget'     then perform kiln_internal.forget();
                when 'sleepers'   then perform kiln_internal.wake_the_gone();
                when 'models'     then perform kiln_internal.measure_models();
                when 'whispers'   then perform kiln_internal.forget_whispers();
                when 'timeline'   then perform kiln_internal.note_timeline();
            end case;
        exception when others then
            -- A chore that fails stops no other, and not the timer: it is tried again when it is due again.
            raise warning 'chore % failed: % (%)', v_chore, sqlerrm, sqlstate;
        end;
    end loop;
end
$$;
comment on function kiln_runner.tick(bigint) is
'What is due: the floors, the waiting tasks, the dead, the overdue, partitions, retention. Each 100 ms by a busy runner, each
second by an idle one (its idle cycle does it). Only p_runner_id with a lease of unbroken beats buries others; null: nobody is buried.';

create or replace function kiln_internal.move_floors()
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_job bigint := coalesce((select s.last_value from pg_catalog.pg_sequences s where s.schemaname = 'kiln' and s.sequencename = 'job_job_id_seq'), 0);
begin
    -- What was the lowest waiting turn one tick ago becomes the floor now: an enqueue that has its turn but has not
    -- committed yet is not overtaken. An empty queue's floor goes beyond all turns ever given. A row
    -- version is worth a hundred turns or ten seconds: that is also how much of a start a newcomer may have before the others.
    update kiln.floor f
       set vt = f.next_vt, next_vt = greatest(f.next_vt, h.vt), max_vt = greatest(f.max_vt, h.vt, f.next_vt) + v_job - f.seen_job + 2, seen_job = v_job,
           moved_at = kiln_internal.now()
      from (select g.queue_id, g.priority,
                   coalesce((select t.vt - 1 from kiln.task_ready t
                              where t.queue_id = g.queue_id and t.priority = g.priority and t.vt > g.vt and t.interruptions < 2
                              order by t.vt limit 1), greatest(g.max_vt, g.next_vt) + v_job - g.seen_job + 1) as vt
              from kiln.floor g) h
     where f.queue_id = h.queue_id and f.priority = h.priority
       and (h.vt >= f.next_vt + 100 or f.next_vt >= f.vt + 100
            or (h.vt > f.next_vt or f.next_vt > f.vt) and f.moved_at <= kiln_internal.now() - interval '10 seconds');
end
$$;
comment on function kiln_internal.move_floors() is 'Publishes where claims begin: monotonic, one tick behind the lowest waiting turn.';

create or replace function kiln_internal.ready_what_is_due(p_limit int)
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
comment on function kiln_internal.ready_what_is_due(int) is 'Readies up to p_limit waiting tasks whose time has come.';

create or replace function kiln_internal.rescue_below_floor(p_limit int)
returns int
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_floor   kiln.floor;
    v_rescued int;
    v_all     int := 0;
begin
    for v_floor in select * from kiln.floor f where f.vt > 0
    loop
        update kiln.task_ready t set vt = v_floor.vt + 1
         where t.ctid = any (array(
                   select q.ctid from kiln.task_ready q
                    where q.queue_id = v_floor.queue_id and q.priority = v_floor.priority and q.vt <= v_floor.vt and q.interruptions < 2
                    order by q.vt, q.task_id
                    limit p_limit for update skip locked));
        get diagnostics v_rescued = row_count;
        v_all := v_all + v_rescued;
        if v_rescued > 0 then
            perform kiln_internal.ring(array[v_floor.queue_id]);
        end if;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.rescue_below_floor(int) is
'Lifts to the floor what was committed below it (an enqueue that took longer than a tick); only here is anything looked for down there.';

create or replace function kiln_internal.bury_dead_runners(p_runner_id bigint)
returns int
language plpgsql security definer
set search_path = ''
as $$
declare
    v_lease interval := (select c.lease from kiln.config c);
    v_dead  kiln.runner;
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
    for v_dead in
        select r.* from kiln.runner r
         where r.ended_at is null and r.runner_id <> p_runner_id and not exists (select from kiln.heartbeat h where h.runner_id = r.runner_id)
           for update of r skip locked
    loop
        insert into kiln.heartbeat (runner_id, beat_at, since) values (v_dead.runner_id, '-infinity', '-infinity') on conflict do nothing;
    end loop;
    for v_dead in
        select r.* from kiln.heartbeat h join kiln.runner r using (runner_id)
         where h.beat_at < kiln_internal.now() - v_lease and h.runner_id <> p_runner_id
         order by h.beat_at limit 10
           for update of h skip locked
    loop
        update kiln.runner set ended_at = coalesce(ended_at, kiln_internal.now()), ended_why = coalesce(ended_why, 'dead') where runner_id = v_dead.runner_id;
        perform kiln_internal.wake('runner:' || v_dead.runner_id);
        v_tasks := array(
            select t from kiln.task t
             where t.state = 'running' and t.runner_id = v_dead.runner_id
             order by t.task_id         -- as kiln_runner.poll_answers() locks them
             limit 500
               for no key update);
        foreach v_task in array v_tasks
        loop
            if v_dead.alone_task_id = v_task.task_id then
                update kiln.task set state = 'held', interruptions = interruptions + 1, error_class = 'poison',
                       error_message = format('It ran alone when runner %s died with it, the third to do so.', v_dead.name)
                 where state = 'running' and task_id = v_task.task_id;
            else
                update kiln.task set state = 'ready', interruptions = interruptions + 1, error_class = 'interrupted',
                       error_message = format('Runner %s died.', v_dead.name)
                 where state = 'running' and task_id = v_task.task_id;
            end if;
            v_all := v_all + 1;
        end loop;
        if cardinality(v_tasks) < 500 then
            delete from kiln.heartbeat h where h.runner_id = v_dead.runner_id;
        end if;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.bury_dead_runners(bigint) is
'Takes the tasks of runners that have not beaten for a lease back: ready again, or, when it ran a suspect alone, held as poison.';

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
-- taken its suspect for ten seconds, though its queue has a place, does not claim (a registration that only beats, a machine that cannot work): the next has it.
create or replace function kiln_internal.reserve_suspects()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.runner r
       set alone_task_id = null, alone_at = case when w.is_waiting then r.alone_at end
      from (select a.runner_id, t.task_id is not null and not q.is_paused as is_waiting,
                   a.alone_at <= kiln_internal.now() - interval '10 seconds' and coalesce(kiln_internal.queue_places(q, g.free_at) > 0, true)
                   and not exists (select from kiln.task_running x where x.runner_id = a.runner_id) as is_refused
              from kiln.runner a
              left join kiln.task_ready t on t.task_id = a.alone_task_id and t.interruptions >= 2
              left join kiln.queue q using (queue_id)
              left join kiln.queue_gate g using (queue_id)
             where a.ended_at is null and a.alone_task_id is not null
               and not exists (select from kiln.task_running x where x.task_id = a.alone_task_id and x.runner_id = a.runner_id)) w
     where r.runner_id = w.runner_id and (not w.is_waiting or w.is_refused);
    update kiln.runner r set alone_task_id = s.task_id, alone_at = kiln_internal.now()
      from (select distinct on (t.task_id) t.task_id, c.runner_id
              from kiln.task_ready t
              join kiln.queue q on q.queue_id = t.queue_id and not q.is_paused
              join kiln.runner c on c.ended_at is null and c.alone_task_id is null and t.queue_id = any (c.queue_ids)
              join kiln.heartbeat h on h.runner_id = c.runner_id and h.beat_at > kiln_internal.now() - (select g.lease from kiln.config g)
             cross join lateral (
                   select max(x.started_at + g.time_limit) as busy_until
                     from kiln.task_running x
                     join kiln.stage g on g.pipeline_version_id = x.pipeline_version_id and g.position = x.stage
                    where x.runner_id = c.runner_id) b
             where t.interruptions >= 2
               and not exists (select from kiln.runner x where x.ended_at is null and x.alone_task_id = t.task_id)
             order by t.task_id, c.alone_at > kiln_internal.now() - interval '1 minute' nulls first, b.busy_until nulls first, c.alone_at nulls first,
                   c.runner_id desc
             limit 1) s
     where r.runner_id = s.runner_id;
end
$$;
comment on function kiln_internal.reserve_suspects() is
'Reserves a task that two runners died with for one that lives (one a tick): it runs nothing else meanwhile. Frees runners whose suspect
is over, or whose queue is paused, and those that are idle and have not taken theirs for ten seconds.';

-- Limits of a queue: how many at once, and how many a minute.

-- One slot of a runner stays free for each other queue it serves, so that a full video queue never delays an
-- image.
create or replace function kiln_internal.allowance(p_slots int, p_queues int, p_limit int, p_busy int)
returns int
language sql immutable
return case when p_queues = 1 then p_limit
            else greatest(0, least(p_limit, greatest(1, p_slots - (p_queues - 1)) - p_busy)) end;
comment on function kiln_internal.allowance(int, int, int, int) is
'How many of p_limit tasks of one queue a runner may take that has p_slots slots, serves p_queues queues and
runs p_busy of this one.';

-- Limits are exact: claimers of a limited queue pass its limiter one by one, and what runs is counted in a
-- later statement than the one that waited (counting beside each other reached 15 at a limit of 5). Nothing
-- is kept that could leak.
create or replace function kiln_internal.limited_queues(p_queue_ids smallint[])
returns smallint[]
language plpgsql stable
set search_path = ''
as $$
begin
    return array(select q.queue_id from kiln.queue q
                  where q.queue_id = any (p_queue_ids)
                    and (q.max_running is not null or q.rate_per_minute is not null) order by q.queue_id);
end
$$;
comment on function kiln_internal.limited_queues(smallint[]) is
'Those of the queues that have a limit, in the order in which their limiters are locked.';

-- GCRA grants in any window of 60 s at most the burst and one for each spacing that fits into it: with this
-- spacing rate - burst of them fit, whether or not the ends of the window count.
create or replace function kiln_internal.queue_rate_step(p_rate_per_minute int, p_burst int)
returns interval
language sql immutable
return interval '60 seconds' / (p_rate_per_minute - p_burst + 1) + interval '1 millisecond';
comment on function kiln_internal.queue_rate_step(int, int) is
'The time between two starts at which no 60 seconds ever see more than p_rate_per_minute, a burst of p_burst
included.';

create or replace function kiln_internal.queue_places(p_queue kiln.queue,
                                                      p_theoretical_arrival_at timestamptz)
returns int
language plpgsql
as $$
begin
    return least(p_queue.max_running - (select count(*) from kiln.task_running t
                                         where t.queue_id = p_queue.queue_id),
                 case when p_queue.rate_per_minute is not null then
                     p_queue.rate_burst
                     - ceil(extract(epoch from greatest(p_theoretical_arrival_at, kiln_internal.now())
                                               - kiln_internal.now())
                            / extract(epoch from kiln_internal.queue_rate_step(p_queue.rate_per_minute,
                                                                               p_queue.rate_burst))) end);
end
$$;
comment on function kiln_internal.queue_places(kiln.queue, timestamptz) is
'How many tasks of a limited queue, whose limiter the caller holds, may start now; p_theoretical_arrival_at:
kiln.queue_limiter.theoretical_arrival_at. Volatile: it counts anew.';

create or replace function kiln_internal.claim_within_limits(
    p_runner_id bigint, p_queue_ids smallint[], p_limited_ids smallint[], p_slots int, p_limit int,
                                                             p_busy int[])
returns kiln_runner.claimed[]
language plpgsql
as $$
declare
    v_free    smallint[] := array(select q from unnest(p_queue_ids) q where q <> all (p_limited_ids));
    v_all     kiln_runner.claimed[] := '{}';
    v_taken   kiln_runner.claimed[];
    v_queue   kiln.queue;
    v_theoretical_arrival_at timestamptz;
    v_left    int;
begin
    if v_free <> '{}' then
        v_all := kiln_internal.claim_tasks(p_runner_id, v_free, p_slots, p_limit, p_busy);
    end if;
    for v_queue in
        select q.* from kiln.queue q where q.queue_id = any (p_limited_ids) and not q.is_paused
         order by q.queue_id
    loop
        v_left := kiln_internal.allowance(p_slots, cardinality(p_queue_ids), p_limit - cardinality(v_all),
                                          cardinality(array_positions(p_busy, v_queue.queue_id::int)));
        continue when v_left <= 0 or not exists (
            select from kiln.low_watermark f
             cross join lateral (select from kiln.task_ready r
                                  where r.queue_id = f.queue_id and r.priority = f.priority
                                    and r.virtual_time > f.virtual_time and r.interruptions < 2
                                  order by r.virtual_time limit 1) r
             where f.queue_id = v_queue.queue_id);
        select g.theoretical_arrival_at into v_theoretical_arrival_at from kiln.queue_limiter g
         where g.queue_id = v_queue.queue_id for update;
        continue when not found;        -- without its limiter nothing can be counted: the tick makes it anew
        -- as it is now that the limiter is ours
        select q.* into v_queue from kiln.queue q where q.queue_id = v_queue.queue_id;
        -- A quarantined task that is reserved, and waits for its runner to be idle, keeps its place: else
        -- others would always be quicker.
        v_left := least(v_left, kiln_internal.queue_places(v_queue, v_theoretical_arrival_at)
                                - (select count(*) from kiln.runner r
                                     join kiln.task_ready t on t.task_id = r.quarantined_task_id
                                    where r.ended_at is null and t.queue_id = v_queue.queue_id));
        continue when v_left <= 0;
        v_taken := kiln_internal.claim_tasks(p_runner_id, array[v_queue.queue_id], p_slots, v_left, '{}');
        v_all := v_all || v_taken;
        if v_queue.rate_per_minute is not null and v_taken <> '{}' then
            update kiln.queue_limiter g
               set theoretical_arrival_at
                   = greatest(v_theoretical_arrival_at, kiln_internal.now())
                     + cardinality(v_taken)
                       * kiln_internal.queue_rate_step(v_queue.rate_per_minute, v_queue.rate_burst)
             where g.queue_id = v_queue.queue_id;
        end if;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.claim_within_limits(bigint, smallint[], smallint[], int, int, int[]) is
'kiln_internal.claim_tasks() for a runner that serves limited queues: first the others, then these, each
within kiln.queue.max_running and its rate.';

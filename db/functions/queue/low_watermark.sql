-- Where claims begin.
create or replace function kiln_internal.advance_low_watermarks()
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_job bigint := coalesce((select s.last_value from pg_catalog.pg_sequences s
                               where s.schemaname = 'kiln' and s.sequencename = 'job_job_id_seq'), 0);
begin
    -- What was the lowest waiting turn one tick ago becomes the low watermark now: an enqueue that has its
    -- turn but has not committed yet is not overtaken. An empty queue's low watermark goes beyond all turns
    -- ever given. A row version is worth a hundred turns or ten seconds: that is also how much of a start a
    -- newcomer may have before the others.
    update kiln.low_watermark f
       set virtual_time = f.next_virtual_time,
           next_virtual_time = greatest(f.next_virtual_time, h.virtual_time),
           max_virtual_time = greatest(f.max_virtual_time, h.virtual_time,
                                       f.next_virtual_time) + v_job - f.seen_job + 2, seen_job = v_job,
           moved_at = kiln_internal.now()
      from (select g.queue_id, g.priority,
                   coalesce((select t.virtual_time - 1 from kiln.task_ready t
                              where t.queue_id = g.queue_id and t.priority = g.priority
                                and t.virtual_time > g.virtual_time and t.interruptions < 2
                              order by t.virtual_time
                              limit 1), greatest(g.max_virtual_time,
                                                g.next_virtual_time) + v_job - g.seen_job + 1) as virtual_time
              from kiln.low_watermark g) h
     where f.queue_id = h.queue_id and f.priority = h.priority
       and (h.virtual_time >= f.next_virtual_time + 100 or f.next_virtual_time >= f.virtual_time + 100
            or (h.virtual_time > f.next_virtual_time or f.next_virtual_time > f.virtual_time)
            and f.moved_at <= kiln_internal.now() - interval '10 seconds');
end
$$;
comment on function kiln_internal.advance_low_watermarks() is
'Publishes where claims begin: monotonic, one tick behind the lowest waiting turn.';

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
                    where q.queue_id = v_watermark.queue_id and q.priority = v_watermark.priority
                      and q.virtual_time <= v_watermark.virtual_time and q.interruptions < 2
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
'Lifts to the low watermark what was committed below it (an enqueue that took longer than a tick); only here
is anything looked for down there.';

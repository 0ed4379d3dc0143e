-- The wakeup. A NOTIFY takes a lock of the whole cluster at commit (enqueues fall to a quarter), so it
-- carries no data and is rung only where someone sleeps. The race that is left (someone falls asleep as we
-- look) is closed by the waiter, who looks again after 3, 30 and 300 ms and then each second.
create or replace function kiln_internal.notify_waiters(p_queue_ids smallint[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_work boolean;
    v_bus  boolean;
begin
    select bool_or(s.queue_ids && p_queue_ids), bool_or(s.is_bus) into v_work, v_bus from kiln.waiter s;
    if v_work then
        perform pg_catalog.pg_notify('kiln_work', '');
    end if;
    if v_bus then
        perform pg_catalog.pg_notify('kiln_event', '');
    end if;
end
$$;
comment on function kiln_internal.notify_waiters(smallint[]) is
'Rings kiln_work if a runner of one of these queues sleeps (null: none), and kiln_event if a realtime process
does.';

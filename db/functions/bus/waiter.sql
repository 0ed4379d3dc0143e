-- Falling asleep and waking up, for runners and for realtime processes. Written only when it changes
-- something.
create or replace function kiln_internal.add_waiter(p_name text, p_queue_ids smallint[], p_is_bus boolean)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    if not exists (select from kiln.waiter s where s.name = p_name) then
        insert into kiln.waiter (name, queue_ids, is_bus)
        values (p_name, coalesce(p_queue_ids, '{}'), p_is_bus) on conflict do nothing;
    end if;
end
$$;
comment on function kiln_internal.add_waiter(text, smallint[], boolean) is
'Asks for the wakeup. Look once more after the commit: who wrote just before did not see it.';

create or replace function kiln_internal.remove_waiter(p_name text)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    delete from kiln.waiter s where s.name = p_name;
end
$$;
comment on function kiln_internal.remove_waiter(text) is 'No wakeup is needed any more.';

-- A mark costs: every commit with an event rings, and rings wait for each other (half of all commits). So it
-- does not outlive its backend.
create or replace function kiln_internal.remove_gone_waiters()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    delete from kiln.waiter s where s.is_bus and not exists (select from pg_catalog.pg_stat_activity a
                                                              where 'bus:' || a.pid = s.name);
end
$$;
comment on function kiln_internal.remove_gone_waiters() is
'Takes back the marks of realtime processes whose backend is gone. Those of runners go with their lease.';

-- Ephemeral events: read like the log, and removed soon.
create or replace function kiln_internal.ephemeral_events_between(p_from pg_snapshot, p_until pg_snapshot)
returns setof kiln.ephemeral_event
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
    return query
    select w.* from (select * from kiln.ephemeral_event w
                      where w.xid >= pg_snapshot_xmax(p_from) and w.xid < pg_snapshot_xmax(p_until)
                     union all
                     select * from kiln.ephemeral_event w
                      where w.xid = any (array(select pg_snapshot_xip(p_from)))) w
     where pg_visible_in_snapshot(w.xid, p_until)
     order by w.ephemeral_event_id;
end
$$;
comment on function kiln_internal.ephemeral_events_between(pg_snapshot, pg_snapshot) is
'Ephemeral events that p_until sees and p_from did not, in order.';

create or replace function kiln_internal.purge_ephemeral_events()
returns void
language plpgsql security definer
set search_path = '' set enable_seqscan = off
as $$
begin
    delete from kiln.ephemeral_event w where w.at < kiln_internal.now() - interval '30 seconds';
    delete from kiln.typing t where t.at < kiln_internal.now() - interval '1 day';
end
$$;
comment on function kiln_internal.purge_ephemeral_events() is
'A maintenance job: drops what was emitted half a minute ago.';

-- Streams: who may listen, and the log from a position on.
--
-- A position is EPOCH.SNAPSHOT: everything visible in that snapshot was sent. The new events of a reader at P
-- are those that its present snapshot N sees and P did not: with xid >= xmax(P), or among the xids in
-- progress at P. Within a batch the position behind one event is EPOCH.P~N~ID, so that a break in mid-batch
-- resumes exactly. The epoch is the cluster, its timeline and the last restore: snapshots mean nothing
-- elsewhere.
--
-- plpgsql, whose plan lasts as long as its session: one in SQL is parsed anew by every statement that calls
-- it (0.35 ms of each read of the bus). The timeline is the one that is written, which after a promotion the
-- control file names only at the next checkpoint.
create or replace function kiln_internal.epoch()
returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return to_hex((select s.system_identifier from pg_control_system() s)) || '-'
        || case when pg_is_in_recovery() then (select c.timeline_id from pg_control_checkpoint() c)
                else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end
        || (select c.history from kiln.cluster c);
end
$$;
comment on function kiln_internal.epoch() is
'Names this cluster, its timeline and, after a restore, the history: positions of another are unknown here.';

-- After a crash PostgreSQL gives out again the transaction numbers of which nothing reached the disk: those
-- of aborted transactions and of those that wrote unlogged tables only (the waiters do). A position that
-- counts one of them as seen would hide the event that is written under it then; an immediate restart under
-- load lost one in two runs. So a position leaves only when the WAL is on disk up to the moment of its
-- snapshot. Under load others' commits share that flush; when all is quiet there is nothing to flush.
create or replace function kiln_internal.make_position_durable()
returns void
language plpgsql volatile
set search_path = ''
as $$
begin
    if pg_current_xact_id_if_assigned() is not null
       or pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn() then
        perform set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'kiln', '');
    end if;
end
$$;
comment on function kiln_internal.make_position_durable() is
'Has this transaction''s commit flush the WAL, so that no transaction number below the present snapshot''s end
is ever given out again.';

create or replace function kiln_api.bus_head()
returns text
language plpgsql volatile security definer
set search_path = ''
as $$
declare
    v_now pg_snapshot := pg_current_snapshot();
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if exists (select from kiln.waiter) then
        perform kiln_internal.remove_waiter('bus:' || pg_backend_pid());
    end if;
    perform kiln_internal.make_position_durable();
    return kiln_internal.epoch() || '.' || replace(v_now::text, ':', '_');
end
$$;
comment on function kiln_api.bus_head() is
'The position of a reader who has seen everything that is committed now. Takes this backend''s mark of
bus_read() back: who has no listener any more asks once, too.';

create or replace function kiln_internal.parse_position(p_position text, out snapshot pg_snapshot,
                                                        out until pg_snapshot, out after_id bigint)
language plpgsql stable
set search_path = ''
as $$
declare
    v_parts text[];
begin
    if length(p_position) > 4400 or split_part(p_position, '.', 1) <> kiln_internal.epoch() then
        raise exception 'this position is of another time or place' using errcode = 'KN013';
    end if;
    v_parts := string_to_array(replace(split_part(p_position, '.', 2), '_', ':'), '~');
    snapshot := v_parts[1]::pg_snapshot;
    if cardinality(v_parts) = 3 then
        until := v_parts[2]::pg_snapshot;
        after_id := v_parts[3]::bigint;
    elsif cardinality(v_parts) <> 1 then
        raise exception 'this is no position' using errcode = 'KN013';
    end if;
    if snapshot is null then        -- an epoch and nothing behind it
        raise exception 'this is no position' using errcode = 'KN013';
    end if;
    if kiln_internal.log_xid(pg_snapshot_xmin(snapshot))::text::bigint < (select l.xid from kiln.log_start l)
       or greatest(pg_snapshot_xmax(snapshot),
                   pg_snapshot_xmax(until)) > pg_snapshot_xmax(pg_current_snapshot()) then
        raise exception 'the log no longer reaches back to this position' using errcode = 'KN013';
    end if;
exception when invalid_text_representation or numeric_value_out_of_range then
    raise exception 'this is no position' using errcode = 'KN013';
end
$$;
comment on function kiln_internal.parse_position(text) is
'A stream position taken apart: all that `snapshot` saw was sent, and of what `until` saw beyond it the events
up to after_id. KN013: unknown or trimmed.';

-- What a reader at one snapshot has yet to see, as another sees it.
create or replace function kiln_internal.events_between(p_account_id bigint, p_from pg_snapshot,
                                                        p_until pg_snapshot, p_after_id bigint, p_limit int,
                                                        p_is_own boolean)
returns table (event_id bigint, account_id bigint, job_id bigint, version int, type kiln.event_type,
               data jsonb, at timestamptz)
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
    if p_account_id is null then
        return query
        select e.event_id, e.account_id, e.job_id, e.version, e.type, e.data, e.at
          from (select * from kiln.event e where e.xid >= kiln_internal.log_xid(pg_snapshot_xmax(p_from))
                   and e.xid < kiln_internal.log_xid(pg_snapshot_xmax(p_until))
                union all
                select * from kiln.event e where e.xid = any (array(select kiln_internal.log_xid(x)
                                                                      from pg_snapshot_xip(p_from) x))) e
         where pg_visible_in_snapshot(kiln_internal.cluster_xid(e.xid), p_until) and e.event_id > p_after_id
         order by e.event_id
         limit p_limit;
    else
        return query
        select e.event_id, e.account_id, e.job_id, e.version, e.type, e.data, e.at
          from (select * from kiln.event e where e.account_id = p_account_id
                   and e.xid >= kiln_internal.log_xid(pg_snapshot_xmax(p_from))
                   and e.xid < kiln_internal.log_xid(pg_snapshot_xmax(p_until))
                union all
                select * from kiln.event e where e.account_id = p_account_id
                   and e.xid = any (array(select kiln_internal.log_xid(x) from pg_snapshot_xip(p_from) x))) e
         where pg_visible_in_snapshot(kiln_internal.cluster_xid(e.xid), p_until) and e.event_id > p_after_id
           and not (p_is_own and e.type = 'session.ended')
         order by e.event_id
         limit p_limit;
    end if;
end
$$;
comment on function kiln_internal.events_between(bigint, pg_snapshot, pg_snapshot, bigint, int, boolean) is
'Events that p_until sees and p_from did not, of one account or (null) of all, with ids above p_after_id, in
order. An index seek, not a scan. An account''s own reader (p_is_own), who comes later, is not told of
sessions that ended.';

-- Restores: what a new timeline means, and what has to be done after a dump and restore (docs/backup.md).
create or replace function kiln_internal.record_timeline()
returns int
language plpgsql
set search_path = ''
as $$
declare
    v_timeline int := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int;
begin
    if not exists (select from kiln.timeline t where t.timeline = v_timeline) then
        insert into kiln.timeline (timeline, xid)
        values (v_timeline, pg_snapshot_xmax(pg_current_snapshot())::text::bigint) on conflict do nothing;
    end if;
    return v_timeline;
end
$$;
comment on function kiln_internal.record_timeline() is
'The timeline that is written now. The first call in a new one keeps where it began.';

create or replace function kiln_internal.record_old_timeline(p_account_id bigint, p_position text)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    v_epoch text[] := regexp_match(p_position,
        '^([0-9a-f]{1,16})-([0-9]{1,9})((?:-[0-9a-f]{8})?)\.([0-9]{1,18})_([0-9]{1,18})_[0-9,]*(?:~([0-9]{1,'
        '18})_([0-9]{1,18})_|$)');
    v_here  text[];
    v_xid   bigint;
    v_began bigint;
begin
    v_here := regexp_match(kiln_internal.epoch(), '^([0-9a-f]+)-([0-9]+)(.*)$');
    if v_epoch is null or (v_epoch[1], v_epoch[3]) <> (v_here[1], v_here[3])
       or v_epoch[2]::int >= v_here[2]::int then
        return false;
    end if;
    perform kiln_internal.record_timeline();
    v_xid := greatest(v_epoch[5]::bigint, v_epoch[7]::bigint);
    select min(t.xid) into v_began from kiln.timeline t where t.timeline > v_epoch[2]::int;
    if v_xid > v_began then
        insert into kiln.lost_position as l (account_id, timeline, xid, began_xid)
        values (coalesce(p_account_id, 0), v_epoch[2]::int, v_xid, v_began)
        on conflict (account_id) do update set timeline = excluded.timeline, xid = excluded.xid,
               began_xid = excluded.began_xid, seen_at = excluded.seen_at
         where excluded.xid > l.xid;
    end if;
    return true;
end
$$;
comment on function kiln_internal.record_old_timeline(bigint, text) is
'Whether a position is of an older timeline of this cluster. One that lies beyond the fork is kept in
kiln.lost_position: its client was told of what is gone.';

-- The quota of an accounts files.
create or replace function kiln_internal.media_room(p_account_id bigint)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_quota bigint;
    v_used  bigint;
begin
    -- One at a time for an account, and counted in a later statement than the lock: fifty at once do not all
    -- see the same room.
    perform from kiln.account a where a.account_id = p_account_id for no key update;
    select coalesce(a.media_quota_bytes, c.media_quota_bytes) into v_quota from kiln.account a
     cross join kiln.config c where a.account_id = p_account_id;
    select coalesce(sum(m.bytes), 0) into v_used from kiln.media m
     where m.account_id = p_account_id and m.state <> 'rejected';
    return v_quota - v_used - (select coalesce(sum(r.bytes), 0) from kiln.upload_session r
                                where r.account_id = p_account_id and r.until > kiln_internal.now()
                                  and not exists (select from kiln.media m
                                                   where m.media_id = r.media_id and m.state <> 'rejected'));
end
$$;
comment on function kiln_internal.media_room(bigint) is
'How many bytes an account''s quota of media has left; exact until the end of the transaction. What is
promised
counts, and what is being received although its promise was deleted, or without one.';

create or replace function kiln_internal.require_room(p_account_id bigint, p_bytes bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_room bigint := kiln_internal.media_room(p_account_id);
begin
    if p_bytes > v_room then
        raise exception 'there is no room for % bytes: % are left', p_bytes, greatest(v_room, 0)
            using errcode = 'KN016', hint = 'Delete uploads or generations.';
    end if;
end
$$;
comment on function kiln_internal.require_room(bigint, bigint) is
'Refuses (KN016) what would take an account beyond its quota of media; exact, however many ask at once. What
is promised counts.';

-- Who has a stream open, and with which process.

-- Presence: who is online is told to who shares a conversation, and kept in no log. All that writes it does
-- so one at a time (a row of kiln.mutex): the statements are short, there are few processes, and nobody is
-- told two states at once.
create or replace function kiln_internal.lock_presence(p_is_urgent boolean)
returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if not p_is_urgent then
        perform from kiln.mutex m where m.name = 'presence' for update skip locked;
        return found;
    end if;
    perform from kiln.mutex m where m.name = 'presence' for update;
    return true;
end
$$;
comment on function kiln_internal.lock_presence(boolean) is
'Makes this transaction the one that writes presence; false: another one does, and what was wanted can wait.';

create or replace function kiln_internal.is_listening(p_account_id bigint)
returns boolean
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return exists (select from kiln.audience a join kiln.instance i using (instance_id)
                    where a.account_id = p_account_id and i.ended_at is null);
end
$$;
comment on function kiln_internal.is_listening(bigint) is
'Whether a process that lives has a stream of this account.';

create or replace function kiln_internal.end_audience(p_instance_id bigint, p_at timestamptz)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_lost bigint[];
begin
    perform kiln_internal.lock_presence(true);
    with lost as (delete from kiln.audience a where a.instance_id = p_instance_id returning a.account_id)
    select array_agg(l.account_id) into v_lost from lost l;
    update kiln.presence p
       set seen_at = p_at, due_at = case when p.is_online
                                             then p_at + (select c.presence_grace from kiln.config c)
                                         else p.due_at end
     where p.account_id = any (v_lost);
end
$$;
comment on function kiln_internal.end_audience(bigint, timestamptz) is
'All streams of a process are gone since p_at. Whose clients are not back within the grace, with whichever
process, goes offline.';

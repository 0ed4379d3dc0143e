-- The server's processes among each other: who lives, and the pings that prove the bus.
create or replace function kiln_internal.serves(p_role kiln.server_role, p_wanted kiln.server_role)
returns boolean
language sql immutable
return p_role = p_wanted or p_role = 'both' or p_wanted = 'both';
comment on function kiln_internal.serves(kiln.server_role, kiln.server_role) is
'Whether a process in one role can answer for another.';

create or replace function kiln_internal.counterpart(p_role kiln.server_role)
returns kiln.server_role
language sql immutable
return case p_role when 'api' then 'realtime' when 'realtime' then 'api' else 'both' end::kiln.server_role;
comment on function kiln_internal.counterpart(kiln.server_role) is
'Whom a process asks to answer its pings: the other role.';

create or replace function kiln_internal.notify_instances(p_whom text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform pg_catalog.pg_notify('kiln_instance', p_whom);
end
$$;
comment on function kiln_internal.notify_instances(text) is
'Rings the processes of a role (there is a ping to answer) or one instance by its number (its ping was
answered). Only while one proves the bus.';

create or replace function kiln_internal.others_there(p_instance_id bigint, p_wanted kiln.server_role)
returns bigint[]
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return array(
        select i.instance_id from kiln.instance i
         where i.ended_at is null and i.instance_id <> p_instance_id
           and kiln_internal.serves(i.role, p_wanted)
           and i.beat_at > kiln_internal.now() - (select c.lease from kiln.config c));
end
$$;
comment on function kiln_internal.others_there(bigint, kiln.server_role) is
'The living instances but one that can answer for a role.';

create or replace function kiln_internal.expire_instances(p_instance_ids bigint[])
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    update kiln.instance i set ended_at = kiln_internal.now(), ended_why = 'expired'
     where i.instance_id = any (p_instance_ids);
    perform kiln_internal.end_audience(i.instance_id, i.beat_at) from kiln.instance i
     where i.instance_id = any (p_instance_ids);
end
$$;
comment on function kiln_internal.expire_instances(bigint[]) is
'Marks instances, which the caller has locked, as dead; whose streams they had are gone since their last
beat.';

-- Who is not heard of for a lease is dead: said by those whose own beats come in time, so that an outage of
-- the database, which makes every beat late, buries nobody. Nothing hangs on it but the view and who is
-- waited for, so a beat that comes later takes it back.
create or replace function kiln_internal.expire_silent_instances(p_instance_id bigint)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform kiln_internal.expire_instances(array(
        select d.instance_id from kiln.instance d
         where d.ended_at is null and d.instance_id <> p_instance_id
           and d.beat_at < kiln_internal.now() - (select c.lease from kiln.config c)
           for update skip locked));
end
$$;
comment on function kiln_internal.expire_silent_instances(bigint) is
'Marks as dead the instances but one that have not beaten for a lease.';

-- What a server process says of itself, and its pings. Not routes: the server calls these by itself.
create or replace function kiln_api.register_instance(p_role text, p_host text, p_pid int, p_port int,
                                                      p_version text)
returns bigint
language plpgsql volatile security definer
set search_path = ''
as $$
declare
    v_instance_id bigint;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    insert into kiln.instance (role, host, pid, port, version)
    values (p_role::kiln.server_role, p_host, p_pid, p_port, p_version)
    returning instance_id into v_instance_id;
    return v_instance_id;
end
$$;
comment on function kiln_api.register_instance(text, text, int, int, text) is
'Announces a server process; returns the number that its other calls carry.';

create or replace function kiln_api.beat_instance(p_instance_id bigint, p_sse int, p_websocket int,
                                                  p_poll int, p_memory_kib int, p_lag_ms int,
                                                  p_database_ms int)
returns text
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_before   timestamptz;
    v_was_dead boolean;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    -- a beat that a crash forgets is followed by the next
    perform set_config('synchronous_commit', 'off', true);
    select i.beat_at, i.ended_at is not null into v_before, v_was_dead from kiln.instance i
     where i.instance_id = p_instance_id;
    if not found then
        return 'unknown';
    end if;
    update kiln.instance i
       set beat_at = kiln_internal.now(), ended_at = null, ended_why = null, sse = p_sse,
           websocket = p_websocket, poll = p_poll,
           memory_kib = p_memory_kib, lag_ms = p_lag_ms, database_ms = p_database_ms
     where i.instance_id = p_instance_id;
    if v_before > kiln_internal.now() - 0.7 * (select c.lease from kiln.config c) then
        perform kiln_internal.expire_silent_instances(p_instance_id);
    end if;
    return case when v_was_dead then 'risen' when exists (select from kiln.presence p
                                                           where p.due_at <= kiln_internal.now()) then 'due'
                else 'alive' end;
end
$$;
comment on function kiln_api.beat_instance(bigint, int, int, int, int, int, int) is
'A sign of life, each other second, with how the process does. Silent others are marked dead on the way.
Answers alive; due: somebody''s presence is to be settled, call kiln_api.report_audience(); risen: it was
taken for dead, so tell all of its audience anew; unknown: register again.';

create or replace function kiln_api.end_instance(p_instance_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.instance i set ended_at = kiln_internal.now(), ended_why = 'left', sse = 0, websocket = 0,
           poll = 0
     where i.instance_id = p_instance_id and i.ended_at is null;
    if found then
        perform kiln_internal.end_audience(p_instance_id, kiln_internal.now());
    end if;
end
$$;
comment on function kiln_api.end_instance(bigint) is 'A process leaves in good order.';

-- One step of the proof. Ping n + 1 leaves when pong n is here, so each has the way to itself and its time is
-- the way's.
create or replace function kiln_api.prove_bus(p_instance_id bigint, out state text, out number int,
                                              out answered_by bigint, out answered_at text,
                                              out round_trip_ms numeric,
                                              out pongs int, out p50_ms numeric, out "by" text)
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    -- with an answer to one ping, and with others to come who start beside us
    c_patience constant interval := '2 seconds';
    v_me     kiln.instance;
    v_last   kiln.ping;
    v_wanted kiln.server_role;
begin
    perform set_config('synchronous_commit', 'off', true);
    select i.* into v_me from kiln.instance i where i.instance_id = p_instance_id;
    if not found or v_me.proof_at is not null then
        state := 'over';
        return;
    end if;
    v_wanted := kiln_internal.counterpart(v_me.role);
    state := 'waiting';
    select p.* into v_last from kiln.ping p where p.instance_id = p_instance_id order by p.number desc limit 1
       for update;
    if v_last.answered_by is null and v_last.sent_at > kiln_internal.now() - c_patience then
        if v_last.sent_at <= kiln_internal.now() - interval '200 milliseconds' then
            -- a wakeup was lost, or who should have answered has died
            perform kiln_internal.notify_instances(v_wanted::text);
        end if;
        return;
    elsif v_last.number is null and v_me.started_at > kiln_internal.now() - c_patience
       and kiln_internal.others_there(p_instance_id, v_wanted) = '{}' then
        return;
    end if;

    if v_last.number is not null then
        update kiln.ping p set ended_at = kiln_internal.now()
         where p.instance_id = p_instance_id and p.number = v_last.number;
        number := v_last.number;
        if v_last.answered_by is not null then
            answered_by := v_last.answered_by;
            round_trip_ms := round(extract(epoch from kiln_internal.now() - v_last.sent_at) * 1000, 1);
            select i.host || ':' || i.port into answered_at from kiln.instance i
             where i.instance_id = v_last.answered_by;
        end if;
    end if;
    -- for the next, and so that who answered hears how long it took
    perform kiln_internal.notify_instances(v_wanted::text);
    if coalesce(v_last.number, 0) < 10
       and (v_last.answered_by is not null
            or kiln_internal.others_there(p_instance_id, v_wanted) <> '{}') then
        insert into kiln.ping (instance_id, number, role)
        values (p_instance_id, coalesce(v_last.number, 0) + 1, v_wanted);
        return;
    end if;

    select count(p.answered_by),
           round((percentile_cont(0.5)
                      within group (order by extract(epoch from p.ended_at - p.sent_at) * 1000)
                  filter (where p.answered_by is not null))::numeric, 1)
      into pongs, p50_ms
      from kiln.ping p where p.instance_id = p_instance_id;
    update kiln.instance i
       set proof_at = kiln_internal.now(), proof_pongs = case when number is not null then pongs end,
           proof_ms = p50_ms,
           proof_by = array(select distinct p.answered_by from kiln.ping p
                             where p.instance_id = p_instance_id and p.answered_by is not null order by 1)
     where i.instance_id = p_instance_id
    returning array_to_string(i.proof_by, ',') into "by";
    state := case when pongs = 10 then 'proved' when number is null then 'alone' else 'broken' end;
end
$$;
comment on function kiln_api.prove_bus(bigint) is
'One step of the ten pings of an instance: takes the pong that is there (its number, who answered, how long it
took) and sends the next ping. waiting: come back when rung, and after 300 ms in any case. proved, broken,
alone: it is over, with its sums. over: it was before.';

-- The even share is a rule, not luck: who has answered more pings of this proof than another that lives
-- leaves the next one to that one, for 200 ms; then the other is taken for stuck.
create or replace function kiln_api.answer_ping(p_instance_id bigint)
returns table (is_new boolean, asker bigint, number int, round_trip_ms numeric)
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_role kiln.server_role;
    v_ping kiln.ping;
begin
    perform set_config('synchronous_commit', 'off', true);
    select i.role into v_role from kiln.instance i where i.instance_id = p_instance_id;
    select p.* into v_ping
      from kiln.ping p
     where p.answered_by is null and p.ended_at is null
       and p.sent_at > kiln_internal.now() - interval '10 seconds'
       and p.instance_id <> p_instance_id and kiln_internal.serves(v_role, p.role)
       and (p.sent_at <= kiln_internal.now() - interval '200 milliseconds'
            or (select count(*) from kiln.ping m where m.instance_id = p.instance_id
                   and m.answered_by = p_instance_id)
               <= coalesce((select min((select count(*) from kiln.ping o
                                         where o.instance_id = p.instance_id and o.answered_by = other))
                     from unnest(kiln_internal.others_there(p.instance_id, p.role)) as other
                             where other <> p_instance_id), 10))
     order by p.sent_at
     limit 1
       for update skip locked;
    if found then
        update kiln.ping p set answered_by = p_instance_id, answered_at = kiln_internal.now()
         where p.instance_id = v_ping.instance_id and p.number = v_ping.number;
        perform kiln_internal.notify_instances(v_ping.instance_id::text);
        is_new := true;
        asker := v_ping.instance_id;
        number := v_ping.number;
        return next;
    end if;
    return query
    update kiln.ping p set is_reported = true
     where p.answered_by = p_instance_id and p.ended_at is not null and not p.is_reported
    returning false, p.instance_id, p.number::int,
           round(extract(epoch from p.ended_at - p.sent_at) * 1000, 1);
end
$$;
comment on function kiln_api.answer_ping(bigint) is
'Answers at most one ping of another process (is_new: look again, there may be more), and tells how long the
way of earlier answers took, there and back.';

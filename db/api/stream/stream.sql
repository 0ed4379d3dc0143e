-- At most p_limit events a call: an announcement to a hundred thousand accounts is as many events of one
-- transaction, and the statement that rendered all of them never ended in time, so that every stream stood
-- still for ever. What is left of a batch is read from `rest`, up to the snapshot that the batch began with.
create or replace function kiln_api.bus_read(p_from text, p_is_idle boolean default false,
                                             p_is_watched boolean default false, p_limit int default 2000)
returns table (account_id bigint, "position" text, type text, data text, head text, place text, state text,
               latest text, rest text)
language plpgsql volatile security definer
set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
    v_name  text := 'bus:' || pg_backend_pid();
    v_epoch text := kiln_internal.epoch();
    v_from  record;
    v_now   pg_snapshot;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if p_is_idle then
        perform kiln_internal.add_waiter(v_name, '{}', true);
    elsif exists (select from kiln.waiter) then
        perform kiln_internal.remove_waiter(v_name);
    end if;
    v_from := kiln_internal.parse_position(p_from);
    v_now := coalesce(v_from.until, pg_current_snapshot());
    perform kiln_internal.make_position_durable();
    account_id := null; "position" := null; type := null; data := null;
    head := v_epoch || '.' || replace(v_now::text, ':', '_');
    return next;
    return query
    select e.account_id,
           -- The last event of its account in this batch stands for the whole snapshot; one before it says
           -- how far into the batch it is.
           v_epoch || '.' || replace(case when count(*) over () < p_limit
               and row_number() over (partition by e.account_id order by e.event_id desc) = 1 then v_now::text
                                          else v_from.snapshot || '~' || v_now || '~' || e.event_id end, ':',
                                     '_'),
           e.type::text,
           kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at),
           null::text,
           -- Who watches all accounts has seen all of them up to this event, and of nobody's batch more.
           case when p_is_watched then v_epoch || '.'
                || replace(v_from.snapshot || '~' || v_now || '~' || e.event_id, ':', '_') end,
           case when p_is_watched then kiln_internal.event_state(e.type) end,
           case when e.type = 'job.progress' then e.job_id::text end,
           case when count(*) over () >= p_limit and e.event_id = max(e.event_id) over ()
                then v_epoch || '.' || replace(v_from.snapshot || '~' || v_now || '~' || e.event_id, ':',
                                               '_') end
      from kiln_internal.events_between(null, v_from.snapshot, v_now, coalesce(v_from.after_id, 0), p_limit,
                                        false) e
     order by e.event_id;
    if v_from.until is null then        -- the first of a batch: what is emitted does not wait for all of it
        return query
        select w.account_id, null::text, w.type,
               (jsonb_build_object('type', w.type, 'at', kiln_internal.render_time(w.at)) || w.data)::text,
               null::text, null::text, null::text, null::text, null::text
          from kiln_internal.ephemeral_events_between(v_from.snapshot, v_now) w;
    end if;
end
$$;
comment on function kiln_api.bus_read(text, boolean, boolean, int) is
'The events since a position, of all accounts, in order, at most p_limit; first a row with only `head`, the
position that the batch leads to; if there is more of the batch, the last event''s row has `rest`, from where
to read on before anything else is read; last what is only emitted, without a position. p_is_idle: marks
this backend asleep, so that the next event rings kiln_event. p_is_watched: with what a reader of all accounts
needs too, its position (place) and the job''s state. latest: of events with the same word here only the
latest matters, as long as none of them has left. KN013: unknown or trimmed position.';

create or replace function kiln_api.bus_replay(p_account_id bigint, p_from text, p_upto text, p_limit int)
returns table ("position" text, type text, data text)
language plpgsql volatile security definer
set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
    v_epoch text := kiln_internal.epoch();
    v_from  record;
    v_upto  pg_snapshot := (kiln_internal.parse_position(p_upto)).snapshot;
    v_sent  int := 0;
begin
    if split_part(p_from, '.', 1) <> v_epoch and kiln_internal.record_old_timeline(p_account_id, p_from) then
        "position" := p_upto; type := 'reset'; data := kiln_internal.render_reset();
        return next;
        return;
    end if;
    v_from := kiln_internal.parse_position(p_from);
    -- First the rest of a batch that was broken off, then all that came after it.
    if v_from.until is not null then
        return query
        select v_epoch || '.' || replace(v_from.snapshot || '~' || v_from.until || '~' || e.event_id, ':',
                                         '_'), e.type::text,
               kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at)
          from kiln_internal.events_between(p_account_id, v_from.snapshot, v_from.until, v_from.after_id,
                                            p_limit, true) e
         order by e.event_id;
        get diagnostics v_sent = row_count;
        v_from.snapshot := v_from.until;
    end if;
    if v_sent < p_limit then
        return query
        select v_epoch || '.' || replace(v_from.snapshot || '~' || v_upto || '~' || e.event_id, ':', '_'),
               e.type::text,
               kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at)
          from kiln_internal.events_between(p_account_id, v_from.snapshot, v_upto, 0, p_limit - v_sent,
                                            true) e
         order by e.event_id;
    end if;
end
$$;
comment on function kiln_api.bus_replay(bigint, text, text, int) is
'One account''s events between a position and the pump''s, in order, at most p_limit; as many as that: ask
again from the last row''s position. A position of an older timeline of this cluster: one row `reset`. KN013:
unknown or trimmed position: send a reset.';

-- The same for who watches all accounts, or one, with a filter. A call looks at p_limit events, whatever the
-- filter leaves of them, so that a filter that nothing passes costs no more than one that all pass.
create or replace function kiln_api.watch_replay(p_account_id bigint, p_kinds text, p_states text,
                                                 p_from text, p_upto text, p_limit int)
returns table ("position" text, type text, data text)
language plpgsql volatile security definer
set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
    v_epoch   text := kiln_internal.epoch();
    v_from    record;
    v_upto    pg_snapshot := (kiln_internal.parse_position(p_upto)).snapshot;
    v_until   pg_snapshot;
    v_event   record;
    v_seen    int := 0;
    v_is_told boolean := true;
begin
    if split_part(p_from, '.', 1) <> v_epoch and kiln_internal.record_old_timeline(p_account_id, p_from) then
        "position" := p_upto; type := 'reset'; data := kiln_internal.render_reset();
        return next;
        return;
    end if;
    v_from := kiln_internal.parse_position(p_from);
    for v_until in select u from unnest(array[v_from.until, v_upto]) as u where u is not null
    loop
        for v_event in
            select * from kiln_internal.events_between(p_account_id, v_from.snapshot, v_until,
                                                       coalesce(v_from.after_id, 0), p_limit - v_seen,
                                                       false) e order by e.event_id
        loop
            v_seen := v_seen + 1;
            "position" := v_epoch || '.' || replace(v_from.snapshot || '~' || v_until || '~'
                                                    || v_event.event_id, ':', '_');
            v_is_told := (p_kinds is null or strpos(p_kinds, ',' || v_event.type || ',') > 0)
                         and (p_states is null
                              or coalesce(strpos(p_states, ',' || kiln_internal.event_state(v_event.type)
                                                 || ','), 0) > 0);
            if v_is_told then
                type := v_event.type;
                data := '{"account_id": "' || v_event.account_id || '", '
                        || substr(kiln_internal.render_event(v_event.type, v_event.job_id, v_event.version,
                                                             v_event.data, v_event.at), 2);
                return next;
            end if;
        end loop;
        exit when v_seen >= p_limit;
        v_from.snapshot := v_until;
        v_from.after_id := 0;
    end loop;
    type := null;
    data := case when v_seen >= p_limit then 'more' end;
    if not v_is_told or data is not null then
        return next;
    end if;
end
$$;
comment on function kiln_api.watch_replay(bigint, text, text, text, text, int) is
'The events of all accounts (null) or one between a position and the pump''s, in order, of the next p_limit
those that pass the filters (lists with a comma before and behind each word, or null). A last row without a
type says how far it looked, and `more` if there is more. KN013: send a reset.';

create or replace function kiln_api.open_watch(p_actor bigint, p_path jsonb, p_query jsonb, p_body text,
                                               out actor bigint, out account_id bigint, out kinds text,
                                               out states text)
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_kinds  text[] := string_to_array(p_query ->> 'kind', ',');
    v_states text[] := string_to_array(p_query ->> 'state', ',');
begin
    perform kiln_internal.require_admin(p_actor);
    if v_kinds = '{}' or not v_kinds <@ enum_range(null::kiln.event_type)::text[] then
        raise exception 'kind must be a list of %', array_to_string(enum_range(null::kiln.event_type), ', ')
            using errcode = 'KN006';
    elsif v_states = '{}' or not v_states <@ enum_range(null::kiln.job_state)::text[] then
        raise exception 'state must be a list of %', array_to_string(enum_range(null::kiln.job_state), ', ')
            using errcode = 'KN006';
    -- no account is 0, which to the server means all
    elsif p_query ->> 'account' !~ '^[1-9][0-9]{0,17}$' then
        raise exception 'account must be the id of an account' using errcode = 'KN006';
    end if;
    actor := p_actor;
    account_id := (p_query ->> 'account')::bigint;
    kinds := ',' || array_to_string(v_kinds, ',') || ',';
    states := ',' || array_to_string(v_states, ',') || ',';
end
$$;
comment on function kiln_api.open_watch(bigint, jsonb, jsonb, text) is
'GET /admin/events?kind=&state=&account=: may this actor watch everybody''s events, and which? KN004: no
admin; KN006: no such kind or state.';

create or replace function kiln_api.open_stream(p_actor bigint)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    return p_actor;
end
$$;
comment on function kiln_api.open_stream(bigint) is
'May this actor listen? Returns the account whose events it gets.';

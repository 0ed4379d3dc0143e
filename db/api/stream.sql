-- Streams: who may listen, and the log from a position on.
--
-- A position is EPOCH.SNAPSHOT: everything visible in that snapshot was sent. The new events of a reader at P are those that its
-- present snapshot N sees and P did not: with xid >= xmax(P), or among the xids in progress at P. Within a batch the position
-- behind one event is EPOCH.P~N~ID, so that a break in mid-batch resumes exactly. The epoch is the cluster, its timeline and the last restore:
-- snapshots mean nothing elsewhere.
--
-- plpgsql, whose plan lasts as long as its session: one in SQL is parsed anew by every statement that calls it (0.35 ms of each read of the
-- bus). The timeline is the one that is written, which after a promotion the control file names only at the next checkpoint.
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
comment on function kiln_internal.epoch() is 'Names this cluster, its timeline and, after a restore, the history: positions of another are unknown here.';

-- After a crash PostgreSQL gives out again the transaction numbers of which nothing reached the disk: those of aborted transactions and of
-- those that wrote unlogged tables only (the waiters do). A position that counts one of them as seen would hide the event that is written
-- under it then; an immediate restart under load lost one in two runs. So a position leaves only when the WAL is on disk up to the
-- moment of its snapshot. Under load others' commits share that flush; when all is quiet there is nothing to flush.
create or replace function kiln_internal.make_position_durable()
returns void
language plpgsql volatile
set search_path = ''
as $$
begin
    if pg_current_xact_id_if_assigned() is not null or pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn() then
        perform set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'kiln', '');
    end if;
end
$$;
comment on function kiln_internal.make_position_durable() is
'Has this transaction''s commit flush the WAL, so that no transaction number below the present snapshot''s end is ever given out again.';

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
comment on function kiln_api.bus_head() is 'The position of a reader who has seen everything that is committed now. Takes this backend''s mark of bus_read() back: who has no listener any more asks once, too.';

create or replace function kiln_internal.parse_position(p_position text, out snapshot pg_snapshot, out until pg_snapshot, out after_id bigint)
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
       or greatest(pg_snapshot_xmax(snapshot), pg_snapshot_xmax(until)) > pg_snapshot_xmax(pg_current_snapshot()) then
        raise exception 'the log no longer reaches back to this position' using errcode = 'KN013';
    end if;
exception when invalid_text_representation or numeric_value_out_of_range then
    raise exception 'this is no position' using errcode = 'KN013';
end
$$;
comment on function kiln_internal.parse_position(text) is
'A stream position taken apart: all that `snapshot` saw was sent, and of what `until` saw beyond it the events up to after_id. KN013: unknown or trimmed.';

-- What a reader at one snapshot has yet to see, as another sees it.
create or replace function kiln_internal.events_between(p_account_id bigint, p_from pg_snapshot, p_until pg_snapshot, p_after_id bigint, p_limit int, p_is_own boolean)
returns table (event_id bigint, account_id bigint, job_id bigint, version int, type kiln.event_type, data jsonb, at timestamptz)
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
    if p_account_id is null then
        return query
        select e.event_id, e.account_id, e.job_id, e.version, e.type, e.data, e.at
          from (select * from kiln.event e where e.xid >= kiln_internal.log_xid(pg_snapshot_xmax(p_from)) and e.xid < kiln_internal.log_xid(pg_snapshot_xmax(p_until))
                union all
                select * from kiln.event e where e.xid = any (array(select kiln_internal.log_xid(x) from pg_snapshot_xip(p_from) x))) e
         where pg_visible_in_snapshot(kiln_internal.cluster_xid(e.xid), p_until) and e.event_id > p_after_id
         order by e.event_id
         limit p_limit;
    else
        return query
        select e.event_id, e.account_id, e.job_id, e.version, e.type, e.data, e.at
          from (select * from kiln.event e where e.account_id = p_account_id and e.xid >= kiln_internal.log_xid(pg_snapshot_xmax(p_from)) and e.xid < kiln_internal.log_xid(pg_snapshot_xmax(p_until))
                union all
                select * from kiln.event e where e.account_id = p_account_id and e.xid = any (array(select kiln_internal.log_xid(x) from pg_snapshot_xip(p_from) x))) e
         where pg_visible_in_snapshot(kiln_internal.cluster_xid(e.xid), p_until) and e.event_id > p_after_id and not (p_is_own and e.type = 'session.ended')
         order by e.event_id
         limit p_limit;
    end if;
end
$$;
comment on function kiln_internal.events_between(bigint, pg_snapshot, pg_snapshot, bigint, int, boolean) is
'Events that p_until sees and p_from did not, of one account or (null) of all, with ids above p_after_id, in order. An index seek, not a scan.
An account''s own reader (p_is_own), who comes later, is not told of sessions that ended.';

create or replace function kiln_internal.render_event(p_type kiln.event_type, p_job_id bigint, p_version int, p_data jsonb, p_at timestamptz)
returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job   kiln.job;
    v_stage text;
    v_media kiln.media;
    v_json  jsonb;
begin
    if p_job_id is null then
        v_json := jsonb_build_object('type', p_type, 'at', kiln_internal.render_time(p_at));
        if p_data ? 'media_id' then
            select m.* into v_media from kiln.media m where m.media_id = (p_data ->> 'media_id')::bigint;
            v_json := v_json || p_data || case when found then jsonb_build_object('media', kiln_internal.render_media(v_media)) else '{}' end;
        elsif p_data ? 'conversation_id' then
            v_json := v_json || kiln_internal.render_chat_event(p_data);
        elsif p_type in ('notification', 'notification.read') and p_data ? 'to' then
            v_json := v_json || kiln_internal.render_notification_event(p_data);
        else
            v_json := v_json || coalesce(p_data, '{}');
        end if;
        return v_json::text;
    end if;

    select j.* into v_job from kiln.job j where j.job_id = p_job_id;
    v_json := jsonb_build_object('type', p_type, 'job_id', p_job_id::text, 'kind', v_job.kind, 'media_type', v_job.media_type,
        'state', kiln_internal.event_state(p_type),
        'version', p_version, 'at', kiln_internal.render_time(p_at));
    if p_type = 'job.progress' then
        select s.name into v_stage from kiln.stage s
         where s.pipeline_version_id = v_job.pipeline_version_id and s.position = (p_data ->> 'stage')::int;
        v_json := v_json || jsonb_build_object('progress', jsonb_build_object(
            'fraction', round((((p_data ->> 'stage')::int - 1 + coalesce((p_data ->> 'fraction')::numeric, 0)) / v_job.stages), 3),
            'stage', (p_data ->> 'stage')::int, 'stages', v_job.stages, 'label', coalesce(p_data ->> 'label', v_stage)));
    elsif p_data ? 'code' then
        v_json := v_json || jsonb_build_object('error', p_data);
    elsif p_type = 'job.completed' then
        select m.* into v_media from kiln.media m
         where m.media_id = case when v_job.output -> 'media' ->> 0 ~ '^[0-9]{1,18}$' then (v_job.output -> 'media' ->> 0)::bigint end
           and m.account_id = v_job.account_id;
        v_json := v_json || jsonb_build_object('result_url', case when found then kiln_internal.media_link(v_media.media_id) end,
            'thumbnail_url', case when v_media.thumbnail_key is not null then kiln_internal.media_link(v_media.media_id, 'thumbnail') end);
    end if;
    return v_json::text;
end
$$;
comment on function kiln_internal.render_event(kiln.event_type, bigint, int, jsonb, timestamptz) is 'An event as the stream sends it: one line of JSON, with signed links.';

-- Of which state of a job an event tells; null for others.
create or replace function kiln_internal.event_state(p_type kiln.event_type)
returns text
language sql stable
return case p_type when 'job.started' then 'running' when 'job.progress' then 'running'
                   else case when p_type::text like 'job.%' then substr(p_type::text, 5) end end;
comment on function kiln_internal.event_state(kiln.event_type) is 'The state of the job after an event of this type; null where it is about no job.';

-- At most p_limit events a call: an announcement to a hundred thousand accounts is as many events of one transaction, and the statement that
-- rendered all of them never ended in time, so that every stream stood still for ever. What is left of a batch is read from `rest`, up to the
-- snapshot that the batch began with.
create or replace function kiln_api.bus_read(p_from text, p_is_idle boolean default false, p_is_watched boolean default false, p_limit int default 2000)
returns table (account_id bigint, "position" text, type text, data text, head text, place text, state text, latest text, rest text)
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
           -- The last event of its account in this batch stands for the whole snapshot; one before it says how far into the batch it is.
           v_epoch || '.' || replace(case when count(*) over () < p_limit and row_number() over (partition by e.account_id order by e.event_id desc) = 1 then v_now::text
                                          else v_from.snapshot || '~' || v_now || '~' || e.event_id end, ':', '_'),
           e.type::text,
           kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at),
           null::text,
           -- Who watches all accounts has seen all of them up to this event, and of nobody's batch more.
           case when p_is_watched then v_epoch || '.' || replace(v_from.snapshot || '~' || v_now || '~' || e.event_id, ':', '_') end,
           case when p_is_watched then kiln_internal.event_state(e.type) end,
           case when e.type = 'job.progress' then e.job_id::text end,
           case when count(*) over () >= p_limit and e.event_id = max(e.event_id) over ()
                then v_epoch || '.' || replace(v_from.snapshot || '~' || v_now || '~' || e.event_id, ':', '_') end
      from kiln_internal.events_between(null, v_from.snapshot, v_now, coalesce(v_from.after_id, 0), p_limit, false) e
     order by e.event_id;
    if v_from.until is null then        -- the first of a batch: what is emitted does not wait for all of it
        return query
        select w.account_id, null::text, w.type, (jsonb_build_object('type', w.type, 'at', kiln_internal.render_time(w.at)) || w.data)::text, null::text, null::text, null::text, null::text, null::text
          from kiln_internal.ephemeral_events_between(v_from.snapshot, v_now) w;
    end if;
end
$$;
comment on function kiln_api.bus_read(text, boolean, boolean, int) is
'The events since a position, of all accounts, in order, at most p_limit; first a row with only `head`, the position that the batch leads to; if there is
more of the batch, the last event''s row has `rest`, from where to read on before anything else is read;
last what is only emitted, without a position. p_is_idle: marks
this backend asleep, so that the next event rings kiln_event. p_is_watched: with what a reader of all accounts needs too, its position (place)
and the job''s state. latest: of events with the same word here only the latest matters, as long as none of them has left. KN013: unknown or trimmed position.';

-- Clients of a former timeline of this cluster are told so by a row and not by an error, which would take back what was noted.
create or replace function kiln_internal.render_reset()
returns text
language sql stable
return jsonb_build_object('type', 'reset', 'at', kiln_internal.render_time(kiln_internal.now()))::text;
comment on function kiln_internal.render_reset() is 'What a stream says where it cannot go on from the position that was handed in.';

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
        select v_epoch || '.' || replace(v_from.snapshot || '~' || v_from.until || '~' || e.event_id, ':', '_'), e.type::text,
               kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at)
          from kiln_internal.events_between(p_account_id, v_from.snapshot, v_from.until, v_from.after_id, p_limit, true) e
         order by e.event_id;
        get diagnostics v_sent = row_count;
        v_from.snapshot := v_from.until;
    end if;
    if v_sent < p_limit then
        return query
        select v_epoch || '.' || replace(v_from.snapshot || '~' || v_upto || '~' || e.event_id, ':', '_'), e.type::text,
               kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at)
          from kiln_internal.events_between(p_account_id, v_from.snapshot, v_upto, 0, p_limit - v_sent, true) e
         order by e.event_id;
    end if;
end
$$;
comment on function kiln_api.bus_replay(bigint, text, text, int) is
'One account''s events between a position and the pump''s, in order, at most p_limit; as many as that: ask again from the last row''s position.
A position of an older timeline of this cluster: one row `reset`. KN013: unknown or trimmed position: send a reset.';

-- The same for who watches all accounts, or one, with a filter. A call looks at p_limit events, whatever the filter leaves of them, so that
-- a filter that nothing passes costs no more than one that all pass.
create or replace function kiln_api.watch_replay(p_account_id bigint, p_kinds text, p_states text, p_from text, p_upto text, p_limit int)
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
            select * from kiln_internal.events_between(p_account_id, v_from.snapshot, v_until, coalesce(v_from.after_id, 0), p_limit - v_seen, false) e order by e.event_id
        loop
            v_seen := v_seen + 1;
            "position" := v_epoch || '.' || replace(v_from.snapshot || '~' || v_until || '~' || v_event.event_id, ':', '_');
            v_is_told := (p_kinds is null or strpos(p_kinds, ',' || v_event.type || ',') > 0)
                         and (p_states is null or coalesce(strpos(p_states, ',' || kiln_internal.event_state(v_event.type) || ','), 0) > 0);
            if v_is_told then
                type := v_event.type;
                data := '{"account_id": "' || v_event.account_id || '", '
                        || substr(kiln_internal.render_event(v_event.type, v_event.job_id, v_event.version, v_event.data, v_event.at), 2);
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
'The events of all accounts (null) or one between a position and the pump''s, in order, of the next p_limit those that pass the filters (lists with a
comma before and behind each word, or null). A last row without a type says how far it looked, and `more` if there is more. KN013: send a reset.';

create or replace function kiln_api.open_watch(p_actor bigint, p_path jsonb, p_query jsonb, p_body text, out actor bigint, out account_id bigint, out kinds text, out states text)
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_kinds  text[] := string_to_array(p_query ->> 'kind', ',');
    v_states text[] := string_to_array(p_query ->> 'state', ',');
begin
    perform kiln_internal.require_admin(p_actor);
    if v_kinds = '{}' or not v_kinds <@ enum_range(null::kiln.event_type)::text[] then
        raise exception 'kind must be a list of %', array_to_string(enum_range(null::kiln.event_type), ', ') using errcode = 'KN006';
    elsif v_states = '{}' or not v_states <@ enum_range(null::kiln.job_state)::text[] then
        raise exception 'state must be a list of %', array_to_string(enum_range(null::kiln.job_state), ', ') using errcode = 'KN006';
    elsif p_query ->> 'account' !~ '^[1-9][0-9]{0,17}$' then      -- no account is 0, which to the server means all
        raise exception 'account must be the id of an account' using errcode = 'KN006';
    end if;
    actor := p_actor;
    account_id := (p_query ->> 'account')::bigint;
    kinds := ',' || array_to_string(v_kinds, ',') || ',';
    states := ',' || array_to_string(v_states, ',') || ',';
end
$$;
comment on function kiln_api.open_watch(bigint, jsonb, jsonb, text) is
'GET /admin/events?kind=&state=&account=: may this actor watch everybody''s events, and which? KN004: no admin; KN006: no such kind or state.';

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
comment on function kiln_api.open_stream(bigint) is 'May this actor listen? Returns the account whose events it gets.';

create or replace function kiln_api.create_ticket(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body jsonb := kiln_internal.parse_body(p_body);
begin
    perform kiln_internal.require_actor(p_actor);
    return kiln_internal.make_ticket(p_actor, to_timestamp(least((v_body ->> 'token_expires_at')::bigint, 253402300799)));   -- year 9999: to_timestamp() has an end
end
$$;
comment on function kiln_api.create_ticket(bigint, jsonb, jsonb, text) is
'POST /stream-tickets: {ticket, expires_at}; the body, made by the server, tells when the token ends: {token_expires_at}.';

create or replace function kiln_internal.make_ticket(p_account_id bigint, p_until timestamptz)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_ticket  text := encode(kiln_extensions.gen_random_bytes(32), 'hex');
    v_key     bigint := nullif(current_setting('kiln.api_key_id', true), '')::bigint;
    v_expires timestamptz := least(p_until, kiln_internal.now() + (select c.stream_ticket_ttl from kiln.config c),
                                   (select k.expires_at from kiln.api_key k where k.api_key_id = v_key));
begin
    insert into kiln.stream_ticket (ticket_hash, account_id, expires_at, api_key_id, scopes)
    values (sha256(convert_to(v_ticket, 'UTF8')), p_account_id, v_expires, v_key, nullif(current_setting('kiln.scopes', true), '')::kiln.scope[]);
    return json_build_object('ticket', v_ticket, 'expires_at', kiln_internal.render_time(v_expires));
end
$$;
comment on function kiln_internal.make_ticket(bigint, timestamptz) is 'A random ticket for streams, of which only the hash is kept. One that was made with an API key ends with it.';

create or replace function kiln_api.use_ticket(p_ticket text, out account_id bigint, out expires_at bigint)
language plpgsql stable security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    select t.account_id, extract(epoch from t.expires_at)::bigint into account_id, expires_at
      from kiln.stream_ticket t
      join kiln.account a using (account_id)
     where t.ticket_hash = sha256(convert_to(p_ticket, 'UTF8')) and t.expires_at > kiln_internal.now() and not a.is_suspended;
    if not found then
        raise exception 'this ticket is not valid, or not any more' using errcode = 'KN008';
    end if;
end
$$;
comment on function kiln_api.use_ticket(text) is 'Whose streams a ticket opens and until when (seconds since 1970). It may be used again until then. KN008: not valid.';

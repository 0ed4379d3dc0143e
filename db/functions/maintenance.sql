-- The maintenance jobs that tidy up. (Which there are and how often: kiln.maintenance.)

-- Partitions: made apart and then attached, so that writers wait for a moment only; dropped whole under a short lock time-out,
-- and tried again a minute later where someone is in the way.
create or replace function kiln_internal.maintain_partitions()
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    c_span   constant bigint := 20000000;
    v_config kiln.config;
    v_xid    bigint := kiln_internal.log_xid(pg_current_xact_id())::text::bigint;
    v_oldest bigint := kiln_internal.log_xid(pg_snapshot_xmin(pg_current_snapshot()))::text::bigint;
    v_from   bigint;
    v_week   date;
    v_name   text;
    v_part   record;
    v_newest timestamptz;
    v_wait   text := current_setting('lock_timeout');
begin
    if kiln_internal.is_restored() then
        return;             -- where the log goes on is not known before kiln.after_restore()
    end if;
    select * into v_config from kiln.config;
    perform set_config('lock_timeout', '50ms', true);
    foreach v_from in array array[v_xid / c_span * c_span, (v_xid / c_span + 1) * c_span]
    loop
        v_name := 'event_x' || v_from;
        continue when to_regclass('kiln.' || v_name) is not null;
        begin
            execute format('create table kiln.%I (like kiln.event including all)', v_name);
            perform kiln_internal.guard_truncate_of(format('kiln.%I', v_name)::regclass);
            execute format('comment on table kiln.%I is %L', v_name, format('Events of transactions %s to %s.', v_from, v_from + c_span - 1));
            execute format('alter table kiln.event attach partition kiln.%I for values from (%L) to (%L)', v_name, v_from, v_from + c_span);
        exception when lock_not_available or check_violation then
            null;           -- someone is in the way, or the default partition has rows of this range already: they stay there
        end;
    end loop;
    foreach v_week in array array[date_trunc('week', kiln_internal.now())::date, (date_trunc('week', kiln_internal.now()) + interval '7 days')::date]
    loop
        v_name := 'attempt_w' || to_char(v_week, 'YYYYMMDD');
        continue when to_regclass('kiln.' || v_name) is not null;
        begin
            execute format('create table kiln.%I (like kiln.attempt including all)', v_name);
            perform kiln_internal.guard_truncate_of(format('kiln.%I', v_name)::regclass);
            execute format('comment on table kiln.%I is %L', v_name, format('Attempts that ended in the week of %s.', v_week));
            execute format('alter table kiln.attempt attach partition kiln.%I for values from (%L) to (%L)', v_name, v_week, v_week + 7);
        exception when lock_not_available or check_violation then
            null;
        end;
    end loop;
    -- The end of each part stands in its name. A part of the log may go when all that it can hold is past and old: while a transaction of its
    -- range is open, every snapshot begins there, and a log that began behind it would answer each position, the newest too, by a reset.
    for v_part in
        select c.relname::text as name, 'event' as parent, substr(c.relname, 8)::bigint + c_span as ends
          from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'kiln.event'::regclass and c.relname ~ '^event_x[0-9]+$'
        union all
        select c.relname::text, 'attempt', null
          from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'kiln.attempt'::regclass and c.relname ~ '^attempt_w[0-9]{8}$'
         order by 2, 3
    loop
        if v_part.parent = 'event' then
            continue when v_part.ends > v_oldest;
            execute format('select at from kiln.%I order by xid desc, event_id desc limit 1', v_part.name) into v_newest;
            continue when v_newest >= kiln_internal.now() - v_config.event_keep;
        else
            continue when to_date(right(v_part.name, 8), 'YYYYMMDD') + 7 >= kiln_internal.now() - v_config.attempt_keep;
        end if;
        begin
            execute format('drop table kiln.%I', v_part.name);
            if v_part.parent = 'event' then
                update kiln.log_start set xid = v_part.ends where xid < v_part.ends;
            end if;
        exception when lock_not_available then
            null;           -- a minute later again
        end;
    end loop;
    perform set_config('lock_timeout', v_wait, true);
end
$$;
comment on function kiln_internal.maintain_partitions() is 'Makes the next partitions of events and attempts and drops those that are older than kiln.config says.';

-- By the thousand, the oldest first: what has piled up, while nothing ran the timer for a month, costs each tick no more than a moment.
-- A tick that passes its time limit would begin anew with the same, for ever.
create or replace function kiln_internal.purge_expired()
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    c_most constant int := 5000;
begin
    delete from kiln.idempotency i
     where i.ctid = any (array(
               select o.ctid from kiln.idempotency o where o.created_at < kiln_internal.now() - interval '24 hours'
               limit c_most for update skip locked));
    delete from kiln.stream_ticket t
     where t.ctid = any (array(
               select o.ctid from kiln.stream_ticket o where o.expires_at < kiln_internal.now()
               limit c_most for update skip locked));
    delete from kiln.delivery d
     where d.ctid = any (array(
               select o.ctid from kiln.delivery o where o.ended_at < kiln_internal.now() - interval '30 days'
               limit c_most for update skip locked));
    update kiln.delivery d
       set state = 'failed', ended_at = kiln_internal.now(), claimed_until = null, why = coalesce(d.why, 'No runner with KILN_SMTP_URL was there in three days.')
     where d.ctid = any (array(select o.ctid from kiln.delivery o
                                where o.target = 0 and o.state = 'due' and o.created_at < kiln_internal.now() - interval '3 days'
                                  and coalesce(o.claimed_until, '-infinity') < kiln_internal.now()
                                limit c_most for update skip locked));
    delete from kiln.mail_recipient r
     where r.ctid = any (array(select o.ctid from kiln.mail_recipient o
                                where o.day < (kiln_internal.now() at time zone 'UTC')::date - 1 and o.suppressed_at is null limit c_most for update skip locked));
    delete from kiln.nonce n
     where n.ctid = any (array(
               select o.ctid from kiln.nonce o where o.expires_at < kiln_internal.now()
               limit c_most for update skip locked));
    delete from kiln.account_rate r
     where r.ctid = any (array(
               select o.ctid from kiln.account_rate o where o.theoretical_arrival_at < kiln_internal.now() - interval '1 hour'
               limit c_most for update skip locked));
    delete from kiln.upload_session r
     where r.ctid = any (array(
               select o.ctid from kiln.upload_session o where o.until < kiln_internal.now() - interval '1 hour'
               limit c_most for update skip locked));
    delete from kiln.media m
     where m.ctid = any (array(select o.ctid from kiln.media o
                                where o.state = 'uploading' and o.created_at < kiln_internal.now() - (select c.upload_ttl from kiln.config c) - interval '1 hour'
                                limit c_most for update skip locked));
    delete from kiln.job j
     where j.job_id = any (array(
               select w.job_id from (select u.job_id, u.finished_at from kiln.job u where u.kind = 'upload' order by u.job_id limit 1000) w
                where w.finished_at < kiln_internal.now() - interval '7 days'));
    delete from kiln.unmatched_webhook w
     where w.ctid = any (array(
               select o.ctid from kiln.unmatched_webhook o where o.at < kiln_internal.now() - interval '7 days'
               limit c_most for update skip locked));
    delete from kiln.runner r where r.ended_at < kiln_internal.now() - interval '7 days';
    perform kiln_internal.expire_instances(array(select i.instance_id from kiln.instance i where i.ended_at is null and i.beat_at < kiln_internal.now() - interval '1 minute' for update skip locked));
    delete from kiln.instance i where i.ended_at < kiln_internal.now() - interval '7 days';
end
$$;
comment on function kiln_internal.purge_expired() is 'Removes what has had its time: idempotency keys after a day, tickets, nonces, rates at rest, abandoned uploads, checks of uploads that ended a week ago, deliveries of a month ago, mail that nobody could send in three days, runners and servers that ended a week ago, orphan webhooks.';

-- By the key and so many: what it costs does not grow with the history.
create or replace function kiln_internal.measure_models()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    insert into kiln.model_use (model_id, jobs, completed, took_ms, measured_at)
    select m.model_id, count(j.model_id), count(j.took_ms), percentile_cont(0.5) within group (order by j.took_ms)::bigint, kiln_internal.now()
      from kiln.model m
      left join (select j.model_id,
                        case j.state when 'completed' then extract(epoch from j.finished_at - j.started_at) * 1000 end as took_ms
                   from kiln.job j order by j.job_id desc limit 10000) j using (model_id)
     group by m.model_id
    on conflict (model_id) do update
       set jobs = excluded.jobs, completed = excluded.completed, took_ms = excluded.took_ms, measured_at = excluded.measured_at;
end
$$;
comment on function kiln_internal.measure_models() is 'Counts the newest 10,000 jobs by model, and how long those that are done took: kiln.model_use.';

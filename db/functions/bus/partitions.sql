-- The maintenance jobs that tidy up. (Which there are and how often: kiln.maintenance.)

-- Partitions: made apart and then attached, so that writers wait for a moment only; dropped whole under a
-- short lock time-out, and tried again a minute later where someone is in the way.
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
            execute format('comment on table kiln.%I is %L', v_name,
                           format('Events of transactions %s to %s.', v_from, v_from + c_span - 1));
            execute format('alter table kiln.event attach partition kiln.%I for values from (%L) to (%L)',
                           v_name, v_from, v_from + c_span);
        exception when lock_not_available or check_violation then
            -- someone is in the way, or the default partition has rows of this range already: they stay there
            null;
        end;
    end loop;
    foreach v_week in array array[date_trunc('week', kiln_internal.now())::date,
                                  (date_trunc('week', kiln_internal.now()) + interval '7 days')::date]
    loop
        v_name := 'attempt_w' || to_char(v_week, 'YYYYMMDD');
        continue when to_regclass('kiln.' || v_name) is not null;
        begin
            execute format('create table kiln.%I (like kiln.attempt including all)', v_name);
            perform kiln_internal.guard_truncate_of(format('kiln.%I', v_name)::regclass);
            execute format('comment on table kiln.%I is %L', v_name,
                           format('Attempts that ended in the week of %s.', v_week));
            execute format('alter table kiln.attempt attach partition kiln.%I for values from (%L) to (%L)',
                           v_name, v_week, v_week + 7);
        exception when lock_not_available or check_violation then
            null;
        end;
    end loop;
    -- The end of each part stands in its name. A part of the log may go when all that it can hold is past and
    -- old: while a transaction of its range is open, every snapshot begins there, and a log that began behind
    -- it would answer each position, the newest too, by a reset.
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
            execute format('select at from kiln.%I order by xid desc, event_id desc limit 1',
                           v_part.name) into v_newest;
            continue when v_newest >= kiln_internal.now() - v_config.event_keep;
        else
            continue when to_date(right(v_part.name, 8),
                                  'YYYYMMDD') + 7 >= kiln_internal.now() - v_config.attempt_keep;
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
comment on function kiln_internal.maintain_partitions() is
'Makes the next partitions of events and attempts and drops those that are older than kiln.config says.';

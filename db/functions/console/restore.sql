-- Calls that were open when the backup was made: sent, perhaps, and their answers went elsewhere. They are
-- looked up where that can be done, and else held; never sent again, whatever powers the provider has.
create or replace function kiln_internal.mark_open_calls_unknown(p_why text)
returns int
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_open     record;
    v_task     kiln.task;
    v_job      kiln.job;
    v_stage    kiln.stage;
    v_provider kiln.provider;
    v_call     kiln.call;
    v_lost     int := 0;
begin
    for v_open in
        select c.call_id, c.task_id, c.job_id, c.provider_id from kiln.call c
         where c.settled_at is null and c.state = 'open' order by c.task_id
    loop
        v_task := kiln_internal.lock_task(v_open.task_id);
        select p.* into v_provider from kiln.provider p where p.provider_id = v_open.provider_id;
        -- made once more by whoever claims it next
        continue when v_task.task_id is null or not v_provider.is_paid;
        select j.* into v_job from kiln.job j where j.job_id = v_open.job_id for no key update;
        select s.* into v_stage from kiln.stage s where s.pipeline_version_id = v_task.pipeline_version_id
           and s.position = v_task.stage;
        update kiln.call c
           set state = 'unknown', why = p_why,
               expires_at = greatest(c.timeout_at, kiln_internal.now()) + interval '1 day'
         where c.call_id = v_open.call_id
        returning c.* into v_call;
        v_lost := v_lost + 1;
        delete from kiln.deferred_task p where p.task_id = v_task.task_id;
        perform kiln_internal.schedule_poll(v_call, v_task, v_job, v_stage, v_provider,
                                            greatest(v_call.timeout_at - kiln_internal.now(), '0'));
        if v_provider.lookup is not null then
            update kiln.task t set state = 'waiting', due_at = 'infinity', error_class = 'lookup',
                   error_message = p_why || format(' Provider %s is asked about it.', v_provider.name)
             where t.task_id = v_task.task_id and t.state in ('ready', 'waiting', 'running');
        else
            update kiln.task t set state = 'held', error_class = 'unknown',
                   error_message = p_why
                   || format(' Whether %s has it, and charges it, cannot be known here.', v_provider.name)
             where t.task_id = v_task.task_id and t.state in ('ready', 'waiting', 'running');
        end if;
    end loop;
    return v_lost;
end
$$;
comment on function kiln_internal.mark_open_calls_unknown(text) is
'Marks each open call of a paid provider as unknown; its task waits for the look-up, or is held. Returns how
many.';

create or replace function kiln_internal.hold_possibly_paid_tasks(p_why text)
returns int
language plpgsql
set search_path = ''
as $$
declare
    v_versions int[];
    v_held     bigint[];
begin
    v_versions := array(select s.pipeline_version_id from kiln.stage s
                          join kiln.provider p on p.name = s.config ->> 'provider'
                         where s.handler = 'http' and p.is_paid);
    with held as (
        update kiln.task t set state = 'held', error_class = 'unknown', error_message = p_why
         where t.state in ('ready', 'waiting', 'running') and t.pipeline_version_id = any (v_versions)
           and exists (select from kiln.stage s join kiln.provider p on p.name = s.config ->> 'provider'
                        where s.pipeline_version_id = t.pipeline_version_id and s.position >= t.stage
                          and s.handler = 'http' and p.is_paid)
           and not exists (select from kiln.call c where c.task_id = t.task_id
                              and (c.settled_at is null or c.outcome = 'succeeded'))
        returning t.task_id)
    select array_agg(h.task_id) into v_held from held h;
    delete from kiln.deferred_task p where p.task_id = any (v_held);
    return coalesce(cardinality(v_held), 0);
end
$$;
comment on function kiln_internal.hold_possibly_paid_tasks(text) is
'Holds unfinished work that comes to a paid stage and of which no call is known: after the backup it may have
been paid. Returns how many tasks.';

-- Ids that were given away after the backup are never given again: a stale runner''s fence, a signed link, a
-- client''s cache would take the new thing for the old.
create or replace function kiln_internal.skip_ids()
returns void
language plpgsql
set search_path = ''
as $$
declare
    c_skipped constant bigint := 100000000;
begin
    perform setval(format('%I.%I', s.schemaname, s.sequencename)::regclass,
                   coalesce(s.last_value, 0) + c_skipped)
       from pg_catalog.pg_sequences s
      where s.schemaname = 'kiln' and s.data_type = 'bigint'::regtype;
    -- to kiln_internal.advance_low_watermarks() ids are turns
    update kiln.low_watermark f set seen_job = f.seen_job + c_skipped;
end
$$;
comment on function kiln_internal.skip_ids() is
'Moves every sequence of ids, and the fence, ahead by a hundred million.';

create or replace function kiln.after_restore(p_nothing_ran boolean default false,
                                              p_by_hand boolean default false)
returns table (what text, count bigint, outcome text)
language plpgsql security definer
set search_path = ''
as $$
declare
    c_why      constant text := 'The database was restored from a backup.';
    v_now      pg_snapshot := pg_current_snapshot();        -- before this transaction writes
    v_here     bigint := (select s.system_identifier from pg_catalog.pg_control_system() s);
    v_before   kiln.cluster;
    v_restored boolean;
    v_last     bigint;
    v_table    regclass;
    v_runners  bigint;
    v_old      bigint := 0;
    v_made     bigint := 0;
    v_due      bigint := 0;
    v_calls    bigint := 0;
    v_held     bigint := 0;
    v_released bigint := 0;
    v_findings jsonb;
begin
    -- a second one waits here, and finds nothing to do
    select c.* into v_before from kiln.cluster c for update;
    v_restored := kiln_internal.is_restored();
    if not v_restored and not p_by_hand then
        return query values ('nothing', 0::bigint,
                             'This database is at home in this cluster: there is nothing to do.');
        return;
    elsif not v_restored and (exists (select from kiln.heartbeat h
                                       where h.beat_at > kiln_internal.now() - (select c.lease
                                                        from kiln.config c))
                              or exists (select from kiln.instance i
                                          where i.ended_at is null
                                            and i.beat_at > kiln_internal.now() - (select c.lease
                                                        from kiln.config c))) then
        raise exception 'programs are running on this database: stop them first'
            using errcode = 'KN001', hint = 'kiln.runners and kiln.instances show which.';
    end if;

    -- What had happened and was not yet made into deliveries is, where all was in order; the log is still
    -- read by the old numbers.
    update kiln.outgoing o set cluster = v_here::text where o.from_snapshot is not null;
    select count(*) into v_made from kiln.delivery;
    while p_nothing_ran and kiln_internal.make_deliveries(5000, '4611686018427387905:4611686018427387905:')
    loop
    end loop;
    select count(*) - v_made into v_made from kiln.delivery;

    if v_restored then
        v_last := greatest(kiln_internal.xid_base(), (select l.xid from kiln.log_start l),
                           (select e.xid::text::bigint from kiln.event e order by e.xid desc limit 1),
                           (select v.xid::text::bigint from kiln.pipeline_version v order by v.xid desc
                             limit 1));
        execute format('create or replace function kiln_internal.xid_base() returns bigint language sql '
                       'stable parallel safe return %s::bigint', v_last);
        select count(*) into v_old from (select from kiln.event limit 1000001) e;
    end if;
    insert into kiln.cluster as c (system_identifier, relation, history)
    values (v_here, 'kiln.cluster'::regclass, '-' || encode(kiln_extensions.gen_random_bytes(4), 'hex'))
    on conflict (only_row) do update set system_identifier = excluded.system_identifier,
           relation = excluded.relation, history = excluded.history;
    delete from kiln.timeline;
    delete from kiln.lost_position;
    perform kiln_internal.record_timeline();
    update kiln.outgoing set from_snapshot = v_now, until_snapshot = null, after_id = 0
     where from_snapshot is not null;
    perform kiln_internal.check_cluster();
    -- before the first event: what lies in the default part is in the way of another
    perform kiln_internal.maintain_partitions();

    -- What is not logged means nothing here; pg_dump brings it along.
    for v_table in
        select c.oid from pg_catalog.pg_class c where c.relnamespace = 'kiln'::regnamespace
           and c.relkind = 'r' and c.relpersistence = 'u'
    loop
        execute format('delete from %s', v_table);
    end loop;

    -- Nobody who is in the backup is here.
    update kiln.runner set ended_at = kiln_internal.now(), ended_why = 'expired' where ended_at is null;
    get diagnostics v_runners = row_count;
    delete from kiln.heartbeat;
    perform kiln_internal.expire_instances(array(select i.instance_id from kiln.instance i
                                                  where i.ended_at is null));
    delete from kiln.ping p where p.ended_at is null;

    v_calls := kiln_internal.mark_open_calls_unknown(c_why || ' The answer to the request went elsewhere.');
    if not p_nothing_ran then
        v_held := kiln_internal.hold_possibly_paid_tasks(c_why
                                          || ' Whether this was paid since the backup cannot be known here.');
        update kiln.delivery d set state = 'failed', ended_at = kiln_internal.now(), claimed_until = null,
               why = c_why || ' Whether this was sent since the backup cannot be known here.'
         where d.state = 'due';
        get diagnostics v_due = row_count;
        delete from kiln.stream_ticket;
        delete from kiln.nonce;
        perform kiln_internal.skip_ids();
    else
        update kiln.delivery d set claimed_until = null where d.claimed_until is not null;
    end if;
    update kiln.task t set state = 'ready', error_class = 'released', error_message = c_why
     where t.state = 'running';
    get diagnostics v_released = row_count;

    v_findings := jsonb_build_array(
        jsonb_build_object('what', 'events', 'count', v_old,
                           'outcome', case when v_old > 1000000 then 'and more '
                                           else '' end || 'are history: no stream, webhook or mail tells '
                                                          'of them.'),
        jsonb_build_object('what', 'runners', 'count', v_runners,
                           'outcome', 'were registered; they are gone.'),
        jsonb_build_object('what', 'tasks released', 'count', v_released,
                           'outcome', 'were running, and are run again.'),
        jsonb_build_object('what', 'calls', 'count', v_calls,
                           'outcome', 'were open at paid providers: looked up or held, not sent again.'),
        jsonb_build_object('what', 'tasks held', 'count', v_held,
                           'outcome', 'may have been paid since the backup: see kiln.restore_findings.'),
        jsonb_build_object('what', 'deliveries', 'count', v_due,
                           'outcome', 'were due, and may have been sent since: see kiln.restore_findings.'),
        jsonb_build_object('what', 'deliveries made', 'count', v_made,
                           'outcome', 'tell of what happened before the backup and had not been told.'));
    insert into kiln.restore (former_identifier, system_identifier, xid_base, nothing_ran, keeps_files,
                              findings)
    values (coalesce(v_before.system_identifier, 0), v_here, coalesce(v_last, kiln_internal.xid_base()),
            p_nothing_ran, not p_nothing_ran, v_findings);
    return query
    select f.* from jsonb_to_recordset(v_findings) as f (what text, count bigint, outcome text);
end
$$;
comment on function kiln.after_restore(boolean, boolean) is
'Prepares a restored database for service, in one transaction. Its events become history, positions of
streams are reset, and deliveries continue from now.
Work that may have been done since the backup is not repeated: due deliveries end, open calls are looked up
or held, unfinished work at a paid stage is held, and ids jump by a hundred million. kiln.restore_findings
lists it.
p_nothing_ran: nothing ran since the backup was made, so all of that continues. p_by_hand: also for a
database that does not look restored, such as a copy of the disk. A second call does nothing.';

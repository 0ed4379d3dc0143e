-- Progress of a task, as its jobs owner sees it.
create or replace function kiln_internal.emit_progress(p_task kiln.task, p_label text,
                                                       p_is_emitted boolean default true,
                                                       p_fraction real default null)
returns void
language plpgsql
as $$
begin
    update kiln.task_waiting t set label = kiln_internal.shorten(p_label, 200), fraction = p_fraction
     where t.task_id = p_task.task_id;
    if p_is_emitted then
        insert into kiln.event (account_id, job_id, version, type, data)
        select j.account_id, j.job_id, j.version, 'job.progress',
               jsonb_strip_nulls(jsonb_build_object('stage', p_task.stage, 'fraction', p_fraction,
                                                    'label', kiln_internal.shorten(p_label, 200)))
          from kiln.job j
         where j.job_id = p_task.job_id;
        if exists (select from kiln.waiter) then
            perform kiln_internal.notify_waiters(null);
        end if;
    end if;
end
$$;
comment on function kiln_internal.emit_progress(kiln.task, text, boolean, real) is
'Says what a waiting task waits for: in its label, and where p_is_emitted in the log. The job is locked
already.';

create or replace function kiln_runner.progress(p_task_id bigint, p_fence bigint, p_fraction float8,
                                                p_label text default null)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_job_id bigint;
    v_stage  smallint;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    update kiln.task_running t set fraction = least(greatest(p_fraction, 0), 1),
           label = kiln_internal.shorten(p_label, 200)
     where t.task_id = p_task_id and t.fence = p_fence
    returning t.job_id, t.stage into v_job_id, v_stage;
    if not found then
        perform kiln_internal.refuse_stale(p_task_id, p_fence);
    end if;
    -- The job's row first, so that within a job the order of ids is the order of commits.
    with locked as (
        select j.account_id, j.job_id, j.version from kiln.job j where j.job_id = v_job_id for no key update)
    insert into kiln.event (account_id, job_id, version, type, data)
    select l.account_id, l.job_id, l.version, 'job.progress',
           jsonb_build_object('stage', v_stage, 'fraction', least(greatest(p_fraction, 0), 1),
                              'label', kiln_internal.shorten(p_label, 200))
      from locked l;
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_runner.progress(bigint, bigint, float8, text) is
'How far a task is, 0 to 1, and what it is doing. At most twice a second a task; the last wins. KN010: no
longer this runner''s.';

-- Tasks whose time has come, and those that are past theirs.
create or replace function kiln_internal.ready_due_tasks(p_limit int)
returns int
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_task_ids bigint[];
begin
    v_task_ids := array(
        select t.task_id from kiln.task_waiting t where t.due_at <= kiln_internal.now() order by t.due_at
         limit p_limit for update skip locked);
    if v_task_ids <> '{}' then
        update kiln.task t set state = 'ready' where t.state = 'waiting' and t.task_id = any (v_task_ids);
    end if;
    return cardinality(v_task_ids);
end
$$;
comment on function kiln_internal.ready_due_tasks(int) is
'Readies up to p_limit waiting tasks whose time has come.';

create or replace function kiln_internal.fail_overdue(p_limit int)
returns int
language plpgsql security definer
set search_path = ''
as $$
declare
    v_task kiln.task;
    v_all  int := 0;
begin
    for v_task in
        select t.* from kiln.task t
         where t.state = 'running'
           and t.started_at + (select s.time_limit from kiln.stage s
                                where s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage)
               < kiln_internal.now() - (select c.task_grace from kiln.config c)
         limit p_limit
           for no key update skip locked
    loop
        perform kiln_internal.fail_task(v_task, 'timeout',
                                        'Its time limit passed and its runner did not stop it.');
        v_all := v_all + 1;
    end loop;
    return v_all;
end
$$;
comment on function kiln_internal.fail_overdue(int) is
'Fails, as timeouts, running tasks whose runner lives but has not ended them in time.';

-- The end of work. A batch is all or nothing; the fence stands on the task's own row, so that the check is made on the very
-- row that is locked, however long the lock was waited for.
create or replace function kiln_runner.complete(p_task_id bigint, p_fence bigint, p_output text default '{}')
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    update kiln.task t set state = 'done', output = p_output::jsonb
     where t.task_id = p_task_id and t.fence = p_fence and t.state = 'running';
    if not found then
        perform kiln.refuse_stale(p_task_id, p_fence);
    end if;
end
$$;
comment on function kiln_runner.complete(bigint, bigint, text) is
'A task is done; p_output is a JSON object, the next stage''s input. KN010: the task is no longer this runner''s; drop the work.';

create or replace function kiln.refuse_stale(p_task_id bigint, p_fence bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'task % is no longer held under fence %: %', p_task_id, p_fence,
        coalesce((select case when t.state = 'running' then 'another claim has fence ' || t.fence else 'it is ' || t.state end
                    from kiln.task t where t.task_id = p_task_id), 'there is no such task')
        using errcode = 'KN010', hint = 'Drop the work: its outcome is someone else''s to report.';
end
$$;
comment on function kiln.refuse_stale(bigint, bigint) is 'Raises KN010 and says what became of the task.';

create or replace function kiln_runner.cycle(
    p_runner_id bigint,
    p_task_ids  bigint[],
    p_fences    bigint[],
    p_outputs   text[],
    p_limit     int,
    p_busy      int[]   default '{}',
    p_is_idle   boolean default false)
returns setof kiln_runner.claimed
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_done int;
begin
    if cardinality(p_task_ids) > 0 then
        update kiln.task t set state = 'done', output = u.output::jsonb
          from unnest(p_task_ids, p_fences, p_outputs) as u (task_id, fence, output)
         where t.task_id = u.task_id and t.fence = u.fence and t.state = 'running';
        get diagnostics v_done = row_count;
        if v_done <> cardinality(p_task_ids) then
            raise exception '% of % tasks are no longer this runner''s: nothing was recorded', cardinality(p_task_ids) - v_done, cardinality(p_task_ids)
                using errcode = 'KN010', hint = 'Report each alone with kiln_runner.complete(); the stale ones are refused one by one.';
        end if;
    end if;
    if not p_is_idle then
        perform kiln.wake('runner:' || p_runner_id);
    else
        perform kiln.sleep('runner:' || p_runner_id, (select r.queue_ids from kiln.runner r where r.runner_id = p_runner_id), false);
        perform kiln_runner.tick(p_runner_id);
    end if;
    if p_limit > 0 then
        return query select * from kiln_runner.claim(p_runner_id, p_limit, p_busy);
    end if;
end
$$;
comment on function kiln_runner.cycle(bigint, bigint[], bigint[], text[], int, int[], boolean) is
'Completes a batch and claims up to p_limit more in one transaction: one round trip, one commit. All or nothing: if one
completion is stale (KN010) nothing was recorded. p_is_idle: nothing to do here; mark the runner asleep (NOTIFY kiln_work
will ring) and tick. Returns what was claimed.';

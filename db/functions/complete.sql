-- The end of work: from running to done, the history, the next stage or the end of the job. A batch is all or nothing; the
-- fence stands on the task's own row, so that the check is made on the very row that is locked.
--
-- Plain statements that find their rows by key, over arrays: the same code for one task and for a hundred. One statement with all of
-- this in CTEs took twice as long for one task, and a join with unnest() may be planned as a scan of everything that runs.
create or replace function kiln.finish_tasks(p_task_ids bigint[], p_fences bigint[], p_outputs text[])
returns int
language plpgsql
as $$
declare
    v_done int;
begin
    insert into kiln.task_ended (task_id, job_id, vt, fence, runner_id, started_at, created_at, finished_at, pipeline_version_id, state,
                                 queue_id, priority, stage, slot, attempts, interruptions, output)
    select t.task_id, t.job_id, t.vt, t.fence, t.runner_id, t.started_at, t.created_at, kiln.now(), t.pipeline_version_id, 'done',
           t.queue_id, t.priority, t.stage, t.slot, t.attempts + 1, t.interruptions,
           p_outputs[array_position(p_task_ids, t.task_id)]::kiln.json_object
      from kiln.task_running t
     where t.task_id = any (p_task_ids) and t.fence = any (p_fences)
       for update;
    get diagnostics v_done = row_count;
    if v_done < cardinality(p_task_ids) then
        return v_done;      -- the caller refuses, and nothing of this stays
    end if;
    delete from kiln.task_running t where t.task_id = any (p_task_ids);

    insert into kiln.attempt (fence, task_id, job_id, runner_id, started_at, stage, attempt, outcome)
    select t.fence, t.task_id, t.job_id, t.runner_id, t.started_at, t.stage, t.attempts, 'done'
      from kiln.task_ended t
     where t.task_id = any (p_task_ids);
    perform kiln.hand_over(p_task_ids);
    return v_done;
end
$$;
comment on function kiln.finish_tasks(bigint[], bigint[], text[]) is
'Ends running tasks as done. Returns how many still carried their fence; if that is fewer than all, the caller must raise.';

-- The next stage, or the end of the job. The UPDATE of the job waits for whoever holds it (a cancel) and then decides on what it
-- finds: a job that is being cancelled gets no next stage; a last stage that is done completes it all the same, since the
-- result is there.
--
-- Jobs are found by their own keys, and what is wanted of a task by a look at its key (LIMIT keeps that from becoming a join): a
-- join of the two that was planned while the tables were all but empty, or never analyzed, read all jobs by their index, and
-- stayed in force as they grew.
create or replace function kiln.hand_over(p_task_ids bigint[])
returns void
language plpgsql
as $$
declare
    v_job_ids bigint[] := array(select t / 10000 from unnest(p_task_ids) as t);
    v_next    int;
begin
    update kiln.job j
       set state       = case when j.stage = j.stages then 'completed' when j.state = 'cancelling' then 'cancelled' else 'running' end::kiln.job_state,
           stage       = case when j.stage < j.stages and j.state <> 'cancelling' then j.stage + 1 else j.stage end,
           version     = case when j.stage < j.stages and j.state = 'running' then j.version else j.version + 1 end,
           finished_at = case when j.stage = j.stages or j.state = 'cancelling' then kiln.now() end,
           error_code    = case when j.stage < j.stages and j.state = 'cancelling' then 'cancelled' end,
           error_message = case when j.stage < j.stages and j.state = 'cancelling' then 'Cancelled.' end,
           output      = case when j.stage = j.stages then (select d.output from kiln.task_ended d where d.task_id = kiln.task_id(j.job_id, j.stages)) end
     where j.job_id = any (v_job_ids) and j.state in ('running', 'cancelling', 'held') and kiln.task_id(j.job_id, j.stage) = any (p_task_ids);

    insert into kiln.task_ready (task_id, job_id, vt, pipeline_version_id, queue_id, priority, stage)
    select kiln.task_id(j.job_id, j.stage), j.job_id, greatest(d.vt, f.vt + 1), j.pipeline_version_id, s.queue_id, j.priority, j.stage
      from kiln.job j
     cross join lateral (select d.vt from kiln.task_ended d where d.task_id = kiln.task_id(j.job_id, j.stage - 1) limit 1) d
     cross join lateral (select s.queue_id from kiln.stage s where s.pipeline_version_id = j.pipeline_version_id and s.position = j.stage limit 1) s
     cross join lateral (select f.vt from kiln.floor f where f.queue_id = s.queue_id and f.priority = j.priority limit 1) f
     where j.job_id = any (v_job_ids) and j.state = 'running' and kiln.task_id(j.job_id, j.stage - 1) = any (p_task_ids);
    get diagnostics v_next = row_count;

    if v_next > 0 then
        insert into kiln.event (account_id, job_id, version, type, data)
        select j.account_id, j.job_id, j.version, 'job.progress', jsonb_build_object('stage', j.stage)
          from kiln.job j
         where j.job_id = any (v_job_ids) and j.state = 'running' and kiln.task_id(j.job_id, j.stage - 1) = any (p_task_ids);
        if exists (select from kiln.sleeper) then
            perform kiln.ring(array(
                select distinct t.queue_id from kiln.task_ready t
                 where t.task_id = any (array(select u + 100 from unnest(p_task_ids) as u))));
        end if;
    end if;
end
$$;
comment on function kiln.hand_over(bigint[]) is
'For tasks that are done: gives their jobs the next stage''s task, or completes (or, where it was being cancelled, cancels) them.';

create or replace function kiln_runner.complete(p_task_id bigint, p_fence bigint, p_output text default '{}')
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
    if kiln.finish_tasks(array[p_task_id], array[p_fence], array[p_output]) = 0 then
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
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_done int;
begin
    if cardinality(p_task_ids) > 0 then
        v_done := kiln.finish_tasks(p_task_ids, p_fences, p_outputs);
        if v_done <> cardinality(p_task_ids) then
            raise exception '% of % tasks are no longer this runner''s: nothing was recorded', cardinality(p_task_ids) - v_done, cardinality(p_task_ids)
                using errcode = 'KN010', hint = 'Report each alone with kiln_runner.complete(); the stale ones are refused one by one.';
        end if;
    end if;
    if not p_is_idle then
        if exists (select from kiln.sleeper) then
            perform kiln.wake('runner:' || p_runner_id);
        end if;
    else
        perform kiln.sleep('runner:' || p_runner_id, (select r.queue_ids from kiln.runner r where r.runner_id = p_runner_id), false);
        perform kiln_runner.tick(p_runner_id);
    end if;
    if p_limit > 0 then
        return query select * from kiln.claim(p_runner_id, p_limit, p_busy);
    end if;
end
$$;
comment on function kiln_runner.cycle(bigint, bigint[], bigint[], text[], int, int[], boolean) is
'Completes a batch and claims up to p_limit more in one transaction: one round trip, one commit. All or nothing: if one
completion is stale (KN010) nothing was recorded. p_is_idle: nothing to do here; mark the runner asleep (NOTIFY kiln_work
will ring) and tick. Returns what was claimed.';

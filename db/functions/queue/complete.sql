-- The end of work: from running to done, the history, the next stage or the end of the job. A batch is all or
-- nothing; the fence stands on the task's own row, so that the check is made on the very row that is locked.
--
-- Written out twice: over arrays for a batch, and over scalars for one task, which is what a runner with long
-- tasks sends. What a statement costs here is its start, not its rows: on scalars, with one row found by its
-- key, one task costs three quarters of what it does on arrays, and each of a hundred nearly twice as much.
-- Only the usual course is written twice, the rest stands in kiln_internal.advance_jobs alone. (One statement
-- with all of it in CTEs took twice as long for one task, and a join with unnest() may be planned as a scan
-- of everything that runs.)
create or replace function kiln_internal.finish_tasks(p_task_ids bigint[], p_fences bigint[],
                                                      p_outputs text[])
returns int
language plpgsql
as $$
declare
    v_done int;
begin
    insert into kiln.task_ended (task_id, job_id, account_id, virtual_time, fence, runner_id, started_at,
                                 created_at, finished_at, pipeline_version_id, state,
                                 queue_id, priority, stage, slot, attempts, interruptions, output)
    select t.task_id, t.job_id, t.account_id, t.virtual_time, t.fence, t.runner_id, t.started_at,
           t.created_at, kiln_internal.now(), t.pipeline_version_id, 'done',
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
    perform kiln_internal.advance_jobs(p_task_ids);
    return v_done;
end
$$;
comment on function kiln_internal.finish_tasks(bigint[], bigint[], text[]) is
'Ends running tasks as done. Returns how many still carried their fence; if that is fewer than all, the caller
must raise.';

-- The next stage, or the end of the job. Taking the job's lock waits for whoever holds it (a cancel) and then
-- decides on what it finds: a job that is being cancelled gets no next stage; a last stage that is done
-- completes it all the same, since the result is there. From stage to stage the job itself is not written.
--
-- Jobs are found by their own keys, and what is wanted of a task by a look at its key (LIMIT keeps that from
-- becoming a join): a join of the two that was planned while the tables were all but empty, or never
-- analyzed, read all jobs by their index, and stayed in force as they grew.
create or replace function kiln_internal.advance_jobs(p_task_ids bigint[])
returns void
language plpgsql
as $$
declare
    v_job_ids  bigint[] := array(select t / 10000 from unnest(p_task_ids) as t);
    v_next     int;
    v_resumed  bigint[];
begin
    with locked as (
        select j.job_id, j.account_id, j.version, j.priority, j.pipeline_version_id
          from kiln.job j
         where j.job_id = any (v_job_ids) and j.state = 'running'
           for no key update
    ), next_task as materialized (
        select l.*, s.position as stage, s.queue_id
          from unnest(p_task_ids) as u (task_id)
          join locked l on l.job_id = u.task_id / 10000
         cross join lateral (select s.position, s.queue_id from kiln.stage s
                              where s.pipeline_version_id = l.pipeline_version_id
                                and s.position = u.task_id / 100 % 100 + 1 limit 1) s
    ), readied as (
        insert into kiln.task_ready (task_id, job_id, account_id, virtual_time, pipeline_version_id, queue_id,
                                     priority, stage)
        select kiln_internal.task_id(n.job_id, n.stage), n.job_id, n.account_id, f.next_virtual_time + 1,
               n.pipeline_version_id, n.queue_id, n.priority, n.stage
          from next_task n
         cross join lateral (select f.next_virtual_time from kiln.low_watermark f
                              where f.queue_id = n.queue_id and f.priority = n.priority limit 1) f
    )
    insert into kiln.event (account_id, job_id, version, type, data)
    select n.account_id, n.job_id, n.version, 'job.progress', jsonb_build_object('stage', n.stage)
      from next_task n;
    get diagnostics v_next = row_count;

    if v_next < cardinality(p_task_ids) then
        update kiln.job j
           set state       = case when kiln_internal.task_id(j.job_id, j.stages) = any (p_task_ids)
                                      then 'completed' else 'cancelled' end::kiln.job_state,
               version     = j.version + 1,
               finished_at = kiln_internal.now(),
               error_code    = case when kiln_internal.task_id(j.job_id, j.stages) <> all (p_task_ids)
                                        then 'cancelled' end,
               error_message = case when kiln_internal.task_id(j.job_id, j.stages) <> all (p_task_ids)
                                        then 'Cancelled.' end,
               output      = (select d.output from kiln.task_ended d
                               where d.task_id = kiln_internal.task_id(j.job_id, j.stages)
                                 and d.task_id = any (p_task_ids))
         where j.job_id = any (v_job_ids)
           and (j.state = 'cancelling' or j.state in ('running', 'held')
                and kiln_internal.task_id(j.job_id, j.stages) = any (p_task_ids));

        -- A person adopted a held task in the middle: its job resumes, and then takes its usual course.
        if exists (select from kiln.job j where j.job_id = any (v_job_ids) and j.state = 'held') then
            with resumed as (
                update kiln.job j
                   set state = 'running'
                 where j.job_id = any (v_job_ids) and j.state = 'held'
                returning j.job_id
            )
            select array_agg(u.task_id) into v_resumed from unnest(p_task_ids) as u (task_id)
              join resumed r on r.job_id = u.task_id / 10000;
            perform kiln_internal.advance_jobs(v_resumed);
        end if;
    end if;
    if v_next > 0 and exists (select from kiln.waiter) then
        perform kiln_internal.notify_waiters(array(
            select distinct t.queue_id from kiln.task_ready t
             where t.task_id = any (array(select u + 100 from unnest(p_task_ids) as u))));
    end if;
end
$$;
comment on function kiln_internal.advance_jobs(bigint[]) is
'For tasks that are done: gives their jobs the next stage''s task, or completes (or, where it was being
cancelled, cancels) them.';

-- One task. NOT FOUND tells that the job is not on its usual course, or has ended.
create or replace function kiln_internal.finish_task(p_task_id bigint, p_fence bigint, p_output text)
returns boolean
language plpgsql
as $$
declare
    v_output kiln.json_object := p_output;
    v_task   record;
    v_job    record;
    v_queue_id smallint;
begin
    delete from kiln.task_running t
     where t.task_id = p_task_id and t.fence = p_fence
    returning t.job_id, t.account_id, t.virtual_time, t.runner_id, t.started_at, t.created_at,
           t.pipeline_version_id, t.queue_id, t.priority, t.stage, t.slot,
              t.attempts, t.interruptions
         into v_task;
    if not found then
        return false;
    end if;
    insert into kiln.task_ended (task_id, job_id, account_id, virtual_time, fence, runner_id, started_at,
                                 created_at, finished_at, pipeline_version_id, state,
                                 queue_id, priority, stage, slot, attempts, interruptions, output)
    values (p_task_id, v_task.job_id, v_task.account_id, v_task.virtual_time, p_fence, v_task.runner_id,
            v_task.started_at, v_task.created_at, kiln_internal.now(),
            v_task.pipeline_version_id, 'done', v_task.queue_id, v_task.priority, v_task.stage, v_task.slot,
            v_task.attempts + 1,
            v_task.interruptions, v_output);
    insert into kiln.attempt (fence, task_id, job_id, runner_id, started_at, stage, attempt, outcome)
    values (p_fence, p_task_id, v_task.job_id, v_task.runner_id, v_task.started_at, v_task.stage,
            v_task.attempts + 1, 'done');

    select s.queue_id into v_queue_id
      from kiln.stage s
     where s.pipeline_version_id = v_task.pipeline_version_id and s.position = v_task.stage + 1;
    if found then
        select j.version, j.priority into v_job
          from kiln.job j
         where j.job_id = v_task.job_id and j.state = 'running'
           for no key update;
        if found then
            insert into kiln.task_ready (task_id, job_id, account_id, virtual_time, pipeline_version_id,
                                         queue_id, priority, stage)
            select p_task_id + 100, v_task.job_id, v_task.account_id, f.next_virtual_time + 1,
                   v_task.pipeline_version_id, v_queue_id, v_job.priority, v_task.stage + 1
              from kiln.low_watermark f
             where f.queue_id = v_queue_id and f.priority = v_job.priority;
            insert into kiln.event (account_id, job_id, version, type, data)
            values (v_task.account_id, v_task.job_id, v_job.version, 'job.progress',
                    jsonb_build_object('stage', v_task.stage + 1));
            if exists (select from kiln.waiter) then
                perform kiln_internal.notify_waiters(array[v_queue_id]);
            end if;
            return true;
        end if;
    else
        update kiln.job j
           set state = 'completed', version = j.version + 1, finished_at = kiln_internal.now(),
               output = v_output
         where j.job_id = v_task.job_id and j.state = 'running';
        if found then
            return true;
        end if;
    end if;
    perform kiln_internal.advance_jobs(array[p_task_id]);
    return true;
end
$$;
comment on function kiln_internal.finish_task(bigint, bigint, text) is
'The same for one task, in a form that starts faster. False: it does not carry this fence; the caller must
raise.';

create or replace function kiln_runner.complete(p_task_id bigint, p_fence bigint, p_output text default '{}')
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if not kiln_internal.finish_task(p_task_id, p_fence, p_output) then
        perform kiln_internal.refuse_stale(p_task_id, p_fence);
    end if;
end
$$;
comment on function kiln_runner.complete(bigint, bigint, text) is
'A task is done; p_output is a JSON object, the next stage''s input. KN010: the task is no longer this
runner''s; drop the work.';

create or replace function kiln_internal.refuse_stale(p_task_id bigint, p_fence bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'task % is no longer held under fence %: %', p_task_id, p_fence,
        coalesce((select case when t.state = 'running' then 'another claim has fence ' || t.fence
                              else 'it is ' || t.state end
                    from kiln.task t where t.task_id = p_task_id), 'there is no such task')
        using errcode = 'KN010', hint = 'Drop the work: its outcome is someone else''s to report.';
end
$$;
comment on function kiln_internal.refuse_stale(bigint, bigint) is
'Raises KN010 and says what became of the task.';

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
    v_done    int;
    v_claimed kiln_runner.claimed;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if cardinality(p_task_ids) > 0 then
        if cardinality(p_task_ids) = 1 then
            v_done := kiln_internal.finish_task(p_task_ids[1], p_fences[1], p_outputs[1])::int;
        else
            v_done := kiln_internal.finish_tasks(p_task_ids, p_fences, p_outputs);
        end if;
        if v_done <> cardinality(p_task_ids) then
            raise exception '% of % tasks are no longer this runner''s: nothing was recorded',
                cardinality(p_task_ids) - v_done, cardinality(p_task_ids)
                using errcode = 'KN010',
                hint = 'Report each alone with kiln_runner.complete(); '
                       'the stale ones are refused one by one.';
        end if;
    end if;
    if not p_is_idle then
        if exists (select from kiln.waiter) then
            perform kiln_internal.remove_waiter('runner:' || p_runner_id);
        end if;
    else
        perform kiln_internal.add_waiter('runner:' || p_runner_id, (select r.queue_ids from kiln.runner r
                                                                     where r.runner_id = p_runner_id), false);
        perform kiln_runner.tick(p_runner_id);
    end if;
    if p_limit > 0 then
        foreach v_claimed in array kiln_internal.claim(p_runner_id, p_limit, p_busy)
        loop
            return next v_claimed;
        end loop;
    end if;
end
$$;
comment on function kiln_runner.cycle(bigint, bigint[], bigint[], text[], int, int[], boolean) is
'Completes a batch and claims up to p_limit more in one transaction: one round trip, one commit. All or
nothing: if one completion is stale (KN010) nothing was recorded. p_is_idle: nothing to do here; mark the
runner asleep (NOTIFY kiln_work will ring) and tick. Returns what was claimed.';

-- The claim. A runner asks for up to p_limit tasks; it is given the most urgent of the queues it serves,
-- oldest turn first.
--
-- Rows are located by ctid under forced generic plans (an innocent `update … from cte` fell from 4,500 to 13
-- a second), and only above the low watermark, past the rows that a long transaction keeps dead. Fair share
-- is in the `virtual_time` given at enqueue and costs nothing here; exact limits are
-- kiln_internal.claim_within_limits, and cost those queues only that have one.

create type kiln_runner.claimed as (
    task_id    bigint,
    fence      bigint,
    job_id     bigint,
    queue_id   int,
    stage      int,
    stage_name text,
    attempt    int,
    handler    text,
    config     jsonb,
    input      jsonb,
    media      jsonb,
    timeout_ms int
);
comment on type kiln_runner.claimed is
'A task for a runner. task_id and fence go back with each write; input is the job''s for stage 1, else the
previous stage''s output; media are the files that input.media names; timeout_ms is how long the attempt may
take.';

-- Each row is looked up by its key, one after another (LIMIT keeps the planner from making a join of it): a
-- plan that was made while the tables were all but empty would read them whole, by their indexes, and stay in
-- force as they grow.
create or replace function kiln_internal.claimed(p_task_ids bigint[])
returns setof kiln_runner.claimed
language plpgsql
as $$
begin
    return query
    select t.task_id, t.fence, t.job_id, t.queue_id::int, t.stage::int, s.name, t.attempts + 1, s.handler,
           s.config,
           i.input,
           case when i.input -> 'media' <> '[]'
                    then kiln_internal.media_files(j.account_id, i.input -> 'media')
                when i.input ? 'upload' then kiln_internal.incoming_files(t.job_id, i.input ->> 'upload')
                else '[]' end,
           (extract(epoch from s.time_limit) * 1000)::int
      from kiln.task_running t
     cross join lateral (select j.account_id, j.input from kiln.job j where j.job_id = t.job_id limit 1) j
     cross join lateral (select s.* from kiln.stage s
                          where s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage
                          limit 1) s
      left join lateral (select p.output from kiln.task_ended p
                          where t.stage > 1 and p.task_id = kiln_internal.task_id(t.job_id, t.stage - 1,
                                                        t.slot) and p.state = 'done' limit 1) p on true
     cross join lateral (select case when t.stage = 1 then j.input else p.output end as input) i
     where t.task_id = any (p_task_ids);
end
$$;
comment on function kiln_internal.claimed(bigint[]) is 'Running tasks as their runner is told of them.';

-- The same for one task, in a form that starts faster: see kiln_internal.finish_task.
create or replace function kiln_internal.claimed(
    p_task_id             bigint,
    p_fence               bigint,
    p_queue_id            int,
    p_pipeline_version_id int,
    p_attempts            int,
    p_input               jsonb)
returns kiln_runner.claimed
language plpgsql
as $$
declare
    v_job_id  bigint := p_task_id / 10000;
    v_stage   int    := p_task_id / 100 % 100;
    v_input   jsonb  := p_input;
    v_media   jsonb  := '[]';
    v_name    text;
    v_handler text;
    v_config  jsonb;
    v_limit   interval;
begin
    if v_stage > 1 then
        select t.output into v_input from kiln.task_ended t
         where t.task_id = p_task_id - 100 and t.state = 'done';
    elsif v_input is null then
        select j.input into v_input from kiln.job j where j.job_id = v_job_id;
    end if;
    if v_input -> 'media' <> '[]' then
        v_media := kiln_internal.media_files((select j.account_id from kiln.job j
                                               where j.job_id = v_job_id), v_input -> 'media');
    elsif v_input ? 'upload' then
        v_media := kiln_internal.incoming_files(v_job_id, v_input ->> 'upload');
    end if;
    select s.name, s.handler, s.config, s.time_limit into v_name, v_handler, v_config, v_limit
      from kiln.stage s
     where s.pipeline_version_id = p_pipeline_version_id and s.position = v_stage;
    return (p_task_id, p_fence, v_job_id, p_queue_id, v_stage, v_name, p_attempts + 1, v_handler, v_config,
            v_input, v_media,
            (extract(epoch from v_limit) * 1000)::int)::kiln_runner.claimed;
end
$$;
comment on function kiln_internal.claimed(bigint, bigint, int, int, int, jsonb) is
'A running task as its runner is told of it. p_input: the input of its job where the caller has it at hand,
else null.';

-- From ready to running, for all queues of a runner in one look: range by range (queue and priority, most
-- urgent first), and the scan stops with the last row wanted. FOR UPDATE SKIP LOCKED: claimers never wait for
-- one another.
create or replace function kiln_internal.claim_tasks(p_runner_id bigint, p_queue_ids smallint[], p_slots int,
                                                     p_limit int, p_busy int[])
returns kiln_runner.claimed[]
language plpgsql
as $$
declare
    v_ctids    tid[];
    v_task_ids bigint[];
    v_new_jobs bigint[];
begin
    v_ctids := array(
        select q.ctid
          from (select f.queue_id, f.priority, f.virtual_time,
                       kiln_internal.allowance(p_slots, cardinality(p_queue_ids), p_limit,
                                               cardinality(array_positions(p_busy,
                                                        f.queue_id::int))) as allowed
                  from kiln.low_watermark f
                 where f.queue_id = any (p_queue_ids) and not f.is_paused
                 order by f.priority desc,
                       (f.queue_id + p_runner_id + extract(second from kiln_internal.now())::int)
                       % cardinality(p_queue_ids)) f
         cross join lateral (
               select r.ctid from kiln.task_ready r
                where r.queue_id = f.queue_id and r.priority = f.priority and r.virtual_time > f.virtual_time
                  and r.interruptions < 2
                order by r.virtual_time, r.task_id
                limit f.allowed for update skip locked) q
         limit p_limit);

    -- The priorities of one queue share its allowance. Looked at only where there is enough to break it; what
    -- is left here is found by the next claim.
    if cardinality(p_queue_ids) > 1
       and cardinality(v_ctids) + cardinality(p_busy)
        > greatest(1, p_slots - cardinality(p_queue_ids) + 1) then
        v_ctids := array(
            select u.ctid
              from (select t.ctid, t.queue_id,
                           row_number() over (partition by t.queue_id order by t.priority desc,
                                              t.virtual_time, t.task_id) as nth
                      from kiln.task_ready t
                     where t.ctid = any (v_ctids)) u
             where u.nth <= kiln_internal.allowance(p_slots, cardinality(p_queue_ids), p_limit,
                                                    cardinality(array_positions(p_busy, u.queue_id::int))));
    end if;
    if v_ctids = '{}' then
        return '{}';
    elsif cardinality(v_ctids) = 1 then
        return array[kiln_internal.claim_one(p_runner_id, v_ctids[1])];
    end if;

    insert into kiln.task_running (task_id, job_id, account_id, virtual_time, fence, runner_id, started_at,
                                   created_at, pipeline_version_id, state,
                                   queue_id, priority, stage, slot, attempts, interruptions)
    select t.task_id, t.job_id, t.account_id, t.virtual_time, nextval('kiln.fence'), p_runner_id,
           kiln_internal.now(), t.created_at, t.pipeline_version_id, 'running',
           t.queue_id, t.priority, t.stage, t.slot, t.attempts, t.interruptions
      from kiln.task_ready t
     where t.ctid = any (v_ctids);
    with taken as (
        delete from kiln.task_ready t where t.ctid = any (v_ctids) returning t.task_id, t.job_id, t.stage
    )
    select array_agg(t.task_id), array_agg(t.job_id) filter (where t.stage = 1) into v_task_ids, v_new_jobs
      from taken t;
    if v_new_jobs is not null then
        update kiln.job j
           set state = 'running', version = j.version + 1, started_at = kiln_internal.now()
         where j.job_id = any (v_new_jobs) and j.state = 'queued';
    end if;
    return array(select c from kiln_internal.claimed(v_task_ids) c);
end
$$;
comment on function kiln_internal.claim_tasks(bigint, smallint[], int, int, int[]) is
'Gives up to p_limit ready tasks of these queues, most urgent and then oldest turn first, from the low
watermarks on, to a runner. Each gets a new fence; a later write with an older one is refused (KN010).';

create or replace function kiln_internal.claim_one(p_runner_id bigint, p_ctid tid)
returns kiln_runner.claimed
language plpgsql
as $$
declare
    v_task  record;
    v_fence bigint := nextval('kiln.fence');
    v_input jsonb;
begin
    delete from kiln.task_ready t
     where t.ctid = p_ctid
    returning t.task_id, t.job_id, t.account_id, t.virtual_time, t.created_at, t.pipeline_version_id,
           t.queue_id, t.priority, t.stage, t.slot, t.attempts, t.interruptions
         into v_task;
    insert into kiln.task_running (task_id, job_id, account_id, virtual_time, fence, runner_id, started_at,
                                   created_at, pipeline_version_id, state,
                                   queue_id, priority, stage, slot, attempts, interruptions)
    values (v_task.task_id, v_task.job_id, v_task.account_id, v_task.virtual_time, v_fence, p_runner_id,
            kiln_internal.now(), v_task.created_at, v_task.pipeline_version_id, 'running',
            v_task.queue_id, v_task.priority, v_task.stage, v_task.slot, v_task.attempts,
            v_task.interruptions);
    if v_task.stage = 1 then
        update kiln.job j
           set state = 'running', version = j.version + 1, started_at = kiln_internal.now()
         where j.job_id = v_task.job_id and j.state = 'queued'
        returning j.input into v_input;
    end if;
    return kiln_internal.claimed(v_task.task_id, v_fence, v_task.queue_id, v_task.pipeline_version_id,
                                 v_task.attempts, v_input);
end
$$;
comment on function kiln_internal.claim_one(bigint, tid) is
'The same for one task, whose row is locked, in a form that starts faster: see kiln_internal.finish_task.';

-- A task that two runners died with is given to a runner that runs nothing else: if that one dies too, the
-- task is the cause. The tick reserves it for a runner (kiln.runner.quarantined_task_id), which is then given
-- nothing new until it is idle. Its queue's limits and pause hold for it as for any other task.
create or replace function kiln_internal.claim_quarantined(p_runner_id bigint, p_task_id bigint)
returns kiln_runner.claimed[]
language plpgsql
as $$
declare
    v_queue   kiln.queue;
    v_theoretical_arrival_at timestamptz;
begin
    select q.* into v_queue from kiln.task_ready t join kiln.queue q using (queue_id)
     where t.task_id = p_task_id;
    if not found or v_queue.is_paused then
        return '{}';
    end if;
    if v_queue.max_running is not null or v_queue.rate_per_minute is not null then
        select g.theoretical_arrival_at into v_theoretical_arrival_at from kiln.queue_limiter g
         where g.queue_id = v_queue.queue_id for update;
        if not found or kiln_internal.queue_places(v_queue, v_theoretical_arrival_at) <= 0 then
            return '{}';
        end if;
    end if;
    update kiln.task t
       set state = 'running', fence = nextval('kiln.fence'), runner_id = p_runner_id,
           started_at = kiln_internal.now(), error_class = null, error_message = null
     where t.state = 'ready' and t.task_id = p_task_id;
    if not found then
        return '{}';
    end if;
    update kiln.runner r set quarantined_at = null where r.runner_id = p_runner_id;
    if v_queue.rate_per_minute is not null then
        update kiln.queue_limiter g
           set theoretical_arrival_at = greatest(v_theoretical_arrival_at,
               kiln_internal.now()) + kiln_internal.queue_rate_step(v_queue.rate_per_minute,
                                                                    v_queue.rate_burst)
         where g.queue_id = v_queue.queue_id;
    end if;
    return array(select c from kiln_internal.claimed(array[p_task_id]) c);
end
$$;
comment on function kiln_internal.claim_quarantined(bigint, bigint) is
'Gives a reserved quarantined to its runner.';

create or replace function kiln_internal.claim(p_runner_id bigint, p_limit int, p_busy int[])
returns kiln_runner.claimed[]
language plpgsql
as $$
declare
    v_queue_ids smallint[];
    v_limited   smallint[];
    v_slots     int;
    v_quarantined_task     bigint;
begin
    select r.queue_ids, r.limited_ids, r.slots, r.quarantined_task_id
      into v_queue_ids, v_limited, v_slots, v_quarantined_task
      from kiln.runner r where r.runner_id = p_runner_id and r.ended_at is null;
    if v_queue_ids is null then
        raise exception 'runner % is not registered, or was declared dead', p_runner_id
            using errcode = 'KN011',
            hint = 'Call kiln_runner.register() again; what it ran is no longer its own.';
    end if;
    if v_quarantined_task is null then
        if v_limited = '{}' then
            return kiln_internal.claim_tasks(p_runner_id, v_queue_ids, v_slots, p_limit, p_busy);
        end if;
        return kiln_internal.claim_within_limits(p_runner_id, v_queue_ids, v_limited, v_slots, p_limit,
                                                 p_busy);
    elsif p_limit >= v_slots then
        return kiln_internal.claim_quarantined(p_runner_id, v_quarantined_task);
    end if;
    return '{}';
end
$$;
comment on function kiln_internal.claim(bigint, int, int[]) is
'The body of kiln_runner.claim() and of kiln_runner.cycle(), which carry its plan settings. An array, since a
set that is handed from function to function starts an executor each time.';

create or replace function kiln_runner.claim(p_runner_id bigint, p_limit int default 1,
                                             p_busy int[] default '{}')
returns setof kiln_runner.claimed
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_claimed kiln_runner.claimed;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    foreach v_claimed in array kiln_internal.claim(p_runner_id, p_limit, p_busy)
    loop
        return next v_claimed;
    end loop;
end
$$;
comment on function kiln_runner.claim(bigint, int, int[]) is
'Gives a runner up to p_limit (its free slots) ready tasks of its queues, most urgent first. p_busy: the
queue_id of each task it still runs, so that one queue cannot fill it. KN011: register again.';

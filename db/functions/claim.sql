-- The claim. A runner asks for up to p_limit tasks; it is given the most urgent of the queues it serves, oldest turn first.
--
-- Rows are located by ctid under forced generic plans (an innocent `update … from cte` fell from 4,500 to 13 a second), and
-- only above the floor, past the rows that a long transaction keeps dead. Exact limits and fair share will stand in
-- kiln.allowance and in the `vt` given at enqueue; nothing else has to change for them.

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
'A task for a runner. task_id and fence go back with each write; input is the job''s for stage 1, else the previous stage''s
output; media are the files that input.media names; timeout_ms is how long the attempt may take.';

create or replace function kiln.take(p_runner_id bigint, p_queue_id smallint, p_priority smallint, p_floor bigint, p_limit int)
returns bigint[]
language plpgsql
as $$
declare
    v_task_ids bigint[];
begin
    with taken as (
        update kiln.task t
           set state      = 'running',
               fence      = nextval('kiln.fence'),
               runner_id  = p_runner_id,
               started_at = kiln.now(),
               deadline   = kiln.now() + (select s.time_limit from kiln.stage s
                                           where s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage)
         where t.state = 'ready'
           and t.ctid = any (array(
                   select q.ctid from kiln.task_ready q
                    where q.queue_id = p_queue_id and q.priority = p_priority and q.vt > p_floor and q.interruptions < 2
                    order by q.vt, q.task_id
                    limit p_limit for update skip locked))
        returning t.task_id
    )
    select array_agg(k.task_id) into v_task_ids from taken k;
    return v_task_ids;
end
$$;
comment on function kiln.take(bigint, smallint, smallint, bigint, int) is
'Gives up to p_limit tasks of one queue and priority, oldest turn first, from the floor on, to a runner; null: none.
Each gets a new fence; a later write with an older one is refused (KN010).';

-- A task that two runners died with is given to a runner that runs nothing else: if that one dies too, the task is the cause.
create or replace function kiln.take_suspect(p_runner_id bigint, p_limit int)
returns bigint[]
language plpgsql
as $$
declare
    v_runner  kiln.runner;
    v_task_id bigint;
begin
    select * into v_runner from kiln.runner r where r.runner_id = p_runner_id for no key update;

    if v_runner.alone_task_id is not null and not exists (
        select from kiln.task t
         where t.task_id = v_runner.alone_task_id and (t.state = 'ready' or t.state = 'running' and t.runner_id = p_runner_id)) then
        update kiln.runner set alone_task_id = null where runner_id = p_runner_id;      -- it is over
        v_runner.alone_task_id := null;
    end if;
    if v_runner.alone_task_id is null then
        select t.task_id into v_task_id
          from kiln.task_ready t
          join kiln.queue q using (queue_id)
         where t.interruptions >= 2 and t.queue_id = any (v_runner.queue_ids) and not q.is_paused
           and not exists (select from kiln.runner r where r.ended_at is null and r.alone_task_id = t.task_id)
         order by t.vt
         limit 1 for update of t skip locked;
        if not found then
            return '{}';
        end if;
        update kiln.runner set alone_task_id = v_task_id where runner_id = p_runner_id;
        v_runner.alone_task_id := v_task_id;
    end if;
    if p_limit < v_runner.slots then
        return null;        -- it has other work to finish first
    end if;

    update kiln.task t
       set state = 'running', fence = nextval('kiln.fence'), runner_id = p_runner_id, started_at = kiln.now(),
           deadline = kiln.now() + (select s.time_limit from kiln.stage s
                                     where s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage)
     where t.task_id = v_runner.alone_task_id and t.state = 'ready'
    returning t.task_id into v_task_id;
    return case when found then array[v_task_id] end;
end
$$;
comment on function kiln.take_suspect(bigint, int) is
'Reserves a suspect task for a runner and, once the runner is otherwise idle, gives it: an array of the one task.
{}: there is none to take; null: the runner gets nothing now.';

-- One slot of a runner stays free for each other queue it serves, so that a full video queue never delays an image.
create or replace function kiln.allowance(p_slots int, p_queues int, p_busy int)
returns int
language sql immutable
return greatest(0, greatest(1, p_slots - (p_queues - 1)) - p_busy);
comment on function kiln.allowance(int, int, int) is
'How many more tasks of one queue a runner may take that has p_slots slots, serves p_queues queues and runs p_busy of this one.';

create or replace function kiln_runner.claim(p_runner_id bigint, p_limit int default 1, p_busy int[] default '{}')
returns setof kiln_runner.claimed
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_runner   record;
    v_range    record;
    v_turn     int := (random() * 1000)::int;
    v_left     int := p_limit;
    v_taken    bigint[];
    v_all      bigint[] := '{}';
begin
    select r.queue_ids, r.slots, r.alone_task_id, cardinality(r.queue_ids) as queues,
           exists (select from kiln.task_ready t where t.interruptions >= 2 and t.queue_id = any (r.queue_ids)) as has_suspects
      into v_runner
      from kiln.runner r
     where r.runner_id = p_runner_id and r.ended_at is null;
    if not found then
        raise exception 'runner % is not registered, or was declared dead', p_runner_id
            using errcode = 'KN011', hint = 'Call kiln_runner.register() again; what it ran is no longer its own.';
    end if;
    if v_runner.alone_task_id is not null or v_runner.has_suspects then
        v_all := kiln.take_suspect(p_runner_id, p_limit);
        if v_all is null then
            return;         -- it is to run a suspect alone, and does so or has yet to finish the rest
        end if;
        v_left := case when v_all = '{}' then p_limit else 0 end;
    end if;

    if v_left > 0 then
        for v_range in
            select f.queue_id, f.priority, f.vt,
                   case when v_runner.queues = 1 then p_limit
                        else kiln.allowance(v_runner.slots, v_runner.queues, cardinality(array_positions(p_busy, f.queue_id::int))) end as allowed
              from kiln.floor f
             where f.queue_id = any (v_runner.queue_ids)
               and exists (select from kiln.task_ready t
                            where t.queue_id = f.queue_id and t.priority = f.priority and t.vt > f.vt and t.interruptions < 2)
               and not exists (select from kiln.queue q where q.queue_id = f.queue_id and q.is_paused)
             order by f.priority desc, (f.queue_id + v_turn) % v_runner.queues
        loop
            continue when v_range.allowed <= 0;
            v_taken := kiln.take(p_runner_id, v_range.queue_id, v_range.priority, v_range.vt, least(v_left, v_range.allowed));
            continue when v_taken is null;
            v_all := v_all || v_taken;
            v_left := v_left - cardinality(v_taken);
            exit when v_left <= 0;
        end loop;
    end if;

    if v_all <> '{}' then
        return query
        select t.task_id, t.fence, t.job_id, t.queue_id::int, t.stage::int, s.name, t.attempts + 1, s.handler, s.config,
               i.input,
               case when i.input ? 'media' then kiln.media_files(j.account_id, i.input -> 'media') else '[]' end,
               (extract(epoch from s.time_limit) * 1000)::int
          from kiln.task t
          join kiln.job j on j.job_id = t.job_id
          join kiln.stage s on s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage
          left join kiln.task p on p.state = 'done' and p.task_id = kiln.task_id(t.job_id, t.stage - 1, t.slot)
          cross join lateral (select case when t.stage = 1 then j.input else p.output end as input) i
         where t.task_id = any (v_all) and t.state = 'running';
    end if;
end
$$;
comment on function kiln_runner.claim(bigint, int, int[]) is
'Gives a runner up to p_limit (its free slots) ready tasks of its queues, most urgent first. p_busy: the queue_id of each task
it still runs, so that one queue cannot fill it; leave it out and only p_limit counts. KN011: register again.';

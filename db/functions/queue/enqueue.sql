-- Enqueue: the job, its first task and the event, in one transaction; then the wakeup. The one way in, for
-- people and for the server. Fair share is its turn (virtual_time), given here and nowhere else: behind the
-- last one of its account that still waits in this queue, else right behind what is served now. So an account
-- with one job comes soon, whoever queued a hundred thousand before.
--
-- Three plain inserts, since one statement with three of them in CTEs costs more to start than they do.
create or replace function kiln.enqueue(
    p_pipeline         text,
    p_input            kiln.json_object default '{}',
    p_account_id       bigint           default null,
    p_priority         int              default 1,
    p_run_at           timestamptz      default null,
    p_kind             kiln.job_kind    default 'generation',
    p_media_type       kiln.media_type  default null,
    p_model_id         int              default null,
    p_parent_id        bigint           default null,
    p_estimated_micros bigint           default 0,
    p_version          int              default null)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account_id bigint := coalesce(p_account_id, kiln_internal.operator_account());
    v_job_id     bigint;
    v_version_id int;
    v_stages     smallint;
    v_queue_id   smallint;
begin
    select p.pipeline_version_id, p.stages, p.queue_id into v_version_id, v_stages, v_queue_id
      from kiln.pipeline p where p.name = p_pipeline;
    if v_version_id is null then
        raise exception 'there is no pipeline %', quote_literal(p_pipeline)
            using errcode = 'KN002', hint = 'select name from kiln.pipeline';
    end if;
    if p_version is not null then
        select v.pipeline_version_id, f.stages, f.queue_id into v_version_id, v_stages, v_queue_id
          from kiln.pipeline p
          join kiln.pipeline_version v using (pipeline_id)
         cross join lateral (select count(*) as stages,
                                    min(s.queue_id) filter (where s.position = 1) as queue_id
                               from kiln.stage s where s.pipeline_version_id = v.pipeline_version_id) f
         where p.name = p_pipeline and v.version = p_version;
        if not found then
            raise exception 'pipeline % has no version %', quote_literal(p_pipeline), p_version
                using errcode = 'KN002';
        end if;
    end if;

    insert into kiln.job (account_id, parent_id, pipeline_version_id, model_id, stages, priority, kind,
                          media_type, estimated_micros, run_at, input)
    values (v_account_id, p_parent_id, v_version_id, p_model_id, v_stages, p_priority, p_kind, p_media_type,
            p_estimated_micros, p_run_at, p_input)
    returning job_id into v_job_id;

    if p_run_at > kiln_internal.now() then
        insert into kiln.task_waiting (task_id, job_id, account_id, virtual_time, due_at, pipeline_version_id,
                                       state, queue_id, priority, stage)
        values (kiln_internal.task_id(v_job_id, 1), v_job_id, v_account_id, 0, p_run_at, v_version_id,
                'waiting', v_queue_id, p_priority, 1);
    else
        insert into kiln.task_ready (task_id, job_id, account_id, virtual_time, pipeline_version_id, queue_id,
                                     priority, stage)
        select kiln_internal.task_id(v_job_id, 1), v_job_id, v_account_id,
               coalesce((select r.virtual_time from kiln.task_ready r
                          where r.queue_id = f.queue_id and r.priority = f.priority
                            and r.account_id = v_account_id and r.virtual_time > f.next_virtual_time
                          order by r.virtual_time desc limit 1), f.next_virtual_time) + 1,
               v_version_id, v_queue_id, p_priority, 1
          from kiln.low_watermark f
         where f.queue_id = v_queue_id and f.priority = p_priority;
    end if;

    insert into kiln.event (account_id, job_id, version, type)
    values (v_account_id, v_job_id, 1, 'job.queued');
    if p_kind = 'tryon' then
        insert into kiln.tryon (job_id, category) values (v_job_id, coalesce(p_input ->> 'category', ''));
    end if;
    if p_estimated_micros > 0 then
        perform kiln_internal.hold_for_job(v_job_id, v_account_id, p_estimated_micros);
    end if;

    if exists (select from kiln.waiter) then
        perform kiln_internal.notify_waiters(array[v_queue_id]);
    end if;
    return v_job_id;
end
$$;
comment on function kiln.enqueue(text, kiln.json_object, bigint, int, timestamptz, kiln.job_kind,
                                 kiln.media_type, int, bigint, bigint, int) is
'Makes a job on the newest version of a pipeline (or on p_version) and returns job_id. p_account_id null: the
operator''s account.
p_priority: 0 to 3, 3 is served first. p_run_at null: as soon as possible. KN002: there is no such pipeline.';

create or replace function kiln.enqueue_many(
    p_pipeline   text,
    p_inputs     jsonb[],
    p_account_id bigint        default null,
    p_priority   int           default 1,
    p_run_at     timestamptz   default null)
returns setof bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account_id bigint := coalesce(p_account_id, kiln_internal.operator_account());
    v_pipeline   kiln.pipeline;
    v_job_ids    bigint[];
    v_virtual_time       bigint;
begin
    select p.* into v_pipeline from kiln.pipeline p
     where p.name = p_pipeline and p.pipeline_version_id is not null;
    if not found then
        raise exception 'there is no pipeline %', quote_literal(p_pipeline)
            using errcode = 'KN002', hint = 'select name from kiln.pipeline';
    end if;
    with job as (
        insert into kiln.job (account_id, pipeline_version_id, stages, priority, run_at, input)
        select v_account_id, v_pipeline.pipeline_version_id, v_pipeline.stages, p_priority, p_run_at, u.input
          from unnest(p_inputs) with ordinality as u (input, ord)
         order by u.ord
        returning job_id
    )
    select array_agg(j.job_id) into v_job_ids from job j;

    select coalesce((select r.virtual_time from kiln.task_ready r
                      where r.queue_id = f.queue_id and r.priority = f.priority
                        and r.account_id = v_account_id and r.virtual_time > f.next_virtual_time
                      order by r.virtual_time desc limit 1), f.next_virtual_time) into v_virtual_time
      from kiln.low_watermark f
     where f.queue_id = v_pipeline.queue_id and f.priority = p_priority;
    insert into kiln.task (task_id, job_id, account_id, virtual_time, due_at, pipeline_version_id, state,
                           queue_id, priority, stage)
    select kiln_internal.task_id(u.job_id, 1), u.job_id, v_account_id, v_virtual_time + u.ord,
           case when p_run_at > kiln_internal.now() then p_run_at end,
           v_pipeline.pipeline_version_id, case when p_run_at > kiln_internal.now() then 'waiting'
                                                else 'ready' end::kiln.task_state,
           v_pipeline.queue_id, p_priority, 1
      from unnest(v_job_ids) with ordinality as u (job_id, ord);
    insert into kiln.event (account_id, job_id, version, type)
    select v_account_id, u.job_id, 1, 'job.queued' from unnest(v_job_ids) as u (job_id);
    perform kiln_internal.notify_waiters(array[v_pipeline.queue_id]);
    return query select unnest(v_job_ids);
end
$$;
comment on function kiln.enqueue_many(text, jsonb[], bigint, int, timestamptz) is
'Makes one job for each input, in that order, all or none, and returns their ids. About 100 inputs a call are
fastest.';

-- The same as enqueue() writes out, for moves that are rare.
create or replace function kiln_internal.next_virtual_time_of(p_queue_id smallint, p_priority smallint,
                                                              p_account_id bigint)
returns bigint
language plpgsql
as $$
begin
    return (select coalesce((select r.virtual_time from kiln.task_ready r
                              where r.queue_id = f.queue_id and r.priority = f.priority
                                and r.account_id = p_account_id and r.virtual_time > f.next_virtual_time
                              order by r.virtual_time desc limit 1), f.next_virtual_time) + 1
              from kiln.low_watermark f
             where f.queue_id = p_queue_id and f.priority = p_priority);
end
$$;
comment on function kiln_internal.next_virtual_time_of(smallint, smallint, bigint) is
'The turn of a newcomer: behind the last one of its account that waits in this queue at this priority, else
right behind what is served now.';

create or replace function kiln_internal.operator_account()
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_account_id bigint;
begin
    select i.account_id into v_account_id from kiln.identity i
     where i.issuer = 'kiln' and i.subject = 'operator';
    if v_account_id is null then
        insert into kiln.account (handle, display_name, role) values ('operator', 'Operator', 'admin')
        on conflict (handle) where handle is not null do update set role = 'admin'
        returning account_id into v_account_id;
        insert into kiln.identity (issuer, subject, account_id) values ('kiln', 'operator', v_account_id)
            on conflict do nothing;
    end if;
    return v_account_id;
end
$$;
comment on function kiln_internal.operator_account() is
'The account of jobs that people enqueue in psql without naming another; made when first needed.';

-- Pages of jobs, newest first. A page is full or the list is at its end, whatever else there is: a short walk
-- along the newest jobs, and where that does not fill the page, each state by what it is found by:
-- kiln.job_end for what has ended, the open tasks for what has not.
--
-- Each function belongs to the tables' owner, who needs no policy: behind one, only what is said of a key may
-- look into an index, and not what is said of kind or state. So each asks first who acts.

create or replace function kiln_internal.open_job_ids(p_account_id bigint, p_kind kiln.job_kind,
                                                      p_state kiln.job_state, p_type kiln.media_type,
                                                      p_before bigint, p_limit int, p_most int)
returns bigint[]
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
as $$
declare
    v_task bigint   := kiln_internal.task_id(p_before, 0);
    v_ids  bigint[] := '{}';
begin
    if p_state is null or p_state = 'held' then
        v_ids := v_ids || array(
            select t.job_id
              from kiln.task_held t
             cross join lateral (select x.kind, x.media_type from kiln.job x where x.job_id = t.job_id
                                  limit 1) j
             where (t.account_id, t.task_id) < (p_account_id, v_task) and t.account_id >= p_account_id
               and j.kind = p_kind and (p_type is null or j.media_type = p_type)
             order by t.account_id desc, t.task_id desc limit p_limit);
    end if;
    if p_state is null or p_state in ('running', 'cancelling') then
        v_ids := v_ids || array(select t.job_id from kiln.task_running t where t.account_id = p_account_id);
    end if;
    if p_state is null or p_state = 'running' then
        v_ids := v_ids || array(
            select t.job_id
              from kiln.task_waiting t
             cross join lateral (select x.kind, x.media_type, x.state from kiln.job x
                                  where x.job_id = t.job_id limit 1) j
             where (t.account_id, t.task_id) < (p_account_id, v_task) and t.account_id >= p_account_id
               and (t.stage > 1 or t.started_at is not null)
               and j.kind = p_kind and (p_type is null or j.media_type = p_type)
               and (p_state is null or j.state = p_state)
             order by t.account_id desc, t.task_id desc limit p_limit);
    end if;
    if p_state is null or p_state = 'queued' then
        v_ids := v_ids || array(
            select t.job_id
              from kiln.task_waiting t
             cross join lateral (select x.kind, x.media_type, x.state from kiln.job x
                                  where x.job_id = t.job_id limit 1) j
             where (t.account_id, t.task_id) < (p_account_id, v_task) and t.account_id >= p_account_id
               and t.stage = 1 and t.started_at is null
               and j.kind = p_kind and (p_type is null or j.media_type = p_type)
               and (p_state is null or j.state = p_state)
             order by t.account_id desc, t.task_id desc limit p_limit);
    end if;
    if p_state is null or p_state = 'running' then
        v_ids := v_ids || array(
            select t.job_id
              from kiln.task_ready t
             cross join lateral (select x.kind, x.media_type from kiln.job x where x.job_id = t.job_id
                                  limit 1) j
             where (t.account_id, t.task_id) < (p_account_id, v_task) and t.account_id >= p_account_id
               and (t.stage > 1 or t.started_at is not null)
               and j.kind = p_kind and (p_type is null or j.media_type = p_type)
             order by t.account_id desc, t.task_id desc limit p_limit);
    end if;
    if p_state is null or p_state = 'queued' then
        -- Their index is in the order of turns.
        v_ids := v_ids || array(
            select t.job_id
              from kiln.low_watermark f
             cross join lateral (select r.job_id from kiln.task_ready r
                                  where r.queue_id = f.queue_id and r.priority = f.priority
                                    and r.account_id = p_account_id and r.stage = 1 and r.started_at is null
                                  limit p_most) t
             limit p_most);
    end if;
    return v_ids;
end
$$;
comment on function kiln_internal.open_job_ids(bigint, kiln.job_kind, kiln.job_state, kiln.media_type, bigint,
                                               int, int) is
'The newest jobs of an account below a job_id that may be in this state, which is not final (null: any), found
by their tasks, in no order: p_limit by each way of finding them, or p_most of those that have not begun.
Reads what runs, which is as small as the work in flight.';

-- Equalities, since PostgreSQL 15 does not end a scan by a comparison of rows: a list of failed jobs read a
-- million completed ones.
create or replace function kiln_internal.ended_job_ids(p_account_id bigint, p_kind kiln.job_kind,
                                                       p_state kiln.job_state, p_type kiln.media_type,
                                              p_before bigint, p_limit int)
returns bigint[]
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
begin
    return array(
        select e.job_id
          from unnest(array['completed', 'failed', 'cancelled']::kiln.job_state[]) as s (state)
         cross join unnest(array['', 'image', 'video', 'audio']) as m (media_type)
         cross join lateral (
             select e.job_id
               from kiln.job_end e
              where e.account_id = p_account_id and e.kind = p_kind and e.state = s.state
                and e.media_type = m.media_type and e.job_id < p_before
              order by e.job_id desc
              limit p_limit) e
         where (p_state is null or s.state = p_state) and (p_type is null or m.media_type = p_type::text));
end
$$;
comment on function kiln_internal.ended_job_ids(bigint, kiln.job_kind, kiln.job_state, kiln.media_type,
                                                bigint, int) is
'Of each final state and type that is asked for (null: of all), the p_limit newest ended jobs of an account
below a job_id, in no order.';

create or replace function kiln_internal.job_page(p_state kiln.job_state, p_before bigint, p_limit int)
returns kiln.job[]
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off set enable_sort = off
as $$
declare
    v_task bigint := case when p_before > 900000000000000 then 9223372036854775807
                          else kiln_internal.task_id(p_before, 0) end;
    v_ids  bigint[];
begin
    if kiln_internal.is_no_operator() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
    if p_state is null then
        return array(select j from kiln.job j where j.job_id < p_before order by j.job_id desc limit p_limit);
    elsif p_state in ('completed', 'failed', 'cancelled') then
        v_ids := array(select e.job_id
                         from unnest(enum_range(null::kiln.job_kind)) as k (kind)
                        cross join lateral (select e.job_id from kiln.job_end e
                                             where e.kind = k.kind and e.state = p_state
                                               and - e.job_id > - p_before
                                             order by - e.job_id limit p_limit) e);
    elsif p_state = 'queued' then
        v_ids := array(
            (select t.job_id from kiln.task_ready t where t.task_id < v_task and t.stage = 1
                and t.started_at is null order by t.task_id desc limit p_limit)
            union all
            (select t.job_id from kiln.task_waiting t where t.task_id < v_task and t.stage = 1
                and t.started_at is null order by t.task_id desc limit p_limit));
    elsif p_state = 'held' then
        v_ids := array(select t.job_id from kiln.task_held t where t.task_id < v_task order by t.task_id desc
                        limit p_limit);
    else
        -- running and cancelling differ only in the job: what has begun and waits is running.
        v_ids := array(
            (select t.job_id
               from kiln.task_running t
              cross join lateral (select x.state from kiln.job x where x.job_id = t.job_id limit 1) j
              where t.task_id < v_task and j.state = p_state order by t.task_id desc limit p_limit)
            union all
            (select t.job_id from kiln.task_ready t
              where t.task_id < v_task and (t.stage > 1 or t.started_at is not null) and p_state = 'running'
              order by t.task_id desc limit p_limit)
            union all
            (select t.job_id from kiln.task_waiting t
              where t.task_id < v_task and (t.stage > 1 or t.started_at is not null) and p_state = 'running'
              order by t.task_id desc limit p_limit));
    end if;
    return array(
        select j.job
          from unnest(v_ids) as i (job_id)
         cross join lateral (select x as job, x.* from kiln.job x where x.job_id = i.job_id limit 1) j
         where j.job_id < p_before and j.state = p_state
         order by j.job_id desc
         limit p_limit);
end
$$;
comment on function kiln_internal.job_page(kiln.job_state, bigint, int) is
'The p_limit newest jobs below a job_id, everybody''s, in a state (null: any). Fewer: there are no more.
KN004: for administrators.';

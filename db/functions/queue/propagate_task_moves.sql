-- What follows when tasks are held, fail, are cancelled, or go back to waiting. Their jobs are locked first:
-- one that is being cancelled meanwhile takes its task with it.
create or replace function kiln_internal.propagate_task_moves(p_task_ids bigint[])
returns void
language plpgsql
as $$
declare
    v_job_ids   bigint[] := array(select t / 10000 from unnest(p_task_ids) as t);
    v_task      record;
    v_stopped   bigint[];
    v_back      bigint[];
    v_queue_ids smallint[];
begin
    perform from kiln.job j
      where j.job_id = any (v_job_ids)
      order by j.job_id
        for no key update;

    -- A task that is held, failed or was cancelled takes its job with it; by the latter two only if no other
    -- task of it still runs.
    for v_task in
        select t.job_id, t.state, t.error_class, t.error_message from kiln.task t
         where t.task_id = any (p_task_ids) and t.state in ('held', 'failed', 'cancelled')
         order by t.task_id
    loop
        if v_task.state = 'held' then
            update kiln.job j set state = 'held', error_code = v_task.error_class,
                   error_message = v_task.error_message
             where j.job_id = v_task.job_id and j.state in ('queued', 'running', 'cancelling');
        else
            update kiln.job j
               set state         = case when v_task.state = 'failed' and j.state in ('running', 'held')
                                            then 'failed' else 'cancelled' end::kiln.job_state,
                   error_code    = case when v_task.state = 'failed' then v_task.error_class end,
                   error_message = case when v_task.state = 'failed' then v_task.error_message end
             where j.job_id = v_task.job_id and j.state in ('queued', 'running', 'cancelling', 'held')
               and not exists (select from kiln.task o
                                where o.state = 'running'
                                  and o.task_id between kiln_internal.task_id(v_task.job_id,
                                                        0) and kiln_internal.task_id(v_task.job_id, 99, 99));
        end if;
    end loop;

    v_stopped := array(
        select t.task_id from kiln.task t
         -- a look by key, never a join: see kiln_internal.advance_jobs
         cross join lateral (select j.state from kiln.job j where j.job_id = t.job_id limit 1) j
         where t.task_id = any (p_task_ids) and t.state in ('ready', 'waiting')
           and j.state not in ('queued', 'running', 'held'));
    if v_stopped <> '{}' then
        update kiln.task set state = 'cancelled' where task_id = any (v_stopped)
           and state in ('ready', 'waiting');
    end if;

    with back as (
        update kiln.task_ready t
           set priority = (select j.priority from kiln.job j where j.job_id = t.job_id),
               virtual_time = greatest(t.virtual_time, (select f.next_virtual_time + 1
                                                          from kiln.low_watermark f
                                     where f.queue_id = t.queue_id and f.priority = (select j.priority
                                                        from kiln.job j where j.job_id = t.job_id)))
         where t.task_id = any (p_task_ids)
        returning t.queue_id, t.job_id
    )
    select array_agg(distinct b.queue_id), array_agg(b.job_id) into v_queue_ids, v_back from back b;
    if v_queue_ids is not null then
        update kiln.job j set state = 'running' where j.job_id = any (v_back) and j.state = 'held';
        perform kiln_internal.notify_waiters(v_queue_ids);
    end if;
end
$$;
comment on function kiln_internal.propagate_task_moves(bigint[]) is
'Holds, fails, cancels or resumes the jobs of tasks that were held, failed, were cancelled or became ready,
and
gives the ready ones a turn above the low watermark.';

-- What follows when tasks are held, fail, are cancelled, or go back to waiting. Their jobs are locked first: one that is being
-- cancelled meanwhile takes its task with it.
create or replace function kiln.follow_cold_moves(p_task_ids bigint[])
returns void
language plpgsql
as $$
declare
    v_stopped   bigint[];
    v_queue_ids smallint[];
begin
    perform from kiln.job j
      where j.job_id = any (array(select t / 10000 from unnest(p_task_ids) as t))
      order by j.job_id
        for no key update;

    update kiln.job j set state = 'held', error_code = t.error_class, error_message = t.error_message
      from kiln.task t
     where t.task_id = any (p_task_ids) and t.state = 'held' and j.job_id = t.job_id and j.state in ('queued', 'running', 'cancelling');

    -- A task that failed or was cancelled takes its job with it, unless another task of it still runs.
    update kiln.job j
       set state         = case when t.state = 'failed' and j.state in ('running', 'held') then 'failed' else 'cancelled' end::kiln.job_state,
           error_code    = case when t.state = 'failed' then t.error_class end,
           error_message = case when t.state = 'failed' then t.error_message end
      from kiln.task t
     where t.task_id = any (p_task_ids) and t.state in ('failed', 'cancelled') and j.job_id = t.job_id
       and j.state in ('queued', 'running', 'cancelling', 'held')
       and not exists (select from kiln.task o
                        where o.state = 'running' and o.task_id between kiln.task_id(j.job_id, 0) and kiln.task_id(j.job_id, 99, 99));

    v_stopped := array(
        select t.task_id from kiln.task t join kiln.job j using (job_id)
         where t.task_id = any (p_task_ids) and t.state in ('ready', 'waiting') and j.state not in ('queued', 'running', 'held'));
    if v_stopped <> '{}' then
        update kiln.task set state = 'cancelled' where task_id = any (v_stopped) and state in ('ready', 'waiting');
    end if;

    with back as (
        update kiln.task_ready t
           set vt = greatest(t.vt, f.vt + 1)
          from kiln.floor f
         where t.task_id = any (p_task_ids) and f.queue_id = t.queue_id and f.priority = t.priority
        returning t.queue_id, t.job_id
    ), resumed as (
        update kiln.job j set state = 'running' from back b where j.job_id = b.job_id and j.state = 'held'
    )
    select array_agg(distinct b.queue_id) into v_queue_ids from back b;
    if v_queue_ids is not null then
        perform kiln.ring(v_queue_ids);
    end if;
end
$$;
comment on function kiln.follow_cold_moves(bigint[]) is
'Holds, fails, cancels or resumes the jobs of tasks that were held, failed, were cancelled or became ready, and gives the ready
ones a turn above the floor.';

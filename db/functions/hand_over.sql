-- The next stage, or the end of the job. The UPDATE of the job waits for whoever holds it (a cancel) and then decides on
-- what it finds: a job that is being cancelled gets no next stage; a last stage that is done completes it all the same,
-- since the result is there.
create or replace function kiln.hand_over(p_task_ids bigint[])
returns void
language plpgsql
as $$
declare
    v_queue_ids smallint[];
begin
    with moved as (
        update kiln.job j
           set state  = case when d.stage = j.stages then 'completed'
                             when j.state = 'cancelling' then 'cancelled'
                             else 'running' end::kiln.job_state,
               stage  = case when d.stage < j.stages and j.state <> 'cancelling' then d.stage + 1 else j.stage end,
               output = case when d.stage = j.stages then d.output end
          from kiln.task d
         where d.task_id = any (p_task_ids) and d.state = 'done'
           and j.job_id = d.job_id and j.state in ('running', 'cancelling', 'held')
        returning j.job_id, j.state, j.stage, j.priority, j.pipeline_version_id, d.vt
    ), next as (
        insert into kiln.task_ready (task_id, job_id, vt, pipeline_version_id, queue_id, priority, stage)
        select kiln.task_id(m.job_id, m.stage), m.job_id, greatest(m.vt, f.vt + 1), m.pipeline_version_id, s.queue_id, m.priority, m.stage
          from moved m
          join kiln.stage s on s.pipeline_version_id = m.pipeline_version_id and s.position = m.stage
          join kiln.floor f on f.queue_id = s.queue_id and f.priority = m.priority
         where m.state = 'running'
        returning queue_id
    )
    select array_agg(distinct n.queue_id) into v_queue_ids from next n;

    if v_queue_ids is not null then
        perform kiln.ring(v_queue_ids);
    end if;
end
$$;
comment on function kiln.hand_over(bigint[]) is
'For tasks that are done: gives their jobs the next stage''s task, or completes (or, where it was being cancelled, cancels) them.';

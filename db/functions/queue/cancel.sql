-- Cancelling. The job is locked first; of its tasks only those are taken that nobody else holds (SKIP
-- LOCKED): whoever holds another is claiming or reporting it, comes to the job next, and finds that it is
-- being cancelled.
create or replace function kiln_internal.cancel_waiting_tasks(p_job_id bigint)
returns void
language plpgsql
as $$
declare
    v_task_ids bigint[];
begin
    v_task_ids := array(
        select t.task_id from kiln.task t
         where t.state in ('ready', 'waiting', 'held')
           and t.task_id between kiln_internal.task_id(p_job_id, 0) and kiln_internal.task_id(p_job_id, 99,
                                                        99)
           for update skip locked);
    if v_task_ids <> '{}' then
        update kiln.task t set state = 'cancelled' where t.state in ('ready', 'waiting', 'held')
           and t.task_id = any (v_task_ids);
        delete from kiln.deferred_task p where p.task_id = any (v_task_ids);
    end if;
    -- What a provider has already is told to be cancelled, and followed to its end for the bill.
    update kiln.call c set cancel_requested_at = kiln_internal.now()
     where c.call_id = any (kiln_internal.unsettled_calls(p_job_id)) and c.cancel_requested_at is null;
    if found then
        update kiln.poll p set poll_at = kiln_internal.now()
         where p.call_id = any (array(select c.call_id from kiln.call c
                                       where c.call_id = any (kiln_internal.unsettled_calls(p_job_id))
                                         and c.state = 'accepted'));
    end if;
end
$$;
comment on function kiln_internal.cancel_waiting_tasks(bigint) is
'Cancels what waits of this job, and nothing that someone is at work on; its calls are cancelled at their
providers.';

create or replace function kiln.cancel_job(p_job_id bigint)
returns kiln.job_state
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_state kiln.job_state;
begin
    select j.state into v_state from kiln.job j where j.job_id = p_job_id for no key update;
    if not found then
        raise exception 'there is no job %', p_job_id using errcode = 'KN002';
    end if;
    if v_state = 'cancelling' then
        return v_state;
    end if;
    -- Idle is what has a task that waits and that nobody holds at this moment.
    if v_state in ('queued', 'running', 'held') and exists (
        select from (select from kiln.task t
                      where t.state in ('ready', 'waiting', 'held')
                        and t.task_id between kiln_internal.task_id(p_job_id,
                                                                    0) and kiln_internal.task_id(p_job_id, 99,
                                                                        99)
                        for update skip locked) as free) then
        update kiln.job set state = 'cancelled' where job_id = p_job_id;
    elsif v_state = 'held' then
        update kiln.job set state = 'cancelled' where job_id = p_job_id;
    else
        update kiln.job set state = 'cancelling' where job_id = p_job_id;
    end if;
    select j.state into v_state from kiln.job j where j.job_id = p_job_id;
    return v_state;
end
$$;
comment on function kiln.cancel_job(bigint) is
'Cancels a job. A waiting job ends at once (returns cancelled). A running job ends when its runner has been
told, within a second (returns cancelling).
KN001: it has ended. KN002: there is no such job.';

-- Calls as rows.
create or replace function kiln_internal.unsettled_calls(p_job_id bigint)
returns bigint[]
language plpgsql stable
as $$
begin
    -- By the job's calls, not by all that are unsettled (hence OFFSET 0).
    return array(select c.call_id from (select c.call_id, c.state from kiln.call c where c.job_id = p_job_id
                                        offset 0) c where c.state <> 'settled');
end
$$;
comment on function kiln_internal.unsettled_calls(bigint) is 'The calls of a job that may still cost.';

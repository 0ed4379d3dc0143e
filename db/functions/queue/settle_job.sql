-- The account pays at most what was held, and nothing for a job that failed; what is more is the operator's
-- (kiln.waste). A job that was cancelled pays what it had used by then.
create or replace function kiln_internal.settle_job(p_job_id bigint)
returns void
language plpgsql
as $$
declare
    v_job  kiln.job;
    v_held bigint;
    v_cost bigint;
    v_pays bigint;
begin
    select j.* into v_job from kiln.job j where j.job_id = p_job_id;
    if v_job.finished_at is null or kiln_internal.unsettled_calls(p_job_id) <> '{}' then
        return;
    end if;
    select sum(c.charged_micros) into v_cost from kiln.call c where c.job_id = p_job_id;
    if v_cost is null and v_job.state = 'completed'
       and not exists (select from kiln.call c where c.job_id = p_job_id) then
        v_cost := v_job.estimated_micros;       -- priced work that needs no provider
    end if;
    if v_job.actual_micros is distinct from coalesce(v_cost, 0) then
        update kiln.job set actual_micros = coalesce(v_cost, 0) where job_id = p_job_id;
    end if;
    select -l.amount_micros into v_held from kiln.ledger l where l.job_id = p_job_id and l.kind = 'hold';
    if v_held is null then
        return;
    end if;
    insert into kiln.ledger (account_id, job_id, kind, amount_micros)
    values (v_job.account_id, p_job_id, 'release', v_held)
    on conflict do nothing;
    v_pays := case v_job.state when 'failed' then 0 else least(v_held, coalesce(v_cost, 0)) end;
    if found and v_pays > 0 then
        insert into kiln.ledger (account_id, job_id, kind, amount_micros)
        values (v_job.account_id, p_job_id, 'charge', -v_pays);
    end if;
end
$$;
comment on function kiln_internal.settle_job(bigint) is
'Closes the account of a job that has ended and of which no call is unsettled: what it cost, the hold
released,
the charge. Once; before that, and again, it does nothing.';

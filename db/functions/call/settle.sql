-- The end of a call, and what it cost.

-- The end of a call. The job is locked; where it has ended already, its money is settled too.
create or replace function kiln_internal.settle_call(
    p_call        kiln.call,
    p_provider    kiln.provider,
    p_outcome     text,
    p_class       text    default null,
    p_code        text    default null,
    p_message     text    default null,
    p_is_unbilled boolean default null,
    p_cost        bigint  default null,
    p_result      jsonb   default null,
    p_media       bigint[] default '{}')
returns kiln.call
language plpgsql
as $$
declare
    v_call    kiln.call;
    v_charged bigint := case
        when p_outcome = 'not_sent' or p_is_unbilled     then 0
        when not p_provider.is_paid                      then coalesce(p_cost, 0)
        when p_outcome = 'failed' and p_class = 'unknown' then null
        when p_outcome = 'failed' and not p_provider.bills_failures then 0
        when p_outcome = 'cancelled' and not p_provider.bills_cancelled then 0
        else coalesce(p_cost, p_call.estimated_micros) end;
begin
    delete from kiln.poll p where p.call_id = p_call.call_id;
    update kiln.call c
       set state = 'settled', outcome = p_outcome, error_class = p_class, error_code = left(p_code, 200),
           error_message = kiln_internal.shorten(p_message, 2000),
           is_unbilled = p_is_unbilled, charged_micros = v_charged, result = p_result,
           media = coalesce(p_media, '{}'),
           poll_request = null, settled_at = kiln_internal.now()
     where c.call_id = p_call.call_id
    returning c.* into v_call;
    if exists (select from kiln.job j where j.job_id = p_call.job_id
                  and (j.finished_at is not null or v_charged > 0)) then
        update kiln.job set actual_micros = (select sum(c.charged_micros) from kiln.call c
                                              where c.job_id = p_call.job_id)
         where job_id = p_call.job_id and v_charged > 0;
        perform kiln_internal.settle_job(p_call.job_id);
    end if;
    return v_call;
end
$$;
comment on function kiln_internal.settle_call(kiln.call, kiln.provider, text, text, text, text, boolean,
                                              bigint, jsonb, bigint[]) is
'Ends a call, with what it cost: nothing where the description says so; the provider''s own figure or else the
estimate where it says that such an end is billed; null where nobody can know.';

-- What the provider says after the call was settled: it cannot change what followed, but the money shows.
create or replace function kiln_internal.record_late_outcome(p_call kiln.call, p_provider kiln.provider,
                                                             p_outcome text, p_result jsonb, p_cost bigint,
                                                             p_is_unbilled boolean)
returns void
language plpgsql
as $$
begin
    if p_outcome is not distinct from p_call.outcome or p_outcome is not distinct from p_call.late_outcome
       or p_outcome in ('accepted', 'queued', 'running')
        and (p_call.late_outcome is not null or p_call.outcome in ('succeeded', 'cancelled')
             or p_call.outcome = 'failed' and p_call.error_class is distinct from 'unknown')
       or p_outcome = 'unclear' or p_outcome is null then
        return;
    end if;
    update kiln.call c
       set late_at = kiln_internal.now(), late_outcome = p_outcome,
           result = case when p_outcome = 'succeeded' then coalesce(p_result, c.result) else c.result end,
           charged_micros = case when p_is_unbilled or p_outcome = 'failed' and not p_provider.bills_failures
                                      or p_outcome = 'cancelled' and not p_provider.bills_cancelled
                                     then coalesce(c.charged_micros, 0)
                                 when p_outcome in ('succeeded', 'failed', 'cancelled')
                                     then greatest(c.charged_micros, coalesce(p_cost, c.estimated_micros))
                                 else c.charged_micros end
     where c.call_id = p_call.call_id;
    update kiln.job set actual_micros = (select sum(c.charged_micros) from kiln.call c
                                          where c.job_id = p_call.job_id)
     where job_id = p_call.job_id and actual_micros is not null;
end
$$;
comment on function kiln_internal.record_late_outcome(kiln.call, kiln.provider, text, jsonb, bigint,
                                                      boolean) is
'Records what a provider says of a call that was settled otherwise. The account pays no more for it: it shows
in kiln.waste.';

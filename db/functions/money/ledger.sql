-- Money. What moves is written as rows and never changed; docs/money.md says when.
create or replace function kiln_internal.hold_for_job(p_job_id bigint, p_account_id bigint, p_micros bigint)
returns void
language plpgsql
as $$
begin
    insert into kiln.ledger (account_id, job_id, kind, amount_micros)
    values (p_account_id, p_job_id, 'hold', -p_micros);
end
$$;
comment on function kiln_internal.hold_for_job(bigint, bigint, bigint) is
'Sets a job''s estimated price aside.';

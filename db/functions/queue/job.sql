-- Jobs: resumed and deleted.
create or replace function kiln_internal.job_stage(p_job_id bigint)
returns smallint
language sql stable
return (select coalesce(max(t.stage), 1) from kiln.task t
         where t.task_id between kiln_internal.task_id(p_job_id, 0) and kiln_internal.task_id(p_job_id, 99,
                                                        99));
comment on function kiln_internal.job_stage(bigint) is
'The stage of a job whose turn it is, or the last one that had it.';

create or replace function kiln.resume_job(p_job_id bigint)
returns kiln.job_state
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    if exists (select from kiln.job j join kiln.call c using (job_id)
                where j.job_id = p_job_id and j.state = 'held' and c.state = 'unknown') then
        raise exception 'job % is held since a call of it may have been paid', p_job_id
            using errcode = 'KN001',
            hint = format('select kiln.resolve_job(%s, ''resend'', ''why''); or ''fail'', or ''adopt'': \df+ '
                          'kiln.resolve_job', p_job_id);
    end if;
    update kiln.job set state = 'running' where job_id = p_job_id and state = 'held';
    if not found then
        raise exception 'job % is not held', p_job_id using errcode = 'KN001';
    end if;
    return 'running';
end
$$;
comment on function kiln.resume_job(bigint) is
'Makes the held task of a job ready again. KN001: the job is not held, or one of its calls may have been
paid: kiln.resolve_job() decides.';

create or replace function kiln.delete_job(p_job_id bigint)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    delete from kiln.job where job_id = p_job_id;
    if not found then
        raise exception 'there is no job %', p_job_id using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln.delete_job(bigint) is
'Deletes a job that has ended, with its tasks and media. A runner removes the files. KN001: the job has not
ended, or one of its calls is not settled.';

create or replace function kiln_internal.drop_job(p_job_id bigint, p_state kiln.job_state)
returns void
language plpgsql
set search_path = ''
as $$
begin
    begin
        if p_state in ('queued', 'running', 'held') then
            perform kiln.cancel_job(p_job_id);
        end if;
    exception when sqlstate 'KN001' or sqlstate 'KN002' then
        null;               -- it has ended meanwhile, or somebody has deleted it
    end;
    begin
        perform kiln.delete_job(p_job_id);
    exception when sqlstate 'KN001' or sqlstate 'KN002' then
        null;               -- apart from the cancel, which must hold
    end;
end
$$;
comment on function kiln_internal.drop_job(bigint, kiln.job_state) is
'Cancels and deletes a job of an account or a project that was deleted; what its runner or its provider has
stays, cancelled, until it is tried again. One that is gone already is no error.';

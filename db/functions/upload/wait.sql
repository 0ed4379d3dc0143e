-- Jobs that wait for the check of their files.

-- The job holds its inputs by their ids, and runners are told of those that are ready only: what it is given
-- is what was checked.
create or replace function kiln_internal.await_media(p_job_id bigint)
returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
declare
    v_waits boolean;
begin
    -- Locked, so that a check that ends at this moment is seen as ended, or finds that it is waited for.
    insert into kiln.media_wait (job_id, media_id)
    select p_job_id, m.media_id
      from kiln.job j
     cross join lateral jsonb_array_elements_text(j.input -> 'media') as i
      join kiln.media m on m.media_id = i::bigint
     where j.job_id = p_job_id and m.state = 'checking'
     order by m.media_id
       for share of m;
    v_waits := found;
    if not v_waits then
        perform kiln_internal.start_waiting(p_job_id);
    end if;
    return v_waits;
end
$$;
comment on function kiln_internal.await_media(bigint) is
'Has a job that was enqueued for infinity wait until all of its files are checked; where all are, it may start
now. True: it waits.';

-- A job that has not ended has a task that has not (kiln.contradictions), and of those an account has few,
-- however many jobs it ever had.
create or replace function kiln_internal.media_in_use(p_account_id bigint, p_media bigint[])
returns bigint[]
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_ids text[] := p_media::text[];
begin
    return array(
        select distinct u.id::bigint
          from (select r.job_id
                  from kiln.low_watermark f
                 cross join lateral (select t.job_id from kiln.task_ready t
                                      where t.queue_id = f.queue_id and t.priority = f.priority
                                        and t.account_id = p_account_id offset 0) r
                union all select t.job_id from kiln.task_running t where t.account_id = p_account_id
                union all select t.job_id from kiln.task_waiting t where t.account_id = p_account_id
                union all select t.job_id from kiln.task_held t where t.account_id = p_account_id) o
         cross join lateral (select x.input -> 'media' as media from kiln.job x
                              where x.job_id = o.job_id and x.finished_at is null limit 1) j
         cross join unnest(v_ids) as u (id)
         where j.media ?| v_ids and j.media ? u.id);
end
$$;
comment on function kiln_internal.media_in_use(bigint, bigint[]) is
'Which of these files a job of the account that has not ended was given.';

create or replace function kiln_internal.start_waiting(p_job_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.task t set state = 'ready' where t.state = 'waiting'
       and t.task_id = kiln_internal.task_id(p_job_id, 1);
    update kiln.job j set run_at = null where j.job_id = p_job_id;
end
$$;
comment on function kiln_internal.start_waiting(bigint) is 'A job that waited for its files may start.';

create or replace function kiln_internal.end_wait(p_media_id bigint, p_reason text default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
begin
    for v_job_id in select a.job_id from kiln.media_wait a where a.media_id = p_media_id order by a.job_id
    loop
        -- Two checks that end at once meet at these rows, and the second sees that it is the last.
        perform from kiln.media_wait a where a.job_id = v_job_id order by a.media_id for update;
        delete from kiln.media_wait a where a.job_id = v_job_id
           and (a.media_id = p_media_id or p_reason is not null);
        if p_reason is not null then
            update kiln.job j set state = 'cancelled', error_code = 'invalid',
                   error_message = 'A file of it was rejected: ' || p_reason
             where j.job_id = v_job_id and j.state = 'queued';
        elsif not exists (select from kiln.media_wait a where a.job_id = v_job_id) then
            perform kiln_internal.start_waiting(v_job_id);
        end if;
    end loop;
end
$$;
comment on function kiln_internal.end_wait(bigint, text) is
'A file was checked: jobs that waited for it alone may start. p_reason: it was rejected, and they end with
that.';

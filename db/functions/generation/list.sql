-- Pages of generations.
create or replace function kiln_internal.generation_page(p_account_id bigint, p_state kiln.job_state,
                                                         p_type kiln.media_type, p_before bigint, p_limit int)
returns kiln.job[]
language plpgsql stable security definer
-- A bitmap has no order: all jobs of the account would be read and sorted for each page.
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off set enable_sort = off
as $$
declare
    c_walk constant int := 200;
    -- more of them stand so close together among its newest jobs that these are walked
    c_open constant int := 20000;
    v_jobs kiln.job[];
    v_end  bigint;
    v_open bigint[] := '{}';
    v_ids  bigint[];
begin
    perform kiln_internal.require_actor(p_account_id);
    -- account_id = p_account_id, said so that only the index of the account's jobs has the order: the one of
    -- all jobs, read backwards until enough of this account were found, looked as good to a planner without
    -- statistics.
    select w.job_id into v_end
      from kiln.job w
     where w.account_id >= p_account_id and (w.account_id, w.job_id) < (p_account_id, p_before)
     order by w.account_id desc, w.job_id desc
    offset c_walk limit 1;
    v_jobs := array(
        select w.job
          from (select j as job
                  from kiln.job j
                 where j.account_id >= p_account_id and (j.account_id, j.job_id) < (p_account_id, p_before)
                 order by j.account_id desc, j.job_id desc
                 -- a comparison of rows begins a scan of an index, and does not end it
                 limit c_walk + 1) w
         where (w.job).kind = 'generation' and (p_type is null or (w.job).media_type = p_type)
           and (p_state is null or (w.job).state = p_state)
         limit p_limit);
    if cardinality(v_jobs) = p_limit or v_end is null then
        return v_jobs;
    end if;

    -- The rest is older than what was walked.
    if p_state is null or p_state not in ('completed', 'failed', 'cancelled') then
        v_open := kiln_internal.open_job_ids(p_account_id, 'generation', p_state, p_type, v_end, p_limit,
                                             c_open);
        if cardinality(v_open) >= c_open then
            v_open := array(
                select j.job_id
                  from kiln.job j
                 where j.account_id >= p_account_id and (j.account_id, j.job_id) < (p_account_id, v_end)
                   and j.kind = 'generation' and (p_type is null or j.media_type = p_type)
                   and case when p_state is null then j.finished_at is null else j.state = p_state end
                 order by j.account_id desc, j.job_id desc
                 limit p_limit);
        end if;
    end if;
    v_ids := kiln_internal.ended_job_ids(p_account_id, 'generation', p_state, p_type, v_end, p_limit);
    return v_jobs || array(
        select j.job
          from unnest(v_ids || v_open) as i (job_id)
         cross join lateral (select x as job, x.* from kiln.job x where x.job_id = i.job_id limit 1) j
         where j.job_id < v_end
           and j.account_id = p_account_id and j.kind = 'generation'
           and (p_type is null or j.media_type = p_type) and (p_state is null or j.state = p_state)
         order by j.job_id desc
         limit p_limit - cardinality(v_jobs));
end
$$;
comment on function kiln_internal.generation_page(bigint, kiln.job_state, kiln.media_type, bigint, int) is
'The actor''s p_limit newest generations below a job_id, in a state and of a type (null: any). Fewer: there
are no more. KN009: for another than who acts.';

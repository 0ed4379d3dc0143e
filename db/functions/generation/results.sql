-- The results of a job.
create or replace function kiln_internal.job_results(p_job kiln.job)
returns setof kiln.media
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return query
    select m.*
      from jsonb_array_elements_text(case jsonb_typeof(p_job.output -> 'media') when 'array'
                                              then p_job.output -> 'media'
                                          else '[]' end) with ordinality as u (id, ord)
      join kiln.media m on m.media_id = case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end
     where m.account_id = p_job.account_id and m.job_id = p_job.job_id and m.state = 'ready'
     order by u.ord;
end
$$;
comment on function kiln_internal.job_results(kiln.job) is
'The files that a job made and that are there, in their order.';

-- Which ops make samples is said in C alone (request_is_local): what people get has passed finish or
-- disclose, which note it.
create or replace function kiln_internal.is_local_sample(p_job kiln.job)
returns boolean
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return coalesce((p_job.output #>> '{disclose,local_sample}')::boolean,
                    p_job.output #>> '{finish,sample}' = 'local'
                    or (select v.is_local from kiln.model m join kiln.provider v using (provider_id)
                         where m.model_id = p_job.model_id), false);
end
$$;
comment on function kiln_internal.is_local_sample(kiln.job) is
'Whether what a job made is a sample of this machine''s own making, for trying and testing.';

-- How often each model is used, and how long it takes.

-- By the key and so many: what it costs does not grow with the history.
create or replace function kiln_internal.measure_models()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    insert into kiln.model_use (model_id, jobs, completed, took_ms, measured_at)
    select m.model_id, count(j.model_id), count(j.took_ms),
           percentile_cont(0.5) within group (order by j.took_ms)::bigint, kiln_internal.now()
      from kiln.model m
      left join (select j.model_id,
                        case j.state when 'completed'
                                 then extract(epoch from j.finished_at - j.started_at) * 1000 end as took_ms
                   from kiln.job j order by j.job_id desc limit 10000) j using (model_id)
     group by m.model_id
    on conflict (model_id) do update
       set jobs = excluded.jobs, completed = excluded.completed, took_ms = excluded.took_ms,
           measured_at = excluded.measured_at;
end
$$;
comment on function kiln_internal.measure_models() is
'Counts the newest 10,000 jobs by model, and how long those that are done took: kiln.model_use.';

-- Calls, held jobs, and money that was lost.
create or replace view kiln.calls as
select c.job_id as job, left(s.name, 7) as stage, c.number as no, left(p.name, 8) as provider,
       case when c.state = 'settled' then c.outcome else c.state::text end as state,
       c.charged_micros as charged, kiln_internal.format_time(coalesce(c.settled_at,
                                                                 kiln_internal.now()) - c.created_at) as took,
       kiln_internal.shorten(case when c.late_outcome is not null then 'late: ' || c.late_outcome
                                  else coalesce(c.why, c.error_message) end, 12) as why
  from kiln.call c
  join kiln.provider p using (provider_id)
  left join kiln.job j using (job_id)
  left join kiln.stage s on s.pipeline_version_id = j.pipeline_version_id
   and s.position = c.task_id / 100 % 100
 order by c.call_id;
comment on view kiln.calls is
'All paid requests: select * from kiln.calls where job = 42 (by index; without a condition it reads all).
The request as sent, the provider''s id, the estimate and whole sentences: kiln.call.';
comment on column kiln.calls.job is 'job_id.';
comment on column kiln.calls.stage is 'The stage.';
comment on column kiln.calls.no is 'The first, second … call of that stage.';
comment on column kiln.calls.provider is 'Who was asked.';
comment on column kiln.calls.state is 'open, accepted, unknown, or how it ended.';
comment on column kiln.calls.charged is 'What it cost, in micro-units; null: not known.';
comment on column kiln.calls.took is 'From its beginning to its end, or to now.';
comment on column kiln.calls.why is
'The beginning of why it failed, or why its outcome is unknown; late: what the provider said after we had
given it up.';

-- A function, so that its plan goes by indexes whatever the statistics say: with none the view read all calls
-- once for each.
create or replace function kiln.waste_since(p_since timestamptz)
returns table (job bigint, providers text, micros bigint, perhaps bigint, why text, last_at timestamptz)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    return query
    with recent as materialized (
        select distinct c.job_id
          from kiln.provider p
         cross join lateral (select c.job_id from kiln.call c
                              where c.provider_id = p.provider_id and c.created_at > p_since offset 0) c
    )
    select r.job_id, w.providers, w.cost + coalesce(l.charge, 0), w.perhaps,
           concat_ws(E'\n',
               case when j.state = 'failed' and w.cost > 0 then 'the job failed' end,
               case when w.failed > 0 then 'a failure was billed' end,
               case when w.late > 0 then 'told after we gave up' end,
               case when w.cost > j.estimated_micros then 'more than the estimate' end,
               case when w.unknown > 0 then 'charge cannot be known' end),
           w.last_at
      from recent r
     cross join lateral (
           select string_agg(distinct p.name, ',') as providers,
                  coalesce(sum(c.charged_micros), 0)::bigint as cost,
                  coalesce(sum(c.estimated_micros) filter (where c.charged_micros is null),
                           0)::bigint as perhaps,
                  count(*) filter (where c.outcome in ('failed', 'cancelled') and c.charged_micros > 0
                                   and c.late_at is null) as failed,
                  count(*) filter (where c.late_at is not null) as late,
                  count(*) filter (where c.charged_micros is null) as unknown,
                  max(coalesce(c.late_at, c.settled_at)) as last_at
             from (select c.* from kiln.call c where c.job_id = r.job_id and c.state = 'settled' offset 0) c
             join kiln.provider p using (provider_id)) w
     cross join lateral (select j.state, j.estimated_micros from kiln.job j
                          where j.job_id = r.job_id and j.finished_at is not null limit 1) j
      left join lateral (select l.amount_micros as charge from kiln.ledger l
                          where l.job_id = r.job_id and l.kind = 'charge' limit 1) l on true
     where w.cost + coalesce(l.charge, 0) > 0 or w.perhaps > 0;
end
$$;
comment on function kiln.waste_since(timestamptz) is
'The rows of kiln.waste for jobs that called a provider since then.';

create or replace view kiln.waste as
select w.job, kiln_internal.shorten(w.providers, 8) as providers, w.micros, w.perhaps, w.why,
       kiln_internal.ago(w.last_at) as at
  from kiln.waste_since(kiln_internal.now() - interval '31 days') w
 order by w.last_at desc;
comment on view kiln.waste is
'The cost of calls that no account pays: billed failures, late outcomes, excess over the estimate. It covers
jobs that have ended and called a provider in the last 31 days.
Earlier ones: select * from kiln.waste_since(time)';
comment on column kiln.waste.job is 'job_id.';
comment on column kiln.waste.providers is 'Who was paid.';
comment on column kiln.waste.micros is 'What the operator bears, in micro-units.';
comment on column kiln.waste.perhaps is 'What may have been charged besides, by estimate: nobody can know.';
comment on column kiln.waste.why is 'Where it comes from.';
comment on column kiln.waste.at is 'When the last of it was known.';

create or replace view kiln.held_jobs as
select j.job_id as job, s.name as stage, t.error_class as reason,
       date_trunc('second', coalesce(a.at, t.started_at)) as since,
       p.name as provider, c.call_id as call, c.provider_request_id as request_id, t.error_message as message,
       case when t.error_class in ('unknown', 'timeout', 'lost') and c.call_id is not null
            or c.state <> 'settled'
            then case when t.error_class = 'lost'
                          then format('select kiln.resolve_job(%s, ''fetch'', ''why''); -- or: ', j.job_id)
                      else '' end
                 || format($s$select kiln.resolve_job(%s, 'resend', 'why'); -- or 'fail'; or: kiln.resolve_job(%1$s, 'adopt', 'why', '{"request_id": "…"}')%s$s$, j.job_id,
                        case when c.state <> 'settled' and c.timeout_at > kiln_internal.now()
                                 then format('; resend and fail only after %s UTC',
                                             to_char(c.timeout_at at time zone 'UTC', 'HH24:MI:SS'))
                             else '' end)
            else format('select kiln.resume_job(%s); -- or kiln.cancel_job(%1$s)', j.job_id) end as what_to_do
  from kiln.task_held t
  join kiln.job j using (job_id)
  join kiln.stage s on s.pipeline_version_id = t.pipeline_version_id and s.position = t.stage
  left join lateral (select c.* from kiln.call c where c.task_id = t.task_id order by c.number desc
                      limit 1) c on true
  left join kiln.provider p on p.provider_id = c.provider_id
  left join lateral (select max(a.finished_at) as at from kiln.attempt a where a.job_id = j.job_id) a on true
 order by j.job_id;
comment on view kiln.held_jobs is
'The jobs that wait for a person''s decision: since when, why, the provider with its id of the call, and the
statements to type.';
comment on column kiln.held_jobs.job is 'job_id.';
comment on column kiln.held_jobs.stage is 'Where it stands.';
comment on column kiln.held_jobs.reason is
'Why, in a word: unknown (perhaps paid), timeout (accepted, and does not end), lost (paid, and its result
cannot be had), poison, operator.';
comment on column kiln.held_jobs.since is 'Since when.';
comment on column kiln.held_jobs.provider is 'Whom it asked last.';
comment on column kiln.held_jobs.call is 'The last call: kiln.call has what was sent.';
comment on column kiln.held_jobs.request_id is 'The provider''s id of it, where it is known.';
comment on column kiln.held_jobs.message is 'Why, in a sentence.';
comment on column kiln.held_jobs.what_to_do is 'What to type.';

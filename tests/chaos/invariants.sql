-- What must hold when the storm is over and nothing runs any more: no row as long as all is well. One query,
-- so that it can be pasted into psql at any time (jobs that are still at work are then among its rows).
with told as (
    select e.job_id, e.event_id, e.type, e.version,
           row_number() over (partition by e.job_id order by e.event_id) as nth
      from kiln.event e
     where e.job_id is not null and e.type <> 'job.progress'
), open_attempt as (
    select a.task_id, a.fence, a.outcome, count(*) over (partition by a.fence) as times,
           max(a.fence) over (partition by a.task_id) as last_fence
      from kiln.attempt a
)
select c.what, c.id, c.complaint from kiln.check_all() c

-- every job has ended, or is held with a reason
union all
select 'job', j.job_id, format('is %s, and its tasks are %s', j.state,
           (select string_agg(format('%s %s', t.task_id, t.state), ', ' order by t.task_id) from kiln.task t
             where t.job_id = j.job_id))
  from kiln.job j
 where j.state not in ('completed', 'failed', 'cancelled', 'held')
union all
select 'job', t.job_id, 'is held without a reason'
  from kiln.task t
 where t.state = 'held' and (t.error_class is null or t.error_message is null)
union all
select 'job', j.job_id, format('is %s without a word', j.state)
  from kiln.job j
 where j.state = 'failed' and j.error_message is null

-- what is held as poison killed three, and what is held for its call is held where nobody can be asked
union all
select 'task', t.task_id, format('is held as poison after %s deaths', t.interruptions)
  from kiln.task t
 where t.state = 'held' and t.error_class = 'poison' and t.interruptions < 3

-- calls are settled, or wait with their task for a person's word; one at a time
union all
select 'call', c.call_id, format('is %s, and its task is %s', c.state, coalesce(t.state::text, 'gone'))
  from kiln.call c left join kiln.task t using (task_id)
 where c.state <> 'settled' and t.state is distinct from 'held'
union all
select 'call', c.call_id, 'succeeded, and its task went on without it'
  from kiln.call c join kiln.task t using (task_id)
 where c.outcome = 'succeeded' and t.state = 'done'
   and exists (select from kiln.call d where d.task_id = c.task_id and d.number > c.number)

-- money: what was set aside for a job that has ended is given back, once, and what it cost was charged: at
-- most that
union all
select 'job', j.job_id, format('held %s, released %s, charged %s; its calls cost %s and it is %s', l.held,
                               l.released, l.charged, l.cost, j.state)
  from kiln.job j
 cross join lateral (
       select coalesce(sum(-l.amount_micros) filter (where l.kind = 'hold'), 0) as held,
              coalesce(sum(l.amount_micros) filter (where l.kind = 'release'), 0) as released,
              coalesce(sum(-l.amount_micros) filter (where l.kind = 'charge'), 0) as charged,
              coalesce((select sum(c.charged_micros) from kiln.call c where c.job_id = j.job_id), 0) as cost,
              exists (select from kiln.call c where c.job_id = j.job_id and c.state <> 'settled') as is_open
         from kiln.ledger l
        where l.job_id = j.job_id) l
 where (l.held > 0 or j.estimated_micros > 0)
   and (l.held <> j.estimated_micros
        or l.released <> case when j.finished_at is null or l.is_open then 0 else l.held end
        or l.charged <> case when j.finished_at is null or l.is_open or j.state = 'failed' then 0
                             else least(l.held, l.cost) end)

-- no lease is held by the dead
union all
select 'runner', r.runner_id, format('ended (%s) and has tasks', r.ended_why)
  from kiln.runner r
 where r.ended_at is not null and exists (select from kiln.task_running t where t.runner_id = r.runner_id)
union all
select 'runner', r.runner_id, 'has ended and still beats'
  from kiln.runner r join kiln.heartbeat h using (runner_id)
 where r.ended_at is not null
union all
select 'task', t.task_id, 'runs, and its job has ended'
  from kiln.task_running t join kiln.job j using (job_id)
 where j.finished_at is not null

-- the log tells each state once and in order, from queued to the end
union all
select 'job', t.job_id, format('event %s says version %s, and is the %s. of its states', t.event_id,
                               t.version, t.nth)
  from told t
 where t.version <> t.nth
union all
select 'job', j.job_id, format('is %s, and the last word of the log is %s', j.state,
                               coalesce(t.type::text, 'nothing'))
  from kiln.job j left join told t on t.job_id = j.job_id and t.nth = j.version
 where t.type::text is distinct from 'job.' || j.state
union all
select 'job', t.job_id, format('the log begins with %s', t.type)
  from told t
 where t.nth = 1 and t.type <> 'job.queued'
union all
select 'job', p.job_id,
       format('progress %s tells of version %s before that was reached, or after it was left', p.event_id,
              p.version)
  from kiln.event p
 where p.type = 'job.progress'
   and p.version is distinct from (select max(t.version) from told t
                                    where t.job_id = p.job_id and t.event_id < p.event_id)

-- one claim, one end; and what counts as done is the last claim
union all
select 'task', a.task_id, format('fence %s has %s ends', a.fence, a.times)
  from open_attempt a
 where a.times > 1
union all
select 'task', a.task_id, format('is done under fence %s, and was claimed again under %s', a.fence,
                                 a.last_fence)
  from open_attempt a
 where a.outcome = 'done' and a.fence <> a.last_fence

-- a stage is not begun before the one before it is done
union all
select 'task', t.task_id, 'is there, and the stage before it is not done'
  from kiln.task t
 where t.stage > 1 and not exists (select from kiln.task p
                                    where p.task_id = t.task_id - 100 and p.state = 'done')

-- a result that was promised is there
union all
select 'job', j.job_id, format('names media %s, which is not there', m.id)
  from kiln.job j
 cross join lateral jsonb_array_elements_text(case jsonb_typeof(j.output -> 'media') when 'array'
                                                       then j.output -> 'media' else '[]' end) as m (id)
 where j.state = 'completed' and not exists (select from kiln.media f
                                              where f.media_id = m.id::bigint and f.state = 'ready')
order by 1, 2, 3;

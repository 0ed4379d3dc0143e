-- What must never be. Empty as long as all is well: the first thing to look at when something is strange, and what the tests
-- ask after every storm. It reads whole tables: not for a monitoring loop on a large installation.
create or replace view kiln.contradictions as
with open_task as (
    select t.job_id, count(*) as tasks, count(*) filter (where t.state = 'running') as running, min(t.state) as state
      from kiln.task t
     where t.state in ('ready', 'waiting', 'running', 'held')
     group by t.job_id
), told as (
    select e.job_id, count(*) filter (where e.type <> 'job.progress') as moves
      from kiln.event e
     where e.job_id is not null
     group by e.job_id
)
select 'job'::text as what, j.job_id as id, format('is %s, and nothing of it waits or runs', j.state) as complaint
  from kiln.job j
 where j.finished_at is null and not exists (select from open_task o where o.job_id = j.job_id)
union all
select 'job', j.job_id, format('is %s, and a task of it is still %s', j.state, o.state)
  from kiln.job j join open_task o using (job_id)
 where j.finished_at is not null and o.tasks > o.running
union all
select 'job', o.job_id, format('has %s open tasks', o.tasks)
  from open_task o
 where o.tasks > 1
union all
select 'job', j.job_id, format('is queued, and its task is %s', o.state)
  from kiln.job j join open_task o using (job_id)
 where j.state = 'queued' and o.state not in ('ready', 'waiting')
union all
select 'job', j.job_id, format('has an end (%s), and is %s', j.finished_at, j.state)
  from kiln.job j
 where (j.finished_at is not null) <> (j.state in ('completed', 'failed', 'cancelled'))
union all
select 'job', j.job_id, 'is completed, and its last stage is not done'
  from kiln.job j
 where j.state = 'completed'
   and not exists (select from kiln.task t where t.task_id = kiln.task_id(j.job_id, j.stages) and t.state = 'done')
union all
select 'job', j.job_id, format('is at version %s, and the log tells of %s states', j.version, coalesce(e.moves, 0))
  from kiln.job j left join told e using (job_id)
 where j.version <> coalesce(e.moves, 0) and j.created_at > kiln.now() - (select c.event_keep from kiln.config c)
union all
select 'task', t.task_id, 'is there twice'
  from kiln.task t
 group by t.task_id having count(*) > 1
union all
-- (One that a person adopted while it was held has the attempt after which it was held.)
select 'task', t.task_id, 'is done, and no attempt says so, or more than one'
  from kiln.task t
 where t.state = 'done' and t.runner_id is not null and t.created_at > kiln.now() - (select c.attempt_keep from kiln.config c)
   and 1 <> (select count(*) from kiln.attempt a where a.job_id = t.job_id and a.task_id = t.task_id and (a.outcome = 'done' or a.fence = t.fence))
union all
select 'task', t.task_id, format('runs with runner %s, which is gone', t.runner_id)
  from kiln.task_running t
 where not exists (select from kiln.heartbeat h where h.runner_id = t.runner_id)
-- Money: no stage is paid twice without someone's word.
union all
select 'call', c.call_id, format('task %s was called again after it, and it was %s', c.task_id,
                                 case when c.state <> 'settled' then c.state::text when c.charged_micros is null then 'perhaps charged' else 'charged ' || c.charged_micros end)
  from kiln.call c
  join kiln.job j using (job_id)
  join kiln.stage s on s.pipeline_version_id = j.pipeline_version_id and s.position = c.task_id / 100 % 100
 where exists (select from kiln.call n where n.task_id = c.task_id and n.number > c.number)
   and (c.state <> 'settled' or c.charged_micros is distinct from 0)
   and not exists (select from kiln.resolution r where r.call_id = c.call_id and r.action = 'resend')
   and not (c.outcome = 'failed' and (c.error_class = 'unknown' and s.config ->> 'on_unknown' = 'retry' or c.error_class in ('transient', 'rate_limited', 'timeout')))
union all
select 'call', c.call_id, format('is %s, and its task is %s', c.state, coalesce(t.state::text, 'gone'))
  from kiln.call c
  left join kiln.task t using (task_id)
  left join kiln.job j on j.job_id = c.job_id
 where c.state <> 'settled'
   and (t.task_id is null or t.state = 'done'
        or c.state = 'open' and kiln.now() > c.timeout_at + interval '5 minutes' and (t.state in ('held', 'failed', 'cancelled') or t.state = 'waiting' and t.error_class is distinct from 'resend')
        or c.state in ('accepted', 'unknown') and t.state in ('failed', 'cancelled') and j.finished_at is null)
union all
select 'call', c.call_id, 'is accepted, and nobody asks about it'
  from kiln.call c
  join kiln.provider p using (provider_id)
 where c.state = 'accepted' and c.result_at is null and p.poll is not null and not exists (select from kiln.poll q where q.call_id = c.call_id)
union all
select 'task', t.task_id, 'waits without a time, and neither a gate nor a call nor the check of a file will wake it'
  from kiln.task_waiting t
 where t.due_at = 'infinity'
   and not exists (select from kiln.awaited a join kiln.media m using (media_id) where a.job_id = t.job_id and m.state = 'checking')
   and not exists (select from kiln.parked k where k.task_id = t.task_id and k.woken_at is null)
   and not exists (select from kiln.call c where c.task_id = t.task_id and c.state <> 'settled' and c.result_at is null)
union all
select 'task', k.task_id, format('is parked, and is %s', coalesce(t.state::text, 'gone'))
  from kiln.parked k
  left join kiln.task t using (task_id)
 where k.woken_at is null and t.state is distinct from 'waiting' and not (k.reason = 'account_cap' and t.state in ('ready', 'running'))
union all
select 'job', j.job_id, format('has ended, and its ledger says %s', l.said)
  from (select l.job_id, coalesce(sum(l.amount_micros) filter (where l.kind in ('hold', 'release')), 0) as open,
               coalesce(-sum(l.amount_micros) filter (where l.kind = 'charge'), 0) as charged, coalesce(-sum(l.amount_micros) filter (where l.kind = 'hold'), 0) as held,
               string_agg(l.kind || ' ' || l.amount_micros, ', ' order by l.ledger_id) as said
          from kiln.ledger l where l.job_id is not null group by l.job_id) l
  join kiln.job j using (job_id)
 where j.finished_at is not null and not exists (select from kiln.call c where c.job_id = j.job_id and c.state <> 'settled') and (l.open <> 0 or l.charged > l.held)
union all
select 'job', j.job_id, 'has not ended, and its hold is released'
  from kiln.ledger l
  join kiln.job j using (job_id)
 where l.kind in ('release', 'charge') and j.finished_at is null
union all
select 'account', b.account, format('has %s, and its rows say %s', b.balance, b.granted - b.charged - b.held)
  from kiln.balances b
 where b.balance <> b.granted - b.charged - b.held
union all
select 'media', m.media_id, 'belongs to a job that is gone'
  from kiln.media m
 where m.job_id is not null and not exists (select from kiln.job j where j.job_id = m.job_id)
union all
select 'event', e.event_id, format('is of transaction %s, ahead of the cluster''s %s%s: it would be told as new when the cluster comes there. kiln.after_restore() makes history of it',
                                   e.xid, n.xid, case when n.others > 0 then format(', as are %s others', n.others) else '' end)
  from (select kiln.log_xid(pg_snapshot_xmax(pg_current_snapshot())) as xid,
               (select count(*) - 1 from (select from kiln.event a where a.xid > kiln.log_xid(pg_snapshot_xmax(pg_current_snapshot())) limit 100001) c) as others) n
 cross join lateral (select v.event_id, v.xid from kiln.event v where v.xid > n.xid order by v.xid desc, v.event_id desc limit 1) e
union all
select 'cluster', null, 'is not the one this database comes from: kiln.after_restore() was not called'
 where kiln.is_restored()
-- Guards that a person switched off. ('O' is what `enable trigger all` leaves: it falls to session_replication_role.)
union all
select 'guard', t.oid::bigint, format('trigger %s of %s is %s', t.tgname, t.tgrelid::regclass,
                                      case t.tgenabled when 'D' then 'off' when 'R' then 'on for replicas only' else 'no longer ENABLE ALWAYS' end)
                               || format(': alter table %s enable always trigger %I', t.tgrelid::regclass, t.tgname)
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_class c on c.oid = t.tgrelid
 where c.relnamespace = 'kiln'::regnamespace and not t.tgisinternal and t.tgenabled <> 'A'
union all
select 'guard', c.oid::bigint, format('%s can be emptied by TRUNCATE: select kiln.guard_truncate_of(%1$L)', c.oid::regclass)
  from pg_catalog.pg_class c
 where c.relnamespace = 'kiln'::regnamespace and c.relkind in ('r', 'p')
   and not exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and t.tgname = 't10_guard_truncate')
union all
select 'gate', p.provider_id, format('of provider %s is missing: no call begins there until the tick has made it anew', p.name)
  from kiln.provider p
 where not exists (select from kiln.gate g where g.provider_id = p.provider_id)
union all
select 'runner', r.runner_id, 'counts as alive, and has no heartbeat'
  from kiln.runner r
 where r.ended_at is null and not exists (select from kiln.heartbeat h where h.runner_id = r.runner_id);
comment on view kiln.contradictions is 'What must never be: no row as long as all is well.';
comment on column kiln.contradictions.what is 'job, task, call, account, media, event, cluster, gate, runner or guard (a trigger).';
comment on column kiln.contradictions.id is 'Its id; of a cluster none.';
comment on column kiln.contradictions.complaint is 'What does not fit.';

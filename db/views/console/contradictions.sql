-- What must never be. Empty as long as all is well: the first thing to look at when something is strange, and
-- what the tests ask after every storm. One text of all rules; the view holds them against what is alive and
-- the newest, kiln.check_all() against all.
create or replace function kiln_internal.find_contradictions(p_job_ids bigint[])
returns table (what text, id bigint, complaint text)
language plpgsql stable security definer
-- How many rows its parts have the planner cannot know: a nested loop over two of 10,000 would take minutes.
set search_path = '' set plan_cache_mode = force_custom_plan set enable_nestloop = off set jit = off
as $$
#variable_conflict use_column
begin
    return query
    with jobs as materialized (
        select j.* from kiln.job j where p_job_ids is null or j.job_id = any (p_job_ids)
    ), tasks as materialized (
        select t.* from kiln.task t where p_job_ids is null
        union all
        select t.* from unnest(p_job_ids) i (job_id)
         cross join lateral (select t.* from kiln.task t
                              where t.task_id between kiln_internal.task_id(i.job_id,
                                                        0) and kiln_internal.task_id(i.job_id, 99, 99)
                             offset 0) t
         where p_job_ids is not null
    ), calls as materialized (
        select c.* from kiln.call c where p_job_ids is null or c.job_id = any (p_job_ids)
    ), entries as materialized (
        select l.* from kiln.ledger l where p_job_ids is null or l.job_id = any (p_job_ids)
    ), files as materialized (
        select m.* from kiln.media m where p_job_ids is null
        union all
        (select m.* from kiln.media m where p_job_ids is not null order by m.media_id desc limit 10000)
    ), parks as materialized (
        select k.* from kiln.deferred_task k where p_job_ids is null
        union all
        (select k.* from kiln.deferred_task k where p_job_ids is not null order by k.task_id desc limit 10000)
    ), events as materialized (
        select e.job_id, e.type, e.version from kiln.event e where p_job_ids is null
        union all
        (select e.job_id, e.type, e.version from kiln.event e where p_job_ids is not null
          order by e.xid desc, e.event_id desc limit 50000)
    ), open_task as (
        select t.job_id, count(*) as tasks, count(*) filter (where t.state = 'running') as running,
               min(t.state) as state
          from tasks t
         where t.state in ('ready', 'waiting', 'running', 'held')
         group by t.job_id
    ), told as (
        -- Of the newest events only those of jobs whose first is among them can be counted.
        select e.job_id, count(*) filter (where e.type <> 'job.progress') as moves
          from events e
         where e.job_id is not null
         group by e.job_id
        having p_job_ids is null or bool_or(e.type = 'job.queued' and e.version = 1)
    )
    select 'job'::text as what, j.job_id as id,
           format('is %s, and nothing of it waits or runs', j.state) as complaint
      from jobs j
     where j.finished_at is null and not exists (select from open_task o where o.job_id = j.job_id)
    union all
    select 'job', j.job_id, format('is %s, and a task of it is still %s', j.state, o.state)
      from jobs j join open_task o using (job_id)
     where j.finished_at is not null and o.tasks > o.running
    union all
    select 'job', o.job_id, format('has %s open tasks', o.tasks)
      from open_task o
     where o.tasks > 1
    union all
    select 'job', j.job_id, format('is queued, and its task is %s', o.state)
      from jobs j join open_task o using (job_id)
     where j.state = 'queued' and o.state not in ('ready', 'waiting')
    union all
    select 'job', j.job_id, format('has an end (%s), and is %s', j.finished_at, j.state)
      from jobs j
     where (j.finished_at is not null) <> (j.state in ('completed', 'failed', 'cancelled'))
    union all
    select 'job', j.job_id, 'is completed, and its last stage is not done'
      from jobs j
     where j.state = 'completed'
       and not exists (select from tasks t where t.task_id = kiln_internal.task_id(j.job_id, j.stages)
                          and t.state = 'done')
    union all
    select 'job', j.job_id, format('is at version %s, and the log tells of %s states', j.version,
                                   coalesce(e.moves, 0))
      from jobs j left join told e using (job_id)
     where j.version <> coalesce(e.moves, 0) and (p_job_ids is null or e.job_id is not null)
       and j.created_at > kiln_internal.now() - (select c.event_keep from kiln.config c)
    union all
    select 'task', t.task_id, 'is there twice'
      from tasks t
     group by t.task_id having count(*) > 1
    union all
    -- (One that a person adopted while it was held has the attempt after which it was held.)
    select 'task', t.task_id, 'is done, and no attempt says so, or more than one'
      from tasks t
     where t.state = 'done' and t.runner_id is not null
       and t.created_at > kiln_internal.now() - (select c.attempt_keep from kiln.config c)
       and 1 <> (select count(*) from kiln.attempt a where a.job_id = t.job_id and a.task_id = t.task_id
                    and (a.outcome = 'done' or a.fence = t.fence))
    union all
    select 'task', t.task_id, format('runs with runner %s, which is gone', t.runner_id)
      from kiln.task_running t
     where not exists (select from kiln.heartbeat h where h.runner_id = t.runner_id)
    -- Money: no stage is paid twice without someone's word.
    union all
    select 'call', c.call_id, format('task %s was called again after it, and it was %s', c.task_id,
                                     case when c.state <> 'settled' then c.state::text
                                          when c.charged_micros is null then 'perhaps charged'
                                          else 'charged ' || c.charged_micros end)
      from calls c
      join jobs j using (job_id)
      join kiln.stage s on s.pipeline_version_id = j.pipeline_version_id
       and s.position = c.task_id / 100 % 100
     where exists (select from calls n where n.task_id = c.task_id and n.number > c.number)
       and (c.state <> 'settled' or c.charged_micros is distinct from 0)
       and not exists (select from kiln.resolution r where r.call_id = c.call_id and r.action = 'resend')
       and not (c.outcome = 'failed' and (c.error_class = 'unknown' and s.config ->> 'on_unknown' = 'retry'
                                          or c.error_class in ('transient', 'rate_limited', 'timeout')))
    union all
    select 'call', c.call_id, format('is %s, and its task is %s', c.state, coalesce(t.state::text, 'gone'))
      from calls c
      left join tasks t using (task_id)
      left join jobs j on j.job_id = c.job_id
     where c.state <> 'settled'
       and (t.task_id is null or t.state = 'done'
            or c.state = 'open' and kiln_internal.now() > c.timeout_at + interval '5 minutes'
            and (t.state in ('held', 'failed', 'cancelled') or t.state = 'waiting'
                 and t.error_class is distinct from 'resend')
            or c.state in ('accepted', 'unknown') and t.state in ('failed', 'cancelled')
            and j.finished_at is null)
    union all
    select 'call', c.call_id, 'is accepted, and nobody asks about it'
      from calls c
      join kiln.provider p using (provider_id)
     where c.state = 'accepted' and c.result_at is null and p.poll is not null
       and not exists (select from kiln.poll q where q.call_id = c.call_id)
    union all
    select 'task', t.task_id,
           'waits without a time, and neither a limiter nor a call nor the check of a file will wake it'
      from tasks t
     where t.state = 'waiting' and t.due_at = 'infinity'
       and not exists (select from kiln.media_wait a join kiln.media m using (media_id)
                        where a.job_id = t.job_id and m.state = 'checking')
       and not exists (select from kiln.deferred_task k where k.task_id = t.task_id and k.admitted_at is null)
       and not exists (select from calls c where c.task_id = t.task_id and c.state <> 'settled'
                          and c.result_at is null)
    union all
    select 'task', k.task_id, format('is deferred, and is %s', coalesce(t.state::text, 'gone'))
      from parks k
      left join lateral (select t.state from kiln.task t where t.task_id = k.task_id order by t.task_id
                          limit 1) t on true
     where k.admitted_at is null and t.state is distinct from 'waiting'
       and not (k.reason = 'account_cap' and t.state in ('ready', 'running'))
    union all
    select 'job', j.job_id, format('has ended, and its ledger says %s', l.said)
      from (select l.job_id, coalesce(sum(l.amount_micros) filter (where l.kind in ('hold', 'release')),
                                      0) as open,
                   coalesce(-sum(l.amount_micros) filter (where l.kind = 'charge'), 0) as charged,
                   coalesce(-sum(l.amount_micros) filter (where l.kind = 'hold'), 0) as held,
                   string_agg(l.kind || ' ' || l.amount_micros, ', ' order by l.ledger_id) as said
              from entries l where l.job_id is not null group by l.job_id) l
      join jobs j using (job_id)
     where j.finished_at is not null and not exists (select from calls c
                                                      where c.job_id = j.job_id and c.state <> 'settled')
       and (l.open <> 0 or l.charged > l.held)
    union all
    select 'job', j.job_id, 'has not ended, and its hold is released'
      from entries l
      join jobs j using (job_id)
     where l.kind in ('release', 'charge') and j.finished_at is null
    union all
    select 'account', b.account, format('has %s, and its rows say %s', b.balance,
                                        b.granted - b.charged - b.held)
      from kiln.balances b
     where p_job_ids is null and b.balance <> b.granted - b.charged - b.held
    union all
    select 'media', m.media_id, 'belongs to a job that is gone'
      from files m
     where m.job_id is not null and not exists (select from kiln.job j where j.job_id = m.job_id)
    union all
    select 'event', e.event_id,
           format('is of transaction %s, ahead of the cluster''s %s%s: it would be told as new when the '
                  'cluster comes there. kiln.after_restore() makes history of it',
                                       e.xid, n.xid, case when n.others > 0
                                                              then format(', as are %s others', n.others)
                                                          else '' end)
      from (select kiln_internal.log_xid(pg_snapshot_xmax(pg_current_snapshot())) as xid,
                   (select count(*) - 1
                      from (select from kiln.event a
                             where a.xid > kiln_internal.log_xid(pg_snapshot_xmax(pg_current_snapshot()))
                             limit 100001) c) as others) n
     cross join lateral (select v.event_id, v.xid from kiln.event v where v.xid > n.xid
                          order by v.xid desc, v.event_id desc limit 1) e
    union all
    select 'cluster', null, 'is not the one this database comes from: kiln.after_restore() was not called'
     where kiln_internal.is_restored()
    -- Guards that a person switched off. ('O' is what `enable trigger all` leaves: it falls to
    -- session_replication_role.)
    union all
    select 'guard', t.oid::bigint, format('trigger %s of %s is %s', t.tgname, t.tgrelid::regclass,
                                          case t.tgenabled when 'D' then 'off' when 'R'
                                                   then 'on for replicas only'
                                               else 'no longer ENABLE ALWAYS' end)
                                   || format(': alter table %s enable always trigger %I', t.tgrelid::regclass,
                                             t.tgname)
      from pg_catalog.pg_trigger t
      join pg_catalog.pg_class c on c.oid = t.tgrelid
     where c.relnamespace = 'kiln'::regnamespace and not t.tgisinternal and t.tgenabled <> 'A'
    union all
    select 'guard', c.oid::bigint,
           format('%s can be emptied by TRUNCATE: select kiln_internal.guard_truncate_of(%1$L)',
                  c.oid::regclass)
      from pg_catalog.pg_class c
     where c.relnamespace = 'kiln'::regnamespace and c.relkind in ('r', 'p')
       and not exists (select from pg_catalog.pg_trigger t
                        where t.tgrelid = c.oid and t.tgname = 't10_guard_truncate')
    union all
    select 'provider_limiter', p.provider_id,
           format('of provider %s is missing: no call begins there until the tick has made it anew', p.name)
      from kiln.provider p
     where not exists (select from kiln.provider_limiter g where g.provider_id = p.provider_id)
    union all
    select 'runner', r.runner_id, 'counts as alive, and has no heartbeat'
      from kiln.runner r
     where r.ended_at is null and not exists (select from kiln.heartbeat h where h.runner_id = r.runner_id);
end
$$;
comment on function kiln_internal.find_contradictions(bigint[]) is
'What does not fit in these jobs, their tasks, calls and ledgers, the newest 10,000 files and deferred tasks,
and the newest 50,000 events; null: in everything there is.';

create or replace function kiln.check_all()
returns table (what text, id bigint, complaint text)
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return query select f.what, f.id, f.complaint from kiln_internal.find_contradictions(null) f;
end
$$;
comment on function kiln.check_all() is
'The rows of kiln.contradictions over all data. It reads whole tables: for maintenance, and after a restore.
No row means all is well.';

create or replace function kiln_internal.checked_job_ids(p_most int)
returns bigint[]
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
as $$
begin
    return array(
        select i from unnest(kiln_internal.present_job_ids(p_most)) i
        union
        select c.job_id from kiln.provider p
         cross join lateral (select c.job_id from kiln.call c
                              where c.provider_id = p.provider_id and c.settled_at is null limit p_most) c);
end
$$;
comment on function kiln_internal.checked_job_ids(int) is
'kiln_internal.present_job_ids(), and of each provider p_most jobs of which a call is not settled.';

create or replace function kiln_internal.check_present()
returns table (what text, id bigint, complaint text)
language plpgsql stable security definer
set search_path = '' set enable_seqscan = off
as $$
begin
    return query select f.what, f.id, f.complaint
                   from kiln_internal.find_contradictions(kiln_internal.checked_job_ids(10000)) f;
end
$$;
comment on function kiln_internal.check_present() is 'The rows of kiln.contradictions, by indexes only.';

create or replace view kiln.contradictions as
select f.what, f.id, f.complaint from kiln_internal.check_present() f;
comment on view kiln.contradictions is
'States that must not exist. No row means all is well. It checks, by indexes, the newest 10,000 jobs, all
that run, the newest 50,000 events, and the newest 10,000 each of what is held, waits, is ready, is between
two stages or has an unsettled call.
All data: select * from kiln.check_all()';
comment on column kiln.contradictions.what is
'job, task, call, account, media, event, cluster, limiter, runner or guard (a trigger).';
comment on column kiln.contradictions.id is 'Its id; of a cluster none.';
comment on column kiln.contradictions.complaint is 'What does not fit.';

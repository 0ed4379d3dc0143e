-- The state machine of tasks, exhaustively, made from kiln.task_move and the enum. A task's row lies in the
-- partition of its state, so there is one more way in than with jobs, the partition itself, and it is as
-- closed as the others.
begin;
\ir ../../fixtures/fixture.sql
select * from no_plan();

create temporary table sample as select s as state, fixture.task_in(s) as task_id
                                   from unnest(enum_range(null::kiln.task_state)) as s;
create temporary view pair as
select f.s as from_state, t.s as to_state, exists (select from kiln.task_move m
                                                    where m.from_state = f.s
                                                      and m.to_state = t.s) as is_legal,
       case when f.s in ('done', 'failed', 'cancelled') then 'ended' else f.s::text end as part, x.task_id
  from unnest(enum_range(null::kiln.task_state)) as f (s), unnest(enum_range(null::kiln.task_state)) as t (s),
       sample x
 where f.s <> t.s and x.state = f.s
 order by f.s, t.s;

-- Refused ---------------------------------------------------------------------------------------------------

create function pg_temp.refused(p pair, p_table text, p_how text)
returns text
language sql
as $$
    select is(r - 'detail' - 'hint',
              jsonb_build_object('code', 'KN001',
                                 'message', format('task %s is %s: it cannot become %s', p.task_id,
                                                   p.from_state, p.to_state)),
              format('%s: a task that is %s cannot become %s', p_how, p.from_state, p.to_state))
      from fixture.refusal(format('update %s set state = %L where task_id = %s and state = %L', p_table,
                                  p.to_state, p.task_id, p.from_state)) r
$$;

select pg_temp.refused(p, 'kiln.task', 'a superuser') from pair p where not is_legal;
select pg_temp.refused(p, 'kiln.task_' || part, 'by the partition') from pair p where not is_legal;
set local session_replication_role = replica;
select pg_temp.refused(p, 'kiln.task', 'with session_replication_role = replica') from pair p
 where not is_legal;
select pg_temp.refused(p, 'kiln.task_' || part, 'by the partition with session_replication_role = replica')
  from pair p where not is_legal;
set local session_replication_role = origin;

-- A legal move needs the whole table: within one partition there is no room for the other state.
select isnt(fixture.refusal(format('update kiln.task_%s set state = %L where task_id = %s', part, to_state,
                                   task_id)), null,
            format('by the partition: not even the legal move from %s to %s', from_state, to_state))
  from pair where is_legal;

select is(r - 'detail' - 'hint',
          jsonb_build_object('code', 'KN001',
                             'message', format('task %s is ready: it cannot become running, since no runner '
                                               'claimed it', task_id)),
          'no task runs without a claim')
  from pair p, fixture.refusal(format('update kiln.task set state = %L where task_id = %s', 'running',
                                      task_id)) r
 where p.from_state = 'ready' and p.to_state = 'running';

select results_eq('select x.state, t.state from sample x join kiln.task t using (task_id) order by 1',
                  'select s, s from unnest(enum_range(null::kiln.task_state)) as s',
                  'no refused move left a trace in the state');

-- Legal -----------------------------------------------------------------------------------------------------

-- Each move of the table as an UPDATE that a person types; only the claim is the runner's.
create function pg_temp.move(p_from kiln.task_state, p_to kiln.task_state)
returns bigint
language plpgsql
as $$
declare
    v_task bigint := fixture.task_in(p_from);
begin
    -- Stopped is what happens to a task whose job is being cancelled.
    if p_from = 'running' and p_to = 'cancelled' then
        perform kiln.cancel_job(v_task / 10000);
    end if;
    if p_to = 'running' then
        perform fixture.start(v_task / 10000);
    elsif p_from = 'held' and p_to in ('done', 'failed') then
        -- Out of held leads a person's word with its reason. (Both were an UPDATE once: of a task that was
        -- perhaps paid.)
        perform kiln.resolve_job(v_task / 10000, case p_to when 'done' then 'adopt' else 'fail' end, 'found',
                                 '{"found": true}');
    else
        update kiln.task set state = p_to where task_id = v_task;
    end if;
    return v_task;
end
$$;
create temporary table moved (from_state kiln.task_state, event text, to_state kiln.task_state,
                              task_id bigint);
select lives_ok(format('insert into moved select %L, %L, %L, pg_temp.move(%1$L, %3$L)', from_state, event,
                       to_state),
                format('a task that is %s can become %s (%s)', from_state, to_state, event))
  from kiln.task_move order by from_state, to_state;

create temporary view after as
select m.from_state, m.to_state, format('%s → %s: ', m.from_state, m.to_state) as name, t, j
  from moved m join kiln.task t using (task_id) join kiln.job j using (job_id)
 order by m.from_state, m.to_state;

select is((t).state, to_state, name || 'that is its state') from after;
select is((select c.relname::text from kiln.task x join pg_class c on c.oid = x.tableoid
            where x.task_id = (t).task_id),
          'task_' || case when to_state in ('done', 'failed', 'cancelled') then 'ended'
                          else to_state::text end, name || 'it lies in the partition of its state')
  from after;
select is(fixture.job_state((j).job_id),
          case to_state when 'held' then 'held' when 'failed' then 'failed' when 'cancelled' then 'cancelled'
                        else case when from_state = 'ready' and to_state = 'waiting' then 'queued'
                                  else 'running' end end,
          name || 'the job follows') from after;
select is((t).finished_at is not null, to_state in ('done', 'failed', 'cancelled'),
          name || 'finished_at is set if, and only if, that is the end') from after;
select is((t).error_class is not null, to_state in ('held', 'failed') or from_state in ('held', 'waiting')
          and to_state <> 'done', name || 'it has an error if, and only if, it was one') from after;
select is((t).due_at is not null, to_state = 'waiting',
          name || 'it is due at a time if, and only if, it waits for one') from after
 where to_state not in ('held', 'cancelled');
select is((select count(*) from kiln.attempt a where a.task_id = (t).task_id)::int,
          (from_state in ('waiting', 'held'))::int + (from_state = 'running')::int,
          name || 'the history has one row more if, and only if, it ran') from after;
select is((select a.outcome from kiln.attempt a where a.task_id = (t).task_id),
          case to_state when 'done' then 'done' when 'cancelled' then 'cancelled' when 'held' then 'operator'
               when 'failed' then 'operator' else 'released' end,
          name || 'the history says how the attempt ended') from after where from_state = 'running';
select is(fixture.task_states((j).job_id), case when to_state = 'done' then 'done ready'
                                                else to_state::text end,
          name || 'the next stage has its turn if, and only if, this one is done') from after;
select is(kiln_internal.job_stage((j).job_id), case when to_state = 'done' then 2 else 1 end::smallint,
          name || 'and the job stands at its stage') from after;
select is((select max(e.version) from kiln.event e
            where e.job_id = (j).job_id), (j).version, name || 'the log is at the job''s version') from after;

select is((t).fence > 0 and (t).runner_id is not null
          and (t).started_at is not null, true, name || 'it has a fence, a runner and a start') from after
 where to_state = 'running';
select is((t).due_at >= kiln_internal.now() - interval '1 minute', true,
          name || 'it is not due before the move') from after where to_state = 'waiting';
select is((select x.virtual_time > f.virtual_time from kiln.task_ready x
             join kiln.low_watermark f using (queue_id, priority) where x.task_id = (t).task_id), true,
          name || 'its turn lies above the low watermark') from after where to_state = 'ready';
select is((t).output, case from_state when 'held' then '{"found": true}' else '{}' end::jsonb,
          name || 'its output is an object') from after where to_state = 'done';

-- What never changes ----------------------------------------------------------------------------------------

select is(fixture.refusal(format('update kiln.task set %s where task_id = %s', v.change, x.task_id))
          ->> 'code', 'KN001', 'nobody changes where a task belongs: ' || v.change)
  from sample x, (values ('task_id = task_id + 1'), ('job_id = job_id + 1'), ('stage = 2'), ('slot = 1'),
                  ('pipeline_version_id = pipeline_version_id + 1'),
                         ('queue_id = queue_id + 1'), ('priority = 2')) as v (change)
 where x.state = 'ready';
select is(fixture.refusal(format('delete from kiln.task where task_id = %s', task_id)) ->> 'code', 'KN001',
          'no task is deleted without its job: ' || state)
  from sample order by state;
select is(fixture.refusal('truncate kiln.task') ->> 'code', 'KN001', 'the tasks are not emptied at a stroke');
select is(fixture.refusal('truncate kiln.task_' || part) ->> 'code', 'KN001',
          'nor is a partition of them: ' || part)
  from (select distinct part from pair) p order by part;

-- People who run it may type moves, and only whole ones: a bare DELETE in a partition would lose a task
-- without a word.
create temporary table of_admin as select fixture.task_in('ready') as task_id;
grant select on of_admin to kiln_admin;
set local role kiln_admin;
select is(has_table_privilege('kiln_admin', 'kiln.task_' || part, 'delete'), false,
          'an admin cannot delete behind the back of the table: ' || part)
  from unnest('{ready,running,waiting,held,ended}'::text[]) as part;
update kiln.task set state = 'held' where task_id = (select task_id from of_admin);
reset role;
select is(fixture.job_state(task_id / 10000), 'held',
          'an admin''s UPDATE of a task is the transition too: its job follows') from of_admin;

select is_empty('select * from kiln.contradictions', 'and nothing contradicts anything after all of this');
select * from finish();
rollback;

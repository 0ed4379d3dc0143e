-- Every write of a runner carries the fencing number of its claim. With an older one it is refused with
-- KN010, whatever it is.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

-- A runner is thought dead, another claims the task, and the first one turns out to live.
create temporary table t as select (f).task_id, (f).fence as old_fence
                              from (select fixture.start(fixture.enqueue()) as f offset 0) x;
select kiln_runner.release(task_id, old_fence) from t \g /dev/null
select fixture.start(task_id / 10000) from t \g /dev/null
create temporary table before as select x.* from kiln.task x join t using (task_id);

create temporary table write as
select name, format(statement, t.task_id, t.old_fence) as statement
  from t, (values ('complete',  'select kiln_runner.complete(%s, %s, ''{}'')'),
                  ('cycle',     'select kiln_runner.cycle((select max(runner_id) from kiln.runner), '
                                'array[%s]::bigint[], array[%s]::bigint[], ''{"{}"}'', 0)'),
                  ('progress',  'select kiln_runner.progress(%s, %s, 0.5, ''late'')'),
                  ('fail',      'select kiln_runner.fail(%s, %s, ''transient'', ''late'')'),
                  ('release',   'select kiln_runner.release(%s, %s, ''late'')'),
                  ('put_media', 'select kiln_runner.put_media(%s, %s, ''{}'')')) as w (name, statement);
select is(fixture.refusal(statement) ->> 'code', 'KN010', name || ' with an old fence is refused') from write;
select matches(fixture.refusal(statement) ->> 'message', 'another claim has fence',
               name || ' says that another has the task') from write where name <> 'cycle';
select results_eq('select x.* from kiln.task x join t using (task_id)', 'select * from before',
                  'and none of them has left a trace');

select fixture.complete(task_id / 10000) from t \g /dev/null
select is(fixture.refusal(statement) ->> 'code', 'KN010', name || ' is refused when the task is done, too')
  from write;
select is(fixture.refusal(format('select kiln_runner.complete(task_id, fence) from kiln.task where '
                                 'task_id = %s', task_id)) ->> 'code', 'KN010',
          'even under the fence that it was done with: an outcome is recorded once') from t;

-- Every function of runners that takes a task takes its fence.
select is_empty($$
    select oid::regprocedure from pg_proc
     where pronamespace = 'kiln_runner'::regnamespace and 'p_task_id' = any (proargnames)
       and not 'p_fence' = any (proargnames)
$$, 'no function of runners takes a task without its fence');
select finish();
rollback;

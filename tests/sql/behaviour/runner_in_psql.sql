-- The ten lines of docs/runner.md, word for word, as kiln_worker: any language that can call a function can
-- be a runner.
begin;
\ir ../../fixtures/fixture.sql
select plan(5);

select kiln.enqueue('log', '{"hello": "world"}') as job \gset
\set file `mktemp`
\setenv RUNNER_SQL :file
\! awk '/^```sql$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' docs/runner.md >"$RUNNER_SQL"
set local role kiln_worker;
\o /dev/null
\i :file
\o
reset role;
\! rm -f "$RUNNER_SQL"

select is(fixture.job_state(:job), 'completed', 'a runner in ten lines of psql completes a task');
select is(fixture.attempts(:job), 'log#1 done', 'which the history has like any other');
select is(fixture.events(:job), 'queued/1 started/2 progress/2 completed/3', 'and the log');
select is((select output from kiln.job where job_id = :job), '{"hello": "from psql"}',
          'its output is what it said');
select is((select ended_why from kiln.runner where runner_id = :me), 'left', 'and it left in good order');
select finish();
rollback;

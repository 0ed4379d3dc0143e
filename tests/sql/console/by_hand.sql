-- What people type and read in psql.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create temporary table s as select x as state, fixture.job_in(x) as job_id
                              from unnest(enum_range(null::kiln.job_state)) as x;
select is((select array_agg(v.state order by v.state)
             from kiln.jobs v), enum_range(null::kiln.job_state), 'kiln.jobs shows jobs of every state');
select is((select (ready, waiting, running, held, next)::text from kiln.queues
            where queue = 'image'), '(1,0,2,1,now)', 'kiln.queues counts what waits, runs and is held');
select is((select stage || ' ' || about from kiln.jobs join s on job = job_id
            where s.state = 'failed'), '1/3 It went wrong.', 'a failed job says why');
select is((select count(*)::int from kiln.runners
            where state = 'alive' and slots = '1/8'), 2, 'kiln.runners shows who lives and what it runs');
select is((kiln_api.ready(null, '{}', '{}', null) #>> '{checks,sandbox}'), 'ok',
          'a runner that starts no program needs no sandbox');
select kiln_runner.register('bare', 'here', 1, 'test', '{local}', 8, 'none') as bare \gset
select is((select sandbox from kiln.runners where runner = :bare), 'none',
          'kiln.runners shows what keeps a runner''s tools from the machine');
select alike(kiln_api.ready(null, '{}', '{}', null) #>> '{checks,sandbox}',
             'warning: 1 of the runners alive %', '/readyz warns of a runner whose tools have no sandbox');
select throws_ok($$ select kiln_runner.register('odd', 'here', 1, 'test', '{local}', 8, 'sand') $$, '23514',
                 null, 'a sandbox that nobody knows is refused');
select kiln_runner.unregister(:bare) \g /dev/null
select is((kiln_api.ready(null, '{}', '{}', null) #>> '{checks,sandbox}'), 'ok', 'until it has left');
select fixture.pass('1 minute') \g /dev/null
select is((select count(*)::int from kiln.runners
            where state = 'silent' and slots = '1/8'), 2, 'and whose beats are late');
select is((select string_agg(stage || ' ' || outcome, ', ' order by job, try, stage = 'three', stage = 'two')
             from kiln.attempts join s on job = job_id where s.state = 'completed'),
          'one done, two done, three done', 'kiln.attempts tells a job''s story');
select is((select outcome from kiln.attempts join s on job = job_id
            where s.state = 'running'), 'running', 'with what runs now');
select is((select reason from kiln.held_jobs), 'unknown', 'kiln.held_jobs says why');
select is((select array_agg(name order by stage) from kiln.pipelines
            where pipeline = 'test/three'), '{one,two,three}', 'kiln.pipelines shows the stages');

select throws_ok('select kiln.retry_job(-1)', 'KN002', null, 'what is not there cannot be tried again');
select throws_ok('select kiln.delete_job(-1)', 'KN002', null, 'nor deleted');
select throws_ok(format('select kiln.retry_job(%s)', job_id), 'KN001', null,
                 'what is ' || state || ' cannot be tried again') from s
 where state in ('queued', 'running', 'cancelling', 'held') order by state;
select lives_ok(format('select kiln.retry_job(%s)', job_id), 'what is ' || state || ' can') from s
 where state in ('completed', 'failed', 'cancelled') order by state;
select is((select input ->> 'reason' from kiln.job
            where parent_id = (select job_id from s where state = 'failed') and input ? 'reason'), null,
          'without a reason there is none');
select lives_ok(format('select kiln.delete_job(%s)', job_id), 'what is ' || state || ' can be deleted') from s
 where state in ('completed', 'failed', 'cancelled') order by state;

-- Held by hand, and resumed.
create temporary table h as select fixture.job_in('queued') as job_id;
update kiln.task set state = 'held' where job_id = (select job_id from h);
select matches((select reason || ': ' || message from kiln.held_jobs
                  join h on job = job_id), 'operator: Held by ', 'a task that a person holds says who');
select is(kiln.resume_job(job_id), 'running', 'and goes on when told to') from h;

-- The knobs.
select throws_ok('insert into kiln.config default values', '23505', null, 'the settings are one row');
select throws_ok('update kiln.config set lease = ''0''', '23514', null, 'a lease of nothing is refused');
select throws_ok('update kiln.config set currency = ''euro''', '23514', null,
                 'so is a currency that is none');

select throws_ok('delete from kiln.' || t, 'KN001', null,
                 'the rows of ' || t || ', on which everything stands, are not deleted')
  from unnest('{config,secret,maintenance,log_start,low_watermark}'::text[]) t;
select throws_ok('truncate kiln.' || t, 'KN001', null, 'nor emptied at a stroke: ' || t)
  from unnest('{config,low_watermark}'::text[]) t;

-- For those who run it.
select is(fixture.call(null, 'ready') -> 'ready', 'true', 'the database says that it is ready');
select is(fixture.call(null, 'ready') -> 'checks' ->> 'contract', '1.0', 'and which contract it keeps');
select matches(fixture.call(null, 'metrics') #>> '{}',
               E'# TYPE kiln_queue_ready gauge\nkiln_queue_ready\\{queue="audio"\\} 0\n',
               'metrics are Prometheus text');
select matches(fixture.call(null, 'metrics') #>> '{}', 'kiln_queue_running\{queue="image"\} 2\n',
               'with what runs');
select is(kiln.contract()::text, '(1,0)', 'programs that need another major are refused by it');

-- What must never be is found when it is.
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
alter table kiln.task disable trigger user;
delete from kiln.task where job_id = (select job_id from s where state = 'queued');
update kiln.task set runner_id = -1 where state = 'running'
   and job_id = (select job_id from s where state = 'running');
select bag_eq('select what || '' '' || complaint from kiln.contradictions where what <> ''guard''',
              array['job is queued, and nothing of it waits or runs',
                    'task runs with runner -1, which is gone'],
              'kiln.contradictions finds a lost task and a lost runner');
select finish();
rollback;

-- A paused queue gives out nothing new; what runs goes on.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.pipeline('test/video', p_queue => 'video') \g /dev/null

create temporary table j as select fixture.job_in('running') as running, fixture.enqueue() as image,
                                   fixture.enqueue('test/video') as video;
create temporary table r as select fixture.runner() as runner;
select lives_ok($$ select kiln.pause_queue('image') $$, 'a queue is paused by its name');
select results_eq('select c.job_id from r, kiln_runner.claim(runner, 8) c', 'select video from j',
                  'nothing is claimed from it, and everything from the others');
select lives_ok('select fixture.complete(running) from j', 'what runs goes on');
select is(fixture.task_states(running), 'done ready', 'and hands over') from j;
select is_empty('select kiln_runner.claim(runner, 8) from r', 'into the pause');
select lives_ok('select fixture.enqueue()', 'enqueueing goes on too');
select is((select next from kiln.queues where queue = 'image'), 'paused', 'people see the pause');

select lives_ok($$ select kiln.pause_queue('image') $$, 'pausing twice is pausing');
select lives_ok($$ select kiln.resume_queue('image') $$, 'it is resumed by its name');
select is((select count(*)::int from r, kiln_runner.claim(fixture.runner('{image}'), 8)), 3,
          'and all that waited is given out');

update kiln.queue set is_paused = true where name = 'audio';
select is((select count(*)::int from kiln.low_watermark
            where is_paused and queue_id = fixture.queue('audio')), 4, 'a hand-typed UPDATE pauses as well');

-- A queue that was born paused gave out its tasks: only UPDATE told the claims.
insert into kiln.queue (name, is_paused) values ('born-paused', true);
select fixture.pipeline('test/born', p_queue => 'born-paused') \g /dev/null
select fixture.enqueue('test/born') \g /dev/null
select is_empty($$ select kiln_runner.claim(fixture.runner('{born-paused}'), 8) $$,
                'a queue may be born paused');
select kiln.resume_queue('born-paused') \g /dev/null
select isnt_empty($$ select kiln_runner.claim(fixture.runner('{born-paused}'), 8) $$, 'and resumed later');

select throws_ok($$ select kiln.pause_queue('nowhere') $$, 'KN002', null,
                 'a queue that is not there cannot be paused');
select throws_ok($$ select kiln.resume_queue('nowhere') $$, 'KN002', null, 'nor resumed');
select finish();
rollback;

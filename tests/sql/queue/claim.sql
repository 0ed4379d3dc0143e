-- What a runner is given, by kiln_runner.claim() and by the claiming half of kiln_runner.cycle().
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table r as select fixture.runner('{image}') as image, fixture.runner() as all_queues,
                                   fixture.runner('{audio}') as audio;
select is_empty($$ select kiln_runner.claim(image, 5) from r $$, 'an empty queue gives nothing');

create temporary table j as
select fixture.enqueue('test/three', '{"prompt": "first"}') as first,
       fixture.enqueue('test/one', '{"prompt": "second"}') as second, fixture.enqueue('test/one') as third;

select is_empty($$ select kiln_runner.claim(audio, 5)
                     from r $$, 'a runner is not given what lies in queues it does not serve');
select is_empty($$ select kiln_runner.claim(image, 0)
                     from r $$, 'a runner without a free slot is given nothing');

create temporary table c as select c.* from r, kiln_runner.claim(image, 1) c;
select results_eq('select job_id from c', 'select first from j', 'first come, first served');
select is(to_jsonb(c) - 'fence',
          jsonb_build_object('task_id', kiln_internal.task_id(j.first, 1), 'job_id', j.first,
                             'queue_id', fixture.queue('image'), 'stage', 1, 'stage_name', 'one',
                             'attempt', 1,
                             'handler', 'log', 'config', '{}'::jsonb, 'input', '{"prompt": "first"}'::jsonb,
                             'media', '[]'::jsonb, 'timeout_ms', 300000),
          'a claim says all that a runner has to know') from c, j;
select is((t.state, t.runner_id, t.fence, t.fraction, t.attempts)::text,
          ('running', r.image, c.fence, null, 0)::text, 'the task runs, with its runner and its fence')
  from c join kiln.task t using (task_id), r;
select is((j2.state, j2.started_at is not null, j2.version)::text, ('running', true, 2)::text, 'its job runs')
  from j join kiln.job j2 on j2.job_id = j.first;
select is(fixture.events(first), 'queued/1 started/2', 'and the log says so') from j;
select is_empty($$ select from kiln.attempt a, j where a.job_id = j.first $$,
                'the history waits for the outcome');

select results_eq($$ select (kiln_runner.claim(image, 10)).job_id from r
                      order by 1 $$, $$ select unnest(array[second, third]) from j
                                         order by 1 $$, 'a batch takes as many as there are');
select is_empty($$ select kiln_runner.claim(all_queues, 10)
                     from r $$, 'what one runner has nobody else is given');
select is((select count(distinct fence)::int from kiln.task_running
            where job_id >= (select first from j)), 3, 'each claim has a fence of its own');

select fixture.complete(first, '{"made": "by stage one"}') from j \g /dev/null
create temporary table c2 as select c.* from r, kiln_runner.claim(all_queues, 1) c;
select is((stage, stage_name, attempt, input)::text, (2, 'two', 1, '{"made": "by stage one"}'::jsonb)::text,
          'a stage''s output is the next one''s input') from c2;
select ok(c2.fence > c.fence, 'a later claim has the larger fence') from c, c2;
select is(fixture.events(first), 'queued/1 started/2 progress/2', 'a later stage is no second start') from j;

select throws_ok('select kiln_runner.claim(-1, 1)', 'KN011', null,
                 'a runner that is not registered is told so (KN011)');
select kiln_runner.unregister(audio) from r \g /dev/null
select throws_ok('select kiln_runner.claim(audio, 1) from r', 'KN011', null, 'so is one that left');

-- cycle: completing and claiming in one transaction ---------------------------------------------------------

create temporary table k as select fixture.enqueue('test/three') as a, fixture.enqueue('test/three') as b,
                                   fixture.runner('{image}') as runner;
create temporary table kc as select c.* from k, kiln_runner.cycle(runner, '{}', '{}', '{}', 2, '{}', false) c;
select results_eq('select job_id from kc order by 1', 'select unnest(array[a, b]) from k',
                  'a cycle with nothing to complete is a claim');
create temporary table kc2 as
select c.* from k, kiln_runner.cycle(runner, (select array_agg(task_id order by task_id)
                                                from kc), (select array_agg(fence order by task_id)
                                                             from kc), array['{"of": "a"}', '{"of": "b"}'],
                                     8) c;
select results_eq('select job_id, stage, input from kc2 order by 1',
                  $$ select unnest(array[a, b]), 2, unnest(array['{"of": "a"}'::jsonb, '{"of": "b"}'])
                       from k $$,
                  'a cycle completes a batch and claims, in the same transaction, what follows from it');
select is_empty($$ select from k, kiln_runner.cycle(k.runner, (select array_agg(task_id order by task_id)
                                                                 from kc2), (select array_agg(fence
                                                                     order by task_id) from kc2),
                                                    array['{}', '{}'], 0) $$,
                'without free slots a cycle only completes');
select is(fixture.task_states(a) || ', ' || fixture.task_states(b), 'done done ready, done done ready',
          'which it did') from k;

-- Media -----------------------------------------------------------------------------------------------------

create temporary table m as select fixture.media('ann', 'mine') as mine,
                                   fixture.media('ann', 'other') as other, fixture.media('bob') as bobs;
select fixture.enqueue(input => jsonb_build_object('media', jsonb_build_array(other::text, bobs::text,
                                                        mine::text, '999999999', 'x'))) from m \g /dev/null
create temporary table mc as select * from kiln_runner.claim(fixture.runner('{image}'), 8);
select is((select media from mc where input ? 'media') -> 0 ->> 'media_id', other::text,
          'input media come with the task, in the order they were named') from m;
select is(jsonb_array_length((select media from mc where input ? 'media')), 2,
          'and only those of the job''s own account');
select is((select array_agg(k order by k)
             from jsonb_object_keys((select media from mc where input ? 'media') -> 0) as k),
          '{bytes,content_type,duration_ms,height,media_id,media_type,storage_key,width}'::text[],
          'with what a runner needs to find them');

-- Falling asleep --------------------------------------------------------------------------------------------

create temporary table s as select fixture.runner('{image}') as runner;
select kiln_runner.cycle(runner, '{}', '{}', '{}', 0, '{}', true) from s \g /dev/null
select is((select queue_ids::int[] from kiln.waiter, s
            where name = 'runner:' || s.runner), array[fixture.queue('image')],
          'an idle cycle marks the runner asleep for its queues');
select kiln_runner.cycle(runner, '{}', '{}', '{}', 0, '{}', false) from s \g /dev/null
select is_empty($$ select from kiln.waiter, s where name = 'runner:' || s.runner $$, 'a busy one wakes it');

select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

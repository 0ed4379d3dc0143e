-- A queue's limits are exact over all runners: how many run at once, and how many start in any 60 seconds.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table r (n int generated always as identity, runner bigint);
insert into r (runner) select fixture.runner('{image,video}', 20) from generate_series(1, 16);
select kiln.enqueue_many('test/one', array(select '{}'::jsonb from generate_series(1, 3000))) \g /dev/null

update kiln.queue set max_running = 5 where name = 'image';
select is((select count(*) from kiln.runner x join r on r.runner = x.runner_id
            where x.limited_ids = array[fixture.queue('image')]::smallint[]), 16::bigint,
          'every runner of the queue learns of its limit');
select is((select count(*)::int from r, kiln_runner.claim(runner, 20)), 5,
          'of 16 runners with 20 slots each, five tasks in all are given');
select is((select count(*)::int from r, kiln_runner.claim(runner, 20)), 0, 'and not one more');
select kiln_runner.complete(t.task_id, t.fence) from kiln.task_running t
 where t.queue_id = fixture.queue('image') order by t.task_id limit 2 \g /dev/null
select is((select count(*)::int from r, kiln_runner.claim(runner, 20)), 2, 'as many as have ended');
update kiln.queue set max_running = 7 where name = 'image';
select is((select count(*)::int from r, kiln_runner.claim(runner, 20)), 2, 'a higher limit counts at once');
update kiln.queue set max_running = 3 where name = 'image';
select kiln_runner.complete(t.task_id, t.fence) from kiln.task_running t
 where t.queue_id = fixture.queue('image') order by t.task_id limit 4 \g /dev/null
select is((select count(*)::int from r, kiln_runner.claim(runner, 20)), 0,
          'a lower one too: what runs goes on, nothing starts');
-- Nought looked like a pause, but neither showed as one nor said how it ends.
select is(fixture.refusal($$ update kiln.queue set max_running = 0 where name = 'image' $$) - 'detail',
          '{"code": "KN003", "message": "queue image: max_running is to be at least 1, or null for no '
          'limit", "hint": "select kiln.pause_queue(''image'') stops a queue, and '
          'kiln.resume_queue(''image'') lets it go on."}',
          'nought is refused, and it is said how to stop a queue');
select kiln_runner.complete(t.task_id, t.fence) from kiln.task_running t
 where t.queue_id = fixture.queue('image') \g /dev/null

-- The rate, second by second for ten minutes: never a 61st in any minute, never a sixth at once, at least
-- fifty in each.
update kiln.queue set max_running = 5, rate_per_minute = 60, rate_burst = 5 where name = 'image';
create temporary table started (at timestamptz);
create temporary table peak (running int);
create function pg_temp.ten_minutes() returns void language plpgsql as $$
begin
    for half_second in 1..1200 loop
        perform fixture.pass('500 milliseconds');
        -- Each call takes between half a second and five.
        perform kiln_runner.complete(t.task_id, t.fence) from kiln.task_running t
          where t.queue_id = fixture.queue('image')
           and t.started_at <= kiln_internal.now() - (t.task_id / 100 % 10 + 1) * interval '500 milliseconds';
        insert into started select kiln_internal.now() from r, kiln_runner.claim(runner, 20) c
                             where r.n = 1 + half_second % 16;
        insert into peak select count(*) from kiln.task_running t where t.queue_id = fixture.queue('image');
    end loop;
end $$;
select pg_temp.ten_minutes() \g /dev/null
select is((select max(running) from peak), 5, 'never a sixth at once');
select cmp_ok((select max(n)
    from (select count(*) over (order by at range between current row and interval '60 seconds' following) as n from started) w), '<=', 60::bigint, 'never a 61st in any 60 seconds, its ends included');
select cmp_ok((select min(n) from (select count(*) as n from started
                                    group by floor(extract(epoch from at - (select min(at)
                                                        from started)) / 60) order by min(at) limit 9) w),
              '>=', 50::bigint, 'and at least fifty in each');

-- A limit says nothing to other queues, and is refused when it makes no sense.
select fixture.pipeline('test/video', 1, 'video') \g /dev/null
select kiln.enqueue_many('test/video', array(select '{}'::jsonb from generate_series(1, 10))) \g /dev/null
select is((select count(*)::int from kiln_runner.claim((select runner from r where n = 1), 10) c
            where c.queue_id = fixture.queue('video')), 10, 'a limited queue does not slow down another');
select is(fixture.refusal(format('update kiln.queue set %s where name = ''image''', wrong)) ->> 'code',
          'KN003', 'refused: ' || wrong)
  from unnest('{max_running = -1,rate_per_minute = 0,rate_burst = 0,"rate_per_minute = 5, rate_burst = 5"}'::text[]) wrong;
update kiln.queue set max_running = null, rate_per_minute = null where name = 'image';
select is((select count(*) from kiln.runner x where x.limited_ids <> '{}'), 0::bigint,
          'without a limit claims ask nobody');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

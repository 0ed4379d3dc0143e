-- Fair share: accounts take turns, by the turn (virtual_time) that each task is given when it is enqueued.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table who as select fixture.account('ann') as ann, fixture.account('bob') as bob;
create temporary table r as select fixture.runner('{image}', 1) as runner;
create temporary table served (turn int generated always as identity, account_id bigint, job_id bigint);
create function pg_temp.serve(p_times int) returns void language plpgsql as $$
declare v_claimed kiln_runner.claimed; v_at timestamptz;
begin
    for i in 1..p_times loop
        select c.* into v_claimed from r, kiln_runner.claim(runner, 1) c;
        exit when v_claimed is null or v_claimed.task_id is null;
        insert into served (account_id, job_id) select j.account_id, j.job_id from kiln.job j
                                                 where j.job_id = v_claimed.job_id;
        perform kiln_runner.complete(v_claimed.task_id, v_claimed.fence);
        if i % 50 = 0 then perform kiln_internal.advance_low_watermarks(); end if;
    end loop;
end $$;

-- 100,000 of one, and then one of another. Uncounted where statements are counted (make coverage), which
-- would take minutes.
set local plpgsql_check.profiler = off;
select kiln.enqueue_many('test/one', array(select '{}'::jsonb from generate_series(1, 1000)), ann)
  from who, generate_series(1, 100) \g /dev/null
reset plpgsql_check.profiler;
create temporary table late as select kiln.enqueue('test/one', '{}', bob) as job_id from who;
select pg_temp.serve(3) \g /dev/null
select ok(exists (select from served s join late using (job_id)),
          'behind 100,000 of another account one task is served within three claims');

-- It stays so when service has gone on and the low watermark has risen.
select pg_temp.serve(997), kiln_internal.advance_low_watermarks(),
       kiln_internal.advance_low_watermarks() \g /dev/null
select cmp_ok((select virtual_time from kiln.low_watermark
                where queue_id = fixture.queue('image') and priority = 1), '>', 500::bigint,
              'the low watermark follows what is served');
truncate late;
insert into late select kiln.enqueue('test/one', '{}', bob) from who;
truncate served restart identity;
select pg_temp.serve(3) \g /dev/null
select ok(exists (select from served s join late using (job_id)), 'also in the middle of the backlog');

-- Two backlogs are served in turn, however they came in.
select fixture.pass('11 seconds') \g /dev/null
select kiln_internal.advance_low_watermarks() \g /dev/null
select kiln.enqueue('test/one', '{}', bob) from who, generate_series(1, 40) \g /dev/null
truncate served restart identity;
select pg_temp.serve(60) \g /dev/null
select is((select count(*)::int from served s, who
            where s.account_id = bob), 30, 'of sixty claims each of two accounts has thirty');
select is_empty('select from served a join served b on a.account_id = b.account_id and a.turn < b.turn and '
                'a.job_id > b.job_id', 'within an account: first come, first served');
select is((select max(n) from (select count(*) as n
                                 from (select s.*,
                                     s.turn - row_number() over (partition by s.account_id order by s.turn) as run from served s where turn > 10) x
           group by account_id, run) y), 1::bigint, 'and neither is served twice in a row');

-- An urgent task of anyone comes first, and shares with those of its own priority.
insert into late select kiln.enqueue('test/one', '{}', ann, 3) from who;
truncate served restart identity;
select pg_temp.serve(1) \g /dev/null
select ok(exists (select from served join late using (job_id)), 'priority goes before fair share');

-- An empty queue keeps no memory that anyone could suffer from: who was served much before waits no longer
-- than a newcomer, and the low watermark is above every turn ever given, so that what a long transaction
-- keeps dead is not walked again.
select fixture.pipeline('test/film', 1, 'video') \g /dev/null
select kiln.enqueue_many('test/film', array(select '{}'::jsonb from generate_series(1, 500)), ann)
  from who \g /dev/null
create temporary table top as select max(virtual_time) as virtual_time from kiln.task_ready
                               where queue_id = fixture.queue('video');
update kiln.task set state = 'cancelled' where state = 'ready' and queue_id = fixture.queue('video');
select kiln_internal.advance_low_watermarks() \g /dev/null
select kiln_internal.advance_low_watermarks() \g /dev/null
create temporary view f as select * from kiln.low_watermark
                            where queue_id = fixture.queue('video') and priority = 1;
select cmp_ok(f.virtual_time, '>=', t.virtual_time,
              'an empty queue''s low watermark is above every turn given') from f, top t;
select kiln.enqueue('test/film', '{}', ann) from who \g /dev/null
select kiln.enqueue('test/film', '{}', bob) from who \g /dev/null
select is((select array_agg(t.virtual_time - f.next_virtual_time) from kiln.task_ready t
             join f using (queue_id, priority)), '{1,1}'::bigint[],
          'in it the one who was served much before begins where the newcomer does');
-- else the view may be planned for the tables as they were found, all but empty
analyze kiln.job, kiln.task, kiln.event, kiln.attempt;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

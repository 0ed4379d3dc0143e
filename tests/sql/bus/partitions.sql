-- Events and attempts lie in partitions that are made ahead and dropped whole.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary view part as
select c.relname::text as name, p.relname::text as of, pg_get_expr(c.relpartbound, c.oid) as bound
  from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
 where p.oid in ('kiln.event'::regclass, 'kiln.attempt'::regclass) and c.relname !~ '_default$';

select is((select count(*)::int from part where of = 'event'), 2,
          'after an installation the log has its part and the next one');
select is((select count(*)::int from part where of = 'attempt'), 2, 'so has the history');

select fixture.set_now('2030-01-02 12:00:00Z') \g /dev/null
select fixture.job_in('completed') as job \gset
select is((select count(*)::int from kiln.attempt_default
            where job_id = :job), 3, 'what finds no part goes to the default one');
savepoint later;
set role kiln_owner; delete from kiln.attempt_default; reset role;
select fixture.tick() \g /dev/null
select bag_eq($$ select name from part where of = 'attempt' and name >= 'attempt_w2029' $$,
              array['attempt_w20291231', 'attempt_w20300107'], 'the tick makes this week''s and the next');
select is_empty($$ select name from part where name < 'attempt_w2029' and of = 'attempt' $$,
                'and drops what is older than it is to be kept');
select is((select bound from part where name = 'attempt_w20291231'),
          $$FOR VALUES FROM ('2029-12-31 00:00:00+00') TO ('2030-01-07 00:00:00+00')$$,
          'a week begins on Monday');
select is(obj_description('kiln.attempt_w20291231'::regclass),
          'Attempts that ended in the week of 2029-12-31.', 'each part says what it holds');
select is((select relowner::regrole::text from pg_class
            where oid = 'kiln.attempt_w20291231'::regclass), 'kiln_owner',
          'and belongs to the owner of the others');
select fixture.job_in('completed') as job2 \gset
select is((select count(*)::int from kiln.attempt_w20291231 where job_id = :job2), 3, 'attempts go there');
select fixture.set_now('2030-01-09 00:00:00Z'), fixture.tick() \g /dev/null
select is((select count(*)::int from part where of = 'attempt'), 3,
          'a week later there is one more, and none is lost');
select is((select count(*)::int from kiln.attempt where job_id = :job2), 3, 'nor any row');
select fixture.set_now('2030-04-20 00:00:00Z') \g /dev/null
select fixture.tick() \g /dev/null
select is_empty(format('select from kiln.attempt where job_id = %s', :job2),
                'after kiln.config.attempt_keep the part goes whole');
rollback to later;
select lives_ok('select fixture.tick()', 'rows in the default part are in nobody''s way');
select is((select count(*)::int from kiln.attempt where job_id = :job), 3, 'and stay');

-- The log is cut by transactions; a part goes when all in it is old. (Its first parts are of this cluster's
-- first transactions.)
select is((select count(*)::int from part where of = 'event'), 2,
          'the part that is being written stays, however old its events are');
select is((select xid from kiln.log_start), 0::bigint, 'and the log still begins where it began');

drop table kiln.event_x20000000;
select fixture.tick() \g /dev/null
select is((select bound from part where name = 'event_x20000000'),
          $$FOR VALUES FROM ('20000000') TO ('40000000')$$,
          'the next part of the log is made where it is missing');
select is(obj_description('kiln.event_x20000000'::regclass), 'Events of transactions 20000000 to 39999999.',
          'and says what it holds');

-- forget(): what has had its time.
select fixture.set_now('2030-06-01 00:00:00Z') \g /dev/null
select fixture.call('ann', 'create_generation', p_body => '{"type": "image", "prompt": "x"}',
                    p_key => 'k') \g /dev/null
select fixture.call('ann', 'create_upload',
                    p_body => '{"filename": "a.png", "content_type": "image/png", "bytes": 1}') \g /dev/null
select fixture.call('ann', 'create_ticket', p_body => '{}') \g /dev/null
select kiln_runner.unregister(fixture.runner(name => 'short')) \g /dev/null
set role kiln_owner; insert into kiln.waiter (name, is_bus)
                     values ('bus:0', true), ('bus:' || pg_backend_pid(), true); reset role;
create temporary view kept as
select (select count(*) from kiln.idempotency)::int as keys, (select count(*) from kiln.media
                                                               where state = 'uploading')::int as uploads,
       (select count(*) from kiln.stream_ticket)::int as tickets, (select count(*) from kiln.runner
                                                                    where name = 'short')::int as runners;
select fixture.tick() \g /dev/null
select is(kept::text, '(1,1,1,1)', 'nothing is forgotten before its time') from kept;
select is((select array_agg(name) from kiln.waiter
            where is_bus), array['bus:' || pg_backend_pid()], 'but for waiters whose backend is gone');
select fixture.pass('3 hours'), fixture.tick() \g /dev/null
select is(kept::text, '(1,0,1,1)', 'an upload that never came is forgotten after its link and an hour')
  from kept;
select fixture.pass('22 hours'), fixture.tick() \g /dev/null
select is(kept::text, '(0,0,0,1)', 'keys and tickets after a day') from kept;
select fixture.pass('7 days'), fixture.tick() \g /dev/null
select is(kept::text, '(0,0,0,0)', 'runners that ended after a week') from kept;
-- All at once they were the work of one tick, which looked for them among all jobs of the operator.
set role kiln_owner;
insert into kiln.job (account_id, pipeline_version_id, stages, kind, state, finished_at, input)
select kiln_internal.operator_account(), v.pipeline_version_id, 1, 'upload', s.state::kiln.job_state, s.at,
       '{"upload": "0"}'
  from (select pipeline_version_id from kiln.pipeline_version limit 1) v,
       (select 'completed' as state, kiln_internal.now() - interval '8 days' as at
          from generate_series(1, 1001) union all
        values ('failed', kiln_internal.now() - interval '6 days'), ('queued', null)) s;
reset role;
create function pg_temp.checks() returns text language sql
as $$ select string_agg(n || ' ' || state, ', ' order by state)
        from (select count(*) as n, state::text from kiln.job where kind = 'upload' group by state) x $$;
select kiln_internal.purge_expired() \g /dev/null
select is(pg_temp.checks(), '1 completed, 1 failed, 1 queued',
          'the checks of uploads go after a week, a thousand at a time');
select kiln_internal.purge_expired() \g /dev/null
select is(pg_temp.checks(), '1 failed, 1 queued',
          'and then the next; not those that ended later, or have not ended');
select finish();
rollback;

-- kiln.after_restore(): what becomes of each thing that a backup holds. (A restored database is made here by
-- giving the cluster another identifier; tests/e2e/restore.test.mjs restores real ones.) No rollback takes
-- back what setval() did; the other tests want the ids of a fresh database.
select string_agg(format('perform setval(%L, %s, %s);', 'kiln.' || s.sequencename, coalesce(s.last_value, 1),
                         (s.last_value is not null)::text), ' ') as back
  from pg_sequences s where s.schemaname = 'kiln' and s.data_type = 'bigint'::regtype \gset
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();

create function pg_temp.carry_away() returns void language sql set role = kiln_owner as $$
    update kiln.cluster set system_identifier = 1;
    select set_config('kiln.checked', '', false);
$$;
create function pg_temp.after(p_arguments text default '') returns text language plpgsql as $$
declare
    v_said text;
begin
    execute format('select string_agg(what || %L || count, %L) from kiln.after_restore(%s) where count > 0',
                   ' ', ', ', p_arguments) into v_said;
    return v_said;
end $$;
create function pg_temp.code(p_sql text) returns text language plpgsql
as $$ begin execute p_sql; return 'fine'; exception when others then return sqlstate; end $$;

-- Where it is at home ---------------------------------------------------------------------------------------

select is(kiln_internal.is_restored(), false, 'a fresh database is at home');
select is((select format('%s %s %s', what, count, outcome)
             from kiln.after_restore()),
          'nothing 0 This database is at home in this cluster: there is nothing to do.',
          'and kiln.after_restore() leaves it alone');
select is(kiln_internal.xid_base(), 0::bigint, 'its log has the cluster''s own numbers');

-- Refused ---------------------------------------------------------------------------------------------------

select pg_temp.carry_away() \g /dev/null
select throws_like('select kiln.contract()',
                   '%run ./kiln after-restore, which is select kiln.after_restore(), before it is used',
                   'a restored one says what to run');
select is(pg_temp.code('select kiln.contract()'), 'KN017', 'under a code of its own');
select is_empty($$
    select f.call
      from (select format('select %s(%s)', p.oid::regproc,
                          (select string_agg('null::' || format_type(t, null), ', ' order by n)
                             from unnest(p.proargtypes) with ordinality u (t, n))) as call
                          from pg_proc p where p.pronamespace = 'kiln_runner'::regnamespace) f
     where pg_temp.code(f.call) <> 'KN017' $$,
           'every function of runners refuses: none claims, ticks, asks, delivers or answers');
select is_empty($$ select c
                     from unnest('{"act_as(''{}'')", bus_head(), "bus_read(''x'')", "use_ticket(''x'')",
                     "register_instance(''api'', ''h'', 1, 1, ''v'')", "beat_instance(1, 0, 0, 0, 0, 0, 0)"}'::text[]) c
                    where pg_temp.code('select kiln_api.' || c) <> 'KN017' $$,
                          'and what the server begins with');
select is(pg_temp.code($$ select kiln.enqueue('log', '{}') $$), 'KN017',
          'nobody makes an event by hand either');
select is(pg_temp.code($$ select kiln.new_pipeline_version('log') $$), 'KN017',
          'nor a version of a pipeline');
select set_eq('select what from kiln.contradictions', array['cluster'], 'kiln.contradictions says so');
select lives_ok('select kiln_internal.maintain_partitions()', 'what an upgrade loads is no obstacle');
set role kiln_owner; update kiln.cluster
                        set system_identifier = (select system_identifier
                                                   from pg_control_system()), relation = 1; reset role;
select is(pg_temp.code('select kiln.contract()'), 'KN017',
          'a dump and restore within one cluster is one, too');
set role kiln_owner; update kiln.cluster set relation = 'kiln.cluster'::regclass; reset role;
select lives_ok('select kiln.contract()', 'at home again');

-- What a backup holds ---------------------------------------------------------------------------------------

select fixture.set_now('2030-01-02 12:00:00Z') \g /dev/null
select fixture.account('ann') as ann \gset
-- A provider with each power that there is.
insert into kiln.provider (name, base_url, submit, poll, lookup, idempotency_header, idempotency_ttl)
select n, 'https://pay.test', p.submit, p.poll, case n when 'looks'
    then '{"method": "GET", "path": "/find/{idempotency_key}", "accept": [200], "absent_on": [404], "id": '
         '["/id"]}'::jsonb end,
       case n when 'repeats' then 'Idempotency-Key' end, case n when 'repeats' then interval '1 day' end
  from kiln.provider p, unnest('{looks,repeats}'::text[]) n where p.name = 'pay';
set role kiln_owner; insert into kiln.provider_limiter (provider_id) select provider_id from kiln.provider
                                                                      where name in ('looks', 'repeats')
                                                                          on conflict do nothing; reset role;
select fixture.paid_pipeline('test/looks', '{"provider": "looks"}'),
       fixture.paid_pipeline('test/repeats', '{"provider": "repeats"}') \g /dev/null
select fixture.pipeline('test/local', 1) \g /dev/null

create temporary table j (name text, job bigint);
create function pg_temp.j(p_name text) returns bigint language sql
as $$ select job from j where name = p_name $$;
insert into j select 'open', fixture.pay();
insert into j select 'open, on_unknown retry', fixture.pay(p_pipeline => 'test/again');
insert into j select 'open, may be looked up', fixture.pay(p_pipeline => 'test/looks');
insert into j select 'open, may be repeated', fixture.pay(p_pipeline => 'test/repeats');
select fixture.begin(job) from j \g /dev/null
insert into j select 'accepted', fixture.accepted('r9');
insert into j select 'paid, not begun', fixture.pay();
insert into j select 'failed, to be tried again', fixture.pay();
select fixture.answer(fixture.begin(pg_temp.j('failed, to be tried again')), 503) \g /dev/null
insert into j select 'local, running', fixture.enqueue('test/local');
select fixture.start(pg_temp.j('local, running')) \g /dev/null
insert into j select 'local, not begun', fixture.enqueue('test/local');
insert into j select 'done', fixture.job_in('completed');
select is((select string_agg(name || ': ' || fixture.task_states(job), ', ' order by name) from j
            where name ~ 'open|begun|again|running'),
          'failed, to be tried again: waiting, local, not begun: ready, local, running: running, open: '
          'running, open, may be looked up: running, open, may be repeated: running, open, on_unknown retry: '
          'running, paid, not begun: ready',
          'calls are open, tasks run and wait');
insert into kiln.webhook_endpoint (account_id, url, types)
values (:ann, 'https://example.com/hook', '{job.completed,notification}')
returning webhook_endpoint_id as endpoint \gset
set role kiln_owner; insert into kiln.endpoint_secret
                     values (:endpoint, kiln_extensions.gen_random_bytes(32)); reset role;
select kiln_internal.begin_deliveries() \g /dev/null
insert into kiln.delivery (account_id, webhook_endpoint_id, event_id, type, body, message_id)
values (:ann, :endpoint, 1, 'job.completed', '{}', 'msg_due');
insert into kiln.delivery (account_id, webhook_endpoint_id, event_id, type, body, message_id, state, ended_at)
values (:ann, :endpoint, 2, 'job.completed', '{}', 'msg_sent', 'sent', kiln_internal.now());
select fixture.call('ann', 'create_ticket', p_body => '{}') \g /dev/null
set role kiln_owner; insert into kiln.nonce
                     values ('\x01', kiln_internal.now() + interval '1 hour'); reset role;
set role kiln_owner; insert into kiln.ephemeral_event (xid, account_id, type, data)
                     values ('999999999', :ann, 'typing', '{}'); reset role;
set role kiln_owner; insert into kiln.waiter (name, is_bus) values ('bus:1', true); reset role;
select kiln_api.register_instance('both', 'h', 1, 1, 'v') as instance \gset
-- The log of a cluster that was far ahead: events of transactions 1,000 and 699,999,999 (as were 670,558 of
-- them once).
insert into kiln.event (xid, account_id, type, data)
values ('1000', :ann, 'notification', '{"text": "old"}'),
       ('699999999', :ann, 'job.completed', '{"text": "ahead"}');
set role kiln_owner; update kiln.outgoing set from_snapshot = '900:900:', cluster = '1'; reset role;
select max(event_id) as last_event from kiln.event \gset
select last_value as fence from kiln.fence \gset
create temporary table ids as select sequencename, last_value from pg_sequences
                               where schemaname = 'kiln' and data_type = 'bigint'::regtype;
create temporary table low_watermarks as select * from kiln.low_watermark;
savepoint backup;

select pg_temp.carry_away() \g /dev/null
select is((select string_agg(what, ', ' order by what) from kiln.contradictions
            where what in ('cluster', 'event')), 'cluster, event',
          'an event that is ahead of the counter is named');
select matches(pg_temp.after(),
               '^events [0-9]+, runners [0-9]+, tasks released 1, calls 4, tasks held 2, deliveries 1$',
               'kiln.after_restore() says what it found');
select is(pg_temp.after(), null, 'and the second time nothing');
select is_empty('select * from kiln.contradictions', 'after it nothing contradicts');
select lives_ok('select kiln.contract()', 'and programs may come');

-- The log.
select is(kiln_internal.xid_base(), 699999999::bigint,
          'the log goes on behind its last event, without a row of it rewritten');
select is((select count(*)::int from kiln.event where event_id <= :last_event), (select count(*)::int
                                                        from kiln.event where event_id <= :last_event
                                                            and kiln_internal.cluster_xid(xid) = '2'),
          'what is old is history');
select is((select count(*)::int
             from kiln_internal.events_between(null, '5:5:', pg_current_snapshot(), 0, 100000, false)
            where event_id <= :last_event), 0, 'and told to nobody, wherever the counter stands');
select is((select count(*)::int
             from kiln_internal.events_between(null, '5:5:', '4611686018427387905:4611686018427387905:', 0,
                                               100000, false) where event_id <= :last_event), 0,
          'nor ever will be');
select cmp_ok((select min(xid) from kiln.event where event_id > :last_event), '>', '699999999',
              'what is new stands behind it');
select isnt_empty($$ select from kiln_internal.events_between(null, '5:5:',
                                                              '4611686018427387905:4611686018427387905:', 0,
                                                              100000, false) where type = 'job.held' $$,
                  'and is told');
select matches(kiln_internal.epoch(), '^[0-9a-f]+-[0-9]+-[0-9a-f]{8}$',
               'positions from now on are of another history');
select is(pg_temp.code(format('select kiln_internal.parse_position(%L)',
                              regexp_replace(kiln_api.bus_head(), '-[0-9a-f]{8}\.', '.'))), 'KN013',
          'and one of before is answered by a reset');
select is((select c.relname::text from pg_class c
            where c.relname = 'event_x' || ((699999999 + txid_current()) / 20000000 * 20000000)),
          'event_x' || ((699999999 + txid_current()) / 20000000 * 20000000), 'there is a part for it');

-- Work.
select is((select string_agg(name || ': ' || fixture.calls(job) || '/' || fixture.task_states(job), E'\n'
                             order by name) from j where name ~ '^(open|acc)'),
E'accepted: accepted/waiting\nopen: unknown/held\nopen, may be looked up: unknown/waiting\nopen, may be repeated: unknown/held\nopen, on_unknown retry: unknown/held', 'an open call is looked up or held; one that the provider has is asked about');
select is((select string_agg(name || ': ' || fixture.task_states(job), E'\n' order by name) from j
            where name !~ '^(open|acc)'),
E'done: done done done\nfailed, to be tried again: held\nlocal, not begun: ready\nlocal, running: ready\npaid, not begun: held', 'what may have been paid since is held, what costs nothing goes on');
select fixture.pass('1 day'), fixture.tick() \g /dev/null
select is_empty($$ select from j, kiln.call c where c.job_id = j.job
                      and (c.sends > 1 or c.number > 1 and name ~ 'open') $$,
                'nothing was sent again, a day later neither');
select is((select count(*)::int from kiln.task where state = 'held' and error_class = 'unknown'
              and error_message like 'The database was restored from a backup.%'), 5, 'each says why');
select is(kiln.resume_job(pg_temp.j('paid, not begun'))::text, 'running', 'a person''s word lets it go on');
select is((select string_agg(what || ' ' || n, ', ' order by what)
             from (select what, count(*) n from kiln.restore_findings group by what) x),
          'call 4, delivery 1, job 1', 'the list has what is left to decide');
select is((select count(*)::int from kiln.runner where ended_at is null) + (select count(*)::int
                                                        from kiln.heartbeat) + (select count(*)::int
                                                            from kiln.instance where ended_at is null), 0,
          'no runner and no server of the backup is here');
select is(pg_temp.code(format('select * from kiln_runner.beat(%s)', (select max(runner_id)
                                                                       from kiln.runner))), 'KN011',
          'one that lives is told to register again');

-- What goes out.
select is((select string_agg(message_id || ' ' || state, ', ' order by delivery_id)
             from kiln.delivery), 'msg_due failed, msg_sent sent',
          'a due delivery is not sent again, and none is made of the past');
select is(kiln_runner.claim_deliveries(1) ->> 'deliveries', '[]', 'nor taken');
select lives_ok(what_to_do, 'someone may send it') from kiln.restore_findings where what = 'delivery';
select is((select string_agg(message_id, ',') from kiln.delivery
            where state = 'due'), 'msg_due', 'under its own id');

-- What was given away.
select is((select count(*)::int from kiln.stream_ticket) + (select count(*)::int
                                                              from kiln.nonce) + (select count(*)::int
                                                                  from kiln.ephemeral_event) + (select count(*)::int from kiln.waiter), 0, 'tickets, nonces and what is not logged are gone');
select is_empty($$ select i.sequencename from ids i join pg_sequences s using (sequencename)
                    where s.schemaname = 'kiln' and s.last_value < coalesce(i.last_value, 0) + 100000000 $$,
                'no id is given again that may have been given since');
select cmp_ok((select last_value from kiln.fence), '>=', :fence + 100000000::bigint,
              'nor a fence: who still runs from before cannot write');
select kiln_internal.advance_low_watermarks() \g /dev/null
select is_empty($$ select from low_watermarks o join kiln.low_watermark n using (queue_id, priority)
                    where n.max_virtual_time > o.max_virtual_time + 50000000 $$,
                'to the queues'' turns that is no time');
select ok(keeps_files, 'files that no row names stay, results that were paid since among them')
  from kiln.restore;
select fixture.set_now(statement_timestamp() + interval '2 days') \g /dev/null
select is_empty($$ select *
                     from kiln_runner.orphans('{zz/00000000000000000000000000000000}', '{400000000}') $$,
                'they are no orphans');

-- Where nothing ran since the backup ------------------------------------------------------------------------

rollback to backup;
-- no rollback takes back what setval did
update ids i set last_value = s.last_value from pg_sequences s
 where s.schemaname = 'kiln' and s.sequencename = i.sequencename;
select pg_temp.carry_away() \g /dev/null
select matches(pg_temp.after('p_nothing_ran => true'),
               '^events [0-9]+, runners [0-9]+, tasks released 1, calls 4, deliveries made [1-9][0-9]*$',
               'all of it goes on, but for open calls');
select is((select string_agg(name || ': ' || fixture.task_states(job), E'\n' order by name) from j
            where name !~ '^(open|acc)'),
E'done: done done done\nfailed, to be tried again: waiting\nlocal, not begun: ready\nlocal, running: ready\npaid, not begun: ready', 'unfinished work goes on');
select is((select count(*)::int from kiln.delivery
            where message_id = 'msg_due' and state = 'due'), 1, 'due deliveries are sent');
select is((select count(*)::int from kiln.delivery d join kiln.event e using (event_id)
            where e.data ->> 'text' in ('old', 'ahead')), 2,
          'and what happened before the backup and was not made into one yet, is');
create temporary table told as select event_id, message_id from kiln.delivery
                                where event_id in (select event_id from kiln.event
                                                    where data ->> 'text' in ('old', 'ahead'));
select is((select count(*)::int from kiln.stream_ticket), 1, 'tickets hold');
select is_empty($$ select i.sequencename from ids i join pg_sequences s using (sequencename)
                    where s.schemaname = 'kiln' and s.last_value > coalesce(i.last_value, 0) + 1000 $$,
                'and ids go on as they were');
select is((select keeps_files from kiln.restore), false, 'orphans are orphans');

-- The same events, told from elsewhere: a receiver knows them by their ids.
select message_id as once from told order by event_id limit 1 \gset
rollback to backup;
select pg_temp.carry_away() \g /dev/null
select pg_temp.after('p_nothing_ran => true') \g /dev/null
select is((select count(*)::int from kiln.delivery
            where message_id = :'once'), 1,
          'an event that is made into a delivery once more has the id that it had');
select isnt(kiln_internal.message_id(1, '2030-01-01', 'job.completed', 1),
            kiln_internal.message_id(1, '2030-01-01 00:00:00.000001', 'job.completed', 1),
            'another event under its number has another');

-- By hand ---------------------------------------------------------------------------------------------------

rollback to backup;
set role kiln_owner; update kiln.outgoing
                        set cluster = (select system_identifier::text from pg_control_system()); reset role;
select throws_ok('select * from kiln.after_restore(p_by_hand => true)', 'KN001',
                 'programs are running on this database: stop them first',
                 'by hand it wants no program to run');
select fixture.pass('1 minute') \g /dev/null
select kiln_internal.epoch() as before \gset
select isnt(pg_temp.after('p_by_hand => true'), null,
            'a copy of the disk that was put back looks like itself: someone says what it is');
select isnt(kiln_internal.epoch(), :'before', 'its positions are of another history');
select is(kiln_internal.xid_base(), 0::bigint, 'its numbers are the cluster''s own');
rollback to backup;

-- Timelines -------------------------------------------------------------------------------------------------

select split_part(kiln_internal.epoch(), '-', 1) as system \gset
set role kiln_owner; insert into kiln.timeline (timeline, xid) values (1, 3)
                         on conflict do nothing; reset role;
create function pg_temp.replay(p_timeline int, p_xid text) returns text language sql as $$
    select string_agg(type, ',') from kiln_api.bus_replay((select account_id from kiln.identity
                                                            where subject = 'ann'),
                                                          split_part(kiln_internal.epoch(), '-', 1) || '-'
                                                          || p_timeline || '.' || p_xid || '_' || p_xid
                                                          || '_', kiln_api.bus_head(), 10)
$$;
create or replace function kiln_internal.epoch() returns text language sql stable
as $$ select to_hex(s.system_identifier) || '-3' from pg_control_system() s $$;
set role kiln_owner; insert into kiln.timeline (timeline, xid) values (2, 500), (3, 900); reset role;
select is(pg_temp.replay(1, '400'), 'reset', 'a position of an older timeline is answered by one reset');
select is_empty('select * from kiln.lost_position', 'one from before the fork lost nothing');
select is(pg_temp.replay(1, '600'), 'reset', 'so is one beyond the fork');
select is((select (timeline, xid, began_xid)::text from kiln.lost_position
            where account_id = :ann), '(1,600,500)',
          'whose client was told of what is gone, and that is kept');
select pg_temp.replay(2, '950'), pg_temp.replay(2, '920') \g /dev/null
select is((select (timeline, xid, began_xid)::text from kiln.lost_position
            where account_id = :ann), '(2,950,900)', 'of several the farthest');
select matches((select finding from kiln.restore_findings
                 where what = 'position'),
               '^A client was told up to transaction 950 of timeline 2; that one ended here at 900\.$',
               'in words too');
select is(pg_temp.code($$ select pg_temp.replay(4, '10') $$), 'KN013', 'a later timeline is unknown');
select is(pg_temp.code($$ select * from kiln_api.bus_replay(1, 'beef-1.5_5_', kiln_api.bus_head(), 10) $$),
          'KN013', 'as is another cluster');
select finish();
rollback;
select set_config('restore.back', :'back', false) \g /dev/null
do $$ begin execute 'do $b$ begin ' || current_setting('restore.back') || ' end $b$'; end $$;

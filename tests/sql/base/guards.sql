-- What a person may type at the tables, a superuser too: it is performed, or refused with the function to
-- call. The columns one by one: behaviour/columns.sql. Each claim here was false once: UPDATE 1, and nothing happened,
-- or what nobody may lose was gone.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
savepoint fresh;

-- Priority and time -----------------------------------------------------------------------------------------

select kiln.enqueue_many('test/one', array(select '{}'::jsonb
                                             from generate_series(1, 50)),
                         fixture.account('ann')) \g /dev/null
create temporary table late as select fixture.enqueue(account => 'ann') as job_id,
                                      fixture.enqueue(account => 'ann') as other;
update kiln.job set priority = 3 where job_id = (select job_id from late);
select is((select c.job_id from kiln_runner.claim(fixture.runner('{image}'), 1) c), job_id,
          'a job whose priority is raised goes before fifty that came first') from late;
update kiln.job set priority = 0 where job_id = (select other from late);
select is((select count(*)::int from late, kiln_runner.claim(fixture.runner('{image}', 100), 50) c
            where c.job_id = other), 0, 'one whose priority is lowered waits for all others');
select is((select c.job_id from kiln_runner.claim(fixture.runner('{image}'), 1) c), other,
          'and has its turn then') from late;
rollback to fresh;

create temporary table stages as select fixture.job_in('running') as job_id;
update kiln.job set priority = 3 where job_id = (select job_id from stages);
select fixture.complete(job_id) from stages \g /dev/null
select is((select priority::int from kiln.task_ready
             join stages using (job_id)), 3, 'the next stage of a running job has its new priority');
select fixture.start(job_id) from stages \g /dev/null
update kiln.job set priority = 0 where job_id = (select job_id from stages);
select fixture.fail(job_id, 'transient') from stages \g /dev/null
select fixture.pass('10 minutes'), fixture.tick() \g /dev/null
select is((select priority::int from kiln.task_ready
             join stages using (job_id)), 0, 'so has one that is tried again');
rollback to fresh;

create temporary table timed as select fixture.enqueue() as now_or_later,
                                       fixture.enqueue(due_in => '1 day') as tomorrow;
update kiln.job set run_at = kiln_internal.now() + interval '1 hour'
 where job_id = (select now_or_later from timed);
select is(fixture.task_states(now_or_later), 'waiting', 'a job that is given a time waits for it') from timed;
update kiln.job set run_at = null where job_id = (select tomorrow from timed);
select fixture.tick() \g /dev/null
select is(fixture.task_states(tomorrow), 'ready', 'one whose time is taken away may run now') from timed;
update kiln.job set run_at = kiln_internal.now() - interval '1 minute'
 where job_id = (select now_or_later from timed);
select fixture.tick() \g /dev/null
select is(fixture.task_states(now_or_later), 'ready', 'and one whose time is brought forward') from timed;
update kiln.task set due_at = kiln_internal.now() + interval '1 hour'
 where job_id = (select tomorrow from timed);
select is(fixture.task_states(tomorrow), 'waiting', 'due_at of a ready task is performed: it waits')
  from timed;
update kiln.task set due_at = kiln_internal.now() where job_id = (select tomorrow from timed);
select fixture.tick() \g /dev/null
select is(fixture.task_states(tomorrow), 'ready', 'and comes back') from timed;
select is_empty('select * from kiln.contradictions', 'all that leaves nothing that contradicts anything');
select throws_ok(format('update kiln.job set run_at = now() where job_id = %s', fixture.job_in('running')),
                 'KN001', null, 'run_at of a job that has begun is refused');
select throws_ok(format('update kiln.job set priority = 3 where job_id = %s', fixture.job_in('completed')),
                 'KN001', null, 'priority of one that has ended too');
select throws_ok(format('update kiln.task set due_at = now() where task_id = %s', fixture.task_in(s)),
                 'KN001', null, 'due_at of a task that is ' || s || ' is refused')
  from unnest('{running,held,done}'::kiln.task_state[]) s;
select matches(fixture.refusal(format('update kiln.task set priority = 3 where task_id = %s',
                                      fixture.task_in('ready'))) ->> 'hint',
               'update kiln.job set priority = 3 where job_id = ',
               'a task''s priority is its job''s, and the refusal says so');
rollback to fresh;

-- Jobs and tasks begin with enqueue() -----------------------------------------------------------------------

create function pg_temp.tried(p_role text, p_statement text) returns text language plpgsql as $$
declare
    v_refusal jsonb;
begin
    perform set_config('role', p_role, true);
    v_refusal := fixture.refusal(p_statement);
    perform set_config('role', 'none', true);
    return concat_ws(' ', coalesce(v_refusal ->> 'code', 'done'), v_refusal ->> 'hint');
end $$;
grant usage on schema fixture to kiln_admin;
select matches(pg_temp.tried('none', s), 'KN001 .*kiln.enqueue',
               'refused to a superuser, with the function: ' || s)
  from unnest(array['insert into kiln.job (account_id, pipeline_version_id, stages, input) values (1, 1, '
                    '1, ''{}'')']
              || array(select format('insert into kiln.%I (task_id, job_id, account_id, virtual_time, '
                                     'pipeline_version_id, state, queue_id, priority, stage) values (1, 1, '
                                     '1, 1, 1, %L, 1, 1, 1)', t, s)
                         from (values ('task', 'ready')) v (t, s))) s;
-- The parts have no guard for each statement: it would cost each cycle a tenth. Nobody but a superuser may
-- write to one.
select is(left(pg_temp.tried('kiln_admin', format('%s kiln.%I', v, t)), 5), '42501',
          format('%s %s by name is no right of an administrator', v, t))
  from unnest('{task_ready,task_running,task_waiting,task_held,task_ended}'::text[]) t,
       unnest(array['delete from', 'truncate']) v;
select throws_ok(format('set local role kiln_admin; insert into kiln.%I default values', t), '42501', null,
                 'nor to insert into it: ' || t)
  from unnest('{task_ready,task_running,task_waiting,task_held,task_ended}'::text[]) t;
reset role;
select matches(pg_temp.tried('kiln_admin',
    'insert into kiln.job (account_id, pipeline_version_id, stages, input) values (1, 1, 1, ''{}'')'),
               'KN001 .*kiln.enqueue', 'to an administrator too');
select throws_ok('delete from kiln.' || t, 'KN001', null, 'a task is not deleted without its job')
  from unnest('{task}'::text[]) t;
select is(pg_temp.tried('kiln_admin', 'select kiln.enqueue(''log'')'), 'done', 'who enqueues as ever');
select is(pg_temp.tried('kiln_admin',
                        format('update kiln.job set state = ''cancelled'' where job_id = %s',
                               fixture.job_in('queued'))), 'done', 'and moves a job by hand');

-- What a person's word is needed for ------------------------------------------------------------------------

create temporary table paid as select fixture.pay() as job, fixture.pay() as lost;
select fixture.begin(job) from paid \g /dev/null
select fixture.trouble(fixture.begin(lost)) from paid \g /dev/null
select is(fixture.task_states(lost), 'held', 'a job is held, perhaps paid') from paid;
select matches(fixture.refusal(format('update kiln.task set state = %L where job_id = %s', s, lost))
               ->> 'hint', 'kiln.resolve_job', 'its task does not become ' || s || ' by hand')
  from paid, unnest('{done,failed}'::text[]) s;
select matches(fixture.refusal(format('update kiln.job set state = %L where job_id = %s', s, lost))
               ->> 'hint', 'kiln.resolve_job', 'nor does it become ' || s)
  from paid, unnest('{running,completed,failed}'::text[]) s;
select matches(fixture.refusal(format('update kiln.task set state = %L where job_id = %s', s, job))
               ->> 'message', 'it may have been paid', 'a task whose call is open does not become ' || s
               || ' by hand')
  from paid, unnest('{done,failed}'::text[]) s;
select matches(fixture.refusal(format('update kiln.call set state = ''settled'', outcome = ''not_sent'', '
                                      'settled_at = now() where job_id = %s', job)) ->> 'hint',
    'kiln.resolve_job', 'nor is a call settled as not sent, before its time-out or after')
  from paid;
select throws_ok($$ insert into kiln.call (task_id, job_id, account_id, provider_id, fence, number, request,
                                           request_hash, send_before, timeout_at)
                    select task_id, job_id, account_id, provider_id, fence, 2, '{}', '', send_before,
                           timeout_at from kiln.call limit 1 $$, 'KN001', null, 'nor is one made');

-- What functions write for others to read -------------------------------------------------------------------

select is(pg_temp.tried(r, format(s, t)) ~ '^KN001 .', true,
          format('refused to %s, with what to do: %s', r, format(s, t)))
  from unnest('{none,kiln_admin}'::text[]) r, unnest('{job_end,tryon,upload_session}'::text[]) t,
       unnest(array['delete from kiln.%s', 'insert into kiln.%s default values']) s;
select matches(pg_temp.tried(r, format('update kiln.account set role = ''user'' where account_id = %s',
                                       fixture.account('admin'))), 'kiln.set_role',
               r || ' takes a role away by the function that ends its streams')
  from unnest('{none,kiln_admin}'::text[]) r;
select set_config('kiln.account_id', '', true), set_config('kiln.role', '', true) \g /dev/null
select lives_ok('select kiln.sign_out_everywhere(account_id) from kiln.account where deleted_at is null',
                'everybody can be signed out at once, as docs/backup.md says');
set role kiln_owner;
insert into kiln.delivery (account_id, event_id, type, body, state, ended_at)
select fixture.account('ann'), 1, 'job.completed', '{}', 'sent', kiln_internal.now();
reset role;
select matches(pg_temp.tried(r, 'update kiln.delivery set due_at = kiln_internal.now()'), 'KN001 kiln.resend',
               'a delivery that has ended has no new time by hand: ' || r)
  from unnest('{none,kiln_admin}'::text[]) r;

-- What would never work -------------------------------------------------------------------------------------

select matches(pg_temp.tried(r, 'delete from kiln.provider where name = ''pay'''),
               'KN001 .*is_enabled = false', 'a provider that stages ask is not deleted by ' || r)
  from unnest('{none,kiln_admin}'::text[]) r;
select kiln_internal.make_endpoint(fixture.account('ann'), 'https://hooks.example.com/a',
                                   '{job.completed}') \g /dev/null
select is(left(pg_temp.tried(r, s), 5), 'KN003',
          format('an address to which nothing is delivered is refused to %s: %s', r, s))
  from unnest('{none,kiln_admin}'::text[]) r,
       unnest(array['update kiln.webhook_endpoint set url = ''http://hooks.example.com/a''',
                    'update kiln.webhook_endpoint set url = ''https://10.0.0.1/a''',
       format('insert into kiln.webhook_endpoint (account_id, url, types) values '
              '(%s, ''http://hooks.example.com/b'', ''{job.completed}'')', fixture.account('ann'))]) s;
select is(pg_temp.tried('kiln_admin',
                        'update kiln.webhook_endpoint set url = ''https://hooks.example.com/b'''), 'done',
          'one to which something is may be written');
rollback to fresh;

-- The limiter -----------------------------------------------------------------------------------------------

select throws_ok(s, 'KN001', null, 'refused: ' || s)
  from unnest('{delete from kiln.provider_limiter,truncate kiln.provider_limiter,delete from '
              'kiln.queue_limiter,delete from kiln.low_watermark}'::text[]) s;
set role kiln_owner; delete from kiln.provider_limiter; reset role;
create temporary table ungated as select fixture.pay() as job;
select matches(fixture.begin(job) ->> 'why', 'has lost its limiter: no call begins',
               'without a limiter no call begins, rather than any number') from ungated;
select is((select count(*)::int from kiln.call join ungated on job = job_id), 0, 'nothing was sent');
select bag_eq($$ select distinct what from kiln.contradictions
                  where what = 'provider_limiter' $$, array['provider_limiter'],
              'kiln.contradictions names it');
select fixture.tick() \g /dev/null
select is((select count(*) from kiln.provider_limiter), (select count(*)
                                                           from kiln.provider), 'the tick makes it anew');
select ok((select bool_and(paused_until > kiln_internal.now() + interval '60 seconds')
             from kiln.provider_limiter), 'closed for as long as a rate looks back');
select fixture.pass('62 seconds'), fixture.tick() \g /dev/null
select is(fixture.begin(job) ->> 'do', 'send', 'then it goes on') from ungated;
rollback to fresh;

-- A runner without a heartbeat ------------------------------------------------------------------------------

select throws_ok('delete from kiln.heartbeat', 'KN001', null, 'a heartbeat is not taken away');
select fixture.runner('{image}', 4, 'ghost') as ghost, fixture.runner('{image}', 4, 'living') as living,
       fixture.enqueue() as quarantined, fixture.enqueue() as theirs \gset
select fixture.start(:theirs, :ghost) \g /dev/null
update kiln.task set interruptions = 2 where job_id = :quarantined;
set role kiln_owner; delete from kiln.heartbeat where runner_id = :ghost; reset role;
select bag_eq($$ select what || ' ' || complaint from kiln.contradictions
                  where what = 'runner' $$, array['runner counts as alive, and has no heartbeat'],
              'where it is, kiln.contradictions names the runner');
select kiln_internal.assign_quarantined() \g /dev/null
select is((select quarantined_task_id from kiln.runner
            where runner_id = :ghost), null, 'nothing is reserved for it');
select is((select quarantined_task_id from kiln.runner
            where runner_id = :living), kiln_internal.task_id(:quarantined, 1), 'but for one that beats');
select fixture.outlive(:living, '6 seconds'), fixture.tick(:living) \g /dev/null
select is((select ended_why from kiln.runner where runner_id = :ghost), 'expired', 'it is dead');
select is((select state || ' ' || interruptions from kiln.task
            where job_id = :theirs), 'ready 1', 'and its task is another''s');
rollback to fresh;

-- History ---------------------------------------------------------------------------------------------------

select fixture.set_now('2031-01-01 12:00:00Z'), fixture.tick() \g /dev/null
select fixture.job_in('completed') as done \gset
create temporary view part as
select c.oid::regclass::text as name, p.relname as of from pg_inherits i join pg_class c on c.oid = i.inhrelid
  join pg_class p on p.oid = i.inhparent where p.oid in ('kiln.event'::regclass, 'kiln.attempt'::regclass);
select ok(exists (select from part where name like '%attempt_w2030%'), 'the tick has made a part');
create temporary table history as
select name from part
 where (xpath('/row/n/text()', query_to_xml('select count(*) as n from ' || name, false, true,
                                            '')))[1]::text::int > 0 union all
values ('kiln.event'), ('kiln.attempt');
select cmp_ok((select count(*)::int from history), '>=', 4, 'there is history in parts of both');
select throws_ok(format(s, name), 'KN001', null, format('refused to a superuser: ' || s, name))
  from history, unnest(array['delete from %s', 'update %s set job_id = job_id + 1']) s;
select throws_ok('truncate ' || name, 'KN001', null, 'refused to a superuser: truncate ' || name) from part;
set local session_replication_role = replica;
select is_empty($$ select name from history
                    where fixture.refusal('delete from ' || name) ->> 'code' is distinct from 'KN001' $$,
                'with session_replication_role = replica too');
set local session_replication_role = origin;
select is_empty($$ select name, p from part, unnest('{insert,update,delete,truncate}'::text[]) p
                    where has_table_privilege('kiln_admin', name, p) $$,
                'an administrator may not write a part, those that the tick makes later neither');
rollback to fresh;

-- Every guard -----------------------------------------------------------------------------------------------

select throws_ok(format('truncate %s cascade', c.oid::regclass), 'KN001', null,
                 format('%s is not emptied at a stroke', c.oid::regclass))
  from pg_class c where c.relnamespace = 'kiln'::regnamespace and c.relkind in ('r', 'p') order by c.relname;
select is_empty($$ select t.tgname, t.tgrelid::regclass from pg_trigger t join pg_class c on c.oid = t.tgrelid
                    where c.relnamespace = 'kiln'::regnamespace and not t.tgisinternal
                      and t.tgenabled <> 'A' $$,
                'every trigger is ENABLE ALWAYS: no setting switches one off');
select is_empty($$ select c.oid::regclass, p.tgname from pg_trigger p
                     join pg_inherits i on i.inhparent = p.tgrelid join pg_class c on c.oid = i.inhrelid
                    where not p.tgisinternal and p.tgtype & 1 = 1 and c.relnamespace = 'kiln'::regnamespace
                      and not exists (select from pg_trigger t
                                       where t.tgrelid = c.oid and t.tgparentid = p.oid
                                         and t.tgenabled = 'A') $$,
                          'a part has the row triggers of its whole, those that are made later too');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
alter table kiln.ledger disable trigger all;
select isnt_empty($$ select from kiln.contradictions
                      where what = 'guard'
                        and complaint
                            ~ 't10_guard_delete of kiln.ledger is off: alter table kiln.ledger enable always '
                              'trigger' $$,
                  'kiln.contradictions names a guard that is off, and how to mend it');
alter table kiln.ledger enable trigger all;
select isnt_empty($$ select from kiln.contradictions
                      where what = 'guard'
                        and complaint ~ 't10_guard_delete of kiln.ledger is no longer ENABLE ALWAYS' $$,
                  'and one that `enable trigger all` has made ORIGIN');
rollback to fresh;
drop trigger t10_guard_truncate on kiln.event;
select isnt_empty($$ select from kiln.contradictions
                      where what = 'guard' and complaint ~ 'kiln.event can be emptied' $$,
                  'and a table that has lost its guard of TRUNCATE');
rollback to fresh;
select throws_ok('delete from kiln.' || t, 'KN001', null, 'refused: delete from ' || t)
  from unnest('{config,secret,maintenance,log_start,migration,mutex,restore,runner}'::text[]) t;
select throws_ok($$ insert into kiln.maintenance values ('cheat', '1 second') $$, 'KN001', null,
                 'a maintenance job that no function does would stop the tick: refused');

select is_empty($$ select distinct f.name
                     from pg_trigger t, regexp_matches(encode(t.tgargs, 'escape'),
                                                       'kiln(?:_runner|_internal)?[.]([a-z_]+)[(]', 'g') m,
                          lateral (select m[1] as name) f
                    where not t.tgisinternal and not exists (select from pg_proc p
                                                              where p.proname = f.name
                                                                and p.pronamespace in ('kiln'::regnamespace,
                                                                    'kiln_internal'::regnamespace,
                                                                        'kiln_runner'::regnamespace)
                                                                and (p.prosecdef
                                                                     or p.proname = 'new_pipeline_version')) $$,
                'every function that a refusal names is there, and does what it says when a person types it');

-- The settings ----------------------------------------------------------------------------------------------

select throws_ok('update kiln.config set ' || s, '23514', null, 'refused: ' || s)
  from unnest(array['lease = ''1 second''', 'lease = ''1 hour''', 'link_ttl = ''1 year''',
                    'upload_ttl = ''1 year''', 'event_keep = ''1 second''', 'task_grace = ''0''',
                    'upload_max_bytes = 0']) s;
select throws_ok($$ update kiln.maintenance set every = '1 year'
                     where name = 'expire' $$, '23514', null, 'refused: a maintenance job once a year');
select lives_ok($$ update kiln.config set currency = 'EUR' $$,
                'the currency may be chosen before there is money');
select kiln.grant_credit(fixture.account('ann'), 1000000, 'test') \g /dev/null
select throws_ok($$ update kiln.config set currency = 'CHF' $$, 'KN001', null,
                 'and not when the ledger has amounts in it');
select finish();
rollback;

-- Money is rows that are only ever added, and they add up: a hold when a job is made, its release and a
-- charge when it has ended.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create function pg_temp.balance(p_sub text default 'ann') returns text language sql volatile
as $$ select format('%s = %s - %s - %s', balance, granted, charged, held) from kiln.balances
       where account = fixture.account(p_sub) $$;
-- Lets a job succeed for what the provider says it costs.
create function pg_temp.succeed(p_job bigint, p_cost bigint default null) returns void language plpgsql as $$
declare
    v_step jsonb := fixture.begin(p_job);
begin
    if v_step ->> 'do' = 'send' then
        v_step := fixture.answer(v_step, 200,
                                 jsonb_strip_nulls(jsonb_build_object('id', 'r', 'status', 'done',
                                                                      'files', '["https://pay.test/1.png"]'::jsonb, 'cost', p_cost))::text);
    end if;
    perform fixture.complete(p_job);
end $$;

-- The course of a price -------------------------------------------------------------------------------------

select is(pg_temp.balance(), '0 = 0 - 0 - 0', 'an account begins with nothing');
select kiln.grant_credit(fixture.account('ann'), 1000, 'welcome') \g /dev/null
create temporary table a as select fixture.pay(100) as job;
select is((fixture.ledger(job), pg_temp.balance())::text, ('hold -100', '900 = 1000 - 0 - 100')::text,
          'a priced job holds its price when it is made') from a;
select pg_temp.succeed(job) from a \g /dev/null
select is((fixture.ledger(job), pg_temp.balance())::text,
          ('hold -100, release 100, charge -100', '900 = 1000 - 100 - 0')::text,
          'completed, the hold is released and the price charged') from a;
select is(fixture.ledger(fixture.job_in('completed')), null, 'a job without a price writes nothing');

create temporary table b as select fixture.pay(100) as cheap, fixture.pay(100) as dear,
                                   fixture.pay(100) as failed, fixture.pay(100) as cancelled,
                                   fixture.pay(100) as untouched, fixture.pay(0) as free;
select pg_temp.succeed(cheap, 40), pg_temp.succeed(dear, 250) from b \g /dev/null
select is(fixture.ledger(cheap), 'hold -100, release 100, charge -40',
          'what was cheaper than thought costs what it cost') from b;
select is((fixture.ledger(dear), (select actual_micros from kiln.job where job_id = dear))::text,
          ('hold -100, release 100, charge -100', 250)::text,
          'what was dearer costs the account its hold and no more') from b;
select is((select (micros, why)::text from kiln.waste, b
            where job = dear), (150, 'more than the estimate')::text,
          'the excess is the operator''s, and shows');
select fixture.answer(fixture.begin(failed), 200, '{"id": "r", "status": "failed"}') from b \g /dev/null
select is((fixture.ledger(failed), (select actual_micros from kiln.job where job_id = failed))::text,
          ('hold -100, release 100', 100)::text,
          'a job that failed costs the account nothing, though it was billed') from b;
select is((select (micros, why)::text from kiln.waste, b
            where job = failed), (100, E'the job failed\na failure was billed')::text, 'that shows too');
select kiln.cancel_job(untouched) from b \g /dev/null
select is(fixture.ledger(untouched), 'hold -100, release 100',
          'a job cancelled before anything was sent costs nothing') from b;
select pg_temp.succeed(free, 70) from b \g /dev/null
select is((fixture.ledger(free), (select actual_micros from kiln.job where job_id = free), (select micros
                                                        from kiln.waste where job = free))::text,
          (null::text, 70, 70)::text, 'what was thought free and was not is the operator''s') from b;
select is_empty('select * from kiln.waste where micros = 0 and perhaps = 0', 'and nothing else shows there');

-- Two attempts, one of them billed with the description's word that it may be repeated.
create temporary table c as select fixture.pay(100) as job;
select fixture.answer(fixture.begin(job), 200, '{"id": "r", "status": "failed", "class": "transient"}')
  from c \g /dev/null
select fixture.pass('1 minute'), fixture.tick() \g /dev/null
select pg_temp.succeed(job) from c \g /dev/null
select is((fixture.calls(job), fixture.ledger(job), (select (micros, why)::text from kiln.waste w
                                                      where w.job = c.job))::text,
          ('failed, succeeded', 'hold -100, release 100, charge -100',
           (100, E'a failure was billed\nmore than the estimate')::text)::text,
          'a repeat is paid once by the account, and once by the operator') from c;

-- A price without a provider's call: work of one's own machines.
create temporary table d as select kiln.enqueue('test/one', '{}', fixture.account('bob'),
                                                p_estimated_micros => 50) as job;
select fixture.start(job) from d \g /dev/null
select fixture.complete(job) from d \g /dev/null
select is(fixture.ledger(job), 'hold -50, release 50, charge -50',
          'priced work without a call costs its price') from d;
create temporary table d2 as select kiln.enqueue('test/one', '{}', fixture.account('bob'),
                                                 p_estimated_micros => 50) as job;
select fixture.start(job) from d2 \g /dev/null
select fixture.fail(job, 'invalid') from d2 \g /dev/null
select is(fixture.ledger(job), 'hold -50, release 50', 'and nothing where it failed') from d2;

-- Late news costs the account nothing more.
create temporary table e as select fixture.pay(100) as job;
select fixture.trouble(fixture.begin(job)) from e \g /dev/null
select fixture.pass('2 minutes') \g /dev/null
select kiln.resolve_job(job, 'fail', 'not worth it') from e \g /dev/null
select is((fixture.ledger(job), (select (micros, perhaps)::text from kiln.waste w where w.job = e.job))::text,
          ('hold -100, release 100', (0, 100)::text)::text, 'given up, it may have cost') from e;
update kiln.provider set webhook = '{"scheme": "hmac-sha256", "secret_env": "PAY_HOOK", "id": ["/id"]}'
 where name = 'pay';
select kiln_internal.record_webhook('pay', (fixture.last_call(job)).webhook_token::text,
                                    '{"id": "r7", "status": "done", "files": ["https://pay.test/1.png"]}')
  from e \g /dev/null
select is((fixture.ledger(job), (select (micros, perhaps, why)::text from kiln.waste w
                                  where w.job = e.job))::text,
          ('hold -100, release 100', (100, 0, E'the job failed\ntold after we gave up')::text)::text,
          'told later that it did, it shows as certain, and the account pays nothing') from e;

-- It adds up ------------------------------------------------------------------------------------------------

select is((select sum(balance)::bigint from kiln.balances), (select sum(amount_micros)::bigint
                                                               from kiln.ledger),
          'all balances are the sum of all rows');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');

-- No back door ----------------------------------------------------------------------------------------------

select throws_ok('update kiln.ledger set amount_micros = 0', 'KN001', null,
                 'a row of the ledger never changes');
select throws_ok('delete from kiln.ledger', 'KN001', null, 'and never goes');
select throws_ok('truncate kiln.ledger', 'KN001', null, 'also not all at once');
set local session_replication_role = replica;
select throws_ok('delete from kiln.ledger', 'KN001', null, 'whatever one sets');
set local session_replication_role = origin;
select throws_ok($$ set local role kiln_owner; insert into kiln.ledger (account_id, job_id, kind,
                                                                        amount_micros)
                                               select 1, job, 'hold', -1 from a $$, '23505', null,
                 'a job holds once');
select throws_ok($$ set local role kiln_owner; insert into kiln.ledger (account_id, job_id, kind,
                                                                        amount_micros)
                                               values (1, 99, 'charge', -1) $$, 'KN001',
                 'ledger: a charge of -1 does not follow the hold of job 99',
                 'nothing is charged that was not held');
select throws_ok($$ insert into kiln.ledger (account_id, job_id, kind, amount_micros)
                    values (1, 99, 'charge', -1) $$, 'KN001',
                 'ledger: a charge belongs to a job and is not written by hand', 'and nobody types a charge');
select throws_ok($$ create temporary table paid as select fixture.account('ann') as ann,
                                                          fixture.pay(8) as job;
                                                      set local role kiln_owner; insert into kiln.ledger (account_id, job_id, kind, amount_micros) select ann, job, 'release', 7 from paid $$, 'KN001', null, 'what is released is what was held');
select throws_ok($$ set local role kiln_owner; insert into kiln.ledger (account_id, job_id, kind,
                                                                        amount_micros)
                                               values (1, 99, 'hold', 1) $$, '23514', null,
                 'a hold takes, it does not give');
select throws_ok($$ select kiln.grant_credit(0, 1, 'x') $$, 'KN002', null, 'credit needs an account');
set local role kiln_admin;
select throws_ok('update kiln.ledger set note = ''x''', '42501', null, 'an admin may not even try');
select lives_ok($$ select * from kiln.balances, kiln.waste, kiln.calls, kiln.held_jobs,
                          kiln.provider_health $$, 'but read');
reset role;
set local role kiln_reader;
select lives_ok('select * from ' || v, 'a reader reads ' || v)
  from unnest('{kiln.balances,kiln.waste,kiln.calls,kiln.held_jobs,kiln.provider_health,kiln.contradictions}'::text[]) v;
reset role;

-- The contradictions see what they are there for ------------------------------------------------------------

savepoint forged;
alter table kiln.call disable trigger user;
create temporary table t as select fixture.accepted('r1') as job;
update kiln.call set state = 'settled', outcome = 'succeeded', settled_at = kiln_internal.now(),
       charged_micros = 5 where call_id = (select (fixture.last_call(job)).call_id from t);
insert into kiln.call (task_id, job_id, account_id, provider_id, fence, number, request, request_hash,
                       send_before, timeout_at)
select task_id, job_id, account_id, provider_id, fence, 2, '{}', '', send_before, timeout_at
  from fixture.last_call((select job from t));
select isnt_empty($$ select from kiln.contradictions
                      where complaint ~ 'was called again after it, and it was charged 5' $$,
                  'a second call after a charged one is seen');
rollback to forged;
alter table kiln.ledger disable trigger user;
delete from kiln.ledger where kind = 'release' and job_id = (select job from a);
select isnt_empty($$ select from kiln.contradictions
                      where complaint ~ 'its ledger says hold -100, charge -100' $$,
                  'a hold without its release is seen');
rollback to forged;
create temporary table t as select fixture.accepted('r1') as job;
set role kiln_owner; delete from kiln.poll; reset role;
select isnt_empty($$ select from kiln.contradictions
                      where complaint = 'is accepted, and nobody asks about it' $$,
                  'a call that is forgotten is seen');
rollback to forged;
select is_empty('select * from kiln.contradictions', 'and otherwise nothing');
select finish();
rollback;

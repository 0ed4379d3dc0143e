-- The limiter of a provider: limits, rates, pauses, the circuit, caps. What is refused waits, is told why,
-- and costs no attempt.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
create function pg_temp.limiter() returns kiln.provider_limiter language sql volatile
as $$ select g.* from kiln.provider_limiter g join kiln.provider p using (provider_id)
       where p.name = 'pay' $$;
create function pg_temp.deferred() returns text language sql volatile
as $$ select string_agg(k.reason, ' ' order by k.priority desc, k.virtual_time) from kiln.deferred_task k
       where k.admitted_at is null $$;
select is((pg_temp.limiter()).circuit, 'closed', 'a provider has a limiter from the start');
savepoint fresh;

-- So many at once -------------------------------------------------------------------------------------------

update kiln.provider set max_calls = 2 where name = 'pay';
create temporary table a as select fixture.pay() as one, fixture.pay() as two, fixture.pay() as three,
                                   fixture.pay() as four;
create temporary table a1 as select fixture.begin(one) as one, fixture.begin(two) as two from a;
select is(fixture.begin(three) - '{task_id,fence}'::text[],
          '{"do": "nothing", "state": "waiting", "why": "Provider pay has 2 of 2 calls in work."}',
          'a third call at a limit of two waits, and is told why') from a;
select is((t.attempts, t.interruptions, t.label,
           (kiln_internal.render_job(j)::jsonb -> 'progress' ->> 'label'))::text,
          (0, 0, 'Provider pay has 2 of 2 calls in work.', 'Provider pay has 2 of 2 calls in work.')::text,
          'no attempt, no death; people see it') from a join kiln.task_waiting t on t.job_id = a.three
  join kiln.job j on j.job_id = a.three;
select matches(fixture.events(three), 'progress/2$', 'the stream too') from a;
select is(fixture.begin(four) ->> 'state', 'waiting', 'so does a fourth') from a;
select fixture.tick() \g /dev/null
select is(pg_temp.deferred(), 'calls calls', 'as long as there is no place');
select is(fixture.answer(one, 200, '{"id": "r1"}') ->> 'state', 'waiting',
          'a call that is accepted still has its place') from a1;
select fixture.tick() \g /dev/null
select is(pg_temp.deferred(), 'calls calls', 'and frees none');
select fixture.poll(one, 200, '{"status": "failed"}') from a \g /dev/null
select fixture.tick() \g /dev/null
select is((pg_temp.deferred(), fixture.task_states(three), fixture.task_states(four))::text,
          ('calls', 'ready', 'waiting')::text, 'a place that is free wakes the one whose turn it is') from a;
create temporary table a5 as select fixture.pay() as five;
select is(fixture.begin(five) ->> 'state', 'waiting', 'a newcomer does not take that place') from a5;
select is(fixture.begin(three) ->> 'do', 'send', 'it is kept for the one that was woken') from a;
select is((select (p.calls, p.deferred, w.health)::text from kiln.providers p
             join kiln.provider_health w using (provider)
            where provider = 'pay'), ('2/2', 2, 'ok')::text, 'the health tells of it');
select kiln.cancel_job(four) from a \g /dev/null
select is((select count(*)::int from kiln.deferred_task
            where admitted_at is null), 1, 'a job that is cancelled waits no more');
update kiln.provider set max_calls = null where name = 'pay';
select fixture.tick() \g /dev/null
select is((pg_temp.deferred(), fixture.task_states(five))::text, (null::text, 'ready')::text,
          'lifting the limit wakes the rest') from a5;
select is(fixture.begin(five) ->> 'do', 'send', 'who may then send') from a5;
select is_empty('select * from kiln.deferred_task', 'nobody is deferred');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
rollback to fresh;

-- A woken one that does not come keeps its place for half a minute.
update kiln.provider set max_calls = 1 where name = 'pay';
create temporary table b as select fixture.pay() as one, fixture.pay() as two, fixture.pay() as three;
create temporary table b1 as select fixture.begin(one) as step from b;
select fixture.begin(two) from b \g /dev/null
select fixture.answer(step, 422) from b1 \g /dev/null
select fixture.tick() \g /dev/null
select is(fixture.begin(three) ->> 'state', 'waiting', 'a place is kept') from b;
select fixture.pass('31 seconds'), fixture.tick() \g /dev/null
select is(fixture.begin(three) ->> 'do', 'send', 'for thirty seconds') from b;
select is(fixture.begin(two) ->> 'state', 'waiting', 'then it waits for another') from b;
rollback to fresh;

-- More urgent goes first.
update kiln.provider set max_calls = 1 where name = 'pay';
create temporary table c as select fixture.pay() as one, fixture.pay() as two,
                                   fixture.pay(priority => 3) as urgent;
create temporary table c1 as select fixture.begin(one) as step from c;
select fixture.begin(two), fixture.begin(urgent) from c \g /dev/null
select fixture.answer(step, 422) from c1 \g /dev/null
select fixture.tick() \g /dev/null
select is((fixture.task_states(urgent), fixture.task_states(two))::text, ('ready', 'waiting')::text,
          'the more urgent one is woken first') from c;
rollback to fresh;

-- So many a minute ------------------------------------------------------------------------------------------

select is((kiln_internal.rate_step(60, 1), kiln_internal.rate_step(60, 5),
           kiln_internal.rate_step(1, 1))::text,
          ('1.001 s'::interval, interval '60 seconds' / 56 + '1 ms', '60.001 s'::interval)::text,
          'the distance of calls, so that no window holds more than the rate');
update kiln.provider set rate_per_minute = 6, rate_burst = 2 where name = 'pay';
create temporary table r as select fixture.pay() as one, fixture.pay() as two, fixture.pay() as three;
select is((fixture.begin(one) ->> 'do', fixture.begin(two) ->> 'do', fixture.begin(three) ->> 'why')::text,
          ('send', 'send', 'Provider pay takes 6 calls a minute.')::text, 'a burst of two, then it waits')
  from r;
select fixture.pass('11 seconds'), fixture.tick() \g /dev/null
select is((pg_temp.deferred(), fixture.task_states(three))::text, ('rate', 'waiting')::text, 'not yet')
  from r;
select fixture.pass('2 seconds'), fixture.tick() \g /dev/null
select is(fixture.task_states(three), 'ready', 'woken when its time has come') from r;
select is(fixture.begin(three) ->> 'do', 'send', 'and then it goes') from r;
rollback to fresh;

-- Ten minutes of 60 a minute, at most 5 at once: each call takes 5 seconds, and there is always more to do.
update kiln.provider set max_calls = 5, rate_per_minute = 60, rate_burst = 5 where name = 'pay';
create temporary table grants (at timestamptz, open int);
create function pg_temp.ten_minutes() returns void language plpgsql as $$
declare
    v_runner bigint := fixture.runner('{image}', 16);
    v_task   kiln_runner.claimed;
    v_call   kiln.call;
    v_step   jsonb;
begin
    perform fixture.pay(0, prompt => 'n' || n) from generate_series(1, 700) n;
    for v_at in 1..600 loop
        perform fixture.pass('1 second');
        for v_call in select * from kiln.call where state = 'open'
                         and created_at <= kiln_internal.now() - interval '4 seconds' loop
            perform kiln_runner.call_answer(v_call.task_id, v_call.fence, v_call.call_id,
                                            '{"kind": "submit", "status": 422, "headers": {}, "body": "{}"}');
        end loop;
        perform kiln_runner.tick(null);
        for v_task in select * from kiln_runner.claim(v_runner, 16) loop
            v_step := kiln_runner.begin_call(v_task.task_id, v_task.fence);
            if v_step ->> 'do' = 'send' then
                insert into grants select kiln_internal.now(), count(*) from kiln.call
                                    where state <> 'settled';
            end if;
        end loop;
    end loop;
end $$;
select pg_temp.ten_minutes() \g /dev/null
select cmp_ok((select max(open) from grants), '<=', 5, 'never a sixth at once');
select cmp_ok((select max(n) from (select (select count(*) from grants b
                                            where b.at between a.at and a.at + interval '60 seconds') as n
                                     from grants a) x), '<=', 60::bigint, 'never a 61st in any minute');
select cmp_ok((select min(n) from (select m, (select count(*) from grants b
                                               where b.at >= '2030-01-01 12:00Z'::timestamptz + m * interval '1 minute' and b.at < '2030-01-01 12:01Z'::timestamptz + m * interval '1 minute') as n from generate_series(0, 9) m) x), '>=', 50::bigint,
              'and at least 50 in each');
select is((select sum(attempts)::int from kiln.task where state = 'waiting'), 0, 'waiting was no attempt');
rollback to fresh;

-- A pause for all -------------------------------------------------------------------------------------------

create temporary table p as select fixture.pay() as one, fixture.pay() as two;
select fixture.answer(fixture.begin(one), 503, '{}', p_headers => '{"retry-after": "20"}') from p \g /dev/null
select is(fixture.begin(two) ->> 'why', 'Provider pay asked for a pause until 12:00:20.',
          'a Retry-After stops the others at once') from p;
select is((select (health, until, "5xx")::text from kiln.provider_health
            where provider = 'pay'), ('paused', 'in 20 s', 1)::text, 'the health says so');
select fixture.pass('19 seconds'), fixture.tick() \g /dev/null
select is(fixture.task_states(two), 'waiting', 'as long as it said') from p;
select fixture.pass('2 seconds'), fixture.tick() \g /dev/null
select is(fixture.begin(two) ->> 'do', 'send', 'and no longer') from p;
rollback to fresh;

-- The circuit -----------------------------------------------------------------------------------------------

create function pg_temp.fail_one() returns text language plpgsql as $$
declare
    v_job bigint := fixture.pay();
    v_step jsonb := fixture.begin(v_job);
begin
    if v_step ->> 'do' <> 'send' then
        return v_step ->> 'why';
    end if;
    perform fixture.trouble(v_step, 'connect', false);
    return fixture.task_states(v_job);
end $$;
select is((select string_agg(pg_temp.fail_one(), ' ')
             from generate_series(1, 5)), 'waiting waiting waiting waiting waiting',
          'five failures in a row');
select is((pg_temp.limiter()).circuit, 'open', 'open the circuit');
create temporary table o as select fixture.pay(500) as dear, fixture.pay(10) as cheap;
select is(fixture.begin(dear) ->> 'why', 'Provider pay keeps failing: no call before 12:00:15.',
          'then nothing is sent') from o;
select is(fixture.begin(cheap) ->> 'state', 'waiting', 'by nobody') from o;
select is((select sum(attempts)::int from kiln.task), 0, 'and no attempt is lost');
select is((select (health, until, lost)::text from kiln.provider_health
            where provider = 'pay'), ('broken', 'in 15 s', 5)::text, 'the health says so');
select fixture.pass('16 seconds'), kiln_runner.tick() \g /dev/null
select is((fixture.task_states(cheap), fixture.task_states(dear))::text, ('ready', 'waiting')::text,
          'half open: the cheapest is woken, alone') from o;
create temporary table o1 as select fixture.begin(cheap) as step from o;
select is((step ->> 'do', (pg_temp.limiter()).circuit)::text, ('send', 'half_open')::text, 'and tries')
  from o1;
create temporary table o2 as select fixture.pay() as other;
select is(fixture.begin(other) ->> 'why', 'Provider pay kept failing: one call is trying it.',
          'nobody else does meanwhile') from o2;
savepoint trying;
select fixture.trouble(step, 'connect', false) from o1 \g /dev/null
select is(((pg_temp.limiter()).circuit, (pg_temp.limiter()).open_until)::text,
          ('open', kiln_internal.now() + interval '30 seconds')::text, 'failing, it opens for twice as long');
rollback to trying;
select fixture.answer(step, 422) from o1 \g /dev/null
select is((pg_temp.limiter()).circuit, 'closed', 'any answer closes it');
select kiln_runner.tick() \g /dev/null
select is((fixture.task_states(dear), fixture.begin(dear) ->> 'do')::text, ('ready', 'send')::text,
          'and the others go on') from o;
rollback to trying;
select fixture.pass('71 seconds') \g /dev/null
select is(fixture.begin(t.job_id) ->> 'do', 'send', 'where the one that tried is not heard of, another tries')
  from (select job_id from kiln.task_ready order by task_id limit 1) t;
rollback to fresh;
create temporary table q as select fixture.pay() as job;
select is((select count(*)::int from generate_series(1, 6) n,
                  lateral (select fixture.answer(fixture.begin(fixture.pay(n)), 422)) x), 6, 'refusals');
select is((pg_temp.limiter()).circuit, 'closed', 'are no failures of the provider');
rollback to fresh;

-- Caps ------------------------------------------------------------------------------------------------------

update kiln.provider set day_cap_micros = 2500000 where name = 'pay';
create temporary table k as select fixture.pay(1000000) as one, fixture.pay(1000000) as two,
                                   fixture.pay(1000000) as three, fixture.pay(400000) as small;
select is((fixture.begin(one) ->> 'do', fixture.begin(two) ->> 'do')::text, ('send', 'send')::text,
          'within its cap a provider is asked') from k;
select is(fixture.begin(three) ->> 'why',
          'Provider pay may cost 2.50 USD a day, and that is reached: it goes on at 2030-01-02 00:00 UTC.',
          'beyond it nothing is sent, and it says so') from k;
select is(fixture.begin(small) ->> 'do', 'send', 'what still fits goes') from k;
select is((select today from kiln.providers where provider = 'pay'), 2.40,
          'the health counts the day''s money, by estimate at first');
select is((pg_temp.deferred(), t.attempts)::text, ('provider_cap', 0)::text, 'it is no attempt') from k
  join kiln.task_waiting t on t.job_id = k.three;
savepoint capped;
update kiln.provider set day_cap_micros = 9000000 where name = 'pay';
select kiln_runner.tick() \g /dev/null
select is(fixture.begin(three) ->> 'do', 'send', 'a higher cap lets it go on') from k;
rollback to capped;
select fixture.set_now('2030-01-02 00:00:01Z'), kiln_runner.tick() \g /dev/null
select is(fixture.begin(three) ->> 'do', 'send', 'and so does a new day') from k;
rollback to fresh;

update kiln.account set day_cap_micros = 150 where account_id = fixture.account('ann');
create temporary table k as select fixture.pay(100) as one, fixture.pay(100) as two,
                                   fixture.pay(100, account => 'bob') as bobs;
select is(fixture.begin(one) ->> 'do', 'send', 'within its cap an account is served') from k;
select is(fixture.begin(two) ->> 'why',
    'This account may spend 0.00015 USD a day, and that is reached: it goes on at 2030-01-02 00:00 UTC.',
          'beyond it waits, and it says so') from k;
select is(fixture.begin(bobs) ->> 'do', 'send', 'others are not its concern') from k;
select kiln_runner.tick() \g /dev/null
select is(pg_temp.deferred(), 'account_cap', 'it waits for the day''s end');
savepoint capped;
update kiln.account set day_cap_micros = 1000 where account_id = fixture.account('ann');
select kiln_runner.tick() \g /dev/null
select is(fixture.begin(two) ->> 'do', 'send', 'or for a higher cap') from k;
rollback to capped;
select fixture.set_now('2030-01-02 00:00:01Z'), kiln_runner.tick() \g /dev/null
select is(fixture.begin(two) ->> 'do', 'send', 'or until then') from k;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
rollback to fresh;

-- Switched off; secrets -------------------------------------------------------------------------------------

update kiln.provider set is_enabled = false where name = 'pay';
create temporary table s as select fixture.pay() as job;
select is(fixture.begin(job) ->> 'why', 'Provider pay is switched off.',
          'a provider that is switched off is not asked') from s;
select kiln_runner.tick() \g /dev/null
select is(fixture.task_states(job), 'waiting', 'as long as it is') from s;
update kiln.provider set is_enabled = true where name = 'pay';
select kiln_runner.tick() \g /dev/null
select is(fixture.begin(job) ->> 'do', 'send', 'and no longer') from s;
rollback to fresh;

update kiln.provider set auth = '{"header": "authorization", "prefix": "Key ", "env": "PAY_KEY"}'
 where name = 'pay';
select ok(kiln_runner.required_secrets() @> '{PAY_KEY}',
          'runners are told which secrets are wanted, by name');
create temporary table n as select fixture.pay() as job, fixture.runner('{image}', name => 'without') as poor,
                                   fixture.runner('{image}', name => 'with') as rich;
select is(fixture.begin(job, poor) ->> 'do', 'send', 'a runner that has not said is trusted') from n;
select kiln_runner.offer_secrets(poor, '{}'), kiln_runner.offer_secrets(rich, '{PAY_KEY}') from n \g /dev/null
create temporary table n2 as select fixture.pay() as job;
select is(fixture.begin(n2.job, poor) ->> 'why', 'This runner has no PAY_KEY; another may.',
          'one that said it has none leaves it to another') from n, n2;
select fixture.pass('2 seconds'), kiln_runner.tick() \g /dev/null
select is((t.attempts, fixture.begin(n2.job, rich) ->> 'do')::text, (0, 'send')::text, 'who takes it')
  from n, n2 join kiln.task t on t.job_id = n2.job;
-- Each look of a runner without it wrote an attempt and an event, for ever.
create temporary table looked as select fixture.pay() as job;
create function pg_temp.look(p_runner bigint, p_times int) returns text language plpgsql as $$
begin
    for i in 1 .. p_times loop
        perform fixture.pass('40 seconds'), kiln_runner.beat(r.runner_id), kiln_runner.tick()
          from kiln.runner r where r.ended_at is null;
        if exists (select from kiln.task_ready r join looked on job = r.job_id) then
            perform fixture.begin(job, p_runner) from looked;
        end if;
    end loop;
    return (select format('%s attempts, %s events of progress', (select count(*) from kiln.attempt a
                                                                  where a.job_id = l.job), (select count(*)
                                                                      from kiln.event e
                                                                          where e.job_id = l.job
                                                                              and e.type = 'job.progress'))
              from looked l);
end $$;
select is(pg_temp.look(poor, 4), '1 attempts, 1 events of progress',
          'a runner without the secret looks as often as it likes, and says so once') from n;
select kiln_runner.unregister(rich) from n \g /dev/null
select is(pg_temp.look(poor, 4), '2 attempts, 2 events of progress',
          'nobody looks any more once nobody has it') from n;
select is((select label from kiln.task t join looked on job = t.job_id),
          'Waits for a runner that has PAY_KEY.', 'the job says what it waits for');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select kiln_runner.offer_secrets(poor, '{PAY_KEY}'), kiln_runner.tick() from n \g /dev/null
select is(fixture.begin(looked.job, poor) ->> 'do', 'send', 'and goes on when one has it') from looked, n;
-- The poor one may be the quicker each time: its looks grow rarer.
update n set rich = fixture.runner('{image}', name => 'rich');
select kiln_runner.offer_secrets(poor, '{}'), kiln_runner.offer_secrets(rich, '{PAY_KEY}') from n \g /dev/null
create temporary table n3 as select fixture.pay() as job;
create function pg_temp.looks(p_for interval, p_job bigint, p_runner bigint) returns int language plpgsql
as $$
declare
    v_until timestamptz := kiln_internal.now() + p_for;
    v_looks int := 0;
begin
    while kiln_internal.now() < v_until loop
        perform kiln_runner.beat(r.runner_id) from kiln.runner r where r.ended_at is null;
        perform kiln_runner.tick();
        if fixture.task_states(p_job) = 'ready' then
            perform fixture.begin(p_job, p_runner);
            v_looks := v_looks + 1;
        end if;
        perform fixture.pass('1 second');
    end loop;
    return v_looks;
end $$;
select cmp_ok(pg_temp.looks('5 minutes', n3.job, poor), '<=', 13,
              'a runner without the secret looks at it less and less often') from n, n3;
-- Nobody has it.
select kiln_runner.unregister(r.runner_id) from kiln.runner r, n
 where r.ended_at is null and r.runner_id <> n.poor \g /dev/null
create temporary table n4 as select fixture.pay() as job;
select is(fixture.begin(n4.job, poor) ->> 'why', 'Waits for a runner that has PAY_KEY.',
          'where no runner has it, the task waits for one') from n, n4;
select is(pg_temp.looks('2 minutes', n4.job, poor), 0, 'and is not looked at until then') from n, n4;
select is((fixture.attempts(n4.job), t.attempts)::text, ('ask#1 deferred', 0)::text,
          'it has one row of history, and no attempt') from n4 join kiln.task t on t.job_id = n4.job;
select is((select about from kiln.jobs, n4 where kiln.jobs.job = n4.job), 'pay: no PAY_KEY',
          'kiln.jobs says what is missing');
select is((select (secret, missing_on)::text from kiln.providers
            where provider = 'pay'), '(PAY_KEY,"all 1 runners")', 'kiln.providers says of which runners');
select is(kiln_runner.offer_secrets(poor, '{}'), '{PAY_KEY}', 'and they themselves are told, for their log')
  from n;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
create temporary table n5 as select fixture.runner('{audio}', name => 'elsewhere') as elsewhere,
                                    fixture.runner('{image}', name => 'new') as new;
select kiln_runner.offer_secrets(elsewhere, '{PAY_KEY}') from n5 \g /dev/null
select kiln_runner.tick() \g /dev/null
select is(fixture.task_states(n4.job), 'waiting',
          'a runner of another queue is no help, nor one that has not said what it has') from n4;
select is(kiln_runner.offer_secrets(new, '{PAY_KEY}'), '{}', 'one that has it lacks nothing') from n5;
select kiln_runner.tick() \g /dev/null
select is((fixture.task_states(n4.job), fixture.begin(n4.job, new) ->> 'do')::text, '(ready,send)',
          'at the next tick it goes on by itself') from n4, n5;
-- A runner whose offer was wrong is believed no longer.
create temporary table n6 as select fixture.pay() as job;
select fixture.trouble(fixture.begin(n6.job, new), 'secret', false) from n5, n6 \g /dev/null
select is((fixture.task_states(n6.job), (select s.names from kiln.runner_secret s
                                          where s.runner_id = new))::text, '(waiting,{})',
          'what it could not add to a request it does not have') from n5, n6;
select throws_ok('select kiln_runner.offer_secrets(0, ''{}'')', 'KN011', null,
                 'a runner that is not known offers nothing');

-- The health ------------------------------------------------------------------------------------------------

select is((kiln_internal.quantile_ms(array[0,0,10,0,0,0,0,0,0,0,0,0,0,0,0,0], 0.5),
           kiln_internal.quantile_ms(array[5,0,0,90,0,0,5,0,0,0,0,0,0,0,0,0], 0.5),
           kiln_internal.quantile_ms(array_fill(0, '{16}'), 0.5))::text, (128, 256, null::int)::text,
          'quantiles are read from the steps of a histogram');
select is((select array_agg((kiln_internal.count_provider_answer(format('{"status": 200, "elapsed_ms": %s}',
                                                                        ms)::jsonb))[n])
             from (values (1, 1), (32, 1), (33, 2), (64, 2), (1000, 6), (99999999, 16)) v (ms, n)),
          '{1,1,1,1,1,1}', 'a latency falls into the step that holds it');
rollback to fresh;
select fixture.answer(fixture.begin(fixture.pay()), 200, '{"id": "w"}')
  from generate_series(1, 3) \g /dev/null
select is((select (replies, p50, p95, "429", "5xx", lost)::text from kiln.provider_health
            where provider = 'pay'), (3, 128, 128, 0, 0, 0)::text, 'the health shows how it answered');
select fixture.pass('11 minutes') \g /dev/null
select is((select (replies, p50)::text from kiln.provider_health
            where provider = 'pay'), (0, null::int)::text, 'for ten minutes at most');
select finish();
rollback;

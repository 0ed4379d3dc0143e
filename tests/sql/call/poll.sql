-- Asking how calls stand: taken in batches by any runner, and cheap where nothing changed.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
create function pg_temp.taken(p_limit int default 100, p_runner bigint default null) returns int
language sql volatile as $$ select count(*)::int from kiln_runner.claim_polls(p_runner, p_limit) $$;
-- Of the tables that an answer could touch: how many row versions were written.
create function pg_temp.written() returns text language sql volatile as $$
    select string_agg(x, ' ' order by x)
      from (select 'call ' || xmin::text || ctid::text as x from kiln.call union all
            select 'poll ' || xmin::text || ctid::text from kiln.poll
                                              union all select 'task ' || xmin::text || ctid::text
                                                          from kiln.task union all
                                                        select 'event ' || ctid::text from kiln.event
                                              union all select 'limiter ' || xmin::text || ctid::text
                                                          from kiln.provider_limiter) x
$$;

create temporary table a as select fixture.accepted('r1') as job;
select is(pg_temp.taken(), 0, 'nothing is asked before its time');
select fixture.pass('1 second') \g /dev/null
select is((select p ->> 'request' ~ 'pay.test/status/r1'
             from kiln_runner.claim_polls(null) p), true, 'then it is, by the provider''s id');
select is(pg_temp.taken(), 0, 'once: taking sets the next time');
create function pg_temp.rhythm() returns text language plpgsql as $$
declare v_before timestamptz := kiln_internal.now(); v_all text := ''; v_poll timestamptz;
begin
    for n in 1..20 loop
        select poll_at into v_poll from kiln.poll;
        perform fixture.set_now(v_poll);
        perform from kiln_runner.claim_polls(null);
        v_all := v_all || round(extract(epoch from v_poll - v_before), 1) || ' ';
        v_before := v_poll;
    end loop;
    return v_all;
end $$;
select matches(pg_temp.rhythm(), '^1\.0 1\.2 1\.4 1\.7 .* 15\.0 15\.0 $',
    'a runner that dies with it changes nothing: it is asked again, each time a fifth later, up to the '
    'longest wait');
savepoint asked;

-- Nothing new, nothing written.
select fixture.poll(job, 200, '{"status": "running"}') from a \g /dev/null
create temporary table w as select pg_temp.written() as before;
select fixture.poll(job, 200, '{"status": "running"}') from a \g /dev/null
select is(pg_temp.written(), before, 'the same answer again writes nothing at all') from w;
select fixture.poll(job, 200, '{"status": "running", "logs": "more"}') from a \g /dev/null
select isnt(pg_temp.written(), before, 'another wording is remembered') from w;
select is(fixture.events(job), 'queued/1 started/2 progress/2',
          'and says nothing to people where nothing moved') from a;
select fixture.poll(job, 200, '{"status": "queued", "position": 4}') from a \g /dev/null
select fixture.poll(job, 200, '{"status": "running", "progress": 0.5}') from a \g /dev/null
select is((fixture.events(job), t.fraction, t.label)::text,
          ('queued/1 started/2 progress/2 progress/2 progress/2', 0.5, 'With pay')::text,
          'a new place in the queue, and how far it is, they are told') from a
  join kiln.task_waiting t on t.job_id = a.job;
select is((kiln_internal.render_job(j)::jsonb -> 'progress' ->> 'fraction')::numeric, 0.5, 'the API shows it')
  from a join kiln.job j on j.job_id = a.job;
select is(fixture.attempts(job), 'ask#1 submitted', 'all this is no attempt') from a;
rollback to asked;

-- What goes wrong with asking is not the end of what was asked about.
select fixture.poll(job, 500, '{}'), fixture.poll(job, 429, '{}'), fixture.poll(job, 503, '{}'),
       fixture.poll(job, 200, 'not json'), fixture.poll(job, 200, '{"status": "dancing"}') from a \g /dev/null
select is((fixture.calls(job), fixture.task_states(job))::text, ('accepted', 'waiting')::text,
          'an error of the status page ends nothing') from a;
select kiln_runner.poll_answers(format('[{"call_id": "%s", "kind": "poll", "error": {"code": "timeout", '
                                       '"message": "x", "was_sent": true}}]',
    (fixture.last_call(job)).call_id)::json) from a \g /dev/null
select is((select ("429", "5xx", lost)::text from kiln.provider_health
            where provider = 'pay'), (1, 2, 1)::text, 'but the health counts it');
select is((g.circuit, g.failures)::text, ('closed', 0)::text,
          'and the circuit, which is about calls, does not') from kiln.provider_limiter g
  join kiln.provider p using (provider_id) where p.name = 'pay';
select lives_ok($$ select kiln_runner.poll_answers('[]') $$, 'no answers are fine');
select lives_ok($$ select kiln_runner.poll_answers('[{"call_id": "0", "kind": "poll", "status": 200, '
                                                   '"body": "{}"}]') $$,
    'and so is one about a call that is not there');
rollback to asked;

-- The ends.
select fixture.poll(job, 200, '{"status": "failed", "error": "no"}') from a \g /dev/null
select is((fixture.calls(job), fixture.task_states(job))::text, ('failed', 'ready')::text,
          'a failure settles the call and readies the task') from a;
select is(fixture.begin(job) ->> 'state', 'failed', 'whose next claimer draws the consequence') from a;
select is((select (error_code, error_message)::text from kiln.job j
            where j.job_id = a.job), ('invalid', 'no')::text, 'with the provider''s words') from a;
select fixture.poll(job, 200, '{"status": "done", "files": ["https://pay.test/1.png"]}') from a \g /dev/null
select is(((fixture.last_call(job)).late_outcome, fixture.job_state(job))::text,
          ('succeeded', 'failed')::text, 'another answer after that is only noted') from a;
rollback to asked;
select fixture.poll(job, 200, '{"status": "cancelled"}') from a \g /dev/null
select is((fixture.calls(job), fixture.begin(job) ->> 'state', fixture.job_state(job))::text,
          ('cancelled', 'failed', 'failed')::text, 'what the provider cancelled, and billed, fails') from a;
rollback to asked;

-- The wakeup.
select kiln_internal.add_waiter('runner:1', (select array_agg(queue_id) from kiln.queue), false) \g /dev/null
select fixture.poll(job, 200, '{"status": "done", "files": ["https://pay.test/1.png"]}') from a \g /dev/null
select is(fixture.task_states(job), 'ready', 'what ended is ready for a waiter that is rung for') from a;
rollback to asked;

-- Who asks.
update kiln.provider set auth = '{"header": "Authorization", "prefix": "Key ", "env": "PAY_KEY"}'
 where name = 'pay';
create temporary table r as select fixture.runner(name => 'poor') as poor,
                                   fixture.runner(name => 'rich') as rich;
select kiln_runner.offer_secrets(poor, '{}'), kiln_runner.offer_secrets(rich, '{PAY_KEY}') from r \g /dev/null
select fixture.pass('1 minute') \g /dev/null
select is(pg_temp.taken(100, poor), 0, 'a runner without the secret is not asked to ask') from r;
select is(pg_temp.taken(100, rich), 1, 'one that has it is') from r;
update kiln.provider set base_url = 'https://new.test' where name = 'pay';
select fixture.pass('1 minute') \g /dev/null
select is((select p ->> 'request' ~ 'new.test' from kiln_runner.claim_polls(null) p), true,
          'a change of the description is in the next poll');
rollback to asked;

-- A thousand.
create temporary table t as select fixture.pay() as job from generate_series(1, 1000);
create temporary table tr as select fixture.runner('{image}', 10000) as runner;
select count(kiln_runner.call_answer(c.task_id, c.fence,
                                     (kiln_runner.begin_call(c.task_id, c.fence) ->> 'call_id')::bigint,
                                     '{"kind": "submit", "status": 200, "body": "{\"id\": \"many\"}"}'))
  from tr, kiln_runner.claim(runner, 1000) c \g /dev/null
select is((select count(*)::int from kiln.poll), 1001, 'a thousand calls wait');
create function pg_temp.ms(p_rounds int) returns numeric language plpgsql as $$
declare v_begin timestamptz; v_ms float8 := 0; v_answers json;
begin
    for n in 1..p_rounds loop
        perform fixture.pass('15 seconds');
        v_begin := clock_timestamp();
        loop
            select json_agg(json_build_object('call_id', p ->> 'call_id', 'kind', p ->> 'kind', 'status', 200,
                                              'headers', '{}'::json, 'body', '{"status": "running"}',
                                              'elapsed_ms', 40)) into v_answers
              from kiln_runner.claim_polls(null, 100) p;
            exit when v_answers is null;
            perform kiln_runner.poll_answers(v_answers);
        end loop;
        if n > 1 then
            v_ms := v_ms + extract(epoch from clock_timestamp() - v_begin) * 1000;
        end if;
    end loop;
    return v_ms / (p_rounds - 1) / 1000;
end $$;
create temporary table cost as select pg_temp.ms(4) as ms;
select cmp_ok(ms, '<', 1.0, 'a poll that says nothing new costs less than a millisecond') from cost;
select diag('a poll: ' || round(ms, 3) || ' ms') from cost;
select is((select count(*)::int from kiln_runner.claim_polls(null, 7)), 0, 'and all were asked');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

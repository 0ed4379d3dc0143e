-- A paid request: what is committed before it leaves, what its answers mean, and what the next claimer is told after a crash.
begin;
\ir ../fixtures/fixture.sql
\ir ../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

-- The usual course ---------------------------------------------------------------------------------------------------------

create temporary table a as select fixture.pay() as job;
create temporary table s as select fixture.begin(job) as step from a;
select is((step - '{request,task_id,fence,call_id}'::text[]), '{"do": "send", "kind": "submit", "send_within_ms": 10000}', 'the first step is to send') from s;
select is(fixture.calls(job), 'open', 'and its call is there before a byte leaves') from a;
select is((c.request = step -> 'request', c.request_hash = sha256(convert_to(c.request::text, 'UTF8')), c.fence = (step ->> 'fence')::bigint, c.estimated_micros)::text, (true, true, true, 100)::text,
          'with what is sent, its hash, the fence, the price') from a, s, fixture.last_call(job) c;
select is((c.send_before, c.timeout_at)::text, (kiln.now() + interval '10 seconds', kiln.now() + interval '70 seconds')::text, 'and until when it may leave, and be answered') from a, fixture.last_call(job) c;
select is(fixture.answer(step, 200, '{"id": "r1", "position": 3}') ->> 'state', 'waiting', 'accepted, its task waits and the slot is free') from s;
select is((fixture.calls(job), c.provider_request_id, t.error_class, t.label)::text, ('accepted', 'r1', 'submitted', 'With pay, 3 before it')::text, 'and people see with whom') from a, fixture.last_call(job) c, kiln.task_waiting t where t.job_id = a.job;
select fixture.pass('1 second') \g /dev/null
select is((select jsonb_agg(p::jsonb - 'request') from kiln_runner.take_polls(null) p), jsonb_build_array(jsonb_build_object('call_id', c.call_id::text, 'kind', 'poll')), 'it is asked about a second later') from a, fixture.last_call(job) c;
select is_empty('select * from kiln_runner.take_polls(null)', 'once');
select fixture.poll(job, 200, '{"id": "r1", "status": "done", "files": ["https://pay.test/1.png"], "seed": 7}') from a \g /dev/null
select is((fixture.calls(job), fixture.task_states(job))::text, ('succeeded', 'ready')::text, 'the end of the call makes its task ready') from a;
create temporary table f as select fixture.begin(job) as step from a;
select is(step - '{task_id,fence,call_id}'::text[], '{"do": "fetch", "files": [{"url": "https://pay.test/1.png", "media_type": "image", "with_auth": false, "auth": null, "hosts": ["pay.test"], "max_bytes": 536870912}], "output": {"seed": 7}}',
          'the next claimer is to fetch the files') from f;
select kiln_runner.complete((step ->> 'task_id')::bigint, (step ->> 'fence')::bigint, '{"media": [], "seed": 7}') from f \g /dev/null
select is((fixture.job_state(job), fixture.ledger(job))::text, ('completed', 'hold -100, release 100, charge -100')::text, 'and the job is completed and paid') from a;
select is((select actual_micros from kiln.job where job_id = job), 100::bigint, 'what it cost stands in it') from a;
select is(fixture.attempts(job), 'ask#1 submitted, ask#1 done', 'it was one attempt') from a;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

-- A paid request: what is committed before it leaves, what its answers mean, and what the next claimer is
-- told after a crash.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

-- The usual course ------------------------------------------------------------------------------------------

create temporary table a as select fixture.pay() as job;
create temporary table s as select fixture.begin(job) as step from a;
select is((step - '{request,task_id,fence,call_id}'::text[]),
          '{"do": "send", "kind": "submit", "send_within_ms": 10000}', 'the first step is to send') from s;
select is(fixture.calls(job), 'open', 'and its call is there before a byte leaves') from a;
select is((c.request = step -> 'request', c.request_hash = sha256(convert_to(c.request::text, 'UTF8')),
           c.fence = (step ->> 'fence')::bigint, c.estimated_micros)::text, (true, true, true, 100)::text,
          'with what is sent, its hash, the fence, the price') from a, s, fixture.last_call(job) c;
select is((c.send_before, c.timeout_at)::text,
          (kiln_internal.now() + interval '10 seconds', kiln_internal.now() + interval '70 seconds')::text,
          'and until when it may leave, and be answered') from a, fixture.last_call(job) c;
select is(fixture.answer(step, 200, '{"id": "r1", "position": 3}') ->> 'state', 'waiting',
          'accepted, its task waits and the slot is free') from s;
select is((fixture.calls(job), c.provider_request_id, t.error_class, t.label)::text,
          ('accepted', 'r1', 'submitted', 'With pay, 3 before it')::text, 'and people see with whom')
  from a, fixture.last_call(job) c, kiln.task_waiting t where t.job_id = a.job;
select fixture.pass('1 second') \g /dev/null
select is((select jsonb_agg(p::jsonb - 'request')
             from kiln_runner.claim_polls(null) p),
          jsonb_build_array(jsonb_build_object('call_id', c.call_id::text, 'kind', 'poll')),
          'it is asked about a second later') from a, fixture.last_call(job) c;
select is_empty('select * from kiln_runner.claim_polls(null)', 'once');
select fixture.poll(job, 200,
                    '{"id": "r1", "status": "done", "files": ["https://pay.test/1.png"], "seed": 7}')
  from a \g /dev/null
select is((fixture.calls(job), fixture.task_states(job))::text, ('succeeded', 'ready')::text,
          'the end of the call makes its task ready') from a;
create temporary table f as select fixture.begin(job) as step from a;
select is(step - '{task_id,fence,call_id}'::text[],
    '{"do": "fetch", "files": [{"url": "https://pay.test/1.png", "media_type": "image", "with_auth": false, '
    '"auth": null, "hosts": ["pay.test"], "max_bytes": 536870912}], "output": {"seed": "7"}}',
          'the next claimer is to fetch the files') from f;
select kiln_runner.complete((step ->> 'task_id')::bigint, (step ->> 'fence')::bigint,
                            '{"media": [], "seed": 7}') from f \g /dev/null
select is((fixture.job_state(job), fixture.ledger(job))::text,
          ('completed', 'hold -100, release 100, charge -100')::text, 'and the job is completed and paid')
  from a;
select is((select actual_micros from kiln.job where job_id = job), 100::bigint, 'what it cost stands in it')
  from a;
select is(fixture.attempts(job), 'ask#1 submitted, ask#1 done', 'it was one attempt') from a;

-- What an answer to a submit means --------------------------------------------------------------------------

-- One job through one answer: its calls, its tasks, its attempts.
create function pg_temp.after(p_status int, p_body text default '{}', p_headers jsonb default '{}',
                              p_pipeline text default 'test/paid') returns text language plpgsql as $$
declare
    v_job bigint := fixture.pay(p_pipeline => p_pipeline);
begin
    perform fixture.answer(fixture.begin(v_job), p_status, p_body, p_headers => p_headers);
    return format('%s / %s / %s / %s', fixture.calls(v_job), fixture.task_states(v_job), (select attempts
                                                        from kiln.task where job_id = v_job),
                  (fixture.last_call(v_job)).charged_micros);
end $$;
create function pg_temp.after_trouble(p_code text, p_sent boolean, p_pipeline text default 'test/paid')
returns text language plpgsql as $$
declare
    v_job bigint := fixture.pay(p_pipeline => p_pipeline);
begin
    perform fixture.trouble(fixture.begin(v_job), p_code, p_sent);
    return format('%s / %s / %s / %s', fixture.calls(v_job), fixture.task_states(v_job), (select attempts
                                                        from kiln.task where job_id = v_job),
                  (fixture.last_call(v_job)).charged_micros);
end $$;
create function pg_temp.fetch_fails(p_status int default null) returns text language plpgsql as $$
declare
    v_job bigint := (select job from h);
    v_step jsonb;
begin
    if fixture.task_states(v_job) = 'waiting' then
        perform fixture.pass('15 minutes');
        perform fixture.tick();
    end if;
    v_step := fixture.begin(v_job);
    if v_step ->> 'do' = 'send' then
        v_step := fixture.answer(v_step, 200, '{"id": "r", "status": "done", "files": ["https://x/1"]}');
    end if;
    return kiln_runner.call_answer((v_step ->> 'task_id')::bigint, (v_step ->> 'fence')::bigint,
                                   (v_step ->> 'call_id')::bigint,
        jsonb_strip_nulls(jsonb_build_object('kind', 'fetch', 'status', p_status,
                                             'error', jsonb_build_object('code', 'reply',
                                                        'message', 'it broke off')))::json) ->> 'state';
end $$;
savepoint answers;
select is(pg_temp.after(422, '{"error": "no cats"}'), 'failed / failed / 1 / 0',
          'an error that is listed as unbilled ends the call, and by its class the task');
select is(pg_temp.after(503), 'failed / waiting / 1 / 0', 'or has it tried again');
select is(pg_temp.after(500), 'unknown / held / 0 / ',
          'an error that no rule calls unbilled may have been charged: held');
select is(pg_temp.after(200, 'not json'), 'unknown / held / 0 / ', 'so may a reply that cannot be read');
select is(pg_temp.after(200, '{"status": "perhaps"}'), 'unknown / held / 0 / ', 'and one that says nothing');
select is(pg_temp.after(404), 'unknown / held / 0 / ', 'and a 4xx that no rule names');
rollback to answers;
select is(pg_temp.after_trouble('reply', true), 'unknown / held / 0 / ', 'a reply that is lost is unknown');
select is(pg_temp.after_trouble('timeout', true), 'unknown / held / 0 / ', 'a time-out too');
select is(pg_temp.after_trouble('connect', false), 'not_sent / waiting / 0 / 0',
          'what certainly was not sent is tried again, and is no attempt');
select is(pg_temp.after_trouble('clock', false), 'not_sent / waiting / 0 / 0',
          'also where its time had passed');
-- (It was an attempt once, so a job failed for what its runner lacked.)
select is(pg_temp.after_trouble('secret', false), 'not_sent / waiting / 0 / 0',
          'so is one for which the runner has no secret');
select is(pg_temp.after_trouble('host', false), 'not_sent / failed / 1 / 0',
          'a host that is not allowed ends it');
rollback to answers;
select is(pg_temp.after(200, '{"id": "r2", "status": "failed", "class": "refused", "error": "no"}'),
          'failed / failed / 1 / 100', 'a failure of what it had accepted is billed');
select is(pg_temp.after(200, '{"id": "r2", "status": "failed", "cost": 30}'), 'failed / failed / 1 / 30',
          'by its own figure where it gives one, and never tried again unless the description says so');
update kiln.provider set bills_failures = false where name = 'pay';
select is(pg_temp.after(200, '{"id": "r2", "status": "failed"}'), 'failed / waiting / 1 / 0',
          'a provider that does not bill failures may be asked again');
rollback to answers;
select is(pg_temp.after(200, '{"id": "r2", "status": "done", "files": ["https://x/1"]}'),
          'succeeded / running / 0 / 100', 'a reply that has the result already settles at once');
create temporary table m as select fixture.pay() as job;
select is(fixture.begin(job) ->> 'do', 'send', 'begun') from m;
select is(kiln_runner.begin_call(t.task_id, t.fence)::jsonb ->> 'state', 'held',
          'who asks a second time is not told to send again: nobody knows what became of the first') from m
  join kiln.task_running t on t.job_id = m.job;
select throws_ok(format('select kiln_runner.begin_call(%s, 1)', kiln_internal.task_id(job, 1)), 'KN010', null,
                 'a stale fence begins nothing') from m;
create temporary table m2 as select fixture.pay() as job;
create temporary table m3 as select fixture.begin(job) as step from m2;
select is((kiln_runner.begin_call(t.task_id, t.fence, true)::jsonb ->> 'call_id', (select count(*)::int
                                                        from kiln.call where job_id = m2.job))::text,
          (step ->> 'call_id', 1)::text,
          'unless it says that it did not get the answer and sent nothing: then the same call is given again')
  from m2, m3, kiln.task_running t where t.job_id = m2.job;
savepoint cancelled;
select kiln.cancel_job(job) from m2 \g /dev/null
select is((kiln_runner.begin_call(t.task_id, t.fence, true)::jsonb ->> 'state', fixture.calls(m2.job),
           fixture.ledger(m2.job))::text, ('cancelled', 'not_sent', 'hold -100, release 100')::text,
          'or, where its job was cancelled meanwhile, ends') from m2
  join kiln.task_running t on t.job_id = m2.job;
rollback to cancelled;
select is(fixture.answer(step, 429, '{}', p_headers => '{"retry-after": "40"}') ->> 'state', 'waiting',
          'a 429') from m3;
select is((c.error_class, t.attempts, t.due_at >= kiln_internal.now() + interval '40 seconds',
           g.paused_until)::text, ('rate_limited', 0, true,
                                   kiln_internal.now() + interval '40 seconds')::text,
          'costs no attempt, and its Retry-After stops everyone at the limiter')
  from m2, fixture.last_call(job) c, kiln.task_waiting t, kiln.provider_limiter g
  join kiln.provider p using (provider_id) where t.job_id = m2.job and p.name = 'pay';
rollback to answers;
select is(pg_temp.after(200, '{"id": "r", "status": "done"}'), 'succeeded / held / 0 / 100',
          'a success without its result is held: it is paid');
select is(pg_temp.after(200, '{"id": "r", "status": "done", "nsfw": true, "files": '
                             '["https://pay.test/1.png"]}'), 'succeeded / failed / 1 / 100',
    'a result that was blocked is refused');
update kiln.provider set submit = submit || '{"path": "/{params.nope}"}' where name = 'pay';
create temporary table i as select fixture.pay() as job;
select is(fixture.begin(job) ->> 'state', 'failed',
          'a request that cannot be composed fails the job, and nothing was begun') from i;
select is(fixture.calls(job), null, 'no call') from i;
rollback to answers;

-- A synchronous provider: files come inside the reply, stored before it is reported.
update kiln.provider set poll = null where name = 'pay';
select fixture.paid_pipeline('test/inside',
              '{"outputs": [{"pointer": "/data/*/b64", "as": "base64", "media_type": "image"}]}') \g /dev/null
create temporary table y as select fixture.pay(p_pipeline => 'test/inside') as job,
                                   fixture.pay(p_pipeline => 'test/inside') as empty;
select is(fixture.answer(fixture.begin(job), 200, '{}',
                         p_media => '["77", "78"]') - '{task_id,fence,call_id}'::text[],
          '{"do": "complete", "output": {"media": ["77", "78"]}}',
          'files that came inside the reply are the output') from y;
select is(fixture.answer(fixture.begin(empty), 200, '{}') ->> 'state', 'held',
          'where they should have come and did not, it is paid and held') from y;
rollback to answers;

-- The result is asked for apart.
update kiln.provider set result = '{"path": "/result/{id}"}' where name = 'pay';
create temporary table r as select fixture.accepted() as job;
select fixture.poll(job, 200, '{"status": "done"}') from r \g /dev/null
select is((fixture.calls(job), fixture.task_states(job))::text, ('accepted', 'ready')::text,
          'success whose result is asked for apart readies the task') from r;
create temporary table r2 as select fixture.begin(job) as step from r;
select is((step ->> 'do', step ->> 'kind')::text, ('send', 'result')::text, 'the next claimer asks for it')
  from r2;
savepoint result;
select is(fixture.answer(step, 200, '{"files": ["https://x/1"]}') ->> 'do', 'fetch', 'has it, and fetches')
  from r2;
rollback to result;
select is(fixture.answer(step, 422, '{"error": "no"}') ->> 'state', 'failed',
          'or learns that it failed after all') from r2;
select is(fixture.calls(job), 'failed', 'which ends the call') from r;
rollback to result;
select is(fixture.trouble(step) ->> 'state', 'waiting', 'a lost reply is asked for again later') from r2;
select is((fixture.calls(job), attempts)::text, ('accepted', 0)::text, 'neither an attempt nor a second call')
  from r, kiln.task_waiting t where t.job_id = r.job;
rollback to answers;

-- Files that cannot be had ----------------------------------------------------------------------------------

create temporary table h as select fixture.pay() as job;
select is(pg_temp.fetch_fails(), 'waiting', 'a file that cannot be fetched is fetched again later') from h;
select is((select string_agg(pg_temp.fetch_fails(), ' ')
             from generate_series(2, 10)),
          'waiting waiting waiting waiting waiting waiting waiting waiting held',
          'ten times, then a person decides: it is paid');
select is((fixture.calls(job), (select count(*)::int from kiln.call where job_id = h.job), error_class)::text,
          ('succeeded', 1, 'lost')::text, 'it was called once') from h, kiln.task_held t
 where t.job_id = h.job;
rollback to answers;

-- Other tests commit calls of their own.
select coalesce(max(job_id), 0) as before from kiln.job \gset
create function pg_temp.paid_with(p_result text, p_pipeline text default 'test/paid') returns text
language plpgsql as $$
declare
    v_job  bigint := fixture.pay(p_pipeline => p_pipeline);
    v_step jsonb := fixture.answer(fixture.begin(v_job), 200, p_result);
begin
    return concat_ws(' ', v_step ->> 'do', fixture.task_states(v_job), (select t.error_class from kiln.task t
                                                        where t.job_id = v_job and t.state = 'held'));
end $$;
select fixture.paid_pipeline('test/empty',
    '{"outputs": [{"pointer": "/files/*", "as": "url", "media_type": "image", "may_be_empty": true}]}') \g /dev/null
select is(pg_temp.paid_with(format('{"id": "r", "status": "done", "files": %s}', f), p), e,
          format('paid, and the files are %s: %s of %s', f, e, p)) from (values
    ('[]', 'test/paid', 'nothing held lost'), ('null', 'test/paid', 'nothing held lost'),
                                                        ('[]', 'test/empty', 'complete running'),
                                                            ('null', 'test/empty', 'complete running'),
                                                                ('7', 'test/empty',
                                                                 'nothing held lost')) v (f, p, e);
select is((select count(distinct malformed_reply)::int
             from kiln.call where job_id > :before), 0, 'of a reply that is JSON nothing more is kept');
select is(pg_temp.paid_with(U&'\FEFF{"id": "r", "status": "done", "files": ["https://pay.test/1.png"], '
                              '"score": NaN}'), 'fetch running', 'a reply that is nearly JSON is read');
select is((select malformed_reply from kiln.call where job_id > :before and malformed_reply is not null),
          U&'\FEFF{"id": "r", "status": "done", "files": ["https://pay.test/1.png"], "score": NaN}',
          'and kept as it came, as evidence');
rollback to answers;

create temporary table h as select fixture.pay() as job;
select is((select string_agg(pg_temp.fetch_fails(404), ' ')
             from generate_series(1, 3)), 'waiting waiting held',
          'what the provider says is gone is asked for three times');
rollback to answers;

-- Powers: what follows a lost reply -------------------------------------------------------------------------

-- A key: the very same again.
update kiln.provider set idempotency_header = 'idempotency-key', idempotency_ttl = '1 hour'
 where name = 'pay';
create temporary table k as select fixture.pay() as job;
create temporary table k1 as select fixture.begin(job) as step from k;
select is(fixture.trouble(step) ->> 'state', 'waiting', 'with an idempotency key a lost reply waits') from k1;
select fixture.pass('1 minute'), fixture.tick() \g /dev/null
create temporary table k2 as select fixture.begin(job) as step from k;
select is((k2.step ->> 'call_id', k2.step -> 'request', k2.step ->> 'do')::text,
          (k1.step ->> 'call_id', k1.step -> 'request', 'send')::text,
          'and the very same request is sent again, as the same call') from k1, k2;
select is((sends, c.fence)::text, (2, (step ->> 'fence')::bigint)::text, 'counted, under the new fence')
  from k, k2, fixture.last_call(job) c;
select fixture.pass('2 hours') \g /dev/null
select is(fixture.trouble(step) ->> 'state', 'held', 'once the key is too old it is held') from k2;
rollback to answers;

-- A refused repeat says nothing about the first sending.
update kiln.provider set idempotency_header = 'idempotency-key', idempotency_ttl = '1 hour'
 where name = 'pay';
create temporary table k as select fixture.pay() as job, fixture.pay() as other;
create function pg_temp.again(p_job bigint) returns jsonb language plpgsql as $$
begin
    if fixture.calls(p_job) is null then
        perform fixture.trouble(fixture.begin(p_job));
    end if;
    perform fixture.pass('6 minutes');
    perform fixture.tick();
    return fixture.begin(p_job);
end $$;
select is((fixture.answer(pg_temp.again(job), 422) ->> 'state', fixture.calls(job))::text,
          ('waiting', 'open')::text,
          'a repeat that is refused does not settle the call: the first may have been accepted') from k;
select is((fixture.answer(pg_temp.again(job), 429) ->> 'state', fixture.calls(job))::text,
          ('waiting', 'open')::text, 'nor does a 429') from k;
select is((fixture.trouble(pg_temp.again(job), 'connect', false) ->> 'state', fixture.calls(job))::text,
          ('waiting', 'open')::text, 'nor one that was not even sent') from k;
select is((fixture.answer(pg_temp.again(job), 200, '{"id": "r1"}') ->> 'state', fixture.calls(job),
           (fixture.last_call(job)).sends)::text, ('waiting', 'accepted', 5)::text, 'an acceptance does')
  from k;
select pg_temp.again(other) from k \g /dev/null
select kiln.cancel_job(other) from k \g /dev/null
select is((fixture.fail(other, 'cancelled'), fixture.calls(other))::text, ('held', 'unknown')::text,
          'for a job that is being cancelled nothing is sent again') from k;
rollback to answers;
update kiln.provider set idempotency_header = 'idempotency-key', idempotency_ttl = '100 seconds'
 where name = 'pay';
create temporary table k as select fixture.pay() as job;
select fixture.begin(job) from k \g /dev/null
select fixture.pass('35 seconds') \g /dev/null
select fixture.die(job) from k \g /dev/null
select is(fixture.begin(job) ->> 'state', 'held',
          'nothing is sent again that could arrive after its key is forgotten') from k;
rollback to answers;

-- A job that is cancelled between two runners: its open call is looked up, and cancelled where it arrived.
update kiln.provider set lookup = '{"path": "/lookup/{idempotency_key}", "id": ["/id"], "absent_on": [404]}',
       cancel = '{"path": "/cancel/{id}", "accept": [200, 202], "is_final_on": [200]}' where name = 'pay';
create temporary table x as select fixture.pay() as job;
select fixture.begin(job) from x \g /dev/null
select fixture.die(job) from x \g /dev/null
select is(kiln.cancel_job(job), 'cancelled', 'a job is cancelled between two runners') from x;
select fixture.pass('3 minutes'), fixture.tick() \g /dev/null
select is((fixture.calls(job), (select p::jsonb ->> 'kind' from kiln_runner.claim_polls(null) p))::text,
          ('unknown', 'lookup')::text, 'its open call is looked up') from x;
select fixture.poll(job, 200, '{"id": "x1"}', 'lookup') from x \g /dev/null
select is((fixture.calls(job), (select p::jsonb ->> 'kind' from kiln_runner.claim_polls(null) p))::text,
          ('accepted', 'cancel')::text, 'and cancelled where it arrived') from x;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
rollback to answers;

-- A look-up: when it can no longer arrive, the provider is asked.
update kiln.provider set lookup = '{"path": "/lookup/{idempotency_key}", "id": ["/id"], "absent_on": [404]}'
 where name = 'pay';
create temporary table l as select fixture.pay() as job;
select is(fixture.trouble(fixture.begin(job)) ->> 'state', 'waiting', 'with a look-up a lost reply waits')
  from l;
select is_empty('select from kiln_runner.claim_polls(null)', 'until it can no longer arrive');
select fixture.poll(job, 404, '{}', 'lookup') from l \g /dev/null
select is(fixture.calls(job), 'unknown', '(an answer before that would say nothing)') from l;
select fixture.pass('71 seconds') \g /dev/null
select is((select p::jsonb ->> 'kind' from kiln_runner.claim_polls(null) p), 'lookup',
          'then it is asked about');
savepoint asked;
select fixture.poll(job, 200, '{"id": "r9"}', 'lookup') from l \g /dev/null
select is((fixture.calls(job), (fixture.last_call(job)).provider_request_id, fixture.task_states(job))::text,
          ('accepted', 'r9', 'waiting')::text, 'found: it is followed') from l;
select is((select p::jsonb ->> 'kind' from kiln_runner.claim_polls(null) p), 'poll', 'at once');
select fixture.poll(job, 200, '{"status": "done", "files": ["https://x/1"]}') from l \g /dev/null
select is((fixture.calls(job), fixture.task_states(job))::text, ('succeeded', 'ready')::text, 'to its end')
  from l;
rollback to asked;
select fixture.poll(job, 404, '{}', 'lookup') from l \g /dev/null
select is((fixture.calls(job), (fixture.last_call(job)).charged_micros, fixture.task_states(job))::text,
          ('not_sent', 0, 'ready')::text, 'not found: it never came there') from l;
select is(fixture.begin(job) ->> 'state', 'waiting', 'the next claimer lets it wait') from l;
select fixture.pass('1 minute'), fixture.tick() \g /dev/null
select is((fixture.begin(job) ->> 'do', fixture.calls(job))::text, ('send', 'not_sent, open')::text,
          'and a new call begins') from l;
select is((select attempts from kiln.task_running t
            where t.job_id = l.job), 0::smallint, 'which was no attempt') from l;
rollback to answers;

-- The stage's word, and what costs nothing.
create temporary table o as select fixture.pay(p_pipeline => 'test/again') as job;
select is(fixture.trouble(fixture.begin(job)) ->> 'state', 'waiting',
          'a stage that says on_unknown retry is tried again') from o;
select is((fixture.calls(job), c.error_class, c.charged_micros, attempts)::text,
          ('failed', 'unknown', null::bigint, 1)::text, 'as an attempt, and what it cost is not known')
  from o, fixture.last_call(job) c, kiln.task_waiting t where t.job_id = o.job;
rollback to answers;
update kiln.provider set lookup = '{"path": "/lookup/{idempotency_key}", "id": ["/id"], "absent_on": [404]}'
 where name = 'pay';
create temporary table o as select fixture.pay(p_pipeline => 'test/again') as job;
select is((fixture.trouble(fixture.begin(job)) ->> 'state', fixture.calls(job))::text,
          ('waiting', 'unknown')::text, 'where the provider can be asked, it is, also then') from o;
rollback to answers;
update kiln.provider set is_paid = false where name = 'pay';
select is(pg_temp.after_trouble('reply', true), 'failed / waiting / 1 / 0',
          'what costs nothing is simply tried again');
select is(pg_temp.after(500), 'failed / waiting / 1 / 0', 'whatever it answered');
select is(pg_temp.after(404), 'failed / waiting / 1 / 0', 'or did not');
rollback to answers;

-- Crashes: claim, begin, die, sweep, claim by another, begin ------------------------------------------------

create function pg_temp.crash(p_pipeline text default 'test/paid') returns text language plpgsql as $$
declare
    v_job  bigint := fixture.pay(p_pipeline => p_pipeline);
    v_one  jsonb;
    v_two  jsonb;
begin
    v_one := fixture.begin(v_job);
    perform fixture.die(v_job);
    v_two := fixture.begin(v_job);
    return format('%s / %s / %s', coalesce(v_two ->> 'kind', v_two ->> 'state'), fixture.calls(v_job),
                  case v_one ->> 'call_id' when v_two ->> 'call_id' then 'the same call'
                       else 'no other call' end);
end $$;
select is(pg_temp.crash(), 'held / unknown / no other call',
          'a death after begin: without any power it is held');
update kiln.provider set idempotency_header = 'x', idempotency_ttl = '1 hour' where name = 'pay';
select is(pg_temp.crash(), 'submit / open / the same call', 'with a key the same is sent again, at once');
update kiln.provider set idempotency_header = null, idempotency_ttl = null,
       lookup = '{"path": "/lookup/{idempotency_key}", "id": ["/id"], "absent_on": [404]}' where name = 'pay';
select is(pg_temp.crash(), 'waiting / unknown / no other call', 'with a look-up it waits to be asked about');
update kiln.provider set lookup = null where name = 'pay';
select is(pg_temp.crash('test/again'), 'waiting / failed / no other call',
          'with on_unknown retry the next attempt waits');
update kiln.provider set is_paid = false where name = 'pay';
select is(pg_temp.crash(), 'waiting / failed / no other call', 'and where it costs nothing');
rollback to answers;

-- Before begin a death is a death; after acceptance the call is followed; after success it is fetched.
create temporary table d as select fixture.pay() as job;
select fixture.start(job) from d \g /dev/null
select fixture.die(job) from d \g /dev/null
select is(fixture.begin(job) ->> 'kind', 'submit', 'a death before begin: the next claimer begins') from d;
create temporary table d2 as select fixture.accepted('r5') as job;
update kiln.task set state = 'ready' where job_id = (select job from d2);
select is((fixture.begin(job) ->> 'state', fixture.calls(job))::text, ('waiting', 'accepted')::text,
          'who claims a task whose call is accepted lets it wait') from d2;
select fixture.poll(job, 200, '{"status": "done", "files": ["https://x/1"]}') from d2 \g /dev/null
select is(fixture.begin(job) ->> 'do', 'fetch', 'settled, it is fetched') from d2;
select fixture.die(job) from d2 \g /dev/null
select is((fixture.begin(job) ->> 'do', fixture.calls(job))::text, ('fetch', 'succeeded')::text,
          'and after a death fetched again, never paid again') from d2;
rollback to answers;

-- A runner that was declared dead and still has an answer.
create temporary table z as select fixture.pay() as job;
create temporary table z1 as select fixture.begin(job) as step from z;
select fixture.die(job) from z \g /dev/null
select is(fixture.answer(step, 200, '{"id": "late"}') ->> 'do', 'nothing',
          'one who was declared dead is told to do nothing') from z1;
select is((fixture.calls(job), (fixture.last_call(job)).provider_request_id)::text,
          ('accepted', 'late')::text, 'and its acceptance is not lost') from z;
select is(fixture.begin(job) ->> 'state', 'waiting', 'the next claimer goes on from there') from z;
rollback to answers;
create temporary table z as select fixture.pay() as job;
create temporary table z1 as select fixture.begin(job) as step from z;
select fixture.die(job) from z \g /dev/null
select is(fixture.begin(job) ->> 'state', 'held', 'where the next claimer came first it is held') from z;
select fixture.answer(step, 200, '{"id": "late"}') from z1 \g /dev/null
select is((fixture.calls(job), fixture.job_state(job), fixture.task_states(job))::text,
          ('accepted', 'running', 'ready')::text, 'and the late acceptance lets it go on') from z;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
rollback to answers;

-- Whatever a runner says of its attempt, an open call decides.
create temporary table w as select fixture.pay() as a, fixture.pay() as b, fixture.pay() as c;
select fixture.begin(a), fixture.begin(b) from w \g /dev/null
select is(fixture.fail(a, 'transient'), 'held',
          'a failure while a call is open is not an attempt to repeat: held') from w;
select kiln_runner.release(t.task_id, t.fence) from w join kiln.task_running t on t.job_id = w.b \g /dev/null
select is(fixture.begin(b) ->> 'state', 'held', 'handed back, the next claimer finds it open') from w;
update kiln.provider set lookup = '{"path": "/lookup/{idempotency_key}", "id": ["/id"], "absent_on": [404]}'
 where name = 'pay';
select fixture.begin(c) from w \g /dev/null
select fixture.pass('10 minutes') \g /dev/null
select kiln_internal.fail_overdue(10) \g /dev/null
select is((fixture.task_states(c), fixture.calls(c))::text, ('waiting', 'unknown')::text,
          'an overdue one is looked up, not failed') from w;
rollback to answers;
create temporary table w as select fixture.pay() as a;
select fixture.answer(fixture.begin(a), 200, '{"id": "r", "status": "done", "files": ["https://x/1"]}')
  from w \g /dev/null
select fixture.fail(a, 'transient') from w \g /dev/null
select fixture.pass('1 hour'), fixture.tick() \g /dev/null
select fixture.begin(a), fixture.fail(a, 'transient') from w \g /dev/null
select fixture.pass('1 hour'), fixture.tick() \g /dev/null
select fixture.begin(a) from w \g /dev/null
select is(fixture.fail(a, 'transient'), 'held',
          'what is paid and made is held when its attempts are over, not lost') from w;
rollback to answers;

-- Cancelling ------------------------------------------------------------------------------------------------

update kiln.provider set cancel = '{"path": "/cancel/{id}", "accept": [200, 202], "is_final_on": [200]}'
 where name = 'pay';
create temporary table c as select fixture.accepted() as job;
select is(kiln.cancel_job(job), 'cancelled', 'a job whose call is accepted is cancelled at once') from c;
select is((fixture.calls(job), (fixture.last_call(job)).cancel_requested_at is not null,
           fixture.ledger(job))::text, ('accepted', true, 'hold -100')::text,
          'its call is followed, and its hold kept') from c;
select throws_ok(format('select kiln.delete_job(%s)', job), 'KN001', null, 'until then it cannot be deleted')
  from c;
select is((select p::jsonb ->> 'kind' from kiln_runner.claim_polls(null) p), 'cancel',
          'the provider is told');
savepoint told;
select fixture.poll(job, 200, '{}', 'cancel') from c \g /dev/null
select is((fixture.calls(job), fixture.ledger(job))::text,
          ('cancelled', 'hold -100, release 100, charge -100')::text,
          'cancelled there, what it billed is paid') from c;
select lives_ok(format('select kiln.delete_job(%s)', job), 'and the job may go') from c;
rollback to told;
update kiln.provider set bills_cancelled = false where name = 'pay';
select fixture.poll(job, 200, '{}', 'cancel') from c \g /dev/null
select is(fixture.ledger(job), 'hold -100, release 100', 'or nothing where cancelled ones are not billed')
  from c;
rollback to told;
select fixture.poll(job, 202, '{}', 'cancel') from c \g /dev/null
select is(fixture.calls(job), 'accepted', 'one that is only asked to stop is followed on') from c;
select fixture.pass('20 seconds') \g /dev/null
select is((select p::jsonb ->> 'kind' from kiln_runner.claim_polls(null) p), 'poll', 'by polls');
select fixture.poll(job, 200, '{"status": "done", "files": ["https://x/1"]}') from c \g /dev/null
select is((fixture.calls(job), fixture.job_state(job), fixture.ledger(job))::text,
          ('succeeded', 'cancelled', 'hold -100, release 100, charge -100')::text,
          'it may still end well: then it is paid') from c;
rollback to answers;

create temporary table c as select fixture.pay() as job;
create temporary table c1 as select fixture.begin(job) as step from c;
select is(kiln.cancel_job(job), 'cancelling', 'a job that is being sent is told to stop') from c;
select is(fixture.answer(step, 200, '{"id": "r"}') ->> 'state', 'cancelled', 'accepted all the same, it ends')
  from c1;
select is((fixture.job_state(job), fixture.calls(job),
           (fixture.last_call(job)).cancel_requested_at is not null)::text,
          ('cancelled', 'accepted', true)::text, 'and its call is cancelled') from c;
rollback to answers;
create temporary table c as select fixture.pay() as job;
select fixture.start(job) from c \g /dev/null
select kiln.cancel_job(job) from c \g /dev/null
select is(kiln_runner.begin_call(t.task_id, t.fence)::jsonb ->> 'state', 'cancelled',
          'nothing is begun for a job that is being cancelled') from c
  join kiln.task_running t on t.job_id = c.job;
select is(fixture.calls(job), null, 'no call') from c;
rollback to answers;

-- Too long --------------------------------------------------------------------------------------------------

update kiln.provider set cancel = '{"path": "/cancel/{id}", "accept": [200, 202], "is_final_on": [200]}'
 where name = 'pay';
create temporary table t as select fixture.accepted() as job;
select fixture.pass('301 seconds'), fixture.tick() \g /dev/null
select is((select p::jsonb ->> 'kind' from kiln_runner.claim_polls(null) p), 'cancel',
          'a call that takes longer than its stage allows is cancelled');
savepoint long;
select fixture.poll(job, 200, '{}', 'cancel') from t \g /dev/null
select is((fixture.begin(job) ->> 'state', fixture.job_state(job))::text, ('failed', 'failed')::text,
          'billed, it fails and is not paid again') from t;
rollback to long;
update kiln.provider set bills_cancelled = false where name = 'pay';
select fixture.poll(job, 200, '{}', 'cancel') from t \g /dev/null
select is(fixture.begin(job) ->> 'state', 'waiting', 'not billed, it may be tried again') from t;
rollback to long;
select fixture.poll(job, 202, '{}', 'cancel') from t \g /dev/null
select fixture.pass('121 seconds'), fixture.tick() \g /dev/null
select is((fixture.job_state(job), fixture.calls(job), j.error_code)::text,
          ('held', 'accepted', 'timeout')::text, 'one that still does not end is held') from t
  join kiln.job j on j.job_id = t.job;
select fixture.poll(job, 200, '{"status": "done", "files": ["https://x/1"]}') from t \g /dev/null
select is((fixture.job_state(job), fixture.begin(job) ->> 'do')::text, ('running', 'fetch')::text,
          'and goes on when it does end') from t;
rollback to answers;

-- A job that was cancelled while held: given up after a day.
create temporary table u as select fixture.pay() as job;
select fixture.trouble(fixture.begin(job)) from u \g /dev/null
select is(kiln.cancel_job(job), 'cancelled', 'a held job may be cancelled') from u;
select is((fixture.calls(job), fixture.ledger(job))::text, ('unknown', 'hold -100')::text,
          'what it may cost is open') from u;
select fixture.pass('25 hours'), fixture.tick() \g /dev/null
select is((fixture.calls(job), fixture.ledger(job), (select perhaps from kiln.waste w
                                                      where w.job = u.job))::text,
          ('failed', 'hold -100, release 100', 100)::text,
          'for a day; then the hold is released, and the doubt is the operator''s') from u;
rollback to answers;

-- No back door ----------------------------------------------------------------------------------------------

create temporary table b as select fixture.accepted() as job;
select throws_ok($$ update kiln.call set state = 'open'
                     where call_id = (select (fixture.last_call(job)).call_id from b) $$, 'KN001', null,
                 'an accepted call is never open again');
select throws_ok($$ update kiln.call set request = '{}'
                     where call_id = (select (fixture.last_call(job)).call_id from b) $$, 'KN001', null,
                 'what was sent never changes');
select throws_ok($$ update kiln.call set estimated_micros = 1
                     where call_id = (select (fixture.last_call(job)).call_id from b) $$, 'KN001', null,
                 'nor its price');
select throws_ok($$ delete from kiln.call where call_id = (select (fixture.last_call(job)).call_id from b) $$,
                 'KN001', null, 'it is not deleted');
select throws_ok('truncate kiln.call cascade', 'KN001', null, 'nor emptied at a stroke');
set local session_replication_role = replica;
select throws_ok($$ delete from kiln.call where call_id = (select (fixture.last_call(job)).call_id from b) $$,
                 'KN001', null, 'and no setting opens the door');
set local session_replication_role = origin;
select throws_ok($$ set local role kiln_owner; insert into kiln.call (task_id, job_id, account_id,
                                                                      provider_id, fence, number, request,
                                                                      request_hash, send_before, timeout_at)
                    select task_id, job_id, account_id, provider_id, fence, 2, '{}', '', send_before,
                           timeout_at from fixture.last_call((select job from b)) $$, '23505', null,
                           'a task has one call at a time');
select fixture.poll(job, 200, '{"status": "done", "files": ["https://pay.test/1.png"]}') from b \g /dev/null
select throws_ok($$ update kiln.call set outcome = 'failed'
                     where call_id = (select (fixture.last_call(job)).call_id from b) $$, 'KN001', null,
                 'how it ended never changes');
select throws_ok($$ update kiln.call set state = 'accepted', outcome = null, settled_at = null
                     where call_id = (select (fixture.last_call(job)).call_id from b) $$, 'KN001', null,
                 'nor that it did');
select results_eq($$ select from_state || ' ' || event || ' ' || to_state from kiln.call_move order by 1 $$,
                  array['accepted settle settled', 'open accept accepted', 'open lose unknown',
                        'open settle settled', 'unknown find accepted', 'unknown settle settled'],
                  'these are all moves of a call');
-- OpenAI's speech was held as unreadable: its provider answers pictures in JSON, and only the stage says that
-- the reply is the file.
select results_eq($$ select (kiln_internal.read_reply(p, c, 'submit', 200, '{}', b)).outcome
                       from kiln.provider p,
                      (values (1, '{"outputs": [{"as": "binary"}]}'::jsonb, null),
                       (2, '{"outputs": [{"as": "binary"}]}', 'ID3'), (3, '{}', 'ID3'),
                       (4, null, 'ID3')) as v (n, c, b)
                     where p.name = 'openai' order by n $$,
                  array['succeeded', 'succeeded', 'unclear', 'unclear'],
                            'a reply need not be JSON where the stage takes it as its file');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

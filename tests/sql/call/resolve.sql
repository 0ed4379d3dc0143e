-- A person's word about a held job: resend, fail, adopt. Kept, with who and why; not before the call can no
-- longer be answered.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
create temporary table a as select fixture.pay() as job;
select fixture.trouble(fixture.begin(job)) from a \g /dev/null
select is((h.reason, h.provider, h.request_id, h.call = c.call_id, h.message)::text,
          ('unknown', 'pay', null::text, true,
           'The reply of pay was lost: it broke off. Whether pay has it, and charges it, cannot be '
           'known here.')::text,
          'a held job is shown with why, and with whom') from kiln.held_jobs h, a, fixture.last_call(a.job) c
 where h.job = a.job;
select matches(what_to_do, 'select kiln.resolve_job\(\d+, ''resend'', ''why''\); .*only after 12:01:10 UTC',
               'and with what to type, and when') from kiln.held_jobs;

-- Too early, and wrong.
select is(fixture.refusal(format('select kiln.resolve_job(%s, ''resend'', ''now'')', job)) - 'detail',
          '{"code": "KN014", "message": "the call of job %s may still be answered until 2030-01-01 12:01:10 '
          'UTC", "hint": "Say it again after 12:01:10 UTC: who sent it may have been asleep."}'::text::jsonb
          || jsonb_build_object('message',
              format('the call of job %s may still be answered until 2030-01-01 12:01:10 UTC', job)),
          'resend is refused as long as it may still be answered, with the time') from a;
select throws_ok(format('select kiln.resolve_job(%s, ''fail'', ''now'')', job), 'KN014', null, 'so is fail')
  from a;
select is(fixture.bad_fields(format('select kiln.resolve_job(%s, ''guess'', '' '')', job)), '/action /reason',
          'an action that is none, and no reason, are refused by field') from a;
select is(fixture.bad_fields(format('select kiln.resolve_job(%s, ''adopt'', ''x'')', job)), '/output',
          'adopt needs what to adopt') from a;
select throws_ok('select kiln.resolve_job(0, ''fail'', ''x'')', 'KN002', null, 'there must be such a job');
select throws_ok(format('select kiln.resolve_job(%s, ''fail'', ''x'')', fixture.job_in('running')), 'KN001',
                 null, 'and it must be held');
select is((select count(*)::int from kiln.resolution r
            where r.job_id = a.job), 0, 'what was refused leaves nothing') from a;
select is(fixture.refusal(format('select kiln.resume_job(%s)', job)) ->> 'code', 'KN001',
          'resume is no way around it') from a;
select throws_ok(format('update kiln.job set state = ''running'' where job_id = %s', job), 'KN001', null,
                 'nor is a hand-typed UPDATE') from a;
select fixture.pass('71 seconds') \g /dev/null
create function pg_temp.post(p_sub text, p_job bigint, p_body text) returns jsonb language sql
as $$ select fixture.call(p_sub, 'resolve_job', jsonb_build_object('id', p_job::text), '{}', p_body) $$;
savepoint now;

-- Resend.
select is(kiln.resolve_job(job, 'resend', 'the customer waits'), 'running',
          'after its time-out resend lets it go on') from a;
select is((action, reason, actor, call_id is not null)::text,
          ('resend', 'the customer waits', session_user, true)::text, 'who said it and why is kept')
  from kiln.resolution r join a on r.job_id = a.job;
select is((fixture.begin(job) ->> 'do', fixture.calls(job))::text, ('send', 'failed, open')::text,
          'with a new call') from a;
select is((c.error_class, c.error_code, c.charged_micros)::text, ('unknown', 'resolved', null::bigint)::text,
          'what the old one cost stays unknown') from a, kiln.call c where c.job_id = a.job and c.number = 1;
select is_empty('select * from kiln.contradictions',
                'with a person''s word a second call contradicts nothing');
select throws_ok('update kiln.resolution set reason = ''x''', 'KN001', null, 'a word once given stays');
select throws_ok('delete from kiln.resolution', 'KN001', null, 'and is not taken back');
rollback to now;

select is(fixture.refusal(format('select kiln.resolve_job(%s, ''fetch'', ''look'')', job)) ->> 'code',
          'KN001', 'what may not be paid yet has no result to ask for') from a;

-- Fail.
select is(kiln.resolve_job(job, 'fail', 'too dear', p_actor => 'eve'), 'failed', 'fail ends it') from a;
select is((error_code, error_message)::text, ('operator', 'Failed by eve: too dear')::text, 'with the reason')
  from a join kiln.job j on j.job_id = a.job;
select is((fixture.ledger(job), (select perhaps from kiln.waste w where w.job = a.job))::text,
          ('hold -100, release 100', 100)::text, 'the hold is released, the doubt shows') from a;
rollback to now;

-- Adopt a request id.
select is(kiln.resolve_job(job, 'adopt', 'found in their console', '{"request_id": "x1"}'), 'running',
          'a request id is adopted') from a;
select is((fixture.calls(job), (fixture.last_call(job)).provider_request_id,
           fixture.begin(job) ->> 'state')::text, ('accepted', 'x1', 'waiting')::text,
          'and its call is followed') from a;
select is((select p ->> 'request' ~ '/status/x1' from kiln_runner.claim_polls(null) p), true,
          'by that id, at once');
rollback to now;
update kiln.provider set poll = null where name = 'pay';
select throws_ok(format('select kiln.resolve_job(%s, ''adopt'', ''x'', ''{"request_id": "x1"}'')', job),
                 'KN001', null, 'where the provider can be asked') from a;
rollback to now;

-- Adopt an output.
select is(kiln.resolve_job(job, 'adopt', 'sent by mail', '{"media": ["5"]}'), 'completed',
          'an output is adopted') from a;
select is((j.output, fixture.calls(job), fixture.ledger(job))::text,
          ('{"media": ["5"]}'::jsonb, 'succeeded', 'hold -100, release 100, charge -100')::text,
          'as if the call had brought it') from a join kiln.job j on j.job_id = a.job;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
rollback to now;

-- Also before its time: it pays nothing again.
create temporary table b as select fixture.pay() as job;
select fixture.trouble(fixture.begin(job)) from b \g /dev/null
select is(kiln.resolve_job(job, 'adopt', 'x', '{"media": []}'), 'completed', 'adopt need not wait') from b;
rollback to now;

-- Held for other reasons.
create temporary table c as select fixture.job_in('held') as plain, fixture.job_in('held') as other;
select is((reason, what_to_do)::text,
          ('unknown', format('select kiln.resume_job(%s); -- or kiln.cancel_job(%1$s)', plain))::text,
          'one without a call is resumed') from kiln.held_jobs h, c where h.job = plain;
select is((kiln.resolve_job(plain, 'resend', 'again'), kiln.resolve_job(other, 'fail', 'no'))::text,
          ('running', 'failed')::text, 'or resolved in the same words') from c;
select is(kiln.resume_job(fixture.job_in('held')), 'running', 'and resume still does what it did');
rollback to now;
create temporary table d as select fixture.pay() as job;
select fixture.answer(fixture.begin(job), 200, '{"id": "r", "status": "done"}') from d \g /dev/null
select is((select reason from kiln.held_jobs h, d
            where h.job = d.job), 'lost', 'one whose result is not to be had is held as lost');
select throws_ok(format('select kiln.resolve_job(%s, ''adopt'', ''x'', ''{"request_id": "x1"}'')', job),
                 'KN001', null, 'its call is settled: no id to adopt') from d;
savepoint lost;
select matches(what_to_do, '^select kiln.resolve_job\(\d+, ''fetch'', ''why''\);',
               'and can be asked for again') from kiln.held_jobs h, d where h.job = d.job;
select is(kiln_internal.render_job_for_admin(j) -> 'actions',
          '["fetch", "resend", "fail", "adopt", "cancel"]', 'as the API says') from d
  join kiln.job j on j.job_id = d.job;
select is(kiln.resolve_job(job, 'fetch', 'the description said /file'), 'running',
          'where what kept it is mended') from d;
-- as if the description had found it
set role kiln_owner; update kiln.call set result = '{"files": ["https://pay.test/1.png"]}'
                      where job_id = (select job from d); reset role;
select is((fixture.begin(job) ->> 'do', fixture.calls(job))::text, ('fetch', 'succeeded')::text,
          'its result is had, and not paid again') from d;
rollback to lost;
select is(kiln.resolve_job(job, 'resend', 'make it again'), 'running',
          'with a person''s word it is made once more') from d;
select is((fixture.begin(job) ->> 'do', fixture.calls(job))::text, ('send', 'succeeded, open')::text,
          'and paid once more') from d;
select is_empty('select * from kiln.contradictions', 'by that word');
rollback to now;

-- Over REST.
select is(pg_temp.post('admin', job, '{"action": "fail", "reason": "too dear"}') ->> 'state', 'failed',
          'an administrator resolves over REST') from a;
select is((select actor from kiln.resolution r where r.job_id = a.job),
          'account ' || fixture.account('admin'), 'and is named') from a;
rollback to now;
select is(fixture.refusal(format('select pg_temp.post(''ann'', %s, ''{"action": "fail", "reason": "mine"}'')',
                                 job)) ->> 'code', 'KN004', 'nobody else does') from a;
select is(fixture.bad_fields(format('select pg_temp.post(''admin'', %s, ''{"action": 1, "why": "x"}'')',
                                    job)), '/action /why', 'fields that are wrong are named') from a;
select is(fixture.bad_fields(format('select pg_temp.post(''admin'', %s, ''{}'')', job)), '/action /reason',
          'and those that are missing') from a;
select is(fixture.refusal('select pg_temp.post(''admin'', 0, ''{"action": "fail", "reason": "x"}'')')
          ->> 'code', 'KN002', 'there must be such a job');
select finish();
rollback;

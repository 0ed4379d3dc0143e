-- A provider's word by webhook: before our own reply, twice, out of order, after we gave up. Never refused,
-- never paid twice.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
update kiln.provider
   set webhook = '{"scheme": "fal-ed25519", "id": ["/id"], "status": ["/status"], "states": {"done": '
                 '"succeeded", "failed": "failed", "running": "running"}, "jwks_url": '
                 '"https://keys.test/jwks", "tolerance_s": 300}'
 where name = 'pay';
-- As the server calls it, with the role it has.
create function pg_temp.hook(p_job bigint, p_body text, p_provider text default 'pay',
                             p_token text default null) returns jsonb language sql as $$
    select fixture.call(null, 'receive_webhook', jsonb_build_object('id', p_provider),
                        jsonb_build_object('call', coalesce(p_token,
                                                            (fixture.last_call(p_job)).webhook_token::text)),
                        p_body)
$$;
create function pg_temp.done(p_id text default 'r1') returns text language sql
as $$ select format('{"id": "%s", "status": "done", "files": ["https://pay.test/1.png"]}', p_id) $$;
savepoint fresh;

-- The usual way.
create temporary table a as select fixture.accepted('r1') as job;
select is(pg_temp.hook(job, pg_temp.done()), '{"received": true, "known": true}', 'a webhook is received')
  from a;
select is((fixture.calls(job), fixture.task_states(job), (select count(*)::int from kiln.poll))::text,
          ('succeeded', 'ready', 0)::text, 'settles its call, readies its task, and ends the polls') from a;
select is(pg_temp.hook(job, pg_temp.done()), '{"received": true, "known": true}', 'twice is received twice')
  from a;
select is((fixture.calls(job), (fixture.last_call(job)).late_at)::text,
          ('succeeded', null::timestamptz)::text, 'and changes nothing') from a;
select is(pg_temp.hook(job, '{"id": "r1", "status": "running"}'), '{"received": true, "known": true}',
          'an earlier one that comes later') from a;
select is((fixture.calls(job), (fixture.last_call(job)).late_outcome)::text, ('succeeded', null::text)::text,
          'turns nothing back') from a;
select is(fixture.begin(job) ->> 'do', 'fetch', 'the result is fetched') from a;
rollback to fresh;

-- Before our own reply.
create temporary table b as select fixture.pay() as job;
create temporary table b1 as select fixture.begin(job) as step from b;
select pg_temp.hook(job, pg_temp.done('r2')) from b \g /dev/null
select is((fixture.calls(job), (fixture.last_call(job)).provider_request_id, fixture.task_states(job))::text,
          ('succeeded', 'r2', 'running')::text,
          'before our own reply the call is found by the token in its URL') from b;
savepoint before;
select is(fixture.answer(step, 200, '{"id": "r2"}') ->> 'do', 'fetch',
          'the reply then leads straight to the result') from b1;
rollback to before;
select is(fixture.trouble(step) ->> 'do', 'fetch', 'and so does a lost one') from b1;
rollback to before;
select fixture.die(job) from b \g /dev/null
select is(fixture.begin(job) ->> 'do', 'fetch', 'or the next claimer, where the first died') from b;
select is((select charged_micros from fixture.last_call(job)), 100::bigint, 'paid once') from b;
rollback to fresh;
create temporary table b as select fixture.pay() as job;
create temporary table b1 as select fixture.begin(job) as step from b;
select pg_temp.hook(job, '{"id": "r2", "status": "running"}') from b \g /dev/null
select is(fixture.calls(job), 'accepted', 'a first sign of life means accepted') from b;
select is((fixture.trouble(step) ->> 'state', fixture.calls(job))::text, ('waiting', 'accepted')::text,
          'so a lost reply does no harm') from b1, b;
rollback to fresh;
create temporary table b as select fixture.pay() as job;
create temporary table b1 as select fixture.begin(job) as step from b;
select pg_temp.hook(job, '{"id": "r2", "status": "failed", "class": "refused"}') from b \g /dev/null
select is(fixture.answer(step, 200, '{"id": "r2"}') ->> 'state', 'failed', 'a failure may come first as well')
  from b1;
rollback to fresh;

-- After we held it.
create temporary table c as select fixture.pay() as job;
select fixture.trouble(fixture.begin(job)) from c \g /dev/null
select is(fixture.job_state(job), 'held', 'a lost reply without any other power is held') from c;
select pg_temp.hook(job, pg_temp.done('r3')) from c \g /dev/null
select is((fixture.job_state(job), fixture.task_states(job), fixture.calls(job))::text,
          ('running', 'ready', 'succeeded')::text, 'the webhook lets it go on, and nobody is asked') from c;
select is_empty('select * from kiln.held_jobs', 'nothing is held');
rollback to fresh;

-- After a person gave it up, or had it sent again.
create temporary table d as select fixture.pay() as job;
select fixture.trouble(fixture.begin(job)) from d \g /dev/null
create temporary table d1 as select (fixture.last_call(job)).webhook_token::text as token from d;
select fixture.pass('2 minutes') \g /dev/null
select kiln.resolve_job(job, 'resend', 'the customer waits') from d \g /dev/null
create temporary table d2 as select fixture.begin(job) as step from d;
select pg_temp.hook(job, pg_temp.done('r4'), p_token => token) from d, d1 \g /dev/null
select is((fixture.calls(job), (select string_agg(coalesce(late_outcome, '-'), ' ' order by number)
                                  from kiln.call where job_id = d.job))::text,
          ('failed, open', 'succeeded -')::text, 'news of a call that was given up are noted with it') from d;
select fixture.answer(step, 200, '{"id": "r5", "status": "done", "files": ["https://pay.test/1.png"]}')
  from d2 \g /dev/null
select fixture.complete(job) from d \g /dev/null
select is((fixture.job_state(job), fixture.ledger(job), (select micros from kiln.waste w
                                                          where w.job = d.job))::text,
          ('completed', 'hold -100, release 100, charge -100', 100)::text,
          'the account pays once, the operator the other') from d;
select is_empty('select * from kiln.contradictions', 'since a person said so, nothing contradicts anything');
rollback to fresh;

-- By the provider's id, and orphans.
create temporary table e as select fixture.accepted('r6') as job;
select is(pg_temp.hook(null, pg_temp.done('r6'), p_token => 'nonsense'), '{"received": true, "known": true}',
          'without a token it is found by the provider''s id') from e;
select is(fixture.calls(job), 'succeeded', 'and settles its call') from e;
select is(pg_temp.hook(null, pg_temp.done('r99'), p_token => gen_random_uuid()::text),
          '{"received": true, "known": false}', 'one about nothing we know is received as well');
select is((select (request_id, token is not null)::text
             from kiln.unmatched_webhook), ('r99', true)::text, 'and noted');
select is(pg_temp.hook(null, 'not json', p_token => 'x'), '{"received": true, "known": false}',
          'so is one that is not even JSON');
select is(fixture.refusal($$ select pg_temp.hook(null, '{}', 'nobody') $$) ->> 'code', 'KN002',
          'a provider that is not there has no webhooks');
select is(fixture.refusal($$ select pg_temp.hook(null, '{}', 'local') $$) ->> 'code', 'KN002',
          'nor has one without');
select fixture.pass('8 days'), fixture.tick() \g /dev/null
select is_empty('select * from kiln.unmatched_webhook', 'orphans are kept for a week');
rollback to fresh;
create temporary table f as select fixture.accepted('r6') as job;
select is(pg_temp.hook(job, pg_temp.done('r7')), '{"received": true, "known": false}',
          'a token with the word of another request is a orphan') from f;
select is(fixture.calls(job), 'accepted', 'and moves nothing') from f;
rollback to fresh;

-- The result is asked for apart where the webhook has none.
update kiln.provider set result = '{"path": "/result/{id}"}' where name = 'pay';
create temporary table g as select fixture.accepted('r8') as job;
select pg_temp.hook(job, '{"id": "r8", "status": "done"}') from g \g /dev/null
select is((fixture.calls(job), fixture.begin(job) ->> 'kind')::text, ('accepted', 'result')::text,
          'a webhook without the payload has it asked for') from g;
rollback to fresh;

-- A deleted job.
create temporary table h as select fixture.accepted('r9') as job;
select fixture.poll(job, 200, '{"status": "failed"}') from h \g /dev/null
select fixture.begin(job) from h \g /dev/null
select kiln.delete_job(job) from h \g /dev/null
select is(pg_temp.hook(job, pg_temp.done('r9')), '{"received": true, "known": true}',
          'after its job was deleted a webhook is received and nothing more') from h;
select is((select (request, result, error_message, charged_micros)::text from kiln.call, h
            where job_id = h.job), ('{}'::jsonb, null::jsonb, null::text, 100)::text,
          'of its calls only the money is left');

-- Keys ------------------------------------------------------------------------------------------------------

select is(fixture.call(null, 'webhook_keys', '{"id": "pay"}'),
          '{"scheme": "fal-ed25519", "keys": null, "secret_env": null, "tolerance_s": 300}',
          'the server asks what a provider signs with');
select is_empty('select * from kiln_runner.required_webhook_keys() w where w ->> ''provider'' = ''pay''',
                'without a public address no webhook is asked for, and no key');
update kiln.config set public_url = 'https://kiln.test';
select is((select w::jsonb from kiln_runner.required_webhook_keys() w
            where w ->> 'provider' = 'pay'),
          '{"provider": "pay", "jwks_url": "https://keys.test/jwks", "hosts": ["pay.test", "keys.test"]}',
          'a runner is told whose keys to fetch');
select kiln_runner.store_webhook_keys('pay', '{"keys": [{"kty": "OKP"}]}') \g /dev/null
select is(fixture.call(null, 'webhook_keys', '{"id": "pay"}') -> 'keys', '{"keys": [{"kty": "OKP"}]}',
          'fetched, the server has them');
select is_empty('select * from kiln_runner.required_webhook_keys() w where w ->> ''provider'' = ''pay''',
                'and nobody fetches them again');
select fixture.pass('2 minutes') \g /dev/null
select fixture.call(null, 'webhook_keys', '{"id": "pay"}', p_body => '{"fetch": true}') \g /dev/null
select isnt_empty('select * from kiln_runner.required_webhook_keys() w where w ->> ''provider'' = ''pay''',
                  'until none of them fits');
select kiln_runner.store_webhook_keys('pay', '{"keys": []}') \g /dev/null
select fixture.pass('1 day') \g /dev/null
select isnt_empty('select * from kiln_runner.required_webhook_keys() w where w ->> ''provider'' = ''pay''',
                  'or a day has passed');
select throws_ok($$ select kiln_runner.store_webhook_keys('pay', '{}') $$, 'KN006', null,
                 'what is no key set is not kept');
select throws_ok($$ select kiln_runner.store_webhook_keys('nobody', '{"keys": []}') $$, 'KN002', null,
                 'nor the keys of nobody');
select is(fixture.refusal($$ select fixture.call(null, 'webhook_keys', '{"id": "nobody"}') $$) ->> 'code',
          'KN002', 'nobody has none');

-- The URL that is sent along.
update kiln.provider set submit = submit || '{"query": {"hook": "{webhook_url}"}}' where name = 'pay';
create temporary table u as select fixture.pay() as job;
create temporary table u1 as select fixture.begin(job) -> 'request' ->> 'url' as url from u;
select ok(replace(replace(replace(replace(url, '%3A', ':'), '%2F', '/'), '%3F', '?'), '%3D',
                  '=') like '%hook=https://kiln.test/api/v1/webhooks/pay?call='
          || (fixture.last_call(job)).webhook_token, 'a request names the webhook of its own call')
  from u, u1;
select finish();
rollback;

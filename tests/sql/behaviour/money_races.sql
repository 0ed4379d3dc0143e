-- Two at the same moment, where there is money: one call, one charge, exact limits; by sessions of their own.
begin;
\ir ../../fixtures/sessions.sql
select no_plan();
select fixture.open('a'), fixture.open('b') \g /dev/null
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "money race"}') $$) as account \gset
select fixture.run('a', $$ insert into kiln.provider (name, base_url, submit, poll, webhook, errors)
                           values ('race', 'https://race.test',
    '{"path": "/submit", "body": {"prompt": "{prompt}"}, "id": ["/id"]}',
    '{"path": "/status/{id}", "status": ["/status"], "states": {"running": "running", "done": "succeeded", '
    '"failed": "failed"}}',
    '{"scheme": "standard-webhooks", "secret_env": "RACE_HOOK", "id": ["/id"]}',
                                '[{"status": 422, "class": "invalid", "is_unbilled": true}]') $$) \g /dev/null
select fixture.run('a', $$ do $d$ begin insert into kiln.stage (pipeline_version_id, position, name, handler,
                                                                queue_id, config)
    select kiln.new_pipeline_version('test/race'), 1, 'ask', 'http', q.queue_id,
           '{"provider": "race", "endpoint": "x/y", "outputs": [{"pointer": "/url", "as": "url", '
           '"media_type": "image"}]}'
      from kiln.queue q where q.name = 'local'; end $d$ $$) \g /dev/null
select fixture.run('a', $$ select kiln_runner.register('money race', 'here', 1, 'test', '{local}',
                                                       100) $$) as runner \gset
create function pg_temp.pay() returns text language sql as $$
    select fixture.run('a', format('select kiln.enqueue(%L, %L, %s, p_estimated_micros => 100)', 'test/race',
                                   '{"prompt": "x"}', (select account_id from kiln.identity
                                                        where subject = 'money race'))) $$;
create function pg_temp.task(p_job text) returns text language sql
as $$ select (p_job::bigint * 10000 + 100)::text $$;
create function pg_temp.claim(p_job text) returns text language sql as $$
    select fixture.run('a', format('select count(*) from kiln_runner.claim(%s, 50)', (select max(runner_id)
                                                        from kiln.runner where name = 'money race')));
    select fixture.run('a', format('select fence from kiln.task_running where job_id = %s', p_job)) $$;
create function pg_temp.begin_call(p_job text, p_fence text) returns text language sql
as $$ select format('select kiln_runner.begin_call(%s, %s) ->> %L', pg_temp.task(p_job), p_fence, 'do') $$;
create function pg_temp.call(p_job text) returns text language sql
as $$ select fixture.run('a', format('select max(call_id) from kiln.call where job_id = %s', p_job)) $$;
create function pg_temp.answer(p_job text, p_fence text, p_body text, p_status int default 200) returns text
language sql as $$
    select format('select kiln_runner.call_answer(%s, %s, %s, %L) ->> %L', pg_temp.task(p_job), p_fence,
                  pg_temp.call(p_job), json_build_object('kind', 'submit', 'status', p_status, 'body', p_body,
                                                         'elapsed_ms', 9)::text, 'do') $$;
create function pg_temp.hook(p_job text, p_body text) returns text language sql as $$
    select format('select kiln_internal.record_webhook(%L, %L, %L) ->> %L', 'race',
                  fixture.run('a', format('select webhook_token from kiln.call where call_id = %s',
                                          pg_temp.call(p_job))), p_body, 'known') $$;
create function pg_temp.calls(p_job text) returns text language sql as $$
    select fixture.run('a',
        format('select string_agg(coalesce(outcome, state::text), %L order by call_id) from kiln.call where '
               'job_id = %s', ', ', p_job)) $$;

-- Two begin_calls of one task.
select pg_temp.pay() as one \gset
select pg_temp.claim(:'one') as fence \gset
select fixture.run('a', 'begin') \g /dev/null
select is(fixture.run('a', pg_temp.begin_call(:'one', :'fence')), 'send',
          'of two that begin the call of one task the first may send');
select is(fixture.begin_run('b', pg_temp.begin_call(:'one', :'fence')), true, 'the second waits');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'nothing', 'and may not');
select is(fixture.run('a', format('select count(*) from kiln.call where job_id = %s', :'one')), '1',
          'there is one call');

-- A webhook meets the reply.
select pg_temp.pay() as two \gset
select pg_temp.claim(:'two') as fence \gset
select fixture.run('a', pg_temp.begin_call(:'two', :'fence')) \g /dev/null
select pg_temp.hook(:'two', '{"id": "r2", "status": "done", "url": "https://race.test/2"}') as hook \gset
select pg_temp.answer(:'two', :'fence', '{"id": "r2"}') as answer \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', :'hook') \g /dev/null
select is(fixture.begin_run('b', :'answer'), true, 'a reply waits for the webhook that came first');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'fetch', 'and finds the result');
select pg_temp.pay() as three \gset
select pg_temp.claim(:'three') as fence \gset
select fixture.run('a', pg_temp.begin_call(:'three', :'fence')) \g /dev/null
select pg_temp.hook(:'three', '{"id": "r3", "status": "done", "url": "https://race.test/3"}') as hook \gset
select pg_temp.answer(:'three', :'fence', '{"id": "r3"}') as answer \gset
select fixture.run('a', 'begin') \g /dev/null
select is(fixture.run('a', :'answer'), 'nothing', 'the other way round the reply puts the task aside');
select is(fixture.begin_run('b', :'hook'), true, 'the webhook waits for it');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'true', 'and is taken, though the task moved meanwhile');
select is(fixture.run('a', format('select state from kiln.task where task_id = %s', pg_temp.task(:'three'))),
          'ready', 'which it readies');

-- A person meets a webhook.
select pg_temp.pay() as four \gset
select pg_temp.claim(:'four') as fence \gset
select fixture.run('a', pg_temp.begin_call(:'four', :'fence')) \g /dev/null
select fixture.run('a', pg_temp.answer(:'four', :'fence', 'not json')) \g /dev/null
select is(fixture.run('a', format('select state from kiln.job where job_id = %s', :'four')), 'held',
          'a job is held');
select pg_temp.hook(:'four', '{"id": "r4", "status": "done", "url": "https://race.test/4"}') as hook \gset
select fixture.run('a',
    format('set role kiln_owner; update kiln.call set timeout_at = send_before, send_before = created_at '
           'where job_id = %s; reset role', :'four')) \g /dev/null
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', :'hook') \g /dev/null
select is(fixture.begin_run('b', format('select kiln.resolve_job(%s, %L, %L)::text', :'four', 'adopt', 'x')),
          false, 'what is not complete is refused before it waits');
select fixture.answer('b') \g /dev/null
select is(fixture.begin_run('b', format('select kiln.resolve_job(%s, %L, %L, %L)::text', :'four', 'adopt',
                                        'x', '{"media": []}')), true, 'a person''s word waits for a webhook');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'KN001', 'and comes too late: it is not held any more');
select is(pg_temp.calls(:'four'), 'succeeded', 'the webhook''s word counts');
select pg_temp.pay() as five \gset
select pg_temp.claim(:'five') as fence \gset
select fixture.run('a', pg_temp.begin_call(:'five', :'fence')) \g /dev/null
select fixture.run('a', pg_temp.answer(:'five', :'fence', 'not json')) \g /dev/null
select pg_temp.hook(:'five', '{"id": "r5", "status": "done", "url": "https://race.test/5"}') as hook \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', format('select kiln.resolve_job(%s, %L, %L, %L)::text', :'five', 'adopt', 'x',
                               '{"media": []}')) \g /dev/null
select is(fixture.begin_run('b', :'hook'), true, 'a webhook waits for a person''s word');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'true', 'and is received all the same');
select is((pg_temp.calls(:'five'),
           fixture.run('a', format('select count(*) from kiln.ledger where kind = %L and job_id = %s',
                                   'charge', :'five')))::text, ('succeeded', '1')::text, 'charged once');

-- Two webhooks at once.
select pg_temp.pay() as six \gset
select pg_temp.claim(:'six') as fence \gset
select fixture.run('a', pg_temp.begin_call(:'six', :'fence')) \g /dev/null
select pg_temp.hook(:'six', '{"id": "r6", "status": "failed"}') as hook \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', :'hook') \g /dev/null
select is(fixture.begin_run('b', :'hook'), true, 'the second of two webhooks waits');
select fixture.run('a', 'commit') \g /dev/null
select is((fixture.answer('b'), pg_temp.calls(:'six'))::text, ('true', 'failed')::text,
          'and changes nothing');

-- Sixteen sessions against a limit of five: each with a task of its own, all begun at once.
select fixture.run('a',
    format('select count(kiln.cancel_job(job_id)) from kiln.job where account_id = %s and finished_at is null', :account)) \g /dev/null
select fixture.run('a', $$ update kiln.provider set max_calls = 5, rate_per_minute = null
                            where name = 'race' $$) \g /dev/null
select fixture.run('a', $$ do $d$ begin perform set_config('role', 'kiln_owner', true); update kiln.call
                                                        set state = 'settled', outcome = 'not_sent',
                                                            charged_micros = 0,
                                                                settled_at = kiln_internal.now(),
                                                                    classified_at = kiln_internal.now()
                                                                        where state <> 'settled'; delete from kiln.poll; update kiln.provider_limiter set circuit = 'closed', failures = 0, open_until = null; end $d$ $$) \g /dev/null
select count(pg_temp.pay()) from generate_series(1, 16) \g /dev/null
create temporary table c as
select row_number() over () as n, split_part(t, ' ', 1) as task, split_part(t, ' ', 2) as fence
  from regexp_split_to_table(fixture.run('a',
      format('select string_agg(task_id || %L || fence, %L) from kiln_runner.claim(%s, 16)', ' ', ',',
             :runner)), ',') t;
select is((select count(*)::int from c), 16, 'sixteen have a task');
select count(fixture.open('s' || n)) from c \g /dev/null
-- The limiter is held shut until all have come to it.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', $$ select count(*)
                             from (select from kiln.provider_limiter g
                                     join kiln.provider p using (provider_id) where p.name = 'race'
                                      for update of g) x $$) \g /dev/null
select count(fixture.dblink_send_query('s' || n,
                                       format('select kiln_runner.begin_call(%s, %s) ->> %L', task, fence,
                                              'do'))) from c \g /dev/null
select pg_sleep(0.5) \g /dev/null
select fixture.run('a', 'commit') \g /dev/null
create temporary table done as select fixture.answer('s' || n) as what from c;
select is((select string_agg(what || ' ' || count, ', ' order by what)
             from (select what, count(*) from done group by what) x), 'nothing 11, send 5',
          'five may send, eleven wait, none is refused');
select is(fixture.run('a', $$ select count(*) from kiln.call where state = 'open' $$), '5',
          'and five calls are there');
select is(fixture.run('a', $$ select string_agg(distinct reason, ' ')
                                from kiln.deferred_task $$) in ('calls', 'rate', 'calls rate'), true,
          'the others are deferred');
select is(fixture.run('a',
    'select count(*) from kiln.contradictions where what in (''call'', ''task'', ''account'')'), '0',
          'nothing contradicts anything');

select fixture.run('a',
    format('select count(kiln.cancel_job(job_id)) from kiln.job where account_id = %s and finished_at is null', :account)) \g /dev/null
select fixture.run('a', $$ do $d$ begin perform set_config('role', 'kiln_owner', true); update kiln.call
                                                        set state = 'settled', outcome = 'not_sent',
                                                            charged_micros = 0,
                                                                settled_at = kiln_internal.now(),
                                                                    classified_at = kiln_internal.now()
                                                                        where state <> 'settled'; delete from kiln.poll; delete from kiln.deferred_task; end $d$ $$) \g /dev/null
select fixture.run('a',
    format('select count(kiln_runner.fail(task_id, fence, %L, %L)) from kiln.task_running where '
           'runner_id = %s', 'cancelled', 'x', :runner)) \g /dev/null
select fixture.tidy('a', 'money race') \g /dev/null
select fixture.run('a', $$ update kiln.provider
                              set is_enabled = false, max_calls = null, rate_per_minute = null, rate_burst = 1
                            where name = 'race' $$) \g /dev/null
select finish();
rollback;

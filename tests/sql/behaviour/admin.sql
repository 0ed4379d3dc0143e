-- Administration over REST: who may, what is shown, what is done.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create function pg_temp.jobs(p_query jsonb) returns jsonb language sql
as $$ select fixture.call('admin', 'list_jobs', p_query => p_query) $$;
create function pg_temp.ids(p_query jsonb) returns text language sql
as $$ select string_agg(j ->> 'id', ' ') from jsonb_array_elements(pg_temp.jobs(p_query) -> 'items') j $$;
create temporary table s as select x as state,
                                   fixture.job_in(x, case when x in ('held', 'failed') then 'bob'
                                                          else 'ann' end) as job_id
                              from unnest(enum_range(null::kiln.job_state)) as x;

-- Who may ---------------------------------------------------------------------------------------------------

create temporary table f as select f, p
                              from (values ('list_jobs', '{}'::jsonb), ('cancel_job', '{"id": "1"}'),
                                    ('retry_job', '{"id": "1"}'), ('resolve_job', '{"id": "1"}'),
                                    ('list_providers', '{}')) v (f, p);
select throws_ok(format('select fixture.call(%L, %L, %L)', 'ann', f, p), 'KN004', null,
                 f || ' is refused to a user') from f;
select throws_ok(format('select fixture.call(null, %L, %L)', f, p), 'KN009', null, 'and to nobody') from f;
select throws_ok(format('select kiln_api.%I(%s, %L, %L, null)', f, fixture.account('admin'), p, '{}'),
                 'KN009', null, f || ' believes act_as() only') from f;
select is((select count(*)::int from s where fixture.job_state(job_id) = state::text), 7,
          'nothing has happened meanwhile');

-- The operator's key is an account of its own.
create temporary table k as select kiln_api.act_as('{"sub": "operator", "iss": "urn:kiln:admin-key", "role": '
                                                   '"admin", "request_id": "x"}') as actor;
-- Its first call once failed: an account that was made by it was a user's until the next.
select is(jsonb_array_length(kiln_api.list_jobs(actor, '{}', '{}', null)::jsonb -> 'items'), 7,
          'the operator''s key sees all jobs') from k;
select isnt(actor, fixture.account('admin'), 'as nobody else''s account') from k;
select is((select role from kiln.account where account_id = actor), 'user',
          'which is an administrator''s by the key alone') from k;

-- What is shown ---------------------------------------------------------------------------------------------

select is(pg_temp.ids('{}'), (select string_agg(job_id::text, ' ' order by job_id desc)
                                from s), 'everybody''s jobs, newest first');
select is(pg_temp.ids(jsonb_build_object('state', state)), job_id::text, 'those that are ' || state) from s;
select is(pg_temp.jobs('{"state": "held"}') -> 'items' -> 0 -> 'held',
    '{"stage": "one", "reason": "unknown", "message": "It went wrong.", "since": "2030-01-01T12:00:00.000Z", '
    '"provider": null, "request_id": null, "call_id": null, "resend_after": null}',
          'a held job says where and why');
select is(j -> 'held', 'null', 'one that is not held does not')
  from jsonb_array_elements(pg_temp.jobs('{"state": "running"}') -> 'items') j;
select is(j ->> 'account_id', fixture.account('bob')::text, 'each says whose it is')
  from jsonb_array_elements(pg_temp.jobs('{"state": "held"}') -> 'items') j;
select is(pg_temp.jobs(jsonb_build_object('state', state)) -> 'items' -> 0 -> 'actions', a::jsonb,
          'what may be done with one that is ' || state)
  from s join (values ('queued', '["cancel"]'), ('running', '["cancel"]'), ('cancelling', '[]'),
               ('held', '["resend", "fail", "adopt", "cancel"]'),
                      ('completed', '["retry"]'), ('failed', '["retry"]'), ('cancelled', '["retry"]')) v (st,
                                                        a) on st = state::text;
select is(pg_temp.jobs('{"state": "held"}') -> 'items' -> 0 -> 'links',
          (select jsonb_build_object('cancel', p || '/cancel', 'resolve', p || '/resolve')
             from (select '/api/v1/admin/jobs/' || job_id as p from s where state = 'held') x), 'and where');
select throws_ok(format('select pg_temp.jobs(%L)', q), 'KN006', null, q || ' is refused')
  from unnest('{"{\"state\": \"bored\"}","{\"limit\": \"0\"}","{\"limit\": \"101\"}","{\"cursor\": \"x\"}"}'::text[]) q;

-- Pages
select kiln.enqueue_many('test/one', array(select '{}'::jsonb
                                             from generate_series(1, 30)),
                         fixture.account('ann')) \g /dev/null
create function pg_temp.walk(p_query jsonb) returns table (pages int, jobs int) language plpgsql as $$
declare
    v_page jsonb := pg_temp.jobs(p_query);
    v_ids  text[] := '{}';
begin
    pages := 1;
    loop
        v_ids := v_ids || array(select j ->> 'id' from jsonb_array_elements(v_page -> 'items') j);
        exit when v_page ->> 'next_cursor' is null;
        v_page := pg_temp.jobs(p_query || jsonb_build_object('cursor', v_page ->> 'next_cursor'));
        pages := pages + 1;
    end loop;
    jobs := (select count(distinct i) from unnest(v_ids) i);
    if jobs <> cardinality(v_ids) then raise exception 'a job came twice'; end if;
    return next;
end $$;
select results_eq($$ select * from pg_temp.walk('{"limit": "10"}') $$, 'values (4, 37)',
                  'page by page each job comes once');
select results_eq($$ select * from pg_temp.walk('{"limit": "10", "state": "queued"}') $$, 'values (4, 31)',
                  'so do those of a state');
select fixture.job_in('held') from generate_series(1, 3) \g /dev/null
select results_eq($$ select * from pg_temp.walk('{"limit": "2", "state": "held"}') $$, 'values (2, 4)',
                  'and those that are held');
-- A state that is rare was once found by several short pages, each of which looked through 10,000 jobs.
select kiln.enqueue_many('test/one', array(select '{}'::jsonb
                                             from generate_series(1, 10100)),
                         fixture.account('ann')) \g /dev/null
select results_eq($$ select * from pg_temp.walk('{"limit": "100", "state": "failed"}') $$, 'values (1, 1)',
                  'a rare one stands on the first page');

-- What is done ----------------------------------------------------------------------------------------------

select is(fixture.call('admin', 'cancel_job', jsonb_build_object('id', job_id::text)) ->> 'state',
          case state when 'running' then 'cancelling' when 'cancelling' then 'cancelling'
               else 'cancelled' end, 'an administrator cancels what is ' || state)
  from s where state in ('queued', 'running', 'held', 'cancelling');
select throws_ok(format('select fixture.call(%L, %L, %L)', 'admin', 'cancel_job',
                        jsonb_build_object('id', job_id::text)), 'KN001', null,
                 'what is ' || state || ' cannot be') from s
 where state in ('completed', 'failed', 'cancelled');
select throws_ok($$ select fixture.call('admin', $$ || quote_literal(x) || $$, '{"id": "999999"}') $$,
                                        'KN002', null, x || ': what is not there')
                      from unnest('{cancel_job,retry_job}'::text[]) x;

create temporary table r as select fixture.call('admin', 'retry_job', jsonb_build_object('id', job_id::text),
                                                p_body => '{"seed": "7", "reason": "a colleague asked"}',
                                                p_key => 'once') as job, job_id from s where state = 'failed';
select is((job ->> 'parent_id', job ->> 'account_id', job ->> 'state', job ->> 'seed')::text,
          (job_id::text, fixture.account('bob')::text, 'queued', '7')::text,
          'a failed job is tried again for its account') from r;
select is(fixture.call('admin', 'retry_job', jsonb_build_object('id', job_id::text),
                       p_body => '{"seed": "7", "reason": "a colleague asked"}', p_key => 'once') ->> 'id',
          job ->> 'id', 'once for one Idempotency-Key') from r;
select is(fixture.bad_fields(format('select fixture.call(%L, %L, %L, p_body => %L)', 'admin', 'retry_job',
                                    jsonb_build_object('id', job_id::text),
                                    '{"seed": -1, "prompt": "", "what": 1, "reason": 7}')),
          '/prompt /reason /seed /what', 'with fields that are right') from r;
select throws_ok(format('select fixture.call(%L, %L, %L)', 'admin', 'retry_job',
                        jsonb_build_object('id', job ->> 'id')), 'KN001', null,
                 'what has not ended is not tried again') from r;

-- What a person says about a held job -----------------------------------------------------------------------

create temporary table h as select fixture.pay(100) as job_id;
create temporary table hs as select fixture.begin(job_id) as step from h;
select fixture.trouble(step, 'reply', true) from hs \g /dev/null
create function pg_temp.held() returns jsonb language sql
as $$ select j from h, jsonb_array_elements(pg_temp.jobs('{"state": "held"}') -> 'items') j
       where j ->> 'id' = h.job_id::text $$;
create function pg_temp.resolve(p_body text) returns jsonb language sql
as $$ select fixture.call('admin', 'resolve_job', jsonb_build_object('id', job_id::text), p_body => p_body)
        from h $$;
select is(pg_temp.held() -> 'held' ->> 'provider', 'pay',
          'a job whose paid outcome is unknown says with whom');
select is(pg_temp.held() -> 'held' ->> 'resend_after', '2030-01-01T12:01:10.000Z',
          'and until when it may still be answered');
select is(fixture.refusal($$ select pg_temp.resolve('{"action": "resend", "reason": "it was not charged"}') $$) ->> 'code', 'KN014', 'before that it is not sent again');
select fixture.pass('2 minutes') \g /dev/null
select is(pg_temp.held() -> 'held' -> 'resend_after', 'null', 'afterwards it may be');
select is(fixture.bad_fields(format('select pg_temp.resolve(%L)', b)), f, b || ' is refused') from (values
    ('{}', '/action /reason'), ('{"action": "pray", "reason": "x"}', '/action'),
                                                        ('{"action": "fail"}', '/reason'),
                                                            ('{"action": "fail", "reason": "  "}', '/reason'),
    ('{"action": "adopt", "reason": "x"}', '/output'), ('{"action": "adopt", "reason": "x", "output": []}',
                                                        '/output'), ('{"action": "fail", "reason": "x", '
                                                            '"who": "me"}', '/who'),
    ('{"action": 1, "reason": {}}', '/action /reason'),
    ('{"action": "adopt", "reason": "x", "request_id": 7}', '/request_id'),
        ('{"action": "adopt", "reason": "x", "request_id": "r", "output": {"a": 1}}', '/request_id')) v (b,
                                                        f);
savepoint adopt;
select is(pg_temp.resolve('{"action": "adopt", "reason": "their console has it", "request_id": "r-77"}')
          ->> 'state', 'running', 'a request id that the provider''s console shows can be adopted');
select is((c.state, c.provider_request_id)::text, '(accepted,r-77)', 'and is followed')
  from h, fixture.last_call(job_id) c;
rollback to adopt;
select is(pg_temp.resolve('{"action": "resend", "reason": "it was not charged"}') ->> 'state', 'running',
          'with an administrator''s word it goes on');
select is((select r.action || ': ' || r.reason || ', ' || r.actor from kiln.resolution r
             join h using (job_id)), 'resend: it was not charged, account ' || fixture.account('admin'),
          'which is kept, with who said it');
select throws_ok($$ select pg_temp.resolve('{"action": "fail", "reason": "x"}') $$, 'KN001', null,
                 'what is not held is not resolved');

-- The health ------------------------------------------------------------------------------------------------

create function pg_temp.pay() returns jsonb language sql
as $$ select p from jsonb_array_elements(fixture.call('admin', 'list_providers') -> 'items') p
       where p ->> 'name' = 'pay' $$;
select is((select array_agg(p ->> 'name' order by p ->> 'name')
             from jsonb_array_elements(fixture.call('admin', 'list_providers') -> 'items') p),
          (select array_agg(p.name order by p.name) from kiln.provider p), 'every provider is listed');
select is(jsonb_build_array(pg_temp.pay() -> 'health', pg_temp.pay() -> 'until', pg_temp.pay() -> 'why'),
          '["ok", null, null]', 'one that works says so');
select fixture.accepted('health-1') \g /dev/null
select is(pg_temp.pay() -> 'calls', '{"open": 0, "accepted": 1, "unknown": 0, "max": null}',
          'with its calls in work');
select is((pg_temp.pay() -> 'recent' ->> 'replies')::int > 0
          and (pg_temp.pay() -> 'recent' ->> 'p50_ms')::int = 128, true, 'and how it answers');
select fixture.answer(fixture.begin(fixture.pay(100)), 429, '{"error": "slower"}',
                      p_headers => '{"retry-after": "30"}') \g /dev/null
update kiln.provider_limiter g set paused_until = kiln_internal.now() + interval '30 seconds',
       paused_why = 'slower' from kiln.provider p where p.provider_id = g.provider_id and p.name = 'pay';
select is(jsonb_build_array(pg_temp.pay() -> 'health', pg_temp.pay() -> 'until', pg_temp.pay() -> 'why',
                            pg_temp.pay() -> 'recent' -> 'rate_limited'),
          '["paused", "2030-01-01T12:02:30.000Z", "slower", 1]',
          'one that asked for a pause says until when, and why');
update kiln.provider_limiter g set circuit = 'open', open_until = kiln_internal.now() + interval '1 minute'
  from kiln.provider p where p.provider_id = g.provider_id and p.name = 'pay';
select is(jsonb_build_array(pg_temp.pay() -> 'health', pg_temp.pay() -> 'until'),
          '["broken", "2030-01-01T12:03:00.000Z"]', 'one that kept failing');
update kiln.provider set is_enabled = false, max_calls = 3,
       auth = '{"header": "Authorization", "env": "PAY_KEY"}' where name = 'pay';
select is(jsonb_build_array(pg_temp.pay() -> 'health', pg_temp.pay() -> 'calls' -> 'max',
                            pg_temp.pay() -> 'secret'), '["off", 3, {"env": "PAY_KEY", "runners": 0}]',
          'one that is switched off; its limit, and who has its secret');
select kiln_runner.offer_secrets(fixture.runner('{image}'), '{PAY_KEY}') \g /dev/null
select is(pg_temp.pay() -> 'secret' ->> 'runners', '1', 'a runner that has it counts');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

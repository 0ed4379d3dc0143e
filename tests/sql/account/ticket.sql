-- Stream tickets: for what cannot send headers.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
create temporary table t as select fixture.call('ann', 'create_ticket',
                                                p_body => format('{"token_expires_at": %s}',
                                                    extract(epoch from timestamptz '2030-01-01 13:00:00Z')::bigint)) as answer;
select matches(answer ->> 'ticket', '^[0-9a-f]{64}$', 'a ticket is 256 random bits') from t;
select is(answer ->> 'expires_at', '2030-01-01T13:00:00.000Z', 'it ends with the token it was made with')
  from t;
select is((select (u.account_id, to_timestamp(u.expires_at))::text
             from kiln_api.use_ticket(answer ->> 'ticket') u),
          (fixture.account('ann'), '2030-01-01 13:00:00Z'::timestamptz)::text,
          'it opens that account''s streams, until then') from t;
select lives_ok($$ select kiln_api.use_ticket(answer ->> 'ticket')
                     from t $$, 'again and again: a stream reconnects');
select is_empty($$ select from kiln.stream_ticket s, t
                    where s.ticket_hash::text like '%' || (answer ->> 'ticket') || '%' $$,
                'the database keeps its hash only');
select throws_ok($$ select kiln_api.use_ticket(repeat('0', 64)) $$, 'KN008', null,
                 'an invented one opens nothing');
select throws_ok($$ select kiln_api.use_ticket(null) $$, 'KN008', null, 'nor none');
select is(kiln_api.act_as(json_build_object('ticket', answer ->> 'ticket', 'request_id', 'r')::text),
          fixture.account('ann'), 'who opened a stream with it acts as that account') from t;
select is(kiln_internal.acts_as_admin(), false, 'and as no administrator');
select is(fixture.refusal($$ select kiln_api.act_as(jsonb_build_object('ticket',
    kiln_internal.make_ticket(fixture.account('ann'), 'infinity') ->> 'ticket',
                                                                       'function', 'create_message')::text)
    from (select set_config('kiln.scopes', '{read,account}', true)) s $$) ->> 'code', 'KN004',
          'a ticket gives no more than its maker had');
select set_config('kiln.scopes', '', true) \g /dev/null
select throws_ok($$ select kiln_api.act_as('{"ticket": "x", "sub": "bob"}') $$, 'KN008', null,
                 'a ticket that is none is not made good by a subject');
set role kiln_owner; update kiln.account set is_suspended = true
                      where account_id = fixture.account('ann'); reset role;
select throws_ok($$ select kiln_api.use_ticket(answer ->> 'ticket')
                      from t $$, 'KN008', null, 'nor that of a suspended account');
set role kiln_owner; update kiln.account set is_suspended = false where deleted_at is null; reset role;
select fixture.set_now('2030-01-01 13:00:00Z') \g /dev/null
select throws_ok($$ select kiln_api.use_ticket(answer ->> 'ticket')
                      from t $$, 'KN008', null, 'nor an expired one');
select is(fixture.call('ann', 'create_ticket', p_body => '{}') ->> 'expires_at', '2030-01-02T13:00:00.000Z',
          'no ticket lives longer than kiln.config.stream_ticket_ttl');
select throws_ok($$ select fixture.call(null, 'create_ticket', p_body => '{}') $$, 'KN009', null,
                 'without an account there is no ticket');
select is(kiln_api.open_stream(fixture.act_as('bob')), fixture.account('bob'),
          'with a token a stream needs none');
select throws_ok($$ select kiln_api.open_stream(kiln_api.act_as('{}')) $$, 'KN009', null,
                 'without either there is no stream');
select finish();
rollback;

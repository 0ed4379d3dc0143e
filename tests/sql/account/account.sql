-- Accounts: signing in, ways in, profile, leaving, operators, rates.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00.4Z') \g /dev/null

create function pg_temp.enter(p_digit text) returns jsonb language sql as $$
    select fixture.call(null, 'sign_in',
                        p_body => json_build_object('address', '0x' || repeat(p_digit, 40),
                                                    'nonce', fixture.call(null,
                                                        'create_nonce') ->> 'nonce')::text)
$$;

-- Signing in ------------------------------------------------------------------------------------------------

create temporary table n as select fixture.call(null, 'create_nonce') ->> 'nonce' as nonce;
create temporary table e as select fixture.call(null, 'sign_in',
                                                p_body => json_build_object('address', '0x'
                                                        || repeat('a', 40), 'nonce', nonce)::text) as answer
                              from n;
select is(answer -> 'claims' ->> 'sub', '0x' || repeat('a', 40),
          'who signs in with a wallet gets a token about its address') from e;
select is((answer -> 'claims' ->> 'exp')::bigint - ceil((answer -> 'claims' ->> 'iat')::numeric)::bigint,
          86400::bigint, 'for a day') from e;
select is((answer -> 'claims' ->> 'iat')::numeric, 1893499200.4,
          'that says to the microsecond when it was issued') from e;
select is((select a.role::text from kiln.account a
            where a.account_id = (answer -> 'account' ->> 'id')::bigint), 'user',
          'of an account that was made') from e;
select is(fixture.bad_fields(format('select fixture.call(null, ''sign_in'', p_body => %L)',
                                    json_build_object('address', '0x' || repeat('a', 40),
                                                      'nonce', nonce)::text)), '/message',
          'a nonce is taken once') from n;
select fixture.set_now('2030-01-01 12:10:00.4Z') \g /dev/null
select is((select count(*)::int from kiln.nonce
            where nonce_hash = sha256(convert_to((select nonce from n), 'UTF8'))), 0, 'and is gone then');
select is(pg_temp.enter('a') -> 'account' ->> 'id', answer -> 'account' ->> 'id',
          'the same wallet is the same account') from e;
select throws_ok($$ select kiln_internal.sign_in('0xABC', kiln_internal.make_nonce() ->> 'nonce') $$, '23514',
                 null, 'what is no address in lower case cannot be stored');

-- Ways in ---------------------------------------------------------------------------------------------------

create function pg_temp.me(p_context jsonb, p_function text, p_path jsonb default '{}',
                           p_body text default null) returns jsonb language plpgsql as $$
declare v_answer json;
begin
    perform set_config('role', 'kiln_server', true);
    execute format('select kiln_api.%I(kiln_api.act_as($1), $2, ''{}'', $3)',
                   p_function) into v_answer using p_context::text, p_path, p_body;
    perform set_config('role', 'none', true);
    return v_answer;
exception when others then
    return jsonb_build_object('refused', sqlstate, 'message', sqlerrm);
end $$;
create function pg_temp.wallet(p_digit text, p_iat numeric default null) returns jsonb language sql as $$
    select jsonb_build_object('iss', 'urn:kiln:wallet', 'sub', '0x' || repeat(p_digit, 40),
                              'iat', coalesce(p_iat, floor(extract(epoch from kiln_internal.now()))))
$$;
select is(pg_temp.me(pg_temp.wallet('a'), 'get_me') ->> 'id', answer -> 'account' ->> 'id',
          'the token is the account''s') from e;
-- A stable function did not see the account that its own statement had made: the very first GET /me was a
-- profile of nulls.
select isnt(pg_temp.me('{"sub": "first call"}', 'get_me') ->> 'id', null,
            'who calls for the first time is told who it is');
select is(jsonb_array_length(pg_temp.me('{"sub": "first call, another"}', 'list_identities') -> 'items'), 1,
          'and how it came');
select isnt(pg_temp.me('{"sub": "first call, a third"}', 'export_me') -> 'account' ->> 'id', null,
            'and what there is of it');
select is(pg_temp.me(pg_temp.wallet('a'), 'delete_identity',
                     jsonb_build_object('id', pg_temp.me(pg_temp.wallet('a'),
                                                         'list_identities') -> 'items' -> 0 ->> 'id'))
          ->> 'refused', 'KN001', 'the last way in stays');
select is(pg_temp.me(pg_temp.wallet('a'), 'create_identity',
                     p_body => '{"iss": null, "sub": "ann", "iat": 1}') ->> 'refused', 'KN001',
          'an identity of another account is not taken over');
select is(pg_temp.me(pg_temp.wallet('a'), 'create_identity',
                     p_body => '{"iss": null, "sub": "new one", "iat": 1}') ->> 'kind', 'token',
          'one that has none is linked');
select is(pg_temp.me(pg_temp.wallet('a'), 'create_identity',
                     p_body => '{"iss": null, "sub": "new one", "iat": 1}') ->> 'subject', 'new one',
          'again is no harm');
select is(jsonb_array_length(pg_temp.me('{"sub": "new one", "iat": 1}', 'list_identities') -> 'items'), 2,
          'and leads to it');
select is((select (p -> 'items' -> 0 ->> 'subject') || ' ' || (n -> 'items' -> 0 ->> 'issuer') || ' '
                  || coalesce(n ->> 'next_cursor', 'end')
             from (select kiln_api.list_identities(kiln_api.act_as('{"sub": "new one", "iat": 1}'), '{}',
                                                   '{"limit": "1"}', null)::jsonb as p) x,
          lateral (select kiln_api.list_identities(kiln_api.act_as('{"sub": "new one", "iat": 1}'), '{}',
                                                   jsonb_build_object('limit', '1',
                                                                      'cursor', p ->> 'next_cursor'),
                                                   null)::jsonb as n) y),
          'new one urn:kiln:wallet end', 'the ways in are read a page at a time, like every list');
select throws_ok(format('select kiln_api.list_identities(kiln_api.act_as(%L), %L, %L, null)',
                        '{"sub": "new one", "iat": 1}', '{}', q), 'KN006', null, 'refused: ' || q)
  from unnest(array['{"limit": "0"}', '{"limit": "101"}', '{"cursor": "LTU"}', '{"cursor": "x!"}']) q;
create temporary table link as select json_build_object('address', '0x' || repeat('f', 40),
                                                        'nonce', fixture.call(null,
                                                            'create_nonce') ->> 'nonce')::text as body;
create function pg_temp.link_once() returns jsonb language sql as $$
    select pg_temp.me('{"sub": "bob", "idempotency_key": "once"}', 'create_identity', p_body => body)
      from link $$;
select is(pg_temp.link_once() ->> 'kind', 'wallet', 'a wallet is linked');
select is(pg_temp.link_once() ->> 'subject', '0x' || repeat('f', 40),
          'a repeat under its Idempotency-Key is answered alike, though the nonce is used up');
select is(pg_temp.me('{"sub": "bob"}', 'delete_identity',
                     jsonb_build_object('id', (select identity_id::text from kiln.identity
                                                where subject = '0x' || repeat('f', 40)))), null,
          'unlinked again,');
select is(pg_temp.link_once() ->> 'refused', 'KN002', 'the repeat does not pretend that it still is');
select is(pg_temp.me('{"sub": "ann"}', 'delete_identity',
                     jsonb_build_object('id', (select identity_id::text from kiln.identity
                                                where subject = 'new one'))) ->> 'refused', 'KN002',
          'nobody unlinks another''s');
select is(pg_temp.me(pg_temp.wallet('a'), 'delete_identity',
                     jsonb_build_object('id', (select identity_id::text from kiln.identity
                                                where subject = 'new one'))), null, 'its owner does');
select is(pg_temp.me('{"sub": "new one", "iat": 1}', 'get_me') ->> 'refused', 'KN009',
          'whose old tokens then open nothing, and make no account');
select isnt(pg_temp.me(jsonb_build_object('sub', 'new one',
                                          'iat', extract(epoch from kiln_internal.now())::bigint + 1),
                       'get_me') ->> 'id', answer -> 'account' ->> 'id', 'and a new one begins anew') from e;
select ok(exists (select from kiln.event where account_id = (answer -> 'account' ->> 'id')::bigint
                     and type = 'session.ended'), 'its streams are told') from e;

-- Signing out -----------------------------------------------------------------------------------------------

select ok(pg_temp.me(pg_temp.wallet('a'), 'sign_out_everywhere') ? 'signed_out_at',
          'one signs out everywhere');
select is(pg_temp.me(pg_temp.wallet('a'), 'get_me') ->> 'refused', 'KN009', 'tokens from before are refused');
select is(pg_temp.me(pg_temp.wallet('a', 0), 'get_me') ->> 'refused', 'KN009',
          'those that do not say when they were issued too');
select is(pg_temp.me(pg_temp.wallet('a', (pg_temp.enter('a') -> 'claims' ->> 'iat')::numeric),
                     'get_me') ->> 'id', answer -> 'account' ->> 'id',
          'one that is made in the same second is not') from e;

-- A token whose account ended made a new account, if it had been issued in the same second after signing out
-- everywhere: its `iat` was the next whole second, and the end came before that.
select fixture.set_now('2031-01-01 00:00:00.3+00') \g /dev/null
select pg_temp.enter('d') \g /dev/null
select pg_temp.me(pg_temp.wallet('d'), 'sign_out_everywhere') \g /dev/null
select fixture.pass('0.1 seconds') \g /dev/null
create temporary table d as select (pg_temp.enter('d') -> 'claims' ->> 'iat')::numeric as iat;
select is(pg_temp.me(pg_temp.wallet('d', iat), 'get_me') ? 'id', true,
          'one signs in again in the same second') from d;
select fixture.pass('0.1 seconds') \g /dev/null
select is(pg_temp.me(pg_temp.wallet('d', iat), 'delete_me'), null, 'and leaves at once') from d;
select is(pg_temp.me(pg_temp.wallet('d', iat), 'get_me') ->> 'refused', 'KN009',
          'its token makes no new account') from d;
select fixture.set_now('2031-01-01 00:00:00+00') \g /dev/null
create temporary table d2 as select (pg_temp.enter('d') -> 'claims' ->> 'iat')::numeric as iat;
select pg_temp.me(pg_temp.wallet('d', iat), 'sign_out_everywhere') from d2 \g /dev/null
select is(pg_temp.me(pg_temp.wallet('d', iat), 'get_me') ->> 'refused', 'KN009',
          'nor does a clock that was set back keep a token alive') from d2;
select is(pg_temp.me(pg_temp.wallet('d', (pg_temp.enter('d') -> 'claims' ->> 'iat')::numeric),
                     'get_me') ? 'id', true, 'a later sign-in works all the same');
select fixture.set_now('2030-01-01 12:10:00.4Z') \g /dev/null

-- The profile -----------------------------------------------------------------------------------------------

select is(fixture.bad_fields(format('select fixture.call(''ann'', ''update_me'', p_body => %L)',
                                    jsonb_build_object('handle', h))), '/handle', h || ' is reserved')
  from unnest('{admin,admin1,_admin_,support,kiln,kiln_support,the_moderator,staff2,official_ann,no_reply,'
              'system}'::text[]) h;
select is(fixture.call('ann', 'update_me', p_body => jsonb_build_object('handle', h)::text) ->> 'handle', h,
          h || ' is not')
  from unnest('{badminton,kilnfire,supporter,me_and_you,helpful,test_ann}'::text[]) h;
select is(fixture.call('admin', 'update_me', p_body => '{"handle": "kiln_support"}') ->> 'handle',
          'kiln_support', 'an administrator may take one');
select is(fixture.bad_fields(format('select fixture.call(''ann'', %L, p_body => %L)', f,
                                    jsonb_build_object(m, n) || b)), '/' || m,
          format('%s takes no name such as %s', f, to_json(n)))
  from (values ('update_me', 'display_name', '{}'), ('create_project', 'name', '{}'),
        ('create_api_key', 'name', '{"scopes":["read"]}'),
               ('create_conversation', 'title',
                jsonb_build_object('members', jsonb_build_array(fixture.account('bob')::text)))) v (f, m, b),
       unnest(array[E'\u200b', E'\u3164\u2800', E'\u00a0', E'\ufeff ', E'\u00ad\u2060', E'abc\u202egnp',
                    E'a\u2028b', E'a\u0085b', E'\U000e0041']) n;
select is(fixture.call('ann', 'update_me',
                       p_body => jsonb_build_object('display_name', n)::text) ->> 'display_name', n,
          format('%s is a name', to_json(n)))
  from unnest(array['Zoë', '王小明', 'علي', E'\U0001f469\u200d\U0001f680', E'क्\u200dष', 'O''Neil-2']) n;
select is(fixture.bad_fields(format('select fixture.call(''admin'', ''announce'', p_body => %L)',
                                    jsonb_build_object('all', true, 'text', 'x', 'link', l))), '/link',
          l || ' is no link')
  from unnest(array['//host', '/\host', E'/\t/host', E'/\n/host', 'https:host', 'https://', 'https:///x',
                    'https://user@host/', 'http://host/', 'javascript:alert(1)', '', ' /x', '\/host',
                    'https://a\@b/']) l;
select isnt(fixture.call('admin', 'announce',
                         p_body => jsonb_build_object('account_id', fixture.account('bob')::text, 'text', 'x',
                                                      'link', l)::text) ->> 'id', null, l || ' is one')
  from unnest(array['/', '/dashboard?a=//b', 'https://status.example.com', 'https://status.example.com/x#y',
                    'https://[2001:db8::1]:8443/x']) l;

select is(fixture.bad_fields(format('select fixture.call(''ann'', ''update_me'', p_body => %L)', body)),
          field, body || ' is refused for ' || field)
  from (values ('{"handle": "No"}', '/handle'), ('{"handle": "test_bob"}', '/handle'),
        ('{"display_name": " "}', '/display_name'), ('{"email": "x"}', '/email'),
        ('{"notify_email": true}', '/notify_email'),
               ('{"role": "admin"}', '/role'), ('{"email": 5, "handle": 5}', '/email /handle'),
        ('{"is_suspended": false}', '/is_suspended'), ('[]', 'KN006')) v (body, field);
select is(fixture.call('ann', 'update_me',
                       p_body => '{"email": "a@b.c", "notify_email": true, "display_name": "Ann"}')
          ->> 'email', 'a@b.c', 'what is right is kept');
select is(fixture.call('ann', 'update_me', p_body => '{"display_name": null}') ->> 'display_name', null,
          'null empties');
select is(fixture.call('ann', 'get_me') ->> 'email', 'a@b.c', 'and leaves the rest');

-- Operators -------------------------------------------------------------------------------------------------

create temporary table a as select fixture.account('ann')::text as ann, fixture.account('bob')::text as bob;
select is(pg_temp.me('{"sub": "bob"}', f, jsonb_build_object('id', ann),
                     '{"role": "admin", "amount": 1, "reason": "x"}') ->> 'refused', 'KN004',
          f || ' is not for users')
  from a, unnest('{list_accounts,set_account_role,suspend_account,unsuspend_account,grant_account}'::text[]) f;
select is((select string_agg(i ->> 'id', ' ')
             from jsonb_array_elements(fixture.call('admin', 'list_accounts',
                                                    p_query => jsonb_build_object('q', q)) -> 'items') i),
          ann, 'an account is found by ' || q)
  from a, lateral (values (ann), ('test_an'), ('A@b.'), ('ann')) v (q);
select is(fixture.call('admin', 'list_accounts', p_query => '{"q": "nobody at all"}') -> 'items', '[]',
          'and nobody by nothing');
select is(fixture.call('admin', 'grant_account', jsonb_build_object('id', ann),
                       p_body => '{"amount": 700, "reason": "sorry"}',
                       p_key => 'k') -> 'balance' ->> 'amount', '700', 'a grant is in the balance') from a;
select is(fixture.call('admin', 'grant_account', jsonb_build_object('id', ann),
                       p_body => '{"amount": 700, "reason": "sorry"}',
                       p_key => 'k') -> 'balance' ->> 'amount', '700', 'once a key') from a;
select is((select (kind, reason, made_by)::text from kiln.account_act
            where account_id = ann::bigint), format('(grant,sorry,%s)', fixture.account('admin')),
          'who gave it and why is written down') from a;
select throws_ok('delete from kiln.account_act', 'KN001', null, 'and stays so');
select is(fixture.call('admin', 'suspend_account', jsonb_build_object('id', ann),
                       p_body => '{}') ->> 'is_suspended', 'true', 'an account is suspended') from a;
select is(pg_temp.me('{"sub": "ann"}', 'get_me') ->> 'refused', 'KN009', 'refused at its next call');
select is(fixture.call('admin', 'unsuspend_account', jsonb_build_object('id', ann),
                       p_body => '{}') ->> 'is_suspended', 'false', 'and let in again') from a;
select is(pg_temp.me('{"sub": "admin", "role": "admin"}', 'suspend_account',
                     jsonb_build_object('id', fixture.account('admin')), '{}') ->> 'refused', 'KN001',
          'nobody locks himself out');
select is(pg_temp.me('{"sub": "admin", "role": "admin"}', 'set_account_role',
                     jsonb_build_object('id', fixture.account('admin')), '{"role": "user"}') ->> 'refused',
          'KN001', 'and nobody takes his own role away, which may be the last one''s');
select is(pg_temp.me('{"sub": "admin", "role": "admin"}', 'set_account_role',
                     jsonb_build_object('id', fixture.account('admin')), '{"role": "admin"}') ->> 'role',
          'admin', 'though he may give it to himself: a token''s role becomes the account''s');
-- The last administrator was anybody's whose token said so, and two who did it to each other left none
-- (behaviour/account_races.sql).
select kiln_internal.operator_account() \g /dev/null
set role kiln_owner;
update kiln.account set role = 'user' where role = 'admin'
   and account_id not in ((select i.account_id from kiln.identity i
                            where i.issuer = '' and i.subject = 'admin'), kiln_internal.operator_account());
reset role;
create function pg_temp.root(p_function text, p_sub text, p_body text default '{}') returns text language sql
as $$
    select coalesce(pg_temp.me('{"sub": "root", "role": "admin"}', p_function,
                               jsonb_build_object('id', fixture.account(p_sub)), p_body) ->> 'refused',
                    'well') $$;
select is(pg_temp.root(f, 'admin', b), 'KN001', f
          || ' leaves the last administrator; the operator''s account, with which nobody signs in, is none')
  from (values ('set_account_role', '{"role": "user"}'), ('suspend_account', '{}')) v (f, b);
select is(pg_temp.root('suspend_account', 'bob') || ' ' || pg_temp.root('unsuspend_account', 'bob'),
          'well well', 'who is none is suspended as ever');
select is(pg_temp.root('set_account_role', 'bob', '{"role": "admin"}') || ' '
          || pg_temp.root('set_account_role', 'admin', '{"role": "user"}'), 'well well',
          'where there is another one it goes');
select is(pg_temp.root('set_account_role', 'bob', '{"role": "user"}'), 'KN001', 'who is then the last');
select set_config('kiln.account_id', '', true), set_config('kiln.role', '', true) \g /dev/null
select lives_ok(format('select kiln.set_role(%s, %L)', fixture.account('bob'), 'user'),
                'in psql, where the next can be made, the last can be taken');
select kiln.set_role(fixture.account('admin'), 'admin') \g /dev/null
-- A token that is signed well, but whose subject no wallet can be, was an internal error: the constraint said
-- no, not the function.
select is(pg_temp.me(jsonb_build_object('iss', 'urn:kiln:wallet', 'sub', s, 'iat', 4000000000),
                     'get_me') ->> 'refused', 'KN009', 'no wallet: ' || s)
  from unnest('{z11,0xAB,0xABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD}'::text[]) s;
select is(pg_temp.me('{"sub": "ann"}', 'create_identity',
                     p_body => '{"iss": "urn:kiln:wallet", "sub": "z11", "iat": 4000000000}') ->> 'refused',
          'KN003', 'nor is it linked');
select is(kiln.make_admin('0x' || repeat('A', 40)), (answer -> 'account' ->> 'id')::bigint,
          'in psql the first administrator is made of a wallet') from e;
select ok(pg_temp.me(pg_temp.wallet('a', 4000000000), 'list_accounts') ? 'items',
          'whose token, which names no role, has the account''s');
select is(pg_temp.me(pg_temp.wallet('a', 4000000000) || '{"role": "user"}', 'list_accounts') ->> 'refused',
          'KN004', 'one that names a lesser role has that');
select ok(kiln.make_admin('auth0|1', 'https://x.auth0.com/') > 0,
          'or of a subject that has not been here yet');
select is((select (name, role, state)::text from kiln.users
            where account = fixture.account('ann')), '(test_ann,user,active)',
          'kiln.users shows who there is');

-- Rates -----------------------------------------------------------------------------------------------------

update kiln.config set writes_per_minute = 60, writes_burst = 3;
create function pg_temp.writes() returns text language sql
as $$ select coalesce(pg_temp.me('{"sub": "bob", "writes": true, "request_id": "r"}', 'get_me') ->> 'refused',
                      'ok') $$;
select is((select string_agg(pg_temp.writes(), ' ')
             from generate_series(1, 5)), 'ok ok ok KN007 KN007', 'a burst, and no more');
select is(pg_temp.me('{"sub": "bob"}', 'get_me') ->> 'refused', null, 'reads are free');
select fixture.pass('2 seconds') \g /dev/null
select is((select string_agg(pg_temp.writes(), ' ')
             from generate_series(1, 3)), 'ok ok KN007', 'after two steps two more');
select is(fixture.refusal($$ set local role kiln_owner; select kiln_internal.spend_rate(fixture.account('bob'), 'write') $$) ->> 'detail', '{"retry_after" : 1}', 'and when to come again is said');
select is(current_setting('application_name'), 'kiln-server write r',
          'who waits in the database names the request');
update kiln.config set writes_per_minute = null;
select is((select string_agg(pg_temp.writes(), ' ')
             from generate_series(1, 5)), 'ok ok ok ok ok', 'where there is no limit there is none');

-- Leaving ---------------------------------------------------------------------------------------------------

select fixture.job_in(s::kiln.job_state, 'bob')
  from unnest('{queued,running,held,completed,failed}'::text[]) s \g /dev/null
select fixture.media('bob') \g /dev/null
select is(jsonb_array_length(fixture.call('bob', 'export_me') -> 'sections' -> 'generations' -> 'items'), 5,
          'all that is one''s own is exported');
-- "All that is the account's" left out what it had published, whom it had let in and whom it had shut out.
select fixture.call('bob', 'create_api_key', p_body => '{"name": "mine", "scopes": ["read"]}'),
       fixture.call('bob', 'create_webhook_endpoint',
                    p_body => '{"url": "https://example.com/bob", "types": ["job.completed"]}'),
       fixture.call('bob', 'create_block',
                    p_body => json_build_object('account_id',
                                                fixture.account('ann')::text)::text) \g /dev/null
insert into kiln.share (account_id, job_id, token_hash, originals)
select fixture.account('bob'), max(j.job_id), sha256('bob'), '[]' from kiln.job j
 where j.account_id = fixture.account('bob');
select is((select string_agg(format('%s %s', s,
                                    fixture.call('bob', 'export_me',
                                                 p_query => jsonb_build_object('section', s))
                                    #>> array['sections', s, 'items', '0', f]), ', ' order by s)
             from (values ('api_keys', 'name'), ('webhook_endpoints', 'url'), ('blocks', 'id'),
                   ('shares', 'job_id')) v (s, f)),
          format('api_keys mine, blocks %s, shares %s, webhook_endpoints https://example.com/bob',
                 fixture.account('ann'), (select max(j.job_id) from kiln.job j
                                           where j.account_id = fixture.account('bob'))),
          'keys, endpoints, shares and blocks too');
-- And so did it leave out where it takes part, and the links it had made.
select fixture.call('bob', 'create_conversation',
                    p_body => '{"members": [], "title": "left"}') ->> 'id' as left_one,
       fixture.call('bob', 'create_conversation',
                    p_body => '{"members": [], "title": "Us"}') ->> 'id' as club \gset
select fixture.call('bob', 'remove_member', jsonb_build_object('id', :'left_one')),
       fixture.call('bob', 'create_invite',
                    p_body => format('{"conversation_id": "%s"}', :'club')) \g /dev/null
select is(jsonb_path_query_array(fixture.call('bob', 'export_me'), '$.sections.conversations.items[*].title'),
          '["Us", "left"]', 'conversations that one is or was in are exported');
select is((fixture.call('bob', 'export_me') #> '{sections,conversations,items,0}') - 'joined_at'::text,
          jsonb_build_object('id', :'club', 'is_group', true, 'title', 'Us', 'has_left', false,
                             'read_number', 0), 'as memberships');
select is(fixture.call('bob', 'export_me',
                       p_query => '{"section": "invites"}') #>> '{sections,invites,items,0,conversation_id}',
          :'club', 'and invitations');
select ok(fixture.call('bob', 'export_me')::text !~ '"(secret|key|token|[a-z]+_hash)" *:', 'but no secret');
select is((select string_agg(k, ' ' order by k)
             from jsonb_object_keys(fixture.call('bob', 'export_me') -> 'sections') k),
          'api_keys blocks conversations generations invites ledger media messages notifications projects '
          'shares webhook_endpoints', 'all of it in one answer');
select is(fixture.bad_fields($$ select fixture.call('bob', 'export_me',
                                                    p_query => '{"section": "secrets"}') $$), 'KN006',
          'by its sections');
update kiln.account set email = 'b@b.b' where account_id = fixture.account('bob');
create temporary table gone as select fixture.account('bob') as bob;
select is(fixture.call('bob', 'delete_me'), null, 'an account is deleted');
select is((select (handle, email, is_suspended, deleted_at is not null, purged_at)::text
             from kiln.account, gone where account_id = bob), '(,,t,t,)',
          'nothing of the person is left in its row');
select is((select count(*)::int from kiln.identity, gone where account_id = bob), 0, 'no way leads to it');
select is(pg_temp.me('{"sub": "bob", "iat": 1}', 'get_me') ->> 'refused', 'KN009',
          'no token of before opens anything');
select is((select string_agg(state::text, ' ') from kiln.job, gone
            where account_id = bob), 'cancelling',
          'what a runner has is cancelled and waited for; the rest is gone');
select is((select count(*)::int from kiln.media, gone
            where account_id = bob), 0, 'so are the files, which the trash has');
select is(kiln_internal.purge_account(bob, 100), false, 'as long as it runs the account is not clear')
  from gone;
select throws_ok(format('select kiln_internal.purge_account(%s, 1)', fixture.account('ann')), 'KN001', null,
                 'who was not deleted is not cleared');

-- A batch of what cannot go yet, for up to a day, kept all that came after it: always the lowest ids were
-- tried.
create function pg_temp.leave(p_sub text) returns bigint language sql set role = kiln_owner as $$
    update kiln.account set is_suspended = true, deleted_at = kiln_internal.now(), handle = null
     where account_id = fixture.account(p_sub) returning account_id $$;
select fixture.act_as('cat'), fixture.act_as('dan') \g /dev/null
create temporary table cats as select fixture.job_in('running', 'cat') as runs,
                                      fixture.accepted(account => 'cat') as asks,
                                      fixture.job_in('completed', 'cat') as done,
                                      fixture.job_in('queued', 'cat') as waits;
select pg_temp.leave('cat') as cat, pg_temp.leave('dan') as dan \gset
select kiln_internal.purge_account(:cat, 1) from generate_series(1, 4) \g /dev/null
select is((select array_agg(j.job_id order by j.job_id) from kiln.job j
            where j.account_id = :cat), array[runs, asks],
          'behind a job that its runner has, and one that its provider has, the others go') from cats;
select is((select string_agg(j.state::text, ' ' order by j.job_id) from kiln.job j
            where j.account_id = :cat), 'cancelling cancelled', 'and those two are cancelled');
select fixture.fail(runs, 'cancelled'), fixture.poll(asks, 200, '{"status": "cancelled"}')
  from cats \g /dev/null
select is(fixture.calls(asks), 'cancelled', 'when the provider has said what it took') from cats;
select kiln_internal.purge_account(:cat, 1) \g /dev/null
select is(kiln_internal.purge_account(:cat, 1), true, 'they go too');
select fixture.act_as('eve') \g /dev/null
select fixture.job_in('running', 'eve') \g /dev/null
select kiln.delete_account(fixture.account('eve')) \g /dev/null
select kiln_internal.purge_accounts(1) from generate_series(1, 60) \g /dev/null
select isnt((select a.purged_at from kiln.account a
              where a.account_id = :dan), null, 'nor does an account wait for those before it');
select finish();
rollback;

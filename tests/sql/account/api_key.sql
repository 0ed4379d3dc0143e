-- API keys: shown once, kept as a hash, refused at once when revoked; and scopes, which no function can
-- forget.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

-- A call with a key as the server makes it, in a transaction of its own that comes back undone: a `read` key
-- makes it read-only.
create function pg_temp.with_key(p_key text, p_function text, p_path jsonb default '{}',
                                 p_body text default null) returns text language plpgsql as $$
declare
    v_answer text;
    v_code   text;
    v_said   text;
begin
    perform set_config('role', 'kiln_server', true);
    execute format('select kiln_api.%I(kiln_api.act_as($1), $2, ''{}'', $3)', p_function)
       into v_answer using jsonb_build_object('key', encode(sha256(convert_to(p_key, 'UTF8')), 'hex'),
                                              'function', p_function, 'request_id', 'test')::text, p_path,
        p_body;
    raise exception 'undo' using errcode = 'KN999', detail = coalesce(v_answer, '');
exception when others then
    get stacked diagnostics v_code = returned_sqlstate, v_said = pg_exception_detail;
    perform set_config('role', 'none', true);
    return case v_code when 'KN999' then v_said else v_code end;
end $$;
create function pg_temp.make(p_sub text, p_scopes text, p_more jsonb default '{}') returns text
language sql as
$$ select fixture.call(p_sub, 'create_api_key', '{}', '{}',
                       (jsonb_build_object('name', 'test', 'scopes', to_jsonb(p_scopes::text[]))
                        || p_more)::text) ->> 'key' $$;

create temporary table k as select pg_temp.make('ann', '{read}') as reads,
                                   pg_temp.make('ann', '{read,generate}') as makes,
                                   pg_temp.make('ann', '{account}') as accounts,
       pg_temp.make('admin', '{read,admin}') as admins, pg_temp.make('admin', '{read}') as admin_reads,
                                   pg_temp.make('bob', '{chat}') as chats;
create temporary table j as select fixture.job_in('running', 'ann') as anns,
                                   fixture.job_in('running', 'bob') as bobs;

-- Making ----------------------------------------------------------------------------------------------------

select matches(reads, '^kiln_[0-9a-f]{72}$', 'a key says whose kind it is') from k;
select is(right(reads, 8), left(encode(sha256(convert_to(left(reads, 69), 'UTF8')), 'hex'), 8),
          'and ends with a checksum') from k;
select is_empty($$ select a from k, kiln.api_key a
                    where a::text like '%' || right(reads, 40) || '%'
                       or a::text like '%' || encode(convert_to(reads, 'UTF8'), 'hex') || '%' $$,
                'the database does not keep it');
select is(fixture.call('ann', 'list_api_keys') #> '{items,0}' ? 'key', false, 'nor is it shown again');
select is(jsonb_array_length(fixture.call('ann', 'list_api_keys') -> 'items'), 3, 'a list shows one''s own');
select is(fixture.call('bob', 'list_api_keys') #>> '{items,0,scopes}', '["chat"]', 'and no other''s');
select is(jsonb_array_length(fixture.call('admin', 'list_api_keys') -> 'items'), 2, 'an admin''s too');
select throws_ok(format('select fixture.call(''ann'', ''create_api_key'', ''{}'', ''{}'', %L)', b), 'KN003',
                 null, 'refused: ' || b) from unnest(array[
    '{"name":"x"}', '{"name":"x","scopes":[]}', '{"name":"x","scopes":"read"}',
                                                        '{"name":"x","scopes":["root"]}',
                                                            '{"name":"x","scopes":[null]}',
                                                                '{"name":"","scopes":["read"]}',
    '{"scopes":["read"]}', '{"name":"a\nb","scopes":["read"]}', '{"name":"x","scopes":["admin"]}',
                                         '{"name":"x","scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"}',
    '{"name":"x","scopes":["read"],"expires_at":"tomorrow"}', '{"name":"x","scopes":["read"],"expires_at":1}',
        '{"name":"x","scopes":["read"],"expires_at":"2031-01-01T00:00:00+25:00"}',
                                                        '{"name":"x","scopes":["read"],"more":1}']) b;
select lives_ok($$ select fixture.call('bob', 'create_api_key', '{}', '{}',
                                       '{"name":"once","scopes":["read"]}', 'k-1') $$,
                'with an Idempotency-Key one is made');
select is(fixture.refusal($$ select fixture.call('bob', 'create_api_key', '{}', '{}',
                                                 '{"name":"once","scopes":["read"]}', 'k-1') $$) ->> 'code',
          'KN015', 'and its repeat has nothing to show');
select is((select count(*)::int from kiln.api_key where name = 'once'), 1, 'nor makes another');

-- Using -----------------------------------------------------------------------------------------------------

select is(pg_temp.with_key(reads, 'get_generation', jsonb_build_object('id', anns::text))::jsonb ->> 'id',
          anns::text, 'a key sees what is its account''s') from k, j;
select is(pg_temp.with_key(reads, 'get_generation', jsonb_build_object('id', bobs::text)), 'KN002',
          'and nothing else') from k, j;
select is(pg_temp.with_key(admin_reads, 'get_generation', jsonb_build_object('id', bobs::text)), 'KN002',
          'an admin''s without the scope admin neither') from k, j;
select is(pg_temp.with_key(admins, 'list_jobs')::jsonb ? 'items', true, 'with it, administration is open')
  from k;
select is(pg_temp.with_key(x, 'list_jobs'), 'KN004', 'to no other key')
  from k, unnest(array[reads, makes, accounts, admin_reads, chats]) x;
select is(pg_temp.with_key('kiln_' || repeat('0', 72), 'list_generations'), 'KN009',
          'an unknown key is refused');
select is(pg_temp.with_key(accounts, 'create_api_key', '{}', '{"name":"x","scopes":["generate"]}'), 'KN003',
          'a key makes none that may more than itself') from k;
select is(pg_temp.with_key(accounts, 'create_api_key', '{}',
                           '{"name":"x","scopes":["account"]}')::jsonb ? 'key', true, 'but its equal') from k;

-- Each function of a scope, by keys of each scope: right where it is its own, KN004 where not.
create temporary table f as select p.proname::text as name, kiln_internal.scopes_of(p.proname) as scopes
                              from pg_proc p where p.pronamespace = 'kiln_api'::regnamespace;
create temporary table s as select sc, pg_temp.make('admin', format('{%s}', sc)) as key
                              from unnest(enum_range(null::kiln.scope)) sc;
select bag_eq($$ select name from f where scopes is null $$, $$ select n
    from unnest('{act_as,use_ticket,bus_head,bus_read,bus_replay,watch_replay,ready,metrics,begin_upload,finish_upload,extend_upload_session,end_upload_session,open_media,open_share,unsubscribe,confirm_email,receive_webhook,webhook_keys,
    register_instance,beat_instance,end_instance,report_audience,prove_bus,answer_ping,
    create_nonce,sign_in,create_identity,delete_identity,delete_me,sign_out_everywhere}'::text[]) n where n in (select name from f) $$,
    'each function has its scope, but those without an actor and those for which a person signs in: a new '
    'one wants its line in kiln_internal.scopes_of()');
select is_empty($$ select sc, name from s, f, pg_temp.with_key(key, name, '{"id":"1"}') said
                    where exists (select from pg_proc where proname = name
                                     and pronamespace = 'kiln_api'::regnamespace
                                     and proargnames[1] = 'p_actor' and pronargs = 4)
                      and (said = 'KN004') is distinct from (scopes is distinct from array[sc]) $$,
                          'a key''s scope opens what is of that scope alone and nothing else');
-- One scope is no side door into what another guards: `account` alone exported all messages, and had them
-- sent to a webhook of its own; `generate` alone made a public page of any job.
create temporary table d as select pg_temp.make('ann', '{account}') as account,
                                   pg_temp.make('ann', '{read,account}') as two,
                                   pg_temp.make('ann', '{generate}') as generate;
select is(pg_temp.with_key(account, 'export_me'), 'KN004', 'account alone exports nothing') from d;
select is(pg_temp.with_key(two, 'export_me')::jsonb ? 'sections', true, 'account and read do') from d;
select is(pg_temp.with_key(account, 'create_webhook_endpoint', '{}',
                           '{"url":"https://example.com/h","types":["message.created"]}'), 'KN004',
          'account alone subscribes to no messages') from d;
select is(pg_temp.with_key(two, 'create_webhook_endpoint', '{}',
                           '{"url":"https://example.com/h","types":["message.created"]}')::jsonb ? 'id', true,
          'account and read do') from d;
select is(pg_temp.with_key(account, 'update_me', '{}', '{"email":"elsewhere@example.com"}'), 'KN004',
          'account alone has no mail sent elsewhere') from d;
select is(pg_temp.with_key(account, 'update_me', '{}', '{"display_name":"Ann"}')::jsonb ->> 'display_name',
          'Ann', 'it changes the rest of the profile') from d;
select is(pg_temp.with_key(generate, 'create_share', '{}', '{"job_id":"1"}'), 'KN004',
          'generate alone makes no page of what it may not see') from d;
select is(fixture.refusal($$ select kiln_api.act_as(jsonb_build_object('sub', 'ann', 'scope', 'openid read',
                                                                       'function', 'create_generation')::text) $$) ->> 'code', 'KN004', 'a token''s scope restricts likewise');
select is((select kiln_api.act_as('{"sub":"ann","scope":"openid profile","function":"create_generation"}')),
          fixture.account('ann'), 'words of OpenID Connect restrict nothing');
-- A claim that was empty, in capitals or divided by tabs restricted nothing: what cannot be read must open
-- nothing.
select is(kiln_internal.scopes_named(t), null, format('%L restricts nothing', t))
  from unnest(array[null, 'openid', 'openid profile email offline_access']) t;
select is(kiln_internal.scopes_named(t), '{}', format('%L opens nothing', t))
  from unnest(array['', ' ', 'READ', 'Read', 'read:jobs', 'kiln.read', 'openid READ', 'openid jobs']) t;
select is(kiln_internal.scopes_named('admin  openid read'), '{read,admin}', 'ours are found among others');
select is(fixture.refusal(format('select kiln_internal.scopes_named(%L)', t)) ->> 'code', 'KN009',
          format('%L is no scope', t))
  from unnest(array[E'read\tgenerate', E'read\n', E'openid\tprofile', 'r\"ead', 'lé']) t;
select is(fixture.refusal(format('select kiln_api.act_as(%L)',
                                 jsonb_build_object('sub', 'ann', 'scope', t, 'function', 'get_me')))
          ->> 'code', c, format('a token with the scope %L is refused', t))
  from (values ('', 'KN004'), ('READ', 'KN004'), (E'read\tgenerate', 'KN009')) v (t, c);

-- The wall: a function that writes, put among those that read.
create function pg_temp.write_with(p_key text) returns text language plpgsql as $$
begin
    perform kiln_api.act_as(jsonb_build_object('key', encode(sha256(convert_to(p_key, 'UTF8')), 'hex'),
                                               'function', 'list_generations')::text);
    update kiln.account set display_name = 'changed' where account_id = kiln_internal.acting_account();
    raise exception 'written' using errcode = 'KN999';
exception when others then
    return sqlstate;
end $$;
select is(pg_temp.write_with(reads), '25006',
          'with a key that may only read, nothing can be written by any function') from k;
select is(pg_temp.write_with(makes), 'KN999', 'with another it can') from k;

-- Ending ----------------------------------------------------------------------------------------------------

create temporary table at as select fixture.set_now('2031-01-01 00:00:00+00') as now;
set role kiln_owner;
select kiln_internal.use_key(encode(sha256(convert_to(reads, 'UTF8')), 'hex')) as used from k \gset
reset role;
select is((select last_used_at from kiln.api_key, k
            where prefix = left(reads, 13)), now, 'when it was used is noted') from at;
select fixture.pass('59 seconds') as later,
       kiln_internal.use_key(encode(sha256(convert_to(reads, 'UTF8')), 'hex')) as used from k \gset
select is((select last_used_at from kiln.api_key, k where prefix = left(reads, 13)), now, 'once a minute')
  from at;
create temporary table e as select pg_temp.make('ann', '{read}',
                                                '{"expires_at":"2031-01-01T01:00:00Z"}') as key;
select is(pg_temp.with_key(key, 'list_generations')::jsonb ? 'items', true, 'a key holds until it expires')
  from e;
select fixture.set_now('2031-01-01 01:00:00+00') as later \gset
select is(pg_temp.with_key(key, 'list_generations'), 'KN009', 'and not a moment longer') from e;

create temporary table t as
select (kiln_internal.make_ticket(fixture.account('ann'), 'infinity') ->> 'ticket') as ticket
  from (select set_config('kiln.api_key_id', (select api_key_id::text from kiln.api_key, k
                                               where prefix = left(reads, 13)), true)) c;
select set_config('kiln.api_key_id', '', true) as none \gset
select is((kiln_api.use_ticket(ticket)).account_id, fixture.account('ann'),
          'a ticket that a key made opens streams') from t;
select is(fixture.refusal(format('select fixture.call(%L, ''delete_api_key'', %L)', 'bob',
                                 jsonb_build_object('id', api_key_id::text))) ->> 'code', 'KN002',
          'another''s key cannot be revoked') from kiln.api_key, k where prefix = left(reads, 13);
select lives_ok(format('select fixture.call(%L, ''delete_api_key'', %L)', 'ann',
                       jsonb_build_object('id', api_key_id::text)), 'one''s own can') from kiln.api_key, k
 where prefix = left(reads, 13);
select is(pg_temp.with_key(reads, 'list_generations'), 'KN009', 'and opens nothing from then on') from k;
select throws_ok(format('select kiln_api.use_ticket(%L)', ticket), 'KN008', null, 'nor do its tickets')
  from t;
select is((select count(*)::int from kiln.event where account_id = fixture.account('ann')
              and type = 'session.ended'), 1, 'streams everywhere are told to end');
select count(kiln.make_api_key(fixture.account('bob'), 'many', '{read}', null)) as made
  from generate_series(1, 98) \gset
select is(fixture.refusal($$ select pg_temp.make('bob', '{read}') $$) ->> 'code', 'KN001',
          'of a hundred keys none more is made');
select * from finish();
rollback;

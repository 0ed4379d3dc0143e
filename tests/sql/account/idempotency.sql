-- Idempotency-Key: a request that is sent again makes nothing again. (Many at the same moment: behaviour/races.sql.)
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create function pg_temp.post(p_sub text, p_key text, p_prompt text default 'x') returns text language sql
as $$
    select fixture.call(p_sub, 'create_generation',
                        p_body => format('{"type": "image", "prompt": "%s"}', p_prompt),
                        p_key => p_key) ->> 'id'
$$;
create temporary table one as select pg_temp.post('ann', 'k1') as id;
select is(pg_temp.post('ann', 'k1'), id, 'the same request with the same key is answered with the same job')
  from one;
select is((select count(*)::int from kiln.job where account_id = fixture.account('ann')), 1,
          'and makes no other');
select throws_ok($$ select pg_temp.post('ann', 'k1', 'y') $$, 'KN005', null,
                 'the same key with another body is refused');
select isnt(pg_temp.post('bob', 'k1'), id, 'somebody else''s key is another key') from one;
select isnt(pg_temp.post('ann', 'k2'), id, 'another key is another request') from one;
select isnt(pg_temp.post('ann', null), pg_temp.post('ann', null), 'without a key each request counts');
select kiln.cancel_job(id::bigint) from one \g /dev/null
select is(fixture.call('ann', 'create_generation', p_body => '{"type": "image", "prompt": "x"}',
                       p_key => 'k1') ->> 'state', 'cancelled', 'a repeat shows the thing as it is now');
select throws_ok($$ select pg_temp.post('ann', repeat('k', 256)) $$, 'KN006', null,
                 'a key of 256 characters is refused');
select lives_ok($$ select pg_temp.post('ann', repeat('k', 255)) $$, 'one of 255 is not');

select throws_ok($$ select fixture.call('ann', 'create_generation', p_body => '{}', p_key => 'k3') $$,
                 'KN003', null, 'a request that is refused');
select isnt(pg_temp.post('ann', 'k3'), null, 'has not used up its key');

-- Each route has its own keys.
select fixture.call('ann', 'create_upload',
                    p_body => '{"filename": "a.png", "content_type": "image/png", "bytes": 5}',
                    p_key => 'k1') ->> 'media_id' as upload \gset
select is(fixture.call('ann', 'create_upload',
                       p_body => '{"filename": "a.png", "content_type": "image/png", "bytes": 5}',
                       p_key => 'k1') ->> 'media_id', :'upload',
          'an upload is promised once, under a key of its own route');
select fixture.call('ann', 'retry_generation', jsonb_build_object('id', id), p_body => '',
                    p_key => 'k1') ->> 'id' as retry from one \gset
select is(fixture.call('ann', 'retry_generation', jsonb_build_object('id', id), p_body => '',
                       p_key => 'k1') ->> 'id', :'retry', 'a job is tried again once under a key') from one;
select throws_ok($$ select fixture.call('ann', 'retry_generation', jsonb_build_object('id', id),
                                        p_body => '{"seed": "new"}', p_key => 'k1')
                      from one $$, 'KN005', null, 'and with one body');

select fixture.set_now('2030-01-02 11:59:00Z') \g /dev/null
select is(pg_temp.post('ann', 'k1'), id, 'a key is kept for a day') from one;
select fixture.set_now('2030-01-02 12:00:01Z') \g /dev/null
select isnt(pg_temp.post('ann', 'k1'), id, 'and not longer, even before it is swept') from one;
select finish();
rollback;

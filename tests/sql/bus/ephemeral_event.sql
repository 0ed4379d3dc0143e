-- Typing: told to streams, kept nowhere.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
create temporary table c as
select kiln_internal.make_group(fixture.account('ann'), 'three',
                                array[fixture.account('bob'), fixture.account('admin')]) as made;
create temporary table g as select (select conversation_id from kiln.conversation
                                     order by conversation_id desc limit 1) as id;
select lives_ok($$ select fixture.call('ann', 'send_typing', jsonb_build_object('id', id::text))
                     from g $$, 'a member may be typing');
select is((select array_agg(account_id order by account_id)
             from kiln.ephemeral_event), (select array_agg(a order by a)
                                            from unnest(array[fixture.account('bob'),
                                                              fixture.account('admin')]) a),
          'the other members hear it, oneself does not');
select is((select data ->> 'conversation_id' from kiln.ephemeral_event limit 1), (select id::text
                                                        from g), 'it names the conversation');
select is((select data -> 'account' ->> 'id' from kiln.ephemeral_event
            limit 1), fixture.account('ann')::text, 'and who');
select is_empty($$ select from kiln.event where data::text like '%typing%' $$, 'no event is written');
select fixture.call('ann', 'send_typing', jsonb_build_object('id', id::text)) from g \g /dev/null
select is((select count(*) from kiln.ephemeral_event), 2::bigint, 'again within two seconds is not told');
select fixture.set_now('2030-01-01 12:00:02.1Z') \g /dev/null
select fixture.call('ann', 'send_typing', jsonb_build_object('id', id::text)) from g \g /dev/null
select is((select count(*) from kiln.ephemeral_event), 4::bigint, 'later it is');
select fixture.set_now('2030-01-01 11:00:00Z') \g /dev/null
select fixture.call('ann', 'send_typing', jsonb_build_object('id', id::text)) from g \g /dev/null
select is((select count(*) from kiln.ephemeral_event), 6::bigint,
          'a clock that is set back an hour silences nobody for an hour');
select kiln_internal.set_block(fixture.account('bob'), fixture.account('ann'), true) \g /dev/null
select fixture.set_now('2030-01-01 12:00:05Z') \g /dev/null
select fixture.call('ann', 'send_typing', jsonb_build_object('id', id::text)) from g \g /dev/null
select is((select count(*) from kiln.ephemeral_event
            where account_id = fixture.account('bob')), 3::bigint,
          'who has blocked someone does not hear them');
select throws_ok($$ select fixture.call('eve', 'send_typing', jsonb_build_object('id', id::text))
                      from g $$, 'KN002', null, 'who is no member finds no conversation');
select throws_ok($$ select fixture.call(null, 'send_typing', jsonb_build_object('id', id::text))
                      from g $$, 'KN009', null, 'nor does nobody');
set role kiln_owner; update kiln.member set until_number = 0
                      where account_id = fixture.account('ann')
                        and conversation_id = (select id from g); reset role;
select throws_ok($$ select fixture.call('ann', 'send_typing', jsonb_build_object('id', id::text))
                      from g $$, 'KN004', null, 'who has left may not');
select fixture.set_now('2030-01-01 12:01:00Z') \g /dev/null
select kiln_internal.purge_ephemeral_events() \g /dev/null
select is((select count(*) from kiln.ephemeral_event), 0::bigint, 'half a minute later nothing is left');
select finish();
rollback;

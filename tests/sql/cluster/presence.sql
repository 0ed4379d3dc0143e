-- Who is online, over all processes; who is told, and who sees it.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create function pg_temp.start() returns bigint language sql
as $$ select kiln_api.register_instance('realtime', 'h', 1, 1, 'test') $$;
create function pg_temp.beat(p_id bigint) returns text language sql
as $$ select kiln_api.beat_instance(p_id, 0, 0, 0, 1, 0, 1) $$;
create function pg_temp.ids(p_subs text) returns bigint[] language sql
as $$ select coalesce(array_agg(fixture.account(s)), '{}') from regexp_split_to_table(p_subs, ' ') s
       where s <> '' $$;
create function pg_temp.tell(p_id bigint, p_came text, p_went text default '',
                             p_is_anew boolean default false) returns boolean language sql as $$ select kiln_api.report_audience(p_id, pg_temp.ids(p_came), pg_temp.ids(p_went), p_is_anew) $$;
-- What was emitted since the last look: to whom, about whom, what.
create function pg_temp.heard() returns text language plpgsql set role = kiln_owner as $$
declare
    v_text text;
begin
    select string_agg(distinct format('%s: %s %s', l.handle, w.data -> 'account' ->> 'handle',
                                      w.data ->> 'state'), ', '
                      order by format('%s: %s %s', l.handle, w.data -> 'account' ->> 'handle',
                                      w.data ->> 'state'))
      into v_text from kiln.ephemeral_event w join kiln.account l using (account_id)
     where w.type = 'presence';
    delete from kiln.ephemeral_event;
    return replace(coalesce(v_text, 'nothing'), 'test_', '');
end $$;
create function pg_temp.sees(p_sub text, p_other text) returns text language plpgsql as $$
declare
    v_item jsonb;
begin
    select i into v_item
      from jsonb_array_elements(fixture.call(p_sub, 'list_members',
                                             jsonb_build_object('id', current_setting('t.group')))
                                -> 'items') i where i ->> 'handle' = 'test_' || p_other;
    return concat_ws(' ', coalesce(v_item -> 'presence' ->> 'state', 'hidden'),
                     substr(v_item -> 'presence' ->> 'last_seen_at', 12, 8));
end $$;

-- ann, bob, cat and admin are in a group; dan is ann's alone; eve is nobody's.
select fixture.act_as(s) from unnest('{ann,bob,cat,dan,eve,admin}'::text[]) s \g /dev/null
update kiln.account a set handle = 'test_' || s from unnest('{ann,bob,cat,dan,eve,admin}'::text[]) s
 where a.account_id = fixture.account(s);
select kiln_internal.make_group(fixture.account('ann'), 'g', pg_temp.ids('bob cat admin')) as g \gset
select set_config('t.group', :'g', true) \g /dev/null
select kiln_internal.open_pair(fixture.account('ann'), fixture.account('dan')) as pair \gset
select pg_temp.start() as one, pg_temp.start() as two \gset

-- Coming and going ------------------------------------------------------------------------------------------

select is(pg_temp.sees('bob', 'ann'), 'offline', 'who has never listened is offline, since no time');
select is(pg_temp.tell(:one, 'bob dan eve'), false, 'three come, and all is told');
select is(pg_temp.heard(), 'nothing', 'nobody who knows them listens');
select fixture.pass('40 seconds'), pg_temp.beat(:one), pg_temp.beat(:two) \g /dev/null
select pg_temp.tell(:two, 'ann') \g /dev/null
select is(pg_temp.heard(), 'bob: ann online, dan: ann online',
          'who shares a conversation hears of who comes: not who does not listen, and not strangers');
select is(pg_temp.sees('bob', 'ann'), 'online', 'the list of members says it');
select is((select string_agg(coalesce(i -> 'presence' ->> 'state', '-'), ' '
                             order by (i -> 'is_group')::boolean)
             from jsonb_array_elements(fixture.call('ann', 'list_conversations') -> 'items') i), 'online -',
          'and the list of conversations, of those of two');
select is(fixture.call('dan', 'get_conversation', jsonb_build_object('id', :'pair')) -> 'presence',
          '{"state": "online", "last_seen_at": null}', 'and each of those');
select is((select data from kiln.ephemeral_event), null, 'a look tells nobody anything');

select pg_temp.tell(:one, 'ann') \g /dev/null
select is(pg_temp.heard(), 'nothing', 'a second process with a stream of ann''s is no news');
select pg_temp.tell(:two, '', 'ann') \g /dev/null
select fixture.pass('11 seconds'), pg_temp.beat(:one), pg_temp.tell(:one, '') \g /dev/null
select is(pg_temp.heard(), 'nothing', 'as long as one has one, she is there');

select pg_temp.tell(:one, '', 'ann') \g /dev/null
select is(pg_temp.beat(:one), 'alive', 'for the grace nothing is due');
select pg_temp.tell(:one, '') \g /dev/null
select is(pg_temp.heard() || ', ' || pg_temp.sees('bob', 'ann'), 'nothing, online', 'and nothing told');
select fixture.pass('9 seconds'), pg_temp.tell(:two, 'ann') \g /dev/null
select fixture.pass('3 seconds'), pg_temp.tell(:two, '') \g /dev/null
select is(pg_temp.heard(), 'nothing', 'who is back in time was never away');
select fixture.set_now('2030-01-01 12:10:00Z'), pg_temp.beat(:one), pg_temp.beat(:two),
       pg_temp.tell(:two, '', 'ann') \g /dev/null
select fixture.pass('10 seconds'), pg_temp.beat(:two) \g /dev/null
select is(pg_temp.beat(:one), 'due', 'after the grace a beat is told that something is due');
select pg_temp.tell(:one, '') \g /dev/null
select is(pg_temp.heard() || '; ' || pg_temp.sees('bob', 'ann'),
          'bob: ann offline, dan: ann offline; offline 12:10:00',
          'then she is offline, since her last stream closed');
select is(pg_temp.beat(:one), 'alive', 'and nothing is due');
select pg_temp.tell(:one, 'ann', ''), pg_temp.heard() \g /dev/null
select pg_temp.tell(:one, '', 'ann'), pg_temp.tell(:one, 'ann', ''), pg_temp.heard() \g /dev/null
select is(pg_temp.heard(), 'nothing', 'a blink is none');

-- Who comes a moment later is told what changed while nobody knew that it listens.
select pg_temp.tell(:two, 'cat') \g /dev/null
select is(pg_temp.heard(), 'ann: cat online, bob: cat online, cat: ann online',
          'a newcomer hears what changed in the last half minute, and not what is old');

-- Processes that die ----------------------------------------------------------------------------------------

select fixture.pass('1 minute'), pg_temp.beat(:one), pg_temp.beat(:two),
       pg_temp.tell(:one, 'bob ann dan', '', true), pg_temp.tell(:two, 'cat'), pg_temp.heard() \g /dev/null
select fixture.set_now('2030-01-01 12:20:00Z'), pg_temp.beat(:one), pg_temp.beat(:two),
       pg_temp.tell(:two, 'cat') \g /dev/null
select fixture.pass('2 seconds'), pg_temp.beat(:two) \g /dev/null
select fixture.pass('2 seconds'), pg_temp.beat(:two) \g /dev/null
select fixture.pass('2 seconds'), pg_temp.beat(:two), pg_temp.tell(:two, 'bob') \g /dev/null
select is((select ended_why from kiln.instance where instance_id = :one), 'expired', 'one is dead');
select is_empty(format('select from kiln.audience where instance_id = %s', :one), 'what it had is gone');
select is(pg_temp.heard(), 'nothing', 'its people have the grace from its last beat on');
select is(pg_temp.tell(:one, 'dan'), null, 'what a dead one says is not taken');
select fixture.pass('2 seconds'), pg_temp.beat(:two) \g /dev/null
select fixture.pass('2 seconds') \g /dev/null
select is(pg_temp.beat(:two), 'due', 'then they are due');
select pg_temp.tell(:two, '') \g /dev/null
select is(pg_temp.heard() || '; ' || pg_temp.sees('cat', 'ann'),
          'bob: ann offline, cat: ann offline; offline 12:20:00',
          'who has come to another stayed, who has not is offline since the last beat');
select is(pg_temp.beat(:one), 'risen', 'it was only stopped');
select pg_temp.tell(:one, 'ann', '', true) \g /dev/null
select is(pg_temp.heard(), 'ann: dan offline, bob: ann online, cat: ann online',
          'it tells all anew, and they are back, and hear what changed meanwhile');
select kiln_api.end_instance(:one) \g /dev/null
select fixture.pass('2 seconds'), pg_temp.tell(:two, 'ann') \g /dev/null
select fixture.pass('20 seconds'), pg_temp.beat(:two), pg_temp.tell(:two, '') \g /dev/null
select is(pg_temp.heard(), 'nothing', 'when one leaves, who goes to another is not seen to go');

-- Who sees it -----------------------------------------------------------------------------------------------

select throws_ok($$ select fixture.call('eve', 'list_members',
                                        jsonb_build_object('id', current_setting('t.group'))) $$, 'KN002',
                 null, 'a stranger sees nobody''s');
select pg_temp.start() as three \gset
select pg_temp.tell(:three, 'admin dan'), pg_temp.heard() \g /dev/null
select is(fixture.bad_fields($$ select fixture.call('ann', 'update_me',
                                                    p_body => '{"show_presence": "no"}') $$),
          '/show_presence', 'it is shown or not');
select is(fixture.call('ann', 'update_me', p_body => '{"show_presence": false}') -> 'show_presence', 'false',
          'who hides');
select is(pg_temp.heard(), 'admin: ann offline, bob: ann offline, cat: ann offline, dan: ann offline',
          'is offline for all at once');
select is(array[pg_temp.sees('bob', 'ann'), pg_temp.sees('ann', 'bob'), pg_temp.sees('admin', 'ann'),
                pg_temp.sees('bob', 'cat')], '{hidden,hidden,hidden,online}',
          'and sees nobody, nor does an administrator see who hides');
select is_empty($$ select from jsonb_array_elements(fixture.call('ann', 'list_conversations') -> 'items') i
                    where i -> 'presence' <> 'null' $$, 'in no list');
select pg_temp.tell(:three, '', 'dan') \g /dev/null
select fixture.pass('11 seconds'), pg_temp.beat(:two), pg_temp.beat(:three),
       pg_temp.tell(:three, '') \g /dev/null
select is(pg_temp.heard(), 'nothing', 'nor hears of anybody');
select pg_temp.tell(:two, '', 'ann') \g /dev/null
select fixture.pass('11 seconds'), pg_temp.beat(:two), pg_temp.beat(:three), pg_temp.tell(:two, ''),
       pg_temp.tell(:two, 'ann') \g /dev/null
select is(pg_temp.heard(), 'nothing', 'nor does anybody hear of who hides');
select fixture.call('ann', 'update_me', p_body => '{"show_presence": true}') \g /dev/null
select is(pg_temp.heard(),
          'admin: ann online, ann: admin online, ann: dan offline, bob: ann online, cat: ann online',
          'until it shows itself again');
select fixture.call('ann', 'update_me', p_body => '{"show_presence": true}') \g /dev/null
select is(pg_temp.heard(), 'nothing', 'which twice is once');

select fixture.pass('1 minute'), pg_temp.beat(:two), pg_temp.beat(:three),
       fixture.call('bob', 'create_block',
                    p_body => format('{"account_id": "%s"}', fixture.account('ann'))) \g /dev/null
select is(pg_temp.heard(), 'ann: bob offline, bob: ann offline',
          'who blocks somebody is offline for them, and they for them');
select is(array[pg_temp.sees('bob', 'ann'), pg_temp.sees('ann', 'bob')], '{hidden,hidden}',
          'from then on, either way');
select pg_temp.tell(:two, '', 'ann') \g /dev/null
select fixture.pass('11 seconds'), pg_temp.tell(:two, '') \g /dev/null
select is(pg_temp.heard(), 'admin: ann offline, cat: ann offline', 'and hears nothing of them');
select fixture.call('cat', 'remove_member', jsonb_build_object('id', :'g')),
       pg_temp.tell(:two, 'ann') \g /dev/null
select is(pg_temp.heard(), 'admin: ann online', 'nor does who has left');

-- Bounds ----------------------------------------------------------------------------------------------------

select fixture.act_as('many' || n) from generate_series(1, 300) n \g /dev/null
select kiln_internal.make_group(fixture.account('eve'), 'small', array(select fixture.account('many' || n)
                                                        from generate_series(1, 31) n)) \g /dev/null
select kiln_internal.make_group(fixture.account('eve'), 'large', array(select fixture.account('many' || n)
                                                        from generate_series(2, 33) n)) \g /dev/null
select is((select count(*)::int from kiln_internal.contacts(fixture.account('eve'))), 31,
          'a group of 32 is told, one of 33 is not');
select is(kiln_api.report_audience(:two, array(select fixture.account('many' || n)
                                                 from generate_series(1, 300) n), '{}', false), true,
          'of three hundred that come at once');
select is((select count(*)::int from kiln.presence
            where is_online and due_at is null and account_id in (select fixture.account('many' || n)
                                                                    from generate_series(1, 300) n)), 100,
          'a hundred are told of in one statement');
select is(pg_temp.tell(:two, ''), true, 'and a hundred in the next');
select is(pg_temp.tell(:two, ''), false, 'and the others in the last');
select is((select count(*)::int from kiln.presence
            where is_online and account_id in (select fixture.account('many' || n)
                                                 from generate_series(1, 300) n)), 300,
          'then all are online');
select delete_me from fixture.call('many1', 'delete_me') delete_me \g /dev/null
select is_empty($$ select from kiln.presence p join kiln.account a using (account_id)
                    where a.deleted_at is not null $$, 'of a deleted account nothing is kept');
select fixture.pass('9 days'), kiln_internal.purge_expired() \g /dev/null
select is_empty('select from kiln.audience', 'of processes that nobody buried the tick forgets all');
select throws_ok($$ set local role kiln_owner; insert into kiln.ephemeral_event (account_id, type, data)
                                               values (1, 'gossip', '{}') $$, '23514', null,
                 'nothing else is emitted');
select finish();
rollback;

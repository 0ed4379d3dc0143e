-- Notifications: rows for announcements and for messages to people who are away; the ends of jobs from the
-- log, for nothing.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
select fixture.account('ann') as ann, fixture.account('bob') as bob \gset
create function pg_temp.list(p_sub text, p_query jsonb default '{}') returns jsonb language sql
as $$ select fixture.call(p_sub, 'list_notifications', p_query => p_query) $$;
create function pg_temp.counts(p_sub text) returns text language sql
as $$ select concat_ws(' ', l -> 'unread', l -> 'unread_jobs') from pg_temp.list(p_sub) l $$;
create function pg_temp.last(p_account bigint) returns jsonb language sql as $$
    select kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at)::jsonb from kiln.event e
     where e.account_id = p_account order by e.event_id desc limit 1
$$;
create function pg_temp.announce(p_sub text, p_body text, p_key text default null) returns jsonb language sql
as $$ select fixture.call(p_sub, 'announce', p_body => p_body, p_key => p_key) $$;

-- Announcements ---------------------------------------------------------------------------------------------

select is(pg_temp.list('ann'), '{"items": [], "next_cursor": null, "unread": 0, "unread_jobs": 0}',
          'at first there is nothing');
select is(pg_temp.announce('admin',
        format('{"account_id": "%s", "kind": "gift", "text": "Have some", "link": "/billing"}', :ann)) - 'id',
          jsonb_build_object('account_id', :'ann', 'kind', 'gift', 'text', 'Have some', 'link', '/billing',
                             'recipients', 1, 'created_at', '2030-01-01T12:00:00.000Z'),
          'an administrator tells one account');
select is((pg_temp.list('ann') -> 'items' -> 0) - 'id',
    '{"kind": "gift", "text": "Have some", "link": "/billing", "job_id": null, "conversation_id": null, '
    '"read_at": null, "created_at": "2030-01-01T12:00:00.000Z"}', 'which sees it');
select is(pg_temp.last(:ann) - 'at' - 'notification_id',
          jsonb_build_object('type', 'notification', 'unread', 1, 'unread_jobs', 0,
                             'notification', pg_temp.list('ann') -> 'items' -> 0),
          'its stream tells all of it, and how many are unread');
select is(pg_temp.counts('bob'), '0 0', 'nobody else does');
select is((pg_temp.announce('admin', '{"all": true, "text": "Maintenance at noon"}',
                            'k') ->> 'recipients')::bigint, (select count(*) from kiln.account
                                                              where deleted_at is null), 'or all there are');
select is((pg_temp.announce('admin', '{"all": true, "text": "Maintenance at noon"}',
                            'k') ->> 'recipients')::bigint, (select count(*) from kiln.account
                                                              where deleted_at is null),
          'a repeat under a key shows it');
select is((select count(*)::int from kiln.notification where account_id = :bob), 1, 'and tells nobody twice');
select is(pg_temp.counts('ann') || ', ' || pg_temp.counts('bob'), '2 0, 1 0', 'each has its own count');
select is(fixture.refusal(format('select pg_temp.announce(%L, %L)', s, '{"all": true, "text": "x"}'))
          ->> 'code', w, coalesce(s, 'nobody') || ' announces nothing')
  from (values ('ann', 'KN004'), (null, 'KN009')) v (s, w);
select is(fixture.bad_fields(format('select pg_temp.announce(%L, %L)', 'admin', b)), w,
          'refused: ' || left(b, 60)) from (values
    ('{}', '/account_id /text'), ('{"account_id": "999999999", "text": "x"}', '/account_id'),
                                                        ('{"all": true, "account_id": "1", "text": "x"}',
                                                         '/account_id'),
                                                             ('{"all": 1, "text": "x"}', '/account_id'),
    ('{"all": true, "text": " "}', '/text'), (format('{"all": true, "text": "%s"}', repeat('x', 1001)),
                                              '/text'), ('{"all": true, "text": "x", "link": '
                                                         '"javascript:alert(1)"}', '/link'),
    ('{"all": true, "text": "x", "link": "http://x"}', '/link'),
                                                        ('{"all": true, "text": "x", "link": 7}', '/link'),
                                                            ('{"all": true, "text": "x", "kind": "A b"}',
                                                             '/kind'), ('{"all": true, "text": "x", "y": 1}',
                                                                        '/y')) v (b, w);

-- Read ------------------------------------------------------------------------------------------------------

create function pg_temp.read(p_sub text, p_body text) returns text language sql
as $$ select concat_ws(' ', r -> 'unread', r -> 'unread_jobs')
        from fixture.call(p_sub, 'read_notifications', p_body => p_body) r $$;
select pg_temp.list('ann') -> 'items' -> 1 ->> 'id' as gift \gset
select is(pg_temp.read('bob', format('{"ids": ["%s"]}', :'gift')), '1 0',
          'somebody else''s notification is not read');
select is(pg_temp.read('ann', format('{"ids": ["%s"]}', :'gift')), '1 0', 'one''s own is');
select is((pg_temp.list('ann') -> 'items' -> 1 ->> 'read_at'), '2030-01-01T12:00:00.000Z', 'and says when');
select is(pg_temp.last(:ann) - 'at', '{"type": "notification.read", "unread": 1, "unread_jobs": 0}',
          'the other devices are told');
select count(*) as events from kiln.event \gset
select is(pg_temp.read('ann', format('{"ids": ["%s", "999999999"]}', :'gift')), '1 0', 'twice is once');
select is((select count(*) from kiln.event), :events::bigint, 'and told once');
select is(fixture.bad_fields(format('select pg_temp.read(%L, %L)', 'ann', b)), w, 'refused: ' || b)
  from (values ('{}', '/ids'), ('{"ids": []}', '/ids'), ('{"ids": "7"}', '/ids'), ('{"ids": ["x"]}', '/ids'),
        ('{"ids": [null]}', '/ids'), ('{"ids": [5]}', '/ids'), ('{"all": 1}', '/all /ids'),
        ('{"all": true, "x": 1}', '/x')) v (b, w);

-- The ends of jobs ------------------------------------------------------------------------------------------

select count(*) as rows from kiln.notification \gset
select fixture.job_in('completed') as done \gset
select fixture.pass('1 second') \g /dev/null
select fixture.job_in('failed') as failed \gset
select fixture.job_in('held') as held, fixture.job_in('cancelled') as cancelled,
       fixture.job_in('completed', 'bob') as bobs \gset
select is((select count(*) from kiln.notification), :rows::bigint, 'the end of a job writes no row');
select is((select array_agg(i ->> 'kind' || '/' || (i ->> 'job_id') order by n)
             from jsonb_array_elements(pg_temp.list('ann') -> 'items') with ordinality x (i, n)
            where i ->> 'job_id' is not null),
          array['job.held/' || :held, 'job.failed/' || :failed, 'job.completed/' || :done],
          'and is a notification all the same; a cancel, which one did oneself, is none');
select is(pg_temp.counts('ann'), '1 3', 'they are counted apart');
select pg_temp.list('ann') -> 'items' -> 1 ->> 'id' as id_failed \gset
select is(pg_temp.read('ann', format('{"ids": ["%s"]}', :'id_failed')), '1 0',
          'reading one reads those of then and before');
select fixture.pass('1 second'), fixture.job_in('completed') \g /dev/null
select is(pg_temp.counts('ann'), '1 1', 'the next one is unread again');
select is(pg_temp.read('ann', '{"all": true}'), '0 0', 'all is all');
select is(pg_temp.read('ann', format('{"ids": ["%s"]}', :'id_failed')), '0 0',
          'and nothing becomes unread again');
select is(pg_temp.read('bob', '{"ids": ["job-1-1"]}'), '1 1', 'an end that never was changes nothing');

-- Paging through both: each once, newest first.
select fixture.pass('1 second'), fixture.job_in('completed'),
       pg_temp.announce('admin', format('{"account_id": "%s", "text": "n"}', :ann)), fixture.job_in('failed')
  from generate_series(1, 7) \g /dev/null
create function pg_temp.walk(p_limit int) returns text[] language plpgsql as $$
declare v_page jsonb; v_cursor text; v_all text[] := '{}';
begin
    for i in 1 .. 60 loop
        v_page := pg_temp.list('ann', jsonb_strip_nulls(jsonb_build_object('limit', p_limit::text,
                                                        'cursor', v_cursor)));
        v_all := v_all || array(select x ->> 'id'
                                  from jsonb_array_elements(v_page -> 'items') with ordinality y (x, n)
                                 order by n);
        v_cursor := v_page ->> 'next_cursor';
        exit when v_cursor is null;
    end loop;
    return v_all;
end $$;
select is(cardinality(pg_temp.walk(100)), (select count(*)::int from kiln.notification
                                            where account_id = :ann) + (select count(*)::int
                                                        from kiln.job_ends where account_id = :ann),
          'a page of all shows all');
select is(pg_temp.walk(n), pg_temp.walk(100), format('so do pages of %s, in the same order, each once', n))
  from unnest('{1,2,3,7}'::int[]) n;
-- Behind any number of other events a page ends after a thousand of them: short, with a cursor that goes on.
savepoint many_events;
set role kiln_owner;
insert into kiln.event (account_id, type, data) select :ann, 'media.ready', '{}'
                                                  from generate_series(1, 2500);
reset role;
select fixture.pass('1 second'),
       pg_temp.announce('admin', format('{"account_id": "%s", "text": "newest"}', :ann)) \g /dev/null
select is((select (jsonb_array_length(l -> 'items'), l ->> 'next_cursor' is not null)::text
             from pg_temp.list('ann', '{"limit": "5"}') l), '(1,t)',
          'a page may be short, and goes on');
select is(cardinality(pg_temp.walk(n)), (select count(*)::int from kiln.notification
                                          where account_id = :ann) + (select count(*)::int from kiln.job_ends
                                                                       where account_id = :ann),
          format('pages of %s show all behind 2,500 other events', n)) from unnest('{2,5,100}'::int[]) n;
select is(pg_temp.walk(2), pg_temp.walk(100), 'in the same order');
rollback to many_events;
select is(fixture.refusal(format('select pg_temp.list(%L, %L)', 'ann', jsonb_build_object('cursor', c)))
          ->> 'code', 'KN006', 'no cursor of ours: ' || c)
  from unnest('{x,1.2,1.2.x,9999999999999999999.1.1,1.1.9999999999999999999}'::text[]) c;
select is(fixture.refusal('select pg_temp.list(null)') ->> 'code', 'KN009', 'nobody has notifications');

-- Messages to people who are away ---------------------------------------------------------------------------

select fixture.call('bob', 'create_conversation',
                    p_body => format('{"account_id": "%s"}', :ann)) ->> 'id' as two \gset
create function pg_temp.say(p_sub text, p_id text) returns void language sql
as $$ select fixture.call(p_sub, 'create_message', jsonb_build_object('id', p_id),
                          p_body => '{"text": "x"}') $$;
create function pg_temp.about(p_account bigint) returns text language sql
as $$ select string_agg(n.text || case when n.read_at is null then '' else ' (read)' end, ', '
                        order by n.notification_id) from kiln.notification n
       where n.account_id = p_account and n.kind = 'message' $$;
select fixture.pass('1 second'), pg_temp.say('bob', :'two'), pg_temp.say('bob', :'two') \g /dev/null
select is(pg_temp.about(:ann), 'test_bob wrote to you',
          'who is away has one notification of a conversation, however much is said');
select is(pg_temp.about(:bob), null, 'who speaks has none');
select is(pg_temp.list('ann') -> 'items' -> 0 ->> 'link', '/conversations/' || :'two', 'which leads there');
select fixture.call('ann', 'mark_read', jsonb_build_object('id', :'two'),
                    p_body => '{"number": 2}') \g /dev/null
select is(pg_temp.about(:ann), 'test_bob wrote to you (read)', 'reading the conversation reads it');
select pg_temp.say('bob', :'two') \g /dev/null
select is(pg_temp.about(:ann), 'test_bob wrote to you (read)', 'who is there needs none');
select fixture.pass('61 seconds') \g /dev/null
select pg_temp.say('bob', :'two') \g /dev/null
select is(pg_temp.about(:ann), 'test_bob wrote to you (read), test_bob wrote to you',
          'who gave no sign for a minute does');

-- Whoever was gone still got announcements, and what one account alone had been told outlived it.
select fixture.act_as('gone') \g /dev/null
select fixture.account('gone') as gone \gset
select pg_temp.announce('admin', format('{"account_id": "%s", "text": "for you alone"}', :gone)) \g /dev/null
select kiln.delete_account(:gone) \g /dev/null
select is((select count(*)::int from kiln.announcement where account_id = :gone) + (select count(*)::int
                                                        from kiln.notification where account_id = :gone), 0,
          'with an account goes what it alone was told');
select is(fixture.bad_fields(format('select pg_temp.announce(%L, %L)', 'admin',
                                    format('{"account_id": "%s", "text": "x"}', :gone))), '/account_id',
          'a deleted account is told nothing');
select is((pg_temp.announce('admin', '{"all": true, "text": "to all"}') ->> 'recipients')::bigint,
          (select count(*) from kiln.account where deleted_at is null), 'also not with all others');
select is((select count(*)::int from kiln.notification where account_id = :gone), 0, 'no row is made for it');

-- The wall.
set local role kiln_definer;
select is((select count(*)::int from kiln.notification), 0, 'without an actor no notification is seen')
 where set_config('kiln.account_id', '', true) = '';
select throws_ok('update kiln.notification set read_at = null', '42501', null,
                 'and none is written but by the owner''s functions');
reset role;
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

-- Chat: finding people, conversations of two and groups, messages, marks, and what the log says of it. (Who
-- may: behaviour/chat_rights.sql; two at the same moment: behaviour/chat_races.sql.)
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
select fixture.act_as('cat'), fixture.act_as('dan'), fixture.act_as('eve') \g /dev/null
update kiln.account set handle = 'test_cat', display_name = 'Cat' where account_id = fixture.account('cat');
update kiln.account set handle = 'test' where account_id = fixture.account('dan');
select fixture.account('ann') as ann, fixture.account('bob') as bob, fixture.account('cat') as cat,
       fixture.account('dan') as dan, fixture.account('eve') as eve \gset

create function pg_temp.at(p_id text) returns jsonb language sql
as $$ select jsonb_build_object('id', p_id) $$;
create function pg_temp.say(p_sub text, p_conversation text, p_body jsonb) returns jsonb language sql
as $$ select fixture.call(p_sub, 'create_message', pg_temp.at(p_conversation), p_body => p_body::text) $$;
create function pg_temp.code(p_statement text) returns text language sql
as $$ select fixture.refusal(p_statement) ->> 'code' $$;
create function pg_temp.people(p_sub text, p_handle text) returns text language sql as $$
    select string_agg(i ->> 'handle', ' ' order by n)
      from jsonb_array_elements(fixture.call(p_sub, 'find_people',
                                             p_query => jsonb_build_object('handle', p_handle))
                                -> 'items') with ordinality x (i, n)
$$;
-- What an account's stream would show, as the stream renders it.
create function pg_temp.stream(p_account bigint) returns setof jsonb language sql as $$
    select kiln_internal.render_event(e.type, e.job_id, e.version, e.data, e.at)::jsonb from kiln.event e
     where e.account_id = p_account order by e.event_id
$$;
create function pg_temp.last(p_account bigint) returns jsonb language sql
as $$ select s from (select s, row_number() over () as n from pg_temp.stream(p_account) s) x order by n desc
       limit 1 $$;

-- People ----------------------------------------------------------------------------------------------------

select is(pg_temp.people('ann', 'test_bob'), 'test_bob', 'one is found by the handle');
select is(pg_temp.people('ann', '@TEST_B'), 'test_bob',
          'or by how it begins, whatever the case, with @ or without');
select is(pg_temp.people('ann', 'test'), 'test test_admin test_ann test_bob test_cat',
          'who is called exactly so comes first');
select is(pg_temp.people('ann', 'est_bob'), null, 'not by its middle');
select is(pg_temp.people('ann', 'test_bobby'), null, 'nor by more than it is');
select is(pg_temp.code(format($$ select pg_temp.people('ann', %L) $$, h)), 'KN006',
          format('%L would list everyone, or is no handle', h))
  from unnest(array['', 'te', '%%%', '___%', 'a b', repeat('a', 31)]) h;
insert into kiln.account (handle) select 'crowd_' || n from generate_series(1, 30) n;
select is(jsonb_array_length(fixture.call('ann', 'find_people', p_query => '{"handle": "crowd"}') -> 'items'),
          10, 'ten at most are shown');
select is(fixture.call('ann', 'find_people', p_query => '{"handle": "crowd"}') -> 'next_cursor', 'null',
          'and there is no next page');
set role kiln_owner; update kiln.account set is_suspended = true where handle = 'test'; reset role;
select is(pg_temp.people('ann', 'test'), 'test_admin test_ann test_bob test_cat',
          'the suspended are not found');
set role kiln_owner; update kiln.account set is_suspended = false where deleted_at is null; reset role;

-- Conversations of two --------------------------------------------------------------------------------------

select fixture.call('ann', 'create_conversation', p_body => format('{"account_id": "%s"}', :bob)) as two \gset
select :'two'::jsonb ->> 'id' as id \gset
select is(:'two'::jsonb - 'id' - 'made_by' - 'created_at', format('{"is_group": false, "title": null,
                                                                     "with": {"id": "%s",
                                                                     "handle": "test_bob",
                                                                     "display_name": null}, "has_left": false,
                                                                     "last_number": 0,
          "last_message": null, "delivered_number": 0, "read_number": 0, "unread": 0,
          "presence": {"state": "offline", "last_seen_at": null}}', :bob)::jsonb, 'a conversation of two is begun');
select is(fixture.call('bob', 'create_conversation', p_body => format('{"account_id": "%s"}', :ann)) ->> 'id',
          :'id', 'the same two have the same, whoever begins');
select is(fixture.call('bob', 'get_conversation', pg_temp.at(:'id')) -> 'with' ->> 'handle', 'test_ann',
          'each sees the other');
select is(pg_temp.last(:bob) - 'at',
          jsonb_build_object('type', 'conversation.changed', 'change', 'begun', 'by', :'ann',
                             'conversation_id', :'id', 'is_group', false, 'title', null, 'unread', 0),
          'whose stream tells of it');
select is(fixture.bad_fields(format($$ select fixture.call('ann', 'create_conversation', p_body => %L) $$,
                                    b)), w, 'refused: ' || b) from (values
    ('{}', '/account_id'), ('{"account_id": "999999999"}', '/account_id'),
                                                        (format('{"account_id": "%s"}', :ann), '/account_id'),
                                                            (format('{"account_id": "%s"}', :eve),
                                                             '/account_id'),
    (format('{"account_id": "%s", "title": "x"}', :bob), '/members'),
                                                        ('{"members": ["x", "999999999"]}',
                                                         '/members/0 /members/1'),
                                                             ('{"members": 7}', '/members'),
    ('{"members": [], "title": " "}', '/title'), ('{"members": [], "colour": 1}', '/colour'),
                                                        ('[]', 'KN006')) v (b, w);

-- Messages --------------------------------------------------------------------------------------------------

select fixture.media('ann') as picture \gset
select pg_temp.say('ann', :'id', '{"text": "Hello", "client_id": "c1"}') as one \gset
select is(:'one'::jsonb - 'id', jsonb_build_object('conversation_id', :'id', 'number', 1, 'client_id', 'c1',
                                                   'author', jsonb_build_object('id', :'ann',
                                                        'handle', 'test_ann', 'display_name', null),
          'text', 'Hello', 'media', '[]'::jsonb, 'reply_to', null,
                                                   'ticks', '{"state": "accepted", "delivered": 0, "read": '
                                                       '0, "of": 1}'::jsonb, 'is_deleted', false,
          'created_at', '2030-01-01T12:00:00.000Z', 'edited_at', null), 'a message is accepted');
select is(pg_temp.say('ann', :'id', '{"text": "Hello again", "client_id": "c1"}'), :'one'::jsonb,
          'the same client_id is the same message');
select is(pg_temp.last(:bob) - 'at' - 'message',
          jsonb_build_object('type', 'message.created', 'message_id', :'one'::jsonb ->> 'id', 'number', 1,
                             'conversation_id', :'id', 'is_group', false, 'title', null, 'unread', 1),
          'the other''s stream tells of it, with the unread count');
select is(pg_temp.last(:bob) -> 'message', :'one'::jsonb, 'and with the whole message');
select is(pg_temp.last(:ann) -> 'message' ->> 'text', 'Hello', 'one''s own devices are told too');
select is((pg_temp.last(:ann) ->> 'unread')::int, 0, 'for whom it is not unread');
select is((select count(*)::int from kiln.event where type = 'message.created'
              and account_id in (:ann, :bob)), 2, 'once each');
select is(pg_temp.say('bob', :'id', '{"text": "mine", "client_id": "c1"}') ->> 'number', '2',
          'somebody else''s client_id is another, and numbers go up');
select pg_temp.say('ann', :'id',
                   jsonb_build_object('media', jsonb_build_array(:'picture'),
                                      'reply_to', :'one'::jsonb ->> 'id')) as three \gset
select is(:'three'::jsonb -> 'reply_to',
          jsonb_build_object('id', :'one'::jsonb ->> 'id', 'number', 1, 'account_id', :'ann', 'text', 'Hello',
                             'is_deleted', false), 'an answer shows what it answers');
select matches(fixture.call('bob', 'get_message',
                            pg_temp.at(:'three'::jsonb ->> 'id')) -> 'media' -> 0 ->> 'url',
               '^/api/v1/media/' || :picture || '\?exp=\d+&sig=[0-9a-f]{64}$',
               'with pictures no words are needed, and the other may see them');
select is(fixture.bad_fields(format('select pg_temp.say(%L, %L, %L)', 'bob', :'id', b)), w,
          'refused: ' || left(b::text, 60)) from (values
    ('{}'::jsonb, '/text'), ('{"text": " "}', '/text'), ('{"text": 7}', '/text'),
                                                        (jsonb_build_object('text', repeat('ä', 8001)),
                                                         '/text'), ('{"media": "7"}', '/media'),
    (jsonb_build_object('media', jsonb_build_array(:'picture')), '/media/0'),
                                       ('{"media": ["1","1","1","1","1","1","1","1","1","1","1"]}', '/media'),
    ('{"text": "x", "client_id": ""}', '/client_id'), ('{"text": "x", "client_id": 5}', '/client_id'),
                                                        (jsonb_build_object('text', 'x',
                                                            'client_id', repeat('x', 101)), '/client_id'),
    ('{"text": "x", "reply_to": "999999999"}', '/reply_to'), ('{"text": "x", "reply_to": {"a": 1}}',
                                                              '/reply_to'), ('{"text": "x", "colour": 1}',
                                                                  '/colour')) v (b, w);
select is(fixture.bad_fields(format('select pg_temp.say(%L, %L, %L)', 'bob', :'id',
                                    jsonb_build_object('text', 'x',
                                                       'reply_to', (:'one'::jsonb ->> 'id')::bigint))),
          '/reply_to', 'refused: an id that is a number, which ids are not');
select lives_ok(format('select pg_temp.say(%L, %L, %L)', 'bob', :'id',
                       jsonb_build_object('text', repeat('ä', 8000))), '16000 bytes are not too much');
select fixture.call('bob', 'create_message', pg_temp.at(:'id'), p_body => '{"text": "k"}',
                    p_key => 'k') ->> 'id' as k \gset
select is(fixture.call('bob', 'create_message', pg_temp.at(:'id'), p_body => '{"text": "k"}',
                       p_key => 'k') ->> 'id', :'k', 'an Idempotency-Key does the same');

-- Marks -----------------------------------------------------------------------------------------------------

create function pg_temp.mark(p_sub text, p_how text, p_conversation text, p_number bigint) returns text
language sql as $$
    select concat_ws(' ', c -> 'delivered_number', c -> 'read_number', c -> 'unread')
      from fixture.call(p_sub, 'mark_' || p_how, pg_temp.at(p_conversation),
                        p_body => format('{"number": %s}', p_number)) c
$$;
create function pg_temp.ticks(p_sub text, p_message text) returns jsonb language sql
as $$ select fixture.call(p_sub, 'get_message', pg_temp.at(p_message)) -> 'ticks' $$;
select is(pg_temp.mark('bob', 'delivered', :'id', 1), '1 0 2', 'a device says how far it has got');
select is(pg_temp.ticks('ann', :'one'::jsonb ->> 'id'),
          '{"state": "delivered", "delivered": 1, "read": 0, "of": 1}', 'then the message is delivered');
select is(pg_temp.last(:ann) - 'at',
          jsonb_build_object('type', 'message.delivered', 'by', :'bob', 'number', 1, 'conversation_id', :'id',
                             'is_group', false, 'title', null, 'unread', 3),
          'which its author''s stream tells');
select is(pg_temp.ticks('ann', :'three'::jsonb ->> 'id') ->> 'state', 'accepted', 'the next is not yet');
select is(pg_temp.mark('bob', 'read', :'id', 1), '1 1 1',
          'reading counts down what is unread: others'' messages, not one''s own');
select is(pg_temp.ticks('ann', :'one'::jsonb ->> 'id') ->> 'state', 'read', 'then the message is read');
select is(pg_temp.mark('bob', 'read', :'id', 3), '3 3 0', 'what is read is delivered');
select count(*) as events from kiln.event \gset
select is(pg_temp.mark('bob', 'read', :'id', 2), '3 3 0', 'a mark never goes back');
select is(pg_temp.mark('bob', 'delivered', :'id', 3), '3 3 0', 'nor does the other');
select is((select count(*) from kiln.event), :events::bigint, 'and nothing is told twice');
select is(pg_temp.mark('ann', 'read', :'id', 999), '5 5 0', 'a mark does not go beyond what was said');
select is(fixture.bad_fields(format($$ select fixture.call('bob', 'mark_%s', pg_temp.at(%L), p_body => %L) $$,
                                    f, :'id', b)), '/number', f || ' with ' || b || ' is refused')
  from unnest('{read,delivered}'::text[]) f,
       unnest('{"{}","{\"number\": \"3\"}","{\"number\": -1}","{\"number\": 1.5}","{\"number\": null}"}'::text[]) b;

-- The count is exact: against a count of the rows, through a random walk of messages and marks.
create temporary table walk (step int, said text, counted bigint);
select setseed(0.42) \g /dev/null
do $$
declare
    v_id   text := (select conversation_id from kiln.conversation where not is_group order by 1 desc limit 1);
    v_who  text;
begin
    for i in 1 .. 60 loop
        v_who := (array['ann', 'bob'])[1 + floor(random() * 2)];
        if random() < 0.7 then
            perform pg_temp.say(v_who, v_id, '{"text": "x"}');
        else
            perform pg_temp.mark(v_who, 'read', v_id, floor(random() * (i + 5))::bigint);
        end if;
        insert into walk
        select i, fixture.call(m.sub, 'get_conversation', pg_temp.at(v_id)) ->> 'unread',
               (select count(*) from kiln.message g
                  join kiln.member r on r.conversation_id = g.conversation_id
                   and r.account_id = fixture.account(m.sub)
                 where g.conversation_id = v_id::bigint and g.account_id <> r.account_id
                   and g.number > r.read_number)
          from (values ('ann'), ('bob')) m (sub);
    end loop;
end $$;
select is_empty('select * from walk where said <> counted::text',
                'the unread count is the count, after each of sixty steps');
select ok((select max(counted) from walk) > 5, 'which was not always nothing');

-- Edit and delete -------------------------------------------------------------------------------------------

select is(fixture.call('ann', 'edit_message', pg_temp.at(:'one'::jsonb ->> 'id'),
                       p_body => '{"text": "Hello!"}') ->> 'text', 'Hello!', 'an author changes the words');
select is((s ->> 'type', s -> 'message' ->> 'text', s -> 'message' ->> 'edited_at' is not null)::text,
          '(message.edited,Hello!,t)', 'which the other''s stream tells') from pg_temp.last(:bob) s;
select is(fixture.bad_fields(format($$ select fixture.call('ann', 'edit_message', pg_temp.at(%L),
                                                           p_body => %L) $$, :'one'::jsonb ->> 'id', b)), w,
          'an edit with ' || b || ' is refused')
  from (values ('{}', '/text'), ('{"text": null}', '/text'), ('{"text": ""}', '/text'),
        ('{"text": "x", "media": []}', '/media')) v (b, w);
select is(fixture.call('ann', 'delete_message', pg_temp.at(:'one'::jsonb ->> 'id')), null,
          'and takes them back');
select is((m ->> 'number', m ->> 'is_deleted', m ->> 'text', m -> 'media')::text, '(1,true,,[])',
          'a tombstone stays in its place')
  from fixture.call('bob', 'get_message', pg_temp.at(:'one'::jsonb ->> 'id')) m;
select is((s ->> 'type', s -> 'message' ->> 'is_deleted')::text, '(message.deleted,true)', 'the streams tell')
  from pg_temp.last(:bob) s;
select is_empty($$ select s from pg_temp.stream(fixture.account('bob')) s
                    where s::text like '%Hello%' $$, 'and none repeats what was taken back');
select is(fixture.call('bob', 'get_message',
                       pg_temp.at(:'three'::jsonb ->> 'id')) -> 'reply_to' -> 'is_deleted', 'true',
          'nor does an answer');
select is(pg_temp.code(format($$ select fixture.call('ann', %L, pg_temp.at(%L), p_body => '{"text": "x"}') $$,
                              f, :'one'::jsonb ->> 'id')), 'KN001', f || ': what is deleted stays so')
  from unnest('{edit_message,delete_message}'::text[]) f;
delete from kiln.media where media_id = :picture;
select is(fixture.call('bob', 'get_message', pg_temp.at(:'three'::jsonb ->> 'id')) -> 'media', '[]',
          'media that are gone are left out');

-- Groups ----------------------------------------------------------------------------------------------------

select fixture.call('ann', 'create_conversation',
                    p_body => format('{"title": "Us", "members": ["%s", "%s"]}', :bob, :bob))
       ->> 'id' as g \gset
create function pg_temp.members(p_sub text, p_id text) returns text language sql
as $$ select string_agg(coalesce(i ->> 'handle', '?') || case when (i -> 'is_maker')::boolean then '*'
                                                              else '' end, ' ' order by i ->> 'handle')
        from jsonb_array_elements(fixture.call(p_sub, 'list_members', pg_temp.at(p_id)) -> 'items') i $$;
select is(pg_temp.members('bob', :'g'), 'test_ann* test_bob', 'a group is made, each in it once');
select isnt(fixture.call('ann', 'create_conversation',
                         p_body => format('{"members": ["%s"]}', :bob)) ->> 'id', :'g',
            'the same people may have many');
select pg_temp.say('ann', :'g', '{"text": "before"}') ->> 'id' as before \gset
select is(jsonb_array_length(fixture.call('bob', 'add_member', pg_temp.at(:'g'),
                                          p_body => format('{"account_id": "%s"}', :cat)) -> 'items'), 3,
          'any member adds another');
select lives_ok(format($$ select fixture.call('bob', 'add_member', pg_temp.at(%L),
                                              p_body => '{"account_id": "%s"}') $$, :'g', :cat),
                'twice is once');
select is(pg_temp.members('cat', :'g'), 'test_ann* test_bob test_cat', 'whom the newcomer sees');
select is((s ->> 'change', s -> 'account' ->> 'handle', s ->> 'title')::text, '(joined,test_cat,Us)',
          'the streams tell') from pg_temp.last(:ann) s;
select is(fixture.call('cat', 'get_conversation', pg_temp.at(:'g')) ->> 'unread', '0',
          'what was said before is not unread');
select is(jsonb_array_length(fixture.call('cat', 'list_messages', pg_temp.at(:'g')) -> 'items'), 1,
          'but can be read');
select is((pg_temp.ticks('ann', :'before') ->> 'of')::int, 1, 'and its ticks do not wait for the newcomer');
select pg_temp.say('ann', :'g', '{"text": "all"}') ->> 'id' as all \gset
select pg_temp.mark('bob', 'read', :'g', 2), pg_temp.mark('cat', 'delivered', :'g', 2) \g /dev/null
select is(pg_temp.ticks('ann', :'all'), '{"state": "delivered", "delivered": 2, "read": 1, "of": 2}',
          'a message to a group is delivered when all have it, read when all have read it');
select is(fixture.call('cat', 'remove_member', pg_temp.at(:'g')), null, 'one leaves');
select is(pg_temp.members('ann', :'g'), 'test_ann* test_bob', 'and is gone');
select is((s ->> 'change', s -> 'account' ->> 'handle')::text, '(left,test_cat)',
          'whose devices are told too') from pg_temp.last(:cat) s;
select is(pg_temp.ticks('ann', :'all') ->> 'of', '2', 'the ticks of before still count who has left');
select pg_temp.say('ann', :'g', '{"text": "later"}') ->> 'id' as later \gset
select is(pg_temp.ticks('ann', :'later') ->> 'of', '1', 'those of later do not');
select lives_ok(format($$ select fixture.call('ann', 'add_member', pg_temp.at(%L),
                                              p_body => '{"account_id": "%s"}') $$, :'g', :cat),
                'one comes back');
select is(jsonb_array_length(fixture.call('cat', 'list_messages', pg_temp.at(:'g')) -> 'items'), 3,
          'and sees all again');
select is(fixture.call('ann', 'remove_member', pg_temp.at(:'g')), null, 'who made the group leaves');
select is(pg_temp.members('bob', :'g'), 'test_bob* test_cat', 'and the oldest member has it then');
select is(fixture.call('bob', 'remove_member', pg_temp.at(:'g'), jsonb_build_object('account_id', :'cat')),
          null, 'who has it removes another');
select is(pg_temp.code(format($$ select fixture.call('bob', 'remove_member', pg_temp.at(%L),
                                                     '{"account_id": "%s"}') $$, :'g', :cat)), 'KN002',
          'once');
select fixture.call('ann', 'create_conversation', p_body => '{"members": []}') ->> 'id' as big \gset
insert into kiln.member (conversation_id, account_id) select :big, account_id from kiln.account
                                                       where handle like 'crowd%';
insert into kiln.member (conversation_id, account_id) select :big, a
                                                        from (select (kiln_internal.make_account('',
                                                            'more' || n)) a from generate_series(1, 225) n) x;
select is(pg_temp.code(format($$ select fixture.call('ann', 'add_member', pg_temp.at(%L),
                                                     p_body => '{"account_id": "%s"}') $$, :'big', :bob)),
          'KN001', 'a group has 256 members at most');
-- Whoever was added to a large group was not in the answer, which showed the oldest twenty; and cursors
-- counted, so when one of those before left between two pages, somebody was passed over.
select fixture.call('ann', 'create_conversation', p_body => '{"members": []}') ->> 'id' as large \gset
insert into kiln.member (conversation_id, account_id, joined_at)
select :large, account_id,
       kiln_internal.now() - interval '1 microsecond' * row_number() over (order by account_id % 7,
                                                        account_id) from kiln.account
 where handle like 'crowd%';
create function pg_temp.page(p_cursor text) returns jsonb language sql
as $$ select fixture.call('ann', 'list_members', pg_temp.at(current_setting('test.big')),
                          jsonb_strip_nulls(jsonb_build_object('limit', '10', 'cursor', p_cursor))) $$;
select set_config('test.big', :'large', true) \g /dev/null
select pg_temp.page(null) as p1 \gset
select fixture.call('ann', 'remove_member', pg_temp.at(:'large'),
                    jsonb_build_object('account_id', :'p1'::jsonb #>> '{items,0,id}')) \g /dev/null
select fixture.call('ann', 'remove_member', pg_temp.at(:'large'),
                    jsonb_build_object('account_id', :'p1'::jsonb #>> '{items,9,id}')) \g /dev/null
select pg_temp.page(:'p1'::jsonb ->> 'next_cursor') as p2 \gset
select pg_temp.page(:'p2'::jsonb ->> 'next_cursor') as p3 \gset
select pg_temp.page(:'p3'::jsonb ->> 'next_cursor') as p4 \gset
select is(jsonb_path_query_array(jsonb_build_array(:'p1'::jsonb, :'p2'::jsonb, :'p3'::jsonb, :'p4'::jsonb),
                                 '$[*].items[*].id'),
          (select jsonb_agg(account_id::text order by joined_at, account_id) from kiln.member
            where conversation_id = :large),
          'a list of members passes over nobody, and shows nobody twice, when some leave between two pages');
select is(:'p4'::jsonb -> 'next_cursor', 'null', 'and ends');
select is(pg_temp.code(format('select pg_temp.page(%L)', c)), 'KN006', 'no cursor of ours: ' || c)
  from unnest('{x,7,1.2.3,.1,9999999999999999999.1}'::text[]) c;
select fixture.call('ann', 'add_member', pg_temp.at(:'large'),
                    p_body => format('{"account_id": "%s"}', :bob)) as added \gset
select is(jsonb_build_array(:'added'::jsonb #> '{items,19,handle}',
                            jsonb_array_length(:'added'::jsonb -> 'items'), :'added'::jsonb -> 'next_cursor'),
          '["test_bob", 20, null]',
          'who adds one to a large group is shown the page that ends with that one');
select fixture.call('ann', 'add_member', pg_temp.at(:'large'),
                    p_body => format('{"account_id": "%s"}', :'p2'::jsonb #>> '{items,4,id}')) as again \gset
select is(:'again'::jsonb #>> '{items,-1,id}', :'p2'::jsonb #>> '{items,4,id}',
          'also when that one was in it already');
select is(pg_temp.page(:'again'::jsonb ->> 'next_cursor') #> '{items,0}', :'p2'::jsonb #> '{items,5}',
          'and from there one goes on');
delete from kiln.conversation where conversation_id = :large;

-- Invitations -----------------------------------------------------------------------------------------------

select fixture.call('eve', 'create_invite') as invite \gset
select matches(:'invite'::jsonb ->> 'token', '^[0-9a-f]{64}$', 'an invitation is a random token');
select is(:'invite'::jsonb ->> 'expires_at', '2030-01-08T12:00:00.000Z', 'good for a week');
select is_empty(format('select * from kiln.invite i where i::text like %L',
                       '%' || (:'invite'::jsonb ->> 'token') || '%'), 'which is not kept');
create function pg_temp.invited(p_sub text, p_function text, p_token text) returns jsonb language sql
as $$ select fixture.call(p_sub, p_function, p_body => jsonb_build_object('token', p_token)::text) $$;
select is(pg_temp.invited('dan', 'find_invite', :'invite'::jsonb ->> 'token') -> 'from' ->> 'id', :'eve',
          'by it people are found who have no handle');
select pg_temp.invited('dan', 'accept_invite', :'invite'::jsonb ->> 'token') as e \gset
select is(:'e'::jsonb -> 'with' ->> 'id', :'eve', 'and talked to');
select is(pg_temp.invited('dan', 'accept_invite', :'invite'::jsonb ->> 'token') ->> 'id',
          :'e'::jsonb ->> 'id', 'twice is once');
select is(pg_temp.code(format($$ select pg_temp.invited('eve', 'accept_invite', %L) $$,
                              :'invite'::jsonb ->> 'token')), 'KN001', 'one''s own leads nowhere');
select fixture.call('bob', 'create_invite',
                    p_body => format('{"conversation_id": "%s", "expires_in_s": 60}', :'g')) as into_g \gset
select is(pg_temp.invited('dan', 'accept_invite', :'into_g'::jsonb ->> 'token') ->> 'title', 'Us',
          'another kind leads into a group');
select is(fixture.call('bob', 'remove_member', pg_temp.at(:'g'), jsonb_build_object('account_id', :'dan')),
          null, 'who is removed');
select is(pg_temp.code(format($$ select pg_temp.invited('dan', 'accept_invite', %L) $$,
                              :'into_g'::jsonb ->> 'token')), 'KN002', 'does not come back by the link');
select fixture.call('bob', 'create_invite', p_body => '{"expires_in_s": 60}') as short \gset
select fixture.pass('61 seconds') \g /dev/null
select is(pg_temp.code(format($$ select pg_temp.invited('dan', %L, %L) $$, f, :'short'::jsonb ->> 'token')),
          'KN002', f || ': an expired one is none') from unnest('{find_invite,accept_invite}'::text[]) f;
select is(fixture.call('eve', 'delete_invite', pg_temp.at(:'invite'::jsonb ->> 'id')), null,
          'an invitation is taken back');
select is(pg_temp.code(format($$ select pg_temp.invited('cat', 'accept_invite', %L) $$,
                              :'invite'::jsonb ->> 'token')), 'KN002', 'then it is none');
select is(pg_temp.code($$ select pg_temp.invited('cat', 'accept_invite', 'x') $$), 'KN002',
          'nor is what never was one');
select is(fixture.call('eve', 'list_invites') -> 'items' -> 0 ->> 'id', :'invite'::jsonb ->> 'id',
          'one sees one''s own');
select is(fixture.bad_fields(format($$ select fixture.call('bob', 'create_invite', p_body => %L) $$, b)),
          '/expires_in_s', 'refused: ' || b)
  from unnest('{"{\"expires_in_s\": 59}","{\"expires_in_s\": 2592001}","{\"expires_in_s\": \"x\"}"}'::text[]) b;
select is(pg_temp.code(format($$ select fixture.call('ann', 'create_invite',
                                                     p_body => '{"conversation_id": "%s"}') $$, :'id')),
          'KN001', 'a conversation of two has room for two');
select fixture.call('bob', 'create_invite', p_body => '{}', p_key => 'i') ->> 'id' as i \gset
select is((fixture.refusal($$ select fixture.call('bob', 'create_invite', p_body => '{}',
                                                  p_key => 'i') $$) - 'message' - 'hint'),
          jsonb_build_object('code', 'KN015', 'detail', format('{"id" : "%s"}', :'i')),
          'a repeat does not show the token again');

-- Lists -----------------------------------------------------------------------------------------------------

select pg_temp.say('bob', :'id', '{"text": "newest"}') \g /dev/null
select is(fixture.call('ann', 'list_conversations') -> 'items' -> 0 ->> 'id', :'id',
          'the conversation with the latest message is the first');
select is(fixture.call('ann', 'list_conversations') -> 'items' -> 0 -> 'last_message' ->> 'text', 'newest',
          'which it shows');
select is((select count(*)::int from (
        with recursive w as (select fixture.call('ann', 'list_conversations',
                                                 p_query => '{"limit": "1"}') as page, 1 as n
                             union all select fixture.call('ann', 'list_conversations',
                                                           p_query => jsonb_build_object('limit', '1',
                                                               'cursor', page ->> 'next_cursor')), n + 1
                                         from w where page ->> 'next_cursor' is not null and n < 20)
        select distinct page -> 'items' -> 0 ->> 'id' from w) x), 4, 'walking by the cursor shows each once');

-- A hundred thousand messages.
insert into kiln.message (conversation_id, number, account_id, author_number, text)
select :big, n, :ann, n, 'm' || n from generate_series(1, 100000) n;
set role kiln_owner; update kiln.conversation set last_number = 100000
                      where conversation_id = :big; reset role;
set role kiln_owner; update kiln.member set posted = 100000
                      where conversation_id = :big and account_id = :ann; reset role;
select is((select array_agg(i ->> 'text' order by n)
             from jsonb_array_elements(fixture.call('ann', 'list_messages', pg_temp.at(:'big'),
                                                    jsonb_build_object('limit', '3',
                                                                       'cursor', kiln_internal.render_cursor(50001))) -> 'items') with ordinality x (i, n)),
          '{m50000,m49999,m49998}', 'one pages back into the middle of a hundred thousand messages');
create function pg_temp.walk(p_id text) returns bigint[] language plpgsql as $$
declare v_page jsonb; v_cursor text; v_all bigint[] := '{}';
begin
    for i in 1 .. 30 loop
        v_page := fixture.call('ann', 'list_messages', pg_temp.at(p_id),
                               jsonb_strip_nulls(jsonb_build_object('limit', '10', 'cursor', v_cursor)));
        v_all := v_all || array(select (x ->> 'number')::bigint
                                  from jsonb_array_elements(v_page -> 'items') x);
        v_cursor := v_page ->> 'next_cursor';
        exit when v_cursor is null;
    end loop;
    return v_all;
end $$;
select is(pg_temp.walk(:'id'), (select array_agg(n order by n desc)
                                  from generate_series(1, (select last_number from kiln.conversation
                                                            where conversation_id = :id)) n),
          'walking back shows each message once, and all');
select is(fixture.call('cat', 'find_people',
                       p_query => '{"handle": "test_ann"}') -> 'items' -> 0 ->> 'handle', 'test_ann',
          'finding is a matter of an index too');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

-- Who may do what in chat: a member, somebody else, an administrator, nobody, who has left, who is blocked.
-- Asked of the routes, and of the wall behind them.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
select fixture.act_as('cat'), fixture.act_as('dan') \g /dev/null
update kiln.account set handle = 'test_' || i.subject from kiln.identity i
 where i.account_id = account.account_id and i.subject in ('cat', 'dan');
select fixture.account('ann') as ann, fixture.account('bob') as bob, fixture.account('cat') as cat,
       fixture.account('dan') as dan \gset
create function pg_temp.at(p_id text) returns jsonb language sql
as $$ select jsonb_build_object('id', p_id) $$;
create function pg_temp.code(p_sub text, p_function text, p_id text, p_body text default null,
                             p_query text default '{}') returns text language sql as $$
    select coalesce(fixture.refusal(format('select fixture.call(%L, %L, %L, %L, %L)', p_sub, p_function,
                                           pg_temp.at(p_id), p_query, p_body)) ->> 'code', 'well')
$$;

-- ann made the group; bob is in it; cat was, up to message 2; dan and the administrator never.
select fixture.call('ann', 'create_conversation',
                    p_body => format('{"title": "G", "members": ["%s", "%s"]}', :bob, :cat))
       ->> 'id' as g \gset
select fixture.call('ann', 'create_message', pg_temp.at(:'g'),
                    p_body => '{"text": "one"}') ->> 'id' as one \gset
select fixture.call('cat', 'create_message', pg_temp.at(:'g'),
                    p_body => '{"text": "cats"}') ->> 'id' as cats \gset
select fixture.call('cat', 'remove_member', pg_temp.at(:'g')) \g /dev/null
select fixture.media('ann') as picture \gset
select fixture.call('ann', 'create_message', pg_temp.at(:'g'),
                    p_body => format('{"text": "after", "media": ["%s"]}', :picture)) ->> 'id' as after \gset
select fixture.call('ann', 'create_invite',
                    p_body => format('{"conversation_id": "%s"}', :'g')) as invite \gset

-- Every route that names a conversation or a message, as each of them. remove_member and delete_message come
-- last: they change something.
create temporary table route (turn int, f text, id text, body text, query text, anns text, bobs text,
                              cats text, others text);
insert into route values
    (1, 'get_conversation', :'g', null, '{}', 'well', 'well', 'well', 'KN002'),
    (2, 'list_members', :'g', null, '{}', 'well', 'well', 'well', 'KN002'),
    (3, 'list_messages', :'g', null, '{}', 'well', 'well', 'well', 'KN002'),
    (4, 'get_message', :'one', null, '{}', 'well', 'well', 'well', 'KN002'),
    (5, 'get_message', :'after', null, '{}', 'well', 'well', 'KN002', 'KN002'),
    (6, 'create_message', :'g', '{"text": "x"}', '{}', 'well', 'well', 'KN004', 'KN002'),
    (7, 'mark_delivered', :'g', '{"number": 3}', '{}', 'well', 'well', 'well', 'KN002'),
    (8, 'mark_read', :'g', '{"number": 3}', '{}', 'well', 'well', 'well', 'KN002'),
    (9, 'edit_message', :'one', '{"text": "x"}', '{}', 'well', 'KN004', 'KN004', 'KN002'),
    (10, 'edit_message', :'cats', '{"text": "x"}', '{}', 'KN004', 'KN004', 'KN004', 'KN002'),
    (11, 'add_member', :'g', format('{"account_id": "%s"}', :bob), '{}', 'well', 'KN003', 'KN004', 'KN002'),
    (12, 'create_invite', '', format('{"conversation_id": "%s"}', :'g'), '{}', 'well', 'well', 'KN004',
     'KN002'),
    (13, 'remove_member', :'g', null, format('{"account_id": "%s"}', :ann), null, 'KN004', 'KN004', 'KN002'),
    (14, 'delete_message', :'one', null, '{}', null, 'KN004', 'KN004', 'KN002');
select is(pg_temp.code('ann', f, id, body, query), anns, f || ' ' || turn || ', as who made the group')
  from route where anns is not null order by turn;
select is(pg_temp.code('bob', f, id, body, query), bobs, f || ' ' || turn || ', as a member') from route
 order by turn;
select is(pg_temp.code('cat', f, id, body, query), cats, f || ' ' || turn || ', as one who has left')
  from route order by turn;
select is(pg_temp.code('dan', f, id, body, query), others, f || ' ' || turn || ', as somebody else')
  from route order by turn;
select is(pg_temp.code('admin', f, id, body, query), others,
          f || ' ' || turn || ', as an administrator: chat is not theirs to read') from route order by turn;
select is(pg_temp.code(null, f, id, body, query), 'KN009', f || ' ' || turn || ', as nobody') from route
 order by turn;
select is(pg_temp.code(null, f, '1', '{}', '{"handle": "test"}'), 'KN009',
          f || ': without a token there is nothing')
  from unnest('{find_people,list_invites,delete_invite,find_invite,accept_invite,create_conversation,'
              'list_conversations,create_block,list_blocks,delete_block}'::text[]) f;
select is(pg_temp.code('ann', f, i, '{"text": "x", "number": 1}'), 'KN002',
          f || format(': nothing has the id %L', i))
  from unnest('{get_conversation,list_messages,create_message,mark_read,get_message,delete_message,'
              'list_members,delete_invite}'::text[]) f, unnest(array['x', '', '-1', '999999999', null]) i;
select is(pg_temp.code(s, 'delete_invite', :'invite'::jsonb ->> 'id'), 'KN002',
          s || ' takes back nobody else''s invitation') from unnest('{bob,dan,admin}'::text[]) s;

-- Who has left sees up to then.
select is((select array_agg((i ->> 'number')::int)
             from jsonb_array_elements(fixture.call('cat', 'list_messages', pg_temp.at(:'g')) -> 'items') i),
          '{2,1}', 'who has left pages back from its leaving');
select is((select array_agg((i ->> 'number')::int)
             from jsonb_array_elements(fixture.call('cat', 'list_messages', pg_temp.at(:'g'),
                                                    jsonb_build_object('cursor',
                                                                       kiln_internal.render_cursor(999)))
                                       -> 'items') i), '{2,1}', 'whatever cursor it makes up');
select is((select array_agg((i ->> 'number')::int)
             from jsonb_array_elements(fixture.call('cat', 'list_messages', pg_temp.at(:'g'),
                                                    jsonb_build_object('cursor',
                                                                       kiln_internal.render_cursor(2)))
                                       -> 'items') i), '{1}', 'and goes on from a cursor of its own');
select is((c -> 'last_number', c -> 'last_message' ->> 'text', c -> 'has_left', c -> 'read_number')::text,
          '(2,cats,true,2)', 'its conversation ends there, and so do its marks')
  from fixture.call('cat', 'get_conversation', pg_temp.at(:'g')) c;
select is_empty(format('select 1 from kiln.event e where e.account_id = %s and e.data ->> %L = %L', :cat,
                       'message_id', :'after'), 'and its stream told nothing of later');
select is_empty(format('select 1 from kiln.event e where e.account_id in (%s, %s) and e.data ? %L', :dan,
                       fixture.account('admin'), 'conversation_id'), 'nor did any other''s, ever');

-- The wall: routes whose author forgot to ask.
create function kiln_api.careless(p_actor bigint, p_path jsonb, p_query jsonb, p_body text) returns json
language plpgsql security definer set search_path = ''
as $$ begin return (select json_build_object('conversations', (select count(*)
                                                                 from kiln.conversation),
                                             'members', (select count(*) from kiln.member),
                                             'messages', (select count(*) from kiln.message),
                                             'invites', (select count(i.invite_id)
                                                           from kiln.invite i))); end $$;
grant create on schema kiln_api to kiln_definer;
alter function kiln_api.careless(bigint, jsonb, jsonb, text) owner to kiln_definer;
revoke create on schema kiln_api from kiln_definer;
grant execute on function kiln_api.careless(bigint, jsonb, jsonb, text) to kiln_server;
select is(fixture.call(s, 'careless'), w::jsonb, 'a careless function shows ' || coalesce(s, 'nobody')
          || ' what is theirs') from (values
    ('ann', '{"conversations": 1, "members": 3, "messages": 5, "invites": 2}'),
                                   ('bob', '{"conversations": 1, "members": 3, "messages": 5, "invites": 1}'),
    ('cat', '{"conversations": 1, "members": 1, "messages": 2, "invites": 0}'),
                                   ('dan', '{"conversations": 0, "members": 0, "messages": 0, "invites": 0}'),
    ('admin', '{"conversations": 0, "members": 0, "messages": 0, "invites": 0}'),
                          (null, '{"conversations": 0, "members": 0, "messages": 0, "invites": 0}')) v (s, w);
set local role kiln_definer;
select throws_ok(s, '42501', null, 'nor can it: ' || s)
  from unnest(array['insert into kiln.message (conversation_id, number, account_id, author_number, text) '
                    'values (1, 1, 1, 1, ''x'')', 'update kiln.member set read_number = 9',
    'delete from kiln.block', 'update kiln.conversation set made_by = 1',
                                                        'select token_hash from kiln.invite']) s;
reset role;
select is_empty($$ select relname from pg_class
                    where oid = any ('{kiln.conversation,kiln.member,kiln.message,kiln.block,kiln.invite,'
                                     'kiln.notification,kiln.announcement}'::regclass[])
                and not relrowsecurity $$, 'every table of chat has its wall');

-- Blocked ---------------------------------------------------------------------------------------------------

select fixture.call('ann', 'create_conversation',
                    p_body => format('{"account_id": "%s"}', :dan)) ->> 'id' as two \gset
select fixture.call('dan', 'create_message', pg_temp.at(:'two'),
                    p_body => '{"text": "hello", "client_id": "d"}') ->> 'id' as hello \gset
select fixture.call('ann', 'create_message', pg_temp.at(:'two'),
                    p_body => '{"text": "hello too"}') ->> 'id' as ours \gset
select fixture.call('ann', 'create_invite') ->> 'token' as token \gset
select is(fixture.call('ann', 'create_block', p_body => format('{"account_id": "%s"}', :dan)),
          jsonb_build_object('account_id', :'dan'), 'one blocks another') from generate_series(1, 2);
select is(pg_temp.code('dan', 'create_message', :'two', '{"text": "x"}'), 'KN004',
          'who is blocked writes no more');
select is(pg_temp.code('ann', 'create_message', :'two', '{"text": "x"}'), 'KN004', 'nor does who blocks');
select is(pg_temp.code('dan', 'create_message', :'two', '{"text": "hello", "client_id": "d"}'), 'well',
          'a message that was accepted before is still answered');
-- A change of an old message said new things to who had blocked its author, and told it on the stream.
select is(pg_temp.code('dan', 'edit_message', :'hello', '{"text": "and another thing"}'), 'KN004',
          'who is blocked says nothing by changing what was said');
select is(pg_temp.code('ann', 'edit_message', :'ours', '{"text": "x"}'), 'KN004', 'nor does who blocks');
select is(pg_temp.code('ann', 'delete_message', :'ours'), 'well',
          'to take back what one said is open to both');
select is(pg_temp.code('dan', f, i), 'well', f || ': what was said can be read')
  from (values ('get_message', :'hello'), ('list_messages', :'two')) v (f, i);
select is(fixture.call(s, 'find_people', p_query => jsonb_build_object('handle', h)) -> 'items', '[]',
          s || ' does not find the other') from (values ('dan', 'test_ann'), ('ann', 'test_dan')) v (s, h);
select is(pg_temp.code(s, 'create_conversation', '', format('{"account_id": "%s"}', o)), 'KN003',
          s || ' begins nothing with the other') from (values ('dan', :ann), ('ann', :dan)) v (s, o);
select is(pg_temp.code(s, 'create_conversation', '', format('{"members": ["%s"]}', o)), 'KN003',
          s || ' makes no group with the other') from (values ('dan', :ann), ('ann', :dan)) v (s, o);
select is(pg_temp.code('ann', 'add_member', :'g', format('{"account_id": "%s"}', :dan)), 'KN003',
          'nor is one added by the other');
select is(pg_temp.code('bob', 'add_member', :'g', format('{"account_id": "%s"}', :dan)), 'well',
          'a third one may');
select is(pg_temp.code('dan', 'create_message', :'g', '{"text": "x"}'), 'well',
          'and in a group both are heard');
select is(pg_temp.code('dan', 'find_invite', '', format('{"token": "%s"}', :'token')), 'KN002',
          'an invitation does not lead past a block');
select is(fixture.call('ann', 'list_blocks') -> 'items' -> 0 ->> 'handle', 'test_dan',
          'one sees whom one has blocked');
select is(fixture.call('dan', 'list_blocks') -> 'items', '[]', 'not by whom one is');
select is(fixture.call('dan', 'delete_block', pg_temp.at(:'ann')), null, 'and ends only one''s own');
select is(pg_temp.code('dan', 'create_message', :'two', '{"text": "x"}'), 'KN004', 'so it is still closed');
select is(fixture.call('ann', 'delete_block', pg_temp.at(:'dan')), null, 'who has blocked ends it')
  from generate_series(1, 2);
select is(pg_temp.code('dan', 'create_message', :'two', '{"text": "x"}'), 'well', 'and it goes on');
select is(pg_temp.code('ann', 'create_block', '', b), w, 'refused: ' || b)
  from (values ('{}', 'KN003'), (format('{"account_id": "%s"}', :ann), 'KN003'),
        ('{"account_id": "999999999"}', 'KN002'), ('{"account_id": "1", "x": 1}', 'KN003')) v (b, w);
select is(pg_temp.code('ann', 'remove_member', :'two'), 'KN001', 'a conversation of two is not left');

-- Only friends of friends and people with a handle are met by id.
select fixture.act_as('loner') \g /dev/null
select is(pg_temp.code('ann', 'create_conversation', '',
                       format('{"account_id": "%s"}', fixture.account('loner'))), 'KN003',
          'counting ids upwards finds nobody without a handle');
-- POST /blocks asked only whether there was such an account, and GET /blocks and the export then showed its
-- name.
update kiln.account set display_name = 'Lo Ner' where account_id = fixture.account('loner');
create function pg_temp.block(p_sub text, p_other bigint) returns jsonb language sql
as $$ select fixture.refusal(format('select fixture.call(%L, %L, p_body => %L)', p_sub, 'create_block',
                                    format('{"account_id": "%s"}', p_other))) $$;
select is(pg_temp.block('ann', fixture.account('loner')), pg_temp.block('ann', 999999999),
          'nor does blocking: who cannot be found is refused as who is not there');
select is(fixture.call('ann', 'list_blocks') -> 'items', '[]', 'and is in no list');
select fixture.call('loner', 'accept_invite',
                    p_body => format('{"token": "%s"}',
                                     fixture.call('ann', 'create_invite') ->> 'token')) \g /dev/null
select is(pg_temp.block('ann', fixture.account('loner')), null, 'whom one has met one may block');
select is(pg_temp.block('loner', :ann), null, 'and the other way round, though blocked');
set role kiln_owner; update kiln.account set is_suspended = true
                      where account_id in (fixture.account('loner'), :bob); reset role;
select is(pg_temp.block('ann', fixture.account('loner')), null, 'also who is suspended');
select is(pg_temp.block('eve', :bob) ->> 'code', 'KN002',
          'but not a suspended one whom one has not met: search does not show it either');
select is(fixture.call('ann', 'delete_block', pg_temp.at(i::text)), null,
          'no longer to block is open whoever it is')
  from (values (fixture.account('loner')), (999999999)) v (i);
select finish();
rollback;

-- Chat, at the same moment: what two sessions make of it.
begin;
\ir ../../fixtures/sessions.sql
select no_plan();
select fixture.open('a'), fixture.open('b') \g /dev/null
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "chat race one"}') $$) as one \gset
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "chat race two"}') $$) as two \gset
select fixture.run('a', $$ update kiln.account a set handle = 'race_' || a.account_id from kiln.identity i
                            where i.account_id = a.account_id and i.subject like 'chat race%' $$) \g /dev/null
create function pg_temp.call(p_who text, p_function text, p_id text, p_body text) returns text language sql
as $$
    select format('select coalesce(kiln_api.%I(kiln_api.act_as(%L), %L, %L, %L) ->> %L, %L)', p_function,
                  jsonb_build_object('sub', 'chat race ' || p_who), jsonb_build_object('id', p_id), '{}',
                  p_body, 'id', 'well')
$$;

-- Both begin at once.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.call('one', 'create_conversation', '',
                                     format('{"account_id": "%s"}', :two))) as id \gset
select is(fixture.begin_run('b', pg_temp.call('two', 'create_conversation', '',
                                              format('{"account_id": "%s"}', :one))), true,
          'who begins a moment later waits');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), :'id', 'and has the same conversation');
select is(fixture.run('a', format('select count(*) from kiln.member where conversation_id = %s', :id)), '2',
          'of two');

-- The same client_id at once.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.call('one', 'create_message', :'id',
                                     '{"text": "x", "client_id": "c"}')) as message \gset
select is(fixture.begin_run('b', pg_temp.call('one', 'create_message', :'id',
                                              '{"text": "x", "client_id": "c"}')), true,
          'the same message, sent again before the first was answered, waits');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), :'message', 'and is the same message');
select is(fixture.run('a',
    format('select count(*) || %L || (select count(*) from kiln.event e where e.data ->> %L = %L) from '
           'kiln.message where conversation_id = %s', ' ', 'message_id', :'message', :id)), '1 2',
       'told once to each');

-- A transaction that does not come to pass leaves no hole, and order is the order of commits.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.call('one', 'create_message', :'id', '{"text": "lost"}')) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('two', 'create_message', :'id', '{"text": "kept"}')), true,
          'two messages come one after the other');
select fixture.run('a', 'rollback') \g /dev/null
select fixture.answer('b') as kept \gset
select is(fixture.run('a', format('select number from kiln.message where message_id = %s', :kept)), '2',
          'one that was rolled back leaves no hole');

-- A block meets a message.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.call('one', 'create_block', '',
                                     format('{"account_id": "%s"}', :two))) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('two', 'create_message', :'id', '{"text": "x"}')), true,
          'a message waits for a block that is on its way');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'KN004', 'and is refused');
select fixture.run('a', pg_temp.call('one', 'delete_block', :'two', null)) \g /dev/null

-- An invitation is accepted while a member is removed, which ends the group's invitations. Each waited for
-- what the other held, and one was refused as a deadlock.
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "chat race three"}') $$) \g /dev/null
select fixture.run('a', pg_temp.call('one', 'create_conversation', '',
                                     format('{"members": ["%s"]}', :two))) as club \gset
select fixture.run('a', format('select kiln_api.create_invite(kiln_api.act_as(%L), %L, %L, %L) ->> %L',
                               '{"sub": "chat race one"}', '{}', '{}',
                               format('{"conversation_id": "%s"}', :'club'), 'token')) as token \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.call('one', 'create_message', :'club', '{"text": "x"}')) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('three', 'accept_invite', '',
                                              format('{"token": "%s"}', :'token'))), true,
          'who accepts an invitation waits for who writes in the group');
select is(fixture.run('a',
    format('select coalesce(kiln_api.remove_member(kiln_api.act_as(%L), %L, %L, null)::text, %L)',
           '{"sub": "chat race one"}', jsonb_build_object('id', :'club'),
           jsonb_build_object('account_id', :'two'), 'well')), 'well',
          'who removes a member does not wait for who accepts');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'KN002', 'and the invitation has ended');

-- Two devices mark at once: the higher one stays.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.call('one', 'mark_read', :'id', '{"number": 2}')) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('one', 'mark_read', :'id', '{"number": 1}')), true,
          'two devices mark one after the other');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), :'id', 'both are answered');
select is(fixture.run('a',
    format('select read_number from kiln.member where conversation_id = %s and account_id = %s', :id, :one)),
          '2', 'and the mark has not gone back');

-- Who leaves while a message is on its way.
select fixture.run('a', pg_temp.call('one', 'create_conversation', '',
                                     format('{"members": ["%s"]}', :two))) as g \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.call('two', 'remove_member', :'g', null)) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('one', 'create_message', :'g', '{"text": "x"}')), true,
          'a message waits for who is leaving');
select fixture.run('a', 'commit') \g /dev/null
select fixture.answer('b') as later \gset
select is(fixture.run('a',
    format('select count(*) from kiln.event e where e.account_id = %s and e.data ->> %L = %L', :two,
           'message_id', :'later')), '0', 'and is not told to who has left');
select is(fixture.run('a',
    format('select until_number from kiln.member where conversation_id = %s and account_id = %s', :g, :two)),
          '0', 'who sees up to then');

-- Tidied up, since all that was committed.
select fixture.run('a', 'delete from kiln.conversation') \g /dev/null
select fixture.run('a', format('delete from kiln.notification where account_id in (%s, %s)', :one,
                               :two)) \g /dev/null
select fixture.tidy('a', 'chat race') \g /dev/null
select finish();
rollback;

-- Accounts and projects, at the same moment: what two sessions make of it.
begin;
\ir ../../fixtures/sessions.sql
select no_plan();
select fixture.open('a'), fixture.open('b') \g /dev/null
create function pg_temp.account(p_who text) returns text language sql
as $$ select fixture.run('a', format('select kiln_api.act_as(%L)',
                                     jsonb_build_object('sub', 'account race ' || p_who))) $$;
create function pg_temp.call(p_who text, p_function text, p_id text, p_body text) returns text language sql
as $$
    select format('select coalesce(kiln_api.%I(kiln_api.act_as(%L), %L, %L, %L) ->> %L, %L)', p_function,
                  jsonb_build_object('sub', 'account race ' || p_who), jsonb_build_object('id', p_id), '{}',
                  p_body, 'id', 'well')
$$;
select pg_temp.account('ann') as ann, pg_temp.account('bob') as bob, pg_temp.account('one') as one,
       pg_temp.account('two') as two, pg_temp.account('cat') as cat \gset

-- Somebody leaves while somebody else writes to him. To empty the handle took the lock of a key, for which
-- the notification's foreign key waited, while the leaving waited for the conversation: one of the two was
-- refused as a deadlock.
select fixture.run('a', format('update kiln.account set handle = %L || account_id where account_id in '
                               '(%s, %s)', 'race_', :'ann', :'bob')) \g /dev/null
select fixture.run('a', pg_temp.call('bob', 'create_conversation', '',
                                     format('{"account_id": "%s"}', :'ann'))) as talk \gset
select fixture.run('b', 'begin'),
       fixture.run('b',
           format('select conversation_id from kiln.conversation where conversation_id = %s for update',
                  :'talk')) \g /dev/null
select is(fixture.begin_run('a', format('select kiln.delete_account(%s)::text', :'ann')), true,
          'who leaves waits for who writes in a conversation of theirs');
select fixture.begin_run('b', pg_temp.call('bob', 'create_message', :'talk', '{"text": "x"}')) \g /dev/null
select matches(fixture.answer('b'), '^[0-9]+$', 'who writes does not wait for who leaves');
select fixture.run('b', 'commit') \g /dev/null
select is(fixture.answer('a'), '', 'and both come to pass');
select is(fixture.run('a', format('select count(*) from kiln.notification where account_id = %s', :'ann')),
          '0', 'with nothing left of who has left');

-- Two administrators take each other's role, or suspend each other.
select fixture.run('a', $$ set role kiln_owner; update kiln.account a set role = 'user'
                                                 where a.role = 'admin'
                                                   and a.account_id
                                                       <> kiln_internal.operator_account(); reset role $$) \g /dev/null
select fixture.run('a', format($$ select count(kiln.set_role(x, 'admin')::text)
                                    from unnest('{%s,%s}'::bigint[]) x $$, :'one', :'two')) \g /dev/null
create function pg_temp.admins() returns text language sql as $$
    select fixture.run('a',
        $q$ select string_agg(i.subject, ', ' order by i.subject) from kiln.account a join kiln.identity i using (account_id) where a.role = 'admin' and not a.is_suspended and i.issuer = '' $q$) $$;
select fixture.run('a', 'begin'),
       fixture.run('a', pg_temp.call('one', 'set_account_role', :'two', '{"role": "user"}')) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('two', 'set_account_role', :'one', '{"role": "user"}')), true,
          'two administrators who take each other''s role come one after the other');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'KN001', 'the second is refused');
select is(pg_temp.admins(), 'account race one', 'and there is an administrator left');
select fixture.run('a', format($$ select kiln.set_role(%s, 'admin')::text $$, :'two')) \g /dev/null
select fixture.run('a', 'begin'),
       fixture.run('a', pg_temp.call('one', 'suspend_account', :'two', '{}')) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('two', 'suspend_account', :'one', '{}')), true,
          'two who suspend each other come one after the other too');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'KN001', 'the second is refused');
select is(pg_temp.admins(), 'account race one', 'and there is one left');
select fixture.run('a', format($$ set role kiln_owner; update kiln.account
                                                          set role = 'user', is_suspended = false
                                                        where account_id in (%s, %s); reset role $$, :'one',
                               :'two')) \g /dev/null

-- A job is deleted while its project is, and another while its account is: there was no such job, and so the
-- project and the account stayed.
create function pg_temp.job(p_account text) returns text language sql
as $$ select fixture.run('a', format('select kiln.enqueue(%L, %L, %s)', 'log', '{}', p_account)) $$;
select pg_temp.job(:'cat') as job, pg_temp.job(:'cat') as last \gset
select fixture.run('a', format($$ insert into kiln.media (account_id, role, state, media_type, content_type,
                                                          bytes, sha256, width, height, storage_key,
                                                          thumbnail_key)
                                  values (%s, 'input', 'ready', 'image', 'image/png', 9,
                                          sha256('account race'), 64, 48, 'ef/' || repeat('c', 30),
                                          'ef/' || repeat('d', 30)) $$, :'cat')),
       fixture.run('a', format($$ insert into kiln.project (account_id, name) values (%s, 'x') $$, :'cat')),
       fixture.run('a', format($$ insert into kiln.picture (project_id, media_id, account_id)
                                  select p.project_id, m.media_id, p.account_id from kiln.project p
                                    join kiln.media m using (account_id) where p.account_id = %s $$, :'cat')),
       fixture.run('a', format($$ insert into kiln.image (job_id, project_id, media_id, account_id, mode,
                                                          room_type, prompt_version, model, variations)
                                  select %s, c.project_id, c.media_id, c.account_id, 'declutter', 'auto', 1,
                                         'local/furnish', 1 from kiln.picture c
                                   where c.account_id = %s $$, :'job', :'cat')) \g /dev/null
select fixture.run('a', format('select project_id from kiln.project where account_id = %s',
                               :'cat')) as project \gset
select fixture.run('a', 'begin'), fixture.run('a', format('select kiln.cancel_job(%s)::text', :'job')),
       fixture.run('a', format('select kiln.delete_job(%s)::text', :'job')) \g /dev/null
select is(fixture.begin_run('b', pg_temp.call('cat', 'delete_project', :'project', null)), true,
          'who deletes a project waits for who deletes an image of it');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'well', 'and deletes it');
select is(fixture.run('a', format('select count(*) from kiln.project where account_id = %s', :'cat')), '0',
          'whole');
select fixture.run('a', format('select kiln.cancel_job(%s)::text', :'last')) \g /dev/null
select fixture.run('a', 'begin'),
       fixture.run('a', format('select kiln.delete_job(%s)::text', :'last')) \g /dev/null
select is(fixture.begin_run('b', format('select kiln.delete_account(%s)::text', :'cat')), true,
          'who deletes an account waits for who deletes a job of it');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), '', 'and deletes it');
select is(fixture.run('a',
    format('select count(*) from kiln.account where account_id = %s and purged_at is not null', :'cat')), '1',
          'to the end');

-- Tidied up, since all that was committed.
select fixture.run('a', format('delete from kiln.conversation where conversation_id = %s',
                               :'talk')) \g /dev/null
select fixture.tidy('a', 'account race') \g /dev/null
select fixture.run('a', format('delete from kiln.account where account_id in (%s, %s)', :'ann',
                               :'cat')) \g /dev/null
select finish();
rollback;

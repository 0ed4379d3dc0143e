-- A job that waits for its files, and checks that end at the same moment.
begin;
\ir ../../fixtures/sessions.sql
select no_plan();
select fixture.open('a'), fixture.open('b') \g /dev/null
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "tryon race"}') $$) as account \gset
create function pg_temp.file(p_n int) returns text language sql as $$
    select fixture.run('a',
        format('insert into kiln.media (account_id, role, state, media_type, content_type, bytes, sha256, '
               'incoming_key) values (%s, %L, %L, %L, %L, 10, %L, %L)',
        (select account_id from kiln.identity where subject = 'tryon race'), 'input', 'uploading', 'image',
                                   'image/png', sha256(convert_to('race' || p_n, 'UTF8')),
                                   'ef/' || lpad(p_n::text, 30, '0')));
    select fixture.run('a', format('select media_id from kiln.media where incoming_key = %L',
                                   'ef/' || lpad(p_n::text, 30, '0'))) $$;
create function pg_temp.job(p_media text) returns text language sql as $$
    select fixture.run('a', format('select kiln.enqueue(%L, %L, %s, p_run_at => %L)', 'log',
                                   jsonb_build_object('media', p_media::jsonb), (select account_id
                                                        from kiln.identity where subject = 'tryon race'),
                                   'infinity')) $$;
create function pg_temp.task(p_job text) returns text language sql
as $$ select fixture.run('a', format('select state from kiln.task where job_id = %s', p_job)) $$;
select pg_temp.file(1) as one, pg_temp.file(2) as two, pg_temp.file(3) as three \gset
select fixture.run('a',
    format('select kiln_internal.check_upload(m)::text from unnest(array[%s, %s, %s]::bigint[]) m limit 1',
           :'one', :'two', :'three')) \g /dev/null
select fixture.run('a',
    format('select count(kiln_internal.check_upload(m)::text) from unnest(array[%s, %s, %s]::bigint[]) m',
           :'one', :'two', :'three')) \g /dev/null

-- Two checks of one job.
select pg_temp.job(format('["%s", "%s"]', :'one', :'two')) as job \gset
select is(fixture.run('a', format('select kiln_internal.await_media(%s)', :'job')), 'true',
          'a job waits for its files');
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', format('select kiln_internal.end_wait(%s)::text', :'one')) \g /dev/null
select is(fixture.begin_run('b', format('select kiln_internal.end_wait(%s)::text', :'two')), true,
          'the second of two checks that end at once waits for the first');
select fixture.run('a', 'commit') \g /dev/null
select fixture.answer('b') \g /dev/null
select is(pg_temp.task(:'job'), 'ready', 'and sees that it is the last: the job may start');

-- A check that ends while a job begins to wait for it.
select pg_temp.job(format('["%s"]', :'three')) as late \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a',
    format('set role kiln_owner; update kiln.media set state = %L, storage_key = %L, incoming_key = null '
           'where media_id = %s; reset role', 'ready', 'ef/' || repeat('a', 30), :'three')) \g /dev/null
select fixture.run('a', format('select kiln_internal.end_wait(%s)::text', :'three')) \g /dev/null
select is(fixture.begin_run('b', format('select kiln_internal.await_media(%s)::text', :'late')), true,
          'who begins to wait for a check that is ending waits for its end first');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'false', 'then there is nothing to wait for');
select is(pg_temp.task(:'late'), 'ready', 'and the job may start');
select is(fixture.run('a', 'select count(*) from kiln.media_wait'), '0', 'nothing is left that waits');

select fixture.run('a',
    format('select count(kiln.cancel_job(check_job_id)) from kiln.media where media_id in (%s, %s, %s)',
           :'one', :'two', :'three')),
       fixture.run('a',
           format('delete from kiln.job where job_id in (select check_job_id from kiln.media where '
                  'account_id = %s)', :'account')),
       fixture.run('a', format('delete from kiln.media where account_id = %s', :'account')) \g /dev/null
select fixture.tidy('a', 'tryon race') \g /dev/null
select finish();
rollback;

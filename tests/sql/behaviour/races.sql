-- Two at the same moment: who waits, who goes past, and what comes out of it.
begin;
\ir ../../fixtures/sessions.sql
select no_plan();
select fixture.open('a'), fixture.open('b') \g /dev/null
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "race"}') $$) as account \gset
select fixture.run('a', $$ select kiln_runner.register('race', 'here', 1, 'test', '{local}',
                                                       8) $$) as runner \gset
create function pg_temp.enqueue() returns text language sql
as $$ select fixture.run('a', format('select kiln.enqueue(%L, p_account_id => %s)', 'log', (select account_id
                                                        from kiln.identity where subject = 'race'))) $$;
create function pg_temp.state(p_job text) returns text language sql
as $$ select fixture.run('a', format('select state from kiln.job where job_id = %s', p_job)) $$;
create function pg_temp.fence(p_job text) returns text language sql
as $$ select fixture.run('a', format('select fence from kiln.task where job_id = %s', p_job)) $$;
create function pg_temp.task(p_job text) returns text language sql
as $$ select (p_job::bigint * 10000 + 100)::text $$;

-- Two claimers.
select pg_temp.enqueue() as one \gset
select pg_temp.enqueue() as two \gset
select fixture.run('a', 'begin'), fixture.run('b', 'begin') \g /dev/null
select is(fixture.run('a', format('select job_id from kiln_runner.claim(%s, 1)', :runner)), :'one',
          'the first claimer is given the first task');
select is(fixture.run('b', format('select job_id from kiln_runner.claim(%s, 1)', :runner)), :'two',
          'the second goes past it and does not wait');
select is(fixture.run('b', format('select count(*) from kiln_runner.claim(%s, 1)', :runner)), '0',
          'and finds nothing more');
select fixture.run('b', 'commit'), fixture.run('a', 'commit') \g /dev/null

-- Two completions of one task.
select pg_temp.fence(:'one') as fence \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', format('select kiln_runner.complete(%s, %s)', pg_temp.task(:'one'),
                               :fence)) \g /dev/null
select is(fixture.begin_run('b', format('select kiln_runner.complete(%s, %s)::text', pg_temp.task(:'one'),
                                        :fence)), true, 'the second of two completions waits for the first');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'KN010', 'and is refused: an outcome is recorded once');
select is(pg_temp.state(:'one'), 'completed', 'which it is');

-- A cancel meets a completion.
select pg_temp.fence(:'two') as fence \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', format('select kiln_runner.complete(%s, %s)', pg_temp.task(:'two'),
                               :fence)) \g /dev/null
select is(fixture.begin_run('b', format('select kiln.cancel_job(%s)::text', :'two')), true,
          'a cancel waits for a completion that is on its way');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'KN001', 'and comes too late');

-- A completion meets a cancel.
select pg_temp.enqueue() as three \gset
select fixture.run('a', format('select job_id from kiln_runner.claim(%s, 1)', :runner)) \g /dev/null
select pg_temp.fence(:'three') as fence \gset
select fixture.run('b', 'begin') \g /dev/null
select is(fixture.run('b', format('select kiln.cancel_job(%s)', :'three')), 'cancelling',
          'a cancel of a running job');
select is(fixture.begin_run('a', format('select kiln_runner.complete(%s, %s)::text', pg_temp.task(:'three'),
                                        :fence)), true, 'lets a completion wait');
select fixture.run('b', 'commit') \g /dev/null
select is(fixture.answer('a'), '', 'which then goes through');
select is(pg_temp.state(:'three'), 'completed', 'and wins: the result is there');

-- A cancel meets a claim, and the other way round.
select pg_temp.enqueue() as four \gset
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', format('select job_id from kiln_runner.claim(%s, 1)', :runner)) \g /dev/null
select is(fixture.begin_run('b', format('select kiln.cancel_job(%s)::text', :'four')), true,
          'a cancel waits for a claim that is on its way');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), 'cancelling', 'and then tells the runner');
select is(fixture.run('a', format('select string_agg(reason, %L) from kiln_runner.beat(%s) where task_id = %s', ' ', :runner, pg_temp.task(:'four'))), 'cancelled', 'at its next beat');

select pg_temp.enqueue() as five \gset
select fixture.run('b', 'begin') \g /dev/null
select is(fixture.run('b', format('select kiln.cancel_job(%s)', :'five')), 'cancelled',
          'while a queued job is being cancelled');
select is(fixture.run('a', format('select count(*) from kiln_runner.claim(%s, 1)', :runner)), '0',
          'no claimer is given it, nor waits for it');
select fixture.run('b', 'commit') \g /dev/null

-- One Idempotency-Key, twice at the same moment.
create function pg_temp.post(p_key text) returns text language sql as $$
    select format('select kiln_api.create_generation(kiln_api.act_as(%L), %L, %L, %L) ->> %L',
                  format('{"sub": "race", "idempotency_key": "%s"}', p_key), '{}', '{}',
                  '{"type": "image", "prompt": "x"}', 'id')
$$;
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.post('twice')) as made \gset
select is(fixture.begin_run('b', pg_temp.post('twice')), true,
          'the second request with a key waits for the first');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), :'made', 'and is answered with what that one made');
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', pg_temp.post('failed')) as lost \gset
select is(fixture.begin_run('b', pg_temp.post('failed')), true, 'it waits as well');
select fixture.run('a', 'rollback') \g /dev/null
select isnt(fixture.answer('b'), :'lost', 'for one that then fails, and makes its own');

-- An account that is seen for the first time, twice at once.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "race new"}') $$) as first \gset
select is(fixture.begin_run('b', $$ select kiln_api.act_as('{"sub": "race new"}')::text $$), true,
          'two first requests of one account');
select fixture.run('a', 'commit') \g /dev/null
select is(fixture.answer('b'), :'first', 'make one account');

-- One timer.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', 'select kiln_runner.tick()') \g /dev/null
select is(fixture.begin_run('b', 'select kiln_runner.tick()::text'), false,
          'while one runner ticks the others leave at once');
select fixture.answer('b'), fixture.run('a', 'commit') \g /dev/null

-- The wakeup: without data, and only where someone sleeps.
select fixture.open('wakeup') \g /dev/null
select fixture.dblink_exec('wakeup', 'listen kiln_work') \g /dev/null
create function pg_temp.rung() returns int language plpgsql as $$
begin
    perform pg_sleep(0.1);
    perform fixture.run('wakeup', 'select 1');
    return (select count(*) from fixture.dblink_get_notify('wakeup'));
end $$;
select pg_temp.enqueue() \g /dev/null
select is(pg_temp.rung(), 0, 'an enqueue rings no wakeup where all are awake');
select fixture.run('a', format('select count(*) from kiln_runner.cycle(%s, %L, %L, %L, 8, %L, true)', :runner,
                               '{}', '{}', '{}', '{}')) \g /dev/null
select pg_temp.rung() \g /dev/null
select pg_temp.enqueue() \g /dev/null
select is(pg_temp.rung(), 1, 'it rings for a runner that sleeps');
select fixture.run('a', format('select kiln.enqueue(%L, p_account_id => %s)', 'local/audio',
                               :account)) \g /dev/null
select is(pg_temp.rung(), 0, 'not for one of other queues');
select fixture.run('a', format('select count(*) from kiln_runner.cycle(%s, %L, %L, %L, 8, %L, false)',
                               :runner, '{}', '{}', '{}', '{}')) \g /dev/null
select pg_temp.enqueue() \g /dev/null
select is(pg_temp.rung(), 0, 'nor for one that has woken up');

-- A hand-over rings as an enqueue does.
select fixture.run('a', $$ select kiln_runner.register('race audio', 'here', 1, 'test', '{audio}',
                                                       8) $$) as audio \gset
select fixture.run('a', $$ select kiln_runner.register('race waiter', 'here', 1, 'test', '{audio}',
                                                       8) $$) as waiter \gset
select fixture.run('a', format('select job_id from kiln_runner.claim(%s, 1)', :audio)) as speech \gset
select pg_temp.fence(:'speech') as fence \gset
select fixture.run('a', format('select count(*) from kiln_runner.cycle(%s, %L, %L, %L, 0, %L, true)', :waiter,
                               '{}', '{}', '{}', '{}')) \g /dev/null
select pg_temp.rung() \g /dev/null
select fixture.run('a', format('select kiln_runner.complete(%s, %s)', pg_temp.task(:'speech'),
                               :fence)) \g /dev/null
select is(pg_temp.rung(), 1, 'a hand-over rings for a waiter of the next stage''s queue');

-- Any login may take any advisory lock, and hold it for ever: nothing of ours waits for one. (kiln.tick was
-- one: its holder stopped every timer.)
select fixture.run('b', $$ select count(pg_advisory_lock(hashtext(n))::text)
                   from unnest('{kiln.tick,kiln.outgoing,kiln.presence,kiln.role}'::text[]) n $$) \g /dev/null
select fixture.run('a', format('select kiln.enqueue(%L, p_account_id => %s, p_run_at => now() + interval %L)',
                               'log', :'account', '1 hour')) as due \gset
select fixture.run('a', format('update kiln.job set run_at = now() where job_id = %s', :'due')) \g /dev/null
select fixture.run('a', 'select kiln_runner.tick()') \g /dev/null
select is(fixture.run('a', format('select state from kiln.task where job_id = %s', :'due')), 'ready',
          'a login that holds every advisory lock stops no timer');
select fixture.run('b', 'select pg_advisory_unlock_all()::text') \g /dev/null
-- Two ticks: one does it, the other does not wait.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', 'select kiln_runner.tick()::text') \g /dev/null
select is(fixture.begin_run('b', 'select kiln_runner.tick()::text'), false,
          'of two ticks at once the second leaves at once');
select fixture.answer('b') \g /dev/null
select fixture.run('a', 'commit') \g /dev/null
-- Priority: whoever holds the task goes on, and its next stage has what its job says.
select fixture.run('a', 'begin') \g /dev/null
select fixture.run('a', format('select task_id from kiln.task_ready where job_id = %s for update',
                               :'due')) \g /dev/null
select is(fixture.begin_run('b', format('update kiln.job set priority = 3 where job_id = %s', :'due')), false,
          'a change of priority does not wait for who is claiming its task');
select fixture.answer('b') \g /dev/null
select fixture.run('a', 'commit') \g /dev/null

select fixture.tidy('a', 'race') \g /dev/null
select finish();
rollback;

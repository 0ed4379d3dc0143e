-- The bus: the log read from positions. Commits come in another order than ids here, so other sessions write
-- (they commit).
begin;
\ir ../../fixtures/sessions.sql
select no_plan();
select fixture.open('a'), fixture.open('b'), fixture.open('c') \g /dev/null
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "bus ann"}') $$) as ann \gset
select fixture.run('a', $$ select kiln_api.act_as('{"sub": "bus bob"}') $$) as bob \gset
create function pg_temp.enqueue(p_session text, p_account bigint) returns text language sql
as $$ select fixture.run(p_session,
                         format('select kiln.enqueue(%L, p_account_id => %s)', 'log', p_account)) $$;
create function pg_temp.code(p_statement text) returns text language plpgsql
as $$ begin execute p_statement; return null; exception when others then return sqlstate; end $$;
create temporary table seen (turn int generated always as identity, batch int, account_id bigint,
                             "position" text, type text, data jsonb);
create temporary table head (batch int, "position" text);
insert into head select 0, kiln_api.bus_head();
-- The pump: reads from the last head on, keeps what came.
create function pg_temp.pump() returns int language plpgsql as $$
declare
    v_batch int := (select max(batch) + 1 from head);
    v_new   int;
begin
    create temporary table now_read on commit drop as
    select r.*, row_number() over () as n
      from (select h."position" as p from head h where h.batch = v_batch - 1) l, kiln_api.bus_read(l.p) r;
    insert into head select v_batch, n.head from now_read n where n.n = 1;
    insert into seen (batch, account_id, "position", type, data)
    select v_batch, n.account_id, n."position", n.type, n.data::jsonb from now_read n where n.n > 1
     order by n.n;
    get diagnostics v_new = row_count;
    drop table now_read;
    return v_new;
end $$;
create function pg_temp.jobs(p_batch int) returns bigint[] language sql
as $$ select coalesce(array_agg((data ->> 'job_id')::bigint order by turn), '{}') from seen
       where batch = p_batch $$;

-- Live ------------------------------------------------------------------------------------------------------

select is(pg_temp.pump(), 0, 'with no event there is only a new head');
select is(split_part((select h."position" from head h where h.batch = 1), '.', 1),
          (select to_hex(s.system_identifier) || '-' || c.timeline_id
             from pg_control_system() s, pg_control_checkpoint() c),
          'a position begins with the cluster and its timeline');
select fixture.run('c', 'begin') \g /dev/null
select fixture.run('c', 'select pg_current_xact_id()') \g /dev/null
select fixture.run('a', 'begin') \g /dev/null
select pg_temp.enqueue('a', :ann) as early \gset
select pg_temp.enqueue('b', :ann) as late \gset
select pg_temp.pump() \g /dev/null
select is(pg_temp.jobs(2), array[:late]::bigint[],
          'an event is read as soon as it is committed, whatever transaction is still open');
select fixture.run('a', 'commit') \g /dev/null
select pg_temp.pump() \g /dev/null
select is(pg_temp.jobs(3), array[:early]::bigint[],
          'one with a smaller id that is committed later is not lost');
select is(pg_temp.pump(), 0, 'and nothing is read twice');
select fixture.run('a', 'begin') \g /dev/null
select pg_temp.enqueue('a', :ann) as never \gset
select pg_temp.pump() \g /dev/null
select fixture.run('a', 'rollback') \g /dev/null
select is(pg_temp.pump(), 0, 'what is rolled back never happened');
select pg_temp.enqueue('b', :bob) as bobs \gset
select pg_temp.enqueue('b', :ann) as third \gset
select pg_temp.enqueue('b', :ann) as fourth \gset
select pg_temp.pump() \g /dev/null
select is(pg_temp.jobs(7), array[:bobs, :third, :fourth]::bigint[],
          'a batch comes in order, of all accounts');
select is((select array_agg(account_id order by turn) from seen
            where batch = 7), array[:bob, :ann, :ann]::bigint[], 'each event with whose it is');
select is(data - 'at', jsonb_build_object('type', 'job.queued', 'job_id', :'bobs', 'kind', 'generation',
                                          'media_type', null, 'state', 'queued', 'version', 1),
          'and what it says') from seen where batch = 7 order by turn limit 1;

-- Replay ----------------------------------------------------------------------------------------------------

create function pg_temp.replay(p_account text, p_from text, p_limit int default 1000)
returns table (n bigint, "position" text, job_id bigint) language sql as $$
    select row_number() over (), r."position", (r.data::jsonb ->> 'job_id')::bigint
      from kiln_api.bus_replay(p_account::bigint, p_from, (select h."position" from head h order by batch desc
                                                            limit 1), p_limit) r
$$;
create function pg_temp.got(p_account text, p_from text, p_limit int default 1000) returns bigint[]
language sql as $$ select coalesce(array_agg(job_id order by n), '{}')
                     from pg_temp.replay(p_account, p_from, p_limit) $$;
select head."position" as start from head where batch = 0 \gset
select is(pg_temp.got(:'ann', :'start'), array[:early, :late, :third, :fourth]::bigint[],
          'a replay gives all of one account since a position');
select is(pg_temp.got(:'bob', :'start'), array[:bobs]::bigint[], 'and nothing of another');
select is(pg_temp.got(:'ann', (select h."position" from head h order by batch desc limit 1)), '{}',
          'from the head there is nothing to replay');
select is(pg_temp.got(:'ann', (select s."position" from seen s where batch = 2)),
          array[:early, :third, :fourth]::bigint[],
          'a stream that saw the late one first is given the early one, and no event twice');
select is(pg_temp.got(:'ann', (select s."position" from seen s where data ->> 'job_id' = :'third')),
          array[:fourth]::bigint[], 'one that broke off in the middle of a batch goes on in its middle');
select is(pg_temp.got(:'ann', (select s."position" from seen s where data ->> 'job_id' = :'fourth')), '{}',
          'at its end there is nothing more');
select is(pg_temp.got(:'ann', :'start', 2), array[:early, :late]::bigint[], 'as many as were asked for');
create function pg_temp.walk(p_account text, p_from text) returns bigint[] language plpgsql as $$
declare
    v_row record;
    v_all bigint[] := '{}';
begin
    loop
        select * into v_row from pg_temp.replay(p_account, p_from, 1);
        exit when not found or cardinality(v_all) > 10;
        v_all := v_all || v_row.job_id;
        p_from := v_row."position";
    end loop;
    return v_all;
end $$;
select is(pg_temp.walk(:'ann', :'start'), array[:early, :late, :third, :fourth]::bigint[],
          'page after page from the last position gives each once');
-- A page that ends in the middle, and news meanwhile.
select r."position" as middle from pg_temp.replay(:'ann', :'start', 2) r where n = 2 \gset
select pg_temp.enqueue('b', :ann) as fifth \gset
select pg_temp.pump() \g /dev/null
select is(pg_temp.got(:'ann', :'middle'), array[:third, :fourth, :fifth]::bigint[],
          'a replay that was broken off goes on into what has come since');

-- A batch of more events than a call reads. (An announcement to a hundred thousand accounts was rendered by
-- one statement, which never ended in time: every stream stood still for ever.)
select h."position" as before from head h order by batch desc limit 1 \gset
select fixture.run('a', 'begin') \g /dev/null
select pg_temp.enqueue('a', case when n % 2 = 0 then :bob else :ann end)
  from generate_series(1, 5) n \g /dev/null
select fixture.run('a', 'commit') \g /dev/null
create temporary table piece (piece int, account_id bigint, "position" text, job_id bigint, head text,
                              rest text, n bigint);
create function pg_temp.read_in_pieces(p_from text) returns void language plpgsql as $$
begin
    for v_piece in 1..9
    loop
        insert into piece select v_piece, r.account_id, r."position", (r.data::jsonb ->> 'job_id')::bigint,
                                 r.head, r.rest, row_number() over ()
                            from kiln_api.bus_read(p_from, p_limit => 2) r;
        p_from := (select p.rest from piece p where p.piece = v_piece and p.rest is not null);
        exit when p_from is null;
        -- commits in between
        if v_piece = 1 then perform pg_temp.enqueue('b', p_account => (select min(p.account_id)
                                                        from piece p)); end if;
    end loop;
end $$;
select pg_temp.read_in_pieces(:'before');
select results_eq('select piece, count(job_id)::int from piece group by piece order by piece',
                  'values (1, 2), (2, 2), (3, 1)',
                  'a large batch comes in pieces, and what is committed meanwhile is not of it');
select is((select count(distinct head)::int from piece), 1, 'all of which lead to the same head');
select is((select array_agg(job_id order by piece, n) from piece
            where job_id is not null), (select array_agg(j.job_id order by j.job_id)
                                          from (select job_id from kiln.job order by job_id desc offset 1
                                                 limit 5) j), 'each event once, in order');
select pg_temp.pump() \g /dev/null
select is((select array_agg(distinct p.wrong)
             from (select p.job_id as wrong from piece p where p.account_id = :ann
             and pg_temp.got(:'ann', p."position") <> (select array_agg(j.job_id order by j.job_id)
                                                         from kiln.job j where j.account_id = :ann
                                                          and j.job_id > p.job_id)) p), null,
          'from the position of any of them a replay brings what comes after it');
select fixture.run('a', format('select kiln.cancel_job(%s)', j.job_id)) from kiln.job j
 where j.state = 'queued' and j.job_id > :fifth \g /dev/null
select pg_temp.pump() \g /dev/null

-- Positions -------------------------------------------------------------------------------------------------

select is(pg_temp.code(format('select count(*) from kiln_api.bus_read(%L)', p)), 'KN013',
          'no position: ' || coalesce(left(p, 60), 'null'))
  from unnest(array['', 'x', '0', 'abc-1.3_3_', replace(:'start', '.', '.x'), split_part(:'start', '.', 1),
                    split_part(:'start', '.', 1) || '.5_3_', split_part(:'start', '.', 1) || '.1_2_~x',
                    :'start' || '~99999999_99999999_~1',
                    repeat('1', 5000), 'beef' || :'start', null]) as p;
select is(pg_temp.code(format('select count(*) from kiln_api.bus_replay(%s, %L, %L, 10)', :ann, p, :'start')),
          'KN013', 'nor to replay from: ' || p) from unnest(array['x', 'abc-1.3_3_']) p;
select is(pg_temp.code(format('select count(*) from kiln_api.bus_read(%L)',
                              split_part(:'start', '.', 1) || '.' || f || '_' || f || '_')), 'KN013',
          'a position that has not come yet is of another past')
  from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000 as f) x;
set role kiln_owner; update kiln.log_start
                        set xid = pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 1; reset role;
select is(pg_temp.code(format('select count(*) from kiln_api.bus_read(%L)', :'start')), 'KN013',
          'a position before the beginning of the log was trimmed, and is said to be');
set role kiln_owner; update kiln.log_start set xid = 0; reset role;
select ok(length(kiln_api.bus_head()) between 20 and 2048, 'a position is short');
select fixture.run('c', 'rollback') \g /dev/null

-- What each event says --------------------------------------------------------------------------------------

select fixture.run('a', $$ select kiln_runner.register('bus', 'here', 1, 'test', '{local}',
                                                       8) $$) as runner \gset
select fixture.run('a', format('select kiln.cancel_job(%s)', j))
  from unnest(array[:early, :late, :bobs, :third, :fourth]) j \g /dev/null
select pg_temp.pump() \g /dev/null
select fixture.run('a', format('select job_id from kiln_runner.claim(%s, 1)', :runner)) \g /dev/null
create function pg_temp.task(p_call text) returns text language sql
as $$ select fixture.run('a',
    format('select %s from kiln.task_running t join kiln.identity i using (account_id) where i.subject = %L',
           p_call, 'bus ann')) $$;
select pg_temp.task($$ kiln_runner.progress(t.task_id, t.fence, 0.25, 'drawing') $$) \g /dev/null
select pg_temp.task($$ kiln_runner.put_media(t.task_id, t.fence, '{"storage_key": "bb/000000000000000000000000000000", "thumbnail_key": "bb/000000000000000000000000000001", "role": "output", "media_type": "image",
    "content_type": "image/png", "bytes": 5, "sha256": "0000000000000000000000000000000000000000000000000000000000000000"}') $$) as media \gset
select pg_temp.task(format($$ kiln_runner.complete(t.task_id, t.fence, '{"media": ["%s"]}') $$,
                              :media)) \g /dev/null
select pg_temp.pump() \g /dev/null
select is((select array_agg(type order by turn) from seen
            where data ->> 'job_id' = :'fifth'), '{job.queued,job.started,job.progress,job.completed}',
          'a whole life, each event in its turn');
select is((select array_agg((data ->> 'version')::int order by turn) from seen
            where data ->> 'job_id' = :'fifth'), '{1,2,2,3}',
          'with the job''s version, which progress repeats');
select is((select data -> 'progress' from seen where data ->> 'job_id' = :'fifth' and type = 'job.progress'),
          '{"fraction": 0.250, "stage": 1, "stages": 1, "label": "drawing"}',
          'progress says how far and what');
select matches((select (data ->> 'result_url') || ' ' || (data ->> 'thumbnail_url') from seen
                 where data ->> 'job_id' = :'fifth' and type = 'job.completed'),
               '^/api/v1/media/[0-9]+\?exp=[0-9]+&sig=[0-9a-f]{64} /api/v1/media/[0-9]+\?variant=thumbnail&',
               'completion leads to the result by signed links');
select is((select data -> 'error' from seen where data ->> 'job_id' = :'third' and type = 'job.cancelled'),
          '{"code": "cancelled", "message": "Cancelled."}', 'an end that is none says why');
select is((select array_agg(distinct data ->> 'state') from seen
            where type = 'job.cancelled'), '{cancelled}', 'an event carries the state after it');
select matches((select data ->> 'at' from seen order by turn
                 limit 1), '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$', 'and its time, in UTC');
select is((select array_agg(n) from (select count(*) as n from seen
                                      group by data ->> 'job_id', type, data ->> 'version') x
            where n > 1), null, 'nothing was seen twice');
select fixture.run('a', format('delete from kiln.job where job_id = %s', :fifth)) \g /dev/null
select is(cardinality(pg_temp.got(:'ann', :'start')), (select count(*)::int from seen
                                                        where account_id = :ann),
          'events of a job that was deleted can still be replayed');
select is(fixture.run('a', format('select data from kiln.event where account_id = %s and type = %L', :ann,
                                  'media.ready')), null, 'what a task makes is told with its job, not alone');

-- What is about no job.
select fixture.run('a', $$ select kiln_api.create_upload(kiln_api.act_as('{"sub": "bus ann"}'), '{}', '{}',
            '{"filename": "a.png", "content_type": "image/png", "bytes": 5}')::text $$)::jsonb as upload \gset
select jsonb_build_object('exp', substring(u ->> 'url' from 'exp=([0-9]+)'),
                          'sig', substring(u ->> 'url' from 'sig=([0-9a-f]+)')) as way
  from (select :'upload'::jsonb as u) x \gset
select fixture.run('a', format($$ select kiln_api.begin_upload(null, %L, %L, null) ->> 'upload_session' $$,
                               jsonb_build_object('id', :'upload'::jsonb ->> 'media_id'),
                               :'way')) as receiving \gset
select fixture.run('a', format($$ select kiln_api.finish_upload(null, %L, %L, %L)::text $$,
                               jsonb_build_object('id', u ->> 'media_id'), :'way',
       jsonb_build_object('upload_session', :'receiving', 'storage_key', 'bc/000000000000000000000000000000',
                          'bytes', 5, 'sha256', repeat('0', 64), 'content_type', 'image/png')))
  from (select :'upload'::jsonb as u) x \g /dev/null
select fixture.run('a', format($$ select kiln_api.complete_upload(kiln_api.act_as('{"sub": "bus ann"}'), %L,
                                                                  '{}', null)::text $$,
                               jsonb_build_object('id', :'upload'::jsonb ->> 'media_id'))) \g /dev/null
select fixture.run('a', format($$ select kiln_internal.accept_upload(m.media_id, m.check_job_id,
    '{"storage_key": "bc/000000000000000000000000000001", "media_type": "image", "content_type": '
    '"image/png", "bytes": 5, "sha256": "%s"}')::text
                                    from kiln.media m where m.media_id = %s $$, repeat('0', 64),
                                         :'upload'::jsonb ->> 'media_id')) \g /dev/null
select fixture.run('a', format('insert into kiln.event (account_id, type, data) values (%s, %L, %L)', :ann,
                               'notification', '{"text": "Hello."}')) \g /dev/null
select pg_temp.pump() \g /dev/null
select is((select (data ->> 'media_id', data -> 'media' ->> 'state', data -> 'media' ->> 'id')::text from seen
            where type = 'media.ready'), (:'upload'::jsonb ->> 'media_id', 'ready',
                                          :'upload'::jsonb ->> 'media_id')::text,
          'an upload that is ready is told with its facts');
select is((select data - 'at' from seen where type = 'notification'),
          '{"type": "notification", "text": "Hello."}',
          'what is about neither job nor media is told as it is');
select fixture.run('a', format('delete from kiln.media where media_id = %s',
                               :'upload'::jsonb ->> 'media_id')) \g /dev/null
select is((select r.data::jsonb ? 'media'
             from kiln_api.bus_replay(:ann, :'start', (select h."position" from head h order by batch desc
                                                        limit 1), 1000) r where r.type = 'media.ready'),
          false,
          'and when it is gone, without them');
select fixture.run('a', $$ select kiln.cancel_job(job_id)::text from kiln.job where kind = 'upload' $$),
       fixture.run('a', $$ delete from kiln.job where kind = 'upload' $$) \g /dev/null

-- The pump falls asleep -------------------------------------------------------------------------------------

select fixture.open('wakeup') \g /dev/null
select fixture.dblink_exec('wakeup', 'listen kiln_event') \g /dev/null
create function pg_temp.rung() returns int language plpgsql as $$
begin
    perform pg_sleep(0.1);
    perform fixture.run('wakeup', 'select 1');
    return (select count(*) from fixture.dblink_get_notify('wakeup'));
end $$;
select pg_temp.enqueue('b', :ann) \g /dev/null
select is(pg_temp.rung(), 0, 'nobody rings while the pump is awake');
select fixture.run('wakeup', format('select count(*) from kiln_api.bus_read(%L, true)',
                                    kiln_api.bus_head())) \g /dev/null
select pg_temp.enqueue('b', :ann) \g /dev/null
select is(pg_temp.rung(), 1, 'the next event rings for a pump that sleeps');
select fixture.run('wakeup', format('select count(*) from kiln_api.bus_read(%L, false)',
                                    kiln_api.bus_head())) \g /dev/null
select pg_temp.enqueue('b', :ann) \g /dev/null
select is(pg_temp.rung(), 0, 'and not for one that reads again');
select fixture.run('wakeup', format('select count(*) from kiln_api.bus_read(%L, true)',
                                    kiln_api.bus_head())) \g /dev/null
select fixture.run('wakeup', 'select kiln_api.bus_head()') \g /dev/null
select pg_temp.enqueue('b', :ann) \g /dev/null
select is(pg_temp.rung(), 0, 'nor for one that asked for the head last: it has no listener');

select fixture.tidy('a', 'bus') \g /dev/null
select finish();
rollback;

-- What a person reads in psql at night: what waits for what, in 80 columns, and without reading a history of
-- years for it.
--
-- select * from kiln.jobs once took 3.0 s at 228,000 jobs, and kiln.contradictions 2.8 s.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

-- Times in words --------------------------------------------------------------------------------------------

select is(kiln_internal.ago(kiln_internal.now() + t), w, 'what is ' || t || ' away is ' || w)
  from (values (interval '0', 'now'), ('-0.9 seconds', 'now'), ('-1 second', '1 s ago'),
        ('-99 seconds', '99 s ago'), ('-100 seconds', '1 min ago'), ('-3 minutes', '3 min ago'),
               ('-5 hours', '5 h ago'), ('-3 days', '3 d ago'), ('-1 year', '365 d ago'),
        ('0.2 seconds', 'in 1 s'), ('20 seconds', 'in 20 s'), ('1 hour', 'in 60 min'),
        ('2 days', 'in 2 d')) v (t, w);
select is((kiln_internal.ago('infinity'), kiln_internal.ago('-infinity'), kiln_internal.ago(null),
           kiln_internal.format_time('0.35 seconds'), kiln_internal.format_time(null))::text,
          '(never,"long ago",,"350 ms",)', 'so are the ends of time, and a short one');
select is_empty($$ select c.table_name, c.column_name from information_schema.columns c
                     join information_schema.views v using (table_schema, table_name)
                    where c.table_schema = 'kiln' and c.data_type in ('timestamp with time zone', 'interval')
                      and c.table_name not in ('held_jobs', 'job_ends') $$,
                          'no view shows a time in another way, but the two that functions read');

-- What a job waits for --------------------------------------------------------------------------------------

create function pg_temp.about(p_job bigint) returns text language sql
as $$ select about from kiln.jobs where job = p_job $$;
create function pg_temp.next() returns text language sql
as $$ select next from kiln.queues where queue = 'image' $$;
select fixture.enqueue(input => '{"prompt": "a cat"}') as ready \gset
savepoint fresh;
select is((pg_temp.about(:ready), pg_temp.next())::text, '("image: no runner","no runner")',
          'a job whose queue nobody serves says so');
select kiln.pause_queue('image') \g /dev/null
select is((pg_temp.about(:ready), pg_temp.next())::text, '("image: paused",paused)',
          'one whose queue is paused');
select kiln.resume_queue('image'), fixture.runner('{image}', slots => 2, name => 'r1') as r1 \gset
select is((pg_temp.about(:ready), pg_temp.next())::text, '("image: has a turn",now)', 'one that can start');
update kiln.queue set max_running = 1 where name = 'image';
select fixture.enqueue() as running \gset
select fixture.start(:running, :r1) \g /dev/null
select is((pg_temp.about(:ready), pg_temp.next(), (select running from kiln.queues
                                                    where queue = 'image'))::text,
          '("image: full, 1/1",full,1/1)', 'one whose queue is full');
select kiln_runner.progress(t.task_id, t.fence, 0.5, 'Painting') from kiln.task_running t
 where t.job_id = :running \g /dev/null
select is(pg_temp.about(:running), 'Painting', 'one that runs says what is done');
update kiln.queue set max_running = null, rate_per_minute = 2 where name = 'image';
select fixture.enqueue() as second \gset
select fixture.complete(:running) as d, fixture.start(:ready, :r1) is null as s,
       fixture.enqueue() as third \gset
select fixture.pass('10 seconds'), kiln_runner.beat(:r1) \g /dev/null
select is((pg_temp.about(:second), pg_temp.next(), (select rate from kiln.queues
                                                     where queue = 'image'))::text,
          '("image: rate, in 21 s","in 21 s",2/min)',
          'one that the rate keeps, with when the next may start');
select fixture.pass('20 seconds'), kiln_runner.beat(:r1) \g /dev/null
select is((select count(*)::int from kiln_runner.claim(:r1, 1)), 0, 'before that none starts');
select fixture.pass('1 second'), kiln_runner.beat(:r1) \g /dev/null
select is((select count(*)::int from kiln_runner.claim(:r1, 1)), 1, 'and then one does');
update kiln.queue set rate_per_minute = null where name = 'image';
select is(pg_temp.about(:third), 'image: busy', 'one whose runners have no free slot');
select fixture.pass('1 minute') \g /dev/null
select is((pg_temp.about(:third), pg_temp.next(), pg_temp.about(:ready))::text,
          '("image: silent",silent,"runner r1 silent")',
          'one whose runners are silent, and what such a runner has');
rollback to fresh;
select is(pg_temp.about(fixture.enqueue(due_in => '3 hours')), 'scheduled, in 3 h', 'one that is scheduled');
select fixture.enqueue() as again \gset
select fixture.start(:again) is null, fixture.fail(:again, 'transient') \g /dev/null
select matches(pg_temp.about(:again), '^again, in [1-4] s$', 'one that is tried again');
select fixture.job_in('held') as held \gset
select is(pg_temp.about(:held), 'held: perhaps paid', 'one that waits for a person');
select fixture.enqueue() as poisoned \gset
update kiln.task_ready set interruptions = 2 where job_id = :poisoned;
select is(pg_temp.about(:poisoned), 'image: quarantined', 'one that two runners died with');
update kiln.task_ready set interruptions = 0 where job_id = :poisoned;
-- An upload whose check has not ended.
set constraints all deferred;
select fixture.media('ann') as media \gset
select kiln.enqueue('test/one', jsonb_build_object('media', jsonb_build_array(:'media')),
                    fixture.account('ann'), p_run_at => 'infinity') as upload \gset
set role kiln_owner;
insert into kiln.media_wait (job_id, media_id) values (:upload, :media);
reset role;
select is(pg_temp.about(:upload), 'waits for upload ' || :media, 'one that waits for a file');
-- A provider.
create function pg_temp.deferred() returns text language plpgsql as $$
declare v_job bigint := fixture.pay();
begin perform fixture.begin(v_job); return pg_temp.about(v_job); end $$;
savepoint provider;
update kiln.provider set is_enabled = false where name = 'pay';
select is(pg_temp.deferred(), 'pay: off', 'one whose provider is off');
rollback to provider;
set role kiln_owner;
update kiln.provider_limiter g set circuit = 'open', open_until = kiln_internal.now() + interval '12 seconds'
  from kiln.provider p where p.provider_id = g.provider_id and p.name = 'pay';
reset role;
select is(pg_temp.deferred(), 'pay: circuit, in 12 s', 'one whose provider keeps failing');
rollback to provider;
set role kiln_owner;
update kiln.provider_limiter g set paused_until = kiln_internal.now() + interval '12 seconds'
  from kiln.provider p where p.provider_id = g.provider_id and p.name = 'pay';
reset role;
select is(pg_temp.deferred(), 'pay: paused, in 12 s', 'one whose provider asked for a pause');
rollback to provider;
update kiln.provider set max_calls = 1 where name = 'pay';
select pg_temp.deferred() \g /dev/null
select is(pg_temp.deferred(), 'pay: full, 1 calls', 'one whose provider has no place');
rollback to provider;
update kiln.provider set rate_per_minute = 3 where name = 'pay';
select pg_temp.deferred() \g /dev/null
select matches(pg_temp.deferred(), '^pay: rate, in 2\d s$', 'one whose provider has a rate');
rollback to provider;
update kiln.provider set day_cap_micros = 1 where name = 'pay';
select is(pg_temp.deferred(), 'pay: day cap', 'one whose provider has cost enough today');
rollback to provider;
update kiln.account set day_cap_micros = 1 where account_id = fixture.account('ann');
select is(pg_temp.deferred(), 'account: cap, in 12 h', 'and one whose account has');
rollback to fresh;

-- Columns ---------------------------------------------------------------------------------------------------

-- Ids as after a year, names and sentences as long as usual ones.
select setval('kiln.job_job_id_seq', 228000), setval('kiln.runner_runner_id_seq', 1234),
       setval('kiln.delivery_delivery_id_seq', 123456),
       setval('kiln.project_project_id_seq', 12345) \g /dev/null
select fixture.runner('{image,video,audio}', name => 'gpu-host-03.example') as gpu \gset
select fixture.job_in(s), fixture.job_in(s) from unnest(enum_range(null::kiln.job_state)) s \g /dev/null
select kiln.enqueue('test/one', '{"prompt": "A lighthouse in the rain, seen from the sea at night"}',
                    fixture.account('somebody-with-a-long-name'), p_media_type => 'image',
                    p_model_id => (select m.model_id from kiln.model m order by length(m.name) desc limit 1)),
       kiln.enqueue('test/one',
           '{"category": "streetwear", "media": ["1", "2"], "prompt": "With the sleeves rolled up"}',
                    fixture.account('ann'), p_kind => 'tryon') \g /dev/null
select fixture.enqueue(due_in => '100 days'), fixture.enqueue('test/three') as failing \gset
select fixture.start(:failing, :gpu) is null,
       fixture.fail(:failing, 'transient',
                    'The tool ended with status 1: no such file or directory.') \g /dev/null
select fixture.answer(fixture.begin(fixture.pay(micros => 2500000)), 422,
                      '{"error": "The prompt has words that this model refuses."}'),
       fixture.trouble(fixture.begin(fixture.pay(micros => 2500000))), fixture.accepted(micros => 2500000),
       fixture.answer(fixture.begin(fixture.pay(micros => 2500000)), 200,
                      '{"id": "r2", "status": "failed", "class": "refused", "error": "no"}') \g /dev/null
update kiln.provider set auth = '{"header": "authorization", "env": "PAY_API_TOKEN"}', max_calls = 20
 where name = 'pay';
select kiln_runner.offer_secrets(:gpu, '{}') \g /dev/null
select kiln.grant_credit(fixture.account('ann'), 250000000, 'x') \g /dev/null
insert into kiln.project (account_id, name) values (fixture.account('ann'), 'Elm street')
returning project_id as project \gset
select fixture.media('ann', 'room') as room \gset
insert into kiln.picture (project_id, media_id, account_id) values (:project, :room, fixture.account('ann'));
insert into kiln.image (job_id, project_id, media_id, account_id, mode, room_type, style, style_version,
                        prompt_version, model, variations)
select kiln.enqueue('test/one', '{}', fixture.account('ann'), p_kind => 'staging', p_media_type => 'image'),
       :project, :room, fixture.account('ann'), 'declutter', (select r.name from kiln.room_type r
                                                               order by length(r.name) desc limit 1),
       'scandinavian', 1, 1, 'local/furnish', 4;
insert into kiln.webhook_endpoint (account_id, url, types)
select fixture.account('ann'), 'https://hooks.example.com/kiln/events', '{job.completed}'
returning webhook_endpoint_id as endpoint \gset

-- As psql prints it: each column as wide as its name or its widest line, ' | ' between, a blank at both ends.
update kiln.queue set max_running = 4, rate_per_minute = 600 where name = 'image';
create function pg_temp.width(p_view regclass, out rows int, out width int) language plpgsql as $$
begin
    execute format($q$ select count(*) from %1$s $q$, p_view) into rows;
    execute format($q$ select sum(w + 3) - 1 from (
        select e.key, greatest(length(e.key), max(length(line))) as w
          from (select to_jsonb(shown) as line_of from %1$s shown) x, jsonb_each_text(x.line_of) e, regexp_split_to_table(coalesce(e.value, ''), E'\n') line group by e.key) y $q$, p_view) into width;
end $$;
create temporary table seen as
select c.relname as view, w.rows, w.width from pg_class c cross join lateral pg_temp.width(c.oid::regclass) w
 where c.relnamespace = 'kiln'::regnamespace and c.relkind = 'v'
   -- Whose last column is a sentence, or what to type, whole: \x shows them.
   and c.relname not in ('held_jobs', 'restore_findings', 'contradictions', 'job_history', 'job_ends');
select cmp_ok((select count(*)::int from seen), '>=', 16, 'each view was looked at');
select is_empty('select view from seen where rows = 0 and view not in (''deliveries'', ''instances'')',
                'with rows');
select is_empty('select view, width from seen where width > 80',
                'every view fits into 80 columns with usual data');
rollback to fresh;

-- History ---------------------------------------------------------------------------------------------------

-- A paid job that has ended, copied many times into the past, as rows.
select fixture.pay() as done \gset
select fixture.answer(fixture.begin(:done), 422, '{"error": "no"}') \g /dev/null
create function pg_temp.trigger_all(p_how text) returns void language plpgsql as $$
declare v_table text;
begin
    foreach v_table in array '{job,job_end,task,task_ended,event,event_default,call,ledger,attempt,'
                             'attempt_default,delivery,notification}'::text[] loop
        execute format('alter table kiln.%I %s trigger user', v_table, p_how);
    end loop;
end $$;
create function pg_temp.grow(p_done bigint, p_from bigint, p_jobs int) returns void language plpgsql as $$
declare
    v_past jsonb := '{"created_at": "2029-11-01T00:00:00Z", "settled_at": "2029-11-01T00:00:00Z", '
                    '"finished_at": "2029-11-01T00:00:00Z"}';
begin
    insert into kiln.job overriding system value
    select x.* from kiln.job j cross join generate_series(p_from, p_from + p_jobs - 1) n
     cross join lateral jsonb_populate_record(j, v_past || jsonb_build_object('job_id', n)) x
     where j.job_id = p_done;
    insert into kiln.job_end
    select x.* from kiln.job_end e cross join generate_series(p_from, p_from + p_jobs - 1) n
     cross join lateral jsonb_populate_record(e, jsonb_build_object('job_id', n)) x where e.job_id = p_done;
    insert into kiln.task
    select x.* from kiln.task t cross join generate_series(p_from, p_from + p_jobs - 1) n
     cross join lateral jsonb_populate_record(t, v_past
                                              || jsonb_build_object('job_id', n,
                                                                    'task_id', kiln_internal.task_id(n, 1))) x
     where t.job_id = p_done;
    insert into kiln.call overriding system value
    select x.*
      from kiln.call c cross join generate_series(p_from, p_from + p_jobs - 1) n
     cross join lateral jsonb_populate_record(c, v_past
                                              || jsonb_build_object('call_id', 1000000 + n, 'job_id', n,
                                                                    'task_id', kiln_internal.task_id(n, 1),
                                                                    'idempotency_key', gen_random_uuid(),
                                                                    'webhook_token', gen_random_uuid())) x
     where c.job_id = p_done;
    insert into kiln.event (account_id, job_id, version, type, at)
    select e.account_id, n, e.version, e.type, '2029-11-01'
      from kiln.event e, generate_series(p_from, p_from + p_jobs - 1) n where e.job_id = p_done;
    insert into kiln.attempt
    select x.* from kiln.attempt a cross join generate_series(p_from, p_from + p_jobs - 1) n
     cross join lateral jsonb_populate_record(a, v_past
                                              || jsonb_build_object('job_id', n,
                                                                    'task_id', kiln_internal.task_id(n, 1))) x
     where a.job_id = p_done;
    insert into kiln.ledger (account_id, job_id, kind, amount_micros)
    select l.account_id, n, l.kind, l.amount_micros
      from kiln.ledger l, generate_series(p_from, p_from + p_jobs - 1) n where l.job_id = p_done;
end $$;
create function pg_temp.rows_read() returns bigint language sql as $$
    select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_xact_user_tables
     where schemaname = 'kiln' $$;
create function pg_temp.reads(p_query text) returns bigint language plpgsql as $$
declare v_from bigint;
begin
    execute p_query;        -- what is planned first reads statistics
    v_from := pg_temp.rows_read();
    execute p_query;
    return pg_temp.rows_read() - v_from;
end $$;
create temporary table look as
select format('select * from kiln.%I', c.relname) as query from pg_class c
 where c.relnamespace = 'kiln'::regnamespace and c.relkind = 'v'
   -- Reports of everything, and stories that are asked for by job: their comments say so. kiln.users adds the
   -- ledger up.
   and c.relname not in ('job_history', 'calls', 'attempts', 'balances', 'users', 'job_ends')
union all select format('select * from kiln.%s where job = 3', v)
            from unnest('{jobs,job_history,calls,attempts,waste,held_jobs}'::text[]) v
union all select format('select * from kiln.%s order by job desc limit 20', v)
            from unnest('{job_history}'::text[]) v;

-- Autovacuum comes when it likes: of these tables, which stay small, it would change the plans between the
-- one time and the other.
analyze kiln.pipeline, kiln.pipeline_version, kiln.stage, kiln.queue;
select pg_temp.trigger_all('disable'), pg_temp.grow(:done, 1000000, 20000) \g /dev/null
analyze kiln.job, kiln.task, kiln.call, kiln.event, kiln.attempt, kiln.ledger, kiln.job_end;
create temporary table before as select query, pg_temp.reads(query) as rows from look;
select pg_temp.grow(:done, 1020000, 20000) \g /dev/null
analyze kiln.job, kiln.task, kiln.call, kiln.event, kiln.attempt, kiln.ledger, kiln.job_end;
create temporary table after as select query, pg_temp.reads(query) as rows from look;
select cmp_ok((select count(*)::int from look), '>=', 20, 'each view was read at 20,000 jobs and at 40,000');
select is_empty('select query, b.rows as before, a.rows as after from before b join after a using (query) '
                'where a.rows > b.rows + b.rows / 20 + 20',
    'none reads more rows since there is more history');
select is_empty('select query, rows from after where query ~ ''job = 3|limit 20'' and rows > 400 and query '
                '!~ ''kiln.jobs ''', 'and one job is found by its key');
select cmp_ok((select rows from after where query = 'select * from kiln.jobs'), '<', 10000::bigint,
              'kiln.jobs reads a few rows for each of its thousand');
select diag(format('%s: %s rows', query, rows)) from after where rows > 1000;
select is((select count(*)::int from kiln.jobs), (select count(*)::int from kiln.job
                                                   where job_id >= 1039000) + (select count(*)::int
                                                        from kiln.job where finished_at is null),
          'kiln.jobs shows the newest thousand, and what is alive behind them');
select is((select state::text from kiln.job_history
            where job = 1000000), 'failed', 'an older one is found in kiln.job_history');

-- The rules are the same, whole or not.
select is_empty('select * from kiln.contradictions where what not in (''guard'')',
                'nothing contradicts anything');
select is_empty('select * from kiln.check_all() where what not in (''guard'')', 'nor in the whole of it');
update kiln.job set state = 'completed' where job_id in (1000001, 1039999);
select is_empty('select id from kiln.contradictions where what = ''job'' and id = 1000001',
                'what is wrong with an old job is not seen');
select isnt_empty('select id from kiln.contradictions where what = ''job'' and id = 1039999',
                  'but with a new one');
select set_eq('select id from kiln.check_all() where what = ''job''', '{1000001,1039999}'::bigint[],
              'and with each by kiln.check_all()');
select * from finish();
rollback;

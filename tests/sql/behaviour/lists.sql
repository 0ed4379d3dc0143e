-- Lists of jobs: a page is full, or the list is at its end, whatever stands before what was asked for.
--
-- GET /admin/jobs?state=running once began with an empty page while one ran (it came on page 23); so did
-- /generations of an account with 20,000 newer try-ons.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create function pg_temp.make(p_state kiln.job_state, p_kind kiln.job_kind, p_type kiln.media_type,
                             p_account text default 'bob') returns bigint language plpgsql as $$
declare
    v_id bigint := kiln.enqueue('test/three', case when p_kind = 'tryon'
                                                       then jsonb_build_object('category',
                                                           case when p_state < 'held' then 'outfit'
                                                                else 'runway' end, 'media', '[]'::jsonb)
                                                   else '{}' end,
                                fixture.account(p_account), p_kind => p_kind, p_media_type => p_type);
begin
    if p_state = 'cancelled' then
        perform kiln.cancel_job(v_id);
    elsif p_state <> 'queued' then
        perform fixture.start(v_id);
        case p_state
            when 'running' then null;
            when 'cancelling' then perform kiln.cancel_job(v_id);
            when 'held' then perform fixture.fail(v_id, 'unknown');
            when 'failed' then perform fixture.fail(v_id, 'invalid');
            when 'completed' then
                perform fixture.complete(v_id), fixture.start(v_id);
                perform fixture.complete(v_id), fixture.start(v_id);
                perform fixture.complete(v_id);
        end case;
    end if;
    return v_id;
end $$;

-- The wanted ones, the oldest: three of each state and type, of two kinds.
select pg_temp.make(s, k, t) from generate_series(1, 3), unnest(enum_range(null::kiln.job_state)) s,
       unnest('{generation,tryon}'::kiln.job_kind[]) k,
       unnest('{image,video,null}'::kiln.media_type[]) t \g /dev/null
-- Running ones that wait for their next stage, or for another try of the first.
select pg_temp.make('running', 'generation', 'audio') as between,
       pg_temp.make('running', 'generation', 'audio') as again,
       pg_temp.make('running', 'generation', 'audio') as released \gset
select fixture.complete(:between), fixture.fail(:again, 'transient'), kiln_runner.release(t.task_id, t.fence)
  from kiln.task_running t where t.job_id = :released \g /dev/null
-- Images of virtual staging, in two projects.
insert into kiln.project (account_id, name) select fixture.account('bob'), n from unnest('{x,y}'::text[]) n;
create temporary table project as select name, project_id from kiln.project
                                   where account_id = fixture.account('bob');
create temporary table original as select fixture.media('bob') as media_id;
insert into kiln.picture (project_id, media_id, account_id)
select project_id, media_id, fixture.account('bob') from project, original;
create function pg_temp.image(p_state kiln.job_state, p_project text) returns void language sql as $$
    insert into kiln.image (job_id, project_id, media_id, account_id, mode, room_type, style, style_version,
                            prompt_version, model, variations)
    select pg_temp.make(p_state, 'staging', 'image'), p.project_id, o.media_id, fixture.account('bob'),
           'stage', 'auto', 'modern', 1, 1, 'local/furnish', 1 from project p, original o
     where p.name = p_project;
    set role kiln_owner;
    update kiln.image i set state = j.state from kiln.job j where j.job_id = i.job_id and i.state <> j.state;
    reset role $$;
select pg_temp.image(s, p) from generate_series(1, 3), unnest(enum_range(null::kiln.job_state)) s,
       unnest('{x,y}'::text[]) p \g /dev/null

create function pg_temp.page(p_who text, p_list text, p_query jsonb) returns jsonb language sql
as $$ select fixture.call(p_who, p_list, p_query => p_query) $$;
-- All pages of a list: its ids in their order, and of how many pages a page but the last was short.
create function pg_temp.walk(p_who text, p_list text, p_query jsonb, out ids bigint[], out short int,
                             out pages int) language plpgsql as $$
declare
    v_page jsonb;
    v_query jsonb := p_query;
begin
    ids := '{}'; short := 0; pages := 0;
    loop
        v_page := pg_temp.page(p_who, p_list, v_query);
        pages := pages + 1;
        ids := ids || array(select (i ->> 'id')::bigint
                              from jsonb_array_elements(v_page -> 'items') with ordinality as x (i, n)
                             order by n);
        exit when v_page ->> 'next_cursor' is null or pages > 200;
        short := short + (jsonb_array_length(v_page -> 'items') <> (p_query ->> 'limit')::int)::int;
        v_query := p_query || jsonb_build_object('cursor', v_page -> 'next_cursor');
    end loop;
end $$;
create temporary table question (list text, who text, query jsonb, wanted text);
insert into question select 'list_generations', 'bob',
                            jsonb_strip_nulls(jsonb_build_object('state', s, 'type', t)),
                            format('j.account_id = fixture.account(''bob'') and j.kind = ''generation'' and '
                                   'j.state = coalesce(%L, j.state) and (%L is null or j.media_type = %2$L)',
                            s, t)
  from unnest(enum_range(null::kiln.job_state) || null::kiln.job_state) s,
                            unnest('{image,video,audio,null}'::text[]) t;
insert into question select 'list_jobs', 'admin', jsonb_strip_nulls(jsonb_build_object('state', s)),
                            format('j.state = coalesce(%L, j.state)', s)
                       from unnest(enum_range(null::kiln.job_state) || null::kiln.job_state) s;
insert into question select 'list_tryons', 'admin',
                            jsonb_strip_nulls(jsonb_build_object('state', s, 'category', c)),
                            format('j.kind = ''tryon'' and (%L is null or j.input ->> ''category'' = '
                                   '%1$L) and ', c) || case s when 'pending' then 'j.finished_at is null'
                                                            when 'error' then 'j.state in (''failed'', ''cancelled'')' when 'processed' then 'j.state = ''completed''' else format('j.state = coalesce(%L, j.state)', s) end
  from unnest(enum_range(null::kiln.job_state)::text[] || '{pending,processed,error,null}') s,
                            unnest('{outfit,runway,none,null}'::text[]) c;
insert into question select 'list_images', 'bob',
                            jsonb_strip_nulls(jsonb_build_object('state', s,
                                                                 'project', (select project_id::text
                                                                     from project where name = p))),
                            format('j.kind = ''staging'' and j.state = coalesce(%L, j.state) and exists '
                                   '(select from kiln.image i join project p using (project_id) where '
                                   'i.job_id = j.job_id and p.name = coalesce(%L, p.name))', s, p)
  from unnest(enum_range(null::kiln.job_state) || null::kiln.job_state) s, unnest('{x,null}'::text[]) p;
create function pg_temp.wanted(p_where text) returns bigint[] language plpgsql as $$
declare v_ids bigint[];
begin execute 'select coalesce(array_agg(j.job_id order by j.job_id desc), ''{}'') from kiln.job j where '
    || p_where into v_ids; return v_ids; end $$;
-- The long ones only at first: it is the short ones that were hidden.
create function pg_temp.wrong(p_limit int, p_most int default 40) returns setof text language sql as $$
    select format('%s %s: %s ids for %s, %s of %s pages short', q.list, q.query, cardinality(w.ids),
                  cardinality(pg_temp.wanted(q.wanted)), w.short, w.pages)
      from (select * from question where cardinality(pg_temp.wanted(wanted)) <= p_most offset 0) q
     cross join lateral pg_temp.walk(q.who, q.list, q.query || jsonb_build_object('limit', p_limit::text)) w
     where w.ids <> pg_temp.wanted(q.wanted) or w.short > 0 $$;

select is_empty('select pg_temp.wrong(7, 1000)',
                'each list and each filter gives what there is, in full pages');
-- More newer ones than a page walks along, of every kind that a filter leaves out.
select pg_temp.make('queued', 'tryon', 'image') from generate_series(1, 210) \g /dev/null
select is_empty('select pg_temp.wrong(9)', 'behind any number of newer try-ons');
select pg_temp.make('cancelled', 'generation', 'audio') from generate_series(1, 210) \g /dev/null
select is_empty('select pg_temp.wrong(9)', 'and of newer ones of another type and state');
select pg_temp.image('cancelled', 'y') from generate_series(1, 210) \g /dev/null
select is_empty('select pg_temp.wrong(9)', 'and of images of another project');
select kiln.cancel_job(j.job_id) from kiln.job j where j.kind = 'tryon' and j.state = 'queued'
   and j.account_id = fixture.account('bob') order by j.job_id desc limit 205 \g /dev/null
select is_empty('select pg_temp.wrong(9)', 'and when these have ended');
-- Of open jobs too.
select kiln.enqueue_many('test/three', array(select '{}'::jsonb
                                               from generate_series(1, 1001)),
                         fixture.account('bob')) \g /dev/null
select is_empty('select pg_temp.wrong(9)', 'and of a thousand newer ones that wait');
select is(jsonb_array_length(pg_temp.page('admin', 'list_jobs',
                                          '{"state": "running", "limit": "100"}') -> 'items'),
          (select count(*)::int from kiln.job where state = 'running'),
          'what runs stands on the first page, behind whatever waits');

-- What runs is found among any number that is scheduled, and what is queued among any number that waits for a
-- provider: all were read.
create function pg_temp.rows_read(p_who text, p_list text, p_query jsonb) returns bigint language plpgsql
as $$
declare
    v_from bigint;
begin
    perform pg_temp.page(p_who, p_list, p_query);
    select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) into v_from
      from pg_stat_xact_user_tables where relname in ('task_waiting', 'job');
    perform pg_temp.page(p_who, p_list, p_query);
    return (select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) - v_from
              from pg_stat_xact_user_tables where relname in ('task_waiting', 'job'));
end $$;
select kiln.enqueue_many('test/three', array(select '{}'::jsonb
                                               from generate_series(1, 2000)), fixture.account('ann'),
                         p_run_at => kiln_internal.now() + interval '1 day') \g /dev/null
select cmp_ok(pg_temp.rows_read(w, l, '{"state": "running", "limit": "5"}'), '<', 1500::bigint,
              l || ': what runs is found behind 2,000 that are scheduled')
  from (values ('ann', 'list_generations'), ('admin', 'list_jobs')) v (w, l);
set role kiln_owner;
update kiln.task set started_at = kiln_internal.now()
 where state = 'waiting' and account_id = (select i.account_id from kiln.identity i
                                            where i.issuer = '' and i.subject = 'ann');
reset role;
select cmp_ok(pg_temp.rows_read(w, l, '{"state": "queued", "limit": "5"}'), '<', 1500::bigint,
              l || ': what is queued is found behind 2,000 that have begun and wait')
  from (values ('ann', 'list_generations'), ('admin', 'list_jobs')) v (w, l);
select kiln.cancel_job(j.job_id) from kiln.job j where j.account_id = fixture.account('ann')
   and j.state = 'queued' order by j.job_id desc limit 2000 \g /dev/null

-- Which try-ons wait for a person was asked of all that there are.
select kiln.enqueue('test/three', '{"category": "outfit"}', fixture.account('ann'), p_kind => 'tryon',
                    p_media_type => 'image') from generate_series(1, 1600) \g /dev/null
select cmp_ok(pg_temp.rows_read('admin', 'list_tryons', '{"state": "held", "limit": "3"}'), '<', 1200::bigint,
              'held try-ons are found behind 1,600 newer ones');
select is_empty('select pg_temp.wrong(9)', 'and all of them');

-- Ends follow their jobs.
select kiln.delete_job(j.job_id) from kiln.job j where j.state = 'cancelled' and j.kind = 'generation'
 order by j.job_id desc limit 150 \g /dev/null
select is_empty('select pg_temp.wrong(9)', 'a job that was deleted is in no list');
select is((select count(*) from kiln.job_end), (select count(*) from kiln.job
                                                 where finished_at is not null),
          'each job that has ended has one end, and no other has');
select is_empty('select e.* from kiln.job_end e join kiln.job j using (job_id) where (e.account_id, e.kind, '
                'e.state, e.media_type) is distinct from (j.account_id, j.kind, j.state, '
                'coalesce(j.media_type::text, ''''))', 'which says what the job says');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

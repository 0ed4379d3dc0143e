-- The plans of what is called all the time: they find rows by key whatever the statistics say, from an empty
-- installation to a full one. (An innocent `update … from cte` once fell from 4,500 to 13 a second.)
begin;
select no_plan();

\set one `psql -X -q -v rows=1 -v analyzed=1 -f tests/fixtures/plans.psql 2>&1`
\set many `psql -X -q -v rows=4000 -v analyzed=1 -f tests/fixtures/plans.psql 2>&1`
\set stale `psql -X -q -v rows=4000 -v analyzed=0 -f tests/fixtures/plans.psql 2>&1`
create temporary table plan as
select l.state, p as text,
       regexp_replace(substring(p from 'Query Text:\s*(.*?)\n[A-Z][A-Za-z ]+(?: on | using |  \()'), '\s+',
                      ' ', 'g') as query
  from (values ('one row', :'one'), ('many rows', :'many'), ('many rows, never analyzed', :'stale')) l (state,
                                                        log),
       regexp_split_to_table(l.log, 'LOG:  duration: [0-9.]+ ms  plan:\n') p;

select is_empty($$ select state, substring(text from 'ERROR: [^\n]*') from plan
                    where text ~ 'ERROR: ' $$, 'the calls go through');
select cmp_ok((select count(*)::int from plan where plan.state = s), '>', 50,
              s || ': the statements inside the functions were explained')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
-- (Whoever deletes a file looks at all that runs, which is as small as the work in flight.)
select is_empty(format($$
    select left(query, 100), m[1] from plan,
           regexp_matches(text,
               '(Seq Scan on kiln\.(?:task|job|event|attempt|media|call|poll|ledger|deferred|image)(?:_\w+)?\y[^\n(]*)', 'g') m
     where state = %L and m[1] !~ 'job_move|task_move|call_move'
       and query !~ '^update kiln.poll set poll_at = kiln_internal.now()'
       and not (query ~ 't\.account_id = p_account_id' and m[1] ~ 'task_running') $$, s),
                s || ': no table that grows is read from end to end')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
select isnt_empty(format($$ select from plan where state = %L
                               and text ~ 'using task_ready_claim_idx on kiln\.task_ready'
                               and text ~ 'LockRows' $$, s),
                  s || ': a claim goes along the index that is its order')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;

-- A scan of a whole index is a scan of the whole table. It was chosen while the tables were all but empty,
-- and would have stayed. (Whoever changes a provider looks at all of its open calls: an index of open calls
-- is as small as the work in flight.)
create temporary view node as
select state, query, n from plan, regexp_split_to_table(text, '\n *->  ') n;
select is_empty(format($$ select left(query, 100), substring(n from '^[^\n(]*') from node
                           where state = %L
                             and n ~ '(Index|Bitmap Heap)( Only)? Scan .*on '
                                     'kiln\.(task|job|event|attempt|media|call|poll|ledger|deferred|image)(_|\s)' and n !~ 'job_move|task_move|call_move' and n !~ '(Index|Recheck) Cond: '
                             and n !~ 'job_upload_idx'
                             and query !~ 'c\.provider_id = new\.provider_id and c\.state = ''accepted'''
                             and not (query ~ 't\.account_id = p_account_id' and n ~ 'task_running') $$, s),
                s || ': nor by a whole index')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
-- A replay goes to its account's events behind its position, and past nobody else's, once there are so many
-- that it matters.
select isnt_empty(format($$ select from node where state = %L
                               and query ~ 'e\.account_id = p_account_id and e\.xid'
                               and n ~ 'Scan .*on kiln\.event' $$, s), s || ': a replay was explained')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
select is_empty(format($$ select n from node where state = %L
                             and query ~ 'e\.account_id = p_account_id and e\.xid'
                             and n ~ 'Scan .*on kiln\.event'
                             and n !~ '(Index|Recheck) Cond: \(+e[^\n]*account_id = ' $$, s),
                s || ': and seeks by account and transaction')
  from unnest('{"many rows"}'::text[]) s;
-- A list, and a search in it, goes along the account's own jobs, newest first, to the end of its window: no
-- sort, and nobody else's jobs.
create temporary view search as select state, text from plan
                                 where query ~ 'lower\(j\.input ->> ''prompt''\) as prompt'
                                    or query ~ 'select j from kiln\.job j.*j\.kind = ''generation'' and '
                                               '\(p_query';
select isnt_empty(format('select from search where state = %L', s), s || ': a search was explained')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
select is_empty(format($$ select text from search
                           where state = %L
                             and (text !~ 'Index Scan Backward using job_account_id_idx on kiln\.job'
                                  or text !~ 'Index Cond: [^\n]*account_id' or text ~ 'Sort Key') $$, s),
                s || ': and goes along the account''s jobs')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
-- A list by a state is found by how its jobs ended, or by what has begun, and reads no more rows than a page
-- and a short walk have. (With a page of one; the tables have up to 9,000 jobs. A list of one account also
-- reads what runs, which is as small as the work in flight; and where a type is asked for, which tasks do not
-- have, as many of the account's open jobs as there are. The images here are of jobs of another kind.)
select isnt_empty(format($$ select from node where state = %1$L and n ~ %2$L and n ~ 'Index Cond: ' $$, s,
                         'Scan (Backward )?using ' || i), s || ': lists go along ' || i)
  from unnest('{"many rows","many rows, never analyzed"}'::text[]) s,
       unnest('{job_end_account_idx,job_end_kind_idx,task_ready_begun_idx,task_ready_begun_account_idx,'
              'task_waiting_begun_idx,task_waiting_begun_account_idx,task_waiting_new_idx,tryon_state_idx,'
              'tryon_category_state_idx,image_account_state_idx}'::text[]) i;
create temporary table reads as
select l.state, m[1] as list, m[2]::int as rows
  from (values ('one row', :'one'), ('many rows', :'many'), ('many rows, never analyzed', :'stale')) l (state,
                                                        log), regexp_matches(l.log,
                                                            'READ ([^\n]*): (\d+) rows', 'g') m;
select is((select count(*)::int from reads where state = s), 38,
          s || ': the rows that each list reads were counted')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
select is_empty(format('select list, rows from reads where state = %L and rows > 1700 and list !~ ''type''',
                       s), s || ': page 1 of every list reads a bounded number of rows')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
-- The checks of uploads are few among all jobs.
select isnt_empty(format($$ select from node where state = %1$L and query ~ %2$L and n ~ %3$L $$, s, q, k),
                  s || ': jobs are found by ' || k)
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s,
       (values ('u\.kind = ''upload''', 'job_upload_idx')) v (q, k);
select isnt_empty(format($$ select from node where state = %L and query ~ 'kiln.image i'
                               and n ~ 'on kiln\.image' $$, s), s || ': images were explained')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
-- Whether a file is in use is asked of what waits and runs. All jobs that the account ever had were read, for
-- each file of a project again.
select isnt_empty(format($$ select from node where state = %L and query ~ 'input -> ''media'''
                               and n ~ 'on kiln\.job' $$, s),
                  s || ': the jobs that use a file were explained')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
select is_empty(format($$ select n from node where state = %L and query ~ 'input -> ''media'''
                             and n ~ 'on kiln\.job' and n !~ 'Index Cond: \(\w+\.job_id = ' $$, s),
                s || ': and found by their keys')
  from unnest('{one row,"many rows","many rows, never analyzed"}'::text[]) s;
select is_empty($$
    select p.oid::regprocedure
      from pg_proc p
     where p.pronamespace in ('kiln'::regnamespace, 'kiln_internal'::regnamespace, 'kiln_api'::regnamespace,
                              'kiln_runner'::regnamespace)
       and p.prolang = (select l.oid from pg_language l where l.lanname = 'sql')
       and (p.prosecdef or p.proconfig is not null or p.proretset)
$$, 'a function in SQL is one that is inlined where it is called; what has settings or rights of its own '
    'would be planned anew by each statement, and is in plpgsql');

select finish();
rollback;

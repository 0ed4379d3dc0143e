-- Page 1 of every list costs what a page costs, whatever else there is: counted in buffers, with N unwanted
-- rows of each kind before and beside the wanted ones, and with 4N. A scan of an index that a comparison of
-- rows does not end, or of the index of all accounts in place of one's own, shows here, and not in a plan,
-- which names a good index.
begin;
select no_plan();

\set completed `psql -X -q -v rows=500 -v state=completed -f tests/fixtures/list_costs.psql 2>&1`
\set queued `psql -X -q -v rows=500 -v state=queued -f tests/fixtures/list_costs.psql 2>&1`
create temporary table cost as
select l.state, m[1] as list, m[2]::jsonb as query, m[3]::int as few, m[4]::int as many
  from (values ('completed', :'completed'), ('queued', :'queued')) l (state, log),
       regexp_matches(l.log, 'COST (\w+)\|([^|\n]*)\|(\d+)\|(\d+)', 'g') m;

select is_empty($$ select state, substring(log from 'ERROR: [^\n]*')
                     from (values ('completed', ''), ('queued', '')) l (state, log)
                    where log ~ 'ERROR: ' $$, 'the calls go through');
select set_eq('select distinct list from cost',
    $$ select p.proname::text from pg_proc p where p.pronamespace = 'kiln_api'::regnamespace
          and p.proname ~ '^list_' $$, 'each list is asked');
select is((select count(*)::int from cost where list = 'list_tryons'), 2 * 11 * 4, 'by each of its filters');
-- The account's conversations are sorted by their latest message, which moves: a page costs as many as the
-- account is in. What an account has open is found by its tasks, 20,000 at most. The queues count what waits;
-- a queued job says its place, of the first thousand.
create temporary view page as
select * from cost where not query ? 'q' and list <> 'list_conversations'
   and not (state = 'queued' and list in ('list_generations', 'list_queues'));
select is_empty($$ select state, list, query, few, many from page where many > 1.3 * few + 200 $$,
                'a page costs no more buffers where there are four times as many rows');
select is_empty($$ select state, list, query, few, many from page
                    where many > 2000 $$, 'and so many at most');
-- A search reads the prompts of one window: 10,000 jobs, or 8 MB.
select is_empty($$ select state, list, query, few, many from cost
                    where query ? 'q' and many > 4 * few + 100 $$,
                'a search costs no more than the jobs of its window');
select finish();
rollback;

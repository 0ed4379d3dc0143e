-- How chat finds its rows: by index, whatever the statistics say, however long the conversation.
begin;
select no_plan();
\set fresh `psql -X -q -v analyzed=0 -f tests/fixtures/chat_plans.psql 2>&1`
\set known `psql -X -q -v analyzed=1 -f tests/fixtures/chat_plans.psql 2>&1`
create temporary table plan as
select l.state, p as text,
       regexp_replace(substring(p from 'Query Text:\s*(.*?)\n[A-Z][A-Za-z ]+(?: on | using |  \()'), '\s+',
                      ' ', 'g') as query
  from (values ('never analyzed', :'fresh'), ('analyzed', :'known')) l (state, log),
       regexp_split_to_table(l.log, 'LOG:  duration: [0-9.]+ ms  plan:\n') p;
select is_empty($$ select state, substring(text from 'ERROR: [^\n]*') from plan
                    where text ~ 'ERROR: ' $$, 'the calls go through');
select is((select count(*)::int from plan where state = s
              and query ~ 'order by m.conversation_id desc, m.number desc'), 1,
          s || ': a page of messages was explained') from unnest('{never analyzed,analyzed}'::text[]) s;
select matches((select text from plan where state = s
                   and query ~ 'order by m.conversation_id desc, m.number desc'),
               'Index Scan Backward using message_number_key on message m [^\n]*rows=21 loops=1\)\n *Index '
               'Cond: \(\(conversation_id = [^\n]*number < ',
               s || ': a page is a seek into the middle of the index, and reads what it shows')
  from unnest('{never analyzed,analyzed}'::text[]) s;
select is_empty($$ select state, left(query, 90), m[1]
                     from plan, regexp_matches(text,
                         '((?:Seq Scan on|Bitmap Heap Scan on|Sort) '
                         '?(?:kiln\.)?(?:message|conversation|member|notification|block|event)?\y[^\n(]*)',
                                               'g') m where query ~ '\ykiln\.message\y' $$,
                'no statement about messages scans or sorts');
select is_empty($$ select state, left(query, 90), m[1]
                     from plan, regexp_matches(text,
                         '(Seq Scan on (?:kiln\.)?(?:message|conversation|member|notification|block|event)\w*)', 'g') m $$, 'and none reads a table of chat from end to end');
select finish();
rollback;

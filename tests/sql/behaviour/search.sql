-- The search of GET /generations?q=: whole, in windows along the account's jobs, with the other filters, and
-- nobody else's.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

-- 1,300 jobs of bob's: every 100th has a heron; ann has one too.
create temporary table b as select array(
    select kiln.enqueue('local/' || case when n % 200 = 0 then 'audio' else 'image' end,
                        jsonb_build_object('prompt', 'Request ' || n || case when n % 100 = 0
                                                        then ', a blue HERON' when n = 3 then ', 100%_\ wool'
                                                            when n = 5 then ', 富士山の夜明け' when n = 7
                                                                then ', ÄRGER' else '' end),
                        fixture.account('bob'), p_media_type => (case when n % 200 = 0 then 'audio'
                                                                      else 'image' end)::kiln.media_type)
      from generate_series(1, 1300) n) as ids;
create temporary table anns as select fixture.enqueue(account => 'ann',
                                                      input => '{"prompt": "my heron"}') as job_id;
select kiln.enqueue('local/image', p_kind => 'upload', p_input => '{"prompt": "heron"}',
                    p_account_id => fixture.account('bob')),
       kiln.enqueue('local/image', p_input => '{"media": []}', p_account_id => fixture.account('bob')),
       kiln.enqueue('local/image', p_input => '{"prompt": ["heron"]}',
                    p_account_id => fixture.account('bob')) \g /dev/null
create function pg_temp.list(p_query jsonb, p_sub text default 'bob') returns jsonb language sql
as $$ select fixture.call(p_sub, 'list_generations', p_query => p_query) $$;
-- All pages, one after another.
create function pg_temp.walk(p_query jsonb) returns bigint[] language sql as $$
    with recursive w as (
        select 1 as n, pg_temp.list(p_query) as page
        union all select n + 1, pg_temp.list(p_query || jsonb_build_object('cursor', page ->> 'next_cursor'))
                    from w where page ->> 'next_cursor' is not null and n < 99)
    select coalesce(array_agg((i ->> 'id')::bigint order by n, k), '{}')
      from w, jsonb_array_elements(page -> 'items') with ordinality as x (i, k) $$;
create function pg_temp.wanted(p_words text, p_where text default 'true') returns bigint[] language plpgsql
as $$
declare v_ids bigint[];
begin
    execute format('select coalesce(array_agg(job_id order by job_id desc), %L) from kiln.job where '
                   'account_id = fixture.account(%L) and kind = %L and position(lower(%L) in lower(input ->> '
                   '%L)) > 0 and %s', '{}', 'bob', 'generation', p_words, 'prompt', p_where) into v_ids;
    return v_ids;
end $$;

create temporary table query (q text, claim text);
insert into query values ('heron', 'a word, whatever its case'), ('ERO', 'a part of one'),
       ('a blue h', 'several words'), ('request 12', 'what many have'),
       ('100%_\', 'signs that patterns know'), ('%', 'one of them alone'),
    ('山', 'one sign of another script'), ('富士山', 'a word of it'), ('ärger', 'letters beyond ASCII'),
       ('no such thing', 'what nobody wrote'), ('7', 'a single digit');
select cmp_ok(cardinality(pg_temp.wanted('heron')), '=', 14, 'there is something to find');

select is(pg_temp.walk(jsonb_build_object('q', q)), pg_temp.wanted(q), 'found: ' || claim) from query;
select is(pg_temp.walk(jsonb_build_object('q', q, 'limit', '3')), pg_temp.wanted(q),
          'in pages of three: ' || claim) from query where q not in ('7', 'request 12', '%');
select is(pg_temp.walk('{"q": "heron", "type": "audio"}'), pg_temp.wanted('heron', 'media_type = ''audio'''),
          'with a type');
select cmp_ok(cardinality(pg_temp.walk('{"q": "heron", "type": "audio", "limit": "2"}')), '=', 6,
              'of which there are some');
select kiln.cancel_job(ids[300]), kiln.cancel_job(ids[400]), kiln.cancel_job(ids[401]) from b \g /dev/null
select is(pg_temp.walk('{"q": "heron", "state": "cancelled"}'), (select array[ids[400], ids[300]]
                                                                   from b), 'with a state');
select is(pg_temp.walk('{"q": "heron", "state": "cancelled", "type": "image", "limit": "1"}'),
          (select array[ids[300]] from b), 'with a state and a type');
select is(jsonb_array_length(pg_temp.list('{"q": "heron", "limit": "14"}') -> 'items'), 14,
          'a page that is just full');
select is(pg_temp.list('{"q": "heron", "limit": "14"}') -> 'next_cursor', 'null', 'is the last');

-- Whose.
select is(pg_temp.list('{"q": "heron"}', 'ann') #>> '{items,0,id}', job_id::text,
          'another account finds its own') from anns;
select is(jsonb_array_length(pg_temp.list('{"q": "heron"}', 'ann') -> 'items'), 1, 'and nothing else');

-- A page looks through 10,000 jobs. What it has not found by then the next pages do, and none is passed over.
select kiln.enqueue_many('local/image', array(select '{"prompt": "filler"}'::jsonb
                                                from generate_series(1, 10500)),
                         fixture.account('bob')) \g /dev/null
select is(jsonb_array_length(pg_temp.list('{"q": "heron"}') -> 'items'), 0,
          'behind ten thousand others a page finds nothing');
select isnt(pg_temp.list('{"q": "heron"}') -> 'next_cursor', 'null',
            'but says that there is more to look at');
select is(pg_temp.walk('{"q": "heron"}'), pg_temp.wanted('heron'), 'and the pages together find all');
select is(pg_temp.walk('{"q": "heron", "type": "audio", "limit": "2"}'),
          pg_temp.wanted('heron', 'media_type = ''audio'''), 'with a type too');

-- Of long prompts it looks through 8 MB: bob's search of what 1,100 long ones hide ends short of it, and goes
-- on.
select kiln.enqueue_many('local/image', array(select jsonb_build_object('prompt', repeat('x', 7990))
                                                from generate_series(1, 1100)),
                         fixture.account('bob')) \g /dev/null
create temporary table first as select pg_temp.list('{"q": "filler"}') as page;
select is(jsonb_array_length(page -> 'items'), 0, 'behind 8.8 MB of prompts a page finds nothing') from first;
select is((select count(*)::int from kiln.job where account_id = fixture.account('bob')
              and job_id >= convert_from(decode(page ->> 'next_cursor'
                                                || repeat('=', 3 - (length(page ->> 'next_cursor') + 3) % 4),
                                                'base64'), 'UTF8')::bigint),
    1002, 'having looked through a thousand of the longest') from first;
select is(pg_temp.walk('{"q": "heron"}'), pg_temp.wanted('heron'), 'and the pages together find all');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

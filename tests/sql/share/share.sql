-- Public pages: who makes them, what they show, and that all which is not shown looks alike.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:10:00Z') \g /dev/null

create function pg_temp.made(p_sub text, p_kind kiln.job_kind, p_name text, p_input jsonb default '{}',
                             p_output jsonb default '{}') returns bigint language plpgsql as $$
declare
    v_job_id bigint := kiln.enqueue('test/one', p_input, fixture.account(p_sub), p_kind => p_kind);
    v_media  bigint;
begin
    perform fixture.start(v_job_id);
    v_media := (select kiln_runner.put_media(t.task_id, t.fence,
                                             jsonb_build_object('storage_key', substr(md5(p_name), 1, 2)
                                                                || '/' || substr(md5(p_name), 3),
                                                                'role', 'output',
        'media_type', 'image', 'content_type', 'image/jpeg', 'bytes', 1234,
                                                        'sha256', encode(sha256(convert_to(p_name, 'UTF8')),
                                                            'hex'), 'width', 64, 'height', 48))
        from kiln.task_running t where t.job_id = v_job_id);
    perform fixture.complete(v_job_id,
                             (p_output || jsonb_build_object('media',
                                                             jsonb_build_array(v_media::text)))::text);
    return v_job_id;
end $$;
create function pg_temp.share(p_sub text, p_job bigint, p_more jsonb default '{}', p_key text default null)
returns jsonb language sql as $$
    select fixture.call(p_sub, 'create_share', '{}', '{}',
                        (jsonb_build_object('job_id', p_job::text) || p_more)::text, p_key) $$;
create function pg_temp.opened(p_url text) returns jsonb language sql
as $$ select fixture.call(null, 'open_share',
                          jsonb_build_object('token', substring(p_url from '/s/(.*)$'))) $$;
create function pg_temp.code(p_sql text) returns text language sql
as $$ select fixture.refusal(p_sql) ->> 'code' $$;
create function pg_temp.shut(p_url text) returns text language sql
as $$ select r ->> 'code' || ' ' || (r ->> 'message')
        from fixture.refusal(format('select pg_temp.opened(%L)', p_url)) r $$;

create temporary table original as select fixture.media('ann') as media_id;
create temporary table j as
select pg_temp.made('ann', 'staging', 'staged',
                    jsonb_build_object('prompt', 'a long prompt of ours', 'room_type', 'bedroom',
                                       'style', 'modern', 'media', jsonb_build_array(media_id::text)),
                    '{"disclose": {"text": "Virtually staged", "local_sample": false}}') as staged,
       pg_temp.made('ann', 'generation', 'drawn',
                    jsonb_build_object('prompt', '<b>mine</b>', 'media', jsonb_build_array(media_id::text)),
                    '{"draw": {}, "finish": {"sample": "local"}}') as drawn,
       pg_temp.made('bob', 'generation', 'bobs') as bobs, fixture.job_in('running', 'ann') as unfinished,
       pg_temp.made('ann', 'tryon', 'tried') as tried
  from original;

-- Made ------------------------------------------------------------------------------------------------------

create temporary table s as select pg_temp.share('ann', staged) as staged,
                                   pg_temp.share('ann', drawn,
                                                 '{"expires_at": "2030-01-01T13:00:00Z"}') as drawn from j;
select matches(staged ->> 'url', '^/s/[A-Za-z0-9_-]{32}$',
               'the answer has an address with a token of 192 bits') from s;
select is((staged ->> 'is_open')::boolean, true, 'and it is open') from s;
select is_empty($$ select from s, kiln.share x where x::text like '%' || right(s.staged ->> 'url', 32) || '%'
                       or x::text like '%' || encode(convert_to(right(s.staged ->> 'url', 32), 'UTF8'), 'hex')
                          || '%' $$, 'the database does not keep it');
select is(jsonb_path_query_array(fixture.call('ann', 'list_shares'), '$.items[*].job_id'),
          jsonb_build_array(j.drawn::text, j.staged::text), 'one''s own are listed, newest first') from j;
select is(fixture.call('ann', 'list_shares') #> '{items,0}' ? 'url', false, 'without their addresses');
select is(fixture.call('bob', 'list_shares') -> 'items', '[]', 'and nobody else''s');
select is(fixture.call('admin', 'list_shares') -> 'items', '[]', 'for an administrator neither');
create temporary table x as select fixture.call('ann', 'export_me') #> '{sections,shares}' as page;
select is(jsonb_path_query_array(page, '$.items[*].job_id'), jsonb_build_array(j.drawn::text, j.staged::text),
          'the export of the account has them, newest first') from x, j;
select ok(page::text not like '%' || right(s.staged ->> 'url', 32) || '%'
          and not page #> '{items,0}' ? 'token_hash', 'and not the way to them') from x, s;
select is(fixture.call('ann', 'export_me', p_query => '{"section": "shares"}') -> 'sections',
          jsonb_build_object('shares', page), 'alone too') from x;
select is(fixture.call('bob', 'export_me') #> '{sections,shares,items}', '[]', 'another''s has none of them');
select lives_ok(format($$ select pg_temp.share('ann', %s, '{}', 'once') $$, staged),
                'with an Idempotency-Key one is made') from j;
select is(fixture.refusal(format($$ select pg_temp.share('ann', %s, '{}', 'once') $$, staged)) ->> 'code',
          'KN015', 'and its repeat has nothing to show') from j;
select is(pg_temp.code(format($$ select pg_temp.share('ann', %s) $$, job)), 'KN003', 'refused: ' || what)
  from j cross join lateral (values (bobs, 'another''s job'), (0, 'no job')) v (job, what);
select is(pg_temp.code(format($$ select pg_temp.share('ann', %s) $$, job)), 'KN001',
          'nothing to show: ' || what)
  from j cross join lateral (values (unfinished, 'a job that has not ended'), (tried, 'a try-on')) v (job,
                                                        what);
select is(pg_temp.code(format($$ select pg_temp.share('ann', %s, %L) $$, staged, more)), 'KN003',
          'refused: ' || more)
  from j, unnest(array['{"expires_at": "2029-12-31T00:00:00Z"}', '{"expires_at": "soon"}',
                       '{"expires_at": "2031-01-01T00:00:00+25:00"}',
                       '{"expires_at": "2031-02-30T00:00:00Z"}', '{"expires_at": 7}', '{"job_id": 7}',
                       '{"job_id": null}', '{"views": 1}']) more;
select is(pg_temp.code($$ select fixture.call(null, 'create_share', '{}', '{}', '{"job_id": "1"}') $$),
          'KN009', 'nobody makes none');

-- Opened ----------------------------------------------------------------------------------------------------

create temporary table p as select pg_temp.opened(staged ->> 'url') as staged,
                                   pg_temp.opened(drawn ->> 'url') as drawn from s;
select is(jsonb_array_length(staged -> 'originals'), 1, 'a staging is shown with its original') from p;
select is(staged ->> 'label', 'Virtually staged', 'with the words of its label') from p;
select is((staged ->> 'room_type') || ', ' || (staged ->> 'style'), 'bedroom, modern',
          'with the room and the style') from p;
select is(staged ->> 'prompt', null, 'without what was said to the machine') from p;
select is((staged ->> 'is_local_sample')::boolean, false, 'and it is no local sample') from p;
select is(drawn ->> 'prompt', '<b>mine</b>', 'a generation is shown with its prompt, as it is') from p;
select is(drawn -> 'originals', '[]', 'and without what was sent in for it: that was not made to be shown')
  from p;
select is((drawn ->> 'is_local_sample')::boolean, true, 'what was drawn here is said to be a local sample')
  from p;
-- The list of those who make samples stood here as well as in the runner, and a new one would have been
-- forgotten in one of the two.
select is(kiln_internal.is_local_sample(row_to), w, 'a local sample? ' || output)
  from (values ('{"finish": {"sample": "local"}, "weave": {}}', true),
        ('{"disclose": {"local_sample": true}}', true),
        ('{"disclose": {"local_sample": false}, "furnish": {}}', false), ('{"finish": {}}', false),
               ('{"finish": {"sample": null}}', false), ('{}', false)) v (output, w)
 cross join lateral (select jsonb_populate_record(null::kiln.job,
                                                  jsonb_build_object('output', v.output::jsonb)) as row_to) x;
select is(kiln_internal.is_local_sample(jsonb_populate_record(null::kiln.job,
                                                              jsonb_build_object('model_id', m.model_id))),
          v.is_local, 'by its model, if nothing noted it: ' || v.name)
  from kiln.provider v join lateral (select m.* from kiln.model m where m.provider_id = v.provider_id
                                      limit 1) m on true;
create function pg_temp.follow(p_url text) returns jsonb language sql as $$
    select fixture.call(null, 'open_media', jsonb_build_object('id', substring(p_url from '/media/([0-9]+)')),
                        jsonb_build_object('exp', substring(p_url from 'exp=([0-9]+)'),
                                           'sig', substring(p_url from 'sig=([0-9a-f]+)'))) $$;
select is(pg_temp.follow(staged #>> '{results,0,url}') ->> 'bytes', '1234',
          'its pictures open without a token') from p;
select is(pg_temp.follow(staged #>> '{originals,0,url}') ->> 'content_type', m.content_type,
          'the original too') from p, original join kiln.media m using (media_id);
select is(to_timestamp(substring(staged #>> '{results,0,url}' from 'exp=([0-9]+)')::bigint),
          '2030-01-01 12:15:00Z', 'for five minutes') from p;
select fixture.set_now('2030-01-01 12:58:00Z') \g /dev/null
select is(to_timestamp(substring(pg_temp.opened(drawn ->> 'url')
                                 #>> '{results,0,url}' from 'exp=([0-9]+)')::bigint), '2030-01-01 13:00:00Z',
          'and no longer than the page') from s;

-- Shut: unknown, expired, revoked, deleted, suspended: in the same words ------------------------------------

create temporary table nowhere as select pg_temp.shut('/s/' || repeat('A', 32)) as said;
select is(left(said, 5), 'KN002', 'an unknown token shows nothing') from nowhere;
select is(pg_temp.code($$ select pg_temp.opened(null) $$), 'KN002', 'nor does none');
select is(pg_temp.shut('/s/' || encode(x.token_hash, 'hex')), said, 'nor the hash that is kept')
  from nowhere, kiln.share x where share_id = (select (staged ->> 'id')::bigint from s);
select fixture.set_now('2030-01-01 13:00:00Z') \g /dev/null
select is(pg_temp.shut(drawn ->> 'url'), said, 'nor one that has expired') from s, nowhere;
select is((fixture.call('ann', 'list_shares') #>> '{items,1,is_open}')::boolean, false,
          'which its owner sees');
select is(pg_temp.code(format($$ select fixture.call('bob', 'delete_share', '{"id": "%s"}') $$,
                              staged ->> 'id')), 'KN002', 'another cannot take it back') from s;
select isnt(pg_temp.opened(staged ->> 'url'), null, 'so it is open still') from s;
select lives_ok(format($$ select fixture.call('ann', 'delete_share', '{"id": "%s"}') $$, staged ->> 'id'),
                'its owner can') from s;
select is(pg_temp.shut(staged ->> 'url'), said, 'and it is shut at once') from s, nowhere;
select lives_ok(format($$ select fixture.call('ann', 'delete_share', '{"id": "%s"}') $$, staged ->> 'id'),
                'a second time changes nothing') from s;
select is(fixture.call('ann', 'list_shares') #>> '{items,2,revoked_at}', '2030-01-01T13:00:00.000Z',
          'the list says when');

create temporary table again as select pg_temp.share('ann', staged) as staged from j;
set role kiln_owner; update kiln.account set is_suspended = true
                      where account_id = fixture.account('ann'); reset role;
select is(pg_temp.shut(staged ->> 'url'), said, 'the pages of a suspended account are shut')
  from again, nowhere;
set role kiln_owner; update kiln.account set is_suspended = false
                      where account_id = fixture.account('ann'); reset role;
delete from kiln.media m using original o where m.media_id = o.media_id;
select is(pg_temp.opened(staged ->> 'url') #>> '{originals,0,url}', null,
          'an original that was deleted is told of') from again;
select matches(pg_temp.opened(staged ->> 'url') #>> '{originals,0,sha256}', '^[0-9a-f]{64}$',
               'with the hash it had') from again;
delete from kiln.media m using j where m.job_id = j.staged;
select is(pg_temp.shut(staged ->> 'url'), said, 'without its results there is no page') from again, nowhere;
select kiln.delete_job(drawn) from j \g /dev/null
select is_empty($$ select from kiln.share x, j where x.job_id = j.drawn $$, 'a share goes with its job');
select * from finish();
rollback;

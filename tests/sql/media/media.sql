-- Files: what runners record, what becomes of it when its job goes, and who may read it.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:10:00Z') \g /dev/null

create function pg_temp.file(p_name text, p_more jsonb default '{}') returns jsonb language sql as $$
    select jsonb_build_object('storage_key', substr(md5(p_name), 1, 2) || '/' || substr(md5(p_name), 3) ,
                              'role', 'output', 'media_type', 'image', 'content_type', 'image/png',
                              'bytes', 1234, 'sha256', encode(sha256(convert_to(p_name, 'UTF8')), 'hex'),
                              'width', 64, 'height', 48, 'duration_ms', null) || p_more
$$;
create temporary table j as select fixture.job_in('running', p_pipeline => 'test/one') as job_id,
                                   fixture.job_in('running', 'bob') as bobs;
create function pg_temp.put(p_job bigint, p_file jsonb) returns bigint language sql
as $$ select kiln_runner.put_media(t.task_id, t.fence, p_file) from kiln.task_running t
       where t.job_id = p_job $$;

create temporary table m as select pg_temp.put(job_id,
                                               pg_temp.file('result',
                                                   '{"thumbnail_key": "aa/000000000000000000000000000000"}')) as media_id from j;
select is((x.account_id, x.job_id, x.role, x.state, encode(x.sha256, 'hex'))::text,
          (fixture.account('ann'), j.job_id, 'output', 'ready', encode(sha256('result'), 'hex'))::text,
          'a file that a task made belongs to the job and to its account') from m
  join kiln.media x using (media_id), j;
select is(pg_temp.put(job_id, pg_temp.file('result')), media_id,
          'to record it again gives the same id: the first answer may have been lost') from j, m;
select throws_ok($$ select pg_temp.put(bobs, pg_temp.file('result'))
                      from j $$, '23505', null, 'one place in the store belongs to one file');
select throws_ok($$ select pg_temp.put(job_id, pg_temp.file('x', '{"sha256": null}'))
                      from j $$, '23514', null, 'a file without its checksum is refused');
select throws_ok($$ select pg_temp.put(job_id, pg_temp.file('x', '{"storage_key": "../../etc/passwd"}'))
                      from j $$, '23514', null, 'a key that is a path is refused');
select throws_ok($$ select pg_temp.put(job_id, pg_temp.file('x', '{"role": "trick"}'))
                      from j $$, '22P02', null, 'an unknown role is refused');
select throws_ok($$ select pg_temp.put(job_id, pg_temp.file('x', '{"bytes": -1}'))
                      from j $$, '23514', null, 'less than no bytes are refused');

-- What people see -------------------------------------------------------------------------------------------

select fixture.complete(job_id, jsonb_build_object('media', jsonb_build_array(media_id::text,
                                                        '999999'))::text) from j, m \g /dev/null
create temporary table seen as select fixture.call('ann', 'get_generation',
                                                   jsonb_build_object('id', job_id::text)) as job from j;
select is(jsonb_array_length(job -> 'outputs'), 1,
          'the job shows its results, without those that are not there') from seen;
select is(job ->> 'result_url', job -> 'outputs' -> 0 ->> 'url', 'the first is the result') from seen;
select is((job -> 'outputs' -> 0) - 'url' - 'thumbnail_url',
          jsonb_build_object('id', media_id::text, 'media_type', 'image', 'state', 'ready',
                             'content_type', 'image/png', 'bytes', 1234,
          'sha256', encode(sha256('result'), 'hex'), 'width', 64, 'height', 48, 'duration_ms', null),
          'with its facts') from seen, m;

-- A picture with a label burnt in, and the same without it --------------------------------------------------

create temporary table labelled as select fixture.job_in('running', p_pipeline => 'test/one') as job_id;
create temporary table label_media as select pg_temp.put(job_id,
                                                         pg_temp.file('label',
                                                             '{"clean_key": "aa/000000000000000000000000000001"}')) as media_id from labelled;
select fixture.complete(job_id, jsonb_build_object('media', jsonb_build_array(media_id::text))::text)
  from labelled, label_media \g /dev/null
create temporary table clean as
select substring(o.url from 'exp=([0-9]+)') as exp, substring(o.url from 'sig=([0-9a-f]+)') as sig, o.url
  from (select fixture.call('ann', 'get_generation',
                            jsonb_build_object('id', job_id::text)) -> 'outputs' -> 0 ->> 'clean_url' as url
          from labelled) o;
select matches(url, 'variant=clean&', 'its owner is shown the way to the clean one') from clean;
select is(fixture.call(null, 'open_media', jsonb_build_object('id', media_id),
                       jsonb_build_object('exp', exp, 'sig', sig, 'variant', 'clean')) ->> 'storage_key',
          'aa/000000000000000000000000000001', 'which opens that file') from clean, label_media;
select is(fixture.refusal(format($$ select fixture.call(null, 'open_media', '{"id": "%s"}',
                                                        '{"exp": "%s", "sig": "%s"}') $$, media_id, exp, sig))
          ->> 'code', 'KN008',
          'and no other variant') from clean, label_media;
delete from kiln.media m using label_media l where m.media_id = l.media_id;
select ok(exists (select from kiln.trash where storage_key = 'aa/000000000000000000000000000001'),
          'both go together');

-- Signed links ----------------------------------------------------------------------------------------------

create temporary table link as
select substring(url from '/media/([0-9]+)\?') as id, substring(url from 'exp=([0-9]+)') as exp,
       substring(url from 'sig=([0-9a-f]+)') as sig,
       substring(thumb from 'exp=([0-9]+)') as thumb_exp,
       substring(thumb from 'sig=([0-9a-f]+)') as thumb_sig, url, thumb
  from (select job ->> 'result_url' as url, job -> 'outputs' -> 0 ->> 'thumbnail_url' as thumb from seen) s;
create function pg_temp.open(p_id text, p_query jsonb) returns jsonb language sql
as $$ select fixture.call(null, 'open_media', jsonb_build_object('id', p_id), p_query) $$;
create function pg_temp.q(p_exp text, p_sig text, p_variant text default null) returns jsonb language sql
as $$ select jsonb_strip_nulls(jsonb_build_object('exp', p_exp, 'sig', p_sig, 'variant', p_variant)) $$;

select matches(url, '^/api/v1/media/[0-9]+\?exp=[0-9]+&sig=[0-9a-f]{64}$',
               'a link is a path with an expiry and a signature') from link;
select is(to_timestamp(exp::bigint), '2030-01-01 14:00:00Z',
          'it lives for at least an hour, to the full hour, so that caches can keep it') from link;
select is(pg_temp.open(id, pg_temp.q(exp, sig)),
          jsonb_build_object('storage_key', pg_temp.file('result') ->> 'storage_key',
                             'content_type', 'image/png', 'bytes', 1234,
                             'sha256', encode(sha256('result'), 'hex')),
          'it opens the file without any token') from link;
select is(pg_temp.open(id, pg_temp.q(thumb_exp, thumb_sig, 'thumbnail')) ->> 'storage_key',
          'aa/000000000000000000000000000000', 'the link of the small picture opens that') from link;
select is(fixture.refusal(format('select pg_temp.open(%L, %L)', id,
                                 pg_temp.q(exp, kiln_internal.sign_link(id::bigint, 'clean', exp::bigint),
                                           'clean'))) ->> 'code', 'KN002',
          'there is no clean one of what bears no label') from link;
create function pg_temp.code(p_id text, p_query jsonb) returns text language sql
as $$ select fixture.refusal(format('select pg_temp.open(%L, %L)', p_id, p_query)) ->> 'code' $$;
select is(pg_temp.code(id, pg_temp.q(exp, repeat('0', 64))), 'KN008', 'a forged signature opens nothing')
  from link;
select is(pg_temp.code(id, pg_temp.q(exp, sig, 'thumbnail')), 'KN008', 'nor does one of another variant')
  from link;
select is(pg_temp.code(id, pg_temp.q((exp::bigint + 3600)::text, sig)), 'KN008',
          'nor one whose expiry was moved') from link;
select is(pg_temp.code((id::bigint + 1)::text, pg_temp.q(exp, sig)), 'KN008', 'nor one of another file')
  from link;
select is(pg_temp.code(id, '{}'), 'KN008', 'nor none') from link;
select is(pg_temp.code(id, pg_temp.q('soon', sig)), 'KN008', 'nor one with nonsense for an expiry') from link;
select is(pg_temp.code(id, pg_temp.q(exp, upper(sig))), 'KN008', 'nor one in capitals') from link;
select is(pg_temp.code('x', pg_temp.q(exp, sig)), 'KN002', 'what is no id is not there') from link;
select fixture.set_now('2030-01-01 14:00:01Z') \g /dev/null
select is(pg_temp.code(id, pg_temp.q(exp, sig)), 'KN008', 'an expired link opens nothing') from link;
select fixture.set_now('2030-01-01 12:10:00Z') \g /dev/null
update kiln.secret set value = kiln_extensions.gen_random_bytes(32) where name = 'link';
select is(pg_temp.code(id, pg_temp.q(exp, sig)), 'KN008', 'a new key ends all links') from link;

-- Strays ----------------------------------------------------------------------------------------------------

set role kiln_owner;
insert into kiln.trash (storage_key) values ('cc/000000000000000000000000000000') \g /dev/null
reset role;
create temporary table k as
select array[pg_temp.file('result') ->> 'storage_key', 'aa/000000000000000000000000000000',
             'bb/000000000000000000000000000000', 'cc/000000000000000000000000000000'] as keys;
select is_empty('select s.storage_key from k, kiln_runner.orphans(keys, array[9999, 9999, 9999, 9999]) s',
    'as long as PostgreSQL has been up for less than orphan_keep, no file is a orphan: its row may still come')
 where pg_postmaster_start_time() > pg_catalog.statement_timestamp() - interval '1 hour';
update kiln.config set orphan_keep = '10 milliseconds' \g /dev/null
select is((select array_agg(s.storage_key) from k, kiln_runner.orphans(keys, array[9, 9, 9, 9]) s),
          array['bb/000000000000000000000000000000'],
          'a file that no row names, neither as itself nor as a thumbnail, nor the trash, is one');
select is_empty('select s.storage_key from k, kiln_runner.orphans(keys, array[0, 0, 0, 0]) s',
                'a young file is none');
set role kiln_owner; delete from kiln.trash; reset role;

-- Trash -----------------------------------------------------------------------------------------------------

select is_empty('select kiln_runner.trash(10)', 'there is no trash as long as nothing was deleted');
select is(fixture.call('ann', 'delete_generation', jsonb_build_object('id', job_id::text)), null,
          'a job is deleted') from j;
select is((select count(*)::int from kiln.media join m using (media_id)), 0, 'its media go with it');
select bag_eq('select kiln_runner.trash(10)',
              $$ values (pg_temp.file('result') ->> 'storage_key'), ('aa/000000000000000000000000000000') $$,
              'and leave their files, picture and thumbnail, in the trash');
select lives_ok($$ select kiln_runner.trash_done(array['aa/000000000000000000000000000000']) $$,
                'a runner says what it removed');
select is((select array_agg(storage_key) from kiln_runner.trash(10)),
          array[pg_temp.file('result') ->> 'storage_key'], 'and is not asked for it again');
select is_empty('select kiln_runner.trash(0)', 'nobody is given more than was asked for');
select is(pg_temp.code(media_id::text, pg_temp.q(e.at::text, kiln_internal.sign_link(media_id, '', e.at))),
          'KN002', 'a link to what was deleted finds nothing')
  from m, (select extract(epoch from kiln_internal.now())::bigint + 100 as at) e;
select is(fixture.refusal('truncate kiln.media cascade') ->> 'code', 'KN001',
          'media are not emptied at a stroke: their files would stay');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

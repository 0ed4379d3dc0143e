-- Uploads: a promised place, a signed way to it, the bytes, of which the server passes what it found, and the
-- check.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
create function pg_temp.presign(p_body jsonb) returns jsonb language sql
as $$ select fixture.call('ann', 'create_upload', p_body => p_body::text) $$;

create temporary table u as select pg_temp.presign('{"filename": "cat.png", "content_type": "image/png", '
                                                   '"bytes": 1000}') as answer;
select is(answer - 'media_id' - 'url',
    '{"method": "PUT", "headers": {"Content-Type": "image/png"}, "expires_at": "2030-01-01T13:00:00.000Z"}',
          'the answer says how to send the file, and until when') from u;
create temporary table w as
select jsonb_build_object('id', answer ->> 'media_id') as path,
       jsonb_build_object('exp', substring(answer ->> 'url' from 'exp=([0-9]+)'),
                          'sig', substring(answer ->> 'url' from 'sig=([0-9a-f]+)')) as query from u;

select is(fixture.bad_fields(format('select pg_temp.presign(%L)', body)), wanted, 'refused: ' || body)
  from (values ('{}', '/bytes /content_type /filename'),
               ('{"filename": " ", "content_type": "image/png", "bytes": 1}', '/filename'),
               ('{"filename": 5, "content_type": "image/png", "bytes": 1}', '/filename'),
               ('{"filename": ["a.png"], "content_type": "image/png", "bytes": 1}', '/filename'),
               ('{"filename": "a.png", "content_type": "image/png", "bytes": "1"}', '/bytes'),
               ('{"filename": "a", "content_type": "text/html", "bytes": 1}', '/content_type'),
               ('{"filename": "a", "content_type": "image/svg+xml", "bytes": 1}', '/content_type'),
               ('{"filename": "a", "content_type": "image/png", "bytes": 0}', '/bytes'),
               ('{"filename": "a", "content_type": "image/png", "bytes": 67108865}', '/bytes'),
               ('{"filename": "a", "content_type": "image/png", "bytes": "many"}', '/bytes'),
               ('{"filename": "a", "content_type": "image/png", "bytes": 1, "path": "/etc"}',
                '/path')) as v (body, wanted);
select is(fixture.bad_fields(format('select pg_temp.presign(%L)',
                                    jsonb_build_object('filename', repeat('x', 256),
                                                       'content_type', 'image/png', 'bytes', 1))),
          '/filename', 'refused: a name of 256 characters');
select matches(fixture.refusal($$ select pg_temp.presign('{"filename": "a", "content_type": "image/tiff", '
                                                         '"bytes": 1}') $$) ->> 'detail',
    'audio/mp4, .*, video/quicktime, video/webm"', 'which types there are is said to the end');
-- At the PUT these names were known all along; where the place is promised they were refused.
select is(pg_temp.presign(jsonb_build_object('filename', 'a', 'content_type', t, 'bytes', 1)) -> 'headers'
          ->> 'Content-Type', c, t || ' is ' || c)
  from (values ('image/jpg', 'image/jpeg'), ('IMAGE/PNG', 'image/png'), ('image/heif', 'image/heic'),
        ('image/avif', 'image/avif'), ('audio/x-wav', 'audio/wav'),
               ('audio/x-m4a', 'audio/mp4'), ('audio/mp3', 'audio/mpeg'), ('audio/webm', 'audio/webm'),
        ('audio/webm;codecs=opus', 'audio/webm'),
               ('Video/MP4 ; codecs="avc1.42E01E, mp4a.40.2"', 'video/mp4'),
        ('audio/ogg; codecs=opus', 'audio/ogg')) as v (t, c);
select is(fixture.bad_fields(format('select pg_temp.presign(%L)',
                                    jsonb_build_object('filename', 'a', 'content_type', t, 'bytes', 1))),
          '/content_type', t || ' is refused')
  from unnest(array['', 'image', 'image/', '/png', ';', 'image/png,image/jpeg', 'video/x-matroska',
                    'audio/flac', 'application/pdf', 'image/svg+xml;image/png']) t;
update kiln.config set upload_max_bytes = 999;
select is(fixture.bad_fields($$ select pg_temp.presign('{"filename": "a", "content_type": "image/png", '
                                                       '"bytes": 1000}') $$), '/bytes',
    'the largest size is the installation''s to say');
update kiln.config set upload_max_bytes = default;

create temporary table begun as select fixture.call(null, 'begin_upload', path, query) as begun from w;
select is(begun - 'upload_session',
          '{"content_type": "image/png", "bytes": 1000, "md5": null, "reserved": 1000}',
          'the signed way needs no token, and tells the server what was announced') from begun;
create function pg_temp.code(p_function text, p_path jsonb, p_query jsonb, p_body text default null)
returns text language sql as $$
    select fixture.refusal(format('select fixture.call(null, %L, %L, %L, %L)', p_function, p_path, p_query,
                                  p_body)) ->> 'code' $$;
select is(pg_temp.code(f, path, query || '{"sig": "00"}', '{}'), 'KN008', f || ': a forged way leads nowhere')
  from w, unnest('{begin_upload,finish_upload}'::text[]) f;
select is(pg_temp.code('open_media', path, query), 'KN008', 'a way to write is none to read') from w;
select is(pg_temp.code('open_media', path, query || '{"variant": "upload"}'), 'KN002',
          'not even by its own name') from w;
select is(pg_temp.code('begin_upload', path,
                       jsonb_build_object('exp', e.at::text,
                                          'sig', kiln_internal.sign_link((path ->> 'id')::bigint, '', e.at))),
          'KN008', 'and a way to read is none to write') from w, (select 1893502800::bigint as at) e;

select is(pg_temp.code('begin_upload', path, query), 'KN001', 'one request at a time sends the bytes') from w;
create temporary table f as select jsonb_build_object('upload_session', (select begun ->> 'upload_session'
                                                        from begun), 'storage_key', 'ab/' || repeat('c', 30),
                                                      'bytes', 1000, 'sha256', encode(sha256('cat'), 'hex'),
                                                      'content_type', 'image/png')::text as found;
select is(pg_temp.code('finish_upload', path, query,
                       (found::jsonb || '{"upload_session": "of another"}')::text), 'KN001',
          'and no other may say that they are there') from w, f;
create temporary table done as select fixture.call(null, 'finish_upload', path, query, found) as media
                                 from w, f;
select is(media, jsonb_build_object('id', path ->> 'id', 'media_type', 'image', 'state', 'uploading',
                                    'content_type', 'image/png', 'bytes', 1000,
                                    'sha256', encode(sha256('cat'), 'hex'),
          'width', null, 'height', null, 'duration_ms', null, 'url', null, 'thumbnail_url', null),
          'the bytes alone make nothing ready') from done, w;
select is(pg_temp.code(x, path, query, found), 'KN001',
          x || ': a finished upload is not written again: what was checked is what is used')
  from w, f, unnest('{begin_upload,finish_upload}'::text[]) x;
select isnt(pg_temp.code('finish_upload', '{"id": "999999999"}', query, '{}'), null,
            'another id is not what was signed') from w;

-- The check -------------------------------------------------------------------------------------------------

create function pg_temp.tell(p_body jsonb) returns text language sql as $$
    select 'image is '
           || case when fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'ann',
                                                  'create_generation',
                                                  jsonb_build_object('type', 'image', 'prompt', 'x',
                                                                     'media', p_body))) is null then 'taken'
                   else 'refused' end $$;
select is(pg_temp.tell(jsonb_build_array(path ->> 'id')), 'image is refused',
          'bytes that nobody looked at are no input') from w;
select is((fixture.refusal(format('select fixture.call(%L, %L, %L)', 'bob', f, path))) ->> 'code', 'KN002',
          f || ': another''s upload is not there')
  from w, unnest('{complete_upload,get_upload,delete_upload}'::text[]) f;
create temporary table c as select fixture.call('ann', 'complete_upload', path) as media from w;
select is(media ->> 'state', 'checking',
          'who says that the bytes are there is told that they are being looked at') from c;
create temporary table k as select m.media_id, m.check_job_id as job_id, m.incoming_key from kiln.media m, w
                             where m.media_id = (path ->> 'id')::bigint;
select is(fixture.call('ann', 'complete_upload', path) ->> 'state', 'checking', 'said twice it is the same')
  from w;
select is((select count(*)::int from kiln.job j where j.kind = 'upload'), 1, 'and makes one check');
select is((j.account_id, t.account_id)::text,
          (kiln_internal.operator_account(), fixture.account('ann'))::text,
          'the job is the operator''s, and its turn the uploader''s') from k join kiln.job j using (job_id)
  join kiln.task t using (job_id);
select is((select count(*)::int from kiln.event e
            where e.account_id = fixture.account('ann') and e.job_id is not null), 0,
          'no event of it is in the uploader''s stream');
select is(pg_temp.tell(jsonb_build_array(path ->> 'id')), 'image is refused',
          'what is being checked is no input yet') from w;
create temporary table t as select s.* from k cross join lateral fixture.start(k.job_id) s;
select is(t.media, jsonb_build_array(jsonb_build_object('media_id', k.media_id::text,
                                                        'storage_key', k.incoming_key,
                                                        'content_type', 'image/png', 'media_type', 'image',
                                                        'bytes', 1000,
          'width', null, 'height', null, 'duration_ms', null)), 'the runner is given what was sent')
  from t, k;
select is(t.input - 'upload', '{"content_type": "image/png", "bytes": 1000}', 'and what was announced')
  from t;
create function pg_temp.found() returns jsonb language sql as $$
    select jsonb_build_object('storage_key', 'cd/' || repeat('e', 30),
                              'thumbnail_key', 'cd/' || repeat('f', 30), 'role', 'input',
                              'media_type', 'image', 'content_type', 'image/png', 'bytes', 900,
                              'sha256', encode(sha256('clean'), 'hex'), 'width', 4, 'height', 3) $$;
select is(kiln_runner.put_media(t.task_id, t.fence, pg_temp.found()), k.media_id,
          'the checked copy takes its place, under the same id') from t, k;
select is(kiln_runner.put_media(t.task_id, t.fence, pg_temp.found()), k.media_id,
          'told twice, since an answer may be lost, it is the same') from t, k;
select is((m.state, m.storage_key, m.incoming_key, m.bytes, m.width, encode(m.sha256, 'hex'))::text,
          ('ready', 'cd/' || repeat('e', 30), null, 900, 4, encode(sha256('clean'), 'hex'))::text,
          'what was checked is what is used') from k join kiln.media m using (media_id);
select is((select array_agg(t.storage_key) from kiln.trash t), array[incoming_key],
          'and what was sent goes to the trash') from k;
select is((select e.type || ' ' || (e.data ->> 'media_id') from kiln.event e
            where e.account_id = fixture.account('ann') order by event_id desc
            limit 1), 'media.ready ' || (path ->> 'id'), 'the log says that it is ready') from w;
select is(pg_temp.tell(jsonb_build_array(path ->> 'id')), 'image is taken', 'now it is an input') from w;
select is(kiln_internal.incoming_files(job_id, media_id::text), '[]',
          'a check that is claimed again has nothing left to do') from k;
select fixture.complete(job_id) from k \g /dev/null
select is((select m.state::text from kiln.media m
             join k using (media_id)), 'ready', 'and its end changes nothing');
select is((fixture.refusal(format('select fixture.call(%L, %L, %L)', 'ann', 'delete_upload', path)))
          ->> 'code', 'KN001', 'what a job is about to use is not deleted') from w;
select fixture.call('ann', 'cancel_generation', jsonb_build_object('id', j.job_id::text)) from kiln.job j
 where j.account_id = fixture.account('ann') and j.finished_at is null \g /dev/null
select is(fixture.call('ann', 'delete_upload', path), null, 'an upload is deleted') from w;
select is((select count(*)::int from kiln.trash t
            where t.storage_key like 'cd/%'), 2, 'its file and its small picture follow');
set role kiln_owner; delete from kiln.trash; reset role;

-- A file that is bad.
create function pg_temp.sent(p_sub text, p_bytes int default 10) returns bigint language plpgsql as $$
declare v_id bigint := (fixture.call(p_sub, 'create_upload',
    p_body => format('{"filename": "a.png", "content_type": "image/png", "bytes": %s}', p_bytes))
                        ->> 'media_id')::bigint;
begin
    perform kiln_internal.store_upload(v_id, jsonb_build_object('storage_key', kiln_internal.random_key(),
                                                                'bytes', p_bytes, 'sha256', repeat('0', 64)));
    perform fixture.call(p_sub, 'complete_upload', jsonb_build_object('id', v_id::text));
    return v_id;
end $$;
create temporary table b as select pg_temp.sent('ann') as media_id;
select is((fixture.refusal($$ select fixture.call('ann', 'complete_upload',
                                                  jsonb_build_object('id', fixture.call('ann',
                                                        'create_upload',
                                                            p_body => '{"filename": "a.png", "content_type": '
                                                                '"image/png", "bytes": 5}')
                                                                     ->> 'media_id')) $$)) ->> 'code',
          'KN001', 'where no bytes came there is nothing to check');
select fixture.start(check_job_id) from kiln.media join b using (media_id) \g /dev/null
select fixture.fail(check_job_id, 'invalid', 'the PNG file is truncated') from kiln.media
  join b using (media_id) \g /dev/null
select is((m.state, m.reason, m.incoming_key)::text, ('rejected', 'the PNG file is truncated', null)::text,
          'a check that fails rejects the upload, and says why') from kiln.media m join b using (media_id);
select is((select e.type || ' ' || e.data::text from kiln.event e where e.account_id = fixture.account('ann')
            order by event_id desc limit 1),
          format('media.rejected {"reason": "the PNG file is truncated", "media_id": "%s"}', media_id),
          'the log says so too') from b;
select is((select count(*)::int from kiln.trash), 1, 'and its bytes go');
select is(fixture.call('ann', 'complete_upload', jsonb_build_object('id', media_id::text)) ->> 'reason',
          'the PNG file is truncated', 'who asks again is told') from b;
create temporary table g as select pg_temp.sent('ann') as media_id;
select kiln.cancel_job(check_job_id) from kiln.media join g using (media_id) \g /dev/null
select is((m.state, m.reason)::text, ('rejected', 'Cancelled.')::text,
          'a check that an operator cancels rejects it as well') from kiln.media m join g using (media_id);
create temporary table h as select pg_temp.sent('ann') as media_id;
create temporary table ht as select s.*
                               from (select m.check_job_id from kiln.media m join h using (media_id)
                                     offset 0) x cross join lateral fixture.start(x.check_job_id) s;
delete from kiln.media m using h where m.media_id = h.media_id;
select is((fixture.refusal(format('select kiln_runner.put_media(%s, %s, pg_temp.found())', task_id, fence)))
          ->> 'code', 'KN002', 'an upload that is deleted meanwhile is not brought back') from ht;

-- Straight to the store -------------------------------------------------------------------------------------

create temporary table d as select fixture.call('ann', 'create_direct_upload',
    p_body => '{"filename": "a.mp4", "content_type": "video/mp4", "bytes": 7, "md5": '
              '"rL0Y20zC+Fzt72VPzMSk2A=="}', p_key => 'direct') as answer;
select is(answer - 'media_id' - 'storage_key',
    '{"bytes": 7, "headers": {"Content-MD5": "rL0Y20zC+Fzt72VPzMSk2A==", "Content-Type": "video/mp4"}, '
    '"expires_s": 3600, "expires_at": "2030-01-01T13:00:00.000Z"}', 'the server is told what to sign') from d;
select is(fixture.call('ann', 'create_direct_upload',
    p_body => '{"filename": "a.mp4", "content_type": "video/mp4", "bytes": 7, "md5": '
              '"rL0Y20zC+Fzt72VPzMSk2A=="}', p_key => 'direct') ->> 'storage_key', answer ->> 'storage_key',
          'once under a key') from d;
select is(fixture.call('ann', 'complete_upload', jsonb_build_object('id', answer ->> 'media_id')) ->> 'state',
          'checking', 'whether bytes came is for the check to find out') from d;
select is((fixture.refusal($$ select fixture.call('ann', 'create_direct_upload',
    p_body => '{"filename": "a.mp4", "content_type": "video/mp4", "bytes": 7, "md5": '
              '"rL0Y20zC+Fzt72VPzMSk2A=="}', p_key => 'direct') $$)) ->> 'code', 'KN001',
          'nobody is given a way to what is being checked');
select is(fixture.bad_fields($$ select pg_temp.presign('{"filename": "a", "content_type": "image/png", '
                                                       '"bytes": 1, "md5": "d41d8cd98f00b204e9800998ecf8427e"}') $$), '/md5', 'refused: an MD5 in hex');

-- The quota -------------------------------------------------------------------------------------------------

select fixture.call('carl', 'list_generations') \g /dev/null
update kiln.account set media_quota_bytes = 100 where account_id = fixture.account('carl');
create function pg_temp.ask(p_bytes int) returns text language sql as $$
    select coalesce(fixture.refusal(format('select fixture.call(%L, %L, p_body => %L)', 'carl',
                                           'create_upload', jsonb_build_object('filename', 'a',
                                                        'content_type', 'image/png', 'bytes', p_bytes)))
                    ->> 'code', 'ok') $$;
select is(array[pg_temp.ask(101), pg_temp.ask(60), pg_temp.ask(41), pg_temp.ask(40), pg_temp.ask(1)],
          '{KN016,ok,KN016,ok,KN016}', 'what is promised counts, to the byte');
select is((select sum(m.bytes)::int from kiln.media m
            where m.account_id = fixture.account('carl')), 100, 'and no byte more');
set role kiln_owner; update kiln.media set state = 'rejected', reason = 'x'
                      where media_id = (select min(media_id) from kiln.media
                                         where account_id = fixture.account('carl')); reset role;
select is(pg_temp.ask(60), 'ok', 'what was rejected takes no room');
update kiln.account set media_quota_bytes = null where account_id = fixture.account('carl');
select is(pg_temp.ask(60), 'ok', 'an account without a quota of its own has the installation''s');

-- What is being received.
update kiln.account set media_quota_bytes = 300 where account_id = fixture.account('carl');
create temporary table lease as select kiln_internal.begin_upload_session(fixture.account('carl'), null,
                                                        1000) as given;
select is((given ->> 'reserved')::int, 300 - (select sum(bytes)::int from kiln.media
                                               where account_id = fixture.account('carl')
                                                 and state <> 'rejected'),
          'a body without a promise may take what room there is') from lease;
select is(pg_temp.ask(1), 'KN016', 'and then there is none');
select is((kiln_internal.begin_upload_session(fixture.account('carl'), null, 1000) ->> 'reserved')::int, 0,
          'nor for a second body');
select kiln_internal.end_upload_session(given ->> 'upload_session') from lease \g /dev/null
select is(pg_temp.ask(1), 'ok', 'its end gives it back');
create temporary table held as select m.media_id,
                                      kiln_internal.begin_upload_session(m.account_id, m.media_id,
                                                        m.bytes) as given from kiln.media m
                                where m.account_id = fixture.account('carl') and m.state = 'uploading'
                                  and m.bytes = 1;
select fixture.set_now('2030-01-01 12:00:50Z') \g /dev/null
select kiln_internal.extend_upload_session(given ->> 'upload_session') from held \g /dev/null
select fixture.set_now('2030-01-01 12:01:40Z') \g /dev/null
select is((fixture.refusal(format('select kiln_internal.begin_upload_session(%s, %s, 1)',
                                  fixture.account('carl'), media_id))) ->> 'code', 'KN001',
          'who says that it goes on has another minute') from held;
select fixture.set_now('2030-01-01 12:01:51Z') \g /dev/null
select isnt(kiln_internal.begin_upload_session(fixture.account('carl'), media_id, 1) ->> 'upload_session',
            given ->> 'upload_session', 'who was silent for a minute has lost it') from held;
select is((fixture.refusal(format('select kiln_internal.extend_upload_session(%L)',
                                  given ->> 'upload_session'))) ->> 'code', 'KN001', 'and is told so')
  from held;
select is((fixture.refusal(format('select kiln_internal.extend_upload_session(%L)', 'none'))) ->> 'code',
          'KN001', 'as is who never had it');
update kiln.account set media_quota_bytes = null where account_id = fixture.account('carl');
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create temporary table l as select pg_temp.presign('{"filename": "late.png", "content_type": "image/png", '
                                                   '"bytes": 1}') as answer;
select fixture.set_now('2030-01-01 13:00:01Z') \g /dev/null
select is(pg_temp.code('begin_upload', jsonb_build_object('id', answer ->> 'media_id'),
                       jsonb_build_object('exp', substring(answer ->> 'url' from 'exp=([0-9]+)'),
                                          'sig', substring(answer ->> 'url' from 'sig=([0-9a-f]+)'))),
          'KN008', 'a way that has expired leads nowhere') from l;
delete from kiln.media where media_id = (select (answer ->> 'media_id')::bigint from l);
select fixture.set_now('2030-01-01 12:30:00Z') \g /dev/null
select is(pg_temp.code('begin_upload', jsonb_build_object('id', answer ->> 'media_id'),
                       jsonb_build_object('exp', substring(answer ->> 'url' from 'exp=([0-9]+)'),
                                          'sig', substring(answer ->> 'url' from 'sig=([0-9a-f]+)'))),
          'KN002', 'nor does one to a place that is gone') from l;
select throws_ok($$ select fixture.call(null, 'create_upload', p_body => '{}') $$, 'KN009', null,
                 'a place is promised to accounts only');
select finish();
rollback;

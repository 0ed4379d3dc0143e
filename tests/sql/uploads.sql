-- Uploads: a promised place, a signed way to it, then the bytes, of which the server passes what it found.
begin;
\ir ../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
create function pg_temp.presign(p_body jsonb) returns jsonb language sql as $$ select fixture.call('ann', 'create_upload', p_body => p_body::text) $$;

create temporary table u as select pg_temp.presign('{"filename": "cat.png", "content_type": "image/png", "bytes": 1000}') as answer;
select is(answer - 'media_id' - 'url', '{"method": "PUT", "headers": {"Content-Type": "image/png"}, "expires_at": "2030-01-01T13:00:00.000Z"}', 'the answer says how to send the file, and until when') from u;
create temporary table w as
select jsonb_build_object('id', answer ->> 'media_id') as path, jsonb_build_object('exp', substring(answer ->> 'url' from 'exp=([0-9]+)'), 'sig', substring(answer ->> 'url' from 'sig=([0-9a-f]+)')) as query from u;

select is(fixture.bad_fields(format('select pg_temp.presign(%L)', body)), wanted, 'refused: ' || body)
  from (values ('{}', '/bytes /content_type /filename'),
               ('{"filename": " ", "content_type": "image/png", "bytes": 1}', '/filename'),
               ('{"filename": "a", "content_type": "text/html", "bytes": 1}', '/content_type'),
               ('{"filename": "a", "content_type": "image/svg+xml", "bytes": 1}', '/content_type'),
               ('{"filename": "a", "content_type": "image/png", "bytes": 0}', '/bytes'),
               ('{"filename": "a", "content_type": "image/png", "bytes": 67108865}', '/bytes'),
               ('{"filename": "a", "content_type": "image/png", "bytes": "many"}', '/bytes'),
               ('{"filename": "a", "content_type": "image/png", "bytes": 1, "path": "/etc"}', '/path')) as v (body, wanted);
select is(fixture.bad_fields(format('select pg_temp.presign(%L)', jsonb_build_object('filename', repeat('x', 256), 'content_type', 'image/png', 'bytes', 1))), '/filename', 'refused: a name of 256 characters');
update kiln.config set upload_max_bytes = 999;
select is(fixture.bad_fields($$ select pg_temp.presign('{"filename": "a", "content_type": "image/png", "bytes": 1000}') $$), '/bytes', 'the largest size is the installation''s to say');
update kiln.config set upload_max_bytes = default;

select is(fixture.call(null, 'begin_upload', path, query), '{"content_type": "image/png", "bytes": 1000, "storage_key": null}', 'the signed way needs no token, and tells the server what was announced') from w;
create function pg_temp.code(p_function text, p_path jsonb, p_query jsonb, p_body text default null) returns text language sql as $$
    select fixture.refusal(format('select fixture.call(null, %L, %L, %L, %L)', p_function, p_path, p_query, p_body)) ->> 'code' $$;
select is(pg_temp.code(f, path, query || '{"sig": "00"}', '{}'), 'KN008', f || ': a forged way leads nowhere') from w, unnest('{begin_upload,finish_upload}'::text[]) f;
select is(pg_temp.code('open_media', path, query), 'KN008', 'a way to write is none to read') from w;
select is(pg_temp.code('open_media', path, query || '{"variant": "upload"}'), 'KN002', 'not even by its own name') from w;
select is(pg_temp.code('begin_upload', path, jsonb_build_object('exp', e.at::text, 'sig', kiln.sign_link((path ->> 'id')::bigint, '', e.at))), 'KN008', 'and a way to read is none to write') from w, (select 1893502800::bigint as at) e;

create temporary table f as select jsonb_build_object('storage_key', 'ab/' || repeat('c', 30), 'bytes', 1000, 'sha256', encode(sha256('cat'), 'hex'), 'content_type', 'image/png')::text as found;
create temporary table done as select fixture.call(null, 'finish_upload', path, query, found) as media from w, f;
select is(media - 'url', jsonb_build_object('id', path ->> 'id', 'media_type', 'image', 'state', 'ready', 'content_type', 'image/png', 'bytes', 1000, 'sha256', encode(sha256('cat'), 'hex'),
          'width', null, 'height', null, 'duration_ms', null, 'thumbnail_url', null), 'after the bytes the media are ready') from done, w;
select is((select e.type || ' ' || (e.data ->> 'media_id') from kiln.event e where e.account_id = fixture.account('ann') order by event_id desc limit 1), 'media.ready ' || (path ->> 'id'), 'and the log says so') from w;
select is(pg_temp.code(x, path, query, found), 'KN001', x || ': a finished upload is not written again: what was checked is what is used') from w, f, unnest('{begin_upload,finish_upload}'::text[]) x;
select isnt(pg_temp.code('finish_upload', '{"id": "999999999"}', query, '{}'), null, 'another id is not what was signed') from w;

create temporary table l as select pg_temp.presign('{"filename": "late.png", "content_type": "image/png", "bytes": 1}') as answer;
select fixture.set_now('2030-01-01 13:00:01Z') \g /dev/null
select is(pg_temp.code('begin_upload', jsonb_build_object('id', answer ->> 'media_id'), jsonb_build_object('exp', substring(answer ->> 'url' from 'exp=([0-9]+)'), 'sig', substring(answer ->> 'url' from 'sig=([0-9a-f]+)'))),
          'KN008', 'a way that has expired leads nowhere') from l;
delete from kiln.media where media_id = (select (answer ->> 'media_id')::bigint from l);
select fixture.set_now('2030-01-01 12:30:00Z') \g /dev/null
select is(pg_temp.code('begin_upload', jsonb_build_object('id', answer ->> 'media_id'), jsonb_build_object('exp', substring(answer ->> 'url' from 'exp=([0-9]+)'), 'sig', substring(answer ->> 'url' from 'sig=([0-9a-f]+)'))),
          'KN002', 'nor does one to a place that is gone') from l;
select throws_ok($$ select fixture.call(null, 'create_upload', p_body => '{}') $$, 'KN009', null, 'a place is promised to accounts only');
select finish();
rollback;

-- A project's download: which files, under which names, and for whom.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:10:00Z') \g /dev/null

select is(kiln_internal.file_word(t, 'x'), w, format('%L is %s in a file''s name', t, w))
  from (values ('A flat, 2nd floor', 'a-flat-2nd-floor'), ('living_room', 'living-room'),
        ('../../etc/passwd', 'etc-passwd'), (E'a\nb\t\u0007c', 'a-b-c'), ('..', 'x'), ('', 'x'), (null, 'x'),
               ('wohnung.zip', 'wohnung-zip'), ('квартира', 'x'),
        (repeat('ab ', 99), rtrim(left(repeat('ab-', 99), 60), '-')), ('CON:|"<>*?\', 'con')) v (t, w);

-- A picture, staged twice in one style and decluttered once; what did not come to an end is left out.
create temporary table p as select fixture.media('ann') as media_id;
update kiln.media m set filename = 'The Hall (1).PNG' from p where m.media_id = p.media_id;
create temporary table q as
select (fixture.call('ann', 'create_project', '{}', '{}',
                     jsonb_build_object('name', 'Ann''s "flat" 2',
                                        'media', jsonb_build_array(media_id::text))::text)
        ->> 'id')::bigint as project_id from p;
create function pg_temp.stage(p_more jsonb) returns bigint language sql as $$
    select (fixture.call('ann', 'create_image', '{}', '{}',
                         (jsonb_build_object('project_id', project_id::text, 'media_id', media_id::text,
                                             'room_type', 'living_room') || p_more)::text) ->> 'id')::bigint
      from p, q $$;
create function pg_temp.finish(p_job bigint, p_name text, p_label text) returns void language plpgsql as $$
declare v_media bigint;
begin
    perform fixture.start(p_job);
    perform fixture.complete(p_job);
    perform fixture.start(p_job);
    perform fixture.complete(p_job);
    perform fixture.start(p_job);
    v_media := (select kiln_runner.put_media(t.task_id, t.fence,
                                             jsonb_build_object('storage_key', substr(md5(p_name), 1, 2)
                                                                || '/' || substr(md5(p_name), 3),
                                                                'clean_key', substr(md5(p_label || p_name), 1,
                                                                    2) || '/' || substr(md5(p_label
                                                                        || p_name), 3),
        'role', 'output', 'media_type', 'image', 'content_type', 'image/jpeg', 'bytes', 9,
                                                        'sha256', encode(sha256(convert_to(p_name, 'UTF8')),
                                                            'hex'))) from kiln.task_running t
                 where t.job_id = p_job);
    perform fixture.complete(p_job,
                             jsonb_build_object('media', jsonb_build_array(v_media::text),
                                                'disclose', jsonb_build_object('text', p_label,
                                                        'local_sample', false))::text);
end $$;
select pg_temp.finish(pg_temp.stage('{"style": "art_deco"}'), 'one', 'Virtually staged') \g /dev/null
select pg_temp.finish(pg_temp.stage('{"style": "art_deco"}'), 'two', 'Digitally furnished') \g /dev/null
select pg_temp.finish(pg_temp.stage('{"mode": "declutter"}'), 'three', 'Virtually staged') \g /dev/null
select pg_temp.stage('{"style": "modern"}') \g /dev/null

create temporary table d as select fixture.call('ann', 'download_project',
                                                jsonb_build_object('id', project_id::text)) as said from q;
select is(said ->> 'folder', 'ann-s-flat-2', 'the folder is called like the project') from d;
select is((select array_agg(e ->> 'name' order by e ->> 'name')
             from jsonb_array_elements(said -> 'entries') e),
          '{ann-s-flat-2/living-room-1-art-deco-2.jpg,ann-s-flat-2/living-room-1-art-deco.jpg,'
          'ann-s-flat-2/living-room-1-declutter.jpg,ann-s-flat-2/originals/1-the-hall-1.png}',
          'each result by its room, the number of its original and its style; the originals apart') from d;
select is_empty($$ select e from d, jsonb_array_elements(said -> 'entries') e
                    where e ->> 'storage_key' in (select clean_key from kiln.media) $$, 'never a clean one');
select alike(said ->> 'readme', E'Ann''s "flat" 2\n%',
             'the README begins with the project''s name, in one line') from d;
select alike(said ->> 'readme',
    E'%living-room-1-art-deco-2.jpg\n    altered on 2030-01-01 from originals/1-the-hall-1.png; label: Digitally furnished\n%', 'says of each what was done to which original') from d;
select matches(said ->> 'readme',
               E'originals/1-the-hall-1.png\n    original, unaltered; SHA-256 [0-9a-f]{64}\n',
               'and of the originals what they are') from d;
select is(fixture.refusal(format($$ select fixture.call('bob', 'download_project', '{"id": "%s"}') $$,
                                 project_id)) ->> 'code', 'KN002', 'another''s project is not there') from q;
select is(fixture.refusal($$ select fixture.call('bob', 'download_project', '{"id": "999999"}') $$)
          ->> 'code', 'KN002', 'like none');
select alike(fixture.call('ann', 'download_project',
                          jsonb_build_object('id', fixture.call('ann', 'create_project', '{}', '{}',
                                                                '{"name": "??"}') ->> 'id')) ->> 'readme',
             '%There is nothing in this project yet.%', 'an empty one says so');
-- It kept the oldest 5,000, and said nothing of those that it left out.
create function pg_temp.more(p_many int) returns void language sql set role = kiln_owner as $$
    with first as (select i.job_id, i.account_id from kiln.image i join kiln.job j using (job_id)
                    where j.state = 'completed' order by i.job_id limit 1),
    made as (
        insert into kiln.media (account_id, job_id, role, state, media_type, content_type, bytes, sha256,
                                storage_key)
        select f.account_id, f.job_id, 'output', 'ready', 'image', 'image/jpeg', 9, sha256('x'),
               substr(h, 1, 2) || '/' || substr(h, 3)
          from first f, generate_series(1, p_many) n, md5(p_many || ' ' || n) h
        returning media_id)
    update kiln.job j
       set output = jsonb_set(j.output, '{media}', (j.output -> 'media')
                              || (select jsonb_agg(m.media_id::text) from made m)) from first f
     where j.job_id = f.job_id
$$;
create function pg_temp.names() returns text[] language sql as $$
    select array_agg(split_part(e ->> 'name', '/', 2) order by e ->> 'name')
      from q, jsonb_array_elements(fixture.call('ann', 'download_project',
                                                jsonb_build_object('id', project_id::text)) -> 'entries') e
     where e ->> 'name' not like '%/originals/%' $$;
select pg_temp.more(4996) \g /dev/null
select is(cardinality(pg_temp.names()), 4999, 'thousands of results fit');
select unalike(fixture.call('ann', 'download_project',
                            jsonb_build_object('id', project_id::text)) ->> 'readme', '%the newest%',
               'and nothing is said of others') from q;
select pg_temp.more(3) \g /dev/null
select is(cardinality(pg_temp.names()), 5000, 'of more than 5,000 there are 5,000');
select ok(pg_temp.names() @> '{living-room-1-declutter.jpg,living-room-1-art-deco-5001.jpg}'
          and not pg_temp.names() && '{living-room-1-art-deco.jpg,living-room-1-art-deco-2.jpg}',
          'the newest, under their numbers among all');
select alike(fixture.call('ann', 'download_project', jsonb_build_object('id', project_id::text)) ->> 'readme',
             '%No more than 5,000 altered pictures are in one file: these are the newest.%',
             'and the README says so') from q;
select fixture.call('ann', 'delete_project', jsonb_build_object('id', project_id::text)) from q \g /dev/null
select is(fixture.refusal(format($$ select fixture.call('ann', 'download_project', '{"id": "%s"}') $$,
                                 project_id)) ->> 'code', 'KN002', 'nor is one that was deleted') from q;
select * from finish();
rollback;

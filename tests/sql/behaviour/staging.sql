-- Virtual staging as its owner asks for it: projects and their originals, styles and their aliases, prompts,
-- a whole project at once, and what is left when something is deleted.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create function pg_temp.at(p_id text) returns jsonb language sql
as $$ select jsonb_build_object('id', p_id) $$;
create function pg_temp.post(p_body jsonb, p_sub text default 'ann', p_key text default null) returns jsonb
language sql as $$ select fixture.call(p_sub, 'create_image', p_body => p_body::text, p_key => p_key) $$;
create function pg_temp.fields(p_body jsonb) returns text language sql
as $$ select fixture.bad_fields(format('select pg_temp.post(%L)', p_body)) $$;
create function pg_temp.code(p_statement text) returns text language sql
as $$ select coalesce(fixture.refusal(p_statement) ->> 'code', 'well') $$;
create function pg_temp.finish(p_id bigint) returns void language plpgsql as $$ begin
    while (select finished_at is null from kiln.job
            where job_id = p_id) loop perform fixture.start(p_id), fixture.complete(p_id); end loop; end $$;
select fixture.media('ann', 'one') as one, fixture.media('ann', 'two') as two,
       fixture.media('ann', 'three') as three, fixture.media('bob') as bobs \gset

-- Projects
select fixture.call('ann', 'create_project',
                    p_body => format('{"name": "A flat", "media": ["%s", "%s"]}', :two,
                                     :one)) as project \gset
select (:'project'::jsonb) ->> 'id' as p \gset
select is(jsonb_path_query_array(:'project', '$.pictures[*].id'), jsonb_build_array(:'two', :'one'),
          'a project has its originals, in the order in which they were named');
select is(fixture.bad_fields(format('select fixture.call(%L, %L, p_body => %L)', 'ann', 'create_project', b)),
          f, 'a project is refused: ' || b)
  from (values ('{}', '/name'), ('{"name": " ", "description": 7, "what": 1}', '/description /name /what'),
        ('{"name": "x", "media": "all"}', '/media'),
               (format('{"name": "x", "media": ["%s", "%s", "999999999", "x"]}', :one, :bobs),
                '/media/1 /media/2 /media/3')) v (b, f);
select is(fixture.call('ann', 'create_project', p_body => '{"name": "once"}', p_key => 'k') ->> 'id',
          fixture.call('ann', 'create_project', p_body => '{"name": "once"}', p_key => 'k') ->> 'id',
          'one Idempotency-Key is one project');
select is(fixture.call('ann', 'update_project', pg_temp.at(:'p'),
                       p_body => '{"description": "Third floor"}') - 'pictures' - 'updated_at',
          (:'project'::jsonb - 'pictures' - 'updated_at') || '{"description": "Third floor"}',
          'what is not named stays');
select is(jsonb_array_length(fixture.call('ann', 'list_projects', p_query => '{"limit": "1"}') -> 'items'), 1,
          'projects come in pages');
select is(fixture.call('ann', 'list_projects',
                       p_query => jsonb_build_object('cursor', fixture.call('ann', 'list_projects',
                                                        p_query => '{"limit": "1"}') ->> 'next_cursor'))
          #>> '{items,0,id}', :'p', 'the next page goes on');

-- An image
create function pg_temp.body(p_more jsonb default '{}') returns jsonb language plpgsql as $$ begin
    return jsonb_build_object('project_id', current_setting('test.p'),
                              'media_id', current_setting('test.one'), 'room_type', 'living_room',
                              'style', 'modern') || p_more; end $$;
select set_config('test.p', :'p', true), set_config('test.one', :'one', true) \g /dev/null
select pg_temp.post(pg_temp.body('{"prompt": "a {room} with {user_prompt}", "seed": 7, "variations": 2, '
                                 '"disclosure": "Digitally altered"}')) as image \gset
select (:'image'::jsonb) ->> 'id' as i \gset
select is(jsonb_build_object('kind', i -> 'kind', 'state', i -> 'state', 'mode', i -> 'mode',
                             'room_type', i -> 'room_type', 'style', i -> 'style', 'seed', i -> 'seed',
                             'variations', i -> 'variations', 'model', i -> 'model',
                             'user_prompt', i -> 'user_prompt', 'media', i #> '{media,0,id}',
                             'self', i #> '{links,self}', 'disclosure', i -> 'disclosure',
                             'versions', i -> 'versions'),
          jsonb_build_object('kind', 'staging', 'state', 'queued', 'mode', 'stage',
                             'room_type', 'living_room', 'style', 'modern', 'seed', '7', 'variations', 2,
                             'model', 'local/furnish', 'user_prompt', 'a {room} with {user_prompt}',
                             'media', :'one', 'self', '/api/v1/images/' || :'i',
                             'disclosure', 'Digitally altered',
                             'versions', '{"pipeline": 1, "prompt": 1, "style": 1}'::jsonb),
          'an image is a job with what was asked for')
  from (select :'image'::jsonb as i) x;
select matches((:'image'::jsonb) ->> 'prompt',
    '^Furnish this living room in modern style.*The owner also asks: a \{room\} with \{user_prompt\} Keep '
    'everything else exactly as it is: walls, windows',
          'its prompt is the task, the style, the user_prompt as it was said, and last what must not change');
select is((pg_temp.post(pg_temp.body(m)) ->> 'prompt') ~ r, true, 'the task follows the mode: ' || m::text)
  from (values ('{"mode": "declutter", "style": null}'::jsonb, '^Remove all movable furniture'),
        ('{"mode": "restyle"}', '^Replace the movable furniture')) v (m, r);
select is(pg_temp.fields(b), f, c) from (values
    ('{}'::jsonb, '/media_id /project_id /room_type /style', 'nothing is not enough'),
    (pg_temp.body('{"mode": "burn", "room_type": "attic", "style": "ugly", "what": 1}'),
     '/mode /room_type /style /what', 'words that are none'),
    (pg_temp.body('{"variations": 5, "seed": -1, "disclosure": "", "prompt": 7}'),
     '/disclosure /prompt /seed /variations', 'values out of bounds'),
    (pg_temp.body('{"disclosure": null, "variations": "2"}'), '/variations', 'a number as a string'),
    (pg_temp.body(format('{"project_id": "999999999", "media_id": "%s"}', :bobs)::jsonb),
     '/media_id /project_id', 'another''s picture, and no project'),
    (pg_temp.body('{"model": "nobody/knows"}'), '/model', 'a model that is none')) v (b, f, c);
select matches(fixture.refusal(format('select pg_temp.post(%L)', pg_temp.body('{"style": "ugly"}')))
               ->> 'message', 'must be one of standard, modern',
               'who names no style is told which there are');
select is(pg_temp.post(pg_temp.body('{"seed": 1}'), p_key => 'k') ->> 'id',
          pg_temp.post(pg_temp.body('{"seed": 1}'), p_key => 'k') ->> 'id',
          'one Idempotency-Key is one image');
select is(pg_temp.code(format('select pg_temp.post(%L, p_key => %L)', pg_temp.body('{"seed": 2}'), 'k')),
          'KN005', 'and no other');

-- Styles have aliases, and old names are never taken away
select is(jsonb_build_array(i -> 'style', i -> 'style_asked', i -> 'style_is_deprecated'), w::jsonb,
          'asked for ' || s)
  from (values ('modern', '["modern", "modern", false]'), ('boho', '["bohemian", "boho", false]'),
        ('hamptons', '["coastal", "hamptons", true]')) v (s, w),
       lateral (select pg_temp.post(pg_temp.body(jsonb_build_object('style', s))) as i) x;
select is(fixture.refusal($$ insert into kiln.style (name, title, position, alias_of)
                             values ('b', 'B', 99, 'boho') $$) ->> 'code', '23503',
          'an alias of an alias is refused');
select is(fixture.refusal($$ insert into kiln.style (name, title, position, is_deprecated)
                             values ('b', 'B', 99, true) $$) ->> 'code', '23514',
          'and what is deprecated without what takes its place');
select is_empty($$ select name from kiln.style where alias_of is null
                      and not exists (select from kiln.style_text t where t.style = name) $$,
                'every style that is no alias has words');
select is((select array_agg(s ->> 'name')
             from jsonb_array_elements(fixture.call(null, 'get_staging_options') -> 'styles') s
            where s ->> 'name' in ('modern', 'boho', 'hamptons')), '{modern}',
          'anybody may see the styles: the names that count');
insert into kiln.style_text values ('modern', 2, 'as of next year');
select is((i #>> '{versions,style}', (i ->> 'prompt') ~ 'as of next year')::text, '(2,t)',
          'new words of a style are for new images') from (select pg_temp.post(pg_temp.body('{}')) as i) x;
select is(fixture.call('ann', 'get_image', pg_temp.at(:'i')) #>> '{versions,style}', '1',
          'an old one tells with which it was made');
set local role kiln_admin;
select throws_ok($$ update kiln.style_text set words = 'x' $$, '42501', null, 'which nobody rewrites');
select throws_ok($$ delete from kiln.style $$, '42501', null, 'nor takes a name away');
reset role;

-- Lists
select is((fixture.call('ann', 'list_images',
                        p_query => jsonb_build_object('project', :'p', 'limit', '3'))
           ->> 'next_cursor') is not null, true, 'images come in pages');
select is((select count(*)::int
             from jsonb_array_elements(fixture.call('ann', 'list_images',
                                                    p_query => '{"limit": "100"}') -> 'items')),
          (select count(*)::int from kiln.image), 'all of them');
select is(fixture.call('ann', 'list_project_images', pg_temp.at(:'p'), '{"limit": "100"}') #> '{items,0,id}',
          fixture.call('ann', 'list_images',
                       p_query => jsonb_build_object('project', :'p')) #> '{items,0,id}',
          'of a project, under either address');
select is(fixture.call('ann', 'list_images', p_query => '{"state": "completed"}') -> 'items', '[]',
          'by state');
select is(pg_temp.code($$ select fixture.call('ann', 'list_images', p_query => '{"state": "tired"}') $$),
          'KN006', 'a state that is none is malformed');
select is(pg_temp.code($$ select fixture.call('ann', 'list_images',
                                              p_query => '{"project": "999999999"}') $$), 'KN002',
          'a project that is none has no list');

-- Cancel, retry, delete
select is(pg_temp.code(format('select fixture.call(%L, %L, %L)', 'ann', f, pg_temp.at(:'i'))), 'KN001',
          f || ': it has not ended') from unnest('{retry_image,delete_image}'::text[]) f;
select is(fixture.call('ann', 'cancel_image', pg_temp.at(:'i')) ->> 'state', 'cancelled',
          'an image is cancelled');
select is(pg_temp.code(format('select fixture.call(%L, %L, %L)', 'ann', 'cancel_image', pg_temp.at(:'i'))),
          'KN001', 'once');
select fixture.call('ann', 'retry_image', pg_temp.at(:'i'),
                    p_body => '{"reason": "the sofa blocks the door"}', p_key => 'r') as again \gset
select is(jsonb_build_array(a -> 'parent_id', a -> 'reason', a -> 'prompt', a -> 'seed', a -> 'project_id',
                            a -> 'variations', a -> 'style', a #> '{versions,style}'),
          jsonb_build_array(:'i', 'the sofa blocks the door', (:'image'::jsonb) -> 'prompt', '7', :'p', 2,
                            'modern', 1), 'it is tried again with the reason, word for word')
  from (select :'again'::jsonb as a) x;
select is(fixture.call('ann', 'retry_image', pg_temp.at(:'i'),
                       p_body => '{"reason": "the sofa blocks the door"}', p_key => 'r') ->> 'id',
          (:'again'::jsonb) ->> 'id', 'once for one Idempotency-Key');
select is((a #>> '{versions,style}', (a ->> 'prompt') ~ 'asks: less furniture Keep',
           a ->> 'user_prompt')::text, '(2,t,"less furniture")', 'with other words the prompt is made anew')
  from (select fixture.call('ann', 'retry_image', pg_temp.at(:'i'),
                            p_body => '{"prompt": "less furniture"}') as a) x;
select pg_temp.finish(((:'again'::jsonb) ->> 'id')::bigint) \g /dev/null
select is(fixture.call('ann', 'delete_image', pg_temp.at((:'again'::jsonb) ->> 'id')), null,
          'what has ended is deleted');
select is((select count(*)::int from kiln.image
            where job_id = ((:'again'::jsonb) ->> 'id')::bigint) + (select count(*)::int from kiln.media
                                                                     where media_id = :one), 1,
          'and its original stays');
select is(pg_temp.code(format('select fixture.call(%L, %L, %L)', 'ann', 'delete_upload', pg_temp.at(:'two'))),
          'KN001', 'an original cannot be deleted while a project has it');
select is(pg_temp.code(format('select fixture.call(%L, %L, %L, p_body => %L)', 'ann', 'update_project',
                              pg_temp.at(:'p'), format('{"media": ["%s"]}', :two))), 'KN001',
          'nor leave it while there are images of it');
select is(jsonb_array_length(fixture.call('ann', 'update_project', pg_temp.at(:'p'),
                                          p_body => format('{"media": ["%s", "%s"]}', :one, :three))
                             -> 'pictures'), 2, 'one without images may leave');
select is(pg_temp.code(format('select fixture.call(%L, %L, %L)', 'ann', 'delete_upload', pg_temp.at(:'two'))),
          'well', 'and can then be deleted');

-- Whose
select is(pg_temp.code(format('select fixture.call(%L, %L, %L, p_body => %L)', w, f,
                              pg_temp.at(case when f ~ 'project' then :'p' else :'i' end),
                              '{"style": "modern"}')), case when w = 'none' then 'KN009' else 'KN002' end,
          f || ' is refused to ' || w)
  from unnest('{bob,admin}'::text[]) w,
       unnest('{get_project,update_project,delete_project,stage_project,list_project_images,get_image,'
              'delete_image,cancel_image,retry_image}'::text[]) f;
select is(pg_temp.code(format('select fixture.call(null, %L, %L, p_body => %L)', f, pg_temp.at('1'), '{}')),
          'KN009', f || ' is refused to nobody')
  from unnest('{create_project,list_projects,get_project,update_project,delete_project,stage_project,'
              'list_project_images,create_image,list_images,get_image,delete_image,cancel_image,retry_image}'::text[]) f;
select is(pg_temp.fields(pg_temp.body() || '{"mode": null, "prompt": null, "variations": null}'),
          '/mode /prompt /variations',
          'null is none of the modes, texts and numbers that the description promises');
select is(fixture.bad_fields(format('select pg_temp.post(%L, %L)', pg_temp.body(), 'bob')),
          '/media_id /project_id', 'nobody stages another''s picture, nor into another''s project');
select is(jsonb_array_length(fixture.call('bob',
                                          'list_images') -> 'items') + jsonb_array_length(fixture.call('bob',
                                                        'list_projects') -> 'items'), 0,
          'lists show one''s own');
select fixture.act_as('bob') \g /dev/null
set local role kiln_definer;
select is((select count(*)::int from kiln.project) + (select count(*)::int
                                                        from kiln.picture) + (select count(*)::int
                                                            from kiln.image), 0,
          'behind the functions stands row-level security');
reset role;

select is(fixture.call('ann', 'export_me',
                       p_query => '{"section": "projects"}') #> '{sections,projects,items}' -> 1 -> 'media',
          jsonb_build_array(:'one', :'three'), 'an export has the projects');

-- A whole project
select fixture.call('ann', 'create_project',
                    p_body => format('{"name": "All", "media": ["%s", "%s"]}', :one, :three))
       ->> 'id' as all \gset
select set_config('test.all', :'all', true) \g /dev/null
create function pg_temp.stage(p_body text, p_key text default null) returns jsonb language sql
as $$ select fixture.call('ann', 'stage_project', pg_temp.at(current_setting('test.all')), p_body => p_body,
                          p_key => p_key) $$;
select is(fixture.bad_fields($$ select pg_temp.stage('{"media_id": "1", "style": "ugly"}') $$),
          '/media_id /style', 'a wrong body makes nothing');
select is(pg_temp.code($$ select fixture.call('ann', 'stage_project',
                                              pg_temp.at(fixture.call('ann', 'create_project',
                                                                      p_body => '{"name": "empty"}')
                                                         ->> 'id'), p_body => '{"style": "modern"}') $$),
          'KN001', 'a project without pictures is no project to stage');
-- What there is no money for at the second picture is not begun at the first.
create function pg_temp.broke() returns trigger language plpgsql
as $$ begin if (select count(*) from kiln.image i
                 where i.project_id = new.project_id) = 1 then raise exception 'no money' using errcode
      = 'KN016'; end if; return new; end $$;
create trigger broke before insert on kiln.image for each row execute function pg_temp.broke();
select is(pg_temp.code($$ select pg_temp.stage('{"style": "modern"}') $$), 'KN016',
          'where one picture is refused');
drop trigger broke on kiln.image;
select is((select count(*)::int from kiln.image where project_id = :all), 0, 'none is staged');
update kiln.staging_model set price_micros = 1000 where is_default;
select pg_temp.stage('{"style": "modern", "variations": 3}', 'all') as batch \gset
select is(jsonb_path_query_array(:'batch', '$.items[*].media_id'), jsonb_build_array(:'one', :'three'),
          'all pictures are staged at once');
select is((select array_agg(distinct amount_micros) from kiln.ledger
            where kind = 'hold' and job_id in (select job_id from kiln.image where project_id = :all)),
          '{-3000}', 'each with the price of its variations set aside');
select is(jsonb_path_query_array(pg_temp.stage('{"style": "modern", "variations": 3}', 'all'),
                                 '$.items[*].id'), jsonb_path_query_array(:'batch', '$.items[*].id'),
          'one Idempotency-Key is one time');
select is(jsonb_build_array(s -> 'items', jsonb_array_length(s -> 'skipped')), '[[], 2]',
          'what has not ended is skipped') from (select pg_temp.stage('{"style": "coastal"}') as s) x;
select pg_temp.finish(((:'batch'::jsonb) #>> '{items,0,id}')::bigint) \g /dev/null
select is(jsonb_build_array(jsonb_path_query_array(s, '$.items[*].media_id'),
                            jsonb_path_query_array(s, '$.skipped[*].media_id')),
          jsonb_build_array(jsonb_build_array(:'one'), jsonb_build_array(:'three')),
          'the other is staged again')
  from (select pg_temp.stage('{"mode": "declutter"}') as s) x;
select is(fixture.call('ann', 'get_project', pg_temp.at(:'all')) -> 'images',
          '{"total": 3, "active": 2, "completed": 1}', 'a project tells how far it is');

-- The end of a project: what waits is cancelled and gone at once; what a runner has goes when it has let go.
select ((:'batch'::jsonb) #>> '{items,1,id}')::bigint as busy \gset
select fixture.start(:busy) \g /dev/null
select is(fixture.call('ann', 'delete_project', pg_temp.at(:'all')), null, 'a project is deleted');
select is(pg_temp.code(format('select fixture.call(%L, %L, %L)', 'ann', f, pg_temp.at(i))), 'KN002',
          f || ': it is gone at once')
  from (values ('get_project', :'all'), ('list_project_images', :'all'), ('get_image', :'busy')) v (f, i);
select is((select array_agg(job_id) from kiln.image
            where project_id = :all), array[:busy]::bigint[], 'what waited and what had ended is deleted');
select is((select state::text from kiln.job where job_id = :busy), 'cancelling', 'what runs is cancelled');
select is(pg_temp.code(format('select kiln.retry_job(%s)', :busy)), 'KN001', 'and is not tried again');
-- What cannot go yet is not in the way of what can: neither a project of the next one, nor an image of
-- another in its own.
insert into kiln.project (account_id, name, deleted_at)
values (fixture.account('ann'), 'later', kiln_internal.now()) returning project_id as later \gset
select kiln_internal.purge_projects(1) from generate_series(1, 60) \g /dev/null
select is((select array_agg(project_id) from kiln.project
            where deleted_at is not null), array[:all]::bigint[],
          'a project that waits for its runner keeps no other');
select fixture.job_in('completed') as done \gset
insert into kiln.image select (jsonb_populate_record(i, jsonb_build_object('job_id', :done))).*
                         from kiln.image i where i.job_id = :busy;
select kiln_internal.purge_project(:all, 1) \g /dev/null
select is((select array_agg(job_id) from kiln.image
            where project_id = :all), array[:busy]::bigint[], 'nor does an image keep those behind it');
select fixture.fail(:busy, 'cancelled') \g /dev/null
select kiln_internal.purge_projects(10) \g /dev/null
select is((select count(*)::int from kiln.image where project_id = :all) + (select count(*)::int
                                                        from kiln.project where project_id = :all), 0,
          'when its runner has let go, nothing is left');
select is((select array_agg(media_id order by media_id) from kiln.media
            where media_id in (:one, :three)), array[:one, :three]::bigint[],
          'the originals that another project has stay');
select fixture.call('ann', 'create_message',
                    pg_temp.at(fixture.call('ann', 'create_conversation',
                                            p_body => format('{"members": ["%s"]}', fixture.account('admin')))
                               ->> 'id'), p_body => format('{"media": ["%s"]}', :three)) \g /dev/null
select fixture.call('ann', 'delete_project', pg_temp.at(:'p')) \g /dev/null
select is((select array_agg(media_id) from kiln.media
            where media_id in (:one, :three)), array[:three]::bigint[],
          'then those go that nothing else uses, here a message');
select is((select count(*)::int from kiln.trash
            where storage_key = substr(encode(sha256('annone'), 'hex'), 1, 2) || '/'
                  || substr(encode(sha256('annone'), 'hex'), 3, 30)), 1, 'and their files');

-- Which of its files a job still needs is asked of the tasks that have not ended, so there must be one in
-- every state that is no end.
create function pg_temp.used(p_way text) returns bigint language plpgsql as $$
declare v_media bigint := fixture.media('bob', p_way); v_job bigint := kiln.enqueue('test/three',
                                                        jsonb_build_object('media', jsonb_build_array('1',
                                                            v_media::text)), fixture.account('bob'),
                                                                p_run_at => case p_way when 'due later'
                                                                    then kiln_internal.now() + interval '1 hour' end);
begin
    if p_way not in ('queued', 'due later') then
        perform fixture.start(v_job);
        case p_way when 'running' then null;
                   when 'between two stages' then perform fixture.complete(v_job);
                   when 'tried again' then perform fixture.fail(v_job, 'transient');
                   when 'held' then perform fixture.fail(v_job, 'unknown');
                   when 'cancelling' then perform kiln.cancel_job(v_job);
                   when 'cancelled' then perform kiln.cancel_job(v_job); perform fixture.fail(v_job,
                                                        'cancelled');
                   when 'failed' then perform fixture.fail(v_job, 'invalid'); end case;
    end if;
    return v_media;
end $$;
create temporary table used as select w, pg_temp.used(w) as media_id
    from unnest('{queued,due later,running,between two stages,tried again,held,cancelling,cancelled,failed}'::text[]) w;
select is(kiln_internal.media_in_use(fixture.account('bob'), array[media_id]) <> '{}',
          w not in ('cancelled', 'failed'), 'a file of a job is in use, or not any more: ' || w) from used;
select is(cardinality(kiln_internal.media_in_use(fixture.account('bob'), array(select media_id from used))),
          7, 'many are asked for at once');
select is(kiln_internal.media_in_use(fixture.account('ann'), array(select media_id from used)), '{}',
          'by jobs of one''s own');
select is(pg_temp.code(format('select fixture.call(%L, %L, %L)', 'bob', 'delete_upload',
                              pg_temp.at(media_id::text))), case when w not in ('cancelled', 'failed')
                                                                     then 'KN001' else 'well' end,
          'and so it is not deleted, or is: ' || w) from used;

-- The end of an account
select fixture.call('ann', 'create_project',
                    p_body => format('{"name": "Last", "media": ["%s"]}', :three)) ->> 'id' as last \gset
select fixture.call('ann', 'stage_project', pg_temp.at(:'last'), p_body => '{"style": "modern"}') \g /dev/null
select kiln.delete_account(fixture.account('ann')) \g /dev/null
select is((select count(*)::int from kiln.project) + (select count(*)::int from kiln.media
                                                       where media_id = :three), 0,
          'with an account go its projects and their originals');

select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
-- What an operator writes is right when it is written: once a style without words was an empty prompt, and a
-- prompt said {wrds} to the model.
select is(fixture.refusal(statement || '; set constraints all immediate') ->> 'message', said, said)
  from (values
    ('insert into kiln.style (name, title, position) values (''bare'', ''Bare'', 99)',
     'style bare: it has no words'),
    ('insert into kiln.style_text (style, version, words) values (''boho'', 1, ''x'')',
     'style boho: it is another name of bohemian, whose words count'),
    ('insert into kiln.style_text (style, version, words) values (''modern'', 99, ''x'')',
     'style modern: its next words are version 3'),
    ('insert into kiln.staging_prompt (version, stage, declutter, restyle, user_prompt, preserve) values '
     '(2, ''{room} {wrds}'', ''{room}'', ''{room} {words}'', ''{user_prompt}'', ''x'')',
                  'staging prompt, version 2: stage is to have {room} and {words}, and no other placeholder'),
    ('insert into kiln.staging_prompt (version, stage, declutter, restyle, user_prompt, preserve) values '
     '(2, ''{room} {words}'', ''{room}'', ''{room} {words}'', ''{user_prompt}'', ''{room}'')',
                             'staging prompt, version 2: preserve is to have none, and no other placeholder'),
    ('insert into kiln.staging_model (name, title, pipeline_id) select ''a/b'', ''X'', pipeline_id from '
     'kiln.pipeline where name = ''upload''',
                      'staging model a/b: pipeline ''upload'' checks what people send in, and makes nothing'),
    ('update kiln.staging_model set title = '' '' where name = ''local/furnish''',
     'staging model local/furnish: title is to have 1 to 200 characters')) v (statement, said);
select lives_ok($$ insert into kiln.style (name, title, position)
                   values ('bare', 'Bare', 99); insert into kiln.style_text (style, version, words)
                                                values ('bare', 1, 'bare');
                                                   set constraints all immediate $$,
                'a style with words is taken');
select finish();
rollback;

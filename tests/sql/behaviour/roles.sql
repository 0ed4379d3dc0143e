-- Who may do what: a service role executes its functions and touches no table; behind the API stands
-- row-level security.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary view ours as select oid, nspname from pg_namespace
                               where nspname in ('kiln', 'kiln_internal', 'kiln_api', 'kiln_runner');
create temporary view relation as select c.oid, c.oid::regclass as name, c.relkind from pg_class c
                                    join ours o on o.oid = c.relnamespace
                                   where c.relkind in ('r', 'p', 'v', 'm', 'S');
create temporary view function as select p.oid, p.oid::regprocedure as name, o.nspname, p.proname,
                                         p.proowner::regrole::text as owner, p.prosecdef, p.proconfig,
       exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                  and d.deptype = 'e') as is_extension from pg_proc p join ours o on o.oid = p.pronamespace;

-- The programs ----------------------------------------------------------------------------------------------

select is_empty(format($$ select name from relation
                           where relkind <> 'S'
                             and (has_table_privilege(%1$L, oid,
                                 'select,insert,update,delete,truncate,references,trigger')
                                  or has_any_column_privilege(%1$L, oid,
                                                              'select,insert,update,references')) $$, r),
                r || ' can read and write no table and no view')
  from unnest('{kiln_server,kiln_worker}'::text[]) r;
select is_empty(format($$ select name from relation
                           where case when relkind = 'S'
                                          then has_sequence_privilege(%1$L, oid,
                                                                      'usage,select,update') end $$, r),
                r || ' can use no sequence') from unnest('{kiln_server,kiln_worker}'::text[]) r;
select bag_eq(format($$ select name::text from function
                         where has_function_privilege(%L, oid, 'execute') $$, r),
              format($$ select name::text from function where nspname = %L union all
                        select 'kiln.contract()' $$, s),
              format('%s can call the functions of %s, kiln.contract(), and nothing else', r, s))
  from (values ('kiln_server', 'kiln_api'), ('kiln_worker', 'kiln_runner')) v (r, s);
select is_empty(format($$ select nspname from ours where has_schema_privilege(%L, oid, 'create') $$, r),
                r || ' can make nothing in our schemas')
  from unnest('{kiln_server,kiln_worker,kiln_reader,kiln_admin,kiln_definer}'::text[]) r;
select is_empty(format('select 1 from pg_roles where rolname = %L and (rolsuper or rolcreaterole or '
                       'rolcreatedb or rolreplication or rolbypassrls)', r), r || ' has no power of its own')
  from unnest('{kiln_server,kiln_worker,kiln_definer,kiln_reader,kiln_admin,kiln_owner}'::text[]) r;
select is_empty($$ select m.roleid::regrole, m.member::regrole from pg_auth_members m
                    where m.member in ('kiln_server'::regrole, 'kiln_worker'::regrole,
                                       'kiln_definer'::regrole, 'kiln_reader'::regrole) $$,
                'no service role is a member of another');
select bag_eq($$ select rolname::text from pg_roles
                  where rolname like 'kiln\_%' and rolcanlogin
                    and rolname in ('kiln_server', 'kiln_worker', 'kiln_owner', 'kiln_definer') $$,
              '{kiln_server,kiln_worker}'::text[], 'only the programs log in');

-- A statement that sorts what a client sent wrote 2.1 GB of them.
create temporary view bounded as select setrole::regrole::text as role, c
                                   from pg_db_role_setting, unnest(setconfig) c
                                  where c like 'temp_file_limit=%';
select is((select count(*)::int from bounded where role = r), 1, r || ' has a limit for temporary files')
  from unnest('{kiln_server,kiln_worker}'::text[]) r;
alter role kiln_server reset temp_file_limit;
alter role kiln_worker set temp_file_limit = '1GB';
\ir ../../../db/roles/limits.sql
select is((select string_agg(role || ' ' || c, ', ' order by role collate "C")
             from bounded), 'kiln_server temp_file_limit=256MB, kiln_worker temp_file_limit=1GB',
          'what somebody has set stays');
alter role kiln_server reset temp_file_limit;
create role fixture_installer createrole;
set local client_min_messages = error;
set local role fixture_installer;
\ir ../../../db/roles/limits.sql
reset role;
set local client_min_messages = warning;
select is((select count(*)::int from bounded where role = 'kiln_server'), 0,
          'an installer who is no superuser goes on without it, and is told the command');

set local role kiln_server;
select throws_ok('select * from kiln.job', '42501', null, 'the server cannot read a table');
select throws_ok('select * from kiln.jobs', '42501', null, 'nor a view');
select throws_ok('select nextval(''kiln.fence'')', '42501', null, 'nor draw a number');
select throws_ok('select kiln_runner.claim(1, 1)', '42501', null, 'nor claim work');
select throws_ok('select kiln.enqueue(''log'')', '42501', null, 'nor enqueue but by its routes');
select throws_ok('set session_replication_role = replica', '42501', null, 'nor switch triggers off');
select throws_ok('create or replace function kiln_internal.now() returns timestamptz language sql '
                 'as ''select null::timestamptz''', '42501', null, 'nor set the clock');
reset role;
set local role kiln_worker;
select throws_ok('select * from kiln.task_running', '42501', null, 'a runner cannot read a table');
select throws_ok('update kiln.task set state = ''done''', '42501', null, 'nor write one');
select throws_ok('select kiln_api.bus_head()', '42501', null, 'nor listen to the bus');
select throws_ok('select kiln.cancel_job(1)', '42501', null, 'nor cancel a job');
select lives_ok('select kiln.contract()', 'but ask for the contract');
reset role;

-- What a password is worth when it has leaked (docs/rights.md).
select is_empty(format($$ select nspname from pg_namespace
                           where has_schema_privilege(%L, oid, 'create') $$, r),
                r || ' can make a table in no schema at all')
  from unnest('{kiln_server,kiln_worker,kiln_reader,kiln_admin,kiln_definer}'::text[]) r;
select ok(not has_database_privilege(r, current_database(), 'temporary')
          and not has_database_privilege(r, current_database(), 'create'),
          r || ' can make no temporary table and no schema')
  from unnest('{kiln_server,kiln_worker,kiln_reader,kiln_admin,kiln_definer}'::text[]) r;
select is_empty(format($$ select oid::regprocedure from pg_proc
                           where pronamespace = 'pg_catalog'::regnamespace
                             and (proname ~ '^lo_' or proname in ('loread', 'lowrite'))
                             and has_function_privilege(%L, oid, 'execute') $$, r),
                r || ' can make no large object')
  from unnest('{kiln_server,kiln_worker,kiln_reader,kiln_admin,kiln_definer}'::text[]) r;
select is_empty($$ select f.name from function f join pg_proc p using (oid)
                    where p.prosrc ~ 'pg_(try_)?advisory' $$,
                'no function waits for an advisory lock, which any login could hold for ever');
select is_empty(format($$ select name from relation
                           where relkind <> 'S' and has_table_privilege(%L, oid,
                                                                        'insert,update,delete,truncate') $$,
                       'kiln_reader'), 'kiln_reader writes no table');
select bag_eq($$ select name::text from relation where relkind in ('r', 'p')
                    and not has_table_privilege('kiln_admin', oid, 'insert,update,delete')
                    and name::text !~ '_(default|[xw][0-9]+)$' $$,
              '{kiln.job_move,kiln.task_move,kiln.call_move,kiln.handler,kiln.migration,kiln.secret,kiln.stream_ticket,kiln.nonce,kiln.endpoint_secret,kiln.event,kiln.attempt,kiln.mutex,kiln.cluster,kiln.timeline,kiln.restore,
                kiln.task_ready,kiln.task_running,kiln.task_waiting,kiln.task_held,kiln.task_ended}'::text[], 'these tables an administrator does not write at all; in the others guards say what may be typed');

select fixture.runner(name => 'elsewhere') as elsewhere \gset
set role kiln_owner; update kiln.runner set address = '192.0.2.7' where runner_id = :elsewhere; reset role;
set local role kiln_worker;
select throws_ok(format('select kiln_runner.unregister(%s)', :elsewhere), '42501', null,
                 'a runner is told to leave from its own address only');
reset role;
update kiln.config set public_url = 'https://kiln.test';
update kiln.provider set webhook = webhook || '{"jwks_url": "https://keys.test/jwks"}' where name = 'fal';
set local role kiln_worker;
select kiln_runner.store_webhook_keys('fal', '{"keys": [{"kid": "true"}]}') \g /dev/null
select kiln_runner.store_webhook_keys('fal', '{"keys": [{"kid": "false"}]}') \g /dev/null
reset role;
select is((select jwks #>> '{keys,0,kid}' from kiln.webhook_key join kiln.provider using (provider_id)
            where name = 'fal'), 'true',
          'keys of a provider that are there are not replaced by ones that nobody asked for');

-- Public ----------------------------------------------------------------------------------------------------

select is_empty($$ select 'schema ' || o.nspname from ours o
                     join pg_namespace n using (oid), aclexplode(n.nspacl) a where a.grantee = 0
                   union all select c.oid::regclass::text from pg_class c
                               join ours o on o.oid = c.relnamespace, aclexplode(c.relacl) a
                              where a.grantee = 0
                   union all select p.oid::regprocedure::text from pg_proc p
                               join ours o on o.oid = p.pronamespace,
                                    aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                              where a.grantee = 0 $$,
                'public has nothing in our schemas, not even by default');
set local role kiln_owner;
create function kiln.made_later() returns int language sql return 1;
reset role;
select ok(not has_function_privilege('kiln_server', 'kiln.made_later()', 'execute'),
          'nor will it have in what is made later');

-- What functions are ----------------------------------------------------------------------------------------

select is_empty($$ select name from function where nspname not in ('kiln', 'kiln_internal')
                      and not prosecdef $$,
                'every function that programs call runs with its owner''s rights');
select is_empty($$ select name from function where prosecdef and not is_extension
                      and not coalesce('search_path=""' = any (proconfig), false) $$,
                'and none of those can be led astray by a search_path');
select bag_eq($$ select proname::text from function
                  where nspname = 'kiln_api' and owner <> 'kiln_definer' $$,
              '{act_as,bus_head,bus_read,bus_replay,watch_replay,use_ticket,ready,metrics,register_instance,'
              'beat_instance,end_instance,report_audience,prove_bus,answer_ping}'::text[],
              'of the API only what must see all accounts belongs to the owner of the tables');
select is_empty($$ select name from function where not is_extension
                      and owner not in ('kiln_owner', 'kiln_definer') $$,
                'every function belongs to one of the two');
select is_empty($$ select c.oid::regclass from pg_class c join ours o on o.oid = c.relnamespace
                    where c.relkind in ('r', 'p', 'v', 'S') and c.relowner <> 'kiln_owner'::regrole $$,
                'every table, view and sequence belongs to kiln_owner');
select is_empty($$ select f.name, s.setting
                     from function f,
                          unnest('{plan_cache_mode=force_generic_plan,enable_seqscan=off}'::text[]) as s (setting)
                    where f.nspname = 'kiln_runner'
                      and f.proname in ('claim', 'complete', 'cycle', 'progress')
                      and not s.setting = any (f.proconfig) $$,
                          'the hot functions carry their plan settings themselves');

-- Row-level security: the second wall -----------------------------------------------------------------------

select is((select array_agg(relname::text order by relname) from pg_class
            where oid in ('kiln.job'::regclass, 'kiln.media'::regclass) and relrowsecurity), '{job,media}',
          'jobs and media have row-level security');
create temporary table w as select fixture.job_in('completed', 'ann') as anns,
                                   fixture.job_in('running', 'bob') as bobs,
                                   fixture.media('ann') as anns_media, fixture.media('bob') as bobs_media;

-- A route whose author forgot to ask whose job it is.
create function kiln_api.careless(p_actor bigint, p_path jsonb, p_query jsonb, p_body text) returns json
language plpgsql security definer set search_path = ''
as $$ begin return (select json_build_object('jobs', (select json_agg(j.account_id)
                                                        from (select distinct account_id from kiln.job) j),
                                             'media', (select json_agg(m.account_id)
                                                         from (select distinct account_id
                                                                 from kiln.media) m))); end $$;
grant create on schema kiln_api to kiln_definer;
alter function kiln_api.careless(bigint, jsonb, jsonb, text) owner to kiln_definer;
revoke create on schema kiln_api from kiln_definer;
grant execute on function kiln_api.careless(bigint, jsonb, jsonb, text) to kiln_server;
select is(fixture.call('ann', 'careless'),
          jsonb_build_object('jobs', array[fixture.account('ann')], 'media', array[fixture.account('ann')]),
          'a careless function shows only the actor''s rows');
select is(fixture.call('bob', 'careless'),
          jsonb_build_object('jobs', array[fixture.account('bob')], 'media', array[fixture.account('bob')]),
          'whoever that is');
select is(fixture.call(null, 'careless'), '{"jobs": null, "media": null}', 'and without an actor none');
select is(jsonb_array_length(fixture.call('admin', 'careless') -> 'jobs'), 2, 'an admin''s call sees all');
select is(fixture.call('ann', 'careless') -> 'jobs', jsonb_build_array(fixture.account('ann')),
          'which the next call does not inherit');
set local role kiln_definer;
select throws_ok($$ insert into kiln.media (account_id, role, state, media_type, content_type, bytes)
                    values (-1, 'input', 'uploading', 'image', 'image/png', 1) $$, '42501', null,
                 'nor can it make media for another');
select throws_ok($$ update kiln.job set priority = 3 $$, '42501', null,
                 'nor write a job but through the owner''s functions');
select throws_ok($$ set local row_security = off; select *
                                                    from kiln.job $$, '42501', null,
                 'nor look past the wall by a setting');
reset role;

-- No route shows another's.
create function pg_temp.sees(p_function text, p_path jsonb) returns text language plpgsql as $$
begin
    return fixture.call('bob', p_function, p_path)::text;
exception when others then
    return sqlstate;
end $$;
select is(pg_temp.sees(f, jsonb_build_object('id', anns::text)), 'KN002', f || ' shows nothing of another''s')
  from w, unnest('{get_generation,cancel_generation,retry_generation,delete_generation}'::text[]) f;
select is(fixture.call('bob', 'list_generations') -> 'items' -> 0 ->> 'id', bobs::text,
          'a list shows one''s own') from w;
select is(jsonb_array_length(fixture.call('bob', 'list_generations') -> 'items'), 1, 'and nothing else');
select bag_eq($$ select proname::text from function where nspname = 'kiln_api' and proname <> 'careless' $$,
              '{act_as,create_generation,get_generation,list_generations,cancel_generation,retry_generation,delete_generation,list_models,get_model,create_upload,create_direct_upload,begin_upload,finish_upload,extend_upload_session,end_upload_session,complete_upload,get_upload,delete_upload,open_media,
                create_ticket,use_ticket,open_stream,bus_head,bus_read,bus_replay,ready,metrics,list_jobs,cancel_job,retry_job,list_providers,estimate_generation,begin_tryon,create_tryon,get_tryon,list_tryons,cancel_tryon,retry_tryon,list_pipelines,get_pipeline,put_pipeline,
                get_staging_options,create_project,list_projects,get_project,update_project,delete_project,stage_project,list_project_images,create_image,list_images,get_image,delete_image,cancel_image,retry_image,
                list_categories,put_category,list_queues,list_runners,pause_queue,resume_queue,receive_webhook,webhook_keys,resolve_job,
                find_people,create_invite,list_invites,delete_invite,find_invite,accept_invite,create_conversation,list_conversations,get_conversation,list_members,add_member,remove_member,
                create_message,list_messages,mark_delivered,mark_read,send_typing,get_message,edit_message,delete_message,create_block,list_blocks,delete_block,
                list_notifications,read_notifications,announce,
                create_webhook_endpoint,list_webhook_endpoints,delete_webhook_endpoint,rotate_webhook_secret,enable_webhook_endpoint,list_deliveries,resend_delivery,unsubscribe,confirm_email,send_confirmation,
                create_api_key,list_api_keys,delete_api_key,create_share,list_shares,delete_share,open_share,download_project,
                watch_replay,open_watch,register_instance,beat_instance,end_instance,report_audience,prove_bus,answer_ping,
                create_nonce,sign_in,get_me,update_me,delete_me,sign_out_everywhere,list_identities,create_identity,delete_identity,
                export_me,list_accounts,set_account_role,suspend_account,unsuspend_account,grant_account}'::text[], 'these are all routes there are: a new one wants its line here');

-- People ----------------------------------------------------------------------------------------------------

set local role kiln_reader;
select lives_ok('select * from ' || v, 'a reader reads ' || v)
  from (select format('kiln.%I', viewname) as v from pg_views where schemaname = 'kiln' union all
        values ('kiln.job'), ('kiln.event') order by 1) v;
select throws_ok('select * from ' || v, '42501', null, 'but not ' || v)
  from unnest('{kiln.secret,kiln.stream_ticket,kiln.nonce}'::text[]) v;
select throws_ok('update kiln.queue set is_paused = true', '42501', null, 'a reader writes nothing');
select throws_ok('select kiln.enqueue(''log'')', '42501', null, 'and starts nothing');
reset role;
set local role kiln_admin;
select lives_ok('select kiln.enqueue(''log'')', 'an admin enqueues');
select lives_ok('select kiln.pause_queue(''audio'')', 'pauses');
select lives_ok('update kiln.queue set is_paused = false where name = ''audio''', 'and resumes by hand');
select throws_ok('select * from kiln.secret', '42501', null, 'but reads no key');
select throws_ok('insert into kiln.job_move values (''queued'', ''cheat'', ''completed'')', '42501', null,
                 'makes no move legal');
select throws_ok('update kiln.migration set number = 0', '42501', null, 'and rewrites no history');
reset role;
select is((select count(*)::int from w, kiln.job where job_id in (anns, bobs)), 2, 'people see all rows');
set local role kiln_reader;
select is((select count(distinct account_id)::int > 1 from kiln.job), true, 'readers too');
reset role;
select finish();
rollback;

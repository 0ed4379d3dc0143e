-- Who may do what. Everything is taken from public first; a function that is not granted here can be called by its owner only.
do $$
declare
    v_object record;
begin
    for v_object in
        select format('alter %s %I.%I%s owner to kiln_owner',
                      case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, n.nspname, c.relname, '') as statement
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'kiln' and c.relkind in ('r', 'p', 'v', 'S')
           and not (c.relkind = 'S' and exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i')))
    loop
        execute v_object.statement;
    end loop;
    for v_object in
        select format('alter %s %s owner to %s', case p.prokind when 'p' then 'procedure' else 'function' end, p.oid::regprocedure,
                      case when n.nspname = 'kiln_api' and p.proname not in ('act_as', 'bus_head', 'bus_read', 'bus_replay', 'use_ticket', 'ready', 'metrics',
                                                                           'watch_replay', 'register_instance', 'beat_instance', 'end_instance', 'tell_audience', 'prove_bus', 'answer_ping')
                           then 'kiln_definer' else 'kiln_owner' end) as statement
          from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
         where n.nspname in ('kiln', 'kiln_api', 'kiln_runner')
           and not exists (select from pg_catalog.pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop
        execute v_object.statement;
    end loop;
end
$$;
alter schema kiln owner to kiln_owner;
alter schema kiln_api owner to kiln_owner;
alter schema kiln_runner owner to kiln_owner;

-- Temporary objects too: `set search_path = ''` still looks for types in pg_temp first, so whoever can make a domain pg_temp.text would
-- have its check run by every function of the owner that names a text.
do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$;
-- Nor large objects, nor tables in `public` (in a database that began before PostgreSQL 15): a password that leaked fills no disk. It takes a
-- superuser; the programs need neither.
do $$
declare
    v_function regprocedure;
begin
    if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
        raise warning 'kiln: who installs is no superuser, so any login of this database may still make large objects'
            using hint = 'As a superuser, for each of \df pg_catalog.lo_*, loread and lowrite: revoke execute on function … from public';
        return;
    end if;
    for v_function in
        select p.oid from pg_catalog.pg_proc p
         where p.pronamespace = 'pg_catalog'::regnamespace and (p.proname ~ '^lo_' or p.proname in ('loread', 'lowrite'))
    loop
        execute format('revoke execute on function %s from public', v_function);
    end loop;
    if to_regnamespace('public') is not null then
        revoke create on schema public from public;
    end if;
end
$$;
revoke all on schema kiln, kiln_api, kiln_runner from public;
-- From ours too: this file is loaded again at each upgrade, and what it does not grant (any more) nobody has.
revoke all on all tables in schema kiln from public, kiln_server, kiln_worker, kiln_definer, kiln_reader, kiln_admin;
revoke all on all sequences in schema kiln from public, kiln_server, kiln_worker, kiln_definer, kiln_reader, kiln_admin;
revoke all on all functions in schema kiln, kiln_api, kiln_runner from public, kiln_server, kiln_worker, kiln_definer, kiln_reader, kiln_admin;
alter default privileges for role kiln_owner revoke execute on functions from public;
grant execute on function kiln.hmac(bytea, bytea, text), kiln.gen_random_bytes(int) to kiln_owner;

-- The programs.
grant usage on schema kiln to kiln_server, kiln_worker;
grant execute on function kiln.contract() to kiln_server, kiln_worker, kiln_reader;
grant usage on schema kiln_api to kiln_server;
grant execute on all functions in schema kiln_api to kiln_server;
grant usage on schema kiln_runner to kiln_worker;
grant execute on all functions in schema kiln_runner to kiln_worker;

-- What stands behind the API: it may read what its policies show, and calls functions of the owner to change anything.
grant usage on schema kiln, kiln_api to kiln_definer;
grant select on kiln.job, kiln.media, kiln.model, kiln.model_use, kiln.provider, kiln.config to kiln_definer;
grant select on kiln.category to kiln_definer;
grant select on kiln.project, kiln.picture, kiln.image, kiln.room_type, kiln.style, kiln.staging_model to kiln_definer;
grant select (queue_id, name) on kiln.queue to kiln_definer;
grant insert (account_id, role, state, media_type, content_type, bytes, filename, md5, is_direct, incoming_key) on kiln.media to kiln_definer;
grant select on kiln.account, kiln.identity, kiln.content_type to kiln_definer;
grant select (pipeline_id, name) on kiln.pipeline to kiln_definer;
grant select on kiln.api_key, kiln.webhook_endpoint, kiln.delivery to kiln_definer;
grant select on kiln.conversation, kiln.member, kiln.message, kiln.block, kiln.notification, kiln.announcement to kiln_definer;
grant select (invite_id, account_id, conversation_id, expires_at, revoked_at, created_at) on kiln.invite to kiln_definer;
grant select (share_id, account_id, job_id, originals, disclosure, expires_at, revoked_at, created_at) on kiln.share to kiln_definer;
grant execute on all functions in schema kiln_api to kiln_definer;
grant execute on function
    kiln.now(), kiln.acting_account(), kiln.acts_as_admin(), kiln.require_actor(bigint), kiln.require_admin(bigint), kiln.begin_once(bigint, text, text),
    kiln.end_once(bigint, text, bigint), kiln.parse_body(text), kiln.parse_id(text), kiln.parse_later(jsonb), kiln.parse_page(jsonb), kiln.render_cursor(bigint), kiln.cut_page(json[], jsonb),
    kiln.field_error(text, text), kiln.refuse_fields(jsonb), kiln.unknown_fields(jsonb, text[]), kiln.pointer(text), kiln.shorten(text, int), kiln.text_field(jsonb, text), kiln.plain_field(jsonb, text), kiln.texts(jsonb, int),
    kiln.check_value(jsonb, jsonb, text), kiln.check_params(jsonb, jsonb),
    kiln.find_model(jsonb), kiln.draw_seed(), kiln.is_seed(text), kiln.read_wish(bigint, jsonb, jsonb, kiln.model, text, int), kiln.read_variants(jsonb),
    kiln.read_generation(bigint, jsonb, kiln.model, jsonb, int), kiln.render_tryon(kiln.job), kiln.tryon_page(text[], text, bigint, int), kiln.add_inputs(bigint, jsonb), kiln.await_media(bigint), kiln.forget_files(jsonb),
    kiln.pipeline_reason(smallint), kiln.render_category(text), kiln.write_category(text, jsonb), kiln.render_pipeline(text, int), kiln.write_pipeline(jsonb),
    kiln.staging_options(), kiln.staging_reason(kiln.staging_model), kiln.read_staging(bigint, jsonb, jsonb), kiln.read_project(bigint, jsonb, boolean), kiln.is_original(bigint, text),
    kiln.see_project(bigint, jsonb), kiln.take_project(bigint, bigint), kiln.write_project(bigint, bigint, text, text, bigint[]), kiln.remove_project(bigint, bigint), kiln.stage_pictures(kiln.project, jsonb),
    kiln.make_image(kiln.project, bigint, jsonb, bigint), kiln.render_project(kiln.project), kiln.render_image(kiln.job), kiln.image_page(bigint, bigint, text, bigint, int),
    kiln.render_queue(text), kiln.render_runners(bigint, int), kiln.pause_queue(text), kiln.resume_queue(text),
    kiln.render_job(kiln.job), kiln.render_model(kiln.model), kiln.model_reason(kiln.model), kiln.estimate(int, jsonb), kiln.reply_number(jsonb), kiln.render_time(timestamptz), kiln.sign_link(bigint, text, bigint),
    kiln.enqueue(text, kiln.json_object, bigint, int, timestamptz, kiln.job_kind, kiln.media_type, int, bigint, bigint, int),
    kiln.cancel_job(bigint), kiln.retry_job(bigint, text, text, text), kiln.delete_job(bigint),
    kiln.retry_as_asked(bigint, text, bigint, text), kiln.render_job_for_admin(kiln.job), kiln.job_page(kiln.job_state, bigint, int), kiln.generation_page(bigint, kiln.job_state, kiln.media_type, bigint, int), kiln.render_weather(smallint),
    kiln.find_upload(jsonb, jsonb), kiln.store_upload(bigint, jsonb), kiln.promise_upload(bigint, text, boolean), kiln.upload_headers(kiln.media), kiln.random_key(), kiln.media_room(bigint), kiln.require_room(bigint, bigint),
    kiln.begin_receiving(bigint, bigint, bigint), kiln.keep_receiving(text), kiln.end_receiving(text, bigint),
    kiln.check_upload(bigint), kiln.render_upload(bigint), kiln.remove_upload(bigint, bigint), kiln.media_in_use(bigint, bigint[]), kiln.find_media(bigint, text, jsonb),
    kiln.make_ticket(bigint, timestamptz), kiln.make_share(bigint, bigint, timestamptz), kiln.revoke_share(bigint, bigint), kiln.render_share(kiln.share), kiln.find_share(text), kiln.render_download(kiln.project),
    kiln.render_person(bigint), kiln.visible_until(bigint), kiln.find_people(bigint, text, int), kiln.may_meet(bigint, bigint), kiln.account_of(jsonb, bigint),
    kiln.render_message(kiln.message), kiln.render_conversation(kiln.conversation, bigint), kiln.see_conversation(jsonb), kiln.see_message(jsonb),
    kiln.member_place(kiln.member), kiln.render_members(kiln.conversation, kiln.member[], bigint), kiln.enter_conversation(bigint, bigint), kiln.open_pair(bigint, bigint), kiln.make_group(bigint, text, bigint[]),
    kiln.join_conversation(bigint, bigint, bigint), kiln.leave_conversation(kiln.conversation, bigint, bigint), kiln.answered_number(jsonb, bigint),
    kiln.post_message(bigint, bigint, text, text, bigint[], bigint), kiln.change_message(bigint, kiln.message, text),
    kiln.advance(bigint, bigint, bigint, boolean), kiln.advance_as_asked(bigint, jsonb, text, boolean), kiln.set_block(bigint, bigint, boolean),
    kiln.make_invite(bigint, bigint, text, timestamptz), kiln.revoke_invite(bigint, bigint), kiln.find_invite(bigint, text),
    kiln.count_unread(bigint), kiln.tell_typing(bigint, bigint), kiln.render_presence(bigint, bigint), kiln.render_notification(kiln.notification), kiln.announce(bigint, bigint, text, text, text),
    kiln.job_ends_page(bigint, xid8, bigint, int), kiln.read_notifications(bigint, bigint[], xid8[], bigint[], boolean),
    kiln.render_endpoint(kiln.webhook_endpoint), kiln.is_webhook_host_listed(text), kiln.webhook_url_error(text),
    kiln.make_endpoint(bigint, text, kiln.event_type[]), kiln.rotate_endpoint_secret(bigint, bigint),
    kiln.delete_endpoint(bigint, bigint), kiln.enable_endpoint(bigint, bigint), kiln.resend(bigint, bigint), kiln.render_delivery(kiln.delivery), kiln.unsubscribe(text),
    kiln.confirm_email(text), kiln.ask_confirmation(bigint),
    kiln.make_nonce(), kiln.take_nonce(text), kiln.sign_in(text, text), kiln.render_account(kiln.account), kiln.render_account_for_admin(kiln.account),
    kiln.render_identity(kiln.identity), kiln.update_account(bigint, jsonb), kiln.delete_account(bigint), kiln.sign_out_everywhere(bigint),
    kiln.link_identity(bigint, text, text, numeric), kiln.is_visible(text), kiln.is_name(text, int), kiln.is_link(text), kiln.canonical_type(text), kiln.unlink_identity(bigint, bigint),
    kiln.export_section(bigint, text, bigint, int), kiln.find_accounts(text, bigint, int), kiln.check_reason(jsonb, boolean), kiln.show_account(bigint),
    kiln.set_role(bigint, kiln.role, text), kiln.suspend(bigint, text), kiln.unsuspend(bigint, text), kiln.grant_to(bigint, bigint, text),
    kiln.acting_scopes(), kiln.render_api_key(kiln.api_key), kiln.make_api_key(bigint, text, kiln.scope[], timestamptz), kiln.revoke_api_key(bigint, bigint),
    kiln.take_webhook(text, text, text), kiln.find_webhook_keys(text, boolean), kiln.resolve_job(bigint, text, text, jsonb, text)
    to kiln_definer;

-- People.
grant usage on schema kiln to kiln_reader;
grant select on all tables in schema kiln to kiln_reader;
revoke select on kiln.secret, kiln.stream_ticket, kiln.nonce, kiln.endpoint_secret from kiln_reader;
grant execute on function kiln.now(), kiln.xid_base(), kiln.log_xid(xid8), kiln.is_restored(), kiln.task_id(bigint, int, int), kiln.queue_position(bigint), kiln.job_stage(bigint), kiln.render_job(kiln.job),
    kiln.say_time(interval), kiln.ago(timestamptz), kiln.shorten(text, int), kiln.queue_closed(kiln.queue), kiln.say_wait(kiln.task, text, text),
    kiln.present_job_ids(int), kiln.checked_job_ids(int), kiln.newest_jobs(kiln.job_kind, int), kiln.waste_since(timestamptz), kiln.find_contradictions(bigint[]), kiln.check_present(), kiln.check_all(),
    kiln.spent_today(smallint, bigint), kiln.quantile_ms(int[], float8), kiln.words_of(text[]),
    kiln.sky(kiln.provider, kiln.gate), kiln.sky_until(kiln.gate), kiln.recent_counts(kiln.gate), kiln.version() to kiln_reader;

grant insert, update, delete on all tables in schema kiln to kiln_admin;
revoke all on kiln.secret, kiln.stream_ticket, kiln.nonce, kiln.endpoint_secret from kiln_admin;
revoke insert, update, delete on kiln.job_move, kiln.task_move, kiln.call_move, kiln.handler, kiln.migration from kiln_admin;
revoke insert, update, delete on kiln.cluster, kiln.timeline, kiln.restore from kiln_admin;       -- kiln.after_restore() writes them
grant update (keeps_files) on kiln.restore to kiln_admin;
revoke update, delete on kiln.ledger, kiln.resolution, kiln.account_act from kiln_admin;    -- append-only: money, what people said
revoke delete on kiln.style, kiln.room_type from kiln_admin;        -- a name once given is never taken away
revoke update, delete on kiln.style_text, kiln.staging_prompt from kiln_admin;      -- versions: images name them
-- History, and the parts of the log and of the tasks: nobody writes them, whatever their parent's guards say. (A part that the tick makes later is
-- granted to nobody.)
do $$
declare
    v_part regclass;
begin
    for v_part in
        select c.oid from pg_catalog.pg_class c
         where c.oid in ('kiln.event'::regclass, 'kiln.attempt'::regclass) or c.relnamespace = 'kiln'::regnamespace and c.relispartition and c.relkind = 'r'
    loop
        execute format('revoke insert, update, delete on %s from kiln_admin', v_part);
    end loop;
end
$$;
revoke insert, update, delete on kiln.mutex from kiln_admin;
grant usage on all sequences in schema kiln to kiln_admin;
grant execute on all functions in schema kiln to kiln_admin;
grant usage on schema kiln_api, kiln_runner to kiln_admin;
grant execute on all functions in schema kiln_runner to kiln_admin;

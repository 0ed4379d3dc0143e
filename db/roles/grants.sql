-- Who may do what. Everything is taken from public first; a function that is not granted here can be called
-- by its owner only.
do $$
declare
    v_object record;
begin
    for v_object in
        select format('alter %s %I.%I%s owner to kiln_owner',
                      case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end,
                      n.nspname, c.relname, '') as statement
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'kiln' and c.relkind in ('r', 'p', 'v', 'S')
           and not (c.relkind = 'S' and exists (select from pg_catalog.pg_depend d
                                                 where d.objid = c.oid and d.deptype in ('a', 'i')))
    loop
        execute v_object.statement;
    end loop;
    for v_object in
        select format('alter %s %s owner to %s', case p.prokind when 'p' then 'procedure' else 'function' end,
                      p.oid::regprocedure,
                      case when n.nspname = 'kiln_api'
                           and p.proname not in (
                               'act_as', 'bus_head', 'bus_read', 'bus_replay', 'use_ticket', 'ready',
                               'metrics', 'watch_replay', 'register_instance', 'beat_instance',
                               'end_instance', 'report_audience', 'prove_bus', 'answer_ping')
                           then 'kiln_definer' else 'kiln_owner' end) as statement
          from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
         where n.nspname in ('kiln', 'kiln_internal', 'kiln_api', 'kiln_runner')
           and not exists (select from pg_catalog.pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop
        execute v_object.statement;
    end loop;
end
$$;
alter schema kiln owner to kiln_owner;
alter schema kiln_internal owner to kiln_owner;
alter schema kiln_extensions owner to kiln_owner;
alter schema kiln_api owner to kiln_owner;
alter schema kiln_runner owner to kiln_owner;

-- Temporary objects too: `set search_path = ''` still looks for types in pg_temp first, so whoever can make a
-- domain pg_temp.text would have its check run by every function of the owner that names a text.
do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$;
-- Nor large objects, nor tables in `public` (in a database that began before PostgreSQL 15): a password that
-- leaked fills no disk. It takes a superuser; the programs need neither.
do $$
declare
    v_function regprocedure;
begin
    if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
        raise warning 'kiln: who installs is no superuser, so any login of this database may still make '
                      'large objects'
            using hint = 'As a superuser, for each of \df pg_catalog.lo_*, loread and lowrite: revoke '
                         'execute on function … from public';
        return;
    end if;
    for v_function in
        select p.oid from pg_catalog.pg_proc p
         where p.pronamespace = 'pg_catalog'::regnamespace
           and (p.proname ~ '^lo_' or p.proname in ('loread', 'lowrite'))
    loop
        execute format('revoke execute on function %s from public', v_function);
    end loop;
    if to_regnamespace('public') is not null then
        revoke create on schema public from public;
    end if;
end
$$;
revoke all on schema kiln, kiln_internal, kiln_extensions, kiln_api, kiln_runner from public;
-- From ours too: this file is loaded again at each upgrade, and what it does not grant (any more) nobody has.
revoke all on all tables in schema kiln
    from public, kiln_server, kiln_worker, kiln_definer, kiln_reader, kiln_admin;
revoke all on all sequences in schema kiln
    from public, kiln_server, kiln_worker, kiln_definer, kiln_reader, kiln_admin;
revoke all on all functions in schema kiln, kiln_internal, kiln_extensions, kiln_api, kiln_runner
  from public, kiln_server, kiln_worker, kiln_definer, kiln_reader, kiln_admin;
alter default privileges for role kiln_owner revoke execute on functions from public;
grant execute on function kiln_extensions.hmac(bytea, bytea, text),
    kiln_extensions.gen_random_bytes(int) to kiln_owner;

-- The programs.
grant usage on schema kiln to kiln_server, kiln_worker;
grant execute on function kiln.contract() to kiln_server, kiln_worker, kiln_reader;
grant usage on schema kiln_api to kiln_server;
grant execute on all functions in schema kiln_api to kiln_server;
grant usage on schema kiln_runner to kiln_worker;
grant execute on all functions in schema kiln_runner to kiln_worker;

-- What stands behind the API: it may read what its policies show, and calls functions of the owner to change
-- anything.
grant usage on schema kiln, kiln_internal, kiln_api to kiln_definer;
grant select on kiln.job, kiln.media, kiln.model, kiln.model_use, kiln.provider, kiln.config to kiln_definer;
grant select on kiln.category to kiln_definer;
grant select on kiln.project, kiln.picture, kiln.image, kiln.room_type, kiln.style,
    kiln.staging_model to kiln_definer;
grant select (queue_id, name) on kiln.queue to kiln_definer;
grant insert (account_id, role, state, media_type, content_type, bytes, filename, md5, is_direct,
              incoming_key) on kiln.media to kiln_definer;
grant select on kiln.account, kiln.identity, kiln.content_type to kiln_definer;
grant select (pipeline_id, name) on kiln.pipeline to kiln_definer;
grant select on kiln.api_key, kiln.webhook_endpoint, kiln.delivery to kiln_definer;
grant select on kiln.conversation, kiln.member, kiln.message, kiln.block, kiln.notification,
    kiln.announcement to kiln_definer;
grant select (invite_id, account_id, conversation_id, expires_at, revoked_at,
              created_at) on kiln.invite to kiln_definer;
grant select (share_id, account_id, job_id, originals, disclosure, expires_at, revoked_at,
              created_at) on kiln.share to kiln_definer;
grant execute on all functions in schema kiln_api to kiln_definer;
grant execute on function
    kiln_internal.now(), kiln_internal.acting_account(), kiln_internal.acts_as_admin(),
    kiln_internal.require_actor(bigint), kiln_internal.require_admin(bigint),
    kiln_internal.begin_idempotent(bigint, text, text),
    kiln_internal.end_idempotent(bigint, text, bigint), kiln_internal.parse_body(text),
    kiln_internal.parse_id(text), kiln_internal.parse_later(jsonb), kiln_internal.parse_page(jsonb),
    kiln_internal.render_cursor(bigint), kiln_internal.last_of_page(anyarray, int),
    kiln_internal.render_page(json, bigint), kiln_internal.cut_page(json[], jsonb),
    kiln_internal.field_error(text, text), kiln_internal.refuse_fields(jsonb),
    kiln_internal.unknown_fields(jsonb, text[]), kiln_internal.pointer(text),
    kiln_internal.shorten(text, int), kiln_internal.text_field(jsonb, text),
    kiln_internal.plain_field(jsonb, text), kiln_internal.texts(jsonb, int),
    kiln_internal.check_value(jsonb, jsonb, text), kiln_internal.check_params(jsonb, jsonb),
    kiln_internal.find_model(jsonb), kiln_internal.random_seed(), kiln_internal.is_seed(text),
    kiln_internal.read_job_input(bigint, jsonb, jsonb, kiln.model, text, int),
    kiln_internal.read_variants(jsonb),
    kiln_internal.read_generation(bigint, jsonb, kiln.model, jsonb, int),
    kiln_internal.render_tryon(kiln.job), kiln_internal.tryon_page(text[], text, bigint, int),
    kiln_internal.add_inputs(bigint, jsonb), kiln_internal.await_media(bigint),
    kiln_internal.trash_files(jsonb),
    kiln_internal.pipeline_reason(smallint), kiln_internal.render_category(text),
    kiln_internal.write_category(text, jsonb), kiln_internal.render_pipeline(text, int),
    kiln_internal.write_pipeline(jsonb),
    kiln_internal.staging_options(), kiln_internal.staging_reason(kiln.staging_model),
    kiln_internal.read_staging(bigint, jsonb, jsonb), kiln_internal.read_project(bigint, jsonb, boolean),
    kiln_internal.is_original(bigint, text),
    kiln_internal.see_project(bigint, jsonb), kiln_internal.lock_project(bigint, bigint),
    kiln_internal.write_project(bigint, bigint, text, text, bigint[]), kiln.remove_project(bigint, bigint),
    kiln_internal.stage_pictures(kiln.project, jsonb),
    kiln_internal.make_image(kiln.project, bigint, jsonb, bigint), kiln_internal.render_project(kiln.project),
    kiln_internal.render_image(kiln.job), kiln_internal.image_page(bigint, bigint, text, bigint, int),
    kiln_internal.render_queue(text), kiln_internal.render_runners(bigint, int), kiln.pause_queue(text),
    kiln.resume_queue(text),
    kiln_internal.render_job(kiln.job), kiln_internal.render_model(kiln.model),
    kiln_internal.model_reason(kiln.model), kiln.estimate(int, jsonb), kiln_internal.reply_number(jsonb),
    kiln_internal.render_time(timestamptz), kiln_internal.sign_link(bigint, text, bigint),
    kiln.enqueue(text, kiln.json_object, bigint, int, timestamptz, kiln.job_kind, kiln.media_type, int,
                 bigint, bigint, int),
    kiln.cancel_job(bigint), kiln.retry_job(bigint, text, text, text), kiln.delete_job(bigint),
    kiln_internal.retry_as_asked(bigint, text, bigint, text), kiln_internal.render_job_for_admin(kiln.job),
    kiln_internal.job_page(kiln.job_state, bigint, int),
    kiln_internal.generation_page(bigint, kiln.job_state, kiln.media_type, bigint, int),
    kiln_internal.render_provider(smallint),
    kiln_internal.find_upload(jsonb, jsonb), kiln_internal.store_upload(bigint, jsonb),
    kiln_internal.promise_upload(bigint, text, boolean), kiln_internal.upload_headers(kiln.media),
    kiln_internal.random_key(), kiln_internal.media_room(bigint), kiln_internal.require_room(bigint, bigint),
    kiln_internal.begin_upload_session(bigint, bigint, bigint), kiln_internal.extend_upload_session(text),
    kiln_internal.end_upload_session(text, bigint),
    kiln_internal.check_upload(bigint), kiln_internal.render_upload(bigint),
    kiln.remove_upload(bigint, bigint), kiln_internal.media_in_use(bigint, bigint[]),
    kiln_internal.find_media(bigint, text, jsonb),
    kiln_internal.make_ticket(bigint, timestamptz), kiln_internal.make_share(bigint, bigint, timestamptz),
    kiln_internal.revoke_share(bigint, bigint), kiln_internal.render_share(kiln.share),
    kiln_internal.find_share(text), kiln_internal.render_download(kiln.project),
    kiln_internal.render_person(bigint), kiln_internal.visible_until(bigint),
    kiln_internal.find_people(bigint, text, int), kiln_internal.may_meet(bigint, bigint),
    kiln_internal.account_of(jsonb, bigint),
    kiln_internal.render_message(kiln.message), kiln_internal.render_conversation(kiln.conversation, bigint),
    kiln_internal.see_conversation(jsonb), kiln_internal.see_message(jsonb),
    kiln_internal.member_place(kiln.member),
    kiln_internal.render_members(kiln.conversation, kiln.member[], bigint),
    kiln_internal.enter_conversation(bigint, bigint), kiln_internal.open_pair(bigint, bigint),
    kiln_internal.make_group(bigint, text, bigint[]),
    kiln_internal.join_conversation(bigint, bigint, bigint),
    kiln_internal.leave_conversation(kiln.conversation, bigint, bigint),
    kiln_internal.answered_number(jsonb, bigint),
    kiln_internal.post_message(bigint, bigint, text, text, bigint[], bigint),
    kiln_internal.change_message(bigint, kiln.message, text),
    kiln_internal.mark_conversation(bigint, bigint, bigint, boolean),
    kiln_internal.mark_as_asked(bigint, jsonb, text, boolean),
    kiln_internal.set_block(bigint, bigint, boolean),
    kiln_internal.make_invite(bigint, bigint, text, timestamptz), kiln_internal.revoke_invite(bigint, bigint),
    kiln_internal.find_invite(bigint, text),
    kiln_internal.count_unread(bigint), kiln_internal.emit_typing(bigint, bigint),
    kiln_internal.render_presence(bigint, bigint), kiln_internal.render_notification(kiln.notification),
    kiln.announce(text, text, text, bigint, bigint),
    kiln_internal.job_ends_page(bigint, xid8, bigint, int),
    kiln_internal.read_notifications(bigint, bigint[], xid8[], bigint[], boolean),
    kiln_internal.render_endpoint(kiln.webhook_endpoint), kiln_internal.is_webhook_host_listed(text),
    kiln.webhook_url_error(text),
    kiln_internal.make_endpoint(bigint, text, kiln.event_type[]), kiln.rotate_endpoint_secret(bigint, bigint),
    kiln_internal.delete_endpoint(bigint, bigint), kiln.enable_endpoint(bigint, bigint),
    kiln.resend(bigint, bigint), kiln_internal.render_delivery(kiln.delivery),
    kiln_internal.unsubscribe(text),
    kiln_internal.confirm_email(text), kiln_internal.ask_confirmation(bigint),
    kiln_internal.make_nonce(), kiln_internal.consume_nonce(text), kiln_internal.sign_in(text, text),
    kiln_internal.render_account(kiln.account), kiln_internal.render_account_for_admin(kiln.account),
    kiln_internal.render_identity(kiln.identity), kiln.update_account(bigint, jsonb),
    kiln.delete_account(bigint), kiln.sign_out_everywhere(bigint),
    kiln.link_identity(bigint, text, text, numeric), kiln_internal.is_visible(text),
    kiln_internal.is_name(text, int), kiln_internal.is_link(text), kiln_internal.canonical_type(text),
    kiln.unlink_identity(bigint, bigint),
    kiln_internal.export_section(bigint, text, bigint, int), kiln_internal.find_accounts(text, bigint, int),
    kiln_internal.check_reason(jsonb, boolean), kiln_internal.show_account(bigint),
    kiln.set_role(bigint, kiln.role, text), kiln.suspend(bigint, text), kiln.unsuspend(bigint, text),
    kiln.grant_to(bigint, bigint, text),
    kiln_internal.acting_scopes(), kiln_internal.render_api_key(kiln.api_key),
    kiln.make_api_key(bigint, text, kiln.scope[], timestamptz), kiln.revoke_api_key(bigint, bigint),
    kiln_internal.record_webhook(text, text, text), kiln_internal.find_webhook_keys(text, boolean),
    kiln.resolve_job(bigint, text, text, jsonb, text)
    to kiln_definer;

-- People. Views and triggers run their functions as who reads or writes, so people need those of
-- kiln_internal that they lean on.
grant usage on schema kiln, kiln_internal to kiln_reader;
grant select on all tables in schema kiln to kiln_reader;
revoke select on kiln.secret, kiln.stream_ticket, kiln.nonce, kiln.endpoint_secret from kiln_reader;
grant execute on function kiln_internal.now(), kiln_internal.xid_base(), kiln_internal.log_xid(xid8),
    kiln_internal.is_restored(), kiln_internal.task_id(bigint, int, int),
    kiln_internal.queue_position(bigint), kiln_internal.job_stage(bigint), kiln_internal.render_job(kiln.job),
    kiln_internal.format_time(interval), kiln_internal.ago(timestamptz), kiln_internal.shorten(text, int),
    kiln_internal.queue_closed(kiln.queue), kiln_internal.explain_wait(kiln.task, text, text),
    kiln_internal.present_job_ids(int), kiln_internal.checked_job_ids(int),
    kiln_internal.newest_jobs(kiln.job_kind, int), kiln.waste_since(timestamptz),
    kiln_internal.find_contradictions(bigint[]), kiln_internal.check_present(), kiln.check_all(),
    kiln_internal.spent_today(smallint, bigint), kiln_internal.quantile_ms(int[], float8),
    kiln_internal.words_of(text[]),
    kiln_internal.provider_health_state(kiln.provider, kiln.provider_limiter),
    kiln_internal.health_until(kiln.provider_limiter), kiln_internal.recent_counts(kiln.provider_limiter),
    kiln_internal.version() to kiln_reader;

grant insert, update, delete on all tables in schema kiln to kiln_admin;
revoke all on kiln.secret, kiln.stream_ticket, kiln.nonce, kiln.endpoint_secret from kiln_admin;
revoke insert, update, delete on kiln.job_move, kiln.task_move, kiln.call_move, kiln.handler, kiln.migration
    from kiln_admin;
-- kiln.after_restore() writes them
revoke insert, update, delete on kiln.cluster, kiln.timeline, kiln.restore from kiln_admin;
grant update (keeps_files) on kiln.restore to kiln_admin;
-- append-only: money, what people said
revoke update, delete on kiln.ledger, kiln.resolution, kiln.account_act from kiln_admin;
revoke delete on kiln.style, kiln.room_type from kiln_admin;        -- a name once given is never taken away
-- versions: images name them
revoke update, delete on kiln.style_text, kiln.staging_prompt from kiln_admin;
-- History, and the parts of the log and of the tasks: nobody writes them, whatever their parent's guards say.
-- (A part that the tick makes later is granted to nobody.)
do $$
declare
    v_part regclass;
begin
    for v_part in
        select c.oid from pg_catalog.pg_class c
         where c.oid in ('kiln.event'::regclass, 'kiln.attempt'::regclass)
            or c.relnamespace = 'kiln'::regnamespace and c.relispartition and c.relkind = 'r'
    loop
        execute format('revoke insert, update, delete on %s from kiln_admin', v_part);
    end loop;
end
$$;
revoke insert, update, delete on kiln.mutex from kiln_admin;
grant usage on all sequences in schema kiln to kiln_admin;
grant execute on all functions in schema kiln, kiln_internal to kiln_admin;
grant usage on schema kiln_api, kiln_runner to kiln_admin;
grant execute on all functions in schema kiln_runner to kiln_admin;

-- Guards of every table: rows that are only added, that functions write, or without which nothing works.
do $$
declare
    v_table text;
begin
    foreach v_table in array '{ledger,resolution,account_act,style_text,staging_prompt}'::text[]
    loop
        execute format('create or replace trigger t10_guard_update before update on kiln.%I for each row '
                       'execute function kiln_internal.guard_append_only()', v_table);
        execute format('create or replace trigger t10_guard_delete before delete on kiln.%I for each row '
                       'execute function kiln_internal.guard_append_only()', v_table);
    end loop;
end
$$;
create or replace trigger t10_guard_history before update or delete on kiln.event for each row
    execute function kiln_internal.guard_history();
create or replace trigger t10_guard_history before update or delete on kiln.attempt for each row
    execute function kiln_internal.guard_history();
do $$
declare
    v_table text;
begin
    foreach v_table in array '{job,task}'::text[]
    loop
        execute format('create or replace trigger t10_guard_insert before insert on kiln.%I for each '
                       'statement execute function kiln_internal.guard_job_insert()', v_table);
        continue when v_table = 'job';
        execute format('create or replace trigger t10_guard_delete before delete on kiln.%I for each '
                       'statement execute function kiln_internal.guard_by_hand(%L)',
                       v_table, 'A task belongs to its job: delete the job, once it has ended.');
    end loop;
end
$$;

-- Tables that functions alone write, with what to call instead.
do $$
declare
    v_guard record;
begin
    for v_guard in
        select * from (values
            ('account_rate',     'It empties by itself; kiln.config has the rates.'),
            ('account_act',      'kiln.set_role(), kiln.suspend() and kiln.grant_to() write it.'),
            ('audience',         'The servers write who listens to them.'),
            ('media_wait',          'kiln.cancel_job() ends a job that waits for files.'),
            ('cluster',          'kiln.after_restore() says that this database is another''s copy.'),
            ('timeline',         'The tick notes the timelines of this cluster.'),
            ('lost_position',    'The servers note it.'),
            ('delivery_attempt', 'kiln.resend() sends a delivery again.'),
            ('endpoint_secret',  'kiln.rotate_endpoint_secret() gives an endpoint a new secret.'),
            ('low_watermark',
                        'The tick moves the low watermarks; kiln.pause_queue() stops a queue.'),
            ('heartbeat',
                    'A runner that does not beat is dead after kiln.config.lease, '
                    'and its tasks go to others.'),
            ('idempotency',      'It is forgotten after a day.'),
            ('revoked_identity',    'An identity comes back when its owner signs in anew.'),
            ('instance',         'The servers write it; one that is gone is marked within a minute.'),
            ('job_end',          'The last move of a job writes it, and it goes with the job.'),
            ('job_ends_read',    'Clients write it: POST /notifications/read.'),
            ('job_move',         'The legal moves belong to the release.'),
            ('task_move',        'The legal moves belong to the release.'),
            ('call_move',        'The legal moves belong to the release.'),
            ('handler',          'The handlers belong to the release.'),
            ('log_start',        'The tick moves it; kiln.config.event_keep says how much is kept.'),
            ('model_use',        'The tick measures it each minute.'),
            ('mutex',            'Its rows are only ever locked.'),
            ('nonce',            'A nonce is forgotten after kiln.config.nonce_ttl.'),
            ('outgoing',         'The runners move it.'),
            ('deferred_task',
                       'kiln.cancel_job() ends a job that waits; kiln.provider has the limits.'),
            ('ping',             'The servers write it.'),
            ('poll',             'kiln.resolve_job() decides about a call.'),
            ('presence',         'kiln.account.show_presence says whether an account is seen.'),
            ('queue_limiter',       'kiln.queue has the limits.'),
            ('upload_session',
                    'The servers write it; what is left behind is forgotten within an hour.'),
            ('resolution',       'kiln.resolve_job() writes it.'),
            ('runner',           'kiln_runner.register() and unregister() write it; a runner that is gone is '
                                 'dead after kiln.config.lease.'),
            ('runner_secret',    'The runners write what they have.'),
            ('waiter',          'Who sleeps writes it.'),
            ('unmatched_webhook',    'It is forgotten after a week.'),
            ('stream_ticket',    'kiln.sign_out_everywhere() ends an account''s streams.'),
            ('trash',            'Delete the row of the file; the runners empty the trash.'),
            ('tryon',            'kiln.enqueue() writes it, and it goes with the job.'),
            ('typing',           'It is forgotten within seconds.'),
            ('webhook_key',      'The runners fetch the keys of providers again each day.'),
            ('ephemeral_event',          'It is forgotten within seconds.')) as g (name, hint)
    loop
        execute format('create or replace trigger t05_guard_by_hand before insert or update or delete on '
                       'kiln.%I for each statement execute function kiln_internal.guard_by_hand(%L)',
                       v_guard.name, v_guard.hint);
    end loop;
end
$$;

-- Columns that functions alone write, in tables whose others are free.
do $$
declare
    v_guard record;
    v_names text;
begin
    for v_guard in
        select * from (values
            ('account', 'account_id created_at deleted_at purged_at',
             'kiln.delete_account() deletes an account.'),
            ('account', 'role',
             'kiln.set_role(account, ''user'', ''why'') also ends the streams that see everything, keeps the '
             'reason, and keeps one administrator.'),
            ('account', 'is_suspended',
             'kiln.suspend(account, ''why'') and kiln.unsuspend() also end its streams and keep the reason.'),
            ('account', 'show_presence',
             'kiln.update_account(account, ''{"show_presence": false}'') also tells who listens.'),
            ('account', 'tokens_from', 'kiln.sign_out_everywhere() also ends its streams.'),
            ('announcement', 'announcement_id made_by account_id recipients created_at',
             'kiln.announce() writes one to everybody.'),
            ('api_key', 'api_key_id account_id key_hash prefix last_used_at created_at',
             'kiln.make_api_key() and kiln.revoke_api_key() give and take keys.'),
            ('block', 'account_id blocked_id created_at',
             'Clients block and unblock: POST /blocks, DELETE /blocks/{id}.'),
            ('call', '*',
             'kiln.resolve_job(job, ''resend'', ''fail'' or ''adopt'', ''why'') decides about a call: \df+ '
             'kiln.resolve_job'),
            ('category', 'category_id', 'Insert another, and switch this one off: is_enabled = false.'),
            ('maintenance', 'name', 'Each name is a function of the tick.'),
            ('config', 'only_row', 'There is one row.'),
            ('conversation',
             'conversation_id is_group made_by pair_low pair_high last_number activity created_at',
             'Clients make them: POST /conversations. title is free.'),
            ('delivery', 'delivery_id account_id webhook_endpoint_id event_id type message_id body state '
                         'tries attempts why created_at ended_at', 'kiln.resend() sends a delivery again.'),
            ('provider_limiter', 'provider_id theoretical_arrival_at window_at counts last_counts',
             'kiln.provider has the limits; circuit, open_until and paused_until are free.'),
            ('identity', '*', 'kiln.link_identity() and kiln.unlink_identity() tie identities to accounts.'),
            ('image', '*', 'An image is made by a request; its job has its own moves.'),
            ('invite', 'invite_id token_hash account_id conversation_id created_at',
             'Clients make them: POST /invites. expires_at and revoked_at are free.'),
            ('media', 'media_id account_id job_id role state media_type content_type bytes sha256 width '
                      'height duration_ms storage_key thumbnail_key clean_key incoming_key is_direct md5 '
                      'check_job_id reason created_at',
                      'kiln.remove_upload() removes a file; filename is free.'),
            ('member', '*',
             'Clients write it: POST and DELETE /conversations/{id}/members, POST /conversations/{id}/read.'),
            ('message', 'message_id conversation_id number account_id author_number client_id media reply_to '
                        'created_at', 'Clients write it: PATCH and DELETE /messages/{id}. text is free.'),
            ('migration', '*', 'It says what this database has seen.'),
            ('model', 'model_id created_at', 'Insert another, and switch this one off: is_enabled = false.'),
            ('notification', 'notification_id account_id kind conversation_id announcement_id created_at',
             'Its text, its link and read_at are free.'),
            ('picture', '*', 'Clients choose a project''s originals: PUT /projects/{id}.'),
            ('pipeline', 'pipeline_id name stages queue_id',
             'begin; select kiln.new_pipeline_version(''name''); -- change its stages; commit'),
            ('project', 'project_id account_id created_at updated_at deleted_at',
             'kiln.remove_project() removes one; name and description are free.'),
            ('provider', 'provider_id',
             'Stages name it: insert another, and switch this one off: is_enabled = false.'),
            ('queue', 'queue_id', 'Runners hold it.'),
            ('restore', 'restore_id restored_at former_identifier system_identifier xid_base nothing_ran '
                        'by_name findings', 'kiln.after_restore() writes it; keeps_files is free.'),
            ('room_type', 'name', 'A name that was given stays: images name it.'),
            ('secret', 'name', 'Each name is a purpose; value is free.'),
            ('share', 'share_id account_id job_id token_hash originals created_at',
             'Clients make them: POST /shares. expires_at and revoked_at are free.'),
            ('staging_model', 'name', 'A name that was given stays: images name it.'),
            ('style', 'name', 'A name that was given stays: make it an alias of another.'),
            ('webhook_endpoint', 'webhook_endpoint_id account_id created_at disabled_at disabled_why',
             'kiln.enable_endpoint() switches one on again.')) as g (name, columns, hint)
    loop
        if v_guard.columns = '*' then
            select string_agg(a.attname, ' ' order by a.attnum) into v_names
              from pg_catalog.pg_attribute a
             where a.attrelid = format('kiln.%I', v_guard.name)::regclass and a.attnum > 0
               and not a.attisdropped;
        else
            v_names := v_guard.columns;
        end if;
        execute format('create or replace trigger t05_guard_%s before update of %s on kiln.%I for each row '
                       'execute function kiln_internal.guard_columns(%L, %L)',
                       split_part(v_names, ' ', 1), replace(v_names, ' ', ', '), v_guard.name, v_guard.hint,
                       v_names);
    end loop;
end
$$;

-- Rows without which nothing would be claimed, signed, limited or kept, and rows that say what was.
do $$
declare
    v_table text;
begin
    foreach v_table in array '{config,secret,maintenance,migration,cluster,restore}'::text[]
    loop
        execute format('create or replace trigger t10_guard_rows before delete on kiln.%I for each statement '
                       'execute function kiln_internal.guard_rows()', v_table);
    end loop;
end
$$;
create or replace trigger t10_guard_rows before insert or delete on kiln.provider_limiter for each statement
    execute function kiln_internal.guard_by_hand('A provider has one limiter as long as it is there: without '
                                                 'it no call begins.');
create or replace trigger t10_guard_insert before insert on kiln.maintenance for each statement
    execute function kiln_internal.guard_by_hand('Each name is a function of the tick.');
create or replace trigger t10_guard_rows before delete on kiln.identity for each statement
    execute function kiln_internal.guard_by_hand('kiln.unlink_identity() takes one away.');
create or replace trigger t10_guard_rows before delete on kiln.api_key for each statement
    execute function kiln_internal.guard_by_hand('kiln.revoke_api_key() also ends its streams.');
create or replace trigger t10_guard_rows before delete on kiln.member for each statement
    execute function kiln_internal.guard_by_hand('Clients end a membership: DELETE '
                                                 '/conversations/{id}/members.');
create or replace trigger t10_guard_rows before delete on kiln.picture for each statement
    execute function kiln_internal.guard_by_hand(
        'Clients choose a project''s originals: PUT /projects/{id}.');
create or replace trigger t10_guard_rows before delete on kiln.image for each statement
    execute function kiln_internal.guard_by_hand('Delete its job.');

-- ENABLE ALWAYS: session_replication_role switches none of them off. Loaded again at each upgrade, this also
-- mends what `disable trigger all; enable trigger all` made of them; until then kiln.contradictions names it.
do $$
declare
    v_trigger record;
begin
    perform kiln_internal.guard_truncate_of(c.oid)
       from pg_catalog.pg_class c
      where c.relnamespace = 'kiln'::regnamespace and c.relkind in ('r', 'p');
    for v_trigger in
        select t.tgname, t.tgrelid::regclass as name
          from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
         where c.relnamespace = 'kiln'::regnamespace and not t.tgisinternal and t.tgenabled <> 'A'
         order by c.relispartition
    loop
        execute format('alter table %s enable always trigger %I', v_trigger.name, v_trigger.tgname);
    end loop;
end
$$;

-- Every column of every table: what an UPDATE does that a person types, a superuser too. refused: KN001 with
-- a sentence, whatever the settings; performed: a trigger does what belongs to it (base/guards.sql shows each);
-- free: who reads the row reads the new value. The list is held against the catalogue, so a new column
-- without a decision fails here.
begin;
\ir ../../fixtures/fixture.sql
\ir ../../fixtures/money.sql
select no_plan();

create temporary table decision as
select t as name, kind, unnest(string_to_array(columns, ' ')) as column
  from (values
    ('cluster', 'refused', 'only_row system_identifier relation history'),
    ('lost_position', 'refused', 'account_id timeline xid began_xid seen_at'),
    ('restore', 'free', 'keeps_files'),
    ('restore', 'refused',
     'restore_id restored_at former_identifier system_identifier xid_base nothing_ran by_name findings'),
    ('timeline', 'refused', 'timeline xid noted_at'),
    ('content_type', 'free', 'content_type alias_of file_ending is_accepted'),
    ('upload_session', 'refused', 'token account_id media_id bytes until'),
    ('job_end', 'refused', 'job_id account_id kind state media_type'),
    ('tryon', 'refused', 'job_id category state'),
    ('account', 'free', 'email_verified_at handle display_name email notify_email media_quota_bytes'),
    ('account', 'performed', 'day_cap_micros'),
    ('account', 'refused',
     'account_id role show_presence is_suspended tokens_from deleted_at purged_at created_at'),
    ('account_act', 'refused', 'account_act_id account_id kind details reason made_by by_name at'),
    ('account_rate', 'refused', 'account_id class theoretical_arrival_at'),
    ('announcement', 'free', 'kind text link'),
    ('announcement', 'refused', 'announcement_id made_by account_id recipients created_at'),
    ('api_key', 'free', 'name scopes expires_at'),
    ('api_key', 'refused', 'api_key_id account_id key_hash prefix last_used_at created_at'),
    ('attempt', 'refused', 'fence task_id job_id runner_id started_at finished_at stage attempt outcome '
        'message'),
    ('audience', 'refused', 'instance_id account_id'),
    ('media_wait', 'refused', 'job_id media_id'),
    ('block', 'refused', 'account_id blocked_id created_at'),
    ('call', 'refused',
     'malformed_reply call_id task_id job_id account_id provider_id fence runner_id number state request '
        'request_hash idempotency_key webhook_token sends send_before timeout_at '
        'provider_request_id urls poll_request queue_position fraction result_at fetches '
        'cancel_requested_at cancel_sent_at expires_at why outcome error_class error_code '
        'error_message result media estimated_micros charged_micros is_unbilled classified_at '
        'created_at accepted_at settled_at late_at late_outcome'),
    ('call_move', 'refused', 'from_state event to_state'),
    ('category', 'free', 'name title description media_type pipeline_id pipeline_version prompt params '
        'price_micros is_enabled'),
    ('category', 'refused', 'category_id'),
    ('maintenance', 'performed', 'every ran_at'),
    ('maintenance', 'refused', 'name'),
    ('config', 'free', 'webhook_hosts mails_per_day confirmations_per_day confirmation_ttl '
        'lease task_grace event_keep attempt_keep link_ttl upload_ttl upload_max_bytes '
        'media_quota_bytes currency stream_ticket_ttl orphan_keep public_url presence_grace '
        'nonce_ttl session_ttl writes_per_minute writes_burst logins_per_minute '
        'logins_burst'),
    ('config', 'refused', 'only_row'),
    ('conversation', 'free', 'title'),
    ('conversation', 'refused', 'conversation_id is_group made_by pair_low pair_high last_number activity '
        'created_at'),
    ('delivery', 'free', 'due_at claimed_until'),
    ('delivery', 'refused', 'delivery_id account_id webhook_endpoint_id target event_id type message_id body '
        'state tries attempts why created_at ended_at'),
    ('delivery_attempt', 'refused', 'delivery_id attempt runner_id at status elapsed_ms error reply_bytes'),
    ('endpoint_secret', 'refused', 'webhook_endpoint_id secret previous previous_until'),
    ('event', 'refused', 'event_id xid at account_id job_id version type data'),
    ('low_watermark', 'refused',
     'queue_id priority virtual_time next_virtual_time max_virtual_time seen_job moved_at is_paused'),
    ('provider_limiter', 'free', 'circuit failures opened open_until paused_until paused_why'),
    ('provider_limiter', 'refused', 'provider_id theoretical_arrival_at window_at counts last_counts'),
    ('handler', 'refused', 'name description config_schema'),
    ('heartbeat', 'refused', 'runner_id beat_at since'),
    ('idempotency', 'refused', 'account_id route key body_hash thing_id created_at'),
    ('identity', 'refused', 'token_issued_at issuer subject account_id created_at identity_id'),
    ('revoked_identity', 'refused', 'identity_hash revoked_at'),
    ('image', 'refused',
     'job_id project_id media_id account_id batch_id mode room_type style style_asked state '
        'style_version prompt_version model variations disclosure'),
    ('instance', 'refused', 'instance_id role host pid port version started_at beat_at sse websocket poll '
        'memory_kib lag_ms database_ms proof_at proof_pongs proof_ms proof_by ended_at '
        'ended_why'),
    ('invite', 'free', 'expires_at revoked_at'),
    ('invite', 'refused', 'invite_id token_hash account_id conversation_id created_at'),
    ('job', 'performed', 'priority state run_at'),
    ('job', 'refused', 'job_id account_id parent_id pipeline_version_id model_id version stages kind '
        'media_type estimated_micros actual_micros created_at started_at finished_at '
        'error_code error_message input output'),
    ('job_ends_read', 'refused', 'account_id read_at upto'),
    ('job_move', 'refused', 'from_state event to_state'),
    ('ledger', 'refused', 'ledger_id account_id job_id kind amount_micros note at'),
    ('log_start', 'refused', 'only_row xid'),
    ('mail_template', 'free', 'type subject text html'),
    ('media', 'free', 'filename'),
    ('media', 'refused', 'media_id account_id job_id role state media_type content_type bytes sha256 width '
        'height duration_ms storage_key thumbnail_key clean_key incoming_key is_direct md5 '
        'check_job_id reason created_at'),
    ('mail_recipient', 'free', 'address_hash day mails confirmations suppressed_at'),
    ('member', 'refused', 'conversation_id account_id joined_number until_number posted delivered_number '
        'read_number seen_at joined_at'),
    ('message', 'free', 'text edited_at deleted_at'),
    ('message', 'refused', 'message_id conversation_id number account_id author_number client_id media '
        'reply_to created_at'),
    ('migration', 'refused', 'number name applied_at'),
    ('model', 'free', 'name provider_id pipeline_id media_type title description tags params_schema '
        'example price_micros price min_media is_default is_enabled'),
    ('model', 'refused', 'model_id created_at search'),
    ('model_use', 'refused', 'model_id jobs completed took_ms measured_at'),
    ('mutex', 'refused', 'name'),
    ('nonce', 'refused', 'nonce_hash expires_at'),
    ('notification', 'free', 'text link read_at'),
    ('notification', 'refused', 'notification_id account_id kind conversation_id announcement_id created_at'),
    ('outgoing', 'refused', 'only_row cluster from_snapshot until_snapshot after_id mailing_at'),
    ('deferred_task', 'refused',
     'task_id provider_id account_id priority virtual_time estimated_micros reason since admitted_at'),
    ('picture', 'refused', 'picture_id project_id media_id account_id'),
    ('ping', 'refused', 'instance_id number role sent_at answered_by answered_at ended_at is_reported'),
    ('pipeline', 'free', 'description'),
    ('pipeline', 'performed', 'pipeline_version_id'),
    ('pipeline', 'refused', 'pipeline_id name stages queue_id'),
    ('pipeline_version', 'refused', 'pipeline_version_id pipeline_id version xid created_at'),
    ('poll', 'refused', 'call_id provider_id poll_at every_ms max_ms polls answer_hash'),
    ('presence', 'refused', 'account_id is_online changed_at seen_at due_at'),
    ('project', 'free', 'name description'),
    ('project', 'refused', 'project_id account_id created_at updated_at deleted_at'),
    ('provider', 'free', 'is_local is_enabled is_paid description base_url reply_hosts file_hosts auth '
        'submit poll result cancel lookup webhook errors error_pointers cost '
        'idempotency_header idempotency_ttl bills_failures bills_cancelled max_calls '
        'rate_per_minute rate_burst day_cap_micros reply_timeout max_reply_bytes '
        'max_file_bytes'),
    ('provider', 'performed', 'name'),
    ('provider', 'refused', 'provider_id'),
    ('queue', 'free', 'name description'),
    ('queue', 'performed', 'is_paused max_running rate_per_minute rate_burst'),
    ('queue', 'refused', 'queue_id'),
    ('queue_limiter', 'refused', 'queue_id theoretical_arrival_at'),
    ('reserved_handle', 'free', 'name is_part'),
    ('resolution', 'refused', 'resolution_id job_id task_id call_id action reason output actor at'),
    ('room_type', 'free', 'title words position'),
    ('room_type', 'refused', 'name'),
    ('runner', 'refused',
     'sandbox runner_id name host pid version queue_ids limited_ids slots quarantined_task_id quarantined_at '
     'address '
        'started_at ended_at ended_why'),
    ('runner_secret', 'refused', 'runner_id names offered_at'),
    ('secret', 'free', 'value'),
    ('secret', 'refused', 'name'),
    ('share', 'free', 'disclosure expires_at revoked_at'),
    ('share', 'refused', 'share_id account_id job_id token_hash originals created_at'),
    ('waiter', 'refused', 'name queue_ids is_bus'),
    ('stage', 'refused', 'pipeline_version_id position name handler config queue_id time_limit max_attempts '
        'backoff_base backoff_cap'),
    ('staging_model', 'free',
     'title description pipeline_id price_micros max_variations is_default is_enabled'),
    ('staging_model', 'refused', 'name'),
    ('staging_prompt', 'refused', 'version stage declutter restyle user_prompt preserve created_at'),
    ('unmatched_webhook', 'refused', 'unmatched_webhook_id provider_id request_id token at'),
    ('stream_ticket', 'refused', 'ticket_hash account_id expires_at api_key_id scopes'),
    ('style', 'free', 'title position alias_of is_deprecated'),
    ('style', 'refused', 'name is_alias is_of_alias'),
    ('style_text', 'refused', 'style version words created_at'),
    ('task', 'free', 'attempts interruptions'),
    ('task', 'performed', 'due_at state'),
    ('task', 'refused',
     'task_id job_id account_id virtual_time fence runner_id started_at created_at finished_at '
        'pipeline_version_id fraction queue_id priority stage slot label error_class '
        'error_message output'),
    ('task_move', 'refused', 'from_state event to_state'),
    ('trash', 'refused', 'storage_key since'),
    ('typing', 'refused', 'conversation_id account_id at'),
    ('webhook_endpoint', 'free', 'url types failures failing_since'),
    ('webhook_endpoint', 'refused', 'webhook_endpoint_id account_id disabled_at disabled_why created_at'),
    ('webhook_key', 'refused', 'provider_id jwks fetched_at wanted_at'),
    ('ephemeral_event', 'refused', 'ephemeral_event_id xid at account_id type data')) d (t, kind, columns);

create temporary view catalogue as
select c.relname::text as name, a.attname::text as column, a.atttypid, a.attnum,
       case t.typtype when 'd' then t.typbasetype else a.atttypid end as base
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
 where c.relnamespace = 'kiln'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition;
select is_empty('select name, "column" from catalogue except select name, "column" from decision',
                'every column has a decision');
select is_empty('select name, "column" from decision except select name, "column" from catalogue',
                'and every decision has its column');
select is_empty('select name, "column" from decision group by 1, 2 having count(*) > 1', 'one');

-- A row of each table whose guard looks at rows.
select fixture.pay() as paid, fixture.job_in('completed') as done, fixture.job_in('held') as held \gset
select fixture.begin(:paid) \g /dev/null
select fixture.media('ann') as media \gset
insert into kiln.project (account_id, name) values (fixture.account('ann'), 'x')
returning project_id as project \gset
set role kiln_owner;
insert into kiln.picture (project_id, media_id, account_id) select project_id, :media, account_id
                                                              from kiln.project;
insert into kiln.image (job_id, project_id, media_id, account_id, mode, room_type, style, style_version,
                        prompt_version, model, variations)
select :done, project_id, :media, account_id, 'stage', 'auto', 'modern', 1, 1, 'local/furnish', 1
  from kiln.project;
insert into kiln.restore (former_identifier, system_identifier, xid_base, nothing_ran, keeps_files, findings)
select 1, 2, 0, true, false, '[]';
insert into kiln.block (account_id, blocked_id) select min(account_id), max(account_id) from kiln.account;
insert into kiln.notification (account_id, kind, text) select account_id, 'test', 'x' from kiln.account
                                                        limit 1;
insert into kiln.delivery (account_id, event_id, type, body) select account_id, 1, 'job.completed', '{}'
                                                               from kiln.account limit 1;
insert into kiln.share (account_id, job_id, token_hash, originals)
values (fixture.account('ann'), :done, sha256('x'), '[]');
reset role;
select kiln_internal.make_group(fixture.account('ann'), 'g', array[fixture.account('bob')]) as talk \gset
select kiln_internal.post_message(fixture.account('ann'), :talk, 'x', 'hello', '{}', null) \g /dev/null
select kiln_internal.make_invite(fixture.account('ann'), :talk, 'token',
                                 kiln_internal.now() + interval '1 day') \g /dev/null
select kiln.make_api_key(fixture.account('ann'), 'k', '{read}', null) \g /dev/null
select kiln_internal.make_endpoint(fixture.account('ann'), 'https://x.test/', '{job.completed}') \g /dev/null
select kiln.announce('test', 'x') \g /dev/null
set constraints all immediate;

-- Another value of a column's type.
create function pg_temp.another(p_column text, p_type oid) returns text language sql as $$
    select case when p_type in (21, 23, 20, 700, 701, 1700) then format('coalesce(%I, 0) + 1', p_column)
                when p_type = 16 then format('not coalesce(%I, false)', p_column)
                when p_type = 25 then format('coalesce(%I, %L) || %L', p_column, '', 'x')
                when p_type = 1184 then format('coalesce(nullif(%I, %L), now()) + interval %L', p_column,
                                               'infinity', '1 hour')
                when p_type = 1186 then format('coalesce(%I, %L) + interval %L', p_column, '0', '1 second')
                when p_type = 3802 then format('coalesce(%I, %L) || %L', p_column, '{}', '{"another": 1}')
                when p_type = 17 then format('coalesce(%I, %L) || %L', p_column, '', '\x00')
                when p_type = 2950 then 'gen_random_uuid()'
                when p_type = 26 then '0'
                when p_type = 869 then quote_literal('::1')
                when p_type = 'xid8'::regtype then quote_literal('1')
                when p_type = 'pg_snapshot'::regtype then quote_literal('1:1:')
                when p_type = 'tsvector'::regtype then quote_literal('another')
                when exists (select from pg_type where oid = p_type and typtype = 'e')
                    then format('(select e from unnest(enum_range(null::%s)) e where e is distinct from %I '
                                'limit 1)', p_type::regtype, p_column)
                else format('array_append(%I, null)', p_column) end
$$;
-- What comes of it: the SQLSTATE, done, or that there was nothing to try it on. Undone.
create function pg_temp.tried(p_name text, p_column text, p_value text, p_role text default 'none')
returns text language plpgsql as $$
declare
    v_rows int;
begin
    perform set_config('role', p_role, true);
    execute format('update kiln.%I set %I = %s', p_name, p_column, p_value);
    get diagnostics v_rows = row_count;
    raise exception 'undo' using errcode = 'KN999',
        detail = case v_rows when 0 then 'there was no row' else 'done' end;
exception when others then
    if sqlstate = 'KN999' then
        get stacked diagnostics p_value = pg_exception_detail;
        return p_value;
    end if;
    return sqlstate;
end $$;

-- (428C9: PostgreSQL writes it itself.)
select ok(pg_temp.tried(name, d.column, pg_temp.another(d.column, base)) in ('KN001', '428C9'),
          format('a superuser''s UPDATE of %s.%s is refused', name, d.column))
  from decision d join catalogue c using (name, "column") where kind = 'refused' order by name, attnum;
set local session_replication_role = replica;
select is_empty($$ select name, d.column from decision d join catalogue c using (name, "column")
                    where kind = 'refused' and pg_temp.tried(name, d.column,
                                                             pg_temp.another(d.column, base)) not in ('KN001',
                                                                 '428C9') $$,
                'with session_replication_role = replica too');
set local session_replication_role = origin;
select is_empty($$ select name, d.column, pg_temp.tried(name, d.column, quote_ident(d.column)) from decision d
                    where kind <> 'refused' and pg_temp.tried(name, d.column,
                                                              quote_ident(d.column)) not in ('done',
                                                                  'there was no row') $$,
                'what is not refused may be typed');
select is_empty($$ select name, d.column from decision d join catalogue c using (name, "column")
                    where kind = 'refused' and pg_temp.tried(name, d.column, pg_temp.another(d.column, base),
                                                             'kiln_admin') not in ('KN001', '428C9',
                                                                 '42501') $$,
                'an administrator''s is refused likewise');
select finish();
rollback;

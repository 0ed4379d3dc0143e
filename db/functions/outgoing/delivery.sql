-- Deliveries: made from the log, handed to runners, and what came of them. One statement makes what is new
-- and takes what is due, in a transaction of its own; nothing of it touches the queue, so paid work neither
-- waits for it nor pays for it. A standby, or a restore, may have an event and not the delivery that was made
-- of it elsewhere: made here again it has the same id, by which its receiver knows it. Another event under
-- the same number has another time.
create or replace function kiln_internal.message_id(p_event_id bigint, p_at timestamptz,
                                                    p_type kiln.event_type, p_endpoint_id bigint)
returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return 'msg_'
        || left(encode(kiln_extensions.hmac(convert_to(format('delivery|%s|%s|%s|%s', p_event_id,
                                                              (extract(epoch from p_at) * 1000000)::bigint,
                                                              p_type, p_endpoint_id), 'UTF8'),
                                           (select s.value from kiln.secret s
                                             where s.name = 'mail'), 'sha256'), 'hex'), 32);
end
$$;
comment on function kiln_internal.message_id(bigint, timestamptz, kiln.event_type, bigint) is
'The id under which an endpoint (null: mail) is told of an event: the same wherever this event is told from.';

create or replace function kiln_internal.make_deliveries(p_limit int,
                                                         p_now pg_snapshot default pg_current_snapshot())
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    -- before this transaction writes: see kiln_internal.make_position_durable()
    v_now     pg_snapshot := p_now;
    v_cluster text := (select s.system_identifier::text from pg_catalog.pg_control_system() s);
    v_place   kiln.outgoing;
    v_until   pg_snapshot;
    v_seen    int;
    v_last    bigint;
begin
    select * into v_place from kiln.outgoing;
    if v_place.from_snapshot is null or pg_snapshot_xmax(v_place.from_snapshot) > pg_snapshot_xmax(v_now) then
        return false;
    elsif v_place.cluster <> v_cluster
       or kiln_internal.log_xid(pg_snapshot_xmin(v_place.from_snapshot))::text::bigint < (select l.xid
                                                        from kiln.log_start l) then
        update kiln.outgoing set cluster = v_cluster, from_snapshot = v_now, until_snapshot = null,
               after_id = 0;
        raise warning 'deliveries go on from now: the log does not reach back to where they stood';
        return false;
    end if;
    v_until := coalesce(v_place.until_snapshot, v_now);
    perform set_config('synchronous_commit', 'on', true);
    with new as materialized (
        select * from kiln_internal.events_between(null, v_place.from_snapshot, v_until, v_place.after_id,
                                                   p_limit, false)),
    wanted as (
        select n.*, e.webhook_endpoint_id
          from new n
          join kiln.webhook_endpoint e on e.account_id = n.account_id and n.type = any (e.types)
           and e.disabled_at is null and e.created_at <= n.at
        union all
        select n.*, null
          from new n
          join kiln.mail_template m on m.type = n.type::text
          join kiln.account a on a.account_id = n.account_id
         where v_place.mailing_at > kiln_internal.now() - interval '1 day'
           and kiln_internal.mail_address(a) is not null),
    made as (
        insert into kiln.delivery (account_id, webhook_endpoint_id, event_id, type, body, message_id)
        select w.account_id, w.webhook_endpoint_id, w.event_id, w.type,
               kiln_internal.render_event(w.type, w.job_id, w.version, w.data, w.at),
               kiln_internal.message_id(w.event_id, w.at, w.type, w.webhook_endpoint_id)
          from wanted w
         order by w.event_id
        on conflict on constraint delivery_once_key do nothing
        returning 1)
    select count(*), max(n.event_id) into v_seen, v_last from new n;
    if v_seen >= p_limit then
        update kiln.outgoing set until_snapshot = v_until, after_id = v_last;
    elsif v_seen > 0 or v_place.until_snapshot is not null
       or pg_snapshot_xmax(v_now)::text::bigint
        > pg_snapshot_xmax(v_place.from_snapshot)::text::bigint + 100 then
        update kiln.outgoing set from_snapshot = v_until, until_snapshot = null, after_id = 0;
    end if;
    return v_seen >= p_limit;
end
$$;
comment on function kiln_internal.make_deliveries(int, pg_snapshot) is
'Reads up to p_limit new events and makes a delivery for each and everyone who wants it; the position moves in
the same transaction. True: there is more. One at a time: the caller holds the lock.';

-- Called in the transaction that makes somebody want something.
create or replace function kiln_internal.begin_deliveries()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.outgoing set cluster = (select s.system_identifier::text
                                          from pg_catalog.pg_control_system() s),
           from_snapshot = pg_current_snapshot()
     where from_snapshot is null;
end
$$;
comment on function kiln_internal.begin_deliveries() is 'From now on the log is read for deliveries.';

create or replace function kiln_internal.sign_delivery(p_endpoint_id bigint, p_message_id text,
                                                       p_seconds bigint, p_body text)
returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return (select string_agg('v1,' || translate(encode(kiln_extensions.hmac(convert_to(p_message_id || '.'
                                                        || p_seconds || '.' || p_body, 'UTF8'), k.secret,
                                                            'sha256'), 'base64'), E'\n', ''), ' '
                              order by k.place)
              from kiln.endpoint_secret s
             cross join lateral (values (1, s.secret),
                                 (2, case when s.previous_until > kiln_internal.now()
                                              then s.previous end)) k (place, secret)
             where s.webhook_endpoint_id = p_endpoint_id and k.secret is not null);
end
$$;
comment on function kiln_internal.sign_delivery(bigint, text, bigint, text) is
'The header webhook-signature of the Standard Webhooks: HMAC-SHA256 over id.timestamp.body, by each secret
that is in force. The secret stays here.';

create or replace function kiln_internal.webhook_request(p_delivery kiln.delivery)
returns jsonb
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_url     text := (select e.url from kiln.webhook_endpoint e
                        where e.webhook_endpoint_id = p_delivery.webhook_endpoint_id);
    v_seconds bigint := extract(epoch from kiln_internal.now());
begin
    return jsonb_build_object('url', v_url,
                              'hosts', jsonb_build_array(substring(v_url from '^https?://([^/?]+)')),
        'is_listed', kiln_internal.is_webhook_host_listed(v_url), 'body', p_delivery.body,
        'headers', jsonb_build_object('content-type', 'application/json', 'webhook-id', p_delivery.message_id,
                                      'webhook-timestamp', v_seconds::text,
            'webhook-signature', kiln_internal.sign_delivery(p_delivery.webhook_endpoint_id,
                                                             p_delivery.message_id, v_seconds,
                                                             p_delivery.body)));
end
$$;
comment on function kiln_internal.webhook_request(kiln.delivery) is
'What a runner is to post: the address, the only host it may go to, whether http and a private address are
allowed there, signed headers, the body.';

-- One slow or dead target delays no other: of each at most four are under way, of one that fails only one,
-- and all of these together take at most half of what a runner has room for.
create or replace function kiln_runner.claim_deliveries(p_runner_id bigint, p_limit int default 32,
                                                        p_mail_from text default null)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_is_more  boolean := false;
    v_ids      bigint[];
    v_requests jsonb[];
    v_place    kiln.outgoing;
    v_mail     kiln.delivery;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    select * into v_place from kiln.outgoing;
    if p_mail_from is not null and (v_place.from_snapshot is null or v_place.mailing_at is null
                                    or v_place.mailing_at < kiln_internal.now() - interval '10 minutes') then
        perform kiln_internal.begin_deliveries();
        update kiln.outgoing set mailing_at = kiln_internal.now();
    elsif v_place.from_snapshot is null then
        return '{"wait_ms": 6000, "deliveries": []}';
    else
        perform from kiln.outgoing for update skip locked;      -- one at a time; the others leave it at that
        if found then
            v_is_more := kiln_internal.make_deliveries(500);
        end if;
    end if;

    with recursive target as (
        (select d.target from kiln.delivery d where d.state = 'due' order by d.target limit 1)
        union all
        select (select d.target from kiln.delivery d where d.state = 'due' and d.target > t.target
                 order by d.target limit 1) from target t where t.target is not null),
    able as (
        select t.target, coalesce(e.failures, 0) > 0 as is_failing
          from target t
          left join kiln.webhook_endpoint e on e.webhook_endpoint_id = t.target
         where t.target is not null and (t.target <> 0 or p_mail_from is not null)),
    due as (
        select d.delivery_id, a.is_failing, d.due_at,
               row_number() over (partition by a.is_failing order by d.place, d.due_at) as rank
          from able a
         cross join lateral (select q.delivery_id, q.due_at, row_number() over (order by q.due_at) as place
                               from (select v.delivery_id, v.due_at from kiln.delivery v
                                      where v.state = 'due' and v.target = a.target
                                        and v.due_at <= kiln_internal.now()
                                      order by v.due_at
                                      limit greatest(0, case when a.is_failing then 1 else 4 end
                                                        - (select count(*) from kiln.delivery u
                                                            where u.target = a.target
                                                              and u.claimed_until > kiln_internal.now()))
                                        for update skip locked) q) d)
    select array_agg(d.delivery_id) into v_ids
      from (select d.delivery_id from due d where not d.is_failing or d.rank <= p_limit / 2
             order by d.is_failing, d.rank limit p_limit) d;
    if v_ids is null then
        return json_build_object('wait_ms', case when v_is_more then 0 else 1000 end,
                                 'deliveries', '[]'::json);
    end if;

    -- The next time is set now, should this runner die: 10 s, 30 s, 90 s … 6 h, a fifth more or less.
    update kiln.delivery d
       set tries = d.tries + 1, attempts = d.attempts + 1,
           claimed_until = kiln_internal.now() + interval '40 seconds',
           due_at = kiln_internal.now() + greatest(40, least(10 * power(3, least(d.tries, 10)),
                                                        21600) * (0.8 + 0.4 * random())) * interval '1 second'
     where d.delivery_id = any (v_ids);
    insert into kiln.delivery_attempt (delivery_id, attempt, runner_id)
    select d.delivery_id, d.attempts, p_runner_id from kiln.delivery d where d.delivery_id = any (v_ids);
    v_requests := array(select jsonb_build_object('delivery_id', d.delivery_id::text, 'attempt', d.attempts)
                               || kiln_internal.webhook_request(d)
                          from kiln.delivery d where d.delivery_id = any (v_ids)
                           and d.webhook_endpoint_id is not null);
    -- each counts its address: in one order, so that two runners do not wait for one another
    for v_mail in
        select d.* from kiln.delivery d join kiln.account a using (account_id)
         where d.delivery_id = any (v_ids) and d.webhook_endpoint_id is null
         order by kiln_internal.mail_key(a.email), d.delivery_id
    loop
        v_requests := v_requests || (jsonb_build_object('delivery_id', v_mail.delivery_id::text,
                                                        'attempt', v_mail.attempts)
                                     || kiln_internal.mail_request(v_mail, p_mail_from));
    end loop;
    perform kiln_internal.refuse_delivery((r ->> 'delivery_id')::bigint, r ->> 'refusal')
      from unnest(v_requests) r where r ? 'refusal';
    return json_build_object('wait_ms', case when v_is_more or cardinality(v_ids) >= p_limit then 0
                                             else 50 end,
        'deliveries', coalesce((select json_agg(r) from unnest(v_requests) r where not r ? 'refusal'), '[]'));
end
$$;
comment on function kiln_runner.claim_deliveries(bigint, int, text) is
'Makes deliveries of new events and takes up to p_limit that are due: {"wait_ms": when to ask again,
"deliveries": [{"delivery_id", "attempt", and for webhooks "url", "hosts", "is_listed", "headers", "body"; for
mail "from", "to", "message"}]}. p_mail_from: the sender, from runners that can send mail; null from others.';

create or replace function kiln_internal.refuse_delivery(p_delivery_id bigint, p_why text)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    update kiln.delivery d set state = 'failed', ended_at = kiln_internal.now(), claimed_until = null,
           why = p_why where d.delivery_id = p_delivery_id;
    update kiln.delivery_attempt a set elapsed_ms = 0, error = p_why
     where a.delivery_id = p_delivery_id and a.attempt = (select d.attempts from kiln.delivery d
                                                           where d.delivery_id = p_delivery_id);
end
$$;
comment on function kiln_internal.refuse_delivery(bigint, text) is
'Gives up what was just taken: there is nobody to send it to any more.';

create or replace function kiln_runner.delivery_answers(p_answers json)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
    v_answer jsonb;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    for v_answer in select a.value from jsonb_array_elements(p_answers::jsonb) a
                     order by (a.value ->> 'delivery_id')::bigint
    loop
        perform kiln_internal.record_delivery((v_answer ->> 'delivery_id')::bigint,
                                              (v_answer ->> 'attempt')::int, (v_answer ->> 'status')::int,
                                   (v_answer ->> 'elapsed_ms')::int, v_answer ->> 'error',
                                              (v_answer ->> 'reply_bytes')::int, v_answer ->> 'stage');
    end loop;
end
$$;
comment on function kiln_runner.delivery_answers(json) is
'What came of deliveries: [{"delivery_id", "attempt", "status" (0: none), "elapsed_ms", "error" or null,
"reply_bytes" of webhooks, and for mail "stage": "session" before the server knew for whom it is, "message"
from then on; its "error" is the server''s answer where that was no 2xx}].';

create or replace function kiln_internal.record_delivery(p_delivery_id bigint, p_attempt int, p_status int,
                                                         p_elapsed_ms int, p_error text,
                                                         p_reply_bytes int default null,
                                              p_stage text default null)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_delivery kiln.delivery;
    v_error    text := kiln_internal.shorten(p_error, 500);
    v_is_sent  boolean;
    v_is_final boolean;
begin
    update kiln.delivery_attempt a set status = nullif(p_status, 0), elapsed_ms = p_elapsed_ms,
           error = v_error, reply_bytes = p_reply_bytes
     where a.delivery_id = p_delivery_id and a.attempt = p_attempt and a.elapsed_ms is null;
    if not found then
        return;         -- told before, or the delivery is gone
    end if;
    select * into v_delivery from kiln.delivery d where d.delivery_id = p_delivery_id for no key update;
    v_is_sent := v_error is null and p_status between 200 and 299;
    if v_delivery.state <> 'due' and not v_is_sent then
        return;
    end if;
    v_error := coalesce(v_error, case when p_status between 300 and 399
                                          then format('It answered %s: redirects are not followed.', p_status)
                                      else format('It answered %s.', p_status) end);
    v_is_final := v_delivery.tries >= 11 or v_delivery.webhook_endpoint_id is null and p_status >= 500
        and p_stage = 'message' or v_delivery.webhook_endpoint_id is not null and p_status = 410;
    update kiln.delivery d
       set state = case when v_is_sent then 'sent' when v_is_final then 'failed'
                        else 'due' end::kiln.delivery_state,
           ended_at = case when v_is_sent or v_is_final then kiln_internal.now() end,
           why = case when not v_is_sent then v_error end,
           claimed_until = case when d.attempts = p_attempt then null else d.claimed_until end,
           due_at = case when d.attempts = p_attempt and not v_is_sent
                         then least(d.due_at, kiln_internal.now()
                                              + least(10 * power(3, least(d.tries - 1, 10)), 21600)
                                                * (0.8 + 0.4 * random()) * interval '1 second')
                         else d.due_at end
     where d.delivery_id = p_delivery_id;
    if v_delivery.webhook_endpoint_id is not null then
        perform kiln_internal.record_endpoint_outcome(v_delivery.webhook_endpoint_id, v_is_sent, p_status,
                                                      v_error);
    end if;
end
$$;
comment on function kiln_internal.record_delivery(bigint, int, int, int, text, int, text) is
'One attempt''s outcome: sent, to be tried again, or given up (11 tries, about a day; at once 410 of HTTP, and
5xx of SMTP where it is about the message or for whom it is: what a mail server has against us, such as a
wrong password, the operator will mend).';

create or replace function kiln_internal.record_endpoint_outcome(p_endpoint_id bigint, p_is_sent boolean,
                                                                 p_status int, p_error text)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_endpoint kiln.webhook_endpoint;
    v_why      text;
    v_id       bigint;
begin
    select * into v_endpoint from kiln.webhook_endpoint e where e.webhook_endpoint_id = p_endpoint_id;
    if p_is_sent then
        if v_endpoint.failures > 0 then
            update kiln.webhook_endpoint e set failures = 0, failing_since = null
             where e.webhook_endpoint_id = p_endpoint_id;
        end if;
        return;
    end if;
    update kiln.webhook_endpoint e set failures = e.failures + 1,
           failing_since = coalesce(e.failing_since, kiln_internal.now())
     where e.webhook_endpoint_id = p_endpoint_id
    returning * into v_endpoint;
    v_why := case when p_status = 410 then 'It answered 410: it wants nothing more.'
                  when v_endpoint.failures >= 20
                  and v_endpoint.failing_since <= kiln_internal.now() - interval '1 day'
                  then format('%s attempts in a row failed, for more than a day; the last: %s',
                              v_endpoint.failures, kiln_internal.shorten(p_error, 200)) end;
    if v_why is null or v_endpoint.disabled_at is not null then
        return;
    end if;
    update kiln.webhook_endpoint e set disabled_at = kiln_internal.now(), disabled_why = v_why
     where e.webhook_endpoint_id = p_endpoint_id;
    update kiln.delivery d set state = 'failed', ended_at = kiln_internal.now(), claimed_until = null,
           why = 'The endpoint was disabled.' where d.target = p_endpoint_id and d.state = 'due';
    insert into kiln.notification as n (account_id, kind, text)
    values (v_endpoint.account_id, 'webhook.disabled',
            kiln_internal.shorten(format('Nothing more is sent to %s. %s',
                                         kiln_internal.shorten(v_endpoint.url, 300), v_why), 1000))
    returning n.notification_id into v_id;
    insert into kiln.event (account_id, type, data)
    values (v_endpoint.account_id, 'notification',
            jsonb_build_object('notification_id', v_id::text, 'to', v_endpoint.account_id::text));
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_internal.record_endpoint_outcome(bigint, boolean, int, text) is
'Counts failures in a row; after 20 and more than a day, or at 410, the endpoint is disabled and its account
notified.';

create or replace function kiln.resend(p_account_id bigint, p_delivery_id bigint)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_delivery kiln.delivery;
begin
    select * into v_delivery from kiln.delivery d where d.delivery_id = p_delivery_id
       and d.account_id = p_account_id and d.webhook_endpoint_id is not null for no key update;
    if not found then
        raise exception 'there is no such delivery' using errcode = 'KN002';
    elsif exists (select from kiln.webhook_endpoint e
                   where e.webhook_endpoint_id = v_delivery.webhook_endpoint_id
                     and e.disabled_at is not null) then
        raise exception 'the endpoint of delivery % is disabled', p_delivery_id using errcode = 'KN001';
    elsif v_delivery.claimed_until > kiln_internal.now() then
        return;         -- it is being sent
    end if;
    update kiln.delivery d set state = 'due', ended_at = null, tries = 0, due_at = kiln_internal.now()
     where d.delivery_id = p_delivery_id;
end
$$;
comment on function kiln.resend(bigint, bigint) is
'Sends a delivery (a webhook or a mail) again at once, under the same id. KN001: its endpoint is disabled.
KN002: the account has no such delivery.';

create or replace function kiln_internal.render_delivery(p_delivery kiln.delivery)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return jsonb_build_object('id', p_delivery.delivery_id::text, 'type', p_delivery.type,
                              'webhook_id', p_delivery.message_id, 'state', p_delivery.state,
        'created_at', kiln_internal.render_time(p_delivery.created_at),
                              'ended_at', kiln_internal.render_time(p_delivery.ended_at),
        'next_at', case when p_delivery.state = 'due' then kiln_internal.render_time(p_delivery.due_at) end,
        'attempts', coalesce((select jsonb_agg(jsonb_build_object('attempt', a.attempt,
                                                                  'at', kiln_internal.render_time(a.at),
                                                                  'status', a.status,
                                                                  'elapsed_ms', a.elapsed_ms,
                                                                  'error', a.error,
                                                                  'reply_bytes', a.reply_bytes)
                                               order by a.attempt desc)
                                from (select * from kiln.delivery_attempt a
                                       where a.delivery_id = p_delivery.delivery_id order by a.attempt desc
                                       limit 20) a), '[]'));
end
$$;
comment on function kiln_internal.render_delivery(kiln.delivery) is
'A delivery with its last 20 attempts, as the owner of its endpoint sees it.';

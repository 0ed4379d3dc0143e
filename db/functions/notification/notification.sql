-- Notifications: made, counted, read.
create or replace function kiln_internal.count_unread(p_account_id bigint, out unread bigint,
                                                      out unread_jobs bigint)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
set enable_sort = off
as $$
begin
    select count(*) into unread from kiln.notification n
     where n.account_id = p_account_id and n.read_at is null;
    -- Of the account's last 500 events only: an index range, however long its history. (As a bitmap it was
    -- the whole history, sorted.)
    select count(*) into unread_jobs
      from (select e.type, e.at from kiln.event e
             where e.account_id between p_account_id and p_account_id
             order by e.account_id desc, e.xid desc, e.event_id desc limit 500) e
     where e.type in ('job.completed', 'job.failed', 'job.held')
       and e.at > coalesce((select r.upto from kiln.job_ends_read r
                             where r.account_id = p_account_id), '-infinity');
end
$$;
comment on function kiln_internal.count_unread(bigint) is
'How many notifications are unread, exactly, and how many jobs'' ends among the account''s last 500 events.';

create or replace function kiln_internal.render_notification(p_notification kiln.notification)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return jsonb_build_object('id', p_notification.notification_id::text, 'kind', p_notification.kind,
                              'text', p_notification.text,
                              'link', p_notification.link, 'job_id', null,
                              'conversation_id', p_notification.conversation_id::text,
                              'read_at', kiln_internal.render_time(p_notification.read_at),
                              'created_at', kiln_internal.render_time(p_notification.created_at));
end
$$;
comment on function kiln_internal.render_notification(kiln.notification) is
'A notification, as its account sees it.';

create or replace function kiln_internal.render_notification_event(p_data jsonb)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_row    kiln.notification;
    v_counts record := kiln_internal.count_unread((p_data ->> 'to')::bigint);
begin
    select * into v_row from kiln.notification n
     where n.notification_id = (p_data ->> 'notification_id')::bigint;
    return p_data - 'to' || jsonb_build_object('unread', v_counts.unread, 'unread_jobs', v_counts.unread_jobs)
        || case when v_row.notification_id is not null
                    then jsonb_build_object('notification', kiln_internal.render_notification(v_row))
                else '{}' end;
end
$$;
comment on function kiln_internal.render_notification_event(jsonb) is
'What an event of a notification adds: the notification itself and the unread counts.';

create or replace function kiln.announce(
    p_kind       text,
    p_text       text,
    p_link       text   default null,
    p_account_id bigint default null,
    p_actor      bigint default null)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id    bigint;
    v_count bigint;
begin
    insert into kiln.announcement (made_by, account_id, kind, text, link)
    values (coalesce(p_actor, kiln_internal.operator_account()), p_account_id, p_kind, p_text, p_link)
    returning announcement_id into v_id;
    with told as (
        insert into kiln.notification (account_id, kind, text, link, announcement_id)
        select a.account_id, p_kind, p_text, p_link, v_id from kiln.account a
         where a.deleted_at is null and (p_account_id is null or a.account_id = p_account_id)
        returning notification_id, account_id),
    said as (
        insert into kiln.event (account_id, type, data)
        select t.account_id, 'notification',
               jsonb_build_object('notification_id', t.notification_id::text, 'to', t.account_id::text)
          from told t
        returning 1)
    select count(*) into v_count from said;
    update kiln.announcement a set recipients = v_count where a.announcement_id = v_id;
    perform kiln_internal.notify_waiters(null);
    return v_id;
end
$$;
comment on function kiln.announce(text, text, text, bigint, bigint) is
'Notifies one account, or every account (p_account_id null), in one transaction. Returns announcement_id.';

create or replace function kiln_internal.read_notifications(p_account_id bigint, p_ids bigint[],
                                                            p_xids xid8[], p_event_ids bigint[],
                                                            p_is_all boolean)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_upto    timestamptz;
    v_changed bigint;
begin
    update kiln.notification n set read_at = kiln_internal.now()
     where n.account_id = p_account_id and n.read_at is null
       and (p_is_all or n.notification_id = any (p_ids));
    get diagnostics v_changed = row_count;
    if p_is_all then
        v_upto := kiln_internal.now();
    elsif p_event_ids <> '{}' then
        select max(e.at) into v_upto
          from unnest(p_xids, p_event_ids) as u (xid, event_id)
          join kiln.job_ends e on e.account_id = p_account_id and e.xid = u.xid and e.event_id = u.event_id;
    end if;
    if v_upto is not null then
        insert into kiln.job_ends_read as r (account_id, upto) values (p_account_id, v_upto)
        on conflict (account_id) do update set upto = excluded.upto, read_at = kiln_internal.now()
         where r.upto < excluded.upto;
        if found then
            v_changed := v_changed + 1;
        end if;
    end if;
    if v_changed > 0 then
        insert into kiln.event (account_id, type, data)
        values (p_account_id, 'notification.read', jsonb_build_object('to', p_account_id::text));
        perform kiln_internal.notify_waiters(null);
    end if;
end
$$;
comment on function kiln_internal.read_notifications(bigint, bigint[], xid8[], bigint[], boolean) is
'Marks notifications as read, these or all; of jobs'' ends all up to the latest of these. The account''s other
devices are told.';

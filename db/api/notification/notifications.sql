-- Notifications over REST.
create or replace function kiln_api.list_notifications(p_actor bigint, p_path jsonb, p_query jsonb,
                                                       p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_page   record;
    v_cursor text[];
    v_items  jsonb;
    v_next   text;
    v_more   boolean;
    v_counts record;
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query - 'cursor');
    -- Two lists in one: each goes on from its own place, and what is shown is merged by time.
    v_cursor := string_to_array(coalesce(p_query ->> 'cursor',
                                         '9223372036854775807.18446744073709551615.9223372036854775807'),
                                '.');
    if cardinality(v_cursor) <> 3 or array_to_string(v_cursor,
                                                     '.') !~ '^[0-9]{1,19}\.[0-9]{1,20}\.[0-9]{1,19}$' then
        raise exception 'cursor is not one of ours' using errcode = 'KN006';
    end if;
    with told as (
        select n.notification_id as id, null::xid8 as xid, n.created_at as at,
               kiln_internal.render_notification(n) as item
          from kiln.notification n
         where n.account_id = p_actor and n.notification_id < v_cursor[1]::bigint
         order by n.notification_id desc limit v_page.page_limit + 1),
    ended as (
        select e.event_id as id, e.xid, e.at, e.item
          from kiln_internal.job_ends_page(p_actor, v_cursor[2]::xid8, v_cursor[3]::bigint,
                                           v_page.page_limit + 1) e),
    -- Within each list its own order holds, whatever the clocks said when the rows were made.
    merged as (
        select t.*, min(t.at) over (order by t.id desc) as key from told t
        union all
        select e.*, min(e.at) over (order by e.xid desc, e.id desc) from ended e),
    ranked as (
        select m.*, row_number() over w as rank,
               bool_or(m.item is null) over (w rows between unbounded preceding and 1 preceding) as is_behind
          from merged m
        window w as (order by m.key desc, m.xid is null, m.xid desc, m.id desc))
    select coalesce(jsonb_agg(r.item order by r.rank) filter (where r.rank <= v_page.page_limit
                                                              and r.item is not null), '[]'),
           count(*) > v_page.page_limit or bool_or(r.item is null),
           coalesce((min(r.id) filter (where r.xid is null and r.rank <= v_page.page_limit))::text,
                    v_cursor[1]) || '.'
           || coalesce((array_agg(r.xid || '.' || r.id order by r.rank desc) filter (where r.xid is not null
                                                        and r.rank <= v_page.page_limit))[1],
                       v_cursor[2] || '.' || v_cursor[3])
      into v_items, v_more, v_next
      from ranked r
     where r.is_behind is not true;
    v_counts := kiln_internal.count_unread(p_actor);
    return json_build_object('items', v_items, 'next_cursor', case when v_more then v_next end,
                             'unread', v_counts.unread, 'unread_jobs', v_counts.unread_jobs);
exception when numeric_value_out_of_range then
    raise exception 'cursor is not one of ours' using errcode = 'KN006';
end
$$;
comment on function kiln_api.list_notifications(bigint, jsonb, jsonb, text) is
'GET /notifications?limit=&cursor=: the actor''s, and the ends of its jobs as the log keeps them, newest
first,
as {items, next_cursor, unread, unread_jobs}. A page reads some 1,000 of the account''s events: it may be
short, and with a cursor goes on.';

create or replace function kiln_api.read_notifications(p_actor bigint, p_path jsonb, p_query jsonb,
                                                       p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_errors jsonb := kiln_internal.unknown_fields(v_body, '{ids,all}');
    v_ids    text[] := kiln_internal.texts(coalesce(v_body -> 'ids', '[]'), 100);
    v_is_all boolean := coalesce(v_body -> 'all' = 'true', false);
    v_counts record;
begin
    perform kiln_internal.require_actor(p_actor);
    if v_body ? 'all' and jsonb_typeof(v_body -> 'all') <> 'boolean' then
        v_errors := v_errors || kiln_internal.field_error('/all', 'must be true or false');
    end if;
    if v_ids is null or v_body @? '$.ids[*] ? (@.type() != "string")'
       or exists (select from unnest(v_ids) i where i !~ '^([0-9]{1,18}|job-[0-9]{1,19}-[0-9]{1,18})$') then
        v_errors := v_errors || kiln_internal.field_error('/ids',
                                                      'must be an array of at most 100 ids of notifications');
    elsif not v_is_all and v_ids = '{}' then
        v_errors := v_errors || kiln_internal.field_error('/ids', 'is required unless all is true');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    perform kiln_internal.read_notifications(p_actor, array(select t::bigint from unnest(v_ids) t
                                                             where t not like 'job-%'),
                                    array(select split_part(t, '-', 2)::xid8 from unnest(v_ids) t
                                           where t like 'job-%'),
                                    array(select split_part(t, '-', 3)::bigint from unnest(v_ids) t
                                           where t like 'job-%'), v_is_all);
    v_counts := kiln_internal.count_unread(p_actor);
    return json_build_object('unread', v_counts.unread, 'unread_jobs', v_counts.unread_jobs);
end
$$;
comment on function kiln_api.read_notifications(bigint, jsonb, jsonb, text) is
'POST /notifications/read: {ids: […]} or {all: true}; of jobs'' ends those before the latest given are read
too. Others'' ids change nothing. Returns the unread counts.';

create or replace function kiln_api.announce(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body    jsonb := kiln_internal.parse_body(p_body);
    v_errors  jsonb := kiln_internal.unknown_fields(v_body, '{account_id,all,kind,text,link}');
    v_account bigint;
    v_id      bigint;
begin
    perform kiln_internal.require_admin(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'announce', p_body);
    if v_id is null then
        if v_body -> 'all' = 'true' and not v_body ? 'account_id' then
            v_account := null;
        elsif coalesce(v_body -> 'all', 'false') = 'false'
           and kiln_internal.plain_field(v_body, 'account_id') ~ '^[0-9]{1,18}$'
              and exists (select from kiln.account a
                           where a.account_id = kiln_internal.plain_field(v_body, 'account_id')::bigint
                             and a.deleted_at is null) then
            v_account := kiln_internal.plain_field(v_body, 'account_id')::bigint;
        else
            v_errors := v_errors || kiln_internal.field_error('/account_id',
                                                              'must be an account there is, or all be true');
        end if;
        if coalesce(kiln_internal.plain_field(v_body, 'kind'),
                    'announcement') !~ '^[a-z][a-z0-9_.]{0,39}$' then
            v_errors := v_errors || kiln_internal.field_error('/kind',
                                                'must be a word of at most 40 characters: a-z, 0-9, _ and .');
        end if;
        if coalesce(jsonb_typeof(v_body -> 'text') <> 'string'
                    or not kiln_internal.is_visible(v_body ->> 'text')
                    or length(v_body ->> 'text') > 1000, true) then
            v_errors := v_errors || kiln_internal.field_error('/text',
                                                              'must be a string of 1 to 1000 characters');
        end if;
        if v_body ? 'link' and v_body -> 'link' <> 'null'
           and (jsonb_typeof(v_body -> 'link') <> 'string'
                or not kiln_internal.is_link(v_body ->> 'link')) then
            v_errors := v_errors || kiln_internal.field_error('/link',
                'must be a path here (/…) or an https URL with a host, at most 1000 characters, without '
                'blanks and backslashes');
        end if;
        perform kiln_internal.refuse_fields(v_errors);
        v_id := kiln.announce(coalesce(v_body ->> 'kind', 'announcement'), v_body ->> 'text',
                              v_body ->> 'link', v_account, p_actor);
        perform kiln_internal.end_idempotent(p_actor, 'announce', v_id);
    end if;
    return (select json_build_object('id', a.announcement_id::text, 'account_id', a.account_id::text,
                                     'kind', a.kind, 'text', a.text, 'link', a.link,
                                     'recipients', a.recipients,
                                     'created_at', kiln_internal.render_time(a.created_at))
              from kiln.announcement a where a.announcement_id = v_id);
end
$$;
comment on function kiln_api.announce(bigint, jsonb, jsonb, text) is
'POST /admin/notifications: {account_id} or {all: true}, with {kind?, text, link?}: a notification each.
KN004: not an administrator.';

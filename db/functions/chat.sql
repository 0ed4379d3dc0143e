-- Chat, behind its routes: what writes, and what must see more than one account's rows to render. A route asks first whether the actor
-- may; these functions ask again where a lock decides.
--
-- Lock order: the conversation, then its members' rows. Whoever writes a message, comes, goes or blocks holds the conversation.
create or replace function kiln_internal.render_person(p_account_id bigint)
returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select jsonb_build_object('id', a.account_id::text, 'handle', a.handle, 'display_name', a.display_name)
              from kiln.account a where a.account_id = p_account_id);
end
$$;
comment on function kiln_internal.render_person(bigint) is 'An account, as others see it: {id, handle, display_name}.';

create or replace function kiln_internal.is_blocked(p_one bigint, p_other bigint)
returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return exists (select from kiln.block b where (b.account_id, b.blocked_id) in ((p_one, p_other), (p_other, p_one)));
end
$$;
comment on function kiln_internal.is_blocked(bigint, bigint) is 'Whether one of the two has blocked the other.';

create or replace function kiln_internal.visible_until(p_conversation_id bigint)
returns bigint
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select coalesce(m.until_number, 9223372036854775807) from kiln.member m
             where m.conversation_id = p_conversation_id and m.account_id = kiln_internal.acting_account());
end
$$;
comment on function kiln_internal.visible_until(bigint) is 'Up to which message the acting account may see a conversation: all as a member, up to its leaving as a former one, null for others.';

create or replace function kiln_internal.find_people(p_actor bigint, p_handle text, p_limit int)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return coalesce((
        select jsonb_agg(kiln_internal.render_person(f.account_id) order by f.handle <> p_handle, f.handle)
          from (select a.account_id, a.handle from kiln.account a
                 where a.handle ~>=~ p_handle and a.handle ~<~ (p_handle || '~') and not a.is_suspended and not kiln_internal.is_blocked(p_actor, a.account_id)
                 order by a.handle using ~<~ limit p_limit) f), '[]');
end
$$;
comment on function kiln_internal.find_people(bigint, text, int) is
'People whose handle is, or begins with, these letters; not those who are suspended, or have blocked or are blocked by the actor.';

create or replace function kiln_internal.may_know(p_actor bigint, p_account_id bigint)
returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
    -- By id only whom one could find or has met: else counting upwards would list everyone.
    return exists (select from kiln.account a where a.account_id = p_account_id and a.handle is not null and not a.is_suspended)
        or exists (select from kiln.member x join kiln.member y using (conversation_id) where x.account_id = p_actor and y.account_id = p_account_id);
end
$$;
comment on function kiln_internal.may_know(bigint, bigint) is 'Whether the actor may be told that an account exists: it can be found by its handle, or the two are or were in one conversation.';

create or replace function kiln_internal.may_meet(p_actor bigint, p_account_id bigint)
returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return p_account_id <> p_actor and kiln_internal.may_know(p_actor, p_account_id) and not kiln_internal.is_blocked(p_actor, p_account_id)
       and exists (select from kiln.account a where a.account_id = p_account_id and not a.is_suspended);
end
$$;
comment on function kiln_internal.may_meet(bigint, bigint) is 'Whether the actor may begin a conversation with an account or add it to a group.';

create or replace function kiln_internal.unread(p_member kiln.member, p_last_number bigint)
returns bigint
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off
as $$
declare
    v_until bigint := coalesce(p_member.until_number, p_last_number);
    v_own   bigint;
begin
    if v_until <= p_member.read_number then
        return 0;
    end if;
    select m.author_number into v_own from kiln.message m
     where m.conversation_id = p_member.conversation_id and m.account_id = p_member.account_id and m.number <= p_member.read_number
     order by m.number desc limit 1;
    return v_until - p_member.read_number - (p_member.posted - coalesce(v_own, 0));
end
$$;
comment on function kiln_internal.unread(kiln.member, bigint) is
'How many messages of others lie behind a member''s read position (a tombstone counts): all behind it less the member''s own, by one index seek.';

create or replace function kiln_internal.render_message(p_message kiln.message)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_media jsonb := '[]';
    v_reply jsonb;
    v_ticks record;
begin
    if p_message.media <> '{}' then
        select coalesce(jsonb_agg(kiln_internal.render_media(m) - 'clean_url' order by u.ord), '[]') into v_media
          from unnest(p_message.media) with ordinality as u (media_id, ord)
          join kiln.media m on m.media_id = u.media_id and m.account_id = p_message.account_id;
    end if;
    if p_message.reply_to is not null then
        select jsonb_build_object('id', r.message_id::text, 'number', r.number, 'account_id', r.account_id::text, 'text', left(r.text, 140),
                                  'is_deleted', r.deleted_at is not null)
          into v_reply from kiln.message r where r.conversation_id = p_message.conversation_id and r.number = p_message.reply_to;
    end if;
    select count(*) as others, count(*) filter (where m.delivered_number >= p_message.number) as delivered,
           count(*) filter (where m.read_number >= p_message.number) as read
      into v_ticks
      from kiln.member m
     where m.conversation_id = p_message.conversation_id and m.account_id <> p_message.account_id
       and m.joined_number < p_message.number and coalesce(m.until_number >= p_message.number, true);
    return jsonb_build_object(
        'id', p_message.message_id::text, 'conversation_id', p_message.conversation_id::text, 'number', p_message.number,
        'client_id', p_message.client_id, 'author', kiln_internal.render_person(p_message.account_id),
        'text', p_message.text, 'media', v_media, 'reply_to', v_reply,
        'ticks', jsonb_build_object(
            'state', case when v_ticks.others > 0 and v_ticks.read = v_ticks.others then 'read'
                          when v_ticks.others > 0 and v_ticks.delivered = v_ticks.others then 'delivered' else 'accepted' end,
            'delivered', v_ticks.delivered, 'read', v_ticks.read, 'of', v_ticks.others),
        'is_deleted', p_message.deleted_at is not null,
        'created_at', kiln_internal.render_time(p_message.created_at), 'edited_at', kiln_internal.render_time(p_message.edited_at));
end
$$;
comment on function kiln_internal.render_message(kiln.message) is 'A message, as its conversation''s members see it; the caller has checked that who reads is one.';

create or replace function kiln_internal.render_conversation(p_conversation kiln.conversation, p_viewer bigint)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_member kiln.member;
    v_last   kiln.message;
    v_number bigint;
begin
    select * into v_member from kiln.member m where m.conversation_id = p_conversation.conversation_id and m.account_id = p_viewer;
    v_number := coalesce(v_member.until_number, p_conversation.last_number);
    select * into v_last from kiln.message m where m.conversation_id = p_conversation.conversation_id and m.number = v_number;
    return jsonb_build_object(
        'id', p_conversation.conversation_id::text, 'is_group', p_conversation.is_group, 'title', p_conversation.title,
        'made_by', p_conversation.made_by::text,
        'with', case when not p_conversation.is_group then
            kiln_internal.render_person(case p_viewer when p_conversation.pair_low then p_conversation.pair_high else p_conversation.pair_low end) end,
        'presence', case when not p_conversation.is_group then
            kiln_internal.render_presence(case p_viewer when p_conversation.pair_low then p_conversation.pair_high else p_conversation.pair_low end, p_viewer) end,
        'has_left', v_member.until_number is not null,
        'last_number', v_number, 'last_message', case when v_last.message_id is not null then kiln_internal.render_message(v_last) end,
        'delivered_number', v_member.delivered_number, 'read_number', v_member.read_number, 'unread', kiln_internal.unread(v_member, p_conversation.last_number),
        'created_at', kiln_internal.render_time(p_conversation.created_at));
end
$$;
comment on function kiln_internal.render_conversation(kiln.conversation, bigint) is 'A conversation, as one of its members sees it, with the latest message, the exact number of unread ones and, of two, whether the other is online.';

create or replace function kiln_internal.render_chat_event(p_data jsonb)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_json         jsonb := p_data - 'to';
    v_conversation kiln.conversation;
    v_member       kiln.member;
    v_message      kiln.message;
begin
    if p_data ? 'message_id' then
        select * into v_message from kiln.message m where m.message_id = (p_data ->> 'message_id')::bigint;
        if found then
            v_json := v_json || jsonb_build_object('message', kiln_internal.render_message(v_message));
        end if;
    end if;
    select * into v_conversation from kiln.conversation c where c.conversation_id = (p_data ->> 'conversation_id')::bigint;
    if found then
        select * into v_member from kiln.member m where m.conversation_id = v_conversation.conversation_id and m.account_id = (p_data ->> 'to')::bigint;
        v_json := v_json || jsonb_build_object('is_group', v_conversation.is_group, 'title', v_conversation.title,
                                               'unread', kiln_internal.unread(v_member, v_conversation.last_number));
    end if;
    return v_json;
end
$$;
comment on function kiln_internal.render_chat_event(jsonb) is 'What an event of a conversation adds for the one whose stream it is on: the whole message, the unread count.';

-- Events are written by whoever holds what they are about, so within a conversation (and of one member's ticks) their ids are in
-- the order of commits. One row an account: each one's stream is its own.
create or replace function kiln_internal.emit_to_members(p_conversation_id bigint, p_type kiln.event_type, p_data jsonb, p_also bigint default null)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    insert into kiln.event (account_id, type, data)
    select m.account_id, p_type, p_data || jsonb_build_object('conversation_id', p_conversation_id::text, 'to', m.account_id::text)
      from kiln.member m
     where m.conversation_id = p_conversation_id and (m.until_number is null or m.account_id = p_also);
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_internal.emit_to_members(bigint, kiln.event_type, jsonb, bigint) is 'Writes an event for each member (and for p_also, who has just left) and rings.';

create or replace function kiln_internal.enter_conversation(p_actor bigint, p_conversation_id bigint)
returns kiln.conversation
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_conversation kiln.conversation;
    v_until        bigint;
begin
    select m.until_number into v_until from kiln.member m where m.conversation_id = p_conversation_id and m.account_id = p_actor;
    if not found then
        raise exception 'there is no such conversation' using errcode = 'KN002';
    end if;
    select * into v_conversation from kiln.conversation c where c.conversation_id = p_conversation_id for update;
    select m.until_number into v_until from kiln.member m where m.conversation_id = p_conversation_id and m.account_id = p_actor;
    if v_until is not null then
        raise exception 'you have left this conversation' using errcode = 'KN004';
    end if;
    return v_conversation;
end
$$;
comment on function kiln_internal.enter_conversation(bigint, bigint) is 'Locks a conversation for one of its members. KN002: not one of theirs; KN004: they have left.';

create or replace function kiln_internal.open_pair(p_actor bigint, p_other bigint)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id bigint;
begin
    select c.conversation_id into v_id from kiln.conversation c
     where c.pair_low = least(p_actor, p_other) and c.pair_high = greatest(p_actor, p_other);
    if found then
        return v_id;
    end if;
    insert into kiln.conversation (is_group, made_by, pair_low, pair_high) values (false, p_actor, least(p_actor, p_other), greatest(p_actor, p_other))
    on conflict (pair_low, pair_high) do nothing
    returning conversation_id into v_id;
    if not found then       -- both began at once, and the other was quicker
        return (select c.conversation_id from kiln.conversation c where c.pair_low = least(p_actor, p_other) and c.pair_high = greatest(p_actor, p_other));
    end if;
    insert into kiln.member (conversation_id, account_id) values (v_id, p_actor), (v_id, p_other);
    perform kiln_internal.emit_to_members(v_id, 'conversation.changed', jsonb_build_object('change', 'begun', 'by', p_actor::text));
    return v_id;
end
$$;
comment on function kiln_internal.open_pair(bigint, bigint) is 'The conversation of these two: the one they have, or a new one.';

create or replace function kiln_internal.join_conversation(p_conversation_id bigint, p_account_id bigint, p_by bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_last bigint;
begin
    select c.last_number into v_last from kiln.conversation c where c.conversation_id = p_conversation_id for update;
    if exists (select from kiln.member m where m.conversation_id = p_conversation_id and m.account_id = p_account_id and m.until_number is null) then
        return;
    end if;
    if (select count(*) from kiln.member m where m.conversation_id = p_conversation_id and m.until_number is null) >= 256 then
        raise exception 'a group has at most 256 members' using errcode = 'KN001';
    end if;
    insert into kiln.member (conversation_id, account_id, joined_number, delivered_number, read_number)
    values (p_conversation_id, p_account_id, v_last, v_last, v_last)
    on conflict (conversation_id, account_id) do update
       set until_number = null, joined_number = v_last, delivered_number = v_last, read_number = v_last, joined_at = kiln_internal.now();
    perform kiln_internal.emit_to_members(p_conversation_id, 'conversation.changed',
                              jsonb_build_object('change', 'joined', 'by', p_by::text, 'account', kiln_internal.render_person(p_account_id)));
end
$$;
comment on function kiln_internal.join_conversation(bigint, bigint, bigint) is
'Makes an account a member of a group; a member already: nothing. A newcomer sees what was said before, and has it for read. KN001: the group is full.';

create or replace function kiln_internal.make_group(p_actor bigint, p_title text, p_others bigint[])
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id bigint;
begin
    insert into kiln.conversation (is_group, title, made_by) values (true, p_title, p_actor) returning conversation_id into v_id;
    insert into kiln.member (conversation_id, account_id) select distinct v_id, a from unnest(p_others || p_actor) as a;
    perform kiln_internal.emit_to_members(v_id, 'conversation.changed', jsonb_build_object('change', 'begun', 'by', p_actor::text));
    return v_id;
end
$$;
comment on function kiln_internal.make_group(bigint, text, bigint[]) is 'Makes a group of the actor and others; the caller has checked that they may meet.';

create or replace function kiln_internal.leave_conversation(p_conversation kiln.conversation, p_account_id bigint, p_by bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.member m set until_number = p_conversation.last_number
     where m.conversation_id = p_conversation.conversation_id and m.account_id = p_account_id and m.until_number is null;
    if not found then
        raise exception 'there is no such member' using errcode = 'KN002';
    end if;
    if p_by <> p_account_id then        -- else who was removed comes back by the link
        update kiln.invite i set revoked_at = kiln_internal.now() where i.conversation_id = p_conversation.conversation_id and i.revoked_at is null;
    end if;
    if p_conversation.made_by = p_account_id then       -- someone has to be able to remove others
        update kiln.conversation c set made_by = m.account_id
          from (select x.account_id from kiln.member x where x.conversation_id = p_conversation.conversation_id and x.until_number is null
                 order by x.joined_at, x.account_id limit 1) m
         where c.conversation_id = p_conversation.conversation_id;
    end if;
    perform kiln_internal.emit_to_members(p_conversation.conversation_id, 'conversation.changed',
                              jsonb_build_object('change', 'left', 'by', p_by::text, 'account', kiln_internal.render_person(p_account_id)), p_account_id);
end
$$;
comment on function kiln_internal.leave_conversation(kiln.conversation, bigint, bigint) is
'Ends a membership of a group that the caller has locked; who made the group and leaves hands it to the
oldest member; where one is removed, the invitations to the group end. KN002: no member.';

create or replace function kiln_internal.post_message(p_actor bigint, p_conversation_id bigint, p_client_id text, p_text text, p_media bigint[], p_reply_to bigint)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_conversation kiln.conversation := kiln_internal.enter_conversation(p_actor, p_conversation_id);
    v_id           bigint;
    v_number       bigint;
    v_posted       bigint;
begin
    if p_client_id is not null then
        select m.message_id into v_id from kiln.message m
         where m.conversation_id = p_conversation_id and m.account_id = p_actor and m.client_id = p_client_id;
        if found then
            return v_id;
        end if;
    end if;
    if not v_conversation.is_group and kiln_internal.is_blocked(v_conversation.pair_low, v_conversation.pair_high) then
        raise exception 'this conversation is closed' using errcode = 'KN004';
    end if;
    update kiln.conversation c set last_number = c.last_number + 1, activity = nextval('kiln.activity')
     where c.conversation_id = p_conversation_id
    returning c.last_number into v_number;
    update kiln.member m set posted = m.posted + 1, seen_at = kiln_internal.now() where m.conversation_id = p_conversation_id and m.account_id = p_actor
    returning m.posted into v_posted;
    insert into kiln.message (conversation_id, number, account_id, author_number, client_id, text, media, reply_to)
    values (p_conversation_id, v_number, p_actor, v_posted, p_client_id, p_text, p_media, p_reply_to)
    returning message_id into v_id;
    perform kiln_internal.notify_absent(v_conversation, p_actor);
    perform kiln_internal.emit_to_members(p_conversation_id, 'message.created', jsonb_build_object('message_id', v_id::text, 'number', v_number));
    return v_id;
end
$$;
comment on function kiln_internal.post_message(bigint, bigint, text, text, bigint[], bigint) is
'Says something in a conversation, or returns what this client_id said before. KN002: not the actor''s; KN004: left, or one of two has blocked the other.';

create or replace function kiln_internal.notify_absent(p_conversation kiln.conversation, p_author bigint)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    with told as (
        insert into kiln.notification (account_id, kind, text, link, conversation_id)
        select m.account_id, 'message',
               coalesce(a.display_name, a.handle, 'Someone') || case when p_conversation.is_group then ' wrote in ' || coalesce(p_conversation.title, 'a group')
                                                                     else ' wrote to you' end,
               '/conversations/' || p_conversation.conversation_id, p_conversation.conversation_id
          from kiln.member m
          join kiln.account a on a.account_id = p_author
         where m.conversation_id = p_conversation.conversation_id and m.until_number is null and m.account_id <> p_author
           and (m.seen_at is null or m.seen_at < kiln_internal.now() - interval '1 minute')
        on conflict (account_id, conversation_id) where read_at is null and conversation_id is not null do nothing
        returning notification_id, account_id)
    insert into kiln.event (account_id, type, data)
    select t.account_id, 'notification', jsonb_build_object('notification_id', t.notification_id::text, 'to', t.account_id::text) from told t;
end
$$;
comment on function kiln_internal.notify_absent(kiln.conversation, bigint) is
'A notification for each member who gave no sign in this conversation for a minute and has none unread of it.';

create or replace function kiln_internal.mark_conversation(p_actor bigint, p_conversation_id bigint, p_number bigint, p_is_read boolean)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_member kiln.member;
    v_number bigint;
begin
    select * into v_member from kiln.member m where m.conversation_id = p_conversation_id and m.account_id = p_actor for update;
    if not found then
        raise exception 'there is no such conversation' using errcode = 'KN002';
    end if;
    v_number := least(p_number, coalesce(v_member.until_number, (select c.last_number from kiln.conversation c where c.conversation_id = p_conversation_id)));
    update kiln.member m
       set delivered_number = greatest(m.delivered_number, v_number),
           read_number = case when p_is_read then greatest(m.read_number, v_number) else m.read_number end,
           seen_at = kiln_internal.now()
     where m.conversation_id = p_conversation_id and m.account_id = p_actor;
    if v_member.until_number is not null then
        return;             -- who has left moves a mark of its own, and tells nobody
    end if;
    if p_is_read and v_number > v_member.read_number then
        update kiln.notification n set read_at = kiln_internal.now()
         where n.account_id = p_actor and n.conversation_id = p_conversation_id and n.read_at is null;
        perform kiln_internal.emit_to_members(p_conversation_id, 'message.read', jsonb_build_object('by', p_actor::text, 'number', v_number));
    elsif not p_is_read and v_number > v_member.delivered_number then
        perform kiln_internal.emit_to_members(p_conversation_id, 'message.delivered', jsonb_build_object('by', p_actor::text, 'number', v_number));
    end if;
end
$$;
comment on function kiln_internal.mark_conversation(bigint, bigint, bigint, boolean) is
'Moves a member''s mark of what was delivered (or read, which is delivered too) forwards, never back, never beyond the last message, and tells the members. KN002: not the actor''s.';

create or replace function kiln_internal.change_message(p_actor bigint, p_message kiln.message, p_text text)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_conversation kiln.conversation := kiln_internal.enter_conversation(p_actor, p_message.conversation_id);
    v_message      kiln.message;
begin
    select * into v_message from kiln.message m where m.message_id = p_message.message_id for update;
    if v_message.account_id <> p_actor then
        raise exception 'this message is somebody else''s' using errcode = 'KN004';
    elsif v_message.deleted_at is not null then
        raise exception 'this message was deleted' using errcode = 'KN001';
    elsif p_text is not null and not v_conversation.is_group and kiln_internal.is_blocked(v_conversation.pair_low, v_conversation.pair_high) then     -- else old messages say new things past a block
        raise exception 'this conversation is closed' using errcode = 'KN004';
    end if;
    if p_text is null then
        update kiln.message m set text = null, media = '{}', deleted_at = kiln_internal.now() where m.message_id = v_message.message_id;
    else
        update kiln.message m set text = p_text, edited_at = kiln_internal.now() where m.message_id = v_message.message_id;
    end if;
    perform kiln_internal.emit_to_members(v_message.conversation_id, case when p_text is null then 'message.deleted' else 'message.edited' end::kiln.event_type,
                              jsonb_build_object('message_id', v_message.message_id::text, 'number', v_message.number));
end
$$;
comment on function kiln_internal.change_message(bigint, kiln.message, text) is
'Changes a message''s text, or (null) takes it back and leaves a tombstone. KN004: not the actor''s, or left, or (of a change) one of two has blocked the other; KN001: it was deleted.';

create or replace function kiln_internal.set_block(p_actor bigint, p_account_id bigint, p_is_blocked boolean)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    -- Under the conversation's lock: once the block is answered, no message that was on its way comes after it.
    perform from kiln.conversation c where c.pair_low = least(p_actor, p_account_id) and c.pair_high = greatest(p_actor, p_account_id) for update;
    if p_is_blocked then
        if not kiln_internal.may_know(p_actor, p_account_id) then       -- the list of blocks shows names
            raise exception 'there is no such account' using errcode = 'KN002';
        end if;
        perform kiln_internal.lock_presence(true);
        if exists (select from kiln.account a where a.account_id = p_actor and a.show_presence)
           and exists (select from kiln_internal.contacts(p_actor) c where c = p_account_id) then        -- neither sees the other go
            perform kiln_internal.emit_absence(p_actor, array[p_account_id]), kiln_internal.emit_absence(p_account_id, array[p_actor]);
        end if;
        insert into kiln.block (account_id, blocked_id) values (p_actor, p_account_id) on conflict do nothing;
    else
        delete from kiln.block b where b.account_id = p_actor and b.blocked_id = p_account_id;
    end if;
end
$$;
comment on function kiln_internal.set_block(bigint, bigint, boolean) is 'Blocks an account, or no longer; either may be said twice. KN002: there is none that the actor may know of (kiln_internal.may_know).';

create or replace function kiln_internal.make_invite(p_actor bigint, p_conversation_id bigint, p_token text, p_expires_at timestamptz)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_invite_id bigint;
begin
    insert into kiln.invite (token_hash, account_id, conversation_id, expires_at)
    values (sha256(convert_to(p_token, 'UTF8')), p_actor, p_conversation_id, p_expires_at)
    returning invite_id into v_invite_id;
    return v_invite_id;
end
$$;
comment on function kiln_internal.make_invite(bigint, bigint, text, timestamptz) is 'Writes an invitation; of its token only the hash.';

create or replace function kiln_internal.revoke_invite(p_actor bigint, p_invite_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.invite i set revoked_at = coalesce(i.revoked_at, kiln_internal.now()) where i.invite_id = p_invite_id and i.account_id = p_actor;
    if not found then
        raise exception 'there is no such invitation' using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln_internal.revoke_invite(bigint, bigint) is 'Takes an invitation back; it may be said twice. KN002: not the actor''s.';

create or replace function kiln_internal.find_invite(p_actor bigint, p_token text)
returns kiln.invite
language plpgsql security definer
set search_path = ''
as $$
declare
    v_invite kiln.invite;
begin
    -- The group first, as whoever removes a member has it: else each would wait for what the other holds.
    perform from kiln.conversation c
      where c.conversation_id = (select i.conversation_id from kiln.invite i where i.token_hash = sha256(convert_to(p_token, 'UTF8'))) for update;
    select i.* into v_invite
      from kiln.invite i
      join kiln.account a using (account_id)
     where i.token_hash = sha256(convert_to(p_token, 'UTF8')) and i.revoked_at is null and i.expires_at > kiln_internal.now()
       and not a.is_suspended and not kiln_internal.is_blocked(p_actor, i.account_id)
       and (i.conversation_id is null
            or exists (select from kiln.member m where m.conversation_id = i.conversation_id and m.account_id = i.account_id and m.until_number is null))
       for share of i;
    if not found then
        raise exception 'this invitation is not valid, or not any more' using errcode = 'KN002';
    end if;
    return v_invite;
end
$$;
comment on function kiln_internal.find_invite(bigint, text) is
'The invitation of a token. KN002: unknown, expired, taken back, of someone who is blocked either way, or into a group its maker has left.';

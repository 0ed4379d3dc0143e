-- Messages: posted, read, changed.
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
     where m.conversation_id = p_member.conversation_id and m.account_id = p_member.account_id
       and m.number <= p_member.read_number
     order by m.number desc limit 1;
    return v_until - p_member.read_number - (p_member.posted - coalesce(v_own, 0));
end
$$;
comment on function kiln_internal.unread(kiln.member, bigint) is
'How many messages of others lie behind a member''s read position (a tombstone counts): all behind it less the
member''s own, by one index seek.';

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
        select coalesce(jsonb_agg(kiln_internal.render_media(m) - 'clean_url' order by u.ord), '[]')
          into v_media
          from unnest(p_message.media) with ordinality as u (media_id, ord)
          join kiln.media m on m.media_id = u.media_id and m.account_id = p_message.account_id;
    end if;
    if p_message.reply_to is not null then
        select jsonb_build_object('id', r.message_id::text, 'number', r.number,
                                  'account_id', r.account_id::text, 'text', left(r.text, 140),
                                  'is_deleted', r.deleted_at is not null)
          into v_reply from kiln.message r where r.conversation_id = p_message.conversation_id
           and r.number = p_message.reply_to;
    end if;
    select count(*) as others, count(*) filter (where m.delivered_number >= p_message.number) as delivered,
           count(*) filter (where m.read_number >= p_message.number) as read
      into v_ticks
      from kiln.member m
     where m.conversation_id = p_message.conversation_id and m.account_id <> p_message.account_id
       and m.joined_number < p_message.number and coalesce(m.until_number >= p_message.number, true);
    return jsonb_build_object(
        'id', p_message.message_id::text, 'conversation_id', p_message.conversation_id::text,
                              'number', p_message.number,
        'client_id', p_message.client_id, 'author', kiln_internal.render_person(p_message.account_id),
        'text', p_message.text, 'media', v_media, 'reply_to', v_reply,
        'ticks', jsonb_build_object(
            'state', case when v_ticks.others > 0 and v_ticks.read = v_ticks.others then 'read'
                          when v_ticks.others > 0 and v_ticks.delivered = v_ticks.others then 'delivered'
                          else 'accepted' end,
            'delivered', v_ticks.delivered, 'read', v_ticks.read, 'of', v_ticks.others),
        'is_deleted', p_message.deleted_at is not null,
        'created_at', kiln_internal.render_time(p_message.created_at),
                              'edited_at', kiln_internal.render_time(p_message.edited_at));
end
$$;
comment on function kiln_internal.render_message(kiln.message) is
'A message, as its conversation''s members see it; the caller has checked that who reads is one.';

create or replace function kiln_internal.post_message(p_actor bigint, p_conversation_id bigint,
                                                      p_client_id text, p_text text, p_media bigint[],
                                                      p_reply_to bigint)
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
    if not v_conversation.is_group and kiln_internal.is_blocked(v_conversation.pair_low,
                                                                v_conversation.pair_high) then
        raise exception 'this conversation is closed' using errcode = 'KN004';
    end if;
    update kiln.conversation c set last_number = c.last_number + 1, activity = nextval('kiln.activity')
     where c.conversation_id = p_conversation_id
    returning c.last_number into v_number;
    update kiln.member m set posted = m.posted + 1, seen_at = kiln_internal.now()
     where m.conversation_id = p_conversation_id and m.account_id = p_actor
    returning m.posted into v_posted;
    insert into kiln.message (conversation_id, number, account_id, author_number, client_id, text, media,
                              reply_to)
    values (p_conversation_id, v_number, p_actor, v_posted, p_client_id, p_text, p_media, p_reply_to)
    returning message_id into v_id;
    perform kiln_internal.notify_absent(v_conversation, p_actor);
    perform kiln_internal.emit_to_members(p_conversation_id, 'message.created',
                                          jsonb_build_object('message_id', v_id::text, 'number', v_number));
    return v_id;
end
$$;
comment on function kiln_internal.post_message(bigint, bigint, text, text, bigint[], bigint) is
'Says something in a conversation, or returns what this client_id said before. KN002: not the actor''s; KN004:
left, or one of two has blocked the other.';

create or replace function kiln_internal.notify_absent(p_conversation kiln.conversation, p_author bigint)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    with told as (
        insert into kiln.notification (account_id, kind, text, link, conversation_id)
        select m.account_id, 'message',
               coalesce(a.display_name, a.handle, 'Someone') || case when p_conversation.is_group
                                                        then ' wrote in ' || coalesce(p_conversation.title,
                                                            'a group')
                                                                     else ' wrote to you' end,
               '/conversations/' || p_conversation.conversation_id, p_conversation.conversation_id
          from kiln.member m
          join kiln.account a on a.account_id = p_author
         where m.conversation_id = p_conversation.conversation_id and m.until_number is null
           and m.account_id <> p_author
           and (m.seen_at is null or m.seen_at < kiln_internal.now() - interval '1 minute')
        on conflict (account_id, conversation_id) where read_at is null
           and conversation_id is not null do nothing
        returning notification_id, account_id)
    insert into kiln.event (account_id, type, data)
    select t.account_id, 'notification',
           jsonb_build_object('notification_id', t.notification_id::text, 'to', t.account_id::text)
      from told t;
end
$$;
comment on function kiln_internal.notify_absent(kiln.conversation, bigint) is
'A notification for each member who gave no sign in this conversation for a minute and has none unread of
it.';

create or replace function kiln_internal.mark_conversation(p_actor bigint, p_conversation_id bigint,
                                                           p_number bigint, p_is_read boolean)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_member kiln.member;
    v_number bigint;
begin
    select * into v_member from kiln.member m where m.conversation_id = p_conversation_id
       and m.account_id = p_actor for update;
    if not found then
        raise exception 'there is no such conversation' using errcode = 'KN002';
    end if;
    v_number := least(p_number, coalesce(v_member.until_number, (select c.last_number from kiln.conversation c
                                                                  where c.conversation_id
                                                                        = p_conversation_id)));
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
        perform kiln_internal.emit_to_members(p_conversation_id, 'message.read',
                                              jsonb_build_object('by', p_actor::text, 'number', v_number));
    elsif not p_is_read and v_number > v_member.delivered_number then
        perform kiln_internal.emit_to_members(p_conversation_id, 'message.delivered',
                                              jsonb_build_object('by', p_actor::text, 'number', v_number));
    end if;
end
$$;
comment on function kiln_internal.mark_conversation(bigint, bigint, bigint, boolean) is
'Moves a member''s mark of what was delivered (or read, which is delivered too) forwards, never back, never
beyond the last message, and tells the members. KN002: not the actor''s.';

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
    -- else old messages say new things past a block
    elsif p_text is not null and not v_conversation.is_group
       and kiln_internal.is_blocked(v_conversation.pair_low, v_conversation.pair_high) then
        raise exception 'this conversation is closed' using errcode = 'KN004';
    end if;
    if p_text is null then
        update kiln.message m set text = null, media = '{}', deleted_at = kiln_internal.now()
         where m.message_id = v_message.message_id;
    else
        update kiln.message m set text = p_text, edited_at = kiln_internal.now()
         where m.message_id = v_message.message_id;
    end if;
    perform kiln_internal.emit_to_members(v_message.conversation_id,
                                          case when p_text is null then 'message.deleted'
                                               else 'message.edited' end::kiln.event_type,
                              jsonb_build_object('message_id', v_message.message_id::text,
                                                 'number', v_message.number));
end
$$;
comment on function kiln_internal.change_message(bigint, kiln.message, text) is
'Changes a message''s text, or (null) takes it back and leaves a tombstone. KN004: not the actor''s, or left,
or (of a change) one of two has blocked the other; KN001: it was deleted.';

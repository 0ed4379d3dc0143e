-- Conversations and who is in them.
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
comment on function kiln_internal.visible_until(bigint) is
'Up to which message the acting account may see a conversation: all as a member, up to its leaving as a former
one, null for others.';

create or replace function kiln_internal.render_conversation(p_conversation kiln.conversation,
                                                             p_viewer bigint)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_member kiln.member;
    v_last   kiln.message;
    v_number bigint;
begin
    select * into v_member from kiln.member m where m.conversation_id = p_conversation.conversation_id
       and m.account_id = p_viewer;
    v_number := coalesce(v_member.until_number, p_conversation.last_number);
    select * into v_last from kiln.message m where m.conversation_id = p_conversation.conversation_id
       and m.number = v_number;
    return jsonb_build_object(
        'id', p_conversation.conversation_id::text, 'is_group', p_conversation.is_group,
                              'title', p_conversation.title,
        'made_by', p_conversation.made_by::text,
        'with', case when not p_conversation.is_group then
            kiln_internal.render_person(case p_viewer when p_conversation.pair_low
                                                 then p_conversation.pair_high
                                             else p_conversation.pair_low end) end,
        'presence', case when not p_conversation.is_group then
            kiln_internal.render_presence(case p_viewer when p_conversation.pair_low
                                                   then p_conversation.pair_high
                                               else p_conversation.pair_low end, p_viewer) end,
        'has_left', v_member.until_number is not null,
        'last_number', v_number, 'last_message', case when v_last.message_id is not null
                                                          then kiln_internal.render_message(v_last) end,
        'delivered_number', v_member.delivered_number, 'read_number', v_member.read_number,
                              'unread', kiln_internal.unread(v_member, p_conversation.last_number),
        'created_at', kiln_internal.render_time(p_conversation.created_at));
end
$$;
comment on function kiln_internal.render_conversation(kiln.conversation, bigint) is
'A conversation, as one of its members sees it, with the latest message, the exact number of unread ones and,
of two, whether the other is online.';

create or replace function kiln_internal.enter_conversation(p_actor bigint, p_conversation_id bigint)
returns kiln.conversation
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_conversation kiln.conversation;
    v_until        bigint;
begin
    select m.until_number into v_until from kiln.member m
     where m.conversation_id = p_conversation_id and m.account_id = p_actor;
    if not found then
        raise exception 'there is no such conversation' using errcode = 'KN002';
    end if;
    select * into v_conversation from kiln.conversation c where c.conversation_id = p_conversation_id
       for update;
    select m.until_number into v_until from kiln.member m
     where m.conversation_id = p_conversation_id and m.account_id = p_actor;
    if v_until is not null then
        raise exception 'you have left this conversation' using errcode = 'KN004';
    end if;
    return v_conversation;
end
$$;
comment on function kiln_internal.enter_conversation(bigint, bigint) is
'Locks a conversation for one of its members. KN002: not one of theirs; KN004: they have left.';

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
    insert into kiln.conversation (is_group, made_by, pair_low, pair_high)
    values (false, p_actor, least(p_actor, p_other), greatest(p_actor, p_other))
    on conflict (pair_low, pair_high) do nothing
    returning conversation_id into v_id;
    if not found then       -- both began at once, and the other was quicker
        return (select c.conversation_id from kiln.conversation c
                 where c.pair_low = least(p_actor, p_other) and c.pair_high = greatest(p_actor, p_other));
    end if;
    insert into kiln.member (conversation_id, account_id) values (v_id, p_actor), (v_id, p_other);
    perform kiln_internal.emit_to_members(v_id, 'conversation.changed',
                                          jsonb_build_object('change', 'begun', 'by', p_actor::text));
    return v_id;
end
$$;
comment on function kiln_internal.open_pair(bigint, bigint) is
'The conversation of these two: the one they have, or a new one.';

create or replace function kiln_internal.join_conversation(p_conversation_id bigint, p_account_id bigint,
                                                           p_by bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_last bigint;
begin
    select c.last_number into v_last from kiln.conversation c where c.conversation_id = p_conversation_id
       for update;
    if exists (select from kiln.member m where m.conversation_id = p_conversation_id
                  and m.account_id = p_account_id and m.until_number is null) then
        return;
    end if;
    if (select count(*) from kiln.member m where m.conversation_id = p_conversation_id
           and m.until_number is null) >= 256 then
        raise exception 'a group has at most 256 members' using errcode = 'KN001';
    end if;
    insert into kiln.member (conversation_id, account_id, joined_number, delivered_number, read_number)
    values (p_conversation_id, p_account_id, v_last, v_last, v_last)
    on conflict (conversation_id, account_id) do update
       set until_number = null, joined_number = v_last, delivered_number = v_last, read_number = v_last,
           joined_at = kiln_internal.now();
    perform kiln_internal.emit_to_members(p_conversation_id, 'conversation.changed',
                              jsonb_build_object('change', 'joined', 'by', p_by::text,
                                                 'account', kiln_internal.render_person(p_account_id)));
end
$$;
comment on function kiln_internal.join_conversation(bigint, bigint, bigint) is
'Makes an account a member of a group; a member already: nothing. A newcomer sees what was said before, and
has it for read. KN001: the group is full.';

create or replace function kiln_internal.make_group(p_actor bigint, p_title text, p_others bigint[])
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_id bigint;
begin
    insert into kiln.conversation (is_group, title, made_by) values (true, p_title, p_actor)
 returning conversation_id into v_id;
    insert into kiln.member (conversation_id, account_id) select distinct v_id, a
                                                            from unnest(p_others || p_actor) as a;
    perform kiln_internal.emit_to_members(v_id, 'conversation.changed',
                                          jsonb_build_object('change', 'begun', 'by', p_actor::text));
    return v_id;
end
$$;
comment on function kiln_internal.make_group(bigint, text, bigint[]) is
'Makes a group of the actor and others; the caller has checked that they may meet.';

create or replace function kiln_internal.leave_conversation(p_conversation kiln.conversation,
                                                            p_account_id bigint, p_by bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.member m set until_number = p_conversation.last_number
     where m.conversation_id = p_conversation.conversation_id and m.account_id = p_account_id
       and m.until_number is null;
    if not found then
        raise exception 'there is no such member' using errcode = 'KN002';
    end if;
    if p_by <> p_account_id then        -- else who was removed comes back by the link
        update kiln.invite i set revoked_at = kiln_internal.now()
         where i.conversation_id = p_conversation.conversation_id and i.revoked_at is null;
    end if;
    if p_conversation.made_by = p_account_id then       -- someone has to be able to remove others
        update kiln.conversation c set made_by = m.account_id
          from (select x.account_id from kiln.member x
                 where x.conversation_id = p_conversation.conversation_id and x.until_number is null
                 order by x.joined_at, x.account_id limit 1) m
         where c.conversation_id = p_conversation.conversation_id;
    end if;
    perform kiln_internal.emit_to_members(p_conversation.conversation_id, 'conversation.changed',
                              jsonb_build_object('change', 'left', 'by', p_by::text,
                                                 'account', kiln_internal.render_person(p_account_id)),
                                          p_account_id);
end
$$;
comment on function kiln_internal.leave_conversation(kiln.conversation, bigint, bigint) is
'Ends a membership of a group that the caller has locked; who made the group and leaves hands it to the
oldest member; where one is removed, the invitations to the group end. KN002: no member.';

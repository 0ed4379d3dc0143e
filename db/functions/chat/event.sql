-- Events of conversations.
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
    select * into v_conversation from kiln.conversation c
     where c.conversation_id = (p_data ->> 'conversation_id')::bigint;
    if found then
        select * into v_member from kiln.member m where m.conversation_id = v_conversation.conversation_id
           and m.account_id = (p_data ->> 'to')::bigint;
        v_json := v_json || jsonb_build_object('is_group', v_conversation.is_group,
                                               'title', v_conversation.title,
                                               'unread', kiln_internal.unread(v_member,
                                                        v_conversation.last_number));
    end if;
    return v_json;
end
$$;
comment on function kiln_internal.render_chat_event(jsonb) is
'What an event of a conversation adds for the one whose stream it is on: the whole message, the unread
count.';

-- Events are written by whoever holds what they are about, so within a conversation (and of one member's
-- ticks) their ids are in the order of commits. One row an account: each one's stream is its own.
create or replace function kiln_internal.emit_to_members(p_conversation_id bigint, p_type kiln.event_type,
                                                         p_data jsonb, p_also bigint default null)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    insert into kiln.event (account_id, type, data)
    select m.account_id, p_type, p_data || jsonb_build_object('conversation_id', p_conversation_id::text,
                                                              'to', m.account_id::text)
      from kiln.member m
     where m.conversation_id = p_conversation_id and (m.until_number is null or m.account_id = p_also);
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_internal.emit_to_members(bigint, kiln.event_type, jsonb, bigint) is
'Writes an event for each member (and for p_also, who has just left) and rings.';

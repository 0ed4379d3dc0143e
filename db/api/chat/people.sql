-- Chat over REST: people, invitations, conversations, members, messages, marks, blocks. Only members see or
-- write; an administrator's token opens nobody's conversation.
create or replace function kiln_internal.account_of(p_body jsonb, p_actor bigint, out account_id bigint,
                                                    out errors jsonb)
language plpgsql stable
set search_path = ''
as $$
begin
    errors := '[]';
    if coalesce(kiln_internal.plain_field(p_body, 'account_id'), '') ~ '^[0-9]{1,18}$'
       and kiln_internal.may_meet(p_actor, kiln_internal.plain_field(p_body, 'account_id')::bigint) then
        account_id := kiln_internal.plain_field(p_body, 'account_id')::bigint;
    else
        errors := kiln_internal.field_error('/account_id', 'must be somebody whom one can find');
    end if;
end
$$;
comment on function kiln_internal.account_of(jsonb, bigint) is
'The account_id of a body, or an error that does not tell why: not there, blocked, suspended, oneself.';

create or replace function kiln_internal.see_conversation(p_path jsonb)
returns kiln.conversation
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_conversation kiln.conversation;
    v_id           bigint := kiln_internal.parse_id(p_path ->> 'id');
begin
    select c.* into v_conversation from kiln.conversation c where c.conversation_id = v_id;
    if not found or kiln_internal.visible_until(v_id) is null then
        raise exception 'there is no such conversation' using errcode = 'KN002';
    end if;
    return v_conversation;
end
$$;
comment on function kiln_internal.see_conversation(jsonb) is
'The conversation of a path, if the acting account is or was a member. KN002: not.';

create or replace function kiln_internal.see_message(p_path jsonb)
returns kiln.message
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_message kiln.message;
    v_id      bigint := kiln_internal.parse_id(p_path ->> 'id');
begin
    select m.* into v_message from kiln.message m where m.message_id = v_id;
    if not found or coalesce(kiln_internal.visible_until(v_message.conversation_id) < v_message.number,
                             true) then
        raise exception 'there is no such message' using errcode = 'KN002';
    end if;
    return v_message;
end
$$;
comment on function kiln_internal.see_message(jsonb) is
'The message of a path, if the acting account may see it. KN002: not.';

-- People and invitations.
create or replace function kiln_api.find_people(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_handle text := lower(ltrim(coalesce(p_query ->> 'handle', ''), '@'));
begin
    perform kiln_internal.require_actor(p_actor);
    if v_handle !~ '^[a-z0-9_]{3,30}$' then
        raise exception 'handle must have 3 to 30 of the characters a-z, 0-9 and _: a handle, or how '
                        'one begins' using errcode = 'KN006';
    end if;
    return json_build_object('items', kiln_internal.find_people(p_actor, v_handle, 10), 'next_cursor', null);
end
$$;
comment on function kiln_api.find_people(bigint, jsonb, jsonb, text) is
'GET /people?handle=: who is called so, first, or whose handle begins so: ten at most, and no next page, so
that nobody lists everyone.';

-- Chat over REST: people, invitations, conversations, members, messages, marks, blocks. Only members see or write; an administrator's
-- token opens nobody's conversation.
create or replace function kiln_internal.account_of(p_body jsonb, p_actor bigint, out account_id bigint, out errors jsonb)
language plpgsql stable
set search_path = ''
as $$
begin
    errors := '[]';
    if coalesce(kiln_internal.plain_field(p_body, 'account_id'), '') ~ '^[0-9]{1,18}$' and kiln_internal.may_meet(p_actor, kiln_internal.plain_field(p_body, 'account_id')::bigint) then
        account_id := kiln_internal.plain_field(p_body, 'account_id')::bigint;
    else
        errors := kiln_internal.field_error('/account_id', 'must be somebody whom one can find');
    end if;
end
$$;
comment on function kiln_internal.account_of(jsonb, bigint) is 'The account_id of a body, or an error that does not tell why: not there, blocked, suspended, oneself.';

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
comment on function kiln_internal.see_conversation(jsonb) is 'The conversation of a path, if the acting account is or was a member. KN002: not.';

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
    if not found or coalesce(kiln_internal.visible_until(v_message.conversation_id) < v_message.number, true) then
        raise exception 'there is no such message' using errcode = 'KN002';
    end if;
    return v_message;
end
$$;
comment on function kiln_internal.see_message(jsonb) is 'The message of a path, if the acting account may see it. KN002: not.';

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
        raise exception 'handle must have 3 to 30 of the characters a-z, 0-9 and _: a handle, or how one begins' using errcode = 'KN006';
    end if;
    return json_build_object('items', kiln_internal.find_people(p_actor, v_handle, 10), 'next_cursor', null);
end
$$;
comment on function kiln_api.find_people(bigint, jsonb, jsonb, text) is
'GET /people?handle=: who is called so, first, or whose handle begins so: ten at most, and no next page, so that nobody lists everyone.';

create or replace function kiln_api.create_invite(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_errors jsonb := kiln_internal.unknown_fields(v_body, '{conversation_id,expires_in_s}');
    v_life   text  := coalesce(kiln_internal.plain_field(v_body, 'expires_in_s'), '604800');
    v_token  text  := replace(gen_random_uuid()::text || gen_random_uuid(), '-', '');
    v_conversation kiln.conversation;
    v_id     bigint;
    v_expires timestamptz;
begin
    perform kiln_internal.require_actor(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_invite', p_body);
    if v_id is not null then
        raise exception 'invitation % was made under this key; its token is shown once', v_id using errcode = 'KN015', detail = json_build_object('id', v_id::text)::text;
    end if;
    if v_life !~ '^[0-9]{1,7}$' or v_life::int not between 60 and 2592000 then
        v_errors := v_errors || kiln_internal.field_error('/expires_in_s', 'must be a number of seconds from 60 to 2592000');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    if kiln_internal.plain_field(v_body, 'conversation_id') is not null then
        v_conversation := kiln_internal.enter_conversation(p_actor, kiln_internal.parse_id(kiln_internal.plain_field(v_body, 'conversation_id')));
        if not v_conversation.is_group then
            raise exception 'a conversation of two has room for two' using errcode = 'KN001';
        end if;
    end if;
    v_expires := kiln_internal.now() + v_life::int * interval '1 second';
    v_id := kiln_internal.make_invite(p_actor, v_conversation.conversation_id, v_token, v_expires);
    perform kiln_internal.end_idempotent(p_actor, 'create_invite', v_id);
    return json_build_object('id', v_id::text, 'token', v_token, 'link', '/invite#' || v_token, 'conversation_id', v_conversation.conversation_id::text,
                             'expires_at', kiln_internal.render_time(v_expires));
end
$$;
comment on function kiln_api.create_invite(bigint, jsonb, jsonb, text) is
'POST /invites: {conversation_id?, expires_in_s?}: a link to who invites, or into a group of theirs; the token is shown once. KN015: made already.';

create or replace function kiln_api.list_invites(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    v_page record;
    v_rows bigint[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_rows := array(select i.invite_id from kiln.invite i
                     where i.account_id = p_actor and i.invite_id < v_page.below
                     order by i.invite_id desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(json_build_object('id', i.invite_id::text, 'conversation_id', i.conversation_id::text,
                                           'expires_at', kiln_internal.render_time(i.expires_at),
                                           'revoked_at', kiln_internal.render_time(i.revoked_at),
                                           'created_at', kiln_internal.render_time(i.created_at))
                         order by i.invite_id desc)
           from kiln.invite i where i.invite_id = any (v_rows[:v_page.page_limit])),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_invites(bigint, jsonb, jsonb, text) is 'GET /invites: the actor''s, newest first, without their tokens.';

create or replace function kiln_api.delete_invite(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln_internal.revoke_invite(p_actor, kiln_internal.parse_id(p_path ->> 'id'));
    return null;
end
$$;
comment on function kiln_api.delete_invite(bigint, jsonb, jsonb, text) is 'DELETE /invites/{id}: takes it back. KN002: not the actor''s.';

create or replace function kiln_api.find_invite(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_invite kiln.invite;
begin
    perform kiln_internal.require_actor(p_actor);
    v_invite := kiln_internal.find_invite(p_actor, coalesce(kiln_internal.plain_field(kiln_internal.parse_body(p_body), 'token'), ''));
    return json_build_object('from', kiln_internal.render_person(v_invite.account_id), 'conversation_id', v_invite.conversation_id::text,
                             'expires_at', kiln_internal.render_time(v_invite.expires_at));
end
$$;
comment on function kiln_api.find_invite(bigint, jsonb, jsonb, text) is 'POST /invites/find: {token}: who invites, and into which group. (A POST, so that no log of URLs has the token.)';

create or replace function kiln_api.accept_invite(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_invite kiln.invite;
    v_id     bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_invite := kiln_internal.find_invite(p_actor, coalesce(kiln_internal.plain_field(kiln_internal.parse_body(p_body), 'token'), ''));
    if v_invite.account_id = p_actor then
        raise exception 'this invitation is your own' using errcode = 'KN001';
    end if;
    v_id := coalesce(v_invite.conversation_id, kiln_internal.open_pair(p_actor, v_invite.account_id));
    if v_invite.conversation_id is not null then
        perform kiln_internal.join_conversation(v_id, p_actor, v_invite.account_id);
    end if;
    return kiln_api.get_conversation(p_actor, jsonb_build_object('id', v_id::text), '{}', null);
end
$$;
comment on function kiln_api.accept_invite(bigint, jsonb, jsonb, text) is 'POST /invites/accept: {token}: the conversation it leads to, joined; twice is once.';

-- Conversations and members.
create or replace function kiln_api.get_conversation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    return kiln_internal.render_conversation(kiln_internal.see_conversation(p_path), p_actor);
end
$$;
comment on function kiln_api.get_conversation(bigint, jsonb, jsonb, text) is 'GET /conversations/{id}: with its latest message and the unread count. KN002: not the actor''s.';

create or replace function kiln_api.create_conversation(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_errors jsonb := kiln_internal.unknown_fields(v_body, '{account_id,members,title}');
    v_ids    text[] := kiln_internal.texts(coalesce(v_body -> 'members', '[]'), 255);
    v_other  record;
    v_with   bigint;
    v_id     bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_conversation', p_body);
    if v_id is null then
        if v_body ? 'account_id' then
            v_other := kiln_internal.account_of(v_body, p_actor);
            v_errors := v_errors || v_other.errors;
            v_with := v_other.account_id;
            if v_body ?| '{members,title}' then
                v_errors := v_errors || kiln_internal.field_error('/members', 'and title belong to a group, account_id to a conversation of two');
            end if;
        elsif not v_body ? 'members' then
            v_errors := v_errors || kiln_internal.field_error('/account_id', 'or members is required');
        elsif v_ids is null then
            v_errors := v_errors || kiln_internal.field_error('/members', 'must be an array of at most 255 accounts');
        else
            select v_errors || coalesce(jsonb_agg(jsonb_build_object('field', '/members/' || (u.ord - 1), 'message', 'must be somebody whom one can find')), '[]')
              into v_errors
              from unnest(v_ids) with ordinality as u (id, ord)
             where coalesce(not kiln_internal.may_meet(p_actor, case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end), true);
        end if;
        if v_body ? 'title' and v_body -> 'title' <> 'null'
           and (jsonb_typeof(v_body -> 'title') <> 'string' or not kiln_internal.is_name(v_body ->> 'title', 100)) then
            v_errors := v_errors || kiln_internal.field_error('/title', 'must be one line of 1 to 100 characters, not all of them invisible');
        end if;
        perform kiln_internal.refuse_fields(v_errors);
        v_id := case when v_body ? 'account_id' then kiln_internal.open_pair(p_actor, v_with)
                     else kiln_internal.make_group(p_actor, v_body ->> 'title', v_ids::bigint[]) end;
        perform kiln_internal.end_idempotent(p_actor, 'create_conversation', v_id);
    end if;
    return kiln_api.get_conversation(p_actor, jsonb_build_object('id', v_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_conversation(bigint, jsonb, jsonb, text) is
'POST /conversations: {account_id}: the conversation with one other, which is made once; {members: [id], title?}: a new group.';

create or replace function kiln_api.list_conversations(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_page record;
    v_rows kiln.conversation[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_rows := array(
        select c from kiln.member m join kiln.conversation c using (conversation_id)
         where m.account_id = p_actor and c.activity < v_page.below
         order by c.activity desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_conversation(c, p_actor)) from unnest(v_rows[:v_page.page_limit]) as c),
        (kiln_internal.last_of_page(v_rows, v_page.page_limit)).activity);
end
$$;
comment on function kiln_api.list_conversations(bigint, jsonb, jsonb, text) is 'GET /conversations: the actor''s, the one with the latest message first, as {items, next_cursor}.';

-- A cursor is the place of the last one shown, so that nobody is passed over when one of those before leaves between two pages.
create or replace function kiln_internal.member_place(p_member kiln.member)
returns bigint[]
language sql stable
return array[(extract(epoch from p_member.joined_at) * 1000000)::bigint, p_member.account_id];
comment on function kiln_internal.member_place(kiln.member) is 'Where a member stands in the list: since when (microseconds since 1970), and the account.';

create or replace function kiln_internal.render_members(p_conversation kiln.conversation, p_members kiln.member[], p_actor bigint)
returns json
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_last bigint[] := (select max(kiln_internal.member_place(m)) from unnest(p_members) as m);
begin
    return json_build_object(
        'items', coalesce((
            select json_agg(kiln_internal.render_person(m.account_id) || jsonb_build_object(
                                'is_maker', m.account_id = p_conversation.made_by, 'delivered_number', m.delivered_number, 'read_number', m.read_number,
                                'presence', kiln_internal.render_presence(m.account_id, p_actor), 'joined_at', kiln_internal.render_time(m.joined_at)) order by kiln_internal.member_place(m))
              from unnest(p_members) as m), '[]'),
        'next_cursor', case when exists (select from kiln.member m where m.conversation_id = p_conversation.conversation_id and m.until_number is null
                                            and kiln_internal.member_place(m) > v_last) then array_to_string(v_last, '.') end);
end
$$;
comment on function kiln_internal.render_members(kiln.conversation, kiln.member[], bigint) is 'These members as p_actor sees them, the oldest first, as {items, next_cursor}.';

create or replace function kiln_api.list_members(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_conversation kiln.conversation;
    v_cursor       text := coalesce(p_query ->> 'cursor', '0.0');
    v_page         record;
begin
    perform kiln_internal.require_actor(p_actor);
    v_conversation := kiln_internal.see_conversation(p_path);
    v_page := kiln_internal.parse_page(p_query - 'cursor');
    if v_cursor !~ '^[0-9]{1,18}\.[0-9]{1,18}$' then
        raise exception 'cursor is not one of ours' using errcode = 'KN006';
    end if;
    return kiln_internal.render_members(v_conversation, array(
        select m from kiln.member m
         where m.conversation_id = v_conversation.conversation_id and m.until_number is null and kiln_internal.member_place(m) > string_to_array(v_cursor, '.')::bigint[]
         order by kiln_internal.member_place(m)
         limit v_page.page_limit), p_actor);
end
$$;
comment on function kiln_api.list_members(bigint, jsonb, jsonb, text) is 'GET /conversations/{id}/members?limit=&cursor=: who is in it, the oldest first, how far each has read and whether it is online; nobody for who has left.';

create or replace function kiln_api.add_member(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_conversation kiln.conversation;
    v_body         jsonb := kiln_internal.parse_body(p_body);
    v_other        record;
begin
    perform kiln_internal.require_actor(p_actor);
    v_conversation := kiln_internal.enter_conversation(p_actor, kiln_internal.parse_id(p_path ->> 'id'));
    if not v_conversation.is_group then
        raise exception 'a conversation of two has room for two' using errcode = 'KN001';
    end if;
    v_other := kiln_internal.account_of(v_body, p_actor);
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{account_id}') || v_other.errors);
    perform kiln_internal.join_conversation(v_conversation.conversation_id, v_other.account_id, p_actor);
    return kiln_internal.render_members(v_conversation, array(
        select m
          from kiln.member m
          join kiln.member n on n.conversation_id = m.conversation_id and n.account_id = v_other.account_id
         where m.conversation_id = v_conversation.conversation_id and m.until_number is null and kiln_internal.member_place(m) <= kiln_internal.member_place(n)
         order by kiln_internal.member_place(m) desc
         limit 20), p_actor);
end
$$;
comment on function kiln_api.add_member(bigint, jsonb, jsonb, text) is 'POST /conversations/{id}/members: {account_id}; any member of a group may; twice is once. Returns the page of members that ends with this one.';

create or replace function kiln_api.remove_member(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_conversation kiln.conversation;
    v_account_id   bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_conversation := kiln_internal.enter_conversation(p_actor, kiln_internal.parse_id(p_path ->> 'id'));
    v_account_id := case when p_query ? 'account_id' then kiln_internal.parse_id(p_query ->> 'account_id') else p_actor end;
    if not v_conversation.is_group then
        raise exception 'a conversation of two is not left: block the other' using errcode = 'KN001';
    elsif v_account_id <> p_actor and v_conversation.made_by <> p_actor then
        raise exception 'only who made a group removes others' using errcode = 'KN004';
    end if;
    perform kiln_internal.leave_conversation(v_conversation, v_account_id, p_actor);
    return null;
end
$$;
comment on function kiln_api.remove_member(bigint, jsonb, jsonb, text) is
'DELETE /conversations/{id}/members?account_id=: leaves a group (no account_id: oneself), or removes another, if one made it (KN004).';

-- Messages.
create or replace function kiln_internal.answered_number(p_message_id jsonb, p_conversation_id bigint)
returns bigint
language sql stable
return (select m.number from kiln.message m where m.message_id = case when jsonb_typeof(p_message_id) = 'string' and p_message_id #>> '{}' ~ '^[0-9]{1,18}$' then (p_message_id #>> '{}')::bigint end
                                              and m.conversation_id = p_conversation_id);
comment on function kiln_internal.answered_number(jsonb, bigint) is 'The number of the message that is answered, or null.';

create or replace function kiln_api.create_message(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_conversation kiln.conversation;
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_errors jsonb := kiln_internal.unknown_fields(v_body, '{client_id,text,media,reply_to}');
    v_media  text[] := kiln_internal.texts(coalesce(nullif(v_body -> 'media', 'null'), '[]'), 10);
    v_text   text  := kiln_internal.text_field(v_body, 'text');
    v_route  text;
    v_id     bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_conversation := kiln_internal.see_conversation(p_path);
    v_route := 'create_message/' || v_conversation.conversation_id;
    v_id := kiln_internal.begin_idempotent(p_actor, v_route, p_body);
    if v_id is null then
        if v_body ? 'client_id' and (jsonb_typeof(v_body -> 'client_id') <> 'string' or length(v_body ->> 'client_id') not between 1 and 100) then
            v_errors := v_errors || kiln_internal.field_error('/client_id', 'must be a string of 1 to 100 characters');
        end if;
        if jsonb_typeof(v_body -> 'text') not in ('string', 'null') or octet_length(v_text) > 16000 then
            v_errors := v_errors || kiln_internal.field_error('/text', 'must be a string of at most 16000 bytes');
        elsif not coalesce(kiln_internal.is_visible(v_text), false) and v_media = '{}' then
            v_errors := v_errors || kiln_internal.field_error('/text', 'is required unless there is media');
        end if;
        if v_media is null then
            v_errors := v_errors || kiln_internal.field_error('/media', 'must be an array of at most 10 media ids');
        else
            select v_errors || coalesce(jsonb_agg(jsonb_build_object('field', '/media/' || (u.ord - 1), 'message', 'is no media of yours that is ready')), '[]')
              into v_errors
              from unnest(v_media) with ordinality as u (id, ord)
             where not exists (select from kiln.media m
                                where m.media_id = case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end
                                  and m.account_id = p_actor and m.state = 'ready');
        end if;
        if kiln_internal.plain_field(v_body, 'reply_to') is not null and kiln_internal.answered_number(v_body -> 'reply_to', v_conversation.conversation_id) is null then
            v_errors := v_errors || kiln_internal.field_error('/reply_to', 'is no message of this conversation');
        end if;
        perform kiln_internal.refuse_fields(v_errors);
        v_id := kiln_internal.post_message(p_actor, v_conversation.conversation_id, v_body ->> 'client_id', v_text,
                                  v_media::bigint[],
                                  kiln_internal.answered_number(v_body -> 'reply_to', v_conversation.conversation_id));
        perform kiln_internal.end_idempotent(p_actor, v_route, v_id);
    end if;
    return kiln_api.get_message(p_actor, jsonb_build_object('id', v_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_message(bigint, jsonb, jsonb, text) is
'POST /conversations/{id}/messages: {client_id?, text?, media?: [id], reply_to?}: the message, accepted; the same client_id again is the same message. KN004: left or closed.';

create or replace function kiln_api.get_message(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    return kiln_internal.render_message(kiln_internal.see_message(p_path));
end
$$;
comment on function kiln_api.get_message(bigint, jsonb, jsonb, text) is 'GET /messages/{id}: with its ticks as they are now. KN002: not there, or not for the actor.';

-- Sorts are off: of a table that was vacuumed while it was empty PostgreSQL expects one row, and all indices cost the same.
create or replace function kiln_api.list_messages(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off
as $$
declare
    v_conversation kiln.conversation;
    v_page   record;
    v_before bigint;
    v_rows   kiln.message[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_conversation := kiln_internal.see_conversation(p_path);
    v_page := kiln_internal.parse_page(p_query);
    v_before := least(v_page.below, kiln_internal.visible_until(v_conversation.conversation_id));
    if v_page.before is null or v_before < v_page.before then
        v_before := case when v_before < 9223372036854775807 then v_before + 1 else v_before end;     -- the last one that may be seen is seen
    end if;
    -- conversation_id = … and number < …, said so that only the index of both has the order.
    v_rows := array(
        select m from kiln.message m
         where m.conversation_id = v_conversation.conversation_id and m.number < v_before
         order by m.conversation_id desc, m.number desc
         limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_message(m)) from unnest(v_rows[:v_page.page_limit]) as m),
        (kiln_internal.last_of_page(v_rows, v_page.page_limit)).number);
end
$$;
comment on function kiln_api.list_messages(bigint, jsonb, jsonb, text) is 'GET /conversations/{id}/messages?limit=&cursor=: newest first, by index however long it is; for who has left, up to then.';

create or replace function kiln_api.edit_message(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_errors jsonb := kiln_internal.unknown_fields(v_body, '{text}');
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln_internal.see_message(p_path);
    if coalesce(jsonb_typeof(v_body -> 'text') <> 'string' or not kiln_internal.is_visible(v_body ->> 'text') or octet_length(v_body ->> 'text') > 16000, true) then
        v_errors := v_errors || kiln_internal.field_error('/text', 'must be a string of 1 to 16000 bytes');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    perform kiln_internal.change_message(p_actor, kiln_internal.see_message(p_path), v_body ->> 'text');
    return kiln_api.get_message(p_actor, p_path, '{}', null);
end
$$;
comment on function kiln_api.edit_message(bigint, jsonb, jsonb, text) is 'PATCH /messages/{id}: {text}, by its author. KN004: another''s, left or closed; KN001: deleted.';

create or replace function kiln_api.delete_message(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln_internal.change_message(p_actor, kiln_internal.see_message(p_path), null);
    return null;
end
$$;
comment on function kiln_api.delete_message(bigint, jsonb, jsonb, text) is 'DELETE /messages/{id}: by its author; a tombstone stays. KN004: another''s; KN001: deleted.';

create or replace function kiln_internal.mark_as_asked(p_actor bigint, p_path jsonb, p_body text, p_is_read boolean)
returns json
language plpgsql
set search_path = ''
as $$
declare
    v_conversation kiln.conversation;
    v_body         jsonb := kiln_internal.parse_body(p_body);
    v_errors       jsonb := kiln_internal.unknown_fields(v_body, '{number}');
begin
    perform kiln_internal.require_actor(p_actor);
    v_conversation := kiln_internal.see_conversation(p_path);
    if coalesce(jsonb_typeof(v_body -> 'number') <> 'number' or v_body ->> 'number' !~ '^[0-9]{1,18}$', true) then
        v_errors := v_errors || kiln_internal.field_error('/number', 'must be the number of a message');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    perform kiln_internal.mark_conversation(p_actor, v_conversation.conversation_id, (v_body ->> 'number')::bigint, p_is_read);
    return kiln_api.get_conversation(p_actor, p_path, '{}', null);
end
$$;
comment on function kiln_internal.mark_as_asked(bigint, jsonb, text, boolean) is 'Moves the actor''s mark in the conversation of a path to {number}; returns the conversation.';

create or replace function kiln_api.mark_delivered(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$ begin return kiln_internal.mark_as_asked(p_actor, p_path, p_body, false); end $$;
comment on function kiln_api.mark_delivered(bigint, jsonb, jsonb, text) is 'POST /conversations/{id}/delivered: {number}: a device has all messages up to this one. Never goes back.';

create or replace function kiln_api.mark_read(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$ begin return kiln_internal.mark_as_asked(p_actor, p_path, p_body, true); end $$;
comment on function kiln_api.mark_read(bigint, jsonb, jsonb, text) is 'POST /conversations/{id}/read: {number}: all messages up to this one were read, and so delivered. Never goes back.';

create or replace function kiln_api.send_typing(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln_internal.emit_typing(p_actor, (kiln_internal.see_conversation(p_path)).conversation_id);
    return null;
end
$$;
comment on function kiln_api.send_typing(bigint, jsonb, jsonb, text) is
'POST /conversations/{id}/typing: the other members'' streams hear `typing`, at most every two seconds. KN004: left.';

-- Blocks.
create or replace function kiln_api.create_block(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body jsonb := kiln_internal.parse_body(p_body);
    v_id   bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    if coalesce(kiln_internal.plain_field(v_body, 'account_id'), '') !~ '^[0-9]{1,18}$' or kiln_internal.plain_field(v_body, 'account_id')::bigint = p_actor then
        perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{account_id}') || kiln_internal.field_error('/account_id', 'must be somebody else''s account'));
    end if;
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{account_id}'));
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_block', p_body);
    if v_id is null then
        v_id := (v_body ->> 'account_id')::bigint;
        perform kiln_internal.set_block(p_actor, v_id, true);
        perform kiln_internal.end_idempotent(p_actor, 'create_block', v_id);
    end if;
    return json_build_object('account_id', v_id::text);
end
$$;
comment on function kiln_api.create_block(bigint, jsonb, jsonb, text) is 'POST /blocks: {account_id}; twice is once. From then on neither writes to, finds or adds the other. KN002: no account that one could find or has met.';

create or replace function kiln_api.list_blocks(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    v_page record;
    v_rows bigint[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_rows := array(select b.blocked_id from kiln.block b
                     where b.account_id = p_actor and b.blocked_id < v_page.below
                     order by b.account_id desc, b.blocked_id desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_person(b)) from unnest(v_rows[:v_page.page_limit]) as b),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_blocks(bigint, jsonb, jsonb, text) is 'GET /blocks: whom the actor has blocked.';

create or replace function kiln_api.delete_block(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln_internal.set_block(p_actor, kiln_internal.parse_id(p_path ->> 'id'), false);
    return null;
end
$$;
comment on function kiln_api.delete_block(bigint, jsonb, jsonb, text) is 'DELETE /blocks/{account id}: no longer; twice is once.';

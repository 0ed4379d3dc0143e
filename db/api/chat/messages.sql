-- Messages.

-- Messages.
create or replace function kiln_internal.answered_number(p_message_id jsonb, p_conversation_id bigint)
returns bigint
language sql stable
return (select m.number from kiln.message m
         where m.message_id = case when jsonb_typeof(p_message_id) = 'string'
                                   and p_message_id #>> '{}' ~ '^[0-9]{1,18}$'
                                       then (p_message_id #>> '{}')::bigint end
                                              and m.conversation_id = p_conversation_id);
comment on function kiln_internal.answered_number(jsonb, bigint) is
'The number of the message that is answered, or null.';

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
        if v_body ? 'client_id' and (jsonb_typeof(v_body -> 'client_id') <> 'string'
                                     or length(v_body ->> 'client_id') not between 1 and 100) then
            v_errors := v_errors || kiln_internal.field_error('/client_id',
                                                              'must be a string of 1 to 100 characters');
        end if;
        if jsonb_typeof(v_body -> 'text') not in ('string', 'null') or octet_length(v_text) > 16000 then
            v_errors := v_errors || kiln_internal.field_error('/text',
                                                              'must be a string of at most 16000 bytes');
        elsif not coalesce(kiln_internal.is_visible(v_text), false) and v_media = '{}' then
            v_errors := v_errors || kiln_internal.field_error('/text', 'is required unless there is media');
        end if;
        if v_media is null then
            v_errors := v_errors || kiln_internal.field_error('/media',
                                                              'must be an array of at most 10 media ids');
        else
            select v_errors
                   || coalesce(jsonb_agg(jsonb_build_object('field', '/media/' || (u.ord - 1),
                                                            'message', 'is no media of yours that is ready')),
                               '[]')
              into v_errors
              from unnest(v_media) with ordinality as u (id, ord)
             where not exists (select from kiln.media m
                                where m.media_id = case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end
                                  and m.account_id = p_actor and m.state = 'ready');
        end if;
        if kiln_internal.plain_field(v_body, 'reply_to') is not null
           and kiln_internal.answered_number(v_body -> 'reply_to',
                                             v_conversation.conversation_id) is null then
            v_errors := v_errors || kiln_internal.field_error('/reply_to',
                                                              'is no message of this conversation');
        end if;
        perform kiln_internal.refuse_fields(v_errors);
        v_id := kiln_internal.post_message(p_actor, v_conversation.conversation_id, v_body ->> 'client_id',
                                           v_text,
                                  v_media::bigint[],
                                  kiln_internal.answered_number(v_body -> 'reply_to',
                                                                v_conversation.conversation_id));
        perform kiln_internal.end_idempotent(p_actor, v_route, v_id);
    end if;
    return kiln_api.get_message(p_actor, jsonb_build_object('id', v_id::text), '{}', null);
end
$$;
comment on function kiln_api.create_message(bigint, jsonb, jsonb, text) is
'POST /conversations/{id}/messages: {client_id?, text?, media?: [id], reply_to?}: the message, accepted; the
same client_id again is the same message. KN004: left or closed.';

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
comment on function kiln_api.get_message(bigint, jsonb, jsonb, text) is
'GET /messages/{id}: with its ticks as they are now. KN002: not there, or not for the actor.';

-- Sorts are off: of a table that was vacuumed while it was empty PostgreSQL expects one row, and all indices
-- cost the same.
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
        -- the last one that may be seen is seen
        v_before := case when v_before < 9223372036854775807 then v_before + 1 else v_before end;
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
comment on function kiln_api.list_messages(bigint, jsonb, jsonb, text) is
'GET /conversations/{id}/messages?limit=&cursor=: newest first, by index however long it is; for who has left,
up to then.';

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
    if coalesce(jsonb_typeof(v_body -> 'text') <> 'string' or not kiln_internal.is_visible(v_body ->> 'text')
                or octet_length(v_body ->> 'text') > 16000, true) then
        v_errors := v_errors || kiln_internal.field_error('/text', 'must be a string of 1 to 16000 bytes');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    perform kiln_internal.change_message(p_actor, kiln_internal.see_message(p_path), v_body ->> 'text');
    return kiln_api.get_message(p_actor, p_path, '{}', null);
end
$$;
comment on function kiln_api.edit_message(bigint, jsonb, jsonb, text) is
'PATCH /messages/{id}: {text}, by its author. KN004: another''s, left or closed; KN001: deleted.';

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
comment on function kiln_api.delete_message(bigint, jsonb, jsonb, text) is
'DELETE /messages/{id}: by its author; a tombstone stays. KN004: another''s; KN001: deleted.';

create or replace function kiln_internal.mark_as_asked(p_actor bigint, p_path jsonb, p_body text,
                                                       p_is_read boolean)
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
    if coalesce(jsonb_typeof(v_body -> 'number') <> 'number'
                or v_body ->> 'number' !~ '^[0-9]{1,18}$', true) then
        v_errors := v_errors || kiln_internal.field_error('/number', 'must be the number of a message');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    perform kiln_internal.mark_conversation(p_actor, v_conversation.conversation_id,
                                            (v_body ->> 'number')::bigint, p_is_read);
    return kiln_api.get_conversation(p_actor, p_path, '{}', null);
end
$$;
comment on function kiln_internal.mark_as_asked(bigint, jsonb, text, boolean) is
'Moves the actor''s mark in the conversation of a path to {number}; returns the conversation.';

create or replace function kiln_api.mark_delivered(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$ begin return kiln_internal.mark_as_asked(p_actor, p_path, p_body, false); end $$;
comment on function kiln_api.mark_delivered(bigint, jsonb, jsonb, text) is
'POST /conversations/{id}/delivered: {number}: a device has all messages up to this one. Never goes back.';

create or replace function kiln_api.mark_read(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$ begin return kiln_internal.mark_as_asked(p_actor, p_path, p_body, true); end $$;
comment on function kiln_api.mark_read(bigint, jsonb, jsonb, text) is
'POST /conversations/{id}/read: {number}: all messages up to this one were read, and so delivered. Never goes
back.';

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
'POST /conversations/{id}/typing: the other members'' streams hear `typing`, at most every two seconds. KN004:
left.';

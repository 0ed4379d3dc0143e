-- Conversations.

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
comment on function kiln_api.get_conversation(bigint, jsonb, jsonb, text) is
'GET /conversations/{id}: with its latest message and the unread count. KN002: not the actor''s.';

create or replace function kiln_api.create_conversation(p_actor bigint, p_path jsonb, p_query jsonb,
                                                        p_body text)
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
                v_errors := v_errors || kiln_internal.field_error('/members',
                                          'and title belong to a group, account_id to a conversation of two');
            end if;
        elsif not v_body ? 'members' then
            v_errors := v_errors || kiln_internal.field_error('/account_id', 'or members is required');
        elsif v_ids is null then
            v_errors := v_errors || kiln_internal.field_error('/members',
                                                              'must be an array of at most 255 accounts');
        else
            select v_errors
                   || coalesce(jsonb_agg(jsonb_build_object('field', '/members/' || (u.ord - 1),
                                                            'message', 'must be somebody whom one can find')),
                               '[]')
              into v_errors
              from unnest(v_ids) with ordinality as u (id, ord)
             where coalesce(not kiln_internal.may_meet(p_actor,
                                                       case when u.id ~ '^[0-9]{1,18}$'
                                                                then u.id::bigint end), true);
        end if;
        if v_body ? 'title' and v_body -> 'title' <> 'null'
           and (jsonb_typeof(v_body -> 'title') <> 'string'
                or not kiln_internal.is_name(v_body ->> 'title', 100)) then
            v_errors := v_errors || kiln_internal.field_error('/title',
                                        'must be one line of 1 to 100 characters, not all of them invisible');
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
'POST /conversations: {account_id}: the conversation with one other, which is made once; {members: [id],
title?}: a new group.';

create or replace function kiln_api.list_conversations(p_actor bigint, p_path jsonb, p_query jsonb,
                                                       p_body text)
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
        (select json_agg(kiln_internal.render_conversation(c, p_actor))
           from unnest(v_rows[:v_page.page_limit]) as c),
        (kiln_internal.last_of_page(v_rows, v_page.page_limit)).activity);
end
$$;
comment on function kiln_api.list_conversations(bigint, jsonb, jsonb, text) is
'GET /conversations: the actor''s, the one with the latest message first, as {items, next_cursor}.';

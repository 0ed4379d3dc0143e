-- Invitations.
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
        raise exception 'invitation % was made under this key; its token is shown once', v_id
            using errcode = 'KN015', detail = json_build_object('id', v_id::text)::text;
    end if;
    if v_life !~ '^[0-9]{1,7}$' or v_life::int not between 60 and 2592000 then
        v_errors := v_errors || kiln_internal.field_error('/expires_in_s',
                                                          'must be a number of seconds from 60 to 2592000');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    if kiln_internal.plain_field(v_body, 'conversation_id') is not null then
        v_conversation := kiln_internal.enter_conversation(p_actor,
                                kiln_internal.parse_id(kiln_internal.plain_field(v_body, 'conversation_id')));
        if not v_conversation.is_group then
            raise exception 'a conversation of two has room for two' using errcode = 'KN001';
        end if;
    end if;
    v_expires := kiln_internal.now() + v_life::int * interval '1 second';
    v_id := kiln_internal.make_invite(p_actor, v_conversation.conversation_id, v_token, v_expires);
    perform kiln_internal.end_idempotent(p_actor, 'create_invite', v_id);
    return json_build_object('id', v_id::text, 'token', v_token, 'link', '/invite#' || v_token,
                             'conversation_id', v_conversation.conversation_id::text,
                             'expires_at', kiln_internal.render_time(v_expires));
end
$$;
comment on function kiln_api.create_invite(bigint, jsonb, jsonb, text) is
'POST /invites: {conversation_id?, expires_in_s?}: a link to who invites, or into a group of theirs; the token
is shown once. KN015: made already.';

create or replace function kiln_api.list_invites(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
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
        (select json_agg(json_build_object('id', i.invite_id::text,
                                           'conversation_id', i.conversation_id::text,
                                           'expires_at', kiln_internal.render_time(i.expires_at),
                                           'revoked_at', kiln_internal.render_time(i.revoked_at),
                                           'created_at', kiln_internal.render_time(i.created_at))
                         order by i.invite_id desc)
           from kiln.invite i where i.invite_id = any (v_rows[:v_page.page_limit])),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_invites(bigint, jsonb, jsonb, text) is
'GET /invites: the actor''s, newest first, without their tokens.';

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
comment on function kiln_api.delete_invite(bigint, jsonb, jsonb, text) is
'DELETE /invites/{id}: takes it back. KN002: not the actor''s.';

create or replace function kiln_api.find_invite(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_invite kiln.invite;
begin
    perform kiln_internal.require_actor(p_actor);
    v_invite := kiln_internal.find_invite(p_actor,
                          coalesce(kiln_internal.plain_field(kiln_internal.parse_body(p_body), 'token'), ''));
    return json_build_object('from', kiln_internal.render_person(v_invite.account_id),
                             'conversation_id', v_invite.conversation_id::text,
                             'expires_at', kiln_internal.render_time(v_invite.expires_at));
end
$$;
comment on function kiln_api.find_invite(bigint, jsonb, jsonb, text) is
'POST /invites/find: {token}: who invites, and into which group. (A POST, so that no log of URLs has the
token.)';

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
    v_invite := kiln_internal.find_invite(p_actor,
                          coalesce(kiln_internal.plain_field(kiln_internal.parse_body(p_body), 'token'), ''));
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
comment on function kiln_api.accept_invite(bigint, jsonb, jsonb, text) is
'POST /invites/accept: {token}: the conversation it leads to, joined; twice is once.';

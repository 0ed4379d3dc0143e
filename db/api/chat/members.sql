-- Members of a conversation.

-- A cursor is the place of the last one shown, so that nobody is passed over when one of those before leaves
-- between two pages.
create or replace function kiln_internal.member_place(p_member kiln.member)
returns bigint[]
language sql stable
return array[(extract(epoch from p_member.joined_at) * 1000000)::bigint, p_member.account_id];
comment on function kiln_internal.member_place(kiln.member) is
'Where a member stands in the list: since when (microseconds since 1970), and the account.';

create or replace function kiln_internal.render_members(p_conversation kiln.conversation,
                                                        p_members kiln.member[], p_actor bigint)
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
                                'is_maker', m.account_id = p_conversation.made_by,
                                                        'delivered_number', m.delivered_number,
                                                            'read_number', m.read_number,
                                'presence', kiln_internal.render_presence(m.account_id, p_actor),
                                                        'joined_at', kiln_internal.render_time(m.joined_at))
                            order by kiln_internal.member_place(m))
              from unnest(p_members) as m), '[]'),
        'next_cursor', case when exists (select from kiln.member m
                                          where m.conversation_id = p_conversation.conversation_id
                                            and m.until_number is null
                                            and kiln_internal.member_place(m) > v_last)
                                then array_to_string(v_last, '.') end);
end
$$;
comment on function kiln_internal.render_members(kiln.conversation, kiln.member[], bigint) is
'These members as p_actor sees them, the oldest first, as {items, next_cursor}.';

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
         where m.conversation_id = v_conversation.conversation_id and m.until_number is null
           and kiln_internal.member_place(m) > string_to_array(v_cursor, '.')::bigint[]
         order by kiln_internal.member_place(m)
         limit v_page.page_limit), p_actor);
end
$$;
comment on function kiln_api.list_members(bigint, jsonb, jsonb, text) is
'GET /conversations/{id}/members?limit=&cursor=: who is in it, the oldest first, how far each has read and
whether it is online; nobody for who has left.';

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
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{account_id}')
                                        || v_other.errors);
    perform kiln_internal.join_conversation(v_conversation.conversation_id, v_other.account_id, p_actor);
    return kiln_internal.render_members(v_conversation, array(
        select m
          from kiln.member m
          join kiln.member n on n.conversation_id = m.conversation_id and n.account_id = v_other.account_id
         where m.conversation_id = v_conversation.conversation_id and m.until_number is null
           and kiln_internal.member_place(m) <= kiln_internal.member_place(n)
         order by kiln_internal.member_place(m) desc
         limit 20), p_actor);
end
$$;
comment on function kiln_api.add_member(bigint, jsonb, jsonb, text) is
'POST /conversations/{id}/members: {account_id}; any member of a group may; twice is once. Returns the page of
members that ends with this one.';

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
    v_account_id := case when p_query ? 'account_id' then kiln_internal.parse_id(p_query ->> 'account_id')
                         else p_actor end;
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
'DELETE /conversations/{id}/members?account_id=: leaves a group (no account_id: oneself), or removes another,
if one made it (KN004).';

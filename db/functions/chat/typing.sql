-- Who is typing.

-- Typing: told to streams, kept nowhere.
create or replace function kiln_internal.emit_typing(p_actor bigint, p_conversation_id bigint)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    if not exists (select from kiln.member m where m.conversation_id = p_conversation_id
                      and m.account_id = p_actor and m.until_number is null) then
        raise exception 'you have left this conversation' using errcode = 'KN004';
    end if;
    insert into kiln.typing (conversation_id, account_id, at)
    values (p_conversation_id, p_actor, kiln_internal.now())
    on conflict (conversation_id, account_id) do update set at = excluded.at
     -- a clock that went back an hour silences nobody for an hour
     where typing.at < excluded.at - interval '2 seconds' or typing.at > excluded.at + interval '2 seconds';
    if not found then
        return;
    end if;
    insert into kiln.ephemeral_event (account_id, type, data)
    select m.account_id, 'typing', jsonb_build_object('conversation_id', p_conversation_id::text,
                                                      'account', kiln_internal.render_person(p_actor))
      from kiln.member m
     where m.conversation_id = p_conversation_id and m.until_number is null and m.account_id <> p_actor
       and not kiln_internal.is_blocked(p_actor, m.account_id);
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_internal.emit_typing(bigint, bigint) is
'Tells the other members'' streams that p_actor, a member, is typing; at most every two seconds. KN004: has
left.';

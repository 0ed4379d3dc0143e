-- Invitations.
create or replace function kiln_internal.make_invite(p_actor bigint, p_conversation_id bigint, p_token text,
                                                     p_expires_at timestamptz)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_invite_id bigint;
begin
    insert into kiln.invite (token_hash, account_id, conversation_id, expires_at)
    values (sha256(convert_to(p_token, 'UTF8')), p_actor, p_conversation_id, p_expires_at)
    returning invite_id into v_invite_id;
    return v_invite_id;
end
$$;
comment on function kiln_internal.make_invite(bigint, bigint, text, timestamptz) is
'Writes an invitation; of its token only the hash.';

create or replace function kiln_internal.revoke_invite(p_actor bigint, p_invite_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.invite i set revoked_at = coalesce(i.revoked_at, kiln_internal.now())
     where i.invite_id = p_invite_id and i.account_id = p_actor;
    if not found then
        raise exception 'there is no such invitation' using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln_internal.revoke_invite(bigint, bigint) is
'Takes an invitation back; it may be said twice. KN002: not the actor''s.';

create or replace function kiln_internal.find_invite(p_actor bigint, p_token text)
returns kiln.invite
language plpgsql security definer
set search_path = ''
as $$
declare
    v_invite kiln.invite;
begin
    -- The group first, as whoever removes a member has it: else each would wait for what the other holds.
    perform from kiln.conversation c
      where c.conversation_id = (select i.conversation_id from kiln.invite i
                                  where i.token_hash = sha256(convert_to(p_token, 'UTF8'))) for update;
    select i.* into v_invite
      from kiln.invite i
      join kiln.account a using (account_id)
     where i.token_hash = sha256(convert_to(p_token, 'UTF8')) and i.revoked_at is null
       and i.expires_at > kiln_internal.now()
       and not a.is_suspended and not kiln_internal.is_blocked(p_actor, i.account_id)
       and (i.conversation_id is null
            or exists (select from kiln.member m where m.conversation_id = i.conversation_id
                          and m.account_id = i.account_id and m.until_number is null))
       for share of i;
    if not found then
        raise exception 'this invitation is not valid, or not any more' using errcode = 'KN002';
    end if;
    return v_invite;
end
$$;
comment on function kiln_internal.find_invite(bigint, text) is
'The invitation of a token. KN002: unknown, expired, taken back, of someone who is blocked either way, or into
a group its maker has left.';

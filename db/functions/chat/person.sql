-- Chat, behind its routes: what writes, and what must see more than one account's rows to render. A route
-- asks first whether the actor may; these functions ask again where a lock decides.
--
-- Lock order: the conversation, then its members' rows. Whoever writes a message, comes, goes or blocks holds
-- the conversation.
create or replace function kiln_internal.render_person(p_account_id bigint)
returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select jsonb_build_object('id', a.account_id::text, 'handle', a.handle,
                                      'display_name', a.display_name)
              from kiln.account a where a.account_id = p_account_id);
end
$$;
comment on function kiln_internal.render_person(bigint) is
'An account, as others see it: {id, handle, display_name}.';

create or replace function kiln_internal.is_blocked(p_one bigint, p_other bigint)
returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return exists (select from kiln.block b
                    where (b.account_id, b.blocked_id) in ((p_one, p_other), (p_other, p_one)));
end
$$;
comment on function kiln_internal.is_blocked(bigint, bigint) is
'Whether one of the two has blocked the other.';

create or replace function kiln_internal.find_people(p_actor bigint, p_handle text, p_limit int)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return coalesce((
        select jsonb_agg(kiln_internal.render_person(f.account_id) order by f.handle <> p_handle, f.handle)
          from (select a.account_id, a.handle from kiln.account a
                 where a.handle ~>=~ p_handle and a.handle ~<~ (p_handle || '~') and not a.is_suspended
                   and not kiln_internal.is_blocked(p_actor, a.account_id)
                 order by a.handle using ~<~ limit p_limit) f), '[]');
end
$$;
comment on function kiln_internal.find_people(bigint, text, int) is
'People whose handle is, or begins with, these letters; not those who are suspended, or have blocked or are
blocked by the actor.';

create or replace function kiln_internal.may_know(p_actor bigint, p_account_id bigint)
returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
    -- By id only whom one could find or has met: else counting upwards would list everyone.
    return exists (select from kiln.account a where a.account_id = p_account_id and a.handle is not null
                      and not a.is_suspended)
        or exists (select from kiln.member x join kiln.member y using (conversation_id)
                    where x.account_id = p_actor and y.account_id = p_account_id);
end
$$;
comment on function kiln_internal.may_know(bigint, bigint) is
'Whether the actor may be told that an account exists: it can be found by its handle, or the two are or were
in one conversation.';

create or replace function kiln_internal.may_meet(p_actor bigint, p_account_id bigint)
returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return p_account_id <> p_actor and kiln_internal.may_know(p_actor, p_account_id)
        and not kiln_internal.is_blocked(p_actor, p_account_id)
       and exists (select from kiln.account a where a.account_id = p_account_id and not a.is_suspended);
end
$$;
comment on function kiln_internal.may_meet(bigint, bigint) is
'Whether the actor may begin a conversation with an account or add it to a group.';

create or replace function kiln_internal.set_block(p_actor bigint, p_account_id bigint, p_is_blocked boolean)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    -- Under the conversation's lock: once the block is answered, no message that was on its way comes after
    -- it.
    perform from kiln.conversation c where c.pair_low = least(p_actor, p_account_id)
       and c.pair_high = greatest(p_actor, p_account_id) for update;
    if p_is_blocked then
        if not kiln_internal.may_know(p_actor, p_account_id) then       -- the list of blocks shows names
            raise exception 'there is no such account' using errcode = 'KN002';
        end if;
        perform kiln_internal.lock_presence(true);
        if exists (select from kiln.account a where a.account_id = p_actor and a.show_presence)
           -- neither sees the other go
           and exists (select from kiln_internal.contacts(p_actor) c where c = p_account_id) then
            perform kiln_internal.emit_absence(p_actor, array[p_account_id]),
                   kiln_internal.emit_absence(p_account_id, array[p_actor]);
        end if;
        insert into kiln.block (account_id, blocked_id) values (p_actor, p_account_id) on conflict do nothing;
    else
        delete from kiln.block b where b.account_id = p_actor and b.blocked_id = p_account_id;
    end if;
end
$$;
comment on function kiln_internal.set_block(bigint, bigint, boolean) is
'Blocks an account, or no longer; either may be said twice. KN002: there is none that the actor may know of
(kiln_internal.may_know).';

-- Bounds: the 200 latest conversations, groups of at most 32, 500 people. In larger groups nobody is told;
-- their list of members says who is there.
create or replace function kiln_internal.contacts(p_account_id bigint)
returns setof bigint
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin
    = off set enable_mergejoin = off
as $$
begin
    return query
    select distinct m.account_id
      from (select c.conversation_id, c.is_group
              from kiln.member x join kiln.conversation c using (conversation_id)
             where x.account_id = p_account_id and x.until_number is null
             order by c.activity desc limit 200) c
      join kiln.member m using (conversation_id)
      join kiln.account a on a.account_id = m.account_id
     where m.until_number is null and m.account_id <> p_account_id and a.show_presence
       and (not c.is_group or (select count(*) from kiln.member o
                                where o.conversation_id = c.conversation_id and o.until_number is null) <= 32)
       and not exists (select from kiln.block b where b.account_id = p_account_id
                          and b.blocked_id = m.account_id)
       and not exists (select from kiln.block b where b.account_id = m.account_id
                          and b.blocked_id = p_account_id)
     limit 500;
end
$$;
comment on function kiln_internal.contacts(bigint) is
'Who is told of this account''s presence, and it of theirs: who is in a conversation with it (the 200 latest;
groups of at most 32; 500 people), shows its own presence, and is not blocked either way.';

create or replace function kiln_internal.render_state(p_is_online boolean, p_seen_at timestamptz)
returns jsonb
language sql stable
return jsonb_build_object('state', case when p_is_online then 'online' else 'offline' end,
                          'last_seen_at', case when not p_is_online
                                                   then kiln_internal.render_time(p_seen_at) end);
comment on function kiln_internal.render_state(boolean, timestamptz) is
'Whether somebody is online, as others see it: {state, last_seen_at}; the ephemeral event `presence` adds
who.';

-- Who opened a stream a moment ago is not known to listen yet, for its process tells once a second: it has
-- asked for everybody's state by then and hears no change. So who is new here is told what changed around it
-- in the last half minute.
create or replace function kiln_internal.emit_presence(p_account_ids bigint[])
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin
    = off set enable_mergejoin = off
as $$
begin
    insert into kiln.ephemeral_event (account_id, type, data)
    with pair as materialized (
        select t.account_id, c.contact_id
          from unnest(p_account_ids) as t (account_id)
          join kiln.account a on a.account_id = t.account_id and a.show_presence
         cross join lateral kiln_internal.contacts(t.account_id) as c (contact_id))
    select told.listener, 'presence', kiln_internal.render_state(p.is_online, p.seen_at)
           || jsonb_build_object('account', kiln_internal.render_person(p.account_id))
      from (select l.account_id as listener, pair.account_id as about
              from pair join kiln.presence l on l.account_id = pair.contact_id
             where l.is_online or l.due_at is not null
             union
            select pair.account_id, o.account_id
              from pair join kiln.presence l on l.account_id = pair.account_id and l.is_online
                        join kiln.presence o on o.account_id = pair.contact_id
             where o.changed_at > kiln_internal.now() - interval '30 seconds') told
      join kiln.presence p on p.account_id = told.about;
    if found then
        perform kiln_internal.notify_waiters(null);
    end if;
end
$$;
comment on function kiln_internal.emit_presence(bigint[]) is
'Ephemeral events the state of these accounts to those of their contacts who listen, and to each of them that
is online what changed around it in the last 30 seconds.';

create or replace function kiln_internal.emit_absence(p_account_id bigint, p_to bigint[])
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    insert into kiln.ephemeral_event (account_id, type, data)
    select p.account_id, 'presence', kiln_internal.render_state(false, null)
           || jsonb_build_object('account', kiln_internal.render_person(p_account_id))
      from kiln.presence p where p.account_id = any (p_to) and (p.is_online or p.due_at is not null);
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_internal.emit_absence(bigint, bigint[]) is
'Ephemeral events to those of these accounts who listen that one is offline, without since when: it does not
show itself to them any more.';

create or replace function kiln_internal.settle_presence(p_limit int)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_due     bigint[] := array(select p.account_id from kiln.presence p where p.due_at <= kiln_internal.now()
                                 order by p.due_at limit 10 * p_limit);
    v_changed bigint[];
begin
    if v_due = '{}' then
        return false;
    end if;
    v_changed := array(select p.account_id from kiln.presence p
                        where p.account_id = any (v_due)
                          and p.is_online <> kiln_internal.is_listening(p.account_id));
    update kiln.presence p set due_at = null where p.account_id = any (v_due)
       and p.account_id <> all (v_changed);
    v_changed := v_changed[:p_limit];
    update kiln.presence p set is_online = not p.is_online, changed_at = kiln_internal.now(), due_at = null
     where p.account_id = any (v_changed);
    perform kiln_internal.emit_presence(v_changed);
    return exists (select from kiln.presence p where p.due_at <= kiln_internal.now());
end
$$;
comment on function kiln_internal.settle_presence(int) is
'Decides of those whose time has come whether they are online, and tells of at most p_limit that changed;
true: there are more. The caller holds the lock.';

create or replace function kiln_internal.render_presence(p_account_id bigint, p_viewer bigint)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_presence kiln.presence;
begin
    if exists (select from kiln.account a where a.account_id in (p_account_id, p_viewer)
                  and not a.show_presence) or kiln_internal.is_blocked(p_account_id, p_viewer) then
        return null;
    end if;
    select * into v_presence from kiln.presence p where p.account_id = p_account_id;
    return kiln_internal.render_state(coalesce(v_presence.is_online, false), v_presence.seen_at);
end
$$;
comment on function kiln_internal.render_presence(bigint, bigint) is
'{state (online, offline), last_seen_at} of an account, for another that is in a conversation with it, which
the caller has checked. Null: one of the two hides its presence, or has blocked the other.';

create or replace function kiln_internal.show_presence(p_account_id bigint, p_is_shown boolean)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform kiln_internal.lock_presence(true);
    update kiln.account a set show_presence = p_is_shown
     where a.account_id = p_account_id and a.show_presence <> p_is_shown;
    if not found then
        return;
    elsif p_is_shown then
        perform kiln_internal.emit_presence(array[p_account_id]);
    else
        perform kiln_internal.emit_absence(p_account_id, array(select kiln_internal.contacts(p_account_id)));
    end if;
end
$$;
comment on function kiln_internal.show_presence(bigint, boolean) is
'Shows an account''s presence to others, and theirs to it, or no longer; who listens is told at once.';

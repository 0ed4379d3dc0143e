-- Who is online, as the processes of the server tell it.
create or replace function kiln_api.report_audience(p_instance_id bigint, p_came bigint[], p_went bigint[],
                                                    p_is_anew boolean)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    -- what a crash forgets is told anew when the link is up again
    perform set_config('synchronous_commit', 'off', true);
    -- Who buries an instance holds its row and then presence, so here too the row comes first.
    perform from kiln.instance i where i.instance_id = p_instance_id and i.ended_at is null for key share;
    if not found then
        return null;
    elsif not kiln_internal.lock_presence(p_is_anew or p_came <> '{}' or p_went <> '{}') then
        return false;                                           -- another process settles what is due
    end if;
    if p_is_anew then
        perform kiln_internal.end_audience(p_instance_id, kiln_internal.now());
    end if;
    insert into kiln.audience (instance_id, account_id)
    select p_instance_id, a.account_id from kiln.account a where a.account_id = any (p_came)
    on conflict do nothing;
    insert into kiln.presence as p (account_id, due_at)
    select a.account_id, kiln_internal.now() from kiln.account a where a.account_id = any (p_came)
    on conflict (account_id) do update set due_at = excluded.due_at where not p.is_online;
    delete from kiln.audience a where a.instance_id = p_instance_id and a.account_id = any (p_went);
    update kiln.presence p
       set seen_at = kiln_internal.now(), due_at = case when p.is_online
                     then kiln_internal.now() + (select c.presence_grace from kiln.config c) else p.due_at end
     where p.account_id = any (p_went);
    return kiln_internal.settle_presence(100);
end
$$;
comment on function kiln_api.report_audience(bigint, bigint[], bigint[], boolean) is
'Whose first stream was opened in this process and whose last was closed, since it told last; p_is_anew: it
has
told nothing before that counts. Then tells of those whose presence changed, up to 100 a call. True: there are
more, call again. Null: it is not known to live; its next beat says what to do.';

-- The end of an account.

-- What is told at once: nobody gets in, nothing of the person is left in the row, streams close. What takes
-- longer (jobs that run, paid calls that must be followed to their end, many files) is done a batch at a
-- time, here and then by the tick.
create or replace function kiln.delete_account(p_account_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_identity kiln.identity;
begin
    perform kiln_internal.guard_own(p_account_id);
    update kiln.account a
       set is_suspended = true, deleted_at = kiln_internal.now(), role = 'user', handle = null,
           display_name = null, notify_email = false, email = null
     where a.account_id = p_account_id and a.deleted_at is null;
    if not found then
        return;
    end if;
    for v_identity in select * from kiln.identity i where i.account_id = p_account_id order by i.identity_id
                         for update
    loop
        perform kiln_internal.revoke_identity(v_identity);
    end loop;
    delete from kiln.webhook_endpoint e where e.account_id = p_account_id;
    delete from kiln.delivery d where d.account_id = p_account_id;
    perform kiln_internal.end_sessions(p_account_id, 'the account was deleted');
    perform kiln_internal.purge_account(p_account_id, 100);
end
$$;
comment on function kiln.delete_account(bigint) is
'Deletes an account for good. Its jobs, files and memberships go, at the latest when its last paid call is
settled. An empty row and the ledger stay.';

create or replace function kiln_internal.purge_account(p_account_id bigint, p_limit int)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_id           bigint;
    v_state        kiln.job_state;
    v_conversation kiln.conversation;
begin
    if not exists (select from kiln.account a where a.account_id = p_account_id
                      and a.deleted_at is not null) then
        raise exception 'account % was not deleted', p_account_id using errcode = 'KN001';
    end if;
    for v_conversation in
        select c.* from kiln.member m join kiln.conversation c using (conversation_id)
         where m.account_id = p_account_id and m.until_number is null order by c.conversation_id limit p_limit
           for update of c
    loop
        perform kiln_internal.leave_conversation(v_conversation, p_account_id, p_account_id);
    end loop;
    -- Not those that are cancelled already and are their runner's, or their provider's, for up to a day: a
    -- batch of them kept all later ones.
    for v_id, v_state in
        select j.job_id, j.state from kiln.job j
         where j.account_id = p_account_id
           and case when j.finished_at is null then j.state <> 'cancelling'
                    else kiln_internal.unsettled_calls(j.job_id) = '{}' end
         order by j.job_id limit p_limit
    loop
        perform kiln_internal.drop_job(v_id, v_state);
    end loop;
    delete from kiln.project p where p.account_id = p_account_id
       and not exists (select from kiln.image i where i.project_id = p.project_id);
    delete from kiln.media m
     where m.media_id in (select x.media_id from kiln.media x
                           where x.account_id = p_account_id and x.job_id is null
                             and not exists (select from kiln.picture c where c.media_id = x.media_id)
                           order by x.media_id limit p_limit);
    delete from kiln.notification n where n.account_id = p_account_id;
    delete from kiln.announcement a where a.account_id = p_account_id;
    delete from kiln.api_key k where k.account_id = p_account_id;
    delete from kiln.block b where b.account_id = p_account_id or b.blocked_id = p_account_id;
    delete from kiln.invite i where i.account_id = p_account_id;
    delete from kiln.share s where s.account_id = p_account_id;
    delete from kiln.idempotency i where i.account_id = p_account_id;
    delete from kiln.job_ends_read r where r.account_id = p_account_id;
    delete from kiln.account_rate r where r.account_id = p_account_id;
    delete from kiln.presence p where p.account_id = p_account_id;
    if exists (select from kiln.job j where j.account_id = p_account_id)
       or exists (select from kiln.media m where m.account_id = p_account_id)
       or exists (select from kiln.member m where m.account_id = p_account_id and m.until_number is null) then
        return false;
    end if;
    update kiln.account a set purged_at = kiln_internal.now() where a.account_id = p_account_id;
    return true;
end
$$;
comment on function kiln_internal.purge_account(bigint, int) is
'Removes a batch of what a deleted account still has; true when nothing is left. Jobs that run are cancelled
and wait for their runner, those with a paid call that is not settled for its end. KN001: it was not
deleted.';

-- In no order, as kiln_internal.purge_projects(): the first so many may all be waiting for a provider, and
-- the others would wait for them.
create or replace function kiln_internal.purge_accounts(p_limit int)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account_id bigint;
begin
    for v_account_id in
        select a.account_id from kiln.account a where a.deleted_at is not null and a.purged_at is null
         order by random() limit p_limit
    loop
        perform kiln_internal.purge_account(v_account_id, 100);
    end loop;
end
$$;
comment on function kiln_internal.purge_accounts(int) is 'The tick''s part of deleting accounts.';

-- A call's life, and the money's. ENABLE ALWAYS: no setting switches these triggers off; they hold for
-- everyone, hand-typed or not.
create or replace function kiln_internal.guard_call_move()
returns trigger
language plpgsql
as $$
begin
    if old.state <> new.state and not exists (select from kiln.call_move m
                                               where m.from_state = old.state and m.to_state = new.state) then
        raise exception 'call % is %: it cannot become %', old.call_id, old.state, new.state
            using errcode = 'KN001',
                  hint = coalesce('From ' || old.state || ' it may become: '
                         || (select string_agg(m.to_state::text, ', ' order by m.to_state)
                               from kiln.call_move m where m.from_state = old.state) || '.',
                         'That state is final.');
    end if;
    if (old.call_id, old.task_id, old.job_id, old.account_id, old.provider_id, old.number,
        old.idempotency_key, old.webhook_token, old.estimated_micros, old.created_at)
       is distinct from (new.call_id, new.task_id, new.job_id, new.account_id, new.provider_id, new.number,
                         new.idempotency_key, new.webhook_token, new.estimated_micros, new.created_at)
       or (old.request, old.request_hash) is distinct from (new.request, new.request_hash)
        and exists (select from kiln.job j where j.job_id = old.job_id) then
        raise exception 'call %: what it was begun with never changes', old.call_id using errcode = 'KN001';
    end if;
    if old.state = 'settled' and (old.outcome, old.settled_at, old.error_class,
                                  old.is_unbilled) is distinct from (new.outcome, new.settled_at,
                                                                     new.error_class, new.is_unbilled) then
        raise exception 'call %: how it ended never changes', old.call_id
            using errcode = 'KN001',
            hint = 'What a provider says afterwards stands in late_outcome and charged_micros.';
    end if;
    if new.state = 'settled' and old.state <> 'settled' then
        new.settled_at := coalesce(new.settled_at, kiln_internal.now());
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_call_move() is
'Lets only the moves of kiln.call_move pass, and keeps what a call was begun with and how it ended (KN001).';

create or replace trigger t20_move before update on kiln.call for each row
    execute function kiln_internal.guard_call_move();
alter table kiln.call enable always trigger t20_move;

create or replace function kiln_internal.guard_call_insert()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.is_by_hand() then
        raise exception 'kiln.call: a call begins when a runner asks for it, not by hand'
            using errcode = 'KN001', hint = 'kiln_runner.begin_call() makes it.';
    elsif new.state <> 'open' then
        raise exception 'call %: a call begins open', new.call_id using errcode = 'KN001';
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_call_insert() is
'Lets calls begin as open only, and by a runner''s word (KN001).';

create or replace trigger t20_insert before insert on kiln.call for each row
    execute function kiln_internal.guard_call_insert();
alter table kiln.call enable always trigger t20_insert;

create or replace function kiln_internal.guard_call_delete()
returns trigger
language plpgsql
as $$
begin
    if old.state <> 'settled' or exists (select from kiln.job j where j.job_id = old.job_id) then
        raise exception 'call % is %: a call stays as long as its job', old.call_id, old.state
            using errcode = 'KN001', hint = 'Delete the job, once it has ended and its calls are settled.';
    end if;
    return old;
end
$$;
comment on function kiln_internal.guard_call_delete() is
'Refuses to delete a call whose job is there, or that is not settled (KN001).';

create or replace trigger t10_guard_delete before delete on kiln.call for each row
    execute function kiln_internal.guard_call_delete();
alter table kiln.call enable always trigger t10_guard_delete;

-- With a job goes what its calls said and brought; that there were calls, and what they cost, stays.
create or replace function kiln_internal.guard_job_calls()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.unsettled_calls(old.job_id) <> '{}' then
        raise exception 'job % has a call that is not settled: it may still cost', old.job_id
            using errcode = 'KN001', hint = 'select * from kiln.calls where job = ' || old.job_id
            || ' tells which; it is followed to its end, or given up after a day.';
    end if;
    return old;
end
$$;
comment on function kiln_internal.guard_job_calls() is
'Refuses to delete a job while a call of it is not settled (KN001).';

create or replace trigger t11_guard_calls before delete on kiln.job for each row
    execute function kiln_internal.guard_job_calls();
alter table kiln.job enable always trigger t11_guard_calls;

create or replace function kiln_internal.redact_calls()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
    -- By their keys: a join with the deleted rows was planned over the whole index while the table was small,
    -- and stayed.
    update kiln.call c
       set request = '{}', request_hash = '', urls = null, poll_request = null, result = null,
           error_message = null, why = null
     where c.call_id = any (array(
               select x.call_id
                 from old_rows o
                cross join lateral (select d.call_id from kiln.call d where d.job_id = o.job_id offset 0) x));
    delete from kiln.deferred_task p using old_rows o
     where p.task_id between kiln_internal.task_id(o.job_id, 0) and kiln_internal.task_id(o.job_id, 99, 99);
    return null;
end
$$;
comment on function kiln_internal.redact_calls() is
'Empties the calls of deleted jobs of what people wrote and what came of it; the money stays.';

create or replace trigger t60_redact_calls
    after delete on kiln.job referencing old table as old_rows
    for each statement execute function kiln_internal.redact_calls();
alter table kiln.job enable always trigger t60_redact_calls;

-- Every provider has its limiter. A change of its description makes composed polls stale.
create or replace function kiln_internal.on_provider_write()
returns trigger
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_call record;
begin
    insert into kiln.provider_limiter (provider_id) values (new.provider_id) on conflict do nothing;
    if tg_op = 'UPDATE' then
        for v_call in select c.call_id from kiln.call c
                       where c.provider_id = new.provider_id and c.state = 'accepted'
                         and c.poll_request is not null
        loop
            update kiln.call c set poll_request = kiln_internal.poll_request(c, 'poll')
             where c.call_id = v_call.call_id;
        end loop;
    end if;
    return null;
end
$$;
comment on function kiln_internal.on_provider_write() is
'Gives each provider its limiter, and composes the polls of its accepted calls anew when its description
changes.';

create or replace trigger t60_limiter after insert or update on kiln.provider for each row
    execute function kiln_internal.on_provider_write();
alter table kiln.provider enable always trigger t60_limiter;

create or replace function kiln_internal.on_cap_change()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.task_waiting t set due_at = kiln_internal.now()
      from kiln.deferred_task p
     where p.account_id = new.account_id and p.reason = 'account_cap' and t.task_id = p.task_id;
    return null;
end
$$;
comment on function kiln_internal.on_cap_change() is
'Has the tasks that an account''s cap stopped look again.';

create or replace trigger t60_cap after update of day_cap_micros on kiln.account for each row
    execute function kiln_internal.on_cap_change();
alter table kiln.account enable always trigger t60_cap;

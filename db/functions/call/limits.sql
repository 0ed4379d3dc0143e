-- Whether a call may begin now, and the tasks that are deferred until it may.
create or replace function kiln_internal.refuse_call(
    p_provider   kiln.provider,
    p_task       kiln.task,
    p_account_id bigint,
    p_estimated  bigint,
    out reason   text,
    out sentence text,
    out until    timestamptz)
language plpgsql
as $$
declare
    v_limiter   kiln.provider_limiter;
    v_mine   boolean := false;      -- it was woken: a place is kept for it
    v_others int;
    v_calls  int;
    v_cap    bigint;
    v_step   interval;
    v_slack  interval;
begin
    if not p_provider.is_enabled then
        reason := 'disabled';
        sentence := format('Provider %s is switched off.', p_provider.name);
        return;
    end if;
    select g.* into v_limiter from kiln.provider_limiter g where g.provider_id = p_provider.provider_id;
    if not found then
        reason := 'paused';     -- nothing could be counted: no call, rather than calls without limits
        sentence := format('Provider %s has lost its limiter: no call begins before it is mended.',
                           p_provider.name);
        return;
    end if;
    if v_limiter.circuit <> 'closed' or p_provider.max_calls is not null
       or p_provider.rate_per_minute is not null or p_provider.day_cap_micros is not null then
        select g.* into v_limiter from kiln.provider_limiter g where g.provider_id = p_provider.provider_id
           for no key update;
    end if;

    if v_limiter.circuit <> 'closed' and kiln_internal.now() < v_limiter.open_until then
        reason := 'circuit';
        until := v_limiter.open_until;
        sentence := case v_limiter.circuit when 'open'
                             then format('Provider %s keeps failing: no call before %s.', p_provider.name,
                                         to_char(until, 'HH24:MI:SS'))
                                        else format('Provider %s kept failing: one call is trying it.',
                                                    p_provider.name) end;
        return;
    elsif v_limiter.paused_until > kiln_internal.now() then
        reason := 'paused';
        until := v_limiter.paused_until;
        sentence := format('Provider %s asked for a pause until %s.', p_provider.name,
                           to_char(until, 'HH24:MI:SS'));
        return;
    end if;

    if p_provider.max_calls is not null or p_provider.rate_per_minute is not null then
        select count(*) filter (where p.task_id <> p_task.task_id),
               coalesce(bool_or(p.task_id = p_task.task_id), false) into v_others, v_mine
          from kiln.deferred_task p
         where p.provider_id = p_provider.provider_id
           and p.admitted_at > kiln_internal.now() - interval '30 seconds';
    end if;
    if p_provider.max_calls is not null then
        select count(*) into v_calls from kiln.call c
         where c.provider_id = p_provider.provider_id and c.settled_at is null;
        if v_calls + (case when v_mine then 0 else v_others end) >= p_provider.max_calls then
            reason := 'calls';
            sentence := format('Provider %s has %s of %s calls in work.', p_provider.name, v_calls,
                               p_provider.max_calls);
            return;
        end if;
    end if;
    if v_others is not null and not v_mine
       and exists (select from kiln.deferred_task p
                    where p.provider_id = p_provider.provider_id and p.admitted_at is null
                      and p.reason in ('calls', 'rate') and p.task_id <> p_task.task_id
                      and (p.priority > p_task.priority or p.priority = p_task.priority
                           and (p.virtual_time, p.task_id) < (p_task.virtual_time, p_task.task_id))) then
        reason := case when p_provider.max_calls is null then 'rate' else 'calls' end;
        sentence := format('Others wait for provider %s before it.', p_provider.name);
        return;
    end if;
    if p_provider.rate_per_minute is not null then
        v_step := kiln_internal.rate_step(p_provider.rate_per_minute, p_provider.rate_burst);
        v_slack := v_step * (coalesce(p_provider.rate_burst, 1) - 1);
        if v_limiter.theoretical_arrival_at - v_slack > kiln_internal.now() then
            reason := 'rate';
            until := v_limiter.theoretical_arrival_at - v_slack;
            sentence := format('Provider %s takes %s calls a minute.', p_provider.name,
                               p_provider.rate_per_minute);
            return;
        end if;
    end if;

    if p_provider.day_cap_micros is not null
       and kiln_internal.spent_today(p_provider.provider_id,
                                     null) + p_estimated > p_provider.day_cap_micros then
        reason := 'provider_cap';
        until := date_trunc('day', kiln_internal.now(), 'UTC') + interval '1 day';
        sentence := format('Provider %s may cost %s a day, and that is reached: it goes on at %s UTC.',
                           p_provider.name, kiln_internal.format_money(p_provider.day_cap_micros),
                           to_char(until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'));
        return;
    end if;
    select a.day_cap_micros into v_cap from kiln.account a where a.account_id = p_account_id;
    if v_cap is not null then
        select a.day_cap_micros into v_cap from kiln.account a where a.account_id = p_account_id
           for no key update;
        if kiln_internal.spent_today(null, p_account_id) + p_estimated > v_cap then
            reason := 'account_cap';
            until := date_trunc('day', kiln_internal.now(), 'UTC') + interval '1 day';
            sentence := format('This account may spend %s a day, and that is reached: it goes on at %s UTC.',
                               kiln_internal.format_money(v_cap),
                               to_char(until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'));
            return;
        end if;
    end if;

    -- Granted.
    if v_limiter.circuit <> 'closed' or v_step is not null then
        update kiln.provider_limiter g
           set theoretical_arrival_at        = case when v_step is null then g.theoretical_arrival_at
                                                    else greatest(g.theoretical_arrival_at,
                                                                  kiln_internal.now()) + v_step end,
               circuit    = case when g.circuit = 'closed' then 'closed' else 'half_open' end::kiln.circuit,
               open_until = case when g.circuit = 'closed' then g.open_until
                               else kiln_internal.now() + interval '10 seconds' + p_provider.reply_timeout end
         where g.provider_id = p_provider.provider_id;
    end if;
    delete from kiln.deferred_task p where p.task_id = p_task.task_id;
end
$$;
comment on function kiln_internal.refuse_call(kiln.provider, kiln.task, bigint, bigint) is
'Why a call may not begin now, as a word and as a sentence, and until when where that is known; no reason: it
may, and its permit is taken. Where there are limits the limiter is locked until the end of the transaction.';

create or replace function kiln_internal.defer_task(p_task kiln.task, p_provider kiln.provider,
                                                    p_account_id bigint, p_estimated bigint, p_reason text,
                                                    p_sentence text, p_until timestamptz)
returns void
language plpgsql
as $$
declare
    v_before text := (select p.reason from kiln.deferred_task p where p.task_id = p_task.task_id);
begin
    insert into kiln.deferred_task (task_id, provider_id, account_id, priority, virtual_time,
                                    estimated_micros, reason)
    values (p_task.task_id, p_provider.provider_id, p_account_id, p_task.priority, p_task.virtual_time,
            p_estimated, p_reason)
    on conflict (task_id) do update set reason = excluded.reason, admitted_at = null,
           virtual_time = excluded.virtual_time, estimated_micros = excluded.estimated_micros;
    update kiln.task t
       set state = 'waiting', due_at = case when p_reason = 'account_cap' then p_until else 'infinity' end,
           error_class = 'deferred', error_message = p_sentence
     where t.state = 'running' and t.task_id = p_task.task_id;
    perform kiln_internal.emit_progress(p_task, p_sentence, v_before is distinct from p_reason);
end
$$;
comment on function kiln_internal.defer_task(kiln.task, kiln.provider, bigint, bigint, text, text,
                                             timestamptz) is
'Lets a running task wait for its provider''s limiter: no attempt, no death, and people are told why.';

create or replace function kiln_internal.admit_deferred(p_provider_id smallint)
returns int
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_provider kiln.provider;
    v_limiter     kiln.provider_limiter;
    v_places   bigint := 200;
    v_left     bigint := 9223372036854775807;
    v_step     interval;
    v_task_ids bigint[];
    v_queues   smallint[];
begin
    select p.* into v_provider from kiln.provider p where p.provider_id = p_provider_id;
    select g.* into v_limiter from kiln.provider_limiter g where g.provider_id = p_provider_id;
    if not v_provider.is_enabled or v_limiter.paused_until > kiln_internal.now()
       or v_limiter.circuit <> 'closed' and v_limiter.open_until > kiln_internal.now() then
        return 0;
    end if;
    if v_provider.auth ->> 'env' is not null then
        v_queues := kiln_internal.secret_queues(v_provider.auth ->> 'env');
        if v_queues = '{}' then
            return 0;       -- nobody could call
        end if;
    end if;
    if v_provider.max_calls is not null then
        v_places := least(v_places, v_provider.max_calls - (select count(*) from kiln.call c
                                                             where c.provider_id = p_provider_id
                                                               and c.settled_at is null));
    end if;
    if v_provider.rate_per_minute is not null then
        v_step := kiln_internal.rate_step(v_provider.rate_per_minute, v_provider.rate_burst);
        v_places := least(v_places,
            coalesce(floor(extract(epoch from kiln_internal.now() - v_limiter.theoretical_arrival_at
                                              + v_step * (coalesce(v_provider.rate_burst, 1) - 1))
                           / extract(epoch from v_step))::bigint + 1, v_places),
                          coalesce(v_provider.rate_burst, 1));
    end if;
    if v_limiter.circuit <> 'closed' then
        v_places := least(v_places, 1);
    end if;
    v_places := v_places - (select count(*) from kiln.deferred_task p
                             where p.provider_id = p_provider_id
                               and p.admitted_at > kiln_internal.now() - interval '30 seconds');
    if v_places <= 0 then
        return 0;
    end if;
    if v_provider.day_cap_micros is not null then
        v_left := v_provider.day_cap_micros - kiln_internal.spent_today(p_provider_id, null);
    end if;
    if v_limiter.circuit = 'closed' then
        v_task_ids := array(
            select p.task_id from kiln.deferred_task p
             where p.provider_id = p_provider_id and p.admitted_at is null and p.reason <> 'account_cap'
               and p.estimated_micros <= v_left
               and (p.reason <> 'secret' or v_queues is null
                    or exists (select from kiln.task_waiting t
                                where t.task_id = p.task_id and t.queue_id = any (v_queues)))
             order by p.priority desc, p.virtual_time, p.task_id
             limit v_places);
    else
        v_task_ids := array(
            select p.task_id from kiln.deferred_task p
             where p.provider_id = p_provider_id and p.admitted_at is null and p.reason <> 'account_cap'
               and p.estimated_micros <= v_left
               and (p.reason <> 'secret' or v_queues is null
                    or exists (select from kiln.task_waiting t
                                where t.task_id = p.task_id and t.queue_id = any (v_queues)))
             order by p.estimated_micros, p.virtual_time
             limit 1);
    end if;
    if v_task_ids = '{}' then
        return 0;
    end if;
    delete from kiln.deferred_task p
     where p.task_id = any (v_task_ids)
       and exists (select from kiln.task t where t.task_id = p.task_id
                      and t.state in ('held', 'done', 'failed', 'cancelled'));
    v_task_ids := array(select t.task_id from kiln.task_waiting t where t.task_id = any (v_task_ids)
                           for update skip locked);
    if v_task_ids <> '{}' then
        update kiln.deferred_task p set admitted_at = kiln_internal.now() where p.task_id = any (v_task_ids);
        update kiln.task t set state = 'ready' where t.state = 'waiting' and t.task_id = any (v_task_ids);
    end if;
    return cardinality(v_task_ids);
end
$$;
comment on function kiln_internal.admit_deferred(smallint) is
'Readies as many deferred tasks of a provider as may begin a call now, in the order of their turns; where its
circuit was open one, the cheapest. It takes no lock of the limiter and only tasks that nobody holds, so it
waits for nobody.';

create or replace function kiln_internal.repair_limiters()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    insert into kiln.provider_limiter (provider_id, paused_until, paused_why)
    select p.provider_id, kiln_internal.now() + interval '61 seconds',
           'Its limiter was lost and made anew: what was called before is not known to it.'
      from kiln.provider p
     where not exists (select from kiln.provider_limiter g where g.provider_id = p.provider_id)
    on conflict do nothing;
    insert into kiln.queue_limiter (queue_id, theoretical_arrival_at)
    select q.queue_id, kiln_internal.now() + interval '61 seconds'
      from kiln.queue q
     where not exists (select from kiln.queue_limiter g where g.queue_id = q.queue_id)
    on conflict do nothing;
end
$$;
comment on function kiln_internal.repair_limiters() is
'Makes a limiter that is missing anew, closed for as long as a rate looks back, so that no minute holds more
than its provider or queue allows.';

create or replace function kiln_internal.admit_all_deferred()
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_provider_id smallint;
begin
    for v_provider_id in
        select g.provider_id from kiln.provider_limiter g
         cross join lateral (select from kiln.deferred_task p
                              where p.provider_id = g.provider_id and p.admitted_at is null limit 1) p
    loop
        perform kiln_internal.admit_deferred(v_provider_id);
    end loop;
end
$$;
comment on function kiln_internal.admit_all_deferred() is
'The tick''s part of it, for every provider at whose limiter someone waits.';

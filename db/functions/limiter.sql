-- The limiter of a provider: may a call begin now? And what follows from how the provider answers.
--
-- A call that is refused costs nothing: its task is deferred, in the order of its turn, and the tick wakes as many as there are places.
-- What is woken has its place kept for 30 seconds. Exactness does not rest on that: whoever begins a call holds the limiter's row
-- and counts in a later statement.

-- No window of a minute holds more than the rate: with n calls at once (the burst), one each 60 s / (rate + 1 - n), and a
-- millisecond, so that the first and the last of a closed window are not both its.
create or replace function kiln_internal.rate_step(p_per_minute int, p_burst int)
returns interval
language sql immutable
return interval '60 seconds' / greatest(p_per_minute + 1 - coalesce(p_burst, 1), 1) + interval '1 millisecond';
comment on function kiln_internal.rate_step(int, int) is 'How far apart calls are at a rate a minute of which p_burst may go at once.';

create or replace function kiln_internal.spent_today(p_provider_id smallint, p_account_id bigint)
returns bigint
language plpgsql stable
as $$
declare
    v_day timestamptz := date_trunc('day', kiln_internal.now(), 'UTC');
begin
    if p_account_id is not null then
        return (select coalesce(sum(case when c.state = 'settled' then coalesce(c.charged_micros, c.estimated_micros) else c.estimated_micros end), 0)
                  from kiln.call c where c.account_id = p_account_id and c.created_at >= v_day);
    end if;
    return (select coalesce(sum(case when c.state = 'settled' then coalesce(c.charged_micros, c.estimated_micros) else c.estimated_micros end), 0)
              from kiln.call c where c.provider_id = p_provider_id and c.created_at >= v_day);
end
$$;
comment on function kiln_internal.spent_today(smallint, bigint) is
'What calls begun today (UTC) at a provider, or for an account, have cost: by estimate until they are settled, and where what was charged cannot be known.';

create or replace function kiln_internal.format_money(p_micros bigint)
returns text
language sql stable
return to_char(p_micros / 1e6, 'FM999999990.009999') || ' ' || (select c.currency from kiln.config c);
comment on function kiln_internal.format_money(bigint) is 'An amount for people: 0.25 USD.';

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
        sentence := format('Provider %s has lost its limiter: no call begins before it is mended.', p_provider.name);
        return;
    end if;
    if v_limiter.circuit <> 'closed' or p_provider.max_calls is not null or p_provider.rate_per_minute is not null or p_provider.day_cap_micros is not null then
        select g.* into v_limiter from kiln.provider_limiter g where g.provider_id = p_provider.provider_id for no key update;
    end if;

    if v_limiter.circuit <> 'closed' and kiln_internal.now() < v_limiter.open_until then
        reason := 'circuit';
        until := v_limiter.open_until;
        sentence := case v_limiter.circuit when 'open' then format('Provider %s keeps failing: no call before %s.', p_provider.name, to_char(until, 'HH24:MI:SS'))
                                        else format('Provider %s kept failing: one call is trying it.', p_provider.name) end;
        return;
    elsif v_limiter.paused_until > kiln_internal.now() then
        reason := 'paused';
        until := v_limiter.paused_until;
        sentence := format('Provider %s asked for a pause until %s.', p_provider.name, to_char(until, 'HH24:MI:SS'));
        return;
    end if;

    if p_provider.max_calls is not null or p_provider.rate_per_minute is not null then
        select count(*) filter (where p.task_id <> p_task.task_id), coalesce(bool_or(p.task_id = p_task.task_id), false) into v_others, v_mine
          from kiln.deferred_task p
         where p.provider_id = p_provider.provider_id and p.admitted_at > kiln_internal.now() - interval '30 seconds';
    end if;
    if p_provider.max_calls is not null then
        select count(*) into v_calls from kiln.call c where c.provider_id = p_provider.provider_id and c.settled_at is null;
        if v_calls + (case when v_mine then 0 else v_others end) >= p_provider.max_calls then
            reason := 'calls';
            sentence := format('Provider %s has %s of %s calls in work.', p_provider.name, v_calls, p_provider.max_calls);
            return;
        end if;
    end if;
    if v_others is not null and not v_mine
       and exists (select from kiln.deferred_task p
                    where p.provider_id = p_provider.provider_id and p.admitted_at is null and p.reason in ('calls', 'rate') and p.task_id <> p_task.task_id
                      and (p.priority > p_task.priority or p.priority = p_task.priority and (p.virtual_time, p.task_id) < (p_task.virtual_time, p_task.task_id))) then
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
            sentence := format('Provider %s takes %s calls a minute.', p_provider.name, p_provider.rate_per_minute);
            return;
        end if;
    end if;

    if p_provider.day_cap_micros is not null and kiln_internal.spent_today(p_provider.provider_id, null) + p_estimated > p_provider.day_cap_micros then
        reason := 'provider_cap';
        until := date_trunc('day', kiln_internal.now(), 'UTC') + interval '1 day';
        sentence := format('Provider %s may cost %s a day, and that is reached: it goes on at %s UTC.',
                           p_provider.name, kiln_internal.format_money(p_provider.day_cap_micros), to_char(until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'));
        return;
    end if;
    select a.day_cap_micros into v_cap from kiln.account a where a.account_id = p_account_id;
    if v_cap is not null then
        select a.day_cap_micros into v_cap from kiln.account a where a.account_id = p_account_id for no key update;
        if kiln_internal.spent_today(null, p_account_id) + p_estimated > v_cap then
            reason := 'account_cap';
            until := date_trunc('day', kiln_internal.now(), 'UTC') + interval '1 day';
            sentence := format('This account may spend %s a day, and that is reached: it goes on at %s UTC.',
                               kiln_internal.format_money(v_cap), to_char(until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'));
            return;
        end if;
    end if;

    -- Granted.
    if v_limiter.circuit <> 'closed' or v_step is not null then
        update kiln.provider_limiter g
           set theoretical_arrival_at        = case when v_step is null then g.theoretical_arrival_at else greatest(g.theoretical_arrival_at, kiln_internal.now()) + v_step end,
               circuit    = case when g.circuit = 'closed' then 'closed' else 'half_open' end::kiln.circuit,
               open_until = case when g.circuit = 'closed' then g.open_until else kiln_internal.now() + interval '10 seconds' + p_provider.reply_timeout end
         where g.provider_id = p_provider.provider_id;
    end if;
    delete from kiln.deferred_task p where p.task_id = p_task.task_id;
end
$$;
comment on function kiln_internal.refuse_call(kiln.provider, kiln.task, bigint, bigint) is
'Why a call may not begin now, as a word and as a sentence, and until when where that is known; no reason: it may, and its permit is
taken. Where there are limits the limiter is locked until the end of the transaction.';

create or replace function kiln_internal.defer_task(p_task kiln.task, p_provider kiln.provider, p_account_id bigint, p_estimated bigint, p_reason text, p_sentence text, p_until timestamptz)
returns void
language plpgsql
as $$
declare
    v_before text := (select p.reason from kiln.deferred_task p where p.task_id = p_task.task_id);
begin
    insert into kiln.deferred_task (task_id, provider_id, account_id, priority, virtual_time, estimated_micros, reason)
    values (p_task.task_id, p_provider.provider_id, p_account_id, p_task.priority, p_task.virtual_time, p_estimated, p_reason)
    on conflict (task_id) do update set reason = excluded.reason, admitted_at = null, virtual_time = excluded.virtual_time, estimated_micros = excluded.estimated_micros;
    update kiln.task t
       set state = 'waiting', due_at = case when p_reason = 'account_cap' then p_until else 'infinity' end, error_class = 'deferred', error_message = p_sentence
     where t.state = 'running' and t.task_id = p_task.task_id;
    perform kiln_internal.emit_progress(p_task, p_sentence, v_before is distinct from p_reason);
end
$$;
comment on function kiln_internal.defer_task(kiln.task, kiln.provider, bigint, bigint, text, text, timestamptz) is
'Lets a running task wait for its provider''s limiter: no attempt, no death, and people are told why.';

create or replace function kiln_internal.emit_progress(p_task kiln.task, p_label text, p_is_emitted boolean default true, p_fraction real default null)
returns void
language plpgsql
as $$
begin
    update kiln.task_waiting t set label = kiln_internal.shorten(p_label, 200), fraction = p_fraction where t.task_id = p_task.task_id;
    if p_is_emitted then
        insert into kiln.event (account_id, job_id, version, type, data)
        select j.account_id, j.job_id, j.version, 'job.progress',
               jsonb_strip_nulls(jsonb_build_object('stage', p_task.stage, 'fraction', p_fraction, 'label', kiln_internal.shorten(p_label, 200)))
          from kiln.job j
         where j.job_id = p_task.job_id;
        if exists (select from kiln.waiter) then
            perform kiln_internal.notify_waiters(null);
        end if;
    end if;
end
$$;
comment on function kiln_internal.emit_progress(kiln.task, text, boolean, real) is 'Says what a waiting task waits for: in its label, and where p_is_emitted in the log. The job is locked already.';

create or replace function kiln_internal.secret_queues(p_name text)
returns smallint[]
language plpgsql stable
as $$
begin
    return array(select distinct q
                   from kiln.runner r
                   join kiln.heartbeat h using (runner_id)
                   left join kiln.runner_secret s using (runner_id)
                  cross join lateral unnest(r.queue_ids) q
                  where r.ended_at is null and (p_name = any (s.names) or s.names is null and r.started_at < kiln_internal.now() - interval '10 seconds'));
end
$$;
comment on function kiln_internal.secret_queues(text) is
'Queues that a living runner with this secret serves. One that has not said within 10 seconds what it has is trusted to have all.';

create or replace function kiln_internal.defer_for_secret(p_task kiln.task, p_job kiln.job, p_provider kiln.provider)
returns void
language plpgsql
as $$
declare
    v_secret text := p_provider.auth ->> 'env';
    v_since  timestamptz;
begin
    if p_task.queue_id = any (kiln_internal.secret_queues(v_secret)) then
        -- Who has it may be busy, and who has not may be quicker again, so the pauses grow; the first look alone is written down and told.
        select min(a.finished_at) into v_since from kiln.attempt a where a.job_id = p_task.job_id and a.task_id = p_task.task_id and a.outcome = 'secret';
        delete from kiln.deferred_task k where k.task_id = p_task.task_id;
        perform kiln_internal.defer_with_call(p_task, 'secret', format('This runner has no %s; another may.', v_secret),
                               kiln_internal.now() + least(greatest(kiln_internal.now() - v_since, interval '1 second'), interval '1 minute'),
                               format('Waits for a runner that has %s.', v_secret), v_since is null);
    else
        perform kiln_internal.defer_task(p_task, p_provider, p_job.account_id, 0, 'secret', format('Waits for a runner that has %s.', v_secret), null);
    end if;
end
$$;
comment on function kiln_internal.defer_for_secret(kiln.task, kiln.job, kiln.provider) is
'Lets a running task wait for a runner with its provider''s secret: where one of its queue lives, for a second, then as long as it has waited
already, a minute at most; where none does it is deferred until one offers it (kiln_runner.offer_secrets). Neither an attempt nor a death.';

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
    if not v_provider.is_enabled or v_limiter.paused_until > kiln_internal.now() or v_limiter.circuit <> 'closed' and v_limiter.open_until > kiln_internal.now() then
        return 0;
    end if;
    if v_provider.auth ->> 'env' is not null then
        v_queues := kiln_internal.secret_queues(v_provider.auth ->> 'env');
        if v_queues = '{}' then
            return 0;       -- nobody could call
        end if;
    end if;
    if v_provider.max_calls is not null then
        v_places := least(v_places, v_provider.max_calls - (select count(*) from kiln.call c where c.provider_id = p_provider_id and c.settled_at is null));
    end if;
    if v_provider.rate_per_minute is not null then
        v_step := kiln_internal.rate_step(v_provider.rate_per_minute, v_provider.rate_burst);
        v_places := least(v_places, coalesce(floor(extract(epoch from kiln_internal.now() - v_limiter.theoretical_arrival_at + v_step * (coalesce(v_provider.rate_burst, 1) - 1))
                                                   / extract(epoch from v_step))::bigint + 1, v_places), coalesce(v_provider.rate_burst, 1));
    end if;
    if v_limiter.circuit <> 'closed' then
        v_places := least(v_places, 1);
    end if;
    v_places := v_places - (select count(*) from kiln.deferred_task p where p.provider_id = p_provider_id and p.admitted_at > kiln_internal.now() - interval '30 seconds');
    if v_places <= 0 then
        return 0;
    end if;
    if v_provider.day_cap_micros is not null then
        v_left := v_provider.day_cap_micros - kiln_internal.spent_today(p_provider_id, null);
    end if;
    if v_limiter.circuit = 'closed' then
        v_task_ids := array(
            select p.task_id from kiln.deferred_task p
             where p.provider_id = p_provider_id and p.admitted_at is null and p.reason <> 'account_cap' and p.estimated_micros <= v_left
               and (p.reason <> 'secret' or v_queues is null
                    or exists (select from kiln.task_waiting t where t.task_id = p.task_id and t.queue_id = any (v_queues)))
             order by p.priority desc, p.virtual_time, p.task_id
             limit v_places);
    else
        v_task_ids := array(
            select p.task_id from kiln.deferred_task p
             where p.provider_id = p_provider_id and p.admitted_at is null and p.reason <> 'account_cap' and p.estimated_micros <= v_left
               and (p.reason <> 'secret' or v_queues is null
                    or exists (select from kiln.task_waiting t where t.task_id = p.task_id and t.queue_id = any (v_queues)))
             order by p.estimated_micros, p.virtual_time
             limit 1);
    end if;
    if v_task_ids = '{}' then
        return 0;
    end if;
    delete from kiln.deferred_task p
     where p.task_id = any (v_task_ids)
       and exists (select from kiln.task t where t.task_id = p.task_id and t.state in ('held', 'done', 'failed', 'cancelled'));
    v_task_ids := array(select t.task_id from kiln.task_waiting t where t.task_id = any (v_task_ids) for update skip locked);
    if v_task_ids <> '{}' then
        update kiln.deferred_task p set admitted_at = kiln_internal.now() where p.task_id = any (v_task_ids);
        update kiln.task t set state = 'ready' where t.state = 'waiting' and t.task_id = any (v_task_ids);
    end if;
    return cardinality(v_task_ids);
end
$$;
comment on function kiln_internal.admit_deferred(smallint) is
'Readies as many deferred tasks of a provider as may begin a call now, in the order of their turns; where its circuit was open one, the cheapest.
It takes no lock of the limiter and only tasks that nobody holds, so it waits for nobody.';

create or replace function kiln_internal.repair_limiters()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    insert into kiln.provider_limiter (provider_id, paused_until, paused_why)
    select p.provider_id, kiln_internal.now() + interval '61 seconds', 'Its limiter was lost and made anew: what was called before is not known to it.'
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
'Makes a limiter that is missing anew, closed for as long as a rate looks back, so that no minute holds more than its provider or queue allows.';

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
         cross join lateral (select from kiln.deferred_task p where p.provider_id = g.provider_id and p.admitted_at is null limit 1) p
    loop
        perform kiln_internal.admit_deferred(v_provider_id);
    end loop;
end
$$;
comment on function kiln_internal.admit_all_deferred() is 'The tick''s part of it, for every provider at whose limiter someone waits.';

-- Latency in sixteen steps, each twice the last; windows of five minutes.
create or replace function kiln_internal.record_provider_answer(p_provider_id smallint, p_counts int[], p_is_failure boolean, p_is_sign_of_life boolean, p_pause interval, p_why text)
returns void
language plpgsql
as $$
declare
    v_limiter kiln.provider_limiter;
begin
    select g.* into v_limiter from kiln.provider_limiter g where g.provider_id = p_provider_id for no key update;
    if v_limiter.window_at <= kiln_internal.now() - interval '5 minutes' then
        v_limiter.last_counts := case when v_limiter.window_at > kiln_internal.now() - interval '10 minutes' then v_limiter.counts else array_fill(0, '{20}') end;
        v_limiter.counts := array_fill(0, '{20}');
        v_limiter.window_at := kiln_internal.now();
    end if;
    v_limiter.counts := array(select a + b from unnest(v_limiter.counts, p_counts) as u (a, b));
    if p_is_failure then
        v_limiter.failures := v_limiter.failures + 1;
        if v_limiter.circuit = 'half_open' or v_limiter.circuit = 'closed' and v_limiter.failures >= 5 then
            v_limiter.circuit := 'open';
            v_limiter.open_until := kiln_internal.now() + least(interval '15 seconds' * power(2, least(v_limiter.opened, 10)), interval '10 minutes');
            v_limiter.opened := v_limiter.opened + 1;
        end if;
    elsif p_is_sign_of_life then
        v_limiter.failures := 0;
        v_limiter.opened := 0;
        v_limiter.circuit := 'closed';
        v_limiter.open_until := null;
    end if;
    if p_pause is not null then
        v_limiter.paused_until := greatest(v_limiter.paused_until, kiln_internal.now() + least(p_pause, interval '1 hour'));
        v_limiter.paused_why := kiln_internal.shorten(p_why, 200);
    end if;
    update kiln.provider_limiter g
       set window_at = v_limiter.window_at, counts = v_limiter.counts, last_counts = v_limiter.last_counts, failures = v_limiter.failures, opened = v_limiter.opened,
           circuit = v_limiter.circuit, open_until = v_limiter.open_until, paused_until = v_limiter.paused_until, paused_why = v_limiter.paused_why
     where g.provider_id = p_provider_id;
end
$$;
comment on function kiln_internal.record_provider_answer(smallint, int[], boolean, boolean, interval, text) is
'Writes how a provider answered: its health, its circuit (five failures in a row open it; any answer closes it), a pause it asked for.';

create or replace function kiln_internal.count_provider_answer(p_answer jsonb)
returns int[]
language plpgsql immutable
as $$
declare
    v_counts int[] := array_fill(0, '{20}');
    v_status int := (p_answer ->> 'status')::int;
    v_ms     float8 := (p_answer ->> 'elapsed_ms')::float8;
begin
    if v_status is null then
        v_counts[20] := 1;
        return v_counts;
    end if;
    if v_ms is not null then
        v_counts[least(greatest(ceil(log(2, greatest(v_ms, 1)::numeric))::int - 4, 1), 16)] := 1;
    end if;
    v_counts[17] := 1;
    v_counts[18] := (v_status = 429)::int;
    v_counts[19] := (v_status >= 500)::int;
    return v_counts;
end
$$;
comment on function kiln_internal.count_provider_answer(jsonb) is 'One answer of a runner, as it is added to kiln.provider_limiter.counts.';

create or replace function kiln_runner.required_secrets()
returns text[]
language plpgsql stable security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    return array(select distinct p.auth ->> 'env' from kiln.provider p where p.is_enabled and p.auth ->> 'env' is not null order by 1);
end
$$;
comment on function kiln_runner.required_secrets() is 'Names of the environment variables that hold the secrets of the providers in use. Offer those that are set with offer_secrets().';

create or replace function kiln_runner.offer_secrets(p_runner_id bigint, p_names text[])
returns text[]
language plpgsql security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    insert into kiln.runner_secret (runner_id, names)
    select r.runner_id, coalesce(p_names, '{}') from kiln.runner r where r.runner_id = p_runner_id and r.ended_at is null
    on conflict (runner_id) do update set names = excluded.names, offered_at = excluded.offered_at;
    if not found then
        raise exception 'runner % is not registered, or was declared dead', p_runner_id
            using errcode = 'KN011', hint = 'Call kiln_runner.register() again; what it ran is no longer its own.';
    end if;
    return array(select distinct p.auth ->> 'env'
                   from kiln.provider p
                  where p.is_enabled and p.auth ->> 'env' is not null and p.auth ->> 'env' <> all (coalesce(p_names, '{}'))
                    and exists (select from kiln.deferred_task k where k.provider_id = p.provider_id and k.reason = 'secret' and k.admitted_at is null)
                  order by 1);
end
$$;
comment on function kiln_runner.offer_secrets(bigint, text[]) is
'Says which of the wanted secrets a runner has (set and not empty); never the secrets. Calls of other providers are then left to other
runners; tasks that waited for one of these go on at the next tick. Returns those that it lacks and that tasks wait for. KN011: register again.';

create or replace function kiln_internal.provider_health_state(p_provider kiln.provider, p_limiter kiln.provider_limiter)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
    return case when not p_provider.is_enabled then 'off'
                when p_limiter.circuit = 'open' and p_limiter.open_until > kiln_internal.now() then 'broken'
                when p_limiter.circuit <> 'closed' then 'trying'
                when p_limiter.paused_until > kiln_internal.now() then 'paused'
                else 'ok' end;
end
$$;
comment on function kiln_internal.provider_health_state(kiln.provider, kiln.provider_limiter) is
'ok; paused (the provider asked for that); broken (it kept failing: no calls); trying (one call tries it); off (switched off).';

create or replace function kiln_internal.health_until(p_limiter kiln.provider_limiter)
returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
    return nullif(greatest(case when p_limiter.circuit <> 'closed' then p_limiter.open_until end, p_limiter.paused_until, kiln_internal.now()), kiln_internal.now());
end
$$;
comment on function kiln_internal.health_until(kiln.provider_limiter) is 'Until when no call may begin, or the one that tries is awaited; null: nothing ends.';

create or replace function kiln_internal.recent_counts(p_limiter kiln.provider_limiter)
returns int[]
language plpgsql stable
set search_path = ''
as $$
begin
    return array(select case when p_limiter.window_at > kiln_internal.now() - interval '10 minutes' then a else 0 end
                        + case when p_limiter.window_at > kiln_internal.now() - interval '5 minutes' then b else 0 end
                   from unnest(p_limiter.counts, p_limiter.last_counts) with ordinality as u (a, b, n) order by u.n);
end
$$;
comment on function kiln_internal.recent_counts(kiln.provider_limiter) is 'kiln.provider_limiter.counts of the last five to ten minutes.';

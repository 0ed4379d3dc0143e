-- The limiter of a provider: may a call begin now? And what follows from how the provider answers.
--
-- A call that is refused costs nothing: its task is deferred, in the order of its turn, and the tick wakes as
-- many as there are places. What is woken has its place kept for 30 seconds. Exactness does not rest on that:
-- whoever begins a call holds the limiter's row and counts in a later statement.

-- No window of a minute holds more than the rate: with n calls at once (the burst), one each 60 s / (rate + 1
-- - n), and a millisecond, so that the first and the last of a closed window are not both its.
create or replace function kiln_internal.rate_step(p_per_minute int, p_burst int)
returns interval
language sql immutable
return interval '60 seconds' / greatest(p_per_minute + 1 - coalesce(p_burst, 1),
                                        1) + interval '1 millisecond';
comment on function kiln_internal.rate_step(int, int) is
'How far apart calls are at a rate a minute of which p_burst may go at once.';

create or replace function kiln_internal.spent_today(p_provider_id smallint, p_account_id bigint)
returns bigint
language plpgsql stable
as $$
declare
    v_day timestamptz := date_trunc('day', kiln_internal.now(), 'UTC');
begin
    if p_account_id is not null then
        return (select coalesce(sum(case when c.state = 'settled'
                                             then coalesce(c.charged_micros, c.estimated_micros)
                                         else c.estimated_micros end), 0)
                  from kiln.call c where c.account_id = p_account_id and c.created_at >= v_day);
    end if;
    return (select coalesce(sum(case when c.state = 'settled'
                                         then coalesce(c.charged_micros, c.estimated_micros)
                                     else c.estimated_micros end), 0)
              from kiln.call c where c.provider_id = p_provider_id and c.created_at >= v_day);
end
$$;
comment on function kiln_internal.spent_today(smallint, bigint) is
'What calls begun today (UTC) at a provider, or for an account, have cost: by estimate until they are settled,
and where what was charged cannot be known.';

-- Latency in sixteen steps, each twice the last; windows of five minutes.
create or replace function kiln_internal.record_provider_answer(p_provider_id smallint, p_counts int[],
                                                                p_is_failure boolean,
                                                                p_is_sign_of_life boolean, p_pause interval,
                                                                p_why text)
returns void
language plpgsql
as $$
declare
    v_limiter kiln.provider_limiter;
begin
    select g.* into v_limiter from kiln.provider_limiter g where g.provider_id = p_provider_id
       for no key update;
    if v_limiter.window_at <= kiln_internal.now() - interval '5 minutes' then
        v_limiter.last_counts := case when v_limiter.window_at > kiln_internal.now() - interval '10 minutes'
                                          then v_limiter.counts else array_fill(0, '{20}') end;
        v_limiter.counts := array_fill(0, '{20}');
        v_limiter.window_at := kiln_internal.now();
    end if;
    v_limiter.counts := array(select a + b from unnest(v_limiter.counts, p_counts) as u (a, b));
    if p_is_failure then
        v_limiter.failures := v_limiter.failures + 1;
        if v_limiter.circuit = 'half_open' or v_limiter.circuit = 'closed' and v_limiter.failures >= 5 then
            v_limiter.circuit := 'open';
            v_limiter.open_until := kiln_internal.now() + least(interval '15 seconds' * power(2,
                                                        least(v_limiter.opened, 10)), interval '10 minutes');
            v_limiter.opened := v_limiter.opened + 1;
        end if;
    elsif p_is_sign_of_life then
        v_limiter.failures := 0;
        v_limiter.opened := 0;
        v_limiter.circuit := 'closed';
        v_limiter.open_until := null;
    end if;
    if p_pause is not null then
        v_limiter.paused_until := greatest(v_limiter.paused_until,
                                           kiln_internal.now() + least(p_pause, interval '1 hour'));
        v_limiter.paused_why := kiln_internal.shorten(p_why, 200);
    end if;
    update kiln.provider_limiter g
       set window_at = v_limiter.window_at, counts = v_limiter.counts, last_counts = v_limiter.last_counts,
           failures = v_limiter.failures, opened = v_limiter.opened,
           circuit = v_limiter.circuit, open_until = v_limiter.open_until,
           paused_until = v_limiter.paused_until, paused_why = v_limiter.paused_why
     where g.provider_id = p_provider_id;
end
$$;
comment on function kiln_internal.record_provider_answer(smallint, int[], boolean, boolean, interval, text) is
'Writes how a provider answered: its health, its circuit (five failures in a row open it; any answer closes
it), a pause it asked for.';

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
comment on function kiln_internal.count_provider_answer(jsonb) is
'One answer of a runner, as it is added to kiln.provider_limiter.counts.';

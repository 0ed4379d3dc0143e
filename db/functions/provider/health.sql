-- How a provider has answered lately.
create or replace function kiln_internal.provider_health_state(p_provider kiln.provider,
                                                               p_limiter kiln.provider_limiter)
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
'ok; paused (the provider asked for that); broken (it kept failing: no calls); trying (one call tries it); off
(switched off).';

create or replace function kiln_internal.health_until(p_limiter kiln.provider_limiter)
returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
    return nullif(greatest(case when p_limiter.circuit <> 'closed' then p_limiter.open_until end,
                           p_limiter.paused_until, kiln_internal.now()), kiln_internal.now());
end
$$;
comment on function kiln_internal.health_until(kiln.provider_limiter) is
'Until when no call may begin, or the one that tries is awaited; null: nothing ends.';

create or replace function kiln_internal.recent_counts(p_limiter kiln.provider_limiter)
returns int[]
language plpgsql stable
set search_path = ''
as $$
begin
    return array(select case when p_limiter.window_at > kiln_internal.now() - interval '10 minutes' then a
                             else 0 end
                        + case when p_limiter.window_at > kiln_internal.now() - interval '5 minutes' then b
                               else 0 end
                   from unnest(p_limiter.counts, p_limiter.last_counts) with ordinality as u (a, b, n)
                  order by u.n);
end
$$;
comment on function kiln_internal.recent_counts(kiln.provider_limiter) is
'kiln.provider_limiter.counts of the last five to ten minutes.';

-- How providers do.
create or replace function kiln_internal.quantile_ms(p_counts int[], p_share float8)
returns int
language sql immutable
return (select (2 ^ (n + 4))::int
          from (select n, sum(p_counts[n]) over (order by n) as upto, sum(p_counts[n]) over () as total
                  from generate_series(1, 16) as n) q
         where total > 0 and upto >= total * p_share order by n limit 1);
comment on function kiln_internal.quantile_ms(int[], float8) is
'The latency that this share of the replies kept within, rounded up to a power of two of milliseconds; null:
no replies.';

create or replace view kiln.provider_health as
select p.name as provider,
       kiln_internal.provider_health_state(p, g) as health,
       kiln_internal.ago(kiln_internal.health_until(g)) as until,
       n.counts[17] as replies, kiln_internal.quantile_ms(n.counts, 0.5) as p50,
       kiln_internal.quantile_ms(n.counts, 0.95) as p95,
       n.counts[18] as "429", n.counts[19] as "5xx", n.counts[20] as lost
  from kiln.provider p
  join kiln.provider_limiter g using (provider_id)
 cross join lateral (select kiln_internal.recent_counts(g) as counts) n
 where not p.is_local
 order by p.name;
comment on view kiln.provider_health is
'The health of each provider in the last five to ten minutes: circuit breaker, latencies, errors. Its calls
and money: kiln.providers.';
comment on column kiln.provider_health.provider is 'Its name.';
comment on column kiln.provider_health.health is
'ok; paused (it asked for that); broken (it kept failing: no calls); trying (one call tries it); off (switched
off).';
comment on column kiln.provider_health.until is 'When that ends.';
comment on column kiln.provider_health.replies is 'Replies counted, in the last five to ten minutes.';
comment on column kiln.provider_health.p50 is
'Half of the replies came within so many ms (rounded up to a power of two).';
comment on column kiln.provider_health.p95 is 'Nineteen of twenty did.';
comment on column kiln.provider_health."429" is 'Replies that said: too many requests.';
comment on column kiln.provider_health."5xx" is 'Replies that said: our fault.';
comment on column kiln.provider_health.lost is
'Requests without a reply: no connection, a broken one, a time-out.';

-- Providers, their limits and what they have to do.
create or replace view kiln.providers as
select p.name as provider,
       (select count(*) from kiln.call c where c.provider_id = p.provider_id
           and c.settled_at is null) || coalesce('/' || p.max_calls, '') as calls,
       (select count(*) from kiln.deferred_task k where k.provider_id = p.provider_id) as deferred,
       round(kiln_internal.spent_today(p.provider_id, null) / 1e6, 2) as today,
       left(p.auth ->> 'env', 20) as secret,
       case when s.missing = s.alive and s.alive > 0 then 'all ' || s.alive || ' runners'
            else kiln_internal.shorten(s.names, 16) end as missing_on
  from kiln.provider p
 cross join lateral (
       select count(*) as alive, count(*) filter (where x.lacks) as missing, string_agg(x.name, ', '
                                                        order by x.runner_id) filter (where x.lacks) as names
         from (select r.runner_id, r.name, o.names is not null and p.auth ->> 'env' <> all (o.names) as lacks
                 from kiln.runner r
                 left join kiln.runner_secret o using (runner_id)
                where r.ended_at is null) x) s
 where not p.is_local
 order by p.name;
comment on view kiln.providers is
'The providers: calls in progress, waiting tasks, money spent today, and runners that lack the secret.';
comment on column kiln.providers.provider is 'Its name.';
comment on column kiln.providers.calls is 'Calls begun and not settled / the most there may be.';
comment on column kiln.providers.deferred is
'Tasks that wait for a place, a pause, the rate, a cap or a runner with its secret.';
comment on column kiln.providers.today is
'What today''s calls cost, by estimate until they are settled, in the currency.';
comment on column kiln.providers.secret is
'The variable of the runners'' environment that holds its secret (at most 20 characters of it).';
comment on column kiln.providers.missing_on is 'Living runners that said they do not have it.';

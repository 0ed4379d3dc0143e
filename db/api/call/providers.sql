-- Providers, as administrators see them.
create or replace function kiln_internal.render_provider(p_provider_id smallint)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_provider kiln.provider;
    v_limiter     kiln.provider_limiter;
    v_counts   int[];
    v_about    jsonb;
begin
    select p.* into v_provider from kiln.provider p where p.provider_id = p_provider_id;
    select g.* into v_limiter from kiln.provider_limiter g where g.provider_id = p_provider_id;
    v_counts := kiln_internal.recent_counts(v_limiter);
    v_about := to_jsonb(v_provider);
    return json_build_object(
        'name', v_provider.name, 'description', v_provider.description, 'is_enabled', v_provider.is_enabled,
                             'is_local', v_provider.is_local,
        'health', kiln_internal.provider_health_state(v_provider, v_limiter),
                             'until', kiln_internal.render_time(kiln_internal.health_until(v_limiter)),
        'why', case when v_limiter.paused_until > kiln_internal.now() then v_limiter.paused_why end,
        'calls', (select json_build_object('open', count(*) filter (where c.state = 'open'),
                                           'accepted', count(*) filter (where c.state = 'accepted'),
                                           'unknown', count(*) filter (where c.state = 'unknown'),
                                           'max', v_about -> 'max_calls')
                    from kiln.call c where c.provider_id = p_provider_id and c.state <> 'settled'),
        'rate', case when v_about ->> 'rate_per_minute' is not null
                     then json_build_object('per_minute', v_about -> 'rate_per_minute',
                                            'burst', v_about -> 'rate_burst') end,
        'deferred', (select coalesce(json_object_agg(k.reason, k.tasks), '{}')
                     from (select k.reason, count(*) as tasks from kiln.deferred_task k
                            where k.provider_id = p_provider_id group by k.reason) k),
        'recent', json_build_object('replies', coalesce(v_counts[17], 0),
                                    'p50_ms', kiln_internal.quantile_ms(v_counts, 0.5),
                                    'p95_ms', kiln_internal.quantile_ms(v_counts, 0.95),
                                    'rate_limited', coalesce(v_counts[18], 0),
                                    'server_errors', coalesce(v_counts[19], 0),
                                    'lost', coalesce(v_counts[20], 0)),
        'today', json_build_object('spent', kiln_internal.spent_today(p_provider_id, null),
                                   'cap', v_about -> 'day_cap_micros', 'currency', (select c.currency
                                                        from kiln.config c)),
        'secret', case when v_about -> 'auth' ->> 'env' is not null then json_build_object(
            'env', v_about -> 'auth' ->> 'env',
            'runners', (select count(*) from kiln.runner_secret s join kiln.runner r using (runner_id)
                         where r.ended_at is null and v_about -> 'auth' ->> 'env' = any (s.names))) end);
end
$$;
comment on function kiln_internal.render_provider(smallint) is
'A provider, as administrators see it: may calls go and until when not (kiln_internal.provider_health_state),
calls in work, tasks that wait and why, how it answered in the last five to ten minutes, today''s money in
micro-units, and how many runners have its secret.';

create or replace function kiln_api.list_providers(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_admin(p_actor);
    return kiln_internal.cut_page((select array_agg(kiln_internal.render_provider(p.provider_id)
                                                    order by p.name) from kiln.provider p), p_query);
end
$$;
comment on function kiln_api.list_providers(bigint, jsonb, jsonb, text) is
'GET /admin/providers?limit=&cursor=: all of them, by name, with their health.';

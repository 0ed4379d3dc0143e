-- For those who run it.
create or replace function kiln_api.ready(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return json_build_object('ready', true, 'checks', json_build_object(
        'database', 'ok',
        'contract', (select major || '.' || minor from kiln.contract()),
        'runners', (select count(*) from kiln.heartbeat h
                     where h.beat_at > kiln_internal.now() - (select c.lease from kiln.config c)),
        'sandbox', (select case when count(*) = 0 then 'ok'
                                else 'warning: ' || count(*)
                                || ' of the runners alive run tools without a sandbox; see kiln.runners and '
                                   'docs/tools.md' end
                      from kiln.runner r join kiln.heartbeat h using (runner_id)
                     where r.sandbox = 'none' and h.beat_at > kiln_internal.now() - (select c.lease
                                                        from kiln.config c)),
        'synchronous_standby', case when not exists (select from pg_catalog.pg_stat_replication)
                                        then 'no standby'
                                    when current_setting('synchronous_standby_names') = ''
                                        then 'warning: a standby is not synchronous; a failover may forget '
                                             'what was paid'
                                    else 'ok' end));
end
$$;
comment on function kiln_api.ready(bigint, jsonb, jsonb, text) is
'GET /readyz: {ready, checks}. Not ready is when this cannot be called.';

create or replace function kiln_api.metrics(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return to_json((
        select string_agg(line, E'\n' order by part, line) || E'\n'
          from (select 1 as part, '# TYPE kiln_queue_ready gauge' as line
                union all select 2, format('kiln_queue_ready{queue="%s"} %s', q.name, (select count(*)
                                                        from (select from kiln.task_ready t
                                                               where t.queue_id = q.queue_id
                                                                 and t.interruptions < 2 limit 10000) c))
                            from kiln.queue q
                union all select 3, '# TYPE kiln_queue_running gauge'
                union all select 4, format('kiln_queue_running{queue="%s"} %s', q.name, (select count(*)
                                                        from kiln.task_running t
                                                            where t.queue_id = q.queue_id)) from kiln.queue q
                union all select 5, '# TYPE kiln_queue_paused gauge'
                union all select 6, format('kiln_queue_paused{queue="%s"} %s', q.name, q.is_paused::int)
                            from kiln.queue q
                union all select 7, '# TYPE kiln_tasks_waiting gauge'
                union all select 8, format('kiln_tasks_waiting %s', (select count(*)
                                                                       from (select from kiln.task_waiting
                                                                           limit 10000) c))
                union all select 9, '# TYPE kiln_tasks_held gauge'
                union all select 10, format('kiln_tasks_held %s', (select count(*) from kiln.task_held))
                union all select 11, '# TYPE kiln_runners gauge'
                union all select 12, format('kiln_runners %s', (select count(*) from kiln.heartbeat h
                                                                 where h.beat_at
                                                                       > kiln_internal.now() - (select c.lease
                                                                           from kiln.config c)))
                union all select 13, '# TYPE kiln_deliveries_due gauge'
                union all select 14, format('kiln_deliveries_due %s', (select count(*)
                                                        from (select from kiln.delivery d
                                                               where d.state = 'due' limit 10000) c))
                union all select 15, '# TYPE kiln_webhook_endpoints_failing gauge'
                union all select 16, format('kiln_webhook_endpoints_failing %s', (select count(*)
                                                        from (select from kiln.webhook_endpoint e
                                                               where e.failures > 0 limit 10000) c))
               ) lines));
end
$$;
comment on function kiln_api.metrics(bigint, jsonb, jsonb, text) is
'GET /metrics, the database''s part: Prometheus text as a JSON string. Counts of what waits stop at 10,000:
this stays cheap with a million waiting.';

-- Which runners have the secret of a provider.
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
                  where r.ended_at is null and (p_name = any (s.names) or s.names is null
                                                and r.started_at
                                                < kiln_internal.now() - interval '10 seconds'));
end
$$;
comment on function kiln_internal.secret_queues(text) is
'Queues that a living runner with this secret serves. One that has not said within 10 seconds what it has is
trusted to have all.';

create or replace function kiln_internal.defer_for_secret(p_task kiln.task, p_job kiln.job,
                                                          p_provider kiln.provider)
returns void
language plpgsql
as $$
declare
    v_secret text := p_provider.auth ->> 'env';
    v_since  timestamptz;
begin
    if p_task.queue_id = any (kiln_internal.secret_queues(v_secret)) then
        -- Who has it may be busy, and who has not may be quicker again, so the pauses grow; the first look
        -- alone is written down and told.
        select min(a.finished_at) into v_since from kiln.attempt a
         where a.job_id = p_task.job_id and a.task_id = p_task.task_id and a.outcome = 'secret';
        delete from kiln.deferred_task k where k.task_id = p_task.task_id;
        perform kiln_internal.defer_with_call(p_task, 'secret',
                                              format('This runner has no %s; another may.', v_secret),
                               kiln_internal.now() + least(greatest(kiln_internal.now() - v_since,
                                                                    interval '1 second'),
                                                           interval '1 minute'),
                               format('Waits for a runner that has %s.', v_secret), v_since is null);
    else
        perform kiln_internal.defer_task(p_task, p_provider, p_job.account_id, 0, 'secret',
                                         format('Waits for a runner that has %s.', v_secret), null);
    end if;
end
$$;
comment on function kiln_internal.defer_for_secret(kiln.task, kiln.job, kiln.provider) is
'Lets a running task wait for a runner with its provider''s secret: where one of its queue lives, for a
second,
then as long as it has waited already, a minute at most; where none does it is deferred until one offers it
(kiln_runner.offer_secrets). Neither an attempt nor a death.';

create or replace function kiln_runner.required_secrets()
returns text[]
language plpgsql stable security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    return array(select distinct p.auth ->> 'env' from kiln.provider p
                  where p.is_enabled and p.auth ->> 'env' is not null order by 1);
end
$$;
comment on function kiln_runner.required_secrets() is
'Names of the environment variables that hold the secrets of the providers in use. Offer those that are set
with offer_secrets().';

create or replace function kiln_runner.offer_secrets(p_runner_id bigint, p_names text[])
returns text[]
language plpgsql security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    insert into kiln.runner_secret (runner_id, names)
    select r.runner_id, coalesce(p_names, '{}') from kiln.runner r
     where r.runner_id = p_runner_id and r.ended_at is null
    on conflict (runner_id) do update set names = excluded.names, offered_at = excluded.offered_at;
    if not found then
        raise exception 'runner % is not registered, or was declared dead', p_runner_id
            using errcode = 'KN011',
            hint = 'Call kiln_runner.register() again; what it ran is no longer its own.';
    end if;
    return array(select distinct p.auth ->> 'env'
                   from kiln.provider p
                  where p.is_enabled and p.auth ->> 'env' is not null
                    and p.auth ->> 'env' <> all (coalesce(p_names, '{}'))
                    and exists (select from kiln.deferred_task k
                                 where k.provider_id = p.provider_id and k.reason = 'secret'
                                   and k.admitted_at is null)
                  order by 1);
end
$$;
comment on function kiln_runner.offer_secrets(bigint, text[]) is
'Says which of the wanted secrets a runner has (set and not empty); never the secrets. Calls of other
providers
are then left to other runners; tasks that waited for one of these go on at the next tick. Returns those that
it lacks and that tasks wait for. KN011: register again.';

-- rows: the same rows as a cycle of one task and an enqueue write, and none of Kiln's rules, as a bound for what functions in plpgsql reach
-- on a machine. One queue, one priority; no limits, turns, pauses, schedules, partitions, files, prices, or sleeping readers; narrow rows,
-- and only the indexes without which nothing is found. Kept: job, task, attempt, a guard on the job's moves, the hand-over, both events.
create type state as enum ('queued', 'running', 'completed');
create table move (from_state state, to_state state, primary key (from_state, to_state));
insert into move values ('queued', 'running'), ('running', 'completed');
create table job (job_id bigint generated always as identity primary key, account_id bigint not null, version int not null default 1,
                  state state not null default 'queued', created_at timestamptz not null default statement_timestamp(), started_at timestamptz,
                  finished_at timestamptz, input jsonb not null, output jsonb) with (fillfactor = 80);
create index on job (account_id, job_id);
create table ready (virtual_time bigint, task_id bigint, account_id bigint, primary key (virtual_time, task_id))
    with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create table running (task_id bigint primary key, virtual_time bigint, account_id bigint, fence bigint, runner_id bigint, started_at timestamptz)
    with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create table ended (task_id bigint primary key, account_id bigint, finished_at timestamptz, output jsonb);
create table attempt (fence bigint, task_id bigint, runner_id bigint, started_at timestamptz, finished_at timestamptz, outcome text);
create index on attempt (task_id);
create table event (event_id bigint generated always as identity, xid xid8 not null default pg_current_xact_id(), at timestamptz not null default
                    statement_timestamp(), account_id bigint not null, job_id bigint, version int, type text not null);
create index on event (xid, event_id);
create index on event (account_id, xid, event_id);
create sequence fence;

create function guard() returns trigger language plpgsql as $$
begin
    if old.state <> new.state and not exists (select from move m where m.from_state = old.state and m.to_state = new.state) then
        raise exception 'from % to %', old.state, new.state;
    end if;
    return new;
end $$;
create trigger guard before update of state on job for each row execute function guard();

create function enqueue(p_account bigint, p_input jsonb) returns void language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    v_job bigint;
begin
    insert into job (account_id, input) values (p_account, p_input) returning job_id into v_job;
    insert into ready (virtual_time, task_id, account_id) values (v_job, v_job * 10000 + 100, p_account);
    insert into event (account_id, job_id, version, type) values (p_account, v_job, 1, 'job.queued');
end $$;

create function cycle(p_runner bigint, p_task bigint, p_fence bigint, p_output jsonb, out task bigint, out fence bigint, out input jsonb)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    r     record;
    v_job bigint := p_task / 10000;
begin
    if p_task > 0 then
        delete from running t where t.task_id = p_task and t.fence = p_fence returning t.virtual_time, t.account_id, t.started_at into strict r;
        insert into ended values (p_task, r.account_id, statement_timestamp(), p_output);
        insert into attempt values (p_fence, p_task, p_runner, r.started_at, statement_timestamp(), 'done');
        if p_task / 100 % 100 = 1 then
            perform from job j where j.job_id = v_job and j.state = 'running' for no key update;
            insert into ready values (r.virtual_time, p_task + 100, r.account_id);
            insert into event (account_id, job_id, version, type) values (r.account_id, v_job, 2, 'job.progress');
        else
            update job j set state = 'completed', version = version + 1, finished_at = statement_timestamp(), output = p_output
             where j.job_id = v_job and j.state = 'running';
            insert into event (account_id, job_id, version, type) values (r.account_id, v_job, 3, 'job.completed');
        end if;
    end if;
    delete from ready t
     where t.ctid = any (array(select q.ctid from ready q order by q.virtual_time, q.task_id limit 1 for update skip locked))
    returning t.virtual_time, t.task_id, t.account_id into r;
    if not found then
        return;
    end if;
    task := r.task_id;
    fence := nextval('fence');
    v_job := task / 10000;
    insert into running values (task, r.virtual_time, r.account_id, fence, p_runner, statement_timestamp());
    if task / 100 % 100 = 1 then
        update job j set state = 'running', version = version + 1, started_at = statement_timestamp()
         where j.job_id = v_job and j.state = 'queued' returning j.input into input;
        insert into event (account_id, job_id, version, type) values (r.account_id, v_job, 2, 'job.started');
    else
        select e.output into input from ended e where e.task_id = task - 100;
    end if;
end $$;

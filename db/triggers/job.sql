-- A job's life. An UPDATE of `state` is the transition: whoever types it, all that belongs to it happens, or it is refused with
-- a sentence. ENABLE ALWAYS: no setting switches these triggers off.
--
-- Inner functions carry no settings and no SECURITY DEFINER of their own (each would cost microseconds in every transition): the
-- functions that programs call have them, all names are qualified, and people who may write the tables run them as themselves.
--
-- Lock order. Whoever moves a task holds the task and then takes its job. What goes the other way (a cancel holds the job
-- and wants its tasks) takes only tasks that nobody else holds (SKIP LOCKED): the holder of the others comes to the job
-- next, finds what became of it, and acts on that.

create or replace function kiln.guard_job_move()
returns trigger
language plpgsql
as $$
declare
    v_refused text;
begin
    if not exists (select from kiln.job_move m where m.from_state = old.state and m.to_state = new.state) then
        raise exception 'job % is %: it cannot become %', old.job_id, old.state, new.state
            using errcode = 'KN001',
                  hint = coalesce('From ' || old.state || ' it may become: '
                         || (select string_agg(m.to_state::text, ', ' order by m.to_state) from kiln.job_move m where m.from_state = old.state) || '.',
                         'That state is final; kiln.retry_job(' || old.job_id || ') makes a new job of it.');
    end if;

    -- The moves that need more than a row in the table.
    case new.state
    when 'running' then
        if old.state = 'queued' and not exists (
            select from kiln.task t where t.task_id = kiln.task_id(new.job_id, 1) and t.state = 'running') then
            v_refused := 'it starts when a runner claims its first task';
        end if;
        new.started_at := coalesce(old.started_at, kiln.now());
        new.error_code := null;
        new.error_message := null;
    when 'completed' then
        if not exists (
            select from kiln.task t where t.task_id = kiln.task_id(new.job_id, new.stages) and t.state = 'done') then
            v_refused := 'its last stage is not done';
        end if;
        new.finished_at := kiln.now();
    when 'held' then
        if not exists (select from kiln.task t where t.task_id between kiln.task_id(new.job_id, 0) and kiln.task_id(new.job_id, 99, 99) and t.state = 'held') then
            v_refused := 'none of its tasks is held; hold the task instead (update kiln.task set state = ''held'' …)';
        end if;
    when 'cancelled' then
        if exists (select from kiln.task t where t.task_id between kiln.task_id(new.job_id, 0) and kiln.task_id(new.job_id, 99, 99) and t.state = 'running') then
            v_refused := 'a runner has its task; set cancelling, and the runner is told';
        end if;
        new.finished_at := kiln.now();
        new.error_code := coalesce(new.error_code, 'cancelled');
        new.error_message := coalesce(new.error_message, 'Cancelled.');
    when 'failed' then
        new.finished_at := kiln.now();
        new.error_code := coalesce(new.error_code, 'operator');
        new.error_message := coalesce(new.error_message, 'Failed by ' || session_user || '.');
    else
        null;
    end case;

    if v_refused is not null then
        raise exception 'job % is %: it cannot become %, since %', old.job_id, old.state, new.state, v_refused
            using errcode = 'KN001';
    end if;
    new.version := old.version + 1;
    return new;
end
$$;
comment on function kiln.guard_job_move() is
'Lets only the moves of kiln.job_move pass, and sets version and times. Refuses the others with KN001 and what would be legal.';

create trigger t20_guard_move
    before update of state on kiln.job
    for each row when (old.state is distinct from new.state)
    execute function kiln.guard_job_move();
alter table kiln.job enable always trigger t20_guard_move;

create or replace function kiln.guard_job_fixed()
returns trigger
language plpgsql
as $$
begin
    if (old.job_id, old.account_id, old.pipeline_version_id, old.stages, old.input, old.created_at)
       is distinct from (new.job_id, new.account_id, new.pipeline_version_id, new.stages, new.input, new.created_at)
       or (old.version <> new.version and old.state = new.state) then
        raise exception 'job %: id, account, pipeline version, stages, input, creation time and version never change by hand', old.job_id
            using errcode = 'KN001', hint = 'kiln.retry_job() makes a new job from an old one.';
    end if;
    return new;
end
$$;
comment on function kiln.guard_job_fixed() is 'Keeps what a job was born with (KN001).';

create trigger t30_guard_fixed
    before update of job_id, account_id, pipeline_version_id, stages, input, created_at, version on kiln.job
    for each row execute function kiln.guard_job_fixed();
alter table kiln.job enable always trigger t30_guard_fixed;

create or replace function kiln.guard_job_delete()
returns trigger
language plpgsql
as $$
begin
    raise exception 'job % is %: only a finished job can be deleted', old.job_id, old.state
        using errcode = 'KN001', hint = 'kiln.cancel_job(' || old.job_id || ') ends it first.';
end
$$;
comment on function kiln.guard_job_delete() is 'Refuses to delete a job that has not ended (KN001).';

create trigger t10_guard_delete
    before delete on kiln.job
    for each row when (old.finished_at is null)
    execute function kiln.guard_job_delete();
alter table kiln.job enable always trigger t10_guard_delete;

create or replace function kiln.guard_truncate()
returns trigger
language plpgsql
as $$
begin
    raise exception '% is not emptied at a stroke: its rows belong to those of other tables', tg_table_name
        using errcode = 'KN001', hint = 'Delete finished jobs; their tasks, media and files follow.';
end
$$;
comment on function kiln.guard_truncate() is 'Refuses TRUNCATE, which no row trigger would see (KN001).';

create trigger t10_guard_truncate before truncate on kiln.job for each statement execute function kiln.guard_truncate();
alter table kiln.job enable always trigger t10_guard_truncate;

-- What a move of a job does to its tasks, and the events that tell of it.
create or replace function kiln.on_job_update()
returns trigger
language plpgsql
as $$
declare
    v_stopped bigint[];
    v_resumed bigint[];
    v_events  bigint;
begin
    insert into kiln.event (account_id, job_id, version, type, data)
    select n.account_id, n.job_id, n.version,
           case when n.state = o.state then 'job.progress'
                when n.state = 'running' then 'job.started'
                else 'job.' || n.state end::kiln.event_type,
           case when n.state = o.state then jsonb_build_object('stage', n.stage)
                when n.state in ('failed', 'held', 'cancelled') then jsonb_build_object('code', n.error_code, 'message', n.error_message) end
      from new_rows n
      join old_rows o using (job_id)
     where n.state <> o.state or n.stage <> o.stage;
    get diagnostics v_events = row_count;
    if v_events = 0 then
        return null;
    end if;
    perform kiln.ring(null);

    select array_agg(n.job_id) filter (where n.state in ('cancelling', 'cancelled', 'failed')),
           array_agg(n.job_id) filter (where n.state = 'running' and o.state = 'held')
      into v_stopped, v_resumed
      from new_rows n
      join old_rows o using (job_id)
     where n.state <> o.state;

    if v_stopped is not null then
        perform kiln.cancel_waiting_tasks(v_stopped);
    end if;
    if v_resumed is not null then
        update kiln.task t set state = 'ready'
          from unnest(v_resumed) as u (job_id)
         where t.state = 'held' and t.task_id between kiln.task_id(u.job_id, 0) and kiln.task_id(u.job_id, 99, 99);
    end if;
    return null;
end
$$;
comment on function kiln.on_job_update() is 'Writes the events of a move, cancels the waiting tasks of jobs that stop, readies those of jobs that resume.';

create trigger t50_moved
    after update on kiln.job referencing old table as old_rows new table as new_rows
    for each statement execute function kiln.on_job_update();
alter table kiln.job enable always trigger t50_moved;

-- With a job go its tasks and its media (whose files go to kiln.trash). Attempts and events are history and stay.
create or replace function kiln.on_job_delete()
returns trigger
language plpgsql
as $$
begin
    delete from kiln.task t using old_rows o
     where t.task_id between kiln.task_id(o.job_id, 0) and kiln.task_id(o.job_id, 99, 99);
    delete from kiln.media m using old_rows o where m.job_id = o.job_id;
    return null;
end
$$;
comment on function kiln.on_job_delete() is 'Deletes the tasks and the media of deleted jobs.';

create trigger t50_deleted
    after delete on kiln.job referencing old table as old_rows
    for each statement execute function kiln.on_job_delete();
alter table kiln.job enable always trigger t50_deleted;

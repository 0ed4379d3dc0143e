-- A job's life. An UPDATE of `state` is the transition: whoever types it, all that belongs to it happens, or it is refused with
-- a sentence. ENABLE ALWAYS: no setting switches these triggers off.
--
-- Inner functions carry no settings and no SECURITY DEFINER of their own (each would cost microseconds in every transition): the
-- functions that programs call have them, all names are qualified, and people who may write the tables run them as themselves.
--
-- Lock order. Whoever moves a task holds the task and then takes its job. What goes the other way (a cancel holds the job
-- and wants its tasks) takes only tasks that nobody else holds (SKIP LOCKED): the holder of the others comes to the job
-- next, finds what became of it, and acts on that.

-- The row triggers of `state` have no WHEN: PostgreSQL reads such a condition anew from its text in every statement, which
-- costs more than the call that it saves.
create or replace function kiln.fill_job_move()
returns trigger
language plpgsql
as $$
begin
    if old.state = new.state or new.version <> old.version then
        return new;
    end if;
    new.version := old.version + 1;
    if new.state = 'running' then
        new.started_at := coalesce(old.started_at, kiln.now());
        new.error_code := null;
        new.error_message := null;
    elsif new.state = 'cancelled' then
        new.error_code := coalesce(new.error_code, 'cancelled');
        new.error_message := coalesce(new.error_message, 'Cancelled.');
    elsif new.state = 'failed' then
        new.error_code := coalesce(new.error_code, 'operator');
        new.error_message := coalesce(new.error_message, 'Failed by ' || session_user || '.');
    end if;
    if new.state in ('completed', 'failed', 'cancelled') then
        new.finished_at := kiln.now();
    end if;
    return new;
end
$$;
comment on function kiln.fill_job_move() is 'Sets the version and the columns that belong to a move whose writer did not set them.';

create or replace trigger t20_fill_move
    before update of state on kiln.job
    for each row execute function kiln.fill_job_move();
alter table kiln.job enable always trigger t20_fill_move;

create or replace function kiln.refuse_job_move(p_job_id bigint, p_from kiln.job_state, p_to kiln.job_state)
returns void
language plpgsql
as $$
begin
    if not exists (select from kiln.job_move m where m.from_state = p_from and m.to_state = p_to) then
        raise exception 'job % is %: it cannot become %', p_job_id, p_from, p_to
            using errcode = 'KN001',
                  hint = coalesce('From ' || p_from || ' it may become: '
                         || (select string_agg(m.to_state::text, ', ' order by m.to_state) from kiln.job_move m where m.from_state = p_from) || '.',
                         'That state is final; kiln.retry_job(' || p_job_id || ') makes a new job of it.');
    end if;
    raise exception 'job % is %: it cannot become %, since %', p_job_id, p_from, p_to,
        case p_to when 'running'   then 'it starts when a runner claims its first task'
                  when 'completed' then 'its last stage is not done'
                  when 'held'      then 'none of its tasks is held; hold the task instead (update kiln.task set state = ''held'' …)'
                  when 'cancelled' then 'a runner has its task; set cancelling, and the runner is told'
                  else 'its version did not grow by one' end
        using errcode = 'KN001';
end
$$;
comment on function kiln.refuse_job_move(bigint, kiln.job_state, kiln.job_state) is 'Raises KN001 and says what would be legal, or what is missing.';

create or replace function kiln.guard_job_fixed()
returns trigger
language plpgsql
as $$
begin
    if (old.job_id, old.account_id, old.pipeline_version_id, old.stages, old.input, old.created_at)
       is distinct from (new.job_id, new.account_id, new.pipeline_version_id, new.stages, new.input, new.created_at) then
        raise exception 'job %: its id, account, pipeline version, stages, input and creation time never change', old.job_id
            using errcode = 'KN001', hint = 'kiln.retry_job() makes a new job from an old one.';
    end if;
    return new;
end
$$;
comment on function kiln.guard_job_fixed() is 'Keeps what a job was born with (KN001).';

create or replace trigger t30_guard_fixed
    before update of job_id, account_id, pipeline_version_id, stages, input, created_at on kiln.job
    for each row execute function kiln.guard_job_fixed();
alter table kiln.job enable always trigger t30_guard_fixed;

create or replace function kiln.guard_job_version()
returns trigger
language plpgsql
as $$
begin
    raise exception 'job %: version and finished_at change with its state, never by themselves', old.job_id using errcode = 'KN001';
end
$$;
comment on function kiln.guard_job_version() is 'Refuses a version or an end without a move (KN001).';

create or replace trigger t31_guard_version
    before update of version, finished_at on kiln.job
    for each row when (old.state = new.state and (old.version <> new.version or old.finished_at is distinct from new.finished_at))
    execute function kiln.guard_job_version();
alter table kiln.job enable always trigger t31_guard_version;

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

create or replace trigger t10_guard_delete
    before delete on kiln.job
    for each row when (old.state not in ('completed', 'failed', 'cancelled'))
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

create or replace trigger t10_guard_truncate before truncate on kiln.job for each statement execute function kiln.guard_truncate();
alter table kiln.job enable always trigger t10_guard_truncate;

-- Refuses what is not legal, writes the event, and does to the tasks what belongs to the move. A legal move may still want
-- something of the tasks: a job starts with a running task, completes with its last one done, is held by a held one, and is not
-- cancelled over the head of a runner. For each row: jobs move one by one, and a statement trigger with its transition tables
-- cost more than this whole function.
create or replace function kiln.on_job_move()
returns trigger
language plpgsql
as $$
declare
    v_legal boolean;
begin
    if old.state = new.state then
        return null;
    end if;
    v_legal := exists (select from kiln.job_move m where m.from_state = old.state and m.to_state = new.state)
        and new.version = old.version + 1;
    if v_legal then
        if new.state = 'completed' then
            v_legal := exists (select from kiln.task_ended t where t.task_id = kiln.task_id(new.job_id, new.stages) and t.state = 'done');
        elsif new.state = 'running' then
            v_legal := old.state = 'held' or exists (select from kiln.task_running t where t.task_id = kiln.task_id(new.job_id, 1));
        elsif new.state = 'held' then
            v_legal := exists (select from kiln.task_held t
                                where t.task_id between kiln.task_id(new.job_id, 0) and kiln.task_id(new.job_id, 99, 99));
        elsif new.state = 'cancelled' then
            v_legal := not exists (select from kiln.task_running t
                                    where t.task_id between kiln.task_id(new.job_id, 0) and kiln.task_id(new.job_id, 99, 99));
        end if;
    end if;
    if not v_legal then
        perform kiln.refuse_job_move(new.job_id, old.state, new.state);
    end if;

    insert into kiln.event (account_id, job_id, version, type, data)
    values (new.account_id, new.job_id, new.version,
            case when new.state = 'running' then 'job.started' else 'job.' || new.state end::kiln.event_type,
            case when new.error_code is not null then jsonb_build_object('code', new.error_code, 'message', new.error_message) end);

    if new.state in ('cancelling', 'cancelled', 'failed') then
        perform kiln.cancel_waiting_tasks(new.job_id);
    elsif old.state = 'held' and new.state = 'running' then
        update kiln.task t set state = 'ready'
         where t.state = 'held' and t.task_id between kiln.task_id(new.job_id, 0) and kiln.task_id(new.job_id, 99, 99);
    end if;
    if exists (select from kiln.sleeper) then
        perform kiln.ring(null);
    end if;
    return null;
end
$$;
comment on function kiln.on_job_move() is
'Refuses an illegal move of a job (KN001); for the others writes the event, cancels the waiting tasks of a job that stops,
readies those of a job that resumes.';

create or replace trigger t50_moved
    after update of state on kiln.job
    for each row execute function kiln.on_job_move();
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

create or replace trigger t50_deleted
    after delete on kiln.job referencing old table as old_rows
    for each statement execute function kiln.on_job_delete();
alter table kiln.job enable always trigger t50_deleted;

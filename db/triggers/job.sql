-- A job's life. An UPDATE of `state` is the transition: whoever types it, all that belongs to it happens, or it is refused with
-- a sentence. ENABLE ALWAYS: no setting switches these triggers off.
--
-- Inner functions carry no settings and no SECURITY DEFINER of their own (each would cost microseconds in every transition): the
-- functions that programs call have them, all names are qualified, and people who may write the tables run them as themselves.
--
-- Lock order. Whoever moves a task holds the task and then takes its job. What goes the other way (a cancel holds the job
-- and wants its tasks) takes only tasks that nobody else holds (SKIP LOCKED): the holder of the others comes to the job
-- next, finds what became of it, and acts on that.

-- None of these triggers has a WHEN: PostgreSQL reads such a condition anew from its text in every statement, which costs more
-- than the call that it saves.
create or replace function kiln.fill_job_move()
returns trigger
language plpgsql
as $$
begin
    if old.state = new.state then
        if new.version <> old.version or new.finished_at is distinct from old.finished_at then
            raise exception 'job %: version and finished_at change with its state, never by themselves', old.job_id using errcode = 'KN001';
        end if;
        return new;
    elsif new.version <> old.version then
        return new;         -- its writer has filled it
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
comment on function kiln.fill_job_move() is
'Sets the version and the columns that belong to a move whose writer did not set them; refuses a version or an end without a move (KN001).';

create or replace trigger t20_fill_move
    before update of state, version, finished_at on kiln.job
    for each row execute function kiln.fill_job_move();
alter table kiln.job enable always trigger t20_fill_move;

create or replace function kiln.may_move_job(p_job_id bigint, p_from kiln.job_state, p_to kiln.job_state)
returns boolean
language plpgsql stable
as $$
begin
    return exists (select from kiln.job_move m where m.from_state = p_from and m.to_state = p_to)
       and case p_to
                when 'completed' then exists (select from kiln.task_ended t
                                               where t.task_id = kiln.task_id(p_job_id, (select j.stages from kiln.job j where j.job_id = p_job_id))
                                                 and t.state = 'done')
                when 'running'   then p_from = 'held' or exists (select from kiln.task_running t where t.task_id = kiln.task_id(p_job_id, 1))
                when 'held'      then exists (select from kiln.task_held t
                                               where t.task_id between kiln.task_id(p_job_id, 0) and kiln.task_id(p_job_id, 99, 99))
                when 'cancelled' then not exists (select from kiln.task_running t
                                                   where t.task_id between kiln.task_id(p_job_id, 0) and kiln.task_id(p_job_id, 99, 99))
                else true end;
end
$$;
comment on function kiln.may_move_job(bigint, kiln.job_state, kiln.job_state) is 'Whether a move of a job is in kiln.job_move and its tasks are as it wants them.';

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

-- Refuses what is not legal, writes the events, and does to the tasks what belongs to the move. A legal move may still want
-- something of the tasks: a job starts with a running task, completes with its last one done, is held by a held one, and is not
-- cancelled over the head of a runner. For each statement: what one costs here is its start, and a runner ends jobs by the hundred.
create or replace function kiln.on_job_moves()
returns trigger
language plpgsql
as $$
declare
    v_moved record;
    v_move  record;
begin
    select count(*) as rows, min(n.job_id) as job_id, min(n.account_id) as account_id, min(n.version) as version, min(n.state) as state, min(n.kind) as kind,
           min(n.media_type) as media_type, min(n.error_code) as error_code, min(n.error_message) as error_message, bool_or(n.finished_at is not null) as has_ended,
           bool_and(n.version = o.version + 1
                    and exists (select from kiln.job_move m where m.from_state = o.state and m.to_state = n.state)
                    and case n.state when 'completed' then exists (select from kiln.task_ended t where t.task_id = kiln.task_id(n.job_id, n.stages) and t.state = 'done')
                                     when 'running'   then o.state = 'held' or exists (select from kiln.task_running t where t.task_id = kiln.task_id(n.job_id, 1))
                                     else false end) as is_legal,
           bool_or(n.state not in ('running', 'completed') or o.state = 'held') as is_cold,
           bool_or(n.estimated_micros > 0 and n.finished_at is not null) as is_priced
      into v_moved
      from new_rows n
      join old_rows o on o.job_id = n.job_id
     where o.state <> n.state;
    if v_moved.rows = 0 then
        return null;        -- nothing moved
    elsif v_moved.is_cold or not v_moved.is_legal then
        for v_move in
            select n.job_id, o.state as from_state, n.state as to_state, n.version = o.version + 1 as is_counted
              from new_rows n
              join old_rows o on o.job_id = n.job_id
             where o.state <> n.state
        loop
            if not v_move.is_counted or not kiln.may_move_job(v_move.job_id, v_move.from_state, v_move.to_state) then
                perform kiln.refuse_job_move(v_move.job_id, v_move.from_state, v_move.to_state);
            end if;
        end loop;
    end if;

    if v_moved.rows = 1 then            -- as in most statements: nothing to join
        insert into kiln.event (account_id, job_id, version, type, data)
        values (v_moved.account_id, v_moved.job_id, v_moved.version,
                case when v_moved.state = 'running' then 'job.started' else 'job.' || v_moved.state end::kiln.event_type,
                case when v_moved.error_code is not null then jsonb_build_object('code', v_moved.error_code, 'message', v_moved.error_message) end);
        if v_moved.has_ended then
            insert into kiln.job_end (job_id, account_id, kind, state, media_type)
            values (v_moved.job_id, v_moved.account_id, v_moved.kind, v_moved.state, coalesce(v_moved.media_type::text, ''));
        end if;
    else
        insert into kiln.event (account_id, job_id, version, type, data)
        select n.account_id, n.job_id, n.version,
               case when n.state = 'running' then 'job.started' else 'job.' || n.state end::kiln.event_type,
               case when n.error_code is not null then jsonb_build_object('code', n.error_code, 'message', n.error_message) end
          from new_rows n
          join old_rows o on o.job_id = n.job_id
         where o.state <> n.state;
        if v_moved.has_ended then
            insert into kiln.job_end (job_id, account_id, kind, state, media_type)
            select n.job_id, n.account_id, n.kind, n.state, coalesce(n.media_type::text, '')
              from new_rows n
              join old_rows o on o.job_id = n.job_id
             where o.state <> n.state and n.finished_at is not null;
        end if;
    end if;

    if v_moved.is_cold then
        for v_move in
            select n.job_id, o.state as from_state, n.state as to_state, n.kind, n.input, n.error_message
              from new_rows n
              join old_rows o on o.job_id = n.job_id
             where o.state <> n.state
        loop
            if v_move.to_state in ('cancelling', 'cancelled', 'failed') then
                perform kiln.cancel_waiting_tasks(v_move.job_id);
                if v_move.kind = 'upload' and v_move.to_state <> 'cancelling' then
                    perform kiln.reject_upload(v_move.job_id, (v_move.input ->> 'upload')::bigint, v_move.error_message);
                end if;
            elsif v_move.from_state = 'held' and v_move.to_state = 'running' then
                update kiln.task t set state = 'ready'
                 where t.state = 'held' and t.task_id between kiln.task_id(v_move.job_id, 0) and kiln.task_id(v_move.job_id, 99, 99);
            end if;
        end loop;
    end if;
    if v_moved.is_priced then
        perform kiln.settle_job(n.job_id) from new_rows n join old_rows o on o.job_id = n.job_id where o.state <> n.state and n.estimated_micros > 0;
    end if;
    if exists (select from kiln.sleeper) then
        perform kiln.ring(null);
    end if;
    return null;
end
$$;
comment on function kiln.on_job_moves() is
'Refuses illegal moves of jobs (KN001); for the others writes the events and the ends (kiln.job_end), cancels the waiting tasks of a job that stops,
readies those of a job that resumes.';

create or replace trigger t50_moved
    after update on kiln.job referencing old table as old_rows new table as new_rows
    for each statement execute function kiln.on_job_moves();
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
    -- By their places: a join with the deleted rows was planned over the whole index.
    delete from kiln.job_end e
     where e.ctid = any (array(
               select x.ctid
                 from old_rows o
                cross join lateral (select d.ctid from kiln.job_end d where d.kind = o.kind and d.state = o.state and d.job_id = o.job_id limit 1) x));
    delete from kiln.tryon t where t.job_id = any (array(select o.job_id from old_rows o where o.kind = 'tryon'));
    return null;
end
$$;
comment on function kiln.on_job_delete() is 'Deletes the tasks and the media of deleted jobs.';

create or replace trigger t50_deleted
    after delete on kiln.job referencing old table as old_rows
    for each statement execute function kiln.on_job_delete();
alter table kiln.job enable always trigger t50_deleted;

-- A job's life. An UPDATE of `state` is the transition: whoever types it, all that belongs to it happens, or
-- it is refused with a sentence. ENABLE ALWAYS: no setting switches these triggers off.
--
-- Inner functions carry no settings and no SECURITY DEFINER of their own (each would cost microseconds in
-- every transition): the functions that programs call have them, all names are qualified, and people who may
-- write the tables run them as themselves.
--
-- Lock order. Whoever moves a task holds the task and then takes its job. What goes the other way (a cancel
-- holds the job and wants its tasks) takes only tasks that nobody else holds (SKIP LOCKED): the holder of the
-- others comes to the job next, finds what became of it, and acts on that.

-- None of these triggers has a WHEN: PostgreSQL reads such a condition anew from its text in every statement,
-- which costs more than the call that it saves.
create or replace function kiln_internal.refuse_job_outcome(p_old kiln.job, p_new kiln.job)
returns void
language plpgsql
as $$
begin
    if (p_old.version, p_old.started_at, p_old.finished_at, p_old.output, p_old.actual_micros)
       is distinct from (p_new.version, p_new.started_at, p_new.finished_at, p_new.output,
                         p_new.actual_micros)
       or p_old.state = p_new.state and (p_old.error_code,
                                         p_old.error_message) is distinct from (p_new.error_code,
                                                        p_new.error_message) then
        raise exception 'job %: what came of it (version, times, output, error, cost) is written by its '
                        'moves, not by hand', p_old.job_id
            using errcode = 'KN001',
            hint = format('update kiln.job set state = ''failed'', error_message = ''why'' where job_id = '
                          '%s; -- or select kiln.cancel_job(%1$s)', p_old.job_id);
    end if;
end
$$;
comment on function kiln_internal.refuse_job_outcome(kiln.job, kiln.job) is
'Refuses a person''s UPDATE of what came of a job (KN001); an error may be typed together with the move that
it belongs to.';

create or replace function kiln_internal.refuse_job_by_hand(p_old kiln.job, p_new kiln.job)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.refuse_job_outcome(p_old, p_new);
    if p_old.state = 'held' and (p_new.state in ('failed', 'completed')
                                 or p_new.state = 'running' and exists (select from kiln.call c
                                                        where c.job_id = p_old.job_id
                                                            and c.state = 'unknown')) then
        raise exception 'job % is held for a person''s word: it becomes % by kiln.resolve_job(), which keeps '
                        'the reason', p_old.job_id, p_new.state
            using errcode = 'KN001',
            hint = format('select kiln.resolve_job(%s, ''fail'', ''why''); or ''resend'', or ''adopt'': \df+ '
                          'kiln.resolve_job', p_old.job_id);
    elsif p_new.state = 'failed' and exists (select from kiln.call c
                                              where c.job_id = p_old.job_id and c.state <> 'settled') then
        raise exception 'job % has a call that is not settled: it may have been paid', p_old.job_id
            using errcode = 'KN001',
            hint = format('select kiln.cancel_job(%s): the provider is told, and the call is followed to '
                          'its end.', p_old.job_id);
    end if;
end
$$;
comment on function kiln_internal.refuse_job_by_hand(kiln.job, kiln.job) is
'Refuses moves of a job that a person types past kiln.resolve_job(): out of held to failed or completed, and
past a call that may have been paid (KN001).';

create or replace function kiln_internal.fill_job_move()
returns trigger
language plpgsql
as $$
begin
    if old.state = new.state then
        if new.version <> old.version or new.finished_at is distinct from old.finished_at then
            raise exception 'job %: version and finished_at change with its state, never by themselves',
                old.job_id using errcode = 'KN001';
        elsif kiln_internal.is_by_hand() then
            perform kiln_internal.refuse_job_outcome(old, new);
        end if;
        return new;
    elsif new.version <> old.version and current_user = 'kiln_owner' then
        return new;         -- its writer has filled it
    elsif kiln_internal.is_by_hand() then
        perform kiln_internal.refuse_job_by_hand(old, new);
    end if;
    new.version := old.version + 1;
    if new.state = 'running' then
        new.started_at := coalesce(old.started_at, kiln_internal.now());
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
        new.finished_at := kiln_internal.now();
    end if;
    return new;
end
$$;
comment on function kiln_internal.fill_job_move() is
'Sets the version and the columns that belong to a move whose writer did not set them; refuses a version or an
end without a move (KN001).';

create or replace trigger t20_fill_move
    before update of state, version, started_at, finished_at, output, error_code, error_message,
    actual_micros on kiln.job
    for each row execute function kiln_internal.fill_job_move();
alter table kiln.job enable always trigger t20_fill_move;

create or replace function kiln_internal.may_move_job(p_job_id bigint, p_from kiln.job_state,
                                                      p_to kiln.job_state)
returns boolean
language plpgsql stable
as $$
begin
    return exists (select from kiln.job_move m where m.from_state = p_from and m.to_state = p_to)
       and case p_to
                when 'completed' then exists (select from kiln.task_ended t
                                               where t.task_id = kiln_internal.task_id(p_job_id,
                                                        (select j.stages from kiln.job j
                                                          where j.job_id = p_job_id))
                                                 and t.state = 'done')
                when 'running'   then p_from = 'held' or exists (select from kiln.task_running t
                                                                  where t.task_id
                                                                        = kiln_internal.task_id(p_job_id, 1))
                when 'held'      then exists (select from kiln.task_held t
                                               where t.task_id between kiln_internal.task_id(p_job_id,
                                                        0) and kiln_internal.task_id(p_job_id, 99, 99))
                when 'cancelled' then not exists (select from kiln.task_running t
                                                   where t.task_id between kiln_internal.task_id(p_job_id,
                                                        0) and kiln_internal.task_id(p_job_id, 99, 99))
                else true end;
end
$$;
comment on function kiln_internal.may_move_job(bigint, kiln.job_state, kiln.job_state) is
'Whether a move of a job is in kiln.job_move and its tasks are as it wants them.';

create or replace function kiln_internal.refuse_job_move(p_job_id bigint, p_from kiln.job_state,
                                                         p_to kiln.job_state)
returns void
language plpgsql
as $$
begin
    if not exists (select from kiln.job_move m where m.from_state = p_from and m.to_state = p_to) then
        raise exception 'job % is %: it cannot become %', p_job_id, p_from, p_to
            using errcode = 'KN001',
                  hint = coalesce('From ' || p_from || ' it may become: '
                         || (select string_agg(m.to_state::text, ', ' order by m.to_state)
                               from kiln.job_move m where m.from_state = p_from) || '.',
                         'That state is final; kiln.retry_job(' || p_job_id || ') makes a new job of it.');
    end if;
    raise exception 'job % is %: it cannot become %, since %', p_job_id, p_from, p_to,
        case p_to when 'running'   then 'it starts when a runner claims its first task'
                  when 'completed' then 'its last stage is not done'
                  when 'held'
                 then 'none of its tasks is held; hold the task instead (update kiln.task set state '
                      '= ''held'' …)'
                  when 'cancelled' then 'a runner has its task; set cancelling, and the runner is told'
                  else 'its version did not grow by one' end
        using errcode = 'KN001';
end
$$;
comment on function kiln_internal.refuse_job_move(bigint, kiln.job_state, kiln.job_state) is
'Raises KN001 and says what would be legal, or what is missing.';

create or replace function kiln_internal.guard_job_fixed()
returns trigger
language plpgsql
as $$
begin
    if (old.job_id, old.account_id, old.parent_id, old.pipeline_version_id, old.model_id, old.stages,
        old.kind, old.media_type, old.estimated_micros, old.input, old.created_at)
       is distinct from (new.job_id, new.account_id, new.parent_id, new.pipeline_version_id, new.model_id,
                         new.stages, new.kind, new.media_type, new.estimated_micros, new.input,
                         new.created_at) then
        raise exception 'job %: its id, account, parent, pipeline version, model, stages, kind, media type, '
                        'estimate, input and creation time never change', old.job_id
            using errcode = 'KN001',
            hint = 'kiln.retry_job() makes a new job from an old one; priority and run_at may be changed '
                   'while it waits.';
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_job_fixed() is 'Keeps what a job was born with (KN001).';

create or replace trigger t30_guard_fixed
    before update of job_id, account_id, parent_id, pipeline_version_id, model_id, stages, kind, media_type,
    estimated_micros, input, created_at on kiln.job
    for each row execute function kiln_internal.guard_job_fixed();
alter table kiln.job enable always trigger t30_guard_fixed;

-- A change of priority or of the time is performed: the job's task takes its place in the order of claims.
-- The job is locked, so of its tasks only those are taken that nobody else holds; whoever holds one comes to
-- the job next and finds its new priority there.
create or replace function kiln_internal.reschedule_job(p_old kiln.job, p_new kiln.job)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_task kiln.task;
begin
    if p_new.finished_at is not null then
        raise exception 'job % is %: its priority and its time mean nothing any more', p_new.job_id,
            p_new.state
            using errcode = 'KN001', hint = format('select kiln.retry_job(%s) makes a new job of it.',
                                                   p_new.job_id);
    elsif p_old.run_at is distinct from p_new.run_at and p_new.state <> 'queued' then
        raise exception 'job % is %: run_at says when it may begin, and it has begun', p_new.job_id,
            p_new.state
            using errcode = 'KN001',
            hint = 'A task that waits is moved by its due_at: update kiln.task set due_at = … where '
                   'task_id = …';
    end if;
    select t.* into v_task from kiln.task t
     where t.state in ('ready', 'waiting', 'running', 'held')
       and t.task_id between kiln_internal.task_id(p_new.job_id, 0) and kiln_internal.task_id(p_new.job_id,
                                                        99, 99)
       for no key update skip locked;
    if not found then
        return;             -- who holds it goes by what the job says
    end if;
    if p_old.priority <> p_new.priority then
        update kiln.task t
           set priority = p_new.priority,
               virtual_time = case when t.state = 'ready'
                                       then kiln_internal.next_virtual_time_of(t.queue_id, p_new.priority,
                                                        t.account_id) else t.virtual_time end
         where t.state = v_task.state and t.task_id = v_task.task_id;
        update kiln.deferred_task p set priority = p_new.priority where p.task_id = v_task.task_id;
    end if;
    if p_old.run_at is distinct from p_new.run_at then
        if v_task.state = 'waiting' and v_task.due_at = 'infinity' then
            raise exception 'job % waits for files or for a provider, not for a time', p_new.job_id
                using errcode = 'KN001';
        elsif v_task.state = 'ready' and p_new.run_at > kiln_internal.now() then
            update kiln.task t set state = 'waiting', due_at = p_new.run_at
             where t.state = 'ready' and t.task_id = v_task.task_id;
        elsif v_task.state = 'waiting' then
            update kiln.task t set due_at = coalesce(p_new.run_at, kiln_internal.now())
             where t.state = 'waiting' and t.task_id = v_task.task_id;
        end if;
    end if;
    if v_task.state = 'ready' then
        perform kiln_internal.notify_waiters(array[v_task.queue_id]);
    end if;
end
$$;
comment on function kiln_internal.reschedule_job(kiln.job, kiln.job) is
'Moves the task of a job whose priority or run_at was changed to its new place: behind the last one of its
account at that priority, or to its time. Refuses it where that would do nothing (KN001).';

create or replace function kiln_internal.on_job_reschedule()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.is_by_hand() and (old.priority, old.run_at) is distinct from (new.priority,
                                                        new.run_at) then
        perform kiln_internal.reschedule_job(old, new);
    end if;
    return null;
end
$$;
comment on function kiln_internal.on_job_reschedule() is
'Performs a person''s change of priority or run_at; functions place the task themselves.';

create or replace trigger t60_reschedule
    after update of priority, run_at on kiln.job
    for each row execute function kiln_internal.on_job_reschedule();
alter table kiln.job enable always trigger t60_reschedule;

create or replace function kiln_internal.guard_job_delete()
returns trigger
language plpgsql
as $$
begin
    raise exception 'job % is %: only a finished job can be deleted', old.job_id, old.state
        using errcode = 'KN001', hint = 'kiln.cancel_job(' || old.job_id || ') ends it first.';
end
$$;
comment on function kiln_internal.guard_job_delete() is 'Refuses to delete a job that has not ended (KN001).';

create or replace trigger t10_guard_delete
    before delete on kiln.job
    for each row when (old.state not in ('completed', 'failed', 'cancelled'))
    execute function kiln_internal.guard_job_delete();
alter table kiln.job enable always trigger t10_guard_delete;

-- Refuses what is not legal, writes the events, and does to the tasks what belongs to the move. A legal move
-- may still want something of the tasks: a job starts with a running task, completes with its last one done,
-- is held by a held one, and is not cancelled over the head of a runner. For each statement: what one costs
-- here is its start, and a runner ends jobs by the hundred.
create or replace function kiln_internal.on_job_moves()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
    v_moved record;
    v_move  record;
begin
    select count(*) as rows, min(n.job_id) as job_id, min(n.account_id) as account_id,
           min(n.version) as version, min(n.state) as state, min(n.kind) as kind,
           min(n.media_type) as media_type, min(n.error_code) as error_code,
           min(n.error_message) as error_message, bool_or(n.finished_at is not null) as has_ended,
           bool_and(n.version = o.version + 1
                    and exists (select from kiln.job_move m where m.from_state = o.state
                                   and m.to_state = n.state)
                    and case n.state when 'completed' then exists (select from kiln.task_ended t
                                                                    where t.task_id
                                                                        = kiln_internal.task_id(n.job_id,
                                                                            n.stages) and t.state = 'done')
                                     when 'running'   then o.state = 'held'
                             or exists (select from kiln.task_running t
                                         where t.task_id = kiln_internal.task_id(n.job_id, 1))
                                     else false end) as is_legal,
           bool_or(n.state not in ('running', 'completed') or o.state = 'held') as is_cold,
           bool_or(n.estimated_micros > 0 and n.finished_at is not null) as is_priced,
           bool_or(n.kind in ('tryon', 'staging')) as is_listed
      into v_moved
      from new_rows n
      join old_rows o on o.job_id = n.job_id
     where o.state <> n.state;
    if v_moved.rows = 0 then
        return null;        -- nothing moved
    elsif v_moved.is_cold or not v_moved.is_legal then
        for v_move in
            select n.job_id, o.state as from_state, n.state as to_state,
                   n.version = o.version + 1 as is_counted
              from new_rows n
              join old_rows o on o.job_id = n.job_id
             where o.state <> n.state
        loop
            if not v_move.is_counted or not kiln_internal.may_move_job(v_move.job_id, v_move.from_state,
                                                                       v_move.to_state) then
                perform kiln_internal.refuse_job_move(v_move.job_id, v_move.from_state, v_move.to_state);
            end if;
        end loop;
    end if;

    if v_moved.rows = 1 then            -- as in most statements: nothing to join
        insert into kiln.event (account_id, job_id, version, type, data)
        values (v_moved.account_id, v_moved.job_id, v_moved.version,
                case when v_moved.state = 'running' then 'job.started'
                     else 'job.' || v_moved.state end::kiln.event_type,
                case when v_moved.error_code is not null
                         then jsonb_build_object('code', v_moved.error_code,
                                                 'message', v_moved.error_message) end);
        if v_moved.has_ended then
            insert into kiln.job_end (job_id, account_id, kind, state, media_type)
            values (v_moved.job_id, v_moved.account_id, v_moved.kind, v_moved.state,
                    coalesce(v_moved.media_type::text, ''));
        end if;
    else
        insert into kiln.event (account_id, job_id, version, type, data)
        select n.account_id, n.job_id, n.version,
               case when n.state = 'running' then 'job.started' else 'job.' || n.state end::kiln.event_type,
               case when n.error_code is not null
                        then jsonb_build_object('code', n.error_code, 'message', n.error_message) end
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
                perform kiln_internal.cancel_waiting_tasks(v_move.job_id);
                if v_move.kind = 'upload' and v_move.to_state <> 'cancelling' then
                    perform kiln_internal.reject_upload(v_move.job_id, (v_move.input ->> 'upload')::bigint,
                                                        v_move.error_message);
                end if;
            elsif v_move.from_state = 'held' and v_move.to_state = 'running' then
                update kiln.task t set state = 'ready'
                 where t.state = 'held' and t.task_id between kiln_internal.task_id(v_move.job_id,
                                                        0) and kiln_internal.task_id(v_move.job_id, 99, 99);
            end if;
        end loop;
    end if;
    -- Row by row, by the key: a join with the moved rows would be planned over whole tables.
    if v_moved.is_listed then
        for v_move in
            select n.job_id, n.kind, n.state
              from new_rows n
              join old_rows o on o.job_id = n.job_id
             where o.state <> n.state and n.kind in ('tryon', 'staging')
        loop
            if v_move.kind = 'tryon' then
                update kiln.tryon t set state = v_move.state where t.job_id = v_move.job_id;
            else
                update kiln.image i set state = v_move.state where i.job_id = v_move.job_id;
            end if;
        end loop;
    end if;
    if v_moved.is_priced then
        perform kiln_internal.settle_job(n.job_id) from new_rows n join old_rows o on o.job_id = n.job_id
         where o.state <> n.state and n.estimated_micros > 0;
    end if;
    if exists (select from kiln.waiter) then
        perform kiln_internal.notify_waiters(null);
    end if;
    return null;
end
$$;
comment on function kiln_internal.on_job_moves() is
'Refuses illegal moves of jobs (KN001); for the others writes the events and the ends (kiln.job_end), cancels
the waiting tasks of a job that stops, readies those of a job that resumes, and lets kiln.tryon and kiln.image
follow.';

create or replace trigger t50_moved
    after update on kiln.job referencing old table as old_rows new table as new_rows
    for each statement execute function kiln_internal.on_job_moves();
alter table kiln.job enable always trigger t50_moved;

-- With a job go its tasks and its media (whose files go to kiln.trash). Attempts and events are history and
-- stay.
create or replace function kiln_internal.on_job_delete()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
    delete from kiln.task t using old_rows o
     where t.task_id between kiln_internal.task_id(o.job_id, 0) and kiln_internal.task_id(o.job_id, 99, 99);
    delete from kiln.media m using old_rows o where m.job_id = o.job_id;
    -- By their places: a join with the deleted rows was planned over the whole index.
    delete from kiln.job_end e
     where e.ctid = any (array(
               select x.ctid
                 from old_rows o
                cross join lateral (select d.ctid from kiln.job_end d
                                     where d.kind = o.kind and d.state = o.state and - d.job_id = - o.job_id
                                     limit 1) x));
    delete from kiln.tryon t where t.job_id = any (array(select o.job_id from old_rows o
                                                          where o.kind = 'tryon'));
    return null;
end
$$;
comment on function kiln_internal.on_job_delete() is 'Deletes the tasks and the media of deleted jobs.';

create or replace trigger t50_deleted
    after delete on kiln.job referencing old table as old_rows
    for each statement execute function kiln_internal.on_job_delete();
alter table kiln.job enable always trigger t50_deleted;

create or replace function kiln_internal.guard_account_delete()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if exists (select from kiln.job j where j.account_id = old.account_id) then
        raise exception 'account % has jobs: delete them first', old.account_id using errcode = 'KN001';
    end if;
    return old;
end
$$;
comment on function kiln_internal.guard_account_delete() is
'Refuses to delete an account that jobs name (KN001).';
create or replace trigger t10_guard_delete before delete on kiln.account for each row
    execute function kiln_internal.guard_account_delete();
alter table kiln.account enable always trigger t10_guard_delete;

-- A task's life. An UPDATE of `state` is the transition: the row moves to the partition of its new state, and
-- the history, the job and the next stage follow. ENABLE ALWAYS: no setting switches these triggers off.
--
-- The two hot moves, claim and completion, are also written out (kiln_internal.claim_tasks and
-- kiln_internal.finish_tasks): they move rows from partition to partition and by construction know no other
-- move. What follows from a completion stands in kiln_internal.advance_jobs for both.

create or replace function kiln_internal.refuse_task_by_hand(p_task kiln.task, p_to kiln.task_state)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    if p_to not in ('done', 'failed') then
        return;
    elsif p_task.state = 'held' then
        raise exception 'task % is held for a person''s word: it becomes % by kiln.resolve_job(), which '
                        'keeps the reason', p_task.task_id, p_to
            using errcode = 'KN001',
                  hint = format('select kiln.resolve_job(%s, %L, ''why''%s)', p_task.job_id,
                                case p_to when 'done' then 'adopt' else 'fail' end,
                                case p_to when 'done' then ', ''{"media": ["…"]}''' else '' end);
    elsif exists (select from kiln.call c where c.task_id = p_task.task_id and c.state <> 'settled') then
        raise exception 'task % has a call that is not settled: it may have been paid', p_task.task_id
            using errcode = 'KN001',
                  hint = format('update kiln.task set state = ''held'' where task_id = %s; then select '
                                'kiln.resolve_job(%s, …)', p_task.task_id, p_task.job_id);
    end if;
end
$$;
comment on function kiln_internal.refuse_task_by_hand(kiln.task, kiln.task_state) is
'Refuses a person who ends a held task, or one with a call that may have been paid, past kiln.resolve_job()
(KN001).';

create or replace function kiln_internal.fill_task_move()
returns trigger
language plpgsql
as $$
begin
    if not exists (select from kiln.task_move m where m.from_state = old.state
                      and m.to_state = new.state) then
        raise exception 'task % is %: it cannot become %', old.task_id, old.state, new.state
            using errcode = 'KN001',
                  hint = coalesce('From ' || old.state || ' it may become: '
                         || (select string_agg(m.to_state::text, ', ' order by m.to_state)
                               from kiln.task_move m where m.from_state = old.state) || '.',
                         'That state is final.');
    end if;
    if kiln_internal.is_by_hand() then
        perform kiln_internal.refuse_task_by_hand(old, new.state);
    end if;
    if new.state = 'running' and (new.fence <= old.fence or new.runner_id is null) then
        raise exception 'task % is %: it cannot become running, since no runner claimed it', old.task_id,
            old.state
            using errcode = 'KN001',
            hint = 'A runner calls kiln_runner.claim(); a new fencing number and its runner''s id come '
                   'with that.';
    end if;

    new.fraction := null;       -- they belong to the attempt that ended
    new.label := null;
    if new.state = 'running' then
        new.started_at := kiln_internal.now();
        new.error_class := null;
        new.error_message := null;
    elsif new.state = 'waiting' then
        new.due_at := greatest(new.due_at, kiln_internal.now());
    elsif new.state = 'ready' then
        new.due_at := null;
    elsif new.state in ('held', 'failed') then
        new.error_class := coalesce(new.error_class, 'operator');
        new.error_message := coalesce(new.error_message,
                                      initcap(new.state::text) || ' by ' || session_user || '.');
    elsif new.state = 'done' then
        new.attempts := old.attempts + 1;
        new.output := coalesce(new.output, '{}');
        new.error_class := null;
        new.error_message := null;
    end if;
    if new.state in ('done', 'failed', 'cancelled') then
        new.finished_at := kiln_internal.now();
    end if;
    return new;
end
$$;
comment on function kiln_internal.fill_task_move() is
'Lets only the moves of kiln.task_move pass, and sets the columns that belong to them. Refuses the others with
KN001.';

create or replace trigger t20_move
    before update of state on kiln.task
    for each row when (old.state <> new.state)
    execute function kiln_internal.fill_task_move();
alter table kiln.task enable always trigger t20_move;

create or replace function kiln_internal.guard_task_fixed()
returns trigger
language plpgsql
as $$
begin
    if (old.task_id, old.job_id, old.account_id, old.stage, old.slot, old.pipeline_version_id, old.queue_id,
        old.created_at)
       is distinct from (new.task_id, new.job_id, new.account_id, new.stage, new.slot,
                         new.pipeline_version_id, new.queue_id, new.created_at) then
        raise exception 'task %: its id, job, account, stage, slot, version, queue and creation time '
                        'never change', old.task_id using errcode = 'KN001';
    elsif kiln_internal.is_by_hand() and old.priority <> new.priority then
        raise exception 'task %: its priority is its job''s', old.task_id
            using errcode = 'KN001', hint = format('update kiln.job set priority = %s where job_id = %s',
                                                   new.priority, old.job_id);
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_task_fixed() is 'Keeps what says where a task belongs (KN001).';

create or replace trigger t30_guard_fixed
    before update of task_id, job_id, account_id, stage, slot, pipeline_version_id, queue_id, priority,
    created_at on kiln.task
    for each row execute function kiln_internal.guard_task_fixed();
alter table kiln.task enable always trigger t30_guard_fixed;

create or replace function kiln_internal.guard_task_by_hand()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.is_by_hand()
       and ((old.virtual_time, old.fence, old.runner_id, old.started_at, old.finished_at, old.fraction,
             old.label, old.output)
            is distinct from (new.virtual_time, new.fence, new.runner_id, new.started_at, new.finished_at,
                              new.fraction, new.label, new.output)
            or old.state = new.state and (old.error_class,
                                          old.error_message) is distinct from (new.error_class,
                                                        new.error_message)) then
        raise exception 'task %: its turn, fence, runner, times, progress, output and error are written by '
                        'its moves, not by hand', old.task_id
            using errcode = 'KN001',
            hint = format('update kiln.job set priority = 3 where job_id = %s moves it up; due_at, attempts '
                          'and interruptions are free while it waits.', old.job_id);
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_task_by_hand() is
'Refuses a person''s UPDATE of what claims and moves write (KN001); an error may be typed together with the
move that it belongs to.';

create or replace trigger t10_guard_by_hand
    before update of virtual_time, fence, runner_id, started_at, finished_at, fraction, label, error_class,
    error_message, output on kiln.task
    for each row execute function kiln_internal.guard_task_by_hand();
alter table kiln.task enable always trigger t10_guard_by_hand;

-- A time is performed: a ready task waits until then, a waiting one is ready then. attempts and interruptions
-- count for the next try.
create or replace function kiln_internal.reschedule_task()
returns trigger
language plpgsql
as $$
begin
    if old.state <> new.state or (old.due_at, old.attempts,
                                  old.interruptions) is not distinct from (new.due_at, new.attempts,
                                                        new.interruptions) then
        return new;
    elsif kiln_internal.is_by_hand() and old.state not in ('ready', 'waiting')
       and not (old.state = 'held' and old.due_at is not distinct from new.due_at) then
        raise exception 'task % is %: due_at, attempts and interruptions are of one that waits for its turn',
            old.task_id, old.state using errcode = 'KN001';
    elsif new.attempts < 0 or new.interruptions < 0 then
        raise exception 'task %: attempts and interruptions are counted from 0', old.task_id
            using errcode = 'KN001';
    elsif kiln_internal.is_by_hand() and old.due_at is distinct from new.due_at
       and (old.due_at = 'infinity' or new.due_at = 'infinity') then
        raise exception 'task %: what waits without an end waits for files or for a provider, not for a time',
            old.task_id
            using errcode = 'KN001',
            hint = format('update kiln.task set state = ''held'' where task_id = %s stops one that waits for '
                          'its turn.', old.task_id);
    elsif old.state = 'ready' and new.due_at > kiln_internal.now() then
        new.state := 'waiting';
    elsif old.state = 'ready' then
        new.due_at := null;
    elsif old.state = 'waiting' then
        new.due_at := coalesce(new.due_at, kiln_internal.now());
    end if;
    return new;
end
$$;
comment on function kiln_internal.reschedule_task() is
'Performs a change of due_at: a ready task becomes a waiting one, a waiting one is ready at its new time
(null: now). Refuses it for others (KN001).';

create or replace trigger t40_reschedule
    before update of due_at, attempts, interruptions on kiln.task
    for each row execute function kiln_internal.reschedule_task();
alter table kiln.task enable always trigger t40_reschedule;

create or replace function kiln_internal.on_task_update()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
    v_started bigint[];
    v_done    bigint[];
    v_cold    bigint[];
begin
    select array_agg(n.job_id)  filter (where n.state = 'running' and n.stage = 1),
           array_agg(n.task_id) filter (where n.state = 'done'),
           array_agg(n.task_id) filter (where n.state not in ('running', 'done'))
      into v_started, v_done, v_cold
      from new_rows n
      join old_rows o on o.task_id = n.task_id and o.state <> n.state;

    insert into kiln.attempt (fence, task_id, job_id, runner_id, started_at, stage, attempt, outcome, message)
    select o.fence, o.task_id, o.job_id, o.runner_id, o.started_at, o.stage, o.attempts + 1,
           case when n.state in ('done', 'cancelled') then n.state::text
                else coalesce(n.error_class, 'released') end, n.error_message
      from old_rows o
      join new_rows n using (task_id)
     where o.state = 'running' and n.state <> 'running'
       -- Runners without a provider's secret look once a second, each without having tried anything: once is
       -- enough to know.
       and not (n.error_class is not distinct from 'secret' and n.state = 'waiting'
                and exists (select from kiln.attempt a where a.job_id = o.job_id and a.task_id = o.task_id
                               and a.outcome = 'secret'));

    if v_started is not null then
        update kiln.job j
           set state = 'running', version = j.version + 1,
               started_at = coalesce(j.started_at, kiln_internal.now())
         where j.job_id = any (v_started) and j.state = 'queued';
    end if;
    if v_done is not null then
        perform kiln_internal.advance_jobs(v_done);
    end if;
    if v_cold is not null then
        perform kiln_internal.propagate_task_moves(v_cold);
    end if;
    return null;
end
$$;
comment on function kiln_internal.on_task_update() is
'Keeps the history, the job and the next stage in step with moves of tasks.';

create or replace trigger t50_moved
    after update on kiln.task referencing old table as old_rows new table as new_rows
    for each statement execute function kiln_internal.on_task_update();
alter table kiln.task enable always trigger t50_moved;

-- Jobs and tasks begin with kiln.enqueue(), and tasks go with their job. For each statement, which names
-- kiln.job or kiln.task. Functions name the parts of kiln.task, which have no guard of this kind: each would
-- cost a cycle some 15,000 instructions. Nobody but a superuser may write to a part by its name, and
-- kiln.contradictions shows what came about so.
create or replace function kiln_internal.guard_job_insert()
returns trigger
language plpgsql
as $$
begin
    if current_user <> 'kiln_owner' then
        raise exception 'kiln.%: a row of its own would be a % that nothing knows of', tg_table_name,
            case tg_table_name when 'job' then 'job' else 'task' end
            using errcode = 'KN001',
            hint = 'select kiln.enqueue(''pipeline'', ''{"prompt": "…"}''); or kiln.enqueue_many(): \df+ '
                   'kiln.enqueue';
    end if;
    return null;
end
$$;
comment on function kiln_internal.guard_job_insert() is
'Refuses jobs and tasks that no function of Kiln makes (KN001).';

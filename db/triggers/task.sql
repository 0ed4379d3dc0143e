-- A task's life. An UPDATE of `state` is the transition: the row moves to the partition of its new state, and the history, the
-- job and the next stage follow. ENABLE ALWAYS: no setting switches these triggers off.
--
-- The two hot moves, claim and completion, are also written out (kiln.take and kiln.finish_tasks): they move rows from partition to
-- partition and by construction know no other move. What follows from a completion stands in kiln.hand_over for both.

create or replace function kiln.fill_task_move()
returns trigger
language plpgsql
as $$
begin
    if not exists (select from kiln.task_move m where m.from_state = old.state and m.to_state = new.state) then
        raise exception 'task % is %: it cannot become %', old.task_id, old.state, new.state
            using errcode = 'KN001',
                  hint = coalesce('From ' || old.state || ' it may become: '
                         || (select string_agg(m.to_state::text, ', ' order by m.to_state) from kiln.task_move m where m.from_state = old.state) || '.',
                         'That state is final.');
    end if;
    if new.state = 'running' and (new.fence <= old.fence or new.runner_id is null) then
        raise exception 'task % is %: it cannot become running, since no runner claimed it', old.task_id, old.state
            using errcode = 'KN001', hint = 'A runner calls kiln_runner.claim(); a new fencing number and its runner''s id come with that.';
    end if;

    new.fraction := null;       -- they belong to the attempt that ended
    new.label := null;
    if new.state = 'running' then
        new.started_at := kiln.now();
        new.error_class := null;
        new.error_message := null;
    elsif new.state = 'waiting' then
        new.due_at := greatest(new.due_at, kiln.now());
    elsif new.state = 'ready' then
        new.due_at := null;
    elsif new.state in ('held', 'failed') then
        new.error_class := coalesce(new.error_class, 'operator');
        new.error_message := coalesce(new.error_message, initcap(new.state::text) || ' by ' || session_user || '.');
    elsif new.state = 'done' then
        new.attempts := old.attempts + 1;
        new.output := coalesce(new.output, '{}');
        new.error_class := null;
        new.error_message := null;
    end if;
    if new.state in ('done', 'failed', 'cancelled') then
        new.finished_at := kiln.now();
    end if;
    return new;
end
$$;
comment on function kiln.fill_task_move() is
'Lets only the moves of kiln.task_move pass, and sets the columns that belong to them. Refuses the others with KN001.';

create or replace trigger t20_move
    before update of state on kiln.task
    for each row when (old.state <> new.state)
    execute function kiln.fill_task_move();
alter table kiln.task enable always trigger t20_move;

create or replace function kiln.guard_task_fixed()
returns trigger
language plpgsql
as $$
begin
    raise exception 'task %: its id, job, stage, slot, version, queue and priority never change', old.task_id using errcode = 'KN001';
end
$$;
comment on function kiln.guard_task_fixed() is 'Keeps what says where a task belongs (KN001).';

create or replace trigger t30_guard_fixed
    before update of task_id, job_id, stage, slot, pipeline_version_id, queue_id, priority on kiln.task
    for each row execute function kiln.guard_task_fixed();
alter table kiln.task enable always trigger t30_guard_fixed;

create or replace function kiln.guard_task_delete()
returns trigger
language plpgsql
as $$
begin
    raise exception 'tasks belong to their job: delete the job, once it has ended' using errcode = 'KN001';
end
$$;
comment on function kiln.guard_task_delete() is 'Refuses to delete a task without its job (KN001).';

create or replace trigger t10_guard_delete
    before delete on kiln.task
    for each statement when (pg_catalog.pg_trigger_depth() = 0)
    execute function kiln.guard_task_delete();
alter table kiln.task enable always trigger t10_guard_delete;
create or replace trigger t10_guard_truncate before truncate on kiln.task for each statement execute function kiln.guard_truncate();
alter table kiln.task enable always trigger t10_guard_truncate;
do $$
declare
    v_part text;
begin
    foreach v_part in array '{task_ready,task_running,task_waiting,task_held,task_ended}'::text[]     -- a trigger for TRUNCATE is not inherited
    loop
        execute format('create or replace trigger t10_guard_truncate before truncate on kiln.%I for each statement execute function kiln.guard_truncate()', v_part);
        execute format('alter table kiln.%I enable always trigger t10_guard_truncate', v_part);
    end loop;
end
$$;

create or replace function kiln.on_task_update()
returns trigger
language plpgsql
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
           case when n.state in ('done', 'cancelled') then n.state::text else coalesce(n.error_class, 'released') end, n.error_message
      from old_rows o
      join new_rows n using (task_id)
     where o.state = 'running' and n.state <> 'running';

    if v_started is not null then
        update kiln.job j
           set state = 'running', version = j.version + 1, started_at = coalesce(j.started_at, kiln.now())
         where j.job_id = any (v_started) and j.state = 'queued';
    end if;
    if v_done is not null then
        perform kiln.hand_over(v_done);
    end if;
    if v_cold is not null then
        perform kiln.follow_cold_moves(v_cold);
    end if;
    return null;
end
$$;
comment on function kiln.on_task_update() is 'Keeps the history, the job and the next stage in step with moves of tasks.';

create or replace trigger t50_moved
    after update on kiln.task referencing old table as old_rows new table as new_rows
    for each statement execute function kiln.on_task_update();
alter table kiln.task enable always trigger t50_moved;

-- The retry rule. The runner says what happened (a class); what follows from it is decided here and nowhere
-- else. In seconds: a day doubled thirty times is out of an interval's range.
create or replace function kiln_internal.backoff(p_base interval, p_cap interval, p_attempts int)
returns interval
language sql volatile
return least(extract(epoch from p_cap),
             extract(epoch from p_base) * power(2, least(p_attempts - 1,
                                                         30))) * (0.75 + random() / 2) * interval '1 second';
comment on function kiln_internal.backoff(interval, interval, int) is
'The wait after attempt number p_attempts: the base doubled each time, at most the cap, spread by a quarter
either way.';

create or replace function kiln_internal.fail_task(p_task kiln.task, p_class text, p_message text,
                                                   p_retry_after interval default null)
returns kiln.task_state
language plpgsql
set search_path = ''
as $$
declare
    v_stage kiln.stage;
    v_job   kiln.job_state;
    v_tries int := p_task.attempts + 1;
    v_state kiln.task_state;
    v_class text := p_class;
begin
    if (select c.state from kiln.call c where c.task_id = p_task.task_id order by c.number desc
         limit 1) <> 'settled' then
        -- it may have been paid: the call decides, not the attempt
        return kiln_internal.fail_with_call(p_task, p_class, p_message);
    end if;
    select s.* into v_stage
      from kiln.job j
      join kiln.stage s on s.pipeline_version_id = j.pipeline_version_id and s.position = p_task.stage
     where j.job_id = p_task.job_id;
    select j.state into v_job from kiln.job j where j.job_id = p_task.job_id;

    v_state := case
        when v_job not in ('running', 'held', 'cancelling')    then 'cancelled'
        -- whether it was paid cannot be known, wanted or not
        when p_class = 'unknown'                               then 'held'
        when v_job = 'cancelling'                              then 'cancelled'
        -- stopped, but nobody asked for it
        when p_class = 'cancelled'                             then 'ready'
        -- trying again changes nothing
        when p_class in ('invalid', 'refused')                 then 'failed'
        when p_class in ('transient', 'rate_limited', 'timeout')
                                                               then case when v_tries < v_stage.max_attempts
                                                                   then 'waiting' else 'failed' end
    end;
    if v_state is null then
        raise exception 'there is no error class %', quote_literal(p_class)
            using errcode = '22023',
            hint = 'transient, rate_limited, invalid, refused, timeout, unknown, cancelled';
    end if;
    if v_state = 'ready' then
        v_class := 'released';
    elsif v_state = 'failed' and p_class in ('transient', 'timeout')
          and (select c.outcome = 'succeeded' from kiln.call c where c.task_id = p_task.task_id
                order by c.number desc limit 1) then
        -- paid, and made: that a runner did not bring it home is no reason to lose it
        v_state := 'held';
        v_class := 'lost';
    end if;

    update kiln.task t
       set state         = v_state,
           attempts      = case when v_state in ('waiting', 'failed', 'held') then v_tries
                                else t.attempts end,
           due_at        = case when v_state = 'waiting'
                                then kiln_internal.now()
                                     + greatest(kiln_internal.backoff(v_stage.backoff_base,
                                                                      v_stage.backoff_cap, v_tries),
                                                p_retry_after) end,
           error_class   = v_class,
           error_message = kiln_internal.shorten(p_message, 2000)
     where t.task_id = p_task.task_id and t.state = 'running';
    -- its job may have ended meanwhile
    select t.state into v_state from kiln.task t where t.task_id = p_task.task_id;
    return v_state;
end
$$;
comment on function kiln_internal.fail_task(kiln.task, text, text, interval) is
'Decides what follows a failed attempt of a running task, whose row is locked, and does it.';

create or replace function kiln_runner.fail(p_task_id bigint, p_fence bigint, p_class text, p_message text,
                                            p_retry_after_ms int default null)
returns text
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_task kiln.task;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    select t.* into v_task from kiln.task t
     where t.task_id = p_task_id and t.fence = p_fence and t.state = 'running' for no key update;
    if not found then
        perform kiln_internal.refuse_stale(p_task_id, p_fence);
    end if;
    return kiln_internal.fail_task(v_task, p_class, p_message,
                                   least(greatest(p_retry_after_ms, 0), 86400000) * interval '1 millisecond');
end
$$;
comment on function kiln_runner.fail(bigint, bigint, text, text, int) is
'An attempt failed. p_class: transient, rate_limited, timeout (tried again, with backoff, up to the stage''s
max_attempts), invalid, refused (never again), unknown (held: whether it was paid cannot be known), cancelled
(stopped as told). p_retry_after_ms: not before that. Returns the task''s new state. KN010: no longer this
runner''s.';

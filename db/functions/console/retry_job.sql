-- What people type, and what the API calls once it has checked whose job it is.
create or replace function kiln.retry_job(p_job_id bigint, p_seed text default null,
                                          p_prompt text default null, p_reason text default null)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job      kiln.job;
    v_seed     text;
    v_input    jsonb;
    v_name     text;
    v_category kiln.category;
    v_new      bigint;
    v_waits    boolean := false;
    v_task     record;
begin
    select * into v_job from kiln.job j where j.job_id = p_job_id;
    if not found then
        raise exception 'there is no job %', p_job_id using errcode = 'KN002';
    end if;
    if v_job.finished_at is null then
        raise exception 'job % is %: only one that has ended can be tried again', p_job_id, v_job.state
            using errcode = 'KN001', hint = 'kiln.cancel_job(' || p_job_id || ') ends it first.';
    end if;
    v_input := v_job.input;
    -- A result that was found bad would come out the same of the same words and seed.
    v_seed := coalesce(p_seed, case when v_job.state = 'completed' and btrim(p_reason) <> ''
                                    and p_prompt is null then 'new' else 'same' end);
    if v_seed <> 'same' then
        v_input := v_input || jsonb_build_object('seed', case v_seed when 'new'
                                                                  then kiln_internal.random_seed()
                                                              else v_seed end);
    end if;
    if p_prompt is not null then
        v_input := v_input || jsonb_build_object('prompt', p_prompt);
    end if;
    if p_reason is not null then
        v_input := v_input || jsonb_build_object('reason', p_reason);
    end if;
    if v_job.kind = 'tryon' then
        select c.* into v_category from kiln.category c where c.name = v_input ->> 'category';
        if p_prompt is not null then
            v_input := v_input || jsonb_build_object('user_prompt', p_prompt,
                                                     'prompt', btrim(v_category.prompt || ' ' || p_prompt));
        end if;
    end if;
    if v_job.kind = 'staging' then
        v_new := kiln_internal.retry_image_job(v_job, v_input, p_prompt is not null);
    else
        -- Files that came with it: refused, or not checked yet.
        if v_job.kind = 'tryon' then
            if exists (select from jsonb_array_elements_text(v_input -> 'media') as i
                         join kiln.media m on m.media_id = i::bigint where m.state = 'rejected') then
                raise exception 'a file of job % was rejected', p_job_id
                    using errcode = 'KN001', hint = 'Send another one.';
            end if;
            v_waits := exists (select from jsonb_array_elements_text(v_input -> 'media') as i
                                 join kiln.media m on m.media_id = i::bigint where m.state = 'checking');
        end if;
        select p.name into v_name
          from kiln.pipeline p
         where p.pipeline_id = coalesce(v_category.pipeline_id, (select v.pipeline_id
                                                                   from kiln.pipeline_version v
                                                                  where v.pipeline_version_id
                                                                        = v_job.pipeline_version_id));
        v_new := kiln.enqueue(v_name, v_input, v_job.account_id, v_job.priority,
                              case when v_waits then 'infinity'::timestamptz end, v_job.kind,
                              v_job.media_type,
                              v_job.model_id, v_job.job_id,
                              coalesce(v_category.price_micros, kiln.estimate(v_job.model_id, v_input)),
                              v_category.pipeline_version);
        if v_waits then
            perform kiln_internal.await_media(v_new);
        end if;
    end if;
    if btrim(p_reason) <> '' then
        -- What was said of its result stands at the end of the old job's story.
        select e.task_id, e.runner_id, e.stage, e.attempts into v_task
          from kiln.task_ended e
         where e.task_id between kiln_internal.task_id(p_job_id, 0) and kiln_internal.task_id(p_job_id, 99,
                                                        99) and e.runner_id is not null
         order by e.task_id desc limit 1;
        if found then
            insert into kiln.attempt (fence, task_id, job_id, runner_id, started_at, stage, attempt, outcome,
                                      message)
            values (nextval('kiln.fence'), v_task.task_id, p_job_id, v_task.runner_id, kiln_internal.now(),
                    v_task.stage, v_task.attempts, 'rejected',
                    format('Job %s is to do better: %s', v_new,
                           kiln_internal.shorten(btrim(p_reason), 1000)));
        end if;
    end if;
    return v_new;
end
$$;
comment on function kiln.retry_job(bigint, text, text, text) is
'Makes a new job from one that has ended, and returns its job_id; parent_id is the old one. It takes the
newest version of the pipeline, the current category of a try-on, the current model of an image.
p_seed: same, new or a number. Null means same, or new for a completed job with a reason and no other
prompt. p_prompt: another prompt.
p_reason: kept in the new job''s input and in the old job''s history (kiln.attempts). KN001: the job has not
ended.';

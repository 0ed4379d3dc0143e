-- Files that a task makes.
create or replace function kiln_runner.put_media(p_task_id bigint, p_fence bigint, p_media jsonb)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job_id     bigint;
    v_account_id bigint;
    v_media_id   bigint;
    v_upload     text;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    select j.job_id, j.account_id, case when j.kind = 'upload' then j.input ->> 'upload' end
      into v_job_id, v_account_id, v_upload
      from kiln.task t
      join kiln.job j using (job_id)
     where t.task_id = p_task_id and t.fence = p_fence and t.state = 'running'
       for no key update of t;
    if not found then
        perform kiln_internal.refuse_stale(p_task_id, p_fence);
    end if;
    if v_upload is not null then
        return kiln_internal.accept_upload(v_upload::bigint, v_job_id, p_media);
    end if;
    select m.media_id into v_media_id from kiln.media m
     where m.storage_key = p_media ->> 'storage_key' and m.job_id = v_job_id;
    if found then
        return v_media_id;      -- the answer to an earlier call was lost with its link
    end if;
    insert into kiln.media (account_id, job_id, role, state, media_type, content_type, bytes, sha256, width,
                            height, duration_ms, storage_key, thumbnail_key, clean_key)
    select v_account_id, v_job_id, coalesce(m.role, 'work'), 'ready', m.media_type, m.content_type, m.bytes,
           decode(m.sha256, 'hex'),
           m.width, m.height, m.duration_ms, m.storage_key, m.thumbnail_key, m.clean_key
      from jsonb_to_record(p_media) as m (role kiln.media_role, media_type kiln.media_type, content_type text,
                                          bytes bigint, sha256 text,
                                          width int, height int, duration_ms bigint, storage_key text,
                                          thumbnail_key text, clean_key text)
    returning media_id into v_media_id;
    return v_media_id;
end
$$;
comment on function kiln_runner.put_media(bigint, bigint, jsonb) is
'Records a file that a task made and that is durable in the store already: {"storage_key", "thumbnail_key",
"clean_key" (the same without its label), "role" (work|output), "media_type", "content_type", "bytes",
"sha256" (hex), "width", "height", "duration_ms"}. Returns its id; the same file again returns the same id.
KN010: no longer this runner''s.';

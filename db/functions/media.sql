-- Files, as runners see them.
create or replace function kiln_internal.media_files(p_account_id bigint, p_media jsonb)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return (select coalesce(jsonb_agg(jsonb_build_object(
                       'media_id', m.media_id::text, 'storage_key', m.storage_key, 'content_type', m.content_type, 'media_type', m.media_type,
                       'bytes', m.bytes, 'width', m.width, 'height', m.height, 'duration_ms', m.duration_ms) order by u.ord), '[]')
              from jsonb_array_elements_text(case jsonb_typeof(p_media) when 'array' then p_media else '[]' end) with ordinality as u (id, ord)
              join kiln.media m on m.media_id = case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end
             where m.account_id = p_account_id and m.state = 'ready');
end
$$;
comment on function kiln_internal.media_files(bigint, jsonb) is 'The files behind an array of media ids (strings) of one account, in that order; what is not there or not ready is left out.';

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
    select j.job_id, j.account_id, case when j.kind = 'upload' then j.input ->> 'upload' end into v_job_id, v_account_id, v_upload
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
    select m.media_id into v_media_id from kiln.media m where m.storage_key = p_media ->> 'storage_key' and m.job_id = v_job_id;
    if found then
        return v_media_id;      -- the answer to an earlier call was lost with its link
    end if;
    insert into kiln.media (account_id, job_id, role, state, media_type, content_type, bytes, sha256, width, height, duration_ms, storage_key, thumbnail_key, clean_key)
    select v_account_id, v_job_id, coalesce(m.role, 'work'), 'ready', m.media_type, m.content_type, m.bytes, decode(m.sha256, 'hex'),
           m.width, m.height, m.duration_ms, m.storage_key, m.thumbnail_key, m.clean_key
      from jsonb_to_record(p_media) as m (role kiln.media_role, media_type kiln.media_type, content_type text, bytes bigint, sha256 text,
                                          width int, height int, duration_ms bigint, storage_key text, thumbnail_key text, clean_key text)
    returning media_id into v_media_id;
    return v_media_id;
end
$$;
comment on function kiln_runner.put_media(bigint, bigint, jsonb) is
'Records a file that a task made and that is durable in the store already: {"storage_key", "thumbnail_key", "clean_key" (the same without its label), "role" (work|output),
"media_type", "content_type", "bytes", "sha256" (hex), "width", "height", "duration_ms"}. Returns its id; the
same file again returns the same id. KN010: no longer this runner''s.';

-- What a check found good takes the place of what was sent: from here on it is this file that is used, and the one that was
-- looked at. Ready at once, in the transaction that names the file; a check that is claimed once more has nothing left to do.
create or replace function kiln_internal.accept_upload(p_media_id bigint, p_job_id bigint, p_media jsonb)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_media kiln.media;
begin
    select m.* into v_media from kiln.media m where m.media_id = p_media_id and m.check_job_id = p_job_id for no key update;
    if not found then
        raise exception 'the upload % is gone', p_media_id using errcode = 'KN002';
    end if;
    if v_media.storage_key = p_media ->> 'storage_key' then
        return p_media_id;      -- the answer to an earlier call was lost with its link
    elsif v_media.state <> 'checking' then
        raise exception 'the upload % is %', p_media_id, v_media.state using errcode = 'KN001';
    end if;
    insert into kiln.trash (storage_key) values (v_media.incoming_key) on conflict do nothing;
    update kiln.media m
       set state = 'ready', incoming_key = null, storage_key = f.storage_key, thumbnail_key = f.thumbnail_key, content_type = f.content_type,
           media_type = f.media_type, bytes = f.bytes, sha256 = decode(f.sha256, 'hex'), width = f.width, height = f.height, duration_ms = f.duration_ms
      from jsonb_to_record(p_media) as f (media_type kiln.media_type, content_type text, bytes bigint, sha256 text, width int, height int,
                                          duration_ms bigint, storage_key text, thumbnail_key text)
     where m.media_id = p_media_id;
    insert into kiln.event (account_id, type, data) values (v_media.account_id, 'media.ready', jsonb_build_object('media_id', p_media_id::text));
    perform kiln_internal.end_wait(p_media_id);
    perform kiln_internal.notify_waiters(null);
    return p_media_id;
end
$$;
comment on function kiln_internal.accept_upload(bigint, bigint, jsonb) is
'The checked file of an upload: it is ready, what was sent goes to the trash, and the log says so. KN002: deleted meanwhile; KN001: it is not being checked.';

create or replace function kiln_internal.reject_upload(p_job_id bigint, p_media_id bigint, p_reason text)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_account_id bigint;
begin
    insert into kiln.trash (storage_key)
    select m.incoming_key from kiln.media m where m.media_id = p_media_id and m.check_job_id = p_job_id and m.state = 'checking'
    on conflict do nothing;
    update kiln.media m
       set state = 'rejected', reason = coalesce(p_reason, 'The file could not be checked.'), incoming_key = null, sha256 = null
     where m.media_id = p_media_id and m.check_job_id = p_job_id and m.state = 'checking'
    returning m.account_id into v_account_id;
    if found then
        insert into kiln.event (account_id, type, data)
        values (v_account_id, 'media.rejected', jsonb_build_object('media_id', p_media_id::text, 'reason', coalesce(p_reason, 'The file could not be checked.')));
        perform kiln_internal.end_wait(p_media_id, coalesce(p_reason, 'The file could not be checked.'));
    end if;
end
$$;
comment on function kiln_internal.reject_upload(bigint, bigint, text) is
'The end of a check that found a file bad, or could not be made: rejected, with the reason; the bytes go to the trash, and the log says so.';

-- The job holds its inputs by their ids, and runners are told of those that are ready only: what it is given is what was checked.
create or replace function kiln_internal.await_media(p_job_id bigint)
returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
declare
    v_waits boolean;
begin
    -- Locked, so that a check that ends at this moment is seen as ended, or finds that it is waited for.
    insert into kiln.media_wait (job_id, media_id)
    select p_job_id, m.media_id
      from kiln.job j
     cross join lateral jsonb_array_elements_text(j.input -> 'media') as i
      join kiln.media m on m.media_id = i::bigint
     where j.job_id = p_job_id and m.state = 'checking'
     order by m.media_id
       for share of m;
    v_waits := found;
    if not v_waits then
        perform kiln_internal.start_waiting(p_job_id);
    end if;
    return v_waits;
end
$$;
comment on function kiln_internal.await_media(bigint) is
'Has a job that was enqueued for infinity wait until all of its files are checked; where all are, it may start now. True: it waits.';

-- A job that has not ended has a task that has not (kiln.contradictions), and of those an account has few, however many jobs it ever had.
create or replace function kiln_internal.media_in_use(p_account_id bigint, p_media bigint[])
returns bigint[]
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_ids text[] := p_media::text[];
begin
    return array(
        select distinct u.id::bigint
          from (select r.job_id
                  from kiln.low_watermark f
                 cross join lateral (select t.job_id from kiln.task_ready t where t.queue_id = f.queue_id and t.priority = f.priority and t.account_id = p_account_id offset 0) r
                union all select t.job_id from kiln.task_running t where t.account_id = p_account_id
                union all select t.job_id from kiln.task_waiting t where t.account_id = p_account_id
                union all select t.job_id from kiln.task_held t where t.account_id = p_account_id) o
         cross join lateral (select x.input -> 'media' as media from kiln.job x where x.job_id = o.job_id and x.finished_at is null limit 1) j
         cross join unnest(v_ids) as u (id)
         where j.media ?| v_ids and j.media ? u.id);
end
$$;
comment on function kiln_internal.media_in_use(bigint, bigint[]) is 'Which of these files a job of the account that has not ended was given.';

create or replace function kiln_internal.start_waiting(p_job_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.task t set state = 'ready' where t.state = 'waiting' and t.task_id = kiln_internal.task_id(p_job_id, 1);
    update kiln.job j set run_at = null where j.job_id = p_job_id;
end
$$;
comment on function kiln_internal.start_waiting(bigint) is 'A job that waited for its files may start.';

create or replace function kiln_internal.end_wait(p_media_id bigint, p_reason text default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
begin
    for v_job_id in select a.job_id from kiln.media_wait a where a.media_id = p_media_id order by a.job_id
    loop
        -- Two checks that end at once meet at these rows, and the second sees that it is the last.
        perform from kiln.media_wait a where a.job_id = v_job_id order by a.media_id for update;
        delete from kiln.media_wait a where a.job_id = v_job_id and (a.media_id = p_media_id or p_reason is not null);
        if p_reason is not null then
            update kiln.job j set state = 'cancelled', error_code = 'invalid', error_message = 'A file of it was rejected: ' || p_reason
             where j.job_id = v_job_id and j.state = 'queued';
        elsif not exists (select from kiln.media_wait a where a.job_id = v_job_id) then
            perform kiln_internal.start_waiting(v_job_id);
        end if;
    end loop;
end
$$;
comment on function kiln_internal.end_wait(bigint, text) is 'A file was checked: jobs that waited for it alone may start. p_reason: it was rejected, and they end with that.';

create or replace function kiln_internal.incoming_files(p_job_id bigint, p_media_id text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return (select coalesce(jsonb_agg(jsonb_build_object(
                       'media_id', m.media_id::text, 'storage_key', m.incoming_key, 'content_type', m.content_type, 'media_type', m.media_type,
                       'bytes', m.bytes, 'width', null, 'height', null, 'duration_ms', null)), '[]')
              from kiln.media m
             where m.media_id = case when p_media_id ~ '^[0-9]{1,18}$' then p_media_id::bigint end and m.check_job_id = p_job_id and m.state = 'checking');
end
$$;
comment on function kiln_internal.incoming_files(bigint, text) is 'The file that a check is to look at, as media_files() gives files; none where that is done already.';

create or replace function kiln_runner.trash(p_limit int default 100)
returns table (storage_key text)
language plpgsql security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    return query
    select t.storage_key from kiln.trash t order by t.since limit p_limit;
end
$$;
comment on function kiln_runner.trash(int) is 'Files to remove from the store: their rows are gone. Remove them, then call kiln_runner.trash_done().';

create or replace function kiln_runner.trash_done(p_storage_keys text[])
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    delete from kiln.trash t where t.storage_key = any (p_storage_keys);
end
$$;
comment on function kiln_runner.trash_done(text[]) is 'These files are gone from the store.';

create or replace function kiln_runner.orphans(p_storage_keys text[], p_ages_s bigint[])
returns table (storage_key text)
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_keep interval := (select c.orphan_keep from kiln.config c);
    v_kept timestamptz := (select coalesce(max(r.restored_at), '-infinity') from kiln.restore r where r.keeps_files);
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    -- Whoever could not reach the database for that long may still bring the row of a file that is old by now.
    if pg_postmaster_start_time() > pg_catalog.statement_timestamp() - v_keep then
        return;
    end if;
    return query
    select f.storage_key
      from unnest(p_storage_keys, p_ages_s) as f (storage_key, age_s)
     where f.age_s > extract(epoch from v_keep)
       and kiln_internal.now() - f.age_s * interval '1 second' > v_kept        -- what was paid after a backup is not lost
       and not exists (select from kiln.media m where m.storage_key = f.storage_key)
       and not exists (select from kiln.media m where m.thumbnail_key = f.storage_key)
       and not exists (select from kiln.media m where m.incoming_key = f.storage_key)
       and not exists (select from kiln.media m where m.clean_key = f.storage_key)
       and not exists (select from kiln.trash t where t.storage_key = f.storage_key);
end
$$;
comment on function kiln_runner.orphans(text[], bigint[]) is
'Which of these files of the store, with their ages in seconds, nothing names and nobody will: whoever stored them died before the
row was written (kiln.config.orphan_keep). Remove them. Those from before a restore stay (kiln.restore.keeps_files).';

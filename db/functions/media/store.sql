-- The store, as runners see it.

-- Files, as runners see them.
create or replace function kiln_internal.media_files(p_account_id bigint, p_media jsonb)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return (select coalesce(jsonb_agg(jsonb_build_object(
                       'media_id', m.media_id::text, 'storage_key', m.storage_key,
                                                         'content_type', m.content_type,
                                                         'media_type', m.media_type,
                       'bytes', m.bytes, 'width', m.width, 'height', m.height, 'duration_ms', m.duration_ms)
                                      order by u.ord), '[]')
              from jsonb_array_elements_text(case jsonb_typeof(p_media) when 'array' then p_media
                                                  else '[]' end) with ordinality as u (id, ord)
              join kiln.media m on m.media_id = case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end
             where m.account_id = p_account_id and m.state = 'ready');
end
$$;
comment on function kiln_internal.media_files(bigint, jsonb) is
'The files behind an array of media ids (strings) of one account, in that order; what is not there or not
ready is left out.';

create or replace function kiln_internal.incoming_files(p_job_id bigint, p_media_id text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return (select coalesce(jsonb_agg(jsonb_build_object(
                       'media_id', m.media_id::text, 'storage_key', m.incoming_key,
                                                         'content_type', m.content_type,
                                                         'media_type', m.media_type,
                       'bytes', m.bytes, 'width', null, 'height', null, 'duration_ms', null)), '[]')
              from kiln.media m
             where m.media_id = case when p_media_id ~ '^[0-9]{1,18}$' then p_media_id::bigint end
               and m.check_job_id = p_job_id and m.state = 'checking');
end
$$;
comment on function kiln_internal.incoming_files(bigint, text) is
'The file that a check is to look at, as media_files() gives files; none where that is done already.';

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
comment on function kiln_runner.trash(int) is
'Files to remove from the store: their rows are gone. Remove them, then call kiln_runner.trash_done().';

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
    v_kept timestamptz := (select coalesce(max(r.restored_at), '-infinity') from kiln.restore r
                            where r.keeps_files);
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    -- Whoever could not reach the database for that long may still bring the row of a file that is old by
    -- now.
    if pg_postmaster_start_time() > pg_catalog.statement_timestamp() - v_keep then
        return;
    end if;
    return query
    select f.storage_key
      from unnest(p_storage_keys, p_ages_s) as f (storage_key, age_s)
     where f.age_s > extract(epoch from v_keep)
       -- what was paid after a backup is not lost
       and kiln_internal.now() - f.age_s * interval '1 second' > v_kept
       and not exists (select from kiln.media m where m.storage_key = f.storage_key)
       and not exists (select from kiln.media m where m.thumbnail_key = f.storage_key)
       and not exists (select from kiln.media m where m.incoming_key = f.storage_key)
       and not exists (select from kiln.media m where m.clean_key = f.storage_key)
       and not exists (select from kiln.trash t where t.storage_key = f.storage_key);
end
$$;
comment on function kiln_runner.orphans(text[], bigint[]) is
'Which of these files of the store, with their ages in seconds, nothing names and nobody will: whoever stored
them died before the row was written (kiln.config.orphan_keep). Remove them. Those from before a restore stay
(kiln.restore.keeps_files).';

create or replace function kiln_internal.random_key()
returns text
language plpgsql volatile security definer
set search_path = ''
as $$
begin
    return (select substr(r.hex, 1, 2) || '/' || substr(r.hex, 3)
              from (select encode(kiln_extensions.gen_random_bytes(16), 'hex') as hex) r);
end
$$;
comment on function kiln_internal.random_key() is
'A storage key: 32 random hex digits, as the store wants them.';

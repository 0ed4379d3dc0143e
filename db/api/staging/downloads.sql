-- A whole project as one file: which files, under which names, and what the README says of them. The server
-- reads and packs them.
create or replace function kiln_internal.file_word(p_text text, p_otherwise text)
returns text
language sql immutable
return coalesce(nullif(btrim(left(btrim(regexp_replace(translate(lower(p_text), '_', '-'), '[^a-z0-9]+', '-',
                                                       'g'), '-'), 60), '-'), ''), p_otherwise);
comment on function kiln_internal.file_word(text, text) is
'A text as a part of a file''s name that is safe everywhere: at most 60 of a-z, 0-9 and single hyphens within;
p_otherwise where nothing of it is left.';

create or replace function kiln_internal.file_ending(p_content_type text)
returns text
language sql stable
return coalesce((select t.file_ending from kiln.content_type t where t.content_type = p_content_type), 'bin');
comment on function kiln_internal.file_ending(text) is 'What the name of a file of this type ends with.';

create or replace function kiln_internal.project_files(p_project kiln.project)
returns table (name text, storage_key text, bytes bigint, sha256 bytea, at timestamptz, says text)
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return query
    with original as (
        select c.media_id, row_number() over (order by c.picture_id) as number, m.storage_key, m.bytes,
               m.content_type, m.created_at, m.sha256,
               format('originals/%s-%s.%s', row_number() over (order by c.picture_id),
                      kiln_internal.file_word(regexp_replace(m.filename, '\.[A-Za-z0-9]{1,5}$', ''),
                                              'picture'),
                      kiln_internal.file_ending(m.content_type)) as name
          from kiln.picture c
         -- by its key, as a job below: see db/functions/staging/
         cross join lateral (select x.* from kiln.media x where x.media_id = c.media_id limit 1) m
         where c.project_id = p_project.project_id and m.state = 'ready'
    ), result as (
        select o.name as of_original, r.storage_key, r.bytes, r.sha256, r.content_type, j.finished_at,
               j.output, i.disclosure, kiln_internal.is_local_sample(j) as is_local_sample,
               format('%s-%s-%s', kiln_internal.file_word(nullif(i.room_type, 'auto'), 'room'), o.number,
                      kiln_internal.file_word(i.style, i.mode::text)) as stem,
               row_number() over (partition by o.number, i.room_type, i.style,
                                  case when i.style is null then i.mode end order by j.job_id,
                                  r.media_id) as ord
          from kiln.image i
          join original o on o.media_id = i.media_id
         cross join lateral (select x.* from kiln.job x where x.job_id = i.job_id limit 1) j
         cross join lateral kiln_internal.job_results(j) r
         where i.project_id = p_project.project_id and j.state = 'completed'
         order by i.job_id desc, r.media_id desc
         limit 5000
    )
    select r.stem || case when r.ord > 1 then '-' || r.ord
                          else '' end || '.' || kiln_internal.file_ending(r.content_type), r.storage_key,
           r.bytes, r.sha256, r.finished_at,
           format('altered on %s from %s; label: %s%s',
                  to_char(r.finished_at at time zone 'UTC', 'YYYY-MM-DD'), r.of_original,
                  coalesce(r.output #>> '{disclose,text}', r.disclosure, 'Virtually staged'),
                  case when r.is_local_sample then ' (a local sample made by Kiln, for trying and testing)'
                       else '' end)
      from result r
    union all
    select o.name, o.storage_key, o.bytes, o.sha256, o.created_at,
           'original, unaltered; SHA-256 ' || encode(o.sha256, 'hex') from original o;
end
$$;
comment on function kiln_internal.project_files(kiln.project) is
'What a project''s download holds, under names of their own: the labelled results (never the clean ones; the
newest 5,000) and the originals. A result''s number is that of its original.';

create or replace function kiln_internal.render_download(p_project kiln.project)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_folder  text := kiln_internal.file_word(p_project.name, 'project-' || p_project.project_id);
    v_entries json;
    v_list    text;
    v_results bigint;
begin
    select json_agg(json_build_object('name', v_folder || '/' || f.name, 'storage_key', f.storage_key,
                                      'bytes', f.bytes, 'sha256', encode(f.sha256, 'hex'),
                                      'at', extract(epoch from f.at)::bigint) order by f.name),
           string_agg(f.name || E'\n    ' || f.says || E'\n', ''
                      order by f.name), count(*) filter (where f.name not like 'originals/%')
      into v_entries, v_list, v_results
      from kiln_internal.project_files(p_project) f;
    return json_build_object(
        'account_id', p_project.account_id, 'folder', v_folder, 'entries', coalesce(v_entries, '[]'),
        'readme', p_project.name || E'\n\n'
            || E'The pictures beside this file were digitally altered, and each bears a label that says so. '
                'The unaltered\noriginals are in the folder originals; the number in a picture''s name is that '
                'of its original. Who shows an\naltered picture should show its original with it, keep the '
                'label, and say that the picture was altered.\n\n'
            || case when v_results = 5000
                then E'No more than 5,000 altered pictures are in one file: these are the newest.\n\n'
                    else '' end
            || coalesce(v_list, E'There is nothing in this project yet.\n'));
end
$$;
comment on function kiln_internal.render_download(kiln.project) is
'A project''s download as the server packs it: {account_id, folder, entries: [{name, storage_key, bytes,
sha256, at}], readme}. The caller has checked whose it is.';

create or replace function kiln_api.download_project(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return kiln_internal.render_download(kiln_internal.see_project(p_actor, p_path));
end
$$;
comment on function kiln_api.download_project(bigint, jsonb, jsonb, text) is
'GET /projects/{id}/download: what the ZIP holds; the server makes it. KN002: not there, or not theirs.';

create or replace function kiln_internal.tryon_page(p_states text[], p_category text, p_before bigint,
                                                    p_limit int, out jobs kiln.job[], out next_id bigint)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off
as $$
declare
    v_ids bigint[];
begin
    if kiln_internal.is_no_operator() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
    v_ids := kiln_internal.tryon_ids(coalesce(p_states::kiln.job_state[], enum_range(null::kiln.job_state)),
                                     p_category, p_before, p_limit + 1);
    jobs := array(
        select j.job
          from unnest(v_ids) as i (job_id)
         cross join lateral (select x as job, x.job_id from kiln.job x where x.job_id = i.job_id limit 1) j
         order by j.job_id desc
         limit p_limit + 1);
    next_id := case when cardinality(jobs) > p_limit then jobs[p_limit].job_id end;
    jobs := jobs[1:p_limit];
end
$$;
comment on function kiln_internal.tryon_page(text[], text, bigint, int) is
'A page of all try-ons, newest first, in some states and of a category (null: any); next_id: where the next
one
begins. A page is full, or the list is at its end. KN004: for administrators.';

create or replace function kiln_internal.add_inputs(p_account_id bigint, p_files jsonb)
returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
    v_ids bigint[];
begin
    with added as (
        insert into kiln.media (account_id, role, state, media_type, content_type, bytes, sha256,
                                incoming_key, filename)
        select p_account_id, 'input', 'uploading', split_part(f.content_type, '/', 1)::kiln.media_type,
               f.content_type, f.bytes, decode(f.sha256, 'hex'), f.storage_key, left(f.filename, 255)
          from jsonb_array_elements(p_files) with ordinality as e (file, ord)
         cross join lateral jsonb_to_record(e.file) as f (content_type text, bytes bigint, sha256 text,
                                                          storage_key text, filename text)
         order by e.ord
        returning media_id
    )
    select coalesce(array_agg(a.media_id order by a.media_id), '{}') into v_ids from added a;
    perform kiln_internal.check_upload(i) from unnest(v_ids) as i;
    return to_jsonb(v_ids::text[]);
end
$$;
comment on function kiln_internal.add_inputs(bigint, jsonb) is
'Media for files that came in a body and are in the store: [{storage_key, bytes, sha256, content_type,
filename}], as the server found them; returns the ids in that order. They are uploads like others: a runner
checks each, and what it finds good takes their place.';

create or replace function kiln_internal.render_tryon(p_job kiln.job)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return kiln_internal.render_job(p_job)::jsonb || jsonb_build_object(
        'category', p_job.input ->> 'category', 'reason', p_job.input ->> 'reason',
        'pipeline', (select jsonb_build_object('name', p.name, 'version', v.version)
                       from kiln.pipeline_version v join kiln.pipeline p using (pipeline_id)
                      where v.pipeline_version_id = p_job.pipeline_version_id));
end
$$;
comment on function kiln_internal.render_tryon(kiln.job) is
'A try-on, as administrators see it: a Job with its category, the reason it was asked for again, and the
version of the pipeline that it takes.';

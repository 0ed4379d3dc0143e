-- Shares: made, revoked, opened.

-- Public pages of results: made, listed and taken back by who owns the job; opened by anyone who has the
-- link.
create or replace function kiln_internal.render_share(p_share kiln.share)
returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return jsonb_build_object(
        'id', p_share.share_id::text, 'job_id', p_share.job_id::text,
                              'expires_at', kiln_internal.render_time(p_share.expires_at),
        'revoked_at', kiln_internal.render_time(p_share.revoked_at),
                              'created_at', kiln_internal.render_time(p_share.created_at),
        'is_open', p_share.revoked_at is null and coalesce(p_share.expires_at > kiln_internal.now(), true));
end
$$;
comment on function kiln_internal.render_share(kiln.share) is
'A share as its owner sees it: without its token. The caller has checked whose it is.';

create or replace function kiln_internal.make_share(p_account_id bigint, p_job_id bigint,
                                                    p_expires_at timestamptz)
returns jsonb
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_job   kiln.job;
    v_share kiln.share;
    v_token text := translate(encode(kiln_extensions.gen_random_bytes(24), 'base64'), '+/', '-_');
begin
    select j.* into v_job from kiln.job j where j.job_id = p_job_id
       and j.account_id = p_account_id for key share;
    if v_job.state is distinct from 'completed' or v_job.kind not in ('generation', 'staging')
       or not exists (select from kiln_internal.job_results(v_job) r) then
        raise exception 'this job has no result to show'
            using errcode = 'KN001', hint = 'Generations and images can be shared once they are completed.';
    end if;
    insert into kiln.share (account_id, job_id, token_hash, originals, disclosure, expires_at)
    select p_account_id, p_job_id, sha256(convert_to(v_token, 'UTF8')),
           coalesce((select jsonb_agg(jsonb_build_object('media_id', m.media_id::text,
                                                         'sha256', encode(m.sha256, 'hex')) order by u.ord)
                       from jsonb_array_elements_text(case when v_job.kind = 'staging'
                                                               then v_job.input
                                                           -> 'media' end) with ordinality as u (id, ord)
                       join kiln.media m on m.media_id = case when u.id ~ '^[0-9]{1,18}$'
                                                                  then u.id::bigint end
                        and m.account_id = p_account_id), '[]'),
           v_job.output #>> '{disclose,text}', p_expires_at
    returning * into v_share;
    return kiln_internal.render_share(v_share)
        || jsonb_build_object('url', coalesce((select c.public_url from kiln.config c), '') || '/s/'
                              || v_token);
end
$$;
comment on function kiln_internal.make_share(bigint, bigint, timestamptz) is
'Publishes a completed job of this account under a random token (192 bits), which nothing keeps, and returns
the rendered share with its url. KN001: there is no result to show.';

create or replace function kiln_internal.revoke_share(p_account_id bigint, p_share_id bigint)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    update kiln.share s set revoked_at = coalesce(s.revoked_at, kiln_internal.now())
     where s.share_id = p_share_id and s.account_id = p_account_id;
    return found;
end
$$;
comment on function kiln_internal.revoke_share(bigint, bigint) is
'Takes back a share of this account; its page is gone with the commit. False: there is none.';

create or replace function kiln_internal.share_link(p_media_id bigint, p_expires_at timestamptz)
returns text
language plpgsql stable
set search_path = ''
as $$
declare
    v_expires bigint := ceil(extract(epoch from least(kiln_internal.now() + interval '5 minutes',
                                                      p_expires_at)));
begin
    return '/api/v1/media/' || p_media_id || '?exp=' || v_expires || '&sig='
        || kiln_internal.sign_link(p_media_id, '', v_expires);
end
$$;
comment on function kiln_internal.share_link(bigint, timestamptz) is
'A signed path to a file for a public page: good for five minutes and no longer than the page, so that little
outlives a revocation. (kiln_internal.media_link() is good for hours.)';

create or replace function kiln_internal.find_share(p_token text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_share   kiln.share;
    v_job     kiln.job;
    v_results jsonb;
begin
    select s.* into v_share from kiln.share s
     where s.token_hash = sha256(convert_to(p_token, 'UTF8')) and s.revoked_at is null
       and coalesce(s.expires_at > kiln_internal.now(), true);
    if found then
        select j.* into v_job from kiln.job j
         where j.job_id = v_share.job_id and not exists (select from kiln.account a
                                                          where a.account_id = j.account_id
                                                            and a.is_suspended);
        v_results := (select jsonb_agg(jsonb_build_object('media_type', r.media_type,
                                                          'content_type', r.content_type, 'width', r.width,
                                                          'height', r.height,
                                                          'url', kiln_internal.share_link(r.media_id,
                                                              v_share.expires_at)))
                        from kiln_internal.job_results(v_job) r);
    end if;
    if v_results is null then
        raise exception 'this link leads nowhere' using errcode = 'KN002';
    end if;
    return json_build_object(
        'kind', v_job.kind, 'made_at', kiln_internal.render_time(v_job.finished_at),
                             'expires_at', kiln_internal.render_time(v_share.expires_at),
        'prompt', case when v_job.kind = 'generation' then v_job.input ->> 'prompt' end,
        'room_type', case when v_job.kind = 'staging' then v_job.input ->> 'room_type' end,
        'style', case when v_job.kind = 'staging' then v_job.input ->> 'style' end,
        'label', v_share.disclosure,
        'is_local_sample', kiln_internal.is_local_sample(v_job),
        'originals', (select coalesce(jsonb_agg(case when m.media_id is null
                                                         then jsonb_build_object('sha256', o.item
                                                             ->> 'sha256', 'url', null)
                                                     else jsonb_build_object('sha256', o.item ->> 'sha256',
                                                         'url', kiln_internal.share_link(m.media_id,
                                                             v_share.expires_at),
                                                                             'width', m.width,
                                                                                 'height', m.height) end
                                                order by o.ord), '[]')
                        from jsonb_array_elements(v_share.originals) with ordinality as o (item, ord)
                        left join kiln.media m on m.media_id = (o.item ->> 'media_id')::bigint
                         and m.account_id = v_share.account_id and m.state = 'ready'
                                              and encode(m.sha256, 'hex') = o.item ->> 'sha256'),
        'results', v_results);
end
$$;
comment on function kiln_internal.find_share(text) is
'What a public page shows, by its token. KN002 for all that is not shown (unknown, expired, revoked, its
results deleted, its owner suspended), in the same words.';

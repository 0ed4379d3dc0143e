-- Administration: what an operator sees and decides over REST, with a token whose role is admin or with the
-- installation's key. Each function asks kiln_internal.require_admin() first.
create or replace function kiln_internal.render_job_for_admin(p_job kiln.job)
returns jsonb
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_path    text := '/api/v1/admin/jobs/' || p_job.job_id;
    v_held    jsonb;
    v_actions text[] := case when p_job.state in ('queued', 'running') then '{cancel}'::text[]
                             when p_job.state = 'held' then '{resend,fail,adopt,cancel}'
                             when p_job.state in ('completed', 'failed', 'cancelled') then '{retry}'
                             else '{}' end;
begin
    if p_job.state = 'held' then
        select jsonb_build_object('stage', h.stage, 'reason', h.reason, 'message', h.message,
                                  'since', kiln_internal.render_time(h.since),
                                  'provider', h.provider, 'request_id', h.request_id, 'call_id', h.call::text,
                                  'resend_after', (select kiln_internal.render_time(c.timeout_at)
                                                     from kiln.call c
                                                    where c.call_id = h.call and c.state <> 'settled'
                                                      and c.timeout_at > kiln_internal.now()))
          into v_held
          from kiln.held_jobs h
         where h.job = p_job.job_id
         limit 1;
        v_actions := case when v_held ->> 'reason' = 'lost' then '{fetch}'::text[] else '{}' end || v_actions;
    end if;
    return kiln_internal.render_job(p_job)::jsonb || jsonb_build_object(
        'account_id', p_job.account_id::text,
        'held', v_held,
        'actions', v_actions,
        'links', (select coalesce(jsonb_object_agg(a, v_path || '/' || a), '{}')
                    from (select distinct case when a in ('fetch', 'resend', 'fail', 'adopt') then 'resolve'
                                               else a end as a from unnest(v_actions) as a) as links));
end
$$;
comment on function kiln_internal.render_job_for_admin(kiln.job) is
'A job, as administrators see it: with its account, why it is held (as kiln.held_jobs says; resend_after:
resend and fail are refused until then), and what may be done about it (resend, fail and adopt go to
/resolve).';

create or replace function kiln_api.list_jobs(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_page  record;
    v_state text := p_query ->> 'state';
    v_jobs  kiln.job[];
begin
    perform kiln_internal.require_admin(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    if v_state is not null and not exists (select from unnest(enum_range(null::kiln.job_state)) as s
                                            where s::text = v_state) then
        raise exception 'state must be one of %', array_to_string(enum_range(null::kiln.job_state), ', ')
            using errcode = 'KN006';
    end if;
    v_jobs := kiln_internal.job_page(v_state::kiln.job_state, v_page.below, v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_job_for_admin(j)) from unnest(v_jobs[:v_page.page_limit]) as j),
        (kiln_internal.last_of_page(v_jobs, v_page.page_limit)).job_id);
end
$$;
comment on function kiln_api.list_jobs(bigint, jsonb, jsonb, text) is
'GET /admin/jobs?state=&limit=&cursor=: everybody''s jobs, newest first; state=held are those that wait for a
person''s word, with the reason and what can be done. A page is full, or the list is at its end.';

create or replace function kiln_api.cancel_job(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
    v_job    kiln.job;
begin
    perform kiln_internal.require_admin(p_actor);
    v_job_id := kiln_internal.parse_id(p_path ->> 'id');
    perform kiln.cancel_job(v_job_id);
    select j.* into v_job from kiln.job j where j.job_id = v_job_id;
    return kiln_internal.render_job_for_admin(v_job);
end
$$;
comment on function kiln_api.cancel_job(bigint, jsonb, jsonb, text) is
'POST /admin/jobs/{id}/cancel: kiln.cancel_job() for anybody''s job. KN001: it has ended; KN002: there is
none.';

create or replace function kiln_api.retry_job(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_job_id bigint;
    v_job    kiln.job;
begin
    perform kiln_internal.require_admin(p_actor);
    v_job_id := kiln_internal.retry_as_asked(p_actor, 'retry_job', kiln_internal.parse_id(p_path ->> 'id'),
                                             p_body);
    select j.* into v_job from kiln.job j where j.job_id = v_job_id;
    return kiln_internal.render_job_for_admin(v_job);
end
$$;
comment on function kiln_api.retry_job(bigint, jsonb, jsonb, text) is
'POST /admin/jobs/{id}/retry: {seed?, reason?, prompt?} as for one''s own; the new job is its account''s.
KN001: it has not ended.';

create or replace function kiln_api.resolve_job(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_job_id bigint;
    v_job    kiln.job;
begin
    perform kiln_internal.require_admin(p_actor);
    v_job_id := kiln_internal.parse_id(p_path ->> 'id');
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body,
                                                                     '{action,reason,output,request_id}')
        || case when coalesce(jsonb_typeof(v_body -> 'action'), 'string') = 'string' then '[]'::jsonb
                else kiln_internal.field_error('/action', 'must be a string') end
        || case when coalesce(jsonb_typeof(v_body -> 'reason'), 'string') = 'string' then '[]'::jsonb
                else kiln_internal.field_error('/reason', 'must be a string') end
        || case when v_body -> 'request_id' is null then '[]'::jsonb
                when jsonb_typeof(v_body -> 'request_id') <> 'string'
                    then kiln_internal.field_error('/request_id', 'must be a string')
                when v_body ? 'output' then kiln_internal.field_error('/request_id',
                                                                      'cannot stand beside an output')
                else '[]' end);
    perform kiln.resolve_job(v_job_id, v_body ->> 'action', v_body ->> 'reason',
                             coalesce(v_body -> 'output', case when v_body ? 'request_id'
                                                                   then jsonb_build_object('request_id',
                                                                       v_body -> 'request_id') end),
                             'account ' || p_actor);
    select j.* into v_job from kiln.job j where j.job_id = v_job_id;
    return kiln_internal.render_job_for_admin(v_job);
end
$$;
comment on function kiln_api.resolve_job(bigint, jsonb, jsonb, text) is
'POST /admin/jobs/{id}/resolve {action: fetch|resend|fail|adopt, reason, output? or request_id?}:
kiln.resolve_job() by an administrator. KN014: too early; KN001: not held; KN003: fields; KN002: no such
job.';

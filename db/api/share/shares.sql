-- Links that people give away.
create or replace function kiln_api.create_share(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_body    jsonb := kiln_internal.parse_body(p_body);
    v_errors  jsonb := kiln_internal.unknown_fields(v_body, '{job_id,expires_at}');
    v_expires timestamptz;
    v_made    jsonb;
    v_id      bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_share', p_body);
    if v_id is not null then
        raise exception 'the share % was made under this Idempotency-Key; its address is shown once', v_id
            using errcode = 'KN015', detail = json_build_object('id', v_id::text)::text;
    end if;
    if jsonb_typeof(v_body -> 'job_id') is distinct from 'string' or v_body ->> 'job_id' !~ '^[0-9]{1,18}$'
       or not exists (select from kiln.job j where j.job_id = (v_body ->> 'job_id')::bigint
                         and j.account_id = p_actor and j.kind <> 'upload') then
        v_errors := v_errors || kiln_internal.field_error('/job_id', 'is no job of yours');
    end if;
    if kiln_internal.plain_field(v_body, 'expires_at') is not null then
        v_expires := kiln_internal.parse_later(v_body -> 'expires_at');
        if v_expires is null then
            v_errors := v_errors || kiln_internal.field_error('/expires_at',
                                                        'must be a time to come, as in 2030-01-31T12:00:00Z');
        end if;
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    v_made := kiln_internal.make_share(p_actor, (v_body ->> 'job_id')::bigint, v_expires);
    perform kiln_internal.end_idempotent(p_actor, 'create_share', (v_made ->> 'id')::bigint);
    return v_made;
end
$$;
comment on function kiln_api.create_share(bigint, jsonb, jsonb, text) is
'POST /shares: {job_id, expires_at?} of a completed generation or image; the answer alone holds the page''s
url. KN001: no result to show; KN003: a field is wrong; KN015: made already under this Idempotency-Key.';

create or replace function kiln_api.list_shares(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
set enable_sort = off
as $$
declare
    v_page record;
    v_rows bigint[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_rows := array(select s.share_id from kiln.share s
                     where s.account_id = p_actor and s.share_id < v_page.below
                     order by s.share_id desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_share(row (s.share_id, s.account_id, s.job_id, null,
                                                         s.originals, s.disclosure,
                                                         s.expires_at, s.revoked_at,
                                                         s.created_at)::kiln.share)
                         order by s.share_id desc)
           from kiln.share s where s.account_id = p_actor and s.share_id = any (v_rows[:v_page.page_limit])),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_shares(bigint, jsonb, jsonb, text) is
'GET /shares: the actor''s, newest first, revoked and expired ones too, without their addresses.';

create or replace function kiln_api.delete_share(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    if not kiln_internal.revoke_share(p_actor, kiln_internal.parse_id(p_path ->> 'id')) then
        raise exception 'there is no such share' using errcode = 'KN002';
    end if;
    return null;
end
$$;
comment on function kiln_api.delete_share(bigint, jsonb, jsonb, text) is
'DELETE /shares/{id}: its page is gone at once; once more changes nothing. KN002: not there, or another''s.';

create or replace function kiln_api.open_share(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return kiln_internal.find_share(p_path ->> 'token');
end
$$;
comment on function kiln_api.open_share(bigint, jsonb, jsonb, text) is
'GET /s/{token}, for anyone: what the page shows; the server makes a page of it. KN002: nothing is shown
here.';

-- Webhook endpoints over REST, and the way out of mail.
create or replace function kiln_api.create_webhook_endpoint(p_actor bigint, p_path jsonb, p_query jsonb,
                                                            p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body   jsonb := kiln_internal.parse_body(p_body);
    v_errors jsonb := kiln_internal.unknown_fields(v_body, '{url,types}');
    v_all    text[] := array(select t::text from unnest(enum_range(null::kiln.event_type)) t
                              where t <> all ('{session.ended,job.progress,notification.read}'));
    v_url_error text := kiln.webhook_url_error(case jsonb_typeof(v_body -> 'url') when 'string'
                                                        then v_body ->> 'url' end);
    v_types  text[] := kiln_internal.texts(v_body -> 'types', cardinality(v_all));
    v_made   record;
    v_id     bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_webhook_endpoint', p_body);
    if v_id is not null then
        raise exception 'the webhook endpoint % was made under this Idempotency-Key; '
            'its secret is shown once',
            v_id using errcode = 'KN015', detail = json_build_object('id', v_id::text)::text;
    end if;
    if v_url_error is not null then
        v_errors := v_errors || kiln_internal.field_error('/url', v_url_error);
    end if;
    if v_types is null or v_types = '{}' or not v_types <@ v_all then
        v_errors := v_errors || kiln_internal.field_error('/types',
                                                          'must be an array of: '
                                                          || array_to_string(v_all, ', '));
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    v_made := kiln_internal.make_endpoint(p_actor, v_body ->> 'url', array(select distinct t::kiln.event_type
                                                        from unnest(v_types) t order by 1));
    perform kiln_internal.end_idempotent(p_actor, 'create_webhook_endpoint', v_made.endpoint_id);
    return (select (kiln_internal.render_endpoint(e) || jsonb_build_object('secret', v_made.secret))::json
              from kiln.webhook_endpoint e where e.webhook_endpoint_id = v_made.endpoint_id);
end
$$;
comment on function kiln_api.create_webhook_endpoint(bigint, jsonb, jsonb, text) is
'POST /webhook-endpoints: {url, types}; the answer alone holds the secret. KN015: made already under this
Idempotency-Key. KN003: a field is wrong. KN001: there are 20.';

create or replace function kiln_api.list_webhook_endpoints(p_actor bigint, p_path jsonb, p_query jsonb,
                                                           p_body text)
returns json
language plpgsql security definer
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
    v_rows := array(select e.webhook_endpoint_id from kiln.webhook_endpoint e
                     where e.account_id = p_actor and e.webhook_endpoint_id < v_page.below
                     order by e.webhook_endpoint_id desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_endpoint(e) order by e.webhook_endpoint_id desc)
           from kiln.webhook_endpoint e where e.account_id = p_actor
            and e.webhook_endpoint_id = any (v_rows[:v_page.page_limit])),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_webhook_endpoints(bigint, jsonb, jsonb, text) is
'GET /webhook-endpoints: the actor''s, newest first, without the secrets.';

create or replace function kiln_api.delete_webhook_endpoint(p_actor bigint, p_path jsonb, p_query jsonb,
                                                            p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    if not kiln_internal.delete_endpoint(p_actor, kiln_internal.parse_id(p_path ->> 'id')) then
        raise exception 'there is no such webhook endpoint' using errcode = 'KN002';
    end if;
    return null;
end
$$;
comment on function kiln_api.delete_webhook_endpoint(bigint, jsonb, jsonb, text) is
'DELETE /webhook-endpoints/{id}: with its deliveries. KN002: not there, or another''s.';

create or replace function kiln_api.rotate_webhook_secret(p_actor bigint, p_path jsonb, p_query jsonb,
                                                          p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_secret text;
begin
    perform kiln_internal.require_actor(p_actor);
    v_secret := kiln.rotate_endpoint_secret(p_actor, kiln_internal.parse_id(p_path ->> 'id'));
    if v_secret is null then
        raise exception 'there is no such webhook endpoint' using errcode = 'KN002';
    end if;
    return json_build_object('secret', v_secret);
end
$$;
comment on function kiln_api.rotate_webhook_secret(bigint, jsonb, jsonb, text) is
'POST /webhook-endpoints/{id}/rotate: {secret}, shown once; for a day deliveries carry the signatures of both.
KN002: not there, or another''s.';

create or replace function kiln_api.enable_webhook_endpoint(p_actor bigint, p_path jsonb, p_query jsonb,
                                                            p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    if not kiln.enable_endpoint(p_actor, kiln_internal.parse_id(p_path ->> 'id')) then
        raise exception 'there is no such webhook endpoint' using errcode = 'KN002';
    end if;
    return (select kiln_internal.render_endpoint(e)::json from kiln.webhook_endpoint e
             where e.webhook_endpoint_id = kiln_internal.parse_id(p_path ->> 'id'));
end
$$;
comment on function kiln_api.enable_webhook_endpoint(bigint, jsonb, jsonb, text) is
'POST /webhook-endpoints/{id}/enable: it is sent to again. KN002: not there, or another''s.';

create or replace function kiln_api.list_deliveries(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
set enable_sort = off
as $$
declare
    v_id   bigint := kiln_internal.parse_id(p_path ->> 'id');
    v_page record;
    v_rows bigint[];
begin
    perform kiln_internal.require_actor(p_actor);
    if not exists (select from kiln.webhook_endpoint e
                    where e.account_id = p_actor and e.webhook_endpoint_id = v_id) then
        raise exception 'there is no such webhook endpoint' using errcode = 'KN002';
    end if;
    v_page := kiln_internal.parse_page(p_query);
    v_rows := array(select d.delivery_id from kiln.delivery d
                     where d.webhook_endpoint_id = v_id and d.delivery_id < v_page.below
                     order by d.delivery_id desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_delivery(d) order by d.delivery_id desc)
           from kiln.delivery d where d.delivery_id = any (v_rows[:v_page.page_limit])),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_deliveries(bigint, jsonb, jsonb, text) is
'GET /webhook-endpoints/{id}/deliveries: newest first, with their attempts. KN002: no such endpoint, or
another''s.';

create or replace function kiln_api.resend_delivery(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln.resend(p_actor, kiln_internal.parse_id(p_path ->> 'id'));
    return (select kiln_internal.render_delivery(d)::json from kiln.delivery d
             where d.delivery_id = kiln_internal.parse_id(p_path ->> 'id'));
end
$$;
comment on function kiln_api.resend_delivery(bigint, jsonb, jsonb, text) is
'POST /deliveries/{id}/resend: once more, at once, under the same webhook-id. KN002: not there, or another''s.
KN001: its endpoint is disabled.';

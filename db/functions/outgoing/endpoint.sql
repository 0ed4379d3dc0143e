-- Endpoints of webhooks.

-- What a webhook's URL may be is decided here alone: the API asks when an endpoint is made, and each delivery
-- carries the answer to its runner.
create or replace function kiln_internal.is_webhook_host_listed(p_url text)
returns boolean
language plpgsql stable
set search_path = ''
as $$
declare
    v_url  text[] := regexp_match(lower(p_url),
                                  '^(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?(?:[/?]|$)');
    v_usual text := case v_url[1] when 'https' then '443' else '80' end;
begin
    return exists (select from kiln.config c
                    cross join lateral string_to_table(lower(c.webhook_hosts), ',') as item
                    cross join lateral regexp_match(item, '^(\[[^]]+\]|[^:]+)(?::([0-9]+))?$') as listed
                    where coalesce(listed[2], v_usual)::int = coalesce(v_url[3], v_usual)::int
                      and (listed[1] = v_url[2]
                           or listed[1] like '*.%' and length(v_url[2]) > length(listed[1]) - 1
                           and right(v_url[2], length(listed[1]) - 1) = substr(listed[1], 2)));
end
$$;
comment on function kiln_internal.is_webhook_host_listed(text) is
'Whether kiln.config.webhook_hosts names the host and port of a URL; an item without a port means the
scheme''s own.';

create or replace function kiln.webhook_url_error(p_url text)
returns text
language plpgsql stable
set search_path = ''
as $$
declare
    v_host text := lower(substring(p_url from '^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)'));
    v_port text := substring(p_url from '^https?://[^/]*:([0-9]{1,5})(?:/|$)');
begin
    if coalesce(length(p_url) > 2000
                or p_url !~ '^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-"$-~]*)?$',
                true) then
        return 'must be an https URL of at most 2000 characters, without a name, a password or a fragment';
    elsif v_port::int not between 1 and 65535 then
        return 'must have a port from 1 to 65535, or none';
    elsif kiln_internal.is_webhook_host_listed(p_url) then
        return null;
    elsif p_url !~ '^https:' then
        return 'must begin with https://; http is for hosts that the operator lists';
    elsif v_host !~ '^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\.?$'
          or v_host ~ '(^|\.)(localhost|localdomain|local|internal|invalid|onion|home\.arpa)\.?$' then
        return 'must name a host of the public internet by its domain name; addresses and private names are '
               'for hosts that the operator lists';
    end if;
    return null;
end
$$;
comment on function kiln.webhook_url_error(text) is
'The reason why no delivery can go to a URL; null: one can. An address in digits is refused in every
notation.
The address that a name resolves to is checked by the runner at each connection.';

create or replace function kiln_internal.render_endpoint(p_endpoint kiln.webhook_endpoint)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return jsonb_build_object('id', p_endpoint.webhook_endpoint_id::text, 'url', p_endpoint.url,
                              'types', to_jsonb(p_endpoint.types),
                              'is_enabled', p_endpoint.disabled_at is null,
                              'disabled_at', kiln_internal.render_time(p_endpoint.disabled_at),
                              'disabled_why', p_endpoint.disabled_why,
                              'failures', p_endpoint.failures,
                              'created_at', kiln_internal.render_time(p_endpoint.created_at));
end
$$;
comment on function kiln_internal.render_endpoint(kiln.webhook_endpoint) is
'An endpoint as its owner sees it: without the secret.';

create or replace function kiln_internal.make_endpoint(p_account_id bigint, p_url text,
                                                       p_types kiln.event_type[], out endpoint_id bigint,
                                                       out secret text)
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_secret bytea := kiln_extensions.gen_random_bytes(32);
begin
    if kiln.webhook_url_error(p_url) is not null then
        perform kiln_internal.refuse_fields(kiln_internal.field_error('/url', kiln.webhook_url_error(p_url)));
    end if;
    -- one at a time, so the count is exact
    perform 1 from kiln.account a where a.account_id = p_account_id for no key update;
    if (select count(*) from kiln.webhook_endpoint e where e.account_id = p_account_id) >= 20 then
        raise exception 'an account has at most 20 webhook endpoints'
            using errcode = 'KN001', hint = 'Delete one that is no longer used.';
    end if;
    perform kiln_internal.begin_deliveries();
    insert into kiln.webhook_endpoint as e (account_id, url, types) values (p_account_id, p_url, p_types)
 returning e.webhook_endpoint_id into endpoint_id;
    insert into kiln.endpoint_secret (webhook_endpoint_id, secret) values (endpoint_id, v_secret);
    secret := 'whsec_' || translate(encode(v_secret, 'base64'), E'\n', '');
end
$$;
comment on function kiln_internal.make_endpoint(bigint, text, kiln.event_type[]) is
'Makes an endpoint and its secret, which is not shown again. KN001: there are 20; KN003: nothing can be
delivered to such a URL.';

create or replace function kiln.rotate_endpoint_secret(p_account_id bigint, p_endpoint_id bigint)
returns text
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_secret bytea := kiln_extensions.gen_random_bytes(32);
begin
    update kiln.endpoint_secret s set previous = s.secret,
           previous_until = kiln_internal.now() + interval '1 day', secret = v_secret
     where s.webhook_endpoint_id = (select e.webhook_endpoint_id from kiln.webhook_endpoint e
                                     where e.account_id = p_account_id
                                       and e.webhook_endpoint_id = p_endpoint_id);
    return case when found then 'whsec_' || translate(encode(v_secret, 'base64'), E'\n', '') end;
end
$$;
comment on function kiln.rotate_endpoint_secret(bigint, bigint) is
'Gives a webhook endpoint a new secret. Deliveries carry signatures of both secrets for a day. Null: the
account has no such endpoint.';

create or replace function kiln_internal.delete_endpoint(p_account_id bigint, p_endpoint_id bigint)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    delete from kiln.webhook_endpoint e where e.account_id = p_account_id
       and e.webhook_endpoint_id = p_endpoint_id;
    return found;
end
$$;
comment on function kiln_internal.delete_endpoint(bigint, bigint) is
'Deletes an endpoint and its deliveries; false: not there, or another''s.';

create or replace function kiln.enable_endpoint(p_account_id bigint, p_endpoint_id bigint)
returns boolean
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    update kiln.webhook_endpoint e set disabled_at = null, disabled_why = null, failures = 0,
           failing_since = null
     where e.account_id = p_account_id and e.webhook_endpoint_id = p_endpoint_id;
    return found;
end
$$;
comment on function kiln.enable_endpoint(bigint, bigint) is
'Enables a webhook endpoint that was disabled. Events from the meantime are not sent. False: the account has
no such endpoint.';

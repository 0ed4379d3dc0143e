-- The public keys by which webhooks of providers are proved.
create or replace function kiln_internal.find_webhook_keys(p_provider text, p_fetch boolean)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_provider kiln.provider;
    v_key      kiln.webhook_key;
begin
    select p.* into v_provider from kiln.provider p where p.name = p_provider;
    if v_provider.webhook is null then
        raise exception 'there is no provider % with webhooks',
            quote_literal(kiln_internal.shorten(p_provider, 40)) using errcode = 'KN002';
    end if;
    if p_fetch and v_provider.webhook ->> 'jwks_url' is not null then
        insert into kiln.webhook_key (provider_id, wanted_at)
        values (v_provider.provider_id, kiln_internal.now())
        on conflict (provider_id) do update set wanted_at = excluded.wanted_at
         where webhook_key.wanted_at is null
            or webhook_key.wanted_at < kiln_internal.now() - interval '1 minute';
    end if;
    select k.* into v_key from kiln.webhook_key k where k.provider_id = v_provider.provider_id;
    return json_build_object('scheme', v_provider.webhook ->> 'scheme', 'keys', v_key.jwks,
                             'secret_env', v_provider.webhook ->> 'secret_env',
                             'tolerance_s', coalesce((v_provider.webhook ->> 'tolerance_s')::int, 300));
end
$$;
comment on function kiln_internal.find_webhook_keys(text, boolean) is
'What a provider''s webhooks are verified with. p_fetch: none of the keys fits, so a runner is to fetch them
again.';

create or replace function kiln_api.webhook_keys(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    return kiln_internal.find_webhook_keys(coalesce(p_path ->> 'provider', p_path ->> 'id'),
                                           coalesce((nullif(p_body, '')::jsonb ->> 'fetch')::boolean, false));
end
$$;
comment on function kiln_api.webhook_keys(bigint, jsonb, jsonb, text) is
'For the server itself: {scheme, keys (a JSON Web Key Set or null), secret_env, tolerance_s} of a provider''s
webhooks. A body of {"fetch": true} has the keys fetched again by a runner. KN002: no such provider.';

create or replace function kiln_internal.needs_webhook_keys(p_provider kiln.provider)
returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
    return p_provider.is_enabled and p_provider.webhook ->> 'jwks_url' is not null
        and (select c.public_url from kiln.config c) is not null
       and not exists (select from kiln.webhook_key k
                        where k.provider_id = p_provider.provider_id
                          and k.fetched_at >= kiln_internal.now() - interval '23 hours'
                          and not coalesce(k.wanted_at > k.fetched_at
                                           and k.fetched_at < kiln_internal.now() - interval '1 minute',
                                           false));
end
$$;
comment on function kiln_internal.needs_webhook_keys(kiln.provider) is
'Whether a provider''s public keys are to be fetched: there are none, they are a day old, or none of them fits
any more.';

create or replace function kiln_runner.required_webhook_keys()
returns setof json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    return query
    select json_build_object('provider', p.name, 'jwks_url', p.webhook ->> 'jwks_url',
                             'hosts', to_jsonb(array(select h
                                                       from unnest(p.reply_hosts
                                                                   || kiln_internal.url_host(p.base_url)
                                                                          || kiln_internal.url_host(p.webhook
                                                                              ->> 'jwks_url')) as h
                                                      where h is not null)))
      from kiln.provider p
     where kiln_internal.needs_webhook_keys(p);
end
$$;
comment on function kiln_runner.required_webhook_keys() is
'Whose public keys are to be fetched: {"provider", "jwks_url", "hosts"}; give them to store_webhook_keys(). A
day old, or none of them fits any more.';

create or replace function kiln_runner.store_webhook_keys(p_provider text, p_jwks json)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_provider kiln.provider;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    if jsonb_typeof(p_jwks::jsonb -> 'keys') is distinct from 'array' then
        raise exception 'a JSON Web Key Set has an array of keys' using errcode = 'KN006';
    end if;
    select p.* into v_provider from kiln.provider p where p.name = p_provider;
    if not found then
        raise exception 'there is no provider %', quote_literal(p_provider) using errcode = 'KN002';
    elsif not kiln_internal.needs_webhook_keys(v_provider) then
        return;         -- another runner was quicker; or nobody asked, and what is trusted stays
    end if;
    insert into kiln.webhook_key (provider_id, jwks, fetched_at)
    values (v_provider.provider_id, p_jwks::jsonb, kiln_internal.now())
    on conflict (provider_id) do update set jwks = excluded.jwks, fetched_at = excluded.fetched_at;
end
$$;
comment on function kiln_runner.store_webhook_keys(text, json) is
'Keeps the public keys with which a provider signs its webhooks, where they are wanted
(required_webhook_keys); else the ones that are there stay. {"keys": […]}. KN002: no such provider; KN006: no
key set.';

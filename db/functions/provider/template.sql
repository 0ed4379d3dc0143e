-- Requests as a provider wants them: the templates of its description, filled with what a job asks for.
--
-- A string "{params.seed}" becomes the value with its type, so a seed stays an exact integer; inside a longer
-- string it becomes text. A key whose value is missing is dropped. What is filled in is never read as a
-- template again, so a prompt says what it says.

-- RFC 6901, with `*` for every element of an array.
create or replace function kiln_internal.pointer_values(p_doc jsonb, p_pointer text)
returns jsonb[]
language plpgsql immutable
set search_path = ''
as $$
declare
    v_found jsonb[] := array[p_doc];
    v_next  jsonb[];
    v_at    jsonb;
    v_item  jsonb;
    v_part  text;
begin
    if p_doc is null then
        return '{}';
    elsif p_pointer = '' then
        return v_found;
    end if;
    foreach v_part in array string_to_array(substr(p_pointer, 2), '/')
    loop
        v_part := replace(replace(v_part, '~1', '/'), '~0', '~');
        v_next := '{}';
        foreach v_at in array v_found
        loop
            if jsonb_typeof(v_at) = 'array' then
                if v_part = '*' then
                    -- one by one: that alone is done in place
                    for v_item in select e from jsonb_array_elements(v_at) as e
                    loop
                        v_next := v_next || v_item;
                    end loop;
                elsif v_part ~ '^[0-9]{1,6}$' and v_at -> v_part::int is not null then
                    v_next := v_next || (v_at -> v_part::int);
                end if;
            elsif jsonb_typeof(v_at) = 'object' and v_at -> v_part is not null then
                v_next := v_next || (v_at -> v_part);
            elsif v_part = '*' and jsonb_typeof(v_at) not in ('object', 'null') then
                v_next := v_next || v_at;       -- one where there may be several
            end if;
        end loop;
        v_found := v_next;
        exit when v_found = '{}';
    end loop;
    return v_found;
end
$$;
comment on function kiln_internal.pointer_values(jsonb, text) is
'The values that a JSON pointer (RFC 6901) leads to; `*` stands for every element of an array, or for one
value
that stands where an array may. Empty where there is none.';

create or replace function kiln_internal.at_pointer(p_doc jsonb, p_pointers jsonb)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
    v_pointer text;
    v_found   jsonb[];
begin
    for v_pointer in select jsonb_array_elements_text(p_pointers)
    loop
        v_found := array(select v from unnest(kiln_internal.pointer_values(p_doc, v_pointer)) as v
                          where v <> 'null');
        if v_found <> '{}' then
            return v_found[1];
        end if;
    end loop;
    return null;
end
$$;
comment on function kiln_internal.at_pointer(jsonb, jsonb) is
'The first value, other than null, that the first of these pointers that leads anywhere leads to.';

-- RFC 3986: unreserved characters stay; in paths the slash too.
create or replace function kiln_internal.percent_encode(p_text text, p_keep text default '')
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
    return (select coalesce(string_agg(case when c ~ '^[A-Za-z0-9._~-]$' or strpos(p_keep, c) > 0 then c
                                            else (select string_agg('%' || upper(to_hex(get_byte(convert_to(c,
                                                        'UTF8'), i))), '' order by i)
                                                    from generate_series(0,
                                                        octet_length(convert_to(c, 'UTF8')) - 1) as i) end, ''
                                       order by n), '')
              from regexp_split_to_table(p_text, '') with ordinality as x (c, n) where c <> '');
end
$$;
comment on function kiln_internal.percent_encode(text, text) is
'Percent-encoding of all but the unreserved characters of RFC 3986 and those of p_keep.';

create or replace function kiln_internal.placeholders(p_text text)
returns text[]
language plpgsql immutable
set search_path = ''
as $$
begin
    return array(select m[1] from regexp_matches(p_text, '\{([a-z_]+(?:\.[A-Za-z0-9_-]+)*)\}', 'g') as m);
end
$$;
comment on function kiln_internal.placeholders(text) is
'What a template string names, in order: {prompt}, {params.seed}, {media.0}.';

-- A string of a template: null where something that it names is missing.
create or replace function kiln_internal.fill_text(p_text text, p_context jsonb,
                                                   p_is_url boolean default false)
returns text
language plpgsql immutable
set search_path = ''
as $$
declare
    v_names text[] := kiln_internal.placeholders(p_text);
    v_parts text[];
    v_value jsonb;
    v_text  text;
    v_out   text;
begin
    v_parts := regexp_split_to_array(p_text, '\{[a-z_]+(?:\.[A-Za-z0-9_-]+)*\}');
    v_out := v_parts[1];
    for i in 1..cardinality(v_names)
    loop
        v_value := p_context #> string_to_array(v_names[i], '.');
        if v_value is null or v_value = 'null' then
            return null;
        end if;
        v_text := v_value #>> '{}';
        if p_is_url then
            if v_text ~ '(^|/)\.\.?(/|$)' then
                return null;
            end if;
            v_text := kiln_internal.percent_encode(v_text, '/');
        end if;
        v_out := v_out || v_text || v_parts[i + 1];
    end loop;
    return v_out;
end
$$;
comment on function kiln_internal.fill_text(text, jsonb, boolean) is
'Fills a string. p_is_url: values are percent-encoded, slashes stay, and none may hold a . or .. segment.
Null: a value is missing.';

create or replace function kiln_internal.fill(p_template jsonb, p_context jsonb)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
    v_text  text;
    v_value jsonb;
    v_out   jsonb;
begin
    case jsonb_typeof(p_template)
        when 'string' then
            v_text := p_template #>> '{}';
            if v_text ~ '^\{[a-z_]+(\.[A-Za-z0-9_-]+)*\}$' then
                v_value := p_context #> string_to_array(substr(v_text, 2, length(v_text) - 2), '.');
                return nullif(v_value, 'null');
            end if;
            return to_jsonb(kiln_internal.fill_text(v_text, p_context));
        when 'object' then
            v_out := '{}';
            if p_template ? '$merge' then
                v_value := kiln_internal.fill(p_template -> '$merge', p_context);
                if jsonb_typeof(v_value) = 'object' then
                    v_out := v_value;
                end if;
            end if;
            return v_out || coalesce((
                select jsonb_object_agg(f.key, f.value)
                  from (select e.key, kiln_internal.fill(e.value, p_context) as value
                          from jsonb_each(p_template) as e where e.key <> '$merge' offset 0) f
                 where f.value is not null), '{}');
        when 'array' then
            return coalesce((select jsonb_agg(f.value order by f.n) from (
                select kiln_internal.fill(e.value, p_context) as value, e.n
                  from jsonb_array_elements(p_template) with ordinality as e (value, n)) f
                where f.value is not null), '[]');
        else
            return p_template;
    end case;
end
$$;
comment on function kiln_internal.fill(jsonb, jsonb) is
'A template with its placeholders filled; {"$merge": "{params}", …} begins with all keys of an object. What is
missing is dropped.';

create or replace function kiln_internal.url_host(p_url text)
returns text
language sql immutable
return lower(substring(p_url from '^https?://([A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,'
                                  '5})?)(?:[/?]|$)'));
comment on function kiln_internal.url_host(text) is
'host or host:port of an http(s) URL; null where it is none, or hides a user name in it.';

create or replace function kiln_internal.reply_url(p_provider kiln.provider, p_url text)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
    return case when length(p_url) <= 2048 and p_url !~ '[[:space:][:cntrl:]#]'
                 and substring(p_url from '^(https?)://') = substring(p_provider.base_url from '^(https?)://')
                 and kiln_internal.url_host(p_url) in (select kiln_internal.url_host(p_provider.base_url)
                                                       union all select lower(h)
                                                                   from unnest(p_provider.reply_hosts) as h)
                then p_url end;
end
$$;
comment on function kiln_internal.reply_url(kiln.provider, text) is
'A URL of a reply, if it may be asked: the base''s scheme, and a host of the description. Else null: the
template is used.';

create or replace function kiln_internal.render_request(p_provider kiln.provider, p_kind text,
                                                        p_context jsonb)
returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
    v_spec    jsonb := case p_kind when 'submit' then p_provider.submit when 'poll' then p_provider.poll
                            when 'result' then p_provider.result
                                   when 'cancel' then p_provider.cancel when 'lookup'
                                then p_provider.lookup end;
    v_config  jsonb := p_context -> 'config';
    v_point   text  := v_config ->> 'endpoint';
    v_context jsonb := p_context;
    v_files   jsonb := '[]';
    v_url     text;
    v_path    text;
    v_query   text;
    v_headers jsonb;
    v_body    jsonb;
    v_take    jsonb := '[]';
    v_binary  boolean := false;
begin
    if v_spec is null then
        return null;
    end if;
    v_context := v_context || jsonb_strip_nulls(jsonb_build_object(
        'endpoint', v_point,
        'app', substring(v_point from '^((?:workflows/|comfy/)?[^/]+/[^/]+)'),
        'webhook_events', case when p_context ->> 'webhook_url' is not null then '["completed"]'::jsonb end));

    if p_kind = 'submit' then
        -- A file is a word that nobody can guess; the runner puts the bytes in its place.
        if jsonb_typeof(p_context -> 'media') = 'array' and p_context -> 'media' <> '[]' then
            select jsonb_agg(jsonb_build_object('token', 'kiln-file-' || gen_random_uuid(),
                                                'media_id', m ->> 'media_id',
                                                'storage_key', m -> 'storage_key',
                                                'content_type', m -> 'content_type',
                                                'as', coalesce(v_config ->> 'media_as', 'data_uri')))
              into v_files from jsonb_array_elements(p_context -> 'media') as m;
            v_context := v_context || jsonb_build_object('media', (select jsonb_agg(f -> 'token')
                                                                    from jsonb_array_elements(v_files) as f));
        else
            v_context := v_context - 'media';
        end if;
        v_context := v_context
            || jsonb_build_object('body', kiln_internal.fill(coalesce(v_config -> 'body',
                                                 '{"$merge": "{params}", "prompt": "{prompt}"}'), v_context));
        select coalesce(jsonb_agg(o -> 'pointer') filter (where o ->> 'as' in ('base64', 'data')), '[]'),
               coalesce(bool_or(o ->> 'as' = 'binary'), false)
          into v_take, v_binary from jsonb_array_elements(v_config -> 'outputs') as o;
    end if;

    v_url := case p_kind when 'poll'
                      then kiln_internal.reply_url(p_provider, p_context -> 'urls' ->> 'status')
                         when 'result' then kiln_internal.reply_url(p_provider,
                                                                    p_context -> 'urls' ->> 'result')
                         when 'cancel' then kiln_internal.reply_url(p_provider,
                                                                    p_context -> 'urls' ->> 'cancel') end;
    if v_url is null then
        v_path := kiln_internal.fill_text(v_spec ->> 'path', v_context, true);
        if v_path is null then
            raise exception 'provider %, %: % names what there is not', p_provider.name, p_kind,
                v_spec ->> 'path' using errcode = '22023';
        end if;
        v_url := rtrim(p_provider.base_url, '/') || v_path;
    end if;
    select string_agg(kiln_internal.percent_encode(q.key) || '='
                      || kiln_internal.percent_encode(q.value #>> '{}'), '&' order by q.key) into v_query
      from jsonb_each(kiln_internal.fill(coalesce(v_spec -> 'query', '{}'), v_context)) as q;
    if v_query is not null then
        v_url := v_url || case when strpos(v_url, '?') > 0 then '&' else '?' end || v_query;
    end if;

    v_body := case when v_spec ? 'body' then kiln_internal.fill(v_spec -> 'body', v_context) end;
    v_headers := jsonb_build_object('Accept', case when v_binary then '*/*' else 'application/json' end)
        || case when v_body is not null then '{"Content-Type": "application/json"}' else '{}' end::jsonb
        || case when p_kind = 'submit' and p_provider.idempotency_header is not null
                then jsonb_build_object(p_provider.idempotency_header, p_context ->> 'idempotency_key')
                else '{}' end
        || kiln_internal.fill(coalesce(v_spec -> 'headers', '{}'), v_context);
    return jsonb_build_object(
        'method', coalesce(v_spec ->> 'method', case when p_kind in ('submit', 'cancel') then 'POST'
                                                     else 'GET' end),
        'url', v_url,
        'headers', (select jsonb_object_agg(h.key, regexp_replace(h.value #>> '{}', '[[:cntrl:]]', ' ', 'g'))
                      from jsonb_each(v_headers) as h),
        'auth', p_provider.auth - 'for_files',
        'body', v_body::text,
        'files', v_files,
        'hosts', to_jsonb(array_prepend(kiln_internal.url_host(p_provider.base_url), p_provider.reply_hosts)),
        'timeout_ms', (extract(epoch from case when p_kind = 'submit' then p_provider.reply_timeout
                                               else least(p_provider.reply_timeout,
                                                          '30 seconds') end) * 1000)::int,
        'connect_timeout_ms', 10000,
        'max_bytes', p_provider.max_reply_bytes,
        'max_file_bytes', p_provider.max_file_bytes,
        'accept', v_spec -> 'accept',
        'take', v_take,
        'binary', v_binary);
end
$$;
comment on function kiln_internal.render_request(kiln.provider, text, jsonb) is
'The request that a runner sends: method, url, headers, auth (names the secret''s variable), body (text),
files
(words in the body that stand for files), hosts it may go to, bounds, accept (statuses, or null: 2xx), take
(where the reply carries files as base64), binary (the reply is the file). p_kind: submit, poll, result,
cancel, lookup. Null: the description has no such request. 22023: its path names what is missing.';

-- A description with a mistake is refused when it is written, naming the field and what would be right
-- (KN003).

create or replace function kiln_internal.refuse_description(p_name text, p_column text, p_field text,
                                                            p_what text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'provider %: %: %', p_name, p_field, p_what
        using errcode = 'KN003', column = p_column, hint = 'docs/provider-fields.md describes every field.';
end
$$;
comment on function kiln_internal.refuse_description(text, text, text, text) is
'Raises KN003 about one field of a description.';

create or replace function kiln_internal.check_names(p_provider text, p_column text, p_field text,
                                                     p_value jsonb, p_known text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_unknown text;
begin
    if jsonb_typeof(p_value) <> 'object' then
        perform kiln_internal.refuse_description(p_provider, p_column, p_field, 'it is to be a JSON object');
    end if;
    select string_agg(k, ', ' order by k) into v_unknown from jsonb_object_keys(p_value) as k
     where k <> all (p_known);
    if v_unknown is not null then
        perform kiln_internal.refuse_description(p_provider, p_column, p_field,
                                                 format('there is no field %s; there are: %s', v_unknown,
                                                        array_to_string(p_known, ', ')));
    end if;
end
$$;
comment on function kiln_internal.check_names(text, text, text, jsonb, text[]) is
'Refuses what is no object, or has a field that nobody reads.';

create or replace function kiln_internal.check_pointers(p_provider text, p_column text, p_field text,
                                                        p_value jsonb, p_is_header_too boolean default false)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_value is null then
        return;
    end if;
    if jsonb_typeof(p_value) <> 'array' or p_value = '[]' or exists (
        select from jsonb_array_elements(p_value) as p
         where jsonb_typeof(p) <> 'string'
            or not (p #>> '{}' ~ '^(/([^~/]|~[01])+)+$' or p_is_header_too
                    and p #>> '{}' ~ '^header:[A-Za-z0-9-]+$')) then
        perform kiln_internal.refuse_description(p_provider, p_column, p_field,
                                               'it is to be a list of JSON pointers such as ["/request_id"]');
    end if;
end
$$;
comment on function kiln_internal.check_pointers(text, text, text, jsonb, boolean) is
'Refuses what is no list of JSON pointers.';

create or replace function kiln_internal.unknown_placeholders(p_template jsonb)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
    return (select string_agg(distinct '{' || n || '}', ', ')
              from jsonb_path_query(p_template, 'strict $.** ? (@.type() == "string")') as s,
                   unnest(kiln_internal.placeholders(s #>> '{}')) as n
             where n !~ '^(prompt|seed|endpoint|app|id|body|webhook_url|webhook_events|idempotency_key|call_id|params|params\..+|media|media\.[0-9]+|model\.(name|title)|config\..+)$');
end
$$;
comment on function kiln_internal.unknown_placeholders(jsonb) is
'The placeholders of a template that nothing fills; null: none.';

create or replace function kiln_internal.check_request(p_provider text, p_column text, p_spec jsonb,
                                                       p_more text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_unknown text;
    v_key     text;
begin
    if p_spec is null then
        return;
    end if;
    perform kiln_internal.check_names(p_provider, p_column, p_column, p_spec,
                                      '{method,path,query,headers,body,accept}'::text[] || p_more);
    if p_spec ->> 'path' is null or p_spec ->> 'path' !~ '^/[^?#[:space:]]*$' then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.path',
                       'it is to be a path that begins with a slash, such as "/{endpoint}", without a query');
    end if;
    if p_spec ? 'method' and p_spec ->> 'method' not in ('GET', 'POST', 'PUT', 'DELETE', 'PATCH') then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.method',
                                                 'it is to be GET, POST, PUT, PATCH or DELETE');
    end if;
    foreach v_key in array '{query,headers}'::text[]
    loop
        if p_spec ? v_key and (jsonb_typeof(p_spec -> v_key) <> 'object' or exists (
            select from jsonb_each(p_spec -> v_key) as e
             where jsonb_typeof(e.value) in ('object', 'array', 'null') or v_key = 'headers'
               and e.key !~ '^[A-Za-z0-9-]+$')) then
            perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.' || v_key,
                                                     'it is to be an object of plain values');
        end if;
    end loop;
    if exists (select from jsonb_object_keys(coalesce(p_spec -> 'headers', '{}')) as h
                where lower(h) in ('authorization', 'host', 'content-length', 'cookie', 'transfer-encoding',
                                   'connection')) then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.headers',
                                         'the secret belongs to auth, and the rest is the connection''s own');
    end if;
    foreach v_key in array '{accept,is_final_on,absent_on}'::text[]
    loop
        if p_spec ? v_key and (jsonb_typeof(p_spec -> v_key) <> 'array' or exists (
            select from jsonb_array_elements(p_spec -> v_key) as s
             where jsonb_typeof(s) <> 'number' or s::text !~ '^[1-5][0-9]{2}$')) then
            perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.' || v_key,
                                                    'it is to be a list of HTTP statuses such as [200, 202]');
        end if;
    end loop;
    v_unknown := kiln_internal.unknown_placeholders(p_spec);
    if v_unknown is not null then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column,
            format('nothing fills %s; there are {prompt}, {params.NAME}, {seed}, {media}, {media.N}, '
                   '{endpoint}, {app}, {id}, {body}, {config.NAME}, {model.name}, {webhook_url}, '
                   '{webhook_events}, {idempotency_key} and {call_id}', v_unknown));
    end if;
end
$$;
comment on function kiln_internal.check_request(text, text, jsonb, text[]) is
'Refuses a mistake in a request of a description.';

create or replace function kiln_internal.check_states(p_provider text, p_column text, p_spec jsonb)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform kiln_internal.check_pointers(p_provider, p_column, p_column || '.status', p_spec -> 'status');
    if not p_spec ? 'status' then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.status',
                                                 'it is to say where the status stands, such as ["/status"]');
    end if;
    if jsonb_typeof(p_spec -> 'states') is distinct from 'object' or exists (
        select from jsonb_each(p_spec -> 'states') as s
         where s.value #>> '{}' is null
            or s.value #>> '{}' not in ('queued', 'running', 'succeeded', 'failed', 'cancelled')) then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.states',
                  'each of its statuses is to be one of ours: queued, running, succeeded, failed, cancelled');
    end if;
    if not exists (select from jsonb_each_text(p_spec -> 'states') as s where s.value = 'succeeded') then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.states',
                                                 'one of them is to be succeeded');
    end if;
    if p_spec ? 'absent' and p_spec ->> 'absent' not in ('queued', 'running') then
        perform kiln_internal.refuse_description(p_provider, p_column, p_column || '.absent',
                                                 'a reply without a status may mean queued or running');
    end if;
    perform kiln_internal.check_pointers(p_provider, p_column, p_column || '.error', p_spec -> 'error');
end
$$;
comment on function kiln_internal.check_states(text, text, jsonb) is
'Refuses a mistake in how a description tells states.';

create or replace function kiln_internal.check_provider()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_host text;
    v_rule jsonb;
    v_n    int := 0;
    v_key  text;
    v_problem text;
begin
    if new.name is null or new.name !~ '^[a-z][a-z0-9_-]{0,39}$' then
        perform kiln_internal.refuse_description(new.name, 'name', 'name',
                                               'it is to be lower case letters, digits, - and _, at most 40');
    end if;
    if tg_op = 'UPDATE' and (new.name <> old.name or new.is_local and not old.is_local)
       and exists (select from kiln.stage s where s.handler = 'http'
                      and s.config ->> 'provider' = old.name) then
        perform kiln_internal.refuse_description(old.name, 'name',
                                                 case when new.name <> old.name then 'name'
                                                      else 'is_local' end,
                                                 'never changes once stages name it: make another provider, '
                                                 'and a new version of the pipelines');
    end if;
    if new.max_calls < 1 then
        perform kiln_internal.refuse_description(new.name, 'max_calls', 'max_calls',
                                      'it is to be at least 1, or null; is_enabled = false stops a provider');
    elsif new.rate_per_minute < 1 or new.rate_burst < 1 or new.rate_burst >= new.rate_per_minute
       and new.rate_per_minute > 1 then
        perform kiln_internal.refuse_description(new.name, 'rate_per_minute', 'rate_per_minute',
                                                'it is to be at least 1, and rate_burst at least 1 and less');
    elsif new.day_cap_micros < 0 then
        perform kiln_internal.refuse_description(new.name, 'day_cap_micros', 'day_cap_micros',
                                                 'it is to be millionths of the currency, or null');
    end if;
    if new.is_local then
        if new.base_url is not null or new.submit is not null then
            perform kiln_internal.refuse_description(new.name, 'base_url', 'base_url',
                                                     'a local provider has no address');
        end if;
        return new;
    end if;
    if new.base_url is null or kiln_internal.url_host(new.base_url) is null
       or new.base_url ~ '[?#[:space:]]' then
        perform kiln_internal.refuse_description(new.name, 'base_url', 'base_url',
                                     'it is to be an address such as https://queue.fal.run, without a query');
    end if;
    foreach v_host in array new.reply_hosts
    loop
        if v_host !~ '^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?$' then
            perform kiln_internal.refuse_description(new.name, 'reply_hosts', 'reply_hosts',
                                     format('%L is no host such as queue.fal.run or 127.0.0.1:8080', v_host));
        end if;
    end loop;
    foreach v_host in array new.file_hosts
    loop
        if v_host !~ '^([A-Za-z0-9][A-Za-z0-9.-]*|\*\.[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+)(:[0-9]{1,5})?$' then
            perform kiln_internal.refuse_description(new.name, 'file_hosts', 'file_hosts',
                                         format('%L is no host such as v3.fal.media or *.fal.media', v_host));
        end if;
    end loop;
    if new.auth is not null then
        perform kiln_internal.check_names(new.name, 'auth', 'auth', new.auth,
                                          '{header,prefix,env,for_files}');
        if coalesce(new.auth ->> 'header', '') !~ '^[A-Za-z0-9-]+$' then
            perform kiln_internal.refuse_description(new.name, 'auth', 'auth.header',
                                                   'it is to be the name of a header, such as Authorization');
        elsif coalesce(new.auth ->> 'env', '') !~ '^[A-Z][A-Z0-9_]{2,63}$' then
            perform kiln_internal.refuse_description(new.name, 'auth', 'auth.env',
                'it is to be the name of a variable of the runner''s environment, such as FAL_KEY; never the '
                'secret itself');
        elsif new.auth ->> 'env' ~ '^(KILN_|PG|DATABASE_URL|STRIPE_)' then
            perform kiln_internal.refuse_description(new.name, 'auth', 'auth.env',
                                   'that is a secret of this installation, and no provider is to be told it');
        elsif new.auth ? 'for_files' and jsonb_typeof(new.auth -> 'for_files') <> 'boolean'
           or new.auth ? 'prefix' and (jsonb_typeof(new.auth -> 'prefix') <> 'string'
                                       or new.auth ->> 'prefix' ~ '[[:cntrl:]]') then
            perform kiln_internal.refuse_description(new.name, 'auth', 'auth',
                                     'prefix is to be a text such as "Bearer ", and for_files true or false');
        end if;
    end if;

    if new.submit is null then
        perform kiln_internal.refuse_description(new.name, 'submit', 'submit',
            'it is to say how work is asked for, such as {"path": "/{endpoint}", "body": "{body}", "id": '
            '["/request_id"]}');
    end if;
    perform kiln_internal.check_request(new.name, 'submit', new.submit,
                                        '{reply,id,status_url,result_url,cancel_url}');
    foreach v_key in array '{id,status_url,result_url,cancel_url}'::text[]
    loop
        perform kiln_internal.check_pointers(new.name, 'submit', 'submit.' || v_key, new.submit -> v_key,
                                             true);
    end loop;
    if new.submit ? 'reply' and new.submit ->> 'reply' not in ('json', 'binary') then
        perform kiln_internal.refuse_description(new.name, 'submit', 'submit.reply',
                                                 'it is to be json or binary');
    end if;
    if new.poll is not null then
        perform kiln_internal.check_request(new.name, 'poll', new.poll,
                          '{status,states,absent,error,progress,progress_of,position,every_ms,max_every_ms}');
        perform kiln_internal.check_states(new.name, 'poll', new.poll);
        perform kiln_internal.check_pointers(new.name, 'poll', 'poll.progress', new.poll -> 'progress');
        perform kiln_internal.check_pointers(new.name, 'poll', 'poll.position', new.poll -> 'position');
        if not new.submit ? 'id' then
            perform kiln_internal.refuse_description(new.name, 'submit', 'submit.id',
                         'who is asked later is to say where its request id stands, such as ["/request_id"]');
        end if;
        foreach v_key in array '{every_ms,max_every_ms}'::text[]
        loop
            if new.poll ? v_key and (jsonb_typeof(new.poll -> v_key) <> 'number'
                                     or new.poll ->> v_key !~ '^[0-9]{2,8}$'
                                     or (new.poll ->> v_key)::int < 50) then
                perform kiln_internal.refuse_description(new.name, 'poll', 'poll.' || v_key,
                                                         'it is to be milliseconds, at least 50');
            end if;
        end loop;
        if new.poll ? 'progress_of' and (jsonb_typeof(new.poll -> 'progress_of') <> 'number'
                                         or (new.poll ->> 'progress_of')::numeric <= 0) then
            perform kiln_internal.refuse_description(new.name, 'poll', 'poll.progress_of',
                                             'it is to be the figure that means done: 1, or 100 for percent');
        end if;
    elsif new.result is not null or new.cancel is not null then
        perform kiln_internal.refuse_description(new.name, 'poll', 'poll',
                                 'a result or a cancel of its own belongs to a provider that is asked later');
    end if;
    perform kiln_internal.check_request(new.name, 'result', new.result, '{}');
    perform kiln_internal.check_request(new.name, 'cancel', new.cancel, '{is_final_on}');
    perform kiln_internal.check_request(new.name, 'lookup', new.lookup, '{id,found,absent_on}');
    if new.lookup is not null then
        perform kiln_internal.check_pointers(new.name, 'lookup', 'lookup.id',
                                             coalesce(new.lookup -> 'id', '0'), true);
        perform kiln_internal.check_pointers(new.name, 'lookup', 'lookup.found', new.lookup -> 'found');
        if not (new.lookup ? 'found' or new.lookup ? 'absent_on') then
            perform kiln_internal.refuse_description(new.name, 'lookup', 'lookup.absent_on',
                'it is to say by which statuses ([404]) or where (found: ["/found"]) it tells that it does '
                'not know a request');
        end if;
    end if;
    if new.webhook is not null then
        perform kiln_internal.check_names(new.name, 'webhook', 'webhook', new.webhook,
                      '{scheme,id,status,states,absent,error,result,jwks_url,secret_env,tolerance_s,header}');
        if coalesce(new.webhook ->> 'scheme', '') not in ('fal-ed25519', 'standard-webhooks',
                                                          'hmac-sha256') then
            perform kiln_internal.refuse_description(new.name, 'webhook', 'webhook.scheme',
                'it is to be fal-ed25519, standard-webhooks or hmac-sha256: a webhook that proves nothing is '
                'not taken');
        elsif new.webhook ->> 'scheme' = 'fal-ed25519'
           and kiln_internal.url_host(new.webhook ->> 'jwks_url') is null then
            perform kiln_internal.refuse_description(new.name, 'webhook', 'webhook.jwks_url',
                                                     'it is to be the address of its public keys');
        elsif new.webhook ->> 'scheme' <> 'fal-ed25519'
           and coalesce(new.webhook ->> 'secret_env', '') !~ '^[A-Z][A-Z0-9_]{2,63}$' then
            perform kiln_internal.refuse_description(new.name, 'webhook', 'webhook.secret_env',
                'it is to be the name of a variable of the server''s environment, such as '
                'REPLICATE_WEBHOOK_SECRET; never the secret itself');
        elsif new.webhook ? 'tolerance_s' and new.webhook ->> 'tolerance_s' !~ '^[0-9]{1,4}$' then
            perform kiln_internal.refuse_description(new.name, 'webhook', 'webhook.tolerance_s',
                                                     'it is to be seconds, such as 300');
        end if;
        perform kiln_internal.check_pointers(new.name, 'webhook', 'webhook.id',
                                             coalesce(new.webhook -> 'id', '0'));
        perform kiln_internal.check_pointers(new.name, 'webhook', 'webhook.result', new.webhook -> 'result');
        if new.webhook ? 'status' then
            perform kiln_internal.check_states(new.name, 'webhook', new.webhook);
        elsif new.poll is null then
            perform kiln_internal.refuse_description(new.name, 'webhook', 'webhook.status',
                                                     'without a poll it is to say where the status stands');
        end if;
    end if;

    if jsonb_typeof(new.errors) <> 'array' then
        perform kiln_internal.refuse_description(new.name, 'errors', 'errors', 'it is to be a list of rules');
    end if;
    for v_rule in select jsonb_array_elements(new.errors)
    loop
        v_n := v_n + 1;
        perform kiln_internal.check_names(new.name, 'errors', format('errors, rule %s', v_n), v_rule,
                                          '{status,code,header,phase,class,is_unbilled}');
        if coalesce(v_rule ->> 'class', '') not in ('transient', 'rate_limited', 'invalid', 'refused',
                                                    'timeout', 'unknown', 'cancelled') then
            perform kiln_internal.refuse_description(new.name, 'errors',
                                                     format('errors, rule %s, class', v_n),
                                                     'it is to be transient, rate_limited, invalid, refused, '
                                                     'timeout, cancelled or unknown');
        elsif v_rule ? 'status' and v_rule ->> 'status' !~ '^([1-5][0-9]{2}|[1-5]xx)$' then
            perform kiln_internal.refuse_description(new.name, 'errors',
                                                     format('errors, rule %s, status', v_n),
                                                     'it is to be a status such as 422, or "5xx"');
        elsif v_rule ? 'phase' and v_rule ->> 'phase' not in ('submit', 'poll', 'result', 'failure') then
            perform kiln_internal.refuse_description(new.name, 'errors',
                                                     format('errors, rule %s, phase', v_n),
                                                     'it is to be submit, poll, result or failure');
        elsif v_rule ? 'is_unbilled' and jsonb_typeof(v_rule -> 'is_unbilled') <> 'boolean' then
            perform kiln_internal.refuse_description(new.name, 'errors',
                                                     format('errors, rule %s, is_unbilled', v_n),
                                                     'it is to be true or false');
        elsif v_rule ? 'header' and jsonb_typeof(v_rule -> 'header') <> 'object' then
            perform kiln_internal.refuse_description(new.name, 'errors',
                                                     format('errors, rule %s, header', v_n),
                                                     'it is to be an object such as '
                                                     '{"x-fal-request-timeout-type": "user"}');
        end if;
    end loop;
    perform kiln_internal.check_names(new.name, 'error_pointers', 'error_pointers', new.error_pointers,
                                      '{code,message}');
    perform kiln_internal.check_pointers(new.name, 'error_pointers', 'error_pointers.code',
                                         new.error_pointers -> 'code', true);
    perform kiln_internal.check_pointers(new.name, 'error_pointers', 'error_pointers.message',
                                         new.error_pointers -> 'message', true);
    if new.cost is not null then
        perform kiln_internal.check_names(new.name, 'cost', 'cost', new.cost, '{pointer,micros_per_unit}');
        perform kiln_internal.check_pointers(new.name, 'cost', 'cost.pointer',
                                             jsonb_build_array(new.cost -> 'pointer'));
        if kiln_internal.reply_number(new.cost -> 'micros_per_unit') is null then
            perform kiln_internal.refuse_description(new.name, 'cost', 'cost.micros_per_unit',
                                                     'it is to be a number');
        end if;
    end if;

    if (new.idempotency_header is null) <> (new.idempotency_ttl is null)
       or new.idempotency_header !~ '^[A-Za-z0-9-]+$' or new.idempotency_ttl <= '0' then
        perform kiln_internal.refuse_description(new.name, 'idempotency_header', 'idempotency_header',
            'it is to be the name of a header, together with idempotency_ttl, for how long it is remembered');
    elsif new.reply_timeout not between '1 second' and '1 hour' then
        perform kiln_internal.refuse_description(new.name, 'reply_timeout', 'reply_timeout',
                                                 'it is to be between a second and an hour');
    elsif new.max_reply_bytes not between 1024 and 67108864
       or new.max_file_bytes not between 1024 and 10737418240 then
        perform kiln_internal.refuse_description(new.name, 'max_reply_bytes',
                                                 'max_reply_bytes, max_file_bytes',
                                                 'they are to be bytes, 1 KiB to 64 MiB and 1 KiB to 10 GiB');
    end if;
    if tg_op = 'UPDATE' then
        -- What is asked of it now names something that the stages do not have.
        select format('%s of stage %s of pipeline %L %s', e.field, s.position, p.name, e.message)
          into v_problem
          from kiln.pipeline p
          join kiln.stage s using (pipeline_version_id)
         cross join lateral kiln_internal.http_config_errors(s.config, new) as e
         where s.handler = 'http' and s.config ->> 'provider' = new.name
         order by p.name, s.position
         limit 1;
        if found then
            perform kiln_internal.refuse_description(new.name, 'submit', 'its requests', v_problem);
        end if;
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_provider() is
'Refuses a description with a mistake (KN003; column names the field).';
create or replace trigger t10_check before insert or update on kiln.provider for each row
    execute function kiln_internal.check_provider();
alter table kiln.provider enable always trigger t10_check;

-- Replies, read by the provider's description. Nothing here raises, whatever the bytes: what cannot be read
-- is `unclear`, and what follows from that is decided where the money is (db/functions/call/).

create or replace function kiln_internal.strict_json(p_body text)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
begin
    -- PostgreSQL has no text with a zero byte in it, and a prompt that is echoed may hold one.
    return replace(p_body, '\u0000', '\ufffd')::jsonb;
exception when others then
    return null;
end
$$;
comment on function kiln_internal.strict_json(text) is
'The JSON of a reply that is JSON as it stands, but for zero bytes; null where it is none.';

-- What encoders are known to get wrong: a byte order mark, half a surrogate pair (a prompt that was cut in
-- the middle), control characters in strings, NaN and Infinity for numbers. Strings and what lies between
-- them are told apart, so that a prompt that says NaN keeps its word.
create or replace function kiln_internal.repair_json(p_body text)
returns text
language sql immutable
return (select string_agg(case when left(m.part[1], 1) = '"'
                               then regexp_replace(regexp_replace(regexp_replace(m.part[1], '[\x01-\x1f]',
                                                        ' ', 'g'),
                                        '\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})',
                                                                  '\\ufffd', 'g'),
                                        '(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}',
                                                   '\\ufffd', 'g')
                               else regexp_replace(m.part[1], '[+-]?\m(NaN|Infinity)\M', 'null', 'g') end, ''
                          order by m.n)
          from regexp_matches(ltrim(p_body, U&'\FEFF'), '"(?:[^"\\]|\\.)*"|[^"]+|"',
                              'g') with ordinality as m (part, n));
comment on function kiln_internal.repair_json(text) is
'A reply without what encoders are known to get wrong; what is wrong otherwise stays so.';

create or replace function kiln_internal.parse_reply(p_body text)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
begin
    return coalesce(kiln_internal.strict_json(p_body),
                    case when length(p_body) <= 4194304
                             then kiln_internal.strict_json(kiln_internal.repair_json(p_body)) end);
end
$$;
comment on function kiln_internal.parse_reply(text) is
'The JSON of a reply, mended where it is none as it stands (up to 4 MiB); null where it is none at all.';

create or replace function kiln_internal.reply_text(p_value jsonb, p_length int default 1000)
returns text
language sql immutable
return kiln_internal.shorten(regexp_replace(p_value #>> '{}', '[[:cntrl:]]+', ' ', 'g'), p_length);
comment on function kiln_internal.reply_text(jsonb, int) is 'A value of a reply as one line of text.';

create or replace function kiln_internal.reply_word(p_body jsonb, p_headers jsonb, p_pointers jsonb)
returns text
language plpgsql immutable
set search_path = ''
as $$
declare
    v_pointer text;
    v_value   jsonb;
begin
    for v_pointer in select jsonb_array_elements_text(p_pointers)
    loop
        if v_pointer like 'header:%' then
            v_value := p_headers -> lower(substr(v_pointer, 8));
        else
            v_value := kiln_internal.at_pointer(p_body, jsonb_build_array(v_pointer));
        end if;
        if jsonb_typeof(v_value) in ('string', 'number', 'boolean') and v_value #>> '{}' <> '' then
            return kiln_internal.reply_text(v_value);
        end if;
    end loop;
    return null;
end
$$;
comment on function kiln_internal.reply_word(jsonb, jsonb, jsonb) is
'The first plain value that these pointers lead to; "header:name" is a header of the reply.';

create or replace function kiln_internal.reply_number(p_value jsonb)
returns numeric
language plpgsql immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_value) in ('number', 'string') and length(p_value #>> '{}') <= 30 then
        return (p_value #>> '{}')::numeric;
    end if;
    return null;
exception when others then
    return null;
end
$$;
comment on function kiln_internal.reply_number(jsonb) is 'A number of a reply; null where it is none.';

-- RFC 9110 §10.2.3: seconds or a date; and retry-after-ms.
create or replace function kiln_internal.retry_after(p_headers jsonb)
returns interval
language plpgsql stable
set search_path = ''
as $$
declare
    v_text text := p_headers ->> 'retry-after';
begin
    if p_headers ->> 'retry-after-ms' ~ '^[0-9]{1,9}$' then
        return least((p_headers ->> 'retry-after-ms')::int * interval '1 millisecond', '1 day');
    elsif v_text ~ '^[0-9]{1,9}$' then
        return least(v_text::int * interval '1 second', '1 day');
    elsif v_text ~ '^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$' then
        return least(greatest(to_timestamp(substr(v_text, 6, 20) || '+00',
                                           'DD Mon YYYY HH24:MI:SSTZH') - kiln_internal.now(), '0'), '1 day');
    end if;
    return null;
exception when others then
    return null;
end
$$;
comment on function kiln_internal.retry_after(jsonb) is
'What a reply''s headers say about when to come again, at most a day; null: nothing.';

-- The first rule of the description that fits. phase: submit, poll, result, cancel, lookup are about the
-- request itself; failure is about what was asked for: the provider took it, and says that it failed.
create or replace function kiln_internal.error_rule(p_provider kiln.provider, p_phase text, p_status int,
                                                    p_headers jsonb, p_code text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return (select r.rule
              from jsonb_array_elements(p_provider.errors) with ordinality as r (rule, n)
             where (not r.rule ? 'phase' and p_phase in ('submit', 'result', 'failure')
                    or r.rule ->> 'phase' = p_phase)
               and (not r.rule ? 'status' or r.rule ->> 'status' = p_status::text
                    or r.rule ->> 'status' = p_status / 100 || 'xx')
               and (not r.rule ? 'code' or case jsonb_typeof(r.rule -> 'code') when 'array'
                                                    then r.rule -> 'code' ? coalesce(p_code, '')
                                                else r.rule ->> 'code' = p_code end)
               and (not r.rule ? 'header'
                    or not exists (select from jsonb_each_text(r.rule -> 'header') as h
                                    where lower(p_headers ->> lower(h.key)) is distinct from lower(h.value)))
             order by r.n limit 1);
end
$$;
comment on function kiln_internal.error_rule(kiln.provider, text, int, jsonb, text) is
'The first rule of kiln.provider.errors that fits; null: none.';

create or replace function kiln_internal.read_failure(p_provider kiln.provider, p_phase text, p_status int,
                                                      p_headers jsonb, p_body jsonb)
returns kiln.reply
language plpgsql stable
set search_path = ''
as $$
declare
    v_reply kiln.reply;
    v_rule  jsonb;
begin
    v_reply.error_code := kiln_internal.reply_word(p_body, p_headers, p_provider.error_pointers -> 'code');
    v_reply.error_message := coalesce(kiln_internal.reply_word(p_body, p_headers,
                                                               p_provider.error_pointers -> 'message'),
                                      v_reply.error_code,
                                      case when p_phase <> 'failure' then 'Status ' || p_status || '.'
                                           else 'It failed and did not say why.' end);
    v_reply.retry_after := kiln_internal.retry_after(p_headers);
    v_rule := kiln_internal.error_rule(p_provider, p_phase, p_status, p_headers, v_reply.error_code);
    if v_rule is not null then
        v_reply.outcome := case when v_rule ->> 'class' = 'cancelled' then 'cancelled' else 'failed' end;
        v_reply.error_class := case when v_rule ->> 'class' <> 'cancelled' then v_rule ->> 'class' end;
        v_reply.is_unbilled := coalesce((v_rule ->> 'is_unbilled')::boolean, false);
    elsif p_phase = 'failure' then
        v_reply.outcome := 'failed';
        v_reply.error_class := case when p_provider.bills_failures then 'invalid' else 'transient' end;
    else
        v_reply.outcome := 'unclear';
    end if;
    return v_reply;
end
$$;
comment on function kiln_internal.read_failure(kiln.provider, text, int, jsonb, jsonb) is
'A reply that is an error: failed (or cancelled) where a rule says so, else unclear; a failure of the work
itself is always one.';

-- How the work stands, by a body that tells it: of a status reply, a webhook, or a submit that waited.
create or replace function kiln_internal.read_state(p_provider kiln.provider, p_spec jsonb, p_headers jsonb,
                                                    p_body jsonb)
returns kiln.reply
language plpgsql stable
set search_path = ''
as $$
declare
    v_reply  kiln.reply;
    v_poll   jsonb := p_provider.poll;
    v_value  jsonb := kiln_internal.at_pointer(p_body, p_spec -> 'status');
    v_state  text;
    v_number numeric;
begin
    v_state := case when v_value is null then p_spec ->> 'absent'
                    when jsonb_typeof(v_value) in ('string', 'number', 'boolean')
                        then p_spec -> 'states' ->> (v_value #>> '{}') end;
    if v_state in ('succeeded', 'running')
       and kiln_internal.at_pointer(p_body, p_spec -> 'error') is not null then
        v_state := 'failed';        -- done, it says, and names an error
    end if;
    if v_state = 'failed' then
        v_reply := kiln_internal.read_failure(p_provider, 'failure', null, p_headers, p_body);
    elsif v_state is null then
        v_reply.outcome := 'unclear';
        v_reply.error_message := coalesce(format('Its status %s is none that the description knows.',
                                                 quote_literal(kiln_internal.reply_text(v_value, 100))),
                                          'It says no status.');
    else
        v_reply.outcome := v_state;
    end if;
    v_number := kiln_internal.reply_number(kiln_internal.at_pointer(p_body, v_poll -> 'position'));
    v_reply.queue_position := case when v_number between 0 and 1000000 then trunc(v_number) end;
    v_number := kiln_internal.reply_number(kiln_internal.at_pointer(p_body,
                                                                    v_poll -> 'progress')) / coalesce((v_poll
                                                                        ->> 'progress_of')::numeric, 1);
    v_reply.fraction := case when v_number between 0 and 1 then v_number end;
    return v_reply;
end
$$;
comment on function kiln_internal.read_state(kiln.provider, jsonb, jsonb, jsonb) is
'How the work stands by a reply that tells it; the result is not taken here.';

create or replace function kiln_internal.read_reply(p_provider kiln.provider, p_config jsonb, p_kind text,
                                                    p_status int, p_headers jsonb, p_body text)
returns kiln.reply
language plpgsql stable
set search_path = ''
as $$
declare
    v_spec    jsonb := case p_kind when 'submit' then p_provider.submit when 'poll' then p_provider.poll
                            when 'result' then p_provider.result
                                   when 'cancel' then p_provider.cancel when 'lookup' then p_provider.lookup
                            when 'webhook' then p_provider.webhook end;
    v_headers jsonb := coalesce(p_headers, '{}');
    v_reply   kiln.reply;
    v_body    jsonb := kiln_internal.parse_reply(p_body);
    v_is_ok   boolean;
    v_is_file boolean := p_kind = 'submit'
        and (coalesce(p_provider.submit ->> 'reply' = 'binary', false)
             or coalesce(p_config -> 'outputs' @> '[{"as": "binary"}]', false));
    v_cost    numeric;
begin
    v_is_ok := p_kind = 'webhook' or case when v_spec ? 'accept' then v_spec -> 'accept' @> to_jsonb(p_status)
                                          else p_status between 200 and 299 end;
    if p_kind = 'cancel' then
        v_reply.outcome := case when v_spec -> 'is_final_on' @> to_jsonb(p_status) then 'cancelled'
                                when v_is_ok then 'running' else 'unclear' end;
        return v_reply;
    elsif p_kind = 'lookup' then
        v_reply.request_id := kiln_internal.reply_word(v_body, v_headers, v_spec -> 'id');
        -- "It does not know it" leads to sending again, so it wants a sign that the description names: a page
        -- of someone in between is none.
        v_reply.outcome := case when v_is_ok and v_reply.request_id is not null then 'accepted'
                                when v_spec -> 'absent_on' @> to_jsonb(p_status) then 'failed'
                                when v_is_ok and exists (select from jsonb_array_elements_text(v_spec
                                                        -> 'found') as f,
                                                                unnest(kiln_internal.pointer_values(v_body,
                                                                    f)) as v
                                                          where v in ('false', '0', '[]', 'null'))
                                    then 'failed'
                                else 'unclear' end;
        v_reply.error_message := case when v_reply.outcome = 'unclear'
            then format('Status %s tells neither that it knows the request nor that it does not.',
                        p_status) end;
        return v_reply;
    elsif not v_is_ok then
        v_reply := kiln_internal.read_failure(p_provider, p_kind, p_status, v_headers, v_body);
        return v_reply;
    end if;

    if v_is_file or p_kind = 'submit' and p_provider.poll is null then
        if v_body is null and not v_is_file then
            v_reply.outcome := 'unclear';
            v_reply.error_message := 'Its reply is not JSON.';
            return v_reply;
        end if;
        v_reply.outcome := 'succeeded';
        v_reply.result := coalesce(v_body, '{}');
        v_reply.request_id := kiln_internal.reply_word(v_body, v_headers, v_spec -> 'id');
    elsif v_body is null then
        v_reply.outcome := 'unclear';
        v_reply.error_message := 'Its reply is not JSON.';
        return v_reply;
    elsif p_kind = 'result' then
        v_reply.outcome := 'succeeded';
        v_reply.result := v_body;
    else
        v_reply := kiln_internal.read_state(p_provider,
                                            case when p_kind = 'webhook' and p_provider.webhook ? 'status'
                                                     then p_provider.webhook else p_provider.poll end,
                                            v_headers, v_body);
        if p_kind in ('submit', 'webhook') then
            v_reply.request_id := kiln_internal.reply_word(v_body, v_headers, v_spec -> 'id');
        end if;
        if p_kind = 'submit' then
            v_reply.urls := nullif(jsonb_strip_nulls(jsonb_build_object(
                'status', kiln_internal.reply_url(p_provider,
                                                  kiln_internal.reply_word(v_body, v_headers,
                                                        v_spec -> 'status_url')),
                'result', kiln_internal.reply_url(p_provider,
                                                  kiln_internal.reply_word(v_body, v_headers,
                                                        v_spec -> 'result_url')),
                'cancel', kiln_internal.reply_url(p_provider,
                                                  kiln_internal.reply_word(v_body, v_headers,
                                                        v_spec -> 'cancel_url')))), '{}');
            if v_reply.request_id is null then
                v_reply.outcome := 'unclear';
                v_reply.error_message := 'Its reply names no request id.';
            elsif v_reply.outcome in ('unclear', 'queued', 'running') then
                v_reply.outcome := 'accepted';
                v_reply.error_message := null;
            end if;
        end if;
        if v_reply.outcome = 'succeeded' then
            if p_kind = 'webhook' and p_provider.webhook ? 'result' then
                v_reply.result := kiln_internal.at_pointer(v_body, p_provider.webhook -> 'result');
            elsif p_provider.result is null then
                v_reply.result := v_body;
            end if;
        end if;
    end if;
    if p_provider.cost is not null then
        v_cost := kiln_internal.reply_number(kiln_internal.at_pointer(v_body,
                                                                      jsonb_build_array(p_provider.cost
                                                                          -> 'pointer'))) * (p_provider.cost
                                                                              ->> 'micros_per_unit')::numeric;
        v_reply.cost_micros := case when v_cost between 0 and 1e15 then round(v_cost) end;
    end if;
    return v_reply;
exception when others then
    v_reply := null;
    v_reply.outcome := 'unclear';
    v_reply.error_message := 'Its reply cannot be read: ' || sqlerrm;
    return v_reply;
end
$$;
comment on function kiln_internal.read_reply(kiln.provider, jsonb, text, int, jsonb, text) is
'What a reply says, in our words. p_kind: submit, poll, result, cancel, lookup or webhook; p_headers: names in
lower case. Of a lookup: accepted (it knows the request) or failed (it does not). Never raises: what cannot be
read is unclear, with a message.';

-- Where the files of a result are.
create or replace function kiln_internal.read_outputs(p_config jsonb, p_result jsonb)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
    v_output  jsonb;
    v_as      text;
    v_value   jsonb;
    v_url     text;
    v_files   jsonb := '[]';
    v_missing text;
    v_found   boolean;
    v_key     text;
    v_keep    jsonb := '{}';
begin
    for v_output in select jsonb_array_elements(p_config -> 'outputs')
    loop
        v_as := v_output ->> 'as';
        v_found := v_as = 'binary';         -- it came with the reply
        foreach v_value in array kiln_internal.pointer_values(p_result, coalesce(v_output ->> 'pointer', ''))
        loop
            -- so did this one: its runner has stored it
            v_found := v_found or jsonb_typeof(v_value) = 'object' and v_value ? '$file';
            v_url := case jsonb_typeof(v_value) when 'string' then btrim(v_value #>> '{}', E' \t\r\n') end;
            -- Base64 in a poll's reply or in a webhook is one that no runner has cut out.
            if v_as = 'base64' and v_url <> '' and v_url !~* '^(data|https?):' then
                v_url := 'data:;base64,' || v_url;
            end if;
            if (v_as = 'url' and v_url ~* '^https?://' and length(v_url) <= 8000 or v_url ~* '^data:'
                and length(v_url) <= 67108864) and jsonb_array_length(v_files) < 64 then
                v_files := v_files || (jsonb_build_object('url', v_url,
                                                          'media_type', v_output -> 'media_type')
                                       || case when v_as <> 'url' then '{"is_inline": true}'
                                               else '{}' end::jsonb);
                v_found := true;
            end if;
        end loop;
        -- Paid, and nothing came: an empty list, null and no word of it are one thing, unless the description
        -- says that a list may be empty.
        if not v_found and not coalesce(v_output -> 'may_be_empty' = 'true'
                                        and kiln_internal.pointer_values(p_result,
                                                        regexp_replace(v_output ->> 'pointer', '/\*.*$',
                                                                       '')) && array['[]', 'null']::jsonb[],
                                        false) then
            v_missing := coalesce(v_missing, v_output ->> 'pointer');
        end if;
    end loop;
    for v_key, v_value in select k.key, kiln_internal.at_pointer(p_result, jsonb_build_array(k.value))
                            from jsonb_each(coalesce(p_config -> 'keep', '{}')) as k
    loop
        if v_value is not null then
            -- A seed may need more than 53 bits: text, as everywhere.
            v_keep := v_keep || jsonb_build_object(v_key, case when v_key = 'seed'
                                                                   then to_jsonb(v_value #>> '{}')
                                                               else v_value end);
        end if;
    end loop;
    return jsonb_build_object(
        'files', v_files, 'keep', v_keep, 'missing', v_missing,
        'is_blocked', exists (select
                                from jsonb_array_elements_text(coalesce(p_config -> 'blocked', '[]')) as b,
                                     unnest(kiln_internal.pointer_values(p_result, b)) as v
                               where v = 'true' or jsonb_typeof(v) = 'number' and v::text::numeric > 0));
end
$$;
comment on function kiln_internal.read_outputs(jsonb, jsonb) is
'What a stage''s config finds in a result: {files: [{url (https:, data:), media_type, is_inline: of an output
that is no url}], keep: {…}, is_blocked, missing: the pointer that leads to no file, or null}.';

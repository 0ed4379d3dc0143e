-- Reading what a client sent: everything that is wrong is named, field by field (KN003, DETAIL = [{"field",
-- "message"}]). A field whose type is not known yet is read by text_field() or plain_field(), never by ->>
-- alone.
create or replace function kiln_internal.parse_body(p_body text)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
    v_body jsonb;
begin
    v_body := coalesce(nullif(p_body, ''), '{}')::jsonb;
    if jsonb_typeof(v_body) <> 'object' then
        raise exception 'the body must be a JSON object' using errcode = 'KN006';
    end if;
    return v_body;
exception
    when invalid_text_representation or untranslatable_character or numeric_value_out_of_range then
        raise exception 'the body is not JSON' using errcode = 'KN006';
    when statement_too_complex or program_limit_exceeded then
        raise exception 'the body is nested too deeply' using errcode = 'KN006';
end
$$;
comment on function kiln_internal.parse_body(text) is
'A request body as a JSON object; an empty one is {}. KN006: not JSON, not an object, or nested too deeply.';

create or replace function kiln_internal.pointer(p_key text)
returns text
language sql immutable
return '/' || replace(replace(p_key, '~', '~0'), '/', '~1');
comment on function kiln_internal.pointer(text) is 'A key as a part of a JSON pointer (RFC 6901).';

create or replace function kiln_internal.field_error(p_field text, p_message text)
returns jsonb
language sql immutable
return jsonb_build_array(jsonb_build_object('field', p_field, 'message', p_message));
comment on function kiln_internal.field_error(text, text) is
'One error of a field (a JSON pointer into the body), as an array to be added to others.';

create or replace function kiln_internal.refuse_fields(p_errors jsonb)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_count int := jsonb_array_length(p_errors);
    v_shown jsonb;
    v_text  text;
begin
    if v_count = 0 then
        return;
    end if;
    -- What a program can carry (a sentence of 511 bytes, a detail of 2,047) and a person read: at most eight,
    -- each within its share.
    for v_n in reverse least(v_count, 8) .. 1
    loop
        v_shown := (select jsonb_agg(jsonb_build_object('field', kiln_internal.shorten(e.value ->> 'field',
                                                        60),
                                                        'message', kiln_internal.shorten(e.value
                                                            ->> 'message', greatest(120, 480 / v_n)))
                                     order by e.n)
                      from (select p_errors -> i as value, i as n from generate_series(0, v_n - 1) as i) e);
        exit when octet_length(v_shown::text) <= 2000;
    end loop;
    select string_agg(t.line, '; ' order by t.n) filter (where t.n = 1 or t.bytes <= 440)
           || case when v_count > count(*) filter (where t.n = 1 or t.bytes <= 440) then '; and more'
                   else '' end
      into v_text
      from (select l.n, l.line, sum(octet_length(l.line) + 2) over (order by l.n) as bytes
              from (select e.n, kiln_internal.shorten(e.value ->> 'field' || ' ' || (e.value ->> 'message'),
                                                      440) as line
                      from jsonb_array_elements(v_shown) with ordinality as e (value, n)) l) t;
    raise exception '%', v_text using errcode = 'KN003', detail = v_shown::text;
end
$$;
comment on function kiln_internal.refuse_fields(jsonb) is
'Raises KN003 if there are errors of fields: the first eight at once, as many of them in its sentence as fit
there whole.';

create or replace function kiln_internal.unknown_fields(p_body jsonb, p_known text[])
returns jsonb
language sql immutable
return coalesce((select jsonb_agg(jsonb_build_object('field', kiln_internal.pointer(k.key),
                                                     'message', 'is not a field here'))
                   from (select o.key from jsonb_object_keys(p_body) as o (key) where o.key <> all (p_known)
                          limit 8) k), '[]');
comment on function kiln_internal.unknown_fields(jsonb, text[]) is
'Errors for the keys of an object that are not known: the first eight, as many as are told.';

create or replace function kiln_internal.text_field(p_body jsonb, p_key text)
returns text
language sql immutable
return case jsonb_typeof(p_body -> p_key) when 'string' then p_body ->> p_key end;
comment on function kiln_internal.text_field(jsonb, text) is
'A field that is a string; null where it is absent or anything else, which is not rendered.';

create or replace function kiln_internal.plain_field(p_body jsonb, p_key text)
returns text
language sql immutable
return case jsonb_typeof(p_body -> p_key) when 'array' then '[]' when 'object' then '{}'
            else p_body ->> p_key end;
comment on function kiln_internal.plain_field(jsonb, text) is
'A field as text; null where it is absent or null. A list or an object is told as [] or {} whatever it holds:
that fits no rule of a plain field, and its whole text can be twenty times as long as what was sent (1e99
becomes 100 digits).';

create or replace function kiln_internal.texts(p_list jsonb, p_most int)
returns text[]
language plpgsql immutable
set search_path = ''
as $$
begin
    if p_list is null or jsonb_typeof(p_list) <> 'array' or jsonb_array_length(p_list) > p_most then
        return null;
    end if;
    return array(select case when jsonb_typeof(e.value) in ('string', 'number') then e.value #>> '{}' end
                   from jsonb_array_elements(p_list) with ordinality as e (value, n) order by e.n);
end
$$;
comment on function kiln_internal.texts(jsonb, int) is
'The strings (and numbers, as text) of an array; an element of another kind is null. Null: it is no array, or
has more than p_most elements: its length is looked at before its elements.';

create or replace function kiln_internal.parse_later(p_value jsonb)
returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_value) = 'string'
       and p_value #>> '{}' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$'
        and (p_value #>> '{}')::timestamptz > kiln_internal.now() then
        return p_value #>> '{}';
    end if;
    return null;
exception when invalid_datetime_format or datetime_field_overflow or invalid_time_zone_displacement_value then
    return null;
end
$$;
comment on function kiln_internal.parse_later(jsonb) is 'A time to come (RFC 3339); null: it is none.';

create or replace function kiln_internal.parse_id(p_text text)
returns bigint
language plpgsql immutable
set search_path = ''
as $$
begin
    if p_text ~ '^[0-9]{1,18}$' then
        return p_text::bigint;
    end if;
    raise exception 'there is nothing with the id %', quote_literal(kiln_internal.shorten(p_text, 40))
        using errcode = 'KN002';
end
$$;
comment on function kiln_internal.parse_id(text) is
'An id as clients hold it (a decimal string). KN002: no id, so nothing has it.';

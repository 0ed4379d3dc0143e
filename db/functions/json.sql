-- Reading what a client sent: everything that is wrong is named, field by field (KN003, DETAIL = [{"field", "message"}]).
create or replace function kiln.parse_body(p_body text)
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
exception when invalid_text_representation or untranslatable_character or statement_too_complex then
    raise exception 'the body is not JSON' using errcode = 'KN006';
end
$$;
comment on function kiln.parse_body(text) is 'A request body as a JSON object; an empty one is {}. KN006: not JSON, or not an object.';

create or replace function kiln.field_error(p_field text, p_message text)
returns jsonb
language sql immutable
return jsonb_build_array(jsonb_build_object('field', p_field, 'message', p_message));
comment on function kiln.field_error(text, text) is 'One error of a field (a JSON pointer into the body), as an array to be added to others.';

create or replace function kiln.refuse_fields(p_errors jsonb)
returns void
language plpgsql
set search_path = ''
as $$
declare
    v_shown jsonb;
begin
    if p_errors <> '[]' then
        -- What a program can carry (2 KiB) and a person read: the first eight, each cut to its share.
        select jsonb_agg(jsonb_build_object('field', left(e.value ->> 'field', 60),
                                            'message', left(e.value ->> 'message', greatest(120, 480 / jsonb_array_length(p_errors)))) order by e.ordinality)
          into v_shown
          from jsonb_array_elements(p_errors) with ordinality as e
         where e.ordinality <= 8;
        raise exception '%', (select string_agg(e ->> 'field' || ' ' || (e ->> 'message'), '; ') from jsonb_array_elements(v_shown) as e)
            using errcode = 'KN003', detail = v_shown::text;
    end if;
end
$$;
comment on function kiln.refuse_fields(jsonb) is 'Raises KN003 if there are errors of fields: the first eight at once.';

create or replace function kiln.unknown_fields(p_body jsonb, p_known text[])
returns jsonb
language sql immutable
return coalesce((select jsonb_agg(jsonb_build_object('field', '/' || replace(replace(k.key, '~', '~0'), '/', '~1'), 'message', 'is not a field here'))
                   from jsonb_object_keys(p_body) as k (key) where k.key <> all (p_known)), '[]');
comment on function kiln.unknown_fields(jsonb, text[]) is 'Errors for the keys of an object that are not known.';

create or replace function kiln.parse_later(p_value jsonb)
returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_value) = 'string' and p_value #>> '{}' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$' and (p_value #>> '{}')::timestamptz > kiln.now() then
        return p_value #>> '{}';
    end if;
    return null;
exception when invalid_datetime_format or datetime_field_overflow or invalid_time_zone_displacement_value then
    return null;
end
$$;
comment on function kiln.parse_later(jsonb) is 'A time to come (RFC 3339); null: it is none.';

create or replace function kiln.parse_id(p_text text)
returns bigint
language plpgsql immutable
set search_path = ''
as $$
begin
    if p_text ~ '^[0-9]{1,18}$' then
        return p_text::bigint;
    end if;
    raise exception 'there is nothing with the id %', quote_literal(left(p_text, 40)) using errcode = 'KN002';
end
$$;
comment on function kiln.parse_id(text) is 'An id as clients hold it (a decimal string). KN002: no id, so nothing has it.';

-- The part of JSON Schema that models may use for their parameters: an object of properties with type (string, integer, number,
-- boolean), enum, minimum, maximum, multipleOf, minLength, maxLength, default; required; additionalProperties false.
create or replace function kiln.check_params(p_schema jsonb, p_params jsonb, out errors jsonb, out params jsonb)
language plpgsql immutable
set search_path = ''
as $$
declare
    v_key     text;
    v_schema  jsonb;
    v_value   jsonb;
    v_type    text;
    v_message text;
begin
    errors := '[]';
    params := '{}';
    if jsonb_typeof(p_params) <> 'object' then
        errors := kiln.field_error('/params', 'must be an object');
        return;
    end if;
    for v_key in select k from jsonb_object_keys(p_params) as k where not coalesce(p_schema -> 'properties', '{}') ? k
    loop
        errors := errors || kiln.field_error('/params/' || replace(replace(v_key, '~', '~0'), '/', '~1'), 'is not a parameter of this model');
    end loop;
    for v_key, v_schema in select e.key, e.value from jsonb_each(coalesce(p_schema -> 'properties', '{}')) as e order by e.key
    loop
        v_value := p_params -> v_key;
        if v_value is null then
            if coalesce(p_schema -> 'required', '[]') ? v_key then
                errors := errors || kiln.field_error('/params/' || replace(replace(v_key, '~', '~0'), '/', '~1'), 'is required');
            elsif v_schema ? 'default' then
                params := params || jsonb_build_object(v_key, v_schema -> 'default');
            end if;
            continue;
        end if;
        v_type := v_schema ->> 'type';
        v_message := case
            when v_type = 'string' and jsonb_typeof(v_value) <> 'string' then 'must be a string'
            when v_type = 'boolean' and jsonb_typeof(v_value) <> 'boolean' then 'must be true or false'
            when v_type in ('number', 'integer') and jsonb_typeof(v_value) <> 'number' then 'must be a number'
            when v_type = 'integer' and (v_value::numeric % 1) <> 0 then 'must be a whole number'
            when v_schema ? 'enum' and not (v_schema -> 'enum') @> jsonb_build_array(v_value)
                then 'must be one of ' || (select string_agg(x, ', ') from jsonb_array_elements_text(v_schema -> 'enum') as x)
            when v_type in ('number', 'integer') and v_value::numeric < (v_schema ->> 'minimum')::numeric
                then 'must be at least ' || (v_schema ->> 'minimum')
            when v_type in ('number', 'integer') and v_value::numeric > (v_schema ->> 'maximum')::numeric
                then 'must be at most ' || (v_schema ->> 'maximum')
            when v_type in ('number', 'integer') and v_value::numeric % nullif((v_schema ->> 'multipleOf')::numeric, 0) <> 0
                then 'must be a multiple of ' || (v_schema ->> 'multipleOf')
            when v_type = 'string' and length(v_value #>> '{}') > (v_schema ->> 'maxLength')::int
                then 'must have at most ' || (v_schema ->> 'maxLength') || ' characters'
            when v_type = 'string' and length(v_value #>> '{}') < (v_schema ->> 'minLength')::int
                then 'must have at least ' || (v_schema ->> 'minLength') || ' characters'
        end;
        if v_message is not null then
            errors := errors || kiln.field_error('/params/' || replace(replace(v_key, '~', '~0'), '/', '~1'), v_message);
        else
            params := params || jsonb_build_object(v_key, v_value);
        end if;
    end loop;
end
$$;
comment on function kiln.check_params(jsonb, jsonb) is
'Checks parameters against a model''s schema. errors: what is wrong, as fields; params: what was given, with the defaults filled in.';

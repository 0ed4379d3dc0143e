-- The part of JSON Schema (2020-12) that Kiln knows: for the parameters of models (kiln.model.params_schema)
-- and for the config of a stage (kiln.handler.config_schema). kiln_internal.check_schema() defines it and
-- refuses everything else when a schema is written; kiln_internal.check_value() holds a value against a
-- schema that passed. Each keyword means what it means in JSON Schema: tests compare both with ajv.
--
-- Both return their errors as rows and take time in proportion to the value (times the depth of the schema,
-- at most 6).
create or replace function kiln_internal.check_value(p_schema jsonb, p_value jsonb, p_at text, out field text,
                                                     out message text)
returns setof record
language plpgsql immutable
set search_path = ''
as $$
declare
    v_kind  text := jsonb_typeof(p_value);
    v_type  text := p_schema ->> 'type';
    v_key   text;
    v_item  jsonb;
    v_index int;
begin
    field := p_at;
    message := case
        when v_type = 'integer' and (v_kind <> 'number' or p_value::numeric % 1 <> 0)
            then case v_kind when 'number' then 'must be a whole number' else 'must be a number' end
        when v_type <> v_kind and v_type <> 'integer' then case v_type
            when 'boolean' then 'must be true or false' when 'array' then 'must be a list' when 'object'
                                                                    then 'must be an object'
            else 'must be a ' || v_type end
        when p_schema ? 'enum' and not exists (select from jsonb_array_elements(p_schema -> 'enum') as e
                                                where e = p_value)
            then 'must be one of ' || (select string_agg(case jsonb_typeof(e) when 'string' then e #>> '{}'
                                                              else e::text end, ', ')
                                         from jsonb_array_elements(p_schema -> 'enum') as e)
    end;
    if message is not null then
        return next;
        return;
    end if;
    case v_type
        when 'string' then
            message := case
                when length(p_value #>> '{}') > (p_schema ->> 'maxLength')::int
                                then 'must have at most ' || (p_schema ->> 'maxLength') || ' characters'
                when length(p_value #>> '{}') < (p_schema ->> 'minLength')::int
                                then 'must have at least ' || (p_schema ->> 'minLength') || ' characters'
            end;
        when 'number', 'integer' then
            message := case
                when p_value::numeric < (p_schema ->> 'minimum')::numeric
                                then 'must be at least ' || (p_schema ->> 'minimum')
                when p_value::numeric > (p_schema ->> 'maximum')::numeric
                                then 'must be at most ' || (p_schema ->> 'maximum')
                when p_value::numeric <= (p_schema ->> 'exclusiveMinimum')::numeric
                                then 'must be more than ' || (p_schema ->> 'exclusiveMinimum')
                when p_value::numeric >= (p_schema ->> 'exclusiveMaximum')::numeric
                                then 'must be less than ' || (p_schema ->> 'exclusiveMaximum')
                when p_value::numeric % (p_schema ->> 'multipleOf')::numeric <> 0
                                then 'must be a multiple of ' || (p_schema ->> 'multipleOf')
            end;
        when 'array' then
            message := case
                when jsonb_array_length(p_value) > (p_schema ->> 'maxItems')::int
                                then 'must have at most ' || (p_schema ->> 'maxItems') || ' elements'
                when jsonb_array_length(p_value) < (p_schema ->> 'minItems')::int
                                then 'must have at least ' || (p_schema ->> 'minItems') || ' elements'
                when p_schema -> 'uniqueItems' = 'true' and (select count(*) <> count(distinct e)
                                                               from jsonb_array_elements(p_value) as e)
                                then 'must have no element twice'
            end;
        else null;
    end case;
    if message is not null then
        return next;
        return;
    end if;
    if v_type = 'array' and p_schema ? 'items' then
        for v_item, v_index in select e.value, e.ordinality - 1
                                 from jsonb_array_elements(p_value) with ordinality as e
        loop
            return query select c.field, c.message
                           from kiln_internal.check_value(p_schema -> 'items', v_item,
                                                          p_at || '/' || v_index) as c;
        end loop;
    elsif v_type = 'object' then
        if p_schema -> 'additionalProperties' = 'false' then
            return query
                select p_at || kiln_internal.pointer(k), 'is not a field here'
                  from jsonb_object_keys(p_value) as k where not coalesce(p_schema -> 'properties', '{}') ? k
                 limit 8;
        end if;
        return query
            select p_at || kiln_internal.pointer(r), 'is required'
              from jsonb_array_elements_text(coalesce(p_schema -> 'required', '[]')) as r
             where not p_value ? r;
        for v_key, v_item in select e.key, e.value
                               from jsonb_each(coalesce(p_schema -> 'properties', '{}')) as e
                              where p_value ? e.key order by e.key
        loop
            return query select c.field, c.message
                           from kiln_internal.check_value(v_item, p_value -> v_key,
                                                          p_at || kiln_internal.pointer(v_key)) as c;
        end loop;
    end if;
end
$$;
comment on function kiln_internal.check_value(jsonb, jsonb, text) is
'What is wrong with a value by a schema of the kind that kiln_internal.check_schema() accepts: a JSON pointer
and a sentence each; no row: it fits. p_at: the pointer to the value.';

create or replace function kiln_internal.check_params(p_schema jsonb, p_params jsonb, out errors jsonb,
                                                      out params jsonb)
language plpgsql immutable
set search_path = ''
as $$
begin
    params := '{}';
    -- each element costs some 15 µs of the one link that reads
    if pg_column_size(p_params) > 65536 then
        errors := kiln_internal.field_error('/params', 'must have at most 64 KiB');
        return;
    end if;
    select coalesce(jsonb_agg(jsonb_build_object('field', c.field, 'message', c.message)
                              order by c.message <> 'is not a field here', c.field collate "C"), '[]')
      into errors
      from (select v.field, v.message
              from kiln_internal.check_value(p_schema || '{"additionalProperties": false}', p_params,
                                             '/params') as v limit 100) as c;
    if errors = '[]' then
        select coalesce(jsonb_object_agg(e.key, e.value -> 'default'), '{}') || p_params into params
          from jsonb_each(coalesce(p_schema -> 'properties', '{}')) as e where e.value ? 'default';
    end if;
end
$$;
comment on function kiln_internal.check_params(jsonb, jsonb) is
'Checks parameters against a model''s schema. errors: what is wrong, as fields (the first hundred; of more
than 64 KiB only that); params: what was given, with the defaults of its properties filled in.';

create or replace function kiln_internal.check_schema(p_schema jsonb, p_at text default '',
                                                      p_depth int default 1, out field text, out message text)
returns setof record
language plpgsql immutable
set search_path = ''
as $$
declare
    c_always constant text[] := '{type,title,description,default,enum,examples,deprecated,$comment}';
    v_type   text := p_schema ->> 'type';
    v_known  text[];
    v_is_bad boolean := false;
    v_key    text;
    v_part   jsonb;
begin
    field := p_at;
    message := case when jsonb_typeof(p_schema) is distinct from 'object'
                        then 'must be a schema, such as {"type": "integer", "minimum": 1}'
                    when p_depth > 6 then 'is nested too deep: there are 6 levels'
                    when p_schema ? 'type' and not (jsonb_typeof(p_schema -> 'type') = 'string'
                                                    and v_type in ('string', 'integer', 'number', 'boolean',
                                                                   'array', 'object'))
                    then 'must be one of string, integer, number, boolean, array, object' end;
    if message is not null then
        field := p_at || case when message ~ '^must be one of' then '/type' else '' end;
        return next;
        return;
    end if;

    -- Each keyword by itself.
    v_known := c_always || case
        when v_type = 'string' then '{minLength,maxLength}'
        when v_type in ('integer', 'number')
                                    then '{minimum,maximum,exclusiveMinimum,exclusiveMaximum,multipleOf}'
        when v_type = 'array' then '{items,minItems,maxItems,uniqueItems}'
        when v_type = 'object' then '{properties,required,additionalProperties}' else '{}' end::text[];
    return query
        select p_at || kiln_internal.pointer(k.key), k.problem
          from (select e.key, case
                    when e.key ~ '^x-' then null
                    when e.key <> all (v_known)
                                      then format('is no keyword here; a schema %s has %s, and x-… for notes',
                                                            coalesce('of type ' || v_type, 'without a type'),
                                                            array_to_string(v_known, ', '))
                    when e.key in ('title', 'description', '$comment') and jsonb_typeof(e.value) <> 'string'
                                       then 'must be a string'
                    when e.key in ('deprecated', 'uniqueItems', 'additionalProperties')
                                   and jsonb_typeof(e.value) <> 'boolean' then 'must be true or false'
                    when e.key = 'examples' and jsonb_typeof(e.value) <> 'array' then 'must be a list'
                    when e.key = 'enum' and (jsonb_typeof(e.value) <> 'array' or e.value = '[]')
                                       then 'must be a list of the values that may be chosen'
                    when e.key in ('minLength', 'maxLength', 'minItems', 'maxItems')
                                   and e.value::text !~ '^[0-9]{1,9}$'
                                       then 'must be a whole number from 0 to 999999999'
                    when e.key ~ '^(minimum|maximum|exclusiveM.*|multipleOf)$'
                                   and jsonb_typeof(e.value) <> 'number' then 'must be a number'
                    when e.key = 'multipleOf' and e.value::numeric <= 0 then 'must be more than 0'
                    when e.key = 'properties' and jsonb_typeof(e.value) <> 'object'
                                       then 'must be an object with a schema for each name'
                    when e.key = 'required' and (jsonb_typeof(e.value) <> 'array'
                                                 or jsonb_path_exists(e.value,
                                                                      'strict $[*] ? (@.type() != "string")'))
                        then 'must be a list of names' end as problem
                  from jsonb_each(p_schema) as e) k
         where k.problem is not null;
    if found then
        return;
    end if;

    -- The schemas in it.
    for v_key, v_part in select '/properties' || kiln_internal.pointer(e.key), e.value
                           from jsonb_each(coalesce(p_schema -> 'properties', '{}')) as e order by e.key
    loop
        return query select c.field, c.message
                       from kiln_internal.check_schema(v_part, p_at || v_key, p_depth + 1) as c;
        v_is_bad := v_is_bad or found;
    end loop;
    if p_schema ? 'items' then
        return query select c.field, c.message
                       from kiln_internal.check_schema(p_schema -> 'items', p_at || '/items',
                                                       p_depth + 1) as c;
        v_is_bad := v_is_bad or found;
    end if;

    -- What does not go together.
    return query
        select p_at || '/required/' || (r.ordinality - 1),
               case when not coalesce(p_schema -> 'properties', '{}') ? r.value
                        then 'is none of the properties' else 'is there twice' end
          from (select e.value, e.ordinality,
                       row_number() over (partition by e.value order by e.ordinality) as ord
                  from jsonb_array_elements_text(coalesce(p_schema -> 'required',
                                                          '[]')) with ordinality as e) r
         where r.ord > 1 or not coalesce(p_schema -> 'properties', '{}') ? r.value;
    v_is_bad := v_is_bad or found;
    return query
        select p_at || '/' || b.high, format('must be %s %s',
                                             case when b.is_strict then 'more than' else 'at least' end,
                                             b.low)
          from (values ('minimum', 'maximum', false), ('minimum', 'exclusiveMaximum', true),
                ('exclusiveMinimum', 'maximum', true), ('exclusiveMinimum', 'exclusiveMaximum', true),
                       ('minLength', 'maxLength', false), ('minItems', 'maxItems', false)) as b (low, high,
                                                        is_strict)
         where (p_schema ->> b.high)::numeric < (p_schema ->> b.low)::numeric or b.is_strict
           and (p_schema ->> b.high)::numeric = (p_schema ->> b.low)::numeric;
    v_is_bad := v_is_bad or found;
    if not v_is_bad then
        -- What may be chosen, what is taken, and what is shown must themselves be right.
        return query
            select v.field, v.message
              from jsonb_array_elements(coalesce(p_schema -> 'enum', '[]')) with ordinality as e,
                   kiln_internal.check_value(p_schema - 'enum', e.value,
                                             p_at || '/enum/' || (e.ordinality - 1)) as v
            union all
            select v.field, v.message
              from jsonb_array_elements(coalesce(p_schema -> 'examples', '[]')) with ordinality as e,
                   kiln_internal.check_value(p_schema, e.value,
                                             p_at || '/examples/' || (e.ordinality - 1)) as v
            union all
            select v.field, v.message
              from kiln_internal.check_value(p_schema, p_schema -> 'default', p_at || '/default') as v
             where p_schema ? 'default';
    end if;
end
$$;
comment on function kiln_internal.check_schema(jsonb, text, int) is
'What is wrong with a schema: a JSON pointer into it and a sentence each; no row: it is of the part of JSON
Schema that Kiln knows, and its bounds, choices, examples and default agree with one another.
docs/provider-fields.md lists the keywords. p_at: the pointer to the schema; p_depth: how deep it lies in
others.';

create or replace function kiln_internal.refuse_written(p_what text, p_column text, p_errors jsonb,
                                                        p_hint text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception '%: %', p_what, (select string_agg(format('%s %s', e ->> 'field', e ->> 'message'), '; '
                                                       order by n)
                                       from jsonb_array_elements(p_errors) with ordinality as x (e, n)
                                      where n <= 8)
        using errcode = 'KN003', column = p_column, detail = p_errors::text, hint = p_hint;
end
$$;
comment on function kiln_internal.refuse_written(text, text, jsonb, text) is
'Raises KN003 about a JSON column that an operator writes: p_errors are [{field, message}], each field a JSON
pointer that begins with the column.';

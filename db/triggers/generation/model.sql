-- What can be asked for is right when it is written: a model's schema, its example, and who makes it (KN003;
-- DETAIL names each field by a JSON pointer). Else each person who asks would be told of the operator's
-- mistake.
create or replace function kiln_internal.check_model()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_what    constant text := 'model ' || quote_literal(new.name);
    v_errors  jsonb;
    v_message text;
    v_detail  text;
begin
    -- A model that has become wrong can be retired.
    if tg_op = 'UPDATE' and not new.is_enabled
       and (new.name, new.provider_id, new.pipeline_id, new.media_type, new.params_schema, new.example,
            new.min_media)
           is not distinct from (old.name, old.provider_id, old.pipeline_id, old.media_type,
                                 old.params_schema, old.example, old.min_media) then
        return new;
    end if;
    if new.title !~ '\S' or length(new.title) > 200 then
        raise exception '%: title is to have 1 to 200 characters', v_what
            using errcode = 'KN003', column = 'title';
    elsif exists (select from unnest(new.tags) as t where coalesce(t !~ '\S' or length(t) > 100, true)) then
        raise exception '%: tags are to be words of 1 to 100 characters', v_what
            using errcode = 'KN003', column = 'tags';
    elsif jsonb_typeof(new.params_schema) is distinct from 'object' then
        perform kiln_internal.refuse_written(v_what, 'params_schema',
                                             kiln_internal.field_error('/params_schema',
                                                 'must be an object such as {"type": "object", '
                                                 '"properties": {}}'),
                                    'docs/provider-fields.md lists the keywords that a schema may have.');
    elsif jsonb_typeof(new.example) is distinct from 'object' then
        perform kiln_internal.refuse_written(v_what, 'example',
                                             kiln_internal.field_error('/example',
                                                 'must be an object such as {"prompt": "a cat"}, or {} '
                                                 'for none'),
                                    'An example is a body for POST /generate that works as it stands.');
    end if;
    -- Whoever sends more than a schema names is told so; the schema that clients read says the same.
    if not new.params_schema ? 'additionalProperties' then
        new.params_schema := new.params_schema || '{"additionalProperties": false}';
    end if;
    if octet_length(new.params_schema::text) > 65536 or octet_length(new.example::text) > 65536 then
        raise exception '%: its schema and its example may have 64 KiB each', v_what
            using errcode = 'KN003', column = 'params_schema';
    end if;
    select coalesce(jsonb_agg(jsonb_build_object('field', c.field, 'message', c.message)), '[]') into v_errors
      from (select '/params_schema/type' as field, 'must be object' as message
             where new.params_schema ->> 'type' is distinct from 'object'
            union all
            select '/params_schema/additionalProperties', 'must be false: a parameter is named or refused'
             where new.params_schema -> 'additionalProperties' = 'true'
            union all
            select '/params_schema' || kiln_internal.pointer(k), 'belongs to the properties'
              from jsonb_object_keys(new.params_schema) as k where k in ('enum', 'default')
            union all
            select s.field, s.message
              from kiln_internal.check_schema(new.params_schema, '/params_schema') as s
             where new.params_schema ->> 'type' = 'object') as c;
    if v_errors <> '[]' then
        perform kiln_internal.refuse_written(v_what, 'params_schema', v_errors,
                                        'docs/provider-fields.md lists the keywords that a schema may have.');
    end if;

    if new.example <> '{}' then
        v_errors := kiln_internal.unknown_fields(new.example,
                                                 '{type,prompt,model,params,seed,variants,media}')
            || case when coalesce(new.example -> 'type', to_jsonb(new.media_type)) <> to_jsonb(new.media_type)
                        then kiln_internal.field_error('/type', 'must be ' || new.media_type) else '[]' end
            || case when coalesce(new.example -> 'model', to_jsonb(new.name)) <> to_jsonb(new.name)
                        then kiln_internal.field_error('/model', 'must be ' || new.name) else '[]' end
            || case when new.example ? 'variants' and kiln_internal.read_variants(new.example) is null
                        then kiln_internal.field_error('/variants', 'must be a whole number from 1 to 8')
                    else '[]' end;
        -- Read as POST /generate reads it, with so many files as the model needs.
        begin
            perform kiln_internal.read_job_input(0, new.example, v_errors, new, new.media_type::text,
                                                 new.min_media);
        exception when sqlstate 'KN003' then
            get stacked diagnostics v_detail = pg_exception_detail;
            select jsonb_agg(jsonb_build_object('field', '/example' || (e ->> 'field'),
                                                'message', e ->> 'message')) into v_errors
              from jsonb_array_elements(v_detail::jsonb) as e;
            perform kiln_internal.refuse_written(v_what, 'example', v_errors,
                                          'An example is a body for POST /generate that works as it stands.');
        end;
    end if;

    v_message := kiln_internal.model_pipeline_problem(new, (select max(v.pipeline_version_id)
                                                              from kiln.pipeline_version v
                                                             where v.pipeline_id = new.pipeline_id));
    if v_message is not null then
        raise exception '%: %', v_what, v_message using errcode = 'KN003', column = 'provider_id',
            hint = 'A model is made by the provider that its pipeline asks, or by a local one where it '
                   'asks none.';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_model() is
'Refuses a model with a schema that Kiln does not know, an example that does not work, or another provider
than its pipeline''s (KN003).';
create or replace trigger t20_check before insert
    or update of name, title, tags, provider_id, pipeline_id, media_type, params_schema, example, min_media,
    is_enabled on kiln.model
    for each row execute function kiln_internal.check_model();
alter table kiln.model enable always trigger t20_check;

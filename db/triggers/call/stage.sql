-- Stages that ask a provider.
create or replace function kiln_internal.guard_provider_delete()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
    v_pipelines text;
begin
    select string_agg(distinct quote_literal(p.name), ', ') into v_pipelines
      from kiln.stage s
      join kiln.pipeline_version v using (pipeline_version_id)
      join kiln.pipeline p on p.pipeline_id = v.pipeline_id
     where s.handler = 'http' and s.config ->> 'provider' = old.name;
    if v_pipelines is not null then
        raise exception 'provider % is asked by stages of %', old.name, v_pipelines
            using errcode = 'KN001',
            hint = format('update kiln.provider set is_enabled = false where name = %L stops it.', old.name);
    end if;
    return old;
end
$$;
comment on function kiln_internal.guard_provider_delete() is
'Refuses to delete a provider that a stage names: its jobs could ask nobody (KN001).';
create or replace trigger t10_guard_delete before delete on kiln.provider for each row
    execute function kiln_internal.guard_provider_delete();
alter table kiln.provider enable always trigger t10_guard_delete;

-- The config of a stage that asks a provider: what its schema (kiln.handler.config_schema) cannot say.
create or replace function kiln_internal.http_config_errors(p_config jsonb, p_provider kiln.provider,
                                                            out field text, out message text)
returns setof record
language plpgsql stable
set search_path = ''
as $$
declare
    v_requests constant jsonb := jsonb_build_array(p_provider.submit, p_provider.poll, p_provider.result,
                                                   p_provider.cancel, p_provider.lookup);
    v_needed   text[];
begin
    if p_provider.provider_id is null or p_provider.is_local then
        return query select '/config/provider',
                            format('is %s: there is no such provider with an address',
                                   p_config -> 'provider');
        return;
    end if;
    -- What the provider's requests name of the stage must be there: a path with a hole can never be sent.
    v_needed := array(select distinct n
                        from jsonb_path_query(v_requests, 'strict $.** ? (@.type() == "string")') as s,
                             unnest(kiln_internal.placeholders(s #>> '{}')) as n
                       where n in ('endpoint', 'app') or n ~ '^config\.');
    return query
        select '/config/endpoint', format('is required: the requests of provider %s name it', p_provider.name)
         where v_needed && '{endpoint,app}' and not p_config ? 'endpoint'
        union all
        select '/config/endpoint', 'must be the provider''s name for the model, such as fal-ai/flux/dev'
         where p_config ->> 'endpoint' !~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$'
            or p_config ->> 'endpoint' ~ '(^|/)\.\.?(/|$)'
        union all
        select '/config/endpoint',
               format('must have two parts, such as fal-ai/flux: the requests of provider %s name its app',
                      p_provider.name)
         where 'app' = any (v_needed) and p_config ->> 'endpoint' !~ '^((workflows|comfy)/)?[^/]+/[^/]+'
        union all
        select '/config' || kiln_internal.pointer(substr(n, 8)),
               format('is required: the requests of provider %s name {%s}', p_provider.name, n)
          from unnest(v_needed) as n where n ~ '^config\.'
           and p_config #> string_to_array(substr(n, 8), '.') is null
        union all
        select '/config/body', format('names %s, and nothing fills that',
                                      kiln_internal.unknown_placeholders(p_config -> 'body'))
         where kiln_internal.unknown_placeholders(p_config -> 'body') is not null
        union all
        select format('/config/outputs/%s/pointer', o.ordinality - 1),
               'must be a JSON pointer, such as /images/*/url'
          from jsonb_array_elements(p_config -> 'outputs') with ordinality as o
         where o.value ->> 'as' <> 'binary' and coalesce(o.value ->> 'pointer', '') !~ '^(/([^~/]|~[01])+)+$'
        union all
        select '/config/keep' || kiln_internal.pointer(k.key), 'must be a JSON pointer, such as /seed'
          from jsonb_each(coalesce(p_config -> 'keep', '{}')) as k
         where jsonb_typeof(k.value) <> 'string' or k.value #>> '{}' !~ '^(/([^~/]|~[01])+)+$'
        union all
        select '/config/blocked/' || b.ordinality - 1, 'must be a JSON pointer, such as /has_nsfw_concepts/*'
          from jsonb_array_elements_text(coalesce(p_config -> 'blocked', '[]')) with ordinality as b
         where b.value !~ '^(/([^~/]|~[01])+)+$'
        union all
        select '/config/carry', 'cannot name media: these are what the stage makes'
         where p_config -> 'carry' ? 'media';
end
$$;
comment on function kiln_internal.http_config_errors(jsonb, kiln.provider) is
'What is wrong with the config of a stage of the handler http that fits its schema, for the provider that it
names (null: there is none): a pointer and a sentence each.';

create or replace function kiln_internal.config_errors(p_handler text, p_config jsonb)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
    v_errors   jsonb;
    v_provider kiln.provider;
begin
    select coalesce(jsonb_agg(jsonb_build_object('field', v.field, 'message', v.message)), '[]') into v_errors
      from kiln.handler h, kiln_internal.check_value(h.config_schema, p_config, '/config') as v
     where h.name = p_handler;
    if v_errors = '[]' and p_handler = 'http' then
        select p.* into v_provider from kiln.provider p where p.name = p_config ->> 'provider';
        select coalesce(jsonb_agg(jsonb_build_object('field', v.field, 'message', v.message)), '[]')
          into v_errors from kiln_internal.http_config_errors(p_config, v_provider) as v;
    end if;
    return v_errors;
end
$$;
comment on function kiln_internal.config_errors(text, jsonb) is
'What is wrong with the config of a stage of this handler, as [{field, message}] with pointers that begin with
/config; []: nothing.';

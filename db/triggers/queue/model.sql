-- What belongs to a change of a model.
create or replace function kiln_internal.model_pipeline_problem(p_model kiln.model, p_pipeline_version_id int)
returns text
language plpgsql stable
set search_path = ''
as $$
declare
    v_name      text;
    v_provider  kiln.provider;
    v_providers text[];
begin
    select p.name into v_name from kiln.pipeline p where p.pipeline_id = p_model.pipeline_id;
    select p.* into v_provider from kiln.provider p where p.provider_id = p_model.provider_id;
    if v_name is null or v_provider.name is null then
        return null;        -- its foreign keys say so
    elsif kiln_internal.pipeline_problem(p_model.pipeline_id) is not null then
        return kiln_internal.pipeline_problem(p_model.pipeline_id);
    end if;
    v_providers := array(select distinct s.config ->> 'provider' from kiln.stage s
                          where s.pipeline_version_id = p_pipeline_version_id and s.handler = 'http'
                          order by 1);
    if v_providers = '{}' and not v_provider.is_local then
        return format('provider %s is not asked by pipeline %L, which works on the runner''s machine alone',
                      v_provider.name, v_name);
    elsif v_providers <> '{}' and v_provider.name <> all (v_providers) then
        return format('provider %s is not asked by pipeline %L, which asks %s', v_provider.name, v_name,
                      array_to_string(v_providers, ', '));
    end if;
    return null;
end
$$;
comment on function kiln_internal.model_pipeline_problem(kiln.model, int) is
'Why a model cannot be made by this version of its pipeline, as a sentence: no version, or it asks other
providers; null: it can.';

create or replace function kiln_internal.guard_model_delete()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if exists (select from kiln.job j where j.model_id = old.model_id) then
        raise exception 'model % has jobs: it stays', quote_literal(old.name)
            using errcode = 'KN001', hint = format('update kiln.model set is_enabled = false where name = %L',
                                                   old.name);
    end if;
    return old;
end
$$;
comment on function kiln_internal.guard_model_delete() is 'Refuses to delete a model that jobs name (KN001).';
create or replace trigger t10_guard_delete before delete on kiln.model for each row
    execute function kiln_internal.guard_model_delete();
alter table kiln.model enable always trigger t10_guard_delete;

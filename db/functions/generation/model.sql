-- Whether a model can be asked for now.
create or replace function kiln_internal.model_reason(p_model kiln.model)
returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select case when not p.is_enabled then format('Provider %s is switched off.', p.name)
                        when p.auth ->> 'env' is not null
                             and not exists (select from kiln.runner_secret s
                                               join kiln.heartbeat h using (runner_id)
                                              where p.auth ->> 'env' = any (s.names))
                        then format('No runner has %s.', p.auth ->> 'env') end
              from kiln.provider p where p.provider_id = p_model.provider_id);
end
$$;
comment on function kiln_internal.model_reason(kiln.model) is
'Why a model cannot be used now, as a sentence; null: it can.';

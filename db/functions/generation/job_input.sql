-- What the products have in common: a body becomes the input of a job. Each runs as its caller, so that
-- row-level security stands behind the look at the media.
create or replace function kiln_internal.find_model(p_body jsonb, out model kiln.model, out errors jsonb)
language plpgsql stable
set search_path = ''
as $$
declare
    v_type text := kiln_internal.text_field(p_body, 'type');
begin
    errors := '[]';
    if v_type is null or v_type not in ('image', 'video', 'audio') then
        errors := kiln_internal.field_error('/type', 'must be image, video or audio');
        return;
    end if;
    select m.* into model
      from kiln.model m join kiln.provider p using (provider_id)
     where m.is_enabled and p.is_enabled and m.media_type = v_type::kiln.media_type
       and case when p_body ? 'model' then m.name = kiln_internal.text_field(p_body, 'model')
                else m.is_default end;
    if not found then
        errors := kiln_internal.field_error('/model',
                                            case when p_body ? 'model'
                                                     then 'is no ' || v_type || ' model of the catalogue'
                                                  else 'is needed: there is no default ' || v_type
                                                           || ' model' end);
    elsif kiln_internal.model_reason(model) is not null then
        errors := kiln_internal.field_error('/model',
                                            'is not available now: ' || kiln_internal.model_reason(model));
    end if;
end
$$;
comment on function kiln_internal.find_model(jsonb) is
'The model that {type, model?} asks for, or the errors of these fields.';

create or replace function kiln_internal.read_job_input(p_actor bigint, p_body jsonb, p_errors jsonb,
                                                        p_model kiln.model, p_media_type text,
                                                        p_files int default 0)
returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
    v_errors jsonb := p_errors;
    v_prompt text  := kiln_internal.text_field(p_body, 'prompt');
    v_seed   text  := kiln_internal.plain_field(p_body, 'seed');
    v_media  jsonb := coalesce(p_body -> 'media', '[]');
    v_ids    text[] := kiln_internal.texts(v_media, 12 - p_files);
    v_count  int;
    v_params jsonb := '{}';
    v_found  record;
begin
    if jsonb_typeof(coalesce(p_body -> 'prompt', '""')) <> 'string' then
        v_errors := v_errors || kiln_internal.field_error('/prompt', 'must be a string');
    elsif octet_length(v_prompt) > 8000 then
        v_errors := v_errors || kiln_internal.field_error('/prompt', 'must have at most 8000 bytes');
    elsif not coalesce(kiln_internal.is_visible(v_prompt), false)
       and (p_media_type = 'audio' or v_media = '[]' and p_files = 0) then
        v_errors := v_errors || kiln_internal.field_error('/prompt',
                                                          'is required' ||
                                                          case when p_media_type is distinct from 'audio'
                                                                   then ' unless there is media' else '' end);
    end if;
    if coalesce(p_body -> 'seed', 'null') = 'null' then
        v_seed := kiln_internal.random_seed();
    elsif not coalesce(kiln_internal.is_seed(v_seed), false) then
        v_errors := v_errors || kiln_internal.field_error('/seed',
                                                      'must be a whole number from 0 to 9223372036854775807');
    end if;
    if v_ids is null then
        v_errors := v_errors || kiln_internal.field_error('/media',
                                                          'must be an array of at most 12 media ids');
    else
        v_count := cardinality(v_ids) + p_files;
        select v_errors
               || coalesce(jsonb_agg(jsonb_build_object('field', '/media/' || (u.ord - 1),
                                                        'message', 'is no media of yours that is ready')),
                           '[]')
          into v_errors
          from unnest(v_ids) with ordinality as u (id, ord)
         where not exists (select from kiln.media m
                            where m.media_id = case when u.id ~ '^[0-9]{1,18}$' then u.id::bigint end
                              and m.account_id = p_actor and m.state = 'ready');
    end if;
    if p_model.min_media > coalesce(v_count, 0) then
        v_errors := v_errors || kiln_internal.field_error('/media',
                    format('must name at least %s: this model works on what it is given', p_model.min_media));
    end if;
    if p_model.model_id is not null then
        v_found := kiln_internal.check_params(p_model.params_schema, coalesce(p_body -> 'params', '{}'));
        v_errors := v_errors || v_found.errors;
        v_params := v_found.params;
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    return jsonb_build_object('prompt', coalesce(v_prompt, ''), 'params', v_params, 'seed', v_seed,
                              'media', v_media, 'media_type', p_media_type);
end
$$;
comment on function kiln_internal.read_job_input(bigint, jsonb, jsonb, kiln.model, text, int) is
'A job''s input {prompt, params, seed, media, media_type} from a body, its media the actor''s and its
parameters those of the model, with the defaults filled in (no model: none). p_errors: what is wrong already;
p_files: files that came with it. KN003: every field that is wrong.';

-- What can be asked for, and the words that it becomes.

-- Virtual staging: what a request means, the prompt it becomes, and the life of projects. Whoever writes
-- takes the project's row first, so that two requests to stage a whole project, or one and its end, come one
-- after the other. Jobs are looked up by their keys, one after another (LIMIT keeps the planner from making a
-- join of it): a plan for empty tables read all jobs by their index, and would have stayed.
create or replace function kiln_internal.staging_prompt_of(p_mode kiln.staging_mode, p_room_type text,
                                                           p_style text, p_user_prompt text, out prompt text,
                                                           out prompt_version int, out style_version int)
language plpgsql stable security definer
set search_path = ''
as $$
declare
    v_parts kiln.staging_prompt;
    v_words text;
begin
    select s.* into v_parts from kiln.staging_prompt s order by s.version desc limit 1;
    select t.version, t.words into style_version, v_words from kiln.style_text t where t.style = p_style
     order by t.version desc limit 1;
    prompt_version := v_parts.version;
    prompt := kiln_internal.fill_text(case p_mode when 'stage' then v_parts.stage when 'declutter'
                                               then v_parts.declutter else v_parts.restyle end,
                             jsonb_build_object('room', (select r.words from kiln.room_type r
                                                          where r.name = p_room_type),
                                                'words', coalesce(v_words, '')))
        || case when p_user_prompt ~ '\S'
                    then ' ' || kiln_internal.fill_text(v_parts.user_prompt,
                                                        jsonb_build_object('user_prompt',
                                                            btrim(p_user_prompt))) else '' end
        || ' ' || v_parts.preserve;
end
$$;
comment on function kiln_internal.staging_prompt_of(kiln.staging_mode, text, text, text) is
'The prompt of a staging, and the versions of what it is made of: the task, the style, the words of the
request, and last what must not change.';

create or replace function kiln_internal.staging_reason(p_model kiln.staging_model)
returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return case when p_model.is_enabled then kiln_internal.pipeline_reason(p_model.pipeline_id)
                else 'It is switched off.' end;
end
$$;
comment on function kiln_internal.staging_reason(kiln.staging_model) is
'Why a model cannot stage now, as a sentence; null: it can.';

create or replace function kiln_internal.staging_options()
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select json_build_object(
                'modes', enum_range(null::kiln.staging_mode),
                'room_types', (select json_agg(json_build_object('name', r.name, 'title', r.title)
                                               order by r.position) from kiln.room_type r),
                'styles', (select json_agg(json_build_object(
                                      'name', s.name, 'title', s.title,
                                      'aliases', (select coalesce(json_agg(a.name order by a.position), '[]')
                                                    from kiln.style a where a.alias_of = s.name
                                                     and not a.is_deprecated)) order by s.position)
                             from kiln.style s where s.alias_of is null),
                'models', (select json_agg(json_build_object(
                                      'name', m.name, 'title', m.title, 'description', m.description,
                                                             'max_variations', m.max_variations,
                                                             'price', m.price_micros,
                                      'currency', c.currency, 'is_default', m.is_default,
                                                             'unavailable_reason',
                                                             kiln_internal.staging_reason(m))
                                           order by m.is_default desc, m.name)
                             from kiln.staging_model m where m.is_enabled))
              from kiln.config c);
end
$$;
comment on function kiln_internal.staging_options() is
'What may be asked for: modes, types of rooms, styles with their aliases (without deprecated names), models
with the price of one variation.';

-- Everything that is wrong is named at once. What is right comes back whole, so that a project's pictures are
-- read once and not one by one.
create or replace function kiln_internal.read_staging(p_actor bigint, p_body jsonb, p_errors jsonb)
returns jsonb
language plpgsql volatile
set search_path = ''
as $$
declare
    v_errors     jsonb := p_errors;
    v_mode       text  := coalesce(kiln_internal.plain_field(p_body, 'mode'), 'stage');
    v_room       text  := kiln_internal.plain_field(p_body, 'room_type');
    v_asked      text  := kiln_internal.plain_field(p_body, 'style');
    v_variations text  := coalesce(kiln_internal.plain_field(p_body, 'variations'), '1');
    v_disclosure text  := kiln_internal.plain_field(p_body, 'disclosure');
    v_style      kiln.style;
    v_model      kiln.staging_model;
    v_input       jsonb;
begin
    v_errors := v_errors
        || coalesce((select jsonb_agg(kiln_internal.field_error('/' || n,
                                                                'must not be null: leave it out') -> 0)
                       from unnest('{mode,prompt,variations}'::text[]) n where p_body -> n = 'null'), '[]');
    if v_mode <> all (enum_range(null::kiln.staging_mode)::text[]) then
        v_errors := v_errors || kiln_internal.field_error(
            '/mode', 'must be one of ' || array_to_string(enum_range(null::kiln.staging_mode), ', '));
    end if;
    if not exists (select from kiln.room_type r where r.name = v_room) then
        v_errors := v_errors || kiln_internal.field_error('/room_type',
                                                          'must be one of ' || (select string_agg(r.name, ', '
                                                              order by r.position) from kiln.room_type r));
    end if;
    select s.* into v_style from kiln.style s where s.name = v_asked;
    if not found and (v_asked is not null or v_mode <> 'declutter') then
        v_errors := v_errors || kiln_internal.field_error('/style',
                                                          'must be one of ' || (select string_agg(s.name, ', '
                                                              order by s.position) from kiln.style s
                                                                  where s.alias_of is null));
    end if;
    if kiln_internal.plain_field(p_body, 'model') is not null then
        select m.* into v_model from kiln.staging_model m
         where m.name = kiln_internal.plain_field(p_body, 'model');
    else
        select m.* into v_model from kiln.staging_model m where m.is_default;
    end if;
    if v_model.name is null then
        v_errors := v_errors || kiln_internal.field_error('/model',
                                                          case when kiln_internal.plain_field(p_body,
                                                              'model') is not null
                                                                   then 'must be one of '
                                                               || (select string_agg(m.name, ', '
                                                                   order by m.name) from kiln.staging_model m
                                                                    where m.is_enabled)
                                                                else 'is needed: there is no default' end);
    elsif kiln_internal.staging_reason(v_model) is not null then
        v_errors := v_errors || kiln_internal.field_error('/model',
                                                          'is not available now: '
                                                          || kiln_internal.staging_reason(v_model));
    end if;
    if v_variations !~ '^[1-4]$' or jsonb_typeof(p_body -> 'variations') not in ('number', 'null')
       or v_variations::int > v_model.max_variations then
        v_errors := v_errors || kiln_internal.field_error('/variations',
                                                          'must be a whole number from 1 to '
                                                          || coalesce(v_model.max_variations, 4));
    end if;
    if jsonb_typeof(p_body -> 'disclosure') not in ('string', 'null')
       or not kiln_internal.is_name(v_disclosure, 200) then
        v_errors := v_errors || kiln_internal.field_error('/disclosure',
                     'must be one line of 1 to 200 characters that can be seen: results are always labelled');
    end if;
    if octet_length(kiln_internal.text_field(p_body, 'prompt')) > 2000 then
        v_errors := v_errors || kiln_internal.field_error('/prompt', 'must have at most 2000 bytes');
    end if;
    v_input := kiln_internal.read_job_input(p_actor,
                                            jsonb_strip_nulls(jsonb_build_object('prompt', p_body -> 'prompt',
                                                        'seed', p_body -> 'seed')), v_errors, null, 'image',
                                            1);
    return jsonb_build_object('mode', v_mode, 'room_type', v_room,
                              'style', coalesce(v_style.alias_of, v_style.name), 'style_asked', v_asked,
                              'user_prompt', v_input ->> 'prompt',
                              'seed', v_input -> 'seed', 'variations', v_variations::int,
                              'disclosure', v_disclosure, 'model', v_model.name);
end
$$;
comment on function kiln_internal.read_staging(bigint, jsonb, jsonb) is
'What a body {mode?, room_type, style, prompt?, seed?, variations?, disclosure?, model?} asks for, aliases of
styles resolved. p_errors: what is wrong already. KN003: every field that is wrong.';

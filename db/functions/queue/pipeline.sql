-- Pipelines over the API: shown whole, and written whole as a new version. What is right is decided by the
-- table and its triggers; here their refusals get the name of the field.
create or replace function kiln_internal.seconds(p_time interval)
returns numeric
language sql immutable
return trim_scale(extract(epoch from p_time));
comment on function kiln_internal.seconds(interval) is 'An interval as clients see it.';

create or replace function kiln_internal.render_pipeline(p_name text, p_version int default null)
returns json
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return (select json_build_object(
                'name', p.name, 'description', p.description, 'version', v.version,
                'versions', (select json_agg(o.version order by o.version desc) from kiln.pipeline_version o
                              where o.pipeline_id = p.pipeline_id),
                'created_at', kiln_internal.render_time(v.created_at),
                'stages', (select json_agg(json_build_object(
                                      'name', s.name, 'handler', s.handler, 'config', s.config,
                                                             'queue', q.name,
                                                             'time_limit_s',
                                                             kiln_internal.seconds(s.time_limit),
                                      'max_attempts', s.max_attempts,
                                                             'backoff_base_s',
                                                             kiln_internal.seconds(s.backoff_base),
                                                             'backoff_cap_s',
                                                             kiln_internal.seconds(s.backoff_cap))
                                           order by s.position)
                             from kiln.stage s join kiln.queue q using (queue_id)
                            where s.pipeline_version_id = v.pipeline_version_id))
              from kiln.pipeline p
              join kiln.pipeline_version v on v.pipeline_id = p.pipeline_id
               and case when p_version is null then v.pipeline_version_id = p.pipeline_version_id
                        else v.version = p_version end
             where p.name = p_name);
end
$$;
comment on function kiln_internal.render_pipeline(text, int) is
'A pipeline with the stages of its newest (or that) version, in order; null: there is none.';

create or replace function kiln_internal.read_seconds(p_stage jsonb, p_key text, p_default interval)
returns interval
language sql immutable
return case when p_stage -> p_key is null then p_default
            when jsonb_typeof(p_stage -> p_key) = 'number'
            and (p_stage ->> p_key)::numeric between 0 and 864000
                then (p_stage ->> p_key)::numeric * interval '1 second' end;
comment on function kiln_internal.read_seconds(jsonb, text, interval) is
'A number of seconds of a stage''s body; null: it is none.';

create or replace function kiln_internal.write_stage(p_version int, p_position int, p_stage jsonb)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    v_at      text  := '/stages/' || (p_position - 1);
    v_errors  jsonb := '[]';
    v_queue   smallint;
    v_limit   interval := kiln_internal.read_seconds(p_stage, 'time_limit_s', '5 minutes');
    v_base    interval := kiln_internal.read_seconds(p_stage, 'backoff_base_s', '2 seconds');
    v_cap     interval := kiln_internal.read_seconds(p_stage, 'backoff_cap_s', '5 minutes');
    v_tries   text := coalesce(kiln_internal.plain_field(p_stage, 'max_attempts'), '3');
    v_message text;
    v_column  text;
    v_detail  text;
    v_rule    text;
begin
    if jsonb_typeof(p_stage) <> 'object' then
        return kiln_internal.field_error(v_at, 'must be an object');
    end if;
    select coalesce(jsonb_agg(jsonb_build_object('field', v_at || (e ->> 'field'),
                                                 'message', e ->> 'message')), '[]') into v_errors
      from jsonb_array_elements(kiln_internal.unknown_fields(p_stage,
                  '{name,handler,config,queue,time_limit_s,max_attempts,backoff_base_s,backoff_cap_s}')) as e;
    if coalesce(kiln_internal.plain_field(p_stage, 'name'), '') !~ '^[a-z][a-z0-9_-]{0,39}$' then
        v_errors := v_errors || kiln_internal.field_error(v_at || '/name',
                                                          'must be a word of small letters, digits, _ and -');
    end if;
    if jsonb_typeof(coalesce(p_stage -> 'config', '{}')) <> 'object' then
        v_errors := v_errors || kiln_internal.field_error(v_at || '/config', 'must be an object');
    end if;
    select q.queue_id into v_queue from kiln.queue q
     where q.name = kiln_internal.plain_field(p_stage, 'queue');
    if not found then
        v_errors := v_errors || kiln_internal.field_error(v_at || '/queue', 'is no queue');
    end if;
    if v_limit is null or v_base is null or v_cap is null then
        v_errors := v_errors || kiln_internal.field_error(v_at || case when v_limit is null
                                                        then '/time_limit_s' when v_base is null
                                                            then '/backoff_base_s' else '/backoff_cap_s' end,
                                                 'must be a number of seconds');
    end if;
    if v_tries !~ '^[0-9]{1,3}$' then
        v_errors := v_errors || kiln_internal.field_error(v_at || '/max_attempts',
                                                          'must be a number from 1 to 100');
    end if;
    if kiln_internal.plain_field(p_stage, 'handler') is null then
        v_errors := v_errors || kiln_internal.field_error(v_at || '/handler', 'is required');
    end if;
    if v_errors <> '[]' then
        return v_errors;
    end if;
    begin
        insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit,
                                max_attempts, backoff_base, backoff_cap)
        values (p_version, p_position, p_stage ->> 'name', kiln_internal.plain_field(p_stage, 'handler'),
                coalesce(p_stage -> 'config', '{}'), v_queue, v_limit, v_tries::smallint, v_base, v_cap);
    exception
        when sqlstate 'KN003' then
            get stacked diagnostics v_message = message_text, v_column = column_name,
                v_detail = pg_exception_detail;
            if v_detail like '[%' then
                return (select jsonb_agg(jsonb_build_object('field', v_at || (e ->> 'field'),
                                                            'message', e ->> 'message') order by n)
                          from jsonb_array_elements(v_detail::jsonb) with ordinality as x (e, n));
            end if;
            return kiln_internal.field_error(v_at || '/' || coalesce(nullif(v_column, ''), 'config'),
                                             v_message);
        when check_violation then
            get stacked diagnostics v_rule = constraint_name;
            return kiln_internal.field_error(v_at || '/' || case v_rule when 'stage_time_limit_check'
                                                                     then 'time_limit_s'
                                                                 when 'stage_max_attempts_check'
                                                                     then 'max_attempts'
                                                               when 'stage_backoff_check' then 'backoff_cap_s'
                                                                 else 'name' end, 'is out of bounds: '
                                             || v_rule);
    end;
    return '[]';
end
$$;
comment on function kiln_internal.write_stage(int, int, jsonb) is
'Writes one stage of a version that is being made; returns what is wrong with it, as errors of fields.';

create or replace function kiln_internal.write_pipeline(p_body jsonb)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_errors  jsonb := kiln_internal.unknown_fields(p_body, '{name,description,version,stages}');
    v_name    text  := kiln_internal.plain_field(p_body, 'name');
    v_stages  jsonb := p_body -> 'stages';
    v_newest  int;
    v_version int;
    v_message text;
begin
    if coalesce(v_name, '') !~ '^[a-z][a-z0-9._/-]{0,59}$' then
        v_errors := v_errors || kiln_internal.field_error('/name',
                                                       'must be a name of small letters, digits and . _ / -');
    end if;
    if jsonb_typeof(coalesce(p_body -> 'description', '""')) <> 'string'
       or length(p_body ->> 'description') > 500 then
        v_errors := v_errors || kiln_internal.field_error('/description',
                                                          'must be a string of at most 500 characters');
    end if;
    if jsonb_typeof(coalesce(p_body -> 'version', '1')) <> 'number' then
        v_errors := v_errors || kiln_internal.field_error('/version',
                                                          'must be the number of the version that was read');
    end if;
    if v_stages is null or jsonb_typeof(v_stages) <> 'array'
       or jsonb_array_length(v_stages) not between 1 and 99 then
        v_errors := v_errors || kiln_internal.field_error('/stages', 'must be an array of 1 to 99 stages');
    end if;
    perform kiln_internal.refuse_fields(v_errors);
    select v.version into v_newest
      from kiln.pipeline p join kiln.pipeline_version v using (pipeline_version_id) where p.name = v_name
       for update of p;
    if p_body ? 'version' and (p_body ->> 'version')::numeric <> coalesce(v_newest, 0) then
        raise exception 'pipeline % has version % by now', quote_literal(v_name), coalesce(v_newest, 0)
            using errcode = 'KN001',
            hint = 'Read it again; leave version out to write over whatever there is.';
    end if;

    v_version := kiln.new_pipeline_version(v_name);
    delete from kiln.stage s where s.pipeline_version_id = v_version;
    select coalesce(jsonb_agg(x), '[]') into v_errors
      from jsonb_array_elements(v_stages) with ordinality as e (stage, ord)
     cross join lateral jsonb_array_elements(kiln_internal.write_stage(v_version, e.ord::int, e.stage)) as x;
    select v_errors
           || coalesce(jsonb_agg(jsonb_build_object('field', '/stages/' || (d.ord - 1) || '/name',
                                                    'message', 'is the name of another stage too')), '[]')
      into v_errors
      from (select e.ord, row_number() over (partition by kiln_internal.plain_field(e.stage,
                                                        'name') order by e.ord) as nth
              from jsonb_array_elements(v_stages) with ordinality as e (stage, ord) where e.stage ? 'name') d
     where d.nth > 1;
    perform kiln_internal.refuse_fields(v_errors);
    if p_body ? 'description' then
        update kiln.pipeline set description = p_body ->> 'description' where name = v_name;
    end if;
    -- What is checked at commit is checked now, so that its refusal is this request's.
    begin
        set constraints all immediate;
    exception when sqlstate 'KN003' then
        get stacked diagnostics v_message = message_text;
        perform kiln_internal.refuse_fields(kiln_internal.field_error('/stages', v_message));
    end;
    set constraints all deferred;
    return kiln_internal.render_pipeline(v_name);
end
$$;
comment on function kiln_internal.write_pipeline(jsonb) is
'Writes {name, description?, version?, stages: [{name, handler, config, queue, time_limit_s?, max_attempts?,
backoff_base_s?, backoff_cap_s?}]} as the next version of a pipeline, or the first of a new one. Jobs that run
keep theirs. KN003: fields; KN001: version is not the newest any more.';

-- Versions of a pipeline: written whole, checked at commit, never changed.
create or replace function kiln_internal.guard_stage()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_stage   kiln.stage := case when tg_op = 'DELETE' then old else new end;
    v_handler kiln.handler;
    v_errors  jsonb;
    v_xid     xid8;
    v_name    text;
begin
    select v.xid, p.name into v_xid, v_name
      from kiln.pipeline_version v join kiln.pipeline p using (pipeline_id)
     where v.pipeline_version_id = v_stage.pipeline_version_id;
    if v_xid is null and tg_op = 'DELETE' then
        return old;         -- its pipeline goes, and takes it along
    end if;
    if v_xid is distinct from kiln_internal.log_xid(pg_current_xact_id()) or tg_op = 'UPDATE'
       and old.pipeline_version_id <> new.pipeline_version_id then
        raise exception 'pipeline %: this version is written, and jobs may run on it; '
            'its stages never change',
            quote_literal(v_name)
            using errcode = 'KN001',
                  hint = format('begin; select kiln.new_pipeline_version(%L); -- then insert, update or '
                                'delete its stages; commit', v_name);
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;

    select * into v_handler from kiln.handler h where h.name = new.handler;
    if not found then
        raise exception 'stage % of pipeline %: there is no handler %', new.position, quote_literal(v_name),
            quote_literal(new.handler)
            using errcode = 'KN003', hint = 'There are: ' || (select string_agg(h.name, ', ' order by h.name)
                                                                from kiln.handler h) || '.',
                  column = 'handler';
    end if;
    v_errors := kiln_internal.config_errors(new.handler, new.config);
    if v_errors <> '[]' then
        perform kiln_internal.refuse_written(format('stage %s of pipeline %L', new.position, v_name),
                                             'config', v_errors, v_handler.description);
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_stage() is
'Refuses stages with an unknown handler or a config that its handler cannot use (KN003; DETAIL names each
field), and changes of a version that is written (KN001).';
create or replace trigger t10_guard before insert or update or delete on kiln.stage for each row
    execute function kiln_internal.guard_stage();
alter table kiln.stage enable always trigger t10_guard;

create or replace function kiln_internal.pipeline_problem(p_pipeline_id smallint)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
    return (select case when p.name = 'upload'
                            then 'pipeline ''upload'' checks what people send in, and makes nothing'
                        when not exists (select from kiln.pipeline_version v
                                          where v.pipeline_id = p.pipeline_id)
                            then format('pipeline %L has no version yet', p.name) end
              from kiln.pipeline p where p.pipeline_id = p_pipeline_id);
end
$$;
comment on function kiln_internal.pipeline_problem(smallint) is
'Why nothing can be made by a pipeline, as a sentence; null: it has a version (or there is no such pipeline,
as a foreign key says).';

create or replace function kiln_internal.on_pipeline_version()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
    v_stages int;
    v_last   int;
    v_name   text;
begin
    select p.name into v_name from kiln.pipeline p where p.pipeline_id = new.pipeline_id;
    if not found or not exists (select from kiln.pipeline_version v
                                 where v.pipeline_version_id = new.pipeline_version_id) then
        return null;        -- written and deleted in one transaction
    end if;
    select count(*), coalesce(max(s.position), 0) into v_stages, v_last
      from kiln.stage s where s.pipeline_version_id = new.pipeline_version_id;
    if v_stages = 0 then
        raise exception 'pipeline %, version %: it has no stage', quote_literal(v_name), new.version
            using errcode = 'KN003';
    end if;
    if v_stages <> v_last then
        raise exception 'pipeline %, version %: its stages have a gap: % stages, the last at position %',
            quote_literal(v_name), new.version, v_stages, v_last
            using errcode = 'KN003', hint = 'Positions are 1, 2, 3 … without a gap.', column = 'position';
    end if;
    if v_name = 'upload' and (v_stages <> 1 or not exists (select from kiln.stage s
                                                            where s.pipeline_version_id
                                                                  = new.pipeline_version_id
                                                              and s.handler = 'media'
                                                              and s.config ->> 'op' = 'check')) then
        raise exception 'pipeline ''upload'', version %: it is one stage, the operation check; nothing that '
                        'people send is used without it', new.version
            using errcode = 'KN003',
            hint = 'What may change are the caps in its config: max_pixels, max_duration_s.';
    end if;
    update kiln.pipeline p set pipeline_version_id = new.pipeline_version_id
     where p.pipeline_id = new.pipeline_id;
    return null;
end
$$;
comment on function kiln_internal.on_pipeline_version() is
'At commit: refuses a version without stages, with a gap, or of `upload` without its check (KN003), and makes
a whole one the newest.';
drop trigger if exists t50_publish on kiln.pipeline_version;
create constraint trigger t50_publish after insert on kiln.pipeline_version deferrable initially deferred
    for each row execute function kiln_internal.on_pipeline_version();
alter table kiln.pipeline_version enable always trigger t50_publish;

create or replace function kiln_internal.check_pipeline()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_problem text;
begin
    if new.pipeline_version_id is null then
        if tg_op = 'UPDATE' and old.pipeline_version_id is not null then
            raise exception 'pipeline %: it has a version, and keeps one', quote_literal(new.name)
                using errcode = 'KN003', column = 'pipeline_version_id';
        end if;
        new.stages := 0;
        new.queue_id := null;
        return new;
    end if;
    if not exists (select from kiln.pipeline_version v
                    where v.pipeline_version_id = new.pipeline_version_id
                      and v.pipeline_id = new.pipeline_id) then
        raise exception 'pipeline %: version % is none of its own', quote_literal(new.name),
            new.pipeline_version_id
            using errcode = 'KN003', column = 'pipeline_version_id',
                  hint = format('Its versions: select * from kiln.pipeline_version where pipeline_id = %s. '
                                'Another begins with kiln.new_pipeline_version(%L).', new.pipeline_id,
            new.name);
    end if;
    select format('model %L: %s', m.name, kiln_internal.model_pipeline_problem(m, new.pipeline_version_id))
      into v_problem
      from kiln.model m
     where m.pipeline_id = new.pipeline_id and m.is_enabled
       and kiln_internal.model_pipeline_problem(m, new.pipeline_version_id) is not null
     order by m.name limit 1;
    if found then
        raise exception '%', v_problem
            using errcode = 'KN003', column = 'provider',
            hint = 'A model is made by the provider that its pipeline asks; retire it (is_enabled = false) '
                   'or keep its provider.';
    end if;
    select count(*), min(s.queue_id) filter (where s.position = 1) into new.stages, new.queue_id
      from kiln.stage s where s.pipeline_version_id = new.pipeline_version_id;
    return new;
end
$$;
comment on function kiln_internal.check_pipeline() is
'Refuses a version that is another pipeline''s, or that does not ask the provider of a model that people can
ask for (KN003), and keeps stages and queue_id those of the version. So an UPDATE of pipeline_version_id goes
back to an older version.';
create or replace trigger t10_check before insert or update on kiln.pipeline for each row
    execute function kiln_internal.check_pipeline();
alter table kiln.pipeline enable always trigger t10_check;

create or replace function kiln_internal.guard_pipeline_version()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' then
        raise exception 'a pipeline version never changes' using errcode = 'KN001';
    end if;
    if exists (select from kiln.job j where j.pipeline_version_id = old.pipeline_version_id) then
        raise exception 'pipeline version % has jobs: it stays', old.pipeline_version_id
            using errcode = 'KN001';
    end if;
    return old;
end
$$;
comment on function kiln_internal.guard_pipeline_version() is
'Refuses to change a version, or to delete one that jobs name (KN001).';
create or replace trigger t10_guard before update or delete on kiln.pipeline_version for each row
    execute function kiln_internal.guard_pipeline_version();
alter table kiln.pipeline_version enable always trigger t10_guard;

create or replace function kiln.new_pipeline_version(p_pipeline text)
returns int
language plpgsql
set search_path = ''
as $$
declare
    v_old  kiln.pipeline_version;
    v_new  int;
    v_id   smallint;
begin
    select p.pipeline_id into v_id from kiln.pipeline p where p.name = p_pipeline for update;
    if not found then
        insert into kiln.pipeline (name) values (p_pipeline) returning pipeline_id into v_id;
    end if;
    select v.* into v_old from kiln.pipeline_version v where v.pipeline_id = v_id order by v.version desc
     limit 1;
    insert into kiln.pipeline_version (pipeline_id, version) values (v_id, coalesce(v_old.version, 0) + 1)
    returning pipeline_version_id into v_new;
    insert into kiln.stage
    select v_new, s.position, s.name, s.handler, s.config, s.queue_id, s.time_limit, s.max_attempts,
           s.backoff_base, s.backoff_cap
      from kiln.stage s
     where s.pipeline_version_id = v_old.pipeline_version_id;
    return v_new;
end
$$;
comment on function kiln.new_pipeline_version(text) is
'Begins the next version of a pipeline as a copy of the newest, or the first version of a new pipeline.
Returns pipeline_version_id.
Change its rows of kiln.stage in the same transaction. At commit the version is checked, and new jobs use
it.';

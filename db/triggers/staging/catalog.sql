-- What can be asked for is checked when it is written.
create or replace function kiln_internal.check_staging_model()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_problem text := kiln_internal.pipeline_problem(new.pipeline_id);
begin
    if v_problem is not null then
        raise exception 'staging model %: %', new.name, v_problem
            using errcode = 'KN003', column = 'pipeline_id';
    elsif new.title !~ '\S' or length(new.title) > 200 then
        raise exception 'staging model %: title is to have 1 to 200 characters', new.name
            using errcode = 'KN003', column = 'title';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_staging_model() is
'Refuses a model for staging whose pipeline makes nothing, or that has no title (KN003).';
create or replace trigger t10_check before insert
    or update of pipeline_id, title on kiln.staging_model for each row
        execute function kiln_internal.check_staging_model();
alter table kiln.staging_model enable always trigger t10_check;

create or replace function kiln_internal.check_style()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.alias_of is null and not exists (select from kiln.style_text t where t.style = new.name)
       and exists (select from kiln.style s where s.name = new.name and s.alias_of is null) then
        raise exception 'style %: it has no words', new.name using errcode = 'KN003',
            hint = format('In the same transaction: insert into kiln.style_text (style, version, words) '
                          'values (%L, 1, ''in … style: …'')', new.name);
    end if;
    return null;
end
$$;
comment on function kiln_internal.check_style() is
'At commit: refuses a style, no alias, without words in kiln.style_text (KN003).';
drop trigger if exists t50_words on kiln.style;
create constraint trigger t50_words after insert
    or update on kiln.style deferrable initially deferred for each row
        execute function kiln_internal.check_style();
alter table kiln.style enable always trigger t50_words;

create or replace function kiln_internal.check_style_text()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_alias_of text;
    v_newest   int;
begin
    select s.alias_of into v_alias_of from kiln.style s where s.name = new.style;
    if v_alias_of is not null then
        raise exception 'style %: it is another name of %, whose words count', new.style, v_alias_of
            using errcode = 'KN003', column = 'style';
    end if;
    select max(t.version) into v_newest from kiln.style_text t where t.style = new.style;
    if new.version <> coalesce(v_newest, 0) + 1 then
        raise exception 'style %: its next words are version %', new.style, coalesce(v_newest, 0) + 1
            using errcode = 'KN003', column = 'version',
            hint = 'The newest version counts; images keep the number of theirs.';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_style_text() is
'Refuses words of an alias, which nobody would read, and a version that is not the next (KN003).';
create or replace trigger t10_check before insert on kiln.style_text for each row
    execute function kiln_internal.check_style_text();
alter table kiln.style_text enable always trigger t10_check;

create or replace function kiln_internal.check_staging_prompt()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_part   record;
    v_newest int;
begin
    for v_part in select *
                    from (values ('stage', new.stage, '{room,words}'::text[]),
                          ('declutter', new.declutter, '{room}'), ('restyle', new.restyle, '{room,words}'),
                                        ('user_prompt', new.user_prompt, '{user_prompt}'),
                                 ('preserve', new.preserve, '{}')) as p (name, template, names)
    loop
        if not (kiln_internal.placeholders(v_part.template) @> v_part.names
                and kiln_internal.placeholders(v_part.template) <@ v_part.names) then
            raise exception 'staging prompt, version %: % is to have %, and no other placeholder',
                new.version, v_part.name,
                    coalesce((select string_agg('{' || n || '}', ' and ')
                                from unnest(v_part.names) as n), 'none')
                using errcode = 'KN003', column = v_part.name;
        end if;
    end loop;
    select max(s.version) into v_newest from kiln.staging_prompt s;
    if new.version <> coalesce(v_newest, 0) + 1 then
        raise exception 'staging prompt: the next version is %', coalesce(v_newest, 0) + 1
            using errcode = 'KN003', column = 'version',
            hint = 'The newest version counts; images keep the number of theirs.';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_staging_prompt() is
'Refuses a prompt with a placeholder that nothing fills, or without one that it needs, and a version that is
not the next (KN003).';
create or replace trigger t10_check before insert on kiln.staging_prompt for each row
    execute function kiln_internal.check_staging_prompt();
alter table kiln.staging_prompt enable always trigger t10_check;

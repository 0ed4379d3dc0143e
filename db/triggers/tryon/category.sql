-- What the products offer is right when it is written: a category or a model for staging has a pipeline that
-- can make something, and a style has words. Else each request for it would fail.
create or replace function kiln_internal.check_category()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_problem text := kiln_internal.pipeline_problem(new.pipeline_id);
begin
    if v_problem is not null then
        raise exception 'category %: %', new.name, v_problem using errcode = 'KN003', column = 'pipeline_id';
    elsif new.title !~ '\S' or length(new.title) > 200 then
        raise exception 'category %: title is to have 1 to 200 characters', new.name
            using errcode = 'KN003', column = 'title';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_category() is
'Refuses a category whose pipeline makes nothing, or that has no title (KN003).';
create or replace trigger t10_check before insert
    or update of pipeline_id, title on kiln.category for each row
        execute function kiln_internal.check_category();
alter table kiln.category enable always trigger t10_check;

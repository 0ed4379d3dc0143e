-- What a person may type. Every table has one answer for each of its columns: an UPDATE is performed (a
-- trigger does what belongs to it), refused with the function to call, or free, since what reads the row
-- reads the new value. docs/states.md lists them.
--
-- The guards know the functions of Kiln by the role they run as: kiln_owner and kiln_definer own all of them,
-- nobody logs in as either, and no setting makes anyone one of them. Triggers, cascades of foreign keys and
-- runners come through such functions. Who has to repair by hand says so (begin; set local role kiln_owner;
-- …), which needs a superuser or a member of that role.

create or replace function kiln_internal.is_by_hand()
returns boolean
language plpgsql stable
as $$
begin
    return current_user not in ('kiln_owner', 'kiln_definer');
end
$$;
comment on function kiln_internal.is_by_hand() is
'Whether a statement was typed by a person: it does not run inside a function of Kiln.';

create or replace function kiln_internal.guard_by_hand()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.is_by_hand() then
        raise exception 'kiln.%: its rows are written by functions, not by hand', tg_table_name
            using errcode = 'KN001', hint = tg_argv[0];
    end if;
    return null;
end
$$;
comment on function kiln_internal.guard_by_hand() is
'Refuses a statement that a person typed (KN001). The argument says what to do instead.';

create or replace function kiln_internal.guard_columns()
returns trigger
language plpgsql
as $$
declare
    v_changed text;
begin
    if kiln_internal.is_by_hand() then
        select string_agg(c, ', ') into v_changed
          from unnest(string_to_array(tg_argv[1], ' ')) as c
         where to_jsonb(old) -> c is distinct from to_jsonb(new) -> c;
        if v_changed is not null then
            raise exception 'kiln.%: % is not written by hand', tg_table_name, v_changed
                using errcode = 'KN001', hint = tg_argv[0];
        end if;
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_columns() is
'Refuses a person''s UPDATE of the columns named in the second argument (KN001). The first argument says what
to do instead.';

-- For everyone, the functions of Kiln included: what is written here is never written again.
create or replace function kiln_internal.guard_append_only()
returns trigger
language plpgsql
as $$
begin
    raise exception '%: rows are only ever added', tg_table_name
        using errcode = 'KN001', hint = case tg_table_name when 'ledger'
            then 'A mistake is put right by another row: kiln.grant_credit().'
                                             else 'What was said stays said.' end;
end
$$;
comment on function kiln_internal.guard_append_only() is 'Refuses UPDATE, DELETE and TRUNCATE (KN001).';

-- The log and the attempts. Row triggers of a partitioned table come to each of its partitions, those that
-- the tick makes later too.
create or replace function kiln_internal.guard_history()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.is_by_hand() then
        raise exception '%: what happened is neither changed nor deleted', tg_table_name
            using errcode = 'KN001',
            hint = 'Old parts are dropped whole: kiln.config.event_keep and attempt_keep say when.';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;
comment on function kiln_internal.guard_history() is
'Refuses a person''s UPDATE or DELETE of events and attempts (KN001).';

create or replace function kiln_internal.guard_truncate()
returns trigger
language plpgsql
as $$
begin
    raise exception '% is not emptied at a stroke: its rows belong to those of other tables', tg_table_name
        using errcode = 'KN001', hint = 'Delete finished jobs; their tasks, media and files follow.';
end
$$;
comment on function kiln_internal.guard_truncate() is
'Refuses TRUNCATE, which no row trigger would see (KN001).';

-- TRUNCATE fires no row trigger, and is not inherited by partitions: each table has its own guard.
create or replace function kiln_internal.guard_truncate_of(p_table regclass)
returns void
language plpgsql
set search_path = ''
as $$
begin
    execute format('create or replace trigger t10_guard_truncate before truncate on %s for each statement '
                   'execute function kiln_internal.guard_truncate()', p_table);
    execute format('alter table %s enable always trigger t10_guard_truncate', p_table);
end
$$;
comment on function kiln_internal.guard_truncate_of(regclass) is
'Gives a table, or a new partition, its guard of TRUNCATE.';

-- Pipelines are data, and a wrong one is refused when it is written: an unknown handler, a missing key of its
-- configuration, a gap, a version that jobs already run on.

create or replace function kiln_internal.guard_rows()
returns trigger
language plpgsql
as $$
begin
    raise exception '% keeps its rows: without them nothing would be claimed, signed or kept', tg_table_name
        using errcode = 'KN001', hint = 'Change the row instead.';
end
$$;
comment on function kiln_internal.guard_rows() is
'Refuses to empty the tables whose rows everything stands on (KN001).';

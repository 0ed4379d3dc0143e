-- Times and pages of lists, as clients see them.
create or replace function kiln_internal.render_time(p_at timestamptz)
returns text
language sql stable
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function kiln_internal.render_time(timestamptz) is 'RFC 3339, in UTC, with milliseconds.';

create or replace function kiln_internal.parse_page(p_query jsonb, out page_limit int, out before bigint,
                                                    out below bigint)
language plpgsql immutable
set search_path = ''
as $$
begin
    if coalesce(p_query ->> 'limit', '20') !~ '^[0-9]{1,3}$'
       or coalesce(p_query ->> 'limit', '20')::int not between 1 and 100 then
        raise exception 'limit must be a number from 1 to 100' using errcode = 'KN006';
    end if;
    page_limit := coalesce(p_query ->> 'limit', '20')::int;
    if p_query ->> 'cursor' is not null then
        before := convert_from(decode(translate(p_query ->> 'cursor', '-_', '+/')
                                      || repeat('=', (4 - length(p_query ->> 'cursor') % 4) % 4), 'base64'),
                               'UTF8')::bigint;
        if before < 0 then
            raise invalid_parameter_value;
        end if;
    end if;
    below := coalesce(before, 9223372036854775807);
exception when invalid_parameter_value or invalid_text_representation or numeric_value_out_of_range
    or character_not_in_repertoire then
    raise exception 'cursor is not one of ours' using errcode = 'KN006';
end
$$;
comment on function kiln_internal.parse_page(jsonb) is
'limit (1..100, default 20) and cursor of a list: before is the id in the cursor, below the same or the
highest
id. KN006: malformed.';

create or replace function kiln_internal.render_cursor(p_id bigint)
returns text
language sql immutable
return translate(rtrim(encode(convert_to(p_id::text, 'UTF8'), 'base64'), '='), '+/', '-_');
comment on function kiln_internal.render_cursor(bigint) is 'The cursor behind the last item of a page.';

-- A list reads one row more than its page shows: that there is one says that there is a next page.
create or replace function kiln_internal.last_of_page(p_rows anyarray, p_limit int)
returns anyelement
language sql immutable
as $$ select case when cardinality(p_rows) > p_limit then p_rows[p_limit] end $$;
comment on function kiln_internal.last_of_page(anyarray, int) is
'The last row that a page of p_limit shows, where p_rows has more; null: the list ends here.';

create or replace function kiln_internal.render_page(p_items json, p_last_id bigint)
returns json
language sql immutable
return json_build_object('items', coalesce(p_items, '[]'),
                         'next_cursor', kiln_internal.render_cursor(p_last_id));
comment on function kiln_internal.render_page(json, bigint) is
'A page of a list: {items, next_cursor}. p_last_id: the place of its last item, or null where the list ends.';

-- What an installation or an account has only some tens of is read whole; the cursor of such a list counts
-- what went before.
create or replace function kiln_internal.cut_page(p_items json[], p_query jsonb)
returns json
language plpgsql immutable
set search_path = ''
as $$
declare
    v_page record := kiln_internal.parse_page(p_query);
    v_from int    := least(coalesce(v_page.before, 0), coalesce(cardinality(p_items), 0));
begin
    return kiln_internal.render_page(array_to_json(p_items[v_from + 1:v_from + v_page.page_limit]),
                                     case when cardinality(p_items) > v_from + v_page.page_limit
                                              then v_from + v_page.page_limit end);
end
$$;
comment on function kiln_internal.cut_page(json[], jsonb) is
'The page of a short list that limit and cursor ask for, as {items, next_cursor}. KN006: malformed.';

-- Names of media types.

-- Files: upload in three calls (a signed place, the bytes, and that they are there), and signed links to read
-- them. Bytes never come here: the server or the sender writes them to the store, and a task (pipeline
-- upload) looks at them before anything may use them.
create or replace function kiln_internal.canonical_type(p_text text)
returns text
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return (select coalesce(t.alias_of, t.content_type) from kiln.content_type t
             where t.content_type = lower(btrim(split_part(p_text, ';', 1))));
end
$$;
comment on function kiln_internal.canonical_type(text) is
'The type that a Content-Type names, whatever its letters, its parameters (`;codecs=opus`) and its age; null:
kiln.content_type has no such name.';

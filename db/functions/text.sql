-- Sentences that people read, made to fit.
create or replace function kiln.shorten(p_text text, p_most int)
returns text
language plpgsql immutable
set search_path = ''
as $$
declare
    v_start text;
    v_words text;
begin
    if p_text is null or length(p_text) <= p_most then
        return p_text;
    end if;
    v_start := left(p_text, p_most - 1);
    v_words := rtrim(regexp_replace(v_start, '\s\S*$', ''), E' \t\n\r,;:.(');
    -- One long word is cut where it is.
    return case when length(v_words) >= p_most / 2 then v_words else v_start end || '…';
end
$$;
comment on function kiln.shorten(text, int) is
'A text of at most p_most characters: what is longer ends after a word, with an ellipsis.';

-- Sentences that people read, made to fit.
create or replace function kiln_internal.shorten(p_text text, p_most int)
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
comment on function kiln_internal.shorten(text, int) is
'A text of at most p_most characters: what is longer ends after a word, with an ellipsis.';

-- Times, in the words of all views.
create or replace function kiln_internal.format_time(p_time interval)
returns text
language sql immutable
return (select case when s is null then null
                    when s < 1 then round(s * 1000)::bigint || ' ms'
                    when s < 100 then floor(s)::bigint || ' s'
                    when s < 6000 then floor(s / 60)::bigint || ' min'
                    when s < 172800 then floor(s / 3600)::bigint || ' h'
                    else floor(s / 86400)::bigint || ' d' end
          from (select abs(extract(epoch from p_time)) as s) x);
comment on function kiln_internal.format_time(interval) is
'How long, in one number and a unit: 350 ms, 20 s, 3 min, 5 h, 2 d. Rounded down.';

create or replace function kiln_internal.ago(p_at timestamptz)
returns text
language sql stable
return case when p_at = 'infinity' then 'never'
            when p_at = '-infinity' then 'long ago'
            when kiln_internal.now() - p_at >= interval '1 second'
                then kiln_internal.format_time(kiln_internal.now() - p_at) || ' ago'
            -- Rounded up, so that what is due in half a second is not due now.
            when p_at > kiln_internal.now()
                then 'in ' || kiln_internal.format_time(
                                  ceil(extract(epoch from p_at - kiln_internal.now())) * interval '1 second')
            when p_at is not null then 'now' end;
comment on function kiln_internal.ago(timestamptz) is 'When, from now: 3 min ago, now, in 20 s, never.';

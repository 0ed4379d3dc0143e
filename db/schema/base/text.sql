-- What may be shown as a name or a link, and the domains of JSON and priority.

-- What is invisible: White_Space and Default_Ignorable_Code_Point of the Unicode Character Database, and the
-- blank pattern of Braille.
create function kiln_internal.is_visible(p_text text)
returns boolean
language sql immutable parallel safe
return p_text
    ~ ('[^\x01-\x20\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5'
       '\u180b-\u180f\u2000-\u200f\u2028-\u202f'
                 '\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb'
       '\U0001bca0-\U0001bca3\U0001d173-\U0001d17a'
                 '\U000e0000-\U000e0fff]');
comment on function kiln_internal.is_visible(text) is
'True if a text has at least one character that can be seen; null for null.';

-- The characters that turn the direction of what follows (UAX #9, 2.1 and 2.2) could make a name read as
-- another beside it.
create function kiln_internal.is_name(p_text text, p_most int)
returns boolean
language sql immutable parallel safe
return length(p_text) between 1 and p_most and kiln_internal.is_visible(p_text)
    and p_text !~ '[\x01-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]';
comment on function kiln_internal.is_name(text, int) is
'True if a text can be shown as a name: one line of at most p_most characters, one of them visible, none that
turns the direction of writing.';

-- Browsers drop tabs and line feeds from a URL and read a backslash as a slash (WHATWG URL, 4.4), so `/\host`
-- leads elsewhere as `//host` does.
create function kiln_internal.is_link(p_text text)
returns boolean
language sql immutable parallel safe
return length(p_text) between 1 and 1000 and p_text !~ '[\x01-\x20\x7f-\xa0\u2028\u2029\\]'
    and p_text ~ '^(/([^/]|$)|https://[^/?#@]+([/?#]|$))';
comment on function kiln_internal.is_link(text) is
'True if a text can be a link in what people are told: a path of this site, or an https URL with a host and
without a user, at most 1000 characters.';

-- Rules of the hot tables stand in domains and in the transition triggers, not in CHECKs: PostgreSQL prepares
-- each CHECK of a table anew in every statement that writes it, and the six that job had cost more than its
-- two indexes (27 of 43 us).
create domain kiln.json_object as jsonb
    constraint json_object_check check (jsonb_typeof(value) = 'object');
comment on domain kiln.json_object is 'A JSON object.';

create domain kiln.priority as smallint
    constraint priority_check check (value between 0 and 3);
comment on domain kiln.priority is '3 is served first, 0 last; 1 is usual.';

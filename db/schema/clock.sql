-- The one clock. No rule calls now() itself, so a test that replaces this function moves all of Kiln in time.
create function kiln.now()
returns timestamptz
language sql stable parallel safe
return pg_catalog.statement_timestamp();

comment on function kiln.now() is
'The time of every rule: the start of the statement a program or person sent. Tests replace it; no service role can.';

-- Rules of the hot tables stand in domains and in the transition triggers, not in CHECKs: PostgreSQL prepares each CHECK of a
-- table anew in every statement that writes it, and the six that job had cost more than its two indexes (27 of 43 us).
create domain kiln.json_object as jsonb
    constraint json_object_check check (jsonb_typeof(value) = 'object');
comment on domain kiln.json_object is 'A JSON object.';

create domain kiln.priority as smallint
    constraint priority_check check (value between 0 and 3);
comment on domain kiln.priority is '3 is served first, 0 last; 1 is usual.';

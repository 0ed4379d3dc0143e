-- The one clock. No rule calls now() itself, so a test that replaces this function moves all of Kiln in time.
create function kiln_internal.now()
returns timestamptz
language sql stable parallel safe
return pg_catalog.statement_timestamp();

comment on function kiln_internal.now() is
'The time of every rule: the start of the statement a program or person sent. Tests replace it; no service
role can.';

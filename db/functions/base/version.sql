-- The release stands in the file VERSION of the checkout, from which install.psql is loaded.
\set version `cat VERSION`

create or replace function kiln_internal.version()
returns text
language sql immutable parallel safe
return :'version';
comment on function kiln_internal.version() is
'The release of Kiln that this database was installed or upgraded by.';

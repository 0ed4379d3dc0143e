-- The schema for people, and the extension its rules need. `kiln_api` (for kiln-server) and `kiln_runner` (for runners) hold
-- functions only and are made anew with them: db/code.psql.
create schema kiln;

comment on schema kiln is
'Kiln for people: the tables, the views that read well in psql (kiln.jobs, kiln.queues), and the functions one types (kiln.cancel_job).';

-- pgcrypto lives beside the tables, not in public, which nobody may use.
create extension pgcrypto with schema kiln;

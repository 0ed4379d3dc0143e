-- The schemas by audience: `kiln` is for people, `kiln_internal` is what functions, triggers and views call.
-- `kiln_api` (for kiln-server) and `kiln_runner` (for runners) hold functions only and are made anew with
-- them: `part` in db/install.psql.
create schema kiln;
create schema kiln_internal;
create schema kiln_extensions;

comment on schema kiln is
'Kiln for people: the tables, the views that read well in psql (kiln.jobs, kiln.queues), and the functions one
types (kiln.cancel_job).';

comment on schema kiln_internal is
'What functions, triggers and views of Kiln call. Nobody types these; their names and arguments may change in
any release.';
comment on schema kiln_extensions is 'The extensions that Kiln needs: pgcrypto.';

-- Not in public, which nobody may use, nor among what people type.
create extension pgcrypto with schema kiln_extensions;

-- Three schemas by audience, and the two extensions the rules need.
-- `kiln` is for people (tables, views, functions one types), `kiln_api` for kiln-server, `kiln_runner` for runners.
create schema kiln;
create schema kiln_api;
create schema kiln_runner;

comment on schema kiln is
'Kiln for people: the tables, the views that read well in psql (kiln.jobs, kiln.queues), and the functions one types (kiln.cancel_job).';
comment on schema kiln_api is
'What kiln-server calls: one function a route, (p_actor, p_path, p_query, p_body) returns json. No tables.';
comment on schema kiln_runner is
'What runners call, in any language: register, claim, progress, complete, fail, beat. No tables.';

-- pgcrypto lives beside the tables, not in public, which nobody may use.
create extension pgcrypto with schema kiln;

-- The two schemas that programs call: functions only.
create schema if not exists kiln_api;
create schema if not exists kiln_runner;
comment on schema kiln_api is
'What kiln-server calls: one function a route, (p_actor, p_path, p_query, p_body) returns json. No tables.';
comment on schema kiln_runner is
'What runners call, in any language: register, claim, progress, complete, fail, beat. No tables.';

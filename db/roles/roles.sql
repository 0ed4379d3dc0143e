-- Who there is, by audience. Roles belong to the cluster, so a second database finds them there. None has a
-- password here: that is the installation's affair (./kiln up writes one to a file for each program).
do $$
declare
    v_role text;
begin
    foreach v_role in array '{kiln_owner,kiln_definer,kiln_reader,kiln_admin}'::text[]
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
            execute format('create role %I nologin', v_role);
        end if;
    end loop;
    foreach v_role in array '{kiln_server,kiln_worker}'::text[]
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
            execute format('create role %I login', v_role);
        end if;
    end loop;
end
$$;
comment on role kiln_owner is 'Owns everything of Kiln; nobody logs in as it, migrations SET ROLE to it.';
comment on role kiln_definer is
'Owns the kiln_api functions and no table: row-level security holds for it, whatever a function forgets.';
comment on role kiln_server is 'kiln-server: may execute kiln_api, and touch no table.';
comment on role kiln_worker is 'Runners: may execute kiln_runner, and touch no table.';
comment on role kiln_reader is 'People who look: may read the tables and views but for secrets.';
comment on role kiln_admin is 'People who run it: may read and write, and call what people type.';
grant kiln_reader to kiln_admin;

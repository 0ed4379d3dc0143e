-- A second wall behind what the programs refuse: a session of theirs writes so many bytes of temporary files
-- and no more (53400, which is 503). Only a superuser may set it; an installer who is none is told the
-- command. A value that somebody has set stays.
do $$
declare
    v_role text;
begin
    foreach v_role in array '{kiln_server,kiln_worker}'::text[]
    loop
        continue when exists (select from pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c
                               where s.setrole = v_role::regrole and c like 'temp_file_limit=%');
        begin
            execute format('alter role %I set temp_file_limit = ''256MB''', v_role);
        exception when insufficient_privilege then
            raise warning 'role % may write temporary files without a limit', v_role
                using hint = format('A superuser can set one: alter role %I set temp_file_limit = ''256MB''',
                                    v_role);
        end;
    end loop;
end
$$;

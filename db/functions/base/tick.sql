-- The one timer. Every runner calls it; one at a time does what is due, the others leave at once.
create or replace function kiln_runner.tick(p_runner_id bigint default null)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_name text;
begin
    if kiln_internal.is_unchecked() then perform kiln_internal.check_cluster(); end if;
    -- A row, not an advisory lock: those belong to the whole database, and any login could hold one and so
    -- stop every timer.
    perform from kiln.mutex m where m.name = 'tick' for update skip locked;
    if not found then
        return;
    end if;
    perform kiln_internal.advance_low_watermarks();
    perform kiln_internal.ready_due_tasks(1000);
    perform kiln_internal.admit_all_deferred();

    for v_name in
        select c.name from kiln.maintenance c
         -- the clock was set back
         where c.ran_at is null or c.ran_at + c.every <= kiln_internal.now()
            or c.ran_at > kiln_internal.now() + c.every
         order by c.name
    loop
        update kiln.maintenance c set ran_at = kiln_internal.now() where c.name = v_name;
        begin
            case v_name
                when 'expire'       then perform kiln_internal.expire_runners(p_runner_id);
                when 'expire_calls'      then perform kiln_internal.expire_calls(100);
                when 'quarantine'      then perform kiln_internal.assign_quarantined();
                when 'overdue'    then perform kiln_internal.fail_overdue(100);
                when 'partitions' then perform kiln_internal.maintain_partitions();
                when 'repair'     then perform kiln_internal.repair_below_low_watermark(1000),
                                              kiln_internal.repair_limiters();
                when 'purge_accounts'    then perform kiln_internal.purge_accounts(10),
                                                     kiln_internal.purge_projects(10);
                when 'purge'     then perform kiln_internal.purge_expired();
                when 'waiters'   then perform kiln_internal.remove_gone_waiters();
                when 'models'     then perform kiln_internal.measure_models();
                when 'ephemeral events'   then perform kiln_internal.purge_ephemeral_events();
                when 'timeline'   then perform kiln_internal.record_timeline();
            end case;
        exception when others then
            -- A maintenance job that fails stops no other, and not the timer: it is tried again when it is
            -- due again.
            raise warning 'maintenance job % failed: % (%)', v_name, sqlerrm, sqlstate;
        end;
    end loop;
end
$$;
comment on function kiln_runner.tick(bigint) is
'What is due: the low watermarks, the waiting tasks, the dead, the overdue, partitions, retention. Each 100 ms
by a busy runner, each second by an idle one (its idle cycle does it). Only p_runner_id with a lease of
unbroken beats buries others; null: nobody is buried.';

-- Where this database is at home. Transaction numbers mean something in one cluster only, and ids that were
-- given away since a backup mean something else after it is restored. So the data carries its cluster's
-- identity: the system identifier, and the object id of the table that says it, which a dump and restore
-- changes even within one cluster, and a copy by CREATE DATABASE … TEMPLATE, a standby or a physical restore
-- keeps. Where they differ, nothing is served until kiln.after_restore() has been called (docs/backup.md).
create table kiln.cluster (
    only_row          boolean primary key default true,
    system_identifier bigint  not null,
    relation          oid     not null,
    history           text    not null default '',
    constraint cluster_one_row_check check (only_row),
    constraint cluster_history_check check (history ~ '^(-[0-9a-f]{8})?$')
);
insert into kiln.cluster (system_identifier, relation)
select s.system_identifier, 'kiln.cluster'::regclass::oid from pg_catalog.pg_control_system() s;
comment on table kiln.cluster is
'The cluster whose transaction numbers the log carries; one row, written by kiln.after_restore() alone.';
comment on column kiln.cluster.only_row is 'Keeps the table at one row.';
comment on column kiln.cluster.system_identifier is 'The identifier that initdb gave the cluster.';
comment on column kiln.cluster.relation is
'The object id of this table: another one after a dump and restore, also within one cluster.';
comment on column kiln.cluster.history is
'Empty, or chance that the last restore drew: positions of streams from before it are of another history.';

-- The log is ordered by transaction, and a new cluster's counter begins low. So the log's numbers are the
-- cluster's and a base, which a restore raises beyond all that is in the log: not a row of it is rewritten. A
-- function, since it is a constant to each plan. Not an immutable one: of that PostgreSQL computes the value
-- when it plans, and keeps it when the function is replaced; a stable one it inlines, and plans again.
create function kiln_internal.xid_base()
returns bigint
language sql stable parallel safe
return 0::bigint;
comment on function kiln_internal.xid_base() is
'What is added to this cluster''s transaction numbers in the log of events; kiln.after_restore() replaces this
function.';

create function kiln_internal.log_xid(p_xid xid8)
returns xid8
language sql stable parallel safe
return case when kiln_internal.xid_base() = 0 then p_xid
            else (p_xid::text::bigint + kiln_internal.xid_base())::text::xid8 end;
comment on function kiln_internal.log_xid(xid8) is 'A transaction of this cluster as the log numbers it.';

create function kiln_internal.cluster_xid(p_log_xid xid8)
returns xid8
language sql stable parallel safe
return case when kiln_internal.xid_base() = 0 then p_log_xid
            else greatest(p_log_xid::text::bigint - kiln_internal.xid_base(), 2)::text::xid8 end;
comment on function kiln_internal.cluster_xid(xid8) is
'The other way. History, from before a restore, is 2, PostgreSQL''s number for what everybody sees.';

create function kiln_internal.is_unchecked()
returns boolean
language sql stable
return pg_catalog.current_setting('kiln.checked',
                                  true) is distinct from ('kiln.cluster'::regclass::oid)::text;
comment on function kiln_internal.is_unchecked() is
'Whether this session has yet to call kiln_internal.check_cluster(); costs next to nothing.';

create function kiln_internal.is_restored()
returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
begin
    return not exists (select from kiln.cluster c, pg_catalog.pg_control_system() s
                        where c.system_identifier = s.system_identifier
                          and c.relation = 'kiln.cluster'::regclass::oid);
end
$$;
comment on function kiln_internal.is_restored() is
'Whether this database came here by a dump and restore, and kiln.after_restore() was not called since.';

create function kiln_internal.check_cluster()
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    if kiln_internal.is_restored() then
        raise exception 'this database was restored from a backup: run ./kiln after-restore, which is select '
                        'kiln.after_restore(), before it is used'
            using errcode = 'KN017',
            hint = 'It makes history of the old events and lists what may have happened since the backup '
                   '(docs/backup.md).';
    end if;
    perform pg_catalog.set_config('kiln.checked', ('kiln.cluster'::regclass::oid)::text, false);
end
$$;
comment on function kiln_internal.check_cluster() is
'Refuses a database that was restored and not prepared (KN017); once a session, since its cluster stays the
same.';

create function kiln_internal.check_xid()
returns xid8
language plpgsql volatile
as $$
begin
    perform kiln_internal.check_cluster();
    return kiln_internal.log_xid(pg_catalog.pg_current_xact_id());
end
$$;
comment on function kiln_internal.check_xid() is 'kiln_internal.log_xid() for the first time in a session.';

-- Each event asks: inlined, this costs a look at a setting.
create function kiln_internal.log_xid()
returns xid8
language sql volatile
return case when kiln_internal.is_unchecked() then kiln_internal.check_xid()
            else kiln_internal.log_xid(pg_catalog.pg_current_xact_id()) end;
comment on function kiln_internal.log_xid() is
'This transaction as the log numbers it: for what is written. KN017: the database was restored, and whoever
writes is refused.';

create table kiln.restore (
    restore_id        bigint      generated always as identity primary key,
    restored_at       timestamptz not null default kiln_internal.now(),
    former_identifier bigint      not null,
    system_identifier bigint      not null,
    xid_base          bigint      not null,
    nothing_ran       boolean     not null,
    keeps_files       boolean     not null,
    by_name           text        not null default session_user,
    findings          jsonb       not null
);
comment on table kiln.restore is 'Each call of kiln.after_restore() that did something.';
comment on column kiln.restore.restore_id is 'The key.';
comment on column kiln.restore.restored_at is 'When.';
comment on column kiln.restore.former_identifier is
'The system identifier of the cluster from which the backup was taken.';
comment on column kiln.restore.system_identifier is 'That of this one.';
comment on column kiln.restore.xid_base is 'From here on kiln_internal.xid_base().';
comment on column kiln.restore.nothing_ran is
'Whether who called it said that nothing had run since the backup.';
comment on column kiln.restore.keeps_files is
'Files of the store that no row names and that are older than this restore stay there: results that were paid
after the backup may be among them. Set it to false to have them removed.';
comment on column kiln.restore.by_name is 'The database role of the session.';
comment on column kiln.restore.findings is 'What kiln.after_restore() returned.';

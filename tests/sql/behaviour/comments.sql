-- \d+ and \df+ are the manual of Kiln's database: nothing in it may be without its comment.
begin;
select plan(9);

create temporary view ours as
select n.oid, n.nspname from pg_namespace n
 where n.nspname in ('kiln', 'kiln_internal', 'kiln_api', 'kiln_runner');

select is_empty($$ select nspname from ours where obj_description(oid, 'pg_namespace') is null $$,
                'every schema says for whom it is');

select is_empty($$
    select c.oid::regclass from pg_class c join ours o on o.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f') and obj_description(c.oid, 'pg_class') is null
$$, 'every table, partition and view says what it promises');

select is_empty($$
    select c.oid::regclass || '.' || a.attname from pg_class c join ours o on o.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid
     where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and a.attnum > 0
       and not a.attisdropped
       and col_description(c.oid, a.attnum) is null
$$, 'every column of a table or view says what it holds');

select is_empty($$
    select c.oid::regclass from pg_class c join ours o on o.oid = c.relnamespace
     where c.relkind = 'S' and obj_description(c.oid, 'pg_class') is null
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                          and d.deptype in ('a', 'i'))
$$, 'every sequence that is no identity column says what it counts');

select is_empty($$
    select p.oid::regprocedure from pg_proc p join ours o on o.oid = p.pronamespace
     where obj_description(p.oid, 'pg_proc') is null
       and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                          and d.deptype = 'e')
$$, 'every function explains itself in \df+');

select is_empty($$
    select t.oid::regtype from pg_type t join ours o on o.oid = t.typnamespace
      left join pg_class c on c.oid = t.typrelid
     where (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c')
       and obj_description(t.oid, 'pg_type') is null
$$, 'every type and domain says what its values mean');

select is_empty($$
    select p.polrelid::regclass || ' ' || p.polname from pg_policy p join pg_class c on c.oid = p.polrelid
      join ours o on o.oid = c.relnamespace
     where obj_description(p.oid, 'pg_policy') is null
$$, 'every policy says whom it lets see what');

select is_empty($$
    select r.name
      from unnest('{kiln_owner,kiln_definer,kiln_server,kiln_worker,kiln_reader,kiln_admin}'::text[]) as r (name)
      left join pg_roles p on p.rolname = r.name
     where shobj_description(p.oid, 'pg_authid') is null
$$, 'every role is there and says who it is');

select is_empty($$
    select q.d from (
        select obj_description(c.oid, 'pg_class') as d from pg_class c join ours o on o.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'v') and not c.relispartition
        union all
        select obj_description(p.oid, 'pg_proc') from pg_proc p join ours o on o.oid = p.pronamespace
         where not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                              and d.deptype = 'e')) q
     where length(q.d) < 12 or q.d !~ '\.'
$$, 'what is said of tables and functions are sentences, not labels');

select * from finish();
rollback;

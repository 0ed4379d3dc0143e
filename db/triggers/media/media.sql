-- A file goes only after its row: a deleted row (or a key that is taken out of one) leaves its file in
-- kiln.trash.
create or replace function kiln_internal.on_media_delete()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
    insert into kiln.trash (storage_key)
    select k.storage_key
      from old_rows o
      cross join lateral (values (o.storage_key), (o.thumbnail_key), (o.incoming_key),
                          (o.clean_key)) as k (storage_key)
     where k.storage_key is not null
    on conflict do nothing;
    return null;
end
$$;
comment on function kiln_internal.on_media_delete() is 'Hands the files of deleted rows to kiln.trash.';

create or replace trigger t50_deleted
    after delete on kiln.media referencing old table as old_rows
    for each statement execute function kiln_internal.on_media_delete();
alter table kiln.media enable always trigger t50_deleted;

-- What belongs to a change of a queue.
create or replace function kiln_internal.check_queue()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.max_running < 1 then
        raise exception 'queue %: max_running is to be at least 1, or null for no limit', new.name
            using errcode = 'KN003', column = 'max_running',
            hint = format('select kiln.pause_queue(%L) stops a queue, and kiln.resume_queue(%1$L) lets '
                          'it go on.', new.name);
    elsif new.rate_per_minute < 1 then
        raise exception 'queue %: rate_per_minute is to be at least 1, or null for no limit', new.name
            using errcode = 'KN003', column = 'rate_per_minute',
            hint = format('select kiln.pause_queue(%L) stops a queue, and kiln.resume_queue(%1$L) lets '
                          'it go on.', new.name);
    elsif new.rate_burst < 1 or new.rate_burst >= new.rate_per_minute and new.rate_per_minute > 1
       or new.rate_burst > new.rate_per_minute then
        raise exception 'queue %: rate_burst is to be at least 1 and less than rate_per_minute', new.name
            using errcode = 'KN003', column = 'rate_burst';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_queue() is
'Refuses limits under which nothing could ever start, and says how to stop a queue (KN003).';
create or replace trigger t10_check before insert or update on kiln.queue for each row
    execute function kiln_internal.check_queue();
alter table kiln.queue enable always trigger t10_check;

create or replace function kiln_internal.on_queue_insert()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
    insert into kiln.low_watermark (queue_id, priority, is_paused) select new.queue_id, p, new.is_paused
                                                                     from generate_series(0, 3) as p;
    insert into kiln.queue_limiter (queue_id) values (new.queue_id);
    return null;
end
$$;
comment on function kiln_internal.on_queue_insert() is
'Gives a new queue its low watermarks and its limiter.';
create or replace trigger t50_low_watermarks after insert on kiln.queue for each row
    execute function kiln_internal.on_queue_insert();
alter table kiln.queue enable always trigger t50_low_watermarks;

create or replace function kiln_internal.on_queue_update()
returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.low_watermark f set is_paused = new.is_paused
     where f.queue_id = new.queue_id and f.is_paused <> new.is_paused;
    update kiln.runner r set limited_ids = kiln_internal.limited_queues(r.queue_ids)
     where r.ended_at is null and new.queue_id = any (r.queue_ids)
       and r.limited_ids <> kiln_internal.limited_queues(r.queue_ids);
    if not new.is_paused then
        perform kiln_internal.notify_waiters(array[new.queue_id]);
    end if;
    return null;
end
$$;
comment on function kiln_internal.on_queue_update() is
'Tells the low watermarks of a queue whether it is paused, and its runners whether it is limited, which is
where claims look.';
create or replace trigger t50_changed after update on kiln.queue for each row
    execute function kiln_internal.on_queue_update();
alter table kiln.queue enable always trigger t50_changed;

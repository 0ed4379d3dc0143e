-- A pause of a queue.
create or replace function kiln.pause_queue(p_name text)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.queue set is_paused = true where name = p_name;
    if not found then
        raise exception 'there is no queue %', quote_literal(p_name) using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln.pause_queue(text) is
'Stops claims from a queue. Running tasks continue. KN002: there is no such queue.';

create or replace function kiln.resume_queue(p_name text)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    update kiln.queue set is_paused = false where name = p_name;
    if not found then
        raise exception 'there is no queue %', quote_literal(p_name) using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln.resume_queue(text) is
'Ends the pause of a queue and notifies its runners. KN002: there is no such queue.';

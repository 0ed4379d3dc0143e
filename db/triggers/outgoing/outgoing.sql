-- What a person may type of endpoints and deliveries.

-- An address by hand is one that kiln_internal.make_endpoint() would take: to another no delivery would ever
-- go.
create or replace function kiln_internal.check_endpoint()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.is_by_hand() and kiln.webhook_url_error(new.url) is not null then
        raise exception 'webhook endpoint: url %', kiln.webhook_url_error(new.url)
            using errcode = 'KN003', column = 'url',
            hint = 'kiln.config.webhook_hosts lists hosts of the operator''s own.';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_endpoint() is
'Refuses a person''s webhook address to which no delivery would go (KN003).';
create or replace trigger t20_check before insert or update of url on kiln.webhook_endpoint for each row
    execute function kiln_internal.check_endpoint();

-- What has ended is not sent again by a new time.
create or replace function kiln_internal.guard_ended_delivery()
returns trigger
language plpgsql
as $$
begin
    if kiln_internal.is_by_hand() and old.state <> 'due'
       and (old.due_at, old.claimed_until) is distinct from (new.due_at, new.claimed_until) then
        raise exception 'delivery % is %: its times are of one that is due', old.delivery_id, old.state
            using errcode = 'KN001', hint = 'kiln.resend() sends a delivery again.';
    end if;
    return new;
end
$$;
comment on function kiln_internal.guard_ended_delivery() is
'Refuses a person''s new time for a delivery that has ended, where it would do nothing (KN001).';
create or replace trigger t20_ended before update of due_at, claimed_until on kiln.delivery for each row
    execute function kiln_internal.guard_ended_delivery();

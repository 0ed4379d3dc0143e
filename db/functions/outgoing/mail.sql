-- Who may be mailed. An address in a profile is somebody's word until a link that was mailed there is opened.
-- Until then it gets confirmations alone, which hold no word of a user; and however many accounts name it, a
-- day's mails to it are counted together.
create or replace function kiln_internal.mail_key(p_email text)
returns bytea
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return kiln_extensions.hmac(convert_to('address|'
                                           || regexp_replace(lower(p_email), '^([^@+]+)\+[^@]*@', '\1@'),
                                           'UTF8'),
                     (select s.value from kiln.secret s where s.name = 'mail'), 'sha256');
end
$$;
comment on function kiln_internal.mail_key(text) is
'Under what a mailbox is counted: an HMAC of its address in lower case, without what stands behind a plus
sign, which mailboxes commonly ignore.';

create or replace function kiln_internal.is_mailing()
returns boolean
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return (select c.public_url from kiln.config c) is not null
       and coalesce((select o.mailing_at from kiln.outgoing o) > kiln_internal.now() - interval '1 day',
                    false);
end
$$;
comment on function kiln_internal.is_mailing() is
'Whether confirmations can be sent: a runner with KILN_SMTP_URL asked within a day, and links have a public
URL.';

create or replace function kiln_internal.spend_mail(p_email text, p_is_confirmation boolean)
returns boolean
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_today date := (kiln_internal.now() at time zone 'UTC')::date;
    v_cap   int := (select case when p_is_confirmation then c.confirmations_per_day else c.mails_per_day end
                      from kiln.config c);
begin
    if v_cap = 0 then
        return false;
    end if;
    insert into kiln.mail_recipient as r (address_hash, day, mails, confirmations)
    values (kiln_internal.mail_key(p_email), v_today, (not p_is_confirmation)::int, p_is_confirmation::int)
    on conflict (address_hash) do update
       set day = v_today,
           mails = case when r.day = v_today then r.mails else 0 end + (not p_is_confirmation)::int,
           confirmations = case when r.day = v_today then r.confirmations else 0 end + p_is_confirmation::int
     where r.suppressed_at is null and (r.day < v_today
                                        or case when p_is_confirmation then r.confirmations
                                                else r.mails end < v_cap);
    return found;
end
$$;
comment on function kiln_internal.spend_mail(text, boolean) is
'Takes one of the day''s mails, or of its confirmations, to an address, over all accounts and exactly: two at
once wait for one another. False: none is left, or its reader wants none.';

create or replace function kiln_internal.is_suppressed(p_email text)
returns boolean
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    return exists (select from kiln.mail_recipient r
                    where r.address_hash = kiln_internal.mail_key(p_email) and r.suppressed_at is not null);
end
$$;
comment on function kiln_internal.is_suppressed(text) is
'Whether a reader of this address turned its mail off.';

create or replace function kiln_internal.suppress_mail(p_address_hash bytea)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    insert into kiln.mail_recipient as r (address_hash, day, suppressed_at)
    values (p_address_hash, (kiln_internal.now() at time zone 'UTC')::date, kiln_internal.now())
    on conflict (address_hash) do update set suppressed_at = excluded.suppressed_at
     where r.suppressed_at is null;
end
$$;
comment on function kiln_internal.suppress_mail(bytea) is
'No mail goes to this address any more, whichever account names it.';

create or replace function kiln.unsuppress_mail(p_email text)
returns void
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    update kiln.mail_recipient r set suppressed_at = null
     where r.address_hash = kiln_internal.mail_key(p_email) and r.suppressed_at is not null;
end
$$;
comment on function kiln.unsuppress_mail(text) is
'Allows mail to an address again whose reader turned it off. For a person who asks for it and proves to read
the address.';

-- A key of its own, and the address in it: a link in old mail to another address turns nothing off.
create or replace function kiln_internal.sign_unsubscribe(p_account_id bigint, p_email text)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
    return p_account_id || '-'
        || left(encode(kiln_extensions.hmac(convert_to(p_account_id || '|' || lower(p_email), 'UTF8'),
                                                        (select s.value from kiln.secret s
                                                          where s.name = 'mail'), 'sha256'), 'hex'), 40);
end
$$;
comment on function kiln_internal.sign_unsubscribe(bigint, text) is
'What stands in the link that turns off an account''s mail: its number and 160 bits of an HMAC over it and its
address.';

-- A confirmation may come from an account that names another address by tomorrow, so its way out is about the
-- address alone.
create or replace function kiln_internal.sign_suppression(p_address_hash bytea)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
    return 'n-' || encode(p_address_hash, 'hex') || '-'
        || left(encode(kiln_extensions.hmac(convert_to('suppress|', 'UTF8') || p_address_hash, (select s.value
                                                        from kiln.secret s where s.name = 'mail'), 'sha256'),
                       'hex'), 40);
end
$$;
comment on function kiln_internal.sign_suppression(bytea) is
'What stands in the link that turns off all mail to an address, of whichever account: kiln_internal.mail_key()
and 160 bits of an HMAC over it.';

create or replace function kiln_internal.unsubscribe(p_token text)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account_id bigint := case when p_token ~ '^[0-9]{1,18}-[0-9a-f]{40}$'
                                    then split_part(p_token, '-', 1)::bigint end;
    v_hash       bytea := case when p_token ~ '^n-[0-9a-f]{64}-[0-9a-f]{40}$'
                                   then decode(split_part(p_token, '-', 2), 'hex') end;
    v_email      text := (select a.email from kiln.account a where a.account_id = v_account_id);
    v_right      text := case when v_hash is not null then kiln_internal.sign_suppression(v_hash)
                              when v_email is not null
                                  then kiln_internal.sign_unsubscribe(v_account_id, v_email) end;
begin
    -- hashed: see kiln_internal.check_link()
    if v_right is null or sha256(convert_to(p_token, 'UTF8')) <> sha256(convert_to(v_right, 'UTF8')) then
        raise exception 'this link does not turn off mail of any account'
            using errcode = 'KN008', hint = 'The profile has the same switch: notify_email.';
    end if;
    update kiln.account a set notify_email = false where a.account_id = v_account_id and a.notify_email;
    perform kiln_internal.suppress_mail(coalesce(v_hash, kiln_internal.mail_key(v_email)));
end
$$;
comment on function kiln_internal.unsubscribe(text) is
'Turns off the mail to the address of a link of kiln_internal.sign_unsubscribe() or
kiln_internal.sign_suppression(), and in the profile of the account that it names; again is fine. KN008: it is
about none, or about an address of before.';

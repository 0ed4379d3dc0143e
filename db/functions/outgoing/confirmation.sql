-- The confirmation of an address of mail.
create or replace function kiln_internal.sign_confirmation(p_account_id bigint, p_email text,
                                                           p_expires bigint)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
    return p_account_id || '-' || p_expires || '-'
        || left(encode(kiln_extensions.hmac(convert_to('confirm|' || p_account_id || '|' || p_expires || '|'
                                                       || lower(p_email), 'UTF8'),
                                 (select s.value from kiln.secret s where s.name = 'mail'), 'sha256'), 'hex'),
                40);
end
$$;
comment on function kiln_internal.sign_confirmation(bigint, text, bigint) is
'What stands in the link that proves an account''s address: its number, when it expires in seconds, and 160
bits of an HMAC over both and the address.';

create or replace function kiln_internal.confirm_email(p_token text)
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_parts   text[] := regexp_match(p_token, '^([0-9]{1,18})-([0-9]{1,11})-[0-9a-f]{40}$');
    v_account kiln.account;
begin
    select a.* into v_account from kiln.account a where a.account_id = v_parts[1]::bigint
       and not a.is_suspended for no key update;
    if v_account.email is null or v_parts[2]::bigint <= extract(epoch from kiln_internal.now())
       or sha256(convert_to(p_token, 'UTF8'))
        <> sha256(convert_to(kiln_internal.sign_confirmation(v_account.account_id, v_account.email,
                                                             v_parts[2]::bigint), 'UTF8')) then
        raise exception 'this link confirms no address, or not any more'
            using errcode = 'KN008', hint = 'The profile can ask for another: POST /me/email/confirmation.';
    end if;
    update kiln.account a set email_verified_at = kiln_internal.now()
     where a.account_id = v_account.account_id and a.email_verified_at is null;
    perform kiln.unsuppress_mail(v_account.email);
end
$$;
comment on function kiln_internal.confirm_email(text) is
'Notes that whoever has this link of kiln_internal.sign_confirmation() reads the account''s address; again is
fine. KN008: forged, expired, or about an address of before.';

create or replace function kiln_internal.make_confirmation(p_account_id bigint)
returns text
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account kiln.account;
begin
    -- one at a time, so the count is exact
    select a.* into v_account from kiln.account a where a.account_id = p_account_id for no key update;
    if v_account.email is null then
        return 'no address';
    elsif v_account.email_verified_at is not null then
        return 'confirmed';
    elsif not kiln_internal.is_mailing() then
        return 'off';
    elsif kiln_internal.is_suppressed(v_account.email) then
        return 'suppressed';
    elsif (select count(*) from kiln.delivery d where d.account_id = p_account_id and d.target = 0
              and d.event_id is null and d.created_at > kiln_internal.now() - interval '1 day')
          >= (select c.confirmations_per_day from kiln.config c)
          or not kiln_internal.spend_mail(v_account.email, true) then
        return 'too many';
    end if;
    insert into kiln.delivery (account_id, body) values (p_account_id, v_account.email);
    return 'made';
end
$$;
comment on function kiln_internal.make_confirmation(bigint) is
'Has a confirmation mailed to an account''s address: made, or why not: no address, confirmed, off, suppressed,
too many (kiln.config.confirmations_per_day, of the account in 24 hours and of the address in a day).';

create or replace function kiln_internal.ask_confirmation(p_account_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
declare
    v_outcome text;
begin
    perform kiln_internal.guard_own(p_account_id);
    v_outcome := kiln_internal.make_confirmation(p_account_id);
    case v_outcome
        when 'no address' then raise exception 'the profile has no email' using errcode = 'KN001',
         hint = 'Set one: PATCH /me.';
        when 'off' then raise exception 'this installation sends no mail' using errcode = 'KN001',
            hint = 'Its operator can turn it on.';
        when 'suppressed' then
            raise exception 'a reader of this address turned its mail off'
                using errcode = 'KN001', hint = 'The operator can allow it again.';
        when 'too many' then
            raise exception 'no more confirmations are sent to this address today'
                using errcode = 'KN007',
                      detail = json_build_object('retry_after', ceil(extract(epoch from
                          date_trunc('day', kiln_internal.now(), 'UTC') + interval '1 day'
                          - kiln_internal.now())))::text;
        else null;
    end case;
end
$$;
comment on function kiln_internal.ask_confirmation(bigint) is
'Has a confirmation mailed again; of a confirmed address nothing. KN001: there is no address, no mail, or its
reader wants none. KN007: enough for today.';

create or replace function kiln_internal.confirmation_request(p_delivery kiln.delivery, p_from text)
returns jsonb
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account  kiln.account;
    v_template kiln.mail_template;
    v_config   kiln.config;
    v_expires  timestamptz;
begin
    select a.* into v_account from kiln.account a where a.account_id = p_delivery.account_id;
    select * into v_template from kiln.mail_template m where m.type = 'confirmation';
    select * into v_config from kiln.config;
    v_expires := p_delivery.created_at + v_config.confirmation_ttl;
    if v_account.email is distinct from p_delivery.body or v_account.email_verified_at is not null
       or v_account.is_suspended then
        return jsonb_build_object('refusal', 'There is no address to confirm any more.');
    elsif kiln_internal.is_suppressed(p_delivery.body) then
        return jsonb_build_object('refusal', 'A reader of this address turned its mail off.');
    elsif v_config.public_url is null or v_template.type is null or v_expires <= kiln_internal.now() then
        return jsonb_build_object('refusal', 'There is no link that it could hold.');
    end if;
    return kiln_internal.mail_message(p_delivery, p_from, p_delivery.body, v_template,
        jsonb_build_object('hours', floor(extract(epoch from v_config.confirmation_ttl) / 3600),
                           'link', v_config.public_url || '/api/v1/confirm-email/'
                           || kiln_internal.sign_confirmation(v_account.account_id, v_account.email,
                                                              extract(epoch from v_expires)::bigint)),
        'Somebody named this address at Kiln.', v_config.public_url || '/api/v1/unsubscribe/'
                                  || kiln_internal.sign_suppression(kiln_internal.mail_key(v_account.email)));
end
$$;
comment on function kiln_internal.confirmation_request(kiln.delivery, text) is
'The mail with the link that proves an address, as kiln_internal.mail_request() returns it: nothing in it was
written by a user.';

-- The text of a mail.
create or replace function kiln_internal.fill_words(p_template text, p_words jsonb, p_is_html boolean)
returns text
language plpgsql immutable
set search_path = ''
as $$
declare
    v_name text;
    v_word text;
    v_text text := '';
    v_rest text := p_template;
begin
    -- In one pass from left to right: what a word says is not looked at for words.
    loop
        v_name := substring(v_rest from '\{\{([a-z_]+)\}\}');
        exit when v_name is null;
        v_word := coalesce(p_words ->> v_name, '');
        if p_is_html then
            v_word := replace(replace(replace(replace(replace(v_word, '&', '&amp;'), '<', '&lt;'), '>',
                                              '&gt;'), '"', '&quot;'), '''', '&#39;');
        end if;
        v_text := v_text || left(v_rest, strpos(v_rest, '{{' || v_name || '}}') - 1) || v_word;
        v_rest := substr(v_rest, strpos(v_rest, '{{' || v_name || '}}') + length(v_name) + 4);
    end loop;
    return v_text || v_rest;
end
$$;
comment on function kiln_internal.fill_words(text, jsonb, boolean) is
'A template with its words put in, escaped for HTML where it is that.';

create or replace function kiln_internal.mail_base64(p_text text)
returns text
language sql immutable
return replace(encode(convert_to(regexp_replace(p_text, E'\r?\n', E'\r\n', 'g'), 'UTF8'), 'base64'), E'\n',
               E'\r\n');
comment on function kiln_internal.mail_base64(text) is
'A body of mail in base64, its lines ended as mail ends them: whatever is in it, no line of it is a header, a
boundary or a lone dot.';

-- RFC 2047: an encoded word has at most 75 characters and no half letters. Eleven letters are 44 bytes at
-- most, which make 60 of base64.
create or replace function kiln_internal.mail_subject(p_text text)
returns text
language sql immutable
return (select string_agg('=?UTF-8?B?'
                          || translate(encode(convert_to(substr(c.line, i, 11), 'UTF8'), 'base64'), E'\n', '')
                          || '?=', E'\r\n ' order by i)
          from (select kiln_internal.shorten(regexp_replace(p_text, '[\x01-\x1f\x7f]+', ' ', 'g'),
                                             150) as line) c, generate_series(1, greatest(length(c.line), 1),
                                                        11) i);
comment on function kiln_internal.mail_subject(text) is
'A subject as encoded words: no character of it can end the header.';

create or replace function kiln_internal.mail_address(p_account kiln.account)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
    return case when p_account.notify_email and p_account.email_verified_at is not null
                and not p_account.is_suspended then p_account.email end;
end
$$;
comment on function kiln_internal.mail_address(kiln.account) is
'Where an account is mailed to; null: it wants none, is suspended, or nobody proved that the address is
theirs.';

-- From, To, Subject and the two bodies; what stands at its foot is the way out.
create or replace function kiln_internal.mail_message(p_delivery kiln.delivery, p_from text, p_to text,
                                                      p_template kiln.mail_template, p_words jsonb,
                                                      p_why text, p_off text)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
    v_border text := 'kiln-' || substr(p_delivery.message_id, 5);
begin
    return jsonb_build_object('from', p_from, 'to', p_to, 'message',
        array_to_string(array[
            'From: Kiln <' || p_from || '>', 'To: <' || p_to || '>',
            'Subject: ' || kiln_internal.mail_subject(kiln_internal.fill_words(p_template.subject, p_words,
                                                        false)),
            'Date: ' || to_char(p_delivery.created_at at time zone 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS')
                              || ' +0000',
            'Message-ID: <' || p_delivery.message_id || '@' || split_part(p_from, '@', 2) || '>',
            'Auto-Submitted: auto-generated', 'List-Unsubscribe: <' || p_off || '>',
            case when p_off like 'https://%' then 'List-Unsubscribe-Post: List-Unsubscribe=One-Click' end,
                              'MIME-Version: 1.0',
            'Content-Type: multipart/alternative; boundary="' || v_border || '"', '',
            '--' || v_border, 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: base64',
                              '',
            kiln_internal.mail_base64(kiln_internal.fill_words(p_template.text, p_words, false) || E'\n-- \n'
                                      || p_why || ' To turn mail off: '
                                      || coalesce(p_off, 'notify_email in your profile') || E'\n'),
            '--' || v_border, 'Content-Type: text/html; charset=utf-8', 'Content-Transfer-Encoding: base64',
                              '',
            kiln_internal.mail_base64(kiln_internal.fill_words(p_template.html, p_words, true) || '<hr><p>'
                                      || p_why || ' '
                             || case when p_off is null then 'To turn mail off: notify_email in your profile.'
                                     else kiln_internal.fill_words('<a href="{{off}}">Turn mail off</a>',
                                                                   jsonb_build_object('off', p_off), true) end
                                      || '</p>'),
            '--' || v_border || '--', ''], E'\r\n'));
end
$$;
comment on function kiln_internal.mail_message(kiln.delivery, text, text, kiln.mail_template, jsonb, text,
                                               text) is
'A whole mail with its headers: {"from", "to", "message"}. p_why: a sentence for its foot; p_off: the link
that turns mail off, or null.';

create or replace function kiln_internal.mail_request(p_delivery kiln.delivery, p_from text)
returns jsonb
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_event    jsonb;
    v_to       text;
    v_template kiln.mail_template;
    v_link     text;
    v_url      text := (select c.public_url from kiln.config c);
begin
    if p_delivery.event_id is null then
        return kiln_internal.confirmation_request(p_delivery, p_from);
    end if;
    v_event := p_delivery.body::jsonb;
    select kiln_internal.mail_address(a) into v_to from kiln.account a
     where a.account_id = p_delivery.account_id;
    select * into v_template from kiln.mail_template m where m.type = p_delivery.type::text;
    if v_to is null or v_template.type is null then
        return jsonb_build_object('refusal', 'There is no address that mail can go to.');
    elsif kiln_internal.is_suppressed(v_to) or p_delivery.attempts = 1
       and not kiln_internal.spend_mail(v_to, false) then
        return jsonb_build_object('refusal',
                                 'This address had all its mails of the day, or its reader turned them off.');
    end if;
    v_link := coalesce(case when p_delivery.type = 'notification' then v_event #>> '{notification,link}'
                            else '/generations/' || (v_event ->> 'job_id') end, '/notifications');
    return kiln_internal.mail_message(p_delivery, p_from, v_to, v_template, jsonb_build_object(
        'label', case when p_delivery.type = 'notification' then 'News from Kiln'
                      else coalesce(v_event ->> 'media_type', 'job') end,
        'prompt', kiln_internal.shorten(coalesce(v_event #>> '{notification,text}',
                                                 (select j.input ->> 'prompt' from kiln.job j
                                                   where j.job_id = (v_event ->> 'job_id')::bigint)), 1000),
        'reason', kiln_internal.shorten(v_event #>> '{error,message}', 300),
        'link', case when v_link like '/%' then coalesce(v_url, '') else '' end || v_link),
        'Your account asks for this mail.', v_url || '/api/v1/unsubscribe/'
                                      || kiln_internal.sign_unsubscribe(p_delivery.account_id, v_to));
end
$$;
comment on function kiln_internal.mail_request(kiln.delivery, text) is
'What a runner is to mail: {"from", "to", "message" (whole, with its headers)}, or {"refusal"} where there is
nobody to mail to. Its first attempt is counted (kiln_internal.spend_mail()).';

-- Deliveries: one for each event and everyone who wants it, signed in the database, tried again, given up,
-- asked for again; by whom.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null
select fixture.account('ann') as ann, fixture.account('bob') as bob \gset
create function pg_temp.endpoint(p_sub text, p_types text default '["job.completed", "notification"]',
                                 p_url text default 'https://example.com/hook') returns jsonb language sql as
$$ select fixture.call(p_sub, 'create_webhook_endpoint',
                       p_body => format('{"url": "%s", "types": %s}', p_url, p_types)) $$;
create function pg_temp.take(p_limit int default 32, p_from text default null) returns jsonb language sql
as $$ select kiln_runner.claim_deliveries(1, p_limit, p_from)::jsonb $$;
-- Events of a transaction that is over, as far as snapshots go.
create function pg_temp.event(p_account bigint, p_type text default 'notification',
                              p_data text default '{"hello": "world"}') returns void language sql as
$$ insert into kiln.event (xid, account_id, type, data)
   values ('10', p_account, p_type::kiln.event_type, p_data::jsonb) $$;
create function pg_temp.rewind() returns void language sql
as $$ update kiln.outgoing set from_snapshot = '5:5:', until_snapshot = null,
             after_id = 0; update kiln.log_start set xid = 0 $$;
create function pg_temp.answer(p_delivery jsonb, p_status int, p_error text default null,
                               p_stage text default null) returns void language sql as
$$ select kiln_runner.delivery_answers(json_build_array(json_build_object('delivery_id', p_delivery
                                                        ->> 'delivery_id',
                                                            'attempt', (p_delivery ->> 'attempt')::int,
                                                                'status', p_status,
                                                                          'elapsed_ms', 5, 'error', p_error,
                                                                              'reply_bytes', 4,
                                                                                  'reply', 'said',
                                                                                      'stage', p_stage))) $$;

-- Off until somebody wants something ------------------------------------------------------------------------

select is(pg_temp.take(), '{"wait_ms": 6000, "deliveries": []}', 'with no endpoint nothing is read');
select is((select from_snapshot::text from kiln.outgoing), null, 'nor a position kept');

-- Endpoints -------------------------------------------------------------------------------------------------

select pg_temp.endpoint('ann') as made \gset
select matches(:'made'::jsonb ->> 'secret', '^whsec_[A-Za-z0-9+/]{43}=$', 'the secret is shown');
select is(fixture.call('ann', 'list_webhook_endpoints') #> '{items,0}', :'made'::jsonb - 'secret', 'once');
select is(jsonb_array_length(fixture.call('bob', 'list_webhook_endpoints') -> 'items'), 0, 'to nobody else');
select is(jsonb_array_length(fixture.call('admin', 'list_webhook_endpoints') -> 'items'), 0,
          'to no admin either');
select is(fixture.bad_fields(format('select fixture.call(''ann'', ''create_webhook_endpoint'', p_body => %L)',
                                    b)), w, 'refused: ' || b) from (values
    ('{}', '/types /url'), ('{"url": "ftp://x/", "types": ["job.completed"]}', '/url'),
                                            ('{"url": "https://a:b@x/", "types": ["job.completed"]}', '/url'),
    ('{"url": "https://x/#f", "types": ["job.completed"]}', '/url'),
        ('{"url": "https://x/\r\nA: b", "types": ["job.completed"]}', '/url'),
                                                        ('{"url": "https://x.example/", "types": []}',
                                                         '/types'),
    ('{"url": "https://x.example/", "types": ["session.ended"]}', '/types'),
                                                        ('{"url": "https://x.example/", "types": [null]}',
                                                         '/types'), ('{"url": 1, "types": "job.completed"}',
                                                                     '/types /url')) v (b, w);
select is(fixture.refusal(format('select fixture.call(%L, %L, jsonb_build_object(''id'', %L))', s, f,
                                 :'made'::jsonb ->> 'id')) ->> 'code', 'KN002',
          s || ' has no ' || f || ' of ann''s')
  from unnest('{bob,admin}'::text[]) s,
       unnest('{delete_webhook_endpoint,rotate_webhook_secret,enable_webhook_endpoint,list_deliveries}'::text[]) f;

-- Which URLs ------------------------------------------------------------------------------------------------

select is(kiln.webhook_url_error(u) is null, may, u || ': ' || why) from (values
    ('https://example.com/hook', true, 'a public name'), ('https://EXAMPLE.com:8443/x?y=1', true,
                                                          'with a port'),
                                                              ('https://example.com./', true,
                                                               'with the dot of the root'),
    ('https://xn--bcher-kva.example/', true, 'a name of other letters'),
                                                        ('http://example.com/', false,
                                                         'http can never be delivered'),
    ('https://localhost/', false, 'a name of this machine'), ('https://LOCALHOST./', false,
                                                              'however it is written'),
                                                                  ('https://x.localhost/', false,
                                                                   'and below it'),
    ('https://db/', false, 'a name of the house'), ('https://db.internal/', false, 'of its network'),
                                                        ('https://printer.local:631/', false, 'of mDNS'),
    ('https://127.0.0.1/', false, 'an address'), ('https://8.8.8.8/', false,
                                                  'a public one too: a certificate is for a name'),
                                                        ('https://2130706433/', false, 'in decimal'),
    ('https://0x7f000001/', false, 'in hexadecimal'), ('https://0177.0.0.1/', false, 'in octal'),
                                                        ('https://127.1/', false, 'in short'),
                                                            ('https://127.0.0.1./', false,
                                                             'with a dot behind'),
    ('https://example.0x7f/', false, 'a name that ends in a number is one'),
                                                        ('https://[::1]/', false, 'of IPv6'),
                                                            ('https://[::ffff:127.0.0.1]/', false, 'mapped'),
    ('https://[64:ff9b::7f00:1]/', false, 'translated'), ('https://[fe80::1%25eth0]/', false, 'with a zone'),
    ('https://user@example.com/', false, 'with a name'), ('https://user:pass@example.com/', false,
                                                          'with a password'),
                                                              ('https://example.com@127.0.0.1/', false,
                                                               'with a name that looks like a host'),
    ('https://example.com\@127.0.0.1/', false, 'with a backslash'),
                                                        ('https://example.com/#@127.0.0.1', false,
                                                         'with a fragment'),
                                                             ('https://example%2ecom/', false, 'escaped'),
    ('https://ex..com/', false, 'an empty label'), ('https://-x.example/', false, 'no name of DNS'),
                                                        ('https://' || repeat('a', 64) || '.example/', false,
                                                         'a label that is too long'),
    ('https://' || repeat('abcdefgh.', 30) || 'example/', false, 'a name that is too long'),
                                                        ('https://example.com:0/', false, 'no port'),
                                                            ('https://example.com:65536/', false,
                                                             'no port either'),
    ('https://１２７.0.0.1/', false, 'digits of full width'), ('gopher://example.com/', false, 'another scheme'),
                                                        ('https:example.com', false, 'half a URL'),
                                                            ('', false, 'nothing'),
                                                                (null, false, 'no value')) v (u, may, why);
select is(fixture.refusal(format('select kiln_internal.make_endpoint(%s, %L, %L)', :ann, 'http://10.0.0.1/',
                                 '{notification}')) ->> 'code', 'KN003',
          'who calls the function is refused like the API''s client');
update kiln.config set webhook_hosts = '127.0.0.1:9000,*.house.example,[fd00::1]:8080,http.example:80';
select is(kiln.webhook_url_error(u) is null, may, u || ': ' || why) from (values
    ('http://127.0.0.1:9000/x', true, 'what the operator lists may be http and private'),
                                                        ('https://127.0.0.1:9000/', true, 'or https'),
                                                            ('http://127.0.0.1/', false, 'on that port only'),
    ('http://127.0.0.1:9001/', false, 'and no other'), ('http://a.house.example/', true, 'below a domain'),
                                                        ('https://a.b.house.example/', true, 'at any depth'),
    ('http://house.example/', false, 'not the domain itself'),
                                                        ('http://evilhouse.example/', false,
                                                         'nor one that ends like it'),
                                                             ('http://a.house.example:8080/', false,
                                                              'on the scheme''s own port'),
    ('http://[FD00::1]:8080/', true, 'of IPv6'), ('http://http.example/', true,
                                                  'the scheme''s own port is the same as none')) v (u, may,
                                                        why);
select throws_ok(format('update kiln.config set webhook_hosts = %L', h), '23514', null,
                 h || ' is no list of hosts') from unnest('{"http://x","a b","a,","*","x;y",","}'::text[]) h;
update kiln.config set webhook_hosts = '';

-- From the log ----------------------------------------------------------------------------------------------

set role kiln_owner;
select pg_temp.rewind() \g /dev/null
reset role;
select pg_temp.event(:ann), pg_temp.event(:bob), pg_temp.event(:ann, 'media.ready') \g /dev/null
select pg_temp.take() as took \gset
select is(jsonb_array_length(:'took'::jsonb -> 'deliveries'), 1,
          'an event becomes a delivery for the endpoint that wants it');
select :'took'::jsonb #> '{deliveries,0}' as one \gset
select is(:'one'::jsonb -> 'hosts', '["example.com"]', 'it may go to that host only');
select is(:'one'::jsonb -> 'is_listed', 'false', 'by https, at a public address');
select is(:'one'::jsonb #>> '{headers,webhook-signature}',
          'v1,' || encode(kiln_extensions.hmac(convert_to((:'one'::jsonb #>> '{headers,webhook-id}') || '.'
                                                          || (:'one'::jsonb #>> '{headers,webhook-timestamp}')
                                                          || '.' || (:'one'::jsonb ->> 'body'), 'UTF8'),
                                    decode(substr(:'made'::jsonb ->> 'secret', 7), 'base64'), 'sha256'),
                          'base64'), 'signed over id, time and body by the secret that was shown');
select is(:'one'::jsonb ->> 'body' like '%"hello": "world"%', true, 'with the event as the stream tells it');
set role kiln_owner;
select pg_temp.rewind() \g /dev/null
reset role;
select is(jsonb_array_length(pg_temp.take() -> 'deliveries'), 0,
          'read once more from the start, nothing is made twice');
select is((select count(*)::int from kiln.delivery), 1, 'really');
select is((select story like 'a runner is at it%' from kiln.deliveries), true, 'the view says how it stands');

-- What comes of it ------------------------------------------------------------------------------------------

select pg_temp.answer(:'one', 500) \g /dev/null
select is((select concat_ws(' ', state, tries, why)
             from kiln.delivery), 'due 1 It answered 500.', 'a refusal is tried again');
select ok((select due_at - kiln_internal.now() between '8 seconds' and '12 seconds'
             from kiln.delivery), 'after ten seconds or so');
select is(jsonb_array_length(pg_temp.take() -> 'deliveries'), 0, 'not before');
select fixture.set_now('2030-01-01 12:00:15Z') \g /dev/null
select pg_temp.take() #> '{deliveries,0}' as two \gset
select is(:'two'::jsonb #> '{headers,webhook-id}', :'one'::jsonb #> '{headers,webhook-id}',
          'under the same id');
select isnt(:'two'::jsonb #> '{headers,webhook-signature}', :'one'::jsonb #> '{headers,webhook-signature}',
            'and signed anew, for the time is another');
select pg_temp.answer(:'two', 302) \g /dev/null
select is((select why from kiln.delivery), 'It answered 302: redirects are not followed.',
          'a redirect is a failure');
select ok((select due_at - kiln_internal.now() between '24 seconds' and '36 seconds'
             from kiln.delivery), 'each wait is thrice the last');
select fixture.set_now('2030-01-01 12:01:00Z') \g /dev/null
select pg_temp.take() #> '{deliveries,0}' as three \gset
select fixture.set_now('2030-01-01 12:03:00Z') \g /dev/null
select is(pg_temp.take() #>> '{deliveries,0,attempt}', '4',
          'one whose runner never answered is taken by another');
select pg_temp.answer(:'three', 200) \g /dev/null
select is((select state::text from kiln.delivery), 'sent', 'an answer that comes late counts all the same');
select is((select failures from kiln.webhook_endpoint), 0, 'and the endpoint is well again');
select is(jsonb_array_length(fixture.call('ann', 'list_deliveries',
                                          jsonb_build_object('id', :'made'::jsonb ->> 'id'))
                             #> '{items,0,attempts}'), 4, 'its owner sees each attempt');
select is((fixture.call('ann', 'list_deliveries',
                        jsonb_build_object('id', :'made'::jsonb ->> 'id'))
           #> '{items,0,attempts,3}') - '{at,attempt}'::text[],
          '{"status": 500, "elapsed_ms": 5, "error": null, "reply_bytes": 4}',
          'with the status and the length of the reply, and no word of it');
select is_empty($$ select attname from pg_attribute
                    where attrelid = 'kiln.delivery_attempt'::regclass and attname = 'reply' $$,
                'the reply itself is kept nowhere');

-- Once more -------------------------------------------------------------------------------------------------

select :'one'::jsonb ->> 'delivery_id' as id \gset
select fixture.set_now('2030-01-01 12:10:00Z') \g /dev/null
select is(fixture.refusal(format('select fixture.call(''bob'', ''resend_delivery'', '
                                 'jsonb_build_object(''id'', %L))', :'id')) ->> 'code', 'KN002',
    'another cannot have it sent again');
select is(fixture.call('ann', 'resend_delivery', jsonb_build_object('id', :'id')) ->> 'state', 'due',
          'its owner can');
select pg_temp.take() #> '{deliveries,0}' as again \gset
select is(:'again'::jsonb #> '{headers,webhook-id}', :'one'::jsonb #> '{headers,webhook-id}',
          'under the same id');
select pg_temp.answer(:'again', 0, 'example.com: no connection in time') \g /dev/null
select is((select why from kiln.delivery), 'example.com: no connection in time',
          'what the runner could not do is said');

-- Two secrets -----------------------------------------------------------------------------------------------

select fixture.call('ann', 'rotate_webhook_secret',
                    jsonb_build_object('id', :'made'::jsonb ->> 'id')) ->> 'secret' as new \gset
select isnt(:'new', :'made'::jsonb ->> 'secret', 'a new secret is another');
select fixture.set_now('2030-01-01 12:11:00Z') \g /dev/null
select is(cardinality(string_to_array(pg_temp.take() #>> '{deliveries,0,headers,webhook-signature}', ' ')), 2,
          'for a day both sign');
select fixture.set_now('2030-01-02 12:11:00Z') \g /dev/null
select is(cardinality(string_to_array(pg_temp.take() #>> '{deliveries,0,headers,webhook-signature}', ' ')), 1,
          'then the new one alone');

-- Nobody delays another -------------------------------------------------------------------------------------

select pg_temp.endpoint('bob', p_url => 'https://other.example/') as bobs \gset
set role kiln_owner; update kiln.webhook_endpoint set created_at = '2030-01-01'
                      where account_id = :bob; reset role;
insert into kiln.delivery (account_id, webhook_endpoint_id, event_id, type, body)
select :ann, (:'made'::jsonb ->> 'id')::bigint, -i, 'notification', '{}' from generate_series(1, 100) i;
insert into kiln.delivery (account_id, webhook_endpoint_id, event_id, type, body, due_at)
values (:bob, (:'bobs'::jsonb ->> 'id')::bigint, -1, 'notification', '{}', kiln_internal.now());
select is((select count(*)::int from jsonb_array_elements(pg_temp.take() -> 'deliveries') d
            where d #>> '{hosts,0}' = 'other.example'), 1,
          'behind a hundred of a failing endpoint, another''s goes at once');
select is((select count(*)::int from kiln.delivery
            where account_id = :ann and claimed_until > kiln_internal.now()), 1,
          'and of the failing one a single one is under way');

-- Enough ----------------------------------------------------------------------------------------------------

update kiln.webhook_endpoint set failures = 19, failing_since = '2030-01-01 12:00:00Z'
 where account_id = :ann;
select count(*) as told from kiln.notification where account_id = :ann \gset
select pg_temp.answer((select jsonb_build_object('delivery_id', delivery_id::text, 'attempt', attempts)
                         from kiln.delivery where account_id = :ann and claimed_until > kiln_internal.now()),
                      503) \g /dev/null
select matches((select disabled_why from kiln.webhook_endpoint
                 where account_id = :ann),
               '^20 attempts in a row failed, for more than a day; the last: It answered 503.',
               'after 20 failures and a day it is disabled');
select is((select count(*)::int from kiln.notification
            where account_id = :ann) - :told, 1, 'its account is told');
select is((select count(*)::int from kiln.delivery
            where account_id = :ann and state = 'due'), 0, 'and what was due is given up');
select is(fixture.refusal(format('select fixture.call(''ann'', ''resend_delivery'', '
                                 'jsonb_build_object(''id'', %L))', :'id')) ->> 'code', 'KN001',
    'nothing is sent again there');
select is(fixture.call('ann', 'enable_webhook_endpoint',
                       jsonb_build_object('id', :'made'::jsonb ->> 'id')) -> 'is_enabled', 'true',
          'until its owner enables it');
select fixture.call('ann', 'resend_delivery', jsonb_build_object('id', :'id')) \g /dev/null
select pg_temp.answer(d, 410) from jsonb_array_elements(pg_temp.take() -> 'deliveries') d \g /dev/null
select matches((select disabled_why from kiln.webhook_endpoint
                 where account_id = :ann), '410', 'who answers 410 is disabled at once');

-- Rights ----------------------------------------------------------------------------------------------------

select is(has_table_privilege(r, 'kiln.endpoint_secret', 'select'), false, r || ' cannot read a secret')
  from unnest('{kiln_server,kiln_worker,kiln_definer,kiln_reader,kiln_admin}'::text[]) r;
select is(has_function_privilege(r, 'kiln_internal.sign_delivery(bigint, text, bigint, text)', 'execute'),
          false, r || ' cannot sign what it likes')
  from unnest('{kiln_server,kiln_worker,kiln_definer,kiln_reader}'::text[]) r;
select is(fixture.call('ann', 'delete_webhook_endpoint', jsonb_build_object('id', :'made'::jsonb ->> 'id')),
          null, 'an endpoint is deleted');
select is((select count(*)::int from kiln.delivery where account_id = :ann), 0, 'with its deliveries');

-- Mail ------------------------------------------------------------------------------------------------------

select is(kiln_internal.mail_subject(E'a\r\nBcc: eve@example.com'),
          '=?UTF-8?B?YSBCY2M6IGV2ZUA=?=' || E'\r\n ' || '=?UTF-8?B?ZXhhbXBsZS5jb20=?=',
          'a line break in a subject begins no header');
select is_empty($$ select line
                     from regexp_split_to_table(kiln_internal.mail_subject(repeat('ü😀', 300)), E'\r\n ') line
                    where length(line) > 75 or line !~ '^=\?UTF-8\?B\?[A-Za-z0-9+/=]+\?=$' $$,
                'encoded words are whole and short enough');
select is(kiln_internal.fill_words('{{a}} {{b}} {{c}}', '{"a": "{{b}}", "b": "<i>&\"''"}', true),
          '{{b}} &lt;i&gt;&amp;&quot;&#39; ', 'what is put in is escaped, and not looked at for words');
select ok(not kiln_internal.mail_base64(E'.\r\n--kiln-x\r\nBcc: x') ~ '(^|\n)(\.|--|Bcc)',
          'a body holds no boundary, no lone dot');
select is(kiln_internal.mail_address(a), e, why) from (values
    (true, '2030-01-01', false, 'ann@example.com', 'mailed is who wants it, at an address that was proven'),
                                                       (false, '2030-01-01', false, null,
                                                        'not who wants none'),
    (true, null, false, null, 'not where nobody proved to read it'),
                                                       (true, '2030-01-01', true, null,
                                                        'not who is suspended')) v (wants, proven, suspended,
                                                            e, why)
  cross join lateral jsonb_populate_record(null::kiln.account,
                                           jsonb_build_object('email', 'ann@example.com',
                                                              'notify_email', wants,
                                                              'email_verified_at', proven,
                                                              'is_suspended', suspended)) a;
select is(fixture.bad_fields(format('select fixture.call(''ann'', ''update_me'', p_body => %L)',
                                    jsonb_build_object('email', e))), w, e || ': ' || why) from (values
    ('a.b+c@x.co.uk', null, 'is an address'), ('a>b@example.com', '/email', 'could end the command'),
                                                        ('ann@localhost', '/email', 'is in no domain'),
                                                            ('ann@ex..com', '/email', 'has an empty label'),
    ('"a b"@example.com', '/email', 'is quoted'), ('änn@example.com', '/email', 'is not of ASCII'),
                                                        (E'ann@example.com\nBcc: x', '/email',
                                                         'has a line break'),
                                                             (E'ann@example.com\r', '/email', 'ends in one'),
    ('ann@example.com,eve@example.com', '/email', 'are two'), ('ann@example.com> SIZE=1', '/email',
                                                               'has a parameter'),
                                                                   (repeat('a', 65) || '@example.com',
                                                                    '/email', 'has too long a name')) v (e, w,
                                                                        why);
update kiln.account set email = 'ann@example.com', email_verified_at = kiln_internal.now(),
       notify_email = true where account_id = :ann;
update kiln.account set email = 'bob@example.com', notify_email = true where account_id = :bob;
select fixture.act_as('cay'), fixture.act_as('dan') \g /dev/null
select fixture.account('cay') as cay, fixture.account('dan') as dan \gset
update kiln.account set email = 'cay@example.com', email_verified_at = kiln_internal.now()
 where account_id = :cay;
set role kiln_owner;
update kiln.account set email = 'dan@example.com', email_verified_at = kiln_internal.now(),
       notify_email = true, is_suspended = true where account_id = :dan;
reset role;
delete from kiln.webhook_endpoint;
select fixture.set_now('2030-01-03 12:00:00Z') \g /dev/null
set role kiln_owner;
select pg_temp.rewind() \g /dev/null
reset role;
select pg_temp.take() \g /dev/null
select is((select count(*)::int from kiln.delivery), 0, 'no mail is made while no runner can send any');
select pg_temp.take(p_from => 'kiln@example.org') \g /dev/null
set role kiln_owner;
select pg_temp.rewind() \g /dev/null
reset role;
set role kiln_owner; delete from kiln.event; reset role;
select pg_temp.event(a,
    p_data => '{"notification": {"text": "Hi\r\nBcc: eve@example.com\r\n.\r\n", "link": "/x"}}')
  from unnest(array[:ann, :bob, :cay, :dan]) a \g /dev/null
select pg_temp.take() \g /dev/null
select results_eq('select account_id from kiln.delivery', array[:ann::bigint],
             'once one can, it is made: not for who wants none, is suspended, or has not proved the address');
select is(jsonb_array_length(pg_temp.take() -> 'deliveries'), 0,
          'a runner that cannot send mail is given none');
update kiln.config set public_url = 'https://kiln.example';
select pg_temp.take(p_from => 'kiln@example.org') #> '{deliveries,0}' as mail \gset
select :'mail'::jsonb ->> 'message' as message,
       split_part(:'mail'::jsonb ->> 'message', E'\r\n\r\n', 1) as head \gset
select is(concat_ws(' ', :'mail'::jsonb ->> 'from', :'mail'::jsonb ->> 'to'),
          'kiln@example.org ann@example.com', 'from whom the runner says, to the account');
select ok(:'head'::text ~ 'Message-ID: <msg_[0-9a-f]{32}@example.org>'
          and :'message' !~ 'eve@', 'under an id of its own, with no header from what was written');
select ok(:'head'::text ~ (E'(^|\r\n)' || h), 'it says ' || h)
  from unnest('{Auto-Submitted: auto-generated,Date: Thu\, 03 Jan 2030 12:00:00 [+]0000,From: Kiln '
              '<kiln@example.org>,To: <ann@example.com>,MIME-Version: 1.0,List-Unsubscribe-Post: '
              'List-Unsubscribe=One-Click}'::text[]) h;
select is_empty(format('select line from regexp_split_to_table(%L, E''\r\n'') line where length(line) > 200 '
                       'or line ~ E''[\r\n]''', :'message'),
    'its lines are short, and end as mail ends them');
select is_empty(format('select 1 where %L ~ %L', :'message', '[^\x01-\x7f]'), 'and are of ASCII');
select matches(convert_from(decode(split_part(split_part(:'message', E'\r\n\r\n', 3), E'\r\n--', 1),
                                   'base64'), 'UTF8'), E'Hi\r\nBcc: eve@example.com\r\n.\r\n',
               'the text is there, whole');
select fixture.set_now('2030-01-03 12:00:41Z') \g /dev/null
select is((select pg_temp.take(p_from => 'kiln@example.org') #>> '{deliveries,0,message}'), :'message',
          'at another attempt the message is the same');

-- What the mail server says
select pg_temp.answer(:'mail', 450, 'It answered: said', 'message') \g /dev/null
create function pg_temp.story(p_mail jsonb, p_status int, p_stage text, p_error text default null)
returns text language plpgsql set role = kiln_owner as $$
begin
    update kiln.delivery set state = 'due', ended_at = null
     where delivery_id = (p_mail ->> 'delivery_id')::bigint;
    update kiln.delivery_attempt set elapsed_ms = null where delivery_id = (p_mail ->> 'delivery_id')::bigint;
    perform pg_temp.answer(p_mail, p_status, p_error, p_stage);
    return (select concat_ws(' ', d.state, d.why) from kiln.delivery d
             where d.delivery_id = (p_mail ->> 'delivery_id')::bigint);
end $$;
select is(pg_temp.story(:'mail', 450, 'message', 'It answered: said'), 'due It answered: said',
          '4xx of SMTP is tried again');
select is(pg_temp.story(:'mail', 535, 'session', 'It answered: said'), 'due It answered: said',
          '5xx too, where it is about us: the operator will mend it');
select is(pg_temp.story(:'mail', 0, 'session', 'mail.example: no answer in time'),
          'due mail.example: no answer in time', 'and what never answered');
select is(pg_temp.story(:'mail', 550, 'message', 'It answered: said'), 'failed It answered: said',
          '5xx about the message is the end');
select is(pg_temp.story(:'mail', 250, 'message'), 'sent', '250 is too');

-- Out of it
select substring(:'head' from '<https://kiln.example/api/v1/unsubscribe/([^>]+)>') as token \gset
select is(fixture.refusal(format('select kiln_api.unsubscribe(null, %L, null, null)',
                                 jsonb_build_object('token', t))) ->> 'code', 'KN008',
          'no link: ' || coalesce(t, 'null'))
  from unnest(array['', 'x', null, '1-' || repeat('0', 40), regexp_replace(:'token', '^\d+', :cay::text),
                    :'token' || '0', upper(:'token'), '99999999999999999999-' || repeat('a', 40)]) t;
select ok((select notify_email from kiln.account where account_id = :ann), 'and nothing was turned off');
set role kiln_owner; update kiln.delivery
                        set state = 'due', ended_at = null, claimed_until = null, due_at = kiln_internal.now()
                      where account_id = :ann; reset role;
select is(kiln_api.unsubscribe(null, jsonb_build_object('token', :'token'), null,
                               'List-Unsubscribe=One-Click')::text, null,
          'the link turns mail off, without signing in');
select is((select notify_email from kiln.account where account_id = :ann), false, 'in the profile');
select is(kiln_api.unsubscribe(null, jsonb_build_object('token', :'token'), null, null)::text, null,
          'again is fine');
select is(jsonb_array_length(pg_temp.take(p_from => 'kiln@example.org') -> 'deliveries'), 0,
          'what was due to it is not sent any more');
select is((select concat_ws(' ', state, why) from kiln.delivery
            where account_id = :ann), 'failed There is no address that mail can go to.', 'but given up');
update kiln.account set email = 'ann@other.example', email_verified_at = kiln_internal.now(),
       notify_email = true where account_id = :ann;
select is(fixture.refusal(format('select kiln_api.unsubscribe(null, %L, null, null)',
                                 jsonb_build_object('token', :'token'))) ->> 'code', 'KN008',
          'a link in mail to an address of before turns nothing off');
update kiln.config set public_url = null;
select ok(kiln_internal.mail_request(d, 'kiln@example.org') ->> 'message' !~ 'Unsubscribe',
          'where nobody knows the way here, no link is promised') from kiln.delivery d
 where d.account_id = :ann;

-- Who reads it ----------------------------------------------------------------------------------------------

create function pg_temp.mail(p_sub text, p_what jsonb) returns jsonb language sql
as $$ select fixture.call(p_sub, 'update_me', p_body => p_what::text) $$;
create function pg_temp.confirmations(p_email text) returns int language sql
as $$ select count(*)::int from kiln.delivery d where d.event_id is null and d.body = p_email $$;
create function pg_temp.words(p_message text) returns text language sql as
$$ select string_agg(convert_from(decode(split_part(split_part(p_message, E'base64\r\n\r\n', i), E'\r\n--',
                                                    1), 'base64'), 'UTF8'), E'\n')
     from generate_series(2, 3) i $$;
delete from kiln.delivery;
set role kiln_owner; delete from kiln.event; reset role;
-- as if their runner had told
create function pg_temp.lands() returns void language sql
as $$ update kiln.delivery set claimed_until = null $$;
set role kiln_owner; update kiln.outgoing set mailing_at = kiln_internal.now(); reset role;
update kiln.config set public_url = 'https://kiln.example';
select pg_temp.mail('bob', '{"display_name": "Buy gold at evil.example", "handle": "buy_gold"}') \g /dev/null
select is(pg_temp.mail('bob', '{"email": "victim@example.com", "notify_email": true}') -> 'email_verified',
          'false', 'an address that was written is not one that was proven');
select is(pg_temp.confirmations('victim@example.com'), 1, 'it is mailed a confirmation');
select pg_temp.event(:bob,
                p_data => '{"notification": {"text": "Buy gold at evil.example", "link": "/x"}}') \g /dev/null
set role kiln_owner;
select pg_temp.rewind() \g /dev/null
reset role;
select pg_temp.take(p_from => 'kiln@example.org') as took \gset
select is((select count(*)::int from kiln.delivery where account_id = :bob), 1, 'and nothing else');
select :'took'::jsonb #>> '{deliveries,0,message}' as message,
       pg_temp.words(:'took'::jsonb #>> '{deliveries,0,message}') as words \gset
select ok(:'words' like '%https://kiln.example/api/v1/confirm-email/%'
          and :'message' || :'words' !~* 'gold|evil',
          'it holds a link, and no word of who wrote the address');
select is((select body from kiln.delivery where account_id = :bob), :'took'::jsonb #>> '{deliveries,0,to}',
          'and goes to that address');
select substring(:'words' from 'confirm-email/([0-9a-f-]+)') as proof,
       substring(:'words' from 'unsubscribe/([0-9a-fn-]+)') as off \gset
select is(fixture.refusal(format('select fixture.call(null, ''confirm_email'', '
                                 'jsonb_build_object(''token'', %L))', t)) ->> 'code', 'KN008',
    why || ' proves nothing') from (values
    (translate(:'proof', '0123456789', '1234567890'), 'a forged link'), (:'off', 'the link of the way out'),
                                                        (kiln_internal.sign_unsubscribe(:bob,
                                                            'victim@example.com'),
                                                         'the link of another mail'), ('', 'no link'),
    (kiln_internal.sign_confirmation(:cay, 'victim@example.com', 9999999999), 'a link of another account'),
                                                        (kiln_internal.sign_confirmation(:bob,
                                                            'victim@example.com',
                                                                extract(epoch from kiln_internal.now())::bigint), 'an old link'),
    (kiln_internal.sign_confirmation(:bob, 'bob@example.com', 9999999999), 'a link to another address')) v (t,
                                                        why);
select is(fixture.refusal(format('select fixture.call(null, ''unsubscribe'', '
                                 'jsonb_build_object(''token'', %L))', :'proof')) ->> 'code', 'KN008',
    'nor does the proof turn anything off');
select is(fixture.call(null, 'confirm_email', jsonb_build_object('token', :'proof')), null,
          'the link proves it');
select is(fixture.call('bob', 'get_me') -> 'email_verified', 'true', 'as the profile says');
select is(fixture.call(null, 'confirm_email', jsonb_build_object('token', :'proof')), null, 'again is fine');
set role kiln_owner;
select pg_temp.rewind() \g /dev/null
reset role;
select pg_temp.take(p_from => 'kiln@example.org') \g /dev/null
select is((select count(*)::int from kiln.delivery
            where account_id = :bob and type = 'notification'), 1, 'from then on it is mailed what it wants');
select is(pg_temp.mail('bob', '{"email": "VICTIM@example.com"}') -> 'email_verified', 'true',
          'the same in other letters is proven');
select is(pg_temp.mail('bob', '{"email": "other@example.com"}') -> 'email_verified', 'false',
          'another is not');
select is(fixture.refusal(format('select fixture.call(null, ''confirm_email'', '
                                 'jsonb_build_object(''token'', %L))', :'proof')) ->> 'code', 'KN008',
    'nor by the link to the one before');
select pg_temp.lands() \g /dev/null
select is((pg_temp.take(p_from => 'kiln@example.org') #>> '{deliveries,0,to}'), 'other@example.com',
          'what was due goes to nobody, but for the next confirmation');
update kiln.account set email = 'hers@example.com' where account_id = :cay;
select is((select email_verified_at from kiln.account where account_id = :cay), null, 'whoever writes it');

-- Caps
select is(fixture.call('bob', 'send_confirmation') -> 'email_verified', 'false',
          'a confirmation is sent again');
select is(fixture.refusal('select fixture.call(''bob'', ''send_confirmation'')') ->> 'code', 'KN007',
          'three of an account in a day');
select is(pg_temp.mail('bob', '{"email": "fourth@example.com"}') ->> 'email', 'fourth@example.com',
          'an address can be changed after that');
select is(pg_temp.confirmations('fourth@example.com'), 0, 'but is mailed nothing');
select fixture.act_as(s) from unnest('{eve1,eve2,eve3,eve4}'::text[]) s \g /dev/null
select pg_temp.mail(s, jsonb_build_object('email', e))
  from (values ('eve1', 'many@example.com'), ('eve2', 'many+x@example.com'), ('eve3', 'Many@Example.com'),
        ('eve4', 'many+y@example.com')) v (s, e) \g /dev/null
select is((select count(*)::int from kiln.delivery
            where body ~* '^many'), 3,
          'three to an address in a day, however many accounts name it, and however they write it');
select is(fixture.refusal('select fixture.call(''eve4'', ''send_confirmation'')') ->> 'code', 'KN007',
          'and who asks again is told');
update kiln.account set email_verified_at = null where account_id = :ann;
select is(fixture.call('ann', 'send_confirmation') -> 'email_verified', 'false',
          'another account and address are not concerned');
update kiln.account set email_verified_at = kiln_internal.now(), notify_email = true where account_id = :ann;
select is(pg_temp.confirmations('ann@other.example'), 1, 'of an address that is proven')
  from (select fixture.call('ann', 'send_confirmation')) x;
update kiln.config set mails_per_day = 4;
update kiln.account set email = 'Ann+2@other.example', email_verified_at = kiln_internal.now(),
       notify_email = true where account_id = :cay;
update kiln.account set email = 'ann@other.example', email_verified_at = kiln_internal.now(),
       notify_email = true where account_id = :ann;
delete from kiln.delivery;
insert into kiln.delivery (account_id, event_id, type, body, due_at)
select a, -i, 'notification', '{}', kiln_internal.now() - interval '1 minute'
  from unnest(array[:ann, :cay]::bigint[]) a, generate_series(1, 3) i;
select jsonb_array_length(pg_temp.take(p_from => 'kiln@example.org') -> 'deliveries') as first,
       pg_temp.lands() as landed \gset
select is(:first + jsonb_array_length(pg_temp.take(p_from => 'kiln@example.org') -> 'deliveries'), 4,
          'four mails to an address in a day, over all accounts');
select is((select count(*)::int from kiln.delivery
            where state = 'failed' and why like 'This address had all its mails%'), 2,
          'the others are given up, and say so');
update kiln.delivery set due_at = kiln_internal.now(), claimed_until = null where state = 'due';
select is(jsonb_array_length(pg_temp.take(p_from => 'kiln@example.org') -> 'deliveries'), 4,
          'one that is tried again is not counted again');
select is((select mails from kiln.mail_recipient
            where address_hash = kiln_internal.mail_key('ann@other.example')), 4, 'as the count says');

-- The way out holds
select is(fixture.refusal(format('select fixture.call(null, ''unsubscribe'', '
                                 'jsonb_build_object(''token'', %L))',
    translate(:'off', '0123456789', '1234567890'))) ->> 'code', 'KN008', 'a forged way out is none');
select is(fixture.call(null, 'unsubscribe', jsonb_build_object('token', :'off')), null,
          'a confirmation has a way out, which holds though its account names another address by now');
select is(kiln_internal.is_suppressed(e), w, e)
  from (values ('Victim@example.com', true), ('victim+x@example.com', true),
        ('other@example.com', false)) v (e, w);
select pg_temp.mail('eve1', '{"email": "victim@example.com"}') \g /dev/null
select is(pg_temp.confirmations('victim@example.com'), 0,
          'no account has a confirmation sent there any more');
select is(fixture.refusal('select fixture.call(''eve1'', ''send_confirmation'')') ->> 'code', 'KN001',
          'who asks is told');
select pg_temp.mail('eve1', '{"notify_email": true}') \g /dev/null
select ok(kiln_internal.is_suppressed('victim@example.com'),
          'who has not proved the address cannot turn it on again');
select fixture.call(null, 'unsubscribe',
                    jsonb_build_object('token', kiln_internal.sign_unsubscribe(:ann,
                                                        'ann@other.example'))) \g /dev/null
select is((select concat_ws(' ', notify_email, kiln_internal.is_suppressed(email)) from kiln.account
            where account_id = :ann), 'f t', 'the way out of a proven address holds for all accounts too');
insert into kiln.delivery (account_id, event_id, type, body) values (:cay, -9, 'notification', '{}');
select is(jsonb_array_length(pg_temp.take(p_from => 'kiln@example.org') -> 'deliveries'), 0,
          'and for what is due');
select pg_temp.mail('ann', '{"notify_email": true}') \g /dev/null
select is(kiln_internal.is_suppressed('ann@other.example'), false, 'until who proved it turns it on again');
select is((select count(*)::int from kiln.mail_recipient r
            where r.address_hash::text ~ 'example'), 0, 'no address is kept for that');
update kiln.config set public_url = null;
select fixture.act_as('gil') \g /dev/null
select pg_temp.mail('gil', '{"email": "gil@example.com"}') \g /dev/null
select is(fixture.refusal('select fixture.call(''gil'', ''send_confirmation'')') ->> 'code', 'KN001',
          'where no link can be made, nothing is sent, and who asks is told');
select is(pg_temp.confirmations('gil@example.com'), 0, 'really');
update kiln.config set public_url = 'https://kiln.example', mails_per_day = 50;
update kiln.account set notify_email = false where account_id <> :ann;
delete from kiln.delivery;
insert into kiln.delivery (account_id, event_id, type, body) values (:ann, -10, 'notification', '{}');

-- Off again
set role kiln_owner; update kiln.delivery
                        set state = 'due', ended_at = null, due_at = kiln_internal.now() + interval '1 hour',
                            why = null where account_id = :ann; reset role;
select fixture.set_now('2030-01-04 13:00:00Z') \g /dev/null
set role kiln_owner; delete from kiln.event; reset role;
select pg_temp.event(:ann) \g /dev/null
set role kiln_owner;
select pg_temp.rewind() \g /dev/null
reset role;
select pg_temp.take() \g /dev/null
select is((select count(*)::int from kiln.delivery), 1,
          'a day after the last runner that could send mail, none is made any more');
select fixture.set_now('2030-01-07 13:00:00Z') \g /dev/null
select kiln_internal.purge_expired() \g /dev/null
select is((select concat_ws(' ', state, why) from kiln.delivery
            where account_id = :ann), 'failed No runner with KILN_SMTP_URL was there in three days.',
          'and what was made is given up after three');
select finish();
rollback;

-- What providers answer, in our words; and whatever they answer, nothing raises.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create function pg_temp.read(p_provider text, p_kind text, p_status int, p_body text,
                             p_headers jsonb default '{}',
                             p_config jsonb default '{}') returns kiln.reply language sql as $$
    select kiln_internal.read_reply(p, p_config, p_kind, p_status, p_headers, p_body) from kiln.provider p
     where p.name = p_provider $$;
create function pg_temp.says(r kiln.reply) returns text language sql as $$
    select concat_ws(' ', r.outcome, r.error_class, case when r.is_unbilled then 'unbilled' end, r.request_id,
                     'at ' || r.queue_position, r.fraction, 'in ' || extract(epoch from r.retry_after)::int
                     || 's') $$;

-- fal
select is(pg_temp.says(pg_temp.read('fal', kind, status, body, headers)), said, 'fal: ' || claim) from (values
    ('submit', 200, '{"status": "IN_QUEUE", "request_id": "r1", "queue_position": 3}', '{}'::jsonb,
     'accepted r1 at 3', 'a submit is accepted'),
    ('submit', 200, '{"request_id": "r1"}',                         '{}',                    'accepted r1',
                  'every field but the id is optional'),
    ('submit', 200, '{}',                                           '{"x-fal-request-id": "r2"}',
     'accepted r2',         'the id may stand in a header'),
    ('submit', 200, '{"status": "IN_QUEUE"}',                       '{}',                    'unclear',
                      'without an id nothing is known'),
    ('submit', 500, 'oops',                                         '{}',                    'unclear',
                      'a bare 500 proves nothing'),
    ('submit', 502, '<html>',                                       '{}',                    'unclear',
                      'nor does a gateway''s page'),
    ('submit', 504, '{"detail": "x", "error_type": "request_timeout"}', '{}',
                    'failed transient unbilled', 'an error of its platform is named, and not billed'),
    ('submit', 503, '{"detail": "x"}',
                                  '{"x-fal-error-type": "runner_connection_refused"}',
     'failed transient unbilled', 'also by a header'),
    ('submit', 504, '{"error_type": "request_timeout"}',            '{"x-fal-request-timeout-type": "user"}',
     'failed invalid unbilled', 'our own deadline is not tried again'),
    ('submit', 422, '{"detail": [{"loc": ["body"], "msg": "m", "type": "missing"}]}', '{}',
      'failed invalid unbilled',  'a field that is wrong'),
    ('submit', 422, '{"detail": [{"type": "content_policy_violation", "msg": "no"}]}', '{}',
     'failed refused unbilled',  'a refusal'),
    ('submit', 422, '{"detail": "plain"}',                          '{}',
                        'failed invalid unbilled',  'the detail may be plain text'),
    ('submit', 401, '{"detail": "bad key"}',                        '{}',
                        'failed invalid unbilled',  'a bad key'),
    ('submit', 429, '{}',                                           '{"retry-after": "7"}',
      'failed rate_limited unbilled in 7s', 'too many, come later'),
    ('submit', 429, '{}',                                           '{"retry-after-ms": "1500"}',
     'failed rate_limited unbilled in 2s', 'in milliseconds'),
    ('poll', 202, '{"status": "IN_QUEUE", "queue_position": 0}',    '{}',                    'queued at 0',
                  '202 is no error'),
    ('poll', 202, '{"status": "IN_PROGRESS", "logs": null}',        '{}',                    'running',
                      'in progress'),
    ('poll', 200, '{"status": "COMPLETED", "metrics": {}}',         '{}',                    'succeeded',
                    'completed'),
    ('poll', 200, '{"status": "COMPLETED", "error": "x", "error_type": "runner_server_error"}', '{}',
     'failed transient unbilled', 'COMPLETED that is a failure'),
    ('poll', 200, '{"status": "COMPLETED", "error": "x", "error_type": "client_cancelled"}', '{}',
     'cancelled unbilled', 'and one that was cancelled'),
    ('poll', 200, '{"status": "COMPLETED", "error": "it broke"}',   '{}',                    'failed invalid',
               'a failure without a name may have been billed'),
    ('poll', 200, '{"status": "NEW_WORD"}',                         '{}',                    'unclear',
                      'a status that nobody knows'),
    ('poll', 500, '',                                               '{}',                    'unclear',
                      'a poll that fails says nothing of the work'),
    ('poll', 404, '{"detail": "Not found"}',                        '{}',                    'unclear',
                      'not even that it is gone'),
    ('poll', 429, '',                                               '{"retry-after": "60"}', 'unclear in 60s',
               'but when to come again'),
    ('result', 200, '{"images": []}',                               '{}',                    'succeeded',
                    'the result'),
    ('result', 422, '{"detail": [{"type": "image_too_large", "msg": "m"}]}', '{}',           'failed invalid',
               'a result that is an error'),
    ('result', 422, '{"detail": [{"type": "content_policy_violation"}]}', '{}',
                  'failed refused unbilled',  'a result that was refused'),
    ('result', 503, '',                                             '{}',                    'unclear',
                      'a result that does not come is asked for again'),
    ('cancel', 200, '{"status": "CANCELLED"}',                      '{}',                    'cancelled',
                    'taken out of its queue'),
    ('cancel', 202, '{"status": "CANCELLATION_REQUESTED"}',         '{}',                    'running',
                      'told, and may still complete'),
    ('cancel', 400, '{"status": "ALREADY_COMPLETED"}',              '{}',                    'running',
                      'too late'),
    ('webhook', 200, '{"request_id": "r1", "status": "OK", "payload": {"images": []}}', '{}', 'succeeded r1',
                'a webhook'),
    ('webhook', 200,
     '{"request_id": "r1", "status": "ERROR", "error": "Invalid status code: 422", "payload": {"detail": '
     '[{"type": "content_policy_violation"}]}}', '{}', 'failed refused unbilled r1', 'of a refusal'),
    ('webhook', 200, '{"request_id": "r1", "status": "OK", "payload": null, "payload_error": "x"}', '{}',
     'succeeded r1', 'whose payload could not be sent')
) v (kind, status, body, headers, said, claim);
select is((pg_temp.read('fal', 'webhook', 200,
    '{"request_id": "r1", "status": "OK", "payload": {"seed": 196619188014358660}}')).result,
          '{"seed": 196619188014358660}', 'the payload of a webhook is the result');
select is((pg_temp.read('fal', 'webhook', 200,
                        '{"request_id": "r1", "status": "OK", "payload": null}')).result, null,
          'without one it is to be fetched');
select is((pg_temp.read('fal', 'submit', 422,
                        '{"detail": [{"msg": "width is too large", "type": "x"}]}')).error_message,
          'width is too large', 'its sentence is kept');
select is((pg_temp.read('fal', 'submit', 422, '{"detail": "a\u0000b\nc"}')).error_message, 'a�b c',
          'on one line, and without what no text can hold');
select is((pg_temp.read('fal', 'submit', 200,
    '{"request_id": "r", "status_url": "https://queue.fal.run/s", "response_url": "https://evil.test/r", '
    '"cancel_url": 7}')).urls, '{"status": "https://queue.fal.run/s"}',
          'of its URLs those of its own host are kept');
select is(kiln_internal.read_outputs('{"outputs": [{"pointer": "/images/*/url", "as": "url", "media_type": '
                                     '"image"}], "keep": {"seed": "/seed"}, "blocked": '
                                     '["/has_nsfw_concepts/*"]}', result::jsonb), read::jsonb, claim)
    from (values
    ('{"images": [{"url": "https://v3.fal.media/a.png"}], "seed": 196619188014358660, "has_nsfw_concepts": '
     '[false]}', '{"files": [{"url": "https://v3.fal.media/a.png", "media_type": "image"}], "keep": {"seed": '
                 '"196619188014358660"}, "missing": null, "is_blocked": false}',
                                                        'a result: its files, and its seed as text'),
    ('{"images": [{"url": "https://v3.fal.media/a.png"}], "has_nsfw_concepts": [true]}',
     '{"files": [{"url": "https://v3.fal.media/a.png", "media_type": "image"}], "keep": {}, "missing": null, '
     '"is_blocked": true}', 'a picture that was blacked out is blocked, though it is there'),
    ('{"image": {}}', '{"files": [], "keep": {}, "missing": "/images/*/url", "is_blocked": false}',
     'a result that is not where it should be'),
    ('{"images": [{"url": 7}, {"url": "javascript:x"}, {"url": null}]}',
     '{"files": [], "keep": {}, "missing": "/images/*/url", "is_blocked": false}',
     'what is no URL is no file')
) v (result, read, claim);
select is(kiln_internal.read_outputs('{"outputs": [{"pointer": "/audio_file/url", "as": "url", "media_type": '
                                     '"audio"}]}', '{"audio_file": {"url": "https://x.test/a.wav"}}')
    -> 'files' -> 0 ->> 'url', 'https://x.test/a.wav', 'names differ from model to model');

-- Replicate and OpenAI
select is(pg_temp.says(pg_temp.read(provider, kind, status, body, headers)), said, provider || ': ' || claim)
  from (values
    ('replicate', 'submit', 201, '{"id": "p1", "status": "starting"}', '{}'::jsonb, 'accepted p1',
     'a prediction'),
    ('replicate', 'submit', 201,
     '{"id": "p1", "status": "succeeded", "output": "https://replicate.delivery/x"}', '{}', 'succeeded p1',
     'that was done at once'),
    ('replicate', 'submit', 402, '{"detail": "no money"}', '{}', 'failed invalid unbilled', 'no money there'),
    ('replicate', 'poll', 200, '{"id": "p1", "status": "processing"}', '{}', 'running', 'runs'),
    ('replicate', 'poll', 200, '{"id": "p1", "status": "canceled"}', '{}', 'cancelled', 'was cancelled'),
    ('replicate', 'poll', 200, '{"id": "p1", "status": "failed", "error": "x"}', '{}', 'failed invalid',
     'failed'),
    ('replicate', 'webhook', 200, '{"id": "p1", "status": "succeeded", "output": []}', '{}', 'succeeded p1',
     'its webhook is the prediction'),
    ('openai', 'submit', 200, '{"created": 1, "data": [{"b64_json": {"$file": 0}}]}', '{}', 'succeeded',
     'the reply is the result'),
    ('openai', 'submit', 400, '{"error": {"message": "no", "code": "moderation_blocked"}}', '{}',
     'failed refused unbilled', 'a refusal'),
    ('openai', 'submit', 429, '{"error": {"message": "pay", "code": "insufficient_quota"}}', '{}',
     'failed invalid unbilled', 'no money there, which no waiting mends'),
    ('openai', 'submit', 429, '{"error": {"message": "slow", "code": "rate_limit_exceeded"}}',
     '{"retry-after": "2"}', 'failed rate_limited unbilled in 2s', 'too many'),
    ('openai', 'submit', 500, '{"error": {"message": "x"}}', '{}', 'unclear', 'a 500 may have been billed'),
    ('openai', 'submit', 200, 'not json', '{}', 'unclear', 'what is no JSON')
) v (provider, kind, status, body, headers, said, claim);
select is(kiln_internal.read_outputs('{"outputs": [{"pointer": "/output/*", "as": "url", "media_type": '
                                     '"image"}]}', o::jsonb) -> 'files', f::jsonb, 'Replicate: output ' || o)
    from (values
    ('{"output": "https://replicate.delivery/a"}',
     '[{"url": "https://replicate.delivery/a", "media_type": "image"}]'),
    ('{"output": ["https://replicate.delivery/a", "https://replicate.delivery/b"]}',
     '[{"url": "https://replicate.delivery/a", "media_type": "image"}, {"url": '
     '"https://replicate.delivery/b", "media_type": "image"}]'),
    ('{"output": null}', '[]')) v (o, f);

-- Another shape: a flag that is absent while it runs, progress in percent, a cost, look-up.
insert into kiln.provider (name, base_url, submit, poll, lookup, cost)
values ('other', 'https://other.test', '{"path": "/{endpoint}", "id": ["/name"]}',
    '{"path": "/{id}", "status": ["/done"], "states": {"true": "succeeded", "false": "running"}, "absent": '
    '"running", "error": ["/error"], "progress": ["/percent"], "progress_of": 100}',
    '{"path": "/find/{idempotency_key}", "id": ["/found/0/name"], "found": ["/found"], "absent_on": [410]}',
                                                        '{"pointer": "/tokens", "micros_per_unit": 2.5}');
select is(pg_temp.says(pg_temp.read('other', kind, status, body)), said, 'other: ' || claim) from (values
    ('poll', 200, '{"name": "models/x/operations/1"}', 'running', 'absent means running'),
    ('poll', 200, '{"percent": 40}', 'running 0.4', 'progress in percent'),
    ('poll', 200, '{"percent": 900}', 'running', 'progress that is none'),
    ('poll', 200, '{"done": true}', 'succeeded', 'a flag'),
    ('poll', 200, '{"done": true, "error": {"code": 3}}', 'failed invalid', 'done with an error'),
    ('lookup', 200, '{"found": [{"name": "n1"}]}', 'accepted n1', 'it knows the request'),
    ('lookup', 200, '{"found": []}', 'failed', 'it does not'),
    ('lookup', 410, '', 'failed', 'a status that the description names says so too'),
    ('lookup', 404, '', 'unclear', 'another proves nothing: the path may be wrong'),
    ('lookup', 200, '{"error": "x"}', 'unclear', 'nor does a reply without a sign'),
    ('lookup', 503, '', 'unclear', 'a 503 says nothing')) v (kind, status, body, said, claim);
select is((pg_temp.read('other', 'poll', 200, '{"done": true, "tokens": 1001}')).cost_micros, 2503::bigint,
          'its own figure of the cost');
select is((pg_temp.read('other', 'poll', 200, format('{"done": true, "tokens": %s}', t))).cost_micros, null,
          'no cost: ' || t) from unnest('{-5,1e300,"\"x\"","[]",null}'::text[]) t;

-- Where a result's files are, however they are given.
create function pg_temp.outputs(p_output text, p_result text) returns text language sql as $$
    select concat_ws(' ', coalesce((select string_agg(f ->> 'url' || case when f ? 'is_inline'
                                                        then ' (inline)' else '' end, ' ')
                                      from jsonb_array_elements(r -> 'files') f), 'none'),
                     'missing ' || (r ->> 'missing'))
      from kiln_internal.read_outputs(jsonb_build_object('outputs',
          jsonb_build_array('{"pointer": "/images/*", "as": "url", "media_type": "image"}'::jsonb
                            || p_output::jsonb)), kiln_internal.parse_reply(p_result)) r $$;
select is(pg_temp.outputs(o, r), e, claim) from (values
    ('{}', '{"images": []}', 'none missing /images/*', 'an empty list is nothing'),
                                                 ('{}', '{"images": null}', 'none missing /images/*',
                                                  'as null is'), ('{}', '{}', 'none missing /images/*',
                                                                  'and no word of it'),
    ('{}', '{"images": [null, ""]}', 'none missing /images/*', 'and nothing in a list'),
                                                 ('{"may_be_empty": false}', '{"images": []}',
                                                  'none missing /images/*',
                                                  'whether the description says so or not'),
    ('{"may_be_empty": true}', '{"images": []}', 'none', 'unless it says that a list may be empty'),
                                                 ('{"may_be_empty": true}', '{"images": null}', 'none',
                                                  'which null is too'),
    ('{"may_be_empty": true}', '{"pictures": []}', 'none missing /images/*', 'but not another shape'),
                                                 ('{"may_be_empty": true}', '{"images": [7]}',
                                                  'none missing /images/*', 'nor what is no address'),
    ('{"as": "base64"}', '{"images": []}', 'none missing /images/*', 'the same of files that come inside'),
                                                 ('{"as": "base64"}', '{"images": [{"$file": 0}]}', 'none',
                                                  'what its runner took out is there'),
    ('{"as": "base64"}', '{"images": ["aGk="]}', 'data:;base64,aGk= (inline)',
     'what no runner took out, as of a webhook, is fetched from the reply'),
    ('{"as": "binary", "pointer": null}', '{}', 'none', 'what is the reply itself has no pointer'),
    ('{"as": "data"}', '{"images": ["data:image/png;base64,aGk="]}', 'data:image/png;base64,aGk= (inline)',
     'a data: URI too'),
    ('{}', '{"images": ["DATA:image/svg+xml,%3Csvg/%3E"]}', 'DATA:image/svg+xml,%3Csvg/%3E',
     'also where an address is expected'),
    ('{}', '{"images": [" https://x.test/a b é.png\n"]}', 'https://x.test/a b é.png',
     'an address with blanks is one'),
    ('{}', '{"images": ["HTTPS://x.test/a"]}', 'HTTPS://x.test/a', 'and one in capitals'),
    ('{}', format('{"images": ["https://x.test/%s"]}', repeat('a', 8000)), 'none missing /images/*',
     'one without end is none')) v (o, r, e, claim);

-- JSON that is nearly none: what is to be known stands beside it.
select is(kiln_internal.parse_reply(t), j::jsonb, claim) from (values
    (U&'\FEFF{"id": "r"}', '{"id": "r"}', 'a byte order mark'), ('{"id": "r", "prompt": "a \ud83d"}',
                                                                 '{"id": "r", "prompt": "a \ufffd"}',
                                                                 'half a pair'),
    ('{"prompt": "\udc00 \ud83d\ude00 \ud83d\ud83d\ude00", "id": "r"}',
     '{"prompt": "\ufffd 😀 \ufffd😀", "id": "r"}', 'either half, beside whole ones'),
    ('{"id": "r", "score": NaN, "a": [-Infinity, Infinity,NaN]}',
     '{"id": "r", "score": null, "a": [null, null, null]}', 'numbers that are none'),
    ('{"id": "NaN, \"Infinity\"", "x": NaN}', '{"id": "NaN, \"Infinity\"", "x": null}', 'but not in strings'),
                                                               (E'{"id": "r\ns"}', '{"id": "r s"}',
                                                                'a line break in a string'),
    (U&'\FEFF{"seed": 196619188014358660, "x": [NaN], "s": "\\ud800"}',
     '{"seed": 196619188014358660, "x": [null], "s": "\ufffd"}', 'all at once, every other digit as it was'),
    ('{"id": "r", "x": nan}', null, 'what is worse is none'), ('{"id": "r"', null, 'as what was cut'),
                                                               ('<html>NaN</html>', null, 'and a page')) v (t,
                                                                   j, claim);
select is(pg_temp.says(pg_temp.read('fal', 'submit', 200,
    U&'\FEFF{"request_id": "r1", "queue_position": NaN, "prompt": "\\ud83d"}')), 'accepted r1',
          'a job whose id can be read is not held for what stands beside it');

-- How often a paid result is asked for.
select is(kiln_internal.fetch_tries(a::jsonb), n, claim) from (values
    ('{"status": 404, "error": {"code": "reply"}}', 3, 'gone'),
        ('{"status": 410, "error": {"code": "reply"}}', 3, 'gone for good'),
                                              ('{"status": 403, "error": {"code": "reply"}}', 3, 'forbidden'),
    ('{"status": 302, "error": {"code": "reply"}}', 3, 'moved about'),
                                                               ('{"error": {"code": "content"}}', 3,
                                                                'no picture'),
                                                               ('{"error": {"code": "address"}}', 3,
                                                                'inside the house'),
                                                               ('{"error": {"code": "host"}}', 1,
                                                                'a host that nobody named'),
    ('{"error": {"code": "too_long"}}', 1, 'too large'), ('{"status": 404, "body": "x"}', 3,
                                                          'a result that is gone'),
                                                               ('{"status": 200, "body": "<html>"}', 3,
                                                                'a page in its place'),
    ('{"status": 429, "error": {"code": "reply"}}', 10, 'too many'),
        ('{"status": 503, "error": {"code": "reply"}}', 10, 'not now'),
                                                               ('{"error": {"code": "timeout"}}', 10,
                                                                'silence'), ('{"error": {"code": "file"}}',
                                                                    10, 'our own disk'),
    ('{"status": 408, "error": {"code": "reply"}}', 10, 'too slow'), ('{"status": 200, "body": "{}"}', 10,
                                                                      'a result that can be read')) v (a, n,
                                                                          claim);

-- Times to come again.
select fixture.set_now('2026-05-04 10:00:00+00') \g /dev/null
select is(kiln_internal.retry_after(h::jsonb), i::interval, 'retry-after ' || h) from (values
    ('{"retry-after": "120"}', '2 minutes'), ('{"retry-after": "Mon, 04 May 2026 10:00:30 GMT"}',
                                              '30 seconds'), ('{"retry-after": "Mon, 04 May 2020 '
                                                  '10:00:30 GMT"}', '0'),
    ('{"retry-after": "999999999"}', '1 day'), ('{"retry-after": "soon"}', null),
                                                        ('{"retry-after": "-5"}', null),
                                                            ('{"retry-after": "Xxx, 99 Yyy 2026 '
                                                                '99:99:99 GMT"}', null),
       ('{}', null)) v (h, i);

-- Whatever comes: an answer, and never an error.
create temporary table hostile as
select body from unnest(array['', 'null', '[]', '{}', '"x"', '7', '-1e400', '{"status": {"a": 1}}',
                              '{"status": ["IN_QUEUE"]}', '{"request_id": {"a": 1}}', '{"request_id": []}',
                              '{"request_id": ""}', '{"request_id": null}',
    '{"queue_position": "x"}',
        '{"status": "IN_QUEUE", "request_id": "r", "queue_position": 99999999999999999999}',
                              '{"status": "IN_QUEUE", "request_id": "r", "queue_position": -3}',
                              '{"detail": {"a": [1]}}', '{"detail": [[]]}', '{"detail": [7, null]}',
    '{"error": true}', '{"error": {"code": {"x": 1}}}', '{"payload": "x"}', '{"data": 7}', '{"data": [7]}',
                              '{"data": {"b64_json": []}}', '{"output": {"a": {"b": 1}}}', '{"id": 7}',
                              '{"a":', '{"a": "\ud800"}', '{"a": "\u0000"}', '{"status": "\u0000"}',
    '<html><body>502</body></html>', 'NaN', 'Infinity', '{"status": 1e308}', '{"tokens": "9e9999"}',
                              '{"has_nsfw_concepts": "x"}', '{"images": {"url": "x"}}', '{"seed": [1]}',
                              repeat('[', 5000), repeat('{"a":', 100000),
                              '{"detail": "' || repeat('x', 3000000) || '"}',
    E'\x01\x02', '{"done": "maybe"}', '{"error_type": ["a"]}']) as body;
select is(count(*) filter (where (r).outcome is null
                           or (r).outcome not in ('accepted', 'queued', 'running', 'succeeded', 'failed',
                                                  'cancelled', 'unclear')), 0::bigint,
          provider || ' ' || kind || ' ' || status || ': every reply has an outcome')
  from hostile, unnest('{fal,replicate,openai,other}'::text[]) provider,
       unnest('{submit,poll,result,cancel,lookup,webhook}'::text[]) kind,
       unnest('{200,422,500}'::int[]) status,
       lateral pg_temp.read(provider, kind, status, body, '{"retry-after": "x", "x-fal-error-type": ""}') r
 group by provider, kind, status;
select lives_ok(format('select kiln_internal.read_outputs(%L, kiln_internal.parse_reply(%L))',
    '{"outputs": [{"pointer": "/images/*/url", "as": "url", "media_type": "image"}], "keep": {"seed": '
    '"/seed"}, "blocked": ["/has_nsfw_concepts/*"]}', left(body, 100000)), 'outputs of ' || left(body, 30))
  from hostile;
select is(max(length((pg_temp.read('fal', 'submit', 422, body)).error_message)) <= 1000, true,
          'a sentence of theirs is cut') from hostile;
select finish();
rollback;

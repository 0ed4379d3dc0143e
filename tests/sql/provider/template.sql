-- Requests are templates filled with what a job asks for: nothing that a person types is ever read as a
-- template.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

create temporary table c as select '{"prompt": "a {params.secret} kiln-file-1 \"{config.endpoint}\"",
                                      "params": {"n": 3, "ok": true, "size": {"width": 64}, "secret": "s3"},
                                      "seed": 196619188014358660,
    "media": ["one", "two"], "id": "r/1 ä?#", "none": null}'::jsonb as context;
select is(kiln_internal.fill(t.template::jsonb, context), t.filled::jsonb, t.claim) from c, (values
    ('"{params.n}"',                               '3',
                                        'a placeholder alone keeps the type'),
    ('"{params.ok}"',                              'true',                                 'true stays true'),
    ('"{params.size}"',                            '{"width": 64}',
                            'and an object an object'),
    ('"{seed}"',                                   '196619188014358660',
                       'a seed of more than 53 bits is exact'),
    ('"n is {params.n}"',                          '"n is 3"',
                                 'inside a text it becomes text'),
    ('{"a": "{params.n}", "b": "{params.gone}"}',  '{"a": 3}',
                                 'a key whose value is missing is dropped'),
    ('{"a": "x {params.gone}"}',                   '{}',
                                       'also where it was part of a text'),
    ('{"a": "{none}"}',                            '{}',                                   'null is missing'),
    ('["{params.gone}", "{params.n}", 7]',         '[3, 7]',                               'in lists too'),
    ('{"$merge": "{params}", "n": 4}',
                 '{"n": 4, "ok": true, "size": {"width": 64}, "secret": "s3"}',
     'merged keys can be overridden'),
    ('{"$merge": "{params.n}", "a": 1}',           '{"a": 1}',
                                 'what is no object is not merged'),
    ('{"images": "{media}", "first": "{media.0}", "third": "{media.2}"}',
     '{"images": ["one", "two"], "first": "one"}', 'media as a list, and one by one'),
    ('{"a": [{"b": "{prompt}"}]}',
                     '{"a": [{"b": "a {params.secret} kiln-file-1 \"{config.endpoint}\""}]}',
     'what is filled in is not read again'),
    ('"{Prompt}"',                                 '"{Prompt}"',
                               'what is no placeholder is text'),
    ('null',                                       'null',
                                     'null in a template stays null')
) as t (template, filled, claim);
select is(kiln_internal.fill_text('/x/{id}', context, true), '/x/r/1%20%C3%A4%3F%23',
          'in a path values are percent-encoded, slashes stay') from c;
select is(kiln_internal.fill_text('/x/{id}', jsonb_build_object('id', bad), true), null,
          'refused in a path: ' || bad) from unnest('{..,a/../b,./a,a/..}'::text[]) bad;
select is(kiln_internal.percent_encode('a b&c=d/é~'), 'a%20b%26c%3Dd%2F%C3%A9~', 'RFC 3986');

select is(kiln_internal.pointer_values('{"a": [{"b": 1}, {"b": 2}, {"c": 3}]}', '/a/*/b'), '{1,2}'::jsonb[],
          'a star is every element');
select is(kiln_internal.pointer_values('{"a": "one"}', '/a/*'), '{"\"one\""}'::jsonb[],
          'or the one that stands where a list may');
select is(kiln_internal.pointer_values('{"a/b": {"~": 1}}', '/a~1b/~0'), '{1}'::jsonb[],
          'escapes of RFC 6901');
select is(kiln_internal.pointer_values(doc::jsonb, p), '{}', 'leads nowhere: ' || p)
  from (values ('{"a": 1}', '/b'), ('[1]', '/1'), ('[1]', '/-'), ('"x"', '/0'), ('{"a": null}', '/a/b'),
        ('[]', '/*')) v (doc, p);

-- URLs of replies are asked only where the description allows it.
create function pg_temp.fal() returns kiln.provider language sql
as $$ select p from kiln.provider p where p.name = 'fal' $$;
select is(kiln_internal.reply_url(pg_temp.fal(), 'https://queue.fal.run/fal-ai/flux/requests/1/status'),
          'https://queue.fal.run/fal-ai/flux/requests/1/status', 'a URL of the own host is asked');
select is(kiln_internal.reply_url(pg_temp.fal(), u), null, 'not asked: ' || left(u, 60))
  from unnest(array['http://queue.fal.run/x', 'https://evil.test/x', 'https://queue.fal.run.evil.test/x',
                    'https://queue.fal.run@evil.test/x',
    'https://evil.test\@queue.fal.run/x', 'https://queue.fal.run:8443/x', 'https://127.0.0.1/x',
                                                        'ftp://queue.fal.run/x', '//queue.fal.run/x',
                                                            'https://queue.fal.run/x y',
                                                                'https://queue.fal.run/x#y',
                                                                    E'https://queue.fal.run/\r\nX: y',
    'https://queue.fal.run/' || repeat('x', 3000), '']) u;
select is(kiln_internal.url_host('https://QUEUE.fal.run:443/x'), 'queue.fal.run:443',
          'hosts are compared in lower case, with their port');

-- Requests as the facts have them.
create function pg_temp.request(p_model text, p_kind text default 'submit', p_more jsonb default '{}')
returns jsonb language sql as $$
    select kiln_internal.render_request(v, p_kind,
        '{"prompt": "a cat", "params": {}, "seed": 7, "call_id": "9", "idempotency_key": "k"}'::jsonb
                                        || jsonb_build_object('config', s.config) || p_more)
      from kiln.model m join kiln.provider v using (provider_id) join kiln.pipeline l using (pipeline_id)
      join kiln.stage s on s.pipeline_version_id = l.pipeline_version_id and s.position = 1
     where m.name = p_model $$;
select is(pg_temp.request('fal/flux-schnell') - '{files,hosts,take,binary,timeout_ms,connect_timeout_ms,'
                                                'max_bytes,max_file_bytes}'::text[],
    '{"method": "POST", "url": "https://queue.fal.run/fal-ai/flux/schnell",
       "headers": {"Accept": "application/json", "Content-Type": "application/json"},
      "auth": {"header": "Authorization", "prefix": "Key ", "env": "FAL_KEY"},
      "body": "{\"seed\": 7, \"prompt\": \"a cat\", \"num_images\": 1}", "accept": [200, 201, 202]}', 'fal: the body is the input itself, the secret a name');
select is(pg_temp.request('fal/flux-schnell',
                          p_more => '{"webhook_url": "https://me.test/api/v1/webhooks/fal?call=1"}')
          ->> 'url',
    'https://queue.fal.run/fal-ai/flux/schnell?fal_webhook=https%3A%2F%2Fme.test%2Fapi%2Fv1%2Fwebhooks%2Ffal%3Fcall%3D1', 'fal: the webhook goes into the query');
select is(pg_temp.request('fal/flux-schnell', kind, '{"id": "abc"}') ->> 'method' || ' '
          || (pg_temp.request('fal/flux-schnell', kind, '{"id": "abc"}') ->> 'url'), url,
          'fal: ' || kind || ' leaves out the sub-path')
  from (values ('poll', 'GET https://queue.fal.run/fal-ai/flux/requests/abc/status'),
        ('result', 'GET https://queue.fal.run/fal-ai/flux/requests/abc'),
        ('cancel', 'PUT https://queue.fal.run/fal-ai/flux/requests/abc/cancel')) v (kind, url);
select is(pg_temp.request('fal/flux-schnell', 'poll',
                          jsonb_build_object('id', 'abc', 'config', jsonb_build_object('endpoint', e)))
          ->> 'url', 'https://queue.fal.run/' || app || '/requests/abc/status', 'the app of ' || e)
  from (values ('workflows/me/mine/deep', 'workflows/me/mine'), ('comfy/me/mine', 'comfy/me/mine'),
        ('fal-ai/veo3.1/fast', 'fal-ai/veo3.1'), ('a/b/c/d', 'a/b')) v (e, app);
select is(pg_temp.request('fal/flux-schnell', 'poll',
                          '{"id": "abc", "urls": {"status": "https://queue.fal.run/other/status"}}')
          ->> 'url', 'https://queue.fal.run/other/status', 'the URL of the reply goes before the template');
select is(pg_temp.request('fal/flux-schnell', 'poll',
                          '{"id": "abc", "urls": {"status": "https://evil.test/status"}}') ->> 'url',
          'https://queue.fal.run/fal-ai/flux/requests/abc/status', 'but not one of another host');
select is(pg_temp.request('fal/flux-schnell', 'lookup'), null, 'what a provider cannot is no request');
select is(pg_temp.request('replicate/flux-schnell') ->> 'url',
          'https://api.replicate.com/v1/models/black-forest-labs/flux-schnell/predictions',
          'Replicate: official models');
select is((pg_temp.request('replicate/flux-schnell') ->> 'body')::jsonb,
          '{"input": {"prompt": "a cat", "seed": 7, "num_outputs": 1}}',
          'Replicate: the input is wrapped, and without a public address no webhook is asked for');
select is((pg_temp.request('replicate/flux-schnell',
                           p_more => '{"webhook_url": "https://me.test/x"}') ->> 'body')::jsonb - 'input',
          '{"webhook": "https://me.test/x", "webhook_events_filter": ["completed"]}',
          'Replicate: with one, only the end is told');
select is((pg_temp.request('openai/gpt-image') ->> 'body')::jsonb,
          '{"model": "gpt-image-1", "prompt": "a cat", "n": 1}', 'OpenAI: images');
select is(pg_temp.request('openai/gpt-image') -> 'take', '["/data/*/b64_json"]',
          'OpenAI: pictures come inside the reply');
select is(((pg_temp.request('openai/tts') ->> 'body')::jsonb, pg_temp.request('openai/tts') -> 'binary',
           pg_temp.request('openai/tts') -> 'headers' ->> 'Accept')::text,
          ('{"model": "gpt-4o-mini-tts", "input": "a cat"}'::jsonb, 'true'::jsonb, '*/*')::text,
          'OpenAI: speech comes as the file itself');
select is((pg_temp.request('fal/elevenlabs') ->> 'body')::jsonb, '{"text": "a cat"}',
          'the text goes where the model wants it');

-- Files are words that nobody can guess.
create temporary table f as select pg_temp.request('fal/nano-banana-edit',
    p_more => '{"prompt": "kiln-file-1", "media": [{"media_id": "5", "storage_key": "ab/cd", "content_type": '
              '"image/png"}, {"media_id": "6", "storage_key": "ab/ce", "content_type": "image/jpeg"}]}') as r;
select matches(r -> 'files' -> 0 ->> 'token', '^kiln-file-[0-9a-f-]{36}$', 'a file is a random word') from f;
select is((r ->> 'body')::jsonb -> 'image_urls',
          jsonb_build_array(r -> 'files' -> 0 -> 'token', r -> 'files' -> 1 -> 'token'),
          'that stands in the body') from f;
select is((r -> 'files' -> 0) - 'token',
          '{"media_id": "5", "storage_key": "ab/cd", "content_type": "image/png", "as": "data_uri"}',
          'and says which file it is') from f;
select isnt((r ->> 'body')::jsonb ->> 'prompt', r -> 'files' -> 0 ->> 'token', 'a prompt cannot be one')
  from f;
select is((select jsonb_object_agg(k, v)
             from jsonb_each_text(kiln_internal.render_request(p, 'submit',
                 '{"config": {"endpoint": "a/b", "outputs": []}, "prompt": "x"}') -> 'headers') h (k, v)
            where v ~ '[[:cntrl:]]'), null, 'no header breaks a line')
  from jsonb_populate_record(pg_temp.fal(),
                             '{"submit": {"path": "/{endpoint}", "headers": {"X-Prompt": "a\r\nb"}}}') p;

-- What the categories of try-ons ask fal for: one test a model, every byte of the input (docs/providers.md,
-- "fal").
create function pg_temp.tryon(p_category text, p_stage text) returns jsonb language sql as $$
    select kiln_internal.render_request(v, 'submit',
                                        jsonb_build_object('config', s.config, 'params', c.params) ||
               '{"prompt": "the blue coat", "seed": 196619188014358660, "call_id": "9",
                  "idempotency_key": "k",
                 "media": [{"media_id": "5", "storage_key": "ab/cd", "content_type": "image/png"},
                 {"media_id": "6", "storage_key": "ab/ce", "content_type": "image/jpeg"}]}')
      from kiln.category c join kiln.pipeline l using (pipeline_id)
      join kiln.stage s on s.pipeline_version_id = l.pipeline_version_id and s.name = p_stage
      join kiln.provider v on v.name = s.config ->> 'provider'
     where c.name = p_category $$;
select is(jsonb_build_array(r -> 'method', r -> 'url', r -> 'auth', r -> 'headers',
                            regexp_replace(replace(replace(r ->> 'body', r -> 'files' -> 0 ->> 'token',
                                                           'FILE0'), coalesce(r -> 'files' -> 1 ->> 'token',
                                                               '?'), 'FILE1'), '\s', '', 'g'),
                            (select jsonb_agg(f ->> 'media_id' order by n)
                               from jsonb_array_elements(r -> 'files') with ordinality x (f, n))),
          jsonb_build_array('POST', 'https://queue.fal.run/' || endpoint,
                            '{"header": "Authorization", "prefix": "Key ", "env": "FAL_KEY"}'::jsonb,
                            '{"Accept": "application/json", "Content-Type": "application/json"}'::jsonb,
                            regexp_replace(body, '\s', '', 'g'), files::jsonb),
          category || ', ' || stage || ': the request to ' || endpoint)
  from (values ('clothes', 'dress', 'fal-ai/nano-banana/edit',
      '{"seed": 196619188014358660, "prompt": "the blue coat", "image_urls": ["FILE0", "FILE1"], '
      '"num_images": 1, "output_format": "png"}', '["5", "6"]'),
               ('clothes-film', 'dress', 'fal-ai/nano-banana/edit',
                '{"seed": 196619188014358660, "prompt": "the blue coat", "image_urls": ["FILE0", "FILE1"], '
                '"num_images": 1, "output_format": "png"}', '["5", "6"]'),
               ('clothes-film', 'film', 'fal-ai/wan-i2v',
                '{"seed": 196619188014358660, "prompt": "the blue coat", "image_url": "FILE0", "resolution": '
                '"480p"}', '["5", "6"]'),
               ('clothes-film-fine', 'film', 'fal-ai/veo3/image-to-video',
                '{"prompt": "the blue coat", "duration": "4s", "image_url": "FILE0", "generate_audio": false}', '["5", "6"]')) v (category, stage, endpoint, body, files),
       pg_temp.tryon(category, stage) r;
select finish();
rollback;

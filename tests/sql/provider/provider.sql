-- Providers are data: adding one is an INSERT, and a mistake in it is refused when it is written, by field.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();

-- The worked example of docs/providers.md, word for word but for its transaction: this test has one
-- (tests/e2e/docs.test.mjs pastes it whole).
\set example `mktemp /tmp/kiln-example-XXXXXX`
\setenv EXAMPLE :example
\! awk '/^```sql example$/ { inside = 1; next } /^```$/ { inside = 0 } inside && !/^(begin|commit);$/' docs/providers.md >"$EXAMPLE"
\i :example
\! rm -f "$EXAMPLE"
set constraints all immediate;
set constraints all deferred;
select is(max(m.title), 'Atelier', 'the example of docs/providers.md adds a provider and a model')
  from kiln.model m where m.name = 'atelier/paint';
select is((fixture.call('ann', 'create_generation',
    p_body => '{"type": "image", "model": "atelier/paint", "prompt": "a cat", "params": {"width": 512}}')
           ->> 'state'), 'queued', 'which can be asked for at once');

-- Mistakes. Each is one change to a description that is right.
create temporary table right_one as select '{"name": "w", "base_url": "https://w.test",
                                              "auth": {"header": "Authorization", "prefix": "Bearer ",
                                              "env": "W_KEY"},
    "submit": {"path": "/{endpoint}", "body": "{body}", "id": ["/id"]}, "poll": {"path": "/{id}",
    "status": ["/s"], "states": {"ok": "succeeded"}}}'::jsonb as d;
create function pg_temp.put(p_d jsonb) returns void language sql as $$
    insert into kiln.provider (name, base_url, reply_hosts, file_hosts, auth, submit, poll, result, cancel,
                               lookup, webhook, errors, error_pointers, cost, idempotency_header,
                               idempotency_ttl, max_calls, rate_per_minute, rate_burst, day_cap_micros,
                               reply_timeout, max_reply_bytes)
    select name, base_url, coalesce(reply_hosts, '{}'), coalesce(file_hosts, '{}'), auth, submit, poll,
           result, cancel, lookup, webhook, coalesce(errors, '[]'), coalesce(error_pointers, '{}'), cost,
           idempotency_header, idempotency_ttl, max_calls, rate_per_minute, coalesce(rate_burst, 1),
           day_cap_micros,
           coalesce(reply_timeout, '60 s'), coalesce(max_reply_bytes, 1048576)
      from jsonb_populate_record(null::kiln.provider, p_d) $$;
create function pg_temp.blamed(p_d jsonb) returns text language plpgsql as $$
declare v_column text; v_message text;
begin
    perform pg_temp.put(p_d);
    return 'accepted';
exception when others then
    get stacked diagnostics v_column = column_name, v_message = message_text;
    return sqlstate || ' ' || v_column
        || case when v_message
                !~ 'is to be|there is|there are|nothing fills|they are to be|one of them|each of its|belongs '
                   'to|may mean|never|no host|no address|has no|without a poll|is to say|a secret'
                    then ' (says not what would be right: ' || v_message || ')' else '' end;
end $$;
select is(pg_temp.blamed(d), 'accepted', 'the one that the mistakes are made in is right') from right_one;
select is(pg_temp.blamed(d || '{"name": "x"}' || wrong::jsonb), 'KN003 ' || col,
          col || ': ' || left(wrong, 90)) from right_one, (values
    ('name', '{"name": "X"}'), ('name', '{"name": "x y"}'), ('base_url', '{"base_url": null}'),
                                                        ('base_url', '{"base_url": "w.test"}'),
                                                            ('base_url', '{"base_url": "ftp://w.test"}'),
                                                                ('base_url', '{"base_url": "https://w.test/?a"}'),
    ('base_url', '{"base_url": "https://me@w.test"}'), ('base_url', '{"base_url": "https://w.test/ x"}'),
                                                        ('reply_hosts',
                                                         '{"reply_hosts": ["https://x.test"]}'),
                                                             ('reply_hosts', '{"reply_hosts": ["*.x.test"]}'),
                                                                 ('file_hosts', '{"file_hosts": ["*"]}'),
                                                                     ('file_hosts',
                                                                      '{"file_hosts": ["*.test"]}'),
    ('file_hosts', '{"file_hosts": ["x.test/y"]}'), ('auth', '{"auth": []}'),
                                                        ('auth', '{"auth": {"header": "A", "env": "W_KEY", '
                                                            '"secret": "s"}}'),
       ('auth', '{"auth": {"env": "W_KEY", "prefix": ""}}'),
       ('auth', '{"auth": {"header": "A", "prefix": "", "env": "r8_secret"}}'),
       ('auth', '{"auth": {"header": "A", "prefix": ""}}'),
    ('auth', '{"auth": {"header": "A", "prefix": "", "env": "KILN_JWT_SECRET"}}'),
                                                        ('auth', '{"auth": {"header": "A", "prefix": "", '
                                                            '"env": "PGPASSWORD"}}'),
       ('auth', '{"auth": {"header": "A", "prefix": "", "env": "STRIPE_SECRET_KEY"}}'),
       ('auth', '{"auth": {"header": "A b", "prefix": "", "env": "W_KEY"}}'),
       ('auth', '{"auth": {"header": "A", "prefix": 7, "env": "W_KEY"}}'),
    ('submit', '{"submit": null}'), ('submit', '{"submit": "x"}'), ('submit', '{"submit": {"path": "x"}}'),
                                                        ('submit', '{"submit": {"path": "/x?y"}}'),
                                                            ('submit', '{"submit": {"path": "/{prmpt}", '
                                                                '"id": ["/id"]}}'),
       ('submit', '{"submit": {"path": "/x", "body": {"a": "{param.x}"}, "id": ["/id"]}}'),
    ('submit', '{"submit": {"path": "/x", "method": "FETCH", "id": ["/id"]}}'),
                                                        ('submit', '{"submit": {"path": "/x", "idd": '
                                                            '["/id"]}}'), ('submit',
                                                                '{"submit": {"path": "/x", "id": "/id"}}'),
       ('submit', '{"submit": {"path": "/x", "id": ["id"]}}'), ('submit', '{"submit": {"path": "/x"}}'),
       ('submit', '{"submit": {"path": "/x", "id": ["/id"], "reply": "xml"}}'),
    ('submit', '{"submit": {"path": "/x", "id": ["/id"], "accept": ["200"]}}'),
                                                        ('submit', '{"submit": {"path": "/x", "id": ["/id"], '
                                                            '"accept": 200}}'),
       ('submit', '{"submit": {"path": "/x", "id": ["/id"], "headers": {"Authorization": "Bearer s3cret"}}}'),
       ('submit', '{"submit": {"path": "/x", "id": ["/id"], "headers": {"a b": "c"}}}'),
       ('submit', '{"submit": {"path": "/x", "id": ["/id"], "query": {"a": ["b"]}}}'),
    ('poll', '{"poll": {"path": "/{id}"}}'), ('poll', '{"poll": {"path": "/{id}", "status": ["/s"]}}'),
                                                        ('poll', '{"poll": {"path": "/{id}", "status": '
                                                            '["/s"], "states": {"ok": "done"}}}'),
       ('poll', '{"poll": {"path": "/{id}", "status": ["/s"], "states": {"r": "running"}}}'),
       ('poll', '{"poll": {"path": "/{id}", "status": ["/s"], "states": {"ok": "succeeded"}, "absent": '
                '"done"}}'),
    ('poll', '{"poll": {"path": "/{id}", "status": ["/s"], "states": {"ok": "succeeded"}, "every_ms": 1}}'),
                                                        ('poll', '{"poll": {"path": "/{id}", "status": '
                                                            '["/s"], "states": {"ok": "succeeded"}, '
                                                                '"every_ms": "1 s"}}'),
       ('poll', '{"poll": {"path": "/{id}", "status": ["/s"], "states": {"ok": "succeeded"}, '
                '"progress_of": 0}}'), ('poll', '{"poll": null, "result": {"path": "/x"}}'),
    ('result', '{"result": {}}'), ('cancel', '{"cancel": {"path": "/c", "is_final_on": ["ok"]}}'),
                                                        ('lookup', '{"lookup": {"path": "/l"}}'),
                                                            ('lookup', '{"lookup": {"path": "/l", "id": '
                                                                '["/id"]}}'),
       ('lookup', '{"lookup": {"path": "/l", "id": ["/id"], "absent_on": ["404"]}}'),
       ('webhook', '{"webhook": {"id": ["/id"]}}'),
       ('webhook', '{"webhook": {"scheme": "none", "id": ["/id"]}}'),
       ('webhook', '{"webhook": {"scheme": "fal-ed25519", "id": ["/id"]}}'),
       ('webhook', '{"webhook": {"scheme": "standard-webhooks", "id": ["/id"]}}'),
    ('webhook', '{"webhook": {"scheme": "standard-webhooks", "id": ["/id"], "secret_env": "whsec_abc"}}'),
                                                        ('webhook', '{"webhook": {"scheme": '
                                                            '"standard-webhooks", "secret_env": "W_SECRET"}}'), ('webhook', '{"webhook": {"scheme": "standard-webhooks", "id": ["/id"], "secret_env": "W_SECRET", "tolerance_s": "long"}}'),
    ('errors', '{"errors": {}}'), ('errors', '{"errors": [{"status": 422}]}'),
                                                        ('errors', '{"errors": [{"class": "bad"}]}'),
                                                            ('errors', '{"errors": [{"class": "invalid", '
                                                                '"status": "4x"}]}'),
       ('errors', '{"errors": [{"class": "invalid", "phase": "begin"}]}'),
       ('errors', '{"errors": [{"class": "invalid", "is_unbilled": "yes"}]}'),
       ('errors', '{"errors": [{"class": "invalid", "header": "x"}]}'),
       ('errors', '{"errors": [{"class": "invalid", "when": 1}]}'),
    ('error_pointers', '{"error_pointers": {"codes": ["/x"]}}'),
                                                        ('error_pointers',
                                                         '{"error_pointers": {"code": ["x"]}}'),
                                                             ('cost', '{"cost": {"pointer": "x", '
                                                                 '"micros_per_unit": 1}}'),
       ('cost', '{"cost": {"pointer": "/x"}}'),
       ('idempotency_header', '{"idempotency_header": "Idempotency-Key"}'),
       ('idempotency_header', '{"idempotency_ttl": "1 day"}'),
       ('idempotency_header', '{"idempotency_header": "a b", "idempotency_ttl": "1 day"}'),
    ('max_calls', '{"max_calls": 0}'), ('rate_per_minute', '{"rate_per_minute": 0}'),
                                                        ('rate_per_minute',
                                                         '{"rate_per_minute": 5, "rate_burst": 5}'),
                                                             ('day_cap_micros', '{"day_cap_micros": -1}'),
                                                                 ('reply_timeout', '{"reply_timeout": "0"}'),
                                                                     ('max_reply_bytes',
                                                                      '{"max_reply_bytes": 1}')) v (col,
                                                                          wrong);
select is(fixture.refusal('update kiln.provider set poll = poll - ''states'' where name = ''fal''')
          ->> 'code', 'KN003', 'a change is looked at as an insert is');
select is(fixture.refusal('insert into kiln.provider (name, is_local, base_url) values (''l'', '
                          'true, ''https://l.test'')') ->> 'code', 'KN003',
    'a local provider has no address');
select is_empty('select name from kiln.provider where auth ->> ''env'' is not null and (auth || '
                'coalesce(webhook, ''{}''))::text ~ ''(r8_|sk-|whsec_)''', 'no description holds a secret');

-- The config of a stage.
create function pg_temp.stage(p_config jsonb) returns void language plpgsql as $$
declare v int := kiln.new_pipeline_version('wrong');
begin
    insert into kiln.stage (pipeline_version_id, position, name, handler, queue_id, config)
    values (v, 1, 'ask', 'http', fixture.queue('image'),
            '{"provider": "fal", "endpoint": "a/b", "outputs": [{"pointer": "/x", "as": "url", "media_type": '
            '"image"}]}'::jsonb || p_config);
end $$;
select is(fixture.refusal(format('select pg_temp.stage(%L)', wrong)) ->> 'code', 'KN003',
          'a stage: ' || wrong)
  from unnest(array['{"provider": "none"}', '{"provider": "local"}', '{"provider": null}',
                    '{"endpoint": "a b"}', '{"endpoint": "../x"}', '{"on_unknown": "pay"}',
                    '{"media_as": "file"}', '{"outputs": {}}',
    '{"outputs": [{"pointer": "x", "as": "url", "media_type": "image"}]}',
        '{"outputs": [{"pointer": "/x", "as": "link", "media_type": "image"}]}',
            '{"outputs": [{"pointer": "/x", "as": "url", "media_type": "text"}]}', '{"outputs": [7]}',
                                                        '{"body": {"a": "{prompt.x}"}}', '{"keep": []}',
                                                            '{"carry": {}}', '{"carry": [7]}',
                                                                '{"carry": ["media"]}', '{"blocked": {}}',
                                                                    '{"boddy": {}}']) wrong;
select lives_ok($$ select pg_temp.stage('{"on_unknown": "retry", "media_as": "base64", "keep": {"seed": '
                                        '"/seed"}, "blocked": ["/nsfw"], "body": {"$merge": "{params}", "p": '
                                        '"{prompt}"}}') $$, 'a stage that is right is accepted');

-- Prices.
update kiln.model set price_micros = 1000, price = null where name = 'local/sketch';
create function pg_temp.costs(p_price jsonb, p_input jsonb) returns bigint language sql
as $$ update kiln.model set price = p_price where name = 'local/sketch';
      select kiln.estimate(m.model_id, p_input) from kiln.model m where m.name = 'local/sketch' $$;
select is(pg_temp.costs(price::jsonb, input::jsonb), micros::bigint, claim) from (values
    (null, '{}', 1000, 'a fixed price'),
    ('{"per": "params.duration", "micros": 100}', '{"params": {"duration": "8s"}}', 1800,
     'by seconds, written 8s'),
    ('{"per": "params.duration", "micros": 100}', '{"params": {"duration": 5}}', 1500, 'or as a number'),
    ('{"per": "params.duration", "micros": 100, "default": 6}', '{"params": {}}', 1600,
     'by default where it is not said'),
    ('{"per": "params.duration", "micros": 100}', '{}', 1100, 'else one'),
    ('{"per": "characters", "micros": 0.5, "at_least": 10}', '{"prompt": "abc"}', 1005,
     'by characters, at least so many'),
    ('{"per": "characters", "micros": 0.5}', '{"prompt": "äöü"}', 1002,
     'characters, not bytes; a fraction is rounded up'),
    ('{"per": "megapixels", "micros": 1000}', '{"params": {"width": 2000, "height": 1000}}', 3000,
     'by megapixels'),
    ('{"per": "megapixels", "micros": 1000}', '{"params": {"image_size": {"width": 1000, "height": 500}}}',
     1500, 'also where they stand deeper'),
    ('{"per": "params.n", "micros": 100}', '{"params": {"n": "-5"}}', 1100, 'what is no count is one'),
    ('{"per": "params.n", "micros": 100}', '{"params": {"n": {"a": 1}}}', 1100, 'nor is an object'),
    ('{"per": "params.n", "micros": 100}', '{"params": {"n": "99999999999999999999"}}', 99999999900 + 1000,
     'nor more digits than anyone means')
) v (price, input, micros, claim);
select is(fixture.refusal(format('update kiln.model set price = %L where name = %L', wrong, 'local/sketch'))
          ->> 'code', 'KN003', 'a price that nobody can count: ' || wrong)
  from unnest(array['[]', '{}', '{"per": "images", "micros": 1}', '{"per": "characters"}',
                    '{"per": "characters", "micros": -1}', '{"per": "characters", "micros": "x"}',
                    '{"per": "characters", "micros": 1, "default": "x"}',
                    '{"per": "params.n", "micros": 1, "much": 2}']) wrong;
select is(pg_temp.costs('{"per": "megapixels", "micros": 1000000}',
                        '{"params": {"width": "99999999999999", "height": "99999999999999"}}'),
          1000000000000000, 'an estimate has an end');
update kiln.model set price = null, price_micros = 0 where name = 'local/sketch';

-- Available is what a living runner has the secret of.
create function pg_temp.reason() returns text language sql
as $$ select kiln_internal.model_reason(m) from kiln.model m where m.name = 'fal/flux-schnell' $$;
select is(pg_temp.reason(), 'No runner has FAL_KEY.',
          'without its secret a model is not available, and says why');
select is((select i -> 'available'
             from jsonb_array_elements(fixture.call(null, 'list_models',
                                                    p_query => '{"limit": "100"}') -> 'items') i
            where i ->> 'id' = 'fal/flux-schnell'), 'false'::jsonb, 'it is listed all the same');
select is(fixture.bad_fields($$ select fixture.call('ann', 'create_generation',
    p_body => '{"type": "image", "model": "fal/flux-schnell", "prompt": "x"}') $$), '/model',
          'and refused when it is asked for, never queued');
create temporary table r as select fixture.runner('{image}') as runner;
select kiln_runner.offer_secrets(runner, '{REPLICATE_API_TOKEN}') from r \g /dev/null
select is(pg_temp.reason(), 'No runner has FAL_KEY.', 'another''s secret is none');
select kiln_runner.offer_secrets(runner, '{REPLICATE_API_TOKEN,FAL_KEY}') from r \g /dev/null
select is(pg_temp.reason(), null, 'with it the model is available, without any other change');
select is(fixture.call('ann', 'create_generation',
                       p_body => '{"type": "image", "model": "fal/flux-schnell", "prompt": "x"}') -> 'cost',
          '{"estimated": 3000, "actual": null, "currency": "USD"}', 'it is queued with its price');
update kiln.provider set is_enabled = false where name = 'fal';
select is(pg_temp.reason(), 'Provider fal is switched off.', 'one that is switched off says so');
update kiln.provider set is_enabled = true where name = 'fal';
select kiln_runner.unregister(runner) from r \g /dev/null
select is(pg_temp.reason(), 'No runner has FAL_KEY.', 'when that runner leaves it is not');
-- What stages stand on does not go from under them.
select is(fixture.refusal(format('update kiln.provider set %s where name = %L', change, 'fal')) ->> 'message',
          said, change) from (values
    ('name = ''laf''',
     'provider fal: name: never changes once stages name it: make another provider, and a new version of the '
     'pipelines'),
    ('is_local = true',
     'provider fal: is_local: never changes once stages name it: make another provider, and a new version of '
     'the pipelines'),
    ('submit = submit || ''{"path": "/{config.version}/{endpoint}"}''',
     'provider fal: its requests: /config/version of stage 1 of pipeline ''fal/apartment-staging'' is '
     'required: the requests of provider fal name {config.version}'),
    ('max_calls = 0',
     'provider fal: max_calls: it is to be at least 1, or null; is_enabled = false stops a provider')) v (change, said);
select is(fixture.refusal('update kiln.provider set max_calls = 0 where name = ''local''') ->> 'code',
          'KN003', 'a local provider has limits that make sense too');
select is_empty('select * from kiln.contradictions', 'nothing contradicts anything');
select finish();
rollback;

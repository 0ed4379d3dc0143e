-- Providers as data: the example of docs/providers.md, word for word; templates; hostile replies; mistakes that are refused.
begin;
\ir ../fixtures/fixture.sql
select no_plan();

\set file `mktemp`
\setenv PROVIDER_SQL :file
\! awk '/^```sql$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' docs/providers.md >"$PROVIDER_SQL"
\o /dev/null
\i :file
\o
\! rm -f "$PROVIDER_SQL"
set constraints all immediate;
select is(kiln.model_reason(m), null, 'the provider of docs/providers.md can be used as it stands there') from kiln.model m where m.name = 'atelier/draw';
create temporary table r as
select kiln.render_request(v, 'submit', jsonb_build_object('prompt', '{params.x} kiln-file-00000000-0000-0000-0000-000000000000', 'params', '{"seed": 196619188014358660}'::jsonb, 'config', s.config)) as request
  from kiln.provider v, kiln.stage s where v.name = 'atelier' and s.config ->> 'provider' = 'atelier';
select is(request ->> 'url', 'https://atelier.example.org/v1/draw', 'its endpoint is in the URL') from r;
select is((request ->> 'body')::jsonb, '{"prompt": "{params.x} kiln-file-00000000-0000-0000-0000-000000000000", "seed": 196619188014358660}',
          'a seed of 64 bits stays exact, and a prompt that looks like a template or a token stays text') from r;
select is(kiln.fill('{"a": "{params.no}", "b": [1, "{params.no}"]}', '{"params": {}}'), '{"b": [1]}', 'what is missing is dropped, in lists too');
select is(kiln.fill_text('/x/{id}', '{"id": "../y"}', true), null, 'an id with .. is not used in a path');
select is(kiln.reply_url(v, u), null, 'not asked: ' || u) from kiln.provider v,
  unnest('{https://evil.example/x,http://atelier.example.org/x,https://atelier.example.org:8443/x,https://me@atelier.example.org/x}'::text[]) u where v.name = 'atelier';
select ok(fixture.refusal(format('select kiln.read_reply(v, %L, %L, 200, null, %L) from kiln.provider v', '{}', k, b)) is null, format('a %s reply that begins %s raises nothing', k, left(b, 12)))
  from unnest('{submit,poll,result,cancel,lookup,webhook}'::text[]) k,
       unnest(array['', 'x', '[]', 'null', '1e400', '{"status": 1e400}', '"\u0000"', '{"status": {}}', repeat('[', 100000)]) b;
select is(fixture.refusal(format('update kiln.provider set %s where name = %L', s, 'atelier')) ->> 'code', 'KN003', 'refused: ' || s)
  from unnest(array[$$base_url = 'ftp://x'$$, $$submit = null$$, $$submit = '{"path": "x"}'$$, $$submit = '{"path": "/", "typo": 1}'$$, $$submit = '{"path": "/{nothing}"}'$$,
                    $$errors = '{}'$$, $$errors = '[{"class": "sad"}]'$$, $$auth = '{"header": "A", "env": "KILN_SECRET", "prefix": ""}'$$, $$reply_hosts = '{a/b}'$$, $$file_hosts = '{*}'$$]) s;
update kiln.provider set auth = '{"header": "Authorization", "prefix": "Key ", "env": "ATELIER_KEY"}' where name = 'atelier';
select is(kiln.model_reason(m), 'No runner has ATELIER_KEY.', 'without its secret a model cannot be used, and says why') from kiln.model m where m.name = 'atelier/draw';
select fixture.runner() as me \gset
select kiln_runner.beat(:me) \g /dev/null
select kiln_runner.offer_secrets(:me, '{ATELIER_KEY}') \g /dev/null
select is(kiln.model_reason(m), null, 'with a living runner that has it, it can') from kiln.model m where m.name = 'atelier/draw';
select finish();
rollback;

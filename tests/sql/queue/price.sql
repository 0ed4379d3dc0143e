-- Prices by what is asked for.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
create function pg_temp.price(p_price jsonb, p_input jsonb) returns bigint language plpgsql as
$$ begin update kiln.model set price_micros = 0, price = p_price where name = 'local/sketch';
   return (select kiln.estimate(m.model_id, p_input) from kiln.model m where m.name = 'local/sketch'); end $$;
select is(pg_temp.price(null, '{}'), 0::bigint, 'without a rule the fixed price counts');
select is(pg_temp.price('{"per": "params.duration", "micros": 100}',
                        jsonb_build_object('params', jsonb_build_object('duration', d))), n,
          'by seconds: ' || d) from (values ('8s', 800::bigint), ('5', 500)) x (d, n);
select is(pg_temp.price('{"per": "params.duration", "micros": 100, "default": 4}', '{"params": {}}'),
          400::bigint, 'what is not said costs the default');
select is(pg_temp.price('{"per": "characters", "micros": 10, "at_least": 5}', '{"prompt": "abc"}'),
          50::bigint, 'at least so many');
select is(pg_temp.price('{"per": "megapixels", "micros": 100}',
                        '{"params": {"width": 1000, "height": 2000}}'), 200::bigint, 'by megapixels');
select ok(pg_temp.price(r, jsonb_build_object('params', jsonb_build_object('duration', h, 'width', h,
                                                        'height', 1))) >= 0,
          format('%s of %s costs no less than nothing', r ->> 'per', left(h::text, 20)))
  from unnest(array['{"per": "params.duration", "micros": 100}',
                    '{"per": "megapixels", "micros": 100}']::jsonb[]) r,
       unnest(array['-5', '"-5"', '1e400', '{}', '[]', 'null', '"x"', '999999999999999999999']::jsonb[]) h;
select finish();
rollback;

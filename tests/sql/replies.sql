-- What fal's replies mean, by the seeded description, and its URLs.
begin;
\ir ../fixtures/fixture.sql
select no_plan();
create function pg_temp.read(p_kind text, p_status int, p_body text, p_headers jsonb default '{}') returns kiln.reply language sql as
$$ select kiln.read_reply(v, '{"outputs": []}', p_kind, p_status, p_headers, p_body) from kiln.provider v where v.name = 'fal' $$;
create function pg_temp.url(p_kind text, p_endpoint text, p_more jsonb default '{}') returns text language sql as
$$ select r ->> 'method' || ' ' || (r ->> 'url') from (select kiln.render_request(v, p_kind, '{"prompt": "x", "params": {}, "id": "7"}' || p_more || jsonb_build_object('config', jsonb_build_object('endpoint', p_endpoint))) as r
     from kiln.provider v where v.name = 'fal') x $$;

select is(pg_temp.url('submit', 'fal-ai/flux/dev'), 'POST https://queue.fal.run/fal-ai/flux/dev', 'a submit has the whole endpoint, and no webhook where there is no public URL');
select is(pg_temp.url('submit', 'fal-ai/flux/dev', '{"webhook_url": "https://k.example/w?a=1"}'), 'POST https://queue.fal.run/fal-ai/flux/dev?fal_webhook=https%3A%2F%2Fk.example%2Fw%3Fa%3D1', 'the webhook is asked for in the query, encoded');
select is(split_part(pg_temp.url('poll', 'fal-ai/flux/dev'), '?', 1), 'GET https://queue.fal.run/fal-ai/flux/requests/7/status', 'the sub-path is not in the status URL');
select is(pg_temp.url('result', 'workflows/me/app/x'), 'GET https://queue.fal.run/workflows/me/app/requests/7', 'workflows/ stays in front');
select is(pg_temp.url('cancel', 'comfy/me/app/x'), 'PUT https://queue.fal.run/comfy/me/app/requests/7/cancel', 'so does comfy/, and a cancel is a PUT');

select is((pg_temp.read('submit', 200, '{"request_id": "r1"}')).outcome, 'accepted', 'a submit reply with only a request id is an acceptance');
select is((pg_temp.read('submit', 200, '{"request_id": "r1"}')).request_id, 'r1', 'with that id');
select is((pg_temp.read('submit', s, 'bad gateway')).outcome, 'unclear', s || ' at submit without an error type of fal''s is unclear') from unnest('{500,502,504}'::int[]) s;
select is((pg_temp.read('poll', 202, '{"status": "IN_QUEUE", "queue_position": 3}')).queue_position, 3, 'a status with 202 is read');
select is((pg_temp.read('poll', 200, b)).outcome, 'failed', 'completed with an error is a failure: ' || b) from unnest(array['{"status": "COMPLETED", "error": "no"}', '{"status": "COMPLETED", "error_type": "internal_error"}']) b;
select is((pg_temp.read('result', 422, b)).outcome, 'failed', 'a result with 422 is a failure: ' || b) from unnest(array['{"detail": [{"loc": ["body"], "msg": "bad", "type": "image_too_large"}]}', '{"detail": "text"}']) b;
select is((pg_temp.read('result', 422, '{"detail": [{"msg": "no", "type": "content_policy_violation"}]}')).error_class, 'refused', 'content policy is a refusal');
select is((pg_temp.read('submit', 429, '{}', '{"retry-after": "7"}')).retry_after, '7 seconds', 'Retry-After in seconds');
select is((pg_temp.read('submit', 429, '{}', '{"retry-after-ms": "250"}')).retry_after, '250 milliseconds', 'in milliseconds');
select is((pg_temp.read('submit', 429, '{}')).error_class, 'rate_limited', '429 is a limit');
select is((pg_temp.read('webhook', 200, '{"request_id": "r1", "status": "OK", "payload": {"seed": 42}}')).result, '{"seed": 42}', 'a webhook that is OK carries the result');
select is((pg_temp.read('webhook', 200, '{"request_id": "r1", "status": "ERROR", "payload": {"detail": [{"msg": "x", "type": "t"}]}}')).outcome, 'failed', 'one with ERROR is a failure');
select ok((kiln.read_outputs('{"outputs": [], "blocked": ["/has_nsfw_concepts/*"]}', '{"has_nsfw_concepts": [false, true]}') ->> 'is_blocked')::boolean, 'one blacked-out picture blocks the result');
select is((pg_temp.read('submit', 500, '{"detail": "x", "error_type": "internal_error"}', '{"x-fal-error-type": "internal_error"}')).outcome, 'failed', 'a 500 at submit that carries an error type of fal''s is an error of fal''s');
select finish();
rollback;

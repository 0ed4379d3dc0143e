// Webhooks of providers at the door: what is signed rightly comes in, once; everything else is told one of three codes. What the news
// then means for a job is tests/sql's.
import assert from 'node:assert/strict';
import { createHash, createHmac, randomUUID, sign } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { key_pair } from '../fakes/keys.mjs';
import { begin, in_seconds, request } from './lib.mjs';

const secret = key => `whsec_${Buffer.from(key).toString('base64')}`;
const [old_secret, new_secret] = ['an-old-secret-of-24-bytes', 'a-new-secret-of-24-bytes!'];

/** As fal signs: headers over id, user, time and the body's hash. */
function fal_headers(key, body, { id = randomUUID(), user = 'user_0001', at = in_seconds(0) } = {}) {
    const hash = createHash('sha256').update(body).digest('hex');
    const signature = sign(null, Buffer.from([id, user, String(at), hash].join('\n')), key.privateKey);
    return { 'X-Fal-Webhook-Request-Id': id, 'X-Fal-Webhook-User-Id': user, 'X-Fal-Webhook-Timestamp': String(at), 'X-Fal-Webhook-Signature': signature.toString('hex') };
}
/** As Standard Webhooks signs, with each of the keys. */
function standard_headers(keys, body, { id = `msg_${randomUUID()}`, at = in_seconds(0) } = {}) {
    const signatures = keys.map(key => `v1,${createHmac('sha256', key).update(`${id}.${at}.`).update(body).digest('base64')}`);
    return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': signatures.join(' ') };
}

describe('webhooks', () => {
    const key = key_pair('ed25519'), next_key = key_pair('ed25519');
    let kiln, hand;
    before(async () => {
        kiln = await begin({ server: { env: { REPLICATE_WEBHOOK_SECRET: `${secret(old_secret)},${secret(new_secret)}`, FAL_KEY: 'not for the server' } } });
        await kiln.psql(`update kiln.config set public_url = 'https://kiln.example'`);     // without it nobody sends webhooks, and no keys are wanted
        await store_keys([key]);
        await kiln.pipeline('test/fal', [{ name: 'ask', handler: 'http', queue: 'image', config: {
            provider: 'fal', endpoint: 'fal-ai/flux/dev', body: { prompt: '{prompt}' }, outputs: [{ pointer: '/images/*/url', as: 'url', media_type: 'image' }] } }]);
        hand = await kiln.value(`select kiln_runner.register('hand', 'here', 1, 'test', '{image}', 8)`);
        await kiln.psql(`select kiln_runner.offer_secrets(${hand}, '{FAL_KEY}')`);
    });
    after(() => kiln.end());

    const store_keys = keys => kiln.psql(`select kiln_runner.store_webhook_keys('fal', '${JSON.stringify({ keys: keys.map(k => k.jwk) })}')`);
    const send = (provider, body, headers, query = `?call=${randomUUID()}`, more = {}) =>
        request(kiln.url, 'POST', `/api/v1/webhooks/${provider}${query}`, { headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers }, body, ...more });
    function check_problem(answer, status, code) {
        assert.equal(answer.status, status, answer.text);
        assert.match(answer.headers['content-type'], /^application\/problem\+json/);
        assert.equal(answer.json.code, code, answer.text);
        assert.equal(answer.headers['www-authenticate'], undefined, 'no token would help');
        return answer.json;
    }
    const news = (id = randomUUID()) => JSON.stringify({ request_id: id, gateway_request_id: id, status: 'OK', payload: { images: [], seed: 42 } });

    /** A call to fal that has begun, as a runner begins it: the job, the call's token in the webhook's URL, what the runner holds. */
    async function begun_call() {
        await kiln.psql('select kiln.cancel_job(job_id) from kiln.job where finished_at is null');      // what earlier tests left is not claimed
        const job = await kiln.enqueue('test/fal', { input: { prompt: 'a hill' } });
        const [{ task_id, fence }] = await kiln.rows(`select c.task_id::text, c.fence::text from kiln_runner.claim(${hand}, 1) c`);
        const step = JSON.parse(await kiln.value(`select kiln_runner.begin_call(${task_id}, ${fence})`));
        assert.equal(step.do, 'send', JSON.stringify(step));
        return { job, task_id, fence, call_id: step.call_id, request_id: randomUUID(), query: `?call=${await kiln.value(`select webhook_token from kiln.call where call_id = ${step.call_id}`)}` };
    }
    const accept = async call => JSON.parse(await kiln.value(`select kiln_runner.call_answer(${call.task_id}, ${call.fence}, ${call.call_id}, '${JSON.stringify({
        call_id: call.call_id, kind: 'submit', status: 200, headers: {}, elapsed_ms: 5, media: [],
        body: JSON.stringify({ status: 'IN_QUEUE', request_id: call.request_id, queue_position: 3 }) })}')`));
    const state_of = async call => {
        const [row] = await kiln.rows(`select c.state::text, c.outcome, (select count(*) from kiln.call d where d.job_id = c.job_id) as calls from kiln.call c where c.call_id = ${call.call_id}`);
        return [row.outcome ?? row.state, row.calls];
    };
    const ended = call => JSON.stringify({ request_id: call.request_id, gateway_request_id: call.request_id, status: 'OK', error: null,
        payload: { images: [{ url: 'https://v3.fal.media/files/x/y.png', content_type: 'image/png', width: 8, height: 8 }], seed: 42 } });

    describe('about a call', () => {
        test('end it once, however often they come, also at once', async () => {
            const call = await begun_call();
            assert.equal((await accept(call)).do, 'nothing');
            assert.deepEqual(await state_of(call), ['accepted', 1]);
            const body = ended(call), headers = fal_headers(key, body, { id: call.request_id });
            const answers = await Promise.all(Array.from({ length: 20 }, () => send('fal', body, headers, call.query)));
            assert.deepEqual([...new Set(answers.map(a => a.status))], [200], answers.find(a => a.status !== 200)?.text);
            assert.deepEqual(await state_of(call), ['succeeded', 1]);
            assert.equal(await kiln.value(`select string_agg(state::text, ' ') from kiln.task where job_id = ${call.job}`), 'ready', 'its result is to be fetched');
            const version = (await kiln.job(call.job)).version;
            assert.equal((await send('fal', body, headers, call.query)).status, 200, 'replayed, it is taken');
            assert.equal((await kiln.job(call.job)).version, version, 'and changes nothing');
        });
        test('that come before the reply to our own request are not lost', async () => {
            const call = await begun_call();
            const body = ended(call);
            assert.equal((await send('fal', body, fal_headers(key, body, { id: call.request_id }), call.query)).status, 200);
            assert.deepEqual(await state_of(call), ['succeeded', 1]);
            await accept(call);
            assert.deepEqual(await state_of(call), ['succeeded', 1], 'the reply that comes after them takes nothing back');
        });
        // jsonb keeps 1e131071 in a few bytes and SQL writes 131,072 digits; told off, a provider would send it for hours.
        test('with a number that nobody can write out are read but for that number', async () => {
            const call = await begun_call();
            const body = ended(call).replace('"seed":42', '"seed":1e131071,"timings":[1e131071]');
            assert.equal((await send('fal', body, fal_headers(key, body, { id: call.request_id }), call.query)).status, 200);
            assert.deepEqual(await state_of(call), ['succeeded', 1]);
            assert.equal(await kiln.value(`select (result ->> 'seed') || (result ->> 'timings') from kiln.call where call_id = ${call.call_id}`), '[""]');
        });
        test('find it by the provider\'s request id where the URL has lost its token', async () => {
            const call = await begun_call();
            await accept(call);
            const body = ended(call);
            assert.equal((await send('fal', body, fal_headers(key, body, { id: call.request_id }), '')).status, 200);
            assert.deepEqual(await state_of(call), ['succeeded', 1]);
        });
        test('that are forged end nothing', async () => {
            const call = await begun_call();
            await accept(call);
            const body = ended(call);
            for (const headers of [fal_headers(key_pair('ed25519'), body, { id: call.request_id }), fal_headers(key, body, { id: call.request_id, at: in_seconds(-3600) }), {}]) {
                assert.equal((await send('fal', body, headers, call.query)).status, 401);
            }
            assert.deepEqual(await state_of(call), ['accepted', 1]);
        });
        test('of which nothing is known here are taken all the same, so that they are not sent for hours', async () => {
            const body = news();
            assert.equal((await send('fal', body, fal_headers(key, body))).status, 200);
            assert.ok(Number(await kiln.value('select count(*) from kiln.unmatched_webhook')) > 0);
        });
    });

    describe('of fal', () => {
        test('what it signed is taken', async () => {
            const body = news();
            const answer = await send('fal', body, fal_headers(key, body));
            assert.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${answer.text}`);
        });
        test('the type of the body does not matter, its bytes do', async () => {
            const body = `${news().slice(0, -1)},  "odd" : "\\u00e9 é" }\n`;
            const answer = await send('fal', body, { ...fal_headers(key, body), 'Content-Type': 'text/plain' });
            assert.ok(answer.status < 300, answer.text);
        });
        test('any part that is changed or missing is refused with the same words', async () => {
            const body = news(), good = fal_headers(key, body);
            const wrong = [
                [body.replace('42', '43'), good],
                [`${body} `, good],
                [body, fal_headers(key_pair('ed25519'), body)],
                [body, { ...good, 'X-Fal-Webhook-Request-Id': randomUUID() }],
                [body, { ...good, 'X-Fal-Webhook-User-Id': 'user_0002' }],
                [body, { ...good, 'X-Fal-Webhook-Timestamp': String(Number(good['X-Fal-Webhook-Timestamp']) - 1) }],
                [body, { ...good, 'X-Fal-Webhook-Signature': good['X-Fal-Webhook-Signature'].slice(2) }],
                [body, { ...good, 'X-Fal-Webhook-Signature': 'z'.repeat(128) }],
                [body, {}],
                ...Object.keys(good).map(name => [body, Object.fromEntries(Object.entries(good).filter(([n]) => n !== name))]),
            ];
            const said = new Set();
            for (const [text, headers] of wrong) said.add(check_problem(await send('fal', text, headers), 401, 'webhook_signature_invalid').detail);
            assert.equal(said.size, 1, 'which of them it was is nobody\'s business');
        });
        test('more than five minutes from our clock is refused, before or after', async () => {
            const body = news();
            for (const off of [-310, 310]) check_problem(await send('fal', body, fal_headers(key, body, { at: in_seconds(off) })), 401, 'webhook_timestamp_old');
            for (const off of [-280, 280]) assert.ok((await send('fal', body, fal_headers(key, body, { at: in_seconds(off) }))).status < 300);
        });
        test('a megabyte is taken, a byte more is not', async () => {
            const filled = bytes => { const empty = JSON.stringify({ request_id: 'x', fill: '' }); return empty.replace('""', `"${'f'.repeat(bytes - empty.length)}"`); };
            const body = filled(1 << 20), more = filled((1 << 20) + 1);
            const answer = await send('fal', body, fal_headers(key, body));
            assert.ok(answer.status < 300, answer.text.slice(0, 200));
            check_problem(await send('fal', more, fal_headers(key, more)), 413, 'too_large');
            const status = await new Promise((resolve, reject) => {         // chunked: it does not say how long it is
                const req = http.request(`${kiln.url}/api/v1/webhooks/fal`, { method: 'POST', headers: fal_headers(key, more) }, res => { res.resume(); resolve(res.statusCode); });
                req.on('error', reject);
                for (let i = 0; i < more.length; i += 65536) req.write(more.slice(i, i + 65536));
                req.end();
            });
            assert.equal(status, 413);
        });
        test('when it changes its key, the first webhook has the keys fetched, and is taken when it comes again', async () => {
            await kiln.arrange(`update kiln.webhook_key set fetched_at = fetched_at - interval '2 minutes'`);     // keys are asked for once a minute
            const body = news(), headers = fal_headers(next_key, body);
            check_problem(await send('fal', body, headers), 401, 'webhook_signature_invalid');
            assert.ok(await kiln.value(`select wanted_at from kiln.webhook_key join kiln.provider using (provider_id) where name = 'fal'`), 'a runner is asked to fetch them');
            await store_keys([key, next_key]);
            await new Promise(resolve => setTimeout(resolve, 1100));        // what was read is not asked for again within a second
            assert.ok((await send('fal', body, headers)).status < 300, 'though the older keys are still remembered');
            const old = news();
            assert.ok((await send('fal', old, fal_headers(key, old))).status < 300, 'and the other key is as good');
        });
        test('a hundred forged at once change nothing, and the true one passes among them', async () => {
            const body = news();
            const before = await kiln.value('select count(*) from kiln.event');
            const answers = await Promise.all(Array.from({ length: 101 }, (_, i) => send('fal', body, i === 50 ? fal_headers(key, body) : fal_headers(key_pair('ed25519'), body))));
            assert.deepEqual(answers.map(a => a.status < 300).flatMap((ok, i) => ok ? [i] : []), [50]);
            assert.equal(await kiln.value('select count(*) from kiln.event'), before);
        });
    });

    describe('of Replicate', () => {
        const body = JSON.stringify({ id: 'abc', status: 'processing' });
        test('any of several signatures, by either of two secrets, is good', async () => {
            for (const keys of [[old_secret], [new_secret], ['another', old_secret]]) {
                const answer = await send('replicate', body, standard_headers(keys, body));
                assert.ok(answer.status < 300, answer.text);
            }
            check_problem(await send('replicate', body, standard_headers(['another'], body)), 401, 'webhook_signature_invalid');
            check_problem(await send('replicate', `${body}\n`, standard_headers([old_secret], body)), 401, 'webhook_signature_invalid');
            check_problem(await send('replicate', body, standard_headers([old_secret], body, { at: in_seconds(-400) })), 401, 'webhook_timestamp_old');
        });
        test('without the secret nothing can be believed, and the operator is told once', async () => {
            const server = await kiln.server({ env: { REPLICATE_WEBHOOK_SECRET: undefined } });
            for (let i = 0; i < 3; i++) {
                const answer = await request(server.url, 'POST', '/api/v1/webhooks/replicate', { headers: standard_headers([old_secret], body), body });
                check_problem(answer, 401, 'webhook_key_unknown');
            }
            const lines = server.logged('no key fits a webhook');
            assert.deepEqual(lines.map(line => [line.provider, line.secret_env]), [['replicate', 'REPLICATE_WEBHOOK_SECRET']]);
            await server.stop();
        });
    });

    test('who sends none, or is not there, is not found', async () => {
        const body = news();
        for (const provider of ['local', 'nobody', 'fal%00', 'x'.repeat(300), '%2e%2e', "fal';--"]) {
            const answer = await send(provider, body, fal_headers(key, body));
            assert.ok([400, 404].includes(answer.status), `${provider}: ${answer.status} ${answer.text}`);
            assert.ok(['not_found', 'malformed'].includes(answer.json.code));
        }
        const answer = await request(kiln.url, 'GET', '/api/v1/webhooks/fal');
        assert.deepEqual([answer.status, answer.headers.allow], [405, 'POST']);
    });
    test('what is signed but is no text, or no JSON, is refused and does no harm', async () => {
        for (const body of [Buffer.from([0xff, 0xfe, 0x7b]), Buffer.from('{"a": "\0"}'), Buffer.from('not json'), Buffer.from('[]'), Buffer.alloc(0)]) {
            const answer = await send('fal', body, fal_headers(key, body));
            assert.ok(answer.status < 500, `${body}: ${answer.status} ${answer.text}`);
        }
        assert.ok(!kiln.main.ended);
    });
    test('nothing of a secret or a signature is logged', () => {
        for (const word of [old_secret, new_secret, secret(old_secret), 'not for the server', 'v1,']) assert.ok(!kiln.main.output.includes(word), word);
    });
});

// What the fake provider itself promises, before anything is proved with it: it speaks the three protocols as they are documented, notices what is
// wrong in a request, misbehaves when and only when told, keeps its bill, and comes back from a kill with all it knew.
import assert from 'node:assert/strict';
import { createHash, createHmac, createPrivateKey, createPublicKey, verify } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FakeProvider } from '../fakes/client.mjs';
import { fal_headers } from '../fakes/webhooks.mjs';
import { pause, run, until } from './lib.mjs';

describe('the fake provider', () => {
    let fake, folder, hooks, heard, key, bearer, token, prompts = 0;
    before(async () => {
        folder = fs.mkdtempSync(path.join(process.env.TEST_HOME || os.tmpdir(), 'fake-'));
        fake = await new FakeProvider({ state: path.join(folder, 'book'), seed: 7 }).start();
        key = { Authorization: `Key ${fake.keys.FAL_KEY}` };
        bearer = { Authorization: `Bearer ${fake.keys.OPENAI_API_KEY}` };
        token = { Authorization: `Bearer ${fake.keys.REPLICATE_API_TOKEN}` };
        heard = [];
        hooks = http.createServer((req, res) => {
            const parts = [];
            req.on('data', part => parts.push(part)).on('end', () => { heard.push({ url: req.url, headers: req.headers, body: Buffer.concat(parts).toString() }); res.end('{}'); });
        });
        await new Promise(resolve => hooks.listen(0, '127.0.0.1', resolve));
    });
    after(async () => { hooks.closeAllConnections(); hooks.close(); await fake.stop(); fs.rmSync(folder, { recursive: true }); });

    const prompt = () => `claim ${++prompts}.`;
    const submit = (body, endpoint = 'fal-ai/flux/dev', headers = {}, query = '') => fake.ask('POST', `/fal/${endpoint}${query}`, body, { ...key, ...headers });
    const follow = url => fake.ask('GET', url.slice(fake.url.length), undefined, key);
    const hook = name => `?fal_webhook=${encodeURIComponent(`http://127.0.0.1:${hooks.address().port}/${name}`)}`;
    async function made(body, endpoint) {
        const { json } = await submit(body, endpoint);
        await until('the end', async () => (await follow(json.status_url)).json.status === 'COMPLETED');
        return follow(json.response_url);
    }
    async function kind_of(bytes) {
        const file = path.join(folder, 'result');
        fs.writeFileSync(file, bytes);
        const probe = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name', '-of', 'csv=p=0', file]);
        const decode = await run('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-']);
        return decode.code === 0 && !decode.err ? probe.out.trim() : `${probe.out.trim()}: ${decode.err}`;
    }

    describe('as fal', () => {
        test('queues, runs and completes, and the sub-path belongs to the submit only', async () => {
            const p = prompt();
            await fake.behave({ do: { queue_ms: 150, run_ms: 150 } }, p);
            const { status, json } = await submit({ prompt: p });
            assert.equal(status, 200);
            assert.equal(json.status_url, `${fake.url}/fal/fal-ai/flux/requests/${json.request_id}/status`);
            const seen = new Set();
            await until('COMPLETED', async () => { const { status: s, json: j } = await follow(json.status_url); seen.add(`${s} ${j.status}`); return j.status === 'COMPLETED'; });
            assert.deepEqual([...seen], ['202 IN_QUEUE', '202 IN_PROGRESS', '200 COMPLETED']);
            assert.equal((await fake.ask('GET', `/fal/fal-ai/flux/dev/requests/${json.request_id}/status`, undefined, key)).status, 404);
        });
        test('makes pictures, films and sounds that open, each of its own', async () => {
            const kinds = { 'fal-ai/flux/dev': ['mjpeg', r => r.images[0]], 'fal-ai/nano-banana': ['png', r => r.images[0]], 'fal-ai/veo3': ['h264', r => r.video], 'fal-ai/stable-audio': ['pcm_s16le', r => r.audio_file] };
            const hashes = new Set();
            for (const [endpoint, [codec, pick]] of Object.entries(kinds)) {
                for (const _ of [1, 2]) {
                    const file = pick((await made({ prompt: prompt() }, endpoint)).json);
                    const { bytes, headers } = await fake.ask('GET', file.url.slice(fake.url.length));
                    assert.equal(await kind_of(bytes), codec);
                    assert.equal(headers['content-type'], file.content_type);
                    assert.equal(bytes.length, file.file_size);
                    hashes.add(createHash('sha256').update(bytes).digest('hex'));
                }
            }
            assert.equal(hashes.size, 8);
        });
        test('keeps a seed beyond 2^53 to the digit', async () => {
            const text = `{"prompt":"${prompt()}","seed":196619188014358661}`;
            const { request_id } = await new Promise((resolve, reject) => http.request(`${fake.url}/fal/fal-ai/flux/dev`, { method: 'POST', headers: { ...key, 'Content-Type': 'application/json' } },
                res => { let all = ''; res.on('data', d => { all += d; }).on('end', () => resolve(JSON.parse(all))); }).on('error', reject).end(text));
            const status = () => fake.ask('GET', `/fal/fal-ai/flux/requests/${request_id}/status`, undefined, key);
            await until('the end', async () => (await status()).json.status === 'COMPLETED');
            assert.match((await fake.ask('GET', `/fal/fal-ai/flux/requests/${request_id}`, undefined, key)).text, /"seed":196619188014358661[,}]/);
        });
        test('signs its webhooks so that its JWKS verifies them; the scheme is that of the documented vector', async () => {
            const { json } = await submit({ prompt: prompt() }, 'fal-ai/flux/dev', {}, hook('signed'));
            const { headers, body } = await until('the webhook', () => heard.find(h => h.url === '/signed'));
            const [jwk] = (await fake.ask('GET', '/fal/.well-known/jwks.json')).json.keys;
            const message = ['request-id', 'user-id', 'timestamp'].map(n => headers[`x-fal-webhook-${n}`]).concat(createHash('sha256').update(body).digest('hex')).join('\n');
            assert.ok(verify(null, Buffer.from(message), createPublicKey({ key: jwk, format: 'jwk' }), Buffer.from(headers['x-fal-webhook-signature'], 'hex')));
            const told = JSON.parse(body);
            assert.deepEqual([told.request_id, told.status, told.payload.images.length], [json.request_id, 'OK', 1]);

            // The vector of facts: the key of RFC 8032 test 1.
            const signing_key = createPrivateKey({ key: Buffer.from('302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex'), format: 'der', type: 'pkcs8' });
            const vector = '{"request_id":"123e4567-e89b-12d3-a456-426614174000","gateway_request_id":"123e4567-e89b-12d3-a456-426614174000","status":"OK","payload":{"images":[{"url":"https://v3.fal.media/files/x/y.png","content_type":"image/png","width":1024,"height":768}],"seed":42}}';
            const signed = fal_headers({ signing_key }, vector, { id: '123e4567-e89b-12d3-a456-426614174000', at: 1760000000, user: 'user_0001' });
            assert.equal(signed['X-Fal-Webhook-Signature'], '4a08812cde8d81ba3a731a4034f37c6a0f78de54fe9a2e945fa5645b40fe96bca1c53e506bc3af3f19cab0b6f5ffc04ddd0761c45cde3465747d80988656f106');
        });
        test('cancels what waits for nothing, what runs for money, and not what is done', async () => {
            const [waits, runs, done] = [prompt(), prompt(), prompt()];
            await fake.behave('queue-long', waits);
            await fake.behave('slow', runs);
            const answers = [];
            for (const p of [waits, runs, done]) {
                const { json } = await submit({ prompt: p });
                if (p === done) await until('the end', async () => (await follow(json.status_url)).json.status === 'COMPLETED');
                const { status, json: said } = await fake.ask('PUT', json.cancel_url.slice(fake.url.length), undefined, key);
                const after_it = (await follow(json.status_url)).json;
                answers.push([status, said.status, after_it.error_type ?? 'fine', (await fake.bill(p)).charges.length]);
            }
            assert.deepEqual(answers, [[200, 'OK', 'client_cancelled', 0], [202, 'CANCELLATION_REQUESTED', 'client_cancelled', 1], [400, 'ALREADY_COMPLETED', 'fine', 1]]);
        });
        test('completes what failed: the error shows in the result', async () => {
            const [refused, failed, black] = [prompt(), prompt(), prompt()];
            await fake.behave('refuse', refused);
            await fake.behave('fail', failed);
            await fake.behave('nsfw', black);
            const [a, b, c] = [await made({ prompt: refused }), await made({ prompt: failed }), await made({ prompt: black })];
            assert.deepEqual([a.status, a.json.detail[0].type], [422, 'content_policy_violation']);
            assert.deepEqual([b.status, b.json.error_type], [500, 'runner_server_error']);
            assert.deepEqual([c.status, c.json.has_nsfw_concepts], [200, [true]]);
            assert.deepEqual([(await fake.bill(refused)).charges.length, (await fake.bill(failed)).charges.length, (await fake.bill(black)).charges.length], [0, 0, 1]);
        });
    });

    describe('as Replicate', () => {
        test('runs official models and versions, polls, cancels, and signs as Standard Webhooks', async () => {
            const p = prompt(), webhook = `http://127.0.0.1:${hooks.address().port}/replicate`;
            const { status, json } = await fake.ask('POST', '/replicate/v1/models/black-forest-labs/flux-dev/predictions', { input: { prompt: p }, webhook, webhook_events_filter: ['completed'] }, token);
            assert.deepEqual([status, json.output], [201, null]);
            const end = await until('the end', async () => { const { json: now } = await fake.ask('GET', json.urls.get.slice(fake.url.length), undefined, token); return now.status === 'succeeded' && now; });
            assert.equal(end.output.length, 1);
            const { headers, body } = await until('the webhook', () => heard.find(h => h.url === '/replicate'));
            const signature = createHmac('sha256', Buffer.from(fake.webhook_secret.slice(6), 'base64')).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64');
            assert.equal(headers['webhook-signature'], `v1,${signature}`);
            assert.equal(JSON.parse(body).status, 'succeeded');
            const version = await fake.ask('POST', '/replicate/predictions', { version: 'a'.repeat(64), input: { prompt: prompt() } }, { ...token, Prefer: 'wait=5' });
            assert.deepEqual([version.status, version.json.status, typeof version.json.output], [201, 'succeeded', 'string']);
            const slow = prompt();
            await fake.behave('slow', slow);
            const { json: begun } = await fake.ask('POST', '/replicate/predictions', { version: 'a'.repeat(64), input: { prompt: slow } }, token);
            assert.equal((await fake.ask('POST', begun.urls.cancel.slice(fake.url.length), undefined, token)).json.status, 'canceled');
        });
    });

    describe('as OpenAI', () => {
        test('sends pictures as base64 or as a URL, and speech as its bytes', async () => {
            const b64 = await fake.ask('POST', '/openai/v1/images/generations', { model: 'gpt-image-1', prompt: prompt() }, bearer);
            assert.equal(await kind_of(Buffer.from(b64.json.data[0].b64_json, 'base64')), 'png');
            const url = await fake.ask('POST', '/openai/v1/images/generations', { model: 'dall-e-3', prompt: prompt(), response_format: 'url' }, bearer);
            assert.equal(await kind_of((await fake.ask('GET', url.json.data[0].url.slice(fake.url.length))).bytes), 'png');
            const speech = await fake.ask('POST', '/openai/audio/speech', { model: 'tts-1', input: prompt(), voice: 'alloy' }, bearer);
            assert.deepEqual([speech.headers['content-type'], await kind_of(speech.bytes)], ['audio/mpeg', 'mp3']);
            const refused = prompt();
            await fake.behave('refuse', refused);
            const no = await fake.ask('POST', '/openai/v1/images/generations', { prompt: refused }, bearer);
            assert.deepEqual([no.status, no.json.error.code, (await fake.bill(refused)).charges.length], [400, 'moderation_blocked', 0]);
        });
    });

    test('refuses whatever is not as documented, and notes it', async () => {
        const p = prompt(), before_it = (await fake.bill()).malformed.length;
        const wrong = [
            [401, 'POST', '/fal/fal-ai/flux/dev', { prompt: p }, { Authorization: `Bearer ${fake.keys.FAL_KEY}` }],
            [401, 'POST', '/fal/fal-ai/flux/dev', { prompt: p }, {}],
            [422, 'POST', '/fal/fal-ai/flux/dev', { prompt: p, seed: '42' }, key],
            [422, 'POST', '/fal/fal-ai/flux/dev', { prompt: p, colour: 'red' }, key],
            [422, 'POST', '/fal/fal-ai/flux/dev', { seed: 4 }, key],
            [422, 'POST', '/fal/fal-ai/veo3', { prompt: p, duration: 8 }, key],
            [415, 'POST', '/fal/fal-ai/flux/dev', { prompt: p }, { ...key, 'Content-Type': 'text/plain' }],
            [400, 'POST', '/fal/fal-ai/flux/dev?webhook=1', { prompt: p }, key],
            [404, 'POST', '/fal/fal-ai/nothing', { prompt: p }, key],
            [404, 'GET', '/fal/fal-ai/flux/requests/none/status', undefined, key],
            [401, 'POST', '/replicate/predictions', { version: 'a'.repeat(64), input: { prompt: p } }, { Authorization: `Token ${fake.keys.REPLICATE_API_TOKEN}` }],
            [422, 'POST', '/replicate/predictions', { input: { prompt: p } }, token],
            [422, 'POST', '/replicate/models/a/b/predictions', { version: 'a'.repeat(64), input: { prompt: p } }, token],
            [400, 'POST', '/openai/images/generations', { prompt: p, size: '12x12' }, bearer],
            [400, 'POST', '/openai/images/generations', { prompt: p, model: 'gpt-image-1', response_format: 'url' }, bearer],
            [400, 'POST', '/openai/audio/speech', { model: 'tts-1', input: p }, bearer],
        ];
        for (const [status, method, target, body, headers] of wrong) assert.equal((await fake.ask(method, target, body, headers)).status, status, `${method} ${target} ${JSON.stringify(body)}`);
        const bill = await fake.bill(p);
        assert.equal(bill.malformed.length - before_it, wrong.length);
        assert.equal(bill.requests.length, 0);
        assert.ok(!JSON.stringify(bill).includes(fake.keys.FAL_KEY), 'the bill shows no key');
    });

    test('honours idempotency keys: the same request is charged once, another one under the key is a mistake', async () => {
        const p = prompt(), headers = { 'Idempotency-Key': 'k-1' };
        const [a, b] = [await submit({ prompt: p }, undefined, headers), await submit({ prompt: p }, undefined, headers)];
        assert.equal(a.json.request_id, b.json.request_id);
        assert.equal((await submit({ prompt: `${p}!` }, undefined, headers)).status, 422);
        const bill = await fake.bill(p);
        assert.deepEqual([bill.charges.length, bill.charges[0].key], [1, 'k-1']);
        assert.equal((await fake.ask('GET', '/fal/lookup?key=k-1', undefined, key)).json.id, a.json.request_id);
        assert.deepEqual((await fake.ask('GET', '/replicate/lookup?key=k-1', undefined, token)).json, { found: false });
    });

    describe('when told', () => {
        const outcome = async (p, ms = 400) => Promise.race([submit({ prompt: p }).then(r => r.status, e => e.code), pause(ms).then(() => 'nothing')]);
        test('drops, charges and fails, charges and is silent, is late: as often as told', async () => {
            const rows = [];
            for (const name of ['drop', 'accept-then-drop', 'charge-then-500', 'charge-then-silence', 'answer-late', 'busy', 'unavailable']) {
                const p = prompt();
                await fake.behave(name, p, { times: 1 });
                rows.push([name, await outcome(p), (await fake.bill(p)).charges.length, await outcome(p)]);
            }
            assert.deepEqual(rows, [['drop', 'ECONNRESET', 0, 200], ['accept-then-drop', 'ECONNRESET', 1, 200], ['charge-then-500', 500, 1, 200],
                ['charge-then-silence', 'nothing', 1, 200], ['answer-late', 'nothing', 1, 200], ['busy', 429, 0, 200], ['unavailable', 503, 0, 200]]);
        });
        test('sends webhooks before the reply, twice, never, forged', async () => {
            for (const [name, count] of [['webhook-first', 1], ['webhook-twice', 2], ['no-webhooks', 0], ['webhook-forged-key', 1], ['webhook-old', 1]]) {
                const p = prompt();
                await fake.behave(name, p);
                await submit({ prompt: p }, 'fal-ai/flux/dev', {}, hook(name));
                if (name === 'webhook-first') assert.equal(heard.filter(h => h.url === `/${name}`).length, 1, 'it was there before the reply');
                await until(`${name}: ${count}`, () => heard.filter(h => h.url === `/${name}`).length >= count);
            }
            await pause(100);
            assert.equal(heard.filter(h => h.url === '/no-webhooks').length, 0);
            assert.equal(heard.filter(h => h.url === '/webhook-twice').length, 2);
        });
        test('breaks, shortens, swaps and swells its files; a broken one goes on by Range', async () => {
            const p = prompt();
            const { url } = (await made({ prompt: p }, 'fal-ai/nano-banana')).json.images[0];
            const get = (headers = {}) => fake.ask('GET', url.slice(fake.url.length), undefined, headers);
            const whole = (await get()).bytes;
            await fake.behave('file-breaks', p, { times: 1 });
            await assert.rejects(get(), /aborted/);
            const rest = await get({ Range: 'bytes=100-' });
            assert.deepEqual([rest.status, Buffer.concat([whole.subarray(0, 100), rest.bytes]).equals(whole)], [206, true]);
            for (const [name, look] of [
                ['file-gone', r => r.status === 404], ['file-empty', r => r.bytes.length === 0], ['file-truncated', r => r.bytes.length === whole.length >> 1],
                ['file-lies-about-type', r => r.headers['content-type'] === 'image/png' && /script/.test(r.text)], ['file-huge', r => r.bytes.readUInt32BE(16) === 60000],
                ['file-bomb', r => r.bytes.length < 1e6], ['file-gzip-bomb', r => r.bytes.length < 1e6 && r.headers['content-encoding'] === 'gzip'], ['file-big', r => r.bytes.length > 100e6],
            ]) {
                await fake.behave(name, p, { times: 1 });
                assert.ok(look(await get()), name);
            }
            await fake.behave('file-lies-about-length', p, { times: 1 });
            await assert.rejects(get(), /aborted/);
            await get(key);
            assert.equal((await fake.bill()).leaks.length, 1, 'a key where none belongs is noted');
        });
        test('a share of requests, the same ones under the same seed', async () => {
            const p = prompt();
            await fake.behave({ do: { status: 503 }, share: 0.5 }, p);
            const seen = [];
            for (let i = 0; i < 12; i++) seen.push((await submit({ prompt: p })).status);
            assert.ok(seen.includes(503) && seen.includes(200));
            const other = await new FakeProvider({ seed: 7 }).start();
            try {
                // The same rule number decides the same way.
                const { id } = (await fake.ask('GET', '/_behave')).json.at(-1);
                for (let i = 1; i < id; i++) await other.behave({ match: { api: 'none' } });
                await other.behave({ do: { status: 503 }, share: 0.5 }, p);
                const again = [];
                for (let i = 0; i < 12; i++) again.push((await other.ask('POST', '/fal/fal-ai/flux/dev', { prompt: p }, key)).status);
                assert.deepEqual(again, seen);
            } finally { await other.stop(); }
        });
        test('by an unknown name it refuses the order', async () => {
            await assert.rejects(fake.behave('be-nice'), /no behaviour "be-nice"/);
        });
    });

    test('who comes to the other port is written down', async () => {
        await new Promise(resolve => http.get(`http://${fake.elsewhere}/latest/meta-data`, { headers: key }, res => res.resume().on('end', resolve)));
        const [visit] = (await fake.bill()).elsewhere;
        assert.deepEqual([visit.url, visit.has_key], ['/latest/meta-data', true]);
    });

    test('killed, it comes back with its bill, its requests, its rules and its keys, and still sends the webhooks it owes', async () => {
        const p = prompt();
        await fake.behave({ do: { run_ms: 700 } }, p);
        await fake.behave('busy', `${p} later`);
        const { json } = await submit({ prompt: p }, 'fal-ai/flux/dev', {}, hook('after-the-kill'));
        const [jwks, bill] = [(await fake.ask('GET', '/fal/.well-known/jwks.json')).text, await fake.bill(p)];
        await fake.kill();
        fs.appendFileSync(fake.state, '{"is":"charge","torn');
        await fake.start();
        assert.equal((await fake.ask('GET', '/fal/.well-known/jwks.json')).text, jwks);
        assert.deepEqual((await fake.bill(p)).charges, bill.charges);
        await until('the webhook', () => heard.some(h => h.url === '/after-the-kill'));
        assert.equal((await follow(json.status_url)).json.status, 'COMPLETED');
        assert.equal((await submit({ prompt: `${p} later` })).status, 429);
        assert.equal((await fake.bill(p)).charges.length, 1);
    });
});

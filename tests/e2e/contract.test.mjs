// The contract, held against requests nobody thought of: generated from docs/openapi.json, each answer must be one that it describes, and
// none a 500. A thousand here; `make contract` sends ten thousand. A failure names the seed: make contract SEED=…
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { begin, in_seconds, make_token, request } from './lib.mjs';
import { description, path_of } from './description.mjs';
import { Generator } from './generate.mjs';

const seed = Number(process.env.TEST_CONTRACT_SEED || Math.floor(Math.random() * 4294967296));
const count = Number(process.env.TEST_CONTRACT_REQUESTS || 1000);
// Streams do not end by themselves (their own tests have them).
const left_out = new Set(['stream_events', 'watch_events', 'open_websocket']);
// These end what the others need; who calls them is somebody new.
const parting = new Set(['delete_me', 'sign_out_everywhere', 'delete_identity']);

let kiln, tokens, fresh = 0, links;
before(async () => {
    kiln = await begin();
    const ann = kiln.user('ann', { role: 'admin' }), bob = kiln.user('bob');
    const job = await ann.make({ type: 'image', prompt: 'a hill' });
    await bob.make({ type: 'image', prompt: 'a lake' });
    for (const [who, handle] of [[ann, 'ann'], [bob, 'bob']]) await who.call('PATCH', '/me', { handle });
    const other = (await bob.get('/me')).id;
    const conversation = (await ann.call('POST', '/conversations', { account_id: other })).json.id;
    for (const text of ['one', 'two']) await ann.call('POST', `/conversations/${conversation}/messages`, { text });
    await ann.call('POST', '/webhook-endpoints', { url: 'https://example.com/hook', types: ['job.completed'] });
    const key = (await ann.call('POST', '/api-keys', { name: 'k', scopes: ['read', 'generate'] })).json.key;
    const place = (await ann.call('POST', '/uploads/presign', { filename: 'a.png', content_type: 'image/png', bytes: 67 })).json;
    links = [place.url];
    assert.ok(job.id && key);
    const bearer = token => ({ Authorization: `Bearer ${token}` });
    tokens = [bearer(ann.token), bearer(bob.token), { 'X-API-Key': key }, {}, bearer('x.y.z'), { 'X-API-Key': 'kiln_no' },
        bearer(make_token({ sub: 'ann', exp: in_seconds(-60) }, kiln.secret)), bearer(make_token({ sub: 'ann', exp: in_seconds(60) }, 'another secret'))];
});
after(() => kiln?.end());

/** What an operator's routes may have done to the callers, undone. */
const restore = () => kiln.psql(`update kiln.account set is_suspended = false, tokens_from = null where deleted_at is null and (is_suspended or tokens_from is not null)`);

test(`${count} requests generated with seed ${seed}: no 500, no answer outside the description`, async t => {
    const make = new Generator(seed, description, { ids: [...Array.from({ length: 12 }, (_, i) => String(i + 1)), '999999'], links,
        words: ['local', 'image', 'video', 'cpu', 'generate', 'tryon', 'fal', 'local/scene', 'living_room', 'modern', 'ann', 'bob', 'ann_1', 'x', 'dress', 'outfit', 'http'] });
    const routes = description.operations.filter(({ operation }) => !left_out.has(operation.operationId));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const wrong = new Map(), statuses = new Map();
    let sent = 0;
    async function send(index) {
        const route = index < routes.length ? routes[index] : make.one(routes);
        const wish = make.request(route, tokens);
        const met = description.find(wish.method, path_of(wish.target));      // the method may be another than the route's
        if (parting.has(met?.operation.operationId)) wish.headers = { ...wish.headers, Authorization: `Bearer ${kiln.user(`fresh-${fresh++}`).token}`, 'X-API-Key': 'kiln_no' };
        if (index % 50 === 0) await restore();
        const answer = await request(kiln.url, wish.method, wish.target, { ...wish, agent, undescribed: true }).catch(error => ({ status: 0, headers: {}, text: String(error) }));
        // A connection may be closed under a body that is too large to be read to its end.
        if (answer.status === 0 && /EPIPE|ECONNRESET|socket hang up/.test(answer.text) && (wish.body?.length ?? 0) > 65536) return;
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const fault = answer.status === 0 ? `no answer: ${answer.text}` : description.faults(wish.method, wish.target, answer);
        if (fault) {
            const kind = fault.slice(0, 120);
            if (!wrong.has(kind)) wrong.set(kind, `request ${index}: ${wish.method} ${wish.target.slice(0, 300)} ${JSON.stringify(wish.body ?? null).slice(0, 600)}\n    ${fault}`);
        }
    }
    await Promise.all(Array.from({ length: 8 }, async () => { while (sent < count) await send(sent++); }));
    agent.destroy();
    t.diagnostic(`answers: ${[...statuses].sort().map(([status, n]) => `${n} × ${status}`).join(', ')}`);
    assert.equal(wrong.size, 0, `with TEST_CONTRACT_SEED=${seed}:\n${[...wrong.values()].join('\n')}`);
    assert.ok((statuses.get(200) ?? 0) > count / 20, 'many of the requests were good');
    assert.ok((statuses.get(401) ?? 0) < count / 4, 'who calls is still let in');
    assert.equal(kiln.main.ended, undefined, 'the server runs');
});

// API keys through real servers: shown once, held to their scopes, revoked everywhere at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { begin, request, Stream, until } from './lib.mjs';

describe('API keys', () => {
    let kiln, ann;
    before(async () => {
        kiln = await begin();
        ann = kiln.user('ann');
    });
    after(() => kiln.end());

    const make = async (scopes, more = {}) => (await ann.call('POST', '/api-keys', { name: 'test', scopes, ...more })).json;
    const call = (key, method, target, body, headers = {}) => request(kiln.url, method, `/api/v1${target}`, {
        headers: { 'X-API-Key': key, ...(body ? { 'Content-Type': 'application/json' } : {}), ...headers }, body: body && JSON.stringify(body) });

    test('a key is answered once, with its scopes, and names its account', async () => {
        const made = await make(['read']);
        assert.match(made.key, /^kiln_[0-9a-f]{72}$/);
        const list = await call(made.key, 'GET', '/generations');
        assert.deepEqual([list.status, list.json.items], [200, []]);
        const keys = (await ann.get('/api-keys')).items;
        assert.deepEqual([keys[0].id, keys[0].key, keys[0].prefix], [made.id, undefined, made.key.slice(0, 13)]);
        assert.ok(keys[0].last_used_at, 'its use is noted');
    });
    test('what its scopes do not name is forbidden', async () => {
        const { key } = await make(['read']);
        for (const [method, target, body] of [['POST', '/generate', { type: 'image', prompt: 'x' }], ['GET', '/api-keys'], ['POST', '/stream-tickets', {}], ['GET', '/admin/jobs'],
            ['POST', '/blocks', { account_id: '1' }]]) {
            const answer = await call(key, method, target, body);
            assert.deepEqual([target, answer.status, answer.json.code], [target, 403, 'forbidden']);
        }
    });
    test('what is no key is refused, though it be one but for a letter', async () => {
        const { key } = await make(['read']);
        for (const bad of [`${key}0`, key.slice(0, -1), key.toUpperCase(), `kiln_${'0'.repeat(72)}`, key.replace(/.$/, c => (c === '0' ? '1' : '0')), 'x', 'kiln_'])
            assert.equal((await call(bad, 'GET', '/generations')).status, 401, bad);
        assert.equal((await call('x', 'GET', '/generations', undefined, { Authorization: `Bearer ${ann.token}` })).status, 401, 'also beside a good token');
    });
    test('a repeat under one Idempotency-Key is 409 already_created with the id', async () => {
        const once = () => ann.call('POST', '/api-keys', { name: 'once', scopes: ['read'] }, { headers: { 'Idempotency-Key': 'k-1' } });
        const [first, second] = [await once(), await once()];
        assert.deepEqual([first.status, second.status, second.json.code], [201, 409, 'already_created']);
    });
    test('a key that was revoked opens nothing from the next request on', async () => {
        const { id, key } = await make(['read']);
        assert.equal((await call(key, 'GET', '/generations')).status, 200);
        assert.equal((await kiln.user('bob').call('DELETE', `/api-keys/${id}`)).status, 404, 'not by another');
        assert.equal((await ann.call('DELETE', `/api-keys/${id}`)).status, 204);
        assert.equal((await call(key, 'GET', '/generations')).status, 401);
        assert.equal((await call(key, 'GET', '/events')).status, 401);
    });
    test('a stream that a key opened ends when the key is revoked, and is not let in again; a token\'s comes back', async () => {
        const { id, key } = await make(['read']);
        const keyed = new Stream(kiln, { headers: { 'X-API-Key': key } });
        const ours = new Stream(kiln, { token: ann.token, resume: true });
        await until('both streams', () => [keyed, ours].every(s => s.events.some(e => e.event === 'ready')));
        assert.equal((await ann.call('DELETE', `/api-keys/${id}`)).status, 204);
        await until('the end of the key\'s stream', () => keyed.comments.some(c => c.text === 'session ended'));
        await until('the other stream\'s return', () => ours.links === 2 && ours.status === 200);
        assert.equal((await call(key, 'GET', '/events')).status, 401);
        ours.close();
        keyed.close();
    });
});

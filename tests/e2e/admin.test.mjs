// Administration over REST: the operator's key and tokens of administrators open it, nothing else does.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { begin, request } from './lib.mjs';

describe('administration', () => {
    const admin_key = randomBytes(24).toString('hex');
    let kiln, ann, root;
    before(async () => {
        kiln = await begin({ server: { env: { KILN_ADMIN_KEY: admin_key } } });
        await kiln.psql('select kiln.pause_queue(name) from kiln.queue');
        [ann, root] = [kiln.user('ann'), kiln.user('root', { role: 'admin' })];
    });
    after(() => kiln.end());

    const routes = [['GET', '/admin/jobs'], ['GET', '/admin/providers'], ['GET', '/admin/queues'], ['GET', '/admin/runners'], ['POST', '/admin/queues/image/pause'], ['POST', '/admin/queues/image/resume'], ['GET', '/admin/pipelines'], ['PUT', '/admin/pipelines'], ['GET', '/admin/pipelines/tryon/film'], ['GET', '/admin/categories'], ['PUT', '/admin/categories/outfit'], ['GET', '/tryons'], ['GET', '/tryons/1'], ['POST', '/tryons/1/cancel'], ['POST', '/tryons/1/retry'], ['POST', '/admin/jobs/1/cancel'], ['POST', '/admin/jobs/1/retry'], ['POST', '/admin/jobs/1/resolve']];
    const with_key = (method, target, { key = admin_key, body, headers = {} } = {}) => request(kiln.url, method, `/api/v1${target}`, {
        headers: { 'X-API-Key': key, ...(body ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(JSON.stringify(body)) } : {}), ...headers }, body: body && JSON.stringify(body) });

    test('a user is refused, and nobody', async () => {
        for (const [method, target] of routes) {
            const answer = await ann.call(method, target);
            assert.deepEqual([target, answer.status, answer.json.code], [target, 403, 'forbidden']);
            const nobody = await request(kiln.url, method, `/api/v1${target}`);
            assert.deepEqual([target, nobody.status, nobody.json.code], [target, 401, 'unauthorized']);
        }
    });
    test('an administrator\'s token and the operator\'s key are let in, from the first call on', async () => {
        for (const answer of [await with_key('GET', '/admin/jobs'), await root.call('GET', '/admin/jobs')]) {
            assert.equal(answer.status, 200, answer.text);
            assert.deepEqual(answer.json, { items: [], next_cursor: null });
        }
    });
    test('another key is refused, whatever it resembles, also beside a good token', async () => {
        for (const key of ['x', admin_key.slice(1), `${admin_key}0`, admin_key.toUpperCase(), `${admin_key.slice(0, -1)}${admin_key.endsWith('0') ? '1' : '0'}`, kiln.secret]) {
            const answer = await with_key('GET', '/admin/jobs', { key });
            assert.deepEqual([answer.status, answer.json.code], [401, 'unauthorized'], key);
        }
        assert.equal((await with_key('GET', '/admin/jobs', { key: 'x', headers: { Authorization: `Bearer ${root.token}` } })).status, 401);
    });
    test('the key opens administration only', async () => {
        for (const [method, target] of [['GET', '/generations'], ['POST', '/generate'], ['POST', '/stream-tickets'], ['GET', '/events']]) assert.equal((await with_key(method, target)).status, 401, target);
        const mine = await ann.call('GET', '/generations', undefined, { headers: { 'X-API-Key': admin_key } });
        assert.equal(mine.status, 200, 'elsewhere it says nothing');
    });
    test('without a key configured none is good', async () => {
        const server = await kiln.server({ env: { KILN_ADMIN_KEY: undefined } });
        for (const key of ['', 'x', admin_key]) assert.equal((await request(server.url, 'GET', '/api/v1/admin/jobs', { headers: { 'X-API-Key': key } })).status, 401);
        await server.stop();
        const refused = kiln.program('kiln-server', ['--check'], { KILN_ADMIN_KEY: 'short' });
        assert.equal((await refused.exit).code, 78, 'and a short one is no key');
        assert.match(refused.output, /KILN_ADMIN_KEY/);
    });
    test('a held job is listed with its reason and what can be done', async () => {
        const { id } = await ann.make({ type: 'image', prompt: 'a hill' });
        await kiln.psql(`update kiln.task set state = 'held' where job_id = ${id}`);
        const { items } = (await with_key('GET', '/admin/jobs?state=held')).json;
        assert.equal(items.length, 1);
        const [job] = items;
        assert.deepEqual([job.id, job.state, job.account_id, job.prompt, job.held.reason], [id, 'held', await ann.account(), 'a hill', 'operator']);
        assert.match(job.held.message, /\S/);
        assert.ok(job.actions.includes('cancel') && job.actions.includes('resend'));
        const cancelled = await with_key('POST', job.links.cancel.replace('/api/v1', ''));
        assert.deepEqual([cancelled.status, cancelled.json.state], [202, 'cancelled'], cancelled.text);
        assert.equal((await with_key('POST', job.links.cancel.replace('/api/v1', ''))).json.code, 'state_conflict');
        assert.deepEqual((await with_key('GET', '/admin/jobs?state=held')).json.items, []);
        assert.equal((await ann.get(`/generations/${id}`)).state, 'cancelled');
    });
    test('somebody\'s job is tried again for them, once for a key of idempotency', async () => {
        const { id } = await ann.make({ type: 'image', prompt: 'a lake' });
        await ann.call('POST', `/generations/${id}/cancel`);
        const again = () => with_key('POST', `/admin/jobs/${id}/retry`, { body: { seed: 'new', reason: 'our fault' }, headers: { 'Idempotency-Key': 'again' } });
        const [first, second] = await Promise.all([again(), again()]);
        assert.deepEqual([first.status, second.status], [202, 202], first.text + second.text);
        assert.equal(first.json.id, second.json.id);
        assert.equal((await ann.get(`/generations/${first.json.id}`)).parent_id, id);
    });
    test('the key is not logged, nor is it in an answer', async () => {
        const server = await kiln.server({ env: { KILN_ADMIN_KEY: admin_key, KILN_LOG_LEVEL: 'debug' } });
        for (const key of [admin_key, `${admin_key}x`]) {
            const answer = await request(server.url, 'GET', '/api/v1/admin/jobs', { headers: { 'X-API-Key': key } });
            assert.ok(!answer.text.includes(admin_key));
        }
        await server.stop();
        assert.ok(server.logged('request').length >= 2);
        assert.ok(!server.output.includes(admin_key) && !kiln.main.output.includes(admin_key));
    });
});

// Outgoing webhooks through real programs: a completed job is one POST, signed; what fails is tried again under the same id.
import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { begin, until } from './lib.mjs';

/** As the Standard Webhooks say: base64 of HMAC-SHA256 over id.timestamp.body, any of the signatures; five minutes either way. */
function verify(secret, headers, body) {
    const id = headers['webhook-id'], time = headers['webhook-timestamp'];
    if (Math.abs(Date.now() / 1000 - Number(time)) > 300) return false;
    const expected = createHmac('sha256', Buffer.from(secret.replace(/^whsec_/, ''), 'base64')).update(`${id}.${time}.${body}`).digest();
    return headers['webhook-signature'].split(' ').filter(s => s.startsWith('v1,'))
        .some(s => { const given = Buffer.from(s.slice(3), 'base64'); return given.length === expected.length && timingSafeEqual(given, expected); });
}

describe('outgoing webhooks', () => {
    let kiln, ann, server, base, account, engine;
    const posts = [], visits = [];
    const held = [];
    const answers = { '/good': 200, '/moved': 302, '/broken': 500 };
    before(async () => {
        server = http.createServer((req, res) => {
            const parts = [];
            req.on('data', bytes => parts.push(bytes));
            req.on('end', () => {
                posts.push({ path: req.url, method: req.method, headers: req.headers, body: Buffer.concat(parts).toString() });
                if (req.url === '/slow') { held.push(res); return; }
                res.writeHead(answers[req.url] ?? 404, { location: `${base}/trap` }).end('thanks \u00e4\0'.repeat(500));
            });
        });
        await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
        base = `http://127.0.0.1:${server.address().port}`;
        kiln = await begin();
        await kiln.psql(`update kiln.config set webhook_hosts = '127.0.0.1:${server.address().port}'`);
        engine = http.createServer((req, res) => { visits.push(req.url); res.end('the models of the house'); });      // a provider of the operator's own
        await new Promise(resolve => engine.listen(0, '127.0.0.1', resolve));
        kiln.env.KILN_TRUSTED_HOSTS = `127.0.0.1:${engine.address().port},localhost:${engine.address().port}`;
        await kiln.runner({ name: 'one' });
        ann = kiln.user('ann');
        await ann.get('/me');
        account = await kiln.value(`select account_id from kiln.identity where subject = 'ann'`);
    });
    after(async () => {
        for (const res of held) res.destroy();
        server.closeAllConnections();
        server.close();
        engine.close();
        await kiln.end();
    });

    const endpoint = async (url, types = ['notification']) => (await ann.call('POST', '/webhook-endpoints', { url, types })).json;
    const remove = id => ann.call('DELETE', `/webhook-endpoints/${id}`);
    const tell = text => kiln.psql(`select kiln.announce('test', '${text}', null, ${account}, ${account})`);
    const at = path => posts.filter(post => post.path === path);
    const deliveries = async id => (await ann.get(`/webhook-endpoints/${id}/deliveries`)).items;

    test('a completed job is one POST that a verifier accepts, and no other secret does', async () => {
        const made = await endpoint(`${base}/good`, ['job.completed']);
        assert.match(made.secret, /^whsec_/);
        const job = await ann.make({ type: 'image', prompt: 'a hill' });
        await kiln.job_state(job.id, 'completed', 60000);
        const [delivery] = await until('the delivery to be sent', async () => { const all = await deliveries(made.id); return all[0]?.state === 'sent' && all; });
        const [post] = at('/good');
        assert.ok(verify(made.secret, post.headers, post.body), 'the signature');
        assert.ok(!verify(made.secret, post.headers, `${post.body} `), 'of this body only');
        assert.ok(!verify(`whsec_${Buffer.alloc(32).toString('base64')}`, post.headers, post.body), 'by this secret only');
        const event = JSON.parse(post.body);
        assert.deepEqual([event.type, event.job_id, event.media_type], ['job.completed', job.id, 'image']);
        assert.equal(delivery.webhook_id, post.headers['webhook-id']);
        assert.deepEqual([delivery.attempts.length, delivery.attempts[0].status, delivery.attempts[0].reply_bytes], [1, 200, 5000]);
        assert.ok(!JSON.stringify(delivery).includes('thanks'), 'no word of the reply is shown');
        assert.equal(await kiln.value('select count(*) from kiln.delivery'), '1');
        assert.equal(at('/good').length, 1, 'once');
        await remove(made.id);
    });
    test('a redirect is a failure and is not followed; a resend goes out under the same id', async () => {
        const made = await endpoint(`${base}/moved`);
        await tell('moved');
        const [first] = await until('the failure', async () => { const all = await deliveries(made.id); return all[0]?.attempts[0]?.status && all; });
        assert.deepEqual([first.state, first.attempts[0].status, at('/trap').length], ['due', 302, 0]);
        answers['/moved'] = 204;
        assert.equal((await ann.call('POST', `/deliveries/${first.id}/resend`, {})).status, 200);
        await until('the second', async () => (await deliveries(made.id))[0].state === 'sent');
        assert.equal(new Set(at('/moved').map(post => post.headers['webhook-id'])).size, 1);
        assert.equal((await kiln.user('bob').call('POST', `/deliveries/${first.id}/resend`, {})).status, 404, 'another cannot');
        await remove(made.id);
    });
    test('neither a private address nor plain http is reached, unless the operator lists the host', async () => {
        const port = engine.address().port;
        for (const url of [`http://127.0.0.1:${port}/`, `https://127.0.0.1:${port}/`, 'http://example.com/', 'https://[::1]:9/', 'https://localhost:9/']) {
            const { status, json } = await ann.call('POST', '/webhook-endpoints', { url, types: ['notification'] });
            assert.deepEqual([status, json.errors.map(error => error.field)], [422, ['/url']], url);
        }
        // What stands behind the API: of a name that led elsewhere when it was written, and of a host that is no longer listed.
        for (const url of [`http://127.0.0.1:${port}/`, `http://localhost:${port}/`, `http://2130706433:${port}/`, `http://0x7f.1:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`, `https://127.0.0.1:${port}/`,
            `https://localhost.:${port}/`, 'http://example.com/', 'https://[::1]:9/', 'https://name.invalid/']) {
            const made = await endpoint('https://example.com/');
            await kiln.arrange(`update kiln.webhook_endpoint set url = '${url}' where webhook_endpoint_id = ${made.id}`);
            await tell('private');
            const [delivery] = await until(`the refusal of ${url}`, async () => { const all = await deliveries(made.id); return all[0]?.attempts[0]?.error && all; });
            assert.match(delivery.attempts[0].error, /^(No connection to a public address of this host could be made|Kiln does not post to this URL: it must be https, at a host of the public internet)\.$/, url);
            assert.equal(delivery.attempts[0].status, null);
            await remove(made.id);
        }
        assert.deepEqual(visits, [], 'what providers are trusted with is no way for users');
    });
    test('an endpoint that never answers delays no other', async () => {
        const slow = await endpoint(`${base}/slow`), good = await endpoint(`${base}/good`);
        for (let i = 0; i < 8; i++) await tell(`n${i}`);
        await until('all at the good one', async () => (await deliveries(good.id)).filter(d => d.state === 'sent').length === 8);
        assert.equal((await deliveries(slow.id)).filter(d => d.state === 'sent').length, 0);
        assert.ok(at('/slow').length <= 4, 'and few wait for it');
        await remove(slow.id);
        await remove(good.id);
    });
    test('killed in the middle of sending, another runner sends it again under the same id', async () => {
        posts.length = 0;
        const made = await endpoint(`${base}/slow`);
        await tell('kill');
        await until('the first', () => at('/slow').length === 1);
        for (const program of kiln.programs) if (program.name === 'kiln-runner') await program.kill();
        assert.equal((await deliveries(made.id))[0].state, 'due', 'nobody knows what came of it');
        await kiln.psql(`update kiln.delivery set due_at = kiln_internal.now(), claimed_until = null where webhook_endpoint_id = ${made.id}`);     // its time has come
        await kiln.runner({ name: 'two' });
        await until('the second', () => at('/slow').length === 2);
        assert.equal(new Set(at('/slow').map(post => post.headers['webhook-id'])).size, 1);
        assert.equal(await kiln.value(`select count(*) from kiln.delivery where webhook_endpoint_id = ${made.id}`), '1');
        held.at(-1).end('late');
        await until('its end', async () => (await deliveries(made.id))[0].state === 'sent');
        await remove(made.id);
    });
    test('taken by one that died before it sent a byte, it is sent by another', async () => {
        posts.length = 0;
        for (const program of kiln.programs) if (program.name === 'kiln-runner' && !program.ended) await program.kill();
        const made = await endpoint(`${base}/good`);
        await tell('died');
        const taken = JSON.parse(await kiln.psql('select kiln_runner.claim_deliveries(null)')).deliveries;
        assert.equal(taken.length, 1);
        await kiln.psql(`update kiln.delivery set due_at = kiln_internal.now(), claimed_until = null where webhook_endpoint_id = ${made.id}`);
        await kiln.runner({ name: 'three' });
        await until('the post', () => at('/good').length === 1);
        assert.equal(at('/good')[0].headers['webhook-id'], taken[0].headers['webhook-id']);
        assert.ok(verify(made.secret, at('/good')[0].headers, at('/good')[0].body));
        await remove(made.id);
    });
    test('secrets are in no log, and an unknown endpoint is 404', async () => {
        for (const program of kiln.programs) assert.ok(!/whsec_|webhook-signature/.test(program.output));
        assert.equal((await ann.call('GET', '/webhook-endpoints/999/deliveries')).status, 404);
    });
});

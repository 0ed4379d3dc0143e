// RS256: an issuer whose keys come over the network, and everything that it can do wrong. The issuer is a small HTTP server of this
// file; the tokens are signed by node, so by another library than the one that verifies them.
import assert from 'node:assert/strict';
import { createSign, randomUUID } from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { key_pair } from '../fakes/keys.mjs';
import { begin, free_port, in_seconds, make_token, request, root, run, until } from './lib.mjs';

const audience = 'https://api.example.com';
const issuer_name = 'https://tenant.example.auth0.com/';
const b64 = value => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

class Key {
    constructor(kid) {
        this.kid = kid;
        Object.assign(this, key_pair('rsa', { modulusLength: 2048 }));
        this.jwk = { ...this.jwk, kid, use: 'sig', alg: 'RS256' };
    }
    sign(claims, header = {}) {
        const text = `${b64({ alg: 'RS256', typ: 'JWT', kid: this.kid, ...header })}.${b64({ iss: issuer_name, aud: [audience, 'https://tenant/userinfo'], iat: in_seconds(-1), exp: in_seconds(3600), ...claims })}`;
        return `${text}.${createSign('RSA-SHA256').update(text).sign(this.privateKey).toString('base64url')}`;
    }
}

/** An issuer: publishes `keys`, or does what `act(request, answer)` says; counts who asks. */
class Issuer {
    keys = [];
    fetches = 0;
    constructor(port) {
        this.port = port;
        this.url = `http://127.0.0.1:${port}/.well-known/jwks.json`;
    }
    start() {
        this.server = http.createServer((req, res) => {
            this.fetches++;
            this.agent = req.headers['user-agent'];
            if (this.act) this.act(req, res);
            else res.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'public, max-age=900' }).end(JSON.stringify({ keys: this.keys.map(key => key.jwk) }));
        });
        return new Promise(resolve => this.server.listen(this.port, '127.0.0.1', resolve));
    }
    stop() {
        this.server?.closeAllConnections();
        return new Promise(resolve => (this.server ? this.server.close(resolve) : resolve()));
    }
}

describe('RS256 through JWKS', () => {
    const one = new Key('one'), two = new Key('two'), three = new Key('three');
    let kiln, issuer, server, env;
    before(async () => {
        kiln = await begin({});
        issuer = new Issuer(await free_port());
        issuer.keys = [one, two];
        env = { KILN_JWKS_URL: issuer.url, KILN_JWT_ISSUER: issuer_name, KILN_JWT_AUDIENCE: audience };
    });
    after(async () => {
        await issuer?.stop();
        await kiln?.end();
    });
    const get = (token, { method = 'GET', target = '/me', body, at = server } = {}) => request(at.url, method, `/api/v1${target}`, {
        headers: { Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } : {}) }, body });
    const ours = (sub, claims = {}) => make_token({ sub, aud: audience, exp: in_seconds(3600), ...claims }, kiln.secret);
    const until_status = (status, token) => until(`the status ${status}`, async () => { const answer = await get(token); return answer.status === status && answer; });

    test('the server starts without the issuer: HS256 works, RS256 gets 503 with Retry-After until the keys are there', async () => {
        server = await kiln.server({ env });
        assert.equal((await get(ours('ann'))).status, 200);
        const early = await get(one.sign({ sub: 'auth0|ann' }));
        assert.equal(early.status, 503, early.text);
        assert.equal(early.json.code, 'unavailable');
        assert.ok(Number(early.headers['retry-after']) >= 1 && Number(early.headers['retry-after']) <= 5, early.headers['retry-after']);
        assert.equal(early.headers['www-authenticate'], undefined, 'nothing is wrong with the token');
        assert.equal((await get(ours('ann'), { method: 'POST', target: '/me/identities', body: JSON.stringify({ token: one.sign({ sub: 'auth0|ann' }) }) })).status, 503, 'nor with the one that is to be linked');
        assert.equal((await get(`${b64({ alg: 'none', kid: 'one' })}.${b64({ sub: 'x' })}.`)).status, 401, 'what is no token is none without keys too');
        await until('the outage to be logged', () => server.logged("the issuer's keys cannot be had").length > 0);

        await issuer.start();
        const good = await until_status(200, one.sign({ sub: 'auth0|ann' }));
        assert.ok(good.json.id);
        assert.match(issuer.agent, /^kiln-server\//);
        assert.equal(server.logged("the issuer's keys cannot be had")[0].next_s, '2');
        assert.deepEqual(server.logged("the issuer's keys are here").map(line => [line.keys, line.next_s]), [['2', '720']], 'four fifths of max-age=900');
    });

    test('an account is (issuer, subject): the same subject of the secret is somebody else', async () => {
        const [theirs, again, secrets] = [await get(one.sign({ sub: 'auth0|same' })), await get(two.sign({ sub: 'auth0|same' })), await get(ours('auth0|same'))];
        assert.equal(theirs.json.id, again.json.id);
        assert.notEqual(theirs.json.id, secrets.json.id);
        assert.equal(await kiln.value(`select issuer from kiln.identity where account_id = ${theirs.json.id} and subject = 'auth0|same'`), issuer_name);
    });

    test('./kiln token still makes tokens that hold: without the issuer\'s name, which is not its own any more', async () => {
        const made = await run(path.join(root, 'kiln'), ['token', '--sub', 'tina', '--role', 'admin'], { env: { ...kiln.env, ...env } });
        assert.equal(made.code, 0, made.err);
        assert.equal((await get(made.out.trim(), { target: '/admin/jobs' })).status, 200);
        assert.equal(await kiln.value(`select issuer from kiln.identity where subject = 'tina'`), null);
    });

    test('a claim role makes nobody an administrator; the account\'s own role does', async () => {
        const token = one.sign({ sub: 'auth0|root', role: 'admin', permissions: ['admin'], scope: 'openid profile' });
        assert.equal((await get(token, { target: '/admin/jobs' })).status, 403);
        await kiln.psql(`select kiln.make_admin('auth0|root', '${issuer_name}')`);
        assert.equal((await get(token, { target: '/admin/jobs' })).status, 200);
        await kiln.arrange(`update kiln.account set is_suspended = true where account_id = (select account_id from kiln.identity where subject = 'auth0|root')`);
        assert.equal((await get(token, { target: '/admin/jobs' })).status, 401, 'a remembered token is looked up all the same');
    });

    test('what is refused is 401 invalid_token, whatever is wrong with it', async () => {
        const good = { sub: 'auth0|ann' }, pem = one.publicKey.export({ type: 'spki', format: 'pem' });
        const bad = {
            'another audience': one.sign({ ...good, aud: 'https://other' }),
            'no audience': one.sign({ ...good, aud: undefined }),
            'another issuer': one.sign({ ...good, iss: 'https://tenant.example.auth0.com' }),
            'the wallets\' issuer': one.sign({ ...good, iss: 'urn:kiln:wallet', sub: `0x${'a'.repeat(40)}` }),
            'expired': one.sign({ ...good, exp: in_seconds(-1) }),
            'no exp': one.sign({ ...good, exp: undefined }),
            'signed by another key': new Key('one').sign(good),
            'no kid': one.sign(good, { kid: undefined }),
            'alg none': one.sign(good, { alg: 'none' }),
            'alg PS256': one.sign(good, { alg: 'PS256' }),
            'the public key as a secret': make_token({ iss: issuer_name, aud: audience, exp: in_seconds(60), ...good }, pem, { alg: 'HS256', kid: 'one' }),
            'the issuer\'s name under our secret': ours('auth0|ann', { iss: issuer_name }),
        };
        for (const [what, token] of Object.entries(bad)) {
            const answer = await get(token);
            assert.equal(answer.status, 401, `${what}: ${answer.text}`);
            assert.match(answer.headers['www-authenticate'], /error="invalid_token"/, what);
        }
        assert.equal((await get(one.sign({ ...good, more: 'x'.repeat(9000) }))).status, 431, 'a huge token is not even read');
    });

    test('an identity of the issuer is linked to an account that has another one', async () => {
        const link = (as, token) => get(as, { method: 'POST', target: '/me/identities', body: JSON.stringify({ token }) });
        const mine = ours('linker'), theirs = one.sign({ sub: 'google-oauth2|117', iat: in_seconds(0) });
        const { id: account } = (await get(mine)).json;
        const linked = await link(mine, theirs);
        assert.equal(linked.status, 201, linked.text);
        assert.equal((await get(theirs)).json.id, account);
        assert.equal((await link(mine, new Key('one').sign({ sub: 'x' }))).status, 422);
    });

    test('a storm of tokens with unknown keys costs the issuer one fetch in five seconds, and nobody else anything', async () => {
        const before = issuer.fetches, began = Date.now();
        const statuses = new Set();
        for (let i = 0; i < 40; i++) {
            const answers = await Promise.all(Array.from({ length: 10 }, () => get(one.sign({ sub: 'x' }, { kid: randomUUID() }))));
            for (const answer of answers) statuses.add(answer.status);
            assert.equal((await get(ours('ann'))).status, 200);
        }
        const allowed = 1 + Math.ceil((Date.now() - began) / 5000);
        assert.ok(issuer.fetches - before <= allowed, `${issuer.fetches - before} fetches`);
        assert.deepEqual([...statuses].filter(status => status !== 401 && status !== 503), []);
    });

    test('rotation: a new key is fetched when a token names it; tokens of the key that went, also remembered ones, are refused', async () => {
        const old = two.sign({ sub: 'auth0|old' });
        assert.equal((await get(old)).status, 200);
        issuer.keys = [one, three];
        assert.equal((await get(old)).status, 200, 'nobody has told us');
        await until_status(200, three.sign({ sub: 'auth0|new' }));
        assert.equal((await get(one.sign({ sub: 'auth0|ann' }))).status, 200);
        assert.notEqual((await get(old)).status, 200);
        await until_status(401, old);
    });

    test('an issuer that is ill leaves the keys that are there; whether it has another one, nobody knows until it is well', async () => {
        const good = one.sign({ sub: 'auth0|ann' }), gone = two.sign({ sub: 'auth0|old' });
        const outages = server.logged("the issuer's keys cannot be had").length;
        issuer.act = (req, res) => res.writeHead(500).end(JSON.stringify({ keys: [two.jwk] }));
        await until('a bad answer', async () => { await get(gone); return server.logged("the issuer's keys cannot be had").length > outages; });
        assert.equal((await get(good)).status, 200);
        const answer = await get(gone);
        assert.deepEqual([answer.status, answer.headers['retry-after'] >= 1], [503, true], answer.text);
        issuer.act = undefined;
        await until_status(401, gone);
        assert.equal((await get(good)).status, 200);
    });

    test('a slow issuer slows nobody down, not even the end of the server', async () => {
        const held = [];
        issuer.act = (req, res) => { held.push(res); res.writeHead(200, { 'Content-Type': 'application/json' }); res.write('{"keys":['); };
        const nobody = new Key('nobody').sign({ sub: 'x' });
        await until('a fetch that hangs', async () => { await get(nobody); return held.length > 0; }, 20000);
        const good = one.sign({ sub: 'auth0|ann' });
        for (let i = 0; i < 100; i++) assert.equal((await get(i % 2 ? good : ours('ann'))).status, 200);
        assert.ok(held.filter(res => !res.destroyed).length <= 1, 'one fetch at a time');
        assert.equal((await server.stop()).code, 0, 'it does not wait for the issuer, which never ends');
    });
});

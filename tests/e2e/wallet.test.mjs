// Signing in by wallet and one's own account, end to end; what is signed is signed by a library that is not ours (ethers).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ethers } from 'ethers';
import WebSocket from 'ws';
import { begin, in_seconds, make_token, request, Stream, User, until } from './lib.mjs';

let kiln;
const domain = 'app.example.com';
before(async () => { kiln = await begin({ server: { env: { KILN_SIWE_DOMAIN: domain, KILN_SIWE_CHAINS: '1,10', KILN_AUTH_PER_MINUTE: '100000' } } }); });
after(() => kiln?.end());

const post = (path, body, headers = {}) => request(kiln.url, 'POST', `/api/v1${path}`, {
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(JSON.stringify(body)), ...headers }, body: JSON.stringify(body) });
const nonce = async () => (await post('/auth/nonce', {})).json.nonce;
const message = (wallet, { domain: at = domain, uri = `https://${domain}/login`, version = '1', chain = 1, nonce: n, issued = new Date().toISOString(), more = '', address = wallet.address }) =>
    `${at} wants you to sign in with your Ethereum account:\n${address}\n\nSign in.\n\nURI: ${uri}\nVersion: ${version}\nChain ID: ${chain}\nNonce: ${n}\nIssued At: ${issued}${more}`;
async function signed(wallet, changes = {}) {
    const text = message(wallet, { nonce: changes.nonce ?? await nonce(), ...changes });
    return { message: text, signature: await wallet.signMessage(text) };
}
async function enter(wallet) {
    const answer = await post('/auth/siwe', await signed(wallet));
    assert.equal(answer.status, 200, answer.text);
    const user = new User(kiln, '');
    user.token = answer.json.token;
    user.id = answer.json.account.id;
    return user;
}
/** A WebSocket that says nothing, once it was told ready; `closed` is the code of its end. */
async function quiet_socket(user) {
    const socket = new WebSocket(`${kiln.url.replace('http', 'ws')}/api/v1/ws`, { headers: { Authorization: `Bearer ${user.token}` } });
    const closed = new Promise(resolve => socket.on('close', resolve));
    await new Promise((resolve, reject) => socket.on('message', resolve).on('error', reject));
    return { closed };
}
const claims_of = token => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('a wallet signs in, and is the same account the next time', async () => {
    const wallet = ethers.Wallet.createRandom();
    const first = await post('/auth/siwe', await signed(wallet));
    assert.equal(first.status, 200, first.text);
    assert.deepEqual(Object.keys(first.json).sort(), ['account', 'expires_at', 'token']);
    const claims = claims_of(first.json.token);
    assert.equal(claims.sub, wallet.address.toLowerCase());
    assert.ok(claims.exp > claims.iat && claims.jti);
    const again = await enter(wallet);
    assert.equal(again.id, first.json.account.id);
    const me = await again.get('/me');
    assert.equal(me.id, first.json.account.id);
    assert.equal(me.plan, null);
    assert.deepEqual(me.balance, { amount: 0, currency: 'USD' });
});

test('an address without capitals has no checksum, and signs in to the same account', async () => {
    const wallet = ethers.Wallet.createRandom();
    const { id } = await enter(wallet);
    const answer = await post('/auth/siwe', await signed(wallet, { address: wallet.address.toLowerCase() }));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.account.id, id);
});

// The `iat` of a sign-in after signing out everywhere was the next whole second: an account that ended before that second left a token
// that made a new account, five times in six.
test('a token makes no new account, however soon after its sign-in the account ends', async () => {
    const wallet = ethers.Wallet.createRandom();
    for (let n = 0; n < 6; n++) {
        const first = await enter(wallet);
        assert.equal((await first.call('POST', '/me/sign-out-everywhere')).status, 200);
        const last = await enter(wallet);
        assert.equal((await last.call('DELETE', '/me')).status, 204);
        assert.equal((await first.call('GET', '/me')).status, 401);
        assert.equal((await last.call('GET', '/me')).status, 401);
    }
});

test('every length of message is hashed as ethers hashes it', async () => {
    const wallet = ethers.Wallet.createRandom();
    for (let n = 0; n < 40; n++) {
        const more = `\nRequest ID: ${'x'.repeat(n * 4)}`;
        assert.equal((await post('/auth/siwe', await signed(wallet, { more }))).status, n < 20 ? 200 : 429);
    }
});

test('each field that is wrong is named', async () => {
    const wallet = ethers.Wallet.createRandom();
    const other = ethers.Wallet.createRandom();
    const wrong = {
        'domain:': { domain: 'evil.example.com' }, 'uri:': { uri: 'https://evil.example.com' }, 'version:': { version: '2' }, 'chain-id:': { chain: 5 },
        'issued-at:': { issued: new Date(Date.now() - 2 * 3600e3).toISOString() }, 'expiration-time:': { more: `\nExpiration Time: ${new Date(Date.now() - 1000).toISOString()}` },
        'not-before:': { more: `\nNot Before: ${new Date(Date.now() + 3600e3).toISOString()}` }, 'address:': { address: wallet.address.slice(0, -20) + wallet.address.slice(-20).toUpperCase() },
        'nonce: is not one of ours': { nonce: 'abcdefgh12345678' },
    };
    for (const [part, change] of Object.entries(wrong)) {
        const answer = await post('/auth/siwe', await signed(wallet, change));
        assert.equal(answer.status, 422, `${part} ${answer.text}`);
        assert.equal(answer.json.errors[0].field, '/message');
        assert.ok(answer.json.errors[0].message.startsWith(part), answer.text);
    }
    const good = await signed(wallet);
    const foreign = await post('/auth/siwe', { ...good, signature: await other.signMessage(good.message) });
    assert.equal(foreign.status, 422);
    assert.equal(foreign.json.errors[0].field, '/signature');
    for (const body of [{}, { message: good.message }, { ...good, address: wallet.address }, { message: 1, signature: '0x' }])
        assert.equal((await post('/auth/siwe', body)).status, 422);
    assert.equal((await post('/auth/siwe', [1])).status, 400);
    // The nonce was not used up by any of these.
    assert.equal((await post('/auth/siwe', good)).status, 200);
});

test('of twenty at once with one nonce one gets in', async () => {
    const body = await signed(ethers.Wallet.createRandom());
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/auth/siwe', body)));
    assert.deepEqual(answers.map(a => a.status).sort(), [200, ...Array(19).fill(422)]);
});

test('a nonce that has expired is none', async () => {
    const body = await signed(ethers.Wallet.createRandom());
    await kiln.arrange(`update kiln.nonce set expires_at = kiln_internal.now() - interval '1 second'`);
    assert.match((await post('/auth/siwe', body)).json.errors[0].message, /^nonce:/);
});

test('wallet and token lead to one account, once linked; the last way in stays', async () => {
    const wallet = ethers.Wallet.createRandom();
    const ann = await enter(wallet);
    const token = make_token({ sub: 'ann', iat: in_seconds(-5), exp: in_seconds(3600) }, kiln.secret);
    const linked = await ann.call('POST', '/me/identities', { token });
    assert.equal(linked.status, 201, linked.text);
    const by_token = new User(kiln, 'ann');
    by_token.token = token;
    assert.equal((await by_token.get('/me')).id, ann.id);
    assert.equal((await ann.call('POST', '/me/identities', { token: `${token}x` })).status, 422);
    // Another's wallet is refused with a sentence.
    const other = ethers.Wallet.createRandom();
    await enter(other);
    const taken = await ann.call('POST', '/me/identities', await signed(other));
    assert.equal(taken.status, 409);
    assert.match(taken.json.detail, /another account/);
    // A wallet that has none is linked, and gets in.
    const third = ethers.Wallet.createRandom();
    assert.equal((await ann.call('POST', '/me/identities', await signed(third))).status, 201);
    assert.equal((await enter(third)).id, ann.id);
    // Unlinking refuses the old tokens of that identity, and keeps the last.
    const ways = (await by_token.get('/me/identities')).items;
    assert.equal(ways.length, 3);
    for (const way of ways.filter(w => w.kind === 'wallet')) assert.equal((await by_token.call('DELETE', `/me/identities/${way.id}`)).status, 204);
    assert.equal((await ann.call('GET', '/me')).status, 401);
    const last = (await by_token.get('/me/identities')).items;
    assert.equal((await by_token.call('DELETE', `/me/identities/${last[0].id}`)).status, 409);
    assert.equal((await by_token.call('DELETE', `/me/identities/${ways[0].id}`)).status, 404);
});

test('signing out everywhere ends streams and tokens at once, and a new login goes on', async () => {
    const wallet = ethers.Wallet.createRandom();
    const ann = await enter(wallet);
    const ticket = (await ann.call('POST', '/stream-tickets', {})).json.ticket;
    const streams = [ann.stream(), new Stream(kiln, { ticket })];
    for (const stream of streams) await stream.opened();
    const bob = await enter(ethers.Wallet.createRandom());
    const bobs = await bob.stream().opened();
    const socket = await quiet_socket(ann);
    const { json: { position } } = await ann.call('GET', '/events/poll');
    const waiting = ann.call('GET', `/events/poll?after=${encodeURIComponent(position)}&timeout=50`);
    await until('the poll to wait', async () => await kiln.value('select sum(poll) from kiln.instance') === '1');
    assert.equal((await ann.call('POST', '/me/sign-out-everywhere', {})).status, 200);
    await until('both streams to end', () => streams.every(s => s.is_over));
    assert.equal(await socket.closed, 1013, 'a WebSocket that never subscribed is closed too');
    assert.deepEqual((await waiting).json.events, [], 'and who polls is answered at once');
    assert.equal((await ann.call('GET', '/me')).status, 401);
    const late = new Stream(kiln, { ticket });
    await until('the ticket to be refused', () => late.status === 403);
    assert.equal((await (await enter(wallet)).call('GET', '/me')).status, 200);
    assert.ok(!bobs.is_over, "another's stream goes on");
    bobs.close();
});

test('the profile is checked field by field', async () => {
    const ann = await enter(ethers.Wallet.createRandom());
    const ok = await ann.call('PATCH', '/me', { handle: 'wallet_ann', display_name: 'Ann', email: 'ann@example.com', notify_email: true });
    assert.equal(ok.status, 200, ok.text);
    assert.equal(ok.json.handle, 'wallet_ann');
    for (const [field, value] of [['handle', 'A B'], ['handle', 7], ['display_name', ''], ['display_name', 'a\u0007b'], ['email', 'nobody'], ['email', null], ['notify_email', 'yes'], ['role', 'admin']]) {
        const answer = await ann.call('PATCH', '/me', { [field]: value });
        assert.equal(answer.status, 422, `${field}: ${answer.text}`);
        assert.equal(answer.json.errors[0].field, field === 'email' && value === null ? '/notify_email' : `/${field}`);
    }
    const bob = await enter(ethers.Wallet.createRandom());
    assert.equal((await bob.call('PATCH', '/me', { handle: 'wallet_ann' })).json.errors[0].field, '/handle');
});

test('an operator is made by one command, and finds, suspends, grants and appoints', async () => {
    const wallet = ethers.Wallet.createRandom();
    await kiln.psql(`select kiln.make_admin('${wallet.address}')`);
    const admin = await enter(wallet);
    const ann = await enter(ethers.Wallet.createRandom());
    assert.equal((await ann.call('GET', '/admin/accounts')).status, 403);
    const address = claims_of(ann.token).sub;
    const found = await admin.get(`/admin/accounts?q=${address}`);
    assert.deepEqual(found.items.map(a => a.id), [ann.id]);
    const page = await admin.get('/admin/accounts?limit=2');
    assert.equal(page.items.length, 2);
    assert.ok(page.next_cursor);
    const grant = { amount: 5000000, reason: 'a welcome' };
    for (let i = 0; i < 2; i++) assert.equal((await admin.call('POST', `/admin/accounts/${ann.id}/grant`, grant, { headers: { 'Idempotency-Key': 'g1' } })).json.balance.amount, 5000000);
    assert.equal((await ann.get('/me')).balance.amount, 5000000);
    for (const bad of [{ amount: 1.5, reason: 'x' }, { amount: 0, reason: 'x' }, { amount: 1 }]) assert.equal((await admin.call('POST', `/admin/accounts/${ann.id}/grant`, bad)).status, 422);
    const stream = await ann.stream().opened();
    assert.equal((await admin.call('POST', `/admin/accounts/${ann.id}/suspend`, { reason: 'spam' })).status, 200);
    await until('the stream of the suspended to end', () => stream.is_over);
    assert.equal((await ann.call('GET', '/me')).status, 401);
    assert.equal((await admin.call('POST', `/admin/accounts/${ann.id}/unsuspend`, {})).status, 200);
    assert.equal((await ann.call('GET', '/me')).status, 200);
    assert.equal((await admin.call('POST', `/admin/accounts/${ann.id}/role`, { role: 'admin' })).json.role, 'admin');
    assert.equal((await ann.call('GET', '/admin/accounts')).status, 200);
    assert.equal((await admin.call('POST', '/admin/accounts/999999/role', { role: 'admin' })).status, 404);
});

test('an account that is deleted is gone: no token, no job, no file; its ledger stays', async () => {
    const wallet = ethers.Wallet.createRandom();
    const ann = await enter(wallet);
    await ann.call('PATCH', '/me', { handle: 'soon_gone', email: 'gone@example.com' });
    const job = await ann.make({ type: 'image', prompt: 'a hill' });
    const exported = await ann.get('/me/export');
    assert.equal(exported.sections.generations.items[0].id, job.id);
    assert.equal(exported.account.email, 'gone@example.com');
    assert.equal((await ann.call('GET', '/me/export?section=secrets')).status, 400);
    assert.equal((await ann.call('GET', '/me/export?section=media')).status, 200);
    const stream = await ann.stream().opened();
    assert.equal((await ann.call('DELETE', '/me')).status, 204);
    await until('its stream to end', () => stream.is_over);
    assert.equal((await ann.call('GET', '/me')).status, 401);
    assert.equal(await kiln.value(`select (count(*) filter (where a.handle is null and a.email is null and a.purged_at is not null), (select count(*) from kiln.job j where j.account_id = ${ann.id}),
        (select count(*) from kiln.identity i where i.account_id = ${ann.id}))::text from kiln.account a where a.account_id = ${ann.id}`), '(1,0,0)');
    const anew = await enter(wallet);
    assert.notEqual(anew.id, ann.id);
});

test('too many changes of one account are refused, exactly, over two servers; reads are not', async () => {
    const second = await kiln.server({ env: { KILN_SIWE_DOMAIN: domain } });
    await kiln.psql(`update kiln.config set writes_per_minute = 1, writes_burst = 30`);
    try {
        const ann = kiln.user('many');
        const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => ann.call('POST', '/stream-tickets', {}, { base: i % 2 ? second.url : kiln.url })));
        assert.equal(answers.filter(a => a.status === 201).length, 30);
        const refused = answers.filter(a => a.status === 429);
        assert.equal(refused.length, 30);
        // A minute, and what the clock of the first of them was ahead of the refused one's.
        for (const a of refused) assert.ok(Number(a.headers['retry-after']) >= 1 && Number(a.headers['retry-after']) <= 61, a.headers['retry-after']);
        assert.equal((await ann.call('GET', '/me')).status, 200);
        assert.equal((await kiln.user('another').call('POST', '/stream-tickets', {})).status, 201);
    } finally {
        await kiln.psql(`update kiln.config set writes_per_minute = null, writes_burst = 600`);
        await second.stop();
    }
});

test('a request that waits in the database is found there by its id', async () => {
    const ann = await enter(ethers.Wallet.createRandom());
    const session = kiln.session();
    await session.say(`begin; select from kiln.account where account_id = ${ann.id} for update;`);
    const id = 'waits-for-a-lock-1';
    const waiting = ann.call('PATCH', '/me', { display_name: 'x' }, { headers: { 'X-Request-Id': id } });
    await until('it to show in pg_stat_activity', async () => await kiln.value(`select count(*) from pg_stat_activity where application_name = 'kiln-server write ${id}' and wait_event_type = 'Lock'`) === '1');
    await session.say('rollback;');
    const answer = await waiting;
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['x-request-id'], id);
});

test('an address may ask for so many nonces; whom a trusted proxy names is counted by itself', async () => {
    const server = await kiln.server({ env: { KILN_AUTH_PER_MINUTE: '5', KILN_TRUSTED_PROXIES: '127.0.0.1/32' } });
    const ask = headers => request(server.url, 'POST', '/api/v1/auth/nonce', { headers: { 'Content-Type': 'application/json', 'Content-Length': 2, ...headers }, body: '{}' });
    try {
        for (let i = 0; i < 5; i++) assert.equal((await ask({ 'X-Forwarded-For': '6.6.6.6, 192.0.2.1' })).status, 201);
        const refused = await ask({ 'X-Forwarded-For': '7.7.7.7, 192.0.2.1' });
        assert.equal(refused.status, 429);
        assert.ok(Number(refused.headers['retry-after']) >= 1);
        assert.equal((await ask({ 'X-Forwarded-For': '192.0.2.2' })).status, 201);
        assert.equal((await request(server.url, 'GET', '/api/v1/models', { headers: { 'X-Forwarded-For': '192.0.2.1' } })).status, 200);
    } finally {
        await server.stop();
    }
});

// Pages of other origins: what KILN_ALLOWED_ORIGINS opens, to whom, and that nothing else does.
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { plain_png } from '../fakes/media.mjs';
import { begin, request, run, until } from './lib.mjs';

const app = 'https://app.example', foreign = 'https://evil.example', allowed = `https://other.example:8443, ${app}`;
const cors_of = headers => Object.fromEntries(Object.entries(headers).filter(([name]) => /^(access-control-|vary$)/.test(name)));
const exposed = ['X-Request-Id', 'Retry-After', 'ETag', 'Content-Range', 'Content-Disposition', 'Location', 'Accept-Ranges', 'Content-Length'];

describe('raw requests', () => {
    let kiln, open, closed, ann, routes;
    before(async () => {
        kiln = await begin({ runners: 1, server: { env: { KILN_ALLOWED_ORIGINS: allowed, KILN_AUTH_PER_MINUTE: '100000' } } });
        open = kiln.main.url;
        closed = (await kiln.server({ env: { KILN_AUTH_PER_MINUTE: '100000' } })).url;
        ann = kiln.user('ann');
        const { out } = await run(path.join(kiln.bin, 'kiln-server'), ['--routes'], { env: kiln.env });
        routes = out.trim().split('\n').map(line => JSON.parse(line)).map(route => ({ ...route, target: route.path.replace(/\{\w+(\.\.\.)?\}/, (_, many) => (many ? 'a/b' : '1')) }));
    });
    after(() => kiln?.end());

    const ask = (base, method, target, headers, more) => request(base, method, target, { headers, undescribed: true, ...more });
    const preflight = (base, target, method, origin) => ask(base, 'OPTIONS', target, { Origin: origin, 'Access-Control-Request-Method': method, 'Access-Control-Request-Headers': 'authorization,content-type' });
    /** An answer to the allowed page says so and shows its headers; the same to a foreign one says nothing. */
    const assert_read = (answer, what) => {
        assert.equal(answer.headers['access-control-allow-origin'], app, what);
        assert.equal(answer.headers.vary, 'Origin', what);
        const names = answer.headers['access-control-expose-headers'].split(', ');
        assert.deepEqual(exposed.filter(name => !names.includes(name)), [], what);
        assert.equal(answer.headers['access-control-allow-credentials'], undefined, what);
    };
    const assert_hidden = (answer, what) => assert.deepEqual(cors_of(answer.headers), { vary: 'Origin' }, what);

    test('each route answers the preflight of an allowed page with its methods, and that of a foreign page with no CORS header', async () => {
        assert.ok(routes.length > 100);
        for (const { method, target, auth } of routes) {
            const what = `${method} ${target}`;
            const yes = await preflight(open, target, method, app);
            assert.equal(yes.status, 204, what);
            assert.equal(yes.text, '');
            assert.equal(yes.headers['access-control-allow-origin'], app, what);
            assert.equal(yes.headers.vary, 'Origin', what);
            const methods = yes.headers['access-control-allow-methods'].split(', ');
            assert.ok(methods.includes(method), what);
            assert.equal(methods.includes('HEAD'), methods.includes('GET') && !['stream', 'watch'].includes(auth), what);
            for (const name of ['Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID', 'X-API-Key', 'X-Request-Id', 'Range', 'If-None-Match', 'If-Range', 'Content-MD5'])
                assert.ok(yes.headers['access-control-allow-headers'].split(', ').includes(name), `${what}: ${name}`);
            assert.ok(Number(yes.headers['access-control-max-age']) > 0);
            const no = await preflight(open, target, method, foreign);
            assert.equal(no.status, 405, what);
            assert_hidden(no, what);
        }
    });

    test('each route\'s own answer can be read by an allowed page and by no other', async () => {
        for (const { method, target } of routes) {
            assert_read(await ask(open, method, target, { Origin: app }), `${method} ${target}`);
            for (const Origin of [foreign, 'null', `${app}.evil.example`, `${app}:444`, 'http://app.example'])
                assert_hidden(await ask(open, method, target, { Origin }), `${method} ${target} ${Origin}`);
            assert_hidden(await ask(open, method, target, {}), `${method} ${target}`);
        }
    });

    test('without the variable no answer has a CORS header, whoever asks', async () => {
        for (const { method, target } of routes) {
            const asked = await preflight(closed, target, method, app);
            assert.deepEqual([asked.status, cors_of(asked.headers)], [405, {}], target);
            assert.deepEqual(cors_of((await ask(closed, method, target, { Origin: app })).headers), {}, target);
        }
    });

    test('an OPTIONS that is no preflight is 405 with Allow, and a preflight of an unknown path is 404', async () => {
        const plain = await ask(open, 'OPTIONS', '/api/v1/me', { Origin: app });
        assert.deepEqual([plain.status, plain.headers.allow], [405, 'GET, HEAD, PATCH, DELETE']);
        assert.equal((await ask(open, 'OPTIONS', '/api/v1/me', { 'Access-Control-Request-Method': 'GET' })).status, 405);
        const nowhere = await preflight(open, '/api/v1/nowhere', 'GET', app);
        assert.equal(nowhere.status, 404);
        assert_read(nowhere);
    });

    test('what is refused before a handler sees it can be read, too: path, method, size, type, head, and a body that is too slow', async () => {
        const authorized = { Origin: app, Authorization: `Bearer ${ann.token}` };
        const refusals = [
            [404, 'GET', '/nowhere', { Origin: app }], [405, 'PUT', '/api/v1/me', authorized], [401, 'GET', '/api/v1/me', { ...authorized, Authorization: 'Bearer x' }],
            [413, 'POST', '/api/v1/generate', { ...authorized, 'Content-Type': 'application/json', 'Content-Length': 40 << 20, Expect: '100-continue' }],
            [415, 'POST', '/api/v1/generate', { ...authorized, 'Content-Type': 'text/plain' }, { body: 'x' }],
            [422, 'POST', '/api/v1/generate', { ...authorized, 'Content-Type': 'application/json' }, { body: '{}' }],
        ];
        for (const [status, method, target, headers, more] of refusals) {
            const answer = await ask(open, method, target, headers, more);
            assert.equal(answer.status, status, answer.text);
            assert_read(answer, `${status}`);
        }
        const slow = await kiln.server({ env: { KILN_ALLOWED_ORIGINS: allowed, KILN_CLIENT_TIMEOUT_MS: '300' } });
        const raw = async (port, text) => {
            const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
            let said = '';
            socket.on('data', bytes => { said += bytes; }).on('error', () => {});
            await until('the answer', () => said.includes('\r\n\r\n'));
            socket.destroy();
            return said;
        };
        const head = `POST /api/v1/generate HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${ann.token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n`;
        for (const [status, port, text] of [[408, slow.port, `${head}Origin: ${app}\r\n\r\n{`], [400, kiln.main.port, `${head}Origin: ${app}\r\nContent-Length: 99\r\n\r\n{`]]) {
            const said = await raw(port, text);
            assert.match(said, new RegExp(`^HTTP/1\\.1 ${status} [^]*Access-Control-Allow-Origin: ${app}\r\n`));
            assert.match(said, /\r\nVary: Origin\r\n/);
            assert.doesNotMatch(await raw(port, text.replace(app, foreign)), /Access-Control/i);
        }
    });

    test('a file\'s ranges, conditions and refusals, a stream and a long poll can be read by an allowed page', async () => {
        const id = await ann.upload('a.png', 'image/png', plain_png(Buffer.from('for a page')));
        const { url } = await ann.get(`/uploads/${id}`);
        const { headers: { etag } } = await request(kiln.url, 'GET', url);
        for (const [status, method, headers] of [[200, 'GET', {}], [200, 'HEAD', {}], [206, 'GET', { Range: 'bytes=2-5' }], [416, 'GET', { Range: 'bytes=999999-' }], [304, 'GET', { 'If-None-Match': etag }]]) {
            const answer = await ask(open, method, url, { Origin: app, ...headers });
            assert.equal(answer.status, status);
            assert_read(answer, `${status}`);
            assert_hidden(await ask(open, method, url, { Origin: foreign, ...headers }));
            assert_hidden(await ask(open, method, url, headers), 'a browser keeps the answer to a plain <img> apart from that to a script');
        }
        for (const [Origin, look] of [[app, assert_read], [foreign, assert_hidden]]) {
            const stream = await ann.stream({ headers: { Origin } }).opened();
            look(stream);
            stream.close();
            const ticket = (await ann.call('POST', '/stream-tickets')).json.ticket;
            look(await ask(open, 'GET', `/api/v1/events/poll?wait=0&ticket=${ticket}`, { Origin }));
        }
    });

    test('with * every page may, and is told so', async () => {
        const { url } = await kiln.server({ env: { KILN_ALLOWED_ORIGINS: '*' } });
        for (const Origin of [app, foreign, 'null']) {
            assert.equal((await preflight(url, '/api/v1/generate', 'POST', Origin)).headers['access-control-allow-origin'], '*');
            const answer = await ask(url, 'GET', '/api/v1/models', { Origin });
            assert.deepEqual([answer.headers['access-control-allow-origin'], answer.headers['access-control-allow-credentials']], ['*', undefined]);
        }
    });

    test('an entry that no browser would send ends the server at its start, by its number', async () => {
        const server = kiln.program('kiln-server', ['--check'], { KILN_ALLOWED_ORIGINS: `${app},https://two.example/` });
        assert.equal((await server.exit).code, 78);
        assert.match(server.output, /KILN_ALLOWED_ORIGINS: entry 2/);
        assert.ok(!server.output.includes('two.example'));
    });
});

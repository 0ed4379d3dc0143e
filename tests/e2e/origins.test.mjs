// Pages of other origins: what KILN_ALLOWED_ORIGINS opens, to whom, and that nothing else does.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { plain_png } from '../fakes/media.mjs';
import { Browser, without_browser } from './browser.mjs';
import { begin, free_port, request, run, tool, until } from './lib.mjs';
import { all_blocked, all_done, page_html, serve_page, tour, wallet_file } from './tour.mjs';

const app = 'https://app.example', foreign = 'https://evil.example';
const varies = headers => /(^|, )Origin(,|$)/.test(headers.vary);
const cors_of = headers => Object.entries(headers).filter(([name]) => name.startsWith('access-control-')).concat(varies(headers) ? [['vary', 'Origin']] : []);
const exposed = ['X-Request-Id', 'Retry-After', 'ETag', 'Content-Range', 'Content-Disposition', 'Location', 'Accept-Ranges', 'Content-Length'];

let kiln, ann, open, closed, allowed, ours, same;
before(async () => {
    ours = await serve_page();
    same = `http://127.0.0.1:${await free_port()}`;
    allowed = `https://other.example:8443, ${app},${ours.origin}`;
    kiln = await begin({ runners: 1, server: { env: { KILN_ALLOWED_ORIGINS: allowed, KILN_SIWE_DOMAIN: ours.origin, KILN_AUTH_PER_MINUTE: '100000' } } });
    open = kiln.main.url;
    closed = await kiln.server({ env: { KILN_SIWE_DOMAIN: same, KILN_AUTH_PER_MINUTE: '100000' } });
    ann = kiln.user('ann');
});
after(async () => {
    await kiln?.end();
    await ours?.end();
});

describe('raw requests', () => {
    let routes;
    before(async () => {
        const { out } = await run(path.join(kiln.bin, 'kiln-server'), ['--routes'], { env: kiln.env });
        routes = out.trim().split('\n').map(line => JSON.parse(line)).map(route => ({ ...route, target: route.path.replace(/\{\w+(\.\.\.)?\}/, (_, many) => (many ? 'a/b' : '1')) }));
    });
    const ask = (base, method, target, headers, more) => request(base, method, target, { headers, undescribed: true, ...more });
    const preflight = (base, target, method, origin) => ask(base, 'OPTIONS', target, { Origin: origin, 'Access-Control-Request-Method': method, 'Access-Control-Request-Headers': 'authorization,content-type' });
    /** An answer to the allowed page says so and shows its headers; the same to a foreign one says nothing. */
    const assert_read = (answer, what) => {
        assert.equal(answer.headers['access-control-allow-origin'], app, what);
        assert.ok(varies(answer.headers), what);
        const names = answer.headers['access-control-expose-headers'].split(', ');
        assert.deepEqual(exposed.filter(name => !names.includes(name)), [], what);
        assert.equal(answer.headers['access-control-allow-credentials'], undefined, what);
    };
    const assert_hidden = (answer, what) => assert.deepEqual(cors_of(answer.headers), [['vary', 'Origin']], what);

    test('each route answers the preflight of an allowed page with its methods, and that of a foreign page with no CORS header', async () => {
        assert.ok(routes.length > 100);
        for (const { method, target, auth } of routes) {
            const what = `${method} ${target}`;
            const yes = await preflight(open, target, method, app);
            assert.equal(yes.status, 204, what);
            assert.equal(yes.text, '');
            assert.equal(yes.headers['access-control-allow-origin'], app, what);
            assert.ok(varies(yes.headers), what);
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
            const asked = await preflight(closed.url, target, method, app);
            assert.deepEqual([asked.status, cors_of(asked.headers)], [405, []], target);
            assert.deepEqual(cors_of((await ask(closed.url, method, target, { Origin: app })).headers), [], target);
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

// At 2 MB a second its end is not there before it is asked for, and each second can be shown by itself: the seek needs a range of its own.
const film_of = async folder => {
    const file = path.join(folder, 'film.mp4');
    await tool('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=5,noise=alls=100:allf=t', '-t', '10', '-c:v', 'libx264', '-preset', 'ultrafast', '-qp', '8', '-g', '5', '-pix_fmt', 'yuv420p', '-movflags', '+faststart', file]);
    return fs.readFileSync(file);
};

describe('a page in Chromium', { skip: without_browser }, () => {
    let chromium, third, nginx, film, film_url, page;
    const png = plain_png(Buffer.from('from a page')).toString('base64');
    before(async () => {
        [third, chromium, film] = await Promise.all([serve_page(), Browser.open(kiln.folder), film_of(kiln.folder)]);
        film_url = (await ann.get(`/uploads/${await ann.upload('film.mp4', 'video/mp4', film)}`)).url;
    });
    after(async () => {
        await chromium?.close();     // first: its streams go through nginx, which waits for them
        if (nginx) await new Promise(resolve => nginx.on('exit', resolve).kill('SIGQUIT') || resolve());
        await third?.end();
    });
    /** What a page at this origin could do. */
    const visit = async (origin, more) => {
        page = await chromium.page();
        await page.ask('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 2 << 20, uploadThroughput: -1 });
        await page.go(`${origin}/`);
        return page.run(tour, { png, film_url, ...more });
    };

    test('of an allowed origin signs in, generates, uploads, listens in three ways and seeks in a film', async () => {
        assert.deepEqual(await visit(ours.origin, { base: open }), all_done);
        const ranges = page.answers.filter(({ type }) => type === 'Media').map(({ headers }) => headers['Content-Range']);
        assert.ok(ranges.some(range => Number(/^bytes (\d+)-/.exec(range)?.[1]) > film.length / 2), `the seek asked for its part: ${ranges}`);
    });

    test('of a third origin can do nothing of it, though it was handed a token, tickets and signed links', async () => {
        const ticket = async () => (await ann.call('POST', '/stream-tickets')).json.ticket;
        const place = (await ann.call('POST', '/uploads/presign', { filename: 'a', content_type: 'image/png', bytes: Buffer.from(png, 'base64').length })).json;
        const own = { token: ann.token, ticket: await ticket(), socket_ticket: await ticket(), place };
        assert.deepEqual(await visit(third.origin, { base: open, own }), all_blocked);
        assert.equal((await kiln.value(`select count(*) from kiln.job where account_id = ${await ann.account()} and kind = 'generation'`)), '0');
        assert.equal((await ann.get(`/uploads/${place.media_id}`)).state, 'uploading');
    });

    test('of the same origin, behind nginx, does all of it without KILN_ALLOWED_ORIGINS', async () => {
        const folder = path.join(kiln.folder, 'nginx');
        for (const name of ['', 'body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) fs.mkdirSync(path.join(folder, name), { recursive: true });
        fs.writeFileSync(path.join(folder, 'index.html'), page_html);
        fs.copyFileSync(wallet_file, path.join(folder, 'ethers.js'));
        const documented = /```nginx\n([^]*?)```/.exec(fs.readFileSync(new URL('../../docs/origins.md', import.meta.url), 'utf8'))[1]
            .replace('listen 443 ssl', `listen ${new URL(same).host}`).replace('/srv/app', folder).replace('127.0.0.1:8080', `127.0.0.1:${closed.port}`);
        fs.writeFileSync(path.join(folder, 'nginx.conf'), `
            worker_processes 1; daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
            events { worker_connections 100; }
            http {
                types { text/html html; text/javascript js; }
                access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
                ${documented}
            }`);
        nginx = spawn('setpriv', ['--pdeathsig', 'TERM', 'nginx', '-p', folder, '-c', path.join(folder, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'inherit'] });
        await until('nginx', async () => (await request(same, 'GET', '/').catch(() => ({}))).status === 200);
        assert.deepEqual(await visit(same, { base: same }), all_done);
    });
});

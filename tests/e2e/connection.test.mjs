// What comes before a request is one: heads that can be read in two ways, heads that libmicrohttpd refuses itself, clients that do not
// send, do not read, or are too many.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { begin, isSanitized, request, until } from './lib.mjs';

/** A bare connection: `text` is what came, `ended` resolves when the server has closed it. */
class Raw {
    constructor(port, { from = '127.0.0.1' } = {}) {
        this.text = '';
        this.socket = net.connect({ port, host: '127.0.0.1', localAddress: from });
        this.socket.setEncoding('latin1').on('data', text => { this.text += text; });
        this.socket.on('error', error => { this.error = error.code; });
        this.opened = new Promise(resolve => this.socket.on('connect', resolve).on('close', resolve));
        this.ended = new Promise(resolve => this.socket.on('close', () => resolve(this.is_over = true)));
    }
    send(text) { this.socket.write(text, 'latin1'); return this; }
    close() { this.socket.destroy(); }
}
/** All that is answered until the server closes, or (`answers`) so many answers are there. */
async function exchange(port, text, answers = Infinity) {
    const raw = new Raw(port).send(text);
    await until('the answer', () => raw.is_over || raw.text.split('HTTP/1.1 ').length > answers);
    raw.close();
    return raw.text;
}
const counted = async (server, name) => Number(new RegExp(`^${name.replace(/[{}"/|]/g, '\\$&')} (\\d+)`, 'm').exec((await request(server.url, 'GET', '/metrics')).text)?.[1] ?? 0);
const ended = (server, reason) => counted(server, `kiln_connections_ended_total{reason="${reason}"}`);

describe('the door', () => {
    let kiln, ann;
    before(async () => {
        kiln = await begin();
        ann = kiln.user('ann');
        await ann.account();
    });
    after(() => kiln.end());

    const host = 'Host: localhost\r\n';
    const post = 'POST /api/v1/auth/siwe HTTP/1.1\r\nContent-Type: application/json\r\n';
    const get = 'GET /healthz HTTP/1.1\r\n';
    const second = `GET /api/v1/models HTTP/1.1\r\n${host}\r\n`;
    const chunked = (...lines) => `${post}${host}Transfer-Encoding: chunked\r\n\r\n${lines.join('\r\n')}\r\n`;

    describe('a head that can be read in two ways is 400, the connection ends, and what stands behind it is never run:', () => {
        let before_all;
        before(async () => { before_all = await counted(kiln.main, 'kiln_http_requests_total{method="GET",route="/api/v1/models",status="200"}'); });
        after(async () => {
            assert.equal(await counted(kiln.main, 'kiln_http_requests_total{method="GET",route="/api/v1/models",status="200"}'), before_all);
        });
        for (const [what, text, status = 400] of [
            ['two Content-Lengths', `${post}${host}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}`],
            ['the same Content-Length twice', `${post}${host}Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}`],
            ['Content-Length with Transfer-Encoding', `${post}${host}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
            ['Transfer-Encoding with Content-Length', `${post}${host}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n`],
            ['an unknown Transfer-Encoding', `${post}${host}Transfer-Encoding: gzip\r\n\r\n`],
            ['Transfer-Encoding identity', `${post}${host}Transfer-Encoding: identity\r\n\r\n`],
            ['a list of Transfer-Encodings', `${post}${host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
            ['two Transfer-Encodings', `${post}${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
            ['Transfer-Encoding with a tab', `${post}${host}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`],
            ['Transfer-Encoding of HTTP/1.0', `POST /api/v1/auth/siwe HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
            ['a blank before the colon', `${post}${host}Content-Length : 2\r\n\r\n{}`],
            ['a tab before the colon', `${post}${host}Content-Length\t: 2\r\n\r\n{}`],
            ['a name with a blank', `${post}${host}Content Length: 2\r\n\r\n{}`],
            ['no name', `${get}${host}: x\r\n\r\n`],
            ['no colon', `${get}${host}nothing\r\n\r\n`],
            ['two Hosts', `${get}${host}Host: elsewhere\r\n\r\n`],
            ['the same Host twice', `${get}${host}${host}\r\n`],
            ['no Host', `${get}\r\n`],
            ['a Host with a blank', `${get}Host: a b\r\n\r\n`],
            ['a Host with a path', `${get}Host: a/b\r\n\r\n`],
            ['a folded line', `${post}${host}X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}`],
            ['a folded line that makes another name', `${post}${host}Transfer-Enc: chunked\r\n oding\r\n\r\n0\r\n\r\n`],
            ['a folded first line', `${get} X: a\r\n${host}\r\n`],
            ['a lone CR in a value', `${get}${host}X: a\rContent-Length: 5\r\n\r\n`],
            ['a lone CR in the first line', `GET /healthz HTTP/1.1\rX: a\r\n${host}\r\n`],
            ['a lone LF behind the first line', `GET /healthz HTTP/1.1\n${host}\r\n`],
            ['a lone LF behind a header', `${get}Host: a\nX: b\r\n\r\n`],
            ['a lone LF at the end', `${get}${host}\n`],
            ['a NUL in a value', `${get}${host}X: a\0b\r\n\r\n`],
            ['two NULs in a value', `${get}${host}X: a\0\0Y: b\r\n\r\n`],
            ['a NUL in a name', `${get}${host}X\0: a\r\n\r\n`],
            ['a NUL in the target', `GET /health\0z HTTP/1.1\r\n${host}\r\n`],
            ['a control character in a value', `${get}${host}X: a\x07b\r\n\r\n`],
            ['a blank in the target', `GET /health z HTTP/1.1\r\n${host}\r\n`],
            ['two blanks in the first line', `GET  /healthz HTTP/1.1\r\n${host}\r\n`],
            ['a method that is no word', `GE(T /healthz HTTP/1.1\r\n${host}\r\n`],
            ['a first line of one word', `GET\r\n${host}\r\n`],
            ['a first line without a version', `GET /healthz\r\n${host}\r\n`],
            ['a Content-Length with a plus', `${post}${host}Content-Length: +2\r\n\r\n{}`],
            ['a Content-Length with a minus', `${post}${host}Content-Length: -2\r\n\r\n{}`],
            ['a Content-Length in hex', `${post}${host}Content-Length: 0x2\r\n\r\n{}`],
            ['a list of Content-Lengths', `${post}${host}Content-Length: 2, 2\r\n\r\n{}`],
            ['an empty Content-Length', `${post}${host}Content-Length:\r\n\r\n{}`],
            ['a Content-Length beyond 64 bits', `${post}${host}Content-Length: 18446744073709551618\r\n\r\n{}`, 413],
            ['a chunk size that is no number', chunked('zz', '{}', '0', '')],
            ['a chunk size with 0x', chunked('0x2', '{}', '0', '')],
            ['a chunk size with a sign', chunked('-2', '{}', '0', '')],
            ['an empty chunk size', chunked('', '{}', '0', '')],
            ['a chunk size with a blank before it', chunked(' 2', '{}', '0', '')],
            ['a chunk that is longer than its size', chunked('2', '{}xx', '0', '')],
            ['a chunk size beyond 64 bits', chunked('10000000000000002', '{}', '0', ''), 413],
            ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
        ]) {
            test(what, async () => {
                const said = await exchange(kiln.main.port, text + second);
                assert.match(said, new RegExp(`^HTTP/1\\.1 ${status} `), what);
                assert.doesNotMatch(said, /HTTP\/1\.1 [23]\d\d|"items"/);
            });
        }
    });

    test('a head that can be read in one way only is served, in whatever pieces it comes', async () => {
        for (const text of [
            `${get}${host}\r\n`, `\r\n${get}${host}\r\n`, `${get}HOST:localhost\r\n\r\n`, `${get}Host: [::1]:8080\r\n\r\n`, `${get}Host:\r\n\r\n`,
            `${get}${host}X:\r\nY: \r\nZ: \t a b\tc \t\r\nCookie: a=b; c="d;e"\r\nCookie: f=g\r\n\r\n`, `${get}${host}X: caf\xe9\r\n\r\n`,
            `GET /healthz?q=a+b&c=%20&&=&d HTTP/1.1\r\n${host}\r\n`, 'GET /healthz HTTP/1.0\r\n\r\n', `${get}${host}${'X: y\r\n'.repeat(60)}\r\n`,
            `${get}${host}Content-Length: 0\r\n\r\n`, `GET /healthz? HTTP/1.1\r\n${host}\r\n`,
        ]) {
            assert.match(await exchange(kiln.main.port, text, 1), /^HTTP\/1\.1 200 /, JSON.stringify(text));
            const raw = new Raw(kiln.main.port);
            raw.socket.setNoDelay(true);
            for (const byte of text) {
                raw.send(byte);
                await new Promise(setImmediate);
            }
            await until('the answer', () => raw.text.includes('{"status":"ok",'));
            raw.close();
        }
        const piped = await exchange(kiln.main.port, `${get}${host}\r\n`.repeat(30) + chunked('2', '{}', '0', '') + second, 32);
        assert.equal(piped.split('HTTP/1.1 200').length, 32);
    });

    test('any head is served exactly where RFC 9112 has one way to read it: 600 random faults against a grammar', async () => {
        const grammar = /^(?:\r?\n)*([!#$%&'*+.^_`|~\w-]+) [^\0-\x20\x7f]+ HTTP\/1\.(\d)\r\n((?:[!#$%&'*+.^_`|~\w-]+:[^\0-\x08\n-\x1f\x7f]*\r\n)*)\r\n/;
        // A NUL before a lone LF that ends a header looks like a CRLF in the memory of libmicrohttpd, and ends the line as that LF does for who takes lone ones.
        const is_sound = text => {
            const [, , minor, lines] = grammar.exec(text.replace(/(?<=\r\n[^]*)\0\n/g, '\r\n')) ?? [];
            if (lines === undefined) return false;
            const headers = lines.split('\r\n').slice(0, -1).map(line => /^([^:]*):[ \t]*(.*)$/.exec(line).slice(1));
            const of = name => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
            const hosts = of('host'), lengths = of('content-length'), codings = of('transfer-encoding');
            return (hosts.length === 1 || minor === '0' && !hosts.length) && hosts.every(host => !/[\s/?#@,]/.test(host)) && lengths.length <= 1
                && lengths.every(length => /^\d+$/.test(length)) && !(codings.length && (lengths.length || minor === '0')) && codings.length <= 1 && codings.every(coding => /^chunked$/i.test(coding));
        };
        const seed = process.env.KILN_SEED ?? randomBytes(6).toString('hex');
        let turn = 0;
        const random = n => createHash('sha256').update(`${seed} ${turn++}`).digest().readUInt32BE() % n;
        const bytes = ['\r', '\n', '\0', ' ', '\t', ':', '\r\n', '\r\n ', 'a', '\xff', '\x7f', ';', ',', '0', '+', '\r\nHost: b', '\r\nContent-Length: 0', '\r\nTransfer-Encoding: chunked'];
        const heads = Array.from({ length: 600 }, () => {
            let text = `GET /healthz?a=b&c HTTP/1.${random(8) ? 1 : 0}\r\nHost: localhost\r\nX-One: two three\r\n${['', '', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n'][random(4)]}Accept: */*`;
            for (let faults = random(3); faults > 0; faults--) {
                const at = random(text.length + 1);
                text = text.slice(0, at) + bytes[random(bytes.length)] + text.slice(at + (random(3) ? 0 : 1 + random(2)));
            }
            return `${text}\r\n\r\n0\r\n\r\n`;
        }).filter(text => !/\r\n\r\n(?!0\r\n\r\n$)(?!$)/.test(text));      // a head that ends too early makes a body of the rest
        let sound = 0;
        for (let i = 0; i < heads.length; i += 20) {
            await Promise.all(heads.slice(i, i + 20).map(async text => {
                const said = await exchange(kiln.main.port, text, 1);
                const refused = /^HTTP\/1\.1 (400|413|505)/.test(said);
                sound += is_sound(text);
                assert.equal(!refused, is_sound(text), `KILN_SEED=${seed}: ${JSON.stringify(text)} was answered with ${said.slice(0, 300)}`);
            }));
        }
        assert.ok(sound > 50 && sound < 550, `${sound} sound ones of ${heads.length}`);
    });

    test('a query of many arguments is read, and a head that is too large is told so', async () => {
        for (const [text, status] of [
            [`GET /healthz?${'a&'.repeat(300)} HTTP/1.1\r\n${host}\r\n`, 200], [`GET /healthz?${'a&'.repeat(3000)} HTTP/1.1\r\n${host}\r\n`, 200],
            [`GET /healthz?${'a'.repeat(20000)} HTTP/1.1\r\n${host}\r\n`, 414], [`${get}${host}X: ${'a'.repeat(20000)}\r\n\r\n`, 431],
            [`${get}${host}${'X: y\r\n'.repeat(1000)}\r\n`, 431], [`${get}${host}Cookie: ${'a=b;'.repeat(400)}\r\n\r\n`, 431],
        ]) assert.match(await exchange(kiln.main.port, text, 1), new RegExp(`^HTTP/1\\.1 ${status} `));
    });

    test('what is refused before it is a request leaves no memory and keeps no server from stopping', { timeout: 120000 }, async () => {
        const server = await kiln.server();
        const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]);
        const bad = [
            `GET /healthz?${'a&'.repeat(300)} HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, `${get}${host}${'X: y\r\n'.repeat(300)}\r\n`,
            `GET /healthz?${'a&'.repeat(300)} HTTP/1.1\r\n${host}Cookie: ${'a=b;'.repeat(300)}\r\n\r\n`, `${get}nothing\r\n\r\n`,
            `GET /healthz?${'a&'.repeat(300)}`, `GET /healthz?${'a&'.repeat(300)} HTTP/1.1\r\nX`, `${post}${host}Content-Length: +1\r\n\r\n`, `${get}${host}${host}\r\n`,
        ];
        const round = async n => {
            for (let i = 0; i < n; i += 40) {
                await Promise.all(Array.from({ length: 40 }, async (_, k) => {
                    const raw = new Raw(server.port).send(bad[(i + k) % bad.length]);
                    if (/\r\n\r\n$/.test(bad[(i + k) % bad.length])) await raw.ended;
                    else await raw.opened;
                    raw.close();
                }));
            }
        };
        await round(400);
        const before = rss();
        await round(4000);
        const grown = rss() - before;
        assert.ok(isSanitized || grown < 8000, `${grown} KiB more after 4,000; one that is kept has 8`);
        await until('the last of them to be gone', async () => await counted(server, 'kiln_connections') === 1);
        // The one that counted them may still be in its last turn when its answer is read; behind the next one's end it is over.
        await exchange(server.port, `${get}${host}Connection: close\r\n\r\n`);
        assert.deepEqual(await server.stop(), { code: 0, signal: null });
        assert.equal(server.logged('draining')[0].requests, '0');
        assert.equal(server.logged('stopped').length, 1);
    });

    test('1,000 that hold half a head do not keep others out', { timeout: 60000 }, async () => {
        const server = await kiln.server({ env: { KILN_MAX_CONNECTIONS: '200', KILN_MAX_STREAMS: '20' } });
        const kept = new Raw(server.port).send(`${get}${host}\r\n`);
        await until('its answer', () => kept.text.includes('"ok"'));
        const holders = [];
        for (let i = 0; i < 1000; i++) {
            const one = new Raw(server.port).send(`${get}Ho`);
            holders.push(one);
            await one.opened;
        }
        assert.equal((await request(server.url, 'GET', '/healthz', { agent: false, ms: 5000 })).status, 200);
        assert.equal((await ann.call('GET', '/me', undefined, { base: server.url, agent: false, ms: 5000 })).status, 200);
        await until('the oldest of them to go', () => holders.filter(one => one.is_over).length >= 700);
        assert.ok(await ended(server, 'room') >= 700);
        assert.ok(await counted(server, 'kiln_connections') <= 300);
        assert.equal(server.logged('the oldest idle connections are closed to make room for others (KILN_MAX_CONNECTIONS)').length, 1, 'one line, not 800');
        kept.send(`${get}${host}\r\n`);
        await until('the one that was answered before to be kept', () => kept.text.split('"ok"').length === 3);
        for (const one of [kept, ...holders]) one.close();
        await server.stop();
    });

    test('who sends large bodies slowly, and nobody has to say who it is for that, does not keep the bodies of others out', { timeout: 60000 }, async () => {
        const server = await kiln.server();
        // The key has the form of one and is nobody's: only the database would know, and the body comes first.
        const half = `${randomBytes(32).toString('hex')}`, key = `kiln_${half}${createHash('sha256').update(`kiln_${half}`).digest('hex').slice(0, 8)}`;
        const head = `POST /api/v1/generate HTTP/1.1\r\n${host}X-API-Key: ${key}\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n`;
        const slow = Array.from({ length: 80 }, () => new Raw(server.port).send(head + ' '.repeat(1000000)));
        await until('the bodies to have come', () => slow.every(raw => raw.socket.writableLength === 0));
        for (let i = 0; i < 10; i++) {
            const body = JSON.stringify({ type: 'image', prompt: `beside them ${i}` }).padEnd(1000000);
            const made = await request(server.url, 'POST', '/api/v1/generate', { headers: { Authorization: `Bearer ${ann.token}`, 'Content-Type': 'application/json' }, body });
            assert.equal(made.status, 202, made.text);
        }
        // Those that had to make room are told so at the end of their body, the others that nobody knows them.
        for (const raw of slow) raw.send(' '.repeat(48576));
        await until('all to be answered', () => slow.every(raw => /HTTP\/1.1 (401|503) /.test(raw.text)));
        assert.ok(slow.some(raw => raw.text.includes(' 503 ')), 'somebody made room');
        for (const raw of slow) raw.close();
        await server.stop();
    });

    describe('a client has its time:', () => {
        let server;
        const fast = { KILN_CLIENT_TIMEOUT_MS: '600', KILN_CLIENT_BYTES_PER_SECOND: '20000' };
        before(async () => { server = await kiln.server({ env: fast }); });
        after(() => server.stop());
        /** Sends one byte, again and again, until the server has had enough. */
        const drip = async (start, byte = 'a') => {
            const raw = new Raw(server.port).send(start);
            const timer = setInterval(() => raw.send(byte), 100);
            await until('the server to have had enough', () => raw.is_over, 15000);
            clearInterval(timer);
            return raw.text;
        };
        const authorized = () => `Authorization: Bearer ${ann.token}\r\n`;

        test('half a head is 408 and ends, however it drips', async () => {
            const before = await ended(server, 'head');
            for (const start of ['G', `${get}${host}X: `]) {
                const said = await drip(start);
                assert.match(said, /^HTTP\/1\.1 408 .*"code":"timeout"/s);
            }
            assert.ok(await ended(server, 'head') >= before + 2);
        });
        test('a connection that says nothing is closed without a word', async () => {
            const raw = new Raw(server.port);
            await until('it to be closed', () => raw.is_over);
            assert.equal(raw.text, '');
        });
        test('a body below the rate is 408 and ends, one that is thrown away too', async () => {
            const before = await ended(server, 'body');
            const type = 'Content-Type: application/json\r\n';
            assert.match(await drip(`POST /api/v1/generate HTTP/1.1\r\n${host}${authorized()}${type}Content-Length: 100000\r\n\r\n`), /^HTTP\/1\.1 408 /);
            assert.match(await drip(`POST /api/v1/generate HTTP/1.1\r\n${host}${authorized()}${type}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n'), /^HTTP\/1\.1 408 /);
            assert.match(await drip(`POST /api/v1/generate HTTP/1.1\r\n${host}${type}Content-Length: 100000\r\n\r\n`), /^HTTP\/1\.1 408 /);
            assert.ok(await ended(server, 'body') >= before + 3);
        });
        test('a reader who does not read is cut, since the answer waits in memory', async () => {
            const raw = new Raw(server.port);
            await raw.opened;
            raw.socket.pause();
            raw.send(`GET /api/v1/openapi.json HTTP/1.1\r\n${host}\r\n`.repeat(100));
            await until('it to be cut', async () => await ended(server, 'reading') === 1, 15000);
            raw.close();
        });
        test('a stream, a WebSocket and a long poll live on, and so does a request that waits for the database', async () => {
            const before = await ended(server, 'head');
            const stream = await ann.stream({ base: server.url }).opened();
            const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/ws`, { headers: { Authorization: `Bearer ${ann.token}` }, origin: server.url });
            const said = [];
            socket.on('message', text => said.push(JSON.parse(text)));
            await until('the WebSocket', () => said.some(one => one.type === 'ready'));
            socket.send('{"type":"subscribe"}');
            const { position } = (await ann.call('GET', '/events/poll?timeout=0', undefined, { base: server.url })).json;
            const poll = ann.call('GET', `/events/poll?after=${encodeURIComponent(position)}&timeout=20`, undefined, { base: server.url });
            const job = await ann.make({ type: 'image', prompt: 'it waits' });
            await poll;
            const next = (await ann.call('GET', '/events/poll?timeout=0', undefined, { base: server.url })).json.position;
            const again = ann.call('GET', `/events/poll?after=${encodeURIComponent(next)}&timeout=20`, undefined, { base: server.url });
            const holder = kiln.session();
            await holder.say(`begin; select from kiln.job where job_id = ${job.id} for update;`);
            const waiting = ann.call('POST', `/generations/${job.id}/cancel`, undefined, { base: server.url });
            // Two that were opened later have their time out; these had it twice by then.
            for (let i = 1; i <= 2; i++) {
                new Raw(server.port);
                await until('a later one to be closed', async () => await ended(server, 'head') >= before + i);
            }
            await holder.say('rollback;');
            await holder.end();
            assert.equal((await waiting).status, 202);
            assert.ok((await again).json.events.length > 0);
            await stream.sees('the end of it', e => e.data.job_id === job.id && e.event === 'job.cancelled');
            await until('the same over the WebSocket', () => said.some(one => one.job_id === job.id && one.type === 'job.cancelled'));
            assert.equal(stream.links, 1);
            stream.close();
            socket.close();
        });
        test('a kept connection waits longer for its next request than a new one for its first', async () => {
            const before = await ended(server, 'head');
            const raw = new Raw(server.port).send(`${get}${host}\r\n`);
            await until('its answer', () => raw.text.includes('"ok"'));
            for (let i = 1; i <= 2; i++) {
                new Raw(server.port);
                await until('a later one to be closed', async () => await ended(server, 'head') >= before + i);
            }
            raw.send(`${get}${host}\r\n`);
            await until('its second answer', () => raw.text.split('"ok"').length === 3);
            raw.close();
        });
        test('who is in the middle of a head or a body does not keep a server from stopping well', { timeout: 40000 }, async () => {
            const slow = await kiln.server();
            const all = ['G', `${get}${host}X: `, `POST /api/v1/generate HTTP/1.1\r\n${host}${authorized()}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`].map(text => new Raw(slow.port).send(text));
            await until('all of them', async () => await counted(slow, 'kiln_connections') >= 4);
            assert.deepEqual(await slow.stop(), { code: 0, signal: null });
            assert.equal(slow.logged('stopped').length, 1);
            assert.match(all[1].text, /^HTTP\/1\.1 408 /);
            for (const one of all) one.close();
        });
    });

    describe('an address has its number of connections:', () => {
        const few = { KILN_CONNECTIONS_PER_ADDRESS: '4' };
        const connect = async (server, from) => {
            const raw = new Raw(server.port, { from }).send(`${get}${host}\r\n`);
            await until('an answer or an end', () => raw.is_over || raw.text.includes('"ok"'));
            return raw;
        };
        test('more are refused, streams count, other addresses and this machine go on, and who leaves makes room', async () => {
            const server = await kiln.server({ env: few });
            const held = [];
            for (let i = 0; i < 3; i++) held.push(await connect(server, '127.0.0.2'));
            const stream = new Raw(server.port, { from: '127.0.0.2' }).send(`GET /api/v1/events HTTP/1.1\r\n${host}Authorization: Bearer ${ann.token}\r\n\r\n`);
            await until('the stream', () => stream.text.includes('ready'));
            assert.ok(held.every(one => !one.is_over));
            assert.equal((await connect(server, '127.0.0.2')).text, '', 'the fifth');
            assert.equal(await ended(server, 'address'), 1);
            const [line] = server.logged('an address has as many connections as it may (KILN_CONNECTIONS_PER_ADDRESS)');
            assert.deepEqual([line.address, line.connections], ['127.0.0.2', '4']);
            assert.match((await connect(server, '127.0.0.3')).text, /200 OK/);
            for (let i = 0; i < 10; i++) held.push(await connect(server, '127.0.0.1'));
            assert.ok(held.slice(3).every(one => one.text.includes('"ok"')), 'this machine, where a proxy may stand');
            stream.close();
            await until('its place to be free', async () => (await connect(server, '127.0.0.2')).text.includes('"ok"'));
            for (const one of held) one.close();
            await server.stop();
        });
        test('a trusted proxy may have any number', async () => {
            const server = await kiln.server({ env: { ...few, KILN_TRUSTED_PROXIES: '127.0.0.2' } });
            const held = [];
            for (let i = 0; i < 10; i++) held.push(await connect(server, '127.0.0.2'));
            assert.ok(held.every(one => one.text.includes('"ok"')));
            for (const one of held) one.close();
            await server.stop();
        });
    });
});

// GET /ws: the same events as /events, what a client may say, and what happens to one that does not keep to RFC 6455.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import * as description from './description.mjs';
import { check } from './events.mjs';
import { begin, in_seconds, pause, request, until } from './lib.mjs';

/** Events keep to their schema; what is no event is an answer. */
function check_said(said) {
    if (!['answer', 'error', 'pong'].includes(said.type)) check(said);
}

/** A connection through npm ws: `said` has every message; ask() waits for the answer to one. */
class Socket {
    constructor(kiln, { token, ticket, base = kiln.url, query = {}, headers = {}, origin } = {}) {
        const url = new URL('/api/v1/ws', base.replace('http', 'ws'));
        for (const [name, value] of Object.entries({ ...ticket && { ticket }, ...query })) url.searchParams.set(name, value);
        this.said = [];
        this.count = 0;
        this.ws = new WebSocket(url, { headers: { ...token && !ticket && { Authorization: `Bearer ${token}` }, ...headers }, origin });
        this.ws.on('message', (bytes, is_binary) => { assert.equal(is_binary, false); const said = JSON.parse(bytes); check_said(said); this.said.push({ ...said, heard: Date.now() }); });
        this.ws.on('ping', () => { this.pings = (this.pings ?? 0) + 1; });
        this.opened = new Promise((resolve, reject) => {
            this.ws.on('upgrade', ({ headers }) => description.check('GET', '/api/v1/ws', { status: 101, headers }));
            this.ws.on('open', () => resolve(this)).on('error', error => { this.error = error; reject(error); });
            this.ws.on('unexpected-response', (_, response) => { let text = ''; response.setEncoding('utf8').on('data', more => { text += more; }).on('end', () => reject(Object.assign(new Error(`status ${response.statusCode}`), { status: response.statusCode, headers: response.headers, problem: JSON.parse(text) }))); });
        });
        this.closed = new Promise(resolve => this.ws.on('close', (code, reason) => resolve({ code, reason: String(reason) })));
        this.opened.catch(() => {});
    }
    send(message) { this.ws.send(typeof message === 'string' ? message : JSON.stringify(message)); }
    sees(what, look, ms = 10000) { return until(`the socket to say ${what} (it said ${JSON.stringify(this.said.slice(-3))})`, () => this.said.find(look), ms); }
    async ask(message) {
        const id = `q${++this.count}`;
        this.send({ id, ...message });
        return this.sees(`an answer to ${id}`, one => one.id === id);
    }
    get events() { return this.said.filter(one => /^(job|media|message|notification|conversation)/.test(one.type)); }
    close() { this.ws.close(); return this.closed; }
}

/** A socket of ours, byte by byte: frames as hex. */
class Raw {
    constructor(kiln, token, extra = Buffer.alloc(0)) {
        this.bytes = Buffer.alloc(0);
        this.socket = net.connect(Number(new URL(kiln.url).port), '127.0.0.1');
        this.ended = new Promise(resolve => this.socket.on('close', had_error => resolve(had_error)));
        this.socket.on('error', error => { this.error = error; });
        this.socket.on('data', more => { this.bytes = Buffer.concat([this.bytes, more]); });
        this.socket.write(Buffer.concat([Buffer.from(`GET /api/v1/ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n`
            + `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${token}\r\n\r\n`), extra]));
    }
    async open() { await until('the handshake', () => this.bytes.includes('\r\n\r\n')); this.head = String(this.bytes.subarray(0, this.bytes.indexOf('\r\n\r\n'))); return this; }
    /** [{ opcode, payload }] of what the server sent after its head. */
    get frames() {
        const list = [];
        for (let at = this.bytes.indexOf('\r\n\r\n') + 4; at + 2 <= this.bytes.length;) {
            const opcode = this.bytes[at] & 15;
            let size = this.bytes[at + 1], from = at + 2;
            assert.ok(size < 128, 'a server does not mask');
            if (size === 126) { size = this.bytes.readUInt16BE(from); from += 2; } else if (size === 127) { size = Number(this.bytes.readBigUInt64BE(from)); from += 8; }
            if (from + size > this.bytes.length) break;
            list.push({ opcode, payload: this.bytes.subarray(from, from + size) });
            at = from + size;
        }
        return list;
    }
    texts() { const said = this.frames.filter(frame => frame.opcode === 1).map(frame => JSON.parse(String(frame.payload))); said.forEach(check_said); return said; }
    async closing(ms = 5000) {
        await until(`a close frame (${this.bytes.length} bytes came: ${this.bytes.subarray(-80).toString('latin1')})`, () => this.frames.some(frame => frame.opcode === 8), ms);
        const { payload } = this.frames.find(frame => frame.opcode === 8);
        return payload.length >= 2 ? payload.readUInt16BE(0) : 0;
    }
    write(hex) { this.socket.write(typeof hex === 'string' ? Buffer.from(hex, 'hex') : hex); }
}
/** A masked frame. */
function frame(opcode, payload, { fin = true, rsv = 0, mask = true } = {}) {
    const body = Buffer.from(payload), key = randomBytes(4);
    const head = body.length < 126 ? Buffer.from([0, body.length]) : body.length < 65536 ? Buffer.from([0, 126, body.length >> 8, body.length & 255]) : Buffer.concat([Buffer.from([0, 127, 0, 0, 0, 0]), Buffer.from([body.length >>> 24, body.length >>> 16 & 255, body.length >>> 8 & 255, body.length & 255])]);
    head[0] = (fin ? 128 : 0) | rsv << 4 | opcode;
    if (!mask) return Buffer.concat([head, body]);
    head[1] |= 128;
    return Buffer.concat([head, key, Buffer.from(body.map((byte, i) => byte ^ key[i % 4]))]);
}

describe('WebSocket', () => {
    let kiln, ann, bob, account, others, pair;
    before(async () => {
        kiln = await begin();
        [ann, bob] = [kiln.user('ann'), kiln.user('bob')];
        [account, others] = [await ann.account(), await bob.account()];
        pair = (await ann.call('POST', '/conversations', { account_id: others })).json?.id;
        if (!pair) {
            await kiln.psql(`update kiln.account set handle = 'bob' where account_id = ${others}; update kiln.account set handle = 'ann' where account_id = ${account}`);
            pair = (await ann.call('POST', '/conversations', { account_id: others })).json.id;
        }
    });
    after(() => kiln.end());
    const make = (n = 1, whose = account) => kiln.psql(`select kiln.enqueue('log', '{}', ${whose}) from generate_series(1, ${n})`).then(text => text.split('\n'));
    const open = options => new Socket(kiln, { token: ann.token, ...options }).opened;

    test('shakes hands as RFC 6455 has it, vector included, and begins with ready', async () => {
        const raw = await new Raw(kiln, ann.token).open();
        assert.match(raw.head, /^HTTP\/1\.1 101 /);
        assert.match(raw.head, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
        assert.match(raw.head, /\r\nupgrade: websocket/i);
        await until('ready', () => raw.texts().length === 1);
        const [ready] = raw.texts();
        assert.deepEqual(Object.keys(ready).sort(), ['position', 'type']);
        assert.equal(ready.type, 'ready');
        raw.socket.destroy();
    });

    test('says nothing of what happens until it is asked, and then everything from ready on', async () => {
        const socket = await open();
        await socket.sees('ready', one => one.type === 'ready');
        const [first] = await make();
        await pause(300);
        assert.equal(socket.events.length, 0);
        socket.send({ type: 'subscribe' });
        await socket.sees('the first', one => one.job_id === first);
        const [second] = await make();
        const event = await socket.sees('the second', one => one.job_id === second);
        assert.ok(event.position.length > 20);
        assert.ok(event.heard - Date.parse(event.at) < 500, `${event.heard - Date.parse(event.at)} ms`);
        assert.deepEqual(socket.events.map(one => one.job_id), [first, second]);
        await socket.close();
    });

    test('goes on from the position of an event, of SSE or its own, in the address or in subscribe: once, in order', async () => {
        const stream = await ann.stream().opened();
        const [seen] = await make();
        const { id } = await stream.sees('one', e => e.data.job_id === seen);
        stream.close();
        const missed = await make(130);
        const [by_address, by_word] = [await open({ query: { last_event_id: id } }), await open()];
        by_word.send({ type: 'subscribe', last_event_id: id });
        for (const socket of [by_address, by_word]) {
            await socket.sees('the last', one => one.job_id === missed.at(-1));
            assert.deepEqual(socket.events.map(one => one.job_id), missed);
        }
        const middle = by_word.events[50].position;
        const again = await open({ query: { last_event_id: middle } });
        await again.sees('the last', one => one.job_id === missed.at(-1));
        assert.deepEqual(again.events.map(one => one.job_id), missed.slice(51));
        for (const socket of [by_address, by_word, again]) await socket.close();
    });

    test('a position that is none of ours is answered by reset, then it is live', async () => {
        for (const bad of ['x', 'ffff-1.7_7_', 'a b', '']) {
            const socket = await open();
            socket.send({ type: 'subscribe', last_event_id: bad });
            await socket.sees('reset', one => one.type === 'reset');
            const [id] = await make();
            await socket.sees('it', one => one.job_id === id);
            await socket.close();
        }
    });

    test('a second subscribe, and all that is no message, is refused with a problem and changes nothing', async () => {
        const socket = await open({ query: {} });
        socket.send({ type: 'subscribe' });
        const twice = await socket.ask({ type: 'subscribe' });
        assert.deepEqual([twice.type, twice.problem.status, twice.problem.code], ['error', 400, 'malformed']);
        for (const [text, what] of [['{', /JSON object/], ['[]', /JSON object/], ['7', /JSON object/], ['{"type":"dance"}', /type must be/], ['{"id":7,"type":"ping"}', /id must be/], ['{"type":"ping","type":"ping"}', /JSON object/], ['{"type":"subscribe","last_event_id":5}', /subscribed already/]]) {
            const before = socket.said.length;
            socket.send(text);
            const said = await until('a refusal', () => socket.said[before]);
            assert.equal(said.type, 'error', text);
            assert.match(said.problem.detail, what, text);
        }
        const [id] = await make();
        await socket.sees('it', one => one.job_id === id);
        assert.equal((await socket.ask({ type: 'ping' })).type, 'pong');
        await socket.close();
    });

    test('a message goes to every device of the other; ticks come back; the same client_id is the same message', async () => {
        const [mine, theirs, theirs_too] = [await open(), await open({ token: bob.token }), await bob.stream().opened()];
        for (const socket of [mine, theirs]) socket.send({ type: 'subscribe' });
        const sent = await mine.ask({ type: 'message.send', conversation_id: pair, client_id: 'c-1', text: 'good evening' });
        assert.deepEqual([sent.type, sent.status, sent.body.text, sent.body.client_id], ['answer', 201, 'good evening', 'c-1']);
        const came = await theirs.sees('the message', one => one.type === 'message.created');
        assert.equal(came.message?.text ?? came.text, 'good evening');
        await theirs_too.sees('the message', e => e.event === 'message.created');
        const again = await mine.ask({ type: 'message.send', conversation_id: pair, client_id: 'c-1', text: 'good evening' });
        assert.equal(again.body.id, sent.body.id);
        assert.equal((await theirs.ask({ type: 'message.delivered', conversation_id: pair, number: sent.body.number })).status, 200);
        await mine.sees('delivered', one => one.type === 'message.delivered');
        assert.equal((await theirs.ask({ type: 'message.read', conversation_id: pair, number: sent.body.number })).status, 200);
        await mine.sees('read', one => one.type === 'message.read');
        for (const socket of [mine, theirs]) await socket.close();
        theirs_too.close();
    });

    test('what REST would refuse is refused with the same problem', async () => {
        const socket = await open();
        const eve = kiln.user('eve');
        await eve.account();
        const foreign = await new Socket(kiln, { token: eve.token }).opened;
        const cases = [
            [socket, { type: 'message.send', conversation_id: pair }, 422, 'invalid_field'],
            [socket, { type: 'message.send', text: 'x' }, 422, 'invalid_field'],
            [socket, { type: 'message.send', conversation_id: '999999', text: 'x' }, 404, 'not_found'],
            [socket, { type: 'message.send', conversation_id: 'x', text: 'x' }, 404, 'not_found'],
            [foreign, { type: 'message.send', conversation_id: pair, text: 'x' }, 404, 'not_found'],
            [foreign, { type: 'typing', conversation_id: pair }, 404, 'not_found'],
            [foreign, { type: 'message.read', conversation_id: pair, number: 1 }, 404, 'not_found']];
        for (const [who, message, status, code] of cases) {
            const said = await who.ask(message);
            assert.deepEqual([said.type, said.problem?.code], ['error', code], JSON.stringify([message, said]));
            assert.ok([status, 400].includes(said.problem.status), JSON.stringify(said));
        }
        for (const text of ['"a\\u0000b"', '"\\ud800"', '[0, 1e131071]']) {
            const from = socket.said.length;
            socket.send(`{"type": "message.send", "text": ${text}, "conversation_id": "${pair}", "id": "q-${from}-\\ud83d\\ude00"}`);
            const { problem, id } = await until('the refusal', () => socket.said.slice(from).find(event => event.type === 'error'));
            assert.equal(id, `q-${from}-😀`, 'the refusal says which message it is about');
            assert.deepEqual([problem.status, problem.errors.map(error => error.field)], [422, [text.startsWith('[') ? '/text/1' : '/text']], text);
        }
        await socket.close();
        await foreign.close();
    });

    test('typing is heard by the other members\' streams of every kind, is in no log, and at most every two seconds', async () => {
        const [mine, theirs, theirs_too, other] = [await open(), await open({ token: bob.token }), await bob.stream().opened(), await ann.stream().opened()];
        theirs.send({ type: 'subscribe' });
        await theirs.ask({ type: 'ping' });
        const [log] = await make(1, others);          // the subscription stands
        await theirs.sees('it', one => one.job_id === log);
        for (let i = 0; i < 5; i++) assert.equal((await mine.ask({ type: 'typing', conversation_id: pair })).status, 204);
        const heard = await theirs.sees('typing', one => one.type === 'typing');
        assert.deepEqual([heard.conversation_id, heard.account.id, heard.position], [pair, account, undefined]);
        const by_sse = await theirs_too.sees('typing', e => e.event === 'typing');
        assert.equal(by_sse.id, undefined);
        const [last] = await make(1, others);
        await theirs.sees('it', one => one.job_id === last);
        assert.equal(theirs.said.filter(one => one.type === 'typing').length, 1);
        assert.equal(other.events.filter(e => e.event === 'typing').length, 0);
        assert.equal(await kiln.value(`select count(*) from kiln.event where type::text = 'typing'`), '0');
        for (const socket of [mine, theirs]) await socket.close();
        for (const stream of [theirs_too, other]) stream.close();
    });

    test('a key says what its scopes allow: one that may listen and generate sends no message, one for chat does', async () => {
        for (const [scopes, type, status] of [[['read', 'generate'], 'error', 403], [['read'], 'error', 403], [['read', 'chat'], 'answer', 201]]) {
            const { key } = (await ann.call('POST', '/api-keys', { name: 'test', scopes })).json;
            const socket = await new Socket(kiln, { headers: { 'X-API-Key': key } }).opened;
            const said = await socket.ask({ type: 'message.send', conversation_id: pair, text: 'by key' });
            assert.deepEqual([said.type, said.status ?? said.problem.status], [type, status], `${scopes} ${JSON.stringify(said)}`);
            await socket.close();
        }
    });

    test('a ticket opens it, and what is said under it is said as its account; its end is the connection\'s', async () => {
        const { ticket } = (await ann.call('POST', '/stream-tickets')).json;
        const socket = await new Socket(kiln, { ticket }).opened;
        const sent = await socket.ask({ type: 'message.send', conversation_id: pair, text: 'by ticket' });
        assert.equal(sent.body.author.id, account);
        await socket.close();
        await assert.rejects(new Socket(kiln, { ticket: 'f'.repeat(64) }).opened, error => error.status === 403);
        await assert.rejects(new Socket(kiln).opened, error => error.status === 401);
        const brief = await new Socket(kiln, { token: kiln.user('ann', { exp: in_seconds(2) }).token }).opened;
        assert.deepEqual((await brief.closed).code, 4001);
    });

    test('a page of another origin is refused; this host, the public address and those listed are not, nor is who is no page', async () => {
        const host = new URL(kiln.url).host;
        await assert.rejects(open({ origin: 'https://elsewhere.example' }), error => error.status === 403 && error.problem.code === 'forbidden');
        await assert.rejects(open({ origin: 'null' }), error => error.status === 403);
        await (await open({ origin: `http://${host}` })).close();
        const listed = await kiln.server({ env: { KILN_ALLOWED_ORIGINS: 'https://app.example,https://two.example', KILN_PUBLIC_URL: 'https://kiln.example' } });
        for (const origin of ['https://two.example', 'https://kiln.example']) await (await open({ base: listed.url, origin })).close();
        for (const origin of ['https://kiln.example.evil', 'https://three.example']) await assert.rejects(open({ base: listed.url, origin }), error => error.status === 403);
        await listed.stop();
    });

    test('who asks without Upgrade, for another version or with a bad key is told what is needed', async () => {
        const plain = await ann.call('GET', '/ws');
        assert.equal(plain.status, 426);
        assert.equal(plain.headers['sec-websocket-version'], '13');
        const upgrade = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13', Authorization: `Bearer ${ann.token}` };
        for (const [change, status] of [[{ 'Sec-WebSocket-Version': '8' }, 426], [{ 'Sec-WebSocket-Key': 'short' }, 400], [{ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ!=' }, 400]]) {
            assert.equal((await request(kiln.url, 'GET', '/api/v1/ws', { headers: { ...upgrade, ...change } })).status, status, JSON.stringify(change));
        }
    });

    // What a strict server answers: close codes of RFC 6455, 7.4.
    const hello = Buffer.from('{"type":"ping","id":"h"}');
    for (const [name, bytes, code] of [
        ['an unmasked frame', frame(1, hello, { mask: false }), 1002],
        ['a reserved bit', frame(1, hello, { rsv: 4 }), 1002],
        ['a reserved opcode', frame(3, hello), 1002],
        ['a fragmented ping', frame(9, 'x', { fin: false }), 1002],
        ['a ping of 126 bytes', frame(9, 'x'.repeat(126)), 1002],
        ['a continuation of nothing', frame(0, hello), 1002],
        ['a message within a message', Buffer.concat([frame(1, '{', { fin: false }), frame(1, hello)]), 1002],
        ['a close with the code 1005', frame(8, Buffer.from([0x03, 0xed])), 1002],
        ['a close of one byte', frame(8, Buffer.from([3])), 1002],
        ['text that is not UTF-8', frame(1, Buffer.from([0x7b, 0xff, 0xfe, 0x7d])), 1007],
        ['a binary message', frame(2, hello), 1003],
        ['a message of more than 64 KiB', frame(1, Buffer.alloc(70000, 32)), 1009],
        ['more than 256 fragments', Buffer.concat([frame(1, '{', { fin: false }), ...Array.from({ length: 300 }, () => frame(0, ' ', { fin: false }))]), 1008],
        ['a close with 1000', frame(8, Buffer.from([0x03, 0xe8])), 1000],
    ]) {
        test(`${name} is answered by close ${code}, and the client reads it`, async () => {
            const raw = await new Raw(kiln, ann.token).open();
            raw.write(bytes);
            assert.equal(await raw.closing(), code);
            raw.socket.end();
            assert.equal(await raw.ended, false, String(raw.error));
        });
    }

    test('fragments with a ping between them, a byte at a time, and what comes with the handshake are all understood', async () => {
        const raw = await new Raw(kiln, ann.token, frame(1, hello)).open();
        await until('the answer to what came with the handshake', () => raw.texts().some(one => one.type === 'pong'));
        for (const byte of Buffer.concat([frame(1, '{"type":"pi', { fin: false }), frame(9, 'are you there'), frame(0, 'ng","id":"slow"}')])) { raw.write(Buffer.from([byte])); await pause(1); }
        await until('an answer', () => raw.texts().some(one => one.id === 'slow'));
        assert.equal(String(raw.frames.find(one => one.opcode === 10).payload), 'are you there');
        raw.socket.destroy();
    });

    test('a hundred messages at once are all carried out, though only some may be under way', async () => {
        const socket = await open();
        const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => socket.ask({ type: 'message.send', conversation_id: pair, client_id: `many-${i}`, text: `${i}` })));
        assert.deepEqual([...new Set(answers.map(one => one.status))], [201]);
        assert.equal(new Set(answers.map(one => one.body.id)).size, 100);
        await socket.close();
    });

    // The library that reads frames reads ahead: all that fitted into its 4 KiB was carried out at once, eighty calls of one connection.
    // Of those eight four have a writer, which is one account's half, and four wait for those.
    test('of forty that come in one piece eight are under way, and the rest wait for those', async () => {
        const raw = await new Raw(kiln, ann.token).open();
        const lock = kiln.session();
        await lock.say(`begin; select from kiln.conversation where conversation_id = ${pair} for update;`);
        const waiting = async () => Number(/kiln_calls_waiting (\d+)/.exec((await request(kiln.url, 'GET', '/metrics')).text)[1]);
        raw.write(Buffer.concat(Array.from({ length: 40 }, (_, i) => frame(1, `{"type":"message.send","id":"f${i}","conversation_id":"${pair}","text":"x"}`))));
        const locked = async () => Number(await kiln.value(`select count(*) from pg_stat_activity where usename = 'kiln_server' and wait_event_type = 'Lock'`));
        await until('four to wait for the lock', async () => await locked() === 4);
        await until('four more to wait for their turn', async () => await waiting() === 4);
        await lock.say('rollback;');
        await lock.end();
        await until('all answers', () => raw.texts().filter(one => one.status === 201).length === 40);
        raw.socket.destroy();
    });

    test('who reads nothing is cut, delays nobody, and goes on later without a hole', { timeout: 60000 }, async () => {
        const stuck = await new Raw(kiln, ann.token).open();
        stuck.write(frame(1, '{"type":"subscribe"}'));
        await until('ready', () => stuck.texts().length);
        const { position } = stuck.texts()[0];
        stuck.socket.pause();
        const reader = await open();
        reader.send({ type: 'subscribe' });
        const all = [];
        await until('it to be cut', async () => {
            all.push(...await make(200));
            const page = (await request(kiln.url, 'GET', '/metrics')).text;
            return Number(/kiln_slow_readers_cut_total (\d+)/.exec(page)[1]) > 0;
        }, 50000);
        await reader.sees('the last', one => one.job_id === all.at(-1), 20000);
        const late = reader.said.filter(one => one.job_id).map(one => one.heard - Date.parse(one.at));
        assert.ok(Math.max(...late) < 3000, `${Math.max(...late)} ms`);
        const again = await open({ query: { last_event_id: position } });
        await again.sees('the last', one => one.job_id === all.at(-1), 20000);
        assert.deepEqual(again.events.map(one => one.job_id).filter(Boolean), all);
        stuck.socket.destroy();
        await reader.close();
        await again.close();
    });

    test('a stop says 1001 to those who listen, and ends at once', async () => {
        const other = await kiln.server();
        const sockets = await Promise.all([1, 2, 3].map(() => open({ base: other.url })));
        await other.stop();     // within the 20 s after which it would be killed
        for (const socket of sockets) assert.equal((await socket.closed).code, 1001);
        assert.deepEqual(other.ended, { code: 0, signal: null });
    });

    test('we ping, and who answers nothing for 45 seconds is not kept', { timeout: 70000 }, async () => {
        const [alive, dead] = [await open(), await new Raw(kiln, ann.token).open()];
        const began = Date.now();
        await dead.ended;
        assert.ok(Date.now() - began < 65000);
        assert.ok(dead.frames.filter(one => one.opcode === 9).length >= 2);
        assert.ok(alive.pings >= 2);
        assert.equal((await alive.ask({ type: 'ping' })).type, 'pong');
        await alive.close();
    });
});

describe('long poll, and from one way to the other', () => {
    let kiln, first, second, ann, account;
    before(async () => {
        kiln = await begin();
        first = kiln.main;
        second = await kiln.server();
        ann = kiln.user('ann');
        account = await ann.account();
    });
    after(() => kiln.end());
    const make = (n = 1) => kiln.psql(`select kiln.enqueue('log', '{}', ${account}) from generate_series(1, ${n})`).then(text => text.split('\n'));
    const poll = async (after, { base = kiln.url, timeout } = {}) => {
        const query = new URLSearchParams({ ...after !== undefined && { after }, ...timeout !== undefined && { timeout } });
        const answer = await request(base, 'GET', `/api/v1/events/poll?${query}`, { headers: { Authorization: `Bearer ${ann.token}` }, ms: 60000 });
        return { status: answer.status, ...JSON.parse(answer.text) };
    };

    test('tells where the log ends, then what came, and waits when nothing has', async () => {
        const start = await poll();
        assert.deepEqual([start.status, start.events], [200, []]);
        const [one, two] = await make(2);
        const came = await poll(start.position);
        assert.deepEqual(came.events.map(event => event.job_id), [one, two]);
        const from = Date.now(), waiting = poll(came.position, { timeout: 40 });
        await pause(300);
        const [three] = await make();
        const heard = await waiting;
        assert.deepEqual(heard.events.map(event => event.job_id), [three]);
        assert.ok(Date.now() - from < 40000, 'before its time was over');
        const nothing = await poll(heard.position, { timeout: 1 });
        assert.deepEqual(nothing.events, []);
        assert.deepEqual((await poll(came.position)).events.map(event => event.job_id), [three]);
        assert.equal(came.events[0].position.length > 20, true);
        assert.deepEqual((await poll(came.events[0].position)).events.map(event => event.job_id), [two, three]);
    });

    test('pages of a hundred, one after the other, have each event once', async () => {
        let { position } = await poll();
        const all = await make(250), seen = [];
        for (let page; seen.length < 250;) { page = await poll(position); assert.ok(page.events.length <= 100 && page.events.length > 0); seen.push(...page.events.map(event => event.job_id)); position = page.position; }
        assert.deepEqual(seen, all);
    });

    test('a position that is none is a reset; a time-out that is none is refused by name', async () => {
        for (const bad of ['x', 'ffff-1.7_7_', '']) {
            const answer = await poll(bad);
            assert.deepEqual(answer.events.map(event => event.type), ['reset']);
            assert.deepEqual((await poll(answer.position, { timeout: 0 })).events, []);
        }
        for (const bad of ['51', '-1', 'x', '']) {
            const answer = await poll(undefined, { timeout: bad });
            assert.deepEqual([answer.status, answer.errors?.[0]?.field], [422, 'timeout'], bad);
        }
    });

    // It waited as long as was asked, and told what came after the end of the token.
    test('who waits is answered when the token ends', async () => {
        const brief = kiln.user('ann', { exp: in_seconds(3) });
        const after = (await poll()).position;
        const answer = await brief.call('GET', `/events/poll?timeout=40&after=${encodeURIComponent(after)}`);
        assert.deepEqual([answer.status, answer.json.events], [200, []]);
    });

    test('from SSE to WebSocket to long poll and back, each at another process, with whichever blocked: nothing lost, nothing twice', { timeout: 60000 }, async () => {
        const seen = [], all = [];
        let { position } = await poll();
        let is_writing = true;
        const writing = (async () => { while (is_writing) { all.push(...await make(1 + Math.floor(Math.random() * 4))); await pause(Math.random() * 20); } })();
        const servers = [first, second];
        for (let round = 0; round < 12; round++) {
            const base = servers[round % 2].url, blocked = round % 3;
            if (blocked !== 0) {
                const stream = await ann.stream({ base, last: position }).opened();
                await until('some events', () => stream.events.filter(e => e.data.job_id).length > 3);
                stream.close();
                for (const event of stream.events.filter(e => e.data.job_id)) { seen.push(event.data.job_id); position = event.id; }
            }
            if (blocked !== 1) {
                const socket = await new Socket(kiln, { token: ann.token, base: servers[(round + 1) % 2].url, query: { last_event_id: position } }).opened;
                await until('some events', () => socket.events.length > 3);
                socket.ws.terminate();
                await socket.closed;
                for (const event of socket.events) { seen.push(event.job_id); position = event.position; }
            }
            if (blocked !== 2) {
                const answer = await poll(position, { base });
                seen.push(...answer.events.map(event => event.job_id));
                position = answer.position;
            }
        }
        is_writing = false;
        await writing;
        for (let page; (page = await poll(position, { timeout: 1 })).events.length;) { seen.push(...page.events.map(event => event.job_id)); position = page.position; }
        assert.equal(new Set(seen).size, seen.length, 'twice');
        assert.deepEqual(seen.toSorted((a, b) => a - b), all.toSorted((a, b) => a - b));
    });

    // What nginx speaks to the server behind it unless it is told otherwise: no stream passes there, and this is what is left.
    test('a long poll works over HTTP/1.0, where nothing that flows does', async () => {
        const { position } = await poll();
        const [one] = await make();
        const ask = target => new Promise((resolve, reject) => {
            let text = '';
            const socket = net.connect(Number(new URL(kiln.url).port), '127.0.0.1');
            socket.setEncoding('utf8').on('data', more => { text += more; }).on('end', () => resolve(text)).on('error', reject);
            socket.write(`GET /api/v1${target} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer ${ann.token}\r\n\r\n`);
        });
        const [head, body] = (await ask(`/events/poll?after=${encodeURIComponent(position)}`)).split('\r\n\r\n');
        assert.match(head, /^HTTP\/1\.[01] 200 /);
        assert.deepEqual(JSON.parse(body).events.map(event => event.job_id), [one]);
        for (const target of ['/ws', '/events']) assert.match(await ask(target), /^HTTP\/1\.[01] 505 /);
    });

    test('a stop answers those who wait', async () => {
        const { position } = await poll();
        let answer = {};
        // Where the machine is slow, the stop can come before the question.
        for (let ms = 300; answer.status !== 200 && ms < 20000; ms *= 4) {
            const third = await kiln.server();
            const waiting = poll(position, { base: third.url, timeout: 40 }).catch(() => ({}));
            await pause(ms);
            await third.stop();
            answer = await waiting;
        }
        assert.deepEqual([answer.status, answer.events], [200, []]);
    });
});

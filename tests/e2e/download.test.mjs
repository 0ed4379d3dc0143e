// A project's ZIP where media lie in a bucket: the real files, through a process beside the server, whatever the bucket and the client do.
// The bucket here is one of our own, so that it can be slow, cut off, forget and lie; Debian's radosgw is in s3.test.mjs.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { plain_png } from '../fakes/media.mjs';
import { begin, request, tool, until } from './lib.mjs';

const PIECE = Buffer.alloc(1 << 20, 'a picture as large as a film ');
const sha256_of = bytes => {
    const hash = createHash('sha256');
    for (let left = bytes; left > 0; left -= PIECE.length) hash.update(left < PIECE.length ? PIECE.subarray(0, left) : PIECE);
    return hash.digest('hex');
};

describe('a download from a bucket', () => {
    let kiln, bucket, server, ann, project, names, keys;
    const large = new Map(), asked = [], held = new Set();      // large: key, and how many bytes the bucket has under it
    let mood = () => 'well';
    /** Answers as a bucket does; the mood of the moment says what goes wrong: (key, range) to well | gone | hold | busy | {cut: bytes} */
    async function answer(req, res) {
        const key = req.url.split('?')[0].split('/').slice(2).join('/'), from = Number(req.headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
        const file = path.join(kiln.media, key), size = large.get(key) ?? (fs.existsSync(file) ? fs.statSync(file).size : null), how = mood(key, from);
        asked.push({ key, from, signed: /^AWS4-HMAC-SHA256 /.test(req.headers.authorization ?? '') });
        if (how === 'hold') { held.add(res); return void res.on('close', () => held.delete(res)); }
        if (how === 'busy') return void res.writeHead(503).end('<Error><Code>SlowDown</Code></Error>');
        if (how === 'gone' || size === null) return void res.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
        res.writeHead(from ? 206 : 200, { 'Content-Length': size - from });
        const upto = how.cut !== undefined ? Math.min(size, how.cut) : size;
        for (let at = from; at < upto && !res.destroyed;) {
            const start = at % PIECE.length, piece = large.has(key) ? PIECE.subarray(start, Math.min(PIECE.length, start + upto - at)) : fs.readFileSync(file).subarray(at, upto);
            at += piece.length;
            if (!res.write(piece)) await new Promise(resolve => { const go_on = () => { res.off('drain', go_on).off('close', go_on); resolve(); }; res.on('drain', go_on).on('close', go_on); });
        }
        if (upto < size) return void res.destroy();
        res.end();
    }
    const start = () => kiln.server({ env: { KILN_MEDIA: `s3://media?endpoint=http://127.0.0.1:${bucket.address().port}&region=us-east-1`, KILN_S3_ACCESS_KEY: 'key', KILN_S3_SECRET_KEY: 'secret' } });
    before(async () => {
        kiln = await begin({ runners: 1 });
        bucket = http.createServer((req, res) => { answer(req, res).catch(error => res.destroy(error)); });
        await new Promise(resolve => bucket.listen(0, '127.0.0.1', resolve));
        ann = kiln.user('ann');
        const media = [];
        for (const name of ['attic', 'bath', 'cellar']) media.push(await ann.upload(`${name}.png`, 'image/png', plain_png(Buffer.from(name))));
        project = (await ann.call('POST', '/projects', { name: 'Flat', media })).json;
        names = ['flat/originals/1-attic.png', 'flat/originals/2-bath.png', 'flat/originals/3-cellar.png'];
        keys = (await kiln.rows(`select storage_key from kiln.media where media_id in (${media.join()}) order by media_id`)).map(row => row.storage_key);
        server = await start();
    });
    after(async () => {
        await kiln?.end();
        bucket?.closeAllConnections();
        await new Promise(resolve => bucket?.close(resolve));
    });

    const address = () => `${server.url}/api/v1/projects/${project.id}/download`;
    const download = (user = ann, id = project.id) => user.call('GET', `/projects/${id}/download`, undefined, { base: server.url });
    /** The response as it comes, read by nobody yet. */
    const open = () => new Promise((resolve, reject) => http.get(address(), { headers: { Authorization: `Bearer ${ann.token}` }, agent: false }, response => { response.pause(); resolve(response); }).on('error', reject));
    const first_piece = response => new Promise(resolve => response.once('data', piece => { response.pause(); resolve(piece); }).resume());
    const rest = response => new Promise((resolve, reject) => { let bytes = 0; response.on('data', piece => { bytes += piece.length; }).on('end', () => resolve(bytes)).on('error', reject).resume(); });
    /** At once: MHD left such a connection open until its idle time was over, once, and the client waited a minute for what it had lost. */
    const breaks_off = async response => {
        const began = Date.now();
        await assert.rejects(rest(response), { code: 'ECONNRESET' });
        assert.equal(response.complete, false);
        assert.ok(Date.now() - began < 20000, `it hears of that after ${Date.now() - began} ms`);
    };
    /** The processes beside the server: all of its children. */
    const packers = () => fs.readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
    const none_left = () => until('the process beside the server to be gone', () => packers().length === 0, 10000);
    const is_lively = async () => assert.equal((await ann.call('GET', '/shares?limit=1', undefined, { base: server.url, ms: 2000 })).status, 200, 'others are answered meanwhile');
    const grow = async (n, bytes) => { large.set(keys[n], bytes); await kiln.arrange(`update kiln.media set bytes = ${bytes}, sha256 = '\\x${sha256_of(bytes)}' where storage_key = '${keys[n]}'`); };
    const memory = pid => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1] ?? 0) << 10;

    test('has the real files, byte for byte, as unzip finds them', async () => {
        const answer = await download();
        assert.deepEqual([answer.status, answer.headers['content-type'], answer.headers['content-disposition']], [200, 'application/zip', 'attachment; filename="flat.zip"']);
        const file = path.join(kiln.folder, 'flat.zip'), folder = path.join(kiln.folder, 'unzipped');
        fs.writeFileSync(file, answer.bytes);
        await tool('python3', ['-c', 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2])', file, folder]);
        const rows = await kiln.rows(`select encode(sha256, 'hex') as sha256 from kiln.media where storage_key in (${keys.map(key => `'${key}'`).join()}) order by media_id`);
        assert.deepEqual(names.map(name => createHash('sha256').update(fs.readFileSync(path.join(folder, name))).digest('hex')), rows.map(row => row.sha256));
        assert.match(fs.readFileSync(path.join(folder, 'flat/README.txt'), 'utf8'), /^Flat\n[^]*3-cellar\.png/);
        assert.deepEqual(asked.map(({ key, from, signed }) => [key, from, signed]), keys.map(key => [key, 0, true]), 'each is asked for once');
        await none_left();
    });

    test('a bucket that is busy, or cuts a file in two, is asked again for what is missing', async () => {
        await grow(1, 5 << 20);
        asked.length = 0;
        let busy = 1;
        mood = (key, from) => key === keys[0] && busy-- > 0 ? 'busy' : key === keys[1] && from < 3 << 20 ? { cut: from + (2 << 20) } : 'well';
        const answer = await download();
        mood = () => 'well';
        assert.equal(answer.status, 200);
        const file = path.join(kiln.folder, 'again.zip');
        fs.writeFileSync(file, answer.bytes);
        assert.equal((await tool('python3', ['-c', 'import sys, zipfile, hashlib; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(hashlib.sha256(z.read(sys.argv[2])).hexdigest())', file, names[1]])).out.trim(), sha256_of(5 << 20));
        assert.deepEqual(asked.filter(one => one.key === keys[1]).map(one => one.from > 0), [false, true, true]);
    });

    test('a bucket that does not answer holds nobody but its own download, and who goes away meanwhile ends the work', async () => {
        mood = () => 'hold';
        const going = http.get(address(), { headers: { Authorization: `Bearer ${ann.token}` }, agent: false }).on('error', () => {});
        await until('the bucket to be asked', () => held.size === 1);
        for (let i = 0; i < 10; i++) await is_lively();
        assert.equal(packers().length, 1);
        going.destroy();
        await none_left();
        assert.equal(await until('the bucket to hear of it', () => held.size === 0), true);
        // In the middle of one too: the last file is waited for, and the client leaves then.
        await grow(0, 1 << 20);
        mood = key => key === keys[2] ? 'hold' : 'well';
        const response = await open();
        response.resume();
        await until('the last file to be asked for', () => held.size === 1);
        response.destroy();
        await none_left();
        await until('the bucket to hear of it', () => held.size === 0);
        mood = () => 'well';
    });

    test('a file that is gone, or a bucket that dies, is told where nothing was sent, and breaks off where something was', async () => {
        mood = key => key === keys[0] ? 'gone' : 'well';
        const gone = await download();
        assert.deepEqual([gone.status, gone.json.code], [410, 'gone']);
        assert.ok(server.logged('a download broke off').some(line => line.storage_key === keys[0] && line.request_id === gone.headers['x-request-id']));
        mood = (key, from) => key !== keys[0] ? 'well' : from === 0 ? { cut: 1000 } : 'busy';
        const dead = await download();
        assert.deepEqual([dead.status, dead.json.code], [503, 'unavailable']);
        await grow(0, 8 << 20);
        for (const [why, wrong] of [['the second file is gone', key => key === keys[1] ? 'gone' : 'well'], ['the bucket dies in the first', (key, from) => from === 0 ? { cut: 4 << 20 } : 'busy']]) {
            mood = wrong;
            const response = await open();
            assert.equal(response.statusCode, 200, why);
            await breaks_off(response);
        }
        mood = () => 'well';
        // Of the right length, and yet something else: the row's SHA-256 says so.
        await kiln.arrange(`update kiln.media set sha256 = '\\x${'00'.repeat(32)}' where storage_key = '${keys[0]}'`);
        await breaks_off(await open());
        await grow(0, 8 << 20);
        assert.equal((await download()).status, 200);
        await none_left();
    });

    test('a large one takes no memory here, waits for who reads slowly, and ends with who does not', async () => {
        await grow(0, 192 << 20);
        const before_it = memory(server.pid), descriptors = () => fs.readdirSync(`/proc/${server.pid}/fd`).length, files = descriptors();
        const whole = await open();
        await first_piece(whole);
        const [pid] = packers();
        let most = 0, most_beside = 0;
        whole.on('data', () => { most = Math.max(most, memory(server.pid)); try { most_beside = Math.max(most_beside, memory(pid)); } catch { /* it is through */ } });
        assert.ok(await rest(whole) > 190 << 20);
        assert.ok(whole.complete);
        assert.ok(most - before_it < 8 << 20, `the server grew by ${(most - before_it) >> 10} KiB`);
        assert.ok(most_beside < 64 << 20, `the process beside it has ${most_beside >> 10} KiB`);
        await none_left();
        const slow = await open();
        await first_piece(slow);
        let sent = -1;
        await until('the bucket to be held back', async () => {
            const now = memory(server.pid);
            assert.ok(now - before_it < 8 << 20, `the server grew by ${(now - before_it) >> 10} KiB`);
            const was = sent;
            sent = fs.readFileSync(`/proc/${packers()[0]}/io`, 'utf8').match(/wchar: (\d+)/)[1];
            await new Promise(resolve => setTimeout(resolve, 100));
            return was === sent;
        });
        assert.ok(Number(sent) < 64 << 20, `${sent} bytes were written ahead`);
        await is_lively();
        slow.destroy();
        await none_left();
        await until('the descriptors to be closed', () => descriptors() <= files + 1);
    });

    test('an account has two at once, a server sixteen', async () => {
        const mine = await Promise.all([open(), open()]);
        const third = await download();
        assert.deepEqual([third.status, third.json.code, third.headers['retry-after']], [429, 'too_many_requests', '10']);
        const projects = [];
        for (let i = 0; i < 8; i++) {
            const user = kiln.user(`guest-${i}`);
            projects.push([user, (await user.call('POST', '/projects', { name: 'x', media: [await user.upload('a.png', 'image/png', plain_png(Buffer.from(`guest ${i}`)))] })).json.id]);
        }
        mood = key => keys.includes(key) ? 'well' : 'hold';
        const going = projects.slice(0, 7).flatMap(([user, id]) => [0, 1].map(() => http.get(`${server.url}/api/v1/projects/${id}/download`, { headers: { Authorization: `Bearer ${user.token}` }, agent: false }).on('error', () => {})));
        await until('sixteen to run', () => packers().length === 16);
        const next = await download(...projects[7]);
        assert.deepEqual([next.status, next.json.code], [503, 'unavailable']);
        assert.ok(next.headers['retry-after']);
        await is_lively();
        mood = () => 'well';
        for (const response of mine) response.destroy();
        for (const one of going) one.destroy();
        await none_left();
        assert.equal((await download(...projects[7])).status, 200, 'where some have ended others may begin');
    });

    test('a server that stops breaks off what does not come to an end, and one that is killed leaves nothing behind', async () => {
        const slow = await open();
        await first_piece(slow);
        const [pid] = packers();
        assert.deepEqual(await server.stop(), { code: 0, signal: null });
        assert.ok(!fs.existsSync(`/proc/${pid}`));
        await breaks_off(slow);
        server = await start();
        mood = () => 'hold';
        http.get(address(), { headers: { Authorization: `Bearer ${ann.token}` }, agent: false }).on('error', () => {});
        await until('the bucket to be asked', () => held.size === 1);
        await server.kill();
        await until('the bucket to hear of it', () => held.size === 0);
    });
});

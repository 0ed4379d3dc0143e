// Media in a bucket: Debian's radosgw, which checks every signature; a browser's upload past the server, and what is used of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { make, plain_png } from '../fakes/media.mjs';
import { Browser, without_browser } from './browser.mjs';
import { Kiln, isSanitized, request, root, run, tool, until } from './lib.mjs';
import { client_modules } from './client_modules.mjs';
import { has_radosgw, radosgw } from './radosgw.mjs';
import { serve_page } from './tour.mjs';

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex');
const skip = has_radosgw ? false : 'radosgw is not installed: scripts/deps.sh s3';

describe('media in a bucket', { skip }, () => {
    let kiln, s3, ann, stream, page, origin;
    before(async () => {
        kiln = new Kiln();
        page = await serve_page();
        origin = page.origin;
        [s3] = await Promise.all([radosgw(kiln.folder, { origin }), kiln.start_database()]);
        Object.assign(kiln.env, s3.keys, { KILN_MEDIA: s3.media });
        kiln.main = await kiln.server({ env: { KILN_ALLOWED_ORIGINS: origin } });
        await kiln.runner({ name: 'runner-1' });
        ann = kiln.user('ann');
        stream = await ann.stream().opened();
    });
    after(async () => {
        await kiln?.end();
        await s3?.end();
        await page?.end();
    });

    const presign = async (bytes, content_type = 'image/png', more = {}) => {
        const answer = await ann.call('POST', '/uploads/presign', { filename: 'a', content_type, bytes: bytes.length ?? bytes, ...more });
        assert.equal(answer.status, 201, answer.text);
        return answer.json;
    };
    const send = (place, body, headers = {}) => request(s3.url, place.method, place.url, { headers: { ...place.headers, 'Content-Length': body.length, Origin: origin, ...headers }, body });
    const upload = async (bytes, type, more) => {
        const place = await presign(bytes, type, more);
        const sent = await send(place, bytes);
        assert.equal(sent.status, 200, sent.text);
        assert.equal((await ann.call('POST', `/uploads/${place.media_id}/complete`)).json.state, 'checking');
        return ann.checked(place.media_id);
    };

    test('the client of TypeScript uploads past the server, with the length that a bucket wants and without the token', async () => {
        const { client: { Kiln: Client } } = await client_modules(kiln.folder);
        const told = [];
        const file = new Blob([make('mp4', 'past the server '.repeat(20_000))], { type: 'video/mp4' });
        for (const progress of [undefined, (sent, total) => told.push([sent, total])]) {
            const puts = [];
            const seen = (target, init) => { if (init.method === 'PUT') puts.push([new URL(target).origin, new Headers(init.headers).get('Authorization')]); return fetch(target, init); };
            const media = await new Client({ base: kiln.url, token: ann.token, fetch: seen }).upload(file, { progress });
            assert.deepEqual([media.state, puts], ['ready', [[s3.url, null]]]);
        }
        assert.deepEqual(told.at(-1), [file.size, file.size]);
    });

    test('a browser asks first (CORS), sends past the server, and the checked copy is what everybody gets', async () => {
        const bytes = plain_png(Buffer.from('in a bucket'));
        const place = await presign(bytes);
        assert.equal(new URL(place.url).origin, s3.url);
        const preflight = { Origin: origin, 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'content-type' };
        const asked = await request(s3.url, 'OPTIONS', place.url, { headers: preflight });
        assert.equal(asked.status, 200, asked.text);
        assert.equal(asked.headers['access-control-allow-origin'], origin);
        assert.match(asked.headers['access-control-allow-methods'], /PUT/);
        assert.equal((await request(s3.url, 'OPTIONS', place.url, { headers: { ...preflight, Origin: 'http://other.test' } })).status, 403);
        const sent = await send(place, bytes);
        assert.equal(sent.status, 200, sent.text);
        assert.equal(sent.headers['access-control-allow-origin'], origin);
        const before_it = await s3.objects();
        assert.equal((await ann.call('POST', `/uploads/${place.media_id}/complete`)).status, 202);
        const media = await ann.checked(place.media_id);
        assert.deepEqual([media.state, media.sha256, media.width], ['ready', sha256(bytes), 8], media.reason);
        await stream.sees('media.ready', e => e.event === 'media.ready' && e.data.media_id === media.id);
        // Whoever sends again with the old URL changes nothing that is used.
        const [key] = before_it;
        assert.equal((await send(place, bytes)).status, 200);
        const there = await request(kiln.url, 'GET', media.url);
        assert.equal(there.status, 307);
        assert.ok(!there.headers.location.includes(key));
        assert.match(there.headers['cache-control'], /^private, max-age=\d+$/);
        const back = await request(s3.url, 'GET', there.headers.location);
        assert.deepEqual([back.status, back.headers['content-type'], sha256(back.bytes)], [200, 'image/png', media.sha256]);
        const part = await request(s3.url, 'GET', there.headers.location, { headers: { Range: 'bytes=0-7' } });
        assert.deepEqual([part.status, part.bytes.toString('hex')], [206, '89504e470d0a1a0a']);
        const head = await request(kiln.url, 'HEAD', media.url);
        assert.equal((await request(s3.url, 'HEAD', head.headers.location)).status, 200);
        const small = await request(kiln.url, 'GET', media.thumbnail_url);
        assert.equal((await request(s3.url, 'GET', small.headers.location)).headers['content-type'], 'image/webp');
    });

    test('a page in Chromium sends to the bucket and reads from it, by the rules of ./kiln media cors; a page of a third origin does neither', { skip: without_browser }, async () => {
        const chromium = await Browser.open(kiln.folder), third = await serve_page();
        try {
            const bytes = plain_png(Buffer.from('from a page'));
            const visit = async (at, place, link) => {
                const tab = await chromium.page();
                await tab.go(`${at}/`);
                return tab.run(async ({ base, token, place, png, link }) => {
                    const attempt = async act => { try { return await act(); } catch (error) { return error.message; } };
                    const body = Uint8Array.from(atob(png), c => c.charCodeAt(0));
                    const sent = await attempt(async () => (await fetch(place.url, { method: place.method, headers: place.headers, body })).status);
                    const read = await attempt(async () => { const answer = await fetch(new URL(link, base), { headers: { Range: 'bytes=0-3' } }); return [answer.status, answer.redirected, Boolean(answer.headers.get('Content-Range'))]; });
                    const completed = await attempt(async () => (await fetch(`${base}/api/v1/uploads/${place.media_id}/complete`, { method: 'POST', headers: { Authorization: `Bearer ${token}` } })).status);
                    const shown = await attempt(async () => { const image = Object.assign(new Image(), { src: new URL(link, base).href }); await image.decode(); return image.naturalWidth; });
                    return { sent, read, completed, shown };
                }, { base: kiln.url, token: ann.token, place, png: bytes.toString('base64'), link });
            };
            const { url } = await upload(bytes);
            const place = await presign(bytes);
            assert.deepEqual(await visit(origin, place, url), { sent: 200, read: [206, true, true], completed: 202, shown: 8 });
            assert.equal((await ann.checked(place.media_id)).state, 'ready');
            const no = 'Failed to fetch';
            assert.deepEqual(await visit(third.origin, await presign(bytes), url), { sent: no, read: no, completed: no, shown: 8 }, 'a signed link is the right to see it, and no more');
        } finally {
            await chromium.close();
            await third.end();
        }
    });

    test('the URL binds size, type and MD5, and cannot be turned to another use', async () => {
        const bytes = plain_png(Buffer.from('bound')), md5 = createHash('md5').update(bytes).digest('base64');
        const place = await presign(bytes, 'image/png', { md5 });
        assert.equal((await send(place, Buffer.concat([bytes, Buffer.alloc(1)]))).status, 403, 'a byte more');
        assert.equal((await send(place, bytes, { 'Content-Type': 'text/html' })).status, 403, 'another type');
        assert.equal((await send(place, bytes, { 'Content-MD5': createHash('md5').update('x').digest('base64') })).status, 403, 'another MD5');
        assert.equal((await send(place, Buffer.from(bytes).fill(0, 50, 60))).status, 400, 'bytes of another MD5');
        assert.equal((await request(s3.url, 'GET', place.url)).status, 403, 'reading with it');
        assert.equal((await send({ ...place, url: place.url.replace(/Expires=3600/, 'Expires=360000') }, bytes)).status, 403, 'longer than signed');
        assert.equal((await send(place, bytes)).status, 200);
    });

    test('what is no picture, or never came, is rejected with the reason, and its bytes go', async () => {
        const media = await upload(Buffer.from('<html>no picture</html>'));
        assert.equal(media.state, 'rejected');
        assert.match(media.reason, /no kind that is accepted/);
        const place = await presign(20);
        assert.equal((await ann.call('POST', `/uploads/${place.media_id}/complete`)).status, 202);
        const nothing = await ann.checked(place.media_id);
        assert.deepEqual([nothing.state, /gone|never came/.test(nothing.reason)], ['rejected', true], nothing.reason);
    });

    test('a job reads its input from the bucket and writes its result there; deleting takes it away', async () => {
        const file = path.join(kiln.folder, 'in.png');
        await tool('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc=size=320x240', '-frames:v', '1', file]);
        const media = await upload(fs.readFileSync(file));
        const job = await ann.finished((await ann.make({ type: 'image', prompt: 'a card', seed: '1', media: [media.id] })).id);
        assert.equal(job.state, 'completed', JSON.stringify(job.error));
        const there = await request(kiln.url, 'GET', job.result_url);
        const back = await request(s3.url, 'GET', there.headers.location);
        assert.equal(sha256(back.bytes), job.outputs[0].sha256);
        const keys = (await kiln.rows(`select storage_key, thumbnail_key from kiln.media where job_id = ${job.id}`)).flatMap(row => Object.values(row)).filter(Boolean);
        assert.ok(keys.length >= 2);
        assert.equal((await ann.call('DELETE', `/generations/${job.id}`)).status, 204);
        assert.equal((await ann.call('DELETE', `/uploads/${media.id}`)).status, 204);
        await until('the objects to go', async () => { const there = await s3.objects(); return keys.every(key => !there.includes(key)); }, 30000);
    });

    test('a whole project comes out of the bucket as one ZIP', async () => {
        const pictures = await Promise.all(['hall', 'attic'].map(name => upload(plain_png(Buffer.from(name)))));
        const project = (await ann.call('POST', '/projects', { name: 'Flat', media: pictures.map(media => media.id) })).json;
        const zip = await ann.call('GET', `/projects/${project.id}/download`);
        assert.deepEqual([zip.status, zip.headers['content-type']], [200, 'application/zip'], zip.status === 200 ? '' : zip.text);
        const file = path.join(kiln.folder, 'flat.zip');
        fs.writeFileSync(file, zip.bytes);
        const found = await tool('python3', ['-c', 'import hashlib, json, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(json.dumps({i: hashlib.sha256(z.read(i)).hexdigest() for i in z.namelist() if "originals/" in i}))', file]);
        assert.deepEqual(JSON.parse(found.out), Object.fromEntries(pictures.map((media, i) => [`flat/originals/${i + 1}-a.png`, media.sha256])));
        assert.equal((await ann.call('DELETE', `/projects/${project.id}`)).status, 204);
    });

    test('the store is changed by copying: from folder to bucket and back, resumed, and nothing that is damaged', async () => {
        const here = path.join(kiln.folder, 'here'), there = path.join(kiln.folder, 'there');
        const files = [10, 70000, 66 << 20].map((size, i) => {      // the last goes in parts
            const bytes = Buffer.alloc(size, `file ${i}`), sum = sha256(bytes), key = `${sum.slice(0, 2)}/${sum.slice(2, 32)}`;
            fs.mkdirSync(path.join(here, key.slice(0, 2)), { recursive: true });
            fs.writeFileSync(path.join(here, key), bytes);
            return { key, sum, size };
        });
        const lines = files.map(file => `${file.key} ${file.sum} ${file.size}`);
        const copy = (from, to, list = lines) => run(path.join(kiln.bin, 'kiln-runner'), ['copy-media', from, to], { env: { ...kiln.env, ...s3.keys }, input: list.map(line => `${line}\n`).join('') });
        const first = await copy(`file:${here}`, s3.media, lines.slice(0, 1));
        assert.deepEqual([first.code, first.err], [0, '']);
        const rest = await copy(`file:${here}`, s3.media);
        assert.equal(rest.code, 0, rest.err);
        assert.match(rest.out, /100 %  3 of 3 files/);
        assert.match(rest.out, /2 copied, 1 there already, 0 deleted/);
        const back = await copy(s3.media, `file:${there}`);
        assert.match(back.out, /3 copied/, back.err);
        for (const { key, sum } of files) assert.equal(sha256(fs.readFileSync(path.join(there, key))), sum);
        assert.match((await copy(s3.media, `file:${there}`)).out, /0 copied, 3 there already/);
        const gone = await copy(s3.media, `file:${there}`, [...lines, `${'ab'}/${'0'.repeat(30)} - -`]);
        assert.deepEqual([gone.code, /1 deleted meanwhile/.test(gone.out)], [0, true], 'what was deleted meanwhile is no fault');
        fs.writeFileSync(path.join(here, files[0].key), 'other byte');
        fs.rmSync(path.join(there, files[0].key));
        const damaged = await copy(`file:${here}`, `file:${there}`);
        assert.equal(damaged.code, 65);
        assert.match(damaged.err, /another SHA-256/);
        assert.ok(!fs.existsSync(path.join(there, files[0].key)), 'a damaged file is not copied');
        const dead = await copy(`file:${there}`, 's3://bucket?endpoint=http://127.0.0.1:9');
        assert.equal(dead.code, 74);
        assert.match(dead.err, /does not answer[^]*the same command goes on/);
    });

    test('./kiln media copy moves a whole store: killed in the middle it goes on, and back again every byte is there', { timeout: 120000 }, async () => {
        const from = path.join(kiln.folder, 'whole'), back = path.join(kiln.folder, 'whole-back'), many = 240;
        fs.mkdirSync(path.join(from, 'tmp'), { recursive: true });      // as every store has it: then it need only be readable
        const files = Array.from({ length: many }, (_, i) => {
            const bytes = Buffer.alloc(2000 + 37 * i, `whole ${i}`), sum = sha256(bytes), key = `${sum.slice(0, 2)}/${sum.slice(2, 32)}`;
            fs.mkdirSync(path.join(from, key.slice(0, 2)), { recursive: true });
            fs.writeFileSync(path.join(from, key), bytes);
            return { key, sum, size: bytes.length };
        });
        const account = await ann.account();
        // One row has a thumbnail as well: of those only the key is known.
        await kiln.psql(`insert into kiln.media (account_id, role, state, media_type, content_type, bytes, sha256, storage_key, thumbnail_key) values
            ${files.slice(1).map(({ key, sum, size }, i) => `(${account}, 'input', 'ready', 'image', 'image/png', ${size}, '\\x${sum}', '${key}', ${i === 0 ? `'${files[0].key}'` : 'null'})`).join()}`);
        const env = { ...kiln.env, ...s3.keys, DATABASE_URL: `${kiln.env.DATABASE_URL} user=postgres` };
        const there = async () => { const list = new Set(await s3.all_objects()); return files.filter(file => list.has(file.key)).length; };
        const copy = (...stores) => run(path.join(root, 'kiln'), ['media', 'copy', ...stores], { env });

        // In a group of its own, so that nothing of it lives on.
        const first = spawn(path.join(root, 'kiln'), ['media', 'copy', `file:${from}`, s3.media], { env, cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
        const ended = new Promise(resolve => first.on('close', resolve));
        let said = '';
        for (const stream of [first.stdout, first.stderr]) stream.on('data', text => { said += text; });
        await until('some files to be copied', async () => {
            if (first.exitCode !== null) throw new Error(`it ended with ${first.exitCode}: ${said}`);
            return await there() > 5;
        }, 30000);
        process.kill(-first.pid, 'SIGKILL');
        await ended;
        const half = await there();
        assert.ok(half < many, `it was killed in the middle, not after all ${half}`);
        const rest = await copy(`file:${from}`, s3.media);
        assert.equal(rest.code, 0, rest.err);
        assert.match(rest.out, /100 %/);
        assert.ok(!rest.out.includes('\r'), 'plain lines where nobody watches a terminal');
        const [, copied, passed] = /^(\d+) copied, (\d+) there already/m.exec(rest.out).map(Number);
        // What other tests have in the bucket is on the list too, and there already or nowhere in the folder.
        assert.ok(copied <= many - half && copied > 0 && passed >= half, rest.out);
        assert.equal(await there(), many);

        // Back, on a terminal: the bar is drawn over itself.
        const quote = text => `'${text}'`;
        const shown = await run('script', ['-qec', ['./kiln', 'media', 'copy', quote(s3.media), quote(`file:${back}`)].join(' '), '/dev/null'], { env, cwd: root });
        assert.equal(shown.code, 0, shown.out);
        assert.match(shown.out, /\r\[#+\.*\] +\d+ % /);
        assert.match(shown.out, /100 %/);
        for (const { key, sum } of files) assert.equal(sha256(fs.readFileSync(path.join(back, key))), sum);
        if (process.getuid() === 0) assert.notEqual(fs.statSync(path.join(back, files[0].key)).uid, 0, 'a folder is written as the user that the programs run as');
        const again = await copy(s3.media, `file:${back}`);
        assert.match(again.out, new RegExp(`^0 copied, \\d+ there already`, 'm'));
        await kiln.psql(`delete from kiln.media where account_id = ${account} and storage_key in (${files.map(file => `'${file.key}'`).join()})`);

        const none = await copy(`file:${from}`);
        assert.deepEqual([none.code, /usage: .\/kiln media copy FROM TO/.test(none.err)], [1, true]);
        const lost = await run(path.join(root, 'kiln'), ['media', 'copy', `file:${from}`, s3.media], { env: { ...env, DATABASE_URL: `${env.DATABASE_URL} port=1` } });
        assert.notEqual(lost.code, 0, 'without its list nothing is said to be done');
    });

    test('a film of 200 MB goes to the bucket in parts\' worth of time, and the server\'s memory stays flat', { timeout: 120000 }, async t => {
        await kiln.psql('update kiln.config set upload_max_bytes = 1 << 30');
        const size = 200 << 20, file = path.join(kiln.folder, 'long.mp4');
        await tool('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc=size=64x64:rate=5:duration=3', '-c:v', 'libx264', '-pix_fmt', 'yuv420p', file]);
        const film = fs.readFileSync(file), filling = Buffer.alloc(8);
        filling.writeUInt32BE(size - film.length, 0);
        filling.write('free', 4, 'latin1');         // a box of nothing: the check decodes little, and the bytes are 200 MB
        const place = await presign(size, 'video/mp4');
        const began = Date.now();
        const status = await new Promise((resolve, reject) => {
            const req = http.request(new URL(place.url), { method: 'PUT', headers: { ...place.headers, 'Content-Length': size } }, answer => { answer.resume(); answer.on('end', () => resolve(answer.statusCode)); });
            req.on('error', reject);
            const chunk = Buffer.alloc(1 << 20);
            let left = size - film.length - 8;
            const more = () => { while (left > 0) { const n = Math.min(left, chunk.length); left -= n; if (!req.write(chunk.subarray(0, n))) return void req.once('drain', more); } req.end(); };
            req.write(film);
            req.write(filling);
            more();
        });
        assert.equal(status, 200);
        const sent_ms = Date.now() - began;
        assert.equal((await ann.call('POST', `/uploads/${place.media_id}/complete`)).status, 202);
        const media = await ann.checked(place.media_id, 90000);
        assert.equal(media.state, 'ready', media.reason);
        const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${kiln.main.pid}/status`, 'utf8'))[1]);
        t.diagnostic(`200 MB to radosgw in ${sent_ms} ms, checked after ${Date.now() - began - sent_ms} ms more; the server's memory peaked at ${(peak / 1024).toFixed(1)} MiB`);
        assert.ok(isSanitized || peak < 64 << 10, `${peak} KiB`);
    });
});

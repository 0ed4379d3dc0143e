// One image, one film, one recording: from a request over REST to bytes that open, and files on the way in and out.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { begin, isSanitized, make_token, request, tool, until } from './lib.mjs';

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex');

// --- pictures of our own -------------------------------------------------------------------------------------------------

const crc_table = Int32Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n; });
const crc32 = bytes => { let c = -1; for (const b of bytes) c = crc_table[(c ^ b) & 255] ^ (c >>> 8); return (c ^ -1) >>> 0; };
function chunk(type, data) {
    const head = Buffer.alloc(8), tail = Buffer.alloc(4);
    head.writeUInt32BE(data.length, 0);
    head.write(type, 4, 'latin1');
    tail.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), data])), 0);
    return Buffer.concat([head, data, tail]);
}
function make_png(width, height, pixel) {
    const raw = Buffer.alloc((width * 3 + 1) * height);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) raw.set(pixel(x, y), y * (width * 3 + 1) + 1 + x * 3);
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), chunk('IHDR', header), chunk('IDAT', zlib.deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
}
const checkered = (x, y) => [(x * 7 + y * 3) & 255, (x ^ y) & 255, (x * y) & 255];

/** What a PNG says about itself in words: its tEXt, zTXt, iTXt and eXIf chunks. */
function png_words(bytes) {
    let words = '';
    for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at)) {
        const type = bytes.toString('latin1', at + 4, at + 8), data = bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at));
        const end = data.indexOf(0);
        if (type === 'tEXt' || type === 'eXIf') words += data.toString('latin1');
        else if (type === 'zTXt') words += `${data.subarray(0, end)}: ${zlib.inflateSync(data.subarray(end + 2))}\n`;
        else if (type === 'iTXt') words += data[end + 1] ? zlib.inflateSync(data.subarray(data.indexOf(0, data.indexOf(0, end + 3) + 1) + 1)) : data;
    }
    return words;
}

/** Every pixel as RGB, by a decoder that is not ours. */
async function pixels(bytes) {
    return (await tool('ffmpeg', ['-v', 'error', '-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'], bytes)).bytes;
}

describe('media', () => {
    let kiln, ann, stream, folder;
    before(async () => {
        kiln = await begin({ runners: 1, server: { env: { KILN_UPLOAD_MAX_BYTES: String(256 << 20) } } });
        folder = kiln.folder;
        ann = kiln.user('ann');
        stream = await ann.stream().opened();
    });
    after(() => kiln.end());

    const fetch_file = (url, more) => request(kiln.url, 'GET', url, more);
    const more_than = files => stored().filter(name => !files.includes(name));
    const stored = () => fs.readdirSync(kiln.media, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => entry.name);

    async function probe(bytes, suffix) {
        const file = path.join(folder, `probe.${suffix}`);
        fs.writeFileSync(file, bytes);
        const facts = JSON.parse((await tool('ffprobe', ['-v', 'error', '-show_streams', '-show_format', '-of', 'json', file])).out);
        await tool('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-']);      // all of it decodes, not only its head
        return facts;
    }

    /** What holds for each kind of media. Returns the job and the bytes of its result. */
    async function check_generation(job_input) {
        const answer = await ann.call('POST', '/generate', job_input);
        assert.equal(answer.status, 202);
        const job = answer.json;
        assert.equal(job.kind, 'generation');
        assert.equal(job.media_type, job_input.type);
        assert.ok(['queued', 'running'].includes(job.state));
        assert.match(job.created_at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);

        const last = await stream.sees_end_of(job.id);
        assert.equal(last.event, 'job.completed', JSON.stringify(last.data));
        const events = stream.of(job.id);
        const types = events.map(e => e.event);
        assert.equal(types[0], 'job.queued');
        assert.equal(types[1], 'job.started');
        assert.deepEqual([...new Set(types.slice(2, -1))], ['job.progress']);
        for (let i = 1; i < events.length; i++) {
            const rise = events[i].data.version - events[i - 1].data.version;
            assert.ok(types[i] === 'job.progress' ? rise >= 0 : rise > 0, `version ${events[i].data.version} of ${types[i]} after ${events[i - 1].data.version}`);
            assert.ok(events[i].id && events[i].id !== events[i - 1].id, 'each event has a position of its own');
        }
        const progress = events.filter(e => e.event === 'job.progress').map(e => e.data.progress);
        assert.deepEqual([...new Set(progress.map(p => p.stage))].filter(s => s > 1), [2, 3], 'each hand-over is told');
        assert.deepEqual(progress.map(p => p.fraction), progress.map(p => p.fraction).sort((a, b) => a - b), 'progress never goes back');

        const attempts = await kiln.attempts(job.id);
        assert.deepEqual(attempts.map(a => [a.stage, a.outcome]), [[1, 'done'], [2, 'done'], [3, 'done']]);

        const done = await ann.get(`/generations/${job.id}`);
        assert.equal(done.state, 'completed');
        assert.equal(done.progress.fraction, 1);
        assert.equal(done.version, last.data.version);
        assert.equal(last.data.kind, 'generation');
        assert.equal(last.data.result_url, done.result_url);
        const output = done.outputs[0];
        assert.equal(output.url, done.result_url);
        assert.equal(output.media_type, job_input.type);

        const file = await fetch_file(done.result_url);
        assert.equal(file.status, 200);
        assert.equal(file.headers['content-type'], output.content_type);
        assert.equal(file.bytes.length, output.bytes);
        assert.equal(sha256(file.bytes), output.sha256);
        if (output.thumbnail_url) {
            const small = await fetch_file(output.thumbnail_url);
            assert.equal(small.status, 200);
            assert.equal(small.headers['content-type'], 'image/webp');
            const facts = await probe(small.bytes, 'webp');
            assert.ok(facts.streams[0].width <= 512 && facts.streams[0].width > 0);
        }
        return { job: done, bytes: file.bytes, output };
    }
    async function result(job_input) {
        const job = await ann.finished((await ann.make(job_input)).id);
        assert.equal(job.state, 'completed', JSON.stringify(job.error));
        return { job, bytes: (await fetch_file(job.result_url)).bytes };
    }

    test('an image: 202, every event in order, three stages, a PNG that is what it was said to be', async () => {
        const { bytes, output } = await check_generation({ type: 'image', prompt: 'a lighthouse above the sea at dusk', seed: '7', params: { width: 640, height: 480 } });
        assert.equal(output.content_type, 'image/png');
        assert.deepEqual([output.width, output.height], [640, 480]);
        assert.ok(output.thumbnail_url, 'it has a thumbnail');
        const facts = await probe(bytes, 'png');
        assert.deepEqual([facts.streams[0].codec_name, facts.streams[0].width, facts.streams[0].height], ['png', 640, 480]);
        assert.match(png_words(bytes), /Local sample made by Kiln/, 'its metadata says what it is');
        assert.doesNotMatch(png_words(bytes), /\bAI\b|artificial/i);
    });

    test('a film: an MP4 with its duration, dimensions and a thumbnail', async () => {
        const { bytes, output } = await check_generation({ type: 'video', prompt: 'clouds over green hills', seed: '7', params: { width: 320, height: 256, duration_s: 3, fps: 10 } });
        assert.equal(output.content_type, 'video/mp4');
        assert.deepEqual([output.width, output.height], [320, 256]);
        assert.ok(Math.abs(output.duration_ms - 3000) <= 200, `${output.duration_ms} ms`);
        assert.ok(output.thumbnail_url, 'it has a thumbnail');
        const facts = await probe(bytes, 'mp4');
        const film = facts.streams.find(s => s.codec_type === 'video');
        assert.deepEqual([film.codec_name, film.width, film.height], ['h264', 320, 256]);
        assert.ok(Math.abs(Number(facts.format.duration) * 1000 - output.duration_ms) < 100);
        assert.match(JSON.stringify(facts.format.tags), /[Ll]ocal sample/);
        assert.ok(bytes.indexOf('moov') < bytes.indexOf('mdat'), 'a browser can begin before it has all of it');
    });

    test('a recording: an MP3 with its duration', async () => {
        const { bytes, output } = await check_generation({ type: 'audio', prompt: 'Hello. This came out of a queue.', seed: '7' });
        assert.equal(output.content_type, 'audio/mpeg');
        const facts = await probe(bytes, 'mp3');
        assert.equal(facts.streams.find(s => s.codec_type === 'audio').codec_name, 'mp3');
        assert.ok(output.duration_ms > 500 && Math.abs(Number(facts.format.duration) * 1000 - output.duration_ms) < 200, `${output.duration_ms} ms`);
        assert.match(JSON.stringify(facts.format.tags), /[Ll]ocal sample/);
    });

    test('the same seed gives the same bytes, another prompt or seed others', async () => {
        for (const job_input of [
            { type: 'image', prompt: 'a forest', seed: '11', params: { width: 320, height: 256 } },
            { type: 'audio', prompt: 'Once more.', seed: '11' },
            { type: 'video', prompt: 'a forest', seed: '11', params: { width: 256, height: 256, duration_s: 3, fps: 10 } },
        ]) {
            const [once, again, other, another] = await Promise.all([
                result(job_input), result(job_input), result({ ...job_input, prompt: 'a city by night' }), result({ ...job_input, seed: '12' })]);
            assert.equal(sha256(once.bytes), sha256(again.bytes), `${job_input.type}: the same seed`);
            assert.notEqual(sha256(once.bytes), sha256(other.bytes), `${job_input.type}: another prompt`);
            assert.notEqual(sha256(once.bytes), sha256(another.bytes), `${job_input.type}: another seed`);
        }
    });

    test('different prompts look different, not only in a bit', async () => {
        const [forest, desert] = await Promise.all(['a forest in the morning', 'a desert at noon'].map(prompt => result({ type: 'image', prompt, seed: '3', params: { width: 256, height: 256, caption: false } })));
        const [a, b] = [await pixels(forest.bytes), await pixels(desert.bytes)];
        let difference = 0;
        for (let i = 0; i < a.length; i++) difference += Math.abs(a[i] - b[i]);
        assert.ok(difference / a.length > 10, `the mean difference is ${difference / a.length} of 255`);
    });

    test('with pictures sent in it composes them, and outside the region it reports every pixel stays', async () => {
        const base = make_png(400, 300, checkered);
        const card = make_png(120, 90, () => [200, 30, 60]);
        const ids = [await ann.upload('base.png', 'image/png', base), await ann.upload('card.png', 'image/png', card)];
        const media_ready = await stream.sees('media.ready', e => e.event === 'media.ready' && e.data.media_id === ids[1]);
        assert.ok(media_ready.id);
        const { job, bytes } = await result({ type: 'image', prompt: 'a red card', seed: '5', media: ids });
        assert.deepEqual(job.media.map(m => m.id), ids);
        assert.equal(job.media[0].sha256, sha256(base));
        const { region } = (await kiln.rows(`select output -> 'draw' -> 'region' as region from kiln.task where task_id = kiln_internal.task_id(${job.id}, 2)`))[0];
        const [was, is] = [await pixels(base), await pixels(bytes)];
        assert.equal(is.length, was.length);
        let outside = 0, inside = 0;
        for (let y = 0; y < 300; y++) {
            for (let x = 0; x < 400; x++) {
                const at = (y * 400 + x) * 3;
                const is_in = x >= region.left && x < region.left + region.width && y >= region.top && y < region.top + region.height;
                if (was[at] !== is[at] || was[at + 1] !== is[at + 1] || was[at + 2] !== is[at + 2]) is_in ? inside++ : outside++;
            }
        }
        assert.equal(outside, 0, 'no pixel outside the region has changed');
        assert.ok(inside > region.width * region.height / 2, 'the region has');
    });

    test('an upload is read back by its id in a job of its owner only', async () => {
        const id = await ann.upload('mine.png', 'image/png', make_png(64, 64, checkered));
        const answer = await kiln.user('bob').call('POST', '/generate', { type: 'image', prompt: 'x', media: [id] });
        assert.equal(answer.status, 422);
        assert.equal(answer.json.errors[0].field, '/media/0');
    });

    describe('a file by its link', () => {
        let url, bytes, job;
        before(async () => { ({ job, bytes } = await result({ type: 'image', prompt: 'a meadow', seed: '1', params: { width: 256, height: 256 } })); url = job.result_url; });

        test('HEAD tells what GET would, without the bytes', async () => {
            const head = await request(kiln.url, 'HEAD', url);
            assert.equal(head.status, 200);
            assert.equal(Number(head.headers['content-length']), bytes.length);
            assert.equal(head.bytes.length, 0);
            assert.equal(head.headers.etag, `"${sha256(bytes)}"`);
            assert.equal(head.headers['accept-ranges'], 'bytes');
            assert.equal(head.headers['x-content-type-options'], 'nosniff');
            assert.equal(head.headers['cache-control'], 'private, max-age=31536000, immutable', 'a link always shows the same bytes');
            assert.equal(head.headers['content-security-policy'], "default-src 'none'; sandbox", 'whatever a file holds, it runs nothing here');
        });
        test('Range gives the part that was asked for', async () => {
            for (const [range, part] of [['bytes=0-9', bytes.subarray(0, 10)], ['bytes=100-', bytes.subarray(100)], ['bytes=-7', bytes.subarray(-7)], [`bytes=5-${bytes.length + 99}`, bytes.subarray(5)]]) {
                const answer = await fetch_file(url, { headers: { Range: range } });
                assert.equal(answer.status, 206, range);
                assert.ok(answer.bytes.equals(part), range);
                assert.match(answer.headers['content-range'], new RegExp(`^bytes \\d+-\\d+/${bytes.length}$`));
            }
        });
        test('a part of the version that one has goes on, with its tag in If-Range', async () => {
            const answer = await fetch_file(url, { headers: { Range: 'bytes=10-19', 'If-Range': `"${sha256(bytes)}"` } });
            assert.deepEqual([answer.status, answer.bytes.equals(bytes.subarray(10, 20))], [206, true]);
        });
        test('a range beyond the end is 416 with the size', async () => {
            const answer = await fetch_file(url, { headers: { Range: `bytes=${bytes.length}-` } });
            assert.equal(answer.status, 416);
            assert.equal(answer.headers['content-range'], `bytes */${bytes.length}`);
        });
        test('what is no range, or is of another version, gives the whole', async () => {
            for (const headers of [{ Range: 'lines=1-2' }, { Range: 'bytes=0-9', 'If-Range': '"another"' }]) {
                const answer = await fetch_file(url, { headers });
                assert.equal(answer.status, 200);
                assert.ok(answer.bytes.equals(bytes));
            }
        });
        test('If-None-Match with its tag is 304 without a body', async () => {
            for (const tag of [`"${sha256(bytes)}"`, `"x", W/"${sha256(bytes)}"`, '*']) {
                const answer = await fetch_file(url, { headers: { 'If-None-Match': tag } });
                assert.equal(answer.status, 304, tag);
                assert.equal(answer.bytes.length, 0);
            }
            assert.equal((await fetch_file(url, { headers: { 'If-None-Match': '"another"' } })).status, 200);
        });
        test('a forged or expired link, or one of another file or variant, is 403', async () => {
            const { searchParams, pathname } = new URL(url, kiln.url);
            const id = pathname.split('/').pop();
            const [exp, sig] = [searchParams.get('exp'), searchParams.get('sig')];
            const past = Math.floor(Date.now() / 1000) - 10;
            const sign = (variant, at) => kiln.psql(`select kiln_internal.sign_link(${id}, '${variant}', ${at})`);
            for (const [what, target] of [
                ['no signature', `${pathname}?exp=${exp}`],
                ['no query', pathname],
                ['one letter changed', `${pathname}?exp=${exp}&sig=${sig.slice(0, -1)}${sig.endsWith('0') ? '1' : '0'}`],
                ['a later end', `${pathname}?exp=${Number(exp) + 3600}&sig=${sig}`],
                ['another file', `/api/v1/media/${Number(id) + 1}?exp=${exp}&sig=${sig}`],
                ['another variant', `${pathname}?variant=thumbnail&exp=${exp}&sig=${sig}`],
                ['the link of an upload', `${pathname}?exp=${exp}&sig=${await sign('upload', exp)}`],
                ['the past', `${pathname}?exp=${past}&sig=${await sign('', past)}`],
            ]) {
                const answer = await fetch_file(target);
                assert.equal(answer.status, 403, `${what}: ${answer.text}`);
                assert.equal(answer.json.code, 'link_expired');
            }
        });
    });

    // An operator who loses files (a disk, a restore without media) once saw 500 for each of them.
    test('a file that is gone is 410, and the operator is told which', async () => {
        const id = await ann.upload('lost.png', 'image/png', make_png(32, 32, checkered));
        const key = await kiln.value(`select storage_key from kiln.media where media_id = ${id}`);
        fs.rmSync(path.join(kiln.media, key));
        const answer = await request(kiln.url, 'GET', await kiln.value(`select kiln_internal.media_link(${id})`));
        assert.equal(answer.status, 410, answer.text);
        assert.equal(answer.json.code, 'gone');
        assert.ok(!answer.text.includes(key), 'the place is nobody\'s business');
        const [line] = kiln.main.logged('a media file is missing');
        assert.deepEqual([line.storage_key, line.request_id, line.level], [key, answer.headers['x-request-id'], 'error']);
    });

    describe('an upload', () => {
        const place = (content_type, bytes) => ann.call('POST', '/uploads/presign', { filename: 'a file.png', content_type, bytes }).then(a => a.json);
        const put = (to, body, headers = {}) => request(kiln.url, 'PUT', to.url, { headers: { ...to.headers, 'Content-Length': body.length, ...headers }, body });
        const picture = make_png(32, 32, checkered);

        test('of 200 MB is taken in constant memory, bit for bit', { timeout: 120000 }, async t => {
            await kiln.psql('update kiln.config set upload_max_bytes = 256 << 20');
            const size = 200 << 20, big = Buffer.alloc(size, randomBytes(65537));
            picture.copy(big, 0, 0, 64);
            const to = await place('image/png', size);
            await kiln.psql('update kiln.config set upload_max_bytes = default');
            const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${kiln.main.pid}/status`, 'utf8'))[1]) * 1024;
            const before_it = peak(), began = Date.now();
            const answer = await put(to, big);
            t.diagnostic(`200 MB to the folder in ${Date.now() - began} ms; the server's memory peaked at ${(peak() / (1 << 20)).toFixed(1)} MiB`);
            assert.equal(answer.status, 200, answer.text);
            assert.deepEqual([answer.json.state, answer.json.bytes, answer.json.sha256, answer.json.url], ['uploading', size, sha256(big), null], 'taken, and not to be used yet');
            const key = await kiln.value(`select incoming_key from kiln.media where media_id = ${to.media_id}`);
            assert.equal(sha256(fs.readFileSync(path.join(kiln.media, key))), sha256(big));
            const grown = peak() - before_it;
            assert.ok(isSanitized || (grown < 6 << 20 && peak() < 64 << 20), `the server's memory grew by ${grown >> 10} KiB`);
            assert.equal((await ann.call('DELETE', `/uploads/${to.media_id}`)).status, 204);
        });
        test('longer than uploads may be is refused when it is asked for', async () => {
            const answer = await ann.call('POST', '/uploads/presign', { filename: 'x.png', content_type: 'image/png', bytes: (64 << 20) + 1 });
            assert.equal(answer.status, 422);
            assert.equal(answer.json.errors[0].field, '/bytes');
        });
        test('that lies about type or size is refused, and leaves no file behind', async () => {
            const files = stored();
            const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(5000)]);
            assert.equal((await put(await place('image/png', jpeg.length), jpeg)).status, 415, 'bytes of another type');
            assert.equal((await put(await place('image/png', picture.length), picture, { 'Content-Type': 'image/jpeg' })).status, 415, 'another Content-Type');
            const shorter = await put(await place('image/png', picture.length + 1), picture);
            assert.deepEqual([shorter.status, shorter.json.code], [422, 'invalid_field'], 'fewer bytes than announced');
            const longer = await put(await place('image/png', picture.length), Buffer.concat([picture, Buffer.alloc(1)]));
            assert.ok([413, 422].includes(longer.status), `more bytes than announced: ${longer.status}`);
            const html = Buffer.from('<html><script>alert(1)</script>');
            assert.equal((await ann.call('POST', '/uploads/presign', { filename: 'x.html', content_type: 'text/html', bytes: html.length })).status, 422);
            assert.deepEqual(more_than(files), []);
        });
        test('happens once: what was checked is what is used', async () => {
            const to = await place('image/png', picture.length);
            assert.equal((await put(to, picture)).status, 200);
            const again = await put(to, picture);
            assert.deepEqual([again.status, again.json.code], [409, 'state_conflict']);
        });
        test('that breaks off leaves no file behind, and may be begun again', async () => {
            const files = stored();
            const big = Buffer.concat([picture, randomBytes(4 << 20)]);
            const to = await place('image/png', big.length);
            const req = http.request(new URL(to.url, kiln.url), { method: 'PUT', headers: { ...to.headers, 'Content-Length': big.length } });
            req.on('error', () => {});
            req.write(big.subarray(0, 2 << 20));
            await until('the first half to arrive', () => more_than(files).length === 1);
            // A reset is noticed at once. An orderly end that comes in one segment with the last bytes is not: libmicrohttpd (0.9.75,
            // edge-triggered) has then cleared the one sign of it, and gives the connection up after its 65 s without a byte.
            req.socket.resetAndDestroy();
            await until('the half file to go', () => more_than(files).length === 0);
            assert.equal((await put(to, big)).status, 200);
        });
        test('of a file that is no picture inside is rejected with the reason, and no job takes it', async () => {
            const files = stored();
            const media = await ann.sent('broken.png', 'image/png', Buffer.concat([picture.subarray(0, 60), randomBytes(400)]));
            assert.deepEqual([media.state, media.url, media.thumbnail_url], ['rejected', null, null]);
            assert.match(media.reason, /^the PNG file /);
            const { data } = await stream.sees('media.rejected', e => e.event === 'media.rejected' && e.data.media_id === media.id);
            assert.equal(data.reason, media.reason);
            const answer = await ann.call('POST', '/generate', { type: 'image', prompt: 'x', media: [media.id] });
            assert.deepEqual([answer.status, answer.json.errors[0].field], [422, '/media/0']);
            await until('its bytes to go', () => more_than(files).length === 0, 30000);
        });
        test('is no input before its check, which is asked for by complete', async () => {
            const to = await place('image/png', picture.length);
            const early = await ann.call('POST', `/uploads/${to.media_id}/complete`);
            assert.deepEqual([early.status, early.json.code], [409, 'state_conflict'], 'no bytes have come');
            assert.equal((await put(to, picture)).status, 200);
            assert.equal((await ann.call('POST', '/generate', { type: 'image', prompt: 'x', media: [to.media_id] })).status, 422);
            assert.equal((await kiln.user('bob').call('POST', `/uploads/${to.media_id}/complete`)).status, 404);
            const first = await ann.call('POST', `/uploads/${to.media_id}/complete`);
            assert.deepEqual([first.status, first.json.state], [202, 'checking']);
            const media = await ann.checked(to.media_id);
            assert.deepEqual([media.state, media.sha256, media.width, media.height], ['ready', sha256(picture), 32, 32], 'a picture without a note comes out as it went in');
            assert.ok((await fetch_file(media.thumbnail_url)).status === 200 && (await fetch_file(media.url)).bytes.equals(picture));
            assert.equal((await ann.make({ type: 'image', prompt: 'x', media: [media.id] })).media[0].state, 'ready');
        });
        test('loses what the camera noted, and lies upright', async () => {
            const exif = path.join(folder, 'exif.jpg');
            await tool('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'color=red:size=64x32', '-frames:v', '1', exif]);
            const jpeg = fs.readFileSync(exif);
            for (const orientation of [1, 6]) {
                // One IFD: Orientation, and a GPS IFD with the latitude's sign.
                const ifd = Buffer.alloc(8 + 2 + 24 + 4 + 2 + 12 + 4);
                ifd.write('II*\0', 0, 'latin1'); ifd.writeUInt32LE(8, 4); ifd.writeUInt16LE(2, 8);
                ifd.writeUInt16LE(0x0112, 10); ifd.writeUInt16LE(3, 12); ifd.writeUInt32LE(1, 14); ifd.writeUInt16LE(orientation, 18);
                ifd.writeUInt16LE(0x8825, 22); ifd.writeUInt16LE(4, 24); ifd.writeUInt32LE(1, 26); ifd.writeUInt32LE(38, 30);
                ifd.writeUInt16LE(1, 38); ifd.writeUInt16LE(1, 40); ifd.writeUInt16LE(2, 42); ifd.writeUInt32LE(2, 44); ifd.write('N', 48, 'latin1');
                const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), ifd, Buffer.from('taken at home')]);
                const head = Buffer.from([0xff, 0xe1, 0, 0]);
                head.writeUInt16BE(body.length + 2, 2);
                const media = await ann.sent('photo.jpg', 'image/jpeg', Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]));
                assert.deepEqual([media.state, media.width, media.height], ['ready', ...(orientation === 6 ? [32, 64] : [64, 32])], media.reason);
                const kept = (await fetch_file(media.url)).bytes;
                assert.ok(!kept.includes('Exif') && !kept.includes('home'), 'not a word of the camera');
                const { streams } = await probe(kept, 'jpg');
                assert.deepEqual([streams[0].width, streams[0].height], [media.width, media.height]);
            }
        });
        test('of a film keeps its pictures and its sound, and nothing of where it was made', async () => {
            const file = path.join(folder, 'noted.mp4');
            await tool('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc=size=64x64:rate=10:duration=2', '-f', 'lavfi', '-i', 'sine=duration=2', '-c:v', 'libx264', '-pix_fmt', 'yuv420p',
                '-c:a', 'aac', '-metadata', 'location=+52.5200+013.4050/', '-metadata', 'comment=taken at home', '-movflags', 'use_metadata_tags', file]);
            const bytes = fs.readFileSync(file);
            assert.ok(bytes.includes('+52.5200'));
            const media = await ann.sent('film.mp4', 'video/mp4', bytes);
            assert.deepEqual([media.state, media.width, media.height], ['ready', 64, 64], media.reason);
            const kept = (await fetch_file(media.url)).bytes;
            assert.ok(!kept.includes('+52.5200') && !kept.includes('home'));
            assert.deepEqual((await probe(kept, 'mp4')).streams.map(s => s.codec_name), ['h264', 'aac']);
        });
        test('with an MD5 is taken only if the bytes have it', async () => {
            const md5 = createHash('md5').update(picture).digest('base64');
            const presign = async said => (await ann.call('POST', '/uploads/presign', { filename: 'a.png', content_type: 'image/png', bytes: picture.length, md5: said })).json;
            const wrong = await put(await presign(createHash('md5').update('other').digest('base64')), picture);
            assert.deepEqual([wrong.status, wrong.json.errors[0].field], [422, '/md5']);
            const to = await presign(md5);
            assert.equal(to.headers['Content-MD5'], md5);
            assert.equal((await put(to, picture)).status, 200);
        });
        test('beyond the quota is refused, exactly, however many ask at once; deleting makes room', async () => {
            const carl = kiln.user('carl'), account = await carl.account();
            await kiln.psql(`update kiln.account set media_quota_bytes = ${picture.length * 3} where account_id = ${account}`);
            const job_input = { filename: 'a.png', content_type: 'image/png', bytes: picture.length };
            const answers = await Promise.all(Array.from({ length: 12 }, () => carl.call('POST', '/uploads/presign', job_input)));
            assert.deepEqual(answers.map(a => a.status).sort(), [...Array(3).fill(201), ...Array(9).fill(409)]);
            assert.equal(answers.find(a => a.status === 409).json.code, 'quota_exceeded');
            const { media_id } = answers.find(a => a.status === 201).json;
            assert.equal((await ann.call('DELETE', `/uploads/${media_id}`)).status, 404);
            assert.equal((await carl.call('DELETE', `/uploads/${media_id}`)).status, 204);
            assert.equal((await carl.call('POST', '/uploads/presign', job_input)).status, 201);
        });
    });

    describe('of what is being received the disk holds no more than was promised:', () => {
        const size = 1 << 20;
        const big = Buffer.alloc(size, 7);
        make_png(32, 32, checkered).copy(big, 0, 0, 64);
        const temporary = () => fs.readdirSync(path.join(kiln.media, 'tmp')).map(name => fs.statSync(path.join(kiln.media, 'tmp', name)).size);
        const receiving = account => kiln.value(`select count(*) from kiln.upload_session where account_id = ${account}`).then(Number);
        /** An account with room for one such file, and a way to put it. */
        const person = async name => {
            const user = kiln.user(name), account = await user.account();
            await kiln.psql(`update kiln.account set media_quota_bytes = ${size} where account_id = ${account}`);
            const promise = () => user.call('POST', '/uploads/presign', { filename: 'a.png', content_type: 'image/png', bytes: size });
            return { user, account, promise };
        };
        /** A PUT of which the last bytes are held back until rest(). */
        const slow_put = (to, base = kiln.url) => {
            const url = new URL(to.url, base);
            const sending = http.request({ host: url.hostname, port: url.port, path: url.pathname + url.search, method: 'PUT', agent: false, headers: { ...to.headers, 'Content-Length': size } });
            const answer = new Promise(resolve => sending.on('error', resolve).on('response', response => {
                let text = '';
                response.setEncoding('utf8').on('data', more => { text += more; }).on('end', () => resolve({ status: response.statusCode, json: JSON.parse(text) }));
            }));
            sending.write(big.subarray(0, size - 10));
            return { answer, rest: () => sending.end(big.subarray(size - 10)), break_off: () => sending.destroy() };
        };

        test('one promised upload that is PUT 25 times at once takes its bytes once, and 24 are told 409', async () => {
            const { account, promise } = await person('many');
            const other = await kiln.server();
            const to = (await promise()).json;
            const puts = Array.from({ length: 25 }, (_, i) => slow_put(to, i % 2 ? other.url : kiln.url));
            await until('one to be received', async () => temporary().some(bytes => bytes > size / 2));
            assert.equal(await receiving(account), 1);
            for (const put of puts) put.rest();
            const answers = await Promise.all(puts.map(put => put.answer));
            assert.ok(temporary().every(bytes => bytes === 0) && temporary().length === 0, `${temporary()}`);
            assert.deepEqual(answers.map(answer => answer.status).sort(), [200, ...Array(24).fill(409)]);
            assert.ok(answers.filter(answer => answer.status === 409).every(answer => answer.json.code === 'state_conflict'));
            await until('nothing to be received', async () => await receiving(account) === 0);
            await other.stop();
        });
        test('while one is received its place is nobody else\'s, also when its promise is deleted; who breaks off frees it', async () => {
            const { user, account, promise } = await person('holder');
            const to = (await promise()).json;
            const first = slow_put(to);
            await until('it to be received', async () => temporary().some(bytes => bytes > size / 2));
            assert.equal((await user.call('DELETE', `/uploads/${to.media_id}`)).status, 204);
            const full = await promise();
            assert.deepEqual([full.status, full.json.code], [409, 'quota_exceeded'], 'its bytes are on the disk still');
            first.break_off();
            await until('its bytes to go', () => temporary().length === 0);
            await until('its place to be free', async () => await receiving(account) === 0);
            const again = await promise();
            assert.equal(again.status, 201);
            const second = slow_put(again.json);
            await until('it to be received', async () => await receiving(account) === 1);
            second.break_off();
            await until('its place to be free', async () => await receiving(account) === 0);
            const third = slow_put(again.json);
            third.rest();
            assert.equal((await third.answer).status, 200);
        });
        test('one whose upload was deleted learns of it in the middle, and stores no more', async () => {
            const server = await kiln.server({ env: { KILN_CLIENT_TIMEOUT_MS: '300', KILN_CLIENT_BYTES_PER_SECOND: '0' } });
            const { user, account, promise } = await person('deleted');
            const to = (await promise()).json;
            const put = slow_put(to, server.url);
            await until('it to be received', async () => temporary().some(bytes => bytes > size / 2));
            const until_then = await kiln.value(`select until from kiln.upload_session where account_id = ${account}`);
            await until('its server to say that it goes on', async () => await kiln.value(`select until from kiln.upload_session where account_id = ${account}`) !== until_then);
            assert.equal((await user.call('DELETE', `/uploads/${to.media_id}`)).status, 204);
            await until('its bytes to go, though it goes on', () => temporary().length === 0);
            await until('its place to be free', async () => await receiving(account) === 0);
            put.rest();
            assert.equal((await put.answer).status, 409);
            await server.stop();
        });
        test('a server that dies frees the place within a minute, and the next one that starts removes what it left', async () => {
            const server = await kiln.server();
            const { account, promise } = await person('crashed');
            const to = (await promise()).json;
            const put = slow_put(to, server.url);
            await until('it to be received', async () => temporary().some(bytes => bytes > size / 2));
            await server.kill();
            await put.answer;
            assert.equal(temporary().length, 1);
            const early = slow_put(to);
            early.rest();
            assert.equal((await early.answer).status, 409);
            assert.equal(await kiln.value(`select until <= kiln_internal.now() + interval '1 minute' from kiln.upload_session where account_id = ${account}`), 't');
            await kiln.arrange(`update kiln.upload_session set until = kiln_internal.now() where account_id = ${account}`);      // the minute is over
            const held = slow_put(to);
            await until('the second to be received', () => temporary().length === 2);
            const next = await kiln.server();
            assert.equal(temporary().length, 1, 'the one that nobody writes is gone, the other is not');
            held.rest();
            assert.equal((await held.answer).status, 200);
            await next.stop();
        });
        test('files in the body of a try-on take no more than there is room for, however many come at once', async () => {
            const admin = kiln.user('fitter', { role: 'admin' }), account = await admin.account();
            await kiln.psql(`update kiln.account set media_quota_bytes = ${size * 2 + 2000} where account_id = ${account}`);
            const begin_form = () => {
                const url = new URL(kiln.url);
                const sending = http.request({ host: url.hostname, port: url.port, path: '/api/v1/tryons', method: 'POST', agent: false,
                    headers: { Authorization: `Bearer ${admin.token}`, 'Content-Type': 'multipart/form-data; boundary=xxxx', 'Content-Length': size + 500 } });
                sending.on('error', () => {});
                sending.write('--xxxx\r\nContent-Disposition: form-data; name="medias"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n');
                sending.write(big.subarray(0, size - 10));
                return sending;
            };
            const forms = Array.from({ length: 8 }, begin_form);
            await until('all to be let in', async () => await receiving(account) + 6 >= 8 && temporary().reduce((sum, bytes) => sum + bytes, 0) > size);
            assert.ok(temporary().reduce((sum, bytes) => sum + bytes, 0) <= size * 2 + 2000, `${temporary()}`);
            assert.ok(Number(await kiln.value(`select sum(bytes) from kiln.upload_session where account_id = ${account}`)) <= size * 2 + 2000);
            for (const form of forms) form.destroy();
            await until('all of it to be gone', async () => temporary().length === 0 && await receiving(account) === 0);
        });
    });

    test('deleting a generation removes its rows, its links and its files', async () => {
        const { job } = await result({ type: 'image', prompt: 'to be forgotten', seed: '2', params: { width: 256, height: 256 } });
        const keys = (await kiln.rows(`select storage_key, thumbnail_key from kiln.media where job_id = ${job.id}`)).flatMap(row => Object.values(row)).filter(Boolean);
        const files = keys.map(key => path.join(kiln.media, key));
        assert.ok(files.length >= 2 && files.every(file => fs.existsSync(file)), `${files}`);
        assert.equal((await kiln.user('bob').call('DELETE', `/generations/${job.id}`)).status, 404);
        assert.equal((await ann.call('DELETE', `/generations/${job.id}`)).status, 204);
        assert.equal((await ann.call('GET', `/generations/${job.id}`)).status, 404);
        assert.equal((await fetch_file(job.result_url)).status, 404);
        await until('the files to go', () => !files.some(file => fs.existsSync(file)), 30000);
    });
});

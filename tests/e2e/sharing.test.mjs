// Public pages end to end: labelled by the real tool, opened by real HTTP without a token, and gone when they are taken back.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { png } from '../fakes/media.mjs';
import { begin, request, tool, until } from './lib.mjs';

describe('sharing', () => {
    const hostile = `<script>alert(1)</script>"'&amp;`;
    let kiln, ann, bob, original, staged, drawn;
    before(async () => {
        kiln = await begin({ server: { env: { KILN_LOG_LEVEL: 'debug' } }, runners: 1 });
        [ann, bob] = [kiln.user('ann'), kiln.user('bob')];
        await kiln.pipeline('test/staging', [{ handler: 'media', config: { op: 'prepare', accept: ['image'] } }, { handler: 'media', config: { op: 'furnish' } }, { handler: 'media', config: { op: 'disclose' } }]);
        original = await ann.upload('room.png', 'image/png', png('a room', 320, 240));
        const input = { prompt: 'a prompt of ours', seed: '7', media: [original], media_type: 'image', room_type: 'living_room', style: 'art_deco', variations: 2, disclosure: `Staged ${hostile}` };
        staged = await kiln.psql(`select kiln.enqueue('test/staging', $i$${JSON.stringify(input)}$i$, ${await ann.account()}, p_kind => 'staging', p_media_type => 'image')`);
        drawn = (await ann.make({ type: 'image', prompt: `hills ${hostile}`, params: { width: 256, height: 256 } })).id;
        await kiln.job_state(staged, 'completed', 30000);
        assert.equal((await ann.finished(drawn)).state, 'completed');
    });
    after(() => kiln.end());

    const share = async (job_id, more = {}) => {
        const answer = await ann.call('POST', '/shares', { job_id: String(job_id), ...more });
        assert.equal(answer.status, 201, answer.text);
        return answer.json;
    };
    const open = url => request(kiln.url, 'GET', url);
    const links = page => [...page.text.matchAll(/ src="([^"]+)"/g)].map(match => match[1].replaceAll('&amp;', '&'));

    test('a staging shows each result beside the unaltered original, and says so', async () => {
        const page = await open((await share(staged)).url);
        assert.equal(page.status, 200, page.text);
        assert.match(page.headers['content-type'], /^text\/html/);
        for (const words of ['<h1 dir="auto">Living room, Art deco</h1>', 'were digitally altered on', 'The unaltered original is on this page', 'Original, unaltered', 'local sample']) assert.ok(page.text.includes(words), words);
        assert.ok(!page.text.includes('a prompt of ours'), 'what was said to the machine is not shown');
        assert.ok(!/\bAI\b|artificial/i.test(page.text), 'no program that was not trained is called so');
        const all = links(page), job = await kiln.job(staged), files = await Promise.all(all.map(open));
        assert.equal(all.length, 4, 'two variations, each with its original');
        assert.deepEqual(files.map(file => file.status), [200, 200, 200, 200]);
        const labelled = await kiln.rows(`select encode(sha256, 'hex') as sha256, clean_key from kiln.media where media_id in (${job.output.media.join()}) order by media_id`);
        const sha = file => createHash('sha256').update(file.bytes).digest('hex');
        assert.deepEqual([sha(files[1]), sha(files[3])], labelled.map(row => row.sha256), 'the results are the labelled ones');
        assert.equal(sha(files[0]), await kiln.value(`select encode(sha256, 'hex') from kiln.media where media_id = ${original}`));
        assert.ok(labelled.every(row => row.clean_key) && !page.text.includes('variant=clean'), 'the clean ones are nobody else\'s');
        assert.ok(files[1].bytes.includes('digitalsourcetype/compositeSynthetic'), 'the file says it too');
    });

    test('the owner finds the same without the label, and it is another file', async () => {
        const job = await ann.get(`/generations/${staged}`).catch(() => null);
        const [media] = job?.outputs ?? (await kiln.rows(`select kiln_internal.render_media(m) as media from kiln.media m where m.job_id = ${staged} and m.clean_key is not null order by 1`)).map(row => row.media);
        const [labelled, clean] = [await open(media.url), await open(media.clean_url)];
        assert.deepEqual([clean.status, clean.headers['content-type']], [200, labelled.headers['content-type']]);
        assert.ok(!labelled.bytes.equals(clean.bytes));
    });

    test('what people wrote is text, and nothing on the page can run or be sent elsewhere', async () => {
        for (const page of [await open((await share(staged)).url), await open((await share(drawn)).url)]) {
            assert.ok(page.text.includes('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;amp;'), 'the words are there');
            assert.ok(!/<script|<[^>]+ on\w+=|javascript:/i.test(page.text));
            const policy = page.headers['content-security-policy'];
            assert.match(policy, /default-src 'none'/);
            assert.doesNotMatch(policy, /unsafe|https?:|script-src/);
            const style = page.text.match(/<style>([^]*)<\/style>/)[1];
            assert.ok(policy.includes(`'sha256-${createHash('sha256').update(style).digest('base64')}'`), 'the style is the one that the policy names');
            assert.deepEqual([page.headers['referrer-policy'], page.headers['x-robots-tag'], page.headers['cache-control'], page.headers['x-content-type-options']], ['no-referrer', 'noindex, nofollow', 'no-store', 'nosniff']);
            assert.doesNotMatch(page.text, /(src|href)="(?!\/api\/v1\/media\/)/, 'nothing from elsewhere');
        }
    });

    test('a generation is shown without what was sent in', async () => {
        const page = await open((await share(drawn)).url);
        assert.equal(links(page).length, 1);
        assert.match(page.text, /no photograph or recording/);
    });

    test('all that leads nowhere looks the same', async () => {
        const unknown = await open(`/s/${'A'.repeat(32)}`);
        assert.equal(unknown.status, 404);
        assert.match(unknown.text, /leads nowhere/);
        const same = async (url, why) => { const page = await open(url); assert.deepEqual([page.status, page.text], [404, unknown.text], why); };
        await same('/s/%00', 'no text');
        await same(`/s/${'A'.repeat(3000)}`, 'far too long');
        const [expired, revoked] = [await share(drawn, { expires_at: new Date(Date.now() + 3600000).toISOString() }), await share(drawn)];
        assert.equal((await open(expired.url)).status, 200);
        await kiln.arrange(`update kiln.share set created_at = created_at - interval '1 day', expires_at = now() where share_id = ${expired.id}`);
        await same(expired.url, 'expired');
        assert.equal((await bob.call('DELETE', `/shares/${revoked.id}`)).status, 404);
        assert.equal((await open(revoked.url)).status, 200, 'another cannot take it back');
        assert.equal((await ann.call('DELETE', `/shares/${revoked.id}`)).status, 204);
        await same(revoked.url, 'taken back');
    });

    test('a deleted original is told of', async () => {
        const mine = await ann.upload('other.png', 'image/png', png('another room', 128, 96));
        const job = await kiln.psql(`select kiln.enqueue('test/staging', '${JSON.stringify({ seed: '1', media: [mine], media_type: 'image', prompt: 'x' })}', ${await ann.account()}, p_kind => 'staging', p_media_type => 'image')`);
        await kiln.job_state(job, 'completed', 30000);
        const { url } = await share(job);
        const sha256 = await kiln.value(`select encode(sha256, 'hex') from kiln.media where media_id = ${mine}`);
        assert.equal((await ann.call('DELETE', `/uploads/${mine}`)).status, 204);
        const page = await open(url);
        assert.match(page.text, /The unaltered original was deleted and is no longer on this page/);
        assert.ok(page.text.includes(sha256), 'with the hash it had');
        assert.equal(links(page).length, 1);
    });

    test('a repeat has no address to show, and the log has none', async () => {
        const headers = { 'Idempotency-Key': 'once' }, body = { job_id: String(drawn) };
        const first = await ann.call('POST', '/shares', body, { headers });
        assert.equal(first.status, 201, first.text);
        const again = await ann.call('POST', '/shares', body, { headers });
        assert.deepEqual([again.status, again.json.code], [409, 'already_created']);
        await open(first.json.url);
        const token = first.json.url.slice(3);
        assert.ok(kiln.main.logged('request').some(line => line.path === '/s/{token}'), 'the visit is logged');
        assert.ok(!kiln.main.output.includes(token), 'without its address');
        const listed = await ann.get('/shares?limit=1');
        assert.deepEqual([listed.items[0].id, listed.items[0].is_open, 'url' in listed.items[0]], [first.json.id, true, false]);
    });

    // --- a project as a ZIP

    /** What python's zipfile, which checks every CRC, makes of a ZIP: [[name, bytes], …]. */
    const listed = async bytes => {
        const file = path.join(kiln.folder, 'project.zip');
        fs.writeFileSync(file, bytes);
        return JSON.parse((await tool('python3', ['-c', 'import json, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(json.dumps([[i.filename, i.file_size, z.read(i)[:100000].decode("latin1")] for i in z.infolist()]))', file])).out);
    };
    const file_of = async media_id => path.join(kiln.media, await kiln.value(`select storage_key from kiln.media where media_id = ${media_id}`));
    let project, image;

    test('a whole project is one ZIP, with its originals and a README', async () => {
        const pictures = await Promise.all(['hall', '../../etc/passwd'].map(name => ann.upload(`${name}.png`, 'image/png', png(name, 160, 120))));
        project = (await ann.call('POST', '/projects', { name: `Flat "2" ${hostile}`, media: pictures })).json;
        const made = await ann.call('POST', '/images', { project_id: project.id, media_id: pictures[0], room_type: 'living_room', style: 'boho', variations: 2 });
        assert.equal(made.status, 202, made.text);
        image = made.json;
        await kiln.job_state(image.id, 'completed', 30000);
        const zip = await ann.call('GET', `/projects/${project.id}/download`);
        assert.deepEqual([zip.status, zip.headers['content-type'], zip.headers['content-disposition']], [200, 'application/zip', 'attachment; filename="flat-2-script-alert-1-script-amp.zip"']);
        const files = await listed(zip.bytes), folder = 'flat-2-script-alert-1-script-amp';
        assert.deepEqual(files.map(([name]) => name), ['living-room-1-bohemian-2.jpg', 'living-room-1-bohemian.jpg', 'originals/1-hall.png', 'originals/2-etc-passwd.png', 'README.txt'].map(name => `${folder}/${name}`));
        const [, , original_there] = files.find(([name]) => name.endsWith('1-hall.png'));
        assert.equal(original_there, fs.readFileSync(await file_of(pictures[0])).toString('latin1'), 'the original, byte for byte');
        assert.match(files.at(-1)[2], /digitally altered[^]*living-room-1-bohemian\.jpg\n {4}altered on \d{4}-\d\d-\d\d from originals\/1-hall\.png; label: Virtually staged/);
        // HEAD leaves no byte behind that the next answer on its connection would begin with.
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        for (const method of ['GET', 'HEAD', 'GET', 'HEAD']) {
            const answer = await ann.call(method, `/projects/${project.id}/download`, undefined, { agent });
            assert.deepEqual([answer.status, answer.bytes.length > 0], [200, method === 'GET'], method);
            assert.equal((await ann.call('GET', '/shares?limit=1', undefined, { agent })).status, 200);
        }
        agent.destroy();
        assert.equal((await bob.call('GET', `/projects/${project.id}/download`)).status, 404);
        assert.equal((await request(kiln.url, 'GET', `/api/v1/projects/${project.id}/download`)).status, 401);
    });

    const download = (more = {}) => ann.call('GET', `/projects/${project.id}/download`, undefined, more);
    /** The answer as it comes: its response, or the error that its connection ends with. */
    const begin_download = () => new Promise((resolve, reject) => http.get(`${kiln.url}/api/v1/projects/${project.id}/download`, { headers: { Authorization: `Bearer ${ann.token}` } }, resolve).on('error', reject));
    /** The original becomes so large, and its row says so. It is sparse. */
    const grow = async (file, bytes) => {
        fs.truncateSync(file, bytes);
        const hash = createHash('sha256');
        for await (const piece of fs.createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(piece);
        await kiln.arrange(`update kiln.media set bytes = ${bytes}, sha256 = '\\x${hash.digest('hex')}' where media_id = ${image.media_id}`);
    };

    test('where a file is gone or is another there is no ZIP, and the log names it', async () => {
        const file = await file_of(image.media_id), key = file.slice(kiln.media.length + 1);
        fs.renameSync(file, `${file}-away`);
        try {
            const answer = await download();
            assert.deepEqual([answer.status, answer.json.code], [410, 'gone']);
            assert.ok(kiln.main.logged('a download broke off').some(line => line.storage_key === key && line.request_id === answer.headers['x-request-id']));
        } finally { fs.renameSync(`${file}-away`, file); }
        const whole = fs.readFileSync(file), other = Buffer.from(whole);
        other[other.length >> 1] ^= 1;
        fs.writeFileSync(file, other);
        try {
            const answer = await download();
            assert.deepEqual([answer.status, answer.json.code], [503, 'unavailable'], 'of the same length, and yet not what was stored');
        } finally { fs.writeFileSync(file, whole); }
        assert.equal((await download()).status, 200);
    });

    test('a file that breaks off in the middle breaks the transfer off', async () => {
        const file = await file_of(image.media_id), size = fs.statSync(file).size;
        await grow(file, 64 << 20);
        try {
            const response = await begin_download();
            await new Promise(resolve => response.once('data', () => { response.pause(); resolve(); }));
            fs.truncateSync(file, size);        // the socket's buffers hold some megabytes and no more
            await assert.rejects(new Promise((resolve, reject) => response.on('data', () => {}).on('end', resolve).on('error', reject).resume()), { code: 'ECONNRESET' });
            assert.equal(response.complete, false);
        } finally { await grow(file, size); }
        assert.equal((await download()).status, 200);
    });

    test('a large one takes no memory and keeps nobody waiting, and who goes away in the middle is forgotten', async () => {
        const file = await file_of(image.media_id), size = fs.statSync(file).size, large = 256 << 20;
        const memory = () => Number(fs.readFileSync(`/proc/${kiln.main.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) << 10;
        const open_files = () => fs.readdirSync(`/proc/${kiln.main.pid}/fd`).length;
        await grow(file, large);
        try {
            const [before, descriptors] = [memory(), open_files()];
            let most = 0, bytes = 0;
            await new Promise((resolve, reject) => http.get(`${kiln.url}/api/v1/projects/${project.id}/download`, { headers: { Authorization: `Bearer ${ann.token}` } }, response => {
                response.on('data', piece => { bytes += piece.length; most = Math.max(most, memory()); }).on('end', resolve).on('error', reject);
            }).on('error', reject));
            assert.ok(bytes > large, `${bytes} bytes came`);
            assert.ok(most - before < 16 << 20, `the server grew by ${(most - before) >> 10} KiB`);
            const held = await new Promise((resolve, reject) => http.get(`${kiln.url}/api/v1/projects/${project.id}/download`, { headers: { Authorization: `Bearer ${ann.token}` } }, response => {
                response.once('data', () => { response.pause(); resolve(response); });
            }).on('error', reject));
            for (let i = 0; i < 20; i++) assert.equal((await ann.call('GET', '/shares?limit=1')).status, 200, 'others are answered meanwhile');
            held.destroy();
            await until('the file to be closed', () => open_files() <= descriptors + 1);
        } finally { await grow(file, size); }
    });

    test('where media are kept in a bucket, the page may show what lies there, and a bucket that is not there is told', async () => {
        const bucket = 'http://127.0.0.1:1';       // nobody is there; addresses are signed here
        const { url } = await kiln.server({ env: { KILN_MEDIA: `s3://kiln?endpoint=${bucket}&region=here&style=path`, KILN_S3_ACCESS_KEY: 'key', KILN_S3_SECRET_KEY: 'secret' } });
        const page = await request(url, 'GET', (await share(staged)).url);
        assert.equal(page.status, 200);
        assert.match(page.headers['content-security-policy'], /img-src 'self' http:\/\/127\.0\.0\.1:1;/);
        const answer = await download({ base: url });
        assert.deepEqual([answer.status, answer.json.code, answer.headers['retry-after']], [503, 'unavailable', '10']);
    });
});

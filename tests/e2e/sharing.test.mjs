// Public pages end to end: labelled by the real tool, opened by real HTTP without a token, and gone when they are taken back.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { png } from '../fakes/media.mjs';
import { begin, request } from './lib.mjs';

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
        const [media] = job?.outputs ?? (await kiln.rows(`select kiln.render_media(m) as media from kiln.media m where m.job_id = ${staged} and m.clean_key is not null order by 1`)).map(row => row.media);
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
        await kiln.psql(`update kiln.share set created_at = created_at - interval '1 day', expires_at = now() where share_id = ${expired.id}`);
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
});

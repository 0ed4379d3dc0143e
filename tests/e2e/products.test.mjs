// The products end to end: the three kinds of media, try-ons with pictures and a film in every form a body may have, made on the machine
// itself and at a provider, and what an administrator changes about them while they run.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { crc, make, png } from '../fakes/media.mjs';
import { begin, run, until } from './lib.mjs';

describe('products', () => {
    let kiln, ann, root;
    const film = () => make('mp4', 'a walk');
    const pictures = [png('a person', 320, 400), png('a coat', 200, 240)];
    const base64 = (bytes, mimetype) => ({ data: bytes.toString('base64'), mimetype });
    const medias = () => [base64(pictures[0], 'image/png'), base64(pictures[1], 'image/png'), base64(film(), 'video/mp4')];
    before(async () => {
        kiln = await begin({ provider: true, server: false });
        kiln.main = await kiln.server({});
        await kiln.psql(`update kiln.provider set poll = case when poll is null then null else poll || '{"every_ms": 50, "max_every_ms": 200}' end where not is_local`);
        await kiln.psql(`update kiln.config set public_url = '${kiln.url}'`);
        [ann, root] = [kiln.user('ann'), kiln.user('root', { role: 'admin' })];
        await kiln.runner({ name: 'one', args: ['--slots', '8'] });
        await until('the categories to be available', async () => (await root.get('/admin/categories')).items.every(c => c.unavailable_reason === null), 15000);
    });
    after(() => kiln.end());

    async function ended(id) {
        let job;
        await until(`try-on ${id} to end`, async () => ['completed', 'failed', 'cancelled'].includes((job = await root.get(`/tryons/${id}`)).state), 60000);
        return job;
    }
    const files = () => fs.readdirSync(kiln.media, { recursive: true }).filter(name => /\/[0-9a-f]{30}$/.test(name)).length;

    test('the operations that a stage may name are those that kiln-media has', async () => {
        const { out } = await run(path.join(kiln.bin, 'kiln-media'), ['--help']);
        assert.equal(await kiln.value(`select string_agg(o, '|' order by n) from kiln.handler h, jsonb_array_elements_text(h.config_schema #> '{properties,op,enum}') with ordinality as x (o, n) where h.name = 'media'`), /^usage: kiln-media (\S+) /.exec(out)[1]);
    });

    test('a picture, a film and speech are made', async () => {
        const jobs = await Promise.all(['image', 'video', 'audio'].map(type => ann.make({ type, prompt: `a hill, as ${type}`, ...(type === 'video' ? { params: { duration_s: 3, width: 320, height: 256 } } : {}) })));
        for (const job of jobs) {
            const done = await ann.finished(job.id);
            assert.deepEqual([done.state, done.outputs[0]?.media_type], ['completed', job.media_type], done.error?.message);
        }
    });

    test('a try-on of two pictures and a film, as base64: from the body to the result', async () => {
        const answer = await root.call('POST', '/tryons', { category: 'outfit', prompt: 'the coat', medias: medias() });
        assert.equal(answer.status, 202, answer.text);
        assert.deepEqual([answer.json.kind, answer.json.category, answer.json.media.map(m => m.content_type)], ['tryon', 'outfit', ['image/png', 'image/png', 'video/mp4']]);
        const done = await ended(answer.json.id);
        assert.deepEqual([done.state, done.outputs[0]?.media_type, done.progress.stages], ['completed', 'image', 3], done.error?.message);
        const list = async query => (await root.get(`/tryons?${query}`)).items.map(job => job.id);
        assert.ok((await list('state=processed&category=outfit')).includes(done.id));
        assert.ok(!(await list('state=pending')).includes(done.id));

        const again = await root.call('POST', `/tryons/${done.id}/retry`, { reason: 'the sleeves are wrong' });
        assert.deepEqual([again.status, again.json.parent_id, again.json.reason], [202, done.id, 'the sleeves are wrong']);
        assert.equal((await ended(again.json.id)).state, 'completed');
    });

    test('the same as a form, to a film', async () => {
        const form = new FormData();
        form.set('category', 'runway');
        form.set('prompt', 'the coat, slowly');
        form.append('medias', new Blob([pictures[0]], { type: 'image/png' }), 'a.png');
        form.append('medias', new Blob([pictures[1]], { type: 'image/png' }), 'b.png');
        form.append('medias', new Blob([film()]), 'c.mp4');        // application/octet-stream, as curl says of it too
        const answer = await fetch(`${kiln.url}/api/v1/tryons`, { method: 'POST', body: form, headers: { Authorization: `Bearer ${root.token}` } });
        const job = await answer.json();
        assert.equal(answer.status, 202, JSON.stringify(job));
        assert.deepEqual(job.media.map(m => m.content_type), ['image/png', 'image/png', 'video/mp4']);
        const done = await ended(job.id);
        assert.deepEqual([done.state, done.outputs[0]?.media_type, done.progress.stages], ['completed', 'video', 4], done.error?.message);
    });

    test('at a provider: dressed by an image model, set in motion by Wan and by Veo 3', async () => {
        for (const [category, type, stages] of [['clothes', 'image', 3], ['clothes-film', 'video', 4], ['clothes-film-fine', 'video', 4]]) {
            const { json } = await root.call('POST', '/tryons', { category, prompt: `for ${category}.`, medias: medias().slice(0, 2) });
            const done = await ended(json.id);
            assert.deepEqual([category, done.state, done.outputs[0]?.media_type, done.progress.stages], [category, 'completed', type, stages], done.error?.message);
            const bytes = Buffer.from(await (await fetch(`${kiln.url}${done.outputs[0].url}`)).arrayBuffer());
            assert.equal(/local sample/i.test(bytes.toString('latin1')), false, `${category} was not made here and does not say so`);
        }
    });

    // The first stage of our own pipelines takes the camera's notes off too; an administrator's may have none that does.
    test('what the camera noted leaves for no provider, whatever the pipeline', async () => {
        const { stages } = await root.get('/admin/pipelines/tryon%2Ffal');
        const bare = await root.call('PUT', '/admin/pipelines', { name: 'tryon/bare', stages: stages.filter(stage => stage.handler === 'http') });
        assert.equal(bare.status, 200, bare.text);
        assert.equal((await root.call('PUT', '/admin/categories/bare', { pipeline: 'tryon/bare', media_type: 'image' })).status, 200);
        const text = Buffer.from('tEXtComment\0taken at home, 52.52 N 13.40 E', 'latin1'), chunk = Buffer.alloc(text.length + 8);
        chunk.writeUInt32BE(text.length - 4); text.copy(chunk, 4); chunk.writeUInt32BE(crc(text), text.length + 4);
        const noted = Buffer.concat([pictures[0].subarray(0, 33), chunk, pictures[0].subarray(33)]);        // behind the header
        const { status, json } = await root.call('POST', '/tryons', { category: 'bare', prompt: 'a bare road.', medias: [base64(noted, 'image/png'), base64(pictures[1], 'image/png')] });
        assert.deepEqual([status, json.media.map(m => m.state)], [202, ['checking', 'checking']]);
        const done = await ended(json.id);
        assert.equal(done.state, 'completed', done.error?.message);
        // The bill leaves files out; the provider's book has them.
        const [asked] = (await kiln.fake.bill('a bare road.')).requests;
        const book = fs.readFileSync(`${kiln.folder}/provider`, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line));
        const sent = JSON.parse(book.find(fact => fact.is === 'request' && fact.id === asked.id).text).image_urls.map(url => Buffer.from(url.replace(/^data:[^,]*,/, ''), 'base64'));
        assert.deepEqual(sent.map(bytes => [bytes.subarray(1, 4).toString(), bytes.includes('home')]), [['PNG', false], ['PNG', false]]);
        assert.ok(!(await (await fetch(`${kiln.url}${done.media[0].url}`)).text()).includes('home'), 'nor for whoever looks at it here');
    });

    test('a file that is none ends its try-on with the reason, and nothing is asked of a provider', async () => {
        const broken = Buffer.concat([pictures[0].subarray(0, 60), Buffer.alloc(400, 7)]);
        const { json } = await root.call('POST', '/tryons', { category: 'bare', prompt: 'a broken picture.', medias: [base64(pictures[1], 'image/png'), base64(broken, 'image/png')] });
        const done = await ended(json.id);
        assert.deepEqual([done.state, done.error.code, done.error.charged], ['cancelled', 'invalid', false], done.error?.message);
        assert.match(done.error.message, /^A file of it was rejected: /);
        assert.equal((await kiln.fake.bill('a broken picture.')).requests.length, 0);
        assert.equal((await root.call('POST', `/tryons/${done.id}/retry`, { reason: 'again' })).status, 409);
    });

    test('one Idempotency-Key is one try-on, also for bodies with bytes', async () => {
        const headers = { 'Idempotency-Key': 'tryon-once' };
        const body = { category: 'outfit', medias: medias() };
        const answers = await Promise.all(Array.from({ length: 3 }, () => root.call('POST', '/tryons', body, { headers })));
        assert.deepEqual([answers.map(a => a.status), new Set(answers.map(a => a.json.id)).size], [[202, 202, 202], 1]);
        assert.equal((await root.call('POST', '/tryons', { ...body, medias: medias().slice(1) }, { headers })).status, 409);
        await ended(answers[0].json.id);
    });

    test('what a browser\'s FileReader gives, a data: URL, is taken as it is', async () => {
        const { status, json, text } = await root.call('POST', '/tryons', { category: 'outfit', medias: [{ data: `data:image/png;base64,${pictures[0].toString('base64')}`, mimetype: 'image/png' }] });
        assert.equal(status, 202, text);
        assert.deepEqual(json.media.map(m => [m.content_type, m.bytes]), [['image/png', pictures[0].length]]);
        assert.equal((await ended(json.id)).state, 'completed');
    });

    test('what is refused names its field and leaves no file', async () => {
        await until('the store to be at rest', async () => await kiln.value(`select count(*) from kiln.trash`) === '0', 30000);
        const before_all = files();
        const good = base64(pictures[0], 'image/png');
        for (const [body, field] of [
            [{ category: 'outfit', medias: [good, { mimetype: 'image/png' }] }, '/medias/1/data'],
            [{ category: 'outfit', medias: [{ data: '***', mimetype: 'image/png' }] }, '/medias/0/data'],
            [{ category: 'outfit', medias: [{ data: good.data.slice(0, -3), mimetype: 'image/png' }] }, '/medias/0/data'],
            [{ category: 'outfit', medias: [good, base64(pictures[0], 'image/jpeg')] }, '/medias/1/data'],
            [{ category: 'outfit', medias: [{ ...good, mimetype: 'text/html' }] }, '/medias/0/mimetype'],
            [{ category: 'outfit', medias: [{ ...good, mimetype: 7 }] }, '/medias/0/mimetype'],
            [{ category: 'outfit', medias: [{ ...good, mimetype: '' }] }, '/medias/0/mimetype'],
            [{ category: 'outfit', medias: [{ ...good, data: `data:image/jpeg;base64,${good.data}` }] }, '/medias/0/data'],
            [{ category: 'outfit', medias: [{ ...good, data: `data:image/png,${good.data}` }] }, '/medias/0/data'],
            [{ category: 'outfit', medias: [{ ...good, data: 'data:image/png;base64,' }] }, '/medias/0/data'],
            [{ category: 'outfit', medias: 'all' }, '/medias'], [{ category: 'outfit', medias: Array(13).fill(good) }, '/medias'],
            [{ category: 'hats', medias: [good] }, '/category'], [{ category: 'outfit', media: ['999999999'] }, '/media/0'], [{ category: 'outfit', prompt: 'x' }, '/media'],
        ]) {
            const { status, json } = await root.call('POST', '/tryons', body);
            assert.deepEqual([status, json.errors?.map(error => error.field)], [422, [field]], JSON.stringify(json));
        }
        for (const body of ['{', '[]', '{"a": 1, "a": 2}', '{"body": {}, "files"']) assert.equal((await root.call('POST', '/tryons', body)).status, 400, body);
        assert.equal((await root.call('POST', '/tryons', 'x', { headers: { 'Content-Type': 'text/plain' } })).status, 415);
        assert.equal((await root.call('POST', '/tryons', 'x', { headers: { 'Content-Type': 'multipart/form-data' } })).status, 400);
        assert.equal((await root.call('POST', '/tryons', '--part\r\nContent-Disposition: form-data; name="category"\r\n\r\nout', { headers: { 'Content-Type': 'multipart/form-data; boundary=part' } })).status, 400);
        const nul = await root.call('POST', '/tryons', '--part\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\0b\r\n--part--\r\n', { headers: { 'Content-Type': 'multipart/form-data; boundary=part' } });
        assert.deepEqual([nul.status, nul.json.errors?.map(error => error.field)], [422, ['/prompt']], `a character that no text can hold is of its field, in a form too: ${nul.text}`);
        const forged = await root.call('POST', '/tryons', { category: 'outfit', prompt: 'x', files: [{ storage_key: 'ab/000000000000000000000000000000', bytes: 1, sha256: '00', content_type: 'image/png' }] });
        assert.deepEqual(forged.json.errors.map(error => error.field).sort(), ['/files', '/media'], 'nobody names a file of the store');
        const speech = new FormData();
        speech.set('category', 'outfit');
        speech.append('medias', new Blob([make('wav', 'hello')]), 'a.png');
        assert.equal((await fetch(`${kiln.url}/api/v1/tryons`, { method: 'POST', body: speech, headers: { Authorization: `Bearer ${root.token}` } })).status, 422, 'neither a picture nor a film');
        assert.equal((await ann.call('POST', '/tryons', { category: 'outfit', medias: medias() })).status, 403);
        await until('as many files as before', async () => files() === before_all);
    });

    test('an administrator writes a pipeline anew: its mistakes have fields, a running job keeps its version, the next takes the new one', async () => {
        const { name, stages, version } = await root.get('/admin/pipelines/tryon');
        const put = body => root.call('PUT', '/admin/pipelines', body);
        const bad = await put({ name, stages: [stages[0], { ...stages[1], handler: 'magic' }] });
        assert.deepEqual([bad.status, bad.json.errors.map(error => error.field)], [422, ['/stages/1/handler']]);
        await root.call('POST', '/admin/queues/local/pause');
        const old = (await root.call('POST', '/tryons', { category: 'outfit', medias: medias() })).json;
        const good = await put({ name, version, stages: [...stages, { name: 'note', handler: 'log', queue: 'local' }] });
        assert.deepEqual([good.status, good.json.version], [200, version + 1], good.text);
        assert.equal((await put({ name, version, stages })).status, 409, 'who read the old one is too late');
        assert.equal((await root.get('/admin/queues')).items.find(q => q.name === 'local').is_paused, true);
        await root.call('POST', '/admin/queues/local/resume');
        const next = (await root.call('POST', '/tryons', { category: 'outfit', medias: medias() })).json;
        assert.deepEqual([(await ended(old.id)).progress.stages, (await ended(next.id)).progress.stages], [stages.length, stages.length + 1]);
        assert.equal((await root.get('/admin/runners')).items[0].state, 'alive');
    });

    test('variants, their price, and what the catalogue learns', async () => {
        const job_input = { type: 'image', prompt: 'in two', variants: 2, seed: 5 };
        assert.deepEqual((await ann.call('POST', '/generate/estimate', job_input)).json, { estimated: 0, currency: 'USD' });
        const job = await ann.make(job_input);
        const rows = (await ann.get('/generations?q=in%20two')).items;
        assert.deepEqual(rows.map(row => [row.seed, row.parent_id]), [['6', job.id], ['5', null]]);
        await kiln.psql('select kiln_internal.measure_models()');
        const { items } = await ann.get('/models?sort=popularity&type=image');
        assert.equal(items[0].id, 'local/sketch');
        assert.ok(items[0].measured.jobs >= 2);
    });
});

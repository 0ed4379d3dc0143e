// Virtual staging end to end: from the original to what was made of it, a whole project at once, and what is left when it goes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { png } from '../fakes/media.mjs';
import { begin, request, until } from './lib.mjs';

describe('virtual staging', () => {
    let kiln, ann, bob, originals, project;
    before(async () => {
        kiln = await begin({ provider: true, server: false });
        kiln.main = await kiln.server({});
        await kiln.psql(`update kiln.provider set poll = case when poll is null then null else poll || '{"every_ms": 50, "max_every_ms": 200}' end where not is_local`);
        await kiln.psql(`update kiln.config set public_url = '${kiln.url}'`);
        [ann, bob] = [kiln.user('ann'), kiln.user('bob')];
        await kiln.runner({ name: 'one', args: ['--slots', '8'] });
        originals = await Promise.all(['hall', 'kitchen', 'attic'].map(name => ann.upload(`${name}.png`, 'image/png', png(name, 320, 240))));
        project = (await ann.call('POST', '/projects', { name: 'A flat', media: originals })).json;
    });
    after(() => kiln.end());

    async function ended(id, user = ann) {
        let job;
        await until(`image ${id} to end`, async () => ['completed', 'failed', 'cancelled'].includes((job = await user.get(`/images/${id}`)).state), 60000);
        return job;
    }
    const stage = (more = {}) => ann.call('POST', '/images', { project_id: project.id, media_id: originals[0], room_type: 'living_room', style: 'scandinavian', ...more });
    const bytes = async url => (await request(kiln.url, 'GET', url)).bytes;
    const files = () => fs.readdirSync(kiln.media, { recursive: true }).filter(name => /\/[0-9a-f]{30}$/.test(name)).length;

    test('from the original to the staged picture', async () => {
        const answer = await stage({ seed: 7, prompt: 'with a blue sofa', variations: 2, disclosure: 'Digitally furnished' });
        assert.equal(answer.status, 202, answer.text);
        assert.deepEqual([answer.json.kind, answer.json.project_id, answer.json.media_id, answer.json.style, answer.json.links.self], ['staging', project.id, originals[0], 'scandinavian', `/api/v1/images/${answer.json.id}`]);
        const done = await ended(answer.json.id);
        assert.deepEqual([done.state, done.seed, done.outputs.map(media => media.media_type)], ['completed', '7', ['image', 'image']], done.error?.message);
        assert.notEqual(done.outputs[0].sha256, done.outputs[1].sha256, 'two variations');
        assert.deepEqual([done.outputs[0].width, done.outputs[0].height], [320, 240], 'as large as the original');
        assert.notEqual(done.outputs[0].sha256, done.media[0].sha256);
        assert.match(done.prompt, /^Furnish this living room in Scandinavian style.*blue sofa.*Keep everything else exactly as it is/);
        const [labelled, clean] = await Promise.all([bytes(done.outputs[0].url), bytes(done.outputs[0].clean_url)]);
        assert.notDeepEqual(labelled, clean, 'the label stands on the one and not on the other');
        assert.match(labelled.toString('latin1') + clean.toString('latin1'), /Digitally furnished[^]*Digitally furnished/, 'and both say it in their notes');
        assert.equal((await ann.get(`/images?project=${project.id}&state=completed`)).items[0].id, done.id);
    });

    test('what is refused names its field and what would be right', async () => {
        const refused = await stage({ style: 'ugly', variations: 9, media_id: '999999999' });
        assert.deepEqual([refused.status, refused.json.errors.map(error => error.field).sort()], [422, ['/media_id', '/style', '/variations']]);
        assert.match(refused.json.errors.find(error => error.field === '/style').message, /must be one of standard, modern/);
        const old = (await stage({ style: 'hamptons' })).json;
        assert.deepEqual([old.style, old.style_asked, old.style_is_deprecated], ['coastal', 'hamptons', true]);
        await ended(old.id);
        const options = await request(kiln.url, 'GET', '/api/v1/images/options');
        assert.deepEqual([options.status, options.json.modes, options.json.styles.some(style => style.name === 'hamptons')], [200, ['stage', 'declutter', 'restyle'], false]);
    });

    test('cancel, retry with a reason, delete', async () => {
        await kiln.psql(`select kiln.pause_queue('local')`);
        const job = (await stage()).json;
        assert.equal((await ann.call('DELETE', `/images/${job.id}`)).status, 409);
        assert.equal((await ann.call('POST', `/images/${job.id}/cancel`)).json.state, 'cancelled');
        await kiln.psql(`select kiln.resume_queue('local')`);
        const again = await ann.call('POST', `/images/${job.id}/retry`, { reason: 'the lamp floats', seed: 'new' });
        assert.deepEqual([again.status, again.json.parent_id, again.json.reason, again.json.media_id], [202, job.id, 'the lamp floats', originals[0]]);
        const done = await ended(again.json.id);
        assert.equal(done.state, 'completed', done.error?.message);
        const before_it = await bytes(done.outputs[0].url);
        assert.ok(before_it.length > 100);
        assert.equal((await ann.call('DELETE', `/images/${done.id}`)).status, 204);
        assert.equal((await ann.call('GET', `/images/${done.id}`)).status, 404);
        assert.equal((await request(kiln.url, 'GET', done.outputs[0].url)).status, 404, 'its results are gone');
        assert.equal((await request(kiln.url, 'GET', done.media[0].url)).status, 200, 'the original is not');
        assert.equal((await ann.call('DELETE', `/uploads/${originals[0]}`)).status, 409, 'while its project has it');
    });

    test('a whole project at once; twice at the same moment is once', async () => {
        await kiln.psql(`select kiln.pause_queue('local')`);
        const answers = await Promise.all([0, 1].map(() => ann.call('POST', `/projects/${project.id}/stage`, { style: 'modern', mode: 'restyle' })));
        await kiln.psql(`select kiln.resume_queue('local')`);
        assert.deepEqual(answers.map(answer => answer.status), [202, 202]);
        const [full, none] = answers.map(answer => answer.json).sort((a, b) => b.items.length - a.items.length);
        assert.deepEqual([full.items.map(job => job.media_id), none.items, none.skipped.map(row => row.media_id)], [originals, [], originals]);
        for (const job of full.items) assert.equal((await ended(job.id)).state, 'completed');
        const rows = (await ann.get(`/projects/${project.id}/images`)).items;
        assert.deepEqual(rows.slice(0, 3).map(row => row.id), full.items.map(job => job.id).reverse());
        assert.equal((await ann.get(`/projects/${project.id}`)).images.active, 0);
    });

    test('by each of fal\'s models: as many results as were asked for, labelled with the words of the request', async () => {
        const models = (await request(kiln.url, 'GET', '/api/v1/images/options')).json.models.filter(model => model.name.startsWith('fal/'));
        assert.deepEqual(models.map(model => model.unavailable_reason), [null, null, null, null]);
        const jobs = await Promise.all(models.map(model => stage({ model: model.name, variations: 2, seed: 11, disclosure: `Digitally altered by ${model.name}` })));
        for (const [i, answer] of jobs.entries()) {
            assert.deepEqual([answer.status, answer.json.model, answer.json.cost.estimated], [202, models[i].name, 2 * models[i].price], answer.text);
            const done = await ended(answer.json.id);
            assert.deepEqual([done.state, done.outputs.length], ['completed', 2], `${done.model}: ${done.error?.message}`);
            assert.match((await bytes(done.outputs[1].url)).toString('latin1'), new RegExp(`Digitally altered by ${done.model}`), 'the words went past the provider');
            assert.ok(done.outputs.every(media => media.clean_url));
        }
    });

    test('nobody sees another\'s: 404', async () => {
        const image = (await ann.get('/images')).items[0];
        for (const [method, target, body] of [['GET', `/projects/${project.id}`], ['PUT', `/projects/${project.id}`, { name: 'x' }], ['DELETE', `/projects/${project.id}`], ['POST', `/projects/${project.id}/stage`, { style: 'modern' }],
            ['GET', `/projects/${project.id}/images`], ['GET', `/images?project=${project.id}`], ['GET', `/images/${image.id}`], ['DELETE', `/images/${image.id}`], ['POST', `/images/${image.id}/cancel`], ['POST', `/images/${image.id}/retry`]])
            assert.equal((await bob.call(method, target, body)).status, 404, `${method} ${target}`);
        assert.deepEqual([(await bob.get('/images')).items, (await bob.get('/projects')).items], [[], []]);
        const foreign = await bob.call('POST', '/images', { project_id: project.id, media_id: originals[0], room_type: 'kitchen', style: 'modern' });
        assert.deepEqual([foreign.status, foreign.json.errors.map(error => error.field).sort()], [422, ['/media_id', '/project_id']]);
    });

    test('a project goes with all that is in it, also what is being made', async () => {
        const image = (await stage()).json;
        assert.equal((await ann.call('DELETE', `/projects/${project.id}`)).status, 204);
        assert.equal((await ann.call('GET', `/projects/${project.id}`)).status, 404);
        assert.equal((await ann.call('GET', `/images/${image.id}`)).status, 404);
        await until('its rows and files to be gone', async () => await kiln.value(`select (select count(*) from kiln.project) + (select count(*) from kiln.image) + (select count(*) from kiln.trash)`) === '0' && files() === 0);
        assert.equal(await kiln.value(`select count(*) from kiln.media`), '0');
    });
});

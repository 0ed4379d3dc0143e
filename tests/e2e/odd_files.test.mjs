// Files of daily life, sent as people send them: those of tests/fixtures/media/odd and of media/cases through presign, PUT and check, and
// then given to an image generation and to a staging. Which pixels come of them is looked at in tests/c/media/odd_test.c, for all of
// them; here an eighth of odd/ goes the whole way, and all of it with TEST_ODD_FILES=all, as `make check` does.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, root, until } from './lib.mjs';

const folder = path.join(root, 'tests/fixtures/media');
const cases = [
    ['sos-se0.jpg', 'image/jpeg', 320, 200], ['motion-photo.jpg', 'image/jpg', 320, 200], ['newline-after.png', 'image/png', 320, 200],
    ['extraneous4.jpg', 'IMAGE/JPEG', 320, 200], ['rgba16-icc.png', 'image/png', 256, 64], ['mpeg25-8k.mp3', 'audio/mp3'],
    ['late.ogg', 'audio/ogg;codecs=opus'], ['oneframe.webm', 'video/webm', 320, 200],
].map(([file, content_type, width, height]) => ({ file: `cases/${file}`, content_type, width, height }));
const odd = JSON.parse(fs.readFileSync(path.join(folder, 'odd/odd.json'), 'utf8')).map(row => ({ ...row, file: `odd/${row.file}` }))
    .filter((_, n) => process.env.TEST_ODD_FILES === 'all' || n % 8 === 1);

describe('files of daily life', () => {
    let kiln, ann, project;
    const ready = [];
    before(async () => {
        kiln = await begin({ runners: 1 });
        ann = kiln.user('ann');
        project = (await ann.call('POST', '/projects', { name: 'Odd pictures' })).json.id;
    });
    after(() => kiln.end());
    const finished = async id => {
        let image;
        await until(`image ${id} to end`, async () => ['completed', 'failed', 'cancelled'].includes((image = await ann.get(`/images/${id}`)).state), 200000);
        return image;
    };

    test('each of them is ready, of its size, with a thumbnail', { timeout: 240000 }, async () => {
        const wrong = [], rows = [...cases, ...odd];
        const send = async row => {
            const bytes = fs.readFileSync(path.join(folder, row.file));
            const media = await ann.sent(path.basename(row.file), row.content_type, bytes, 120000).catch(error => ({ state: String(error) }));
            const { width, height, content_type } = media;
            if (media.state !== 'ready' || !media.thumbnail_url || (row.width && (width !== row.width || height !== row.height)) || (row.becomes && content_type !== row.becomes))
                wrong.push([row.file, media.state, media.reason, `${width}x${height}`, content_type]);
            else ready.push({ ...row, media });
        };
        for (let i = 0; i < rows.length; i += 8) await Promise.all(rows.slice(i, i + 8).map(send));
        assert.deepEqual(wrong, []);
    });

    test('each picture and each film makes an image', { timeout: 240000 }, async () => {
        const usable = ready.filter(r => r.media.media_type !== 'audio').map(r => r.media.id), jobs = [];
        for (let i = 0; i < usable.length; i += 12) jobs.push(await ann.make({ type: 'image', prompt: 'like these', media: usable.slice(i, i + 12), params: { width: 256, height: 256 } }));
        for (const job of jobs) {
            const done = await ann.finished(job.id, 120000);
            assert.equal(done.state, 'completed', JSON.stringify(done.error));
        }
    });

    test('each picture is staged', { timeout: 240000 }, async () => {
        const pictures = ready.filter(r => r.media.media_type === 'image').map(r => r.media.id);
        const put = await ann.call('PUT', `/projects/${project}`, { media: pictures });
        assert.equal(put.status, 200, put.text);
        const staged = await ann.call('POST', `/projects/${project}/stage`, { room_type: 'living_room', style: 'modern' });
        assert.equal(staged.status, 202, staged.text);
        assert.equal(staged.json.items.length, pictures.length);
        for (const { id } of staged.json.items) {
            const done = await finished(id);
            assert.equal(done.state, 'completed', JSON.stringify(done.error));
        }
    });
});

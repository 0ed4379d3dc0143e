// clients/ts: what a page imports, against the real server. Node takes it without its types; that these fit is tsc's to say (make lint).
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import WebSocket from 'ws';
import { make, plain_png } from '../fakes/media.mjs';
import { Browser, without_browser } from './browser.mjs';
import { client_address, client_modules } from './client_modules.mjs';
import { begin, root, run, until } from './lib.mjs';
import { api } from './description.mjs';

let kiln, Kiln, Problem, UploadRejected, form, routes, client, ann;
before(async () => {
    kiln = await begin();
    const modules = await client_modules(kiln.folder);
    ({ Kiln, Problem, UploadRejected, form } = modules.client);
    ({ routes } = modules.api);
    ann = kiln.user('ann');
    client = new Kiln({ base: kiln.url, token: () => ann.token });
});
after(() => kiln?.end());

test('it has every operation of the description, at its place', () => {
    const described = Object.entries(api.paths).flatMap(([route, item]) => Object.entries(item).map(([method, { operationId }]) => [operationId, [method.toUpperCase(), route]]));
    assert.deepEqual(Object.entries(routes), described);
});

test('a call gives the answer; paths, queries, bodies and the Idempotency-Key arrive', async () => {
    const job_input = { body: { type: 'image', prompt: 'a hill & a lake' }, once: 'once' };
    const job = await client.call('create_generation', job_input);
    assert.equal(job.state, 'queued');
    assert.equal((await client.call('create_generation', job_input)).id, job.id, 'the same key makes nothing new');
    assert.equal((await client.call('get_generation', { path: { id: job.id } })).prompt, 'a hill & a lake');
    assert.deepEqual((await client.call('list_generations', { query: { q: 'hill & a', limit: 1 } })).items.map(each => each.id), [job.id]);
    const [model] = (await client.call('list_models')).items;
    assert.equal((await client.call('get_model', { path: { id: model.id } })).id, model.id, 'a name with a slash');
    assert.match(await (await client.call('metrics')).text(), /^# HELP/);
    await client.call('cancel_generation', { path: { id: job.id } });
    assert.equal(await client.call('delete_generation', { path: { id: job.id } }), undefined);
});

test('an error is a Problem with its code, its fields and the request\'s id', async () => {
    await assert.rejects(client.call('create_generation', { body: { type: 'smell', prompt: '' } }), problem => {
        assert.ok(problem instanceof Problem);
        assert.deepEqual([problem.status, problem.code, problem.errors[0].field], [422, 'invalid_field', '/type']);
        assert.ok(problem.request_id);
        return true;
    });
    await assert.rejects(new Kiln({ base: kiln.url }).call('get_me'), problem => problem.status === 401 && problem.code === 'unauthorized');
});

test('the stream comes back by itself after a break and goes on where it was', async () => {
    const stop = new AbortController(), seen = [];
    const port = kiln.main.port;
    for await (const { event, position } of client.events({ signal: stop.signal })) {
        seen.push(event.type);
        assert.ok(position);
        if (event.type === 'ready' && seen.length === 1) {
            await kiln.main.kill();
            const made = kiln.server({ port }).then(() => ann.make({ type: 'image', prompt: 'after the break' }));
            made.catch(() => {});
        }
        if (event.type === 'job.queued') stop.abort();
    }
    assert.equal(seen[0], 'ready');
    assert.equal(seen.at(-1), 'job.queued', 'what happened meanwhile was told');
    const { token } = kiln.user('gone', { exp: 1 });
    await assert.rejects(new Kiln({ base: kiln.url, token }).events().next(), problem => problem instanceof Problem && problem.status === 401, 'who is not let in is told so');
});

test('a WebSocket is opened with a ticket and has the events', async t => {
    const socket = await new Kiln({ base: kiln.url, token: ann.token, WebSocket }).socket({ after: (await client.call('poll_events', { query: { timeout: 0 } })).position });
    t.after(() => socket.terminate());
    const seen = [];
    socket.on('message', text => seen.push(JSON.parse(text)));
    const job = await client.call('create_generation', { body: { type: 'image', prompt: 'by socket' } });
    await until('the event', () => seen.find(event => event.type === 'job.queued' && event.job_id === job.id));
});

test('an administrator watches everybody\'s events, of the kinds that were named', async () => {
    const root = kiln.user('watcher', { role: 'admin' });
    const stop = new AbortController(), seen = [];
    for await (const { event } of new Kiln({ base: kiln.url, token: root.token }).watch({ kind: 'job.queued', signal: stop.signal })) {
        seen.push(event.type);
        if (event.type === 'ready') await ann.make({ type: 'image', prompt: 'watched' });
        else stop.abort();
    }
    assert.deepEqual(seen, ['ready', 'job.queued']);
});

test('a form with files becomes a try-on', async () => {
    const admin = kiln.user('fitter', { role: 'admin' });
    const picture = new Blob([plain_png(Buffer.from('in a form'))], { type: 'image/png' });
    const tryon = await new Kiln({ base: kiln.url, token: admin.token }).call('create_tryon', { body: form({ category: 'outfit', prompt: 'the blue coat', medias: [picture, picture] }), once: 'form' });
    assert.deepEqual([tryon.category, tryon.state], ['outfit', 'queued']);
    assert.equal(await kiln.value(`select count(*) from kiln.media where role = 'input' and state = 'checking' and account_id = (select account_id from kiln.job where job_id = ${tryon.id})`), '2');
});

describe('an upload', () => {
    const blob = (note, type = 'image/png') => new Blob([plain_png(Buffer.from(note))], { type });
    /** A client whose requests go through one's hands. */
    const by = hand => new Kiln({ base: kiln.url, token: ann.token, fetch: (target, init) => hand({ method: init.method ?? 'GET', path: target.slice(kiln.url.length), init }, () => fetch(target, init)) });

    test('that nobody checks ends after the time that was given, and may be aborted before', async () => {
        await assert.rejects(client.upload(blob('nobody'), { timeout_ms: 300 }), error => error.name === 'TimeoutError');
        const stop = new AbortController();
        const waits = by(({ method, path }, go) => { if (method === 'GET' && path.includes('/uploads/')) stop.abort(); return go(); });
        await assert.rejects(waits.upload(blob('aborted'), { signal: stop.signal }), error => error.name === 'AbortError');
    });

    test('of a type that is not taken, or whose bytes are of another, is refused once and not tried again', async () => {
        await assert.rejects(client.upload(new Blob(['x'], { type: 'text/plain' })), error => error instanceof Problem && error.errors[0].field === '/content_type');
        const puts = [];
        const counted = by(({ method, path }, go) => { if (method === 'PUT') puts.push(path); return go(); });
        await assert.rejects(counted.upload(new Blob(['no picture'], { type: 'image/png' })), error => error instanceof Problem && error.status === 415);
        assert.equal(puts.length, 1);
    });

    describe('where a runner checks', () => {
        before(() => kiln.runner({ name: 'checker' }));

        test('is ready, says how far it is, and sends no token with the bytes', async () => {
            const file = new Blob([make('mp4', 'long enough for several chunks '.repeat(10_000))]), told = [], seen = [];
            const media = await by(({ method, path, init }, go) => {
                seen.push(`${method} ${path.replace(/\?.*/, '').replace(/\d+/g, 'N').replace('vN', 'v1')}`);
                if (method === 'PUT') assert.equal(new Headers(init.headers).get('Authorization'), null);
                return go();
            }).upload(file, { filename: 'IMG_0001.MP4', progress: (sent, total) => told.push([sent, total]) });
            assert.deepEqual([media.state, media.content_type], ['ready', 'video/mp4'], 'the type comes from the name');
            assert.equal((await fetch(`${kiln.url}${media.url}`)).status, 200);
            assert.deepEqual([told[0], told.at(-1)], [[0, file.size], [file.size, file.size]]);
            assert.ok(told.length > 3, `told ${told.length} times`);
            assert.deepEqual(told.map(([sent]) => sent), told.map(([sent]) => sent).toSorted((a, b) => a - b));
            assert.deepEqual(seen.slice(0, 3), ['POST /api/v1/uploads/presign', 'PUT /api/v1/media/N', 'POST /api/v1/uploads/N/complete']);
        });

        test('goes on where a link breaks or an answer is lost at any step, and makes one media', async () => {
            const uploads = async () => Number(await kiln.value(`select count(*) from kiln.media where role = 'input'`));
            const before_it = await uploads();
            const broken = new Set();
            const media = await by(async ({ method, path }, go) => {
                const step = `${method} ${/presign|complete/.exec(path) ?? 'N'}`;
                if (broken.has(`${step} lost`)) return go();
                if (broken.has(`${step} 503`)) {
                    broken.add(`${step} lost`);
                    await (await go()).arrayBuffer();
                    throw new TypeError('the answer is lost');
                }
                if (broken.has(step)) {
                    broken.add(`${step} 503`);
                    return new Response(null, { status: 503, headers: { 'Retry-After': '0' } });
                }
                broken.add(step);
                throw new TypeError('no link');
            }).upload(blob('through it all'), { tries: 4 });
            assert.equal(media.state, 'ready');
            assert.deepEqual([...broken].filter(step => / lost$/.test(step)).slice(0, 3), ['POST presign lost', 'PUT N lost', 'POST complete lost']);
            assert.equal(await uploads(), before_it + 1);
        });

        test('that may not be used is thrown with its reason', async () => {
            const whole = plain_png(randomBytes(5000));
            await assert.rejects(client.upload(new Blob([whole.subarray(0, whole.length / 2)], { type: 'image/png' })), error => {
                assert.ok(error instanceof UploadRejected, String(error));
                assert.equal(error.media.state, 'rejected');
                assert.ok(error.message.length > 10 && error.message === error.media.reason, error.message);
                return true;
            });
        });

        test('works in a browser, where the page is told how far it is', { skip: without_browser }, async t => {
            const browser = await Browser.open(kiln.folder);
            t.after(() => browser.close());
            const page = await browser.page();
            await page.go(`${kiln.url}/healthz`);
            const done = await page.value(`(async () => {
                const { Kiln } = await import(${JSON.stringify(client_address())});
                const kiln = new Kiln({ token: ${JSON.stringify(ann.token)} }), told = [];
                const bytes = Uint8Array.from(atob(${JSON.stringify(make('mp4', 'in a page '.repeat(30_000)).toString('base64'))}), each => each.charCodeAt(0));
                const { state, url } = await kiln.upload(new File([bytes], 'film.mp4'), { progress: (sent, total) => told.push([sent, total]) });
                return { state, bytes: bytes.length, told, shown: (await fetch(url)).status };
            })()`);
            assert.deepEqual([done.state, done.shown, done.told[0], done.told.at(-1)], ['ready', 200, [0, done.bytes], [done.bytes, done.bytes]]);
            // The page is JSON, and a browser asks for its icon.
            assert.deepEqual(page.said.filter(line => !/404 \(Not Found\)/.test(line)), []);
        });
    });
});

// A page that uses a field or a value that the description does not have does not compile.
test('what the description does not have is refused by the compiler', async () => {
    const folder = fs.mkdtempSync(path.join(kiln.folder, 'types-'));
    const source = path.join(root, 'clients/ts');
    const wrong = { field: "(await kiln.call('get_me')).handel", state: "(await kiln.call('list_generations', { query: { state: 'quede' } })).items", form: "await kiln.call('create_tryon', { body: form({ category: 'outfit', medias: ['not a file'] }) })", path: "await kiln.call('get_generation')", name: "await kiln.call('get_generatoin')" };
    const right = { right: "(await kiln.call('get_me')).handle", file: "await kiln.call('create_tryon', { body: form({ category: 'outfit', medias: [new Blob()] }) })", upload: "(await kiln.upload(new Blob())).width" };
    for (const [name, text] of Object.entries({ ...right, ...wrong })) fs.writeFileSync(path.join(folder, `${name}.ts`), `import { Kiln, form } from 'kiln/client.ts';\nexport const kiln = new Kiln(), used = form;\nexport const it = ${text};\n`);
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ extends: path.join(source, 'tsconfig.json'), compilerOptions: { paths: { 'kiln/*': [`${source}/*`] } }, include: ['*.ts'] }));
    const checked = await run(path.join(root, 'tests/node_modules/.bin/tsc'), ['-p', folder]);
    assert.deepEqual([...new Set(checked.out.match(/^\S*?(\w+)\.ts\(/gm).map(line => /(\w+)\.ts/.exec(line)[1]))].sort(), Object.keys(wrong).sort(), checked.out);
});

// clients/ts: what a page imports, against the real server. Node takes it without its types; that these fit is tsc's to say (make lint).
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { begin, root, run } from './lib.mjs';
import { api } from './description.mjs';

let kiln, Kiln, Problem, routes, client, ann;
before(async () => {
    kiln = await begin();
    for (const name of ['api', 'client']) {
        const { outputText } = ts.transpileModule(fs.readFileSync(path.join(root, 'clients/ts', `${name}.ts`), 'utf8'), { compilerOptions: { target: 'es2022', module: 'esnext' } });
        fs.writeFileSync(path.join(kiln.folder, `${name}.mjs`), outputText.replaceAll('./api.ts', './api.mjs'));
    }
    ({ Kiln, Problem } = await import(pathToFileURL(path.join(kiln.folder, 'client.mjs'))));
    ({ routes } = await import(pathToFileURL(path.join(kiln.folder, 'api.mjs'))));
    ann = kiln.user('ann');
    client = new Kiln({ base: kiln.url, token: () => ann.token });
});
after(() => kiln?.end());

test('it has every operation of the description, at its place', () => {
    const described = Object.entries(api.paths).flatMap(([route, item]) => Object.entries(item).map(([method, { operationId }]) => [operationId, [method.toUpperCase(), route]]));
    assert.deepEqual(Object.entries(routes), described);
});

test('a call gives the answer; paths, queries, bodies and the Idempotency-Key arrive', async () => {
    const wish = { body: { type: 'image', prompt: 'a hill & a lake' }, once: 'once' };
    const job = await client.call('create_generation', wish);
    assert.equal(job.state, 'queued');
    assert.equal((await client.call('create_generation', wish)).id, job.id, 'the same key makes nothing new');
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

// A page that uses a field or a value that the description does not have does not compile.
test('what the description does not have is refused by the compiler', async () => {
    const folder = fs.mkdtempSync(path.join(kiln.folder, 'types-'));
    const source = path.join(root, 'clients/ts');
    const wrong = { field: "(await kiln.call('get_me')).handel", state: "(await kiln.call('list_generations', { query: { state: 'quede' } })).items", path: "await kiln.call('get_generation')", name: "await kiln.call('get_generatoin')" };
    for (const [name, text] of Object.entries({ right: "(await kiln.call('get_me')).handle", ...wrong })) fs.writeFileSync(path.join(folder, `${name}.ts`), `import { Kiln } from 'kiln/client.ts';\nconst kiln = new Kiln();\nexport const it = ${text};\n`);
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ extends: path.join(source, 'tsconfig.json'), compilerOptions: { paths: { 'kiln/*': [`${source}/*`] } }, include: ['*.ts'] }));
    const checked = await run(path.join(root, 'tests/node_modules/.bin/tsc'), ['-p', folder]);
    assert.deepEqual([...new Set(checked.out.match(/^\S*?(\w+)\.ts\(/gm).map(line => /(\w+)\.ts/.exec(line)[1]))].sort(), Object.keys(wrong).sort(), checked.out);
});

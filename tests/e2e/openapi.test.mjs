// docs/openapi.json: it has every route and no other, each schema says all that it allows, and a change of one word is noticed.
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Browser, without_browser } from './browser.mjs';
import { begin, request, root, run } from './lib.mjs';
import { api, description, Description, resolve } from './description.mjs';

let kiln, routes;
before(async () => {
    kiln = await begin();
    const listed = await run(path.join(kiln.bin, 'kiln-server'), ['--routes']);
    assert.equal(listed.code, 0, listed.err);
    routes = listed.out.trim().split('\n').map(line => JSON.parse(line)).map(route => ({ ...route, template: route.path.replace('...}', '}'), has_slashes: route.path.includes('...}') }));
});
after(() => kiln?.end());

const how_to = 'In docs/openapi.json each row of server/routes.c has an operation below paths, in the same order: tags, operationId (the function), summary, description, security, '
    + 'parameters, requestBody, and every status that it may answer; schemas of bodies stand below components.schemas. Then: make types docs.';

describe('the description and the route table', () => {
    test('have the same routes, in the same order', () => {
        const described = description.operations.map(({ method, template }) => `${method} ${template}`);
        const served = routes.map(route => `${route.method} ${route.template}`);
        assert.deepEqual(served.filter(one => !described.includes(one)), [], `these routes are not described. ${how_to}`);
        assert.deepEqual(described.filter(one => !served.includes(one)), [], `these are described and not served. ${how_to}`);
        const paths = [...new Set(routes.map(route => route.template))];
        assert.deepEqual(Object.keys(api.paths), paths, 'the paths stand in the order of server/routes.c');
    });

    test('agree on who may call, the status of success and the parameters of the path', () => {
        const kinds = { none: [], user: ['bearer', 'key'], admin: ['bearer', 'key'], watch: ['bearer', 'key'], signed: ['link'], stream: ['bearer', 'key', 'ticket'] };
        for (const route of routes) {
            const { operation, parameters } = description.operations.find(one => one.method === route.method && one.template === route.template);
            const name = `${route.method} ${route.template}`;
            assert.deepEqual(operation.security.flatMap(Object.keys), kinds[route.auth], `${name}: security`);
            assert.ok(operation.responses[route.status], `${name} succeeds with ${route.status}`);
            const in_path = parameters.filter(parameter => parameter.in === 'path');
            assert.deepEqual(in_path.map(parameter => `{${parameter.name}}`), route.template.match(/\{\w+\}/g) ?? [], `${name}: parameters of the path`);
            assert.equal(in_path.some(parameter => parameter['x-kiln-slashes']), route.has_slashes, `${name}: x-kiln-slashes`);
            if (route.function && !['finish_upload', 'open_media', 'sign_in', 'create_identity'].includes(route.function)) assert.equal(operation.operationId, route.function, `${name}: operationId`);
            assert.equal(operation.responses[500], undefined, `${name}: a 500 is a mistake, not an answer`);
        }
        const ids = description.operations.map(({ operation }) => operation.operationId);
        assert.equal(new Set(ids).size, ids.length, 'each operationId is there once');
    });

    test('every operation and every tag says in plain sentences what a client may rely on', () => {
        for (const { operation } of description.operations) {
            const { operationId: name, summary, description: text, tags } = operation;
            assert.match(summary ?? '', /^[A-Z].*[^.]$/, `${name}: a summary of a few words`);
            assert.match(text ?? '', /^[A-Z`].{20,}\.$/s, `${name}: a description of whole sentences`);
            for (const sentence of text.split(/(?<=\.)\s+/)) assert.ok(sentence.split(/\s+/).length <= 25, `${name}: more than 25 words: ${sentence}`);
            assert.deepEqual(tags.filter(tag => !api.tags.some(each => each.name === tag)), [], `${name}: a tag that is listed`);
        }
        for (const { name, description: text } of api.tags) {
            assert.match(text ?? '', /\.$/, `the tag ${name} has a sentence`);
            assert.ok(description.operations.some(({ operation }) => operation.tags.includes(name)), `the tag ${name} has operations`);
        }
        const summaries = description.operations.map(({ operation }) => operation.summary);
        assert.deepEqual(summaries.filter((one, index) => summaries.indexOf(one) !== index), [], 'each summary is there once');
    });

    // A key without the scope is refused by kiln_internal.scopes_of(); the description has to say which one it needs.
    test('the scopes that an operation names are those that the database asks for', async () => {
        const of_stream = { stream_events: 'open_stream', poll_events: 'open_stream', open_websocket: 'open_stream', watch_events: 'open_watch' };
        const asked = description.operations.filter(({ operation }) => operation.security.some(scheme => scheme.bearer)).map(({ operation }) => operation);
        const names = asked.map(({ operationId: name }) => of_stream[name] ?? name);
        const scopes = JSON.parse(await kiln.value(`select json_agg(array_to_json(kiln_internal.scopes_of(name)) order by place) from unnest('{${names}}'::text[]) with ordinality as f (name, place)`));
        for (const [index, operation] of asked.entries()) {
            const needed = scopes[index] ? `Scope${scopes[index].length > 1 ? 's' : ''}: ${scopes[index].map(scope => `\`${scope}\``).join(', ')}.` : 'Scopes: none suffices; a person has to sign in.';
            assert.ok(operation.description.endsWith(` ${needed}`), `${operation.operationId} ends with: ${needed}`);
        }
    });

    test('is served as it is in the repository, to anyone', async () => {
        const file = fs.readFileSync(path.join(root, 'docs/openapi.json'), 'utf8');
        for (const target of ['/openapi.json', '/api/v1/openapi.json']) {
            const answer = await request(kiln.url, 'GET', target);
            assert.equal(answer.status, 200);
            assert.equal(answer.headers['content-type'], 'application/json');
            assert.ok(answer.text === file, `${target} is docs/openapi.json`);
        }
        assert.equal((await request(kiln.url, 'HEAD', '/openapi.json')).status, 200);
        assert.equal((await request(kiln.url, 'POST', '/openapi.json')).status, 405);
    });

    // What every route can answer before its function is asked. That it is described, and in which form, is looked at with each answer.
    test('agree on what a broken query, a body of another type and one that is too large are told', async () => {
        const root = kiln.user('sweeper', { role: 'admin' });
        const looks_first = ['sign_in', 'create_identity'];      // a signature, before the query
        const ours = routes.filter(route => ['user', 'admin'].includes(route.auth) || /\/auth\/|\/models/.test(route.path));
        for (const { method, template, function: name } of ours) {
            const target = template.replace('/api/v1', '').replace(/\{\w+\}/, '1');
            const told = async (headers, body, query = '') => (await root.call(method, target + query, body, { headers, agent: false })).status;
            const broken = await told({}, method === 'GET' ? undefined : '{}', '?q=%');
            assert.ok(broken === 400 || broken === 422 && looks_first.includes(name), `${method} ${template}?q=%: ${broken}`);
            if (method === 'GET') continue;
            assert.equal(await told({ 'Content-Type': 'text/plain' }, 'x'), 415, `${method} ${template} with text/plain`);
            assert.equal(await told({ 'Content-Type': 'application/json', 'Content-Length': 40 * 1024 * 1024 }), 413, `${method} ${template} with 40 MiB`);
        }
    });
});

describe('the page', () => {
    const get = (target, headers = {}) => request(kiln.url, 'GET', target, { headers });
    const script = '/api/v1/docs/scalar.js';

    test('names each of its scripts by a nonce that no other answer has', async () => {
        const pages = [await get('/api/v1/docs'), await get('/api/v1/docs')];
        const nonces = pages.map(({ headers, text }) => {
            const nonce = /script-src 'nonce-([0-9a-f]{32})'/.exec(headers['content-security-policy'])[1];
            assert.deepEqual(text.match(/<script\b[^>]*?nonce="[^"]*"/g).map(tag => /nonce="(.*)"/.exec(tag)[1]), [nonce, nonce]);
            assert.equal(text.match(/<script/g).length, 2);
            assert.equal(headers['cache-control'], 'no-store');
            assert.match(headers['content-security-policy'], /^default-src 'none';.* connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/);
            assert.doesNotMatch(headers['content-security-policy'], /unsafe-eval|script-src[^;]*unsafe-inline|https?:/);
            return nonce;
        });
        assert.notEqual(nonces[0], nonces[1]);
        assert.match(pages[0].headers['content-type'], /^text\/html/);
        assert.doesNotMatch(pages[0].text, /https?:\/\//, 'it names no other host');
        assert.match(pages[0].text, /<html lang="en">[^]*<noscript>/);
    });

    test('its script and the description are packed for who takes gzip, and the same for who does not', async () => {
        for (const target of [script, '/openapi.json', '/api/v1/openapi.json']) {
            const plain = await raw(target);
            assert.equal(plain.headers['content-encoding'], undefined, `${target}, asked for without Accept-Encoding`);
            for (const accepted of ['gzip', 'deflate, GZIP;q=0.5, br', 'br;q=1,gzip']) {
                const packed = await raw(target, accepted);
                assert.deepEqual([packed.headers['content-encoding'], packed.headers.vary], ['gzip', 'Accept-Encoding'], `${target}: ${accepted}`);
                assert.ok(packed.bytes.length < plain.bytes.length / 3 && gunzipSync(packed.bytes).equals(plain.bytes), `${target}: ${accepted}`);
            }
            for (const accepted of ['identity', 'gzip;q=0', 'gzip ; q=0.000, br', 'xgzip, br']) assert.equal((await raw(target, accepted)).headers['content-encoding'], undefined, accepted);
        }
        assert.match((await raw(script)).headers['content-type'], /^text\/javascript/);
    });

    /** An answer's bytes as they came. */
    const raw = (target, accepted) => new Promise((resolve, reject) => {
        http.get(`${kiln.url}${target}`, { agent: false, headers: accepted ? { 'Accept-Encoding': accepted } : {} }, answer => {
            const parts = [];
            answer.on('data', bytes => parts.push(bytes)).on('end', () => resolve({ headers: answer.headers, bytes: Buffer.concat(parts) }));
        }).on('error', reject);
    });

    test('in a browser it keeps to its policy, asks this host alone, finds, shows samples in three languages and sends a request', { skip: without_browser }, async t => {
        const browser = await Browser.open(kiln.folder);
        t.after(() => browser.close());
        const page = await browser.page();
        const button = words => `[...document.querySelectorAll('button')].find(button => ${words}.test(button.innerText.trim()))`;
        const click = async (what, words) => page.until(what, `(button => button && (button.click(), true))(${button(words)})`);
        await page.go(`${kiln.url}/api/v1/docs#tag/authentication/GET/api/v1/me`);
        await page.until('the operation', button('/^Test Request[^]*get .api.v1.me\\)$/') + ' !== undefined');
        const shown = await page.value('document.body.innerText');
        for (const { name } of api.tags) assert.ok(shown.includes(name), `the group ${name}`);

        const { token } = kiln.user('reader');
        await page.until('the field for a token', `(field => field && (field.focus(), document.activeElement === field))(document.querySelector('input[placeholder=Token]'))`);
        await page.ask('Input.insertText', { text: token });

        await click('the languages', '/^Shell Curl$/');
        assert.deepEqual(await page.until('three languages', `(all => all.length === 3 && all.sort())([...document.querySelectorAll('[role=option]')].map(each => each.innerText.trim()))`), ['Curl', 'Fetch', 'Requests']);
        await page.value(`[...document.querySelectorAll('[role=option]')].find(each => each.innerText.trim() === 'Requests').click()`);
        await page.until('a sample in Python', `/requests\\.(get|post)/.test(document.body.innerText)`);

        await click('the request', '/^Test Request[^]*get .api.v1.me\\)$/');
        await click('its sending', '/^Send\\n/');
        await page.until('its answer', `document.body.innerText.includes('"role"') && document.body.innerText.includes('200 OK')`);

        await page.go('about:blank');
        await page.go(`${kiln.url}/api/v1/docs`);
        await click('the search', '/Search/');
        await page.until('its field', `document.activeElement?.tagName === 'INPUT'`);
        await page.ask('Input.insertText', { text: 'Presign an upload' });
        await page.until('what is found', `[...document.querySelectorAll('[role=option], [role=listbox] a')].some(each => each.innerText.includes('/uploads/presign'))`);

        const asked = page.requests.filter(url => !/^(about|data|blob):/.test(url));
        assert.ok(asked.includes(`${kiln.url}/api/v1/me`), 'the request was sent from the page');
        assert.deepEqual(asked.filter(url => !url.startsWith(`${kiln.url}/`)), [], 'nothing is asked of another host');
        assert.deepEqual(page.said, [], 'no violation, no error');
    });

    test('and the description are as scripts/openapi.mjs wants them, and the script is the released one', async () => {
        for (const name of ['openapi.mjs', 'vendor.sh']) {
            const checked = await run(path.join(root, 'scripts', name), ['--check']);
            assert.equal(checked.code, 0, checked.out + checked.err);
        }
    });
});

// The profile of a first call was all null: a stable function does not see the account that its own statement makes.
test('who calls for the first time gets an answer as described', async () => {
    for (const target of ['/me', '/me/export', '/me/identities', '/generations', '/conversations', '/notifications', '/api-keys', '/blocks', '/webhook-endpoints', '/invites']) {
        const answer = await kiln.user(`new${target}`).call('GET', target);
        assert.equal(answer.status, 200, target);
        if (target === '/me/identities') assert.equal(answer.json.items.length, 1, 'the identity it came with');
        if (target === '/me/export') assert.deepEqual([answer.json.identities.length, answer.json.account.role], [1, 'user']);
    }
});

// Things that are objects of others' making: parameters of models, what handlers need.
const free_form = /^(params|params_schema|example|rule|config)$/;

/** Every schema below one, with its path. */
function* schemas_below(schema, at, done = new Set()) {
    if (schema.$ref) {
        if (done.has(schema.$ref)) return;
        done.add(schema.$ref);
        yield* schemas_below(resolve(api, schema), schema.$ref, done);
    }
    yield [at, schema];
    for (const [key, below] of Object.entries(schema.properties ?? {})) yield* schemas_below(below, `${at}/${key}`, done);
    for (const key of ['anyOf', 'oneOf', 'allOf']) for (const [index, below] of (schema[key] ?? []).entries()) yield* schemas_below(below, `${at}/${key}/${index}`, done);
    if (schema.items) yield* schemas_below(schema.items, `${at}/items`, done);
    if (typeof schema.additionalProperties === 'object') yield* schemas_below(schema.additionalProperties, `${at}/*`, done);
}

describe('the schemas', () => {
    test('of answers name what is required and allow nothing else', () => {
        const done = new Set();
        for (const { method, template, operation } of description.operations) {
            for (const [status, said] of Object.entries(operation.responses)) {
                for (const [type, { schema }] of Object.entries(resolve(api, said).content ?? {})) {
                    if (!/json$/.test(type) || operation.operationId.startsWith('get_description')) continue;
                    for (const [at, each] of schemas_below(schema, `${method} ${template} ${status}`, done)) {
                        const is_object = each.type === 'object' || Array.isArray(each.type) && each.type.includes('object');
                        if (!is_object || each.$ref) continue;
                        if (free_form.test(at.split('/').at(-1))) continue;
                        if (!each.properties && typeof each.additionalProperties === 'object') continue;       // a map
                        assert.equal(each.additionalProperties, false, `${at}: additionalProperties: false`);
                        if (!/\/(sections|links)$/.test(at)) assert.ok(each.required?.length, `${at}: required`);
                        for (const key of each.required ?? []) assert.ok(each.properties[key], `${at}: ${key} is required and not described`);
                    }
                }
            }
        }
    });

    test('can all be compiled, and each is used', () => {
        const text = JSON.stringify(api);
        for (const [kind, things] of Object.entries(api.components)) {
            if (kind === 'securitySchemes') continue;
            for (const name of Object.keys(things)) {
                if (kind === 'schemas') assert.equal(typeof description.validator('components', 'schemas', name), 'function', name);
                assert.ok(text.includes(`"#/components/${kind}/${name}"`) || name === 'NoMethod', `components.${kind}.${name} is used`);
            }
        }
    });

    test('have a sentence for each field', () => {
        for (const [name, schema] of Object.entries(api.components.schemas)) {
            assert.ok(schema.description, `${name} has no description`);
            for (const [key, field] of Object.entries(schema.properties ?? {})) assert.ok((field.description ?? resolve(api, field).description), `${name}.${key} has no description`);
        }
    });
});

describe('one changed word', () => {
    let answers;
    before(async () => {
        const ann = kiln.user('ann');
        const job = await ann.make({ type: 'image', prompt: 'a hill' });
        answers = [];
        for (const [method, target, body] of [['GET', '/me'], ['GET', '/generations'], ['GET', `/generations/${job.id}`], ['GET', '/models'], ['GET', '/notifications'], ['POST', '/generate', { type: 'none' }], ['GET', '/generations/1x']]) {
            answers.push([method, `/api/v1${target}`, await ann.call(method, target, body)]);
        }
        for (const [method, target, answer] of answers) assert.equal(description.faults(method, target, answer), undefined);
    });
    const refuses = changed => answers.some(([method, target, answer]) => new Description(changed).faults(method, target, answer));
    const described = ['Account', 'Job', 'JobPage', 'JobAdvance', 'JobLinks', 'Cost', 'Model', 'Price', 'Problem', 'FieldError', 'NoticePage'];

    test('a renamed field is noticed, whichever', () => {
        for (const name of described) {
            for (const key of Object.keys(api.components.schemas[name].properties)) {
                const changed = structuredClone(api);
                const schema = changed.components.schemas[name];
                schema.properties = Object.fromEntries(Object.entries(schema.properties).map(([each, value]) => [each === key ? `${each}_x` : each, value]));
                schema.required = schema.required.map(each => (each === key ? `${each}_x` : each));
                assert.ok(refuses(changed), `${name}.${key} under another name`);
            }
        }
    });

    test('a renamed value of an enum is noticed', () => {
        for (const [name, value] of [['JobState', 'queued'], ['MediaType', 'image'], ['Role', 'user'], ['ProblemCode', 'invalid_field'], ['ProblemCode', 'not_found']]) {
            const changed = structuredClone(api);
            const schema = changed.components.schemas[name];
            schema.enum = schema.enum.map(each => (each === value ? `${each}_x` : each));
            assert.ok(refuses(changed), `${name}: ${value} under another name`);
        }
    });

    test('a status or a route that is taken away is noticed', () => {
        const without_status = structuredClone(api);
        delete without_status.paths['/api/v1/generate'].post.responses[422];
        assert.match(new Description(without_status).faults(...answers[5]), /POST \/api\/v1\/generate: 422, which docs\/openapi.json does not describe/);
        const without_route = structuredClone(api);
        delete without_route.paths['/api/v1/me'];
        assert.match(new Description(without_route).faults(...answers[0]), /no such route/);
    });
});

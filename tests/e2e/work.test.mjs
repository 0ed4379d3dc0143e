// The work that a body makes is in proportion to its size, whatever stands in it: on every route of docs/openapi.json that takes one, each
// of its fields as hostile as its type allows, in the largest body.
//
// Counted is the processor time of the server and of its database sessions (/proc/PID/schedstat, in ns): waiting is not in it. (Virtual
// machines seldom have a counter of instructions.) It is no exact count: page faults and shared caches make it grow faster than the body, and
// a loaded machine doubles it. So both are asked, harm and growth: a body that costs less than 2 s passes, and one that costs more is
// sent at a quarter, a half and the whole of its size. What is linear takes 4 times as much for the fourfold, what is quadratic 16 times; more
// than 8 fails. The least of five tries holds. The largest body has room for some 100,000 elements: whatever looks at each for each takes
// 10^10 steps, thus seconds; what is linear takes at most some 0.1 s.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { begin, request, until } from './lib.mjs';
import { description, resolve } from './description.mjs';
import { Generator } from './generate.mjs';

const whole = 1_000_000, sizes = [whole / 4, whole / 2, whole];
const harm_ns = 2e9, growth = 8, tries = 5;

let kiln, root, ids, make;
before(async () => {
    kiln = await begin();
    await kiln.psql(`select kiln.pause_queue(name) from kiln.queue`);
    root = kiln.user('root', { role: 'admin' });
    const bob = kiln.user('bob');
    await root.call('PATCH', '/me', { handle: 'root' });
    await bob.call('PATCH', '/me', { handle: 'bob' });
    const other = (await bob.get('/me')).id;
    const job = (await root.make({ type: 'image', prompt: 'a hill' })).id;
    await root.call('POST', `/generations/${job}/cancel`);
    const conversation = (await root.call('POST', '/conversations', { account_id: other })).json.id;
    const message = (await root.call('POST', `/conversations/${conversation}/messages`, { text: 'one' })).json.id;
    const project = (await root.call('POST', '/projects', { name: 'p' })).json.id;
    ids = { generations: job, jobs: job, conversations: conversation, messages: message, projects: project, accounts: other, categories: 'outfit' };
    assert.ok(Object.values(ids).every(Boolean), JSON.stringify(ids));
    make = new Generator(1, description, { ids: ['1'], words: ['local'] });
});
after(() => kiln?.end());

// --- bodies of any size

const fill = (size, part, join = '') => Array(Math.max(1, Math.floor(size / (part(size).length + join.length)))).fill().map((_, i) => part(i)).join(join);
/** JSON texts of about `size` bytes. */
const shapes = {
    text: size => `"${'a b '.repeat(size / 4)}"`,
    letters: size => `"${'x'.repeat(size)}"`,
    strings: size => `[${fill(size, () => '"1"', ',')}]`,
    words: size => `[${fill(size, i => `"read${i}"`, ',')}]`,
    numbers: size => `[${fill(size, () => '1e99', ',')}]`,
    keys: size => `{${fill(size, i => `"key-${i}": ${i}`, ',')}}`,
    lists: size => `[${fill(size, () => '[[[]]]', ',')}]`,
};
const of_type = { string: ['text', 'letters', 'numbers'], array: ['strings', 'words', 'lists'], object: ['keys', 'lists'] };

function properties_of(schema) {
    const is = resolve(description.api, schema);
    return [is, ...(is.anyOf ?? []), ...(is.oneOf ?? []), ...(is.allOf ?? [])].map(each => resolve(description.api, each)).reduce((all, each) => ({ ...all, ...each.properties }), {});
}
/** [name, size → text] of the bodies of a route: each field in turn, the others right, and fields that nobody knows. */
function bodies(operation) {
    const schema = operation.requestBody?.content?.['application/json']?.schema;
    const unknown = [['fields that are not known', size => shapes.keys(size)]];
    if (!schema) return unknown;
    const right = make.fitting(schema);
    return unknown.concat(Object.entries(properties_of(schema)).flatMap(([key, field]) => {
        const is = resolve(description.api, field);
        const type = [is.type ?? (is.anyOf ?? is.oneOf ?? []).map(each => resolve(description.api, each).type)].flat().find(each => of_type[each]);
        return (of_type[type] ?? ['numbers']).map(shape => [`${key}: ${shape}`, size => {
            const others = JSON.stringify({ ...right, [key]: undefined }).slice(1, -1);
            return `{${others}${others && ','}${JSON.stringify(key)}: ${shapes[shape](size)}}`;
        }]);
    }));
}

// --- counting

async function counted() {
    const sessions = (await kiln.rows(`select pid from pg_stat_activity where application_name like 'kiln-server%'`)).map(row => row.pid);
    return [kiln.main.pid, ...sessions].map(pid => Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0])).reduce((sum, ns) => sum + ns, 0);
}
async function work(method, target, body, type = 'application/json') {
    const from = await counted();
    const answer = await request(kiln.url, method, `/api/v1${target}`, { headers: { Authorization: `Bearer ${root.token}`, 'Content-Type': type }, body, undescribed: true });
    const ns = await counted() - from;
    assert.ok(answer.status >= 200 && answer.status < 500 && answer.status !== 413, `${method} ${target} ${body.slice(0, 200)}: ${answer.status} ${answer.text.slice(0, 300)}`);
    return ns;
}
const faults = [];
let costliest = { ns: 0 };
async function is_linear(name, method, target, body, type) {
    const first = await work(method, target, body(whole), type);
    if (first > costliest.ns) costliest = { ns: first, text: `${method} ${target}, ${name}: ${Math.round(first / 1e6)} ms` };
    if (first < harm_ns) return;
    const least = sizes.map(() => Infinity);
    for (let attempt = 0; attempt < tries; attempt++) {
        for (const [i, size] of sizes.entries()) least[i] = Math.min(least[i], await work(method, target, body(size), type));
        if (least[2] < harm_ns || least[2] <= growth * least[0]) return;
    }
    faults.push(`${method} ${target}, ${name}: ${least.map(ns => `${Math.round(ns / 1e6)} ms`).join(', ')}`);
}

test('the work of every route that takes a body is linear in it, and none answers 5xx', { timeout: 300_000 }, async t => {
    const routes = description.operations.filter(({ method, operation }) => method !== 'GET' && operation.responses[415]);
    let count = 0;
    // These would end the caller's session.
    for (const { method, template, operation } of routes.filter(({ operation }) => !/delete_me|sign_out|delete_identity/.test(operation.operationId))) {
        const target = template.replace('/api/v1', '').replace(/(\w+)\/\{\w+\}/, (_, kind) => `${kind}/${ids[kind] ?? '1'}`);
        for (const [name, body] of bodies(operation)) {
            await is_linear(name, method, target, body);
            count++;
        }
    }
    t.diagnostic(`${count} bodies on ${routes.length} routes; the costliest: ${costliest.text}`);
    assert.ok(count > 100);
    assert.deepEqual(faults.splice(0), []);
});

test('so is that of parameters that are many, of a form of many parts, and of a query', { timeout: 120_000 }, async () => {
    const schema = await kiln.value(`select params_schema from kiln.model where name = 'local/sketch'`);
    const [known] = Object.keys(JSON.parse(schema).properties);
    for (const target of ['/generate', '/generate/estimate']) {
        await is_linear('unknown parameters', 'POST', target, size => `{"type": "image", "model": "local/sketch", "prompt": "x", "params": ${shapes.keys(size / 20)}}`);
        for (const shape of ['lists', 'letters', 'keys']) await is_linear(`a parameter: ${shape}`, 'POST', target, size => `{"type": "image", "model": "local/sketch", "prompt": "x", "params": {"${known}": ${shapes[shape](size)}}}`);
    }
    const part = (name, value) => `--boundary\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    for (const [name, one] of [['fields', i => part(`field-${i}`, 'x')], ['media', () => part('media', '1')], ['one field again', () => part('prompt', 'y')]]) {
        await is_linear(`a form of many ${name}`, 'POST', '/tryons', size => `${fill(size, one)}--boundary--\r\n`, 'multipart/form-data; boundary=boundary');
    }
    for (const query of ['q=', 'cursor=', 'type=']) await is_linear(query, 'PATCH', `/me?${query}${'a'.repeat(4000)}`, shapes.keys);
    assert.deepEqual(faults.splice(0), []);
    await until('the server to be ready', async () => (await request(kiln.url, 'GET', '/readyz')).status === 200);
});

// The contract, held against requests nobody thought of: generated from docs/openapi.json, each answer must be one that it describes, and
// none a 500. A thousand here; `make contract` sends ten thousand. A failure names the seed: make contract SEED=…
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import Ajv from 'ajv/dist/2020.js';
import { begin, in_seconds, make_token, request } from './lib.mjs';
import { description, path_of } from './description.mjs';
import { Generator } from './generate.mjs';

const seed = Number(process.env.TEST_CONTRACT_SEED || Math.floor(Math.random() * 4294967296));
const count = Number(process.env.TEST_CONTRACT_REQUESTS || 1000);
// Streams do not end by themselves (their own tests have them).
const left_out = new Set(['stream_events', 'watch_events', 'open_websocket']);
// These end what the others need; who calls them is somebody new.
const parting = new Set(['delete_me', 'sign_out_everywhere', 'delete_identity']);

let kiln, tokens, fresh = 0, links;
before(async () => {
    kiln = await begin();
    const ann = kiln.user('ann', { role: 'admin' }), bob = kiln.user('bob');
    const job = await ann.make({ type: 'image', prompt: 'a hill' });
    await bob.make({ type: 'image', prompt: 'a lake' });
    for (const [who, handle] of [[ann, 'ann'], [bob, 'bob']]) await who.call('PATCH', '/me', { handle });
    const other = (await bob.get('/me')).id;
    const conversation = (await ann.call('POST', '/conversations', { account_id: other })).json.id;
    for (const text of ['one', 'two']) await ann.call('POST', `/conversations/${conversation}/messages`, { text });
    await ann.call('POST', '/webhook-endpoints', { url: 'https://example.com/hook', types: ['job.completed'] });
    const key = (await ann.call('POST', '/api-keys', { name: 'k', scopes: ['read', 'generate'] })).json.key;
    const place = (await ann.call('POST', '/uploads/presign', { filename: 'a.png', content_type: 'image/png', bytes: 67 })).json;
    links = [place.url];
    assert.ok(job.id && key);
    const bearer = token => ({ Authorization: `Bearer ${token}` });
    tokens = [bearer(ann.token), bearer(bob.token), { 'X-API-Key': key }, {}, bearer('x.y.z'), { 'X-API-Key': 'kiln_no' },
        bearer(make_token({ sub: 'ann', exp: in_seconds(-60) }, kiln.secret)), bearer(make_token({ sub: 'ann', exp: in_seconds(60) }, 'another secret'))];
});
after(() => kiln?.end());

/** What an operator's routes may have done to the callers, undone. */
const restore = () => kiln.arrange(`update kiln.account set is_suspended = false, tokens_from = null where deleted_at is null and (is_suspended or tokens_from is not null)`);

test(`${count} requests generated with seed ${seed}: no 500, no answer outside the description`, async t => {
    const make = new Generator(seed, description, { ids: [...Array.from({ length: 12 }, (_, i) => String(i + 1)), '999999'], links,
        words: ['local', 'image', 'video', 'cpu', 'generate', 'tryon', 'fal', 'local/scene', 'living_room', 'modern', 'ann', 'bob', 'ann_1', 'x', 'dress', 'outfit', 'http'] });
    const routes = description.operations.filter(({ operation }) => !left_out.has(operation.operationId));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const wrong = new Map(), statuses = new Map();
    let sent = 0;
    async function send(index) {
        const route = index < routes.length ? routes[index] : make.one(routes);
        const made = make.request(route, tokens);
        const met = description.find(made.method, path_of(made.target));      // the method may be another than the route's
        if (parting.has(met?.operation.operationId)) made.headers = { ...made.headers, Authorization: `Bearer ${kiln.user(`fresh-${fresh++}`).token}`, 'X-API-Key': 'kiln_no' };
        if (index % 50 === 0) await restore();
        const answer = await request(kiln.url, made.method, made.target, { ...made, agent, undescribed: true }).catch(error => ({ status: 0, headers: {}, text: String(error) }));
        // A connection may be closed under a body that is too large to be read to its end.
        if (answer.status === 0 && /EPIPE|ECONNRESET|socket hang up/.test(answer.text) && (made.body?.length ?? 0) > 65536) return;
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const fault = answer.status === 0 ? `no answer: ${answer.text}` : description.faults(made.method, made.target, answer);
        if (fault) {
            const kind = fault.slice(0, 120);
            if (!wrong.has(kind)) wrong.set(kind, `request ${index}: ${made.method} ${made.target.slice(0, 300)} ${JSON.stringify(made.body ?? null).slice(0, 600)}\n    ${fault}`);
        }
    }
    await Promise.all(Array.from({ length: 8 }, async () => { while (sent < count) await send(sent++); }));
    agent.destroy();
    t.diagnostic(`answers: ${[...statuses].sort().map(([status, n]) => `${n} × ${status}`).join(', ')}`);
    assert.equal(wrong.size, 0, `with TEST_CONTRACT_SEED=${seed}:\n${[...wrong.values()].join('\n')}`);
    assert.ok((statuses.get(200) ?? 0) > count / 20, 'many of the requests were good');
    assert.ok((statuses.get(401) ?? 0) < count / 4, 'who calls is still let in');
    assert.equal(kiln.main.ended, undefined, 'the server runs');
});

// --- parameters of models

/** Pseudo-random, so that a failure can be had again. */
function dice(from) {
    let state = from >>> 0;
    const next = () => { state = (state + 0x6d2b79f5) >>> 0; let t = state; t = Math.imul(t ^ t >>> 15, t | 1); t ^= t + Math.imul(t ^ t >>> 7, t | 61); return ((t ^ t >>> 14) >>> 0) / 4294967296; };
    return { next, upto: n => Math.floor(next() * n), one: list => list[Math.floor(next() * list.length)], maybe: (share, value) => next() < share ? value() : undefined };
}
const without_holes = object => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
const names = ['a', 'b', 'c/d', 'e~f', '', 'ü'];
const texts = ['', 'a', 'ab', 'ü', '💡💡', 'red', '7', 'true', 'a/b'];
const numbers = [0, 1, -1, 2, 3, 0.5, 1.5, 64, 100, -7, 1e3];
const anything = d => d.one([() => d.one(texts), () => d.one(numbers), () => d.next() < 0.5, () => null, () => [], () => [d.one(numbers), d.one(texts)], () => ({ a: d.one(numbers) })])();

/** A schema of the part that Kiln knows, as docs/provider-fields.md has it. */
function make_schema(d, depth = 1) {
    const type = d.one(['string', 'integer', 'number', 'boolean', ...(depth < 4 ? ['array', 'object'] : []), undefined]);
    const bounds = (low, high, values) => { const [x, y] = [d.one(values), d.one(values)].sort((p, q) => p - q); return { [low]: d.maybe(0.5, () => x), [high]: d.maybe(0.5, () => y) }; };
    return without_holes({
        type, title: d.maybe(0.1, () => 'T'),
        enum: d.maybe(type === undefined ? 0.5 : 0.15, () => Array.from({ length: 1 + d.upto(3) }, () => type === 'string' ? d.one(texts) : type === 'integer' ? d.upto(5) : anything(d))),
        ...(type === 'string' ? bounds('minLength', 'maxLength', [0, 1, 2, 3]) : {}),
        // Fractions that are whole in binary: ajv divides floats, Kiln is exact.
        ...(type === 'integer' || type === 'number' ? { ...(d.next() < 0.7 ? bounds('minimum', 'maximum', numbers) : bounds('exclusiveMinimum', 'exclusiveMaximum', numbers)), multipleOf: d.maybe(0.2, () => d.one([1, 2, 0.5, 0.25])) } : {}),
        ...(type === 'array' ? { items: d.maybe(0.8, () => make_schema(d, depth + 1)), ...bounds('minItems', 'maxItems', [0, 1, 2]), uniqueItems: d.maybe(0.3, () => true) } : {}),
        ...(type === 'object' ? make_object(d, depth) : {}),
    });
}
function make_object(d, depth) {
    const properties = Object.fromEntries(names.filter(() => d.next() < 0.5).map(name => [name, make_schema(d, depth + 1)]));
    return without_holes({ properties, required: d.maybe(0.5, () => Object.keys(properties).filter(() => d.next() < 0.4)), additionalProperties: depth === 1 ? false : d.maybe(0.5, () => d.next() < 0.5) });
}
/** A value that often fits. */
function make_value(d, schema) {
    if (d.next() < 0.12) return anything(d);
    if (schema.enum && d.next() < 0.8) return d.one(schema.enum);
    switch (schema.type) {
        case 'string': return d.one(texts);
        case 'integer': return d.next() < 0.9 ? d.upto(8) - 2 : 1.5;
        case 'number': return d.one(numbers);
        case 'boolean': return d.next() < 0.5;
        case 'array': return Array.from({ length: d.upto(3) }, () => make_value(d, schema.items ?? {}));
        case 'object': return Object.fromEntries([...Object.entries(schema.properties ?? {}).filter(() => d.next() < 0.8).map(([name, each]) => [name, make_value(d, each)]), ...(d.next() < 0.1 ? [['other', 1]] : [])]);
        default: return anything(d);
    }
}
/** One thing of it becomes something else: a schema with a mistake, most often. */
function spoil(d, schema) {
    const copy = structuredClone(schema), places = [];
    const walk = (at, key, value) => { places.push([at, key]); if (value && typeof value === 'object') for (const [k, v] of Object.entries(value)) walk(value, k, v); };
    for (const [key, value] of Object.entries(copy)) walk(copy, key, value);
    const [at, key] = d.one(places);
    if (d.next() < 0.3 && !Array.isArray(at)) { at[d.one(['pattern', 'format', 'minimum', 'items', 'required', 'enum', 'minLength', 'const', 'properties'])] = anything(d); } else at[key] = anything(d);
    return copy;
}

test(`a model's schema and its parameters are judged as ajv judges them, on schemas generated with seed ${seed}`, async t => {
    const d = dice(seed), schemas = [];
    for (let i = 0; i < 400; i++) {
        const schema = { type: 'object', ...make_object(d, 1) };
        schemas.push({ schema: i % 2 ? schema : spoil(d, schema), values: Array.from({ length: 8 }, () => make_value(d, schema)) });
    }
    const answers = JSON.parse(await kiln.psql(`
        select json_agg(json_build_object('refused', s.refused, 'bad', case when s.refused is null then s.bad end) order by s.n)
          from (select x.n, (select string_agg(c.field || ' ' || c.message, '; ') from kiln_internal.check_schema(x.item -> 'schema') c) as refused,
                       case when not exists (select from kiln_internal.check_schema(x.item -> 'schema'))
                            then (select json_agg((kiln_internal.check_params(x.item -> 'schema', v.value)).errors order by v.n) from jsonb_array_elements(x.item -> 'values') with ordinality as v (value, n)) end as bad
                  from jsonb_array_elements($cases$${JSON.stringify(schemas)}$cases$::jsonb) with ordinality as x (item, n)) s`));
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
    let good = 0, refused = 0, fits = 0;
    for (const [i, { schema, values }] of schemas.entries()) {
        const shown = `${JSON.stringify(schema)} with seed ${seed}`;
        if (answers[i].refused) { refused++; continue; }
        good++;
        assert.ok(ajv.validateSchema(schema), `Kiln takes a schema that ajv refuses (${ajv.errorsText()}): ${shown}`);
        const validate = ajv.compile({ ...schema, additionalProperties: false });     // as every stored one has it
        for (const [n, value] of values.entries()) {
            const bad = answers[i].bad[n];
            assert.equal(bad.length === 0, validate(value), `${JSON.stringify(value)} by ${shown}: ajv says ${ajv.errorsText(validate.errors)}, Kiln ${JSON.stringify(bad)}`);
            if (bad.length === 0) fits++;
            // And it blames the same places: each that Kiln names is one of ajv's, or of a key that ajv names by its object.
            const blamed = new Set((validate.errors ?? []).map(e => `/params${e.instancePath}${e.keyword === 'additionalProperties' ? `/${e.params.additionalProperty.replace(/~/g, '~0').replace(/\//g, '~1')}` : e.keyword === 'required' ? `/${e.params.missingProperty.replace(/~/g, '~0').replace(/\//g, '~1')}` : ''}`));
            for (const { field } of bad) assert.ok(blamed.has(field), `${field} of ${JSON.stringify(value)} by ${shown}: ajv blames ${[...blamed]}`);
        }
    }
    t.diagnostic(`${good} schemas taken, ${refused} refused, ${fits} of ${good * 8} values fit`);
    assert.ok(good > 100 && refused > 50 && fits > 100, `${good} ${refused} ${fits}`);
});

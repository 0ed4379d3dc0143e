// The REST interface as a client meets it: what is refused and how, lists, idempotency, tokens, health, roles, and a database that is away.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { description } from './description.mjs';
import { begin, in_seconds, make_token, request, until } from './lib.mjs';

const job_input = { type: 'image', prompt: 'a hill' };

describe('REST', () => {
    let kiln, ann, bob;
    before(async () => {
        kiln = await begin();
        [ann, bob] = [kiln.user('ann'), kiln.user('bob')];
        await kiln.psql(`select kiln.pause_queue(name) from kiln.queue`);      // what is made here stays queued
    });
    after(() => kiln.end());

    /** Every refusal has the same form. */
    function check_problem(answer, status, code) {
        assert.equal(answer.status, status, answer.text);
        assert.match(answer.headers['content-type'], /^application\/problem\+json/);
        const { json } = answer;
        assert.equal(json.status, status);
        assert.equal(json.code, code);
        assert.ok(json.type && json.title && json.detail, answer.text);
        assert.equal(json.request_id, answer.headers['x-request-id']);
        if (status === 503 || status === 429) assert.ok(Number(answer.headers['retry-after']) > 0);
        return json;
    }
    const refused = async (method, target, body, status, code, more) => check_problem(await ann.call(method, target, body, more), status, code);
    const fields = json => json.errors.map(error => error.field).sort();

    describe('refuses', () => {
        test('what is malformed, with 400', async () => {
            for (const body of ['{', '[]', '"text"', 'null', '{"type": "image",}', Buffer.from('{"type": "image", "prompt": "\xff\xfe"}', 'latin1'), '['.repeat(200), `{"a":${'['.repeat(101)}${']'.repeat(101)}}`]) {
                const answer = await ann.call('POST', '/generate', body);
                assert.deepEqual([body, answer.status], [body, 400]);
                check_problem(answer, 400, 'malformed');
            }
            for (const target of ['/generations?limit=0', '/generations?limit=101', '/generations?limit=x', '/generations?limit=-1', '/generations?cursor=***', '/generations?cursor=aGk', '/generations?type=smell', '/generations?state=bored', '/models?sort=best']) {
                const answer = await ann.call('GET', target);
                assert.deepEqual([target, answer.status], [target, 400]);
                check_problem(answer, 400, 'malformed');
            }
        });
        // A schema that was written before schemas were checked told each user "cannot call jsonb_each on a non-object", as theirs (400).
        test('no words of PostgreSQL: what fails inside is ours, and the log has it', async () => {
            await kiln.psql(`alter table kiln.model disable trigger t20_check`);
            const kept = await kiln.value(`select params_schema from kiln.model where name = 'local/sketch'`);
            try {
                for (const [broken, sqlstate] of [['{"type": "object", "properties": []}', '22023'], ['{"type": "object", "properties": {"width": {"type": "integer", "minimum": "few"}}}', '22P02']]) {
                    await kiln.psql(`update kiln.model set params_schema = '${broken}' where name = 'local/sketch'`);
                    const answer = await ann.call('POST', '/generate', { type: 'image', model: 'local/sketch', prompt: 'a hill', params: { width: 512 } }, { undescribed: true });
                    check_problem(answer, 500, 'internal');
                    assert.doesNotMatch(answer.text, /jsonb|numeric|syntax|few/);
                    const id = answer.json.request_id;
                    await until('the log to have it', () => kiln.main.output.split('\n').some(line => line.includes(id) && line.includes(sqlstate)));
                }
            } finally {
                await kiln.psql(`update kiln.model set params_schema = $schema$${kept}$schema$ where name = 'local/sketch'; alter table kiln.model enable always trigger t20_check`);
            }
        });
        // jsonb keeps 1e131071 in a few bytes, and SQL writes 131,072 digits of it: 27 KB of them took 1.6 GB.
        test('a number with a big exponent by its place, on every route that takes a body', async () => {
            const admin = kiln.user('root', { role: 'admin' });
            await admin.account();
            const huge = Array(3000).fill('1e131071').join();
            const json_routes = description.operations.filter(({ method, template, operation }) => method !== 'GET' && operation.responses[415] && !/media\/\{id\}$/.test(template));
            assert.ok(json_routes.length > 50);
            for (const { method, template } of json_routes) {
                const answer = await admin.call(method, template.replace('/api/v1', '').replace(/\{\w+\}/, '1'), `{"type": "image", "prompt": [${huge}]}`);
                assert.deepEqual([method, template, answer.status, answer.json?.errors], [method, template, 422, [{ field: '/prompt/0', message: 'must be a number of at most 40 characters, with at most two digits of exponent' }]]);
            }
            for (const [body, field] of [['{"prompt": "1e131071", "seed": -1e100}', '/seed'], [`{"params": {"a/b": [0, {"c": ${'1'.repeat(41)}}]}}`, '/params/a~1b/1/c'], ['1E+999', '']]) {
                assert.deepEqual(fields(await refused('POST', '/generate/estimate', body, 422, 'invalid_field')), [field], body);
            }
        });
        test('a character that no text can hold, by the field', async () => {
            for (const [body, field] of [['{"type": "image", "prompt": "a\\u0000b"}', '/prompt'], ['{"type": "image", "media": ["1", "\\ud800"]}', '/media/1'], ['{"params": {"x": "\\udc00"}}', '/params/x'], ['{"a\\u0000": 1}', '']]) {
                const json = await refused('POST', '/generate', body, 422, 'invalid_field');
                assert.deepEqual(fields(json), [field], body);
                assert.match(json.errors[0].message, /U\+0000|surrogate/);
            }
            assert.equal((await ann.call('POST', '/generate', '{"type": "image", "prompt": "\\ud83d\\ude00 \\\\u0000"}')).status, 202, 'a whole pair is a character, and an escaped backslash escapes nothing');
        });
        test('a list that is longer than it may be, before its elements are looked at', async () => {
            for (const [target, body, field] of [['/api-keys', { name: 'k', scopes: Array(100_000).fill('read') }, '/scopes'], ['/webhook-endpoints', { url: 'https://example.com/', types: Array(50_000).fill('job.completed') }, '/types'],
                ['/notifications/read', { ids: Array(100_000).fill('1') }, '/ids'], ['/conversations', { members: Array(100_000).fill('1') }, '/members'], ['/projects', { name: 'p', media: Array(100_000).fill('1') }, '/media']]) {
                assert.deepEqual(fields(await refused('POST', target, body, 422, 'invalid_field')), [field]);
            }
        });
        test('many fields at once, with sentences that are whole', async () => {
            const json = await refused('POST', '/generate/estimate', { type: 'image', prompt: 'x', params: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`a parameter of no model, whose name is as long as it may be, and longer ${i}`, i])) }, 422, 'invalid_field');
            assert.equal(json.errors.length, 8);
            for (const text of [json.detail, ...json.errors.map(error => error.message)]) assert.match(text, /(…|here|and more)$/);
        });
        test('a query that is too long or holds too much, and says which', async () => {
            for (const [query, says] of [[`q=${'a'.repeat(4200)}`, /4 KiB/], ['a=1&'.repeat(33), /32 parameters/], ['q=%zz', /percent-encoded/], ['q=%00', /percent-encoded/]]) {
                assert.match((await refused('GET', `/generations?${query}`, undefined, 400, 'malformed')).detail, says);
            }
        });
        test('who is nobody, with 401 and what to send', async () => {
            for (const [method, target] of [['GET', '/generations'], ['POST', '/generate'], ['GET', '/generations/1'], ['DELETE', '/generations/1'], ['POST', '/uploads/presign'], ['POST', '/stream-tickets'], ['GET', '/events']]) {
                const answer = await request(kiln.url, method, `/api/v1${target}`);
                check_problem(answer, 401, 'unauthorized');
                assert.match(answer.headers['www-authenticate'], /^Bearer/);
            }
        });
        test('what is not there, or not yours, with the same 404', async () => {
            const job = await ann.make(job_input);
            const there = await bob.call('GET', `/generations/${job.id}`);
            const not = await bob.call('GET', '/generations/999999999');
            assert.equal(check_problem(there, 404, 'not_found').detail, check_problem(not, 404, 'not_found').detail, 'one cannot tell which it is');
            for (const [method, target] of [['DELETE', ''], ['POST', '/cancel'], ['POST', '/retry']]) check_problem(await bob.call(method, `/generations/${job.id}${target}`), 404, 'not_found');
            assert.equal((await ann.get(`/generations/${job.id}`)).state, 'queued', 'and nothing has happened to it');
            for (const target of ['/nothing', '/generations/1/explode', '/models/no/such', '/models/none']) await refused('GET', target, undefined, 404, 'not_found');
            check_problem(await request(kiln.url, 'GET', '/'), 404, 'not_found');
            for (const id of ['abc', '0x1', '1%20', '99999999999999999999999', '-1', '1;drop']) {
                const answer = await ann.call('GET', `/generations/${id}`);
                assert.ok([400, 404].includes(answer.status), `${id}: ${answer.status}`);
            }
        });
        test('another method, with 405 and those that are allowed', async () => {
            for (const [method, target, allowed] of [['PUT', '/generations', 'GET, HEAD'], ['GET', '/generate', 'POST'], ['PATCH', '/generations/1', 'GET, HEAD, DELETE'], ['POST', '/media/1', 'PUT, GET, HEAD'], ['POST', '/events', 'GET']]) {
                const answer = await ann.call(method, target);
                check_problem(answer, 405, 'method_not_allowed');
                assert.equal(answer.headers.allow, allowed, `${method} ${target}`);
            }
        });
        test('what the state does not allow, with 409', async () => {
            const job = await ann.make(job_input);
            await refused('DELETE', `/generations/${job.id}`, undefined, 409, 'state_conflict');
            await refused('POST', `/generations/${job.id}/retry`, undefined, 409, 'state_conflict');
            assert.equal((await ann.call('POST', `/generations/${job.id}/cancel`)).json.state, 'cancelled');
            await refused('POST', `/generations/${job.id}/cancel`, undefined, 409, 'state_conflict');
        });
        test('a body that is too large with 413, also one that does not say so', async () => {
            const large = JSON.stringify({ ...job_input, prompt: 'x'.repeat(1 << 20) });
            await refused('POST', '/generate', large, 413, 'too_large');
            const answer = await new Promise((resolve, reject) => {
                const req = http.request(`${kiln.url}/api/v1/generate`, { method: 'POST', headers: { Authorization: `Bearer ${ann.token}`, 'Content-Type': 'application/json' } }, res => { res.resume(); resolve(res); });
                req.on('error', reject);
                for (let i = 0; i < large.length; i += 65536) req.write(large.slice(i, i + 65536));     // chunked
                req.end();
            });
            assert.equal(answer.statusCode, 413);
        });
        test('another type of body, with 415', async () => {
            for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', '']) await refused('POST', '/generate', JSON.stringify(job_input), 415, 'unsupported_media_type', { headers: { 'Content-Type': type } });
            assert.equal((await ann.call('POST', '/generate', JSON.stringify(job_input), { headers: { 'Content-Type': 'application/json; charset=utf-8' } })).status, 202);
        });
        test('fields that are wrong, with 422 and all of them at once', async () => {
            const json = await refused('POST', '/generate', { type: 'smell', prompt: 7, seed: -1, variants: 9, media: 'all', colour: 'red' }, 422, 'invalid_field');
            assert.deepEqual(fields(json), ['/colour', '/media', '/prompt', '/seed', '/type', '/variants']);
            assert.ok(json.errors.every(error => error.message.length > 3));
            for (const [body, field] of [
                [{ type: 'image' }, '/prompt'], [{ type: 'image', prompt: '  ' }, '/prompt'], [{ type: 'image', prompt: 'x'.repeat(8001) }, '/prompt'],
                [{ ...job_input, model: 'no/such' }, '/model'], [{ ...job_input, model: 'local/speech' }, '/model'], [{ ...job_input, params: { width: 1 } }, '/params/width'],
                [{ ...job_input, params: { width: '640' } }, '/params/width'], [{ ...job_input, params: { what: 1 } }, '/params/what'], [{ ...job_input, media: ['1'] }, '/media/0'],
                [{ ...job_input, seed: '9223372036854775808' }, '/seed'], [{ ...job_input, media: Array(13).fill('1') }, '/media'],
            ]) {
                const problem = await refused('POST', '/generate', body, 422, 'invalid_field');
                assert.deepEqual(fields(problem), [field], JSON.stringify(body).slice(0, 100));
            }
            await refused('POST', '/uploads/presign', {}, 422, 'invalid_field');
        });
    });

    test('every answer carries a request id: the client\'s where it is a sane one', async () => {
        assert.equal((await ann.call('GET', '/generations', undefined, { headers: { 'X-Request-Id': 'abcdef-0123.4_5' } })).headers['x-request-id'], 'abcdef-0123.4_5');
        for (const odd of ['short', 'with space in it', '<script>alert(1)</script>', 'a'.repeat(300)]) {
            assert.match((await ann.call('GET', '/generations', undefined, { headers: { 'X-Request-Id': odd } })).headers['x-request-id'], /^[0-9a-f]{32}$/);
        }
        const ids = await Promise.all(Array.from({ length: 5 }, () => request(kiln.url, 'GET', '/nothing').then(answer => answer.headers['x-request-id'])));
        assert.equal(new Set(ids).size, 5);
    });

    test('a job is given back as it was asked for, whatever its letters', async () => {
        const prompt = 'Grüße, "日本" \\ 𝕂 \n\t<b>&amp;</b> \u2028 🏺';
        const job = await ann.make({ type: 'image', prompt, seed: '9223372036854775807', params: { width: 512 } });
        assert.equal(job.prompt, prompt);
        assert.equal(job.seed, '9223372036854775807');
        assert.equal(job.params.width, 512);
        assert.equal(job.params.height, 768, 'defaults are filled in');
        assert.equal(job.model, 'local/sketch');
        assert.ok(job.queue_position >= 1);
        assert.deepEqual(Object.keys(job).sort(), ['id', 'kind', 'media_type', 'state', 'prompt', 'model', 'params', 'seed', 'progress', 'queue_position', 'attempts', 'cost', 'error', 'media', 'outputs', 'result_url', 'parent_id', 'version', 'created_at', 'started_at', 'finished_at', 'links'].sort());
        assert.deepEqual(await ann.get(`/generations/${job.id}`), job);
        assert.equal((await ann.call('GET', job.links.self.replace('/api/v1', ''))).status, 200);
    });

    describe('with an Idempotency-Key', () => {
        const once = (user, key, body) => user.call('POST', '/generate', body, { headers: { 'Idempotency-Key': key } });
        const count = async prompt => (await ann.get(`/generations?q=${encodeURIComponent(prompt)}&limit=100`)).items.length;

        test('50 at the same moment make one job, and all are told the same', async () => {
            const body = { type: 'image', prompt: 'fifty at once' };
            const answers = await Promise.all(Array.from({ length: 50 }, () => once(ann, 'key-fifty', body)));
            assert.deepEqual([...new Set(answers.map(a => a.status))], [202]);
            assert.equal(new Set(answers.map(a => a.json.id)).size, 1);
            assert.equal(await count(body.prompt), 1);
        });
        test('another body is 409; another account or route is another key', async () => {
            const first = await once(ann, 'key-other', { type: 'image', prompt: 'one' });
            check_problem(await once(ann, 'key-other', { type: 'image', prompt: 'two' }), 409, 'idempotency_conflict');
            assert.notEqual((await once(bob, 'key-other', { type: 'image', prompt: 'one' })).json.id, first.json.id);
            assert.equal((await ann.call('POST', '/uploads/presign', { filename: 'a.png', content_type: 'image/png', bytes: 5 }, { headers: { 'Idempotency-Key': 'key-other' } })).status, 201);
        });
        test('a refusal is not kept: the mended request goes through', async () => {
            check_problem(await once(ann, 'key-mended', { type: 'image' }), 422, 'invalid_field');
            assert.equal((await once(ann, 'key-mended', { type: 'image', prompt: 'mended' })).status, 202);
        });
        test('a repeat tells how the thing is now', async () => {
            const body = { type: 'image', prompt: 'as it is now' };
            const { json } = await once(ann, 'key-now', body);
            await ann.call('POST', `/generations/${json.id}/cancel`);
            const again = await once(ann, 'key-now', body);
            assert.deepEqual([again.status, again.json.id, again.json.state], [202, json.id, 'cancelled']);
        });
    });

    test('a list of 45 comes in pages, newest first, each once, also while others are made', async () => {
        const carol = kiln.user('carol');
        const made = [];
        for (let i = 0; i < 45; i++) made.push((await carol.make({ type: i % 3 ? 'image' : 'audio', prompt: `page ${i}` })).id);
        const seen = [];
        let cursor = '', pages = 0;
        do {
            const page = await carol.get(`/generations?limit=20${cursor}`);
            seen.push(...page.items.map(item => item.id));
            if (pages++ === 0) await carol.make(job_input);      // must not shift what follows
            cursor = page.next_cursor && `&cursor=${encodeURIComponent(page.next_cursor)}`;
        } while (cursor);
        assert.equal(pages, 3);
        assert.deepEqual(seen, made.reverse());
        assert.equal((await carol.get('/generations')).items.length, 20, 'twenty where nothing is said');
        assert.equal((await carol.get('/generations?limit=100&type=audio')).items.length, 15);
        assert.equal((await carol.get('/generations?limit=100&state=queued')).items.length, 46);
        assert.equal((await carol.get('/generations?limit=100&state=completed')).items.length, 0);
        assert.deepEqual((await carol.get('/generations?q=PAGE%2017')).items.map(item => item.prompt), ['page 17']);
        assert.equal((await bob.get(`/generations?limit=100`)).items.some(item => made.includes(item.id)), false);
    });

    test('the catalogue needs no token, and each model\'s example can be asked for', async () => {
        const { json } = await request(kiln.url, 'GET', '/api/v1/models');
        const available = json.items.filter(model => model.available);
        assert.deepEqual(available.map(model => model.id).sort(), ['local/sketch', 'local/slideshow', 'local/speech']);
        for (const model of available) {
            assert.equal((await request(kiln.url, 'GET', `/api/v1/models/${model.id}`)).json.id, model.id);
            assert.equal((await ann.call('POST', '/generate', model.example)).status, 202);
            assert.doesNotMatch(JSON.stringify(model), /\bAI\b/);
        }
        const others = json.items.filter(model => !model.available);
        assert.ok(others.some(model => model.id === 'fal/flux-dev'));
        for (const model of others) {
            assert.match(model.unavailable_reason, /\S/, `${model.id} says why not`);
            const answer = await ann.call('POST', '/generate', model.example);
            assert.deepEqual([answer.status, answer.json.errors?.[0].field], [422, '/model'], answer.text);
        }
        const { items } = (await request(kiln.url, 'GET', '/api/v1/models?type=audio')).json;
        assert.ok(items.length > 1 && items.every(model => model.media_type === 'audio'));
    });

    describe('a token', () => {
        const with_token = token => request(kiln.url, 'GET', '/api/v1/generations', { headers: { Authorization: `Bearer ${token}` } });
        test('is refused with alg none, another secret, in the past, without an end, not yet valid, cut or changed', async () => {
            const good = { sub: 'ann', exp: in_seconds(60) };
            const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(good)).toString('base64url')}.`;
            const real = make_token(good, kiln.secret);
            const [head, , signature] = real.split('.');
            for (const [what, token] of [
                ['alg none', none], ['alg none with a signature', none + signature],
                ['another secret', make_token(good, 'x'.repeat(64))], ['an empty secret', make_token(good, '')],
                ['alg RS256', make_token(good, kiln.secret, { alg: 'RS256', typ: 'JWT' })], ['alg HS512', make_token(good, kiln.secret, { alg: 'HS512' })], ['no alg', make_token(good, kiln.secret, { typ: 'JWT' })],
                ['the past', make_token({ sub: 'ann', exp: in_seconds(-5) }, kiln.secret)], ['no end', make_token({ sub: 'ann' }, kiln.secret)],
                ['an end in words', make_token({ sub: 'ann', exp: 'tomorrow' }, kiln.secret)],
                ['not yet valid', make_token({ ...good, nbf: in_seconds(300) }, kiln.secret)],
                ['no subject', make_token({ exp: in_seconds(60) }, kiln.secret)], ['an empty subject', make_token({ ...good, sub: '' }, kiln.secret)], ['a number as subject', make_token({ ...good, sub: 7 }, kiln.secret)],
                ['other claims under the signature', `${head}.${Buffer.from(JSON.stringify({ ...good, sub: 'bob' })).toString('base64url')}.${signature}`],
                ['a cut signature', real.slice(0, -2)], ['two parts', real.split('.').slice(0, 2).join('.')], ['four parts', `${real}.x`], ['no JSON', 'YQ.YQ.YQ'], ['nothing', ''], ['9 KiB', `${'a'.repeat(6000)}.b.c`],
            ]) {
                const answer = await with_token(token);
                assert.ok(answer.status === 401 || what === '9 KiB' && answer.status === 431, `${what}: ${answer.status} ${answer.text}`);
            }
            assert.equal((await with_token(real)).status, 200);
            assert.ok(!kiln.main.output.includes(signature), 'no token stands in a log');
        });
        test('works a second time from the cache, and not a second longer than it may', async () => {
            const token = make_token({ sub: 'ann', exp: in_seconds(2) }, kiln.secret);
            assert.equal((await with_token(token)).status, 200);
            assert.equal((await with_token(token)).status, 200);
            await until('it to end', async () => (await with_token(token)).status === 401, 4000);
        });
        test('of a suspended account is 401', async () => {
            const eve = kiln.user('eve');
            const account = await eve.account();
            await kiln.arrange(`update kiln.account set is_suspended = true where account_id = ${account}`);
            check_problem(await eve.call('GET', '/generations'), 401, 'unauthorized');
        });
    });

    test('/healthz, /readyz and /metrics tell how it is, without a token', async () => {
        assert.equal((await request(kiln.url, 'GET', '/healthz')).status, 200);
        const ready = (await request(kiln.url, 'GET', '/readyz')).json;
        assert.equal(ready.ready, true);
        const page = await request(kiln.url, 'GET', '/metrics');
        assert.match(page.headers['content-type'], /^text\/plain/);
        const names = new Map();
        for (const line of page.text.trimEnd().split('\n')) {
            const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
            if (type) { assert.ok(!names.has(type[1]), `${type[1]} is declared once`); names.set(type[1], type[2]); continue; }
            if (line.startsWith('# HELP ')) continue;
            const sample = /^(\w+?)(?:\{((?:\w+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[\d.e+]+|\+Inf|NaN)$/.exec(line);
            assert.ok(sample, `no sample: ${line}`);
            assert.ok(names.has(sample[1]) || names.has(sample[1].replace(/_(bucket|sum|count)$/, '')), `${sample[1]} has a type`);
        }
        assert.ok(names.has('kiln_http_requests_total') && names.has('kiln_queue_ready'));
        assert.match(page.text, /kiln_queue_paused\{queue="image"\} 1/);
    });

    test('api and realtime apart: each has its own routes, and events flow between them', async () => {
        const [api, realtime] = await Promise.all([kiln.server({ args: ['--role', 'api'] }), kiln.server({ args: ['--role', 'realtime'] })]);
        assert.equal((await ann.call('GET', '/events', undefined, { base: api.url })).status, 404);
        assert.equal((await ann.call('GET', '/generations', undefined, { base: realtime.url })).status, 404);
        for (const server of [api, realtime]) for (const target of ['/healthz', '/readyz', '/metrics']) assert.equal((await request(server.url, 'GET', target)).status, 200);
        const stream = await ann.stream({ base: realtime.url }).opened();
        const { json } = await ann.call('POST', '/generate', job_input, { base: api.url });
        await stream.sees('it', e => e.data.job_id === json.id && e.event === 'job.queued', 3000);
        stream.close();
        assert.deepEqual(await api.stop(), { code: 0, signal: null });
        assert.deepEqual(await realtime.stop(), { code: 0, signal: null });
    });

    describe('while the database', () => {
        test('is frozen: 503 within the deadline, /healthz at once; afterwards all is well', { timeout: 60000 }, async () => {
            const calls = [['GET', '/generations'], ['POST', '/generate', job_input], ['GET', '/models']];
            const thaw = kiln.freeze_database();
            let answers;
            try {
                const all = Promise.all(calls.map(call => ann.call(...call)));
                assert.equal((await request(kiln.url, 'GET', '/healthz', { ms: 5000 })).status, 200, 'the process lives');
                answers = await all;        // within the 20 s that request() waits
            } finally {
                thaw();
            }
            for (const answer of answers) check_problem(answer, 503, 'unavailable');
            await until('it to be ready again', async () => (await request(kiln.url, 'GET', '/readyz')).status === 200, 15000);
            assert.equal((await ann.call('POST', '/generate', job_input)).status, 202);
        });
        test('is down: 503 with Retry-After at once, /readyz too; back when it is back, by itself', { timeout: 60000 }, async () => {
            await kiln.stop_database();
            for (const call of [['GET', '/generations'], ['POST', '/generate', job_input]]) {
                check_problem(await ann.call(...call), 503, 'unavailable');
            }
            check_problem(await request(kiln.url, 'GET', '/readyz'), 503, 'unavailable');
            assert.equal((await request(kiln.url, 'GET', '/healthz')).status, 200);
            assert.equal((await request(kiln.url, 'GET', '/metrics')).status, 200, 'its own counters are still told');
            await kiln.start_again();
            await until('it to be ready again', async () => (await request(kiln.url, 'GET', '/readyz')).status === 200, 15000);
            const [a, b] = await Promise.all([ann.call('GET', '/generations'), ann.call('POST', '/generate', job_input)]);
            assert.deepEqual([a.status, b.status], [200, 202]);
        });
        test('holds a lock: who needs it waits for a bounded time, all others go on', { timeout: 60000 }, async () => {
            const job = await ann.make(job_input);
            const holder = kiln.session();
            await holder.say(`begin; select from kiln.job where job_id = ${job.id} for update;`);
            const waiting = ann.call('POST', `/generations/${job.id}/cancel`);
            for (let i = 0; i < 20; i++) assert.equal((await ann.call('POST', '/generate', job_input)).status, 202);
            assert.equal((await ann.call('GET', `/generations/${job.id}`)).status, 200);
            check_problem(await waiting, 503, 'unavailable');       // of the others each had its answer, while the lock is held
            await holder.say('rollback;');
            await holder.end();
            assert.equal((await ann.call('POST', `/generations/${job.id}/cancel`)).json.state, 'cancelled');
        });
    });
});

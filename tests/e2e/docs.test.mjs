// The examples of docs/runner.md, docs/providers.md and docs/staging.md, pasted word for word into psql by the roles they name, on a real stack.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, root, run } from './lib.mjs';

const page = name => fs.readFileSync(path.join(root, 'docs', name), 'utf8');
const blocks = (name, kind = 'sql') => [...page(name).matchAll(new RegExp(`^\`\`\`${kind}\\n(.*?)^\`\`\`$`, 'gms'))].map(m => m[1]);

describe('what the pages tell one to paste', () => {
    let kiln, ann;
    /** Pastes a text into psql as a service role or as a member of a role for people; any error ends it. */
    const paste = (text, { user = 'postgres', role } = {}) => run('psql', ['-X', '-v', 'ON_ERROR_STOP=1'],
        { env: { ...kiln.pg, PGUSER: user, PGPASSFILE: kiln.env.PGPASSFILE }, input: role ? `set role ${role};\n${text}` : text });
    before(async () => {
        kiln = await begin({ runners: 0 });
        ann = kiln.user('ann');
    });
    after(() => kiln.end());

    test('the runner of psql ends well on an empty queue, and does a task that there is', async () => {
        const [runner, enqueue] = blocks('runner.md');
        for (const left of ['nothing', 'a task', 'nothing']) {
            if (left === 'a task') assert.equal((await paste(enqueue, { role: 'kiln_admin' })).code, 0);
            const { code, err, out } = await paste(runner, { user: 'kiln_worker' });
            assert.deepEqual([code, err], [0, ''], `${left}: ${out}`);
            assert.equal(/hello/.test(out), left === 'a task', out);
        }
        assert.equal(await kiln.value(`select string_agg(state || ' ' || output, ',') from kiln.job`), 'completed {"hello": "from psql"}');
        assert.equal(await kiln.value(`select count(*) from kiln.runner where ended_why is distinct from 'left'`), '0');
    });

    test('the texts and the default of stagings change as the page says', async () => {
        for (const block of blocks('staging.md')) assert.deepEqual((await paste(block, { role: 'kiln_admin' })).err, '', block);
        assert.equal(await kiln.value(`select string_agg(name, ',') from kiln.staging_model where is_default`), 'fal/nano-banana');
        assert.equal(await kiln.value(`select max(version) from kiln.style_text where style = 'modern'`), '2');
    });

    test('the provider of one INSERT makes a picture', async t => {
        const asked = [];
        const atelier = http.createServer((req, res) => {
            const parts = [];
            req.on('data', bytes => parts.push(bytes)).on('end', () => {
                asked.push({ method: req.method, url: req.url, body: JSON.parse(Buffer.concat(parts).toString()) });
                const image = fs.readFileSync(path.join(root, 'tests/fixtures/media/sample.jpg')).toString('base64');
                res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ image }));
            });
        });
        await new Promise(resolve => atelier.listen(0, '127.0.0.1', resolve));
        t.after(() => { atelier.closeAllConnections(); atelier.close(); });
        const [example] = blocks('providers.md', 'sql example');
        const { code, err } = await paste(example, { role: 'kiln_admin' });
        assert.deepEqual([code, err], [0, '']);
        // The page's host is nobody's: here it is on this machine, which the operator trusts.
        const host = `127.0.0.1:${atelier.address().port}`;
        await kiln.psql(`update kiln.provider set base_url = 'http://${host}' where name = 'atelier'`);
        await kiln.runner({ name: 'painter', env: { KILN_TRUSTED_HOSTS: host } });
        const [, body] = page('providers.md').match(/^From then on `POST \/generate (\{.*\})` works/m);
        const job = await ann.make(JSON.parse(body));
        assert.equal((await ann.finished(job.id)).state, 'completed');
        assert.deepEqual(asked.map(a => [a.method, a.url, a.body.text]), [['POST', '/v1/paint', JSON.parse(body).prompt]]);
    });
});

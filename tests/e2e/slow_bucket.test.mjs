// A bucket that does not answer: the runner waits for it in a child process, so its beats and other people's work go on. (The removals and
// lists of its sweep were made in the loop once: a bucket that stalled for a lease cost the runner everything that it had.)
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Kiln, until } from './lib.mjs';

const key = n => `ab/${String(n).padStart(30, '0')}`;

describe('a slow bucket', () => {
    let kiln, bucket, runner;
    const asked = { list: 0, delete: 0 }, held = new Set(), objects = new Set();
    let is_slow = true;
    function answer(req, res) {
        if (req.method === 'DELETE') {
            objects.delete(req.url.split('?')[0].split('/').slice(2).join('/'));
            return res.writeHead(204).end();
        }
        if (req.method !== 'GET') return res.writeHead(404).end();
        const after_it = new URL(req.url, 'http://bucket').searchParams.get('start-after') ?? '';
        const list = [...objects].sort().filter(name => name > after_it).map(name => `<Contents><Key>${name}</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>`).join('');
        return res.writeHead(200, { 'Content-Type': 'application/xml' }).end(`<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${list}</ListBucketResult>`);
    }
    before(async () => {
        bucket = http.createServer((req, res) => {
            asked[req.method === 'DELETE' ? 'delete' : 'list']++;
            if (!is_slow) return answer(req, res);
            const request = { req, res, kind: req.method === 'DELETE' ? 'delete' : 'list' };
            held.add(request);
            return res.on('close', () => held.delete(request));
        });
        await new Promise(resolve => bucket.listen(0, '127.0.0.1', resolve));
        kiln = new Kiln();
        await kiln.start_database();
        await kiln.psql(`update kiln.config set orphan_keep = '1 second'`);
        Object.assign(kiln.env, { KILN_MEDIA: `s3://media?endpoint=http://127.0.0.1:${bucket.address().port}&region=us-east-1`, KILN_S3_ACCESS_KEY: 'key', KILN_S3_SECRET_KEY: 'secret' });
    });
    after(async () => {
        await kiln?.end();
        bucket?.closeAllConnections();
        await new Promise(resolve => bucket.close(resolve));
    });
    const waits_for = kind => until(`the runner to wait for a ${kind}`, () => [...held].some(h => h.kind === kind), 40000);
    /** While the bucket holds its request a job comes, is done, and the runner has beaten since. */
    async function works_on(kind) {
        const [pending] = [...held].filter(h => h.kind === kind);
        const before_it = await kiln.value(`select beat_at from kiln.heartbeat where runner_id = ${runner.id}`);
        const job = await kiln.value(`select kiln.enqueue('log', '{"while": "${kind}"}')`);
        await until('the job to be done', async () => await kiln.value(`select state from kiln.job where job_id = ${job}`) === 'completed', 10000);
        await until('another beat', async () => await kiln.value(`select beat_at > '${before_it}' from kiln.heartbeat where runner_id = ${runner.id}`) === 't', 10000);
        assert.ok(held.has(pending), `the ${kind} has not been answered meanwhile`);
    }

    test('does not hold its runner: neither a removal nor a list', async () => {
        for (const n of [1, 2, 3]) objects.add(key(n));
        await kiln.arrange(`insert into kiln.trash (storage_key) values ('${key(1)}'), ('${key(2)}')`);
        runner = await kiln.runner({ name: 'patient' });
        await waits_for('delete');
        await works_on('delete');
        is_slow = false;
        for (const { req, res } of held) answer(req, res);
        await until('the trash to be emptied', async () => await kiln.value(`select count(*) from kiln.trash`) === '0', 20000);
        await until('what no row names to be removed too', () => objects.size === 0, 30000);
        is_slow = true;
        await waits_for('list');
        await works_on('list');
    });

    test('nor its end', async () => {
        assert.ok(held.size > 0);
        assert.deepEqual(await runner.stop(), { code: 0, signal: null }, 'it does not wait for the bucket, which never answers');
        await until('its child to be gone with it', () => held.size === 0, 10000);
    });
});

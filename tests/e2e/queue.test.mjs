// What the queue promises, with a real runner and tools of the test's own: retries and their end, time limits, schedules, cancels,
// pauses, queues that do not delay one another, providers that cost nothing, and a runner that leaves.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { alive, begin, request, root, run, tool_pids, until } from './lib.mjs';

describe('queue', () => {
    let kiln, ann, account, runner, marks, server;
    const asked = [], answers = {};
    before(async () => {
        kiln = await begin();
        ann = kiln.user('ann');
        account = await ann.account();
        server = http.createServer((req, res) => {
            const parts = [];
            req.on('data', bytes => parts.push(bytes));
            req.on('end', () => {
                asked.push({ url: req.url, method: req.method, headers: req.headers, body: Buffer.concat(parts).toString(), at: Date.now() });
                answers[req.url.slice(1)](res, asked.filter(a => a.url === req.url).length);
            });
        });
        await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
        kiln.env.KILN_TRUSTED_HOSTS = `127.0.0.1:${server.address().port}`;
        runner = await kiln.runner({ name: 'one' });
        marks = kiln.marks;

        // Each tool leaves a line a try in a file named by its task, so that what ran can be compared with what is recorded.
        kiln.tool('fails-twice', `echo x >>${marks}/$task_id; [[ $(wc -l <${marks}/$task_id) -gt 2 ]] || { echo "the kiln is cold" >&2; exit 1; }; echo '{"output":{"tries":3}}'`);
        kiln.tool('fails', `echo x >>${marks}/$task_id; echo "try $(wc -l <${marks}/$task_id): no clay" >&2; exit "$1"`);
        kiln.tool('stays', `echo $$ >${marks}/$task_id; echo 'progress 0.5 waiting' >&2; while [[ ! -e ${marks}/go-$task_id && ! -e ${marks}/go ]]; do sleep 0.02; done; echo '{"output":{}}'`);
        kiln.tool('ignores-term', `trap '' TERM; echo $$ >${marks}/$task_id; while :; do sleep 0.1; done`);
        kiln.tool('is-quick', `echo $$ >${marks}/$task_id; echo '{"output":{"is_done":true}}'`);
        kiln.tool('repeats', `input=$(cat); echo "{\\"output\\":{\\"heard\\":$input}}"`);
        const exec = (...command) => [{ config: { command } }];
        await kiln.pipeline('fails-twice', exec('fails-twice'));
        await kiln.pipeline('fails', exec('fails', '1'));
        await kiln.pipeline('fails-invalid', exec('fails', '65'));
        await kiln.pipeline('fails-temporary', exec('fails', '75'));
        await kiln.pipeline('fails-refused', exec('fails', '77'));
        await kiln.pipeline('stays', exec('stays'));
        await kiln.pipeline('stays-video', [{ config: { command: ['stays'] }, queue: 'video' }]);
        await kiln.pipeline('quick', exec('is-quick'));
        await kiln.pipeline('quick-image', [{ config: { command: ['is-quick'] }, queue: 'image' }]);
        await kiln.pipeline('late', [{ config: { command: ['ignores-term'] }, time_limit: '400 ms', max_attempts: 1 }]);
        await kiln.pipeline('late-politely', [{ config: { command: ['stays'] }, time_limit: '300 ms', max_attempts: 2 }]);
        await kiln.pipeline('no-such-tool', exec('nobody-made-this'));
        await kiln.pipeline('two', [{ name: 'first', config: { command: ['repeats'] } }, { name: 'second', config: { command: ['repeats'] } }]);
    });
    after(() => { server.closeAllConnections(); server.close(); return kiln.end(); });

    const tries = (id, stage = 1) => { try { return fs.readFileSync(path.join(marks, String(id * 10000 + stage * 100)), 'utf8').trim().split('\n'); } catch { return []; } };
    const pid_of = id => until(`the tool of job ${id} to run`, () => tries(id)[0] && tool_pids(id * 10000 + 100)[0]);
    const let_go = id => fs.writeFileSync(path.join(marks, `go-${id * 10000 + 100}`), '');
    const outcomes = async id => (await kiln.attempts(id)).map(a => a.outcome);
    const enqueue = (pipeline, more) => kiln.enqueue(pipeline, { account, ...more });

    describe('a stage that fails', () => {
        test('is tried again, and the third try counts', async () => {
            const id = await enqueue('fails-twice');
            const job = await kiln.job_state(id, 'completed');
            assert.deepEqual(job.output, { tries: 3 });
            assert.equal(tries(id).length, 3);
            assert.deepEqual(await outcomes(id), ['transient', 'transient', 'done']);
            assert.equal((await kiln.attempts(id))[0].message, 'the kiln is cold');
            assert.equal((await ann.get(`/generations/${id}`)).attempts, 3);
        });
        test('every time ends the job, with the last sentence it said', async () => {
            const stream = await ann.stream().opened();
            const id = await enqueue('fails');
            const job = await kiln.job_state(id, 'failed');
            assert.deepEqual([job.error_code, job.error_message], ['transient', 'try 3: no clay']);
            assert.equal(tries(id).length, 3);
            const shown = await ann.get(`/generations/${id}`);
            assert.deepEqual(shown.error, { code: 'transient', message: 'try 3: no clay', charged: false });
            const told = await stream.sees_end_of(id);
            assert.deepEqual([told.event, told.data.error.message], ['job.failed', 'try 3: no clay']);
            stream.close();
        });
        test('by exit 65 is invalid and never tried again', async () => {
            const id = await enqueue('fails-invalid');
            const job = await kiln.job_state(id, 'failed');
            assert.deepEqual([job.error_code, job.error_message], ['invalid', 'try 1: no clay']);
            assert.equal(tries(id).length, 1);
        });
        test('by exit 75 is tried again, by exit 77 it is refused for good', async () => {
            const [temporary, refused] = [await enqueue('fails-temporary'), await enqueue('fails-refused')];
            await kiln.job_state(temporary, 'failed');
            assert.equal((await kiln.job_state(refused, 'failed')).error_code, 'refused');
            assert.equal(tries(temporary).length, 3);
            assert.equal(tries(refused).length, 1);
        });
        test('for want of its tool says which one', async () => {
            const job = await kiln.job_state(await enqueue('no-such-tool'), 'failed');
            assert.match(job.error_message, /nobody-made-this/);
        });
    });

    describe('a tool beyond its time', () => {
        test('is killed although it ignores SIGTERM, and the job says so', async () => {
            const id = await enqueue('late');
            const pid = await pid_of(id);
            const job = await kiln.job_state(id, 'failed');
            assert.equal(job.error_code, 'timeout');
            assert.match(job.error_message, /400 ms/);
            assert.ok(!alive(pid));
        });
        test('is a timeout a try, up to max_attempts', async () => {
            const id = await enqueue('late-politely');
            await kiln.job_state(id, 'failed');
            assert.deepEqual(await outcomes(id), ['timeout', 'timeout']);
        });
    });

    test('a stage\'s output is the next one\'s input, the last is the job\'s', async () => {
        const job = await kiln.job_state(await enqueue('two', { input: { job_input: 'Grüße, 日本' } }), 'completed');
        assert.equal(job.output.heard.stage, 'second');
        assert.equal(job.output.heard.input.heard.stage, 'first');
        assert.deepEqual(job.output.heard.input.heard.input, { job_input: 'Grüße, 日本' });
    });

    test('a job for later waits for its time, and not much longer', async () => {
        const id = await enqueue('quick', { run_at: `kiln_internal.now() + interval '1.5 s'` });
        assert.equal((await kiln.job(id)).state, 'queued');
        const job = await kiln.job_state(id, 'completed');
        const [{ late }] = await kiln.rows(`select extract(epoch from started_at - run_at)::float8 as late from kiln.job where job_id = ${id}`);
        assert.ok(late >= 0 && late < 2, `it began ${late} s after its time`);
        assert.equal(tries(job.job_id).length, 1);
    });

    describe('cancel', () => {
        test('of a job that waits is at once', async () => {
            await kiln.psql(`select kiln.pause_queue('local')`);
            const id = await enqueue('quick');
            const answer = await ann.call('POST', `/generations/${id}/cancel`);
            await kiln.psql(`select kiln.resume_queue('local')`);
            assert.equal(answer.status, 202);
            assert.equal(answer.json.state, 'cancelled');
            assert.deepEqual(tries(id), []);
            assert.equal((await ann.call('POST', `/generations/${id}/cancel`)).json.code, 'state_conflict');
        });
        test('of a running job tells the runner, and its process is gone', async () => {
            const stream = await ann.stream().opened();
            const id = await enqueue('stays');
            const pid = await pid_of(id);
            const answer = await ann.call('POST', `/generations/${id}/cancel`);
            assert.ok(['cancelling', 'cancelled'].includes(answer.json.state));
            await until('the process to go', () => !alive(pid));
            await kiln.job_state(id, 'cancelled');
            const told = await stream.sees_end_of(id);
            assert.equal(told.event, 'job.cancelled');
            assert.deepEqual(await outcomes(id), ['cancelled']);
            stream.close();
        });
        test('and then retry makes a new job of it, which names its parent', async () => {
            const id = await enqueue('stays');
            await pid_of(id);
            assert.equal((await ann.call('POST', `/generations/${id}/retry`)).status, 409, 'not while it runs');
            await ann.call('POST', `/generations/${id}/cancel`);
            await kiln.job_state(id, 'cancelled');
            const answer = await ann.call('POST', `/generations/${id}/retry`, {});
            assert.equal(answer.status, 202);
            assert.equal(answer.json.parent_id, id);
            await pid_of(answer.json.id);
            let_go(answer.json.id);
            await kiln.job_state(answer.json.id, 'completed');
        });
    });

    test('a paused queue gives nothing out, and goes on when it is resumed; the others do not stop', async () => {
        await kiln.psql(`select kiln.pause_queue('image')`);
        const [held, other] = [await enqueue('quick-image'), await enqueue('quick')];
        await kiln.job_state(other, 'completed');
        assert.equal((await kiln.job(held)).state, 'queued');
        await kiln.psql(`select kiln.resume_queue('image')`);
        await kiln.job_state(held, 'completed');
    });

    test('a full video queue never delays an image', async () => {
        const films = [];
        for (let i = 0; i < 20; i++) films.push(await enqueue('stays-video'));
        await until('the films to fill what they may', async () => Number(await kiln.value(`select count(*) from kiln.task_running where queue_id = (select queue_id from kiln.queue where name = 'video')`)) >= 5);
        const image = await enqueue('quick-image');
        await kiln.job_state(image, 'completed', 3000);
        const [{ waited }] = await kiln.rows(`select extract(epoch from started_at - created_at)::float8 as waited from kiln.job where job_id = ${image}`);
        assert.ok(waited < 0.5, `it waited ${waited} s`);
        for (const id of films) let_go(id);
        for (const id of films) await kiln.job_state(id, 'completed');
    });

    test('the most urgent goes first', async () => {
        await kiln.psql(`select kiln.pause_queue('local')`);
        const [low, middle, high] = [await enqueue('quick', { priority: 0 }), await enqueue('quick', { priority: 1 }), await enqueue('quick', { priority: 3 })];
        await runner.stop();
        await kiln.psql(`select kiln.resume_queue('local')`);
        await kiln.runner({ name: 'single', args: ['--slots', '1', '--queues', 'local', '--once'], ready: false });
        for (const id of [low, middle, high]) await kiln.job_state(id, 'completed');
        const order = (await kiln.rows(`select job_id from kiln.attempt where job_id in (${low}, ${middle}, ${high}) order by fence`)).map(row => String(row.job_id));
        assert.deepEqual(order, [high, middle, low]);
        runner = await kiln.runner({ name: 'two' });
    });

    describe('a runner', () => {
        test('with --queues takes from those only; an unknown one ends it with a sentence', async () => {
            await runner.stop();
            const only = await kiln.runner({ name: 'only-image', args: ['--queues', 'image'] });
            const [local, image] = [await enqueue('quick'), await enqueue('quick-image')];
            await kiln.job_state(image, 'completed');
            assert.equal((await kiln.job(local)).state, 'queued');
            await only.stop();
            const wrong = kiln.program('kiln-runner', ['--queues', 'image,nowhere']);
            const { code } = await until('the runner to end', () => wrong.ended);
            assert.notEqual(code, 0);
            assert.match(wrong.output, /nowhere/);
            runner = await kiln.runner({ name: 'three' });
            await kiln.job_state(local, 'completed');
        });
        test('with --once does what there is, and leaves with 0', async () => {
            await runner.stop();
            const ids = [await enqueue('quick'), await enqueue('two'), await enqueue('quick-image')];
            const once = kiln.program('kiln-runner', ['--once', '--name', 'once']);
            assert.deepEqual(await until('it to end', () => once.ended, 20000), { code: 0, signal: null });
            for (const id of ids) assert.equal((await kiln.job(id)).state, 'completed');
            const [{ state }] = await kiln.rows(`select ended_why as state from kiln.runner where name = 'once'`);
            assert.equal(state, 'left');
            runner = await kiln.runner({ name: 'four' });
        });
        test('told to leave finishes what it has, and takes nothing more', async () => {
            const leaver = runner;
            const running = await enqueue('stays');
            await pid_of(running);
            leaver.signal('SIGTERM');
            await until('it to say so', () => leaver.logged('draining').length);
            const next = await enqueue('quick');
            let_go(running);
            assert.deepEqual(await leaver.exit, { code: 0, signal: null });
            await kiln.job_state(running, 'completed');
            assert.equal((await kiln.job(next)).state, 'queued');
            runner = await kiln.runner({ name: 'five' });
            await kiln.job_state(next, 'completed');
        });
        test('that cannot finish in time hands its work back: no attempt is lost, another does it', async () => {
            await runner.stop();
            const leaver = await kiln.runner({ name: 'hasty', env: { KILN_RUNNER_DRAIN_MS: '200' } });
            const id = await enqueue('stays');
            const pid = await pid_of(id);
            leaver.signal('SIGTERM');
            assert.deepEqual(await leaver.exit, { code: 0, signal: null });
            assert.ok(!alive(pid), 'its tool went with it');
            assert.deepEqual(await outcomes(id), ['released']);
            const [{ attempts, interruptions }] = await kiln.rows(`select attempts, interruptions from kiln.task where job_id = ${id}`);
            assert.deepEqual([attempts, interruptions], [0, 0], 'neither an attempt nor a death');
            let_go(id);
            runner = await kiln.runner({ name: 'six' });
            await kiln.job_state(id, 'completed');
            assert.deepEqual((await kiln.attempts(id)).map(a => [a.outcome, a.runner]), [['released', 'hasty'], ['done', 'six']]);
        });
        test('leaves no folder of a tool behind', async () => {
            const folders = () => fs.readdirSync(path.join(kiln.home, 'work')).filter(name => name !== '.lock');
            await until('the work folder to be empty', () => folders().length === 0);
        });
    });

    describe('a provider that costs nothing', () => {
        async function ask(name, answer, provider = {}) {
            answers[name] = answer;
            await kiln.provider(`free-${name}`, 'openai', { is_paid: false, base_url: `http://127.0.0.1:${server.address().port}`, auth: null, errors: [], ...provider });
            await kiln.pipeline(`http-${name}`, [{ handler: 'http', config: { provider: `free-${name}`, endpoint: name, body: { question: '{prompt}', seed: '{seed}' }, outputs: [], keep: { degrees: '/degrees' } } }]);
            const id = await enqueue(`http-${name}`, { input: { prompt: 'how warm?', seed: '9223372036854775807', params: {}, media: [] } });
            await until(`job ${id} to end`, async () => (await kiln.job(id)).finished_at, 20000);
            return { job: await kiln.job(id), asked: asked.filter(a => a.url === `/${name}`), outcomes: await outcomes(id) };
        }
        const json = (res, status, value, headers = {}) => res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(typeof value === 'string' ? value : JSON.stringify(value));

        test('is asked as its description says, and what the stage keeps is the output', async () => {
            const { job, asked: [call] } = await ask('ok', res => json(res, 200, '{"degrees": 18446744073709551615}'));
            assert.equal(job.state, 'completed', job.error_message);
            assert.equal(await kiln.value(`select output ->> 'degrees' from kiln.job where job_id = ${job.job_id}`), '18446744073709551615');
            assert.equal(call.method, 'POST');
            assert.equal(call.headers['content-type'], 'application/json');
            assert.equal(call.headers.expect, undefined);
            assert.match(call.body, /"seed": ?9223372036854775807\b/);
        });
        test('is asked again after 500 and after a broken link, and each time once', async () => {
            const { job, asked: calls } = await ask('broken', (res, n) => n === 1 ? json(res, 500, {}) : n === 2 ? res.destroy() : json(res, 200, {}));
            assert.equal(job.state, 'completed', job.error_message);
            assert.equal(calls.length, 3);
        });
        test('is left alone as long as its 429 asks for', async () => {
            const { job, asked: calls } = await ask('busy', (res, n) => n === 1 ? json(res, 429, {}, { 'Retry-After': '1' }) : json(res, 200, {}));
            assert.equal(job.state, 'completed', job.error_message);
            assert.ok(calls[1].at - calls[0].at >= 950, `${calls[1].at - calls[0].at} ms`);
        });
        test('is not followed where it sends us', async () => {
            answers.elsewhere = res => json(res, 200, {});
            const { job } = await ask('away', res => json(res, 302, {}, { Location: '/elsewhere' }));
            assert.equal(job.state, 'failed');
            assert.equal(asked.filter(a => a.url === '/elsewhere').length, 0);
        });
        test('is not asked at a private address that nobody trusts', async () => {
            const other = http.createServer((req, res) => res.end('{}'));
            await new Promise(resolve => other.listen(0, '127.0.0.1', resolve));
            let came = 0;
            other.on('connection', () => { came++; });
            const { job } = await ask('inside', () => {}, { base_url: `https://127.0.0.1:${other.address().port}` });
            other.close();
            assert.deepEqual([job.state, job.error_code, came], ['failed', 'invalid', 0]);
        });

        test('a task waits, with one row of history, for a runner that has the secret; the others log once which it is', async () => {
            answers.keyed = res => res.end('{"degrees": 1200}');
            await kiln.provider('free-keyed', 'openai', { is_paid: false, base_url: `http://127.0.0.1:${server.address().port}`, errors: [], auth: { header: 'authorization', prefix: 'Key ', env: 'KEYED_KEY' } });
            await kiln.pipeline('http-keyed', [{ handler: 'http', queue: 'audio', config: { provider: 'free-keyed', endpoint: 'keyed', body: { question: '{prompt}' }, outputs: [], keep: { degrees: '/degrees' } } }]);
            const without = await kiln.runner({ name: 'without', args: ['--queues', 'audio'] });
            await until('no other runner to be trusted', () => kiln.value(`select not exists (select from kiln.runner r where r.ended_at is null and not exists (select from kiln.runner_secret s where s.runner_id = r.runner_id
                and not ('KEYED_KEY' = any (s.names)))) or null`), 20000);
            const id = await enqueue('http-keyed');
            await until('it to be deferred', () => kiln.value(`select 1 from kiln.deferred_task where task_id / 10000 = ${id} and reason = 'secret'`));
            assert.deepEqual(await kiln.rows(`select about from kiln.jobs where job = ${id}`), [{ about: 'free-key: no KEYED_KEY' }]);
            const again = await kiln.runner({ name: 'late', args: ['--queues', 'audio'] });
            const said = 'tasks wait for a provider\'s secret that this runner does not have';
            await until('the new one to say what is missing', () => again.logged(said).some(line => line.variable === 'KEYED_KEY'), 15000);
            assert.deepEqual((await kiln.attempts(id)).map(a => a.outcome), ['deferred']);
            const rich = await kiln.runner({ name: 'keyed', args: ['--queues', 'audio'], env: { KEYED_KEY: 'hush' } });
            assert.equal((await kiln.job_state(id, 'completed')).output.degrees, 1200);
            assert.equal(asked.find(a => a.url === '/keyed').headers.authorization, 'Key hush');
            assert.equal(again.logged(said).length, 1);
            for (const one of [without, again, rich]) await one.stop();
        });
    });

    describe('a hostile tool', () => {
        // The embedded stack of root runs as postgres, who is the database's superuser and owns its files.
        for (const user of process.getuid() === 0 ? ['root', 'postgres'] : ['who runs the test']) {
            test(`reaches nothing of the stack: ${user}`, { timeout: 60000 }, async t => {
                const name = `hostile-${user.split(' ')[0]}`, home = path.join(kiln.folder, name), media = path.join(home, 'media');
                fs.mkdirSync(path.join(media, 'ab'), { recursive: true });
                const at = { secrets: path.join(home, 'secrets.env'), pgpass: path.join(home, 'pgpass'), picture: path.join(media, 'ab/picture'), other: '1-1' };
                for (const file of [at.secrets, at.picture]) fs.writeFileSync(file, 'SECRET', { mode: 0o600 });
                fs.copyFileSync(kiln.env.PGPASSFILE, at.pgpass);
                fs.chmodSync(at.pgpass, 0o600);
                fs.copyFileSync(path.join(root, 'tests/fakes/hostile.py'), path.join(kiln.tools, name));
                fs.chmodSync(path.join(kiln.tools, name), 0o755);
                fs.copyFileSync(path.join(kiln.bin, 'kiln-server'), path.join(home, 'kiln-server'));
                if (user === 'postgres') await run('chown', ['-R', 'postgres:', home]);
                const sleep = `61.${process.pid}`;
                const runner = await kiln.runner({ name, as: user === 'postgres' ? user : undefined, args: ['--queues', 'audio'],
                    env: { KILN_HOME: home, KILN_MEDIA: `file:${media}`, PGPASSFILE: at.pgpass } });
                t.diagnostic(`sandbox: ${runner.logged('ready')[0].sandbox}`);
                fs.mkdirSync(path.join(home, 'work/1-1/in'), { recursive: true });      // another task's; at its start the runner sweeps
                fs.writeFileSync(path.join(home, 'work/1-1/in/0.png'), 'SECRET');
                Object.assign(at, { media, server_program: path.join(home, 'kiln-server'), cluster: kiln.cluster, socket: path.join(kiln.socket, '.s.PGSQL.5432'),
                    port: kiln.main.port, runner: runner.pid, server: kiln.main.pid, sleep });
                await kiln.pipeline(name, [{ queue: 'audio', config: { command: [name, JSON.stringify(at)] } }]);
                const job = await kiln.job_state(await enqueue(name), 'completed');
                assert.deepEqual(job.output.harm, []);
                assert.ok(job.output.tried >= 36, `${job.output.tried} tricks`);
                assert.equal(fs.readFileSync(at.picture, 'utf8'), 'SECRET');
                assert.equal(fs.statSync(at.picture).mode & 0o777, 0o600);
                assert.deepEqual(fs.readFileSync(at.server_program), fs.readFileSync(path.join(kiln.bin, 'kiln-server')));
                await until('its daemon to be gone', () => !fs.readdirSync('/proc').some(pid => {
                    try { return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(sleep); } catch { return false; }
                }));
                assert.equal(runner.ended, undefined);
                const listed = (await kiln.rows(`select v.sandbox from kiln.runners v join kiln.runner r on r.runner_id = v.runner where r.name = '${name}'`))[0].sandbox;
                assert.match(listed, /^(landlock|bubblewrap)$/);
                assert.equal((await request(kiln.url, 'GET', '/readyz')).json.checks.sandbox, 'ok');
                await runner.stop();
            });
        }
    });

    test('logs carry job and task, and no line of a program is anything but JSON', async () => {
        const id = await enqueue('fails-invalid');
        await kiln.job_state(id, 'failed');
        const lines = runner.output.trim().split('\n');
        for (const line of lines) assert.doesNotThrow(() => JSON.parse(line), line);
        assert.ok(lines.map(line => JSON.parse(line)).some(line => String(line.job_id) === id && String(line.task_id) === `${id}0100`), 'a line about this task');
    });
});

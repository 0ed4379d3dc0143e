// Whatever dies, every job ends, nothing that is recorded as done is done again, and no stream loses or repeats an event.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { alive, begin, pause, tool_pids, until } from './lib.mjs';

describe('death', () => {
    let kiln, ann, bob, marks;
    before(async () => {
        kiln = await begin();
        ann = kiln.user('ann');
        bob = kiln.user('bob');
        await ann.account();
        await bob.account();
        marks = kiln.marks;
        // Each tool notes the fence under which it was started; its output tells the fence too.
        const begin_mark = `fence=\${PWD##*-}; echo "$fence" >>${marks}/$task_id`;
        const say = `echo "{\\"output\\":{\\"fence\\":\\"$fence\\"}}"`;
        kiln.tool('quick', `${begin_mark}; ${say}`);
        kiln.tool('brief', `${begin_mark}; echo 'progress 0.5 half' >&2; sleep 0.15; ${say}`);
        kiln.tool('stays', `${begin_mark}; while [[ ! -e ${marks}/go-$task_id ]]; do sleep 0.02; done; ${say}`);
        const exec = (name, command) => ({ name, config: { command: [command] } });
        await kiln.pipeline('middle', [exec('first', 'quick'), exec('second', 'stays'), exec('third', 'quick')]);
        await kiln.pipeline('brief', [exec('first', 'brief'), exec('second', 'brief'), exec('third', 'brief')]);
        await kiln.pipeline('stays', [exec('only', 'stays')]);
    });
    after(() => kiln.end());

    const task_of = (id, stage = 1) => id * 10000 + stage * 100;
    /** [{ fence }]: each time the task's tool was started. */
    const starts = (id, stage = 1) => {
        try { return fs.readFileSync(path.join(marks, String(task_of(id, stage))), 'utf8').trim().split('\n').map(fence => ({ fence })); } catch { return []; }
    };
    const let_go = (id, stage = 1) => fs.writeFileSync(path.join(marks, `go-${task_of(id, stage)}`), '');
    const whose = async (id, stage) => kiln.value(`select r.name from kiln.task_running t join kiln.runner r using (runner_id) where t.task_id = ${task_of(id, stage)}`);
    const story = async id => (await kiln.attempts(id)).map(a => `${a.stage} ${a.outcome} ${a.runner}`);

    /** What was started is recorded, what is recorded as done was started, and each task is done once. */
    async function check_history(ids, stages) {
        for (const id of ids) {
            const attempts = await kiln.attempts(id);
            for (let stage = 1; stage <= stages; stage++) {
                const of_it = attempts.filter(a => a.stage === stage);
                const recorded = of_it.map(a => String(a.fence));
                const started = starts(id, stage).map(s => s.fence);
                assert.deepEqual(started.filter(fence => !recorded.includes(fence)), [], `job ${id}, stage ${stage}: every start is told`);
                const done = of_it.filter(a => a.outcome === 'done').map(a => String(a.fence));
                assert.equal(done.length, 1, `job ${id}, stage ${stage} is done once: ${JSON.stringify(of_it)}`);
                assert.ok(started.includes(done[0]));
                assert.ok(Number(done[0]) >= Math.max(...started.map(Number)), 'nothing was started after it was done');
            }
        }
    }

    /** A stream that was open from the account's first event on has seen its whole log, each event once. */
    async function check_stream(stream, account) {
        const [seen, log] = [stream.log(), await kiln.log(account)];
        const less = (a, b) => { const rest = [...b]; return a.filter(line => { const at = rest.indexOf(line); if (at >= 0) rest.splice(at, 1); return at < 0; }); };
        assert.deepEqual({ missing: less(log, seen), surplus: less(seen, log) }, { missing: [], surplus: [] }, JSON.stringify(stream.events.filter(e => less(seen, log).includes(`${e.event} ${e.data.job_id} v${e.data.version} ${e.data.at}`))));
    }

    test('kill -9 of a runner in the middle of a stage: another takes over, and what was done stays done', async () => {
        const runners = Object.fromEntries(await Promise.all(['red', 'blue'].map(async name => [name, await kiln.runner({ name })])));
        const id = await kiln.enqueue('middle', { account: await ann.account() });
        const first = await until('the second stage to run', async () => starts(id, 2).length && whose(id, 2));
        const [pid] = tool_pids(task_of(id, 2));
        // A runner that lives has to have beaten for a whole lease before it may bury another.
        await until('the other to have beaten for a lease', async () => kiln.value(`select 1 from kiln.heartbeat h join kiln.runner r using (runner_id) where r.name <> '${first}' and r.ended_at is null and h.since < kiln_internal.now() - interval '5 s'`));
        await runners[first].kill();
        assert.deepEqual((await kiln.job(id)).state, 'running');
        const other = first === 'red' ? 'blue' : 'red';
        await until('the other to take over', async () => starts(id, 2).length === 2 && await whose(id, 2) === other, 30000);
        assert.ok(!alive(pid), 'the tool went with its runner');
        let_go(id, 2);
        await kiln.job_state(id, 'completed');
        const told = await story(id);
        assert.match(told.shift(), /^1 done (red|blue)$/);
        assert.deepEqual(told, [`2 interrupted ${first}`, `2 done ${other}`, `3 done ${other}`]);
        assert.equal(starts(id, 1).length, 1, 'the first stage was not done again');
        await check_history([id], 3);
        assert.match((await kiln.attempts(id)).find(a => a.outcome === 'interrupted').message, new RegExp(first));
        await runners[other].stop();
    });

    test('two runners and one kill -9: every job ends, and the history tells what happened', async () => {
        const [one, two] = await Promise.all(['cat', 'dog'].map(name => kiln.runner({ name })));
        const account = await bob.account();
        const stream = await bob.stream({ resume: true }).opened();
        const ids = (await kiln.psql(`select kiln.enqueue('brief', '{}', ${account}) from generate_series(1, 40)`)).split('\n');
        await until('some to be done', async () => Number(await kiln.value(`select count(*) from kiln.attempt where job_id = any ('{${ids}}') and outcome = 'done'`)) >= 20);
        await until('the one to die to be busy', async () => Number(await kiln.value(`select count(*) from kiln.task_running where runner_id = ${one.id}`)) >= 2);
        await one.kill();
        await until('every job to end', async () => Number(await kiln.value(`select count(*) from kiln.job where job_id = any ('{${ids}}') and state = 'completed'`)) === 40, 45000);
        await check_history(ids, 3);
        const lost = await kiln.rows(`select a.message from kiln.attempt a where a.job_id = any ('{${ids}}') and a.outcome = 'interrupted'`);
        assert.ok(lost.length >= 1 && lost.every(row => row.message.includes('cat')), JSON.stringify(lost));
        assert.equal(await kiln.value(`select ended_why from kiln.runner where runner_id = ${one.id}`), 'expired');
        for (const id of ids) await stream.sees_end_of(id);
        await check_stream(stream, account);
        await two.stop();
        stream.close();
    });

    test('a runner that was stopped for longer than its lease: its late result is refused, the other\'s counts', async () => {
        const [slow, quick] = [await kiln.runner({ name: 'slow', args: ['--slots', '5'] }), await kiln.runner({ name: 'quick' })];
        await quick.stop();
        const id = await kiln.enqueue('stays', { account: await ann.account() });
        await until('it to run', () => starts(id).length);
        const other = await kiln.runner({ name: 'swift' });
        slow.signal('SIGSTOP');
        await until('the other to take over', async () => await whose(id, 1) === 'swift' && starts(id).length === 2, 20000);
        const fences = starts(id).map(s => s.fence);
        let_go(id);         // both tools end; only one runner is awake to report it
        await kiln.job_state(id, 'completed');
        slow.signal('SIGCONT');
        await until('the late one to have been refused or told', () => slow.logged('stale').length || slow.logged('stopping').some(line => line.reason === 'lost'), 15000);
        assert.deepEqual((await kiln.job(id)).output, { fence: fences[1] });
        assert.deepEqual(await story(id), ['1 interrupted slow', '1 done swift']);
        await other.stop();
        // It has come back under a new number and works.
        const next = await kiln.enqueue('middle', { account: await ann.account() });
        await until('it to work again', () => starts(next, 2).length, 15000);
        let_go(next, 2);
        await kiln.job_state(next, 'completed');
        await slow.stop();
    });

    for (const how of ['fast', 'immediate']) {
        test(`PostgreSQL restarts (${how}) while jobs run and streams are open: every job ends, every stream sees each event once`, async () => {
            const sub = `carol-${how}`;
            const carol = kiln.user(sub);
            const account = await carol.account();
            const runners = await Promise.all(['north', 'south'].map(name => kiln.runner({ name: `${name}-${how}` })));
            const streams = await Promise.all([carol.stream({ resume: true }).opened(), carol.stream({ resume: true }).opened(), ann.stream({ resume: true }).opened()]);
            const ids = (await kiln.psql(`select kiln.enqueue('brief', '{}', ${account}) from generate_series(1, 30)`)).split('\n');
            await until('some to be done', async () => Number(await kiln.value(`select count(*) from kiln.attempt where job_id = any ('{${ids}}')`)) >= 15);
            await kiln.restart_database(how);
            await until('every job to end', async () => Number(await kiln.value(`select count(*) from kiln.job where job_id = any ('{${ids}}') and state = 'completed'`)) === 30, 45000);
            await check_history(ids, 3);
            for (const stream of streams.slice(0, 2)) {
                for (const id of ids) await stream.sees_end_of(id);
                await check_stream(stream, account);
                assert.ok(!stream.events.some(e => e.event === 'reset'), 'a restart is no reset');
            }
            assert.ok(!streams[2].events.some(e => ids.includes(e.data.job_id)), 'others hear nothing of it');
            assert.deepEqual(await kiln.rows(`select name from kiln.runner where name like '%-${how}' and ended_why = 'expired'`), [], 'nobody was buried for the outage');
            await Promise.all(runners.map(runner => runner.stop()));
            for (const stream of streams) stream.close();
        });
    }

    test('kill -9 and start of the server while streams are open: clients resume, nothing is lost, nothing comes twice', async () => {
        const dave = kiln.user('dave');
        const account = await dave.account();
        const runner = await kiln.runner({ name: 'west' });
        const { port } = kiln.main;
        const streams = await Promise.all([1, 2, 3].map(() => dave.stream({ resume: true }).opened()));
        const ids = (await kiln.psql(`select kiln.enqueue('brief', '{}', ${account}) from generate_series(1, 30)`)).split('\n');
        for (let round = 0; round < 2; round++) {
            const seen = streams[0].events.length;
            await until('events to come', () => streams.every(stream => stream.events.length > seen + 5));
            await kiln.main.kill();
            await pause(200);       // events happen meanwhile that nobody hears
            kiln.main = await kiln.server({ port });
        }
        for (const stream of streams) {
            for (const id of ids) await stream.sees_end_of(id);
            await check_stream(stream, account);
            assert.ok(stream.links >= 2, 'it came back');
            assert.ok(!stream.events.some(e => e.event === 'reset'));
            const versions = {};
            for (const e of stream.events.filter(e => e.data.job_id)) {
                assert.ok(e.data.version >= (versions[e.data.job_id] ?? 0), 'within a job the order holds across the break');
                versions[e.data.job_id] = e.data.version;
            }
            stream.close();
        }
        await runner.stop();
    });

    test('SIGTERM of the server ends streams with a retry, after which they resume as if nothing had been', async () => {
        const erin = kiln.user('erin');
        const account = await erin.account();
        const runner = await kiln.runner({ name: 'east' });
        const { port } = kiln.main;
        const stream = await erin.stream({ resume: true, keeps_raw: true }).opened();
        const ids = (await kiln.psql(`select kiln.enqueue('brief', '{}', ${account}) from generate_series(1, 10)`)).split('\n');
        await until('events to come', () => stream.events.length > 5);
        assert.deepEqual(await kiln.main.stop(), { code: 0, signal: null });
        kiln.main = await kiln.server({ port });
        for (const id of ids) await stream.sees_end_of(id);
        await check_stream(stream, account);
        stream.close();
        await runner.stop();
    });
});

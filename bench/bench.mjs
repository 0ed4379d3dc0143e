// bench: the speed of Kiln as ratios to a baseline taken in the same run on the same durable cluster (fsync and
// synchronous_commit on), since absolute figures say more about a machine than about a program. Writes docs/bench.md and
// docs/bench.svg. Each figure is the median of five runs of three seconds; both sides of a ratio take turns.
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { createSign } from 'node:crypto';
import { key_pair } from '../tests/fakes/keys.mjs';
import { begin, in_seconds, make_token, pause, request, root, run, until } from '../tests/e2e/lib.mjs';

const is_quick = Boolean(process.env.KILN_BENCH_QUICK);
const runs = is_quick ? 1 : 5;
const seconds = is_quick ? 2 : 3;
const wanted = process.argv.slice(2);
const figures = [];             // { group, name, value, unit, target, is_met, note }
const tables = [];              // [title, header, rows]

const median = list => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
const say = text => process.stdout.write(`${text}\n`);

function figure(group, name, value, { unit = '×', target, at_most = false, note = '' } = {}) {
    const is_met = target === undefined ? undefined : at_most ? value <= target : value >= target;
    figures.push({ group, name, value, unit, target, at_most, is_met, note });
    const aim = target === undefined ? '' : `  (${at_most ? 'at most' : 'at least'} ${target}${unit === '×' ? '' : ` ${unit}`}: ${is_met ? 'met' : 'MISSED'})`;
    say(`  ${name}: ${value.toFixed(unit === '×' || unit === 'ms' ? 2 : 1)} ${unit}${aim}${note ? `  ${note}` : ''}`);
}

// A request as it comes in: what both a bare insert and an enqueue write.
const job_input = JSON.stringify({
    prompt: 'a lighthouse above the sea at dusk, oil on canvas, wide angle, high detail, calm water, warm light', media: [],
    params: { width: 1024, height: 768, format: 'png', quality: 88, motif: 'auto', caption: true }, seed: '7333014404288395', media_type: 'image', model: 'local/sketch',
}).replace(/":/g, '": ');       // pgbench takes :word for a variable

const kiln = await begin({
    server: false,
    settings: ['--set', 'shared_buffers=1GB', '--set', 'max_wal_size=4GB', '--set', 'max_connections=200', '--set', 'jit=off'],
});
const file = (name, text) => { const at = path.join(kiln.folder, name); fs.writeFileSync(at, text); return at; };

async function pgbench(args, { database = 'kiln', env = {} } = {}) {
    const ended = await run('pgbench', ['-n', '-M', 'prepared', '-j', '2', ...args], { env: { ...kiln.pg, PGDATABASE: database, ...env } });
    const tps = /tps = ([\d.]+)/.exec(ended.out)?.[1];
    if (!tps || /ERROR|aborted/.test(ended.err)) throw new Error(`pgbench ${args.join(' ')}: ${ended.err}${ended.out}`);
    return Number(tps);
}

// --- what is measured ------------------------------------------------------------------------------------------------------

await kiln.psql(`
    insert into kiln.queue (name) values ('bench');
    do $$ declare v int := kiln.new_pipeline_version('bench'); begin
        insert into kiln.stage (pipeline_version_id, position, name, handler, queue_id)
        select v, n, 'stage-' || n, 'log', q.queue_id from generate_series(1, 2) n, kiln.queue q where q.name = 'bench'; end $$;
    do $$ declare v int := kiln.new_pipeline_version('single'); begin
        insert into kiln.stage (pipeline_version_id, position, name, handler, queue_id)
        select v, 1, 'only', 'log', q.queue_id from kiln.queue q where q.name = 'bench'; end $$;
    select kiln_internal.operator_account();
    create table bare (job_id bigint generated always as identity primary key, account_id bigint not null, state text not null default 'queued',
                       created_at timestamptz not null default now(), input jsonb not null);
    create index on bare (account_id, job_id);`);
const account = await kiln.value('select kiln_internal.operator_account()');
const bare_sql = file('bare.sql', `insert into bare (account_id, input) values (${account}, '${job_input}');\n`);
const enqueue_sql = file('enqueue.sql', `select kiln.enqueue('bench', '${job_input}', ${account});\n`);
const cycle_sql = file('cycle.sql', `select coalesce(array_agg(task_id), '{}') as t, coalesce(array_agg(fence), '{}') as f, coalesce(array_agg('{"ok": true}'::text), '{}') as o
    from kiln_runner.cycle(:r, :t, :f, :o, :k, '{}', false) \\gset\n`);

const rows_enqueue_sql = file('rows_enqueue.sql', `select enqueue(${account}, '${job_input}');\n`);
const rows_cycle_sql = file('rows_cycle.sql', `select coalesce(task, 0) as t, coalesce(fence, 0) as f, input from cycle(1, :t, :f, '{"ok": true}') \\gset\n`);

/** A database with what the same rows cost without Kiln's rules, and enough waiting for a run. */
async function bare_rows() {
    await admin('drop database if exists rows with (force)');
    await admin('create database rows');
    const made = await run('psql', ['-X', '-q', '-d', 'rows', '-v', 'ON_ERROR_STOP=1', '-f', path.join(root, 'bench/rows.sql'),
        '-c', `insert into job (account_id, input) select ${account}, '${job_input}' from generate_series(1, 150000)`,
        '-c', 'insert into ready select job_id, job_id * 10000 + 100, account_id from job', '-c', 'vacuum analyze'], { env: kiln.pg });
    if (made.code) throw new Error(made.err);
}

const fill = jobs => kiln.psql(`do $$ begin for i in 1..${Math.ceil(jobs / 1000)} loop
    perform kiln.enqueue_many('bench', array(select '${job_input}'::jsonb from generate_series(1, 1000)), ${account}); end loop; end $$`);
// The guards let nobody empty a table: a fresh copy of the database as it was before the first job.
async function admin(sql) {
    kiln.end_links();        // who is connected would be in the way
    const ended = await run('psql', ['-X', '-q', '-d', 'postgres', '-v', 'ON_ERROR_STOP=1', '-c', sql], { env: kiln.pg });
    if (ended.code) throw new Error(ended.err);
}
await admin('create database kiln_seed template kiln');
async function empty() {
    await admin('drop database kiln with (force)');
    await admin('create database kiln template kiln_seed');
    await kiln.psql('checkpoint');
}

/** A runner's tick beside pgbench, which has none. */
function ticking(runner) {
    const session = kiln.session();
    const timer = setInterval(() => session.child.stdin.write(`select kiln_runner.tick(${runner}), kiln_runner.beat(${runner}) \\g /dev/null\n`), 100);
    return () => { clearInterval(timer); session.child.stdin.end(); };
}
const register = () => kiln.value(`select kiln_runner.register('bench', 'here', 1, '0', '{bench}', 10000)`);
const done = async () => Number(await kiln.value('select count(*) from kiln.task_ended'));
async function cycles(runner, batch, { clients = 8, length = seconds } = {}) {
    const before = await done();
    await pgbench(['-c', String(clients), '-T', String(length), '-D', `r=${runner}`, '-D', 't={}', '-D', 'f={}', '-D', 'o={}', '-D', `k=${batch}`, '-f', cycle_sql]);
    return (await done() - before) / length;
}

const groups = {
    async drain() {
        await run('createdb', ['pgbench'], { env: kiln.pg });
        await run('pgbench', ['-i', '-q', '-s', '10', 'pgbench'], { env: kiln.pg });
        await bare_rows();
        const bare_ratios = [];
        for (const [batch, target] of [[1, 0.6], [10, 1.6], [100, 2.3]]) {
            const ratios = [], rates = [];
            for (let i = 0; i < runs; i++) {
                await fill(batch === 100 ? 60000 : batch === 10 ? 40000 : 15000);
                const runner = await register(), stop = ticking(runner);
                const baseline = await pgbench(['-N', '-c', '8', '-T', String(seconds)], { database: 'pgbench' });
                const rate = await cycles(runner, batch);
                stop();
                if (batch === 1) bare_ratios.push(await pgbench(['-c', '8', '-T', String(seconds), '-D', 't=0', '-D', 'f=0', '-f', rows_cycle_sql], { database: 'rows' }) / baseline);
                await kiln.psql(`select kiln_runner.unregister(${runner})`);
                await empty();
                ratios.push(rate / baseline);
                rates.push(rate);
            }
            figure('drain', `tasks completed at batch ${batch} / pgbench -N`, median(ratios), { target, note: `${Math.round(median(rates))} tasks/s` });
        }
        figure('drain', 'the same rows at batch 1 without a rule / pgbench -N', median(bare_ratios), { note: 'bench/rows.sql' });
    },

    // Where the time of one task goes, by function: one client, no waiting for the disk.
    async profile() {
        await fill(12000);
        const runner = await register(), stop = ticking(runner);
        const options = { env: { PGOPTIONS: '-c synchronous_commit=off -c track_functions=all' } };
        await pgbench(['-c', '1', '-T', String(seconds), '-D', `r=${runner}`, '-D', 't={}', '-D', 'f={}', '-D', 'o={}', '-D', 'k=1', '-f', cycle_sql], options);
        await pgbench(['-c', '1', '-T', String(seconds), '-f', enqueue_sql], options);
        stop();
        await pause(1500);
        const rows = await kiln.rows(`select funcname, round((self_time / c.cycles * 1000)::numeric) as self_us, round((total_time / c.cycles * 1000)::numeric) as total_us
            from pg_stat_user_functions, lateral (select max(calls) filter (where funcname = 'cycle')::float8 as cycles from pg_stat_user_functions) c
           where funcname in ('cycle', 'claim', 'take', 'claim_one', 'claimed', 'finish_task', 'on_job_moves', 'fill_job_move') order by self_time desc`);
        const enqueue = await kiln.rows(`select round((total_time / calls * 1000)::numeric) as us from pg_stat_user_functions where funcname = 'enqueue'`);
        tables.push(['Where the time of a cycle of one task goes', ['function', 'itself, µs a cycle', 'with what it calls'], rows.map(r => [`kiln_internal.${r.funcname}`.replace('kiln_internal.cycle', 'kiln_runner.cycle'), r.self_us, r.total_us])]);
        tables.push(['One enqueue', ['function', 'µs a call'], [['kiln.enqueue', enqueue[0].us]]]);
        for (const [title, , list] of tables.slice(-2)) for (const row of list) say(`  ${title}: ${row.join(' ')}`);
        await empty();
    },

    async enqueue() {
        // Busy: registered, and nobody is marked asleep.
        await bare_rows();
        for (const clients of [8, 32]) {
            const ratios = [], rates = [], bare_ratios = [];
            for (let i = 0; i < runs; i++) {
                const bare = await pgbench(['-c', String(clients), '-T', String(seconds), '-f', bare_sql]);
                const rate = await pgbench(['-c', String(clients), '-T', String(seconds), '-f', enqueue_sql]);
                bare_ratios.push(await pgbench(['-c', String(clients), '-T', String(seconds), '-f', rows_enqueue_sql], { database: 'rows' }) / bare);
                await empty();
                ratios.push(rate / bare);
                rates.push(rate);
            }
            figure('enqueue', `single enqueues, ${clients} clients / bare inserts`, median(ratios), { target: 0.75, note: `${Math.round(median(rates))} jobs/s` });
            figure('enqueue', `the same rows by ${clients} clients without a rule / bare inserts`, median(bare_ratios), { note: 'bench/rows.sql' });
        }
    },

    async depth() {
        const rates = {};
        const claim_sql = file('claim.sql', `begin;\nselect count(*) from kiln_runner.claim(:r, 1);\nrollback;\n`);
        for (const depth of [1000, 1000000]) {
            await fill(depth);
            await kiln.psql('analyze; checkpoint');
            const runner = await register();
            const list = [];
            for (let i = 0; i < runs; i++) list.push(await pgbench(['-c', '4', '-T', String(seconds), '-D', `r=${runner}`, '-f', claim_sql]));
            rates[depth] = median(list);
            await kiln.psql(`select kiln_runner.unregister(${runner})`);
        }
        await empty();
        figure('depth', 'claims with 1,000 waiting / with 1,000,000', rates[1000] / rates[1000000], { target: 1.2, at_most: true, note: `${Math.round(rates[1000])} and ${Math.round(rates[1000000])} claims/s` });
    },

    async churn() {
        const ratios = [];
        for (let i = 0; i < Math.min(runs, 3); i++) {
            await fill(60000);
            const runner = await register(), stop = ticking(runner);
            await pause(500);
            const fresh = await cycles(runner, 1, { length: 3 });
            const holder = kiln.session();
            await holder.say('begin isolation level repeatable read; select count(*) from kiln.job;');
            while (await done() < 60000) await cycles(runner, 100, { length: 2 });
            await pause(500);
            const held = await cycles(runner, 1, { length: 3 });
            await holder.say('commit;');
            await holder.end();
            stop();
            await kiln.psql(`select kiln_runner.unregister(${runner})`);
            await empty();
            ratios.push(held / fresh);
        }
        figure('churn', 'cycles after 60,000 tasks under a held snapshot / fresh', median(ratios), { target: 0.8 });
    },

    async pickup() {
        // From just before pgbench sends the enqueue (its log gives the end and the duration of each) to the runner's line at the
        // start of the handler; one client, so the n-th transaction is the n-th job. Both clocks are this machine's.
        for (const [rate, p50, p99, what] of [[200, 1.5, 5, 'at 200/s'], [20, 2.2, 5.5, 'from sleep, at 20/s']]) {
            const runner = await kiln.runner({ name: `pickup-${rate}`, args: ['--queues', 'bench', '--slots', '50'], env: { KILN_LOG_LEVEL: 'info' } });
            await pause(1000);
            const pick_sql = file('pick.sql', `select kiln.enqueue('single', '{"media": []}', ${account});\n`);
            const log = path.join(kiln.folder, `pickup-${rate}`);
            await run('pgbench', ['-n', '-M', 'prepared', '-c', '1', '-R', String(rate), '-T', String(is_quick ? 4 : 15), '-l', '--log-prefix', log, '-f', pick_sql], { env: kiln.pg });
            await pause(1500);
            const sent = fs.readdirSync(kiln.folder).filter(name => name.startsWith(`pickup-${rate}.`)).map(name => fs.readFileSync(path.join(kiln.folder, name), 'utf8')).join('')
                .trim().split('\n').map(line => line.split(' ').map(Number)).map(([, , took, , second, micro, lag]) => second * 1e6 + micro - took + lag);
            const started = runner.logged('input').sort((a, b) => a.job_id - b.job_id)
                .map(line => Date.parse(`${line.ts.slice(0, 19)}Z`) * 1000 + Number(line.ts.slice(20, 26)));
            if (sent.length !== started.length) throw new Error(`${sent.length} jobs were sent and ${started.length} started`);
            const waits = started.map((at, i) => (at - sent[i]) / 1000);
            await runner.stop();
            figure('pickup', `pickup ${what}, p50`, quantile(waits, 0.5), { unit: 'ms', target: p50, at_most: true, note: `${waits.length} tasks` });
            figure('pickup', `pickup ${what}, p99`, quantile(waits, 0.99), { unit: 'ms', target: p99, at_most: true });
        }
        // What the server's own log says: transactions also count those of autovacuum.
        await kiln.psql(`alter role kiln_worker set log_statement = 'all'`);
        const log = path.join(kiln.cluster, 'log/postgres.log');
        const statements = () => (fs.readFileSync(log, 'utf8').match(/ kiln_worker@kiln LOG: {2}(execute|statement)/g) ?? []).length;
        const idle = await kiln.runner({ name: 'idle', env: { KILN_LOG_LEVEL: 'warn' } });
        await pause(4000);
        const before = statements();
        await pause(10000);
        const per_second = (statements() - before) / 10;
        await kiln.psql('alter role kiln_worker reset log_statement');
        await idle.stop();
        figure('pickup', 'statements of an idle runner', per_second, { unit: '/s', target: 2, at_most: true });
        await empty();
    },

    async runners() {
        const rows = [];
        for (const count of [1, 2, 4, 8]) {
            const jobs = is_quick ? 5000 : 20000;
            await fill(jobs);
            const list = await Promise.all(Array.from({ length: count }, (_, i) => kiln.runner({ name: `drain-${count}-${i}`, args: ['--queues', 'bench', '--slots', '100'], env: { KILN_LOG_LEVEL: 'warn' }, ready: false })));
            const began = Date.now();
            await until('the queue to be empty', async () => await kiln.value('select not exists (select from kiln.job where finished_at is null)') === 't', 120000);
            const took = await kiln.rows('select extract(epoch from max(finished_at) - min(started_at)) as s from kiln.job');
            rows.push([count, Math.round(2 * jobs / took[0].s)]);
            say(`  ${count} runners: ${rows.at(-1)[1]} tasks/s (${((Date.now() - began) / 1000).toFixed(1)} s)`);
            await Promise.all(list.map(runner => runner.stop()));
            await empty();
        }
        tables.push(['Drain rate with real runners', ['runners', 'tasks/s'], rows]);
    },

    // What it costs to wait: tasks whose provider is slow hold no slot, no thread and no connection, only a poll each 15 s.
    async waiting() {
        const count = 1000, every_s = 15, length_s = is_quick ? every_s : 4 * every_s;
        const fake = await kiln.start_provider();
        await fake.behave('queue-long');
        await kiln.provider('slow', 'fal', { webhook: null });
        await kiln.psql(`update kiln.provider set poll = poll || '{"every_ms": ${every_s * 1000}, "max_every_ms": ${every_s * 1000}}' where name = 'slow'`);
        await kiln.pipeline('slow', [{ handler: 'http', queue: 'bench', time_limit: '2 hours', config: {
            provider: 'slow', endpoint: 'fal-ai/flux/dev', body: { prompt: '{prompt}' }, outputs: [{ pointer: '/images/*/url', as: 'url', media_type: 'image' }] } }]);
        const runner = await kiln.runner({ name: 'waiting', args: ['--queues', 'bench', '--slots', '50'], env: { KILN_LOG_LEVEL: 'warn' } });
        await pause(3000);
        await kiln.psql(`do $$ begin for i in 1..${count} loop perform kiln.enqueue('slow', jsonb_build_object('prompt', 'request ' || i, 'media', '[]'::jsonb), ${account}); end loop; end $$`);
        await until('every call to be accepted', async () => await kiln.value(`select count(*) from kiln.call where state = 'accepted'`) === String(count), 120000);
        await pause(every_s * 1000);                // the first polls are spread out by now
        const ticks = pid => { const f = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' '); return Number(f[11]) + Number(f[12]); };
        const pids = [runner.pid, ...(await kiln.rows(`select pid from pg_stat_activity where usename = 'kiln_worker'`)).map(row => row.pid)];
        const sum = () => pids.reduce((all, pid) => all + ticks(pid), 0);
        const polls = async () => (await fake.bill()).requests.reduce((all, r) => all + r.polls, 0);
        const [before, polls_before, from] = [sum(), await polls(), performance.now()];
        await pause(length_s * 1000);
        const passed_s = (performance.now() - from) / 1000;
        const core = (sum() - before) / passed_s;   // ticks are hundredths of a second
        const rate = (await polls() - polls_before) / passed_s;
        const rss = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${runner.pid}/status`, 'utf8'))[1]) / 1024;
        figure('waiting', `memory of a runner with ${count} waiting tasks`, rss, { unit: 'MiB', target: 40, at_most: true });
        figure('waiting', 'runner and its backends meanwhile, of a core', core, { unit: '%', target: 5, at_most: true, note: `${rate.toFixed(1)} polls/s` });
        await runner.stop();
        await fake.stop();
        await empty();
    },

    async rest() {
        kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'warn' } });
        const ann = kiln.user('ann');
        const job = await ann.make({ type: 'image', prompt: 'a lighthouse above the sea at dusk' });
        const context = JSON.stringify({ sub: 'ann', iss: null, role: 'user', idempotency_key: null, request_id: 'bench' }).replace(/":/g, '": ');
        const get_sql = file('get.sql', `select kiln_api.get_generation(kiln_api.act_as('${context}'), '{"id": "${job.id}"}', '{}', null);\n`);
        const ratios = [], rates = [];
        for (let i = 0; i < runs; i++) {
            const best = Math.max(await pgbench(['-c', '4', '-T', String(seconds), '-f', get_sql]), await pgbench(['-c', '16', '-T', String(seconds), '-f', get_sql]));
            const wrk = await run('wrk', ['-t1', '-c64', `-d${seconds}s`, '-H', `Authorization: Bearer ${ann.token}`, `${kiln.url}/api/v1/generations/${job.id}`]);
            const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(wrk.out)[1]);
            if (/Non-2xx/.test(wrk.out)) throw new Error(wrk.out);
            ratios.push(rate / best);
            rates.push(rate);
        }
        figure('rest', 'GET /generations/{id}, 64 connections / the same function by pgbench', median(ratios), { target: 0.5, note: `${Math.round(median(rates))} requests/s` });
    },

    // The same request under a token of the secret and one of an issuer: what differs is the token alone, and that it is longer.
    async tokens() {
        const [iss, aud] = ['https://tenant.example.auth0.com/', 'https://api.example.com'];
        const { privateKey, jwk } = key_pair('rsa', { modulusLength: 2048 });
        const issuer = http.createServer((req, res) => res.end(JSON.stringify({ keys: [{ ...jwk, kid: 'bench', use: 'sig', alg: 'RS256' }] })));
        await new Promise(resolve => issuer.listen(0, '127.0.0.1', resolve));
        const server = await kiln.server({ env: { KILN_LOG_LEVEL: 'warn', KILN_JWT_ISSUER: iss, KILN_JWT_AUDIENCE: aud, KILN_JWKS_URL: `http://127.0.0.1:${issuer.address().port}/jwks.json` } });
        const b64 = value => Buffer.from(JSON.stringify(value)).toString('base64url');
        const claims = { sub: 'auth0|64f0c0ffee0123456789abcd', aud, iat: in_seconds(-1), exp: in_seconds(3600), scope: 'openid profile' };
        const text = `${b64({ alg: 'RS256', typ: 'JWT', kid: 'bench' })}.${b64({ iss, ...claims })}`;
        const kinds = { hs256: make_token(claims, kiln.secret), rs256: `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey).toString('base64url')}` };
        const me = token => request(server.url, 'GET', '/api/v1/me', { headers: { Authorization: `Bearer ${token}` } });
        for (const token of Object.values(kinds)) await until('the token to be known', async () => (await me(token)).status === 200);
        const wrk = async token => {
            const { out } = await run('wrk', ['-t1', '-c64', `-d${seconds}s`, '-H', `Authorization: Bearer ${token}`, `${server.url}/api/v1/me`]);
            if (/Non-2xx/.test(out)) throw new Error(out);
            return Number(/Requests\/sec:\s+([\d.]+)/.exec(out)[1]);
        };
        await wrk(kinds.hs256);                     // warms what both need
        const ratios = [], rates = [];
        for (let i = 0; i < runs; i++) {
            const [hs256, rs256, again] = [await wrk(kinds.hs256), await wrk(kinds.rs256), await wrk(kinds.hs256)];
            ratios.push((hs256 + again) / 2 / rs256);
            rates.push(rs256);
        }
        figure('tokens', 'cost of GET /me with an RS256 token / with an HS256 one, both remembered', median(ratios), { target: 1.2, at_most: true, note: `${Math.round(median(rates))} requests/s` });
        await server.stop();
        issuer.closeAllConnections();
        issuer.close();
    },

    async streams() {
        kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'warn' } });
        const ann = kiln.user('listener');
        const bob = kiln.user('neighbour');
        await ann.account();
        await bob.account();
        const sockets = [];
        const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${kiln.main.pid}/status`, 'utf8'))[1]) / 1024;
        const count = 5000;
        let ready = 0, arrived = 0, on_all, on_bob;
        for (let i = 0; i < count; i++) {
            const is_bob = i === count / 2;
            const socket = net.connect(kiln.main.port, '127.0.0.1');
            socket.on('error', () => {});
            socket.write(`GET /api/v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${(is_bob ? bob : ann).token}\r\n\r\n`);
            let is_ready = false;
            socket.on('data', bytes => {
                if (!is_ready && bytes.includes('event: ready')) { is_ready = true; ready++; }
                if (!bytes.includes('job.queued')) return;
                if (is_bob) on_bob();
                else if (++arrived === count - 1) on_all();
            });
            sockets.push(socket);
            if (i % 100 === 99) await pause(5);
        }
        await until('5,000 streams to be ready', () => ready === count, 60000);
        await pause(2000);
        figure('streams', 'memory of the server with 5,000 idle streams', rss(), { unit: 'MiB', target: 50, at_most: true });
        const waits = [], alone = [];
        for (let i = 0; i < (is_quick ? 3 : 10); i++) {
            const one = new Promise(resolve => { on_bob = resolve; });
            const from = performance.now();
            await bob.make({ type: 'image', prompt: 'a wave' });
            await one;
            alone.push(performance.now() - from);
            arrived = 0;
            const all = new Promise(resolve => { on_all = resolve; });
            const began = performance.now();
            await ann.make({ type: 'image', prompt: 'a wave' });
            await all;
            waits.push(performance.now() - began);
            await pause(200);
        }
        figure('streams', 'POST /generate to the one reader of 5,000 that it concerns', median(alone), { unit: 'ms' });
        figure('streams', 'POST /generate to the last of 4,999 readers', median(waits), { unit: 'ms', note: 'node reads on the same two cores' });
        for (const socket of sockets) socket.destroy();
    },
};

// --- the bus: thousands of readers in one process that is not node -------------------------------------------------------------

const mono_ms = () => Number(process.hrtime.bigint()) / 1e6;
const cpu_ms = pid => { const of = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' '); return (Number(of[11]) + Number(of[12])) * 10; };
const rss_mib = pid => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
const on_core = (core, pid) => run('taskset', ['-pc', String(core), String(pid)]);

/** How far the clock of PostgreSQL (since 1970, in ms) is ahead of the readers' monotonic one: by the shortest of some round trips. */
async function clock_offset() {
    let best = { took: Infinity };
    for (let i = 0; i < 50; i++) {
        const from = mono_ms();
        const at = Number(await kiln.value('select extract(epoch from clock_timestamp()) * 1000'));
        const took = mono_ms() - from;
        if (took < best.took) best = { took, offset: at - (from + took / 2) };
    }
    return best.offset;
}

/** bench/listeners.c on the second core: `says` has its lines; next(/pattern/) waits for one that was not given before. */
async function listeners(ports, streams, list, opened, mark, { each = false, ms = 120000 } = {}) {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'taskset', '-c', '1', path.join(root, 'build/bench/listeners'), ports.join(), String(streams), file(`list-${Math.random()}`, list.join('\n') + '\n'), opened, mark, ...each ? ['--each'] : []], { stdio: ['ignore', 'pipe', 'inherit'] });
    const reader = { child, lines: [], at: 0 };
    let text = '';
    child.stdout.setEncoding('latin1').on('data', more => { const parts = (text + more).split('\n'); text = parts.pop(); reader.lines.push(...parts); });
    reader.next = (pattern, wait = 30000) => until(`the readers to say ${pattern}`, () => {
        const found = reader.lines.findIndex((line, index) => index >= reader.at && pattern.test(line));
        if (found < 0) return undefined;
        reader.at = found + 1;
        return pattern.exec(reader.lines[found]);
    }, wait);
    reader.end = async () => { child.kill('SIGTERM'); await new Promise(resolve => child.on('close', resolve)); return JSON.parse(/^sum (.*)/.exec(reader.lines.at(-1))[1]); };
    reader.first_links = Number((await reader.next(/^open \d+ (\d+)/, ms))[1]);        // more than streams: some had to knock twice
    return reader;
}
const publish = who => kiln.psql(`select kiln.enqueue('single', '{}', ${who})`);
const listener_line = user => `/api/v1/events\t${user.token}`;
/** A realtime process of its own on the first core. */
async function realtime(env = {}) {
    const server = await kiln.server({ args: ['--role', 'realtime'], env: { KILN_LOG_LEVEL: 'warn', ...env } });
    await on_core(0, server.pid);
    return server;
}
/** M events to all of N: { ms: to the last reader, median; us: processor time of pid for each delivery }. */
async function broadcast(reader, pid, streams, events, send) {
    const waits = [], before = cpu_ms(pid);
    for (let k = 0; k < events; k++) {
        const from = mono_ms();
        await send();
        waits.push(Number((await reader.next(/^all \d+ (\d+)/))[1]) / 1e6 - from);
        await pause(30);
    }
    return { ms: median(waits), us: (cpu_ms(pid) - before) * 1000 / (events * streams) };
}

Object.assign(groups, {
    async fanout() {
        const count = Number(process.env.KILN_BENCH_STREAMS ?? 10000), events = is_quick ? 10 : 60;
        const users = Array.from({ length: count }, (_, i) => kiln.user(`reader-${i}`));
        const crowd = kiln.user('crowd'), crowd_account = await (kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'warn' } }), crowd.account());

        // Broadcast: one account with all the streams.
        let server = await realtime(), empty = rss_mib(server.pid);
        let reader = await listeners([server.port], count, [listener_line(crowd)], 'event: ready', 'event: job.queued');
        await pause(1500);
        figure('fanout', `memory a stream, ${count} open`, (rss_mib(server.pid) - empty) * 1024 / count, { unit: 'KiB', target: 10, at_most: true });
        const ours = await broadcast(reader, server.pid, count, events, () => publish(crowd_account));
        const sum = await reader.end();
        if (sum.unlike || sum.least !== sum.most) throw new Error(`readers were not told the same: ${JSON.stringify(sum)}`);
        await server.stop();

        // nchan: a channel for all and one of one's own, as an account's stream has both.
        const port = 20000 + Math.floor(Math.random() * 9000), folder = path.join(kiln.folder, 'nginx');
        for (const name of ['', 'body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) fs.mkdirSync(path.join(folder, name), { recursive: true });
        fs.writeFileSync(path.join(folder, 'nginx.conf'), `load_module /usr/lib/nginx/modules/ngx_nchan_module.so; worker_processes 1; daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
            worker_rlimit_nofile 20000; events { worker_connections 19990; } http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
            uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi; nchan_shared_memory_size 256M; server { listen 127.0.0.1:${port} backlog=4096;
            location /sub { nchan_subscriber eventsource; nchan_channel_id all $arg_user; nchan_eventsource_ping_interval 15; } location /pub { nchan_publisher; nchan_channel_id $arg_to; } } }`);
        const nginx = spawn('setpriv', ['--pdeathsig', 'TERM', 'nginx', '-p', folder, '-c', path.join(folder, 'nginx.conf')], { stdio: 'inherit' });
        const worker = await until('a worker of nginx', () => fs.readdirSync('/proc').filter(entry => /^\d+$/.test(entry)).find(entry => { try { return fs.readFileSync(`/proc/${entry}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ')[1] === String(nginx.pid) && fs.readFileSync(`/proc/${entry}/cmdline`, 'latin1').includes('worker'); } catch { return false; } }));
        await on_core(0, worker);
        const post = to => new Promise((resolve, reject) => { const req = http.request({ port, host: '127.0.0.1', method: 'POST', path: `/pub?to=${to}`, agent }, res => res.resume().on('end', resolve)); req.on('error', reject); req.end('{"type": "job.queued", "job_id": "1", "kind": "generation", "media_type": null, "state": "queued", "version": 1, "at": "2026-01-01T00:00:00.000Z"}'); });
        const agent = new http.Agent({ keepAlive: true });
        try {
            reader = await listeners([port], count, users.map((_, i) => `/sub?user=u${i}\t-`), 'HTTP/1.1 200', 'data:');
            await pause(1500);
            const theirs = await broadcast(reader, worker, count, events, () => post('all'));
            await reader.end();
            figure('fanout', `processor time of a delivery to one of ${count} / nchan`, ours.us / theirs.us, { target: 0.5, at_most: true, note: `${ours.us.toFixed(1)} and ${theirs.us.toFixed(1)} us` });
            figure('fanout', `to the last of ${count} readers / nchan`, ours.ms / theirs.ms, { note: `${ours.ms.toFixed(0)} and ${theirs.ms.toFixed(0)} ms` });
        } finally { agent.destroy(); nginx.kill('SIGTERM'); }

        // Targeted: each stream another account.
        server = await realtime();
        const targets = users.slice(0, 40);
        for (const user of targets) await user.account();
        reader = await listeners([server.port], count, users.map(listener_line), 'event: ready', 'event: job.queued', { each: true });
        await pause(1000);
        const waits = [], offset = await clock_offset();
        for (let k = 0; k < (is_quick ? 20 : 200); k++) {
            const id = await targets[k % targets.length].account();
            // The last thing before the commit is to look at the clock.
            const [{ at }] = await kiln.rows(`select kiln.enqueue('single', '{}', ${id}), extract(epoch from clock_timestamp()) * 1000 as at`);
            waits.push(Number((await reader.next(/^one \d+ (\d+)/))[1]) / 1e6 - (Number(at) - offset));
            await pause(20 + Math.random() * 30);
        }
        await reader.end();
        await server.stop();
        figure('fanout', `from the commit of an event to the read of the one reader of ${count}, p50`, median(waits), { unit: 'ms', target: 3, at_most: true });
        figure('fanout', 'the same, p99', quantile(waits, 0.99), { unit: 'ms' });
    },

    async hold() {
        const count = Number(process.env.KILN_BENCH_STREAMS ?? 19000), minutes = Number(process.env.KILN_BENCH_MINUTES ?? (is_quick ? 1 : 5));
        kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'warn' } });
        const crowd = kiln.user('patient'), server = await realtime({ KILN_MAX_STREAMS: String(count) });
        const account = await crowd.account();
        const reader = await listeners([server.port], count, [listener_line(crowd)], 'event: ready', 'event: job.queued');
        const before = cpu_ms(server.pid), from = mono_ms();
        await pause(minutes * 60000);
        const cpu = (cpu_ms(server.pid) - before) / (mono_ms() - from);
        await publish(account);
        await reader.next(/^all 1 /);
        const sum = await reader.end();
        figure('hold', `streams of ${count} that held ${minutes} minutes with heartbeats, and heard`, sum.links === reader.first_links ? sum.open : 0, { unit: '', target: count });
        figure('hold', 'a core, for heartbeats', cpu * 100, { unit: '%' });
        await server.stop();
    },

    async failover() {
        const count = Number(process.env.KILN_BENCH_STREAMS ?? 5000);
        kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'warn' } });
        const people = Array.from({ length: 50 }, (_, i) => kiln.user(`survivor-${i}`));
        const accounts = [];
        for (const one of people) accounts.push(await one.account());
        const [first, second] = [await realtime(), await realtime()];
        const reader = await listeners([first.port, second.port], count, people.map(listener_line), 'event: ready', 'event: job.queued');
        let sent = 0;
        const writing = (async () => { while (sent < 1000) { await publish(accounts[sent++ % 50]); await pause(5); } })();
        await until('a part to be written', () => sent > 200);
        const from = mono_ms();
        first.signal('SIGKILL');
        const back = Number((await reader.next(/^open (\d+)/, 60000))[1]) / 1e6 - from;
        await writing;
        await until('all to be told', () => reader.lines.some(line => line.startsWith('all 20 ')), 30000);
        await pause(500);
        const sum = await reader.end();
        if (sum.unlike || sum.least !== 20 || sum.most !== 20) throw new Error(`a hole or a repeat: ${JSON.stringify(sum)}`);
        figure('failover', `all of ${count} streams stand again after kill -9, nothing lost or repeated`, back / 1000, { unit: 's', target: 10, at_most: true });
        await second.stop();
    },

    async doorbell() {
        // What 64 writers get done with streams open and their pump awake or asleep, and with none.
        kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'warn' } });
        const one = file('one.sql', `select kiln.enqueue('single', '{}', ${account});\n`);
        const rate = () => pgbench(['-c', '64', '-T', String(seconds), '-f', one]);
        const server = await realtime(), users = Array.from({ length: 200 }, (_, i) => kiln.user(`hearer-${i}`));
        const without = [], with_streams = [];
        for (let i = 0; i < runs; i++) {
            without.push(await rate());
            const reader = await listeners([server.port], 1000, users.map(listener_line), 'event: ready', 'event: job.queued');
            with_streams.push(await rate());
            await reader.end();
            await pause(500);
        }
        figure('doorbell', 'commits of 64 writers with 1,000 streams open / with none', median(with_streams) / median(without), { target: 0.8, note: `${median(with_streams).toFixed(0)} and ${median(without).toFixed(0)} enqueues/s` });
        await server.stop();
    },

    async replay() {
        // A million events of one account and another million of others between them; who was away for the last hundred comes back.
        kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'warn' } });
        const one = kiln.user('returner'), whose = await one.account(), server = await realtime();
        const write = (from, upto) => kiln.psql(`insert into kiln.event (account_id, type, data)
            select a, 'billing.changed', jsonb_build_object('reason', 'grant_' || translate(n::text, '0123456789', 'abcdefghij')) from generate_series(${from}, ${upto}) n, unnest(array[${whose}, 0]::bigint[]) a`);
        for (let n = 0; n < 1000; n++) await write(n * 1000 + 1, (n + 1) * 1000);
        await kiln.psql('analyze kiln.event');
        const waits = [], wanted = [];
        for (let i = 0; i < (is_quick ? 5 : 25); i++) {
            const before = await one.stream({ base: server.url }).opened();
            const last = before.events[0].id;
            before.close();
            wanted.length = 0;
            for (let n = 0; n < 100; n++) wanted.push(1000000 + i * 100 + n + 1);
            for (const n of wanted) await write(n, n);
            const from = mono_ms();
            const stream = one.stream({ base: server.url, last });
            const first = await new Promise((resolve, reject) => {
                const take = stream.take.bind(stream);
                stream.take = block => { take(block); if (stream.events.some(e => e.event !== 'ready')) resolve(mono_ms() - from); };
                setTimeout(() => reject(new Error('no event within 10 s')), 10000).unref();
            });
            await until('a hundred events', () => stream.events.length >= 101);
            await pause(100);
            const got = stream.events.filter(e => e.event !== 'ready').map(e => Number(e.data.reason.slice(6).replace(/./g, c => 'abcdefghij'.indexOf(c))));
            if (String(got) !== String(wanted)) throw new Error(`not exactly the last hundred: ${got.length}: ${got.slice(0, 5)}`);
            stream.close();
            waits.push(first);
        }
        const stored = await kiln.value('select count(*) from kiln.event');
        figure('replay', 'from connecting to the first of 100 missed events, of an account with a million, p50', median(waits), { unit: 'ms', target: 50, at_most: true, note: `${stored} events stored; exactly those 100 each time` });
        figure('replay', 'the same, the slowest', Math.max(...waits), { unit: 'ms', target: 50, at_most: true });
        await server.stop();
        await kiln.arrange(`delete from kiln.event where account_id in (${whose}, 0)`);
    },
});

// --- one account at its worst, and another beside it -----------------------------------------------------------------------------

/** One connection that asks again as soon as it is answered, in a process of its own: { p50, p99 } in ms, and how many. */
async function loop_of(user, target, length_s) {
    const { out } = await run('wrk', ['-t1', '-c1', `-d${length_s}s`, '--timeout', '30s', '--latency', '-H', `Authorization: Bearer ${user.token}`, `${kiln.url}/api/v1${target}`]);
    const ms = at => { const [, value, unit] = new RegExp(`^ +${at}% +([\\d.]+)(us|ms|s)$`, 'm').exec(out); return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit]; };
    return { p50: ms(50), p99: ms(99), count: Number(/(\d+) requests in/.exec(out)[1]), failed: Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0) };
}

/** What a neighbour sees for length_s seconds: its reads, a stream's delay from POST to event, a picture from POST to its end. */
async function neighbour(user, length_s) {
    const reads = loop_of(user, '/me', length_s), until_ms = performance.now() + length_s * 1000;
    const stream = await user.stream().opened(), delays = [], pictures = [];
    stream.resume = true;
    while (performance.now() < until_ms) {
        const from = Date.now();
        const job = await user.call('POST', '/generate', { type: 'image', prompt: 'a wave', params: { width: 256, height: 256 } });
        if (job.status !== 202) throw new Error(`POST /generate of the neighbour: ${job.status} ${job.text}`);
        delays.push((await stream.sees('its event', e => e.data.job_id === job.json.id, 30000)).at - from);
        pictures.push((await stream.sees_end_of(job.json.id)).at - from);
        await pause(200);
    }
    stream.close();
    return { reads: await reads, delay: quantile(delays, 0.99), picture: quantile(pictures, 0.99) };
}

/** Loops of one account on one address, eight connections. */
const loops = (user, target, length_s) => run('wrk', ['-t1', '-c8', `-d${length_s}s`, '--timeout', '30s', '-H', `Authorization: Bearer ${user.token}`, `${kiln.url}/api/v1${target}`]);
const ends = async (length_s, act) => { const until_ms = performance.now() + length_s * 1000; while (performance.now() < until_ms) await act().catch(() => pause(50)); };

// Each is what one account, or nobody, does as fast as it can for length_s seconds: the points of the issue by their names.
const attacks = {
    searches: (user, s) => loops(user, '/generations?q=zzzz&limit=100', s),
    exports: (user, s) => loops(user, '/me/export', s),
    lists: (user, s) => loops(user, '/generations?limit=100', s),
    numbers: (user, s) => ends(s, () => user.call('POST', '/generate/estimate', `{"type": "image", "prompt": [${Array(3000).fill('1e131071').join()}]}`)),
    keys: (user, s) => ends(s, () => user.call('POST', '/generate/estimate', JSON.stringify({ type: 'image', prompt: 'x', params: Object.fromEntries(Array.from({ length: 20000 }, (_, i) => [`key${i}`, i])) }))),
    posts: (user, s) => Promise.all(Array.from({ length: 16 }, () => ends(s, () => user.call('POST', '/generate', { type: 'smell' })))),
    arguments: (user, s) => Promise.all(Array.from({ length: 4 }, () => ends(s, () => request(kiln.url, 'GET', `/healthz?${'a&'.repeat(300)}`, { ms: 1000 })))),
    async halves(user, s) {
        const sockets = Array.from({ length: 200 }, () => net.connect(kiln.main.port, '127.0.0.1').on('error', () => {}).on('connect', function () { this.write('GET /api/v1/me HTTP/1.1\r\nHost: a\r\nX: '); }));
        await ends(s, async () => { for (const socket of sockets) if (!socket.destroyed) socket.write('x'); await pause(1000); });
        for (const socket of sockets) socket.destroy();
    },
    uploads: (user, s) => ends(s, async () => {
        const place = await user.call('POST', '/uploads/presign', { filename: 'a.png', content_type: 'image/png', bytes: 4000000 });
        if (place.status !== 201) return pause(200);
        const body = Buffer.alloc(4000000);
        await Promise.all(Array.from({ length: 25 }, () => request(kiln.url, place.json.method, place.json.url, { headers: { ...place.json.headers, 'Content-Length': body.length }, body }).catch(() => {})));
        await user.call('DELETE', `/uploads/${place.json.media_id}`);
    }),
};

/** What must not grow: memory of the server and of the largest backend, temporary files of the database, files of media. */
async function house() {
    const pids = (await kiln.rows(`select pid from pg_stat_activity where usename = 'kiln_server'`)).map(row => row.pid);
    const own = pid => { const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'); return Number(/^Private_Dirty:\s+(\d+)/m.exec(text)[1]) / 1024; };
    const backends = pids.map(pid => { try { return own(pid); } catch { return 0; } });
    const temp = Number(await kiln.value('select pg_stat_clear_snapshot(), sum(temp_bytes) from pg_stat_database').then(text => text.split('|')[1])) / 2 ** 20;
    const media = Number((await run('du', ['-sm', kiln.media])).out.split('\t')[0]);
    return { server: rss_mib(kiln.main.pid), backend: Math.max(...backends), temp, media };
}

Object.assign(groups, {
    // 64 loops of the most expensive reads by eight accounts, and everything that one account can do at once; another account beside them.
    async hostile() {
        const jobs = Number(process.env.KILN_BENCH_JOBS ?? 1500), length_s = is_quick ? 5 : 20, worst_s = Number(process.env.KILN_BENCH_WORST_S ?? (is_quick ? 20 : 120));
        kiln.main ??= await kiln.server({ env: { KILN_LOG_LEVEL: 'error' } });
        const runner = await kiln.runner({ name: 'hostile', env: { KILN_LOG_LEVEL: 'warn' } });
        await kiln.psql(`select kiln.pause_queue('bench')`);         // what lies there is only to be read
        const eight = Array.from({ length: 8 }, (_, i) => kiln.user(`hostile-${i}`)), other = kiln.user('neighbour');
        for (const user of [...eight, other]) {
            const id = await user.account();
            if (user !== other) for (let n = 0; n < jobs; n += 500) {
                await kiln.psql(`select count(*) from kiln.enqueue_many('single', array(select jsonb_build_object('prompt', (select string_agg(md5(random()::text || m || n), ' ') from generate_series(1, 236) m), 'media', '[]'::jsonb) from generate_series(1, 500) n), ${id})`);
            }
        }
        await kiln.psql('analyze; checkpoint');
        const quiet = await neighbour(other, length_s), before = await house();
        say(`  quiet: GET /me p50 ${quiet.reads.p50.toFixed(2)} p99 ${quiet.reads.p99.toFixed(2)} ms, event ${quiet.delay} ms, picture ${quiet.picture} ms`);
        const tell = (what, seen) => {
            say(`  ${what}: GET /me p50 ${seen.reads.p50.toFixed(2)} p99 ${seen.reads.p99.toFixed(2)} ms (${seen.reads.failed} of ${seen.reads.count} failed), event ${seen.delay} ms, picture ${seen.picture} ms`);
            figure('hostile', `p99 of another account's GET /me, ${what} / quiet`, seen.reads.p99 / quiet.reads.p99, { target: 5, at_most: true, note: `${seen.reads.p99.toFixed(1)} and ${quiet.reads.p99.toFixed(1)} ms` });
            figure('hostile', `answers to it that were no answer, ${what}`, seen.reads.failed, { unit: '', target: 0, at_most: true });
        };

        const reads = ['searches', 'exports', 'lists'];
        const sixty_four = eight.map((user, i) => attacks[reads[i % reads.length]](user, length_s + 3));
        await pause(1500);
        tell('64 loops of eight accounts', await neighbour(other, length_s));
        await Promise.all(sixty_four);

        const worst = Object.values(attacks).map(attack => attack(eight[0], worst_s));
        await pause(1500);
        const seen = await neighbour(other, worst_s - 3), during = await house();
        await Promise.all(worst);
        tell('all that one account can do', seen);
        figure('hostile', 'the same, from POST to the event on a stream, p99', seen.delay, { unit: 'ms', note: `quiet ${quiet.delay} ms` });
        figure('hostile', 'the same, from POST to the end of a picture, p99', seen.picture, { unit: 'ms', note: `quiet ${quiet.picture} ms` });
        for (const [name, unit] of [['server', 'memory of the server'], ['backend', 'memory of the largest backend'], ['temp', 'temporary files'], ['media', 'files of media']]) {
            figure('hostile', `growth in it, ${unit}`, during[name] - before[name], { unit: 'MiB', target: name === 'media' ? 8 : 64, at_most: true });
        }
        await runner.stop();
        await kiln.psql(`select kiln.resume_queue('bench')`);
    },
});

// --- the report --------------------------------------------------------------------------------------------------------------

function picture() {
    const shown = figures.filter(f => f.unit === '×' && f.target !== undefined);
    const height = 40 + shown.length * 34, most = 3.2, scale = 380 / most;
    const bars = shown.map((f, i) => {
        const y = 34 + i * 34, colour = f.is_met ? '#2f855a' : '#c05621';
        return `<text x="336" y="${y + 13}" text-anchor="end">${f.name.replace(/&/g, '&amp;')}</text>` +
            `<rect x="346" y="${y}" width="${Math.min(f.value, most) * scale}" height="18" rx="3" fill="${colour}"/>` +
            `<line x1="${346 + f.target * scale}" x2="${346 + f.target * scale}" y1="${y - 4}" y2="${y + 22}" stroke="#1a202c" stroke-width="2"/>` +
            `<text x="${354 + Math.min(f.value, most) * scale}" y="${y + 13}">${f.value.toFixed(2)}</text>`;
    });
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 ${height}" font-family="sans-serif" font-size="12" fill="#1a202c">` +
        `<rect width="800" height="${height}" fill="#ffffff"/><text x="346" y="18" font-weight="bold">ratio to the baseline; the line is the aim</text>${bars.join('')}</svg>\n`;
}

function page() {
    const cpu = /model name\s*: (.*)/.exec(fs.readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown';
    const value = f => `${f.value.toFixed(f.unit === '/s' ? 1 : 2)}${f.unit === '×' ? '' : ` ${f.unit}`}`;
    const aim = f => f.target === undefined ? '' : `${f.at_most ? '≤' : '≥'} ${f.target}${f.unit === '×' ? '' : ` ${f.unit}`}`;
    return `# Benchmarks

Made by \`make bench\`${is_quick ? ' with KILN_BENCH_QUICK=1 (one short run a figure)' : ` (medians of ${runs} runs of ${seconds} s)`} on ${new Date().toISOString().slice(0, 10)}; do not edit.
Machine: ${os.cpus().length} cores of ${cpu.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB,
PostgreSQL ${version}, Debian 12.

Load generator, server and database share the cores. The cluster is durable (fsync, synchronous_commit).
Ratios are to a baseline of the same run: read the ratios, not the rates.

![ratios](bench.svg)

${figures.some(f => f.is_met === false) ? `Missed aims:\n\n${figures.filter(f => f.is_met === false).map(f => `- ${f.name}`).join('\n')}` : 'Every aim is met.'}

| figure | measured | aim | |
| --- | --- | --- | --- |
${figures.map(f => `| ${f.name} | ${value(f)} | ${aim(f)} | ${f.is_met === undefined ? '' : f.is_met ? 'met' : '**missed**'}${f.note ? ` ${f.note}` : ''} |`).join('\n')}
${tables.map(([title, header, rows]) => `\n## ${title}\n\n| ${header.join(' | ')} |\n|${header.map(() => ' --- ').join('|')}|\n${rows.map(row => `| ${row.join(' | ')} |`).join('\n')}\n`).join('')}
The baselines are \`pgbench -N\` at scale 10 with 8 clients, a bare one-row insert of the same input (identity
key, one index by account), and the same function called by \`pgbench -M prepared\` (the better of 4 and 16
clients). A task counts with its row, its attempt, the guard of its job, its events and the hand-over to the
second of two stages. "Without a rule" is \`bench/rows.sql\`: the same rows, written by the least that plpgsql
functions can do, on the same machine in the same minutes. It bounds what the figure beside it can reach.
Enqueues are measured with all runners busy. Pickup is the time from just before the client sends the enqueue
to the start of the handler in a real runner.

\`\`\`
make bench                          # all of it, and this page
KILN_BENCH_QUICK=1 make bench       # one short run a figure
bench/run drain profile             # only these: ${Object.keys(groups).join(' ')}
\`\`\`
`;
}

const version = await kiln.value('show server_version');
try {
    for (const [name, measure] of Object.entries(groups)) {
        if (wanted.length && !wanted.includes(name)) continue;
        say(name);
        await measure();
    }
    if (!wanted.length) {
        fs.writeFileSync(path.join(root, 'docs/bench.md'), page());
        fs.writeFileSync(path.join(root, 'docs/bench.svg'), picture());
        say('written: docs/bench.md, docs/bench.svg');
    }
    const missed = figures.filter(f => f.is_met === false);
    say(missed.length ? `${missed.length} missed: ${missed.map(f => f.name).join('; ')}` : 'every aim is met');
} finally {
    await kiln.end();
}

// What the end-to-end tests stand on: the real programs and a PostgreSQL of their own in a folder that is thrown away.
//
//   const kiln = await begin({ runners: 1 });      // cluster, database, server, runners
//   const ann  = kiln.user('ann');                 // a token, and calls under it
//   const job  = await ann.make({ type: 'image', prompt: 'a hill' });
//   await kiln.end();                              // stops and removes everything; also happens when a test breaks
//   begin({ provider: true })                      // and kiln.fake, a provider (tests/fakes) that the seeded descriptions point to
//
// Nothing here sleeps to synchronise: until() looks again until a condition holds or its deadline passes.
// TEST_BIN names the programs (tests/run sets it); KILN_E2E_KEEP=1 leaves the folder behind.
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as description from './description.mjs';
import * as events from './events.mjs';
import { FakeProvider } from '../fakes/client.mjs';
import { Links } from './links.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const cluster_sh = path.join(root, 'scripts/cluster.sh');
const built = process.env.TEST_BIN || path.join(root, process.env.FLAVOUR && process.env.FLAVOUR !== 'release' ? `build/${process.env.FLAVOUR}/bin` : 'build/bin');
export const isSanitized = /asan/.test(built);
const isCoverage = /coverage/.test(built);

// Whoever runs this has settings of their own; they must not reach into the tests, a provider's real key least of all.
const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(KILN_|PG|DATABASE_URL$|NODE_|FLAVOUR$)|_(KEY|TOKEN|SECRET)$/.test(name)));

// Every answer and every event that a test receives is held against docs/openapi.json and docs/events.schema.json; the test in which
// one is wrong fails.
const is_test = Boolean(process.env.NODE_TEST_CONTEXT);
const { check } = events;
function fail_if_wrong() {
    events.fail_if_wrong();
    description.fail_if_wrong();
}
if (is_test) (await import('node:test')).afterEach(fail_if_wrong);
const ours = new Map();         // ports of kiln-server, and whether it has all the routes

/** Looks until `look` gives something true; `what` completes "waited in vain for". `ms` is what a machine that does nothing else needs at
    most; one that does other things too has three times as long. */
export async function until(what, look, ms = 10000) {
    ms *= 3;
    const from = Date.now(), deadline = from + ms;
    let seen;
    for (;;) {
        seen = await look();
        fail_if_wrong();
        if (seen) return seen;
        if (Date.now() > deadline) {
            const error = new Error(`waited ${ms} ms in vain for ${what}`);
            if (seen !== undefined) error.message += ` (last seen: ${JSON.stringify(seen)})`;
            throw error;
        }
        await pause(Math.min(15 + (Date.now() - from) / 40, 100));     // a look is work too: the longer the wait, the fewer
    }
}
export const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

export function alive(pid) {
    try {
        return !/^\d+ \(.*\) Z /s.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch { return false; }
}

/** The machine's processes of a task's tool, by what is in their environment: their own numbers are of a namespace of theirs. */
export function tool_pids(task_id) {
    return fs.readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number).filter(pid => {
        try { return new RegExp(`(^|\0)HOME=[^\0]*/work/${task_id}-`).test(fs.readFileSync(`/proc/${pid}/environ`, 'latin1')); } catch { return false; }
    });
}

export async function free_port() {
    // Below the range from which the kernel gives out client ports, so that nobody takes it meanwhile by chance.
    for (;;) {
        const port = 20000 + Math.floor(Math.random() * 12000);
        const is_free = await new Promise(resolve => {
            const server = net.createServer().once('error', () => resolve(false))
                .listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
        });
        if (is_free) return port;
    }
}

// --- what must not outlive us ------------------------------------------------------------------------------------------

const open = new Set();         // of Kiln
// Programs die with us (PDEATHSIG); the cluster and the folder are the guard's, a shell that sees our pipe close, however we die.
const guard_script = `trap '' INT TERM HUP; read -r; "$1" stop "$2/cluster" immediate >/dev/null 2>&1; [[ -n $3 ]] || rm -rf "$2"`;
process.on('exit', () => { for (const kiln of open) kiln.end_now(); });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

// --- programs ------------------------------------------------------------------------------------------------------------

export class Program {
    constructor(name, command, args, env, cwd) {
        this.name = name;
        this.lines = [];
        this.stdout = this.stderr = '';
        this.child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
        this.pid = this.child.pid;
        this.exit = new Promise(resolve => this.child.on('close', (code, signal) => resolve(this.ended = { code, signal })));
        this.child.on('error', error => { this.stderr += error; });
        this.child.stdout.setEncoding('utf8').on('data', text => this.take('stdout', text));
        this.child.stderr.setEncoding('utf8').on('data', text => this.take('stderr', text));
    }
    take(stream, text) { this[stream] += text; }
    get output() { return this.stdout + this.stderr; }
    /** Log lines (JSON) that carry this message. */
    logged(message) {
        return this.output.split('\n').filter(line => line.startsWith('{')).map(line => { try { return JSON.parse(line); } catch { return {}; } })
            .filter(line => !message || line.msg === message);
    }
    signal(name) {
        if (/KILL|TERM|INT/.test(name)) this.is_asked = true;
        if (!this.ended) try { process.kill(this.pid, name); } catch (error) { if (error.code !== 'ESRCH') throw error; }     // it died, and node has yet to hear of it
    }
    /** It ended by a signal that nobody sent, or a sanitizer found something. */
    get has_crashed() {
        return /AddressSanitizer|runtime error: /.test(this.output)
            || this.ended?.signal && (!this.is_asked || /^SIG(SEGV|ABRT|BUS|ILL|FPE)$/.test(this.ended.signal));
    }
    async stop(signal = 'SIGTERM', ms = 20000) {
        this.signal('SIGCONT');
        this.signal(signal);
        const late = setTimeout(() => this.signal('SIGKILL'), ms);
        await this.exit;
        clearTimeout(late);
        return this.ended;
    }
    async kill() { this.signal('SIGKILL'); return this.exit; }
}

export function run(command, args, { env = clean, input, cwd = root } = {}) {
    return new Promise((resolve, reject) => {
        const child = spawn(command, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
        const out = [], bad = [];
        child.stdout.on('data', bytes => out.push(bytes));
        child.stderr.on('data', bytes => bad.push(bytes));
        child.stdin.on('error', () => {});
        child.on('error', reject);
        child.on('close', code => resolve({ code, bytes: Buffer.concat(out), out: Buffer.concat(out).toString(), err: Buffer.concat(bad).toString() }));
        child.stdin.end(input ?? '');
    });
}

/** Runs a tool of the test's (ffprobe, ffmpeg) and gives its stdout. */
export async function tool(command, args, input) {
    const ended = await run(command, args, { input });
    if (ended.code !== 0) throw new Error(`${command} ended with ${ended.code}: ${ended.err}`);
    return ended;
}

// A crash of PostgreSQL may lose nothing that was committed; one of the machine is not tried.
const settings = ['--fast', '--set', 'synchronous_commit=on',
    ...(isCoverage ? ['--set', "shared_preload_libraries='plpgsql_check'", '--set', 'plpgsql_check.profiler=on', '--set', 'plpgsql_check.profiler_max_shared_chunks=60000'] : [])];

// --- the stack -----------------------------------------------------------------------------------------------------------

export class Kiln {
    constructor() {
        this.folder = fs.mkdtempSync(path.join(process.env.TEST_HOME || os.tmpdir(), 'kiln-e2e-'));
        fs.chmodSync(this.folder, 0o755);       // the cluster's user has to get in when we are root
        this.home = path.join(this.folder, 'home');
        this.media = path.join(this.home, 'media');
        this.tools = path.join(this.folder, 'tools');
        this.marks = path.join(this.folder, 'marks');       // where tools may leave marks for the test
        this.bin = path.join(this.folder, 'bin');
        this.cluster = path.join(this.folder, 'cluster');
        for (const folder of [this.home, this.media, this.tools, this.marks, this.bin, this.cluster]) fs.mkdirSync(folder);
        this.secret = randomBytes(32).toString('hex');
        this.programs = new Set();
        this.sessions = new Set();
        this.streams = new Set();
        open.add(this);
        this.guard = spawn('bash', ['-c', guard_script, 'guard', cluster_sh, this.folder, process.env.KILN_E2E_KEEP ?? ''], { env: clean, detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
        this.guard.unref();
        this.guard.stdin.unref?.();
        this.guard.stdin.on('error', () => {});
    }

    /** `settings`: of the cluster; the benchmark takes others, without --fast. TEST_TEMPLATE names a cluster with Kiln in it to copy. */
    async start_database(settings) {
        const template = process.env.TEST_TEMPLATE;
        await this.start_cluster(settings, template ? ['--like', template] : []);
        if (!template) {
            await this.create_database();
            const installed = await run(path.join(root, 'scripts/migrate.sh'), [], { env: this.pg });
            if (installed.code !== 0) throw new Error(`scripts/migrate.sh: ${installed.err}`);
        }
        // Tests and the benchmark write faster than people; those of the rate set it themselves.
        await this.psql(`update kiln.config set writes_per_minute = null`);
        await this.set_passwords();
    }
    async create_database() {
        this.end_links();
        this.pg.PGDATABASE = 'postgres';
        await this.psql(`create database kiln`);
        await this.psql(`alter database kiln set timezone = 'UTC'`);
        this.end_links();
        this.pg.PGDATABASE = 'kiln';
    }
    /** A cluster without a database, or, where its folder has one already (a base backup), as it is. */
    async start_cluster(settings = ['--fast', '--set', 'synchronous_commit=on', '--set', 'log_min_messages=warning'], more = []) {
        // Copies, so that a build beside us never changes a program that runs.
        for (const name of ['kiln-server', 'kiln-runner', 'kiln-media']) fs.copyFileSync(path.join(built, name), path.join(this.bin, name));
        if (isSanitized) {      // a tool's environment is small, so what fontconfig and glib never free has to be forgiven here
            fs.renameSync(path.join(this.bin, 'kiln-media'), path.join(this.bin, 'kiln-media.asan'));
            fs.writeFileSync(path.join(this.bin, 'kiln-media'), '#!/bin/bash\nASAN_OPTIONS=detect_leaks=0 exec "$0.asan" "$@"\n', { mode: 0o755 });
        }
        const started = await run(cluster_sh, ['start', this.cluster, ...settings, '--set', 'log_min_messages=warning', ...more]);
        if (started.code !== 0) throw new Error(`no cluster: ${started.err}`);
        this.socket = started.out.trim();
        this.pg = { ...clean, PGHOST: this.socket, PGPORT: '5432', PGUSER: 'postgres', PGDATABASE: 'kiln', PGOPTIONS: '-c client_min_messages=warning' };
    }
    async set_passwords() {
        const passwords = { kiln_server: randomBytes(16).toString('hex'), kiln_worker: randomBytes(16).toString('hex') };
        const passfile = path.join(this.folder, 'pgpass');
        fs.writeFileSync(passfile, Object.entries(passwords).map(([role, password]) => `*:*:*:${role}:${password}\n`).join(''), { mode: 0o600 });
        for (const [role, password] of Object.entries(passwords)) await this.psql(`alter role ${role} login password '${password}'`);
        this.env = {
            ...clean, DATABASE_URL: `host='${this.socket}' port=5432 dbname=kiln`, PGPASSFILE: passfile,
            KILN_HOME: this.home, KILN_MEDIA: `file:${this.media}`, KILN_JWT_SECRET: this.secret, KILN_TOOLS: this.tools, KILN_TOOLS_WRITE: this.marks,
            ASAN_OPTIONS: 'detect_leaks=0',
        };
    }

    // --- a provider that is not the world's

    /** Starts the fake provider and points the seeded descriptions to it; runners that start from now on have its keys. */
    async start_provider({ trusted = [], ...options } = {}) {
        this.fake = new FakeProvider({ state: path.join(this.folder, 'provider'), ...options });
        await this.fake.start();
        await this.point_to(this.fake.url);
        Object.assign(this.env, this.fake.keys);
        this.trusted = [this.fake.host, ...trusted].join();
        this.env.KILN_TRUSTED_HOSTS = this.trusted;
        for (const { secret } of await this.rows(`select distinct webhook ->> 'secret_env' as secret from kiln.provider where webhook ? 'secret_env'`)) this.env[secret] = this.fake.webhook_secret;
        return this.fake;
    }
    /** fal, Replicate and OpenAI are where this URL is. */
    async point_to(url) {
        for (const [name, from] of Object.entries({ fal: 'https://queue.fal.run', replicate: 'https://api.replicate.com', openai: 'https://api.openai.com' })) {
            await this.psql(`update kiln.provider set base_url = replace(base_url, '${from}', '${url}/${name}'), reply_hosts = '{}', file_hosts = '{}',
                webhook = case when webhook ? 'jwks_url' then webhook || '{"jwks_url": "${url}/${name}/.well-known/jwks.json"}' else webhook end where name = '${name}'`);
        }
    }
    /** Another provider, described as `of` is but for some columns; it has limits, a circuit and a day's sum of its own. */
    async provider(name, of, changes = {}) {
        this.provider_columns ??= await this.value(`select string_agg(quote_ident(attname), ', ') from pg_attribute where attrelid = 'kiln.provider'::regclass and attnum > 0 and not attisdropped and attidentity = ''`);
        await this.psql(`insert into kiln.provider (${this.provider_columns})
            select ${this.provider_columns.replace(/(^|, )/g, '$1q.')} from kiln.provider p, jsonb_populate_record(p, $j$${JSON.stringify({ name, ...changes })}$j$::jsonb) q where p.name = '${of}'`);
        return name;
    }

    /** A program as it is: for tests of starting and ending. */
    program(name, args = [], env = {}, as) {
        const merged = { ...this.env, ...env };
        for (const key of Object.keys(merged)) if (merged[key] === undefined) delete merged[key];
        const become = as ? ['setpriv', `--reuid=${as}`, `--regid=${as}`, '--init-groups', '--pdeathsig', 'KILL'] : [];
        const [command, ...rest] = [...become, path.join(this.bin, name), ...args];
        const program = new Program(name, command, rest, merged, this.folder);
        this.programs.add(program);
        return program;
    }

    async server({ port, args = [], env = {}, ready = true } = {}) {
        port ??= await free_port();
        const server = this.program('kiln-server', args, { KILN_PORT: String(port), ...env });
        server.port = port;
        server.url = `http://127.0.0.1:${port}`;
        ours.set(String(port), !args.includes('--role') && !env.KILN_ROLE);
        this.url ??= server.url;
        if (ready) {
            await until(`kiln-server to be ready (it says: ${server.output.slice(-400)})`, async () => {
                if (server.ended) throw new Error(`kiln-server ended at start: ${server.output}`);
                return (await request(server.url, 'GET', '/readyz').catch(() => ({}))).status === 200;
            }, 15000);
        }
        return server;
    }

    /** `as`: the user it runs as, where the test is root. */
    async runner({ name = `runner-${this.programs.size}`, args = [], env = {}, ready = true, as } = {}) {
        const runner = this.program('kiln-runner', ['--name', name, ...args], env, as);
        runner.label = name;
        if (ready) {
            await until(`${name} to register`, async () => {
                if (runner.ended) throw new Error(`kiln-runner ended at start: ${runner.output}`);
                return runner.id = await this.value(`select runner_id from kiln.runner where name = '${name}' and pid = ${runner.pid} and ended_at is null`);
            }, 15000);
        }
        return runner;
    }

    // --- SQL, as the superuser

    /** What `psql -At` would print; several statements are one transaction. */
    async psql(sql) {
        this.links ??= new Links({ host: this.pg.PGHOST, port: 5432, user: this.pg.PGUSER, database: this.pg.PGDATABASE, options: this.pg.PGOPTIONS });
        return this.links.ask(sql);
    }
    /** What a test arranges past the functions, it arranges as their owner does: the guards refuse it to everybody else. */
    async arrange(sql) { return this.psql(`set local role kiln_owner; ${sql}`); }
    end_links() { this.links?.end(); this.links = undefined; }
    async value(sql) { return (await this.psql(sql)) || null; }
    async rows(sql) { return JSON.parse(await this.psql(`select coalesce(json_agg(to_json(q)), '[]') from (${sql}) q`)); }

    /** A psql that stays open: a transaction can be held. */
    session() {
        const child = spawn('psql', ['-X', '-q', '-At'], { env: this.pg, stdio: ['pipe', 'pipe', 'pipe'] });
        const session = {
            child, text: '', pid: child.pid,
            async say(sql) {
                const mark = `done-${Math.random()}`;
                child.stdin.write(`${sql}\n\\echo ${mark}\n`);
                await until(`psql to do: ${sql}`, () => session.text.includes(mark));
                return session.text;
            },
            end() { child.stdin.end(); return new Promise(resolve => child.on('close', resolve)); },
        };
        for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => { session.text += text; });
        child.stdin.on('error', () => {});
        this.sessions.add(session);
        return session;
    }

    async restart_database(how = 'fast') {
        const ended = await run(cluster_sh, ['restart', this.cluster, how]);
        if (ended.code !== 0) throw new Error(`restart: ${ended.err}`);
    }
    async stop_database(how = 'fast') { this.end_links(); await run(cluster_sh, ['stop', this.cluster, how]); }
    async start_again() { await run(cluster_sh, ['start', this.cluster, ...settings]); }

    /** The cluster's processes: the postmaster first. */
    database_pids() {
        const postmaster = Number(fs.readFileSync(path.join(this.cluster, 'pg/postmaster.pid'), 'utf8').split('\n')[0]);
        const pids = [postmaster];
        for (const entry of fs.readdirSync('/proc')) {
            if (!/^\d+$/.test(entry)) continue;
            try {
                if (Number(fs.readFileSync(`/proc/${entry}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ')[1]) === postmaster) pids.push(Number(entry));
            } catch { /* it has ended */ }
        }
        return pids;
    }

    /** Stops every process of the cluster where it stands; gives back what lets them go on. */
    freeze_database() {
        const stopped = new Set();
        const send = (pid, signal) => { try { process.kill(pid, signal); stopped.add(pid); } catch { /* it has ended */ } };
        send(this.database_pids()[0], 'SIGSTOP');       // the postmaster first, so that no child is born meanwhile
        for (const pid of this.database_pids()) send(pid, 'SIGSTOP');
        return () => { for (const pid of stopped) send(pid, 'SIGCONT'); };
    }

    // --- pipelines and tools of a test's own

    /** A tool that an exec stage may name: a bash script. Its task and fence are the name of the folder it runs in. */
    tool(name, script) {
        const file = path.join(this.tools, name);
        fs.writeFileSync(`${file}.part`, `#!/bin/bash\ntask=\${PWD##*/}; task_id=\${task%-*}\n${script}`, { mode: 0o755 });
        fs.renameSync(`${file}.part`, file);
        return name;
    }

    /** stages: [{ name, handler, config, queue, time_limit, max_attempts, backoff_base, backoff_cap }] */
    async pipeline(name, stages) {
        const values = stages.map((stage, index) => `(v, ${index + 1}, '${stage.name ?? `stage-${index + 1}`}', '${stage.handler ?? 'exec'}', ` +
            `$c$${JSON.stringify(stage.config ?? {})}$c$::jsonb, (select queue_id from kiln.queue where name = '${stage.queue ?? 'local'}'), ` +
            `'${stage.time_limit ?? '30 s'}', ${stage.max_attempts ?? 3}, '${stage.backoff_base ?? '50 ms'}', '${stage.backoff_cap ?? '200 ms'}')`);
        await this.psql(`do $do$ declare v int := kiln.new_pipeline_version('${name}'); begin
            insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit, max_attempts, backoff_base, backoff_cap)
            values ${values.join(', ')}; end $do$`);
    }

    async enqueue(pipeline, { input = {}, account = 'null', priority = 1, run_at = 'null' } = {}) {
        return this.psql(`select kiln.enqueue('${pipeline}', $i$${JSON.stringify(input)}$i$::jsonb, ${account}, ${priority}, ${run_at})`);
    }
    async job(id) { return (await this.rows(`select * from kiln.job where job_id = ${id}`))[0]; }
    async attempts(id) { return this.rows(`select a.*, r.name as runner from kiln.attempt a left join kiln.runner r using (runner_id) where a.job_id = ${id} order by a.fence`); }
    async job_state(id, state, ms = 20000) {
        let job;
        await until(`job ${id} to be ${state}`, async () => {
            job = await this.job(id);
            if (job.state !== state && job.finished_at) throw new Error(`job ${id} is ${job.state}, not ${state}: ${job.error_message}`);
            return job.state === state;
        }, ms);
        return job;
    }

    /** The log of an account, one line an event, as Stream.log() gives it: without progress, of which only the last is promised. */
    async log(account) {
        return (await this.rows(`select type || ' ' || coalesce(job_id::text, '-') || ' v' || coalesce(version::text, '-') || ' ' || kiln_internal.render_time(at) as line from kiln.event where account_id = ${account} and type <> 'job.progress'`)).map(row => row.line).sort();
    }

    // --- people

    user(sub, claims = {}) { return new User(this, sub, claims); }

    // --- the end

    async end() {
        for (const stream of this.streams) stream.close();
        await Promise.all([...this.programs].filter(p => !p.ended && p.name === 'kiln-runner').map(p => p.stop('SIGTERM', 15000)));
        await Promise.all([...this.programs].filter(p => !p.ended).map(p => p.stop('SIGTERM', 15000)));
        if (isCoverage) await run(path.join(root, 'scripts/coverage.sh'), ['collect'], { env: this.pg });
        await this.fake?.stop();
        this.end_now();
        fail_if_wrong();
        const crashed = [...this.programs].filter(p => p.has_crashed);
        if (crashed.length) throw new Error(crashed.map(p => `${p.label ?? p.name} crashed (${p.ended?.signal}); its last words: ${p.output.slice(-3000)}`).join('\n'));
    }
    end_now() {
        if (!open.delete(this)) return;
        for (const program of this.programs) if (!program.ended) try { process.kill(program.pid, 'SIGKILL'); } catch { /* gone */ }
        for (const session of this.sessions) if (session.child.exitCode === null) session.child.kill('SIGKILL');
        this.fake?.child?.kill('SIGKILL');
        if (fs.existsSync(path.join(this.cluster, 'pg/postmaster.pid'))) {
            try { for (const pid of this.database_pids()) process.kill(pid, 'SIGCONT'); } catch { /* gone */ }
        }
        this.end_links();
        spawnSync(cluster_sh, ['stop', this.cluster, 'immediate'], { env: clean });
        if (process.env.KILN_E2E_KEEP) {
            for (const program of this.programs) fs.writeFileSync(path.join(this.folder, `${program.label ?? program.name}-${program.pid}.log`), program.output);
            console.error(`kept: ${this.folder}`);
        } else {
            fs.rmSync(this.folder, { recursive: true, force: true });
        }
        this.guard.stdin.destroy();
    }
}

/** Cluster, database, one server, `runners` runners; with `provider` (true, or options of FakeProvider) a provider too. */
export async function begin({ server = true, runners = 0, settings, provider, ...more } = {}) {
    const kiln = new Kiln();
    try {
        await kiln.start_database(settings);
        if (provider) await kiln.start_provider(provider === true ? {} : provider);
        if (server) kiln.main = await kiln.server(server === true ? {} : server);
        for (let i = 1; i <= runners; i++) await kiln.runner({ name: `runner-${i}`, ...more });
        return kiln;
    } catch (error) {
        kiln.end_now();
        throw error;
    }
}

// --- HTTP ----------------------------------------------------------------------------------------------------------------

/** `undescribed`: the test provokes an answer that docs/openapi.json does not promise. */
export function request(base, method, target, { headers = {}, body, agent, ms = 20000, undescribed = false } = {}) {
    return new Promise((resolve, reject) => {
        const url = new URL(target, base);
        const req = http.request({ host: url.hostname, port: url.port, path: target.startsWith('http') ? url.pathname + url.search : target, method, headers, agent });
        req.setTimeout(ms, () => req.destroy(new Error(`${method} ${target}: no answer within ${ms} ms`)));
        req.on('error', reject);
        req.on('response', response => {
            const parts = [];
            response.on('data', bytes => parts.push(bytes));
            response.on('error', reject);
            response.on('end', () => {
                const bytes = Buffer.concat(parts);
                const answer = { status: response.statusCode, headers: response.headers, bytes, text: bytes.toString() };
                try {
                    if (/json/.test(response.headers['content-type'] ?? '') && answer.text) answer.json = JSON.parse(answer.text);
                    if (is_test && ours.has(url.port) && !undescribed) description.check(method, target, answer, ours.get(url.port));
                    if (target.includes('/events/poll')) for (const event of answer.json?.events ?? []) check(event);
                    resolve(answer);
                } catch (error) { reject(error); }
            });
        });
        req.end(body);
    });
}

const base64url = value => Buffer.from(value).toString('base64url');
export function make_token(claims, secret, header = { alg: 'HS256', typ: 'JWT' }) {
    const text = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
export const in_seconds = seconds => Math.floor(Date.now() / 1000) + seconds;

export class User {
    constructor(kiln, sub, claims) {
        this.kiln = kiln;
        this.sub = sub;
        this.token = make_token({ sub, exp: in_seconds(3600), ...claims }, kiln.secret);
    }
    /** A call below /api/v1; an object as body goes as JSON. */
    call(method, target, body, { headers = {}, base = this.kiln.url, ...more } = {}) {
        const json = body !== undefined && typeof body === 'object' && !Buffer.isBuffer(body);
        const bytes = json ? JSON.stringify(body) : body;
        return request(base, method, `/api/v1${target}`, {
            headers: { Authorization: `Bearer ${this.token}`, ...(bytes !== undefined ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(bytes) } : {}), ...headers },
            body: bytes, ...more,
        });
    }
    async get(target) { return (await this.call('GET', target)).json; }
    /** POST /generate; the job. */
    async make(job_input) {
        const answer = await this.call('POST', '/generate', job_input);
        if (answer.status !== 202) throw new Error(`POST /generate: ${answer.status} ${answer.text}`);
        return answer.json;
    }
    async finished(id, ms = 60000) {
        let job;
        await until(`generation ${id} to end`, async () => ['completed', 'failed', 'cancelled'].includes((job = await this.get(`/generations/${id}`)).state), ms);
        return job;
    }
    async account() {
        this.account_id ??= await until('an account', async () => {
            await this.call('GET', '/generations?limit=1');
            return this.kiln.value(`select account_id from kiln.identity where subject = '${this.sub}'`);
        });
        return this.account_id;
    }
    stream(options) { return new Stream(this.kiln, { token: this.token, ...options }); }
    /** Presigns and sends a file, says that it is there, and waits for its check; the media, ready or rejected. */
    async sent(filename, content_type, bytes, ms = 30000) {
        const place = await this.call('POST', '/uploads/presign', { filename, content_type, bytes: bytes.length });
        if (place.status !== 201) throw new Error(`presign: ${place.status} ${place.text}`);
        const sent = await request(this.kiln.url, place.json.method, place.json.url, { headers: { ...place.json.headers, 'Content-Length': bytes.length }, body: bytes });
        if (sent.status !== 200) throw new Error(`upload: ${sent.status} ${sent.text}`);
        const answer = await this.call('POST', `/uploads/${place.json.media_id}/complete`);
        if (answer.status !== 202) throw new Error(`complete: ${answer.status} ${answer.text}`);
        return this.checked(place.json.media_id, ms);
    }
    /** The end of an upload's check, as who has no stream learns of it: by asking again. A runner is needed. */
    async checked(media_id, ms = 30000) {
        let media;
        await until(`the check of media ${media_id}`, async () => (media = await this.get(`/uploads/${media_id}`)).state !== 'checking', ms);
        return media;
    }
    /** The same for a file that is good; its media id. */
    async upload(filename, content_type, bytes, ms) {
        const media = await this.sent(filename, content_type, bytes, ms);
        if (media.state !== 'ready') throw new Error(`upload: ${media.state}: ${media.reason}`);
        return media.id;
    }
}

// --- event streams -------------------------------------------------------------------------------------------------------

/**
 * One client of /events. With `resume` it comes back by itself with Last-Event-ID when the link ends, like a browser.
 * events: all that carried data, in order; comments: how many heartbeats; `ended` resolves when the (last) link ended.
 */
export class Stream {
    constructor(kiln, { token, ticket, last, last_query, base, resume = false, path: target = '/api/v1/events', retry_ms = 50, headers = {}, ...own } = {}) {
        Object.assign(this, own, { more: headers, kiln, token, ticket, last, last_query, base, resume, target, retry_ms });
        this.events = [];
        this.comments = [];
        this.links = 0;
        this.is_closed = false;
        this.ended = new Promise(resolve => { this.on_ended = resolve; });
        kiln.streams.add(this);
        this.connect();
    }
    connect() {
        const query = new URLSearchParams();
        if (this.ticket) query.set('ticket', this.ticket);
        if (this.last_query) query.set('last_event_id', this.last_query);
        const url = new URL(this.base ?? this.kiln.url);
        const headers = { Accept: 'text/event-stream', ...this.more };
        if (this.token && !this.ticket) headers.Authorization = `Bearer ${this.token}`;
        if (this.last) headers['Last-Event-ID'] = this.last;
        this.request = http.request({ host: url.hostname, port: url.port, path: `${this.target}${query.size || String(query) ? `?${query}` : ''}`, headers, agent: false });
        this.request.on('error', () => this.on_gone());
        this.request.on('response', response => {
            this.response = response;
            this.status = response.statusCode;
            this.headers = response.headers;
            this.links++;
            if (is_test && ours.has(url.port) && response.statusCode === 200) description.check('GET', this.target, { status: 200, headers: response.headers, is_stream: true });
            let text = '';
            response.setEncoding('utf8');
            response.on('data', more => {
                text += more;
                this.raw = (this.raw ?? '') + (this.keeps_raw ? more : '');
                for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) this.take(text.slice(0, end));
            });
            response.on('error', () => {});
            response.on('close', () => { this.rest = text; this.on_gone(); });
        });
        this.request.end();
    }
    take(block) {
        const event = { at: Date.now() };
        for (const line of block.split('\n')) {
            if (line.startsWith(':')) { this.comments.push({ at: Date.now(), text: line.slice(1).trim() }); continue; }
            const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
            if (name === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
            else if (name) event[name] = value;
        }
        if (event.id !== undefined) this.last = event.id;
        if (event.data === undefined) return;
        event.data = JSON.parse(event.data);
        check(event.data, event.event !== event.data.type ? `event: ${event.event} with data of type ${event.data.type}`
            // Administrators' streams say whose an event is by this name; a field of the event's own would be hidden behind it.
            : 'account_id' in event.data && !this.target.includes('/admin/') ? `${event.event}: account_id on an account's own stream` : undefined);
        this.events.push(event);
    }
    on_gone() {
        if (this.is_gone_at === this.request) return;
        this.is_gone_at = this.request;
        if (this.resume && !this.is_closed) {
            this.last_query = undefined;
            setTimeout(() => { if (!this.is_closed) this.connect(); }, this.retry_ms);
        } else {
            this.is_over = true;
            this.on_ended();
        }
    }
    close() {
        this.is_closed = true;
        this.request.destroy();
    }
    of(job_id) { return this.events.filter(event => event.data.job_id === String(job_id)); }
    types(job_id) { return this.of(job_id).map(event => event.event); }
    /** What it saw of what must not be missing, to be compared with Kiln.log(): one line an event, sorted, since between jobs there is no order. */
    log() {
        return this.events.filter(e => !['ready', 'reset', 'typing', 'presence', 'job.progress'].includes(e.event)).map(e => `${e.event} ${e.data.job_id ?? '-'} v${e.data.version ?? '-'} ${e.data.at}`).sort();
    }
    async opened(ms = 10000) { await until('the stream to say ready', () => this.events.some(e => e.event === 'ready') || this.is_over, ms); return this; }
    async sees(what, look, ms = 20000) { return until(`the stream to show ${what}`, () => this.events.find(look), ms); }
    async sees_end_of(job_id, ms = 60000) {
        return this.sees(`the end of job ${job_id}`, e => e.data.job_id === String(job_id) && /^job\.(completed|failed|cancelled)$/.test(e.event), ms);
    }
}

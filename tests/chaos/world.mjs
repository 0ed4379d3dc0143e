// What the storms rage over: PostgreSQL, a server and two runners, each behind a wire of its own, people who ask for things,
// and a keeper who starts again whatever died. Nothing here knows about fail points but that they are on.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { alive, Kiln, pause, Program, request, until } from '../e2e/lib.mjs';
import { radosgw } from '../e2e/radosgw.mjs';
import { Wanderer } from '../e2e/wanderer.mjs';
import { Failpoints } from './failpoints.mjs';
import { key_pair } from '../fakes/keys.mjs';
import { plain_png } from '../fakes/media.mjs';
import { Paid } from './paid.mjs';
import { Proxy } from './proxy.mjs';

export const DRAIN_MS = 1500;
const SLOW_MS = 1500;           // a body that takes longer is told to SQL
export const LEASE_S = 4;       // an idle runner beats each 2 s

/** Numbers that a seed determines (mulberry32). */
export function random_of(seed) {
    let a = seed >>> 0;
    const next = () => {
        a = (a + 0x6d2b79f5) >>> 0;
        let t = Math.imul(a ^ (a >>> 15), 1 | a);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    return Object.assign(next, {
        below: n => Math.floor(next() * n),
        one: list => list[Math.floor(next() * list.length)],
        shuffle: list => { for (let i = list.length - 1; i > 0; i--) { const j = Math.floor(next() * (i + 1)); [list[i], list[j]] = [list[j], list[i]]; } return list; },
    });
}

/** A program that is started again when it dies, behind its own wire to PostgreSQL. */
class Kept {
    constructor(world, name, start) { Object.assign(this, { world, name, start, starts: 0, is_kept: true }); }
    async open() {
        const folder = path.join(this.world.kiln.folder, `w-${this.name}`);
        fs.mkdirSync(folder);
        this.wire = await new Proxy({ path: path.join(this.world.kiln.socket, '.s.PGSQL.5432') }).listen(path.join(folder, '.s.PGSQL.5432'));
        this.url = `host='${folder}' port=5432 dbname=kiln`;
        this.run();
    }
    run() {
        this.starts++;
        this.program = this.start(this.url);
        this.program.exit.then(() => { if (this.is_kept && !this.world.is_ending) setTimeout(() => { if (!this.world.is_ending) this.run(); }, 30); });
    }
    kill() { this.program.signal('SIGCONT'); this.program.signal('SIGKILL'); }
}

export class World {
    constructor(random) { this.random = random; this.clock_s = 0; this.clocks = [0]; this.is_ending = false; this.counts = {}; this.strikes = []; }

    /** `has_bucket`: the store is a bucket of radosgw, in place of a folder. */
    async begin({ log = () => {}, has_money = true, has_bucket = false } = {}) {
        this.log = log;
        const kiln = this.kiln = new Kiln();
        await kiln.start_database(['--fast', '--set', 'synchronous_commit=on', '--set', 'restart_after_crash=on', '--set', 'log_min_messages=fatal']);
        this.failpoints = new Failpoints(kiln.folder);
        this.has_disk = !!process.env.KILN_CHAOS_DISK && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'kiln-chaos', kiln.media]).status === 0;
        Object.assign(kiln.env, this.failpoints.env, { KILN_LOG_LEVEL: 'warn' });
        await kiln.psql(`update kiln.config set lease = '${LEASE_S} s', mails_per_day = 1000000`);
        this.marks = kiln.marks;
        await this.make_pipelines();
        kiln.url = `http://127.0.0.1:${this.port}`;
        if (has_bucket) {
            this.bucket = await radosgw(kiln.folder);
            Object.assign(kiln.env, this.bucket.keys, { KILN_MEDIA: this.bucket.media });
        }
        await this.open_receiver();
        await this.open_mailbox();
        await this.open_issuer();
        if (has_money) {
            this.paid = new Paid(this);
            await this.paid.begin();
        }
        const runner = name => new Kept(this, name, url => kiln.program('kiln-runner', ['--name', name, '--slots', '6'], { DATABASE_URL: url, KILN_RUNNER_DRAIN_MS: String(DRAIN_MS), KILN_RUNNER_QUEUES: 'image,video,audio,local' }));
        this.red = runner('red');
        this.blue = runner('blue');
        this.server = new Kept(this, 'server', url => kiln.program('kiln-server', [], { DATABASE_URL: url, KILN_PORT: String(this.port), KILN_DB_WRITERS: '3', KILN_CLIENT_TIMEOUT_MS: String(SLOW_MS), KILN_CLIENT_BYTES_PER_SECOND: '0', ...this.issuer_env }));
        this.kept = [this.red, this.blue, this.server, ...this.paid ? ['ida', 'otto'].map(name => this.guest(name)) : []];
        for (const one of this.kept) await one.open();
        await until('the server to be ready', async () => (await request(kiln.url, 'GET', '/readyz', { ms: 1000 }).catch(() => ({}))).status === 200, 15000);
        this.ann = kiln.user('ann', { aud: 'chaos' });
        this.account = await this.ann.account();
        const { token } = this.ann;
        this.streams = {
            stream: this.ann.stream({ resume: true }),
            socket: new Wanderer(kiln, { token, resume: true, ways: ['ws'] }),
            poller: new Wanderer(kiln, { token, resume: true, ways: ['poll'] }),
        };
        for (const one of Object.values(this.streams)) await one.opened();
        for (const name of ['socket', 'poller']) this.streams[name].request.destroy();     // it comes back in its own way
        const endpoint = await this.ann.call('POST', '/webhook-endpoints', { url: `${this.receiver.url}/hook`, types: ['job.cancelled', 'media.ready'] });
        if (endpoint.status !== 201) throw new Error(`no webhook endpoint: ${endpoint.text}`);
        await kiln.psql(`update kiln.account set email = 'ann@example.com', email_verified_at = kiln_internal.now(), notify_email = true where account_id = ${this.account}`);     // a proven address
        this.keys = new Map();          // idempotency key → the job it made
        this.uploads = new Map();       // media id → sha256
        return this;
    }

    /** Who is told of some events, by outgoing webhooks: now and then it answers late or not well. */
    async open_receiver() {
        const posts = new Map();        // webhook id → how often it was taken
        const server = http.createServer((req, res) => {
            req.resume().on('end', () => {
                const is_well = !this.receiver.is_moody || this.random() < 0.9, id = req.headers['webhook-id'];
                if (is_well) posts.set(id, (posts.get(id) ?? 0) + 1);
                res.writeHead(is_well ? 200 : 503).end();
            }).on('error', () => {});
        });
        await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
        this.receiver = { posts, server, is_moody: true, url: `http://127.0.0.1:${server.address().port}` };
        await this.kiln.psql(`update kiln.config set webhook_hosts = '127.0.0.1:${server.address().port}'`);
    }

    /** The same for mail, of jobs that were cancelled; the id is the one that a webhook would have. */
    async open_mailbox() {
        const { posts } = this.receiver, links = new Set();
        const server = net.createServer(socket => {
            let rest = '', text;
            links.add(socket.on('close', () => links.delete(socket)).on('error', () => {}));
            socket.write('220 here\r\n');
            socket.setEncoding('latin1').on('data', more => {
                const lines = (rest + more).split('\r\n');
                rest = lines.pop();
                for (const line of lines) {
                    if (text && line !== '.') { text.push(line); continue; }
                    const is_well = !this.receiver.is_moody || this.random() < 0.9;
                    if (text && is_well) { const [, id] = /^Message-ID: <(msg_[0-9a-f]+)@/m.exec(text.join('\n')); posts.set(id, (posts.get(id) ?? 0) + 1); }
                    socket.write(text && !is_well ? '451 not now\r\n' : line === 'DATA' ? '354 go on\r\n' : '250 yes\r\n');
                    text = line === 'DATA' ? [] : undefined;
                }
            });
        });
        await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
        this.mailbox = { server, links };
        Object.assign(this.kiln.env, { KILN_SMTP_URL: `smtp://127.0.0.1:${server.address().port}`, KILN_MAIL_FROM: 'kiln@example.org' });
        await this.kiln.psql(`delete from kiln.mail_template where type <> 'job.failed'; update kiln.mail_template set type = 'job.cancelled'`);
    }

    /** Who publishes the keys of tokens: nobody here has such a token, and the server asks for the keys at each start. */
    async open_issuer() {
        const key = { ...key_pair('rsa', { modulusLength: 2048 }).jwk, kid: 'one', use: 'sig', alg: 'RS256' };
        this.issuer = http.createServer((req, res) => { res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys: [key] })); });
        await new Promise(resolve => this.issuer.listen(0, '127.0.0.1', resolve));
        this.issuer_env = { KILN_JWKS_URL: `http://127.0.0.1:${this.issuer.address().port}/keys`, KILN_JWT_ISSUER: 'https://issuer.example.com/', KILN_JWT_AUDIENCE: 'chaos' };
    }

    guest(name) {
        return new Kept(this, name, () => {
            const { PGHOST, ...env } = this.kiln.env;
            const program = new Program('guest', process.execPath, [fileURLToPath(new URL('guest.mjs', import.meta.url)), name],
                { ...env, PGHOST: path.join(this.kiln.folder, `w-${name}`), PGPORT: '5432', PGDATABASE: 'kiln', PGUSER: 'kiln_worker' }, this.kiln.folder);
            this.kiln.programs.add(program);
            return program;
        });
    }
    get guests() { return this.kept.slice(3); }

    /** Tools note the fence under which they were started; what is recorded as done must have been started, and so on. */
    async make_pipelines() {
        const { kiln } = this;
        const mark = `fence=\${PWD##*-}; echo "$fence $$" >>${this.marks}/$task_id`;
        const say = `echo "{\\"output\\":{\\"fence\\":\\"$fence\\"}}"`;
        kiln.tool('quick', `${mark}; ${say}`);
        kiln.tool('brief', `${mark}; echo 'progress 0.5 half' >&2; sleep 0.1; ${say}`);
        kiln.tool('fickle', `${mark}; [[ $(wc -l <${this.marks}/$task_id) -gt 1 ]] || { echo 'not the first time' >&2; exit 75; }; ${say}`);
        // Quick when first started, slow when taken over: so that a late first one finds the second still at work.
        kiln.tool('lasting', `${mark}; [[ $(wc -l <${this.marks}/$task_id) -gt 1 ]] && sleep 4; ${say}`);
        const exec = (name, command, more) => ({ name, config: { command: [command] }, max_attempts: 9, ...more });
        await kiln.pipeline('short', [exec('only', 'quick')]);
        await kiln.pipeline('lasting', [exec('only', 'lasting')]);
        await kiln.pipeline('three', [exec('first', 'quick'), exec('second', 'brief'), exec('third', 'quick')]);
        await kiln.pipeline('fickle', [exec('first', 'fickle'), exec('second', 'quick')]);
    }

    // --- PostgreSQL, which may be gone at any time

    /** SQL that is asked again until PostgreSQL answers; not for what must be done once. */
    async ask(sql, ms = 30000) {
        return until('PostgreSQL to answer', async () => { try { return [await this.kiln.psql(sql)]; } catch (error) { if (!/ECONN|EPIPE|could not connect|connection|closed|terminat|recovery|starting up|shutting down|in-progress|server/i.test(error.message)) throw error; await pause(40); } }, ms).then(([text]) => text);
    }
    async rows(sql) { return JSON.parse(await this.ask(`select coalesce(json_agg(to_json(q)), '[]') from (${sql}) q`)); }

    /** Pids of the backends that serve a role: kiln_worker or kiln_server. */
    backends(role) {
        const found = [];
        let pids = [];
        try { pids = this.kiln.database_pids(); } catch { return found; }
        for (const pid of pids) {
            try { if (fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(`postgres: ${role} `)) found.push(pid); } catch { /* it has ended */ }
        }
        return found;
    }
    async restart_postmaster() {
        let pids = [];
        try { pids = this.kiln.database_pids(); } catch { /* it is down */ }
        for (const pid of pids) try { process.kill(pid, 'SIGKILL'); } catch { /* it has ended */ }
        await until('PostgreSQL to be gone', () => !pids.some(alive), 20000);
        // A dead process that nobody has reaped looks alive to pg_ctl; that it is dead we have just seen.
        for (const file of [path.join(this.kiln.cluster, 'pg/postmaster.pid'), path.join(this.kiln.socket, '.s.PGSQL.5432.lock')]) fs.rmSync(file, { force: true });
        await this.kiln.start_again();
    }
    /** kiln_internal.now() from here on: what a machine's clock does when somebody sets it. */
    async jump(seconds) {
        this.clock_s += seconds;
        this.clocks.push(this.clock_s);
        await this.ask(`create or replace function kiln_internal.now() returns timestamptz language sql stable parallel safe return pg_catalog.statement_timestamp() + interval '${this.clock_s} s'`);
    }

    /** Whether a runner has been given a task alone, since two died with it. */
    async has_suspect() {
        return await this.kiln.value(`select 1 from kiln.runner where ended_at is null and quarantined_task_id is not null limit 1`).catch(() => null) !== null;
    }

    /** The media store has no byte left until the function that this gives back is called. */
    fill_disk() {
        const filler = path.join(this.kiln.media, 'filler'), fd = fs.openSync(filler, 'w'), block = Buffer.alloc(65536);
        for (let bytes = block.length; bytes > 0;) try { fs.writeSync(fd, block, 0, bytes); } catch { bytes >>= 4; }
        fs.closeSync(fd);
        return () => fs.rmSync(filler, { force: true });
    }

    who(pid) {
        let look = pid;
        for (let i = 0; i < 4 && look > 1; i++) {
            const found = this.kept.find(one => one.program.pid === look);
            if (found) return found;
            try { look = Number(fs.readFileSync(`/proc/${look}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ')[1]); } catch { return undefined; }
        }
        return undefined;
    }

    // --- people: each does one thing again and again until told to stop

    people() {
        this.is_busy = true;
        const loop = async (ms, what) => {
            while (this.is_busy) {
                try { await what(); } catch (error) { this.count(`error ${error.code ?? error.message.slice(0, 60)}`); }
                await pause(ms / 2 + this.random() * ms);
            }
        };
        this.loops = [loop(300, () => this.feed()), loop(1500, () => this.request_job()), loop(1100, () => this.send_file()), loop(600, () => this.remove()), loop(350, () => this.look()), loop(200, () => this.streams.socket.ping())];
    }
    async rest() { this.is_busy = false; await Promise.all(this.loops ?? []); this.loops = []; }
    /** Nobody asks for anything, and nothing runs: who next does some work does what is enqueued next. */
    async alone() {
        await this.rest();
        await until('the runners to be idle', async () => await this.ask(`select count(*) from kiln.task where state = 'running' or state = 'ready' and interruptions < 2`) === '0', 30000);
    }
    /** Waits until all that a frozen runner had, one of which is done and not told, is at work with another. */
    async usurp(pid) {
        const of_it = `select t.task_id from kiln.task_running t join kiln.runner r using (runner_id) where r.pid = ${pid}`;
        const ids = (await this.ask(`select string_agg(task_id::text, ',') from (${of_it}) t`)) || '0';
        await until('another to have the tasks of the frozen one', async () => await this.ask(`select count(*) from kiln.task_running t join kiln.runner r using (runner_id)
            where t.task_id in (${ids}) and r.pid <> ${pid}`) === String(ids.split(',').length), 60000);
    }
    count(what) { this.counts[what] = (this.counts[what] ?? 0) + 1; }

    async feed() {
        const open = Number(await this.kiln.value(`select count(*) from kiln.task where state in ('ready', 'waiting')`));
        if (open < 8) await this.kiln.psql(`select kiln.enqueue(p, '{}', ${this.account}) from unnest('{short,short,three,fickle}'::text[]) p`);
        if (this.paid && this.random() < 0.5 && Number(await this.kiln.value(`select count(*) from kiln.call where state in ('open', 'accepted')`)) < 4) await this.paid.request_job(this.random.shuffle(this.paid.names).slice(0, 2));
        if (this.random() < 0.2) await this.kiln.psql(`do $$ begin perform kiln.cancel_job(job_id) from kiln.job where state in ('queued', 'running') and kind <> 'upload' and input ->> 'prompt' is null order by job_id desc limit 1; exception when others then null; end $$`);
    }
    /** One request under one key, asked for until there is an answer: it may be made once. */
    async request_job() {
        const open = Number(await this.kiln.value(`select count(*) from kiln.job where model_id is not null and state in ('queued', 'running')`));
        if (open >= 3) return;
        const key = `key-${this.keys.size + 1}-${Math.floor(this.random() * 1e9)}`;
        this.keys.set(key, null);
        const body = { type: 'image', prompt: `a hill ${key}`, params: { width: 256, height: 256, caption: false, format: 'jpeg' } };
        for (let tries = 0; tries < 100; tries++) {
            const answer = await this.ann.call('POST', '/generate', body, { headers: { 'Idempotency-Key': key }, ms: 4000 }).catch(() => ({}));
            if (answer.status === 202 || answer.status === 200) {
                const before = this.keys.get(key);
                if (before && before !== answer.json.id) this.wrong(`key ${key} made jobs ${before} and ${answer.json.id}`);
                this.keys.set(key, answer.json.id);
                if (before || this.random() < 0.7) return;     // and once more, as a client that lost the answer
            } else if (answer.status && answer.status < 500) throw new Error(`generate ${answer.status} ${answer.text}`);
            await pause(60);
        }
    }
    async send_file() {
        const bytes = plain_png(Buffer.from(String(this.random())));
        const place = await this.ann.call('POST', '/uploads/presign', { filename: 'dot.png', content_type: 'image/png', bytes: bytes.length }, { ms: 4000 });
        if (place.status !== 201) return;
        const { method, url, headers, media_id } = place.json;
        const sent = await request(this.bucket?.url ?? this.kiln.url, method, url, { headers: { ...headers, 'Content-Length': bytes.length }, body: bytes, ms: 4000 });
        if (sent.status !== 200) return;
        const acknowledged = () => this.uploads.set(media_id, createHash('sha256').update(bytes).digest('hex'));
        if (!this.bucket) acknowledged();       // past the server nobody has said so before it is complete
        const { status } = await this.ann.call('POST', `/uploads/${media_id}/complete`, undefined, { ms: 4000 });
        if (status === 202) acknowledged();
    }
    /** A file that comes slowly, and in part. */
    async break_off_file() {
        const bytes = plain_png(Buffer.from(String(this.random())));
        const place = await this.ann.call('POST', '/uploads/presign', { filename: 'dot.png', content_type: 'image/png', bytes: bytes.length + 1 }, { ms: 4000 });
        if (place.status !== 201 || this.bucket) return;
        const url = new URL(place.json.url, this.kiln.url);
        const sending = http.request({ host: url.hostname, port: url.port, path: url.pathname + url.search, method: 'PUT', headers: { ...place.json.headers, 'Content-Length': bytes.length + 1 } });
        sending.on('error', () => {});
        sending.write(bytes);
        await pause(SLOW_MS * 3);
        sending.destroy();
    }
    async remove() {
        const ended = (await this.ann.call('GET', '/generations?state=completed&limit=10&type=image', undefined, { ms: 4000 })).json?.items ?? [];
        if (ended.length > 4) await this.ann.call('DELETE', `/generations/${ended.at(-1).id}`, undefined, { ms: 4000 });
    }
    async look() {
        const page = (await this.ann.call('GET', '/generations?limit=3', undefined, { ms: 4000 })).json;
        const file = page?.items?.find(job => job.result_url);
        if (file && this.random() < 0.3) await request(this.kiln.url, 'GET', file.result_url, { ms: 4000 });
    }

    // --- calm, and what must hold then

    wrong(what) { (this.complaints ??= []).push(what); }

    /** Everything that died is back and every wire whole; waits until no job can go on by itself. */
    async calm(ms = 90000) {
        this.failpoints.settle(null);
        this.failpoints.write('');
        for (const one of this.kept) { one.wire.open(); one.program.signal('SIGCONT'); }
        await this.rest();
        await this.paid?.calm();
        let open;
        await until('every job to end or to be held', async () => {
            open = await this.ask(`select string_agg(format('%s %s', job_id, state), ', ') from (select * from kiln.job where state not in ('completed', 'failed', 'cancelled', 'held') order by job_id limit 5) j`);
            return open === '';
        }, ms).catch(() => this.wrong(`${Math.round(ms / 1000)} s after the last kill jobs are still open: ${open}`));
    }

    /** After the sweep every file has its row. A runner looks into the trash and for orphans a second after it started. */
    async sweep() {
        await this.ask(`update kiln.config set orphan_keep = '1 s'`);
        for (let tries = 0; tries < 10; tries++) {
            this.red.program.signal('SIGTERM');
            await pause(2600);
            await this.check_files();
            if (!this.orphans.length && await this.ask('select count(*) from kiln.trash') === '0') break;
        }
        await this.ask(`update kiln.config set orphan_keep = '1 hour'`);
        if (this.orphans.length) this.wrong(`${this.orphans.length} files without a row are left after the sweep: ${this.orphans.slice(0, 3)}`);
        const trash = await this.ask('select count(*) from kiln.trash');
        if (trash !== '0') this.wrong(`${trash} files are still in the trash after the sweep`);
    }

    /** What does not hold; empty = all is well. Asks SQL, the store, the tools' marks, the clients and the stream. */
    async complaints_now() {
        const { kiln } = this;
        const found = (this.complaints ?? []).splice(0);
        const invariants = fs.readFileSync(new URL('invariants.sql', import.meta.url), 'utf8').replace(/;\s*$/, '');
        for (const row of await this.rows(invariants)) found.push(`${row.what} ${row.id} ${row.complaint}`);
        found.push(...await this.check_keys(), ...await this.check_files(), ...await this.check_marks(), ...await this.check_streams(), ...await this.check_deliveries(), ...await this.paid?.check(this.strikes) ?? []);
        for (const program of kiln.programs) {
            if (program.has_crashed) found.push(`${program.name} crashed (${program.ended?.signal}): ${program.output.slice(-600)}`);
            if (program.ended) kiln.programs.delete(program);
        }
        return found;
    }
    async check_keys() {
        const made = await this.rows(`select key, count(*) as times, min(thing_id)::text as job_id from kiln.idempotency group by key`);
        const prompts = await this.rows(`select input ->> 'prompt' as prompt, count(*) as times from kiln.job where input ? 'prompt' group by 1 having count(*) > 1`);
        const by_key = Object.fromEntries(made.map(row => [row.key, row]));
        return [...prompts.map(row => `request "${row.prompt}" became ${row.times} jobs`),
            ...[...this.keys].filter(([key, id]) => id && by_key[key]?.job_id !== id).map(([key, id]) => `key ${key}: the client was told job ${id}, the database has ${by_key[key]?.job_id}`)];
    }
    /** The names of what is in the store. */
    async files() {
        if (this.bucket) return this.bucket.objects();
        return fs.readdirSync(this.kiln.media, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => path.relative(this.kiln.media, path.join(entry.parentPath ?? entry.path, entry.name)));
    }
    async bytes_of(key) {
        return this.bucket ? (await this.bucket.signed('GET', `/${this.bucket.bucket}/${key}`)).bytes : fs.readFileSync(path.join(this.kiln.media, key));
    }
    async check_files() {
        const found = [];
        const rows = await this.rows(`select media_id, state, coalesce(storage_key, incoming_key) as storage_key, thumbnail_key, clean_key, incoming_key, bytes, encode(sha256, 'hex') as sha256 from kiln.media where coalesce(storage_key, incoming_key) is not null`);
        const trash = new Set((await this.rows('select storage_key from kiln.trash')).map(row => row.storage_key));
        const known = new Set(trash), files = await this.files(), there = new Set(files);
        for (const row of rows) {
            for (const key of [row.storage_key, row.thumbnail_key, row.clean_key, row.incoming_key]) if (key) {
                known.add(key);
                if (!there.has(key) && !(this.bucket && row.state === 'uploading')) found.push(`media ${row.media_id} has no file ${key}`);
            }
            if (there.has(row.storage_key) && row.sha256 && createHash('sha256').update(await this.bytes_of(row.storage_key)).digest('hex') !== row.sha256) found.push(`media ${row.media_id}: its file is not what its row says`);
        }
        for (const [id, sha256] of this.uploads) {
            const row = rows.find(one => String(one.media_id) === id);
            // Its check was there when three died, and waits for a person's word: nothing is lost.
            if (row?.state === 'checking' && await this.ask(`select 1 from kiln.task_held where error_class = 'poison' limit 1`)) continue;
            if (!row || row.sha256 !== sha256) found.push(`upload ${id} was acknowledged and is ${row ? 'another file' : await this.ask(`select coalesce((select format('%s: %s', state, reason) from kiln.media where media_id = ${id}), 'gone')`)}`);
        }
        this.orphans = files.filter(file => !file.startsWith('tmp/') && !known.has(file));
        return found;
    }
    /** What a tool was started for is recorded, and nothing was started again after it was recorded as done. */
    async check_marks() {
        const attempts = await this.rows(`select task_id, fence, outcome from kiln.attempt`);
        const by_task = Map.groupBy?.(attempts, row => row.task_id) ?? attempts.reduce((map, row) => map.set(row.task_id, [...map.get(row.task_id) ?? [], row]), new Map());
        const found = (await this.rows(`select task_id, fence, output ->> 'fence' as told from kiln.task where state = 'done' and output ? 'fence' and output ->> 'fence' <> fence::text`))
            .map(row => `task ${row.task_id} is done under fence ${row.fence} with the outcome of fence ${row.told}`);
        for (const name of fs.readdirSync(this.marks)) {
            const started = fs.readFileSync(path.join(this.marks, name), 'utf8').trim().split('\n').map(line => Number(line.split(' ')[0]));
            const of_it = by_task.get(Number(name)) ?? [];
            const done = of_it.filter(row => row.outcome === 'done').map(row => row.fence);
            if (done.length > 1) found.push(`task ${name} is done ${done.length} times`);
            if (done.length === 1 && !started.includes(done[0])) found.push(`task ${name} is done under fence ${done[0]}, which no tool was started with`);
            if (done.length === 1 && started.some(fence => fence > done[0])) found.push(`task ${name} was started again after it was done`);
            const untold = started.filter(fence => !of_it.some(row => row.fence === fence));
            if (untold.length) found.push(`task ${name}: nothing tells of fence ${untold}`);
        }
        return found;
    }
    /** Each way of listening tells the log, once. */
    async check_streams() {
        const log = await this.kiln.log(this.account), found = [];
        for (const [name, stream] of Object.entries(this.streams)) {
            let missing = [], surplus = [];
            await until(`the ${name} to have the log`, () => {
                const seen = new Map();
                for (const line of stream.log()) seen.set(line, (seen.get(line) ?? 0) + 1);
                missing = log.filter(line => { const n = seen.get(line) ?? 0; seen.set(line, n - 1); return n <= 0; });
                surplus = [...seen].filter(([, n]) => n > 0).map(([line]) => line);
                return missing.length === 0 || stream.events.some(event => event.event === 'reset');
            }, 10000).catch(() => {});
            if (stream.events.some(event => event.event === 'reset')) found.push(`the ${name} was reset`);
            if (missing.length) found.push(`the ${name} lost ${missing.length} events: ${missing.slice(0, 3)}`);
            if (surplus.length) found.push(`the ${name} repeated ${surplus.length} events: ${surplus.slice(0, 3)}`);
        }
        return found;
    }
    /** Who wants to be told of some events was told of each of them, and of nothing else. (Twice under one id is what is promised, where a runner died.) */
    async check_deliveries() {
        const { posts } = this.receiver, found = [];
        const untold = () => this.rows(`select d.message_id, d.state from kiln.delivery d where d.state <> 'sent'`);
        const unmade = () => this.rows(`select e.event_id, e.type from kiln.event e where e.account_id = ${this.account} and e.type in ('job.cancelled', 'media.ready')
            and not exists (select from kiln.delivery d where d.event_id = e.event_id)`);
        // What a runner took with it into death would be due again after forty seconds.
        this.receiver.is_moody = false;
        const hurry = `update kiln.delivery set due_at = kiln_internal.now(), claimed_until = null where state = 'due'; update kiln.webhook_endpoint set failures = 0, failing_since = null`;
        for (let tries = 0; tries < 60; tries++) {
            if (!(await unmade()).length && !(await untold()).length) break;
            await this.ask(hurry);
            await pause(1500);
        }
        for (const row of await unmade()) found.push(`event ${row.event_id} (${row.type}) has no delivery`);
        for (const row of await untold()) found.push(`delivery ${row.message_id} is ${row.state}`);
        this.receiver.is_moody = true;
        const ids = (await this.rows('select message_id from kiln.delivery')).map(row => row.message_id), known = new Set(ids);
        for (const id of ids) if (!posts.has(id)) found.push(`delivery ${id} is said to be sent, and nobody has it`);
        for (const id of posts.keys()) if (!known.has(id)) found.push(`somebody was sent ${id}, which is no delivery`);
        return found;
    }

    async end() {
        this.is_ending = true;
        this.is_busy = false;
        this.failpoints?.end();
        for (const one of this.kept ?? []) { one.wire?.end(); one.program?.signal('SIGCONT'); }
        await this.paid?.end();
        this.receiver?.server.closeAllConnections();
        this.receiver?.server.close();
        for (const link of this.mailbox?.links ?? []) link.destroy();
        this.mailbox?.server.close();
        this.issuer?.closeAllConnections();
        this.issuer?.close();
        await this.bucket?.end();
        if (this.has_disk) for (const program of this.kiln.programs) program.signal('SIGKILL');
        if (this.has_disk) await Promise.all([...this.kiln.programs].map(program => program.exit));
        if (this.has_disk) spawnSync('umount', ['-l', this.kiln.media]);
        this.kiln.end_now();
    }
}

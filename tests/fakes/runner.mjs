// A runner in another language, as docs/runner.md describes it: only handler `http`, through one psql as kiln_worker. It decides nothing: it sends
// what a step says and gives back what came. Tests use it where they want a runner whose every word is in sight.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const text = value => `$kiln$${typeof value === 'string' ? value : JSON.stringify(value)}$kiln$`;

class Sql {
    constructor(env) {
        this.child = spawn('psql', ['-X', '-q', '-At', '-v', 'VERBOSITY=verbose'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
        this.out = this.bad = '';
        this.waiting = [];
        this.child.stdin.on('error', () => {});
        this.child.stdout.setEncoding('utf8').on('data', more => { this.out += more; this.look(); });
        this.child.stderr.setEncoding('utf8').on('data', more => { this.bad += more; });
        this.child.on('close', () => { for (const { reject } of this.waiting.splice(0)) reject(new Error('psql is gone')); });
    }
    look() {
        for (let end; this.waiting.length && (end = this.out.indexOf(`${this.waiting[0].mark}\n`)) >= 0;) {
            const { mark, resolve, reject } = this.waiting.shift(), answer = this.out.slice(0, end).trim();
            this.out = this.out.slice(end + mark.length + 1);
            if (this.bad.includes('ERROR:')) { const error = new Error(this.bad.trim()); this.bad = ''; reject(error); } else resolve(answer);
        }
    }
    /** One at a time, since an error has no number. */
    async say(sql) {
        const before = this.last;
        let done;
        this.last = new Promise(resolve => { done = resolve; });
        await before;
        try {
            const mark = `end-${randomBytes(6).toString('hex')}`;
            const answer = new Promise((resolve, reject) => this.waiting.push({ mark, resolve, reject }));
            this.child.stdin.write(`${sql};\n\\warn\n\\echo ${mark}\n`);
            return await answer;
        } finally { done(); }
    }
    async json(call) { const answer = await this.say(`select ${call}`); return answer ? JSON.parse(answer) : null; }
    async rows(from) { return JSON.parse(await this.say(`select coalesce(json_agg(q), '[]') from ${from} as q`)); }
}

export class Runner {
    constructor(kiln, { name = 'stand-in', env = kiln.env, slots = 16 } = {}) {
        Object.assign(this, { kiln, name, secrets: env, slots, busy: 0, log: [] });
        this.trusted = (env.KILN_TRUSTED_HOSTS ?? '').split(',').filter(Boolean);
        const login = { ...kiln.pg, PGUSER: 'kiln_worker', PGPASSFILE: kiln.env.PGPASSFILE };
        this.sql = new Sql(login);
        this.beats = new Sql(login);
    }
    async start() {
        this.id = await this.sql.say(`select kiln_runner.register(${text(this.name)}, 'here', ${process.pid}, '0', null, ${this.slots})`);
        await this.know();
        this.is_up = true;
        for (const [ms, what] of [[500, () => this.beats.say(`select kiln_runner.beat(${this.id}), kiln_runner.tick(${this.id})`)], [15, () => this.claim()], [20, () => this.poll()], [300, () => this.know()]]) this.each(ms, what);
        return this;
    }
    async each(ms, what) {
        for (; this.is_up; await pause(ms)) await what().catch(error => { if (this.is_up) this.log.push(String(error.message)); });
    }
    /** Dies: what it was doing is neither finished nor told. */
    kill() { this.is_up = false; this.sql.child.kill('SIGKILL'); this.beats.child.kill('SIGKILL'); }
    async stop() {
        this.is_up = false;
        while (this.busy) await pause(10);
        await this.sql.say(`select kiln_runner.unregister(${this.id})`).catch(() => {});
        this.kill();
    }

    async know() {
        const names = (await this.sql.json(`to_json(kiln_runner.required_secrets())`)).filter(name => this.secrets[name]);
        await this.sql.say(`select kiln_runner.offer_secrets(${this.id}, array(select json_array_elements_text(${text(names)}::json)))`);
        for (const { provider, jwks_url, hosts } of await this.sql.rows('kiln_runner.required_webhook_keys()')) {
            const answer = await this.send({ method: 'GET', url: jwks_url, headers: {}, hosts, timeout_ms: 5000, max_bytes: 65536 });
            if (answer.status === 200) await this.sql.say(`select kiln_runner.store_webhook_keys(${text(provider)}, ${text(answer.body)})`);
        }
    }

    async claim() {
        if (this.busy >= this.slots) return;
        await this.sql.say(`select kiln_runner.tick(${this.id})`);
        for (const task of await this.sql.rows(`kiln_runner.claim(${this.id}, ${this.slots - this.busy})`)) {
            this.busy++;
            this.work(task).catch(error => { if (this.is_up) this.log.push(`task ${task.task_id}: ${error.message}`); }).finally(() => { this.busy--; });
        }
    }
    async work({ task_id, fence, handler }) {
        const mine = `${task_id}, ${fence}`;
        if (handler !== 'http') return this.sql.say(`select kiln_runner.release(${mine}, 'only http here')`);
        for (let step = await this.sql.json(`kiln_runner.begin_call(${mine})`); this.is_up;) {
            if (step.do === 'nothing') return undefined;
            if (step.do === 'complete') return this.sql.say(`select kiln_runner.complete(${mine}, ${text(step.output)})`);
            let answer;
            if (step.do === 'send') {
                answer = await this.send(step.request, mine);
            } else {
                const ids = [...step.output.media ?? []];
                for (const file of step.files) {
                    const got = await this.fetch(file, mine);
                    if (got.error) { answer = got; break; }
                    ids.push(got.media_id);
                }
                if (!answer) return this.sql.say(`select kiln_runner.complete(${mine}, ${text({ ...step.output, media: ids })})`);
            }
            if (!this.is_up) return undefined;
            step = await this.sql.json(`kiln_runner.call_answer(${mine}, ${step.call_id}, ${text({ kind: step.do === 'fetch' ? 'fetch' : step.kind, ...answer })})`);
        }
        return undefined;
    }
    async poll() {
        const list = await this.sql.rows(`kiln_runner.claim_polls(${this.id}, 100)`);
        if (!list.length) return;
        this.polling = Promise.all(list.map(async ({ call_id, kind, request }) => {
            const answer = await this.send(request);
            if (this.is_up) await this.sql.say(`select kiln_runner.poll_answers(${text([{ call_id, kind, ...answer }])})`);
        }));
        this.polling.catch(error => this.log.push(error.message));
    }

    // --- the network

    forbidden(url, hosts) {
        let at;
        try { at = new URL(url); } catch { return { code: 'host', message: 'is no URL' }; }
        const is_listed = hosts.some(host => host === at.host || (host.startsWith('*.') && at.hostname.endsWith(host.slice(1))));
        if (!is_listed) return { code: 'host', message: `${at.host} is not a host of this provider` };
        const is_trusted = this.trusted.includes(at.host);
        if (at.protocol !== 'https:' && !(at.protocol === 'http:' && is_trusted)) return { code: 'host', message: `${at.protocol}//${at.host} is not https` };
        if (!is_trusted && /^(10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|localhost$)/.test(at.hostname)) return { code: 'address', message: `${at.hostname} is a private address` };
        return null;
    }
    /** One answer, as call_answer takes it; bodies of files as Buffer in `bytes`. */
    send(request, mine) {
        const no = this.forbidden(request.url, request.hosts);
        if (no) return Promise.resolve({ error: { ...no, was_sent: false } });
        const headers = { ...request.headers }, began = Date.now();
        if (request.auth) headers[request.auth.header] = (request.auth.prefix ?? '') + this.secrets[request.auth.env];
        let body = request.body ?? undefined;
        for (const file of request.files ?? []) {
            const bytes = fs.readFileSync(path.join(this.kiln.media, file.storage_key)).toString('base64');
            body = body.replaceAll(file.token, file.as === 'base64' ? bytes : `data:${file.content_type};base64,${bytes}`);
        }
        if (body !== undefined) headers['Content-Length'] = Buffer.byteLength(body);
        return new Promise(resolve => {
            const fail = (code, message, was_sent = true) => resolve({ error: { code, message, was_sent } });
            const req = http.request(request.url, { method: request.method, headers, agent: false });
            const late = setTimeout(() => { fail('timeout', `no answer within ${request.timeout_ms} ms`); req.destroy(); }, request.timeout_ms);
            req.on('error', error => { clearTimeout(late); fail(error.code === 'ECONNREFUSED' ? 'connect' : 'reply', error.message, error.code !== 'ECONNREFUSED'); });
            req.on('response', res => {
                const parts = [];
                let length = 0;
                res.on('data', part => { parts.push(part); if ((length += part.length) > (request.binary ? request.max_file_bytes : request.max_bytes * (request.take?.length ? 40 : 1))) { clearTimeout(late); fail('too_long', 'the reply is too long'); req.destroy(); } });
                res.on('error', () => {});
                res.on('close', () => { clearTimeout(late); if (!res.complete) fail('reply', 'the reply broke off'); });
                res.on('end', async () => {
                    clearTimeout(late);
                    const bytes = Buffer.concat(parts), answer = { status: res.statusCode, headers: Object.fromEntries(Object.entries(res.headers).map(([k, v]) => [k, String(v)])), body: bytes.toString(), elapsed_ms: Date.now() - began };
                    try {
                        if (request.binary && res.statusCode < 300) Object.assign(answer, { body: '', media: [await this.put(bytes, mine)] });
                        else if (request.take?.length && res.statusCode < 300) await this.take(answer, request.take, mine);
                        resolve(answer);
                    } catch (error) { fail('file', error.message); }
                });
            });
            req.end(body);
        });
    }
    async take(answer, pointers, mine) {
        const whole = JSON.parse(answer.body);
        answer.media = [];
        const walk = async (node, [key, ...rest]) => {
            if (node === null || node === undefined) return;
            for (const k of key === '*' ? Object.keys(node) : [key]) {
                if (rest.length) await walk(node[k], rest);
                else if (typeof node[k] === 'string') { answer.media.push(await this.put(Buffer.from(node[k].replace(/^data:[^,]*,/, ''), 'base64'), mine)); node[k] = ''; }
            }
        };
        for (const pointer of pointers) await walk(whole, pointer.slice(1).split('/'));
        answer.body = JSON.stringify(whole);
    }
    async fetch(file, mine) {
        const no = this.forbidden(file.url, file.hosts);
        if (no) return { error: no };
        let bytes = Buffer.alloc(0), tag;
        for (let tries = 0; tries < 6; tries++) {
            const got = await new Promise(resolve => {
                const headers = bytes.length ? { Range: `bytes=${bytes.length}-`, 'If-Range': tag } : {};
                const req = http.get(file.url, { headers, agent: false, timeout: 5000 }, res => {
                    if (res.statusCode === 200) bytes = Buffer.alloc(0);
                    else if (res.statusCode !== 206) { resolve({ status: res.statusCode, error: { code: 'reply', message: `the file answered ${res.statusCode}` } }); req.destroy(); return; }
                    tag = res.headers.etag;
                    if (Number(res.headers['content-length']) > file.max_bytes) { resolve({ error: { code: 'too_long', message: 'the file is too large' } }); req.destroy(); return; }
                    res.on('data', part => { bytes = Buffer.concat([bytes, part]); if (bytes.length > file.max_bytes) { resolve({ error: { code: 'too_long', message: 'the file is too large' } }); req.destroy(); } });
                    res.on('error', () => {});
                    res.on('close', () => resolve(res.complete ? { is_whole: true } : { is_broken: true }));
                });
                req.on('timeout', () => req.destroy());
                req.on('error', () => resolve({ is_broken: true }));
            });
            if (got.error) return got;
            if (got.is_whole) {
                try { return { media_id: await this.put(bytes, mine, file.media_type) }; } catch (error) { return { error: { code: 'file', message: error.message } }; }
            }
        }
        return { error: { code: 'reply', message: 'the file breaks off again and again' } };
    }
    /** Into the store, and a row; what is no medium is refused by its first bytes. */
    async put(bytes, mine, kind) {
        const first = bytes.subarray(0, 12).toString('latin1');
        const [media_type, content_type] = /^\x89PNG/.test(first) ? ['image', 'image/png'] : /^\xff\xd8/.test(first) ? ['image', 'image/jpeg'] : /^....ftyp/s.test(first) ? ['video', 'video/mp4']
            : /^RIFF....WAVE/s.test(first) ? ['audio', 'audio/wav'] : /^(ID3|\xff[\xe2-\xff])/.test(first) ? ['audio', 'audio/mpeg'] : [];
        if (!media_type || (kind && media_type !== kind)) throw new Error(`the file is no ${kind ?? 'medium'}`);
        const name = randomBytes(16).toString('hex'), storage_key = `${name.slice(0, 2)}/${name.slice(2)}`, at = path.join(this.kiln.media, storage_key);
        fs.mkdirSync(path.dirname(at), { recursive: true });
        fs.writeFileSync(at, bytes);
        const size = content_type === 'image/png' ? { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) } : media_type === 'audio' ? { duration_ms: 500 } : { width: 64, height: 48, ...(media_type === 'video' ? { duration_ms: 1000 } : {}) };
        if ((size.width ?? 0) * (size.height ?? 0) > 1e8) throw new Error('the picture is too large');
        return this.sql.say(`select kiln_runner.put_media(${mine}, ${text({ storage_key, role: 'work', media_type, content_type, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), ...size })})`);
    }
}

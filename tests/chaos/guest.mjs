// A runner in another language, of SQL and node alone: it serves the queue `guest`, so that the contract of docs/runner.md and of paid calls
// is stormed with a client that is not ours. It has fail points of its own, which the driver sets in the same page.
//
//   guest.mjs NAME      from the environment: KILN_FAILPOINT_PAGE, _SOCKET, GUEST_HITS, KILN_MEDIA, secrets, PGHOST, PGPASSFILE …
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Links } from '../e2e/links.mjs';

export const guest_points = Object.entries({
    'guest.claimed': 'a claim committed; nothing was asked about its task',
    'guest.begin.asking': 'what is to be done is about to be asked',
    'guest.begun': 'an open call may be committed; not a byte of it has left',
    'guest.sent': 'the whole request has left; no reply',
    'guest.answered': 'the reply is here; nothing of it is recorded',
    'guest.recorded': 'the answer is committed; what follows was not begun',
    'guest.fetched': 'a result was downloaded; it is not stored',
    'guest.stored': 'a result is durable in the store; no row names it',
    'guest.put': 'its row is committed; the task is not completed',
    'guest.completed': 'the completion is committed; nobody here knows',
    'guest.polls.claimed': 'polls were taken; none was sent',
    'guest.polled': 'answers to polls are here; none is recorded',
}).map(([name, what]) => ({ name, program: 'guest', what }));

const env = process.env;
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

// --- fail points

let seen = 0n, order;
async function point(name) {
    fs.appendFileSync(env.GUEST_HITS, `${name}\n`);
    const page = fs.readFileSync(env.KILN_FAILPOINT_PAGE), number = page.readBigUInt64LE(0);
    if (number !== seen) {
        seen = number;
        const [wanted, ...rest] = page.toString('latin1', 8).split('\n')[0].split(':');
        order = wanted ? { wanted, nth: rest.length > 1 ? Number(rest[0]) : 1 } : undefined;
    }
    if (order?.wanted !== name || --order.nth > 0) return;
    order = undefined;
    await new Promise(resolve => {
        const socket = net.connect(env.KILN_FAILPOINT_SOCKET, () => socket.write(`${name} ${process.pid}\n`));
        socket.on('data', () => {}).on('error', resolve).on('close', resolve);
    });
}

// --- PostgreSQL

const links = new Links({ host: env.PGHOST, port: Number(env.PGPORT), user: env.PGUSER, database: env.PGDATABASE });
const sql = text => links.ask(text, 5000);
const is_passing = state => /^(08|57|40|53|55P03|25006)/.test(state);
const text_of = value => `$kiln$${typeof value === 'string' ? value : JSON.stringify(value)}$kiln$`;
/** Asks again until there is an answer; `again` is what is asked from the second time on. */
async function surely(first, again = first) {
    for (let tries = 0; ; tries++) {
        try { return await sql(tries ? again : first); } catch (error) { if (!is_passing(error.state)) throw error; await pause(150); }
    }
}

// --- HTTP, as a step says it

function send(request) {
    return new Promise(resolve => {
        const started = Date.now();
        let was_sent = false;
        const headers = { ...request.headers };
        if (request.auth) headers[request.auth.header] = `${request.auth.prefix ?? ''}${env[request.auth.env]}`;
        const body = request.body ?? undefined;
        if (body !== undefined) headers['Content-Length'] = Buffer.byteLength(body);
        const req = http.request(request.url, { method: request.method ?? 'GET', headers, agent: false });
        const failed = error => resolve({ error: { code: was_sent ? 'reply' : 'connect', message: error.message, was_sent } });
        req.setTimeout(request.timeout_ms ?? 5000, () => req.destroy(new Error('no answer in time')));
        req.on('error', failed);
        req.on('socket', socket => socket.on('connect', () => { was_sent = true; }));
        req.on('finish', () => { if (request.is_submit) point('guest.sent'); });
        req.on('response', res => {
            const parts = [];
            res.on('data', part => parts.push(part)).on('error', failed).on('aborted', () => failed(new Error('the reply broke off')));
            res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, bytes: Buffer.concat(parts), elapsed_ms: Date.now() - started }));
        });
        req.end(body);
    });
}
const as_answer = ({ bytes, ...rest }, more) => ({ ...more, ...rest, ...(bytes ? { body: bytes.toString() } : {}) });

// --- a task

async function keep_file(task, file, bytes, content_type) {
    const hex = randomBytes(16).toString('hex'), key = `${hex.slice(0, 2)}/${hex.slice(2)}`, media = env.KILN_MEDIA.replace('file:', '');
    fs.mkdirSync(path.join(media, hex.slice(0, 2)), { recursive: true });
    const part = path.join(media, 'tmp', hex), fd = fs.openSync(part, 'w');
    fs.writeSync(fd, bytes);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    fs.renameSync(part, path.join(media, key));
    await point('guest.stored');
    const fact = { storage_key: key, role: 'output', media_type: file.media_type ?? 'image', content_type: content_type ?? 'image/jpeg', bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), width: 1, height: 1 };
    const id = await surely(`select kiln_runner.put_media(${task.task_id}, ${task.fence}, ${text_of(fact)})`);
    await point('guest.put');
    return id;
}

async function work(task) {
    const claimed_at = performance.now();
    await point('guest.begin.asking');
    const begin = again => `select kiln_runner.begin_call(${task.task_id}, ${task.fence}, ${again})`;
    let step = JSON.parse(await surely(begin(false), begin(true)));
    await point('guest.begun');
    const tell = async answer => { step = JSON.parse(await surely(`select kiln_runner.call_answer(${task.task_id}, ${task.fence}, ${step.call_id}, ${text_of(answer)})`)); await point('guest.recorded'); };
    while (step.do !== 'nothing') {
        if (step.do === 'send') {
            const is_late = performance.now() - claimed_at > step.send_within_ms;
            const answer = is_late ? { error: { code: 'clock', message: 'too late to send', was_sent: false } } : await send({ ...step.request, is_submit: step.kind === 'submit' });
            await point('guest.answered');
            await tell(as_answer(answer, { call_id: step.call_id, kind: step.kind }));
        } else if (step.do === 'fetch') {
            const media = [];
            let trouble;
            for (const file of step.files) {
                const got = await send({ url: file.url, timeout_ms: 5000 });
                if (got.status !== 200) { trouble = got; break; }
                await point('guest.fetched');
                media.push(await keep_file(task, file, got.bytes, got.headers['content-type']));
            }
            if (trouble) await tell({ call_id: step.call_id, kind: 'fetch', status: trouble.status, error: trouble.error ?? { code: 'reply', message: `status ${trouble.status}`, was_sent: true } });
            else step = { do: 'complete', output: { ...step.output, media } };
        } else if (step.do === 'complete') {
            await surely(`select kiln_runner.complete(${task.task_id}, ${task.fence}, ${text_of(step.output)})`);
            await point('guest.completed');
            return;
        } else throw new Error(`a step that is none: ${JSON.stringify(step)}`);
    }
}

// --- the runner

async function main(name) {
    const slots = 8;
    const secrets = Object.keys(env).filter(key => /_(KEY|TOKEN)$/.test(key)).join(',');
    const register = async () => {
        const id = await surely(`select kiln_runner.register('${name}', 'here', ${process.pid}, '1', '{guest}', ${slots})`);
        await surely(`select kiln_runner.offer_secrets(${id}, '{${secrets}}')`);
        return id;
    };
    let me = await register();
    const working = new Map([[me, 0]]);       // each id of ours that is not signed off → how many tasks run under it
    let busy = 0;
    const loop = async (ms, what) => {
        for (;;) {
            try { await what(); } catch (error) { if (error.state === 'KN011') process.exit(3); if (!is_passing(error.state ?? '')) console.error(`${name}: ${error.message}`); }
            await pause(ms);
        }
    };
    const start = async (task, id) => {
        busy++;
        working.set(id, working.get(id) + 1);
        try { await work(task); } catch (error) { if (error.state !== 'KN010') console.error(`${name}: ${error.stack}`); }
        working.set(id, working.get(id) - 1);
        busy--;
    };
    /** What a claim gave whose answer was lost nobody knows of, and our beats would keep it: under another name we go on, as kiln-runner does.
     *  Once at a time: a second registration would beat beside the first and never claim. */
    let renewing;
    const renew = () => { renewing ??= register_again().finally(() => { renewing = undefined; }); return renewing; };
    const register_again = async () => {
        const old = me;
        working.set(me = await register(), 0);
        leave(old).catch(error => console.error(`${name}: ${error.message}`));
    };
    const leave = async old => {
        while (working.get(old) > 0) await pause(100);
        working.delete(old);
        await surely(`select kiln_runner.unregister(${old})`);
    };
    loop(1000, () => Promise.all([...working.keys()].map(id => sql(`select kiln_runner.beat(${id})`))));
    loop(400, () => sql(`select kiln_runner.tick(${me})`));
    loop(2000, async () => {
        for (const row of (await sql('select k from kiln_runner.required_webhook_keys() k')).split('\n').filter(Boolean)) {
            const { provider, jwks_url } = JSON.parse(row), got = await send({ url: jwks_url });
            if (got.status === 200) await sql(`select kiln_runner.store_webhook_keys('${provider}', ${text_of(got.bytes.toString())})`);
        }
    });
    loop(120, async () => {
        if (busy >= slots || renewing) return;
        const id = me;
        const rows = await sql(`select json_build_object('task_id', task_id::text, 'fence', fence::text) from kiln_runner.claim(${id}, ${slots - busy})`)
            .catch(async error => { if (is_passing(error.state ?? '')) renew().catch(error => console.error(`${name}: ${error.message}`)); throw error; });
        if (!rows) return;
        await point('guest.claimed');
        for (const row of rows.split('\n')) start(JSON.parse(row), id);
    });
    loop(120, async () => {
        const rows = await sql(`select q from kiln_runner.claim_polls(${me}) q`);
        if (!rows) return;
        await point('guest.polls.claimed');
        const answers = await Promise.all(rows.split('\n').map(async row => { const { call_id, kind, request } = JSON.parse(row); return as_answer(await send(request), { call_id, kind }); }));
        await point('guest.polled');
        await sql(`select kiln_runner.poll_answers(${text_of(answers)})`);
    });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv[2]);

// The fake provider's book: what was asked of it, what it charged, what was wrong. Append-only: one JSON line a fact in one file, written
// before the answer that tells of it, so that a fake that is killed and started again on the same file goes on as if nothing had been.
// Ids, keys and chances come from the seed and a counter, so that a run repeats.
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import fs from 'node:fs';

export const hash = text => createHash('sha256').update(text).digest('hex');

export const prices = { image: 25_000, video: 500_000, audio: 20_000 };      // millionths, a request

export class Book {
    constructor(seed, file) {
        this.seed = String(seed);
        this.requests = new Map();      // by id, in the order they came
        this.charges = [];
        this.malformed = [];            // what no well-behaved client sends
        this.leaks = [];                // a key that came where no key belongs
        this.elsewhere = [];            // what reached the address that nobody may call
        this.rules = [];
        this.powers = { idempotency: true, lookup: true };
        if (file) {
            if (fs.existsSync(file)) this.read(fs.readFileSync(file, 'utf8'));
            this.fd = fs.openSync(file, 'a');
        }
    }

    // --- chance, from the seed

    number(...what) { return parseInt(hash([this.seed, ...what].join('\n')).slice(0, 12), 16) / 2 ** 48; }
    uuid(...what) { return hash([this.seed, ...what].join('\n')).replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-4$3-8$4-$5'); }
    get signing_key() {
        const raw = Buffer.from(hash(`${this.seed}\nwebhooks`), 'hex');
        return createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), raw]), format: 'der', type: 'pkcs8' });
    }
    get jwks() { return { keys: [createPublicKey(this.signing_key).export({ format: 'jwk' })].map(({ kty, crv, x }) => ({ kty, crv, x })) }; }
    get webhook_secret() { return `whsec_${Buffer.from(hash(`${this.seed}\nstandard`), 'hex').toString('base64')}`; }

    // --- facts

    read(text) {
        for (const line of text.split('\n')) {
            if (!line) continue;
            try { this.apply(JSON.parse(line)); } catch (error) { if (!(error instanceof SyntaxError)) throw error; }    // torn by the kill
        }
    }
    write(fact) {
        if (this.fd !== undefined) fs.writeSync(this.fd, `${JSON.stringify(fact)}\n`);
        return this.apply(JSON.parse(JSON.stringify(fact)));
    }
    apply(fact) {
        const { is, ...what } = fact;
        if (is === 'request') return this.requests.set(what.id, { polls: 0, fetched: 0, cancels: 0, webhooks: [], ...what }).get(what.id);
        if (is === 'change') return Object.assign(this.requests.get(what.id), what);
        if (is === 'count') { this.requests.get(what.id)[what.of]++; return undefined; }
        if (is === 'webhook') { this.requests.get(what.id).webhooks.push({ at: what.at, status: what.status, event: what.event }); return undefined; }
        if (is === 'rule') { this.rules.push({ used: 0, met: 0, ...what }); return what; }
        if (is === 'used') { Object.assign(this.rules.find(r => r.id === what.id) ?? {}, { used: what.used, met: what.met }); return undefined; }
        if (is === 'clear') { this.rules = []; return undefined; }
        if (is === 'powers') return Object.assign(this.powers, what);
        this[{ charge: 'charges', malformed: 'malformed', leak: 'leaks', elsewhere: 'elsewhere' }[is]].push(what);
        return what;
    }

    // --- the life of a request: queued → running → done, by the clock; cancelled at any time before

    open(request) {
        const now = Date.now();
        return this.write({ is: 'request', ...request, hash: hash(request.text), at: now, starts_at: now + request.queue_ms, ends_at: now + request.queue_ms + request.run_ms });
    }
    state(request, now = Date.now()) {
        if (request.cancelled_at) return 'cancelled';
        return now < request.starts_at ? 'queued' : now < request.ends_at ? 'running' : 'done';
    }
    /** Charges once, when the work has begun and is not of a kind that costs nothing. */
    settle(request) {
        if (request.is_charged || request.cancelled_at || Date.now() < request.starts_at) return;
        if (!(request.charge ?? ['ok', 'nsfw'].includes(request.end))) return;
        this.write({ is: 'charge', request_id: request.id, api: request.api, endpoint: request.endpoint, key: request.key, call: request.call, webhook: request.webhook,
            prompt: request.prompt, body_hash: request.hash, at: new Date().toISOString(), micros: prices[request.kind] });
        this.write({ is: 'change', id: request.id, is_charged: true });
    }
    cancel(request) {
        const before = this.state(request);
        if (before === 'queued' || (before === 'running' && request.obeys_cancel)) {
            this.settle(request);
            this.write({ is: 'change', id: request.id, cancelled_at: Date.now() });
        }
        return before;
    }
    /** The request that this key opened, where keys are honoured. */
    known(api, key) { return key && [...this.requests.values()].find(r => r.api === api && (r.key === key || r.call === key)); }
    settle_all() { for (const request of this.requests.values()) this.settle(request); }
}

#!/usr/bin/env node
// A provider that misbehaves on purpose, for tests: fal's queue API under /fal, Replicate's under /replicate, OpenAI's images and speech under
// /openai, results under /files. Loopback only, no dependencies. Strict about what it is asked, and it keeps a bill of its own.
//
//   node tests/fakes/provider.mjs [--port N] [--elsewhere-port N] [--state FILE] [--seed N] [--base URL]
//
// prints one line: {"port", "elsewhere", "keys": {"FAL_KEY", …}, "webhook_secret"}. With --state it may be killed and started again on the same
// file and port. `elsewhere` is a port of the same machine that a careful client never calls: whoever comes is written down (SSRF).
//
//   GET  /_bill         {charges: [{request_id, key, call, prompt, body_hash, at, micros, …}], malformed, leaks, elsewhere, requests}
//   POST /_behave       a rule, or a list, or {"clear": true}, {"powers": {"idempotency": true, "lookup": true}}: see behave.mjs
//   GET  /_behave       the rules, and how often each was used
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { add_rule, answer, told } from './behave.mjs';
import { Book } from './book.mjs';
import { Refusal, call_of } from './check.mjs';
import { Fal } from './fal.mjs';
import { instead, make, types } from './media.mjs';
import { OpenAI } from './openai.mjs';
import { Replicate } from './replicate.mjs';

export const keys = {
    FAL_KEY: '0f1e2d3c-fake:fal-secret-never-to-be-seen',
    REPLICATE_API_TOKEN: 'r8_replicateSecretNeverToBeSeen',
    OPENAI_API_KEY: 'sk-openai-secret-never-to-be-seen',
};
const body_limit = 64 << 20;

export class Fake {
    constructor(options) {
        this.book = new Book(options.seed ?? 1, options.state);
        this.keys = keys;
        this.base_option = options.base;
        this.server = http.createServer((req, res) => this.take(req, res));
        this.elsewhere = http.createServer((req, res) => this.take_elsewhere(req, res));
    }
    async listen(port, elsewhere) {
        const listen = (server, at) => new Promise((resolve, reject) => server.once('error', reject).listen(at, '127.0.0.1', () => resolve(server.address().port)));
        this.port = await listen(this.server, port);
        this.elsewhere_port = await listen(this.elsewhere, elsewhere);
        this.base = this.base_option ?? `http://127.0.0.1:${this.port}`;
        this.apis = { fal: new Fal(this), replicate: new Replicate(this), openai: new OpenAI(this) };
    }

    async take(req, res) {
        const parts = [];
        let length = 0;
        req.on('error', () => {});
        res.on('error', () => {});
        try {
            for await (const part of req) { length += part.length; if (length <= body_limit) parts.push(part); }
        } catch { return; }
        const text = Buffer.concat(parts).toString(), url = new URL(req.url, 'http://fake');
        const [, first] = url.pathname.split('/');
        try {
            if (this.apis[first]) await this.apis[first].handle(req, res, url, text);
            else if (first === 'files') await this.serve(req, res, url);
            else if (first === '_bill') this.say(res, this.bill());
            else if (first === '_behave') this.say(res, req.method === 'POST' ? this.behave(JSON.parse(text)) : this.book.rules);
            else throw new Refusal(404, `no ${url.pathname}`, { detail: 'not found' });
        } catch (error) {
            if (res.headersSent || res.destroyed) return;
            if (!(error instanceof Refusal)) { this.say(res, { error: error.message }, first.startsWith('_') ? 400 : 500); console.error(error); return; }
            this.book.write({ is: 'malformed', at: new Date().toISOString(), method: req.method, url: req.url, status: error.status, why: error.message, body: text.slice(0, 500) });
            this.say(res, error.body, error.status);
        }
    }
    say(res, value, status = 200) { res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value)); }

    // --- what the three have in common

    /** A request that is begun under a rule, as the book opens it. */
    begun(req, how, what) {
        const webhook_how = what.webhook ? told(this.book, 'webhook', what) : undefined, number = this.book.requests.size;
        return {
            ...what, id: how.id ? this.book.requests.has(how.id) ? `${how.id} ${number}` : how.id : this.book.uuid('request', number), key: req.headers['idempotency-key'] ?? null, call: call_of(req, what.webhook),
            queue_ms: webhook_how?.before ? 0 : how.queue_ms ?? 0, run_ms: webhook_how?.before ? 0 : how.run_ms ?? 30, end: how.end ?? 'ok', charge: how.charge, obeys_cancel: how.cancel !== 'ignore', webhook_how,
        };
    }
    /** The earlier request of this idempotency key; the same key for another body is a mistake. */
    known(req, api, text, body_of) {
        const known = this.book.powers.idempotency && this.book.known(api, req.headers['idempotency-key']);
        if (known && known.text !== text) throw new Refusal(422, 'an idempotency key for two bodies', body_of('this key was used for another request'));
        return known || undefined;
    }
    lookup(req, res, url, api, shown) {
        const key = url.searchParams.get('key');
        if (req.method !== 'GET' || !key) throw new Refusal(400, 'a lookup is GET …/lookup?key=', { detail: 'key is missing' });
        if (!this.book.powers.lookup) throw new Refusal(404, 'no lookup here', { detail: 'not found' });
        const request = this.book.known(api, key);
        return answer(res, told(this.book, 'lookup', request ?? { api }), 200, request ? { found: true, ...shown(request), id: request.id } : { found: false });
    }

    // --- files

    file_url(request, n) { return `${this.base}/files/${encodeURIComponent(request.id)}/${n}.${request.suffix}`; }
    file(request, n) { return make(request.suffix, `${request.id} ${n}`); }
    type_of(request) { return types[request.suffix]; }

    async serve(req, res, url) {
        const [, id, n] = /^\/files\/([^/]+)\/(\d+)\.\w+$/.exec(url.pathname) ?? [];
        const request = id && this.book.requests.get(decodeURIComponent(id));
        if (/[^!-~]/.test(req.url)) throw new Refusal(400, 'an address that is not escaped', { detail: 'bad request' });
        if (req.headers.authorization) this.book.write({ is: 'leak', at: new Date().toISOString(), url: req.url });
        if (!request) throw new Refusal(404, `no file ${url.pathname}`, { detail: 'no such file' });
        const how = told(this.book, 'file', request);
        const bytes = this.file(request, Number(n));
        const { body, headers = {} } = instead(how.serve, bytes);
        const etag = `"${request.hash.slice(0, 16)}-${n}"`;
        const all = { 'Content-Type': this.type_of(request), ETag: etag, ...headers };
        const range = how.is_resumable === false ? null : /^bytes=(\d+)-$/.exec(req.headers.range ?? '');
        if (how.is_resumable !== false) all['Accept-Ranges'] = 'bytes';
        const start = range && (!req.headers['if-range'] || req.headers['if-range'] === etag) ? Number(range[1]) : 0;
        if (start > body.length || (start > 0 && start === body.length)) return answer(res, how, 416, { detail: 'range' }, { 'Content-Range': `bytes */${body.length}` });
        if (start) all['Content-Range'] = `bytes ${start}-${body.length - 1}/${body.length}`;
        return answer(res, how, start ? 206 : 200, body.subarray(start), all);
    }
    /** Nobody has any business here; the files are served all the same, so that a mistake is not hidden by a 404. */
    take_elsewhere(req, res) {
        if (req.url === '/_allow') { this.is_elsewhere_allowed = true; res.end(); return; }
        if (!this.is_elsewhere_allowed) this.book.write({ is: 'elsewhere', at: new Date().toISOString(), method: req.method, url: req.url, has_key: Boolean(req.headers.authorization) });
        const url = new URL(req.url, 'http://elsewhere');
        if (url.pathname.startsWith('/files/')) this.serve(req, res, url).catch(() => res.destroy());
        else this.say(res, { status: 'COMPLETED', images: [{ url: `http://127.0.0.1:${this.elsewhere_port}/files/0/0.png` }] });
    }

    // --- the bill and the orders

    bill() {
        this.book.settle_all();
        const { charges, malformed, leaks, elsewhere } = this.book;
        return {
            charges, malformed, leaks, elsewhere, micros: charges.reduce((sum, c) => sum + c.micros, 0),
            requests: [...this.book.requests.values()].map(r => ({ ...r, text: undefined, body: JSON.parse(r.text.replace(/"data:[^"]{200,}"/g, '"data:…"')), state: this.book.state(r) })),
        };
    }
    behave(order) {
        if (Array.isArray(order)) return order.map(one => this.behave(one));
        if (order.clear) { this.book.write({ is: 'clear' }); return { rules: 0 }; }
        if (order.powers) return this.book.write({ is: 'powers', ...order.powers });
        return add_rule(this.book, order);
    }
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const { values } = parseArgs({ options: { port: { type: 'string' }, 'elsewhere-port': { type: 'string' }, state: { type: 'string' }, seed: { type: 'string' }, base: { type: 'string' } } });
    const fake = new Fake({ ...values, state: values.state && path.resolve(values.state) });
    await fake.listen(Number(values.port ?? 0), Number(values['elsewhere-port'] ?? 0));
    console.log(JSON.stringify({ port: fake.port, elsewhere: fake.elsewhere_port, keys, webhook_secret: fake.book.webhook_secret }));
}

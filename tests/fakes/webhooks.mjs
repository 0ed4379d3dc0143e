// Telling clients that something has ended: fal's Ed25519 signatures and Replicate's Standard Webhooks, delivered until a 2xx or ten times,
// also after a restart of the fake; and, on command, wrong.
import { createHmac, randomBytes, sign } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { hash } from './book.mjs';

export function fal_headers(book, body, { id, forge, user = 'user_fake', at = Math.floor(Date.now() / 1000) }) {
    if (forge === 'time') at -= 3600;
    const message = [id, user, String(at), hash(body)].join('\n');
    const signature = forge === 'key' ? randomBytes(64) : sign(null, Buffer.from(message), book.signing_key);
    return { 'X-Fal-Webhook-Request-Id': id, 'X-Fal-Webhook-User-Id': user, 'X-Fal-Webhook-Timestamp': String(at), 'X-Fal-Webhook-Signature': signature.toString('hex') };
}
export function standard_headers(book, body, { id, forge, at = Math.floor(Date.now() / 1000) }) {
    if (forge === 'time') at -= 3600;
    const key = forge === 'key' ? randomBytes(32) : Buffer.from(book.webhook_secret.slice('whsec_'.length), 'base64');
    return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')}` };
}

function post(target, headers, body) {
    return new Promise(resolve => {
        const req = (target.startsWith('https') ? https : http).request(target, { method: 'POST', headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers }, timeout: 15000 });
        req.on('timeout', () => req.destroy(new Error('time-out')));
        req.on('error', error => resolve(error.code ?? error.message));
        req.on('response', res => { res.resume(); res.on('end', () => resolve(res.statusCode)); res.on('error', () => resolve('broken')); });
        req.end(body);
    });
}

/** Delivers one event: until it is taken, or ten times. */
async function deliver(book, request, headers_of, { event, payload, how = {}, tries = 10 }) {
    for (let n = 0; n < tries; n++) {
        let body = JSON.stringify(payload);
        const headers = headers_of(book, body, { id: request.api === 'fal' ? request.id : `msg_${hash(`${request.id}${event}`).slice(0, 24)}`, forge: how.forge });
        if (how.forge === 'body') body = body.replace(/\{/, '{"forged":true,');
        const status = await post(request.webhook, headers, body);
        book.write({ is: 'webhook', id: request.id, event, at: Date.now(), status });
        if (status >= 200 && status < 300) return;
        await pause(Math.min(100 * 2 ** n, 5000));
    }
}

/**
 * Watches a request to its end and tells of it. `events(request)`: what it would send, in order, each { event, payload }.
 * Its promise ends when the first delivery has (for "before").
 */
export async function watch(book, request, headers_of, events) {
    const how = request.webhook_how ?? {};
    if (!request.webhook || how.never || request.is_reported) return;
    if (!how.before) await until_end(book, request);
    book.settle(request);
    if (how.delay_ms) await pause(how.delay_ms);
    const list = events(request);
    if (how.out_of_order) list.reverse();
    for (const one of list) for (let n = 0; n < (how.times ?? 1); n++) await deliver(book, request, headers_of, { ...one, how });
    book.write({ is: 'change', id: request.id, is_reported: true });
}

async function until_end(book, request) {
    for (;;) {
        const wait = request.ends_at - Date.now();
        if (request.cancelled_at || wait <= 0) break;
        await pause(Math.min(wait, 200), undefined, { ref: false });
    }
}

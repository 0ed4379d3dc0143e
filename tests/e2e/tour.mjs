// What a page of a product does with the API, written once for the tests of origins: they say where the page is served, and whether it may.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { root } from './lib.mjs';

/** The wallet that signs in the page. */
export const wallet_file = path.join(root, 'tests/node_modules/ethers/dist/ethers.min.js');
export const page_html = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>a page</title>';

/** Serves that page on a port of its own, which makes an origin. */
export async function serve_page(port = 0) {
    const server = http.createServer((request, response) => {
        const is_wallet = request.url === '/ethers.js';
        response.writeHead(200, { 'Content-Type': is_wallet ? 'text/javascript' : 'text/html', Connection: 'close' });
        if (is_wallet) fs.createReadStream(wallet_file).pipe(response); else response.end(page_html);
    });
    await new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
    return { origin: `http://127.0.0.1:${server.address().port}`, end: () => new Promise(resolve => { server.closeAllConnections?.(); server.close(resolve); }) };
}

/**
 * Runs in the page: everything that a page of a product does, one step after the other, each either what it saw or `blocked`.
 * `base`: the API's origin; `film_url`: a signed link. `own`: without it the page signs in; else { token, ticket, socket_ticket, place }, as
 * if they had been handed to it, so that each step is tried for itself.
 */
export const tour = async ({ base, own, png, film_url }) => {
    const did = {}, seen = {};
    const step = async (name, act) => { try { did[name] = await act(); } catch (error) { did[name] = (error instanceof TypeError && error.message === 'Failed to fetch') || error === 'blocked' ? 'blocked' : `${error.stack ?? error}`; } };
    const url = target => new URL(target, base).href;
    const bytes_of = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
    let token = own?.token;
    const call = async (method, target, body, headers = {}) => fetch(url(`/api/v1${target}`), {
        method, headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(body ? { 'Content-Type': 'application/json' } : {}), ...headers }, body: body && JSON.stringify(body),
    });
    const json = async (...args) => { const answer = await call(...args); if (!answer.ok) throw Error(`${args[1]}: ${answer.status} ${await answer.text()}`); return answer.json(); };
    const ready = async (id, of) => { for (;;) { const thing = await json('GET', `${of}/${id}`); if (['ready', 'rejected', 'completed', 'failed'].includes(thing.state)) return thing; await new Promise(resolve => setTimeout(resolve, 50)); } };
    const send = async (bytes, content_type, place) => {
        place ??= await json('POST', '/uploads/presign', { filename: 'a file', content_type, bytes: bytes.length });
        const sent = await fetch(url(place.url), { method: place.method, headers: place.headers, body: bytes });
        if (!sent.ok) throw Error(`PUT: ${sent.status} ${await sent.text()}`);
        await json('POST', `/uploads/${place.media_id}/complete`);
        return ready(place.media_id, '/uploads');
    };

    await step('sign-in', async () => {
        const { nonce } = await (await fetch(url('/api/v1/auth/nonce'), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })).json();
        const { Wallet } = await import('/ethers.js');
        const wallet = Wallet.createRandom();
        const message = `${location.host} wants you to sign in with your Ethereum account:\n${wallet.address}\n\nSign in.\n\nURI: ${location.href}\nVersion: 1\nChain ID: 1\nNonce: ${nonce}\nIssued At: ${new Date().toISOString()}`;
        const answer = await json('POST', '/auth/siwe', { message, signature: await wallet.signMessage(message) });
        token = answer.token;
        return typeof answer.account.id;
    });
    await step('an error', async () => { const answer = await call('GET', '/generations/0'); return [answer.status, (await answer.json()).request_id === answer.headers.get('X-Request-Id')]; });
    await step('event stream', async () => {
        const { body } = await call('GET', '/events');
        const reader = body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        const until = async what => { while (!what.test(text)) { const { value, done } = await reader.read(); if (done) throw Error(`the stream ended: ${text}`); text += value; } };
        await until(/event: ready/);
        seen.until = until;
        return 'ready';
    });
    await step('generate', async () => {
        const job = await json('POST', '/generate', { type: 'image', prompt: 'a hill', seed: '1' }, { 'Idempotency-Key': crypto.randomUUID(), 'X-Request-Id': 'of-the-page-1' });
        await seen.until(new RegExp(`event: job.completed[^]*"job_id":\\s*"${job.id}"|"job_id":\\s*"${job.id}"[^]*job.completed`));
        const done = await ready(job.id, '/generations');
        seen.media = done.result_url;
        return done.state;
    });
    await step('EventSource', () => new Promise((resolve, reject) => {
        (own ? Promise.resolve({ ticket: own.ticket }) : json('POST', '/stream-tickets')).then(({ ticket }) => {
            const source = new EventSource(url(`/api/v1/events?ticket=${encodeURIComponent(ticket)}`));
            source.addEventListener('ready', () => { source.close(); resolve('ready'); });
            source.onerror = () => { source.close(); reject('blocked'); };
        }, reject);
    }));
    await step('WebSocket', () => new Promise((resolve, reject) => {
        (own ? Promise.resolve({ ticket: own.socket_ticket }) : json('POST', '/stream-tickets')).then(({ ticket }) => {
            const socket = new WebSocket(url(`/api/v1/ws?ticket=${encodeURIComponent(ticket)}`).replace(/^http/, 'ws'));
            socket.onmessage = ({ data }) => { socket.close(); resolve(JSON.parse(data).type); };
            socket.onerror = () => reject('blocked');
        }, reject);
    }));
    await step('long poll', async () => ((await (await call('GET', '/events/poll?wait=0')).json()).events.length >= 0 ? 'events' : ''));
    await step('upload', async () => (await send(bytes_of(png), 'image/png', own?.place)).state);
    await step('a part of a file', async () => {
        const answer = await fetch(url(seen.media ?? film_url), { headers: { Range: 'bytes=0-3' } });
        return [answer.status, (await answer.arrayBuffer()).byteLength, /^bytes 0-3\/\d+$/.test(answer.headers.get('Content-Range')), Boolean(answer.headers.get('ETag'))];
    });
    await step('video seek', async () => {
        const video = Object.assign(document.createElement('video'), { crossOrigin: 'anonymous', muted: true, preload: 'metadata', src: url(film_url) });
        document.body.append(video);
        const says = name => new Promise((resolve, reject) => { video.addEventListener(name, resolve, { once: true }); video.addEventListener('error', () => (video.error.code === 4 ? reject('blocked') : reject(Error(video.error.message))), { once: true }); });
        await says('loadeddata');
        const there = says('seeked');
        video.currentTime = video.duration - 1;
        await there;
        const canvas = new OffscreenCanvas(4, 4).getContext('2d');
        canvas.drawImage(video, 0, 0, 4, 4);
        canvas.getImageData(0, 0, 1, 1);        // throws where the film is of an origin that does not allow it
        return Math.round(video.duration - video.currentTime);
    });
    return did;
};

export const all_done = { 'sign-in': 'string', 'an error': [404, true], 'event stream': 'ready', generate: 'completed', EventSource: 'ready', WebSocket: 'ready', 'long poll': 'events', upload: 'ready', 'a part of a file': [206, 4, true, true], 'video seek': 1 };
export const all_blocked = Object.fromEntries(Object.keys(all_done).map(name => [name, 'blocked']));

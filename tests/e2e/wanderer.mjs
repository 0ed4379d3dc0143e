// A client that comes back by another way each time: server-sent events, WebSocket or long poll, each with the position that another one
// gave. The first time it listens by server-sent events.
import http from 'node:http';
import WebSocket from 'ws';
import { check } from './events.mjs';
import { Stream } from './lib.mjs';

/** `bases`: the processes it may come to; `ways`: of sse, ws, poll; one of each is drawn for each link. */
export class Wanderer extends Stream {
    constructor(kiln, { bases = () => [kiln.url], ways = ['sse', 'sse', 'ws', 'poll'], ...more }) { super(kiln, { ...more, bases, ways }); }
    connect() {
        const draw = list => list[Math.floor(Math.random() * list.length)];
        this.base = draw(this.bases());
        this.ws = undefined;
        const way = this.last ? draw(this.ways) : 'sse';
        if (way === 'sse') super.connect();
        else if (way === 'ws') this.connect_socket();
        else this.poll();
    }
    hear(data) {
        if (data.position) this.last = data.position;
        check(data);
        this.events.push({ event: data.type, id: data.position, data, at: Date.now() });
    }
    connect_socket() {
        const ws = new WebSocket(`${this.base.replace('http', 'ws')}/api/v1/ws?last_event_id=${encodeURIComponent(this.last)}`, { headers: { Authorization: `Bearer ${this.token}` } });
        this.ws = ws;
        this.request = { destroy: () => ws.terminate() };
        this.links++;
        ws.on('message', bytes => { const data = JSON.parse(bytes); if (data.type !== 'pong') this.hear(data); }).on('error', () => {}).on('close', () => this.on_gone());
    }
    /** Says something where it has a socket. */
    ping() { if (this.ws?.readyState === WebSocket.OPEN) this.ws.send('{"type": "ping"}'); }
    poll() {
        const request = http.get(`${this.base}/api/v1/events/poll?timeout=1&after=${encodeURIComponent(this.last)}`, { headers: { Authorization: `Bearer ${this.token}` }, agent: false });
        this.request = request;
        request.on('error', () => this.on_gone()).on('response', response => {
            let text = '';
            response.setEncoding('utf8').on('data', more => { text += more; }).on('error', () => {}).on('close', () => {
                if (response.complete && response.statusCode === 200) {
                    this.links++;
                    const { events, position } = JSON.parse(text);
                    for (const event of events) this.hear(event);
                    this.last = position;
                }
                this.on_gone();
            });
        });
    }
}

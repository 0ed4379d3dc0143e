// A client of the API, small and typed by docs/openapi.json (api.ts) and docs/events.schema.json (events.ts); pages and programs
// import it from here by a path alias.
//
//   const kiln = new Kiln({ token: () => session.token });
//   const job = await kiln.call('create_generation', { body: { type: 'image', prompt: 'a hill' }, once: crypto.randomUUID() });
//   for await (const { event } of kiln.events({ signal })) if (event.type === 'job.completed') …
//   const photo = await kiln.upload(file, { progress: (sent, total) => … });      // a Media that is ready
//   await kiln.call('create_tryon', { body: form({ category: 'outfit', medias: [file] }) });
//   const socket = await kiln.socket();
//
// What is not answered as hoped is thrown: a Problem with the server's code, or what fetch throws.
import { routes } from './api.ts';
import type { Operations, Ticket, TryonForm } from './api.ts';
import type { KilnEvent, Media } from './events.ts';
import { pause, Problem } from './problem.ts';
import { upload_file, UploadRejected } from './upload.ts';
import type { UploadOptions } from './upload.ts';

type Takes<K extends keyof Operations> = Operations[K]['takes'];
/** Nothing need be given where all that an operation takes is optional. */
type Arguments<K extends keyof Operations> = object extends Takes<K> ? [takes?: Takes<K> & Extra] : [takes: Takes<K> & Extra];
interface Extra {
    signal?: AbortSignal;
}
interface RequestOptions extends Extra {
    path?: Record<string, string>;
    query?: Record<string, unknown>;
    body?: unknown;
    once?: string;
}

export interface Options {
    /** Where the server is; absent: where the page came from. */
    base?: string;
    /** Sent as Authorization: Bearer; a function is asked each time, so that a new one is taken up. */
    token?: string | (() => string | undefined);
    /** Sent as X-API-Key. */
    key?: string;
    fetch?: typeof fetch;
    /** Where there is no WebSocket (Node before 22): that of a library. */
    WebSocket?: typeof WebSocket;
}

export { Problem, UploadRejected };
export type { UploadOptions };

export class Kiln {
    readonly #options: Options;
    constructor(options: Options = {}) {
        this.#options = options;
    }

    /** Carries out an operation, by its name in the description. */
    async call<K extends keyof Operations>(name: K, ...[takes]: Arguments<K>): Promise<Operations[K]['gives']> {
        const request: RequestOptions = takes ?? {};
        const [method, route] = routes[name];
        const headers: Record<string, string> = request.once === undefined ? {} : { 'Idempotency-Key': request.once };
        // A form or a file names its own type.
        const isJson = request.body !== undefined && (typeof request.body !== 'object' || request.body === null || Object.getPrototypeOf(request.body) === Object.prototype);
        if (isJson) headers['Content-Type'] = 'application/json';
        const init = { method, headers, signal: request.signal ?? null, body: isJson ? JSON.stringify(request.body) : ((request.body as BodyInit | undefined) ?? null) };
        // A body that is a stream has to be announced as one (Node).
        const response = await this.#send(`${filled(route, request.path ?? {})}${query_of(request.query ?? {})}`, init.body instanceof ReadableStream ? Object.assign(init, { duplex: 'half' }) : init);
        const type = response.headers.get('Content-Type') ?? '';
        const gives: unknown = response.status === 204 ? undefined : type.startsWith('application/json') ? await response.json() : response;
        return gives as Operations[K]['gives'];
    }

    /** Sends a file in and waits until it is checked: a Media that is `ready`; an UploadRejected with the reason where it may not be used. */
    upload(file: Blob, options: UploadOptions = {}): Promise<Media> {
        return upload_file(this, this.#options.base ?? '', this.#options.fetch, file, options);
    }

    /** The stream as a WebSocket, opened with a ticket, since a browser's can send no header; docs/events.md has its messages. */
    async socket({ after, signal }: { after?: string; signal?: AbortSignal } = {}): Promise<WebSocket> {
        const { ticket }: Ticket = await this.call('create_ticket', signal ? { signal } : {});
        const place = new URL(`${this.#options.base ?? ''}/api/v1/ws${query_of({ ticket, last_event_id: after })}`, globalThis.location?.href);
        place.protocol = place.protocol === 'https:' ? 'wss:' : 'ws:';
        return new (this.#options.WebSocket ?? WebSocket)(place);
    }

    /**
     * The account's events as they happen, each with the position behind it. When the link ends it comes back by itself and goes on from
     * there, so nothing is lost and nothing comes twice; `reset` says that what is shown has to be fetched anew. Ends with `signal`, and
     * by throwing the Problem where the server will not have us (a token that has expired).
     */
    events({ after, signal }: { after?: string; signal?: AbortSignal } = {}): AsyncGenerator<{ event: KilnEvent; position: string | undefined }> {
        return this.#stream('/api/v1/events', after, signal);
    }

    /** The same for an administrator: everybody's events, or those that pass the filters. */
    watch({ after, signal, ...filter }: { kind?: string; state?: string; account?: string; after?: string; signal?: AbortSignal } = {}): AsyncGenerator<{ event: KilnEvent; position: string | undefined }> {
        return this.#stream(`/api/v1/admin/events${query_of(filter)}`, after, signal);
    }

    async *#stream(target: string, after: string | undefined, signal: AbortSignal | undefined): AsyncGenerator<{ event: KilnEvent; position: string | undefined }> {
        let position = after;
        let failures = 0;
        while (!signal?.aborted) {
            try {
                const headers: Record<string, string> = { Accept: 'text/event-stream' };
                if (position !== undefined) headers['Last-Event-ID'] = position;
                const response = await this.#send(target, { headers, signal: signal ?? null });
                for await (const { id, data } of messages(response)) {
                    failures = 0;
                    position = id ?? position;
                    yield { event: JSON.parse(data) as KilnEvent, position };
                }
            } catch (error) {
                if (signal?.aborted) return;
                const isFinal = error instanceof Problem && error.status < 500 && error.status !== 429;
                if (isFinal || !(error instanceof Problem || error instanceof TypeError)) throw error;
            }
            await pause(Math.random() * Math.min(30000, 250 * 2 ** failures++), signal);
        }
    }

    async #send(target: string, init: RequestInit): Promise<Response> {
        const { base = '', token, key, fetch: send = fetch } = this.#options;
        const headers = new Headers(init.headers);
        const bearer = typeof token === 'function' ? token() : token;
        if (bearer) headers.set('Authorization', `Bearer ${bearer}`);
        if (key) headers.set('X-API-Key', key);
        const response = await send(`${base}${target}`, { ...init, headers });
        if (response.ok) return response;
        throw await Problem.of(response);
    }
}

/** A form of its fields; a list is its field once for each, as POST /tryons takes files and ids. */
export function form(fields: TryonForm): FormData {
    const made = new FormData();
    for (const [name, given] of Object.entries(fields) as [string, string | Blob | (string | Blob)[] | undefined][]) {
        for (const each of given === undefined ? [] : Array.isArray(given) ? given : [given]) made.append(name, each);
    }
    return made;
}

/** A route with its parameters; what may hold slashes (a model's name) is escaped too, which the server takes. */
function filled(route: string, path: Record<string, string>): string {
    return route.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''));
}

function query_of(query: Record<string, unknown>): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined).map(([key, value]): [string, string] => [key, String(value)]);
    return given.length > 0 ? `?${new URLSearchParams(given)}` : '';
}

/** The messages of an event stream that have data; comments keep the link alive and say nothing. */
async function* messages(response: Response): AsyncGenerator<{ id: string | undefined; data: string }> {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!reader) return;
    try {
        let text = '';
        for (let read = await reader.read(); !read.done; read = await reader.read()) {
            text += read.value;
            for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
                const lines = text.slice(0, end).split('\n');
                text = text.slice(end + 2);
                const field = (name: string): string[] => lines.filter(line => line.startsWith(`${name}:`)).map(line => line.slice(name.length + 1).replace(/^ /, ''));
                const data = field('data');
                if (data.length > 0) yield { id: field('id').at(-1), data: data.join('\n') };
            }
        }
    } finally {
        await reader.cancel().catch(() => {});
    }
}

// One upload, from a file to a media that is ready: presign, PUT, complete, wait. The PUT goes where the presigned address leads, to
// the server or past it to a bucket, without a token; whatever may pass by itself (a link that broke, 429, 5xx) is tried again.
import type { Kiln } from './client.ts';
import type { Media } from './events.ts';
import { pause, Problem } from './problem.ts';

export interface UploadOptions {
    /** Absent: the name of a File, else "file". */
    filename?: string;
    /** Absent: what the file says of itself, else what its name ends in says. */
    content_type?: string;
    /** Called with the bytes that are sent and all there are; a PUT that is tried again begins at 0. */
    progress?: (sent: number, total: number) => void;
    signal?: AbortSignal;
    /** The Idempotency-Key of the presign; the same makes one upload of two calls. */
    once?: string;
    /** How often each step is tried. */
    tries?: number;
    /** How long to wait for the check; beyond it a DOMException named TimeoutError is thrown. */
    timeout_ms?: number;
}

/** The file was checked and may not be used; `message` is the reason. */
export class UploadRejected extends Error {
    readonly media: Media;
    constructor(media: Media) {
        super(media.reason ?? 'the file was rejected');
        this.name = 'UploadRejected';
        this.media = media;
    }
}

type Send = (target: string, headers: Record<string, string>) => Promise<Response>;

export async function upload_file(kiln: Kiln, base: string, send: typeof fetch | undefined, file: Blob, options: UploadOptions): Promise<Media> {
    const { signal, tries = 5, timeout_ms = 600_000, progress } = options;
    const extra = signal ? { signal } : {};
    const filename = options.filename ?? ('name' in file && typeof file.name === 'string' ? file.name : 'file');
    const content_type = options.content_type ?? (file.type || type_by_name(filename));
    const once = options.once ?? random();
    const again = <T>(work: () => Promise<T>, also?: number): Promise<T> => repeat(work, { tries, signal, also });

    const place = await again(() => kiln.call('create_upload', { body: { filename, content_type, bytes: file.size }, once, ...extra }));
    const target = place.url.startsWith('/') ? `${base}${place.url}` : place.url;
    const put: Send = (url, headers) => (send === undefined && typeof XMLHttpRequest === 'function' ? by_xhr : by_fetch(send ?? fetch))(url, headers, file, progress, signal);
    try {
        // 409: the attempt before, whose link broke, is not over yet for the server.
        await again(async () => {
            const answer = await put(target, { ...place.headers });
            if (!answer.ok) throw await Problem.of(answer);
        }, 409);
    } catch (error) {
        // Or its bytes have come, and only the answer was lost: what follows tells.
        if (!(error instanceof Problem && error.status === 409)) throw error;
    }
    const path = { id: place.media_id };
    let media = await again(() => kiln.call('complete_upload', { path, ...extra }));
    const deadline = Date.now() + timeout_ms;
    for (let ms = 250; media.state === 'checking' || media.state === 'uploading'; ms = Math.min(5000, ms * 1.5)) {
        if (Date.now() + ms > deadline) throw new DOMException(`the upload ${place.media_id} was not checked within ${timeout_ms} ms`, 'TimeoutError');
        await pause(ms, signal);
        signal?.throwIfAborted();
        media = await again(() => kiln.call('get_upload', { path, ...extra }));
    }
    if (media.state === 'rejected') throw new UploadRejected(media);
    return media;
}

async function repeat<T>(work: () => Promise<T>, { tries, signal, also }: { tries: number; signal: AbortSignal | undefined; also: number | undefined }): Promise<T> {
    for (let failures = 1; ; failures++) {
        signal?.throwIfAborted();
        try {
            return await work();
        } catch (error) {
            const may_pass = error instanceof Problem ? error.status >= 500 || error.status === 408 || error.status === 429 || error.status === also : error instanceof TypeError;
            if (!may_pass || failures >= tries) throw error;
            const after = error instanceof Problem ? error.retry_after : undefined;
            await pause(after !== undefined ? after * 1000 : Math.random() * Math.min(10_000, 500 * 2 ** failures), signal);
        }
    }
}

/** In a browser: the one way there that tells how much was sent. */
function by_xhr(url: string, headers: Record<string, string>, file: Blob, progress: UploadOptions['progress'], signal: AbortSignal | undefined): Promise<Response> {
    return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        const abort = (): void => request.abort();
        request.open('PUT', url);
        // The length a browser sends by itself, and lets nobody else.
        for (const [name, value] of Object.entries(headers)) if (name.toLowerCase() !== 'content-length') request.setRequestHeader(name, value);
        if (progress) {
            progress(0, file.size);
            request.upload.onprogress = event => progress(event.loaded, file.size);
        }
        request.onload = () => {
            const named = ['Content-Type', 'Retry-After', 'X-Request-Id'].map((name): [string, string | null] => [name, request.getResponseHeader(name)]);
            const known = named.filter((pair): pair is [string, string] => pair[1] !== null);
            resolve(new Response(request.status === 204 ? null : request.responseText, { status: request.status, headers: known }));
        };
        request.onerror = () => reject(new TypeError('the bytes could not be sent'));
        request.onabort = () => reject(signal?.reason ?? new DOMException('aborted', 'AbortError'));
        request.onloadend = () => signal?.removeEventListener('abort', abort);
        signal?.addEventListener('abort', abort, { once: true });
        request.send(file);
    });
}

const PIECE_BYTES = 65536;

/** Elsewhere. Node counts what its stream was read for; its length is said, since a bucket takes no body without one. */
function by_fetch(send: typeof fetch) {
    return async (url: string, headers: Record<string, string>, file: Blob, progress: UploadOptions['progress'], signal: AbortSignal | undefined): Promise<Response> => {
        const has_streams = typeof window === 'undefined' && 'process' in globalThis;
        progress?.(0, file.size);
        if (!progress || !has_streams) {
            const { 'Content-Length': _, ...own } = headers;
            const answer = await send(url, { method: 'PUT', headers: own, body: file, signal: signal ?? null });
            progress?.(file.size, file.size);
            return answer;
        }
        let sent = 0;
        // In pieces of our own: Node gives a Blob's stream in one.
        const counted = new ReadableStream<Uint8Array>({
            async pull(controller) {
                const piece = new Uint8Array(await file.slice(sent, sent + PIECE_BYTES).arrayBuffer());
                if (piece.length > 0) controller.enqueue(piece);
                if (sent > 0) progress(sent, file.size);
                sent += piece.length;
                if (piece.length === 0) controller.close();
            },
        }, { highWaterMark: 0 });
        const init = { method: 'PUT', headers: { ...headers, 'Content-Length': String(file.size) }, body: counted, duplex: 'half', signal: signal ?? null };
        return send(url, init as RequestInit);
    };
}

/** A browser names no type for what its system does not know, such as HEIC; the server looks at the bytes anyway. */
function type_by_name(filename: string): string {
    const types: Record<string, string> = {
        jpg: 'image/jpeg', jpeg: 'image/jpeg', png: 'image/png', webp: 'image/webp', gif: 'image/gif', heic: 'image/heic', heif: 'image/heic', avif: 'image/avif',
        mp4: 'video/mp4', webm: 'video/webm', mov: 'video/quicktime', mp3: 'audio/mpeg', wav: 'audio/wav', ogg: 'audio/ogg', m4a: 'audio/mp4',
    };
    return types[filename.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'application/octet-stream';
}

/** crypto.randomUUID() is there on https only. */
function random(): string {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
}

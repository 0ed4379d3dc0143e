// Replicate's predictions: by version or by official model, get, cancel, Standard Webhooks. Paths with or without /v1.
import { begins, answer, told } from './behave.mjs';
import { Refusal, authorised, json_object, no_body, only_query, wrong_fields } from './check.mjs';
import { standard_headers, watch } from './webhooks.mjs';
import { setTimeout as pause } from 'node:timers/promises';

const detail = text => ({ title: 'Error', detail: text, status: 400 });
const words = { queued: 'starting', running: 'processing', done: 'succeeded', cancelled: 'canceled' };
const failed = new Set(['error', 'refused', 'nsfw']);
// What a model makes is read off its name; a version is the hash of nothing in particular.
const suffix_of = name => /wan|veo|kling|video|minimax\/video|hailuo/.test(name) ? 'mp4' : /audio|speech|music|kokoro|xtts|bark|tts/.test(name) ? 'wav' : /flux|imagen/.test(name) ? 'jpg' : 'png';
const kinds = { jpg: 'image', png: 'image', mp4: 'video', wav: 'audio' };

export class Replicate {
    constructor(fake) {
        this.fake = fake;
        this.book = fake.book;
        for (const request of this.book.requests.values()) if (request.api === 'replicate') this.follow(request);
    }

    async handle(req, res, url, text) {
        const path = url.pathname.replace(/^\/replicate(\/v1)?\//, '');
        authorised(req, 'Bearer', this.fake.keys.REPLICATE_API_TOKEN, detail);
        if (path === 'lookup') return this.fake.lookup(req, res, url, 'replicate', request => this.prediction(request));
        only_query(url, [], detail);
        const [, owner_name] = /^(?:models|deployments)\/([^/]+\/[^/]+)\/predictions$/.exec(path) ?? [];
        if (path === 'predictions' || owner_name) {
            if (req.method !== 'POST') throw new Refusal(405, `${req.method} ${path}`, detail('method not allowed'));
            return this.submit(req, res, text, owner_name);
        }
        const [, id, cancel] = /^predictions\/([^/]+)(\/cancel)?$/.exec(path) ?? [];
        const request = id && this.book.requests.get(decodeURIComponent(id));
        if (!request || request.api !== 'replicate') throw new Refusal(404, `no ${path}`, detail('not found'));
        if (req.method !== (cancel ? 'POST' : 'GET')) throw new Refusal(405, `${req.method} ${path}`, detail('method not allowed'));
        if (text && text !== '{}') no_body(text, detail);
        if (cancel) {
            const how = told(this.book, 'cancel', request);
            this.book.write({ is: 'count', id: request.id, of: 'cancels' });
            this.book.cancel(request);
            return answer(res, how, 200, this.prediction(request));
        }
        this.book.settle(request);
        this.book.write({ is: 'count', id: request.id, of: 'polls' });
        return answer(res, told(this.book, 'status', request), 200, this.prediction(request));
    }

    async submit(req, res, text, owner_name) {
        const body = json_object(req, text, detail);
        const wrong = wrong_fields({ ...body, input: undefined, webhook_events_filter: undefined }, `${owner_name ? '' : 'version! text, '}webhook url, input text, webhook_events_filter text`);
        const { input, webhook_events_filter: events = ['start', 'output', 'logs', 'completed'] } = body;
        if (input === null || typeof input !== 'object' || Array.isArray(input)) wrong.push({ name: 'input', msg: 'is no object' });
        else if (!Object.values(input).length) wrong.push({ name: 'input', msg: 'is empty' });
        if (body.version && !/^(([a-z0-9._-]+\/[a-z0-9._-]+:)?[0-9a-f]{64}|[a-z0-9._-]+\/[a-z0-9._-]+)$/.test(body.version)) wrong.push({ name: 'version', msg: 'is no version' });
        if (!Array.isArray(events) || !events.every(e => ['start', 'output', 'logs', 'completed'].includes(e))) wrong.push({ name: 'webhook_events_filter', msg: 'names no events' });
        if (/kiln-file-/.test(text)) wrong.push({ name: 'input', msg: 'a token instead of a file' });
        const prefer = req.headers.prefer;
        if (prefer !== undefined && !/^(respond-async|wait(=([1-9]|[1-5][0-9]|60))?)$/.test(prefer)) wrong.push({ name: 'Prefer', msg: prefer });
        if (wrong.length) throw new Refusal(422, wrong.map(w => `${w.name}: ${w.msg ?? w.type}`).join(), { title: 'Input validation failed', detail: wrong.map(w => `- ${w.name} ${w.msg}`).join('\n'), status: 422, invalid_fields: wrong });

        const model = owner_name ?? body.version.split(':')[0], prompt = input.prompt ?? input.text ?? '';
        const suffix = ({ png: 'png', jpg: 'jpg', jpeg: 'jpg' })[input.output_format] ?? suffix_of(model);
        const known = this.fake.known(req, 'replicate', text, detail);
        const how = told(this.book, 'submit', { api: 'replicate', endpoint: model, prompt });
        if (!known && !begins(how)) return answer(res, how, 503, detail('no'));
        const request = known ?? this.book.open({
            ...this.fake.begun(req, how, { api: 'replicate', endpoint: model, kind: kinds[suffix], suffix, prompt, text, webhook: body.webhook ?? null, count: input.num_outputs ?? 1 }),
            is_list: /flux|sdxl/.test(model), version: body.version ?? null, input, events,
        });
        if (!known) {
            this.book.settle(request);
            const told_first = this.follow(request);
            if (request.webhook_how?.before) await told_first;
        }
        const wait = /^wait(?:=(\d+))?$/.exec(prefer ?? '');
        for (const end = wait && Date.now() + Number(wait[1] ?? 60) * 1000; wait && Date.now() < end && /^(queued|running)$/.test(this.book.state(request));) await pause(20);
        return answer(res, how, wait && this.book.state(request) !== 'done' ? 202 : 201, this.prediction(request));
    }

    prediction(request, as) {
        const state = this.book.state(request), now = new Date().toISOString();
        const is_over = as ? as === 'done' : /^(done|cancelled)$/.test(state);
        const is_bad = is_over && state === 'done' && failed.has(request.end);
        const files = () => Array.from({ length: request.count }, (_, n) => this.fake.file_url(request, n));
        const url = `${this.fake.base}/replicate/v1/predictions/${encodeURIComponent(request.id)}`;
        return {
            id: request.id, model: request.endpoint, version: request.version ?? 'hidden', input: request.input, logs: '', data_removed: false,
            output: is_over && !is_bad && state !== 'cancelled' ? request.is_list ? files() : files()[0] : null,
            error: is_bad ? request.end === 'error' ? 'the model failed' : 'The input or output was flagged as sensitive. Please try again with different inputs. (E005)' : null,
            status: as && as !== 'done' ? words[as] : is_bad ? 'failed' : words[state],
            created_at: new Date(request.at).toISOString(), started_at: state === 'queued' ? null : new Date(request.starts_at).toISOString(), completed_at: is_over ? now : null,
            metrics: is_over ? { predict_time: request.run_ms / 1000 } : {}, urls: { get: url, cancel: `${url}/cancel` },
        };
    }

    follow(request) {
        return watch(this.book, request, standard_headers, r => [
            ...(r.events.includes('start') || r.webhook_how?.out_of_order ? [{ event: 'start', payload: this.prediction(r, 'running') }] : []),
            ...(r.events.includes('completed') ? [{ event: 'completed', payload: this.prediction(r, 'done') }] : []),
        ]);
    }
}

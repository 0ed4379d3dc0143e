// fal's queue API: submit, status, result, cancel, webhook. Paths of status, result and cancel name owner/app only.
import { begins, answer, told } from './behave.mjs';
import { Refusal, authorised, call_of, exact_seed, json_object, no_body, only_query, wrong_fields } from './check.mjs';
import { fal_headers, watch } from './webhooks.mjs';

const image = 'prompt! text, image_size size, num_inference_steps integer, guidance_scale number, num_images integer, seed seed, output_format jpeg|png, enable_safety_checker boolean, acceleration none|regular|high, sync_mode boolean';
const edit = 'aspect_ratio text, guidance_scale number, num_images integer, output_format jpeg|png|webp, safety_tolerance 1|2|3|4|5|6, seed seed, image_size size, max_images integer, num_inference_steps integer, lora_scale number, sync_mode boolean, enable_safety_checker boolean';
const video = 'num_frames integer, frames_per_second integer, resolution 480p|580p|720p|1080p, aspect_ratio text, num_inference_steps integer, guidance_scale number, negative_prompt text, seed seed, enable_safety_checker boolean';

// endpoint: what comes out, under which name, and what goes in.
const endpoints = {
    'fal-ai/flux/dev': ['images', 'jpg', image],
    'fal-ai/flux/schnell': ['images', 'jpg', image],
    'fal-ai/flux/dev/image-to-image': ['images', 'jpg', `${image}, image_url! url, strength number`],
    'fal-ai/flux-pro/kontext': ['images', 'jpg', `prompt! text, image_url! url, ${edit}`],
    'fal-ai/nano-banana': ['images', 'png', `prompt! text, ${edit}`],
    'fal-ai/nano-banana/edit': ['images', 'png', `prompt! text, image_urls! urls, ${edit}`],
    'fal-ai/bytedance/seedream/v4/edit': ['images', 'png', `prompt! text, image_urls! urls, ${edit}`],
    'fal-ai/bytedance/seedream/v4/text-to-image': ['images', 'png', `prompt! text, ${edit}`],
    'fal-ai/flux-2-lora-gallery/apartment-staging': ['images', 'png', `prompt! text, image_urls! urls, ${edit}`],
    'fal-ai/clarity-upscaler': ['image', 'png', 'image_url! url, prompt text, upscale_factor number, creativity number, resemblance number, seed seed'],
    'fal-ai/wan-i2v': ['video', 'mp4', `prompt! text, image_url! url, ${video}`],
    'fal-ai/wan/v2.2-a14b/text-to-video': ['video', 'mp4', `prompt! text, ${video}`],
    'fal-ai/wan/v2.7/text-to-video': ['video', 'mp4', `prompt! text, duration 2|3|4|5|6|7|8|9|10|11|12|13|14|15, ${video}`],
    'fal-ai/veo3': ['video', 'mp4', `prompt! text, duration 4s|6s|8s, generate_audio boolean, auto_fix boolean, ${video}`],
    'fal-ai/veo3/image-to-video': ['video', 'mp4', 'prompt! text, image_url! url, duration 4s|6s|8s, aspect_ratio auto|16:9|9:16, resolution 720p|1080p, generate_audio boolean, negative_prompt text'],
    'fal-ai/veo3/fast': ['video', 'mp4', `prompt! text, duration 4s|6s|8s, generate_audio boolean, auto_fix boolean, ${video}`],
    'fal-ai/veo3.1': ['video', 'mp4', `prompt! text, duration 4s|6s|8s, generate_audio boolean, auto_fix boolean, ${video}`],
    'fal-ai/veo3.1/fast': ['video', 'mp4', `prompt! text, duration 4s|6s|8s, generate_audio boolean, auto_fix boolean, ${video}`],
    'fal-ai/kling-video/v2.5-turbo/pro/image-to-video': ['video', 'mp4', 'prompt! text, image_url! url, duration 5|10, cfg_scale number, negative_prompt text, tail_image_url url'],
    'fal-ai/stable-audio': ['audio_file', 'wav', 'prompt! text, seconds_total number, seconds_start number, steps integer'],
    'fal-ai/stable-audio-25/text-to-audio': ['audio', 'wav', 'prompt! text, seconds_total number, num_inference_steps integer, guidance_scale number, seed seed'],
    'fal-ai/elevenlabs/tts/multilingual-v2': ['audio', 'mp3', 'text! text, voice text, stability number, similarity_boost number, speed number'],
    'fal-ai/elevenlabs/sound-effects/v2': ['audio', 'mp3', 'text! text, duration_seconds number, prompt_influence number, output_format text'],
    'fal-ai/kokoro/american-english': ['audio', 'wav', 'prompt text, voice text, speed number'],
};
const kinds = { jpg: 'image', png: 'image', mp4: 'video', wav: 'audio', mp3: 'audio' };
const words = { queued: 'IN_QUEUE', running: 'IN_PROGRESS', done: 'COMPLETED', cancelled: 'COMPLETED' };
const detail = text => ({ detail: text });
const app_of = endpoint => endpoint.split('/').slice(0, /^(workflows|comfy)\//.test(endpoint) ? 3 : 2).join('/');

export class Fal {
    constructor(fake) {
        this.fake = fake;
        this.book = fake.book;
        for (const request of this.book.requests.values()) if (request.api === 'fal') this.follow(request);
    }

    async handle(req, res, url, text) {
        const path = url.pathname.slice('/fal/'.length);
        if (path === '.well-known/jwks.json') return answer(res, told(this.book, 'jwks', { api: 'fal' }), 200, this.book.jwks);
        authorised(req, 'Key', this.fake.keys.FAL_KEY, detail);
        if (path === 'lookup') return this.fake.lookup(req, res, url, 'fal', request => this.accepted(request));
        const [, app, id, rest] = /^(.+?)\/requests\/([^/]+)(?:\/(status|cancel))?$/.exec(path) ?? [];
        if (!app) return req.method === 'POST' ? this.submit(req, res, url, text, path) : Promise.reject(new Refusal(405, `${req.method} ${path}`, detail('method not allowed')));
        const request = this.book.requests.get(decodeURIComponent(id));
        const method = rest === 'cancel' ? 'PUT' : 'GET';
        if (req.method !== method) throw new Refusal(405, `${req.method} of ${rest ?? 'the result'}`, detail('method not allowed'));
        if (!request || request.api !== 'fal') throw new Refusal(404, `no request ${id}`, rest === 'cancel' ? { status: 'NOT_FOUND' } : detail('request not found'));
        if (app !== app_of(request.endpoint)) throw new Refusal(404, `${rest ?? 'result'} of ${request.endpoint} was asked at ${app}`, detail('no such app'));
        if (text && text !== '{}') no_body(text, detail);
        only_query(url, rest === 'status' ? ['logs'] : [], detail);
        return this[rest ?? 'result'](res, request);
    }

    async submit(req, res, url, text, endpoint) {
        const [output, suffix, fields] = endpoints[decodeURIComponent(endpoint)] ?? [];
        if (!output) throw new Refusal(404, `no app ${endpoint}`, detail(`Application "${endpoint}" not found`));
        only_query(url, ['fal_webhook'], detail);
        const webhook = url.searchParams.get('fal_webhook');
        if (webhook !== null && !/^https?:\/\/[^ ]+$/.test(webhook)) throw new Refusal(422, `fal_webhook ${webhook}`, detail('fal_webhook is no URL'));
        if (/kiln-file-/.test(text)) throw new Refusal(422, 'a token instead of a file', detail('no file'));
        const body = json_object(req, text, detail);
        const wrong = wrong_fields(body, fields);
        if (wrong.length) throw new Refusal(422, wrong.map(w => `${w.name}: ${w.type}`).join(), { detail: wrong.map(w => ({ loc: ['body', w.name], msg: w.msg, type: w.type, url: `https://docs.fal.ai/errors#${w.type}` })) });

        const prompt = body.prompt ?? body.text ?? '';
        const known = this.fake.known(req, 'fal', text, detail);
        const how = told(this.book, 'submit', { api: 'fal', endpoint, prompt });
        if (!known && !begins(how)) return answer(res, how, 503, detail('no'));
        const request = known ?? this.book.open({
            ...this.fake.begun(req, how, { api: 'fal', endpoint, kind: kinds[suffix], output, suffix, prompt, text, webhook, count: body.num_images ?? 1, is_inline: body.sync_mode }),
            seed: exact_seed(text),
        });
        if (!known) {
            this.book.settle(request);
            const told_first = this.follow(request);
            if (request.webhook_how?.before) await told_first;
        }
        return answer(res, how, 200, this.accepted(request), { 'x-fal-request-id': encodeURIComponent(request.id) });
    }
    urls(request) {
        const base = `${this.fake.base}/fal/${app_of(request.endpoint)}/requests/${encodeURIComponent(request.id)}`;
        return { response_url: base, status_url: `${base}/status`, cancel_url: `${base}/cancel` };
    }
    accepted(request) {
        return { status: 'IN_QUEUE', request_id: request.id, ...this.urls(request), queue_position: 0, ...(request.webhook ? { gateway_request_id: request.id } : {}) };
    }

    status(res, request) {
        this.book.settle(request);
        this.book.write({ is: 'count', id: request.id, of: 'polls' });
        const state = this.book.state(request);
        const more = state === 'queued' ? { queue_position: 3 } : state === 'running' ? { logs: null } : { logs: null, metrics: { inference_time: request.run_ms / 1000 } };
        if (state === 'cancelled') Object.assign(more, { error: 'The request was cancelled', error_type: 'client_cancelled' });
        else if (state === 'done' && request.end === 'error') Object.assign(more, { error: 'the model failed', error_type: 'runner_server_error' });
        return answer(res, told(this.book, 'status', request), /^(done|cancelled)$/.test(state) ? 200 : 202, { status: words[state], request_id: request.id, ...this.urls(request), ...more });
    }

    /** What the result's GET answers: [status, body, headers]. */
    outcome(request) {
        if (this.book.state(request) === 'cancelled') return [499, { detail: 'The request was cancelled', error_type: 'client_cancelled' }, { 'X-Fal-Error-Type': 'client_cancelled' }];
        if (request.end === 'refused') return [422, { detail: [{ loc: ['body', 'prompt'], msg: 'The prompt was refused.', type: 'content_policy_violation', url: 'https://docs.fal.ai/errors#content_policy_violation' }] }, { 'X-Fal-Retryable': 'false' }];
        if (request.end === 'error') return [500, { detail: 'the model failed', error_type: 'runner_server_error' }, { 'X-Fal-Error-Type': 'runner_server_error' }];
        const file = n => ({ url: this.fake.file_url(request, n), content_type: this.fake.type_of(request), file_name: `${n}.${request.suffix}`, file_size: this.fake.file(request, n).length, ...(request.kind === 'image' ? { width: 64, height: 48 } : {}) });
        const list = Array.from({ length: request.count }, (_, n) => file(n));
        const flags = request.kind === 'image' ? { has_nsfw_concepts: list.map(() => request.end === 'nsfw'), prompt: request.prompt, timings: { inference: 0.5 } } : {};
        return [200, { [request.output]: request.output === 'images' ? list : list[0], ...(request.seed ? { seed: `\0${request.seed}\0` } : {}), ...flags }];
    }
    result(res, request) {
        const state = this.book.state(request);
        if (/^(queued|running)$/.test(state)) throw new Refusal(400, 'the result was asked for too early', detail('Request is still in progress'));
        this.book.write({ is: 'count', id: request.id, of: 'fetched' });
        const [status, body, headers] = this.outcome(request);
        const how = told(this.book, 'result', request);
        return answer(res, how, status, exact({ ...body, ...how.set }), { 'Content-Type': 'application/json', ...headers });
    }
    cancel(res, request) {
        const how = told(this.book, 'cancel', request);
        this.book.write({ is: 'count', id: request.id, of: 'cancels' });
        const before = this.book.cancel(request);
        if (before === 'queued') return answer(res, how, 200, { status: 'OK' });
        if (before === 'running') return answer(res, how, 202, { status: 'CANCELLATION_REQUESTED' });
        return answer(res, how, 400, { status: 'ALREADY_COMPLETED' });
    }

    follow(request) {
        return watch(this.book, request, fal_headers, r => {
            const [status, body] = this.outcome(r);
            const good = { event: 'ok', payload: { request_id: r.id, gateway_request_id: r.id, status: 'OK', error: null, payload: unexact(body) } };
            const bad = { event: 'error', payload: { request_id: r.id, gateway_request_id: this.book.uuid('gateway', r.id), status: 'ERROR', error: `Invalid status code: ${status === 200 ? 500 : status}`, payload: status === 200 ? detail('an earlier try') : unexact(body) } };
            return status !== 200 ? [bad] : r.webhook_how?.out_of_order ? [bad, good] : [good];
        });
    }
}

// A seed beyond 2^53 goes out with all its digits.
const exact = body => Buffer.from(JSON.stringify(body).replace(/"\\u0000([\d.eE+-]+)\\u0000"/g, '$1'));
const unexact = body => JSON.parse(JSON.stringify(body).replace(/"\\u0000([\d.eE+-]+)\\u0000"/g, '$1'));

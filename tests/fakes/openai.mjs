// OpenAI's images and speech, as many servers speak them: one request, one reply, which carries the result. Paths with or without /v1.
import { begins, answer, told } from './behave.mjs';
import { Refusal, authorised, json_object, only_query, wrong_fields } from './check.mjs';
import { setTimeout as pause } from 'node:timers/promises';

const error = (message, code = null, type = 'invalid_request_error') => ({ error: { message, type, param: null, code } });
const sizes = 'auto|256x256|512x512|1024x1024|1536x1024|1024x1536|1792x1024|1024x1792';
const fields = {
    'images/generations': `prompt! text, model text, n integer, size ${sizes}, quality auto|low|medium|high|standard|hd, background transparent|opaque|auto, output_format png|jpeg|webp, output_compression integer, moderation low|auto, response_format url|b64_json, style vivid|natural, user text`,
    'audio/speech': 'model! text, input! text, voice! alloy|ash|ballad|coral|echo|sage|shimmer|verse|marin|cedar|fable|onyx|nova, instructions text, response_format mp3|wav|opus|aac|flac|pcm, speed number',
};

export class OpenAI {
    constructor(fake) { this.fake = fake; this.book = fake.book; }

    async handle(req, res, url, text) {
        const path = url.pathname.replace(/^\/openai(\/v1)?\//, '');
        authorised(req, 'Bearer', this.fake.keys.OPENAI_API_KEY, error);
        if (path === 'lookup') return this.fake.lookup(req, res, url, 'openai', request => ({ id: request.id }));
        if (!fields[path]) throw new Refusal(404, `no ${path}`, error('Unknown request URL', 'unknown_url'));
        if (req.method !== 'POST') throw new Refusal(405, `${req.method} ${path}`, error('method not allowed'));
        only_query(url, [], error);
        const body = json_object(req, text, error);
        const wrong = wrong_fields(body, fields[path]);
        if (/^gpt-image/.test(body.model) && body.response_format) wrong.push({ name: 'response_format', type: 'unknown_parameter' });
        if (path === 'audio/speech' && body.input?.length > 4096) wrong.push({ name: 'input', type: 'string_above_max_length' });
        if (wrong.length) throw new Refusal(400, wrong.map(w => `${w.name}: ${w.type}`).join(), error(`Invalid '${wrong[0].name}'`, wrong[0].type));

        const prompt = body.prompt ?? body.input, is_speech = path === 'audio/speech';
        const suffix = is_speech ? body.response_format === 'wav' ? 'wav' : 'mp3' : body.output_format === 'jpeg' ? 'jpg' : 'png';
        const known = this.fake.known(req, 'openai', text, error);
        const how = told(this.book, 'submit', { api: 'openai', endpoint: path, prompt });
        if (how.end === 'refused') return answer(res, { ...how, status: undefined }, 400, error('Your request was rejected by the safety system.', 'moderation_blocked', 'image_generation_user_error'));
        if (how.end === 'error') return answer(res, how, 500, error('The server had an error', null, 'server_error'));
        if (!known && !begins(how)) return answer(res, how, 503, error('no'));
        const request = known ?? this.book.open(this.fake.begun(req, how, { api: 'openai', endpoint: path, kind: is_speech ? 'audio' : 'image', suffix, prompt, text, webhook: null, count: body.n ?? 1 }));
        this.book.settle(request);
        while (Date.now() < request.ends_at && !res.destroyed) await pause(20);
        const file = n => this.fake.file(request, n);
        if (is_speech) return answer(res, how, 200, file(0), { 'Content-Type': this.fake.type_of(request), 'x-request-id': encodeURIComponent(request.id) });
        const data = Array.from({ length: request.count }, (_, n) => body.response_format === 'url' ? { url: this.fake.file_url(request, n) } : { b64_json: file(n).toString('base64') });
        return answer(res, how, 200, { created: Math.floor(request.at / 1000), data, output_format: body.output_format ?? 'png', usage: { input_tokens: 10, output_tokens: 100, total_tokens: 110 } }, { 'x-request-id': encodeURIComponent(request.id) });
    }
}

// Strict reading of requests: whatever is not as the provider documents it is refused with a 4xx and stands in the bill as malformed.

/** A refusal; `body` is the provider's own shape of an error. */
export class Refusal extends Error {
    constructor(status, why, body) { super(why); Object.assign(this, { status, body }); }
}

const is = {
    text: v => typeof v === 'string' && v.length > 0,
    url: v => typeof v === 'string' && /^(https?:\/\/|data:[a-z]+\/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+=*$)/.test(v),
    urls: v => Array.isArray(v) && v.length > 0 && v.every(is.url),
    integer: v => Number.isInteger(v),
    seed: v => Number.isInteger(v) && v >= 0,
    number: v => typeof v === 'number',
    boolean: v => typeof v === 'boolean',
    size: v => ['square_hd', 'square', 'portrait_4_3', 'portrait_16_9', 'landscape_4_3', 'landscape_16_9'].includes(v)
        || (v !== null && typeof v === 'object' && Object.keys(v).sort().join() === 'height,width' && is.integer(v.width) && is.integer(v.height)),
};

/** fields: "prompt! text, seed seed, output_format jpeg|png": `!` is needed, `|` is one of these words. */
export function wrong_fields(body, fields) {
    const wrong = [], rules = new Map(fields.split(/,\s*/).map(field => { const [name, kind] = field.split(' '); return [name.replace('!', ''), { kind, is_needed: name.endsWith('!') }]; }));
    for (const [name, { kind, is_needed }] of rules) {
        if (body[name] === undefined) { if (is_needed) wrong.push({ name, type: 'missing', msg: 'Field required' }); continue; }
        const is_good = kind.includes('|') ? kind.split('|').includes(body[name]) : is[kind](body[name]);
        if (!is_good) wrong.push({ name, type: 'value_error', msg: `Input should be ${kind}` });
    }
    for (const name of Object.keys(body)) if (!rules.has(name)) wrong.push({ name, type: 'extra_forbidden', msg: 'Extra inputs are not permitted' });
    return wrong;
}

/** The request's JSON object; integers beyond 2^53 are kept in `exact`. */
export function json_object(req, text, body_of) {
    if (!/^application\/json(;\s*charset=utf-8)?$/i.test(req.headers['content-type'] ?? '')) throw new Refusal(415, `content type ${req.headers['content-type']}`, body_of('send application/json'));
    let value;
    try { value = JSON.parse(text); } catch { throw new Refusal(400, 'the body is no JSON', body_of('malformed JSON')); }
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Refusal(422, 'the body is no object', body_of('an object, please'));
    return value;
}

export function authorised(req, scheme, key, body_of) {
    if (req.headers.authorization !== `${scheme} ${key}`) throw new Refusal(401, `authorization ${req.headers.authorization === undefined ? 'is missing' : `"${req.headers.authorization.split(' ')[0]} …" is not "${scheme} <the key>"`}`, body_of('bad key'));
}

export function only_query(url, names, body_of) {
    for (const name of url.searchParams.keys()) if (!names.includes(name)) throw new Refusal(400, `query "${name}"`, body_of(`unknown parameter ${name}`));
}
export function no_body(text, body_of) { if (text) throw new Refusal(400, 'a body where none belongs', body_of('no body, please')); }

/** Where our own name for the request stands: a header of ours, or the webhook's URL. */
export const call_of = (req, webhook) => req.headers['x-client-reference'] ?? webhook ?? null;

/** The seed as it was written, since 2^53 is not the end of integers. */
export const exact_seed = text => /"seed"\s*:\s*(\d+)/.exec(text)?.[1];

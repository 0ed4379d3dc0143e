// How the fake provider misbehaves: rules that are set by POST /_behave and looked up at each request, and the one function that answers
// under a rule. A rule: {"name" of those below and/or "do": {…}, "match": {"api", "endpoint", "phase", "prompt" (a text in it)},
// "times": the next N that match, "skip": but not the first N, "share": of those, by the seed}. All rules that match are laid over one another,
// the later over the earlier.
//
// do, at phase submit (also status, result, cancel, lookup, file, jwks where it makes sense):
//   wait_ms            before the answer          drop             no answer, the link is reset      hang          no answer, the link stays
//   status, headers, body  this answer instead    set              fields laid over the JSON answer   text          these bytes as body
//   edit: [[from, to]]  in the text of the answer, JSON or not        mark: true       a byte order mark in front of it
//   accept: false      nothing is begun (an answer ≥ 400 begins nothing unless it says accept: true)   charge: true, false  against the rule
//   queue_ms, run_ms   how long it waits and runs                 end: ok, error, refused, nsfw       id: the request's id
//   cancel: "ignore"   the cancel is heard and does nothing       drip_ms, drip_bytes                 the body in drops
// at phase file, moreover:
//   break_at, is_resumable: false   the link breaks at that byte each time (Range is honoured unless told)    type, length   a lie
//   serve: "empty" "text" "html" "truncated" "huge-png" "bomb-png" "gzip-bomb" "big"        redirect: a URL
// at phase webhook (decided when the request is accepted):
//   never, before (the reply), delay_ms, times, forge: "key" "body" "time", out_of_order
import { setTimeout as pause } from 'node:timers/promises';

export const named = {
    'drop': { phase: 'submit', do: { accept: false, drop: true } },
    'accept-then-drop': { phase: 'submit', do: { drop: true } },
    'charge-then-500': { phase: 'submit', do: { accept: true, charge: true, status: 500, body: { detail: 'internal error' } } },
    'charge-then-silence': { phase: 'submit', do: { accept: true, charge: true, hang: true } },
    'answer-late': { phase: 'submit', do: { wait_ms: 3000 } },
    'busy': { phase: 'submit', do: { status: 429, body: { detail: 'too many requests' } } },
    'busy-until': { phase: 'submit', do: { status: 429, headers: { 'Retry-After': '1' }, body: { detail: 'too many requests' } } },
    'unavailable': { phase: 'submit', do: { status: 503, headers: { 'X-Fal-Error-Type': 'runner_scheduling_failure' }, body: { detail: 'no runner', error_type: 'runner_scheduling_failure' } } },
    'refuse': { phase: 'submit', do: { end: 'refused' } },
    'fail': { phase: 'submit', do: { end: 'error' } },
    'nsfw': { phase: 'submit', do: { end: 'nsfw' } },
    'slow': { phase: 'submit', do: { run_ms: 2000 } },
    'queue-long': { phase: 'submit', do: { queue_ms: 3600_000 } },
    'odd-id': { phase: 'submit', do: { id: 'a b/../ü?x=1&y=%2F#"\'z' } },
    'drip': { phase: 'submit', do: { drip_ms: 200, drip_bytes: 4 } },
    'no-json': { phase: 'submit', do: { text: '<html>Bad Gateway</html>' } },
    'json-mark': { phase: 'submit', do: { mark: true } },
    'json-half-pair': { phase: 'result', do: { edit: [['"prompt":"', '"prompt":"\\ud83d']] } },
    'json-nan': { phase: 'result', do: { edit: [['"inference":0.5', '"inference":NaN,"overhead":-Infinity']] } },
    'result-empty': { phase: 'result', do: { set: { images: [] } } },
    'result-null': { phase: 'result', do: { set: { images: null } } },
    'result-page': { phase: 'result', do: { text: '<!doctype html><title>Just a moment</title>', type: 'text/html' } },
    'result-odd-address': { phase: 'result', do: { edit: [['.png"', '.png?name=a b é {x}"']] } },
    'no-polls': { phase: 'status', do: { status: 503, body: { detail: 'no polls today' } } },
    'polls-hang': { phase: 'status', do: { hang: true } },
    'no-webhooks': { phase: 'webhook', do: { never: true } },
    'webhook-first': { phase: 'webhook', do: { before: true } },
    'webhook-twice': { phase: 'webhook', do: { times: 2 } },
    'webhook-late': { phase: 'webhook', do: { delay_ms: 1500 } },
    'webhook-forged-key': { phase: 'webhook', do: { forge: 'key' } },
    'webhook-forged-body': { phase: 'webhook', do: { forge: 'body' } },
    'webhook-old': { phase: 'webhook', do: { forge: 'time' } },
    'webhook-out-of-order': { phase: 'webhook', do: { out_of_order: true } },
    'file-gone': { phase: 'file', do: { status: 404, body: { detail: 'gone' } } },
    'file-forbidden': { phase: 'file', do: { status: 403, body: { detail: 'forbidden' } } },
    'file-breaks': { phase: 'file', do: { break_at: 100 } },
    'file-breaks-for-good': { phase: 'file', do: { break_at: 100, is_resumable: false } },
    'file-lies-about-type': { phase: 'file', do: { serve: 'html', type: 'image/png' } },
    'file-lies-about-length': { phase: 'file', do: { length: 1_000_000 } },
    'file-empty': { phase: 'file', do: { serve: 'empty' } },
    'file-truncated': { phase: 'file', do: { serve: 'truncated' } },
    'file-huge': { phase: 'file', do: { serve: 'huge-png' } },
    'file-bomb': { phase: 'file', do: { serve: 'bomb-png' } },
    'file-gzip-bomb': { phase: 'file', do: { serve: 'gzip-bomb' } },
    'file-big': { phase: 'file', do: { serve: 'big' } },
    'file-drips': { phase: 'file', do: { drip_ms: 100, drip_bytes: 16 } },
};

export function add_rule(book, rule) {
    if (rule.name !== undefined && !named[rule.name]) throw new Error(`no behaviour "${rule.name}": ${Object.keys(named).join(', ')}`);
    const known = named[rule.name] ?? {};
    const match = { ...(known.phase ? { phase: known.phase } : {}), ...rule.match };
    return book.write({ is: 'rule', id: book.rules.length + 1, name: rule.name, match, times: rule.times, skip: rule.skip ?? 0, share: rule.share, do: { ...known.do, ...rule.do } });
}

/** What the rules say to do now; what they count is counted. */
export function told(book, phase, { api, endpoint = '', prompt = '' }) {
    const how = {};
    for (const rule of book.rules) {
        const { match } = rule;
        if ((match.phase ?? 'submit') !== phase || (match.api && match.api !== api) || (match.endpoint && match.endpoint !== endpoint)) continue;
        if (match.prompt && !prompt.includes(match.prompt)) continue;
        if (rule.times !== undefined && rule.used >= rule.times) continue;
        const is_met = rule.met >= rule.skip && (rule.share === undefined || book.number('share', rule.id, rule.met) < rule.share);
        book.write({ is: 'used', id: rule.id, used: rule.used + (is_met ? 1 : 0), met: rule.met + 1 });
        if (is_met) Object.assign(how, rule.do);
    }
    return how;
}

/** Does the rule let the request begin? */
export const begins = how => how.accept ?? !(how.status >= 400);

/** Answers under a rule. `body`: an object (JSON), a Buffer or a text. */
export async function answer(res, how, status, body, headers = {}) {
    if (how.wait_ms) await pause(how.wait_ms);
    if (res.destroyed || res.socket?.destroyed) return;
    if (how.drop) { res.socket.resetAndDestroy(); return; }
    if (how.hang) return;
    if (how.redirect) { res.writeHead(302, { Location: how.redirect }).end(); return; }
    if (how.status != null && how.status !== status) { status = how.status; body = how.body ?? { detail: 'as told' }; }
    if (how.set && typeof body === 'object' && !Buffer.isBuffer(body)) body = { ...body, ...how.set };
    const type = Buffer.isBuffer(body) ? 'application/octet-stream' : typeof body === 'string' ? 'text/html' : 'application/json';
    let bytes = how.text !== undefined ? Buffer.from(how.text) : Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    if (how.edit || how.mark) bytes = Buffer.from((how.mark ? '\ufeff' : '') + (how.edit ?? []).reduce((all, [from, to]) => all.replaceAll(from, to), bytes.toString()));
    const all = { 'Content-Type': type, 'Content-Length': bytes.length, ...headers, ...how.headers };
    if (how.type) all['Content-Type'] = how.type;
    if (how.length !== undefined) all['Content-Length'] = how.length;
    res.strictContentLength = false;
    res.writeHead(status, all);
    const is_cut = how.break_at !== undefined || (how.length ?? 0) > bytes.length;
    if (how.break_at !== undefined) bytes = bytes.subarray(0, how.break_at);
    if (how.drip_ms) {
        for (let at = 0; at < bytes.length && !res.destroyed; at += how.drip_bytes ?? 1) {
            res.write(bytes.subarray(at, at + (how.drip_bytes ?? 1)));
            await pause(how.drip_ms);
        }
        res.end();
    } else if (is_cut) {
        res.write(bytes, () => setTimeout(() => res.socket?.destroy(), 20));
    } else {
        res.end(bytes);
    }
}

// Requests made up from docs/openapi.json: right ones, nearly right ones, and such as nobody would send.
//
//   const make = new Generator(seed, description, { ids: ['1', '2'], words: ['local'] });
//   make.request(operation)  →  { method, target, headers, body }; the same seed makes the same ones
import { resolve } from './description.mjs';

const hostile = [
    '', ' ', '\t', 'null', 'true', '0', '-1', '1e400', 'NaN', '[object Object]', '__proto__', 'constructor', '\'', '"', '\\', '\\u0000', '%', '%00', '%zz', '%c3%28', '../../etc/passwd', '..%2f..%2f',
    "'; drop table kiln.job; --", "' or '1'='1", '$1', '$$', '{{7*7}}', '${jndi:ldap://x}', '<script>alert(1)</script>', '&amp;', 'a\r\nX-Evil: 1', '\u0000', '\u0001\u001f\u007f', '\ufeff', '\u202e', '\ud800', '\udfff\ud800',
    'é', 'e\u0301', 'İ', 'ß', '日本語', '👩‍👩‍👧‍👦', '𝕏', 'ﷺ', '\u{10ffff}', 'ا'.repeat(100), '9223372036854775807', '9223372036854775808', '99999999999999999999999999', '0x10', '1.5', '1_000', '٣', '01', '+1',
    'a'.repeat(255), 'a'.repeat(256), 'x'.repeat(2001), 'y'.repeat(16001), 'infinity', '-infinity', 'now', 'epoch', '294277-01-01T00:00:00Z', '2026-02-30T00:00:00Z', '0000-00-00T00:00:00Z', '2026-01-01T00:00:00+99:99',
    'http://[::1', 'https://user:pass@host/', 'javascript:alert(1)', 'https://example.com/\u0000', 'data:text/plain,x', '(((((((', '*:*', '&|!', 'a & ! b', '{}', '[]', '{"a":1}', '\\x41', 'MTIz', 'kiln', 'admin',
];
const numbers = [0, -0, 1, -1, 2, 7, 100, 101, 255, 256, 32767, 32768, 2147483647, 2147483648, -2147483649, 4294967296, 9007199254740991, 9007199254740993, 1e18, 9.3e18, 1e30, 1e308, -1e308, 0.1, 1.5, 1e-300];

export class Generator {
    constructor(seed, description, { ids, words, links = [] }) {
        Object.assign(this, { state: seed >>> 0, api: description.api, ids, words, links });
    }
    /** 0 ≤ x < 1 (mulberry32). */
    random() {
        let t = (this.state = (this.state + 0x6d2b79f5) >>> 0);
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    }
    chance(p) { return this.random() < p; }
    below(n) { return Math.floor(this.random() * n); }
    one(list) { return list[this.below(list.length)]; }

    /** Anything that JSON can hold. */
    anything(depth = 0) {
        switch (this.below(depth > 3 ? 5 : 8)) {
            case 0: return null;
            case 1: return this.chance(0.5);
            case 2: return this.one(numbers);
            case 3: return this.one(hostile);
            case 4: return this.one([...this.ids, ...this.words]);
            case 5: return Array.from({ length: this.one([0, 1, 2, 13, 101]) }, () => this.anything(depth + 3));
            case 6: return Object.fromEntries(Array.from({ length: this.below(4) }, () => [this.one(hostile), this.anything(depth + 1)]));
            default: { let deep = this.one([1, 'x', {}]); for (let i = this.one([5, 50, 500]); i > 0; i--) deep = this.chance(0.5) ? [deep] : { a: deep }; return deep; }
        }
    }
    /** What a schema allows, mostly. */
    fitting(schema, depth = 0) {
        if (schema === true || schema === undefined) return this.anything();
        const name = schema.$ref?.split('/').at(-1);
        if (name === 'Id') return this.one(this.ids);
        if (name === 'Time') return '2030-01-02T03:04:05Z';
        const is = schema.$ref ? resolve(this.api, schema) : schema;
        if ('const' in is) return is.const;
        if (is.enum) return this.one(is.enum);
        if (is.anyOf ?? is.oneOf) return this.fitting(this.one(is.anyOf ?? is.oneOf), depth);
        const type = this.one([is.type].flat());
        if (type === 'object') {
            const share = this.one([0, 0.3, 0.8]);
            const fields = Object.entries(is.properties ?? {}).filter(([key]) => is.required?.includes(key) || this.chance(share));
            if (!is.properties) return this.chance(0.5) ? {} : { [this.one(this.words)]: this.anything(3) };
            return Object.fromEntries(fields.map(([key, field]) => [key, this.fitting(field, depth + 1)]));
        }
        if (type === 'array') return Array.from({ length: Math.max(is.minItems ?? 0, this.one([0, 1, 1, 2, is.maxItems ?? 3])) }, () => this.fitting(is.items, depth + 1));
        if (type === 'integer' || type === 'number') return this.one([is.minimum ?? 1, is.maximum ?? 10, is.default ?? 3, Math.floor(((is.minimum ?? 0) + (is.maximum ?? 100)) / 2)]);
        if (type === 'boolean') return this.chance(0.5);
        if (type === 'null') return null;
        const text = this.one([...this.words, ...this.ids, 'a word', 'Über 日本 👩‍👩‍👧‍👦', '2030-01-02T03:04:05Z', 'https://example.com/hook']);
        return is.maxLength !== undefined && this.chance(0.2) ? 'm'.repeat(is.maxLength) : text;
    }
    /** The same with one thing wrong. */
    nearly(schema) {
        const value = this.fitting(schema);
        const places = [];
        (function walk(at) {
            if (at !== null && typeof at === 'object') for (const key of Object.keys(at)) { places.push([at, key]); walk(at[key]); }
        })(value);
        if (value === null || typeof value !== 'object' || !places.length || this.chance(0.1)) return this.anything();
        const [at, key] = this.one(places);
        switch (this.below(6)) {
            case 0: if (Array.isArray(at)) at.splice(key, 1); else delete at[key]; break;
            case 1: at[key] = this.anything(); break;
            case 2: at[key] = this.one(hostile); break;
            case 3: at[key] = typeof at[key] === 'number' ? this.one(numbers) : this.one([null, true, 0, [], {}]); break;
            case 4: if (Array.isArray(at)) at.push(at[key], at[key]); else at[this.one([`${key}_`, '__proto__', '/', '~', '', 'a'.repeat(300)])] = at[key]; break;
            default: at[key] = typeof at[key] === 'string' ? at[key].repeat(this.one([2, 100, 3000])) : [at[key]];
        }
        return value;
    }

    escaped(value) {
        const text = typeof value === 'string' ? value : JSON.stringify(value) ?? '';
        if (this.chance(0.03)) return text.replace(/[^!-~]|[?#]/g, '%').slice(0, 200) || '%';      // not escaped, or badly
        return encodeURIComponent(text.toWellFormed?.() ?? text.replace(/[\ud800-\udfff]/g, '')).slice(0, 3000);
    }
    parameter(parameter) {
        return this.chance(0.75) ? this.fitting(parameter.schema) : this.one(hostile);
    }
    target({ template, parameters }) {
        let target = template;
        for (const parameter of parameters.filter(one => one.in === 'path')) {
            const value = parameter.schema.$ref ? (this.chance(0.85) ? this.one(this.ids) : this.one(hostile)) : this.chance(0.7) ? this.one(this.words) : this.one(hostile);
            target = target.replace(`{${parameter.name}}`, this.escaped(value) || '%20');
        }
        const query = parameters.filter(one => one.in === 'query' && (one.required ? this.chance(0.9) : this.chance(0.4)))
            .map(one => `${one.name}=${one.name === 'timeout' ? this.one(['0', '00', 'x', '-1', '51', '1e1']) : this.escaped(this.parameter(one))}`);
        if (template.endsWith('/events/poll') && !query.some(one => one.startsWith('timeout='))) query.push('timeout=0');
        if (query.length && this.chance(0.03)) query.push(this.one(query));
        if (this.chance(0.02)) query.push(this.one(['=', '&', 'a', '%', `${'q'.repeat(3000)}=1`, '%00=1', 'limit=%31%30']));
        return query.length ? `${target}?${query.join('&')}` : target;
    }
    body(content) {
        const type = this.one(Object.keys(content));
        const { schema } = content[type];
        if (type === '*/*') return { type: this.one(['image/png', 'application/json', 'text/plain']), text: this.chance(0.5) ? JSON.stringify(this.anything()) : this.one(hostile) };
        if (type.startsWith('multipart/')) {
            const parts = Object.entries(this.fitting(schema)).flatMap(([key, value]) => [value].flat().map(each => `--b\r\nContent-Disposition: form-data; name="${key}"${key === 'medias' ? '; filename="a.png"\r\nContent-Type: image/png' : ''}\r\n\r\n${each}\r\n`));
            return { type: this.one([`${type}; boundary=b`, `${type}; boundary=b`, type, `${type}; boundary=`]), text: `${parts.join('')}${this.chance(0.8) ? '--b--\r\n' : ''}` };
        }
        const kind = this.random();
        if (kind < 0.45) return { type, text: JSON.stringify(this.fitting(schema)) };
        if (kind < 0.82) return { type, text: JSON.stringify(this.nearly(schema)) };
        if (kind < 0.9) return { type, text: JSON.stringify(this.anything()) };
        if (kind < 0.95) return { type, text: this.one(['', '{', '[1,]', '{"a":1}}', 'nul', '{"a":1,"a":2}', '"\\ud800"', '{"prompt":"\\u0000"}', `{"a":${'['.repeat(5000)}`, '\u0000', '{"a":\u0000}', '1e999999', '{"a":-1e999}', '\ufeff{}']) };
        if (kind < 0.99) return { type: this.one(['text/plain', 'application/xml', 'application/json; charset=utf-16', 'application/jsonx', '', 'multipart/form-data']), text: JSON.stringify(this.fitting(schema)) };
        return { type, text: JSON.stringify({ prompt: 'z'.repeat(this.one([70000, 1048500, 1100000])) }) };
    }
    /** `tokens`: header sets, the first the one that may most. */
    request(route, tokens) {
        const method = this.chance(0.02) ? this.one(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) : route.method;
        const link = /\/media\/\{id\}$/.test(route.template) && this.chance(0.6) && this.links.length ? this.one(this.links) : undefined;
        const headers = { ...(this.chance(0.8) ? tokens[0] : this.one(tokens)) };
        if (this.chance(0.2)) headers['Idempotency-Key'] = this.one(['k1', 'k2', 'k3', 'k'.repeat(256), ' ']);
        if (this.chance(0.02)) headers['X-Request-Id'] = this.one(['short', 'good-request-id', 'x'.repeat(200), 'a b c d e f g']);
        if (link && this.chance(0.3)) headers.Range = this.one(['bytes=0-0', 'bytes=5-', 'bytes=-5', 'bytes=9-1', 'bytes=99999999-', 'bytes=0-0,2-3', 'lines=1-2', 'bytes=18446744073709551616-']);
        const body = route.operation.requestBody && !['GET', 'HEAD'].includes(method) && this.chance(0.97) ? this.body(route.operation.requestBody.content) : undefined;
        if (body?.type) headers['Content-Type'] = body.type;
        if (body) headers['Content-Length'] = String(Buffer.byteLength(body.text));
        return { method, target: link ? this.chance(0.7) ? link : link.slice(0, -1 - this.below(5)) : this.target(route), headers, body: body?.text };
    }
}

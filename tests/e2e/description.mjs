// What the server answers: docs/openapi.json, and whether an answer that was received keeps to it.
import fs from 'node:fs';
import path from 'node:path';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

export const api = JSON.parse(fs.readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));
const methods = ['get', 'put', 'post', 'delete', 'patch'];
const pointer = (...keys) => keys.map(key => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** A described thing, behind its $ref if it is one. */
export const resolve = (description, thing) => (thing.$ref ? thing.$ref.slice(2).split('/').reduce((at, key) => at[key.replaceAll('~1', '/').replaceAll('~0', '~')], description) : thing);

/** The path as it is sent: URL would make slashes of backslashes, and resolve dots. */
export const path_of = target => target.replace(/^http:\/\/[^/]*/, '').split('?')[0];

/** A description made ready for holding answers against it. */
export class Description {
    constructor(description) {
        this.api = description;
        this.ajv = addFormats(new Ajv2020({ allErrors: true, allowUnionTypes: true, strictRequired: true, validateSchema: false }));
        this.ajv.addVocabulary(['x-kiln-event', 'openapi', 'info', 'servers', 'tags', 'paths', 'components']).addSchema(description, 'api');
        this.operations = Object.entries(description.paths).flatMap(([template, item]) => methods.filter(method => item[method]).map(method => {
            const parameters = (item[method].parameters ?? []).map(parameter => resolve(description, parameter));
            const has_slashes = parameters.some(parameter => parameter['x-kiln-slashes']);
            return { method: method.toUpperCase(), template, parameters, operation: item[method],
                fits: new RegExp(`^${template.replaceAll('.', '\\.').replace(/\{\w+\}/, has_slashes ? '.+' : '[^/]+')}$`) };
        }));
        this.literal = this.operations.slice().sort((a, b) => a.template.includes('{') - b.template.includes('{'));
    }

    /** The operation of a request; HEAD has that of GET. */
    find(method, pathname) {
        return this.literal.find(each => each.method === (method === 'HEAD' ? 'GET' : method) && each.fits.test(pathname));
    }

    /** The validator of what stands at these keys. */
    validator(...keys) { return this.ajv.getSchema(`api#${encodeURI(pointer(...keys)).replaceAll('#', '%23')}`); }

    /** What is wrong with an answer, with its route, status and path in the body; nothing: undefined. */
    faults(method, target, { status, headers, text = '', json, is_stream = false }) {
        const pathname = path_of(target);
        const by_library = headers['x-request-id'] === undefined && [400, 413, 431, 505].includes(status);
        if (by_library) return undefined;       // libmicrohttpd refused it before it was a request: docs/errors.md
        const route = this.find(method, pathname);
        const name = `${method} ${route?.template ?? pathname}: ${status}`;
        const at = route && route.operation.responses[status] ? ['paths', route.template, route.method.toLowerCase(), 'responses', status]
            : !route && status === 404 ? ['components', 'responses', 'NotFound'] : status === 405 && !route ? ['components', 'responses', 'NoMethod'] : undefined;
        if (!at) return `${name}, which docs/openapi.json does not describe${route ? ': add the status to the operation\'s responses, or mend the server' : ' (no such route)'}; the answer was ${text.slice(0, 500)}`;
        const said = at.reduce((part, key) => part[key], this.api);
        const where = said.$ref ? said.$ref.slice(2).split('/') : at;
        const response = resolve(this.api, said);
        const missing = Object.entries(response.headers ?? {}).filter(([, header]) => resolve(this.api, header).required).map(([key]) => key).filter(key => headers[key.toLowerCase()] === undefined);
        if (missing.length) return `${name}: the headers ${missing.join(', ')} are described and missing`;
        if (is_stream) return this.faults_of_type(name, response, headers);
        if (method === 'HEAD' || !response.content) return text ? `${name} has a body, and none is described: ${text.slice(0, 200)}` : undefined;
        const wrong_type = this.faults_of_type(name, response, headers);
        if (wrong_type) return wrong_type;
        const type = headers['content-type'].split(';')[0];
        if (!/json$/.test(type)) return undefined;
        const validate = this.validator(...where, 'content', type, 'schema');
        if (validate(json)) return undefined;
        const errors = validate.errors.slice(0, 8).map(error => `${error.instancePath || '/'} ${error.message}${error.params.additionalProperty ? ` (${error.params.additionalProperty})` : ''}${error.params.allowedValues ? ` (${error.params.allowedValues})` : ''}`);
        return `${name} does not keep to ${where.at(-1) === String(status) || where.at(-1) === status ? 'its schema' : where.at(-1)} in docs/openapi.json: ${[...new Set(errors)].join('; ')} in ${text.slice(0, 2000)}`;
    }
    faults_of_type(name, response, headers) {
        const type = (headers['content-type'] ?? '').split(';')[0];
        return response.content[type] || response.content['*/*'] && type ? undefined : `${name} has the type ${JSON.stringify(type)}, not ${Object.keys(response.content).join(' or ')}`;
    }
}

export const description = new Description(api);

// --- in every test -------------------------------------------------------------------------------------------------------

const found = [];
const seen = new Set();
if (process.env.TEST_API_SEEN) process.on('exit', () => fs.writeFileSync(path.join(process.env.TEST_API_SEEN, String(process.pid)), [...seen, ''].join('\n')));

/** Looks at an answer that a test got; what is wrong with it fails that test (lib.mjs: until(), after each test, Kiln.end()). */
export function check(method, target, answer, has_all_routes = true) {
    const route = description.find(method, path_of(target));
    if (route && method !== 'HEAD') seen.add(`${route.method} ${route.template} ${answer.status}`);
    if (!has_all_routes && answer.status === 404 && answer.json?.detail === 'There is nothing at this path.') return;
    const wrong = description.faults(method, target, answer);
    if (wrong && found.length < 20) found.push(wrong);
}
export function fail_if_wrong() {
    if (found.length) throw new Error(`answers that do not keep to docs/openapi.json:\n${found.splice(0).join('\n')}`);
}

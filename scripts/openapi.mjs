#!/usr/bin/env node
// openapi: docs/openapi.json looked through, and a folder to publish it from.
//
//   scripts/openapi.mjs            makes build/docs: the page of docs/api.html, its script and the descriptions
//   scripts/openapi.mjs --check    changes nothing; says what is wrong with the description or the page
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const api = JSON.parse(fs.readFileSync(path.join(root, 'docs/openapi.json'), 'utf8'));
const methods = ['get', 'put', 'post', 'patch', 'delete'];
const resolve = thing => (thing?.$ref ? at(thing.$ref) : thing);
const operations = Object.entries(api.paths).flatMap(([route, item]) => Object.keys(item).map(method => ({ method, route, ...item[method] })));

function at(ref) {
    const found = ref.slice(2).split('/').reduce((thing, key) => thing?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], api);
    if (!ref.startsWith('#/') || found === undefined) throw new Error(`docs/openapi.json: ${ref} leads nowhere`);
    return found;
}

// --- what must hold of it as an OpenAPI file, besides what tests/e2e/openapi.test.mjs asks of it -------------------------

function mistakes() {
    const said = [];
    const say = (is_right, sentence) => { if (!is_right) said.push(`docs/openapi.json: ${sentence}`); };
    JSON.stringify(api, (key, value) => { if (key === '$ref') at(value); return value; });
    say(/^3\.1\.\d+$/.test(api.openapi), 'openapi is 3.1');
    for (const operation of operations) {
        const name = `${operation.method.toUpperCase()} ${operation.route}`;
        say(methods.includes(operation.method), `${name}: no such method`);
        for (const key of ['operationId', 'summary', 'description', 'tags', 'responses', 'security']) say(operation[key] !== undefined, `${name} has no ${key}`);
        for (const tag of operation.tags ?? []) say(api.tags.some(each => each.name === tag), `${name}: the tag ${tag} is not among the tags`);
        for (const scheme of (operation.security ?? []).flatMap(Object.keys)) say(api.components.securitySchemes[scheme], `${name}: no security scheme ${scheme}`);
        const parameters = (operation.parameters ?? []).map(resolve);
        const keys = parameters.map(each => `${each.in} ${each.name}`);
        say(new Set(keys).size === keys.length, `${name} has a parameter twice`);
        for (const each of parameters) say(each.schema && each.description && (each.in !== 'path' || each.required), `${name}: the parameter ${each.name} needs schema, description and, in a path, required`);
        say(!(operation.method === 'get' && operation.requestBody), `${name} has a body`);
        for (const [status, response] of Object.entries(operation.responses ?? {})) say(/^[1-5]\d\d$/.test(status) && resolve(response).description, `${name}: ${status} has no description`);
    }
    const { default: Ajv } = createRequire(path.join(root, 'tests/package.json'))('ajv/dist/2020.js');
    const ajv = new Ajv({ strict: false, validateFormats: false });
    for (const [name, schema] of Object.entries(api.components.schemas)) say(ajv.validateSchema(schema), `${name} is no JSON Schema: ${ajv.errorsText()}`);
    return said;
}

const is_check = process.argv[2] === '--check';
const page = fs.readFileSync(path.join(root, 'docs/api.html'), 'utf8');
const wrong = mistakes();
const version = /^version=(\S+)$/m.exec(fs.readFileSync(path.join(root, 'scripts/vendor.sh'), 'utf8'))[1];
if (!page.includes(`src="docs/scalar.js?v=${version}"`)) wrong.push(`docs/api.html names its script docs/scalar.js?v=${version}, the version of scripts/vendor.sh`);
for (const sentence of wrong) console.log(sentence);
if (wrong.length) {
    process.exitCode = 1;
} else if (!is_check) {
    // A folder for any web server that serves files: the same page, whose policy has no nonce, since nobody makes one for each answer.
    const published = path.join(root, 'build/docs');
    const policy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'";
    fs.mkdirSync(path.join(published, 'docs'), { recursive: true });
    fs.writeFileSync(path.join(published, 'index.html'), page.replaceAll(' nonce="{{nonce}}"', '').replace('<meta charset="utf-8">', `$&\n<meta http-equiv="Content-Security-Policy" content="${policy}">`));
    fs.writeFileSync(path.join(published, 'docs/scalar.js'), gunzipSync(fs.readFileSync(path.join(root, 'third_party/scalar/api-reference.js.gz'))));
    for (const name of ['openapi.json', 'events.schema.json']) fs.copyFileSync(path.join(root, 'docs', name), path.join(published, name));
    console.log('build/docs is ready to be published');
}

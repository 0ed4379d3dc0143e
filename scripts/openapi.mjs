#!/usr/bin/env node
// openapi: docs/openapi.json looked through, and the page that shows it.
//
//   scripts/openapi.mjs            writes docs/api.html (which the server answers at /api/v1/docs), and build/docs for publishing
//   scripts/openapi.mjs --check    changes nothing; says what is wrong with the description, and whether the page is stale
//
// The page is HTML and CSS alone: it asks for nothing, from nobody, and its policy forbids that it could.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const api = JSON.parse(fs.readFileSync(path.join(root, 'docs/openapi.json'), 'utf8'));
const methods = ['get', 'put', 'post', 'patch', 'delete'];
const resolve = thing => (thing?.$ref ? at(thing.$ref) : thing);
const name_of = thing => thing?.$ref?.split('/').at(-1);
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

// --- an example of anything ------------------------------------------------------------------------------------------------

const words = { Id: '42', Time: '2026-01-02T03:04:05.678Z', Currency: 'USD', MediaUrl: `/api/v1/media/42?exp=1767323045&sig=${'0'.repeat(64)}` };
function example(schema, depth = 0) {
    if (schema === true || schema === undefined) return {};
    if (schema.$ref && words[name_of(schema)]) return words[name_of(schema)];
    const is = { ...resolve(schema), ...(schema.$ref ? {} : schema) };
    if (is.examples) return is.examples[0];
    if ('const' in is) return is.const;
    if (is.enum) return is.enum[0];
    if (is.anyOf ?? is.oneOf) return example((is.anyOf ?? is.oneOf)[0], depth);
    const type = Array.isArray(is.type) ? is.type[0] : is.type;
    if (type === 'object') return Object.fromEntries(Object.entries(is.properties ?? {}).filter(([key]) => is.required?.includes(key) || depth < 1).map(([key, field]) => [key, example(field, depth + 1)]));
    if (type === 'array') return depth > 4 ? [] : [example(is.items, depth + 1)];
    if (type === 'integer' || type === 'number') return is.minimum ?? 0;
    if (type === 'boolean') return false;
    if (type === 'null') return null;
    return is.format === 'date-time' ? words.Time : is.pattern?.startsWith('^[1-9]') ? '42' : '…';
}

// --- the page ----------------------------------------------------------------------------------------------------------------

const escape = text => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const slug = text => text.toLowerCase().replace(/[^a-z0-9]+/g, '-');
const code = text => `<code>${escape(text)}</code>`;

/** A schema's type in a few words, with links. */
function type_of(schema) {
    if (schema === true) return 'anything';
    if (schema.$ref) return `<a href="#schema-${name_of(schema)}">${name_of(schema)}</a>`;
    if ('const' in schema) return code(JSON.stringify(schema.const));
    if (schema.enum) return schema.enum.map(value => code(JSON.stringify(value))).join(' ');
    const parts = schema.anyOf ?? schema.oneOf;
    if (parts) return parts.map(type_of).join(' or ');
    if (schema.items) return `array of ${type_of(schema.items)}${Array.isArray(schema.type) ? ' or null' : ''}`;
    const bounds = [['minimum', 'from'], ['maximum', 'to'], ['minLength', 'at least'], ['maxLength', 'at most'], ['maxItems', 'at most']].filter(([key]) => key in schema).map(([key, word]) => ` ${word} ${schema[key]}`).join('');
    return `${[schema.type].flat().join(' or ')}${bounds}${schema.pattern ? ` ${code(schema.pattern)}` : ''}`;
}

function table(caption, heads, rows) {
    return rows.length ? `<table><caption>${caption}</caption><thead><tr>${heads.map(head => `<th scope="col">${head}</th>`).join('')}</tr></thead><tbody>${rows.map(([first, ...more]) => `<tr><th scope="row">${first}</th>${more.map(cell => `<td>${cell}</td>`).join('')}</tr>`).join('\n')}</tbody></table>` : '';
}

function fields(schema) {
    return table('Fields', ['Name', 'Type', 'What it is'], Object.entries(schema.properties ?? {}).map(([key, field]) => [
        `${code(key)}${schema.required?.includes(key) ? '' : ' <small>optional</small>'}`,
        field.properties ? `object${fields(field)}` : type_of(field), escape(field.description ?? resolve(field).description ?? '')]));
}

const shown = value => `<pre tabindex="0"><code>${escape(JSON.stringify(value, null, 2))}</code></pre>`;
const who = { bearer: 'a token', key: 'an API key', ticket: 'a ticket', link: 'a signed link' };
function content(body) {
    return Object.entries(body.content ?? {}).map(([type, { schema }]) => `${code(type)} ${schema ? type_of(schema) : ''}`).join('<br>');
}

function show_operation(operation) {
    const parameters = (operation.parameters ?? []).map(resolve);
    const body = operation.requestBody;
    const json = body?.content['application/json']?.schema;
    const good = Object.values(operation.responses).map(resolve).map(response => response.content?.['application/json']?.schema).find(Boolean);
    return `<article id="${operation.operationId}"><h3><span class="method">${operation.method.toUpperCase()}</span> ${code(operation.route)}</h3>
<p>${escape(operation.summary)}.${operation.security.length ? ` Needs ${operation.security.flatMap(Object.keys).map(key => who[key]).join(' or ')}.` : ' Open to anyone.'}</p>
${table('Parameters', ['Name', 'Where', 'Type', 'What it is'], parameters.map(each => [`${code(each.name)}${each.required ? '' : ' <small>optional</small>'}`, each.in, type_of(each.schema), escape(each.description)]))}
${body ? `<p>Body: ${content(body)}${body.required ? '' : ' <small>optional</small>'}</p>` : ''}
${table('Answers', ['Status', 'Body', 'When'], Object.entries(operation.responses).map(([status, response]) => [status, content(resolve(response)) || 'none', escape(resolve(response).description)]))}
${json || good ? `<details><summary>Example of ${escape(operation.summary.toLowerCase())}</summary>${json ? `<p>Request</p>${shown(example(json))}` : ''}${good ? `<p>Answer</p>${shown(example(good))}` : ''}</details>` : ''}
</article>`;
}

const css = `:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 20%,transparent)}
body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;max-width:75rem;padding:1rem}
a{color:LinkText}.skip{position:absolute;left:-99rem}.skip:focus{left:1rem}
nav ul{columns:18rem;padding-left:1rem}article{border-top:1px solid var(--line);margin-top:1.5rem}
h3{overflow-wrap:anywhere}.method{border:1px solid;border-radius:.25rem;font-size:.8em;padding:0 .4em}
table{border-collapse:collapse;display:block;margin:1rem 0;overflow-x:auto}caption{font-weight:600;text-align:left}
th,td{border-bottom:1px solid var(--line);padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top}th[scope=row]{font-weight:400}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}pre{border:1px solid var(--line);overflow-x:auto;padding:.8rem}
:focus-visible{outline:3px solid Highlight}`;

function page() {
    const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(css).digest('base64')}'; base-uri 'none'; form-action 'none'`;
    const schemas = Object.entries(api.components.schemas);
    return `<!DOCTYPE html>
<!-- Made by make docs from docs/openapi.json; do not edit. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width">
<title>${escape(api.info.title)}: the API</title>
<style>${css}</style>
</head>
<body>
<a class="skip" href="#routes">Skip to the routes</a>
<header><h1>${escape(api.info.title)}: the API</h1>
<p>${escape(api.info.description)}</p>
<p>The same for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p></header>
<nav aria-label="Contents"><h2>Contents</h2><ul>
${api.tags.map(tag => `<li><a href="#${slug(tag.name)}">${escape(tag.name)}</a></li>`).join('\n')}
<li><a href="#schemas">Schemas</a></li></ul></nav>
<main id="routes">
${api.tags.map(tag => `<section><h2 id="${slug(tag.name)}">${escape(tag.name)}</h2><p>${escape(tag.description)}</p>
${operations.filter(operation => operation.tags[0] === tag.name).map(show_operation).join('\n')}</section>`).join('\n')}
<section><h2 id="schemas">Schemas</h2>
${schemas.map(([name, schema]) => `<article id="schema-${name}"><h3>${name}</h3><p>${escape(schema.description ?? '')}</p>
${schema.properties ? fields(schema) : `<p>${type_of(schema)}</p>`}</article>`).join('\n')}</section>
</main>
</body>
</html>
`;
}

const is_check = process.argv[2] === '--check';
const wrong = mistakes();
for (const sentence of wrong) console.log(sentence);
const file = path.join(root, 'docs/api.html');
const text = page();
const is_fresh = fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text;
if (wrong.length) {
    process.exitCode = 1;
} else if (is_check && !is_fresh) {
    console.log('docs/api.html does not show docs/openapi.json as it is: make docs');
    process.exitCode = 1;
} else if (!is_check) {
    if (!is_fresh) {
        fs.writeFileSync(file, text);
        console.log('docs/api.html written');
    }
    const published = path.join(root, 'build/docs');
    fs.mkdirSync(published, { recursive: true });
    fs.copyFileSync(file, path.join(published, 'index.html'));
    for (const name of ['openapi.json', 'events.schema.json']) fs.copyFileSync(path.join(root, 'docs', name), path.join(published, name));
    console.log('build/docs is ready to be published');
}

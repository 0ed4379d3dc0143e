#!/usr/bin/env node
// types: what is made from docs/events.schema.json and docs/openapi.json.
//
//   scripts/types.mjs            writes clients/ts/events.ts, the list of types in docs/event-types.md, and the events among the schemas
//                                of docs/openapi.json, which is kept by hand otherwise and here only laid out anew; then from that
//                                clients/ts/api.ts
//   scripts/types.mjs --check    changes nothing; says which of them is stale
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { layout } from './json.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { compile } = createRequire(path.join(root, 'tests/package.json'))('json-schema-to-typescript');
const schema = JSON.parse(fs.readFileSync(path.join(root, 'docs/events.schema.json'), 'utf8'));
const types = schema.oneOf.map(({ $ref }) => $ref.replace('#/$defs/', ''));

/** TypeScript: an interface for each type, their union, and a map from a type's name to its interface. */
async function typescript() {
    const made = await compile(structuredClone(schema), 'KilnEvent', { bannerComment: '// Made by `make types` from docs/events.schema.json; do not edit.', style: { singleQuote: true, tabWidth: 4, printWidth: 150 } });
    const map = types.map(type => `    '${type}': ${schema.$defs[type].title};`).join('\n');
    return `${made}\n/** The event of each type. */\nexport interface KilnEvents {\n${map}\n}\nexport type KilnEventType = keyof KilnEvents;\n`;
}

/** A sentence in lines of at most 110 columns. */
function folded(text) {
    const lines = [''];
    for (const word of text.split(' ')) {
        if (lines.at(-1).length + word.length >= 110) lines.push(word);
        else lines[lines.length - 1] += (lines.at(-1) ? ' ' : '') + word;
    }
    return lines.join('\n');
}

/** docs/event-types.md with its list of types, between the marks, made anew. */
function page(text) {
    const list = types.map(type => {
        const { description, examples } = schema.$defs[type];
        return `## ${type}\n\n${folded(description)}\n\n\`\`\`json\n${JSON.stringify(examples[0])}\n\`\`\`\n`;
    }).join('\n');
    return text.replace(/(<!-- types -->\n)[\s\S]*(<!-- end of types -->)/, (_, from, to) => `${from}\n${list}\n${to}`);
}

/** docs/openapi.json with the events and what they hold (Person, Media, Message, …) among its schemas, under their titles. */
function description(text) {
    const api = JSON.parse(text);
    const name = key => schema.$defs[key].title;
    const moved = value => JSON.parse(JSON.stringify(value).replace(/"#\/\$defs\/([^"]+)"/g, (_, key) => `"#/components/schemas/${name(key)}"`));
    const { title, description, oneOf } = schema;
    const own = Object.entries(api.components.schemas).filter(([key, value]) => !value['x-kiln-event']);
    const of_events = [[title, { description, oneOf }],
        ...Object.keys(schema.$defs).map(key => [name(key), schema.$defs[key]])];
    for (const [key] of of_events) if (own.some(([other]) => other === key)) throw new Error(`docs/openapi.json has a schema ${key} of its own, and docs/events.schema.json too`);
    api.components.schemas = Object.fromEntries([...own, ...of_events.map(([key, value]) => [key, { 'x-kiln-event': true, ...moved(value) }])]);
    return layout(api);
}

/** clients/ts/api.ts: the schemas that are no events', and of each operation what it takes and gives. */
async function client(text) {
    const api = JSON.parse(text);
    const title = ref => ref.split('/').at(-1);
    const resolved = thing => (thing.$ref ? thing.$ref.slice(2).split('/').reduce((at, key) => at[key.replaceAll('~1', '/').replaceAll('~0', '~')], api) : thing);
    const is_event = name => api.components.schemas[name]['x-kiln-event'];
    const imported = new Set();
    // An event's schema stands in events.ts: here it is a name.
    const definitions = JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(api.components.schemas).filter(([name]) => !is_event(name))), (key, value) => {
        // A part of a form that is a file.
        if (value?.contentMediaType && value.type === 'string') return { tsType: 'Blob', ...(value.description ? { description: value.description } : {}) };
        if (!value?.$ref) return value;
        if (!is_event(title(value.$ref))) return { ...value, $ref: value.$ref.replace('#/components/schemas/', '#/$defs/') };
        imported.add(title(value.$ref));
        return { tsType: title(value.$ref), ...(value.description ? { description: value.description } : {}) };
    }));
    const types = (await compile({ title: 'Schemas', type: 'object', properties: {}, additionalProperties: false, $defs: definitions }, 'Schemas',
        { bannerComment: '', unreachableDefinitions: true, additionalProperties: false, style: { singleQuote: true, tabWidth: 4, printWidth: 150 } }))
        .replace(/export interface Schemas \{\}\n/, '').replace(/(?: \*\n)? \* This interface was referenced by `Schemas`'s JSON-Schema\n \* via the `definition` "\w+"\.\n/g, '').replaceAll('/**\n */\n', '');
    const type_of = schema => {
        if (schema === undefined || schema === true) return 'unknown';
        if (schema.$ref) {
            if (is_event(title(schema.$ref))) imported.add(title(schema.$ref));
            return title(schema.$ref);
        }
        if (schema.anyOf) return schema.anyOf.map(type_of).join(' | ');
        if (schema.enum) return schema.enum.map(value => `'${value}'`).join(' | ');
        return { integer: 'number', number: 'number', string: 'string', boolean: 'boolean' }[schema.type] ?? 'unknown';
    };
    const operations = Object.entries(api.paths).flatMap(([route, item]) => Object.entries(item).map(([method, operation]) => {
        const parameters = (operation.parameters ?? []).map(resolved);
        const object = kind => parameters.filter(each => each.in === kind).map(each => `${each.name}${each.required ? '' : '?'}: ${type_of(each.schema)}`).join('; ');
        const of_type = { 'application/json': ({ schema }) => type_of(schema), 'multipart/form-data': () => 'FormData' };
        const body = Object.entries(operation.requestBody?.content ?? {}).map(([type, part]) => of_type[type]?.(part) ?? 'BodyInit').join(' | ');
        const good = Object.entries(operation.responses).find(([status]) => status < '300')[1];
        const content = resolved(good).content;
        const answer = content?.['application/json'] ? type_of(content['application/json'].schema) : content ? 'Response' : 'undefined';
        return { ...operation, method: method.toUpperCase(), route, takes: [['path', object('path')], ['query', object('query')]].filter(([, fields]) => fields)
            .map(([key, fields]) => `${key}${key === 'query' && !parameters.some(each => each.in === 'query' && each.required) ? '?' : ''}: { ${fields} }`)
            .concat(operation.requestBody ? [`body${operation.requestBody.required ? '' : '?'}: ${body}`] : [], parameters.some(each => each.name === 'Idempotency-Key') ? ['once?: string'] : []), answer };
    }));
    const signatures = operations.map(each => `    /**\n     * ${each.method} ${each.route}: ${each.summary}.\n     *\n     * ${each.description.replaceAll('*/', '*\\/')}\n     */\n    ${each.operationId}: { takes: { ${each.takes.join('; ')} }; gives: ${each.answer} };`).join('\n');
    const routes = operations.map(each => `    ${each.operationId}: ['${each.method}', '${each.route}'],`).join('\n');
    return `// Made by \`make types\` from docs/openapi.json; do not edit.\nimport type { ${[...imported].sort().join(', ')} } from './events.ts';\n${types}
/** What each operation takes (once: the Idempotency-Key) and gives. */\nexport interface Operations {\n${signatures.replaceAll('{  }', '{}')}\n}\n
/** Where each operation is. */\nexport const routes = {\n${routes}\n} as const satisfies Record<keyof Operations, readonly [string, string]>;\n`;
}

const api = description(fs.readFileSync(path.join(root, 'docs/openapi.json'), 'utf8'));
const made = [
    ['clients/ts/events.ts', await typescript()],
    ['docs/openapi.json', api],
    ['clients/ts/api.ts', await client(api)],
    ['docs/event-types.md', page(fs.readFileSync(path.join(root, 'docs/event-types.md'), 'utf8'))],
];
const is_check = process.argv[2] === '--check';
for (const [name, text] of made) {
    const file = path.join(root, name);
    if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text) continue;
    if (is_check) {
        console.log(`${name} is not what docs/events.schema.json and docs/openapi.json make of it, or is laid out otherwise: make types`);
        process.exitCode = 1;
    } else {
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
        console.log(`${name} written`);
    }
}

#!/usr/bin/env node
// types: what is made from docs/events.schema.json.
//
//   scripts/types.mjs            writes clients/ts/events.ts, the list of types in docs/events.md, and the events among the schemas
//                                of docs/openapi.json, which is kept by hand otherwise and here only laid out anew
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

/** docs/events.md with its list of types, between the marks, made anew. */
function page(text) {
    const list = types.map(type => {
        const { description, examples } = schema.$defs[type];
        return `### ${type}\n\n${description}\n\n\`\`\`json\n${JSON.stringify(examples[0])}\n\`\`\`\n`;
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

const made = [
    ['clients/ts/events.ts', await typescript()],
    ['docs/openapi.json', description(fs.readFileSync(path.join(root, 'docs/openapi.json'), 'utf8'))],
    ['docs/events.md', page(fs.readFileSync(path.join(root, 'docs/events.md'), 'utf8'))],
];
const is_check = process.argv[2] === '--check';
for (const [name, text] of made) {
    const file = path.join(root, name);
    if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text) continue;
    if (is_check) {
        console.log(`${name} is not what docs/events.schema.json makes of it, or is laid out otherwise: make types`);
        process.exitCode = 1;
    } else {
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
        console.log(`${name} written`);
    }
}

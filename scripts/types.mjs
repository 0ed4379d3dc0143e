#!/usr/bin/env node
// types: what is made from docs/events.schema.json.
//
//   scripts/types.mjs            writes clients/ts/events.ts and the list of types in docs/events.md
//   scripts/types.mjs --check    changes nothing; says which of them is stale
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

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

const made = [
    ['clients/ts/events.ts', await typescript()],
    ['docs/events.md', page(fs.readFileSync(path.join(root, 'docs/events.md'), 'utf8'))],
];
const is_check = process.argv[2] === '--check';
for (const [name, text] of made) {
    const file = path.join(root, name);
    if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text) continue;
    if (is_check) {
        console.log(`${name} is not what docs/events.schema.json makes of it: make types`);
        process.exitCode = 1;
    } else {
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
        console.log(`${name} written`);
    }
}

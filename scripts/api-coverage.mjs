#!/usr/bin/env node
// api-coverage: docs/api-coverage.md from what a run of the tests saw (tests/e2e/description.mjs leaves a file a test, a line
// "METHOD ROUTE STATUS" each, in the folder TEST_API_SEEN).
//
//   scripts/api-coverage.mjs FOLDER PAGE
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder, page] = process.argv.slice(2);
const api = JSON.parse(fs.readFileSync(path.join(path.dirname(fileURLToPath(import.meta.url)), '../docs/openapi.json'), 'utf8'));
const seen = new Set(fs.readdirSync(folder).flatMap(file => fs.readFileSync(path.join(folder, file), 'utf8').split('\n')));
const rows = [];
let described = 0, met = 0, open = 0;
for (const [route, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
        const name = `${method.toUpperCase()} ${route}`;
        const statuses = Object.keys(operation.responses);
        const tested = statuses.filter(status => seen.has(`${name} ${status}`));
        described += statuses.length;
        met += tested.length;
        if (!tested.some(status => status < '400')) open++;
        rows.push(`| \`${name}\` | ${tested.join(' ') || 'none'} | ${statuses.filter(status => !tested.includes(status)).join(' ')} |`);
    }
}
fs.writeFileSync(page, `# What of the API the tests have seen

Made by \`make api-coverage\` from a run of the end-to-end tests; do not edit. Each answer that
counts here was checked against its schema in [openapi.json](openapi.json) when it arrived. Most answers that
are missing are ones that every route can give and one test covers: 400 of a broken body, 413, 415, 429 of the
account's rate, 503 without a database.

${rows.length} routes, ${open} of them without an answer of success; ${met} of ${described} described answers were seen.

| route | tested | described, not met |
| --- | --- | --- |
${rows.join('\n')}
`);
console.log(`${page} written: ${met} of ${described} described answers were seen`);

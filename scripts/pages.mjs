#!/usr/bin/env node
// pages: what holds for every page of documentation. Changes nothing; says where a page breaks it.
//
//   - a line has at most 110 columns, but for rows of tables and text in code blocks that cannot be broken;
//   - a page has at most 1,500 words besides its tables, but for the glossary (one list) and pages that are made
//     (their first lines say by what);
//   - a link to a file, and to a heading in it, leads somewhere;
//   - docs/README.md names every page of docs/.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const most_columns = 110;
const most_words = 1500;
const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', '*.md'], { cwd: root, encoding: 'utf8' });
const pages = listed.split('\n').filter(name => name && !name.startsWith('third_party/') && fs.existsSync(path.join(root, name)));
const faults = [];

/** The lines of a page that are neither in a code block nor rows of a table, with their numbers. */
function prose(text) {
    let is_code = false;
    return text.split('\n').map((line, at) => ({ line, number: at + 1 })).filter(({ line }) => {
        if (line.trimStart().startsWith('```')) {
            is_code = !is_code;
            return false;
        }
        return !is_code && !line.trimStart().startsWith('|');
    });
}

/** A heading's anchor as forges make it. */
const anchor = heading => heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replace(/\s/g, '-');
const anchors = file => new Set(prose(fs.readFileSync(file, 'utf8')).map(({ line }) => /^#+ (.*)$/.exec(line)?.[1]).filter(Boolean).map(anchor));

for (const name of pages) {
    const text = fs.readFileSync(path.join(root, name), 'utf8');
    const is_made = /^(?:Made|Written) by `make/m.test(text.slice(0, 600));
    const lines = prose(text);
    for (const { line, number } of lines) {
        const columns = [...line].length;
        if (columns > most_columns && /\s/.test(line.trim())) faults.push(`${name}:${number}: ${columns} columns; ${most_columns} is the most`);
    }
    const words = text.split('\n').filter(line => !line.startsWith('|')).join(' ').split(/\s+/).filter(Boolean).length;
    if (!is_made && name !== 'docs/glossary.md' && words > most_words) faults.push(`${name}: ${words} words; ${most_words} is the most: split it`);
    for (const { line, number } of [...lines, ...text.split('\n').map((each, at) => ({ line: each, number: at + 1 })).filter(each => each.line.startsWith('|'))]) {
        for (const [, target] of line.matchAll(/\]\(([^)\s]+)\)/g)) {
            if (/^[a-z]+:/.test(target)) continue;
            const [to, heading] = target.split('#');
            const file = to ? path.resolve(root, path.dirname(name), to) : path.join(root, name);
            if (!fs.existsSync(file)) faults.push(`${name}:${number}: there is no ${target}`);
            else if (heading && !anchors(file).has(heading)) faults.push(`${name}:${number}: ${to || name} has no heading #${heading}`);
        }
    }
}

const contents = fs.readFileSync(path.join(root, 'docs/README.md'), 'utf8');
for (const name of pages.filter(each => /^docs\/[^/]+\.md$/.test(each) && each !== 'docs/README.md')) {
    if (!contents.includes(`](${path.basename(name)})`)) faults.push(`docs/README.md does not name ${name}`);
}

for (const fault of faults) console.log(fault);
process.exitCode = faults.length ? 1 : 0;

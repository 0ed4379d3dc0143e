#!/usr/bin/env node
// pictures: the terminal pictures of README.md, drawn from real output.
//
//   scripts/pictures.mjs        runs `make demo` and then psql on a stack of its own in build/pictures, and writes
//                               docs/pictures/demo.svg and docs/pictures/psql.svg
//
// An SVG holds the text itself: it stays small, sharp at every size, and a change shows in a diff.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const home = 'build/pictures';
const columns = 100;
const place = path.join(root, 'docs/pictures');

const port = await new Promise(resolve => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
        const found = server.address().port;
        server.close(() => resolve(String(found)));
    });
});
const env = { ...process.env, KILN_HOME: home, KILN_PORT: port, COLUMNS: String(columns) };

/** What a command writes to a terminal; `may_fail` where the picture shows a refusal. */
function shown(command, { may_fail = false } = {}) {
    const line = `stty cols ${columns}; ${command}`;
    const { stdout, status } = spawnSync('script', ['-qefc', line, '/dev/null'], { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 26 });
    if (status !== 0 && !may_fail) throw new Error(`${command}: exit ${status}\n${stdout}`);
    return stdout.replaceAll('\r\n', '\n').replaceAll(`${root}/`, '').replace(/\n+$/, '').split('\n');
}

const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;

// --- a terminal as SVG --------------------------------------------------------------------------------------------

const colours = { 31: '#ff7b72', 32: '#7ee787', 33: '#e3b341', 35: '#d2a8ff', 36: '#79c0ff' };
const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** One line with SGR sequences as <tspan>s. */
function spans(line) {
    let style = '', out = '';
    // eslint-disable-next-line no-control-regex
    for (const part of line.split(/(\x1b\[[0-9;]*m)/)) {
        const code = /^\x1b\[([0-9;]*)m$/.exec(part)?.[1];
        if (code === undefined) {
            if (part) out += style ? `<tspan ${style}>${escaped(part)}</tspan>` : escaped(part);
        } else if (code === '1') style = 'font-weight="bold"';
        else if (code === '2') style = 'fill="#8b949e"';
        else style = colours[code] ? `fill="${colours[code]}"` : '';
    }
    return out;
}

function terminal(title, lines) {
    const [width, height, row] = [columns * 8.4 + 32, lines.length * 18 + 56, 18];
    const text = lines.map((line, at) => `<text x="16" y="${56 + at * row - 4}" xml:space="preserve">${spans(line)}</text>`);
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g fill="#484f58"><circle cx="20" cy="18" r="5"/><circle cx="38" cy="18" r="5"/><circle cx="56" cy="18" r="5"/></g>
<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" fill="#e6edf3">
${text.join('\n')}
</g>
</svg>
`;
}

// --- make demo ----------------------------------------------------------------------------------------------------

/** Of the lines of the event stream, those that begin or end a job or its middle stage; three dots for the rest. */
function shortened(lines) {
    const out = [];
    for (const line of lines) {
        // eslint-disable-next-line no-control-regex
        const what = /^ +[\d.]+ s +\x1b\[\d+m\w+\x1b\[0m +(.*)$/.exec(line)?.[1];
        if (what === undefined || /queued|completed| (?:prepare|draw|speak|film)$/.test(what)) out.push(line);
        else if (out.at(-1) !== '       ⋮') out.push('       ⋮');
    }
    return out;
}

fs.rmSync(path.join(root, home), { recursive: true, force: true });
fs.mkdirSync(place, { recursive: true });
try {
    const demo = shown('make demo');
    const from = demo.findIndex(line => line.includes('Packages and programs'));
    const to = demo.findIndex(line => line.includes('All three open'));
    // A signed link is long and soon worthless.
    const cut = shortened(demo.slice(from, to - 1)).map(line => line.replace(/(\?exp=)\S*/, '$1…\x1b[0m'));
    fs.writeFileSync(path.join(place, 'demo.svg'), terminal('make demo', ['$ make demo', '', ...cut]));

    // --- psql: what waits, why, and an UPDATE that is no legal move ---------------------------------------------------
    const psql = (text, options) => shown(`./kiln psql -P pager=off -v SHOW_CONTEXT=never -c ${quoted(text)}`, options);
    psql(`select kiln.pause_queue('video')`);
    for (const [model, prompt] of [['local/video', 'a harbour at night'], ['local/image', 'a fox in the snow']]) {
        psql(`select kiln.enqueue('${model}', '{"prompt": "${prompt}"}', p_media_type => '${model.split('/')[1]}', p_account_id => (select min(account_id) from kiln.job))`);
    }
    const session = [];
    for (const text of ['select * from kiln.jobs;', 'select * from kiln.queues;', `update kiln.job set state = 'queued' where job_id = 1;`, 'select * from kiln.contradictions;']) {
        session.push(`\x1b[2mkiln=#\x1b[0m \x1b[1m${text}\x1b[0m`, ...psql(text, { may_fail: true }), '');
    }
    fs.writeFileSync(path.join(place, 'psql.svg'), terminal('psql', session.slice(0, -1)));
} finally {
    spawnSync('./kiln', ['down'], { cwd: root, env });
}
for (const name of fs.readdirSync(place)) console.log(`docs/pictures/${name}: ${fs.statSync(path.join(place, name)).size} bytes`);

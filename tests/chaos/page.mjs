// docs/chaos.md: what was tried, how often, and what came of it.
import fs from 'node:fs';
import { points } from './failpoints.mjs';

export const meaning = {
    self: 'SIGKILL of the program that stands there',
    other: 'SIGKILL of a runner that does not stand there',
    server: 'SIGKILL of kiln-server',
    backend: 'SIGKILL of a backend of that program: PostgreSQL ends all sessions and recovers',
    session: 'all sessions of that program\'s role are ended, as by pg_terminate_backend',
    postmaster: 'SIGKILL of PostgreSQL as a whole, and a start',
    provider: 'SIGKILL of the provider, and a start on the same book',
    cut: 'the wire between the program and PostgreSQL is cut for a moment',
    deaf: 'what is asked from there on arrives, its answer does not; then the wire is cut',
    hole: 'nothing arrives in either direction; then the wire is cut',
    lost: 'the wire between the runners and the provider is cut',
    mute: 'what runners ask of the provider arrives, the answer does not; then the wire is cut',
    error: 'the step fails, as by a full disk',
    disk: 'the media store is full for a while',
    freeze: 'the program stands still beyond its lease, and then goes on',
    usurp: 'the same, until another is at work on all that it had',
    clock: 'the database\'s clock (kiln_internal.now) jumps: beyond a lease, a minute, an hour, back',
};

export function write_page(file, { seed, rounds, worlds, table, columns, hits, storms, jobs, held, kills, strikes, minutes, bill }) {
    const rows = points.filter(({ name }) => columns.some(victim => table.get(`${name} ${victim}`)));
    const cell = (name, victim) => { const found = table.get(`${name} ${victim}`); return found ? `${found.done}${found.missed ? ` (${found.missed} missed)` : ''}` : ''; };
    const sum = victim => rows.reduce((all, { name }) => all + (table.get(`${name} ${victim}`)?.done ?? 0), 0);
    fs.writeFileSync(file, `# The crash matrix

Made by \`make chaos\` (tests/chaos); do not edit.

**${kills} kills among ${strikes} strikes** in ${storms.count} storms and ${minutes} minutes, ${worlds} storms at a time:
${storms.complaints ? `**${storms.complaints} complaints**` : 'no complaint'}. Seed ${seed}.

| what | how many |
| --- | --- |
| jobs | ${jobs} |
| held | ${held || 'none'} |${bill ? `\n| paid | ${bill} |` : ''}

## What is done

PostgreSQL, a server and two runners work under load: tools in three stages, pictures, uploads, cancellations,
deletions, ${bill ? 'paid calls, ' : ''}and an event stream that is always open. A program is stopped at a fail point
(\`lib/failpoints.def\`): a place where something has just been committed or sent, or is about to be. While it
stands there, something dies, is cut, freezes or jumps.

The load ends after each storm of ${storms.size} strikes. Then all of this must hold:

- no row of \`tests/chaos/invariants.sql\` is left;
- every row has its file, and every file its row;
- the history names every start of a tool;
- a client's idempotency key has made one job;
- the stream has told each event once${bill ? `;\n- the provider's own bill has at most one charge for each stage of a job` : ''}.

\`KILN_CHAOS_SEED=${seed}:3 KILN_CHAOS_ROUNDS=${rounds} tests/chaos/run\` repeats storm 3. Every storm that ever found
something is in \`tests/chaos/seeds.txt\` and part of \`make test\`. \`KILN_CHAOS_MUTANT=no_fence\` or \`no_intent\`
removes that protection from the database; the same strikes must then find harm.

## Who dies

| victim | what happens | strikes |
|---|---|---:|
${columns.map(victim => `| ${victim} | ${meaning[victim]} | ${sum(victim)} |`).join('\n')}

## Where

\`passed\` counts how often the programs came by the point; the other columns count the strikes there.

| point | passed | ${columns.join(' | ')} |
|---|---:|${columns.map(() => '---:').join('|')}|
${rows.map(({ name }) => `| ${name} | ${hits[name]} | ${columns.map(victim => cell(name, victim)).join(' | ')} |`).join('\n')}

## What each point means

| point | committed or sent |
|---|---|
${points.map(({ name, what }) => `| ${name} | ${what} |`).join('\n')}
`);
}

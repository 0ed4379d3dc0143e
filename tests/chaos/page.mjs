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

Written by \`make chaos\` (tests/chaos); the next run writes it anew.

PostgreSQL, a server and two runners stand under load: tools in three stages, pictures, uploads, cancellations, deletions, ${bill ? 'paid calls, ' : ''}and a
stream that is open all the time. One after another a program is stopped at a fail point (lib/failpoints.def: each place where something
has just been committed or sent, or is about to be), and while it stands there something dies, is cut, freezes or jumps. After each storm
of ${storms.size} strikes the load ends, and then no row of tests/chaos/invariants.sql may be left, every row must have its file and every file its row, what
tools were started for must be what the history tells, a client's key must have made one job, and the stream must have told each event once${bill ? `,
and the provider's own bill must have at most one charge for each stage of a job` : ''}.

Seed ${seed}: **${kills} kills among ${strikes} strikes** in ${storms.count} storms, ${worlds} at a time, each world with a
PostgreSQL of its own, and ${minutes} minutes: ${storms.complaints ? `**${storms.complaints} complaints**` : 'no complaint'}. Jobs: ${jobs}. Held: ${held || 'none'}.${bill ? ` Paid: ${bill}.` : ''}
\`KILN_CHAOS_SEED=${seed}:3 KILN_CHAOS_ROUNDS=${rounds} tests/chaos/run\` repeats storm 3. Every storm that ever found something stands in tests/chaos/seeds.txt and is part of \`make test\`.
With KILN_CHAOS_MUTANT=no_fence or no_intent the same strikes meet a database that lacks that protection, and must find it.

| victim | what happens | strikes |
|---|---|---:|
${columns.map(victim => `| ${victim} | ${meaning[victim]} | ${sum(victim)} |`).join('\n')}

The first column of figures is how often the programs came by the point, the others how often it met the victim.

| point | passed | ${columns.join(' | ')} |
|---|---:|${columns.map(() => '---:').join('|')}|
${rows.map(({ name }) => `| ${name} | ${hits[name]} | ${columns.map(victim => cell(name, victim)).join(' | ')} |`).join('\n')}

What each point means:

| point | committed or sent |
|---|---|
${points.map(({ name, what }) => `| ${name} | ${what} |`).join('\n')}
`);
}

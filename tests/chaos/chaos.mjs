// The crash matrix: every fail point × everything that can die or be cut there, under load; then one query.
//
//   tests/chaos/run                                    the long form; programs: build/chaos/bin (make FLAVOUR=chaos build)
//   tests/chaos/run --short                            some 25 strikes, always the same
//   tests/chaos/run --money                            the same for paid calls
//   tests/chaos/run --strikes point:victim,…           just these, in this order
//   tests/chaos/run [--points REGEXP] [--victims a,b]  that part of the matrix
//   KILN_CHAOS_SEED=7      another order, other hits; printed always
//   KILN_CHAOS_SEED=7:3    only storm 3 of seed 7: what a failure prints
//   KILN_CHAOS_ROUNDS=10   how often each point meets the death of its program, of a runner, a server, a backend and the postmaster; all else a fifth of that
//   KILN_CHAOS_WORLDS=6    so many worlds, each with a PostgreSQL of its own, share the storms of the long form
//   KILN_CHAOS_MUTANT=no_fence|no_intent   with a function that lacks what protects us: the run has to fail
//   KILN_CHAOS_DOC=docs/chaos.md           writes the table there
//   KILN_CHAOS_KEPT=FILE   what was done is kept there after each storm, and only what is not yet there is done: a run that was broken off goes on
import { fork } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pause } from '../e2e/lib.mjs';
import { points } from './failpoints.mjs';
import { mutants } from './mutants.mjs';
import { write_page } from './page.mjs';
import { DRAIN_MS, LEASE_S, random_of, World } from './world.mjs';

const option = name => { const at = process.argv.indexOf(`--${name}`); return at < 0 ? undefined : process.argv[at + 1]; };
const is_money = process.argv.includes('--money'), is_short = is_money || process.argv.includes('--short');
const [seed_text, storm_text] = (process.env.KILN_CHAOS_SEED ?? String(is_short ? 1 : Date.now() % 1000000)).split(':');
const seed = Number(seed_text), only_storm = storm_text === undefined ? undefined : Number(storm_text);
const mutant = process.env.KILN_CHAOS_MUTANT;
const rounds = Number(process.env.KILN_CHAOS_ROUNDS ?? 10);
const is_one = is_short || !!option('strikes') || only_storm !== undefined || !!mutant;
const world_count = is_one ? 1 : Number(process.env.KILN_CHAOS_WORLDS ?? 6);
const kept_path = process.env.KILN_CHAOS_KEPT;
/** { cells: { "point victim": how often }, storms, failed, minutes, ends: [{ hits, jobs, held, bill }] } of the runs before. */
const kept = kept_path && fs.existsSync(kept_path) ? JSON.parse(fs.readFileSync(kept_path, 'utf8')) : { cells: {}, storms: 0, failed: 0, minutes: 0, ends: [] };
/** Which world this process is; undefined: it has none of its own and leads those that have. */
const slot = option('world') === undefined ? undefined : Number(option('world'));

// --- who dies ------------------------------------------------------------------------------------------------------------

/** What happens to the world while one program stands at its fail point. It is let go afterwards, unless it died. */
const victims = {
    self: async (world, hit) => { hit.who.kill(); },
    other: async (world, hit) => { world.random.one((world.guests.includes(hit.who) ? world.guests : [world.red, world.blue]).filter(one => one !== hit.who)).kill(); },
    server: async (world) => { world.server.kill(); },
    backend: async (world, hit) => {
        const pids = world.backends(hit.who === world.server ? 'kiln_server' : 'kiln_worker');
        if (pids.length) process.kill(world.random.one(pids), 'SIGKILL');
        await pause(20);
    },
    session: async (world, hit) => {        // what pg_terminate_backend does, to all sessions of the program's role
        for (const pid of world.backends(hit.who === world.server ? 'kiln_server' : 'kiln_worker')) try { process.kill(pid, 'SIGTERM'); } catch { /* it has ended */ }
        await pause(20);
    },
    postmaster: async world => {
        try { process.kill(world.kiln.database_pids()[0], 'SIGKILL'); } catch { /* it is down already */ }
        await world.restart_postmaster();
    },
    cut: async (world, hit) => { hit.who.wire.cut(); hit.go(); await pause(60); hit.who.wire.open(); },
    deaf: async (world, hit) => { hit.who.wire.mode = 'deaf'; hit.go(); await pause(150); hit.who.wire.open(); },
    hole: async (world, hit) => { hit.who.wire.mode = 'hole'; hit.go(); await pause(400); hit.who.wire.open(); },
    provider: async world => { await world.paid.restart(); },
    lost: async (world, hit) => { world.paid.wire.cut(); hit.go(); await pause(60); world.paid.wire.open(); },
    mute: async (world, hit) => {
        world.paid.wire.mode = 'deaf';
        const before = await world.paid.charges_without_key();
        hit.go();
        for (const end = Date.now() + 3000; Date.now() < end && await world.paid.charges_without_key() === before;) await pause(20);
        await pause(50);
        world.paid.wire.open();
    },
    error: async (world, hit) => { hit.go('e'); },
    disk: async (world, hit) => { const empty = world.fill_disk(); hit.go(); await pause(500); empty(); },
    freeze: async (world, hit) => { await pause((LEASE_S + 2.5) * 1000); },
    usurp: async (world, hit) => { await world.usurp(hit.pid); },
    clock: async world => { await world.jump(world.random.one([LEASE_S + 2, 61, 3600, -2])); },
};
const is_kill = name => ['self', 'other', 'server', 'backend', 'session', 'postmaster', 'provider'].includes(name);

/** What the matrix is about: at each point a runner, a server, a backend and the postmaster is killed. */
const is_essential = (name, { program }) => ['self', 'backend', 'postmaster', 'server'].includes(name) || name === 'other' && program !== 'runner';

function victims_of({ name, program }) {
    if (name === 'store.writing') return ['self', 'error', 'disk', 'backend', 'postmaster', 'server'];
    const list = ['self', 'backend', 'postmaster', 'session', 'cut'];
    if (/^store\.(syncing|renaming)|file\.storing|upload\.begun/.test(name)) list.push('disk');
    if (is_paid(name)) list.push('provider', 'lost', 'mute');
    if (program === 'runner' || program === 'guest') list.push('other', 'server');
    if (program === 'server' || program === 'lib') list.push('other');
    if (/asking|sending|beginning|reporting|claiming|db\.sent|guest\.answered|guest\.polled/.test(name)) list.push('deaf', 'hole');
    return list;
}
const is_paid = name => /^guest|^runner\.(call|http|step|answer|poll|fetch|begin|send|submit|webhook)/.test(name);

/** What comes once in the life of a program or a stream: not waited for. */
const is_rare = /^db\.(connecting|starting|listening)|register|instance|jwks|trash|orphans|store\.unlinking|bus\.head|replaying|^runner\.(secrets|keys|deliver|mail)/;
/** What only a world with a bucket comes by. */
const is_of_bucket = ({ name }) => /^store\.bucket|^server\.upload\.signed/.test(name);
/** A runner that is told to end gives up, after its time to drain, also what it has asked a provider: that counts as a strike. */
function end_a_runner(world) {
    world.strikes.push([Date.now(), Date.now() + DRAIN_MS]);
    world.random.one([world.red, world.blue]).program.signal('SIGTERM');
}
/** How a point is reached that the usual bustle does not reach by itself. */
const provoke = [
    [/^runner\.keys/, world => world.kiln.arrange(`update kiln.webhook_key set fetched_at = '-infinity'`).catch(() => {})],
    [/^db\.(connecting|starting|listening)|runner\.(register|secrets|keys)/, end_a_runner],
    [/^runner\.unregister/, end_a_runner],
    [/^runner\.(trash|orphans)|^store\.unlinking/, async world => { await world.remove().catch(() => {}); end_a_runner(world); }],
    [/^runner\.(report|reported)/, async world => { await world.kiln.psql(`select kiln.enqueue('fickle', '{}', ${world.account})`).catch(() => {}); }],
    [/^server\.(bus|stream)/, world => { for (const one of Object.values(world.streams)) one.request?.destroy(); }],
    [/^server\.websocket/, world => { world.streams.socket.ping(); }],
    [/^server\.jwks/, world => { world.server.program.signal('SIGTERM'); }],
    [/^server\.instance/, world => { if (world.random() < 0.5) world.server.program.signal('SIGTERM'); }],
    [/^runner\.(deliver|mail)/, async world => {        // what the dead have taken would hold up all others for forty seconds
        await world.kiln.psql(`do $$ begin for i in 1..8 loop perform kiln.cancel_job(kiln.enqueue('short', '{}', ${world.account}, p_run_at => kiln_internal.now() + interval '1 hour')); end loop; end $$;
            update kiln.delivery set due_at = kiln_internal.now(), claimed_until = null where state = 'due'; update kiln.webhook_endpoint set failures = 0, failing_since = null`).catch(() => {});
    }],
    [/^server\.upload_session/, world => { world.break_off_file().catch(() => {}); }],
    [/^server\.upload|^store/, world => { world.send_file().catch(() => {}); }],
];

// --- the plan --------------------------------------------------------------------------------------------------------------

/** Cases in storms: [[{ point, victim, nth }]]. The same for the same seed. */
function make_plan(random, has_guests) {
    const chosen_points = points.filter(point => (has_guests || point.program !== 'guest')).filter(point => !option('points') || new RegExp(option('points')).test(point.name));
    const wanted = option('victims')?.split(',');
    const cases = [], done = new Map(Object.entries(kept.cells));
    const add = (point, victim) => { const key = `${point.name} ${victim}`, n = done.get(key) ?? 0; if (n > 0) done.set(key, n - 1); else add_new(point, victim); };
    const add_new = (point, victim) => { if (victim === 'disk' && !process.env.KILN_CHAOS_DISK) return; if (!wanted || wanted.includes(victim)) cases.push({ point: point.name, victim, nth: 1 + (is_often(point.name) ? random.below(12) : 0) }); };
    if (option('strikes')) {
        for (const text of option('strikes').split(',')) { const [name, victim] = text.split(':'); add(points.find(point => point.name === name), victim); }
        return [cases];
    }
    if (is_short) {
        for (const [name, victim] of is_money ? short_money : short_form) if (points.some(point => point.name === name)) add(points.find(point => point.name === name), victim);
        return [cases];
    }
    const every = list => { for (const point of list) for (const victim of victims_of(point)) for (let i = 0; i < (is_essential(victim, point) ? rounds : Math.ceil(rounds / 5)); i++) add(point, victim); };
    every(chosen_points.filter(point => !is_of_bucket(point)));
    const steady = chosen_points.filter(point => /^runner\.(claimed|cycle|worked|put_media|file|report|beat|call|http|polls)/.test(point.name));
    for (let i = 0; i < Number(process.env.KILN_CHAOS_SLOW ?? 10) && steady.length; i++) for (const victim of ['freeze', 'clock']) add(random.one(steady), victim);
    const storms = [];
    const cut = () => { random.shuffle(cases); while (cases.length) storms.push(cases.splice(0, 60)); };
    cut();
    every(chosen_points.filter(is_of_bucket));
    cut();
    return storms;
}
/** Cases of a bucket are never in one storm with others. */
const wants_bucket = storm => is_of_bucket({ name: storm[0].point });
const is_often = name => /^db\.(sending|sent|answered)|^runner\.(cycle|tick)|^server\.(bus\.read|stream\.writing)/.test(name);
// About 25 kills that have the most to lose; a fixed seed.
const short_form = [
    ['runner.worked', 'usurp'],
    ['runner.claimed', 'self'], ['runner.cycle.asking', 'deaf'], ['runner.cycle.answered', 'self'], ['runner.worked', 'self'],
    ['runner.file.stored', 'self'], ['runner.put_media.asking', 'deaf'], ['runner.put_media.answered', 'self'], ['db.sent', 'backend'],
    ['server.write.asking', 'deaf'], ['server.write.answered', 'self'], ['server.upload.stored', 'self'], ['server.stream.writing', 'self'],
    ['server.bus.read.answered', 'session'], ['runner.starting', 'self'], ['runner.claimed', 'postmaster'], ['runner.reported', 'self'],
    ['runner.report.asking', 'cut'], ['store.stored', 'self'], ['runner.heartbeat.answered', 'other'], ['db.answered', 'session'], ['server.write.answered', 'backend'],
    ['store.writing', 'error'], ['store.syncing', 'disk'], ['runner.registered', 'self'], ['runner.ticked', 'server'], ['runner.cycle.asking', 'cut'], ['runner.claimed', 'deaf'],
];
const short_money = [
    ['runner.call.begun', 'self'], ['runner.http.writing', 'self'], ['runner.http.answered', 'self'], ['runner.call.reporting', 'deaf'], ['runner.call.reported', 'self'],
    ['runner.call.fetched', 'self'], ['guest.sent', 'self'], ['guest.answered', 'mute'], ['guest.answered', 'backend'], ['guest.stored', 'self'],
];

// --- a storm ---------------------------------------------------------------------------------------------------------------

const wait_ms = name => /^runner\.keys/.test(name) ? 9000 : /^runner\.(deliver|mail)/.test(name) ? 4500 : 2000;        // keys: a runner ends what it has, starts, and waits two seconds

async function strike(world, { point, victim, nth }, tally, left = 8) {
    const started = Date.now();
    if (victim === 'usurp') await world.alone();
    if (victim === 'freeze' || victim === 'usurp') await world.ask(`select kiln.enqueue('lasting', '{}', ${world.account}, 3) from generate_series(1, 12)`);
    let waiting = world.failpoints.arm(point, nth, is_rare.test(point) ? wait_ms(point) : 1200);
    if (is_rare.test(point)) for (const [pattern, act] of provoke) if (pattern.test(point)) await act(world);
    let hit = await waiting;
    for (let tries = 0; !hit && tries < 3; tries++) {
        waiting = world.failpoints.arm(point, 1, wait_ms(point));
        for (const [pattern, act] of provoke) if (pattern.test(point)) await act(world);
        hit = await waiting;
    }
    if (!hit) { tally(point, victim, 'missed'); return world.log(`  missed ${point}`); }
    hit.who = world.who(hit.pid);
    if (!hit.who) { hit.go(); tally(point, victim, 'missed'); return; }
    // A third death in a row makes a task a quarantined task of poison, rightly held: that is tested elsewhere, and would hide what is looked for here.
    if (['self', 'other'].includes(victim) && left > 0 && await world.has_suspect()) {
        hit.go();
        return strike(world, { point, victim, nth }, tally, left - 1);
    }
    const was = hit.who.name;
    world.strikes.push([started, Date.now()]);
    await victims[victim](world, hit);
    hit.go();
    world.strikes.at(-1)[1] = Date.now();
    if (victim === 'usurp') world.people();
    tally(point, victim, 'done');
    world.log(`  ${String(Date.now() - started).padStart(5)} ms  ${point} (${was}, hit ${nth}): ${victim}`);
}

/** { found, cells: [[point, victim, 'done' | 'missed']], hits, jobs, held, bill, seconds }; jobs, held and bill are the world's from its beginning. */
async function storm(world, cases, label) {
    const kills = cases.filter(one => is_kill(one.victim)).length;
    const started = Date.now(), cells = [];
    world.people();
    for (const one of cases) await strike(world, one, (point, victim, what) => cells.push([point, victim, what]));
    await world.calm();
    await world.check_files();
    const orphans = world.orphans.length;
    await world.sweep();
    const found = await world.complaints_now();
    if (process.env.KILN_CHAOS_SQL) console.log(await world.ask(process.env.KILN_CHAOS_SQL));
    const counts = async sql => Object.fromEntries((await world.rows(sql)).map(row => [row.what, row.n]));
    const jobs = await counts(`select state as what, count(*) as n from kiln.job group by 1 order by 1`);
    const held = await counts(`select coalesce(error_class, '?') as what, count(*) as n from kiln.task where state = 'held' group by 1`);
    const bill = world.paid?.told ?? {};
    console.log(`storm ${label}: ${cases.length} strikes, ${kills} of them kills, ${((Date.now() - started) / 1000).toFixed(1)} s; jobs ${told(jobs)}`
        + `${Object.keys(held).length ? `; held: ${told(held)}` : ''}; ${orphans} files without a row, all swept${world.paid ? `; ${told(bill)}` : ''}`);
    return { found, cells, hits: world.failpoints.hits(), jobs, held, bill };
}
const told = counts => Object.entries(counts).map(([what, n]) => `${n} ${what}`).join(', ');
const sum_of = list => list.reduce((all, one) => { for (const [what, n] of Object.entries(one)) all[what] = (all[what] ?? 0) + n; return all; }, {});

// --- worlds ----------------------------------------------------------------------------------------------------------------

const has_money = !process.argv.includes('--short') && (!option('strikes') || /guest|provider|lost|mute/.test(option('strikes')));

/** A world in this process: { storm(index, cases), end() }. */
async function world_here(number, has_bucket) {
    const world = new World(random_of(seed * 7919 + (only_storm ?? number)));
    world.port = 20000 + number * 1200 + Math.floor(Math.random() * 1200);
    const log = process.env.KILN_CHAOS_LOG ? text => console.log(text) : () => {};
    await world.begin({ has_money: has_money && !has_bucket, has_bucket, log }).catch(async error => { await world.end(); throw error; });
    if (mutant) await mutants[mutant](world);
    return {
        storm: (index, cases) => { world.random = random_of(seed * 7919 + index); return storm(world, cases, `${seed}:${index}`); },
        end: () => world.end(),
    };
}

/** The same in a process of its own. */
async function world_there(number, has_bucket) {
    const child = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--world', String(number), ...has_bucket ? ['--bucket'] : []], { env: { ...process.env, KILN_CHAOS_SEED: seed_text } });
    const answer = () => new Promise((resolve, reject) => {
        const on_end = () => reject(new Error(`world ${number} ended by itself`));
        child.once('exit', on_end).once('message', message => { child.off('exit', on_end); resolve(message); });
    });
    await answer();
    return {
        storm: (index, cases) => { const end = answer(); child.send({ index, cases }); return end; },
        end: () => new Promise(resolve => { if (child.exitCode !== null || !child.connected) return resolve(); child.once('exit', resolve); child.send({}); }),
    };
}

async function serve() {
    const world = await world_here(slot, process.argv.includes('--bucket'));
    process.send('ready');
    for (;;) {
        const { index, cases } = await new Promise(resolve => { process.once('message', resolve); process.once('disconnect', () => resolve({})); });
        if (!cases) break;
        process.send(await world.storm(index, cases));
    }
    await world.end();
}

// --- the run ---------------------------------------------------------------------------------------------------------------

async function lead() {
    const started = Date.now(), plan = make_plan(random_of(seed), has_money);
    console.log(`seed ${seed}${only_storm === undefined ? '' : `, storm ${only_storm} only`}: ${plan.flat().length} strikes in ${plan.length} storms${world_count > 1 ? `, ${world_count} worlds, ${rounds} rounds` : ''}${mutant ? `; mutant ${mutant}` : ''}`);
    const table = new Map(), latest = [];      // by world; behind them those of worlds that were given up
    const wanted = plan.flat().reduce((map, { point, victim }) => map.set(`${point} ${victim}`, (map.get(`${point} ${victim}`) ?? kept.cells[`${point} ${victim}`] ?? 0) + 1), new Map());
    const state = { failed: kept.failed, storms: kept.storms };
    for (const [key, n] of Object.entries(kept.cells)) table.set(key, { done: n, missed: 0 });
    let is_whole = true;
    // One more world has a bucket, where there is something for it to do.
    const kinds = is_one ? [wants_bucket(plan[only_storm ?? 0])] : [...Array.from({ length: plan.some(storm => !wants_bucket(storm)) ? world_count : 0 }, () => false), ...plan.some(wants_bucket) ? [true] : []];
    const worlds = await Promise.all(kinds.map((has_bucket, number) => is_one ? world_here(number, has_bucket) : world_there(number, has_bucket)));
    latest.length = kinds.length;
    latest.push(...kept.ends);
    const left = only_storm === undefined ? plan.map((_, index) => index) : [only_storm];
    const take = has_bucket => { const at = left.findIndex(index => wants_bucket(plan[index]) === has_bucket); return at < 0 ? undefined : left.splice(at, 1)[0]; };
    const work = async (_, number) => {
        for (let index; (index = take(kinds[number])) !== undefined;) {
            const end = await worlds[number].storm(index, plan[index]);
            for (const [point, victim, what] of end.cells) { const key = `${point} ${victim}`, cell = table.get(key) ?? { done: 0, missed: 0 }; cell[what]++; table.set(key, cell); }
            latest[number] = end;
            state.storms++;
            state.failed += end.found.length;
            page();
            if (!end.found.length) continue;
            console.log(`NOT WELL, KILN_CHAOS_SEED=${seed}:${index}${world_count > 1 ? ` KILN_CHAOS_ROUNDS=${rounds}` : ''}`);
            for (const complaint of end.found.slice(0, 30)) console.log(`  ${complaint}`);
            if (is_one) continue;
            await worlds[number].end();         // what is wrong in it would be told again after each storm
            latest.push(end);
            latest[number] = undefined;
            worlds[number] = await world_there(number, kinds[number]);
        }
    };
    const columns = () => Object.keys(victims).filter(victim => [...table.keys()].some(key => key.endsWith(` ${victim}`)));
    const sums = () => ({
        kills: [...table].filter(([key]) => is_kill(key.split(' ')[1])).reduce((sum, [, one]) => sum + one.done, 0),
        strikes: [...table.values()].reduce((sum, one) => sum + one.done, 0),
    });
    const minutes = () => kept.minutes + Math.ceil((Date.now() - started) / 60000);
    const hits = () => sum_of(latest.filter(Boolean).map(end => end.hits));
    /** Written after each storm, so that a run that is ended early has its page too. */
    const page = () => {
        if (kept_path) fs.writeFileSync(kept_path, JSON.stringify({ cells: Object.fromEntries([...table].map(([key, cell]) => [key, cell.done])), storms: state.storms, failed: state.failed,
            minutes: minutes(), ends: [['hits', 'jobs', 'held', 'bill']].map(names => Object.fromEntries(names.map(name => [name, sum_of(latest.filter(Boolean).map(end => end[name]))]))) }));
        if (!process.env.KILN_CHAOS_DOC) return;
        const of = name => told(sum_of(latest.filter(Boolean).map(end => end[name])));
        write_page(process.env.KILN_CHAOS_DOC, { seed, rounds, table, columns: columns(), hits: hits(), ...sums(), worlds: worlds.length, storms: { size: 60, count: state.storms, complaints: state.failed },
            jobs: of('jobs'), held: of('held'), bill: of('bill'), minutes: minutes() });
    };
    try {
        await Promise.all(worlds.map(work));
        for (let pass = 0; pass < 3 && !is_one; pass++) {
            const again = [...wanted].flatMap(([key, n]) => Array.from({ length: Math.max(0, n - (table.get(key)?.done ?? 0)) }, () => { const [point, victim] = key.split(' '); return { point, victim, nth: 1 }; }));
            if (!again.length) break;
            random_of(seed + pass + 1).shuffle(again);
            console.log(`${again.length} strikes were missed; once more`);
            const size = Math.max(10, Math.min(60, Math.ceil(again.length / world_count)));
            for (const list of [again.filter(one => !is_of_bucket({ name: one.point })), again.filter(one => is_of_bucket({ name: one.point }))]) {
                while (list.length) { left.push(plan.length); plan.push(list.splice(0, size)); }
            }
            await Promise.all(worlds.map(work));
        }
        const { kills, strikes } = sums(), all_hits = hits();
        if (!is_short || process.env.KILN_CHAOS_LOG) print_table(table, columns(), all_hits);
        const unreached = points.filter(point => !all_hits[point.name]).map(point => point.name);
        if (unreached.length) console.log(`never reached: ${unreached.join(', ')}`);
        // The whole matrix is whole: each point reached, and met by each death as often as was asked for.
        const too_few = is_one ? [] : [...wanted].filter(([key, n]) => { const [name, victim] = key.split(' '); return is_essential(victim, points.find(point => point.name === name)) && (table.get(key)?.done ?? 0) < n; });
        if (too_few.length) console.log(`not as often as asked for: ${too_few.map(([key, n]) => `${key} ${table.get(key)?.done ?? 0} of ${n}`).join(', ')}`);
        is_whole = is_one || !too_few.length && (option('points') !== undefined || !unreached.length);
        console.log(state.failed ? `${state.failed} complaints after ${kills} kills` : `${kills} kills, ${strikes} strikes, no complaint`);
    } finally {
        await Promise.all(worlds.map(world => world.end()));
    }
    process.exitCode = state.failed || !is_whole ? 1 : 0;
}

function print_table(table, columns, hits) {
    const rows = points.filter(point => [...table.keys()].some(key => key.startsWith(`${point.name} `)));
    const cell = (point, victim) => { const found = table.get(`${point} ${victim}`); return found ? `${found.done}${found.missed ? ` (−${found.missed})` : ''}` : '·'; };
    console.log(['', `| point | reached | ${columns.join(' | ')} |`, `|---|---:|${columns.map(() => '---:').join('|')}|`,
        ...rows.map(point => `| ${point.name} | ${hits[point.name]} | ${columns.map(victim => cell(point.name, victim)).join(' | ')} |`),
        `| **all** | | ${columns.map(victim => [...table].filter(([key]) => key.endsWith(` ${victim}`)).reduce((sum, [, one]) => sum + one.done, 0)).join(' | ')} |`, ''].join('\n'));
}

if (process.argv.includes('--plan')) {        // only how much it would be
    const plan = make_plan(random_of(seed), has_money);
    console.log(`${plan.flat().length} strikes, ${plan.flat().filter(one => is_kill(one.victim)).length} of them kills, in ${plan.length} storms`);
    process.exit();
}
await (slot === undefined ? lead() : serve());
process.exit();

// The promise of docs/events.md as a property: whatever order transactions commit in, however often clients break off and processes are
// killed, each client's sequence is the log of its account: nothing lost, nothing twice, in order within each job.
//
// 50 accounts with a client each; 32 writers whose transactions hold one to four events and random sleeps, one in ten rolled back; two
// realtime processes, killed (-9) at random; clients that are cut at random and come back to either of the two, each time by another of the three ways. With a reader of `id > last` in
// place of the difference of snapshots the same run must find events lost.
//
//   make bus SEEDS=20              twenty random seeds of 10,000 events each;  SEEDS=7,11 these two
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { begin, free_port, pause, until } from './lib.mjs';
import { Wanderer } from './wanderer.mjs';

const asked = process.env.KILN_BUS_SEEDS;
const seeds = asked === undefined ? [1] : /^\d+$/.test(asked) ? Array.from({ length: Number(asked) }, () => Math.floor(Math.random() * 1e9)) : asked.split(',').map(Number);
const events = Number(process.env.KILN_BUS_EVENTS ?? (asked === undefined ? 2500 : 10000));
const accounts = 50, writers = 32;

/** mulberry32: a seed's numbers, 0 to 1. */
function random_of(seed) {
    return () => {
        seed = seed + 0x6d2b79f5 | 0;
        let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
        t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
        return ((t ^ t >>> 14) >>> 0) / 4294967296;
    };
}

/** What an event is known by: states by job and version, progress by a label of its own. */
const key = e => `${e.type} ${e.job_id} v${e.version}${e.type === 'job.progress' ? ` ${e.label}` : ''}`;

/** What is wrong with a client's sequence, held against the log of its account (in the order of ids, which within a job is that of commits). */
function faults_of(seen, log) {
    const wrong = [], known = new Map(log.map((e, at) => [key(e), at])), had = new Set(), last_of = new Map();
    for (const e of seen) {
        const at = known.get(key(e));
        if (at === undefined) wrong.push(`not in the log: ${key(e)}`);
        else if (had.has(key(e))) wrong.push(`twice: ${key(e)}`);
        else if ((last_of.get(e.job_id) ?? -1) > at) wrong.push(`out of order: ${key(e)} after ${key(log[last_of.get(e.job_id)])}`);
        had.add(key(e));
        last_of.set(e.job_id, at);
    }
    // Of progress the last wins: one may be missing where a later event of its job was told.
    for (const [at, e] of log.entries()) if (!had.has(key(e)) && !(e.type === 'job.progress' && last_of.get(e.job_id) > at)) wrong.push(`lost: ${key(e)}`);
    return wrong;
}

/** Comes back to either process by any way. */
class Restless extends Wanderer {
    get seen() { return this.events.filter(e => e.data.job_id).map(({ data }) => ({ ...data, label: data.progress?.label })); }
}

describe('the bus, as a property', { timeout: 3600000 }, () => {
    let kiln, links;
    const realtime = port => kiln.server({ port, args: ['--role', 'realtime'], env: { KILN_LOG_LEVEL: 'warn' }, ready: false });
    before(async () => {
        kiln = await begin({ server: false });
        kiln.ports = [await free_port(), await free_port()];
        kiln.realtimes = await Promise.all(kiln.ports.map(port => kiln.server({ port, args: ['--role', 'realtime'], env: { KILN_LOG_LEVEL: 'warn' } })));
        links = await Promise.all(Array.from({ length: writers }, async () => {
            const link = new pg.Client({ host: kiln.socket, port: 5432, user: 'postgres', database: 'kiln' });
            await link.connect();
            return link;
        }));
    });
    after(async () => {
        await Promise.all((links ?? []).map(link => link.end()));
        await kiln?.end();
    });

    /** One run; { faults, events, links, kills }. */
    async function go(seed, total, { is_violent = true } = {}) {
        const random = random_of(seed), pick = list => list[Math.floor(random() * list.length)];
        const people = [];
        for (let i = 0; i < accounts; i++) {
            const sub = `bus-${seed}-${total}-${i}-${kiln.realtimes.length}-${is_violent}`;
            people.push({ user: kiln.user(sub), id: await kiln.psql(`select kiln_api.act_as('{"sub": "${sub}"}')`), jobs: [] });
        }
        for (const one of people) one.stream = new Restless(kiln, { bases: () => kiln.ports.map(port => `http://127.0.0.1:${port}`), token: one.user.token, resume: true, retry_ms: 10 + Math.floor(random() * 40) });
        await Promise.all(people.map(one => one.stream.opened(30000)));

        let written = 0, errors = 0, labels = 0, kills = 0, is_over = false;
        async function write(link, own) {
            const some = list => list[Math.floor(own() * list.length)];
            while (written < total) {
                const made = [];
                let count = 0;
                try {
                    await link.query('begin');
                    for (let n = 1 + Math.floor(own() * 4); n > 0; n--) {
                        const one = some(people), job = some(one.jobs), what = own();
                        if (job === undefined || what < 0.4) {
                            made.push([one, (await link.query(`select kiln.enqueue('log', '{}', ${one.id}) as id`)).rows[0].id]);
                            count++;
                        } else if (count === 0 && made.length === 0) {         // one old job a transaction, and first: no deadlock
                            const { rows: [{ state }] } = await link.query(`select state from kiln.job where job_id = ${job} for no key update`);
                            if (state === 'queued' && what < 0.8) {
                                await link.query(`insert into kiln.event (account_id, job_id, version, type, data)
                                    select account_id, job_id, version, 'job.progress', '{"stage": 1, "fraction": 0.5, "label": "${seed}-${++labels}"}' from kiln.job where job_id = ${job}`);
                                await link.query('select kiln_internal.notify_waiters(null)');
                                count++;
                            } else if (state === 'queued') {
                                await link.query(`select kiln.cancel_job(${job})`);
                                count++;
                            }
                        }
                        if (own() < 0.3) await link.query(`select pg_sleep(${own() < 0.03 ? 0.5 : own() * 0.02})`);
                    }
                    await link.query(own() < 0.1 ? 'rollback' : 'commit').then(({ command }) => {
                        if (command !== 'COMMIT') return;
                        written += count;
                        for (const [one, id] of made) one.jobs.push(id);
                    });
                } catch (error) {
                    if (!['40P01', '55P03', '57014'].includes(error.code)) throw error;
                    errors++;
                    await link.query('rollback');
                }
            }
        }
        const cutting = (async () => { while (!is_over) { await pause(5 + random() * 10); pick(people).stream.request.destroy(); } })();
        const killing = (async () => {
            while (is_violent && !is_over) {
                await pause(200 + random() * 600);
                if (is_over) break;
                const which = random() < 0.5 ? 0 : 1;
                await kiln.realtimes[which].kill();
                kills++;
                await pause(random() * 300);
                kiln.realtimes[which] = await realtime(kiln.ports[which]);
            }
        })();
        await Promise.all(links.map((link, i) => write(link, random_of(seed * 1000 + i))));
        is_over = true;
        await Promise.all([cutting, killing]);

        // What was written before has come when this one has; each by itself, so that none is another's batch.
        for (const one of people) one.last = await kiln.psql(`select kiln.enqueue('log', '{}', ${one.id})`);
        for (const one of people) await one.stream.sees(`the last job of account ${one.id}`, e => e.data.job_id === one.last, 30000);
        const faults = [];
        let all = 0, back = 0;
        for (const one of people) {
            const log = await kiln.rows(`select type, job_id::text, version, data ->> 'label' as label from kiln.event where account_id = ${one.id} order by event_id`);
            all += log.length;
            back += one.stream.links;
            faults.push(...faults_of(one.stream.seen, log).map(text => `account ${one.id}: ${text}`));
            if (one.stream.events.some(e => e.event === 'reset')) faults.push(`account ${one.id}: reset`);
            one.stream.close();
        }
        return { faults, events: all, links: back, kills, errors };
    }

    for (const seed of seeds) {
        test(`each client's sequence is the log of its account (seed ${seed})`, async t => {
            const from = Date.now();
            const { faults, ...sums } = await go(seed, events);
            t.diagnostic(`seed ${seed}: ${JSON.stringify(sums)} in ${Date.now() - from} ms, ${faults.length} faults`);
            assert.deepEqual(faults.slice(0, 10), [], `seed ${seed}: ${faults.length} faults`);
            assert.ok(sums.events >= events && sums.links > 2 * accounts && sums.kills > 0, JSON.stringify(sums));
        });
    }

    test('a reader of `id > last` loses some, and the test sees it', async t => {
        const { rows: [{ source }] } = await links[0].query(`select pg_get_functiondef('kiln_internal.events_between'::regproc) as source`);
        await kiln.psql(`create or replace function kiln_internal.events_between(p_account_id bigint, p_from pg_snapshot, p_until pg_snapshot, p_after_id bigint, p_limit int, p_is_own boolean)
            returns table (event_id bigint, account_id bigint, job_id bigint, version int, type kiln.event_type, data jsonb, at timestamptz)
            language plpgsql stable set search_path = '' as $$
            declare v_last bigint := (select max(e.event_id) from kiln.event e where pg_visible_in_snapshot(e.xid, p_from));
            begin
                return query select e.event_id, e.account_id, e.job_id, e.version, e.type, e.data, e.at from kiln.event e
                  where (p_account_id is null or e.account_id = p_account_id) and e.event_id > greatest(p_after_id, v_last) and pg_visible_in_snapshot(e.xid, p_until)
                  order by e.event_id limit p_limit;
            end $$`);
        try {
            const { faults, ...sums } = await go(seeds[0] + 1, 1000, { is_violent: false });
            t.diagnostic(`${JSON.stringify(sums)}, ${faults.length} faults`);
            assert.ok(faults.some(text => /lost: /.test(text)), `${faults.length} faults: ${faults.slice(0, 3)}`);
        } finally {
            await links[0].query(source);
        }
    });
});

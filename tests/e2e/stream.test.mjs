// GET /events: who hears what, in which order, from where on, and what ends a stream.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { begin, in_seconds, pause, request, until } from './lib.mjs';

describe('the stream', () => {
    let kiln, ann, bob, account, others;
    before(async () => {
        kiln = await begin();
        [ann, bob] = [kiln.user('ann'), kiln.user('bob')];
        [account, others] = [await ann.account(), await bob.account()];
    });
    after(() => kiln.end());

    const make = (n = 1, whose = account) => kiln.psql(`select kiln.enqueue('log', '{}', ${whose}) from generate_series(1, ${n})`).then(text => text.split('\n'));
    const jobs_of = stream => stream.events.filter(e => e.data.job_id).map(e => e.data.job_id);
    const all_of = (stream, ids) => until(`the stream to show ${ids.length} jobs`, () => ids.every(id => jobs_of(stream).includes(id)));

    test('begins with ready and a position, under headers that no proxy may buffer or keep', async () => {
        const stream = await ann.stream().opened();
        assert.equal(stream.status, 200);
        assert.match(stream.headers['content-type'], /^text\/event-stream/);
        assert.equal(stream.headers['cache-control'], 'no-store');
        assert.equal(stream.headers['x-accel-buffering'], 'no');
        assert.equal(stream.headers['content-encoding'], undefined);
        assert.ok(stream.headers['x-request-id']);
        const [ready] = stream.events;
        assert.equal(ready.event, 'ready');
        assert.equal(ready.data.type, 'ready');
        assert.equal(ready.data.position, ready.id);
        assert.ok(ready.id.length < 2048);
        stream.close();
    });

    test('brings an event within a moment of its commit, its own account\'s only', async () => {
        const [mine, mine_too, theirs] = await Promise.all([ann.stream().opened(), ann.stream().opened(), bob.stream().opened()]);
        const [id] = await make();
        const [other] = await make(1, others);
        const event = await mine.sees('it', e => e.data.job_id === id);
        assert.deepEqual([event.event, event.data.type, event.data.version, event.data.kind], ['job.queued', 'job.queued', 1, 'generation']);
        assert.ok(event.at - Date.parse(event.data.at) < 500, `${event.at - Date.parse(event.data.at)} ms`);
        await all_of(mine_too, [id]);
        await all_of(theirs, [other]);
        const [last] = await make();        // whatever was to come has come by then
        await all_of(mine, [last]);
        assert.ok(!jobs_of(mine).includes(other));
        assert.ok(!jobs_of(theirs).includes(id));
        for (const stream of [mine, mine_too, theirs]) stream.close();
    });

    test('costs writers no wakeup once the last one is gone', async () => {
        const asleep = () => kiln.value('select count(*) from kiln.waiter where is_bus').then(Number);
        const stream = await ann.stream().opened();
        await until('the process to sleep and to want the wakeup', async () => await asleep() === 1);
        stream.close();
        await until('its mark to go', async () => await asleep() === 0);
    });

    for (const how of ['last', 'last_query']) {
        test(`goes on where the client was (${how === 'last' ? 'Last-Event-ID' : 'last_event_id='}): what it missed, in order, once, then live`, async () => {
            const first = await ann.stream().opened();
            const [seen] = await make();
            const { id } = await first.sees('one', e => e.data.job_id === seen);
            first.close();
            const missed = await make(250);         // more than a page of replay
            const second = await ann.stream({ [how]: id }).opened();
            await all_of(second, missed);
            const live = await make(3);
            await all_of(second, live);
            assert.deepEqual(jobs_of(second), [...missed, ...live]);
            assert.ok(!second.events.some(e => e.event === 'reset'));
            second.close();
        });
    }

    test('resumes in the middle of a batch exactly, from every single event of it', async () => {
        const first = await ann.stream().opened();
        const ids = await make(40);                 // one transaction: one batch
        await all_of(first, ids);
        const events = first.events.filter(e => ids.includes(e.data.job_id));
        assert.deepEqual(events.map(e => e.data.job_id), ids);
        assert.equal(new Set(events.map(e => e.id)).size, 40, 'each has its own position');
        const streams = events.map(event => ann.stream({ last: event.id }));
        await Promise.all(streams.map(stream => stream.opened()));
        const [last] = await make();
        await Promise.all(streams.map(stream => all_of(stream, [last])));
        streams.forEach((stream, i) => {
            assert.deepEqual(jobs_of(stream), [...ids.slice(i + 1), last], `after event ${i + 1} of 40`);
            stream.close();
        });
        first.close();
    });

    test('an unknown position is answered with reset, then it is live', async () => {
        const { id } = (await ann.stream().opened()).events[0];
        for (const last of ['1', 'nonsense', `x${id}`, id.replace(/^[0-9a-f]+/, 'abc'), '99999999999999999999', 'a'.repeat(3000), id.replace(/\.\d+_\d+/, '.9999999999_9999999999'), `${id}~~~`, '%00']) {
            const stream = await ann.stream({ last }).opened();
            await stream.sees(`reset after ${last.slice(0, 60)}`, e => e.event === 'reset', 5000);
            assert.deepEqual(stream.events.slice(0, 2).map(e => e.event), ['ready', 'reset']);
            assert.ok(stream.events[1].data.at);
            const [job] = await make();
            await all_of(stream, [job]);
            stream.close();
        }
    });

    // These were once taken for no position at all, and what the client had missed stayed missed.
    test('so is one in the query that cannot be read', async () => {
        for (const query of ['last_event_id=%00', 'last_event_id=%zz', `last_event_id=${'a'.repeat(5000)}`]) {
            const stream = await ann.stream({ path: `/api/v1/events?${query}` }).opened();
            await stream.sees(`reset after ${query.slice(0, 60)}`, e => e.event === 'reset', 5000);
            stream.close();
        }
        const stream = await ann.stream({ path: '/api/v1/events?last_event_id=' }).opened();
        const [job] = await make();
        await all_of(stream, [job]);
        assert.ok(!stream.events.some(e => e.event === 'reset'), 'an empty one is none');
        stream.close();
    });

    test('an event may be committed long after a later one: neither is late for it, neither is lost', async () => {
        const stream = await ann.stream().opened();
        const holder = kiln.session();
        await holder.say('begin;');
        await holder.say(`select kiln.enqueue('log', '{"is": "held"}', ${account});`);
        const held = /^\d+$/m.exec(holder.text)[0];
        const from = await make(5);
        await all_of(stream, from);     // none waits for the transaction that is open
        const position = stream.events.at(-1).id;
        await pause(2500);      // the pump has long fallen asleep behind it
        const more = await make(2);
        await all_of(stream, more);
        assert.ok(!jobs_of(stream).includes(held));
        await holder.say('commit;');
        await stream.sees('the held one', e => e.data.job_id === held);
        const resumed = await ann.stream({ last: position }).opened();
        await all_of(resumed, [...more, held]);
        const [last] = await make();
        await Promise.all([all_of(stream, [last]), all_of(resumed, [last])]);
        assert.deepEqual(jobs_of(resumed).sort(), [...more, held, last].sort());
        assert.equal(jobs_of(stream).filter(id => id === held).length, 1);
        await holder.end();
        stream.close();
        resumed.close();
    });

    test('writers at once, commits in any order: ten clients see every event once, also one that keeps breaking off', async () => {
        const carol = kiln.user('carol');
        const whose = await carol.account();
        const streams = await Promise.all(Array.from({ length: 10 }, () => carol.stream().opened()));
        const restless = await carol.stream({ resume: true, retry_ms: 5 }).opened();
        const breaking = setInterval(() => restless.request.destroy(), 60);
        await Promise.all(Array.from({ length: 8 }, async (_, w) => {
            const writer = kiln.session();
            for (let i = 0; i < 25; i++) await writer.say(`begin; select kiln.enqueue('log', '{}', ${whose}); select pg_sleep(${(w * 7 + i * 3) % 20 / 1000}); ${i % 5 === 4 ? 'rollback' : 'commit'};`);
            await writer.end();
        }));
        clearInterval(breaking);
        const log = await kiln.log(whose);
        assert.equal(log.length, 160);
        for (const stream of [...streams, restless]) {
            await until('all events', () => stream.log().length >= log.length);
            assert.deepEqual(stream.log(), log);
            stream.close();
        }
        assert.ok(restless.links > 5, `it came back ${restless.links} times`);
    });

    // One statement read and rendered all of a batch: an announcement to a hundred thousand accounts took it longer than it may, every time, and no
    // stream of any process got anything any more. Now a batch of any size is read 2,000 events at a time.
    test('a transaction of twelve thousand events is read in pieces: who listens, joins or asks meanwhile has each of its own once', { timeout: 60000 }, async () => {
        const cara = kiln.user('cara');
        const whose = await cara.account();
        const early = cara.stream({ resume: true });
        await early.opened();
        const from = early.events[0].id;
        const waiting = cara.call('GET', `/events/poll?after=${from}&timeout=40`);
        const operator = kiln.user('watcher', { role: 'admin' });
        const watcher = await operator.stream({ path: '/api/v1/admin/events', resume: true }).opened();
        const reads = async () => Number(/kiln_bus_reads_total (\d+)/.exec((await request(kiln.url, 'GET', '/metrics')).text)[1]);
        await until('the poll to wait', async () => await kiln.value(`select sum(poll) from kiln.instance where ended_at is null`) !== '0', 15000);
        const was = await reads();
        await kiln.psql(`insert into kiln.event (account_id, type, data) select case n % 100 when 1 then ${whose} else ${others} end, 'billing.changed', jsonb_build_object('reason', translate(n::text, '0123456789', 'abcdefghij'))
            from generate_series(1, 12000) n; select kiln_internal.notify_waiters(null)`);
        const late = [];
        await until('the last of them', async () => {
            const seen = early.events.filter(e => e.event === 'billing.changed').length;
            if (late.length < 18) late.push(cara.stream({ last: from }), cara.stream({ last: early.last }), cara.stream());
            return seen >= 120;
        }, 40000);
        for (const stream of late) await stream.opened();
        assert.ok(await reads() >= was + 6, 'in pieces');
        await kiln.psql(`insert into kiln.event (account_id, type, data) values (${whose}, 'billing.changed', '{"reason": "end"}'); select kiln_internal.notify_waiters(null)`);
        const told = stream => stream.events.filter(e => e.event === 'billing.changed').map(e => e.data.reason);
        const word = n => String(n).replace(/\d/g, digit => 'abcdefghij'[digit]);
        const all = [...Array.from({ length: 120 }, (_, i) => word(i * 100 + 1)), 'end'];
        for (const stream of [early, ...late]) await stream.sees('the end', e => e.data.reason === 'end');
        assert.deepEqual(told(early), all);
        for (const stream of late) assert.deepEqual(told(stream), all.slice(all.length - told(stream).length), 'a tail without a hole');
        assert.deepEqual(told(late[0]), all);
        const answer = await waiting;
        assert.deepEqual(answer.json.events.map(e => e.reason), all.slice(0, 100), 'the poll');
        await watcher.sees('the end', e => e.data.reason === 'end' && e.data.account_id === whose);
        assert.deepEqual(told(watcher), [...Array.from({ length: 12000 }, (_, i) => word(i + 1)), 'end'], 'who watches all');
        for (const stream of [early, watcher, ...late]) stream.close();
    });

    test('a ticket opens it without a token in the address; a forged one does not', async () => {
        const { status, json } = await ann.call('POST', '/stream-tickets');
        assert.equal(status, 201);
        assert.ok(Date.parse(json.expires_at) > Date.now());
        for (let i = 0; i < 2; i++) {           // EventSource comes back with the same address
            const stream = await ann.stream({ token: undefined, ticket: json.ticket }).opened();
            const [id] = await make();
            await all_of(stream, [id]);
            stream.close();
        }
        const forged = `${json.ticket.slice(0, -1)}${json.ticket.endsWith('0') ? '1' : '0'}`;
        for (const target of [`/api/v1/events?ticket=${forged}`, '/api/v1/events?ticket=', '/api/v1/events']) {
            const answer = await request(kiln.url, 'GET', target);
            assert.ok([401, 403].includes(answer.status), `${target}: ${answer.status}`);
            assert.match(answer.headers['content-type'], /problem\+json/);
        }
        assert.equal((await request(kiln.url, 'GET', `/api/v1/generations?ticket=${json.ticket}`)).status, 401, 'it serves streams only');
        assert.ok(!kiln.main.output.includes(json.ticket), 'and stands in no log');
    });

    test('ends when its token does, and says why; a ticket of that token lives no longer', async () => {
        const brief = kiln.user('ann', { exp: in_seconds(3) });
        const { json } = await brief.call('POST', '/stream-tickets');
        assert.ok(Date.parse(json.expires_at) <= Date.now() + 3000);
        const [by_token, by_ticket] = await Promise.all([brief.stream().opened(), brief.stream({ token: undefined, ticket: json.ticket }).opened()]);
        await until('both to end', () => by_token.is_over && by_ticket.is_over, 8000);
        assert.ok(by_token.comments.some(c => /expired/.test(c.text)));
        assert.equal((await request(kiln.url, 'GET', `/api/v1/events?ticket=${json.ticket}`)).status, 403);
        assert.equal((await brief.call('GET', '/events')).status, 401);
    });

    test('a slow reader is cut, delays nobody, and on coming back has everything', { timeout: 60000 }, async () => {
        const dora = kiln.user('dora');
        const whose = await dora.account();
        const quick = await dora.stream({ resume: true }).opened();
        // A client of its own that stops reading: the kernel's buffers fill, then the server's bounded queue.
        const socket = net.connect({ port: kiln.main.port, host: '127.0.0.1', highWaterMark: 1024 });
        socket.write(`GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${dora.token}\r\n\r\n`);
        let text = '', is_closed = false;
        socket.on('data', bytes => { text += bytes; }).on('close', () => { is_closed = true; }).on('error', () => {});
        await until('ready', () => /event: ready[\s\S]*\n\n/.test(text));
        socket.pause();
        const cut = async () => Number(/kiln_slow_readers_cut_total (\d+)/.exec((await request(kiln.url, 'GET', '/metrics')).text)[1]);
        let made = 0;
        const was = await cut();
        while (await cut() === was) {
            assert.ok(made < 20000, 'it was never cut');
            await kiln.psql(`select count(*) from (select kiln.enqueue('log', '{}', ${whose}) from generate_series(1, 100)) j`);
            made += 100;
            await until('the quick one to have them', () => jobs_of(quick).length === made, 15000);
        }
        socket.resume();
        await until('the end of the slow one', () => is_closed);
        const body = text.replace(/\r\n[0-9a-f]+\r\n/g, '');
        const last = [...text.matchAll(/^id: (.*)$/gm)].at(-1)[1].trim();
        const got = [...body.matchAll(/"job_id" ?: ?"(\d+)"/g)].map(match => match[1]);
        const back = await dora.stream({ last }).opened();
        await until('the rest', () => new Set([...got, ...jobs_of(back)]).size === made, 20000);
        assert.ok(jobs_of(back).length < made, 'it did not begin anew');
        assert.equal(quick.links, 1, 'the quick one was never cut');
        assert.ok(!back.events.some(e => e.event === 'reset'));
        quick.close();
        back.close();
    });

    test('how far a job is does not fill the queue of a slow reader: it gets the latest, then the end, and is not cut', { timeout: 60000 }, async () => {
        const erin = kiln.user('erin');
        const whose = await erin.account();
        const quick = await erin.stream({ resume: true }).opened();
        const [job, other] = (await kiln.psql(`select kiln.enqueue('log', '{}', ${whose}) from generate_series(1, 2)`)).split('\n');
        const socket = net.connect({ port: kiln.main.port, host: '127.0.0.1', highWaterMark: 1024 });
        socket.write(`GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${erin.token}\r\n\r\n`);
        let text = '', is_closed = false;
        socket.on('data', bytes => { text += bytes; }).on('close', () => { is_closed = true; }).on('error', () => {});
        await until('ready', () => /event: ready[\s\S]*\n\n/.test(text));
        socket.pause();
        const cut = async () => Number(/kiln_slow_readers_cut_total (\d+)/.exec((await request(kiln.url, 'GET', '/metrics')).text)[1]);
        const was = await cut();
        const label = 'a'.repeat(900);
        const rounds = 20, each = 1000;             // 20 MiB: more than the kernel takes for who does not read
        for (let round = 1; round <= rounds; round++) {
            await kiln.psql(`insert into kiln.event (account_id, job_id, version, type, data)
                select ${whose}, case n % 2 when 0 then ${job} else ${other} end, 2, 'job.progress', jsonb_build_object('stage', 1, 'fraction', 0.5, 'label', '${round} ${label}') from generate_series(1, ${each}) n;
                select kiln_internal.notify_waiters(null)`);
            await until('the quick one to be so far', () => quick.events.at(-1)?.data.progress?.label.startsWith(`${round} `), 15000);
        }
        await kiln.psql(`select kiln.cancel_job(${job})`);
        await quick.sees('the end', e => e.event === 'job.cancelled');
        assert.equal(await cut(), was, 'nobody was cut');
        assert.equal(is_closed, false);
        socket.resume();
        await until('the end', () => /event: job\.cancelled[\s\S]*\n\n/.test(text));
        const events = text.replace(/\r\n([0-9a-f]+\r\n)?/g, '').split('\n\n').filter(block => block.includes('data: {')).map(block => JSON.parse(/^data: (.*)$/m.exec(block)[1]));
        const own = events.filter(event => event.job_id === job);
        assert.deepEqual(own.slice(-2).map(event => event.progress?.label.split(' ')[0] ?? event.type), [String(rounds), 'job.cancelled'], 'the latest, then the end');
        assert.equal(events.filter(event => event.job_id === other).at(-1).progress.label.split(' ')[0], String(rounds), 'of each job');
        assert.ok(own.length < rounds * each / 2, `${own.length} of ${rounds * each / 2}`);
        const order = own.filter(event => event.progress).map(event => Number(event.progress.label.split(' ')[0]));
        assert.deepEqual(order, order.toSorted((a, b) => a - b));
        socket.destroy();
        quick.close();
    });

    test('who is suspended in the moment of opening a stream is refused or cut, whichever comes first', async () => {
        const awake = await ann.stream().opened();
        const people = Array.from({ length: 80 }, (_, i) => kiln.user(`racer-${i}`));
        const ids = await Promise.all(people.map(person => person.account()));
        const streams = [];
        for (const [i, person] of people.entries()) {
            const stream = person.stream();
            streams.push(stream);
            await pause(i % 8);
            await kiln.psql(`select kiln.suspend(${ids[i]})`);
        }
        const open = () => streams.filter(stream => !stream.is_over).length;
        await until('all to be refused or cut', () => open() === 0, 5000).catch(error => { throw new Error(`${open()} of ${streams.length} go on: ${error.message}`); });
        awake.close();
    });

    test('HTTP/1.0 is told that it needs another version, not shown lengths as text', async () => {
        const text = await new Promise((resolve, reject) => {
            const socket = net.connect(kiln.main.port, '127.0.0.1');
            let all = '';
            socket.on('data', bytes => { all += bytes; }).on('end', () => resolve(all)).on('error', reject);
            socket.write(`GET /api/v1/events HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer ${ann.token}\r\n\r\n`);
        });
        assert.match(text, /^HTTP\/1\.[01] 505 /);
        assert.match(text, /problem\+json/);
    });

    test('a heartbeat comes at least every 20 s where nothing else does', { timeout: 45000 }, async () => {
        const stream = await bob.stream().opened();
        const opened = Date.now();
        const before = stream.comments.length;
        await until('a heartbeat', () => stream.comments.length > before, 20000);
        assert.ok(Date.now() - opened <= 20000);
        assert.ok(!stream.is_over);
        stream.close();
    });
});

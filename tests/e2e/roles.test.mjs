// Roles apart: two processes of api and two of realtime. They find each other, prove the bus, and stand in for each other.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { begin, request, Stream, until } from './lib.mjs';

describe('two api and two realtime', () => {
    let kiln, apis, realtimes;
    const key = 'the key of administration, for tests';
    const start = role => kiln.server({ args: ['--role', role], env: { KILN_ADMIN_KEY: key } });
    const instance = async server => (await kiln.rows(`select * from kiln.instance where pid = ${server.pid}`))[0];
    const seen = async server => (await kiln.rows(`select i.* from kiln.instances i join kiln.instance n on n.instance_id = i.id where n.pid = ${server.pid}`))[0];
    const proof = server => until(`the proof of ${server.pid}`, async () => { const row = await instance(server); return row?.proof_at && row; });
    const user = (name, api) => {
        const person = kiln.user(name);
        const call = person.call.bind(person);
        person.call = (method, target, body, more) => call(method, target, body, { base: api.url, ...more });
        return person;
    };

    before(async () => {
        kiln = await begin({ server: false });
        apis = [await start('api'), await start('api')];
        await Promise.all(apis.map(proof));
        realtimes = [await start('realtime')];
        await proof(realtimes[0]);
        realtimes.push(await start('realtime'));
        kiln.url = apis[0].url;
    });
    after(() => kiln?.end());

    test('an api that starts before any realtime says that nobody is there, and is ready all the same', async () => {
        assert.equal((await request(apis[0].url, 'GET', '/readyz')).status, 200);
        assert.equal(apis[0].logged('nobody else is there to prove the bus with').length, 1);
        assert.equal((await seen(apis[0])).proof, 'nobody');
    });

    for (const n of [0, 1]) test(`realtime ${n + 1} has its ten pings answered, by both apis, and each side logs each with its time`, async () => {
        const row = await proof(realtimes[n]);
        assert.equal(row.proof_pongs, 10);
        const ids = await Promise.all(apis.map(async api => (await instance(api)).instance_id));
        assert.deepEqual(row.proof_by, ids);
        const pongs = realtimes[n].logged('pong');
        assert.deepEqual(pongs.map(line => line.ping), ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
        for (const api of apis) {
            const { instance_id } = await instance(api);
            const own = pongs.filter(line => line.answered_by === String(instance_id));
            assert.equal(own.length, 5, 'half of them');
            assert.ok(own.every(line => line.at.endsWith(`:${api.port}`)));
            const answers = await until('the answering side to have logged all', () => { const lines = api.logged('ping answered').filter(line => line.asked_by === String(row.instance_id)); return lines.length === 5 && lines; });
            for (const line of answers) assert.equal(line.round_trip_ms, own.find(pong => pong.ping === line.ping).round_trip_ms, 'both tell the same time');
        }
        const [line] = realtimes[n].logged('the bus is proved');
        assert.deepEqual([line.pongs, line.by], ['10', ids.join()]);
        assert.ok(Number(line.p50_ms) > 0 && Number(line.p50_ms) < 250, `a wakeup brought them, not the look after 300 ms: ${line.p50_ms}`);
    });

    test('an api that starts has its pings answered by both realtimes; one that leaves says so', async () => {
        const third = await start('api');
        const row = await proof(third);
        assert.equal(row.proof_pongs, 10);
        assert.deepEqual(row.proof_by, await Promise.all(realtimes.map(async server => (await instance(server)).instance_id)));
        await third.stop();
        assert.equal((await seen(third)).state, 'left');
    });

    test('a process has its own routes only; health is everybody\'s', async () => {
        const ann = kiln.user('ann');
        assert.equal((await ann.call('GET', '/events', undefined, { base: apis[0].url })).status, 404);
        assert.equal((await ann.call('GET', '/generations', undefined, { base: realtimes[0].url })).status, 404);
        for (const server of [...apis, ...realtimes]) assert.equal((await request(server.url, 'GET', '/readyz')).status, 200);
    });

    test('a message goes user, api 1, PostgreSQL, realtime 1 and 2, every device of the recipient; kiln.instances counts them', async () => {
        const ann = user('ann', apis[0]), bob = user('bob', apis[1]);
        const bobs = await bob.account();
        await kiln.psql(`update kiln.account set handle = 'roles_bob' where account_id = ${bobs}`);
        const devices = await Promise.all([realtimes[1], realtimes[1], realtimes[0]].map(server => bob.stream({ base: server.url }).opened()));
        const made = await ann.call('POST', '/conversations', { account_id: bobs });
        assert.equal(made.status, 201, made.text);
        const sent = await ann.call('POST', `/conversations/${made.json.id}/messages`, { text: 'across' });
        assert.equal(sent.status, 201, sent.text);
        for (const device of devices) {
            const event = await device.sees('the message', e => e.event === 'message.created');
            assert.equal(event.data.message.text, 'across');
            assert.equal(device.events.filter(e => e.event === 'message.created').length, 1);
        }
        await until('the counts of both', async () => (await seen(realtimes[1])).streams === '2/0/0' && (await seen(realtimes[0])).streams === '1/0/0');
        devices.forEach(device => device.close());
    });

    // --- everybody's events

    const enqueue = (whose, n = 1) => kiln.psql(`select kiln.enqueue('log', '{}', ${whose}) from generate_series(1, ${n})`).then(text => text.split('\n'));
    const watch = (query = '', more = {}) => new Stream(kiln, { base: realtimes[0].url, path: `/api/v1/admin/events${query}`, headers: { 'X-API-Key': key }, ...more });
    const heard = stream => stream.events.filter(e => e.data.account_id).map(e => `${e.data.account_id} ${e.event} ${e.data.job_id}`);

    test('the admin stream is opened by the key and by an admin\'s token, and by nobody else', async () => {
        const target = `${realtimes[0].url}/api/v1/admin/events`;
        const admin = kiln.user('root', { role: 'admin' });
        const status = async (query, headers) => (await request(realtimes[0].url, 'GET', `${target}${query}`, { headers })).status;
        assert.equal(await status('', {}), 401);
        assert.equal(await status('', { 'X-API-Key': `${key}.` }), 401);
        assert.equal(await status('', { Authorization: `Bearer ${kiln.user('ann').token}` }), 403);
        for (const query of ['?kind=job.done', '?kind=', '?state=done', '?account=ann', '?account=-1', '?account=0', '?kind=job.queued,']) assert.equal(await status(query, { 'X-API-Key': key }), 400, query);
        assert.equal((await request(realtimes[0].url, 'POST', target, { headers: { 'X-API-Key': key } })).headers.allow, 'GET', 'not HEAD, which would open a stream nobody reads');
        assert.equal((await request(apis[0].url, 'GET', '/api/v1/admin/events', { headers: { 'X-API-Key': key } })).status, 404);
        await (await watch('', { headers: {}, token: admin.token }).opened()).sees('an event', e => e.event === 'ready');
    });

    test('it brings every account\'s events with their accounts; kind, state and account filter it', async () => {
        const [ann, bob] = await Promise.all(['ann', 'bob'].map(name => user(name, apis[0]).account()));
        const [all, bobs, cancelled, states, none] = await Promise.all(['', `?account=${bob}`, '?kind=job.cancelled,job.failed', `?state=queued&account=${ann}`, '?kind=billing.changed'].map(query => watch(query).opened()));
        const [a] = await enqueue(ann);
        const [b] = await enqueue(bob);
        await kiln.psql(`select kiln.cancel_job(${a})`);
        const [last] = await enqueue(bob);
        await until('the last', () => heard(all).at(-1) === `${bob} job.queued ${last}`);
        assert.deepEqual(heard(all), [`${ann} job.queued ${a}`, `${bob} job.queued ${b}`, `${ann} job.cancelled ${a}`, `${bob} job.queued ${last}`]);
        await until('bob\'s', () => heard(bobs).length === 2);
        assert.deepEqual(heard(bobs), [`${bob} job.queued ${b}`, `${bob} job.queued ${last}`]);
        await until('the others', () => heard(cancelled).length && heard(states).length);
        assert.deepEqual(heard(cancelled), [`${ann} job.cancelled ${a}`]);
        assert.deepEqual(heard(states), [`${ann} job.queued ${a}`]);
        assert.deepEqual(heard(none), []);
        for (const stream of [all, bobs, cancelled, states, none]) stream.close();
    });

    test('it goes on after any event of a batch of several accounts, at another process too, also with a filter', async () => {
        const [ann, bob] = await Promise.all(['ann', 'bob'].map(name => user(name, apis[0]).account()));
        const first = await watch().opened();
        const begun = first.events[0].id;
        // One transaction, two accounts by turns: where one account's last event is not the batch's.
        await kiln.psql(`select kiln.enqueue('log', '{}', case when n % 3 = 0 then ${ann} else ${bob} end) from generate_series(1, 20) n; `);
        await enqueue(ann, 2);
        await until('all', () => heard(first).length === 22);
        const events = first.events.slice(1);
        const streams = events.map(event => watch('', { base: realtimes[1].url, last: event.id }));
        const filtered = watch(`?account=${ann}&kind=job.queued`, { base: realtimes[1].url, last: begun });
        const [last] = await enqueue(bob), [anns] = await enqueue(ann);
        for (const [i, stream] of streams.entries()) {
            await until('the last', () => heard(stream).at(-1) === `${ann} job.queued ${anns}`);
            assert.deepEqual(heard(stream), [...heard(first).slice(i + 1, 22), `${bob} job.queued ${last}`, `${ann} job.queued ${anns}`], `after event ${i + 1}`);
        }
        await until('ann\'s', () => heard(filtered).length === 9);
        assert.deepEqual(heard(filtered), [...heard(first), `${ann} job.queued ${anns}`].filter(line => line.startsWith(`${ann} `)).filter((line, i, all) => all.indexOf(line) === i));
        for (const stream of [first, filtered, ...streams]) stream.close();
    });

    test('the end of a session is told live and in a replay, of one account as of all; the account itself is told neither', async () => {
        const ann = user('ann', apis[0]);
        const account = await ann.account();
        const [all, one] = await Promise.all([watch().opened(), watch(`?account=${account}`).opened()]);
        const own = await ann.stream({ base: realtimes[0].url }).opened();
        const begun = [all, one, own].map(stream => stream.events[0].id);
        await kiln.arrange(`select kiln_internal.end_sessions(${account}, 'for a test')`);
        const [job] = await enqueue(account);
        const ended = stream => stream.events.filter(e => e.event === 'session.ended').map(e => `${e.data.account_id} ${e.data.reason}`);
        const again = [watch('', { last: begun[0] }), watch(`?account=${account}`, { last: begun[1] }), watch('?kind=session.ended', { last: begun[0] })];
        for (const stream of [all, one, ...again]) {
            await stream.sees('the end', e => e.event === 'session.ended');
            assert.deepEqual(ended(stream), [`${account} for a test`]);
        }
        await until('its own stream to end', () => own.is_over);
        const back = await ann.stream({ base: realtimes[1].url, last: begun[2] }).opened();
        await back.sees('what came behind it', e => e.data.job_id === job);
        assert.deepEqual([...ended(own), ...ended(back)], []);
        for (const stream of [all, one, ...again, back]) stream.close();
    });

    // The stream stayed open, with everybody's events, until the token ended.
    test('who is no administrator any more sees no more of everybody', async () => {
        const eva = user('eva', apis[0]);
        const account = await eva.account();
        await kiln.psql(`select kiln.set_role(${account}, 'admin')`);
        const open = () => eva.stream({ base: realtimes[0].url, path: '/api/v1/admin/events' });
        const stream = await open().opened();
        assert.equal(stream.status, 200);
        await kiln.psql(`select kiln.set_role(${account}, 'user')`);
        await until('its end', () => stream.is_over);
        const again = open();
        await until('an answer', () => again.is_over);
        assert.equal(again.status, 403);
    });

    test('a long way back, of which the filter leaves two, is brought page by page; what cannot be a position is answered by reset', async () => {
        const ann = await user('ann', apis[0]).account();
        const { id } = (await watch().opened()).events[0];
        const [a] = await enqueue(ann, 700);
        await kiln.psql(`select kiln.cancel_job(${a})`);
        const [, z] = await enqueue(ann, 700);
        await kiln.psql(`select kiln.cancel_job(${z})`);
        const stream = await watch('?kind=job.cancelled', { base: realtimes[1].url, last: id, resume: true }).opened();
        await until('both', () => heard(stream).length === 2);
        assert.deepEqual(heard(stream), [`${ann} job.cancelled ${a}`, `${ann} job.cancelled ${z}`]);
        const all = await watch('', { base: realtimes[1].url, last: id }).opened();
        await until('all', () => heard(all).length === 1402);
        assert.equal(new Set(heard(all)).size, 1402);
        const lost = await watch('', { last: 'nonsense' }).opened();
        await lost.sees('reset', e => e.event === 'reset');
        for (const each of [stream, all, lost]) each.close();
    });

    test('kill -9 of a realtime: its clients go on at the other with nothing lost or repeated, and kiln.instances tells', { timeout: 60000 }, async () => {
        const dora = user('dora', apis[0]);
        const account = await dora.account();
        const streams = await Promise.all(Array.from({ length: 5 }, () => dora.stream({ base: realtimes[0].url, resume: true }).opened()));
        const staying = await dora.stream({ base: realtimes[1].url }).opened();
        const watching = await watch(`?account=${account}`, { resume: true }).opened();
        await enqueue(account, 3);
        await until('the first events', () => streams.every(stream => stream.events.length > 3));
        const dead = realtimes[0];
        for (const stream of [...streams, watching]) stream.base = realtimes[1].url;
        const writing = (async () => { for (let i = 0; i < 20; i++) await enqueue(account, 2); })();
        await dead.kill();
        await writing;
        const log = await kiln.log(account);
        assert.equal(log.length, 43);
        for (const stream of [...streams, staying, watching]) {
            await until('all events', () => stream.log().length >= log.length);
            assert.deepEqual(stream.log(), log);
            assert.ok(!stream.events.some(e => e.event === 'reset'));
        }
        assert.ok(streams.every(stream => stream.links === 2));
        await until('its death to be seen', async () => (await seen(dead)).state === 'expired', 10000);
        assert.equal((await seen(dead)).streams, null);
        await until('the other to serve all of them', async () => (await seen(realtimes[1])).streams === '7/0/0');
        for (const stream of [...streams, staying, watching]) stream.close();

        realtimes[0] = await start('realtime');
        const row = await proof(realtimes[0]);
        assert.equal(row.proof_pongs, 10, 'whoever comes in its place proves the bus anew');
    });

    test('kill -9 of an api in the midst of a proof: the other answers what it left', { timeout: 60000 }, async () => {
        // It is stopped rather than gone, so that it counts as alive and the next ping is left to it; then killed.
        apis[1].signal('SIGSTOP');
        const third = await start('realtime');
        const row = await proof(third);
        assert.equal(row.proof_pongs, 10);
        assert.deepEqual(row.proof_by, [(await instance(apis[0])).instance_id]);
        await apis[1].kill();
        assert.equal((await kiln.user('ann').call('GET', '/generations', undefined, { base: apis[0].url })).status, 200);
        await until('its death to be seen', async () => (await seen(apis[1])).state === 'expired', 10000);
        await third.stop();
        apis[1] = await start('api');
        assert.equal((await proof(apis[1])).proof_pongs, 10);
    });

    test('a restart of PostgreSQL: the same instances are alive again, the streams go on', { timeout: 60000 }, async () => {
        const eve = user('eve', apis[1]);
        const account = await eve.account();
        const stream = await eve.stream({ base: realtimes[0].url, resume: true }).opened();
        const before = await Promise.all([...apis, ...realtimes].map(instance));
        await kiln.psql(`select kiln.enqueue('log', '{}', ${account})`);
        await kiln.restart_database();
        await kiln.psql(`select kiln.enqueue('log', '{}', ${account})`);
        await until('both events', () => stream.log().length === 2);
        for (const [i, server] of [...apis, ...realtimes].entries()) {
            await until('a beat after it', async () => Date.parse((await instance(server)).beat_at) > Date.parse(before[i].beat_at) && (await seen(server)).state === 'alive');
            assert.equal((await instance(server)).instance_id, before[i].instance_id);
        }
        stream.close();
    });
});

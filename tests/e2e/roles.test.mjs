// Roles apart: two processes of api and two of realtime. They find each other, prove the bus, and stand in for each other.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { begin, request, until } from './lib.mjs';

describe('two api and two realtime', () => {
    let kiln, apis, realtimes;
    const start = role => kiln.server({ args: ['--role', role] });
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
        assert.ok(Number(line.p50_ms) > 0 && Number(line.p50_ms) < 250, `a bell brought them, not the look after 300 ms: ${line.p50_ms}`);
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

    test('kill -9 of a realtime: its clients go on at the other with nothing lost or repeated, and kiln.instances tells', { timeout: 60000 }, async () => {
        const dora = user('dora', apis[0]);
        const account = await dora.account();
        const streams = await Promise.all(Array.from({ length: 5 }, () => dora.stream({ base: realtimes[0].url, resume: true }).opened()));
        const staying = await dora.stream({ base: realtimes[1].url }).opened();
        const enqueue = n => kiln.psql(`select kiln.enqueue('log', '{}', ${account}) from generate_series(1, ${n})`);
        await enqueue(3);
        await until('the first events', () => streams.every(stream => stream.events.length > 3));
        const dead = realtimes[0];
        for (const stream of streams) stream.base = realtimes[1].url;
        const writing = (async () => { for (let i = 0; i < 20; i++) await enqueue(2); })();
        await dead.kill();
        await writing;
        const log = await kiln.log(account);
        assert.equal(log.length, 43);
        for (const stream of [...streams, staying]) {
            await until('all events', () => stream.log().length >= log.length);
            assert.deepEqual(stream.log(), log);
            assert.ok(!stream.events.some(e => e.event === 'reset'));
        }
        assert.ok(streams.every(stream => stream.links === 2));
        await until('its death to be seen', async () => (await seen(dead)).state === 'dead', 10000);
        assert.equal((await seen(dead)).streams, null);
        await until('the other to serve all of them', async () => (await seen(realtimes[1])).streams === '6/0/0');
        for (const stream of [...streams, staying]) stream.close();

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
        await until('its death to be seen', async () => (await seen(apis[1])).state === 'dead', 10000);
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

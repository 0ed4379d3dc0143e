// Who is online, told by two processes that know nothing of each other; one of them dies.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { begin, pause, request, until } from './lib.mjs';

const grace_ms = 1500;

describe('presence', () => {
    let kiln, one, two, people, group;
    before(async () => {
        kiln = await begin({ server: false });
        await kiln.psql(`update kiln.config set presence_grace = '${grace_ms} milliseconds'; alter database kiln set track_functions = 'pl'`);
        one = await kiln.server();
        two = await kiln.server({ args: ['--role', 'realtime'] });
        people = Object.fromEntries(['ann', 'bob', 'cat', 'dan', 'eve'].map(name => [name, kiln.user(name)]));
        for (const [name, person] of Object.entries(people)) await kiln.psql(`update kiln.account set handle = '${name}' where account_id = ${await person.account()}`);
        group = (await people.ann.call('POST', '/conversations', { members: [people.bob, people.cat, people.dan].map(p => p.account_id) })).json.id;
        await people.ann.call('POST', '/conversations', { account_id: people.bob.account_id });
    });
    after(() => kiln?.end());

    const open = (name, server, more) => people[name].stream({ base: server.url, ...more }).opened();
    const heard = (stream, name) => stream.events.filter(e => e.event === 'presence' && e.data.account.handle === name).map(e => e.data.state);
    const hears = (stream, name, states, ms) => until(`${states} of ${name} (${heard(stream, name)})`, () => heard(stream, name).length >= states.length && heard(stream, name), ms).then(list => assert.deepEqual(list, states));
    const is_settled = (name, is_online) => until(`${name} to be known as ${is_online}`, async () => await kiln.value(`select is_online from kiln.presence where account_id = ${people[name].account_id} and due_at is null`) === (is_online ? 't' : 'f'));
    const member = async (viewer, name) => (await people[viewer].get(`/conversations/${group}/members`)).items.find(item => item.handle === name).presence;

    test('who comes, at whichever process, is told to those who share a conversation, and shown', async () => {
        const [bob, eve] = [await open('bob', two), await open('eve', two)];
        await is_settled('bob', true);
        const ann = await open('ann', one);
        await hears(bob, 'ann', ['online']);
        assert.deepEqual(bob.events.find(e => e.event === 'presence').data.account, { id: people.ann.account_id, handle: 'ann', display_name: null });
        assert.equal(bob.events.find(e => e.event === 'presence').id, undefined, 'without a position');
        assert.deepEqual(await member('bob', 'ann'), { state: 'online', last_seen_at: null });
        assert.deepEqual((await people.ann.get('/conversations')).items.map(item => item.presence), [{ state: 'online', last_seen_at: null }, null]);
        assert.equal((await member('bob', 'dan')).state, 'offline');
        await hears(ann, 'bob', ['online']);        // he came just before her: she may have asked before that was known
        assert.deepEqual(eve.events.filter(e => e.event === 'presence'), [], 'a stranger hears nothing');
        for (const stream of [bob, eve, ann]) stream.close();
    });

    test('the last of several streams counts, of any kind; a client that is back in time was never away', async () => {
        const bob = await open('bob', two);
        const first = await open('ann', one);
        await is_settled('ann', true);
        const base = heard(bob, 'ann').length;
        const socket = new WebSocket(`${two.url.replace('http', 'ws')}/api/v1/ws`, { headers: { Authorization: `Bearer ${people.ann.token}` } });
        await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
        const at = await until('the second to be told', () => kiln.value(`select count(*) from kiln.audience where account_id = ${people.ann.account_id} having count(*) = 2`));
        assert.ok(at);
        first.close();
        await pause(grace_ms + 1500);               // a claim that nothing comes, after which it would have
        assert.equal(heard(bob, 'ann').length, base);
        socket.close();
        await until('the close to be told', async () => await kiln.value(`select count(*) from kiln.audience where account_id = ${people.ann.account_id}`) === '0');
        const again = await open('ann', one);
        await is_settled('ann', true);
        assert.equal(heard(bob, 'ann').length, base, 'no flicker');
        const left = Date.now();
        again.close();
        await until('her end', () => heard(bob, 'ann').at(-1) === 'offline', 15000);
        const { data } = bob.events.findLast(e => e.event === 'presence');
        assert.ok(Math.abs(Date.parse(data.last_seen_at) - left) < 2500, data.last_seen_at);
        assert.ok(Date.now() - left >= grace_ms, 'after the grace');
        assert.deepEqual(await member('bob', 'ann'), { state: 'offline', last_seen_at: data.last_seen_at });
        bob.close();
    });

    test('who waits in a long poll is there too', async () => {
        const bob = await open('bob', two);
        const { json } = await people.cat.call('GET', '/events/poll', undefined, { base: one.url });
        const waiting = people.cat.call('GET', `/events/poll?after=${encodeURIComponent(json.position)}&timeout=2`, undefined, { base: one.url });
        await hears(bob, 'cat', ['online']);
        await waiting;
        await hears(bob, 'cat', ['online', 'offline']);
        bob.close();
    });

    test('who hides is offline for others at once, and hears and sees nobody', async () => {
        const [bob, ann] = [await open('bob', two), await open('ann', two)];
        await is_settled('ann', true);
        await until('her', () => heard(bob, 'ann').at(-1) === 'online');
        assert.equal((await people.ann.call('PATCH', '/me', { show_presence: false })).json.show_presence, false);
        await until('her end', () => heard(bob, 'ann').at(-1) === 'offline');
        assert.equal(bob.events.findLast(e => e.event === 'presence').data.last_seen_at, null);
        assert.deepEqual([await member('bob', 'ann'), await member('ann', 'bob')], [null, null]);
        const before = heard(ann, 'cat').length;
        const cat = await open('cat', one);
        await until('another', () => heard(bob, 'cat').at(-1) === 'online');
        assert.equal(heard(ann, 'cat').length, before);
        await people.ann.call('PATCH', '/me', { show_presence: true });
        await until('her', () => heard(bob, 'ann').at(-1) === 'online');
        for (const stream of [bob, ann, cat]) stream.close();
    });

    test('three hundred at once are a few statements', async () => {
        const calls = async () => Number(await kiln.value(`select calls from pg_stat_user_functions where funcname = 'report_audience'`) ?? 0);
        const crowd = Array.from({ length: 300 }, (_, i) => kiln.user(`crowd-${i}`));
        await Promise.all(crowd.map(person => person.call('GET', '/me')));
        const before = await calls();
        const streams = crowd.map(person => person.stream({ base: two.url }));
        await Promise.all(streams.map(stream => stream.opened()));
        const listening = `select count(*) from kiln.audience a join kiln.identity i using (account_id) join kiln.presence p using (account_id) where i.subject like 'crowd-%' and p.is_online`;
        await until('all to be told', async () => await kiln.value(listening) === '300');
        for (const stream of streams) stream.close();
        await until('all to be gone', async () => await kiln.value(`select count(*) from kiln.audience a join kiln.identity i using (account_id) where i.subject like 'crowd-%'`) === '0');
        const after = await calls();
        assert.ok(after - before <= 20, `${after - before} statements`);
    });

    test('kill -9 of a process: who goes on at the other was never away, who does not goes offline', { timeout: 60000 }, async () => {
        const watching = await open('bob', one);
        const [ann, dan] = [await open('ann', two, { resume: true }), await open('dan', two)];
        await is_settled('ann', true);
        await is_settled('dan', true);
        await until('both', () => heard(watching, 'dan').at(-1) === 'online' && heard(watching, 'ann').at(-1) === 'online');
        const base = heard(watching, 'ann').length;
        ann.base = one.url;
        await two.kill();
        await until('his end', () => heard(watching, 'dan').at(-1) === 'offline', 20000);
        const seen = Date.parse(watching.events.findLast(e => e.event === 'presence').data.last_seen_at);
        assert.ok(seen <= Date.now() && seen > Date.now() - 20000);
        assert.equal(heard(watching, 'ann').length, base, 'no flicker');
        assert.deepEqual([(await member('bob', 'ann')).state, (await member('bob', 'dan')).state], ['online', 'offline']);
        assert.equal((await request(one.url, 'GET', '/readyz')).status, 200);
        for (const stream of [watching, ann, dan]) stream.close();
    });

    test('a restart of PostgreSQL: who stays connected stays online', { timeout: 60000 }, async () => {
        const bob = await open('bob', one);
        const ann = await open('ann', one);
        await is_settled('ann', true);
        const base = heard(bob, 'ann').length;
        await kiln.restart_database('immediate');
        kiln.end_links();
        await until('the audience to be told anew, and what was due to be settled', () => kiln.value(`select 1 from kiln.audience where account_id = ${people.ann.account_id}`).catch(() => null), 20000);
        await pause(grace_ms + 1500);
        assert.equal(heard(bob, 'ann').length, base);
        assert.equal((await member('bob', 'ann')).state, 'online');
        bob.close();
        ann.close();
    });
});

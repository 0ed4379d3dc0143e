// Chat through the real programs: a message goes user → server → PostgreSQL → another server → each device of the recipient, ticks come
// back, and a stream that breaks off loses and repeats nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, request, root } from './lib.mjs';

describe('chat', () => {
    let kiln, ann, bob, eve, api, realtime, ids, talk;
    before(async () => {
        kiln = await begin({ runners: 1 });
        [ann, bob, eve] = ['ann', 'bob', 'eve'].map(name => kiln.user(name));
        ids = await Promise.all([ann, bob, eve].map(user => user.account()));
        for (const [i, name] of ['ann', 'bob', 'eve'].entries()) await kiln.psql(`update kiln.account set handle = 'e2e_${name}' where account_id = ${ids[i]}`);
        [api, realtime] = await Promise.all([kiln.server({ args: ['--role', 'api'] }), kiln.server({ args: ['--role', 'realtime'] })]);
        const found = await ann.get('/people?handle=e2e_bob');
        talk = (await ann.call('POST', '/conversations', { account_id: found.items[0].id })).json;
    });
    after(() => kiln.end());
    const say = (user, body, more) => user.call('POST', `/conversations/${talk.id}/messages`, body, more);
    const created = stream => stream.events.filter(e => e.event === 'message.created').map(e => e.data.number);

    test('a message reaches both of the recipient\'s devices, whole; its ticks come back', async () => {
        const media = await ann.upload('a.jpg', 'image/jpeg', fs.readFileSync(path.join(root, 'tests/fixtures/media/sample.jpg')));
        const [sender, phone, laptop, other] = await Promise.all([ann, bob, bob, eve].map(user => user.stream({ base: realtime.url }).opened()));
        const answer = await say(ann, { text: 'Look!', media: [media], client_id: 'c1' }, { base: api.url });
        assert.equal(answer.status, 201);
        assert.equal(answer.json.ticks.state, 'accepted');
        const is_it = e => e.event === 'message.created' && e.data.message_id === answer.json.id;
        for (const device of [phone, laptop]) {
            const { data } = await device.sees('the message', is_it);
            assert.deepEqual([data.message.text, data.message.author.handle, data.unread, data.conversation_id], ['Look!', 'e2e_ann', 1, talk.id]);
            const picture = await request(kiln.url, 'GET', data.message.media[0].url);
            assert.deepEqual([picture.status, picture.headers['content-type']], [200, 'image/jpeg'], 'no second request but for the picture itself');
        }
        for (const tick of ['delivered', 'read']) {
            assert.equal((await bob.call('POST', `/conversations/${talk.id}/${tick}`, { number: answer.json.number }, { base: api.url })).status, 200);
            const { data } = await sender.sees(tick, e => e.event === `message.${tick}` && e.data.by === ids[1]);
            assert.equal(data.number, answer.json.number);
            assert.equal((await ann.get(`/messages/${answer.json.id}`)).ticks.state, tick);
        }
        await laptop.sees('that the other device has read it', e => e.event === 'message.read' && e.data.unread === 0);
        assert.ok(!other.events.some(e => e.data.conversation_id), 'nobody else hears of it');
        for (const stream of [sender, phone, laptop, other]) stream.close();
    });

    test('fifty of the same client_id at once are one message', async () => {
        const stream = await bob.stream().opened();
        const answers = await Promise.all(Array.from({ length: 50 }, () => say(ann, { text: 'once', client_id: 'fifty' })));
        assert.deepEqual([...new Set(answers.map(a => a.status))], [201]);
        assert.equal(new Set(answers.map(a => a.json.id)).size, 1);
        const last = (await say(ann, { text: 'and then' })).json;
        await stream.sees('the next', e => e.data.message_id === last.id);
        assert.deepEqual(created(stream), [last.number - 1, last.number]);
        stream.close();
    });

    test('a stream that breaks off goes on: nothing lost, nothing twice, in order', async () => {
        const first = await bob.stream().opened();
        const seen = (await say(ann, { text: 'seen' })).json.number;
        const { id } = await first.sees('one', e => e.data.number === seen && e.event === 'message.created');
        first.close();
        await Promise.all(Array.from({ length: 40 }, (_, i) => say(ann, { text: `missed ${i}` })));
        const second = await bob.stream({ last: id, base: realtime.url }).opened();
        const live = await Promise.all(Array.from({ length: 10 }, (_, i) => say(ann, { text: `live ${i}` })));
        const end = Math.max(...live.map(a => a.json.number));
        await second.sees('the last', e => e.data.number === end && e.event === 'message.created');
        assert.deepEqual(created(second), Array.from({ length: 50 }, (_, i) => seen + 1 + i));
        second.close();
    });

    test('edit, delete, block, members and notifications have their routes', async () => {
        const stream = await bob.stream().opened();
        const { json } = await say(ann, { text: 'tyop' });
        assert.equal((await ann.call('PATCH', `/messages/${json.id}`, { text: 'typo' })).json.text, 'typo');
        await stream.sees('the edit', e => e.event === 'message.edited' && e.data.message.text === 'typo');
        assert.equal((await ann.call('DELETE', `/messages/${json.id}`)).status, 204);
        await stream.sees('the tombstone', e => e.event === 'message.deleted' && e.data.message.is_deleted);
        assert.equal((await eve.call('GET', `/conversations/${talk.id}/messages`)).status, 404);
        assert.equal((await bob.call('POST', '/blocks', { account_id: ids[0] })).status, 201);
        assert.equal((await say(ann, { text: 'x' })).status, 403);
        assert.equal((await bob.call('DELETE', `/blocks/${ids[0]}`)).status, 204);

        const group = (await ann.call('POST', '/conversations', { members: [ids[1]], title: 'Us' })).json;
        const invite = (await bob.call('POST', '/invites', { conversation_id: group.id })).json;
        assert.equal((await eve.call('POST', '/invites/accept', { token: invite.token })).json.title, 'Us');
        assert.equal((await ann.call('DELETE', `/conversations/${group.id}/members?account_id=${ids[2]}`)).status, 204);
        assert.equal((await eve.call('POST', '/invites/accept', { token: invite.token })).status, 404);
        const again = { headers: { 'Idempotency-Key': 'i' } };
        assert.equal((await bob.call('POST', '/invites', {}, again)).status, 201);
        assert.deepEqual(await bob.call('POST', '/invites', {}, again).then(a => [a.status, a.json.code]), [409, 'already_created']);

        assert.equal((await ann.call('POST', '/admin/notifications', { all: true, text: 'x' })).status, 403);
        await kiln.psql(`insert into kiln.notification (account_id, kind, text) values (${ids[1]}, 'gift', 'by hand')`);
        const list = await bob.get('/notifications');
        assert.equal(list.items[0].text, 'by hand');
        assert.equal((await bob.call('POST', '/notifications/read', { all: true })).json.unread, 0);
        await stream.sees('that all is read', e => e.event === 'notification.read' && e.data.unread === 0);
        stream.close();
    });
});

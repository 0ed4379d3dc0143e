// Events keep to docs/events.schema.json. (lib.mjs holds every event of every end-to-end test against it; here is what that rests on.)
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { check, fail_if_wrong, faults, schema, types } from './events.mjs';
import { begin, request, root, run, until } from './lib.mjs';

const example = type => structuredClone(schema.$defs[type].examples[0]);

describe('the schema of events', () => {
    test('is what clients/ts/events.ts and docs/event-types.md were made from', async () => {
        const ended = await run(path.join(root, 'scripts/types.mjs'), ['--check']);
        assert.equal(ended.code, 0, ended.out + ended.err);
    });

    test('says of every field what it is, and lets no type have more', () => {
        for (const [name, { properties, additionalProperties, description }] of Object.entries(schema.$defs)) {
            assert.ok(description, name);
            assert.equal(additionalProperties, false, name);
            for (const [field, { description }] of Object.entries(properties)) assert.ok(description, `${name}.${field}`);
        }
    });

    test('has an example of each type, and refuses it without any of what is required, with more, or with a word of its own', () => {
        for (const type of types) {
            assert.equal(faults(example(type)), undefined);
            for (const field of schema.$defs[type].required) {
                const event = example(type);
                delete event[field];
                assert.match(faults(event), new RegExp(field === 'type' ? 'does not describe' : `must have required property '${field}'`), `${type} without ${field}`);
            }
            assert.match(faults({ ...example(type), more: 1 }), /additional properties \(more\)/);
            if ('state' in example(type)) assert.match(faults({ ...example(type), state: 'ready' }), /\/state must be equal to (constant|one of the allowed values)/);
        }
        assert.match(faults({ type: 'job.moved' }), /does not describe/);
        assert.match(faults(null), /does not describe/);
        const event = example('message.created');
        event.message.ticks.state = 'seen';
        assert.match(faults(event), /^message\.created: \/message\/ticks\/state must be equal to one of the allowed values/, 'with the path');
    });

    test('is what a test fails by when an event is otherwise', () => {
        check(example('ready'));
        fail_if_wrong();
        check({ ...example('ready'), position: 5 });
        assert.throws(fail_if_wrong, /ready: \/position must be string/);
        fail_if_wrong();        // said once
    });
});

describe('events and their schema', () => {
    let kiln, ann;
    before(async () => {
        kiln = await begin({ runners: 1 });
        ann = kiln.user('ann');
        await ann.account();
    });
    after(() => kiln.end());

    test('SQL knows the types that the file describes, and the words in them', async () => {
        const words = async type => (await kiln.psql(`select unnest(enum_range(null::kiln.${type}))`)).split('\n').sort();
        const by_servers = ['ready', 'reset', 'typing', 'presence'];         // they stand in no log
        assert.deepEqual(types.filter(type => !by_servers.includes(type)).sort(), await words('event_type'));
        const { kind, media_type } = schema.$defs['job.queued'].properties;
        assert.deepEqual(kind.enum.filter(Boolean).sort(), await words('job_kind'));
        assert.deepEqual(media_type.enum.filter(Boolean).sort(), await words('media_type'));
        assert.deepEqual(schema.$defs.media.properties.media_type.enum.toSorted(), await words('media_type'));
        assert.deepEqual(schema.$defs.media.properties.state.enum.toSorted(), await words('media_state'));
        const states = types.filter(type => type.startsWith('job.')).map(type => schema.$defs[type].properties.state.const);
        assert.deepEqual([...new Set(states)].sort(), await words('job_state'));
    });

    for (const [type, content_type] of [['image', /^image\//], ['video', /^video\//], ['audio', /^audio\//]]) {
        test(`a toast about ${type} needs no second request: what it is, its state, and signed links that open`, async () => {
            const stream = await ann.stream().opened();
            const job = await ann.make({ type, prompt: 'a hill' });
            const { data } = await stream.sees_end_of(job.id);
            assert.deepEqual([data.type, data.kind, data.media_type, data.state], ['job.completed', 'generation', type, 'completed']);
            const versions = stream.of(job.id).map(e => e.data.version);
            assert.deepEqual(versions, versions.toSorted((a, b) => a - b));
            for (const e of stream.of(job.id)) assert.equal(e.data.media_type, type);
            const result = await request(kiln.url, 'GET', data.result_url);
            assert.equal(result.status, 200);
            assert.match(result.headers['content-type'], content_type);
            if (type !== 'audio') assert.ok(data.thumbnail_url);
            if (data.thumbnail_url) assert.match((await request(kiln.url, 'GET', data.thumbnail_url)).headers['content-type'], /^image\//);
            stream.close();
        });
    }

    test('what is told of a job or a file that is gone keeps to it too', async () => {
        const first = await ann.stream().opened();
        const job = await ann.make({ type: 'image', prompt: 'soon gone' });
        await first.sees_end_of(job.id);
        assert.equal((await ann.call('DELETE', `/generations/${job.id}`)).status, 204);
        const again = await ann.stream({ last: first.events[0].id }).opened();
        const { data } = await again.sees_end_of(job.id);
        assert.deepEqual([data.kind, data.media_type, data.result_url, data.thumbnail_url], [null, null, null, null]);
        await until('its progress', () => again.types(job.id).includes('job.progress') || again.types(job.id).length >= 3);
        first.close();
        again.close();
    });
});

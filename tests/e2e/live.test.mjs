// make live: what it refuses before anything may cost, and, with the fake provider in the place of the real one, what it does and says.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FakeProvider } from '../fakes/client.mjs';
import { root, run } from './lib.mjs';

describe('make live', () => {
    let fake, folder;
    before(async () => {
        fake = await new FakeProvider().start();
        folder = fs.mkdtempSync(path.join(process.env.TEST_HOME || os.tmpdir(), 'live-'));
    });
    after(async () => { await fake.stop(); fs.rmSync(folder, { recursive: true }); });
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/_(KEY|TOKEN|SECRET)$/.test(name)));
    const live = async (args, more = {}) => {
        const { code, out, err } = await run('node', [path.join(root, 'scripts/live.mjs'), ...args], { env: { ...env, ...more } });
        return { code, out, err: err.trim() };
    };

    test('without the key ends with 2 and one line that names it', async () => {
        for (const key of [{}, { FAL_KEY: '' }]) assert.deepEqual(await live(['fal', '0.50'], key), { code: 2, out: '', err: 'not run live: FAL_KEY is not set' });
    });
    test('without a sum it may cost does nothing', async () => {
        for (const args of [[], ['fal'], ['fal', ''], ['fal', '0'], ['fal', '-1'], ['fal', 'much'], ['fal', '1e9'], ['Fal;', '1']]) {
            const { code, err } = await live(args, fake.keys);
            assert.equal(code, 64, args.join());
            assert.match(err, /^usage: make live/);
        }
    });
    test('names the providers there are when asked for another', async () => {
        const { code, err } = await live(['nobody', '1'], fake.keys);
        assert.equal(code, 64);
        assert.match(err, /no provider "nobody" to pay: .*fal/);
    });
    test('refuses when the estimates are above the sum, and sends nothing', async () => {
        const { code, err } = await live(['fal', '0.000001', '--at', fake.url], fake.keys);
        assert.equal(code, 3);
        assert.match(err, /^refused: fal\/.* make \$\d+\.\d+, and MAX_USD is \$0\.0000$/);
        assert.equal((await fake.bill()).requests.length, 0);
    });
    test('makes one image, one video and one recording, and says what was paid; the key is in no word of it', async () => {
        const { code, out, err } = await live(['fal', '5', '--at', fake.url, '--to', folder], fake.keys);
        assert.equal(code, 0, out + err);
        assert.deepEqual(out.trim().split('\n').map(line => line.split(' ')[0]).sort(), ['audio', 'image', 'paid', 'video']);
        assert.match(out, /^paid \$\d+\.\d{4} of at most \$5\.0000$/m);
        assert.deepEqual(fs.readdirSync(folder).map(name => name.split('.')[0]).sort(), ['audio', 'image', 'video']);
        assert.ok(!(out + err).includes(fake.keys.FAL_KEY));
        assert.equal((await fake.bill()).charges.length, 3);
    });
});

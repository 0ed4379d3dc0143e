// The short form of `make chaos` (tests/chaos): some 25 strikes where there is most to lose, always the same; every seed that
// ever found something; and the same storm over a database without its protection, which has to be seen.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { root } from './lib.mjs';

const is_built = fs.existsSync(path.join(root, 'build/chaos/bin/kiln-runner'));
const skip = is_built ? false : 'the programs with fail points are not built: make FLAVOUR=chaos build';

/** { code, text }; dies with us. */
function chaos(args, env = {}) {
    return new Promise(resolve => {
        const child = spawn('setpriv', ['--pdeathsig', 'TERM', path.join(root, 'tests/chaos/run'), ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
        let text = '';
        for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', more => { text += more; });
        child.on('close', code => resolve({ code, text }));
    });
}
const seeds = fs.readFileSync(path.join(root, 'tests/chaos/seeds.txt'), 'utf8').split('\n').map(line => line.replace(/#.*/, '').trim()).filter(Boolean);

describe('chaos', { skip }, () => {
    test('what dies or is cut at the worst of moments loses nothing, does nothing twice and leaves nothing behind', async () => {
        const { code, text } = await chaos(['--short']);
        assert.equal(code, 0, text);
        assert.match(text, /\d\d kills, \d\d strikes, no complaint/);
    });

    test('whatever dies around a paid call, it is charged once or held, and held only where nobody can be asked', async () => {
        const { code, text } = await chaos(['--money']);
        assert.equal(code, 0, text);
    });

    for (const line of seeds) test(`a storm that once found something: ${line}`, async () => {
        const [seed, ...args] = line.split(/\s+/);
        const { code, text } = await chaos(args, { KILN_CHAOS_SEED: seed });
        assert.equal(code, 0, text);
    });

    test('where a call is not written down before it is sent, the storm is seen', async () => {
        const { code, text } = await chaos(['--strikes', 'guest.begun:mute,runner.call.begun:mute,guest.begun:mute'], { KILN_CHAOS_MUTANT: 'no_intent' });
        assert.equal(code, 1, text);
        assert.match(text, /was charged [2-9] times/);
    });

    test('where fences are not checked, the storm is seen', async () => {
        const { code, text } = await chaos(['--strikes', 'runner.worked:usurp'], { KILN_CHAOS_MUTANT: 'no_fence', KILN_CHAOS_SEED: '1' });
        assert.equal(code, 1, text);
        assert.match(text, /with the outcome of fence \d+|was started again after it was done|fence \d+ has \d ends/);
    });
});

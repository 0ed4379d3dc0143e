// The log as it is cut and dropped: what a transaction that somebody forgot, or a reader in the way, does to it.
// A part holds 20 million transactions, so the cluster of this test is told that it has seen almost that many.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, run, until } from './lib.mjs';

describe('the parts of the log', () => {
    const span = 20000000;
    let kiln, ann, account, first;
    const make = async () => (await kiln.psql(`select kiln.enqueue('log', '{}', ${account})`));
    const parts = async () => (await kiln.psql(`select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'kiln.event'::regclass and c.relname ~ '^event_x' order by substr(c.relname, 8)::bigint`)).split('\n');
    const age = () => kiln.arrange(`update kiln.event set at = at - (select c.event_keep from kiln.config c) where xid < '${span}'`);
    const shown = (stream, id) => stream.sees(`job ${id}`, e => e.data.job_id === id);

    before(async () => {
        kiln = await begin({ server: false });
        await kiln.stop_database();
        const data = path.join(kiln.cluster, 'pg'), owner = fs.statSync(data), next = span - 300;
        // The segment of commit states that the next transaction needs: 1,048,576 transactions of two bits each.
        const segment = path.join(data, 'pg_xact', Math.floor(next / 1048576).toString(16).toUpperCase().padStart(4, '0'));
        fs.writeFileSync(segment, Buffer.alloc(262144), { mode: 0o600 });
        fs.chownSync(segment, owner.uid, owner.gid);
        const found = (await run('bash', ['-c', 'ls /usr/lib/postgresql/*/bin/pg_resetwal | sort -V | tail -n 1'])).out.trim();
        const command = [found, '-x', String(next), '-D', data];
        const reset = process.getuid() === 0 ? await run('setpriv', ['--reuid', String(owner.uid), '--regid', String(owner.gid), '--clear-groups', ...command], { cwd: '/' }) : await run(command[0], command.slice(1));
        assert.equal(reset.code, 0, reset.err);
        await kiln.start_again();
        kiln.main = await kiln.server();
        ann = kiln.user('ann');
        account = await ann.account();
    });
    after(() => kiln.end());

    test('a transaction of an old part that is still open keeps the part: nobody\'s stream is reset, none waits, its events come', { timeout: 60000 }, async () => {
        const stream = await ann.stream({ resume: true }).opened();
        first = stream.events[0].id;
        const holder = kiln.session(), idle = kiln.session();
        await idle.say('begin; select pg_current_xact_id();');      // writes something else, and has no lock on the log
        await holder.say('begin;');
        await holder.say(`select kiln.enqueue('log', '{"is": "forgotten"}', ${account});`);
        const held = /^\d+$/m.exec(holder.text)[0];
        assert.ok(Number(await kiln.psql(`select pg_snapshot_xmin(pg_current_snapshot())::text`)) < span);
        await kiln.psql(`create procedure public.burn(p_upto bigint) language plpgsql as $$ begin while pg_current_xact_id()::text::bigint < p_upto loop commit; end loop; end $$`);
        const burner = kiln.session();          // a procedure that commits cannot be one of several statements
        await burner.say(`call public.burn(${span + 5});`);
        await burner.end();
        await age();
        await kiln.psql('select kiln_internal.maintain_partitions()');
        assert.deepEqual(await parts(), ['event_x0', `event_x${span}`, `event_x${2 * span}`], 'the part stays, and the next one is ready');

        const id = await make();
        const event = await shown(stream, id);
        assert.ok(event.at - Date.parse(event.data.at) < 1500, `${event.at - Date.parse(event.data.at)} ms: not more than the poll interval`);
        const resumed = await ann.stream({ last: event.id }).opened();
        await holder.say('commit;');
        await Promise.all([shown(stream, held), shown(resumed, held)]);

        // Once the part was dropped here, and the log began behind where every snapshot begins: each stream was reset, again and again.
        await age();
        await kiln.psql('select kiln_internal.maintain_partitions()');
        assert.ok((await parts()).includes('event_x0'));
        const later = await make();
        await Promise.all([shown(stream, later), shown(resumed, later)]);
        await idle.say('commit;');
        await idle.end();
        for (const one of [stream, resumed]) {
            assert.equal(one.of(held).length, 1);
            assert.ok(!one.events.some(e => e.event === 'reset'));
            one.close();
        }
        await holder.end();
    });

    test('a reader in the way of an old part delays the drop, not the writers; the next time it goes', { timeout: 60000 }, async () => {
        await age();
        const reader = kiln.session();
        await reader.say('begin; select count(*) from kiln.event;');
        let is_done = false;
        const writing = (async () => { while (!is_done) await make(); })();
        await kiln.psql('select kiln_internal.maintain_partitions()');      // it does not wait for the reader, who is still there
        is_done = true;
        await writing;
        assert.ok((await parts()).includes('event_x0'));
        await reader.say('commit;');
        await reader.end();
        await until('the old part to go', async () => { await kiln.psql('select kiln_internal.maintain_partitions()'); return !(await parts()).includes('event_x0'); });
        assert.deepEqual(await parts(), [`event_x${span}`, `event_x${2 * span}`]);
        assert.equal(await kiln.value('select xid from kiln.log_start'), String(span));
    });

    test('a position from before the log\'s new beginning is answered by reset, one from behind it goes on', async () => {
        const early = await ann.stream({ last: first }).opened();
        await early.sees('reset', e => e.event === 'reset');
        const late = early.events.at(-1).id;
        early.close();
        const id = await make();
        const stream = await ann.stream({ last: late }).opened();
        await shown(stream, id);
        assert.deepEqual(stream.events.map(e => e.event), ['ready', 'job.queued']);
        stream.close();
    });
});

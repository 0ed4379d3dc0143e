// Behind PgBouncer in transaction mode: everything works but the bell, and the bell has a connection of its own (KILN_LISTEN_URL).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, free_port, pause, until } from './lib.mjs';

describe('behind PgBouncer in transaction mode', () => {
    let kiln, pooler, through, ann, account;
    before(async () => {
        kiln = await begin({ server: false });
        const port = await free_port(), folder = path.join(kiln.folder, 'pooler');
        fs.mkdirSync(folder);
        const users = fs.readFileSync(path.join(kiln.folder, 'pgpass'), 'utf8').trim().split('\n').map(line => line.split(':').slice(3)).map(([role, password]) => `"${role}" "${password}"`);
        fs.writeFileSync(path.join(folder, 'users'), users.join('\n'));
        fs.writeFileSync(path.join(folder, 'pgbouncer.ini'), `[databases]\nkiln = host=${kiln.socket} port=5432 dbname=kiln\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\n`
            + `pool_mode = transaction\nauth_type = md5\nauth_file = ${folder}/users\ndefault_pool_size = 6\nlog_connections = 0\nlog_disconnections = 0\n`);
        // It refuses to run as root.
        const { uid, gid } = fs.statSync(path.join(kiln.cluster, 'pg'));
        for (const name of ['', '/users', '/pgbouncer.ini']) fs.chownSync(folder + name, uid, gid);
        pooler = spawn('setpriv', ['--pdeathsig', 'KILL', '/usr/sbin/pgbouncer', '-q', path.join(folder, 'pgbouncer.ini')], { uid, gid, stdio: ['ignore', 'pipe', 'pipe'] });
        pooler.text = '';
        for (const stream of [pooler.stdout, pooler.stderr]) stream.setEncoding('utf8').on('data', more => { pooler.text += more; });
        through = `host=127.0.0.1 port=${port} dbname=kiln`;
        const env = { DATABASE_URL: through, KILN_LISTEN_URL: kiln.env.DATABASE_URL, KILN_PREPARE: 'off' };
        await kiln.server({ env });
        await kiln.runner({ name: 'pooled', env });
        ann = kiln.user('ann');
        account = await ann.account();
    });
    after(async () => { pooler?.kill(); await kiln?.end(); });

    test('a picture is made, and its stream tells all of it', async () => {
        const stream = await ann.stream().opened();
        const job = await ann.make({ type: 'image', prompt: 'a hill', params: { width: 256, height: 256 } });
        await stream.sees('it', e => e.event === 'job.completed' && e.data.job_id === job.id, 20000);
        stream.close();
    });

    test('forty requests at once are each answered with their own', async () => {
        const made = await Promise.all(Array.from({ length: 40 }, (_, i) => ann.call('POST', '/generate', { type: 'image', prompt: `hill ${i}`, params: { width: 256, height: 256 } })));
        assert.deepEqual([...new Set(made.map(answer => answer.status))], [202]);
        const read = await Promise.all(made.map(answer => ann.call('GET', `/generations/${answer.json.id}`)));
        assert.deepEqual(read.map(answer => answer.json.prompt), made.map((_, i) => `hill ${i}`));
    });

    test('the bell rings by its own connection: a stream that slept hears within a moment', async () => {
        const stream = await ann.stream().opened();
        await until('the pictures of before to end', async () => await kiln.value(`select count(*) from kiln.job where state in ('queued', 'running')`) === '0', 60000);
        await until('the pump to sleep', async () => await kiln.value(`select 1 from kiln.sleeper where wants_bus`));
        await pause(1200);          // beyond its last quick look
        const [id] = (await kiln.psql(`select kiln.enqueue('log', '{}', ${account})`)).split('\n');
        const event = await stream.sees('it', e => e.data.job_id === id);
        assert.ok(event.at - Date.parse(event.data.at) < 500, `${event.at - Date.parse(event.data.at)} ms`);
        stream.close();
    });

    test('without that connection the bell is lost in the pooler, and events come within the second of a look', async () => {
        const deaf = await kiln.server({ env: { DATABASE_URL: through, KILN_PREPARE: 'off' } });
        const stream = await ann.stream({ base: deaf.url }).opened();
        await pause(1500);
        const ids = [];
        for (let i = 0; i < 3; i++) { ids.push(await kiln.psql(`select kiln.enqueue('log', '{}', ${account})`)); await pause(400); }
        for (const id of ids) {
            const event = await stream.sees('it', e => e.data.job_id === id, 5000);
            assert.ok(event.at - Date.parse(event.data.at) < 2000, `${event.at - Date.parse(event.data.at)} ms`);
        }
        stream.close();
        await deaf.stop();
    });
});

// Behind PgBouncer in transaction mode: everything works but the wakeup, and the wakeup has a connection of its own (KILN_LISTEN_URL).
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

    test('the wakeup rings by its own connection: a stream that slept hears within a moment', async () => {
        const stream = await ann.stream().opened();
        await until('the pictures of before to end', async () => await kiln.value(`select count(*) from kiln.job where state in ('queued', 'running')`) === '0', 60000);
        await until('the pump to sleep', async () => await kiln.value(`select 1 from kiln.waiter where is_bus`));
        await pause(1200);          // beyond its last quick look
        const [id] = (await kiln.psql(`select kiln.enqueue('log', '{}', ${account})`)).split('\n');
        const event = await stream.sees('it', e => e.data.job_id === id);
        assert.ok(event.at - Date.parse(event.data.at) < 500, `${event.at - Date.parse(event.data.at)} ms`);
        stream.close();
    });

    test('without that connection the wakeup is lost in the pooler, and events come within the second of a look', async () => {
        const deaf = await kiln.server({ env: { DATABASE_URL: through, KILN_PREPARE: 'off' } });
        const stream = await ann.stream({ base: deaf.url }).opened();
        await pause(1500);
        const ids = [];
        for (let i = 0; i < 3; i++) { ids.push(await kiln.psql(`select kiln.enqueue('log', '{}', ${account})`)); await pause(400); }
        for (const id of ids) {
            await stream.sees('it', e => e.data.job_id === id);
        }
        stream.close();
        await deaf.stop();
    });

    // What a DBA may have set for a role, all of it to the worst; each of these broke something, or would have.
    const defaults = {
        default_transaction_isolation: 'repeatable read', default_transaction_read_only: 'on', default_transaction_deferrable: 'on', statement_timeout: '61s', lock_timeout: '61s',
        idle_session_timeout: '61s', search_path: 'nowhere', DateStyle: 'SQL, DMY', IntervalStyle: 'sql_standard', TimeZone: 'Pacific/Chatham', extra_float_digits: '-15',
        bytea_output: 'escape', row_security: 'off', transform_null_equals: 'on', standard_conforming_strings: 'off', 'plpgsql.extra_errors': 'all',
    };
    const wanted = {
        transaction_isolation: 'read committed', transaction_read_only: 'off', statement_timeout: '4s', lock_timeout: '2s', idle_session_timeout: '0', DateStyle: 'ISO, MDY', IntervalStyle: 'postgres',
        TimeZone: 'UTC', extra_float_digits: '1', bytea_output: 'hex', row_security: 'on', transform_null_equals: 'off', standard_conforming_strings: 'on', 'plpgsql.extra_errors': 'none',
    };
    for (const way of ['behind the pooler', 'directly']) test(`whatever the defaults of the roles are, ${way}: posts at once pass, a picture is made, and each call has the settings that it needs`, async () => {
        for (const role of ['kiln_server', 'kiln_worker']) for (const [name, value] of Object.entries(defaults)) await kiln.psql(`alter role ${role} set ${name} = '${value}'`);
        await kiln.psql(`create table if not exists public.seen (settings jsonb); truncate public.seen; grant insert on public.seen to kiln_server;
            do $do$ begin if to_regproc('kiln_api.plain_list_blocks') is null then
                alter function kiln_api.list_blocks(bigint, jsonb, jsonb, text) rename to plain_list_blocks;
                create function kiln_api.list_blocks(p_actor bigint, p_path jsonb, p_query jsonb, p_body text) returns json language plpgsql as $f$ begin
                    insert into public.seen select jsonb_object_agg(n, current_setting(n)) from unnest('{${Object.keys(wanted).join()}}'::text[]) n;
                    return kiln_api.plain_list_blocks(p_actor, p_path, p_query, p_body);
                end $f$;
                grant execute on function kiln_api.list_blocks(bigint, jsonb, jsonb, text) to kiln_server;
            end if; end $do$;
            select pg_terminate_backend(pid) from pg_stat_activity where usename in ('kiln_server', 'kiln_worker')`);
        const env = way === 'directly' ? {} : { DATABASE_URL: through, KILN_LISTEN_URL: kiln.env.DATABASE_URL, KILN_PREPARE: 'off' };
        const server = await kiln.server({ env });
        const runner = await kiln.runner({ name: `under defaults ${way}`, env });
        const made = await Promise.all(Array.from({ length: 20 }, (_, i) => ann.call('POST', '/generate', { type: 'image', prompt: `hill ${i}`, params: { width: 256, height: 256 } }, { base: server.url })));
        assert.deepEqual([...new Set(made.map(answer => answer.status))], [202]);
        await until('them to be made', async () => (await ann.call('GET', `/generations/${made.at(-1).json.id}`, undefined, { base: server.url })).json.state === 'completed', 60000);
        await Promise.all(Array.from({ length: 20 }, () => ann.call('GET', '/blocks', undefined, { base: server.url })));
        const seen = (await kiln.rows('select distinct settings from public.seen')).map(row => row.settings);
        assert.deepEqual(seen, [wanted]);
        await Promise.all([server.stop(), runner.stop()]);
        for (const role of ['kiln_server', 'kiln_worker']) await kiln.psql(`alter role ${role} reset all`);
    });
});

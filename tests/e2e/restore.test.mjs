// A database that was brought elsewhere: by a dump and restore, by a standby that was promoted, by a physical restore to an earlier time. After a
// restore into a new cluster 670,558 old events carried transaction numbers ahead of its counter, and were told as new as the counter
// passed them: ended jobs on streams, and 10,000 webhooks with new ids.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, free_port, Kiln, request, root, run, until } from './lib.mjs';
import { MailServer } from './mailbox.mjs';

const sentence = /restored from a backup: run \.\/kiln after-restore, which is select kiln\.after_restore\(\)/;
const bin = fs.readdirSync('/usr/lib/postgresql').map(version => `/usr/lib/postgresql/${version}/bin`).filter(dir => fs.existsSync(`${dir}/pg_basebackup`)).at(-1);

async function did(command, args, env, more) {
    const ended = await run(command, args, { env, ...more });
    if (ended.code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${ended.code}: ${ended.err}`);
    return ended.out;
}
/** As the owner of a cluster's folder, which reads and writes nobody else's. */
function as_owner(kiln, command, args, env = kiln.pg) {
    const { uid, gid } = fs.statSync(kiln.cluster);
    return process.getuid() === 0 && uid !== 0 ? did('setpriv', ['--reuid', String(uid), '--regid', String(gid), '--clear-groups', command, ...args], env, { cwd: '/' })
        : did(command, args, env);
}
/** Spends transaction numbers, one each. */
async function burn(kiln, count) {
    await kiln.psql(`drop procedure if exists public.burn; create procedure public.burn(p_count int) language plpgsql as $$ begin for i in 1..p_count loop perform pg_current_xact_id(); commit; end loop; end $$`);
    await did('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', `call public.burn(${count})`], kiln.pg);
}
/** Another place for what `kiln` is: its people, secrets and files. */
function elsewhere(kiln) {
    const other = new Kiln();
    other.secret = kiln.secret;
    return other;
}
async function bring_env(other, kiln) {
    await other.set_passwords();
    for (const name of ['KILN_SMTP_URL', 'KILN_MAIL_FROM']) if (kiln.env[name]) other.env[name] = kiln.env[name];
}
const psql = (kiln, sql) => run('psql', ['-X', '-At', '-v', 'ON_ERROR_STOP=1', '-c', sql], { env: kiln.pg });
const end_programs = kiln => Promise.all([...kiln.programs].filter(p => !p.ended).map(p => p.stop()));
const ended_events = stream => stream.events.filter(e => e.event !== 'ready' && e.event !== 'reset' && e.event !== 'presence');

describe('a dump, restored into a new cluster', { timeout: 240000 }, () => {
    let kiln, there, ann, ann_there, account, hook, base, box, dump, position, place, old_jobs, stuck;
    const posts = [];
    const answers = {};
    const make = (where, count = 1) => where.psql(`select string_agg(kiln.enqueue('log', '{}', ${account})::text, ' ' order by n) from generate_series(1, ${count}) n`).then(text => text.split(' '));
    const at = url => posts.filter(post => post.url === url);

    before(async () => {
        hook = http.createServer((req, res) => {
            const parts = [];
            req.on('data', bytes => parts.push(bytes));
            req.on('end', () => { posts.push({ url: req.url, id: req.headers['webhook-id'], event: JSON.parse(Buffer.concat(parts)) }); res.writeHead(answers[req.url] ?? 200).end(); });
        });
        await new Promise(resolve => hook.listen(0, '127.0.0.1', resolve));
        base = `http://127.0.0.1:${hook.address().port}`;
        kiln = await begin();
        box = await new MailServer(path.join(kiln.folder, 'mail'), await free_port()).start();
        Object.assign(kiln.env, { KILN_SMTP_URL: box.url, KILN_MAIL_FROM: 'kiln@example.org' });
        await kiln.psql(`update kiln.config set public_url = 'https://kiln.example', webhook_hosts = '127.0.0.1:${hook.address().port}'`);
        ann = kiln.user('ann');
        account = await ann.account();
        await kiln.psql(`update kiln.account set email = 'ann@d.example', email_verified_at = kiln_internal.now(), notify_email = true where account_id = ${account}`);
        for (const where of ['/hook', '/stuck']) {
            assert.equal((await ann.call('POST', '/webhook-endpoints', { url: `${base}${where}`, types: ['job.completed'] })).status, 201);
        }
        answers['/stuck'] = 503;
        await burn(kiln, 12000);        // beyond where the next cluster begins
        await kiln.runner({ name: 'one' });
        const stream = await ann.stream().opened();
        old_jobs = await make(kiln, 8);
        await until('the jobs to be told everywhere', () => at('/hook').length === 8 && box.mails('ann@d.example').length === 8 && at('/stuck').length >= 1
            && stream.events.filter(e => e.event === 'job.completed').length === 8, 60000);
        position = stream.last;
        stream.close();
        place = (await ann.get('/events/poll')).position;
        await end_programs(kiln);
        stuck = await kiln.rows(`select message_id from kiln.delivery where state = 'due'`);
        assert.equal(stuck.length, 8);
        dump = path.join(kiln.folder, 'kiln.dump');
        await did('pg_dump', ['-Fc', '-f', dump], kiln.pg);
        posts.length = 0;

        there = elsewhere(kiln);
        await there.start_cluster();
        await did('psql', ['-X', '-q', '-d', 'postgres', '-f', path.join(root, 'db/roles/roles.sql')], there.pg);
        await there.create_database();
        await did('pg_restore', ['--exit-on-error', '-d', 'kiln', dump], there.pg);
        await bring_env(there, kiln);
        ann_there = there.user('ann');
        ann_there.token = ann.token;
    });
    after(async () => {
        hook?.closeAllConnections();
        hook?.close();
        await there?.end();
        await box?.stop();
        await kiln?.end();
    });

    test('the old events are ahead of the new cluster\'s counter, and contradictions says so', async () => {
        const rows = await there.rows(`select what, complaint from kiln.contradictions`);
        assert.deepEqual(rows.map(row => row.what).sort(), ['cluster', 'event']);
        assert.match(rows.find(row => row.what === 'event').complaint, /ahead of the cluster's \d+, as are \d+ others: .*kiln\.after_restore\(\)/);
    });
    test('until kiln.after_restore() every program refuses to serve, with exit 75 and a sentence that says what to run', async () => {
        for (const [name, args] of [['kiln-server', ['--check']], ['kiln-server', []], ['kiln-runner', ['--check']], ['kiln-runner', []]]) {
            const program = there.program(name, args, { KILN_PORT: String(await free_port()) });
            assert.equal((await program.exit).code, 75, `${name} ${args}: ${program.output}`);
            assert.match(program.output, sentence);
        }
        const said = await psql(there, 'select kiln_runner.tick()');
        assert.match(said.err, sentence, 'a guest in SQL too');
        assert.match((await psql(there, `select kiln.enqueue('log', '{}', ${account})`)).err, sentence, 'and who writes by hand: no event is made that could be lost');
        assert.equal(posts.length, 0);
    });
    test('scripts/migrate.sh says it and ends with 75, and calls it when it is told to', async () => {
        const migrate = (...args) => run(path.join(root, 'scripts/migrate.sh'), args, { env: there.pg });
        const refused = await migrate();
        assert.equal(refused.code, 75, refused.err);
        assert.match(refused.err, sentence);
        assert.equal(await there.psql('select kiln_internal.is_restored()'), 't');
        assert.equal((await migrate('--bogus')).code, 1);
    });
    test('two calls at once are one; a later one finds nothing to do', async () => {
        const both = await Promise.all([1, 2].map(() => psql(there, `select what, count from kiln.after_restore()`)));
        assert.deepEqual(both.map(one => one.code), [0, 0], both.map(one => one.err).join());
        assert.deepEqual(both.filter(one => one.out === 'nothing|0\n').length, 1, both.map(one => one.out).join('\n'));
        assert.match(both.map(one => one.out).join(), /deliveries\|8\n/);
        assert.equal((await psql(there, `select what from kiln.after_restore()`)).out, 'nothing\n');
        assert.equal(await there.psql('select count(*) from kiln.restore'), '1');
        assert.deepEqual(await there.rows('select * from kiln.contradictions'), []);
        assert.equal((await run(path.join(root, 'scripts/migrate.sh'), [], { env: there.pg })).code, 0);
    });
    test('while 20,000 transactions pass the old numbers, streams, polls, webhooks and mails tell nothing old, and what happens after is told exactly once', async () => {
        there.main = await there.server();
        await there.runner({ name: 'one' });
        const mails = box.mails('ann@d.example').length;
        const old = await ann_there.stream({ last: position, resume: true }).opened();
        await old.sees('reset', e => e.event === 'reset');
        const fresh = await ann_there.stream({ resume: true }).opened();
        const polled = (await ann_there.get(`/events/poll?after=${encodeURIComponent(place)}&timeout=0`));
        assert.deepEqual(polled.events.map(e => e.type), ['reset'], 'a poll is reset too');

        const counter = async () => Number(await there.psql(`select pg_snapshot_xmax(pg_current_snapshot())::text`));
        const last_old = Number(await kiln.psql(`select max(xid::text::bigint) from kiln.event`));
        assert.ok(await counter() < last_old, 'the counter is below the old numbers');
        const jobs = [...await make(there, 2)];
        for (let n = 0; n < 4; n++) { await burn(there, 5000); jobs.push(...await make(there)); }
        assert.ok(await counter() > last_old, 'and passes them');
        await until('all new jobs to be told', () => [old, fresh].every(s => s.events.filter(e => e.event === 'job.completed').length >= jobs.length) && at('/hook').length >= jobs.length, 60000);
        const last = (await make(there))[0];
        jobs.push(last);
        await until('one more', () => [old, fresh].every(s => s.events.some(e => e.event === 'job.completed' && e.data.job_id === last)) && at('/hook').some(p => p.event.job_id === last), 60000);

        assert.ok(jobs.every(id => !old_jobs.includes(id)), 'ids are not given twice');
        for (const stream of [old, fresh]) {
            assert.deepEqual([...new Set(ended_events(stream).map(e => e.data.job_id))].sort(), [...jobs].sort(), 'of no old job');
            for (const id of jobs) assert.deepEqual(stream.types(id).filter(type => type !== 'job.progress'), ['job.queued', 'job.started', 'job.completed'], 'each once, in order');
            assert.equal(stream.events.filter(e => e.event === 'reset').length, stream === old ? 1 : 0);
        }
        assert.deepEqual(at('/hook').map(post => post.event.job_id).sort(), [...jobs].sort(), 'webhooks: the new ones, once each');
        assert.ok(at('/stuck').every(post => jobs.includes(post.event.job_id)), 'what was due at the backup may have been sent since, and is not sent again');
        const told = await until('the mails', () => { const all = box.mails('ann@d.example').slice(mails); return all.length >= jobs.length && all; }, 60000);
        const about = told.map(mail => /generations\/(\d+)/.exec(mail.text)?.[1]);
        assert.deepEqual(about.sort(), [...jobs].sort(), 'mails: likewise');
        const again = (await ann_there.get(`/events/poll?after=${encodeURIComponent(polled.position)}&timeout=0`)).events.filter(e => e.type === 'job.completed').map(e => e.job_id);
        assert.deepEqual(again.sort(), [...jobs].sort(), 'a poll from the reset on brings the same');
        for (const stream of [old, fresh]) stream.close();
        assert.deepEqual(await there.rows('select * from kiln.contradictions'), []);
    });
    test('what was due at the backup is listed, and goes out under its own id when someone says so', async () => {
        const found = await there.rows(`select id, what_to_do from kiln.restore_findings where what = 'delivery'`);
        assert.equal(found.length, 8);
        answers['/stuck'] = 200;
        posts.length = 0;
        await there.psql(found[0].what_to_do);
        await until('the resent one under its old id', () => at('/stuck').some(post => stuck.some(one => one.message_id === post.id)), 30000);
        assert.equal(await there.psql(`select count(*) from kiln.restore_findings where what = 'delivery'`), '7');
    });
    test('the history is still there to be read', async () => {
        const items = (await ann_there.get('/notifications?limit=50')).items.filter(item => item.kind === 'job.completed').map(item => item.job_id);
        assert.ok(old_jobs.every(id => items.includes(id)));
        assert.equal(new Set(items).size, items.length);
    });
    test('a server beneath which the database is exchanged says so in /readyz and serves again by itself; a runner ends with 75', async () => {
        const runner = [...there.programs].find(p => p.name === 'kiln-runner' && !p.ended);
        await did('pg_dump', ['-Fc', '-f', `${dump}.2`], there.pg);
        there.end_links();
        await did('psql', ['-X', '-q', '-d', 'postgres', '-c', 'create database other'], there.pg);
        await did('pg_restore', ['--exit-on-error', '-d', 'other', `${dump}.2`], there.pg);
        await did('psql', ['-X', '-q', '-d', 'postgres', '-c', 'drop database kiln with (force)', '-c', 'alter database other rename to kiln'], there.pg);
        const answer = await until('the refusal', async () => { const one = await request(there.url, 'GET', '/readyz'); return sentence.test(one.json?.detail) && one; }, 20000);
        assert.equal(answer.status, 503, 'also in the same cluster: a dump is a dump');
        const refused = await ann_there.call('GET', '/me');
        assert.equal(refused.status, 503);
        assert.ok(!/kiln/.test(refused.json.detail), 'users read nothing of it');
        await until('the runner to end', () => runner.ended);
        assert.equal(runner.ended.code, 75, runner.output.slice(-500));
        await there.psql('select kiln.after_restore(p_nothing_ran => true)');
        await until('the server to be ready', async () => (await request(there.url, 'GET', '/readyz')).status === 200, 20000);
        assert.equal((await ann_there.call('GET', '/me')).status, 200);
        assert.ok(!there.main.ended);
        // The second restore of one history: its log goes on from the first one's numbers.
        const stream = await ann_there.stream().opened();
        await there.runner({ name: 'two' });
        const [id] = await make(there);
        await stream.sees('the new job\'s end', e => e.event === 'job.completed' && e.data.job_id === id);
        assert.deepEqual(stream.types(id).filter(type => type !== 'job.progress'), ['job.queued', 'job.started', 'job.completed']);
        assert.deepEqual([...new Set(ended_events(stream).map(e => e.data.job_id))], [id]);
        stream.close();
        assert.deepEqual(await there.rows('select * from kiln.contradictions'), []);
    });
});

describe('a standby, and a physical restore to an earlier time', { timeout: 240000 }, () => {
    let kiln, ann, account, archive, backup, job;
    const streams = {};
    const make = async where => where.psql(`select kiln.enqueue('log', '{}', ${account})`);
    /** A data folder elsewhere that pg_basebackup has written, and settings for its first start. */
    async function copy_of(from) {
        const other = elsewhere(kiln);
        const { uid, gid } = fs.statSync(kiln.cluster);
        fs.chownSync(other.cluster, uid, gid);
        if (from) await as_owner(kiln, 'cp', ['-a', from, path.join(other.cluster, 'pg')]);
        return other;
    }
    const settings = (...more) => ['--fast', '--set', 'synchronous_commit=on', ...more.flatMap(one => ['--set', one])];
    const shown = (stream, id) => stream.sees(`the end of ${id}`, e => e.event === 'job.completed' && e.data.job_id === id);
    async function serves(where) {
        const user = where.user('ann');
        user.token = ann.token;
        const started = Date.now();
        where.main = await where.server();
        await where.runner({ name: `after ${started}` });
        return user;
    }

    before(async () => {
        kiln = new Kiln();
        archive = path.join(kiln.folder, 'archive');
        backup = path.join(kiln.cluster, 'backup');
        fs.mkdirSync(archive);
        await kiln.start_database(settings('archive_mode=on', `archive_command='cp %p "${archive}/%f"'`, 'log_min_messages=warning'));
        const { uid, gid } = fs.statSync(kiln.cluster);
        fs.chownSync(archive, uid, gid);
        kiln.main = await kiln.server();
        await kiln.runner({ name: 'one' });
        ann = kiln.user('ann');
        account = await ann.account();
        streams.first = await ann.stream().opened();
        job = await make(kiln);
        await shown(streams.first, job);
        await as_owner(kiln, `${bin}/pg_basebackup`, ['-D', backup, '-c', 'fast', '-X', 'stream']);
    });
    after(() => kiln?.end());

    test('a promoted standby serves at once: positions of the old timeline get one reset, nothing old is told, what follows is told once', async () => {
        const standby = await copy_of(null);
        try {
            await as_owner(kiln, `${bin}/pg_basebackup`, ['-D', path.join(standby.cluster, 'pg'), '-c', 'fast', '-X', 'stream', '-R']);
            await standby.start_cluster(settings());
            assert.equal(await standby.psql('select pg_is_in_recovery()'), 't');
            const before = await make(kiln);
            const stream = await ann.stream({ last: streams.first.last }).opened();
            await shown(stream, before);
            const position = stream.last;
            stream.close();
            await end_programs(kiln);
            await until('the standby to have all of it', async () => await standby.psql(`select pg_last_wal_replay_lsn() >= '${await kiln.psql('select pg_current_wal_flush_lsn()')}'`) === 't');
            await standby.psql('select pg_promote()');
            standby.env = { ...kiln.env, ...standby.env };
            await standby.set_passwords();
            assert.equal(await standby.psql('select kiln_internal.is_restored()'), 'f', 'the same cluster');
            const user = await serves(standby);
            const old = await user.stream({ last: position, resume: true }).opened();
            await old.sees('reset', e => e.event === 'reset');
            const next = await make(standby);
            await shown(old, next);
            const polled = await user.get(`/events/poll?after=${encodeURIComponent(position)}&timeout=0`);
            assert.deepEqual(polled.events.map(e => e.type), ['reset']);
            assert.deepEqual([...new Set(ended_events(old).map(e => e.data.job_id))], [next]);
            assert.equal(old.events.filter(e => e.event === 'reset').length, 1);
            assert.deepEqual(old.types(next).filter(type => type !== 'job.progress'), ['job.queued', 'job.started', 'job.completed']);
            assert.deepEqual(await standby.rows('select * from kiln.contradictions'), []);
            assert.equal(await standby.psql('select count(*) from kiln.lost_position'), '0', 'nothing was told that is not here');
            assert.equal(await standby.psql('select kiln_internal.xid_base()'), '0');
        } finally { await standby.end(); }
    });

    test('restored to an earlier time it serves at once, tells nothing old, and lists whose clients were told of what is gone', async () => {
        kiln.main = await kiln.server();
        kiln.url = kiln.main.url;
        await kiln.runner({ name: 'two' });
        await kiln.psql(`select pg_create_restore_point('before')`);
        const kept = await ann.stream().opened();
        const early = kept.last ?? kept.events[0].id;
        kept.close();
        const lost = [await make(kiln), await make(kiln)];
        const stream = await ann.stream({ last: early }).opened();
        for (const id of lost) await shown(stream, id);
        const ahead = stream.last;
        stream.close();
        await end_programs(kiln);
        await kiln.psql('select pg_switch_wal()');
        await until('the WAL to be archived', async () => await kiln.psql(`select last_archived_wal is not null and not exists (select from pg_ls_archive_statusdir() where name like '%.ready') from pg_stat_archiver`) === 't', 30000);
        await kiln.stop_database();

        const past = await copy_of(backup);
        try {
            await as_owner(kiln, 'touch', [path.join(past.cluster, 'pg/recovery.signal')]);
            await past.start_cluster(settings(`restore_command='cp "${archive}/%f" %p'`, `recovery_target_name='before'`, `recovery_target_action='promote'`));
            await until('the end of recovery', async () => await past.psql('select pg_is_in_recovery()') === 'f', 30000);
            await past.set_passwords();
            assert.equal(await past.psql('select kiln_internal.is_restored()'), 'f');
            const user = await serves(past);
            assert.equal(await past.psql(`select count(*) from kiln.job where job_id in (${lost})`), '0', 'the counter was set back');
            const behind = await user.stream({ last: ahead, resume: true }).opened();
            await behind.sees('reset', e => e.event === 'reset');
            await burn(past, 2000);         // beyond what the old timeline had come to
            const next = await make(past);
            await shown(behind, next);
            assert.equal(behind.events.filter(e => e.event === 'reset').length, 1);
            assert.ok(ended_events(behind).every(e => e.data.job_id === next), JSON.stringify(ended_events(behind)));
            const again = await user.stream({ last: ahead }).opened();
            await again.sees('reset', e => e.event === 'reset');
            for (const one of [behind, again]) one.close();
            const found = await past.rows(`select what, account, finding from kiln.restore_findings`);
            assert.deepEqual(found.map(row => [row.what, String(row.account)]), [['position', account]]);
            assert.match(found[0].finding, /^A client was told up to transaction \d+ of timeline \d+; that one ended here at \d+\.$/);
            assert.deepEqual(await past.rows('select * from kiln.contradictions'), []);
        } finally { await past.end(); }
    });
});

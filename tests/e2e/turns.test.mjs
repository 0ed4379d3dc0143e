// Accounts take turns at the database's links: whatever one account asks, and however often, others are answered. The functions of
// three routes are held here, for chosen accounts, so that what waits can be counted.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { begin, request, until } from './lib.mjs';

describe('turns', () => {
    let kiln, count = 0;
    const job_input = { type: 'image', prompt: 'a hill' };
    const someone = async () => { const user = kiln.user(`user-${++count}`); await user.account(); return user; };
    const hold = async (name, ...users) => kiln.psql(`insert into public.hold values ${(await Promise.all(users.map(user => user.account()))).map(id => `('${name}', ${id})`).join()}`);
    const let_go = () => kiln.psql('delete from public.hold');
    /** Statements that a pool has running in the database just now. */
    const running = async pool => Number(await kiln.value(`select count(*) from pg_stat_activity where application_name like 'kiln-server ${pool}%' and state = 'active'`));
    const metric = async (name, base = kiln.url) => Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\d+)$`, 'm').exec((await request(base, 'GET', '/metrics')).text)[1]);
    const waiting = (pool, base) => metric(`kiln_pool_waiting{pool="${pool}"}`, base);
    /** Sends that many of the same; `answers` fills as they come. */
    function send(user, times, ...what) {
        const sent = { answers: [] };
        sent.all = Promise.all(Array.from({ length: times }, () => user.call(...what).then(answer => { sent.answers.push(answer.status); return answer; })));
        return sent;
    }
    const statuses = answers => [...new Set(answers.map(answer => answer.status))];

    before(async () => {
        kiln = await begin({ server: false });
        await kiln.psql(`create table public.hold (name text, account_id bigint); select kiln.pause_queue(name) from kiln.queue`);
        for (const name of ['get_me', 'export_me', 'create_generation']) {
            await kiln.psql(`alter function kiln_api.${name}(bigint, jsonb, jsonb, text) rename to held_${name};
                create function kiln_api.${name}(p_actor bigint, p_path jsonb, p_query jsonb, p_body text) returns json language plpgsql security definer set search_path = '' as $$ begin
                    while exists (select from public.hold h where h.name = '${name}' and h.account_id = p_actor) loop perform pg_sleep(0.01); end loop;
                    return kiln_api.held_${name}(p_actor, p_path, p_query, p_body);
                end $$;
                grant execute on function kiln_api.${name}(bigint, jsonb, jsonb, text) to kiln_server`);
        }
        kiln.main = await kiln.server({ env: { KILN_DB_READERS: '10' } });
    });
    after(() => kiln?.end());
    afterEach(let_go);

    test('of seventeen exports of one account one runs and sixteen wait, though three links could; another account\'s is answered meanwhile', async () => {
        const [a, b] = [await someone(), await someone()];
        await hold('export_me', a);
        const exports = send(a, 17, 'GET', '/me/export');
        await until('sixteen to wait', async () => await waiting('long') === 16);
        await until('1 to run', async () => await running('long') === 1);
        assert.equal(await metric('kiln_pool_in_flight{pool="long"}'), 1);
        assert.equal((await b.call('GET', '/me/export')).status, 200);
        assert.equal((await b.call('GET', '/me')).status, 200);
        assert.equal((await a.call('GET', '/me')).status, 200, 'its own short reads go by other links');
        assert.deepEqual(exports.answers, [], 'none of the seventeen was answered yet');

        const refused = await a.call('GET', '/me/export');
        assert.equal(refused.status, 429);
        assert.equal(refused.json.code, 'too_many_requests');
        assert.ok(Number(refused.headers['retry-after']) > 0);
        assert.equal(await metric('kiln_pool_refused_total{pool="long",reason="account"}'), 1);
        await let_go();
        assert.deepEqual(statuses(await exports.all), [200], 'those that waited are all carried out');
        assert.equal(await waiting('long'), 0);
    });

    test('of forty-eight long reads of three accounts each has one running, and a fourth account is next, before all that came earlier', async () => {
        const three = await Promise.all(Array.from({ length: 3 }, someone)), fourth = await someone();
        await hold('export_me', ...three);
        const ended = [];
        const note = (sent, who) => sent.all.then(answers => { ended.push(who); return answers; });
        const all = three.map(user => send(user, 16, 'GET', '/me/export'));
        await until('three to run', async () => await running('long') === 3);
        assert.equal(await waiting('long'), 45);
        assert.equal((await fourth.call('GET', '/me')).status, 200);
        const own = send(fourth, 1, 'GET', '/me/export');
        const noted = [note(own, 'fourth'), ...all.map(one => note(one, 'another'))];
        await until('it to wait too', async () => await waiting('long') === 46);
        // Of one of the three the statements end from now on: the fourth has used nothing so far, so the link is its.
        await kiln.psql(`delete from public.hold where account_id = ${await three[0].account()}`);
        await own.all;
        assert.equal(ended[0], 'fourth');
        assert.ok(all[0].answers.length < 16, 'the account whose link it was had more to ask');
        assert.deepEqual([...all[1].answers, ...all[2].answers], []);
        await let_go();
        for (const answers of await Promise.all(noted)) assert.deepEqual(statuses(answers), [200]);
    });

    test('the tokens and the API keys of one account take its turns, not turns of their own', async () => {
        const a = await someone();
        const keys = await Promise.all([1, 2, 3].map(async n => (await a.call('POST', '/api-keys', { name: `key ${n}`, scopes: ['read', 'account'] })).json.key));
        const other = kiln.user(a.sub, { iat: Math.floor(Date.now() / 1000) - 60 });
        for (const key of keys) assert.equal((await request(kiln.url, 'GET', '/api/v1/me', { headers: { 'X-API-Key': key } })).status, 200);
        await hold('export_me', a);
        const exports = [send(a, 2, 'GET', '/me/export'), send(other, 2, 'GET', '/me/export')];
        const with_keys = keys.map(key => request(kiln.url, 'GET', '/api/v1/me/export', { headers: { 'X-API-Key': key } }));
        await until('six to wait', async () => await waiting('long') === 6);
        await until('1 to run', async () => await running('long') === 1);
        await let_go();
        for (const one of exports) assert.deepEqual(statuses(await one.all), [200]);
        assert.deepEqual(statuses(await Promise.all(with_keys)), [200]);
    });

    test('while every link of users is held, /readyz and /metrics are answered, and a stream opens and hears', async () => {
        const held = await Promise.all(Array.from({ length: 12 }, someone)), listener = await someone();
        await hold('get_me', ...held);
        await hold('export_me', ...held);
        // A held read is cut after some seconds, and asked again: the links stay held for as long as this takes.
        let is_held = true;
        const seen = new Set();
        const ask = async (user, target) => { do seen.add((await user.call('GET', target)).status); while (is_held); };
        const reads = Promise.all(held.flatMap(user => [ask(user, '/me'), ask(user, '/me/export')]));
        await until('all of these links to be held', async () => await running('read') === 5 && await running('long') === 3);
        assert.equal((await request(kiln.url, 'GET', '/readyz')).status, 200);
        assert.match((await request(kiln.url, 'GET', '/metrics')).text, /^kiln_queue_ready/m);
        const stream = await listener.stream().opened();
        const job = await listener.make(job_input);
        await stream.sees('its job', e => e.data.job_id === job.id);
        stream.close();
        is_held = false;
        await let_go();
        await reads;
        seen.delete(200);
        assert.deepEqual([...seen].filter(status => status !== 503), [], 'a held read is answered, or cut at its time limit');
        const after = await Promise.all(held.flatMap(user => [user.call('GET', '/me'), user.call('GET', '/me/export')]));
        assert.deepEqual(statuses(after), [200], 'and each is answered once nothing holds it');
    });

    test('two hundred that ask /readyz at once are answered by far fewer statements', async () => {
        const calls = async () => Number(await kiln.value(`select coalesce(sum(calls), 0) from pg_stat_user_functions where funcname = 'ready'`));
        await kiln.psql(`alter database kiln set track_functions = 'all'`);
        const server = await kiln.server();
        const before = await calls();
        const answers = await Promise.all(Array.from({ length: 200 }, () => request(server.url, 'GET', '/readyz')));
        assert.deepEqual(statuses(answers), [200]);
        await server.stop();
        const made = await until('the count', async () => { const now = await calls(); return now > before && now - before; });
        assert.ok(made < 200, `${made} statements`);
        await kiln.psql(`alter database kiln reset track_functions`);
    });

    test('one account\'s POSTs hold half of the writers, and another account\'s goes through; all are carried out', async () => {
        const [a, b] = [await someone(), await someone()];
        await hold('create_generation', a);
        const posts = send(a, 40, 'POST', '/generate', job_input);
        await until('the others to wait', async () => await waiting('write') === 36);
        await until('4 to run', async () => await running('write') === 4);
        assert.equal((await b.call('POST', '/generate', job_input)).status, 202);
        assert.deepEqual(posts.answers, []);
        await let_go();
        assert.deepEqual(statuses(await posts.all), [202]);
    });

    test('a long read is cut after five seconds, and its answer says why; those that waited behind it go on', async () => {
        const a = await someone();
        await hold('export_me', a);
        const first = send(a, 1, 'GET', '/me/export');
        await until('it to run', async () => await running('long') === 1);
        const cut = (await first.all)[0];
        await let_go();
        assert.equal(cut.status, 503);
        assert.match(cut.json.detail, /longer than the 5 seconds/);
        assert.ok(Number(cut.headers['retry-after']) > 0);
        assert.equal((await a.call('GET', '/me/export')).status, 200);
    });

    test('a short read is cut after three seconds, and the link goes on', async () => {
        const a = await someone();
        await hold('get_me', a);
        const cut = await a.call('GET', '/me');
        await let_go();
        assert.equal(cut.status, 503);
        assert.equal((await a.call('GET', '/me')).status, 200);
    });

    test('a link that breaks costs nobody an answer: what was running is sent again, what waited goes on', async () => {
        const a = await someone();
        await hold('export_me', a);
        const exports = send(a, 6, 'GET', '/me/export');
        await until('five to wait', async () => await waiting('long') === 5);
        await kiln.psql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kiln-server long' and state = 'active'`);
        await let_go();
        assert.deepEqual(statuses(await exports.all), [200]);
    });

    test('API keys that are made up take the turns of one address together, not a turn each', async () => {
        const holder = kiln.session();
        const made_up = () => { const half = `kiln_${randomBytes(32).toString('hex')}`; return half + createHash('sha256').update(half).digest('hex').slice(0, 8); };
        await holder.say('begin; lock table kiln.api_key in access exclusive mode;');
        const asked = Array.from({ length: 400 }, () => request(kiln.url, 'GET', '/api/v1/generations', { headers: { 'X-API-Key': made_up() } }));
        const refused = (await Promise.all(asked)).filter(answer => answer.status === 429);
        assert.ok(refused.length >= 400 - 64 - 256, `${refused.length} were refused`);
        await holder.say('rollback;');
        await holder.end();
    });

    test('a large page takes its account\'s turn until it is read, so that slow readers do not fill the memory', async () => {
        const a = await someone(), prompt = `a${'\u0001'.repeat(7999)}`;       // six bytes each in JSON
        for (let i = 0; i < 100; i += 10) await Promise.all(Array.from({ length: 10 }, () => a.make({ type: 'image', prompt })));
        const socket = net.connect(new URL(kiln.url).port, '127.0.0.1');
        socket.on('error', () => {}).pause();
        socket.write(`GET /api/v1/generations?limit=100 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${a.token}\r\n\r\n`);
        await until('it to be held', async () => await metric('kiln_pool_in_flight{pool="page"}') === 1 && await running('page') === 0);
        socket.destroy();
        await until('it to end with its reader', async () => await metric('kiln_pool_in_flight{pool="page"}') === 0);
    });

    test('a server that is stopped answers all that wait, and ends', async () => {
        const a = await someone();
        const server = await kiln.server();
        await hold('export_me', a);
        const exports = send(a, 8, 'GET', '/me/export', undefined, { base: server.url });
        await until('seven to wait', async () => await waiting('long', server.url) === 7);
        const ended = server.stop();
        assert.deepEqual(statuses(await exports.all), [503]);
        assert.equal((await ended).code, 0);
        await let_go();
    });
});

// How the programs start, and how they say that they cannot: one line, a telling exit code.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, request, root, until } from './lib.mjs';

describe('starting', () => {
    let kiln;
    before(async () => { kiln = await begin({ server: false }); });
    after(() => kiln.end());

    async function ends(program, args, env) {
        const run = kiln.program(program, args, env);
        const { code } = await until(`${program} to end`, () => run.ended, 15000);
        return { code, out: run.stdout, err: run.stderr.trim() };
    }
    const both = ['kiln-server', 'kiln-runner'];

    for (const program of both) {
        test(`${program}: an unknown KILN_ variable ends it with its name`, async () => {
            const { code, err } = await ends(program, [], { KILN_PROT: '8080' });
            assert.equal(code, 78);
            assert.match(err, /KILN_PROT/);
            assert.equal(err.split('\n').length, 1);
        });
        test(`${program}: a malformed value ends it with the name, and never repeats a secret`, async () => {
            for (const [name, value] of [['KILN_PORT', 'eighty'], ['KILN_PORT', '70000'], ['KILN_RUNNER_SLOTS', '0'], ['KILN_LOG_LEVEL', 'loud'], ['KILN_PREPARE', 'maybe'], ['KILN_JWT_SECRET', 'tooshort-yet-secret'], ['KILN_DB_WRITERS', '8 '], ['KILN_MAX_STREAMS', '-1']]) {
                const { code, err } = await ends(program, [], { [name]: value });
                assert.equal(code, 78, `${name}=${value}: ${err}`);
                assert.match(err, new RegExp(name));
                assert.equal(err.split('\n').length, 1);
                assert.ok(!err.includes('tooshort'), err);
            }
        });
        test(`${program}: a bucket without keys, or an address that is none, ends it`, async () => {
            for (const [media, keys] of [['s3://bucket?endpoint=http://x', {}], ['s3://b', { KILN_S3_ACCESS_KEY: 'a', KILN_S3_SECRET_KEY: 'not-repeated' }],
                ['s3://bucket?endpoint=x', { KILN_S3_ACCESS_KEY: 'a', KILN_S3_SECRET_KEY: 'not-repeated' }], ['s3://bucket?style=odd', { KILN_S3_ACCESS_KEY: 'a', KILN_S3_SECRET_KEY: 'not-repeated' }]]) {
                const { code, err } = await ends(program, [], { KILN_MEDIA: media, ...keys });
                assert.equal(code, 78, err);
                assert.match(err, /KILN_MEDIA/);
                assert.ok(!err.includes('not-repeated'));
            }
        });
        test(`${program}: without DATABASE_URL, or with one that is none, it ends`, async () => {
            for (const url of ['', 'this is no url']) {
                const { code, err } = await ends(program, [], { DATABASE_URL: url });
                assert.equal(code, 78, err);
                assert.match(err, /DATABASE_URL/);
            }
        });
        test(`${program}: wrong flags are 64, --help and --version are 0`, async () => {
            assert.equal((await ends(program, ['--nonsense'])).code, 64);
            assert.equal((await ends(program, ['stray'])).code, 64);
            const help = await ends(program, ['--help']);
            assert.equal(help.code, 0);
            assert.match(help.out, /KILN_PORT/);
            assert.match((await ends(program, ['--version'])).out, new RegExp(`^${program} \\d`));
        });
        if (program === 'kiln-server') test('kiln-server --routes prints the table without a database or a secret; --role only its own rows', async () => {
            const rows = async args => {
                const { code, out, err } = await ends(program, args, { DATABASE_URL: undefined, KILN_JWT_SECRET: undefined });
                assert.equal(code, 0, err);
                return out.trim().split('\n').map(line => JSON.parse(line));
            };
            const all = await rows(['--routes']);
            assert.deepEqual(all.find(row => row.path === '/api/v1/generate'),
                { method: 'POST', path: '/api/v1/generate', auth: 'user', function: 'create_generation', status: 202, role: 'api' });
            assert.deepEqual(all.find(row => row.path === '/api/v1/events'),
                { method: 'GET', path: '/api/v1/events', auth: 'stream', function: null, status: 200, role: 'realtime' });
            assert.deepEqual(await rows(['--role', 'realtime', '--routes']), all.filter(row => row.role !== 'api'));
        });
        test(`${program} --check: 0 with one line; 69 where no database answers`, async () => {
            const good = await ends(program, ['--check']);
            assert.equal(good.code, 0, good.err);
            assert.equal(good.out.trim().split('\n').length, 1);
            const none = await ends(program, ['--check'], { DATABASE_URL: `host='${kiln.folder}/nowhere' dbname=kiln` });
            assert.equal(none.code, 69, none.err);
        });
    }

    test('the server ends without a token secret, or with RS256 keys that it could not trust', async () => {
        const none = await ends('kiln-server', [], { KILN_JWT_SECRET: undefined });
        assert.deepEqual([none.code, /KILN_JWT_SECRET/.test(none.err)], [78, true], none.err);
        const named = { KILN_JWT_ISSUER: 'https://id.example/', KILN_JWT_AUDIENCE: 'api' };
        for (const [url, more, says] of [['https://id.example/jwks.json', {}, /KILN_JWT_ISSUER and KILN_JWT_AUDIENCE/], ['https://id.example/jwks.json', { ...named, KILN_JWT_AUDIENCE: '' }, /KILN_JWT_AUDIENCE/],
            ['https://id.example/jwks.json', { ...named, KILN_JWT_ISSUER: 'urn:kiln:wallet' }, /KILN_JWT_ISSUER/], ['http://id.example/jwks.json', named, /KILN_JWKS_URL must be https/],
            ['id.example', named, /KILN_JWKS_URL/], ['https://user:word@id.example/', named, /KILN_JWKS_URL/]]) {
            const { code, err } = await ends('kiln-server', [], { KILN_JWKS_URL: url, ...more });
            assert.deepEqual([code, says.test(err), err.split('\n').length], [78, true, 1], err);
            assert.ok(!err.includes('word'), err);
        }
    });

    test('a port that is taken ends the server with a sentence that names it', async () => {
        const first = await kiln.server();
        const second = await ends('kiln-server', [], { KILN_PORT: String(first.port) });
        assert.ok(second.code > 0, `exit ${second.code}`);
        assert.match(second.err, new RegExp(`${first.port}`));
        assert.match(second.err, /in use/i);
        assert.equal((await request(first.url, 'GET', '/healthz')).status, 200, 'the first goes on');
        await first.stop();
    });

    test('the file VERSION, the programs, the database, the description and a running server name the same release', async () => {
        const version = fs.readFileSync(path.join(root, 'VERSION'), 'utf8').trim();
        assert.match(version, /^\d+\.\d+\.\d+$/);
        for (const program of [...both, 'kiln-media']) assert.equal((await ends(program, ['--version'])).out.trim(), `${program} ${version}`);
        assert.equal(await kiln.value('select kiln_internal.version()'), version);
        assert.equal(JSON.parse(fs.readFileSync(path.join(root, 'docs/openapi.json'), 'utf8')).info.version, version);
        const server = await kiln.server();
        assert.deepEqual((await request(server.url, 'GET', '/healthz')).json, { status: 'ok', version });
        assert.match(server.output, new RegExp(`"version": ?"${version}"`), 'the first line of the log');
        await server.stop();
    });

    for (const [program, schema, name, args] of [['kiln-server', 'kiln_api', 'cancel_generation', 'bigint, jsonb, jsonb, text'], ['kiln-runner', 'kiln_runner', 'put_media', 'bigint, bigint, jsonb']]) {
        test(`${program}: a function that is missing is exit 76, with its name; it starts again when the function is back`, async () => {
            await kiln.psql(`alter function ${schema}.${name}(${args}) rename to ${name}_away`);
            const { code, err } = await ends(program, [], { KILN_PORT: '20999' });
            assert.equal(code, 76, err);
            assert.match(err, new RegExp(`${schema}\\.${name}`));
            await kiln.psql(`alter function ${schema}.${name}_away(${args}) rename to ${name}`);
            assert.equal((await ends(program, ['--check'])).code, 0);
        });
        test(`${program}: other arguments are exit 76 too`, async () => {
            await kiln.psql(`alter function ${schema}.${name}(${args}) rename to ${name}_away; create function ${schema}.${name}(p_only int) returns json language sql return null::json`);
            const { code, err } = await ends(program, [], { KILN_PORT: '20999' });
            assert.equal(code, 76, err);
            assert.match(err, new RegExp(`${schema}\\.${name}`));
            await kiln.psql(`drop function ${schema}.${name}(int); alter function ${schema}.${name}_away(${args}) rename to ${name}`);
        });
    }

    test('another major version of the contract is exit 76 for both', async () => {
        await kiln.psql(`create or replace function kiln.contract(out major int, out minor int) language sql stable return (2, 0)`);
        for (const program of both) {
            const { code, err } = await ends(program, [], { KILN_PORT: '20999' });
            assert.equal(code, 76, err);
            assert.match(err, /contract|version/);
        }
        await kiln.psql(`create or replace function kiln.contract(out major int, out minor int) language sql stable return (1, 0)`);
    });

    test('a runner that finds no sandbox says so at its start and in /readyz; where one is required it does not start', async () => {
        const bare = env => kiln.program(path.relative(kiln.bin, path.join(root, 'tests/fakes/no_sandbox.py')), [path.join(kiln.bin, 'kiln-runner'), '--name', 'bare'], env);
        const refused = bare({ KILN_REQUIRE_SANDBOX: 'on' });
        assert.equal((await refused.exit).code, 78, refused.output);
        assert.match(refused.output, /KILN_REQUIRE_SANDBOX is on, and this machine has neither Landlock .* nor a bubblewrap/);
        const runner = bare({});
        await until('it to register', async () => await kiln.value(`select sandbox from kiln.runner where name = 'bare' and ended_at is null`) === 'none');
        assert.equal(runner.logged('tools and kiln-media run without a sandbox: what users send could read the runner\'s secrets and other users\' media').length, 1, runner.output);
        const server = await kiln.server();
        assert.match((await request(server.url, 'GET', '/readyz')).json.checks.sandbox, /^warning: 1 of the runners alive run tools without a sandbox/);
        await runner.stop();
        await server.stop();
    });

    test('programs that start before the database wait for it, and work when it is there', async () => {
        await kiln.stop_database();
        const server = await kiln.server({ ready: false });
        const runner = await kiln.runner({ name: 'early', ready: false });
        await until('the server to answer', async () => (await request(server.url, 'GET', '/healthz').catch(() => ({}))).status === 200);
        const not_ready = await request(server.url, 'GET', '/readyz');
        assert.equal(not_ready.status, 503);
        assert.ok(Number(not_ready.headers['retry-after']) > 0);
        await kiln.start_again();
        await until('the server to be ready', async () => (await request(server.url, 'GET', '/readyz')).status === 200, 15000);
        await until('the runner to register', async () => kiln.value(`select 1 from kiln.runner where name = 'early' and ended_at is null`), 15000);
        await runner.stop();
        await server.stop();
    });
});

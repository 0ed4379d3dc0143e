// The money rule, end to end: real server, runner and PostgreSQL against a provider that misbehaves on purpose (tests/fakes). What the provider says
// that it charged is compared with what we say that we paid, and with what became of the request. Each job_input has a provider row of its own, so that no
// pause, circuit or cap of one test reaches another; that is why most of them may run at once.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { begin, pause, request, run, until } from './lib.mjs';
import { png } from '../fakes/media.mjs';

const admin_key = 'an-admin-key-that-is-long-enough-for-tests';
const fal_image = { endpoint: 'fal-ai/nano-banana', body: { prompt: '{prompt}', seed: '{seed}' }, outputs: [{ pointer: '/images/*/url', as: 'url', media_type: 'image' }], blocked: ['/has_nsfw_concepts/*'] };

const hasty = { reply_timeout: '1 s' };

describe('providers', () => {
    let kiln, fake, ann, account, runner, requests = 0;
    const twice = [];           // the prompts that may have been charged twice, each with a reason in its test
    before(async () => {
        kiln = await begin({ provider: { trusted: ['127.0.0.1:9'] }, server: false });
        kiln.main = await kiln.server({ env: { KILN_ADMIN_KEY: admin_key } });
        fake = kiln.fake;
        // In a hurry: polls each 50 ms. Where a time-out is what a test is about, its provider is `hasty`.
        await kiln.psql(`update kiln.provider set reply_timeout = '20 s', poll = case when poll is null then null else poll || '{"every_ms": 50, "max_every_ms": 200}' end where not is_local`);
        await kiln.psql(`update kiln.config set public_url = '${kiln.url}'`);
        ann = kiln.user('ann');
        account = await ann.account();
        runner = await kiln.runner({ name: 'one', args: ['--slots', '16'] });
        await until('the models to be available', async () => await kiln.value(`select bool_and(kiln_internal.model_reason(m) is null) from kiln.model m`) === 't');
    });
    after(() => kiln.end());

    // --- what a test arranges and looks at

    /** A request at a provider of its own: described as fal is, without webhook, idempotency key and lookup unless told; one paid stage. */
    async function request_job({ provider = {}, stage = {}, config = {}, told = [], input = {} } = {}) {
        const number = ++requests, name = `fal-${number}`, prompt = `request ${number}.`;
        await kiln.provider(name, 'fal', { webhook: null, ...provider });
        await kiln.pipeline(name, [{ handler: 'http', queue: 'image', time_limit: '30 s', ...stage, config: { ...fal_image, provider: name, ...config } }]);
        for (const [rule, more] of told.map(t => [t].flat())) await fake.behave(rule, prompt, more);
        const again = () => kiln.enqueue(name, { account, input: { prompt, params: {}, media: [], seed: '42', ...input } });
        return { id: await again(), prompt, name, again };
    }
    const ended = id => until(`job ${id} to end or to be held`, async () => { const job = await kiln.job(id); return (job.finished_at || job.state === 'held') && job; }, 40000);
    const calls = id => kiln.rows(`select * from kiln.call where job_id = ${id} order by call_id`);
    const outputs = id => kiln.rows(`select m.* from kiln.media m, kiln.job j where j.job_id = ${id} and m.media_id::text in (select jsonb_array_elements_text(j.output -> 'media'))`);
    const accepted = id => until(`a call of job ${id} to be accepted`, async () => (await calls(id)).find(c => c.state === 'accepted'), 20000);
    const seen = async prompt => (await fake.bill(prompt)).requests;
    /** What became of it in one line: the job, its calls, what was charged. */
    async function story({ id, prompt }) {
        const job = await ended(id), list = await calls(id), bill = await fake.bill(prompt);
        return { job, calls: list, bill, why: job.error_message, line: `${job.state}; ${list.map(c => c.state === 'settled' ? c.outcome : c.state).join(', ') || 'no call'}; charged ${bill.charges.length}` };
    }
    async function became(expected, what) {
        const told = await story(what);
        assert.equal(told.line, expected, `${told.why} ${JSON.stringify(told.calls)}`);
        return told;
    }
    /** Its result is paid and cannot be had: tried again and again, then held; never completed, never paid again. */
    async function refused_file({ id, prompt }, times = 2) {
        const look = async () => (await kiln.rows(`select t.error_class, t.error_message, c.fetches, c.state, c.outcome, j.finished_at, j.state as job from kiln.job j
            left join kiln.task t on t.job_id = j.job_id and t.state in ('waiting', 'held', 'failed') left join kiln.call c on c.job_id = j.job_id where j.job_id = ${id}`))[0];
        const call = await until('the result to be tried again, or held', async () => { const now = await look(); return (now.finished_at || (['fetch', 'lost'].includes(now.error_class) && (now.fetches >= times || now.job === 'held'))) && now; }, 30000);
        assert.equal(call.finished_at, null, JSON.stringify(call));
        assert.ok(call.error_message?.length > 10, JSON.stringify(call));
        assert.ok(call.outcome === 'succeeded' || call.state === 'accepted', `${call.state} ${call.outcome}`);       // an address of no use is no success yet
        assert.deepEqual([(await calls(id)).length, (await fake.bill(prompt)).charges.length, (await outputs(id)).length], [1, 1, 0]);
        return call.error_message;
    }
    const another = name => kiln.runner({ name, args: ['--slots', '1'] });
    const resolve = (id, body) => request(kiln.url, 'POST', `/api/v1/admin/jobs/${id}/resolve`, { headers: { 'Content-Type': 'application/json', 'X-API-Key': admin_key }, body: JSON.stringify(body) });
    const sum = bytes => createHash('sha256').update(bytes).digest('hex');

    describe('at the same time,', { concurrency: 2 }, () => {
        // --- what takes its time: ten seconds in which a request may leave, downloads that are tried again and again, a person's word

        describe('with patience,', { concurrency: 8 }, () => {
            const past_its_time = 13200;        // ten seconds in which it may leave, three for the reply
            const held = async (ms = 0) => {
                const w = await request_job({ provider: { reply_timeout: '3 s' }, told: [['accept-then-drop', { times: 1 }]] });
                await kiln.job_state(w.id, 'held');
                await pause(ms);
                return w;
            };
            test('what is held shows itself with its reason in kiln.held_jobs', async () => {
                const w = await held();
                const [row] = await kiln.rows(`select * from kiln.held_jobs where job = ${w.id}`);
                assert.ok(row && JSON.stringify(row).includes(w.name), JSON.stringify(row));
            });
            test('what is held is sent again when a person says so, with a reason', async () => {
                const w = await held(past_its_time);
                twice.push(w.prompt);
                const answer = await resolve(w.id, { action: 'resend', reason: 'the provider says it has nothing' });
                assert.equal(answer.status, 200, answer.text);
                assert.equal((await kiln.job_state(w.id, 'completed')).state, 'completed');
                assert.equal((await fake.bill(w.prompt)).charges.length, 2);
            });
            test('what is held fails when a person says so', async () => {
                const w = await held(past_its_time);
                assert.equal((await resolve(w.id, { action: 'fail', reason: 'too old' })).status, 200);
                assert.equal((await kiln.job_state(w.id, 'failed')).state, 'failed');
            });
            test('what is held is adopted under the request id that the provider\'s own list shows, and not paid again', async () => {
                const w = await held();
                const [{ id }] = await seen(w.prompt);
                const answer = await resolve(w.id, { action: 'adopt', reason: 'seen in the provider\'s list', output: { request_id: id } });
                assert.equal(answer.status, 200, answer.text);
                await became('completed; succeeded; charged 1', w);
            });
            test('what is held may not be sent again before its time has passed', async () => {
                const w = await request_job({ provider: { reply_timeout: '1 hour' }, told: ['accept-then-drop'] });
                await kiln.job_state(w.id, 'held');
                const answer = await resolve(w.id, { action: 'resend', reason: 'impatient' });
                assert.equal(answer.status, 409, answer.text);
                assert.equal((await seen(w.prompt)).length, 1);
            });
            test('what is held is nobody\'s business without the operator\'s key', async () => {
                const w = await held();
                assert.equal((await ann.call('POST', `/admin/jobs/${w.id}/resolve`, { action: 'resend', reason: 'mine' })).status, 403);
            });
            test('where there is a lookup it is asked, after its time: found goes on, not found is sent anew', async () => {
                const lookup = { method: 'GET', path: '/lookup', query: { key: '{idempotency_key}' }, accept: [200], found: ['/found'], id: ['/id'] };
                const provider = { reply_timeout: '3 s', lookup, submit: await submit_with({ 'X-Client-Reference': '{idempotency_key}' }) };
                const [found, lost] = [await request_job({ provider, told: [['accept-then-drop', { times: 1 }]] }), await request_job({ provider, told: [['drop', { times: 1 }]] })];
                await became('completed; succeeded; charged 1', found);
                await became('completed; not_sent, succeeded; charged 1', lost);
            });
            for (const name of ['file-breaks-for-good', 'file-lies-about-length']) {
                test(`${name.replaceAll('-', ' ')}: not completed, tried again, never paid again, and the reason is there`, async () => {
                    await refused_file(await request_job({ told: [name] }), 1);
                });
            }
        });

        describe('one after another,', () => {
            // --- good days

            describe('on a good day', () => {
                for (const name of ['fal', 'replicate', 'openai']) {
                    test(`every model of ${name} makes what it says, for one charge`, async () => {
                        const models = await kiln.rows(`select m.name, m.media_type, m.example, exists (
                            select from kiln.pipeline l join kiln.stage s using (pipeline_version_id) where l.pipeline_id = m.pipeline_id and s.config::text like '%{media%') as needs_picture
                            from kiln.model m join kiln.provider p using (provider_id) where p.name = '${name}' and m.is_enabled`);
                        assert.ok(models.length > 0);
                        const picture = await ann.upload('a.png', 'image/png', png('an input', 256, 256));
                        await Promise.all(models.map(async model => {
                            const prompt = `request ${++requests}.`;
                            const job = await ann.make({ ...model.example, model: model.name, type: model.media_type, prompt, ...(model.needs_picture ? { media: [picture] } : {}) });
                            const done = await ann.finished(job.id);
                            assert.equal(done.state, 'completed', `${model.name}: ${done.error?.message}`);
                            assert.equal(done.outputs[0]?.media_type, model.media_type, model.name);
                            assert.equal((await request(kiln.url, 'GET', done.outputs[0].url)).status, 200, model.name);
                            assert.deepEqual((await calls(job.id)).map(c => [c.state, c.outcome]), [['settled', 'succeeded']], model.name);
                            assert.equal((await fake.bill(prompt)).charges.length, 1, model.name);
                        }));
                    });
                }
                test('what the account paid is what the provider charged, and the ledger adds up', async () => {
                    await kiln.psql(`update kiln.model set price_micros = 25000, price = null where name = 'fal/flux-schnell'`);
                    const carol = kiln.user('carol'), carol_id = await carol.account(), name = 'fal/flux-schnell';
                    const prompts = [`request ${++requests}.`, `request ${++requests}.`];
                    await fake.behave('refuse', prompts[1]);
                    const jobs = [];
                    for (const prompt of prompts) jobs.push(await carol.make({ type: 'image', model: name, prompt }));
                    const done = await Promise.all(jobs.map(job => carol.finished(job.id)));
                    assert.deepEqual(done.map(job => job.state), ['completed', 'failed']);
                    const bill = (await fake.bill()).charges.filter(c => prompts.includes(c.prompt));
                    assert.deepEqual(bill.map(c => c.micros), [25000]);
                    const ledger = await kiln.rows(`select kind, sum(amount_micros)::int as micros from kiln.ledger where account_id = ${carol_id} group by kind order by kind`);
                    assert.deepEqual(ledger, [{ kind: 'hold', micros: -50000 }, { kind: 'release', micros: 50000 }, { kind: 'charge', micros: -25000 }]);
                });
            });

            // --- the provider misbehaves

            describe('before a request was accepted', { concurrency: 6 }, () => {
                test('a link that is lost is never asked again where the provider knows no key: held, with the reason', async () => {
                    const { job, bill } = await became('held; unknown; charged 1', await request_job({ told: ['accept-then-drop'] }));
                    assert.equal(bill.requests.length, 1);
                    assert.match(job.error_message, /fal-\d+/);
                });
                test('the same, although nothing was charged: nobody can know', async () => {
                    await became('held; unknown; charged 0', await request_job({ told: ['drop'] }));
                });
                test('silence is held when its time has passed', async () => {
                    await became('held; unknown; charged 1', await request_job({ provider: hasty, told: ['charge-then-silence'] }));
                });
                test('an answer after the time-out comes too late', async () => {
                    await became('held; unknown; charged 1', await request_job({ provider: hasty, told: ['answer-late'] }));
                });
                test('a 500 is held where no rule calls it unbilled', async () => {
                    await became('held; unknown; charged 1', await request_job({ provider: { errors: [] }, told: ['charge-then-500'] }));
                });
                test('a reply that nobody can read is held', async () => {
                    await became('held; unknown; charged 1', await request_job({ told: ['no-json'] }));
                });
                test('a result that was to come with the reply is lost with it: held', async () => {
                    const prompt = `request ${++requests}.`;
                    await fake.behave('accept-then-drop', prompt);
                    const job = await ann.make({ type: 'image', model: 'openai/gpt-image', prompt });
                    await became('held; unknown; charged 1', { id: job.id, prompt });
                });
                test('with an idempotency key the very same request goes again, and is charged once', async () => {
                    for (const name of ['accept-then-drop', 'charge-then-silence', 'drop', 'charge-then-500']) {
                        const w = await request_job({ provider: { idempotency_header: 'Idempotency-Key', idempotency_ttl: '1 hour', errors: [], reply_timeout: name === 'charge-then-silence' ? '3 s' : '20 s' }, told: [[name, { times: 1 }]] });
                        const { calls: [call], bill } = await became('completed; succeeded; charged 1', w);
                        assert.equal(bill.charges[0].key, call.idempotency_key, name);
                    }
                });
                test('on_unknown: retry pays again, since the stage says so', async () => {
                    const w = await request_job({ config: { on_unknown: 'retry' }, told: [['accept-then-drop', { times: 1 }]] });
                    twice.push(w.prompt);
                    const { calls: list } = await became('completed; failed, succeeded; charged 2', w);
                    assert.equal(list[0].error_class, 'unknown');
                });
                test('what costs nothing is simply tried again', async () => {
                    const w = await request_job({ provider: { is_paid: false }, told: [['accept-then-drop', { times: 1 }]] });
                    twice.push(w.prompt);
                    await became('completed; failed, succeeded; charged 2', w);
                });
                test('a 503 that is listed as unbilled is tried again', async () => {
                    await became('completed; failed, succeeded; charged 1', await request_job({ told: [['unavailable', { times: 1 }]] }));
                });
                test('a provider that is not there costs nothing and is asked until it is', async () => {
                    const w = await request_job({ provider: { base_url: 'http://127.0.0.1:9/fal' } });
                    await until('a call that was not sent', async () => (await calls(w.id)).some(c => c.outcome === 'not_sent'));
                    assert.equal((await kiln.job(w.id)).finished_at, null);
                    await kiln.psql(`update kiln.provider set base_url = '${fake.url}/fal' where name = '${w.name}'`);
                    assert.equal((await ended(w.id)).state, 'completed');
                    assert.equal((await fake.bill(w.prompt)).charges.length, 1);
                });
                test('a slow drip within the time is a reply', async () => {
                    await became('completed; succeeded; charged 1', await request_job({ provider: { reply_timeout: '20 s' }, told: [['drip', { do: { drip_ms: 20, drip_bytes: 8 } }]] }));
                });
                test('one beyond it is held', async () => {
                    await became('held; unknown; charged 1', await request_job({ provider: hasty, told: ['drip'] }));
                });
                test('a reply that never ends is cut off', async () => {
                    await became('held; unknown; charged 1', await request_job({ provider: { max_reply_bytes: 65536 }, told: [{ do: { text: 'x'.repeat(200000) } }] }));
                });
            });

            describe('when it is busy', { concurrency: 4 }, () => {
                test('a 429 is asked again, and no attempt is lost', async () => {
                    const w = await request_job({ stage: { max_attempts: 1 }, told: [['busy', { times: 2 }]] });
                    const { bill } = await story(w);
                    assert.equal((await kiln.job(w.id)).state, 'completed');
                    assert.equal(bill.charges.length, 1);
                });
                test('a Retry-After stops every task of the provider, on every runner, at once', async () => {
                    const w = await request_job({ told: [['busy-until', { times: 1, do: { headers: { 'Retry-After': '2' } } }]] });
                    await until('the 429', async () => (await calls(w.id)).some(c => c.error_class === 'rate_limited'));
                    const paused_until = Number(await kiln.value(`select extract(epoch from g.paused_until) * 1000 from kiln.provider_limiter g join kiln.provider p using (provider_id) where p.name = '${w.name}'`));
                    assert.ok(paused_until > Date.now() - 2000 && paused_until < Date.now() + 2100, String(paused_until));
                    const other = await w.again();
                    assert.equal((await ended(w.id)).state, 'completed');
                    assert.equal((await ended(other)).state, 'completed');
                    const requests = await seen(w.prompt);
                    assert.equal(requests.length, 2);
                    for (const r of requests) assert.ok(r.at >= Math.floor(paused_until), `asked ${paused_until - r.at} ms too early`);
                });
                test('a limit of calls is kept: the next waits for a place, and says why', async () => {
                    const w = await request_job({ provider: { max_calls: 1 }, told: [{ do: { run_ms: 2500 } }] });
                    await accepted(w.id);
                    const other = await w.again();
                    const [deferred] = await until('the second to wait', async () => { const rows = await kiln.rows(`select error_message from kiln.task where job_id = ${other} and state = 'waiting' and error_message is not null and not exists (select from kiln.call where job_id = ${other})`); return rows.length && rows; });
                    assert.match(deferred.error_message, /fal-\d+.*1/);
                    assert.equal((await seen(w.prompt)).length, 1);
                    assert.equal((await kiln.job(other)).finished_at, null);
                    await Promise.all([ended(w.id), ended(other)]);
                    const [a, b] = await seen(w.prompt);
                    assert.ok(b.at >= a.ends_at, 'the second began when the first had ended');
                });
            });

            describe('after a request was accepted', { concurrency: 6 }, () => {
                test('it waits for nothing but the clock: no slot is held', async () => {
                    const w = await request_job({ told: [['slow', { do: { run_ms: 3000 } }]] });
                    await accepted(w.id);
                    await until('the slot to be free while the provider works', async () => await kiln.value(`select exists (select from kiln.call where job_id = ${w.id} and state = 'accepted') and not exists (select from kiln.task_running where job_id = ${w.id})`) === 't');
                    await became('completed; succeeded; charged 1', w);
                    assert.ok((await seen(w.prompt))[0].polls >= 3);
                });
                test('COMPLETED may be a failure: tried again if it is unbilled, and then told', async () => {
                    const { job } = await became('failed; failed, failed, failed; charged 0', await request_job({ told: ['fail'] }));
                    assert.match(job.error_message, /model failed/);
                });
                test('a refusal is final, and costs nothing', async () => {
                    const { job } = await became('failed; failed; charged 0', await request_job({ told: ['refuse'] }));
                    assert.equal(job.error_code, 'refused');
                });
                test('a blacked-out picture is a refusal that was paid, whatever its status', async () => {
                    const w = await request_job({ told: ['nsfw'] });
                    const { job, calls: [call], bill } = await story(w);
                    assert.deepEqual([job.state, job.error_code, bill.charges.length], ['failed', 'refused', 1]);
                    assert.equal(call.outcome, 'succeeded');
                    assert.equal((await outputs(w.id)).length, 0);
                });
                test('a 5xx and a silence of the poll are health: it is asked again', async () => {
                    await became('completed; succeeded; charged 1', await request_job({ told: [['no-polls', { times: 3 }]] }));
                    await became('completed; succeeded; charged 1', await request_job({ provider: { reply_timeout: '3 s' }, told: [['polls-hang', { times: 1 }]] }));
                    await became('completed; succeeded; charged 1', await request_job({ told: [{ match: { phase: 'result' }, do: { status: 503, headers: { 'X-Fal-Error-Type': 'runner_connection_error' } }, times: 2 }] }));
                });
                test('a request id of strange characters stays in its place in the path', async () => {
                    const before_it = (await fake.bill()).malformed.length;
                    await became('completed; succeeded; charged 1', await request_job({ told: ['odd-id'] }));
                    assert.equal((await fake.bill()).malformed.length, before_it);
                });
                test('a killed runner\'s poll goes on elsewhere with the same request id', async () => {
                    const w = await request_job({ told: [['slow', { do: { run_ms: 4000 } }]] });
                    await accepted(w.id);
                    const victim = await another(`victim-${w.id}`);
                    await until('the victim to be there', async () => (await seen(w.prompt))[0].polls >= 2);
                    await victim.kill();
                    const { bill, calls: [call] } = await became('completed; succeeded; charged 1', w);
                    assert.deepEqual(bill.requests.map(r => r.id), [call.provider_request_id]);
                });
                test('cancelled by its owner, the provider is told, and the bill is followed', async () => {
                    const w = await request_job({ told: ['queue-long'] });
                    await accepted(w.id);
                    assert.equal((await ann.call('POST', `/generations/${w.id}/cancel`)).status, 202);
                    await kiln.job_state(w.id, 'cancelled');
                    await until('the provider to be told', async () => (await seen(w.prompt))[0].cancels >= 1);
                    await until('the call to be settled', async () => (await calls(w.id))[0].state === 'settled');
                    assert.deepEqual([(await calls(w.id))[0].outcome, (await fake.bill(w.prompt)).charges.length], ['cancelled', 0]);
                });
            });

            // --- results

            describe('a result', { concurrency: 4 }, () => {
                test('that breaks off is fetched on from where it broke', async () => {
                    const w = await request_job({ told: [['file-breaks', { times: 3, do: { break_at: 1000 } }]] });
                    await became('completed; succeeded; charged 1', w);
                    const [file] = await outputs(w.id);
                    const [{ id }] = await seen(w.prompt);
                    assert.equal(file.sha256.replace(/^\\x/, ''), sum(png(`${id} 0`)));
                });
                test('that drips is waited for', async () => {
                    await became('completed; succeeded; charged 1', await request_job({ told: [['file-drips', { do: { drip_ms: 2, drip_bytes: 64 } }]] }));
                });
                for (const name of ['file-gone', 'file-lies-about-type', 'file-empty', 'file-truncated', 'file-huge', 'file-bomb', 'file-gzip-bomb', 'file-big']) {
                    test(`${name.replaceAll('-', ' ')}: not completed, tried again, never paid again, and the reason is there`, async t => {
                        await refused_file(await request_job({ provider: { max_file_bytes: 1 << 20 }, told: [name] }));
                    });
                }
                for (const name of ['result-empty', 'result-null']) {
                    test(`that is ${name.slice(7)} is paid and nothing came: held, never the user's fault and never paid again`, async () => {
                        const { job, calls: [call] } = await became('held; succeeded; charged 1', await request_job({ told: [name] }));
                        assert.match(job.error_message, /not where it should be: \/images/);
                        assert.equal(call.malformed_reply, null);
                    });
                }
                test('that is empty is none where the description says that it may be', async () => {
                    const w = await request_job({ told: ['result-empty'], config: { outputs: [{ ...fal_image.outputs[0], may_be_empty: true }] } });
                    await became('completed; succeeded; charged 1', w);
                });
                for (const [what, name] of [['is forbidden', 'file-forbidden'], ['is gone', 'file-gone'], ['is a page', 'file-lies-about-type']]) {
                    test(`whose file ${what} is held after three tries, not after ten`, async () => {
                        const { calls: [call] } = await became('held; succeeded; charged 1', await request_job({ told: [name] }));
                        assert.equal(call.fetches, 3);
                    });
                }
                test('that is a page in place of JSON is held after three tries, with the page as evidence', async () => {
                    const { calls: [call] } = await became('held; accepted; charged 1', await request_job({ told: ['result-page'] }));
                    assert.deepEqual([call.fetches, call.malformed_reply], [3, '<!doctype html><title>Just a moment</title>']);
                });
                test('with blanks and letters in its address is fetched as a browser would', async () => {
                    const w = await request_job({ told: ['result-odd-address'] });
                    await became('completed; succeeded; charged 1', w);
                    assert.equal((await outputs(w.id)).length, 1);
                });
                test('that is a data: URI is a file', async () => {
                    for (const url of [`data:image/png;base64,${png('inline').toString('base64')}`, `data:image/png,${[...png('inline')].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')}`]) {
                        const w = await request_job({ provider: { max_reply_bytes: 4 << 20 }, told: [{ match: { phase: 'result' }, do: { set: { images: [{ url }] } } }] });
                        await became('completed; succeeded; charged 1', w);
                        const [file] = await outputs(w.id);
                        assert.equal(file.sha256.replace(/^\\x/, ''), sum(png('inline')));
                    }
                });
                test('longer than a file may be is held at once', async () => {
                    const w = await request_job({ provider: { max_file_bytes: 4096 }, told: [{ match: { phase: 'result' }, do: { set: { images: [{ url: `data:image/png,${'a'.repeat(5000)}` }] } } }] });
                    const { calls: [call] } = await became('held; succeeded; charged 1', w);
                    assert.equal(call.fetches, 1);
                });
                test('beside what is no JSON (a mark, half a letter, no number) is read, and the reply kept as it came', async () => {
                    const { calls: [call] } = await became('completed; succeeded; charged 1', await request_job({ told: ['json-mark', 'json-half-pair', 'json-nan'] }));
                    assert.match(call.malformed_reply, /NaN/);
                });
                test('that is there again later is fetched then, and not paid again', async () => {
                    await became('completed; succeeded; charged 1', await request_job({ told: [['file-gone', { times: 2 }]] }));
                });
            });

            describe('an address of a reply', { concurrency: 4 }, () => {
                const nobody_came = async prompt => assert.deepEqual((await fake.bill()).elsewhere.filter(v => v.url.includes(prompt)), []);
                test('at a foreign host is not followed: the path of the description is', async () => {
                    const there = `http://${fake.elsewhere}/status-trap`;
                    const w = await request_job({ told: [{ do: { set: { status_url: there, response_url: there, cancel_url: there } } }] });
                    await became('completed; succeeded; charged 1', w);
                    await nobody_came('trap');
                });
                for (const [what, url] of [['a foreign host', () => `http://${fake.elsewhere}/result-trap.png`], ['the metadata of a cloud', () => 'http://169.254.169.254/latest/meta-data/'], ['a file', () => 'file:///etc/passwd'], ['another scheme', () => 'gopher://127.0.0.1/x']]) {
                    test(`of a result at ${what} is refused`, async () => {
                        const w = await request_job({ told: [{ match: { phase: 'result' }, do: { set: { images: [{ url: url(), content_type: 'image/png' }] } } }] });
                        await refused_file(w);
                        await nobody_came('trap');
                    });
                    test(`of a redirect to ${what} is refused`, async () => {
                        const w = await request_job({ told: [{ match: { phase: 'file' }, do: { redirect: url() } }] });
                        await refused_file(w);
                        await nobody_came('trap');
                    });
                }
                test('that is private is refused even where the description lists the host', async () => {
                    const w = await request_job({ provider: { file_hosts: ['10.0.0.1', '192.168.7.7:80', 'localhost:1'] }, told: [{ match: { phase: 'result' }, do: { set: { images: [{ url: 'https://10.0.0.1/a.png', content_type: 'image/png' }] } } }] });
                    assert.match(await refused_file(w), /10\.0\.0\.1|address|private/i);
                });
                test('of the submit itself is refused when it redirects', async () => {
                    const w = await request_job({ told: [{ do: { accept: false, redirect: `http://${fake.elsewhere}/submit-trap` } }] });
                    const { job } = await story(w);
                    assert.ok(['failed', 'held'].includes(job.state), job.state);
                    await nobody_came('trap');
                });
            });

            // jsonb keeps such a number in a few bytes and SQL writes 131,072 digits; what is paid is not lost for it.
            test('a number with a big exponent beside the result is left out, and the result is had', async () => {
                const huge = '\u00001e131071\u0000';
                const w = await request_job({ told: [{ match: { phase: 'result' }, do: { set: { metrics: { seconds: huge }, list: [huge, huge] } } }] });
                const { job } = await became('completed; succeeded; charged 1', w);
                assert.equal((await outputs(w.id)).length, 1, JSON.stringify(job));
                assert.equal(await kiln.value(`select result ->> 'list' from kiln.call where job_id = ${w.id}`), '["", ""]');
            });

            // --- webhooks

            describe('a webhook', () => {
                /** A provider whose webhooks can be verified: fal itself. */
                async function hooked(told, { polls = true, ...more } = {}) {
                    const prompt = `request ${++requests}.`, name = `hooked-${requests}`;
                    await kiln.pipeline(name, [{ handler: 'http', queue: 'image', time_limit: '30 s', config: { ...fal_image, provider: 'fal', ...more } }]);
                    for (const [rule, order] of told.map(t => [t].flat())) await fake.behave(rule, prompt, order);
                    if (!polls) await fake.behave('no-polls', prompt);
                    return { id: await kiln.enqueue(name, { account, input: { prompt, params: {}, media: [], seed: '42' } }), prompt };
                }
                const delivered = prompt => until('a webhook to be answered', async () => { const [r] = await seen(prompt); return r?.webhooks.length && r.webhooks; });
                before(async () => {
                    await until('the keys of fal\'s webhooks', async () => await kiln.value(`select count(*) from kiln.webhook_key k join kiln.provider p using (provider_id) where p.name = 'fal' and k.jwks is not null`) === '1');
                });

                test('alone brings the result, without any poll that works', async () => {
                    const w = await hooked([], { polls: false });
                    await became('completed; succeeded; charged 1', w);
                    assert.deepEqual((await delivered(w.prompt)).map(d => d.status), [200]);
                });
                test('before our own submit has its reply is as good', async () => {
                    await became('completed; succeeded; charged 1', await hooked(['webhook-first']));
                });
                test('that comes twice is one result', async () => {
                    const w = await hooked(['webhook-twice']);
                    await became('completed; succeeded; charged 1', w);
                    assert.equal((await outputs(w.id)).length, 1);
                });
                test('that never comes is not missed: polls find the end', async () => {
                    await became('completed; succeeded; charged 1', await hooked(['no-webhooks']));
                });
                test('of Replicate, signed as Standard Webhooks, alone brings the result too; a forged one does not', async () => {
                    const prompts = [`request ${++requests}.`, `request ${++requests}.`];
                    await fake.behave('webhook-forged-key', prompts[1]);
                    for (const prompt of prompts) await fake.behave('no-polls', prompt);
                    const jobs = [];
                    for (const prompt of prompts) jobs.push(await ann.make({ type: 'image', model: 'replicate/flux-schnell', prompt }));
                    assert.equal((await ann.finished(jobs[0].id)).state, 'completed');
                    const answers = await delivered(prompts[1]);
                    assert.ok(answers.every(d => d.status === 401), JSON.stringify(answers));
                    assert.equal((await kiln.job(jobs[1].id)).finished_at, null);
                    await fake.behave({ match: { phase: 'status' }, do: { status: null } }, prompts[1]);
                    assert.equal((await ann.finished(jobs[1].id)).state, 'completed');
                    assert.deepEqual(await Promise.all(prompts.map(async p => (await fake.bill(p)).charges.length)), [1, 1]);
                });
                test('that says OK and then ERROR of an earlier try is OK', async () => {
                    await became('completed; succeeded; charged 1', await hooked(['webhook-out-of-order']));
                });
                for (const name of ['webhook-forged-key', 'webhook-forged-body', 'webhook-old']) {
                    test(`${name.replace('webhook-', 'that is ').replaceAll('-', ' ')} is refused and moves nothing`, async () => {
                        const w = await hooked([name], { polls: false });
                        const answers = await delivered(w.prompt);
                        assert.ok(answers.every(d => d.status === 401 || d.status === 400 || d.status === 403), JSON.stringify(answers));
                        assert.equal((await kiln.job(w.id)).finished_at, null);
                        await fake.behave({ match: { phase: 'status' }, do: { status: null } }, w.prompt);
                        await became('completed; succeeded; charged 1', w);
                    });
                }
                test('resolves what was held, whenever it comes', async () => {
                    const w = await hooked(['accept-then-drop', ['webhook-late', { do: { delay_ms: 2500 } }]]);
                    await kiln.job_state(w.id, 'held');
                    const job = await kiln.job_state(w.id, 'completed');
                    assert.equal((await outputs(w.id)).length, 1, JSON.stringify(job));
                    assert.equal((await fake.bill(w.prompt)).charges.length, 1);
                });
            });
        });
    });

    // --- keys

    test('a model whose key no runner has is listed with the reason, and asking for it is a 422', async () => {
        await kiln.provider('keyless', 'fal', { webhook: null, auth: { header: 'Authorization', prefix: 'Key ', env: 'KEYLESS_KEY' } });
        await kiln.pipeline('keyless/image', [{ handler: 'http', queue: 'image', config: { ...fal_image, provider: 'keyless' } }]);
        await kiln.psql(`insert into kiln.model (name, provider_id, pipeline_id, media_type, title)
            select 'keyless/image', p.provider_id, l.pipeline_id, 'image', 'Keyless' from kiln.provider p, kiln.pipeline l where p.name = 'keyless' and l.name = 'keyless/image'`);
        const shown = (await ann.get('/models?q=keyless')).items?.[0] ?? (await ann.get('/models?q=keyless'))[0];
        assert.match(JSON.stringify(shown), /KEYLESS_KEY/);
        const answer = await ann.call('POST', '/generate', { type: 'image', model: 'keyless/image', prompt: 'a key' });
        assert.equal(answer.status, 422, answer.text);
        assert.match(answer.text, /KEYLESS_KEY/);
        const other = await kiln.runner({ name: 'with-the-key', env: { KEYLESS_KEY: 'there' } });
        await until('the model to be available', async () => await kiln.value(`select kiln_internal.model_reason(m) is null from kiln.model m where name = 'keyless/image'`) === 't');
        await other.stop();
    });

    // --- at the end, over all that happened

    test('no key stands in a log, a row, an answer or a file', async () => {
        const dump = await run('pg_dump', ['--data-only', '--inserts'], { env: kiln.pg });
        assert.equal(dump.code, 0, dump.err);
        const places = { database: dump.out, runner: [...kiln.programs].map(p => p.output).join('\n'), postgres: fs.readFileSync(`${kiln.cluster}/log/postgres.log`, 'utf8') };
        for (const [name, key] of Object.entries(fake.keys)) {
            for (const [place, text] of Object.entries(places)) assert.ok(!text.includes(key), `${name} is in the ${place}`);
            assert.equal((await run('grep', ['-rlF', key, kiln.media])).out, '', `${name} is in the media`);
        }
        assert.equal(places.runner.includes(fake.webhook_secret), false);
    });
    test('nothing was paid twice that nobody allowed, no request was malformed, no key went astray, nobody came to the wrong address', async () => {
        const { charges, malformed, leaks, elsewhere } = await fake.bill();
        const jobs = new Map((await kiln.rows(`select input ->> 'prompt' as prompt, count(*)::int as n from kiln.job group by 1`)).map(row => [row.prompt, row.n]));
        const count = new Map();
        for (const { prompt } of charges) count.set(prompt, (count.get(prompt) ?? 0) + 1);
        assert.deepEqual([...count].filter(([prompt, n]) => n > jobs.get(prompt) && !twice.includes(prompt)), []);
        assert.deepEqual(malformed, []);
        assert.deepEqual(leaks, []);
        assert.deepEqual(elsewhere, []);
    });
    test('what we say that we were charged is what the provider charged, call by call', async () => {
        const { charges } = await fake.bill();
        const list = await kiln.rows(`select c.provider_request_id as id, c.state, c.outcome, c.is_unbilled from kiln.call c where c.provider_request_id is not null`);
        const paid = new Set(charges.map(c => c.request_id));
        const wrong = list.filter(c => c.outcome === 'succeeded' && !paid.has(c.id));
        assert.deepEqual(wrong, []);
    });

    const submit_with = async headers => { const [{ submit }] = await kiln.rows(`select submit from kiln.provider where name = 'fal'`); return { ...submit, headers: { ...submit.headers, ...headers } }; };
});

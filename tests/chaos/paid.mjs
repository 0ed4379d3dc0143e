// Paid calls in the storm: the fake provider (tests/fakes) behind a wire of its own, known under several names with different
// powers, and its bill, which is compared with ours.
import path from 'node:path';
import { until } from '../e2e/lib.mjs';
import { FakeProvider } from '../fakes/client.mjs';
import { Proxy } from './proxy.mjs';

const stage = { endpoint: 'fal-ai/nano-banana', body: { prompt: '{prompt}', seed: '{seed}' }, outputs: [{ pointer: '/images/*/url', as: 'url', media_type: 'image' }] };
const lookup = { method: 'GET', path: '/lookup', query: { key: '{idempotency_key}' }, accept: [200], found: ['/found'], id: ['/id'] };

/** name → how it differs from fal as it is seeded. Only where neither a key nor a lookup helps may a call end as held. */
const powers = {
    'fal-bare': { webhook: null },
    'fal-hooked': {},
    'fal-lookup': { webhook: null, lookup, reference: true },
    'fal-keyed': { webhook: null, idempotency_header: 'Idempotency-Key', idempotency_ttl: '1 day' },
    'fal-keyed-hooked': { idempotency_header: 'Idempotency-Key', idempotency_ttl: '1 day' },
};
const price = 25000;

export class Paid {
    constructor(world) {
        this.world = world;
    }
    async begin() {
        const { kiln } = this.world;
        this.wire = await new Proxy().listen();
        const base = `http://127.0.0.1:${this.wire.port}`;
        kiln.fake = this.fake = await new FakeProvider({ state: path.join(kiln.folder, 'provider'), base }).start();
        this.wire.target = { host: '127.0.0.1', port: this.fake.port };
        await kiln.point_to(base);
        Object.assign(kiln.env, this.fake.keys, { KILN_TRUSTED_HOSTS: `${kiln.env.KILN_TRUSTED_HOSTS},127.0.0.1:${this.wire.port}` });
        await kiln.psql(`update kiln.config set public_url = '${kiln.url}'`);
        await kiln.psql(`update kiln.provider set reply_timeout = '4 s', poll = poll || '{"every_ms": 60, "max_every_ms": 300}' where name = 'fal'`);
        // kiln-runner's engine, and a client of the same functions that is not ours.
        this.runners = [['kiln', 'image'], ['guest', 'guest']];
        await kiln.psql(`insert into kiln.queue (name) values ('guest')`);
        const submit = JSON.parse(await kiln.value(`select submit from kiln.provider where name = 'fal'`));
        for (const [name, { reference, ...changes }] of Object.entries(powers)) {
            if (reference) changes.submit = { ...submit, headers: { ...submit.headers, 'X-Client-Reference': '{idempotency_key}' } };
            await kiln.provider(name, 'fal', changes);
            for (const [who, queue] of this.runners) await kiln.pipeline(`${who}/${name}`, [{ name: 'pay', handler: 'http', queue, time_limit: '60 s', max_attempts: 9, config: { ...stage, provider: name } }]);
        }
        await kiln.psql(`select kiln.grant_credit(${this.world.account ?? 'null'}, 1000000000, 'for the storm')`).catch(() => {});
        await this.fake.behave({ match: { phase: 'submit' }, do: { run_ms: 150 } });
    }
    names = Object.keys(powers);
    async request_job(names = this.names) {
        const { kiln, account } = this.world;
        await kiln.psql(this.runners.flatMap(([who]) => names.map(name => `select kiln.enqueue('${who}/${name}', jsonb_build_object('prompt', 'paid ' || nextval('kiln.fence') || ' ${name}.',
            'seed', '7', 'params', '{}'::jsonb, 'media', '[]'::jsonb), ${account}, 2, p_estimated_micros => ${price});`)).join('\n'));
    }
    /** How many charges there are that a second request of the same call would repeat. */
    async charges_without_key() { return (await this.fake.bill()).charges.filter(charge => !/ fal-keyed/.test(charge.prompt)).length; }
    async restart() { await this.fake.kill(); await this.fake.start(); }

    /** Our calls against the provider's bill. `strikes`: when something was struck, [from, to] in ms. */
    async check(strikes) {
        const { world } = this, found = [];
        const jobs = await world.rows(`select j.job_id, j.state, j.input ->> 'prompt' as prompt, j.actual_micros, p.name as pipeline, (select min(t.error_class) from kiln.task_held t where t.job_id = j.job_id) as held_for from kiln.job j
            join kiln.pipeline_version v using (pipeline_version_id) join kiln.pipeline p using (pipeline_id) where p.name like '%/fal-%'`);
        const calls = await world.rows(`select c.call_id, c.job_id, c.number, c.state, c.outcome, c.why, c.charged_micros, c.provider_request_id, p.name as provider,
            extract(epoch from c.created_at) * 1000 as begun from kiln.call c join kiln.provider p using (provider_id)`);
        const { charges, requests, malformed, leaks, elsewhere } = await this.fake.bill();
        const by_prompt = new Map();
        for (const charge of charges) by_prompt.set(charge.prompt, (by_prompt.get(charge.prompt) ?? 0) + 1);
        for (const job of jobs) {
            const n = by_prompt.get(job.prompt) ?? 0, of_it = calls.filter(call => call.job_id === job.job_id);
            if (n > 1) found.push(`job ${job.job_id} (${job.prompt}) was charged ${n} times: ${of_it.map(call => `${call.state} ${call.outcome} ${call.why ?? ''}`)}`);
            if (job.state === 'completed' && n !== 1) found.push(`job ${job.job_id} (${job.prompt}) is completed and was charged ${n} times`);
            if (job.state === 'held' && job.held_for !== 'poison') {
                const call = of_it.at(-1);
                if (!/fal-(bare|hooked)$/.test(job.pipeline)) found.push(`job ${job.job_id} is held (${job.held_for}) at ${job.pipeline}, which can be asked`);
                else if (call && !world.clocks.some(clock_s => strikes.some(([from, to]) => from <= call.begun - clock_s * 1000 + 20000 && to >= call.begun - clock_s * 1000 - 2000))) found.push(`job ${job.job_id} is held, and nothing struck while its call was open: ${call.state} ${call.outcome} ${call.why ?? ''}, begun ${new Date(call.begun).toISOString()}`);
            }
            if (job.state === 'failed') found.push(`job ${job.job_id} (${job.prompt}) failed`);
        }
        for (const call of calls.filter(one => one.state === 'settled' && one.outcome === 'not_sent')) {
            if (requests.some(request => request.call === String(call.call_id))) found.push(`call ${call.call_id} says that nothing was sent, and the provider has it`);
        }
        if (malformed.length) found.push(`the provider was asked nonsense ${malformed.length} times: ${JSON.stringify(malformed[0]).slice(0, 300)}`);
        if (leaks.length || elsewhere.length) found.push(`a secret leaked: ${JSON.stringify([...leaks, ...elsewhere][0]).slice(0, 200)}`);
        this.told = { 'paid requests': jobs.length, charges: charges.length };
        return found;
    }
    async calm() { this.wire.open(); await until('the provider to be back', () => this.fake.ask('GET', '/_behave').then(() => true, () => false), 5000); }
    async end() { this.wire?.end(); await this.fake?.stop(); }
}

#!/usr/bin/env node
// live: one image, one video and one recording at a real provider, with the real key, for real money.
//
//   make live PROVIDER=fal MAX_USD=0.50        the key stands in the environment (FAL_KEY)
//
// Takes of each kind the provider's cheapest model. Refuses, before anything is sent, when the estimates add up to more than MAX_USD, and sets the
// same sum as the provider's cap of the day. Works on a database of its own that is thrown away; the results stay in .kiln/live. Exit status: 0 all
// three are there, 1 one is not, 2 no key, 3 too dear, 64 a mistake in how it was called.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const say = text => process.stdout.write(`${text}\n`);
function refuse(status, text) {
    process.stderr.write(`${text}\n`);
    process.exit(status);
}
const usd = micros => `$${(micros / 1e6).toFixed(4)}`;

// --at URL, --to FOLDER: for tests, with the fake provider in the place of the real one.
const usage = () => refuse(64, 'usage: make live PROVIDER=fal MAX_USD=0.50');
let values, name, max;
try {
    ({ values, positionals: [name = '', max = ''] } = parseArgs({ allowPositionals: true, options: { at: { type: 'string' }, to: { type: 'string' } } }));
} catch { usage(); }
if (!/^[a-z][a-z0-9_-]{0,39}$/.test(name) || !/^\d{1,4}(\.\d{1,6})?$/.test(max) || Number(max) === 0) usage();
const limit = Math.round(Number(max) * 1e6);

const { begin, root, until } = await import('../tests/e2e/lib.mjs');
const kiln = await begin({ server: false });
const leave = async (status, text) => { await kiln.end(); if (text) refuse(status, text); process.exit(status); };

const [provider] = await kiln.rows(`select name, auth ->> 'env' as env, is_local from kiln.provider where name = '${name}'`);
if (!provider || provider.is_local) await leave(64, `no provider "${name}" to pay: ${await kiln.value(`select string_agg(name, ', ' order by name) from kiln.provider where not is_local`)}`);
const key = provider.env ? process.env[provider.env] : '';
if (provider.env && !key) await leave(2, `not run live: ${provider.env} is not set`);

const models = await kiln.rows(`
    select distinct on (m.media_type) m.name, m.media_type, m.example, kiln.estimate(m.model_id, m.example) as micros
      from kiln.model m join kiln.provider p using (provider_id)
     where p.name = '${name}' and m.is_enabled
       and not exists (select from kiln.pipeline l join kiln.stage s using (pipeline_version_id) where l.pipeline_id = m.pipeline_id and s.config::text like '%{media%')
     order by m.media_type, kiln.estimate(m.model_id, m.example), m.name`);
if (!models.length) await leave(64, `${name} has no model`);
for (const model of models) if (!(model.micros > 0)) await leave(3, `refused: ${model.name} has no price, so nobody knows what it costs`);
const sum = models.reduce((all, model) => all + Number(model.micros), 0);
if (sum > limit) await leave(3, `refused: ${models.map(m => `${m.name} ${usd(m.micros)}`).join(', ')} make ${usd(sum)}, and MAX_USD is ${usd(limit)}`);

// From here on it may cost.
await kiln.psql(`update kiln.provider set day_cap_micros = ${limit} where name = '${name}'`);
if (values.at) await kiln.point_to(values.at);      // the tests' fake
kiln.main = await kiln.server();
const runner = await kiln.runner({ name: 'live', env: { ...(provider.env ? { [provider.env]: key } : {}), ...(values.at ? { KILN_TRUSTED_HOSTS: new URL(values.at).host } : {}) } });
const ann = kiln.user('live');
await until(`a runner with ${provider.env}`, async () => await kiln.value(`select kiln_internal.model_reason(m) is null from kiln.model m where name = '${models[0].name}'`) === 't', 20000);
const folder = values.to ?? path.join(root, '.kiln/live');
fs.mkdirSync(folder, { recursive: true });
let failed = 0;
const requests = await Promise.all(models.map(async model => ({ model, job: await ann.make({ ...model.example, model: model.name, type: model.media_type }) })));
for (const { model, job } of requests) {
    const done = await until(`${model.name} to end`, async () => { const now = await ann.get(`/generations/${job.id}`); return /completed|failed|cancelled|held/.test(now.state) && now; }, 15 * 60_000).catch(error => ({ state: 'late', error }));
    const [paid] = await kiln.rows(`select coalesce(sum(charged_micros), 0) as micros, string_agg(provider_request_id, ' ') as ids from kiln.call where job_id = ${job.id}`);
    if (done.state !== 'completed' || !done.outputs.length) {
        failed++;
        say(`${model.media_type}  ${done.state}  ${usd(paid.micros)}  ${model.name}  ${done.error?.message ?? ''}  ${paid.ids ?? ''}`);
        continue;
    }
    const [row] = await kiln.rows(`select storage_key, content_type from kiln.media where media_id = ${done.outputs[0].id}`);
    const file = path.join(folder, `${model.media_type}.${row.content_type.split('/')[1].replace(/^x-/, '')}`);
    fs.copyFileSync(path.join(kiln.media, row.storage_key), file);
    say(`${model.media_type}  ${usd(paid.micros)} (estimated ${usd(model.micros)})  ${model.name}  ${file}`);
}
const total = await kiln.value('select coalesce(sum(charged_micros), 0) from kiln.call');
say(`paid ${usd(total)} of at most ${usd(limit)}`);
if (failed) say(runner.output.split('\n').filter(line => /"(warn|error)"/.test(line)).slice(-10).join('\n'));
await leave(failed ? 1 : 0);

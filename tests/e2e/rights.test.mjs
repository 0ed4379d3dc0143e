// Who may do what: every route of the table that the server prints × everyone who may come, as real requests. What is expected
// stands in `rows`, a line a route; a route without a line fails, and a line without a route.
//
// To add a route: run this test, take the line it prints, and say in it what the columns have to be (not what they are):
//
//   nobody user owner other admin operator | the scopes read generate chat account admin
//
//   nobody    no token, garbage, an expired token, one for another audience: all four alike
//   user      anybody with a token, asking for a thing that does not exist
//   owner     whose the thing is
//   other     a stranger to the thing, asking for the owner's: byte for byte what `user` is told
//   admin     a token of an administrator          operator   the X-API-Key of the installation
//   scopes    API keys with this scope alone, and tokens with it in `scope`: the owner's; of admin an administrator's
//
// A cell is the status, with the problem's code where it is not the usual one of that status (409:too_early). Callers that are
// let in get a fresh thing each; the others all knock at one, which must not have changed afterwards. The rest of a line:
//   thing   what {id} is: one of `things`           body   what is sent: a value, or a function of { cast, thing, caller }
//   once    what an Idempotency-Key does: same (the first answer's thing again), shown (409 already_created)
//   counts  for once: how many there are, where the answer has no id of what was made
//   other   for once: a second body, where a blank behind the first is no other one
//   form_first  scopes come behind the form of the body here: the server checks a signature before it asks the database
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { ethers } from 'ethers';
import { png } from '../fakes/media.mjs';
import * as description from './description.mjs';
import { begin, in_seconds, make_token, request, until, User } from './lib.mjs';

const V1 = '/api/v1';
const admin_key = randomBytes(24).toString('hex');
const audience = 'kiln-tests', domain = 'app.example.com';
const scopes = ['read', 'generate', 'chat', 'account', 'admin'];
const nobodies = ['nobody', 'garbage', 'expired', 'audience'];
const missing = '999999999999';
const mark = `mark-${randomUUID()}`;        // in everything of owners' that has a text
const usual = { 400: 'malformed', 401: 'unauthorized', 403: 'forbidden', 404: 'not_found', 409: 'state_conflict', 422: 'invalid_field' };

let kiln, mate, maker, anyone, picture;
const name_of = () => `a${randomBytes(8).toString('hex')}`;
const account = async user => user.account_id ??= (await user.get('/me')).id;
const person = (claims = {}) => kiln.user(name_of(), { aud: audience, iat: in_seconds(-5), ...claims });
const known = async () => {         // who has a handle can be found, and so blocked
    const user = person();
    await good(user, 'PATCH', '/me', { handle: user.sub });
    return account(user);
};
async function good(user, method, target, body, headers) {
    const answer = await user.call(method, target, body, headers && { headers });
    assert.ok(answer.status < 300, `${method} ${target}: ${answer.status} ${answer.text}`);
    return answer.json;
}

// --- what may be asked for: each makes one, of the cast's owner where somebody can own it --------------------------------------

const things = {
    job: async ({ owner }) => good(owner, 'POST', '/generate', { type: 'image', prompt: mark }),
    ended: async cast => {
        const job = await things.job(cast);
        return good(cast.owner, 'POST', `/generations/${job.id}/cancel`);
    },
    held: async cast => {
        const job = await things.job(cast);
        await kiln.psql(`update kiln.task set state = 'held' where job_id = ${job.id}`);
        return job;
    },
    tryon: async () => one_of_few(() => good(maker, 'POST', '/tryons', job_input())),
    tried: async () => good(maker, 'POST', `/tryons/${(await things.tryon()).id}/cancel`),
    place: async ({ owner }) => {
        const place = await good(owner, 'POST', '/uploads/presign', { filename: `${mark}.png`, content_type: 'image/png', bytes: picture.length });
        return { id: place.media_id, link: place.url.replace(V1, '') };
    },
    sent: async cast => {
        const place = await things.place(cast);
        const answer = await request(kiln.url, 'PUT', V1 + place.link, { headers: { 'Content-Type': 'image/png', 'Content-Length': picture.length }, body: picture });
        assert.equal(answer.status, 200, answer.text);
        return place;
    },
    file: async cast => {
        const { id } = await things.sent(cast);
        await kiln.arrange(`update kiln.media set state = 'ready', width = 64, height = 64, storage_key = incoming_key, incoming_key = null where media_id = ${id}`);
        return { id, link: (await good(cast.owner, 'GET', `/uploads/${id}`)).url.replace(V1, '') };
    },
    project: async cast => good(cast.owner, 'POST', '/projects', { name: mark.slice(0, 60), media: [(await things.file(cast)).id] }),
    image: async cast => good(cast.owner, 'POST', '/images', await staging(cast)),
    staged: async cast => good(cast.owner, 'POST', `/images/${(await things.image(cast)).id}/cancel`),
    made: async ({ owner }) => {
        const [key, id] = [randomBytes(16).toString('hex'), await account(owner)];
        return { id: await kiln.value(`set local role kiln_owner; insert into kiln.job (account_id, pipeline_version_id, stages, kind, media_type, state, started_at, finished_at, input)
                select ${id}, p.pipeline_version_id, p.stages, 'generation', 'image', 'completed', kiln_internal.now(), kiln_internal.now(), '{"prompt": "${mark}"}' from kiln.pipeline p where p.name = 'log';
            insert into kiln.media (account_id, job_id, role, state, media_type, content_type, bytes, sha256, storage_key)
            values (${id}, currval(pg_get_serial_sequence('kiln.job', 'job_id')), 'output', 'ready', 'image', 'image/png', 1, sha256('x'), '${key.slice(0, 2)}/${key.slice(2)}');
            update kiln.job j set output = jsonb_build_object('media', jsonb_build_array(m.media_id::text))
              from kiln.media m where m.job_id = j.job_id and j.job_id = currval(pg_get_serial_sequence('kiln.job', 'job_id')) returning j.job_id`) };
    },
    share: async cast => good(cast.owner, 'POST', '/shares', { job_id: (await things.made(cast)).id }),
    shared: async cast => ({ id: (await things.share(cast)).url.split('/').at(-1) }),
    key: async ({ owner }) => good(owner, 'POST', '/api-keys', { name: mark, scopes: ['read'] }),
    endpoint: async ({ owner }) => good(owner, 'POST', '/webhook-endpoints', { url: `https://example.com/${mark}`, types: ['job.completed'] }),
    delivery: async cast => {
        const { id } = await things.endpoint(cast);
        return { id: await kiln.value(`insert into kiln.delivery (account_id, webhook_endpoint_id, event_id, type, body, state, ended_at)
            values (${await account(cast.owner)}, ${id}, 1, 'job.completed', '{"mark": "${mark}"}', 'failed', now()) returning delivery_id`) };
    },
    way_out: async ({ owner }) => {
        await good(owner, 'PATCH', '/me', { email: 'owner@example.com', notify_email: true });
        return { id: await kiln.value(`select kiln_internal.sign_unsubscribe(${await account(owner)}, 'owner@example.com')`) };
    },
    proof: async ({ owner }) => {
        await good(owner, 'PATCH', '/me', { email: 'owner@example.com' });
        return { id: await kiln.value(`select kiln_internal.sign_confirmation(${await account(owner)}, 'owner@example.com', extract(epoch from kiln_internal.now())::bigint + 600)`) };
    },
    address: async cast => request(kiln.url, 'POST', `${V1}/confirm-email/${(await things.proof(cast)).id}`, { headers: { 'Content-Length': 0 } }),
    invite: async ({ owner }) => good(owner, 'POST', '/invites', {}),
    group: async ({ owner }) => good(owner, 'POST', '/conversations', { members: [await account(mate)], title: mark.slice(0, 60) }),
    message: async cast => {
        const { id } = await things.group(cast);
        return good(cast.owner, 'POST', `/conversations/${id}/messages`, { text: mark });
    },
    blocked: async ({ owner }) => ({ id: (await good(owner, 'POST', '/blocks', { account_id: await known() })).account_id }),
    identity: async ({ owner }) => good(owner, 'POST', '/me/identities', { token: person().token }),
    account: async () => ({ id: await account(person()) }),
    queue: async () => ({ id: 'video' }),
    pipeline: async () => ({ id: 'upload' }),
    category: async () => ({ id: 'outfit' }),
    model: async () => ({ id: anyone.models[0] }),
    provider: async () => ({ id: 'fal' }),
};
// The server reads four bodies with files at a time and answers more with 503.
let reading = 0;
async function one_of_few(work) {
    await until('a place among the bodies with files', () => reading < 4);
    reading++;
    return work().finally(() => { reading--; });
}
const looks = { project: '/projects/', image: '/images/', staged: '/images/', job: '/generations/', ended: '/generations/', place: '/uploads/', sent: '/uploads/', group: '/conversations/', message: '/messages/' };
const job_input = () => ({ category: 'outfit', prompt: 'a coat', medias: [{ data: picture.toString('base64'), mimetype: 'image/png' }] });
/** What POST /images wants, of whoever calls (with a key: the owner). */
async function staging({ owner }) {
    const { id, pictures } = await things.project({ owner });
    return { project_id: id, media_id: pictures[0].id, room_type: 'living_room', style: 'modern' };
}
const generation = { type: 'image', prompt: mark };
async function signed() {
    const wallet = ethers.Wallet.createRandom();
    const { nonce } = (await request(kiln.url, 'POST', `${V1}/auth/nonce`, { headers: { 'Content-Type': 'application/json', 'Content-Length': 2 }, body: '{}' })).json;
    const message = `${domain} wants you to sign in with your Ethereum account:\n${wallet.address}\n\nSign in.\n\nURI: https://${domain}/login\nVersion: 1\nChain ID: 1\nNonce: ${nonce}\nIssued At: ${new Date().toISOString()}`;
    return { message, signature: await wallet.signMessage(message) };
}
const link = ({ thing, caller }) => (caller === 'owner' ? thing.link : undefined);

// --- the table -------------------------------------------------------------------------------------------------------------------
//                                               nobody user owner other admin operator | read generate chat account admin
const rows = {
    'POST /api/v1/auth/nonce':                     ['201 201 201 201 201 201 | 201 201 201 201 201'],
    'POST /api/v1/auth/siwe':                      ['200 200 200 200 200 200 | 200 200 200 200 200', { body: signed }],
    'GET /api/v1/me':                              ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'PATCH /api/v1/me':                            ['401 200 200 200 200 401 | 403 403 403 200 403', { body: { display_name: mark.slice(0, 40) } }],
    'DELETE /api/v1/me':                           ['401 204 204 204 204 401 | 403 403 403 403 403'],
    'GET /api/v1/me/export':                       ['401 200 200 200 200 401 | 403 403 403 403 403'],
    'POST /api/v1/me/sign-out-everywhere':         ['401 200 200 200 200 401 | 403 403 403 403 403'],
    'POST /api/v1/me/email/confirmation':          ['401 409 200 409 409 401 | 403 403 403 200 403', { thing: 'address' }],
    'GET /api/v1/me/identities':                   ['401 200 200 200 200 401 | 403 403 403 200 403'],
    'POST /api/v1/me/identities':                  ['401 201 201 201 201 401 | 403 403 403 403 403', { body: () => ({ token: person().token }), once: 'same', other: () => ({ token: person().token }), form_first: true }],
    'DELETE /api/v1/me/identities/{id}':           ['401 404 204 404 404 401 | 403 403 403 403 403', { thing: 'identity' }],

    'POST /api/v1/api-keys':                       ['401 201 201 201 201 401 | 403 403 403 201 403', { body: ({ caller }) => ({ name: 'x', scopes: [caller.includes('account') ? 'account' : 'read'] }), once: 'shown' }],
    'GET /api/v1/api-keys':                        ['401 200 200 200 200 401 | 403 403 403 200 403'],
    'DELETE /api/v1/api-keys/{id}':                ['401 404 204 404 404 401 | 403 403 403 204 403', { thing: 'key' }],

    'POST /api/v1/webhook-endpoints':              ['401 201 201 201 201 401 | 403 403 403 403 403', { body: { url: 'https://example.com/hook', types: ['job.completed'] }, once: 'shown' }],
    'GET /api/v1/webhook-endpoints':               ['401 200 200 200 200 401 | 403 403 403 200 403'],
    'DELETE /api/v1/webhook-endpoints/{id}':       ['401 404 204 404 404 401 | 403 403 403 204 403', { thing: 'endpoint' }],
    'POST /api/v1/webhook-endpoints/{id}/rotate':  ['401 404 200 404 404 401 | 403 403 403 200 403', { thing: 'endpoint' }],
    'POST /api/v1/webhook-endpoints/{id}/enable':  ['401 404 200 404 404 401 | 403 403 403 200 403', { thing: 'endpoint' }],
    'GET /api/v1/webhook-endpoints/{id}/deliveries': ['401 404 200 404 404 401 | 403 403 403 200 403', { thing: 'endpoint' }],
    'POST /api/v1/deliveries/{id}/resend':         ['401 404 200 404 404 401 | 403 403 403 200 403', { thing: 'delivery' }],

    'GET /api/v1/confirm-email/{token}':           ['200 200 200 200 200 200 | 200 200 200 200 200', { thing: 'proof' }],
    'POST /api/v1/confirm-email/{token}':          ['200 403:link_expired 200 200 200 200 | 200 200 200 200 200', { thing: 'proof' }],
    'GET /api/v1/unsubscribe/{token}':             ['200 200 200 200 200 200 | 200 200 200 200 200', { thing: 'way_out' }],
    'POST /api/v1/unsubscribe/{token}':            ['200 403:link_expired 200 200 200 200 | 200 200 200 200 200', { thing: 'way_out' }],

    'POST /api/v1/generate':                       ['401 202 202 202 202 401 | 403 202 403 403 403', { body: generation, once: 'same' }],
    'POST /api/v1/generate/estimate':              ['401 200 200 200 200 401 | 200 403 403 403 403', { body: generation }],
    'GET /api/v1/generations':                     ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'GET /api/v1/generations/{id}':                ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'job' }],
    'DELETE /api/v1/generations/{id}':             ['401 404 204 404 404 401 | 403 204 403 403 403', { thing: 'ended' }],
    'POST /api/v1/generations/{id}/cancel':        ['401 404 202 404 404 401 | 403 202 403 403 403', { thing: 'job' }],
    'POST /api/v1/generations/{id}/retry':         ['401 404 202 404 404 401 | 403 202 403 403 403', { thing: 'ended', body: { seed: 'new' }, once: 'same' }],

    'POST /api/v1/projects':                       ['401 201 201 201 201 401 | 403 201 403 403 403', { body: { name: mark.slice(0, 60) }, once: 'same' }],
    'GET /api/v1/projects':                        ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'GET /api/v1/projects/{id}':                   ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'project' }],
    'PUT /api/v1/projects/{id}':                   ['401 404 200 404 404 401 | 403 200 403 403 403', { thing: 'project', body: { name: 'another' } }],
    'DELETE /api/v1/projects/{id}':                ['401 404 204 404 404 401 | 403 204 403 403 403', { thing: 'project' }],
    'POST /api/v1/projects/{id}/stage':            ['401 404 202 404 404 401 | 403 202 403 403 403', { thing: 'project', body: { room_type: 'living_room', style: 'modern' }, once: 'same' }],
    'GET /api/v1/projects/{id}/download':          ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'project' }],
    'GET /api/v1/projects/{id}/images':            ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'project' }],
    'POST /api/v1/images':                         ['401 202 202 202 202 401 | 403 202 403 403 403', { body: ({ cast, caller }) => staging({ owner: cast[caller] ?? cast.owner }), once: 'same' }],
    'GET /api/v1/images':                          ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'GET /api/v1/images/options':                  ['200 200 200 200 200 200 | 200 200 200 200 200'],
    'GET /api/v1/images/{id}':                     ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'image' }],
    'DELETE /api/v1/images/{id}':                  ['401 404 204 404 404 401 | 403 204 403 403 403', { thing: 'staged' }],
    'POST /api/v1/images/{id}/cancel':             ['401 404 202 404 404 401 | 403 202 403 403 403', { thing: 'image' }],
    'POST /api/v1/images/{id}/retry':              ['401 404 202 404 404 401 | 403 202 403 403 403', { thing: 'staged', body: { seed: 'new' }, once: 'same' }],

    'GET /api/v1/models':                          ['200 200 200 200 200 200 | 200 200 200 200 200'],
    'GET /api/v1/models/{id...}':                  ['200 404 200 200 200 200 | 200 200 200 200 200', { thing: 'model' }],

    'POST /api/v1/tryons':                         ['401 403 403 403 202 202 | 403 403 403 403 202', { body: job_input, once: 'same', other: () => ({ ...job_input(), prompt: 'another coat' }) }],
    'GET /api/v1/tryons':                          ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'GET /api/v1/tryons/{id}':                     ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'tryon' }],
    'POST /api/v1/tryons/{id}/cancel':             ['401 403 403 403 202 202 | 403 403 403 403 202', { thing: 'tryon' }],
    'POST /api/v1/tryons/{id}/retry':              ['401 403 403 403 202 202 | 403 403 403 403 202', { thing: 'tried', body: { seed: 'new' }, once: 'same' }],

    'POST /api/v1/uploads/presign':                ['401 201 201 201 201 401 | 403 201 403 403 403', { body: { filename: 'a.png', content_type: 'image/png', bytes: 5 }, once: 'same' }],
    'PUT /api/v1/media/{id}':                      ['403:link_expired 403:link_expired 200 403:link_expired 403:link_expired 403:link_expired | 403:link_expired 403:link_expired 403:link_expired 403:link_expired 403:link_expired',
                                                    { thing: 'place', target: link, raw: () => picture }],
    'POST /api/v1/uploads/{id}/complete':          ['401 404 202 404 404 401 | 403 202 403 403 403', { thing: 'sent' }],
    'GET /api/v1/uploads/{id}':                    ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'place' }],
    'DELETE /api/v1/uploads/{id}':                 ['401 404 204 404 404 401 | 403 204 403 403 403', { thing: 'place' }],
    'GET /api/v1/media/{id}':                      ['403:link_expired 403:link_expired 200 403:link_expired 403:link_expired 403:link_expired | 403:link_expired 403:link_expired 403:link_expired 403:link_expired 403:link_expired',
                                                    { thing: 'file', target: link }],

    'POST /api/v1/shares':                         ['401 201 201 201 201 401 | 403 403 403 403 403', { body: async ({ cast, caller }) => ({ job_id: (await things.made({ owner: cast[caller] ?? cast.owner })).id }), once: 'shown' }],
    'GET /api/v1/shares':                          ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'DELETE /api/v1/shares/{id}':                  ['401 404 204 404 404 401 | 403 204 403 403 403', { thing: 'share' }],
    'GET /s/{token}':                              ['200 404:undefined 200 200 200 200 | 200 200 200 200 200', { thing: 'shared' }],       // a page: no code

    'GET /api/v1/people':                          ['401 200 200 200 200 401 | 403 403 200 403 403', { query: '?handle=nobody' }],
    'POST /api/v1/invites':                        ['401 201 201 201 201 401 | 403 403 201 403 403', { body: {}, once: 'shown' }],
    'GET /api/v1/invites':                         ['401 200 200 200 200 401 | 403 403 200 403 403'],
    'DELETE /api/v1/invites/{id}':                 ['401 404 204 404 404 401 | 403 403 204 403 403', { thing: 'invite' }],
    'POST /api/v1/invites/find':                   ['401 200 200 200 200 401 | 403 403 200 403 403', { body: async () => ({ token: (await things.invite({ owner: anyone })).token }) }],
    'POST /api/v1/invites/accept':                 ['401 200 200 200 200 401 | 403 403 200 403 403', { body: async () => ({ token: (await things.invite({ owner: anyone })).token }) }],
    'POST /api/v1/conversations':                  ['401 201 201 201 201 401 | 403 403 201 403 403', { body: async () => ({ account_id: await account(mate) }), once: 'same' }],
    'GET /api/v1/conversations':                   ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'GET /api/v1/conversations/{id}':              ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'group' }],
    'GET /api/v1/conversations/{id}/members':      ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'group' }],
    'POST /api/v1/conversations/{id}/members':     ['401 404 200 404 404 401 | 403 403 200 403 403', { thing: 'group', body: async () => ({ account_id: await account(anyone) }) }],
    'DELETE /api/v1/conversations/{id}/members':   ['401 404 204 404 404 401 | 403 403 204 403 403', { thing: 'group' }],
    'POST /api/v1/conversations/{id}/messages':    ['401 404 201 404 404 401 | 403 403 201 403 403', { thing: 'group', body: { text: mark }, once: 'same' }],
    'GET /api/v1/conversations/{id}/messages':     ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'group' }],
    'POST /api/v1/conversations/{id}/delivered':   ['401 404 200 404 404 401 | 403 403 200 403 403', { thing: 'group', body: { number: 0 } }],
    'POST /api/v1/conversations/{id}/read':        ['401 404 200 404 404 401 | 403 403 200 403 403', { thing: 'group', body: { number: 0 } }],
    'POST /api/v1/conversations/{id}/typing':      ['401 404 204 404 404 401 | 403 403 204 403 403', { thing: 'group' }],
    'GET /api/v1/messages/{id}':                   ['401 404 200 404 404 401 | 200 403 403 403 403', { thing: 'message' }],
    'PATCH /api/v1/messages/{id}':                 ['401 404 200 404 404 401 | 403 403 200 403 403', { thing: 'message', body: { text: 'edited' } }],
    'DELETE /api/v1/messages/{id}':                ['401 404 204 404 404 401 | 403 403 204 403 403', { thing: 'message' }],
    'POST /api/v1/blocks':                         ['401 201 201 201 201 401 | 403 403 201 403 403', { body: async () => ({ account_id: await known() }), once: 'same', other: async () => ({ account_id: await known() }) }],
    'GET /api/v1/blocks':                          ['401 200 200 200 200 401 | 403 403 200 403 403'],
    'DELETE /api/v1/blocks/{id}':                  ['401 204 204 204 204 401 | 403 403 204 403 403', { thing: 'blocked' }],

    'GET /api/v1/notifications':                   ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'POST /api/v1/notifications/read':             ['401 200 200 200 200 401 | 403 403 200 403 403', { body: { all: true } }],
    'POST /api/v1/admin/notifications':            ['401 403 403 403 201 201 | 403 403 403 403 201', { body: async () => ({ account_id: await account(anyone), text: mark }), once: 'same' }],

    'POST /api/v1/stream-tickets':                 ['401 201 201 201 201 401 | 403 403 403 201 403'],
    'GET /api/v1/events':                          ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'GET /api/v1/events/poll':                     ['401 200 200 200 200 401 | 200 403 403 403 403'],
    'GET /api/v1/ws':                              ['401 101 101 101 101 401 | 101 403 403 403 403'],

    'POST /api/v1/webhooks/{provider}':            [Array(12).fill('401:webhook_signature_invalid').toSpliced(1, 1, '404').toSpliced(6, 1, '|').join(' '), { thing: 'provider', body: {} }],

    'GET /api/v1/admin/jobs':                      ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'POST /api/v1/admin/jobs/{id}/cancel':         ['401 403 403 403 202 202 | 403 403 403 403 202', { thing: 'job' }],
    'POST /api/v1/admin/jobs/{id}/retry':          ['401 403 403 403 202 202 | 403 403 403 403 202', { thing: 'ended', body: { seed: 'new' }, once: 'same' }],
    'POST /api/v1/admin/jobs/{id}/resolve':        ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'held', body: { action: 'fail', reason: 'seen' } }],
    'GET /api/v1/admin/accounts':                  ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'POST /api/v1/admin/accounts/{id}/role':       ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'account', body: { role: 'admin' } }],
    'POST /api/v1/admin/accounts/{id}/suspend':    ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'account' }],
    'POST /api/v1/admin/accounts/{id}/unsuspend':  ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'account' }],
    'POST /api/v1/admin/accounts/{id}/grant':      ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'account', body: { amount: 1, reason: 'a gift' }, once: 'same',
                                                      counts: async ({ thing }) => Number(await kiln.value(`select count(*) from kiln.ledger where account_id = ${thing.id}`)) }],
    'GET /api/v1/admin/events':                    ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'GET /api/v1/admin/providers':                 ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'GET /api/v1/admin/queues':                    ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'POST /api/v1/admin/queues/{name}/pause':      ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'queue' }],
    'POST /api/v1/admin/queues/{name}/resume':     ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'queue' }],
    'GET /api/v1/admin/runners':                   ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'GET /api/v1/admin/pipelines':                 ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'PUT /api/v1/admin/pipelines':                 ['401 403 403 403 200 200 | 403 403 403 403 200', { body: () => ({ name: name_of(), stages: [{ name: 'note', handler: 'log', queue: 'local' }] }) }],
    'GET /api/v1/admin/pipelines/{name...}':       ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'pipeline' }],
    'GET /api/v1/admin/categories':                ['401 403 403 403 200 200 | 403 403 403 403 200'],
    'PUT /api/v1/admin/categories/{name}':         ['401 403 403 403 200 200 | 403 403 403 403 200', { thing: 'category', body: { title: 'Outfit' }, makes: true }],

    'GET /api/v1/docs':                            ['200 200 200 200 200 200 | 200 200 200 200 200'],
    'GET /api/v1/docs/scalar.js':                  ['200 200 200 200 200 200 | 200 200 200 200 200'],
    'GET /api/v1/openapi.json':                    ['200 200 200 200 200 200 | 200 200 200 200 200'],
    'GET /openapi.json':                           ['200 200 200 200 200 200 | 200 200 200 200 200'],

    'GET /healthz':                                ['200 200 200 200 200 200 | 200 200 200 200 200'],
    'GET /readyz':                                 ['200 200 200 200 200 200 | 200 200 200 200 200'],
    'GET /metrics':                                ['200 200 200 200 200 200 | 200 200 200 200 200'],
};

// --- those who come ----------------------------------------------------------------------------------------------------------------

/** Accounts of a row's own, so that rows do not meet. headers[caller] is what that caller sends to say who it is. */
async function people() {
    const cast = { user: person(), owner: person(), other: person(), admin: person({ role: 'admin' }) };
    const bearer = token => ({ Authorization: `Bearer ${token}` });
    const claims = { sub: cast.owner.sub, aud: audience, iat: in_seconds(-5), exp: in_seconds(3600) };
    cast.headers = {
        nobody: {}, garbage: bearer('abc.def.ghi'),
        expired: bearer(make_token({ ...claims, exp: in_seconds(-60) }, kiln.secret)),
        audience: bearer(make_token({ ...claims, aud: 'others' }, kiln.secret)),
        ...Object.fromEntries(['user', 'owner', 'other', 'admin'].map(name => [name, bearer(cast[name].token)])),
        operator: { 'X-API-Key': admin_key },
    };
    const [owner, chief] = [await account(cast.owner), await kiln.value(`select kiln_internal.make_account('', '${name_of()}')`)];
    await kiln.psql(`select kiln.set_role(${chief}, 'admin')`);
    for (const { scope, key } of await kiln.rows(`select s as scope, (kiln.make_api_key(case s when 'admin' then ${chief} else ${owner} end, 'x', array[s]::kiln.scope[], null)).key from unnest(enum_range(null::kiln.scope)::text[]) s`)) {
        cast.headers[`key:${scope}`] = { 'X-API-Key': key };
        cast.headers[`token:${scope}`] = bearer(make_token({ ...claims, scope: `openid ${scope}`, ...(scope === 'admin' ? { sub: cast.admin.sub, role: 'admin' } : {}) }, kiln.secret));
    }
    return cast;
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
/** The answer; of a stream, and of what becomes a WebSocket, only its head. */
function knock(method, target, headers, body) {
    const url = new URL(kiln.url);
    const is_socket = target.startsWith(`${V1}/ws`), is_stream = is_socket || /\/events$/.test(target);
    return new Promise((resolve, reject) => {
        const req = http.request({
            host: url.hostname, port: url.port, path: target, method, agent: is_stream ? false : agent,
            headers: { ...headers, ...(is_socket ? { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64') } : {}),
                ...(body === undefined ? {} : { 'Content-Type': headers['Content-Type'] ?? 'application/json', 'Content-Length': Buffer.byteLength(body) }) },
        });
        req.setTimeout(20000, () => req.destroy(new Error(`${method} ${target}: no answer`)));
        req.on('error', error => reject(new Error(`${method} ${target}: ${error.message} ${error.rawPacket?.toString('latin1').slice(0, 300) ?? ''}`)));
        const saw = (answer, more) => { description.check(method, target, { ...answer, ...more }); resolve(answer); };
        req.on('upgrade', (response, socket) => { socket.destroy(); saw({ status: response.statusCode, headers: response.headers, text: '' }); });
        req.on('response', response => {
            const done = (text, more) => saw({ status: response.statusCode, headers: response.headers, text, json: text && /json/.test(response.headers['content-type'] ?? '') ? JSON.parse(text) : undefined }, more);
            if (is_stream && response.statusCode === 200) { done('', { is_stream }); req.destroy(); return; }
            const parts = [];
            response.on('data', bytes => parts.push(bytes)).on('error', reject).on('end', () => done(Buffer.concat(parts).toString()));
        });
        req.end(body);
    });
}

/** One caller's request of a row: to the thing, or to one that does not exist. */
async function ask(route, row, cast, caller, thing, { body, headers = {} } = {}) {
    const [method, pattern] = route.split(' ');
    const id = caller === 'user' || !thing ? missing : thing.id;
    const target = caller !== 'user' && row.target?.({ cast, thing, caller });
    const raw = row.raw?.();
    body ??= raw ?? (row.body === undefined ? undefined : JSON.stringify(typeof row.body === 'function' ? await row.body({ cast, thing, caller }) : row.body));
    const go = route === 'POST /api/v1/tryons' ? one_of_few : work => work();
    return go(() => knock(method, target ? V1 + target : pattern.replace(/\{[^}]*\}/, id) + (row.query ?? ''), { ...cast.headers[caller], ...(raw ? { 'Content-Type': 'image/png' } : {}), ...headers }, body));
}
const cell = answer => (answer.status < 400 || answer.json?.code === usual[answer.status] ? String(answer.status) : `${answer.status}:${answer.json?.code}`);
const without_id = answer => answer.text.replace(/"request_id":"[^"]*"/, '');
const head = answer => Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !/^(date|x-request-id|connection|keep-alive)$/.test(name)));

/** Callers by column, in the order of the table. */
const columns = [['nobody', nobodies], ...['user', 'owner', 'other', 'admin', 'operator'].map(name => [name, [name]]), ...scopes.map(scope => [scope, [`key:${scope}`, `token:${scope}`]])];

async function check_row(route, [line, row = {}]) {
    const expected = line.split(/[ |]+/);
    assert.equal(expected.length, columns.length, `${route}: ${columns.length} columns`);
    const cast = await people();
    const kept = row.thing && await things[row.thing](cast);
    const look = looks[row.thing] && (async () => ({ ...await cast.owner.get(looks[row.thing] + kept.id), queue_position: undefined }));
    const before = await look?.();
    const wants = caller => expected[columns.findIndex(([, callers]) => callers.includes(caller))];
    const found = {}, answers = {}, wrong = [];
    const has_json = row.body !== undefined && !row.raw;
    const refused = caller => Number(wants(caller).slice(0, 3)) >= 400;
    const callers = columns.flatMap(([, names]) => names);
    await Promise.all(callers.filter(refused).map(async caller => {
        answers[caller] = await ask(route, row, cast, caller, kept);
        found[caller] = cell(answers[caller]);
        if (answers[caller].status === 401 && !/webhooks/.test(route) && !answers[caller].headers['www-authenticate']) wrong.push(`${caller}: 401 without WWW-Authenticate`);
        if (!has_json || /webhooks/.test(route) || row.form_first && wants(caller) === '403') return;
        // Who may not is told so before anything is said about the body.
        const odd = await ask(route, row, cast, caller, kept, { body: '{"no_such_field":1}' });
        if (cell(odd) !== found[caller]) wrong.push(`${caller}: ${found[caller]}, but ${cell(odd)} with a body that is wrong`);
    }));
    if (look) assert.deepEqual(await look(), before, `${route}: those who were refused changed the thing`);
    if (answers.other?.status === 404 && answers.user?.status === 404) {
        assert.equal(without_id(answers.other), without_id(answers.user), `${route}: what is another's is told apart from what does not exist`);
        assert.deepEqual(head(answers.other), head(answers.user), `${route}: another's and nothing, by their headers`);
    }
    if (row.thing && route.startsWith('GET ')) {
        for (const caller of ['nobody', 'other', 'owner']) {
            const answer = await ask(route.replace('GET', 'HEAD'), row, cast, caller, kept);
            if (answer.status !== Number(wants(caller).slice(0, 3)) || answer.text) wrong.push(`${caller}: HEAD is ${answer.status} ${answer.text}`);
        }
    }
    // Those who end what they come with (sign out, leave) come last; the owner behind the keys.
    for (const caller of callers.filter(name => !refused(name)).sort((a, b) => (a === 'owner') - (b === 'owner'))) {
        const fresh = row.thing && (route.startsWith('GET ') ? kept : await things[row.thing](cast));
        answers[caller] = await ask(route, row, cast, caller, fresh);
        found[caller] = cell(answers[caller]);
        if (answers[caller].status >= 400) wrong.push(`${caller}: ${answers[caller].text}`);
    }
    if (row.thing && !row.makes && Number(expected[4]) < 300 && Number(expected[1]) === 403) {       // administrators' routes: nothing there is 404 for them
        const answer = await ask(route, row, cast, 'admin', undefined);
        if (cell(answer) !== '404') wrong.push(`admin, of what does not exist: ${cell(answer)} ${answer.text}`);
    }
    const seen = columns.map(([, names]) => [...new Set(names.map(name => found[name]))].join('/'));
    const shown = cells => columns.map(([name], i) => `${name} ${cells[i]}`).join(', ');
    assert.equal(shown(seen), shown(expected), `${route} (nobody, scopes: a/b says that two of them differ)`);
    assert.deepEqual(wrong, [], route);
}

/** So many at a time, in order. */
async function in_turns(list, at_once, work) {
    const left = [...list];
    const errors = [];
    await Promise.all(Array.from({ length: at_once }, async () => {
        for (let item; (item = left.shift());) await work(item).catch(error => errors.push(error));
    }));
    return errors;
}
const report = errors => assert.equal(errors.length, 0, errors.map(e => e.message).join('\n\n'));

describe('who may do what', () => {
    let routes, witness, witnessed;
    const lists = () => routes.filter(r => r.method === 'GET' && r.auth === 'user' && !r.path.includes('{')).map(r => r.path.replace(V1, '') + (rows[`GET ${r.path}`]?.[1]?.query ?? ''));
    const all_lists = async () => Object.fromEntries(await Promise.all(lists().map(async target => [target, JSON.stringify({ ...await witness.get(target), exported_at: undefined })])));

    before(async () => {
        kiln = await begin({ server: { env: { KILN_ADMIN_KEY: admin_key, KILN_JWT_AUDIENCE: audience, KILN_SIWE_DOMAIN: domain, KILN_AUTH_PER_MINUTE: '100000', KILN_WEBHOOKS_PER_MINUTE: '100000' } } });
        const printed = kiln.program('kiln-server', ['--routes']);
        await printed.exit;
        routes = printed.stdout.trim().split('\n').map(line => JSON.parse(line));
        picture = png('a coat', 64, 64);
        [mate, maker, anyone, witness] = [person(), person({ role: 'admin' }), person(), person()];
        for (const user of [mate, anyone]) await good(user, 'PATCH', '/me', { handle: user.sub });
        anyone.models = (await anyone.get('/models')).items.map(model => model.id);
        await account(witness);
        witnessed = { lists: await all_lists(), stream: await witness.stream().opened(), position: (await witness.get('/events/poll')).position };
    });
    after(() => { agent.destroy(); return kiln.end(); });

    test('every route has its line, and every line its route', () => {
        const known = new Set(routes.map(r => `${r.method} ${r.path}`));
        const lines = [...known].filter(route => !rows[route]).map(route => `    '${route}': ['… | …'],`);
        assert.equal(lines.length, 0, `routes without a line in \`rows\` of tests/e2e/rights.test.mjs (its head says how to fill it in):\n${lines.join('\n')}`);
        assert.deepEqual(Object.keys(rows).filter(route => !known.has(route)), [], 'lines of routes that are no more');
    });
    test('each is answered as its line says, refusals change nothing, and another\'s thing is like none', async () => {
        report(await in_turns(Object.entries(rows).filter(([route]) => routes.some(r => `${r.method} ${r.path}` === route)), 6, ([route, row]) => check_row(route, row)));
    });
    test('what another owns is like nothing in a body too', async () => {
        const { owner, other } = await people();
        const cast = { owner };
        const [file, group, job, message, project] = [await things.file(cast), await things.group(cast), await things.job(cast), await things.message(cast), await things.project(cast)];
        const [mine, flat] = [await things.group({ owner: other }), await staging({ owner: other })];
        for (const [method, target, body, id] of [
            ['POST', '/generate', id => ({ ...generation, media: [id] }), file.id],
            ['POST', '/generate/estimate', id => ({ ...generation, media: [id] }), file.id],
            ['POST', '/images', id => ({ ...flat, project_id: id }), project.id],
            ['POST', '/images', id => ({ ...flat, media_id: id }), file.id],
            ['POST', '/projects', id => ({ name: 'x', media: [id] }), file.id],
            ['PUT', `/projects/${flat.project_id}`, id => ({ media: [id] }), file.id],
            ['POST', '/shares', id => ({ job_id: id }), (await things.made(cast)).id],
            ['POST', '/invites', id => ({ conversation_id: id }), group.id],
            ['POST', `/conversations/${mine.id}/messages`, id => ({ text: 'look', media: [id] }), file.id],
            ['POST', `/conversations/${mine.id}/messages`, id => ({ text: 'look', reply_to: id }), message.id],
            ['POST', '/notifications/read', id => ({ ids: [`job-1-${id}`] }), job.id],
        ]) {
            const [theirs, none] = [await other.call(method, target, body(id)), await other.call(method, target, body(missing))];
            assert.deepEqual([theirs.status, without_id(theirs)], [none.status, without_id(none)], `${method} ${target}`);
            assert.ok(theirs.status >= 400 || target === '/notifications/read', `${method} ${target}: ${theirs.status}`);
        }
        const [theirs, none] = [await other.call('GET', `/images?project=${project.id}`), await other.call('GET', `/images?project=${missing}`)];
        assert.deepEqual([theirs.status, without_id(theirs)], [404, without_id(none)]);
    });
    // The statement and its plan are the same for both; what differs is one row that is found by its key and left out. Printed, not
    // asserted: on a machine that does other things too a few microseconds are nobody's claim.
    test('how long another\'s takes beside none', async t => {
        const { owner, other } = await people();
        for (const [thing, target] of [['job', '/generations/'], ['place', '/uploads/'], ['project', '/projects/'], ['message', '/messages/']]) {
            const { id } = await things[thing]({ owner });
            const times = { [id]: [], [missing]: [] };
            for (let i = 0; i < 60; i++) {
                for (const each of i % 2 ? [id, missing] : [missing, id]) {
                    const from = process.hrtime.bigint();
                    assert.equal((await other.call('GET', target + each, undefined, { agent })).status, 404);
                    times[each].push(Number(process.hrtime.bigint() - from) / 1000);
                }
            }
            const [theirs, none] = [id, missing].map(each => Math.round(times[each].sort((a, b) => a - b)[30]));
            t.diagnostic(`GET ${target}{id}: another's ${theirs} µs, none ${none} µs (medians of 60)`);
        }
    });
    test('every POST that makes something takes an Idempotency-Key: at once and later it is one thing, and another body is refused', async () => {
        const exempt = r => r.auth === 'none' || r.function === 'create_ticket';
        const creating = routes.filter(r => r.method === 'POST' && (r.status === 201 || r.status === 202 && !/^(cancel|complete)_/.test(r.function) || /^grant_/.test(r.function ?? '')) && !exempt(r)).map(r => `${r.method} ${r.path}`);
        assert.ok(creating.length > 10);
        assert.deepEqual(creating.filter(route => !rows[route]?.[1]?.once), [], 'lines that do not say what a key does (once)');
        report(await in_turns(creating, 6, async route => {
            const row = rows[route][1], cast = await people();
            const caller = rows[route][0].split(/ /)[2] < '300' ? 'owner' : 'admin';
            const thing = row.thing && await things[row.thing](cast);
            const body = JSON.stringify(typeof row.body === 'function' ? await row.body({ cast, thing, caller }) : row.body);
            const other = row.other ? JSON.stringify(await row.other()) : `${body} `;
            const send = text => ask(route, row, cast, caller, thing, { body: text, headers: { 'Idempotency-Key': 'once' } });
            const answers = [...await Promise.all(Array.from({ length: 5 }, () => send(body))), await send(body)];
            const made = answers.filter(a => a.status < 300), shown = answers.filter(a => a.json?.code === 'already_created');
            const ids = new Set(made.map(a => a.json.id ?? a.json.media_id ?? a.json.account_id ?? a.json.items.map(item => item.id).join()));
            assert.deepEqual([ids.size, made.length, shown.length], row.once === 'same' ? [1, 6, 0] : [1, 1, 5], `${route}: ${answers.map(a => a.text).join('\n')}`);
            if (row.counts) assert.equal(await row.counts({ cast, thing }), 1, `${route}: more than one was made`);
            const conflict = await send(other);
            assert.equal(cell(conflict), '409:idempotency_conflict', `${route} with another body: ${conflict.text}`);
        }));
    });
    test('50 identical POSTs with one key at once, of something that costs: one job, one hold', async () => {
        await kiln.psql(`update kiln.model set price_micros = 1000, price = null`);
        const payer = person(), body = { ...generation, prompt: 'fifty at once' };
        const answers = await Promise.all(Array.from({ length: 50 }, () => payer.call('POST', '/generate', body, { agent, headers: { 'Idempotency-Key': 'fifty' } })));
        assert.deepEqual([[...new Set(answers.map(a => a.status))], new Set(answers.map(a => a.json.id)).size], [[202], 1]);
        const holds = await kiln.rows(`select job_id::text, amount_micros from kiln.ledger where account_id = ${await account(payer)}`);
        assert.deepEqual(holds, [{ job_id: answers[0].json.id, amount_micros: -1000 }]);
        assert.equal(await kiln.value(`select count(*) from kiln.job where account_id = ${await account(payer)}`), '1');
        assert.equal(cell(await payer.call('POST', '/generate', { ...body, seed: 1 }, { headers: { 'Idempotency-Key': 'fifty' } })), '409:idempotency_conflict');
    });
    test('all that time a stranger\'s lists, counts and stream showed nothing of it', async () => {
        assert.deepEqual(await all_lists(), witnessed.lists);
        assert.deepEqual((await witness.get(`/events/poll?after=${encodeURIComponent(witnessed.position)}&timeout=0`)).events, []);
        const jobs = await kiln.value(`select count(*) from kiln.event`);
        assert.ok(Number(jobs) > 100, 'and there was something to see');
        // What it is told itself comes behind all that was before: then nothing of the others' is still under way.
        const { id } = await witness.make({ type: 'image', prompt: 'my own' });
        await witnessed.stream.sees('its own job', e => e.data.job_id === id);
        const foreign = witnessed.stream.events.filter(e => e.event !== 'ready' && e.data.job_id !== id);
        assert.deepEqual(foreign, []);
    });
});

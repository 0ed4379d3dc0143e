// Outgoing mail through real programs, to a real mail server (aiosmtpd, as Debian has it) with a mailbox that is looked into.
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { begin, free_port, request, tool, until } from './lib.mjs';
import { MailServer } from './mailbox.mjs';

describe('outgoing mail', () => {
    let kiln, box, users = 0;
    const from = { KILN_MAIL_FROM: 'kiln@example.org' };
    const runners = () => [...kiln.programs].filter(program => program.name === 'kiln-runner' && !program.ended);
    before(async () => {
        kiln = await begin();
        await kiln.psql(`update kiln.config set public_url = 'https://kiln.example'`);
        box = await new MailServer(path.join(kiln.folder, 'mail'), await free_port()).start();
        kiln.certificate = { cert: path.join(kiln.folder, 'cert.pem'), key: path.join(kiln.folder, 'key.pem') };
        await tool('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
            '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', kiln.certificate.key, '-out', kiln.certificate.cert]);
    });
    after(async () => {
        await box?.stop();
        await kiln?.end();
    });

    /** Somebody who wants mail at an address that is like no other's, but for its first word. */
    async function someone(word, wants = true) {
        const user = kiln.user(`${word}${++users}`);
        user.email = `${word}@d${users}.example`;
        await user.account();
        await kiln.psql(`update kiln.account set email = '${user.email}', email_verified_at = kiln_internal.now(), notify_email = ${wants} where account_id = ${user.account_id}`);     // proven before
        return user;
    }
    const tell = (user, text = 'hello', link = 'null') => kiln.psql(`select kiln.announce('test', $t$${text}$t$, ${link}, ${user.account_id}, ${user.account_id})`);
    const delivery = async user => (await kiln.rows(`select d.*, d.delivery_id::text, (select json_agg(a order by a.attempt) from kiln.delivery_attempt a where a.delivery_id = d.delivery_id) as said
        from kiln.delivery d where d.account_id = ${user.account_id}`))[0];
    let last;
    const comes = (user, state) => until(`the mail to ${user.email} to be ${state}`, async () => { last = await delivery(user); return last?.state === state && last; }, 20000).catch(error => { error.message += JSON.stringify(last); throw error; });
    const now = user => kiln.psql(`update kiln.delivery set due_at = kiln_internal.now(), claimed_until = null where account_id = ${user.account_id}`);     // its time has come
    async function only(env, name) {
        for (const runner of runners()) await runner.kill();
        return kiln.runner({ name, env });
    }

    test('off until configured: without KILN_SMTP_URL nothing is made', async () => {
        const runner = await kiln.runner({ name: 'deaf' });
        const ann = await someone('ann');
        const job = await ann.make({ type: 'image', prompt: 'a hill' });
        await kiln.job_state(job.id, 'completed', 60000);
        await kiln.psql('select kiln_runner.claim_deliveries(null)');
        assert.equal(await kiln.value('select count(*) from kiln.delivery'), '0');
        assert.equal(await kiln.value('select from_snapshot from kiln.outgoing'), null, 'nor is the log read');
        await runner.kill();
    });
    test('settings that are wrong end the runner with a sentence that repeats no secret', async () => {
        const good = { KILN_SMTP_URL: 'smtp://mail.example', ...from };
        for (const [env, says] of [
            [{ ...good, KILN_SMTP_URL: 'smtp://bob:hunter2secret@mail.example' }, /carries a name or a password: they belong into KILN_SMTP_USER/],
            [{ ...good, KILN_SMTP_URL: 'smtp://hunter2secret@mail.example' }, /carries a name or a password/],
            [{ ...good, KILN_SMTP_URL: 'https://mail.example' }, /must be smtp:/], [{ ...good, KILN_SMTP_URL: 'smtp://mail.example/x' }, /must be smtp:/],
            [{ ...good, KILN_SMTP_URL: 'smtp://mail.example/?hunter2secret' }, /must be smtp:/], [{ ...good, KILN_SMTP_URL: 'smtp://' }, /cannot be read/],
            [{ ...good, KILN_MAIL_FROM: 'Kiln <kiln@example.org>' }, /KILN_MAIL_FROM must be an address/], [{ ...good, KILN_MAIL_FROM: undefined }, /KILN_MAIL_FROM is not/],
            [{ ...good, KILN_SMTP_URL: undefined }, /KILN_SMTP_URL is not/], [{ ...good, KILN_SMTP_PASSWORD: 'hunter2secret' }, /set together/],
            [{ ...good, KILN_SMTP_TLS: 'perhaps' }, /on, off, auto/], [{ ...good, KILN_SMTP_CA: '/nowhere' }, /KILN_SMTP_CA/],
            [{ ...good, KILN_SMTP_TLS: 'off', KILN_SMTP_USER: 'bob', KILN_SMTP_PASSWORD: 'hunter2secret' }, /not sent in the clear/],
        ]) {
            const program = kiln.program('kiln-runner', [], env);
            assert.equal((await program.exit).code, 78, JSON.stringify(env) + program.output);
            assert.match(program.output, says);
            assert.ok(!/hunter2/.test(program.output), 'no secret');
        }
    });
    test('a completed job is exactly one mail in the mailbox, to who wants it and to nobody else', async () => {
        await only({ KILN_SMTP_URL: box.url, ...from }, 'one');
        await until('it to have asked', () => kiln.value('select mailing_at from kiln.outgoing'));
        const ann = await someone('ann'), bob = await someone('bob', false), cay = await someone('cay');
        await kiln.arrange(`update kiln.account set is_suspended = true where account_id = ${cay.account_id}`);
        const prompt = 'a hill\r\nBcc: eve@example.com\r\n.\r\nüber 😀';
        const job = await ann.make({ type: 'image', prompt }), other = await bob.make({ type: 'image', prompt: 'no mail' });
        await kiln.job_state(job.id, 'completed', 60000);
        await kiln.job_state(other.id, 'completed', 60000);
        await tell(cay);
        const sent = await comes(ann, 'sent');
        const [mail, ...more] = box.mails(ann.email);
        assert.equal(more.length, 0, 'one');
        assert.equal(await kiln.value('select count(*) from kiln.delivery'), '1', 'and no other');
        assert.deepEqual([mail.headers.from, mail.headers['message-id'], mail.headers['auto-submitted'], mail.headers.subject],
            ['Kiln <kiln@example.org>', `<${sent.message_id}@example.org>`, 'auto-generated', 'Your image is ready']);
        assert.ok(Math.abs(Date.parse(mail.headers.date) - Date.now()) < 120000, mail.headers.date);
        assert.ok(mail.text.includes(prompt.replace(/\r\n/g, '\r\n')) && mail.text.includes(`https://kiln.example/generations/${job.id}`), mail.text);
        assert.ok(!('bcc' in mail.headers) && !/eve@/.test(mail.raw), 'what was written begins no header');
        assert.deepEqual([sent.said.length, sent.said[0].status, sent.said[0].error], [1, 250, null]);
        assert.equal(box.taken().filter(m => m.to[0] === ann.email).length, 1);
    });
    test('the link at its foot turns it off: a button for people, a POST for mail programs, nothing for those who only look', async () => {
        const ann = await someone('ann');
        await tell(ann, 'first');
        await comes(ann, 'sent');
        const [mail] = box.mails(ann.email);
        assert.equal(mail.headers['list-unsubscribe-post'], 'List-Unsubscribe=One-Click');
        assert.match(mail.headers['list-unsubscribe'], /^<https/, mail.raw);
        const link = /^<https:\/\/kiln\.example(\/api\/v1\/unsubscribe\/[0-9a-f-]+)>$/.exec(mail.headers['list-unsubscribe'])[1];
        assert.ok(mail.text.includes(link) && mail.html.includes(link));
        const page = await request(kiln.url, 'GET', link);
        assert.deepEqual([page.status, page.headers['content-type'], /<form method="post">/.test(page.text)], [200, 'text/html; charset=utf-8', true]);
        assert.equal((await ann.get('/me')).notify_email, true, 'looking turns nothing off');
        const forged = await request(kiln.url, 'POST', link.replace(/.$/, c => (c === '0' ? '1' : '0')));
        assert.equal(forged.status, 403);
        const body = 'List-Unsubscribe=One-Click';
        const done = await request(kiln.url, 'POST', link, { headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length }, body });
        assert.deepEqual([done.status, done.headers['content-type']], [200, 'text/html; charset=utf-8']);
        assert.equal((await ann.get('/me')).notify_email, false);
        await tell(ann, 'second');
        const bob = await someone('bob');
        await tell(bob);
        await comes(bob, 'sent');
        assert.equal(box.mails(ann.email).length, 1, 'no second mail, though one that was told later has his');
    });
    test('an address that nobody proved is mailed one link, without a word of who wrote it, and all else once somebody pressed its button', async () => {
        const eve = kiln.user('eve'), email = 'victim@prove.example', words = 'Cheap gold at evil.example';
        await eve.account();
        const mine = () => box.mails(email);
        const set = await eve.call('PATCH', '/me', { display_name: words, handle: 'cheap_gold', email, notify_email: true });
        assert.deepEqual([set.status, set.json.email_verified], [200, false]);
        const jobs = [];
        for (let i = 0; i < 6; i++) jobs.push(await eve.make({ type: 'image', prompt: `${words} ${i}` }));
        for (const job of jobs) await kiln.job_state(job.id, 'completed', 60000);
        await tell(eve, words);
        const bob = await someone('bob');
        await tell(bob);
        await comes(bob, 'sent');
        await until('the confirmation', () => mine().length > 0);
        assert.equal(await kiln.value(`select count(*) from kiln.delivery where account_id = ${eve.account_id}`), '1', 'six jobs and a notification are no mail');
        const [mail] = mine();
        assert.ok(!/gold|evil/i.test(mail.raw + mail.text + mail.html + mail.headers.subject), mail.text);
        const link = new RegExp('https://kiln.example(/api/v1/confirm-email/[0-9a-f-]+)').exec(mail.text)[1];
        const page = await request(kiln.url, 'GET', link);
        assert.deepEqual([page.status, /<form method="post">/.test(page.text), page.headers['referrer-policy'], page.headers['cache-control']], [200, true, 'no-referrer', 'no-store']);
        assert.equal((await request(kiln.url, 'HEAD', link)).status, 200);
        assert.equal((await eve.get('/me')).email_verified, false, 'looking proves nothing');
        assert.equal((await request(kiln.url, 'POST', link.replace(/.$/, c => (c === '0' ? '1' : '0')))).status, 403);
        const done = await request(kiln.url, 'POST', link);
        assert.deepEqual([done.status, done.headers['content-type']], [200, 'text/html; charset=utf-8']);
        assert.equal((await eve.get('/me')).email_verified, true);
        await tell(eve, 'wanted');
        await until('the first wanted mail', () => mine().some(m => m.text.includes('wanted')));
        assert.equal(mine().length, 2, 'what happened before is not told');
        assert.equal((await eve.call('PATCH', '/me', { email: 'next@prove.example' })).json.email_verified, false, 'another address is unproven again');
        await until('its confirmation', () => box.mails('next@prove.example').length === 1);
        const off = /^<https:\/\/kiln\.example(\/api\/v1\/unsubscribe\/n-[0-9a-f-]+)>$/.exec(box.mails('next@prove.example')[0].headers['list-unsubscribe'])[1];
        assert.equal((await request(kiln.url, 'POST', off)).status, 200);
        assert.equal((await eve.call('POST', '/me/email/confirmation', {})).status, 409, 'its reader wants none');
    });
    test('451 is tried again under the same id, 550 and 554 are not', async () => {
        const busy = await someone('busy'), nobody = await someone('nobody'), spam = await someone('spam');
        for (const user of [busy, nobody, spam]) await tell(user);
        for (const [user, says] of [[nobody, '550 5.1.1 nobody of that name'], [spam, '554 5.7.1 we want none of that']]) {
            const gone = await comes(user, 'failed');
            assert.deepEqual([gone.why, gone.attempts, gone.said[0].error], [`It answered: ${says}`, 1, `It answered: ${says}`]);
        }
        const waits = await until('the first answer', async () => { const d = await delivery(busy); return d?.said?.[0].status && d; });
        assert.deepEqual([waits.state, waits.why, waits.said[0].status], ['due', 'It answered: 451 4.7.1 come back later', 451]);
        await now(busy);
        await comes(busy, 'sent');
        assert.deepEqual(box.mails(busy.email).map(mail => mail.headers['message-id']), [`<${waits.message_id}@example.org>`]);
    });
    test('with the server down it waits, and goes out when it is up again', async () => {
        await box.stop();
        const ann = await someone('ann');
        await tell(ann);
        const waits = await until('the first attempt', async () => { const d = await delivery(ann); return d?.said?.[0].error && d; });
        assert.match(waits.why, /^127\.0\.0\.1: /);
        assert.equal(waits.state, 'due');
        await box.start();
        await now(ann);
        await comes(ann, 'sent');
        assert.equal(box.mails(ann.email).length, 1);
    });
    test('killed with -9 between the commit and the sending, another runner sends it', async () => {
        box.signal('SIGSTOP');          // the kernel takes the connection; nobody greets
        const ann = await someone('ann');
        const job = await ann.make({ type: 'image', prompt: 'a lake' });
        await kiln.job_state(job.id, 'completed', 60000);
        const taken = await until('it to be taken', async () => { const d = await delivery(ann); return d?.claimed_until && d; });
        for (const runner of runners()) await runner.kill();
        box.signal('SIGCONT');
        await now(ann);
        await kiln.runner({ name: 'two', env: { KILN_SMTP_URL: box.url, ...from } });
        await comes(ann, 'sent');
        assert.deepEqual(box.mails(ann.email).map(mail => mail.headers['message-id']), [`<${taken.message_id}@example.org>`]);
    });
    test('killed with -9 between the sending and the note of it, there are two under one id', async () => {
        const ann = await someone('slow');
        await tell(ann);
        await until('the mail server to have it', () => box.mails(ann.email).length === 1);
        for (const runner of runners()) await runner.kill();
        box.go_on();
        assert.equal((await delivery(ann)).state, 'due', 'nobody knows what came of it');
        await now(ann);
        await kiln.runner({ name: 'three', env: { KILN_SMTP_URL: box.url, ...from } });
        const sent = await comes(ann, 'sent');
        assert.deepEqual(box.mails(ann.email).map(mail => mail.headers['message-id']), Array(2).fill(`<${sent.message_id}@example.org>`));
        assert.equal(new Set(box.mails(ann.email).map(mail => mail.raw.replace(/^X-.*\n/gm, ''))).size, 1, 'the same to the last letter');
    });
    test('with TLS it signs in; a certificate that nobody vouches for is given nothing', async () => {
        const { cert, key } = kiln.certificate, sign_in = { KILN_SMTP_USER: 'kiln', KILN_SMTP_PASSWORD: 'hunter2secret' };
        for (const [scheme, args] of [['smtp', []], ['smtps', ['--from-start']]]) {
            const sure = await new MailServer(path.join(kiln.folder, `mail-${scheme}`), await free_port(), ['--tls', cert, key, '--sign-in', 'kiln', 'hunter2secret', ...args]).start();
            const env = { KILN_SMTP_URL: `${scheme}://localhost:${sure.port}`, KILN_SMTP_TLS: 'on', ...from, ...sign_in };
            try {
                const ann = await someone('ann');
                await only(env, `${scheme}-strict`);
                await tell(ann);
                const refused = await until('the refusal', async () => { const d = await delivery(ann); return d?.said?.[0].error && d; });
                assert.deepEqual([refused.state, /certificate/.test(refused.why), sure.taken().length], ['due', true, 0], refused.why);
                await only({ ...env, KILN_SMTP_CA: cert, KILN_SMTP_PASSWORD: 'wrong-hunter2' }, `${scheme}-wrong`);
                await now(ann);
                const wrong = await until('the second', async () => { const d = await delivery(ann); return d?.said?.[1]?.status && d; });
                assert.deepEqual([wrong.state, wrong.said[1].status], ['due', 535], 'a wrong password is ours to mend');
                await only({ ...env, KILN_SMTP_CA: cert }, `${scheme}-right`);
                await now(ann);
                await comes(ann, 'sent');
                assert.deepEqual(sure.taken(), [{ from: 'kiln@example.org', to: [ann.email], tls: true, signed_in: true }]);
            } finally { await sure.stop(); }
        }
        await only({ KILN_SMTP_URL: box.url, KILN_SMTP_TLS: 'on', ...from }, 'no-tls');
        const bob = await someone('bob');
        await tell(bob);
        const refused = await until('the refusal', async () => { const d = await delivery(bob); return d?.said?.[0].error && d; });
        assert.match(refused.why, /offers no TLS/);
        for (const program of kiln.programs) assert.ok(!/hunter2/.test(program.output), 'no password in a log');
        assert.equal(await kiln.value(`select count(*) from kiln.delivery_attempt a where a::text ~ 'hunter2'`), '0', 'nor in the database');
    });
    test('a server that says nothing, or knows no EHLO and never answers QUIT, holds up nobody', async () => {
        const held = new Set(), said = [];
        const talk = (socket, greets) => {
            held.add(socket);
            socket.on('error', () => {});
            if (greets) socket.write('220 here\r\n');
            let in_text = false;
            socket.setEncoding('utf8').on('data', text => {
                for (const line of text.split('\r\n').filter(Boolean)) {
                    if (in_text) { if (line === '.') { in_text = false; socket.write('250 taken\r\n'); } continue; }
                    said.push(line);
                    if (/^DATA/i.test(line)) { in_text = true; socket.write('354 go on\r\n'); } else if (!/^QUIT/i.test(line)) socket.write(/^EHLO/i.test(line) ? '502 no\r\n' : '250 yes\r\n');
                }
            });
        };
        const rude = await new Promise(resolve => { const server = net.createServer(socket => talk(socket, true)).listen(0, '127.0.0.1', () => resolve(server)); });
        const mute = await new Promise(resolve => { const server = net.createServer(socket => talk(socket, false)).listen(0, '127.0.0.1', () => resolve(server)); });
        try {
            await only({ KILN_SMTP_URL: `smtp://127.0.0.1:${rude.address().port}`, ...from }, 'rude');
            const ann = await someone('ann');
            await tell(ann);
            const sent = await comes(ann, 'sent');
            assert.ok(sent.said[0].elapsed_ms < 5000, `${sent.said[0].elapsed_ms} ms`);
            await until('QUIT', () => said.includes('QUIT'));
            await only({ KILN_SMTP_URL: `smtp://127.0.0.1:${mute.address().port}`, ...from }, 'mute');
            const bob = await someone('bob');
            held.clear();
            await tell(bob);
            await until('the connection', () => held.size === 1);
            const job = await bob.make({ type: 'image', prompt: 'meanwhile' });
            await kiln.job_state(job.id, 'completed', 60000);
            assert.equal((await delivery(bob)).said[0].elapsed_ms, null, 'work goes on while the mail server is silent');
            assert.equal((await runners()[0].stop()).code, 0, 'and the runner ends, which the mail server never does');
        } finally {
            for (const socket of held) socket.destroy();
            rude.close();
            mute.close();
        }
    });
});

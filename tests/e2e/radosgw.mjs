// A real S3 service for tests: Debian's radosgw over one monitor and one OSD in memory, on ports and in a folder of its own.
//
//   const s3 = await radosgw(folder);      // null where the packages are not there (scripts/deps.sh s3)
//   s3.url, s3.media, s3.keys               // KILN_MEDIA and the keys for the programs
//   s3.end();
//
// What took tries: only the old wire protocol (with the new one and no authentication the gateway hangs), one uuid for both halves of
// the OSD, which is up before the gateway begins, and a new start of whichever of the two does not come up.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { request, root, until } from './lib.mjs';

const sbin = name => ['/usr/bin', '/usr/sbin'].map(folder => path.join(folder, name)).find(file => fs.existsSync(file));
export const has_radosgw = ['ceph-mon', 'ceph-osd', 'radosgw', 'radosgw-admin', 'ceph', 'monmaptool'].every(sbin);

const port_of_own = () => new Promise(resolve => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); }); });

async function bring_up(folder) {
    const [mon, gateway] = [await port_of_own(), await port_of_own()], fsid = randomUUID(), osd = randomUUID();
    const conf = path.join(folder, 'ceph.conf'), children = [];
    fs.mkdirSync(path.join(folder, 'mon'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'osd'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'rgw'), { recursive: true });
    fs.writeFileSync(conf, `[global]
fsid = ${fsid}
mon host = [v1:127.0.0.1:${mon}]
ms bind msgr2 = false
ms bind ipv4 = true
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 1
osd objectstore = memstore
memstore device bytes = 1610612736
osd crush chooseleaf type = 0
run dir = ${folder}
admin socket = ${folder}/$name.$pid.asok
log file = ${folder}/$name.log
log to stderr = false
mon data = ${folder}/mon
osd data = ${folder}/osd
rgw data = ${folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:${gateway}
`);
    const start = (name, args) => {
        const last_words = fs.openSync(path.join(folder, `${name}.stderr.log`), 'a');
        const child = spawn('setpriv', ['--pdeathsig', 'KILL', sbin(name), '-c', conf, '-f', ...args], { stdio: ['ignore', 'ignore', last_words], cwd: folder });
        fs.closeSync(last_words);
        children.push(child);
        return child;
    };
    const call = (name, args, timeout = 20000) => {
        const ended = spawnSync(sbin(name), args, { timeout, encoding: 'utf8', cwd: folder });
        if (ended.status !== 0) throw new Error(`${name} ${args.slice(0, 3).join(' ')}: ${ended.stderr || ended.error || ended.status}`);
        return ended.stdout;
    };
    const end = async () => {
        await Promise.all(children.reverse().map(child => new Promise(resolve => { if (child.exitCode !== null || child.signalCode) return resolve(); child.on('exit', resolve); child.kill('SIGKILL'); })));
        fs.rmSync(folder, { recursive: true, force: true });
    };
    try {
        call('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `[v1:127.0.0.1:${mon}]`, path.join(folder, 'monmap')]);
        call('ceph-mon', ['-c', conf, '--mkfs', '-i', 'a', '--monmap', path.join(folder, 'monmap')]);
        start('ceph-mon', ['-i', 'a']);
        await until('the monitor', () => spawnSync(sbin('ceph'), ['-c', conf, '--connect-timeout', '2', '-s'], { timeout: 5000 }).status === 0, 20000);
        call('ceph', ['-c', conf, 'osd', 'new', osd]);
        call('ceph-osd', ['-c', conf, '-i', '0', '--mkfs', '--osd-uuid', osd]);
        let device = start('ceph-osd', ['-i', '0']);
        await until('the OSD', () => {
            if (device.exitCode !== null) device = start('ceph-osd', ['-i', '0']);      // now and then it ends at once, with 1
            return / 1 up/.test(call('ceph', ['-c', conf, 'osd', 'stat']));
        }, 30000);
        const url = `http://127.0.0.1:${gateway}`, answers = async () => (await request(url, 'GET', '/', { ms: 2000 }).catch(() => ({}))).status === 200;
        for (let tries = 3; ; tries--) {
            const child = start('radosgw', ['-n', 'client.rgw']);
            if (await until('the gateway', answers, 30000).catch(error => { if (tries === 1) throw error; })) break;
            child.kill('SIGKILL');
        }
        const keys = { KILN_S3_ACCESS_KEY: `K${randomBytes(9).toString('hex')}`, KILN_S3_SECRET_KEY: randomBytes(20).toString('hex') };
        call('radosgw-admin', ['-c', conf, '-n', 'client.rgw', 'user', 'create', '--uid=kiln', '--display-name=kiln', `--access-key=${keys.KILN_S3_ACCESS_KEY}`, `--secret-key=${keys.KILN_S3_SECRET_KEY}`]);
        return { url, keys, end };
    } catch (error) {
        const ends = children.map(child => `${path.basename(child.spawnargs[3])} ${child.exitCode ?? child.signalCode ?? 'runs'}`);
        const said = fs.readdirSync(folder).filter(name => name.endsWith('.log')).map(name => `${name}: ${fs.readFileSync(path.join(folder, name), 'latin1').trim().split('\n').slice(-4).join(' | ')}`);
        await end();
        error.message += `\n${[...ends, ...said].join('\n')}`;
        throw error;
    }
}

// A signer that shares nothing with the one under test, for what the programs themselves never ask: a bucket, its CORS rules.
function signed(s3, method, target, body = '', headers = {}) {
    const url = new URL(target, s3.url), date = new Date().toISOString().replace(/[-:]|\.\d+/g, ''), scope = `${date.slice(0, 8)}/us-east-1/s3/aws4_request`;
    const hash = createHash('sha256').update(body).digest('hex'), mac = (key, text) => createHmac('sha256', key).update(text).digest();
    const all = { ...headers, host: url.host, 'x-amz-content-sha256': hash, 'x-amz-date': date }, names = Object.keys(all).sort();
    const query = [...url.searchParams].map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`).sort().join('&');
    const canonical = [method, url.pathname, query, ...names.map(n => `${n}:${all[n]}`), '', names.join(';'), hash].join('\n');
    const key = ['us-east-1', 's3', 'aws4_request'].reduce(mac, mac(`AWS4${s3.keys.KILN_S3_SECRET_KEY}`, date.slice(0, 8)));
    const signature = mac(key, ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')).toString('hex');
    return request(s3.url, method, target, { body, headers: { ...all, 'Content-Length': Buffer.byteLength(body), Authorization: `AWS4-HMAC-SHA256 Credential=${s3.keys.KILN_S3_ACCESS_KEY}/${scope},SignedHeaders=${names.join(';')},Signature=${signature}` } });
}

export async function radosgw(folder, { bucket = 'kiln-media', origin = 'http://app.test' } = {}) {
    if (!has_radosgw) return null;
    const s3 = await bring_up(path.join(folder, 'ceph')).catch(() => bring_up(path.join(folder, 'ceph-again')));
    s3.bucket = bucket;
    s3.media = `s3://${bucket}?endpoint=${s3.url}&region=us-east-1`;
    s3.signed = (...args) => signed(s3, ...args);
    // The rules that operators are told to set.
    const told = spawnSync(path.join(root, 'kiln'), ['media', 'cors'], { encoding: 'utf8', env: { PATH: process.env.PATH, KILN_HOME: folder, KILN_ALLOWED_ORIGINS: origin, KILN_PUBLIC_URL: '' } });
    if (told.status !== 0) throw new Error(`./kiln media cors: ${told.stderr}`);
    const rules = told.stdout;
    for (const [target, body, headers] of [[`/${bucket}`, '', {}], [`/${bucket}?cors=`, rules, { 'content-md5': createHash('md5').update(rules).digest('base64') }]]) {
        const answer = await s3.signed('PUT', target, body, headers);
        if (answer.status !== 200) throw new Error(`radosgw: PUT ${target}: ${answer.status} ${answer.text}`);
    }
    /** The keys in the bucket. */
    s3.objects = async () => {
        const keys = [];
        for (let more = ''; more !== undefined;) {
            const { text } = await s3.signed('GET', `/${bucket}?list-type=2${more && `&start-after=${encodeURIComponent(more)}`}`);
            keys.push(...[...text.matchAll(/<Key>(.*?)<\/Key>/g)].map(match => match[1]));
            more = /<IsTruncated>true/.test(text) ? keys.at(-1) : undefined;
        }
        return keys;
    };
    /** All of them, page by page. */
    s3.all_objects = async () => {
        const keys = [];
        for (let last = ''; ;) {
            const page = [...(await s3.signed('GET', `/${bucket}?list-type=2${last && `&start-after=${encodeURIComponent(last)}`}`)).text.matchAll(/<Key>(.*?)<\/Key>/g)].map(match => match[1]);
            keys.push(...page);
            if (page.length < 1000) return keys;
            last = page.at(-1);
        }
    };
    return s3;
}

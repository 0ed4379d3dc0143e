// Behind nginx as its manual has it for HTTP/1.1 and WebSocket, everything else at its defaults, but that it waits 20 seconds for a byte, not 60.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { check } from './events.mjs';
import { begin, free_port, pause, request, until } from './lib.mjs';

const timeout_s = 20;

describe('behind nginx', () => {
    let kiln, nginx, ann, account, base, folder;
    before(async () => {
        kiln = await begin();
        ann = kiln.user('ann');
        account = await ann.account();
        const port = await free_port();
        folder = path.join(kiln.folder, 'nginx');
        for (const name of ['', 'body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) fs.mkdirSync(path.join(folder, name), { recursive: true });
        fs.chmodSync(path.join(folder, 'proxy'), 0o777);
        fs.writeFileSync(path.join(folder, 'nginx.conf'), `
            worker_processes 1; daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
            events { worker_connections 100; }
            http {
                access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
                map $http_upgrade $connection_upgrade { default upgrade; '' close; }
                server {
                    listen 127.0.0.1:${port};
                    location / {
                        proxy_pass http://127.0.0.1:${kiln.main.port};
                        proxy_http_version 1.1;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection $connection_upgrade;
                        proxy_set_header Host $http_host;
                        proxy_read_timeout ${timeout_s}s;
                    }
                }
            }`);
        nginx = spawn('setpriv', ['--pdeathsig', 'TERM', 'nginx', '-p', folder, '-c', path.join(folder, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'inherit'] });
        base = `http://127.0.0.1:${port}`;
        await until('nginx', async () => (await request(base, 'GET', '/healthz').catch(() => ({}))).status === 200);
    });
    after(async () => {
        if (nginx) await new Promise(resolve => nginx.on('exit', resolve).kill('SIGQUIT') || resolve());
        await kiln?.end();
    });
    const make = () => kiln.psql(`select kiln.enqueue('log', '{}', ${account})`);
    const open = async (server = base) => {
        const socket = new WebSocket(`${server.replace('http', 'ws')}/api/v1/ws`, { headers: { Authorization: `Bearer ${ann.token}` }, origin: server });
        const said = [];
        let pings = 0;
        socket.on('message', text => { const one = JSON.parse(text); if (one.type !== 'pong') check(one); said.push(one); }).on('ping', () => { pings++; });
        const closed = new Promise(resolve => socket.on('close', code => resolve(code)));
        await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
        return { socket, said, closed, pings: () => pings };
    };

    test('a stream\'s first byte and each event pass at once', async () => {
        const stream = ann.stream({ base });
        await stream.opened();
        const job = await make();
        await stream.sees('the event', e => e.data.job_id === job);
        stream.close();
    });

    test('a WebSocket passes, both ways, and what stays quiet for longer than nginx waits is kept open by our own signs of life', { timeout: 60000 }, async () => {
        const stream = await ann.stream({ base }).opened();
        const { socket, said, pings } = await open();
        socket.send('{"type":"subscribe"}');
        socket.send('{"type":"ping","id":"p"}');
        await until('its answer', () => said.some(one => one.id === 'p'));
        const heard = stream.comments.length, before = pings();
        await pause(timeout_s * 1000 + 1500);       // nothing happens: without a sign of life nginx has cut both by now
        assert.equal(socket.readyState, WebSocket.OPEN);
        assert.ok(!stream.is_over && stream.links === 1);
        assert.ok(stream.comments.length > heard && pings() > before);
        const job = await make();
        await until('the event', () => said.some(one => one.job_id === job));
        await stream.sees('the event', e => e.data.job_id === job);
        assert.equal(fs.readFileSync(path.join(folder, 'error.log'), 'utf8').includes('timed out'), false);
        socket.close();
        stream.close();
    });

    test('the close code of a server that stops comes through', async () => {
        const { closed } = await open();
        await kiln.main.stop();
        assert.equal(await closed, 1001);
    });
});

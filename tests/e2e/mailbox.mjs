// A real mail server (aiosmtpd, as Debian has it) with a mailbox that is looked into.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { root, until } from './lib.mjs';

/** A mailbox and the server that fills it; it can be stopped and started again at the same port. */
export class MailServer {
    constructor(folder, port, args = []) { Object.assign(this, { folder, port, args, url: `smtp://127.0.0.1:${port}`, lines: [] }); }
    async start() {
        this.child = spawn('setpriv', ['--pdeathsig', 'KILL', '/usr/bin/python3', path.join(root, 'tests/fakes/mail_server.py'), String(this.port), this.folder, ...this.args], { stdio: ['pipe', 'pipe', 'pipe'] });
        let text = '', bad = '';
        this.child.stdin.on('error', () => {});
        this.child.stdout.setEncoding('utf8').on('data', more => { text += more; this.lines.push(...text.split('\n').slice(0, -1)); text = text.slice(text.lastIndexOf('\n') + 1); });
        this.child.stderr.setEncoding('utf8').on('data', more => { bad += more; });
        this.ended = new Promise(resolve => this.child.on('close', resolve));
        await until(`the mail server to listen ${bad}`, () => { if (this.child.exitCode !== null) throw new Error(bad); return this.lines.includes('ready'); });
        return this;
    }
    async stop() { this.child.kill('SIGKILL'); await this.ended; this.lines = []; }
    signal(name) { this.child.kill(name); }
    go_on() { this.child.stdin.write('\n'); }
    taken() { return this.lines.filter(line => line.startsWith('{')).map(line => JSON.parse(line)); }
    /** What lies in the mailbox for this address. */
    mails(to) {
        const folder = path.join(this.folder, 'new');
        return (fs.existsSync(folder) ? fs.readdirSync(folder) : []).map(name => parse(fs.readFileSync(path.join(folder, name), 'utf8'))).filter(mail => mail.headers.to === `<${to}>`);
    }
}

export const words = text => text.replace(/\?=\s+=\?/g, '?==?').replace(/=\?UTF-8\?B\?([^?]*)\?=/g, (_, base64) => Buffer.from(base64, 'base64').toString());
export function parse(raw) {
    const text = raw.replace(/\r\n/g, '\n'), head = text.slice(0, text.indexOf('\n\n'));
    const headers = {};
    for (const line of head.replace(/\n[ \t]+/g, ' ').split('\n')) {
        const [, name, value] = /^([^:]+): ?(.*)$/.exec(line);
        assert.ok(!(name.toLowerCase() in headers), `${name} once`);
        headers[name.toLowerCase()] = value;
    }
    headers.subject = words(headers.subject ?? '');
    const parts = text.slice(head.length).split(`--${/boundary="([^"]+)"/.exec(headers['content-type'])?.[1]}`).slice(1, -1).map(part => {
        const at = part.indexOf('\n\n');
        return { head: part.slice(0, at), text: Buffer.from(part.slice(at), 'base64').toString() };
    });
    return { raw, headers, text: parts.find(p => /text\/plain; charset=utf-8/.test(p.head))?.text, html: parts.find(p => /text\/html/.test(p.head))?.text };
}

// The fake provider as tests hold it: a process of its own that may be killed and comes back on the same port with the same book.
import { spawn } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'provider.mjs');

export class FakeProvider {
    /** state: the file it keeps its book in; seed: of all that is random in it; base: what it calls itself, where it stands behind something. */
    constructor({ state, seed = 1, base } = {}) { Object.assign(this, { state, seed, base, output: '' }); }

    async start() {
        const args = ['--seed', String(this.seed), ...(this.state ? ['--state', this.state] : []), ...(this.base ? ['--base', this.base] : []), ...(this.port ? ['--port', String(this.port), '--elsewhere-port', String(this.elsewhere_port)] : [])];
        this.child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
        this.gone = new Promise(resolve => this.child.on('close', resolve));
        this.child.stderr.setEncoding('utf8').on('data', text => { this.output += text; });
        const first = await new Promise((resolve, reject) => {
            let text = '';
            this.child.stdout.setEncoding('utf8').on('data', more => { text += more; if (text.includes('\n')) resolve(text); });
            this.child.on('close', () => reject(new Error(`the fake provider ended: ${this.output}`)));
        });
        const { port, elsewhere, keys, webhook_secret } = JSON.parse(first);
        Object.assign(this, { port, elsewhere_port: elsewhere, keys, webhook_secret, host: `127.0.0.1:${port}`, elsewhere: `127.0.0.1:${elsewhere}`, url: `http://127.0.0.1:${port}` });
        return this;
    }
    async kill() { this.child.kill('SIGKILL'); await this.gone; }
    async stop() { if (this.child.exitCode === null && this.child.signalCode === null) await this.kill(); }

    async ask(method, target, body, headers = {}) {
        const text = body === undefined ? undefined : JSON.stringify(body);
        return new Promise((resolve, reject) => {
            const req = http.request(this.url + target, { method, headers: { ...(text ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) } : {}), ...headers }, agent: false });
            req.on('error', reject);
            req.on('response', res => {
                const parts = [];
                res.on('data', part => parts.push(part));
                res.on('error', reject);
                res.on('end', () => {
                    const bytes = Buffer.concat(parts), answer = { status: res.statusCode, headers: res.headers, bytes, text: bytes.toString() };
                    try { answer.json = JSON.parse(answer.text); } catch { /* it need not be */ }
                    resolve(answer);
                });
            });
            req.end(text);
        });
    }
    /** A rule of behave.mjs, by name or by hand; `more`: {times, skip, match, do}. Which prompts: a text that stands in them. */
    async behave(rule, prompt, more = {}) {
        const order = typeof rule === 'string' ? { name: rule, ...more } : rule;
        if (prompt) order.match = { ...order.match, prompt };
        const answer = await this.ask('POST', '/_behave', order);
        if (answer.status !== 200) throw new Error(`/_behave: ${answer.json?.error ?? answer.text}`);
        return answer.json;
    }
    async clear() { return this.behave({ clear: true }); }
    async powers(powers) { return this.behave({ powers }); }
    /** The whole bill, or what of it belongs to the prompts in which this text stands. */
    async bill(prompt) {
        const bill = (await this.ask('GET', '/_bill')).json;
        if (prompt === undefined) return bill;
        const of = row => row.prompt.includes(prompt);
        const charges = bill.charges.filter(of);
        return { ...bill, charges, requests: bill.requests.filter(of), micros: charges.reduce((sum, c) => sum + c.micros, 0) };
    }
}

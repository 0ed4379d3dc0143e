// A browser for tests: Debian's chromium without a screen, driven over its DevTools protocol. Without one the tests that need it are skipped.
//
//   const browser = await Browser.open(folder);
//   const page = await browser.page({ width: 390, height: 844, dark: true });
//   await page.go(url);                            // page.requests, page.said (console, violations of a policy) fill
//   await page.value('document.title');
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import WebSocket from 'ws';
import { until } from './lib.mjs';

const program = '/usr/bin/chromium';
export const without_browser = fs.existsSync(program) ? false : 'no chromium here: scripts/deps.sh browser';

export class Browser {
    #asked = new Map();
    #pages = new Map();
    #next = 0;

    static async open(folder) {
        const browser = new Browser();
        const home = path.join(folder, 'chromium');
        // As root it runs without its sandbox; nothing but our own pages is opened.
        browser.process = spawn('setpriv', ['--pdeathsig', 'KILL', program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync', '--no-proxy-server', '--remote-debugging-port=0', `--user-data-dir=${home}`, 'about:blank'], { stdio: 'ignore', env: { ...process.env, HOME: folder } });
        const file = path.join(home, 'DevToolsActivePort');
        const lines = await until('the browser', () => fs.existsSync(file) && fs.readFileSync(file, 'utf8').split('\n').length > 1 && fs.readFileSync(file, 'utf8').split('\n'), 30000);
        browser.socket = new WebSocket(`ws://127.0.0.1:${lines[0]}${lines[1]}`, { perMessageDeflate: false });
        await new Promise((resolve, reject) => browser.socket.once('open', resolve).once('error', reject));
        browser.socket.on('message', text => browser.#hear(JSON.parse(text)));
        return browser;
    }

    #hear({ id, result, error, method, params, sessionId }) {
        if (id === undefined) return this.#pages.get(sessionId)?.hear(method, params);
        const { resolve, reject } = this.#asked.get(id);
        this.#asked.delete(id);
        return error ? reject(new Error(error.message)) : resolve(result);
    }

    ask(method, params = {}, sessionId = undefined) {
        const id = ++this.#next;
        return new Promise((resolve, reject) => {
            this.#asked.set(id, { resolve, reject });
            this.socket.send(JSON.stringify({ id, method, params, sessionId }));
        });
    }

    async page({ width = 1440, height = 900, dark = false } = {}) {
        const { targetId } = await this.ask('Target.createTarget', { url: 'about:blank' });
        const { sessionId } = await this.ask('Target.attachToTarget', { targetId, flatten: true });
        const page = new Page((method, params) => this.ask(method, params, sessionId));
        this.#pages.set(sessionId, page);
        for (const part of ['Page', 'Network', 'Runtime', 'Log', 'Audits']) await page.ask(`${part}.enable`);
        await page.ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
        await page.ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
        return page;
    }

    async close() {
        this.socket?.close();
        const ended = new Promise(resolve => { this.process.once('exit', resolve); });
        this.process.kill();
        await ended;
    }
}

class Page {
    /** URLs that it asked for; answers to them, with their headers; what it said: errors, warnings, violations of a policy. */
    requests = [];
    answers = [];
    said = [];
    constructor(ask) {
        this.ask = ask;
    }

    hear(method, params) {
        if (method === 'Page.loadEventFired') this.loaded?.();
        if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
        if (method === 'Network.responseReceived') this.answers.push({ type: params.type, ...params.response });
        if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) this.said.push(params.entry.text);
        if (method === 'Runtime.exceptionThrown') this.said.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
        if (method === 'Runtime.consoleAPICalled' && params.type === 'error') this.said.push(params.args.map(each => each.value ?? each.description).join(' '));
        if (method === 'Audits.issueAdded' && params.issue.code === 'ContentSecurityPolicyIssue') this.said.push(JSON.stringify(params.issue.details));
    }

    async go(url) {
        const loaded = new Promise(resolve => { this.loaded = resolve; });
        const { errorText } = await this.ask('Page.navigate', { url });
        if (errorText) throw new Error(`${url}: ${errorText}`);
        await loaded;
    }

    async value(expression) {
        const { result, exceptionDetails } = await this.ask('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
    }

    /** What a function gives in the page; its argument goes as JSON. */
    run(act, argument) {
        return this.value(`(${act})(${JSON.stringify(argument)})`);
    }

    until(what, expression, ms = 20000) {
        return until(what, () => this.value(expression), ms);
    }

    async picture(file) {
        const { data } = await this.ask('Page.captureScreenshot', { format: 'png' });
        fs.writeFileSync(file, Buffer.from(data, 'base64'));
    }
}

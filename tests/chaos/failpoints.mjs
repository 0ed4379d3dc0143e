// The driver's side of lib/failpoint.h: sets one order for all programs, hears who reached it, and reads how often each
// place was reached.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { root } from '../e2e/lib.mjs';
import { guest_points } from './guest.mjs';

const of_c = [...fs.readFileSync(path.join(root, 'lib/failpoints.def'), 'utf8').matchAll(/^FAILPOINT_DEF\("([^"]+)",\s*"([^"]+)",\s*"([^"]+)"\)/gm)]
    .map(([, name, program, what]) => ({ name, program, what }));
/** [{ name, program, what }]: those of the programs, in the order of their counters, then those of the guest. */
export const points = [...of_c, ...guest_points];

export class Failpoints {
    constructor(folder) {
        this.socket_path = path.join(folder, 'tell');
        this.hits_path = path.join(folder, 'hits');
        this.page_path = path.join(folder, 'page');
        fs.writeFileSync(this.page_path, Buffer.alloc(256));
        this.page = fs.openSync(this.page_path, 'r+');
        this.number = 0n;
        this.server = net.createServer(socket => this.on_tell(socket)).listen(this.socket_path);
    }
    get env() {
        return { GUEST_HITS: `${this.hits_path}-guest`, KILN_FAILPOINT_PAGE: this.page_path, KILN_FAILPOINT_SOCKET: this.socket_path, KILN_FAILPOINT_HITS: this.hits_path };
    }
    /** The text first, the number last: a program that sees the number sees the text. */
    write(text) {
        const line = Buffer.alloc(248);
        line.write(`${text}\n`);
        fs.writeSync(this.page, line, 0, 248, 8);
        const number = Buffer.alloc(8);
        number.writeBigUInt64LE(++this.number);
        fs.writeSync(this.page, number, 0, 8, 0);
    }
    /** The first program that comes to `name` for the nth time from now stands there; resolves with { name, pid, go(byte) }. */
    arm(name, nth = 1, ms = 1500) {
        return new Promise(resolve => {
            const late = setTimeout(() => this.settle(null), ms);
            this.waiting = { name, resolve: hit => { clearTimeout(late); resolve(hit); } };
            this.write(`${name}:${nth}:tell`);
        });
    }
    settle(hit) {
        const waiting = this.waiting;
        this.waiting = undefined;
        if (!waiting) return;
        this.write('');
        waiting.resolve(hit);
    }
    on_tell(socket) {
        let text = '';
        socket.on('error', () => {});
        socket.setEncoding('latin1').on('data', more => {
            text += more;
            if (!text.includes('\n')) return;
            const [name, pid] = text.trim().split(' ');
            let is_answered = false;
            const go = (byte = 'g') => { if (!is_answered) { is_answered = true; socket.end(byte); } };
            if (this.waiting?.name === name) this.settle({ name, pid: Number(pid), go });
            else go();      // the second to reach it, or too late
        });
    }
    hits() {
        const bytes = fs.existsSync(this.hits_path) ? fs.readFileSync(this.hits_path) : Buffer.alloc(0);
        const counts = Object.fromEntries(of_c.map(({ name }, index) => [name, bytes.length >= (index + 1) * 8 ? Number(bytes.readBigUInt64LE(index * 8)) : 0]));
        for (const { name } of guest_points) counts[name] = 0;
        if (fs.existsSync(`${this.hits_path}-guest`)) for (const name of fs.readFileSync(`${this.hits_path}-guest`, 'utf8').split('\n')) if (name) counts[name]++;
        return counts;
    }
    end() {
        this.settle(null);
        this.server.close();
        fs.closeSync(this.page);
    }
}

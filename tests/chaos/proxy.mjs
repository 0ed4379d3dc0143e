// A wire between two programs that can be cut, held or made deaf. Both ends may be a port or a unix socket.
//
//   open   bytes pass          hole   bytes of both directions are kept from now on, the connections stay
//   deaf   questions pass, answers do not: what was asked for happens, and nobody hears of it
//   cut()  every connection is reset; new ones are refused until open() again
import net from 'node:net';

export class Proxy {
    constructor(target) {
        this.target = target;
        this.mode = 'open';
        this.pairs = new Set();
        this.connections = 0;
        this.server = net.createServer(client => this.on_client(client));
    }
    /** A port of its own, or the unix socket `where`. */
    listen(where) {
        return new Promise((resolve, reject) => this.server.once('error', reject)
            .listen(...(where ? [where] : [0, '127.0.0.1']), () => { this.port = this.server.address().port; resolve(this); }));
    }
    on_client(client) {
        if (this.mode === 'cut') { client.destroy(); return; }
        this.connections++;
        const server = net.connect(this.target);
        const pair = { client, server };
        this.pairs.add(pair);
        const end = () => { this.pairs.delete(pair); client.destroy(); server.destroy(); };
        for (const socket of [client, server]) {
            socket.setNoDelay?.(true);
            socket.on('error', end).on('close', end);
        }
        client.on('data', bytes => { if (this.mode !== 'hole') server.write(bytes); });
        server.on('data', bytes => { if (this.mode === 'open') client.write(bytes); });
    }
    drop() {
        for (const { client, server } of this.pairs) {
            client.destroy();
            server.destroy();
        }
        this.pairs.clear();
    }
    cut() { this.mode = 'cut'; this.drop(); }
    /** What was held is lost: a connection that missed bytes must not go on. */
    open() {
        if (this.mode === 'hole' || this.mode === 'deaf') this.drop();
        this.mode = 'open';
    }
    end() { this.drop(); this.server.close(); }
}

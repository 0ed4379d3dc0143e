// SQL over connections that stay open: a psql for each question costs more than most questions.
import pg from 'pg';

/** Connections to one database, as many as are asked at once. `options` are those of pg.Client. */
export class Links {
    constructor(options) { this.options = options; this.idle = []; }

    /** The rows as `psql -At` prints them: columns by |, rows by line ends. Several statements are one transaction.
     *  The error has `state`, the SQLSTATE (08006 where the connection is at fault); after `ms` it is given up. */
    async ask(sql, ms) {
        const link = await this.take(ms);
        let late;
        try {
            const asked = link.query({ text: sql, rowMode: 'array' });
            const given_up = new Promise((_, reject) => { if (ms) late = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms); });
            const results = [await Promise.race([asked, given_up])].flat();
            this.idle.push(link);
            return results.flatMap(result => result.rows.map(row => row.map(value => value ?? '').join('|'))).join('\n').trim();
        } catch (error) {
            link.connection.stream.destroy();
            const more = ['detail', 'hint', 'where'].filter(name => error[name]).map(name => `\n${name.toUpperCase()}: ${error[name]}`).join('');
            throw Object.assign(new Error(`${error.severity ?? 'connection'}: ${error.message}${more}\n${sql}`), { state: error.severity ? error.code : '08006' });
        } finally { clearTimeout(late); }
    }
    async take(ms) {
        for (let link; (link = this.idle.pop());) if (!link.is_dead) return link;
        const link = new pg.Client({ ...this.options, connectionTimeoutMillis: ms, types: { getTypeParser: () => text => text } });
        const die = () => { link.is_dead = true; };
        link.on('error', die).on('end', die);
        await link.connect().catch(error => { throw Object.assign(new Error(`connection: ${error.message}`), { state: error.severity ? error.code : '08006' }); });
        return link;
    }
    end() { for (const link of this.idle.splice(0)) link.end().catch(() => {}); }
}

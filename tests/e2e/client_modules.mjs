// clients/ts for tests: Node and a browser take it without its types.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { root } from './lib.mjs';

const names = ['api', 'problem', 'upload', 'client'];
const without_types = name => ts.transpileModule(fs.readFileSync(path.join(root, 'clients/ts', `${name}.ts`), 'utf8'), { compilerOptions: { target: 'es2022', module: 'esnext' } }).outputText;

/** Its modules, by name, written to a folder. */
export async function client_modules(folder) {
    for (const name of names) fs.writeFileSync(path.join(folder, `${name}.mjs`), without_types(name).replace(/'\.\/(\w+)\.ts'/g, "'./$1.mjs'"));
    return Object.fromEntries(await Promise.all(names.map(async name => [name, await import(pathToFileURL(path.join(folder, `${name}.mjs`)))])));
}

/** The client as the address of one module, for a page. */
export function client_address() {
    const made = {};
    for (const name of names) made[name] = `data:text/javascript;base64,${Buffer.from(without_types(name).replace(/'\.\/(\w+)\.ts'/g, (_, other) => JSON.stringify(made[other]))).toString('base64')}`;
    return made.client;
}

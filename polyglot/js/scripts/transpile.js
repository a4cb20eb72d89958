/**
 * Makes `generated/` from the component: JavaScript and core modules by jco,
 * declarations, and the interface as data.
 *
 *     node scripts/transpile.js <tracker.wasm> [folder]
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { transpile } from '@bytecodealliance/jco';

import { readInterface } from './wit.js';

const here = dirname(fileURLToPath(import.meta.url));
const wit = join(here, '../../../wit');
const [component, generated = join(here, '../generated')] = process.argv.slice(2);
if (component === undefined) {
  console.error('usage: node scripts/transpile.js <tracker.wasm> [folder]');
  process.exit(2);
}

/** Changes to what jco makes. Each is of a text that has to be there. */
const CHANGES = [
  // Its decoder takes a byte order mark at the beginning of a text away and
  // replaces bytes that are no text. The component model wants texts as they are.
  ['new TextDecoder();', "new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });"],
  // It reads an environment variable a few dozen times a call, which is more than half of a call's time.
  ['if (!globalThis?.process?.env?.JCO_DEBUG) { return; }', 'return;'],
  // Where the engine has no such function, each call throws. V8 reads the whole file for the text of
  // that error, so that an instance took more than half a second.
  ['WebAssembly.promising(', '(WebAssembly.promising ?? ((called) => called))('],
];

function change(source) {
  return CHANGES.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`what jco makes has no longer any ${from}`);
    return changed.replaceAll(from, to);
  }, source);
}

const { files } = await transpile(readFileSync(component), { name: 'tracker', instantiation: 'async' });
rmSync(generated, { recursive: true, force: true });
for (const [name, bytes] of Object.entries(files)) {
  const path = join(generated, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, name === 'tracker.js' ? change(Buffer.from(bytes).toString()) : bytes);
}
const read = (name) => readFileSync(join(wit, name), 'utf8');
const definition = readInterface(read('tracker.wit'), read('types.wit'));
writeFileSync(join(generated, 'interface.js'), `export const definition = ${JSON.stringify(definition, null, 1)};\n`);
writeFileSync(join(generated, 'interface.d.ts'), 'export declare const definition: unknown;\n');

/**
 * Writes the sample that the page comes with: what an indexer would record of
 * this repository's own Rust sources. Files with their symbols; a memory for
 * what a module says of itself; a thread for each folder.
 *
 *     node scripts/sample.js <sample.jsonl>
 */

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { exportLines, memoryTracker } from '../../js/dist/index.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const [target] = process.argv.slice(2);
if (target === undefined) {
  console.error('usage: node scripts/sample.js <sample.jsonl>');
  process.exit(2);
}

/** Folders, and what their files are about. */
const FOLDERS = { 'guest/src': 'context:component', 'host/src': 'context:host', 'memory/src': 'context:component' };

// The same at each build: it begins on a day and goes on by a minute at each look.
let seconds = 1_764_000_000n;
const tracker = memoryTracker({ clock: () => ({ seconds: (seconds += 60n), nanoseconds: 0 }) });

const sha256 = (text) => createHash('sha256').update(text).digest();
const keyHash = (text) => sha256(text).readBigUInt64BE();

const paths = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith('.rs'))
    .map((name) => `${folder}/${name}`)
    .sort();

const KINDS = { fn: 'function', struct: 'struct', enum: 'enum', trait: 'trait', const: 'constant', static: 'constant', type: 'type', mod: 'module' };

/** Items of a file, by the beginnings of their lines. An item ends before the next one. */
function symbolsOf(path, text) {
  const found = [];
  let offset = 0;
  for (const [index, line] of text.split('\n').entries()) {
    const item = /^\s*(?:pub(?:\([a-z ]+\))? )?(?:const |unsafe |async )*(fn|struct|enum|trait|static|type|mod|const) ([A-Za-z_]\w*)/.exec(line);
    const todo = /\b(TODO|FIXME)\b/.exec(line);
    const [kind, name] = todo ? ['insight:todo', line.trim()] : item ? [KINDS[item[1]], item[2]] : [];
    if (kind !== undefined) found.push({ name, kind, line: index + 1, offset });
    offset += Buffer.byteLength(line) + 1;
  }
  return found.map(({ name, kind, line, offset }, index) => {
    const next = found[index + 1];
    return {
      name,
      kind,
      lineStart: BigInt(line),
      lineEnd: BigInt(Math.max(line, (next?.line ?? text.split('\n').length) - 1)),
      blobOffset: BigInt(offset),
      blobLength: BigInt((next?.offset ?? Buffer.byteLength(text)) - offset),
      keyHash: keyHash(`${path}:${kind}:${name}:${line}`),
    };
  });
}

/** What a module says of itself: the first paragraph of its documentation. */
function purpose(text) {
  const lines = text.split('\n').filter((line) => line.startsWith('//!')).map((line) => line.slice(4));
  const end = lines.indexOf('');
  return (end < 0 ? lines : lines.slice(0, end)).join(' ');
}

tracker.batch(() => {
  for (const [folder, context] of Object.entries(FOLDERS)) {
    const thread = tracker.createThread(`reading ${folder}`, `What is in ${folder}`, undefined, undefined);
    for (const path of paths(folder)) {
      const text = readFileSync(join(root, path), 'utf8');
      const size = BigInt(Buffer.byteLength(text));
      const contexts = [context, ...(/#\[cfg\(test\)\]/.test(text) ? ['context:tests'] : []), ...(/\bunsafe\b/.test(text) ? ['context:unsafe'] : [])];
      tracker.upsertFile(path, Number(seconds), size, sha256(text).toString('hex'), 0n, size, keyHash(path), contexts);
      const symbols = symbolsOf(path, text);
      tracker.replaceSymbols(path, symbols);
      tracker.addThreadFile(thread.id, path, 'read');
      tracker.recordThreadTool(thread.id, 'read');
      const says = purpose(text);
      if (says === '') continue;
      const keys = BigUint64Array.from(symbols.slice(0, 5), (symbol) => symbol.keyHash);
      tracker.upsertMemory(path, `reading ${folder}`, ['insight:purpose'], [context], keys, says, [folder.split('/')[0]], 0n, 0n, keyHash(`memory:${path}`), undefined, false);
    }
    tracker.addThreadQuery(thread.id, `What does each module of ${folder} do?`, undefined, undefined);
    tracker.touchThread(thread.id);
  }
  const unsafe = paths('host/src').filter((path) => /\bunsafe\b/.test(readFileSync(join(root, path), 'utf8')));
  tracker.cachePattern(keyHash('pattern:unsafe'), '\\bunsafe\\b', 'grep', unsafe, 0n, 0n);
});
writeFileSync(target, [...exportLines(tracker)].map((line) => `${line}\n`).join(''));
console.log(`${target}: ${tracker.fileCount()} files, ${tracker.symbolCount()} symbols, ${tracker.memoryCount()} memories`);

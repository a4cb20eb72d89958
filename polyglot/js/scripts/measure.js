/**
 * What a call costs, over both engines: the lower quartile of short slices, of
 * which most are not interrupted by what else the machine does. One engine
 * after the other, so that the garbage of one is not collected in another's time.
 *
 *     node --expose-gc scripts/measure.js
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { memoryTracker, openTracker } from '../dist/index.js';

const FILES = 10_000;
const SLICES = 200;

const dir = mkdtempSync(join(tmpdir(), 'tracker-measure-'));
const engines = {
  memory: () => memoryTracker(),
  lmdb: () => openTracker(join(dir, 'a'), { durability: 'no-sync' }),
  'lmdb, synced': () => openTracker(join(dir, 'b')),
};

const path = (index) => `/home/dev/project/src/module${index % 100}/file${index}.rs`;
const upsert = (tracker, index, size) =>
  tracker.upsertFile(path(index), 1.7e9, size, 'a'.repeat(64), 0n, size, BigInt(index), ['context:cli']);

const symbols = (index) =>
  Array.from({ length: 10 }, (_, line) => ({
    name: `symbol${(index * 7 + line) % 5000}`,
    kind: 'function',
    lineStart: BigInt(line * 10),
    lineEnd: BigInt(line * 10 + 9),
    blobOffset: 0n,
    blobLength: 10n,
    keyHash: BigInt(index * 100 + line),
  }));

let next = 0;
const some = () => (next = (next * 7919 + 13) % FILES);
/** Works: how many calls a slice, what each does, and how many records a call has. */
const works = {
  'get-file': [50, (tracker) => tracker.getFile(path(some())), 1],
  'get-files, 100 a call, a record': [2, (tracker) => tracker.getFiles(Array.from({ length: 100 }, () => path(some()))), 100],
  'get-symbols, ten': [20, (tracker) => tracker.getSymbols(path(some() % 1000)), 1],
  'file-count': [50, (tracker) => tracker.fileCount(), 1],
  'list-files, 1000 a page, a record': [1, (tracker) => tracker.listFiles(undefined, 1000), 1000],
  'get-recent-files(10)': [20, (tracker) => tracker.getRecentFiles(10), 1],
  'upsert-file': [10, (tracker) => upsert(tracker, some(), BigInt(some())), 1],
  'upsert-file in a batch of 50': [50, (tracker) => upsert(tracker, some(), BigInt(some())), 1, 'batch'],
};

const quartile = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 2];

function measure(tracker) {
  tracker.batch(() => {
    for (let index = 0; index < FILES; index++) {
      upsert(tracker, index, 100n);
      if (index < 1000) tracker.replaceSymbols(path(index), symbols(index));
    }
  });
  globalThis.gc?.();
  return Object.values(works).map(([calls, work, records, batch]) => {
    const run = () => {
      for (let call = 0; call < calls; call++) work(tracker);
    };
    const times = Array.from({ length: SLICES }, () => {
      const begun = performance.now();
      if (batch) tracker.batch(run);
      else run();
      return ((performance.now() - begun) * 1000) / calls / records;
    });
    return quartile(times);
  });
}

const columns = Object.values(engines).map((open) => {
  const tracker = open();
  try {
    return measure(tracker);
  } finally {
    tracker.close();
  }
});
rmSync(dir, { recursive: true });
const print = (cells) => console.log(`| ${cells.join(' | ')} |`);
print(['µs', ...Object.keys(engines)]);
print(['---', ...columns.map(() => '---')]);
Object.keys(works).forEach((name, index) => print([name, ...columns.map((column) => column[index].toFixed(1))]));

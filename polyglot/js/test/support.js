/** What the tests share. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { LmdbEngine, MemoryEngine, Tracker, modules } from '../dist/index.js';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The native runner. `test.sh` builds it and says where it is. */
export const host = process.env.TRACKER_HOST ?? join(repository, 'target/debug/host');

if (!existsSync(host)) throw new Error(`there is no ${host}: run polyglot/js/test.sh, or set TRACKER_HOST`);

/** True in the long run, see `tests/long.sh`. */
export const long = process.env.TRACKER_LONG !== undefined;

/** A directory that is removed at the end of the test. */
export function temporary(t) {
  const dir = mkdtempSync(join(tmpdir(), 'tracker-js-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** The engines: their names, and how to make one. A path makes it one of LMDB. */
export const engines = [
  ['memory', () => new MemoryEngine()],
  ['lmdb', (t, options = { durability: 'no-sync' }) => LmdbEngine.open(join(temporary(t), 'store'), options)],
];

/** A test for each engine. */
export function overEngines(test, name, run) {
  for (const [engine, make] of engines) {
    test(`${name} (${engine})`, (t) =>
      run((options = {}) => {
        const tracker = new Tracker(modules(), make(t), options);
        t.after(() => tracker.close());
        return tracker;
      }, t));
  }
}

/** A clock that is a second further each time it is asked. */
export function ticking(start = 1_700_000_000n) {
  let seconds = start;
  return () => ({ seconds: seconds++, nanoseconds: 0 });
}

/** Runs `host` and returns what it prints. */
export function runHost(...given) {
  return execFileSync(host, given, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 256 << 20 });
}

/** A number for `tests/README.md`. */
export function figure(what, number) {
  process.stderr.write(`FIGURE ${what}: ${number}\n`);
}

/** Random numbers that are the same in each run: xorshift. */
export function random(seed) {
  let state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + 1n);
  return (below) => {
    state ^= BigInt.asUintN(64, state << 13n);
    state ^= state >> 7n;
    state ^= BigInt.asUintN(64, state << 17n);
    return Number(state % BigInt(below));
  };
}

export const bytes = (text) => new TextEncoder().encode(text);

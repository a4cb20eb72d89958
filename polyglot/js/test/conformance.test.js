/** The recorded calls, over both engines: see tests/conformance/README.md. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { LmdbEngine, Tracker, functions, modules } from '../dist/index.js';
import { START, replay } from './replay.js';
import { figure, overEngines, repository, runHost, temporary, ticking } from './support.js';

overEngines(test, 'every recorded call is answered as the Rust host answers it', (open) => {
  const tracker = open({ clock: ticking(START) });
  figure('recorded calls replayed', replay((name, given) => tracker.call(name, given)));
});

test('the store that the recorded calls leave is the one that the native host reads', (t) => {
  const store = join(temporary(t), 'store');
  const tracker = new Tracker(modules(), LmdbEngine.open(store, { durability: 'no-sync' }), { clock: ticking(START) });
  replay((name, given) => tracker.call(name, given));
  tracker.close();
  assert.equal(JSON.parse(runHost('verify', store, '--json')).errors, 0);
});

test('every function is among the recorded calls', () => {
  const text = readFileSync(join(repository, 'tests/conformance/calls.jsonl'), 'utf8');
  const called = new Set(text.trimEnd().split('\n').map((line) => JSON.parse(line).call));
  assert.deepEqual(functions.map(({ name }) => name).filter((name) => !called.has(name)), []);
});

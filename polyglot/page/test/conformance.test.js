/** The recorded calls through the page's own component, which has a store in memory. */

import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

import { START, replay } from '../../js/test/replay.js';
import { ticking } from '../../js/test/support.js';
import { instantiate } from '../build/component/tracker.js';

const built = new URL('../build/component/', import.meta.url);

test('the component of the page answers every recorded call as the Rust host does', () => {
  const names = readdirSync(built).filter((name) => name.endsWith('.wasm'));
  const modules = new Map(names.map((name) => [name, new WebAssembly.Module(readFileSync(new URL(name, built)))]));
  const imports = { 'wasi:clocks/wall-clock': { now: ticking(START) } };
  const start = (core, given) => new WebAssembly.Instance(core, given);
  const { tracker } = instantiate((name) => modules.get(name), imports, start);
  replay((name, given) => tracker[name](...given));
});

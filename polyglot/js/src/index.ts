/** The tracker for Node.js. */

import { readdirSync, readFileSync } from 'node:fs';

import type { Modules } from './component.js';
import { LmdbEngine, type LmdbOptions } from './store/lmdb.js';
import { MemoryEngine } from './store/memory.js';
import { Tracker, type TrackerOptions } from './tracker.js';

export * from './core.js';
export { type Durability, LmdbEngine, type LmdbOptions, OpenError } from './store/lmdb.js';

let compiled: Modules | undefined;

/** The component's core modules, compiled once. */
export function modules(): Modules {
  if (compiled === undefined) {
    const generated = new URL('../generated/', import.meta.url);
    const names = readdirSync(generated).filter((name) => name.endsWith('.wasm'));
    compiled = new Map(names.map((name) => [name, new WebAssembly.Module(readFileSync(new URL(name, generated)))]));
  }
  return compiled;
}

/**
 * Opens a store, creating it if it is missing. Other processes may have it open
 * too; in this process, open it in one thread.
 *
 * ```js
 * const tracker = openTracker('store');
 * tracker.setMetadata('schema', '3');
 * for (const file of tracker.iterFilesByContext('context:cli')) console.log(file.path);
 * tracker.close();
 * ```
 */
export function openTracker(path: string, options: LmdbOptions & TrackerOptions = {}): Tracker {
  return new Tracker(modules(), LmdbEngine.open(path, options), options);
}

/** A tracker on a store in memory. */
export function memoryTracker(options: TrackerOptions = {}): Tracker {
  return new Tracker(modules(), new MemoryEngine(), options);
}

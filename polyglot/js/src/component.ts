/** Instances of the component. */

import { type Root, instantiate } from '../generated/tracker.js';
import type { StoreImports } from './store/adapter.js';

/** The core modules that the component consists of, by the names of their files in `generated/`. */
export type Modules = ReadonlyMap<string, WebAssembly.Module>;

/** The time since 1970, as the component is told. */
export type Clock = () => { readonly seconds: bigint; readonly nanoseconds: number };

/** The system's clock. */
export const systemClock: Clock = () => {
  const milliseconds = performance.timeOrigin + performance.now();
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds: BigInt(seconds), nanoseconds: Math.floor((milliseconds - seconds * 1000) * 1e6) };
};

/** What the component exports: the functions of `wit/tracker.wit`, named in camelCase. */
export type TrackerInterface = Root['tracker'];

/** A new instance, with a memory of its own. */
export function newInstance(modules: Modules, store: StoreImports, now: Clock): TrackerInterface {
  const module = (name: string): WebAssembly.Module => {
    const found = modules.get(name);
    if (found === undefined) throw new Error(`the component has no module ${name}; run \`npm run transpile\` again`);
    return found;
  };
  // The generated code looks imports up without their version.
  const imports = { 'galaxybrain:tracker/store': store, 'wasi:clocks/wall-clock': { now } };
  const start = (core: WebAssembly.Module, given: WebAssembly.Imports): WebAssembly.Instance =>
    new WebAssembly.Instance(core, given);
  return instantiate(module, imports as unknown as Parameters<typeof instantiate>[1], start).tracker;
}

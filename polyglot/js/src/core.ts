/** What does not need Node.js: the tracker on any engine, the engine in memory, JSON. */

export { type Clock, type Modules, type TrackerInterface, systemClock } from './component.js';
export { BatchAborted, type ErrorCase, TrackerError, Trapped } from './errors.js';
export * from './interface.js';
export { type Json, JsonError, fromValue, parseJson, stringifyJson, toValue } from './json.js';
export { ImportError, type ImportTarget, type Progress, exportLines, importLines, readRow, rowKinds, writeRow } from './jsonl.js';
export { StoreContext } from './store/adapter.js';
export * from './store/engine.js';
export { DEFAULT_LIMITS, type Limits } from './store/limits.js';
export { MemoryEngine, compareBytes } from './store/memory.js';
export { type Iterators, Tracker, type TrackerOptions } from './tracker.js';
export type * from '../generated/interfaces/galaxybrain-tracker-types.js';

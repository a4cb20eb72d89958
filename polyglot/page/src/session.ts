/** The component in the page: calls, and what each took. */

import {
  type Clock,
  type FunctionDefinition,
  type Json,
  type Modules,
  type Row,
  TrackerError,
  type TrackerInterface,
  Trapped,
  type WitType,
  fromValue,
  functions,
  stringifyJson,
  systemClock,
} from '../../js/dist/core.js';
import { instantiate } from '../build/component/tracker.js';

/** A call that was made. */
export interface Made {
  /** As one would write it. */
  readonly text: string;
  readonly milliseconds: number;
  /** Why it failed, if it did. */
  readonly failure?: string;
}

/** The functions, by their names in JavaScript. */
export const byName: ReadonlyMap<string, FunctionDefinition> = new Map(functions.map((known) => [known.camelName, known]));

/** Items that a list is shown with; of a longer one their number is. */
const SHOWN_ITEMS = 5;

function brief(type: WitType, value: unknown): string {
  if (typeof type === 'object' && 'list' in type && type.list !== 'u8') {
    const { length } = value as ArrayLike<unknown>;
    if (length > SHOWN_ITEMS) return `[${length} items]`;
  }
  const text = stringifyJson(fromValue(type, value) as Json);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** A call as text, with JSON for values. */
export function written({ name, params }: FunctionDefinition, given: readonly unknown[]): string {
  return `${name}(${params.map(({ type }, index) => brief(type, given[index])).join(', ')})`;
}

/** The component with an empty store of its own, in memory. */
export class Session {
  readonly #calls: TrackerInterface;
  readonly #made: (made: Made) => void;
  #trapped: Trapped | undefined;
  #inBatch = false;

  /** `made` is told of each call. */
  constructor(modules: Modules, made: (made: Made) => void, now: Clock = systemClock) {
    const module = (name: string): WebAssembly.Module => {
      const found = modules.get(name);
      if (found === undefined) throw new Error(`the page has no module ${name}`);
      return found;
    };
    const imports = { 'wasi:clocks/wall-clock': { now } };
    const start = (core: WebAssembly.Module, given: WebAssembly.Imports): WebAssembly.Instance =>
      new WebAssembly.Instance(core, given);
    const root = instantiate(module, imports as unknown as Parameters<typeof instantiate>[1], start);
    this.#calls = root.tracker as unknown as TrackerInterface;
    this.#made = made;
  }

  /** True between `beginBatch` and its end, for {@link importLines}. */
  get inBatch(): boolean {
    return this.#inBatch;
  }

  /** Calls a function. Throws what a call answers in place of a value, or that the component has failed. */
  call<K extends keyof TrackerInterface & string>(
    name: K,
    ...given: Parameters<TrackerInterface[K]>
  ): ReturnType<TrackerInterface[K]> {
    return this.calls(name, given, 1).answer as ReturnType<TrackerInterface[K]>;
  }

  /** A number for the navigation, without a line in the list of calls; none if the component has failed. */
  quietly(name: 'fileCount' | 'symbolCount' | 'memoryCount' | 'threadCount', ...given: readonly boolean[]): bigint | undefined {
    if (this.#trapped !== undefined) return undefined;
    try {
      return (this.#calls[name] as (...given: readonly boolean[]) => bigint)(...given);
    } catch (thrown) {
      if (TrackerError.of(thrown) === undefined) this.#trap(thrown);
      return undefined;
    }
  }

  /** Calls a function a number of times. */
  calls(name: string, given: readonly unknown[], times: number): { answer: unknown; milliseconds: number } {
    const definition = byName.get(name);
    if (definition === undefined) throw new TypeError(`there is no function ${name}`);
    const called = this.#calls[name as keyof TrackerInterface] as (...given: never[]) => unknown;
    const text = written(definition, given) + (times > 1 ? ` × ${times}` : '');
    const begun = performance.now();
    try {
      if (this.#trapped !== undefined) throw this.#trapped;
      let answer: unknown;
      for (let time = 0; time < times; time++) answer = called(...(given as never[]));
      const milliseconds = performance.now() - begun;
      this.#made({ text, milliseconds });
      return { answer, milliseconds };
    } catch (thrown) {
      const milliseconds = performance.now() - begun;
      const error = TrackerError.of(thrown) ?? this.#trap(thrown);
      this.#made({ text, milliseconds, failure: error.message });
      throw error;
    }
  }

  /** The component may be half way in a call: it is not called again. */
  #trap(thrown: unknown): Trapped {
    this.#trapped ??= thrown instanceof Trapped ? thrown : new Trapped(thrown as Error);
    return this.#trapped;
  }

  importRows(rows: Row[]): void {
    this.call('importRows', rows);
  }

  beginBatch(): void {
    this.call('beginBatch');
    this.#inBatch = true;
  }

  abortBatch(): void {
    this.#inBatch = false;
    this.call('abortBatch');
  }
}

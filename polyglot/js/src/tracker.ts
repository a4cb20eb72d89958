/** Trackers: sessions with the component on a store. */

import { type Check, checkOf } from './check.js';
import { type Clock, type Modules, type TrackerInterface, newInstance, systemClock } from './component.js';
import { BatchAborted, Trapped, TrackerError } from './errors.js';
import { camel, functions } from './interface.js';
import { StoreContext } from './store/adapter.js';
import type { Engine } from './store/engine.js';
import { DEFAULT_LIMITS, type Limits } from './store/limits.js';

/** How a session runs. */
export interface TrackerOptions {
  /** What the component may use of the store. */
  readonly limits?: Partial<Limits>;
  /** The time that the component is told. Default the system's. */
  readonly clock?: Clock;
}

type Call = (...given: never[]) => unknown;

/** The functions that return pages, and their items. */
type Paged = {
  [K in keyof TrackerInterface]: TrackerInterface[K] extends (...given: never[]) => { items: (infer T)[]; next?: unknown }
    ? T
    : never;
};

type Initial<A extends readonly unknown[]> = A extends readonly [...infer Rest, infer _After, infer _Limit] ? Rest : never;

type IteratorName<K extends string> = K extends `list${infer Name}` | `export${infer Name}` ? `iter${Name}` : never;

/** For each `listX` an `iterX` with the same arguments before the cursor, and `iterRows` for `exportRows`. */
export type Iterators = {
  [K in keyof TrackerInterface & string as [Paged[K]] extends [never] ? never : IteratorName<K>]: (
    ...given: [...Initial<Parameters<TrackerInterface[K]>>, pageSize?: number]
  ) => Generator<Paged[K], void, undefined>;
};

type BatchState = 'none' | 'open' | 'aborted';

/** An instance and what it runs in. */
interface Session {
  readonly calls: TrackerInterface;
  readonly store: StoreContext;
  /** Set by the first call that succeeds: before it the component may have opened its tables and failed after that. */
  ready: boolean;
}

/** The checks of the arguments of each function. */
const signatures: ReadonlyMap<string, readonly (readonly [string, Check])[]> = new Map(
  functions.map(({ camelName, params }) => [camelName, params.map(({ name, type }) => [camel(name), checkOf(type)])]),
);

/** How often a call is run again when other writers were faster. */
const RETRIES = 16;
/** Records a page of an iterator. */
const PAGE_SIZE = 1000;

/**
 * A session with the tracker component on a store.
 *
 * It has the methods of `wit/tracker.wit` in camelCase; integers of 64 bits are
 * BigInts, an option that is none is undefined. They are synchronous, as LMDB
 * is: a write waits for the writer of another process. A call that fails throws
 * a {@link TrackerError} and has no effect. A call that traps throws
 * {@link Trapped} and ends the instance: its transactions are aborted, and the
 * next call gets a new one.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export interface Tracker extends TrackerInterface, Iterators, Disposable {}

export class Tracker {
  readonly #modules: Modules;
  readonly #engine: Engine;
  readonly #limits: Limits;
  readonly #clock: Clock;
  #session: Session | undefined;
  #batch: BatchState = 'none';
  #closed = false;

  /** A session on an engine, which it closes when it is closed. */
  constructor(modules: Modules, engine: Engine, options: TrackerOptions = {}) {
    this.#modules = modules;
    this.#engine = engine;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#clock = options.clock ?? systemClock;
  }

  /** True between `beginBatch` and its end. */
  get inBatch(): boolean {
    return this.#batch !== 'none';
  }

  /**
   * Runs many calls in one write transaction, which is committed when `run`
   * returns and aborted when it throws. Inside another batch it is a part of
   * that one. If `run` returns a promise the batch lasts until it is settled,
   * and everything that is called on this tracker meanwhile is in it.
   */
  batch<T>(run: (tracker: this) => T): T {
    if (this.inBatch) return run(this);
    this.beginBatch();
    let result: T;
    try {
      result = run(this);
    } catch (error) {
      this.#abandon();
      throw error;
    }
    if (!(result instanceof Promise)) {
      this.endBatch();
      return result;
    }
    const ended = result.then(
      (value: unknown) => {
        this.endBatch();
        return value;
      },
      (error: unknown) => {
        this.#abandon();
        throw error;
      },
    );
    return ended as T;
  }

  /** Aborts the batch because of an error, which is told and not that of the aborting. */
  #abandon(): void {
    try {
      this.abortBatch();
    } catch {
      // The transaction is gone all the same.
    }
  }

  beginBatch(): void {
    const before = this.#batch;
    if (before === 'none') this.#batch = 'open';
    try {
      this.#call('beginBatch', []);
    } catch (error) {
      if (before === 'none') this.#batch = 'none';
      throw error;
    }
  }

  endBatch(): void {
    if (this.#batch === 'aborted') {
      this.#batch = 'none';
      throw new BatchAborted();
    }
    try {
      this.#call('endBatch', []);
    } finally {
      this.#batch = 'none';
    }
  }

  abortBatch(): void {
    const before = this.#batch;
    this.#batch = 'none';
    if (before !== 'aborted') this.#call('abortBatch', []);
  }

  /** Calls a function by its name, in camelCase. */
  call(name: string, given: readonly unknown[]): unknown {
    switch (name) {
      case 'beginBatch':
        return this.beginBatch();
      case 'endBatch':
        return this.endBatch();
      case 'abortBatch':
        return this.abortBatch();
      default:
        return this.#call(name as keyof TrackerInterface, given);
    }
  }

  /** Ends the session; a batch is aborted. Does nothing the second time. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#drop();
    this.#engine.close();
  }

  [Symbol.dispose ?? Symbol.for('Symbol.dispose')](): void {
    this.close();
  }

  #start(): Session {
    if (this.#closed) throw new TypeError('the tracker was closed');
    if (this.#session === undefined) {
      const store = new StoreContext(this.#engine, this.#limits);
      this.#session = { calls: newInstance(this.#modules, store.imports, this.#clock), store, ready: false };
    }
    return this.#session;
  }

  /** Drops the instance, and with it its transactions. */
  #drop(): void {
    this.#session?.store.abortAll();
    this.#session = undefined;
    if (this.#batch === 'open') this.#batch = 'aborted';
  }

  #call(name: keyof TrackerInterface, given: readonly unknown[]): unknown {
    if (this.#batch === 'aborted') throw new BatchAborted();
    const signature = signatures.get(name);
    if (signature === undefined) throw new TypeError(`there is no function ${name}`);
    for (const [index, [at, check]] of signature.entries()) check(given[index], at);
    for (let attempt = 1; ; attempt++) {
      const session = this.#start();
      try {
        const answer = (session.calls[name] as Call)(...(given as never[]));
        session.ready = true;
        this.#endStrays();
        return answer;
      } catch (thrown) {
        const error = TrackerError.of(thrown);
        if (error === undefined) {
          // Whatever it was, the instance may be half way in a call.
          this.#drop();
          throw thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError ? new Trapped(thrown) : thrown;
        }
        if (this.#batch === 'open' && session.store.transactions.size === 0) this.#batch = 'aborted';
        this.#endStrays();
        if (!error.isConflict || this.#batch !== 'none' || attempt > RETRIES) throw error;
      }
    }
  }

  /** Outside a batch no transaction outlives a call; an instance whose first call failed may be half open. */
  #endStrays(): void {
    const session = this.#session;
    if (session === undefined) return;
    if (!session.ready || (this.#batch === 'none' && session.store.transactions.size > 0)) this.#drop();
  }

  static {
    const define = (name: string, value: unknown): void => {
      if (!(name in this.prototype)) {
        Object.defineProperty(this.prototype, name, { value, writable: true, configurable: true });
      }
    };
    for (const { camelName, params } of functions) {
      const name = camelName as keyof TrackerInterface;
      define(name, function (this: Tracker, ...given: unknown[]): unknown {
        return this.#call(name, given);
      });
      if (params.at(-2)?.name !== 'after') continue;
      define(camelName.replace(/^(list|export)/, 'iter'), function (this: Tracker, ...given: unknown[]): Generator<unknown> {
        return this.#pages(name, given, params.length - 2);
      });
    }
  }

  /** Every page is a snapshot of its own; a record that is there throughout comes exactly once. */
  *#pages(name: keyof TrackerInterface, given: readonly unknown[], before: number): Generator<unknown, void, undefined> {
    const first = Array.from({ length: before }, (_, index) => given[index]);
    const size = (given[before] as number | undefined) ?? PAGE_SIZE;
    let after: unknown;
    do {
      const page = this.#call(name, [...first, after, Math.max(1, size)]) as { items: unknown[]; next?: unknown };
      yield* page.items;
      after = page.next;
    } while (after !== undefined);
  }
}

/**
 * The store interface over an engine: transactions as resources, packed
 * buffers, limits, errors and traps as `wit/store.wit` has them.
 */

import type * as wit from '../../generated/interfaces/galaxybrain-tracker-store.js';
import { type Engine, type EngineTransaction, type Handle, type Op, StoreError } from './engine.js';
import type { Limits } from './limits.js';
import { Malformed, Packer, keys as packedKeys, ops as packedOps } from './packed.js';

/** What a component imports as `store`. */
export type StoreImports = typeof wit;

/** Not an Error: a miss is common, and a stack trace is dear. */
const NOT_FOUND: { readonly payload: wit.Error } = { payload: { tag: 'not-found' } };

/** The symbol by which the generated code finds what to call when the component drops a handle. */
const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('dispose');

/** What only a broken component can do ends its instance. */
function trap(reason: string): never {
  throw new WebAssembly.RuntimeError(reason);
}

function parse<T>(read: (packed: Uint8Array) => T, packed: Uint8Array): T {
  try {
    return read(packed);
  } catch (error) {
    if (error instanceof Malformed) trap(error.message);
    throw error;
  }
}

const clamp = (asked: number, limit: number): number => Math.max(1, Math.min(asked, limit));

/** The store of one instance of the component. */
export class StoreContext {
  /** What the instance imports. */
  readonly imports: StoreImports;
  /** The instance's transactions. */
  readonly transactions = new Set<Transaction>();
  /** Where answers are packed; the generated code copies them at once. */
  readonly output = new Packer();
  #handles: (Handle | undefined)[] | undefined;

  constructor(
    readonly engine: Engine,
    readonly limits: Limits,
  ) {
    const context = this;
    // A class for each context, since `begin` is static.
    class ContextTransaction extends Transaction {
      static begin(access: wit.Access): Transaction {
        return context.#begin(access, ContextTransaction);
      }
      static commit(transaction: Transaction): void {
        transaction.commit();
      }
    }
    this.imports = {
      open: (names: string[]) => this.#openTables(names),
      get: (table: number, key: Uint8Array) => this.#getNewest(table, key),
      // The generated declaration says that only `begin` constructs one.
      Transaction: ContextTransaction as unknown as StoreImports['Transaction'],
    };
  }

  /** Aborts the instance's transactions. */
  abortAll(): void {
    for (const transaction of this.transactions) transaction[DISPOSE]();
  }

  /** An engine's table; undefined if it is missing in a read-only store. */
  handle(table: number): Handle | undefined {
    const handles = this.#handles;
    if (handles === undefined || table >= handles.length) trap(`table ${table} was not opened`);
    return handles[table];
  }

  #openTables(names: string[]): void {
    if (this.#handles !== undefined) trap('open was called twice');
    if (names.length === 0 || names.length > this.limits.tables) {
      trap(`${names.length} tables were asked for; the limit is ${this.limits.tables}`);
    }
    this.#handles = this.engine.openTables(names);
  }

  #begin(access: wit.Access, type: typeof Transaction): Transaction {
    const limit = this.limits.transactions;
    if (this.transactions.size >= limit) {
      throw new StoreError({ tag: 'too-many-transactions', val: limit }, `the limit is ${limit} transactions`);
    }
    const writable = access === 'write';
    const inner = writable ? this.engine.beginWrite() : this.engine.beginRead();
    const transaction = new type(this, inner, writable);
    this.transactions.add(transaction);
    return transaction;
  }

  #getNewest(table: number, key: Uint8Array): Uint8Array {
    const handle = this.handle(table);
    if (handle === undefined) throw NOT_FOUND;
    const value = this.engine.get(handle, key);
    if (value === undefined) throw NOT_FOUND;
    return value;
  }

  /** Checks all operations before any is applied, and names the engine's tables in them. */
  check(ops: readonly Op[]): Op[] {
    const { maxKeySize } = this.engine;
    const { valueSize } = this.limits;
    const handles = ops.map((op) => this.handle(op.table));
    for (const op of ops) {
      if (op.kind === 'clear') continue;
      if (op.key.length === 0 || op.key.length > maxKeySize) {
        const message = `a key has ${op.key.length} bytes; the store takes 1 to ${maxKeySize}`;
        throw new StoreError({ tag: 'key-size', val: maxKeySize }, message);
      }
      if (op.kind === 'put' && op.value.length > valueSize) {
        const message = `a value has ${op.value.length} bytes; the limit is ${valueSize}`;
        throw new StoreError({ tag: 'value-too-large', val: BigInt(valueSize) }, message);
      }
    }
    return ops.map((op, index) => {
      const table = handles[index];
      if (table === undefined) throw new StoreError({ tag: 'read-only' }, 'the store is open for reading only');
      return { ...op, table };
    });
  }
}

/** An open transaction of an instance: the resource that the component holds. */
class Transaction {
  readonly #context: StoreContext;
  readonly #inner: EngineTransaction;
  readonly #writable: boolean;
  #over = false;
  /** Bytes of operations written. */
  #written = 0;

  constructor(context: StoreContext, inner: EngineTransaction, writable: boolean) {
    this.#context = context;
    this.#inner = inner;
    this.#writable = writable;
  }

  #usable(): EngineTransaction {
    if (this.#over) throw StoreError.closed('the transaction was ended by an error');
    return this.#inner;
  }

  get(table: number, key: Uint8Array): Uint8Array {
    const handle = this.#context.handle(table);
    if (handle === undefined) throw NOT_FOUND;
    const value = this.#usable().get(handle, key);
    if (value === undefined) throw NOT_FOUND;
    return value;
  }

  getMany(table: number, packed: Uint8Array): Uint8Array {
    const { limits, output } = this.#context;
    const handle = this.#context.handle(table);
    const inner = this.#usable();
    const keys = parse(packedKeys, packed);
    output.clear();
    for (const key of keys) {
      output.value(handle === undefined ? undefined : inner.get(handle, key));
      if (output.length >= limits.scanBytes) break;
    }
    return output.packed();
  }

  scan(
    table: number,
    start: Uint8Array,
    end: Uint8Array,
    direction: wit.Direction,
    maxEntries: number,
    maxBytes: number,
  ): wit.Page {
    const { limits, output } = this.#context;
    const handle = this.#context.handle(table);
    const inner = this.#usable();
    const mostEntries = clamp(maxEntries, limits.scanEntries);
    const mostBytes = clamp(maxBytes, limits.scanBytes);
    output.clear();
    let entries = 0;
    let done = true;
    if (handle !== undefined) {
      inner.scan(handle, { start, end, descending: direction === 'descending' }, (key, value) => {
        if (entries === mostEntries || (entries > 0 && output.length + key.length + value.length > mostBytes)) {
          done = false;
          return false;
        }
        entries += 1;
        output.entry(key, value);
        return true;
      });
    }
    return { entries: output.packed(), done };
  }

  count(table: number): bigint {
    const handle = this.#context.handle(table);
    return handle === undefined ? 0n : BigInt(this.#usable().count(handle));
  }

  write(packed: Uint8Array): void {
    if (!this.#writable) trap('a read transaction was written to');
    const inner = this.#usable();
    const ops = this.#context.check(parse(packedOps, packed));
    const limit = this.#context.limits.transactionBytes;
    this.#written += packed.length;
    try {
      if (this.#written > limit) {
        throw StoreError.other(`the transaction writes more than ${limit} bytes; write less at a time`);
      }
      inner.write(ops);
    } catch (error) {
      this.#over = true;
      throw error;
    }
  }

  commit(): void {
    this.#context.transactions.delete(this);
    if (this.#over) {
      this.#inner.abort();
      throw StoreError.closed('the transaction was ended by an error');
    }
    this.#over = true;
    this.#inner.commit();
  }

  /** The component has dropped the handle. */
  [DISPOSE](): void {
    this.#context.transactions.delete(this);
    this.#over = true;
    this.#inner.abort();
  }
}

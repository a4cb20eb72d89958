/**
 * What stands behind the store interface: an ordered, transactional key-value
 * engine. Transactions as handles, limits and errors are above it, in
 * `adapter.ts`; it mirrors `host/src/store/engine.rs`.
 */

import type { Error as StoreErrorCase } from '../../generated/interfaces/galaxybrain-tracker-store.js';

export type { StoreErrorCase };

/** What an engine answers instead. The payload is what the component is told. */
export class StoreError extends Error {
  override readonly name = 'StoreError';

  constructor(
    readonly payload: StoreErrorCase,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Something to tell that no other case fits. */
  static other(message: string, cause?: unknown): StoreError {
    const text = cause instanceof Error ? `${message}: ${cause.message}` : message;
    return new StoreError({ tag: 'other', val: text }, text, { cause });
  }

  /** The transaction is over. */
  static closed(message: string): StoreError {
    return new StoreError({ tag: 'closed' }, message);
  }
}

/** A table of an engine. */
export type Handle = number;

/** Keys from `start` to before `end`; empty means unbounded. */
export interface Range {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  /** From the greatest key down. */
  readonly descending: boolean;
}

/** Takes the entries of a scan; false ends it. The bytes may be the engine's own: copy what is kept. */
export type Visitor = (key: Uint8Array, value: Uint8Array) => boolean;

/** A write. */
export type Op =
  | { readonly kind: 'put'; readonly table: Handle; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly table: Handle; readonly key: Uint8Array }
  | { readonly kind: 'clear'; readonly table: Handle };

/** An engine. */
export interface Engine {
  /** The longest key it takes, in bytes. */
  readonly maxKeySize: number;
  /**
   * Opens tables, creating missing ones in one write transaction; takes no
   * write lock where none is missing. A missing table of a read-only engine is
   * undefined. The first name is the owner's: see `store.open`.
   */
  openTables(names: readonly string[]): (Handle | undefined)[];
  /** Begins a read transaction on a snapshot. */
  beginRead(): EngineTransaction;
  /** The value of a key in the newest snapshot. */
  get(table: Handle, key: Uint8Array): Uint8Array | undefined;
  /** Begins a write transaction, waiting for that of another process. */
  beginWrite(): EngineTransaction;
  /** Lets the store go. Its transactions are over. */
  close(): void;
}

/** A transaction of an engine. */
export interface EngineTransaction {
  /** The value of a key. */
  get(table: Handle, key: Uint8Array): Uint8Array | undefined;
  /** Visits entries in order until the visitor returns false. */
  scan(table: Handle, range: Range, visit: Visitor): void;
  /** The number of entries. */
  count(table: Handle): number;
  /** Applies writes in order. After an error the transaction is over. */
  write(ops: readonly Op[]): void;
  /** Commits and ends the transaction, whether that succeeds or not. */
  commit(): void;
  /** Ends the transaction. Does nothing if it is over. */
  abort(): void;
}

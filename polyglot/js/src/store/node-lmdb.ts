/** The parts of node-lmdb that are used; its own declarations cannot be imported. */

import { createRequire } from 'node:module';

export interface Env {
  open(options: EnvOptions): void;
  openDbi(options: DbiOptions): Dbi;
  beginTxn(options?: { readOnly: boolean }): Txn;
  info(): { mapSize: number; lastPageNumber: number; lastTxnId: number };
  stat(): { pageSize: number };
  /** Fails while a transaction of this process is open; 0 adopts the size that the file has. */
  resize(size: number): void;
  close(): void;
}

export interface EnvOptions {
  path: string;
  mapSize: number;
  maxDbs: number;
  maxReaders: number;
  readOnly: boolean;
  noMetaSync: boolean;
  noSync: boolean;
}

export interface DbiOptions {
  name: string | null;
  create: boolean;
  keyIsBuffer: true;
  txn: Txn;
}

export interface Dbi {
  stat(txn: Txn): { entryCount: number };
  drop(options: { txn: Txn; justFreePages: true }): void;
}

/** A transaction. A key or value that is returned is a copy. */
export interface Txn {
  getBinary(dbi: Dbi, key: Uint8Array): Buffer | null;
  putBinary(dbi: Dbi, key: Uint8Array, value: Uint8Array): void;
  del(dbi: Dbi, key: Uint8Array): void;
  commit(): void;
  abort(): void;
  /** Lets the snapshot of a read transaction go, and keeps its place among the readers. */
  reset(): void;
  /** Begins a read transaction that was reset again. */
  renew(): void;
}

export interface Cursor {
  goToFirst(): Buffer | null;
  goToLast(): Buffer | null;
  goToNext(): Buffer | null;
  goToPrev(): Buffer | null;
  /** To the first key that is not smaller. */
  goToRange(key: Uint8Array): Buffer | null;
  getCurrentBinary(): Buffer | null;
  close(): void;
}

interface NodeLmdb {
  Env: new () => Env;
  Cursor: new (txn: Txn, dbi: Dbi, options: { keyIsBuffer: true }) => Cursor;
}

/** What LMDB returns, in node-lmdb's errors as `code`. */
export const Code = {
  NOT_FOUND: -30798,
  PAGE_NOT_FOUND: -30797,
  CORRUPTED: -30796,
  PANIC: -30795,
  VERSION_MISMATCH: -30794,
  INVALID: -30793,
  MAP_FULL: -30792,
  READERS_FULL: -30790,
  MAP_RESIZED: -30785,
} as const;

/** The code of an error of LMDB's. */
export function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'number' ? code : undefined;
}

export const lmdb = createRequire(import.meta.url)('node-lmdb') as NodeLmdb;

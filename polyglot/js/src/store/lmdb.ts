/**
 * The LMDB engine: the same environment, byte for byte, that the native host
 * reads and writes, and that both may have open at the same time.
 *
 * node-lmdb has the same branch of LMDB as the native host, with the same file
 * format (data version 1) and the same lock file. The package `lmdb` has not:
 * see the README.
 */

import { existsSync, mkdirSync, openSync, readSync, readdirSync, realpathSync, statSync, closeSync } from 'node:fs';
import { join } from 'node:path';

import { type Engine, type EngineTransaction, type Handle, type Op, type Range, StoreError, type Visitor } from './engine.js';
import { Code, type Dbi, type Env, type Txn, codeOf, lmdb } from './node-lmdb.js';

/** What a commit survives: see `Durability` of the native host. */
export type Durability = 'sync' | 'no-meta-sync' | 'no-sync';

/** How to open an environment. */
export interface LmdbOptions {
  /** Open for reading only; no store is created. Default false. */
  readonly readOnly?: boolean;
  /** Create the directory and the environment if they are missing. Default true. */
  readonly create?: boolean;
  /** What a commit survives. Default `sync`: the loss of power. */
  readonly durability?: Durability;
  /** The size of the map at first, in bytes. Default 16 MiB. It costs address space and not disk. */
  readonly mapSize?: number;
  /** What the map may grow to, in bytes. Default 64 GiB. */
  readonly maxMapSize?: number;
  /** Read transactions over all processes. Default 126, LMDB's own. */
  readonly maxReaders?: number;
}

/** Why an environment cannot be opened. Nothing was changed. */
export class OpenError extends Error {
  override readonly name = 'OpenError';

  constructor(
    readonly reason:
      | 'missing'
      | 'not-a-directory'
      | 'not-a-store'
      | 'invalid'
      | 'other-lmdb'
      | 'other-options'
      | 'io',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The longest key of a default build of LMDB. */
const MAX_KEY_SIZE = 511;
const MAX_TABLES = 128;
const NO_KEY = { keyIsBuffer: true } as const;

type Settings = Required<LmdbOptions>;

/** An environment that is open in this process, which LMDB forbids to open twice. */
interface Shared {
  readonly env: Env;
  readonly settings: Settings;
  readonly path: string;
  readonly tables: Dbi[];
  readonly handles: Map<string, Handle>;
  writing: boolean;
  /** A read transaction that was reset: renewing it takes a tenth of the time of beginning one. */
  idle: Txn | undefined;
  users: number;
}

const openHere = new Map<string, Shared>();

function prepare(path: string, { readOnly, create }: Settings): string {
  const mayCreate = create && !readOnly;
  const missing = (): OpenError =>
    new OpenError('missing', `there is no store at ${path}; check the path, or create one with \`host migrate\` or \`host track\``);
  if (!existsSync(path)) {
    if (!mayCreate) throw missing();
    mkdirSync(path, { recursive: true });
  }
  if (!statSync(path).isDirectory()) {
    throw new OpenError('not-a-directory', `${path} is a file; a store is a directory`);
  }
  const data = join(path, 'data.mdb');
  if (!existsSync(data)) {
    // A lock file alone is what a crash at creation leaves.
    if (readdirSync(path).some((name) => name !== 'lock.mdb')) {
      throw new OpenError('not-a-store', `${path} is not empty and holds no store; give an empty or new directory`);
    }
    if (!mayCreate) throw missing();
  } else {
    checkHeader(data);
  }
  return realpathSync(path);
}

/** Looks at the first meta page before LMDB does, which creates its lock file first and says less. */
function checkHeader(data: string): void {
  const page = Buffer.alloc(24);
  const file = openSync(data, 'r');
  try {
    const length = readSync(file, page, 0, page.length, 0);
    if (length === 0) return;
    const [magic, version] = [page.readUInt32LE(16), page.readUInt32LE(20)];
    if (length === page.length && magic === 0xbeef_c0de && version === 1) return;
  } finally {
    closeSync(file);
  }
  throw new OpenError('invalid', `${data} is not an LMDB environment of data version 1, or it is damaged; restore it from a backup`);
}

function openEnv(path: string, settings: Settings): Env {
  const { readOnly, durability, maxReaders } = settings;
  const data = join(path, 'data.mdb');
  const mapSize = wholePages(Math.max(settings.mapSize, existsSync(data) ? statSync(data).size : 0));
  const env = new lmdb.Env();
  const noMetaSync = durability === 'no-meta-sync';
  const noSync = durability === 'no-sync';
  try {
    env.open({ path, mapSize, maxDbs: MAX_TABLES, maxReaders, readOnly, noMetaSync, noSync });
    return env;
  } catch (error) {
    if (codeOf(error) === Code.VERSION_MISMATCH) {
      // The data file's version was looked at before: it is the lock file's.
      throw new OpenError('other-lmdb', `${path} is open in a program with another version of LMDB; end it and try again`, { cause: error });
    }
    if (codeOf(error) === Code.INVALID) {
      throw new OpenError('invalid', `${path} is not an LMDB environment, or it is damaged`, { cause: error });
    }
    throw new OpenError('io', `cannot open the store at ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Maps are made of the system's pages, which are no larger than this. */
const PAGE = 64 << 10;

function wholePages(size: number): number {
  return Math.ceil(size / PAGE) * PAGE;
}

/** Sorts LMDB's errors into the cases that a caller can act on. */
function engineError(doing: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  switch (codeOf(error)) {
    case Code.CORRUPTED:
    case Code.PAGE_NOT_FOUND:
    case Code.PANIC:
    case Code.INVALID: {
      const { message } = error as Error;
      return new StoreError({ tag: 'corrupted', val: message }, `the store is damaged: ${message}`, { cause: error });
    }
    case Code.READERS_FULL:
      return StoreError.other('too many read transactions are open over all processes; raise maxReaders', error);
    default:
      return StoreError.other(`cannot ${doing}`, error);
  }
}

/** Runs something of LMDB's. */
function run<T>(doing: string, f: () => T): T {
  try {
    return f();
  } catch (error) {
    throw engineError(doing, error);
  }
}

/** A store in an LMDB environment. Engines of one path in a process share the environment. */
export class LmdbEngine implements Engine {
  readonly maxKeySize = MAX_KEY_SIZE;
  readonly #shared: Shared;
  #closed = false;

  private constructor(shared: Shared) {
    this.#shared = shared;
  }

  /**
   * Opens an environment in a directory. Throws an {@link OpenError}, and has
   * then created and changed nothing.
   */
  static open(path: string, options: LmdbOptions = {}): LmdbEngine {
    const settings: Settings = {
      readOnly: options.readOnly ?? false,
      create: options.create ?? true,
      durability: options.durability ?? 'sync',
      mapSize: options.mapSize ?? 16 << 20,
      maxMapSize: options.maxMapSize ?? 64 * 2 ** 30,
      maxReaders: options.maxReaders ?? 126,
    };
    const real = prepare(path, settings);
    const known = openHere.get(real);
    if (known !== undefined) {
      const same = (['readOnly', 'durability', 'maxMapSize', 'maxReaders'] as const).every(
        (name) => known.settings[name] === settings[name],
      );
      if (!same) {
        throw new OpenError('other-options', `${path} is open in this process with other options; use the same or close it first`);
      }
      known.users += 1;
      return new LmdbEngine(known);
    }
    const env = openEnv(real, settings);
    const shared: Shared = { env, settings, path: real, tables: [], handles: new Map(), writing: false, idle: undefined, users: 1 };
    openHere.set(real, shared);
    return new LmdbEngine(shared);
  }

  /** The directory. */
  get path(): string {
    return this.#shared.path;
  }

  #live(): Shared {
    if (this.#closed) throw StoreError.closed('the store was closed');
    return this.#shared;
  }

  openTables(names: readonly string[]): (Handle | undefined)[] {
    const shared = this.#live();
    if (names.some((name) => !shared.handles.has(name))) {
      const owner = names[0] ?? '';
      const { missing, anything } = openExisting(shared, names);
      if (anything && !shared.handles.has(owner)) {
        throw new StoreError(
          { tag: 'foreign' },
          `the environment has tables, but none called ${JSON.stringify(owner)}: it is not a tracker store and was left alone`,
        );
      }
      if (missing.length > 0 && !shared.settings.readOnly) create(shared, missing);
    }
    return names.map((name) => shared.handles.get(name));
  }

  get(table: Handle, key: Uint8Array): Uint8Array | undefined {
    const shared = this.#live();
    const txn = beginRead(shared);
    try {
      return get(txn, shared.tables[table] as Dbi, key);
    } finally {
      endRead(shared, txn);
    }
  }

  beginRead(): EngineTransaction {
    return new ReadTransaction(this.#live(), beginRead(this.#shared));
  }

  beginWrite(): EngineTransaction {
    const shared = this.#live();
    if (shared.settings.readOnly) throw readOnly();
    if (shared.writing) {
      // Waiting would be waiting for oneself: there is one thread.
      throw StoreError.closed('this process has a write transaction on this store already; end the batch first');
    }
    makeRoom(shared);
    const transaction = new WriteTransaction(shared, begin(shared, false));
    shared.writing = true;
    return transaction;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#shared.users -= 1;
    if (this.#shared.users > 0) return;
    openHere.delete(this.#shared.path);
    this.#shared.idle = undefined;
    // Aborts what is open.
    this.#shared.env.close();
  }
}

const readOnly = (): StoreError => new StoreError({ tag: 'read-only' }, 'the store is open for reading only');

/** Opens those of the tables that are there. */
function openExisting(shared: Shared, names: readonly string[]): { missing: string[]; anything: boolean } {
  const txn = begin(shared, true);
  const missing: string[] = [];
  const found: [string, Dbi][] = [];
  try {
    const root = shared.env.openDbi({ name: null, create: false, txn, ...NO_KEY });
    const anything = root.stat(txn).entryCount > 0;
    for (const name of names) {
      if (shared.handles.has(name)) continue;
      try {
        found.push([name, shared.env.openDbi({ name, create: false, txn, ...NO_KEY })]);
      } catch (error) {
        if (codeOf(error) !== Code.NOT_FOUND) throw error;
        missing.push(name);
      }
    }
    // What was opened in a transaction that is aborted is closed again.
    txn.commit();
    keep(shared, found);
    return { missing, anything };
  } catch (error) {
    abort(txn);
    throw engineError('open the tables', error);
  }
}

/** Creates tables in one write transaction. */
function create(shared: Shared, names: readonly string[]): void {
  if (shared.writing) throw StoreError.closed('this process has a write transaction on this store already');
  for (;;) {
    const txn = begin(shared, false);
    try {
      const created = names.map((name): [string, Dbi] => [name, shared.env.openDbi({ name, create: true, txn, ...NO_KEY })]);
      txn.commit();
      keep(shared, created);
      return;
    } catch (error) {
      abort(txn);
      if (codeOf(error) !== Code.MAP_FULL) throw engineError('create tables', error);
      grow(shared);
    }
  }
}

function keep(shared: Shared, opened: readonly [string, Dbi][]): void {
  for (const [name, dbi] of opened) {
    shared.handles.set(name, shared.tables.length);
    shared.tables.push(dbi);
  }
}

/** Aborts, unless a failed commit has ended the transaction already. */
function abort(txn: Txn): void {
  try {
    txn.abort();
  } catch {
    // It says so by throwing.
  }
}

/** Begins a transaction, growing the map first if another process has. */
function begin(shared: Shared, forReading: boolean): Txn {
  for (;;) {
    try {
      return shared.env.beginTxn({ readOnly: forReading });
    } catch (error) {
      if (codeOf(error) !== Code.MAP_RESIZED) throw engineError('begin a transaction', error);
      resize(shared, 0);
    }
  }
}

/** Begins a read transaction on the newest snapshot. */
function beginRead(shared: Shared): Txn {
  const { idle } = shared;
  if (idle === undefined) return begin(shared, true);
  shared.idle = undefined;
  try {
    idle.renew();
    return idle;
  } catch {
    // Most likely another process has grown the map.
    abort(idle);
    return begin(shared, true);
  }
}

/** Ends a read transaction. */
function endRead(shared: Shared, txn: Txn): void {
  if (shared.idle !== undefined) return abort(txn);
  txn.reset();
  shared.idle = txn;
}

/** Sets the map's size; 0 adopts that of the file. */
function resize(shared: Shared, size: number): void {
  // It must not be open either.
  if (shared.idle !== undefined) abort(shared.idle);
  shared.idle = undefined;
  run('resize the map', () => shared.env.resize(size));
}

/** Doubles the map, up to the maximum. No transaction is open. */
function grow(shared: Shared): void {
  const max = Math.floor(shared.settings.maxMapSize / PAGE) * PAGE;
  const now = shared.env.info().mapSize;
  if (now >= max) {
    throw new StoreError(
      { tag: 'map-full' },
      `the store is full: it has reached its maximum size of ${max} bytes; open it with a larger maxMapSize`,
    );
  }
  resize(shared, Math.min(now * 2, max));
}

/** Grows the map before a write transaction if it is more than half full, so that few of them meet its end. */
function makeRoom(shared: Shared): void {
  const { mapSize, lastPageNumber } = shared.env.info();
  const used = (lastPageNumber + 1) * shared.env.stat().pageSize;
  if (used * 2 <= mapSize || mapSize >= Math.floor(shared.settings.maxMapSize / PAGE) * PAGE) return;
  try {
    grow(shared);
  } catch {
    // Somebody reads; there is room still, and the transaction grows the map if it must.
  }
}

function get(txn: Txn, table: Dbi, key: Uint8Array): Uint8Array | undefined {
  if (key.length === 0 || key.length > MAX_KEY_SIZE) return undefined;
  return run('read the store', () => txn.getBinary(table, key)) ?? undefined;
}

function scan(txn: Txn, table: Dbi, { start, end, descending }: Range, visit: Visitor): void {
  run('read the store', () => {
    const cursor = new lmdb.Cursor(txn, table, NO_KEY);
    const next = (key: Buffer | null): Buffer | null => {
      if (key === null || !visit(key, cursor.getCurrentBinary() as Buffer)) return null;
      return descending ? cursor.goToPrev() : cursor.goToNext();
    };
    try {
      if (descending) {
        let key = end.length === 0 ? cursor.goToLast() : cursor.goToRange(end) === null ? cursor.goToLast() : cursor.goToPrev();
        while (key !== null && Buffer.compare(key, start) >= 0) key = next(key);
      } else {
        let key = start.length === 0 ? cursor.goToFirst() : cursor.goToRange(start);
        while (key !== null && (end.length === 0 || Buffer.compare(key, end) < 0)) key = next(key);
      }
    } finally {
      cursor.close();
    }
  });
}

class ReadTransaction implements EngineTransaction {
  #txn: Txn | undefined;

  constructor(
    private readonly shared: Shared,
    txn: Txn,
  ) {
    this.#txn = txn;
  }

  #live(): Txn {
    if (this.#txn === undefined) throw StoreError.closed('the transaction is over');
    return this.#txn;
  }

  get(table: Handle, key: Uint8Array): Uint8Array | undefined {
    return get(this.#live(), this.shared.tables[table] as Dbi, key);
  }

  scan(table: Handle, range: Range, visit: Visitor): void {
    scan(this.#live(), this.shared.tables[table] as Dbi, range, visit);
  }

  count(table: Handle): number {
    return (this.shared.tables[table] as Dbi).stat(this.#live()).entryCount;
  }

  write(): void {
    throw readOnly();
  }

  commit(): void {
    this.abort();
  }

  abort(): void {
    const txn = this.#txn;
    this.#txn = undefined;
    // After the engine was closed there is nothing left to end.
    if (txn !== undefined && openHere.get(this.shared.path) === this.shared) endRead(this.shared, txn);
  }
}

/** A write transaction. It keeps what was written, to write it again after the map had to grow. */
class WriteTransaction implements EngineTransaction {
  #txn: Txn | undefined;
  /** The commit that it was begun on. */
  readonly #base: number;
  readonly #log: (readonly Op[])[] = [];

  constructor(
    private readonly shared: Shared,
    txn: Txn,
  ) {
    this.#txn = txn;
    this.#base = shared.env.info().lastTxnId;
  }

  #live(): Txn {
    if (this.#txn === undefined) throw StoreError.closed('the transaction is over');
    return this.#txn;
  }

  get(table: Handle, key: Uint8Array): Uint8Array | undefined {
    return get(this.#live(), this.shared.tables[table] as Dbi, key);
  }

  scan(table: Handle, range: Range, visit: Visitor): void {
    scan(this.#live(), this.shared.tables[table] as Dbi, range, visit);
  }

  count(table: Handle): number {
    return (this.shared.tables[table] as Dbi).stat(this.#live()).entryCount;
  }

  write(ops: readonly Op[]): void {
    const txn = this.#live();
    this.#log.push(ops);
    try {
      this.#apply(txn, ops);
    } catch (error) {
      this.#end();
      if (codeOf(error) !== Code.MAP_FULL) throw engineError('write to the store', error);
      this.#replay();
    }
  }

  commit(): void {
    for (;;) {
      const txn = this.#live();
      // A commit that fails has ended it as well.
      this.#txn = undefined;
      this.shared.writing = false;
      try {
        txn.commit();
        return;
      } catch (error) {
        if (codeOf(error) !== Code.MAP_FULL) throw engineError('commit', error);
        this.#replay();
      }
    }
  }

  abort(): void {
    this.#end();
  }

  /** Ends what is open and lets the next writer in. */
  #end(): void {
    const txn = this.#txn;
    if (txn === undefined) return;
    this.#txn = undefined;
    this.shared.writing = false;
    abort(txn);
  }

  #apply(txn: Txn, ops: readonly Op[]): void {
    for (const op of ops) {
      const table = this.shared.tables[op.table] as Dbi;
      if (op.kind === 'put') {
        txn.putBinary(table, op.key, op.value);
      } else if (op.kind === 'clear') {
        table.drop({ txn, justFreePages: true });
      } else {
        try {
          txn.del(table, op.key);
        } catch (error) {
          if (codeOf(error) !== Code.NOT_FOUND) throw error;
        }
      }
    }
  }

  /** Grows the map and writes again what was written so far. */
  #replay(): void {
    for (;;) {
      grow(this.shared);
      const txn = begin(this.shared, false);
      this.#txn = txn;
      this.shared.writing = true;
      try {
        if (this.shared.env.info().lastTxnId !== this.#base) {
          throw new StoreError({ tag: 'conflict' }, 'another writer was faster; run the transaction again');
        }
        for (const ops of this.#log) this.#apply(txn, ops);
        return;
      } catch (error) {
        this.#end();
        if (codeOf(error) !== Code.MAP_FULL) throw engineError('write to the store', error);
      }
    }
  }
}

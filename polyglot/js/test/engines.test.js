/** The engines under the store interface, against a plain sorted list. */

import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';

import { LmdbEngine, MemoryEngine, compareBytes, openTracker } from '../dist/index.js';
import { bytes, engines, figure, long, random, runHost, temporary } from './support.js';

const NO_BYTES = new Uint8Array();

/** The oracle: entries in a sorted list. */
class Sorted {
  entries = [];

  find(key) {
    return this.entries.findIndex(([known]) => compareBytes(known, key) === 0);
  }

  apply(op) {
    if (op.kind === 'clear') this.entries = [];
    else {
      const at = this.find(op.key);
      if (op.kind === 'delete' && at >= 0) this.entries.splice(at, 1);
      else if (op.kind === 'put' && at >= 0) this.entries[at] = [op.key, op.value];
      else if (op.kind === 'put') {
        const after = this.entries.findIndex(([known]) => compareBytes(known, op.key) > 0);
        this.entries.splice(after < 0 ? this.entries.length : after, 0, [op.key, op.value]);
      }
    }
  }

  scan({ start, end, descending }) {
    const found = this.entries.filter(
      ([key]) => compareBytes(key, start) >= 0 && (end.length === 0 || compareBytes(key, end) < 0),
    );
    return descending ? found.reverse() : found;
  }

  copy() {
    const copy = new Sorted();
    copy.entries = [...this.entries];
    return copy;
  }
}

function scanned(transaction, table, range, most = Infinity) {
  const found = [];
  transaction.scan(table, range, (key, value) => {
    if (found.length === most) return false;
    found.push([Uint8Array.from(key), Uint8Array.from(value)]);
    return true;
  });
  return found;
}

const everything = { start: NO_BYTES, end: NO_BYTES, descending: false };

for (const [name, make] of engines) {
  test(`random writes, scans, aborts and snapshots agree with a sorted list (${name})`, (t) => {
    const rounds = long ? 3000 : 200;
    const below = random(7);
    const engine = make(t);
    t.after(() => engine.close());
    const [a, b] = engine.openTables(['a', 'b']);
    const oracles = new Map([
      [a, new Sorted()],
      [b, new Sorted()],
    ]);
    // Few bytes and short keys, so that keys are prefixes of each other and come again.
    const key = () => Uint8Array.from({ length: 1 + below(4) }, () => [0, 1, 0x7f, 0x80, 0xff][below(5)]);
    const anything = () => (below(4) === 0 ? NO_BYTES : key());
    let operations = 0;
    let snapshots = [];
    for (let round = 0; round < rounds; round++) {
      const transaction = engine.beginWrite();
      const before = new Map([...oracles].map(([table, oracle]) => [table, oracle.copy()]));
      const ops = Array.from({ length: below(60) }, () => {
        const table = below(2) === 0 ? a : b;
        const kind = below(100);
        if (kind === 0) return { kind: 'clear', table };
        if (kind < 35) return { kind: 'delete', table, key: key() };
        return { kind: 'put', table, key: key(), value: Uint8Array.from({ length: below(40) }, () => below(256)) };
      });
      transaction.write(ops);
      for (const op of ops) oracles.get(op.table).apply(op);
      operations += ops.length;
      for (const [table, oracle] of oracles) {
        assert.equal(transaction.count(table), oracle.entries.length);
        for (let look = 0; look < 4; look++) {
          const range = { start: anything(), end: anything(), descending: below(2) === 0 };
          const most = 1 + below(20);
          assert.deepEqual(scanned(transaction, table, range, most), oracle.scan(range).slice(0, most));
          const asked = key();
          const [, value] = oracle.entries[oracle.find(asked)] ?? [];
          const found = transaction.get(table, asked);
          assert.deepEqual(found && Uint8Array.from(found), value);
        }
      }
      if (below(3) === 0) {
        transaction.abort();
        for (const [table, oracle] of before) oracles.set(table, oracle);
      } else {
        transaction.commit();
      }
      for (const { snapshot, state } of snapshots) {
        for (const [table, oracle] of state) assert.deepEqual(scanned(snapshot, table, everything), oracle.entries);
      }
      if (below(5) === 0) {
        snapshots.push({ snapshot: engine.beginRead(), state: new Map([...oracles].map(([k, v]) => [k, v.copy()])) });
      }
      if (snapshots.length > 3) snapshots.splice(below(4), 1)[0].snapshot.abort();
    }
    for (const { snapshot } of snapshots) snapshot.abort();
    figure(`javascript: random operations on the ${name} engine`, operations);
  });

  test(`many keys in order and in disorder, then all deleted (${name})`, (t) => {
    const engine = make(t);
    t.after(() => engine.close());
    const [table] = engine.openTables(['a']);
    const count = 5000;
    const below = random(3);
    const keys = Array.from({ length: count }, (_, index) => bytes(String(index).padStart(5, '0')));
    const shuffled = keys.map((key) => [below(1 << 30), key]).sort(([x], [y]) => x - y).map(([, key]) => key);
    for (const order of [keys, shuffled, [...keys].reverse()]) {
      let writing = engine.beginWrite();
      writing.write(order.map((key) => ({ kind: 'put', table, key, value: key })));
      writing.commit();
      assert.equal(engine.beginRead().count(table), count);
      const up = scanned(engine.beginRead(), table, everything).map(([key]) => key);
      assert.deepEqual(up, keys);
      const down = scanned(engine.beginRead(), table, { ...everything, descending: true }).map(([key]) => key);
      assert.deepEqual(down, [...keys].reverse());
      writing = engine.beginWrite();
      writing.write(shuffled.map((key) => ({ kind: 'delete', table, key })));
      assert.equal(writing.count(table), 0);
      assert.deepEqual(scanned(writing, table, everything), []);
      writing.commit();
    }
  });

  test(`there is one writer, and what is over says so (${name})`, (t) => {
    const engine = make(t);
    t.after(() => engine.close());
    const [table] = engine.openTables(['a']);
    const first = engine.beginWrite();
    assert.throws(() => engine.beginWrite(), (error) => error.payload.tag === 'closed');
    first.write([{ kind: 'put', table, key: bytes('k'), value: bytes('v') }]);
    assert.equal(engine.get(table, bytes('k')), undefined);
    first.abort();
    first.abort();
    const second = engine.beginWrite();
    assert.equal(second.get(table, bytes('k')), undefined);
    second.commit();
    assert.throws(() => engine.openTables(['other', 'a']), (error) => error.payload.tag === 'foreign');
  });
}

test('the order of keys is that of unsigned bytes, a prefix first', () => {
  const keys = ['', '00', '0000', '0001', '7f', '80', '80ff', 'ff', 'ff00'].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
  for (const [i, a] of keys.entries()) {
    for (const [j, b] of keys.entries()) {
      assert.equal(Math.sign(compareBytes(a, b)), Math.sign(i - j));
      assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(a, b));
    }
  }
});

test('what is stored in memory does not change with the buffers that it came in', () => {
  const engine = new MemoryEngine();
  const [table] = engine.openTables(['a']);
  const given = { kind: 'put', table, key: bytes('k'), value: bytes('value') };
  const writing = engine.beginWrite();
  writing.write([given]);
  writing.commit();
  given.key.fill(0);
  given.value.fill(0);
  assert.deepEqual(engine.get(table, bytes('k')), bytes('value'));
});

test('the map grows by itself, in the middle of a transaction too, and nothing of it is lost', (t) => {
  const path = join(temporary(t), 'store');
  const engine = LmdbEngine.open(path, { durability: 'no-sync', mapSize: 128 << 10 });
  t.after(() => engine.close());
  const [table, cleared] = engine.openTables(['a', 'b']);
  const put = (transaction, table, index, size) =>
    transaction.write([{ kind: 'put', table, key: bytes(`key${index}`), value: new Uint8Array(size).fill(index) }]);
  let writing = engine.beginWrite();
  put(writing, cleared, 1, 10);
  writing.commit();
  writing = engine.beginWrite();
  writing.write([{ kind: 'clear', table: cleared }]);
  for (let index = 0; index < 100; index++) put(writing, table, index, 50_000);
  assert.equal(writing.count(table), 100);
  assert.equal(writing.count(cleared), 0);
  writing.commit();
  for (let index = 0; index < 100; index++) {
    assert.deepEqual(Uint8Array.from(engine.get(table, bytes(`key${index}`))), new Uint8Array(50_000).fill(index));
  }
  assert.equal(engine.get(cleared, bytes('key1')), undefined);
});

test('a full store says so, keeps what it has and takes smaller writes', (t) => {
  const engine = LmdbEngine.open(join(temporary(t), 'store'), { durability: 'no-sync', mapSize: 128 << 10, maxMapSize: 1 << 20 });
  t.after(() => engine.close());
  const [table] = engine.openTables(['a']);
  const writeSome = (name, size) => {
    const writing = engine.beginWrite();
    try {
      writing.write([{ kind: 'put', table, key: bytes(name), value: new Uint8Array(size) }]);
      writing.commit();
    } finally {
      writing.abort();
    }
  };
  writeSome('first', 1000);
  assert.throws(() => writeSome('large', 2 << 20), (error) => error.payload.tag === 'map-full' && /maximum size/.test(error.message));
  assert.equal(engine.get(table, bytes('large')), undefined);
  writeSome('second', 1000);
  assert.equal(engine.get(table, bytes('first')).length, 1000);
  assert.equal(engine.get(table, bytes('second')).length, 1000);
});

test('a transaction that would be repeated over the commit of another process is a conflict, and a call is run again', (t) => {
  const path = join(temporary(t), 'store');
  runHost('track', path, temporary(t));
  const { Env } = createRequire(import.meta.url)('node-lmdb');
  const { resize } = Env.prototype;
  // Between the end of the transaction and its repetition.
  let commits = 0;
  Env.prototype.resize = function (...given) {
    commits += 1;
    runHost('call', path, `set-metadata("commits", "${commits}")`);
    return resize.apply(this, given);
  };
  t.after(() => (Env.prototype.resize = resize));
  const options = { durability: 'no-sync', mapSize: 1 << 20 };
  const engine = LmdbEngine.open(path, options);
  const [table] = engine.openTables(['metadata']);
  const writing = engine.beginWrite();
  const op = { kind: 'put', table, key: bytes('large'), value: new Uint8Array(2 << 20) };
  assert.throws(() => writing.write([op]), (error) => error.payload.tag === 'conflict');
  writing.abort();
  assert.equal(commits, 1);
  assert.equal(engine.get(table, bytes('large')), undefined);
  engine.close();

  const tracker = openTracker(path, options);
  t.after(() => tracker.close());
  tracker.setMetadata('large', 'x'.repeat(2 << 20));
  assert.ok(commits > 1);
  assert.equal(tracker.getMetadata('large').length, 2 << 20);
  assert.equal(tracker.getMetadata('commits'), String(commits));
  // A batch cannot be run again by anybody but its caller.
  const tryAgain = () => tracker.batch(() => tracker.setMetadata('larger', 'x'.repeat(16 << 20)));
  assert.throws(tryAgain, (error) => error.name === 'TrackerError' && error.isConflict);
  assert.equal(tracker.getMetadata('larger'), undefined);
  tracker.batch(() => tracker.setMetadata('larger', 'x'));
});

test('what is no store is refused and left alone', (t) => {
  const dir = temporary(t);
  const refused = (path, reason, options) =>
    assert.throws(() => LmdbEngine.open(path, options), (error) => error.name === 'OpenError' && error.reason === reason);
  refused(join(dir, 'none'), 'missing', { create: false });
  refused(join(dir, 'none'), 'missing', { readOnly: true });
  writeFileSync(join(dir, 'file'), '');
  refused(join(dir, 'file'), 'not-a-directory');
  mkdirSync(join(dir, 'full'));
  writeFileSync(join(dir, 'full/notes.txt'), '');
  refused(join(dir, 'full'), 'not-a-store');
  mkdirSync(join(dir, 'other'));
  writeFileSync(join(dir, 'other/data.mdb'), new Uint8Array(8192).fill(0x5a));
  refused(join(dir, 'other'), 'invalid');
  assert.deepEqual(readdirSync(join(dir, 'other')), ['data.mdb']);
  // The header of LMDB's data version 2, which the package `lmdb` writes: eight bytes further on.
  const header = Buffer.alloc(8192);
  header.writeUInt32LE(0xbeefc0de, 24);
  header.writeUInt32LE(2, 28);
  const file = openSync(join(dir, 'other/data.mdb'), 'w');
  ftruncateSync(file, 0);
  writeSync(file, header);
  closeSync(file);
  refused(join(dir, 'other'), 'invalid');
});

test('a store that is open is shared in the process, with the same options only', (t) => {
  const path = join(temporary(t), 'store');
  const first = LmdbEngine.open(path);
  const second = LmdbEngine.open(join(path, '..', 'store'));
  assert.throws(() => LmdbEngine.open(path, { durability: 'no-sync' }), (error) => error.reason === 'other-options');
  const [table] = first.openTables(['a']);
  assert.deepEqual(second.openTables(['a']), [table]);
  first.close();
  first.close();
  const writing = second.beginWrite();
  writing.write([{ kind: 'put', table, key: bytes('k'), value: bytes('v') }]);
  writing.commit();
  second.close();
  const readOnly = LmdbEngine.open(path, { readOnly: true });
  t.after(() => readOnly.close());
  const tables = readOnly.openTables(['a', 'missing']);
  assert.equal(tables[1], undefined);
  assert.deepEqual(Uint8Array.from(readOnly.get(tables[0], bytes('k'))), bytes('v'));
  assert.throws(() => readOnly.beginWrite(), (error) => error.payload.tag === 'read-only');
});

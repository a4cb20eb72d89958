/** The store interface as a component sees it: packed buffers, clamps, errors, traps. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { DEFAULT_LIMITS, StoreContext } from '../dist/index.js';
import { bytes, engines } from './support.js';

const NO_BYTES = new Uint8Array();

function number(value, size) {
  const packed = Buffer.alloc(size);
  packed.writeUIntLE(value, 0, size);
  return packed;
}

const OPS = { put: 0, delete: 1, clear: 2 };

function op(kind, table, key = NO_BYTES, value = NO_BYTES) {
  return Buffer.concat([Buffer.of(OPS[kind] ?? kind), number(table, 2), number(key.length, 4), number(value.length, 4), key, value]);
}

function entries(page) {
  const packed = Buffer.from(page.entries);
  const found = [];
  for (let at = 0; at < packed.length; ) {
    const [keyLength, valueLength] = [packed.readUInt32LE(at), packed.readUInt32LE(at + 4)];
    const key = packed.toString('utf8', at + 8, at + 8 + keyLength);
    at += 8 + keyLength + valueLength;
    found.push([key, valueLength]);
  }
  return found;
}

const isTrap = (error) => error instanceof WebAssembly.RuntimeError;
const answers = (tag, val) => (error) => error.payload?.tag === tag && (val === undefined || error.payload.val === val);

for (const [name, make] of engines) {
  const contextFor = (t, limits = {}) => {
    const engine = make(t);
    t.after(() => engine.close());
    const context = new StoreContext(engine, { ...DEFAULT_LIMITS, ...limits });
    context.imports.open(['a', 'b']);
    return context;
  };
  const filled = (context, count, size = 10) => {
    const { Transaction } = context.imports;
    const writing = Transaction.begin('write');
    for (let index = 0; index < count; index++) {
      writing.write(op('put', 0, bytes(`k${String(index).padStart(3, '0')}`), new Uint8Array(size)));
    }
    Transaction.commit(writing);
  };

  test(`what was written is read: get, get-many, scan, count (${name})`, (t) => {
    const context = contextFor(t);
    const { Transaction, get } = context.imports;
    const writing = Transaction.begin('write');
    writing.write(Buffer.concat([op('put', 0, bytes('a'), bytes('1')), op('put', 1, bytes('a'), NO_BYTES), op('put', 0, bytes('b'), bytes('22'))]));
    writing.write(Buffer.concat([op('delete', 0, bytes('none')), op('put', 1, bytes('z'), bytes('z')), op('clear', 1), op('put', 1, bytes('y'), NO_BYTES)]));
    assert.deepEqual(Uint8Array.from(writing.get(0, bytes('a'))), bytes('1'));
    assert.throws(() => get(0, bytes('a')), answers('not-found'));
    Transaction.commit(writing);
    assert.deepEqual(Uint8Array.from(get(0, bytes('b'))), bytes('22'));
    const reading = Transaction.begin('read');
    assert.equal(reading.get(1, bytes('y')).length, 0);
    assert.throws(() => reading.get(1, bytes('a')), answers('not-found'));
    for (const never of [NO_BYTES, new Uint8Array(600)]) assert.throws(() => reading.get(0, never), answers('not-found'));
    assert.equal(reading.count(0), 2n);
    assert.equal(reading.count(1), 1n);
    const keys = ['b', 'none', 'a'].map((key) => Buffer.concat([number(key.length, 4), bytes(key)]));
    const values = Buffer.from(reading.getMany(0, Buffer.concat(keys)));
    assert.deepEqual(values, Buffer.concat([number(2, 4), bytes('22'), number(0xffffffff, 4), number(1, 4), bytes('1')]));
    assert.deepEqual(entries(reading.scan(0, NO_BYTES, NO_BYTES, 'descending', 10, 1000)), [['b', 2], ['a', 1]]);
    assert.deepEqual(entries(reading.scan(0, bytes('a\0'), NO_BYTES, 'ascending', 10, 1000)), [['b', 2]]);
    assert.deepEqual(entries(reading.scan(0, NO_BYTES, bytes('b'), 'descending', 10, 1000)), [['a', 1]]);
    context.abortAll();
    assert.equal(context.transactions.size, 0);
  });

  test(`pages are bounded by entries and bytes, and hold one entry at least (${name})`, (t) => {
    const context = contextFor(t, { scanEntries: 50, scanBytes: 1000 });
    filled(context, 100);
    const reading = context.imports.Transaction.begin('read');
    const page = (most, size) => reading.scan(0, NO_BYTES, NO_BYTES, 'ascending', most, size);
    assert.equal(entries(page(7, 1000)).length, 7);
    assert.equal(page(7, 1000).done, false);
    assert.equal(entries(page(0, 0)).length, 1);
    assert.equal(entries(page(2 ** 32 - 1, 2 ** 32 - 1)).length, Math.floor(1000 / 22));
    assert.equal(entries(page(10, 100)).length, 4);
    // To the end, as a guest goes on.
    let start = NO_BYTES;
    let count = 0;
    for (;;) {
      const { entries: packed, done } = reading.scan(0, start, NO_BYTES, 'ascending', 33, 10_000);
      const found = entries({ entries: packed });
      count += found.length;
      if (done) break;
      start = Buffer.concat([bytes(found.at(-1)[0]), Buffer.of(0)]);
    }
    assert.equal(count, 100);
    assert.equal(reading.scan(0, bytes('k099'), NO_BYTES, 'ascending', 1, 1).done, true);
    assert.deepEqual(reading.scan(1, NO_BYTES, NO_BYTES, 'ascending', 1, 1), { entries: new Uint8Array(), done: true });
    const keys = Buffer.concat(Array.from({ length: 100 }, () => Buffer.concat([number(4, 4), bytes('k000')])));
    const answered = reading.getMany(0, keys).length;
    assert.ok(answered >= 1000 && answered < 1000 + 14, String(answered));
  });

  test(`sizes are checked before anything is done (${name})`, (t) => {
    const context = contextFor(t, { valueSize: 100, transactionBytes: 1000 });
    const { Transaction } = context.imports;
    const writing = Transaction.begin('write');
    const good = op('put', 0, bytes('good'), bytes('v'));
    for (const key of [NO_BYTES, new Uint8Array(512)]) {
      for (const kind of ['put', 'delete']) {
        assert.throws(() => writing.write(Buffer.concat([good, op(kind, 0, key)])), answers('key-size', 511));
      }
    }
    assert.throws(() => writing.write(Buffer.concat([good, op('put', 0, bytes('k'), new Uint8Array(101))])), answers('value-too-large', 100n));
    assert.equal(writing.count(0), 0n);
    writing.write(op('put', 0, new Uint8Array(511), new Uint8Array(100)));
    assert.equal(writing.count(0), 1n);
    assert.throws(() => { for (let i = 0; i < 10; i++) writing.write(op('put', 0, bytes('k'), new Uint8Array(100))); }, answers('other'));
    assert.throws(() => writing.count(0), answers('closed'));
    assert.throws(() => writing.write(good), answers('closed'));
    assert.throws(() => Transaction.commit(writing), answers('closed'));
    const reading = Transaction.begin('read');
    assert.equal(reading.count(0), 0n);
  });

  test(`transactions are limited, and dropping one ends it (${name})`, (t) => {
    const context = contextFor(t, { transactions: 3 });
    const { Transaction } = context.imports;
    const open = [Transaction.begin('read'), Transaction.begin('write'), Transaction.begin('read')];
    assert.throws(() => Transaction.begin('read'), answers('too-many-transactions', 3));
    open[1].write(op('put', 0, bytes('k'), bytes('v')));
    open[1][Symbol.dispose ?? Symbol.for('dispose')]();
    const writing = Transaction.begin('write');
    assert.equal(writing.count(0), 0n);
    context.abortAll();
    Transaction.commit(Transaction.begin('write'));
    assert.equal(context.transactions.size, 0);
  });

  test(`what only a broken component does is a trap (${name})`, (t) => {
    const context = contextFor(t);
    const { Transaction, get, open } = context.imports;
    assert.throws(() => open(['a']), isTrap);
    assert.throws(() => get(2, bytes('k')), isTrap);
    const reading = Transaction.begin('read');
    assert.throws(() => reading.write(op('put', 0, bytes('k'), bytes('v'))), isTrap);
    assert.throws(() => reading.count(2), isTrap);
    assert.throws(() => reading.scan(9, NO_BYTES, NO_BYTES, 'ascending', 1, 1), isTrap);
    assert.throws(() => reading.getMany(0, Buffer.of(3, 0, 0, 0, 1)), isTrap);
    const writing = Transaction.begin('write');
    const good = op('put', 0, bytes('key'), bytes('value'));
    for (let length = 1; length < good.length; length++) assert.throws(() => writing.write(good.subarray(0, length)), isTrap);
    for (const bad of [op(7, 0), op('delete', 0, bytes('k'), bytes('v')), op('clear', 0, bytes('k')), op('put', 2, bytes('k'))]) {
      assert.throws(() => writing.write(Buffer.concat([good, bad])), isTrap);
    }
    assert.equal(writing.count(0), 0n);
    const unopened = new StoreContext(context.engine, { ...DEFAULT_LIMITS, tables: 3 });
    assert.throws(() => unopened.imports.get(0, bytes('k')), isTrap);
    assert.throws(() => unopened.imports.open([]), isTrap);
    assert.throws(() => unopened.imports.open(['a', 'b', 'c', 'd']), isTrap);
  });
}

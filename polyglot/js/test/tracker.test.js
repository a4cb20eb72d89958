/** The class, over both engines. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { BatchAborted, LmdbEngine, MemoryEngine, Tracker, TrackerError, Trapped, functions, modules } from '../dist/index.js';
import { newInstance, systemClock } from '../dist/component.js';
import { overEngines, temporary, ticking } from './support.js';

const U64 = 2n ** 64n - 1n;

const file = (tracker, path, keyHash = 1n, contexts = []) =>
  tracker.upsertFile(path, 1.5, 10n, 'hash', 0n, 10n, keyHash, contexts);

test('the interface that was read from wit/ is what the component exports', () => {
  const calls = newInstance(modules(), { open() {}, get() {}, Transaction: class {} }, systemClock);
  assert.deepEqual(functions.map(({ camelName }) => camelName).sort(), Object.keys(calls).sort());
  assert.ok(functions.length >= 109);
  for (const { camelName, docs, params } of functions) {
    assert.equal(typeof Tracker.prototype[camelName], 'function', camelName);
    assert.ok(docs.length > 10, camelName);
    assert.equal(new Set(params.map(({ name }) => name)).size, params.length);
  }
  const listed = functions.filter(({ params }) => params.at(-2)?.name === 'after').length;
  assert.equal(Object.getOwnPropertyNames(Tracker.prototype).filter((name) => name.startsWith('iter')).length, listed);
});

overEngines(test, 'a file, its symbols, a memory, a pattern, a thread, a convention', (open) => {
  const tracker = open({ clock: ticking() });
  file(tracker, '/src/a.rs', U64, ['context:cli', 'context:é']);
  assert.deepEqual(tracker.getFile('/src/a.rs'), {
    path: '/src/a.rs',
    mtime: 1.5,
    size: 10n,
    contentHash: 'hash',
    blobOffset: 0n,
    blobLength: 10n,
    keyHash: U64,
    indexedAt: 1_700_000_000,
    vectorOffset: undefined,
    vectorLength: undefined,
    detectedContexts: ['context:cli', 'context:é'],
    isTeam: false,
  });
  assert.equal(tracker.getFile('/src/none.rs'), undefined);
  assert.equal(tracker.getFileByKey(U64).path, '/src/a.rs');
  assert.equal(tracker.updateFileVector(U64, -5n, 2n ** 62n), true);
  assert.deepEqual(tracker.liveVectorStats(), { bytes: 2n ** 62n, count: 1n });

  const symbol = (name, kind, lineStart) => ({ name, kind, lineStart, lineEnd: undefined, blobOffset: 0n, blobLength: 1n, keyHash: 7n });
  const ids = tracker.replaceSymbols('/src/a.rs', [symbol('main', 'function', 1n), symbol('fix', 'insight:todo', 9n)]);
  assert.deepEqual([...ids], [1n, 2n]);
  assert.deepEqual(tracker.getSymbols('/src/a.rs').map(({ id, name }) => [id, name]), [[1n, 'main'], [2n, 'fix']]);
  assert.deepEqual(tracker.getInsightStats(), [['insight:todo', 1n]]);
  assert.deepEqual([...tracker.getSymbolKeys('/src/a.rs')], [7n, 7n]);
  assert.equal(tracker.getRecentSymbols(1)[0].symbol.name, 'fix');

  const memory = (id, keyHash) =>
    tracker.upsertMemory(id, 'task', ['insight:bug'], ['context:cli'], BigUint64Array.of(7n, U64), 'text', ['tag'], 0n, 4n, keyHash, undefined, false);
  memory('m1', 1n);
  assert.deepEqual([...tracker.getMemory('m1').symbolKeys], [7n, U64]);
  assert.equal(tracker.queryMemories('task', ['context:cli'], ['insight:bug'], ['tag'], 10, 0).length, 1);
  assert.throws(() => memory('m2', 1n), (error) => error instanceof TrackerError && error.tag === 'key-conflict' && /m1/.test(error.message));

  tracker.cachePattern(3n, 'fn .*', 'grep', ['/src/b.rs', '/src/a.rs'], 0n, 0n);
  assert.deepEqual(tracker.getPatternCache(3n).matchedFiles, ['/src/a.rs', '/src/b.rs']);
  const thread = tracker.createThread('session', 'title', undefined, undefined);
  tracker.addThreadFile(thread.id, '/src/a.rs', 'read');
  tracker.addThreadQuery(thread.id, 'where is main', undefined, undefined);
  tracker.recordThreadTool(thread.id, 'grep');
  assert.deepEqual(tracker.getThreadStats(), {
    activeThreads: 1n,
    inactiveThreads: 0n,
    sessionCount: 1n,
    fileAssociations: 1n,
    queryCount: 1n,
    toolAssociations: 1n,
    topSession: ['session', 1n],
  });
  tracker.upsertConvention('c', 'name', 'text', 'style', [], 'required', [], [], undefined, [], undefined, 0n, 0n, 4n);
  assert.deepEqual(tracker.getConventionStats(), [['style', 1n]]);
  assert.equal(tracker.deleteFile('/src/a.rs'), true);
  assert.equal(tracker.symbolCount(), 0n);
  assert.deepEqual(tracker.verify().findings, []);
});

overEngines(test, 'texts and numbers come back as they were given', (open) => {
  const tracker = open();
  const texts = ['', '\ufeffmark', 'nul\0inside', '\u{1f980} crab', 'é', '\\"\n\t', '\uffff', 'x'.repeat(100_000)];
  for (const [index, text] of texts.entries()) {
    tracker.setMetadata(`key ${text}`, text);
    assert.equal(tracker.getMetadata(`key ${text}`), text);
    file(tracker, text, BigInt(index), [text]);
    assert.deepEqual(tracker.getFile(text).detectedContexts, [text]);
  }
  assert.equal([...tracker.iterFiles(2)].length, texts.length);
  for (const number of [0n, 1n, 2n ** 53n + 1n, 2n ** 63n, U64]) {
    file(tracker, `/n${number}`, number);
    assert.equal(tracker.getFile(`/n${number}`).keyHash, number);
  }
  for (const number of [-(2n ** 63n), -1n, 2n ** 63n - 1n]) {
    tracker.setTranscriptPosition('t', number);
    assert.equal(tracker.getTranscriptPosition('t'), number);
  }
});

overEngines(test, 'iterators go through all pages', (open) => {
  const tracker = open();
  for (let index = 0; index < 25; index++) file(tracker, `/f${String(index).padStart(2, '0')}`, 1n, index % 2 ? ['odd'] : []);
  const paths = (files) => Array.from(files, ({ path }) => path);
  const all = Array.from({ length: 25 }, (_, index) => `/f${String(index).padStart(2, '0')}`);
  for (const size of [1, 7, 25, 1000, undefined]) assert.deepEqual(paths(tracker.iterFiles(size)), all);
  assert.deepEqual(paths(tracker.iterFilesByContext('odd', 5)), all.filter((_, index) => index % 2));
  assert.deepEqual([...tracker.iterPaths('/f03')], ['/f03']);
  assert.deepEqual([...tracker.iterAllSymbols(undefined)], []);
  assert.equal([...tracker.iterRows('file', 4)].length, 25);
  // One that is stopped early leaves nothing open.
  for (const _ of tracker.iterFiles(2)) break;
  file(tracker, '/last');
});

overEngines(test, 'a batch is committed whole or not at all', async (open) => {
  const tracker = open();
  assert.equal(tracker.batch((batch) => {
    file(batch, '/a');
    assert.equal(batch.inBatch, true);
    assert.equal(batch.fileCount(), 1n);
    batch.batch(() => file(batch, '/b'));
    assert.equal(batch.inBatch, true);
    return 'done';
  }), 'done');
  assert.equal(tracker.inBatch, false);
  assert.equal(tracker.fileCount(), 2n);
  assert.throws(() => tracker.batch(() => {
    file(tracker, '/c');
    throw new Error('mine');
  }), /^Error: mine$/);
  assert.equal(tracker.fileCount(), 2n);
  // A call that fails leaves the batch usable.
  tracker.batch(() => {
    assert.throws(() => tracker.cachePattern(1n, 'p', 't', ['x', 'x'], 0n, 0n), (error) => error.tag === 'invalid-argument');
    file(tracker, '/c');
  });
  assert.equal(tracker.fileCount(), 3n);
  await tracker.batch(async () => {
    file(tracker, '/d');
    await new Promise((resolve) => setImmediate(resolve));
    file(tracker, '/e');
  });
  assert.equal(tracker.fileCount(), 5n);
  await assert.rejects(tracker.batch(async () => {
    file(tracker, '/f');
    await null;
    throw new Error('later');
  }), /later/);
  assert.equal(tracker.fileCount(), 5n);
  assert.equal(tracker.inBatch, false);
});

/** An engine whose writes fail or trap when they are told to. */
function failing(inner) {
  const state = { fail: undefined };
  const wrap = (transaction) =>
    new Proxy(transaction, {
      get(target, name) {
        if (name === 'write' && state.fail !== undefined) return () => { throw state.fail; };
        const value = target[name];
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const engine = {
    maxKeySize: inner.maxKeySize,
    openTables: (names) => inner.openTables(names),
    get: (table, key) => inner.get(table, key),
    beginRead: () => inner.beginRead(),
    beginWrite: () => wrap(inner.beginWrite()),
    close: () => inner.close(),
  };
  return { engine, state };
}

for (const [name, make] of [['memory', () => new MemoryEngine()], ['lmdb', (t) => LmdbEngine.open(temporary(t))]]) {
  test(`after a trap the next call has a new instance, and nothing of the one before (${name})`, (t) => {
    const { engine, state } = failing(make(t));
    const tracker = new Tracker(modules(), engine);
    t.after(() => tracker.close());
    file(tracker, '/a');
    state.fail = new WebAssembly.RuntimeError('unreachable');
    assert.throws(() => file(tracker, '/b'), Trapped);
    state.fail = undefined;
    assert.equal(tracker.fileCount(), 1n);
    file(tracker, '/b');
    // In a batch everything is refused until its end.
    tracker.beginBatch();
    file(tracker, '/c');
    state.fail = new WebAssembly.RuntimeError('unreachable');
    assert.throws(() => file(tracker, '/d'), Trapped);
    state.fail = undefined;
    assert.throws(() => file(tracker, '/d'), BatchAborted);
    assert.throws(() => tracker.endBatch(), BatchAborted);
    assert.equal(tracker.fileCount(), 2n);
  });

  test(`an error of the store in a batch ends it, and half of it is never taken for the whole (${name})`, (t) => {
    const { engine, state } = failing(make(t));
    const tracker = new Tracker(modules(), engine);
    t.after(() => tracker.close());
    assert.throws(() => tracker.batch(() => {
      file(tracker, '/a');
      state.fail = { payload: { tag: 'other', val: 'the disk is gone' } };
      assert.throws(() => file(tracker, '/b'), (error) => error.tag === 'store' && /the disk is gone/.test(error.message));
      state.fail = undefined;
      assert.throws(() => file(tracker, '/c'), BatchAborted);
    }), BatchAborted);
    assert.equal(tracker.fileCount(), 0n);
    assert.equal(tracker.inBatch, false);
    file(tracker, '/a');
    assert.equal(tracker.fileCount(), 1n);
  });
}

overEngines(test, 'arguments of another type are refused, and the tracker is usable', (open) => {
  const tracker = open();
  file(tracker, '/a');
  assert.throws(() => tracker.getFile(5), TypeError);
  assert.throws(() => tracker.getFileByKey(5), TypeError);
  for (const number of [-1n, 2n ** 64n]) assert.throws(() => tracker.getFileByKey(number), /^TypeError: keyHash: expected a BigInt/);
  for (const limit of [-1, 0.5, 2 ** 32, 1n]) assert.throws(() => tracker.getRecentFiles(limit), TypeError);
  assert.throws(() => tracker.getFile('\ud83e'), /surrogate/);
  assert.throws(() => tracker.getFiles(['/a', undefined]), /paths\[1\]/);
  assert.throws(() => tracker.threadCount('no'), TypeError);
  assert.throws(() => tracker.countRows('files'), /file or symbol/);
  assert.throws(() => tracker.importRows([{ tag: 'metadata', val: { key: 'k' } }]), /rows\[0\]\.metadata\.value/);
  assert.throws(() => tracker.upsertFile('/b', 1, 10n, 'hash'), TypeError);
  // In a batch it is the call that is refused, not the batch.
  tracker.batch(() => assert.throws(() => file(tracker, '/b', 2n ** 64n), TypeError));
  assert.throws(() => tracker.call('noSuchFunction', []), TypeError);
  assert.throws(() => tracker.upsertFile('/b', NaN, 1n, 'h', 0n, 0n, 1n, []), (error) => error.tag === 'invalid-argument');
  assert.equal(tracker.call('fileCount', []), 1n);
  assert.equal(tracker.fileCount(), 1n);
  tracker.close();
  tracker.close();
  assert.throws(() => tracker.fileCount(), /closed/);
});

test('two sessions on a store in one process see each other, and do not wait for themselves', (t) => {
  const path = temporary(t);
  const open = () => {
    const tracker = new Tracker(modules(), LmdbEngine.open(path));
    t.after(() => tracker.close());
    return tracker;
  };
  const [first, second] = [open(), open()];
  first.batch(() => {
    file(first, '/a');
    assert.equal(second.fileCount(), 0n);
    assert.throws(() => file(second, '/b'), (error) => error.payload.val.tag === 'closed');
  });
  assert.equal(second.fileCount(), 1n);
  file(second, '/b');
  assert.equal(first.fileCount(), 2n);
});

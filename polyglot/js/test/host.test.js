/** One store, the native host and this one: what one writes the other reads, also at the same time. */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { exportLines, fromValue, functions, importLines, memoryTracker, openTracker, stringifyJson } from '../dist/index.js';
import { host, repository, runHost, temporary } from './support.js';

/** The test database, migrated by the native host. */
function migrated(t) {
  const dir = temporary(t);
  const store = join(dir, 'store');
  try {
    execFileSync(host, ['migrate', join(repository, 'tests/data/small.db'), store, '--no-backup'], { stdio: 'pipe' });
  } catch (error) {
    // Rows that the tracker does not take: one is in the test database.
    if (error.status !== 3) throw error;
  }
  return { dir, store };
}

const opened = (t, path, options) => {
  const tracker = openTracker(path, options);
  t.after(() => tracker.close());
  return tracker;
};

const lines = (text) => text.split('\n').filter((line) => line !== '');

test('a store that the native host wrote is read, to the last row', (t) => {
  const { store } = migrated(t);
  const tracker = opened(t, store, { readOnly: true });
  const exported = lines(runHost('export', store));
  assert.ok(exported.length > 2900);
  const own = [...exportLines(tracker)];
  assert.deepEqual(own.map((line) => JSON.parse(line)), exported.map((line) => JSON.parse(line)));
  assert.equal(tracker.verify().errors, 0n);
  assert.throws(() => tracker.setMetadata('a', 'b'), (error) => error.payload.val.tag === 'read-only');
});

test('every read without arguments, and look-ups by each path, answer as the native host does', (t) => {
  const { store } = migrated(t);
  const tracker = opened(t, store);
  const paths = [...tracker.iterFiles()].map(({ path }) => path);
  const writes = /^(begin|end|abort|clear|reindex)/;
  const expressions = [
    ...functions.filter(({ name, params }) => params.length === 0 && !writes.test(name)).map((f) => [f, []]),
    ...['get-file', 'get-symbols', 'get-patterns-for-file', 'get-threads-for-file'].flatMap((name) => {
      const found = functions.find((known) => known.name === name);
      return paths.map((path) => [found, [path]]);
    }),
  ];
  const input = expressions.map(([{ name }, given]) => `${name}(${given.map((text) => JSON.stringify(text)).join(', ')})\n`).join('');
  // WAVE has JSON's escapes but for \u00xx and \b, \f.
  const wave = input.replace(/\\u([0-9a-f]{4})/g, '\\u{$1}').replace(/\\b/g, '\\u{8}').replace(/\\f/g, '\\u{c}');
  const answers = lines(execFileSync(host, ['call', store, '-', '--json'], { input: wave, encoding: 'utf8', maxBuffer: 64 << 20 }));
  assert.equal(answers.length, expressions.length);
  for (const [index, [{ camelName, result }, given]] of expressions.entries()) {
    const answer = tracker.call(camelName, given);
    assert.deepEqual(JSON.parse(stringifyJson(fromValue(result, answer))), JSON.parse(answers[index]), `${camelName}(${given})`);
  }
});

test('a store that was written here is read and verified by the native host, also after it grew', async (t) => {
  const dir = temporary(t);
  const store = join(dir, 'store');
  const tracker = openTracker(store, { durability: 'no-sync', mapSize: 256 << 10 });
  const { store: source } = migrated(t);
  const exported = runHost('export', source);
  await importLines(tracker, lines(exported));
  tracker.batch(() => {
    for (let index = 0; index < 3000; index++) {
      tracker.upsertFile(`/more/${index}`, 1.5, 1n, 'h'.repeat(64), 0n, 1n, BigInt(index), ['context:cli']);
    }
  });
  tracker.deleteFiles(Array.from({ length: 3000 }, (_, index) => `/more/${index}`));
  tracker.close();
  assert.match(runHost('verify', store), / 0 errors/);
  assert.deepEqual(lines(runHost('export', store)), lines(exported));
  assert.match(runHost('stats', store), /files/);
  const copy = join(dir, 'copy');
  runHost('backup', store, copy);
  assert.match(runHost('verify', copy), / 0 errors/);
});

test('a store in memory holds the same rows', async (t) => {
  const { store } = migrated(t);
  const exported = lines(runHost('export', store));
  const tracker = memoryTracker();
  await importLines(tracker, exported);
  assert.deepEqual([...exportLines(tracker)].map((line) => JSON.parse(line)), exported.map((line) => JSON.parse(line)));
  const report = tracker.verify();
  const [, records, entries] = /(\d+) records and (\d+) index entries/.exec(runHost('verify', store));
  assert.deepEqual([report.records, report.indexEntries, report.errors], [BigInt(records), BigInt(entries), 0n]);
});

test('both have the store open at the same time: readers do not wait, writers wait for each other', async (t) => {
  const { store } = migrated(t);
  const tracker = opened(t, store, { durability: 'no-sync' });
  const session = spawn(host, ['call', store, '-', '--json'], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => session.kill());
  let output = '';
  session.stdout.setEncoding('utf8').on('data', (data) => (output += data));
  let asked = 0;
  const answer = async () => {
    while (lines(output).length < asked) await once(session.stdout, 'data');
    return lines(output)[asked - 1];
  };
  const ask = (expression) => {
    asked += 1;
    session.stdin.write(`${expression}\n`);
    return answer();
  };
  await ask('set-metadata("who", "host")');
  assert.equal(tracker.getMetadata('who'), 'host');
  tracker.setMetadata('who', 'js');
  assert.equal(await ask('get-metadata("who")'), '"js"');
  tracker.beginBatch();
  tracker.setMetadata('who', 'batch');
  assert.equal(await ask('get-metadata("who")'), '"js"');
  const written = ask('set-metadata("who", "host again")');
  // Another session of the host reads meanwhile; the one that writes has no answer.
  assert.equal(runHost('call', store, 'get-metadata("who")', '--json').trim(), '"js"');
  assert.equal(lines(output).length, asked - 1);
  tracker.endBatch();
  await written;
  assert.equal(tracker.getMetadata('who'), 'host again');
  // Its growth is noticed here.
  await ask(`set-metadata("large", "${'x'.repeat(20 << 20)}")`);
  assert.equal(tracker.getMetadata('large').length, 20 << 20);
  tracker.setMetadata('large', '');
  session.stdin.end();
  await once(session, 'exit');
  assert.match(runHost('verify', store), / 0 errors/);
});

test('a process that is killed in a batch leaves nothing of it, and the lock is free', async (t) => {
  const { store } = migrated(t);
  const script = `
    import { openTracker } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
    const tracker = openTracker(${JSON.stringify(store)});
    tracker.setMetadata('kept', 'yes');
    tracker.beginBatch();
    tracker.setMetadata('lost', 'yes');
    process.stdout.write('ready');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const tracker = opened(t, store);
  tracker.setMetadata('after', 'yes');
  assert.equal(tracker.getMetadata('kept'), 'yes');
  assert.equal(tracker.getMetadata('lost'), undefined);
  assert.match(runHost('verify', store), / 0 errors/);
});

test('the core modules that run here are those of the component, byte for byte', () => {
  assert.ok(process.env.TRACKER_ARTIFACTS, 'TRACKER_ARTIFACTS has the component; run polyglot/js/test.sh');
  const component = readFileSync(join(process.env.TRACKER_ARTIFACTS, 'tracker.wasm'));
  const generated = new URL('../generated/', import.meta.url);
  const names = readdirSync(generated).filter((name) => name.endsWith('.wasm'));
  assert.ok(names.length > 0);
  for (const name of names) assert.ok(component.includes(readFileSync(new URL(name, generated))), name);
});

/** The page in headless Chromium: what it shows is what the native host and the package answer. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { chromium } from 'playwright-core';

import { functions, importLines, memoryTracker, parseJson, stringifyJson } from '../../js/dist/index.js';
import { host, repository, runHost, temporary } from '../../js/test/support.js';

const built = fileURLToPath(new URL('../build/tracker.html', import.meta.url));
const sample = fileURLToPath(new URL('../build/sample.jsonl', import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser;
before(async () => {
  const executablePath = process.env.TRACKER_CHROMIUM ?? '/usr/bin/chromium';
  // Its sandbox does not work as root, nor in most containers; it opens nothing but the page.
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
});
after(() => browser?.close());

/** The page, opened from the disk unless it is said from where. It fails the test if anything goes wrong in it. */
async function open(t, address = pathToFileURL(built).href, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  const requests = [];
  page.on('pageerror', (error) => wrong.push(error));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && wrong.push(message.text()));
  page.on('request', (request) => requests.push(request.url()));
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  await page.goto(address);
  await page.getByText('Nothing is loaded yet').waitFor();
  return { page, requests };
}

const status = (page, text) => page.locator('#status', { hasText: text }).waitFor();

async function withSample(t, ...given) {
  const opened = await open(t, ...given);
  await opened.page.getByRole('button', { name: 'Use the sample' }).click();
  await status(opened.page, /records in/);
  return opened;
}

/** The same records in the package's own store in memory. */
async function trackerOf(t, file) {
  const tracker = memoryTracker();
  t.after(() => tracker.close());
  await importLines(tracker, readFileSync(file, 'utf8').split('\n'));
  return tracker;
}

const heading = (page, name) => page.getByRole('main').getByRole('heading', { level: 2, name, exact: true }).waitFor();
/** Follows a link of the navigation, and waits for what it shows. */
async function navigate(page, name) {
  await page.getByRole('navigation').getByRole('link', { name: new RegExp(`^${name}`) }).click();
  await heading(page, name);
}

/** The texts of a column of the table that is shown. */
const column = (page, number) => page.locator(`main tbody tr td:nth-child(${number})`).allTextContents();

/** The test database, with everything that is odd in names, as an exported file. */
function exported(t) {
  const dir = temporary(t);
  const store = join(dir, 'store');
  try {
    execFileSync(host, ['migrate', '--no-backup', join(repository, 'tests/data/small.db'), store], { stdio: 'pipe' });
  } catch (error) {
    // Rows that the tracker does not take: one is in the test database.
    if (error.status !== 3) throw error;
  }
  const file = join(dir, 'small.jsonl');
  runHost('export', store, '-o', file);
  return { store, file };
}

async function choose(page, name) {
  await navigate(page, 'Call');
  await page.getByLabel('Function', { exact: true }).selectOption({ label: name });
}

/** Presses the button, and returns the answer as JSON, or what went wrong. */
async function submit(page, name) {
  await page.getByRole('button', { name: `Call ${name}` }).click();
  const alert = page.locator('main').getByRole('alert');
  const answer = page.getByRole('region', { name: 'Answer' });
  await alert.or(answer).waitFor();
  if (await alert.isVisible()) return { failure: await alert.textContent() };
  const text = await answer.textContent();
  return { answer: text === 'ok' ? 'ok' : parseJson(text) };
}

test('the sample is shown, from one file and nothing else', async (t) => {
  const { page, requests } = await withSample(t);
  const tracker = await trackerOf(t, sample);
  assert.deepEqual(requests.filter((url) => !url.startsWith('data:')), [pathToFileURL(built).href]);
  const navigation = await page.getByRole('navigation').getByRole('link').allTextContents();
  const number = (count) => count.toLocaleString('en');
  assert.deepEqual(navigation.map((text) => text.trim()), [
    `Files ${number(tracker.fileCount())}`,
    `Symbols ${number(tracker.symbolCount())}`,
    `Memories ${number(tracker.memoryCount())}`,
    `Threads ${number(tracker.threadCount(false))}`,
    'Call',
  ]);
  assert.deepEqual(await column(page, 1), tracker.listFiles(undefined, 50).items.map(({ path }) => path));
  const context = tracker.listAvailableContexts()[0];
  await page.getByLabel('Context').selectOption(context);
  assert.deepEqual(await column(page, 1), tracker.listFilesByContext(context, undefined, 50).items.map(({ path }) => path));
  await page.getByLabel('the fifty indexed last').check();
  const recent = tracker.getRecentFiles(50).filter(({ detectedContexts }) => detectedContexts.includes(context));
  assert.deepEqual(await column(page, 1), recent.map(({ path }) => path));
});

test('a file, its symbols, a memory, a thread: from link to link', async (t) => {
  const { page } = await withSample(t);
  const tracker = await trackerOf(t, sample);
  const file = tracker.listFiles(undefined, 50).items.find(({ path }) => tracker.getSymbols(path).length > 10);
  await page.getByRole('link', { name: file.path, exact: true }).click();
  await heading(page, file.path);
  assert.equal(await page.title(), `${file.path} – tracker`);
  const facts = await page.locator('main dl').textContent();
  for (const text of [file.contentHash, String(file.keyHash), `${file.size.toLocaleString('en')} bytes`, ...file.detectedContexts]) {
    assert.ok(facts.includes(text), text);
  }
  const symbols = tracker.getSymbols(file.path);
  assert.deepEqual(await column(page, 1), symbols.map(({ name }) => name));
  assert.deepEqual(await column(page, 3), symbols.map(({ lineStart, lineEnd }) => (lineStart === lineEnd ? `${lineStart}` : `${lineStart}–${lineEnd}`)));
  const [thread] = tracker.getThreadsForFile(file.path);
  const { title } = tracker.getThread(thread);
  await page.getByRole('link', { name: title }).click();
  await heading(page, title);
  const paths = tracker.getThreadFiles(thread).map(({ filePath }) => filePath);
  const shown = await column(page, 1);
  assert.deepEqual(shown.slice(0, paths.length), paths);
  assert.ok(shown.includes(tracker.getThreadQueries(thread, 1)[0].queryText));
  await page.goBack();
  await heading(page, file.path);

  await navigate(page, 'Symbols');
  await page.getByLabel('Name contains').fill('CURSOR');
  await page.getByRole('button', { name: 'Search' }).click();
  const found = [...tracker.iterAllSymbols('CURSOR')].map(({ name }) => name);
  assert.ok(found.length > 0 && found.length <= 50);
  assert.deepEqual(await column(page, 1), found);

  await navigate(page, 'Memories');
  await page.getByLabel('Tag', { exact: true }).fill('memory');
  await page.getByRole('button', { name: 'Search' }).click();
  const memories = tracker.queryMemories(undefined, [], [], ['memory'], 200, 0);
  await page.getByText(`${memories.length} memories, newest first`).first().waitFor();
  await page.locator('main tbody a').first().click();
  await heading(page, `Memory ${memories[0].id}`);
  assert.equal(await page.getByRole('region', { name: 'Text' }).textContent(), memories[0].text);

  await navigate(page, 'Threads');
  assert.deepEqual(await column(page, 1), tracker.getRecentThreads(500, false).map((known) => known.title));
});

test('each call is listed with its time', async (t) => {
  const { page } = await withSample(t);
  const listed = page.locator('#log li');
  const calls = await listed.allTextContents();
  assert.match(calls[0], /^list-files\(null, 50\)(< )?\d+(\.\d)? ms$/);
  assert.ok(calls.some((text) => /^import-rows\(\[\d+ items\]\)/.test(text)));
  await choose(page, 'get-file');
  await page.getByLabel(/^path/).fill('guest/src/key.rs');
  await page.getByLabel('Repeat').fill('200');
  const { answer } = await submit(page, 'get-file');
  assert.equal(answer.path, 'guest/src/key.rs');
  assert.match(await page.locator('.took').textContent(), /^\d+\.\d µs a call, .* for 200 calls$/);
  assert.match(await listed.first().textContent(), /^get-file\("guest\/src\/key.rs"\) × 200/);
});

test('an exported file is opened, odd names and all, and every page of it is shown', async (t) => {
  const { page } = await open(t);
  const { file } = exported(t);
  const tracker = await trackerOf(t, file);
  await page.getByLabel('Open an exported file').setInputFiles(file);
  await status(page, /^small\.jsonl: 2,\d+ records in/);
  const more = page.getByRole('button', { name: 'Next 50' });
  while (await more.isVisible()) await more.click();
  const files = [...tracker.iterFiles()];
  assert.ok(files.length > 150);
  assert.deepEqual(await column(page, 1), files.map(({ path }) => (path === '' ? '(empty)' : path)));
  // What had the focus is gone with the last page; it is on the first that came with it.
  assert.equal(await page.evaluate(() => document.activeElement.closest('tbody') !== null), true);
  for (const { path, keyHash } of files.filter(({ path }) => /[^\w/.-]|^$/.test(path))) {
    await page.evaluate((to) => (location.hash = to), `#file/${encodeURIComponent(path)}`);
    await heading(page, path === '' ? '(empty)' : path.replace(/\s+/g, ' ').trim());
    assert.ok((await page.locator('main dl').textContent()).includes(String(keyHash)), path);
  }
});

test('a file that is dropped is opened', async (t) => {
  const { page } = await open(t);
  const transfer = await page.evaluateHandle((text) => {
    const data = new DataTransfer();
    data.items.add(new File([text], 'dropped.jsonl'));
    return data;
  }, '{"metadata":{"key":"a","value":"b"}}\n{"counter":{"name":"symbols","value":7}}');
  await page.dispatchEvent('main', 'dragover', { dataTransfer: transfer });
  assert.equal(await page.locator('body.dropping').count(), 1);
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
  await status(page, /^dropped\.jsonl: 2 records in/);
  assert.equal(await page.locator('body.dropping').count(), 0);
  await choose(page, 'get-metadata');
  await page.getByLabel(/^key/).fill('a');
  assert.deepEqual(await submit(page, 'get-metadata'), { answer: 'b' });
});

test('a file that is none is refused with its line, and what was shown stays', async (t) => {
  const { page } = await withSample(t);
  const before = await column(page, 1);
  const dir = temporary(t);
  const bad = {
    'line.jsonl': ['{"metadata":{"key":"a","value":"b"}}\n\n{"metadata":{"key":"a"}}\n', /line\.jsonl was not opened: line 3 is not a row: metadata: missing field "value"/],
    'text.jsonl': ['hello', /line 1 is not a row: expected a value at column 1/],
    'bytes.jsonl': [Buffer.of(0xff, 0xfe), /bytes\.jsonl was not opened: /],
  };
  for (const [name, [content, reason]] of Object.entries(bad)) {
    writeFileSync(join(dir, name), content);
    await page.getByLabel('Open an exported file').setInputFiles(join(dir, name));
    await page.locator('#failure', { hasText: reason }).waitFor();
    assert.deepEqual(await column(page, 1), before);
  }
  await page.getByRole('button', { name: 'Use the sample' }).click();
  await status(page, /records in/);
  assert.equal(await page.locator('#failure').isVisible(), false);
});

test('calls answer as the native host does', async (t) => {
  const { page } = await open(t);
  const { file, store } = exported(t);
  await page.getByLabel('Open an exported file').setInputFiles(file);
  await status(page, /records in/);
  const writes = /^(begin|end|abort|clear|reindex)/;
  const names = functions.filter(({ name, params }) => params.length === 0 && !writes.test(name)).map(({ name }) => name);
  assert.ok(names.length > 15);
  const input = names.map((name) => `${name}()\n`).join('');
  const answers = execFileSync(host, ['call', store, '-', '--json'], { input, encoding: 'utf8', maxBuffer: 64 << 20 }).trim().split('\n');
  for (const [index, name] of names.entries()) {
    await choose(page, name);
    const { answer } = await submit(page, name);
    assert.equal(stringifyJson(answer), stringifyJson(parseJson(answers[index])), name);
  }
});

test('arguments of every kind, errors, and writes that are seen', async (t) => {
  const { page } = await withSample(t);
  const tracker = await trackerOf(t, sample);
  // A page and the next.
  await choose(page, 'list-files');
  await page.getByLabel(/^limit/).fill('3');
  const first = await submit(page, 'list-files');
  await page.getByRole('button', { name: 'Next page' }).click();
  await page.getByRole('region', { name: 'Answer' }).filter({ hasText: tracker.listFiles(undefined, 4).items[3].path }).waitFor();
  assert.deepEqual(first.answer.items.map(({ path }) => path), tracker.listFiles(undefined, 3).items.map(({ path }) => path));
  // None, and a text that is empty.
  await choose(page, 'list-all-symbols');
  assert.equal((await submit(page, 'list-all-symbols')).answer.items.length, 10);
  await page.getByLabel(/^name-filter/).fill('no such symbol');
  assert.equal((await submit(page, 'list-all-symbols')).answer.items.length, 0);
  // Numbers that no double holds, booleans, lists.
  await choose(page, 'upsert-file');
  const fields = { path: '/new <b>&amp;', mtime: '1.5', size: '9', 'content-hash': 'h', 'key-hash': '18446744073709551615', contexts: '["a", "b"]' };
  for (const [name, text] of Object.entries(fields)) await page.getByLabel(new RegExp(`^${name} `)).fill(text);
  const count = await page.locator('[data-count="files"]').textContent();
  assert.deepEqual(await submit(page, 'upsert-file'), { answer: 'ok' });
  assert.equal(await page.locator('[data-count="files"]').textContent(), String(Number(count) + 1));
  await choose(page, 'get-file-by-key');
  await page.getByLabel(/^key-hash/).fill('18446744073709551615');
  const { answer } = await submit(page, 'get-file-by-key');
  assert.deepEqual([answer.path, answer['key-hash'], answer['detected-contexts']], ['/new <b>&amp;', 2n ** 64n - 1n, ['a', 'b']]);
  await navigate(page, 'Files');
  assert.ok((await column(page, 1)).includes('/new <b>&amp;'));
  // What the component refuses, and what never gets there.
  await choose(page, 'upsert-file');
  await page.getByLabel(/^mtime/).fill('nan');
  assert.match((await submit(page, 'upsert-file')).failure, /^invalid argument: /);
  await page.getByLabel(/^mtime/).fill('x1');
  assert.match((await submit(page, 'upsert-file')).failure, /^mtime: expected a value at column 1/);
  await choose(page, 'get-file-by-key');
  await page.getByLabel(/^key-hash/).fill('18446744073709551616');
  assert.match((await submit(page, 'get-file-by-key')).failure, /^key-hash: expected a whole number/);
  // Lists of records come with an example that works.
  await choose(page, 'import-rows');
  await page.getByLabel(/^rows/).fill('[{"metadata": {"key": "k", "value": "v"}}]');
  assert.deepEqual(await submit(page, 'import-rows'), { answer: 'ok' });
  await choose(page, 'export-rows');
  await page.getByLabel(/^kind/).selectOption('metadata');
  assert.deepEqual((await submit(page, 'export-rows')).answer.items.map((row) => stringifyJson(row)), ['{"metadata":{"key":"k","value":"v"}}']);
  await choose(page, 'verify');
  assert.equal((await submit(page, 'verify')).answer.errors, 0n);
});

test('every function has a form whose first values are of the types', async (t) => {
  const { page } = await open(t);
  for (const { name, params } of functions) {
    await choose(page, name);
    for (const param of params) await page.getByLabel(new RegExp(`^${param.name} `)).waitFor();
    const { failure } = await submit(page, name);
    // The component may refuse the values; they reach it.
    if (failure !== undefined) assert.match(failure, /^(invalid argument|key conflict): /, name);
  }
});

test('everything can be reached with the keyboard', async (t) => {
  const { page } = await open(t);
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  const tabTo = async (text) => {
    for (let presses = 0; presses < 80; presses++) {
      await page.keyboard.press('Tab');
      if (text.test(await focused())) return;
    }
    assert.fail(`the focus does not come to ${text}`);
  };
  await tabTo(/^Skip to the records$/);
  await tabTo(/^Use the sample$/);
  await page.keyboard.press('Enter');
  await status(page, /records in/);
  await tabTo(/^Threads/);
  await page.keyboard.press('Enter');
  await heading(page, 'Threads');
  assert.equal(await focused(), 'Threads');
  await tabTo(/^What is in guest\/src$/);
  await page.keyboard.press('Enter');
  await heading(page, 'What is in guest/src');
  // Headless, the browser has no key of its own for this.
  await page.goBack();
  await heading(page, 'Threads');
  assert.equal(await focused(), 'Threads');
  await page.goto(`${pathToFileURL(built).href}#call/fileCount`);
  await heading(page, 'Call');
  await tabTo(/^Call file-count$/);
  await page.keyboard.press('Space');
  await page.getByRole('region', { name: 'Answer' }).waitFor();
  // The field for files takes the focus too, and shows it.
  await page.locator('#file').focus();
  const outline = await page.locator('label[for=file]').evaluate((label) => getComputedStyle(label).outlineStyle);
  assert.equal(outline, 'solid');
});

for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 360]]) {
  test(`axe finds nothing to complain about, and nothing is wider than the window (${scheme}, ${width} pixels)`, async (t) => {
    const { page } = await withSample(t, undefined, { colorScheme: scheme, viewport: { width, height: 800 }, bypassCSP: true });
    await page.evaluate(axe);
    const views = ['files', 'file/guest%2Fsrc%2Fkey.rs', 'symbols', 'memories', 'memory/guest%2Fsrc%2Fkey.rs', 'threads', 'thread/1', 'call/upsertMemory', 'thread/99'];
    for (const view of views) {
      await page.evaluate((to) => (location.hash = to), `#${view}`);
      await page.locator('main h2').waitFor();
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], view);
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(content <= window, `${view}: ${content} pixels in ${window}`);
    }
  });
}

test('a static server serves it as well', async (t) => {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/' ? 200 : 404, { 'content-type': 'text/html' });
    response.end(request.url === '/' ? readFileSync(built) : '');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { page, requests } = await withSample(t, `http://127.0.0.1:${server.address().port}/`);
  assert.equal(requests.filter((url) => url.startsWith('http')).length, 1);
  if (process.env.TRACKER_SCREENSHOT !== undefined) {
    await page.setViewportSize({ width: 1100, height: 640 });
    await page.evaluate(() => (location.hash = '#file/guest%2Fsrc%2Fkey.rs'));
    await heading(page, 'guest/src/key.rs');
    await page.evaluate(() => document.activeElement.blur());
    await page.screenshot({ path: process.env.TRACKER_SCREENSHOT });
  }
});

/** The page: where records come from, what is shown, what was called. */

import { ImportError, type Modules, importLines } from '../../js/dist/core.js';
import { type Child, duration, h, quantity } from './dom.js';
import { embedded, linesOf } from './lines.js';
import { type Made, Session } from './session.js';
import { call } from './views/call.js';
import { file, files } from './views/files.js';
import { memories, memory } from './views/memories.js';
import { symbols } from './views/symbols.js';
import { thread, threads } from './views/threads.js';

/** Calls that are listed. */
const LISTED = 60;

function element<T extends HTMLElement = HTMLElement>(selector: string): T {
  const found = document.querySelector<T>(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return found;
}

const view = element('#view');
const status = element('#status');
const failure = element('#failure');
const made = element('#log ol');
const picker = element<HTMLInputElement>('#file');

function listed({ text, milliseconds, failure }: Made): void {
  const took = h('span', { class: 'time' }, duration(milliseconds));
  const parts = failure === undefined ? [] : [h('span', { class: 'bad' }, ` ${failure}`)];
  made.prepend(h('li', {}, h('code', {}, text, ...parts), took));
  while (made.children.length > LISTED) made.lastElementChild?.remove();
}

/** Views by the first part of the address; a view has the parts of the navigation that it belongs to. */
const views: Readonly<Record<string, readonly [string, (session: Session, key: string) => Child[]]>> = {
  files: ['files', files],
  file: ['files', file],
  symbols: ['symbols', symbols],
  memories: ['memories', memories],
  memory: ['memories', memory],
  threads: ['threads', threads],
  thread: ['threads', (session, key) => thread(session, BigInt(/^\d+$/.test(key) ? key : '0'))],
  call: ['call', (session, key) => call(session, key, () => counts(session))],
};

let current: Session;

function counts(session: Session): void {
  const numbers = {
    files: session.quietly('fileCount'),
    symbols: session.quietly('symbolCount'),
    memories: session.quietly('memoryCount'),
    threads: session.quietly('threadCount', false),
  };
  for (const [name, count] of Object.entries(numbers)) {
    element(`[data-count="${name}"]`).textContent = count?.toLocaleString('en') ?? '';
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Shows what the address says. */
function show(): void {
  const [, name = '', key = ''] = /^#?([^/]*)\/?(.*)$/s.exec(location.hash) ?? [];
  const [part, make] = views[name] ?? (views['files'] as NonNullable<(typeof views)[string]>);
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#${part}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    view.replaceChildren(...make(current, decoded(key)).filter((child) => child !== undefined));
  } catch (error) {
    view.replaceChildren(h('h2', { tabindex: '-1' }, 'This could not be read'), h('p', { class: 'bad', role: 'alert' }, (error as Error).message));
  }
  document.title = `${view.querySelector('h2')?.textContent ?? ''} – tracker`;
  counts(current);
}

/** Fills a new store, and shows it when it is whole; what was shown stays if it fails. */
async function load(modules: Modules, from: string, stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
  failure.hidden = true;
  try {
    const session = new Session(modules, listed);
    const begun = performance.now();
    const { rows } = await importLines(session, linesOf(stream), async (now) => {
      status.textContent = `${from}: ${quantity(now.rows, 'record', 'records')}…`;
      // Lets the page show it.
      await new Promise((resolve) => setTimeout(resolve));
    });
    current = session;
    status.textContent = `${from}: ${quantity(rows, 'record', 'records')} in ${duration(performance.now() - begun)}.`;
    show();
  } catch (error) {
    status.textContent = '';
    const reason = error instanceof ImportError || error instanceof Error ? error.message : String(error);
    failure.textContent = `${from} was not opened: ${reason}`;
    failure.hidden = false;
  }
}

async function modulesOf(ids: Iterable<Element>): Promise<Modules> {
  const compiled = Array.from(ids, async ({ id }): Promise<[string, WebAssembly.Module]> => {
    const bytes = await new Response(embedded(id)).arrayBuffer();
    return [id, await WebAssembly.compile(bytes)];
  });
  return new Map(await Promise.all(compiled));
}

/** Files that are dropped anywhere on the page. */
function takeDrops(open: (file: File) => void): void {
  const dropping = (event: DragEvent, is: boolean): void => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    document.body.classList.toggle('dropping', is);
  };
  document.addEventListener('dragover', (event) => dropping(event, true));
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) dropping(event, false);
  });
  document.addEventListener('drop', (event) => {
    dropping(event, false);
    const [dropped] = event.dataTransfer?.files ?? [];
    if (dropped !== undefined) open(dropped);
  });
}

async function run(): Promise<void> {
  const modules = await modulesOf(document.querySelectorAll('script[type="application/wasm"]'));
  current = new Session(modules, listed);
  // One after the other: the one that was opened last is shown in the end.
  let loading = Promise.resolve();
  const open = (from: string, stream: () => ReadableStream<Uint8Array<ArrayBuffer>>): void => {
    loading = loading.then(() => load(modules, from, stream()));
  };
  const openFile = (file: File): void => open(file.name, () => file.stream());
  element('#sample').addEventListener('click', () => open('The sample', () => embedded('sample-records')));
  picker.addEventListener('change', () => {
    const [picked] = picker.files ?? [];
    if (picked !== undefined) openFile(picked);
    // So that the same file can be picked again.
    picker.value = '';
  });
  takeDrops(openFile);
  window.addEventListener('hashchange', () => {
    show();
    view.querySelector<HTMLElement>('h2')?.focus();
  });
  status.textContent = 'Nothing is loaded yet: open a file, or use the sample.';
  show();
}

run().catch((error: unknown) => {
  status.textContent = '';
  failure.textContent = `The component cannot be loaded: ${(error as Error).message}`;
  failure.hidden = false;
});

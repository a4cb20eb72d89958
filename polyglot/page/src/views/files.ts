/** Files: the list, and one of them with what belongs to it. */

import type { FileRecord, SymbolRecord } from '../../../js/dist/core.js';
import { type Child, type Column, facts, h, link, quantity, row, shown, table, tags, time } from '../dom.js';
import type { Session } from '../session.js';
import { choice, filtered, labelled, pages } from './list.js';
import { symbolCells, symbolColumns } from './symbols.js';

const columns: readonly Column[] = [
  { title: 'Path' },
  { title: 'Bytes', number: true },
  { title: 'Indexed' },
  { title: 'Contexts' },
];

const cells = (file: FileRecord): Child[] => [
  link('file', file.path, file.path),
  file.size.toLocaleString('en'),
  time(file.indexedAt),
  tags(file.detectedContexts),
];

export function files(session: Session): Child[] {
  const contexts = choice('all', session.call('listAvailableContexts').filter((context) => context !== ''));
  const recent = h('input', { type: 'checkbox' });
  const list = (): HTMLElement => {
    if (recent.checked) {
      const found = session.call('getRecentFiles', 50).filter((file) => contexts.value === '' || file.detectedContexts.includes(contexts.value));
      return table('The files indexed last', columns, found.map((file) => row(columns, cells(file))));
    }
    if (contexts.value === '') return pages('Files by path', columns, (after, limit) => session.call('listFiles', after, limit), cells);
    return pages(
      `Files with ${contexts.value}`,
      columns,
      (after, limit) => session.call('listFilesByContext', contexts.value, after, limit),
      cells,
    );
  };
  return [
    h('h2', { tabindex: '-1' }, 'Files'),
    ...filtered('Which files', [labelled('Context', contexts), h('label', {}, recent, ' the fifty indexed last')], list),
  ];
}

export function file(session: Session, path: string): Child[] {
  const heading = h('h2', { tabindex: '-1' }, shown(path));
  const found = session.call('getFile', path);
  if (found === undefined) return [heading, h('p', {}, 'There is no such file in the store.')];
  const symbols = session.call('getSymbols', path);
  const patterns = Array.from(session.call('getPatternsForFile', path), (key) => session.call('getPatternCache', key));
  const threads = Array.from(session.call('getThreadsForFile', path), (id) => [id, session.call('getThread', id)] as const);
  return [
    heading,
    facts([
      ['Size', quantity(found.size, 'byte', 'bytes')],
      ['Modified', time(found.mtime)],
      ['Indexed', time(found.indexedAt)],
      ['Content hash', h('code', {}, shown(found.contentHash))],
      ['Key hash', h('code', {}, String(found.keyHash))],
      ['Blob', `${found.blobLength} bytes from ${found.blobOffset}`],
      ['Vector', found.vectorOffset === undefined ? 'none' : `${found.vectorLength ?? '?'} bytes from ${found.vectorOffset}`],
      ['Contexts', tags(found.detectedContexts)],
      ['From the team', found.isTeam ? 'yes' : undefined],
    ]),
    h('h3', {}, 'Symbols'),
    symbols.length === 0 ? h('p', {}, 'None.') : symbolTable(symbols),
    ...(patterns.length === 0 ? [] : [h('h3', {}, 'Patterns that matched')]),
    ...patterns.map((pattern) => pattern && h('p', {}, h('code', {}, pattern.pattern), ` (${pattern.toolType}), `, time(pattern.createdAt))),
    ...(threads.length === 0 ? [] : [h('h3', {}, 'Threads that worked on it')]),
    ...threads.map(([id, thread]) => h('p', {}, thread ? link('thread', id, thread.title) : `thread ${id}, which is not in the store`)),
  ];
}

/** Without the column that would be the same in each row: the file. */
function symbolTable(symbols: readonly SymbolRecord[]): HTMLElement {
  const columns = symbolColumns.slice(0, -1);
  return table('Symbols of the file', columns, symbols.map((symbol) => row(columns, symbolCells(symbol).slice(0, -1))));
}

/** Session threads: those touched last, and one of them with its files, queries and tools. */

import type { ThreadRecord } from '../../../js/dist/core.js';
import { type Child, type Column, facts, h, link, row, shown, table, time } from '../dom.js';
import type { Session } from '../session.js';
import { filtered } from './list.js';

const columns: readonly Column[] = [
  { title: 'Title' },
  { title: 'Session' },
  { title: 'Touches', number: true },
  { title: 'Last touched' },
  { title: 'Active' },
];

const cells = (thread: ThreadRecord): Child[] => [
  link('thread', thread.id, thread.title),
  thread.sessionId,
  String(thread.touches),
  time(thread.lastTouch),
  thread.isActive ? 'yes' : 'no',
];

/** Most that the list shows. */
const MOST = 500;

export function threads(session: Session): Child[] {
  const active = h('input', { type: 'checkbox' });
  const list = (): HTMLElement => {
    const found = session.call('getRecentThreads', MOST, active.checked);
    if (found.length === 0) return h('p', {}, 'No threads.');
    const caption = found.length < MOST ? 'Threads, last touched first' : `The ${MOST} threads touched last`;
    return table(caption, columns, found.map((thread) => row(columns, cells(thread))));
  };
  return [
    h('h2', { tabindex: '-1' }, 'Threads'),
    ...filtered('Which threads', [h('label', {}, active, ' only active ones')], list),
  ];
}

export function thread(session: Session, id: bigint): Child[] {
  const found = session.call('getThread', id);
  if (found === undefined) {
    return [h('h2', { tabindex: '-1' }, `Thread ${id}`), h('p', {}, 'There is no such thread in the store.')];
  }
  const part = (title: string, columns: readonly Column[], rows: readonly (readonly Child[])[]): Child[] => [
    h('h3', {}, title),
    rows.length === 0 ? h('p', {}, 'None.') : table(`${title} of the thread`, columns, rows.map((cells) => row(columns, cells))),
  ];
  return [
    h('h2', { tabindex: '-1' }, shown(found.title)),
    facts([
      ['Id', String(found.id)],
      ['Session', found.sessionId],
      ['Created', time(found.createdAt)],
      ['Last touched', time(found.lastTouch)],
      ['Touches', String(found.touches)],
      ['Active', found.isActive ? 'yes' : 'no'],
    ]),
    ...part(
      'Files',
      [{ title: 'Path' }, { title: 'Operation' }, { title: 'Accesses', number: true }, { title: 'Last' }],
      session.call('getThreadFiles', id).map((used) => [
        link('file', used.filePath, used.filePath),
        used.operation,
        String(used.accessCount),
        time(used.lastAccess),
      ]),
    ),
    ...part(
      'Queries',
      [{ title: 'Text' }, { title: 'When' }],
      session.call('getThreadQueries', id, MOST).map((query) => [query.queryText, time(query.timestamp)]),
    ),
    ...part(
      'Tools',
      [{ title: 'Tool' }, { title: 'Uses', number: true }, { title: 'Last' }],
      session.call('getThreadTools', id).map((tool) => [tool.toolName, String(tool.toolCount), time(tool.lastUsed)]),
    ),
  ];
}

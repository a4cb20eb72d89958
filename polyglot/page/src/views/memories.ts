/** Memories: newest first, or those that have a task, contexts, insights, tags. */

import type { MemoryRecord } from '../../../js/dist/core.js';
import { type Child, type Column, facts, h, link, row, shown, table, tags, time } from '../dom.js';
import type { Session } from '../session.js';
import { filtered, labelled, pages } from './list.js';

const columns: readonly Column[] = [{ title: 'Text' }, { title: 'Task' }, { title: 'Tags' }, { title: 'Created' }];

const firstLine = (text: string): string => {
  const [line = ''] = text.trim().split('\n');
  return line.length > 90 ? `${line.slice(0, 90)}…` : line;
};

const cells = (memory: MemoryRecord): Child[] => [
  link('memory', memory.id, firstLine(memory.text)),
  memory.task,
  tags(memory.tags),
  time(memory.createdAt),
];

/** Most that a query shows. */
const MOST = 200;

export function memories(session: Session): Child[] {
  const fields = { task: 'Task', context: 'Context', insight: 'Insight', tag: 'Tag' };
  const inputs = Object.fromEntries(Object.keys(fields).map((name) => [name, h('input', { type: 'search', size: '12' })]));
  const value = (name: keyof typeof fields): string => inputs[name]?.value ?? '';
  const some = (name: keyof typeof fields): string[] => (value(name) === '' ? [] : [value(name)]);
  const list = (): HTMLElement => {
    if (Object.values(inputs).every((input) => input.value === '')) {
      return pages('Memories, newest first', columns, (after, limit) => session.call('listMemories', after, limit), cells);
    }
    const found = session.call('queryMemories', value('task') || undefined, some('context'), some('insight'), some('tag'), MOST, 0);
    if (found.length === 0) return h('p', {}, 'No memory has all of these.');
    const caption = found.length < MOST ? `${found.length} memories, newest first` : `The newest ${MOST} memories`;
    return table(caption, columns, found.map((memory) => row(columns, cells(memory))));
  };
  return [
    h('h2', { tabindex: '-1' }, 'Memories'),
    ...filtered(
      'Which memories',
      [
        ...Object.entries(fields).map(([name, text]) => labelled(text, inputs[name] as HTMLInputElement)),
        h('button', { type: 'submit' }, 'Search'),
      ],
      list,
    ),
  ];
}

export function memory(session: Session, id: string): Child[] {
  const heading = h('h2', { tabindex: '-1' }, `Memory ${shown(id)}`);
  const found = session.call('getMemory', id);
  if (found === undefined) return [heading, h('p', {}, 'There is no such memory in the store.')];
  const symbols = Array.from(found.symbolKeys, (key) => [key, session.call('getSymbolByKey', key)] as const);
  return [
    heading,
    h('pre', { class: 'text', tabindex: '0', role: 'region', 'aria-label': 'Text' }, shown(found.text)),
    facts([
      ['Task', found.task],
      ['Tags', tags(found.tags)],
      ['Context', tags(found.context)],
      ['Insights', tags(found.insights)],
      ['Created', time(found.createdAt)],
      ['Updated', found.updatedAt === undefined ? undefined : time(found.updatedAt)],
      ['Accessed', found.lastAccessed === undefined ? undefined : time(found.lastAccessed)],
      ['Key hash', h('code', {}, String(found.keyHash))],
      ['Owner', found.ownerId],
    ]),
    ...(symbols.length === 0 ? [] : [h('h3', {}, 'Symbols')]),
    ...symbols.map(([key, symbol]) =>
      symbol === undefined
        ? h('p', {}, 'key ', h('code', {}, String(key)), ', of which there is no symbol')
        : h('p', {}, h('code', {}, symbol.name), ` (${symbol.kind}) in `, link('file', symbol.filePath, symbol.filePath)),
    ),
  ];
}

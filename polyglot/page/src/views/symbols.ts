/** Symbols, by name or by kind of insight. */

import type { SymbolRecord } from '../../../js/dist/core.js';
import { type Child, type Column, h, link, shown } from '../dom.js';
import type { Session } from '../session.js';
import { choice, filtered, labelled, pages } from './list.js';

export const symbolColumns: readonly Column[] = [
  { title: 'Name' },
  { title: 'Kind' },
  { title: 'Lines', number: true },
  { title: 'File' },
];

export const symbolCells = (symbol: SymbolRecord): Child[] => [
  h('code', {}, shown(symbol.name)),
  symbol.kind,
  symbol.lineEnd === undefined || symbol.lineEnd === symbol.lineStart ? String(symbol.lineStart) : `${symbol.lineStart}–${symbol.lineEnd}`,
  link('file', symbol.filePath, symbol.filePath),
];

export function symbols(session: Session): Child[] {
  const name = h('input', { type: 'search', spellcheck: 'false' });
  const insights = choice('all symbols', session.call('listAvailableInsights'));
  const list = (): HTMLElement =>
    insights.value === ''
      ? pages(
          name.value === '' ? 'Symbols by name' : `Symbols whose name contains ${name.value}`,
          symbolColumns,
          (after, limit) => session.call('listAllSymbols', name.value === '' ? undefined : name.value, after, limit),
          symbolCells,
        )
      : pages(
          `${insights.value}, by file`,
          symbolColumns,
          (after, limit) => session.call('listInsightsByType', insights.value, after, limit),
          symbolCells,
        );
  insights.addEventListener('change', () => (name.disabled = insights.value !== ''));
  return [
    h('h2', { tabindex: '-1' }, 'Symbols'),
    ...filtered(
      'Which symbols',
      [labelled('Name contains', name), h('button', { type: 'submit' }, 'Search'), labelled('Insights', insights)],
      list,
    ),
  ];
}

/** A list that is shown page by page. */

import type { Cursor } from '../../../js/dist/core.js';
import { type Child, type Column, h, row, table } from '../dom.js';

/** Records a page. */
const PAGE = 50;

interface Page<T> {
  readonly items: readonly T[];
  readonly next?: Cursor | undefined;
}

/** A table of the first page, and a button that gets the next one as long as there is one. */
export function pages<T>(
  caption: string,
  columns: readonly Column[],
  load: (after: Cursor | undefined, limit: number) => Page<T>,
  cells: (item: T) => readonly Child[],
): HTMLElement {
  const first = load(undefined, PAGE);
  const rowsOf = ({ items }: Page<T>): HTMLTableRowElement[] => items.map((item) => row(columns, cells(item)));
  if (first.items.length === 0) return h('p', {}, `${caption}: none.`);
  const shown = table(caption, columns, rowsOf(first));
  let { next } = first;
  let count = first.items.length;
  const state = h('span', { class: 'note', role: 'status' });
  const tell = (): void => {
    state.textContent = next === undefined ? `All ${count.toLocaleString('en')} are shown.` : `${count.toLocaleString('en')} are shown.`;
  };
  const more = h('button', { type: 'button' }, `Next ${PAGE}`);
  more.addEventListener('click', () => {
    const page = load(next, PAGE);
    const rows = rowsOf(page);
    shown.querySelector('tbody')?.append(...rows);
    count += rows.length;
    next = page.next;
    tell();
    if (next !== undefined) return;
    more.remove();
    // What had the focus is gone.
    const [added] = rows;
    (added?.querySelector<HTMLElement>('a') ?? shown).focus();
  });
  tell();
  return h('div', {}, shown, h('p', { class: 'field' }, next === undefined ? undefined : more, state));
}

/** A form that shows its list anew when something in it is changed. */
export function filtered(label: string, fields: readonly HTMLElement[], list: () => HTMLElement): HTMLElement[] {
  const place = h('div', {}, list());
  const show = (): void => place.replaceChildren(list());
  const form = h('form', { 'aria-label': label, role: 'search' }, ...fields);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    show();
  });
  form.addEventListener('change', show);
  return [form, place];
}

/** A field with its label. */
export function labelled<T extends HTMLElement>(text: string, field: T): HTMLLabelElement {
  return h('label', { class: 'field' }, `${text} `, field);
}

/** A choice. The first is of everything. */
export function choice(all: string, texts: readonly string[]): HTMLSelectElement {
  return h('select', {}, h('option', { value: '' }, all), ...texts.map((text) => h('option', { value: text }, text)));
}

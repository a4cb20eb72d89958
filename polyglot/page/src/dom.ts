/** Elements, and how values are shown. Text is only ever set as text. */

export type Child = Node | string | undefined;

type Properties = Readonly<Record<string, string | boolean | ((event: never) => void)>>;

/** An element. A function is a listener of the event that the name after `on` says; true is an attribute without a value. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as (event: Event) => void);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** A column: its heading, and whether it is of numbers. */
export interface Column {
  readonly title: string;
  readonly number?: boolean;
}

export function row(columns: readonly Column[], cells: readonly Child[]): HTMLTableRowElement {
  return h('tr', {}, ...cells.map((cell, index) => h('td', columns[index]?.number ? { class: 'number' } : {}, cell)));
}

/** A table in a region that scrolls by itself. */
export function table(caption: string, columns: readonly Column[], rows: readonly HTMLTableRowElement[]): HTMLElement {
  const heads = columns.map(({ title, number }) => h('th', { scope: 'col', ...(number && { class: 'number' }) }, title));
  return h(
    'div',
    { class: 'scroll', role: 'region', 'aria-label': caption, tabindex: '0' },
    h('table', {}, h('caption', {}, caption), h('thead', {}, h('tr', {}, ...heads)), h('tbody', {}, ...rows)),
  );
}

/** Names and values. Values that are missing are left out. */
export function facts(entries: readonly (readonly [string, Child])[]): HTMLDListElement {
  return h(
    'dl',
    {},
    ...entries.flatMap(([name, value]) => (value === undefined ? [] : [h('dt', {}, name), h('dd', {}, value)])),
  );
}

export function tags(texts: readonly string[]): HTMLUListElement | undefined {
  return texts.length === 0 ? undefined : h('ul', { class: 'tags' }, ...texts.map((text) => h('li', { title: text }, shown(text))));
}

/** A text that may be empty. */
export function shown(text: string): string {
  return text === '' ? '(empty)' : text;
}

/** A link within the page. */
export function link(to: string, key: string | bigint, text: string): HTMLAnchorElement {
  return h('a', { href: `#${to}/${encodeURIComponent(String(key))}` }, shown(text));
}

/** A number of records in words. */
export function quantity(number: number | bigint, one: string, many: string): string {
  return `${number.toLocaleString('en')} ${number === 1 || number === 1n ? one : many}`;
}

/** Seconds since 1970, in UTC. */
export function time(seconds: number): HTMLElement | string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  const iso = date.toISOString();
  return h('time', { datetime: iso, title: `${seconds} s` }, iso.slice(0, 19).replace('T', ' '));
}

/** How long something took. */
export function duration(milliseconds: number): string {
  if (milliseconds < 0.1) return '< 0.1 ms';
  return milliseconds < 100 ? `${milliseconds.toFixed(1)} ms` : `${Math.round(milliseconds)} ms`;
}

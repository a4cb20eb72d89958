/** Any function of the component: its documentation, a field for each argument, the answer as JSON. */

import { type FunctionDefinition, fromValue, functions, stringifyJson, toValue, typeName } from '../../../js/dist/core.js';
import { type Child, duration, h, quantity } from '../dom.js';
import { type Session, byName } from '../session.js';
import { type Control, controlFor } from './fields.js';

/** Characters of an answer that are shown. */
const SHOWN = 200_000;

/** `changed` is told after each call, which may have written something. */
export function call(session: Session, name: string, changed: () => void): Child[] {
  const current = byName.get(name) ?? (byName.get('getRecentFiles') as FunctionDefinition);
  const sections = [...new Set(functions.map(({ section }) => section))];
  const select = h(
    'select',
    { id: 'function' },
    ...sections.map((section) =>
      h(
        'optgroup',
        { label: section },
        ...functions
          .filter((known) => known.section === section)
          .map((known) => h('option', { value: known.camelName, selected: known === current }, known.name)),
      ),
    ),
  );
  const place = h('div', {}, ...form(session, current, changed));
  select.addEventListener('change', () => {
    // Without an entry in the history for each that one passes over with the arrow keys.
    history.replaceState(null, '', `#call/${select.value}`);
    place.replaceChildren(...form(session, byName.get(select.value) as FunctionDefinition, changed));
  });
  return [
    h('h2', { tabindex: '-1' }, 'Call'),
    h('p', { class: 'field' }, h('label', { for: 'function' }, 'Function'), select),
    place,
  ];
}

function form(session: Session, definition: FunctionDefinition, changed: () => void): HTMLElement[] {
  const { camelName, params, result, docs, name } = definition;
  const controls = params.map((param): Control => controlFor(param));
  const repeat = h('input', { id: 'repeat', type: 'number', min: '1', max: '100000', value: '1' });
  const output = h('div', {});
  const next = h('button', { type: 'button', hidden: true }, 'Next page');
  const fields = h(
    'form',
    { class: 'call', 'aria-label': name },
    ...controls.flatMap(({ label, element }) => [label, element]),
    h('label', { for: 'repeat' }, 'Repeat'),
    h('div', { class: 'field' }, repeat, h('span', { class: 'note' }, 'times, for the time a call takes')),
    h('div', { class: 'field wide' }, h('button', { type: 'submit', class: 'first' }, `Call ${name}`), next),
  );
  const run = (): void => {
    next.hidden = true;
    const times = Math.max(1, Math.min(100_000, Math.floor(repeat.valueAsNumber) || 1));
    try {
      const given = controls.map(({ read }, index) => {
        const { type, name } = params[index] as (typeof params)[number];
        return toValue(type, read(), name);
      });
      const { answer, milliseconds } = session.calls(camelName, given, times);
      const json = result === undefined ? undefined : fromValue(result, answer);
      output.replaceChildren(...answered(json === undefined ? 'ok' : stringifyJson(json, 2), milliseconds, times));
      const cursor = typeof json === 'object' && json !== null && !Array.isArray(json) ? json['next'] : undefined;
      const after = controls[params.findIndex((param) => param.name === 'after')];
      if (typeof cursor === 'string' && after !== undefined) {
        next.hidden = false;
        next.onclick = () => {
          after.write(cursor);
          run();
        };
      }
    } catch (error) {
      output.replaceChildren(h('p', { class: 'bad', role: 'alert' }, (error as Error).message));
    }
    changed();
  };
  fields.addEventListener('submit', (event) => {
    event.preventDefault();
    run();
  });
  const signature = `${name}(${params.map((param) => `${param.name}: ${typeName(param.type)}`).join(', ')})`;
  return [
    h('pre', { tabindex: '0', role: 'region', 'aria-label': 'Signature' }, `${signature}${result === undefined ? '' : ` → ${typeName(result)}`}`),
    h('p', { class: 'docs' }, docs),
    fields,
    output,
  ];
}

function answered(text: string, milliseconds: number, times: number): HTMLElement[] {
  const each = times === 1 ? duration(milliseconds) : `${((milliseconds * 1000) / times).toFixed(1)} µs a call, ${duration(milliseconds)} for ${quantity(times, 'call', 'calls')}`;
  const cut = text.length > SHOWN ? `\n… ${quantity(text.length - SHOWN, 'character', 'characters')} more` : '';
  return [
    h('p', { role: 'status' }, 'Answered in ', h('strong', { class: 'took' }, each), '.'),
    h('pre', { tabindex: '0', role: 'region', 'aria-label': 'Answer' }, text.slice(0, SHOWN) + cut),
  ];
}

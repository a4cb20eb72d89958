/** A form's fields for arguments of a call. */

import { type Field, type Json, type WitType, parseJson, stringifyJson, typeName, types } from '../../../js/dist/core.js';
import { h } from '../dom.js';

/** What one enters an argument with. */
export interface Control {
  readonly label: HTMLLabelElement;
  readonly element: HTMLElement;
  /** The argument. Throws if what was entered is not of its type. */
  read(): Json;
  /** Enters a text. */
  write(text: string): void;
}

/** What a name stands for, if it is a list of bytes or the like. */
function resolved(type: WitType): WitType {
  if (typeof type === 'object' && 'named' in type) {
    const definition = types[type.named];
    if (definition?.kind === 'alias') return resolved(definition.type);
  }
  return type;
}

const isBytes = (type: WitType): boolean => typeof type === 'object' && 'list' in type && type.list === 'u8';

const isNumber = (type: WitType): boolean => typeof type === 'string' && /^[usf]\d+$/.test(type);

/** Something that is of a type, to begin with. */
function sample(given: WitType): Json {
  const type = resolved(given);
  if (typeof type === 'string') return type === 'bool' ? false : type === 'string' ? '' : type === 'f64' ? 0.5 : 0n;
  if ('option' in type) return null;
  if ('list' in type) return isBytes(type) ? '' : typeof type.list === 'object' ? [sample(type.list)] : [];
  if ('tuple' in type) return type.tuple.map(sample);
  const definition = types[type.named];
  switch (definition?.kind) {
    case 'record':
      return Object.fromEntries(definition.fields.map((field) => [field.name, sample(field.type)]));
    case 'variant':
    case 'enum': {
      const first = definition.cases.find((known) => known.name === 'metadata') ?? definition.cases[0];
      if (first === undefined) return null;
      return first.type === undefined ? first.name : { [first.name]: sample(first.type) };
    }
    default:
      return null;
  }
}

export function controlFor({ name, type: given }: Field): Control {
  const id = `argument-${name}`;
  const label = h('label', { for: id }, name, ' ', h('span', { class: 'note' }, typeName(given)));
  const type = resolved(given);
  const inner = typeof type === 'object' && 'option' in type ? resolved(type.option) : undefined;
  if (type === 'bool') {
    const input = h('input', { id, type: 'checkbox' });
    return { label, element: h('div', {}, input), read: () => input.checked, write: (text) => (input.checked = text === 'true') };
  }
  if (typeof type === 'object' && 'named' in type && types[type.named]?.kind === 'enum') {
    const { cases } = types[type.named] as { cases: readonly { name: string }[] };
    const select = h('select', { id }, ...cases.map((known) => h('option', {}, known.name)));
    return { label, element: h('div', {}, select), read: () => select.value, write: (text) => (select.value = text) };
  }
  if (type === 'string' || isBytes(type)) {
    const input = h('input', { id, type: 'text', spellcheck: 'false' });
    return { label, element: h('div', { class: 'field' }, input), read: () => input.value, write: (text) => (input.value = text) };
  }
  if (inner === 'string' || (inner !== undefined && isBytes(inner))) return optionalText(id, label);
  if (isNumber(inner ?? type)) {
    const first = name === 'limit' ? '10' : inner === undefined ? '0' : '';
    const input = h('input', { id, type: 'text', inputmode: 'numeric', value: first, ...(inner !== undefined && { placeholder: 'none' }) });
    const read = (): Json => {
      const text = input.value.trim();
      if (text === '' && inner !== undefined) return null;
      // A float that JSON has no number for.
      return /^-?[a-z]+$/.test(text) ? text : parsed(name, text);
    };
    return { label, element: h('div', { class: 'field' }, input), read, write: (text) => (input.value = text) };
  }
  const area = h('textarea', { id, rows: '6', spellcheck: 'false' });
  area.value = stringifyJson(sample(given), 2);
  return { label, element: area, read: () => parsed(name, area.value), write: (text) => (area.value = text) };
}

/** A text that may be none, which is not the empty one. */
function optionalText(id: string, label: HTMLLabelElement): Control {
  const input = h('input', { id, type: 'text', spellcheck: 'false' });
  const none = h('input', { type: 'checkbox', checked: true });
  input.addEventListener('input', () => (none.checked = false));
  const write = (text: string): void => {
    input.value = text;
    none.checked = false;
  };
  const element = h('div', { class: 'field' }, input, h('label', {}, none, ' none'));
  return { label, element, read: () => (none.checked ? null : input.value), write };
}

function parsed(name: string, text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`);
  }
}

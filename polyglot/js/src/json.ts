/**
 * Component values as JSON, in the form of `host call --json` and of exported
 * files: names as in WIT, none → null, integers exact, `list<u8>` → base64,
 * floats that JSON cannot write → "inf", "-inf", "nan".
 */

import { type Case, type WitType, camel, typeName, types } from './interface.js';

/** A JSON document. Integers are BigInts, numbers with a point or an exponent are numbers. */
export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };

/** A text that is not JSON, or not of the type that is wanted. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// eslint-disable-next-line no-control-regex
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

class Parser {
  #at = 0;

  constructor(private readonly text: string) {}

  document(): Json {
    const value = this.#value(0);
    if (this.#next() !== undefined) this.#fail('expected the end');
    return value;
  }

  #fail(reason: string): never {
    throw new JsonError(`${reason} at column ${this.#at + 1}`);
  }

  /** The next character that is not white space. */
  #next(): string | undefined {
    for (;;) {
      const character = this.text[this.#at];
      if (character !== ' ' && character !== '\n' && character !== '\r' && character !== '\t') return character;
      this.#at += 1;
    }
  }

  #expect(character: string): void {
    if (this.#next() !== character) this.#fail(`expected ${JSON.stringify(character)}`);
    this.#at += 1;
  }

  #value(depth: number): Json {
    if (depth > 100) this.#fail('nested too deeply');
    switch (this.#next()) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.#at)) this.#fail('expected a value');
    this.#at += word.length;
    return value;
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.text);
    if (found === null) this.#fail(this.#at < this.text.length ? 'expected a value' : 'the text ends too early');
    const [digits, fraction, exponent] = found;
    const isInteger = fraction === undefined && exponent === undefined && digits !== '-0';
    const value = isInteger ? BigInt(digits) : Number(digits);
    if (value === Infinity || value === -Infinity) this.#fail('a number out of range');
    this.#at = NUMBER.lastIndex;
    return value;
  }

  #string(): string {
    this.#expect('"');
    let value = '';
    for (;;) {
      PLAIN.lastIndex = this.#at;
      value += (PLAIN.exec(this.text) as RegExpExecArray)[0];
      this.#at = PLAIN.lastIndex;
      const character = this.text[this.#at];
      if (character === '"') {
        this.#at += 1;
        return value;
      }
      if (character !== '\\') this.#fail(character === undefined ? 'a text is not ended' : 'a control character in a text');
      value += this.#escape();
    }
  }

  #escape(): string {
    const kind = this.text[this.#at + 1] ?? '';
    const plain = ESCAPES[kind];
    if (plain !== undefined) {
      this.#at += 2;
      return plain;
    }
    const unit = this.#unit();
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    if (unit > 0xdbff) this.#fail('half a surrogate pair');
    const low = this.#unit();
    if (low < 0xdc00 || low > 0xdfff) this.#fail('half a surrogate pair');
    return String.fromCharCode(unit, low);
  }

  #unit(): number {
    const digits = this.text.slice(this.#at, this.#at + 6);
    if (!/^\\u[0-9a-fA-F]{4}$/.test(digits)) this.#fail(digits.startsWith('\\u') || digits.length < 2 ? 'a cut escape' : 'an unknown escape');
    this.#at += 6;
    return Number.parseInt(digits.slice(2), 16);
  }

  #array(depth: number): Json[] {
    this.#expect('[');
    const items: Json[] = [];
    if (this.#next() === ']') {
      this.#at += 1;
      return items;
    }
    for (;;) {
      items.push(this.#value(depth + 1));
      if (this.#next() === ']') {
        this.#at += 1;
        return items;
      }
      this.#expect(',');
    }
  }

  #object(depth: number): { [name: string]: Json } {
    this.#expect('{');
    // No prototype: a name may be `__proto__`.
    const fields: { [name: string]: Json } = Object.create(null);
    if (this.#next() === '}') {
      this.#at += 1;
      return fields;
    }
    for (;;) {
      if (this.#next() !== '"') this.#fail('expected a name');
      const name = this.#string();
      if (name in fields) this.#fail(`${JSON.stringify(name)} is given twice`);
      this.#expect(':');
      fields[name] = this.#value(depth + 1);
      if (this.#next() === '}') {
        this.#at += 1;
        return fields;
      }
      this.#expect(',');
    }
  }
}

/** Reads a JSON document. */
export function parseJson(text: string): Json {
  return new Parser(text).document();
}

/** Writes a JSON document on one line, or with an indent. */
export function stringifyJson(json: Json, indent = 0, level = 0): string {
  if (typeof json === 'bigint') return json.toString();
  if (typeof json === 'number') return numberText(json);
  if (typeof json !== 'object' || json === null) return JSON.stringify(json);
  const parts = Array.isArray(json)
    ? json.map((item) => stringifyJson(item, indent, level + 1))
    : Object.entries(json).map(
        ([name, value]) => `${JSON.stringify(name)}:${indent > 0 ? ' ' : ''}${stringifyJson(value, indent, level + 1)}`,
      );
  const [open, close] = Array.isArray(json) ? '[]' : '{}';
  if (indent === 0 || parts.length === 0) return `${open}${parts.join(',')}${close}`;
  const pad = ' '.repeat(indent * (level + 1));
  return `${open}\n${pad}${parts.join(`,\n${pad}`)}\n${' '.repeat(indent * level)}${close}`;
}

/** Always with a point or an exponent, so that it is read as a float again. */
function numberText(value: number): string {
  const text = Object.is(value, -0) ? '-0' : value.toString();
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

const RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  u8: [0n, 0xffn],
  u16: [0n, 0xffffn],
  u32: [0n, 0xffff_ffffn],
  u64: [0n, 2n ** 64n - 1n],
  s32: [-(2n ** 31n), 2n ** 31n - 1n],
  s64: [-(2n ** 63n), 2n ** 63n - 1n],
};

const FLOATS: Readonly<Record<string, number>> = { inf: Infinity, '-inf': -Infinity, nan: NaN };

function wrong(json: Json | undefined, wanted: string, at: string): never {
  const given = json === undefined ? 'nothing' : stringifyJson(json);
  throw new JsonError(`${at === '' ? 'the value' : at}: expected ${wanted}, not ${given.length > 60 ? `${given.slice(0, 60)}…` : given}`);
}

function integer(json: Json, type: string, at: string): bigint {
  const [low, high] = RANGES[type] as readonly [bigint, bigint];
  if (typeof json !== 'bigint' || json < low || json > high) wrong(json, `a whole number from ${low} to ${high}`, at);
  return json;
}

/** A component value from JSON. `at` is where it stands, for the error's text. */
export function toValue(type: WitType, json: Json, at = ''): unknown {
  if (typeof type === 'string') return primitive(type, json, at);
  if ('option' in type) return json === null ? undefined : toValue(type.option, json, at);
  if ('list' in type) return list(type.list, json, at);
  if ('tuple' in type) {
    if (!Array.isArray(json) || json.length !== type.tuple.length) wrong(json, typeName(type), at);
    return type.tuple.map((item, index) => toValue(item, json[index] as Json, `${at}[${index}]`));
  }
  return named(type.named, json, at);
}

function primitive(type: string, json: Json, at: string): unknown {
  switch (type) {
    case 'bool':
      return typeof json === 'boolean' ? json : wrong(json, 'true or false', at);
    case 'string':
      return typeof json === 'string' ? json : wrong(json, 'a text', at);
    case 'f64': {
      if (typeof json === 'number') return json;
      if (typeof json === 'bigint') return Number(json);
      const float = typeof json === 'string' ? FLOATS[json] : undefined;
      return float ?? wrong(json, 'a number, "inf", "-inf" or "nan"', at);
    }
    case 'u64':
    case 's64':
      return integer(json, type, at);
    default:
      return Number(integer(json, type, at));
  }
}

function list(item: WitType, json: Json, at: string): unknown {
  if (item === 'u8') return typeof json === 'string' ? fromBase64(json, at) : wrong(json, 'bytes as base64', at);
  if (!Array.isArray(json)) wrong(json, 'a list', at);
  const items = json.map((value, index) => toValue(item, value, `${at}[${index}]`));
  return item === 'u64' ? BigUint64Array.from(items as bigint[]) : items;
}

function named(name: string, json: Json, at: string): unknown {
  const definition = types[name];
  if (definition === undefined) throw new JsonError(`there is no type ${name}`);
  switch (definition.kind) {
    case 'alias':
      return toValue(definition.type, json, at);
    case 'enum':
      if (typeof json === 'string' && definition.cases.some((known) => known.name === json)) return json;
      return wrong(json, definition.cases.map((known) => known.name).join(' or '), at);
    case 'variant': {
      const entries: [string, Json | undefined][] = isObject(json) ? Object.entries(json) : [[String(json), undefined]];
      const [entry] = entries;
      const known = definition.cases.find((known) => known.name === entry?.[0]);
      if (entry === undefined || entries.length !== 1 || known === undefined) {
        return wrong(json, `one of ${definition.cases.map((known) => known.name).join(', ')}`, at);
      }
      return variant(known, entry[1], at);
    }
    case 'record': {
      if (!isObject(json)) wrong(json, `an object (${name})`, at);
      const unknown = Object.keys(json).find((given) => !definition.fields.some((field) => field.name === given));
      if (unknown !== undefined) throw new JsonError(`${at === '' ? name : at}: unknown field ${JSON.stringify(unknown)}`);
      const record: Record<string, unknown> = {};
      for (const field of definition.fields) {
        const value = json[field.name];
        if (value === undefined) throw new JsonError(`${at === '' ? name : at}: missing field ${JSON.stringify(field.name)}`);
        record[camel(field.name)] = toValue(field.type, value, at === '' ? field.name : `${at}.${field.name}`);
      }
      return record;
    }
  }
}

function variant({ name, type }: Case, payload: Json | undefined, at: string): unknown {
  const inside = at === '' ? name : `${at}.${name}`;
  if (type === undefined) return payload === undefined ? { tag: name } : wrong(payload, 'no payload', inside);
  return payload === undefined ? wrong(payload, typeName(type), inside) : { tag: name, val: toValue(type, payload, inside) };
}

function isObject(json: Json): json is { [name: string]: Json } {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** A component value as JSON. */
export function fromValue(type: WitType, value: unknown): Json {
  if (typeof type === 'string') {
    if (type === 'f64') return fromFloat(value as number);
    return type in RANGES ? BigInt(value as number | bigint) : (value as Json);
  }
  if ('option' in type) return value === undefined ? null : fromValue(type.option, value);
  if ('list' in type) {
    if (type.list === 'u8') return toBase64(value as Uint8Array);
    return Array.from(value as Iterable<unknown>, (item) => fromValue(type.list, item));
  }
  if ('tuple' in type) return type.tuple.map((item, index) => fromValue(item, (value as unknown[])[index]));
  const definition = types[type.named];
  switch (definition?.kind) {
    case 'alias':
      return fromValue(definition.type, value);
    case 'enum':
      return value as string;
    case 'variant': {
      const { tag, val } = value as { tag: string; val?: unknown };
      const payload = definition.cases.find((known) => known.name === tag)?.type;
      return payload === undefined ? tag : { [tag]: fromValue(payload, val) };
    }
    case 'record':
      return Object.fromEntries(
        definition.fields.map((field) => [
          field.name,
          fromValue(field.type, (value as Record<string, unknown>)[camel(field.name)]),
        ]),
      );
    case undefined:
      throw new JsonError(`there is no type ${type.named}`);
  }
}

function fromFloat(value: number): Json {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return value;
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function fromBase64(text: string, at: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return wrong(text, 'bytes as base64', at);
  }
}

/**
 * Arguments are checked before the component is called: the generated code
 * takes a number beyond 64 bits modulo 2^64, half a surrogate pair as another
 * character, and anything for a boolean.
 */

import { type WitType, camel, typeName, types } from './interface.js';

/** Throws a TypeError if a value is not of the type. `at` is its name. */
export type Check = (value: unknown, at: string) => void;

const INTEGERS: Readonly<Record<string, readonly [number | bigint, number | bigint]>> = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffff_ffff],
  s32: [-(2 ** 31), 2 ** 31 - 1],
  u64: [0n, 2n ** 64n - 1n],
  s64: [-(2n ** 63n), 2n ** 63n - 1n],
};

function refuse(value: unknown, wanted: string, at: string): never {
  const given = typeof value === 'bigint' ? `${value}n` : typeof value === 'string' ? JSON.stringify(value) : String(value);
  throw new TypeError(`${at}: expected ${wanted}, not ${given.length > 60 ? `${given.slice(0, 60)}…` : given}`);
}

// Half a pair; with the flag `u` whole pairs do not match.
const HALF = /\p{Surrogate}/u;

const checks = new Map<string, Check>();

/** The check of a type. */
export function checkOf(type: WitType): Check {
  const name = typeName(type);
  let check = checks.get(name);
  if (check === undefined) {
    check = make(type);
    checks.set(name, check);
  }
  return check;
}

function make(type: WitType): Check {
  if (typeof type === 'string') return primitive(type);
  if ('option' in type) {
    const inner = checkOf(type.option);
    return (value, at) => {
      if (value !== undefined) inner(value, at);
    };
  }
  if ('list' in type) return list(type.list);
  if ('tuple' in type) {
    const items = type.tuple.map(checkOf);
    return (value, at) => {
      if (!Array.isArray(value) || value.length !== items.length) refuse(value, `a list of ${items.length}`, at);
      items.forEach((item, index) => item(value[index], `${at}[${index}]`));
    };
  }
  return named(type.named);
}

function primitive(type: string): Check {
  if (type === 'bool' || type === 'f64') {
    const [wanted, text] = type === 'bool' ? ['boolean', 'a boolean'] : ['number', 'a number'];
    return (value, at) => {
      if (typeof value !== wanted) refuse(value, text as string, at);
    };
  }
  if (type === 'string') {
    return (value, at) => {
      if (typeof value !== 'string') refuse(value, 'a string', at);
      if (HALF.test(value)) refuse(value, 'a string without halves of surrogate pairs', at);
    };
  }
  const [low, high] = INTEGERS[type] as readonly [number | bigint, number | bigint];
  const isBig = typeof low === 'bigint';
  const wanted = `${isBig ? 'a BigInt' : 'an integer'} from ${low} to ${high}`;
  return (value, at) => {
    const fits = isBig ? typeof value === 'bigint' : Number.isInteger(value);
    if (!fits || (value as number) < low || (value as number) > high) refuse(value, wanted, at);
  };
}

function list(item: WitType): Check {
  if (item === 'u8') {
    return (value, at) => {
      if (!(value instanceof Uint8Array)) refuse(value, 'a Uint8Array', at);
    };
  }
  const check = checkOf(item);
  return (value, at) => {
    // A BigUint64Array cannot hold anything else.
    if (item === 'u64' && value instanceof BigUint64Array) return;
    if (!Array.isArray(value)) refuse(value, 'an array', at);
    value.forEach((given, index) => check(given, `${at}[${index}]`));
  };
}

function named(name: string): Check {
  const definition = types[name];
  switch (definition?.kind) {
    case 'alias':
      return checkOf(definition.type);
    case 'enum': {
      const cases = new Set<unknown>(definition.cases.map((known) => known.name));
      return (value, at) => {
        if (!cases.has(value)) refuse(value, [...cases].join(' or '), at);
      };
    }
    case 'variant': {
      const cases = new Map(definition.cases.map((known) => [known.name, known.type && checkOf(known.type)]));
      return (value, at) => {
        const { tag, val } = (value ?? {}) as { tag?: string; val?: unknown };
        if (tag === undefined || !cases.has(tag)) refuse(tag, `a tag: ${[...cases.keys()].join(', ')}`, at);
        cases.get(tag)?.(val, `${at}.${tag}`);
      };
    }
    case 'record': {
      const fields = definition.fields.map((field): [string, Check] => [camel(field.name), checkOf(field.type)]);
      return (value, at) => {
        if (typeof value !== 'object' || value === null) refuse(value, `an object (${name})`, at);
        for (const [field, check] of fields) check((value as Record<string, unknown>)[field], `${at}.${field}`);
      };
    }
    case undefined:
      throw new TypeError(`there is no type ${name}`);
  }
}

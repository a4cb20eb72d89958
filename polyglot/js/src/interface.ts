/** The tracker's interface as data, generated from `wit/`: functions, their arguments, types and documentation. */

import { definition } from '../generated/interface.js';

/** A type. Names are those of {@link types}. */
export type WitType =
  | 'bool'
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 's32'
  | 's64'
  | 'f64'
  | 'string'
  | { readonly list: WitType }
  | { readonly option: WitType }
  | { readonly tuple: readonly WitType[] }
  | { readonly named: string };

/** A parameter of a function or a field of a record. */
export interface Field {
  readonly name: string;
  readonly type: WitType;
  readonly docs?: string;
}

/** A case of a variant or an enum. */
export interface Case {
  readonly name: string;
  readonly type?: WitType;
  readonly docs?: string;
}

/** What a name stands for. */
export type TypeDefinition = { readonly docs?: string } & (
  | { readonly kind: 'record'; readonly fields: readonly Field[] }
  | { readonly kind: 'variant' | 'enum'; readonly cases: readonly Case[] }
  | { readonly kind: 'alias'; readonly type: WitType }
);

/** A function. */
export interface FunctionDefinition {
  /** As in WIT. */
  readonly name: string;
  /** As in JavaScript. */
  readonly camelName: string;
  /** The heading that it stands under. */
  readonly section: string;
  readonly docs: string;
  readonly params: readonly Field[];
  /** What it returns when it succeeds, if anything. */
  readonly result?: WitType;
}

const { functions: allFunctions, types: allTypes } = definition as {
  readonly functions: readonly FunctionDefinition[];
  readonly types: Readonly<Record<string, TypeDefinition>>;
};

/** The functions in the order of `wit/tracker.wit`. */
export const functions: readonly FunctionDefinition[] = allFunctions;

/** The named types. */
export const types: Readonly<Record<string, TypeDefinition>> = allTypes;

/** A name as JavaScript has it. */
export function camel(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** A type as WIT writes it. */
export function typeName(type: WitType): string {
  if (typeof type === 'string') return type;
  if ('list' in type) return `list<${typeName(type.list)}>`;
  if ('option' in type) return `option<${typeName(type.option)}>`;
  if ('tuple' in type) return `tuple<${type.tuple.map(typeName).join(', ')}>`;
  return type.named;
}

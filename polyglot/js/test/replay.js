/** The recorded calls of tests/conformance, which every host answers alike. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { TrackerError, fromValue, functions, parseJson, stringifyJson, toValue } from '../dist/core.js';
import { repository } from './support.js';

/** What the clock says at the first look; a second more at each further one. */
export const START = 2_000_000_000n;

const byName = new Map(functions.map((known) => [known.name, known]));

/** Equal as JSON: `1.0` and `1` are the same number, the order of fields does not matter, everything else does. */
function same(a, b) {
  if (typeof a === 'bigint' || typeof b === 'bigint') {
    // An integer that a double cannot hold equals no double.
    return (typeof a === typeof b || typeof a === 'number' || typeof b === 'number') && a == b;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b) || (a === 0 && b === 0);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

/** A call in the encoding of the file: `{ answer }`, or `{ error }` with its case and text. */
function made(call, { camelName, params, result }, args) {
  assert.equal(args.length, params.length, camelName);
  const given = params.map(({ type }, index) => toValue(type, args[index]));
  try {
    const answer = call(camelName, given);
    return { answer: result === undefined ? null : fromValue(result, answer) };
  } catch (thrown) {
    const error = TrackerError.of(thrown);
    if (error === undefined) throw thrown;
    return { error: { case: error.tag, text: error.payload.val } };
  }
}

/** Makes all recorded calls, by the function's name in JavaScript and its values; how many there were. */
export function replay(call) {
  const lines = readFileSync(join(repository, 'tests/conformance/calls.jsonl'), 'utf8').trimEnd().split('\n');
  const wrong = [];
  for (const [index, line] of lines.entries()) {
    const recorded = parseJson(line);
    const known = byName.get(recorded.call);
    assert.ok(known, `line ${index + 1}: there is no function ${recorded.call}`);
    const { answer, error } = made(call, known, recorded.args);
    const fits = recorded.error === undefined ? error === undefined && same(answer, recorded.answer) : same(error, recorded.error);
    if (!fits) wrong.push(`line ${index + 1}: ${recorded.call}${stringifyJson(recorded.args)}: ${stringifyJson(error ?? answer)}`);
  }
  assert.deepEqual(wrong.map((text) => text.slice(0, 2000)), []);
  assert.ok(lines.length > 800);
  return lines.length;
}

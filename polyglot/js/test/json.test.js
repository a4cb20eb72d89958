/** JSON: exact numbers, errors with columns, JSON Lines. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { ImportError, JsonError, fromValue, functions, importLines, parseJson, readRow, stringifyJson, toValue, typeName, types, writeRow } from '../dist/index.js';
import { overEngines, random } from './support.js';

/** With numbers for BigInts, and ordinary objects. */
function plain(json) {
  if (typeof json === 'bigint') return Number(json);
  if (Array.isArray(json)) return json.map(plain);
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, plain(value)]));
}

test('documents are read as JSON.parse reads them, but for exact integers', () => {
  const texts = [
    'null', ' true ', '[]', '{}', '[1,-2,3.5,1e3,-0.0,0]', '"\\u00e9\\ud83e\\udd80\\n\\/ \\\\"',
    '{"a":[{"b":null}],"c":"é\u2028\u007f"}', '\n{ "a" : 1 , "b" : [ 2 ] }\r\n\t', '5e-324', '1.7976931348623157e308',
  ];
  for (const text of texts) assert.deepEqual(plain(parseJson(text)), JSON.parse(text), text);
  assert.equal(parseJson('18446744073709551615'), 2n ** 64n - 1n);
  assert.ok(Object.is(parseJson('-0'), -0));
  assert.equal(Object.getPrototypeOf(parseJson('{"__proto__":1}')), null);
});

test('what is not JSON is refused, and where', () => {
  const refused = {
    '': /ends too early at column 1$/,
    '[1,]': /expected a value at column 4$/,
    '{"a":1,}': /expected a name at column 8$/,
    '{"a" 1}': /expected ":" at column 6$/,
    '{"a":1 "b":2}': /expected "," at column 8$/,
    '{"a":1,"a":2}': /"a" is given twice/,
    '"abc': /a text is not ended at column 5$/,
    '"a\nb"': /a control character/,
    '"\\x"': /an unknown escape/,
    '"\\u12"': /a cut escape/,
    '"\\ud800"': /an unknown escape|half a surrogate|a cut escape/,
    '"\\udc00"': /half a surrogate/,
    '01': /expected the end at column 2$/,
    '1e999': /out of range/,
    nul: /expected a value/,
    '1 2': /expected the end at column 3$/,
    [`${'['.repeat(200)}`]: /nested too deeply/,
  };
  for (const [text, reason] of Object.entries(refused)) {
    assert.throws(() => parseJson(text), (error) => error instanceof JsonError && reason.test(error.message), `${text}`);
    assert.throws(() => JSON.parse(text === '1e999' || text.startsWith('"\\ud') || text.startsWith('{"a":1,"a"') || text.startsWith('[[') ? '' : text));
  }
});

test('random documents come back', () => {
  const below = random(11);
  const make = (depth) => {
    switch (below(depth > 3 ? 5 : 7)) {
      case 0: return null;
      case 1: return below(2) === 0;
      case 2: return BigInt(below(2 ** 31)) ** 2n * (below(2) === 0 ? -1n : 1n);
      case 3: return (below(2 ** 31) - 2 ** 30) / 1024;
      case 4: return String.fromCodePoint(...Array.from({ length: below(6) }, () => [0, 10, 34, 92, 233, 0x2028, 0xfeff, 0x1f980][below(8)]));
      case 5: return Array.from({ length: below(5) }, () => make(depth + 1));
      default: return Object.assign(Object.create(null), Object.fromEntries(Array.from({ length: below(5) }, (_, index) => [`n${index}`, make(depth + 1)])));
    }
  };
  for (let round = 0; round < 500; round++) {
    const json = make(0);
    for (const indent of [0, 2]) assert.deepEqual(parseJson(stringifyJson(json, indent)), json);
    JSON.parse(stringifyJson(json));
  }
});

test('rows come back to the letter, and what is no row is refused', () => {
  const lines = [
    '{"file":{"path":"a\\u0000b","mtime":0.1,"size":-1,"content-hash":"h","blob-offset":0,"blob-length":0,"key-hash":18446744073709551615,"indexed-at":"-inf","vector-offset":null,"vector-length":9223372036854775807,"detected-contexts":"[\\"x\\"","is-team":true}}',
    '{"counter":{"name":"symbols","value":18446744073709551615}}',
    '{"pattern":{"key-hash":1,"pattern":"p","tool-type":"t","matched-files":["a","b"],"created-at":5e-324,"blob-offset":0,"blob-length":0,"vector-offset":null,"vector-length":null}}',
    '{"transcript-position":{"path":"é","byte-position":-9223372036854775808,"updated-at":"nan"}}',
  ];
  for (const line of lines) assert.equal(writeRow(readRow(line)), line);
  const good = '{"counter":{"name":"symbols","value":1}}';
  readRow(good);
  const bad = {
    '{}': /one of file, symbol/,
    null: /one of file/,
    '{"counter":{"name":"symbols"}}': /counter: missing field "value"/,
    '{"counter":{"name":"symbols","value":-1}}': /counter\.value: expected a whole number from 0 to 18446744073709551615, not -1/,
    '{"counter":{"name":"symbols","value":1.5}}': /counter\.value/,
    '{"counter":{"name":"symbols","value":1,"more":2}}': /unknown field "more"/,
    '{"counter":{"name":7,"value":1}}': /counter\.name: expected a text/,
    '{"counter":{"name":"symbols","value":1}} {}': /expected the end at column/,
    '{"counters":{"name":"symbols","value":1}}': /one of/,
    '{"counter":{"name":"a","value":1},"metadata":{"key":"a","value":"b"}}': /one of/,
    '{"transcript-position":{"path":"a","byte-position":1,"updated-at":"soon"}}': /"inf", "-inf" or "nan"/,
  };
  for (const [line, reason] of Object.entries(bad)) assert.throws(() => readRow(line), reason, line);
});

overEngines(test, 'an import says which line is bad, and what is in the store', async (open) => {
  const tracker = open();
  const entry = (key) => `{"metadata":{"key":"${key}","value":"v"}}`;
  const lines = Array.from({ length: 4100 }, (_, index) => entry(index));
  const seen = [];
  await importLines(tracker, [...lines, '', '  '], (now) => void seen.push(now.rows));
  assert.deepEqual(seen, [2000, 4000, 4100]);
  assert.equal(tracker.countRows('metadata'), 4100n);
  const broken = [...lines.map((line) => line.replace('"v"', '"w"'))];
  broken[4050] = broken[4050].slice(0, -3);
  await assert.rejects(importLines(tracker, broken), (error) =>
    error instanceof ImportError && error.line === 4051 && error.committed === 4000 && /^line 4051 is not a row: .* at column/.test(error.message));
  assert.equal(tracker.getMetadata('3999'), 'w');
  assert.equal(tracker.getMetadata('4000'), 'v');
  const memory = (id) => `{"memory":{"id":"${id}","task":null,"insights":null,"context":null,"symbol-keys":null,"text":"","tags":null,"blob-offset":0,"blob-length":0,"key-hash":9,"created-at":1.0,"updated-at":null,"vector-offset":null,"vector-length":null,"access-count":0,"last-accessed":null,"owner-id":null,"is-team":false}}`;
  await assert.rejects(importLines(tracker, [entry('x'), '', memory('m1'), memory('m2'), entry('y')]), (error) =>
    error instanceof ImportError && error.line === 4 && error.committed === 0 && /^line 4 was refused: key conflict/.test(error.message));
  assert.equal(tracker.getMetadata('x'), undefined);
  assert.equal(tracker.memoryCount(), 0n);
  assert.equal(tracker.inBatch, false);
});

test('arguments and answers of every function have a JSON form', () => {
  const sample = (type) => {
    if (typeof type === 'string') return { bool: true, string: 'x', f64: 0.5 }[type] ?? 1n;
    if ('option' in type) return sample(type.option);
    if ('list' in type) return type.list === 'u8' ? 'AP8=' : [sample(type.list)];
    if ('tuple' in type) return type.tuple.map(sample);
    const definition = types[type.named];
    switch (definition.kind) {
      case 'alias':
        return sample(definition.type);
      case 'enum':
        return definition.cases.at(-1).name;
      case 'variant':
        return { [definition.cases[0].name]: sample(definition.cases[0].type) };
      default:
        return Object.fromEntries(definition.fields.map((field) => [field.name, sample(field.type)]));
    }
  };
  let checked = 0;
  for (const { params, result } of functions) {
    for (const type of [...params.map((param) => param.type), ...(result === undefined ? [] : [result])]) {
      const json = sample(type);
      assert.deepEqual(fromValue(type, toValue(type, json)), json, typeName(type));
      checked += 1;
    }
  }
  assert.ok(checked > 250);
});

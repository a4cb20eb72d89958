/** JSON Lines into and out of a store, in the form of `host export` and `host import`. */

import type { Row, RowKind } from '../generated/interfaces/galaxybrain-tracker-types.js';
import { TrackerError } from './errors.js';
import { types } from './interface.js';
import { JsonError, fromValue, parseJson, stringifyJson, toValue } from './json.js';
import type { Tracker } from './tracker.js';

/** Rows a call and a transaction. */
const ROWS_PER_CALL = 2_000;

const ROW = { named: 'row' } as const;

/** Why an import stopped: a line is no row, or the store does not take it. */
export class ImportError extends Error {
  override readonly name = 'ImportError';

  constructor(
    /** The line, from 1. */
    readonly line: number,
    /** The last line whose rows are in the store. */
    readonly committed: number,
    /** What is wrong. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`line ${line} ${reason}`, options);
  }
}

/** How far an import is. */
export interface Progress {
  /** Lines read. */
  readonly lines: number;
  /** Rows in the store. */
  readonly rows: number;
}

/** What an import needs of a tracker. */
export type ImportTarget = Pick<Tracker, 'importRows' | 'beginBatch' | 'abortBatch' | 'inBatch'>;

/** A row from its line. */
export function readRow(line: string): Row {
  return toValue(ROW, parseJson(line)) as Row;
}

/** A row as a line, without the end of it. */
export function writeRow(row: Row): string {
  return stringifyJson(fromValue(ROW, row));
}

/** The kinds of rows in the order of an export. */
export const rowKinds: readonly RowKind[] =
  types['row-kind']?.kind === 'enum' ? types['row-kind'].cases.map(({ name }) => name as RowKind) : [];

/** Every row of the store as a line. Each page is a snapshot of its own: run it in a batch for one of the whole. */
export function* exportLines(tracker: Tracker): Generator<string, void, undefined> {
  for (const kind of rowKinds) {
    for (const row of tracker.iterRows(kind)) yield writeRow(row);
  }
}

/**
 * Imports lines. Empty ones are passed over. A row whose key is in the store
 * replaces that one, so an import can be repeated. Between transactions of two
 * thousand rows `progress` is told and waited for.
 *
 * Throws an {@link ImportError} that says which lines are in the store.
 */
export async function importLines(
  tracker: ImportTarget,
  lines: AsyncIterable<string> | Iterable<string>,
  progress?: (now: Progress) => Promise<void> | void,
): Promise<Progress> {
  let line = 0;
  let committed = 0;
  let done = 0;
  let rows: Row[] = [];
  let numbers: number[] = [];
  const flush = (): void => {
    if (rows.length > 0) importRows(tracker, rows, numbers, committed);
    committed = line;
    done += rows.length;
    rows = [];
    numbers = [];
  };
  for await (const text of lines) {
    line += 1;
    if (text.trim() === '') continue;
    try {
      rows.push(readRow(text));
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      throw new ImportError(line, committed, `is not a row: ${error.message}`, { cause: error });
    }
    numbers.push(line);
    if (rows.length >= ROWS_PER_CALL) {
      flush();
      await progress?.({ lines: line, rows: done });
    }
  }
  flush();
  await progress?.({ lines: line, rows: done });
  return { lines: line, rows: done };
}

/** Imports the rows of a call; on an error finds the one that is refused. */
function importRows(tracker: ImportTarget, rows: Row[], numbers: number[], committed: number): void {
  try {
    tracker.importRows(rows);
  } catch (error) {
    if (!(error instanceof TrackerError) || (error.tag !== 'key-conflict' && error.tag !== 'invalid-argument')) throw error;
    // The call had no effect. The rows before the one that is refused are tried with it, and discarded.
    tracker.beginBatch();
    try {
      for (const [index, row] of rows.entries()) {
        try {
          tracker.importRows([row]);
        } catch (refused) {
          const { message } = refused as Error;
          throw new ImportError(numbers[index] as number, committed, `was refused: ${message}`, { cause: refused });
        }
      }
    } finally {
      if (tracker.inBatch) tracker.abortBatch();
    }
    throw error;
  }
}

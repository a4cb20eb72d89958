/** The package's types as its users have them. It is compiled and not run. */

import {
  type Checkpoint,
  type FileRecord,
  LmdbEngine,
  MemoryEngine,
  type Row,
  Tracker,
  TrackerError,
  memoryTracker,
  modules,
  openTracker,
} from 'galaxybrain-tracker';
import { type Engine, parseJson } from 'galaxybrain-tracker/core';

export function used(): void {
  using tracker: Tracker = openTracker('store', { durability: 'no-sync', limits: { transactions: 2 } });
  const file: FileRecord | undefined = tracker.getFile('/a');
  const size: bigint | undefined = file?.size;
  const contexts: string[] = file?.detectedContexts ?? [];
  const found: (FileRecord | undefined)[] = tracker.getFiles(['/a']);
  tracker.upsertFile('/a', 1.5, size ?? 0n, 'hash', 0n, 1n, 2n ** 64n - 1n, contexts);
  const checkpoint: Checkpoint | undefined = tracker.getLatestCheckpoint();
  for (const { path, keyHash } of tracker.iterFilesByContext('context:cli', 100)) path.slice(Number(keyHash));
  for (const record of tracker.iterFiles()) record satisfies FileRecord;
  for (const row of tracker.iterRows('file')) row satisfies Row;
  const done: number = tracker.batch((batch) => batch.listFiles(undefined, 10).items.length);
  const later: Promise<string> = tracker.batch(async () => 'done');
  try {
    tracker.deleteFile('/a');
  } catch (error) {
    if (!(error instanceof TrackerError)) throw error;
    if (error.payload.tag === 'store' && error.payload.val.tag === 'key-size') error.payload.val.val satisfies number;
  }
  const engines: Engine[] = [new MemoryEngine(), LmdbEngine.open('store', { readOnly: true })];
  const clock = () => ({ seconds: 1n, nanoseconds: 0 });
  new Tracker(modules(), engines[0] as Engine, { clock }).close();
  void [found, checkpoint, done, later, parseJson('1')];
}

export function refused(): void {
  const tracker = memoryTracker();
  // @ts-expect-error 64 bits are a BigInt
  tracker.getFileByKey(1);
  // @ts-expect-error a file has no such field
  tracker.getFile('/a')?.content_hash;
  // @ts-expect-error it may be none
  tracker.getFile('/a').path;
  // @ts-expect-error there is no such kind
  tracker.countRows('files');
  // @ts-expect-error not all arguments
  tracker.upsertFile('/a', 1);
  // @ts-expect-error it is no list, and has no iterator
  tracker.iterRecentFiles();
  // @ts-expect-error the cursor is the iterator's own affair
  for (const _ of tracker.iterFilesByContext('context:cli', undefined, 10)) break;
  // @ts-expect-error there is no such durability
  openTracker('store', { durability: 'none' });
}

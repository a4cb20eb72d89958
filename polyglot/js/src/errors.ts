/** What a call throws instead of returning. */

import type { Error as ErrorCase } from '../generated/interfaces/galaxybrain-tracker-tracker.js';

export type { ErrorCase };

/** Why a call failed: the error variant of `wit/tracker.wit`. The call had no effect. */
export class TrackerError extends Error {
  override readonly name = 'TrackerError';

  constructor(
    /** The variant, as the component answered it. */
    readonly payload: ErrorCase,
    options?: ErrorOptions,
  ) {
    super(describe(payload), options);
  }

  /** The case, for instance `invalid-argument`. */
  get tag(): ErrorCase['tag'] {
    return this.payload.tag;
  }

  /** Another writer was faster: the call can be run again as a whole. */
  get isConflict(): boolean {
    return this.payload.tag === 'store' && this.payload.val.tag === 'conflict';
  }

  /** The error that a call answered; undefined if it was no answer. */
  static of(thrown: unknown): TrackerError | undefined {
    const payload = (thrown as { payload?: ErrorCase } | null)?.payload;
    const known = typeof payload === 'object' && payload !== null && typeof payload.tag === 'string';
    return known ? new TrackerError(payload) : undefined;
  }
}

/** An earlier error ended the batch; nothing of it was kept. */
export class BatchAborted extends Error {
  override readonly name = 'BatchAborted';

  constructor() {
    super('the batch was aborted by an earlier error; nothing of it was kept');
  }
}

/** The component failed. Nothing of the call was kept; the next call gets a new instance. */
export class Trapped extends Error {
  override readonly name = 'Trapped';

  constructor(cause: Error) {
    super(`the component failed: ${cause.message}`, { cause });
  }
}

function describe(error: ErrorCase): string {
  switch (error.tag) {
    case 'invalid-argument':
      return `invalid argument: ${error.val}`;
    case 'key-conflict':
      return `key conflict: ${error.val}`;
    case 'corrupt':
      return `corrupt record: ${error.val}`;
    case 'incompatible':
      return `incompatible store: ${error.val}`;
    case 'store':
      return 'val' in error.val ? `the store failed: ${error.val.tag}: ${error.val.val}` : `the store failed: ${error.val.tag}`;
  }
}

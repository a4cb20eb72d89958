/** The packed buffers of the store interface. Lengths are u32 little-endian. */

import type { Op } from './engine.js';

/** A buffer that does not parse. From a component that is a trap. */
export class Malformed extends Error {
  constructor(reason: string) {
    super(`malformed packed buffer: ${reason}`);
  }
}

const ABSENT = 0xffff_ffff;

class Reader {
  #at = 0;
  readonly #view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get ended(): boolean {
    return this.#at === this.bytes.length;
  }

  #advance(length: number): number {
    const at = this.#at;
    if (length > this.bytes.length - at) throw new Malformed('it ends too early');
    this.#at = at + length;
    return at;
  }

  byte(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  slice(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.bytes.subarray(at, at + length);
  }
}

/** The operations of `transaction.write`, with the numbers of tables as they are packed. */
export function ops(packed: Uint8Array): Op[] {
  const reader = new Reader(packed);
  const found: Op[] = [];
  while (!reader.ended) {
    const kind = reader.byte();
    const table = reader.u16();
    const keyLength = reader.u32();
    const valueLength = reader.u32();
    const key = reader.slice(keyLength);
    const value = reader.slice(valueLength);
    switch (kind) {
      case 0:
        found.push({ kind: 'put', table, key, value });
        break;
      case 1:
        if (valueLength > 0) throw new Malformed('a delete has a value');
        found.push({ kind: 'delete', table, key });
        break;
      case 2:
        if (keyLength + valueLength > 0) throw new Malformed('a clear has a key or value');
        found.push({ kind: 'clear', table });
        break;
      default:
        throw new Malformed('unknown operation');
    }
  }
  return found;
}

/** The keys of `transaction.get-many`. */
export function keys(packed: Uint8Array): Uint8Array[] {
  const reader = new Reader(packed);
  const found: Uint8Array[] = [];
  while (!reader.ended) found.push(reader.slice(reader.u32()));
  return found;
}

/** A growing buffer that is used again and again. */
export class Packer {
  #bytes = new Uint8Array(16 << 10);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  #room(more: number): number {
    const at = this.#length;
    if (at + more > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, at + more));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = at + more;
    return at;
  }

  /** Appends an answer of `get-many`. */
  value(value: Uint8Array | undefined): void {
    if (value === undefined) {
      const at = this.#room(4);
      this.#view.setUint32(at, ABSENT, true);
      return;
    }
    const at = this.#room(4 + value.length);
    this.#view.setUint32(at, value.length, true);
    this.#bytes.set(value, at + 4);
  }

  /** Appends an entry of a scan. */
  entry(key: Uint8Array, value: Uint8Array): void {
    const at = this.#room(8 + key.length + value.length);
    this.#view.setUint32(at, key.length, true);
    this.#view.setUint32(at + 4, value.length, true);
    this.#bytes.set(key, at + 8);
    this.#bytes.set(value, at + 8 + key.length);
  }

  /** What was appended, valid until the next use. */
  packed(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

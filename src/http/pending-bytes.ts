/** Pipelined bytes that arrived before their turn, per connection; bounded over all of them. */
import type { HttpStats } from "./stats.js";

const FIRST_BYTES = 4096;
const FREE_MAX = 256;

/** The bytes that wait on one connection: `buffer` from `start` to `end`. */
export class PendingBytes {
  buffer: Buffer;
  start = 0;
  end = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  get length(): number {
    return this.end - this.start;
  }
}

/** Memory for {@link PendingBytes}, bounded. */
export class PendingPool {
  readonly #bytesMax: number;
  readonly #stats: HttpStats;
  readonly #free: PendingBytes[] = [];
  #bytesNow = 0;

  constructor(bytesMax: number, stats: HttpStats) {
    this.#bytesMax = bytesMax;
    this.#stats = stats;
  }

  /** Adds bytes behind `pending`, or to a new one. Returns undefined when there is no room; `pending` is then as it was. */
  append(pending: PendingBytes | undefined, bytes: Buffer, offset: number, length: number): PendingBytes | undefined {
    const target = pending ?? this.#acquire();
    if (target === undefined) return undefined;
    if (target.end + length > target.buffer.length && !this.#makeRoom(target, length)) {
      if (pending === undefined) this.release(target);
      return undefined;
    }
    bytes.copy(target.buffer, target.end, offset, offset + length);
    target.end += length;
    return target;
  }

  release(pending: PendingBytes): void {
    this.#bytesNow -= pending.buffer.length;
    this.#stats.pendingBuffersNow -= 1;
    if (pending.buffer.length !== FIRST_BYTES || this.#free.length === FREE_MAX) return;
    pending.start = 0;
    pending.end = 0;
    this.#free.push(pending);
  }

  #acquire(): PendingBytes | undefined {
    if (this.#bytesNow + FIRST_BYTES > this.#bytesMax) return undefined;
    this.#bytesNow += FIRST_BYTES;
    this.#stats.pendingBuffersNow += 1;
    return this.#free.pop() ?? new PendingBytes(Buffer.allocUnsafeSlow(FIRST_BYTES));
  }

  #makeRoom(pending: PendingBytes, length: number): boolean {
    const needed = pending.length + length;
    if (needed <= pending.buffer.length) {
      pending.buffer.copyWithin(0, pending.start, pending.end);
    } else {
      const capacity = Math.max(needed, pending.buffer.length * 2);
      const growth = capacity - pending.buffer.length;
      if (this.#bytesNow + growth > this.#bytesMax) return false;
      this.#bytesNow += growth;
      const larger = Buffer.allocUnsafeSlow(capacity);
      pending.buffer.copy(larger, 0, pending.start, pending.end);
      pending.buffer = larger;
    }
    pending.end -= pending.start;
    pending.start = 0;
    return true;
  }
}

/** The last bytes of one direction, to which what comes next may refer. */
import { Buffer } from "node:buffer";

/** Grows up to its bound with what is said, and then stays as large. */
export class HistoryWindow {
  readonly #bytesMax: number;
  #bytes = NOTHING;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What is remembered; undefined is nothing. It is this object's memory. */
  get bytes(): Buffer | undefined {
    return this.#bytes.length === 0 ? undefined : this.#bytes;
  }

  /** These come behind what came before. */
  append(bytes: Uint8Array): void {
    const { length } = bytes;
    const added = length > this.#bytesMax ? bytes.subarray(length - this.#bytesMax) : bytes;
    const before = this.#bytes;
    const keptBytes = Math.min(before.length, this.#bytesMax - added.length);
    const next = keptBytes + added.length === before.length ? before : Buffer.allocUnsafeSlow(keptBytes + added.length);
    before.copy(next, 0, before.length - keptBytes);
    next.set(added, keptBytes);
    this.#bytes = next;
  }
}

const NOTHING = Buffer.alloc(0);

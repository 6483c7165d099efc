/** The receive slab of a `uring` driver, cut into buffers that the kernel fills. */
import { RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS_FIRST, RECEIVE_BUFFERS_MAX } from "../constants.js";
import { BufferRing } from "../ring/buffer-ring.js";
import type { Ring } from "../ring/ring.js";
import type { ReceiveSlab } from "./contract.js";

/** The buffer group of receives; a ring has one. */
const GROUP = 0;

/** The buffers, and where each lies in the slab. */
export class ReceiveBuffers {
  readonly bytes: Uint8Array;
  readonly #ring: BufferRing;
  readonly #offset: number;

  constructor(ring: Ring, slab: ReceiveSlab) {
    this.bytes = slab.bytes;
    const start = ring.native.addressOf(slab.bytes.buffer as ArrayBuffer) + slab.bytes.byteOffset + slab.offset;
    const address = Math.ceil(start / RECEIVE_BUFFER_BYTES) * RECEIVE_BUFFER_BYTES;
    const skipped = address - start;
    // A difference of addresses is a float to V8, and every position in received bytes would be one from here on, converted and checked at each byte that is looked at.
    this.#offset = (slab.offset + skipped) | 0;
    this.#ring = new BufferRing(ring, {
      address,
      bufferBytes: RECEIVE_BUFFER_BYTES,
      count: Math.min(Math.floor((slab.length - skipped) / RECEIVE_BUFFER_BYTES), RECEIVE_BUFFERS_MAX),
      first: RECEIVE_BUFFERS_FIRST,
      group: GROUP,
    });
  }

  /** Where `buffer` starts in `bytes`. */
  offsetOf(buffer: number): number {
    return this.#offset + buffer * RECEIVE_BUFFER_BYTES;
  }

  /** Returns a buffer to the kernel; `publish` makes it visible. */
  give(buffer: number): void {
    this.#ring.give(buffer);
  }

  publish(): void {
    this.#ring.publish();
  }

  /** The kernel found no buffer: offers it twice as many, as far as the slab goes. */
  grow(): void {
    this.#ring.grow(this.#ring.offered);
  }
}

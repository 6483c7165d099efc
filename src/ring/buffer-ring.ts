/**
 * A ring of provided buffers: the kernel takes a buffer when data has arrived, so an idle connection holds none.
 *
 *     entry, 16 bytes:   address (8) | length (4) | buffer number (2) | tail of the ring, in entry 0 only (2)
 *
 * Only some of the slab is offered at first: the kernel takes buffers in turn, and a set that fits the cache is faster than a large one that
 * is walked through. The set doubles when the kernel runs out. This thread writes entries and tail; the kernel reads them.
 */
import { assert } from "../assert.js";
import { RECEIVE_BUFFERS_MAX } from "../constants.js";
import { checkNative } from "../native.js";
import type { Ring } from "./ring.js";

/** Where the buffers of a {@link BufferRing} lie. */
export interface BufferRingOptions {
  /** Address of buffer 0. */
  readonly address: number;
  readonly bufferBytes: number;
  /** How many buffers the slab has, at most 2^15. */
  readonly count: number;
  /** How many are offered at first. */
  readonly first: number;
  readonly group: number;
}

/** One registered ring of provided buffers. */
export class BufferRing {
  /** Buffers that take part: offered to the kernel, or filled and not yet returned. */
  offered = 0;
  readonly #count: number;
  readonly #bufferBytes: number;
  readonly #mask: number;
  readonly #baseLow: number;
  readonly #baseHigh: number;
  readonly #carryFrom: number;
  readonly #words: Int32Array;
  readonly #halves: Uint16Array;
  #tail = 0;

  constructor(ring: Ring, options: BufferRingOptions) {
    assert(
      options.count >= 1 && options.count <= RECEIVE_BUFFERS_MAX,
      "a buffer ring has as many buffers as the limit allows",
    );
    const entries = 1 << (32 - Math.clz32(options.count - 1));
    const memory = checkNative<ArrayBuffer>(
      ring.native.bufferRing(ring.handle, entries, options.group),
      "register a buffer ring",
      { entries },
    );
    this.#count = options.count;
    this.#bufferBytes = options.bufferBytes;
    this.#mask = entries - 1;
    this.#baseLow = (options.address % 0x1_0000_0000) | 0;
    this.#baseHigh = Math.floor(options.address / 0x1_0000_0000);
    // From this buffer on, the lower half of the address has wrapped.
    this.#carryFrom = Math.ceil((0x1_0000_0000 - (options.address % 0x1_0000_0000)) / options.bufferBytes);
    assert(
      options.address % options.bufferBytes === 0,
      "the receive slab is aligned to its buffers, so that none crosses a 4 GiB line",
    );
    this.#words = new Int32Array(memory);
    this.#halves = new Uint16Array(memory);
    this.grow(options.first);
  }

  /** Gives a buffer to the kernel; it is visible after `publish`. */
  give(buffer: number): void {
    const index = this.#tail & this.#mask;
    const at = index << 2;
    this.#words[at] = (this.#baseLow + buffer * this.#bufferBytes) | 0;
    this.#words[at + 1] = buffer < this.#carryFrom ? this.#baseHigh : this.#baseHigh + 1;
    this.#words[at + 2] = this.#bufferBytes;
    // The upper half of the last word is the tail, in entry 0.
    this.#halves[(at << 1) + 6] = buffer;
    this.#tail = (this.#tail + 1) & 0xffff;
  }

  /** Makes the buffers given since the last call visible to the kernel. */
  publish(): void {
    Atomics.store(this.#halves, 7, this.#tail);
  }

  /** Offers up to `more` buffers that were not offered before. Returns how many. */
  grow(more: number): number {
    const last = Math.min(this.offered + more, this.#count);
    const added = last - this.offered;
    for (let buffer = this.offered; buffer < last; buffer++) this.give(buffer);
    this.offered = last;
    this.publish();
    return added;
  }
}

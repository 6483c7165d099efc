/**
 * Bytes that have arrived and that nobody has read: first in, first out, in one piece of memory, so that a read of any length is one copy.
 *
 *     memory:  [ read | start → unread → end | room ]
 *
 * An empty queue holds no memory: blocks are powers of two, and go back to a free list of the thread.
 */
import { assert } from "../assert.js";

const BLOCK_BYTES_MIN = 4 * 1024;
/** Free blocks of one size together are at most so large; more is left to the collector. */
const FREE_BYTES_MAX = 4 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** By size. */
const free = new Map<number, Buffer[]>();

/** A queue of bytes. */
export class ByteQueue {
  #memory: Buffer = NOTHING;
  #start = 0;
  #end = 0;

  /** How many bytes wait. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Adds a copy of `length` bytes from `offset` on. */
  append(bytes: Uint8Array, offset: number, length: number): void {
    if (this.#end + length > this.#memory.length) this.#makeRoom(length);
    this.#memory.set(length === bytes.length ? bytes : bytes.subarray(offset, offset + length), this.#end);
    this.#end += length;
  }

  /** Puts bytes back in front of all others: a read that took them was given up. */
  unshift(bytes: Uint8Array): void {
    const rest = this.#memory.subarray(this.#start, this.#end);
    const memory = Buffer.allocUnsafeSlow(sizeFor(bytes.length + rest.length));
    memory.set(bytes);
    memory.set(rest, bytes.length);
    this.#release();
    this.#memory = memory;
    this.#end = bytes.length + rest.length;
  }

  /** Moves up to `lengthMax` bytes to `target` at `at`, and returns how many there were. */
  moveTo(target: Uint8Array, at: number, lengthMax: number): number {
    const length = Math.min(lengthMax, this.length);
    if (length === 0) return 0;
    target.set(this.#memory.subarray(this.#start, this.#start + length), at);
    this.#drop(length);
    return length;
  }

  /** Takes up to `lengthMax` bytes, in memory of their own. */
  take(lengthMax: number): Buffer {
    const taken = Buffer.allocUnsafe(Math.min(lengthMax, this.length));
    this.moveTo(taken, 0, taken.length);
    return taken;
  }

  /** Drops everything. */
  clear(): void {
    this.#release();
  }

  #drop(length: number): void {
    this.#start += length;
    if (this.#start === this.#end) this.#release();
  }

  #makeRoom(length: number): void {
    const unread = this.length;
    const needed = unread + length;
    if (needed <= this.#memory.length && this.#start >= this.#memory.length >>> 1) {
      this.#memory.copyWithin(0, this.#start, this.#end);
    } else {
      const memory = acquire(sizeFor(needed));
      memory.set(this.#memory.subarray(this.#start, this.#end));
      this.#release();
      this.#memory = memory;
    }
    this.#start = 0;
    this.#end = unread;
    assert(this.#end + length <= this.#memory.length, "there is room for what was asked for");
  }

  #release(): void {
    const size = this.#memory.length;
    if (size > 0) {
      const blocks = free.get(size) ?? [];
      if ((blocks.length + 1) * size <= FREE_BYTES_MAX) blocks.push(this.#memory);
      if (blocks.length === 1) free.set(size, blocks);
    }
    this.#memory = NOTHING;
    this.#start = 0;
    this.#end = 0;
  }
}

function sizeFor(length: number): number {
  let size = BLOCK_BYTES_MIN;
  while (size < length) size *= 2;
  return size;
}

function acquire(size: number): Buffer {
  return free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
}

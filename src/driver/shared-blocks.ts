/**
 * Blocks of the write pool that several connections send: one copy of the bytes, and a small *reference* in the chain of each connection.
 *
 *     pool:        [block, 3 users] ◀─ reference of slot 7, ◀─ reference of slot 9, and whoever shared it
 *
 * A reference is named as a block is, by an offset that is a multiple of 512, but behind the end of the pool. So the chains of the outbox hold both. One thread owns it.
 */
import { assert } from "../assert.js";
import { SHARED_REFERENCES_MAX, WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import { tierFor, type WritePool } from "./write-pool.js";

const NONE = -1;
const UNIT_SHIFT = 9;

/** The shared blocks of one pool. */
export class SharedBlocks {
  readonly #pool: WritePool;
  /** Where references begin. */
  readonly #base: number;
  /** By block: who holds it. */
  readonly #users: Int32Array;
  readonly #lengths: Int32Array;
  /** By reference: its block while it is taken, else the next free one. */
  readonly #targets = new Int32Array(SHARED_REFERENCES_MAX);
  #free = NONE;
  #fresh = 0;

  constructor(pool: WritePool) {
    this.#pool = pool;
    this.#base = pool.bytes.length;
    this.#users = new Int32Array(pool.bytes.length >>> UNIT_SHIFT);
    this.#lengths = new Int32Array(pool.bytes.length >>> UNIT_SHIFT);
  }

  /** Units of the pool and of all references together: what arrays by unit have to hold. */
  get units(): number {
    return (this.#base >>> UNIT_SHIFT) + SHARED_REFERENCES_MAX;
  }

  /** Copies up to 64 KiB into a block of their own, which is the caller's until {@link unshare}. Returns -1 when the pool is exhausted. */
  share(bytes: Uint8Array): number {
    assert(bytes.length > 0 && bytes.length <= WRITE_BLOCK_BYTES_MAX, "what is shared is 1 byte to 64 KiB");
    const block = this.#pool.acquire(tierFor(bytes.length));
    if (block === NONE) return NONE;
    this.#pool.bytes.set(bytes, block);
    this.#users[block >>> UNIT_SHIFT] = 1;
    this.#lengths[block >>> UNIT_SHIFT] = bytes.length;
    return block;
  }

  /** The sharer needs the block no longer. It is free when the last reference is. */
  unshare(block: number): void {
    const users = this.#users[block >>> UNIT_SHIFT]!;
    assert(users > 0, "only a shared block is given up");
    this.#users[block >>> UNIT_SHIFT] = users - 1;
    if (users === 1) this.#pool.release(block);
  }

  lengthOf(block: number): number {
    return this.#lengths[block >>> UNIT_SHIFT]!;
  }

  /** A new reference to a block, or -1 when there are too many. */
  refer(block: number): number {
    assert(this.#users[block >>> UNIT_SHIFT]! > 0, "only a shared block is referred to");
    const index = this.#free;
    if (index !== NONE) this.#free = this.#targets[index]!;
    else if (this.#fresh === SHARED_REFERENCES_MAX) return NONE;
    else this.#fresh += 1;
    const taken = index === NONE ? this.#fresh - 1 : index;
    this.#users[block >>> UNIT_SHIFT] = this.#users[block >>> UNIT_SHIFT]! + 1;
    this.#targets[taken] = block;
    return this.#base + (taken << UNIT_SHIFT);
  }

  /** Whether an offset names a reference and not a block. */
  isReference(offset: number): boolean {
    return offset >= this.#base;
  }

  blockOf(reference: number): number {
    return this.#targets[(reference - this.#base) >>> UNIT_SHIFT]!;
  }

  release(reference: number): void {
    const index = (reference - this.#base) >>> UNIT_SHIFT;
    const block = this.#targets[index]!;
    this.#targets[index] = this.#free;
    this.#free = index;
    this.unshare(block);
  }
}

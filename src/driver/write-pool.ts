/**
 * The write pool: blocks of eight tiers, 512 B to 64 KiB, in one array that never moves, so that the kernel can send from it.
 *
 *     chunk 0 (64 KiB)          chunk 1                    chunk 2
 *     [512][512]…[512]          [ 4096 ][ 4096 ]…          free: belongs to no tier
 *
 * A chunk belongs to one tier while any of its blocks is taken, and to nobody after that, so a burst of small blocks does not starve the large ones
 * for ever. A block is named by its offset, always a multiple of 512. Acquire and release are O(1). One thread owns the pool.
 */
import { assert } from "../assert.js";
import { WRITE_BLOCK_BYTES_MAX, WRITE_BLOCK_BYTES_MIN, WRITE_TIERS } from "../constants.js";

const CHUNK_SHIFT = 16;
const UNIT_SHIFT = 9;
const NONE = -1;
const TIER_FREE = 255;

/** The smallest tier whose blocks hold `size` bytes. */
export function tierFor(size: number): number {
  assert(size <= WRITE_BLOCK_BYTES_MAX, "a block holds at most 64 KiB");
  return size <= WRITE_BLOCK_BYTES_MIN ? 0 : 32 - UNIT_SHIFT - Math.clz32(size - 1);
}

/** Bytes in a block of `tier`. */
export function tierBytes(tier: number): number {
  return WRITE_BLOCK_BYTES_MIN << tier;
}

/** Blocks to write into, taken and given back by their offset. */
export class WritePool {
  readonly bytes: Uint8Array;
  /** Blocks that are taken now. */
  blocksNow = 0;
  #chunksTaken = 0;

  readonly #chunkCount: number;
  readonly #chunkTier: Uint8Array;
  /** Free blocks of each chunk: a list through `#nextFree` of those that were used, and the rest from `#chunkFresh` on. */
  readonly #chunkFreeHead: Int32Array;
  readonly #chunkFresh: Int32Array;
  readonly #chunkTaken: Int32Array;
  /** The chunks of a tier that have a free block are a doubly linked list. */
  readonly #chunkNext: Int32Array;
  readonly #chunkPrevious: Int32Array;
  readonly #tierHead = new Int32Array(WRITE_TIERS).fill(NONE);
  /** Chunks of no tier, linked through `#chunkNext`. */
  #freeChunk = NONE;
  #untouchedChunk = 0;
  /** By block (offset / 512): the next free block of its chunk. */
  readonly #nextFree: Int32Array;
  /** By block: 1 while it is taken. */
  readonly #taken: Uint8Array;

  constructor(byteLength: number) {
    assert(
      byteLength >= WRITE_BLOCK_BYTES_MAX && byteLength % WRITE_BLOCK_BYTES_MAX === 0,
      "a write pool is whole chunks of 64 KiB",
    );
    assert(byteLength <= 0x4000_0000, "a write pool is at most 1 GiB, so that offsets stay small integers");
    this.bytes = new Uint8Array(new ArrayBuffer(byteLength));
    this.#chunkCount = byteLength >>> CHUNK_SHIFT;
    this.#chunkTier = new Uint8Array(this.#chunkCount).fill(TIER_FREE);
    this.#chunkFreeHead = new Int32Array(this.#chunkCount);
    this.#chunkFresh = new Int32Array(this.#chunkCount);
    this.#chunkTaken = new Int32Array(this.#chunkCount);
    this.#chunkNext = new Int32Array(this.#chunkCount);
    this.#chunkPrevious = new Int32Array(this.#chunkCount);
    this.#nextFree = new Int32Array(byteLength >>> UNIT_SHIFT);
    this.#taken = new Uint8Array(byteLength >>> UNIT_SHIFT);
  }

  /** Takes a block of `tier` and returns its offset, or -1 when the pool has none left. */
  acquire(tier: number): number {
    let chunk = this.#tierHead[tier]!;
    if (chunk === NONE) {
      chunk = this.#openChunk(tier);
      if (chunk === NONE) return -1;
    }
    let block = this.#chunkFreeHead[chunk]!;
    if (block !== NONE) {
      this.#chunkFreeHead[chunk] = this.#nextFree[block >>> UNIT_SHIFT]!;
    } else {
      block = this.#chunkFresh[chunk]!;
      this.#chunkFresh[chunk] = block + (WRITE_BLOCK_BYTES_MIN << tier);
    }
    const taken = this.#chunkTaken[chunk]! + 1;
    this.#chunkTaken[chunk] = taken;
    if (taken === 1) this.#chunksTaken += 1;
    if (taken === 1 << (WRITE_TIERS - 1 - tier)) this.#unlink(tier, chunk);
    assert(this.#taken[block >>> UNIT_SHIFT] === 0, "an acquired block was free");
    this.#taken[block >>> UNIT_SHIFT] = 1;
    this.blocksNow += 1;
    return block;
  }

  /** Gives a block back. */
  release(block: number): void {
    const unit = block >>> UNIT_SHIFT;
    assert(this.#taken[unit] === 1, "a released block was taken");
    this.#taken[unit] = 0;
    this.blocksNow -= 1;
    const chunk = block >>> CHUNK_SHIFT;
    const tier = this.#chunkTier[chunk]!;
    this.#nextFree[unit] = this.#chunkFreeHead[chunk]!;
    this.#chunkFreeHead[chunk] = block;
    const taken = this.#chunkTaken[chunk]! - 1;
    this.#chunkTaken[chunk] = taken;
    if (taken === 0) this.#chunksTaken -= 1;
    if (taken === (1 << (WRITE_TIERS - 1 - tier)) - 1) {
      // The empty chunk that the tier may have kept is not its only one with room any more.
      const head = this.#tierHead[tier]!;
      if (head !== NONE && this.#chunkTaken[head] === 0) this.#closeChunk(tier, head);
      this.#link(tier, chunk);
    }
    // An empty chunk stays with its tier while it is the only one with room, else one block taken and released would open and close it each time.
    if (taken === 0 && (this.#tierHead[tier] !== chunk || this.#chunkNext[chunk] !== NONE))
      this.#closeChunk(tier, chunk);
  }

  /** Bytes in the chunks of which nothing is taken. */
  get roomBytes(): number {
    return (this.#chunkCount - this.#chunksTaken) << CHUNK_SHIFT;
  }

  /** Bytes in `block`. */
  sizeOf(block: number): number {
    return WRITE_BLOCK_BYTES_MIN << this.#chunkTier[block >>> CHUNK_SHIFT]!;
  }

  #openChunk(tier: number): number {
    let chunk = this.#freeChunk;
    if (chunk !== NONE) {
      this.#freeChunk = this.#chunkNext[chunk]!;
    } else if (this.#untouchedChunk < this.#chunkCount) {
      chunk = this.#untouchedChunk++;
    } else {
      chunk = this.#stealEmptyChunk(tier);
      if (chunk === NONE) return NONE;
    }
    this.#chunkTier[chunk] = tier;
    this.#chunkFreeHead[chunk] = NONE;
    this.#chunkFresh[chunk] = chunk << CHUNK_SHIFT;
    this.#link(tier, chunk);
    return chunk;
  }

  /** The empty chunk that another tier keeps as its only one. */
  #stealEmptyChunk(wanted: number): number {
    for (let tier = 0; tier < WRITE_TIERS; tier++) {
      const chunk = this.#tierHead[tier]!;
      if (tier === wanted || chunk === NONE || this.#chunkTaken[chunk] !== 0) continue;
      this.#unlink(tier, chunk);
      return chunk;
    }
    return NONE;
  }

  #closeChunk(tier: number, chunk: number): void {
    this.#unlink(tier, chunk);
    this.#chunkTier[chunk] = TIER_FREE;
    this.#chunkNext[chunk] = this.#freeChunk;
    this.#freeChunk = chunk;
  }

  #link(tier: number, chunk: number): void {
    const head = this.#tierHead[tier]!;
    this.#chunkNext[chunk] = head;
    this.#chunkPrevious[chunk] = NONE;
    if (head !== NONE) this.#chunkPrevious[head] = chunk;
    this.#tierHead[tier] = chunk;
  }

  #unlink(tier: number, chunk: number): void {
    const next = this.#chunkNext[chunk]!;
    const previous = this.#chunkPrevious[chunk]!;
    if (previous === NONE) this.#tierHead[tier] = next;
    else this.#chunkNext[previous] = next;
    if (next !== NONE) this.#chunkPrevious[next] = previous;
  }
}

/**
 * Which blocks of a region are free: the private half of the slab, in memory of the thread that owns the region.
 *
 *     chunk 0, class 0           chunk 1, class 2           chunk 2
 *     [1][1][1][1]…              [   4   ][   4   ]…        free: belongs to no class
 *
 * Sizes are in units; a block of class c is 2^c of them, and named by its first. A chunk belongs to one class while any of its blocks is taken, and to nobody after that, except
 * that a class keeps one empty chunk as long as nobody else needs it, so that one block taken and put back does not open and close a chunk each time. All calls are O(1).
 */
import { assert } from "../assert.js";

const NONE = -1;
const CLASS_FREE = 255;
/** A chunk with blocks that were taken before this pool was made; when all are back it is free. */
const CLASS_CLOSED = 254;

/** Blocks by their first unit. */
export class BlockPool {
  /** Blocks that are taken now. */
  takenCount = 0;

  readonly #chunkShift: number;
  readonly #chunkClass: Uint8Array;
  readonly #chunkTaken: Int32Array;
  /** Free blocks of each chunk: a list of those that were used, and the rest from `#chunkFresh` on. */
  readonly #chunkFreeHead: Int32Array;
  readonly #chunkFresh: Int32Array;
  /** The chunks of a class that have a free block, and those of no class: a doubly linked list each. */
  readonly #chunkNext: Int32Array;
  readonly #chunkPrevious: Int32Array;
  readonly #classHead: Int32Array;
  #freeChunk = NONE;
  /** By unit: the next free block of its chunk. */
  readonly #nextFree: Int32Array;
  /** By unit: 1 while the block that begins there is taken. */
  readonly #taken: Uint8Array;

  /** @param chunkUnits Units of a chunk, a power of two: the largest block. */
  constructor(chunkCount: number, chunkUnits: number) {
    assert(chunkCount > 0, "a region has chunks");
    assert(chunkUnits > 0 && (chunkUnits & (chunkUnits - 1)) === 0, "a chunk is a power of two of units");
    this.#chunkShift = 31 - Math.clz32(chunkUnits);
    this.#chunkClass = new Uint8Array(chunkCount).fill(CLASS_FREE);
    this.#chunkTaken = new Int32Array(chunkCount);
    this.#chunkFreeHead = new Int32Array(chunkCount);
    this.#chunkFresh = new Int32Array(chunkCount);
    this.#chunkNext = new Int32Array(chunkCount);
    this.#chunkPrevious = new Int32Array(chunkCount);
    this.#classHead = new Int32Array(this.#chunkShift + 1).fill(NONE);
    this.#nextFree = new Int32Array(chunkCount * chunkUnits);
    this.#taken = new Uint8Array(chunkCount * chunkUnits);
    for (let chunk = chunkCount - 1; chunk >= 0; chunk--) this.#pushFreeChunk(chunk);
  }

  /** The class of blocks that hold `units`; one that is larger than a chunk has no class, and {@link take} no block. */
  classFor(units: number): number {
    return units <= 1 ? 0 : 32 - Math.clz32(units - 1);
  }

  /** Takes a block of a class and gives its first unit, or -1 when there is none. */
  take(sizeClass: number): number {
    if (sizeClass > this.#chunkShift) return NONE;
    let chunk = this.#classHead[sizeClass]!;
    if (chunk === NONE) {
      chunk = this.#openChunk(sizeClass);
      if (chunk === NONE) return NONE;
    }
    let unit = this.#chunkFreeHead[chunk]!;
    if (unit !== NONE) this.#chunkFreeHead[chunk] = this.#nextFree[unit]!;
    else {
      unit = this.#chunkFresh[chunk]!;
      this.#chunkFresh[chunk] = unit + (1 << sizeClass);
    }
    assert(this.#taken[unit] === 0, "a block that is given out was free");
    this.#taken[unit] = 1;
    this.takenCount += 1;
    const taken = this.#chunkTaken[chunk]! + 1;
    this.#chunkTaken[chunk] = taken;
    if (taken === this.#blocksOf(sizeClass)) this.#unlink(sizeClass, chunk);
    return unit;
  }

  /** Puts a block back. */
  putBack(unit: number): void {
    assert(this.#taken[unit] === 1, "a block that comes back was taken");
    this.#taken[unit] = 0;
    this.takenCount -= 1;
    const chunk = unit >> this.#chunkShift;
    const sizeClass = this.#chunkClass[chunk]!;
    const taken = this.#chunkTaken[chunk]! - 1;
    this.#chunkTaken[chunk] = taken;
    if (sizeClass === CLASS_CLOSED) {
      if (taken === 0) this.#pushFreeChunk(chunk);
      return;
    }
    this.#nextFree[unit] = this.#chunkFreeHead[chunk]!;
    this.#chunkFreeHead[chunk] = unit;
    if (taken === this.#blocksOf(sizeClass) - 1) {
      const head = this.#classHead[sizeClass]!;
      // The empty chunk that the class may have kept is not its only one with room any more.
      if (head !== NONE && this.#chunkTaken[head] === 0) this.#closeChunk(sizeClass, head);
      this.#link(sizeClass, chunk);
    }
    const isOnly = this.#classHead[sizeClass] === chunk && this.#chunkNext[chunk] === NONE;
    if (taken === 0 && !isOnly) this.#closeChunk(sizeClass, chunk);
  }

  /** Notes, in a new pool, that the block beginning at `unit` is taken: its chunk gives nothing out until all such blocks were put back. */
  markTaken(unit: number): void {
    const chunk = unit >> this.#chunkShift;
    assert(this.#taken[unit] === 0, "a block is marked once");
    if (this.#chunkClass[chunk] !== CLASS_CLOSED) {
      assert(this.#chunkClass[chunk] === CLASS_FREE, "blocks are marked before any is given out");
      this.#unlinkFreeChunk(chunk);
      this.#chunkClass[chunk] = CLASS_CLOSED;
    }
    this.#taken[unit] = 1;
    this.#chunkTaken[chunk]! += 1;
    this.takenCount += 1;
  }

  /** Whether the block that begins at `unit` is taken. */
  isTaken(unit: number): boolean {
    return this.#taken[unit] === 1;
  }

  /** Units of the taken block that begins at `unit`. */
  unitsOf(unit: number): number {
    assert(this.#taken[unit] === 1, "a block with a size is taken");
    return 1 << this.#chunkClass[unit >> this.#chunkShift]!;
  }

  #blocksOf(sizeClass: number): number {
    return 1 << (this.#chunkShift - sizeClass);
  }

  #openChunk(sizeClass: number): number {
    let chunk = this.#freeChunk;
    if (chunk !== NONE) this.#unlinkFreeChunk(chunk);
    else {
      chunk = this.#stealEmptyChunk(sizeClass);
      if (chunk === NONE) return NONE;
    }
    this.#chunkClass[chunk] = sizeClass;
    this.#chunkFreeHead[chunk] = NONE;
    this.#chunkFresh[chunk] = chunk << this.#chunkShift;
    this.#link(sizeClass, chunk);
    return chunk;
  }

  /** The empty chunk that another class keeps. */
  #stealEmptyChunk(wanted: number): number {
    for (let sizeClass = 0; sizeClass < this.#classHead.length; sizeClass++) {
      const chunk = this.#classHead[sizeClass]!;
      if (sizeClass === wanted || chunk === NONE || this.#chunkTaken[chunk] !== 0) continue;
      this.#unlink(sizeClass, chunk);
      return chunk;
    }
    return NONE;
  }

  #closeChunk(sizeClass: number, chunk: number): void {
    this.#unlink(sizeClass, chunk);
    this.#pushFreeChunk(chunk);
  }

  #pushFreeChunk(chunk: number): void {
    this.#chunkClass[chunk] = CLASS_FREE;
    this.#chunkNext[chunk] = this.#freeChunk;
    this.#chunkPrevious[chunk] = NONE;
    if (this.#freeChunk !== NONE) this.#chunkPrevious[this.#freeChunk] = chunk;
    this.#freeChunk = chunk;
  }

  #unlinkFreeChunk(chunk: number): void {
    const next = this.#takeOut(chunk);
    if (this.#freeChunk === chunk) this.#freeChunk = next;
  }

  #link(sizeClass: number, chunk: number): void {
    const head = this.#classHead[sizeClass]!;
    this.#chunkNext[chunk] = head;
    this.#chunkPrevious[chunk] = NONE;
    if (head !== NONE) this.#chunkPrevious[head] = chunk;
    this.#classHead[sizeClass] = chunk;
  }

  #unlink(sizeClass: number, chunk: number): void {
    const next = this.#takeOut(chunk);
    if (this.#classHead[sizeClass] === chunk) this.#classHead[sizeClass] = next;
  }

  /** Joins a chunk's neighbours in its list, and gives the one after it. */
  #takeOut(chunk: number): number {
    const next = this.#chunkNext[chunk]!;
    const previous = this.#chunkPrevious[chunk]!;
    if (previous !== NONE) this.#chunkNext[previous] = next;
    if (next !== NONE) this.#chunkPrevious[next] = previous;
    return next;
  }
}

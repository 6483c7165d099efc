/**
 * A thread's run queue: a bounded ring of hints that its owner fills and that everybody empties.
 *
 *     line 0: [tail …]   line 1: [head …]   then capacity cells: 0, or a slot + 1
 *
 * Modelled on the queues of Go's and tokio's schedulers, with one difference that makes it simple: *a hint is taken by exchanging its cell with 0*, by the owner and by thieves alike.
 * Whoever gets it out of the cell has it and nobody else does, whichever round of the ring it belongs to. So there is no pair of heads in one word, no compare-and-swap that an old value could deceive,
 * and the owner's pop is wait-free: it passes each cell once and never waits for a thief.
 *
 * - `tail`: the owner alone writes it, after the cell. Thieves load it to know where to stop.
 * - `head`: the owner alone writes it, not after every pop. Every cell before it is empty, up to one round back. Thieves load it to know where to begin, and skip empty cells.
 * - a cell: the owner stores a hint into an empty one; anybody exchanges it with 0. Storing it pairs with the exchange that takes it.
 *
 * Both indexes run freely modulo 2^indexBits and are compared by their difference, which is less than twice the capacity: so `indexBits` must exceed the capacity's logarithm by one, and no more is needed.
 * An index that a thief has loaded long ago makes it look into cells in vain or take a hint out of turn; both are harmless. A push that is complete before a thief looks is found by it
 * unless another push has followed, and who pushes wakes a thread that looks again.
 *
 * A thread that dies takes at most the hints with it that it held in its hands; the reaper adds every queued task of the table to the injector again.
 */
import { assert } from "../assert.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const TAIL = 0;
const HEAD = LINE_WORDS;
const CELLS = 2 * LINE_WORDS;
const INDEX_BITS = 31;
/** An atomic store costs about 8 ns, so the owner shows its head after so many pops only. Thieves meanwhile look at as many empty cells more. */
const HEAD_LAG_MAX = 16;

/** Where a run queue is, and how large. Its owner and its thieves must be given the same. */
export interface RunQueueShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  /** Hints that it holds, a power of two. */
  readonly capacity: number;
  /** Bits of head and tail; 31 unless a test wants them to wrap early. */
  readonly indexBits?: number;
}

/** Words that a run queue of `capacity` hints takes. */
export function runQueueLength(capacity: number): number {
  return CELLS + Math.ceil(capacity / LINE_WORDS) * LINE_WORDS;
}

/** The owner's end. One thread uses it. */
export class RunQueue {
  readonly #words: Words;
  readonly #base: number;
  readonly #cells: number;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #indexMask: number;
  /** Where the next hint goes; the shared word is behind by what is staged. */
  #tail: number;
  #head: number;
  /** What the shared word says: behind by less than the lag. */
  #headShown: number;
  readonly #headLagMax: number;

  constructor(words: Words, shape: RunQueueShape) {
    checkShape(words, shape);
    this.#words = words;
    this.#base = shape.base;
    this.#cells = shape.base + CELLS;
    this.#capacity = shape.capacity;
    this.#mask = shape.capacity - 1;
    this.#indexMask = indexMaskOf(shape);
    // The successor of a dead owner continues where that one was.
    this.#tail = words.load(shape.base + TAIL);
    this.#head = words.load(shape.base + HEAD);
    this.#headShown = this.#head;
    this.#headLagMax = Math.min(HEAD_LAG_MAX, shape.capacity >> 1);
  }

  /** Adds a hint at the back. False when the queue is full: then nothing was added. */
  push(slot: number): boolean {
    if (!this.stage(slot)) return false;
    this.publish();
    return true;
  }

  /** Puts a hint at the back where only the owner finds it until {@link publish}. False when the queue is full. */
  stage(slot: number): boolean {
    if (!this.hasRoom()) return false;
    this.#words.store(this.#cells + (this.#tail & this.#mask), slot + 1);
    this.#tail = (this.#tail + 1) & this.#indexMask;
    return true;
  }

  /** Shows thieves what was staged. It pairs with their load of `tail`. */
  publish(): void {
    this.#words.store(this.#base + TAIL, this.#tail);
  }

  /** Whether the next {@link stage} or {@link push} will succeed. */
  hasRoom(): boolean {
    if (this.depth < this.#capacity) return true;
    // The cell at the tail is the one at the head. If thieves have emptied it, the head passes it: so the two are never further apart than the capacity.
    if (this.#words.load(this.#cells + (this.#head & this.#mask)) !== 0) return false;
    this.#advanceHead();
    return true;
  }

  /** Takes the oldest hint, or -1 if there is none. Wait-free. */
  pop(): number {
    while (this.#head !== this.#tail) {
      const hint = this.#words.exchange(this.#cells + (this.#head & this.#mask), 0);
      this.#advanceHead();
      if (hint !== 0) return hint - 1;
    }
    return -1;
  }

  /**
   * Takes the newest hint, or -1 if there is none. Wait-free. Tasks that spawn tasks are then gone through in depth, so that few are in flight at a time, while thieves take the oldest, which have the most below them.
   * The shared tail stays ahead until the next push: thieves look into a few cells that are empty.
   */
  popNewest(): number {
    while (this.#tail !== this.#head) {
      this.#tail = (this.#tail - 1) & this.#indexMask;
      const hint = this.#words.exchange(this.#cells + (this.#tail & this.#mask), 0);
      if (hint !== 0) return hint - 1;
    }
    return -1;
  }

  /** Whether the owner has nothing to pop. Costs one load for each cell that thieves have emptied. */
  isEmpty(): boolean {
    for (let at = this.#head; at !== this.#tail; at = (at + 1) & this.#indexMask) {
      if (this.#words.load(this.#cells + (at & this.#mask)) !== 0) return false;
    }
    return true;
  }

  /** Hints that it holds, or a few more when thieves were here. For statistics and for picking a victim. */
  get depth(): number {
    return (this.#tail - this.#head) & this.#indexMask;
  }

  #advanceHead(): void {
    this.#head = (this.#head + 1) & this.#indexMask;
    if (((this.#head - this.#headShown) & this.#indexMask) < this.#headLagMax) return;
    this.#headShown = this.#head;
    this.#words.store(this.#base + HEAD, this.#head);
  }
}

/** A thief's view of another thread's run queue. */
export class RunQueueThief {
  readonly #words: Words;
  readonly #base: number;
  readonly #cells: number;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #indexMask: number;
  /** Set by every look: where it begins. */
  #first = 0;

  constructor(words: Words, shape: RunQueueShape) {
    checkShape(words, shape);
    this.#words = words;
    this.#base = shape.base;
    this.#cells = shape.base + CELLS;
    this.#capacity = shape.capacity;
    this.#mask = shape.capacity - 1;
    this.#indexMask = indexMaskOf(shape);
  }

  /** Takes the oldest hint, or -1 if there is none. */
  stealOne(): number {
    let left = this.#look();
    for (let at = this.#first; left > 0; left--) {
      const hint = this.#take(at);
      if (hint !== 0) return hint - 1;
      at = (at + 1) & this.#indexMask;
    }
    return -1;
  }

  /**
   * Takes half of what is there, rounded up, `countMax` at most. The oldest is returned (-1 if there was none); the others go to the back of `own`, in order, and become visible to other
   * thieves at once when all are there. Stops early when `own` is full.
   */
  stealHalf(own: RunQueue, countMax: number): number {
    let left = this.#look();
    let at = this.#first;
    const wanted = Math.min((left + 1) >>> 1, countMax);
    let first = -1;
    let count = 0;
    // Room is made sure of before a hint is taken, because one that was taken has no other place. Only `own`'s owner, who is calling, fills it.
    while (left > 0 && count < wanted && (first === -1 || own.hasRoom())) {
      const hint = this.#take(at);
      at = (at + 1) & this.#indexMask;
      left--;
      if (hint === 0) continue;
      count++;
      if (first === -1) first = hint - 1;
      else assert(own.stage(hint - 1), "a queue with room takes a hint");
    }
    if (count > 1) own.publish();
    return first;
  }

  /** Whether there is nothing to steal. */
  isEmpty(): boolean {
    let left = this.#look();
    for (let at = this.#first; left > 0; left--) {
      if (this.#words.load(this.#cells + (at & this.#mask)) !== 0) return false;
      at = (at + 1) & this.#indexMask;
    }
    return true;
  }

  /** Hints that it holds, or more when other thieves were here. */
  get depth(): number {
    return this.#look();
  }

  #take(at: number): number {
    const cell = this.#cells + (at & this.#mask);
    // Looked at first, because an exchange takes the cell's cache line away from its owner.
    return this.#words.load(cell) === 0 ? 0 : this.#words.exchange(cell, 0);
  }

  /** Gives how many cells to look at, and sets the index of the first. */
  #look(): number {
    // Head before tail: then what lies between them includes everything that was there when the head was loaded.
    this.#first = this.#words.load(this.#base + HEAD);
    const tail = this.#words.load(this.#base + TAIL);
    const depth = (tail - this.#first) & this.#indexMask;
    if (depth <= this.#capacity) return depth;
    // The head that is shown is behind. One round before the tail is the oldest hint that can be there; from the head on, the newest would come first.
    this.#first = (tail - this.#capacity) & this.#indexMask;
    return this.#capacity;
  }
}

function indexMaskOf(shape: RunQueueShape): number {
  return 2 ** (shape.indexBits ?? INDEX_BITS) - 1;
}

function checkShape(words: Words, shape: RunQueueShape): void {
  const { base, capacity } = shape;
  assert(capacity > 0 && (capacity & (capacity - 1)) === 0, "the capacity of a run queue is a power of two");
  assert(indexMaskOf(shape) >= 2 * capacity - 1, "head and tail tell a full queue from an empty one");
  assert(base + runQueueLength(capacity) <= words.length, "a run queue fits its memory");
}

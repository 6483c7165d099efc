/**
 * The slab: blocks of shared memory for the arguments and results of tasks. One region for each thread, which alone takes blocks from it; any thread may give a block back.
 *
 *     region: line 0 [freed, used …]   [state of unit 0, 1, 2 …]   [unit 0][unit 1][unit 2] …
 *
 * `freed` is the stack of blocks that others gave back, `used` says that the region had an owner before.
 *
 * Which blocks are free is private to the owner of the region (`block-pool.ts`). Shared are the head of a stack of blocks that others gave back (anyone pushes by compare-and-swap, only the owner pops, so a block that the
 * owner looks at cannot leave the stack and come back: no ABA), its links in the first word of each freed block (payload, published by the push), and one *state* word for each unit that a block can begin at:
 *
 *     0             only the owner knows the block: free, or taken and not yet lent
 *     LENT          a reference to it stands in shared memory. Written by the owner
 *     FREED | life  being given back by the thread with this life. Written by that thread, in the compare-and-swap from LENT that claims the giving back
 *
 * The state is the truth and the stack a hint. **References**: a block is lent by {@link Slab.lendAt}, which stores the reference into a word of the caller's (of a task slot) *before* it stores LENT, and given back by
 * {@link Slab.releaseAt}, which claims the state, then clears the caller's word, and pushes last. So a LENT block has its reference in shared memory, a reference that stands there is never to a block that was meanwhile taken
 * again (its push comes after the clearing), and the reaper repeats the releaseAt of a dead thread without knowing how far that one got: the claim succeeds once.
 *
 * **Death between two stores.** What can be cut, and who mends it:
 * - A block taken and not lent has state 0; the successor of the owner has it back.
 * - A reference stored and not lent: its task was never published. The reaper's releaseAt finds no LENT and only clears the word.
 * - LENT, and the thread that should release it died: the reference stands, the reaper releases.
 * - Claimed and not pushed, that is FREED by a life that has ended and on no stack: leaks until the owner's next {@link Slab.sweep}, which {@link Slab.take} runs by itself when it has no room and a life has ended since the last one.
 * - The owner died: nobody waits for its region to become quiet. The successor's constructor adopts it. Blocks that are LENT, or FREED by a living thread, keep their chunks closed until they come over the stack; all else is free.
 *   The owner clears the state of a block before it pops it, so one that it was about to pop is still on the stack.
 *
 * A *life* is a number that no two threads ever share ({@link lifeOf}); the word `lives + thread` holds that of the thread that now has the id, 0 when none does. A dead thread's stays until the reaper has released the references in
 * all of its slots; only then is it cleared, and one added to the word `deaths`. Earlier, the owner would take back a block to which a reference still stands, lend it again, and the reaper would release that (found by the
 * model checker). A successor gets the id after that, for the same reason.
 */
import { assert } from "../assert.js";
import { BlockPool } from "./block-pool.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
/** Word of a region that its first owner sets to 1. In a region without it, all states are 0. */
const USED = 1;
const LENT = 1;
const FREED = 2;
const LIFE_SHIFT = 2;
const THREAD_BITS = 6;

/** The most threads that can have a region. */
export const SLAB_THREADS_MAX = 1 << THREAD_BITS;

/** What {@link Slab.take} answers when the region has no room. */
export const SLAB_FULL = 0;

/** How the slab is divided. */
export interface SlabDivision {
  /** Regions, one for each thread. */
  readonly threads: number;
  /** Words of the smallest block. */
  readonly unitWords: number;
  /** Units of a chunk, a power of two: the largest block. */
  readonly chunkUnits: number;
  /** Chunks of a region. */
  readonly chunks: number;
}

/** Where the slab is and how it is divided; the same on every thread. */
export interface SlabShape extends SlabDivision {
  /** Index of its first word. */
  readonly base: number;
  /** Index of the words with the life of each thread. */
  readonly lives: number;
  /** Index of the word that counts deaths. */
  readonly deaths: number;
}

/** Words that a slab takes, without those of lives and deaths. */
export function slabLength(division: SlabDivision): number {
  return division.threads * regionLength(division);
}

/** The life of the `count`th thread that was started (from 1), under the id that it has. It is never 0. */
export function lifeOf(thread: number, count: number): number {
  assert(thread >= 0 && thread < SLAB_THREADS_MAX, "a thread id fits its bits");
  assert(count >= 1 && count < 1 << 24, "a process starts fewer than 2^24 threads");
  return thread | (count << THREAD_BITS);
}

/** One thread's view of the slab: owner of its own region, giver-back to all others. */
export class Slab {
  /** Words of the largest block. */
  readonly blockWordsMax: number;
  /** Times that {@link take} found no room. */
  refusals = 0;

  readonly #words: Words;
  readonly #shape: SlabShape;
  readonly #life: number;
  readonly #regionLength: number;
  readonly #regionUnits: number;
  /** The own region's first word, and its first unit in numbers of the whole slab. */
  readonly #region: number;
  readonly #firstUnit: number;
  readonly #pool: BlockPool;
  #deathsSeen: number;

  /** Takes over the region of `thread`: a new one, or that of a thread whose life has ended. The life of this thread must stand in `lives`. */
  constructor(words: Words, shape: SlabShape, thread: number) {
    checkShape(words, shape);
    assert(thread >= 0 && thread < shape.threads, "a thread has a region of its own");
    this.#words = words;
    this.#shape = shape;
    this.#life = words.load(shape.lives + thread);
    assert(this.#life !== 0 && (this.#life & (SLAB_THREADS_MAX - 1)) === thread, "the owner of a region is alive");
    this.#regionLength = regionLength(shape);
    this.#regionUnits = shape.chunks * shape.chunkUnits;
    this.#region = shape.base + thread * this.#regionLength;
    this.#firstUnit = thread * this.#regionUnits;
    this.blockWordsMax = shape.chunkUnits * shape.unitWords;
    this.#pool = new BlockPool(shape.chunks, shape.chunkUnits);
    this.#deathsSeen = words.load(shape.deaths);
    this.#adopt();
  }

  /** Blocks of the own region that are taken, those included that others gave back and the owner has not collected. */
  get blocksNow(): number {
    return this.#pool.takenCount;
  }

  /** Takes a block of at least `wordCount` words and gives its reference, or {@link SLAB_FULL}. More than {@link blockWordsMax} never fits. */
  take(wordCount: number): number {
    assert(wordCount > 0, "a block has words");
    const sizeClass = this.#pool.classFor(Math.ceil(wordCount / this.#shape.unitWords));
    let unit = this.#pool.take(sizeClass);
    if (unit < 0 && this.collect() > 0) unit = this.#pool.take(sizeClass);
    if (unit < 0 && this.#words.load(this.#shape.deaths) !== this.#deathsSeen && this.sweep() > 0) {
      unit = this.#pool.take(sizeClass);
    }
    if (unit >= 0) return this.#firstUnit + unit + 1;
    this.refusals += 1;
    return SLAB_FULL;
  }

  /** Puts back a block of the own region that was never lent. */
  drop(reference: number): void {
    assert(this.#words.load(this.#stateOf(reference)) === 0, "a dropped block was not lent");
    this.#pool.putBack(this.#ownUnit(reference));
  }

  /** Stores the reference to a taken block of the own region into the word at `index`, for others to find. Its payload is visible to who has seen a later publication: of the slot that the word belongs to. */
  lendAt(index: number, reference: number): void {
    assert(this.#pool.isTaken(this.#ownUnit(reference)), "a lent block was taken");
    this.#words.store(index, reference);
    this.#words.store(this.#stateOf(reference), LENT);
  }

  /**
   * Gives back the block whose reference the word at `index` holds, and clears the word; nothing if it is 0. Nobody may touch the block from here on. One living thread at a time may do this for a word, and
   * the reaper may repeat it for one that died within it. True when this call was the one that gave the block back.
   */
  releaseAt(index: number): boolean {
    const reference = this.#words.load(index);
    if (reference === 0) return false;
    const state = this.#stateOf(reference);
    const isClaimed = this.#words.compareExchange(state, LENT, FREED | (this.#life << LIFE_SHIFT)) === LENT;
    this.#words.store(index, 0);
    if (!isClaimed) return false;
    const unit = reference - 1 - this.#firstUnit;
    if (unit >= 0 && unit < this.#regionUnits) {
      this.#words.store(state, 0);
      this.#pool.putBack(unit);
    } else this.#push(reference);
    return true;
  }

  /** Index of a block's first word. */
  wordOf(reference: number): number {
    const region = this.#regionOf(reference);
    const unit = reference - 1 - region * this.#regionUnits;
    const { base, unitWords } = this.#shape;
    return base + region * this.#regionLength + blocksOffset(this.#regionUnits) + unit * unitWords;
  }

  /** Words of a taken block of the own region. */
  sizeOf(reference: number): number {
    return this.#pool.unitsOf(this.#ownUnit(reference)) * this.#shape.unitWords;
  }

  /** Takes back what other threads gave back, and says how many blocks that were. {@link take} does so by itself when it has none. */
  collect(): number {
    let count = 0;
    for (let reference = this.#pop(); reference !== 0; reference = this.#pop()) {
      this.#pool.putBack(this.#ownUnit(reference));
      count += 1;
    }
    return count;
  }

  /**
   * Takes back blocks whose giving back was cut by the death of a thread, with those on the stack, and says how many. It looks at every unit of the region, so it is for the time after a death.
   * The lives are read before the stack is emptied: whose had ended by then had made its last push, so what it has FREED and was not in that stack is on none.
   */
  sweep(): number {
    this.#deathsSeen = this.#words.load(this.#shape.deaths);
    const lives = this.#livesNow();
    let count = this.collect();
    for (let unit = 0; unit < this.#regionUnits; unit++) {
      if (!this.#clearIfCut(unit, lives)) continue;
      this.#pool.putBack(unit);
      count += 1;
    }
    return count;
  }

  /** Finds out which blocks of a former owner others still have. */
  #adopt(): void {
    if (this.#words.exchange(this.#region + USED, 1) === 0) return;
    const lives = this.#livesNow();
    while (this.#pop() !== 0);
    for (let unit = 0; unit < this.#regionUnits; unit++) {
      const state = this.#words.load(this.#region + LINE_WORDS + unit);
      if (state !== 0 && !this.#clearIfCut(unit, lives)) this.#pool.markTaken(unit);
    }
  }

  #clearIfCut(unit: number, lives: ReadonlySet<number>): boolean {
    const index = this.#region + LINE_WORDS + unit;
    const state = this.#words.load(index);
    if ((state & FREED) === 0 || lives.has(state >>> LIFE_SHIFT)) return false;
    this.#words.store(index, 0);
    return true;
  }

  #livesNow(): ReadonlySet<number> {
    const { lives, threads } = this.#shape;
    return new Set(Array.from({ length: threads }, (_, thread) => this.#words.load(lives + thread)));
  }

  #push(reference: number): void {
    const head = this.#shape.base + this.#regionOf(reference) * this.#regionLength;
    const link = this.wordOf(reference);
    let found = this.#words.load(head);
    for (;;) {
      this.#words.write(link, found);
      const now = this.#words.compareExchange(head, found, reference);
      if (now === found) return;
      found = now;
    }
  }

  /** The newest block on the own stack, or 0. */
  #pop(): number {
    let reference = this.#words.load(this.#region);
    while (reference !== 0) {
      const next = this.#words.read(this.wordOf(reference));
      // Before the pop: a block that a dying owner has popped and not cleared would look as if its giver were still at work, and be lost.
      this.#words.store(this.#stateOf(reference), 0);
      const now = this.#words.compareExchange(this.#region, reference, next);
      if (now === reference) return reference;
      reference = now;
    }
    return 0;
  }

  #regionOf(reference: number): number {
    assert(
      reference > 0 && reference <= this.#shape.threads * this.#regionUnits,
      "a reference is to a unit of the slab",
    );
    return Math.floor((reference - 1) / this.#regionUnits);
  }

  #stateOf(reference: number): number {
    const region = this.#regionOf(reference);
    const unit = reference - 1 - region * this.#regionUnits;
    return this.#shape.base + region * this.#regionLength + LINE_WORDS + unit;
  }

  #ownUnit(reference: number): number {
    const unit = reference - 1 - this.#firstUnit;
    assert(unit >= 0 && unit < this.#regionUnits, "only the owner of a region manages its blocks");
    return unit;
  }
}

/** Blocks begin on a cache line of their own. */
function blocksOffset(regionUnits: number): number {
  return LINE_WORDS + Math.ceil(regionUnits / LINE_WORDS) * LINE_WORDS;
}

function regionLength({ unitWords, chunkUnits, chunks }: SlabDivision): number {
  const units = chunkUnits * chunks;
  return blocksOffset(units) + Math.ceil((units * unitWords) / LINE_WORDS) * LINE_WORDS;
}

function checkShape(words: Words, shape: SlabShape): void {
  assert(shape.threads > 0 && shape.threads <= SLAB_THREADS_MAX, "a slab has 1 to 64 regions");
  assert(shape.unitWords > 0, "a unit has words");
  assert(shape.base >= 0 && shape.base + slabLength(shape) <= words.length, "a slab lies within the words");
  assert(shape.lives >= 0 && shape.lives + shape.threads <= words.length, "lives lie within the words");
  assert(shape.deaths >= 0 && shape.deaths < words.length, "the count of deaths lies within the words");
}

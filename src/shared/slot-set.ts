/**
 * A set of task slots that every thread may add to: a bitmap with a tree of summary bits above it.
 *
 *     root       [ .1.. ]            a bit says that a word below it may hold something
 *     summaries  [ .... | 1..1 ]
 *     slots      [ … | .1.1 | … ]    a bit is a slot
 *
 * It holds *hints*: that a slot is in it says only that somebody should look at the task's state. So adding twice is as good as once, nothing can be full,
 * and no operation has a half-done form that another thread would have to complete or wait for. There is no index that wraps and no word whose old value could come back and deceive
 * a compare-and-swap: adding is `or`, taking is `and`, and whoever takes a bit away has it.
 *
 * Any thread writes any word.
 * - {@link SlotSet.insert} sets the slot's bit, then each summary bit above it that is not set. It pairs with the loads of a taker, from the root down.
 * - A taker that empties a word clears the bit above it and *then looks at the word again*: an insert that found that bit still set has set its own before, so one of the two sees the other. Between
 *   the two steps the set can look empty to a third thread. That is why who takes from a shared set and leaves something behind wakes another thread (`docs/scheduler.md`).
 *
 * A thread that dies in an insert may leave a slot without its summary bit, and one that dies between clearing and looking again may hide a word. The next insert into that word mends it, and the reaper adds again what the table says.
 * Order is by slot, not by arrival: each taker sweeps round from where it was, so that a slot waits for one sweep at most.
 */
import { assert } from "../assert.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const WORD_SHIFT = 5;
const ONE = new Int32Array(1);

/** Where a set is, and how large. All its users must be given the same. */
export interface SlotSetShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  /** Slots from 0 to one less than this. */
  readonly capacity: number;
  /** Each word holds 2 to the power of this many bits: 5 unless a test wants a deep tree over few slots. */
  readonly wordShift?: number;
}

/** Words that a set of `capacity` slots takes: whole cache lines, the root on one of its own. */
export function slotSetLength(capacity: number, wordShift = WORD_SHIFT): number {
  const counts = levelCounts(capacity, wordShift);
  return counts.reduce((sum, count) => sum + wholeLines(count), 0);
}

/** One thread's view of a set; the sweep's position is its own. */
export class SlotSet {
  readonly #words: Words;
  readonly #shift: number;
  readonly #mask: number;
  readonly #capacity: number;
  /** Index of the first word of each level; level 0 has the slots, the last one the root. */
  readonly #bases: readonly number[];
  /** How many words each level has. */
  readonly #counts: readonly number[];
  readonly #root: number;
  #next = 0;

  constructor(words: Words, shape: SlotSetShape) {
    this.#words = words;
    this.#shift = shape.wordShift ?? WORD_SHIFT;
    this.#mask = (1 << this.#shift) - 1;
    this.#capacity = shape.capacity;
    assert(shape.capacity > 0, "a set has room for a slot");
    assert(this.#shift > 0 && this.#shift <= WORD_SHIFT, "a word has 2 to 32 bits");
    assert(shape.base + slotSetLength(shape.capacity, this.#shift) <= words.length, "a set fits its memory");
    const bases: number[] = [];
    let base = shape.base;
    this.#counts = levelCounts(shape.capacity, this.#shift);
    // The root comes first in memory.
    for (const count of this.#counts.toReversed()) {
      bases.unshift(base);
      base += wholeLines(count);
    }
    this.#bases = bases;
    this.#root = shape.base;
  }

  /** Adds a slot, and is done when everybody who looks finds it. The bits above are looked at even where the word had slots: a thread that died within its insert may have left them cleared. */
  insert(slot: number): void {
    assert(slot >= 0 && slot < this.#capacity, "a slot is within the set");
    this.#words.or(this.#bases[0]! + (slot >>> this.#shift), 1 << (slot & this.#mask));
    this.#raise(1, slot >>> this.#shift);
  }

  /** Whether nothing is in it. Can be wrong for a moment while somebody takes; see the file's header. */
  isEmpty(): boolean {
    return this.#words.load(this.#root) === 0;
  }

  /** Takes one slot, or -1 if there is none. */
  take(): number {
    return this.takeMany(ONE, 1) === 0 ? -1 : ONE[0]!;
  }

  /** Takes up to `max` slots that share a word, by one atomic step, writes them to the front of `into` and says how many: 0 only if the set was empty. */
  takeMany(into: Int32Array, max: number): number {
    assert(max > 0 && max <= into.length, "the slots taken have a place");
    for (;;) {
      let slot = this.#find(this.#next);
      if (slot === -1) {
        // Round to the beginning, from the root down, so that a summary bit that a dead thread left over an empty word is found and cleared.
        const root = this.#words.load(this.#root);
        if (root === 0) return 0;
        slot = this.#descend(this.#bases.length - 1, lowestBit(root));
        if (slot === -1) continue;
      }
      const count = this.#takeFrom(slot, into, max);
      if (count > 0) return count;
    }
  }

  #takeFrom(slot: number, into: Int32Array, max: number): number {
    const index = slot >>> this.#shift;
    const word = this.#bases[0]! + index;
    const from = slot & this.#mask;
    // The lowest `max` bits that are present, from the sweep's position on.
    let rest = (this.#words.load(word) >>> from) << from;
    let wanted = 0;
    for (let n = 0; n < max && rest !== 0; n++) {
      wanted |= rest & -rest;
      rest &= rest - 1;
    }
    if (wanted === 0) return 0;
    const before = this.#words.and(word, ~wanted);
    if ((before & ~wanted) === 0) this.#lower(0, index);
    let taken = before & wanted;
    let count = 0;
    while (taken !== 0) {
      const bit = 31 - Math.clz32(taken & -taken);
      taken &= taken - 1;
      into[count++] = (index << this.#shift) | bit;
    }
    if (count > 0) this.#next = (into[count - 1]! + 1) % this.#capacity;
    return count;
  }

  /** The first slot at or after `from` that seems to be present, or -1. */
  #find(from: number): number {
    let index = from;
    for (let level = 0; level < this.#bases.length; level++) {
      const word = index >>> this.#shift;
      const bit = index & this.#mask;
      if (word >= this.#counts[level]!) return -1;
      const present = (this.#words.load(this.#bases[level]! + word) >>> bit) << bit;
      if (present !== 0) {
        const slot = this.#descend(level, (word << this.#shift) | lowestBit(present));
        // A word that has become empty no longer shows: look once more.
        return slot === -1 ? this.#find(from) : slot;
      }
      index = word + 1;
    }
    return -1;
  }

  /** From the entry `index` of a level down to a slot; -1 when the word below was empty, whose summary bit is then gone. */
  #descend(level: number, index: number): number {
    let at = index;
    for (let below = level - 1; below >= 0; below--) {
      const present = this.#words.load(this.#bases[below]! + at);
      if (present === 0) {
        this.#lower(below, at);
        return -1;
      }
      at = (at << this.#shift) | lowestBit(present);
    }
    return at;
  }

  /** Sets the bit of entry `index` at a level and those above it. */
  #raise(level: number, index: number): void {
    let at = index;
    for (let up = level; up < this.#bases.length; up++) {
      const word = this.#bases[up]! + (at >>> this.#shift);
      const bit = 1 << (at & this.#mask);
      // It is often there already: writing it again would take its cache line away from everybody.
      if ((this.#words.load(word) & bit) === 0) this.#words.or(word, bit);
      at >>>= this.#shift;
    }
  }

  /** Clears the bits above the empty word `index` of a level, as far as words become empty; sets them again over one that is not. */
  #lower(level: number, index: number): void {
    let at = index;
    for (let up = level + 1; up < this.#bases.length; up++) {
      const parent = this.#bases[up]! + (at >>> this.#shift);
      const bit = 1 << (at & this.#mask);
      const before = this.#words.and(parent, ~bit);
      // Pairs with `#raise`: an insert that saw the bit before this `and` had filled the word before.
      if (this.#words.load(this.#bases[up - 1]! + at) !== 0) {
        this.#raise(up, at);
        return;
      }
      if ((before & ~bit) !== 0) return;
      at >>>= this.#shift;
    }
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function wholeLines(count: number): number {
  return Math.ceil(count / LINE_WORDS) * LINE_WORDS;
}

/** How many words each level has, the slots first. */
function levelCounts(capacity: number, wordShift: number): number[] {
  const counts: number[] = [];
  let entries = capacity;
  do {
    entries = Math.ceil(entries / (1 << wordShift));
    counts.push(entries);
  } while (entries > 1);
  return counts;
}

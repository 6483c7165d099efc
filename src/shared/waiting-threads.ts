/**
 * The threads that wait for something of a shared structure, in the order in which they came. A thread stands here once, however many of its callers wait: those it keeps in a queue of its own.
 *
 *     line 0 [next ticket, bits of threads 0-31, bits of threads 32-63 …]   [ticket of thread 0, 1, 2 …]
 *
 * Who writes each word:
 * - *bit* of a thread: set by that thread, cleared by anybody. Who clears it has the right, and the duty, to wake the thread or to hand it something: the step that clears it makes that exclusive.
 * - *ticket* of a thread: that thread, before it sets its bit.
 * - *next ticket*: added to by whoever comes.
 *
 * **Waiting loses no wake-up.** A thread sets its bit and then looks at the structure once more; who makes something available publishes it and then looks at the bits. Of the two, one sees the other's store.
 *
 * The order is by ticket, and tickets are compared by their difference: it holds among threads that came within 2^31 tickets of each other. Nothing but the order depends on it. Between two looks a thread may leave and come again: then it is
 * woken early, which is no harm.
 *
 * **Death.** Of a thread that dies while it waits the bit is left, and the reaper clears it. One that dies behind clearing another's bit may have woken nobody: after a death every thread is rung, and sets its bit again if it still waits.
 */
import { assert } from "../assert.js";
import { GATHERING_THREADS_MAX } from "./gathering.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const TICKET = 0;
const BITS = 1;
const WORD_SHIFT = 5;

/** Where they are. */
export interface WaitingShape {
  /** Index of the first word, a multiple of 16. */
  readonly base: number;
  readonly threads: number;
}

/** Words that it takes. */
export function waitingLength(threads: number): number {
  return LINE_WORDS + Math.ceil(threads / LINE_WORDS) * LINE_WORDS;
}

/** One thread's view. */
export class WaitingThreads {
  readonly #words: Words;
  readonly #base: number;
  readonly #wordCount: number;

  constructor(words: Words, { base, threads }: WaitingShape) {
    assert(threads > 0 && threads <= GATHERING_THREADS_MAX, "the bits of all threads fit their line");
    assert(base + waitingLength(threads) <= words.length, "those who wait fit their memory");
    this.#words = words;
    this.#base = base;
    this.#wordCount = Math.ceil(threads / (1 << WORD_SHIFT));
  }

  /** The thread waits from now on, behind those that do. The caller looks at the structure once more after this. */
  enter(thread: number): void {
    this.#words.store(this.#ticketOf(thread), this.#words.add(this.#base + TICKET, 1));
    this.#words.or(this.#wordOf(thread), bitOf(thread));
  }

  /** The thread does not wait any more. False when somebody had cleared its bit: to wake it, or to hand it something. */
  leave(thread: number): boolean {
    const bit = bitOf(thread);
    return (this.#words.and(this.#wordOf(thread), ~bit) & bit) !== 0;
  }

  has(thread: number): boolean {
    return (this.#words.load(this.#wordOf(thread)) & bitOf(thread)) !== 0;
  }

  isEmpty(): boolean {
    for (let index = 0; index < this.#wordCount; index++) {
      if (this.#words.load(this.#base + BITS + index) !== 0) return false;
    }
    return true;
  }

  /** Clears the bit of the thread that has waited longest, and gives its id; -1 when none waits. */
  claimFirst(): number {
    for (;;) {
      const thread = this.first();
      if (thread === -1 || this.leave(thread)) return thread;
    }
  }

  /** The thread that has waited longest, or -1. */
  first(): number {
    let first = -1;
    let firstTicket = 0;
    for (let index = 0; index < this.#wordCount; index++) {
      let bits = this.#words.load(this.#base + BITS + index);
      // One alone needs no comparison.
      if (first === -1 && this.#wordCount === 1 && bits !== 0 && (bits & (bits - 1)) === 0) return lowestBit(bits);
      while (bits !== 0) {
        const thread = (index << WORD_SHIFT) | lowestBit(bits);
        bits &= bits - 1;
        const ticket = this.#words.load(this.#ticketOf(thread));
        if (first !== -1 && ((ticket - firstTicket) | 0) >= 0) continue;
        first = thread;
        firstTicket = ticket;
      }
    }
    return first;
  }

  #wordOf(thread: number): number {
    return this.#base + BITS + (thread >>> WORD_SHIFT);
  }

  #ticketOf(thread: number): number {
    return this.#base + LINE_WORDS + thread;
  }
}

function bitOf(thread: number): number {
  return 1 << (thread & ((1 << WORD_SHIFT) - 1));
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

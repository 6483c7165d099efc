/**
 * Which threads sleep, and which one is looking for work.
 *
 *     line 0: [ parked threads 0-31 | parked threads 32-63 ]   line 1: [ searcher: thread + 1, or 0 ]
 *
 * At most one thread is searching or being woken to search. So a burst of new tasks wakes one thread, which wakes the next one when it has found something: no stampede, and no notification is lost, because
 * - who makes work publishes it, then looks at *searcher*. If somebody is there, that one has not yet given up: before it parks it takes its name away, announces itself and rechecks everything;
 * - a searcher that has found work takes its name away, looks whether there is more, and if so calls {@link IdleSet.wakeOne}.
 *
 * Any thread writes any word. A thread sets its own bit in the mask before it rechecks; who wants to wake it, or it itself, takes the bit away. The word of the searcher holds a name instead of a count, so that the
 * reaper can take a dead one out.
 *
 * Taking a bit away is one unconditional step (`and`, the bitmap's form of a fetch-and-subtract) or a compare-and-swap loop: the outcome is the same, the cost is not, and which is better is for a benchmark to say.
 */
import { assert } from "../assert.js";
import { THREADS_MAX } from "../constants.js";
import type { Notified, Parkers, SleepKind } from "./parkers.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const SEARCHER = LINE_WORDS;
const NOBODY = 0;

/** How a bit is taken out of the mask. */
export type NotifyForm = "fetch" | "compare-and-swap";

/** Where the words are. All users must be given the same. */
export interface IdleSetShape {
  /** Index of the first word, a multiple of 16. */
  readonly base: number;
  readonly form?: NotifyForm;
}

/** Words that the set takes. */
export const IDLE_SET_WORDS = 2 * LINE_WORDS;

/** Access to the set; each thread makes its own. */
export class IdleSet {
  readonly #words: Words;
  readonly #base: number;
  readonly #parkers: Parkers;
  readonly #form: NotifyForm;
  /** Whom the last {@link wakeOne} woke. */
  wokenThread = -1;

  constructor(words: Words, parkers: Parkers, shape: IdleSetShape) {
    assert(parkers.threads <= THREADS_MAX, "the mask has a bit for each thread");
    assert(shape.base + IDLE_SET_WORDS <= words.length, "an idle set fits its memory");
    this.#words = words;
    this.#base = shape.base;
    this.#parkers = parkers;
    this.#form = shape.form ?? "fetch";
  }

  /**
   * Step one of parking. False when the thread has a permit: then it stays awake. After true it flushes, rechecks everything, and calls {@link retract} or sleeps.
   */
  announce(thread: number, kind: SleepKind): boolean {
    if (!this.#parkers.announce(thread, kind)) return false;
    this.#words.or(this.#maskOf(thread), bitOf(thread));
    return true;
  }

  /** The recheck has found something, or the thread has woken: it is awake. True if it is the searcher now, and must look for work in other threads' queues or hand that on. */
  retract(thread: number): boolean {
    this.#takeOut(thread);
    this.#parkers.retract(thread);
    return this.isSearcher(thread);
  }

  /** Sleeps on the word until woken, and is then awake. The result is as {@link retract}'s. */
  sleep(thread: number, timeoutMs?: number): boolean {
    this.#parkers.sleep(thread, timeoutMs);
    this.#takeOut(thread);
    return this.isSearcher(thread);
  }

  /** Becomes the searcher. False if another thread is: then park without a search, unless a recheck has just seen something, because nobody waits for another thread. */
  beginSearch(thread: number): boolean {
    const found = this.#words.compareExchange(this.#base + SEARCHER, NOBODY, thread + 1);
    return found === NOBODY || found === thread + 1;
  }

  /** The search is over. If it has found something, the caller then looks whether there is more and calls {@link wakeOne}; if not, it parks, and rechecks as always. */
  endSearch(thread: number): void {
    this.#words.compareExchange(this.#base + SEARCHER, thread + 1, NOBODY);
  }

  /** Whether the thread is the searcher. */
  isSearcher(thread: number): boolean {
    return this.#words.load(this.#base + SEARCHER) === thread + 1;
  }

  /**
   * Wakes a thread to search, after work was published; does nothing when one is searching or nobody sleeps. "loop" asks the caller to ring the doorbell of {@link wokenThread}.
   */
  wakeOne(): Notified {
    for (;;) {
      // In this order, because while all are awake the first look is the only one.
      const thread = this.#anyParked();
      if (thread === -1 || this.#words.load(this.#base + SEARCHER) !== NOBODY) return "none";
      if (this.#words.compareExchange(this.#base + SEARCHER, NOBODY, thread + 1) !== NOBODY) return "none";
      const notified = this.#takeOut(thread) ? this.#parkers.notify(thread) : "none";
      if (notified !== "none") {
        this.wokenThread = thread;
        return notified;
      }
      // It has woken by itself, and may have looked at everything before the work was there: choose again.
      this.endSearch(thread);
    }
  }

  /**
   * After a thread's death: takes its bit away, and whoever is named as the searcher, because the dead one may have written that name and not rung. A searcher that loses its name searches on, which does
   * no harm. The reaper then calls {@link Parkers.ringAgain} for all threads, and each rechecks everything.
   */
  forget(thread: number): void {
    this.#takeOut(thread);
    this.#words.store(this.#base + SEARCHER, NOBODY);
  }

  #anyParked(): number {
    const low = this.#words.load(this.#base);
    if (low !== 0) return 31 - Math.clz32(low & -low);
    if (this.#parkers.threads <= 32) return -1;
    const high = this.#words.load(this.#base + 1);
    return high === 0 ? -1 : 63 - Math.clz32(high & -high);
  }

  #takeOut(thread: number): boolean {
    const word = this.#maskOf(thread);
    const bit = bitOf(thread);
    if (this.#form === "fetch") return (this.#words.and(word, ~bit) & bit) !== 0;
    let mask = this.#words.load(word);
    while ((mask & bit) !== 0) {
      const found = this.#words.compareExchange(word, mask, mask & ~bit);
      if (found === mask) return true;
      mask = found;
    }
    return false;
  }

  #maskOf(thread: number): number {
    return this.#base + (thread >>> 5);
  }
}

function bitOf(thread: number): number {
  return 1 << (thread & 31);
}

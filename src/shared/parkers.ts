/**
 * How threads sleep and are woken: one word for each thread, a cache line each.
 *
 *     AWAKE ⇄ PARKED_ON_WORD | PARKED_IN_LOOP → NOTIFIED → AWAKE
 *
 * - The thread itself: AWAKE → parked (*announce*), anything → AWAKE (*retract*, and after sleeping).
 * - Any other: parked → NOTIFIED, and who makes that step rings, once: `Atomics.notify` for a thread that sleeps on the word, the doorbell of its driver for one that sleeps in its loop. `unpark` also makes AWAKE →
 *   NOTIFIED, a permit that the next announcement consumes.
 *
 * The protocol is announce, flush, recheck, park. A thread announces; it flushes what it holds back; it looks once more at everything that could have work for it; if it finds some it retracts, else it sleeps. Who makes work
 * publishes it first and looks at this word afterwards. Both are sequentially consistent, so either the thread's recheck sees the work or the other sees the announcement, and no sleep needs a
 * timeout to be safe.
 */
import { assert } from "../assert.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const AWAKE = 0;
const PARKED_ON_WORD = 1;
const PARKED_IN_LOOP = 2;
const NOTIFIED = 3;

/** How a thread is going to sleep: in `Atomics.wait`, which freezes its event loop, or in its driver or event loop. */
export type SleepKind = "word" | "loop";

/** What {@link Parkers.notify} did. */
export type Notified =
  /** Nothing: it is awake, or somebody else has woken it. */
  | "none"
  /** It slept on its word and was woken. */
  | "word"
  /** It sleeps in its loop: the caller has to ring its doorbell now. */
  | "loop";

/** Where the words are. All users must be given the same. */
export interface ParkersShape {
  /** Index of the first word, a multiple of 16. */
  readonly base: number;
  readonly threads: number;
  /** Words from one thread's to the next one's; a cache line unless the checker wants fewer. */
  readonly stride?: number;
}

/** Words that the parkers of `threads` threads take. */
export function parkersLength(threads: number, stride = LINE_WORDS): number {
  return threads * stride;
}

/** Access to all parker words. */
export class Parkers {
  readonly threads: number;
  readonly #words: Words;
  readonly #base: number;
  readonly #stride: number;

  constructor(words: Words, shape: ParkersShape) {
    this.threads = shape.threads;
    this.#words = words;
    this.#base = shape.base;
    this.#stride = shape.stride ?? LINE_WORDS;
    assert(shape.base + parkersLength(shape.threads, this.#stride) <= words.length, "the parkers fit their memory");
  }

  /** The thread says that it is going to sleep. False when a permit was there: it is consumed, and the thread stays awake. */
  announce(thread: number, kind: SleepKind): boolean {
    const parked = kind === "word" ? PARKED_ON_WORD : PARKED_IN_LOOP;
    const found = this.#words.compareExchange(this.#at(thread), AWAKE, parked);
    if (found === AWAKE) return true;
    assert(found === NOTIFIED, "a thread announces itself once");
    this.#words.store(this.#at(thread), AWAKE);
    return false;
  }

  /** The thread stays awake after all, or has woken in its loop. True if somebody notified it meanwhile. */
  retract(thread: number): boolean {
    return this.#words.exchange(this.#at(thread), AWAKE) === NOTIFIED;
  }

  /** After an announcement of kind "word": sleeps until notified (true) or for `timeoutMs` (false if nobody notified it). */
  sleep(thread: number, timeoutMs?: number): boolean {
    const word = this.#at(thread);
    // Wakes that are meant for an earlier sleep, or for nobody, find the word unchanged.
    while (this.#words.load(word) === PARKED_ON_WORD) {
      if (this.#words.wait(word, PARKED_ON_WORD, timeoutMs) === "timed-out") break;
    }
    return this.retract(thread);
  }

  /** Wakes a thread that sleeps or is about to; costs one load when it is awake. */
  notify(thread: number): Notified {
    const word = this.#at(thread);
    const state = this.#words.load(word);
    if (state !== PARKED_ON_WORD && state !== PARKED_IN_LOOP) return "none";
    if (this.#words.compareExchange(word, state, NOTIFIED) !== state) return "none";
    return this.#ring(word, state);
  }

  /** As {@link notify}, and leaves a permit with a thread that is awake: its next announcement fails. */
  unpark(thread: number): Notified {
    const word = this.#at(thread);
    return this.#ring(word, this.#words.exchange(word, NOTIFIED));
  }

  /**
   * Rings whoever is not awake, notified or not: whoever notified it may have died before the ring. Gives what the caller has to do.
   */
  ringAgain(thread: number): Notified {
    const word = this.#at(thread);
    const state = this.#words.load(word);
    if (state === AWAKE) return "none";
    if (state === NOTIFIED) {
      this.#words.notify(word);
      return "loop";
    }
    this.#words.compareExchange(word, state, NOTIFIED);
    return this.#ring(word, state);
  }

  /** After a thread's death: the word as its successor expects it. */
  reset(thread: number): void {
    this.#words.store(this.#at(thread), AWAKE);
  }

  /** Whether a thread sleeps or is about to. */
  isParked(thread: number): boolean {
    const state = this.#words.load(this.#at(thread));
    return state === PARKED_ON_WORD || state === PARKED_IN_LOOP;
  }

  #ring(word: number, before: number): Notified {
    if (before === PARKED_ON_WORD) {
      this.#words.notify(word);
      return "word";
    }
    return before === PARKED_IN_LOOP ? "loop" : "none";
  }

  #at(thread: number): number {
    assert(thread >= 0 && thread < this.threads, "a thread id is within the parkers");
    return this.#base + thread * this.#stride;
  }
}

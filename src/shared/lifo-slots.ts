/**
 * A few places in front of a run queue for what was queued last: what a task has just spawned finds its data in the cache.
 *
 *     [ slot + 1 or 0 ] × count
 *
 * The owner exchanges a cell for its newest hint and gets back what it displaced; everybody takes a hint by exchanging its cell with 0, as in `run-queue.ts`. Thieves come here only when they find the queue
 * empty, but they may come: JavaScript cannot be preempted, and a task that waits here behind one of 20 ms would otherwise wait while other threads sleep.
 */
import { assert } from "../assert.js";
import { LIFO_SLOTS_MAX } from "../constants.js";
import type { Words } from "./words.js";

/** Where the slots are, and how many. Their owner and its thieves must be given the same. */
export interface LifoShape {
  /** Index of the first word. */
  readonly base: number;
  /** 0 to 4; with 0 every hint is displaced at once. */
  readonly count: number;
}

/** The owner's end. One thread uses it. */
export class LifoSlots {
  readonly #words: Words;
  readonly #base: number;
  readonly #count: number;
  /** Where the newest hint is; the others are before it, cyclically. */
  #top = 0;
  /** Cells that may hold a hint. */
  #used: number;

  constructor(words: Words, shape: LifoShape) {
    assert(shape.count >= 0 && shape.count <= LIFO_SLOTS_MAX, "there are 0 to 4 LIFO slots");
    this.#words = words;
    this.#base = shape.base;
    this.#count = shape.count;
    this.#used = shape.count;
  }

  /** Adds a hint as the newest, and gives the oldest if there was no place for both, else -1. */
  push(slot: number): number {
    if (this.#count === 0) return slot;
    this.#top = this.#top + 1 === this.#count ? 0 : this.#top + 1;
    if (this.#used < this.#count) this.#used++;
    return this.#words.exchange(this.#base + this.#top, slot + 1) - 1;
  }

  /** Takes the newest hint, or -1 if there is none. */
  pop(): number {
    while (this.#used > 0) {
      const hint = this.#words.exchange(this.#base + this.#top, 0);
      this.#used--;
      this.#top = this.#top === 0 ? this.#count - 1 : this.#top - 1;
      if (hint !== 0) return hint - 1;
    }
    return -1;
  }

  /** Whether the owner has nothing to pop. */
  isEmpty(): boolean {
    return this.#used === 0 || isLifoEmpty(this.#words, { base: this.#base, count: this.#count });
  }
}

/** Takes any hint out of another thread's slots, or gives -1. */
export function stealLifo(words: Words, shape: LifoShape): number {
  for (let at = shape.base; at < shape.base + shape.count; at++) {
    if (words.load(at) === 0) continue;
    const hint = words.exchange(at, 0);
    if (hint !== 0) return hint - 1;
  }
  return -1;
}

/** Whether no slot holds a hint. */
export function isLifoEmpty(words: Words, shape: LifoShape): boolean {
  for (let at = shape.base; at < shape.base + shape.count; at++) {
    if (words.load(at) !== 0) return false;
  }
  return true;
}

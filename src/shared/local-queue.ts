/**
 * What a thread pushes to and pops from: LIFO slots, behind them its run queue, and the injector for what does not fit.
 *
 *     push → [ newest ] → [ run queue ] → injector            pop ← newest (at most LIFO_RUNS_MAX in a row), oldest
 *
 * A hint that overflows costs one push to the injector. Nothing here is shared but what the three are made of, and nothing is held back: what is pushed can be stolen at once.
 */
import { LIFO_RUNS_MAX } from "../constants.js";
import type { LifoSlots } from "./lifo-slots.js";
import type { RunQueue } from "./run-queue.js";

/** Where hints go that do not fit. */
export interface Overflow {
  insert(slot: number): void;
}

/** One thread's queue, for its owner. */
export class LocalQueue {
  readonly queue: RunQueue;
  readonly #lifo: LifoSlots;
  readonly #overflow: Overflow;
  #lifoRuns = 0;
  #overflowCount = 0;

  constructor(lifo: LifoSlots, queue: RunQueue, overflow: Overflow) {
    this.queue = queue;
    this.#lifo = lifo;
    this.#overflow = overflow;
  }

  /** Hints that went elsewhere because the run queue was full. */
  get overflowCount(): number {
    return this.#overflowCount;
  }

  /** Hints in the run queue; those in the LIFO slots are not among them. */
  get depth(): number {
    return this.queue.depth;
  }

  /** Adds a hint as the newest. Never fails. */
  push(slot: number): void {
    const displaced = this.#lifo.push(slot);
    if (displaced !== -1) this.pushBack(displaced);
  }

  /** Adds a hint behind all others: for a task that gives way. Never fails. */
  pushBack(slot: number): void {
    if (this.queue.push(slot)) return;
    this.#overflowCount++;
    this.#overflow.insert(slot);
  }

  /** Adds the hints from `from` to `to` of a list behind all others, which others find when all are there. Never fails. */
  pushBackMany(slots: Int32Array, from: number, to: number): void {
    let at = from;
    while (at < to && this.queue.stage(slots[at]!)) at++;
    if (at > from) this.queue.publish();
    for (; at < to; at++) this.pushBack(slots[at]!);
  }

  /** Takes the hint whose turn it is, or -1 if there is none. */
  pop(): number {
    if (this.#lifoRuns < LIFO_RUNS_MAX) {
      const newest = this.#lifo.pop();
      if (newest !== -1) {
        this.#lifoRuns++;
        return newest;
      }
    }
    this.#lifoRuns = 0;
    const oldest = this.queue.pop();
    if (oldest !== -1) return oldest;
    const newest = this.#lifo.pop();
    if (newest !== -1) this.#lifoRuns = 1;
    return newest;
  }

  /** Takes the newest hint, or -1 if there is none: in depth first. */
  popNewest(): number {
    const newest = this.#lifo.pop();
    return newest === -1 ? this.queue.popNewest() : newest;
  }

  /** Whether {@link pop} would find nothing. */
  isEmpty(): boolean {
    return this.#lifo.isEmpty() && this.queue.isEmpty();
  }
}

/**
 * Which thread serves each place, in shared memory. A *place* is what users number (`pinned(0)`) and what a key belongs to; it stays as long as the scheduler. An *id* is what the task table and the queues name, and a thread's own
 * for its life. They are the same numbers where compute threads run the tasks. Where shards do, two threads are there at once while one takes over from the other, so each has an id of its own.
 *
 *     word 0        places that are served, or will be again     written by the supervisor alone
 *     word 1 + p    id + 1 of the thread that serves place p; 0 when nobody does and nobody will     the same
 *
 * No task is pinned to a thread that nobody follows, although threads look here while the supervisor writes: who spawns publishes the task and its hint, and then looks here again; the supervisor writes here first, and
 * then the reaper looks at every task. So one of the two sees the other's store, and moves the task or gives it up. The count of word 0 works in the same way.
 */
import { assert } from "../assert.js";
import type { Words } from "../shared/words.js";

/** Nobody serves the place, and nobody will. */
export const NOBODY = -1;

const SERVED = 0;
const FIRST = 1;

/** Words that `count` places take. */
export function placesLength(count: number): number {
  return FIRST + count;
}

/** The places of a scheduler. */
export class Places {
  readonly count: number;
  readonly #words: Words;
  readonly #base: number;

  /** `base` is the index of the first word. */
  constructor(words: Words, base: number, count: number) {
    assert(base + placesLength(count) <= words.length, "the places fit their memory");
    this.count = count;
    this.#words = words;
    this.#base = base;
  }

  /** Places that somebody serves, or will: without any, no task will ever run. */
  get servedCount(): number {
    return this.#words.load(this.#base + SERVED);
  }

  /** The id of the thread that serves a place, or {@link NOBODY}. */
  holderOf(place: number): number {
    assert(place >= 0 && place < this.count, "a place is one of the scheduler's");
    return this.#words.load(this.#base + FIRST + place) - 1;
  }

  /** The supervisor says who serves a place from now on. */
  assign(place: number, holder: number): void {
    const before = this.holderOf(place);
    this.#words.store(this.#base + FIRST + place, holder + 1);
    const change = (holder === NOBODY ? 0 : 1) - (before === NOBODY ? 0 : 1);
    if (change !== 0) this.#words.store(this.#base + SERVED, this.servedCount + change);
  }
}

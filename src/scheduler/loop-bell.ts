/**
 * A doorbell of a thread that has no driver of its own: rings wake its event loop through `Atomics.waitAsync`, which settles through a task that V8 posts to its
 * platform, for which Node's platform wakes libuv. Such a wait keeps no event loop alive.
 */
import type { Doorbell } from "../driver/contract.js";
import { bellOf, bellWords } from "../driver/doorbell.js";
import type { Bell } from "../shared/bell.js";

/** The typings of `Atomics.waitAsync` belong to a later ECMAScript than our output. */
interface AsyncWaiting {
  waitAsync(words: Int32Array, index: number, value: number): { readonly async: boolean; readonly value: unknown };
}

const RUNG = 0;

/** One thread's ear to its doorbell. */
export class LoopBell {
  readonly #bell: Bell;
  readonly #words: Int32Array;

  constructor(doorbell: Doorbell) {
    this.#bell = bellOf(doorbell);
    this.#words = bellWords(doorbell);
  }

  /** Resolves when it was rung since the last time. What was published before that ring is visible then. Only while this waits does a ring cost more than two atomics. */
  async next(): Promise<void> {
    while (!this.#bell.take()) {
      if (this.#bell.fallAsleep()) {
        const waiting = (Atomics as unknown as AsyncWaiting).waitAsync(this.#words, RUNG, 0);
        if (waiting.async) await waiting.value;
      }
      this.#bell.wokeUp();
    }
  }
}

/**
 * The kernel's side of a park, for programs: an eventfd that a thread blocks on in its driver. To ring it is one step, as the system call is: nobody dies between the
 * count and the wake-up.
 */
import type { Words } from "../../src/shared/words.js";
import { ModelWords } from "./model-words.js";

export class Doorbell {
  readonly #words: Words;
  readonly #index: number;

  /** @param index a word that nothing else uses; 0 at first */
  constructor(words: Words, index: number) {
    this.#words = words;
    this.#index = index;
  }

  /** Wakes who sleeps, or lets the next {@link sleep} return at once. */
  ring(): void {
    if (this.#words instanceof ModelWords) this.#words.ring(this.#index);
    else this.#words.add(this.#index, 1);
  }

  /** Blocks until the bell has been rung since the last time, and takes all of its rings. */
  sleep(): void {
    while (this.#words.exchange(this.#index, 0) === 0) this.#words.wait(this.#index, 0);
  }
}

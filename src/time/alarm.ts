/** One timer that is set, moved and cleared by whoever owns it. */
import type { Timers } from "./timers.js";

const NOT_SET = -1;

/** Rings once for each time that it is set, unless it is set anew or cleared before. */
export class Alarm {
  readonly #timers: Timers;
  readonly #ring: () => void;
  readonly #isReferenced: boolean;
  #place = NOT_SET;
  #generation = 0;

  constructor(timers: Timers, ring: () => void, isReferenced: boolean) {
    this.#timers = timers;
    this.#isReferenced = isReferenced;
    this.#ring = () => {
      this.#place = NOT_SET;
      ring();
    };
  }

  get isSet(): boolean {
    return this.#place !== NOT_SET;
  }

  /** Sets it, or moves it. */
  set(atMs: number): void {
    this.clear();
    this.#place = this.#timers.start(atMs, this.#ring, this.#isReferenced);
    this.#generation = this.#timers.generation(this.#place);
  }

  clear(): void {
    if (this.#place !== NOT_SET) this.#timers.cancel(this.#place, this.#generation);
    this.#place = NOT_SET;
  }
}

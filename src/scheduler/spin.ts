/**
 * How long a thread looks for work before it sleeps. Waking a sleeping thread costs as much as a look of some tens of microseconds, so that is the time a look is given at first. When a sleep turns out to have been short, looking on would
 * have been cheaper: two threads that wait for each other in turn would otherwise sleep both, each because waking the other one takes longer than it looks itself. Then the next looks may take longer, until one is in vain: perhaps
 * nothing comes, or the other thread waits for the very core that this one looks on.
 */

/** A look may take so many times as long as at first. */
const GROWTH = 4;
/** After a long look in vain, so many sleeps pass before there is another one. */
const RESTS = 8;

/** One thread's patience. */
export class Spin {
  readonly #microsFirst: number;
  #micros: number;
  #restsLeft = 0;

  /** `micros` is how long a look takes at first; with 0 a thread never looks. */
  constructor(micros: number) {
    this.#microsFirst = micros;
    this.#micros = micros;
  }

  /** How long the next look may take, in milliseconds. */
  get limitMs(): number {
    return this.#micros / 1_000;
  }

  /** A look was in vain, and the thread has slept then: `waitedMs` milliseconds both together. */
  slept(waitedMs: number): void {
    if (this.#micros > this.#microsFirst) {
      this.#micros = this.#microsFirst;
      this.#restsLeft = RESTS;
    } else if (this.#restsLeft > 0) this.#restsLeft -= 1;
    else if (waitedMs * 1_000 <= this.#microsFirst * GROWTH) this.#micros = this.#microsFirst * GROWTH;
  }
}

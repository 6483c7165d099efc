/**
 * How long a thread looks for work before it sleeps. Waking a sleeping thread costs as much as a look of some tens of microseconds, so that is the time a look is given at first. When a sleep turns out to have been short, looking on would
 * have been cheaper: two threads that wait for each other in turn would otherwise sleep both, each because waking the other one takes longer than it looks itself. Then the next looks may take longer, until they are in vain.
 */

/** A look may take so many times as long as at first. */
const GROWTH = 4;

/** One thread's patience. */
export class Spin {
  readonly #microsFirst: number;
  #micros: number;

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
    const most = this.#microsFirst * GROWTH;
    if (waitedMs * 1_000 <= most) this.#micros = most;
    else this.#micros = Math.max(this.#microsFirst, this.#micros / 2);
  }
}

/** One end that several callers may bring forward and none can put off: the deadline of a stop that is asked for again. */

/** The longest time that a timer of Node's takes, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Calls `run` once, at the earliest of the times that were asked for. Keeps the process alive until then. */
export class EarliestTimer {
  readonly #run: () => void;
  /** As `performance.now()` counts. */
  #endMs = Number.POSITIVE_INFINITY;
  #isArmed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(run: () => void) {
    this.#run = run;
  }

  /** Asks for an end so many milliseconds from now, if none is asked for that comes sooner. */
  within(ms: number): void {
    const endMs = performance.now() + ms;
    if (endMs >= this.#endMs) return;
    this.#endMs = endMs;
    if (this.#isArmed) this.arm();
  }

  /** From now on `run` may be called; at once, that is in the next turn, when its time has come before. */
  arm(): void {
    this.#isArmed = true;
    clearTimeout(this.#timer);
    const leftMs = Math.min(this.#endMs - performance.now(), TIMER_MS_MAX);
    this.#timer = setTimeout(this.#run, Math.max(0, leftMs));
  }

  /** There is nothing to end any more, for ever. */
  clear(): void {
    this.#endMs = Number.NEGATIVE_INFINITY;
    clearTimeout(this.#timer);
  }
}

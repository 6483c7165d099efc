/** A sleep that is set anew, and that `select` can wait for. */
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import { Alarm } from "./alarm.js";
import { durationMs, type Instant, instantMs } from "./instant.js";
import type { SleepOptions } from "./sleep.js";
import { type Timers, threadTimers } from "./timers.js";
import { waitFor } from "./wait-for.js";

const OPERATION = "sleep";

/**
 * A point of time that one waits for as often as one likes, and that can be moved, also while somebody waits: an idle timeout, a debounce.
 *
 * It has a timer only while somebody waits for it. So one that lost a `select`, or that nobody uses any more, costs nothing and keeps no thread alive.
 * @example
 * ```ts run
 * import { Sleep } from "ringloom/time";
 * const idle = new Sleep(5);
 * idle.reset(); // something has happened: another 5 ms
 * await idle.wait();
 * console.assert(idle.isElapsed);
 * ```
 * @experimental
 */
export class Sleep implements Selectable<void> {
  readonly #timers: Timers;
  readonly #waiting = new Set<SelectWaiter<void>>();
  readonly #alarm: Alarm;
  readonly #ms: number;
  #deadlineMs: number;

  /**
   * @param ms Milliseconds from now; `reset()` takes the same again.
   * @throws TypeError, RangeError for what is no duration.
   */
  constructor(ms: number, { ref = true }: Pick<SleepOptions, "ref"> = {}) {
    this.#ms = durationMs(OPERATION, ms);
    this.#timers = threadTimers();
    this.#deadlineMs = this.#timers.now() + ms;
    this.#alarm = new Alarm(this.#timers, () => this.#elapse(), ref);
  }

  /** When it elapses, in milliseconds of `performance.now()`. */
  get deadline(): number {
    return this.#deadlineMs;
  }

  /** Whether its time has come. A reset makes it false again. */
  get isElapsed(): boolean {
    return this.#timers.now() >= this.#deadlineMs;
  }

  /** Moves it to `ms` milliseconds from now, for those too who wait already. */
  reset(ms: number = this.#ms): void {
    this.#move(this.#timers.now() + durationMs(OPERATION, ms));
  }

  /** Moves it to a point of time, for those too who wait already. */
  resetAt(at: Instant): void {
    this.#move(instantMs(OPERATION, this.#timers, at));
  }

  /** Resolves when its time has come, which may be at once. Rejects with `ERR_RINGLOOM_ABORTED` when the signal ends the wait. */
  wait({ signal }: Pick<SleepOptions, "signal"> = {}): Promise<void> {
    return waitFor(this, { operation: OPERATION, signal });
  }

  /** A branch of `select`, won when the time has come. */
  [selectable](waiter: SelectWaiter<void>): (() => void) | undefined {
    if (this.isElapsed) {
      if (waiter.claim()) waiter.resolve();
      return undefined;
    }
    this.#waiting.add(waiter);
    if (!this.#alarm.isSet) this.#alarm.set(this.#deadlineMs);
    return () => {
      if (this.#waiting.delete(waiter) && this.#waiting.size === 0) this.#alarm.clear();
    };
  }

  #move(deadlineMs: number): void {
    this.#deadlineMs = deadlineMs;
    if (this.#waiting.size > 0) this.#alarm.set(deadlineMs);
  }

  #elapse(): void {
    // Whoever is resolved runs later, so nobody can begin to wait in this loop.
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waiting) if (waiter.claim()) waiter.resolve();
  }
}

/** The ticks of one room: an interval, and what becomes of those that came too late. */
import { type Interval, interval, type MissedTicks } from "../time/interval.js";
import { threadTimers } from "../time/timers.js";
import type { Tick } from "./room.js";

/** How ticks come. */
export interface TickerOptions {
  readonly periodMs: number;
  readonly missed: MissedTicks;
  /** Ticks that `burst` makes up for at once. */
  readonly catchUpMax: number;
  /** Runs a tick; the next one waits for it. A failure is its own affair. */
  readonly run: (tick: Tick) => Promise<unknown>;
}

/** See the top of the file. It ticks from `start` to `stop`, and keeps no thread alive. */
export class Ticker {
  readonly #options: TickerOptions;
  #interval: Interval | undefined;
  #count = 0;

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#interval !== undefined) return;
    const { periodMs, missed } = this.#options;
    this.#interval = interval(periodMs, { missed, ref: false });
    void this.#loop(this.#interval);
  }

  stop(): void {
    this.#interval?.close();
    this.#interval = undefined;
  }

  async #loop(ticks: Interval): Promise<void> {
    const { periodMs, missed, catchUpMax, run } = this.#options;
    const timers = threadTimers();
    let lastDueMs = ticks.nextDueMs - periodMs;
    for await (const dueMs of ticks) {
      const lateMs = Math.max(timers.now() - dueMs, 0);
      // A burst that would go on for longer begins anew: else a room that is always too slow would do nothing but catch up.
      const isGivenUp = missed === "burst" && lateMs > catchUpMax * periodMs;
      const leftOut = isGivenUp
        ? Math.floor(lateMs / periodMs)
        : missed === "skip"
          ? Math.round((dueMs - lastDueMs) / periodMs) - 1
          : 0;
      if (isGivenUp) ticks.reset();
      const deltaMs = missed === "delay" ? Math.max(dueMs - lastDueMs, periodMs) : periodMs;
      lastDueMs = dueMs;
      this.#count += 1;
      await run({ number: this.#count, deltaMs, lateMs, missed: leftOut });
      if (this.#interval !== ticks) return;
    }
  }
}

/** Ticks at equal distances. */
import { RingloomError } from "../errors.js";
import { Fifo } from "../messages/fifo.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import { Alarm } from "./alarm.js";
import { durationMs, type Instant, instantMs } from "./instant.js";
import { type Timers, threadTimers } from "./timers.js";
import { waitFor } from "./wait-for.js";

const OPERATION = "wait for a tick";

/**
 * What becomes of ticks that nobody took in time, because the loop was busy or the one who takes them was.
 *
 * - `burst`: they come at once, one after the other, until all are made up for. The number of ticks is right.
 * - `delay`: the next one comes a whole period after the late one. The distance is right.
 * - `skip`: they are left out, and the next one comes at the next multiple of the period. The rhythm is right.
 * @experimental
 */
export type MissedTicks = "burst" | "delay" | "skip";

const POLICIES: readonly unknown[] = ["burst", "delay", "skip"] satisfies MissedTicks[];

/** Every timer is a little late, and that alone must not move a tick under `delay`, in milliseconds. */
const LATE_MS = 5;

/**
 * How an interval ticks.
 * @experimental
 */
export interface IntervalOptions {
  /** `burst` unless told otherwise. */
  readonly missed?: MissedTicks;
  /** Ends whoever waits for a tick, with `ERR_RINGLOOM_ABORTED`. */
  readonly signal?: AbortSignal;
  /** Whether waiting for a tick keeps the thread alive. `true` unless told otherwise. */
  readonly ref?: boolean;
}

/**
 * Ticks every `ms` milliseconds, the first time a whole period from now.
 * @throws TypeError, RangeError for what is no period: it is more than 0 and finite; RingloomError `ERR_RINGLOOM_INVALID_OPTION` for another policy.
 * @example
 * ```ts run
 * import { interval } from "ringloom/time";
 * let ticks = 0;
 * for await (const dueMs of interval(5, { missed: "skip" })) {
 *   console.assert(dueMs <= performance.now());
 *   ticks += 1;
 *   if (ticks === 3) break;
 * }
 * ```
 * @experimental
 */
export function interval(ms: number, options: IntervalOptions = {}): Interval {
  const timers = threadTimers();
  const period = checkPeriod(ms);
  return new Interval(timers, { firstMs: timers.now() + period, period, options: checkOptions(options) });
}

/**
 * Ticks at `first` and every `ms` milliseconds after it. With `performance.now()` the first tick is due at once.
 * @throws as {@link interval} does.
 * @example
 * ```ts run
 * import { intervalAt } from "ringloom/time";
 * const second = new Date(Math.ceil(Date.now() / 1_000) * 1_000); // the next whole second of the calendar
 * using beats = intervalAt(second, 1_000);
 * console.assert(beats.period === 1_000);
 * ```
 * @experimental
 */
export function intervalAt(first: Instant, ms: number, options: IntervalOptions = {}): Interval {
  const timers = threadTimers();
  const firstMs = instantMs(OPERATION, timers, first);
  return new Interval(timers, { firstMs, period: checkPeriod(ms), options: checkOptions(options) });
}

/** What an interval is made of. */
interface IntervalParts {
  readonly firstMs: number;
  readonly period: number;
  readonly options: IntervalOptions;
}

/**
 * Ticks, taken with {@link Interval.tick}, `for await` or `select`. Each goes to one who waits, in the order in which they came. It has a timer only while somebody waits.
 * @experimental
 */
export class Interval implements Selectable<number>, AsyncIterable<number>, Disposable {
  /** Milliseconds from one tick to the next. */
  readonly period: number;
  readonly #timers: Timers;
  readonly #missed: MissedTicks;
  readonly #signal: AbortSignal | undefined;
  readonly #alarm: Alarm;
  readonly #waiting = new Fifo<SelectWaiter<number>>();
  #dueMs: number;
  #isClosed = false;

  /** @internal */
  constructor(timers: Timers, { firstMs, period, options }: IntervalParts) {
    this.period = period;
    this.#timers = timers;
    this.#missed = options.missed ?? "burst";
    this.#signal = options.signal;
    this.#dueMs = firstMs;
    this.#alarm = new Alarm(timers, () => this.#ring(), options.ref ?? true);
  }

  /** When the next tick is due, in milliseconds of `performance.now()`. */
  get nextDueMs(): number {
    return this.#dueMs;
  }

  /** Waits for the next tick, and resolves with the time at which it was due, in milliseconds of `performance.now()`. Rejects with `ERR_RINGLOOM_ABORTED`, or `ERR_RINGLOOM_CLOSED` once it is closed. */
  tick(): Promise<number> {
    return waitFor(this, { operation: OPERATION, signal: this.#signal });
  }

  /** Starts anew: the next tick comes a whole period from now. */
  reset(): void {
    this.#dueMs = this.#timers.now() + this.period;
    if (this.#alarm.isSet) this.#alarm.set(this.#dueMs);
  }

  /** Ends it: loops over it end, whoever else waits gets `ERR_RINGLOOM_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#alarm.clear();
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) {
      if (waiter.claim()) waiter.reject(intervalClosed());
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** All ticks until it is closed. Leaving the loop closes nothing: another one may go on. */
  async *[Symbol.asyncIterator](): AsyncGenerator<number, void, undefined> {
    while (!this.#isClosed) {
      let dueMs: number;
      try {
        dueMs = await this.tick();
      } catch (error) {
        if (this.#isClosed) return;
        throw error;
      }
      yield dueMs;
    }
  }

  /** A branch of `select`, won by a tick. */
  [selectable](waiter: SelectWaiter<number>): (() => void) | undefined {
    if (this.#isClosed) {
      if (waiter.claim()) waiter.reject(intervalClosed());
      return undefined;
    }
    // Those who came before have the first claim on a tick that is due.
    if (this.#waiting.length === 0 && this.#timers.now() >= this.#dueMs) {
      this.#give(waiter);
      return undefined;
    }
    this.#waiting.push(waiter);
    if (!this.#alarm.isSet) this.#alarm.set(this.#dueMs);
    return () => {
      if (this.#waiting.remove(waiter) && this.#waiting.length === 0) this.#alarm.clear();
    };
  }

  #ring(): void {
    while (this.#waiting.length > 0 && this.#timers.now() >= this.#dueMs) {
      const waiter = this.#waiting.shift();
      if (waiter !== undefined) this.#give(waiter);
    }
    if (this.#waiting.length > 0) this.#alarm.set(this.#dueMs);
  }

  /** A waiter that does not want it leaves the tick for the next one. */
  #give(waiter: SelectWaiter<number>): void {
    if (!waiter.claim()) return;
    const dueMs = this.#dueMs;
    this.#dueMs = this.#following(dueMs);
    waiter.resolve(dueMs);
  }

  /** When the tick after the one of `dueMs` is due. */
  #following(dueMs: number): number {
    const lateMs = this.#timers.now() - dueMs;
    switch (this.#missed) {
      case "burst":
        return dueMs + this.period;
      case "delay":
        return lateMs > LATE_MS ? dueMs + lateMs + this.period : dueMs + this.period;
      case "skip":
        return dueMs + (Math.floor(lateMs / this.period) + 1) * this.period;
    }
  }
}

function checkPeriod(ms: unknown): number {
  const period = durationMs(OPERATION, ms);
  if (period > 0 && Number.isFinite(period)) return period;
  throw new RangeError(`Cannot make an interval: the period is ${period} ms, not more than 0 and finite`);
}

function checkOptions(options: IntervalOptions): IntervalOptions {
  const { missed = "burst" } = options;
  if (POLICIES.includes(missed)) return options;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot make an interval: missed is ${JSON.stringify(missed)}, not burst, delay or skip.`,
    { operation: OPERATION, details: { missed } },
  );
}

function intervalClosed(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot wait for a tick: the interval is closed.", {
    operation: OPERATION,
  });
}

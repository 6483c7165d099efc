/** What drives timers: the time, and one alarm. */
import { AsyncResource } from "node:async_hooks";
// Imported, because what test frameworks put in place of the globals would move the alarm and not the time.
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from "node:timers";

/**
 * A clock with one alarm.
 * @experimental
 */
export interface Clock {
  /** Now, in milliseconds, with fractions; it never goes back. */
  now(): number;
  /** A point of time in the past at which a millisecond of the alarm begins. An alarm for a whole number of milliseconds after it does not ring early, nor a millisecond late. */
  readonly originMs: number;
  /** Calls `wake` once, `delayMs` (a whole number) after now or later; 0 is the next turn of the loop. Replaces the alarm that was set before. */
  wakeIn(delayMs: number, wake: () => void): void;
  /** Whether the alarm keeps the thread alive. It does not at first. */
  hold(isHeld: boolean): void;
}

/** The longest time that a timer of Node's takes, in milliseconds. */
const NODE_DELAY_MS_MAX = 2 ** 31 - 1;

/** The alarm must not keep the async context of whoever happened to set it. */
const root = new AsyncResource("RINGLOOM_CLOCK");

/** The system's monotonic clock, `performance.now()`, with one timer of libuv's as its alarm: the loop of a thread waits for it in the same call that waits for its sockets. */
export class SystemClock implements Clock {
  readonly originMs: number;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #isHeld = false;

  constructor() {
    // libuv counts whole milliseconds of the monotonic clock, so ticks that begin where its milliseconds do need neither a second look nor a margin.
    const [, nanos] = process.hrtime();
    this.originMs = performance.now() - (nanos % 1e6) / 1e6;
  }

  now(): number {
    return performance.now();
  }

  wakeIn(delayMs: number, wake: () => void): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
    if (delayMs <= 0) this.#immediate = root.runInAsyncScope(setImmediate, undefined, wake);
    else this.#timer = root.runInAsyncScope(setTimeout, undefined, wake, Math.min(delayMs, NODE_DELAY_MS_MAX));
    if (!this.#isHeld) this.#apply();
  }

  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.#apply();
  }

  #apply(): void {
    if (this.#isHeld) {
      this.#timer?.ref();
      this.#immediate?.ref();
    } else {
      this.#timer?.unref();
      this.#immediate?.unref();
    }
  }
}

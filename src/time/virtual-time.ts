/** Time that passes when a test says so. */
import { RingloomError } from "../errors.js";
import type { Clock } from "./clock.js";
import { durationMs } from "./instant.js";
import { replaceThreadTimers, Timers } from "./timers.js";

/**
 * Lets the timers of this thread go by a time of their own: every sleep, timeout, interval and deadline of `ringloom/time` that is made from now on, until {@link VirtualTime.restore}. Node's own timers and
 * `performance.now()` go on as before.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when time is virtual already.
 * @example
 * ```ts run
 * import { useVirtualTime } from "ringloom/testing";
 * import { sleep } from "ringloom/time";
 * using time = useVirtualTime();
 * let isOver = false;
 * void sleep(3_600_000).then(() => (isOver = true));
 * await time.advance(3_600_000);
 * console.assert(isOver);
 * ```
 * @experimental
 */
export function useVirtualTime(): VirtualTime {
  return new VirtualTime();
}

let isVirtual = false;

/**
 * The time of a test; see {@link useVirtualTime}.
 * @experimental
 */
export class VirtualTime implements Disposable {
  readonly #clock = new VirtualClock();
  readonly #timers = new Timers(this.#clock);
  readonly #before: Timers | undefined;
  #isRestored = false;

  /** @internal */
  constructor() {
    if (isVirtual)
      throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", "Cannot use virtual time: it is in use already.", {
        operation: "useVirtualTime",
      });
    isVirtual = true;
    this.#before = replaceThreadTimers(this.#timers);
  }

  /** Milliseconds since it began. */
  get nowMs(): number {
    return this.#clock.now();
  }

  /** Timers that have neither expired nor been cancelled: a test that ends with some has left something behind. */
  get pendingNow(): number {
    return this.#timers.pendingNow;
  }

  /** Whether one of them would keep a thread alive. */
  get isHeld(): boolean {
    return this.#clock.isHeld;
  }

  /** Lets `ms` milliseconds pass, from one timer to the next. What each wakes has its turn, so that what it then waits for counts too. */
  async advance(ms: number): Promise<void> {
    const end = this.#clock.now() + durationMs("advance", ms);
    await turn();
    while (this.#clock.ringBy(end)) await turn();
  }

  /** Lets `ms` milliseconds pass in which the thread did nothing else, as when a loop was busy: everything due comes afterwards. */
  async jump(ms: number): Promise<void> {
    this.#clock.set(this.#clock.now() + durationMs("jump", ms));
    await this.advance(0);
  }

  /** Gives the thread its own timers back. Those that are pending here stay so for ever. */
  restore(): void {
    if (this.#isRestored) return;
    this.#isRestored = true;
    isVirtual = false;
    replaceThreadTimers(this.#before);
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}

class VirtualClock implements Clock {
  readonly originMs = 0;
  isHeld = false;
  #nowMs = 0;
  #alarm: { readonly atMs: number; readonly wake: () => void } | undefined;

  now(): number {
    return this.#nowMs;
  }

  set(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  /** As libuv does, from the whole millisecond. */
  wakeIn(delayMs: number, wake: () => void): void {
    this.#alarm = { atMs: Math.floor(this.#nowMs) + delayMs, wake };
  }

  hold(isHeld: boolean): void {
    this.isHeld = isHeld;
  }

  /** Rings if the alarm is set for that time or before. If not, it is now that time, and the answer is false. */
  ringBy(endMs: number): boolean {
    const alarm = this.#alarm;
    if (alarm === undefined || alarm.atMs > endMs) {
      this.#nowMs = Math.max(this.#nowMs, endMs);
      return false;
    }
    this.#alarm = undefined;
    this.#nowMs = Math.max(this.#nowMs, alarm.atMs);
    alarm.wake();
    return true;
  }
}

/** All microtasks, and what they set in motion for the next turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A deadline as something to pass on: how long there is, and a signal that aborts when it is over. */
import { AsyncResource } from "node:async_hooks";
import { RingloomError } from "../errors.js";
import { onAbort } from "../scheduler/abort-listeners.js";
import { abortedWait } from "../task/wait-errors.js";
import { Alarm } from "./alarm.js";
import { durationMs, type Instant, instantMs } from "./instant.js";
import { type Timers, threadTimers } from "./timers.js";

const OPERATION = "deadline";

/**
 * What else ends a deadline.
 * @experimental
 */
export interface DeadlineOptions {
  /** The caller's own signal: when it aborts, so does the deadline's, with the same reason. */
  readonly signal?: AbortSignal;
}

/**
 * A deadline `ms` milliseconds from now. Cheaper than `AbortSignal.timeout()`, and it can be taken back (`using`, or `Symbol.dispose`).
 * @throws TypeError, RangeError for what is no duration.
 * @example
 * ```ts run
 * import { deadline, sleep } from "ringloom/time";
 * using limit = deadline(5);
 * await sleep(1_000, { signal: limit.signal }).catch(() => undefined);
 * console.assert(limit.isOver);
 * ```
 * @experimental
 */
export function deadline(ms: number, options: DeadlineOptions = {}): Deadline {
  const timers = threadTimers();
  return new Deadline(timers, timers.now() + durationMs("set a deadline", ms), options);
}

/**
 * The same at a point of time.
 * @throws TypeError, RangeError for what is no point of time.
 * @example
 * ```ts run
 * import { deadlineAt } from "ringloom/time";
 * const limit = deadlineAt(performance.now() + 250);
 * console.assert(limit.remainingMs > 0 && !limit.isOver);
 * ```
 * @experimental
 */
export function deadlineAt(at: Instant, options: DeadlineOptions = {}): Deadline {
  const timers = threadTimers();
  return new Deadline(timers, instantMs("set a deadline", timers, at), options);
}

/**
 * A point of time by which something is to be done. It has a timer only from the moment in which somebody asks for its signal; that timer keeps no thread alive.
 * @experimental
 */
export class Deadline implements Disposable {
  /** In milliseconds of `performance.now()`. */
  readonly at: number;
  readonly #timers: Timers;
  readonly #parent: AbortSignal | undefined;
  #controller: AbortController | undefined;
  #alarm: Alarm | undefined;
  #forgetParent: (() => void) | undefined;
  #isDisposed = false;

  /** @internal */
  constructor(timers: Timers, atMs: number, { signal }: DeadlineOptions) {
    this.at = atMs;
    this.#timers = timers;
    this.#parent = signal;
  }

  /** How long there is, in milliseconds; 0 when it is over. */
  get remainingMs(): number {
    return Math.max(0, this.at - this.#timers.now());
  }

  get isOver(): boolean {
    return this.#timers.now() >= this.at;
  }

  /** Aborts when the time is over, with `ERR_RINGLOOM_TIMEOUT` as its reason, or with the caller's own signal and that one's reason. */
  get signal(): AbortSignal {
    this.#controller ??= this.#begin();
    return this.#controller.signal;
  }

  /** Throws `ERR_RINGLOOM_TIMEOUT` when the time is over, `ERR_RINGLOOM_ABORTED` when the caller's own signal has aborted. */
  throwIfOver(): void {
    if (this.#parent?.aborted === true) throw abortedWait("go on", this.#parent.reason);
    if (this.isOver) throw this.#error();
  }

  /** Takes it back: its signal does not abort any more. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#alarm?.clear();
    this.#forgetParent?.();
  }

  #begin(): AbortController {
    const controller = new AbortController();
    const parent = this.#parent;
    if (parent?.aborted === true) controller.abort(parent.reason);
    else if (this.isOver) controller.abort(this.#error());
    else if (!this.#isDisposed) this.#watch(controller, parent);
    return controller;
  }

  #watch(controller: AbortController, parent: AbortSignal | undefined): void {
    // Who listens to the signal hears of it in the async context of who made it, not in that of whatever set the thread's alarm.
    const resource = new AsyncResource("RINGLOOM_DEADLINE");
    const end = (reason: unknown): void => {
      this[Symbol.dispose]();
      resource.runInAsyncScope(() => controller.abort(reason));
    };
    this.#alarm = new Alarm(this.#timers, () => end(this.#error()), false);
    this.#alarm.set(this.at);
    if (parent !== undefined) this.#forgetParent = onAbort(parent, () => end(parent.reason));
  }

  #error(): Error {
    const options = { operation: OPERATION, details: { at: this.at } };
    return new RingloomError("ERR_RINGLOOM_TIMEOUT", "The deadline is over.", options);
  }
}

/** Work with an end: what it gives, unless its time is over before. */
import { AsyncResource } from "node:async_hooks";
import { RingloomError } from "../errors.js";
import { onAbort } from "../scheduler/abort-listeners.js";
import { abortedWait, timedOutWait } from "../task/wait-errors.js";
import { Alarm } from "./alarm.js";
import { durationMs, type Instant, instantMs } from "./instant.js";
import { type Timers, threadTimers } from "./timers.js";

const OPERATION = "finish in time";

/**
 * What else ends a timeout.
 * @experimental
 */
export interface TimeoutOptions {
  /** The caller's own signal: when it aborts, the call rejects with `ERR_RINGLOOM_ABORTED`, whose cause is the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * What is done within a time: a function, which gets a signal that aborts when it should stop, or a promise, which cannot be stopped.
 * @experimental
 */
export type TimedWork<Value> = ((signal: AbortSignal) => Value | PromiseLike<Value>) | PromiseLike<Value>;

/**
 * What `work` gives, if it does so within `ms` milliseconds; Infinity is no limit.
 *
 * When the time is over the call rejects with `ERR_RINGLOOM_TIMEOUT` at once, and the signal that the function got aborts with the same error. What the function still does, returns or throws is dropped: JavaScript that
 * runs cannot be interrupted, so a function should pass its signal on. When the caller's own `signal` aborts, the call rejects with `ERR_RINGLOOM_ABORTED` instead, and the function's signal aborts with the caller's reason.
 * @throws TypeError, RangeError for what is no duration; rejects with RingloomError `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, or whatever the work throws.
 * @example
 * ```ts run
 * import { sleep, timeout } from "ringloom/time";
 * const answer = await timeout(1_000, async (signal) => {
 *   await sleep(5, { signal });
 *   return 42;
 * });
 * console.assert(answer === 42);
 * ```
 * @experimental
 */
export function timeout<Value>(ms: number, work: TimedWork<Value>, options: TimeoutOptions = {}): Promise<Value> {
  const timers = threadTimers();
  const timeoutMs = durationMs("set a timeout", ms);
  const limit = { timers, atMs: timers.now() + timeoutMs, late: () => timedOutWait(OPERATION, timeoutMs) };
  return within(limit, work, options);
}

/**
 * The same until a point of time.
 * @throws as {@link timeout} does.
 * @example
 * ```ts run
 * import { sleep, timeoutAt } from "ringloom/time";
 * const late = timeoutAt(performance.now() + 5, (signal) => sleep(1_000, { signal }));
 * const code = await late.catch((error: { code: string }) => error.code);
 * console.assert(code === "ERR_RINGLOOM_TIMEOUT");
 * ```
 * @experimental
 */
export function timeoutAt<Value>(at: Instant, work: TimedWork<Value>, options: TimeoutOptions = {}): Promise<Value> {
  const timers = threadTimers();
  const atMs = instantMs("set a timeout", timers, at);
  return within({ timers, atMs, late: () => pastDeadline(at) }, work, options);
}

interface Limit {
  readonly timers: Timers;
  readonly atMs: number;
  readonly late: () => RingloomError;
}

function within<Value>(limit: Limit, work: TimedWork<Value>, { signal }: TimeoutOptions): Promise<Value> {
  if (signal?.aborted === true) return Promise.reject(abortedWait(OPERATION, signal.reason));
  return new Promise<Value>((resolve, reject) => {
    const controller = typeof work === "function" ? new AbortController() : undefined;
    // The function's own listeners hear of the end in the async context of who called.
    const resource = new AsyncResource("RINGLOOM_TIMEOUT");
    const alarm = new Alarm(limit.timers, () => giveUp(limit.late()), true);
    let forgetSignal: (() => void) | undefined;

    /** Rejecting comes first: what the function throws because its signal aborted is then too late to be taken for its answer. */
    function giveUp(error: Error, reason: unknown = error): void {
      settle();
      reject(error);
      if (controller !== undefined) resource.runInAsyncScope(() => controller.abort(reason));
    }
    function settle(): void {
      alarm.clear();
      forgetSignal?.();
    }

    if (limit.atMs !== Number.POSITIVE_INFINITY) alarm.set(limit.atMs);
    if (signal !== undefined) {
      forgetSignal = onAbort(signal, () => giveUp(abortedWait(OPERATION, signal.reason), signal.reason));
    }
    start(work, controller).then(
      (value) => {
        settle();
        resolve(value);
      },
      (error: unknown) => {
        settle();
        reject(error);
      },
    );
  });
}

/** What the function throws before its first `await` is its answer too. */
async function start<Value>(work: TimedWork<Value>, controller: AbortController | undefined): Promise<Value> {
  return typeof work === "function" ? work((controller ?? new AbortController()).signal) : work;
}

function pastDeadline(at: Instant): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `Cannot ${OPERATION}: it took longer than until its deadline.`, {
    operation: OPERATION,
    details: { at },
  });
}

/** Waiting for a time. */
import { onAbort } from "../scheduler/abort-listeners.js";
import { abortedWait } from "../task/wait-errors.js";
import { durationMs, fromNow, type Instant, instantMs } from "./instant.js";
import { type Timers, threadTimers } from "./timers.js";

/**
 * How a sleep can end early, and what it means for the thread.
 * @experimental
 */
export interface SleepOptions {
  /** Ends the sleep: it then rejects with `ERR_RINGLOOM_ABORTED`, whose cause is the signal's reason. */
  readonly signal?: AbortSignal;
  /** Whether the sleep keeps its thread alive. `true` unless told otherwise. */
  readonly ref?: boolean;
}

/**
 * Resolves in `ms` milliseconds or later, never earlier. 0 is the next turn of the event loop, Infinity is never.
 *
 * A pending sleep takes about 30 bytes beside its promise; see docs/time.md. For one that is set anew again and again, and for `select` in a loop, take a {@link Sleep}.
 * @throws TypeError, RangeError for what is no duration; rejects with RingloomError `ERR_RINGLOOM_ABORTED`.
 * @example
 * ```ts run
 * import { sleep } from "ringloom/time";
 * await sleep(5);
 * ```
 * @experimental
 */
export function sleep(ms: number, options?: SleepOptions): Promise<void> {
  const timers = threadTimers();
  return wait(timers, fromNow(timers, durationMs("sleep", ms)), { operation: "sleep", options });
}

/**
 * Resolves at `at` or later, never earlier; at the next turn of the event loop when that is over.
 * @throws TypeError, RangeError for what is no point of time; rejects with RingloomError `ERR_RINGLOOM_ABORTED`.
 * @example
 * ```ts run
 * import { sleepUntil } from "ringloom/time";
 * const begunMs = performance.now();
 * await sleepUntil(begunMs + 5);
 * await sleepUntil(new Date(Date.now() + 5));
 * ```
 * @experimental
 */
export function sleepUntil(at: Instant, options?: SleepOptions): Promise<void> {
  const timers = threadTimers();
  return wait(timers, instantMs("sleep until", timers, at), { operation: "sleep until", options });
}

interface Wait {
  readonly operation: string;
  readonly options: SleepOptions | undefined;
}

function wait(timers: Timers, atMs: number, { operation, options }: Wait): Promise<void> {
  const { signal, ref = true } = options ?? {};
  // The common case keeps nothing but what the promise has anyway: its own resolving function is the owner of the timer.
  if (signal === undefined) {
    return new Promise((resolve) => {
      timers.start(atMs, resolve, ref);
    });
  }
  if (signal.aborted) return Promise.reject(abortedWait(operation, signal.reason));
  return new Promise((resolve, reject) => {
    const place = timers.start(atMs, wake, ref);
    const generation = timers.generation(place);
    const forgetSignal = onAbort(signal, () => {
      timers.cancel(place, generation);
      reject(abortedWait(operation, signal.reason));
    });
    function wake(): void {
      forgetSignal();
      resolve();
    }
  });
}

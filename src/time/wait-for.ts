/** Waiting for one thing that `select` could wait for too. */
import { onAbort } from "../scheduler/abort-listeners.js";
import { type Selectable, selectable } from "../task/selectable.js";
import { Alarm } from "./alarm.js";
import { durationMs, tookTooLong, waitAborted } from "./instant.js";
import { threadTimers } from "./timers.js";

/** When a wait ends without its value. */
export interface WaitForOptions {
  /** A verb, for the errors. */
  readonly operation: string;
  readonly signal?: AbortSignal | undefined;
  /** 0 is never. */
  readonly timeoutMs?: number | undefined;
}

/**
 * The next value of `source`. When the signal aborts or the time is over first, the source keeps the value for the next one who waits.
 * @throws RangeError for a time that is none; rejects with RingloomError `ERR_RINGLOOM_ABORTED` and `ERR_RINGLOOM_TIMEOUT`.
 */
export function waitFor<Value>(source: Selectable<Value>, options: WaitForOptions): Promise<Value> {
  const { operation, signal, timeoutMs = 0 } = options;
  durationMs(operation, timeoutMs);
  if (signal?.aborted === true) return Promise.reject(waitAborted(operation, signal.reason));
  return new Promise<Value>((resolve, reject) => {
    let forgetSignal: (() => void) | undefined;
    let alarm: Alarm | undefined;
    // Also by a source that has something at once.
    let isSettled = false;
    const settle = (): boolean => {
      isSettled = true;
      forgetSignal?.();
      alarm?.clear();
      return true;
    };
    const forget = source[selectable]({ claim: settle, resolve, reject });
    if (forget === undefined || isSettled) return;
    const giveUp = (error: Error): void => {
      settle();
      forget();
      reject(error);
    };
    if (signal !== undefined) forgetSignal = onAbort(signal, () => giveUp(waitAborted(operation, signal.reason)));
    if (timeoutMs === 0 || timeoutMs === Number.POSITIVE_INFINITY) return;
    const timers = threadTimers();
    alarm = new Alarm(timers, () => giveUp(tookTooLong(operation, { timeoutMs })), true);
    alarm.set(timers.now() + timeoutMs);
  });
}

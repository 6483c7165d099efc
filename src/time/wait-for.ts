/** Waiting for one thing that `select` could wait for too. */
import { type Selectable, selectable } from "../task/selectable.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";

/** When a wait ends without its value. */
export interface WaitForOptions extends WaitOptions {
  /** A verb, for the errors. */
  readonly operation: string;
}

/**
 * The next value of `source`. When the signal aborts or the time is over first, the source keeps the value for the next one who waits.
 * @throws (rejects) TypeError, RangeError for options that are none; RingloomError `ERR_RINGLOOM_ABORTED` and `ERR_RINGLOOM_TIMEOUT`.
 */
export function waitFor<Value>(source: Selectable<Value>, options: WaitForOptions): Promise<Value> {
  const { operation } = options;
  return new Promise<Value>((resolve, reject) => {
    checkWait(operation, options);
    let disarm: (() => void) | undefined;
    // Also by a source that has something at once.
    let isSettled = false;
    const settle = (): boolean => {
      isSettled = true;
      disarm?.();
      return true;
    };
    const forget = source[selectable]({ claim: settle, resolve, reject });
    if (forget === undefined || isSettled) return;
    disarm = armWait(options, operation, (error) => {
      settle();
      forget();
      reject(error);
    });
  });
}

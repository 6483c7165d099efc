/** Waiting for one thing that `select` could wait for too. */
import { onAbort } from "../scheduler/abort-listeners.js";
import { type Selectable, selectable } from "./selectable.js";

/** When a wait ends without its value. */
export interface WaitForOptions {
  readonly signal: AbortSignal | undefined;
  /** The error of a wait that the signal has ended. */
  readonly aborted: (reason: unknown) => Error;
}

/** The next value of `source`. When the signal aborts first, the source keeps the value for the next one who waits. */
export function waitFor<Value>(source: Selectable<Value>, { signal, aborted }: WaitForOptions): Promise<Value> {
  if (signal?.aborted === true) return Promise.reject(aborted(signal.reason));
  return new Promise<Value>((resolve, reject) => {
    let forgetSignal: (() => void) | undefined;
    const claim = (): boolean => {
      forgetSignal?.();
      return true;
    };
    const forget = source[selectable]({ claim, resolve, reject });
    if (forget === undefined || signal === undefined) return;
    forgetSignal = onAbort(signal, () => {
      forget();
      reject(aborted(signal.reason));
    });
  });
}

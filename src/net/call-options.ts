/** What every call that waits takes: a signal that gives it up, and a time after which it is given up. */
import { RingloomError } from "../errors.js";
import { onAbort } from "../scheduler/abort-listeners.js";

const TIMEOUT_MS_MAX = 0x7fff_ffff;

/**
 * The limits of one call.
 * @experimental
 */
export interface CallOptions {
  /** Gives the call up: it rejects with `ERR_RINGLOOM_ABORTED`, whose cause is the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** After so long the call rejects with `ERR_RINGLOOM_TIMEOUT`, in milliseconds. Default: never. */
  readonly timeoutMs?: number | undefined;
}

/** Throws a TypeError or RangeError for limits that are none, and what an aborted signal says. */
export function checkCallOptions(operation: string, { signal, timeoutMs }: CallOptions): void {
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new TypeError(`Cannot ${operation}: the signal is not an AbortSignal`);
  if (timeoutMs !== undefined && !(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX))
    throw new RangeError(`Cannot ${operation}: a timeout of ${timeoutMs} ms is not between 0 and ${TIMEOUT_MS_MAX}`);
  if (signal?.aborted === true) throw abortedError(operation, signal.reason);
}

/** Calls `giveUp` once if a limit is reached, with the error to reject with, until what it returns is called. The options have been checked. */
export function limitCall(
  operation: string,
  { signal, timeoutMs }: CallOptions,
  giveUp: (error: RingloomError) => void,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  let forget: (() => void) | undefined;
  const end = (): void => {
    clearTimeout(timer);
    forget?.();
  };
  const stop = (error: RingloomError): void => {
    end();
    giveUp(error);
  };
  if (signal !== undefined) forget = onAbort(signal, () => stop(abortedError(operation, signal.reason)));
  if (timeoutMs !== undefined) timer = setTimeout(() => stop(timeoutError(operation, timeoutMs)), timeoutMs);
  return end;
}

/** The error of a call that its signal gave up. */
export function abortedError(operation: string, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot ${operation}: the call was given up`, { operation, cause });
}

/** The error of a call that took too long. */
export function timeoutError(operation: string, timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `Cannot ${operation}: it took longer than ${timeoutMs} ms`, {
    operation,
    details: { timeoutMs },
  });
}

/** What goes wrong with waiting: given up, too late, too many, closed. All of channels, locks and `select`. */
import { RingloomError } from "../errors.js";

/**
 * What a wait is given besides.
 * @experimental
 */
export interface WaitOptions {
  /** Gives the wait up: it rejects with `ERR_RINGLOOM_ABORTED`, and the signal's reason as its cause. What it waited for goes to the next one. */
  readonly signal?: AbortSignal;
  /** When it rejects with `ERR_RINGLOOM_TIMEOUT`, in milliseconds; 0 is never. Default 0. */
  readonly timeoutMs?: number;
}

/**
 * How many may wait.
 * @experimental
 */
export interface WaitingOptions {
  /** Those that may wait at once; one more is refused with `ERR_RINGLOOM_OVERLOADED`. Default 65,536. */
  readonly waitingMax?: number;
}

/** The signal was aborted. `operation` is a verb: `"receive"`. */
export function abortedWait(operation: string, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot ${operation}: the wait was given up.`, {
    operation,
    cause,
  });
}

/** The time is over. */
export function timedOutWait(operation: string, timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `Cannot ${operation}: it took longer than ${timeoutMs} ms.`, {
    operation,
    details: { timeoutMs },
  });
}

/** As many wait as may. */
export function overloadedWait(operation: string, waitingMax: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot ${operation}: ${waitingMax} others wait already.`, {
    operation,
    details: { waitingMax },
  });
}

/** What was to be used is closed, `cause` being why. */
export function closedError(operation: string, what: string, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${operation}: the ${what} is closed.`, { operation, cause });
}

/** A guard that was released already, or something else that is over. */
export function staleError(operation: string, why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_STALE_HANDLE", `Cannot ${operation}: ${why}.`, { operation });
}

/** An argument that cannot be used. */
export function invalidArgument(operation: string, why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot ${operation}: ${why}.`, { operation });
}

/** What goes wrong with waiting: given up, too late, too many, closed. Whatever waits says it in these words. */
import { RingloomError } from "../errors.js";

/**
 * What a wait is given besides.
 * @experimental
 */
export interface WaitOptions {
  /** Gives the wait up: it rejects with `ERR_RINGLOOM_ABORTED`, and the signal's reason as its cause. What it waited for is there for the next one. */
  readonly signal?: AbortSignal | undefined;
  /** When it rejects with `ERR_RINGLOOM_TIMEOUT`, in milliseconds; 0 is never. Default 0. */
  readonly timeoutMs?: number | undefined;
}

/**
 * How many may wait.
 * @experimental
 */
export interface WaitingOptions {
  /** Those that may wait at once; one more is refused with `ERR_RINGLOOM_OVERLOADED`. Default 65,536. */
  readonly waitingMax?: number;
}

/** What is waited for, as its errors say it: a verb (`"receive"`), or with its object and what else is known of it. */
export type Waited = string | WaitedFor;

/** A verb and its object: `{ operation: "lock", what: 'the mutex "jobs"' }`. */
export interface WaitedFor {
  readonly operation: string;
  /** Follows the verb in the message. */
  readonly what?: string | undefined;
  /** Becomes part of the error's details. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The time of the whole call if the wait is a part of it, in milliseconds: what its errors name. */
  readonly wholeMs?: number;
}

/** The verb alone. */
export function operationOf(waited: Waited): string {
  return typeof waited === "string" ? waited : waited.operation;
}

/** The signal was aborted. */
export function abortedWait(waited: Waited, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot ${nameOf(waited)}: the wait was given up.`, {
    operation: operationOf(waited),
    ...(typeof waited === "object" && waited.details !== undefined ? { details: waited.details } : {}),
    cause,
  });
}

/** The time is over. */
export function timedOutWait(waited: Waited, timeoutMs: number): RingloomError {
  const { details, wholeMs = timeoutMs }: Partial<WaitedFor> = typeof waited === "string" ? {} : waited;
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `Cannot ${nameOf(waited)}: it took longer than ${wholeMs} ms.`, {
    operation: operationOf(waited),
    details: { ...details, timeoutMs: wholeMs },
  });
}

/** As many wait as may. */
export function overloadedWait(waited: Waited, waitingMax: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot ${nameOf(waited)}: ${waitingMax} others wait already.`, {
    operation: operationOf(waited),
    details: { waitingMax },
  });
}

function nameOf(waited: Waited): string {
  if (typeof waited === "string") return waited;
  return waited.what === undefined ? waited.operation : `${waited.operation} ${waited.what}`;
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

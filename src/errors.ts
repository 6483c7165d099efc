import { getSystemErrorName } from "node:util";

/**
 * Every `code` that a {@link RingloomError} can carry, besides the names of the kernel's errors (`ECONNRESET` and so on).
 * @stable
 */
export type RingloomErrorCode =
  | "ERR_RINGLOOM_OVERLOADED"
  | "ERR_RINGLOOM_BACKPRESSURE"
  | "ERR_RINGLOOM_CLOSED"
  | "ERR_RINGLOOM_STALE_HANDLE"
  | "ERR_RINGLOOM_ALREADY_ANSWERED"
  | "ERR_RINGLOOM_INVALID_OPTION"
  | "ERR_RINGLOOM_DRIVER_UNAVAILABLE"
  | "ERR_RINGLOOM_MODULE_LOAD"
  | "ERR_RINGLOOM_NOT_AN_APP"
  | "ERR_RINGLOOM_LISTENS_ITSELF"
  | "ERR_RINGLOOM_SHARD_FAILED"
  | "ERR_RINGLOOM_MEMORY_LIMIT"
  | "ERR_RINGLOOM_WRONG_THREAD"
  | "ERR_RINGLOOM_BODY_TOO_LARGE"
  | "ERR_RINGLOOM_BODY_USED"
  | "ERR_RINGLOOM_TOO_LARGE"
  | "ERR_RINGLOOM_ABORTED"
  | "ERR_RINGLOOM_TIMEOUT"
  | "ERR_RINGLOOM_HOOK_FAILED"
  | "ERR_RINGLOOM_CALL_FAILED"
  | "ERR_RINGLOOM_NO_SUCH_FUNCTION"
  | "ERR_RINGLOOM_THREAD_LOST"
  | "ERR_RINGLOOM_BAD_ENCODING"
  | "ERR_RINGLOOM_NOT_CLONEABLE"
  | "ERR_RINGLOOM_CHILD_FAILED"
  | "ERR_RINGLOOM_OUTPUT_TOO_LARGE"
  | "ERR_RINGLOOM_UNSUPPORTED"
  | "ERR_RINGLOOM_BUSY"
  | "ERR_RINGLOOM_UNEXPECTED_END"
  | "ERR_RINGLOOM_LAGGED"
  | "ERR_RINGLOOM_LEAKED"
  | "ERR_RINGLOOM_BROKEN_BARRIER"
  | "ERR_RINGLOOM_HANDSHAKE_FAILED"
  | "ERR_RINGLOOM_BAD_RESPONSE"
  | "ERR_RINGLOOM_PROXY_REFUSED"
  | "ERR_RINGLOOM_TOO_MANY_REDIRECTS";

/**
 * What else an error says.
 * @stable
 */
export interface RingloomErrorOptions {
  readonly cause?: unknown;
  /** The operation that failed: `listen`, `recv`, `load`. */
  readonly operation?: string;
  /** What the operation was given, for the log. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error family of Ringloom: a stable `code`, the operation that failed and what it was given.
 *
 * `code` is either one of the `ERR_RINGLOOM_…` names or the kernel's own (`EADDRINUSE`), as in Node.
 * @stable
 */
export class RingloomError extends Error {
  override readonly name: string = "RingloomError";
  readonly code: RingloomErrorCode | (string & {});
  readonly operation: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: RingloomErrorCode | (string & {}), message: string, options: RingloomErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.operation = options.operation;
    this.details = options.details;
  }
}

/**
 * The one error for a value that no way between threads carries, whoever was to carry it.
 * @param operation what the value was for: `send`, `task`, `sharedCache`
 * @param what V8's sentence about it, or ours
 */
export function notCloneable(operation: string, what: string, cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_NOT_CLONEABLE", `Cannot copy a value (${operation}): ${what}`, {
    operation,
    cause,
  });
}

/** Whether an error says that something cannot be cloned or handed over, and is not the user's own. */
export function isCloneRefusal(error: unknown): error is Error {
  if (error instanceof DOMException) return error.name === "DataCloneError";
  return error instanceof TypeError && Reflect.get(error, "code") === "ERR_INVALID_TRANSFER_OBJECT";
}

/** The kernel's name of a positive error number: `errnoName(104)` is `"ECONNRESET"`. */
export function errnoName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

/** An error for a failed kernel operation: `errno` is positive. */
export function errnoError(
  operation: string,
  errno: number,
  details?: Readonly<Record<string, unknown>>,
): RingloomError {
  const name = errnoName(errno);
  const suffix = details === undefined ? "" : ` (${describe(details)})`;
  const options: RingloomErrorOptions = details === undefined ? { operation } : { operation, details };
  return new RingloomError(name, `Cannot ${operation}: ${name}${suffix}`, options);
}

function describe(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(", ");
}

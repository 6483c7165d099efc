/** How a call of `ringloom/fs` becomes a promise: with the operation and its names in the error, given up by a signal or a deadline. */
import type { OperationDone, Operations } from "../driver/contract.js";
import { errnoError, RingloomError } from "../errors.js";
import { threadDriver } from "../runtime/thread-driver.js";
import { abortedWait, timedOutWait, type WaitedFor } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";

/**
 * What every call takes.
 * @experimental
 */
export interface CallOptions {
  /**
   * Gives the call up: it rejects with `ERR_RINGLOOM_ABORTED`. What the kernel has begun may still take effect. A transfer rejects only when the kernel has let go of its buffer, and resolves when it was
   * done by then.
   */
  readonly signal?: AbortSignal | undefined;
  /** When the call is given up with `ERR_RINGLOOM_TIMEOUT`, in milliseconds; 0 is never. Default 0. */
  readonly timeoutMs?: number | undefined;
}

/** What a call is, for its error and its end. */
export interface Call {
  /** What the error says could not be done. */
  readonly operation: string;
  /** What it was given. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly options: CallOptions | undefined;
  /** The kernel may write into, or read from, memory of the caller until the completion. */
  readonly hasBuffer?: boolean;
  /** Takes the result of a call that was given up before. */
  readonly late?: (result: number) => void;
  /** Told the operation's id, for whoever may have to cancel it. */
  readonly began?: (id: number) => void;
}

/** Starts an operation. Returns its id. */
export type Begin = (operations: Operations, done: OperationDone) => number;

/** Runs one operation of the thread's driver. Resolves to its result, which is not negative. */
export function operate(call: Call, begin: Begin): Promise<number> {
  const { signal, timeoutMs = 0 } = call.options ?? {};
  if (signal !== undefined || timeoutMs !== 0) return operateGuarded(call, begin);
  return new Promise((resolve, reject) => {
    const id = begin(threadDriver().driver.operations, (result) => {
      if (result >= 0) resolve(result);
      else reject(errnoError(call.operation, -result, call.details));
    });
    call.began?.(id);
  });
}

/** Runs a call of node:fs, which goes to libuv's pool of threads. */
export function pooled<T>(call: Call, run: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    check(call);
    const stop = guard(call, reject);
    run().then(
      (value) => {
        stop();
        resolve(value);
      },
      (error: unknown) => {
        stop();
        reject(nodeFailure(call, error));
      },
    );
  });
}

/** Waits; for what has to be tried again. */
export function pause(call: Call, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    check(call);
    let timer: NodeJS.Timeout | undefined;
    const stop = guard(call, (error) => {
      clearTimeout(timer);
      reject(error);
    });
    timer = setTimeout(() => {
      stop();
      resolve();
    }, ms);
  });
}

/** Under a symbol, because the limits of a call are spread into the options of its parts, and `open` refuses names that it does not know. */
const DEADLINE: unique symbol = Symbol("deadline");

/** Options with when the time of the whole call is over. */
interface DeadlineOptions extends CallOptions {
  readonly [DEADLINE]?: Deadline;
}

interface Deadline {
  /** Of the clock of `performance`. */
  readonly atMs: number;
  /** How long all of it may take, in milliseconds. */
  readonly wholeMs: number;
}

/** The options with what is left of their time, for a call that is made of several. Gives what each part takes. */
export function shared(options: CallOptions | undefined): CallOptions | undefined {
  const { signal, timeoutMs = 0, [DEADLINE]: outer }: DeadlineOptions = options ?? {};
  checkWait("use a file", { timeoutMs });
  if (timeoutMs === 0) return signal === undefined ? undefined : { signal };
  const deadline = outer ?? { atMs: performance.now() + timeoutMs, wholeMs: timeoutMs };
  const limits: DeadlineOptions = {
    signal,
    [DEADLINE]: deadline,
    get timeoutMs() {
      // Zero would be no limit at all.
      return Math.max(0.01, deadline.atMs - performance.now());
    },
  };
  return limits;
}

/** Throws what a call that was given up before it began rejects with. */
export function throwIfGivenUp(call: Call): void {
  if (call.options === undefined) return;
  const { signal, [DEADLINE]: deadline }: DeadlineOptions = call.options;
  if (signal?.aborted === true) throw abortedWait(waitedFor(call), signal.reason);
  if (deadline !== undefined && performance.now() >= deadline.atMs)
    throw timedOutWait(waitedFor(call), deadline.wholeMs);
}

/** Whether a call rejected because it was given up, and not because of what it was to do. */
export function isGivenUp(error: unknown): boolean {
  return (
    error instanceof RingloomError && (error.code === "ERR_RINGLOOM_ABORTED" || error.code === "ERR_RINGLOOM_TIMEOUT")
  );
}

function operateGuarded(call: Call, begin: Begin): Promise<number> {
  return new Promise((resolve, reject) => {
    check(call);
    const { operations } = threadDriver().driver;
    let givenUp: RingloomError | undefined;
    let stop = (): void => {};
    const id = begin(operations, (result) => {
      stop();
      if (givenUp === undefined && result < 0) return reject(errnoError(call.operation, -result, call.details));
      if (givenUp === undefined) return resolve(result);
      if (call.hasBuffer !== true) return call.late?.(result);
      if (result >= 0) resolve(result);
      else reject(givenUp);
    });
    call.began?.(id);
    stop = guard(call, (error) => {
      givenUp = error;
      operations.cancel(id);
      if (call.hasBuffer !== true) reject(error);
    });
  });
}

/** Calls `giveUp` once, when the signal is aborted or the time is over; neither is so yet. Returns what ends that. Throws nothing: what it guards may have begun. */
export function guard(call: Call, giveUp: (error: RingloomError) => void): () => void {
  return armWait(call.options ?? {}, waitedFor(call), giveUp) ?? nothing;
}

function nothing(): void {}

/** Throws what a call with wrong options, or one that was given up before it began, rejects with. */
function check(call: Call): void {
  if (call.options === undefined) return;
  checkWait(waitedFor(call), call.options);
  throwIfGivenUp(call);
}

/** Its errors name the file. */
function waitedFor({ operation, details, options }: Call): WaitedFor {
  const { [DEADLINE]: deadline }: DeadlineOptions = options ?? {};
  const what = details.path === undefined ? undefined : String(details.path);
  return { operation, what, details, ...(deadline === undefined ? {} : { wholeMs: deadline.wholeMs }) };
}

/** The error of a call of node:fs, in our form: the kernel's code, the operation and its names. */
export function nodeFailure({ operation, details }: Call, error: unknown): unknown {
  if (!(error instanceof Error) || !("errno" in error) || typeof error.errno !== "number") return error;
  const failure = errnoError(operation, -error.errno, details);
  return new RingloomError(failure.code, failure.message, { operation, details, cause: error });
}
